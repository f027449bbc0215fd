"""What the Redis, Valkey and Dragonfly operators run for their main kinds.

OT-CONTAINER-KIT redis-operator (``redis.redis.opstreelabs.in``): a StatefulSet and Service per role, plus a
``-headless`` and an ``-additional`` Service. Spotahome redis-operator (``databases.spotahome.com``): StatefulSet
``rfr-NAME``, sentinels ``rfs-NAME``. Dragonfly operator (``dragonflydb.io``) and Hyperspike's Valkey operator
(``hyperspike.io``): one StatefulSet and one Service with the resource's name.
"""

from __future__ import annotations

from collections.abc import Iterator

from models.objects import KubeObject, Manifest
from models.operators.make import derived, mapping, maps, said_by, service, whole

PORT = 6379
SENTINEL_PORT = 26379
_OPSTREE = "redis.redis.opstreelabs.in"
_SPOTAHOME = "databases.spotahome.com"


def derive(objects: list[KubeObject]) -> Iterator[KubeObject]:
    """StatefulSets, Deployments and Services of cache operators' resources among ``objects``."""
    for item in objects:
        if item.group == _OPSTREE:
            yield from _opstree(item)
        elif item.group == _SPOTAHOME and item.kind == "RedisFailover":
            yield from _failover(item)
        elif item.group == "dragonflydb.io" and item.kind == "Dragonfly":
            yield from _dragonfly(item)
        elif item.group == "hyperspike.io" and item.kind == "Valkey":
            yield from _valkey(item)


def _stateful_set(
    item: KubeObject, name: str, replicas: int, labels: dict[str, str], container: Manifest, claim: Manifest, by: str
) -> KubeObject:
    pod: Manifest = {"containers": [container]}
    for field in ("affinity", "nodeSelector", "tolerations", "priorityClassName", "topologySpreadConstraints"):
        if item.spec.get(field):
            pod[field] = item.spec[field]
    templates: list[Manifest] = []
    if claim:
        templates = [{**claim, "metadata": {**mapping(claim.get("metadata")), "name": name}}]
        pod["containers"] = [{**container, "volumeMounts": [{"name": name, "mountPath": "/data"}]}]
    return derived(
        item,
        "StatefulSet",
        name,
        by=by,
        api_version="apps/v1",
        labels=labels,
        spec={
            "replicas": replicas,
            "serviceName": name,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
            "volumeClaimTemplates": templates,
        },
    )


def _container(name: str, image: str, port: int, resources: object) -> Manifest:
    return {
        "name": name,
        "image": image,
        "ports": [{"name": "redis", "containerPort": port}],
        "resources": mapping(resources),
    }


def _opstree(item: KubeObject) -> Iterator[KubeObject]:
    roles = {
        "Redis": (("", "standalone", 1, PORT),),
        "RedisReplication": (("", "replication", whole(item.spec.get("clusterSize"), 3), PORT),),
        "RedisSentinel": (("-sentinel", "sentinel", whole(item.spec.get("clusterSize"), 3), SENTINEL_PORT),),
        "RedisCluster": tuple(
            (
                f"-{role}",
                role,
                whole(item.get("spec", field, "replicas"), whole(item.spec.get("clusterSize"), 3)),
                PORT,
            )
            for role, field in (("leader", "redisLeader"), ("follower", "redisFollower"))
        ),
    }.get(item.kind, ())
    by = said_by(item, f"redis-operator {item.kind}")
    config = mapping(item.spec.get("kubernetesConfig"))
    claim = mapping(item.get("spec", "storage", "volumeClaimTemplate"))
    for suffix, role, replicas, port in roles:
        name = f"{item.name}{suffix}"
        labels = {
            "app": name,
            "redis_setup_type": item.kind.removeprefix("Redis").lower() or "standalone",
            "role": role,
        }
        container = _container(name, str(config.get("image") or "redis"), port, config.get("resources"))
        yield _stateful_set(item, name, replicas, labels, container, claim, by)
        for extra in ("", "-headless", "-additional"):
            yield service(item, f"{name}{extra}", {"redis-client": port}, labels, by=by, headless=extra == "-headless")
        if item.kind == "RedisReplication":
            for extra in ("-master", "-replica"):
                yield service(item, f"{name}{extra}", {"redis-client": port}, labels, by=by)


def _failover(item: KubeObject) -> Iterator[KubeObject]:
    by = said_by(item, "redis-operator RedisFailover")
    redis, sentinel = mapping(item.spec.get("redis")), mapping(item.spec.get("sentinel"))
    base = {"app.kubernetes.io/part-of": "redis-failover", "app.kubernetes.io/name": item.name}
    labels = {**base, "app.kubernetes.io/component": "redis"}
    claim = mapping(mapping(redis.get("storage")).get("persistentVolumeClaim"))
    container = _container("redis", str(redis.get("image") or "redis"), PORT, redis.get("resources"))
    yield _stateful_set(item, f"rfr-{item.name}", whole(redis.get("replicas"), 3), labels, container, claim, by)
    watch = {**base, "app.kubernetes.io/component": "sentinel"}
    keeper = _container("sentinel", str(sentinel.get("image") or "redis"), SENTINEL_PORT, sentinel.get("resources"))
    yield derived(
        item,
        "Deployment",
        f"rfs-{item.name}",
        by=by,
        api_version="apps/v1",
        labels=watch,
        spec={
            "replicas": whole(sentinel.get("replicas"), 3),
            "selector": {"matchLabels": watch},
            "template": {"metadata": {"labels": watch}, "spec": {"containers": [keeper]}},
        },
    )
    yield service(item, f"rfs-{item.name}", {"sentinel": SENTINEL_PORT}, watch, by=by)
    for prefix in ("rfrm", "rfrs"):
        yield service(item, f"{prefix}-{item.name}", {"redis": PORT}, labels, by=by)


def _dragonfly(item: KubeObject) -> Iterator[KubeObject]:
    by = said_by(item, "Dragonfly")
    labels = {
        "app": item.name,
        "app.kubernetes.io/name": "dragonfly",
        "app.kubernetes.io/instance": item.name,
        "app.kubernetes.io/part-of": "dragonfly",
    }
    image = str(item.spec.get("image") or "docker.dragonflydb.io/dragonflydb/dragonfly")
    container = {
        **_container("dragonfly", image, PORT, item.spec.get("resources")),
        "args": item.spec.get("args") or [],
        "env": maps(item.spec.get("env")),
    }
    claim = mapping(item.get("spec", "snapshot", "persistentVolumeClaimSpec"))
    template = {"spec": claim} if claim else {}
    yield _stateful_set(item, item.name, whole(item.spec.get("replicas"), 1), labels, container, template, by)
    yield service(item, item.name, {"redis": PORT}, labels, by=by)


def _valkey(item: KubeObject) -> Iterator[KubeObject]:
    by = said_by(item, "Valkey")
    labels = {"app.kubernetes.io/name": "valkey", "app.kubernetes.io/instance": item.name}
    shards = whole(item.spec.get("shards"), whole(item.spec.get("nodes"), 3))
    pods = shards * (1 + whole(item.spec.get("replicas"), 0))
    container = _container("valkey", str(item.spec.get("image") or "valkey"), PORT, item.spec.get("resources"))
    claim = mapping(item.get("spec", "storage"))
    yield _stateful_set(item, item.name, pods, labels, container, claim if claim.get("spec") else {}, by)
    yield service(item, item.name, {"valkey": PORT}, labels, by=by)
    yield service(item, f"{item.name}-headless", {"valkey": PORT}, labels, by=by, headless=True)
