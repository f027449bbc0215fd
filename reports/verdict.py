"""The first words of a report: does it fit, does it survive, what happened, what breaks first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from models.findings import Finding
from reports.document import Verdict
from sim.findings import Evidence
from sim.growth import Trial, largest_fit
from sim.metrics import RouteMetrics
from sim.placement import PlacedPod
from sim.study import traffic_for_nothing

HAPPENED = ("SIM-ROLLOUT-STUCK", "SIM-NODE-MEMORY", "SIM-OOM", "SIM-OVERLOAD", "SIM-REFUSED")
"""Codes of what went wrong in the run itself, the worst first: with one of them no headline says that all is well."""

_CLASS_WORDS = {
    "unbound immediate PersistentVolumeClaims": "STORAGECLASS-MISSING",
    "no PriorityClass": "PRIORITYCLASS-MISSING",
}
"""What a waiting pod is told, and the code that says which class it lacks."""

LASTING_S = 3600.0
"""A route that serves only a share, or without something, for so long after the loss of a node is told."""

TOLD = 0.01
"""From this share on lost streams are told beside the load that fits."""


def verdict_of(evidence: Evidence, metrics: Sequence[RouteMetrics], found: Sequence[Finding]) -> Verdict:
    """Fits, survives, what breaks first: in that order, worst words first in the headline.

    ``found``: the findings that count, without those that the owner accepted.
    """
    sentences = (
        *_partial(evidence),
        *_fits(evidence),
        *_way_out(evidence, found),
        *_idle(evidence),
        *_incident(evidence, metrics),
        *_refused(evidence),
        *_survival(evidence),
        *_quota_words(evidence),
        *_growth_words(evidence.growth),
    )
    if headline := _failure(evidence, found):
        return Verdict("fail", headline, sentences)
    if headline := _trouble(evidence, found):
        return Verdict("warn", f"It runs, but {headline}", sentences)
    judged = evidence.objectives or evidence.thresholds or _must_survive(evidence)
    headline = "It fits and every objective holds" if judged else "It fits; the scenario sets no objective for it"
    if any(loss.outage_s is None for loss in evidence.results.losses) and _must_survive(evidence):
        return Verdict("warn", f"{headline}, but not every route survives the loss of a node", sentences)
    if evidence.study.platform.rendered.missing:
        return Verdict("warn", f"{headline}, as far as the tree shows", sentences)
    return Verdict("pass", headline, sentences)


def _failure(evidence: Evidence, found: Sequence[Finding]) -> str:
    """What does not hold, the worst of it; "" when all does."""
    waiting = evidence.study.placement.waiting
    if waiting:
        counted = f"{len(waiting)} of {counted_of(len(evidence.study.placement.pods), 'pod')} find no place"
        # A claim that binds nowhere or a label that no node has is no lack of room: say what it is instead.
        crowded = any("Insufficient" in pod.message or "Too many pods" in pod.message for pod in waiting)
        if crowded:
            return f"It does not fit: {counted}"
        absent = _absent_class(evidence, found)
        claimed = absent is not None and absent.code == "STORAGECLASS-MISSING"
        return f"{counted}: {absent.title.partition(': ')[0] if absent and claimed else _usual_reason(waiting)}"
    broken = [item for item in evidence.objectives if not item.held]
    if broken:
        worst = min(broken, key=lambda item: item.slack)
        rest = len(broken) - 1
        more = f" and {rest} more objective{' fails' if rest == 1 else 's fail'}" if rest else ""
        return f"{worst.route} misses its objective {worst.text}: {worst.observed}{more}"
    failed = [item for item in evidence.thresholds if not item.held]
    if failed:
        return f"{len(failed)} of {len(evidence.thresholds)} thresholds failed: {failed[0].metric} {failed[0].text}"
    return ""


def _trouble(evidence: Evidence, found: Sequence[Finding]) -> str:
    """What went or would go wrong although every objective holds; "" when nothing did."""
    for code in HAPPENED:
        told = [item for item in found if item.code == code]
        if told:
            title = told[0].title
            rest = len({item.subject for item in told}) - 1
            more = f" (and {rest} more like it)" if rest else ""
            return (f"t{title[1:]}" if title.startswith("The ") else title) + more
    stuck = next((item for item in evidence.rollouts if item.verdict == "stuck"), None)
    if stuck is not None:
        return f"a rollout of {stuck.workload} would never finish"
    refused = next((item for item in evidence.quotas if "refused" in item.verdict), None)
    return f"quota {refused.namespace}/{refused.quota} refuses pods" if refused is not None else ""


def _absent_class(evidence: Evidence, found: Sequence[Finding]) -> Finding | None:
    """The finding about a class that is not there, when that is why most of the waiting pods wait."""
    reason = _usual_reason(evidence.study.placement.waiting) if evidence.study.placement.waiting else ""
    code = next((code for words, code in _CLASS_WORDS.items() if words in reason), "")
    return next((item for item in found if item.code == code), None)


def _way_out(evidence: Evidence, found: Sequence[Finding]) -> list[str]:
    absent = _absent_class(evidence, found)
    return [f"The way out: {absent.way_out}."] if absent is not None else []


def _usual_reason(waiting: Sequence[PlacedPod]) -> str:
    """What most of the waiting pods are told, without the part on preemption."""
    messages = Counter(pod.message.split(" preemption:")[0].rstrip(".") for pod in waiting)
    return messages.most_common(1)[0][0]


def counted_of(count: int, word: str) -> str:
    """``1 pod``, ``2 pods``."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _partial(evidence: Evidence) -> list[str]:
    missing = evidence.study.platform.rendered.missing
    if not missing:
        return []
    modelled = sum(entry.modelled for entry in missing)
    what = f"{len(missing)} charts, files or plugins could not be had"
    rest = f"{modelled} of them are modelled from the chart catalogue; what the others hide is in no number"
    return [f"This is a partial view: {what}. {rest}."]


def _idle(evidence: Evidence) -> list[str]:
    lost = traffic_for_nothing(evidence.study.scenario, evidence.study.routes)
    return [f"The tree shows no route for the traffic {', '.join(map(repr, lost))}: nothing was sent."] if lost else []


def _must_survive(evidence: Evidence) -> bool:
    return evidence.study.scenario.spec.objectives.survives == "any-one-node"


def _fits(evidence: Evidence) -> list[str]:
    placement = evidence.study.placement
    rooms = placement.node_rooms()
    cpu = sum(room.cpu_requests_m for room in rooms) / max(sum(room.cpu_allocatable_m for room in rooms), 1)
    memory = sum(room.memory_requests_b for room in rooms) / max(sum(room.memory_allocatable_b for room in rooms), 1)
    placed = len(placement.pods) - len(placement.waiting)
    unit = "node" if len(rooms) == 1 else "nodes"
    where = f"{placed} of {len(placement.pods)} pods are placed on {len(rooms)} {unit}"
    return [f"{where}; they request {cpu:.0%} of the CPU and {memory:.0%} of the memory."]


def _incident(evidence: Evidence, metrics: Sequence[RouteMetrics]) -> list[str]:
    down = [item for item in metrics if item.outage_s is not None and item.outage_s.mean > 0]
    if not down:
        return ["No route was without service in this run."] if metrics else []
    worst = max(down, key=lambda item: item.outage_s.mean if item.outage_s else 0.0)
    log = evidence.results.replications[0].log.routes.get(worst.route)
    why = log.outages[0].cause if log is not None and log.outages else ""
    seconds = worst.outage_s.mean if worst.outage_s else 0.0
    return [
        f"{len(down)} of {len(metrics)} routes were without service; the longest, {worst.route}, for "
        f"{_minutes(seconds)} per run" + (f": {why.rstrip('.')}." if why else ".")
    ]


def _refused(evidence: Evidence) -> list[str]:
    """Whom the API server refused in the first replication, and in which words."""
    refusals = evidence.results.replications[0].log.refusals
    if not refusals:
        return []
    names = list(dict.fromkeys(item.workload for item in refusals))
    rest = len(names) - 3
    listed = ", ".join(names[:3]) + (f" and {rest} more" if rest > 0 else "")
    return [f"The API server refused pods of {listed}, the first time with: {refusals[0].message.rstrip('.')}."]


def _survival(evidence: Evidence) -> list[str]:
    out = []
    routes = {loss.route for loss in evidence.results.losses}
    for node in evidence.study.cluster.nodes:
        here = [loss for loss in evidence.results.losses if loss.node == node.name]
        until = [loss for loss in here if loss.outage_s is None]
        healed = [loss.outage_s for loss in here if loss.outage_s]
        if not here:
            continue
        words = f"Losing {node.name}: {len(until)} of {len(routes)} routes stay down until it returns"
        if healed:
            words += f", {len(healed)} come back after at most {_minutes(max(healed))}"
        partly = sum(1 for loss in here if loss.outage_s is not None and loss.degraded_s >= LASTING_S)
        if partly:
            words += f", {partly} {'answers' if partly == 1 else 'answer'} only in part until then"
        out.append(words + ".")
    return out


def _quota_words(evidence: Evidence) -> list[str]:
    if not evidence.quotas:
        return []
    first = evidence.quotas[0]
    peak = f" while {first.peak_workload} is rolled out" if first.peak_workload else ""
    use = f"{first.key} {first.used_peak} of {first.hard}{peak} ({first.verdict})"
    changed = any(item.type == "quota" for item in evidence.study.scenario.spec.operations)
    begin = "Of the quotas as the tree has them, the one" if changed else "The quota"
    return [f"{begin} that bites first is {first.namespace}/{first.quota}: {use}."]


def _growth_words(trials: Sequence[Trial]) -> list[str]:
    if not trials:
        return []
    fits, broken = largest_fit(trials)
    if broken is None:
        return [f"{fits:.3g} times today's load still fits{_lost(trials, fits)}; more was not tried."]
    what = f"{broken.tightest.route} ({broken.tightest.text})" if broken.tightest is not None else "an objective"
    busiest = f"the busiest resource is {broken.bottleneck}"
    if not fits:
        return [f"Today's load does not fit at its busiest hour: {what} breaks, {busiest}."]
    begin = f"Today's load fits {fits:.3g} times{_lost(trials, fits)}"
    return [f"{begin}; at {broken.load:.3g} times {what} breaks first, {busiest}."]


def _lost(trials: Sequence[Trial], load: float) -> str:
    """What becomes of the streams at that load: they are in no objective."""
    lost = next((trial.streams_lost for trial in trials if trial.load == load), None)
    return f", when {lost:.0%} of the streams find no room" if lost is not None and lost >= TOLD else ""


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
