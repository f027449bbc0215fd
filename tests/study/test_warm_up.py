"""The check of the warm-up: silent on a steady platform, heard where queues are still filling, blind to faults."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from study_runs import SHORT, report_json, short_report, study

from sim.compile.traffic import under_way
from sim.engine import make_engine
from sim.measures import EngineMeasures
from sim.program import Cpu, Draw, Node, Operation, PodStation, Program, Service, Source
from sim.statistics import initial_bias
from sim.study import run
from sim.warm_up import check_warm_up, judge_warm_up

LENGTH, BINS = 2400.0, 240


def single_queue(rate: float) -> Program:
    """M/M/1 with a mean service of 0.1 s."""
    return Program(
        nodes=(Node("n", 1.0),),
        services=(Service("s"),),
        operations=(Operation("o", 0, (Cpu(Draw(0.1)),)),),
        sources=(Source("c", 0, ((0, 1.0),), rates=(rate,)),),
        routes=("r",),
        pods=(PodStation("p", 0, 0, workers=1),),
        bin_width=LENGTH / BINS,
        bins=BINS,
    )


def pilots(rate: float) -> list[EngineMeasures]:
    found = []
    for replication in range(3):
        engine = make_engine(single_queue(rate), seed=5, replication=replication)
        engine.advance(LENGTH)
        found.append(engine.measures())
    return found


def test_a_queue_at_half_load_is_steady_at_once() -> None:
    found = list(judge_warm_up(pilots(5.0), 60.0))
    assert [one.series for one in found] == ["latency", "requests in flight"]
    assert not any(one.early for one in found)


def test_a_queue_beyond_its_capacity_is_not_steady_after_any_warm_up() -> None:
    # 11 requests a second at 10 per second: the queue grows by one a second for as long as one looks.
    found = list(judge_warm_up(pilots(11.0), 60.0))
    assert all(one.early for one in found)
    assert all(one.after_s == LENGTH / 2 for one in found)  # the edge of MSER's search: too short to tell


def test_noise_has_an_initial_bias_as_seldom_as_the_test_says() -> None:
    generator = np.random.default_rng(1)
    alarms = sum(initial_bias(generator.normal(size=36)) < 0.01 for _ in range(3000))
    assert 0.004 <= alarms / 3000 <= 0.016  # 0.01 with three standard errors of 3000 trials


def test_a_climb_at_the_begin_is_an_initial_bias() -> None:
    generator = np.random.default_rng(2)
    climb = -4.0 * np.exp(-np.arange(36) / 5.0)
    assert initial_bias(generator.normal(size=36) + climb) < 0.001


def test_a_constant_or_short_series_has_no_bias() -> None:
    assert initial_bias(np.ones(40)) == 1.0
    assert initial_bias(np.arange(7.0)) == 1.0


def test_faults_and_operations_do_not_reach_the_pilots() -> None:
    disturbed = study("node-loss", *SHORT, "faults.0.at=1s", "faults.0.duration=1m")
    calm = study("node-loss", *SHORT, "faults=[]")
    assert check_warm_up(disturbed) == check_warm_up(calm)
    assert check_warm_up(disturbed).early == ()


def test_four_films_an_hour_of_fifty_minutes_each_are_three_and_a_third_from_the_begin() -> None:
    program = study("evening-peak", *SHORT, "traffic.2.streams.0.rate=4/h").compiled.program
    (film,) = [source for source in program.sources if source.name == "jellyfin.home.example.org film"]
    assert film.under_way == pytest.approx(4 * 50 / 60)


def test_films_that_came_in_the_hour_before_midnight_are_under_way_as_far_as_they_last() -> None:
    # One an hour between 23:00 and midnight, none else: exp(-age / 30 min) of them last, an integral of 0 to 60 min.
    rates = [0.0] * 23 + [1 / 3600.0]
    assert under_way(rates, 0.0, 1800.0) == pytest.approx(0.5 * (1 - math.exp(-2.0)))
    assert under_way(rates, 1800.0, 1800.0) == pytest.approx(0.5 * (math.exp(-1.0) - math.exp(-3.0)))


def test_the_report_states_the_rule_and_finds_a_warm_up_too_short_for_a_queue_near_its_capacity() -> None:
    # 49 requests a second for photos ask the machine-learning pod for 96 % of its workers: its queue needs minutes.
    traffic = [{"route": "photos.home.example.org", "rate": "49/s"}]
    given = (f"traffic={json.dumps(traffic)}", "run.length=5m", "run.warmUp=5s", "run.replications=2")
    prepared = study("evening-peak", *given, "objectives.routes=[]")
    content = json.loads(report_json(prepared, run(prepared, survival=False)))
    rule = {item["key"]: item["value"] for item in content["assumptions"]}
    assert rule["warm-up"] == (
        "5 s from a platform without requests are simulated and not measured (run.warmUp); "
        "streams are under way from the begin"
    )
    assert rule["warm-up, checked"].startswith("3 undisturbed pilots of 4 min: latency steady after ")
    (told,) = [item for item in content["findings"] if item["code"] == "SIM-WARM-UP"]
    assert told["title"] == "A warm-up of 5 s ends before the platform is steady"
    assert told["evidence"][-1].startswith("requests in flight: steady after ")
    assert told["way_out"].startswith("set run.warmUp to ")


def test_the_reference_platform_is_steady_before_its_measuring_begins() -> None:
    content = short_report("evening-peak")
    assert not [item for item in content["findings"] if item["code"] == "SIM-WARM-UP"]
    (table,) = [item for item in content["tables"] if item["name"] == "statistics"]
    assert [row["what"] for row in table["rows"]][:3] == ["Replications", "Warm-up", "Warm-up, checked"]
