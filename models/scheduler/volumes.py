"""The claims of a pod, and the volume filters VolumeRestrictions, NodeVolumeLimits and VolumeZone, one node at a time.

Sources: pkg/scheduler/framework/plugins/{volumerestrictions,nodevolumelimits,volumebinding,volumezone}/*.go,
component-helpers/storage/volume/helpers.go (Kubernetes 1.33). In-tree volume sources are not translated to CSI: an
in-tree disk counts towards no driver's limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from models.objects import Manifest, dig, string_map
from models.scheduler.nodeinfo import NodeInfo, NodeState, csi_limits
from models.scheduler.objects import Objects
from models.scheduler.podinfo import INLINE_DISKS, PodInfo
from models.scheduler.status import (
    DISK_CONFLICT,
    MAX_VOLUMES,
    RWOP_CONFLICT,
    UNBOUND_IMMEDIATE,
    VOLUME_ZONE,
    PodRefused,
    Status,
)

SELECTED_NODE = "volume.kubernetes.io/selected-node"
BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
_GA_LABELS = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
}
_TOPOLOGY_LABELS = (*_GA_LABELS, *_GA_LABELS.values())


@dataclass(frozen=True)
class Binding:
    """How one claim of a placed pod gets its volume on ``node``.

    ``volume`` names the existing volume of a static binding; "" means that ``provisioner`` makes one for the node.
    ``topology`` is the node's share of the class's ``allowedTopologies`` keys (the host name when it names none).
    """

    claim: str
    node: str
    volume: str = ""
    provisioner: str = ""
    storage_class: str = ""
    topology: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class VolumeState:
    """What PreFilter found out about the claims of a pod."""

    pod: PodInfo
    objects: Objects
    bound: tuple[Manifest, ...] = ()
    delayed: tuple[Manifest, ...] = ()
    zones: tuple[tuple[str, frozenset[str]], ...] = ()
    exclusive: frozenset[str] = frozenset()

    @cached_property
    def csi_volumes(self) -> Mapping[str, str]:
        """The CSI volumes of the pod: unique name to driver."""
        return pod_csi_volumes(self.pod, self.objects)


def claim_names(pod: PodInfo) -> Iterable[tuple[str, bool]]:
    """The names of the claims that the pod's volumes use, and whether each is a generic ephemeral one."""
    for volume in pod.spec.volumes:
        if volume.get("persistentVolumeClaim") is not None:
            yield str((volume["persistentVolumeClaim"] or {}).get("claimName") or ""), False
        elif volume.get("ephemeral") is not None:
            yield f"{pod.name}-{volume.get('name')}", True


def find_claim(pod: PodInfo, name: str, objects: Objects) -> Manifest | None:
    """The claim of that name in the pod's namespace."""
    return objects.pvcs.get(f"{pod.namespace}/{name}")


def claim_class(claim: Manifest, objects: Objects) -> str:
    """The StorageClass of a claim: annotation, ``spec.storageClassName``, or the default class when unset.

    The default class is what the DefaultStorageClass admission would have written into an offline manifest.
    """
    annotated = dig(claim, "metadata", "annotations", _CLASS_ANNOTATION)
    if annotated is not None:
        return str(annotated)
    named = (claim.get("spec") or {}).get("storageClassName")
    if named is not None:
        return str(named)
    defaults = [
        name
        for name, item in objects.storage_classes.items()
        if str(dig(item, "metadata", "annotations", _DEFAULT_CLASS, default="")).lower() == "true"
    ]
    return defaults[0] if defaults else ""


def volume_class(volume: Manifest) -> str:
    """The StorageClass of a volume, "" when it has none."""
    annotated = dig(volume, "metadata", "annotations", _CLASS_ANNOTATION)
    return str(annotated if annotated is not None else dig(volume, "spec", "storageClassName", default=""))


def is_bound(claim: Manifest, objects: Objects) -> bool:
    """Whether a claim is fully bound: it names a volume and the binding is complete.

    A cluster says so by annotation; a manifest that only has ``status.phase: Bound``, or whose volume points back at
    the claim, means the same.
    """
    name = str(dig(claim, "spec", "volumeName", default=""))
    if not name:
        return False
    if dig(claim, "metadata", "annotations", BIND_COMPLETED) is not None:
        return True
    if dig(claim, "status", "phase") == "Bound":
        return True
    volume = objects.pvs.get(name)
    return volume is not None and volume_belongs_to(volume, claim)


def volume_belongs_to(volume: Manifest, claim: Manifest) -> bool:
    """Whether the volume's ``claimRef`` names the claim (``IsVolumeBoundToClaim``)."""
    reference = dig(volume, "spec", "claimRef")
    if reference is None:
        return False
    metadata = claim.get("metadata") or {}
    if reference.get("name") != metadata.get("name"):
        return False
    if (reference.get("namespace") or "default") != (metadata.get("namespace") or "default"):
        return False
    uid = reference.get("uid")
    return not uid or uid == metadata.get("uid")


def prefilter(pod: PodInfo, objects: Objects) -> VolumeState:
    """What all volume plugins need to know about the pod; raises :class:`PodRefused` in the order of the plugins."""
    if not pod.spec.uses_claims:
        return VolumeState(pod, objects)
    exclusive = exclusive_claims(pod, objects)
    bound, delayed = sort_claims(pod, objects)
    return VolumeState(pod, objects, bound, delayed, tuple(zones(pod, objects)), exclusive)


def sort_claims(pod: PodInfo, objects: Objects) -> tuple[tuple[Manifest, ...], tuple[Manifest, ...]]:
    """VolumeBinding: the pod's bound claims, and those that wait for a node. Raises :class:`PodRefused`."""
    claims = [_usable_claim(pod, name, ephemeral, objects) for name, ephemeral in claim_names(pod)]
    bound = tuple(claim for claim in claims if is_bound(claim, objects))
    unbound = [claim for claim in claims if not is_bound(claim, objects)]
    if not all(_binds_late(claim, objects) and not dig(claim, "spec", "volumeName") for claim in unbound):
        raise PodRefused("VolumeBinding", UNBOUND_IMMEDIATE)
    return bound, tuple(unbound)


def exclusive_claims(pod: PodInfo, objects: Objects) -> frozenset[str]:
    """VolumeRestrictions: names of the pod's ReadWriteOncePod claims."""
    names = set()
    for name, ephemeral in claim_names(pod):
        if ephemeral:
            continue
        claim = find_claim(pod, name, objects)
        if claim is None:
            raise PodRefused("VolumeRestrictions", f'persistentvolumeclaim "{name}" not found')
        if "ReadWriteOncePod" in dig(claim, "spec", "accessModes", default=[]):
            names.add(name)
    return frozenset(names)


def _usable_claim(pod: PodInfo, name: str, ephemeral: bool, objects: Objects) -> Manifest:
    claim = find_claim(pod, name, objects)
    if claim is None:
        message = f'persistentvolumeclaim "{name}" not found'
        if ephemeral:
            message = f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
        raise PodRefused("VolumeBinding", message)
    if dig(claim, "status", "phase") == "Lost":
        volume = dig(claim, "spec", "volumeName", default="")
        raise PodRefused(
            "VolumeBinding", f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{volume}"'
        )
    if dig(claim, "metadata", "deletionTimestamp") is not None:
        raise PodRefused("VolumeBinding", f'persistentvolumeclaim "{name}" is being deleted')
    if ephemeral and not _owned_by(claim, pod):
        raise PodRefused(
            "VolumeBinding",
            f"PVC {pod.namespace}/{name} was not created for pod {pod.namespace}/{pod.name} (pod is not owner)",
        )
    return claim


def _owned_by(claim: Manifest, pod: PodInfo) -> bool:
    owner = next(
        (item for item in dig(claim, "metadata", "ownerReferences", default=[]) if item.get("controller")), None
    )
    return owner is not None and owner.get("uid") == dig(dict(pod.manifest), "metadata", "uid")


def _binds_late(claim: Manifest, objects: Objects) -> bool:
    found = objects.storage_classes.get(claim_class(claim, objects))
    # The API server defaults an unset mode to Immediate.
    return found is not None and found.get("volumeBindingMode") == "WaitForFirstConsumer"


def zones(pod: PodInfo, objects: Objects) -> Iterable[tuple[str, frozenset[str]]]:
    """VolumeZone: the zone and region labels of the pod's bound volumes."""
    for name, ephemeral in claim_names(pod):
        claim = find_claim(pod, name, objects)
        if ephemeral or claim is None:
            continue
        volume_name = str(dig(claim, "spec", "volumeName", default=""))
        if not volume_name:
            continue
        volume = objects.pvs.get(volume_name)
        if volume is None:
            raise PodRefused("VolumeZone", f'persistentvolume "{volume_name}" not found')
        labels = string_map(dig(volume, "metadata", "labels"))
        for key in _TOPOLOGY_LABELS:
            if key in labels:
                yield key, frozenset(labels[key].split("__"))


def restrictions_filter(state: VolumeState, node: NodeState, others: Iterable[PodInfo]) -> Status | None:
    """VolumeRestrictions. ``others`` are all bound pods of the cluster: ReadWriteOncePod holds across nodes."""
    for volume in state.pod.spec.volumes:
        if any(_disks_conflict(volume, theirs) for pod in node.pods for theirs in pod.spec.volumes):
            return Status("VolumeRestrictions", (DISK_CONFLICT,))
    if state.exclusive and any(uses_exclusive(state, other) for other in others):
        return Status("VolumeRestrictions", (RWOP_CONFLICT,))
    return None


def uses_exclusive(state: VolumeState, other: PodInfo) -> bool:
    """Whether ``other`` uses one of the pod's ReadWriteOncePod claims."""
    if not other.spec.uses_claims or other.namespace != state.pod.namespace:
        return False
    return any(name in state.exclusive for name, ephemeral in claim_names(other) if not ephemeral)


def _disks_conflict(volume: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    for kind in INLINE_DISKS:
        left, right = volume.get(kind), other.get(kind)
        if not left or not right:
            continue
        read_only = bool(left.get("readOnly")) and bool(right.get("readOnly"))
        if kind == "awsElasticBlockStore":
            if left.get("volumeID") == right.get("volumeID"):
                return True
        elif not read_only and _same_disk(kind, left, right):
            return True
    return False


def _same_disk(kind: str, left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    if kind == "gcePersistentDisk":
        return bool(left.get("pdName") == right.get("pdName"))
    if kind == "iscsi":
        return bool(left.get("iqn") == right.get("iqn"))
    return (
        bool(set(left.get("monitors") or ()) & set(right.get("monitors") or ()))
        and (left.get("pool") or "rbd") == (right.get("pool") or "rbd")
        and left.get("image") == right.get("image")
    )


def pod_csi_volumes(pod: PodInfo, objects: Objects) -> dict[str, str]:
    """CSI volumes of a pod that a node must attach: ``driver/handle`` to driver."""
    found: dict[str, str] = {}
    for name, _ in claim_names(pod):
        claim = find_claim(pod, name, objects)
        if claim is None:
            continue
        volume = objects.pvs.get(str(dig(claim, "spec", "volumeName", default="")))
        if volume is not None:
            driver = str(dig(volume, "spec", "csi", "driver", default=""))
            handle = str(dig(volume, "spec", "csi", "volumeHandle", default=""))
        else:
            driver = str(objects.storage_classes.get(claim_class(claim, objects), {}).get("provisioner") or "")
            handle = f"unbound-{pod.namespace}/{name}"
        if driver and handle:
            found[f"{driver}/{handle}"] = driver
    return found


def limits_filter(state: VolumeState, node: NodeState) -> Status | None:
    """NodeVolumeLimits: attached plus new volumes of each driver against the CSINode's allocatable count."""
    limits = csi_limits(state.objects.csi_nodes.get(node.info.name))
    if not limits or not state.csi_volumes:
        return None
    attached: dict[str, str] = {}
    for pod in node.pods:
        if pod.spec.uses_claims:
            attached.update(pod_csi_volumes(pod, state.objects))
    new = {name: driver for name, driver in state.csi_volumes.items() if name not in attached}
    attached.update(_attachments(node.info.name, state.objects))
    for driver in set(new.values()):
        used = sum(1 for item in attached.values() if item == driver)
        wanted = sum(1 for item in new.values() if item == driver)
        if driver in limits and used + wanted > limits[driver]:
            return Status("NodeVolumeLimits", (MAX_VOLUMES,))
    return None


def _attachments(node: str, objects: Objects) -> Iterable[tuple[str, str]]:
    for item in objects.volume_attachments.values():
        if dig(item, "spec", "nodeName") != node:
            continue
        driver = str(dig(item, "spec", "attacher", default=""))
        volume = objects.pvs.get(str(dig(item, "spec", "source", "persistentVolumeName", default="")))
        handle = dig(volume or {}, "spec", "csi", "volumeHandle")
        if driver and handle is not None:
            yield f"{driver}/{handle}", driver


def zone_filter(state: VolumeState, node: NodeInfo) -> Status | None:
    """VolumeZone: zone and region labels of bound volumes must match those of a node that has any."""
    if not any(key in node.labels for key in _TOPOLOGY_LABELS):
        return None
    for key, values in state.zones:
        value = node.labels.get(key, node.labels.get(_GA_LABELS.get(key, key)))
        if value is None or value not in values:
            return Status("VolumeZone", (VOLUME_ZONE,), True)
    return None
