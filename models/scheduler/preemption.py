"""DefaultPreemption: which pods would have to go so that a pod with higher priority fits.

Sources: pkg/scheduler/framework/preemption/preemption.go, plugins/defaultpreemption/default_preemption.go
(Kubernetes 1.33). Upstream starts its search at a random node; this one starts at the first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from models.objects import Manifest, dig
from models.scheduler.plain import Engine
from models.scheduler.podinfo import PodInfo
from models.scheduler.profile import Profile
from models.scheduler.selectors import Selector, SelectorError, label_selector
from models.scheduler.snapshot import Snapshot
from models.scheduler.status import (
    NO_VICTIMS,
    PREEMPTION_UNHELPFUL,
    Status,
    fit_error,
    histogram,
)

_PLUGIN = "DefaultPreemption"
_LOWEST = Status(_PLUGIN, (NO_VICTIMS,), True)


@dataclass(frozen=True)
class Candidate:
    """A node that would take the pod once ``victims`` (most important first) are gone."""

    node: int
    victims: tuple[PodInfo, ...]
    violations: int


@dataclass(frozen=True)
class Preemption:
    """The outcome: a nominated node with its victims, chosen among ``candidates``, or why there is none."""

    node: int | None = None
    victims: tuple[PodInfo, ...] = ()
    message: str = ""
    candidates: tuple[Candidate, ...] = ()


def preempt(pod: PodInfo, snapshot: Snapshot, statuses: Mapping[int, Status], engine: Engine) -> Preemption:
    """Try preemption for a pod that every node refused with ``statuses`` (by node position)."""
    refusal = ineligible(pod, snapshot, statuses)
    if refusal:
        return Preemption(message=f"preemption: {refusal}")
    nodes = len(snapshot.core.nodes)
    potential = [number for number, status in sorted(statuses.items()) if not status.unresolvable]
    candidates, failed = dry_run(pod, snapshot, potential, engine) if potential else ([], {})
    if candidates:
        best = choose(candidates)
        return Preemption(best.node, best.victims, candidates=tuple(candidates))
    reasons = histogram(failed.values())
    if len(failed) < nodes:
        reasons[PREEMPTION_UNHELPFUL] += nodes - len(failed)
    return Preemption(message=f"preemption: {fit_error(nodes, reasons)}")


def ineligible(pod: PodInfo, snapshot: Snapshot, statuses: Mapping[int, Status]) -> str:
    """Why the pod may not preempt at all, "" when it may (``PodEligibleToPreemptOthers``)."""
    if not pod.spec.preempts:
        return "not eligible due to preemptionPolicy=Never."
    core = snapshot.core
    nominated = core.position.get(pod.nominated) if pod.nominated else None
    if nominated is None or (nominated in statuses and statuses[nominated].unresolvable):
        return ""
    if any(other.priority < pod.priority and _being_preempted(other) for other in core.pods[nominated]):
        return "not eligible due to a terminating pod on the nominated node."
    return ""


def _being_preempted(pod: PodInfo) -> bool:
    if not pod.terminating:
        return False
    for condition in dig(dict(pod.manifest), "status", "conditions", default=[]):
        if condition.get("type") == "DisruptionTarget":
            return bool(condition.get("status") == "True" and condition.get("reason") == "PreemptionByScheduler")
    return False


def candidate_limit(nodes: int, profile: Profile) -> int:
    """How many candidates are enough of ``nodes`` potential ones (``calculateNumCandidates``)."""
    return min(max(nodes * profile.min_candidate_percent // 100, profile.min_candidates), nodes)


def dry_run(
    pod: PodInfo, snapshot: Snapshot, potential: Sequence[int], engine: Engine
) -> tuple[list[Candidate], dict[int, Status]]:
    """Candidates among ``potential`` nodes, those without budget violations first, and the refusals of the others."""
    limit = candidate_limit(len(potential), snapshot.profile)
    budgets = parse_budgets(snapshot)
    kept: list[Candidate] = []
    violating: list[Candidate] = []
    failed: dict[int, Status] = {}
    for number in potential:
        found = select_victims(pod, snapshot, number, engine, budgets)
        if isinstance(found, Status):
            failed[number] = found
            continue
        (violating if found.violations else kept).append(found)
        if kept and len(kept) + len(violating) >= limit:
            break
    return [*kept, *violating], failed


def select_victims(
    pod: PodInfo, snapshot: Snapshot, node: int, engine: Engine, budgets: Sequence[Budget]
) -> Candidate | Status:
    """The fewest pods that must leave ``node``, found by removing all lower ones and putting back what still fits."""
    lower = [other for other in snapshot.core.pods[node] if other.priority < pod.priority]
    if not lower:
        return _LOWEST
    trial = snapshot
    for other in lower:
        trial = trial.without_pod(other)
    refusal = engine.check(pod, trial, node)
    if refusal is not None:
        return refusal
    name = snapshot.core.nodes[node].name
    lower.sort(key=importance)
    violating, harmless = split_by_budget(lower, budgets)
    victims: list[PodInfo] = []
    violations = 0
    for group, breaks in ((violating, True), (harmless, False)):
        for other in group:
            attempt = trial.with_pod(other, name)
            if engine.check(pod, attempt, node) is None:
                trial = attempt
            else:
                victims.append(other)
                violations += breaks
    if violating and harmless:
        victims.sort(key=importance)
    if not victims:
        return Status(_PLUGIN, (f'expected at least one victim pod on node "{name}"',))
    return Candidate(node, tuple(victims), violations)


def importance(pod: PodInfo) -> tuple[int, float]:
    """Sort key, most important first: higher priority, then earlier start (``MoreImportantPod``)."""
    return -pod.priority, start_seconds(pod)


def start_seconds(pod: PodInfo) -> float:
    """``status.startTime`` in seconds since 1970; a pod that has not started counts as starting now, the latest."""
    if not pod.start:
        return math.inf
    try:
        moment = datetime.fromisoformat(pod.start)
    except ValueError:
        return math.inf
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@dataclass(frozen=True)
class Budget:
    """A PodDisruptionBudget: what it selects and how many more of those may go."""

    namespace: str
    selector: Selector
    allowed: int
    disrupted: frozenset[str]

    def covers(self, pod: PodInfo) -> bool:
        """Whether evicting ``pod`` uses the budget; empty selectors cover nothing, nor pods already on their way."""
        return (
            self.namespace == pod.namespace
            and bool(pod.labels)
            and not self.selector.empty
            and self.selector.matches(pod.labels)
            and pod.name not in self.disrupted
        )


def parse_budgets(snapshot: Snapshot) -> list[Budget]:
    """The budgets of a snapshot; one with an unusable selector covers nothing.

    A manifest without ``status`` gets the allowance that its ``spec`` gives for the pods that are bound.
    """
    found = []
    for manifest in snapshot.objects.pdbs.values():
        try:
            selector = label_selector(dig(manifest, "spec", "selector"))
        except SelectorError:
            continue
        namespace = str(dig(manifest, "metadata", "namespace") or "default")
        status = manifest.get("status")
        allowed = (
            _allowance(manifest, namespace, selector, snapshot)
            if status is None
            else int(status.get("disruptionsAllowed") or 0)
        )
        disrupted = frozenset(dig(manifest, "status", "disruptedPods", default={}))
        found.append(Budget(namespace, selector, allowed, disrupted))
    return found


def _allowance(manifest: Manifest, namespace: str, selector: Selector, snapshot: Snapshot) -> int:
    """disruptionsAllowed from the spec, with every bound pod taken as expected and as healthy unless terminating."""
    selected = [
        pod
        for here in snapshot.core.pods
        for pod in here
        if pod.namespace == namespace and selector.matches(pod.labels)
    ]
    healthy = sum(1 for pod in selected if not pod.terminating)
    at_most = dig(manifest, "spec", "maxUnavailable")
    if at_most is not None:
        return max(0, healthy - len(selected) + _scaled(at_most, len(selected)))
    return max(0, healthy - _scaled(dig(manifest, "spec", "minAvailable", default=1), len(selected)))


def _scaled(value: object, total: int) -> int:
    """An int-or-percent, percentages rounded up as the disruption controller does for both fields."""
    text = str(value)
    return -(-int(text[:-1]) * total // 100) if text.endswith("%") else int(text)


def split_by_budget(pods: Iterable[PodInfo], budgets: Sequence[Budget]) -> tuple[list[PodInfo], list[PodInfo]]:
    """Pods whose eviction would break a budget, and the rest, in the given order (``filterPodsWithPDBViolation``)."""
    left = [budget.allowed for budget in budgets]
    violating: list[PodInfo] = []
    harmless: list[PodInfo] = []
    for pod in pods:
        breaks = False
        for number, budget in enumerate(budgets):
            if budget.covers(pod):
                left[number] -= 1
                breaks = breaks or left[number] < 0
        (violating if breaks else harmless).append(pod)
    return violating, harmless


def choose(candidates: Sequence[Candidate]) -> Candidate:
    """``pickOneNodeForPreemption``: the candidate that hurts least; the first one among equals."""

    def pain(item: Candidate) -> tuple[int, int, int, int, float]:
        highest = item.victims[0].priority
        started = min(start_seconds(pod) for pod in item.victims if pod.priority == highest)
        return (
            item.violations,
            highest,
            sum(pod.priority + 2**31 for pod in item.victims),
            len(item.victims),
            -started,
        )

    return min(candidates, key=pain)
