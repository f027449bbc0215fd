"""Intervals cover the truth as often as they say, and known textbook numbers come out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sim.statistics import (
    batch_interval,
    paired_difference,
    proportion_interval,
    quantile_interval,
    replicate,
    student_interval,
    tail_note,
    warm_up_end,
)


def test_the_textbook_interval_of_ten_observations_is_found_again() -> None:
    # Law, Simulation Modeling and Analysis, example 4.26: 90 % interval 1.34 +- 0.24.
    values = [1.20, 1.50, 1.68, 1.89, 0.95, 1.49, 1.58, 1.55, 0.50, 1.09]
    interval = student_interval(values, 0.90)
    assert interval.estimate == pytest.approx(1.343)
    assert interval.half_width == pytest.approx(0.24, abs=0.005)


def test_one_value_has_no_interval_and_none_has_no_estimate() -> None:
    assert student_interval([2.0]).half_width == math.inf
    assert math.isnan(student_interval([math.nan]).estimate)


def test_wilson_interval_of_zero_failures_in_ten_ends_at_28_percent() -> None:
    interval = proportion_interval(0, 10)
    assert (interval.low, round(interval.high, 4)) == (0.0, 0.2775)  # Brown, Cai, DasGupta 2001


@pytest.mark.parametrize("q", [0.5, 0.9])
def test_quantile_intervals_cover_the_true_quantile_as_often_as_they_say(q: float) -> None:
    generator = np.random.default_rng(1)
    truth = -math.log(1.0 - q)
    hits = sum(truth in quantile_interval(generator.exponential(size=200), q) for _ in range(2000))
    assert 0.94 <= hits / 2000 <= 0.985  # at least 95 % up to noise, and not much more


def test_the_median_of_ten_lies_between_the_second_and_ninth_value() -> None:
    interval = quantile_interval(np.arange(1.0, 11.0), 0.5)
    assert (interval.low, interval.high) == (2.0, 9.0)  # coverage 97.9 %: David and Nagaraja, table 7.1


def test_p99_of_fewer_than_300_samples_says_so() -> None:
    assert tail_note(299, 0.99) == "p99 from 299 samples, 300 needed"
    assert tail_note(300, 0.99) == ""
    assert quantile_interval(np.arange(10.0), 0.99).high == math.inf


def test_batch_means_cover_the_mean_of_a_correlated_series() -> None:
    generator = np.random.default_rng(2)
    hits = 0
    for _ in range(300):
        noise, series, last = generator.normal(size=4000), [], 0.0
        for value in noise:
            last = 0.5 * last + value
            series.append(last)
        hits += 0.0 in batch_interval(series)
    assert hits / 300 > 0.91


def test_common_random_numbers_take_the_shared_variance_away() -> None:
    generator = np.random.default_rng(3)
    shared = generator.normal(size=50)
    result = paired_difference(shared, shared + 0.1 + 0.01 * generator.normal(size=50))
    assert result.significant
    assert result.interval.half_width < 0.005
    assert result.variance_reduction > 0.99


def test_a_series_that_climbs_for_200_values_loses_about_those() -> None:
    generator = np.random.default_rng(4)
    series = np.concatenate([np.linspace(0.0, 10.0, 200), np.full(1800, 10.0)]) + generator.normal(size=2000)
    assert 100 <= warm_up_end(series) <= 220
    assert warm_up_end(np.ones(100)) == 0


def test_replications_stop_at_the_asked_precision() -> None:
    generator = np.random.default_rng(5)
    results, interval = replicate(lambda _: float(generator.normal(10.0, 1.0)), lambda x: x, 0.02, at_most=1000)
    assert interval.relative <= 0.02
    assert 50 < len(results) < 200
    assert replicate(float, lambda x: x, 0.001, at_most=6)[1].note == "precision 0.001 not reached after 6 replications"
