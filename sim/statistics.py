"""Estimates with their uncertainty: from independent replications, from batches of one run, or from pairs of runs.

Every estimate says how many values it rests on, and carries a note when it should not be trusted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, ndtri, stdtr, stdtrit

T = TypeVar("T")
Floats = NDArray[np.float64]

TAIL_SAMPLES = 3
"""A quantile needs this many values beyond it: 300 for p99. Fewer, and the estimate is marked."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval for ``estimate`` from ``samples`` values; infinite where the data cannot bound it."""

    estimate: float
    low: float
    high: float
    confidence: float
    samples: int
    note: str = ""

    @property
    def half_width(self) -> float:
        """Half the length of the interval."""
        return (self.high - self.low) / 2.0

    @property
    def relative(self) -> float:
        """Half-width relative to the estimate (inf at an estimate of 0)."""
        return self.half_width / abs(self.estimate) if self.estimate else math.inf

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def student_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Mean of independent values, one per replication (Law, Simulation Modeling and Analysis, 5th ed., eq. 4.12).

    Values that are not a number (a replication without any such request) are left out. One value alone gives an
    infinite interval, none a nan.
    """
    data = np.asarray(values, np.float64)
    data = data[~np.isnan(data)]
    count = len(data)
    if count == 0:
        return Interval(math.nan, -math.inf, math.inf, confidence, 0, "no values")
    mean = float(data.mean())
    if count == 1:
        return Interval(mean, -math.inf, math.inf, confidence, 1, "a single value has no interval")
    half = float(stdtrit(count - 1, 0.5 + confidence / 2.0)) * float(data.std(ddof=1)) / math.sqrt(count)
    return Interval(mean, mean - half, mean + half, confidence, count)


def proportion_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """A proportion of independent trials (Wilson 1927). Requests of one run are not independent: see student_interval.

    Raises ``ValueError`` if there are more successes than trials.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials")
    if trials == 0:
        return Interval(math.nan, 0.0, 1.0, confidence, 0, "no trials")
    z = float(ndtri(0.5 + confidence / 2.0))
    share, spread = successes / trials, z * z / trials
    middle = (share + spread / 2.0) / (1.0 + spread)
    half = z / (1.0 + spread) * math.sqrt(share * (1.0 - share) / trials + spread / (4.0 * trials))
    return Interval(share, max(middle - half, 0.0), min(middle + half, 1.0), confidence, trials)


def excluded_share(trials: int, confidence: float = 0.95) -> float:
    """The share of events that ``trials`` independent trials without any event exclude, one-sided (0 trials: 1).

    Exactly 1 - (1 - confidence)^(1/trials), at 95 % close to 3/trials: the rule of three (Hanley and Lippman-Hand, "If
    nothing goes wrong, is everything all right?", JAMA 249, 1983).
    """
    return 1.0 - (1.0 - confidence) ** (1.0 / trials) if trials else 1.0


def quantile_interval(values: ArrayLike, q: float, confidence: float = 0.95) -> Interval:
    """A quantile of independent values, from order statistics (David and Nagaraja, Order Statistics, 3rd ed., 7.1).

    The number of values below the true quantile is binomial, whatever the law; the interval reaches from the largest
    order statistic that is below it with enough probability to the smallest above it. Where there is none, the side is
    infinite.
    """
    data = np.sort(np.asarray(values, np.float64))
    count = len(data)
    if count == 0:
        return Interval(math.nan, -math.inf, math.inf, confidence, 0, "no values")
    low, high = order_ranks(count, q, confidence)
    return Interval(
        float(data[min(math.ceil(q * count), count) - 1]),
        float(data[low - 1]) if low >= 1 else -math.inf,
        float(data[high - 1]) if high <= count else math.inf,
        confidence,
        count,
        tail_note(count, q),
    )


def order_ranks(count: int, q: float, confidence: float = 0.95) -> tuple[int, int]:
    """The ranks (1 to ``count``) of the two order statistics that enclose a quantile with at least ``confidence``.

    0 or ``count`` + 1 where no value is surely on that side. The number of values below the quantile is binomial;
    beyond nine standard deviations of it nothing is looked at.
    """
    tail = (1.0 - confidence) / 2.0
    reach = 9.0 * math.sqrt(count * q * (1.0 - q)) + 9.0
    first, last = max(0, math.floor(count * q - reach)), min(count, math.ceil(count * q + reach))
    below = bdtr(np.arange(first, last), count, q)  # P(at most k values lie below the quantile)
    low = first + int(np.searchsorted(below, tail, side="right"))  # values that are surely below
    high = first + int(np.searchsorted(below, 1.0 - tail))
    return low, high + 1


def samples_needed(q: float) -> int:
    """How many values a quantile wants, so that a few lie beyond it: 6 for the median, 60 for p95, 300 for p99."""
    return math.ceil(round(TAIL_SAMPLES / min(q, 1.0 - q), 6))


def tail_note(count: int, q: float) -> str:
    """A warning if a quantile rests on too few values beyond it, else empty: p99 wants 300."""
    needed = samples_needed(q)
    return f"p{100 * q:g} from {count} samples, {needed} needed" if count < needed else ""


def batch_interval(values: ArrayLike, confidence: float = 0.95, batches: int = 20) -> Interval:
    """Mean of a stationary series from the means of its batches (Schmeiser 1982: 10 to 30 batches are enough).

    The remainder that fills no batch is left out at the begin. Raises ``ValueError`` with fewer values than batches.
    """
    data = np.asarray(values, np.float64)
    size = len(data) // batches
    if size == 0:
        raise ValueError(f"{len(data)} values do not fill {batches} batches")
    return student_interval(data[len(data) - size * batches :].reshape(batches, size).mean(axis=1), confidence)


@dataclass(frozen=True)
class Difference:
    """Alternative minus baseline under common random numbers.

    ``variance_reduction``: the share of the variance of the difference that pairing removed, against independent runs
    (0: nothing, 1: all of it, negative: pairing hurt).
    """

    interval: Interval
    variance_reduction: float

    @property
    def significant(self) -> bool:
        """Whether the interval excludes zero."""
        return 0.0 not in self.interval


def paired_difference(baseline: ArrayLike, alternative: ArrayLike, confidence: float = 0.95) -> Difference:
    """Difference of two alternatives whose replications share their seeds (Law, 10.2.1 and 11.2).

    Pairs with a value that is not a number are left out. Raises ``ValueError`` if the numbers of replications differ.
    """
    one, two = np.asarray(baseline, np.float64), np.asarray(alternative, np.float64)
    if one.shape != two.shape:
        raise ValueError(f"{len(one)} replications of the baseline, {len(two)} of the alternative")
    known = ~(np.isnan(one) | np.isnan(two))
    one, two = one[known], two[known]
    difference = two - one
    if len(difference) < 2:
        return Difference(student_interval(difference, confidence), math.nan)
    independent = float(one.var(ddof=1) + two.var(ddof=1))
    paired = float(difference.var(ddof=1))
    reduction = 1.0 - paired / independent if independent > 0.0 else 0.0
    return Difference(student_interval(difference, confidence), reduction)


def warm_up_end(series: ArrayLike, batch: int = 5) -> int:
    """How many values at the begin of a series are warm-up: the MSER-5 rule (White, Cobb, Spratt 2000).

    The cut that minimises the squared standard error of the mean of what remains, searched over the first half in
    batches of ``batch``. At the edge of the search the series is too short to tell, and the half is returned.
    """
    data = np.asarray(series, np.float64)
    count = len(data) // batch
    if count < 4:
        return 0
    means = data[: count * batch].reshape(count, batch).mean(axis=1)
    rest = np.arange(count, 0, -1)
    total, squares = np.cumsum(means[::-1])[::-1], np.cumsum((means * means)[::-1])[::-1]
    error = (squares - total * total / rest) / (rest * rest)
    return int(np.argmin(error[: count // 2 + 1])) * batch


def initial_bias(series: ArrayLike) -> float:
    """P-value (two-sided) of "this series has no bias at its begin": Schruben, Singh and Tierney 1983.

    ``series``: batch means. The weighted sum of the deviations of the running means from the whole mean is Student's t
    with the degrees of freedom of the variance. That is taken from the second half, where a bias has worn off, as the
    one of an autoregressive process of order 1 (Law, 9.5.3), because what is left of a queue's memory in the batches
    must not look like a bias. 1 for a series of fewer than 8 values or one whose second half does not vary.
    """
    data = np.asarray(series, np.float64)
    count = len(data)
    late = data[count // 2 :] - data[count // 2 :].mean() if count >= 8 else np.zeros(1)
    squares = float((late * late).sum())
    if squares == 0.0:
        return 1.0
    memory = min(max(float((late[1:] * late[:-1]).sum()) / squares, 0.0), 0.9)
    spread = math.sqrt(squares / (len(late) - 1) * (1.0 + memory) / (1.0 - memory))
    k = np.arange(1, count + 1)
    running = np.cumsum(data) / k
    value = math.sqrt(45.0) / (count**1.5 * spread) * float((k * (1.0 - k / count) * (data.mean() - running)).sum())
    return 2.0 * float(stdtr(len(late) - 1, -abs(value)))


def precise_enough(
    values: Sequence[float], half_width: float, relative: bool = False, confidence: float = 0.95, at_least: int = 5
) -> bool:
    """Whether the mean of the replications so far is known to ``half_width`` (Law, 9.4.1: sequential procedure)."""
    if len(values) < at_least:
        return False
    interval = student_interval(values, confidence)
    return (interval.relative if relative else interval.half_width) <= half_width


def replicate(
    run: Callable[[int], T],
    measure: Callable[[T], float],
    half_width: float,
    *,
    relative: bool = True,
    confidence: float = 0.95,
    at_least: int = 5,
    at_most: int = 100,
) -> tuple[list[T], Interval]:
    """Run replications 0, 1, … until the mean of ``measure`` is known to ``half_width``, or ``at_most`` have run.

    Returns all results and the interval; its note says if the precision was not reached.
    """
    results: list[T] = []
    values: list[float] = []
    while len(results) < at_most:
        results.append(run(len(results)))
        values.append(measure(results[-1]))
        if precise_enough(values, half_width, relative, confidence, at_least):
            return results, student_interval(values, confidence)
    final = student_interval(values, confidence)
    note = f"precision {half_width:g} not reached after {at_most} replications"
    return results, Interval(final.estimate, final.low, final.high, confidence, final.samples, note)
