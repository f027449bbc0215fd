"""The wire between the platform simulation and the request engine: what happens there is told here, at its instant.

Platform time is 0 at the end of the warm-up; engine time is 0 at its beginning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sim.compile import Compiled
from sim.engine import Engine, Notice
from sim.platform.observer import PlatformObserver
from sim.platform.state import PodSim

INTERNET = "internet"

PAGE_B = 4096
"""Memory comes in pages: a level is reached when less than one is missing."""


class EngineBinding(PlatformObserver):
    """Keeps an engine in step with a platform simulation.

    The engine is advanced to the time of every platform event before the event acts, never by ticks. ``oom`` holds
    notices that the platform has not answered yet.
    """

    def __init__(
        self, engine: Engine, compiled: Compiled, warm_up: float, *, samples: int = 0, length: float = 0.0
    ) -> None:
        self.engine = engine
        self.compiled = compiled
        self.warm_up = warm_up
        self.notices: list[Notice] = []
        self._slots: dict[int, int] = {}
        self._pods: dict[int, PodSim] = {}
        self._ready: dict[str, dict[int, PodSim]] = {}
        self._measured = warm_up <= 0.0
        self._cpu: dict[str, tuple[float, dict[int, float]]] = {}
        self._gap = length / samples if samples else 0.0
        self._samples: list[tuple[float, NDArray[np.float64]]] = []
        self._levels: dict[str, tuple[float, Callable[[float], None]]] = {}
        self._unsettled: set[str] = set()

    def advance(self, t: float) -> list[PodSim]:
        """Run requests up to platform time ``t``; stops early, returning pods that are out of memory at that moment, or
        none when a node's memory has reached the level that the platform watches (:attr:`now` tells when)."""
        target = t + self.warm_up
        while True:
            if not self._measured and target >= self.warm_up:
                if self._step(self.warm_up):
                    return self._taken()
                self.engine.reset_measures()
                self._measured = True
            if self._step(min(target, self._next_sample())):
                return self._taken()
            if self._measured and self.engine.now >= self._next_sample():
                self._samples.append((self.engine.now, self.engine.pod_cpu()))
            if self.engine.now >= target:
                return []

    def _next_sample(self) -> float:
        """Engine time of the next look at the pods' CPU use."""
        return self.warm_up + self._gap * (len(self._samples) + 1) if self._gap else math.inf

    def finish(self, until: float) -> None:
        """Run requests to the end, with nobody left to answer notices."""
        while self.advance(until) or self.now < until:
            pass

    def pod_cpu(self) -> dict[str, tuple[float, ...]]:
        """Per pod, its mean cores between successive samples."""
        names = self.engine.measures().pod_names
        before, then = np.zeros(0), self.warm_up
        found: dict[str, list[float]] = {}
        for at, used in self._samples:
            start = np.pad(before, (0, len(used) - len(before)))
            for name, cores in zip(names, (used - start) / (at - then), strict=False):
                found.setdefault(name, []).append(float(cores))
            before, then = used, at
        return {name: tuple(values) for name, values in found.items()}

    @property
    def now(self) -> float:
        """The engine's clock in platform time."""
        return self.engine.now - self.warm_up

    def _step(self, until: float) -> bool:
        """Advance; true when a pod or a node ran out of memory."""
        while self.engine.now < until:
            if self._settle():
                return True
            stop = self.engine.advance(until)
            self.notices.extend(notice for notice in stop.notices if notice.kind == "oom")
            for notice in stop.notices:
                if notice.kind == "memory" and notice.slot in self._pods:
                    self._changed(self._pods[notice.slot])
            if self.notices:
                return True
            if not stop.notices:
                return False
        return self._settle()

    # ------------------------------------------------------------------------------------------- memory of nodes

    def node_memory(self, t: float, node: str) -> Mapping[int, tuple[PodSim, Mapping[str, int]]]:
        self.advance(t)
        found: dict[int, tuple[PodSim, Mapping[str, int]]] = {}
        for slot in self._slots_on(node):
            pod = self._pods[slot]
            main, others = self.compiled.containers[pod.controller.model.workload.id]
            used = int(self._memory(slot))
            if used:
                found[pod.uid] = (pod, {main: max(used - sum(others.values()), 0), **others})
        return found

    def watch_memory(self, t: float, node: str, level_b: float, call: Callable[[float], None]) -> None:
        self.advance(t)
        self._levels[node] = (level_b, call)
        self._unsettled.add(node)

    def _slots_on(self, node: str) -> list[int]:
        return [slot for slot, pod in self._pods.items() if pod.node is not None and pod.node.name == node]

    def _changed(self, pod: PodSim) -> None:
        """The memory of the pod's node must be looked at again."""
        if pod.node is not None and pod.node.name in self._levels:
            self._unsettled.add(pod.node.name)

    def _memory(self, slot: int) -> float:
        """What the pod takes of its node: never more than its limit, at which it is killed before the node suffers."""
        limit = self.compiled.stations[self._pods[slot].controller.model.workload.id].memory_limit
        return min(self.engine.pod_memory(slot), limit)

    def _grows(self, slot: int) -> bool:
        """Whether the pod may come to use more memory than now (without stress, after which all is looked at again)."""
        station = self.compiled.stations[self._pods[slot].controller.model.workload.id]
        return station.memory_per_request > 0.0 or station.memory_growth > 0.0

    def _settle(self) -> bool:
        """Give every pod of the changed nodes its part of what is left below the watched level; the engine tells when a
        pod has used up its part. Whether a level is reached: then its watcher is told."""
        reached = False
        for node in sorted(self._unsettled):
            level, call = self._levels[node]
            slots = self._slots_on(node)
            used = [self._memory(slot) for slot in slots]
            left = level - sum(used)
            if left < PAGE_B:
                del self._levels[node]
                reached = True
                call(self.now)
                continue
            growing = [(slot, now) for slot, now in zip(slots, used, strict=True) if self._grows(slot)]
            for slot, now in growing:
                self.engine.watch_memory(slot, now + left / len(growing))
        self._unsettled.clear()
        return reached

    def _taken(self) -> list[PodSim]:
        found = [self._pods[notice.slot] for notice in self.notices if notice.slot in self._pods]
        for notice in self.notices:
            self.engine.kill_pod(notice.slot, how="reset")
        self.notices.clear()
        return found

    # ------------------------------------------------------------------------------------------- pods

    def pod_answers(self, t: float, pod: PodSim) -> None:
        self.advance(t)
        workload = pod.controller.model.workload.id
        if workload not in self.compiled.stations or pod.node is None:
            return
        slot = self._slots.get(pod.uid)
        if slot is not None:
            self.engine.revive(slot)
        else:
            slot = self.engine.add_pod(self.compiled.station(workload, pod.key, pod.node.name))
            self._slots[pod.uid] = slot
            self._pods[slot] = pod
        self._changed(pod)
        self._ready.setdefault(workload, {})[pod.uid] = pod
        self._own_endpoints(workload)

    def pod_stops(self, t: float, pod: PodSim, how: Literal["reset", "blackhole", "drain"]) -> None:
        self.advance(t)
        slot = self._slots.get(pod.uid)
        if slot is None:
            return
        if how == "drain":
            self.engine.drain_pod(slot)
        else:
            self.engine.kill_pod(slot, how=how)
        workload = pod.controller.model.workload.id
        self._ready.get(workload, {}).pop(pod.uid, None)
        self._own_endpoints(workload)

    def pod_removed(self, t: float, pod: PodSim) -> None:
        self.advance(t)
        slot = self._slots.pop(pod.uid, None)
        if slot is not None:
            self._pods.pop(slot, None)
            self.engine.remove_pod(slot)

    def _own_endpoints(self, workload: str) -> None:
        """A workload that is entered without a Service (a tunnel) is reached at whatever answers."""
        service = self.compiled.services.get(workload)
        if service is not None:
            self.engine.set_endpoints(service, [self._slots[uid] for uid in self._ready.get(workload, {})])

    def endpoints_changed(self, t: float, service: str, pods: Sequence[PodSim]) -> None:
        self.advance(t)
        index = self.compiled.services.get(service)
        if index is not None:
            self.engine.set_endpoints(index, [self._slots[pod.uid] for pod in pods if pod.uid in self._slots])

    # ------------------------------------------------------------------------------------------- machines and lines

    def node_changed(self, t: float, node: str, up: bool) -> None:
        self.advance(t)
        self.engine.set_node(self.compiled.nodes[node], up=up)

    def link_changed(
        self,
        t: float,
        node: str,
        *,
        up: bool = True,
        delay_s: float = 0.0,
        loss: float = 0.0,
        bandwidth_bps: float | None = None,
    ) -> None:
        self.advance(t)
        names = ("uplink", "downlink") if node == INTERNET else (f"nic {node}",)
        for name in names:
            index = self.compiled.links[name]
            line = self.compiled.program.links[index]
            bandwidth = line.bandwidth if bandwidth_bps is None else min(bandwidth_bps, line.bandwidth)
            self.engine.set_link(index, up=up, rtt=line.rtt + delay_s, loss=loss, bandwidth=bandwidth)

    def disk_changed(self, t: float, node: str, *, failing: bool = False, delay_s: float = 0.0) -> None:
        self.advance(t)
        self.engine.set_disk(self.compiled.nodes[node], failing=failing, extra_latency=delay_s)

    def node_stressed(self, t: float, node: str, cores: float) -> None:
        self.advance(t)
        self.engine.stress(self.compiled.nodes[node], cores)

    def pod_memory_stressed(self, t: float, pod: PodSim, size_b: int) -> None:
        self.advance(t)
        slot = self._slots.get(pod.uid)
        if slot is not None:
            self.engine.stress_memory(slot, float(size_b))
            self._changed(pod)

    def cpu_utilisation(self, t: float, workload: str) -> float | None:
        """Mean CPU use per ready pod since the last question as a share of its request; None for the first question,
        without pods, or without a request."""
        self.advance(t)
        used = self.engine.pod_cpu()
        slots = [self._slots[uid] for uid in self._ready.get(workload, {})]
        now = {slot: float(used[slot]) for slot in slots if slot < len(used)}
        before = self._cpu.get(workload)
        self._cpu[workload] = (t, now)
        station = self.compiled.stations.get(workload)
        if before is None or not now or station is None or t <= before[0] or station.cpu_weight <= 2.0:
            return None
        request = station.cpu_weight / 1024.0
        cores = [(value - before[1].get(slot, 0.0)) / (t - before[0]) for slot, value in now.items()]
        return sum(max(value, 0.0) for value in cores) / len(cores) / request
