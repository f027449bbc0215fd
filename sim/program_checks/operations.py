"""What is wrong with operations: their instructions, how they call others, circles of calls."""

from __future__ import annotations

from collections.abc import Iterator

from models.errors import Problem
from sim.circles import circles
from sim.program import (
    POOL_OF_POD,
    Cache,
    Call,
    Cpu,
    Deny,
    DiskIo,
    Hold,
    Instruction,
    Operation,
    Policy,
    Program,
    RateLimit,
    Transfer,
    Wait,
)
from sim.program_checks.draws import draw_problems
from sim.program_checks.problems import index, not_negative, positive, problem, share

MAX_COUNT = 1 << 18
"""Calls of one instruction: random counters leave 20 bits per instruction, two counters a call."""


def operation_problems(program: Program, operation: Operation) -> Iterator[Problem]:
    """What is wrong with one operation."""
    at = f"operation {operation.name}"
    yield from index(at, "service", operation.service, program.services)
    for position, instruction in enumerate(operation.instructions):
        place = f"{at} instruction {position}"
        yield from _instruction(program, place, instruction)
        if isinstance(instruction, (Cache, Hold)) and position + instruction.skip >= len(operation.instructions):
            yield problem(place, f"skip {instruction.skip} leads past the end", "skip only what a miss costs")


def _instruction(program: Program, at: str, instruction: Instruction) -> Iterator[Problem]:
    match instruction:
        case Cpu(work):
            yield from draw_problems(at, "work", work)
        case Wait(time):
            yield from draw_problems(at, "time", time)
        case Call():
            yield from index(at, "operation", instruction.operation, program.operations)
            yield from share(at, probability=instruction.probability)
            if not 0 <= instruction.count <= MAX_COUNT:
                yield problem(at, f"count is {instruction.count}", f"between 0 and {MAX_COUNT}")
            yield from policy_problems(at, instruction.policy)
        case Cache():
            yield from share(at, hit_ratio=instruction.hit_ratio)
            yield from index(at, "service", instruction.service, program.services, optional=True)
            yield from not_negative(at, skip=instruction.skip, working_set=instruction.working_set)
        case DiskIo():
            yield from index(at, "disk", instruction.disk, program.disks, optional=True)
            yield from not_negative(
                at,
                read_bytes=instruction.read_bytes,
                write_bytes=instruction.write_bytes,
                ops=instruction.ops,
                fsyncs=instruction.fsyncs,
            )
        case Transfer():
            yield from index(at, "link", instruction.link, program.links, optional=True)
            yield from draw_problems(at, "size", instruction.size)
        case Deny(probability):
            yield from share(at, probability=probability)
        case RateLimit(average, burst):
            yield from not_negative(at, average=average, burst=burst)
        case Hold():
            yield from _hold(program, at, instruction)


def _hold(program: Program, at: str, hold: Hold) -> Iterator[Problem]:
    yield from draw_problems(at, "time", hold.time)
    if hold.pool != POOL_OF_POD:
        yield from index(at, "pool", hold.pool, program.pools, optional=True)
    yield from index(at, "link", hold.link, program.links, optional=True)
    yield from not_negative(at, amount=hold.amount, bandwidth=hold.bandwidth, cores=hold.cores, skip=hold.skip)


def policy_problems(at: str, policy: Policy) -> Iterator[Problem]:
    """What is wrong with how a call site or a source calls."""
    yield from positive(
        at, **{"policy.timeout": policy.timeout, "policy.hedge": policy.hedge, "policy.dial": policy.dial}
    )
    yield from not_negative(
        at,
        **{
            "policy.retries": policy.retries,
            "policy.backoff": policy.backoff,
            "policy.budget": policy.budget,
            "policy.breaker_failures": policy.breaker_failures,
            "policy.breaker_open": policy.breaker_open,
        },
    )
    yield from share(at, **{"policy.jitter": policy.jitter})


def cycles(program: Program) -> Iterator[Problem]:
    """Operations that call themselves in a circle."""
    callees: dict[int, list[tuple[int, int]]] = {}
    for operation, position, call in program.calls():
        if 0 <= call.operation < len(program.operations):
            callees.setdefault(operation, []).append((call.operation, position))
    for circle, _ in circles(callees):
        names = [program.operations[member].name for member in circle]
        yield problem(f"operation {names[-1]}", f"call cycle {' -> '.join(names)}", "remove one call")
