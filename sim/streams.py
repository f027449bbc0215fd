"""Streams among requests: what lasts for minutes because somebody watches, and not because anything is slow."""

from __future__ import annotations

import numpy as np

from sim.measures import EngineMeasures, Ints
from sim.program import Hold, Program


def stream_operations(program: Program) -> frozenset[int]:
    """The operations that hold a link, a pool or cores for the length of a stream, themselves or in what they call.

    Linear in the call sites for every link of the longest chain of calls.
    """
    found = {
        index
        for index, operation in enumerate(program.operations)
        if any(isinstance(step, Hold) for step in operation.instructions)
    }
    calls = [(caller, step.operation) for caller, _, step in program.calls()]
    while more := {caller for caller, callee in calls if callee in found} - found:
        found |= more
    return frozenset(found)


def request_series(measures: EngineMeasures, route: int) -> list[int]:
    """The series of a route that are requests: a film of an hour is no slow request."""
    streams = stream_operations(measures.program)
    return [
        index for index, (owner, operation) in enumerate(measures.series) if owner == route and operation not in streams
    ]


def request_latency(measures: EngineMeasures, route: int) -> Ints:
    """Histogram of the successful requests of a route, without its streams."""
    return np.asarray(measures.latency[request_series(measures, route), 0].sum(axis=0), dtype=np.int64)
