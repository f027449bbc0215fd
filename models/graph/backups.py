"""Who makes copies of what, and who signs which certificate."""

from __future__ import annotations

import re
from collections.abc import Iterator

from models.graph.context import Context, edge, id_of
from models.graph.schema import Edge, Strength, node_id
from models.objects import KubeObject
from models.operators import cnpg
from models.operators.make import items, mapping
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
    template = mapping(item.spec.get("template"))
    included = [str(name) for name in items(template.get("includedNamespaces"))] or ["*"]
    excluded = {str(name) for name in items(template.get("excludedNamespaces"))}
    for claim in context.platform.claims:
        if ("*" in included or claim.namespace in included) and claim.namespace not in excluded:
            yield _copy(id_of(item), id_of(claim), "Velero schedule", item, "spec.template.includedNamespaces", 0.8)


def _job(context: Context, workload: Workload) -> Iterator[Edge]:
    """A job that dumps a database or asks for a snapshot of a claim."""
    settings = list(context.environment.settings(workload))
    texts = [item for item in settings if ".env" not in item.field]
    if any(_DUMP.search(item.value) for item in texts):
        for item in settings:
            host = context.hosts.resolve(item.value, workload.namespace) if re.search("HOST", item.name) else None
            service = context.hosts.service(host.namespace, host.name) if host and host.kind == "service" else None
            for behind in context.platform.service_workloads(service) if service is not None else ():
                yield _copy(
                    context.node_of(workload), context.node_of(behind), "dump", workload.object, item.field, 0.8
                )
    for item in texts:
        match = _SNAPSHOT.search(item.value)
        if match and context.platform.get("PersistentVolumeClaim", workload.namespace, match[1]):
            target = node_id("PersistentVolumeClaim", workload.namespace, match[1])
            yield _copy(context.node_of(workload), target, "snapshot manifest", workload.object, item.field, 0.9)


def _issues(context: Context) -> Iterator[Edge]:
    for item in context.platform.by_kind("Certificate", "cert-manager.io"):
        issuer = mapping(item.spec.get("issuerRef"))
        kind = str(issuer.get("kind") or "Issuer")
        space = "" if kind == "ClusterIssuer" else item.namespace
        if issuer.get("name"):
            source = node_id(kind, space, str(issuer["name"]))
            yield edge(source, id_of(item), "issues", "issuerRef", item.origin, "spec.issuerRef", str(issuer["name"]))
