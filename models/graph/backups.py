"""Who makes copies of what, and who signs which certificate."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from models.graph.context import Context, edge, id_of
from models.graph.environment import Setting
from models.graph.schema import Edge, Strength, node_id
from models.graph.texts import Mention, mentions
from models.objects import KubeObject, string_map
from models.operators import cnpg, crunchy
from models.operators.make import items, mapping, maps, selector_of
from models.platform import Workload

_DUMP = re.compile(r"\b(pg_dump(?:all)?|pg_basebackup|mysqldump|mariadb-dump|mongodump|redis-cli[^\n]*--rdb)\b")
_SNAPSHOT = re.compile(r"kind:\s*VolumeSnapshot\b.*?persistentVolumeClaimName:\s*['\"]?([\w.\-]+)", re.DOTALL)


def backup_edges(context: Context) -> Iterator[Edge]:
    """Database backups, snapshots, dumps by jobs, Velero and VolSync; issuers of certificates."""
    platform = context.platform
    for kind in ("ScheduledBackup", "Backup"):
        for item in platform.by_kind(kind, cnpg.GROUP):
            target = node_id("Cluster", item.namespace, str(item.get("spec", "cluster", "name")))
            yield _copy(id_of(item), target, kind, item, "spec.cluster.name")
    for item in platform.by_kind("PostgresCluster", crunchy.GROUP):
        for job in crunchy.backup_jobs(item):
            for claim in platform.claims:
                if crunchy.is_data_of(item, claim):
                    field = "spec.backups.pgbackrest.repos"
                    yield _copy(node_id("CronJob", item.namespace, job), id_of(claim), "pgBackRest", item, field)
    for item in platform.by_kind("VolumeSnapshot"):
        claim = item.get("spec", "source", "persistentVolumeClaimName")
        if claim:
            target = node_id("PersistentVolumeClaim", item.namespace, str(claim))
            yield _copy(id_of(item), target, "VolumeSnapshot", item, "spec.source.persistentVolumeClaimName")
    for item in platform.by_kind("ReplicationSource", "volsync.backube"):
        if item.spec.get("sourcePVC"):
            target = node_id("PersistentVolumeClaim", item.namespace, str(item.spec["sourcePVC"]))
            yield _copy(id_of(item), target, "VolSync", item, "spec.sourcePVC")
    for item in platform.by_kind("Schedule", "velero.io"):
        yield from _velero(context, item)
    for workload in platform.workloads:
        if workload.controller in ("CronJob", "Job"):
            yield from _job(context, workload)
    yield from _issues(context)


def _copy(source: str, target: str, rule: str, item: KubeObject, field: str, confidence: float = 1.0) -> Edge:
    text = target.partition(" ")[2]
    return edge(
        source, target, "backs-up", rule, item.origin, field, text, strength=Strength.SOFT, confidence=confidence
    )


def _velero(context: Context, item: KubeObject) -> Iterator[Edge]:
    """Claims whose data a Velero schedule copies.

    Velero copies the data of a volume by a snapshot (unless ``snapshotVolumes: false``), or from the file system of a
    running pod (``defaultVolumesToFsBackup``, or the pod's annotation). It reaches no volume of type hostPath, which
    is what the local-path provisioner of k3s makes unless it is told to make ``local`` ones. What is not copied gets
    no edge. Sources: velero.io "Resource filtering", "Schedule API type", "File system backup" (limitations);
    rancher/local-path-provisioner README (volume types).
    """
    template = mapping(item.spec.get("template"))
    if item.spec.get("paused") is True:
        return
    snapshots = template.get("snapshotVolumes") is not False
    everything = template.get("defaultVolumesToFsBackup") is True
    for claim in context.platform.claims:
        if not _included(template, claim) or _on_host_path(context, claim):
            continue
        if snapshots or _from_file_system(context, claim, everything):
            yield _copy(id_of(item), id_of(claim), "Velero schedule", item, "spec.template", 0.8)


def _included(template: Mapping[str, Any], claim: KubeObject) -> bool:
    if claim.labels.get("velero.io/exclude-from-backup") == "true":
        return False
    if not _named(template, "Namespaces", {claim.namespace}):
        return False
    if not _named(template, "Resources", {"persistentvolumeclaims", "persistentvolumeclaim", "pvc"}):
        return False
    selectors = [template["labelSelector"]] if template.get("labelSelector") else []
    selectors += maps(template.get("orLabelSelectors"))
    return not selectors or any(selector_of(selector).matches(claim.labels) for selector in selectors)


def _named(template: Mapping[str, Any], what: str, names: set[str]) -> bool:
    """Whether ``includedX`` (nothing means everything) and ``excludedX`` let one of ``names`` through."""
    included = {str(name) for name in items(template.get(f"included{what}"))} or {"*"}
    excluded = {str(name) for name in items(template.get(f"excluded{what}"))}
    return bool(included & (names | {"*"})) and not excluded & (names | {"*"})


def _on_host_path(context: Context, claim: KubeObject) -> bool:
    written = claim.spec.get("storageClassName")
    volume = context.platform.get("PersistentVolume", "", str(claim.spec.get("volumeName") or ""))
    if volume is not None:
        return "hostPath" in volume.spec
    found = context.platform.storage_classes.get(str(written or ""))
    provisioner = str(found.manifest.get("provisioner")) if found is not None else str(written or "")
    if provisioner not in ("rancher.io/local-path", "local-path"):
        return False
    said = claim.annotations.get("volumeType") or (found.annotations.get("defaultVolumeType") if found else None)
    return said != "local"


def _from_file_system(context: Context, claim: KubeObject, everything: bool) -> bool:
    """Whether a pod that mounts the claim has its volume copied: all but the excluded ones, or the named ones."""
    for workload in context.platform.workloads:
        notes = string_map(mapping(workload.template.get("metadata")).get("annotations"))
        chosen = notes.get(f"backup.velero.io/backup-volumes{'-excludes' if everything else ''}", "").split(",")
        if workload.namespace != claim.namespace:
            continue
        for volume, name in _claims_of(context, workload):
            if name == claim.name and (volume in chosen) is not everything:
                return True
    return False


def _claims_of(context: Context, workload: Workload) -> Iterator[tuple[str, str]]:
    """Volume name and claim name of every claim that pods of the workload mount."""
    for volume in maps(workload.pod_spec.get("volumes")):
        yield str(volume.get("name")), str(mapping(volume.get("persistentVolumeClaim")).get("claimName") or "")
    for claim in context.made_claims.get(f"{workload.namespace}/{workload.name}", ()):
        yield claim.name.partition(f"-{workload.name}-")[0], claim.name


def _job(context: Context, workload: Workload) -> Iterator[Edge]:
    """A job that dumps a database or asks for a snapshot of a claim."""
    settings = list(context.environment.settings(workload))
    texts = [item for item in settings if ".env" not in item.field]
    if any(_DUMP.search(item.value) for item in texts):
        for item in settings:
            for behind in _dumped(context, workload, item):
                yield _copy(
                    context.node_of(workload), context.node_of(behind), "dump", workload.object, item.field, 0.8
                )
    for item in texts:
        match = _SNAPSHOT.search(item.value)
        if match and context.platform.get("PersistentVolumeClaim", workload.namespace, match[1]):
            target = node_id("PersistentVolumeClaim", workload.namespace, match[1])
            yield _copy(context.node_of(workload), target, "snapshot manifest", workload.object, item.field, 0.9)


def _dumped(context: Context, workload: Workload, item: Setting) -> Iterator[Workload]:
    """Databases that a setting of a dumping job leads to: by a host variable, a DSN, or the dump's own arguments."""
    named = [Mention(item.value, None, "", "", "key", item.value)] if re.search("HOST", item.name) else []
    for mention in named or mentions(item.value):
        host = context.hosts.resolve(mention.host, workload.namespace)
        service = context.hosts.service(host.namespace, host.name) if host.kind == "service" else None
        if service is None:
            continue
        kind = context.classifier.kind(workload, service, mention, item.name)
        if named or kind in ("queries", "caches-in"):
            yield from context.platform.service_workloads(service)


def _issues(context: Context) -> Iterator[Edge]:
    for item in context.platform.by_kind("Certificate", "cert-manager.io"):
        issuer = mapping(item.spec.get("issuerRef"))
        kind = str(issuer.get("kind") or "Issuer")
        space = "" if kind == "ClusterIssuer" else item.namespace
        if issuer.get("name"):
            source = node_id(kind, space, str(issuer["name"]))
            yield edge(source, id_of(item), "issues", "issuerRef", item.origin, "spec.issuerRef", str(issuer["name"]))
