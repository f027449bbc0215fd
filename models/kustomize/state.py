"""What one build shares between all its kustomizations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from models.errors import Problem, RenderError, Where
from models.kustomize.absent import AbsentError, RemoteError
from models.kustomize.charts import ChartRenderer, ChartRequest
from models.kustomize.loader import Files
from models.kustomize.merge import Schema, builtin_schema
from models.kustomize.openapi import merged_schema
from models.objects import Missing, Origin

MAX_BUILDS = 10_000
"""Most kustomizations that one build may run through, each time that one is named counted."""
MAX_OBJECTS = 300_000
"""Most objects that one build may read."""


@dataclass
class BuildState:
    """The files, the chart renderer, what is missing so far, and the schema in force.

    ``approximate``: a chart's objects were made by a model, so that a patch may name one that is not among them.
    """

    files: Files
    charts: ChartRenderer | None = None
    missing: list[Missing] = field(default_factory=list)
    approximate: bool = False
    schema: Schema = field(default_factory=builtin_schema)
    schema_chosen: bool = False
    build_metadata: tuple[str, ...] = ()
    built: int = 0
    read: int = 0

    def count_build(self, where: Where) -> None:
        """Note that one more kustomization is built. Raises RenderError when they multiply without end."""
        self.built += 1
        if self.built > MAX_BUILDS:
            what = f"more than {MAX_BUILDS} kustomizations are built for this one, for they name each other many times"
            raise RenderError(Problem(where, what, "name each base once"))

    def count_objects(self, number: int, where: Where) -> None:
        """Note that objects were read. Raises RenderError when they are too many."""
        self.read += number
        if self.read > MAX_OBJECTS:
            raise RenderError(Problem(where, f"more than {MAX_OBJECTS} objects are read", "build parts of the tree"))

    def choose_schema(self, schema: Schema | None, *, root: bool) -> None:
        """Use a custom OpenAPI schema: alone when the root names it, beside the built-in one when a base does.

        The first one that is named counts; None names the built-in one.
        """
        if not self.schema_chosen:
            if schema is not None:
                self.schema = schema if root else merged_schema(self.schema, schema)
            self.schema_chosen = True

    def lacks_chart(self, request: ChartRequest) -> None:
        """Note a chart that nobody rendered, with the values it would have got."""
        release = request.release or request.name
        reason = "its repository is on the network" if request.repo else "it is not in the tree"
        hides = f"everything that release {release} runs"
        self._note(
            Missing(
                "chart",
                str(request),
                request.origin,
                reason,
                hides,
                release=release,
                namespace=request.namespace,
                values=request.values,
            )
        )

    @contextmanager
    def tolerant(self) -> Iterator[None]:
        """Let a step fail for want of a remote file, or of an object when something is missing anyway; note it."""
        try:
            yield
        except RemoteError as error:
            where = error.problems[0].where
            hides = f"what {where.field or 'this step'} adds or changes"
            self.lacks("remote", error.name, Origin(where.file, where.line), "it is on the network", hides)
        except AbsentError as error:
            if not self.partial:
                raise
            kind = self.missing[0].kind if self.missing else "chart"
            for problem in error.problems:
                origin = Origin(problem.where.file, problem.where.line)
                what = f"what {problem.where.field or 'this step'} changes"
                why = "something else is missing" if self.missing else "a chart is modelled"
                self.lacks(kind, what, origin, f"{problem.what} ({why})")

    @property
    def partial(self) -> bool:
        """Whether an object may be absent because something is missing, or because a chart is only modelled."""
        return bool(self.missing) or self.approximate

    def lacks(self, kind: str, what: str, origin: Origin, reason: str, hides: str = "") -> None:
        """Note something that cannot be had, once."""
        self._note(Missing(kind, what, origin, reason, hides))

    def _note(self, entry: Missing) -> None:
        if entry not in self.missing:
            self.missing.append(entry)
