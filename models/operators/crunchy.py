"""What Crunchy's operator runs for a ``PostgresCluster`` (group ``postgres-operator.crunchydata.com``).

Names follow the operator's ``internal/naming``. Its instances are StatefulSets of one pod with random suffixes; here a
set of instances is one StatefulSet. Further the Services ``NAME-primary``, ``NAME-replicas``, ``NAME-ha`` and
``NAME-pgbouncer``, a repository host when a repository has a volume, a CronJob per backup schedule, and the Secret
``NAME-pguser-USER`` of every user.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from models.objects import KubeObject, Manifest
from models.operators.make import derived, mapping, maps, said_by, secret, service, whole

GROUP = "postgres-operator.crunchydata.com"
PORT = 5432
_IMAGE = "registry.developers.crunchydata.com/crunchydata"
_KINDS = {"full": "full", "differential": "diff", "incremental": "incr"}
_KEYS = ("dbname", "host", "jdbc-uri", "password", "port", "uri", "user", "verifier")
_BOUNCER_KEYS = ("pgbouncer-host", "pgbouncer-jdbc-uri", "pgbouncer-port", "pgbouncer-uri")
_POD_FIELDS = ("affinity", "tolerations", "topologySpreadConstraints", "priorityClassName")


def derive(objects: list[KubeObject]) -> Iterator[KubeObject]:
    """StatefulSets, Deployments, Services, CronJobs and Secrets of the clusters among ``objects``."""
    for item in objects:
        if item.group == GROUP and item.kind == "PostgresCluster":
            yield from _cluster(item)


def _labels(item: KubeObject, **more: str) -> dict[str, str]:
    return {f"{GROUP}/{key.replace('_', '-')}": value for key, value in {"cluster": item.name, **more}.items()}


def _cluster(item: KubeObject) -> Iterator[KubeObject]:
    by = said_by(item, "PostgresCluster")
    yield from _instances(item, by)
    # The primary's Service has no selector in the cluster: the operator writes its Endpoints.
    yield service(
        item, f"{item.name}-primary", {"postgres": PORT}, _labels(item, data="postgres"), by=by, headless=True
    )
    yield service(item, f"{item.name}-ha", {"postgres": PORT}, _labels(item, data="postgres"), by=by)
    yield service(item, f"{item.name}-replicas", {"postgres": PORT}, _labels(item, data="postgres"), by=by)
    bouncer = mapping(item.get("spec", "proxy", "pgBouncer"))
    if bouncer:
        yield from _bouncer(item, bouncer, by)
    yield from _backups(item, by)
    users = [str(entry["name"]) for entry in maps(item.spec.get("users")) if entry.get("name")]
    for user in users if isinstance(item.spec.get("users"), list) else [item.name]:
        yield secret(item, f"{item.name}-pguser-{user}", (*_KEYS, *(_BOUNCER_KEYS if bouncer else ())), by=by)


def _container(name: str, image: Any, port: int, resources: Any) -> Manifest:
    return {
        "name": name,
        "image": str(image),
        "ports": [{"name": "postgres", "containerPort": port}],
        "resources": mapping(resources),
        "readinessProbe": {"tcpSocket": {"port": port}},
    }


def _instances(item: KubeObject, by: str) -> Iterator[KubeObject]:
    image = item.spec.get("image") or f"{_IMAGE}/crunchy-postgres:{item.spec.get('postgresVersion', '')}"
    for position, group in enumerate(maps(item.spec.get("instances"))):
        name = str(group.get("name") or f"{position:02}")
        labels = _labels(item, instance_set=name, data="postgres")
        container = _container("database", image, PORT, group.get("resources"))
        container["volumeMounts"] = [{"name": "pgdata", "mountPath": "/pgdata"}]
        pod: Manifest = {"containers": [container, *maps(group.get("containers"))]}
        claim = {"metadata": {"name": "pgdata"}, "spec": mapping(group.get("dataVolumeClaimSpec"))}
        yield derived(
            item,
            "StatefulSet",
            f"{item.name}-{name}",
            by=by,
            api_version="apps/v1",
            labels=labels,
            spec={
                "replicas": max(0, whole(group.get("replicas"), 1)),
                "podManagementPolicy": "Parallel",
                "serviceName": f"{item.name}-pods",
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": _placed(pod, group)},
                "volumeClaimTemplates": [claim],
            },
        )


def _placed(pod: Manifest, group: Manifest) -> Manifest:
    return {**pod, **{field: group[field] for field in _POD_FIELDS if group.get(field)}}


def _beside(made: KubeObject) -> KubeObject:
    """An object that is no part of the database itself: it stands for itself in the graph."""
    del made.manifest["metadata"]["ownerReferences"]
    return made


def _bouncer(item: KubeObject, bouncer: Manifest, by: str) -> Iterator[KubeObject]:
    name, port = f"{item.name}-pgbouncer", whole(bouncer.get("port"), PORT)
    labels = _labels(item, role="pgbouncer")
    image = bouncer.get("image") or f"{_IMAGE}/crunchy-pgbouncer"
    container = _container("pgbouncer", image, port, bouncer.get("resources"))
    container["env"] = [{"name": "PGHOST", "value": f"{item.name}-primary"}]
    spec = {
        "replicas": max(0, whole(bouncer.get("replicas"), 1)),
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": _placed({"containers": [container]}, bouncer)},
    }
    yield _beside(derived(item, "Deployment", name, by=by, api_version="apps/v1", labels=labels, spec=spec))
    kind = str(mapping(bouncer.get("service")).get("type") or "ClusterIP")
    yield service(item, name, {"pgbouncer": port}, labels, by=by, service_type=kind)


def _backups(item: KubeObject, by: str) -> Iterator[KubeObject]:
    settings = mapping(item.get("spec", "backups", "pgbackrest"))
    image = str(settings.get("image") or f"{_IMAGE}/crunchy-pgbackrest")
    yield from _repository_host(item, settings, image, by)
    for name, schedule in backup_jobs(item).items():
        resources = mapping(mapping(settings.get("jobs")).get("resources"))
        pod = {"containers": [{"name": "pgbackrest", "image": image, "resources": resources}], "restartPolicy": "Never"}
        template = {"metadata": {"labels": _labels(item, pgbackrest_backup="scheduled")}, "spec": pod}
        spec = {"schedule": schedule, "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": {"template": template}}}
        yield _beside(derived(item, "CronJob", name, by=by, api_version="batch/v1", spec=spec))


def backup_jobs(item: KubeObject) -> dict[str, str]:
    """The CronJobs that back a cluster up, and when they run."""
    return {
        f"{item.name}-{repository.get('name')}-{_KINDS[kind]}": str(schedule)
        for repository in maps(item.get("spec", "backups", "pgbackrest", "repos"))
        for kind, schedule in mapping(repository.get("schedules")).items()
        if kind in _KINDS
    }


def is_data_of(item: KubeObject, claim: KubeObject) -> bool:
    """Whether a claim holds the data of a cluster."""
    return claim.namespace == item.namespace and _labels(item, data="postgres").items() <= claim.labels.items()


def _repository_host(item: KubeObject, settings: Manifest, image: str, by: str) -> Iterator[KubeObject]:
    volumes, mounts = [], []
    for repository in maps(settings.get("repos")):
        claim = mapping(mapping(repository.get("volume")).get("volumeClaimSpec"))
        if claim:
            name = str(repository.get("name"))
            yield derived(item, "PersistentVolumeClaim", f"{item.name}-{name}", by=by, spec=claim)
            volumes.append({"name": name, "persistentVolumeClaim": {"claimName": f"{item.name}-{name}"}})
            mounts.append({"name": name, "mountPath": f"/pgbackrest/{name}"})
    if volumes:
        labels = _labels(item, data="pgbackrest")
        resources = mapping(mapping(settings.get("repoHost")).get("resources"))
        container = {"name": "pgbackrest", "image": image, "resources": resources, "volumeMounts": mounts}
        spec = {
            "replicas": 1,
            "serviceName": f"{item.name}-pods",
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], "volumes": volumes}},
        }
        name = f"{item.name}-repo-host"
        yield _beside(derived(item, "StatefulSet", name, by=by, api_version="apps/v1", labels=labels, spec=spec))
