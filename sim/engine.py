"""The request engine as the platform simulation sees it.

The platform (SimPy) owns platform time. Before each platform event it calls ``advance(time of the event)`` and then,
at that instant, tells the engine what has changed. Between two calls the engine needs nobody: it is woken by events,
never by ticks, and cutting an advance into pieces changes nothing.

    engine = make_engine(program, seed=1, replication=0)
    while (stop := engine.advance(60.0)).notices:      # something the platform must answer, at engine.now
        for notice in stop.notices:
            engine.kill_pod(notice.slot)               # an OOM kill, for example
    engine.kill_pod(3, how="blackhole")
    engine.set_endpoints(service, [1, 2])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from models.errors import InputError, Problem, Where
from sim.measures import EngineMeasures
from sim.program import PodStation, Program, Source

EngineKind = Literal["auto", "compiled", "reference"]


@dataclass(frozen=True)
class Notice:
    """Something the platform must know at once.

    ``oom``: the pod's memory is above its limit (the platform kills it). ``memory``: it is above the level that
    :meth:`Engine.watch_memory` set. ``drained``: a draining pod has served its last request.
    """

    kind: Literal["oom", "memory", "drained"]
    slot: int


@dataclass(frozen=True)
class Stop:
    """Why ``advance`` returned: at ``time``, with notices, or because ``until`` is reached (no notices)."""

    time: float
    notices: tuple[Notice, ...] = ()


class Engine(Protocol):
    """A request engine. All calls act at ``now``; pods are known by the slot that ``add_pod`` returned."""

    program: Program

    @property
    def now(self) -> float:
        """Simulated time in seconds."""

    def advance(self, until: float) -> Stop:
        """Run all request events up to and including ``until``; return early with notices."""

    # pods and endpoints
    def add_pod(self, pod: PodStation) -> int:
        """A pod starts to listen; it gets requests once it is an endpoint. Returns its slot."""

    def set_endpoints(self, service: int, slots: Sequence[int], weights: Sequence[float] | None = None) -> None:
        """What the proxies now believe about a service; may name dead pods, which is the point."""

    def kill_pod(self, slot: int, how: Literal["reset", "blackhole"] = "reset") -> None:
        """The pod's processes are gone.

        ``reset``: connections in flight are reset now, new ones are refused. ``blackhole`` (its machine is gone):
        callers in flight wait for their own timeout (or TCP's 924.6 s), new connections for the smaller of timeout and
        dial.
        """

    def drain_pod(self, slot: int) -> None:
        """The pod stops listening (new connections are refused) and serves what it has; then notice ``drained``."""

    def remove_pod(self, slot: int) -> None:
        """The pod object is gone: like ``kill_pod('reset')``, also for a blackholed pod; the slot is not reused."""

    def revive(self, slot: int) -> None:
        """A killed pod runs again in its slot (container restart): empty, cold caches, memory at its base."""

    def in_flight(self, slot: int) -> int:
        """Requests in the pod, waiting and served."""

    # machines, links, disks, load
    def set_node(
        self, node: int, up: bool | None = None, cores: float | None = None, speed: float | None = None
    ) -> None:
        """Change a machine. Going down blackholes its pods; coming up revives none of them."""

    def set_link(
        self,
        link: int,
        up: bool | None = None,
        bandwidth: float | None = None,
        rtt: float | None = None,
        loss: float | None = None,
    ) -> None:
        """Change a link. Down: transfers stall, and new connections to a node behind it (its nic) time out."""

    def set_disk(
        self, disk: int, failing: bool | None = None, extra_latency: float | None = None, slowdown: float | None = None
    ) -> None:
        """Change a disk: every access fails; each operation takes longer; bandwidth is divided by ``slowdown``."""

    def stress(self, node: int, cores: float) -> None:
        """A load of ``cores`` busy threads (weight 1024 each) on the node from now on; 0 ends it."""

    def stress_memory(self, slot: int, size: float) -> None:
        """Further ``size`` bytes in the pod from now on; 0 ends it."""

    def watch_memory(self, slot: int, level: float) -> None:
        """Give one notice when the pod's memory is above ``level`` (bytes; more than it uses now); inf: none.

        Memory is looked at when a request comes and when growth alone reaches the level. A revived pod is not watched.
        """

    def pod_memory(self, slot: int) -> float:
        """Bytes that the pod uses now; 0 when it does not run."""

    def set_rate_factor(self, source: int, factor: float) -> None:
        """Multiply the rates of an open source (divide think times of a closed one) from now on."""

    # results
    def cache_contents(self, service: int) -> float:
        """How many things the cache of a service holds; inf while it is full."""

    def pod_cpu(self) -> NDArray[np.float64]:
        """CPU time of every pod slot since the last reset, in core-seconds: ``measures().pod_cpu_s``, but cheap."""

    def measures(self) -> EngineMeasures:
        """What was measured since the last reset, up to now. Does not change the trajectory."""

    def reset_measures(self) -> None:
        """Forget what was measured: the end of the warm-up. Requests that arrived before stay uncounted."""

    def request_log(self) -> list[tuple[int, int, int, float, float, int, int]]:
        """(source, number, operation, arrival, end, outcome, attempts) of every request that ended, in order.

        The compiled engine keeps it only where it was made with ``log``, the reference engine always.
        """


def check_time(until: float) -> None:
    """Raise ValueError for a time that is no number."""
    if math.isnan(until):
        raise ValueError("advance to nan: until must be a time in seconds, or inf")


def check_weights(slots: Sequence[int], weights: Sequence[float] | None) -> None:
    """Raise ValueError for weights that no balancer can follow."""
    if weights is None:
        return
    if len(weights) != len(slots):
        raise ValueError(f"{len(slots)} endpoints and {len(weights)} weights: give each endpoint its weight")
    for slot, weight in zip(slots, weights, strict=True):
        if not 0.0 < weight < math.inf:
            raise ValueError(f"endpoint {slot} has weight {weight:g}: leave out what gets nothing, others are above 0")


def check_factor(source: Source, factor: float) -> None:
    """Raise ValueError for a factor that a source cannot come back from, or that is none."""
    if not 0.0 <= factor < math.inf or (source.users and factor == 0.0):
        least = "above 0: users would think for ever" if source.users else "0 or more"
        raise ValueError(f"rate factor {factor:g} of source {source.name}: must be {least}, and finite")


def check_change(least_exclusive: bool = False, **values: float | None) -> None:
    """Raise ValueError for a value that is no finite number, or below 0, or with ``least_exclusive`` 0 itself."""
    for name, value in values.items():
        if value is not None and not (math.isfinite(value) and (value > 0.0 or (value == 0.0 and not least_exclusive))):
            least = "above 0" if least_exclusive else "0 or more"
            raise ValueError(f"{name} is {value:g}: must be finite and {least}")


def endless(now: float) -> InputError:
    """What is raised when requests go round for ever without any time passing."""
    return InputError(
        Problem(
            Where(),
            f"requests go round without end at {now:g} s: none of them takes any time",
            "give users a think time, or what refuses them at once a round trip",
        )
    )


def make_engine(
    program: Program, *, seed: int, replication: int = 0, kind: EngineKind = "auto", log: bool = False
) -> Engine:
    """The engine of the given kind at time 0. ``auto`` is the compiled one; both give the same trajectory.

    ``log``: every request that ends is kept, see :meth:`Engine.request_log` (some 60 bytes each).
    Raises ``models.errors.InputError`` with every problem if the program makes no sense (``sim.program_checks``), or
    what else is given here does not.
    """
    from sim.program_checks import program_problems
    from sim.program_checks.fields import field_problems

    problems: list[Problem] = []
    for name, annotation, value in (("seed", int, seed), ("replication", int, replication), ("kind", EngineKind, kind)):
        problems.extend(field_problems(annotation, value, "make_engine", name))
    problems.extend(program_problems(program))
    if problems:
        raise InputError(problems)
    if kind == "reference":
        from sim.reference import ReferenceEngine

        return ReferenceEngine(program, seed=seed, replication=replication)
    from sim.compiled import CompiledEngine

    return CompiledEngine(program, seed=seed, replication=replication, log=log)
