"""A way out as one Kustomize patch: quotas as large as what is needed, and the values that a quota obliges to state."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from models.platform import Workload
from models.rules.quantity import Quantity, parse_quantity
from sim.checks.patch import patch, pod_patch
from sim.compare.difference import Fix, Outcome
from sim.compare.outcomes import human
from sim.compare.usage import Key, Row, needs
from sim.standing import Standing

_MUST = re.compile(r"failed quota: (\S+): must specify (.+)$")
_SMALLEST = {"cpu": "10m", "memory": "16Mi"}
"""Stated for a container whose neighbours state nothing: any value satisfies admission."""


def suggest(running: Standing, peaks: Mapping[Key, Row], outcomes: Iterable[Outcome]) -> Fix | None:
    """The fix for every new verdict that a quota causes; else the patch of the worst new finding; None without one."""
    new = [item for item in outcomes if item.news == "new"]
    hard, missing = _needed(peaks, new), _unstated(running, new)
    documents, words = [], []
    for (namespace, quota), amounts in sorted(hard.items()):
        item = running.platform.get("ResourceQuota", namespace, quota)
        if item is None:
            continue
        documents.append(patch(item, spec={"hard": {key: str(amount) for key, amount in sorted(amounts.items())}}))
        listed = ", ".join(f"{key} {human(amount, key)}" for key, amount in sorted(amounts.items()))
        words.append(f"give quota {namespace}/{quota} {listed}")
    for identifier, containers in sorted(missing.items()):
        documents.append(pod_patch(running.workloads[identifier], containers))
    if missing:
        names = [running.workloads[identifier].name for identifier in sorted(missing)]
        words.append(f"state what the quota tracks in {', '.join(names)}")
    if documents:
        return Fix("; ".join(words), "---\n".join(documents))
    found = next((item for item in new if item.patch), None)
    return Fix(found.way_out or found.sentence, found.patch) if found is not None else None


def _needed(peaks: Mapping[Key, Row], new: Sequence[Outcome]) -> Mapping[tuple[str, str], dict[str, Quantity]]:
    """The smallest limits under which each new refusal for room would pass alone."""
    found: dict[tuple[str, str], dict[str, Quantity]] = {}

    def want(namespace: str, quota: str, key: str, amount: Quantity) -> None:
        amounts = found.setdefault((namespace, quota), {})
        if key not in amounts or amounts[key] < amount:
            amounts[key] = amount

    for item in new:
        for message in item.evidence:
            for quota, key, amount, _ in needs(message):
                want(item.namespace, quota, key, amount)
    told = {item.subject for item in new if item.kind == "quota"}
    for (namespace, quota, key), row in peaks.items():
        if f"ResourceQuota {namespace}/{quota} {key}" in told:
            want(namespace, quota, key, row.peak)
    return found


def _unstated(running: Standing, new: Iterable[Outcome]) -> Mapping[str, dict[str, Any]]:
    """Pod specs that state the missing values, by workload; as small as what the other containers ask for."""
    found: dict[str, dict[str, Any]] = {}
    for item in new:
        match = next((one for text in item.evidence if (one := _MUST.search(text))), None)
        workload = running.workloads.get(item.subject)
        if match is None or workload is None:
            continue
        spec: dict[str, Any] = {}
        for part in match[2].split("; "):
            key, _, names = part.partition(" for: ")
            for name in names.split(","):
                _state(spec, workload, name, key)
        found[item.subject] = spec
    return found


def _state(spec: dict[str, Any], workload: Workload, name: str, key: str) -> None:
    """Add one missing value to the patch ``spec``."""
    side, _, resource = key.rpartition(".")
    init = [str(item.get("name")) for item in workload.pod_spec.get("initContainers") or []]
    group = "initContainers" if name in init else "containers"
    entries = spec.setdefault(group, [])
    entry = next((item for item in entries if item["name"] == name), None)
    if entry is None:
        entry = {"name": name, "resources": {}}
        entries.append(entry)
    entry["resources"].setdefault(side or "requests", {})[resource] = _modest(workload, name, side, resource)


def _modest(workload: Workload, name: str, side: str, resource: str) -> str:
    """The smallest value that a container of the pod states: as an init container's it costs nothing more.

    A limit is never below what the container itself requests.
    """
    containers = [*(workload.pod_spec.get("containers") or []), *(workload.pod_spec.get("initContainers") or [])]
    stated = [amount for item in containers if (amount := _stated(item, side or "requests", resource)) is not None]
    least = min(stated) if stated else parse_quantity(_SMALLEST.get(resource, "1"))
    if side == "limits":
        own: Mapping[str, Any] = next((item for item in containers if item.get("name") == name), {})
        least = max(least, _stated(own, "requests", resource) or least)
    return str(least)


def _stated(container: Mapping[str, Any], side: str, resource: str) -> Quantity | None:
    value = ((container.get("resources") or {}).get(side) or {}).get(resource)
    return None if value is None else parse_quantity(value)
