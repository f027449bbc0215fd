"""Claims: where their data lives, who uses it, what copies it, and how old the newest copy can be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from models.objects import KubeObject, dig
from models.rules.cron import parse_cron
from models.rules.quantity import parse_quantity
from sim.study import Study

_START = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday: any moment serves, schedules are looked at over weeks."""


@dataclass(frozen=True)
class ClaimRow:
    """One claim. ``rpo_s``: the longest time between two copies (seconds), None without a scheduled copy."""

    claim: str
    storage_class: str
    size_b: int
    node: str
    used_by: str
    backup: str
    rpo_s: float | None


def claim_rows(study: Study) -> list[ClaimRow]:
    """Every claim of the platform, written or derived, in tree order."""
    pins = study.placement.volumes.pins
    rows = []
    for claim in study.platform.claims:
        key = f"{claim.namespace}/{claim.name}"
        users = sorted({pod.workload for pod in study.placement.pods if any(pin.claim == key for pin in pod.pins)})
        users = users or _mounters(study, f"PersistentVolumeClaim {key}")
        copies = _copies(study, f"PersistentVolumeClaim {key}", users)
        gaps = [gap for gap in (_longest_gap(copy) for copy in copies) if gap is not None]
        rows.append(
            ClaimRow(
                claim=key,
                storage_class=str(dig(claim.manifest, "spec", "storageClassName", default="")),
                size_b=parse_quantity(claim.get("spec", "resources", "requests", "storage", default="0")).value(),
                node=pins[key].node if key in pins else "",
                used_by=", ".join(users),
                backup=", ".join(f"{copy.kind} {copy.namespace}/{copy.name}" for copy in copies),
                rpo_s=min(gaps) if gaps else None,
            )
        )
    return rows


def _mounters(study: Study, node: str) -> list[str]:
    if node not in study.graph:
        return []
    return sorted(
        str(source) for source, _, data in study.graph.in_edges(node, data=True) if data.get("kind") == "mounts"
    )


def _copies(study: Study, node: str, users: list[str]) -> list[KubeObject]:
    """What backs up the claim itself or the database cluster that owns it."""
    found: dict[str, KubeObject] = {}
    for target in (node, *(user for user in users if user.startswith("Cluster "))):
        if target not in study.graph:
            continue
        for source, _, data in study.graph.in_edges(target, data=True):
            kind, _, name = str(source).partition(" ")
            namespace, _, short = name.partition("/")
            item = study.platform.get(kind, namespace, short)
            if data.get("kind") == "backs-up" and item is not None:
                found[str(source)] = item
    return [found[key] for key in sorted(found)]


def _longest_gap(item: KubeObject) -> float | None:
    """The longest time between two runs of a schedule, in seconds; None for something without one."""
    text = item.spec.get("schedule") or item.get("spec", "trigger", "schedule")
    if not isinstance(text, str):
        return None
    try:
        schedule = parse_cron(text, seconds=item.kind == "ScheduledBackup")
    except ValueError:
        return None
    moments = [_START]
    while len(moments) < 40 and (following := schedule.next(moments[-1])) is not None:
        moments.append(following)
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(moments[1:])]
    return max(gaps, default=None)
