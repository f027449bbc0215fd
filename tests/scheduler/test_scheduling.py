"""Whole decisions with literal expectations: sentences, pins, ties, promises, DaemonSets, and hostile sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from models.scheduler import Snapshot, daemonset_pod, local_path_volume, schedule_pod, with_bindings
from models.scheduler.daemonset import runs_on
from models.scheduler.status import fit_error
from models.scheduler.taints import Taint, Toleration

Manifest = dict[str, Any]
LOCAL_PATH = {
    "metadata": {"name": "local-path"},
    "provisioner": "rancher.io/local-path",
    "volumeBindingMode": "WaitForFirstConsumer",
}


def node(name: str, cpu: str = "4", memory: str = "8Gi", pods: str = "110", **spec: Any) -> Manifest:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": spec,
        "status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods}},
    }


def pod(name: str, cpu: str = "0", memory: str = "0", claim: str = "", **spec: Any) -> Manifest:
    requests = {"cpu": cpu, "memory": memory}
    if claim:
        spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    return {
        "metadata": {"name": name, "namespace": "apps", "labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": requests}}], **spec},
    }


def claim(name: str, storage_class: str = "local-path", size: str = "1Gi") -> Manifest:
    return {
        "metadata": {"name": name, "namespace": "apps", "uid": "7a"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": size}},
        },
    }


def test_a_volume_on_a_full_node_gives_the_well_known_sentence() -> None:
    data = claim("data")
    volume = local_path_volume(data, "a")
    bound = {**data, "spec": {**data["spec"], "volumeName": volume["metadata"]["name"]}}
    snapshot = Snapshot.of([node("a"), node("b", memory="16Gi"), node("c", memory="16Gi")], pvs=[volume], pvcs=[bound])
    decision = schedule_pod(pod("big", memory="9Gi", claim="data"), snapshot)
    assert decision.node is None
    assert decision.message == (
        "0/3 nodes are available: 1 Insufficient memory, 2 node(s) had volume node affinity conflict. "
        "preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, "
        "2 Preemption is not helpful for scheduling."
    )


def test_reasons_are_sorted_as_text_so_ten_comes_before_two() -> None:
    reasons = {"Insufficient cpu": 2, "Too many pods": 10}
    assert fit_error(12, reasons) == "0/12 nodes are available: 10 Too many pods, 2 Insufficient cpu."


@pytest.mark.parametrize(
    ("wanted", "objects", "message"),
    [
        (
            pod("p", claim="gone"),
            {},
            (
                '0/1 nodes are available: persistentvolumeclaim "gone" not found. '
                "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
            ),
        ),
        (
            pod("p", claim="data"),
            {"pvcs": [claim("data", "missing-class")]},
            (
                "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. "
                "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
            ),
        ),
        (
            pod("p", cpu="5", preemptionPolicy="Never"),
            {},
            "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.",
        ),
        (
            pod("p", schedulingGates=[{"name": "quota"}]),
            {},
            "Scheduling is blocked due to non-empty scheduling gates",
        ),
        (
            pod("p", nodeSelector={"disk": "ssd"}),
            {},
            (
                "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. "
                "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
            ),
        ),
    ],
)
def test_a_pending_pod_is_explained_in_the_scheduler_s_words(
    wanted: Manifest, objects: dict[str, list[Manifest]], message: str
) -> None:
    assert schedule_pod(wanted, Snapshot.of([node("a")], **objects)).message == message


def test_without_nodes_the_message_is_that_of_an_empty_cluster() -> None:
    assert schedule_pod(pod("p"), Snapshot.of([])).message == "no nodes available to schedule pods"


def test_a_cordoned_and_a_tainted_node_name_what_keeps_the_pod_away() -> None:
    taint = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
    decision = schedule_pod(pod("p"), Snapshot.of([node("a", unschedulable=True), node("b", taints=[taint])]))
    assert decision.reasons == {
        "a": ("node(s) were unschedulable",),
        "b": ("node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }",),
    }


def test_a_late_binding_claim_pins_every_later_pod_to_the_first_pod_s_node() -> None:
    snapshot = Snapshot.of([node("a", cpu="2"), node("b")], pvcs=[claim("data")], storage_classes=[LOCAL_PATH])
    first = schedule_pod(pod("one", cpu="1", claim="data"), snapshot)
    assert first.node == "b"
    assert [(item.claim, item.node, item.provisioner) for item in first.volumes] == [
        ("apps/data", "b", "rancher.io/local-path")
    ]
    after = with_bindings(snapshot, first.volumes).with_pod(pod("one", cpu="1", claim="data"), "b")
    volume = after.objects.pvs["pvc-7a"]
    assert volume["spec"]["hostPath"]["path"] == "/var/lib/rancher/k3s/storage/pvc-7a_apps_data"
    assert volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"] == [
        {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["b"]}]}
    ]
    assert schedule_pod(pod("two", cpu="1", claim="data"), after).node == "b"
    second = schedule_pod(pod("two", cpu="4", claim="data"), after)
    assert second.reasons == {
        "a": ("Insufficient cpu",),
        "b": ("Insufficient cpu",),
    }
    assert schedule_pod(pod("two", cpu="1", claim="data"), snapshot).node == "b"


def test_ties_go_to_the_first_node_or_where_the_tie_breaker_says() -> None:
    snapshot = Snapshot.of([node("a"), node("b"), node("c")])
    seen: list[list[str]] = []

    def middle(names: Sequence[str]) -> int:
        seen.append(list(names))
        return 1

    assert schedule_pod(pod("p"), snapshot).node == "a"
    assert schedule_pod(pod("p"), snapshot, tie_breaker=middle).node == "b"
    assert seen == [["a", "b", "c"]]


def test_victims_are_the_lowest_pods_and_the_node_is_promised_not_taken() -> None:
    running = [
        {**pod(f"low-{name}", cpu="3", priority=rank), "status": {"startTime": "2024-01-01T00:00:00Z"}}
        for name, rank in (("a", 5), ("b", 1))
    ]
    snapshot = Snapshot.of([node("a"), node("b")])
    for item, place in zip(running, ("a", "b"), strict=True):
        snapshot = snapshot.with_pod(item, place)
    decision = schedule_pod(pod("vip", cpu="2", priority=100), snapshot)
    assert (decision.node, decision.nominated, decision.victims) == (None, "b", ("apps/low-b",))
    assert decision.message == "0/2 nodes are available: 2 Insufficient cpu."


def test_a_budget_without_status_counts_its_bound_pods_and_turns_the_choice() -> None:
    budget = {
        "metadata": {"name": "b", "namespace": "apps"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "low-b"}}},
    }
    snapshot = Snapshot.of([node("a"), node("b")], pdbs=[budget])
    snapshot = snapshot.with_pod(pod("low-a", cpu="3", priority=5), "a").with_pod(
        pod("low-b", cpu="3", priority=1), "b"
    )
    assert schedule_pod(pod("vip", cpu="2", priority=100), snapshot).victims == ("apps/low-a",)


def test_room_promised_to_a_nominated_pod_is_kept_from_equals_but_not_from_superiors() -> None:
    snapshot = Snapshot.of([node("a")]).with_nominated(pod("waiting", cpu="3", priority=10), "a")
    assert schedule_pod(pod("equal", cpu="2", priority=10), snapshot).reasons == {"a": ("Insufficient cpu",)}
    assert schedule_pod(pod("higher", cpu="2", priority=11), snapshot).node == "a"
    assert schedule_pod(pod("waiting", cpu="3", priority=10), snapshot).node == "a"
    bound = snapshot.with_pod(pod("waiting", cpu="3", priority=10), "a")
    assert (bound.nominated, bound.free("a")["cpu"]) == ((), 1000)


def test_a_daemonset_pod_goes_to_its_node_even_when_that_is_cordoned() -> None:
    template = {"metadata": {"labels": {"app": "agent"}}, "spec": {"containers": [{"name": "c"}], "hostNetwork": True}}
    made = daemonset_pod(template, "b")
    assert template["spec"].get("affinity") is None
    assert [item["key"].partition("/")[2] for item in made["spec"]["tolerations"]] == [
        "not-ready",
        "unreachable",
        "disk-pressure",
        "memory-pressure",
        "pid-pressure",
        "unschedulable",
        "network-unavailable",
    ]
    nodes = [node("a"), node("b", unschedulable=True), node("c")]
    assert schedule_pod(made, Snapshot.of(nodes)).node == "b"
    full = Snapshot.of([node("a"), node("b", pods="0"), node("c")])
    assert schedule_pod(made, full).message == (
        "0/3 nodes are available: 1 Too many pods, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]. "
        "preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, "
        "2 Preemption is not helpful for scheduling."
    )
    tainted = node("d", taints=[{"key": "gpu", "effect": "NoSchedule"}])
    assert [runs_on(template, item) for item in (nodes[1], tainted)] == [True, False]


def test_services_spread_their_pods_over_nodes_without_any_constraint() -> None:
    service = {"metadata": {"name": "s", "namespace": "apps"}, "spec": {"selector": {"app": "web"}}}
    web = pod("web", cpu="100m", memory="100Mi")
    # The first node is emptier in every respect but holds one pod of the service.
    snapshot = Snapshot.of([node("a", cpu="40", memory="80Gi"), node("b")], services=[service])
    without = Snapshot.of([node("a", cpu="40", memory="80Gi"), node("b")])
    assert schedule_pod(web, snapshot.with_pod(web, "a")).node == "b"
    assert schedule_pod(web, without.with_pod(web, "a")).node == "a"


def test_older_snapshots_keep_their_state_whichever_is_used_last() -> None:
    start = Snapshot.of([node("a")])
    one = start.with_pod(pod("one", cpu="1"), "a")
    two = one.with_pod(pod("two", cpu="2"), "a")
    back = two.without_pod("apps/one")
    assert [item.free("a")["cpu"] for item in (start, back, one, two, start)] == [4000, 2000, 3000, 1000, 4000]
    assert [item.name for item in two.pods_on("a")] == ["one", "two"]
    assert (two.node_of("apps/two"), one.node_of("apps/two")) == ("a", None)


def test_finished_pods_hold_nothing_and_unknown_nodes_do_not_count() -> None:
    done = {**pod("done", cpu="3", nodeName="a"), "status": {"phase": "Succeeded"}}
    elsewhere = pod("elsewhere", cpu="3", nodeName="gone")
    assert Snapshot.of([node("a")], [done, elsewhere]).free("a") == {"cpu": 4000, "memory": 8 * 2**30, "pods": 110}


def test_a_node_without_capacity_says_too_many_pods() -> None:
    bare = {"metadata": {"name": "bare"}}
    decision = schedule_pod(pod("p", cpu="1"), Snapshot.of([bare]))
    assert decision.reasons == {"bare": ("Too many pods", "Insufficient cpu")}


def test_capacity_stands_in_for_missing_allocatable_as_the_api_server_has_it() -> None:
    bare = {"metadata": {"name": "n"}, "status": {"capacity": {"cpu": "1500m", "memory": "1Gi", "pods": "10"}}}
    assert Snapshot.of([bare]).free("n") == {"cpu": 1500, "memory": 2**30, "pods": 10}


def test_ten_thousand_pods_on_one_node_stop_at_its_limit_of_pods() -> None:
    snapshot = Snapshot.of([node("a", cpu="100", memory="1Ti")])
    placed = 0
    for number in range(10_000):
        item = pod(f"p{number}", cpu="1m")
        if schedule_pod(item, snapshot).node is None:
            break
        snapshot, placed = snapshot.with_pod(item, "a"), placed + 1
    assert placed == 110


@pytest.mark.parametrize(
    ("operator", "taint", "bound", "expected"),
    [
        ("Gt", "950", "750", True),
        ("Gt", "800", "950", False),
        ("Lt", "3", "5", True),
        ("Lt", "5", "5", False),
        ("Gt", "010", "5", False),
        ("Gt", "+10", "5", False),
        ("Gt", "10.5", "5", False),
        ("Gt", "9223372036854775808", "5", False),
    ],
)
def test_numeric_tolerations_compare_plain_int64_text(operator: str, taint: str, bound: str, expected: bool) -> None:
    assert Toleration("sla", operator, bound, "NoSchedule").tolerates(Taint("sla", taint, "NoSchedule")) is expected
