"""A difference for the terminal: plain lines, worst first."""

from __future__ import annotations

from models.findings import Severity
from reports.diff.comment import change_line, not_covered, share_text, use_words
from reports.formats import printable
from sim.compare.difference import Difference, Outcome

_MOST = 40
"""Rows of one part; the other forms have all of them."""


def render_text(difference: Difference) -> str:
    """The verdict first, then thresholds, verdicts, uses, changes, the fix, and how to see it again."""
    lines = [f"{difference.status.upper()}: {difference.headline}"]
    for side, name in ((difference.head, "head"), (difference.base, "base")):
        lines += [f"  {name}: {problem}" for problem in side.problems]
    for line in difference.thresholds:
        mark = "ok  " if line.held else "FAIL"
        lines.append(f"  {mark} {line.metric} {line.expression}: {line.after}, before {line.before}")
    for title, news in (("new", "new"), ("worse", "worse"), ("fixed", "fixed"), ("from before", "open")):
        found = [item for item in difference.outcomes if item.news == news]
        if news == "open":
            found = [item for item in found if item.severity is not Severity.INFO]
        lines += _part(title, [_verdict(item) for item in found])
    uses = [row for row in difference.uses if row.changed]
    lines += _part(
        "use",
        [f"{row.namespace} {row.key}: {use_words(row, after=False)} -> {use_words(row, after=True)}" for row in uses],
    )
    lines += _part("changes", [change_line(row) for row in difference.changes])
    if difference.simulated:
        lines += _part(
            "simulated",
            [
                f"{row.route} {row.measure}: {_number(row.before)} -> {_number(row.after)}, "
                f"difference {_number(row.difference)} ({_number(row.low)} to {_number(row.high)})"
                for row in difference.simulated
                if row.significant
            ]
            or ["nothing differs beyond chance"],
        )
    if difference.fix is not None:
        lines += ["", f"fix: {difference.fix.sentence}", *(f"  {line}" for line in difference.fix.patch.splitlines())]
    lines += _part("not covered", not_covered(difference))
    lines += ["", difference.command] if difference.command else []
    return "\n".join(printable(line) for line in lines) + "\n"


def _part(title: str, rows: list[str]) -> list[str]:
    if not rows:
        return []
    rest = [f"  … {len(rows) - _MOST:,} more"] if len(rows) > _MOST else []
    return ["", f"{title}:", *(f"  {row}" for row in rows[:_MOST]), *rest]


def _verdict(item: Outcome) -> str:
    share = f" ({share_text(item.share)})" if item.share is not None else ""
    words = item.amount + share if item.amount else item.reason
    words += f", before {item.was}" if item.was else ""
    place = f"  {item.where.file}:{item.where.line}" if item.where.file else ""
    platform = f" [{item.platform}]" if item.platform else ""
    return f"{item.severity}: {item.sentence}{platform}" + (f": {words}" if words else "") + place


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
