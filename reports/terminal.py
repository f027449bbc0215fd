"""The first screen in the terminal: the verdict, what failed, the worst findings, and how each route fared."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from models.findings import Finding, Severity
from models.sight import MARKS
from reports.document import Cell, Column, Estimate, Report, Table
from reports.formats import (
    EMPTY,
    NUMERIC,
    cell,
    estimate_notes,
    interval,
    note_mark,
    number,
    printable,
    scalar,
    superscript,
)

FINDINGS, ROUTES = 6, 14
"""So many of each are printed; the rest is counted."""

_STATUS = {"pass": ("PASS", "bold green"), "warn": ("AT RISK", "bold yellow"), "fail": ("FAIL", "bold red")}
_SEVERITY = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
_ROUTE_COLUMNS = ("route", "availability", "outage_s", "p95_s", "failed")


_LEFT = (0, 0, 0, 2)
_GAP, _MARGIN = 2, 2
"""Blanks between two columns, and those that the box has at its ends."""
_PART = re.compile(r"[^./ ]*[./ ]|[^./ ]+")
"""What of a route name stays together."""


def print_report(report: Report, console: Console) -> None:
    """Print the verdict and the first screen of a report."""
    word, style = _STATUS[report.verdict.status]
    console.print()
    console.print(Text.assemble((word, style), "  ", (printable(report.verdict.headline), "bold")))
    for sentence in report.verdict.sentences:
        console.print(Padding(Text(printable(sentence)), (0, 0, 0, 2)))
    _print_thresholds(report, console)
    _print_findings(report.findings, console)
    _print_accepted(report, console)
    routes = report.table("routes")
    if routes is not None and routes.rows:
        _print_routes(routes, console)
    _print_trust(report, console)


def _print_thresholds(report: Report, console: Console) -> None:
    if not report.thresholds:
        return
    broken = [threshold for threshold in report.thresholds if not threshold.passed]
    held = len(report.thresholds) - len(broken)
    _head(console, f"Thresholds: {held} of {len(report.thresholds)} hold")
    for threshold in broken:
        observed = "not observed" if threshold.observed is None else f"observed {number(threshold.observed, 4)}"
        text = f"{threshold.metric}: {threshold.expression} ({observed})"
        console.print(Padding(Text.assemble(("✕ ", "bold red"), printable(text)), (0, 0, 0, 2)))
    for threshold in report.thresholds:
        if threshold.note:
            text = f"{threshold.metric}: {threshold.expression}: {threshold.note}"
            console.print(Padding(Text(printable(text), style="dim"), (0, 0, 0, 2)))


def _print_findings(findings: tuple[Finding, ...], console: Console) -> None:
    if not findings:
        return
    counts = [
        f"{count} {severity}{'s' if count != 1 and severity is not Severity.INFO else ''}"
        for severity in reversed(Severity)
        if (count := sum(finding.severity is severity for finding in findings))
    ]
    _head(console, f"Findings: {', '.join(counts)}")
    for finding in findings[:FINDINGS]:
        style = _SEVERITY[finding.severity]
        line = Text.assemble((f"{finding.severity!s:<8}", style), printable(finding.title))
        console.print(Padding(line, (0, 0, 0, 2)))
        place = str(finding.where) or finding.subject
        console.print(Padding(Text(printable(f"{finding.code}  {place}"), style="dim"), (0, 0, 0, 10)))
    if len(findings) > FINDINGS:
        console.print(Padding(Text(f"and {len(findings) - FINDINGS} more in the report", style="dim"), (0, 0, 0, 10)))


def _print_accepted(report: Report, console: Console) -> None:
    accepted = report.table("accepted")
    if accepted is not None and accepted.rows:
        count = f"{len(accepted.rows)} finding{'' if len(accepted.rows) == 1 else 's'}"
        console.print(Padding(Text(f"{count} accepted by the owner: listed in the report", style="dim"), (0, 0, 0, 10)))


def _print_routes(table: Table, console: Console) -> None:
    places = [position for name in _ROUTE_COLUMNS for position, column in enumerate(table.shown) if column.name == name]
    listed = list(islice(table.marked_rows(), ROUTES))
    notes = estimate_notes([row[position] for position in places] for _, row in listed)
    names, figures = [], []
    for seen, row in listed:
        name, *others = (_cell_text(row[position], table.shown[position], notes) for position in places)
        names.append(Text.assemble(name, f" {MARKS[seen]}") if seen in MARKS else name)
        figures.append(others)
    _head(console, "Routes")
    console.print(Padding(_route_grid([table.shown[position] for position in places], names, figures, console), _LEFT))
    if len(table.rows) > ROUTES:
        console.print(Padding(Text(f"and {len(table.rows) - ROUTES} more in the report", style="dim"), (0, 0, 0, 2)))
    marked = (f"{superscript(number)} {note}" for note, number in notes.items())
    for line in (*marked, *_few_samples(table, places), *table.legend, table.hidden):
        if line:
            console.print(Padding(Text(printable(line), style="dim"), (0, 0, 0, 2)))


def _route_grid(
    columns: Sequence[Column], names: Sequence[Text], figures: Sequence[Sequence[Text]], console: Console
) -> Grid:
    """The table of routes. Where it is too wide names go on in a second line, after a dot or a slash, and figures stay
    whole; only a screen that is too narrow for that folds cells anywhere."""
    widths = [
        max(len(column.title), *(len(line) for row in figures for line in row[index].plain.split("\n")))
        for index, column in enumerate(columns[1:])
    ]
    room = console.width - _LEFT[3] - sum(width + _GAP for width in widths) - _MARGIN
    roomy = room >= max(len(part) for name in names for part in _PART.findall(name.plain))
    grid = Grid(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        numeric = column.type in NUMERIC
        grid.add_column(column.title, justify="right" if numeric else "left", overflow="fold", no_wrap=roomy)
    for name, row in zip(names, figures, strict=True):
        grid.add_row(_in_lines(name, room) if roomy else name, *row)
    return grid


def _in_lines(name: Text, width: int) -> Text:
    """A name in lines of at most ``width``, broken after dots, slashes and blanks."""
    lines, at, start = [0], 0, 0
    for part in _PART.findall(name.plain):
        if at + len(part) - start > width and at > start:
            lines.append(start := at)
        at += len(part)
    return Text("\n").join(name.divide(lines[1:]))


def _few_samples(table: Table, places: Sequence[int]) -> list[str]:
    """How many rows have a note in a column that the screen has no room for: a p99 from a handful of requests."""
    counts: dict[tuple[str, str], int] = {}
    for _, row in table.marked_rows():
        for position, value in enumerate(row):
            if isinstance(value, Estimate) and value.note and position not in places:
                key = (table.shown[position].title, value.note)
                counts[key] = counts.get(key, 0) + 1
    return [f"{title} of {count} of {len(table.rows)}: {note}" for (title, note), count in counts.items()]


def _cell_text(value: Cell, column: Column, notes: Mapping[str, int]) -> Text:
    """A cell; the interval of an estimate stands below its mean."""
    if isinstance(value, Estimate):
        bounds = (interval(value, column.type) or "no interval") + note_mark(value, notes)
        return Text.assemble(scalar(value, column.type), "\n", (bounds, "dim"))
    shown = printable(cell(value, column))
    return Text(shown, style="dim" if shown == EMPTY else "")


def _print_trust(report: Report, console: Console) -> None:
    """What was not seen, so that a short screen does not read as a whole view."""
    missing = report.table("missing")
    counts = [
        (len(missing.rows) if missing else 0, "things the tree asks for were not seen"),
        (len(report.not_covered), "limits of this report"),
        (len(report.assumptions), "assumptions"),
    ]
    said = [f"{count} {words}" for count, words in counts if count]
    if said:
        console.print()
        console.print(Text(f"{', '.join(said)}: listed in the report.", style="dim"))
    if report.reproduce.command:
        console.print(Text(printable(f"Again: {report.reproduce.command}"), style="dim"))


def _head(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))
