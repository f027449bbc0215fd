"""The difference between two platforms at rest, as plain frozen data that every renderer reads and none computes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from models.errors import Problem, Where
from models.findings import Severity

Mark = Literal["~", "+", "-"]
Kind = Literal["stuck", "refused", "quota", "pending", "loss", "finding"]
News = Literal["new", "worse", "fixed", "open"]
Status = Literal["same", "pass", "warn", "fail", "error"]

STATIC_THRESHOLDS = ("rollouts_stuck", "pods_refused", "pods_pending", "quota_headroom", "unplaced_after_node_loss")
"""Names of the built-in thresholds, in the order they are shown."""


@dataclass(frozen=True)
class Change:
    """One row of what changed: ``~`` another value, ``+`` new, ``-`` gone.

    what: "quota", "limit range", "requests", "limits", "replicas", "image", "strategy", "workload" or "object".
    field: what of it ("container app requests.cpu"). before, after: as written, "" when unset. where: in the head, for
    what is gone in the base. rolls: whether it makes the workload's pods be replaced. platform: which of several
    platforms of the repository, "" when there is one.
    """

    mark: Mark
    what: str
    subject: str
    field: str
    before: str
    after: str
    where: Where
    rolls: bool = False
    platform: str = ""


@dataclass(frozen=True)
class Use:
    """One resource of a namespace before and after: limit, use at rest and at peak.

    quota: the ResourceQuota that limits it, "" without one (then the limit is what the nodes can allocate, None while
    nobody said what they are). key: as in a quota. Amounts as Kubernetes prints them, None on a side that has no such
    row. at_peak: what makes the peak. share: of the limit at peak; more than 1 does not fit.
    """

    namespace: str
    quota: str
    key: str
    hard_before: str | None
    hard_after: str | None
    rest_before: str | None
    rest_after: str | None
    peak_before: str | None
    peak_after: str | None
    at_peak: str
    rest_share: float | None
    share_before: float | None
    share_after: float | None
    platform: str = ""

    @property
    def changed(self) -> bool:
        """Whether limit or use differ."""
        before = (self.hard_before, self.rest_before, self.peak_before)
        return before != (self.hard_after, self.rest_after, self.peak_after)


@dataclass(frozen=True)
class Outcome:
    """One verdict: ``new`` in the head, ``fixed`` by it, ``open`` in both, or ``worse``: in both, and a larger share.

    kind: ``stuck`` a rollout that never finishes, ``refused`` a pod that does not pass admission when it restarts,
    ``quota`` a limit below what runs or below a peak, ``pending`` a pod without a node, ``loss`` a pod without a place
    when a node is lost, ``finding`` anything else that the checks say. name: the short name of the subject. sentence:
    what will happen, in words. reason: the API server's, the scheduler's or the rule's words. amount: needed of limit
    ("2.7 of 2 requests.cpu"), "" where there is no number; share: the same as a fraction of the namespace's or node's
    limit. never_finishes: whether a rollout gets stuck by it. was: ``amount`` in the base, of what got worse.
    """

    news: News
    kind: Kind
    severity: Severity
    code: str
    subject: str
    name: str
    namespace: str
    sentence: str
    reason: str = ""
    amount: str = ""
    share: float | None = None
    where: Where = field(default_factory=Where)
    evidence: tuple[str, ...] = ()
    way_out: str = ""
    patch: str = ""
    platform: str = ""
    never_finishes: bool = False
    was: str = ""

    @property
    def rank(self) -> tuple[object, ...]:
        """Worst first: news, severity, what has a number (largest share first), kind, names."""
        order: tuple[News, ...] = ("new", "worse", "open", "fixed")
        kinds: tuple[Kind, ...] = ("stuck", "refused", "quota", "pending", "loss", "finding")
        return (
            order.index(self.news),
            -int(self.severity),
            self.share is None,
            -(self.share or 0.0),
            kinds.index(self.kind),
            self.code,
            self.platform,
            self.namespace,
            self.subject,
            self.sentence,
        )


@dataclass(frozen=True)
class Line:
    """One threshold with what was observed on both sides, as text. held, held_before: in the head and in the base, None
    while there is no base."""

    metric: str
    expression: str
    before: str
    after: str
    held: bool
    held_before: bool | None = None


@dataclass(frozen=True)
class RouteDelta:
    """One measure of one route, simulated with the same random streams on both sides.

    measure: "p95_s", "mean_s" (seconds) or "availability" (share). low, high: the interval of ``difference`` (after
    minus before) at ``confidence``, None where it is unbounded. variance_reduction: what the common streams took off
    the variance of the difference, None when it cannot be said.
    """

    route: str
    measure: str
    before: float | None
    after: float | None
    difference: float | None
    low: float | None
    high: float | None
    confidence: float
    replications: int
    significant: bool
    variance_reduction: float | None


@dataclass(frozen=True)
class Fix:
    """A way out as a Kustomize patch: what it does in one sentence, and the YAML (several documents)."""

    sentence: str
    patch: str


@dataclass(frozen=True)
class Side:
    """What stood on one side. given: as typed ("" for the work tree). commit: full id, "" for a folder.

    problems: why it could not be rendered. missing: charts and remote files that could not be had. absent: whether none
    of the trees exists there.
    """

    given: str
    commit: str = ""
    problems: tuple[Problem, ...] = ()
    missing: tuple[str, ...] = ()
    absent: bool = False


@dataclass(frozen=True)
class Difference:
    """Everything that a report about two sides says. ``same``: both render to the same objects."""

    status: Status
    headline: str
    base: Side
    head: Side
    changes: tuple[Change, ...] = ()
    uses: tuple[Use, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    thresholds: tuple[Line, ...] = ()
    simulated: tuple[RouteDelta, ...] = ()
    fix: Fix | None = None
    platforms: tuple[str, ...] = ()
    hardware_known: bool = False
    notes: tuple[str, ...] = ()
    command: str = ""
    version: str = ""

    def outcomes_of(self, news: News) -> tuple[Outcome, ...]:
        """The verdicts of that kind, worst first."""
        return tuple(item for item in self.outcomes if item.news == news)


def worst(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Worst first, always in the same order."""
    return sorted(outcomes, key=lambda item: item.rank)
