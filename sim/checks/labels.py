"""Selectors that match nothing, and the pods that they probably mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sim.checks.look import Look


def meant(look: Look, namespace: str, name: str, selector: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The workload that a selector which matches nothing most likely means, and the selector that matches it.

    A workload qualifies by sharing a label with the selector or a name with the object; keys it does not carry become
    None, which a strategic-merge patch takes as "leave it out". None when there is no such workload, or several.
    """
    scored = []
    for workload in look.platform.workloads:
        if workload.namespace != namespace or workload.controller in ("Job", "CronJob"):
            continue
        labels = workload.labels
        shared = sum(labels.get(key) == str(value) for key, value in selector.items())
        known = [key for key in selector if key in labels]
        if known and (shared or workload.name == name):
            scored.append((shared, workload.name == name, workload))
    if not scored:
        return None
    best = max(score[:2] for score in scored)
    chosen = [workload for *score, workload in scored if tuple(score) == best]
    if len(chosen) != 1:
        return None
    return chosen[0].id, {key: chosen[0].labels.get(key) for key in selector}


def said(selector: Mapping[str, Any]) -> str:
    """Labels in a sentence."""
    return ", ".join(f"{key}={value}" for key, value in selector.items()) or "everything"
