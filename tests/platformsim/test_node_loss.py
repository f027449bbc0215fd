"""The loss of a node, second by second, against Kubernetes' documented timers.

Expected times: node-monitor-grace-period 50 s (40 s before 1.32), toleration 300 s, termination grace (kubernetes/
website, taint-and-toleration and pod-lifecycle); pull (2 s) and start (10 s) are set by the test.
"""

from typing import Any

import platform_worlds as w
import pytest

from models import scenario as schema
from models.catalog import load_timings
from models.cluster import Cluster
from models.platform import Platform
from sim.placement import Placement, place_platform
from sim.platform.log import PlatformLog
from sim.platform.routes import Dependencies, RouteModel
from sim.platform.simulation import simulate_platform, survive_each_node
from sim.platform.workloads import template_hash

WEB = RouteModel("web.test", backends=(("Service home/web", 1.0),))
TOLD = "node agent-1 lost -> noticed after 50 s (node_monitor_grace_period 50 s)"


def placed_on_agent_1(tree: Platform, cluster: Cluster, workload: str = "Deployment home/web") -> tuple[Placement, int]:
    """A placement whose (first) pod of the workload is on agent-1, and its seed: ties are broken by the seed."""
    for seed in range(1, 100):
        placement = place_platform(tree, cluster, seed=seed)
        if placement.by_workload[workload][0].node == "agent-1":
            return placement, seed
    raise AssertionError("no seed puts the pod on agent-1")


def lose_agent_1(
    tree: Platform,
    cluster: Cluster,
    scenario: schema.Scenario,
    workload: str = "Deployment home/web",
    **options: Any,
) -> PlatformLog:
    placement, seed = placed_on_agent_1(tree, cluster, workload)
    return simulate_platform(tree, cluster, placement, scenario, seed=seed, **{"routes": (WEB,), **options})


def lines(log: PlatformLog) -> list[str]:
    return [f"{event.t:.1f} {event.kind} {event.subject}: {event.message}" for event in log.events]


def test_the_whole_log_of_a_single_replica_that_is_away_for_362_seconds():
    tree = w.platform(w.deployment("web"), w.service("web"))
    log = lose_agent_1(tree, w.cluster(), w.exact(faults=[w.node_stop("agent-1", duration="10m")]))
    old, new = "web-wq2gq4k8ng-n8tc2", "web-wq2gq4k8ng-fn47d"
    target = next(lane.segments[-1].node for lane in log.pod_lanes if lane.pod == f"home/{new}")
    assert target in ("server-1", "agent-2")
    assert lines(log) == [
        "100.0 Fault crash: NodeChaos node-stop: agent-1",
        "100.0 NodeLost agent-1: agent-1 stops",
        "150.0 NodeNotReady agent-1: Node is not ready",
        "150.0 TaintAdded agent-1: node.kubernetes.io/unreachable:NoExecute",
        f"450.0 TaintManagerEviction Pod home/{old}: Marking for deletion Pod home/{old}",
        f"450.0 SuccessfulCreate Deployment home/web: Created pod: {new}",
        f"450.0 Scheduled Pod home/{new}: Successfully assigned home/{new} to {target}",
        f'450.0 Pulling Pod home/{new}: Pulling image "example/web:1"',
        f"452.0 Ready Pod home/{new}: {new} is ready",
        "700.0 NodeReturned agent-1: agent-1 is back",
        "700.0 NodeReady agent-1: Node is ready again",
        "700.0 FaultEnds crash: NodeChaos node-stop is over",
    ]
    (outage,) = log.routes["web.test"].outages
    # 50 s of grace, 300 s of toleration, 2 s of pull, 10 s of start; without a probe it is an endpoint while it starts.
    assert (outage.start, outage.end) == (100.0, pytest.approx(462.0, abs=0.01))
    assert outage.cause == f"home/web: {TOLD} + toleration 300 s + image pull 2.0 s + start 10 s"
    states = [(round(s.start), round(s.end), s.node, s.state) for lane in log.pod_lanes for s in lane.segments]
    assert states == [
        (0, 100, "agent-1", "ready"),
        (100, 700, "agent-1", "lost"),
        (450, 452, target, "pending"),
        (452, 3600, target, "ready"),
    ]


def test_kubernetes_1_31_notices_ten_seconds_earlier():
    tree = w.platform(w.deployment("web"), w.service("web"))
    log = lose_agent_1(tree, w.cluster(version="1.31"), w.exact(faults=[w.node_stop("agent-1")]))
    assert log.routes["web.test"].outages[0].end == pytest.approx(452.0, abs=0.01)


def test_with_random_phases_the_replacement_is_made_340_to_355_seconds_after_the_crash():
    # The range of the timings catalogue (k8s.replacement_pod_created_after_node_loss).
    tree = w.platform(w.deployment("web"), w.service("web"))
    placement, seed = placed_on_agent_1(tree, w.cluster())
    scenario = w.scenario(faults=[w.node_stop("agent-1")])
    waits = []
    for replication in range(40):
        log = simulate_platform(
            tree, placement.cluster, placement, scenario, seed=seed, replication=replication, routes=(WEB,)
        )
        waits.append(next(event.t for event in log.events if event.kind == "SuccessfulCreate") - 100.0)
    assert 340.0 <= min(waits) < 344.0
    assert 350.0 < max(waits) <= 355.0


@pytest.mark.parametrize(("timers", "seconds"), [({}, 300), ({"k8s.default_noexecute_toleration": 20.0}, 20)])
def test_pods_that_say_nothing_stay_on_a_lost_node_as_long_as_the_cluster_says(
    timers: dict[str, float], seconds: int
) -> None:
    timings = load_timings().with_overrides(timers)
    placement = place_platform(w.platform(w.deployment("web")), w.cluster(), timings=timings)
    (pod,) = placement.by_workload["Deployment home/web"]
    assert [item["tolerationSeconds"] for item in pod.manifest["spec"]["tolerations"]] == [seconds, seconds]


def test_a_toleration_of_20_seconds_of_its_own_is_respected():
    tolerations = [{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "tolerationSeconds": 20}]
    tree = w.platform(w.deployment("web", tolerations=tolerations), w.service("web"))
    log = lose_agent_1(tree, w.cluster(), w.exact(faults=[w.node_stop("agent-1")]))
    assert log.routes["web.test"].outages[0].end == pytest.approx(182.0, abs=0.01)


def test_with_a_replica_elsewhere_half_of_the_requests_fail_for_51_seconds():
    tree = w.platform(w.deployment("web", 2), w.service("web"))
    log = lose_agent_1(tree, w.cluster(), w.exact(faults=[w.node_stop("agent-1")]))
    route = log.routes["web.test"]
    assert route.outages == ()
    degradation = route.degradations[0]
    assert (degradation.start, degradation.availability) == (100.0, 0.5)
    assert degradation.end == pytest.approx(151.0, abs=0.01)
    assert degradation.cause == f"home/web: {TOLD} + removal from endpoints 1.0 s"
    assert route.mean(100.0, 151.0) == pytest.approx(0.5, abs=0.001)


def test_a_node_that_returns_within_the_grace_only_restarts_its_pods():
    tree = w.platform(w.deployment("web"), w.service("web"))
    log = lose_agent_1(tree, w.cluster(), w.exact(faults=[w.node_stop("agent-1", duration="30s")]))
    assert [event.kind for event in log.events if event.kind in ("NodeNotReady", "SuccessfulCreate")] == []
    (outage,) = log.routes["web.test"].outages
    assert (outage.start, outage.end) == (100.0, pytest.approx(140.0, abs=0.01))
    assert outage.cause == "home/web: node agent-1 lost -> until agent-1 returned 30 s + start 10 s"


def _stem() -> str:
    workload = pinned_world().workload_by_id["Deployment home/web"]
    return f"home/web-{template_hash(workload, 1)}"


def pinned_world() -> Platform:
    return w.platform(w.local_path_class(), w.claim("media"), w.deployment("web", claim="media"), w.service("web"))


def test_a_local_path_volume_keeps_its_pod_away_until_the_node_returns():
    log = lose_agent_1(pinned_world(), w.cluster(), w.exact(faults=[w.node_stop("agent-1", duration="20m")]))
    (outage,) = log.routes["web.test"].outages
    assert (outage.start, outage.end) == (100.0, pytest.approx(1310.0, abs=0.01))
    pin = "volume home/media (local-path) pins web to agent-1 until it returns"
    assert outage.cause == (f"home/web: {TOLD} + toleration 300 s + waiting for a node 850 s ({pin}) + start 10 s")
    waiting = [event.message for event in log.events if event.kind == "FailedScheduling"]
    assert waiting[0] == (
        "0/3 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }, "
        "2 node(s) had volume node affinity conflict. preemption: 0/3 nodes are available: "
        "3 Preemption is not helpful for scheduling."
    )


def test_a_pinned_pod_is_still_away_at_the_end_and_the_pin_is_named():
    log = lose_agent_1(pinned_world(), w.cluster(), w.exact(faults=[w.node_stop("agent-1")]))
    (outage,) = log.routes["web.test"].outages
    assert outage.end is None
    assert outage.cause == ("node agent-1 lost: volume home/media (local-path) pins web to agent-1 until it returns")
    assert [key.rpartition("-")[0] for key in log.pending] == [_stem()]


def test_a_replaced_node_comes_back_without_the_data():
    fault = w.node_stop("agent-1", duration="20m", action="node-replace")
    log = lose_agent_1(pinned_world(), w.cluster(), w.exact(faults=[fault]))
    assert [event.subject for event in log.events if event.kind == "DataLost"] == ["home/media"]
    assert log.routes["web.test"].outages[0].end is not None


def test_a_stateful_set_pod_stays_terminating_until_its_node_is_back():
    tree = w.platform(w.stateful_set("web"), w.service("web"))
    faults = [w.node_stop("agent-1", duration="20m")]
    log = lose_agent_1(tree, w.cluster(), w.exact(faults=faults), "StatefulSet home/web")
    created = [event.t for event in log.events if event.kind == "SuccessfulCreate"]
    assert created == [1300.0]
    # On agent-1 the image is still there; elsewhere it is pulled first.
    assert log.routes["web.test"].outages[0].end == pytest.approx(1311.0, abs=1.5)


def test_a_daemon_set_pod_is_not_evicted_and_starts_again_with_its_node():
    tree = w.platform(w.daemon_set("web"), w.service("web"))
    placement = place_platform(tree, w.cluster(), seed=1)
    faults = [w.node_stop("agent-1", duration="20m")]
    log = simulate_platform(tree, placement.cluster, placement, w.exact(faults=faults), seed=1, routes=(WEB,))
    assert [event.kind for event in log.events if event.subject.startswith("Pod")] == ["Ready"]
    assert len(log.pod_lanes) == 3


def test_without_its_only_server_nothing_is_healed_and_running_pods_go_on():
    tree = w.platform(w.deployment("web", 2), w.service("web"))
    cluster = w.cluster(servers=1, agents=2)
    for node in cluster.nodes[:1]:
        node.manifest["spec"] = {"unschedulable": True}
    placement, seed = placed_on_agent_1(tree, cluster)
    faults = [w.node_stop("server-1", "100s", "30m"), {**w.node_stop("agent-1", "200s"), "name": "second"}]
    log = simulate_platform(tree, cluster, placement, w.exact(faults=faults), seed=seed, routes=(WEB,))
    kinds = [(event.t, event.kind) for event in log.events if event.kind != "Fault"]
    assert kinds[:3] == [(100.0, "NodeLost"), (100.0, "ControlPlaneLost"), (200.0, "NodeLost")]
    # SQLite elects nobody: the controllers run when the server is back, and give agent-1 a whole grace from then on.
    assert (1900.0, "ControlPlaneActive") in kinds
    noticed = [event.t for event in log.events if event.kind == "NodeNotReady" and event.subject == "agent-1"]
    assert noticed == [pytest.approx(1950.0, abs=0.01)]
    assert log.routes["web.test"].mean(200.0, 1900.0) == 0.5


def test_three_servers_survive_one_and_two_servers_do_not():
    tree = w.platform(w.deployment("web"), w.service("web"))
    for servers, lost in ((3, False), (2, True)):
        cluster = w.cluster(servers=servers, agents=1)
        placement = place_platform(tree, cluster, seed=1)
        log = simulate_platform(
            tree, cluster, placement, w.exact(faults=[w.node_stop("server-2")]), seed=1, routes=(WEB,)
        )
        assert any(event.kind == "ControlPlaneLost" for event in log.events) is lost


def test_a_partition_evicts_and_the_healed_node_ends_its_old_pod_after_30_seconds():
    tree = w.platform(w.deployment("web"), w.service("web"))
    cut = {"name": "cut", "type": "NetworkChaos", "action": "partition", "selector": {"nodes": ["agent-1"]}}
    log = lose_agent_1(tree, w.cluster(), w.exact(faults=[{**cut, "at": "100s", "duration": "10m"}]))
    old = next(lane for lane in log.pod_lanes if lane.segments[0].start == 0.0)
    assert [(round(s.start), round(s.end), s.state) for s in old.segments] == [
        (0, 100, "ready"),
        (100, 700, "lost"),
        (700, 730, "terminating"),
    ]


def test_losing_each_of_three_nodes_gives_seconds_minutes_or_until_return():
    tree = w.platform(
        w.local_path_class(),
        w.claim("media"),
        w.deployment("films", claim="media", node="agent-1"),
        w.service("films"),
        w.deployment("web", node=""),
        w.service("web"),
        w.deployment("wiki", 2),
        w.service("wiki"),
    )
    routes = [
        RouteModel(f"{name}.test", backends=((f"Service home/{name}", 1.0),)) for name in ("films", "web", "wiki")
    ]
    cluster = w.cluster()
    placement = next(
        item
        for item in (place_platform(tree, cluster, seed=seed) for seed in range(1, 100))
        if item.by_workload["Deployment home/web"][0].node == "agent-2"
    )
    losses = survive_each_node(tree, cluster, placement, w.exact(), seed=1, routes=routes)
    found = {(item.node, item.route): item for item in losses}
    assert len(found) == 9
    films = found["agent-1", "films.test"]
    assert films.outage_s is None
    assert films.cause == "node agent-1 lost: volume home/media (local-path) pins films to agent-1 until it returns"
    assert [entry.partition(": ")[2][:72] for entry in films.pending] == [
        "0/3 nodes are available: 1 node(s) had untolerated taint {node.kubernete"
    ]
    assert found["agent-2", "web.test"].outage_s == pytest.approx(362.0, abs=0.01)
    assert found["agent-1", "web.test"].outage_s == found["server-1", "web.test"].outage_s == 0.0
    assert all(found[node.name, "wiki.test"].outage_s == 0.0 for node in cluster.nodes)


def test_a_route_is_down_when_a_hard_dependency_is_and_degraded_without_a_soft_one():
    tree = w.platform(w.deployment("web"), w.service("web"), w.deployment("store"), w.service("store"))
    scenario = w.exact(faults=[w.fault("pod-failure", "home/store", duration="60s")])
    placement = place_platform(tree, w.cluster(), seed=1)
    needs = RouteModel(
        "hard", backends=(("Service home/web", 1.0),), needs={"Service home/web": ("Service home/store",)}
    )
    wants = RouteModel("soft", backends=(("Service home/web", 1.0),), wants=("Service home/store",))
    log = simulate_platform(tree, placement.cluster, placement, scenario, seed=1, routes=(needs, wants))
    (outage,) = log.routes["hard"].outages
    assert (outage.start, outage.end) == (100.0, pytest.approx(170.0))
    assert log.routes["soft"].outages == ()
    assert log.routes["soft"].degradations[0].availability == 1.0


def test_an_init_container_waits_for_the_service_it_needs():
    tree = w.platform(w.deployment("web"), w.service("web"), w.deployment("store"), w.service("store"))
    faults = [
        w.fault("pod-failure", "home/store", duration="300s"),
        w.fault("pod-kill", "home/web", at="150s"),
    ]
    placement = place_platform(tree, w.cluster(), seed=1)
    log = simulate_platform(
        tree,
        placement.cluster,
        placement,
        w.exact(faults=faults),
        seed=1,
        routes=(WEB,),
        dependencies=Dependencies(startup={"Deployment home/web": ("Service home/store",)}),
    )
    (outage,) = log.routes["web.test"].outages
    # The store answers at 410 s; then the web pod starts in ten seconds.
    assert (outage.start, outage.end) == (150.0, pytest.approx(420.0, abs=0.1))
    assert "waiting for home/store" in outage.cause


def test_evictions_stop_when_more_than_half_of_a_small_cluster_is_away():
    # k8s.unhealthy_zone_threshold 0.55 with at least 3 NotReady nodes; no evictions in clusters of up to 50 nodes.
    tree = w.platform(w.deployment("web", 5), w.service("web"))
    cluster = w.cluster(servers=1, agents=4)
    placement = place_platform(tree, cluster, seed=1)
    faults = [{**w.node_stop(f"agent-{n}"), "name": f"crash-{n}"} for n in (1, 2, 3)]
    log = simulate_platform(tree, cluster, placement, w.exact(faults=faults), seed=1, routes=(WEB,), until=3000.0)
    tainted = [event.subject for event in log.events if event.kind == "TaintAdded"]
    # Two taints fit in before the third node is noticed; the bucket gives one token per ten seconds.
    assert len(tainted) <= 1
    assert len([event for event in log.events if event.kind == "NodeNotReady"]) == 3


def test_two_nodes_lost_at_once_are_tainted_ten_seconds_apart():
    tree = w.platform(w.deployment("web", 3), w.service("web"))
    cluster = w.cluster(servers=1, agents=4)
    placement = place_platform(tree, cluster, seed=1)
    faults = [{**w.node_stop(f"agent-{n}"), "name": f"crash-{n}"} for n in (1, 2)]
    log = simulate_platform(tree, cluster, placement, w.exact(faults=faults), seed=1, routes=(WEB,), until=3000.0)
    times = [event.t for event in log.events if event.kind == "TaintAdded"]
    assert times[1] - times[0] == pytest.approx(10.0)


def test_a_route_that_is_down_at_rest_is_not_blamed_on_a_node():
    tree = w.platform(w.deployment("web", cpu="7"), w.service("web"))
    cluster = w.cluster()
    placement = place_platform(tree, cluster, seed=1)
    losses = survive_each_node(tree, cluster, placement, w.exact(), seed=1, routes=(WEB,))
    assert {item.outage_s for item in losses} == {None}
    assert losses[0].cause.startswith("down before any node is lost: 0/3 nodes are available: 3 Insufficient cpu.")
