"""Verdicts recorded from kube-scheduler v1.33.1 itself, on random small clusters.

Each line of the file is a cluster with a pod, and what the real scheduler (default profile, its own snapshot, fake API
server) said: feasible nodes, reasons, weighted scores by plugin, totals, the FitError sentence, preemption.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from models.scheduler import Snapshot, schedule_pod
from models.scheduler.plain import PlainEngine
from models.scheduler.vector import VectorEngine

RECORDED = [
    json.loads(line)
    for line in gzip.decompress(Path(__file__).with_name("kube_scheduler_1_33_1.jsonl.gz").read_bytes()).splitlines()
]
RENAMED = {
    # 1.33 renamed this reason; the well-known words of all releases before it are kept.
    "node(s) didn't match PersistentVolume's node affinity": "node(s) had volume node affinity conflict"
}


def snapshot_of(cluster: dict[str, Any]) -> tuple[Snapshot, dict[str, Any]]:
    objects = {key: value for key, value in cluster.items() if key not in ("nodes", "pods", "pod")}
    return Snapshot.of(cluster["nodes"], cluster["pods"], **objects), cluster["pod"]


def renamed(text: str) -> str:
    for new, old in RENAMED.items():
        text = text.replace(new, old)
    return text


def sentence_parts(text: str) -> list[str]:
    """The sentence without the order of its reasons, which the renamed one changes."""
    return sorted(renamed(text).replace(". ", ", ").replace(": ", ", ").split(", "))


def test_there_are_three_hundred_recorded_verdicts_of_every_kind() -> None:
    answers = [item["answer"] for item in RECORDED]
    assert len(answers) >= 300
    assert sum("nominated" in item for item in answers) >= 40
    assert sum("scores" in item for item in answers) >= 150


@pytest.mark.parametrize("engine", [PlainEngine(), VectorEngine()], ids=["plain", "vectorised"])
@pytest.mark.parametrize("number", range(len(RECORDED)))
def test_the_verdict_is_that_of_kube_scheduler(number: int, engine: PlainEngine | VectorEngine) -> None:
    answer = RECORDED[number]["answer"]
    snapshot, pod = snapshot_of(RECORDED[number]["cluster"])
    decision = schedule_pod(pod, snapshot, explain=True, engine=engine)
    assert sorted(decision.total) == sorted(answer.get("feasible", ()))
    assert dict(decision.total) == answer.get("totals", {})
    for node, scores in answer.get("scores", {}).items():
        ours = {plugin: score.weighted for plugin, score in decision.scores[node].items() if score.weighted}
        assert ours == {plugin: score for plugin, score in scores.items() if score}
    for node, reasons in answer.get("reasons", {}).items():
        assert sorted(decision.reasons[node]) == sorted(map(renamed, reasons))
    assert sentence_parts(decision.message) == sentence_parts(answer.get("message", ""))
    assert decision.nominated == answer.get("nominated")
    assert sorted(decision.victims) == answer.get("victims", [])
