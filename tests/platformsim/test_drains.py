"""Draining every node on paper, in the words of the API server and kubectl.

Words: pkg/registry/core/pod/storage/eviction.go, kubectl pkg/drain/filters.go (Kubernetes 1.33).
"""

from __future__ import annotations

from typing import Any

import platform_worlds as w
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.drains import DrainAnswer, drain_node
from sim.placement import Placement, place_platform

REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."


def budget(name: str = "web", app: str = "web", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": "home"},
        "spec": {"selector": {"matchLabels": {"app": app}}, **spec},
    }


def at_rest(*manifests: dict[str, Any], **cluster: Any) -> Placement:
    return place_platform(w.platform(*manifests), w.cluster(**cluster), seed=1)


def drain_of(placement: Placement, app: str) -> DrainAnswer:
    """The drain of the node on which the app's first pod is."""
    node = next(pod.node for pod in placement.pods if pod.workload.endswith(f"/{app}"))
    assert node is not None
    return drain_node(placement, node)


def test_a_budget_of_one_for_one_replica_blocks_the_drain_for_ever() -> None:
    placement = at_rest(w.deployment("web"), budget(minAvailable=1))
    drain = drain_of(placement, "web")
    assert not drain.ends
    (blocked,) = drain.blocked
    assert blocked.budgets == ("web",)
    assert blocked.message == REFUSED
    assert blocked.cause == "The disruption budget web needs 1 healthy pods and has 1 currently"
    assert (drain.moved, drain.pending) == ((), ())


def test_two_replicas_on_one_node_leave_one_after_the_other() -> None:
    placement = at_rest(w.deployment("web", 2, node="agent-1"), budget(minAvailable=1))
    free = at_rest(w.deployment("web", 2), budget(minAvailable=1), agents=0, servers=1)
    # Bound to the node, the first one stays pending and the second one is all that is left.
    drain = drain_node(placement, "agent-1")
    assert (len(drain.pending), len(drain.blocked)) == (1, 1)
    assert drain.blocked[0].cause == "The disruption budget web needs 1 healthy pods and has 1 currently"
    assert "1 node(s) were unschedulable" in drain.pending[0].message
    assert "2 node(s) didn't match Pod's node affinity/selector" in drain.pending[0].message
    # On a cluster of one node there is nowhere to go either.
    assert not drain_node(free, "server-1").ends


def test_with_room_elsewhere_every_replica_moves_within_its_budget() -> None:
    placement = at_rest(w.deployment("web", 4), budget(maxUnavailable=1))
    for node in ("server-1", "agent-1", "agent-2"):
        drain = drain_node(placement, node)
        assert drain.ends
        assert len(drain.moved) == len(placement.on_node(node))
        assert all(target != node for _, target in drain.moved)


def test_two_budgets_for_one_pod_are_not_supported_by_the_eviction_api() -> None:
    placement = at_rest(w.deployment("web", 3), budget("one", maxUnavailable=1), budget("two", maxUnavailable=2))
    (blocked,) = drain_of(placement, "web").blocked[:1]
    assert blocked.budgets == ("one", "two")
    assert blocked.message == (
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
    )


def test_a_bare_pod_needs_force_and_is_gone_for_good() -> None:
    bare = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "alone", "namespace": "home"},
        "spec": w.pod_spec("alone"),
    }
    drain = drain_of(at_rest(bare), "alone")
    assert drain.flags == ("--force",)
    assert drain.needs[0].message == (
        "cannot delete cannot delete Pods that declare no controller (use --force to override): home/alone"
    )
    assert drain.gone == ("home/alone",)
    assert drain.ends


def test_local_storage_needs_a_flag_and_then_moves() -> None:
    placement = at_rest(w.deployment("web", volumes=[{"name": "scratch", "emptyDir": {}}]))
    drain = drain_of(placement, "web")
    pod = placement.pods[0].key
    assert drain.flags == ("--delete-emptydir-data",)
    assert drain.needs[0].message == (
        f"cannot delete Pods with local storage (use --delete-emptydir-data to override): {pod}"
    )
    assert [name for name, _ in drain.moved] == [pod]


def test_daemon_pods_are_left_alone() -> None:
    placement = at_rest(w.daemon_set("agent"))
    drain = drain_node(placement, "agent-1")
    assert (drain.moved, drain.blocked, drain.pending, drain.needs) == ((), (), (), ())


def test_a_volume_on_the_node_keeps_its_pod_pending() -> None:
    placement = at_rest(w.local_path_class(), w.claim("data"), w.deployment("web", claim="data"))
    drain = drain_of(placement, "web")
    (pending,) = drain.pending
    assert drain.ends
    assert "1 node(s) were unschedulable" in pending.message
    assert "2 node(s) had volume node affinity conflict" in pending.message
    assert [pin.claim for pin in pending.pins] == ["home/data"]


def test_a_quota_without_room_for_itself_does_not_hinder_a_drain() -> None:
    placement = at_rest(w.deployment("web", 2, cpu="500m"), w.quota(requests_cpu="1"))
    for node in ("server-1", "agent-1", "agent-2"):
        assert not drain_node(placement, node).pending


def database(instances: int) -> dict[str, Any]:
    return {
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "metadata": {"name": "db", "namespace": "home"},
        "spec": {"instances": instances, "storage": {"size": "1Gi", "storageClass": "local-path"}},
    }


def test_the_budget_of_a_single_database_instance_blocks_its_node() -> None:
    drain = drain_of(at_rest(w.local_path_class(), database(1)), "db")
    assert [item.budgets for item in drain.blocked] == [("db-primary",)]
    assert drain.blocked[0].message == REFUSED


def test_of_two_database_instances_the_other_becomes_the_primary_before_the_drain() -> None:
    placement = at_rest(w.local_path_class(), database(2))
    for pod in placement.pods:
        assert pod.node is not None
        assert drain_node(placement, pod.node).ends


def test_an_unknown_node_is_an_error() -> None:
    with pytest.raises(KeyError):
        drain_node(at_rest(w.deployment("web")), "nowhere")


@settings(max_examples=25, deadline=None)
@given(
    apps=st.lists(
        st.tuples(st.integers(1, 4), st.sampled_from(["100m", "1500m", "3"]), st.sampled_from([None, 0, 1, "50%"])),
        min_size=1,
        max_size=4,
    )
)
def test_every_pod_of_a_drained_node_ends_in_one_way_and_no_budget_is_broken(apps: list[Any]) -> None:
    manifests = []
    for number, (replicas, cpu, unavailable) in enumerate(apps):
        manifests.append(w.deployment(f"a{number}", replicas, cpu=cpu))
        if unavailable is not None:
            manifests.append(budget(f"a{number}", f"a{number}", maxUnavailable=unavailable))
    placement = at_rest(*manifests)
    for node in ("server-1", "agent-1", "agent-2"):
        drain = drain_node(placement, node)
        ends = [
            *(name for name, _ in drain.moved),
            *(item.pod for item in drain.blocked),
            *(item.pod for item in drain.pending),
        ]
        assert sorted(ends) == sorted(pod.key for pod in placement.on_node(node))
        for number, (replicas, _, unavailable) in enumerate(apps):
            if unavailable is None:
                continue
            allowed = -(-replicas // 2) if unavailable == "50%" else unavailable
            names = {pod.key for pod in placement.pods if pod.workload.endswith(f"/a{number}")}
            before = sum(pod.node is None for pod in placement.pods if pod.key in names)
            lost = sum(item.pod in names for item in drain.pending)
            assert lost <= max(0, allowed - before)
