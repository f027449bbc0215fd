"""The JSON form of ``explain``: plain data in the shape that ``explain.schema.json`` documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from models.objects import Missing, Origin
from models.rules.quantity import format_bytes, format_millicores
from models.rules.resources import ResourceList
from sim.explain.answers import AdmissionAnswer, Explanation, NodeAnswer, ObjectAnswer, PodAnswer
from sim.explain.quotabook import QuotaLine

SCHEMA: Final = "stowplan/explain/v1"
SCHEMA_FILE: Final = Path(__file__).parents[1] / "schemas" / "explain.schema.json"


def schema_text() -> str:
    """The JSON Schema of :func:`to_data`'s output, as it is published."""
    return SCHEMA_FILE.read_text(encoding="utf-8")


def to_data(explanation: Explanation, missing: Iterable[Missing] = ()) -> dict[str, Any]:
    """Everything that was found out, as plain data."""
    return {
        "schema": SCHEMA,
        "seed": explanation.seed,
        "pods": [_pod(item) for item in explanation.pods],
        "objects": [_object(item) for item in explanation.objects],
        "nodes": [
            {
                "node": item.name,
                **_origin(item.origin),
                "allocatable": _amounts(item.allocatable),
                "requested": _amounts(item.requested),
                "pods": item.pods,
                "taints": list(item.taints),
            }
            for item in explanation.nodes
        ],
        "quotas": [
            {
                "namespace": item.namespace,
                "quota": item.name,
                "counted": item.counted,
                "scopes": list(item.scopes),
                "keys": [
                    {"key": key, "hard": hard, "used_before": before, "used_after": after}
                    for key, (hard, before, after) in item.keys.items()
                ],
            }
            for item in explanation.quotas
        ],
        "ignored": [{"kind": kind, "count": count} for kind, count in explanation.ignored.items()],
        "missing": [{"what": f"{item.kind} {item.what}", "reason": item.reason} for item in missing],
        "notes": list(explanation.notes),
    }


def _pod(item: PodAnswer) -> dict[str, Any]:
    return {
        "name": item.name,
        "namespace": item.namespace,
        "workload": item.workload or None,
        **_origin(item.origin),
        "state": item.state,
        "node": item.node,
        "message": item.message,
        "pod": item.manifest,
        "changes": [{"field": field, "sent": sent, "stored": stored} for field, sent, stored in item.changes],
        "qos": item.qos,
        "priority": item.priority,
        "requests": _quantities(item.requests),
        "limits": _quantities(item.limits),
        "usage": _quantities(item.usage),
        "admission": _admission(item.admission),
        "nodes": [_node(answer) for answer in item.nodes],
        "ties": list(item.ties),
        "nominated_node": item.nominated,
        "victims": list(item.victims),
        "preemption_candidates": [
            {"node": entry.node, "victims": list(entry.victims), "pdb_violations": entry.violations}
            for entry in item.displacements
        ],
        "volumes": [
            {
                "claim": entry.claim,
                "volume": entry.volume or None,
                "provisioner": entry.provisioner or None,
                "storage_class": entry.storage_class,
                "node": entry.node,
            }
            for entry in item.volumes
        ],
        "notes": list(item.notes),
    }


def _node(item: NodeAnswer) -> dict[str, Any]:
    return {
        "node": item.node,
        "fits": item.fits,
        "plugin": item.plugin or None,
        "reasons": list(item.reasons),
        "unresolvable": item.unresolvable,
        "scores": [
            {
                "plugin": line.plugin,
                "raw": line.score.raw,
                "normalised": line.score.normalised,
                "weight": line.weight,
                "weighted": line.score.weighted,
            }
            for line in item.scores
        ],
        "total": item.total,
    }


def _object(item: ObjectAnswer) -> dict[str, Any]:
    return {
        "kind": item.key.kind,
        "namespace": item.key.namespace,
        "name": item.key.name,
        **_origin(item.origin),
        "usage": _quantities(item.usage),
        "admission": _admission(item.admission),
    }


def _admission(item: AdmissionAnswer) -> dict[str, Any]:
    return {
        "admitted": item.admitted,
        "stored": item.stored,
        "plugin": item.plugin or None,
        "message": item.message,
        "quotas": [_line(line) for line in item.quotas],
    }


def _line(line: QuotaLine) -> dict[str, Any]:
    return {
        "quota": line.quota,
        "key": line.key,
        "delta": str(line.delta),
        "used": None if line.used is None else str(line.used),
        "hard": str(line.hard),
        "fits": line.fits,
    }


def _origin(origin: Origin) -> dict[str, Any]:
    return {"file": origin.file, "line": origin.line}


def _quantities(amounts: ResourceList) -> dict[str, str]:
    return {name: str(amounts[name]) for name in sorted(amounts)}


def _amounts(amounts: Mapping[str, int]) -> dict[str, str]:
    """Amounts in the scheduler's units (millicores, bytes, counts) as Kubernetes prints them."""
    return {name: _amount_text(name, amounts[name]) for name in sorted(amounts)}


def _amount_text(name: str, amount: int) -> str:
    """One amount of a resource, in millicores for cpu and base units otherwise, as Kubernetes prints it."""
    if name == "cpu":
        return format_millicores(amount)
    bytes_counted = name in ("memory", "ephemeral-storage") or name.startswith("hugepages-")
    return format_bytes(amount) if bytes_counted else str(amount)
