"""Where the time of the slowest requests went: from an exemplar's visits to exclusive times per station."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from sim.measures import Exemplar, Hop
from sim.program import Outcome
from sim.study import Results, Study

PER_ROUTE = 3
"""How many requests of a route are told."""


@dataclass(frozen=True)
class StationTime:
    """What one pod contributed to a latency (seconds), not counting what it waited for other pods.

    ``queue_s``: in its listen queue. ``work_s``: on a worker: CPU, held back by CFS, disk, transfers, round trips.
    """

    pod: str
    visits: int
    queue_s: float
    work_s: float


@dataclass(frozen=True)
class SlowRequest:
    """One request: when (seconds after the warm-up), in which replication, how long, how it ended, where it was.

    ``outside_s`` was spent in no pod: round trips, transfers to the client, back-off, visits that never ended. The
    parts add up to ``latency_s``.
    """

    route: str
    operation: str
    replication: int
    at_s: float
    latency_s: float
    outcome: Outcome
    attempts: int
    outside_s: float
    stations: tuple[StationTime, ...]

    @property
    def queue_s(self) -> float:
        """Time in listen queues."""
        return sum(station.queue_s for station in self.stations)

    @property
    def work_s(self) -> float:
        """Time on workers."""
        return sum(station.work_s for station in self.stations)


def slowest_requests(study: Study, results: Results) -> list[SlowRequest]:
    """The ``PER_ROUTE`` slowest requests of every route over all replications, slowest first."""
    program = study.compiled.program
    kept: dict[int, list[SlowRequest]] = {}
    found = [(exemplar, item) for item in results.replications for exemplar in item.measures.exemplars]
    for exemplar, item in sorted(found, key=lambda pair: (-pair[0].latency, pair[1].index, pair[0].arrived)):
        route, operation = item.measures.series[exemplar.series]
        if len(kept.setdefault(route, [])) == PER_ROUTE:
            continue
        outside, stations = breakdown(exemplar, item.measures.pod_names)
        kept[route].append(
            SlowRequest(
                program.routes[route],
                program.operations[operation].name,
                item.index,
                exemplar.arrived - item.measures.start,
                exemplar.latency,
                exemplar.outcome,
                exemplar.attempts,
                outside,
                stations,
            )
        )
    return sorted((one for group in kept.values() for one in group), key=lambda one: -one.latency_s)


def breakdown(exemplar: Exemplar, names: Sequence[str]) -> tuple[float, tuple[StationTime, ...]]:
    """The time in no pod, and the exclusive time per pod in the order in which the request reached them.

    Every instant belongs to the visit under way that began last: the one that the others wait for.
    """
    begin, end = exemplar.arrived, exemplar.arrived + exemplar.latency
    hops = sorted(exemplar.hops, key=lambda hop: (hop.arrived, -hop.ended))
    instants = sorted(
        {begin, end, *(t for hop in hops for t in (hop.arrived, hop.started, hop.ended) if begin < t < end)}
    )
    outside = 0.0
    queue = dict.fromkeys((hop.pod for hop in hops), 0.0)
    work = dict(queue)
    for start, stop in pairwise(instants):
        deepest = _under_way(hops, start, stop)
        if deepest is None:
            outside += stop - start
        elif stop <= deepest.started:
            queue[deepest.pod] += stop - start
        else:
            work[deepest.pod] += stop - start
    visits = Counter(hop.pod for hop in hops)
    return outside, tuple(StationTime(names[pod], visits[pod], queue[pod], work[pod]) for pod in queue)


def _under_way(hops: Sequence[Hop], start: float, stop: float) -> Hop | None:
    return next((hop for hop in reversed(hops) if hop.arrived <= start and stop <= hop.ended), None)
