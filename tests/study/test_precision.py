"""A run ends early once every availability is known well enough, and says so."""

from __future__ import annotations

import functools
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from study_runs import SHORT, report_json, short, short_report, study

import stowplan
from reports.build import build_report
from reports.terminal import print_report
from reports.write import write_report
from sim.metrics import route_metrics
from sim.overload import overloaded_routes
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


def table(content: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [item for item in content["tables"] if item["name"] == name]
    return dict(found)


def test_the_report_says_how_many_of_how_many_replications_ran_and_that_the_precision_was_reached() -> None:
    found = table(report("2%"), "precision")
    assert found["note"] == "5 of at most 7 replications: ±2% for every availability was reached"
    assert {row["reached"] for row in found["rows"]} == {True}
    assert all(0.0 < row["half_width"] <= row["wanted"] == 0.02 for row in found["rows"])
    assert not [item for item in report("2%")["findings"] if item["code"] == "SIM-PRECISION"]


def test_the_report_finds_the_routes_that_are_known_less_well_than_was_asked() -> None:
    content = report("0.1%")
    rows = table(content, "precision")["rows"]
    every = f"{len(rows)} of {len(rows)}"
    assert table(content, "precision")["note"] == (
        f"7 of at most 7 replications: ±0.1% for every availability was not reached for {every} routes"
    )
    (told,) = [item for item in content["findings"] if item["code"] == "SIM-PRECISION"]
    assert told["title"].startswith(f"After 7 replications {every} availabilities are known less well")
    assert len(told["evidence"]) == len(rows)


def test_a_run_without_a_precision_says_that_none_was_asked_for() -> None:
    content = short_report("evening-peak")
    assert not [item for item in content["tables"] if item["name"] == "precision"]
    first = table(content, "statistics")["rows"][0]["how"]
    assert first.startswith("2 of at most 2 replications: no precision was asked for")


def test_p99_from_a_handful_of_requests_says_so_in_every_form(tmp_path: Path) -> None:
    prepared, results = short("evening-peak")
    made = build_report(prepared, results)
    write_report(made, tmp_path)
    out = io.StringIO()
    print_report(made, Console(file=out, width=200))
    words = "p99 from fewer than 300 samples"
    assert words in out.getvalue()
    for name in ("report.md", "report.html", "report.json", "tables/routes.csv"):
        assert words in (tmp_path / name).read_text(encoding="utf-8"), name


def test_a_threshold_on_the_p99_of_a_handful_of_requests_says_so() -> None:
    thresholds = {"http_req_duration{route:start.*}": ["p(99)<5000", "p(50)<5000"]}
    prepared = study("evening-peak", *SHORT, f"thresholds={json.dumps(thresholds)}")
    content = json.loads(report_json(prepared, run(prepared, survival=False)))
    assert [(item["passed"], item["note"]) for item in content["thresholds"]] == [
        (True, "p99 from fewer than 300 samples"),
        (True, ""),
    ]


def test_latency_through_an_overloaded_line_is_marked_as_growing_with_the_length_of_the_run() -> None:
    prepared = study("baseline-day", *SHORT, "network.uplink=1Mbit/s")
    marked = overloaded_routes(prepared)
    assert marked["photos.home.example.org"] == ("uplink",)
    assert "sonarr.home.example.org" not in marked  # asked from the LAN
    results = run(prepared, survival=False)
    for item in route_metrics(prepared, results):
        for interval in item.latency.values():
            says = "grows with the length of the run: uplink overloaded, there is no steady state"
            assert interval is None or interval.note.startswith(says) == (item.route in marked)


def test_two_runs_with_one_seed_are_compared_in_pairs() -> None:
    given = ("run.length=2m", "run.warmUp=10s", "run.replications=5", "objectives.routes=[]", "traffic.2.streams=[]")
    wide, narrow = study("evening-peak", *given), study("evening-peak", *given, "network.uplink=25Mbit/s")
    before, after = run(wide, survival=False), run(narrow, survival=False)
    frame = stowplan.compare(before, after).set_index(["route", "measure"])
    slower = frame.loc["photos.home.example.org", "median_s"]
    assert slower["low"] <= slower["difference"] <= slower["high"]
    assert slower["difference"] == pytest.approx(slower["after"] - slower["before"])
    assert slower["pairs"] == 5
    assert bool(slower["significant"])
    # From the LAN nothing changes: the same requests, drawn from the same streams, get the same answers.
    same = frame.loc["start.home.example.org", "p95_s"]
    assert (same["difference"], same["variance_reduction"]) == (0.0, 1.0)


def test_runs_of_different_length_are_not_compared() -> None:
    one, two = short("evening-peak")[1], asked("2%")[1]
    with pytest.raises(ValueError, match="the runs measured 120 s and 600 s"):
        stowplan.compare(one, two)
