"""Asks ``explain`` about plain manifests and gives back its JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import jsonschema

from models.documents import Document
from models.render import objects_of
from reports.explain.data import schema_text, to_data
from sim.explain import explain
from sim.explain.stock import take_stock

Manifest = dict[str, Any]
VALIDATOR = jsonschema.Draft202012Validator(json.loads(schema_text()))
KINDS = {
    "nodes": ("v1", "Node"),
    "pvs": ("v1", "PersistentVolume"),
    "pvcs": ("v1", "PersistentVolumeClaim"),
    "storage_classes": ("storage.k8s.io/v1", "StorageClass"),
    "services": ("v1", "Service"),
    "replica_sets": ("apps/v1", "ReplicaSet"),
    "stateful_sets": ("apps/v1", "StatefulSet"),
    "replication_controllers": ("v1", "ReplicationController"),
    "pdbs": ("policy/v1", "PodDisruptionBudget"),
    "csi_nodes": ("storage.k8s.io/v1", "CSINode"),
    "csi_drivers": ("storage.k8s.io/v1", "CSIDriver"),
    "csi_capacities": ("storage.k8s.io/v1", "CSIStorageCapacity"),
    "volume_attachments": ("storage.k8s.io/v1", "VolumeAttachment"),
    "namespaces": ("v1", "Namespace"),
}


def make(version: str, kind: str, manifest: Manifest, **more: Any) -> Manifest:
    """The manifest with its kind written down."""
    return {**manifest, "apiVersion": version, "kind": kind, **more}


def bound(pod: Manifest, node: str | None = None) -> Manifest:
    """The pod as it exists on a node (its own, unless another is given)."""
    spec = {**(pod.get("spec") or {}), **({"nodeName": node} if node else {})}
    return make("v1", "Pod", pod, spec=spec, status={"phase": "Running", **(pod.get("status") or {})})


def to_come(pod: Manifest) -> Manifest:
    return make("v1", "Pod", pod)


def ask(objects: Iterable[Manifest], seed: int = 1) -> dict[str, Any]:
    """The JSON answer, checked against the published schema."""
    documents = [Document(item, "objects.yaml", number) for number, item in enumerate(objects, 1)]
    data = to_data(explain(take_stock(objects_of(documents, "objects.yaml")), seed=seed))
    data = json.loads(json.dumps(data))
    VALIDATOR.validate(data)
    return data
