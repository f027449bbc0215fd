"""What is left of every quota when one workload at a time is rolled out, and whether that rollout can finish.

Deterministic: admission and scheduling of the surge pods on the platform at rest, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from models.platform import Workload
from models.rules.quantity import ZERO, Quantity, parse_quantity
from models.rules.rollout import max_surge, max_unavailable, strategy_of
from models.scheduler import schedule_pod
from sim.placement import Placement, tie_breaker
from sim.platform.workloads import make_pod

NEXT_REVISION = 2


@dataclass(frozen=True)
class RolloutCheck:
    """Whether a rollout of one workload alone can finish: ``completes`` or ``stuck``, and why not."""

    workload: str
    strategy: str
    verdict: str
    reason: str
    peak: Mapping[tuple[str, str, str], Quantity]
    """Use of each (namespace, quota, key) while its surge pods exist."""


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


def _check(placement: Placement, workload: Workload) -> RolloutCheck:
    rules = strategy_of(workload.object.manifest)
    replicas = workload.replicas or 0
    surge, unavailable = max_surge(rules, replicas), max_unavailable(rules, replicas)
    recreate = rules.kind == "Recreate"
    text = "Recreate" if recreate else f"RollingUpdate, surge {surge}, unavailable {unavailable}"
    ledger, snapshot = placement.ledger.copy(), placement.snapshot
    pods = placement.by_workload.get(workload.id, ())
    if recreate or not surge:
        # Old pods go first, so that the new ones take their room.
        for pod in pods if recreate else pods[:unavailable]:
            ledger.release(pod.key)
            if pod.node is not None:
                snapshot = snapshot.without_pod(pod.key)
    wanted = replicas if recreate else surge or unavailable
    peak: dict[tuple[str, str, str], Quantity] = {}
    reason, admitted = "", 0
    for number in range(wanted):
        prepared = placement.gate.prepare(make_pod(workload, number, NEXT_REVISION))
        reason = prepared.message or ledger.try_admit(prepared.manifest).message
        if reason:
            break
        decision = schedule_pod(
            prepared.manifest, snapshot, tie_breaker=tie_breaker(placement.seed, 0, f"rollout/{workload.id}/{number}")
        )
        if decision.node is None:
            reason = decision.message
            break
        snapshot = snapshot.with_pod(prepared.manifest, decision.node)
        admitted += 1
    for namespace, quota, key, used, _ in ledger.rows(workload.namespace):
        peak[(namespace, quota, key)] = parse_quantity(used)
    # A rollout that may take old pods away goes on without its surge pod: it makes its own room.
    stuck = bool(reason) and not admitted and (recreate or not unavailable or not surge)
    return RolloutCheck(workload.id, text, "stuck" if stuck else "completes", reason if stuck else "", peak)


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
