"""The graph as text: JSON, Mermaid, Graphviz DOT, GraphML; and the evidence for an edge in words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import networkx as nx

from models.graph.picture import to_html, to_svg
from models.graph.schema import EDGE_FIELDS, EDGE_KINDS, GRAPH_SCHEMA, MISSING_FIELDS, NODE_FIELDS, Evidence
from models.graph.view import PICTURE_KINDS, filtered, layered, legend, marked
from models.objects import Missing
from models.sight import hidden

__all__ = ["explain", "filtered", "layered", "to_dot", "to_graphml", "to_html", "to_json", "to_mermaid", "to_svg"]

_SHAPES = {
    "Service": ("([", "])"),
    "Database": ("[(", ")]"),
    "Cache": ("[(", ")]"),
    "Claim": ("[/", "/]"),
    "Route": ("{{", "}}"),
    "Edge": ("((", "))"),
    "External": (">", "]"),
}
_DOT_SHAPES = {
    "Service": "ellipse",
    "Database": "cylinder",
    "Cache": "cylinder",
    "Claim": "folder",
    "Route": "hexagon",
    "Edge": "doublecircle",
    "External": "cds",
    "Chart": "box3d",
}


def to_json(graph: nx.MultiDiGraph[str]) -> str:
    """The graph as JSON (see :func:`models.graph.schema.json_schema`), the same bytes for the same graph.

    Lists are sorted; unknown values are null. What could not be had is listed whole, whatever part is shown.
    """
    nodes = [_node(node, graph.nodes[node]) for node in sorted(graph)]
    edges = []
    for source, target, _key, data in _edges(graph):
        attributes = {key: data.get(key) for key in EDGE_FIELDS}
        evidence = [_evidence(item) for item in data["evidence"]]
        edges.append({"source": source, "target": target, **attributes, "evidence": evidence})
    missing: tuple[Missing, ...] = graph.graph.get("missing", ())
    bound = hidden(missing)
    document = {
        "schema": GRAPH_SCHEMA,
        "nodes": nodes,
        "edges": edges,
        "edge_kinds": dict(EDGE_KINDS),
        "missing": [missing_entry(item) for item in sorted(missing)],
        "hidden": {**asdict(bound), "sentence": str(bound)},
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def missing_entry(item: Missing) -> dict[str, Any]:
    """One thing that could not be had, as the JSON forms list it."""
    where = {"file": item.origin.file, "line": item.origin.line}
    return {key: where[key] if key in where else getattr(item, key) for key in MISSING_FIELDS}


def _node(node: str, data: Mapping[str, Any]) -> dict[str, Any]:
    plain = {key: data.get(key) for key in NODE_FIELDS}
    return {"id": node, **plain, "workloads": list(data.get("workloads", ()))}


def _evidence(item: Evidence) -> dict[str, Any]:
    return {
        "rule": item.rule,
        "file": item.origin.file,
        "line": item.origin.line,
        "field": item.field,
        "text": item.text,
        "confidence": item.confidence,
    }


def _edges(graph: nx.MultiDiGraph[str]) -> list[tuple[str, str, str, dict[str, Any]]]:
    found = [(source, target, str(key), data) for source, target, key, data in graph.edges(keys=True, data=True)]
    return sorted(found, key=lambda item: item[:3])


def to_mermaid(graph: nx.MultiDiGraph[str], *, edge_kinds: frozenset[str] = PICTURE_KINDS) -> str:
    """A Mermaid flowchart, one subgraph per namespace; soft edges are dotted, forbidden ones crossed."""
    part = filtered(graph, edge_kinds=edge_kinds, isolated=False)
    names = {node: f"n{index}" for index, node in enumerate(sorted(part))}
    lines = ["flowchart LR"]
    spaces = sorted({str(data["namespace"]) for _, data in part.nodes(data=True)})
    for number, space in enumerate(spaces):
        indent = "  "
        if space:
            lines.append(f'  subgraph ns{number}["{_mermaid(space)}"]')
            indent = "    "
        for node in sorted(part):
            data = part.nodes[node]
            if data["namespace"] == space:
                left, right = _SHAPES.get(data["role"], ("[", "]"))
                label = f"{_mermaid(marked(data))}<br/><small>{_mermaid(data['kind'])}</small>"
                lines.append(f'{indent}{names[node]}{left}"{label}"{right}')
        if space:
            lines.append("  end")
    for source, target, key, data in _edges(part):
        arrow = "--x" if data.get("allowed") is False else ("-->" if data["strength"] == "hard" else "-.->")
        lines.append(f"  {names[source]} {arrow}|{key}| {names[target]}")
    lines += [f"  %% {line}" for line in legend(part)]
    return "\n".join(lines) + "\n"


def _mermaid(text: str) -> str:
    return re.sub(r'["<>#;&]', lambda match: f"#{ord(match[0])};", text)


def to_dot(graph: nx.MultiDiGraph[str], *, edge_kinds: frozenset[str] = PICTURE_KINDS) -> str:
    """A Graphviz digraph, one cluster per namespace."""
    part = filtered(graph, edge_kinds=edge_kinds, isolated=False)
    lines = ["digraph platform {", "  rankdir=LR;", '  node [fontname="sans-serif", shape=box, style=rounded];']
    if said := legend(part):
        lines.append(f"  label={_quoted(chr(10).join(said))}; labelloc=b; labeljust=l;")
    for number, space in enumerate(sorted({str(data["namespace"]) for _, data in part.nodes(data=True)})):
        indent = "  "
        if space:
            lines += [f"  subgraph cluster_{number} {{", f"    label={_quoted(space)};"]
            indent = "    "
        for node in sorted(part):
            data = part.nodes[node]
            if data["namespace"] == space:
                shape = _DOT_SHAPES.get(data["role"], "box")
                label = _quoted(f"{marked(data)}\n{data['kind']}")
                lines.append(f"{indent}{_quoted(node)} [label={label}, shape={shape}];")
        if space:
            lines.append("  }")
    for source, target, key, data in _edges(part):
        style = "solid" if data["strength"] == "hard" else "dashed"
        colour = ", color=red" if data.get("allowed") is False else ""
        lines.append(f"  {_quoted(source)} -> {_quoted(target)} [label={_quoted(key)}, style={style}{colour}];")
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def to_graphml(graph: nx.MultiDiGraph[str]) -> str:
    """GraphML with scalar attributes; evidence as its best line."""
    plain: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    for node in sorted(graph):
        plain.add_node(node, **_scalars({key: graph.nodes[node].get(key) for key in NODE_FIELDS}))
    for source, target, key, data in _edges(graph):
        attributes = {name: data.get(name) for name in EDGE_FIELDS}
        text = data["evidence"][0].text if data["evidence"] else ""
        plain.add_edge(source, target, key=key, **_scalars({**attributes, "evidence": text}))
    return "\n".join(nx.generate_graphml(plain)) + "\n"


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def _scalars(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _CONTROL.sub("", value) if isinstance(value, str) else value
        for key, value in values.items()
        if value is not None and (not isinstance(value, str) or value)
    }


def explain(graph: nx.MultiDiGraph[str], source: str, target: str) -> list[str]:
    """Why the graph says that ``source`` depends on ``target``: a line per edge and per piece of evidence.

    Without an edge between them, the shortest chain of edges is explained. An empty list: there is none. Raises
    KeyError for a node that is not in the graph.
    """
    for node in (source, target):
        if node not in graph:
            raise KeyError(node)
    if not nx.has_path(graph, source, target):
        return []
    path = [source, target] if graph.has_edge(source, target) else nx.shortest_path(graph, source, target)
    lines = []
    for start, end in pairwise(path):
        for key, data in sorted((graph.get_edge_data(start, end) or {}).items()):
            lines.append(f"{start} {key} {end} ({data['strength']}, confidence {data['confidence']:g})")
            for item in data["evidence"]:
                text = f": {item.text}" if item.text else ""
                lines.append(f"    {item.origin} {item.field} [{item.rule}]{text}")
            if data.get("allowed") is not None:
                said = "allow" if data["allowed"] else f"forbid ({data['policy_direction']})"
                which = f": {data['policy']}" if data.get("policy") else ""
                lines.append(f"    network policies {said} it{which}")
    return lines
