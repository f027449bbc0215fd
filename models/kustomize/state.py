"""What one build shares between all its kustomizations."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.kustomize.charts import ChartRenderer
from models.kustomize.loader import Files
from models.kustomize.merge import Schema, builtin_schema
from models.kustomize.openapi import merged_schema
from models.objects import Missing, Origin


@dataclass
class BuildState:
    """The files, the chart renderer, what is missing so far, and the schema in force."""

    files: Files
    charts: ChartRenderer | None = None
    missing: list[Missing] = field(default_factory=list)
    schema: Schema = field(default_factory=builtin_schema)
    schema_chosen: bool = False
    build_metadata: tuple[str, ...] = ()

    def choose_schema(self, schema: Schema, *, root: bool) -> None:
        """Use a custom OpenAPI schema: alone when the root names it, beside the built-in one when a base does."""
        if not self.schema_chosen:
            self.schema = schema if root else merged_schema(self.schema, schema)
            self.schema_chosen = True

    def lacks(self, kind: str, what: str, origin: Origin, reason: str, hides: str = "") -> None:
        """Note something that cannot be had, once."""
        entry = Missing(kind, what, origin, reason, hides)
        if entry not in self.missing:
            self.missing.append(entry)
