"""The program: a platform as the request engines see it.

Everything here is a frozen value without behaviour over time. The compiler turns graph, placement, profiles and
scenario into one :class:`Program`; an engine (``sim.engine``) runs it. Things refer to each other by index (``node``,
``service``, ``operation``, ``link``, ``disk``, ``pool``, ``route``), and every thing carries its name, so the tuples
are the index-to-name tables at the same time. Units: seconds, bytes, cores (1.0 = one core of the node), core-seconds
of work on a core of speed 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

from models.amounts import Law

CFS_PERIOD_S = 0.1
"""Length of a CFS bandwidth period: Linux Documentation/scheduler/sched-bwc.rst, the kubelet's cpuCFSQuotaPeriod."""

ROUNDING_S = 1e-9
"""Of a quota that ends this much before the work does, the difference is taken for one of rounding."""

DIAL_TIMEOUT_S = 30.0
"""How long a proxy waits for a connection: traefik, ServersTransport forwardingTimeouts.dialTimeout."""

TCP_GIVE_UP_S = 924.6
"""When Linux gives up an established connection nobody answers: tcp_retries2 = 15 (ip-sysctl)."""

RETRANSMIT_S = 0.2
"""First retransmission of a lost segment (TCP_RTO_MIN, include/net/tcp.h); it doubles with every further loss."""

POOL_OF_POD = -2
"""The pool of a :class:`Hold`: that of the pod which serves it."""

Balance = Literal["random", "round_robin", "least_connections"]
"""How a caller chooses among endpoints, see :class:`Policy`."""

Qos = Literal["guaranteed", "burstable", "besteffort"]
"""The slice of the node's cores that a pod is in, see :class:`PodStation`."""

BEST_EFFORT_WEIGHT = 2.0
"""cpu.shares of all BestEffort pods of a node together: kubelet pkg/kubelet/cm/qos_container_manager_linux.go."""


class Outcome(IntEnum):
    """How a request ended, by cause. The first two are successes; denied and rate limited are never retried."""

    SERVED = 0
    DEGRADED = 1
    DENIED = 2
    RATE_LIMITED = 3
    REFUSED = 4
    TIMED_OUT = 5
    CONNECTION_RESET = 6
    NO_ENDPOINT = 7
    ERROR = 8

    @property
    def label(self) -> str:
        """The name for reports, for example ``connection reset``."""
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True)
class Draw:
    """A random quantity: mean, law and coefficient of variation.

    ``cv`` is used by the last three laws; erlang rounds 1/cv^2 to whole phases.
    """

    mean: float
    law: Law = "exponential"
    cv: float = 1.0


# ------------------------------------------------------------------------------------------------- hardware


@dataclass(frozen=True)
class Node:
    """A machine. ``nic`` is the index of its network card among the links (-1: not modelled)."""

    name: str
    cores: float
    speed: float = 1.0
    nic: int = -1


@dataclass(frozen=True)
class Link:
    """A shared line: all transfers get equal parts of ``bandwidth`` (bytes per second); ``rtt`` is a round trip."""

    name: str
    bandwidth: float
    rtt: float = 0.0
    loss: float = 0.0


@dataclass(frozen=True)
class Disk:
    """A disk: ``channels`` operations are served at once, the rest wait in order; transfers share the bandwidth."""

    name: str
    read_bandwidth: float
    write_bandwidth: float
    op_latency: float
    fsync: float
    channels: int = 1


@dataclass(frozen=True)
class Pool:
    """A counted resource that streams hold: encoder sessions, licences, VPN slots."""

    name: str
    capacity: float


# ------------------------------------------------------------------------------------------------- services


@dataclass(frozen=True)
class Service:
    """Something that is called by name and served by pods; its callers choose among them (:class:`Policy`).

    Without endpoints a call fails at once with :attr:`Outcome.NO_ENDPOINT`.
    """

    name: str


@dataclass(frozen=True)
class PodStation:
    """A pod as a queueing station.

    ``workers`` requests are served at once (0: no bound); ``queue`` more may wait (-1: no bound), beyond it a
    connection is refused. ``cpu_weight`` is the CFS weight (cpu.shares of the request). Guaranteed pods compete with
    two slices: that of all burstable pods of the node, which weighs as much as all that run there, be they busy or not,
    and that of all best-effort pods (kubelet, setCPUCgroupConfig). ``cpu_limit`` is the quota in
    cores (inf: none) with periods from ``cfs_phase + k * cfs_period`` on. ``cpu_burst``: core-seconds of quota that a
    period may take over from those before it (cpu.cfs_burst_us, at most one period's quota; 0 as Kubernetes leaves it).
    ``idle_cores`` are used at all times. Memory in bytes:
    ``memory_base + memory_per_request * requests in the pod + memory_growth * age`` (growth in bytes per second).
    ``disk`` serves the instructions that name no disk; ``pool``: the encoder sessions that it may use (-1:
    none). ``warm``: what it has cached survives a restart.
    """

    name: str
    service: int
    node: int
    workers: int = 0
    queue: int = -1
    cpu_weight: float = 1024.0
    qos: Qos = "guaranteed"
    cpu_limit: float = math.inf
    cfs_phase: float = 0.0
    cfs_period: float = CFS_PERIOD_S
    cpu_burst: float = 0.0
    idle_cores: float = 0.0
    memory_base: float = 0.0
    memory_per_request: float = 0.0
    memory_growth: float = 0.0
    memory_limit: float = math.inf
    disk: int = -1
    warm: bool = True
    pool: int = -1


# ------------------------------------------------------------------------------------------------- call plans


@dataclass(frozen=True)
class Policy:
    """How a caller behaves. Every call site and every source has its own breaker and budget state.

    ``timeout`` holds per attempt, from the start of the connection. Back-off before retry n is
    ``backoff * 2^(n-1)``, of which the share ``jitter`` is uniformly random. ``budget``: retries may not exceed this
    share of the first attempts. ``cancel`` False: work that the caller gave up on is still served (an orphan).
    ``breaker_failures`` failures in a row open the breaker for ``breaker_open`` seconds (0: no breaker): calls are
    refused, then one trial is let through. ``hedge``: a second attempt starts after this long without an answer, the
    first answer wins. ``dial``: how long a connection to a machine that does not answer is tried.

    ``balance`` is the way to one of the endpoints: ``random`` (kube-proxy in its iptables mode: pkg/proxy/iptables,
    statistic mode random; weights apply), ``round_robin`` (weighted, earliest deadline first: traefik
    pkg/server/service/loadbalancer/wrr; every call site counts for itself and begins anew when endpoints change),
    ``least_connections`` (the pod with the fewest requests in flight, the first in the list on a tie). ``sticky``: a
    client (a closed user; of an open source every request is a new client) keeps to one endpoint, chosen by rendezvous
    hashing (Thaler, Ravishankar 1998), so that a change of endpoints moves only the clients of those that go.
    """

    timeout: float = math.inf
    retries: int = 0
    backoff: float = 0.0
    jitter: float = 0.0
    budget: float = math.inf
    cancel: bool = True
    breaker_failures: int = 0
    breaker_open: float = 30.0
    hedge: float = math.inf
    dial: float = DIAL_TIMEOUT_S
    balance: Balance = "random"
    sticky: bool = False


@dataclass(frozen=True)
class Cpu:
    """CPU work (core-seconds at speed 1) on one thread of the pod."""

    work: Draw


@dataclass(frozen=True)
class Wait:
    """Time that needs no modelled resource (an external API, a sleep)."""

    time: Draw


@dataclass(frozen=True)
class Call:
    """Call an operation of a service, ``count`` times, each with ``probability``.

    ``sequential``: one after the other, the worker is held. ``parallel``: all at once, together with the parallel calls
    that follow directly; the first other instruction waits for all of them. ``async``: not waited for, its outcome
    does not matter. ``soft``: a failure degrades the answer; otherwise the caller fails with the same outcome.
    """

    operation: int
    probability: float = 1.0
    count: int = 1
    mode: Literal["sequential", "parallel", "async"] = "sequential"
    soft: bool = False
    policy: Policy = Policy()


@dataclass(frozen=True)
class Cache:
    """With probability ``hit_ratio`` skip the next ``skip`` instructions (what a miss costs).

    ``service`` holds the cached data (-1: the service of this pod). Without endpoints everything misses, and so does a
    look-up whose soft call has just failed. ``hit_ratio`` is that of a full cache. ``working_set`` (0: always full) is
    the number of things it holds then, all asked for equally often: a cache that holds ``n`` of them answers
    ``hit_ratio * n / working_set`` of the look-ups, and each other look-up for one of them stores it. So an empty cache
    has hit ``hit_ratio * (1 - exp(-hit_ratio * k / working_set))`` of the look-ups after ``k`` of them (coupon
    collector), which is the sooner the more traffic there is. A cache is full at time 0; a pod that starts cold later
    takes its part of the contents with it: all if it is alone.
    """

    hit_ratio: float
    skip: int
    service: int = -1
    working_set: float = 0.0


@dataclass(frozen=True)
class DiskIo:
    """Operations and flushes hold a channel of the disk; then the bytes share its bandwidth. ``disk`` -1: the pod's."""

    read_bytes: float = 0.0
    write_bytes: float = 0.0
    ops: float = 1.0
    fsyncs: float = 0.0
    disk: int = -1


@dataclass(frozen=True)
class Transfer:
    """Bytes over a link, after its round trip and retransmissions. ``link`` -1: the network card of the pod's node."""

    size: Draw
    link: int = -1


@dataclass(frozen=True)
class Deny:
    """The request ends here with 403 with this probability (forward-auth, allow lists)."""

    probability: float


@dataclass(frozen=True)
class RateLimit:
    """Token bucket, one per instruction: ``average`` tokens per second, at most ``burst``; without a token 429."""

    average: float
    burst: float


@dataclass(frozen=True)
class Hold:
    """A stream: hold ``amount`` of a pool, ``bandwidth`` of a link and ``cores`` of the pod for a random time.

    If the pool or the link (its bandwidth minus what streams hold) has too little left, the request is refused, or
    with ``degrade`` goes on without the hold and ends degraded. A stream that found room skips the next ``skip``
    instructions: what those do instead who found none. ``pool`` POOL_OF_POD is the pod's own, full if it has none.
    """

    time: Draw
    pool: int = -1
    amount: float = 1.0
    link: int = -1
    bandwidth: float = 0.0
    cores: float = 0.0
    degrade: bool = False
    skip: int = 0


Instruction = Cpu | Wait | Call | Cache | DiskIo | Transfer | Deny | RateLimit | Hold


LANDING = Wait(Draw(0.0, "constant"))
"""Takes no time: where a jump to the end of an operation lands."""


@dataclass(frozen=True)
class Operation:
    """What a service does for one kind of request."""

    name: str
    service: int
    instructions: tuple[Instruction, ...]


# ------------------------------------------------------------------------------------------------- sources


@dataclass(frozen=True)
class Source:
    """Where requests come from. One of three kinds:

    - open: ``rates`` (requests per second, one entry per segment of ``segment`` seconds, repeated for ever; the first
      applies from time ``-offset``). Gaps have mean 1 and variation ``cv`` on the clock that runs with the rate: 1 is
      a Poisson process (of time-varying rate), else renewal (erlang below 1, hyperexponential above). ``under_way``: so
      many more are expected in the first instant, those that a steady state would have begun before it;
    - closed: ``users`` > 0, each thinks for ``think``, asks, waits for the end, thinks again. After every request the
      session ends with probability ``1 / session`` (inf: never); the next one begins after ``pause`` instead of
      ``think``, as a new client (to sticky balancers);
    - trace: ``trace`` holds the times (sorted, seconds; equal times make a burst) and ``trace_operations`` optionally
      the position in ``mix`` for each.

    ``mix``: (operation index, weight). ``route``: index into ``Program.routes`` under which it is measured. A share
    ``edge_hits`` is answered by the edge cache after ``rtt``; other attempts reach the entry service after ``rtt``.
    """

    name: str
    route: int
    mix: tuple[tuple[int, float], ...]
    rates: tuple[float, ...] = ()
    segment: float = 3600.0
    offset: float = 0.0
    cv: float = 1.0
    under_way: float = 0.0
    users: int = 0
    think: Draw = Draw(10.0)
    session: float = math.inf
    pause: Draw = Draw(0.0, "constant")
    trace: tuple[float, ...] = ()
    trace_operations: tuple[int, ...] = ()
    policy: Policy = Policy()
    edge_hits: float = 0.0
    rtt: float = 0.0


@dataclass(frozen=True)
class Program:
    """A whole platform. ``pods`` exist from time 0 in slots 0, 1, … and are endpoints of their service.

    ``lan_rtt`` is spent on every call between two nodes. Time series have ``bins`` bins of ``bin_width`` seconds from
    the last ``reset_measures`` on; what comes later is only counted in the totals. ``exemplars``: how many of the
    slowest requests are kept per route.
    """

    nodes: tuple[Node, ...]
    services: tuple[Service, ...]
    operations: tuple[Operation, ...]
    sources: tuple[Source, ...]
    routes: tuple[str, ...]
    pods: tuple[PodStation, ...] = ()
    links: tuple[Link, ...] = ()
    disks: tuple[Disk, ...] = ()
    pools: tuple[Pool, ...] = ()
    lan_rtt: float = 0.0
    bin_width: float = 10.0
    bins: int = 360
    exemplars: int = 5
    assumptions: tuple[str, ...] = field(default=())

    def series(self) -> tuple[tuple[int, int], ...]:
        """(route, operation) pairs in order of first appearance: what measures are kept for."""
        return tuple(dict.fromkeys((source.route, operation) for source in self.sources for operation, _ in source.mix))

    def working_sets(self) -> tuple[float, ...]:
        """Per service, how much its cache holds when it is full: the largest working set of those who look there."""
        largest = [0.0] * len(self.services)
        for operation in self.operations:
            for step in operation.instructions:
                if isinstance(step, Cache):
                    service = step.service if step.service >= 0 else operation.service
                    largest[service] = max(largest[service], step.working_set)
        return tuple(largest)

    def calls(self) -> Iterator[tuple[int, int, Call]]:
        """Every call site: operation index, position, instruction."""
        for index, operation in enumerate(self.operations):
            for position, instruction in enumerate(operation.instructions):
                if isinstance(instruction, Call):
                    yield index, position, instruction
