"""The report as GitHub-flavoured Markdown: a pull request comment, a job summary, a file to keep.

The sections are those of the page, in the same order. Long tables fold away; very long ones are cut, and say so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence

from models.findings import Finding, Severity
from models.sight import LEGEND, MARKS
from reports.document import Lane, Report, Series, Table, Topology
from reports.formats import NUMERIC, cell, duration, estimate_notes, number, printable, superscript, with_unit
from reports.sections import CHARTS, SECTIONS, other_charts, other_tables

FOLD, CUT = 12, 40
"""Tables longer than FOLD rows fold away; of those longer than CUT rows only the first CUT are shown."""

MERMAID_NODES = 80
"""A larger topology is left to the page."""

_STATUS = {"pass": "✅ Pass", "warn": "⚠️ At risk", "fail": "❌ Fail"}
_SEVERITY = {Severity.ERROR: "❌ error", Severity.WARNING: "⚠️ warning", Severity.INFO: "ℹ️ info"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~$])")
_BLOCKS = "▁▂▃▄▅▆▇█"


def render_markdown(report: Report) -> str:
    """The report as Markdown text, ending in a line break."""
    parts: list[str] = [f"# {escaped(report.title or report.name)}"]
    for section in SECTIONS:
        if section.id != "verdict":
            parts.append(f"## {section.title}")
        body = [part for part in _BODIES.get(section.id, _nothing)(report) if part]
        body += _charts(report, section.charts)
        body += _tables([table for name in section.tables if (table := report.table(name)) and table.rows])
        parts += body or [f"_{section.empty}_"]
    others = [*_charts(report, other_charts(report)), *_tables(other_tables(report))]
    if others:
        parts += ["## Other results", *others]
    return "\n\n".join(parts) + "\n"


def escaped(content: str) -> str:
    """``content`` as plain text on one line: no markup, no HTML, no mention of people."""
    line = " ".join(printable(content).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", line).replace("@", "@\N{ZERO WIDTH SPACE}")


def code(content: str) -> str:
    """``content`` as inline code, on one line and safe inside a table."""
    line = " ".join(printable(content).split()).replace("|", "\N{BROKEN BAR}")
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    return f"{fence}{space}{line}{space}{fence}" if line else ""


def block(content: str, language: str = "") -> str:
    """``content`` as a fenced block whose fence does not occur in it."""
    longest = max((len(run) for run in re.findall("`+", content)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{printable(content).rstrip()}\n{fence}"


def _details(summary: str, body: str) -> str:
    return f"<details>\n<summary>{summary}</summary>\n\n{body}\n\n</details>"


def _grid(heads: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[bool] = ()) -> str:
    marks = ["---:" if position < len(right) and right[position] else "---" for position in range(len(heads))]
    lines = [heads, marks, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# --- sections ---------------------------------------------------------------------------------------------------------


def _nothing(report: Report) -> list[str]:
    return []


def _verdict(report: Report) -> list[str]:
    sentences = "\n".join(f"- {escaped(sentence)}" for sentence in report.verdict.sentences)
    headline = f"**{_STATUS[report.verdict.status]}: {escaped(report.verdict.headline)}**"
    return [escaped(report.description), headline, sentences]


def _findings(report: Report) -> list[str]:
    shown = report.findings[:CUT]
    parts = [_finding(finding) for finding in shown]
    if len(report.findings) > CUT:
        parts.append(f"_{len(report.findings) - CUT} more findings are in `report.json`._")
    return parts


def _finding(finding: Finding) -> str:
    lines = [f"- {_SEVERITY[finding.severity]} {code(finding.code)} **{escaped(finding.title)}**"]
    place = code(str(finding.where)) if str(finding.where) else ""
    lines.append("  " + " · ".join(part for part in (escaped(finding.subject), place) if part))
    lines += [f"  - {escaped(fact)}" for fact in finding.evidence]
    if finding.way_out:
        lines.append(f"  - **Way out:** {escaped(finding.way_out)}")
    if finding.patch:
        folded = _details("Patch", block(finding.patch, "yaml"))
        lines += ["", *(f"  {line}".rstrip() for line in folded.splitlines())]
    return "\n".join(lines)


def _thresholds(report: Report) -> list[str]:
    if not report.thresholds:
        return []
    rows = [
        (
            "✅ holds" if threshold.passed else "❌ broken",
            code(threshold.metric),
            code(threshold.expression),
            ("not observed" if threshold.observed is None else number(threshold.observed, 4))
            + (f" ({escaped(threshold.note)})" if threshold.note else ""),
        )
        for threshold in report.thresholds
    ]
    return [_grid(("Result", "Metric", "Threshold", "Observed"), rows, (False, False, False, True))]


def _timeline(report: Report) -> list[str]:
    if not report.timeline and not report.lanes:
        return []
    parts = []
    if report.timeline:
        marks = {"error": "❌ ", "warning": "⚠️ ", "info": ""}
        rows = [
            (
                duration(event.t),
                _marked(f"{marks[event.severity]}{escaped(event.subject)}", event.seen),
                escaped(event.message),
                escaped(event.cause),
            )
            for event in report.timeline
        ]
        parts.append(_folding("Events", ("When", "What", "What happened", "Because"), rows, (True,)))
    moves = [row for lane in report.lanes if (row := _moves(lane))]
    if moves:
        parts.append(_folding("Pods that moved or stopped", ("Pod", "States"), moves, always=True))
    if parts:
        parts += _legend(*(event.seen for event in report.timeline), *(lane.seen for lane in report.lanes))
    return parts or ["_No pod moved or stopped._"]


def _moves(lane: Lane) -> tuple[str, str] | None:
    if len(lane.segments) < 2:
        return None
    words = [f"{duration(part.start)} {part.state} on {escaped(part.node or 'no node')}" for part in lane.segments]
    return _marked(code(lane.pod), lane.seen), " → ".join(words)


def _topology(report: Report) -> list[str]:
    graph = report.topology
    if not graph.nodes:
        return []
    if len(graph.nodes) > MERMAID_NODES:
        return [f"{len(graph.nodes)} nodes and {len(graph.edges)} dependencies: see the picture in `report.html`."]
    return [
        _details(f"{len(graph.nodes)} nodes and {len(graph.edges)} dependencies", block(_mermaid(graph), "mermaid"))
    ]


def _mermaid(graph: Topology) -> str:
    keys = {node.id: f"n{position}" for position, node in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    for node in graph.nodes:
        css = "" if node.status == "ok" else f":::{node.status}"
        lines.append(f'  {keys[node.id]}["{_mermaid_text(node.label)}"]{css}')
    arrows = {"hard": "-->", "soft": "-.->", "startup": "-.->"}
    lines += [
        f"  {keys[edge.source]} {arrows[edge.strength]} {keys[edge.target]}"
        for edge in graph.edges
        if edge.source in keys and edge.target in keys
    ]
    lines += ["  classDef risk stroke:#c2570c,stroke-width:2px", "  classDef down stroke:#a3231d,stroke-width:4px"]
    return "\n".join(lines)


def _mermaid_text(content: str) -> str:
    """Mermaid's entity codes for every character that is not plain: labels come from manifests."""
    plain = " ".join(printable(content).split())
    return "".join(char if char.isalnum() or char in " -_./:" else f"#{ord(char)};" for char in plain)


def _not_covered(report: Report) -> list[str]:
    return ["\n".join(f"- {escaped(sentence)}" for sentence in report.not_covered)]


def _assumptions(report: Report) -> list[str]:
    if not report.assumptions:
        return []
    rows = [
        (
            code(one.key),
            escaped(one.value),
            escaped(one.confidence),
            escaped(one.source),
            escaped(one.sensitivity) or "not examined",
        )
        for one in report.assumptions
    ]
    return [_folding("Assumptions", ("What", "Value", "Confidence", "Source", "When it is wrong"), rows)]


def _reproduce(report: Report) -> list[str]:
    made = report.reproduce
    facts = (
        f"stowplan {escaped(made.version) or 'unknown'} · seed {made.seed} · {made.replications} replications · "
        f"tree {code(made.tree_sha256) or 'unknown'} · scenario {code(made.scenario_sha256) or 'unknown'}"
    )
    return [block(made.command, "sh"), facts]


_BODIES: dict[str, Callable[[Report], list[str]]] = {
    "verdict": _verdict,
    "findings": _findings,
    "thresholds": _thresholds,
    "timeline": _timeline,
    "topology": _topology,
    "not-covered": _not_covered,
    "assumptions": _assumptions,
    "reproduce": _reproduce,
}
"""Sections that are more than tables and charts. Each function returns paragraphs; none of them: nothing to show."""


# --- tables and charts ------------------------------------------------------------------------------------------------


def _tables(tables: Iterable[Table]) -> list[str]:
    parts = []
    for table in tables:
        heads = [escaped(column.title) for column in table.shown]
        right = [column.type in NUMERIC for column in table.shown]
        rows = []
        numbers = estimate_notes(table.rows)
        for seen, row in table.marked_rows():
            cells = [escaped(cell(value, column, numbers)) for value, column in zip(row, table.shown, strict=True)]
            cells[table.subject] = _marked(cells[table.subject], seen)
            rows.append(tuple(cells))
        parts.append(_folding(escaped(table.title), heads, rows, right, file=f"tables/{table.name}.csv"))
        marked = [f"{superscript(number)} {note}" for note, number in numbers.items()]
        notes = [table.note, *marked, *table.legend, table.hidden]
        parts += [f"<sub>{escaped(note)}</sub>" for note in notes if note]
    return parts


def _marked(content: str, seen: str) -> str:
    """The subject of a row, with its mark when it was not read from the tree."""
    return f"{content} {MARKS[seen]}" if seen in MARKS else content


def _legend(*seen: str) -> list[str]:
    return [f"<sub>{mark} {escaped(LEGEND[key])}</sub>" for key, mark in MARKS.items() if key in seen]


def _folding(
    title: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Sequence[bool] = (),
    *,
    file: str = "report.json",
    always: bool = False,
) -> str:
    body = _grid(heads, rows[:CUT], right)
    if len(rows) > CUT:
        body += f"\n\n_{len(rows) - CUT} more rows are in {code(file)}._"
    if len(rows) > FOLD or always:
        return _details(f"{title} ({len(rows)} {'row' if len(rows) == 1 else 'rows'})", body)
    return f"**{title}**\n\n{body}"


def _charts(report: Report, names: Iterable[str]) -> list[str]:
    parts = []
    for name in names:
        rows = [_sparkline(series) for series in report.series if series.chart == name]
        shown = [row for row in rows if row]
        if shown:
            heads = ("Curve", "Lowest", "Highest", "Over time")
            title = CHARTS.get(name, escaped(name))
            parts.append(_folding(title, heads, shown, (False, True, True), always=True))
    return parts


def _sparkline(series: Series, width: int = 24) -> tuple[str, str, str, str] | None:
    values = [value for value in series.y if value is not None and math.isfinite(value)]
    if not values:
        return None
    low, high = min(values), max(values)
    floor = min(0.0, low)
    count = min(width, len(series.y))
    marks = []
    for position in range(count):
        part = series.y[position * len(series.y) // count : (position + 1) * len(series.y) // count]
        known = [value for value in part if value is not None and math.isfinite(value)]
        if not known:
            marks.append("·")
        else:
            share = (sum(known) / len(known) - floor) / (high - floor) if high > floor else 0.0
            marks.append(_BLOCKS[min(7, int(share * 8))])
    return (
        escaped(series.name),
        escaped(with_unit(low, series.unit)),
        escaped(with_unit(high, series.unit)),
        "".join(marks),
    )
