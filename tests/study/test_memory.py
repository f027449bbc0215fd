"""Memory from the scenario file to the report: leaks, OOM kills, crash loops, evictions of whole nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_studies import asks, container, deployment, ingress, report, service, study

from models.errors import InputError
from sim.study import Study, run

ENGINES = pytest.mark.parametrize("engine", ["compiled", "reference"])
QUIET: dict[str, Any] = {"idleCpu": "0", "memoryPerRequest": "0", "startup": "0s"}
"""An app that uses what is said and nothing else."""


def app(name: str = "app", **resources: str) -> dict[str, Any]:
    return deployment(name, container(name, **asks(**resources)))


def events(prepared: Study, *kinds: str) -> list[tuple[float, str, str]]:
    """(time to the millisecond, kind, subject) of the only replication."""
    log = run(prepared, survival=False).replications[0].log
    return [(round(item.t, 3), item.kind, item.subject) for item in log.events if item.kind in kinds]


@ENGINES
def test_a_leak_of_50_mib_per_hour_into_10_mib_is_killed_every_twelve_minutes_and_never_backs_off(
    tmp_path: Path, engine: str
) -> None:
    # 90 MiB at rest, limit 100 MiB, 50 MiB/h: full after 720 s. A container that ran for more than 10 minutes has its
    # back-off forgotten, so that every restart is at once.
    prepared = study(
        tmp_path,
        [app(limit="100Mi", memory="90Mi"), service("app"), ingress("app")],
        profiles={"Deployment/home/app": {**QUIET, "memory": "90Mi", "memoryGrowth": "50Mi/h"}},
        traffic=[{"route": "*", "rate": "1/s"}],
        run={"length": "45m", "engine": engine},
    )
    assert [t for t, _, _ in events(prepared, "OOMKilled")] == [720.0, 1440.0, 2160.0]


@ENGINES
def test_a_fast_leak_backs_off_10_20_40_80_160_300_seconds(tmp_path: Path, engine: str) -> None:
    # 10 MiB at 3600 MiB/h: full after 10 s. The first restart is at once; then 10, 20, 40, 80, 160, 300, 300 s.
    prepared = study(
        tmp_path,
        [app(limit="100Mi", memory="90Mi"), service("app"), ingress("app")],
        profiles={"Deployment/home/app": {**QUIET, "memory": "90Mi", "memoryGrowth": "3600Mi/h"}},
        traffic=[{"route": "*", "rate": "1/s"}],
        run={"length": "18m", "engine": engine},
    )
    waits = [0, 10, 20, 40, 80, 160, 300, 300]
    expected, at = [10.0], 10.0
    for wait in waits:
        at += wait + 10.0
        expected.append(at)
    assert [t for t, _, _ in events(prepared, "OOMKilled")] == [t for t in expected if t < 1080.0]


def test_the_report_tells_the_kills_the_finding_and_the_back_off(tmp_path: Path) -> None:
    prepared = study(
        tmp_path,
        [app(limit="100Mi", memory="90Mi"), service("app"), ingress("app")],
        profiles={"Deployment/home/app": {**QUIET, "memory": "90Mi", "memoryGrowth": "3600Mi/h"}},
        traffic=[{"route": "*", "rate": "1/s"}],
        run={"length": "65s"},
    )
    told = report(prepared, run(prepared, survival=False))
    (finding,) = [item for item in told["findings"] if item["code"] == "SIM-OOM"]
    assert "killed 3 times" in finding["title"]  # at 10, 20 and 40 s; the next is at 70 s
    kinds = [item["kind"] for item in told["timeline"]]
    assert kinds.count("OOMKilled") == 3
    messages = [item["message"] for item in told["timeline"] if item["kind"] == "BackOff"]
    assert messages == ["Back-off 10s restarting failed container", "Back-off 20s restarting failed container"]


# ------------------------------------------------------------------------------------------------- whole nodes


def crowded(folder: Path, manifests: list[Any], **spec: Any) -> Study:
    """One Kubernetes node of 2 GiB with nothing reserved."""
    node: dict[str, Any] = {"name": "one", "machine": "m920q", "role": "server", "memory": "2Gi"}
    node["reserved"] = {"cpu": "0", "memory": "0"}
    cluster = {"distribution": "kubernetes", "nodes": [node], **spec.pop("cluster", {})}
    return study(folder, manifests, cluster=cluster, **spec)


def three_apps() -> list[dict[str, Any]]:
    """One below its request, one above it with priority, one above it without."""
    return [
        app("modest", memory="1Gi"),
        deployment("vital", container("vital", **asks(memory="100Mi")), priorityClassName="vital"),
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "vital"},
            "value": 1000,
        },
        app("greedy", memory="300Mi"),
        service("greedy"),
        ingress("greedy"),
    ]


THREE = {
    "Deployment/home/modest": {**QUIET, "memory": "900Mi"},
    "Deployment/home/vital": {**QUIET, "memory": "500Mi"},
    "Deployment/home/greedy": {**QUIET, "memory": "400Mi", "memoryGrowth": "3600Mi/h"},
}
"""1800 MiB at rest of 2048; the growth of 1 MiB/s reaches the threshold (100 MiB left) after 148 s."""


@ENGINES
def test_the_kubelet_evicts_the_pod_above_its_request_with_the_lowest_priority(tmp_path: Path, engine: str) -> None:
    prepared = crowded(
        tmp_path,
        three_apps(),
        profiles=THREE,
        traffic=[{"route": "*", "rate": "1/s"}],
        run={"length": "3m", "engine": engine},
    )
    found = events(prepared, "EvictionThresholdMet", "NodeHasInsufficientMemory", "Evicted", "SystemOOM")
    assert [(kind, subject.rpartition("/")[2].partition("-")[0]) for _, kind, subject in found] == [
        ("NodeHasInsufficientMemory", "one"),
        ("EvictionThresholdMet", "one"),
        ("Evicted", "greedy"),
    ]
    assert {148.0 < t <= 158.0 for t, _, _ in found} == {True}  # at the next of the looks every 10 s


def test_the_eviction_is_told_in_the_kubelets_words(tmp_path: Path) -> None:
    prepared = crowded(
        tmp_path,
        three_apps(),
        profiles={**THREE, "Deployment/home/greedy": {**QUIET, "memory": "600Mi"}},
        traffic=[{"route": "*", "rate": "1/s"}],
        run={"length": "1m"},
    )
    log = run(prepared, survival=False).replications[0].log
    message = next(item.message for item in log.events if item.kind == "Evicted")
    assert message == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 48Mi. "
        "Container greedy was using 600Mi, request is 300Mi, has larger consumption of memory. "
    )


def test_the_replacement_waits_for_the_taint_of_memory_pressure_to_go(tmp_path: Path) -> None:
    prepared = crowded(
        tmp_path,
        three_apps(),
        profiles={**THREE, "Deployment/home/greedy": {**QUIET, "memory": "600Mi"}},
        traffic=[{"route": "*", "rate": "1/s"}],
        run={"length": "6m"},
    )
    log = run(prepared, survival=False).replications[0].log
    assert next(item.message for item in log.events if item.kind == "TaintAdded") == (
        "node.kubernetes.io/memory-pressure:NoSchedule"
    )
    waits = next(item for item in log.events if item.kind == "FailedScheduling")
    assert waits.message.startswith(
        "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/memory-pressure: }."
    )
    relief = next(item for item in log.events if item.kind == "NodeHasSufficientMemory")
    again = next(item for item in log.events if item.kind == "Scheduled" and item.t > waits.t)
    assert relief.t >= waits.t + 300.0 - 10.0  # the condition is kept for 5 minutes after the last look below it
    assert relief.t <= again.t <= relief.t + 10.1  # the next status of the node takes the taint away


@ENGINES
def test_growth_faster_than_the_kubelets_looks_ends_with_the_kernels_oom_killer(tmp_path: Path, engine: str) -> None:
    # 248 MiB left, 124 MiB/s: nothing is left after 2 s. Scores: modest 900 MiB and 1000 - 1000 * 1024 / 2048 = 500,
    # vital 500 MiB and 952, greedy 648 MiB and 1000 - 146 = 854. Badness in MiB: 900 + 1024 = 1924,
    # 500 + 1949.7 = 2449.7, 648 + 1748.99 = 2397.0: vital goes first although it does not grow.
    prepared = crowded(
        tmp_path,
        three_apps(),
        profiles={**THREE, "Deployment/home/greedy": {**QUIET, "memory": "400Mi", "memoryGrowth": "446400Mi/h"}},
        traffic=[{"route": "*", "rate": "1/s"}],
        run={"length": "4s", "engine": engine},
        cluster={"distribution": "k3s"},
    )
    found = events(prepared, "SystemOOM", "OOMKilling", "Evicted")
    assert [kind for _, kind, _ in found][:2] == ["SystemOOM", "OOMKilling"]
    assert found[0][0] == pytest.approx(2.0, abs=0.001)
    assert found[1][2].startswith("Pod home/vital-")
    assert "Evicted" not in {kind for _, kind, _ in found}


def test_k3s_does_not_evict_for_memory_unless_told_to(tmp_path: Path) -> None:
    given: dict[str, Any] = {"profiles": THREE, "traffic": [{"route": "*", "rate": "1/s"}], "run": {"length": "3m"}}
    assert events(crowded(tmp_path, three_apps(), cluster={"distribution": "k3s"}, **given), "Evicted") == []
    told = crowded(
        tmp_path,
        three_apps(),
        cluster={"distribution": "k3s", "evictionHard": {"memory.available": "200Mi"}},
        **given,
    )
    t, _, _ = events(told, "Evicted")[0]
    assert 48.0 < t <= 58.0


def test_the_report_tells_which_node_ran_out_and_who_had_to_go(tmp_path: Path) -> None:
    prepared = crowded(
        tmp_path, three_apps(), profiles=THREE, traffic=[{"route": "*", "rate": "1/s"}], run={"length": "3m"}
    )
    told = report(prepared, run(prepared, survival=False))
    (finding,) = [item for item in told["findings"] if item["code"] == "SIM-NODE-MEMORY"]
    assert finding["subject"] == "Node one"
    assert finding["title"] == "one ran out of memory: pods evicted or killed: 1"
    assert "The node was low on resource: memory. Threshold quantity: 100Mi" in finding["evidence"][0]
    kinds = {item["kind"] for item in told["timeline"]}
    assert {"NodeHasInsufficientMemory", "EvictionThresholdMet", "Evicted"} <= kinds


def test_a_threshold_that_no_kubelet_reads_is_refused_with_its_field(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"spec\.cluster\.evictionHard: .*unsupported eviction signal memory\.free"):
        crowded(tmp_path, three_apps(), cluster={"evictionHard": {"memory.free": "1Gi"}})


def test_an_evicted_pod_finds_a_place_on_another_node(tmp_path: Path) -> None:
    wish = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["one"]}]}
    prefers = {
        "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": wish}]}
    }
    manifests = three_apps()
    for item in manifests:
        if item["kind"] == "Deployment":
            item["spec"]["template"]["spec"]["affinity"] = prefers
    nodes = [
        {
            "name": name,
            "machine": "m920q",
            "role": role,
            "memory": "2Gi",
            "reserved": {"cpu": "0", "memory": "0"},
        }
        for name, role in (("one", "server"), ("two", "agent"))
    ]
    prepared = study(
        tmp_path,
        manifests,
        cluster={"distribution": "kubernetes", "nodes": nodes},
        profiles={**THREE, "Deployment/home/greedy": {**QUIET, "memory": "600Mi"}},
        traffic=[{"route": "*", "rate": "1/s"}],
        run={"length": "2m"},
    )
    log = run(prepared, survival=False).replications[0].log
    lanes = [lane for lane in log.pod_lanes if lane.workload == "Deployment home/greedy"]
    assert lanes[0].segments[0].node == "one"
    assert (lanes[-1].segments[-1].node, lanes[-1].segments[-1].state) == ("two", "ready")
    assert [item.kind for item in log.events if item.kind in ("SystemOOM", "OOMKilling")] == []
