"""Can every update finish?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from models.findings import Severity
from models.platform import Workload
from models.rules.daemonset import daemon_limits
from models.scheduler import schedule_pod
from sim.checks.check import Check, Defect
from sim.checks.look import Look
from sim.checks.patch import patch
from sim.placement import PlacedPod
from sim.platform.workloads import make_pod

IN_PLACE: Final = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
_NODES = "nodes are available"
_SURGE_NUMBER = 1_000_000


def rollout_stuck(look: Look) -> Iterator[Defect]:
    """A Deployment whose surge pod is refused or finds no node, and that may not take an old pod away first.

    Workloads whose pods do not even come back one by one are told by other rules.
    """
    for check in look.rollouts:
        workload = look.standing.workloads[check.workload]
        if check.verdict not in ("stuck", "may get stuck") or _told(look, workload, check.reason):
            continue
        yield Defect(
            f"A rollout of {check.workload} {'never finishes' if check.verdict == 'stuck' else 'may never finish'}",
            workload.object,
            "spec.strategy",
            (check.strategy, check.reason),
            "leave room for the surge pod, or let the old pod go first",
            "" if workload.provenance == "derived" else patch(workload.object, spec={"strategy": IN_PLACE}),
            severity=None if check.verdict == "stuck" else Severity.WARNING,
        )
    for workload in look.platform.workloads:
        if workload.controller == "DaemonSet":
            yield from _daemon_set(look, workload)


def _told(look: Look, workload: Workload, reason: str) -> bool:
    if not look.standing.hardware_known and _NODES in reason:
        return True
    restart = look.restarts.get(workload.id)
    if restart is not None and restart.message:
        return True
    if "ReadWriteOncePod" in reason:
        return True
    return _NODES in reason and any(pod.state == "pending" for pod in look.pods_of(workload))


def _daemon_set(look: Look, workload: Workload) -> Iterator[Defect]:
    """A DaemonSet that starts the new pod beside the old one (maxSurge), on a node that has no room for both."""
    pods = [pod for pod in look.pods_of(workload) if pod.state == "placed"]
    surge, _ = daemon_limits(dict(workload.object.manifest), len(pods))
    restart = look.restarts.get(workload.id)
    if not surge or (restart is not None and restart.message):
        return
    for pod in pods:
        reason = _surge_refused(look, workload, pod)
        if reason and (look.standing.hardware_known or _NODES not in reason):
            yield Defect(
                f"An update of {workload.id} never finishes: on {pod.node} its new pod does not fit beside the old one",
                workload.object,
                "spec.updateStrategy.rollingUpdate.maxSurge",
                (f"surge {surge}", reason),
                "let the old pod go first (maxSurge 0, maxUnavailable 1)",
                "" if workload.provenance == "derived" else patch(workload.object, spec={"updateStrategy": IN_PLACE}),
            )
            return


def _surge_refused(look: Look, workload: Workload, pod: PlacedPod) -> str:
    prepared = look.placement.gate.prepare(make_pod(workload, _SURGE_NUMBER, node=pod.node or ""))
    message = prepared.message or look.ledger.copy().try_admit(prepared.manifest).message
    if message:
        return message
    decision = schedule_pod(prepared.manifest, look.placement.snapshot)
    return decision.message if decision.node is None else ""


CHECKS = (
    Check(
        "ROLLOUT-STUCK",
        Severity.ERROR,
        "a rollout of the workload alone never finishes: quota or nodes have no room for the surge pod",
        rollout_stuck,
    ),
)
