"""What is wrong with where requests come from."""

from __future__ import annotations

import math
from collections.abc import Iterator

from models.errors import Problem
from sim.program import Program, Source
from sim.program_checks.draws import draw_problems, phase_problems
from sim.program_checks.operations import policy_problems
from sim.program_checks.problems import index, not_negative, positive, problem, share


def source_problems(program: Program, source: Source) -> Iterator[Problem]:
    """What is wrong with one source."""
    at = f"source {source.name}"
    yield from index(at, "route", source.route, program.routes)
    if not source.mix:
        yield problem(at, "mix is empty", "name at least one operation")
    for operation, weight in source.mix:
        yield from index(at, "operation", operation, program.operations)
        yield from positive(at, weight=weight)
    kinds = [bool(source.rates), source.users > 0, bool(source.trace)]
    if sum(kinds) != 1:
        yield problem(at, "has not exactly one of rates, users and trace", "choose one kind of arrivals")
    yield from positive(at, segment=source.segment)
    yield from not_negative(at, cv=source.cv, rtt=source.rtt, users=source.users)
    yield from share(at, edge_hits=source.edge_hits)
    yield from draw_problems(at, "think", source.think)
    yield from draw_problems(at, "pause", source.pause)
    if source.session < 1.0:
        yield problem(at, f"session is {source.session:g}", "at least one request; inf: the session never ends")
    yield from policy_problems(at, source.policy)
    yield from _gaps(at, source)
    yield from _trace(at, source)
    if source.users and not math.isfinite(source.policy.timeout):
        yield from _endless(program, at, source)


def _gaps(at: str, source: Source) -> Iterator[Problem]:
    for rate in source.rates:
        yield from not_negative(at, rate=rate)
    yield from not_negative(at, under_way=source.under_way)
    if source.under_way and not source.rates:
        yield problem(at, f"under_way is {source.under_way:g}", "it is of requests at given rates: leave it out")
    if source.cv != 1.0 and not source.rates:
        yield problem(at, f"cv is {source.cv:g}", "it is that of gaps at given rates: leave it out")
    elif source.cv < 1.0:
        yield from phase_problems(at, "cv", source.cv)


def _trace(at: str, source: Source) -> Iterator[Problem]:
    if any(later < earlier for earlier, later in zip(source.trace, source.trace[1:], strict=False)):
        yield problem(at, "trace is not sorted", "sort the arrival times")
    if source.trace and source.trace[0] < 0.0:
        yield problem(at, "trace leaves the run", "times are seconds from the start, not negative")
    if source.trace_operations and len(source.trace_operations) != len(source.trace):
        yield problem(at, "trace_operations and trace differ in length", "one operation per arrival")
    if any(not 0 <= position < len(source.mix) for position in source.trace_operations):
        yield problem(at, "trace_operations leaves the mix", "positions count from 0")


def _endless(program: Program, at: str, source: Source) -> Iterator[Problem]:
    """Users who do not think and ask for nothing would ask without end in one instant."""
    there = [operation for operation, _ in source.mix if 0 <= operation < len(program.operations)]
    if all(program.operations[operation].instructions for operation in there):
        return
    if source.session == 1.0 and source.pause.mean <= 0.0:  # then nobody ever thinks
        yield problem(at, "users without pause ask for an operation that takes no time", "set pause")
    elif source.session > 1.0 and source.think.mean <= 0.0:
        yield problem(at, "users without think time ask for an operation that takes no time", "set think")
