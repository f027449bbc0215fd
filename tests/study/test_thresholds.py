"""Thresholds in k6's form, and Student's interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
from scipy import stats

from sim.estimates import estimate
from sim.thresholds import METRICS, check_thresholds, parse_threshold


@dataclass(frozen=True)
class Route:
    id: str


ROUTES: Any = (Route("cloud.example.org"), Route("photos.example.org"))


def test_a_percentile_of_one_route_is_read() -> None:
    found = parse_threshold("http_req_duration{route:cloud.*}", "p(99.9) <= 1200")
    assert (found.metric, found.route, found.aggregate) == ("http_req_duration", "cloud.*", "p")
    assert (found.percentile, found.operator, found.value) == (99.9, "<=", 1200.0)
    assert found.text == "p(99.9) <= 1200"


def test_without_a_tag_all_routes_are_meant() -> None:
    assert parse_threshold("http_req_failed", "rate<0.01").route == "*"


@pytest.mark.parametrize(
    ("operator", "below", "equal", "above"),
    [
        ("<", True, False, False),
        ("<=", True, True, False),
        (">", False, False, True),
        (">=", False, True, True),
        ("==", False, True, False),
        ("!=", True, False, True),
    ],
)
def test_each_operator_compares_as_in_k6(operator: str, below: bool, equal: bool, above: bool) -> None:
    found = parse_threshold("http_reqs", f"count{operator}10")
    assert (found.holds(9), found.holds(10), found.holds(11)) == (below, equal, above)


@pytest.mark.parametrize("value", ["0.01", "5", "1e-3", "1.5e3"])
def test_values_may_have_fractions_and_exponents(value: str) -> None:
    assert parse_threshold("http_req_failed", f"rate<{value}").value == float(value)


@pytest.mark.parametrize(
    ("key", "expression", "says"),
    [
        ("http_req_durations", "p(95)<1", "did you mean http_req_duration?"),
        ("latency", "p(95)<1", "is not a metric with an optional {route:NAME} tag"),
        ("http_req_failed{status:500}", "rate<1", "is not a metric with an optional {route:NAME} tag"),
        ("http_req_failed", "p(95)<1", "for example rate<1"),
        ("http_req_duration", "p95<800", "for example avg<1"),
        ("http_req_duration", "p(0)<800", "a percentile lies between 0 and 100"),
        ("http_req_duration", "p(100)<800", "a percentile lies between 0 and 100"),
        ("http_req_duration", "p(95)<800ms", "is not a comparison"),
        ("http_req_duration", "p(95)<1.2.3", "is not a comparison"),
        ("http_reqs", "count", "is not a comparison"),
    ],
)
def test_what_is_no_threshold_says_what_there_is(key: str, expression: str, says: str) -> None:
    with pytest.raises(ValueError, match=r"is not|lies between") as caught:
        parse_threshold(key, expression)
    assert says in str(caught.value)


def test_all_wrong_thresholds_of_a_scenario_are_told_with_their_field() -> None:
    found = check_thresholds(
        {
            "http_reqs": ("count>1", "p(5)<2"),
            "http_req_failed{route:mail.*}": ("rate<1",),
            "http_req_failed{route:photos.*}": ("rate<1",),
        },
        ROUTES,
    )
    assert [problem.where.field for problem in found] == [
        "spec.thresholds.http_reqs",
        "spec.thresholds.http_req_failed{route:mail.*}",
    ]
    assert found[1].way_out == "routes: cloud.example.org, photos.example.org"


def test_every_metric_has_an_aggregate_that_parses() -> None:
    for metric, aggregates in METRICS.items():
        for aggregate in aggregates:
            text = "p(50)<1" if aggregate == "p" else f"{aggregate}<1"
            assert parse_threshold(metric, text).aggregate == aggregate


def test_students_interval_of_four_values_is_that_of_the_textbook() -> None:
    # mean 5, s = sqrt(20/3), t(0.975, 3) = 3.182446 (any table): half-width 3.182446 * s / 2 = 4.108523.
    found = estimate([2.0, 4.0, 6.0, 8.0], 0.95)
    assert found is not None
    assert (found.mean, found.n) == (5.0, 4)
    assert found.high - found.mean == pytest.approx(4.108523, rel=1e-6)
    assert found.mean - found.low == pytest.approx(4.108523, rel=1e-6)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_students_interval_agrees_with_scipy(confidence: float) -> None:
    values = [0.91, 0.97, 0.99, 0.95, 1.0, 0.93]
    low, high = stats.t.interval(confidence, len(values) - 1, loc=sum(values) / len(values), scale=stats.sem(values))
    found = estimate(values, confidence)
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(low, rel=1e-12), pytest.approx(high, rel=1e-12))


def test_one_value_has_no_interval_and_says_so() -> None:
    found = estimate([3.0, math.nan], 0.95, "few samples")
    assert found is not None
    assert (found.mean, found.low, found.high, found.n) == (3.0, -math.inf, math.inf, 1)
    assert found.note == "few samples; one replication: no interval"


def test_no_value_gives_no_interval() -> None:
    assert estimate([math.nan], 0.95) is None
