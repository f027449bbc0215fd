"""One scheduling cycle: filter, score, pick a node, or preempt.

Source: pkg/scheduler/schedule_one.go (Kubernetes 1.33). Every node is looked at (upstream samples large clusters).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from models.scheduler.decision import Decision, Displacement, Score, TieBreaker
from models.scheduler.plain import Engine, best_of, total
from models.scheduler.podinfo import PodInfo
from models.scheduler.preemption import preempt
from models.scheduler.snapshot import Snapshot
from models.scheduler.status import NO_NODES, PodRefused, Status, fit_error, histogram
from models.scheduler.vector import VectorEngine
from models.scheduler.volumebinding import find_volumes
from models.scheduler.volumes import Binding
from models.scheduler.volumes import prefilter as volume_prefilter

GATED = "Scheduling is blocked due to non-empty scheduling gates"


def schedule_pod(
    pod: Mapping[str, Any] | PodInfo,
    snapshot: Snapshot,
    *,
    tie_breaker: TieBreaker | None = None,
    explain: bool = False,
    engine: Engine | None = None,
) -> Decision:
    """Decide where ``pod`` goes on ``snapshot`` (which stays as it is; bind with :meth:`Snapshot.with_pod`).

    ``tie_breaker`` picks among equally good nodes, the first in node order by default. ``explain`` fills the
    reasons, scores and totals, of which otherwise only the reasons of a pod that stays pending are given.
    ``engine`` is the vectorised one unless given. Raises :class:`models.errors.InputError` for unusable quantities.
    """
    info = pod if isinstance(pod, PodInfo) else snapshot.parse(pod)
    if info.spec.gates:
        return Decision(None, GATED, gated=True)
    if not snapshot.core.nodes:
        return Decision(None, NO_NODES)
    engine = engine or VectorEngine()
    try:
        if not explain and not info.nominated and not snapshot.nominated:
            chosen = engine.best(info, snapshot, tie_breaker)
            if chosen is not None:
                return _placed(info, snapshot, chosen)
        statuses = with_nominated(info, snapshot, engine)
    except PodRefused as refused:
        return _refused(info, snapshot, refused, engine)
    return _decide(info, snapshot, statuses, engine, tie_breaker, explain)


def _decide(
    pod: PodInfo,
    snapshot: Snapshot,
    statuses: Mapping[int, Status],
    engine: Engine,
    tie_breaker: TieBreaker | None,
    explain: bool,
) -> Decision:
    """Choose among the nodes without a refusal, with reasons and, for ``explain``, scores."""
    nodes = snapshot.core.nodes
    refusals = {nodes[number].name: status for number, status in statuses.items()}
    feasible = [number for number in range(len(nodes)) if number not in statuses]
    if not feasible:
        return _with_preemption(pod, snapshot, statuses, refusals, engine)
    promised = snapshot.core.position.get(pod.nominated)
    if promised in feasible:
        feasible = [number for number in feasible if number == promised]
    if len(feasible) == 1 and not explain:
        return _placed(pod, snapshot, feasible[0], refusals)
    rows = engine.score(pod, snapshot, feasible)
    totals = [total(row) for row in rows]
    ties = best_of(feasible, totals)
    names = [nodes[number].name for number in ties]
    chosen = ties[tie_breaker(names) if tie_breaker and len(ties) > 1 else 0]
    if not explain:
        return _placed(pod, snapshot, chosen, refusals)
    labelled = [nodes[number].name for number in feasible]
    scores = dict(zip(labelled, rows, strict=True))
    return _placed(pod, snapshot, chosen, refusals, scores, dict(zip(labelled, totals, strict=True)))


def with_nominated(pod: PodInfo, snapshot: Snapshot, engine: Engine) -> dict[int, Status]:
    """The refusals, with pending pods of equal or higher priority counted on the nodes they were promised.

    A node must fit both with and without them (``RunFilterPluginsWithNominatedPods``).
    """
    statuses = dict(engine.filter(pod, snapshot))
    promised: dict[int, list[PodInfo]] = {}
    for other, number in snapshot.nominated:
        if other.key != pod.key and other.priority >= pod.priority:
            promised.setdefault(number, []).append(other)
    for number, others in promised.items():
        trial = snapshot
        for other in others:
            trial = trial.with_pod(other, snapshot.core.nodes[number].name)
        status = engine.check(pod, trial, number)
        if status is not None:
            statuses[number] = status
    return statuses


def _placed(
    pod: PodInfo,
    snapshot: Snapshot,
    number: int,
    refusals: Mapping[str, Status] | None = None,
    scores: Mapping[str, Mapping[str, Score]] | None = None,
    totals: Mapping[str, int] | None = None,
) -> Decision:
    node = snapshot.core.nodes[number]
    volumes: tuple[Binding, ...] = ()
    if pod.spec.uses_claims:
        volumes = find_volumes(volume_prefilter(pod, snapshot.objects), node)[1]
    return Decision(node.name, "", refusals or {}, scores or {}, totals or {}, volumes=volumes)


def _refused(pod: PodInfo, snapshot: Snapshot, refused: PodRefused, engine: Engine) -> Decision:
    """PreFilter refused the pod: every node has the same reason."""
    if refused.error:
        return Decision(None, refused.message)
    nodes = snapshot.core.nodes
    status = Status(refused.plugin, (refused.message,), refused.unresolvable)
    statuses = dict.fromkeys(range(len(nodes)), status)
    refusals = {node.name: status for node in nodes}
    return _with_preemption(pod, snapshot, statuses, refusals, engine, prefilter=refused.message)


def _with_preemption(
    pod: PodInfo,
    snapshot: Snapshot,
    statuses: Mapping[int, Status],
    refusals: Mapping[str, Status],
    engine: Engine,
    prefilter: str = "",
) -> Decision:
    nodes: Sequence[Any] = snapshot.core.nodes
    counted = histogram(statuses.values())
    if not snapshot.profile.preemption:
        return Decision(None, fit_error(len(nodes), counted, prefilter=prefilter), refusals)
    outcome = preempt(pod, snapshot, statuses, engine)
    message = fit_error(len(nodes), counted, prefilter=prefilter, postfilter=outcome.message)
    if outcome.node is None:
        return Decision(None, message, refusals)
    return Decision(
        None,
        message,
        refusals,
        victims=tuple(victim.key for victim in outcome.victims),
        nominated=nodes[outcome.node].name,
        displacements=tuple(
            Displacement(nodes[item.node].name, tuple(victim.key for victim in item.victims), item.violations)
            for item in outcome.candidates
        ),
    )
