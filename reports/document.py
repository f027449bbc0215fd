"""The finished report: plain frozen data that every renderer reads and none computes.

The JSON form of :class:`Report` is the tool's stable interface (``SCHEMA``); HTML, Markdown and CSV are views of it.
Tables are declared once in :data:`reports.declared.TABLES` (name, unit and meaning of every column).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from models.findings import Finding
from models.sight import LEGEND, MARKS, Seen

SCHEMA = "stowplan/report/v1"

ColumnType = Literal[
    "text", "integer", "number", "ratio", "seconds", "millicores", "bytes", "boolean", "estimate_ratio", "estimate_s"
]
"""How a cell is to be read. ``estimate_*`` cells are :class:`Estimate`; every cell may be None: unknown or unset."""


@dataclass(frozen=True)
class Estimate:
    """A sampled quantity: mean and confidence interval over ``n`` independent replications.

    ``note`` says when the interval deserves caution ("p99 from 120 requests").
    """

    mean: float
    low: float
    high: float
    n: int
    note: str = ""


Cell = str | int | float | bool | None | Estimate


@dataclass(frozen=True)
class Column:
    """One column of a table: its key in JSON and CSV, its heading, its type (which implies the unit), its meaning."""

    name: str
    title: str
    type: ColumnType
    meaning: str


@dataclass(frozen=True)
class Table:
    """A table with declared columns. ``rows`` hold one cell per column, in the order a person should read them.

    ``hidden`` says in one line what is in none of its numbers: a lower bound, "" when everything was read.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    hidden: str = ""

    @property
    def shown(self) -> tuple[Column, ...]:
        """The columns that people read: ``seen`` is a mark behind the subject instead."""
        return tuple(column for column in self.columns if column != SEEN)

    def marked_rows(self) -> Iterator[tuple[str, tuple[Cell, ...]]]:
        """For each row how its subject was seen ("" when the table does not say), and the cells of ``shown``."""
        at = self.columns.index(SEEN) if SEEN in self.columns else None
        for row in self.rows:
            yield ("", row) if at is None else (str(row[at]), (*row[:at], *row[at + 1 :]))

    @property
    def subject(self) -> int:
        """Which cell of ``shown`` names the subject of a row and carries its mark."""
        name = SUBJECTS.get(self.name)
        return next((at for at, column in enumerate(self.shown) if column.name == name), 0)

    @property
    def legend(self) -> tuple[str, ...]:
        """What the marks in this table mean, a line each."""
        used = {seen for seen, _ in self.marked_rows()}
        return tuple(f"{mark} {LEGEND[seen]}" for seen, mark in MARKS.items() if seen in used)


SEEN = Column(
    "seen",
    "Seen",
    "text",
    "how the subject of the row, or the least certain part of it, is known: written, derived, modelled or missing",
)
"""The last column of every declared table."""

SUBJECTS = {"survival": "route", "missing": "what", "accepted": "subject"}
"""The column that names the subject of a row, of tables where it is not the first."""


@dataclass(frozen=True)
class Verdict:
    """The answer, in words. ``status``: pass (all objectives hold), warn (they hold, with risks), fail."""

    status: Literal["pass", "warn", "fail"]
    headline: str
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True)
class ThresholdResult:
    """A threshold of the scenario in k6's form, what was observed, and whether it held.

    ``note`` says when what was observed deserves caution ("p99 from fewer than 300 samples").
    """

    metric: str
    expression: str
    observed: float | None
    passed: bool
    note: str = ""


@dataclass(frozen=True)
class Event:
    """Something that happened on the platform in the replication that is shown. ``t`` is seconds after the warm-up."""

    t: float
    kind: str
    subject: str
    message: str
    cause: str = ""
    severity: Literal["info", "warning", "error"] = "info"
    seen: Seen = "written"


LaneState = Literal["pending", "starting", "ready", "unready", "terminating", "lost"]


@dataclass(frozen=True)
class LaneSegment:
    """A pod in one state on one node from ``start`` to ``end`` (seconds after the warm-up)."""

    start: float
    end: float
    node: str
    state: LaneState


@dataclass(frozen=True)
class Lane:
    """The life of one pod, for the picture of pods moving. Pods of one workload follow each other."""

    workload: str
    pod: str
    segments: tuple[LaneSegment, ...]
    seen: Seen = "written"


@dataclass(frozen=True)
class Series:
    """A curve over time: ``x`` seconds after the warm-up, ``y`` in ``unit``; ``low``/``high`` an interval or empty.

    ``chart`` groups curves that belong in one picture: availability, latency, requests, node-cpu, node-memory, quota.
    """

    chart: str
    name: str
    unit: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class TopologyNode:
    """A node of the topology picture. ``layer`` orders it from the edge (0) to the data (last)."""

    id: str
    label: str
    kind: str
    layer: int
    namespace: str = ""
    status: Literal["ok", "risk", "down"] = "ok"


@dataclass(frozen=True)
class TopologyEdge:
    """An edge of the topology picture: a dependency, hard, soft or at start-up only."""

    source: str
    target: str
    kind: str
    strength: Literal["hard", "soft", "startup"] = "hard"


@dataclass(frozen=True)
class Topology:
    """The part of the graph that a person wants to see: routes, services, workloads, data."""

    nodes: tuple[TopologyNode, ...] = ()
    edges: tuple[TopologyEdge, ...] = ()


@dataclass(frozen=True)
class Assumption:
    """A figure that was not measured on this platform: key, value with unit, source, and how sure it is.

    ``sensitivity`` says in words what the verdict does when the figure is wrong, "" when that was not examined.
    """

    key: str
    value: str
    source: str
    confidence: str
    sensitivity: str = ""


@dataclass(frozen=True)
class Reproduce:
    """What makes the same report again."""

    command: str
    version: str
    tree_sha256: str
    scenario_sha256: str
    seed: int
    replications: int


@dataclass(frozen=True)
class Report:
    """Everything that a run found out."""

    name: str
    title: str
    description: str
    verdict: Verdict
    thresholds: tuple[ThresholdResult, ...] = ()
    findings: tuple[Finding, ...] = ()
    tables: tuple[Table, ...] = ()
    timeline: tuple[Event, ...] = ()
    lanes: tuple[Lane, ...] = ()
    series: tuple[Series, ...] = ()
    topology: Topology = field(default_factory=Topology)
    assumptions: tuple[Assumption, ...] = ()
    not_covered: tuple[str, ...] = ()
    reproduce: Reproduce = field(default_factory=lambda: Reproduce("", "", "", "", 0, 0))

    def table(self, name: str) -> Table | None:
        """The table of that name, or None when this run has nothing for it."""
        return next((table for table in self.tables if table.name == name), None)
