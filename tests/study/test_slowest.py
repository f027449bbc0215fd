"""Where the time of a request went: every instant counts once, where the request was deepest."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_studies import container, deployment, report, service, study
from study_runs import short, short_report

from reports.traffic_tables import path_of
from sim.measures import Exemplar, Hop, Parts
from sim.program import Outcome
from sim.slowest import Shares, SlowRequest, StationTime, breakdown, shares_of, slowest_requests
from sim.study import run

NAMES = ("proxy", "app", "database")


def exemplar(*hops: Hop, latency: float = 10.0) -> Exemplar:
    return Exemplar(0, 100.0, latency, Outcome.SERVED, 1, hops)


def times(*hops: Hop, latency: float = 10.0) -> tuple[float, dict[str, tuple[int, float, float]]]:
    outside, stations = breakdown(exemplar(*hops, latency=latency), NAMES)
    return outside, {one.pod: (one.visits, one.queue_s, one.work.total) for one in stations}


def test_time_in_a_callee_is_not_counted_for_its_caller() -> None:
    # One second on the way in and out; the app waits 2 s in its queue, calls the database for 3 of its 5 seconds.
    outside, found = times(
        Hop(2, 0, 104.5, 105.0, 107.5), Hop(1, 0, 102.0, 104.0, 109.0), Hop(0, 0, 101.0, 101.0, 109.0)
    )
    assert outside == pytest.approx(2.0)
    assert found["proxy"] == (1, 0.0, pytest.approx(1.0))
    assert found["app"] == (1, pytest.approx(2.0), pytest.approx(2.0))
    assert found["database"] == (1, pytest.approx(0.5), pytest.approx(2.5))


def test_parallel_calls_count_once() -> None:
    _, found = times(Hop(1, 0, 101.0, 101.0, 104.0), Hop(2, 0, 101.0, 101.0, 106.0), Hop(0, 0, 100.0, 100.0, 110.0))
    assert sum(queue + work for _, queue, work in found.values()) == pytest.approx(10.0)


def test_a_visit_that_outlives_the_request_counts_until_its_end() -> None:
    outside, found = times(Hop(1, 0, 101.0, 101.0, 150.0), latency=5.0)
    assert (outside, found["app"]) == (pytest.approx(1.0), (1, 0.0, pytest.approx(4.0)))


def test_a_request_that_no_pod_finished_was_outside_all_the_time() -> None:
    assert times(latency=30.0) == (30.0, {})


def test_what_a_visit_measured_of_its_time_is_told_and_the_rest_is_other() -> None:
    parts = Parts(cpu=3.0, work=1.0, throttled=2.0, disk=0.5, network=0.25)
    assert shares_of(parts, 7.0) == Shares(1.0, 2.0, 2.0, 0.5, 0.25, 1.25)


def test_a_visit_that_went_on_beside_others_counts_no_more_than_it_added() -> None:
    found = shares_of(Parts(cpu=3.0, work=3.0, disk=1.0), 2.0)
    assert found == Shares(cpu_s=1.5, disk_s=0.5)
    assert shares_of(Parts(), 0.0) == Shares()


def test_the_path_names_the_longest_station_first_and_takes_the_short_ones_together() -> None:
    stations = (
        StationTime("proxy", 1, 0.0, Shares(cpu_s=0.02, network_s=0.08)),
        StationTime("app", 2, 0.5, Shares(cpu_s=2.0, throttled_s=5.0, core_s=0.9, disk_s=0.1)),
        StationTime("cache", 9, 0.0, Shares(cpu_s=0.001)),
    )
    one = SlowRequest("route", "page", 0, 5.0, 10.0, Outcome.SERVED, 1, 1.399, stations)
    assert path_of(one, {"app": "home/app"}) == (
        "home/app ×2 8 s (5 s throttled, 900 ms waiting for a core, and 500 ms in its queue), "
        "proxy 100 ms (80 ms network), 1 other 1 ms, outside 1.4 s"
    )


def test_the_parts_of_every_slow_request_of_a_run_add_up_to_its_latency() -> None:
    found = slowest_requests(*short("evening-peak"))
    assert len(found) > 10
    for item in found:
        assert item.outside_s + item.queue_s + item.work.total == pytest.approx(item.latency_s)
        assert min(vars(item.work).values()) >= 0.0
        assert 0.0 <= item.at_s <= 120.0
    assert [item.latency_s for item in found] == sorted((item.latency_s for item in found), reverse=True)


def test_the_report_tells_the_slowest_requests_the_stations_and_the_links() -> None:
    tables = {table["name"]: table for table in short_report("evening-peak")["tables"]}
    first = tables["slowest"]["rows"][0]
    parts = ("queue_s", "cpu_s", "core_s", "throttled_s", "disk_s", "network_s", "other_s", "outside_s")
    assert sum(first[part] for part in parts) == pytest.approx(first["latency_s"])
    stations = {row["workload"]: row for row in tables["stations"]["rows"]}
    assert stations["Deployment infra/traefik"]["visits_rps"] > 10.0  # 17.8 requests a second arrive
    links = {row["link"]: row for row in tables["links"]["rows"]}
    assert 0.1 < links["uplink"]["use"] < 0.9
    charts = {series["chart"] for series in short_report("evening-peak")["series"]}
    assert {"requests", "latency", "links", "node-cpu", "availability"} <= charts


def test_queues_and_throttling_are_drawn_for_the_stretches_in_which_they_happen(tmp_path: Path) -> None:
    # Twelve requests a second of exactly 50 ms for one worker under 500m: 60 % of a core are asked for, 50 % are there.
    one = container(resources={"limits": {"cpu": "500m"}})
    plan = {"name": "page", "steps": [{"cpu": {"mean": "50ms", "law": "constant"}}]}
    prepared = study(
        tmp_path,
        [deployment("app", one), service("app")],
        cluster={"nodes": [{"name": "one", "machine": "m920q", "role": "server", "cores": 4, "speed": 1}]},
        profiles={"Deployment/home/app": {"workers": 1, "idleCpu": 0, "startup": "0s", "operations": [plan]}},
        traffic=[{"service": "home/app", "rate": "12/s"}],
    )
    curves = {item["chart"]: item for item in report(prepared, run(prepared, survival=False))["series"]}
    queue, throttled = curves["queues"], curves["throttled"]
    assert (queue["name"], throttled["name"]) == ("Deployment home/app",) * 2
    # Two more a second come than are served, until those who came 30 s ago give up: 360 wait.
    half = len(queue["y"]) // 2
    assert sum(queue["y"][half:]) / half == pytest.approx(360, rel=0.1)
    assert queue["y"][2] < 60
    assert throttled["y"][-1] == pytest.approx(0.5, abs=0.02)


def test_an_idle_platform_draws_neither_queues_nor_throttling() -> None:
    charts = {series["chart"] for series in short_report("baseline-day")["series"]}
    assert not charts & {"queues", "throttled"}
