"""A difference as GitHub-flavoured Markdown: the comment on a pull request, and the job summary.

The verdict stands in the first line, what a reviewer needs below it, everything else folds away. What is too long is
shortened in a fixed order (:data:`STEPS`), never the verdict. Nothing in it depends on the time or the machine, and
nothing that a manifest says becomes markup, a mention or part of the hidden marker.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from models.errors import Problem, Where
from models.findings import Severity
from models.rules.quantity import parse_quantity
from reports.formats import duration, number, printable, ratio
from reports.markdown import block, code, escaped
from sim.compare.difference import Change, Difference, News, Outcome, RouteDelta, Use
from sim.compare.outcomes import human

T = TypeVar("T")

MARKER = "<!-- stowplan:diff -->"
"""The last line of a comment: by it the next run finds the comment and updates it in place."""

COMMENT_LIMIT = 65_536
"""GitHub refuses a longer body ("Body is too long (maximum is 65536 characters)"); counted in UTF-16 units here."""

SUMMARY_LIMIT = 1_048_576
"""GitHub's limit for a job summary, in bytes."""

ROWS = 8
"""Rows of the table below the verdict."""

_ICONS = {"same": "✅", "pass": "✅", "warn": "⚠️", "fail": "❌", "error": "❌"}
_MARKS = {Severity.ERROR: "❌", Severity.WARNING: "⚠️", Severity.INFO: "ℹ️"}
_NEWS: tuple[News, ...] = ("new", "worse")
_TEXT = 240
"""A longer text of a manifest is cut inside a table or a list."""
_NAMES = 5


@dataclass(frozen=True)
class Caps:
    """How many rows of each part are shown."""

    changes: int = 10**9
    uses: int = 10**9
    verdicts: int = 10**9
    open: int = 10**9
    routes: int = 10**9
    notes: int = 10**9
    patch: int = 10**9
    rows: int = ROWS


STEPS: tuple[tuple[str, int], ...] = (
    ("changes", 400),
    ("open", 20),
    ("changes", 100),
    ("notes", 40),
    ("uses", 60),
    ("verdicts", 100),
    ("routes", 60),
    ("changes", 25),
    ("open", 0),
    ("uses", 15),
    ("notes", 10),
    ("verdicts", 25),
    ("routes", 12),
    ("patch", 12_000),
    ("changes", 0),
    ("uses", 0),
    ("notes", 0),
    ("verdicts", 0),
    ("routes", 0),
    ("patch", 0),
    ("rows", 3),
)
"""The order in which a text is shortened until it fits: part and how many rows (characters, for the patch) remain."""


def render_comment(difference: Difference) -> str:
    """The pull-request comment: at most 65,536 characters, the marker at its end."""
    return _fitting(difference, lambda text: _units(text) <= COMMENT_LIMIT, f"\n{MARKER}\n")


def render_summary(difference: Difference) -> str:
    """The same without the marker, as long as a job summary may be."""
    return _fitting(difference, lambda text: len(text.encode("utf-8", "replace")) <= SUMMARY_LIMIT, "")


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "replace")) // 2


def _fitting(difference: Difference, fits: Callable[[str], bool], end: str) -> str:
    caps = Caps()
    text = _assemble(difference, caps) + end
    for part, count in STEPS:
        if fits(text):
            break
        caps = replace(caps, **{part: min(count, getattr(caps, part))})
        text = _assemble(difference, caps) + end
    return text


def _assemble(difference: Difference, caps: Caps) -> str:
    parts = [
        f"**{_ICONS[difference.status]} {_plain(difference.headline, 600)}**",
        _problems(difference),
        _table(difference, caps),
        _thresholds(difference),
        _fix(difference, caps),
        _changes(difference, caps),
        _uses(difference, caps),
        _verdicts(difference, caps),
        _still(difference, caps),
        _simulated(difference, caps),
        _notes(difference, caps),
        _reproduce(difference),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _plain(text: str, limit: int = _TEXT) -> str:
    """Text of a manifest as plain words, cut before it is escaped."""
    line = " ".join(text.split())
    return escaped(line if len(line) <= limit else f"{line[: limit - 1]}…")


def _code(text: str, limit: int = _TEXT) -> str:
    line = " ".join(text.split())
    return code(line if len(line) <= limit else f"{line[: limit - 1]}…")


def _place(where: Where) -> str:
    return _code(str(Where(where.file, where.line))) if where.file else ""


def _details(summary: str, body: str) -> str:
    return f"<details>\n<summary>{summary}</summary>\n\n{body}\n\n</details>"


def _cut(rows: Sequence[T], show: Callable[[T], str], limit: int, what: str) -> list[str]:
    """The first rows, and how many are not shown."""
    rest = len(rows) - limit
    return [*map(show, rows[:limit]), *([f"{rest:,} more {what}"] if rest > 0 else [])]


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# ------------------------------------------------------------------------------------------------- above the fold


def _problems(difference: Difference) -> str:
    """What keeps a side from being rendered: the first eight problems."""
    lines: list[str] = []
    for side, name in ((difference.head, "head"), (difference.base, "base")):
        shown = _cut(side.problems, _problem, ROWS, f"problems of the {name}")
        lines += [f"- {name}: {line}" for line in shown]
    return "\n".join(lines)


def _problem(problem: Problem) -> str:
    words = f"{_code(str(problem.where))} {_plain(problem.what)}".strip()
    return f"{words} ({_plain(problem.way_out)})" if problem.way_out else words


@dataclass(frozen=True)
class _Group:
    """Verdicts that say the same of several workloads."""

    members: tuple[Outcome, ...]

    @property
    def first(self) -> Outcome:
        return self.members[0]

    @property
    def words(self) -> str:
        first, names = self.first, [item.name for item in self.members]
        if len(names) == 1:
            return first.sentence
        listed = _listed(names)
        return {
            "stuck": f"the rollouts of {listed} will never finish",
            "refused": f"{listed} are refused at their next restart"
            + (", and their rollouts never finish" if all(item.never_finishes for item in self.members) else ""),
            "quota": f"{first.sentence} (and {len(names) - 1} more)",
            "pending": f"{listed} find no node",
            "loss": f"{listed} find no place when a node is lost",
            "finding": f"{first.sentence} ({len(names)} times {first.code})",
        }[first.kind]


def _listed(names: Sequence[str]) -> str:
    """``a, b and c``; of many only the first few, and how many more there are."""
    if len(names) > _NAMES + 1:
        return f"{', '.join(names[:_NAMES])} and {len(names) - _NAMES:,} more"
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _groups(outcomes: Sequence[Outcome]) -> list[_Group]:
    found: dict[tuple[object, ...], list[Outcome]] = {}
    for item in outcomes:
        key: tuple[object, ...] = (item.news, item.kind, item.severity, item.platform)
        if item.kind == "finding":
            key += (item.code,)
        elif item.kind != "loss":
            key += (item.namespace, item.amount or item.reason, item.never_finishes)
        found.setdefault(key, []).append(item)
    return [_Group(tuple(members)) for members in found.values()]


def _table(difference: Difference, caps: Caps) -> str:
    """The worst eight: new verdicts, limits that are closer, what got fixed."""
    groups = [group for news in _NEWS for group in _groups(difference.outcomes_of(news))]
    groups.sort(key=lambda group: -int(group.first.severity))
    uses = [row for row in difference.uses if row.changed and row.share_after is not None and row.quota]
    uses.sort(key=lambda row: -(row.share_after or 0.0))
    rows: list[_Group | Use] = [*groups, *uses, *_groups(difference.outcomes_of("fixed"))]
    if not rows:
        return ""
    shown = [_use_row(row) if isinstance(row, Use) else _outcome_row(row) for row in rows[: caps.rows]]
    table = _grid(("", "what", "observed", "before", "where"), shown)
    rest = len(rows) - caps.rows
    return table if rest <= 0 else f"{table}\n\n{_count(rest, 'more row')} below."


def _outcome_row(group: _Group) -> tuple[str, ...]:
    item = group.first
    observed = _plain(item.amount) if item.amount else _plain(item.reason) if item.reason else _code(item.code)
    if item.share is not None:
        observed += f" ({share_text(item.share)})"
    platform = f" [{_plain(item.platform)}]" if item.platform else ""
    words = _plain(group.words) + platform
    if item.news == "fixed":
        return ("✅", f"fixed: {words}", "", observed, _place(item.where))
    strong = f"**{words}**" if item.severity is Severity.ERROR else words
    return (_MARKS[item.severity], strong, observed, _plain(item.was), _place(item.where))


def _use_row(row: Use) -> tuple[str, ...]:
    what = f"{row.namespace} {row.key} of quota {row.quota}" + (f" [{row.platform}]" if row.platform else "")
    icon = "📈" if (row.share_after or 0.0) > (row.share_before or 0.0) else "📉"
    after = use_words(row, after=True)
    before = "no quota"
    if row.rest_before is not None:
        before = use_words(row, after=False)
    return (icon, _plain(what), _plain(after), _plain(before), "")


def use_words(row: Use, *, after: bool) -> str:
    """One side of a use in words: ``1.7 of 2 at rest (85%), 2.7 at peak (135%)``."""
    rest, peak, hard = (
        (row.rest_after, row.peak_after, row.hard_after)
        if after
        else (row.rest_before, row.peak_before, row.hard_before)
    )
    shares = (row.rest_share, row.share_after) if after else (None, row.share_before)
    if rest is None or peak is None:
        return "–"
    text = f"{_amount(rest, row.key)}" + (f" of {_amount(hard, row.key)}" if hard is not None else "") + " at rest"
    text += f" ({share_text(shares[0])})" if shares[0] is not None else ""
    if peak != rest:
        text += f", {_amount(peak, row.key)} at peak"
        text += f" ({share_text(shares[1])})" if shares[1] is not None else ""
    return text


def share_text(share: float) -> str:
    """A share of a limit as a percentage with one digit, rounded down: only what is full reads 100%."""
    if not math.isfinite(share):
        return "nothing is allowed"
    text = f"{math.floor(share * 1000 + 1e-6) / 10:.1f}"
    return f"{text.removesuffix('.0')}%"


def _amount(text: str, key: str) -> str:
    return human(parse_quantity(text), key)


def _thresholds(difference: Difference) -> str:
    lines = []
    for line in difference.thresholds:
        icon = "✅" if line.held else "⚠️" if line.held_before is False else "❌"
        name = _code(f"{line.metric} {line.expression}")
        lines.append(f"- {icon} {name}: {_plain(line.after)}, before {_plain(line.before)}")
    return "\n".join(lines)


def _fix(difference: Difference, caps: Caps) -> str:
    fix = difference.fix
    if fix is None:
        return ""
    words = f"**Suggested fix:** {_plain(fix.sentence, 600)}."
    if len(fix.patch) > caps.patch:
        return f"{words} The patch is too long for this comment."
    return f"{words}\n\n{_details('Patch', block(fix.patch, 'yaml'))}"


# ------------------------------------------------------------------------------------------------- below the fold


def _changes(difference: Difference, caps: Caps) -> str:
    rows = difference.changes
    if not rows:
        return ""
    counts = {mark: sum(row.mark == mark for row in rows) for mark in "~+-"}
    summary = f"{_count(len(rows), 'change')}: " + ", ".join(f"{mark} {n:,}" for mark, n in counts.items() if n)
    if not caps.changes:
        return f"{summary}."
    lines = _cut(rows, change_line, caps.changes, "rows")
    return _details(summary, block("\n".join(lines), "diff"))


def change_line(row: Change) -> str:
    """``~ ResourceQuota htpc/htpc requests.cpu: 4 -> 2  overlays/htpc/quota.yaml:7`` on one line."""
    what = f"{row.subject} {row.field}".strip()
    if row.mark == "~":
        values = f": {row.before or 'unset'} -> {row.after or 'unset'}"
    else:
        value = row.after if row.mark == "+" else row.before
        values = f": {value}" if value else ""
    place = str(Where(row.where.file, row.where.line))
    rolls = " (pods are replaced)" if row.rolls else ""
    platform = f" [{row.platform}]" if row.platform else ""
    return _one_line(f"{row.mark} {what}{values}{rolls}{platform}") + _tail(place)


def _one_line(text: str) -> str:
    return " ".join(printable(text).split())


def _tail(place: str) -> str:
    return f"  {_one_line(place)}" if place else ""


def _uses(difference: Difference, caps: Caps) -> str:
    rows = [row for row in difference.uses if row.changed or row.quota]
    if not rows or not caps.uses:
        return ""
    shown = [
        (
            _plain(f"{row.namespace}" + (f" [{row.platform}]" if row.platform else "")),
            _plain(f"{row.key}" + (f" (quota {row.quota})" if row.quota else "")),
            _plain(use_words(row, after=False)),
            _plain(use_words(row, after=True)),
            _plain(row.at_peak),
        )
        for row in rows[: caps.uses]
    ]
    body = _grid(("namespace", "resource", "before", "after", "peak"), shown)
    if len(rows) > caps.uses:
        body += f"\n\n{len(rows) - caps.uses} more rows"
    return _details(f"Use of {_count(len(rows), 'resource')}, before and after", body)


def _verdicts(difference: Difference, caps: Caps) -> str:
    rows = [item for item in difference.outcomes if item.news != "open"]
    if not rows or not caps.verdicts:
        return ""
    new, worse = len(difference.outcomes_of("new")), len(difference.outcomes_of("worse"))
    lines = _cut(rows, _verdict, caps.verdicts, "verdicts")
    return _details(
        f"{_count(new, 'new verdict')}, {worse:,} worse, {len(rows) - new - worse:,} fixed", "\n".join(lines)
    )


def _verdict(item: Outcome) -> str:
    mark = "fixed" if item.news == "fixed" else f"{item.news} {item.severity}"
    words = f"- {mark}: {_plain(item.sentence)} ({_code(item.code)}, {_plain(item.subject)})"
    facts = [_code(fact) for fact in item.evidence[:4]]
    place = _place(item.where)
    rest = [*([place] if place else []), *facts]
    if item.way_out:
        rest.append(f"way out: {_plain(item.way_out)}")
    return "\n".join([words, *(f"  - {line}" for line in rest if line)])


def _still(difference: Difference, caps: Caps) -> str:
    rows = [item for item in difference.outcomes_of("open") if item.severity is not Severity.INFO]
    if not rows:
        return ""
    summary = f"{_count(len(rows), 'verdict')} from before {'still holds' if len(rows) == 1 else 'still hold'}"
    if not caps.open:
        return f"{summary}."

    def line(item: Outcome) -> str:
        return f"- {item.severity}: {_plain(item.sentence)} ({_code(item.code)}) {_place(item.where)}"

    return _details(summary, "\n".join(_cut(rows, line, caps.open, "verdicts")))


def _simulated(difference: Difference, caps: Caps) -> str:
    rows = difference.simulated
    if not rows or not caps.routes:
        return ""
    different = [row for row in rows if row.difference != 0]
    body = f"{_count(len(rows) - len(different), 'measure')} equal on both sides in every replication."
    if different:
        heads = ("", "route", "measure", "before", "after", "difference", "variance removed")
        body = f"{_grid(heads, [_route(row) for row in different[: caps.routes]])}\n\n{body}"
    if len(different) > caps.routes:
        body += f" {len(different) - caps.routes:,} more rows."
    sure = sum(row.significant for row in rows)
    words = f"Simulated: {sure} of {_count(len(rows), 'measure')} differ beyond chance"
    body += " Same random streams on both sides; the difference with its confidence interval over replications."
    return _details(words, body)


def _route(row: RouteDelta) -> tuple[str, ...]:
    def value(amount: float | None, signed: bool = False) -> str:
        if amount is None:
            return "–"
        sign = "+" if signed and amount > 0 else ""
        return sign + (ratio(amount) if row.measure == "availability" else duration(amount))

    interval = "no interval" if row.low is None else f"{value(row.low, True)} to {value(row.high, True)}"
    worse = row.difference is not None and (row.difference < 0) == (row.measure == "availability")
    icon = ("❌" if worse else "✅") if row.significant else ""
    reduction = "–" if row.variance_reduction is None else f"{number(100 * row.variance_reduction, 2)}%"
    name = row.measure.removesuffix("_s")
    change = f"{value(row.difference, True)} ({interval})"
    return (icon, _plain(row.route), name, value(row.before), value(row.after), _plain(change), reduction)


def _notes(difference: Difference, caps: Caps) -> str:
    lines = not_covered(difference)
    if not lines or not caps.notes:
        return ""
    shown = _cut(lines, lambda line: f"- {_plain(line)}", caps.notes, "lines")
    return _details(f"Not covered ({len(lines):,})", "\n".join(shown))


def not_covered(difference: Difference) -> list[str]:
    """What was decided on the way, and what is in no number of the report."""
    before, after = set(difference.base.missing), set(difference.head.missing)
    lines = list(difference.notes)
    lines += [f"head only, {item}" for item in sorted(after - before)]
    lines += [f"base only, {item}" for item in sorted(before - after)]
    lines += [f"both sides, {item}" for item in sorted(before & after)]
    if not difference.hardware_known and difference.status != "error":
        lines.append("nobody said what the nodes are (--nodes or --scenario): nothing was checked about nodes")
    return lines


def _reproduce(difference: Difference) -> str:
    tool = f" (stowplan {_plain(difference.version)})" if difference.version else ""
    return f"Reproduce: {_code(difference.command, 600)}{tool}" if difference.command else ""
