"""Random small worlds for the engines, and a driver that plays the platform."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from models.amounts import Law
from sim.compiled import CompiledEngine
from sim.measures import EngineMeasures
from sim.program import (
    POOL_OF_POD,
    Cache,
    Call,
    Cpu,
    Deny,
    Disk,
    DiskIo,
    Draw,
    Hold,
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
from sim.reference import ReferenceEngine

Engines = ReferenceEngine | CompiledEngine
HORIZON = 12.0

# A coarse grid of times makes simultaneous events likely, which is where two engines would differ.
times = st.sampled_from([0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0])
variations: dict[Law, list[float]] = {
    "constant": [1.0],
    "exponential": [1.0],
    "uniform": [1.0],
    "erlang": [0.0, 0.5, 1.0],
    "lognormal": [0.0, 0.5, 1.0, 2.0],
    "hyperexponential": [1.0, 2.0],
}
laws: st.SearchStrategy[Law] = st.sampled_from(["constant", *variations])


@st.composite
def draws(draw: st.DrawFn, means: st.SearchStrategy[float] = times) -> Draw:
    law = draw(laws)
    return Draw(draw(means), law, draw(st.sampled_from(variations[law])))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    return Policy(
        timeout=draw(st.sampled_from([math.inf, 0.1, 0.3, 1.0])),
        retries=draw(st.integers(0, 3)),
        backoff=draw(st.sampled_from([0.0, 0.1, 0.25])),
        jitter=draw(st.sampled_from([0.0, 0.0, 0.5])),
        budget=draw(st.sampled_from([math.inf, 0.2])),
        cancel=draw(st.booleans()),
        breaker_failures=draw(st.sampled_from([0, 0, 2])),
        breaker_open=draw(st.sampled_from([0.2, 1.0])),
        hedge=draw(st.sampled_from([math.inf, math.inf, 0.1])),
        dial=draw(st.sampled_from([0.2, 30.0])),
        balance=draw(st.sampled_from(["random", "round_robin", "least_connections"])),
        sticky=draw(st.integers(0, 4)) == 0,
    )


@st.composite
def instructions(draw: st.DrawFn, callees: list[int], services: int) -> Any:
    kinds = ["cpu", "cpu", "cpu", "wait", "deny", "limit", "disk", "transfer", "hold"]
    kind = draw(st.sampled_from(kinds + ["call"] * 6 if callees else kinds))
    if kind == "cpu":
        return Cpu(draw(draws()))
    if kind == "wait":
        return Wait(draw(draws()))
    if kind == "deny":
        return Deny(draw(st.sampled_from([0.0, 0.2])))
    if kind == "limit":
        return RateLimit(draw(st.sampled_from([1.0, 20.0])), draw(st.sampled_from([1.0, 5.0])))
    if kind == "disk":
        amount = st.sampled_from([0.0, 1e6, 5e6])
        operations, flushes, disk = draw(st.integers(0, 3)), draw(st.integers(0, 1)), draw(st.integers(-1, 0))
        return DiskIo(draw(amount), draw(amount), operations, flushes, disk)
    if kind == "transfer":
        return Transfer(draw(draws(st.sampled_from([0.0, 1e5, 1e6]))), draw(st.integers(-1, 1)))
    if kind == "hold":
        return Hold(
            draw(draws()),
            pool=draw(st.sampled_from([-1, 0, POOL_OF_POD])),
            link=draw(st.integers(-1, 1)),
            bandwidth=draw(st.sampled_from([1e6, 6e6])),
            cores=draw(st.sampled_from([0.0, 0.5, 1.0])),
            degrade=draw(st.booleans()),
        )
    return Call(
        draw(st.sampled_from(callees)),
        probability=draw(st.sampled_from([1.0, 1.0, 0.5])),
        count=draw(st.integers(0, 3)),
        mode=draw(st.sampled_from(["sequential", "sequential", "parallel", "parallel", "async"])),
        soft=draw(st.booleans()),
        policy=draw(policies()),
    )


@st.composite
def bodies(draw: st.DrawFn, callees: list[int], services: int) -> tuple[Any, ...]:
    body = draw(st.lists(instructions(callees, services), min_size=1, max_size=4))
    if len(body) > 1 and draw(st.integers(0, 3)) == 0:
        service = draw(st.integers(-1, services - 1))
        body.insert(0, Cache(0.5, draw(st.integers(1, len(body) - 1)), service, draw(st.sampled_from([0.0, 8.0]))))
    if len(body) > 1 and isinstance(body[0], Hold):
        body[0] = replace(body[0], skip=draw(st.integers(0, len(body) - 2)))
    return tuple(body)


@st.composite
def sources(draw: st.DrawFn, operations: int) -> Source:
    kind = draw(st.sampled_from(["open", "open", "closed", "trace"]))
    mix = tuple((operation, draw(st.sampled_from([1.0, 3.0]))) for operation in range(draw(st.integers(1, operations))))
    common: dict[str, Any] = {
        "policy": draw(policies()),
        "edge_hits": draw(st.sampled_from([0.0, 0.0, 0.3])),
        "rtt": draw(st.sampled_from([0.0, 0.05])),
    }
    if kind == "open":
        rates = draw(st.sampled_from([(3.0,), (8.0,), (0.0, 10.0), (4.0, 12.0, 0.0)]))
        cv = draw(st.sampled_from([0.0, 0.5, 1.0, 2.0]))
        begun = draw(st.sampled_from([0.0, 0.0, 2.5]))
        return Source("open", 0, mix, rates=rates, segment=2.5, cv=cv, under_way=begun, **common)
    if kind == "closed":
        session = draw(st.sampled_from([math.inf, 1.0, 3.0]))
        pause = draw(draws(times.map(lambda time: time + 0.3)))  # without a pause refusals could go round without end
        think, users = draw(draws(st.just(0.5))), draw(st.integers(1, 4))
        return Source("users", 1, mix, users=users, think=think, session=session, pause=pause, **common)
    trace = tuple(sorted(draw(st.lists(st.sampled_from([0.0, 0.1, 1.0, 2.0, 5.0]), min_size=1, max_size=8))))
    return Source("trace", 0, mix, trace=trace, **common)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    services, count = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    operations = tuple(
        Operation(
            f"operation-{index}",
            draw(st.integers(0, services - 1)),
            draw(bodies(list(range(index + 1, count)), services)),
        )
        for index in range(count)
    )
    served = [*range(services), *draw(st.lists(st.integers(0, services - 1), max_size=3))]
    steps = {(operation.service, step) for operation in operations for step in operation.instructions}
    need_disk = {service for service, step in steps if isinstance(step, DiskIo) and step.disk == -1}
    need_card = {service for service, step in steps if isinstance(step, Transfer) and step.link == -1}
    pods = tuple(
        PodStation(
            f"pod-{index}",
            service=service,
            node=draw(st.integers(0, 1)),
            workers=draw(st.sampled_from([0, 1, 1, 2, 4])),
            queue=draw(st.sampled_from([-1, -1, 0, 2])),
            cpu_weight=draw(st.sampled_from([2.0, 102.0, 1024.0])),
            qos=draw(st.sampled_from(["guaranteed", "guaranteed", "burstable", "burstable", "besteffort"])),
            cpu_limit=draw(st.sampled_from([math.inf, math.inf, 0.2, 0.5, 1.5])),
            cfs_phase=draw(st.sampled_from([0.0, 0.03])),
            cpu_burst=draw(st.sampled_from([0.0, 0.0, 0.01, 0.02])),
            idle_cores=draw(st.sampled_from([0.0, 0.0, 0.1])),
            memory_base=1e6,
            memory_per_request=1e6,
            memory_growth=draw(st.sampled_from([0.0, 0.0, 1e6])),
            memory_limit=draw(st.sampled_from([math.inf, math.inf, 6.5e6])),
            disk=draw(st.integers(0 if service in need_disk else -1, 0)),
            warm=draw(st.booleans()),
            pool=draw(st.integers(-1, 0)),
        )
        for index, service in enumerate(served)
    )
    cards = [1] if any(pod.node == 1 and pod.service in need_card for pod in pods) else [-1, 1]
    return Program(
        nodes=(
            Node("a", draw(st.sampled_from([1.0, 1.5, 4.0])), nic=0),
            Node("b", draw(st.sampled_from([1.0, 2.0])), 1.25, nic=draw(st.sampled_from(cards))),
        ),
        services=tuple(Service(f"service-{index}") for index in range(services)),
        operations=operations,
        sources=tuple(draw(st.lists(sources(count), min_size=1, max_size=3))),
        routes=("one", "two"),
        pods=pods,
        links=(Link("nic", 1e7, 0.01, draw(st.sampled_from([0.0, 0.2]))), Link("uplink", 5e6)),
        disks=(Disk("disk", 1e8, 5e7, 0.05, 0.1, draw(st.integers(1, 2))),),
        pools=(Pool("encoders", 2.0),),
        lan_rtt=draw(st.sampled_from([0.0, 0.001])),
        bin_width=1.0,
        bins=10,
    )


@dataclass(frozen=True)
class Event:
    """Something the platform does at a time; indices are taken modulo what there is."""

    time: float
    what: str
    index: int
    value: float


@st.composite
def events(draw: st.DrawFn) -> Event:
    what = draw(
        st.sampled_from(
            [
                "reset",
                "reset",
                "blackhole",
                "drain",
                "revive",
                "revive",
                "remove",
                "endpoints",
                "all",
                "weights",
                "add",
                "node",
                "cores",
                "speed",
                "link",
                "linkdown",
                "disk",
                "stress",
                "memory",
                "watch",
                "rate",
                "none",
            ]
        )
    )
    time = draw(st.sampled_from([0.0, 0.1, 1.0, 2.0, 2.5, 5.0]) | st.floats(0.0, HORIZON))
    return Event(time, what, draw(st.integers(0, 5)), draw(st.sampled_from([0.0, 0.5, 1.0, 2.0])))


def play(engine: Engines, event: Event) -> None:
    """Do it."""
    program, index, value = engine.program, event.index, event.value
    slot, node = index % len(program.pods), index % 2
    service = index % len(program.services)
    mine = [number for number, pod in enumerate(program.pods) if pod.service == service]
    match event.what:
        case "reset" | "blackhole":
            engine.kill_pod(slot, event.what)
        case "drain":
            engine.drain_pod(slot)
        case "remove":
            engine.remove_pod(slot)
        case "revive":
            engine.revive(slot)
        case "endpoints":
            engine.set_endpoints(service, mine[: int(value)])
        case "all":
            engine.set_endpoints(service, mine)
        case "weights":
            engine.set_endpoints(service, mine, [1.0 + number for number in range(len(mine))])
        case "add":
            pod = program.pods[mine[0]]
            if value > 0.5:  # perhaps to a machine without disk and network card, where they take no time
                pod = replace(pod, node=1, disk=-1)
            engine.set_endpoints(service, [*mine, engine.add_pod(pod)])
        case "node":
            engine.set_node(node, up=value > 0.5)
        case "cores":
            engine.set_node(node, cores=0.5 + value)
        case "speed":
            engine.set_node(node, speed=0.5 + value)
        case "link":
            engine.set_link(node, bandwidth=1e6 * (value + 1.0), rtt=0.1 * value, loss=0.1 * value)
        case "linkdown":
            engine.set_link(node, up=value > 0.5)
        case "disk":
            engine.set_disk(0, failing=value == 0.0, extra_latency=0.1 * value, slowdown=1.0 + value)
        case "stress":
            engine.stress(node, value)
        case "memory":
            engine.stress_memory(slot, 3e6 * value)
        case "watch":
            engine.watch_memory(slot, engine.pod_memory(slot) + 1e6 * (value + 0.25))
        case "rate":
            engine.set_rate_factor(index % len(program.sources), value if value > 0.0 else 1.5)


def go(engine: Engines, until: float, history: list[object]) -> None:
    """Advance; a pod out of memory is killed and comes back at once, a drained one is removed."""
    while (stop := engine.advance(until)).notices:
        for notice in stop.notices:
            history.append((stop.time, notice))
            if notice.kind == "memory":
                history.append(engine.pod_memory(notice.slot))
                continue
            engine.kill_pod(notice.slot)
            if notice.kind == "oom":
                engine.revive(notice.slot)


def run(engine: Engines, timeline: list[Event], cuts: list[float], reset_at: float | None = None) -> list[object]:
    """Play a timeline; ``cuts`` are further times at which the advance is interrupted for nothing."""
    history: list[object] = []
    marks = [(event.time, 1, event) for event in timeline] + [(cut, 0, None) for cut in cuts]
    if reset_at is not None:
        marks.append((reset_at, 2, None))
    for time, rank, event in sorted(marks, key=lambda mark: mark[:2]):
        go(engine, time, history)
        if event is not None:
            play(engine, event)
        elif rank == 2:
            engine.reset_measures()
    go(engine, HORIZON, history)
    return history


def differences(one: EngineMeasures, two: EngineMeasures) -> list[str]:
    """Names of the measures that differ: counts exactly, integrals but for the order of their sums."""
    found = []
    for name, value in vars(one).items():
        other = getattr(two, name)
        if not isinstance(value, np.ndarray):
            same = value == other
        elif value.dtype.kind == "i":
            same = np.array_equal(value, other)
        else:
            scale = max(float(np.abs(value).max(initial=0.0)), 1.0)
            same = bool(np.allclose(value, other, rtol=1e-9, atol=1e-9 * scale))
        if not same:
            found.append(name)
    return found
