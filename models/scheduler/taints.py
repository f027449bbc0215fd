"""Taints and tolerations.

Sources: k8s.io/api core/v1/toleration.go, component-helpers/scheduling/corev1/helpers.go,
pkg/scheduler/framework/plugins/tainttoleration.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from models.scheduler.selectors import parse_int64

_PLAIN_INTEGER = re.compile(r"0|-?[1-9][0-9]*")


class Taint(NamedTuple):
    """A taint of a node; ``effect`` is NoSchedule, PreferNoSchedule or NoExecute."""

    key: str
    value: str
    effect: str


class Toleration(NamedTuple):
    """A toleration of a pod; an empty ``effect`` covers all effects, an empty ``key`` all keys."""

    key: str
    operator: str
    value: str
    effect: str

    def tolerates(self, taint: Taint) -> bool:
        """Whether this toleration covers ``taint``."""
        if self.effect and self.effect != taint.effect:
            return False
        if self.key and self.key != taint.key:
            return False
        if self.operator in ("", "Equal"):
            return self.value == taint.value
        if self.operator == "Exists":
            return True
        if self.operator in ("Gt", "Lt"):
            return _compare(self.operator, taint.value, self.value)
        return False


def _compare(operator: str, taint_value: str, bound: str) -> bool:
    """Numeric operators read both sides as canonical int64 text: no plus sign, no leading zero, no fraction."""
    if not _PLAIN_INTEGER.fullmatch(taint_value) or not _PLAIN_INTEGER.fullmatch(bound):
        return False
    left, right = parse_int64(taint_value), parse_int64(bound)
    if left is None or right is None:
        return False
    return left > right if operator == "Gt" else left < right


UNSCHEDULABLE = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")
"""The taint whose toleration also bypasses ``spec.unschedulable``."""


def tolerated(taint: Taint, tolerations: Iterable[Toleration]) -> bool:
    """Whether any of ``tolerations`` covers ``taint``."""
    return any(item.tolerates(taint) for item in tolerations)


def first_untolerated(taints: Iterable[Taint], tolerations: tuple[Toleration, ...]) -> Taint | None:
    """The first NoSchedule or NoExecute taint that no toleration covers; PreferNoSchedule never filters."""
    for taint in taints:
        if taint.effect in ("NoSchedule", "NoExecute") and not tolerated(taint, tolerations):
            return taint
    return None


def count_untolerated_preferences(taints: Iterable[Taint], tolerations: Iterable[Toleration]) -> int:
    """The number of PreferNoSchedule taints that no toleration with that effect (or no effect) covers."""
    relevant = tuple(item for item in tolerations if item.effect in ("", "PreferNoSchedule"))
    return sum(1 for taint in taints if taint.effect == "PreferNoSchedule" and not tolerated(taint, relevant))
