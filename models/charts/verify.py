"""How far a chart's model agrees with the real chart: the differences between what both make of the same values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from models.objects import Manifest, dig
from models.operators.kinds import CLUSTER_SCOPED
from models.operators.make import maps

COMPARED = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Service", "PersistentVolumeClaim", "Ingress")
Key = tuple[str, str, str]


@dataclass(frozen=True, order=True)
class Difference:
    """One difference: the object ("Kind namespace/name"), the field, both values as text ("" where it is absent)."""

    object: str
    field: str
    model: str
    chart: str

    def __str__(self) -> str:
        return (
            f"{self.object} {self.field}: the model says {self.model or 'nothing'}, the chart {self.chart or 'nothing'}"
        )


def compare(model: Iterable[Manifest], chart: Iterable[Manifest], *, namespace: str) -> tuple[Difference, ...]:
    """The differences between a model's objects and the real ones, in order.

    Compared are the kinds that decide placement and the graph, and of them the fields that a model states: names,
    selectors, replicas, strategies, containers with images and resources, claims, ports, routes.
    """
    ours = {_key(item, namespace): item for item in model}
    theirs = {_key(item, namespace): item for item in chart if item.get("kind") in COMPARED}
    found = [
        Difference(_name(key), "object", "present" if key in ours else "", "present" if key in theirs else "")
        for key in sorted(set(theirs) ^ {key for key in ours if key[0] in COMPARED})
    ]
    for key in sorted(set(ours) & set(theirs)):
        mine, real = dict(_facts(ours[key])), dict(_facts(theirs[key]))
        for field in sorted(set(mine) | set(real)):
            left, right = mine.get(field), real.get(field)
            if left != right:
                found.append(Difference(_name(key), field, _text(left), _text(right)))
    return tuple(found)


def _key(item: Manifest, namespace: str) -> Key:
    kind = str(item.get("kind") or "")
    space = "" if kind in CLUSTER_SCOPED else str(dig(item, "metadata", "namespace") or namespace)
    return kind, space, str(dig(item, "metadata", "name") or "")


def _name(key: Key) -> str:
    kind, namespace, name = key
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _facts(item: Manifest) -> Iterator[tuple[str, Any]]:
    """The compared fields of an object, defaults of the API server filled in."""
    kind = item["kind"]
    if kind == "Service":
        yield "type", dig(item, "spec", "type") or "ClusterIP"
        yield "selector", dig(item, "spec", "selector")
        for port in maps(dig(item, "spec", "ports")):
            name = f"ports[{port.get('name') or port.get('port')}]"
            target = port.get("targetPort", port.get("port"))
            yield name, f"{port.get('port')} to {target} {port.get('protocol') or 'TCP'}"
    elif kind == "PersistentVolumeClaim":
        yield "size", dig(item, "spec", "resources", "requests", "storage")
        yield "storageClassName", dig(item, "spec", "storageClassName")
        yield "accessModes", dig(item, "spec", "accessModes")
    elif kind == "Ingress":
        for rule in maps(dig(item, "spec", "rules")):
            for path in maps(dig(rule, "http", "paths")):
                backend = dig(path, "backend", "service") or {}
                port = dig(backend, "port", "number") or dig(backend, "port", "name")
                yield f"{rule.get('host') or '*'}{path.get('path')}", f"{backend.get('name')}:{port}"
    else:
        yield from _workload(item)


def _workload(item: Manifest) -> Iterator[tuple[str, Any]]:
    kind = item["kind"]
    spec = dig(item, "spec", "jobTemplate", "spec") if kind == "CronJob" else item.get("spec")
    if kind in ("Deployment", "StatefulSet"):
        yield "replicas", dig(spec, "replicas", default=1)
    if kind == "CronJob":
        yield "schedule", dig(item, "spec", "schedule")
    if kind in ("Deployment", "StatefulSet", "DaemonSet"):
        yield "selector", dig(spec, "selector", "matchLabels")
        yield "strategy", dig(spec, "strategy", "type") or dig(spec, "updateStrategy", "type") or "RollingUpdate"
    pod = dig(spec, "template", "spec", default={})
    for field in ("hostNetwork", "nodeSelector", "tolerations", "priorityClassName"):
        yield field, pod.get(field) or None
    for name in ("containers", "initContainers"):
        for container in maps(pod.get(name)):
            yield f"{name}[{container.get('name')}].image", _repository(str(container.get("image") or ""))
            yield f"{name}[{container.get('name')}].resources", container.get("resources") or None
    for volume in maps(pod.get("volumes")):
        claim = dig(volume, "persistentVolumeClaim", "claimName")
        if claim:
            yield f"volumes[{volume.get('name')}]", claim
    for template in maps(dig(spec, "volumeClaimTemplates")):
        size = dig(template, "spec", "resources", "requests", "storage")
        yield f"volumeClaimTemplates[{dig(template, 'metadata', 'name')}]", size


def _repository(image: str) -> str:
    """An image without its tag: a model does not follow every release of its chart."""
    name = image.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name
