"""The two pictures of a report: the topology, and the pods as they move between nodes.

Both return markup with all text escaped, or "" when there is nothing to show.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from reports.document import Lane, LaneSegment, Topology, TopologyEdge, TopologyNode
from reports.formats import duration
from reports.plots import Mark, marked
from reports.svg import Scale, clipped, percent, short, tag, text, time_scale, title, x_axis

# --- topology ---------------------------------------------------------------------------------------------------------

BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y = 150, 36, 36, 10
SWEEPS = 6
_GLYPHS = {"ok": "", "risk": "!", "down": "✕"}


@dataclass
class _Place:
    x: float
    y: float


def topology(graph: Topology) -> str:
    """Layers from left to right; inside a layer nodes are ordered so that few edges cross."""
    if not graph.nodes:
        return ""
    known = {node.id for node in graph.nodes}
    edges = [edge for edge in graph.edges if edge.source in known and edge.target in known]
    columns = _ordered(graph.nodes, edges)
    tallest = max(len(column) for column in columns)
    height = tallest * (BOX_HEIGHT + GAP_Y) + GAP_Y
    width = len(columns) * (BOX_WIDTH + GAP_X) - GAP_X + 4
    places: dict[str, _Place] = {}
    for position, column in enumerate(columns):
        top = (height - len(column) * (BOX_HEIGHT + GAP_Y) + GAP_Y) / 2
        for row, node in enumerate(column):
            places[node.id] = _Place(2 + position * (BOX_WIDTH + GAP_X), top + row * (BOX_HEIGHT + GAP_Y))
    keys = {node.id: f"n{position}" for position, node in enumerate(graph.nodes)}
    names = {node.id: node.label for node in graph.nodes}
    lines = "".join(_edge(edge, places, keys, names) for edge in edges)
    boxes = "".join(_box(node, places[node.id], keys[node.id]) for column in columns for node in column)
    count = f"{len(graph.nodes)} nodes and {len(edges)} dependencies"
    picture = tag(
        "svg",
        {
            "class": "topology",
            "role": "img",
            "aria-label": f"Topology: {count}",
            "width": width,
            "height": height,
            "viewBox": f"0 0 {width} {height:g}",
        },
        f"<desc>{count}, from the edge on the left to the data on the right</desc>",
        lines,
        boxes,
    )
    legend = (
        '<ul class="legend"><li><i class="swatch t-ok"></i>fine</li><li><i class="swatch t-risk"></i>! at risk</li>'
        '<li><i class="swatch t-down"></i>✕ down in this scenario</li><li><i class="dash hard"></i>hard dependency</li>'
        '<li><i class="dash soft"></i>soft</li><li><i class="dash startup"></i>at start-up only</li></ul>'
    )
    return f'<figure class="chart">{legend}<div class="scroll" tabindex="0">{picture}</div></figure>'


def _ordered(nodes: Sequence[TopologyNode], edges: Sequence[TopologyEdge]) -> list[list[TopologyNode]]:
    """Columns by layer, each sorted by the mean place of its neighbours (Sugiyama's barycentre method)."""
    layers: dict[int, list[TopologyNode]] = defaultdict(list)
    for node in nodes:
        layers[node.layer].append(node)
    columns = [sorted(layers[layer], key=lambda node: node.namespace) for layer in sorted(layers)]
    neighbours: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        neighbours[edge.source].append(edge.target)
        neighbours[edge.target].append(edge.source)
    rank = {node.id: (row + 0.5) / len(column) for column in columns for row, node in enumerate(column)}
    for sweep in range(SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            means = {node.id: _mean([rank[other] for other in neighbours[node.id]], rank[node.id]) for node in column}
            column.sort(key=lambda node: means[node.id])
            rank.update({node.id: (row + 0.5) / len(column) for row, node in enumerate(column)})
    return columns


def _mean(values: Sequence[float], fallback: float) -> float:
    return sum(values) / len(values) if values else fallback


def _edge(edge: TopologyEdge, places: dict[str, _Place], keys: dict[str, str], names: dict[str, str]) -> str:
    source, target = places[edge.source], places[edge.target]
    middle = BOX_HEIGHT / 2
    if source.x == target.x:  # the same layer: an arc on the right
        x = source.x + BOX_WIDTH
        bow, drop = GAP_X * 0.7, short(target.y - source.y)
        d = f"M{short(x)},{short(source.y + middle)}c{bow:g},0 {bow:g},{drop} 0,{drop}"
    else:
        left, right = (source, target) if source.x < target.x else (target, source)
        x1, x2 = left.x + BOX_WIDTH, right.x
        bend = (x2 - x1) / 2 if x2 - x1 <= GAP_X else GAP_X
        y1, y2 = short(left.y + middle), short(right.y + middle)
        d = f"M{short(x1)},{y1}C{short(x1 + bend)},{y1} {short(x2 - bend)},{y2} {short(x2)},{y2}"
    words = f"{names[edge.source]} {edge.kind} {names[edge.target]} ({edge.strength})"
    attributes: dict[str, str | float | None] = {
        "class": f"edge {edge.strength}",
        "d": d,
        "data-from": keys[edge.source],
        "data-to": keys[edge.target],
    }
    return tag("path", attributes, title(words))


def _box(node: TopologyNode, place: _Place, key: str) -> str:
    below = " · ".join(part for part in (node.kind, node.namespace) if part)
    state = {"ok": "", "risk": ", at risk", "down": ", down"}[node.status]
    glyph = _GLYPHS[node.status]
    length = 15 if glyph else 18
    return tag(
        "g",
        {
            "class": f"box t-{node.status}",
            "data-key": key,
            "transform": f"translate({short(place.x)},{short(place.y)})",
        },
        title(f"{node.label} ({below}{state})"),
        f'<rect width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="5"/>',
        f'<text class="name" x="9" y="15">{text(clipped(node.label, length))}</text>',
        f'<text class="kind" x="9" y="29">{text(clipped(below, 24))}</text>',
        f'<text class="glyph" x="{BOX_WIDTH - 9}" y="16" text-anchor="end">{glyph}</text>' if glyph else "",
    )


# --- pods moving ------------------------------------------------------------------------------------------------------

ROW, HEAD = 17, 30
NOWHERE = "on no node"
BRIEF = 0.005
"""A pod that waits for a node for less than this share of the time is drawn as moving at once."""


@dataclass
class _Row:
    workload: str
    segments: list[tuple[Lane, LaneSegment]] = field(default_factory=list)

    @property
    def end(self) -> float:
        return self.segments[-1][1].end


def lanes(pods: Sequence[Lane], marks: Sequence[Mark]) -> str:
    """A band per node; in it a row per workload that did not simply stay there; lines where pods move."""
    drawn = [lane for lane in pods if not _undisturbed(lane, pods)]
    if not drawn:
        return ""
    instants = [t for lane in pods for part in lane.segments for t in (part.start, part.end)]
    across = time_scale(min(instants), max(instants), 8)
    brief = (across.high - across.low) * BRIEF
    bands = _bands(drawn, brief)
    quiet: dict[str, int] = defaultdict(int)
    for lane in pods:
        if _undisturbed(lane, pods):
            quiet[lane.segments[0].node] += 1
    nodes = sorted({node for node in (*bands, *quiet) if node}) + ([""] if "" in bands else [])
    y, parts = 0.0, []
    at: dict[tuple[int, int], float] = {}
    for node in nodes:
        rows = bands.get(node, [])
        height = HEAD + len(rows) * ROW + 6
        parts.append(_band(node, y, height, quiet[node]))
        for position, row in enumerate(rows):
            middle = y + HEAD + position * ROW
            parts.append(
                f'<text class="lane-name" x="-8" y="{short(middle + 12)}" text-anchor="end">'
                f"{text(_name(row.workload))}</text>"
            )
            for lane, part in row.segments:
                parts.append(_segment(lane, part, across, middle))
                at[(id(lane), id(part))] = middle + ROW / 2 - 1
        y += height + 4
    moves = "".join(_moves(drawn, at, across))
    plot = tag(
        "svg",
        {"class": "lanes", "role": "img", "aria-label": f"{len(drawn)} pods over time", "height": y + 4},
        title(f"{len(drawn)} of {len(pods)} pods did not simply keep running on their node"),
        x_axis(across, y=short(y)),
        *parts,
        moves,
        marked(marks, across, bottom=short(y), label=True),
    )
    states = ("ready", "starting", "unready", "terminating", "lost", "pending")
    legend = "".join(f'<li><i class="swatch l-{state}"></i>{state}</li>' for state in states)
    return (
        f'<figure class="chart"><ul class="legend">{legend}<li><i class="dash move"></i>moves to</li></ul>'
        f'<div class="scroll" tabindex="0"><div class="lanes-frame">{plot}</div></div>'
        f"<figcaption>One band per node, one row per workload on it. Waiting shorter than {duration(brief)} is not "
        "drawn.</figcaption></figure>"
    )


def _undisturbed(lane: Lane, pods: Sequence[Lane]) -> bool:
    return not lane.segments or (
        len(lane.segments) == 1
        and lane.segments[0].state == "ready"
        and lane.segments[0].node != ""
        and lane.segments[0].start <= pods[0].segments[0].start
    )


def _bands(drawn: Sequence[Lane], brief: float) -> dict[str, list[_Row]]:
    bands: dict[str, list[_Row]] = defaultdict(list)
    for lane in drawn:
        for part in lane.segments:
            if not part.node and part.end - part.start < brief:
                continue
            rows = bands[part.node]
            same = [row for row in rows if row.workload == lane.workload]
            row = next((row for row in same if row.segments[-1][0] is lane), None)
            row = row or next((row for row in same if row.end <= part.start + 1e-9), None)
            if row is None:
                row = _Row(lane.workload)
                rows.append(row)
            row.segments.append((lane, part))
    for rows in bands.values():
        rows.sort(key=lambda row: (_name(row.workload), row.segments[0][1].start))
    return bands


def _name(workload: str) -> str:
    return clipped(workload.rsplit(" ", 1)[-1].rsplit("/", 1)[-1], 28)


def _band(node: str, y: float, height: float, quiet: int) -> str:
    words = "" if not quiet else "1 pod runs undisturbed" if quiet == 1 else f"{quiet} pods run undisturbed"
    label = text(node or NOWHERE)
    return (
        f'<rect class="band-bg" x="0" y="{short(y)}" width="100%" height="{short(height)}" rx="4"/>'
        f'<text class="band-name" x="8" y="{short(y + 19)}">{label}'
        f'<tspan class="band-note" dx="10">{text(words)}</tspan></text>'
    )


def _segment(lane: Lane, part: LaneSegment, across: Scale, y: float) -> str:
    start, end = across(part.start), across(part.end)
    words = f"{lane.pod}: {part.state} on {part.node or 'no node'}, {duration(part.start)} to {duration(part.end)}"
    return (
        f'<rect class="l-{part.state}" x="{percent(start)}" y="{short(y)}" width="{percent(max(end - start, 0.0015))}" '
        f'height="{ROW - 4}">{title(words)}</rect>'
    )


def _moves(drawn: Sequence[Lane], at: dict[tuple[int, int], float], across: Scale) -> list[str]:
    """Vertical lines from where a workload's pod was to where it, or its replacement, goes on."""
    parts = []
    for lane in drawn:
        visible = [part for part in lane.segments if (id(lane), id(part)) in at]
        for before, after in pairwise(visible):
            if before.node != after.node:
                parts.append(_move(across(after.start), at[(id(lane), id(before))], at[(id(lane), id(after))]))
        ancestor = _ancestor(lane, drawn)
        if ancestor and visible:
            last = [
                part for part in ancestor.segments if part.start <= visible[0].start and (id(ancestor), id(part)) in at
            ]
            if last and last[-1].node != visible[0].node:
                parts.append(
                    _move(across(visible[0].start), at[(id(ancestor), id(last[-1]))], at[(id(lane), id(visible[0]))])
                )
    return parts


def _ancestor(lane: Lane, drawn: Sequence[Lane]) -> Lane | None:
    """The pod of the same workload that this one replaces: the last that stopped being ready before it began."""
    start = lane.segments[0].start
    stopped = []
    for other in drawn:
        if other.workload == lane.workload and other is not lane and other.segments[0].start < start:
            ready = [part.end for part in other.segments if part.state == "ready"]
            if ready and max(ready) <= start:
                stopped.append((max(ready), other))
    return max(stopped, key=lambda pair: pair[0])[1] if stopped else None


def _move(x: float, y1: float, y2: float) -> str:
    at = percent(x)
    line = f'<line class="move" x1="{at}" x2="{at}" y1="{short(y1)}" y2="{short(y2)}"/>'
    return f'{line}<circle class="move" cx="{at}" cy="{short(y2)}" r="2.5"/>'
