"""What the compiler makes of the reference platform's callers, caches and loads."""

from __future__ import annotations

import json

from study_runs import SHORT, report_json, study

from sim.binding import EngineBinding
from sim.engine import make_engine
from sim.overload import expected_loads, overloads
from sim.platform.simulation import PlatformSimulation
from sim.program import Cache, Call, Cpu, Draw, Wait
from sim.study import advance_together, run

NEXTCLOUD = "Service utils/nextcloud dynamic"
REDIS, DATABASE = "Deployment utils/nextcloud-redis", "Service utils/nextcloud-db-rw"


def test_a_look_up_that_misses_is_followed_by_a_query() -> None:
    program = study("baseline-day", *SHORT).compiled.program
    operation = next(item for item in program.operations if item.name == NEXTCLOUD)
    looks = [index for index, step in enumerate(operation.instructions) if isinstance(step, Cache)]
    assert len(looks) == 15  # the catalogue's count
    for index in looks:
        before, cache, after = operation.instructions[index - 1 : index + 2]
        assert isinstance(before, Call)
        assert isinstance(cache, Cache)
        assert isinstance(after, Call)
        assert program.operations[before.operation].name == "Service utils/nextcloud-redis command"
        assert program.services[cache.service].name == REDIS
        assert (cache.hit_ratio, cache.skip, cache.working_set) == (0.9, 1, 2000.0)
        assert program.operations[after.operation].name == f"{DATABASE} query"


def test_assumed_hit_ratios_are_listed() -> None:
    assumptions = study("baseline-day", *SHORT).compiled.program.assumptions
    line = next(item for item in assumptions if "look-ups" in item)
    assert line.startswith("Deployment utils/nextcloud finds 90% of its look-ups in Service utils/nextcloud-redis")
    assert "assumed" in line


def test_the_proxy_goes_round_and_apps_go_through_kube_proxy() -> None:
    program = study("baseline-day", *SHORT).compiled.program
    ways = {}
    for operation, _, call in program.calls():
        caller = program.services[program.operations[operation].service].name
        callee = program.services[program.operations[call.operation].service].name
        ways[caller, callee] = call.policy.balance
    assert ways["Service infra/traefik", "Service utils/nextcloud"] == "round_robin"
    assert ways["Service infra/traefik", "Service infra/auth"] == "random"  # forward-auth goes by address
    assert ways["Service utils/nextcloud", "Service utils/nextcloud-redis"] == "random"


def test_an_evicted_cache_comes_back_cold_and_its_misses_go_to_the_database() -> None:
    prepared = study("baseline-day", *SHORT)
    compiled = prepared.compiled
    engine = make_engine(compiled.program, seed=1)
    binding = EngineBinding(engine, compiled, 0.0)
    simulation = PlatformSimulation(prepared.program, seed=1, replication=0, start=0.0, observer=binding)
    advance_together(simulation, binding, 5.0)
    service = compiled.services[REDIS]
    assert engine.cache_contents(service) == float("inf")
    pod = next(pod for pod in binding._pods.values() if pod.controller.model.workload.id == REDIS)
    binding.pod_stops(6.0, pod, "reset")
    binding.pod_answers(7.0, pod)
    assert engine.cache_contents(service) == 0.0


def test_the_reference_platform_at_rest_has_no_overload() -> None:
    prepared = study("baseline-day", *SHORT)
    assert overloads(prepared) == []
    assert max(load.utilisation for load in expected_loads(prepared)) < 0.5


def test_an_uplink_of_one_megabit_is_overloaded_and_the_report_says_so_with_its_utilisation() -> None:
    prepared = study("baseline-day", *SHORT, "network.uplink=1Mbit/s")
    found = json.loads(report_json(prepared, run(prepared, survival=False)))["findings"]
    told = [item for item in found if item["code"] == "SIM-OVERLOAD"]
    uplink = next(load for load in expected_loads(prepared) if load.station == "uplink")
    assert uplink.utilisation > 1.0
    assert [item["subject"] for item in told] == ["uplink"]
    assert f"utilisation {uplink.utilisation:.0%}" in told[0]["title"]


def test_one_in_ten_requests_pays_two_round_trips_and_the_cpu_of_a_handshake() -> None:
    program = study("baseline-day", *SHORT).compiled.program
    operation = next(
        item for item in program.operations if item.name.startswith("Service infra/traefik nextcloud.home.example.org")
    )
    at = next(index for index, step in enumerate(operation.instructions) if isinstance(step, Cache))
    kept, wait, work = operation.instructions[at : at + 3]
    rtt = program.sources[0].rtt
    assert kept == Cache(0.9, 2)
    assert wait == Wait(Draw(2 * rtt, "constant"))
    assert isinstance(work, Cpu)
    assert work.work.mean == 0.0015
