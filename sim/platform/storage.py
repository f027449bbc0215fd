"""Claims and volumes over time: which claim is bound to which volume, and which volume pins its pods to a node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from models.objects import Manifest, dig
from models.rules.quantity import parse_quantity
from models.scheduler.objects import Objects
from models.scheduler.volumes import BIND_COMPLETED, NO_PROVISIONER, Binding, claim_class, is_bound, volume_class

LOCAL_PROVISIONERS = frozenset(
    {
        "rancher.io/local-path",
        "cluster.local/local-path-provisioner",
        "openebs.io/local",
        "local.csi.openebs.io",
        "zfs.csi.openebs.io",
        "hostpath.csi.k8s.io",
        "lvm.topolvm.io",
        "local.storage.kubevirt.io",
        "kubevirt.io.hostpath-provisioner",
        "directpv-min-io",
        "topolvm.io",
        "topolvm.cybozu.com",
        "k8s.io/minikube-hostpath",
        "docker.io/hostpath",
        "assumed/node-local",
        NO_PROVISIONER,
    }
)
"""Provisioners whose volumes live on one node's disk."""


@dataclass(frozen=True, slots=True)
class Pin:
    """A volume that lives on one node: the claim ``namespace/name``, its class, its provisioner, the node."""

    claim: str
    storage_class: str
    provisioner: str
    node: str

    @property
    def kind(self) -> str:
        """``local-path`` for the well-known provisioner, else its name."""
        return "local-path" if "local-path" in self.provisioner else self.provisioner or self.storage_class or "local"

    def says(self, workload: str) -> str:
        """Why the workload cannot move."""
        name = workload.rpartition("/")[2]
        return f"volume {self.claim} ({self.kind}) pins {name} to {self.node} until it returns"


@dataclass(frozen=True)
class Volumes:
    """Claims, volumes and classes as the scheduler reads them, plus the pins by claim. Immutable."""

    pvcs: Mapping[str, Manifest]
    pvs: Mapping[str, Manifest]
    classes: Mapping[str, Manifest]
    pins: Mapping[str, Pin]

    @classmethod
    def of(cls, claims: Iterable[Manifest], volumes: Iterable[Manifest], classes: Iterable[Manifest]) -> Volumes:
        """The volumes of a platform before any pod exists; claims that bind at once are bound."""
        pvcs = {_key(item): item for item in claims}
        start = cls(pvcs, {_name(item): item for item in volumes}, {_name(item): item for item in classes}, {})
        return start._bind_immediate()

    def bind(self, bindings: Iterable[Binding]) -> Volumes:
        """These volumes after a pod was placed with those bindings."""
        pvcs, pvs, pins = dict(self.pvcs), dict(self.pvs), dict(self.pins)
        for item in bindings:
            claim = pvcs[item.claim]
            name = item.volume or f"pvc-{item.claim.replace('/', '-')}"
            local = item.provisioner in LOCAL_PROVISIONERS
            if not item.volume:
                pvs[name] = _provisioned(name, claim, item.storage_class, item.node if local else "", self._objects())
            pvs[name] = _claimed(pvs[name], claim)
            pvcs[item.claim] = _bound(claim, name)
            held = item.node if local else _node_of(pvs[name])
            if held:
                pins[item.claim] = Pin(item.claim, item.storage_class, item.provisioner or NO_PROVISIONER, held)
        return Volumes(pvcs, pvs, self.classes, pins)

    def lose(self, node: str) -> tuple[Volumes, tuple[str, ...]]:
        """These volumes after the node's disks are gone: its claims are unbound again. Also the claims whose data is
        lost."""
        lost = tuple(claim for claim, pin in self.pins.items() if pin.node == node)
        pvcs, pvs = dict(self.pvcs), dict(self.pvs)
        for claim in lost:
            pvs.pop(str(dig(pvcs[claim], "spec", "volumeName", default="")), None)
            pvcs[claim] = _unbound(pvcs[claim])
        pins = {claim: pin for claim, pin in self.pins.items() if pin.node != node}
        return Volumes(pvcs, pvs, self.classes, pins), lost

    def pins_of(self, pod: Manifest) -> tuple[Pin, ...]:
        """The pins of a pod's claims."""
        return tuple(self.pins[claim] for claim in claims_of(pod) if claim in self.pins)

    def _objects(self) -> Objects:
        return Objects(pvs=self.pvs, pvcs=self.pvcs, storage_classes=self.classes)

    def _bind_immediate(self) -> Volumes:
        """What the volume controller does before any pod: bind claims to volumes that name them or fit them, and
        provision for classes that bind immediately (node-local provisioners cannot without a node)."""
        objects = self._objects()
        pvcs, pvs, pins = dict(self.pvcs), dict(self.pvs), dict(self.pins)
        taken = {str(dig(claim, "spec", "volumeName", default="")) for claim in pvcs.values()}
        for key, claim in self.pvcs.items():
            named = str(dig(claim, "spec", "volumeName", default=""))
            if is_bound(claim, objects) or (named and named in pvs):
                volume = named
            else:
                wanted = claim_class(claim, objects)
                found = self.classes.get(wanted)
                if found is not None and found.get("volumeBindingMode") == "WaitForFirstConsumer":
                    continue
                fit = _smallest_fit(claim, wanted, pvs, taken)
                provisioner = str((found or {}).get("provisioner") or "")
                if fit:
                    volume = fit
                elif provisioner and provisioner not in LOCAL_PROVISIONERS:
                    volume = f"pvc-{key.replace('/', '-')}"
                    pvs[volume] = _provisioned(volume, claim, wanted, "", objects)
                else:
                    continue
            taken.add(volume)
            if volume in pvs:
                pvs[volume] = _claimed(pvs[volume], claim)
                if node := _node_of(pvs[volume]):
                    pins[key] = Pin(key, volume_class(pvs[volume]), NO_PROVISIONER, node)
            pvcs[key] = _bound(claim, volume)
        return Volumes(pvcs, pvs, self.classes, pins)


def claims_of(pod: Manifest) -> list[str]:
    """The claims ``namespace/name`` that a pod mounts."""
    namespace = dig(pod, "metadata", "namespace", default="")
    volumes = dig(pod, "spec", "volumes", default=[])
    names = [dig(volume, "persistentVolumeClaim", "claimName") for volume in volumes]
    return [f"{namespace}/{name}" for name in names if name]


def network_source(volume: Manifest) -> str:
    """The server behind a network volume (NFS server, CIFS share, iSCSI portal), "" for anything else.

    ``volume`` is a PersistentVolume's spec or a pod's volume.
    """
    for path in (("nfs", "server"), ("iscsi", "targetPortal"), ("csi", "volumeAttributes", "server")):
        if server := dig(volume, *path):
            return str(server)
    source = dig(volume, "csi", "volumeAttributes", "source", default="")
    return str(source).removeprefix("//").partition("/")[0]


def _smallest_fit(claim: Manifest, wanted: str, pvs: Mapping[str, Manifest], taken: set[str]) -> str:
    size = parse_quantity(dig(claim, "spec", "resources", "requests", "storage", default="0"))
    modes = set(dig(claim, "spec", "accessModes", default=[]))
    best: tuple[object, str] | None = None
    for name, volume in pvs.items():
        reference = dig(volume, "spec", "claimRef")
        if reference is not None:
            if reference.get("name") == _name(claim) and reference.get("namespace") == _namespace(claim):
                return name
            continue
        capacity = parse_quantity(dig(volume, "spec", "capacity", "storage", default="0"))
        if name in taken or volume_class(volume) != wanted or capacity < size:
            continue
        if modes <= set(dig(volume, "spec", "accessModes", default=[])) and (best is None or (capacity, name) < best):
            best = (capacity, name)
    return "" if best is None else best[1]


def _provisioned(name: str, claim: Manifest, storage_class: str, node: str, objects: Objects) -> Manifest:
    spec: Manifest = {
        "capacity": {"storage": dig(claim, "spec", "resources", "requests", "storage", default="0")},
        "accessModes": dig(claim, "spec", "accessModes", default=["ReadWriteOnce"]),
        "storageClassName": storage_class or claim_class(claim, objects),
        "volumeMode": dig(claim, "spec", "volumeMode", default="Filesystem"),
    }
    if node:
        match = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [match]}]}}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}


def _claimed(volume: Manifest, claim: Manifest) -> Manifest:
    reference = {"kind": "PersistentVolumeClaim", "namespace": _namespace(claim), "name": _name(claim)}
    return {**volume, "spec": {**(volume.get("spec") or {}), "claimRef": reference}, "status": {"phase": "Bound"}}


def _bound(claim: Manifest, volume: str) -> Manifest:
    metadata = dict(claim.get("metadata") or {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), BIND_COMPLETED: "yes"}
    return {
        **claim,
        "metadata": metadata,
        "spec": {**(claim.get("spec") or {}), "volumeName": volume},
        "status": {"phase": "Bound"},
    }


def _unbound(claim: Manifest) -> Manifest:
    metadata = dict(claim.get("metadata") or {})
    metadata["annotations"] = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != BIND_COMPLETED}
    spec = {key: value for key, value in (claim.get("spec") or {}).items() if key != "volumeName"}
    return {**claim, "metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}


def _node_of(volume: Manifest) -> str:
    """The one node that a volume's affinity names by host name, "" when it names none or several."""
    terms = dig(volume, "spec", "nodeAffinity", "required", "nodeSelectorTerms", default=[])
    nodes = {
        str(value)
        for term in terms
        for item in (*dig(term, "matchExpressions", default=[]), *dig(term, "matchFields", default=[]))
        if item.get("key") in ("kubernetes.io/hostname", "metadata.name") and item.get("operator") == "In"
        for value in item.get("values") or ()
    }
    return nodes.pop() if len(nodes) == 1 else ""


def _name(manifest: Manifest) -> str:
    return str(dig(manifest, "metadata", "name", default=""))


def _namespace(manifest: Manifest) -> str:
    return str(dig(manifest, "metadata", "namespace", default="") or "default")


def _key(manifest: Manifest) -> str:
    return f"{_namespace(manifest)}/{_name(manifest)}"
