"""Initial placement: admission, scheduling, volumes, head-room, and the static answer to the loss of a node.

Sentences are those of kube-scheduler (framework/types.go FitError) and of the quota admission plugin.
"""

import platform_worlds as w
import pytest

from sim.placement import lose_node, place_platform


def test_two_replicas_spread_over_two_empty_nodes():
    placement = place_platform(w.platform(w.deployment("web", 2), w.service("web")), w.cluster(agents=1), seed=7)
    assert sorted(pod.node for pod in placement.pods) == ["agent-1", "server-1"]
    assert {pod.state for pod in placement.pods} == {"placed"}


def test_names_are_those_of_kubernetes_and_do_not_depend_on_the_seed():
    tree = w.platform(w.deployment("web"), w.stateful_set("store", 2), w.daemon_set("agent"))
    first, second = (place_platform(tree, w.cluster(agents=1), seed=seed) for seed in (1, 2))
    assert [pod.name for pod in first.pods] == [pod.name for pod in second.pods]
    names = [pod.name for pod in first.pods]
    assert names[1:3] == ["store-0", "store-1"]
    head, digest, suffix = names[0].split("-")
    assert (head, len(digest), len(suffix)) == ("web", 10, 5)
    assert len({name for name in names if name.startswith("agent-")}) == 2


def test_seven_cores_do_not_fit_on_machines_with_six():
    placement = place_platform(w.platform(w.deployment("big", cpu="7")), w.cluster(), seed=1)
    (pod,) = placement.pods
    assert (pod.state, pod.node) == ("pending", None)
    assert pod.message == (
        "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: "
        "3 No preemption victims found for incoming pod."
    )


def test_a_third_pod_of_400m_is_refused_by_a_quota_of_one_core():
    tree = w.platform(w.deployment("web", 3, cpu="400m"), w.quota(requests_cpu="1"))
    placement = place_platform(tree, w.cluster(), seed=1)
    states = [pod.state for pod in placement.pods]
    assert states == ["placed", "placed", "refused"]
    refused = placement.pods[2]
    assert refused.message == (
        f'pods "{refused.name}" is forbidden: exceeded quota: home, requested: requests.cpu=400m, '
        "used: requests.cpu=800m, limited: requests.cpu=1"
    )
    assert [(use.key, use.used, use.hard) for use in placement.quota_uses()] == [("requests.cpu", "800m", "1")]


def test_an_init_container_without_a_request_is_refused_where_the_quota_tracks_cpu():
    tree = w.platform(w.deployment("web", init=True), w.quota(requests_cpu="4"))
    (pod,) = place_platform(tree, w.cluster(), seed=1).pods
    assert pod.message == f'pods "{pod.name}" is forbidden: failed quota: home: must specify requests.cpu for: prepare'


def test_a_limit_range_fills_the_request_that_the_quota_asks_for():
    limits = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "defaults", "namespace": "home"},
        "spec": {"limits": [{"type": "Container", "defaultRequest": {"cpu": "250m"}}]},
    }
    tree = w.platform(w.deployment("web", cpu=None), w.quota(requests_cpu="1"), limits)
    (pod,) = place_platform(tree, w.cluster(), seed=1).pods
    assert (pod.state, pod.cpu_request_m) == ("placed", 250)


def test_a_missing_priority_class_is_refused_in_the_words_of_the_api_server():
    (pod,) = place_platform(w.platform(w.deployment("web", priority_class="gold")), w.cluster(), seed=1).pods
    assert pod.message == f'pods "{pod.name}" is forbidden: no PriorityClass with name gold was found'


def test_a_daemon_set_runs_once_per_node_and_leaves_a_tainted_one_out():
    cluster = w.cluster(agents=2)
    taint = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
    cluster.nodes[2].manifest["spec"] = {"taints": [taint]}
    placement = place_platform(w.platform(w.daemon_set("agent")), cluster, seed=1)
    assert [pod.node for pod in placement.pods] == ["server-1", "agent-1"]


def test_k3s_brings_one_coredns_pod_of_100m_along():
    placement = place_platform(w.platform(w.deployment("web")), w.cluster(distribution="k3s"), seed=1)
    dns = placement.by_workload["Deployment kube-system/coredns"]
    assert [(pod.cpu_request_m, pod.priority, pod.state) for pod in dns] == [(100, 2_000_000_000, "placed")]


def test_losing_a_node_moves_the_stateless_pod_and_leaves_the_pinned_one_pending():
    tree = w.platform(
        w.local_path_class(),
        w.claim("media"),
        w.deployment("films", claim="media", node="agent-1"),
        w.deployment("web"),
    )
    placement = place_platform(tree, w.cluster(agents=1), seed=1)
    films = placement.by_workload["Deployment home/films"][0]
    assert [pin.says("films") for pin in films.pins] == [
        "volume home/media (local-path) pins films to agent-1 until it returns"
    ]
    answer = lose_node(placement, "agent-1")
    (lost,) = answer.unplaced
    assert lost.pod == films.key
    assert lost.message.startswith(
        "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, "
        "1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }."
    )
    web = placement.by_workload["Deployment home/web"][0]
    expected = (("agent-1", web.key),) if web.node == "agent-1" else ()
    assert [pod for pod, node in answer.moved if node == "server-1"] == [key for _, key in expected]


def test_losing_a_node_leaves_a_stateful_set_pod_without_a_volume_terminating():
    placement = place_platform(w.platform(w.stateful_set("store")), w.cluster(agents=1), seed=1)
    node = placement.pods[0].node
    (lost,) = lose_node(placement, str(node)).unplaced
    assert lost.message == (
        f"it stays Terminating on {node} until the node returns: a StatefulSet never runs two pods of one name"
    )


def test_losing_an_unknown_node_is_an_error():
    placement = place_platform(w.platform(w.deployment("web")), w.cluster(), seed=1)
    with pytest.raises(KeyError, match="nowhere"):
        lose_node(placement, "nowhere")


def test_a_database_of_two_instances_mounts_one_claim_each_on_two_nodes():
    database = {
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "metadata": {"name": "db", "namespace": "home"},
        "spec": {"instances": 2, "storage": {"size": "1Gi", "storageClass": "local-path"}},
    }
    placement = place_platform(w.platform(w.local_path_class(), database), w.cluster(agents=1), seed=1)
    assert [pod.name for pod in placement.pods] == ["db-1", "db-2"]
    assert [pod.pins[0].claim for pod in placement.pods] == ["home/db-1", "home/db-2"]
    assert len({pod.node for pod in placement.pods}) == 2


def test_requests_on_nodes_and_in_namespaces_sum_to_the_same_total():
    tree = w.platform(w.deployment("web", 5, cpu="300m"), w.stateful_set("store", 2), w.daemon_set("agent"))
    placement = place_platform(tree, w.cluster(), seed=1)
    rooms, spaces = placement.node_rooms(), placement.namespace_uses()
    assert (
        sum(room.cpu_requests_m for room in rooms) == sum(use.cpu_requests_m for use in spaces) == 5 * 300 + 200 + 300
    )
    assert all(room.cpu_allocatable_m == 6000 for room in rooms)
