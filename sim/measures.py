"""What a run measured, in arrays that add up over replications.

Latency histograms have 64 linear buckets per power of two (the layout of HdrHistogram), so that a bucket's middle is
within 1/128 < 1 % of every value in it. Time series use 8 per power of two (6.25 %). Both cover 0.5 us (2^-21 s) to
9 h (2^15 s); outside, the first and last bucket take everything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sim.program import Outcome, Program

SUB_BUCKETS = 64
COARSE_SUB_BUCKETS = 8
LOWEST_EXPONENT = -20
OCTAVES = 36
BUCKETS = SUB_BUCKETS * OCTAVES
COARSE_BUCKETS = COARSE_SUB_BUCKETS * OCTAVES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def bucket_of(value: float, sub_buckets: int = SUB_BUCKETS) -> int:
    """Index of the bucket that holds ``value`` (seconds, >= 0)."""
    if value <= 0.0:
        return 0
    mantissa, exponent = math.frexp(value)
    index = (exponent - LOWEST_EXPONENT) * sub_buckets + int((mantissa - 0.5) * (2 * sub_buckets))
    return min(max(index, 0), sub_buckets * OCTAVES - 1)


def bucket_middles(sub_buckets: int = SUB_BUCKETS) -> Floats:
    """The middle of every bucket in seconds."""
    index = np.arange(sub_buckets * OCTAVES)
    mantissa = 0.5 + (index % sub_buckets + 0.5) / (2 * sub_buckets)
    return np.ldexp(mantissa, index // sub_buckets + LOWEST_EXPONENT)


def histogram_quantile(histogram: NDArray[np.integer], q: float) -> float:
    """The value below which the share ``q`` of the counts lies (nearest rank), nan for an empty histogram."""
    total = int(histogram.sum())
    if not total:
        return math.nan
    rank = min(max(math.ceil(q * total), 1), total)
    sub_buckets = len(histogram) // OCTAVES
    return float(bucket_middles(sub_buckets)[int(np.searchsorted(np.cumsum(histogram), rank))])


@dataclass(frozen=True)
class Parts:
    """Where the time of a visit on its worker went, in seconds; the rest it waited, streamed or called others.

    ``cpu``: running or waiting for a core, of which ``work`` is what its CPU work takes alone on an idle node;
    ``throttled``: held back by CFS bandwidth control; ``disk`` and ``network``: in queues and transfers.
    """

    cpu: float = 0.0
    work: float = 0.0
    throttled: float = 0.0
    disk: float = 0.0
    network: float = 0.0


@dataclass(frozen=True)
class Hop:
    """One visit of a request to a pod: arrival, begin of service, end (seconds), and where the time went."""

    pod: int
    operation: int
    arrived: float
    started: float
    ended: float
    parts: Parts = Parts()


@dataclass(frozen=True)
class Exemplar:
    """One of the slowest requests of a route, with the 24 longest of the visits that ended while it was under way.

    With more than 16,384 requests under way the visits of those that come are not noted.
    """

    series: int
    arrived: float
    latency: float
    outcome: Outcome
    attempts: int
    hops: tuple[Hop, ...]


@dataclass(frozen=True)
class EngineMeasures:
    """Counts and integrals between ``start`` and ``end``. Only requests that arrived after ``start`` are counted.

    Axes: S series (route, operation), R routes, P pod slots, N nodes, L links, V services, B bins.
    """

    program: Program
    start: float
    end: float
    replications: int
    series: tuple[tuple[int, int], ...]
    pod_names: tuple[str, ...]

    arrived: Ints
    """[S] requests that arrived."""
    outcomes: Ints
    """[S, 9] requests that ended, by :class:`Outcome`."""
    in_flight: Ints
    """[S] arrived and not ended: arrived = outcomes.sum(1) + in_flight."""
    edge_hits: Ints
    """[S] of the served ones, how many the edge cache answered."""
    attempts: Ints
    """[S] attempts of clients, retries included."""
    latency: Ints
    """[S, 2, BUCKETS] histogram of the time from arrival to end: successes, failures."""
    latency_sum: Floats
    """[S] total latency of the successes (s)."""
    latency_squares: Floats
    """[S] sum of squares of the latencies of the successes (s^2)."""

    bin_arrived: Ints
    """[R, B] arrivals."""
    bin_served: Ints
    """[R, B] successes, by the time of their end."""
    bin_failed: Ints
    """[R, B] failures, by the time of their end."""
    bin_latency: NDArray[np.int32]
    """[R, B, COARSE_BUCKETS] latency of the successes, by the time of their end."""

    pod_visits: Ints
    """[P] requests that reached the pod and were accepted."""
    pod_refused: Ints
    """[P] connections refused by the pod."""
    pod_busy_s: Floats
    """[P] integral of the number of busy workers (s)."""
    pod_queue_s: Floats
    """[P] integral of the number of waiting requests (s)."""
    pod_queue_max: Ints
    """[P] most requests waiting at one time."""
    pod_cpu_s: Floats
    """[P] CPU time (core-seconds)."""
    pod_throttled_s: Floats
    """[P] time in which CFS kept the pod from running (s)."""
    pod_throttled_periods: Ints
    """[P] periods in which it was throttled."""
    pod_memory_max: Floats
    """[P] largest memory (bytes)."""

    service_sojourn: Ints
    """[V, BUCKETS] histogram of the time from a visit's acceptance to its end."""
    bin_service_queue_s: Floats
    """[V, B] integral of the number of waiting requests at the service's pods (s)."""
    bin_service_busy_s: Floats
    """[V, B] integral of the number of busy workers of the service's pods (s)."""
    bin_service_throttled_s: Floats
    """[V, B] time in which CFS kept the service's pods from running (s), by its begin."""

    node_cpu_s: Floats
    """[N] CPU time of everything on the node (core-seconds)."""
    bin_node_cpu_s: Floats
    """[N, B] the same per bin."""
    link_bytes: Floats
    """[L] bytes carried."""
    bin_link_bytes: Floats
    """[L, B] the same per bin."""
    link_busy_s: Floats
    """[L] time with at least one transfer or stream (s)."""

    exemplars: tuple[Exemplar, ...]
    """The slowest requests of every route, slowest first."""

    @property
    def length(self) -> float:
        """Measured time of one replication in seconds."""
        return self.end - self.start

    def mean_latency(self, series: int) -> float:
        """Mean latency of the successes of a series in seconds (nan without any)."""
        count = int(self.outcomes[series, :2].sum())
        return float(self.latency_sum[series]) / count if count else math.nan

    def quantile(self, series: int, q: float) -> float:
        """Latency quantile of the successes of a series in seconds, within 1 %."""
        return histogram_quantile(self.latency[series, 0], q)

    def route_latency(self, route: int) -> Ints:
        """Histogram of the successes of a whole route."""
        rows = [index for index, (owner, _) in enumerate(self.series) if owner == route]
        return np.asarray(self.latency[rows, 0].sum(axis=0), dtype=np.int64)

    def route_outcomes(self, route: int) -> Ints:
        """[9] requests of a whole route that ended, by :class:`Outcome`."""
        rows = [index for index, (owner, _) in enumerate(self.series) if owner == route]
        return np.asarray(self.outcomes[rows].sum(axis=0), dtype=np.int64)

    def route_arrived(self, route: int) -> int:
        """Requests of a whole route that arrived."""
        return int(sum(self.arrived[index] for index, (owner, _) in enumerate(self.series) if owner == route))

    def availability(self, route: int) -> float:
        """Share of the requests of a route that were served or degraded (nan without any).

        What a guard turned away on purpose (denied, rate limited) is neither a success nor a failure.
        """
        good, wanted = successes_of(self.route_outcomes(route))
        return good / wanted if wanted else math.nan

    def route_index(self, name: str) -> int:
        """The index of the route of this name. Raises ``ValueError`` when there is not exactly one."""
        return _position("route", name, self.program.routes)

    def series_index(self, route: str, operation: str) -> int:
        """The index of the series of a route's operation, for :meth:`quantile`. Raises ``ValueError`` as above."""
        mine = [index for index, (owner, _) in enumerate(self.series) if owner == self.route_index(route)]
        names = [self.program.operations[self.series[index][1]].name for index in mine]
        return mine[_position(f"operation of route {route}", operation, names)]

    def route_mean(self, route: int | str) -> float:
        """Mean latency of the successes of a whole route, by index or name, in seconds (nan without any)."""
        index = self.route_index(route) if isinstance(route, str) else route
        rows = [row for row, (owner, _) in enumerate(self.series) if owner == index]
        count = int(self.outcomes[rows, :2].sum())
        return float(self.latency_sum[rows].sum()) / count if count else math.nan

    def route_quantile(self, route: int | str, q: float) -> float:
        """Latency quantile of the successes of a whole route, by index or name, in seconds, within 1 %."""
        return histogram_quantile(self.route_latency(self.route_index(route) if isinstance(route, str) else route), q)

    def throughput(self, route: int | str) -> float:
        """Successes of a route, by index or name, per second of one replication (nan when no time was measured)."""
        index = self.route_index(route) if isinstance(route, str) else route
        seconds = self.length * self.replications
        return successes_of(self.route_outcomes(index))[0] / seconds if seconds > 0.0 else math.nan


def _position(what: str, name: str, names: Sequence[str]) -> int:
    """Where the name is among names."""
    found = [index for index, one in enumerate(names) if one == name]
    if len(found) != 1:
        count = len(found) or "no"
        raise ValueError(f"{count} {what} is called {name!r}: there are {', '.join(names) or 'none'}")
    return found[0]


def successes_of(outcomes: Ints) -> tuple[int, int]:
    """Of requests by outcome: how many were served or degraded, and how many got past the guards."""
    good = int(outcomes[Outcome.SERVED] + outcomes[Outcome.DEGRADED])
    return good, int(outcomes.sum() - outcomes[Outcome.DENIED] - outcomes[Outcome.RATE_LIMITED])


_MAXIMA = frozenset({"pod_queue_max", "pod_memory_max"})


def merge(parts: Sequence[EngineMeasures]) -> EngineMeasures:
    """Measures of several replications of one program as one: sums, maxima of maxima, the slowest exemplars.

    Pod slots that only some replications have are padded with zeros. Raises ``ValueError`` without any part.
    """
    if not parts:
        raise ValueError("nothing to merge")
    first = parts[0]
    longest = max(parts, key=lambda part: len(part.pod_names))
    slots = len(longest.pod_names)
    merged: dict[str, object] = {
        "replications": sum(part.replications for part in parts),
        "pod_names": longest.pod_names,
        "exemplars": _slowest([exemplar for part in parts for exemplar in part.exemplars], first),
    }
    for name, value in vars(first).items():
        if not isinstance(value, np.ndarray):
            continue
        arrays = [getattr(part, name) for part in parts]
        if name.startswith("pod_"):
            arrays = [np.pad(array, (0, slots - len(array))) for array in arrays]
        stacked = np.stack(arrays)
        merged[name] = stacked.max(axis=0) if name in _MAXIMA else stacked.sum(axis=0, dtype=stacked.dtype)
    return replace(first, **merged)  # type: ignore[arg-type]


def _slowest(exemplars: list[Exemplar], owner: EngineMeasures) -> tuple[Exemplar, ...]:
    kept: dict[int, list[Exemplar]] = {}
    for exemplar in sorted(exemplars, key=lambda one: (-one.latency, one.arrived)):
        bucket = kept.setdefault(owner.series[exemplar.series][0], [])
        if len(bucket) < owner.program.exemplars:
            bucket.append(exemplar)
    return tuple(one for route in sorted(kept) for one in kept[route])
