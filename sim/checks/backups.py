"""Is there a copy of the data, and can it be restored?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from models.findings import Severity
from models.objects import KubeObject
from models.operators import cnpg
from models.operators.make import mapping, maps
from models.platform import Workload
from sim.checks.check import Check, Defect, subject_of
from sim.checks.look import Look, pod_field
from sim.checks.patch import patch
from sim.checks.storage import storage_of

BARMAN_PLUGIN: Final = "barman-cloud.cloudnative-pg.io"
_DATABASE: Final = re.compile(
    r"(^|/)(postgres|postgresql|postgis|pgvector|pgvecto-rs|cloudnative-vectorchord|timescaledb|mariadb|mysql|mongo|"
    r"mongodb|influxdb|couchdb)(:|@|$)"
)
_COPIES: Final = re.compile(r"velero|k8up|volsync|backup|stash|kasten|longhorn|remote|file ", re.IGNORECASE)
"""What was not read and might make copies: tools that are known for it, and files of any content."""
_KEPT: Final = "30d"


@dataclass(frozen=True)
class _Copy:
    """Something that copies data: its node in the graph, its object, and why the copy dies with the data ("": not)."""

    source: str
    item: KubeObject | None
    beside: str = ""


def database_no_backup(look: Look) -> Iterator[Defect]:
    """A database that nothing copies."""
    for workload in _databases(look):
        node = look.context.node_of(workload)
        claims = [claim for claim, _ in look.mounted(workload)]
        if not claims or _copies(look, node) or any(_copies(look, _claim_node(claim)) for claim in claims):
            continue
        single = (workload.replicas or 0) <= 1
        hidden = [item for item in look.unseen(workload.namespace) if _COPIES.search(item)]
        owner = workload.controller == "Cluster"
        destination = mapping(workload.object.spec.get("backup")) or maps(workload.object.spec.get("plugins"))
        yield Defect(
            f"{workload.id} has {'one instance and ' if single else ''}no backup: its data exists once"
            if single
            else f"{workload.id} has no backup: its replicas copy every mistake",
            workload.object,
            "spec.backup" if owner else pod_field(workload),
            (
                f"instances: {workload.replicas or 0}; data in {', '.join(claim.name for claim in claims)}",
                "a backup destination is set, but no ScheduledBackup makes one"
                if owner and destination
                else "no ScheduledBackup, dump, snapshot, Velero or VolSync schedule copies it",
                *(f"not read: {item}" for item in hidden[:3]),
            ),
            "add spec.backup and a ScheduledBackup" if owner else "add a CronJob that dumps it, or snapshot its volume",
            severity=None if single and not hidden else Severity.INFO,
        )


def data_not_kept(look: Look) -> Iterator[Defect]:
    """A database whose files are on no volume that outlives its pod: the first restart empties it."""
    for workload in _databases(look):
        if workload.controller not in ("Deployment", "StatefulSet") or workload.claim_templates:
            continue
        kept = {
            str(volume.get("name"))
            for volume in maps(workload.pod_spec.get("volumes"))
            if any(key in volume for key in ("persistentVolumeClaim", "hostPath", "nfs", "csi", "ephemeral", "iscsi"))
        }
        for slot in look.slots(workload):
            if slot.group != "containers" or not _DATABASE.search(str(slot.manifest.get("image") or "")):
                continue
            mounts = maps(slot.manifest.get("volumeMounts"))
            if any(str(mount.get("name")) in kept for mount in mounts):
                continue
            yield Defect(
                f"{slot.name} of {workload.id} keeps its data in the container: the next restart empties it",
                workload.object,
                f"{slot.field}.volumeMounts",
                (
                    f"image {slot.manifest.get('image')}",
                    "mounts: " + (", ".join(str(mount.get("mountPath")) for mount in mounts) or "none"),
                ),
                "mount a claim where the database keeps its files",
            )


def backup_beside_data(look: Look) -> Iterator[Defect]:
    """Data whose every copy lies on the disk or the node of the data itself."""
    seen: set[str] = set()
    for workload in look.platform.workloads:
        for node, item in [
            (look.context.node_of(workload), workload.object),
            *((_claim_node(claim), claim) for claim, _ in look.mounted(workload)),
        ]:
            copies = list(_copies(look, node))
            if node in seen or not copies or not all(copy.beside for copy in copies):
                continue
            seen.add(node)
            if item is not workload.object and _elsewhere(look, workload):
                continue
            yield Defect(
                f"Every copy of {node} lies beside the data: what takes the disk takes them too",
                item,
                "spec",
                tuple(f"{copy.source}: {copy.beside}" for copy in copies),
                "keep one copy on another machine: an object store, a share, another node",
            )


def backup_no_target(look: Look) -> Iterator[Defect]:
    """A CNPG backup of a cluster, a destination or a plugin that is not there: every run fails."""
    for kind in ("ScheduledBackup", "Backup"):
        for item in look.platform.by_kind(kind, cnpg.GROUP):
            name = str(item.get("spec", "cluster", "name", default=""))
            cluster = look.platform.get("Cluster", item.namespace, name)
            if cluster is None:
                known = [other.name for other in look.platform.by_kind("Cluster", cnpg.GROUP)]
                hidden = look.unseen(item.namespace)
                yield Defect(
                    f"{subject_of(item)} backs up Cluster {name}, which does not exist",
                    item,
                    "spec.cluster.name",
                    (
                        f"clusters of the tree: {', '.join(known) or 'none'}",
                        *(f"not read: {text}" for text in hidden[:3]),
                    ),
                    "name a cluster of its namespace",
                    severity=Severity.INFO if hidden else None,
                )
                continue
            why, field = _unprepared(item, cluster)
            if why:
                yield Defect(
                    f"{subject_of(item)} fails at every run: {why}",
                    item,
                    field,
                    (f"{subject_of(cluster)} is at {cluster.origin}",),
                    "configure the destination in the cluster, or choose the method that it has",
                    _method_patch(item, cluster),
                )


def backup_store_missing(look: Look) -> Iterator[Defect]:
    """A CNPG cluster that archives to an ObjectStore which does not exist: archiving and backups fail."""
    for cluster in look.platform.by_kind("Cluster", cnpg.GROUP):
        for index, plugin in enumerate(maps(cluster.spec.get("plugins"))):
            name = mapping(plugin.get("parameters")).get("barmanObjectName")
            if plugin.get("name") != BARMAN_PLUGIN or not name:
                continue
            if look.platform.get("ObjectStore", cluster.namespace, str(name)) is not None:
                continue
            hidden = look.unseen(cluster.namespace)
            known = [item.name for item in look.platform.by_kind("ObjectStore") if item.namespace == cluster.namespace]
            yield Defect(
                f"{subject_of(cluster)} archives to ObjectStore {name}, which does not exist",
                cluster,
                f"spec.plugins[{index}].parameters.barmanObjectName",
                (
                    f"object stores of the namespace: {', '.join(known) or 'none'}",
                    *(f"not read: {t}" for t in hidden[:3]),
                ),
                f"name {known[0]}" if len(known) == 1 else "add the ObjectStore, or name one that exists",
                severity=Severity.INFO if hidden else None,
            )


def backup_suspended(look: Look) -> Iterator[Defect]:
    """A backup that is switched off."""
    for item, field in _backups(look):
        if item.get(*field.split(".")) is True:
            yield Defect(
                f"{subject_of(item)} is suspended: no new backup is made",
                item,
                field,
                (f"{field}: true",),
                "switch it on again",
                patch(item, spec=_nested(field.split(".")[1:], False)),
            )


def backup_no_retention(look: Look) -> Iterator[Defect]:
    """Backups that nothing deletes: one day the store is full and no new one fits."""
    for cluster in look.platform.by_kind("Cluster", cnpg.GROUP):
        backup = mapping(cluster.spec.get("backup"))
        if backup.get("barmanObjectStore") and not backup.get("retentionPolicy"):
            yield _endless(cluster, "spec.backup.retentionPolicy", {"backup": {"retentionPolicy": _KEPT}})
    for store in look.platform.by_kind("ObjectStore", "barmancloud.cnpg.io"):
        if not store.spec.get("retentionPolicy"):
            yield _endless(store, "spec.retentionPolicy", {"retentionPolicy": _KEPT})
    for source in look.platform.by_kind("ReplicationSource", "volsync.backube"):
        restic = source.spec.get("restic")
        if isinstance(restic, dict) and not restic.get("retain"):
            yield _endless(
                source, "spec.restic.retain", {"restic": {"retain": {"daily": 7, "weekly": 4, "monthly": 3}}}
            )


def _endless(item: KubeObject, field: str, spec: dict[str, Any]) -> Defect:
    return Defect(
        f"Backups of {subject_of(item)} are kept for ever: one day the store is full and no new one fits",
        item,
        field,
        (f"{field} is not set",),
        "say how long backups are kept",
        patch(item, spec=spec),
    )


def _databases(look: Look) -> Iterator[Workload]:
    """CNPG clusters that are no replicas of another, and workloads that run a database image."""
    for workload in look.platform.workloads:
        if workload.controller == "Cluster":
            if workload.object.get("spec", "replica", "enabled") is not True:
                yield workload
            continue
        images = [str(item.get("image") or "") for item in maps(workload.pod_spec.get("containers"))]
        written = workload.controller in ("Deployment", "StatefulSet") and workload.provenance != "derived"
        if written and any(_DATABASE.search(image) for image in images):
            yield workload


def _claim_node(claim: KubeObject) -> str:
    return subject_of(claim)


def _copies(look: Look, node: str) -> list[_Copy]:
    """What makes copies of a node of the graph."""
    graph = look.standing.graph
    if node not in graph:
        return []
    found = []
    for source, _, data in graph.in_edges(node, data=True):
        if data["kind"] == "backs-up":
            kind, _, place = source.partition(" ")
            namespace, _, name = place.rpartition("/")
            item = look.platform.get(kind, namespace, name)
            found.append(_Copy(source, item, _beside(look, node, source, item)))
    return found


def _elsewhere(look: Look, workload: Workload) -> bool:
    """Whether the workload itself (not its volume) is copied to somewhere else: a dump beside a snapshot."""
    return any(not copy.beside for copy in _copies(look, look.context.node_of(workload)))


def _beside(look: Look, node: str, source: str, item: KubeObject | None) -> str:
    """Why a copy goes when the data goes; "" when it does not, or when that is not known."""
    data = _data_claims(look, node)
    local = [storage for claim in data if (storage := storage_of(look, claim)).kind == "local"]
    workload = look.platform.workload_by_id.get(source)
    targets = [claim for claim, _ in look.mounted(workload)] if workload is not None else []
    own = next((claim for claim in targets if subject_of(claim) in {subject_of(other) for other in data}), None)
    if own is not None and not _takes_snapshot(look, workload):
        return f"it is written to the volume of the data ({own.name})"
    if item is None or not local:
        return ""
    if item.kind == "VolumeSnapshot":
        return f"a snapshot on the disk of its volume ({local[0].says})"
    if item.kind == "ScheduledBackup":
        return _scheduled_beside(look, item, data)
    if _takes_snapshot(look, workload):
        return f"a snapshot on the disk of its volume ({local[0].says})"
    return _same_node(look, targets, data)


def _takes_snapshot(look: Look, workload: Workload | None) -> bool:
    """Whether a job asks for snapshots instead of writing copies itself."""
    settings = look.context.environment.settings(workload) if workload is not None else ()
    return any("VolumeSnapshot" in setting.value for setting in settings)


def _scheduled_beside(look: Look, item: KubeObject, data: list[KubeObject]) -> str:
    if item.spec.get("method") == "volumeSnapshot":
        return "snapshots on the disk of the volume"
    cluster = look.platform.get("Cluster", item.namespace, str(item.get("spec", "cluster", "name", default="")))
    store = mapping(cluster.get("spec", "backup", "barmanObjectStore")) if cluster is not None else {}
    for plugin in maps(cluster.spec.get("plugins")) if cluster is not None else []:
        name = mapping(plugin.get("parameters")).get("barmanObjectName")
        found = look.platform.get("ObjectStore", item.namespace, str(name)) if name else None
        store = store or (mapping(found.spec.get("configuration")) if found is not None else {})
    host = urlsplit(str(store.get("endpointURL") or "")).hostname
    resolved = look.context.hosts.resolve(host, item.namespace) if host else None
    service = (
        look.context.hosts.service(resolved.namespace, resolved.name) if resolved and resolved.service_id else None
    )
    for workload in look.platform.service_workloads(service) if service is not None else ():
        said = _same_node(look, [claim for claim, _ in look.mounted(workload)], data)
        if said:
            return f"{store.get('endpointURL')} is {workload.id}: {said}"
    return ""


def _same_node(look: Look, targets: list[KubeObject], data: list[KubeObject]) -> str:
    """Why the volumes that a copy goes to share the fate of the data."""
    if not targets:
        return ""
    where = {storage.node for claim in data if (storage := storage_of(look, claim)).kind == "local"}
    for claim in targets:
        storage = storage_of(look, claim)
        if storage.kind != "local":
            return ""
        single = look.standing.hardware_known and len(look.standing.cluster.nodes) == 1
        if single or (storage.node and storage.node in where):
            return f"claim {claim.name} is on the node of the data ({storage.node or 'the only one'})"
    return ""


def _data_claims(look: Look, node: str) -> list[KubeObject]:
    kind, _, place = node.partition(" ")
    if kind == "PersistentVolumeClaim":
        claim = look.platform.get(kind, *place.split("/"))
        return [claim] if claim is not None else []
    return [claim for item in look.context.workloads_of.get(node, ()) for claim, _ in look.mounted(item)]


def _unprepared(item: KubeObject, cluster: KubeObject) -> tuple[str, str]:
    """What the cluster lacks for the method of a backup, and the field that asks for it."""
    method = str(item.spec.get("method") or "barmanObjectStore")
    backup = mapping(cluster.spec.get("backup"))
    if method == "plugin":
        wanted = mapping(item.spec.get("pluginConfiguration")).get("name")
        names = [plugin.get("name") for plugin in maps(cluster.spec.get("plugins"))]
        if not wanted:
            return "method plugin without pluginConfiguration", "spec.pluginConfiguration"
        return (
            ("", "")
            if wanted in names
            else (f"the cluster does not use plugin {wanted}", "spec.pluginConfiguration.name")
        )
    if not backup:
        return "cannot proceed with the backup as the cluster has no backup section", "spec.method"
    if method in ("barmanObjectStore", "volumeSnapshot") and not isinstance(backup.get(method), dict):
        return f"method {method}, and the cluster's backup section has no {method}", "spec.method"
    return "", ""


def _method_patch(item: KubeObject, cluster: KubeObject) -> str:
    """The method that the cluster is prepared for, when there is exactly one."""
    backup = mapping(cluster.spec.get("backup"))
    ready = [name for name in ("barmanObjectStore", "volumeSnapshot") if isinstance(backup.get(name), dict)]
    plugins = [str(plugin.get("name")) for plugin in maps(cluster.spec.get("plugins"))]
    if len(ready) == 1:
        return patch(item, spec={"method": ready[0], "pluginConfiguration": None})
    if not ready and plugins == [BARMAN_PLUGIN]:
        return patch(item, spec={"method": "plugin", "pluginConfiguration": {"name": BARMAN_PLUGIN}})
    return ""


def _backups(look: Look) -> Iterator[tuple[KubeObject, str]]:
    """Objects that make backups by schedule, with the field that switches them off."""
    for item in look.platform.by_kind("ScheduledBackup", cnpg.GROUP):
        yield item, "spec.suspend"
    for item in look.platform.by_kind("Schedule", "velero.io"):
        yield item, "spec.paused"
    for item in look.platform.by_kind("ReplicationSource", "volsync.backube"):
        yield item, "spec.paused"
    sources = {a for a, _, data in look.standing.graph.edges(data=True) if data["kind"] == "backs-up"}
    for item in look.platform.by_kind("CronJob", "batch"):
        if subject_of(item) in sources:
            yield item, "spec.suspend"


def _nested(steps: list[str], value: Any) -> dict[str, Any]:
    for step in reversed(steps):
        value = {step: value}
    found: dict[str, Any] = value
    return found


CHECKS = (
    Check(
        "DATABASE-NO-BACKUP",
        Severity.WARNING,
        "nothing copies a database (for more than one instance: to know)",
        database_no_backup,
    ),
    Check("DATA-NOT-KEPT", Severity.ERROR, "a database keeps its files in the container", data_not_kept),
    Check(
        "BACKUP-BESIDE-DATA", Severity.WARNING, "every copy lies on the disk or node of the data", backup_beside_data
    ),
    Check(
        "BACKUP-NO-TARGET",
        Severity.ERROR,
        "a backup of a database that does not exist, or that is not prepared for it",
        backup_no_target,
    ),
    Check(
        "BACKUP-STORE-MISSING", Severity.ERROR, "a backup plugin's object store does not exist", backup_store_missing
    ),
    Check("BACKUP-SUSPENDED", Severity.WARNING, "a backup is switched off", backup_suspended),
    Check("BACKUP-NO-RETENTION", Severity.WARNING, "backups that nothing ever deletes", backup_no_retention),
)
