"""Ways out as Kustomize strategic-merge patches."""

from __future__ import annotations

from typing import Any

import yaml

from models.objects import KubeObject


def patch(item: KubeObject, **fields: Any) -> str:
    """A patch that sets top-level ``fields`` (``spec={...}``) of an object, ready for a kustomization's ``patches``."""
    metadata = {"name": item.name, **({"namespace": item.namespace} if item.namespace else {})}
    content = {"apiVersion": item.manifest.get("apiVersion", "v1"), "kind": item.kind, "metadata": metadata, **fields}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def pod_patch(item: KubeObject, spec: dict[str, Any]) -> str:
    """A patch of the pod template of a workload (of the pod itself for a Pod)."""
    if item.kind == "Pod":
        return patch(item, spec=spec)
    template: dict[str, Any] = {"template": {"spec": spec}}
    if item.kind == "CronJob":
        template = {"jobTemplate": {"spec": template}}
    return patch(item, spec=template)
