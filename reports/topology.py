"""The picture of the platform: from the edge on the left to the data on the right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import networkx as nx

from models.graph.routes import entry_routes
from models.platform import Platform
from reports.document import Topology, TopologyEdge, TopologyNode
from sim.platform.simulation import NodeLoss

SHOWN_EDGES = frozenset({"routes-to", "guarded-by", "selects", "calls", "queries", "caches-in", "mounts"})
"""Edge kinds that a person wants to see; settings, policies and scrapes would hide them."""

PASSED_THROUGH = frozenset({"Service", "Middleware", "TraefikService"})
"""Kinds that only stand between two others: the picture draws one arrow past them."""

MOST_NODES = 160


def topology_of(
    platform: Platform, graph: nx.MultiDiGraph[str], losses: Iterable[NodeLoss], services: Iterable[str] = ()
) -> Topology:
    """Everything reachable from the edge, and from the ``services`` that clients call directly, along request and data
    edges; ``risk``: down until a lost node returns."""
    risky = {loss.route for loss in losses if loss.outage_s is None}
    objects = {route.object_id for route in entry_routes(platform) if route.id in risky}
    shown: dict[tuple[str, str], tuple[str, str]] = {}
    for source, target, data in graph.edges(data=True):
        if data.get("kind") in SHOWN_EDGES and data.get("strength") != "startup":
            key = (str(source), str(target))
            if key not in shown or str(data.get("strength")) == "hard":
                shown[key] = (str(data["kind"]), str(data.get("strength")))
    picture: nx.DiGraph[str] = nx.DiGraph()
    picture.add_edges_from(shown)
    reached = {str(node) for node, data in graph.nodes(data=True) if data.get("role") == "Edge"} & set(picture)
    reached = reached or {str(node) for node, data in graph.nodes(data=True) if data.get("role") == "Route"}
    reached |= {service for service in services if service in picture}
    for root in [node for node in reached if node in picture]:
        reached |= nx.descendants(picture, root)
    kept = {node for node in reached if node in picture and graph.nodes[node].get("kind") not in PASSED_THROUGH}
    edges = _past(picture, shown, kept)
    flat: nx.DiGraph[str] = nx.DiGraph()
    flat.add_nodes_from(sorted(kept))
    flat.add_edges_from(sorted(edges))
    layers = _layers(flat)
    chosen = set(sorted(kept, key=lambda node: (layers[node], node))[:MOST_NODES])
    return Topology(
        tuple(_node(graph, node, layers[node], objects) for node in sorted(chosen, key=lambda n: (layers[n], n))),
        tuple(
            TopologyEdge(source, target, kind, _strength(strength))
            for (source, target), (kind, strength) in sorted(edges.items())
            if source in chosen and target in chosen
        ),
    )


def _past(
    picture: nx.DiGraph[str], shown: Mapping[tuple[str, str], tuple[str, str]], kept: set[str]
) -> dict[tuple[str, str], tuple[str, str]]:
    """Edges between kept nodes, also those that lead through nodes that are not kept. A way is soft if a step is."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for start in sorted(kept):
        stack = [(target, shown[start, target]) for target in sorted(picture.successors(start))]
        seen: set[tuple[str, str]] = set()
        while stack:
            node, (kind, strength) = stack.pop()
            if (node, strength) in seen or node == start:
                continue
            seen.add((node, strength))
            if node in kept:
                if found.get((start, node), ("", "soft"))[1] != "hard":
                    found[start, node] = (kind, strength)
                continue
            for further in picture.successors(node):
                step = shown[node, further][1]
                stack.append((further, (kind, "soft" if "soft" in (strength, step) else strength)))
    return found


def _strength(value: str) -> Literal["hard", "soft", "startup"]:
    return "soft" if value == "soft" else "startup" if value == "startup" else "hard"


def _layers(graph: nx.DiGraph[str]) -> dict[str, int]:
    """Longest distance from a root, circles taken as one place."""
    condensed = nx.condensation(graph)
    depth: dict[int, int] = {}
    for component in nx.topological_sort(condensed):
        depth[component] = max((depth[before] + 1 for before in condensed.predecessors(component)), default=0)
    return {node: depth[component] for node, component in condensed.graph["mapping"].items()}


def _node(graph: nx.MultiDiGraph[str], node: str, layer: int, risky: set[str]) -> TopologyNode:
    data = graph.nodes[node]
    return TopologyNode(
        id=node,
        label=node.partition(" ")[2].rpartition("/")[2] or node,
        kind=str(data.get("kind", "")),
        layer=layer,
        namespace=str(data.get("namespace") or ""),
        status="risk" if node in risky else "ok",
    )
