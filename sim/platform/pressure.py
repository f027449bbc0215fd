"""Memory of whole nodes: the kubelet evicts pods when too little is left, the kernel kills when nothing is.

Source: pkg/kubelet/eviction (one pod per look, a look every 10 s and again when the victim is gone, hard thresholds
without grace), pkg/kubelet/oom (the event about the kernel's choice). Only simulated while somebody measures memory.

A node's memory in use is that of its pods plus what the system uses, for which its reserved memory is taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from models.objects import Manifest
from models.rules.eviction import (
    DEFAULT_EVICTION_HARD,
    K3S_EVICTION_HARD,
    OomCandidate,
    Usage,
    evictable,
    oom_order,
    oom_score_adj,
    parse_thresholds,
    rank_memory,
)
from models.rules.quantity import bytes_of, from_units
from sim.platform.clock import Timer
from sim.platform.log import Story
from sim.platform.state import NodeSim, PodSim

if TYPE_CHECKING:
    from sim.platform.world import World

SIGNAL = "memory.available"

IMMEDIATE_GRACE_S = 1.0
"""Grace of a hard eviction: pkg/kubelet/eviction/eviction_manager.go ``immediateEvictionGracePeriodSeconds``."""

PAGE_B = 4096
"""The kernel gives memory out in pages: with less than one there is none."""

CLEANUP_POLL_S = 1.0
"""How often the kubelet looks whether its victim is gone: ``podCleanupPollFreq`` there."""

Memory = Mapping[str, int]
"""Bytes by container, the one that serves requests first."""


class MemoryPressure:
    """The memory of every node."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._nodes: dict[str, _NodeMemory] = {}

    def start(self) -> None:
        """Watch every node, if anybody measures memory."""
        for node in self.world.nodes.by_name.values():
            if self.world.observer.node_memory(self.world.now, node.name) is not None:
                self._nodes[node.name] = _NodeMemory(self.world, node)


class _NodeMemory:
    """One node: its levels, whether it is under pressure, and when its kubelet looks next."""

    def __init__(self, world: World, node: NodeSim) -> None:
        self.world = world
        self.node = node
        self.capacity = node.spec.memory_b
        status = node.spec.manifest["status"]
        self.system = bytes_of(status["capacity"]["memory"]) - bytes_of(status["allocatable"]["memory"])
        self.threshold = _threshold(world, self.capacity)
        self.period = world.timings.seconds("k8s.eviction_check_interval")
        stream = world.streams[f"nodes/{node.name}/memory"]
        self.phase = stream.uniform(0.0, self.period)
        self.report_delay = stream.uniform(0.0, world.timings.seconds("k8s.node_status_update_frequency"))
        self._look_at: Timer | None = None
        self._clear_at: Timer | None = None
        self.observed = False
        self._watch()

    def _pods(self) -> dict[str, tuple[PodSim, Memory]]:
        """The pods that run on the node, by key, with their memory."""
        measured = self.world.observer.node_memory(self.world.now, self.node.name) or {}
        return {pod.key: (pod, memory) for pod, memory in measured.values()}

    def _available(self) -> int:
        used = sum(sum(memory.values()) for _, memory in self._pods().values())
        return self.capacity - self.system - used

    def _watch(self) -> None:
        """Be told when the pods need more than they may, or than there is."""
        limit = self.capacity - self.system
        if self._look_at is None and self.threshold:
            limit -= self.threshold
        self.world.observer.watch_memory(self.world.now, self.node.name, float(limit), self._told)

    def _told(self, t: float) -> None:
        self.world.clock.at(t, self._reached)

    def _reached(self) -> None:
        """The level that was watched is reached."""
        available = self._available()
        if available < PAGE_B:
            self._kill()
            if self._available() < PAGE_B:  # nothing more to kill: what still runs is ending
                self.world.clock.after(CLEANUP_POLL_S, self._watch)
                return
        elif self.threshold and self._look_at is None:
            turns = (self.world.now - self.phase) // self.period + 1
            self._plan(self.phase + turns * self.period)
        self._watch()

    # ---- the kernel

    def _kill(self) -> None:
        """Nothing is left: the kernel kills what has the highest badness until something is."""
        before = -math.inf
        while before < self._available() < PAGE_B:
            before = self._available()
            pods = self._pods()
            candidates = [
                OomCandidate(key, next(iter(memory.values())), self._score(pod, memory))
                for key, (pod, memory) in pods.items()
            ]
            order = oom_order(candidates, self.capacity)
            if not order:
                return
            pod, memory = pods[order[0].name]
            name = next(iter(memory))
            story = Story(f"{self.node.name} ran out of memory", self.world.now)
            told = f"System OOM encountered, victim process: {name}"
            self.world.log("SystemOOM", self.node.name, told, story, "error")
            why = f"container {name} was killed: node {self.node.name} was out of memory"
            self.world.log(
                "OOMKilling", f"Pod {pod.key}", f"{why} (oom_score_adj {order[0].score_adj})", story, "error"
            )
            self.world.kubelet.crash(pod, story)

    def _score(self, pod: PodSim, memory: Memory) -> int:
        name = next(iter(memory))
        spec = pod.manifest["spec"]
        containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
        container = next(item for item in containers if item.get("name") == name)
        return oom_score_adj(pod.manifest, container, self.capacity)

    # ---- the kubelet

    def _plan(self, at: float) -> None:
        self._look_at = self.world.clock.at(at, self._look)

    def _look(self) -> None:
        """One round of the eviction manager."""
        self._look_at = None
        if not self.node.up:
            self._watch()
            return
        available = self._available()
        if available >= self.threshold:
            if self.observed and self._clear_at is None:
                held = self.world.timings.seconds("k8s.eviction_pressure_transition_period")
                self._clear_at = self.world.clock.after(held, self._clear)
            self._watch()
            return
        self._observe()
        self.world.log("EvictionThresholdMet", self.node.name, "Attempting to reclaim memory", "", "warning")
        pods = self._pods()
        usage = {key: Usage(memory_b=sum(memory.values())) for key, (_, memory) in pods.items()}
        ranked = rank_memory([pod.manifest for pod, _ in pods.values() if pod.state != "terminating"], usage)
        victim = next((manifest for manifest in ranked if evictable(manifest)), None)
        if victim is None:
            self._plan(self.world.now + self.period)
        else:
            metadata = victim["metadata"]
            self._evict(*pods[f"{metadata['namespace']}/{metadata['name']}"], available)
            self._plan(self.world.now + IMMEDIATE_GRACE_S + CLEANUP_POLL_S)
        self._watch()

    def _evict(self, pod: PodSim, memory: Memory, available: int) -> None:
        lines = [f"Threshold quantity: {from_units(self.threshold, 'BinarySI')}, available: {_printed(available)}. "]
        for container in pod.manifest["spec"].get("containers") or ():
            used, asked = memory.get(str(container.get("name")), 0), _request(container)
            if used > asked:
                lines.append(
                    f"Container {container.get('name')} was using {_printed(used)}, "
                    f"request is {from_units(asked, 'BinarySI')}, has larger consumption of memory. "
                )
        message = f"The node was low on resource: memory. {''.join(lines)}"
        story = Story(f"{self.node.name} was low on memory", self.world.now)
        self.world.log("Evicted", f"Pod {pod.key}", message, story, "warning")
        self.world.kubelet.evict(pod, IMMEDIATE_GRACE_S, story)

    def _observe(self) -> None:
        """The condition MemoryPressure, and with the next status of the node its taint."""
        if self._clear_at is not None:
            self._clear_at.cancel()
            self._clear_at = None
        if self.observed:
            return
        self.observed = True
        told = f"Node {self.node.name} status is now: NodeHasInsufficientMemory"
        self.world.log("NodeHasInsufficientMemory", self.node.name, told, "", "warning")
        self.world.clock.after(self.report_delay, partial(self._taint, True))

    def _clear(self) -> None:
        self._clear_at = None
        self.observed = False
        told = f"Node {self.node.name} status is now: NodeHasSufficientMemory"
        self.world.log("NodeHasSufficientMemory", self.node.name, told)
        self.world.clock.after(self.report_delay, partial(self._taint, False))

    def _taint(self, on: bool) -> None:
        if self.observed == on and self.node.short_of_memory != on:
            self.world.nodes.short_of_memory(self.node, on)


def _threshold(world: World, capacity: int) -> int:
    """Bytes that must stay available, 0 when the kubelet never evicts for memory."""
    k3s = world.nodes.distribution == "k3s"
    hard = world.scenario.spec.cluster.eviction_hard
    chosen = (K3S_EVICTION_HARD if k3s else DEFAULT_EVICTION_HARD) if hard is None else hard
    for item in parse_thresholds(chosen):
        if item.signal == SIGNAL:
            return item.value.of(from_units(capacity, "BinarySI")).value()
    return 0


def _request(container: Manifest) -> int:
    requests = (container.get("resources") or {}).get("requests") or {}
    return bytes_of(requests["memory"]) if "memory" in requests else 0


def _printed(size: int) -> str:
    """Bytes as the kubelet measures memory: in whole KiB."""
    return str(from_units(size // 1024 * 1024, "BinarySI"))
