"""A run ends early once every availability is known well enough, and says so."""

from __future__ import annotations

import functools
import json
from typing import Any

from study_runs import report_json, study

from sim.precision import precisions
from sim.study import Results, Study, run

QUIET = ("run.length=10m", "run.warmUp=10s", "run.replications=7", "objectives.routes=[]")


@functools.cache
def asked(precision: str) -> tuple[Study, Results]:
    """Two requests per minute and route, none of which fails: about 20 per replication and route."""
    prepared = study("staging", *QUIET, f"run.precision={precision}")
    return prepared, run(prepared, survival=False)


@functools.cache
def report(precision: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(report_json(*asked(precision)))
    return content


def test_a_hundred_requests_without_a_failure_are_known_to_two_percent_and_end_the_run_after_five_of_seven() -> None:
    # 0.05 ** (1 / 100) = 0.9705: an interval from 97.05 % to 100 %, half-width 1.5 %.
    prepared, results = asked("2%")
    assert len(results.replications) == 5
    assert all(item.reached for item in precisions(prepared, results.replications))


def test_a_hundred_requests_without_a_failure_are_not_known_to_a_thousandth() -> None:
    prepared, results = asked("0.1%")
    assert len(results.replications) == 7
    assert not any(item.reached for item in precisions(prepared, results.replications))


def test_the_number_of_workers_changes_nothing_in_a_run_that_stops_early() -> None:
    prepared, one = asked("2%")
    two = run(prepared, workers=2, survival=False)
    assert [item.index for item in two.replications] == [item.index for item in one.replications] == [0, 1, 2, 3, 4]
    for left, right in zip(one.replications, two.replications, strict=True):
        assert left.measures.outcomes.tolist() == right.measures.outcomes.tolist()
        assert left.measures.latency_sum.tolist() == right.measures.latency_sum.tolist()
