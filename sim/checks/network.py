"""Policies and budgets that protect nothing. What policies drop is told by the graph (GRAPH-POLICY-FORBIDS)."""

from __future__ import annotations

from collections.abc import Iterator

from models.findings import Severity
from models.objects import KubeObject
from models.operators.make import mapping
from sim.checks.check import Check, Defect, subject_of
from sim.checks.labels import meant, said
from sim.checks.look import Look
from sim.checks.patch import patch

_WRITTEN = ("manifest", "generated", "chart")


def policy_selects_nothing(look: Look) -> Iterator[Defect]:
    """A NetworkPolicy whose pod selector matches no pod."""
    for policies in look.platform.network_policies.values():
        for policy in policies:
            selector = mapping(policy.spec.get("podSelector"))
            if selector:
                yield from _empty(look, policy, "podSelector", "it protects and allows nothing")


def budget_selects_nothing(look: Look) -> Iterator[Defect]:
    """A PodDisruptionBudget whose selector matches no pod."""
    for budget in look.platform.pdbs:
        if "selector" in budget.spec:
            yield from _empty(look, budget, "selector", "drains may take every pod that it means to keep")


def _empty(look: Look, item: KubeObject, field: str, effect: str) -> Iterator[Defect]:
    selector = mapping(item.spec.get(field))
    if item.origin.provenance not in _WRITTEN or look.platform.select_workloads(item.namespace, selector):
        return
    hidden = look.unseen(item.namespace)
    sparse = look.sparse(item.namespace)
    labels = mapping(selector.get("matchLabels"))
    close = meant(look, item.namespace, item.name, labels)
    yield Defect(
        f"{subject_of(item)} selects no pod: {effect}",
        item,
        f"spec.{field}",
        (f"selector: {said(labels)}", *(f"not read: {text}" for text in hidden[:3])),
        f"select the labels of {close[0]}" if close else "make the selector match the labels of a pod template",
        patch(item, spec={field: {"matchLabels": close[1]}}) if close else "",
        severity=Severity.INFO if hidden or sparse else None,
    )


CHECKS = (
    Check("POLICY-SELECTS-NOTHING", Severity.WARNING, "a NetworkPolicy selects no pod", policy_selects_nothing),
    Check("BUDGET-SELECTS-NOTHING", Severity.WARNING, "a PodDisruptionBudget selects no pod", budget_selects_nothing),
)
