"""The compiled engine: packs a program into the kernel's memory, makes tables larger, reads results back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sim import layout as at
from sim import machine_code
from sim.arrival_times import clock_between
from sim.engine import Notice, Stop, check_change, check_factor, check_time, check_weights, endless
from sim.measures import BUCKETS, COARSE_BUCKETS, EngineMeasures, Exemplar, Hop, Parts
from sim.pack import Memory, begin_quota, pack_endpoints, pack_pod, pack_program
from sim.program import Outcome, PodStation, Program

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class CompiledEngine:
    """See :class:`sim.engine.Engine`. With ``log`` every request that ended is kept, see ``request_log``."""

    def __init__(self, program: Program, *, seed: int, replication: int = 0, log: bool = False) -> None:
        self.program = program
        self.memory = Memory()
        self.layout = pack_program(self.memory, program, seed, replication, log)
        self.pods: list[int] = []
        self.stations: list[PodStation] = []
        self.horizon = 0.0
        self.stress_cores = [0.0 for _ in program.nodes]
        self.idle_cores = [0.0 for _ in program.nodes]
        self.links = [[link.bandwidth, 1.0] for link in program.links]
        self.disk_extra = [0.0 for _ in program.disks]
        self.memory_stress: list[float] = []
        self.memory_levels: list[float] = []
        self.working_sets = program.working_sets()
        self.idle_since: list[float] = []
        self.idle_s: list[float] = []
        for pod in program.pods:
            self.add_pod(pod)
        for service in range(len(program.services)):
            self.set_endpoints(service, [slot for slot, pod in enumerate(program.pods) if pod.service == service])
        for source, spec in zip(self.layout.sources, program.sources, strict=True):
            self.memory.make_room(spec.users)
            self._order(at.DO_START_SOURCE, source, spec.users)

    # ------------------------------------------------------------------------------------------- clock

    @property
    def now(self) -> float:
        return max(float(self.memory.F[at.H_NOW]), self.horizon)

    def advance(self, until: float) -> Stop:
        check_time(until)
        self._synchronise()
        while True:
            code = machine_code.advance(self.memory.I, self.memory.F, float(until), -1, 0, 0, 0.0)
            if code == at.GROW:
                self.memory.make_room()
            elif code == at.NOTICE:
                return Stop(self.now, self._take_notices())
            elif code == at.STUCK:
                raise endless(self.now)
            else:
                self.horizon = max(self.horizon, until)
                return Stop(self.now)

    def _synchronise(self) -> None:
        """Set the kernel's clock to ours (which may have moved on without an event)."""
        self.memory.F[at.H_NOW] = self.now

    def _order(self, what: int, thing: int, number: int = 0, value: float = 0.0) -> None:
        self._synchronise()
        machine_code.advance(self.memory.I, self.memory.F, 0.0, int(what), int(thing), int(number), float(value))

    def _take_notices(self) -> tuple[Notice, ...]:
        memory = self.memory.I
        first, count = int(memory[at.H_NOTICES]), int(memory[at.H_NOTICES_SIZE])
        pairs = memory[first : first + 2 * count].reshape(count, 2)
        memory[at.H_NOTICES_SIZE] = 0
        return tuple(
            Notice("drained", int(slot)) if kind == at.NOTICE_DRAINED else self._memory_notice(int(slot))
            for kind, slot in pairs
        )

    def _memory_notice(self, slot: int) -> Notice:
        limit = self.stations[slot].memory_limit
        above = limit <= self.memory_levels[slot] or self._memory_now(slot) > limit
        return Notice("oom" if above else "memory", slot)

    def watch_memory(self, slot: int, level: float) -> None:
        if self._running(slot):
            I, F, pod = self.memory.I, self.memory.F, self.pods[slot]
            self.memory_levels[slot], I[pod + at.P_OOM_TOLD] = level, 0
            F[pod + at.P_MEMORY_LIMIT] = min(self.stations[slot].memory_limit, level)
            self._watch_memory(slot)

    def pod_memory(self, slot: int) -> float:
        self._synchronise()
        return self._memory_now(slot) if self._running(slot) else 0.0

    # ------------------------------------------------------------------------------------------- pods

    def add_pod(self, pod: PodStation) -> int:
        slot = len(self.pods)
        address = pack_pod(self.memory, self.layout, pod, slot, self.now)
        self.pods.append(address)
        self.stations.append(pod)
        self.memory_stress.append(0.0)
        self.memory_levels.append(math.inf)
        self.idle_since.append(self.now)
        self.idle_s.append(0.0)
        self._begin_pod(slot)
        if self.now > 0.0:
            self._start_cold(slot)
        return slot

    def _start_cold(self, slot: int) -> None:
        """What the pod held of its service's cache is gone."""
        station, F = self.stations[slot], self.memory.F
        if not station.warm:
            running = sum(self._running(other) for other in self._pods_of(station.service))
            filled = self.layout.services[station.service] + at.S_FILLED
            F[filled] = min(F[filled], self.working_sets[station.service]) * ((running - 1) / running)

    def cache_contents(self, service: int) -> float:
        return float(self.memory.F[self.layout.services[service] + at.S_FILLED])

    def _pods_of(self, service: int) -> list[int]:
        return [slot for slot, station in enumerate(self.stations) if station.service == service]

    def _begin_pod(self, slot: int) -> None:
        I, F, pod, station = self.memory.I, self.memory.F, self.pods[slot], self.stations[slot]
        I[pod + at.P_STATE], I[pod + at.P_OOM_TOLD] = at.POD_UP, 0
        F[pod + at.P_STARTED] = self.now
        self.memory_stress[slot], self.memory_levels[slot] = 0.0, math.inf
        F[pod + at.P_MEMORY_LIMIT] = station.memory_limit
        F[pod + at.P_MEMORY_BASE] = station.memory_base
        F[pod + at.P_MEMORY_MAX] = max(F[pod + at.P_MEMORY_MAX], station.memory_base)
        if station.idle_cores > 0.0:
            self.idle_cores[station.node] += station.idle_cores
            self.idle_since[slot] = self.now
            self._set_system_load(station.node)
        self._weigh_slice(station)
        self._watch_memory(slot)

    def _weigh_slice(self, changed: PodStation) -> None:
        """The burstable pods of a node have become more or fewer."""
        if changed.qos == "burstable":
            running = (pod for slot, pod in enumerate(self.stations) if self._running(slot))
            weights = [pod.cpu_weight for pod in running if pod.node == changed.node and pod.qos == "burstable"]
            resource = int(self.memory.I[self.layout.nodes[changed.node] + at.N_RESOURCE])
            self.memory.F[resource + at.R_BURSTABLE] = sum(weights)
            self._order(at.DO_DIRTY, resource)

    def _watch_memory(self, slot: int) -> None:
        """Set the timer for the moment when growth alone reaches the limit."""
        pod, station = self.pods[slot], self.stations[slot]
        self.memory.I[pod + at.P_MEMORY_TIMER] = 0
        bound = min(station.memory_limit, self.memory_levels[slot])
        room = bound - station.memory_base - self.memory_stress[slot]
        if math.isinf(room):
            return
        self.memory.make_room()
        if room < 0.0:
            self._order(at.DO_WATCH_MEMORY, pod, value=0.0)
        elif station.memory_growth > 0.0:
            delay = float(self.memory.F[pod + at.P_STARTED]) + room / station.memory_growth - self.now
            self._order(at.DO_WATCH_MEMORY, pod, value=max(delay, 0.0))

    def set_endpoints(self, service: int, slots: Sequence[int], weights: Sequence[float] | None = None) -> None:
        check_weights(slots, weights)
        pods = [(slot, self.pods[slot]) for slot in slots]
        pack_endpoints(self.memory, self.layout, self.layout.services[service], pods, weights)

    def _running(self, slot: int) -> bool:
        return bool(self.memory.I[self.pods[slot] + at.P_STATE] <= at.POD_DRAINING)

    def kill_pod(self, slot: int, how: Literal["reset", "blackhole"] = "reset") -> None:
        pod, station = self.pods[slot], self.stations[slot]
        if not self._running(slot):
            if how == "reset":
                self.memory.I[pod + at.P_STATE] = at.POD_DEAD
            return
        if station.idle_cores > 0.0:
            self.idle_s[slot] += self.now - self.idle_since[slot]
            self.idle_cores[station.node] -= station.idle_cores
            self._set_system_load(station.node)
        self.memory.make_room(int(self.memory.I[pod + at.P_IN_FLIGHT]))
        self._line_up(pod)
        self._order(at.DO_KILL, pod, at.POD_DEAD if how == "reset" else at.POD_BLACKHOLE)
        self._weigh_slice(station)

    def _line_up(self, pod: int) -> None:
        """Chain the visits in a pod for the kernel, which knows them by what waits for them only."""
        I, visits = self.memory.I, self.memory.visits_of(pod)
        if len(visits):
            I[pod + at.P_FIRST], I[visits[-1] + at.V_POD_NEXT] = visits[0], 0
            I[visits[:-1] + at.V_POD_NEXT] = visits[1:]

    def drain_pod(self, slot: int) -> None:
        I, pod = self.memory.I, self.pods[slot]
        if I[pod + at.P_STATE] == at.POD_UP:
            I[pod + at.P_STATE] = at.POD_DRAINING
            if I[pod + at.P_IN_FLIGHT] == 0:
                notice = int(I[at.H_NOTICES] + 2 * I[at.H_NOTICES_SIZE])
                I[notice], I[notice + 1] = at.NOTICE_DRAINED, slot
                I[at.H_NOTICES_SIZE] += 1

    def remove_pod(self, slot: int) -> None:
        self.kill_pod(slot, "reset")

    def revive(self, slot: int) -> None:
        if not self._running(slot):
            F, pod = self.memory.F, self.pods[slot]
            F[pod + at.P_COUNTED] = self.now
            if self.memory.I[pod + at.G_LIMITED]:
                F[pod + at.G_THROTTLED_S] -= self._still_throttled(pod)
                F[pod + at.G_TOUCHED] = F[pod + at.G_ACCOUNTED] = self.now  # it was idle
                begin_quota(self.memory, pod, self.now)
            self._begin_pod(slot)
            self._start_cold(slot)

    def in_flight(self, slot: int) -> int:
        return int(self.memory.I[self.pods[slot] + at.P_IN_FLIGHT])

    def stress_memory(self, slot: int, size: float) -> None:
        check_change(size=size)
        self.memory_stress[slot] = size
        self.memory.F[self.pods[slot] + at.P_MEMORY_BASE] = self.stations[slot].memory_base + size
        if self._running(slot):
            self._watch_memory(slot)

    # ------------------------------------------------------------------------------------------- machines and lines

    def _set_system_load(self, node: int) -> None:
        """Background load of a node: stress and what pods use at rest."""
        group = self.layout.system[node]
        load = self.stress_cores[node] + self.idle_cores[node]
        if load <= 1e-12:
            load = 0.0
        if self.memory.I[group + at.G_HOLDS]:
            self._order(at.DO_UNHOLD, group, value=float(self.memory.F[group + at.G_LOAD]))
        if load > 0.0:
            self.memory.F[group + at.G_WEIGHT] = 1024.0 * load
            self._order(at.DO_HOLD, group, value=load)

    def set_node(
        self, node: int, up: bool | None = None, cores: float | None = None, speed: float | None = None
    ) -> None:
        check_change(cores=cores)
        check_change(least_exclusive=True, speed=speed)
        resource = int(self.memory.I[self.layout.nodes[node] + at.N_RESOURCE])
        if cores is not None:
            self.memory.F[resource + at.R_CAPACITY] = cores
        if speed is not None and speed != self.memory.F[resource + at.R_SPEED]:
            self.memory.F[resource + at.R_SPEED] = speed
            first, count = int(self.memory.I[resource + at.R_LIST]), int(self.memory.I[resource + at.R_COUNT])
            self.memory.I[self.memory.I[first : first + count] + at.G_CHANGED] = 1
        if cores is not None or speed is not None:
            self._order(at.DO_DIRTY, resource)
        if up is not None:
            self.memory.I[self.layout.nodes[node] + at.N_UP] = up
            if not up:
                for slot, station in enumerate(self.stations):
                    if station.node == node and self._running(slot):
                        self.kill_pod(slot, "blackhole")

    def set_link(
        self,
        link: int,
        up: bool | None = None,
        bandwidth: float | None = None,
        rtt: float | None = None,
        loss: float | None = None,
    ) -> None:
        check_change(bandwidth=bandwidth, rtt=rtt, loss=loss)
        I, F, address, state = self.memory.I, self.memory.F, self.layout.links[link], self.links[link]
        if up is not None:
            I[address + at.L_UP] = up
        if bandwidth is not None:
            state[0] = bandwidth
        if rtt is not None:
            F[address + at.L_RTT] = rtt
        if loss is not None:
            F[address + at.L_LOSS] = loss
        resource = int(I[address + at.G_RESOURCE])
        F[resource + at.R_CAPACITY] = state[0] if I[address + at.L_UP] else 0.0
        self._order(at.DO_DIRTY, resource)

    def set_disk(
        self, disk: int, failing: bool | None = None, extra_latency: float | None = None, slowdown: float | None = None
    ) -> None:
        check_change(extra_latency=extra_latency)
        check_change(least_exclusive=True, slowdown=slowdown)
        I, F, address, spec = self.memory.I, self.memory.F, self.layout.disks[disk], self.program.disks[disk]
        if failing is not None:
            I[address + at.D_FAILING] = failing
        if extra_latency is not None:
            F[address + at.D_OP] = spec.op_latency + extra_latency
            F[address + at.D_FSYNC] = spec.fsync + extra_latency
        if slowdown is not None:
            F[address + at.D_SLOWDOWN] = slowdown

    def stress(self, node: int, cores: float) -> None:
        check_change(cores=cores)
        self.stress_cores[node] = cores
        self._set_system_load(node)

    def set_rate_factor(self, source: int, factor: float) -> None:
        spec, address, F = self.program.sources[source], self.layout.sources[source], self.memory.F
        check_factor(spec, factor)
        if not spec.users and not spec.trace:
            rates = np.array(spec.rates, np.float64)
            since, before = float(F[address + at.U_SINCE]), float(F[address + at.U_FACTOR])
            passed = clock_between(since, self.now, rates, spec.segment, spec.offset, before)
            F[address + at.U_NEED] = max(float(F[address + at.U_NEED]) - passed, 0.0)
            F[address + at.U_SINCE], F[address + at.U_FACTOR] = self.now, factor
            self.memory.make_room()
            self._order(at.DO_WAIT_FOR_ARRIVAL, address)
        self.memory.F[address + at.U_FACTOR] = factor

    # ------------------------------------------------------------------------------------------- results

    def reset_measures(self) -> None:
        self._order(at.DO_ACCOUNT, 0)
        I, F, layout, now = self.memory.I, self.memory.F, self.layout, self.now
        F[at.H_START] = now
        for first, size in layout.measured:
            I[first : first + size] = 0
        for route in layout.routes:
            I[route + at.W_EXEMPLAR_COUNT] = 0
        for slot, pod in enumerate(self.pods):
            I[pod + at.P_COUNTED + 1 : pod + at.P_MEMORY_MAX + 1] = 0
            I[pod + at.P_QUEUE_MAX] = I[pod + at.P_QUEUE_SIZE]
            if self._running(slot):
                F[pod + at.P_MEMORY_MAX] = self._memory_now(slot)
            F[pod + at.G_USED], I[pod + at.G_THROTTLED_PERIODS] = 0.0, 0
            F[pod + at.G_THROTTLED_S] = self._still_throttled(pod)
            self.idle_since[slot], self.idle_s[slot] = now, 0.0
        for resource in layout.resources:
            F[resource + at.R_USED] = F[resource + at.R_BUSY_S] = F[resource + at.R_BIN_END] = 0.0
        F[at.H_BIN_END] = 0.0

    def _still_throttled(self, pod: int) -> float:
        """Time until the pod's next period, if it is throttled until then."""
        throttled = self.memory.I[pod + at.G_THROTTLED]
        return max(float(self.memory.F[pod + at.G_BOUNDARY]) - self.now, 0.0) if throttled else 0.0

    def _memory_now(self, slot: int) -> float:
        F, I, pod = self.memory.F, self.memory.I, self.pods[slot]
        used = F[pod + at.P_MEMORY_BASE] + F[pod + at.P_MEMORY_REQUEST] * I[pod + at.P_IN_FLIGHT]
        return float(used + F[pod + at.P_MEMORY_GROWTH] * (self.now - F[pod + at.P_STARTED]))

    def measures(self) -> EngineMeasures:
        self._order(at.DO_ACCOUNT, 0)
        I, F, layout, program, now = self.memory.I, self.memory.F, self.layout, self.program, self.now
        series = np.array(layout.series, np.int64)
        pods = np.array(self.pods, np.int64)
        machines, lines = layout.resources[: len(program.nodes)], layout.resources[len(program.nodes) :]
        link_resources = lines[: len(program.links)]
        outcomes = np.arange(len(Outcome))
        histograms = np.arange(2 * BUCKETS)
        for slot in range(len(self.pods)):
            if self._running(slot):
                pod = self.pods[slot]
                F[pod + at.P_MEMORY_MAX] = max(F[pod + at.P_MEMORY_MAX], self._memory_now(slot))
        throttled = np.array([self._still_throttled(pod) for pod in self.pods], np.float64)
        bins = self._block(F, layout.bins, 3 * len(program.services), program.bins)
        return EngineMeasures(
            program=program,
            start=float(F[at.H_START]),
            end=now,
            replications=1,
            series=program.series(),
            pod_names=tuple(station.name for station in self.stations),
            arrived=I[series + at.E_ARRIVED],
            outcomes=I[series[:, None] + at.E_OUTCOMES + outcomes],
            in_flight=I[series + at.E_IN_FLIGHT],
            edge_hits=I[series + at.E_EDGE],
            attempts=I[series + at.E_ATTEMPTS],
            latency=I[series[:, None] + at.E_HISTOGRAMS + histograms].reshape(len(series), 2, BUCKETS),
            latency_sum=F[series + at.E_SUM],
            latency_squares=F[series + at.E_SQUARES],
            bin_arrived=self._bins(I, at.W_ARRIVED),
            bin_served=self._bins(I, at.W_SERVED),
            bin_failed=self._bins(I, at.W_FAILED),
            bin_latency=self._bins(I, at.W_LATENCY, COARSE_BUCKETS)
            .reshape(len(program.routes), program.bins, COARSE_BUCKETS)
            .astype(np.int32),
            pod_visits=I[pods + at.P_VISITS],
            pod_refused=I[pods + at.P_REFUSED],
            pod_busy_s=F[pods + at.P_BUSY_S],
            pod_queue_s=F[pods + at.P_QUEUE_S],
            pod_queue_max=I[pods + at.P_QUEUE_MAX],
            pod_cpu_s=F[pods + at.G_USED] + self._idle_used(),
            pod_throttled_s=F[pods + at.G_THROTTLED_S] - throttled,
            pod_throttled_periods=I[pods + at.G_THROTTLED_PERIODS],
            pod_memory_max=F[pods + at.P_MEMORY_MAX],
            service_sojourn=self._block(I, int(I[at.H_SOJOURN]), len(program.services), BUCKETS),
            bin_service_queue_s=bins[0::3],
            bin_service_busy_s=bins[1::3],
            bin_service_throttled_s=bins[2::3],
            node_cpu_s=self._resource_use(machines),
            bin_node_cpu_s=self._resource_bins(machines),
            link_bytes=self._resource_use(link_resources),
            bin_link_bytes=self._resource_bins(link_resources),
            link_busy_s=np.array([F[resource + at.R_BUSY_S] for resource in link_resources], np.float64),
            exemplars=tuple(exemplar for route in layout.routes for exemplar in self._exemplars(route)),
        )

    def pod_cpu(self) -> Floats:
        self._order(at.DO_ACCOUNT, 0)
        return np.asarray(self.memory.F[np.array(self.pods, np.int64) + at.G_USED] + self._idle_used())

    def _idle_used(self) -> Floats:
        now = self.now
        return np.array(
            [
                station.idle_cores * (self.idle_s[slot] + (now - self.idle_since[slot] if self._running(slot) else 0.0))
                for slot, station in enumerate(self.stations)
            ],
            np.float64,
        )

    @staticmethod
    def _block(words: NDArray[Any], first: int, rows: int, columns: int) -> NDArray[Any]:
        return words[first : first + rows * columns].reshape(rows, columns).copy()

    def _bins(self, words: Ints, field: int, width: int = 1) -> Ints:
        size = self.program.bins * width
        rows = [words[words[route + field] : words[route + field] + size] for route in self.layout.routes]
        return np.array(rows, np.int64).reshape(len(self.layout.routes), size)

    def _resource_use(self, resources: Sequence[int]) -> Floats:
        outside = np.array([self.memory.F[resource + at.R_USED] for resource in resources], np.float64)
        return np.asarray(outside + self._resource_bins(resources).sum(axis=1))

    def _resource_bins(self, resources: Sequence[int]) -> Floats:
        I, F, bins = self.memory.I, self.memory.F, self.program.bins
        rows = [F[I[resource + at.R_BINS] : I[resource + at.R_BINS] + bins] for resource in resources]
        return np.array(rows, np.float64).reshape(len(resources), bins)

    def _exemplars(self, route: int) -> list[Exemplar]:
        I, F = self.memory.I, self.memory.F
        found = []
        for index in range(int(I[route + at.W_EXEMPLAR_COUNT])):
            place = int(I[route + at.W_EXEMPLARS]) + at.EXEMPLAR * index
            hops = [place + at.M_HOPS + at.HOP * hop for hop in range(int(I[place + at.M_COUNT]))]
            found.append(
                Exemplar(
                    series=self.layout.series.index(int(I[place + at.M_SERIES])),
                    arrived=float(F[place + at.M_ARRIVED]),
                    latency=float(F[place + at.M_LATENCY]),
                    outcome=Outcome(int(I[place + at.M_OUTCOME])),
                    attempts=int(I[place + at.M_ATTEMPTS]),
                    hops=tuple(
                        Hop(
                            pod=int(I[hop + at.HOP_POD]),
                            operation=int(I[hop + at.HOP_OPERATION]),
                            arrived=float(F[hop + at.HOP_ARRIVED]),
                            started=float(F[hop + at.HOP_STARTED]),
                            ended=float(F[hop + at.HOP_ENDED]),
                            parts=Parts(*F[hop + at.HOP_CPU : hop + at.HOP].tolist()),
                        )
                        for hop in hops
                    ),
                )
            )
        return found

    def request_log(self) -> list[tuple[int, int, int, float, float, int, int]]:
        """(source, number, operation, arrival, end, outcome, attempts) of every request that ended, in order."""
        I, F = self.memory.I, self.memory.F
        first, count = int(I[at.H_LOG]), int(I[at.H_LOG_SIZE])
        whole = I[first : first + at.LOG_ENTRY * count].reshape(count, at.LOG_ENTRY)
        times = F[first : first + at.LOG_ENTRY * count].reshape(count, at.LOG_ENTRY)
        return [
            (int(a), int(b), int(c), float(arrived), float(ended), int(d), int(e))
            for (a, b, c, _, _, d, e), (_, _, _, arrived, ended, _, _) in zip(whole, times, strict=True)
        ]
