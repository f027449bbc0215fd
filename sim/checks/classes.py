"""Do the storage and snapshot classes exist that claims and snapshots name?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from models.findings import Severity
from models.objects import KubeObject
from models.operators.make import mapping
from sim.checks.check import Check, Defect, subject_of
from sim.checks.look import Look
from sim.checks.patch import json_patch, patch, pointer
from sim.checks.storage import class_name
from sim.distribution import ASSUMED, ASSUMED_LOCAL, ASSUMED_NETWORK
from sim.platform.storage import LOCAL_PROVISIONERS

_KIND_OF: Final = {ASSUMED_LOCAL: "storage on the disk of a node", ASSUMED_NETWORK: "storage on the network"}
_SNAPSHOT_TEXT: Final = re.compile(r"volumeSnapshotClassName:\s*[\"']?([a-z0-9][\w.\-]*)")


def storage_class_missing(look: Look) -> Iterator[Defect]:
    """Claims of a class that neither the tree nor the distribution has: they stay Pending, and their pods with them."""
    groups: dict[str, list[KubeObject]] = {}
    classes = look.platform.storage_classes
    shown = {name for name, item in classes.items() if item.origin.by != ASSUMED}
    fixed = {str(item.spec.get("storageClassName")) for item in look.platform.volumes}
    for claim in look.platform.claims:
        name = class_name(look, claim)
        if name and name not in shown and name not in fixed and not claim.spec.get("volumeName"):
            groups.setdefault(name, []).append(claim)
    hidden = _hidden_anywhere(look)
    known = sorted(shown)
    for name, claims in groups.items():
        assumed = str(classes[name].manifest.get("provisioner")) if name in classes else ""
        other = look.declared_elsewhere("StorageClass", name)
        unsure = bool(hidden) or not look.standing.hardware_known
        single = (
            claims[0] if len(known) == 1 and claims[0].origin.provenance == "manifest" and len(claims) == 1 else None
        )
        bind = "bind" if len(claims) > 1 else "binds"
        waiting = _waiting_for(look, claims)
        if assumed:
            says = f"StorageClass {name} is not in what could be read: {_claims(claims)} of it may never bind"
        elif other:
            says = f"StorageClass {name} is not in this tree: {_claims(claims)} of it {bind} only if the cluster has it"
        else:
            says = f"StorageClass {name} does not exist: {_claims(claims)} of it never {bind}"
        yield Defect(
            says,
            claims[0],
            "spec.storageClassName",
            (
                *(f"{subject_of(item)} ({item.origin})" for item in claims[:5]),
                *([f"pods pending with them: {', '.join(waiting)}"] if waiting else []),
                f"classes of the tree: {', '.join(known) or 'none'}",
                *([f"the repository has it at {other}, outside of this tree"] if other else []),
                *(f"not read: {item}" for item in hidden[:3]),
                *([f"taken to exist, as {_KIND_OF[assumed]}"] if assumed else []),
            ),
            look.read_as_well(other, f"StorageClass {name}")
            if other
            else f"name a class that exists{': ' + ', '.join(known) if known else ''}, or add the class",
            patch(single, spec={"storageClassName": known[0]}) if single else "",
            severity=Severity.WARNING if other or unsure else None,
        )


def _claims(claims: list[KubeObject]) -> str:
    return "1 claim" if len(claims) == 1 else f"{len(claims)} claims"


def _waiting_for(look: Look, claims: list[KubeObject]) -> list[str]:
    """The workloads whose pods are pending and mount one of the claims."""
    names = {(item.namespace, item.name) for item in claims}
    return [
        workload.id
        for workload in look.platform.workloads
        if any((item.namespace, item.name) in names for item, _ in look.mounted(workload))
        and any(pod.state == "pending" for pod in look.pods_of(workload))
    ]


def storage_class_no_default(look: Look) -> Iterator[Defect]:
    """Claims that name no class on a cluster that has no default one."""
    if look.standing.cluster.distribution == "k3s" and "local-path" in look.platform.storage_classes:
        return
    hidden = _hidden_anywhere(look)
    bare = [
        claim
        for claim in look.platform.claims
        if not class_name(look, claim)
        and not claim.spec.get("volumeName")
        and not _bound(look, claim)
        and claim.spec.get("storageClassName") is None
        and claim.spec.get("selector") is None
    ]
    if bare:
        yield Defect(
            f"{len(bare)} claim{'s name' if len(bare) > 1 else ' names'} no StorageClass, and no class is the default: "
            "they never bind",
            bare[0],
            "spec.storageClassName",
            tuple(f"{subject_of(item)} ({item.origin})" for item in bare[:5]),
            "name a class, or mark one as the default (storageclass.kubernetes.io/is-default-class)",
            severity=Severity.INFO if hidden else None,
        )


def _bound(look: Look, claim: KubeObject) -> bool:
    found = look.placement.volumes.pvcs.get(f"{claim.namespace}/{claim.name}")
    return bool(mapping(mapping(found).get("spec")).get("volumeName"))


def snapshot_class_missing(look: Look) -> Iterator[Defect]:
    """A VolumeSnapshotClass that does not exist: the snapshot never becomes ready."""
    hidden = _hidden_anywhere(look)
    known = {item.name for item in look.platform.by_kind("VolumeSnapshotClass")}
    for item, field, name in _snapshot_classes(look):
        if name in known or name in look.platform.storage_classes:
            continue
        other = look.declared_elsewhere("VolumeSnapshotClass", name)
        yield Defect(
            f"VolumeSnapshotClass {name} does not exist: the snapshots of {subject_of(item)} never become ready",
            item,
            field,
            (
                f"snapshot classes of the tree: {', '.join(sorted(known)) or 'none'}",
                *([f"the repository has it at {other}, outside of this tree"] if other else []),
                *(f"not read: {text}" for text in hidden[:3]),
            ),
            look.read_as_well(other, f"VolumeSnapshotClass {name}")
            if other
            else "name a VolumeSnapshotClass that exists, or add it",
            _class_patch(item, field, next(iter(known))) if len(known) == 1 else "",
            severity=Severity.INFO
            if other
            else Severity.WARNING
            if hidden or not look.standing.hardware_known
            else None,
        )


def snapshot_class_is_storage_class(look: Look) -> Iterator[Defect]:
    """A StorageClass named where a VolumeSnapshotClass is meant."""
    known = {item.name: item for item in look.platform.by_kind("VolumeSnapshotClass")}
    for item, field, name in _snapshot_classes(look):
        storage = look.platform.storage_classes.get(name)
        if storage is None or name in known:
            continue
        driver = storage.manifest.get("provisioner")
        fitting = sorted(key for key, value in known.items() if value.manifest.get("driver") == driver)
        yield Defect(
            f"{subject_of(item)} names {name} as its snapshot class, which is a StorageClass: its snapshots "
            "never become ready",
            item,
            field,
            (
                f"StorageClass {name} is at {storage.origin}, provisioner {driver}",
                f"snapshot classes of that driver: {', '.join(fitting) or 'none'}",
            ),
            _snapshot_way_out(str(driver), fitting),
            _class_patch(item, field, fitting[0]) if fitting else "",
        )


def _snapshot_way_out(driver: str, fitting: list[str]) -> str:
    if fitting:
        return f"name {fitting[0]}"
    if driver in LOCAL_PROVISIONERS:
        return f"{driver} is no CSI driver and cannot make snapshots: copy to an object store instead, or dump"
    return f"add a VolumeSnapshotClass with driver {driver} and name that"


def _snapshot_classes(look: Look) -> Iterator[tuple[KubeObject, str, str]]:
    """(object, field, name) of everything that names a VolumeSnapshotClass."""
    for item in look.platform.by_kind("VolumeSnapshot"):
        if item.spec.get("volumeSnapshotClassName"):
            yield item, "spec.volumeSnapshotClassName", str(item.spec["volumeSnapshotClassName"])
    for item in look.platform.by_kind("Cluster", "postgresql.cnpg.io"):
        snapshot = mapping(item.get("spec", "backup", "volumeSnapshot"))
        for key in ("className", "walClassName"):
            if snapshot.get(key):
                yield item, f"spec.backup.volumeSnapshot.{key}", str(snapshot[key])
    for kind in ("ReplicationSource", "ReplicationDestination"):
        for item in look.platform.by_kind(kind, "volsync.backube"):
            for mover, options in item.spec.items():
                if mapping(options).get("volumeSnapshotClassName"):
                    field = f"spec.{mover}.volumeSnapshotClassName"
                    yield item, field, str(mapping(options)["volumeSnapshotClassName"])
    for item in look.platform.by_kind("ConfigMap", ""):
        for key, text in mapping(item.manifest.get("data")).items():
            for name in dict.fromkeys(_SNAPSHOT_TEXT.findall(text)) if isinstance(text, str) else ():
                yield item, f"data.{key}", name


def _class_patch(item: KubeObject, field: str, name: str) -> str:
    if item.kind == "ConfigMap" or item.origin.provenance != "manifest":
        return ""
    return json_patch(item, {"op": "replace", "path": pointer(*field.split(".")), "value": name})


def _hidden_anywhere(look: Look) -> tuple[str, ...]:
    """What could hold cluster-wide objects and was not read."""
    found = [f"chart {item.what}" for item, _ in look.context.charts.values()]
    return tuple(dict.fromkeys([*look.unseen(""), *found]))


CHECKS = (
    Check(
        "STORAGECLASS-MISSING",
        Severity.ERROR,
        "a claim names a StorageClass that neither the tree nor the distribution has",
        storage_class_missing,
        replaces=("GRAPH-MISSING-REF",),
    ),
    Check(
        "STORAGECLASS-NO-DEFAULT",
        Severity.ERROR,
        "a claim names no StorageClass and the cluster has no default one",
        storage_class_no_default,
        needs_hardware=True,
    ),
    Check(
        "SNAPSHOTCLASS-MISSING",
        Severity.ERROR,
        "something names a VolumeSnapshotClass that does not exist",
        snapshot_class_missing,
    ),
    Check(
        "SNAPSHOTCLASS-IS-STORAGECLASS",
        Severity.ERROR,
        "a StorageClass is named where a VolumeSnapshotClass is meant",
        snapshot_class_is_storage_class,
    ),
)
