"""Can the volumes follow their pods?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from models.findings import Severity
from models.objects import KubeObject
from models.operators.make import items, mapping, maps
from models.platform import Workload
from models.rules.rollout import max_surge, max_unavailable, strategy_of
from models.scheduler.objects import Objects
from models.scheduler.volumes import claim_class
from sim.checks.check import Check, Defect
from sim.checks.look import Look, pod_field
from sim.checks.patch import patch
from sim.platform.storage import LOCAL_PROVISIONERS, network_source

_SHARED: Final = re.compile(r"nfs|smb|cifs|cephfs|glusterfs|efs|azurefile|file\.csi|filestore|juicefs|seaweedfs", re.I)
_SYSTEM_PATHS: Final = re.compile(r"^/(dev|proc|sys|run|var/run|etc|lib|usr|boot|bin|sbin|var/log|var/lib/kubelet|$)")
_REPLACE: Final = {"type": "Recreate", "rollingUpdate": None}
_HOSTNAME: Final = "kubernetes.io/hostname"


@dataclass(frozen=True)
class Storage:
    """What is known about the volume of a claim.

    kind: ``local`` (one node's disk), ``attached`` (a network disk that one node holds at a time), ``shared`` (any
    number of nodes) or ``unknown``. says: class and provisioner in words. node: where a local one is, when placed.
    known: whether its class or volume exists.
    """

    kind: str
    says: str
    node: str = ""
    known: bool = True


def storage_of(look: Look, claim: KubeObject) -> Storage:
    """What kind of volume the claim has or gets."""
    pin = look.placement.volumes.pins.get(f"{claim.namespace}/{claim.name}")
    name = class_name(look, claim)
    known = look.platform.storage_classes.get(name)
    volume = look.platform.get("PersistentVolume", "", str(claim.spec.get("volumeName") or ""))
    if volume is not None:
        return _volume_storage(volume, pin.node if pin else "")
    provisioner = str(known.manifest.get("provisioner") or "") if known is not None else ""
    says = f"class {name} ({provisioner})" if provisioner else f"class {name or 'unknown'}"
    if pin is not None or provisioner in LOCAL_PROVISIONERS:
        return Storage("local", says, pin.node if pin else "")
    if not provisioner:
        return Storage("unknown", says, known=False)
    return Storage("shared" if _SHARED.search(provisioner) else "attached", says)


def _volume_storage(volume: KubeObject, node: str) -> Storage:
    says = f"volume {volume.name}"
    if node or volume.spec.get("local") or volume.spec.get("hostPath"):
        return Storage("local", says, node)
    driver = str(mapping(volume.spec.get("csi")).get("driver") or "")
    if volume.spec.get("nfs") or _SHARED.search(driver) or (network_source(dict(volume.spec)) and not driver):
        return Storage("shared", says)
    return Storage("attached" if driver else "unknown", says)


def class_name(look: Look, claim: KubeObject) -> str:
    """The class of a claim as Kubernetes decides it: its own, else the default one, else none."""
    classes = {name: item.manifest for name, item in look.platform.storage_classes.items()}
    return claim_class(claim.manifest, Objects(storage_classes=classes))


def _modes(claim: KubeObject) -> set[str]:
    return {str(mode) for mode in items(claim.spec.get("accessModes"))}


def _once(claim: KubeObject) -> bool:
    return not _modes(claim) & {"ReadWriteMany", "ReadOnlyMany", "ReadWriteOncePod"}


def _several_nodes(look: Look) -> bool:
    return len(look.standing.cluster.nodes) > 1


def claim_pinned(look: Look) -> Iterator[Defect]:
    """A workload whose data lies on one node's disk: when that node is away, nothing brings it back elsewhere."""
    known = look.standing.hardware_known
    if known and not _several_nodes(look):
        return
    for workload in look.platform.workloads:
        if workload.controller in ("Job", "CronJob", "DaemonSet") or not workload.replicas:
            continue
        found = [(claim, storage_of(look, claim), field) for claim, field in look.mounted(workload)]
        local = [(claim, storage, field) for claim, storage, field in found if storage.kind == "local"]
        if not local:
            continue
        nodes = sorted({storage.node for _, storage, _ in local if storage.node})
        where = f" to {', '.join(nodes)}" if nodes and known else " to one node"
        own = workload.controller in ("StatefulSet", "Cluster") and workload.replicas > 1
        yield Defect(
            f"{workload.id} is pinned{where}: while that node is away its pod stays Pending"
            if not own
            else f"Each pod of {workload.id} is pinned to the node of its volume",
            workload.object,
            local[0][2],
            tuple(f"claim {claim.namespace}/{claim.name}: {storage.says}" for claim, storage, _ in local),
            "keep the data on replicated or network storage, or know how long the node may be away and how to restore",
            severity=None if known and not own else Severity.INFO,
        )


def claim_two_writers(look: Look) -> Iterator[Defect]:
    """A rolling update that starts the new pod beside the old one on the same local volume: two writers of one data."""
    for workload, claim, field in _rolling(look):
        storage = storage_of(look, claim)
        local = storage.kind == "local"
        if not local and not (storage.kind == "attached" and look.standing.hardware_known and not _several_nodes(look)):
            continue
        yield Defect(
            f"A rollout of {workload.id} runs the old and the new pod at once on claim {claim.name}: "
            "two writers of the same files",
            workload.object,
            field,
            (_strategy(workload), f"claim {claim.namespace}/{claim.name}: {_said(claim)}, {storage.says}"),
            "let the old pod go first (strategy Recreate)",
            patch(workload.object, spec={"strategy": _REPLACE}),
        )


def claim_rollout_attach(look: Look) -> Iterator[Defect]:
    """A rolling update whose surge pod may land on another node, where a ReadWriteOnce volume cannot be attached."""
    if look.standing.hardware_known and not _several_nodes(look):
        return
    for workload, claim, field in _rolling(look):
        storage = storage_of(look, claim)
        if storage.kind != "attached" or _tied_to_a_node(workload):
            continue
        yield Defect(
            f"A rollout of {workload.id} hangs when its new pod lands on another node: "
            f"claim {claim.name} is attached to the old pod's",
            workload.object,
            field,
            (
                _strategy(workload),
                f"claim {claim.namespace}/{claim.name}: {_said(claim)}, {storage.says}",
                "Multi-Attach error for volume: Volume is already used by pod(s) on another node",
            ),
            "let the old pod go first (strategy Recreate)",
            patch(workload.object, spec={"strategy": _REPLACE}),
            severity=None if look.standing.hardware_known else Severity.WARNING,
        )


def claim_multi_attach(look: Look) -> Iterator[Defect]:
    """One ReadWriteOnce network volume for several pods: those on another node than the first one never start."""
    if look.standing.hardware_known and not _several_nodes(look):
        return
    users: dict[str, list[tuple[Workload, KubeObject, str]]] = {}
    for workload in look.platform.workloads:
        for claim, field in look.mounted(workload):
            if claim.origin.provenance != "derived" and _once(claim):
                users.setdefault(f"{claim.namespace}/{claim.name}", []).append((workload, claim, field))
    for name, listed in users.items():
        storage = storage_of(look, listed[0][1])
        pods = sum(max(1, workload.replicas or 1) for workload, _, _ in listed)
        held = all(_tied_to_a_node(workload) for workload, _, _ in listed[1:]) and len(listed) > 1
        if storage.kind != "attached" or pods < 2 or held:
            continue
        yield Defect(
            f"{pods} pods share claim {name}, which one node can attach: the others stay in ContainerCreating "
            "unless they run on the same node",
            listed[0][1],
            "spec.accessModes",
            (f"{_said(listed[0][1])}, {storage.says}", *(f"mounted by {workload.id}" for workload, _, _ in listed)),
            "use a class that can do ReadWriteMany, or keep the pods on one node with a required pod affinity",
            severity=None if look.standing.hardware_known else Severity.WARNING,
        )


def claim_once_pod(look: Look) -> Iterator[Defect]:
    """A ReadWriteOncePod claim that a second pod wants: of a rollout, of a replica or of another workload."""
    users: dict[str, list[Workload]] = {}
    for workload in look.platform.workloads:
        for claim, _ in look.mounted(workload):
            if "ReadWriteOncePod" in _modes(claim):
                users.setdefault(f"{claim.namespace}/{claim.name}", []).append(workload)
    for name, listed in users.items():
        shared = look.platform.get("PersistentVolumeClaim", *name.split("/"))
        if shared is None or shared.origin.provenance == "derived":
            continue
        rolling = [item for item in listed if _surges(item)]
        several = len(listed) > 1 or any((item.replicas or 1) > 1 for item in listed)
        if not rolling and not several:
            continue
        chosen = rolling[0] if rolling and not several else None
        yield Defect(
            f"A rollout of {chosen.id} never finishes: claim {shared.name} lets one pod in"
            if chosen
            else f"Claim {name} lets one pod in, and several want it",
            chosen.object if chosen else shared,
            "spec.strategy" if chosen else "spec.accessModes",
            (
                f"claim {name} ({shared.origin}): ReadWriteOncePod",
                *(f"mounted by {item.id} ({item.replicas} pods)" for item in listed),
                "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode",
            ),
            "let the old pod go first (strategy Recreate)" if chosen else "give every pod a claim of its own",
            patch(chosen.object, spec={"strategy": _REPLACE}) if chosen else "",
        )


def hostpath_anywhere(look: Look) -> Iterator[Defect]:
    """Data in a hostPath of a workload that may start on any node: on another one it finds an empty folder."""
    if not _several_nodes(look):
        return
    for workload in look.platform.workloads:
        if workload.controller == "DaemonSet" or _tied_to_a_node(workload):
            continue
        for path, field in _host_paths(look, workload):
            yield Defect(
                f"{workload.id} keeps data in {path} of whatever node it runs on: after a move it finds none of it",
                workload.object,
                field,
                (f"hostPath {path}, {len(look.standing.cluster.nodes)} nodes, no node selector",),
                "pin it to the node that has the data (nodeSelector kubernetes.io/hostname), or use a claim",
            )
            break


def _host_paths(look: Look, workload: Workload) -> Iterator[tuple[str, str]]:
    """Paths on the node that the pods write to: hostPath volumes, and claims on volumes that are one."""
    base = pod_field(workload)
    written = {
        str(mount.get("name"))
        for slot in look.slots(workload)
        for mount in maps(slot.manifest.get("volumeMounts"))
        if mount.get("readOnly") is not True
    }
    for volume in maps(workload.pod_spec.get("volumes")):
        host = mapping(volume.get("hostPath"))
        path = str(host.get("path") or "")
        kind = str(host.get("type") or "")
        if not path or _SYSTEM_PATHS.match(path) or kind in ("Socket", "CharDevice", "BlockDevice", "File"):
            continue
        if str(volume.get("name")) in written:
            yield path, f"{base}.volumes[{volume.get('name')}].hostPath.path"
    for claim, field in look.mounted(workload):
        held = look.platform.get("PersistentVolume", "", str(claim.spec.get("volumeName") or ""))
        if held is not None and held.get("spec", "hostPath", "path") and not held.spec.get("nodeAffinity"):
            yield str(held.get("spec", "hostPath", "path")), field


def _tied_to_a_node(workload: Workload) -> bool:
    """Whether the pods may run on one node only: a name, a host selector, or a pod that they must be beside."""
    spec = workload.pod_spec
    affinity = mapping(spec.get("affinity"))
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    return bool(
        spec.get("nodeName")
        or mapping(spec.get("nodeSelector")).get(_HOSTNAME)
        or mapping(affinity.get("podAffinity")).get(required)
        or _HOSTNAME in str(mapping(affinity.get("nodeAffinity")).get(required) or "")
    )


def _surges(workload: Workload) -> bool:
    """Whether a rollout starts a new pod while the old one still runs."""
    if workload.controller != "Deployment" or not workload.replicas or workload.provenance == "derived":
        return False
    return max_surge(strategy_of(workload.object.manifest), workload.replicas) > 0


def _rolling(look: Look) -> Iterator[tuple[Workload, KubeObject, str]]:
    """Single-pod Deployments that surge, with the ReadWriteOnce claims that they write to."""
    for workload in look.platform.workloads:
        if workload.replicas != 1 or not _surges(workload):
            continue
        writable = _written_volumes(look, workload)
        for claim, field in look.mounted(workload):
            name = field.partition("[")[2].partition("]")[0]
            if _once(claim) and name in writable:
                yield workload, claim, field
                break


def _written_volumes(look: Look, workload: Workload) -> set[str]:
    return {
        str(mount.get("name"))
        for slot in look.slots(workload)
        for mount in maps(slot.manifest.get("volumeMounts"))
        if mount.get("readOnly") is not True
    }


def _strategy(workload: Workload) -> str:
    rules = strategy_of(workload.object.manifest)
    replicas = workload.replicas or 0
    return f"RollingUpdate, surge {max_surge(rules, replicas)}, unavailable {max_unavailable(rules, replicas)}"


def _said(claim: KubeObject) -> str:
    return ", ".join(sorted(_modes(claim))) or "no access mode"


CHECKS = (
    Check(
        "CLAIM-PINNED", Severity.WARNING, "a workload's volume lies on one node's disk and keeps it there", claim_pinned
    ),
    Check(
        "CLAIM-TWO-WRITERS",
        Severity.WARNING,
        "a rolling update runs two pods of a single replica on one local ReadWriteOnce volume",
        claim_two_writers,
    ),
    Check(
        "CLAIM-ROLLOUT-ATTACH",
        Severity.ERROR,
        "a rolling update needs a ReadWriteOnce network volume on two nodes at once",
        claim_rollout_attach,
    ),
    Check(
        "CLAIM-MULTI-ATTACH",
        Severity.ERROR,
        "several pods share a ReadWriteOnce network volume and may run on different nodes",
        claim_multi_attach,
        replaces=("GRAPH-SHARED-CLAIM",),
    ),
    Check("CLAIM-ONCE-POD", Severity.ERROR, "a second pod wants a ReadWriteOncePod claim", claim_once_pod),
    Check(
        "HOSTPATH-ANYWHERE",
        Severity.WARNING,
        "data in a hostPath of a workload that may start on any node",
        hostpath_anywhere,
        needs_hardware=True,
    ),
)
