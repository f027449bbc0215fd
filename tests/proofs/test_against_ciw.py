"""The same network in Ciw (Palmer, Knight, Harper, Hawa 2019), an engine we did not write."""

from __future__ import annotations

import math

import pytest
from stations import CONFIDENCE, mean_latency, network, station

from sim.engine import make_engine
from sim.program import Draw, Program, Wait
from sim.statistics import student_interval

ciw = pytest.importorskip("ciw")
pytestmark = pytest.mark.oracle


def ciw_mean(simulate_network: object, length: float, nodes: int, seed: int) -> float:
    """Mean time from a customer's arrival to its last departure, over those that arrived after a tenth of the run."""
    ciw.seed(seed)
    simulation = ciw.Simulation(simulate_network)
    simulation.simulate_until_max_time(length)
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    for record in simulation.get_all_records():
        key = record.id_number
        first[key] = min(first.get(key, math.inf), record.arrival_date)
        last[key] = max(last.get(key, 0.0), record.exit_date)
    times = [last[key] - first[key] for key in first if length * 0.1 < first[key] < length * 0.95]
    return sum(times) / len(times)


def our_mean(program: Program, length: float, seed: int) -> float:
    engine = make_engine(program, seed=seed)
    engine.advance(length * 0.1)
    engine.reset_measures()
    engine.advance(length)
    return mean_latency(engine.measures())


def agree(program: Program, simulated: object, length: float, nodes: int) -> None:
    """The intervals of both engines overlap, and each is narrower than 3 %."""
    theirs = student_interval([ciw_mean(simulated, length, nodes, seed) for seed in range(8)], CONFIDENCE)
    ours = student_interval([our_mean(program, 20 * length, seed) for seed in range(8)], CONFIDENCE)
    assert abs(ours.estimate - theirs.estimate) <= ours.half_width + theirs.half_width
    assert theirs.relative < 0.06
    assert ours.relative < 0.02


def test_two_servers_with_uniform_service_agree_with_ciw() -> None:
    simulated = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(1.4)],
        service_distributions=[ciw.dists.Uniform(0.0, 2.0)],
        number_of_servers=[2],
    )
    agree(station((Wait(Draw(1.0, "uniform")),), rate=1.4, workers=2), simulated, 4000.0, 1)


def test_a_branching_network_with_deterministic_service_agrees_with_ciw() -> None:
    simulated = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(1.0), None, None],
        service_distributions=[
            ciw.dists.Exponential(2.0),
            ciw.dists.Deterministic(1.2),
            ciw.dists.Uniform(0.0, 1.0),
        ],
        routing=[[0.0, 0.5, 0.5], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]],
        number_of_servers=[1, 1, 1],
    )
    program = network(
        {"a": (1.0, 1), "b": (0.5, 1), "c": (1.0, 1)},
        {"a": Draw(0.5), "b": Draw(1.2, "constant"), "c": Draw(0.5, "uniform")},
        1.0,
        workers=1,
    )
    agree(program, simulated, 5000.0, 3)
