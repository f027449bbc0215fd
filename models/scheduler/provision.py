"""What binding a placed pod's claims leaves behind: volumes that pin, and claims that are bound.

Sources: pkg/scheduler/framework/plugins/volumebinding/binder.go, pkg/controller/volume/persistentvolume/util;
rancher/local-path-provisioner provisioner.go (volume name, path, node affinity on ``kubernetes.io/hostname``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from models.objects import Manifest, dig
from models.scheduler.snapshot import Snapshot
from models.scheduler.volumes import BIND_COMPLETED, SELECTED_NODE, Binding

HOSTNAME = "kubernetes.io/hostname"
LOCAL_PATH = "rancher.io/local-path"
LOCAL_PATH_BASE = "/var/lib/rancher/k3s/storage"
"""Where k3s keeps local-path volumes (upstream's own default is /opt/local-path-provisioner)."""

_PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"


def volume_name(claim: Manifest) -> str:
    """The name that provisioners give: ``pvc-`` and the claim's uid, or namespace and name where a uid is not known."""
    metadata = claim.get("metadata") or {}
    return f"pvc-{metadata.get('uid') or '{}-{}'.format(metadata.get('namespace') or 'default', metadata.get('name'))}"


def local_path_volume(
    claim: Manifest, hostname: str, storage_class: str = "local-path", base: str = LOCAL_PATH_BASE
) -> Manifest:
    """The volume that local-path-provisioner makes for ``claim`` on the node whose hostname label is ``hostname``.

    It has node affinity to that one host: from now on the claim, and every pod that uses it, stays there.
    """
    volume = provisioned_volume(claim, ((HOSTNAME, hostname),), LOCAL_PATH, storage_class)
    metadata = claim.get("metadata") or {}
    name = volume["metadata"]["name"]
    path = f"{base}/{name}_{metadata.get('namespace') or 'default'}_{metadata.get('name')}"
    volume["spec"]["hostPath"] = {"path": path, "type": "DirectoryOrCreate"}
    volume["metadata"]["annotations"]["local.path.provisioner/selected-node"] = hostname
    return volume


def provisioned_volume(
    claim: Manifest, topology: Iterable[tuple[str, str]], provisioner: str, storage_class: str
) -> Manifest:
    """A volume made for ``claim``, reachable from nodes with all the labels of ``topology`` (all nodes when empty)."""
    metadata, spec = claim.get("metadata") or {}, claim.get("spec") or {}
    expressions = [{"key": key, "operator": "In", "values": [value]} for key, value in topology]
    volume: Manifest = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume_name(claim), "annotations": {_PROVISIONED_BY: provisioner}},
        "spec": {
            "accessModes": list(spec.get("accessModes") or ["ReadWriteOnce"]),
            "capacity": {"storage": dig(claim, "spec", "resources", "requests", "storage", default="0")},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "name": metadata.get("name"),
                "namespace": metadata.get("namespace") or "default",
            },
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": storage_class,
            "volumeMode": spec.get("volumeMode") or "Filesystem",
        },
        "status": {"phase": "Bound"},
    }
    if expressions:
        volume["spec"]["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": expressions}]}}
    return volume


def bound_claim(claim: Manifest, volume: str, node: str) -> Manifest:
    """A copy of ``claim`` bound to ``volume``, as it stands once the scheduler has selected ``node``."""
    metadata = dict(claim.get("metadata") or {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), SELECTED_NODE: node, BIND_COMPLETED: "yes"}
    return {
        **claim,
        "metadata": metadata,
        "spec": {**(claim.get("spec") or {}), "volumeName": volume},
        "status": {**(claim.get("status") or {}), "phase": "Bound"},
    }


def with_bindings(snapshot: Snapshot, bindings: Iterable[Binding]) -> Snapshot:
    """``snapshot`` after the bindings of a decision: claims bound, volumes reserved or made."""
    made = list(bindings)
    if not made:
        return snapshot
    pvs, pvcs = dict(snapshot.objects.pvs), dict(snapshot.objects.pvcs)
    for binding in made:
        claim = pvcs[binding.claim]
        volume = _volume(binding, claim, pvs)
        pvs[str(volume["metadata"]["name"])] = volume
        pvcs[binding.claim] = bound_claim(claim, str(volume["metadata"]["name"]), binding.node)
    return snapshot.with_objects(pvs=pvs.values(), pvcs=pvcs.values())


def _volume(binding: Binding, claim: Manifest, pvs: Mapping[str, Any]) -> Manifest:
    if binding.volume:
        volume: Manifest = dict(pvs[binding.volume])
        metadata = claim.get("metadata") or {}
        reference = {"name": metadata.get("name"), "namespace": metadata.get("namespace") or "default"}
        volume["spec"] = {**(volume.get("spec") or {}), "claimRef": reference}
        volume["status"] = {"phase": "Bound"}
        return volume
    topology = dict(binding.topology)
    if binding.provisioner == LOCAL_PATH:
        return local_path_volume(claim, topology.get(HOSTNAME, binding.node), binding.storage_class)
    return provisioned_volume(claim, binding.topology, binding.provisioner, binding.storage_class)
