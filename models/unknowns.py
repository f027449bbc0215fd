"""Numbers that nobody in the tree knows: ``${VARIABLE}`` where a number belongs, its value encrypted or elsewhere.

Such a field counts as left out, and is listed with what that hides; a port without its number is no port at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from models.objects import KubeObject, Missing, Rendered

_KINDS: Final = frozenset(
    (
        "Pod",
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "ReplicaSet",
        "Job",
        "CronJob",
        "Service",
        "Ingress",
        "PersistentVolumeClaim",
        "PersistentVolume",
        "ResourceQuota",
        "LimitRange",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "Cluster",
        "Dragonfly",
        "Prometheus",
        "Alertmanager",
    )
)
_NUMBERS: Final = frozenset(
    (
        "replicas",
        "instances",
        "minReplicas",
        "maxReplicas",
        "parallelism",
        "completions",
        "backoffLimit",
        "minAvailable",
        "maxUnavailable",
        "containerPort",
        "hostPort",
        "port",
        "targetPort",
        "nodePort",
        "number",
        "storage",
        "size",
    )
)
_QUANTITIES: Final = frozenset({"requests", "limits", "capacity", "hard", "default", "defaultRequest", "min", "max"})
_PORTS: Final = ("containerPort", "port")


def settled(rendered: Rendered) -> Rendered:
    """``rendered`` without the numbers that nobody knows; each is listed as missing."""
    pairs = [without_unknowns(item) for item in rendered.objects]
    unknown = tuple(entry for _, entries in pairs for entry in entries)
    if not unknown:
        return rendered
    return replace(rendered, objects=tuple(item for item, _ in pairs), missing=(*rendered.missing, *unknown))


def without_unknowns(item: KubeObject) -> tuple[KubeObject, tuple[Missing, ...]]:
    """``item`` without the numbers that nobody knows, and an entry for each."""
    if item.kind not in _KINDS:
        return item, ()
    fields = list(_unknown(item.manifest, "", ""))
    if not fields:
        return item, ()
    entries = tuple(
        Missing(
            "generator", f"{field} of {item.key}", item.origin, f"nobody here knows the value of {text}", "its number"
        )
        for field, text in fields
    )
    return KubeObject(_known(item.manifest, ""), item.origin), entries


def _is_unknown(key: str, parent: str, value: Any) -> bool:
    return isinstance(value, str) and "${" in value and (key in _NUMBERS or parent in _QUANTITIES)


def _unknown(value: Any, key: str, path: str, parent: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _unknown(inner, str(name), f"{path}.{name}" if path else str(name), key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _unknown(inner, key, f"{path}[{index}]", parent)
    elif _is_unknown(key, parent, value):
        yield path, value


def _known(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {
            name: _known(inner, str(name)) for name, inner in value.items() if not _is_unknown(str(name), key, inner)
        }
    if isinstance(value, list):
        return [_known(inner, key) for inner in value if not (key == "ports" and _lost(inner))]
    return value


def _lost(entry: Any) -> bool:
    return isinstance(entry, dict) and any(_is_unknown(name, "", entry.get(name)) for name in _PORTS)
