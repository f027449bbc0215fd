"""How far everything was really seen: written down, derived, modelled or missing; and what is hidden at the least."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from models.objects import KubeObject, Missing, Origin

if TYPE_CHECKING:
    from models.platform import Platform

Seen = Literal["written", "derived", "modelled", "missing"]
"""How a thing is known.

``written``   it is in the tree: a manifest, a generator's output, or what the real Helm engine rendered;
``derived``   an operator or a controller makes it of something written;
``modelled``  the chart catalogue (or what an operator makes of the catalogue's objects) stands in for a chart;
``missing``   the tree names it and nothing in the tree is it.
"""

MARKS: Mapping[str, str] = {"modelled": "†", "missing": "‡"}
"""What stands behind the name of a thing that was not read from the tree."""

LEGEND: Mapping[str, str] = {
    "modelled": "modelled from the chart catalogue, wholly or in part; the real chart may run more",
    "missing": "named by the tree, but not in what could be read",
}
"""The meaning of each mark."""

_ORDER: Mapping[Seen, int] = {"written": 0, "derived": 1, "modelled": 2, "missing": 3}


def least(seen: Iterable[Seen]) -> Seen:
    """The least certain of several; ``written`` when there are none."""
    return max(seen, key=_ORDER.__getitem__, default="written")


@dataclass(frozen=True, eq=False)
class Sight:
    """Says of the objects and workloads of one platform how they were seen."""

    platform: Platform

    @cached_property
    def _modelled(self) -> frozenset[tuple[str, int | None]]:
        return frozenset(
            (item.origin.file, item.origin.line)
            for item in self.platform.objects
            if item.origin.provenance == "modelled"
        )

    def origin(self, origin: Origin) -> Seen:
        """How what has this origin was seen. What is derived from a modelled object has its file and line."""
        if origin.provenance == "modelled":
            return "modelled"
        if origin.provenance == "derived":
            return "modelled" if (origin.file, origin.line) in self._modelled else "derived"
        return "written"

    def object(self, item: KubeObject | None) -> Seen:
        """How an object was seen; ``missing`` for None."""
        return "missing" if item is None else self.origin(item.origin)

    @cached_property
    def workloads(self) -> Mapping[str, Seen]:
        """Workload id to how it was seen."""
        return {item.id: self.origin(item.object.origin) for item in self.platform.workloads}

    @cached_property
    def namespaces(self) -> Mapping[str, Seen]:
        """Namespace to the least certain of its workloads: a sum over the namespace is no surer than that."""
        found: dict[str, list[Seen]] = {}
        for item in self.platform.workloads:
            found.setdefault(item.namespace, []).append(self.workloads[item.id])
        return {name: least(seen) for name, seen in found.items()}

    @cached_property
    def whole(self) -> Seen:
        """The least certain of all workloads."""
        return least(self.workloads.values())

    def node(self, node: str) -> Seen:
        """How the object behind a node id of the graph ("Kind namespace/name") was seen."""
        kind, _, place = node.partition(" ")
        namespace, slash, name = place.partition("/")
        return self.object(self.platform.get(kind, namespace, name) if slash else self.platform.get(kind, "", place))

    @cached_property
    def hidden(self) -> Hidden:
        """What is not in any number."""
        return hidden(self.platform.rendered.missing)


@dataclass(frozen=True)
class Hidden:
    """What is in no number: a lower bound.

    charts: releases that are neither rendered nor modelled. workloads: what these run at the least. modelled: releases
    that the catalogue stands in for, which may run more. others: files, plugins and the like, of which nobody
    can say how many objects they hold.
    """

    charts: int = 0
    workloads: int = 0
    modelled: int = 0
    others: int = 0

    def __bool__(self) -> bool:
        return bool(self.charts or self.modelled or self.others)

    def __str__(self) -> str:
        """One sentence for below a table; empty when nothing is hidden."""
        parts = []
        if self.charts:
            parts.append(
                f"At least {_count(self.workloads, 'workload')} of {_count(self.charts, 'chart')} "
                f"{'is' if self.workloads == 1 else 'are'} not in these numbers"
            )
        if self.modelled:
            what = f"{_count(self.modelled, 'chart')} {'is' if self.modelled == 1 else 'are'} modelled and may run more"
            parts.append(what)
        if self.others:
            verb = "was" if self.others == 1 else "were"
            parts.append(f"{_count(self.others, 'file or plugin', 'files or plugins')} {verb} not read")
        return "; ".join(parts) + "." if parts else ""


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def hidden(missing: Iterable[Missing]) -> Hidden:
    """The lower bound of what a list of missing things hides.

    A release of a chart that nobody could read runs one workload at the least, unless its name says that the chart
    holds only custom resource definitions.
    """
    charts = workloads = modelled = others = 0
    for item in missing:
        if item.kind != "chart":
            others += 1
        elif item.modelled:
            modelled += 1
        else:
            charts += 1
            workloads += not item.what.partition(" ")[0].lower().endswith(("-crds", "-crd"))
    return Hidden(charts, workloads, modelled, others)
