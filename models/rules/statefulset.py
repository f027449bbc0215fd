"""What a StatefulSet's controller does next.

Source: ``pkg/controller/statefulset/stateful_set_control.go`` (``updateStatefulSet``, ``processReplica``,
``processCondemned``, ``updateStatefulSetAfterInvariantEstablished``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from models.objects import Manifest, dig
from models.rules.rollout import IntOrPercent, int_or_percent


@dataclass(frozen=True)
class Replica:
    """One pod of the set that exists. ``updated``: it carries the newest revision."""

    ordinal: int
    updated: bool = True
    available: bool = True
    terminating: bool = False
    finished: bool = False

    @property
    def healthy(self) -> bool:
        """Available and not on its way out."""
        return self.available and not self.terminating and not self.finished


@dataclass(frozen=True)
class StatefulSetRule:
    """The parts of a StatefulSet's spec that decide; ``max_unavailable`` None: one at a time, as before 1.37."""

    replicas: int
    parallel: bool = False
    on_delete: bool = False
    partition: int = 0
    max_unavailable: IntOrPercent | None = None
    start: int = 0


@dataclass(frozen=True)
class Step:
    """Create or delete the pod of an ordinal; ``updated``: a created pod gets the newest revision."""

    verb: Literal["create", "delete"]
    ordinal: int
    updated: bool = True


def statefulset_rule(manifest: Manifest) -> StatefulSetRule:
    """The rule of a StatefulSet manifest with the API's defaults."""
    rolling = dig(manifest, "spec", "updateStrategy", "rollingUpdate", default={})
    return StatefulSetRule(
        replicas=int(dig(manifest, "spec", "replicas", default=1)),
        parallel=dig(manifest, "spec", "podManagementPolicy") == "Parallel",
        on_delete=dig(manifest, "spec", "updateStrategy", "type") == "OnDelete",
        partition=int(dig(rolling, "partition", default=0)),
        max_unavailable=dig(rolling, "maxUnavailable"),
        start=int(dig(manifest, "spec", "ordinals", "start", default=0)),
    )


def statefulset_steps(rule: StatefulSetRule, pods: Sequence[Replica]) -> tuple[Step, ...]:
    """What one pass of the controller does; empty when it waits or is done.

    OrderedReady goes up one ordinal at a time and waits for each to be available, then scales down from the top, then
    updates; one step per pass, except that ``max_unavailable`` pods may be replaced at once. Parallel does not wait.
    """
    wanted = range(rule.start, rule.start + rule.replicas)
    living = {pod.ordinal: pod for pod in pods if pod.ordinal in wanted}
    condemned = sorted((pod for pod in pods if pod.ordinal not in wanted), key=lambda pod: -pod.ordinal)
    steps: list[Step] = []
    for ordinal in wanted:
        step = _living_step(rule, living.get(ordinal), ordinal)
        steps += [step] if step else []
        blocked = step is not None or not living[ordinal].healthy
        if blocked and not rule.parallel:
            return tuple(steps)
    unhealthy = next((pod for pod in reversed(condemned) if not pod.healthy), None)
    for pod in condemned:
        if not rule.parallel:
            waits = pod.terminating or (not pod.healthy and pod is not unhealthy)
            return () if waits else (Step("delete", pod.ordinal),)
        if not pod.terminating:
            steps.append(Step("delete", pod.ordinal))
    if steps or rule.on_delete:
        return tuple(steps)
    return _update_steps(rule, [living[ordinal] for ordinal in wanted])


def statefulset_max_unavailable(value: IntOrPercent | None, replicas: int) -> int:
    """maxUnavailable in pods: percentages round down, never below 1 (``getStatefulSetMaxUnavailable``)."""
    return max(1, int_or_percent(1 if value is None else value, replicas, round_up=False))


def _living_step(rule: StatefulSetRule, pod: Replica | None, ordinal: int) -> Step | None:
    if pod is None:
        # Ordinals under the partition are re-created as they were.
        return Step("create", ordinal, updated=ordinal >= rule.start + rule.partition)
    if pod.finished and not pod.terminating:
        return Step("delete", ordinal)
    return None


def _update_steps(rule: StatefulSetRule, living: Sequence[Replica]) -> tuple[Step, ...]:
    targets = list(reversed(living[rule.partition :]))
    if rule.max_unavailable is None:
        for pod in targets:
            if not pod.updated and not pod.terminating:
                return (Step("delete", pod.ordinal),)
            if not pod.healthy:
                return ()
        return ()
    missing = sum(not pod.healthy for pod in living)
    budget = statefulset_max_unavailable(rule.max_unavailable, rule.replicas) - missing
    stale = [pod for pod in targets if not pod.updated and not pod.terminating]
    if rule.parallel:
        broken = [pod for pod in stale if not pod.healthy]
        chosen = broken + [pod for pod in stale if pod.healthy][: max(0, budget)]
    else:
        chosen = stale[: max(0, budget)]
    return tuple(Step("delete", pod.ordinal) for pod in chosen)
