"""Whether a rollout of one workload alone can finish, and what it leaves of a quota; which targets exist."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "platformsim"))
import platform_worlds as w

from models.graph.routes import entry_routes
from sim.faults_check import check_targets, names_workload
from sim.headroom import QuotaHeadroom, RolloutCheck, quota_headroom, rollout_checks
from sim.placement import Placement, place_platform

SURGE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
IN_PLACE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
EITHER = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}
RECREATE = {"type": "Recreate"}


def placed(*manifests: Any, agents: int = 4) -> Placement:
    return place_platform(w.platform(*manifests), w.cluster(servers=1, agents=agents))


def check(placement: Placement, name: str) -> RolloutCheck:
    (found,) = [item for item in rollout_checks(placement) if item.workload == f"Deployment home/{name}"]
    return found


def headroom(placement: Placement, wanted: float = 0.1) -> dict[str, QuotaHeadroom]:
    return {row.key: row for row in quota_headroom(placement, rollout_checks(placement), wanted)}


def nearly_full(strategy: Any) -> Placement:
    """21.5 of 24 cores are used; a pod of the big app needs 3 more for its surge. Five nodes with six cores each."""
    return placed(
        w.quota(requests_cpu="24"),
        w.deployment("big", 3, cpu="3", strategy=strategy),
        w.deployment("rest", 5, cpu="2500m", strategy=RECREATE),
    )


def test_a_surge_pod_that_the_quota_refuses_stops_the_rollout_for_good() -> None:
    found = check(nearly_full(SURGE), "big")
    assert found.verdict == "stuck"
    assert "exceeded quota: home, requested: requests.cpu=3, used: requests.cpu=21500m, limited: requests.cpu=24" in (
        found.reason
    )


@pytest.mark.parametrize("strategy", [RECREATE, IN_PLACE, EITHER], ids=["recreate", "in place", "may lose one"])
def test_a_rollout_that_may_take_old_pods_away_completes_in_the_same_quota(strategy: Any) -> None:
    found = check(nearly_full(strategy), "big")
    assert (found.verdict, found.reason) == ("completes", "")


def test_a_single_replica_under_a_full_quota_is_stuck_by_the_default_strategy() -> None:
    # kubernetes#89209: 25% of one replica rounds to surge 1, unavailable 0, so the old pod is never taken away.
    found = check(placed(w.quota(pods="1"), w.deployment("only")), "only")
    assert found.verdict == "stuck"
    assert found.strategy == "RollingUpdate, surge 1, unavailable 0"
    assert "exceeded quota: home, requested: pods=1, used: pods=1, limited: pods=1" in found.reason


def test_a_surge_pod_that_finds_no_node_is_stuck_in_the_words_of_the_scheduler() -> None:
    found = check(placed(w.deployment("wide", 2, cpu="4", strategy=SURGE), agents=1), "wide")
    assert found.verdict == "stuck"
    assert found.reason.startswith("0/2 nodes are available: 2 Insufficient cpu.")


def test_room_for_the_surge_pod_is_enough() -> None:
    assert check(placed(w.quota(pods="2"), w.deployment("only")), "only").verdict == "completes"


def test_the_headroom_of_a_quota_is_what_the_largest_rollout_leaves() -> None:
    row = headroom(placed(w.quota(requests_cpu="1"), w.deployment("a", cpu="100m"), w.deployment("b", cpu="400m")))[
        "requests.cpu"
    ]
    # At rest 500m; while b is rolled out 900m of 1: a tenth is left.
    assert (row.used_rest, row.used_peak, row.peak_workload) == ("500m", "900m", "Deployment home/b")
    assert row.headroom == pytest.approx(0.1)
    assert row.verdict == "fits"


def test_less_headroom_than_wanted_is_tight_and_a_refused_rollout_is_told() -> None:
    tight = placed(w.quota(requests_cpu="1"), w.deployment("b", cpu="475m"))
    assert headroom(tight)["requests.cpu"].verdict == "tight"
    refused = headroom(nearly_full(SURGE))["requests.cpu"]
    assert (refused.verdict, refused.peak_workload) == ("rollout refused", "Deployment home/big")


def test_a_pod_that_is_refused_at_rest_will_not_restart() -> None:
    row = headroom(placed(w.quota(requests_cpu="150m"), w.deployment("a", 2, cpu="100m")))["requests.cpu"]
    assert row.verdict == "restart refused"


def test_a_limit_of_nothing_that_nobody_uses_is_no_trouble() -> None:
    row = headroom(placed(w.quota(persistentvolumeclaims="0"), w.deployment("a")))["persistentvolumeclaims"]
    assert (row.headroom, row.verdict) == (1.0, "fits")


# ------------------------------------------------------------------------------------------------- targets


def told(**spec: Any) -> list[str]:
    platform = w.platform(w.deployment("web"), w.service("web"), w.local_path_class(), w.claim("files"), w.quota())
    found = check_targets(w.scenario(**spec), platform, w.cluster(), entry_routes(platform))
    return [f"{problem.where.field}: {problem.what}" for problem in found]


def fault(**selector: Any) -> dict[str, Any]:
    return {"faults": [{"name": "f", "type": "PodChaos", "action": "pod-kill", "at": "1s", "selector": selector}]}


@pytest.mark.parametrize(
    ("selector", "says"),
    [
        ({"nodes": ["agent-9"]}, "spec.faults[0].selector.nodes[0]: 'agent-9' is no node"),
        ({"workloads": ["home/web", "home/wbe"]}, "spec.faults[0].selector.workloads[1]: 'home/wbe' is no workload"),
        ({"namespaces": ["hoem"]}, "spec.faults[0].selector.namespaces[0]: 'hoem' is no namespace"),
        ({"volumes": ["home/file"]}, "spec.faults[0].selector.volumes[0]: 'home/file' is no claim"),
    ],
)
def test_a_selector_that_matches_nothing_is_told_with_its_field(selector: Any, says: str) -> None:
    (text,) = told(**fault(**selector))
    assert text.startswith(says)


@pytest.mark.parametrize(
    "selector",
    [{"nodes": ["agent-*"]}, {"workloads": ["Deployment/home/*"]}, {"namespaces": ["home"]}, {"volumes": ["home/*"]}],
)
def test_patterns_that_match_something_are_fine(selector: Any) -> None:
    assert told(**fault(**selector)) == []


def test_targets_of_operations_and_objectives_are_checked_too() -> None:
    operations = [
        {"name": "a", "at": "1s", "type": "drain", "target": "agent-3"},
        {"name": "b", "at": "1s", "type": "rollout", "target": "Deployment/home/wbe"},
        {"name": "c", "at": "1s", "type": "quota", "target": "home/none", "hard": {"pods": "1"}},
        {"name": "d", "at": "1s", "type": "rollout", "target": "Deployment/home/web"},
        {"name": "e", "at": "1s", "type": "drain", "target": "agent-1"},
    ]
    found = told(operations=operations, objectives={"routes": [{"route": "mail.example.org", "availability": "99%"}]})
    assert [text.partition(":")[0] for text in found] == [
        "spec.operations[0].target",
        "spec.operations[1].target",
        "spec.operations[2].target",
        "spec.objectives.routes[0].route",
    ]


def test_a_workload_is_named_with_or_without_its_kind_or_namespace() -> None:
    (workload,) = w.platform(w.deployment("web")).workloads
    for name in ("Deployment/home/web", "Deployment/web", "home/web", "home/*", "Deployment home/web"):
        assert names_workload(name, workload), name
    for name in ("StatefulSet/home/web", "web2", "home/we", "utils/web"):
        assert not names_workload(name, workload), name
