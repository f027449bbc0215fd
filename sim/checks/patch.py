"""Ways out as Kustomize patches.

Either a strategic-merge patch (one object), or a fragment of a kustomization (``patches:`` with JSON 6902 operations)
where a list without merge keys is changed. Both name the object as it is rendered: they belong into a kustomization
that has the tree among its ``resources``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from models.objects import KubeObject
from models.platform import Workload


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, so that a patch inside a patch can be read."""

    def ignore_aliases(self, data: Any) -> bool:
        """No anchors in what people copy."""
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def dump(value: Any) -> str:
    """YAML as people write it."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def patch(item: KubeObject, **fields: Any) -> str:
    """A strategic-merge patch that sets top-level ``fields`` (``spec={...}``) of an object. None deletes a field."""
    metadata = {"name": item.name, **({"namespace": item.namespace} if item.namespace else {})}
    return dump(
        {"apiVersion": item.manifest.get("apiVersion", "v1"), "kind": item.kind, "metadata": metadata, **fields}
    )


def json_patch(item: KubeObject, *operations: Mapping[str, Any]) -> str:
    """A ``patches`` fragment that applies JSON 6902 operations to an object."""
    target = {"kind": item.kind, "name": item.name, **({"namespace": item.namespace} if item.namespace else {})}
    return dump({"patches": [{"target": target, "patch": dump([dict(item) for item in operations])}]})


def pointer(*steps: str | int) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def pod_patch(workload: Workload, spec: Mapping[str, Any]) -> str:
    """A patch of the pod template of a workload (of the pod itself for a Pod), "" when an operator writes it."""
    item = workload.object
    if workload.provenance == "derived" or workload.controller == "Cluster":
        return ""
    if workload.controller == "Pod":
        return patch(item, spec=dict(spec))
    template: dict[str, Any] = {"template": {"spec": dict(spec)}}
    if workload.controller == "CronJob":
        template = {"jobTemplate": {"spec": template}}
    return patch(item, spec=template)


def container_patch(workload: Workload, changes: Sequence[tuple[str, str, Mapping[str, Any]]]) -> str:
    """A patch of containers of a workload: (``containers`` or ``initContainers``, name, fields) each."""
    spec: dict[str, list[dict[str, Any]]] = {}
    for group, name, fields in changes:
        spec.setdefault(group, []).append({"name": name, **fields})
    return pod_patch(workload, spec)
