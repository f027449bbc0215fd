"""Shared cores and CFS throttling: cases worked out by hand, and a naive simulation that keeps remaining work."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest

from sim.compiled import CompiledEngine
from sim.program import Cpu, Draw, Node, Operation, PodStation, Program, Service, Source
from sim.reference import ReferenceEngine

Job = tuple[int, float, float]  # pod, arrival, demand


def ends(
    jobs: list[Job],
    pods: list[dict[str, Any]],
    cores: float = 4.0,
    speed: float = 1.0,
    kind: str = "compiled",
    until: float = 1000.0,
) -> list[float]:
    """When each job ends; every pod is a service of its own."""
    sources, operations = [], []
    for index, (pod, arrival, demand) in enumerate(jobs):
        operations.append(Operation(f"job-{index}", pod, (Cpu(Draw(demand, "constant")),)))
        sources.append(Source(f"job-{index}", 0, ((index, 1.0),), trace=(arrival,)))
    program = Program(
        nodes=(Node("node", cores, speed),),
        services=tuple(Service(f"service-{index}") for index in range(len(pods))),
        operations=tuple(operations),
        sources=tuple(sources),
        routes=("route",),
        pods=tuple(PodStation(f"pod-{index}", index, 0, **pod) for index, pod in enumerate(pods)),
        bins=0,
    )
    engine = CompiledEngine(program, seed=1, log=True) if kind == "compiled" else ReferenceEngine(program, seed=1)
    engine.advance(until)
    ended = {source: end for source, _, _, _, end, _, _ in engine.request_log()}
    return [ended[index] for index in range(len(jobs))]


@pytest.mark.parametrize("kind", ["compiled", "reference"])
@pytest.mark.parametrize(
    ("limit", "arrivals", "demand", "expected"),
    [
        (0.5, [0.0], 0.030, [0.030]),  # within the quota: full speed
        (0.5, [0.0], 0.060, [0.110]),  # 50 ms, throttled to 100 ms, 10 ms
        (0.5, [0.07], 0.070, [0.140]),  # 30 ms before and 40 ms after a boundary: never throttled
        (0.5, [0.04], 0.120, [0.220]),  # 40-90 ms, 100-150 ms, 200-220 ms
        (1.0, [0.0] * 4, 0.050, [0.125] * 4),  # four threads use up 100 ms in 25 ms
        (2.0, [0.0] * 4, 0.050, [0.050] * 4),  # exactly the quota of the first period
        (1.0, [0.0, 0.02], 0.090, [0.130, 0.150]),  # 60 and 40 ms are done at 60 ms; from 100 ms 30 and 50 ms more
        (1.0, [0.0] * 2, 0.6998, [1.3498] * 2),  # 13 periods of 50 ms at two cores, then 49.8 ms
        (0.5, [0.0] * 2, 0.6998, [2.7248] * 2),  # 27 periods of 25 ms at two cores, then 24.8 ms
        (1.0, [0.0] * 2, 0.7002, [1.4002] * 2),  # 0.06 % more work straddles one more boundary
        (0.5, [0.0] * 2, 0.7002, [2.8002] * 2),
        (math.inf, [0.0] * 2, 0.6998, [0.6998] * 2),  # no limit, idle cores: no contention
    ],
)
def test_throttling_by_hand(
    kind: Literal["compiled", "reference"], limit: float, arrivals: list[float], demand: float, expected: list[float]
) -> None:
    jobs = [(0, arrival, demand) for arrival in arrivals]
    assert ends(jobs, [{"cpu_limit": limit}], kind=kind) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("kind", ["compiled", "reference"])
@pytest.mark.parametrize(
    ("limit", "burst", "arrival", "demand", "expected"),
    [
        (0.5, 0.05, 0.0, 0.090, 0.140),  # nothing was left over yet: 50 ms, throttled to 100 ms, 40 ms
        (0.5, 0.05, 1.0, 0.090, 1.090),  # an idle period left 50 ms: no throttling
        (0.5, 0.02, 1.0, 0.090, 1.120),  # 20 ms of them may be taken over: 70 ms, then 20 ms
        (0.5, 0.05, 1.0, 0.990, 2.840),  # 100 ms in the first period, then 50 ms in each of 17, 40 ms
        (0.75, 0.06, 1.0, 0.400, 1.440),  # 135, 110, 85 and 75 ms to spend: 100, 100, 85, 75 and 40 ms are done
    ],
)
def test_a_burst_spends_what_earlier_periods_left_over(
    kind: str, limit: float, burst: float, arrival: float, demand: float, expected: float
) -> None:
    assert ends([(0, arrival, demand)], [{"cpu_limit": limit, "cpu_burst": burst}], kind=kind) == pytest.approx(
        [expected], abs=1e-9
    )


@pytest.mark.parametrize("kind", ["compiled", "reference"])
def test_weights_matter_only_while_the_cores_are_contended(kind: str) -> None:
    pods = [{"cpu_weight": 768.0}, {"cpu_weight": 256.0}]
    # One core, 3 : 1. The first ends at 4/3 s; the second has done 1/3 and then has the core alone.
    assert ends([(0, 0.0, 1.0), (1, 0.0, 1.0)], pods, cores=1.0, kind=kind) == pytest.approx([4.0 / 3.0, 2.0])
    assert ends([(0, 0.0, 1.0), (1, 0.0, 1.0)], pods, cores=2.0, kind=kind) == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("kind", ["compiled", "reference"])
def test_what_a_pod_cannot_use_goes_to_the_others(kind: str) -> None:
    # Three cores; the heavy pod has one thread and may not use more than one core, the light one gets two.
    pods = [{"cpu_weight": 10_000.0}, {"cpu_weight": 2.0}]
    jobs = [(0, 0.0, 1.0), *[(1, 0.0, 1.0)] * 4]
    assert ends(jobs, pods, cores=3.0, kind=kind) == pytest.approx([1.0, *[1.0 + (4.0 - 2.0) / 3.0] * 4])


@pytest.mark.parametrize("kind", ["compiled", "reference"])
def test_a_busy_burstable_pod_has_the_weight_of_all_burstable_pods_of_its_node(kind: str) -> None:
    # kubepods-burstable.slice weighs 102 + 1946 = 2048 against 1024, though the second pod is idle: 2/3 and 4/3 cores.
    pods = [
        {"cpu_weight": 1024.0},
        {"cpu_weight": 102.0, "qos": "burstable"},
        {"cpu_weight": 1946.0, "qos": "burstable"},
    ]
    jobs = [*[(0, 0.0, 2.0 / 3.0 / 4.0)] * 4, *[(1, 0.0, 4.0 / 3.0 / 4.0)] * 4]
    assert ends(jobs, pods, cores=2.0, kind=kind) == pytest.approx([1.0] * 8)


@pytest.mark.parametrize("kind", ["compiled", "reference"])
def test_all_best_effort_pods_together_weigh_2(kind: str) -> None:
    pods = [{"cpu_weight": 2.0}, *[{"cpu_weight": 2.0, "qos": "besteffort"}] * 2]
    assert ends([(0, 0.0, 0.5), (1, 0.0, 0.25), (2, 0.0, 0.25)], pods, cores=1.0, kind=kind) == pytest.approx([1.0] * 3)


@pytest.mark.parametrize("kind", ["compiled", "reference"])
@pytest.mark.parametrize("arrival", [0.0, 0.1, 0.3, 1.0, 10.0, 30.0, 40.0, 1000.3])
def test_work_of_whole_quotas_ends_with_the_last_of_them_whenever_it_begins(kind: str, arrival: float) -> None:
    # 200 ms under half a core: 50 ms in each of four periods, the last from 300 to 350 ms.
    engine_ends = ends([(0, arrival, 0.2)], [{"cpu_limit": 0.5}], kind=kind, until=2000.0)
    assert engine_ends == pytest.approx([arrival + 0.35], abs=1e-6)


def test_a_node_of_twice_the_speed_halves_the_time() -> None:
    assert ends([(0, 0.0, 1.0)], [{}], speed=2.0) == pytest.approx([0.5])


@dataclass
class Thread:
    pod: int
    index: int
    left: float


def fair(room: float, wanted: dict[Any, float], weights: dict[Any, float]) -> dict[Any, float]:
    """Who wants least per weight is satisfied first; the last get what is left by weight."""
    rates: dict[Any, float] = {}
    for name in sorted(wanted, key=lambda name: wanted[name] / weights[name]):
        left = sum(weights[other] for other in wanted if other not in rates)
        rates[name] = min(wanted[name], (room - sum(rates.values())) * weights[name] / left)
    return rates


def fair_rates(demand: dict[int, int], pods: list[dict[str, Any]], cores: float) -> dict[int, float]:
    """Cores of every pod that wants some: first between guaranteed pods and slices, then within the slices."""
    slices = {name: [p for p in demand if pods[p].get("qos") == name] for name in ("burstable", "besteffort")}
    wanted: dict[Any, float] = {p: demand[p] for p in demand if pods[p].get("qos", "guaranteed") == "guaranteed"}
    weights = {p: pods[p]["cpu_weight"] for p in demand}
    outer = {**weights, "burstable": sum(p["cpu_weight"] for p in pods if p.get("qos") == "burstable"), "besteffort": 2}
    wanted |= {name: sum(demand[p] for p in members) for name, members in slices.items() if members}
    rates = fair(cores, wanted, outer)
    for name, members in slices.items():
        if members:
            rates |= fair(rates.pop(name), {p: demand[p] for p in members}, weights)
    return rates


def naive(jobs: list[Job], pods: list[dict[str, Any]], cores: float, speed: float) -> list[float]:
    """Remaining work of every thread, all rates anew at every arrival, end, exhausted quota and period boundary."""
    waiting = sorted(range(len(jobs)), key=lambda index: jobs[index][1])
    threads: list[Thread] = []
    budget = [pod["cpu_limit"] * 0.1 for pod in pods]
    result = [math.nan] * len(jobs)
    now, period = 0.0, 0
    while waiting or threads:
        may_run = [budget[pod] > 1e-12 for pod in range(len(pods))]
        demand = {pod: sum(t.pod == pod for t in threads) for pod in range(len(pods)) if may_run[pod]}
        demand = {pod: count for pod, count in demand.items() if count}
        rate = fair_rates(demand, pods, cores)
        steps = [(period + 1) * 0.1 - now]
        steps += [jobs[waiting[0]][1] - now] if waiting else []
        steps += [t.left / (speed * rate[t.pod] / demand[t.pod]) for t in threads if t.pod in rate]
        steps += [budget[pod] / used for pod, used in rate.items()]
        step = max(min(steps), 0.0)
        now += step
        for pod, used in rate.items():
            budget[pod] -= used * step
        for thread in threads:
            if thread.pod in rate:
                thread.left -= step * speed * rate[thread.pod] / demand[thread.pod]
        for thread in [t for t in threads if t.left <= 1e-11]:
            result[thread.index] = now
            threads.remove(thread)
        if now >= (period + 1) * 0.1 - 1e-12:
            period += 1
            quotas = [pod["cpu_limit"] * 0.1 for pod in pods]
            bounds = [quota + pod.get("cpu_burst", 0.0) for quota, pod in zip(quotas, pods, strict=True)]
            budget = [min(b + q, most) for b, q, most in zip(budget, quotas, bounds, strict=True)]
        while waiting and jobs[waiting[0]][1] <= now + 1e-12:
            index = waiting.pop(0)
            threads.append(Thread(jobs[index][0], index, jobs[index][2]))
    return result


@pytest.mark.parametrize("seed", range(60))
def test_random_jobs_end_when_the_naive_simulation_says(seed: int) -> None:
    generator = np.random.default_rng(seed)
    count = int(generator.integers(1, 5))
    pods = [
        {
            "cpu_weight": float(generator.choice([2.0, 102.0, 512.0, 1024.0])),
            "cpu_limit": float(generator.choice([0.3, 0.77, 1.0, 1.9, 1e9])),
        }
        for _ in range(count)
    ]
    for pod in pods:
        pod["qos"] = str(generator.choice(["guaranteed", "burstable", "besteffort"]))
    for pod in pods[::2]:
        pod["cpu_burst"] = 0.1 * min(pod["cpu_limit"], 2.0) * float(generator.choice([0.0, 0.3, 1.0]))
    jobs = [
        (int(generator.integers(count)), float(generator.uniform(0.0, 1.0)), float(generator.exponential(0.1)))
        for _ in range(20)
    ]
    cores, speed = float(generator.choice([1.0, 1.5, 2.0, 4.0])), float(generator.choice([1.0, 1.3]))
    assert ends(jobs, pods, cores, speed) == pytest.approx(naive(jobs, pods, cores, speed), abs=1e-7)
