"""What follows from the graph: what an outage takes down, single points of failure, cycles that stop a cold start."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import networkx as nx

from models.findings import Finding
from models.graph.context import Context
from models.graph.routes import EntryRoute
from models.graph.schema import DEPENDENCY_KINDS, Strength
from models.platform import Platform

_PROPAGATING = DEPENDENCY_KINDS - {"routes-to", "guarded-by", "selects", "mounts"}
ALIAS_RULES = frozenset({"external name", "endpoints", "endpoint slice"})
"""Rules of edges from a Service to what it stands for."""
_RUNNING = frozenset({"Workload", "Database", "Cache"})


@dataclass(frozen=True)
class Impact:
    """What goes with a set of nodes. Ids of routes (``EntryRoute.id``) and of workload nodes, each sorted.

    hard: does not work any more; soft: works with something missing.
    """

    hard_routes: tuple[str, ...]
    soft_routes: tuple[str, ...]
    hard_workloads: tuple[str, ...]
    soft_workloads: tuple[str, ...]

    @property
    def size(self) -> int:
        """Routes and workloads that stop working."""
        return len(self.hard_routes) + len(self.hard_workloads)


def context_of(graph: nx.MultiDiGraph[str]) -> Context:
    """The look-ups that the graph was built with."""
    context = graph.graph["context"]
    assert isinstance(context, Context)
    return context


def taken_down_by(graph: nx.MultiDiGraph[str], *nodes: str) -> Impact:
    """What stops (hard) or degrades (soft) when all of ``nodes`` are gone. O(nodes + edges) per round of propagation.

    A Service stops when every workload behind it has; a workload with several claims of its own degrades while one is
    left. Raises KeyError for a node that is not in the graph.
    """
    for node in nodes:
        if node not in graph:
            raise KeyError(node)
    hard, soft = _spread(graph, set(nodes))
    context = context_of(graph)
    hard_routes, soft_routes = [], []
    touched = {route.id: route for node in hard | soft for route in context.routes_touching.get(node, ())}
    for route in touched.values():
        state = _route_state(context, route, hard, soft)
        if state is Strength.HARD:
            hard_routes.append(route.id)
        elif state is Strength.SOFT:
            soft_routes.append(route.id)
    running = {node for node in (hard | soft) - set(nodes) if graph.nodes[node]["role"] in _RUNNING}
    return Impact(
        tuple(sorted(hard_routes)),
        tuple(sorted(soft_routes)),
        tuple(sorted(hard & running)),
        tuple(sorted(soft & running)),
    )


def _spread(graph: nx.MultiDiGraph[str], start: set[str]) -> tuple[set[str], set[str]]:
    """Nodes that stop, and nodes that degrade, from ``start`` on."""
    hard, soft = set(start), set[str]()
    queue = sorted(start)
    while queue:
        node = queue.pop()
        for source, _, data in graph.in_edges(node, data=True):
            if source in hard:
                continue
            state = _state(graph, source, data, node in hard, hard)
            if state is Strength.HARD:
                hard.add(source)
                soft.discard(source)
                queue.append(source)
            elif state is Strength.SOFT and source not in soft:
                soft.add(source)
                queue.append(source)
    return hard, soft


def _state(
    graph: nx.MultiDiGraph[str], source: str, data: dict[str, object], down: bool, hard: set[str]
) -> Strength | None:
    """What the end of one edge does to its source: stop, degrade or nothing."""
    kind = data["kind"]
    if kind == "selects":
        behind = {target for _, target, edge in graph.out_edges(source, data=True) if edge["kind"] == "selects"}
        return Strength.HARD if behind <= hard else Strength.SOFT
    if kind == "routes-to" and source.startswith("Service ") and data["rule"] in ALIAS_RULES:
        return Strength.HARD if down else Strength.SOFT
    if kind == "mounts":
        own = {target for _, target, edge in graph.out_edges(source, data=True) if edge["rule"] == "claim template"}
        alone = data["rule"] != "claim template" or own <= hard
        return Strength.HARD if down and alone else Strength.SOFT
    if kind not in _PROPAGATING:
        return None
    if data["strength"] == Strength.HARD:
        return Strength.HARD if down else Strength.SOFT
    # A degraded service further away is not worth a word; a dead one that is wanted only at start is neither.
    return Strength.SOFT if down and data["strength"] == Strength.SOFT else None


def _route_state(context: Context, route: EntryRoute, hard: set[str], soft: set[str]) -> Strength | None:
    """What the outage does to one route: its proxy and guards are all needed, of its backends any one."""
    needed = context.route_needs(route)
    backends = {item.service for item in route.backends}
    if any(node in hard for node in needed) or (backends and backends <= hard):
        return Strength.HARD
    if any(node in soft for node in needed) or backends & (hard | soft):
        return Strength.SOFT
    return None


@dataclass(frozen=True)
class SinglePoint:
    """A workload, claim or address whose loss alone stops routes: what it is, and what goes with it."""

    node: str
    why: str
    impact: Impact


def single_points(graph: nx.MultiDiGraph[str], *, at_least: int = 1) -> tuple[SinglePoint, ...]:
    """Everything that exists once and stops at least ``at_least`` routes, the worst first."""
    context = context_of(graph)
    found = []
    for node, data in graph.nodes(data=True):
        why = ""
        workloads = context.workloads_of.get(node, ())
        if workloads and all(item.controller not in ("Job", "CronJob", "DaemonSet") for item in workloads):
            pods = sum(item.replicas or 0 for item in workloads)
            why = "one pod" if pods == 1 else ""
        elif data["role"] == "Claim":
            why = "one volume"
        elif data["role"] == "LoadBalancerAddress":
            why = "one address"
        if why:
            impact = taken_down_by(graph, node)
            if len(impact.hard_routes) >= at_least:
                found.append(SinglePoint(node, why, impact))
    return tuple(sorted(found, key=lambda item: (-item.impact.size, item.node)))


@dataclass(frozen=True)
class Cycle:
    """Workloads that need each other. ``blocking``: every step waits in an init container, so that none ever starts."""

    nodes: tuple[str, ...]
    blocking: bool


def cold_start_cycles(graph: nx.MultiDiGraph[str]) -> tuple[Cycle, ...]:
    """Groups of workloads that cannot (blocking) or may not come up when everything is down at once."""
    waiting: nx.DiGraph[str] = nx.DiGraph()
    needing: nx.DiGraph[str] = nx.DiGraph()
    for source, target, data in graph.edges(data=True):
        if data["kind"] not in _PROPAGATING or data["kind"] == "uses":
            continue
        if data["strength"] == Strength.SOFT and not data["startup"]:
            continue
        for end in _behind(graph, target):
            if end != source:
                needing.add_edge(source, end)
                if data["startup"]:
                    waiting.add_edge(source, end)
    blocked = [tuple(sorted(part)) for part in nx.strongly_connected_components(waiting) if len(part) > 1]
    needed = [tuple(sorted(part)) for part in nx.strongly_connected_components(needing) if len(part) > 1]
    found = [Cycle(part, True) for part in sorted(blocked)]
    found += [Cycle(part, False) for part in sorted(needed) if part not in blocked]
    return tuple(found)


def _behind(graph: nx.MultiDiGraph[str], node: str) -> Iterable[str]:
    """The node itself when it runs pods, otherwise the workloads that a Service selects."""
    if graph.nodes[node]["role"] in _RUNNING:
        return (node,)
    found = []
    for _, target, data in graph.out_edges(node, data=True):
        if data["kind"] == "selects":
            found.append(target)
        elif data["rule"] == "external name" and target.startswith("Service "):
            found += [end for _, end, inner in graph.out_edges(target, data=True) if inner["kind"] == "selects"]
    return found


@dataclass(frozen=True)
class Forbidden:
    """Traffic that somebody wrote down and that a network policy drops."""

    source: str
    target: str
    kind: str
    port: object
    policies: tuple[str, ...]
    direction: str


def findings(graph: nx.MultiDiGraph[str], platform: Platform) -> list[Finding]:
    """Findings of the graph, worst first: see :mod:`models.graph.findings`."""
    from models.graph.findings import findings as all_findings

    return all_findings(graph, platform)


def forbidden_edges(graph: nx.MultiDiGraph[str]) -> tuple[Forbidden, ...]:
    """Every edge whose verdict is no, sorted."""
    found = [
        Forbidden(
            source, target, data["kind"], data.get("port"), tuple(data["policy"].split(", ")), data["policy_direction"]
        )
        for source, target, data in graph.edges(data=True)
        if data.get("allowed") is False
    ]
    return tuple(sorted(found, key=lambda item: (item.source, item.target, item.kind)))
