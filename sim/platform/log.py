"""What a platform simulation leaves behind: events, lanes of pods, availability of routes, quotas, rollouts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["info", "warning", "error"]
LaneState = Literal["pending", "starting", "ready", "unready", "terminating", "lost"]
RouteState = Literal["up", "degraded", "down"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. ``t``: seconds after the warm-up; ``cause``: the chain that led to it, "" for a root."""

    t: float
    kind: str
    subject: str
    message: str
    cause: str = ""
    severity: Severity = "info"


@dataclass(frozen=True, slots=True)
class Segment:
    """A pod in one state on one node ("" when it has none) from ``start`` to ``end``."""

    start: float
    end: float
    node: str
    state: LaneState


@dataclass(frozen=True, slots=True)
class PodLane:
    """The life of one pod as segments without gaps. ``pod`` is namespace/name."""

    pod: str
    workload: str
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Outage:
    """A maximal time in which a route served nobody (``availability`` 0) or only a share of its requests.

    ``end`` is None when it lasts beyond the simulated time; ``cause`` is the deciding chain of events and timers.
    """

    start: float
    end: float | None
    cause: str
    availability: float = 0.0


@dataclass(frozen=True)
class RouteLog:
    """Reachability of one route: ``steps`` are (time, availability in 0..1), each valid until the next.

    ``outages``: times without any service; ``degradations``: times in which a share of requests failed, or in which a
    soft dependency was missing (availability 1 then).
    """

    route: str
    steps: tuple[tuple[float, float], ...]
    outages: tuple[Outage, ...] = ()
    degradations: tuple[Outage, ...] = ()

    def mean(self, start: float, end: float) -> float:
        """Mean availability from ``start`` to ``end`` (seconds); 1.0 for an empty interval."""
        if end <= start:
            return 1.0
        total = 0.0
        for position, (begin, value) in enumerate(self.steps):
            stop = self.steps[position + 1][0] if position + 1 < len(self.steps) else end
            total += value * max(0.0, min(stop, end) - max(begin, start))
        return total / (end - start)

    def down_s(self, until: float) -> float:
        """Seconds without any service from 0, the end of the warm-up, to ``until``."""
        return sum(max(0.0, min(until if o.end is None else o.end, until) - max(o.start, 0.0)) for o in self.outages)


@dataclass(frozen=True, slots=True)
class QuotaSample:
    """Use of one quota key from ``t`` on, as Kubernetes prints amounts."""

    t: float
    namespace: str
    quota: str
    key: str
    used: str
    hard: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Pods of a workload that the API server refused with one message: first and last attempt, and how many."""

    workload: str
    message: str
    first: float
    last: float
    count: int


@dataclass(frozen=True, slots=True)
class RolloutLog:
    """A rollout or rollback: ``complete``, ``stuck`` (with the reason), ``superseded`` by another, or ``running``."""

    workload: str
    start: float
    verdict: Literal["complete", "stuck", "superseded", "running"]
    duration_s: float | None
    reason: str = ""


@dataclass(frozen=True)
class PlatformLog:
    """Everything that one replication of the platform did, up to ``until``."""

    until: float
    events: tuple[Event, ...] = ()
    pod_lanes: tuple[PodLane, ...] = ()
    routes: Mapping[str, RouteLog] = field(default_factory=dict)
    quota_usage: tuple[QuotaSample, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    rollouts: tuple[RolloutLog, ...] = ()
    pending: Mapping[str, str] = field(default_factory=dict)
    """Pods that have no node at the end, namespace/name to the scheduler's or API server's sentence."""


@dataclass(frozen=True, slots=True)
class Story:
    """The chain behind a pod's state: a root cause and the waits that followed, each with its length.

    ``at`` is when the last step ended; ``steps`` are finished phrases such as ``image pull 21 s``.
    """

    root: str
    at: float
    steps: tuple[str, ...] = ()

    def then(self, label: str, now: float, note: str = "") -> Story:
        """The story with one more wait, from the end of the last one to ``now``; waits under 50 ms are not told."""
        length = now - self.at
        if length < 0.05:
            return Story(self.root, now, self.steps)
        phrase = f"{label} {seconds(length)}" + (f" ({note})" if note else "")
        return Story(self.root, now, (*self.steps, phrase))

    def __str__(self) -> str:
        return f"{self.root} -> {' + '.join(self.steps)}" if self.steps else self.root


def seconds(length: float) -> str:
    """A length of time for people: tenths below 10 s, whole seconds above."""
    return f"{length:.1f} s" if length < 9.95 else f"{length:.0f} s"


class Recorder:
    """Collects the log while the simulation runs. With ``detail`` off only routes and totals are kept."""

    def __init__(self, *, detail: bool = True) -> None:
        self.detail = detail
        self.events: list[Event] = []
        self.rollouts: list[RolloutLog] = []
        self._lanes: dict[tuple[str, int], tuple[str, list[Segment]]] = {}
        self._open: dict[tuple[str, int], tuple[float, str, LaneState]] = {}
        self._quota: list[QuotaSample] = []
        self._refusals: dict[tuple[str, str], Refusal] = {}

    def event(
        self, t: float, kind: str, subject: str, message: str, cause: object = "", severity: Severity = "info"
    ) -> None:
        """Write an event down."""
        if self.detail:
            self.events.append(Event(t, kind, subject, message, str(cause), severity))

    def lane(self, t: float, pod: str, uid: int, workload: str, node: str, state: LaneState | None) -> None:
        """A pod enters a state, or leaves the platform (None)."""
        if not self.detail:
            return
        key = (pod, uid)
        segments = self._lanes.setdefault(key, (workload, []))[1]
        before = self._open.pop(key, None)
        if before is not None:
            if before[1:] == (node, state):
                self._open[key] = before
                return
            if t > before[0]:
                segments.append(Segment(before[0], t, before[1], before[2]))
        if state is not None:
            self._open[key] = (t, node, state)

    def quota(self, sample: QuotaSample) -> None:
        """The use of a quota key changed."""
        if self.detail:
            self._quota.append(sample)

    def refusal(self, t: float, workload: str, message: str) -> bool:
        """Count a refused pod; true when this message is new for the workload."""
        key = (workload, message)
        known = self._refusals.get(key)
        self._refusals[key] = Refusal(
            workload, message, known.first if known else t, t, known.count + 1 if known else 1
        )
        return known is None

    def finish(self, until: float, routes: Mapping[str, RouteLog], pending: Mapping[str, str]) -> PlatformLog:
        """The finished log; lanes that are still open end at ``until``."""
        lanes = []
        for key, (workload, segments) in self._lanes.items():
            still = self._open.get(key)
            if still is not None and until > still[0]:
                segments = [*segments, Segment(still[0], until, still[1], still[2])]
            if segments:
                lanes.append(PodLane(key[0], workload, tuple(segments)))
        return PlatformLog(
            until=until,
            events=tuple(self.events),
            pod_lanes=tuple(lanes),
            routes=routes,
            quota_usage=tuple(self._quota),
            refusals=tuple(self._refusals.values()),
            rollouts=tuple(self.rollouts),
            pending=pending,
        )
