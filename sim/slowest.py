"""Where the time of the slowest requests went: from an exemplar's visits to exclusive times per station."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from sim.measures import Exemplar, Hop, Parts
from sim.program import Outcome
from sim.streams import stream_operations
from sim.study import Results, Study

PER_ROUTE = 3
"""How many requests of a route are told."""


@dataclass(frozen=True)
class Shares:
    """Where time on a worker went, in seconds.

    ``cpu_s``: work, as long as it takes alone. ``core_s``: runnable, without a core or with part of one.
    ``throttled_s``: held back by CFS bandwidth control. ``disk_s``, ``network_s``: in queues and transfers.
    ``other_s``: what needs no modelled resource (external services, round trips, streams).
    """

    cpu_s: float = 0.0
    core_s: float = 0.0
    throttled_s: float = 0.0
    disk_s: float = 0.0
    network_s: float = 0.0
    other_s: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return float(sum(vars(self).values()))

    def __add__(self, other: Shares) -> Shares:
        return Shares(**{name: value + getattr(other, name) for name, value in vars(self).items()})


@dataclass(frozen=True)
class StationTime:
    """What one pod contributed to a latency (seconds), not counting what it waited for other pods.

    ``queue_s``: in its listen queue. ``work``: on a worker.
    """

    pod: str
    visits: int
    queue_s: float
    work: Shares


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
    def work(self) -> Shares:
        """Time on workers."""
        return sum((station.work for station in self.stations), Shares())


def slowest_requests(study: Study, results: Results) -> list[SlowRequest]:
    """The ``PER_ROUTE`` slowest requests of every route over all replications, slowest first.

    Streams are none of them: they last as long as somebody watches.
    """
    program = study.compiled.program
    streams = stream_operations(program)
    kept: dict[int, list[SlowRequest]] = {}
    found = [(exemplar, item) for item in results.replications for exemplar in item.measures.exemplars]
    for exemplar, item in sorted(found, key=lambda pair: (-pair[0].latency, pair[1].index, pair[0].arrived)):
        route, operation = item.measures.series[exemplar.series]
        if operation in streams:
            continue
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
    queue, work = [0.0] * len(hops), [0.0] * len(hops)
    for start, stop in pairwise(instants):
        deepest = _under_way(hops, start, stop)
        if deepest is None:
            outside += stop - start
        else:
            (queue if stop <= hops[deepest].started else work)[deepest] += stop - start
    stations: dict[int, StationTime] = {}
    for number, hop in enumerate(hops):
        earlier = stations.get(hop.pod, StationTime(names[hop.pod], 0, 0.0, Shares()))
        spent = earlier.work + shares_of(hop.parts, work[number])
        stations[hop.pod] = replace(
            earlier, visits=earlier.visits + 1, queue_s=earlier.queue_s + queue[number], work=spent
        )
    return outside, tuple(stations.values())


def shares_of(parts: Parts, whole: float) -> Shares:
    """A visit's time on its worker, ``whole`` of which counts for the request.

    More was measured than counts when a visit went on beside one that it did not wait for: then each part counts less.
    """
    measured = parts.cpu + parts.throttled + parts.disk + parts.network
    share = min(whole / measured, 1.0) if measured > 0.0 else 0.0
    work = min(parts.work, parts.cpu)
    return Shares(
        cpu_s=share * work,
        core_s=share * (parts.cpu - work),
        throttled_s=share * parts.throttled,
        disk_s=share * parts.disk,
        network_s=share * parts.network,
        other_s=max(whole - share * measured, 0.0),
    )


def _under_way(hops: Sequence[Hop], start: float, stop: float) -> int | None:
    """The number of the visit that began last of those under way."""
    found = (number for number in reversed(range(len(hops))) if hops[number].arrived <= start)
    return next((number for number in found if stop <= hops[number].ended), None)
