"""Builds the graph: runs every rule, merges evidence, adds verdicts of network policies and corrections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import networkx as nx

from models.graph.aliases import alias_edges
from models.graph.backups import backup_edges
from models.graph.context import Context, Dangling
from models.graph.databases import database_edges
from models.graph.entry import entry_edges
from models.graph.monitoring import chart_endpoint, monitoring_edges, scrapers
from models.graph.netpol import Endpoint, Verdict, verdict
from models.graph.overrides import Overrides, apply_overrides
from models.graph.places import placed
from models.graph.references import reference_edges
from models.graph.schema import NETWORK_KINDS, Edge, role_of
from models.graph.structure import structure_edges
from models.objects import KubeObject, Origin
from models.operators.make import maps
from models.platform import Platform, Workload
from models.sight import Sight

_NODES = """
    IngressRoute IngressRouteTCP IngressRouteUDP Ingress HTTPRoute GRPCRoute TLSRoute TCPRoute UDPRoute Gateway
    Middleware MiddlewareTCP TraefikService Service PersistentVolumeClaim PersistentVolume StorageClass Certificate
    Issuer ClusterIssuer TLSStore Secret ConfigMap Namespace ResourceQuota LimitRange PodDisruptionBudget
    HorizontalPodAutoscaler NetworkPolicy CiliumNetworkPolicy CiliumClusterwideNetworkPolicy PriorityClass
    ScheduledBackup Backup Schedule ReplicationSource ReplicationDestination VolumeSnapshot VolumeSnapshotClass
    ServiceMonitor PodMonitor Probe ScrapeConfig SealedSecret ExternalSecret HelmRelease HelmChart HelmChartConfig
    Node
"""
_NODE_KINDS = frozenset(_NODES.split())
"""Objects that are nodes whether or not an edge touches them; workloads are nodes anyway."""


_RULES = (
    entry_edges,
    alias_edges,
    structure_edges,
    monitoring_edges,
    reference_edges,
    database_edges,
    backup_edges,
)
_SCHEDULES = {
    "Schedule": ("spec", "schedule"),
    "ScheduledBackup": ("spec", "schedule"),
    "ReplicationSource": ("spec", "trigger", "schedule"),
    "ReplicationDestination": ("spec", "trigger", "schedule"),
}
"""Where kinds that are no CronJobs say when they run; six fields, seconds first, for a ScheduledBackup."""


def build_graph(platform: Platform, *, overrides: Overrides | None = None) -> nx.MultiDiGraph[str]:
    """The graph of the platform.

    Nodes carry ``kind``, ``role``, ``namespace``, ``name``, ``provenance``, ``seen``, ``origin``, ``file``, ``line``;
    what runs pods also ``workloads`` (ids), what runs on a schedule ``schedule``. Edges are keyed by their kind, at
    most one per kind between two nodes; they carry ``kind``, ``strength``, ``startup`` (an init container waits for the
    target), ``confidence``, ``rule``, ``file``, ``line``, ``field``, ``evidence`` (a tuple, best first) and for traffic
    ``port``, ``allowed``, ``policy``. The graph itself carries ``context``, ``dangling`` and ``missing``.
    """
    context = Context(platform)
    edges: dict[tuple[str, str, str], Edge] = {}
    dangling: dict[tuple[str, str, str], Dangling] = {}
    for rules in _RULES:
        _collect(context, rules(context), edges, dangling)
    for source, target, kind in list(edges):
        if kind == "calls" and (source, target, "routes-to") in edges:
            del edges[source, target, kind]
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    _add_nodes(graph, context)
    judge = _Judge(context)
    for item in edges.values():
        for node in (item.source, item.target):
            if node not in graph:
                graph.add_node(node, **_unwritten(context, node))
        attributes = {**edge_attributes(item), **judge.verdict(item)}
        graph.add_edge(item.source, item.target, key=item.kind, **attributes)
    graph.graph["context"] = context
    graph.graph["dangling"] = tuple(dangling.values())
    graph.graph["missing"] = platform.rendered.missing
    _mark(graph, Sight(platform))
    if overrides is not None:
        apply_overrides(graph, overrides)
    return graph


def _mark(graph: nx.MultiDiGraph[str], sight: Sight) -> None:
    """Say of every node how it was seen."""
    for node, data in graph.nodes(data=True):
        if data["role"] in ("Missing", "Chart"):
            data["seen"] = "missing"
        elif data["role"] in ("Edge", "LoadBalancerAddress", "External", "Namespace"):
            data["seen"] = "written"
        else:
            data["seen"] = sight.node(node)


def _collect(
    context: Context,
    found: Iterable[Edge | Dangling],
    edges: dict[tuple[str, str, str], Edge],
    dangling: dict[tuple[str, str, str], Dangling],
) -> None:
    lines = context.platform.rendered.lines
    for item in found:
        if isinstance(item, Dangling):
            item = replace(item, evidence=placed(lines, item.evidence))
            dangling.setdefault((item.source, item.target, item.evidence.rule), item)
            continue
        if item.source == item.target:
            continue
        item = replace(item, evidence=tuple(placed(lines, one) for one in item.evidence))
        key = (item.source, item.target, item.kind)
        edges[key] = edges[key].merged(item) if key in edges else item


def edge_attributes(item: Edge) -> dict[str, Any]:
    """The attributes of an edge in the graph; rule and place are those of its best evidence."""
    best = item.evidence[0]
    return {
        **item.details,
        "kind": item.kind,
        "strength": str(item.strength),
        "startup": item.waits,
        "confidence": item.confidence,
        "rule": best.rule,
        "file": best.origin.file,
        "line": best.origin.line,
        "field": best.field,
        "evidence": item.evidence,
    }


def _add_nodes(graph: nx.MultiDiGraph[str], context: Context) -> None:
    for workload in context.platform.workloads:
        node = context.node_of(workload)
        source = workload.object
        if node != workload.id:
            kind, _, _ = node.partition(" ")
            source = context.platform.get(kind, workload.namespace, node.rpartition("/")[2]) or workload.object
        if node not in graph:
            graph.add_node(node, **_attributes(node, source.origin), workloads=())
        graph.nodes[node]["workloads"] = (*graph.nodes[node]["workloads"], workload.id)
        if workload.schedule:
            graph.nodes[node]["schedule"] = workload.schedule
    for item in context.platform.objects:
        if item.kind in _NODE_KINDS:
            node = f"{item.kind} {item.namespace}/{item.name}" if item.namespace else f"{item.kind} {item.name}"
            if node not in graph:
                graph.add_node(node, **_attributes(node, item.origin))
            if item.kind in _SCHEDULES:
                graph.nodes[node]["schedule"] = str(item.get(*_SCHEDULES[item.kind]) or "")
    for name in context.platform.namespaces:
        if f"Namespace {name}" not in graph:
            graph.add_node(f"Namespace {name}", **_attributes(f"Namespace {name}", Origin()))
    for node, (missing, _) in context.charts.items():
        graph.add_node(node, **_attributes(node, missing.origin))


def _attributes(node: str, origin: Origin) -> dict[str, Any]:
    kind, _, place = node.partition(" ")
    namespace, slash, name = place.partition("/")
    if not slash or kind in ("External", "LoadBalancerAddress", "Edge"):
        namespace, name = "", place
    return {
        "kind": kind,
        "role": role_of(kind),
        "namespace": namespace,
        "name": name,
        "provenance": origin.provenance,
        "origin": str(origin),
        "file": origin.file,
        "line": origin.line,
    }


def _unwritten(context: Context, node: str) -> dict[str, Any]:
    """A node that no object stands for: the world outside, an address, or something that is missing."""
    attributes = _attributes(node, Origin())
    kind = attributes["kind"]
    found = context.platform.get(kind, attributes["namespace"], attributes["name"])
    if found is not None:
        return _attributes(node, found.origin)
    if attributes["role"] not in ("Edge", "LoadBalancerAddress", "External"):
        attributes["role"] = "Missing"
    return {**attributes, "provenance": "derived"}


class _Judge:
    """Asks the network policies about every edge that is traffic between pods."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._assumed = {item.node: chart_endpoint(item) for item in scrapers(context) if item.assumed}
        self._proxies: dict[str, set[str]] = {}
        for route in context.routes:
            if route.entry_workload:
                for node in (route.object_id, *(item.id for item in route.middlewares if item.id)):
                    self._proxies.setdefault(node, set()).add(route.entry_workload)

    def verdict(self, item: Edge) -> Mapping[str, Any]:
        """``allowed`` and ``policy`` for traffic, nothing for other edges."""
        if item.kind not in NETWORK_KINDS and item.kind != "routes-to":
            return {}
        sources = self._sources(item.source)
        targets = self._targets(item.target, item.details.get("port"))
        if not sources or not targets:
            return {}
        platform = self._context.platform
        answers = [verdict(platform, source, target, port) for source in sources for target, port in targets]
        best = next((answer for answer in answers if answer.allowed), answers[0])
        return {"allowed": best.allowed, "policy": ", ".join(best.policies), "policy_direction": _way(best)}

    def _sources(self, node: str) -> list[Workload | Endpoint]:
        if node in self._assumed:
            return [self._assumed[node]]
        found: list[Workload | Endpoint] = list(self._context.workloads_of.get(node, ()))
        by_id = self._context.platform.workload_by_id
        found += [by_id[name] for name in sorted(self._proxies.get(node, ())) if name in by_id]
        return found

    def _targets(self, node: str, port: Any) -> list[tuple[Workload, int | str | None]]:
        if not node.startswith("Service "):
            return [(item, port) for item in self._context.workloads_of.get(node, ())]
        namespace, _, name = node.partition(" ")[2].partition("/")
        service = self._context.hosts.service(namespace, name)
        if service is None:
            return []
        inner = pod_port(service, port)
        return [(item, inner) for item in self._context.platform.service_workloads(service)]


def _way(answer: Verdict) -> str:
    return answer.direction


def pod_port(service: KubeObject, port: Any) -> int | str | None:
    """The port of the pods behind a Service port (number or name); the same number when the Service does not say."""
    for entry in maps(service.spec.get("ports")):
        if port is None or entry.get("port") == port or entry.get("name") == port:
            target = entry.get("targetPort", entry.get("port"))
            return target if isinstance(target, (int, str)) else None
    return port if isinstance(port, (int, str)) else None
