"""Findings of the graph: what a person should mend, with the line and the way out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import networkx as nx
import yaml

from models.errors import Where
from models.findings import Finding, Severity
from models.graph.analysis import Forbidden, cold_start_cycles, context_of, forbidden_edges, single_points
from models.graph.context import Context, Dangling
from models.graph.hidden import chart_name, hiding, near
from models.graph.places import line_of
from models.objects import KubeObject, Origin
from models.operators.make import items, mapping, maps, selector_of
from models.platform import Platform

CODES: Mapping[str, str] = {
    "GRAPH-DANGLING": "something calls a host that no object of the tree serves",
    "GRAPH-MISSING-REF": "something names a Secret, ConfigMap, claim, class, middleware or Gateway that is not there",
    "GRAPH-MONITOR-EMPTY": "a monitor selects nothing to scrape",
    "GRAPH-NO-ENDPOINTS": "a Service that is called has no pods behind it",
    "GRAPH-POLICY-FORBIDS": "a network policy drops traffic that a manifest asks for",
    "GRAPH-HIDDEN": "a chart could not be read: what it runs is not in any number of this report",
    "GRAPH-SPOF": "one pod, volume or address whose loss stops several routes",
    "GRAPH-COLD-START": "workloads wait for each other and do not come up when everything is down",
    "GRAPH-SHARED-CLAIM": "a ReadWriteOnce claim is mounted by several workloads, which all need the same node",
    "GRAPH-UNKNOWN-KIND": "objects of kinds that no rule reads",
}
"""Every code that the graph raises and what it means."""

_SPOF_ROUTES = 3
_NAME_POINTER = "kubernetes.io~1metadata.name"


def findings(graph: nx.MultiDiGraph[str], platform: Platform) -> list[Finding]:
    """Everything worth telling about the graph, worst first."""
    context = context_of(graph)
    found = [
        *_dangling(graph, context),
        *_no_endpoints(graph, context),
        *_forbidden(graph, context),
        *_hidden(graph, context),
        *_single_points(graph),
        *_cycles(graph),
        *_shared_claims(graph, platform),
        *_unknown(platform),
    ]
    # A modelled chart says the same thing twice: in the object that was modelled and in the values it came from.
    once = {(item.code, item.title, item.subject): item for item in reversed(found)}
    return sorted(once.values(), key=lambda item: item.sort_key)


def _where(origin: Origin, field: str) -> Where:
    return Where(origin.file, origin.line, field)


def _at(platform: Platform, item: KubeObject, field: str) -> Where:
    """The field of an object with its own line."""
    return Where(item.origin.file, line_of(platform.rendered.lines, item.origin, field), field)


def _called(node: str) -> str:
    """A node in a sentence: what a hidden chart runs is named by the chart."""
    kind, _, place = node.partition(" ")
    namespace, _, name = place.rpartition("/")
    return f"chart {name} (namespace {namespace})" if kind == "Chart" else node


def _dangling(graph: nx.MultiDiGraph[str], context: Context) -> Iterator[Finding]:
    absent: dict[str, list[Dangling]] = {}
    for item in graph.graph["dangling"]:
        if item.source not in graph:
            continue
        kind = item.target.partition(" ")[0]
        if kind in ("ServiceMonitor", "PodMonitor", "Probe"):
            yield _empty_monitor(item, context)
        elif kind == "Service":
            yield from _unanswered(graph, context, item)
        elif not item.optional or kind == "StorageClass":
            absent.setdefault(item.target, []).append(item)
    for target, listed in absent.items():
        yield _missing_reference(listed, target.partition(" ")[0], context)


_PURPOSE = {
    "ships-metrics-to": "metrics endpoint",
    "ships-logs-to": "log endpoint",
    "ships-traces-to": "trace endpoint",
    "routes-to": "backend",
    "queries": "database",
    "caches-in": "cache",
}


def _unanswered(graph: nx.MultiDiGraph[str], context: Context, item: Dangling) -> Iterator[Finding]:
    namespace, _, name = item.target.partition(" ")[2].partition("/")
    if hiding(context, namespace, name):
        return
    kinds = sorted(str(kind) for kind in graph.get_edge_data(item.source, item.target) or {})
    purpose = next((_PURPOSE[kind] for kind in kinds if kind in _PURPOSE), "host")
    hidden = [chart_name(chart) for chart, space in context.charts.values() if space == namespace]
    evidence = [f"{item.evidence.field}: {item.evidence.text}"]
    for chart, space in context.charts.values():
        override = chart.values.get("fullnameOverride")
        if space == namespace and override and name.startswith(chart.release or chart_name(chart)):
            evidence.append(
                f"release {chart.release} sets fullnameOverride: {override}, so its Services are called {override}-…"
            )
    if hidden:
        evidence.append(
            f"hidden charts of namespace {namespace} that do not use this name: {', '.join(sorted(hidden))}"
        )
    close = near(context, namespace, name)
    way_out = f"name a Service that exists, for example {close[0]}" if close else "name a Service that exists"
    severity = Severity.INFO if item.optional else (Severity.WARNING if hidden else Severity.ERROR)
    yield Finding(
        "GRAPH-DANGLING",
        severity,
        f"no service answers the {purpose} of {_called(item.source)}: {name}.{namespace}",
        item.source,
        _where(item.evidence.origin, item.evidence.field),
        tuple(evidence),
        way_out,
        namespace=namespace,
    )


def _missing_reference(listed: list[Dangling], kind: str, context: Context) -> Finding:
    item = listed[0]
    hidden = sorted(chart_name(chart) for chart, space in context.charts.values() if space == item.namespace)
    evidence = [f"{entry.source} {entry.evidence.field}: {entry.evidence.text}" for entry in listed]
    if hidden:
        evidence.append(f"hidden charts of namespace {item.namespace} that might make it: {', '.join(hidden)}")
    return Finding(
        "GRAPH-MISSING-REF",
        Severity.WARNING if kind in ("Secret", "StorageClass", "Gateway") or hidden else Severity.ERROR,
        f"{item.target} is needed by {_some([entry.source for entry in listed])}, and nothing in the tree makes it",
        item.source,
        _where(item.evidence.origin, item.evidence.field),
        tuple(evidence),
        f"add the {kind}, or mark the reference optional if something outside of the tree makes it",
        namespace=item.namespace,
    )


def _empty_monitor(item: Dangling, context: Context) -> Finding:
    hidden = sorted(chart_name(chart) for chart, space in context.charts.values() if space == item.namespace)
    return Finding(
        "GRAPH-MONITOR-EMPTY",
        Severity.INFO if hidden else Severity.WARNING,
        f"{item.target} selects nothing to scrape",
        item.target,
        _where(item.evidence.origin, item.evidence.field),
        (f"{item.evidence.field}: {item.evidence.text}", *([f"hidden charts: {', '.join(hidden)}"] if hidden else [])),
        "make its selector match the labels of a Service (or pods) and its port the name of one of the ports",
        namespace=item.namespace,
    )


def _no_endpoints(graph: nx.MultiDiGraph[str], context: Context) -> Iterator[Finding]:
    for service in context.platform.services:
        node = f"Service {service.namespace}/{service.name}"
        if not mapping(service.spec.get("selector")) or context.platform.service_workloads(service):
            continue
        if service.spec.get("type") == "ExternalName":
            continue
        callers = sorted({a for a, _, data in graph.in_edges(node, data=True) if data["kind"] not in ("makes",)})
        if not callers:
            continue
        selector = ", ".join(f"{key}={value}" for key, value in mapping(service.spec.get("selector")).items())
        yield Finding(
            "GRAPH-NO-ENDPOINTS",
            Severity.ERROR,
            f"{node} has no pods behind it, and {len(callers)} depend on it",
            node,
            _at(context.platform, service, "spec.selector"),
            (f"selector: {selector}", *(f"used by {name}" for name in callers)),
            "make the selector match the labels of a pod template",
            namespace=service.namespace,
        )


def _forbidden(graph: nx.MultiDiGraph[str], context: Context) -> Iterator[Finding]:
    groups: dict[tuple[str, str, str, tuple[str, ...]], list[Forbidden]] = {}
    for item in forbidden_edges(graph):
        space = graph.nodes[item.target]["namespace"]
        groups.setdefault((item.source, space, item.direction, item.policies), []).append(item)
    for (source, space, direction, policies), listed in groups.items():
        first = graph.edges[source, listed[0].target, listed[0].kind]
        close = _near_miss(context, graph, source, policies, direction)
        evidence = [
            f"{item.kind} {item.target}" + (f" port {item.port}" if item.port else "") + f" ({_said(graph, item)})"
            for item in listed
        ]
        evidence.append(f"{direction} is restricted by {', '.join(policies)}")
        way_out, patch, where = (
            f"add a rule that lets {source} in",
            "",
            Where(first["file"], first["line"], first["field"]),
        )
        if close is not None:
            policy, names, wanted = close
            evidence.append(
                f"{policy.name} lets the same pods in, but from namespace {names}: they run in namespace {wanted}"
            )
            way_out = f"name namespace {wanted} in {policy.name}"
            where, patch = _at(context.platform, policy, f"spec.{direction}"), _patch(policy, wanted, direction)
        what = "scrape" if all(item.kind == "scrapes" for item in listed) else "reach"
        who = _called(source)
        who = f"Prometheus of {who}" if who != source and what == "scrape" else who
        yield Finding(
            "GRAPH-POLICY-FORBIDS",
            Severity.WARNING if what == "scrape" else Severity.ERROR,
            f"network policies of namespace {policies[0].partition('/')[0]} do not let {who} {what} "
            f"{_some([item.target for item in listed])}",
            source,
            where,
            tuple(evidence),
            way_out,
            patch,
            namespace=space,
        )


def _said(graph: nx.MultiDiGraph[str], item: Forbidden) -> str:
    data = graph.edges[item.source, item.target, item.kind]
    return f"{data['file']}:{data['line']}" if data["line"] else str(data["file"])


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _near_miss(
    context: Context, graph: nx.MultiDiGraph[str], source: str, policies: tuple[str, ...], direction: str
) -> tuple[KubeObject, str, str] | None:
    """A policy whose pod selector fits the source and whose namespace does not: (policy, its namespace, ours)."""
    if direction != "ingress":
        return None
    labels = [dict(found) for item in context.workloads_of.get(source, ()) for found in item.label_sets]
    if graph.nodes[source]["kind"] == "Chart":
        labels = [{"app.kubernetes.io/name": "prometheus"}]
    wanted = graph.nodes[source]["namespace"]
    for name in policies:
        namespace, _, short = name.partition("/")
        policy = context.platform.get("NetworkPolicy", namespace, short)
        for rule in maps(policy.spec.get("ingress")) if policy is not None else []:
            for peer in maps(rule.get("from")):
                pods, spaces = peer.get("podSelector"), mapping(peer.get("namespaceSelector"))
                named = mapping(spaces.get("matchLabels")).get("kubernetes.io/metadata.name")
                if policy is None or not pods or not named or named == wanted:
                    continue
                if any(selector_of(pods).matches(found) for found in labels):
                    return policy, str(named), wanted
    return None


def _patch(policy: KubeObject, wanted: str, direction: str) -> str:
    """A Kustomize patch that puts the right namespace into the rule of ``policy``."""
    rules = maps(policy.spec.get(direction))
    operations: list[dict[str, Any]] = [
        {
            "op": "replace",
            "path": f"/spec/{direction}/{index}/from/{number}/namespaceSelector/matchLabels/{_NAME_POINTER}",
            "value": wanted,
        }
        for index, rule in enumerate(rules)
        for number, peer in enumerate(maps(rule.get("from")))
        if mapping(mapping(peer.get("namespaceSelector")).get("matchLabels")).get("kubernetes.io/metadata.name")
    ]
    target = {"kind": policy.kind, "name": policy.name, "namespace": policy.namespace}
    text = yaml.safe_dump(operations, sort_keys=False)
    return yaml.safe_dump({"patches": [{"target": target, "patch": text}]}, sort_keys=False)


def _hidden(graph: nx.MultiDiGraph[str], context: Context) -> Iterator[Finding]:
    """One finding per chart that could not be read: what the rest of the tree expects from it."""
    expected: dict[str, dict[str, set[str]]] = {node: {} for node in context.charts}
    for item in graph.graph["dangling"]:
        if item.target.startswith("Service "):
            namespace, _, name = item.target.partition(" ")[2].partition("/")
            for node in hiding(context, namespace, name):
                expected[node].setdefault(item.target, set()).add(item.source)
    for node, (missing, namespace) in context.charts.items():
        evidence = [
            f"{target} is expected by {_some(sorted(users))}" for target, users in sorted(expected[node].items())
        ]
        evidence.append(f"not readable because {missing.reason}")
        yield Finding(
            "GRAPH-HIDDEN",
            Severity.WARNING,
            f"chart {chart_name(missing)} is hidden: {missing.hides or 'everything that it runs'}"
            + (f" in namespace {namespace}" if namespace else ""),
            node,
            _where(missing.origin, "helmCharts"),
            tuple(evidence),
            "put the chart into the tree or the cache, or allow downloads with --fetch",
            namespace=namespace,
        )


def _single_points(graph: nx.MultiDiGraph[str]) -> Iterator[Finding]:
    for point in single_points(graph, at_least=_SPOF_ROUTES):
        data = graph.nodes[point.node]
        routes = point.impact.hard_routes
        yield Finding(
            "GRAPH-SPOF",
            Severity.INFO,
            f"{point.node} is {point.why}: without it {len(routes)} routes stop",
            point.node,
            _stands(graph, point.node),
            (f"routes: {_some(list(routes))}", f"workloads: {_some(list(point.impact.hard_workloads)) or 'none'}"),
            "run a second one where it can run twice, or plan for its outage",
            namespace=data["namespace"],
        )


def _stands(graph: nx.MultiDiGraph[str], node: str) -> Where:
    """Where a node is written; one that no object stands for is where its first edge is."""
    data = graph.nodes[node]
    if data["file"]:
        return Where(data["file"], data["line"])
    said = next((edge for _, _, edge in graph.out_edges(node, data=True) if edge["file"]), None)
    return Where(said["file"], said["line"], said["field"]) if said is not None else Where()


def _cycles(graph: nx.MultiDiGraph[str]) -> Iterator[Finding]:
    for cycle in cold_start_cycles(graph):
        data = graph.nodes[cycle.nodes[0]]
        what = "wait for each other before they start" if cycle.blocking else "need each other"
        yield Finding(
            "GRAPH-COLD-START",
            Severity.ERROR if cycle.blocking else Severity.INFO,
            f"{_some(list(cycle.nodes))} {what}: a cold start may never finish",
            cycle.nodes[0],
            Where(data["file"], data["line"]),
            tuple(cycle.nodes),
            "let one of them start without the others",
            namespace=data["namespace"],
        )


def _shared_claims(graph: nx.MultiDiGraph[str], platform: Platform) -> Iterator[Finding]:
    for claim in platform.claims:
        modes = [str(mode) for mode in items(claim.spec.get("accessModes"))]
        node = f"PersistentVolumeClaim {claim.namespace}/{claim.name}"
        users = sorted(a for a, _, data in graph.in_edges(node, data=True) if data["kind"] == "mounts")
        if len(users) < 2 or "ReadWriteMany" in modes or "ReadOnlyMany" in modes:
            continue
        yield Finding(
            "GRAPH-SHARED-CLAIM",
            Severity.INFO,
            f"{len(users)} workloads mount {node}, which is {', '.join(modes) or 'ReadWriteOnce'}: all run on one node",
            node,
            _at(platform, claim, "spec.accessModes"),
            tuple(f"mounted by {name}" for name in users),
            "use a class that can do ReadWriteMany, or accept that they move and fail together",
            namespace=claim.namespace,
        )


def _unknown(platform: Platform) -> Iterator[Finding]:
    for kind, count in platform.unknown_kinds.items():
        group, _, name = kind.rpartition("/")
        first = platform.by_kind(name, group)[0] if platform.by_kind(name, group) else None
        yield Finding(
            "GRAPH-UNKNOWN-KIND",
            Severity.INFO,
            f"{count} {'object' if count == 1 else 'objects'} of kind {kind}: no rule reads them",
            kind,
            _at(platform, first, "kind") if first else Where(),
            (),
            "add what matters about them to stowplan-graph.yaml",
        )
