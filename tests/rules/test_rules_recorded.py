"""Cases recorded by running Kubernetes' own code (k8s.io/kubernetes v1.37.2, robfig/cron v3) on random input.

Recorded functions: resource.ParseQuantity, component-helpers PodRequests/PodLimits, ComputePodQOS, PodUsageFunc,
PodMutateLimitFunc/PodValidateLimitFunc, resourcequota.CheckRequest, deployment util, cron.ParseStandard.
"""

import json
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from models.rules.cron import parse_cron
from models.rules.defaults import default_pod
from models.rules.limitrange import ANNOTATION, apply_limit_ranges, violations
from models.rules.qos import qos_class
from models.rules.quantity import parse_quantity
from models.rules.quota import admit, usage
from models.rules.resources import ResourceList, ResourceOptions, pod_limits, pod_requests
from models.rules.rollout import max_surge, max_unavailable, min_available, new_replicas, strategy_of

DATA = Path(__file__).parent / "data"


@cache
def cases(name: str) -> list[dict[str, Any]]:
    return list(json.loads((DATA / name).read_text()))


def text(amounts: ResourceList) -> dict[str, str]:
    return {name: str(amount) for name, amount in amounts.items()}


def test_quantities_parse_and_print_as_apimachinery_does() -> None:
    for case in cases("upstream_quantities.json"):
        if "error" in case:
            with pytest.raises(ValueError, match=r".") as caught:
                parse_quantity(case["text"])
            assert str(caught.value) == case["error"], case["text"]
            continue
        quantity = parse_quantity(case["text"])
        assert (str(quantity), quantity.family) == (case["canonical"], case["family"]), case["text"]
        if "value" in case:
            assert (quantity.value(), quantity.milli_value()) == (case["value"], case["milli"]), case["text"]


@pytest.mark.parametrize("number", range(120))
def test_pod_resources_qos_and_quota_usage_match_the_recorded_answer(number: int) -> None:
    case = cases("upstream_pods.json")[number]
    pod = default_pod(case["pod"])
    options = ResourceOptions(use_status=True)
    assert text(pod_requests(pod, options)) == case["requests"]
    assert text(pod_limits(pod, options)) == case["limits"]
    assert qos_class(pod) == case["qos"]
    assert text(usage(pod)) == case["usage"]


@pytest.mark.parametrize("number", range(100))
def test_limit_ranges_fill_and_refuse_as_recorded(number: int) -> None:
    case = cases("upstream_limit_ranges.json")[number]
    pod = apply_limit_ranges(default_pod(case["pod"]), case["limitRanges"])
    found = [sorted(set(violations(pod, limit_range))) for limit_range in case["limitRanges"]]
    assert found == case["messages"]
    assert pod["metadata"].get("annotations", {}).get(ANNOTATION) == (case["annotations"] or {}).get(ANNOTATION)


@pytest.mark.parametrize("number", range(260))
def test_quota_admission_answers_as_recorded(number: int) -> None:
    case = cases("upstream_quotas.json")[number]
    answer = admit(case["object"], case["quotas"], old=case["old"], namespace="ns", limited_resources=case["limited"])
    assert answer.message == case["message"]
    assert answer.allowed == (case["message"] == "")
    if answer.allowed:
        assert {name: text(used) for name, used in answer.new_used.items()} == case["used"]


def test_rollout_sizes_match_the_recorded_answer() -> None:
    for case in cases("upstream_rollouts.json"):
        strategy = strategy_of(case["deployment"])
        replicas = case["deployment"]["spec"]["replicas"]
        found = {
            "new": new_replicas(strategy, replicas, case["new"] + sum(case["old"]), case["new"]),
            "surge": max_surge(strategy, replicas),
            "unavailable": max_unavailable(strategy, replicas),
            "min": min_available(strategy, replicas),
        }
        assert found == case["expected"], case


def test_cron_times_and_errors_match_the_recorded_answer() -> None:
    for case in cases("upstream_crons.json"):
        if case["error"] is not None:
            with pytest.raises(ValueError, match=r".") as caught:
                parse_cron(case["schedule"])
            assert str(caught.value) == case["error"], case["schedule"]
            continue
        schedule = parse_cron(case["schedule"])
        moment: datetime | None = datetime.fromisoformat(case["from"])
        for expected in case["times"]:
            assert moment is not None
            moment = schedule.next(moment)
            assert moment == (datetime.fromisoformat(expected) if expected else None), case["schedule"]
