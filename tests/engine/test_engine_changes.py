"""What the platform tells an engine is checked before anything happens, by both engines in the same words."""

from __future__ import annotations

import math
from typing import Any

import pytest

from models.errors import InputError
from sim.engine import Engine, make_engine
from sim.program import Cpu, Disk, Draw, Link, Node, Operation, PodStation, Policy, Program, Service, Source, Wait

BOTH = pytest.mark.parametrize("kind", ["compiled", "reference"])


def small(**changes: Any) -> Program:
    return Program(
        nodes=(Node("node", 4.0),),
        services=(Service("app"),),
        operations=(Operation("page", 0, changes.pop("plan", (Wait(Draw(0.1)),))),),
        sources=(changes.pop("source", Source("clients", 0, ((0, 1.0),), rates=(1.0,))),),
        routes=("route",),
        pods=changes.pop("pods", (PodStation("pod", 0, 0), PodStation("pod-2", 0, 0))),
        links=(Link("line", 1e6),),
        disks=(Disk("disk", 1e6, 1e6, 0.0, 0.0),),
    )


def make(kind: str, **changes: Any) -> Engine:
    return make_engine(small(**changes), seed=1, kind=kind)  # type: ignore[arg-type]


@BOTH
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda engine: engine.advance(math.nan), "advance to nan: until must be a time in seconds, or inf"),
        (lambda engine: engine.set_node(0, cores=-1.0), "cores is -1: must be finite and 0 or more"),
        (lambda engine: engine.set_node(0, speed=0.0), "speed is 0: must be finite and above 0"),
        (lambda engine: engine.set_link(0, rtt=math.inf), "rtt is inf: must be finite and 0 or more"),
        (lambda engine: engine.set_disk(0, slowdown=0.0), "slowdown is 0: must be finite and above 0"),
        (lambda engine: engine.stress(0, math.nan), "cores is nan: must be finite and 0 or more"),
        (
            lambda engine: engine.set_endpoints(0, [0, 1], [1.0]),
            "2 endpoints and 1 weights: give each endpoint its weight",
        ),
        (
            lambda engine: engine.set_endpoints(0, [0, 1], [1.0, 0.0]),
            "endpoint 1 has weight 0: leave out what gets nothing, others are above 0",
        ),
        (
            lambda engine: engine.set_rate_factor(0, -1.0),
            "rate factor -1 of source clients: must be 0 or more, and finite",
        ),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(kind: str, change: Any, message: str) -> None:
    with pytest.raises(ValueError, match="^" + message.replace("(", r"\(") + "$"):
        change(make(kind))


@BOTH
def test_users_cannot_be_sent_to_think_for_ever(kind: str) -> None:
    engine = make(kind, source=Source("users", 0, ((0, 1.0),), users=2))
    with pytest.raises(ValueError, match="users would think for ever"):
        engine.set_rate_factor(0, 0.0)


@BOTH
def test_requests_that_go_round_without_any_time_passing_are_told(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.reference.MOST_STEPS", 20_000)
    # The only pod is gone, and whoever is refused asks again at once.
    users = Source("users", 0, ((0, 1.0),), users=1, think=Draw(0.0, "constant"), policy=Policy())
    engine = make(kind, source=users, pods=(PodStation("pod", 0, 0),))
    engine.advance(1.0)
    engine.kill_pod(0)
    with pytest.raises(InputError, match="requests go round without end at 1"):
        engine.advance(2.0)


@BOTH
def test_a_program_without_services_and_traffic_measures_nothing(kind: str) -> None:
    engine = make_engine(Program((Node("node", 1.0),), (), (), (), ()), seed=1, kind=kind)  # type: ignore[arg-type]
    engine.advance(10.0)
    assert engine.measures().node_cpu_s.tolist() == [0.0]


@BOTH
def test_a_container_that_starts_anew_is_not_throttled_for_what_the_one_before_it_used(kind: str) -> None:
    # 50 ms are used up at 50 ms. A container that starts at 60 ms has a group of its own: 20 ms of work are done at 80.
    source = Source("clients", 0, ((0, 1.0), (1, 1.0)), trace=(0.0, 0.06), trace_operations=(0, 1))
    program = small(source=source, pods=(PodStation("pod", 0, 0, cpu_limit=0.5),))
    plans = (Cpu(Draw(1.0, "constant")),), (Cpu(Draw(0.02, "constant")),)
    operations = tuple(Operation(f"job-{index}", 0, plan) for index, plan in enumerate(plans))
    engine = make_engine(
        Program(program.nodes, program.services, operations, program.sources, program.routes, program.pods),
        seed=1,
        kind=kind,  # type: ignore[arg-type]
        log=True,
    )
    engine.advance(0.055)
    engine.kill_pod(0)
    engine.revive(0)
    engine.advance(1.0)
    assert [round(end, 9) for _, _, _, _, end, _, _ in engine.request_log()] == [0.055, 0.08]
    assert engine.measures().pod_throttled_s[0] == pytest.approx(0.005)


@BOTH
def test_requests_in_a_crowd_of_three_thousand_are_traced(kind: str) -> None:
    engine = make(kind, plan=(Wait(Draw(1.0, "uniform")),), source=Source("crowd", 0, ((0, 1.0),), trace=(0.0,) * 3000))
    engine.advance(10.0)
    assert all(len(exemplar.hops) == 1 for exemplar in engine.measures().exemplars)
