"""The graph as a picture: plain SVG in our own layered layout, and one self-contained HTML page around it."""

from __future__ import annotations

import json
from html import escape
from importlib import resources
from typing import Any

import networkx as nx

from models.graph.view import PICTURE_KINDS, Placed, filtered, layered, legend, marked
from models.objects import Missing
from models.sight import MARKS, hidden

_BOX_WIDTH, _BOX_HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 190, 40, 90, 14, 24
_LINE = 16

_EDGE_CLASSES = {
    "routes-to": "route",
    "guarded-by": "guard",
    "selects": "select",
    "calls": "call",
    "queries": "data",
    "caches-in": "data",
    "mounts": "data",
    "binds": "data",
    "scrapes": "watch",
    "ships-logs-to": "watch",
    "ships-traces-to": "watch",
    "ships-metrics-to": "watch",
    "backs-up": "backup",
}
_STYLE = """
.stow-graph{--ink:#1f2933;--muted:#65727f;--paper:#ffffff;--box:#f4f6f8;--line:#b6c0ca;--route:#2563eb;--guard:#9333ea;
--select:#64748b;--call:#0f766e;--data:#b45309;--watch:#94a3b8;
--backup:#4d7c0f;--bad:#dc2626;background:var(--paper)}
@media (prefers-color-scheme:dark){.stow-graph{--ink:#e6ebf0;--muted:#93a1af;--paper:#11171d;--box:#1c252e;
--line:#3c4a57;--route:#60a5fa;--guard:#c084fc;--select:#94a3b8;--call:#2dd4bf;--data:#f59e0b;--watch:#64748b;
--backup:#a3e635;--bad:#f87171}}
:root[data-theme=light] .stow-graph{--ink:#1f2933;--muted:#65727f;--paper:#ffffff;--box:#f4f6f8;--line:#b6c0ca}
:root[data-theme=dark] .stow-graph{--ink:#e6ebf0;--muted:#93a1af;--paper:#11171d;--box:#1c252e;--line:#3c4a57}
.stow-graph text{font:12px system-ui,sans-serif;fill:var(--ink)}.stow-graph .kind{font-size:9.5px;fill:var(--muted)}
.stow-graph rect{fill:var(--box);stroke:var(--line)}.stow-graph .Missing rect{stroke:var(--bad);stroke-dasharray:4 3}
.stow-graph .Chart rect,.stow-graph .modelled rect{stroke-dasharray:4 3}
.stow-graph .Database rect,.stow-graph .Cache rect,.stow-graph .Claim rect{stroke:var(--data)}
.stow-graph .Route rect,.stow-graph .Edge rect,.stow-graph .LoadBalancerAddress rect{stroke:var(--route)}
.stow-graph .Middleware rect{stroke:var(--guard)}.stow-graph path{fill:none;stroke-width:1.3;opacity:.75}
.stow-graph .soft{stroke-dasharray:5 4}.stow-graph .startup{stroke-dasharray:2 4}
.stow-graph .forbidden{stroke:var(--bad)!important;stroke-width:2.2;opacity:1}
""" + "".join(
    f".stow-graph .{name}{{stroke:var(--{name})}}"
    for name in ("route", "guard", "select", "call", "data", "watch", "backup")
)


def to_svg(graph: nx.MultiDiGraph[str], *, edge_kinds: frozenset[str] = PICTURE_KINDS) -> str:
    """The graph as one SVG, readable in light and dark; boxes and lines carry titles with kind, rule and place."""
    part = filtered(graph, edge_kinds=edge_kinds, isolated=False)
    places = layered(part)
    columns = max((place.column for place in places.values()), default=0) + 1
    rows = max((place.row for place in places.values()), default=0) + 1
    width = int(2 * _MARGIN + columns * _BOX_WIDTH + (columns - 1) * _GAP_X)
    said = legend(part)
    below = 2 * _MARGIN + rows * (_BOX_HEIGHT + _GAP_Y)
    height = int(below + _LINE * len(said))
    edges = sorted(part.edges(keys=True, data=True), key=lambda item: item[:3])
    lines = [_line(source, target, str(key), data, places) for source, target, key, data in edges]
    boxes = [_box(node, part.nodes[node], places[node]) for node in sorted(part)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="stow-graph" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label="Dependency graph of the platform">'
        f'<style>{_STYLE}</style><g class="edges">{"".join(lines)}</g><g class="nodes">{"".join(boxes)}</g>'
        f'<g class="legend">{"".join(_said(text, below + _LINE * at) for at, text in enumerate(said))}</g></svg>\n'
    )


def _said(text: str, y: float) -> str:
    return f'<text class="kind" x="{_MARGIN}" y="{y:g}">{escape(text)}</text>'


def _corner(place: Placed) -> tuple[float, float]:
    return _MARGIN + place.column * (_BOX_WIDTH + _GAP_X), _MARGIN + place.row * (_BOX_HEIGHT + _GAP_Y)


def _box(node: str, data: dict[str, Any], place: Placed) -> str:
    x, y = _corner(place)
    space = f"{data['namespace']} · " if data["namespace"] else ""
    where = f"{data['file']}:{data['line']}" if data["line"] else data["file"]
    title = escape(f"{node}\n{where}".strip())
    return (
        f'<g class="node {escape(data["role"])} {escape(data["seen"])}" data-id="{escape(node)}" '
        f'data-kind="{escape(data["kind"])}" '
        f'data-role="{escape(data["role"])}" data-namespace="{escape(data["namespace"])}"><title>{title}</title>'
        f'<rect x="{x:g}" y="{y:g}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="7"/>'
        f'<text x="{x + 10:g}" y="{y + 17:g}">{escape(_short(marked(data), 27))}</text>'
        f'<text class="kind" x="{x + 10:g}" y="{y + 31:g}">{escape(_short(space + data["kind"], 34))}</text></g>'
    )


def _line(source: str, target: str, key: str, data: dict[str, Any], places: dict[str, Placed]) -> str:
    (x1, y1), (x2, y2) = _corner(places[source]), _corner(places[target])
    x1, y1, y2 = x1 + _BOX_WIDTH, y1 + _BOX_HEIGHT / 2, y2 + _BOX_HEIGHT / 2
    if x2 <= x1 - _BOX_WIDTH:
        # Back, or within a column: leave and arrive on the left side, in an arc.
        x1 -= _BOX_WIDTH
        path = f"M{x1:g},{y1:g} C{x1 - 60:g},{y1:g} {x2 - 60:g},{y2:g} {x2:g},{y2:g}"
    else:
        bend = max(30.0, (x2 - x1) / 2)
        path = f"M{x1:g},{y1:g} C{x1 + bend:g},{y1:g} {x2 - bend:g},{y2:g} {x2:g},{y2:g}"
    style = f"edge {_EDGE_CLASSES.get(key, 'select')} {data['strength']}"
    if data.get("allowed") is False:
        style += " forbidden"
    where = f"{data['file']}:{data['line']}" if data["line"] else data["file"]
    title = escape(f"{source}\n{key} {target}\n{data['rule']} · {where} {data['field']}")
    ends = f'data-source="{escape(source)}" data-target="{escape(target)}" data-kind="{escape(key)}"'
    return f'<path class="{style}" {ends} d="{path}"><title>{title}</title></path>'


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _missing(listed: tuple[Missing, ...]) -> str:
    """What could not be had, folded away below the heading of the page."""
    if not listed:
        return ""
    rows = "".join(
        f"<li>{escape(MARKS['modelled' if item.modelled else 'missing'])} {escape(item.kind)} {escape(item.what)} "
        f"<small>{escape(str(item.origin))}: {escape(item.hides or item.reason)}</small></li>"
        for item in sorted(listed)
    )
    what = "thing of the tree" if len(listed) == 1 else "things of the tree"
    bound = escape(str(hidden(listed)))
    return f"<details><summary>{len(listed)} {what} could not be read</summary><p>{bound}</p><ul>{rows}</ul></details>"


def to_html(graph: nx.MultiDiGraph[str], *, title: str = "Platform graph") -> str:
    """One page with the picture, pan and zoom, search, filters, and the evidence of what is chosen.

    Self-contained: no script, style, font or picture from anywhere else.
    """
    template = resources.files("models.graph").joinpath("page.html").read_text(encoding="utf-8")
    part = filtered(graph, edge_kinds=PICTURE_KINDS, isolated=False)
    evidence = {
        f"{source}\n{key}\n{target}": [f"{item.origin} {item.field} — {item.text}" for item in data["evidence"]]
        for source, target, key, data in part.edges(keys=True, data=True)
    }
    # "</" would end the script element early.
    data = json.dumps(evidence, ensure_ascii=False, sort_keys=True).replace("</", "<\\/")
    return (
        template.replace("%TITLE%", escape(title))
        .replace("%NODES%", str(len(part)))
        .replace("%EDGES%", str(part.number_of_edges()))
        .replace("%MISSING%", _missing(graph.graph.get("missing", ())))
        .replace("%SVG%", to_svg(graph))
        .replace("%EVIDENCE%", data)
    )
