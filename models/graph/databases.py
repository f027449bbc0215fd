"""What database and cache operators' resources lead to: poolers, replication sources, backup stores, sentinels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from models.graph.context import Context, Dangling, edge, id_of
from models.graph.environment import Setting
from models.graph.references import Source, mention_edges, setting_edges
from models.graph.schema import Edge, Evidence, Strength, node_id
from models.graph.texts import Mention
from models.objects import KubeObject
from models.operators import cnpg
from models.operators.make import mapping, maps, whole


def database_edges(context: Context) -> Iterator[Edge | Dangling]:
    """All of them, in tree order."""
    for item in context.platform.by_kind("Pooler", cnpg.GROUP):
        yield from _pooler(context, item)
    for item in context.platform.by_kind("Cluster", cnpg.GROUP):
        yield from _sources(context, item)
        yield from _backup_stores(context, item)
    for item in context.platform.by_kind("RedisSentinel"):
        name = mapping(item.spec.get("redisSentinelConfig")).get("redisReplicationName")
        if name:
            field = "spec.redisSentinelConfig.redisReplicationName"
            yield from _named(context, item, str(name), "calls", "sentinel", field, 6379)


def _pooler(context: Context, item: KubeObject) -> Iterator[Edge | Dangling]:
    """PgBouncer opens its connections to the Service of the cluster that its type names."""
    cluster = str(mapping(item.spec.get("cluster")).get("name") or "")
    if cluster:
        name = f"{cluster}-{item.spec.get('type') or 'rw'}"
        yield from _named(context, item, name, "queries", "pooler", "spec.cluster.name", cnpg.PORT)


def _named(
    context: Context, item: KubeObject, name: str, kind: str, rule: str, field: str, port: int
) -> Iterator[Edge | Dangling]:
    target = node_id("Service", item.namespace, name)
    yield edge(id_of(item), target, kind, rule, item.origin, field, name, port=port)
    if context.hosts.service(item.namespace, name) is None:
        evidence = Evidence(rule, item.origin, field, name)
        yield Dangling(id_of(item), target, item.namespace, evidence)


def _sources(context: Context, item: KubeObject) -> Iterator[Edge | Dangling]:
    """External clusters: a replica that loses its source serves old data, any other cluster needs one only to begin."""
    follows = mapping(item.spec.get("replica")).get("enabled") is True
    for index, other in enumerate(maps(item.spec.get("externalClusters"))):
        parameters = mapping(other.get("connectionParameters"))
        host = parameters.get("host")
        if host:
            field = f"spec.externalClusters[{index}].connectionParameters.host"
            setting = Setting("host", str(host), field, item.origin, startup=not follows)
            port = whole(parameters.get("port"), cnpg.PORT)
            mention = Mention(str(host), port, "postgresql", "", "url", f"postgresql://{host}:{port}")
            for found in mention_edges(context, _source(context, item), setting, mention):
                if follows and isinstance(found, Edge):
                    found = replace(found, strength=Strength.SOFT)
                yield found


def _backup_stores(context: Context, item: KubeObject) -> Iterator[Edge | Dangling]:
    """Object stores that WAL and base backups go to: written in the cluster, or in an ObjectStore of the plugin."""
    source = _source(context, item)
    stores: list[tuple[KubeObject, str, Mapping[str, Any]]] = [
        (item, "spec.backup.barmanObjectStore", mapping(item.get("spec", "backup", "barmanObjectStore")))
    ]
    for plugin in maps(item.spec.get("plugins")):
        name = str(mapping(plugin.get("parameters")).get("barmanObjectName") or "")
        found = context.platform.get("ObjectStore", item.namespace, name)
        if found is not None:
            stores.append((found, "spec.configuration", mapping(found.spec.get("configuration"))))
    for written, field, store in stores:
        if store.get("endpointURL"):
            setting = Setting("endpointURL", str(store["endpointURL"]), f"{field}.endpointURL", written.origin)
            yield from setting_edges(context, source, setting)


def _source(context: Context, item: KubeObject) -> Source:
    own = context.workloads_of.get(id_of(item), ())
    return Source(id_of(item), own[0] if own else None, item.namespace)
