"""The compiled engine against closed forms: theory lies inside the interval, and the interval is narrow."""

from __future__ import annotations

import math

import pytest

from sim.engine import make_engine
from sim.program import (
    Cpu,
    Draw,
    Law,
    Node,
    Operation,
    Outcome,
    PodStation,
    Program,
    Service,
    Source,
    Wait,
)
from sim.statistics import student_interval

REPLICATIONS = 12


def _station(service: Wait | Cpu, rate: float, *, workers: int = 1, queue: int = -1, cores: float = 1.0) -> Program:
    return Program(
        nodes=(Node("n", cores),),
        services=(Service("s"),),
        operations=(Operation("o", 0, (service,)),),
        sources=(Source("x", 0, ((0, 1.0),), rates=(rate,)),),
        routes=("r",),
        pods=(PodStation("p", 0, 0, workers=workers, queue=queue),),
    )


def _measure(program: Program, length: float) -> tuple[list[float], list[float]]:
    """Mean latency and share of refused requests of independent replications, the first tenth left out."""
    latencies, refused = [], []
    for replication in range(REPLICATIONS):
        engine = make_engine(program, seed=5, replication=replication, kind="compiled")
        engine.advance(length / 10)
        engine.reset_measures()
        engine.advance(length)
        measures = engine.measures()
        latencies.append(measures.mean_latency(0))
        refused.append(float(measures.outcomes[0, Outcome.REFUSED]) / float(measures.outcomes[0].sum()))
    return latencies, refused


def _holds(values: list[float], theory: float, share: float = 0.01) -> None:
    found = student_interval(values, 0.99)
    assert abs(found.estimate - theory) <= found.half_width, (found, theory)
    assert found.half_width <= share * theory, (found, theory)


def _erlang_c(offered: float, servers: int) -> float:
    tail = offered**servers / math.factorial(servers) * servers / (servers - offered)
    return tail / (sum(offered**k / math.factorial(k) for k in range(servers)) + tail)


def test_mm1_at_half_load_takes_twice_the_service_time() -> None:
    latencies, _ = _measure(_station(Wait(Draw(1.0)), 0.5), 400_000)
    _holds(latencies, 1.0 / (1.0 - 0.5))


@pytest.mark.parametrize("servers", [2, 4])
def test_mmc_waits_as_erlang_c_says(servers: int) -> None:
    offered = 0.6 * servers
    latencies, _ = _measure(_station(Wait(Draw(1.0)), offered, workers=servers), 400_000)
    _holds(latencies, 1.0 + _erlang_c(offered, servers) / (servers - offered))


def test_mmcc_refuses_as_erlang_b_says() -> None:
    servers, offered = 4, 3.0
    _, refused = _measure(_station(Wait(Draw(1.0)), offered, workers=servers, queue=0), 400_000)
    blocking = (offered**servers / math.factorial(servers)) / sum(
        offered**k / math.factorial(k) for k in range(servers + 1)
    )
    _holds(refused, blocking)


@pytest.mark.parametrize(("law", "cv"), [("constant", 0.0), ("erlang", 0.5), ("lognormal", 1.5)])
def test_mg1_waits_as_pollaczek_and_khinchine_say(law: Law, cv: float) -> None:
    rate = 0.5
    latencies, _ = _measure(_station(Wait(Draw(1.0, law, cv)), rate), 1_500_000)
    _holds(latencies, 1.0 + rate * (1.0 + cv * cv) / (2.0 * (1.0 - rate)))


@pytest.mark.parametrize("law", ["constant", "exponential", "hyperexponential"])
def test_processor_sharing_does_not_depend_on_the_law_of_the_work(law: Law) -> None:
    """M/G/1-PS: the mean sojourn is 1 / (1 - load) whatever the law (unlimited workers on one core)."""
    cv = {"constant": 0.0, "exponential": 1.0, "hyperexponential": 2.0}[law]
    latencies, _ = _measure(_station(Cpu(Draw(1.0, law, cv)), 0.5, workers=0), 400_000)
    _holds(latencies, 2.0)


@pytest.mark.parametrize(("limit", "end", "published"), [(1.0, 1.3498, 1.40), (0.5, 2.7248, 2.82)])
def test_two_simultaneous_requests_of_0_7_core_seconds_end_when_the_quota_lets_them(
    limit: float, end: float, published: float
) -> None:
    """Four cores and a CFS quota, by hand: two threads burn 1000m in 50 ms of every 100 ms period.

    13 periods give 1.3 of the 1.3996 core-seconds, the rest takes 49.8 ms of the 14th; under 500m 27 periods give
    1.35, the rest 24.8 ms of the 28th. Measured on a real kernel: about 1.40 s and 2.82 s.
    """
    program = Program(
        nodes=(Node("n", 4.0),),
        services=(Service("s"),),
        operations=(Operation("o", 0, (Cpu(Draw(0.6998, "constant")),)),),
        sources=(Source("x", 0, ((0, 1.0),), trace=(0.0, 0.0)),),
        routes=("r",),
        pods=(PodStation("p", 0, 0, cpu_limit=limit),),
    )
    engine = make_engine(program, seed=1, kind="compiled")
    engine.advance(10.0)
    measures = engine.measures()
    assert int(measures.outcomes[0, Outcome.SERVED]) == 2
    assert measures.mean_latency(0) == pytest.approx(end, abs=1e-9)
    assert measures.mean_latency(0) == pytest.approx(published, rel=0.05)
