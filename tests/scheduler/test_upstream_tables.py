"""Cases of Kubernetes' own test tables (pkg/scheduler/framework/plugins), each named by its source.

``upstream_tables.json.gz`` (v1.33.1) and ``upstream_tables_1_37_2.json.gz`` (what v1.37.2 has beyond that) hold the
inputs and expected results as plain data; every kind of case has one function here that asks ours the same question.
Of v1.37.2 these are left out: balanced allocation, which became the change that the pod makes; resources that drivers
of dynamic allocation provide; and in-tree disks that count as CSI volumes. Its shorter words for a taint ("had
untolerated taint(s)") are written in full, with the taint.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

from models.scheduler import interpod, nodefilters, noderesources, spread, volumebinding, volumes
from models.scheduler.nodeinfo import NodeState, parse_node
from models.scheduler.objects import Objects, default_selector
from models.scheduler.podinfo import PodInfo, PodParser, normal_image, parse_preferred_nodes
from models.scheduler.selectors import node_selector
from models.scheduler.status import PodRefused, Status

Case = dict[str, Any]
Result = TypeVar("Result")
TABLES: list[Case] = [
    case
    for name in ("upstream_tables.json.gz", "upstream_tables_1_37_2.json.gz")
    for case in json.loads(gzip.decompress(Path(__file__).with_name(name).read_bytes()))
]
RENAMED = {
    # 1.33 renamed this reason; the well-known words of all releases before it are kept.
    "node(s) didn't match PersistentVolume's node affinity": "node(s) had volume node affinity conflict"
}


def parsed(case: Case) -> tuple[PodInfo, list[NodeState]]:
    """The pod, and the nodes with the pods that are bound to them."""
    parser = PodParser()
    states = []
    for node in case["nodes"]:
        info = parse_node(node)
        here = [pod for pod in case.get("pods", ()) if pod["spec"].get("nodeName", "") == info.name]
        states.append(NodeState(info, tuple(parser.parse(pod) for pod in here)))
    return parser.parse(case["pod"]), states


def alone(case: Case, node: Mapping[str, Any] | None = None) -> tuple[PodInfo, NodeState]:
    """The pod, and one node that holds all other pods."""
    parser = PodParser()
    others = tuple(parser.parse(pod) for pod in case.get("pods", ()))
    return parser.parse(case["pod"]), NodeState(parse_node(node or {"metadata": {"name": "n"}}), others)


def verdict(status: Status | None) -> dict[str, Any] | None:
    if status is None:
        return None
    return {"reasons": sorted(status.reasons), "unresolvable": status.unresolvable, "error": False}


def refused(problem: PodRefused) -> dict[str, Any]:
    return {
        "reasons": [problem.message],
        "unresolvable": problem.unresolvable and not problem.error,
        "error": problem.error,
    }


def wanted(value: dict[str, Any] | None) -> dict[str, Any] | None:
    if value is None:
        return None
    return {**value, "reasons": sorted(RENAMED.get(text, text) for text in value["reasons"])}


def attempt(call: Callable[[], Result]) -> Result | PodRefused:
    """What the call returns, or the refusal that it raises."""
    try:
        return call()
    except PodRefused as problem:
        return problem


def labelled(states: list[NodeState], scores: list[int]) -> dict[str, int]:
    return {state.info.name: score for state, score in zip(states, scores, strict=True)}


def spread_filter(case: Case) -> None:
    pod, states = parsed(case)
    state = spread.prefilter(pod, states)
    names = {None: "Success", False: "Unschedulable", True: "UnschedulableAndUnresolvable"}
    found = {item.info.name: spread.spread_filter(pod, item.info, state) for item in states}
    assert {name: names[None if item is None else item.unresolvable] for name, item in found.items()} == case["want"]


def spread_score(case: Case) -> None:
    pod, states = parsed({**case, "nodes": [*case["nodes"], *case["failed"]]})
    kinds: dict[str, list[Case]] = {"services": [], "replica_sets": [], "stateful_sets": []}
    for item in case["objs"]:
        kinds["replica_sets" if "template" in item["spec"] else "services"].append(item)
    constraints = spread.soft_constraints(pod, default_selector(pod, Objects().replace(**kinds)))
    chosen = states[: len(case["nodes"])]
    raw = spread.spread_scores(pod, states, chosen, constraints, require_all=bool(pod.terms.spread))
    assert labelled(chosen, spread.normalise_spread(raw)) == case["want"]


NAMESPACES = {
    # interpodaffinity/plugin_test.go and filtering_test.go give the tables these namespaces.
    "subteam1.team1": {"team": "team1"},
    "subteam2.team1": {"team": "team1"},
    "subteam1.team2": {"team": "team2"},
    "subteam2.team2": {"team": "team2"},
    "default": {},
}


def interpod_filter(case: Case) -> None:
    pod, states = parsed(case)
    state = attempt(lambda: interpod.prefilter(pod, states, NAMESPACES))
    if isinstance(state, PodRefused):
        assert case["prefilter"]["unresolvable"]
        assert state.message.startswith("parsing pod: ")
        return
    found = [interpod.interpod_filter(pod, item.info, state, NAMESPACES) for item in states]
    assert [verdict(item) for item in found] == case["want"]


def interpod_score(case: Case) -> None:
    pod, states = parsed(case)
    infos = [state.info for state in states]
    raw = interpod.interpod_scores(pod, states, infos, NAMESPACES, case["hard"], ignore_existing=case["ignore"])
    scores = interpod.normalise_interpod(raw) if raw is not None else [0] * len(states)
    assert labelled(states, scores) == (case["want"] or dict.fromkeys(labelled(states, scores), 0))


def affinity_filter(case: Case) -> None:
    pod, node = alone(case, case["nodes"][0])
    required = case.get("added", {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    added = None if required is None else node_selector(required)
    names = attempt(lambda: nodefilters.pinned_nodes(pod.spec))
    if isinstance(names, PodRefused):
        assert refused(names) == case["prefilter"]
        return
    assert case["names"] == (sorted(names or ()) if case["run"] else [])
    assert verdict(nodefilters.affinity_filter(pod.spec, node.info, added)) == case.get("want")


def affinity_score(case: Case) -> None:
    pod, states = parsed(case)
    added = parse_preferred_nodes(case.get("added", {}).get("preferredDuringSchedulingIgnoredDuringExecution"))
    raw = [nodefilters.affinity_score(pod.spec, state.info, added) for state in states]
    assert labelled(states, nodefilters.normalise(raw)) == (case["want"] or dict.fromkeys(labelled(states, raw), 0))


def taint_filter(case: Case) -> None:
    pod, node = alone(case, case["nodes"][0])
    assert verdict(nodefilters.taint_filter(pod.spec, node.info)) == case.get("want")


def taint_score(case: Case) -> None:
    pod, states = parsed(case)
    raw = [nodefilters.taint_score(pod.spec, state.info) for state in states]
    assert labelled(states, nodefilters.normalise(raw, reverse=True)) == case["want"]


def ports_filter(case: Case) -> None:
    pod, node = alone(case)
    assert verdict(nodefilters.ports_filter(pod.spec, node)) == case.get("want")


def image_score(case: Case) -> None:
    pod, states = parsed(case)
    holders = nodefilters.image_spread(state.info for state in states)
    raw = [nodefilters.image_score(pod.spec, state.info, holders, len(states)) for state in states]
    assert labelled(states, raw) == case["want"]


def image_name(case: Case) -> None:
    assert normal_image(case["name"]) == case["want"]


def fit_filter(case: Case) -> None:
    node = {"metadata": {"name": "n"}, "status": {"allocatable": case["allocatable"]}}
    pod, state = alone(case, node)
    scoring = noderesources.FitScoring(
        ignored_resources=frozenset(case["ignored"]), ignored_groups=frozenset(case["groups"])
    )
    assert verdict(noderesources.fit_filter(pod, state, scoring)) == case.get("want")
    if "short" in case:
        found = noderesources.shortages(pod, state, scoring)
        assert sorted([item.resource, item.requested, item.used, item.capacity] for item in found) == sorted(
            case["short"]
        )


def fit_score(case: Case) -> None:
    pod, states = parsed(case)
    resources = tuple((name, weight) for name, weight in case["resources"])
    shape = tuple((x, y) for x, y in case["shape"])
    scoring = noderesources.FitScoring(case["strategy"], resources, shape)
    assert labelled(states, [noderesources.fit_score(pod, state, scoring) for state in states]) == case["want"]


def balanced_score(case: Case) -> None:
    pod, states = parsed(case)
    scores = labelled(states, [noderesources.balanced_score(pod, state, case["resources"]) for state in states])
    assert scores == (case["want"] or dict.fromkeys(scores, 0))


def disk_filter(case: Case) -> None:
    pod, node = alone(case)
    found = volumes.restrictions_filter(volumes.VolumeState(pod, Objects()), node, ())
    assert verdict(found) == case.get("want")


def rwop_filter(case: Case) -> None:
    pod, node = alone({**case, "pods": case["pods"]})
    objects = Objects().replace(pvcs=case["pvcs"])
    exclusive = attempt(lambda: volumes.exclusive_claims(pod, objects))
    if isinstance(exclusive, PodRefused):
        assert refused(exclusive) == case["prefilter"]
        return
    state = volumes.VolumeState(pod, objects, exclusive=exclusive)
    assert verdict(volumes.restrictions_filter(state, NodeState(node.info, ()), node.pods)) == case.get("want")


CLASSES = (
    # volumebinding/volume_binding_test.go.
    {"metadata": {"name": "immediate-sc"}, "volumeBindingMode": "Immediate"},
    {"metadata": {"name": "wait-sc"}, "volumeBindingMode": "WaitForFirstConsumer"},
    {"metadata": {"name": "wait-hdd-sc"}, "volumeBindingMode": "WaitForFirstConsumer"},
    {
        "metadata": {"name": "wait-sc-with-storage-capacity"},
        "provisioner": "driver-with-storage-capacity",
        "volumeBindingMode": "WaitForFirstConsumer",
    },
)
DRIVER = {"metadata": {"name": "driver-with-storage-capacity"}, "spec": {"storageCapacity": True}}


def binding_filter(case: Case) -> None:
    pod, states = parsed(case)
    objects = Objects().replace(
        pvs=case["pvs"],
        pvcs=case["pvcs"],
        storage_classes=CLASSES,
        csi_drivers=[DRIVER],
        csi_capacities=case["capacities"],
    )
    claims = attempt(lambda: volumes.sort_claims(pod, objects))
    if isinstance(claims, PodRefused):
        assert refused(claims) == case["prefilter"]
        return
    state = volumes.VolumeState(pod, objects, *claims)
    found = [verdict(volumebinding.binding_filter(state, item.info)) for item in states]
    assert found == [wanted(item) for item in case["want"] or [None] * len(states)]


def stored(case: Case) -> Objects:
    names = ("pvs", "pvcs", "storage_classes", "csi_nodes", "volume_attachments")
    return Objects().replace(**{name: case.get(name, ()) for name in names})


def zone_filter(case: Case) -> None:
    pod, node = alone(case, case["nodes"][0])
    zones = attempt(lambda: tuple(volumes.zones(pod, stored(case))))
    if isinstance(zones, PodRefused):
        assert refused(zones) == case["want"]
        return
    state = volumes.VolumeState(pod, stored(case), zones=zones)
    assert verdict(volumes.zone_filter(state, node.info)) == case.get("want")


def csi_filter(case: Case) -> None:
    pod, node = alone(case, case["nodes"][0])
    assert verdict(volumes.limits_filter(volumes.VolumeState(pod, stored(case)), node)) == case.get("want")


def node_filter(case: Case) -> None:
    pod, node = alone(case, case["nodes"][0])
    named = nodefilters.name_filter(pod.spec, node.info)
    assert verdict(named or nodefilters.unschedulable_filter(pod.spec, node.info)) == case.get("want")


RUN: dict[str, Callable[[Case], None]] = {
    function.__name__: function
    for function in (
        affinity_filter,
        affinity_score,
        balanced_score,
        binding_filter,
        csi_filter,
        disk_filter,
        fit_filter,
        fit_score,
        image_name,
        image_score,
        interpod_filter,
        interpod_score,
        node_filter,
        ports_filter,
        rwop_filter,
        spread_filter,
        spread_score,
        taint_filter,
        taint_score,
        zone_filter,
    )
}


@pytest.mark.parametrize("case", TABLES, ids=[item["source"] for item in TABLES])
def test_the_answer_is_that_of_the_upstream_table(case: Case) -> None:
    RUN[case["kind"]](case)


def test_every_kind_of_table_has_cases() -> None:
    assert {item["kind"] for item in TABLES} == set(RUN)
