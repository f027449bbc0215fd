"""The call plan of an app: what it does for each kind of request, step by step, as its owner writes it down.

An operation is an ordered list of steps. Every step but an asynchronous call holds the worker that serves the request.
A plan that is given replaces the catalogue's guesses: the app calls what its steps call and nothing else.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from models.amounts import RandomDuration, RandomSize
from models.frozen import Frozen
from models.units import Ratio, Size


class DiskAccess(Frozen):
    """An access to the disk that holds the app's data."""

    read: Size = Field(default=0, description="bytes read")
    write: Size = Field(default=0, description="bytes written")
    operations: int = Field(default=1, ge=0, le=1_000_000, description="operations that each cost a seek or command")
    fsyncs: int = Field(default=0, ge=0, le=1_000_000, description="flushes waited for")


class Callee(Frozen):
    """Which operation of which service is called, and what goes over the network."""

    to: str = Field(
        min_length=1,
        description="Service or workload: a name in the app's own namespace, namespace/name, or Kind namespace/name",
    )
    operation: str | None = Field(default=None, description="operation of the called app; default: its first")
    request: RandomSize | None = Field(
        default=None, description="bytes sent, over the network card of the node that is called; default: not modelled"
    )
    reply: RandomSize | None = Field(
        default=None, description="bytes sent back, over the same network card; default: not modelled"
    )


class LookUp(Callee):
    """The question to a cache that runs as a service of its own."""

    soft: bool = Field(
        default=True, description="a look-up that fails is a miss and degrades the answer; false: it fails the request"
    )


class ParallelCall(Callee):
    """One of several calls that are made at once."""

    probability: Ratio = Field(default=1.0, description="share of requests that make it")
    count: int = Field(default=1, ge=1, le=100_000, description="how often, each with the probability")
    soft: bool = Field(default=False, description="a failure degrades the answer instead of failing it")


class Call(ParallelCall):
    """A call, or several one after the other."""

    mode: Literal["sequential", "async"] = Field(
        default="sequential", description="sequential: the worker waits for the answer; async: it goes on at once"
    )


class Cached(Frozen):
    """Something that a cache may hold: a hit skips what a miss costs."""

    hit_ratio: Ratio = Field(description="share of look-ups that the cache answers when it is full")
    look_up: LookUp | None = Field(
        default=None, description="the service that is asked; default: a cache inside the app, which its pods share"
    )
    working_set: int | None = Field(
        default=None,
        ge=1,
        description="things that the full cache holds: it starts full, and a restarted one fills with what misses "
        "(unless its pods keep their data on a claim); default: always full",
    )
    miss: tuple[Step, ...] = Field(min_length=1, description="what is done when the cache does not have it")


class Step(Frozen):
    """One step of an operation: exactly one of these keys."""

    cpu: RandomDuration | None = Field(default=None, description="CPU time of one thread on a core of speed 1")
    wait: RandomDuration | None = Field(
        default=None, description="time that needs nothing of the platform: a sleep, a lock, a system outside"
    )
    disk: DiskAccess | None = Field(default=None, description="an access to the disk of the app's data")
    call: Call | None = Field(default=None, description="a call of another service")
    parallel: tuple[ParallelCall, ...] | None = Field(
        default=None, min_length=1, description="calls that are made at once; the step ends with the last answer"
    )
    cache: Cached | None = Field(default=None, description="a look-up, and what is done when it misses")

    @model_validator(mode="after")
    def _exactly_one(self) -> Step:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            said = f"{' and '.join(given)} are given" if given else "none is given"
            raise ValueError(f"a step is exactly one of {', '.join(type(self).model_fields)}: {said}")
        return self

    @model_serializer(mode="wrap")
    def _given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}


class OperationPlan(Frozen):
    """What an app does for one kind of request."""

    name: str = Field(min_length=1, description="name of the operation, for traffic and for the calls of other apps")
    weight: float = Field(
        default=1.0, gt=0, allow_inf_nan=False, description="relative share in the traffic of a route"
    )
    request: RandomSize | None = Field(
        default=None, description="body that a client outside the cluster sends; default: not modelled"
    )
    reply: RandomSize | None = Field(
        default=None, description="body that a client outside the cluster gets back; default: not modelled"
    )
    steps: tuple[Step, ...] = Field(default=(), description="what is done, in this order")
