"""Small models with known answers, and intervals from independent replications of the compiled engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sim.engine import make_engine
from sim.measures import EngineMeasures
from sim.program import (
    Call,
    Draw,
    Instruction,
    Node,
    Operation,
    PodStation,
    Program,
    Service,
    Source,
    Wait,
)
from sim.statistics import Interval, replicate

CONFIDENCE = 0.999
"""Of every interval here: with some twenty proofs, a correct engine fails one in fifty runs of new seeds."""


def station(
    instructions: tuple[Instruction, ...], rate: float = 0.0, cores: float = 1e6, users: int = 0, **pod: Any
) -> Program:
    """One pod that serves open arrivals at ``rate``, or ``users`` with the think time in ``think``."""
    think = pod.pop("think", Draw(1.0))
    cv = pod.pop("cv", 1.0)
    source = Source("clients", 0, ((0, 1.0),), rates=() if users else (rate,), users=users, think=think, cv=cv)
    return Program(
        nodes=(Node("node", cores),),
        services=(Service("service"),),
        operations=(Operation("operation", 0, instructions),),
        sources=(source,),
        routes=("route",),
        pods=(PodStation("pod", 0, 0, **pod),),
        bins=0,
    )


def network(visits: dict[str, tuple[float, int]], services: dict[str, Draw], rate: float, workers: int) -> Program:
    """Stations that an unlimited first pod calls one after the other: name -> (probability, count)."""
    names = list(visits)
    plan = tuple(
        Call(index + 1, probability=visits[name][0], count=visits[name][1]) for index, name in enumerate(names)
    )
    stations = tuple(Operation(name, index + 1, (Wait(services[name]),)) for index, name in enumerate(names))
    return Program(
        nodes=(Node("node", 1e6),),
        services=tuple(Service(name) for name in ("first", *names)),
        operations=(Operation("first", 0, plan), *stations),
        sources=(Source("clients", 0, ((0, 1.0),), rates=(rate,)),),
        routes=("route",),
        pods=(
            PodStation("first", 0, 0),
            *(PodStation(name, index + 1, 0, workers=workers) for index, name in enumerate(names)),
        ),
        bins=0,
    )


def replications(
    program: Program, measure: Callable[[EngineMeasures], float], length: float, width: float = 0.0095
) -> Interval:
    """The interval of a measure from runs of ``length`` seconds after a warm-up of 5 %, until it is narrow enough."""

    def run(replication: int) -> EngineMeasures:
        engine = make_engine(program, seed=20260101, replication=replication)
        engine.advance(0.05 * length)
        engine.reset_measures()
        engine.advance(1.05 * length)
        return engine.measures()

    return replicate(run, measure, width, confidence=CONFIDENCE, at_least=12, at_most=150)[1]


def mean_latency(measures: EngineMeasures) -> float:
    """Mean time of the served requests of the first series."""
    return measures.mean_latency(0)


def prove(interval: Interval, theory: float, width: float = 0.01) -> None:
    """Theory lies in the interval, and the interval is narrow."""
    assert theory in interval, f"theory {theory:.6g} is not in [{interval.low:.6g}, {interval.high:.6g}]"
    assert interval.relative <= width, f"half-width {interval.relative:.2%} is more than {width:.0%}"
