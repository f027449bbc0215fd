"""Priority of a pod from its PriorityClass.

Source: ``plugin/pkg/admission/priority/admission.go``, ``pkg/apis/scheduling/types.go``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from models.objects import Manifest, dig

HIGHEST_USER_PRIORITY: Final = 1_000_000_000
"""Largest value a user's PriorityClass may have."""

SYSTEM_CRITICAL_PRIORITY: Final = 2 * HIGHEST_USER_PRIORITY
"""Where the priorities of critical system pods begin; such pods are not evicted by the kubelet."""

SYSTEM_CLASSES: Final = {
    "system-cluster-critical": SYSTEM_CRITICAL_PRIORITY,
    "system-node-critical": SYSTEM_CRITICAL_PRIORITY + 1000,
}
"""Classes that exist in every cluster (pkg/apis/scheduling/v1/helpers.go)."""


def resolve_priority(pod: Manifest, classes: Iterable[Manifest]) -> tuple[int, str]:
    """Priority and preemption policy that admission gives the pod.

    ``classes``: the cluster's PriorityClass manifests; the two system classes need not be among them.
    Raises ValueError with the API server's message when the class is missing or the pod states another priority.
    """
    known = list(classes)
    priority, policy = _from_class(pod, known)
    stated = dig(pod, "spec", "priority")
    if stated is not None and stated != priority:
        raise ValueError(
            _forbidden(
                pod,
                f"the integer value of priority ({stated}) must not be provided in pod spec; "
                f"priority admission controller computed {priority} from the given PriorityClass name",
            )
        )
    asked = dig(pod, "spec", "preemptionPolicy")
    if asked is not None and asked != policy:
        raise ValueError(
            _forbidden(
                pod,
                f"the string value of PreemptionPolicy ({asked}) must not be provided in pod spec; "
                f"priority admission controller computed {policy} from the given PriorityClass name",
            )
        )
    return priority, policy


def global_default(classes: Iterable[Manifest]) -> Manifest | None:
    """The class given to pods that name none; of several the one with the lowest value."""
    defaults = [item for item in classes if item.get("globalDefault") is True]
    return min(defaults, key=_value, default=None)


def priority_class_name(pod: Manifest, classes: Iterable[Manifest]) -> str:
    """The class name that the stored pod carries: its own, or the global default's, or ""."""
    named = dig(pod, "spec", "priorityClassName", default="")
    return str(named or dig(global_default(classes), "metadata", "name", default=""))


def _from_class(pod: Manifest, classes: list[Manifest]) -> tuple[int, str]:
    name = dig(pod, "spec", "priorityClassName", default="")
    if not name:
        default = global_default(classes)
        return (0, "PreemptLowerPriority") if default is None else (_value(default), _policy(default))
    for item in classes:
        if dig(item, "metadata", "name") == name:
            return _value(item), _policy(item)
    if name in SYSTEM_CLASSES:
        return SYSTEM_CLASSES[name], "PreemptLowerPriority"
    raise ValueError(_forbidden(pod, f"no PriorityClass with name {name} was found"))


def _value(item: Manifest) -> int:
    return int(dig(item, "value", default=0))


def _policy(item: Manifest) -> str:
    return str(dig(item, "preemptionPolicy", default="PreemptLowerPriority"))


def _forbidden(pod: Manifest, reason: str) -> str:
    name = dig(pod, "metadata", "name") or dig(pod, "metadata", "generateName") or "Unknown"
    return f'pods "{name}" is forbidden: {reason}'
