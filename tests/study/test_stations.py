"""What the compiler makes of the reference platform's callers, caches and loads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_studies import container, deployment, ingress, service
from small_studies import study as small_study
from study_runs import SHORT, report_json, study

from sim.binding import EngineBinding
from sim.engine import make_engine
from sim.overload import expected_loads, overloads
from sim.platform.simulation import PlatformSimulation
from sim.program import Cache, Call, Cpu, Draw, Wait
from sim.study import advance_together, replicate, run

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


def test_a_shorter_cfs_period_of_the_kubelet_throttles_for_a_shorter_time(tmp_path: Path) -> None:
    # 30 ms of work under 500m: at once within the 50 ms of a period of 100 ms; else 5 ms in each of six of 10 ms.
    found = {}
    for period in ("100ms", "10ms"):
        plan = {"name": "page", "steps": [{"cpu": {"mean": "29ms", "law": "constant"}}]}
        prepared = small_study(
            tmp_path,
            [deployment("app", container(resources={"limits": {"cpu": "500m"}})), service("app")],
            cluster={
                "nodes": [{"name": "one", "machine": "m920q", "role": "server", "cores": 4, "speed": 1}],
                "timers": {"k8s.cfs_quota_period": period},
            },
            network={"lanRtt": 0},
            profiles={"Deployment/home/app": {"idleCpu": 0, "startup": "0s", "operations": [plan]}},
            traffic=[{"service": "home/app", "bursts": [{"at": "10s", "requests": 1}]}],
            run={"length": "1m"},
        )
        found[period] = replicate(prepared, 0).measures.mean_latency(0)
    assert found == {"100ms": pytest.approx(0.029), "10ms": pytest.approx(0.054)}


def test_a_pod_has_the_limit_of_its_limit_range_and_the_weight_of_the_request_that_follows_from_it(
    tmp_path: Path,
) -> None:
    bounds = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "defaults", "namespace": "home"},
        "spec": {"limits": [{"type": "Container", "default": {"cpu": "250m", "memory": "64Mi"}}]},
    }
    prepared = small_study(tmp_path, [bounds, deployment("app", container()), service("app"), ingress("app")])
    station = prepared.compiled.stations["Deployment home/app"]
    assert (station.cpu_limit, station.cpu_weight, station.qos) == (0.25, 256.0, "guaranteed")
    assert station.memory_limit == 64 * 2**20


def test_a_pod_without_requests_is_best_effort_and_a_limit_of_5m_gets_the_least_quota(tmp_path: Path) -> None:
    manifests = [deployment("free", container()), deployment("tiny", container(resources={"limits": {"cpu": "5m"}}))]
    stations = small_study(tmp_path, [*manifests, service("free"), ingress("free")]).compiled.stations
    free, tiny = stations["Deployment home/free"], stations["Deployment home/tiny"]
    assert (free.qos, free.cpu_weight, free.cpu_limit) == ("besteffort", 2.0, float("inf"))
    assert (tiny.qos, tiny.cpu_weight, tiny.cpu_limit) == ("burstable", 5.0, 0.01)


def test_a_burst_of_half_the_quota_is_what_a_period_may_take_over(tmp_path: Path) -> None:
    prepared = small_study(
        tmp_path,
        [deployment("app", container(resources={"limits": {"cpu": "500m"}})), service("app"), ingress("app")],
        cluster={
            "nodes": [{"name": "one", "machine": "m920q", "role": "server"}],
            "cfsBurst": "50%",
        },
    )
    assert prepared.compiled.stations["Deployment home/app"].cpu_burst == pytest.approx(0.025)
