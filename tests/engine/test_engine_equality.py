"""The compiled and the reference engine follow the same trajectory, request by request and bit by bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worlds import HORIZON, Event, differences, events, programs, run

from sim.compiled import CompiledEngine
from sim.program import Program
from sim.program_checks import check_program
from sim.reference import ReferenceEngine

EXAMPLES = int(os.environ.get("STOWPLAN_WORLDS", "300"))
relaxed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize="STOWPLAN_WORLDS" not in os.environ,
)
cuts = st.lists(st.floats(0.0, HORIZON), max_size=8)


@relaxed
@given(programs(), st.lists(events(), max_size=6), st.integers(0, 2**32), st.sampled_from([None, 1.0, 3.3]))
def test_random_worlds_with_faults_go_the_same_way_in_both_engines(
    program: Program, timeline: list[Event], seed: int, reset_at: float | None
) -> None:
    check_program(program)
    compiled = CompiledEngine(program, seed=seed, log=True)
    reference = ReferenceEngine(program, seed=seed)
    notices = run(compiled, timeline, [], reset_at), run(reference, timeline, [], reset_at)
    assert compiled.request_log() == reference.request_log()
    assert notices[0] == notices[1]
    assert differences(compiled.measures(), reference.measures()) == []
    assert (compiled.pod_cpu() == compiled.measures().pod_cpu_s).all()
    assert (reference.pod_cpu() == reference.measures().pod_cpu_s).all()


@relaxed
@given(programs(), st.lists(events(), max_size=4), st.integers(0, 2**32), cuts)
def test_cutting_an_advance_into_pieces_changes_nothing(
    program: Program, timeline: list[Event], seed: int, pieces: list[float]
) -> None:
    whole, cut = CompiledEngine(program, seed=seed, log=True), CompiledEngine(program, seed=seed, log=True)
    run(whole, timeline, [])
    run(cut, timeline, pieces)
    assert whole.request_log() == cut.request_log()
    assert differences(whole.measures(), cut.measures()) == []


@relaxed
@given(programs(), st.lists(events(), max_size=6), st.integers(0, 2**32))
def test_every_request_that_arrived_has_an_outcome_or_is_in_flight(
    program: Program, timeline: list[Event], seed: int
) -> None:
    engine = CompiledEngine(program, seed=seed)
    run(engine, timeline, [], reset_at=2.0)
    measures = engine.measures()
    assert (measures.arrived == measures.outcomes.sum(axis=1) + measures.in_flight).all()
    assert (measures.in_flight >= 0).all()
    assert (measures.latency.sum(axis=(1, 2)) == measures.outcomes.sum(axis=1)).all()


def test_the_interpreted_kernel_goes_the_same_way_as_the_reference() -> None:
    environment = dict(os.environ, NUMBA_DISABLE_JIT="1", STOWPLAN_WORLDS="25")
    test = f"{__file__}::{test_random_worlds_with_faults_go_the_same_way_in_both_engines.__name__}"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
