"""A program in the kernel's memory: which record goes where, and how tables grow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sim import layout as at
from sim.cfs import next_boundary
from sim.measures import BUCKETS, COARSE_BUCKETS
from sim.program import (
    POOL_OF_POD,
    Balance,
    Cache,
    Call,
    Cpu,
    Deny,
    DiskIo,
    Draw,
    Hold,
    Instruction,
    PodStation,
    Policy,
    Program,
    Qos,
    RateLimit,
    Source,
    Transfer,
    Wait,
)
from sim.randomness import STEP_BITS, law_parameters, mix, run_key

BALANCES: dict[Balance, int] = {
    "random": at.BALANCE_RANDOM,
    "round_robin": at.BALANCE_ROUND_ROBIN,
    "least_connections": at.BALANCE_LEAST,
}
SLICES: dict[Qos, int] = {"guaranteed": at.ALONE, "burstable": at.BURSTABLE, "besteffort": at.BEST_EFFORT}
MODES = {"sequential": at.SEQUENTIAL, "parallel": at.PARALLEL, "async": at.ASYNC}


class Memory:
    """The kernel's words, seen as integers ``I`` and as floats ``F``. Addresses stay valid when it grows."""

    def __init__(self) -> None:
        self.I: NDArray[np.int64] = np.zeros(1 << 14, np.int64)
        self.F: NDArray[np.float64] = self.I.view(np.float64)
        self.used = at.HEADER
        self.visits = self.calls = 0
        self.visit_blocks: list[tuple[int, int]] = []
        """(address, records) of all visits, free or not."""

    def allocate(self, size: int) -> int:
        """The address of ``size`` zeroed words."""
        address = self.used
        self.used += size
        if self.used > len(self.I):
            words = np.zeros(max(self.used, 2 * len(self.I)), np.int64)
            words[: len(self.I)] = self.I
            self.I, self.F = words, words.view(np.float64)
        return address

    def move(self, address: int, size: int, room: int) -> int:
        """Copy ``size`` words to a new place with more room."""
        place = self.allocate(room)
        self.I[place : place + size] = self.I[address : address + size]
        return place

    def make_room(self, extra: int = 0) -> None:
        """Make the tables large enough for the next step and ``extra`` further requests."""
        need = int(self.I[at.H_FAN_OUT]) + extra
        if self.I[at.H_FREE_VISITS] < need:
            count = max(2 * need, self.visits)
            self.visit_blocks.append((self.used, count))
            self._add_records(at.H_FREE_VISIT, at.H_FREE_VISITS, at.VISIT, at.V_NEXT_FREE, count)
            self.visits += count
        if self.I[at.H_FREE_CALLS] < need:
            count = max(2 * need, self.calls)
            self._add_records(at.H_FREE_CALL, at.H_FREE_CALLS, at.CALL, at.C_NEXT_FREE, count)
            self.calls += count
        if self.I[at.H_TRACES_SIZE] == 0 and self.I[at.H_TRACES_ALL] < at.MOST_TRACES:
            self._add_traces()
        size, capacity = int(self.I[at.H_HEAP_SIZE]), int(self.I[at.H_HEAP_CAPACITY])
        if size + 4 * need + 4 > capacity:
            capacity = 2 * capacity + 8 * need
            self.I[at.H_HEAP] = self.move(int(self.I[at.H_HEAP]), 3 * size, 3 * capacity)
            self.I[at.H_HEAP_CAPACITY] = capacity
        log, capacity = int(self.I[at.H_LOG_SIZE]), int(self.I[at.H_LOG_CAPACITY])
        if capacity and log + need > capacity:
            capacity = 2 * capacity + 2 * need
            self.I[at.H_LOG] = self.move(int(self.I[at.H_LOG]), int(at.LOG_ENTRY * log), int(at.LOG_ENTRY * capacity))
            self.I[at.H_LOG_CAPACITY] = capacity
        self._make_room_for_the_woken(need)

    def _add_traces(self) -> None:
        every = int(self.I[at.H_TRACES_ALL])
        count = min(max(every, 1024), int(at.MOST_TRACES) - every)
        first, stack = self.allocate(int(count * at.TRACE_RECORD)), int(self.I[at.H_TRACES])
        self.I[stack : stack + count] = first + at.TRACE_RECORD * np.arange(count)
        self.I[at.H_TRACES_SIZE], self.I[at.H_TRACES_ALL] = count, every + count

    def visits_of(self, pod: int) -> NDArray[np.int64]:
        """Addresses of the visits in a pod, in order of admission."""
        every = np.concatenate([start + at.VISIT * np.arange(count) for start, count in self.visit_blocks])
        here = every[(self.I[every + at.V_POD] == pod) & (self.I[every + at.V_SERIAL] > 0)]
        return np.asarray(here[np.argsort(self.I[here + at.V_SERIAL])], np.int64)

    def _make_room_for_the_woken(self, need: int) -> None:
        size, capacity = int(self.I[at.H_READY_SIZE]), int(self.I[at.H_READY_CAPACITY])
        if capacity >= 4 * self.visits and size + need <= capacity:
            return
        wanted = max(2 * capacity, 1 << (max(4 * self.visits, size + need) - 1).bit_length())
        old, head = int(self.I[at.H_READY]), int(self.I[at.H_READY_HEAD])
        ring = self.allocate(2 * wanted)
        for index in range(size):
            source = old + 2 * ((head + index) % capacity)
            self.I[ring + 2 * index : ring + 2 * index + 2] = self.I[source : source + 2]
        self.I[at.H_READY], self.I[at.H_READY_HEAD], self.I[at.H_READY_CAPACITY] = ring, 0, wanted

    def _add_records(self, first: int, free: int, size: int, link: int, count: int) -> None:
        start = self.allocate(size * count)
        addresses = start + size * np.arange(count)
        self.I[addresses[:-1] + link] = addresses[1:]
        self.I[addresses[-1] + link] = self.I[first]
        self.I[first] = start
        self.I[free] += count


@dataclass
class Layout:
    """Addresses of the parts of a program, by index."""

    nodes: list[int] = field(default_factory=list)
    system: list[int] = field(default_factory=list)
    links: list[int] = field(default_factory=list)
    disks: list[int] = field(default_factory=list)
    pools: list[int] = field(default_factory=list)
    services: list[int] = field(default_factory=list)
    operations: list[int] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)
    series: list[int] = field(default_factory=list)
    routes: list[int] = field(default_factory=list)
    resources: list[int] = field(default_factory=list)
    members: dict[int, int] = field(default_factory=dict)
    balancers: dict[int, list[int]] = field(default_factory=dict)
    """By the address of a service: those who go round its endpoints."""
    bins: int = 0
    """Of the first service; the others follow."""
    measured: list[tuple[int, int]] = field(default_factory=list)
    """(address, words) of what a reset sets to zero."""


def signed(bits: int) -> int:
    """64 bits as a signed integer."""
    return bits - (1 << 64) if bits >> 63 else bits


def pack_program(memory: Memory, program: Program, seed: int, replication: int, log: bool) -> Layout:
    """Write the whole program (without pods) and empty tables."""
    places = Layout()
    _header(memory, program, log)
    _resources(memory, program, places)
    _services(memory, program, places)
    _operations(memory, program, places)
    _measures(memory, program, places)
    key = run_key(seed, replication)
    series = dict(zip(program.series(), places.series, strict=True))
    for index, source in enumerate(program.sources):
        places.sources.append(_source(memory, places, series, source, index, key))
    memory.make_room(500)
    return places


def _header(memory: Memory, program: Program, log: bool) -> None:
    memory.F[at.H_LAN_RTT] = program.lan_rtt
    memory.F[at.H_BIN_WIDTH] = program.bin_width
    memory.I[at.H_BINS] = program.bins
    memory.I[at.H_EXEMPLARS] = program.exemplars
    at_once = [0] * len(program.operations)
    for operation, _, call in program.calls():
        at_once[operation] += 1 if call.mode == "sequential" else call.count
    memory.I[at.H_FAN_OUT] = max(at_once, default=0) + 2
    memory.I[at.H_HEAP_CAPACITY] = 256
    memory.I[at.H_HEAP] = memory.allocate(3 * 256)
    memory.I[at.H_READY_CAPACITY] = 4
    memory.I[at.H_READY] = memory.allocate(2 * 4)
    if log:
        memory.I[at.H_LOG_CAPACITY] = 1024
        memory.I[at.H_LOG] = memory.allocate(int(at.LOG_ENTRY * 1024))


# ------------------------------------------------------------------------------------------------- hardware


def _resource(memory: Memory, places: Layout, capacity: float, speed: float, shares: bool, bins: int) -> int:
    address = memory.allocate(at.RESOURCE)
    listing = memory.allocate(4)
    memory.I[address + at.R_LIST], memory.I[address + at.R_ROOM] = listing, 4
    memory.F[address + at.R_CAPACITY], memory.F[address + at.R_SPEED] = capacity, speed
    memory.I[address + at.R_SHARES] = shares
    memory.I[address + at.R_ORDER] = len(places.resources)
    if bins:
        first = memory.allocate(bins)
        memory.I[address + at.R_BINS] = first
        places.measured.append((first, bins))
    places.resources.append(address)
    return address


def _group(memory: Memory, address: int, resource: int) -> None:
    memory.I[address + at.G_RESOURCE] = resource
    memory.F[address + at.G_WEIGHT] = 1.0
    memory.F[address + at.G_LIMIT] = math.inf
    memory.F[address + at.G_DUE] = math.inf
    memory.I[resource + at.R_MAIN_GROUP] = address


def _resources(memory: Memory, program: Program, places: Layout) -> None:
    first_node = memory.allocate(at.NODE * max(len(program.nodes), 1))
    memory.I[at.H_NODES] = first_node
    for index, node in enumerate(program.nodes):
        address = first_node + at.NODE * index
        resource = _resource(memory, places, node.cores, node.speed, True, program.bins)
        system = memory.allocate(at.GROUP)
        _group(memory, system, resource)
        memory.I[address + at.N_UP] = 1
        memory.I[address + at.N_RESOURCE], memory.I[address + at.N_SYSTEM] = resource, system
        places.nodes.append(address)
        places.system.append(system)
    for link in program.links:
        resource = _resource(memory, places, link.bandwidth, 1.0, False, program.bins)
        address = memory.allocate(at.LINK)
        _group(memory, address, resource)
        memory.F[address + at.L_RTT], memory.F[address + at.L_LOSS] = link.rtt, link.loss
        memory.I[address + at.L_UP] = 1
        places.links.append(address)
    for index, node in enumerate(program.nodes):
        memory.I[places.nodes[index] + at.N_NIC] = places.links[node.nic] if node.nic >= 0 else 0
    for disk in program.disks:
        resource = _resource(memory, places, 1.0, 1.0, False, 0)
        address = memory.allocate(at.DISK)
        _group(memory, address, resource)
        memory.I[address + at.D_FREE] = disk.channels
        memory.F[address + at.D_OP], memory.F[address + at.D_FSYNC] = disk.op_latency, disk.fsync
        memory.F[address + at.D_READ], memory.F[address + at.D_WRITE] = disk.read_bandwidth, disk.write_bandwidth
        memory.F[address + at.D_SLOWDOWN] = 1.0
        places.disks.append(address)
    for pool in program.pools:
        address = memory.allocate(2)
        memory.F[address] = pool.capacity
        places.pools.append(address)
    _tournament(memory, places)


def _tournament(memory: Memory, places: Layout) -> None:
    count = len(places.resources)
    memory.I[at.H_DIRTY] = memory.allocate(max(count, 1))
    leaves = 1 << max(count - 1, 1).bit_length()
    tree = memory.allocate(3 * leaves)
    memory.F[tree : tree + leaves] = memory.F[at.H_DUE] = math.inf
    memory.I[tree + 2 * leaves : tree + 3 * leaves] = np.arange(leaves)
    for node in range(leaves - 1, 0, -1):  # the first leaf below every inner node
        memory.I[tree + leaves + node] = memory.I[tree + leaves + 2 * node]
    memory.I[at.H_TREE], memory.I[at.H_TREE_SIZE] = tree, leaves
    table = memory.allocate(max(count, 1))
    memory.I[table : table + count] = places.resources
    memory.I[at.H_RESOURCES], memory.I[at.H_RESOURCE_COUNT] = table, count


def pack_pod(memory: Memory, places: Layout, pod: PodStation, slot: int, now: float) -> int:
    """Write a pod and make it known; returns its address."""
    address = memory.allocate(at.POD)
    node = places.nodes[pod.node]
    resource = int(memory.I[node + at.N_RESOURCE])
    system = int(memory.I[resource + at.R_MAIN_GROUP])
    _group(memory, address, resource)
    memory.I[resource + at.R_MAIN_GROUP] = system
    words, numbers = memory.I, memory.F
    numbers[address + at.G_WEIGHT] = pod.cpu_weight
    words[address + at.G_SLICE] = SLICES[pod.qos]
    numbers[address + at.G_TOUCHED] = numbers[address + at.G_ACCOUNTED] = now
    numbers[address + at.G_PHASE] = pod.cfs_phase
    if math.isfinite(pod.cpu_limit):
        words[address + at.G_LIMITED] = 1
        numbers[address + at.G_LIMIT] = pod.cpu_limit
        numbers[address + at.G_PERIOD] = pod.cfs_period
        numbers[address + at.G_BURST] = pod.cpu_burst
        begin_quota(memory, address, now)
    words[address + at.P_SLOT], words[address + at.P_NODE], words[address + at.P_SERVICE] = slot, pod.node, pod.service
    words[address + at.P_WORKERS], words[address + at.P_BOUND] = pod.workers, pod.queue
    numbers[address + at.P_MEMORY_REQUEST] = pod.memory_per_request
    numbers[address + at.P_MEMORY_GROWTH] = pod.memory_growth
    numbers[address + at.P_MEMORY_LIMIT] = pod.memory_limit
    words[address + at.P_DISK] = places.disks[pod.disk] if pod.disk >= 0 else 0
    words[address + at.P_NIC] = words[node + at.N_NIC]
    words[address + at.P_POOL] = places.pools[pod.pool] if pod.pool >= 0 else 0
    numbers[address + at.P_COUNTED] = now
    _register(memory, places, resource, address, slot)
    return address


def begin_quota(memory: Memory, pod: int, now: float) -> None:
    """A new container has a new group with a full quota, until the first boundary."""
    phase, period = float(memory.F[pod + at.G_PHASE]), float(memory.F[pod + at.G_PERIOD])
    memory.I[pod + at.G_THROTTLED] = 0
    memory.F[pod + at.G_BUDGET] = memory.F[pod + at.G_LIMIT] * period
    memory.F[pod + at.G_BOUNDARY] = next_boundary(phase, period, now)


def _register(memory: Memory, places: Layout, resource: int, address: int, slot: int) -> None:
    """Enter a pod into the table of pods; room for it among the groups of its machine and for its notices."""
    count = slot + 1
    if count & slot == 0:  # the tables are full whenever the slot is a power of two or 0
        room = 2 * count
        memory.I[at.H_PODS] = memory.move(int(memory.I[at.H_PODS]), slot, room)
        pending = 2 * int(memory.I[at.H_NOTICES_SIZE])
        memory.I[at.H_NOTICES] = memory.move(int(memory.I[at.H_NOTICES]), pending, 8 * room + 8)
    memory.I[memory.I[at.H_PODS] + slot] = address
    memory.I[at.H_POD_COUNT] = count
    members = places.members.get(resource, 1) + 1  # the background load is one, too
    places.members[resource] = members
    if members > memory.I[resource + at.R_ROOM]:
        room = 2 * members
        listing = int(memory.I[resource + at.R_LIST])
        memory.I[resource + at.R_LIST] = memory.move(listing, int(memory.I[resource + at.R_COUNT]), room)
        memory.I[resource + at.R_ROOM] = room


# ------------------------------------------------------------------------------------------------- services


def _services(memory: Memory, program: Program, places: Layout) -> None:
    first = memory.allocate(at.SERVICE * max(len(program.services), 1))
    memory.I[at.H_SERVICES] = first
    for index in range(len(program.services)):
        address = first + at.SERVICE * index
        memory.F[address + at.S_FILLED] = math.inf
        places.services.append(address)


def pack_endpoints(
    memory: Memory, places: Layout, service: int, pods: Sequence[tuple[int, int]], weights: Sequence[float] | None
) -> None:
    """Write the endpoints (slot, address) of a service; whoever goes round them begins anew."""
    if len(pods) > memory.I[service + at.S_ROOM]:
        room = 2 * len(pods)
        memory.I[service + at.S_ENDPOINTS] = memory.allocate(int(at.ENDPOINT * room))
        memory.I[service + at.S_ROOM] = room
    first, total = int(memory.I[service + at.S_ENDPOINTS]), 0.0
    for index, (slot, address) in enumerate(pods):
        weight = 1.0 if weights is None else weights[index]
        place = first + at.ENDPOINT * index
        memory.I[place], memory.I[place + 2] = address, slot
        memory.F[place + 1] = weight
        total += weight
    memory.I[service + at.S_COUNT] = len(pods)
    memory.F[service + at.S_TOTAL_WEIGHT] = total
    for balancer in places.balancers.get(service, ()):
        if len(pods) > memory.I[balancer + at.B_ROOM]:
            memory.I[balancer + at.B_DEADLINES] = memory.allocate(2 * len(pods))
            memory.I[balancer + at.B_ROOM] = 2 * len(pods)
        deadlines = int(memory.I[balancer + at.B_DEADLINES])
        for index in range(len(pods)):
            memory.F[deadlines + index] = 1.0 / (1.0 if weights is None else weights[index])


def pack_balancer(memory: Memory, places: Layout, service: int, policy: Policy) -> int:
    """Write a caller's way to the service at an address; returns where."""
    address = memory.allocate(at.BALANCER)
    memory.I[address + at.B_SERVICE] = service
    memory.I[address + at.B_MODE] = BALANCES[policy.balance]
    memory.I[address + at.B_STICKY] = policy.sticky
    if policy.balance == "round_robin" and not policy.sticky:
        places.balancers.setdefault(service, []).append(address)
    return address


# ------------------------------------------------------------------------------------------------- operations


def _operations(memory: Memory, program: Program, places: Layout) -> None:
    first = memory.allocate(at.OPERATION * max(len(program.operations), 1))
    memory.I[at.H_OPERATIONS] = first
    places.operations = [first + at.OPERATION * index for index in range(len(program.operations))]
    for index, operation in enumerate(program.operations):
        address, count = places.operations[index], len(operation.instructions)
        body = memory.allocate(at.INSTRUCTION * max(count, 1))
        memory.I[address + at.O_SERVICE] = places.services[operation.service]
        memory.I[address + at.O_FIRST], memory.I[address + at.O_LAST] = body, body + at.INSTRUCTION * count
        memory.I[address + at.O_INDEX] = index
        for position, instruction in enumerate(operation.instructions):
            place = body + at.INSTRUCTION * position
            memory.I[place + at.X_COUNTER] = position << STEP_BITS
            if isinstance(instruction, Call):
                service = places.services[program.operations[instruction.operation].service]
                memory.I[place + at.X_BALANCER] = pack_balancer(memory, places, service, instruction.policy)
            _instruction(memory, places, place, instruction)


def _law(memory: Memory, address: int, law: Draw) -> None:
    code, a, b, c = law_parameters(law)
    memory.I[address + at.X_LAW] = code
    memory.F[address + at.X_A], memory.F[address + at.X_B], memory.F[address + at.X_C] = a, b, c


def _instruction(memory: Memory, places: Layout, address: int, instruction: Instruction) -> None:
    match instruction:
        case Cpu(work):
            memory.I[address + at.X_CODE] = at.X_CPU
            _law(memory, address, work)
        case Wait(time):
            memory.I[address + at.X_CODE] = at.X_WAIT
            _law(memory, address, time)
        case Call():
            policy = pack_policy(memory, instruction.policy)
            words = memory.I
            words[address + at.X_CODE] = at.X_CALL
            memory.F[address + at.X_A] = instruction.probability
            words[address + at.X_1], words[address + at.X_2] = places.operations[instruction.operation], policy
            words[address + at.X_3], words[address + at.X_4] = instruction.count, instruction.soft
            words[address + at.X_5] = MODES[instruction.mode]
        case Cache():
            memory.I[address + at.X_CODE] = at.X_CACHE
            memory.F[address + at.X_A], memory.F[address + at.X_B] = instruction.hit_ratio, instruction.working_set
            memory.I[address + at.X_1] = places.services[instruction.service] if instruction.service >= 0 else 0
            memory.I[address + at.X_2] = instruction.skip
        case DiskIo():
            memory.I[address + at.X_CODE] = at.X_DISK
            memory.I[address + at.X_1] = places.disks[instruction.disk] if instruction.disk >= 0 else 0
            memory.F[address + at.X_2], memory.F[address + at.X_3] = instruction.ops, instruction.fsyncs
            memory.F[address + at.X_4], memory.F[address + at.X_5] = instruction.read_bytes, instruction.write_bytes
        case Transfer():
            memory.I[address + at.X_CODE] = at.X_TRANSFER
            memory.I[address + at.X_1] = places.links[instruction.link] if instruction.link >= 0 else 0
            _law(memory, address, instruction.size)
        case Deny(probability):
            memory.I[address + at.X_CODE] = at.X_DENY
            memory.F[address + at.X_A] = probability
        case RateLimit(average, burst):
            memory.I[address + at.X_CODE] = at.X_LIMIT
            memory.F[address + at.X_A], memory.F[address + at.X_B] = average, burst
            memory.F[address + at.X_C] = burst
        case Hold():
            memory.I[address + at.X_CODE] = at.X_HOLD
            _law(memory, address, instruction.time)
            pool = places.pools[instruction.pool] if instruction.pool >= 0 else 0
            memory.I[address + at.X_1] = -1 if instruction.pool == POOL_OF_POD else pool
            memory.F[address + at.X_2] = instruction.amount
            memory.I[address + at.X_3] = places.links[instruction.link] if instruction.link >= 0 else 0
            memory.F[address + at.X_4], memory.F[address + at.X_5] = instruction.bandwidth, instruction.cores
            memory.I[address + at.X_6] = instruction.degrade
            memory.I[address + at.X_BALANCER] = instruction.skip  # a hold has no balancer


def pack_policy(memory: Memory, policy: Policy) -> int:
    """Write a policy with fresh counters; returns its address."""
    address = memory.allocate(at.POLICY)
    words, numbers = memory.I, memory.F
    numbers[address + at.Q_TIMEOUT] = policy.timeout
    words[address + at.Q_RETRIES] = policy.retries
    numbers[address + at.Q_BACKOFF], numbers[address + at.Q_JITTER] = policy.backoff, policy.jitter
    numbers[address + at.Q_BUDGET] = policy.budget
    words[address + at.Q_CANCEL] = policy.cancel
    words[address + at.Q_BREAKER] = policy.breaker_failures
    numbers[address + at.Q_BREAKER_OPEN] = policy.breaker_open
    numbers[address + at.Q_HEDGE], numbers[address + at.Q_DIAL] = policy.hedge, policy.dial
    return address


# ------------------------------------------------------------------------------------------------- sources


def _source(
    memory: Memory, places: Layout, series: dict[tuple[int, int], int], source: Source, index: int, key: int
) -> int:
    policy = pack_policy(memory, source.policy)
    address = memory.allocate(at.SOURCE)
    rates = memory.allocate(len(source.rates))
    trace = memory.allocate(2 * len(source.trace))
    mixture = memory.allocate(int(at.MIX * len(source.mix)))
    words, numbers = memory.I, memory.F
    words[address + at.U_KIND] = at.CLOSED if source.users else at.TRACE if source.trace else at.OPEN
    words[address + at.U_GAP_KEY] = signed(mix(key, 2 * index))
    words[address + at.U_REQUEST_KEY] = signed(mix(key, 2 * index + 1))
    gap = Draw(
        1.0, "exponential" if source.cv == 1.0 else "erlang" if source.cv < 1.0 else "hyperexponential", source.cv
    )
    code, a, b, c = law_parameters(source.think if source.users else gap)
    words[address + at.U_LAW] = code
    numbers[address + at.U_A], numbers[address + at.U_B], numbers[address + at.U_C] = a, b, c
    code, a, b, c = law_parameters(source.pause)
    words[address + at.U_PAUSE_LAW] = code
    numbers[address + at.U_PAUSE_A], numbers[address + at.U_PAUSE_B], numbers[address + at.U_PAUSE_C] = a, b, c
    numbers[address + at.U_LEAVE] = 1.0 / source.session
    numbers[address + at.U_FACTOR] = 1.0
    numbers[address + at.U_UNDER_WAY] = source.under_way
    words[address + at.U_RATES], words[address + at.U_RATE_COUNT] = rates, len(source.rates)
    numbers[rates : rates + len(source.rates)] = source.rates
    numbers[address + at.U_SEGMENT], numbers[address + at.U_OFFSET] = source.segment, source.offset
    words[address + at.U_TRACE], words[address + at.U_TRACE_SIZE] = trace, len(source.trace)
    numbers[trace : trace + 2 * len(source.trace) : 2] = source.trace
    words[trace + 1 : trace + 2 * len(source.trace) : 2] = source.trace_operations or -1
    words[address + at.U_MIX], words[address + at.U_MIX_SIZE] = mixture, len(source.mix)
    total = sum(weight for _, weight in source.mix)
    shares = np.cumsum([weight / total for _, weight in source.mix])
    balancers: dict[int, int] = {}
    for position, (operation, _) in enumerate(source.mix):
        place = mixture + at.MIX * position
        service = int(memory.I[places.operations[operation] + at.O_SERVICE])
        if service not in balancers:
            balancers[service] = pack_balancer(memory, places, service, source.policy)
        memory.F[place] = shares[position]
        memory.I[place + 1], memory.I[place + 2] = places.operations[operation], series[source.route, operation]
        memory.I[place + 3] = balancers[service]
    words, numbers = memory.I, memory.F
    numbers[address + at.U_EDGE], numbers[address + at.U_RTT] = source.edge_hits, source.rtt
    words[address + at.U_POLICY], words[address + at.U_INDEX] = policy, index
    return address


# ------------------------------------------------------------------------------------------------- measures


def _measures(memory: Memory, program: Program, places: Layout) -> None:
    size = at.E_HISTOGRAMS + 2 * BUCKETS
    first = memory.allocate(at.ROUTE * max(len(program.routes), 1))
    memory.I[at.H_ROUTES] = first
    for index in range(len(program.routes)):
        route = first + at.ROUTE * index
        for part, width in (
            (at.W_ARRIVED, 1),
            (at.W_SERVED, 1),
            (at.W_FAILED, 1),
            (at.W_LATENCY, COARSE_BUCKETS),
        ):
            block = memory.allocate(program.bins * width)
            memory.I[route + part] = block
            places.measured.append((block, program.bins * width))
        exemplars = memory.allocate(int(at.EXEMPLAR * program.exemplars))
        memory.I[route + at.W_EXEMPLARS] = exemplars
        places.routes.append(route)
    for route_index, operation in program.series():
        address = memory.allocate(size)
        places.series.append(address)
        memory.I[address + at.E_ROUTE] = places.routes[route_index]
        memory.I[address + at.E_OPERATION] = operation
        places.measured.append((address, at.E_ROUTE))
        places.measured.append((address + at.E_OUTCOMES, size - at.E_OUTCOMES))
    bins = places.bins = memory.allocate(3 * program.bins * len(program.services))
    for index, service in enumerate(places.services):
        memory.I[service + at.S_BINS] = bins + 3 * program.bins * index
    places.measured.append((bins, 3 * program.bins * len(program.services)))
    words = BUCKETS * len(program.services)
    sojourn = memory.allocate(words)
    memory.I[at.H_SOJOURN] = sojourn
    for index, service in enumerate(places.services):
        memory.I[service + at.S_SOJOURN] = sojourn + BUCKETS * index
    places.measured.append((sojourn, words))
    memory.I[at.H_TRACES] = memory.allocate(int(at.MOST_TRACES))
