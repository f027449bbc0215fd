"""What a cluster has that no tree writes: what its distribution brings along, and what the unread parts must bring."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from models.objects import KubeObject, Manifest, Origin, Rendered, dig

LOCAL_PATH: Manifest = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "local-path", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "rancher.io/local-path",
    "volumeBindingMode": "WaitForFirstConsumer",
    "reclaimPolicy": "Delete",
}
"""The class of k3s (k3s-io/k3s, manifests/local-storage.yaml)."""

ASSUMED: Final = "a part of the platform that was not read"
"""Who makes a storage class that is taken to exist: the ``by`` of its origin."""
ASSUMED_LOCAL: Final = "assumed/node-local"
ASSUMED_NETWORK: Final = "assumed/network"
"""The provisioners of such classes."""

_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_LOCAL_NAMES: Final = re.compile(r"local|host-?path|zfs|lvm|directpv", re.IGNORECASE)


def with_storage_classes(rendered: Rendered, distribution: str) -> Rendered:
    """The tree with the storage classes that its claims use and that stand elsewhere.

    That is the class of k3s, where the tree has none of its own. A tree that brings its own default class has switched
    k3s's off (``--disable local-storage``): then only claims that name ``local-path`` count.

    Where something of the tree could not be read, a class that a claim names and nobody shows is taken to be in there:
    on the disk of a node when its name says so, on the network otherwise.
    """
    return _with_assumed(_with_k3s(rendered, distribution))


def _with_assumed(rendered: Rendered) -> Rendered:
    if all(entry.modelled for entry in rendered.missing):
        return rendered
    known = {item.name for item in rendered.objects if item.kind == "StorageClass"}
    known |= {str(item.spec.get("storageClassName")) for item in rendered.objects if item.kind == "PersistentVolume"}
    asked = {name for name in _asked(rendered) if name}
    for item in rendered.objects:
        if item.kind != "StorageClass":
            asked.update(_named(item.spec))
    made = [KubeObject(_assumed(name), Origin(provenance="derived", by=ASSUMED)) for name in sorted(asked - known)]
    return Rendered((*rendered.objects, *made), rendered.missing, rendered.roots, rendered.lines)


def _assumed(name: str) -> Manifest:
    local = _LOCAL_NAMES.search(name) is not None
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": ASSUMED_LOCAL if local else ASSUMED_NETWORK,
        "volumeBindingMode": "WaitForFirstConsumer" if local else "Immediate",
        "reclaimPolicy": "Delete",
    }


def _named(value: Any) -> Iterator[str]:
    """The storage classes that any part of an object names."""
    if isinstance(value, dict):
        name = value.get("storageClassName")
        if isinstance(name, str) and name and "$" not in name:
            yield name
        for entry in value.values():
            yield from _named(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _named(entry)


def _with_k3s(rendered: Rendered, distribution: str) -> Rendered:
    classes = {item.name: item for item in rendered.objects if item.kind == "StorageClass"}
    if distribution != "k3s" or "local-path" in classes:
        return rendered
    default = any(item.annotations.get(_DEFAULT) == "true" for item in classes.values())
    wanted = {"local-path"} if default else {"local-path", None}
    if not wanted & set(_asked(rendered)):
        return rendered
    item = KubeObject(LOCAL_PATH, Origin(provenance="derived", by="k3s"))
    return Rendered((*rendered.objects, item), rendered.missing, rendered.roots, rendered.lines)


def _asked(rendered: Rendered) -> list[str | None]:
    """The classes that claims name, None for those that leave it to the cluster."""
    found: list[object] = []
    for item in rendered.objects:
        specs = [item.manifest] if item.kind == "PersistentVolumeClaim" else []
        if item.kind == "StatefulSet":
            templates = item.get("spec", "volumeClaimTemplates", default=[])
            specs = [entry for entry in templates if isinstance(entry, dict)] if isinstance(templates, list) else []
        found += [dig(entry, "spec", "storageClassName") for entry in specs]
        if item.kind == "Cluster" and item.group == "postgresql.cnpg.io":
            found += [
                item.get("spec", part, "storageClass") for part in ("storage", "walStorage") if item.get("spec", part)
            ]
    return [None if item is None else str(item) for item in found]
