"""Shares, means and quantiles of replications: known intervals, and what is said when they are special."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sim.estimates import (
    NONE_FAILED,
    ONE_REPLICATION,
    POOLED_SHARE,
    Interval,
    estimate,
    positive,
    quantile_estimate,
    share_estimate,
)
from sim.measures import BUCKETS, bucket_of
from sim.statistics import excluded_share, order_ranks, samples_needed


def histogram(values: object) -> np.ndarray:
    counts = np.zeros(BUCKETS, dtype=np.int64)
    for value in np.asarray(values, float):
        counts[bucket_of(value)] += 1
    return counts


def share(successes: list[int], trials: list[int]) -> Interval:
    found = share_estimate(successes, trials, 0.95)
    assert found is not None
    return found


@pytest.mark.parametrize("trials", [30, 100, 1000, 100_000])
def test_no_failure_in_n_requests_excludes_three_in_n(trials: int) -> None:
    # Hanley and Lippman-Hand 1983: the 95 % upper bound is 3/n, for n > 30 to about a hundredth of itself per 1/n.
    assert excluded_share(trials) == pytest.approx(3 / trials, rel=0.05)
    assert (1 - excluded_share(trials)) ** trials == pytest.approx(0.05)


def test_a_share_that_is_whole_in_every_replication_says_what_its_requests_exclude() -> None:
    found = share([100, 100, 100], [100, 100, 100])
    assert (found.mean, found.high, found.n, found.note) == (1.0, 1.0, 3, NONE_FAILED)
    assert found.low == pytest.approx(0.990064, abs=1e-6)  # 0.05 ** (1 / 300)


def test_nothing_served_in_twenty_requests_may_still_be_fourteen_percent() -> None:
    found = share([0, 0], [10, 10])
    assert (found.mean, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(0.1391, abs=1e-4)  # 1 - 0.05 ** (1 / 20)


def test_shares_that_differ_go_through_students_interval_cut_at_one() -> None:
    found = share([98, 100, 96, 98], [100, 100, 100, 100])
    # mean 0.98, s = 0.0163299, t(0.975, 3) = 3.182446: half-width 0.025985.
    assert found.mean == pytest.approx(0.98)
    assert found.low == pytest.approx(0.954015, abs=1e-6)
    assert (found.high, found.note) == (1.0, "")


def test_one_replication_with_failures_has_no_interval_because_an_outage_fails_requests_together() -> None:
    assert share([45], [50]) == Interval(0.9, -math.inf, math.inf, 1, "one replication: no interval")


def test_replications_that_agree_have_wilsons_interval_and_say_so() -> None:
    found = share([9] * 5, [10] * 5)
    assert found.note == POOLED_SHARE
    assert (found.low, found.high) == (pytest.approx(0.7864, abs=1e-4), pytest.approx(0.9565, abs=1e-4))


def test_a_replication_without_requests_is_no_replication_of_a_share() -> None:
    assert share([98, 0, 97], [100, 0, 100]).n == 2
    assert share_estimate([0], [0], 0.95) is None


def test_quantiles_of_full_replications_are_batches() -> None:
    generator = np.random.default_rng(1)
    parts = [histogram(generator.exponential(size=2000)) for _ in range(10)]
    found = quantile_estimate(parts, 0.95, 0.95)
    assert found is not None
    assert found.note == ""
    assert found.low < -math.log(0.05) < found.high
    assert found.high - found.low < 0.25


def test_equal_quantiles_are_still_no_better_known_than_their_bucket() -> None:
    found = quantile_estimate([histogram([0.25] * 10)] * 3, 0.5, 0.95)
    assert found is not None
    assert found.low < 0.25 < found.high
    assert found.high - found.low == pytest.approx(2 / 128 * 0.25, rel=0.02)


def test_thin_replications_are_taken_together_and_say_so() -> None:
    generator = np.random.default_rng(2)
    parts = [histogram(generator.exponential(size=100)) for _ in range(8)]
    found = quantile_estimate(parts, 0.99, 0.95)
    assert found is not None
    assert found.note == (
        "order statistics of all requests together, taken as independent: a replication has too few for a p99"
    )
    assert found.low < -math.log(0.01) < found.high < math.inf


def test_a_replication_that_an_outage_left_thin_does_not_undo_the_batches() -> None:
    generator = np.random.default_rng(4)
    full = [histogram(generator.exponential(size=2000)) for _ in range(4)]
    found = quantile_estimate([*full, histogram([30.0] * 5)], 0.95, 0.95)
    assert found == quantile_estimate(full, 0.95, 0.95)


def test_p99_from_fewer_than_300_samples_says_so_and_may_have_no_upper_bound() -> None:
    found = quantile_estimate([histogram(np.arange(1.0, 51.0))], 0.99, 0.95)
    assert found is not None
    assert found.note == f"p99 from fewer than 300 samples; {ONE_REPLICATION}"
    assert found.high == math.inf
    # Of 50 values, all 50 lie below the p99 with 0.99 ** 50 = 60 %: the 48th is the last that is surely below.
    assert found.low == pytest.approx(48.0, rel=0.02)
    assert (samples_needed(0.5), samples_needed(0.95), samples_needed(0.99)) == (6, 60, 300)


@pytest.mark.parametrize("q", [0.5, 0.95])
def test_pooled_quantiles_cover_the_truth_as_often_as_they_say(q: float) -> None:
    generator = np.random.default_rng(3)
    truth, hits = -math.log(1.0 - q), 0
    for _ in range(400):
        found = quantile_estimate([histogram(generator.exponential(size=100))], q, 0.95)
        assert found is not None
        hits += found.low <= truth <= found.high
    assert hits / 400 >= 0.917  # at least 95 %, less three standard errors of 400 trials


def test_ranks_of_a_million_values_are_found_without_looking_at_all() -> None:
    # Normal approximation: n q +- 1.96 sqrt(n q (1 - q)) = 990000 +- 195.
    low, high = order_ranks(1_000_000, 0.99)
    assert (low, high) == (pytest.approx(989_805, abs=2), pytest.approx(990_195, abs=2))


def test_quantities_that_cannot_be_negative_keep_an_unknown_bound_unknown() -> None:
    assert positive(Interval(1.0, -3.0, 5.0, 3)) == Interval(1.0, 0.0, 5.0, 3)
    assert positive(estimate([1.0], 0.95)) == Interval(1.0, -math.inf, math.inf, 1, "one replication: no interval")
    assert positive(None) is None
