"""What makes no sense is told before a run, all at once and with the path to it; an overload with its numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_args

import numpy as np
import pytest

from models.amounts import Law
from models.errors import InputError
from sim.engine import EngineKind, make_engine
from sim.offered_load import busiest_loads, loads, own_members
from sim.program import (
    Cache,
    Call,
    Cpu,
    Deny,
    Disk,
    DiskIo,
    Draw,
    Hold,
    Instruction,
    Link,
    Node,
    Operation,
    PodStation,
    Policy,
    Pool,
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
        pods=tuple(PodStation(f"pod-{index}", index, 0, **{"disk": 0, **(pod or {})}) for index in range(len(plans))),
        disks=(Disk("disk", 1e8, 1e8, 0.01, 0.05),),
        links=(Link("uplink", 1e6),),
    )


def told(wrong: Program) -> list[tuple[str, str]]:
    with pytest.raises(InputError) as caught:
        make_engine(wrong, seed=1)
    return [(problem.where.field, problem.what) for problem in caught.value.problems]


def message(wrong: Program) -> str:
    with pytest.raises(InputError) as caught:
        make_engine(wrong, seed=1)
    return str(caught.value)


WORK = (Cpu(Draw(0.1)),)


@pytest.mark.parametrize(
    ("wrong", "where", "what"),
    [
        (program(WORK, rates=(-1.0,)), "source clients", "rate is -1.0"),
        (program(WORK, mix=()), "source clients", "mix is empty"),
        (program(WORK, mix=((0, 0.0),)), "source clients", "weight is 0.0"),
        (program(WORK, mix=((7, 1.0),)), "source clients", "operation 7 does not exist"),
        (program(WORK, users=3), "source clients", "has not exactly one of rates, users and trace"),
        (program(WORK, pod={"workers": -1}), "pod pod-0", "workers is -1"),
        (program(WORK, pod={"cpu_limit": 0.0}), "pod pod-0", "cpu_limit is 0.0"),
        (program((Cpu(Draw(-0.1)),)), "operation operation-0 instruction 0", "work.mean is -0.1"),
        (program((Deny(1.5),)), "operation operation-0 instruction 0", "probability is 1.5"),
        (program((Cache(0.5, 1),)), "operation operation-0 instruction 0", "skip 1 leads past the end"),
        (program((Call(4),)), "operation operation-0 instruction 0", "operation 4 does not exist"),
        (program(WORK, policy=Policy(timeout=0.0)), "source clients", "policy.timeout is 0.0"),
        (program(WORK, rates=(), trace=(2.0, 1.0)), "source clients", "trace is not sorted"),
    ],
)
def test_a_parameter_without_sense_is_told_before_the_run(wrong: Program, where: str, what: str) -> None:
    assert told(wrong) == [(where, what)]


FINITE = "must be a finite number"
STEP = "operation operation-0 instruction 0"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (program(WORK, rates=(math.nan,)), f"source clients: rates[0] is nan\n    {FINITE}"),
        (program((Cpu(Draw(math.nan)),)), f"{STEP}: work.mean is nan\n    {FINITE}"),
        (program((Wait(Draw(math.inf)),)), f"{STEP}: time.mean is inf\n    {FINITE}"),
        (program(WORK, pod={"memory_limit": math.nan}), "pod pod-0: memory_limit is nan\n    must be a number or inf"),
        (program(WORK, rates=(), trace=(0.0, math.nan)), f"source clients: trace[1] is nan\n    {FINITE}"),
        (program(WORK, pod={"cpu_weight": math.inf}), f"pod pod-0: cpu_weight is inf\n    {FINITE}"),
        (program(WORK, policy=Policy(dial=math.inf)), f"source clients: policy.dial is inf\n    {FINITE}"),
    ],
)
def test_a_number_that_is_none_or_without_end_is_told_with_its_field(wrong: Program, says: str) -> None:
    assert message(wrong) == says


WHOLE = "must be a whole number"
LAWS = "must be one of constant, exponential, uniform, erlang, lognormal, hyperexponential"
INSTRUCTIONS = "must be one of Cpu, Wait, Call, Cache, DiskIo, Transfer, Deny, RateLimit, Hold"


def of(made: Any, **given: Any) -> Any:
    """A value that its annotations forbid."""
    return made(**given)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (program((Cpu(of(Draw, mean=0.1, law="gaussian")),)), f"{STEP}: work.law is 'gaussian'\n    {LAWS}"),
        (program((of(Cpu, work=0.01),)), f"{STEP}: work is 0.01\n    must be a Draw"),
        (program(("hello",)), f"operation operation-0: instructions[0] is 'hello'\n    {INSTRUCTIONS}"),  # type: ignore[arg-type]
        (
            program((of(Call, operation=0, mode="paralel"),)),
            f"{STEP}: mode is 'paralel'\n    must be one of sequential, parallel, async",
        ),
        (
            program(WORK, policy=of(Policy, balance="first")),
            "source clients: policy.balance is 'first'\n    must be one of random, round_robin, least_connections",
        ),
        (program((of(Call, operation=0, count=1.5),)), f"{STEP}: count is 1.5\n    {WHOLE}"),
        (program(WORK, pod={"workers": None}), f"pod pod-0: workers is None\n    {WHOLE}"),
        (program(WORK, pod={"workers": 2.5}), f"pod pod-0: workers is 2.5\n    {WHOLE}"),
        (program(WORK, pod={"workers": True}), f"pod pod-0: workers is True\n    {WHOLE}"),
        (program(WORK, pod={"workers": 1 << 63}), f"pod pod-0: workers is 9223372036854775808\n    {WHOLE} below 2^63"),
        (program(WORK, pod={"queue": 0.5}), f"pod pod-0: queue is 0.5\n    {WHOLE}"),
        (program(WORK, pod={"cpu_limit": None}), "pod pod-0: cpu_limit is None\n    must be a number or inf"),
        (program(WORK, pod={"warm": "no"}), "pod pod-0: warm is 'no'\n    must be True or False"),
        (program(WORK, policy=of(Policy, retries=math.inf)), f"source clients: policy.retries is inf\n    {WHOLE}"),
        (program(WORK, policy=3), "source clients: policy is 3\n    must be a Policy"),
        (program(WORK, rates=(), users=1.5), f"source clients: users is 1.5\n    {WHOLE}"),
        (
            program(WORK, rates=10.0),
            "source clients: rates is 10.0\n    must be a tuple, each item a finite number",
        ),
        (
            program(WORK, rates=(), trace=np.array([1.0, 2.0])),
            "source clients: trace is array([1., 2.])\n    must be a tuple, each item a finite number: tuple(trace)",
        ),
        (
            program(WORK, rates=(np.float32(1.0),)),
            f"source clients: rates[0] is np.float32(1.0)\n    {FINITE}: float(rates[0])",
        ),
        (
            program(WORK, pod={"workers": np.int64(4)}),
            f"pod pod-0: workers is np.int64(4)\n    {WHOLE}: int(workers)",
        ),
        (
            program(WORK, mix=((0,),)),
            "source clients: mix[0] is (0,)\n    must be a tuple of 2: a whole number, a finite number",
        ),
        (program(WORK, mix=((0, "1"),)), f"source clients: mix[0][1] is '1'\n    {FINITE}"),
        (
            replace(program(WORK), sources=(of(Source, name="clients", route="route", mix=((0, 1.0),), rates=(1.0,)),)),
            f"source clients: route is 'route'\n    {WHOLE}",
        ),
        (replace(program(WORK), bins=1.5), f"program: bins is 1.5\n    {WHOLE}"),  # type: ignore[arg-type]
        (replace(program(WORK), routes=(1,)), "program: routes[0] is 1\n    must be a text"),  # type: ignore[arg-type]
        (replace(program(WORK), pods=("pod",)), "program: pods[0] is 'pod'\n    must be a PodStation"),  # type: ignore[arg-type]
        (replace(program(WORK), nodes=(of(Node, name=None, cores=1.0),)), "node 0: name is None\n    must be a text"),
        (of(dict), "program: is {}\n    must be a Program"),
    ],
)
def test_a_field_that_holds_something_else_than_its_annotation_says_is_told(wrong: Program, says: str) -> None:
    assert message(wrong) == says


def test_whatever_is_wrong_in_any_field_of_any_thing_is_told_as_a_problem() -> None:
    """Each field of each class in turn holds what none may hold: nothing but ``InputError`` ever comes of it."""
    whole = (Cpu(Draw(0.1)), Wait(Draw(0.1)), Call(1), Cache(0.5, 1), DiskIo(), Transfer(Draw(1.0), 0), Deny(0.1))
    good = program((*whole, RateLimit(1.0, 1.0), Hold(Draw(1.0))), WORK)
    good = replace(good, pools=(Pool("pool", 1.0),))
    check_program(good)
    told_of = {path: told(wrong) for path, wrong in spoilt(good)}
    assert {path for path, problems in told_of.items() if len(problems) != 1} == set()
    assert len(told_of) > 150


def spoilt(value: Any, path: str = "program") -> Iterator[tuple[str, Any]]:
    """Copies of a value with one field, however deep, that holds an object without any sense."""
    if is_dataclass(value) and not isinstance(value, type):
        for part in fields(value):
            for where, wrong in spoilt(getattr(value, part.name), f"{path}.{part.name}"):
                yield where, replace(value, **{part.name: wrong})
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            for where, wrong in spoilt(item, f"{path}[{index}]"):
                yield where, (*value[:index], wrong, *value[index + 1 :])
    yield path, object()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (program(WORK, pod={"queue": -2}), "pod pod-0: queue is -2\n    so many may wait; -1: no bound"),
        (program(WORK, pod={"memory_limit": 0.0}), "pod pod-0: memory_limit is 0.0\n    must be positive"),
        (
            program(WORK, (DiskIo(),), pod={"disk": -1}),
            "pod pod-1: has no disk\n    operation operation-1 uses it: set disk, or name one there",
        ),
        (
            program((Transfer(Draw(1e5)),)),
            "node node: has no network card\n    operation operation-0 uses it: set nic, or name a link there",
        ),
        (
            program((Cpu(Draw(0.1, "constant", 0.5)),)),
            f"{STEP}: work.cv is 0.5\n    that of law constant is always 0: leave it out, or choose another law",
        ),
        (
            program((Wait(Draw(0.1, cv=0.0)),)),
            f"{STEP}: time.cv is 0\n    that of law exponential is always 1: leave it out, or choose another law",
        ),
        (
            program((Transfer(Draw(0.1, "uniform", 2.0), 0),)),
            f"{STEP}: size.cv is 2\n    that of law uniform is always 0.5774: leave it out, or choose another law",
        ),
        (
            program((Hold(Draw(0.1, "erlang", 1.5)),)),
            f"{STEP}: time.cv is 1.5\n    law erlang has at most 1: choose hyperexponential or lognormal",
        ),
        (
            program((Cpu(Draw(0.1, "hyperexponential", 0.5)),)),
            f"{STEP}: work.cv is 0.5\n    law hyperexponential has at least 1: choose erlang or lognormal",
        ),
        (
            program((Cpu(Draw(0.1, "erlang", 0.1)),)),
            f"{STEP}: work.cv is 0.1\n    erlang has at most 60 phases: 0, or 0.13 and more",
        ),
        (
            program(WORK, cv=0.1),
            "source clients: cv is 0.1\n    erlang has at most 60 phases: 0, or 0.13 and more",
        ),
        (
            program(WORK, rates=(), users=1, cv=0.5),
            "source clients: cv is 0.5\n    it is that of gaps at given rates: leave it out",
        ),
        (
            program(WORK, rates=(), users=1, think=Draw(1.0, "constant", 2.0)),
            "source clients: think.cv is 2\n    that of law constant is always 0: leave it out, or choose another law",
        ),
    ],
)
def test_what_would_silently_be_something_else_is_told(wrong: Program, says: str) -> None:
    assert message(wrong) == says


@pytest.mark.parametrize(
    ("people", "says"),
    [
        ({"think": Draw(0.0)}, "think time ask for an operation that takes no time\n    set think"),
        ({"session": 1.0, "pause": Draw(0.0)}, "pause ask for an operation that takes no time\n    set pause"),
    ],
)
def test_users_who_would_ask_for_nothing_without_end_are_told(people: dict[str, Any], says: str) -> None:
    assert message(program((), rates=(), users=1, **people)) == f"source clients: users without {says}"


@pytest.mark.parametrize(
    "draw",
    [
        *(Draw(1.0, law) for law in get_args(Law)),
        Draw(1.0, "constant", 0.0),
        Draw(1.0, "uniform", 0.5774),
        *(Draw(1.0, "erlang", phases**-0.5) for phases in range(1, 61)),
        Draw(1.0, "erlang", 0.0),
        Draw(1.0, "lognormal", 0.01),
        Draw(1.0, "hyperexponential", 7.0),
    ],
)
def test_a_law_with_a_variation_that_it_has_is_fine(draw: Draw) -> None:
    check_program(program((Cpu(draw),)))


def test_float64_of_numpy_changes_nothing_in_either_engine() -> None:
    policy = Policy(timeout=1.0, retries=2, budget=0.5, breaker_failures=3, hedge=0.2, balance="round_robin")
    plan = (Cpu(Draw(0.1)), Cache(0.5, 1, working_set=9.0), Call(1, count=2, policy=policy), DiskIo(fsyncs=1.0))
    pod = {"workers": 2, "queue": 3, "cpu_limit": 0.5}
    given = program((*plan, Transfer(Draw(1e5), 0)), WORK, pod=pod, rates=(6.0, 3.0), segment=5.0)
    users = Source("users", 0, ((0, 1.0), (1, 2.0)), users=3, session=4.0)
    trace = Source("trace", 0, ((0, 1.0), (1, 2.0)), trace=(0.5, 1.0), trace_operations=(1, 0))
    plain = replace(given, sources=(*given.sources, users, trace))
    kinds: tuple[EngineKind, ...] = ("compiled", "reference")
    logs = []
    for one in (plain, in_numpy(plain)):
        for kind in kinds:
            engine = make_engine(one, seed=3, kind=kind, log=True)
            engine.advance(30.0)
            logs.append(engine.request_log())
    assert len(logs[0]) > 100
    assert logs[1:] == logs[:1] * 3


def in_numpy(value: Any) -> Any:
    """The same with numpy's floats."""
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{part.name: in_numpy(getattr(value, part.name)) for part in fields(value)})
    if isinstance(value, tuple):
        return tuple(map(in_numpy, value))
    return np.float64(value) if type(value) is float else value


def test_a_typo_in_the_kind_of_engine_is_told_with_the_problems_of_the_program() -> None:
    with pytest.raises(InputError) as caught:
        make_engine(program((Deny(1.5),)), seed=1.5, kind="compield")  # type: ignore[arg-type]
    assert str(caught.value).splitlines() == [
        "make_engine: seed is 1.5",
        "    must be a whole number",
        "make_engine: kind is 'compield'",
        "    must be one of auto, compiled, reference",
        f"{STEP}: probability is 1.5",
        "    must be between 0 and 1",
    ]


@pytest.mark.parametrize("kind", ["compiled", "reference"])
def test_an_engine_with_log_keeps_every_request_that_ended(kind: EngineKind) -> None:
    engine = make_engine(program(WORK), seed=1, kind=kind, log=True)
    engine.advance(50.0)
    assert len(engine.request_log()) == engine.measures().outcomes.sum() > 20


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
