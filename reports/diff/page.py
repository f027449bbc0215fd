"""A difference as one self-contained HTML page, in the style of the reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from models.errors import Where
from models.findings import Finding, Severity
from reports.diff.comment import not_covered, use_words
from reports.document import Column, Table
from reports.html import KEEP, TableView, asset, content_hash, environment, table_view
from sim.compare.difference import Difference, Outcome

_TONES = {"same": "pass", "pass": "pass", "warn": "warn", "fail": "fail", "error": "fail"}
_MARKS = {"pass": "✓", "warn": "!", "fail": "✕"}
_WORDS = {"same": "No change", "pass": "Pass", "warn": "At risk", "fail": "Fail", "error": "Cannot be rendered"}


@dataclass(frozen=True)
class _Section:
    id: str
    title: str
    lead: str
    view: TableView


def render_page(difference: Difference) -> str:
    """The page. The same difference gives the same bytes."""
    style, script = asset("style.css"), asset("script.js")
    tone = _TONES[difference.status]
    return (
        environment()
        .get_template("diff.html.j2")
        .render(
            difference=difference,
            title=_title(difference),
            tone=tone,
            mark=_MARKS[tone],
            word=_WORDS[difference.status],
            problems=[
                f"{name}: {problem}"
                for name, side in (("head", difference.head), ("base", difference.base))
                for problem in side.problems
            ],
            facts=_facts(difference),
            groups=_groups(difference),
            sections=_sections(difference),
            notes=not_covered(difference),
            keep=KEEP,
            style=Markup(style),
            script=Markup(script),
            style_hash=content_hash(style),
            script_hash=content_hash(script),
        )
    )


def _title(difference: Difference) -> str:
    base, head = difference.base, difference.head
    return f"{base.given or base.commit[:12]} → {head.given or head.commit[:12] or 'work tree'}"


def _facts(difference: Difference) -> list[tuple[str, str, str, str]]:
    """The counts beside the verdict: link, figure, words, tone."""
    new = [item for item in difference.outcomes_of("new") if item.severity is not Severity.INFO]
    new += difference.outcomes_of("worse")
    fixed = difference.outcomes_of("fixed")
    return [
        ("new", str(len(new)), "verdicts got worse", "bad" if new else "good"),
        ("fixed", str(len(fixed)), "verdicts fixed", "good" if fixed else "plain"),
        ("changes", f"{len(difference.changes):,}", "changes", "plain"),
    ]


def _groups(difference: Difference) -> list[tuple[str, str, str, list[tuple[Finding, str]]]]:
    """Sections of verdicts: id, title, lead, verdicts with their anchors."""
    made = []
    for news, title, lead in (
        ("new", "New verdicts", "What the head brings, worst first."),
        ("worse", "Worse", "What holds on both sides, with a larger share in the head."),
        ("fixed", "Fixed", "What held in the base and does not in the head."),
        ("open", "From before", "What holds on both sides."),
    ):
        items = [item for item in difference.outcomes if item.news == news]
        if items:
            made.append((news, title, lead, [(_finding(item), f"{news}-{at}") for at, item in enumerate(items)]))
    return made


def _finding(item: Outcome) -> Finding:
    words = f"{item.sentence}: {item.amount}" if item.amount else item.sentence
    words += f", before {item.was}" if item.was else ""
    subject = f"{item.subject} [{item.platform}]" if item.platform else item.subject
    return Finding(
        item.code, item.severity, words, subject, item.where, item.evidence, item.way_out, item.patch, item.namespace
    )


def _sections(difference: Difference) -> list[_Section]:
    made = [_changes(difference), _uses(difference), _simulated(difference)]
    return [section for section in made if section is not None]


def _changes(difference: Difference) -> _Section | None:
    rows = [
        (str(row.mark), row.subject, row.field, row.before, row.after, _place(row.where), row.platform)
        for row in difference.changes
    ]
    heads = ("mark", "what", "field", "before", "after", "where", "platform")
    return _section("changes", "Changes", "~ another value, + new, - gone.", heads, rows)


def _uses(difference: Difference) -> _Section | None:
    rows = [
        (
            row.namespace,
            row.key + (f" (quota {row.quota})" if row.quota else ""),
            use_words(row, after=False),
            use_words(row, after=True),
            row.at_peak,
            row.platform,
        )
        for row in difference.uses
    ]
    heads = ("namespace", "resource", "before", "after", "peak", "platform")
    return _section("use", "Use", "At rest and at peak, against the quota or, without one, the nodes.", heads, rows)


def _simulated(difference: Difference) -> _Section | None:
    rows = [
        (
            row.route,
            row.measure,
            *(
                _number(value)
                for value in (row.before, row.after, row.difference, row.low, row.high, row.variance_reduction)
            ),
        )
        for row in difference.simulated
    ]
    heads = ("route", "measure", "before", "after", "difference", "low", "high", "variance removed")
    return _section("simulated", "Simulated", "Same random streams on both sides.", heads, rows)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _place(where: Where) -> str:
    return str(Where(where.file, where.line))


def _section(
    name: str, title: str, lead: str, heads: Sequence[str], rows: Sequence[tuple[str, ...]]
) -> _Section | None:
    """A section with one table, None without rows; columns that are empty in every row are left out."""
    if not rows:
        return None
    kept = [at for at in range(len(heads)) if any(row[at] for row in rows)]
    columns = tuple(Column(heads[at], heads[at], "text", heads[at]) for at in kept)
    table = Table(name, title, columns, tuple(tuple(row[at] for at in kept) for row in rows))
    return _Section(name, title, lead, table_view(table))
