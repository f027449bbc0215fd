"""VolumeBinding: which volume each claim of a pod would get on a node.

Sources: pkg/scheduler/framework/plugins/volumebinding/{volume_binding,binder}.go, component-helpers/storage/volume/
pv_helpers.go (``FindMatchingVolume``) (Kubernetes 1.33).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from models.objects import Manifest, dig, string_map
from models.rules.quantity import parse_quantity
from models.scheduler.nodeinfo import NodeInfo
from models.scheduler.objects import Objects
from models.scheduler.selectors import label_selector, node_selector, topology_terms_match
from models.scheduler.status import (
    VOLUME_BIND,
    VOLUME_MISSING,
    VOLUME_NODE_AFFINITY,
    VOLUME_SPACE,
    PodRefused,
    Status,
)
from models.scheduler.volumes import (
    NO_PROVISIONER,
    SELECTED_NODE,
    Binding,
    VolumeState,
    claim_class,
    volume_belongs_to,
    volume_class,
)


def binding_filter(state: VolumeState, node: NodeInfo) -> Status | None:
    """VolumeBinding as a filter."""
    reasons, _ = find_volumes(state, node)
    return Status("VolumeBinding", reasons, True) if reasons else None


def find_volumes(state: VolumeState, node: NodeInfo) -> tuple[tuple[str, ...], tuple[Binding, ...]]:
    """``FindPodVolumes``: the reasons against the node, and the bindings that placing the pod there would make.

    Raises :class:`PodRefused` (an internal error upstream) when a claim to provision has no usable class.
    """
    reasons: list[str] = []
    for claim in state.bound:
        volume = state.objects.pvs.get(str(dig(claim, "spec", "volumeName", default="")))
        if volume is None:
            reasons.append(VOLUME_MISSING)
            break
        if not volume_fits_node(volume, node.labels):
            reasons.append(VOLUME_NODE_AFFINITY)
            break
    provision, match = [], []
    for claim in state.delayed:
        selected = dig(claim, "metadata", "annotations", SELECTED_NODE)
        if selected is None:
            match.append(claim)
        elif selected == node.name:
            provision.append(claim)
        else:
            return (*_in_order(reasons, VOLUME_BIND),), ()
    bindings, unmatched = _match_volumes(match, state, node)
    refusal = None
    for claim in (*provision, *unmatched):
        refusal, binding = _provision(claim, state, node)
        if binding is None:
            break
        bindings.append(binding)
    if refusal is not None:
        reasons = _in_order(reasons, refusal)
    return tuple(reasons), tuple(bindings)


def _in_order(reasons: list[str], new: str) -> list[str]:
    order = (VOLUME_NODE_AFFINITY, VOLUME_BIND, VOLUME_SPACE, VOLUME_MISSING)
    return sorted([*reasons, new], key=order.index)


def node_requirements(state: VolumeState) -> Iterable[Mapping[str, Any] | None]:
    """The node selectors on which :func:`find_volumes` depends; None when it depends on more than those.

    Nodes that agree on all of them get the same answer, so that large clusters are asked group by group.
    """
    objects = state.objects
    for claim in state.bound:
        volume = objects.pvs.get(str(dig(claim, "spec", "volumeName", default="")), {})
        yield from _required(volume)
    for claim in state.delayed:
        name = claim_class(claim, objects)
        found = objects.storage_classes.get(name, {})
        selected = dig(claim, "metadata", "annotations", SELECTED_NODE)
        special = found.get("allowedTopologies") or str(found.get("provisioner")) in objects.csi_drivers
        if selected is not None or special:
            yield None
            return
        for volume in objects.pvs.values():
            if volume_class(volume) == name:
                yield from _required(volume)


def _required(volume: Manifest) -> Iterable[Mapping[str, Any]]:
    required = dig(volume, "spec", "nodeAffinity", "required")
    if required is not None:
        yield required


def volume_fits_node(volume: Manifest, labels: Mapping[str, str]) -> bool:
    """Whether a volume's required node affinity accepts a node with these labels."""
    required = dig(volume, "spec", "nodeAffinity", "required")
    return required is None or node_selector(required).matches(labels)


def _storage(value: Any) -> int:
    return 0 if value is None else parse_quantity(value).value()


def _requested(claim: Manifest) -> int:
    return _storage(dig(claim, "spec", "resources", "requests", "storage"))


def _match_volumes(
    claims: Sequence[Manifest], state: VolumeState, node: NodeInfo
) -> tuple[list[Binding], list[Manifest]]:
    """Static matching: smallest claims first, each to the smallest free volume that fits."""
    chosen: set[str] = set()
    bindings: list[Binding] = []
    unmatched = []
    for claim in sorted(claims, key=_requested):
        volume = find_volume(claim, state.objects, node, chosen)
        if volume is None:
            unmatched.append(claim)
            continue
        name = str(dig(volume, "metadata", "name", default=""))
        chosen.add(name)
        bindings.append(Binding(_key(claim), node.name, volume=name, storage_class=claim_class(claim, state.objects)))
    return bindings, unmatched


def _key(claim: Manifest) -> str:
    metadata = claim.get("metadata") or {}
    return f"{metadata.get('namespace') or 'default'}/{metadata.get('name')}"


def find_volume(claim: Manifest, objects: Objects, node: NodeInfo, excluded: Iterable[str] = ()) -> Manifest | None:
    """``FindMatchingVolume`` for the scheduler: a volume reserved for the claim, else the smallest that fits."""
    wanted_class, size = claim_class(claim, objects), _requested(claim)
    raw = dig(claim, "spec", "selector")
    selector = None if raw is None else label_selector(raw)
    best: tuple[int, Manifest] | None = None
    for name, volume in objects.pvs.items():
        if volume_class(volume) != wanted_class or name in excluded or not _compatible(volume, claim, size):
            continue
        fits = volume_fits_node(volume, node.labels)
        if dig(volume, "spec", "claimRef") is not None:
            return volume if fits else None
        if not fits or dig(volume, "status", "phase", default="Available") != "Available":
            continue
        if selector is not None and not selector.matches(string_map(dig(volume, "metadata", "labels"))):
            continue
        modes = dig(volume, "spec", "accessModes", default=[])
        if not all(mode in modes for mode in dig(claim, "spec", "accessModes", default=[])):
            continue
        capacity = _storage(dig(volume, "spec", "capacity", "storage"))
        if best is None or capacity < best[0]:
            best = (capacity, volume)
    return None if best is None else best[1]


def _compatible(volume: Manifest, claim: Manifest, size: int) -> bool:
    spec, asked = volume.get("spec") or {}, claim.get("spec") or {}
    if spec.get("claimRef") is not None and not volume_belongs_to(volume, claim):
        return False
    return (
        _storage(dig(spec, "capacity", "storage")) >= size
        and (spec.get("volumeMode") or "Filesystem") == (asked.get("volumeMode") or "Filesystem")
        and (spec.get("volumeAttributesClassName") or "") == (asked.get("volumeAttributesClassName") or "")
        and dig(volume, "metadata", "deletionTimestamp") is None
    )


def _provision(claim: Manifest, state: VolumeState, node: NodeInfo) -> tuple[str | None, Binding | None]:
    """``checkVolumeProvisions`` for one claim: a reason against the node, or the binding."""
    name = claim_class(claim, state.objects)
    found = state.objects.storage_classes.get(name)
    if found is None:
        message = f'failed to find storage class "{name}"' if name else f'no class for claim "{_key(claim)}"'
        raise PodRefused("VolumeBinding", f'running "VolumeBinding" filter plugin: {message}', error=True)
    provisioner = str(found.get("provisioner") or "")
    if provisioner in ("", NO_PROVISIONER):
        return VOLUME_BIND, None
    if not topology_terms_match(found.get("allowedTopologies"), node.labels):
        return VOLUME_BIND, None
    if not _has_capacity(provisioner, claim, name, state.objects, node):
        return VOLUME_SPACE, None
    keys = {
        str(item.get("key"))
        for term in found.get("allowedTopologies") or ()
        for item in (term or {}).get("matchLabelExpressions") or ()
    } or {"kubernetes.io/hostname"}
    topology = tuple((key, node.labels[key]) for key in sorted(keys) if key in node.labels)
    return None, Binding(_key(claim), node.name, provisioner=provisioner, storage_class=name, topology=topology)


def _has_capacity(provisioner: str, claim: Manifest, name: str, objects: Objects, node: NodeInfo) -> bool:
    """CSIStorageCapacity, for drivers that opt in with ``storageCapacity: true``."""
    size = dig(claim, "spec", "resources", "requests", "storage")
    if size is None or not dig(objects.csi_drivers.get(provisioner, {}), "spec", "storageCapacity"):
        return True
    for item in objects.csi_capacities.values():
        topology = item.get("nodeTopology")
        limit = item.get("maximumVolumeSize", item.get("capacity"))
        if (
            item.get("storageClassName") == name
            and limit is not None
            and _storage(limit) >= _storage(size)
            and topology is not None
            and label_selector(topology).matches(node.labels)
        ):
            return True
    return False
