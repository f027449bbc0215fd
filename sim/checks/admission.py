"""Would the API server let the pods come back?"""

from __future__ import annotations

from collections.abc import Iterator

from models.findings import Severity
from sim.checks.check import Check, Defect
from sim.standing import Standing


def restart_refused(standing: Standing) -> Iterator[Defect]:
    """A pod that the API server refuses when everything starts: a missing value, or too little left of a quota."""
    for pod in standing.placement.waiting:
        if pod.state != "refused":
            continue
        workload = standing.workloads[pod.workload]
        yield Defect(
            f"{pod.key} is refused when it is created again",
            workload.object,
            "spec.template.spec",
            (pod.message,),
            "give every container and init container the values that the quota tracks, or raise the quota",
        )


CHECKS = (Check("RESTART-REFUSED", Severity.ERROR, "the API server refuses a pod that restarts", restart_refused),)
