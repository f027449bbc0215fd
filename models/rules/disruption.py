"""PodDisruptionBudgets, evictions through the API, and what ``kubectl drain`` says.

Source: ``pkg/controller/disruption/disruption.go``, ``pkg/registry/core/pod/storage/eviction.go``,
``kubectl/pkg/drain/filters.go``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from models.objects import Manifest, dig, string_map
from models.rules.rollout import int_or_percent

REFUSED: Final = "Cannot evict pod as it would violate the pod's disruption budget."
SEVERAL_BUDGETS: Final = (
    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
)


@dataclass(frozen=True)
class BudgetStatus:
    """The status that the disruption controller computes."""

    expected: int
    desired_healthy: int
    current_healthy: int
    disruptions_allowed: int


@dataclass(frozen=True)
class DrainVerdict:
    """What draining its node does to one pod.

    ``outcome``: ``evicted``; ``skipped`` (stays, the drain goes on); ``refused`` (the drain stops until a flag is
    given); ``blocked`` (the budget says no, kubectl retries every 5 s for ever).
    """

    outcome: Literal["evicted", "skipped", "refused", "blocked"]
    message: str = ""
    cause: str = ""


def selects(selector: Any, labels: Any) -> bool:
    """Whether a label selector matches: null matches nothing, ``{}`` everything."""
    if not isinstance(selector, dict):
        return False
    have = string_map(labels)
    if any(have.get(key) != value for key, value in string_map(selector.get("matchLabels")).items()):
        return False
    return all(_requirement(item, have) for item in selector.get("matchExpressions") or [])


def budgets_of(pod: Manifest, budgets: Iterable[Manifest]) -> list[Manifest]:
    """The budgets of the pod's namespace that select it."""
    home = dig(pod, "metadata", "namespace", default="")
    labels = dig(pod, "metadata", "labels")
    return [
        budget
        for budget in budgets
        if dig(budget, "metadata", "namespace", default="") == home and selects(dig(budget, "spec", "selector"), labels)
    ]


def desired_healthy(budget: Manifest, pods: int, scale: int) -> tuple[int, int]:
    """(expected pods, pods that must stay healthy) (``getExpectedPodCount``).

    ``pods``: pods selected; ``scale``: sum of the replicas of their controllers, the base of percentages and of
    maxUnavailable. Both percentages round up. Raises ValueError on a bad value.
    """
    maximum = dig(budget, "spec", "maxUnavailable")
    minimum = dig(budget, "spec", "minAvailable")
    if maximum is not None:
        return scale, max(0, scale - int_or_percent(maximum, scale, round_up=True))
    if minimum is None:
        return 0, 0
    if isinstance(minimum, int):
        return pods, minimum
    return scale, int_or_percent(minimum, scale, round_up=True)


def budget_status(budget: Manifest, pods: int, scale: int, healthy: int) -> BudgetStatus:
    """The budget's status with ``healthy`` of its pods ready and not terminating (``updatePdbStatus``)."""
    expected, desired = desired_healthy(budget, pods, scale)
    allowed = max(0, healthy - desired) if expected > 0 else 0
    return BudgetStatus(expected, desired, healthy, allowed)


def disruptions_allowed(budget: Manifest, pods: int, scale: int, healthy: int) -> int:
    """How many of the budget's pods may be evicted now."""
    return budget_status(budget, pods, scale, healthy).disruptions_allowed


def eviction_refusal(pod: Manifest, budgets: Sequence[tuple[Manifest, BudgetStatus]]) -> tuple[str, str] | None:
    """The API server's (message, cause) when it does not let the pod be evicted, else None.

    ``budgets``: those that select the pod. Finished, pending and terminating pods are not protected; an unready pod
    goes if its budget says AlwaysAllow or the application is healthy enough without it.
    """
    pending_or_done = dig(pod, "status", "phase") in ("Succeeded", "Failed", "Pending")
    if pending_or_done or dig(pod, "metadata", "deletionTimestamp") is not None:
        return None
    if len(budgets) > 1:
        return SEVERAL_BUDGETS, ""
    if not budgets:
        return None
    budget, status = budgets[0]
    if not is_ready(pod):
        if dig(budget, "spec", "unhealthyPodEvictionPolicy") == "AlwaysAllow":
            return None
        if status.current_healthy >= status.desired_healthy > 0:
            return None
    if status.disruptions_allowed > 0:
        return None
    name = dig(budget, "metadata", "name", default="")
    if status.current_healthy <= status.desired_healthy:
        needs = f"needs {status.desired_healthy} healthy pods and has {status.current_healthy} currently"
        return REFUSED, f"The disruption budget {name} {needs}"
    return REFUSED, f"The disruption budget {name} does not allow evicting pods currently"


def drain_verdict(
    pod: Manifest,
    budgets: Sequence[tuple[Manifest, BudgetStatus]] = (),
    *,
    force: bool = False,
    ignore_daemon_sets: bool = True,
    delete_empty_dir: bool = True,
) -> DrainVerdict:
    """What ``kubectl drain`` does with a pod, with the flags people use (filters.go, in its order)."""
    name = f"{dig(pod, 'metadata', 'namespace', default='')}/{dig(pod, 'metadata', 'name', default='')}"
    owner = next((ref for ref in dig(pod, "metadata", "ownerReferences", default=[]) if ref.get("controller")), None)
    finished = dig(pod, "status", "phase") in ("Succeeded", "Failed")
    if "kubernetes.io/config.mirror" in dig(pod, "metadata", "annotations", default={}):
        return DrainVerdict("skipped", "mirror pod")
    if owner is not None and owner.get("kind") == "DaemonSet" and not finished:
        if ignore_daemon_sets:
            return DrainVerdict("skipped", f"ignoring DaemonSet-managed Pods: {name}")
        text = f"cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): {name}"
        return DrainVerdict("refused", text)
    if not finished and not delete_empty_dir and _uses_empty_dir(pod):
        text = f"cannot delete Pods with local storage (use --delete-emptydir-data to override): {name}"
        return DrainVerdict("refused", text)
    if owner is None and not finished and not force:
        # kubectl says "cannot delete" twice here.
        text = f"cannot delete cannot delete Pods that declare no controller (use --force to override): {name}"
        return DrainVerdict("refused", text)
    refusal = eviction_refusal(pod, budgets)
    return DrainVerdict("evicted") if refusal is None else DrainVerdict("blocked", *refusal)


def is_ready(pod: Manifest) -> bool:
    """Whether the pod's Ready condition is True."""
    conditions = dig(pod, "status", "conditions", default=[])
    return any(dig(item, "type") == "Ready" and dig(item, "status") == "True" for item in conditions)


def _uses_empty_dir(pod: Manifest) -> bool:
    return any(dig(volume, "emptyDir") is not None for volume in dig(pod, "spec", "volumes", default=[]))


def _requirement(item: dict[str, Any], labels: Any) -> bool:
    key, operator = item.get("key"), item.get("operator")
    values = [str(value) for value in item.get("values") or []]
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    return bool((key in labels) is (operator == "Exists")) if operator in ("Exists", "DoesNotExist") else False
