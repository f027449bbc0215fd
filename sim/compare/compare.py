"""From two sides of one or several platforms to one difference with its verdict in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from models.errors import Problem
from models.findings import Finding, Severity
from models.objects import Rendered
from models.rules.quantity import parse_quantity
from sim.compare.changes import changes, same_objects
from sim.compare.difference import (
    STATIC_THRESHOLDS,
    Change,
    Difference,
    Fix,
    Line,
    Outcome,
    RouteDelta,
    Side,
    Status,
    Use,
    worst,
)
from sim.compare.fix import suggest
from sim.compare.outcomes import Identity, compared, facts, human
from sim.compare.running import as_running
from sim.compare.usage import Key, Row, use_rows, uses
from sim.standing import Standing

T = TypeVar("T", Change, Outcome, Use)


@dataclass(frozen=True, eq=False)
class Part:
    """One platform on both sides.

    base, head: at rest; None where it is absent or cannot be rendered, both None when they render to the same. name: ""
    when it is the only one. base_findings, head_findings: what the checks say and nobody has accepted.
    """

    name: str
    base: Standing | None
    head: Standing | None
    base_findings: tuple[Finding, ...] = ()
    head_findings: tuple[Finding, ...] = ()

    @cached_property
    def same(self) -> bool:
        """Whether both sides render to the same objects, and the same files are broken in both."""
        if self.base is None or self.head is None:
            return self.base is self.head
        one, two = self.base.platform, self.head.platform
        return one is two or (one.rendered.broken == two.rendered.broken and same_objects(one, two))

    @cached_property
    def base_view(self) -> _View:
        """Everything about the base."""
        return _view(self.base, self.base_findings)

    @cached_property
    def head_view(self) -> _View:
        """Everything about the head."""
        return self.base_view if self.base is self.head else _view(self.head, self.head_findings)


@dataclass(frozen=True, eq=False)
class _View:
    running: Standing | None
    facts: Mapping[Identity, Outcome]
    uses: Mapping[Key, Row]


def _view(standing: Standing | None, findings: Sequence[Finding]) -> _View:
    if standing is None:
        return _View(None, {}, {})
    running = as_running(standing)
    peaks = use_rows(running)
    return _View(running, facts(standing, running, peaks, findings), peaks)


def compare(
    parts: Sequence[Part],
    base: Side,
    head: Side,
    *,
    simulated: Sequence[RouteDelta] = (),
    thresholds: Sequence[Line] = (),
    notes: Sequence[str] = (),
    command: str = "",
    version: str = "",
    hardware_known: bool = False,
) -> Difference:
    """The difference of every part, as one. A side with ``problems`` could not be rendered: that is the verdict."""
    different = [part for part in parts if not part.same]
    # Against a base that nobody can read everything would be new.
    rows = [] if base.problems else _merged(row for part in different for row in _changes(part))
    outcomes = worst(_merged(row for part in different for row in _named(part, _outcomes(part))))
    used = [row for part in different for row in uses(part.base_view.uses, part.head_view.uses, part.name)]
    made = Difference(
        "pass",
        "",
        base,
        head,
        tuple(rows),
        tuple(sorted(used, key=_tightest_first)),
        tuple(outcomes),
        (*_thresholds(different), *thresholds),
        tuple(simulated),
        _fix(different, outcomes),
        tuple(part.name for part in different if part.name),
        hardware_known,
        tuple(notes),
        command,
        version,
    )
    status = _status(made)
    return replace(made, status=status, headline=_headline(made, status))


def _tightest_first(row: Use) -> tuple[object, ...]:
    return (-(row.share_after or 0.0), row.platform, row.namespace, row.quota, row.key)


def _changes(part: Part) -> Iterable[Change]:
    empty = Rendered()
    if part.base is None or part.head is None:
        whole = part.head or part.base
        if whole is None:
            return []
        none = replace(whole.platform, rendered=empty, objects=(), workloads=())
        ends = (none, whole.platform) if part.base is None else (whole.platform, none)
        return _named(part, changes(*ends))
    return _named(part, changes(part.base.platform, part.head.platform))


def _outcomes(part: Part) -> list[Outcome]:
    return compared(part.base_view.facts, part.head_view.facts)


def _named(part: Part, rows: Iterable[T]) -> list[T]:
    return [replace(row, platform=part.name) for row in rows] if part.name else list(rows)


def _merged(rows: Iterable[T]) -> list[T]:
    """Rows that differ in their platform alone become one, which names them all."""
    found: dict[T, list[str]] = {}
    for row in rows:
        found.setdefault(replace(row, platform=""), []).append(row.platform)
    return [replace(row, platform=", ".join(dict.fromkeys(names))) for row, names in found.items()]


def _fix(parts: Iterable[Part], outcomes: Sequence[Outcome]) -> Fix | None:
    """For the platform of the worst new verdict."""
    new = [item for item in outcomes if item.news == "new"]
    if not new:
        return None
    for part in parts:
        running = part.head_view.running
        if running is not None and (not part.name or part.name in new[0].platform.split(", ")):
            return suggest(running, part.head_view.uses, new)
    return None


# ------------------------------------------------------------------------------------------------- thresholds


def _thresholds(parts: Sequence[Part]) -> list[Line]:
    """The built-in thresholds; those about nodes only where somebody said what the nodes are."""
    if not parts:
        return []
    before = [item for part in parts for item in part.base_view.facts.values()]
    after = [item for part in parts for item in part.head_view.facts.values()]
    kinds = [("rollouts_stuck", "stuck"), ("pods_refused", "refused")]
    sides = [side for part in parts for side in (part.base, part.head) if side is not None]
    nodes = bool(sides) and all(side.hardware_known for side in sides)
    if nodes:
        kinds.append(("pods_pending", "pending"))
    known = any(part.base is not None for part in parts)
    lines = []
    for metric, kind in kinds:
        one, two = (sum(_is(item, kind) for item in listed) for listed in (before, after))
        lines.append(_count(metric, "== 0", one, two, two == 0, one == 0, known))
    lines += _headroom(parts)
    if nodes:
        one, two = (sum(item.kind == "loss" for item in listed) for listed in (before, after))
        limit = f"<= {one}" if known else "== 0"
        lines.append(_count("unplaced_after_node_loss", limit, one, two, two <= one, True, known))
    return lines


def _count(metric: str, limit: str, one: int, two: int, held: bool, held_before: bool, known: bool) -> Line:
    """A threshold on a count; ``known``: whether there is a base."""
    return Line(metric, limit, str(one) if known else "–", str(two), held, held_before if known else None)


def _is(item: Outcome, kind: str) -> bool:
    return item.kind == kind or (kind == "stuck" and item.never_finishes)


def _headroom(parts: Iterable[Part]) -> list[Line]:
    """The smallest free share of any quota key at its peak."""
    ends: list[str] = []
    held: list[bool] = []
    for side in ("base_view", "head_view"):
        rows = [
            (1.0 - row.share, f"{key[0]} {key[2]}")
            for part in parts
            for key, row in getattr(part, side).uses.items()
            if key[1] and row.share is not None
        ]
        least = min(rows, default=None)
        ends.append("no quota" if least is None else f"{least[0]:.0%} ({least[1]})")
        held.append(least is None or least[0] >= 0)
    if ends == ["no quota", "no quota"]:
        return []
    return [Line("quota_headroom", ">= 0%", ends[0], ends[1], held[1], held[0])]


# ------------------------------------------------------------------------------------------------- verdict


def _status(made: Difference) -> Status:
    if made.head.problems:
        return "error"
    new = made.outcomes_of("new")
    if _failed(made) or any(item.severity is Severity.ERROR for item in new):
        return "fail"
    worse = made.outcomes_of("worse")
    if made.base.problems or worse or any(item.severity is Severity.WARNING for item in new) or _slower(made.simulated):
        return "warn"
    return "pass" if made.changes or made.simulated or made.outcomes else "same"


def _failed(made: Difference) -> list[Line]:
    """Thresholds of the scenario that the head breaks; the built-in ones only count what the verdicts say."""
    return [
        line
        for line in made.thresholds
        if not line.held and line.held_before is not False and line.metric not in STATIC_THRESHOLDS
    ]


def _slower(rows: Iterable[RouteDelta]) -> bool:
    """Whether a simulated measure got worse beyond chance."""
    return any(_worse(row) for row in rows)


def _worse(row: RouteDelta) -> bool:
    return row.significant and row.difference is not None and (row.difference < 0) == (row.measure == "availability")


def _headline(made: Difference, status: Status) -> str:
    if status == "error":
        return f"The head cannot be rendered: {_first(made.head.problems)}"
    if status == "same":
        return "no change: both sides render to the same objects"
    new = [item for item in made.outcomes_of("new") if item.severity is not Severity.INFO]
    worse = made.outcomes_of("worse")
    if worse and not any(item.severity is Severity.ERROR for item in new):
        return f"{_one(worse[0])}, before {worse[0].was}{_others(new)}"
    if new:
        words = _one(new[0]) + _others(new[1:])
        return f"{words} (the base could not be rendered)" if made.base.problems else words
    if made.base.problems:
        return f"The base cannot be rendered: {_first(made.base.problems)}; nothing is wrong with the head"
    failed = _failed(made)
    if failed:
        return f"{failed[0].metric} {failed[0].expression} does not hold: {failed[0].after}, before {failed[0].before}"
    slow = [row for row in made.simulated if _worse(row)]
    if slow:
        return f"{slow[0].route} gets worse: {slow[0].measure.removesuffix('_s')} beyond chance"
    fixed = [item for item in made.outcomes_of("fixed") if item.severity is not Severity.INFO]
    begin = f"{len(fixed)} {_plural(len(fixed), 'verdict')} fixed, " if fixed else ""
    return f"{begin}nothing gets worse{_tightest(made.uses)}"


def _first(problems: Sequence[Problem]) -> str:
    place = str(problems[0].where)
    more = f" and {len(problems) - 1} more {_plural(len(problems) - 1, 'problem')}" if len(problems) > 1 else ""
    return (f"{place}: " if place else "") + problems[0].what.splitlines()[0] + more


def _one(item: Outcome) -> str:
    """One verdict in words, with its number."""
    platform = f" ({item.platform})" if item.platform else ""
    return _words(item) + platform


def _words(item: Outcome) -> str:
    if item.amount and item.namespace and " on " not in item.amount:
        return f"{item.sentence}: {item.namespace} needs {item.amount}"
    return f"{item.sentence}: {item.amount or item.reason}" if item.amount or item.reason else item.sentence


def _others(rest: Sequence[Outcome]) -> str:
    """The other new verdicts, counted by kind."""
    words = []
    for kind, one, many in (
        ("stuck", "rollout gets stuck", "rollouts get stuck"),
        ("refused", "workload is refused at its next restart", "workloads are refused at their next restart"),
        ("quota", "quota refuses pods", "quotas refuse pods"),
        ("pending", "workload finds no node", "workloads find no node"),
        ("loss", "workload finds no place after a node loss", "workloads find no place after a node loss"),
        ("finding", "new finding", "new findings"),
    ):
        count = sum(item.kind == kind for item in rest)
        if count:
            words.append(f"{count} more {one}" if count == 1 else f"{count} {many}")
    return f"; {', '.join(words)}" if words else ""


def _tightest(rows: Iterable[Use]) -> str:
    row = next((item for item in rows if item.quota and item.share_after is not None and item.hard_after), None)
    if row is None or row.rest_after is None or row.peak_after is None or row.hard_after is None:
        return ""
    amounts = (row.rest_after, row.peak_after, row.hard_after)
    rest, peak, hard = (human(parse_quantity(text), row.key) for text in amounts)
    return f"; the tightest limit is {row.namespace} {row.key}: {rest} of {hard} at rest, {peak} at peak"


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"
