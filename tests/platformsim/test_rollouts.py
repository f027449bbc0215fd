"""Rollouts, quotas, drains and scaling in time.

Sources of the expected behaviour: the Deployment controller's arithmetic (maxSurge, maxUnavailable, Recreate), the
quota admission plugin's sentence, client-go's rate limiter (5 ms doubling to 1000 s), kubernetes/kubernetes#89209.
"""

from typing import Any

import platform_worlds as w
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models import scenario as schema
from models.errors import InputError
from sim.placement import place_platform
from sim.platform.log import PlatformLog
from sim.platform.routes import RouteModel
from sim.platform.simulation import simulate_platform

WEB = RouteModel("web.test", backends=(("Service home/web", 1.0),))


def operation(kind: str, target: str, at: str = "100s", **extra: Any) -> dict[str, Any]:
    return {"name": f"{kind} {target}", "type": kind, "target": target, "at": at, **extra}


def run(*manifests: dict[str, Any], operations: list[dict[str, Any]], cluster: Any = None, **spec: Any) -> PlatformLog:
    tree = w.platform(*manifests)
    cluster = cluster or w.cluster()
    placement = place_platform(tree, cluster, seed=1)
    scenario: schema.Scenario = w.exact(operations=operations, **spec)
    return simulate_platform(tree, cluster, placement, scenario, seed=1, routes=(WEB,))


def verdicts(log: PlatformLog) -> list[tuple[str, str, str]]:
    return [(item.workload, item.verdict, item.reason) for item in log.rollouts]


PROBE = {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1}


def test_a_single_replica_rolls_out_in_12_seconds_and_is_missed_for_the_one_that_proxies_need():
    log = run(w.deployment("web", readiness=PROBE), w.service("web"), operations=[operation("rollout", "home/web")])
    (rollout,) = log.rollouts
    # Pull 2 s, start 10 s, and the probe hits exactly then.
    assert (rollout.verdict, rollout.duration_s) == ("complete", pytest.approx(12.0, abs=0.01))
    # The old pod closes its socket on SIGTERM, while the proxies still know only it: the classic gap without preStop.
    (outage,) = log.routes["web.test"].outages
    assert (outage.start, outage.end) == (pytest.approx(112.0), pytest.approx(113.0))


def test_a_pre_stop_sleep_of_5_seconds_closes_the_gap():
    web = w.deployment("web", readiness=PROBE)
    container = web["spec"]["template"]["spec"]["containers"][0]
    container["lifecycle"] = {"preStop": {"exec": {"command": ["sh", "-c", "sleep 5"]}}}
    log = run(web, w.service("web"), operations=[operation("rollout", "home/web")])
    assert log.routes["web.test"].outages == log.routes["web.test"].degradations == ()


def test_recreate_is_away_for_the_grace_and_the_start():
    web = w.deployment("web", readiness=PROBE, strategy={"type": "Recreate"}, grace=30)
    log = run(web, w.service("web"), operations=[operation("rollout", "home/web")])
    (outage,) = log.routes["web.test"].outages
    # 30 s of grace, 2 s of pull, 10 s of start, 1 s until the proxies know.
    assert (outage.start, outage.end) == (100.0, pytest.approx(143.0, abs=0.01))
    assert verdicts(log) == [("Deployment home/web", "complete", "")]


def test_a_quota_without_room_for_the_surge_pod_is_stuck_for_ever():
    # kubernetes/kubernetes#89209.
    log = run(
        w.deployment("web", 2, cpu="500m"), w.quota(requests_cpu="1"), operations=[operation("rollout", "home/web")]
    )
    ((workload, verdict, reason),) = verdicts(log)
    assert (workload, verdict) == ("Deployment home/web", "stuck")
    assert reason.endswith(
        "is forbidden: exceeded quota: home, requested: requests.cpu=500m, "
        "used: requests.cpu=1, limited: requests.cpu=1"
    )
    assert [event.t for event in log.events if event.kind == "ProgressDeadlineExceeded"] == [700.0]


@pytest.mark.parametrize(("strategy", "verdict"), [("RollingUpdate", "stuck"), ("Recreate", "complete")])
def test_21_5_used_and_3_for_the_surge_pod_do_not_fit_under_24(strategy: str, verdict: str):
    log = run(
        w.deployment("big", cpu="3", strategy={"type": strategy}),
        w.deployment("rest", 5, cpu="3700m"),
        w.quota(requests_cpu="24"),
        operations=[operation("rollout", "home/big")],
        cluster=w.cluster(agents=5),
    )
    assert [item.verdict for item in log.rollouts] == [verdict]
    used = [sample.used for sample in log.quota_usage if sample.t == 0.0]
    assert used == ["21500m"]


def test_refused_pods_are_tried_again_with_doubling_delays_up_to_1000_seconds():
    log = run(
        w.deployment("web", cpu="1"), w.quota(requests_cpu="1"), operations=[operation("rollout", "home/web", at="0s")]
    )
    (refusal,) = log.refusals
    # 5 ms, 10 ms, … : attempts at 0.005 * (2^n - 1) s; the 18th delay would be 655 s, later ones 1000 s.
    attempts = 1 + sum(0.005 * (2**n - 1) <= 3600.0 and 0.005 * 2 ** (n - 1) <= 1000.0 for n in range(1, 30))
    beyond = (3600.0 - 0.005 * (2**18 - 1)) // 1000.0
    assert refusal.count == attempts + beyond
    assert refusal.first == 0.0


def test_a_terminating_pod_stays_charged_until_its_grace_of_60_seconds_ends():
    web = w.deployment("web", cpu="1", grace=60, strategy={"type": "Recreate"})
    log = run(web, w.quota(requests_cpu="1"), operations=[operation("rollout", "home/web")])
    assert [(round(s.t), s.used) for s in log.quota_usage] == [(0, "1"), (160, "0"), (160, "1")]


def test_more_quota_lets_a_stuck_rollout_complete_at_the_next_attempt():
    log = run(
        w.deployment("web", cpu="1"),
        w.quota(requests_cpu="1"),
        operations=[
            operation("rollout", "home/web"),
            operation("quota", "home/home", at="200s", hard={"requests.cpu": "2"}),
        ],
    )
    (rollout,) = log.rollouts
    # Attempts at 100 + 0.005 * (2^n - 1): the first after 200 s is at 263.8 s; then pull and start.
    assert rollout.verdict == "complete"
    assert rollout.start + rollout.duration_s == pytest.approx(100.0 + 0.005 * (2**15 - 1) + 2.0, abs=0.1)


def test_a_broken_version_never_takes_over_and_the_rollback_completes():
    log = run(
        w.deployment("web", readiness=PROBE),
        w.service("web"),
        operations=[
            operation("rollout", "home/web", broken=True),
            operation("rollback", "home/web", at="1000s"),
        ],
    )
    assert [item.verdict for item in log.rollouts] == ["superseded", "complete"]
    assert [event.t for event in log.events if event.kind == "ProgressDeadlineExceeded"] == [pytest.approx(700.0)]
    assert log.routes["web.test"].outages == ()


def test_a_surge_pod_of_a_local_path_claim_is_forced_onto_the_same_full_node():
    log = run(
        w.local_path_class(),
        w.claim("media"),
        w.deployment("web", cpu="4", claim="media"),
        operations=[operation("rollout", "home/web")],
    )
    ((_, verdict, reason),) = verdicts(log)
    assert verdict == "stuck"
    assert reason.startswith(
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had volume node affinity conflict."
    )


def test_a_stateful_set_of_three_is_updated_from_the_top_one_at_a_time():
    log = run(
        w.stateful_set("web", 3, readiness=PROBE, grace=5),
        w.service("web"),
        operations=[operation("rollout", "home/web")],
    )
    created = [event.message for event in log.events if event.kind == "SuccessfulCreate"]
    assert created == ["Created pod: web-2", "Created pod: web-1", "Created pod: web-0"]
    (rollout,) = log.rollouts
    assert rollout.verdict == "complete"
    # Three times 5 s grace and 10 s start; each node pulls the new version once (2 s).
    assert 45.0 <= rollout.duration_s <= 52.0


def test_a_daemon_set_is_updated_one_node_at_a_time():
    daemons = w.daemon_set("web", grace=5, readiness=PROBE)
    log = run(daemons, w.service("web"), operations=[operation("rollout", "home/web")])
    assert [item.verdict for item in log.rollouts] == ["complete"]
    # The proxies know two pods (the third is back but not in their lists yet) when the next of them goes.
    assert min(value for _, value in log.routes["web.test"].steps) == 0.5


def test_scaling_up_by_three_makes_three_pods_and_scaling_down_removes_them():
    log = run(
        w.deployment("web"),
        operations=[
            operation("scale", "home/web", replicas=4),
            operation("scale", "home/web", at="200s", replicas=1),
        ],
    )
    assert len([event for event in log.events if event.kind == "SuccessfulCreate"]) == 3
    ended = [lane for lane in log.pod_lanes if lane.segments[-1].state == "terminating"]
    assert len(ended) == 3


def budget(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "home"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, **spec},
    }


def test_a_budget_of_one_blocks_the_drain_of_a_single_replica():
    tree = (w.deployment("web", node="agent-1"), w.service("web"), budget(minAvailable=1))
    log = run(*tree, operations=[operation("drain", "agent-1")])
    blocked = [event for event in log.events if event.kind == "DrainBlocked"]
    (message,) = [event.message for event in blocked]
    assert message == (
        "Cannot evict pod as it would violate the pod's disruption budget. "
        "The disruption budget web needs 1 healthy pods and has 1 currently"
    )
    assert log.routes["web.test"].outages == ()


def test_a_drain_within_the_budget_moves_two_replicas_one_after_the_other():
    tree = w.platform(w.deployment("web", 3, readiness=PROBE), w.service("web"), budget(minAvailable=2))
    cluster = w.cluster(servers=1, agents=1)
    placement = place_platform(tree, cluster, seed=1)
    node = next(node.name for node in cluster.nodes if len(placement.on_node(node.name)) == 2)
    log = simulate_platform(
        tree, cluster, placement, w.exact(operations=[operation("drain", node)]), seed=1, routes=(WEB,)
    )
    evicted = [event.t for event in log.events if event.kind == "Evicted"]
    # The first replacement starts in 10 s (its image is on the other node); kubectl asks every 5 s.
    assert evicted == [100.0, 110.0 + 5.0]
    assert [event.message for event in log.events if event.kind == "Drained"] == ["drained after 45 s"]
    assert log.routes["web.test"].outages == ()


def test_argo_cd_notices_within_three_minutes_and_waits_for_each_wave():
    first, second = w.deployment("web"), w.deployment("store")
    second["metadata"]["annotations"] = {"argocd.argoproj.io/sync-wave": "1"}
    log = run(first, second, operations=[operation("sync", "home/*")])
    syncs = [event for event in log.events if event.kind == "Sync"]
    assert [event.message for event in syncs] == ["wave 0: Deployment home/web", "wave 1: Deployment home/store"]
    assert 100.0 <= syncs[0].t <= 280.0
    assert syncs[1].t - syncs[0].t == pytest.approx(2.0, abs=0.1)


def test_an_operation_on_something_unknown_is_an_input_error():
    with pytest.raises(InputError, match="there is no 'home/nothing'"):
        run(w.deployment("web"), operations=[operation("rollout", "home/nothing")])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    replicas=st.integers(1, 4),
    cpu=st.integers(1, 8),
    hard=st.integers(4, 40),
    surge=st.integers(0, 2),
    unavailable=st.integers(0, 2),
)
def test_one_rollout_under_a_quota_completes_exactly_when_brute_force_says_so(
    replicas: int, cpu: int, hard: int, surge: int, unavailable: int
):
    if surge == 0 and unavailable == 0:
        surge = 1
    if replicas * cpu > hard:
        return
    strategy = {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable},
    }
    log = run(
        w.deployment("web", replicas, cpu=f"{cpu}00m", strategy=strategy, grace=1),
        w.quota(requests_cpu=f"{hard}00m"),
        operations=[operation("rollout", "home/web")],
        run={"length": "3h", "warmUp": "0"},
    )
    # A pod of the new version can come as long as one of the old may go first (then a slot is free), or fits beside.
    possible = min(unavailable, replicas) > 0 or (replicas + 1) * cpu <= hard
    assert (log.rollouts[0].verdict == "complete") is possible
