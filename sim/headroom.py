"""What is left of every quota when one workload at a time is rolled out, and whether that rollout can finish.

Deterministic, no clock: :mod:`sim.rollouts.search` decides, over every order of events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from models.platform import Workload
from models.rules.quantity import ZERO, Quantity, parse_quantity
from models.rules.rollout import max_surge, max_unavailable, strategy_of
from sim.placement import Placement
from sim.platform.workloads import make_pod
from sim.rollouts.start import NEXT_REVISION
from sim.rollouts.verdict import Ending, judge_rollouts

MOST_STATES = 20_000
"""One workload alone has a handful of states; more only with many replicas on tight nodes."""


@dataclass(frozen=True)
class RolloutCheck:
    """Whether a rollout of one workload alone can finish, and why not; ``may get stuck``: it depends on the order of
    events, or on the node that the scheduler takes."""

    workload: str
    strategy: str
    verdict: Ending
    reason: str
    peak: Mapping[tuple[str, str, str], Quantity]
    """Use of each (namespace, quota, key) while all its surge pods exist: what the rollout needs."""


@dataclass(frozen=True)
class QuotaHeadroom:
    """One quota key: limit, use at rest, use at the largest single rollout, free share at that peak."""

    namespace: str
    quota: str
    key: str
    hard: str
    used_rest: str
    used_peak: str
    peak_workload: str
    headroom: float
    verdict: str


def rollout_checks(placement: Placement) -> list[RolloutCheck]:
    """Every Deployment of the platform, rolled out alone."""
    return [
        _check(placement, workload)
        for workload in placement.platform.workloads
        if workload.controller == "Deployment" and workload.replicas
    ]


def surge_peak(placement: Placement, workload: Workload) -> dict[tuple[str, str, str], Quantity]:
    """Use of each (namespace, quota, key) while all surge pods of a Deployment's rollout exist, refused or not.

    Old pods that are being deleted hold a new one up only until their grace ends; they are not counted on top.
    """
    ledger = placement.ledger.copy()
    surge = max_surge(strategy_of(workload.object.manifest), workload.replicas or 0)
    for number in range(surge):
        ledger.charge(placement.gate.prepare(make_pod(workload, number, NEXT_REVISION)).manifest)
    rows = ledger.rows(workload.namespace)
    return {(namespace, quota, key): parse_quantity(used) for namespace, quota, key, used, _ in rows}


def _check(placement: Placement, workload: Workload) -> RolloutCheck:
    rules = strategy_of(workload.object.manifest)
    replicas = workload.replicas or 0
    surge, unavailable = max_surge(rules, replicas), max_unavailable(rules, replicas)
    text = rules.kind if rules.kind == "Recreate" else f"RollingUpdate, surge {surge}, unavailable {unavailable}"
    found = judge_rollouts(placement, [workload], alone=True, simulate=False, states=MOST_STATES)
    reason = found.reasons.get(workload.id, "") if found.verdict != "completes" else ""
    return RolloutCheck(workload.id, text, found.verdict, reason, surge_peak(placement, workload))


def quota_headroom(placement: Placement, checks: Iterable[RolloutCheck], wanted: float) -> list[QuotaHeadroom]:
    """Every quota key, tightest first. ``wanted``: the share that should stay free (below it: tight)."""
    checks = list(checks)
    rows = []
    for use in placement.quota_uses():
        where = (use.namespace, use.quota, use.key)
        rest, hard = parse_quantity(use.used), parse_quantity(use.hard)
        peak, workload = rest, ""
        for check in checks:
            amount = check.peak.get(where, ZERO)
            if amount > peak:
                peak, workload = amount, check.workload
        refused = next((c for c in checks if c.verdict == "stuck" and _names(c.reason, use.quota, use.key)), None)
        waiting = any(
            pod.state == "refused" and _names(pod.message, use.quota, use.key) and pod.namespace == use.namespace
            for pod in placement.pods
        )
        # A limit of 0 forbids the thing on purpose: nothing is missing while nothing is used.
        free = (hard.nano - peak.nano) / hard.nano if hard.nano else float(not peak.nano)
        verdict = "fits" if free >= wanted else "tight"
        if refused is not None:
            verdict, workload = "rollout refused", refused.workload
        if waiting:
            verdict = "restart refused"
        rows.append(
            QuotaHeadroom(use.namespace, use.quota, use.key, use.hard, use.used, str(peak), workload, free, verdict)
        )
    return sorted(rows, key=lambda row: (row.headroom, row.namespace, row.quota, row.key))


def _names(message: str, quota: str, key: str) -> bool:
    return f"quota: {quota}," in message.replace(f"quota: {quota}:", f"quota: {quota},") and key in message
