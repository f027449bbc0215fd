"""The check of the warm-up: silent on a steady platform, heard where queues are still filling, blind to faults."""

from __future__ import annotations

import json

import numpy as np
import pytest
from study_runs import SHORT, report_json, short_report, study

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


def test_films_of_fifty_minutes_are_a_fifth_under_way_after_ten() -> None:
    (film, other) = check_warm_up(study("evening-peak", "run.length=2m", "run.warmUp=10m")).streams
    # Poisson arrivals of exponential films: 1 - exp(-10 / 50).
    assert film.name == "jellyfin.home.example.org film"
    assert (film.share, other.share) == (pytest.approx(0.18127, abs=1e-5), pytest.approx(0.18127, abs=1e-5))


def test_the_report_states_the_rule_and_finds_a_warm_up_too_short_for_a_queue_near_its_capacity() -> None:
    # 49 requests a second for photos ask the machine-learning pod for 96 % of its workers: its queue needs minutes.
    traffic = [{"route": "photos.home.example.org", "rate": "49/s"}]
    given = (f"traffic={json.dumps(traffic)}", "run.length=5m", "run.warmUp=5s", "run.replications=2")
    prepared = study("evening-peak", *given, "objectives.routes=[]")
    content = json.loads(report_json(prepared, run(prepared, survival=False)))
    rule = {item["key"]: item["value"] for item in content["assumptions"]}
    assert rule["warm-up"] == "5 s from an empty platform are simulated and not measured (run.warmUp)"
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
