"""Find what is wrong with a program before it runs: all problems at once.

An overload is no error (it may be the answer), see ``sim.offered_load``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass

from models.errors import InputError, Problem, Where
from sim.program import (
    POOL_OF_POD,
    Cache,
    Call,
    Cpu,
    Deny,
    DiskIo,
    Draw,
    Hold,
    Instruction,
    Operation,
    PodStation,
    Policy,
    Program,
    RateLimit,
    Source,
    Transfer,
    Wait,
)

MAX_COUNT = 1 << 18
"""Calls of one instruction: random counters leave 20 bits per instruction, two counters a call."""


def check_program(program: Program) -> None:
    """Raise ``InputError`` with every problem of the program."""
    problems = list(find_problems(program))
    if problems:
        raise InputError(problems)


def find_problems(program: Program) -> Iterator[Problem]:
    """Everything that makes no sense, in the order of the program's fields."""
    yield from _not_numbers("program", program)
    for node in program.nodes:
        at = f"node {node.name}"
        yield from _positive(at, cores=node.cores, speed=node.speed)
        yield from _index(at, "nic", node.nic, program.links, optional=True)
    for link in program.links:
        yield from _positive(f"link {link.name}", bandwidth=link.bandwidth)
        yield from _not_negative(f"link {link.name}", rtt=link.rtt)
        yield from _share(f"link {link.name}", loss=link.loss)
    for disk in program.disks:
        at = f"disk {disk.name}"
        yield from _positive(
            at, read_bandwidth=disk.read_bandwidth, write_bandwidth=disk.write_bandwidth, channels=disk.channels
        )
        yield from _not_negative(at, op_latency=disk.op_latency, fsync=disk.fsync)
    for pod in program.pods:
        yield from pod_problems(program, pod)
    for operation in program.operations:
        yield from _operation(program, operation)
    yield from _cycles(program)
    for source in program.sources:
        yield from _source(program, source)
    yield from _positive("program", bin_width=program.bin_width)
    yield from _not_negative("program", bins=program.bins, lan_rtt=program.lan_rtt, exemplars=program.exemplars)


def pod_problems(program: Program, pod: PodStation) -> Iterator[Problem]:
    """What is wrong with one pod."""
    at = f"pod {pod.name}"
    yield from _index(at, "service", pod.service, program.services)
    yield from _index(at, "node", pod.node, program.nodes)
    yield from _index(at, "disk", pod.disk, program.disks, optional=True)
    yield from _positive(at, cpu_weight=pod.cpu_weight, cpu_limit=pod.cpu_limit, cfs_period=pod.cfs_period)
    if pod.cpu_burst > pod.cpu_limit * pod.cfs_period:
        quota = f"{pod.cpu_limit * pod.cfs_period:g} core-seconds"
        yield _problem(at, f"cpu_burst is {pod.cpu_burst:g}", f"at most one period's quota, {quota}")
    yield from _not_negative(
        at,
        workers=pod.workers,
        cpu_burst=pod.cpu_burst,
        idle_cores=pod.idle_cores,
        memory_base=pod.memory_base,
        memory_per_request=pod.memory_per_request,
        memory_growth=pod.memory_growth,
    )


def _operation(program: Program, operation: Operation) -> Iterator[Problem]:
    at = f"operation {operation.name}"
    yield from _index(at, "service", operation.service, program.services)
    for position, instruction in enumerate(operation.instructions):
        place = f"{at} instruction {position}"
        yield from _instruction(program, place, instruction)
        if isinstance(instruction, (Cache, Hold)) and position + instruction.skip >= len(operation.instructions):
            yield _problem(place, f"skip {instruction.skip} leads past the end", "skip only what a miss costs")


def _instruction(program: Program, at: str, instruction: Instruction) -> Iterator[Problem]:
    match instruction:
        case Cpu(work):
            yield from _draw(at, work)
        case Wait(time):
            yield from _draw(at, time)
        case Call():
            yield from _index(at, "operation", instruction.operation, program.operations)
            yield from _share(at, probability=instruction.probability)
            if not 0 <= instruction.count <= MAX_COUNT:
                yield _problem(at, f"count is {instruction.count}", f"between 0 and {MAX_COUNT}")
            yield from _policy(at, instruction.policy)
        case Cache():
            yield from _share(at, hit_ratio=instruction.hit_ratio)
            yield from _index(at, "service", instruction.service, program.services, optional=True)
            yield from _not_negative(at, skip=instruction.skip, working_set=instruction.working_set)
        case DiskIo():
            yield from _index(at, "disk", instruction.disk, program.disks, optional=True)
            yield from _not_negative(
                at,
                read_bytes=instruction.read_bytes,
                write_bytes=instruction.write_bytes,
                ops=instruction.ops,
                fsyncs=instruction.fsyncs,
            )
        case Transfer():
            yield from _index(at, "link", instruction.link, program.links, optional=True)
            yield from _draw(at, instruction.size)
        case Deny(probability):
            yield from _share(at, probability=probability)
        case RateLimit(average, burst):
            yield from _not_negative(at, average=average, burst=burst)
        case Hold():
            yield from _draw(at, instruction.time)
            if instruction.pool != POOL_OF_POD:
                yield from _index(at, "pool", instruction.pool, program.pools, optional=True)
            yield from _index(at, "link", instruction.link, program.links, optional=True)
            yield from _not_negative(
                at,
                amount=instruction.amount,
                bandwidth=instruction.bandwidth,
                cores=instruction.cores,
                skip=instruction.skip,
            )


def _policy(at: str, policy: Policy) -> Iterator[Problem]:
    yield from _positive(at, timeout=policy.timeout, hedge=policy.hedge, dial=policy.dial)
    yield from _not_negative(
        at,
        retries=policy.retries,
        backoff=policy.backoff,
        budget=policy.budget,
        breaker_failures=policy.breaker_failures,
        breaker_open=policy.breaker_open,
    )
    yield from _share(at, jitter=policy.jitter)
    if math.isinf(policy.dial):
        yield _problem(at, "dial is inf", "a connection must be given up at some time")


def _source(program: Program, source: Source) -> Iterator[Problem]:
    at = f"source {source.name}"
    yield from _index(at, "route", source.route, program.routes)
    if not source.mix:
        yield _problem(at, "mix is empty", "name at least one operation")
    for operation, weight in source.mix:
        yield from _index(at, "operation", operation, program.operations)
        yield from _positive(at, weight=weight)
    kinds = [bool(source.rates), source.users > 0, bool(source.trace)]
    if sum(kinds) != 1:
        yield _problem(at, "has not exactly one of rates, users and trace", "choose one kind of arrivals")
    for rate in source.rates:
        yield from _not_negative(at, rate=rate)
        if math.isinf(rate):
            yield _problem(at, "rate is inf", "must be finite")
    yield from _positive(at, segment=source.segment)
    yield from _not_negative(at, cv=source.cv, rtt=source.rtt, users=source.users)
    yield from _share(at, edge_hits=source.edge_hits)
    yield from _draw(at, source.think)
    yield from _draw(at, source.pause)
    if source.session < 1.0:
        yield _problem(at, f"session is {source.session:g}", "at least one request; inf: the session never ends")
    yield from _policy(at, source.policy)
    if any(later < earlier for earlier, later in zip(source.trace, source.trace[1:], strict=False)):
        yield _problem(at, "trace is not sorted", "sort the arrival times")
    if source.trace and (source.trace[0] < 0.0 or not math.isfinite(source.trace[-1])):
        yield _problem(at, "trace leaves the run", "times are seconds from the start, finite and not negative")
    if source.trace_operations and len(source.trace_operations) != len(source.trace):
        yield _problem(at, "trace_operations and trace differ in length", "one operation per arrival")
    if any(not 0 <= position < len(source.mix) for position in source.trace_operations):
        yield _problem(at, "trace_operations leaves the mix", "positions count from 0")
    if source.users and source.think.mean <= 0.0 and not math.isfinite(source.policy.timeout):
        yield from _endless(program, at, source)


def _endless(program: Program, at: str, source: Source) -> Iterator[Problem]:
    """Users who do not think and ask for nothing would ask without end in one instant."""
    if any(not program.operations[operation].instructions for operation, _ in source.mix):
        yield _problem(at, "users without think time ask for an operation that takes no time", "set think")


def _cycles(program: Program) -> Iterator[Problem]:
    """Operations that call themselves in a circle."""
    callees: dict[int, list[int]] = {}
    for operation, _, call in program.calls():
        if 0 <= call.operation < len(program.operations):
            callees.setdefault(operation, []).append(call.operation)
    done: set[int] = set()
    for start in range(len(program.operations)):
        path: list[int] = []
        stack = [(start, iter(callees.get(start, ())))] if start not in done else []
        path.extend(node for node, _ in stack)
        while stack:
            node, following = stack[-1]
            step = next(following, None)
            if step is None:
                stack.pop()
                path.pop()
                done.add(node)
            elif step in path:
                circle = [*path[path.index(step) :], step]
                names = " -> ".join(program.operations[index].name for index in circle)
                yield _problem(f"operation {program.operations[step].name}", f"call cycle {names}", "remove one call")
            elif step not in done:
                stack.append((step, iter(callees.get(step, ()))))
                path.append(step)


# ------------------------------------------------------------------------------------------------- small checks


def _not_numbers(at: str, value: object) -> Iterator[Problem]:
    """Every nan, however deep, with the path to it."""
    if isinstance(value, float):
        if math.isnan(value):
            yield _problem(at, "is not a number (nan)", "give a number")
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            if isinstance(item, (float, tuple)) or is_dataclass(item):
                yield from _not_numbers(f"{at}[{getattr(item, 'name', index)}]", item)
    elif is_dataclass(value):
        for part in fields(value):
            yield from _not_numbers(f"{at}.{part.name}", getattr(value, part.name))


def _problem(at: str, what: str, way_out: str) -> Problem:
    return Problem(Where(field=at), what, way_out)


def _positive(at: str, **values: float) -> Iterator[Problem]:
    for name, value in values.items():
        if not value > 0.0:
            yield _problem(at, f"{name} is {value}", "must be positive")


def _not_negative(at: str, **values: float) -> Iterator[Problem]:
    for name, value in values.items():
        if not value >= 0.0:
            yield _problem(at, f"{name} is {value}", "must not be negative")


def _share(at: str, **values: float) -> Iterator[Problem]:
    for name, value in values.items():
        if not 0.0 <= value <= 1.0:
            yield _problem(at, f"{name} is {value}", "must be between 0 and 1")


def _draw(at: str, draw: Draw) -> Iterator[Problem]:
    yield from _not_negative(at, mean=draw.mean, cv=draw.cv)
    if math.isinf(draw.mean):
        yield _problem(at, "mean is inf", "must be finite")


def _index(at: str, name: str, value: int, things: Iterable[object], optional: bool = False) -> Iterator[Problem]:
    count = len(tuple(things))
    if not (-1 if optional else 0) <= value < count:
        yield _problem(at, f"{name} {value} does not exist", f"there are {count}")
