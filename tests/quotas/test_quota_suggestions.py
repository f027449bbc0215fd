"""The smallest quotas and defaults: worked by hand, against every combination in random worlds, and through admission.

Sources: ResourceQuota and LimitRanger admission (``models.rules``, checked against upstream's tables elsewhere).
"""

from __future__ import annotations

import itertools
import math
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "platformsim"))
import platform_worlds as w

from models.objects import KubeObject, Origin
from models.rules.quantity import parse_quantity
from sim.placement import place_platform
from sim.quotas.peaks import Assumed
from sim.quotas.suggest import Proposal, QuotaProposal, recheck, smaller, suggest_quotas
from sim.quotas.verdicts import view_quotas

RECREATE = {"type": "Recreate"}


def propose(*manifests: dict[str, Any], margin: Fraction = Fraction(0), most: int = 1, agents: int = 0) -> Proposal:
    platform = w.platform(*manifests)
    placement = place_platform(platform, w.cluster(agents=agents), seed=1)
    return suggest_quotas(platform, placement, margin=margin, assumed=Assumed(most))


def hard(quota: QuotaProposal) -> dict[str, str]:
    return {item.key: str(item.hard) for item in quota.limits}


def container(**resources: dict[str, str]) -> dict[str, Any]:
    return {"name": "main", "image": "example/web:1", "resources": resources}


def limit_range(**item: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "home", "namespace": "home"},
        "spec": {"limits": [{"type": "Container", **item}]},
    }


def test_the_smallest_quota_is_the_use_at_the_largest_rollout() -> None:
    (quota,) = propose(w.deployment("a", cpu="1"), w.deployment("b", 2, cpu="350m", memory="100Mi")).quotas
    # 1 + 2 x 350m + 1; 64Mi + 2 x 100Mi + 100Mi; 3 pods + 1. No claims, and no limits anywhere.
    assert hard(quota) == {"pods": "4", "requests.cpu": "2700m", "requests.memory": "364Mi"}
    assert (quota.namespace, quota.name, quota.present) == ("home", "home", None)


def test_the_margin_is_added_and_rounded_up_to_whole_pieces() -> None:
    (quota,) = propose(w.deployment("a", cpu="333m", memory="100Mi", strategy=RECREATE), margin=Fraction(1, 5)).quotas
    # 1.2 x 333m = 399.6m; 1.2 x 100Mi; 1.2 pods.
    assert hard(quota) == {"pods": "2", "requests.cpu": "400m", "requests.memory": "120Mi"}


def test_limits_are_proposed_where_every_container_states_one() -> None:
    stated = w.deployment("a", limits={"memory": "128Mi", "cpu": "1"})
    assert set(hard(propose(stated).quotas[0])) >= {"limits.memory", "limits.cpu"}
    mixed = propose(stated, w.deployment("b", limits={"cpu": "1"}))
    assert set(hard(mixed.quotas[0])) & {"limits.memory", "limits.cpu"} == {"limits.cpu"}
    assert mixed.untracked == (("home", "limits.memory"),)


def test_the_steps_are_those_of_the_printed_number() -> None:
    (quota,) = propose(w.deployment("a", cpu="500m", memory="2Gi")).quotas
    steps = {limit.key: (str(limit.hard), str(limit.step), str(less)) for _, limit, less in smaller_of(quota)}
    assert steps == {
        "pods": ("2", "1", "1"),
        "requests.cpu": ("1", "1", "0"),
        "requests.memory": ("4Gi", "1Gi", "3Gi"),
    }


def smaller_of(quota: QuotaProposal) -> Any:
    return [(quota, limit, limit.hard - limit.step) for limit in quota.limits if limit.hard]


def test_a_present_quota_keeps_its_name_its_keys_and_its_scopes() -> None:
    present = w.quota("team", **{"limits.memory": "1Gi", "persistentvolumeclaims": "5", "count/services": "9"})
    scoped = w.quota("best", pods="7")
    scoped["spec"]["scopes"] = ["BestEffort"]
    tree = (w.deployment("a", limits={"memory": "128Mi"}), w.service("a"), present, scoped)
    found = {quota.name: quota for quota in propose(*tree).quotas}
    assert hard(found["team"]) == {"count/services": "1", "limits.memory": "256Mi", "persistentvolumeclaims": "0"}
    assert hard(found["best"]) == {"pods": "0"}
    assert found["best"].manifest()["spec"]["scopes"] == ["BestEffort"]


# ------------------------------------------------------------------------------------------------- defaults


def test_containers_and_init_containers_without_values_get_small_ones() -> None:
    (found,) = propose(w.deployment("a", cpu="25m", init=True), w.deployment("b", cpu=None, memory=None)).defaults
    assert found.manifest["spec"]["limits"] == [
        {"type": "Container", "defaultRequest": {"cpu": "10m", "memory": "32Mi"}}
    ]
    assert (
        found.why["defaultRequest", "cpu"] == "prepare of Deployment home/a, main of Deployment home/b state no request"
    )


def test_a_default_limit_is_not_below_a_request_that_is_stated() -> None:
    tree = [
        w.deployment("a", memory="700Mi"),
        w.deployment("b", limits={"memory": "64Mi"}),
        w.quota(**{"limits.memory": "9Gi"}),
    ]
    found = propose(*tree)
    (made,) = found.defaults
    # Without its own default request every container without a request would ask for 700Mi.
    assert made.manifest["spec"]["limits"] == [
        {"type": "Container", "defaultRequest": {"memory": "32Mi"}, "default": {"memory": "700Mi"}}
    ]
    assert found.problems == ()
    assert hard(found.quotas[0]) == {"limits.memory": "1464Mi"}  # 700Mi + 64Mi + the surge pod of a


def test_a_default_limit_keeps_the_ratio_that_a_limit_range_demands() -> None:
    tree = (
        limit_range(maxLimitRequestRatio={"memory": "2"}),
        w.deployment("a", memory="60Mi", limits={"cpu": "1"}),
        w.quota(**{"limits.memory": "9Gi"}),
    )
    found = propose(*tree)
    (made,) = found.defaults
    assert made.name == "home-defaults"
    # 128Mi would be more than twice 60Mi.
    assert str(made.default["memory"]) == "60Mi"
    assert found.problems == ()


def test_a_limit_range_that_gives_everything_already_needs_no_other() -> None:
    present = limit_range(defaultRequest={"cpu": "20m", "memory": "48Mi"}, default={"memory": "96Mi"})
    found = propose(present, w.deployment("a", cpu=None, memory=None))
    assert found.defaults == ()
    assert hard(found.quotas[0])["requests.cpu"] == "40m"
    assert hard(found.quotas[0])["limits.memory"] == "192Mi"


# ------------------------------------------------------------------------------------------------- the proof

World = tuple[list[tuple[str, int, int, int]], int, int]
"""(strategy, replicas, cpu in m, memory in Mi) of each Deployment, rollouts at once, the autoscaler's maximum."""

deployments = st.tuples(
    st.sampled_from(["default", "recreate", "surge 2", "in place"]),
    st.integers(1, 5),
    st.sampled_from([15, 100, 333, 1000]),
    st.sampled_from([48, 100, 512, 1024]),
)
STRATEGIES: dict[str, dict[str, Any] | None] = {
    "default": None,
    "recreate": RECREATE,
    "surge 2": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 0}},
    "in place": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
}


def surge(strategy: str, replicas: int) -> int:
    return {"default": math.ceil(replicas / 4), "recreate": 0, "surge 2": 2, "in place": 0}[strategy]


def expected(world: World) -> dict[str, int]:
    """The peak of each key in pieces, millicores and mebibytes: every choice of rollouts, at rest and scaled out."""
    items, most, largest = world
    found = {}
    for key, cost in (("pods", 0), ("requests.cpu", 2), ("requests.memory", 3)):
        peak = 0
        for scaled in (False, True):
            sizes = [max(largest, item[1]) if scaled and number == 0 else item[1] for number, item in enumerate(items)]
            costs = [item[cost] if cost else 1 for item in items]
            rest = sum(size * price for size, price in zip(sizes, costs, strict=True))
            for chosen in itertools.combinations(range(len(items)), min(most, len(items))):
                extra = sum(surge(items[number][0], sizes[number]) * costs[number] for number in chosen)
                peak = max(peak, rest + extra)
        found[key] = peak
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    items=st.lists(deployments, min_size=1, max_size=4),
    most=st.integers(1, 3),
    largest=st.integers(1, 9),
    init=st.booleans(),
)
def test_every_limit_is_the_exact_peak_admits_everything_and_nothing_smaller_does(
    items: list[tuple[str, int, int, int]], most: int, largest: int, init: bool
) -> None:
    tree = [
        w.deployment(
            f"web-{number}", replicas, cpu=f"{cpu}m", memory=f"{memory}Mi", strategy=STRATEGIES[strategy], init=init
        )
        for number, (strategy, replicas, cpu, memory) in enumerate(items)
    ]
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web-0"}
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web-0", "namespace": "home"},
        "spec": {"scaleTargetRef": target, "minReplicas": items[0][1], "maxReplicas": max(largest, items[0][1])},
    }
    found = propose(*tree, scaler, most=most)
    (quota,) = found.quotas
    peaks = expected((items, most, largest))
    assert {item.key: item.hard for item in quota.limits} == {
        "pods": parse_quantity(peaks["pods"]),
        "requests.cpu": parse_quantity(f"{peaks['requests.cpu']}m"),
        "requests.memory": parse_quantity(f"{peaks['requests.memory']}Mi"),
    }
    # An init container gets 10m and 32Mi, never more than its pod has anyway, and none is refused for lack of values.
    assert len(found.defaults) == 1
    assert found.problems == ()
    assert found.refusals() == []
    for _, limit, less in smaller(found):
        refused = found.refusals({("home", "home", limit.key): less})
        assert refused, limit.key
        assert all(f"limited: {limit.key}={less}" in message for message in refused)
    assert recheck(found) == []


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(items=st.lists(deployments, min_size=1, max_size=3), percent=st.integers(0, 50), agents=st.integers(0, 2))
def test_the_table_of_a_tree_with_the_proposal_is_green_and_with_any_key_one_step_smaller_it_is_red(
    items: list[tuple[str, int, int, int]], percent: int, agents: int
) -> None:
    tree = [
        w.deployment(f"web-{number}", replicas, cpu=f"{cpu}m", memory=f"{memory}Mi", strategy=STRATEGIES[strategy])
        for number, (strategy, replicas, cpu, memory) in enumerate(items)
    ]
    found = propose(*tree, margin=Fraction(percent, 100), agents=agents)
    assert recheck(found) == []
    (quota,) = found.quotas
    changes: list[dict[str, Any]] = [{}]
    changes += [{limit.key: less} for _, limit, less in smaller(found)] if not percent else []
    for change in changes:
        platform = w.platform(*tree, quota.manifest(change), *(item.manifest for item in found.defaults))
        seen = view_quotas(place_platform(platform, w.cluster(agents=agents), seed=1))
        assert seen.fine == (not change)
        assert {row.peaks.key for row in seen.rows if row.bad} == set(change)


def test_a_proposal_that_is_tampered_with_fails_its_re_check() -> None:
    found = propose(w.deployment("a", cpu="500m"))
    (quota,) = found.quotas
    for amount, says in (("999m", "refused as proposed"), ("1002m", "requests.cpu could be 1001m")):
        limits = tuple(
            item if item.key != "requests.cpu" else type(item)(item.key, parse_quantity(amount), item.rest, item.peak)
            for item in quota.limits
        )
        changed = QuotaProposal(quota.namespace, quota.name, limits)
        broken = Proposal(**{**vars(found), "quotas": (changed,)})
        assert any(says in text for text in recheck(broken))


def test_objects_that_count_are_admitted_one_by_one() -> None:
    present = w.quota("home", **{"persistentvolumeclaims": "9", "requests.storage": "9Gi", "services": "9"})
    tree = (w.local_path_class(), w.claim("a"), w.claim("b"), w.service("web"), w.deployment("web"), present)
    found = propose(*tree)
    assert hard(found.quotas[0]) == {"persistentvolumeclaims": "2", "requests.storage": "2Gi", "services": "1"}
    assert recheck(found) == []


def test_a_pod_that_nothing_can_mend_is_told() -> None:
    wrong = limit_range(max={"cpu": "100m"})
    found = propose(wrong, w.deployment("a", cpu="500m", limits={"cpu": "500m"}))
    assert len(found.problems) == 1
    assert "maximum cpu usage per Container is 100m, but limit is 500m" in found.problems[0]


def test_objects_have_their_origin() -> None:
    (made,) = propose(w.deployment("a", init=True)).defaults
    assert made.object.origin == Origin(provenance="derived", by="stowplan")
    assert made.object.key == KubeObject(made.manifest, Origin()).key


@pytest.mark.parametrize("most", [1, 2, 5])
def test_more_rollouts_at_once_never_need_less(most: int) -> None:
    tree = [w.deployment(f"web-{number}", cpu=f"{100 * (number + 1)}m") for number in range(3)]
    (quota,) = propose(*tree, most=most).quotas
    # 600m at rest, then the largest 300m, 200m, 100m.
    assert hard(quota)["requests.cpu"] == {1: "900m", 2: "1100m", 5: "1200m"}[most]
