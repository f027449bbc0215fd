"""The JSON of ``explain`` against cases recorded from Kubernetes' own code, and against its unit-test tables.

Recorded (k8s.io/kubernetes v1.37.2): component-helpers PodRequests/PodLimits, ComputePodQOS, PodUsageFunc,
PodMutateLimitFunc/PodValidateLimitFunc, resourcequota.CheckRequest. Tables (v1.33.1 and v1.37.2):
pkg/scheduler/framework/plugins/{noderesources,nodeaffinity,interpodaffinity,imagelocality,tainttoleration}/*_test.go.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from asking import ask, bound, make, to_come

TESTS = Path(__file__).parents[1]
TABLES = [
    case
    for name in ("upstream_tables.json.gz", "upstream_tables_1_37_2.json.gz")
    for case in json.loads(gzip.decompress((TESTS / "scheduler" / name).read_bytes()))
]
CLASSES = [
    make("scheduling.k8s.io/v1", "PriorityClass", {"metadata": {"name": name}, "value": value})
    for name, value in (("low", 1), ("mid", 500), ("high", 1000))
]


def recorded(name: str) -> list[dict[str, Any]]:
    return list(json.loads((TESTS / "rules" / "data" / name).read_text()))


def only(data: dict[str, Any]) -> dict[str, Any]:
    (pod,) = data["pods"]
    return dict(pod)


def is_new(obj: dict[str, Any]) -> bool:
    """Whether ``explain`` takes the object as one to be created: a pod that has not finished, or no status."""
    return "phase" not in obj.get("status", {}) if obj["kind"] == "Pod" else not obj.get("status")


def is_complete(obj: dict[str, Any]) -> bool:
    """Whether every limit comes with a request, so that API defaulting leaves the resources alone."""
    spec = obj["spec"]
    holders = [spec, *spec.get("containers", ()), *spec.get("initContainers", ())] if obj["kind"] == "Pod" else []
    pairs = [holder.get("resources") or {} for holder in holders]
    return all(set(pair.get("limits") or {}) <= set(pair.get("requests") or {}) for pair in pairs)


PODS = [case for case in recorded("upstream_pods.json") if is_new(case["pod"])]


@pytest.mark.parametrize("number", range(len(PODS)))
def test_amounts_qos_and_usage_are_those_of_kubernetes(number: int) -> None:
    case = PODS[number]
    pod = only(ask([*CLASSES, case["pod"]]))
    assert pod["requests"] == case["requests"]
    assert pod["limits"] == case["limits"]
    assert pod["qos"] == case["qos"]
    assert pod["usage"] == case["usage"]


QUOTAS = [
    case
    for case in recorded("upstream_quotas.json")
    # The recording asks quota alone, on objects as they stand, for creations and updates.
    if case["old"] is None and is_new(case["object"]) and is_complete(case["object"])
]


@pytest.mark.parametrize("number", range(len(QUOTAS)))
def test_quota_admission_answers_as_the_api_server_does(number: int) -> None:
    case = QUOTAS[number]
    obj = {**case["object"], "metadata": {**case["object"]["metadata"], "namespace": "ns"}}
    limits = {"apiVersion": "v1", "kind": "ResourceQuotaConfiguration", "limitedResources": case["limited"]}
    quotas = [make("v1", "ResourceQuota", quota) for quota in case["quotas"]]
    filler = to_come({"metadata": {"name": "filler", "namespace": "elsewhere"}})
    data = ask([*CLASSES, *quotas, limits, obj, filler])
    pods = [item for item in data["pods"] if item["name"] != "filler"]
    admission = (pods or data["objects"])[0]["admission"]
    if admission["plugin"] == "validation":
        # The recording asks quota alone; the API server validates before.
        assert "must be less than or equal to" in admission["message"]
        return
    assert admission["message"] == case["message"]
    assert admission["admitted"] == (case["message"] == "")
    if admission["admitted"]:
        found = {
            quota["quota"]: {
                line["key"]: line["used_after"] for line in quota["keys"] if line["used_after"] is not None
            }
            for quota in data["quotas"]
        }
        assert found == case["used"]


RANGES = [case for case in recorded("upstream_limit_ranges.json") if is_new(case["pod"])]


@pytest.mark.parametrize("number", range(len(RANGES)))
def test_limit_ranges_fill_and_refuse_as_the_api_server_does(number: int) -> None:
    case = RANGES[number]
    ranges = [{**item, "metadata": {**item["metadata"], "namespace": "ns"}} for item in case["limitRanges"]]
    pod = only(ask([*CLASSES, *ranges, case["pod"]]))
    written = pod["pod"]["metadata"].get("annotations", {}).get("kubernetes.io/limit-ranger")
    assert written == (case["annotations"] or {}).get("kubernetes.io/limit-ranger")
    if pod["admission"]["plugin"] == "validation":
        return
    first = next((messages for messages in case["messages"] if messages), [])
    assert pod["admission"]["admitted"] == (not first)
    assert pod["admission"]["plugin"] == ("LimitRanger" if first else None)
    for message in first:
        assert message in pod["admission"]["message"]


# ------------------------------------------------------------------------------------------------- scheduler tables


def with_room(node: dict[str, Any]) -> dict[str, Any]:
    """The node with room for pods, which the tables of single plugins leave out."""
    status = node.get("status") or {}
    amounts = {"pods": "110", **(status.get("allocatable") or {})}
    return make("v1", "Node", {**node, "status": {**status, "allocatable": amounts}})


def configured(*plugins: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    entries = [{"name": name, "args": args} for name, args in plugins]
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "profiles": [{"pluginConfig": entries}],
    }


def of_kind(*kinds: str) -> list[Any]:
    return [pytest.param(case, id=case["source"]) for case in TABLES if case["kind"] in kinds]


def scored(data: dict[str, Any], name: str, plugin: str, field: str = "normalised") -> dict[str, int]:
    pod = next(item for item in data["pods"] if item["name"] == name)
    return {node["node"]: line[field] for node in pod["nodes"] for line in node["scores"] if line["plugin"] == plugin}


@pytest.mark.parametrize("case", of_kind("fit_score", "balanced_score", "affinity_score", "taint_score", "image_score"))
def test_scores_are_those_of_the_upstream_table(case: dict[str, Any]) -> None:
    kind = case["kind"]
    plugin, args = {
        "fit_score": ("NodeResourcesFit", {}),
        "balanced_score": ("NodeResourcesBalancedAllocation", {}),
        "affinity_score": ("NodeAffinity", {"addedAffinity": case.get("added")}),
        "taint_score": ("TaintToleration", {}),
        "image_score": ("ImageLocality", {}),
    }[kind]
    if kind == "fit_score":
        resources = [{"name": name, "weight": weight} for name, weight in case["resources"]]
        shape = [{"utilization": x, "score": y} for x, y in case["shape"]]
        strategy = {"type": case["strategy"], "resources": resources, "requestedToCapacityRatio": {"shape": shape}}
        args = {"scoringStrategy": strategy}
    elif kind == "balanced_score":
        args = {"resources": [{"name": name, "weight": 1} for name in case["resources"]]}
    pod = {**case["pod"], "metadata": {**case["pod"].get("metadata", {}), "name": "asked"}}
    others = [bound(item) for item in case.get("pods", ()) if item["spec"].get("nodeName")]
    data = ask([*map(with_room, case["nodes"]), *others, configured((plugin, args)), to_come(pod)])
    found = scored(data, "asked", plugin)
    wanted = case["want"] or dict.fromkeys(found, 0)
    assert found == {node: score for node, score in wanted.items() if node in found}
    assert found or all(not node["fits"] for node in data["pods"][0]["nodes"])


@pytest.mark.parametrize("case", of_kind("fit_filter"))
def test_fit_refuses_what_the_upstream_table_refuses(case: dict[str, Any]) -> None:
    node = make("v1", "Node", {"metadata": {"name": "n"}, "status": {"allocatable": case["allocatable"]}})
    pod = {**case["pod"], "metadata": {**case["pod"].get("metadata", {}), "name": "asked"}}
    args = {"ignoredResources": case["ignored"], "ignoredResourceGroups": case["groups"]}
    others = [bound(item, "n") for item in case["pods"]]
    answer = ask([node, *others, configured(("NodeResourcesFit", args)), to_come(pod)])["pods"][0]
    (found,) = answer["nodes"]
    wanted = case.get("want")
    assert found["fits"] == (wanted is None)
    if wanted is not None:
        assert found["plugin"] == "NodeResourcesFit"
        assert sorted(found["reasons"]) == sorted(wanted["reasons"])
        assert found["unresolvable"] == wanted["unresolvable"]


@pytest.mark.parametrize("case", of_kind("taint_filter", "spread_filter"))
def test_filters_refuse_what_the_upstream_table_refuses(case: dict[str, Any]) -> None:
    pod = {**case["pod"], "metadata": {**case["pod"].get("metadata", {}), "name": "asked"}}
    others = [bound(item) for item in case.get("pods", ()) if item["spec"].get("nodeName")]
    answer = ask([*map(with_room, case["nodes"]), *others, to_come(pod)])["pods"][-1]
    if case["kind"] == "spread_filter":
        names = {
            item["node"]: "Success"
            if item["fits"]
            else "UnschedulableAndUnresolvable"
            if item["unresolvable"]
            else "Unschedulable"
            for item in answer["nodes"]
        }
        # A refusal by another filter comes first and hides this one's.
        judged = {item["node"] for item in answer["nodes"] if item["plugin"] in (None, "PodTopologySpread")}
        assert {k: v for k, v in names.items() if k in judged} == {k: v for k, v in case["want"].items() if k in judged}
        return
    (found,) = answer["nodes"]
    wanted = case.get("want")
    assert found["reasons"] == (wanted["reasons"] if wanted else [])
    assert found["plugin"] == ("TaintToleration" if wanted else None)
