"""The report as one self-contained HTML page.

No network, no external resources: style and script are inside the page, and its Content-Security-Policy allows exactly
these two by their hashes, so that nothing a manifest smuggles in can run or load anything. All text is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from models.findings import Finding, Severity
from models.sight import LEGEND, MARKS
from reports import pictures, plots, slow_plot
from reports.document import Cell, Column, Estimate, Report, Table
from reports.formats import NUMERIC, UNITS, duration, interval, number, printable, scalar
from reports.sections import CHARTS, SECTIONS, Section, other_charts, other_tables

KEEP = 12
"""A longer table shows this many rows until a person asks for the rest."""

_TONES = {
    "fits": "good",
    "completes": "good",
    "placed": "good",
    "tight": "warn",
    "pending": "warn",
    "rollout refused": "bad",
    "restart refused": "bad",
    "refused": "bad",
    "stuck": "bad",
}
"""Words of verdict and state columns that are set as a coloured pill."""

_CODE = {"message", "reason", "pending", "where"}
"""Text columns that hold sentences of Kubernetes or places in files: people search for them as they stand."""

_LONG = frozenset(
    (
        "cause",
        "message",
        "reason",
        "pending",
        "meaning",
        "hides",
        "what",
        "how",
        "source",
        "path",
        "objective",
        "title",
        "because",
    )
)
"""Text columns that may wrap over several lines."""


@dataclass(frozen=True)
class CellView:
    """A cell ready for the page: text, second line, class, what it sorts by, the fraction of its bar."""

    text: str
    sub: str = ""
    css: str = ""
    sort: str = ""
    bar: float | None = None
    tone: str = ""
    note: int = 0
    mark: str = ""
    means: str = ""


@dataclass(frozen=True)
class TableView:
    """A table ready for the page."""

    name: str
    title: str
    note: str
    columns: tuple[tuple[Column, str], ...]
    rows: tuple[tuple[CellView, ...], ...]
    footnotes: tuple[str, ...]
    legend: tuple[str, ...]
    hidden: str

    @property
    def wide(self) -> bool:
        """Whether it wants a landscape sheet of paper."""
        return len(self.columns) > 10


def render_html(report: Report) -> str:
    """The page. The same report gives the same bytes."""
    style, script = asset("style.css"), asset("script.js")
    marks = plots.event_marks(report.timeline)
    page = environment().get_template("report.html.j2")
    return page.render(
        report=report,
        sections=SECTIONS,
        groups=_groups(),
        tables={section.id: [table_view(table) for table in _tables(report, section)] for section in SECTIONS},
        charts={section.id: _charts(report, section, marks) for section in SECTIONS},
        pictures=_pictures(report, marks),
        empty={section.id: _is_empty(report, section) for section in SECTIONS},
        others=[table_view(table) for table in other_tables(report)],
        other_charts=[
            (name, Markup(plots.chart(plots.charts_of(report, name), name, marks))) for name in other_charts(report)
        ],
        facts=_facts(report),
        anchors=_anchors(report.findings),
        counts=[(str(level), sum(f.severity is level for f in report.findings)) for level in reversed(Severity)],
        matrix=_matrix(report.table("survival")),
        style=Markup(style),
        script=Markup(script),
        style_hash=content_hash(style),
        script_hash=content_hash(script),
        keep=KEEP,
    )


@cache
def environment() -> Environment:
    """The templates, with escaping and the filters that all pages use."""
    made = Environment(
        loader=PackageLoader("reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    made.filters.update(duration=duration, number=number)
    return made


@cache
def asset(name: str) -> str:
    """The style or the script of every page."""
    return files("reports").joinpath("templates", name).read_text(encoding="utf-8")


def content_hash(content: str) -> str:
    """A source expression of Content-Security-Policy for an inline element with this content."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _groups() -> list[tuple[str, list[Section]]]:
    names = dict.fromkeys(section.group for section in SECTIONS)
    return [(name, [section for section in SECTIONS if section.group == name]) for name in names]


def _tables(report: Report, section: Section) -> list[Table]:
    return [table for name in section.tables if (table := report.table(name)) is not None and table.rows]


def _charts(report: Report, section: Section, marks: Sequence[plots.Mark]) -> list[tuple[str, Markup]]:
    drawn = [(CHARTS[name], plots.chart(plots.charts_of(report, name), name, marks)) for name in section.charts]
    return [(title, Markup(picture)) for title, picture in drawn if picture]


def _pictures(report: Report, marks: Sequence[plots.Mark]) -> dict[str, Markup]:
    drawn = {"topology": pictures.topology(report.topology), "timeline": pictures.lanes(report.lanes, marks)}
    for key, table, draw in (
        ("intervals", "routes", plots.intervals),
        ("nodes", "nodes", plots.node_bars),
        ("namespaces", "namespaces", plots.namespace_bars),
        ("growth", "growth", plots.growth),
        ("slowest", "slowest", slow_plot.slowest),
    ):
        found = report.table(table)
        drawn[key] = draw(found) if found else ""
    return {key: Markup(picture) for key, picture in drawn.items()}


def _is_empty(report: Report, section: Section) -> bool:
    """Whether the section has nothing to show and says so."""
    contents: dict[str, object] = {
        "findings": report.findings or _tables(report, section),
        "thresholds": report.thresholds,
        "timeline": report.timeline or report.lanes,
        "topology": report.topology.nodes,
        "assumptions": report.assumptions,
        "not-covered": report.not_covered,
        "verdict": True,
        "reproduce": True,
    }
    if section.id in contents:
        return not contents[section.id]
    drawn = any(series.chart in section.charts and series.y for series in report.series)
    return not drawn and not _tables(report, section)


def _anchors(findings: Sequence[Finding]) -> list[str]:
    """A stable anchor per finding, from its code and subject; equal ones are numbered."""
    seen: dict[str, int] = {}
    anchors = []
    for finding in findings:
        slug = re.sub(r"[^a-z0-9]+", "-", f"finding {finding.code} {finding.subject}".lower()).strip("-")[:90]
        seen[slug] = seen.get(slug, 0) + 1
        anchors.append(slug if seen[slug] == 1 else f"{slug}--{seen[slug]}")
    return anchors


def _facts(report: Report) -> list[tuple[str, str, str, str]]:
    """The counts beside the verdict: link, figure, what it counts, tone."""
    facts = []
    if report.thresholds:
        held = sum(threshold.passed for threshold in report.thresholds)
        whole = held == len(report.thresholds)
        facts.append(
            ("thresholds", f"{held} of {len(report.thresholds)}", "thresholds hold", "good" if whole else "bad")
        )
    errors = sum(finding.severity is Severity.ERROR for finding in report.findings)
    rest = len(report.findings) - errors
    facts.append(("findings", str(errors), f"errors, {rest} other findings", "bad" if errors else "good"))
    if (pods := report.table("pods")) and pods.rows:
        state = [column.name for column in pods.columns].index("state")
        placed = sum(row[state] == "placed" for row in pods.rows)
        tone = "good" if placed == len(pods.rows) else "warn"
        facts.append(("pods", f"{placed} of {len(pods.rows)}", "pods placed", tone))
    if report.not_covered or report.table("missing"):
        missing = report.table("missing")
        facts.append(("missing", str(len(missing.rows) if missing else 0), "things not seen", "plain"))
    return facts


def _matrix(table: Table | None) -> dict[str, Any] | None:
    """The survival table as routes by lost nodes."""
    if table is None or not table.rows:
        return None
    keys = [column.name for column in table.columns]
    rows = [dict(zip(keys, row, strict=True)) for row in table.rows]
    nodes = list(dict.fromkeys(str(row["node"]) for row in rows))
    routes = list(dict.fromkeys(str(row["route"]) for row in rows))
    cells = {(str(row["route"]), str(row["node"])): _survival_cell(row) for row in rows}
    marks = {str(row["route"]): MARKS.get(str(row.get("seen")), "") for row in rows}
    return {"nodes": nodes, "routes": routes, "cells": cells, "marks": marks}


def _survival_cell(row: dict[str, Cell]) -> CellView:
    words = " · ".join(str(row[key]) for key in ("cause", "pending") if row[key])
    outage = row["outage_s"]
    if row["until_return"]:
        return CellView("until return", words, tone="down")
    if not isinstance(outage, (int, float)) or math.isnan(outage):
        return CellView("unknown", words, tone="unknown")
    if outage <= 0:
        return CellView("none", words, tone="none")
    return CellView(duration(outage), words, tone="short" if outage < 60 else "long")


# --- tables -----------------------------------------------------------------------------------------------------------


def table_view(table: Table) -> TableView:
    """A table as the page shows it."""
    footnotes: dict[str, int] = {}
    rows = []
    for seen, row in table.marked_rows():
        cells = [_cell(value, column, footnotes) for value, column in zip(row, table.shown, strict=True)]
        if seen in MARKS:
            cells[table.subject] = replace(cells[table.subject], mark=MARKS[seen], means=LEGEND[seen])
        rows.append(tuple(cells))
    columns = tuple((column, _css(column)) for column in table.shown)
    return TableView(
        table.name, table.title, table.note, columns, tuple(rows), tuple(footnotes), table.legend, table.hidden
    )


def _css(column: Column) -> str:
    if column.type in NUMERIC:
        return "num"
    return "long" if column.name in _LONG else ""


def _cell(value: Cell, column: Column, footnotes: dict[str, int]) -> CellView:
    css = _css(column)
    if value is None:
        return CellView("–", css=f"{css} none".strip())
    note = 0
    sub = ""
    mean: Cell = value
    if isinstance(value, Estimate):
        mean = value.mean
        sub = interval(value, column.type) or "no interval"
        if value.note:
            note = footnotes.setdefault(value.note, len(footnotes) + 1)
    words = scalar(value, column.type) + UNITS.get(column.name, "")
    numeric = column.type in NUMERIC and isinstance(mean, (int, float))
    tone = ""
    if column.name in ("verdict", "state"):
        tone = _TONES.get(words, "")
    elif column.name == "held":
        tone = "good" if value else "bad"
    elif column.type == "ratio" and isinstance(mean, (int, float)) and mean < 0:
        tone = "negative"
    if column.name in _CODE and words:
        css = f"{css} code".strip()
    bar = min(1.0, max(0.0, float(mean))) if column.type == "ratio" and isinstance(mean, (int, float)) else None
    return CellView(words, sub, css, f"{mean!r}" if numeric else "", bar, tone, note)
