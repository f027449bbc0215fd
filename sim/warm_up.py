"""Whether the warm-up was long enough: what the rule is, and how it is checked.

The rule: ``run.warmUp`` seconds are simulated from a platform without requests and not measured; streams are under way
from the begin, as many as have come before it and last (``sim.compile.traffic.under_way``). The check: a few pilots of
the same platform from the same begin, at the load of the first measured moment and with nothing failing and nobody
changing anything, so that only the begin can show. MSER-5 (White, Cobb and Spratt 2000) says where their latency and
their number of requests in flight become steady; the warm-up is too short when that is later than its end and what is
left has an initial bias that chance does not explain (Schruben, Singh and Tierney 1983).

Streams are left out of the pilots: they need no warm-up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sim.measures import COARSE_SUB_BUCKETS, EngineMeasures, bucket_middles
from sim.program import Source
from sim.statistics import initial_bias, warm_up_end
from sim.streams import stream_operations
from sim.study import Study, replicate

PILOTS = 3
SIGNIFICANCE = 0.01
WATCHED, SHORTEST_S = 4.0, 240.0
"""A pilot runs for so many times the warm-up, at least so long, and never longer than the run itself."""

BATCH = 5
SMALLEST = 8 * BATCH
"""A series with fewer bins tells nothing."""


@dataclass(frozen=True)
class Steady:
    """What one series of the pilots says. ``after_s``: seconds from an empty platform to the steady state by MSER-5.

    ``bias``: p-value of no initial bias after the warm-up. ``early`` whether the warm-up ended too early.
    """

    series: str
    after_s: float
    bias: float
    early: bool


@dataclass(frozen=True)
class WarmUp:
    """The check of a run's warm-up. ``steady`` is empty when there was too little traffic to tell."""

    length_s: float
    watched_s: float
    steady: tuple[Steady, ...]

    @property
    def early(self) -> tuple[Steady, ...]:
        """The series that were not steady at the end of the warm-up."""
        return tuple(one for one in self.steady if one.early)


def check_warm_up(study: Study) -> WarmUp:
    """Run the pilots of a study and judge its warm-up: ``PILOTS`` short replications."""
    run = study.scenario.spec.run
    watched = min(max(WATCHED * run.warm_up, SHORTEST_S), run.warm_up + run.length)
    pilot = _pilot(study, watched)
    if not pilot.compiled.program.sources:
        return WarmUp(run.warm_up, watched, ())
    measured = [replicate(pilot, index).measures for index in range(PILOTS)]
    return WarmUp(run.warm_up, watched, tuple(judge_warm_up(measured, run.warm_up)))


def judge_warm_up(pilots: list[EngineMeasures], warm_up: float) -> Iterator[Steady]:
    """Latency and requests in flight of pilots that started empty at time 0 and were measured from there."""
    width = pilots[0].program.bin_width
    for name, (bins, values) in {"latency": _latency(pilots), "requests in flight": _in_flight(pilots)}.items():
        if len(values) < SMALLEST:
            continue
        cut = warm_up_end(values, BATCH)
        after = float(bins[cut]) * width if cut else 0.0
        left = values[int(np.searchsorted(bins * width, warm_up)) :]
        batches = left[: len(left) // BATCH * BATCH].reshape(-1, BATCH).mean(axis=1)
        bias = initial_bias(batches)
        yield Steady(name, after, bias, after > warm_up and bias < SIGNIFICANCE)


def _pilot(study: Study, watched: float) -> Study:
    """The study from an empty begin: the constant load of its first measured moment, undisturbed, no streams."""
    spec = study.scenario.spec
    run = spec.run.model_copy(update={"length": watched, "warm_up": 0.0, "replications": PILOTS})
    quiet = spec.model_copy(update={"faults": (), "operations": (), "thresholds": {}, "run": run})
    pilot = study.with_scenario(study.scenario.model_copy(update={"spec": quiet}))
    program = study.compiled.program
    streams = stream_operations(program)
    requests = [source for source in program.sources if not any(operation in streams for operation, _ in source.mix)]
    sources = tuple(_constant(source, spec.run.warm_up) for source in requests)
    return replace(pilot, compiled=replace(pilot.compiled, program=replace(pilot.compiled.program, sources=sources)))


def _constant(source: Source, moment: float) -> Source:
    if not source.rates:
        return source
    return replace(source, rates=(source.rates[int((moment + source.offset) // source.segment) % len(source.rates)],))


def _latency(pilots: list[EngineMeasures]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The bins with successes, and the mean logarithm of their latencies: an outlier must not hide the begin."""
    counts = sum(one.bin_latency.sum(axis=0, dtype=np.int64) for one in pilots)
    logs = np.log(bucket_middles(COARSE_SUB_BUCKETS))
    totals = np.asarray(counts).sum(axis=1)
    bins = np.flatnonzero(totals)
    return bins, (np.asarray(counts)[bins] @ logs) / totals[bins]


def _in_flight(pilots: list[EngineMeasures]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Every bin, and the requests in flight at its end, all pilots and routes together."""
    change = sum((one.bin_arrived - one.bin_served - one.bin_failed).sum(axis=0) for one in pilots)
    return np.arange(len(np.asarray(change))), np.cumsum(change).astype(np.float64)
