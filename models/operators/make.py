"""How derived objects are built: plain manifests with the origin of the object they come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from models.objects import KubeObject, Manifest, Origin
from models.scheduler.selectors import NOTHING, Selector, SelectorError, label_selector


def derived(
    source: KubeObject,
    kind: str,
    name: str,
    *,
    by: str,
    api_version: str = "v1",
    namespace: str | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    **fields: Any,
) -> KubeObject:
    """An object that a controller makes of ``source``: same file and line, provenance ``derived``, made by ``by``."""
    metadata: Manifest = {"name": name}
    chosen = source.namespace if namespace is None else namespace
    if chosen:
        metadata["namespace"] = chosen
    if labels:
        metadata["labels"] = dict(labels)
    if annotations:
        metadata["annotations"] = dict(annotations)
    if api_version in ("apps/v1", "batch/v1"):
        metadata["ownerReferences"] = [
            {"apiVersion": source.api_version, "kind": source.kind, "name": source.name, "controller": True}
        ]
    manifest: Manifest = {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}
    return KubeObject(manifest, Origin(source.origin.file, source.origin.line, "derived", by))


def said_by(source: KubeObject, what: str) -> str:
    """The ``by`` of an object made from ``source``: "CNPG Cluster utils/immich"."""
    name = f"{source.namespace}/{source.name}" if source.namespace else source.name
    return f"{what} {name}".strip()


def service(
    source: KubeObject,
    name: str,
    ports: Mapping[str, int],
    selector: Mapping[str, str],
    *,
    by: str,
    namespace: str | None = None,
    labels: Mapping[str, str] | None = None,
    headless: bool = False,
    service_type: str = "ClusterIP",
) -> KubeObject:
    """A Service with named TCP ports in front of the pods that ``selector`` selects."""
    spec: Manifest = {
        "type": service_type,
        "selector": dict(selector),
        "ports": [
            {"name": key, "port": number, "targetPort": number, "protocol": "TCP"} for key, number in ports.items()
        ],
    }
    if headless:
        spec["clusterIP"] = "None"
    return derived(source, "Service", name, by=by, namespace=namespace, labels=labels, spec=spec)


def secret(
    source: KubeObject,
    name: str,
    keys: Iterable[str],
    *,
    by: str,
    namespace: str | None = None,
    secret_type: str = "Opaque",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> KubeObject:
    """A Secret with keys and without values: what is inside is nobody's business here."""
    return derived(
        source,
        "Secret",
        name,
        by=by,
        namespace=namespace,
        labels=labels,
        annotations=annotations,
        type=secret_type,
        data=dict.fromkeys(keys, ""),
    )


def items(value: Any) -> list[Any]:
    """``value`` when it is a list, otherwise an empty one: trees in the wild put maps where lists belong."""
    return value if isinstance(value, list) else []


def maps(value: Any) -> list[dict[str, Any]]:
    """The maps of a list, whatever else it holds."""
    return [item for item in items(value) if isinstance(item, dict)]


def mapping(value: Any) -> dict[str, Any]:
    """``value`` when it is a map, otherwise an empty one."""
    return value if isinstance(value, dict) else {}


def whole(value: Any, default: int) -> int:
    """``value`` as an integer (numbers written as text included), ``default`` when it is none."""
    if isinstance(value, bool) or value is None:
        return default
    try:
        return int(value)
    except (TypeError, ValueError):
        return default


def selector_of(value: Any) -> Selector:
    """A label selector that never raises: what the API server would refuse selects nothing."""
    if not isinstance(value, dict):
        return NOTHING
    cleaned = {
        "matchLabels": mapping(value.get("matchLabels")),
        "matchExpressions": [
            {**item, "values": items(item.get("values"))} for item in maps(value.get("matchExpressions"))
        ],
    }
    try:
        return label_selector(cleaned)
    except SelectorError:
        return NOTHING
