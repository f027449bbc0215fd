"""Can every node be drained?"""

from __future__ import annotations

from collections.abc import Iterator

from models.findings import Severity
from models.objects import KubeObject
from models.operators.make import mapping
from models.platform import Workload
from models.rules.disruption import REFUSED, SEVERAL_BUDGETS, budget_status
from sim.checks.check import Check, Defect, subject_of
from sim.checks.look import Look
from sim.checks.patch import patch


def budget_forbids_drain(look: Look) -> Iterator[Defect]:
    """A budget that lets no pod go even while all of them are healthy: a drain of their node never ends."""
    for budget in look.platform.pdbs:
        workloads = _selected(look, budget)
        pods = sum(item.replicas or 0 for item in workloads)
        if not pods:
            continue
        cluster = _database(look, budget)
        if cluster is not None and pods > 1:
            # The operator makes another instance the primary before the pod goes.
            continue
        try:
            status = budget_status(budget.manifest, pods, pods, pods)
        except ValueError:
            continue
        if status.disruptions_allowed:
            continue
        spec = budget.spec
        asked = (
            f"maxUnavailable {spec['maxUnavailable']}"
            if spec.get("maxUnavailable") is not None
            else f"minAvailable {spec.get('minAvailable')}"
        )
        subject = cluster or budget
        yield Defect(
            f"{subject_of(budget)} lets none of {pods} pod{'s' if pods > 1 else ''} go: a drain of the node never ends",
            subject,
            "spec.enablePDB" if cluster else f"spec.{asked.partition(' ')[0]}",
            (
                f"{asked}, {pods} pods, {status.desired_healthy} must stay healthy",
                *(f"selects {item.id} ({item.replicas} replicas)" for item in workloads),
                REFUSED,
            ),
            "switch the budget off while there is one instance (enablePDB: false)"
            if cluster
            else "let one pod go (maxUnavailable 1), or run one replica more than must stay",
            patch(cluster, spec={"enablePDB": False})
            if cluster
            else ""
            if budget.origin.provenance == "derived"
            else patch(budget, spec={"minAvailable": None, "maxUnavailable": 1}),
            # With a single node there is nowhere to drain to.
            severity=Severity.INFO if look.standing.hardware_known and len(look.standing.cluster.nodes) == 1 else None,
        )


def budgets_overlap(look: Look) -> Iterator[Defect]:
    """A pod with two budgets, which the eviction API refuses whatever they say."""
    selecting: dict[str, list[KubeObject]] = {}
    for budget in look.platform.pdbs:
        if _database(look, budget) is None:
            for workload in _selected(look, budget):
                selecting.setdefault(workload.id, []).append(budget)
    for name, budgets in selecting.items():
        if len({budget.name for budget in budgets}) < 2:
            continue
        yield Defect(
            f"Pods of {name} have {len(budgets)} disruption budgets: none of them can be evicted, a drain never ends",
            budgets[1],
            "spec.selector",
            (*(f"{subject_of(item)} is at {item.origin}" for item in budgets), SEVERAL_BUDGETS),
            "keep one of the budgets",
        )


def _selected(look: Look, budget: KubeObject) -> tuple[Workload, ...]:
    selector = budget.spec.get("selector")
    found = look.platform.select_workloads(budget.namespace, mapping(selector) if selector is not None else None)
    return tuple(item for item in found if item.controller not in ("Job", "CronJob", "DaemonSet"))


def _database(look: Look, budget: KubeObject) -> KubeObject | None:
    """The CNPG cluster that the operator made the budget for."""
    if budget.origin.provenance != "derived":
        return None
    name = mapping(mapping(budget.spec.get("selector")).get("matchLabels")).get("cnpg.io/cluster")
    return look.platform.get("Cluster", budget.namespace, str(name)) if name else None


CHECKS = (
    Check(
        "BUDGET-FORBIDS-DRAIN",
        Severity.WARNING,
        "a disruption budget that forbids every drain",
        budget_forbids_drain,
    ),
    Check("BUDGETS-OVERLAP", Severity.WARNING, "two disruption budgets select one pod", budgets_overlap),
)
