"""Requests of the reference engine: pods, visits of pods, and calls with their resilience.

A :class:`Visit` is a SimPy process that walks through an operation's instructions at one pod. A :class:`ClientCall` is
what a caller (a client outside, or a visit) does to get an answer: attempts, timeouts, retries, hedges, the breaker.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Literal

import simpy
from simpy.events import URGENT, Event

from sim.engine import Notice
from sim.program import (
    POOL_OF_POD,
    RETRANSMIT_S,
    TCP_GIVE_UP_S,
    Cache,
    Call,
    Cpu,
    Deny,
    DiskIo,
    Draw,
    Hold,
    Outcome,
    PodStation,
    Policy,
    RateLimit,
    Transfer,
    Wait,
)
from sim.randomness import (
    CALL_BALANCE,
    CALL_HEDGE,
    CALL_JITTER,
    CALL_LOSS,
    CALL_VISIT,
    PER_ATTEMPT,
    STEP_BITS,
    STEP_LOSS,
    law_parameters,
    mix,
    sample,
    uniform,
)
from sim.reference_fluid import Group

if TYPE_CHECKING:
    from sim.reference import ReferenceEngine, Root

SERVED, DEGRADED, DENIED = int(Outcome.SERVED), int(Outcome.DEGRADED), int(Outcome.DENIED)
RATE_LIMITED, REFUSED, TIMED_OUT = int(Outcome.RATE_LIMITED), int(Outcome.REFUSED), int(Outcome.TIMED_OUT)
CONNECTION_RESET, NO_ENDPOINT, ERROR = int(Outcome.CONNECTION_RESET), int(Outcome.NO_ENDPOINT), int(Outcome.ERROR)

AFTER_URGENT = 1
FIRST_RESOURCE = 2
TIMER = 1 << 40

Steps = Generator[Event, Any, None]


class Clock(simpy.Environment):
    """SimPy's environment with the ranks of this engine among the events of one instant."""

    def skip_to(self, time: float) -> None:
        """Let time pass in which nothing happens."""
        self._now = time

    def ready(self, event: Event) -> None:
        """The event happens now, after those that were made ready before."""
        event._ok, event._value = True, None
        self.schedule(event, priority=URGENT)

    def at(self, time: float, rank: int, callback: Callable[[], None] | None = None) -> Event:
        """An event at exactly ``time``, which calls back."""
        event = Event(self)
        event._ok, event._value = True, None
        if callback is not None:
            event.callbacks.append(lambda _: callback())
        queue: list[Any] = self._queue
        heapq.heappush(queue, (time, rank, next(self._eid), event))
        return event

    def timer(self, delay: float, callback: Callable[[], None] | None = None) -> Event:
        """An event after ``delay``, which calls back."""
        return self.at(self.now + delay, TIMER, callback)


def cancel(event: Event | None) -> None:
    """Whoever waits for the event will not hear of it."""
    if event is not None and event.callbacks is not None:
        event.callbacks.clear()


def draw(what: Draw, key: int, counter: int) -> float:
    """A value of the law at this counter."""
    return sample(law_parameters(what), key, counter)


def retransmission_delay(loss: float, u: float) -> float:
    """Time lost with retransmissions: 0.2 s, doubling, each with the loss ratio; at most 8 of them."""
    delay, step, threshold = 0.0, RETRANSMIT_S, loss
    for _ in range(8):
        if u >= threshold:
            break
        delay += step
        step *= 2.0
        threshold *= loss
    return delay


class Pod:
    """A pod at run time."""

    def __init__(self, engine: ReferenceEngine, slot: int, station: PodStation) -> None:
        self.engine, self.slot, self.station = engine, slot, station
        self.state: Literal["up", "draining", "dead", "blackhole"] = "up"
        self.group = Group(
            engine.machines[station.node],
            station.cpu_weight,
            station.cpu_limit,
            station.cfs_phase,
            station.qos,
            station.cfs_period,
            station.cpu_burst,
            lambda now, duration: engine.recorder.throttled(self, now, duration),
        )
        self.group.touched = self.group.accounted = engine.now
        if math.isfinite(station.cpu_limit):
            self.group.boundary = self.group.next_boundary(engine.now)
        self.busy = 0
        self.queue: deque[Visit] = deque()
        self.visits: dict[int, Visit] = {}  # by serial
        self.started = engine.now
        self.stress = 0.0
        self.level = math.inf  # the platform wants to know when the memory is above it
        self.memory_timer: Event | None = None
        self.oom_told = False
        self.clear_measures()

    def clear_measures(self) -> None:
        now, group = self.engine.now, self.group
        self.counted = self.idle_since = now
        self.busy_s = self.queue_s = self.idle_s = 0.0
        self.accepted = self.refused = 0
        self.queue_max = len(self.queue)
        self.memory_max = self.memory() if self.state in ("up", "draining") else 0.0
        group.used, group.throttled_periods = 0.0, 0
        group.throttled_s = max(group.boundary - now, 0.0) if group.throttled else 0.0

    def idle_used(self, now: float) -> float:
        """Core-seconds of the load at rest since the last reset."""
        running = now - self.idle_since if self.state in ("up", "draining") else 0.0
        return self.station.idle_cores * (self.idle_s + running)

    def end_idle(self, now: float) -> None:
        self.idle_s += now - self.idle_since

    @property
    def in_flight(self) -> int:
        return len(self.visits)

    def memory(self) -> float:
        station = self.station
        age = self.engine.now - self.started
        base = station.memory_base + self.stress
        return base + station.memory_per_request * self.in_flight + station.memory_growth * age

    @property
    def memory_bound(self) -> float:
        """The memory beyond which the platform is told."""
        return min(self.station.memory_limit, self.level)

    def pool_of(self, hold: Hold) -> int:
        """The pool that a stream takes from, -1 for none."""
        return self.station.pool if hold.pool == POOL_OF_POD else hold.pool

    def watch_memory(self) -> None:
        """Set the timer for the moment when growth alone reaches the limit."""
        cancel(self.memory_timer)
        self.memory_timer = None
        station = self.station
        room = self.memory_bound - station.memory_base - self.stress
        if math.isinf(room):
            return
        if room < 0.0:
            self.memory_timer = self.engine.clock.timer(0.0, self.tell_oom)
        elif station.memory_growth > 0.0:
            delay = self.started + room / station.memory_growth - self.engine.now
            self.memory_timer = self.engine.clock.timer(max(delay, 0.0), self.tell_oom)

    def tell_oom(self) -> None:
        self.memory_timer = None
        self.oom()

    def oom(self) -> None:
        if self.state in ("up", "draining") and not self.oom_told:
            self.oom_told = True
            limit = self.station.memory_limit
            above = limit <= self.level or self.memory() > limit
            self.engine.notices.append(Notice("oom" if above else "memory", self.slot))

    def admit(self, visit: Visit) -> bool:
        """Take the visit: a worker begins, or it waits in the queue; False if there is no room."""
        station = self.station
        must_wait = station.workers > 0 and self.busy >= station.workers
        if must_wait and 0 <= station.queue <= len(self.queue):
            self.engine.recorder.refuse(self)
            return False
        self.engine.recorder.before_change(self)
        self.visits[visit.serial] = visit
        if must_wait:
            self.queue.append(visit)
        else:
            self.busy += 1
            visit.start()
        memory = self.memory()
        self.engine.recorder.after_admission(self, memory)
        if memory > self.memory_bound:
            self.oom()
        return True

    def leave(self, visit: Visit) -> None:
        """The visit is gone; its worker takes the next one."""
        self.engine.recorder.before_change(self)
        del self.visits[visit.serial]
        if self.state in ("dead", "blackhole"):
            return
        if visit.process is None:
            self.queue.remove(visit)
        elif self.queue:
            self.queue.popleft().start()
        else:
            self.busy -= 1
        if self.state == "draining" and not self.visits:
            self.engine.notices.append(Notice("drained", self.slot))


class Visit:
    """One request at one pod: a SimPy process once a worker has taken it."""

    def __init__(self, engine: ReferenceEngine, call: ClientCall, pod: Pod, key: int) -> None:
        self.engine, self.clock, self.pod, self.key = engine, engine.clock, pod, key
        self.call: ClientCall | None = call
        self.root = call.root
        self.client = call.client
        self.operation = call.operation
        self.operation_index = call.operation_index
        self.serial = engine.next_serial()
        self.arrived = self.began = engine.now
        self.process: simpy.Process | None = None
        self.undo: Callable[[], None] | None = None  # gives back what the visit holds while it waits
        self.children: list[ClientCall] = []
        self.pending = 0
        self.failed = SERVED
        self.degraded = False
        self.lost = False  # a soft call has failed since the last look-up in a cache
        self.joining: Event | None = None
        self.gone = False
        self.parts = {"cpu": 0.0, "work": 0.0, "throttled": 0.0, "disk": 0.0, "network": 0.0}
        self.count_part: Callable[[], None] | None = None  # while an instruction takes its time

    def start(self) -> None:
        """A worker is free: begin (after those who are awake already)."""
        self.began = self.engine.now
        self.process = self.clock.process(self.run())

    def run(self) -> Steps:
        instructions = self.operation.instructions
        position = 0
        while position < len(instructions):
            instruction = instructions[position]
            parallel = isinstance(instruction, Call) and instruction.mode == "parallel"
            if not parallel:
                yield from self.join()
                if self.failed:
                    break
            counter = position << STEP_BITS
            if isinstance(instruction, Cache):
                position += instruction.skip if self.cache_hit(instruction, counter) else 0
            elif isinstance(instruction, Hold):
                position += instruction.skip if (yield from self.stream(instruction, counter)) else 0
                if self.failed:
                    break
            else:
                yield from self.step(instruction, counter)
                if self.failed and not parallel:
                    break
            position += 1
        yield from self.join()
        self.finish(self.failed or (DEGRADED if self.degraded else SERVED))

    def step(self, instruction: Any, counter: int) -> Steps:
        match instruction:
            case Cpu():
                demand = draw(instruction.work, self.key, counter)
                if demand > 0.0:
                    self.parts["work"] += demand / self.pod.group.resource.speed
                    yield from self.counted("cpu", self.flow(self.pod.group, demand))
            case Wait():
                yield from self.sleep(draw(instruction.time, self.key, counter))
            case Call():
                yield from self.calls(instruction, counter)
            case DiskIo():
                yield from self.counted("disk", self.disk_io(instruction))
            case Transfer():
                yield from self.counted("network", self.transfer(instruction, counter))
            case Deny():
                if uniform(self.key, counter) < instruction.probability:
                    self.failed = DENIED
            case RateLimit():
                if not self.engine.take_token(instruction, (self.operation_index, counter >> STEP_BITS)):
                    self.failed = RATE_LIMITED

    # ------------------------------------------------------------------------------------------- waiting

    def counted(self, part: str, steps: Steps) -> Steps:
        """Walk through ``steps`` and note what they took, also when they are cut short."""
        engine, group = self.engine, self.pod.group
        since, stalled = engine.now, group.throttled_until(engine.now)

        def count() -> None:
            elapsed = engine.now - since
            if part == "cpu":
                stall = group.throttled_until(engine.now) - stalled
                self.parts["throttled"] += stall
                elapsed -= stall
            self.parts[part] += elapsed

        self.count_part = count
        yield from steps
        self.count_part = None
        count()

    def sleep(self, delay: float) -> Steps:
        if delay > 0.0:
            yield self.clock.timer(delay)

    def flow(self, group: Group, amount: float) -> Steps:
        """Work on a machine or bytes over a line."""
        engine, event = self.engine, Event(self.clock)
        group.resource.add(group, event, amount, engine.now, engine.next_thread())
        self.undo = lambda: None if event.triggered else group.resource.remove(group, event, engine.now)
        yield event
        self.undo = None

    # ------------------------------------------------------------------------------------------- instructions

    def cache_hit(self, cache: Cache, counter: int) -> bool:
        engine = self.engine
        service = cache.service if cache.service >= 0 else self.pod.station.service
        lost, self.lost = self.lost, False
        if cache.service >= 0 and (lost or not engine.endpoints[service]):
            return False
        u, holds = uniform(self.key, counter), engine.filled[service]
        share = holds / cache.working_set if holds < cache.working_set else 1.0
        if u < cache.hit_ratio * share:
            return True
        if u < cache.hit_ratio:
            engine.filled[service] += 1.0
        return False

    def calls(self, instruction: Call, counter: int) -> Steps:
        """The calls of one instruction."""
        for repetition in range(instruction.count):
            if uniform(self.key, counter + 2 * repetition) >= instruction.probability:
                continue
            call = ClientCall(
                self.engine,
                operation=instruction.operation,
                policy=self.engine.policies[self.operation_index, counter >> STEP_BITS],
                balancer=self.engine.balancers[self.operation_index, counter >> STEP_BITS],
                key=mix(self.key, counter + 2 * repetition + 1),
                client=self.client,
                root=self.root,
                parent=None if instruction.mode == "async" else self,
                soft=instruction.soft,
                node=self.pod.station.node,
                rtt=self.engine.program.lan_rtt,
            )
            if instruction.mode == "async":
                call.begin()
                continue
            self.children.append(call)
            self.pending += 1
            if instruction.mode == "parallel":
                call.begin()
                continue
            self.joining = Event(self.clock)
            call.begin()
            yield self.joining
            self.joining = None
            self.children = []
            if self.failed:
                return

    def join(self) -> Steps:
        """Wait until all parallel calls have ended."""
        if self.pending:
            self.joining = Event(self.clock)
            yield self.joining
            self.joining = None
        self.children = []

    def child_ended(self, status: int, soft: bool) -> None:
        """A call of this visit has ended."""
        self.pending -= 1
        if status == DEGRADED or (status != SERVED and soft):
            self.degraded = True
            self.lost = self.lost or status != DEGRADED
        elif status != SERVED and not self.failed:
            self.failed = status
        if self.joining is not None and self.pending == 0:
            self.clock.ready(self.joining)

    def disk_io(self, io: DiskIo) -> Steps:
        index = io.disk if io.disk >= 0 else self.pod.station.disk
        if index < 0:
            return
        disk = self.engine.disks[index]
        if disk.failing:
            self.failed = ERROR
            return
        setup = io.ops * (disk.spec.op_latency + disk.extra) + io.fsyncs * (disk.spec.fsync + disk.extra)
        if setup > 0.0:
            if disk.free > 0:
                disk.free -= 1
                self.undo = disk.release
            else:
                event = Event(self.clock)
                disk.queue.append(event)
                self.undo = lambda: disk.leave_queue(event)
                yield event
                self.undo = disk.release
            yield self.clock.timer(setup)
            self.undo = None
            disk.release()
        work = (io.read_bytes / disk.spec.read_bandwidth + io.write_bytes / disk.spec.write_bandwidth) * disk.slowdown
        if work > 0.0:
            yield from self.flow(disk.group, work)

    def transfer(self, instruction: Transfer, counter: int) -> Steps:
        engine = self.engine
        index = instruction.link
        if index < 0:
            index = engine.program.nodes[self.pod.station.node].nic
        if index < 0:
            return
        link = engine.links[index]
        size = draw(instruction.size, self.key, counter)
        delay = link.rtt
        if link.loss > 0.0:
            delay += retransmission_delay(link.loss, uniform(self.key, counter + STEP_LOSS))
        yield from self.sleep(delay)
        if size > 0.0:
            yield from self.flow(link.group, size)

    def stream(self, hold: Hold, counter: int) -> Generator[Event, Any, bool]:
        """Hold what a stream needs for its length; whether there was room for it."""
        engine, pool = self.engine, self.pod.pool_of(hold)
        full = hold.pool == POOL_OF_POD and pool < 0
        full = full or (pool >= 0 and engine.pool_used[pool] + hold.amount > engine.program.pools[pool].capacity)
        if hold.link >= 0:
            line = engine.links[hold.link].group.resource
            full = full or line.held + hold.bandwidth > line.capacity
        if full:
            if hold.degrade:
                self.degraded = True
            else:
                self.failed = REFUSED
            return False
        duration = draw(hold.time, self.key, counter)
        if duration <= 0.0:
            return True
        engine.take_hold(self.pod, hold)
        self.undo = lambda: engine.give_back(self.pod, hold)
        yield self.clock.timer(duration)
        self.undo = None
        engine.give_back(self.pod, hold)
        return True

    # ------------------------------------------------------------------------------------------- the end

    def finish(self, status: int) -> None:
        """The answer is ready: free the worker, then tell the caller."""
        self.engine.recorder.visit_ended(self)
        self.pod.leave(self)
        if self.call is not None:
            self.call.answered(self, status)

    def stop(self, orphan_children: bool = False) -> None:
        """Take down what this visit has started and give back what it holds; the pod is told by the caller."""
        for child in self.children:
            child.abandon(orphan_children)
        self.children = []
        if self.count_part is not None:
            self.count_part()
            self.count_part = None
        if self.process is not None:
            cancel(self.process.target)
        if self.undo is not None:
            self.undo()
            self.undo = None
        self.engine.recorder.hop(self, self.began if self.process is not None else self.engine.now)

    def abort(self) -> None:
        """The caller does not want it any more."""
        if self.gone:
            return
        self.stop()
        self.pod.leave(self)


class Leg:
    """One way to an answer within an attempt: the call itself, or its hedge."""

    def __init__(self, hedge: bool) -> None:
        self.hedge = hedge
        self.visit: Visit | None = None
        self.timer: Event | None = None  # connecting, dialling, hanging
        self.active = False

    def clear(self) -> None:
        cancel(self.timer)
        self.visit, self.timer, self.active = None, None, False


class ClientCall:
    """A call with all its attempts. ``parent`` is the visit that waits for it (None: a client outside, or nobody)."""

    def __init__(
        self,
        engine: ReferenceEngine,
        operation: int,
        policy: PolicyState,
        balancer: Balancer,
        key: int,
        client: int,
        root: Root,
        parent: Visit | None,
        soft: bool,
        node: int,
        rtt: float,
    ) -> None:
        self.engine, self.clock = engine, engine.clock
        self.operation = engine.program.operations[operation]
        self.operation_index = operation
        self.state, self.policy, self.balancer = policy, policy.policy, balancer
        self.key, self.client, self.root, self.parent, self.soft = key, client, root, parent, soft
        self.node, self.rtt = node, rtt
        self.attempt = 0
        self.timeout: Event | None = None
        self.pause: Event | None = None  # back-off, or the wait before the hedge
        self.legs = (Leg(False), Leg(True))
        self.trial = False
        self.ended = False

    # ------------------------------------------------------------------------------------------- attempts

    def begin(self) -> None:
        self.state.calls += 1
        self.next_attempt()

    def next_attempt(self) -> None:
        self.pause = None
        self.attempt += 1
        if self is self.root.call:
            self.engine.recorder.attempt(self.root)
        if not self.state.admits(self):
            self.attempt_failed(REFUSED)
            return
        policy = self.policy
        if policy.timeout < math.inf:
            self.timeout = self.clock.timer(policy.timeout, self.timed_out)
        if policy.hedge < math.inf:
            self.pause = self.clock.timer(policy.hedge, self.begin_hedge)
        self.connect(self.legs[0])

    def begin_hedge(self) -> None:
        self.pause = None
        self.connect(self.legs[1])

    def counter(self, purpose: int, leg: Leg) -> int:
        return self.attempt * PER_ATTEMPT + purpose + (CALL_HEDGE if leg.hedge else 0)

    def connect(self, leg: Leg) -> None:
        """Choose an endpoint and open a connection to it."""
        engine = self.engine
        leg.active = True
        slot = engine.balance(self, uniform(self.key, self.counter(CALL_BALANCE, leg)))
        if slot < 0:
            self.leg_failed(leg, NO_ENDPOINT)
            return
        pod = engine.pods[slot]
        if not engine.reachable(self.node, pod):
            self.dial(leg)
            return
        delay = engine.connection_delay(self, pod, self.counter(CALL_LOSS, leg))
        if delay > 0.0:
            leg.timer = self.clock.timer(delay, lambda: self.arrive(leg, pod))
        else:
            self.arrive(leg, pod)

    def dial(self, leg: Leg) -> None:
        leg.timer = self.clock.timer(self.policy.dial, lambda: self.leg_failed(leg, TIMED_OUT))

    def arrive(self, leg: Leg, pod: Pod) -> None:
        """The connection reaches the pod."""
        leg.timer = None
        if pod.state == "blackhole":
            self.dial(leg)
        elif pod.state != "up":
            self.leg_failed(leg, REFUSED)
        else:
            visit = Visit(self.engine, self, pod, mix(self.key, self.counter(CALL_VISIT, leg)))
            leg.visit = visit
            if not pod.admit(visit):
                self.leg_failed(leg, REFUSED)

    # ------------------------------------------------------------------------------------------- answers

    def leg_of(self, visit: Visit) -> Leg:
        return self.legs[0] if self.legs[0].visit is visit else self.legs[1]

    def answered(self, visit: Visit, status: int) -> None:
        """A visit has ended."""
        leg = self.leg_of(visit)
        if status >= REFUSED:
            self.leg_failed(leg, status)
            return
        leg.clear()
        self.state.succeeded(self)
        self.stop_attempt()
        self.end(status)

    def hang(self, visit: Visit) -> None:
        """The machine that served us is gone, and nobody tells us."""
        leg = self.leg_of(visit)
        leg.visit = None
        leg.timer = self.clock.timer(TCP_GIVE_UP_S, lambda: self.leg_failed(leg, TIMED_OUT))

    def leg_failed(self, leg: Leg, status: int) -> None:
        leg.clear()
        if self.legs[0].active or self.legs[1].active:
            return
        self.stop_attempt()
        self.state.failed(self)
        self.attempt_failed(status)

    def timed_out(self) -> None:
        self.timeout = None
        self.stop_attempt()
        self.state.failed(self)
        self.attempt_failed(TIMED_OUT)

    def attempt_failed(self, status: int) -> None:
        """Try again after a pause, or give up."""
        policy, state = self.policy, self.state
        if self.attempt <= policy.retries and state.retries + 1 <= policy.budget * state.calls:
            state.retries += 1
            u = uniform(self.key, self.attempt * PER_ATTEMPT + CALL_JITTER)
            pause = policy.backoff * 2.0 ** (self.attempt - 1) * (1.0 - policy.jitter + policy.jitter * u)
            self.pause = self.clock.timer(pause, self.next_attempt)
        else:
            self.end(status)

    def stop_attempt(self, orphan: bool = False) -> None:
        """Stop timers and whatever is still under way for this attempt."""
        cancel(self.timeout)
        cancel(self.pause)
        self.timeout = self.pause = None
        for leg in self.legs:
            visit = leg.visit
            leg.clear()
            if visit is not None:
                visit.call = None
                if self.policy.cancel and not orphan:
                    visit.abort()

    def end(self, status: int) -> None:
        self.ended = True
        if self.parent is not None:
            self.parent.child_ended(status, self.soft)
        elif self is self.root.call:
            self.engine.root_ended(self.root, status)

    def abandon(self, orphan: bool) -> None:
        """The caller is gone."""
        if not self.ended:
            self.ended = True
            self.parent = None
            self.state.forget(self)
            self.stop_attempt(orphan)


class Balancer:
    """A caller's way to a service: the turn of each endpoint in a round."""

    def __init__(self, service: int, policy: Policy) -> None:
        self.service, self.mode, self.sticky = service, policy.balance, policy.sticky
        self.deadlines: list[float] = []


class PolicyState:
    """A policy at its call site: the counters of budget and breaker."""

    def __init__(self, policy: Policy, clock: Clock) -> None:
        self.policy, self.clock = policy, clock
        self.calls = self.retries = 0
        self.failures = 0
        self.open_until = -math.inf
        self.is_open = False
        self.trial = False

    def admits(self, call: ClientCall) -> bool:
        """Whether the breaker lets an attempt through (one trial when it has been open long enough)."""
        if not self.is_open:
            return True
        if self.clock.now < self.open_until or self.trial:
            return False
        self.trial = call.trial = True
        return True

    def succeeded(self, call: ClientCall) -> None:
        self.failures = 0
        if call.trial:
            self.is_open = False
        self.forget(call)

    def failed(self, call: ClientCall) -> None:
        if self.policy.breaker_failures <= 0:
            return
        self.failures += 1
        if call.trial or (not self.is_open and self.failures >= self.policy.breaker_failures):
            self.is_open = True
            self.open_until = self.clock.now + self.policy.breaker_open
        self.forget(call)

    def forget(self, call: ClientCall) -> None:
        """The call is no trial any more."""
        if call.trial:
            call.trial = self.trial = False
