"""Can every rollout finish?"""

from __future__ import annotations

from collections.abc import Iterator

from models.findings import Severity
from sim.checks.check import Check, Defect
from sim.checks.patch import patch
from sim.standing import Standing

IN_PLACE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}


def rollout_stuck(standing: Standing) -> Iterator[Defect]:
    """A Deployment whose surge pod is refused or finds no node, and that may not take an old pod away first."""
    for check in standing.rollouts:
        if check.verdict != "stuck" or (not standing.hardware_known and "nodes are available" in check.reason):
            continue
        workload = standing.workloads[check.workload]
        yield Defect(
            f"A rollout of {check.workload} never finishes",
            workload.object,
            "spec.strategy",
            (check.strategy, check.reason),
            "leave room for the surge pod, or let the old pod go first",
            patch(workload.object, spec={"strategy": IN_PLACE}),
        )


CHECKS = (Check("ROLLOUT-STUCK", Severity.ERROR, "a rollout of the workload alone never finishes", rollout_stuck),)
