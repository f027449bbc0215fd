"""Rollout arithmetic: upstream tables and whole rollouts driven step by step.

Sources: pkg/controller/deployment/{rolling,sync}_test.go, util/deployment_util_test.go.
"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.rules.rollout import (
    Progress,
    ReplicaSetState,
    RolloutState,
    Scale,
    Strategy,
    cleanup_unhealthy,
    deployment_complete,
    deployment_progressing,
    deployment_timed_out,
    int_or_percent,
    max_surge,
    max_unavailable,
    min_available,
    new_replicas,
    plan_rollout_step,
    proportional_sizes,
    resolve_fenceposts,
    scale_down_old,
    strategy_of,
)


@pytest.mark.parametrize(
    ("surge", "unavailable", "desired", "expected"),
    [("0%", "0%", 0, (0, 1)), ("39%", "39%", 10, (4, 3)), (None, "39%", 10, (0, 3)), ("39%", None, 10, (4, 0)),
     (None, None, 10, (0, 1)), ("25%", "25%", 1, (1, 0)), (1, 0, 1, (1, 0)), ("1%", "1%", 3, (1, 0))],
)  # fmt: skip
def test_fence_posts(surge: Any, unavailable: Any, desired: int, expected: tuple[int, int]) -> None:
    assert resolve_fenceposts(surge, unavailable, desired) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("oops", "invalid value for IntOrString: invalid type: string is not a percentage"),
        ("5", "invalid value for IntOrString: invalid type: string is not a percentage"),
        ("a%", 'invalid value for IntOrString: invalid value "a%": strconv.Atoi: parsing "a": invalid syntax'),
        (None, "nil value for IntOrString"),
        (2.5, "invalid value for IntOrString: invalid type: neither int nor percentage"),
    ],
)
def test_bad_int_or_percent_is_refused_in_the_words_of_intstr(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match="IntOrString") as caught:
        int_or_percent(value, 10, round_up=True)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("kind", "replicas", "new", "surge", "expected"),
    [("RollingUpdate", 1, 5, 1, 5), ("RollingUpdate", 6, 2, 10, 6), ("Recreate", 3, 1, 1, 3)],
)
def test_new_replica_set_size_beside_five_old_pods(
    kind: Any, replicas: int, new: int, surge: int, expected: int
) -> None:
    assert new_replicas(Strategy(kind, surge, 1), replicas, 5, new) == expected


@pytest.mark.parametrize(
    ("surge", "old", "new", "expected"), [(0, 10, 0, 0), (2, 10, 0, 2), (2, 5, 0, 7), (2, 10, 2, 2), (2, 2, 11, 10)]
)
def test_new_replica_set_of_ten_is_reconciled(surge: int, old: int, new: int, expected: int) -> None:
    state = RolloutState(
        10, Strategy("RollingUpdate", surge, 0), ReplicaSetState("new", new), (ReplicaSetState("old", old),)
    )
    sizes = {step.name: step.replicas for step in plan_rollout_step(state)}
    assert sizes.get("new", new) == expected


@pytest.mark.parametrize(
    ("unavailable", "old", "old_ready", "new", "new_ready", "expected"),
    [(0, 10, 10, 0, 0, {"old": 9}), (2, 10, 10, 0, 0, {"old": 8}), (2, 10, 8, 0, 0, {"old": 8}),
     (2, 10, 9, 0, 0, {"old": 8}), (2, 8, 8, 2, 0, {})],
)  # fmt: skip
def test_old_replica_sets_of_ten_shrink_only_while_enough_stay_available(
    unavailable: int, old: int, old_ready: int, new: int, new_ready: int, expected: dict[str, int]
) -> None:
    # surge 0 with unavailable 0 resolves to unavailable 1
    found = scale_down_old(
        Strategy("RollingUpdate", 0, unavailable),
        10,
        ReplicaSetState("new", new, new_ready),
        [ReplicaSetState("old", old, old_ready)],
    )
    assert found == expected


@pytest.mark.parametrize(("ready", "limit", "cleaned"), [(8, 1, 1), (8, 3, 2), (8, 0, 0), (10, 3, 0)])
def test_unhealthy_old_pods_go_first_up_to_the_limit(ready: int, limit: int, cleaned: int) -> None:
    assert cleanup_unhealthy([ReplicaSetState("old", 10, ready)], limit)[0].replicas == 10 - cleaned


@pytest.mark.parametrize(
    ("was", "now", "surge_was", "surge", "sizes", "expected"),
    [
        (5, 10, 0, 0, [2, 3], [4, 6]), (5, 3, 0, 0, [2, 3], [1, 2]), (9, 4, 0, 0, [8, 1], [4, 0]),
        (7, 10, 0, 0, [2, 3, 2], [3, 4, 3]), (13, 8, 0, 0, [2, 8, 3], [1, 5, 2]), (3, 4, 0, 0, [1, 1, 1], [2, 1, 1]),
        (3, 2, 0, 0, [1, 1, 1], [1, 1, 0]), (6, 0, 0, 0, [3, 2, 1], [0, 0, 0]), (10, 20, 2, 2, [6, 6], [11, 11]),
        (10, 50, 3, 6, [5, 8], [22, 34]),
    ],
)  # fmt: skip
def test_scaling_in_mid_rollout_is_proportional(
    was: int, now: int, surge_was: int, surge: int, sizes: list[int], expected: list[int]
) -> None:
    sets = [
        ReplicaSetState(f"v{9 - rank}", size, size, 9 - rank, was, was + surge_was) for rank, size in enumerate(sizes)
    ]
    state = RolloutState(now, Strategy("RollingUpdate", surge, 1), sets[0], tuple(sets[1:]), status_replicas=sum(sizes))
    found = proportional_sizes(state)
    assert [found[item.name] for item in sets] == expected
    stepped = {step.name: step.replicas for step in plan_rollout_step(state)}
    assert [stepped.get(item.name, item.replicas) for item in sets] == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [(Progress(5, 5, 5, 5, 1), True), (Progress(5, 5, 5, 4, 1), False), (Progress(6, 5, 6, 6, 1), False),
     (Progress(5, 4, 5, 5, 1), False), (Progress(5, 5, 5, 5, 0), False)],
)  # fmt: skip
def test_completeness_of_five(status: Progress, expected: bool) -> None:
    assert deployment_complete(5, status, generation=1) is expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(Progress(6, 4), Progress(6, 4), False), (Progress(10, 4), Progress(10, 6), True),
     (Progress(10, 4), Progress(8, 4), True), (Progress(10, 5, 3), Progress(10, 5, 4), True),
     (Progress(10, 5, 3, 3), Progress(10, 5, 3, 4), True), (Progress(10, 4), Progress(10, 3), False)],
)  # fmt: skip
def test_progress_is_any_counter_that_got_better(before: Progress, after: Progress, expected: bool) -> None:
    assert deployment_progressing(before, after) is expected


def test_the_deadline_counts_from_the_last_progress() -> None:
    assert not deployment_timed_out(600, 0, 600)
    assert deployment_timed_out(600.5, 0, 600)
    assert not deployment_timed_out(9999, 0, None)
    assert not deployment_timed_out(9999, None, 600)
    assert not deployment_timed_out(9999, 0, 600, "NewReplicaSetAvailable")
    assert deployment_timed_out(1, 0, 600, "ProgressDeadlineExceeded")


def test_defaults_are_a_quarter_each_and_recreate_has_neither() -> None:
    strategy = strategy_of({"spec": {}})
    assert (max_surge(strategy, 4), max_unavailable(strategy, 4), min_available(strategy, 4)) == (1, 1, 3)
    recreate = strategy_of({"spec": {"strategy": {"type": "Recreate"}}})
    assert (max_surge(recreate, 4), max_unavailable(recreate, 4), min_available(recreate, 4)) == (0, 0, 0)


def test_recreate_waits_until_the_last_old_pod_is_gone() -> None:
    state = RolloutState(2, Strategy("Recreate"), None, (ReplicaSetState("old", 2, 2),), old_pods=2)
    assert plan_rollout_step(state) == (Scale("old", 0),)
    gone = replace(state, old=(ReplicaSetState("old", 0),), old_pods=1)
    assert plan_rollout_step(gone) == ()
    assert plan_rollout_step(replace(gone, old_pods=0)) == (Scale("", 2, create=True),)


def test_a_paused_deployment_does_nothing() -> None:
    new, old = ReplicaSetState("new", 1, 1), ReplicaSetState("old", 2, 2)
    assert plan_rollout_step(RolloutState(2, Strategy("RollingUpdate", 1, 0), new, (old,), paused=True)) == ()


def test_a_single_replica_surges_to_two_and_waits_for_the_new_pod() -> None:
    strategy = Strategy("RollingUpdate", "25%", "25%")
    state = RolloutState(1, strategy, None, (ReplicaSetState("old", 1, 1),))
    assert plan_rollout_step(state) == (Scale("", 1, create=True),)
    waiting = replace(state, new=ReplicaSetState("new", 1, 0))
    assert plan_rollout_step(waiting) == ()
    assert plan_rollout_step(replace(waiting, new=ReplicaSetState("new", 1, 1))) == (Scale("old", 0),)


values = st.one_of(st.integers(0, 5), st.integers(0, 100).map(lambda share: f"{share}%"))


@given(st.integers(1, 12), values, values)
def test_a_rollout_ends_without_leaving_its_fence_posts(replicas: int, surge: Any, unavailable: Any) -> None:
    strategy = Strategy("RollingUpdate", surge, unavailable)
    state = RolloutState(replicas, strategy, None, (ReplicaSetState("old", replicas, replicas),))
    ceiling = replicas + max_surge(strategy, replicas)
    floor = min_available(strategy, replicas)
    for _ in range(4 * replicas + 4):
        sets = {item.name: item for item in (*state.old, *([state.new] if state.new else []))}
        for step in plan_rollout_step(state):
            name = "new" if step.create else step.name
            before = sets.get(name, ReplicaSetState(name, 0))
            sets[name] = replace(before, replicas=step.replicas, available=min(before.available, step.replicas))
        assert sum(item.replicas for item in sets.values()) <= ceiling
        assert sum(item.available for item in sets.values()) >= floor
        new = sets["new"]
        # one more new pod becomes available between two passes
        ready = replace(new, available=min(new.replicas, new.available + 1))
        state = replace(state, new=ready, old=(sets["old"],))
    assert (state.new, state.old[0].replicas) == (ReplicaSetState("new", replicas, replicas), 0)
