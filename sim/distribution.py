"""What a Kubernetes distribution brings along that no tree writes."""

from __future__ import annotations

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

_DEFAULT = "storageclass.kubernetes.io/is-default-class"


def with_storage_classes(rendered: Rendered, distribution: str) -> Rendered:
    """The tree with the storage class of k3s, where a claim uses it and the tree has none of its own.

    A tree that brings its own default class has switched k3s's off (``--disable local-storage``): then only claims that
    name ``local-path`` count.
    """
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
