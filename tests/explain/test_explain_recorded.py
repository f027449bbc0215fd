"""The JSON of ``explain`` says what kube-scheduler v1.33.1 said of three hundred random clusters, recorded from it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from asking import KINDS, ask, bound, make, to_come

RECORDED = [
    json.loads(line)
    for line in gzip.decompress(
        (Path(__file__).parents[1] / "scheduler" / "kube_scheduler_1_33_1.jsonl.gz").read_bytes()
    ).splitlines()
]
RENAMED = {
    # 1.33 renamed this reason; the well-known words of all releases before it are kept.
    "node(s) didn't match PersistentVolume's node affinity": "node(s) had volume node affinity conflict"
}


def renamed(text: str) -> str:
    for new, old in RENAMED.items():
        text = text.replace(new, old)
    return text


def parts(text: str) -> list[str]:
    """The sentence without the order of its reasons, which the renamed one changes."""
    return sorted(renamed(text).replace(". ", ", ").replace(": ", ", ").split(", "))


def objects_of(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    found = [make(*KINDS[name], item) for name, items in cluster.items() if name in KINDS for item in items]
    found += [bound(pod) if pod["spec"].get("nodeName") else to_come(pod) for pod in cluster["pods"]]
    return [*found, to_come(cluster["pod"])]


@pytest.mark.parametrize("number", range(len(RECORDED)))
def test_the_json_answer_is_that_of_kube_scheduler(number: int) -> None:
    answer, cluster = RECORDED[number]["answer"], RECORDED[number]["cluster"]
    pods = ask(objects_of(cluster))["pods"]
    pod = next(item for item in pods if item["name"] == cluster["pod"]["metadata"]["name"])
    nodes = {item["node"]: item for item in pod["nodes"]}
    totals = {name: item["total"] for name, item in nodes.items() if item["total"] is not None}
    assert totals == answer.get("totals", {})
    for node, scores in answer.get("scores", {}).items():
        ours = {line["plugin"]: line["weighted"] for line in nodes[node]["scores"] if line["weighted"]}
        assert ours == {plugin: score for plugin, score in scores.items() if score}
    for node, reasons in answer.get("reasons", {}).items():
        assert sorted(nodes[node]["reasons"]) == sorted(map(renamed, reasons))
        assert not nodes[node]["fits"]
    assert parts(pod["message"]) == parts(answer.get("message", ""))
    assert pod["nominated_node"] == answer.get("nominated")
    assert sorted(pod["victims"]) == answer.get("victims", [])
    assert pod["state"] == (
        "preempting" if answer.get("nominated") else "scheduled" if answer.get("feasible") else "pending"
    )
