"""Several rollouts at once under one quota: the simulation's verdict against a search over all orders of events.

The model of the search: a Deployment may create a pod of its new version while it has fewer pods than replicas +
surge and the quota has room; it may delete an old one while more pods than replicas - unavailable are available, or one
of its pods is not. Created pods become available, deleted ones go. A state without moves is final. The simulation must
end in a final state that can be reached: it completes where nothing else can happen, and is stuck where it cannot.
"""

from functools import cache
from typing import Any

import platform_worlds as w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim.placement import place_platform
from sim.platform.simulation import simulate_platform

Spec = tuple[int, int, int, int]
"""Replicas, request in 100m, maxSurge, maxUnavailable."""


def outcomes(specs: tuple[Spec, ...], hard: int) -> set[bool]:
    """Whether the final states that can be reached are complete. A state: (old, new) pods per workload."""

    def used(state: tuple[tuple[int, int], ...]) -> int:
        return sum((old + new) * spec[1] for (old, new), spec in zip(state, specs, strict=True))

    def moves(state: tuple[tuple[int, int], ...]) -> list[tuple[tuple[int, int], ...]]:
        found = []
        for index, ((old, new), (replicas, cpu, surge, unavailable)) in enumerate(zip(state, specs, strict=True)):
            changed = []
            if new < replicas and old + new < replicas + surge and used(state) + cpu <= hard:
                changed.append((old, new + 1))
            if old > 0 and old + new > replicas - min(unavailable, replicas):
                changed.append((old - 1, new))
            found += [(*state[:index], item, *state[index + 1 :]) for item in changed]
        return found

    @cache
    def explore(state: tuple[tuple[int, int], ...]) -> frozenset[bool]:
        following = moves(state)
        if not following:
            return frozenset({all(old == 0 and new == spec[0] for (old, new), spec in zip(state, specs, strict=True))})
        return frozenset().union(*(explore(item) for item in following))

    return set(explore(tuple((spec[0], 0) for spec in specs)))


def manifest(name: str, spec: Spec) -> dict[str, Any]:
    replicas, cpu, surge, unavailable = spec
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    probe = {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1}
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
    return w.deployment(name, replicas, cpu=f"{cpu}00m", strategy=strategy, grace=1, readiness=probe)


specs = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(0, 1), st.integers(0, 1)).filter(
    lambda spec: spec[2] + spec[3] > 0
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(workloads=st.lists(specs, min_size=1, max_size=5), spare=st.integers(0, 6))
def test_up_to_five_rollouts_under_one_quota_end_as_the_search_says(workloads: list[Spec], spare: int):
    hard = sum(replicas * cpu for replicas, cpu, _, _ in workloads) + spare
    possible = outcomes(tuple(workloads), hard)
    names = [f"web-{number}" for number in range(len(workloads))]
    tree = w.platform(
        *(manifest(name, spec) for name, spec in zip(names, workloads, strict=True)),
        w.quota(requests_cpu=f"{hard}00m"),
    )
    operations = [{"name": name, "type": "rollout", "target": f"home/{name}", "at": "10s"} for name in names]
    placement = place_platform(tree, w.cluster(agents=6), seed=1)
    scenario = w.exact(operations=operations, run={"length": "12h", "warmUp": "0"})
    log = simulate_platform(tree, placement.cluster, placement, scenario, seed=1, routes=())
    assert all(item.verdict == "complete" for item in log.rollouts) in possible
