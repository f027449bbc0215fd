"""The vectorised scheduler and its plain twin must give the same answers on random small clusters."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.scheduler import Profile, Snapshot, schedule_pod
from models.scheduler.noderesources import FitScoring
from models.scheduler.plain import PlainEngine
from models.scheduler.vector import VectorEngine

sys.path.insert(0, str(Path(__file__).parent))
from clusters import clusters, pods

Manifest = dict[str, Any]
RELAXED = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
PROFILES = (
    Profile(),
    Profile(fit=FitScoring("MostAllocated", (("cpu", 3), ("memory", 1), ("example.com/gpu", 5)))),
    Profile(
        fit=FitScoring("RequestedToCapacityRatio", (("cpu", 1), ("example.com/gpu", 2)), ((0, 10), (70, 2), (100, 5)))
    ),
    Profile(balanced_resources=("cpu", "memory", "ephemeral-storage", "example.com/gpu"), hard_pod_affinity_weight=7),
)


def last(names: Sequence[str]) -> int:
    return len(names) - 1


@RELAXED
@given(clusters(), st.sampled_from(PROFILES), st.sampled_from((None, last)))
def test_both_engines_agree_on_reasons_scores_nodes_victims_and_messages(
    cluster: tuple[list[Manifest], list[Manifest], dict[str, list[Manifest]], Manifest], profile: Profile, tie: Any
) -> None:
    nodes, bound, objects, pod = cluster
    fast = Snapshot.of(nodes, bound, profile=profile, **objects)
    slow = Snapshot.of(nodes, bound, profile=profile, **objects)
    explained = schedule_pod(pod, fast, tie_breaker=tie, explain=True, engine=VectorEngine())
    assert explained == schedule_pod(pod, slow, tie_breaker=tie, explain=True, engine=PlainEngine())
    quick = schedule_pod(pod, fast, tie_breaker=tie, engine=VectorEngine())
    assert (quick.node, quick.message, quick.victims) == (explained.node, explained.message, explained.victims)


@RELAXED
@given(clusters(), st.data())
def test_a_vectorised_run_stays_right_while_pods_come_and_go(
    cluster: tuple[list[Manifest], list[Manifest], dict[str, list[Manifest]], Manifest], data: st.DataObject
) -> None:
    nodes, bound, objects, pod = cluster
    snapshot = Snapshot.of(nodes, bound, **objects)
    here = {item["metadata"]["name"]: item for item in bound}
    older: list[tuple[Snapshot, dict[str, Manifest]]] = []
    for step in range(data.draw(st.integers(1, 6))):
        older.append((snapshot, dict(here)))
        if here and data.draw(st.booleans()):
            name = data.draw(st.sampled_from(sorted(here)))
            snapshot = snapshot.without_pod(here.pop(name))
        else:
            fresh = data.draw(pods(f"new-{step}", []))
            node = data.draw(st.sampled_from([item["metadata"]["name"] for item in nodes]))
            snapshot = snapshot.with_pod(fresh, node)
            here[fresh["metadata"]["name"]] = fresh | {"spec": fresh["spec"] | {"nodeName": node}}
        schedule_pod(pod, snapshot)
        if data.draw(st.booleans()):
            snapshot, remembered = data.draw(st.sampled_from(older))
            here = dict(remembered)
        anew = Snapshot.of(nodes, here.values(), **objects)
        found = schedule_pod(pod, snapshot, explain=True)
        assert replace(found, victims=()) == replace(
            schedule_pod(pod, anew, explain=True, engine=PlainEngine()), victims=()
        )
