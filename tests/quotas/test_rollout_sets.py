"""Several rollouts at once: the verdict against plain searches over every order of events, written for these tests.

Three searches, none of which skips any order:
- counts of pods per version for up to five workloads under one quota;
- the controllers themselves: passes of the Deployment controller and single creations and deletions of its ReplicaSets
  (the pass is :mod:`models.rules.rollout`, checked against upstream's tables elsewhere), with pods that are refused at
  rest and compete for what others free;
- pods on nodes, where a new pod may go to any node with room, or stay pending.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "platformsim"))
import platform_worlds as w

from models.rules.rollout import ReplicaSetState, RolloutState, Strategy, plan_rollout_step
from sim.placement import Placement, place_platform
from sim.rollouts.verdict import RolloutVerdict, judge_rollouts

SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much]
VERDICTS = {frozenset({True}): "completes", frozenset({False}): "stuck", frozenset({True, False}): "may get stuck"}


def ends(start: Hashable, moves: Callable[[Any], Iterable[Any]], complete: Callable[[Any], bool]) -> frozenset[bool]:
    """Whether the final states that can be reached are complete."""
    seen, left, found = {start}, [start], set()
    while left:
        state = left.pop()
        following = set(moves(state))
        if not following:
            found.add(complete(state))
        left += following - seen
        seen |= following
    return frozenset(found)


def placed(*manifests: dict[str, Any], agents: int = 6) -> Placement:
    return place_platform(w.platform(*manifests), w.cluster(agents=agents), seed=1)


def judge(placement: Placement, *names: str, **options: Any) -> RolloutVerdict:
    chosen = [item for item in placement.platform.workloads if not names or item.name in names]
    return judge_rollouts(placement, chosen, simulate=False, **options)


# ------------------------------------------------------------------------------------- counts, up to five workloads

Spec = tuple[str, int, int, Any, Any]
"""Kind (rolling, recreate, set), replicas, request in 100m, maxSurge, maxUnavailable as written."""


def fences(spec: Spec) -> tuple[int, int]:
    """(surge, unavailable) in pods: percentages up and down, never both 0 (the API's documentation)."""
    kind, replicas, _, surge, unavailable = spec
    if kind == "recreate":
        return 0, replicas
    if kind == "set":
        return 0, 1
    extra = math.ceil(int(surge[:-1]) * replicas / 100) if isinstance(surge, str) else surge
    missing = int(unavailable[:-1]) * replicas // 100 if isinstance(unavailable, str) else unavailable
    return extra, (1 if extra == missing == 0 else min(missing, replicas))


def manifest(name: str, spec: Spec, **pod: Any) -> dict[str, Any]:
    kind, replicas, cpu, surge, unavailable = spec
    if kind == "set":
        return w.stateful_set(name, replicas, cpu=f"{cpu}00m", **pod)
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    strategy = {"type": "Recreate"} if kind == "recreate" else {"type": "RollingUpdate", "rollingUpdate": rolling}
    return w.deployment(name, replicas, cpu=f"{cpu}00m", strategy=strategy, **pod)


def by_counts(specs: tuple[Spec, ...], hard: int) -> frozenset[bool]:
    fence = [fences(spec) for spec in specs]

    def used(state: Any) -> int:
        return sum((old + new) * spec[2] for (old, new), spec in zip(state, specs, strict=True))

    def moves(state: Any) -> Iterable[Any]:
        for index, ((old, new), spec) in enumerate(zip(state, specs, strict=True)):
            (kind, replicas, cpu, *_), (surge, unavailable) = spec, fence[index]
            may_create = new < replicas and old + new < replicas + surge and used(state) + cpu <= hard
            if may_create and not (kind == "recreate" and old):
                yield (*state[:index], (old, new + 1), *state[index + 1 :])
            if old and old + new > replicas - unavailable:
                yield (*state[:index], (old - 1, new), *state[index + 1 :])

    def complete(state: Any) -> bool:
        return all(old == 0 and new == spec[1] for (old, new), spec in zip(state, specs, strict=True))

    return ends(tuple((spec[1], 0) for spec in specs), moves, complete)


amounts = st.sampled_from([0, 1, 2, "25%", "50%", "100%"])
anything = st.tuples(st.sampled_from(["rolling", "rolling", "recreate", "set"]), st.integers(1, 4), st.integers(1, 5))
small = anything.filter(lambda item: item[1] <= 2)


def with_fences(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Spec]:
    return st.tuples(parts, amounts, amounts).map(lambda item: (*item[0], item[1], item[2]))


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(
    specs=st.one_of(
        st.lists(with_fences(anything), min_size=1, max_size=3), st.lists(with_fences(small), min_size=4, max_size=5)
    ),
    spare=st.integers(0, 6),
)
def test_verdict_on_up_to_five_rollouts_under_one_quota_is_that_of_every_order(specs: list[Spec], spare: int) -> None:
    hard = sum(spec[1] * spec[2] for spec in specs) + spare
    tree = [manifest(f"web-{number}", spec) for number, spec in enumerate(specs)]
    found = judge(placed(*tree, w.quota(requests_cpu=f"{hard}00m"), agents=12))
    assert found.verdict == VERDICTS[by_counts(tuple(specs), hard)]


# ----------------------------------------------------------------------- the controllers, pods refused at rest included


def by_controllers(specs: tuple[Spec, ...], start: tuple[int, ...], hard: int, rolled: int) -> frozenset[bool]:
    """A workload's state: sizes of the old and new ReplicaSet, pods of each. The first ``rolled`` are rolled out."""

    def used(state: Any) -> int:
        return sum((old + new) * spec[2] for (_, _, old, new), spec in zip(state, specs, strict=True))

    def passes(spec: Spec, at: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        kind, replicas, _, surge, unavailable = spec
        rules = Strategy("Recreate") if kind == "recreate" else Strategy("RollingUpdate", surge, unavailable)
        old_size, new_size, old, new = at
        exists = new_size >= 0
        state = RolloutState(
            replicas,
            rules,
            ReplicaSetState("new", new_size, new, 1) if exists else None,
            (ReplicaSetState("old", old_size, old, 0),),
            old_pods=old,
            status_replicas=old + new,
        )
        for step in plan_rollout_step(state):
            if step.create or step.name == "new":
                new_size = step.replicas
            else:
                old_size = step.replicas
        return old_size, new_size, old, new

    def moves(state: Any) -> Iterable[Any]:
        for index, (at, spec) in enumerate(zip(state, specs, strict=True)):
            old_size, new_size, old, new = at
            following = []
            # A ReplicaSet deletes at once; the next pass sees it. Only what is refused or not ready takes its time.
            if index < rolled and old <= old_size and passes(spec, at) != at:
                following.append(passes(spec, at))
            room = used(state) + spec[2] <= hard
            following += [(old_size, new_size, old + 1, new)] if old < old_size and room else []
            following += [(old_size, new_size, old, new + 1)] if new < new_size and room else []
            following += [(old_size, new_size, old - 1, new)] if old > old_size else []
            for item in following:
                yield (*state[:index], item, *state[index + 1 :])

    def complete(state: Any) -> bool:
        return all(at == (0, spec[1], 0, spec[1]) for at, spec in list(zip(state, specs, strict=True))[:rolled])

    return ends(tuple((spec[1], -1, pods, 0) for spec, pods in zip(specs, start, strict=True)), moves, complete)


deployments = with_fences(
    st.tuples(st.sampled_from(["rolling", "rolling", "recreate"]), st.integers(1, 3), st.integers(1, 4))
)


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(specs=st.lists(deployments, min_size=1, max_size=3), spare=st.integers(-6, 4), bystanders=st.integers(0, 1))
def test_verdict_is_that_of_every_order_of_the_controllers_even_where_pods_are_refused_at_rest(
    specs: list[Spec], spare: int, bystanders: int
) -> None:
    hard = max(1, sum(spec[1] * spec[2] for spec in specs) + spare)
    rolled = max(1, len(specs) - bystanders)
    tree = [manifest(f"web-{number}", spec) for number, spec in enumerate(specs)]
    placement = placed(*tree, w.quota(requests_cpu=f"{hard}00m"), agents=8)
    pods = tuple(
        sum(pod.state == "placed" for pod in placement.by_workload[f"Deployment home/web-{number}"])
        for number in range(len(specs))
    )
    found = judge(placement, *(f"web-{number}" for number in range(rolled)))
    assert found.verdict == VERDICTS[by_controllers(tuple(specs), pods, hard, rolled)]


# ------------------------------------------------------------------------------------------------------------ nodes

CORES = 60
"""Allocatable cores of each machine of the test cluster, in 100m."""


def on_nodes(
    specs: tuple[Spec, ...], homes: tuple[tuple[int, ...], ...], pins: tuple[int | None, ...], nodes: int, pods: int
) -> frozenset[bool]:
    """A workload's state: nodes of its old pods, nodes of its new pods, new pods without a node. At most ``pods``."""
    fence = [fences(spec) for spec in specs]

    def free(state: Any) -> list[int]:
        left = [CORES] * nodes
        for (old, new, _), spec in zip(state, specs, strict=True):
            for node in (*old, *new):
                left[node] -= spec[2]
        return left

    def moves(state: Any) -> Iterable[Any]:
        room = free(state)
        for index, ((old, new, pending), spec) in enumerate(zip(state, specs, strict=True)):
            (kind, replicas, cpu, *_), (surge, unavailable) = spec, fence[index]
            following: list[Any] = []
            total = len(old) + len(new) + pending
            wanted = len(new) + pending < replicas and total < replicas + surge
            everywhere = sum(len(at[0]) + len(at[1]) + at[2] for at in state)
            if wanted and everywhere < pods and not (kind == "recreate" and old):
                following.append((old, new, pending + 1))
            if pending:
                fits = [node for node in range(nodes) if room[node] >= cpu and pins[index] in (None, node)]
                following += [(old, tuple(sorted((*new, node))), pending - 1) for node in fits]
            if old and len(old) + len(new) > replicas - unavailable:
                following += [(old[:i] + old[i + 1 :], new, pending) for i in range(len(old))]
            for item in following:
                yield (*state[:index], item, *state[index + 1 :])

    def complete(state: Any) -> bool:
        return all(
            not old and len(new) == spec[1] and not pending
            for (old, new, pending), spec in zip(state, specs, strict=True)
        )

    return ends(tuple((home, (), 0) for home in homes), moves, complete)


def sized(replicas: int) -> st.SearchStrategy[Spec]:
    """Deployments with so many replicas at most, each a fair part of a node."""
    parts = st.tuples(
        st.sampled_from(["rolling", "rolling", "recreate"]),
        st.integers(1, replicas),
        st.sampled_from([15, 20, 30, 40, 55]),
    )
    return with_fences(parts)


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(
    specs=st.one_of(
        st.lists(sized(2), min_size=1, max_size=3),
        st.lists(sized(1), min_size=4, max_size=5),
    ),
    pins=st.lists(st.sampled_from([None, None, 0]), min_size=5, max_size=5),
    nodes=st.integers(1, 3),
    spare=st.sampled_from([0, 1, 9]),
)
def test_verdict_with_tight_nodes_is_that_of_every_order_and_every_choice_of_a_fitting_node(
    specs: list[Spec], pins: list[int | None], nodes: int, spare: int
) -> None:
    names = ["server-1", *(f"agent-{number}" for number in range(1, nodes))]
    tree = [
        manifest(f"web-{number}", spec, node="" if pin is None else names[pin])
        for number, (spec, pin) in enumerate(zip(specs, pins, strict=False))
    ]
    pods = sum(spec[1] for spec in specs) + spare
    placement = placed(*tree, w.quota(pods=str(pods)), agents=nodes - 1)
    assume(not placement.waiting)
    homes = tuple(
        tuple(sorted(names.index(str(pod.node)) for pod in placement.by_workload[f"Deployment home/web-{number}"]))
        for number in range(len(specs))
    )
    found = judge(placement)
    assert found.verdict == VERDICTS[on_nodes(tuple(specs), homes, tuple(pins), nodes, pods)]
