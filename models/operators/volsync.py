"""What VolSync (group ``volsync.backube``) runs for a ReplicationSource and a ReplicationDestination.

A mover is a Job, ``volsync-src-NAME`` or ``volsync-dst-NAME``, that VolSync makes anew for every synchronisation; with
``spec.trigger.schedule`` it is derived as a CronJob of that name, without any trigger as a Job that is always there.
``spec.trigger.manual`` runs once and is then over: nothing is derived for it but the claims it leaves. Claims: the
restic cache (``…-cache``, 1Gi unless said otherwise) and a destination's own volume (``volsync-NAME-dest``). The copy
of the source that ``Snapshot`` and ``Clone`` make lives as long as the Job and is left out. Syncthing and external
movers are not derived.

Sources: VolSync's ``internal/controller/mover/restic/mover.go`` (names, cache, volumes, parallelism 0 when paused),
``docs/usage/triggers.rst``, ``docs/usage/resourcerequirements.rst`` (``moverResources``; none by default).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from models.objects import KubeObject, Manifest
from models.operators.make import derived, mapping, said_by

GROUP = "volsync.backube"
_MOVERS = {
    "restic": ("repository", ("RESTIC_REPOSITORY", "RESTIC_PASSWORD")),
    "rclone": ("rcloneConfig", ("rclone.conf",)),
    "rsync": ("sshKeys", ()),
    "rsyncTLS": ("keySecret", ("psk.txt",)),
    "kopia": ("repository", ("KOPIA_REPOSITORY", "KOPIA_PASSWORD")),
}
"""Movers that are Jobs: the field that names their Secret, and the keys that they read from it."""
_IMAGE = "quay.io/backube/volsync"


def derive(objects: list[KubeObject]) -> Iterator[KubeObject]:
    """Mover Jobs and claims of the replications among ``objects``."""
    claims = {(item.namespace, item.name): item for item in objects if item.kind == "PersistentVolumeClaim"}
    for item in objects:
        if item.group != GROUP or item.kind not in ("ReplicationSource", "ReplicationDestination"):
            continue
        for mover in _MOVERS:
            options = item.spec.get(mover)
            if isinstance(options, dict):
                yield from _replication(item, mover, options, claims)


def _replication(
    item: KubeObject, mover: str, options: Mapping[str, Any], claims: Mapping[tuple[str, str], KubeObject]
) -> Iterator[KubeObject]:
    source = item.kind == "ReplicationSource"
    name = f"volsync-{'src' if source else 'dst'}-{item.name}"
    data = str(item.spec.get("sourcePVC") or "") if source else str(options.get("destinationPVC") or "")
    model = mapping(claims[item.namespace, data].spec) if (item.namespace, data) in claims else {}
    if not source and not data and not options.get("cleanupTempPVC"):
        data = f"volsync-{item.name}-dest"
        yield _claim(item, data, options.get("capacity"), options, "", {})
    cache = ""
    if mover == "restic" and not options.get("cleanupCachePVC"):
        cache = f"{name}-cache"
        yield _claim(item, cache, options.get("cacheCapacity") or "1Gi", options, "cache", model)
    trigger = mapping(item.spec.get("trigger"))
    if trigger.get("manual"):
        return
    direct = not source or options.get("copyMethod") in ("Direct", "None")
    pod = _pod(mover, options, data if direct else "", cache)
    job: Manifest = {"backoffLimit": 8, "parallelism": 0 if item.spec.get("paused") is True else 1, "template": pod}
    labels = {"app.kubernetes.io/created-by": "volsync"}
    by = said_by(item, f"VolSync {item.kind}")
    if trigger.get("schedule"):
        spec = {"schedule": str(trigger["schedule"]), "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": job}}
        yield derived(item, "CronJob", name, by=by, api_version="batch/v1", labels=labels, spec=spec)
    else:
        yield derived(item, "Job", name, by=by, api_version="batch/v1", labels=labels, spec=job)


def _pod(mover: str, options: Mapping[str, Any], data: str, cache: str) -> Manifest:
    field, keys = _MOVERS[mover]
    secret = options.get(field)
    mounted = {"data": data, "cache": cache}
    volumes = [{"name": key, "persistentVolumeClaim": {"claimName": claim}} for key, claim in mounted.items() if claim]
    container: Manifest = {
        "name": mover.lower().replace("rsynctls", "rsync-tls"),
        "image": _IMAGE,
        "resources": mapping(options.get("moverResources")),
        "volumeMounts": [{"name": item["name"], "mountPath": f"/{item['name']}"} for item in volumes],
    }
    if secret:
        container["env"] = [
            {"name": key, "valueFrom": {"secretKeyRef": {"name": str(secret), "key": key}}} for key in keys
        ]
    spec: Manifest = {"restartPolicy": "Never", "containers": [container], "volumes": volumes}
    if options.get("moverServiceAccount"):
        spec["serviceAccountName"] = str(options["moverServiceAccount"])
    return {"metadata": {"labels": {"app.kubernetes.io/created-by": "volsync"}}, "spec": spec}


def _claim(
    item: KubeObject, name: str, capacity: Any, options: Mapping[str, Any], prefix: str, model: Mapping[str, Any]
) -> KubeObject:
    """A claim of the mover. ``prefix``: options ``cacheAccessModes`` and so on go before the plain ones."""
    modes = (options.get("cacheAccessModes") if prefix else None) or options.get("accessModes")
    storage = (options.get("cacheStorageClassName") if prefix else None) or options.get("storageClassName")
    spec: Manifest = {"accessModes": modes or model.get("accessModes") or ["ReadWriteOnce"]}
    if storage:
        spec["storageClassName"] = storage
    if capacity:
        spec["resources"] = {"requests": {"storage": str(capacity)}}
    by = said_by(item, f"VolSync {item.kind}")
    return derived(
        item, "PersistentVolumeClaim", name, by=by, labels={"app.kubernetes.io/created-by": "volsync"}, spec=spec
    )
