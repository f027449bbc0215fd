"""The picture of the platform: from the edge on the left to the data on the right."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import networkx as nx

from models.platform import Platform
from reports.document import Topology, TopologyEdge, TopologyNode
from sim.platform.simulation import NodeLoss

SHOWN_EDGES = frozenset({"routes-to", "guarded-by", "selects", "calls", "queries", "caches-in", "mounts"})
"""Edge kinds that a person wants to see; settings, policies and scrapes would hide them."""

MOST_NODES = 120


def topology_of(platform: Platform, graph: nx.MultiDiGraph[str], losses: Iterable[NodeLoss]) -> Topology:
    """Everything reachable from the edge along request and data edges; ``risk``: down until a lost node returns."""
    risky = {loss.route for loss in losses if loss.outage_s is None}
    shown = [
        (str(source), str(target), data)
        for source, target, data in graph.edges(data=True)
        if data.get("kind") in SHOWN_EDGES and data.get("strength") != "startup"
    ]
    roots = [str(node) for node, data in graph.nodes(data=True) if data.get("role") in ("Edge", "Route")]
    picture: nx.DiGraph[str] = nx.DiGraph()
    picture.add_edges_from((source, target) for source, target, _ in shown)
    reached = set(roots) & set(picture)
    for root in list(reached):
        reached |= nx.descendants(picture, root)
    layers = _layers(picture.subgraph(reached))
    kept = sorted(reached, key=lambda node: (layers[node], node))[:MOST_NODES]
    nodes = tuple(_node(graph, node, layers[node], risky) for node in kept)
    chosen = set(kept)
    edges = {
        (source, target): TopologyEdge(source, target, str(data["kind"]), _strength(str(data.get("strength"))))
        for source, target, data in shown
        if source in chosen and target in chosen
    }
    return Topology(nodes, tuple(edges[key] for key in sorted(edges)))


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
    label = node.partition(" ")[2].rpartition("/")[2] or node
    hosts = data.get("routes") or ()
    risk = any(str(host) in risky for host in hosts) or label in risky
    return TopologyNode(
        id=node,
        label=label,
        kind=str(data.get("kind", "")),
        layer=layer,
        namespace=str(data.get("namespace") or ""),
        status="risk" if risk else "ok",
    )
