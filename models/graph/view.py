"""What part of a graph to show, and where each node goes in a picture."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import networkx as nx

from models.sight import LEGEND, MARKS, hidden

PICTURE_KINDS = frozenset(
    {
        "routes-to",
        "guarded-by",
        "selects",
        "calls",
        "queries",
        "caches-in",
        "mounts",
        "scrapes",
        "ships-logs-to",
        "ships-traces-to",
        "ships-metrics-to",
        "issues",
        "backs-up",
    }
)
"""Kinds of edges that a picture shows unless it is asked for others: what runs and where data goes."""


def filtered(
    graph: nx.MultiDiGraph[str],
    *,
    namespaces: Collection[str] = (),
    kinds: Collection[str] = (),
    edge_kinds: Collection[str] = (),
    isolated: bool = True,
) -> nx.MultiDiGraph[str]:
    """The part of the graph that was asked for; an empty collection asks for everything.

    ``namespaces``: nodes of these, and what is outside of all namespaces as long as an edge leads there. ``kinds``:
    node kinds or roles ("Deployment", "Workload"). ``isolated``: keep nodes that no remaining edge touches.
    """
    kept = [
        node
        for node, data in graph.nodes(data=True)
        if (not namespaces or data["namespace"] in namespaces or not data["namespace"])
        and (not kinds or data["kind"] in kinds or data["role"] in kinds)
    ]
    part: nx.MultiDiGraph[str] = nx.MultiDiGraph(graph.subgraph(kept))
    # What could not be had is not a matter of the part that is shown.
    part.graph = {"missing": graph.graph.get("missing", ())}
    if edge_kinds:
        for source, target, key in list(part.edges(keys=True)):
            if key not in edge_kinds:
                part.remove_edge(source, target, key)
    alone = [
        node
        for node, data in part.nodes(data=True)
        if part.degree(node) == 0 and (not isolated or (namespaces and not data["namespace"]))
    ]
    part.remove_nodes_from(alone)
    return part


def marked(data: Mapping[str, Any]) -> str:
    """The name of a node, with a mark when it was not read from the tree."""
    mark = MARKS.get(str(data.get("seen")), "")
    return f"{data['name']} {mark}".strip()


def legend(graph: nx.MultiDiGraph[str]) -> list[str]:
    """What the marks of the graph's nodes mean, and what is in no node: a line each."""
    used = {str(data.get("seen")) for _, data in graph.nodes(data=True)}
    lines = [f"{mark} {LEGEND[seen]}" for seen, mark in MARKS.items() if seen in used]
    return [*lines, *filter(None, [str(hidden(graph.graph.get("missing", ())))])]


@dataclass(frozen=True)
class Placed:
    """A node of a picture: the middle of its box, in units of boxes (column, row)."""

    column: int
    row: float


def layered(graph: nx.MultiDiGraph[str], *, sweeps: int = 6) -> dict[str, Placed]:
    """Columns by longest path over the cycle-free condensation, rows by the mean of the neighbours' rows (barycentre).

    Sugiyama, Tagawa, Toda (1981), without dummy nodes. O(sweeps * (nodes log nodes + edges)).
    """
    if not graph:
        return {}
    # What watches and what copies reaches everything: its edges would push the rest into a single column.
    flow: nx.DiGraph[str] = nx.DiGraph()
    flow.add_nodes_from(graph)
    flow.add_edges_from((a, b) for a, b, key in graph.edges(keys=True) if key not in ("scrapes", "backs-up"))
    groups: nx.DiGraph[int] = nx.condensation(flow)
    level: dict[int, int] = {}
    for group in nx.topological_sort(groups):
        level[group] = max((level[before] + 1 for before in groups.predecessors(group)), default=0)
    columns: dict[str, int] = {}
    for group, data in groups.nodes(data=True):
        for node in data["members"]:
            columns[node] = level[group]
    for node in graph:
        # A source that only points far to the right stands right before its first target.
        if graph.in_degree(node) == 0 and graph.out_degree(node):
            columns[node] = max(0, min(columns[target] for target in graph.successors(node)) - 1)
    return _ordered(graph, columns, sweeps)


def _ordered(graph: nx.MultiDiGraph[str], columns: dict[str, int], sweeps: int) -> dict[str, Placed]:
    layers: dict[int, list[str]] = {}
    for node in sorted(graph, key=lambda name: (str(graph.nodes[name]["namespace"]), name)):
        layers.setdefault(columns[node], []).append(node)
    rows = {node: float(index) for listed in layers.values() for index, node in enumerate(listed)}
    for sweep in range(sweeps):
        for column in sorted(layers, reverse=bool(sweep % 2)):
            near = graph.predecessors if sweep % 2 == 0 else graph.successors
            means = {}
            for node in layers[column]:
                found = [rows[other] for other in near(node)]
                means[node] = sum(found) / len(found) if found else rows[node]
            layers[column].sort(key=lambda name: (means[name], name))
            for index, node in enumerate(layers[column]):
                rows[node] = float(index)
    tallest = max(len(listed) for listed in layers.values())
    return {
        node: Placed(column, index + (tallest - len(listed)) / 2)
        for column, listed in layers.items()
        for index, node in enumerate(listed)
    }
