"""From one value, one share or one histogram per replication to an estimate with its interval, and how it was made.

The replication is what is independent, so its means and shares go through Student's interval. Where that cannot work (a
share that is whole every time, a quantile in the tail of a few requests, a single replication) the requests themselves
are counted as if they were independent, and the note says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sim.measures import LOWEST_EXPONENT, OCTAVES, bucket_middles, histogram_quantile
from sim.statistics import (
    excluded_share,
    order_ranks,
    proportion_interval,
    samples_needed,
    student_interval,
)

NONE_FAILED = "no request failed: the bound is what so many requests exclude, taken as independent (rule of three)"
ALL_FAILED = "every request failed: the bound is what so many requests exclude, taken as independent (rule of three)"
POOLED_SHARE = "Wilson's interval over all requests, taken as independent: replications do not differ"
POOLED_QUANTILE = (
    "order statistics of all requests together, taken as independent: a replication has too few for a p{percentile:g}"
)
MOST = 0.9
ONE_REPLICATION = "order statistics of the requests of one replication, taken as independent"


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval; ``n`` replications are behind it.

    A bound is infinite where the data cannot give one. ``note`` says what is special about the interval.
    """

    mean: float
    low: float
    high: float
    n: int
    note: str = ""


def estimate(values: Iterable[float], confidence: float, note: str = "") -> Interval | None:
    """Mean and Student interval of one value per replication; nan values are left out, None without any.

    One value has no interval: its bounds are infinite.
    """
    kept = [value for value in values if not math.isnan(value)]
    if not kept:
        return None
    if len(kept) == 1:
        note = "; ".join(filter(None, (note, "one replication: no interval")))
        return Interval(kept[0], -math.inf, math.inf, 1, note)
    found = student_interval(kept, confidence)
    return Interval(
        found.estimate, found.estimate - found.half_width, found.estimate + found.half_width, len(kept), note
    )


def positive(interval: Interval | None) -> Interval | None:
    """The interval of a quantity that cannot be negative; a bound that is not known stays unknown."""
    if interval is None or math.isinf(interval.low):
        return interval
    return replace(interval, low=max(interval.low, 0.0))


def share_estimate(successes: Sequence[int], trials: Sequence[int], confidence: float) -> Interval | None:
    """A share from the successes and trials of each replication; None without any trial.

    Student's interval over the replications, cut at 0 and 1. When all went well (or nothing did), no two replications
    differ and Student's interval has no width, whatever the number of requests: then the bound is what so many
    independent requests exclude (``excluded_share``). Wilson's interval over all requests where replications agree on
    another share. One replication with failures has none: an outage fails its requests together.
    """
    rates = [good / of for good, of in zip(successes, trials, strict=True) if of]
    good, of = sum(successes), sum(trials)
    if not rates:
        return None
    beyond = excluded_share(of, confidence)
    if good == of:
        return Interval(1.0, 1.0 - beyond, 1.0, len(rates), NONE_FAILED)
    if good == 0:
        return Interval(0.0, 0.0, beyond, len(rates), ALL_FAILED)
    if len(rates) == 1:
        return estimate(rates, confidence)
    if max(rates) == min(rates):
        found = proportion_interval(good, of, confidence)
        return Interval(found.estimate, found.low, found.high, len(rates), POOLED_SHARE)
    found = student_interval(rates, confidence)
    return Interval(found.estimate, max(found.low, 0.0), min(found.high, 1.0), len(rates))


def quantile_estimate(histograms: Sequence[NDArray[np.integer]], q: float, confidence: float) -> Interval | None:
    """A quantile (seconds) from one latency histogram per replication; None when all are empty.

    Replications are batches when they hold enough values for the quantile (``samples_needed``): Student's interval
    over their quantiles, never narrower than the histogram's bucket. A thin one is left out when the others hold
    ``MOST`` of all values (an outage leaves few successes). Else the order statistics of all values together, at the
    outer edges of their buckets; a side that they cannot bound is infinite.
    """
    counts = [int(histogram.sum()) for histogram in histograms]
    used = sum(1 for count in counts if count)
    if not used:
        return None
    full = [one for one, count in zip(histograms, counts, strict=True) if count >= samples_needed(q)]
    if len(full) > 1 and sum(int(one.sum()) for one in full) >= MOST * sum(counts):
        found = student_interval([histogram_quantile(one, q) for one in full], confidence)
        half = max(found.half_width, found.estimate / (2 * len(histograms[0]) / OCTAVES))
        return Interval(found.estimate, max(found.estimate - half, 0.0), found.estimate + half, len(full))
    merged = np.sum(histograms, axis=0)
    low, high = order_ranks(sum(counts), q, confidence)
    notes = [POOLED_QUANTILE.format(percentile=100 * q) if len(counts) > 1 else ONE_REPLICATION]
    if sum(counts) < samples_needed(q):
        notes.insert(0, few_samples(q))
    return Interval(
        histogram_quantile(merged, q),
        _edge(merged, low, 0) if low >= 1 else -math.inf,
        _edge(merged, high, 1) if high <= sum(counts) else math.inf,
        used,
        "; ".join(notes),
    )


def few_samples(q: float) -> str:
    """The warning on a quantile with too few values beyond it."""
    return f"p{100 * q:g} from fewer than {samples_needed(q)} samples"


def _edge(histogram: NDArray[np.integer], rank: int, side: int) -> float:
    """The lower (``side`` 0) or upper (1) edge of the bucket that holds the value of this rank."""
    sub_buckets = len(histogram) // OCTAVES
    index = int(np.searchsorted(np.cumsum(histogram), rank))
    half = math.ldexp(1.0 / (4 * sub_buckets), index // sub_buckets + LOWEST_EXPONENT)
    return float(bucket_middles(sub_buckets)[index]) + (half if side else -half)
