"""Deployment rollout arithmetic: fence posts, new and old ReplicaSets, proportional scaling, progress.

Source: ``pkg/controller/deployment/{rolling,recreate,sync,progress}.go``, ``util/deployment_util.go``,
``apimachinery/pkg/util/intstr/intstr.go``, defaults from ``pkg/apis/apps/v1/defaults.go``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from models.objects import Manifest, dig

IntOrPercent = int | str

DEFAULT_FENCE_POST: Final = "25%"
DEFAULT_PROGRESS_DEADLINE_S: Final = 600

_GO_INTEGER: Final = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True)
class Strategy:
    """How a Deployment replaces its pods; ``max_surge`` and ``max_unavailable`` as written (RollingUpdate only)."""

    kind: Literal["RollingUpdate", "Recreate"] = "RollingUpdate"
    max_surge: IntOrPercent = DEFAULT_FENCE_POST
    max_unavailable: IntOrPercent = DEFAULT_FENCE_POST


@dataclass(frozen=True)
class ReplicaSetState:
    """A ReplicaSet as the Deployment controller sees it.

    ``replicas``: asked for (spec); ``available``: ready for minReadySeconds; ``created``: rank of creation, small is
    old; ``desired``, ``max_replicas``: the annotations of the last scaling (deployment.kubernetes.io/...), None when
    absent.
    """

    name: str
    replicas: int
    available: int = 0
    created: int = 0
    desired: int | None = None
    max_replicas: int | None = None


@dataclass(frozen=True)
class RolloutState:
    """Everything that one pass of the Deployment controller looks at.

    ``replicas``: the Deployment's; ``new``: the ReplicaSet of the current template, None before it exists;
    ``old``: all others; ``old_pods``: pods of old ReplicaSets that have not finished, terminating ones included
    (Recreate waits for them); ``status_replicas``: the Deployment's status.replicas.
    """

    replicas: int
    strategy: Strategy
    new: ReplicaSetState | None
    old: tuple[ReplicaSetState, ...] = ()
    old_pods: int = 0
    status_replicas: int = 0
    paused: bool = False


@dataclass(frozen=True)
class Scale:
    """Set a ReplicaSet to a size; ``create`` when it does not exist yet (``name`` is then empty)."""

    name: str
    replicas: int
    create: bool = False


@dataclass(frozen=True)
class Progress:
    """The counters of a Deployment's status that progress is judged by."""

    replicas: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0
    observed_generation: int = 0


def strategy_of(deployment: Manifest) -> Strategy:
    """The strategy of a Deployment manifest with the API's defaults (RollingUpdate, 25 % and 25 %)."""
    if dig(deployment, "spec", "strategy", "type") == "Recreate":
        return Strategy("Recreate")
    rolling = dig(deployment, "spec", "strategy", "rollingUpdate", default={})
    surge = dig(rolling, "maxSurge", default=DEFAULT_FENCE_POST)
    return Strategy("RollingUpdate", surge, dig(rolling, "maxUnavailable", default=DEFAULT_FENCE_POST))


def int_or_percent(value: IntOrPercent | None, total: int, *, round_up: bool) -> int:
    """``3`` or ``"25%"`` of ``total`` as a number (``GetScaledValueFromIntOrPercent``).

    Raises ValueError in apimachinery's words for None, text without ``%`` and text that is no number.
    """
    if value is None:
        raise ValueError("nil value for IntOrString")
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise ValueError("invalid value for IntOrString: invalid type: neither int nor percentage")
    if not value.endswith("%"):
        raise ValueError("invalid value for IntOrString: invalid type: string is not a percentage")
    digits = value[:-1]
    if not _GO_INTEGER.fullmatch(digits):
        reason = f'strconv.Atoi: parsing "{digits}": invalid syntax'
        raise ValueError(f'invalid value for IntOrString: invalid value "{value}": {reason}')
    share = float(int(digits)) * float(total) / 100
    return math.ceil(share) if round_up else math.floor(share)


def resolve_fenceposts(surge: IntOrPercent | None, unavailable: IntOrPercent | None, desired: int) -> tuple[int, int]:
    """maxSurge (rounded up) and maxUnavailable (rounded down) in pods; if both are 0, maxUnavailable is 1.

    None counts as 0 (``ResolveFenceposts``). Raises ValueError as :func:`int_or_percent`.
    """
    extra = int_or_percent(0 if surge is None else surge, desired, round_up=True)
    missing = int_or_percent(0 if unavailable is None else unavailable, desired, round_up=False)
    return (extra, 1) if extra == 0 and missing == 0 else (extra, missing)


def max_surge(strategy: Strategy, replicas: int) -> int:
    """Pods above ``replicas`` during a rollout; 0 for Recreate."""
    if strategy.kind == "Recreate":
        return 0
    return resolve_fenceposts(strategy.max_surge, strategy.max_unavailable, replicas)[0]


def max_unavailable(strategy: Strategy, replicas: int) -> int:
    """Pods that may be missing during a rollout; 0 for Recreate and for 0 replicas, at most ``replicas``."""
    if strategy.kind == "Recreate" or replicas == 0:
        return 0
    return min(resolve_fenceposts(strategy.max_surge, strategy.max_unavailable, replicas)[1], replicas)


def min_available(strategy: Strategy, replicas: int) -> int:
    """Pods that must stay available during a rollout; 0 for Recreate."""
    return 0 if strategy.kind == "Recreate" else replicas - max_unavailable(strategy, replicas)


def new_replicas(strategy: Strategy, replicas: int, all_pods: int, new: int) -> int:
    """The size that the new ReplicaSet may have now (``NewRSNewReplicas``).

    ``all_pods``: sum of spec.replicas over all ReplicaSets, the new one included; ``new``: its spec.replicas.
    """
    if strategy.kind == "Recreate":
        return replicas
    ceiling = replicas + int_or_percent(strategy.max_surge, replicas, round_up=True)
    if all_pods >= ceiling:
        return new
    return new + min(ceiling - all_pods, replicas - new)


def scale_down_old(
    strategy: Strategy, replicas: int, new: ReplicaSetState, old: Iterable[ReplicaSetState]
) -> dict[str, int]:
    """New sizes of the old ReplicaSets that shrink in this pass (``reconcileOldReplicaSets``), by name.

    First pods that are not available go, as far as minAvailable and the new ReplicaSet's own unavailable pods leave
    room; then available ones down to minAvailable. Oldest ReplicaSets first.
    """
    active = sorted((item for item in old if item.replicas > 0), key=lambda item: (item.created, item.name))
    total = sum(item.replicas for item in active) + new.replicas
    floor = replicas - max_unavailable(strategy, replicas)
    room = total - floor - (new.replicas - new.available)
    if not active or room <= 0:
        return {}
    cleaned = cleanup_unhealthy(active, room)
    available = sum(item.available for item in active) + new.available
    surplus = available - floor
    sizes = {item.name: item.replicas for item in cleaned}
    for item in cleaned:
        if surplus <= 0:
            break
        step = min(item.replicas, surplus)
        sizes[item.name] -= step
        surplus -= step
    return {item.name: sizes[item.name] for item in active if sizes[item.name] != item.replicas}


def cleanup_unhealthy(old: Sequence[ReplicaSetState], limit: int) -> list[ReplicaSetState]:
    """The old ReplicaSets with up to ``limit`` unavailable pods dropped, first in the list first."""
    result: list[ReplicaSetState] = []
    for item in old:
        drop = max(0, min(limit, item.replicas - item.available))
        limit -= drop
        result.append(replace(item, replicas=item.replicas - drop))
    return result


def replica_set_proportion(
    item: ReplicaSetState, replicas: int, surge: int, to_add: int, added: int, status_replicas: int = 0
) -> int:
    """Pods to add to (or, negative, take from) one ReplicaSet when a Deployment is scaled in mid-rollout.

    ``to_add``: in total; ``added``: given out so far (``GetReplicaSetProportion``).
    """
    if item.replicas == 0 or to_add in (0, added):
        return 0
    fraction = _fraction(item, replicas, surge, status_replicas)
    return min(fraction, to_add - added) if to_add > 0 else max(fraction, to_add - added)


def proportional_sizes(state: RolloutState) -> dict[str, int]:
    """Sizes after a change of ``replicas`` in mid-rollout, shared out in proportion (``scale`` in sync.go)."""
    sets = [item for item in (*state.old, *([state.new] if state.new else [])) if item.replicas > 0]
    surge = max_surge(state.strategy, state.replicas)
    allowed = state.replicas + surge if state.replicas > 0 else 0
    to_add = allowed - sum(item.replicas for item in sets)
    # Upscaling favours newer ReplicaSets of equal size, downscaling takes from older ones first.
    sets.sort(key=lambda item: (item.created, item.name), reverse=to_add > 0)
    sets.sort(key=lambda item: -item.replicas)
    sizes: dict[str, int] = {}
    added = 0
    for item in sets:
        share = replica_set_proportion(item, state.replicas, surge, to_add, added, state.status_replicas)
        sizes[item.name] = item.replicas + share
        added += share
    if sets:
        sizes[sets[0].name] = max(0, sizes[sets[0].name] + to_add - added)
    return sizes


def plan_rollout_step(state: RolloutState) -> tuple[Scale, ...]:
    """What one pass of the Deployment controller does; empty when it waits or has nothing to do.

    A pass either grows the new ReplicaSet or shrinks old ones, never both, except when it creates the new one.
    """
    if state.paused or _scaled_meanwhile(state):
        return _rescale(state)
    if state.strategy.kind == "Recreate":
        return _recreate_step(state)
    return _rolling_step(state)


def deployment_complete(replicas: int, status: Progress, generation: int = 0) -> bool:
    """Whether a rollout is over: all pods updated, available, and no old ones left (``DeploymentComplete``)."""
    counters = (status.updated, status.replicas, status.available)
    return all(count == replicas for count in counters) and status.observed_generation >= generation


def deployment_progressing(before: Progress, after: Progress) -> bool:
    """Whether anything got better between two statuses (``DeploymentProgressing``)."""
    return (
        after.updated > before.updated
        or after.replicas - after.updated < before.replicas - before.updated
        or after.ready > before.ready
        or after.available > before.available
    )


def deployment_timed_out(
    now_s: float, last_progress_s: float | None, deadline_s: float | None, reason: str = ""
) -> bool:
    """Whether the progress deadline has passed (``DeploymentTimedOut``).

    ``last_progress_s``: lastUpdateTime of the Progressing condition, None without one; ``deadline_s``: None (or the
    largest int32) for none; ``reason``: the condition's reason.
    """
    if deadline_s is None or deadline_s == 2**31 - 1 or last_progress_s is None:
        return False
    if reason == "NewReplicaSetAvailable":
        return False
    return reason == "ProgressDeadlineExceeded" or last_progress_s + deadline_s < now_s


def _fraction(item: ReplicaSetState, replicas: int, surge: int, status_replicas: int) -> int:
    if replicas == 0:
        return -item.replicas
    before = item.max_replicas or status_replicas
    if before == 0:
        return 0
    exact = item.replicas * (replicas + surge) / before
    return math.floor(exact + 0.5) - item.replicas  # sizes are never negative, so half rounds away from zero


def _scaled_meanwhile(state: RolloutState) -> bool:
    """Whether replicas changed since an active ReplicaSet was last sized (``isScalingEvent``)."""
    sets = (*state.old, *([state.new] if state.new else []))
    return any(item.replicas > 0 and item.desired not in (None, state.replicas) for item in sets)


def _rescale(state: RolloutState) -> tuple[Scale, ...]:
    sets = [*state.old, *([state.new] if state.new else [])]
    active = [item for item in sets if item.replicas > 0]
    if len(active) <= 1:
        newest = max(state.old, key=lambda item: (item.created, item.name), default=None)
        target = active[0] if active else (state.new or newest)
        return _changes([target], {target.name: state.replicas}) if target else ()
    new = state.new
    if new and new.replicas == new.desired == new.available == state.replicas:
        return tuple(Scale(item.name, 0) for item in active if item.name != new.name)
    if state.strategy.kind == "Recreate":
        return ()
    return _changes(active, proportional_sizes(state))


def _rolling_step(state: RolloutState) -> tuple[Scale, ...]:
    new = state.new
    total = sum(item.replicas for item in state.old) + (new.replicas if new else 0)
    if new is None:
        size = new_replicas(state.strategy, state.replicas, total, 0)
        created = Scale("", size, create=True)
        fresh = ReplicaSetState("", size)
        return created, *_changes(state.old, scale_down_old(state.strategy, state.replicas, fresh, state.old))
    if new.replicas > state.replicas:
        return (Scale(new.name, state.replicas),)
    grown = new_replicas(state.strategy, state.replicas, total, new.replicas)
    if grown != new.replicas:
        return (Scale(new.name, grown),)
    return _changes(state.old, scale_down_old(state.strategy, state.replicas, new, state.old))


def _recreate_step(state: RolloutState) -> tuple[Scale, ...]:
    shrinking = tuple(Scale(item.name, 0) for item in state.old if item.replicas > 0)
    if shrinking or state.old_pods > 0:
        return shrinking
    if state.new is None:
        return (Scale("", state.replicas, create=True),)
    return _changes([state.new], {state.new.name: state.replicas})


def _changes(sets: Iterable[ReplicaSetState], sizes: dict[str, int]) -> tuple[Scale, ...]:
    changed = [item for item in sets if sizes.get(item.name, item.replicas) != item.replicas]
    return tuple(Scale(item.name, sizes[item.name]) for item in changed)
