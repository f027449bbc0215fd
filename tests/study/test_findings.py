"""Findings that a run of the reference platform draws, and those that a tight version of it draws."""

from __future__ import annotations

import functools
import json
from typing import Any

from study_runs import SHORT, report_json, study

from models.graph.analysis import findings as graph_findings
from sim.checks import WAITING
from sim.study import run

STRESS = {
    "name": "leak",
    "type": "StressChaos",
    "action": "memory",
    "selector": {"workloads": ["Deployment/htpc/sonarr"]},
    "at": "30s",
    "memory": "64Gi",
}
NODES = [
    {"name": "boss", "machine": "m920q", "role": "server", "memory": "32Gi"},
    {"name": "hand", "machine": "m920q", "count": 2, "memory": "32Gi"},
]


@functools.cache
def tight() -> dict[str, list[dict[str, Any]]]:
    """Findings by code: one server only, head-room nobody has, objectives and thresholds nobody meets, a leak."""
    objective = {"route": "nextcloud.home.example.org", "latency": {"percentile": 95, "below": "1ms"}}
    prepared = study(
        "baseline-day",
        *SHORT,
        f"cluster.nodes={json.dumps(NODES)}",
        f"faults={json.dumps([STRESS])}",
        f"objectives.routes={json.dumps([objective])}",
        "objectives.nodeHeadroom=99%",
        'thresholds={"http_reqs": ["count>1000000000"]}',
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for item in json.loads(report_json(prepared, run(prepared, survival=False)))["findings"]:
        found.setdefault(item["code"], []).append(item)
    return found


def test_the_only_server_is_told_as_the_weak_point() -> None:
    (finding,) = tight()["NO-SURVIVAL"]
    assert finding["subject"] == "Node boss"


def test_nodes_without_the_wanted_head_room_are_tight_in_cpu_and_memory() -> None:
    assert {item["subject"] for item in tight()["NODE-TIGHT"]} == {"Node boss", "Node hand-1", "Node hand-2"}


def test_an_objective_and_a_threshold_that_do_not_hold_are_findings() -> None:
    assert [item["subject"] for item in tight()["OBJECTIVE-BROKEN"]] == ["Route nextcloud.home.example.org"]
    assert [item["subject"] for item in tight()["THRESHOLD-FAILED"]] == ["Threshold http_reqs"]


def test_a_container_beyond_its_memory_limit_is_killed_and_told() -> None:
    assert any("sonarr" in item["subject"] for item in tight()["SIM-OOM"])


def test_a_quota_with_less_left_than_wanted_is_tight() -> None:
    assert "ResourceQuota htpc/htpc" in {item["subject"] for item in tight()["QUOTA-TIGHT"]}


def test_pods_that_one_small_machine_cannot_hold_are_pending() -> None:
    nodes = [{"name": "tiny", "machine": "m920q", "role": "server", "memory": "4Gi"}]
    prepared = study("baseline-day", *SHORT, f"cluster.nodes={json.dumps(nodes)}")
    waiting = {pod.workload: pod.message for pod in prepared.placement.waiting}
    assert waiting
    found = json.loads(report_json(prepared, run(prepared, survival=False)))["findings"]
    told = {item["subject"] for item in found if item["code"] in WAITING}
    assert {subject for subject in told if not subject.startswith("CronJob ")} == set(waiting)


def test_the_graph_of_the_reference_platform_tells_shared_claims_single_points_and_unread_kinds() -> None:
    prepared = study("baseline-day", *SHORT)
    subjects = {(item.code, item.subject) for item in graph_findings(prepared.graph, prepared.platform)}
    assert ("GRAPH-SHARED-CLAIM", "PersistentVolumeClaim utils/nextcloud-data") in subjects
    assert ("GRAPH-SPOF", "Deployment infra/auth") in subjects
    assert ("GRAPH-UNKNOWN-KIND", "upgrade.cattle.io/Plan") in subjects


def test_an_objective_that_a_full_line_breaks_names_the_transfers_and_asks_for_bandwidth() -> None:
    prepared = study("baseline-day", *SHORT, "network.uplink=1Mbit/s", 'traffic=[{"route": "photos.*", "rate": "5/s"}]')
    found = json.loads(report_json(prepared, run(prepared, survival=False)))["findings"]
    told = [item for item in found if item["code"] == "OBJECTIVE-BROKEN" and "photos" in item["title"]]
    assert told
    for item in told:
        assert "the busiest resource is home uplink" in item["evidence"][0]
        assert " s in transfers (outcome: " in item["evidence"][1]
        assert item["way_out"].startswith("give the line more bandwidth")
