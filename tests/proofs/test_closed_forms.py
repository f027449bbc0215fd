"""Queueing theory against the engine: inside the interval, and the interval no wider than 1 %.

Formulas: Kleinrock, Queueing Systems I (1975); Gross, Shortle, Thompson, Harris, Fundamentals of Queueing Theory
(2008).
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import chi2
from stations import mean_latency, network, prove, replications, station

from sim.engine import make_engine
from sim.measures import EngineMeasures
from sim.program import Call, Cpu, Draw, Node, Operation, Outcome, PodStation, Program, Service, Source, Wait

LAWS = {
    "constant": Draw(1.0, "constant"),
    "erlang": Draw(1.0, "erlang", 0.5),
    "lognormal": Draw(1.0, "lognormal", 1.3),
    "hyperexponential": Draw(1.0, "hyperexponential", 1.5),
    "uniform": Draw(1.0, "uniform"),
}
SQUARED_CV = {"constant": 0.0, "erlang": 0.25, "lognormal": 1.69, "hyperexponential": 2.25, "uniform": 1.0 / 3.0}


def erlang_b(servers: int, load: float) -> float:
    """Blocking probability of M/M/c/c."""
    blocked = 1.0
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked


def refused_share(measures: EngineMeasures) -> float:
    return float(measures.outcomes[0, Outcome.REFUSED] / measures.outcomes[0].sum())


def test_mm1_mean_time_in_system() -> None:
    prove(replications(station((Wait(Draw(1.0)),), rate=0.7, workers=1), mean_latency, 400_000.0), 1.0 / 0.3)


def test_mm1_time_in_system_is_exponential_so_its_p95_is_three_means() -> None:
    program = station((Wait(Draw(1.0)),), rate=0.5, workers=1)
    interval = replications(program, lambda measures: measures.quantile(0, 0.95), 200_000.0)
    theory = -math.log(0.05) / 0.5
    assert interval.low * (1 - 1 / 128) <= theory <= interval.high * (1 + 1 / 128)  # the width of a bucket
    assert interval.relative <= 0.01


def test_mmc_with_erlang_c() -> None:
    load, servers = 3.0, 4
    blocked = erlang_b(servers, load)
    waits = servers * blocked / (servers - load * (1.0 - blocked))
    program = station((Wait(Draw(1.0)),), rate=load, workers=servers)
    prove(replications(program, mean_latency, 60_000.0), 1.0 + waits / (servers - load))


def test_mm1k_refuses_what_finds_the_system_full() -> None:
    rho, k = 0.9, 5
    program = station((Wait(Draw(1.0)),), rate=rho, workers=1, queue=k - 1)
    prove(replications(program, refused_share, 60_000.0), (1 - rho) * rho**k / (1 - rho ** (k + 1)))


@pytest.mark.parametrize("law", ["constant", "lognormal"])
def test_erlang_b_holds_for_every_service_law(law: str) -> None:
    program = station((Wait(LAWS[law]),), rate=4.0, workers=6, queue=0)
    prove(replications(program, refused_share, 30_000.0), erlang_b(6, 4.0))


@pytest.mark.parametrize("law", list(LAWS))
def test_mg1_waits_as_pollaczek_and_khinchine_say(law: str) -> None:
    rho = 0.6
    program = station((Wait(LAWS[law]),), rate=rho, workers=1)
    theory = 1.0 + rho * (1.0 + SQUARED_CV[law]) / (2.0 * (1.0 - rho))
    prove(replications(program, mean_latency, 250_000.0 if SQUARED_CV[law] > 1.0 else 60_000.0), theory)


@pytest.mark.parametrize("law", list(LAWS))
def test_processor_sharing_does_not_feel_the_law_of_the_work(law: str) -> None:
    program = station((Cpu(LAWS[law]),), rate=0.6, cores=1.0)
    prove(replications(program, mean_latency, 120_000.0), 1.0 / 0.4)


def test_processor_sharing_on_two_cores_is_mm2_in_the_mean() -> None:
    # Exponential work, at most one core per thread: the number in system is that of M/M/2.
    rho = 0.75
    program = station((Cpu(Draw(1.0)),), rate=2.0 * rho, cores=2.0)
    prove(replications(program, mean_latency, 150_000.0), 1.0 / (1.0 - rho * rho))


def test_erlang_arrivals_wait_as_gm1_says() -> None:
    # E2/M/1: sigma solves sigma = A*(mu (1 - sigma)); time in system 1 / (mu (1 - sigma)).
    rate = 0.7
    sigma = brentq(lambda s: s - (2 * rate / (2 * rate + 1.0 - s)) ** 2, 0.01, 0.99)
    program = station((Wait(Draw(1.0)),), rate=rate, workers=1, cv=math.sqrt(0.5))
    prove(replications(program, mean_latency, 150_000.0), 1.0 / (1.0 - sigma))


def test_hyperexponential_arrivals_wait_as_gm1_says() -> None:
    rate, cv2 = 0.6, 4.0
    p = (1.0 + math.sqrt((cv2 - 1.0) / (cv2 + 1.0))) / 2.0
    fast, slow = 2.0 * p * rate, 2.0 * (1.0 - p) * rate

    def transform(s: float) -> float:
        return p * fast / (fast + s) + (1.0 - p) * slow / (slow + s)

    sigma = brentq(lambda s: s - transform(1.0 - s), 0.01, 0.99)
    program = station((Wait(Draw(1.0)),), rate=rate, workers=1, cv=2.0)
    prove(replications(program, mean_latency, 400_000.0), 1.0 / (1.0 - sigma))


def test_jackson_network_with_branches_and_feedback() -> None:
    visits = {"a": (1.0, 1), "b": (0.5, 1), "c": (1.0, 2)}
    times = {"a": 0.5, "b": 1.0, "c": 0.3}
    rate = 1.0
    program = network(visits, {name: Draw(mean) for name, mean in times.items()}, rate, workers=1)
    theory = sum(
        share * count * times[name] / (1.0 - rate * share * count * times[name])
        for name, (share, count) in visits.items()
    )
    prove(replications(program, mean_latency, 60_000.0), theory)


def test_a_worker_that_is_held_through_a_call_serves_the_sum_of_both() -> None:
    # One worker at A that waits for B: an M/G/1 whose service is the sum of two exponentials.
    program = Program(
        nodes=(Node("node", 1e6),),
        services=(Service("a"), Service("b")),
        operations=(Operation("a", 0, (Wait(Draw(0.4)), Call(1))), Operation("b", 1, (Wait(Draw(0.2)),))),
        sources=(Source("clients", 0, ((0, 1.0),), rates=(1.0,)),),
        routes=("route",),
        pods=(PodStation("a", 0, 0, workers=1), PodStation("b", 1, 0, workers=1)),
        bins=0,
    )
    second_moment = 0.4**2 + 0.2**2 + 0.6**2
    prove(replications(program, mean_latency, 60_000.0), 0.6 + second_moment / (2.0 * 0.4))


def closed_throughput(users: int, servers: int, think: float) -> float:
    """Machine repair: M/M/c//N with unit service."""
    weights = [1.0]
    for waiting in range(1, users + 1):
        weights.append(weights[-1] * (users - waiting + 1) / think / min(waiting, servers))
    total = sum(weights)
    return sum(weight / total * min(waiting, servers) for waiting, weight in enumerate(weights))


@pytest.mark.parametrize(("users", "servers"), [(6, 1), (12, 3)])
def test_closed_users_with_think_time_are_the_machine_repair_model(users: int, servers: int) -> None:
    program = station((Wait(Draw(1.0)),), users=users, think=Draw(4.0), workers=servers)
    interval = replications(program, lambda measures: float(measures.outcomes[0, 0]) / measures.length, 40_000.0)
    prove(interval, closed_throughput(users, servers, 4.0))


def test_closed_users_on_shared_cores_are_the_same_for_every_law_of_thinking() -> None:
    program = station((Cpu(Draw(1.0, "erlang", 0.5)),), users=6, think=Draw(4.0, "constant"), cores=1.0)
    interval = replications(program, lambda measures: float(measures.outcomes[0, 0]) / measures.length, 40_000.0)
    prove(interval, closed_throughput(6, 1, 4.0))


def test_little_holds_between_queue_length_and_waiting_time() -> None:
    engine = make_engine(station((Wait(Draw(1.0)),), rate=0.8, workers=1), seed=1)
    engine.advance(100_000.0)
    measures = engine.measures()
    in_pod = measures.pod_busy_s[0] + measures.pod_queue_s[0]
    assert in_pod == pytest.approx(measures.latency_sum[0], rel=1e-3)
    assert measures.pod_busy_s[0] / measures.length == pytest.approx(0.8, rel=0.02)


def test_two_saturated_pods_share_the_cores_by_weight() -> None:
    def pod(name: str, service: int, weight: float) -> PodStation:
        return PodStation(name, service, 0, cpu_weight=weight, workers=8)

    program = Program(
        nodes=(Node("node", 4.0),),
        services=(Service("small"), Service("large")),
        operations=tuple(Operation(name, index, (Cpu(Draw(1.0)),)) for index, name in enumerate(("small", "large"))),
        sources=tuple(Source(f"s{i}", 0, ((i, 1.0),), users=50, think=Draw(0.0, "constant")) for i in (0, 1)),
        routes=("route",),
        pods=(pod("small", 0, 256.0), pod("large", 1, 768.0)),
        bins=0,
    )
    engine = make_engine(program, seed=1)
    engine.advance(1000.0)
    assert engine.measures().pod_cpu_s == pytest.approx([1000.0, 3000.0], rel=1e-9)


def test_an_infinite_server_that_begins_with_what_is_under_way_is_steady_from_the_first_moment() -> None:
    # 3.5 on average, Poisson, at any time: M/M/infinity in its steady state.
    program = Program(
        nodes=(Node("node", 1.0),),
        services=(Service("films"),),
        operations=(Operation("film", 0, (Wait(Draw(50.0)),)),),
        sources=(Source("clients", 0, ((0, 1.0),), rates=(0.07,), under_way=3.5),),
        routes=("route",),
        pods=(PodStation("pod", 0, 0),),
    )
    counts = []
    for replication in range(4000):
        engine = make_engine(program, seed=1, replication=replication)
        seen = []
        for time in (0.0, 20.0, 100.0):
            engine.advance(time)
            seen.append(engine.in_flight(0))
        counts.append(seen)
    found = np.array(counts)
    assert found.mean(axis=0) == pytest.approx([3.5] * 3, abs=4 * math.sqrt(3.5 / 4000))
    assert found.var(axis=0) == pytest.approx([3.5] * 3, rel=0.1)


def test_arrivals_follow_a_daily_profile_hour_by_hour() -> None:
    rates = tuple(0.02 * hour for hour in range(24))
    program = Program(
        nodes=(Node("node", 1e6),),
        services=(Service("service"),),
        operations=(Operation("operation", 0, ()),),
        sources=(Source("clients", 0, ((0, 1.0),), rates=rates, offset=19 * 3600.0),),
        routes=("route",),
        pods=(PodStation("pod", 0, 0),),
        bin_width=3600.0,
        bins=24,
    )
    counts = np.zeros((200, 24))
    for replication in range(200):
        engine = make_engine(program, seed=5, replication=replication)
        engine.advance(24 * 3600.0)
        counts[replication] = engine.measures().bin_arrived[0]
    expected = np.array([rates[(19 + hour) % 24] * 3600.0 for hour in range(24)])
    total = ((counts - expected) ** 2 / np.maximum(expected, 1e-9))[:, expected > 0]
    low, high = chi2.ppf([0.0005, 0.9995], total.size)
    assert low < total.sum() < high  # mean and variance of every hour are those of a Poisson law
    assert counts[:, expected == 0].sum() == 0
    prove_mean = counts.sum(axis=1).mean()
    assert prove_mean == pytest.approx(expected.sum(), rel=0.005)
