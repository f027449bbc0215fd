"""Everything besides nodes and pods that a scheduling decision reads: volumes, claims, classes, budgets, selectors.

A frozen value with look-ups by name; changing one object means making a new value with :meth:`Objects.replace`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from models.objects import Manifest, dig, string_map
from models.scheduler.podinfo import PodInfo
from models.scheduler.selectors import Selector, SelectorError, label_selector, set_selector

_NAMESPACE_NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Objects:
    """Manifests by ``namespace/name`` (or name when cluster-scoped), each mapping in the order it was given."""

    pvs: Mapping[str, Manifest] = field(default_factory=dict)
    pvcs: Mapping[str, Manifest] = field(default_factory=dict)
    storage_classes: Mapping[str, Manifest] = field(default_factory=dict)
    services: Mapping[str, Manifest] = field(default_factory=dict)
    replica_sets: Mapping[str, Manifest] = field(default_factory=dict)
    stateful_sets: Mapping[str, Manifest] = field(default_factory=dict)
    replication_controllers: Mapping[str, Manifest] = field(default_factory=dict)
    pdbs: Mapping[str, Manifest] = field(default_factory=dict)
    csi_nodes: Mapping[str, Manifest] = field(default_factory=dict)
    csi_drivers: Mapping[str, Manifest] = field(default_factory=dict)
    csi_capacities: Mapping[str, Manifest] = field(default_factory=dict)
    volume_attachments: Mapping[str, Manifest] = field(default_factory=dict)
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def replace(self, **changes: Iterable[Manifest]) -> Objects:
        """A copy with whole kinds exchanged, each given as manifests."""
        return replace(self, **{name: index(name, items) for name, items in changes.items()})


NAMESPACED = frozenset(
    {"pvcs", "services", "replica_sets", "stateful_sets", "replication_controllers", "pdbs", "csi_capacities"}
)


def index(kind: str, manifests: Iterable[Manifest]) -> Mapping[str, Any]:
    """The look-up of one field of :class:`Objects`; a later manifest of the same name wins."""
    if kind == "namespaces":
        return {_name(item): _namespace_labels(item) for item in manifests}
    if kind in NAMESPACED:
        return {f"{_namespace(item)}/{_name(item)}": item for item in manifests}
    return {_name(item): item for item in manifests}


def _name(manifest: Manifest) -> str:
    return str(dig(manifest, "metadata", "name", default=""))


def _namespace(manifest: Manifest) -> str:
    return str(dig(manifest, "metadata", "namespace") or "default")


def _namespace_labels(manifest: Manifest) -> Mapping[str, str]:
    # The API server puts this label on every namespace, whatever the manifest says.
    return {**string_map(dig(manifest, "metadata", "labels")), _NAMESPACE_NAME: _name(manifest)}


def default_selector(pod: PodInfo, objects: Objects) -> Selector:
    """The selector by which system default spreading counts: the pod's services and its controller, merged.

    Source: plugins/helper/spread.go ``DefaultSelector``. Empty when nothing selects the pod.
    """
    labels: dict[str, str] = {}
    for service in objects.services.values():
        wanted = dig(service, "spec", "selector")
        if wanted and _namespace(service) == pod.namespace and set_selector(wanted).matches(pod.labels):
            labels.update(string_map(wanted))
    owner = next(
        (item for item in dig(dict(pod.manifest), "metadata", "ownerReferences", default=[]) if item.get("controller")),
        None,
    )
    if owner is None:
        return set_selector(labels)
    kind = (str(owner.get("apiVersion") or ""), str(owner.get("kind") or ""))
    key = f"{pod.namespace}/{owner.get('name')}"
    if kind == ("v1", "ReplicationController"):
        controller = objects.replication_controllers.get(key)
        labels.update(string_map(dig(controller or {}, "spec", "selector")))
        return set_selector(labels)
    source = {("apps/v1", "ReplicaSet"): objects.replica_sets, ("apps/v1", "StatefulSet"): objects.stateful_sets}
    controller = source.get(kind, {}).get(key)
    if controller is None:
        return set_selector(labels)
    try:
        other = label_selector(dig(controller, "spec", "selector"))
    except SelectorError:
        return set_selector(labels)
    return set_selector(labels).plus(other.requirements)
