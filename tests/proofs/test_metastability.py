"""Retries with orphans: one excursion tips a system that is loaded to 70 % for good; with cancellation it recovers."""

from __future__ import annotations

from sim.engine import make_engine
from sim.program import Call, Draw, Node, Operation, PodStation, Policy, Program, Service, Source, Wait


def availability_after_a_burst(cancel: bool) -> tuple[float, float]:
    """Availability in the minute before and the last minute after five seconds of triple load."""
    impatient = Policy(timeout=0.15, retries=3, backoff=0.05, jitter=0.5, cancel=cancel)
    program = Program(
        nodes=(Node("node", 64.0),),
        services=(Service("app"), Service("database")),
        operations=(
            Operation("page", 0, (Wait(Draw(0.005)), Call(1, policy=Policy(cancel=cancel)))),
            Operation("query", 1, (Wait(Draw(0.010)),)),
        ),
        sources=(Source("clients", 0, ((0, 1.0),), rates=(140.0,), policy=impatient),),
        routes=("shop.example",),
        pods=(PodStation("app", 0, 0), PodStation("database", 1, 0, workers=2)),
    )
    engine = make_engine(program, seed=7)
    engine.advance(60.0)
    before = engine.measures().availability(0)
    engine.set_rate_factor(0, 3.0)
    engine.advance(65.0)
    engine.set_rate_factor(0, 1.0)
    engine.advance(240.0)
    engine.reset_measures()
    engine.advance(300.0)
    return before, engine.measures().availability(0)


def test_with_cancellation_a_burst_is_over_when_it_is_over() -> None:
    before, after = availability_after_a_burst(cancel=True)
    assert before > 0.999
    assert after > 0.999


def test_with_orphans_a_burst_of_five_seconds_takes_the_service_down_for_good() -> None:
    before, after = availability_after_a_burst(cancel=False)
    assert before > 0.99
    assert after < 0.05
