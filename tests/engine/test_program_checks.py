"""What makes no sense is told before a run, all at once and with the path to it; an overload with its numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from models.errors import InputError
from sim.engine import make_engine
from sim.offered_load import busiest_loads, loads, own_members
from sim.program import (
    Cache,
    Call,
    Cpu,
    Deny,
    Disk,
    DiskIo,
    Draw,
    Instruction,
    Link,
    Node,
    Operation,
    PodStation,
    Policy,
    Program,
    RateLimit,
    Service,
    Source,
    Transfer,
    Wait,
)
from sim.program_checks import check_program


def program(*plans: tuple[Instruction, ...], pod: dict[str, Any] | None = None, **source: Any) -> Program:
    """Operation i of service i with one pod on one node of two cores and a disk."""
    given: dict[str, Any] = {"rates": (1.0,), **source}
    return Program(
        nodes=(Node("node", 2.0),),
        services=tuple(Service(f"service-{index}") for index in range(len(plans))),
        operations=tuple(Operation(f"operation-{index}", index, plan) for index, plan in enumerate(plans)),
        sources=(Source("clients", 0, given.pop("mix", ((0, 1.0),)), **given),),
        routes=("route",),
        pods=tuple(PodStation(f"pod-{index}", index, 0, disk=0, **(pod or {})) for index in range(len(plans))),
        disks=(Disk("disk", 1e8, 1e8, 0.01, 0.05),),
        links=(Link("uplink", 1e6),),
    )


def told(wrong: Program) -> list[tuple[str, str]]:
    with pytest.raises(InputError) as caught:
        make_engine(wrong, seed=1)
    return [(problem.where.field, problem.what) for problem in caught.value.problems]


WORK = (Cpu(Draw(0.1)),)


@pytest.mark.parametrize(
    ("wrong", "where", "what"),
    [
        (program(WORK, rates=(-1.0,)), "source clients", "rate is -1.0"),
        (program(WORK, rates=(math.inf,)), "source clients", "rate is inf"),
        (program(WORK, mix=()), "source clients", "mix is empty"),
        (program(WORK, mix=((0, 0.0),)), "source clients", "weight is 0.0"),
        (program(WORK, mix=((7, 1.0),)), "source clients", "operation 7 does not exist"),
        (program(WORK, users=3), "source clients", "has not exactly one of rates, users and trace"),
        (program(WORK, pod={"workers": -1}), "pod pod-0", "workers is -1"),
        (program(WORK, pod={"cpu_limit": 0.0}), "pod pod-0", "cpu_limit is 0.0"),
        (program((Cpu(Draw(-0.1)),)), "operation operation-0 instruction 0", "mean is -0.1"),
        (program((Wait(Draw(math.inf)),)), "operation operation-0 instruction 0", "mean is inf"),
        (program((Deny(1.5),)), "operation operation-0 instruction 0", "probability is 1.5"),
        (program((Cache(0.5, 1),)), "operation operation-0 instruction 0", "skip 1 leads past the end"),
        (program((Call(4),)), "operation operation-0 instruction 0", "operation 4 does not exist"),
        (program(WORK, policy=Policy(timeout=0.0)), "source clients", "timeout is 0.0"),
        (program(WORK, rates=(), trace=(2.0, 1.0)), "source clients", "trace is not sorted"),
    ],
)
def test_a_parameter_without_sense_is_told_before_the_run(wrong: Program, where: str, what: str) -> None:
    assert told(wrong) == [(where, what)]


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        (program(WORK, rates=(math.nan,)), "program.sources[clients].rates[0]"),
        (program((Cpu(Draw(math.nan)),)), "program.operations[operation-0].instructions[0].work.mean"),
        (program(WORK, pod={"memory_limit": math.nan}), "program.pods[pod-0].memory_limit"),
        (program(WORK, rates=(), trace=(0.0, math.nan, 2.0)), "program.sources[clients].trace[1]"),
    ],
)
def test_a_value_that_is_no_number_is_told_with_the_path_to_it(wrong: Program, where: str) -> None:
    assert (where, "is not a number (nan)") in told(wrong)


def test_a_circle_of_calls_is_told_with_its_path() -> None:
    wrong = program((Call(1),), (Call(2),), (Call(1),))
    assert told(wrong) == [("operation operation-1", "call cycle operation-1 -> operation-2 -> operation-1")]


def test_all_problems_are_told_at_once() -> None:
    assert len(told(program((Cpu(Draw(-1.0)),), rates=(-1.0,), pod={"workers": -2}))) == 3


def found(given: Program, rate: float) -> dict[tuple[str, str], float]:
    return {(load.station, load.unit): load.utilisation for load in loads(given, [rate], own_members(given))}


def test_a_single_worker_of_half_a_second_at_three_per_second_is_asked_for_150_percent() -> None:
    overloaded = program((Wait(Draw(0.5)),), rates=(3.0,), pod={"workers": 1})
    check_program(overloaded)  # no error: the overload is the answer
    assert found(overloaded, 3.0)["Pod pod-0", "workers"] == 1.5


def test_cores_quota_disk_and_line_are_loaded_by_what_the_visits_need() -> None:
    plan = (Cpu(Draw(0.2)), DiskIo(ops=2.0, fsyncs=1.0), Transfer(Draw(1e5), 0))
    seen = found(program(plan, pod={"cpu_limit": 0.5, "idle_cores": 0.1}), 4.0)
    assert seen["Node node", "cores"] == pytest.approx((4.0 * 0.2 + 0.1) / 2.0)
    assert seen["Pod pod-0", "cores of its CPU limit"] == pytest.approx(1.6)
    assert seen["disk", "channels"] == pytest.approx(4.0 * (2 * 0.01 + 0.05))
    assert seen["uplink", "bytes per second"] == pytest.approx(0.4)


def test_a_worker_is_held_through_its_sequential_calls_and_a_hit_or_a_denial_saves_them() -> None:
    # 10 per second, half denied, 80 % of the others hit, a miss costs two queries of 100 ms.
    plan = (Deny(0.5), Cache(0.8, 1), Call(1, count=2))
    seen = found(program(plan, (Wait(Draw(0.1)),), pod={"workers": 4}), 10.0)
    assert seen["Pod pod-1", "workers"] == pytest.approx(10.0 * 0.5 * 0.2 * 2 * 0.1 / 4)
    assert seen["Pod pod-0", "workers"] == pytest.approx(10.0 * 0.5 * 0.2 * 2 * 0.1 / 4)


def test_a_rate_limit_bounds_what_reaches_the_app() -> None:
    plan = (RateLimit(5.0, 10.0), Call(1))
    assert found(program(plan, WORK, pod={"cpu_limit": 1.0}), 50.0)["Pod pod-1", "cores of its CPU limit"] == 0.5


def test_the_busiest_hour_of_the_run_counts_and_an_hour_outside_it_does_not() -> None:
    day = program((Cpu(Draw(1.0)),), rates=(1.0, 3.0, 2.5))
    two = {load.station: load.utilisation for load in busiest_loads(day, 7199.0, own_members(day))}
    assert two["Node node"] == 1.5
    later = replace(day, sources=(replace(day.sources[0], offset=7200.0),))
    one = {load.station: load.utilisation for load in busiest_loads(later, 3000.0, own_members(later))}
    assert one["Node node"] == 1.25
