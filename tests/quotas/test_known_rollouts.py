"""Public cases and hand-worked ones: verdicts in the API server's and the scheduler's words, times, witnesses.

Sources: kubernetes/kubernetes#89209; ResourceQuota's admission sentence; the scheduler's FitError; Argo CD sync waves.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "platformsim"))
import platform_worlds as w

from sim.placement import Placement, place_platform
from sim.rollouts.verdict import RolloutVerdict, judge_rollouts, run_rollouts

RECREATE = {"type": "Recreate"}


def placed(*manifests: dict[str, Any], agents: int = 2) -> Placement:
    return place_platform(w.platform(*manifests), w.cluster(agents=agents), seed=1)


def judge(placement: Placement, *names: str, **options: Any) -> RolloutVerdict:
    chosen = [item for item in placement.platform.workloads if not names or item.name in names]
    return judge_rollouts(placement, chosen, **options)


def waved(manifest: dict[str, Any], wave: str) -> dict[str, Any]:
    manifest["metadata"]["annotations"] = {"argocd.argoproj.io/sync-wave": wave}
    return manifest


def rolling(surge: Any, unavailable: Any) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


def test_a_full_namespace_quota_leaves_no_room_for_the_surge_pod_and_the_rollout_is_stuck_for_ever() -> None:
    found = judge(placed(w.deployment("web", 2, cpu="500m"), w.quota(requests_cpu="1")))
    assert (found.verdict, found.seconds) == ("stuck", None)
    assert found.says.endswith(
        "is forbidden: exceeded quota: home, requested: requests.cpu=500m, used: requests.cpu=1, "
        "limited: requests.cpu=1"
    )


@pytest.mark.parametrize(("kind", "verdict"), [("RollingUpdate", "stuck"), ("Recreate", "completes")])
def test_21_5_used_and_3_for_the_surge_pod_do_not_fit_under_24_unless_the_old_pod_goes_first(
    kind: str, verdict: str
) -> None:
    big = w.deployment("big", cpu="3", strategy={"type": kind})
    found = judge(placed(big, w.deployment("rest", 5, cpu="3700m"), w.quota(requests_cpu="24"), agents=5), "big")
    assert found.verdict == verdict
    if verdict == "stuck":
        assert "requested: requests.cpu=3, used: requests.cpu=21500m, limited: requests.cpu=24" in found.says


def test_a_rollout_that_completes_says_after_how_many_seconds() -> None:
    # At rest all is ready; the new pod pulls its image and starts, then the old one has its grace of 7 s.
    probe = {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1}
    found = judge(placed(w.deployment("web", cpu="1", readiness=probe, grace=7), w.quota(requests_cpu="2")))
    assert found.verdict == "completes"
    assert found.seconds is not None
    assert found.says == f"completes after {found.seconds:.0f} s"


def test_two_surge_pods_that_fit_one_after_the_other_complete_in_any_order() -> None:
    found = judge(placed(w.deployment("a", cpu="500m"), w.deployment("b", cpu="500m"), w.quota(requests_cpu="1500m")))
    assert found.verdict == "completes"


def test_one_of_two_surge_pods_is_too_large_and_only_its_rollout_is_named() -> None:
    found = judge(placed(w.deployment("a", cpu="300m"), w.deployment("b", cpu="700m"), w.quota(requests_cpu="1300m")))
    assert found.verdict == "stuck"
    assert list(found.reasons) == ["Deployment home/b"]


def test_a_pod_that_was_refused_at_rest_may_take_what_recreate_frees() -> None:
    # 600m: a runs with 500m, b (500m) was refused. When a is away, whoever asks first gets the room.
    tree = (w.deployment("a", cpu="500m", strategy=RECREATE), w.deployment("b", cpu="500m"))
    found = judge(placed(*tree, w.quota(requests_cpu="600m")), "a")
    assert found.verdict == "may get stuck"
    assert found.witness == ("Deployment home/a deletes an old pod", "Deployment home/b creates a missing pod")
    assert "used: requests.cpu=500m, limited: requests.cpu=600m" in found.reasons["Deployment home/a"]


def test_a_missing_value_refuses_every_new_pod_whatever_is_free() -> None:
    found = judge(placed(w.deployment("web", init=True), w.deployment("other"), w.quota(requests_cpu="9")), "web")
    assert found.says.endswith("is forbidden: failed quota: home: must specify requests.cpu for: prepare")


def test_a_volume_forces_the_surge_pod_onto_the_full_node_of_the_old_one() -> None:
    found = judge(placed(w.local_path_class(), w.claim("media"), w.deployment("web", cpu="4", claim="media")))
    assert found.verdict == "stuck"
    assert found.reasons["Deployment home/web"].startswith(
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had volume node affinity conflict."
    )


def test_the_same_volume_does_not_matter_when_the_old_pod_goes_first() -> None:
    tree = (w.local_path_class(), w.claim("media"), w.deployment("web", cpu="4", claim="media", strategy=RECREATE))
    assert judge(placed(*tree)).verdict == "completes"


def test_a_stuck_wave_holds_the_next_one_back() -> None:
    tree = (waved(w.deployment("first", cpu="800m"), "0"), waved(w.deployment("second", cpu="100m"), "1"))
    found = judge(placed(*tree, w.quota(requests_cpu="1")), waves=True)
    assert found.verdict == "stuck"
    assert "used: requests.cpu=900m" in found.reasons["Deployment home/first"]
    assert found.reasons["Deployment home/second"] == "waits for sync wave 0"


def test_waves_take_longer_than_the_same_rollouts_at_once() -> None:
    placement = placed(waved(w.deployment("first"), "0"), waved(w.deployment("second"), "1"))
    together, after = judge(placement), judge(placement, waves=True)
    assert together.verdict == after.verdict == "completes"
    assert together.seconds is not None
    assert after.seconds is not None
    assert after.seconds > together.seconds


def test_a_stateful_set_needs_no_room_beyond_its_own_but_may_lose_it_to_a_pod_that_waits_for_a_node() -> None:
    full = placed(w.stateful_set("db", 3, cpu="4"))
    assert judge(full).verdict == "completes"
    # b (5 cores) fits nowhere beside db's 4; each pod of db that goes leaves 6 free cores.
    contested = placed(w.stateful_set("db", 3, cpu="4"), w.deployment("b", cpu="5"))
    found = judge(contested, "db")
    assert found.verdict == "may get stuck"
    assert found.witness[0] == "StatefulSet home/db deletes an old pod"
    assert found.reasons["StatefulSet home/db"].startswith("0/3 nodes are available: 3 Insufficient cpu.")


@pytest.mark.parametrize(
    ("cpu", "strategy", "verdict"),
    [
        ("4", {"maxUnavailable": 1}, "completes"),
        ("4", {"maxSurge": 1, "maxUnavailable": 0}, "stuck"),
        ("3", {"maxSurge": 1, "maxUnavailable": 0}, "completes"),
    ],
)
def test_a_daemon_set_that_starts_the_new_pod_beside_the_old_one_needs_room_for_both(
    cpu: str, strategy: dict[str, Any], verdict: str
) -> None:
    daemons = w.daemon_set("agent", cpu=cpu)
    daemons["spec"]["updateStrategy"] = {"type": "RollingUpdate", "rollingUpdate": strategy}
    assert judge(placed(daemons)).verdict == verdict


def test_a_required_anti_affinity_keeps_the_surge_pod_off_every_node() -> None:
    term = {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "kubernetes.io/hostname"}
    spread = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    found = judge(placed(w.deployment("web", 3, affinity=spread)))
    assert found.verdict == "stuck"
    assert "3 node(s) didn't match pod anti-affinity rules" in found.says
    assert judge(placed(w.deployment("web", 3, affinity=spread, strategy=rolling(0, 1)))).verdict == "completes"


def test_percentages_round_the_surge_up_and_the_missing_pods_down() -> None:
    # 25% of 4: surge 1, unavailable 1; of 3: surge 1, unavailable 0.
    assert judge(placed(w.deployment("web", 4, cpu="100m"), w.quota(requests_cpu="400m"))).verdict == "completes"
    assert judge(placed(w.deployment("web", 3, cpu="100m"), w.quota(requests_cpu="300m"))).verdict == "stuck"


def test_a_pod_of_higher_priority_finds_its_room_by_preemption() -> None:
    urgent = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "urgent"},
        "value": 1000,
    }
    tree = [urgent, w.deployment("low", 3, cpu="3"), w.deployment("high", 3, cpu="3", priority_class="urgent")]
    assert judge(placed(*tree), "high", simulate=False).verdict == "completes"
    tree[2] = w.deployment("high", 3, cpu="3")
    assert judge(placed(*tree), "high", simulate=False).verdict == "stuck"


def test_a_workload_of_another_platform_is_an_error() -> None:
    stranger = w.platform(w.deployment("stranger")).workloads
    with pytest.raises(ValueError, match="Deployment home/stranger is not on this placement"):
        judge_rollouts(placed(w.deployment("web")), stranger)


specs = st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(0, 1), st.integers(0, 1))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(workloads=st.lists(specs, min_size=1, max_size=3), spare=st.integers(0, 4))
def test_the_simulation_ends_as_the_verdict_says(workloads: list[tuple[int, int, int, int]], spare: int) -> None:
    hard = sum(replicas * cpu for replicas, cpu, _, _ in workloads) + spare
    tree = [
        w.deployment(f"web-{number}", replicas, cpu=f"{cpu}00m", strategy=rolling(surge, unavailable), grace=1)
        for number, (replicas, cpu, surge, unavailable) in enumerate(workloads)
    ]
    placement = placed(*tree, w.quota(requests_cpu=f"{hard}00m"), agents=4)
    found = judge(placement, simulate=False)
    ended = {item.verdict for item in run_rollouts(placement, placement.platform.workloads, horizon_s=7200.0)}
    # Where it depends on the order, the simulated one is one of those orders.
    assert ended == {"complete"} if found.verdict == "completes" else True
    assert ended != {"complete"} if found.verdict == "stuck" else True


def test_room_that_another_rollout_lends_for_a_moment_may_or_may_not_be_caught() -> None:
    # a takes its old pod away first: for that moment b's surge pod finds 100m. Else it never does.
    first = w.deployment("a", cpu="100m", strategy=rolling(0, 1))
    second = w.deployment("b", cpu="100m", strategy=rolling(1, 0))
    found = judge(placed(first, second, w.quota(requests_cpu="200m")))
    assert found.verdict == "may get stuck"
    assert found.witness == ("Deployment home/a deletes an old pod", "Deployment home/a creates a new pod")
    assert "used: requests.cpu=200m, limited: requests.cpu=200m" in found.reasons["Deployment home/b"]


def test_a_rollout_judged_alone_keeps_the_room_that_it_frees() -> None:
    tree = (w.deployment("a", cpu="500m", strategy=RECREATE), w.deployment("b", cpu="500m"))
    assert judge(placed(*tree, w.quota(requests_cpu="600m")), "a", alone=True).verdict == "completes"
