"""The reference engine: the meaning of a program in plain SimPy, slow and obvious.

Every visit of a request to a pod is a SimPy process that walks through the operation's instructions. Sources, timers
and machines are events with callbacks. The compiled kernel must give the same trajectory to the last bit, so the order
of things that happen at one instant is part of the meaning:

1. a visit runs until it must wait; what it sets free wakes others in the order in which they were woken (SimPy's urgent
   events, first in first out);
2. when nobody is awake any more, the machines and lines whose load has changed share their capacity anew;
3. then the next event happens: of machines and lines (in their order) before timers (in the order in which they were
   set).

Whoever gives up (timeout, reset, lost hedge) takes down at once everything that was started for it, innermost first.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from simpy.events import Event

from sim.arrival_times import arrival_time, clock_between
from sim.engine import Notice, Stop, check_change, check_factor, check_time, check_weights, endless
from sim.measures import EngineMeasures
from sim.program import Disk, Draw, Hold, Link, PodStation, Program, RateLimit, Source
from sim.randomness import (
    ROOT_CALL,
    ROOT_EDGE,
    ROOT_OPERATION,
    ROOT_SESSION,
    ROOT_THINK,
    mix,
    run_key,
    uniform,
)
from sim.reference_fluid import Group, Resource
from sim.reference_record import Recorder
from sim.reference_requests import (
    AFTER_URGENT,
    CONNECTION_RESET,
    FIRST_RESOURCE,
    SERVED,
    TIMER,
    Balancer,
    ClientCall,
    Clock,
    Pod,
    PolicyState,
    cancel,
    draw,
    retransmission_delay,
)

GAP_STRIDE = 64
MOST_STEPS = 5_000_000
"""Events in one instant, after which it is taken for endless."""


class Root:
    """A request of a client outside."""

    def __init__(
        self, source: int, number: int, user: int, session: int, series: int, operation: int, now: float
    ) -> None:
        self.source, self.number, self.user, self.session = source, number, user, session
        self.series, self.operation, self.arrived = series, operation, now
        self.epoch = 0.0
        self.attempts = 0
        self.edge = 0
        self.ended = False
        self.hops: list[Any] = []
        self.call: ClientCall | None = None


class LinkState:
    """A link at run time."""

    def __init__(self, spec: Link, group: Group) -> None:
        self.group, self.up = group, True
        self.bandwidth, self.rtt, self.loss = spec.bandwidth, spec.rtt, spec.loss


class DiskState:
    """A disk at run time."""

    def __init__(self, spec: Disk, group: Group, clock: Clock) -> None:
        self.spec, self.group, self.clock = spec, group, clock
        self.free = spec.channels
        self.queue: deque[Event] = deque()
        self.failing, self.extra, self.slowdown = False, 0.0, 1.0

    def release(self) -> None:
        """A channel is free: the next in the queue gets it."""
        if self.queue:
            self.clock.ready(self.queue.popleft())
        else:
            self.free += 1

    def leave_queue(self, event: Event) -> None:
        """Stop waiting; a channel that was granted meanwhile goes on."""
        if event in self.queue:
            self.queue.remove(event)
        else:
            self.release()


class SourceState:
    """A source at run time."""

    def __init__(self, index: int, source: Source, key: int) -> None:
        self.index, self.source = index, source
        self.gap_key, self.request_key = mix(key, 2 * index), mix(key, 2 * index + 1)
        law: Literal["exponential", "erlang", "hyperexponential"] = "exponential"
        if source.cv != 1.0:
            law = "erlang" if source.cv < 1.0 else "hyperexponential"
        self.gap = Draw(1.0, law, source.cv)
        self.rates: NDArray[np.float64] = np.array(source.rates, np.float64)
        self.factor = 1.0
        self.under_way = source.under_way
        self.number = 0
        self.since = 0.0
        self.need = 0.0
        self.timer: Event | None = None
        total = sum(weight for _, weight in source.mix)
        self.shares = list(np.cumsum([weight / total for _, weight in source.mix]))

    def position(self, u: float) -> int:
        """The entry of the mix that ``u`` falls on."""
        for position, share in enumerate(self.shares):
            if u < share:
                return position
        return len(self.shares) - 1


class ReferenceEngine:
    """See :class:`sim.engine.Engine`. ``log`` keeps every request that ended, in order, see ``request_log``."""

    def __init__(self, program: Program, *, seed: int, replication: int = 0) -> None:
        self.program = program
        self.clock = Clock()
        self.recorder = Recorder(program)
        self.notices: list[Notice] = []
        self.serials = self.threads = 0
        self.pending: dict[int, Event | None] = {}
        self.resources: list[Resource] = []
        self.machines = [self._resource(node.cores, node.speed, True) for node in program.nodes]
        self.system = [Group(machine) for machine in self.machines]
        self.node_up = [True for _ in program.nodes]
        self.stress_cores = [0.0 for _ in program.nodes]
        self.idle_cores = [0.0 for _ in program.nodes]
        self.links = [LinkState(link, Group(self._resource(link.bandwidth, 1.0, False))) for link in program.links]
        self.disks = [DiskState(disk, Group(self._resource(1.0, 1.0, False)), self.clock) for disk in program.disks]
        self.pool_used = [0.0 for _ in program.pools]
        self.tokens: dict[tuple[int, int], tuple[float, float]] = {}
        self.policies = {
            (operation, position): PolicyState(call.policy, self.clock) for operation, position, call in program.calls()
        }
        self.endpoints: list[list[int]] = [[] for _ in program.services]
        self.weights: list[list[float]] = [[] for _ in program.services]
        self.balancers = {
            (operation, position): Balancer(program.operations[call.operation].service, call.policy)
            for operation, position, call in program.calls()
        }
        self.source_balancers = {
            (index, service): Balancer(service, source.policy)
            for index, source in enumerate(program.sources)
            for service in {program.operations[operation].service for operation, _ in source.mix}
        }
        self.filled = [math.inf for _ in program.services]
        self.working_sets = program.working_sets()
        self.pods: list[Pod] = []
        for pod in program.pods:
            self.add_pod(pod)
        for service in range(len(program.services)):
            self.set_endpoints(service, [slot for slot, pod in enumerate(program.pods) if pod.service == service])
        key = run_key(seed, replication)
        self.series_index = {pair: index for index, pair in enumerate(program.series())}
        self.sources = [SourceState(index, source, key) for index, source in enumerate(program.sources)]
        self.source_policies = [PolicyState(source.policy, self.clock) for source in program.sources]
        for state in self.sources:
            self._start_source(state)

    # ------------------------------------------------------------------------------------------- clock

    @property
    def now(self) -> float:
        return float(self.clock.now)

    def advance(self, until: float) -> Stop:
        check_time(until)
        clock, instant, steps = self.clock, self.now, 0
        while True:
            if self.notices and not self._busy_instant():
                told, self.notices = tuple(self.notices), []
                return Stop(self.now, told)
            if clock.peek() > until:
                break
            clock.step()
            steps = steps + 1 if clock.now == instant else 0
            instant = clock.now
            if steps > MOST_STEPS:
                raise endless(self.now)
        if self.clock.now < until < math.inf:
            clock.skip_to(until)
        return Stop(self.now)

    def _busy_instant(self) -> bool:
        """Whether something is still awake, or a machine unresolved, at this instant."""
        queue = self.clock._queue
        return bool(queue) and queue[0][0] <= self.clock.now and queue[0][1] <= AFTER_URGENT

    def next_serial(self) -> int:
        self.serials += 1
        return self.serials

    def next_thread(self) -> int:
        self.threads += 1
        return self.threads

    # ------------------------------------------------------------------------------------------- machines and lines

    def _resource(self, capacity: float, speed: float, shares: bool) -> Resource:
        resource = Resource(capacity, speed, shares, self._mark_dirty, self.clock.ready, self.recorder.use)
        resource.order = len(self.resources)
        self.resources.append(resource)
        self.pending[resource.order] = None
        return resource

    def _mark_dirty(self, resource: Resource) -> None:
        """Share anew when nobody is awake any more."""
        if not resource.dirty:
            resource.dirty = True
            self.clock.at(self.now, AFTER_URGENT, lambda: self._resolve(resource))

    def _resolve(self, resource: Resource) -> None:
        resource.dirty = False
        resource.resolve(self.now)
        cancel(self.pending[resource.order])
        self.pending[resource.order] = None
        if resource.due < math.inf:
            rank = FIRST_RESOURCE + resource.order
            due = max(resource.due, self.now)
            self.pending[resource.order] = self.clock.at(due, rank, lambda: resource.fire(self.now))

    def _set_system_load(self, node: int) -> None:
        """Background load of a node: stress and what pods use at rest."""
        group, resource = self.system[node], self.machines[node]
        load = self.stress_cores[node] + self.idle_cores[node]
        if load <= 1e-12:
            load = 0.0
        if group.holds:
            resource.unhold(group, group.load, self.now)
        if load > 0.0:
            group.weight = 1024.0 * load
            resource.hold(group, load, self.now)

    def set_node(
        self, node: int, up: bool | None = None, cores: float | None = None, speed: float | None = None
    ) -> None:
        check_change(cores=cores)
        check_change(least_exclusive=True, speed=speed)
        machine = self.machines[node]
        if cores is not None:
            machine.capacity = cores
        if speed is not None:
            machine.speed = speed
        if cores is not None or speed is not None:
            self._mark_dirty(machine)
        if up is not None:
            self.node_up[node] = up
            if not up:
                for pod in self.pods:
                    if pod.station.node == node and pod.state in ("up", "draining"):
                        self.kill_pod(pod.slot, "blackhole")

    def set_link(
        self,
        link: int,
        up: bool | None = None,
        bandwidth: float | None = None,
        rtt: float | None = None,
        loss: float | None = None,
    ) -> None:
        check_change(bandwidth=bandwidth, rtt=rtt, loss=loss)
        state = self.links[link]
        state.up = state.up if up is None else up
        state.bandwidth = state.bandwidth if bandwidth is None else bandwidth
        state.rtt = state.rtt if rtt is None else rtt
        state.loss = state.loss if loss is None else loss
        resource = state.group.resource
        resource.capacity = state.bandwidth if state.up else 0.0
        self._mark_dirty(resource)

    def set_disk(
        self, disk: int, failing: bool | None = None, extra_latency: float | None = None, slowdown: float | None = None
    ) -> None:
        check_change(extra_latency=extra_latency)
        check_change(least_exclusive=True, slowdown=slowdown)
        state = self.disks[disk]
        state.failing = state.failing if failing is None else failing
        state.extra = state.extra if extra_latency is None else extra_latency
        state.slowdown = state.slowdown if slowdown is None else slowdown

    def stress(self, node: int, cores: float) -> None:
        check_change(cores=cores)
        self.stress_cores[node] = cores
        self._set_system_load(node)

    def take_hold(self, pod: Pod, hold: Hold) -> None:
        """A stream begins."""
        pool = pod.pool_of(hold)
        if pool >= 0:
            self.pool_used[pool] += hold.amount
        if hold.link >= 0:
            self._add_held(hold.link, hold.bandwidth)
        if hold.cores > 0.0:
            pod.group.resource.hold(pod.group, hold.cores, self.now)

    def give_back(self, pod: Pod, hold: Hold) -> None:
        """A stream ends."""
        pool = pod.pool_of(hold)
        if pool >= 0:
            self.pool_used[pool] -= hold.amount
        if hold.link >= 0:
            self._add_held(hold.link, -hold.bandwidth)
        if hold.cores > 0.0:
            pod.group.resource.unhold(pod.group, hold.cores, self.now)

    def _add_held(self, link: int, bandwidth: float) -> None:
        group = self.links[link].group
        group.resource.account(group, self.now)
        group.resource.held += bandwidth
        self._mark_dirty(group.resource)

    # ------------------------------------------------------------------------------------------- pods

    def add_pod(self, pod: PodStation) -> int:
        state = Pod(self, len(self.pods), pod)
        self.pods.append(state)
        self._begin_pod(state)
        if self.now > 0.0:
            self._start_cold(state)
        return state.slot

    def _start_cold(self, pod: Pod) -> None:
        """What the pod held of its service's cache is gone."""
        service = pod.station.service
        if not pod.station.warm:
            running = sum(other.station.service == service and other.state in ("up", "draining") for other in self.pods)
            self.filled[service] = min(self.filled[service], self.working_sets[service]) * ((running - 1) / running)

    def _begin_pod(self, pod: Pod) -> None:
        pod.state, pod.started, pod.stress, pod.oom_told, pod.level = "up", self.now, 0.0, False, math.inf
        pod.idle_since = self.now
        self.idle_cores[pod.station.node] += pod.station.idle_cores
        if pod.station.idle_cores > 0.0:
            self._set_system_load(pod.station.node)
        pod.memory_max = max(pod.memory_max, pod.memory())
        self._weigh_slice(pod)
        pod.watch_memory()

    def _weigh_slice(self, changed: Pod) -> None:
        """The burstable pods of a node have become more or fewer."""
        station = changed.station
        if station.qos == "burstable":
            running = [pod.station for pod in self.pods if pod.state in ("up", "draining")]
            weights = [pod.cpu_weight for pod in running if pod.node == station.node and pod.qos == "burstable"]
            self.machines[station.node].slices["burstable"] = sum(weights)
            self._mark_dirty(self.machines[station.node])

    def set_endpoints(self, service: int, slots: Sequence[int], weights: Sequence[float] | None = None) -> None:
        check_weights(slots, weights)
        self.endpoints[service] = list(slots)
        self.weights[service] = [1.0] * len(slots) if weights is None else list(weights)
        for balancer in (*self.balancers.values(), *self.source_balancers.values()):
            if balancer.service == service:
                balancer.deadlines = [1.0 / weight for weight in self.weights[service]]

    def kill_pod(self, slot: int, how: Literal["reset", "blackhole"] = "reset") -> None:
        pod = self.pods[slot]
        if pod.state in ("dead", "blackhole"):
            if how == "reset":
                pod.state = "dead"
            return
        self.recorder.before_change(pod)
        pod.end_idle(self.now)
        pod.state = "dead" if how == "reset" else "blackhole"
        cancel(pod.memory_timer)
        self.idle_cores[pod.station.node] -= pod.station.idle_cores
        if pod.station.idle_cores > 0.0:
            self._set_system_load(pod.station.node)
        for visit in list(pod.visits.values()):
            if visit.serial in pod.visits:  # not taken down by one before it
                visit.stop(orphan_children=how == "blackhole")
                visit.gone = True
        visits = list(pod.visits.values())
        pod.visits.clear()
        pod.queue.clear()
        pod.busy = 0
        for visit in visits:
            if visit.call is not None:
                if how == "reset":
                    visit.call.answered(visit, CONNECTION_RESET)
                else:
                    visit.call.hang(visit)
        self._weigh_slice(pod)

    def drain_pod(self, slot: int) -> None:
        pod = self.pods[slot]
        if pod.state == "up":
            pod.state = "draining"
            if not pod.visits:
                self.notices.append(Notice("drained", slot))

    def remove_pod(self, slot: int) -> None:
        self.kill_pod(slot, "reset")

    def revive(self, slot: int) -> None:
        pod = self.pods[slot]
        if pod.state in ("dead", "blackhole"):
            self.recorder.before_change(pod)
            pod.group.begin_anew(self.now)
            self._begin_pod(pod)
            self._start_cold(pod)

    def in_flight(self, slot: int) -> int:
        return self.pods[slot].in_flight

    def stress_memory(self, slot: int, size: float) -> None:
        check_change(size=size)
        pod = self.pods[slot]
        pod.stress = size
        if pod.state in ("up", "draining"):
            pod.watch_memory()

    def watch_memory(self, slot: int, level: float) -> None:
        pod = self.pods[slot]
        if pod.state in ("up", "draining"):
            pod.level, pod.oom_told = level, False
            pod.watch_memory()

    def pod_memory(self, slot: int) -> float:
        pod = self.pods[slot]
        return pod.memory() if pod.state in ("up", "draining") else 0.0

    # ------------------------------------------------------------------------------------------- balancing and network

    def balance(self, call: ClientCall, u: float) -> int:
        """The endpoint for a new connection, -1 without any."""
        balancer = call.balancer
        slots, weights = self.endpoints[balancer.service], self.weights[balancer.service]
        if not slots:
            return -1
        if balancer.sticky:
            return max(slots, key=lambda slot: mix(call.client, slot))
        if balancer.mode == "round_robin":
            deadlines = balancer.deadlines
            chosen = min(range(len(slots)), key=lambda index: deadlines[index])
            deadlines[chosen] += 1.0 / weights[chosen]
            return slots[chosen]
        if balancer.mode == "least_connections":
            return min(slots, key=lambda slot: self.pods[slot].in_flight)
        total = 0.0
        for weight in weights:
            total += weight
        target, reached = u * total, 0.0
        for slot, weight in zip(slots, weights, strict=True):
            reached += weight
            if target < reached:
                return slot
        return slots[-1]

    def _nic(self, node: int) -> LinkState | None:
        index = self.program.nodes[node].nic if node >= 0 else -1
        return self.links[index] if index >= 0 else None

    def reachable(self, node: int, pod: Pod) -> bool:
        """Whether a connection from a node (-1: outside) to a pod gets an answer, be it a refusal."""
        if pod.state == "blackhole" or not self.node_up[pod.station.node]:
            return False
        if node == pod.station.node:
            return True
        return all(nic is None or nic.up for nic in (self._nic(node), self._nic(pod.station.node)))

    def connection_delay(self, call: ClientCall, pod: Pod, counter: int) -> float:
        """Round trip and retransmissions between caller and pod."""
        if call.node == pod.station.node:
            return 0.0
        delay = call.rtt
        for nic in (self._nic(call.node), self._nic(pod.station.node)):
            if nic is not None:
                delay += nic.rtt
        nic = self._nic(pod.station.node)
        if nic is not None and nic.loss > 0.0:
            delay += retransmission_delay(nic.loss, uniform(call.key, counter))
        return delay

    def take_token(self, limit: RateLimit, site: tuple[int, int]) -> bool:
        """One token of the bucket, if there is one."""
        tokens, since = self.tokens.get(site, (limit.burst, 0.0))
        tokens = min(limit.burst, tokens + limit.average * (self.now - since))
        allowed = tokens >= 1.0
        self.tokens[site] = (tokens - 1.0 if allowed else tokens, self.now)
        return allowed

    # ------------------------------------------------------------------------------------------- sources

    def _start_source(self, state: SourceState) -> None:
        source = state.source
        if source.users:
            for user in range(source.users):
                self._think(state, user, 0, 0)
        elif source.trace:
            self._next_of_trace(state)
        else:
            self._next_gap(state)

    def _next_gap(self, state: SourceState) -> None:
        """Draw the gap before the source's next request; what is under way at the begin takes none of its time."""
        need = draw(state.gap, state.gap_key, state.number * GAP_STRIDE)
        passed = min(need, state.under_way)
        state.under_way -= passed
        state.since, state.need = self.now, need - passed
        self._wait_for_arrival(state)

    def _wait_for_arrival(self, state: SourceState) -> None:
        source = state.source
        time = arrival_time(state.since, state.need, state.rates, source.segment, source.offset, state.factor)
        state.timer = None
        if time < math.inf:
            state.timer = self.clock.at(time, TIMER, lambda: self._open_arrival(state))

    def _open_arrival(self, state: SourceState) -> None:
        number = state.number
        state.number += 1
        self._next_gap(state)
        self._arrive(state, number, number, mix(state.request_key, number))

    def _next_of_trace(self, state: SourceState) -> None:
        if state.number < len(state.source.trace):
            self.clock.at(state.source.trace[state.number], TIMER, lambda: self._trace_arrival(state))

    def _trace_arrival(self, state: SourceState) -> None:
        number = state.number
        state.number += 1
        self._next_of_trace(state)
        self._arrive(state, number, number, mix(state.request_key, number))

    def _think(self, state: SourceState, user: int, number: int, session: int) -> None:
        """The pause before the user's request of this number, perhaps the first one of a new session."""
        source, person = state.source, mix(state.request_key, user)
        key, pause = mix(person, number), source.think
        if number > 0 and uniform(key, ROOT_SESSION) < 1.0 / source.session:
            session, pause = number, source.pause
        delay = draw(pause, key, ROOT_THINK) / state.factor
        self.clock.timer(delay, lambda: self._arrive(state, number, user, key, session))

    def _arrive(self, state: SourceState, number: int, user: int, key: int, session: int = 0) -> None:
        source = state.source
        if source.trace_operations:
            position = source.trace_operations[number]
        else:
            position = state.position(uniform(key, ROOT_OPERATION))
        operation = source.mix[position][0]
        series = self.series_index[source.route, operation]
        root = Root(state.index, number, user, session, series, operation, self.now)
        root.epoch = self.recorder.start
        self.recorder.arrival(root)
        if source.edge_hits > 0.0 and uniform(key, ROOT_EDGE) < source.edge_hits:
            root.edge = 1
            self.clock.timer(source.rtt, lambda: self.root_ended(root, SERVED))
            return
        client = mix(mix(state.request_key, user), session) if source.users else key
        call = ClientCall(
            self,
            operation=operation,
            policy=self.source_policies[state.index],
            balancer=self.source_balancers[state.index, self.program.operations[operation].service],
            key=mix(key, ROOT_CALL),
            client=client,
            root=root,
            parent=None,
            soft=False,
            node=-1,
            rtt=source.rtt,
        )
        root.call = call
        call.begin()

    def root_ended(self, root: Root, status: int) -> None:
        """A client has its answer, or has given up."""
        self.recorder.root_ended(root, status, self.now)
        state = self.sources[root.source]
        if state.source.users:
            self._think(state, root.user, root.number + 1, root.session)

    def set_rate_factor(self, source: int, factor: float) -> None:
        state = self.sources[source]
        spec = state.source
        check_factor(spec, factor)
        if not spec.users and not spec.trace:
            passed = clock_between(state.since, self.now, state.rates, spec.segment, spec.offset, state.factor)
            state.need = max(state.need - passed, 0.0)
            state.since, state.factor = self.now, factor
            cancel(state.timer)
            self._wait_for_arrival(state)
        state.factor = factor

    # ------------------------------------------------------------------------------------------- results

    def _account(self) -> None:
        groups = [pod.group for pod in self.pods] + self.system
        groups += [link.group for link in self.links] + [disk.group for disk in self.disks]
        for group in groups:
            group.resource.account(group, self.now)

    def cache_contents(self, service: int) -> float:
        return self.filled[service]

    def pod_cpu(self) -> NDArray[np.float64]:
        self._account()
        return np.array([pod.group.used + pod.idle_used(self.now) for pod in self.pods], np.float64)

    def measures(self) -> EngineMeasures:
        self._account()
        return self.recorder.finish(self.now, self.pods)

    def reset_measures(self) -> None:
        self._account()
        self.recorder.clear(self.now, self.pods)

    def request_log(self) -> list[tuple[int, int, int, float, float, int, int]]:
        """(source, number, operation, arrival, end, outcome, attempts) of every request that ended, in order."""
        return self.recorder.log
