"""Where a piece of evidence really stands: the line of its field instead of the first line of its object."""

from __future__ import annotations

import re
from dataclasses import replace

from models.graph.schema import Evidence
from models.objects import Origin
from models.yamldoc.lines import Lines

_HELD = re.compile(r"(?:^|from )(?:ConfigMap|Secret|ExternalSecret|SealedSecret) \S+ (\S+)")
"""Evidence that stands in another object than the one that reads it: ``env[X] from ConfigMap settings data.X``."""
_ABOVE = ("", "spec.", "spec.template.", "spec.jobTemplate.spec.template.", "spec.target.")
"""Fields of pods are written without the way to their template, those of releases and templates without ``spec``."""


def placed(lines: Lines, item: Evidence) -> Evidence:
    """The evidence with the line of its field."""
    line = line_of(lines, item.origin, item.field)
    return item if line == item.origin.line else replace(item, origin=replace(item.origin, line=line))


def line_of(lines: Lines, origin: Origin, field: str) -> int | None:
    """The line of a field of the object with this origin; its first line where the field is not written there.

    A field that a Kustomize patch added is not in the object's own file: then its nearest ancestor counts. What a chart
    or a generator made has one line, that of the entry which asks for it, unless the field is one of the inline values.
    """
    held = _HELD.search(field)
    path = (held[1] if held else field.partition(" ")[0]).replace("[]", "")
    if origin.provenance in ("chart", "modelled", "generated"):
        if not path.startswith("values."):
            return origin.line
        return lines.line_of(origin.file, origin.line, f"valuesInline.{path.removeprefix('values.')}", whole=True)
    whole = origin.provenance == "derived"
    return lines.line_of(origin.file, origin.line, *(above + path for above in _ABOVE), whole=whole)
