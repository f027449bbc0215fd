"""The finished report: plain frozen data that every renderer reads and none computes.

The JSON form of :class:`Report` is the tool's stable interface (``SCHEMA``); HTML, Markdown and CSV are views of it.
Tables are declared once in :data:`TABLES` (name, unit and meaning of every column).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

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

SUBJECTS = {"survival": "route", "missing": "what"}
"""The column that names the subject of a row, of tables where it is not the first."""


@dataclass(frozen=True)
class Verdict:
    """The answer, in words. ``status``: pass (all objectives hold), warn (they hold, with risks), fail."""

    status: Literal["pass", "warn", "fail"]
    headline: str
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True)
class ThresholdResult:
    """A threshold of the scenario in k6's form, what was observed, and whether it held."""

    metric: str
    expression: str
    observed: float | None
    passed: bool


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


def _columns(*declared: tuple[str, str, ColumnType, str]) -> tuple[Column, ...]:
    return (*(Column(*column) for column in declared), SEEN)


TABLES: dict[str, tuple[str, tuple[Column, ...]]] = {
    "nodes": (
        "Nodes",
        _columns(
            ("node", "Node", "text", "node name"),
            ("machine", "Machine", "text", "machine of the hardware catalogue"),
            ("role", "Role", "text", "server (control plane) or agent"),
            ("pods", "Pods", "integer", "pods placed on the node"),
            ("cpu_allocatable_m", "CPU", "millicores", "allocatable CPU"),
            ("cpu_requests_m", "CPU requests", "millicores", "sum of effective requests of its pods"),
            ("cpu_limits_m", "CPU limits", "millicores", "sum of effective limits of its pods that set one"),
            ("cpu_used", "CPU used", "estimate_ratio", "simulated mean use, share of the node"),
            ("cpu_peak", "CPU peak", "ratio", "highest simulated use in any interval of the time series"),
            ("memory_allocatable_b", "Memory", "bytes", "allocatable memory"),
            ("memory_requests_b", "Memory requests", "bytes", "sum of effective requests"),
            ("memory_limits_b", "Memory limits", "bytes", "sum of effective limits of its pods that set one"),
            ("memory_peak_b", "Memory peak", "bytes", "highest simulated use"),
            ("watts", "Power", "number", "mean draw in watts at the simulated use"),
        ),
    ),
    "namespaces": (
        "Namespaces",
        _columns(
            ("namespace", "Namespace", "text", "namespace"),
            ("pods", "Pods", "integer", "pods at rest"),
            ("cpu_requests_m", "CPU requests", "millicores", "sum of effective requests"),
            ("cpu_limits_m", "CPU limits", "millicores", "sum of effective limits of pods that set one"),
            ("cpu_used_m", "CPU used", "millicores", "simulated mean use"),
            ("memory_requests_b", "Memory requests", "bytes", "sum of effective requests"),
            ("memory_limits_b", "Memory limits", "bytes", "sum of effective limits of pods that set one"),
            ("memory_peak_b", "Memory peak", "bytes", "highest simulated use"),
            ("storage_b", "Storage claimed", "bytes", "sum of claims"),
        ),
    ),
    "quotas": (
        "Quota head-room",
        _columns(
            ("namespace", "Namespace", "text", "namespace"),
            ("quota", "Quota", "text", "ResourceQuota"),
            ("key", "Resource", "text", "quota key"),
            ("hard", "Hard", "text", "limit, as Kubernetes prints it"),
            ("used_rest", "At rest", "text", "used when everything runs and nothing changes"),
            ("used_peak", "At peak", "text", "used at the largest single rollout"),
            ("peak_workload", "Largest rollout", "text", "the workload whose rollout makes the peak"),
            ("headroom", "Head-room", "ratio", "share of the limit that is free at peak; negative: it does not fit"),
            ("verdict", "Verdict", "text", "fits, tight, rollout refused or restart refused"),
        ),
    ),
    "routes": (
        "Routes",
        _columns(
            ("route", "Route", "text", "host and path"),
            ("backend", "Backend", "text", "service behind it"),
            ("rate_rps", "Requests/s", "number", "mean arrival rate in the measured time"),
            ("availability", "Availability", "estimate_ratio", "share of requests served or degraded"),
            ("outage_s", "Outage", "estimate_s", "time in which no request could be served, per replication"),
            ("p50_s", "p50", "estimate_s", "median latency of served requests"),
            ("p95_s", "p95", "estimate_s", "95th percentile"),
            ("p99_s", "p99", "estimate_s", "99th percentile"),
            ("served", "Served", "integer", "requests served, all replications"),
            ("degraded", "Degraded", "integer", "served without a soft dependency"),
            ("denied", "Denied", "integer", "403 by an auth middleware"),
            ("rate_limited", "Rate limited", "integer", "429 by a middleware"),
            ("failed", "Failed", "integer", "refused, timed out, reset or no endpoint"),
            ("objective", "Objective", "text", "the route's objectives and whether they held"),
        ),
    ),
    "failures": (
        "Failed requests by cause",
        _columns(
            ("route", "Route", "text", "host and path"),
            ("refused", "Refused", "integer", "a listen queue was full"),
            ("timed_out", "Timed out", "integer", "the client gave up"),
            ("reset", "Connection reset", "integer", "the pod serving it died"),
            ("no_endpoint", "No endpoint", "integer", "no ready pod behind a service"),
            ("edge", "Edge error", "integer", "the home connection or the load balancer address did not answer"),
        ),
    ),
    "survival": (
        "Losing each node in turn",
        _columns(
            ("node", "Lost node", "text", "the node that dies and does not return within the horizon"),
            ("route", "Route", "text", "host and path, or a workload without a route"),
            ("outage_s", "Outage", "seconds", "time without service; empty: until the node returns"),
            ("until_return", "Until return", "boolean", "whether it stays down until the node is back"),
            ("cause", "Cause", "text", "the timer or the pin that decides it"),
            ("pending", "Stays pending", "text", "pods that find no place, with the scheduler's sentence"),
        ),
    ),
    "outages": (
        "Outages in this scenario",
        _columns(
            ("route", "Route", "text", "host and path"),
            ("start_s", "From", "seconds", "seconds after the warm-up, first replication"),
            ("duration_s", "For", "seconds", "length"),
            ("cause", "Cause", "text", "the chain of events and timers behind it"),
        ),
    ),
    "sizing": (
        "Sizing per container",
        _columns(
            ("workload", "Workload", "text", "workload"),
            ("container", "Container", "text", "container"),
            ("replicas", "Replicas", "integer", "pods"),
            ("cpu_request_m", "CPU request", "millicores", "as written; empty: unset"),
            ("cpu_limit_m", "CPU limit", "millicores", "as written; empty: unset"),
            ("cpu_used_m", "CPU mean", "millicores", "simulated mean use per pod"),
            ("cpu_p95_m", "CPU p95", "millicores", "95th percentile of simulated use per interval"),
            ("throttled", "Throttled", "ratio", "share of CFS periods in which it was throttled"),
            ("cpu_proposal_m", "Proposed request", "millicores", "right-sized CPU request"),
            ("memory_request_b", "Memory request", "bytes", "as written; empty: unset"),
            ("memory_limit_b", "Memory limit", "bytes", "as written; empty: unset"),
            ("memory_peak_b", "Memory peak", "bytes", "highest simulated use"),
            ("memory_proposal_b", "Proposed memory", "bytes", "right-sized memory request and limit"),
            ("basis", "Basis", "text", "where the demand comes from: measured, published or assumed"),
        ),
    ),
    "growth": (
        "How much more load fits",
        _columns(
            ("load", "Load", "number", "multiple of today's load"),
            ("objective", "First objective at risk", "text", "the objective with the least slack at that load"),
            ("observed", "Observed", "text", "its value"),
            ("held", "Held", "boolean", "whether all objectives held"),
            ("bottleneck", "Busiest resource", "text", "the resource with the highest utilisation"),
            ("utilisation", "Utilisation", "ratio", "of that resource"),
        ),
    ),
    "rollouts": (
        "Rollouts",
        _columns(
            ("workload", "Workload", "text", "workload"),
            ("strategy", "Strategy", "text", "strategy, surge and unavailable after rounding"),
            ("verdict", "Verdict", "text", "completes, or stuck"),
            ("duration_s", "Duration", "seconds", "time until complete"),
            ("reason", "Reason", "text", "the API server's or scheduler's sentence when it is stuck"),
        ),
    ),
    "storage": (
        "Claims",
        _columns(
            ("claim", "Claim", "text", "namespace/name"),
            ("storage_class", "Class", "text", "storage class"),
            ("size_b", "Size", "bytes", "requested"),
            ("node", "Pinned to", "text", "the node that holds the volume, when it is local"),
            ("used_by", "Used by", "text", "workloads that mount it"),
            ("backup", "Backup", "text", "what backs it up"),
            ("rpo_s", "Data at risk", "seconds", "age of the newest copy in the worst case; empty: no copy"),
        ),
    ),
    "pods": (
        "Pods",
        _columns(
            ("pod", "Pod", "text", "namespace/name"),
            ("workload", "Workload", "text", "owner"),
            ("node", "Node", "text", "where it was placed; empty: nowhere"),
            ("qos", "QoS", "text", "QoS class"),
            ("priority", "Priority", "integer", "priority value"),
            ("cpu_request_m", "CPU", "millicores", "effective request"),
            ("memory_request_b", "Memory", "bytes", "effective request"),
            ("state", "State", "text", "placed, pending or refused"),
            ("message", "Message", "text", "the API server's or scheduler's sentence"),
        ),
    ),
    "missing": (
        "Not seen",
        _columns(
            ("kind", "Kind", "text", "chart, remote, plugin, repository or generator"),
            ("what", "What", "text", "what the tree asks for"),
            ("where", "Where", "text", "file and line"),
            ("reason", "Why", "text", "why it could not be had"),
            ("modelled", "Modelled", "boolean", "whether the chart catalogue stands in for it"),
            ("hides", "What it hides", "text", "a lower bound of what is not in this report"),
        ),
    ),
}
"""Every table a report may hold: title and columns. A run leaves out the tables it has nothing for."""


def make_table(
    name: str,
    rows: Sequence[dict[str, Any] | tuple[Cell, ...]],
    seen: Sequence[Seen],
    note: str = "",
    hidden: str = "",
) -> Table:
    """A declared table filled with ``rows``: tuples in column order, or dicts by column name, without ``seen``.

    ``seen``: how the subject of each row is known. ``hidden``: what is in none of the numbers, as a lower bound.
    Raises KeyError for an undeclared table, ValueError for a row that does not have exactly the declared columns or
    when there is not one ``seen`` per row.
    """
    title, columns = TABLES[name]
    names = [column.name for column in columns if column != SEEN]
    if len(seen) != len(rows):
        raise ValueError(f"table {name}: {len(seen)} marks for {len(rows)} rows")
    filled: list[tuple[Cell, ...]] = []
    for row, mark in zip(rows, seen, strict=True):
        if isinstance(row, dict):
            if set(row) != set(names):
                raise ValueError(f"table {name}: {sorted(set(row) ^ set(names))} do not match its columns")
            filled.append((*(row[column] for column in names), mark))
        elif len(row) != len(names):
            raise ValueError(f"table {name}: a row of {len(row)} cells for {len(names)} columns")
        else:
            filled.append((*row, mark))
    return Table(name, title, columns, tuple(filled), note, hidden)
