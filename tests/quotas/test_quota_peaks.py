"""The peak of every quota key, worked by hand: rollouts, autoscalers, a node's loss, schedules, scopes.

Sources: ResourceQuota's evaluators (what a pod costs, scopes), the Deployment's fence posts, the taint that evicts
after 300 s while the object stays Terminating, CronJob's concurrency policies.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "platformsim"))
import platform_worlds as w

from sim.placement import Placement, place_platform
from sim.quotas.peaks import Assumed, KeyPeaks, quota_peaks
from sim.quotas.rest import as_running
from sim.quotas.verdicts import QuotaView, view_quotas

RECREATE = {"type": "Recreate"}


def placed(*manifests: dict[str, Any], servers: int = 1, agents: int = 0) -> Placement:
    return as_running(place_platform(w.platform(*manifests), w.cluster(servers=servers, agents=agents), seed=1))


def peaks(*manifests: dict[str, Any], most: int = 1, job_s: float = 600.0, **nodes: int) -> dict[str, KeyPeaks]:
    found = quota_peaks(placed(*manifests, **nodes), Assumed(most, job_s))
    return {item.key: item for item in found}


def drivers(item: KeyPeaks) -> dict[str, str]:
    return {peak.driver: str(peak.use) for peak in reversed(item.drivers)}


def autoscaler(name: str, most: int) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": "home"},
        "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": most},
    }


def cron_job(name: str, schedule: str, cpu: str, **spec: Any) -> dict[str, Any]:
    template = {"spec": {**w.pod_spec(name, cpu=cpu), "restartPolicy": "Never"}}
    deadline = spec.pop("deadline", None)
    job: dict[str, Any] = {"template": template}
    if deadline is not None:
        job["activeDeadlineSeconds"] = deadline
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, "namespace": "home"},
        "spec": {"schedule": schedule, "jobTemplate": {"spec": job}, **spec},
    }


def test_the_peak_of_one_rollout_is_the_largest_surge_and_of_two_the_two_largest() -> None:
    tree = (
        w.deployment("a", 4, cpu="100m"),  # 25 % of 4: surge 1
        w.deployment("b", cpu="400m"),
        w.deployment("c", cpu="900m", strategy=RECREATE),
        w.stateful_set("d", 2, cpu="200m"),
        w.quota(requests_cpu="9", pods="20"),
    )
    alone, two = peaks(*tree), peaks(*tree, most=2)
    assert drivers(alone["requests.cpu"]) == {"rest": "2100m", "rollout": "2500m"}
    assert alone["requests.cpu"].peak.what == "rollout of Deployment home/b (surge 1)"
    assert drivers(two["requests.cpu"]) == {"rest": "2100m", "rollout": "2600m"}
    assert drivers(two["pods"]) == {"rest": "8", "rollout": "10"}


def test_the_worst_rollout_is_chosen_key_by_key() -> None:
    tree = (
        w.deployment("a", cpu="1", memory="64Mi"),
        w.deployment("b", cpu="100m", memory="1Gi"),
        w.quota(**{"requests.cpu": "9", "requests.memory": "9Gi"}),
    )
    found = peaks(*tree)
    assert found["requests.cpu"].peak.what == "rollout of Deployment home/a (surge 1)"
    assert found["requests.memory"].peak.what == "rollout of Deployment home/b (surge 1)"
    assert str(found["requests.memory"].peak.use) == "2112Mi"


def test_an_autoscaler_at_its_maximum_has_a_larger_surge() -> None:
    # 100m each: 2 at rest, 12 at most; 25 % of 2 is 1 pod of surge, of 12 it is 3.
    found = peaks(w.deployment("web", 2, cpu="100m"), autoscaler("web", 12), w.quota(requests_cpu="9"))["requests.cpu"]
    assert drivers(found) == {"rest": "200m", "rollout": "300m", "autoscaler": "1500m"}
    assert found.peak.what == "rollout of Deployment home/web (surge 3) at the autoscalers' maximum"


def test_pods_of_a_lost_node_stay_charged_while_their_replacements_come_on_top() -> None:
    tree = (
        w.deployment("web", cpu="300m", node="agent-1", strategy=RECREATE),
        w.stateful_set("db", cpu="500m", node="agent-1"),
        w.daemon_set("log", cpu="50m"),
        w.deployment("stays", cpu="700m", node="agent-1", strategy=RECREATE, tolerations=[{"operator": "Exists"}]),
        w.quota(requests_cpu="9"),
    )
    found = peaks(*tree, agents=2)["requests.cpu"]
    # 300 + 500 + 3 x 50 + 700 at rest. The StatefulSet waits for its node, the daemon stays, and so does what
    # tolerates the taint for ever; only web is made anew.
    assert drivers(found) == {"rest": "1650m", "node loss": "1950m"}
    assert found.peak.what.startswith("loss of agent-1: Deployment home/web made anew")


@pytest.mark.parametrize(("servers", "agents", "counted"), [(1, 0, False), (2, 0, False), (3, 0, True), (1, 1, True)])
def test_nothing_recovers_from_the_loss_of_the_control_plane(servers: int, agents: int, counted: bool) -> None:
    tree = (w.deployment("web", 3, cpu="100m", strategy=RECREATE), w.quota(requests_cpu="9"))
    found = peaks(*tree, servers=servers, agents=agents)["requests.cpu"]
    assert ("node loss" in drivers(found)) == counted


def test_runs_that_overlap_are_added_and_runs_that_follow_each_other_are_not() -> None:
    tree = (
        cron_job("dump", "0 3 * * *", "400m"),
        cron_job("report", "9 3 * * *", "300m"),
        cron_job("tidy", "10 3 * * *", "500m"),
        w.quota(requests_cpu="9"),
    )
    # Ten minutes each: dump 3:00-3:10, report 3:09-3:19, tidy 3:10-3:20.
    assert str(peaks(*tree)["requests.cpu"].peak.use) == "800m"
    # An hour each: all three.
    assert str(peaks(*tree, job_s=3600.0)["requests.cpu"].peak.use) == "1200m"
    # A minute each: none overlap.
    assert str(peaks(*tree, job_s=60.0)["requests.cpu"].peak.use) == "500m"


@pytest.mark.parametrize(
    ("policy", "use"),
    [("Allow", "300m"), ("Forbid", "100m"), ("Replace", "200m")],
)
def test_a_run_of_12_minutes_every_5_overlaps_as_its_policy_says(policy: str, use: str) -> None:
    # Allow: three at once. Replace: the one that is replaced stays charged during its grace of 30 s.
    job = cron_job("often", "*/5 * * * *", "100m", concurrencyPolicy=policy)
    assert str(peaks(job, w.quota(requests_cpu="9"), job_s=720.0)["requests.cpu"].peak.use) == use


def test_a_deadline_ends_a_run_and_a_suspended_cron_job_has_none() -> None:
    often = cron_job("often", "*/5 * * * *", "100m", deadline=60)
    assert str(peaks(often, w.quota(requests_cpu="9"), job_s=720.0)["requests.cpu"].peak.use) == "100m"
    often["spec"]["suspend"] = True
    assert str(peaks(often, w.quota(requests_cpu="9"), job_s=720.0)["requests.cpu"].peak.use) == "0"


def test_schedules_that_meet_once_a_year_are_found() -> None:
    tree = (cron_job("a", "0 4 31 12 *", "100m"), cron_job("b", "0 4 * * *", "200m"), w.quota(requests_cpu="9"))
    assert str(peaks(*tree)["requests.cpu"].peak.use) == "300m"


def test_a_scoped_quota_counts_only_what_falls_under_it() -> None:
    scoped = w.quota("short", pods="5")
    scoped["spec"]["scopes"] = ["Terminating"]
    job = cron_job("dump", "0 3 * * *", "400m")
    job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["activeDeadlineSeconds"] = 60
    found = peaks(w.deployment("web", 3), job, scoped)["pods"]
    assert drivers(found) == {"rest": "0", "schedules": "1"}


# ----------------------------------------------------------------------------------------------------- the table


def view(*manifests: dict[str, Any], **nodes: int) -> QuotaView:
    return view_quotas(placed(*manifests, **nodes))


def verdicts(found: QuotaView) -> dict[str, str]:
    return {row.peaks.key: row.verdict for row in found.rows}


def test_a_quota_that_was_cut_below_what_runs_evicts_nothing_but_refuses_every_restart() -> None:
    found = view(w.deployment("web", 2, cpu="100m", strategy=RECREATE), w.quota(requests_cpu="150m", pods="9"))
    assert verdicts(found) == {"requests.cpu": "restart refused", "pods": "fits"}
    assert str(found.rows[0].peaks.rest) == "200m"
    assert "used: requests.cpu=100m, limited: requests.cpu=150m" in found.restarts[0].message
    assert not found.fine


def test_the_surge_pod_decides_between_stuck_tight_and_fine() -> None:
    web = w.deployment("web", cpu="450m")
    assert verdicts(view(web, w.quota(requests_cpu="899m"))) == {"requests.cpu": "rollout stuck"}
    assert verdicts(view(web, w.quota(requests_cpu="900m"))) == {"requests.cpu": "tight"}
    assert verdicts(view(web, w.quota(requests_cpu="1"))) == {"requests.cpu": "fits"}


def test_a_rollout_that_only_waits_is_refused_at_its_peak_and_not_stuck() -> None:
    # 25 % of 4: surge 1, unavailable 1: it makes its own room.
    found = view(w.deployment("web", 4, cpu="100m"), w.quota(requests_cpu="400m"))
    assert verdicts(found) == {"requests.cpu": "refused at peak"}
    assert found.rollouts == ()


def test_the_key_that_is_missing_is_named_and_the_others_are_not() -> None:
    found = view(w.deployment("web", init=True), w.quota(requests_cpu="9", requests_memory="9Gi", pods="9"))
    assert verdicts(found) == {
        "requests.cpu": "restart refused",
        "requests.memory": "restart refused",
        "pods": "fits",
    }
    assert [item.workload for item in found.restarts] == ["Deployment home/web"]


def test_a_quota_of_nothing_that_nobody_uses_is_fine() -> None:
    found = view(w.deployment("web"), w.quota(persistentvolumeclaims="0"))
    assert verdicts(found) == {"persistentvolumeclaims": "fits"}
    assert found.fine
