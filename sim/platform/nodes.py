"""Node life: crash and return, heartbeats, grace period, taints, zone rules and taint-based eviction.

Source: pkg/controller/nodelifecycle/node_lifecycle_controller.go, pkg/controller/tainteviction. Heartbeats are not
ticks here: the last renewal before a crash follows from the lease's phase, the moment of detection from the monitor's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import simpy

from models.cluster import Cluster
from models.objects import Manifest
from sim.placement import UNREACHABLE, UNREACHABLE_NO_SCHEDULE
from sim.platform.clock import Timer
from sim.platform.log import Story
from sim.platform.state import NodeSim, PodSim

if TYPE_CHECKING:
    from sim.platform.world import World

MEMORY_PRESSURE: Manifest = {"key": "node.kubernetes.io/memory-pressure", "effect": "NoSchedule"}

CORDON: Manifest = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


class Nodes:
    """All nodes and the node lifecycle controller."""

    def __init__(self, world: World, cluster: Cluster) -> None:
        self.world = world
        self.version = cluster.version
        self.distribution = cluster.distribution
        self.by_name: dict[str, NodeSim] = {}
        for item in cluster.nodes:
            zone = str((item.manifest["metadata"].get("labels") or {}).get("topology.kubernetes.io/zone") or "")
            self.by_name[item.name] = NodeSim(item, zone)
        self.servers = [self.by_name[item.name] for item in cluster.servers]
        self._monitor_phase = world.streams["nodes/monitor"].uniform(
            0.0, world.timings.seconds("k8s.node_monitor_period")
        )
        self._evictions: dict[str, dict[int, Timer]] = {name: {} for name in self.by_name}
        self._queue: list[NodeSim] = []
        self._phases: dict[str, float] = {}
        self._next_token: dict[str, float] = {}
        self._queue_timer: Timer | None = None
        serial = distribution_serialises(cluster.distribution)
        for node in self.by_name.values():
            node.pull_slot = simpy.Resource(world.clock.env, 1) if serial else None

    # ---- the truth

    def crash(self, node: NodeSim, story: Story) -> None:
        """The machine loses power: its processes are gone, nobody is told."""
        if not node.up:
            return
        node.up = False
        node.epoch += 1
        node.story = story
        self.world.log("NodeLost", node.name, f"{node.name} stops", story, "error")
        self.world.observer.node_changed(self.world.now, node.name, False)
        for pod in self.pods_on(node):
            self.world.kubelet.machine_lost(pod, story)
        self._silent(node)

    def cut(self, node: NodeSim, story: Story) -> None:
        """The machine runs but nobody reaches it."""
        if not node.linked:
            return
        node.linked = False
        node.epoch += 1
        node.story = node.story or story
        self.world.log("NodeCutOff", node.name, f"{node.name} cannot be reached", story, "error")
        self.world.observer.link_changed(self.world.now, node.name, up=False)
        for pod in self.pods_on(node):
            pod.trouble = pod.trouble or story
            self.world.show(pod, "lost")
            self.world.routes.pod_changed(pod)
        self._silent(node)

    def _silent(self, node: NodeSim) -> None:
        self.world.load_balancers.node_changed(node)
        if node in self.servers:
            self.world.control_plane.server_changed(node)
        if self.world.control_plane.active:
            self._watch(node, self._last_heartbeat(node))

    def restore(self, node: NodeSim, *, empty: bool = False) -> None:
        """The machine is back (``empty``: a new one of the same name, without the old one's disks)."""
        if node.up:
            return
        node.up = True
        node.epoch += 1
        before = node.story or Story(f"node {node.name} lost", self.world.now)
        story = before.then(f"until {node.name} returned", self.world.now)
        self.world.log("NodeReturned", node.name, f"{node.name} is back", story)
        self.world.observer.node_changed(self.world.now, node.name, True)
        if empty:
            self._replace(node, story)
        self._answering_again(node)
        for pod in self.pods_on(node):
            self.world.kubelet.machine_back(pod, before)

    def heal(self, node: NodeSim) -> None:
        """A cut-off machine can be reached again."""
        if node.linked:
            return
        node.linked = True
        node.epoch += 1
        story = (node.story or Story(f"node {node.name} cut off", self.world.now)).then(
            f"until {node.name} was reached again", self.world.now
        )
        self.world.log("NodeReached", node.name, f"{node.name} can be reached again", story)
        self.world.observer.link_changed(self.world.now, node.name)
        self._answering_again(node)
        for pod in self.pods_on(node):
            self.world.kubelet.reachable_again(pod, story)

    def _answering_again(self, node: NodeSim) -> None:
        if not node.reachable:
            return
        if node in self.servers:
            self.world.control_plane.server_changed(node)
        if self.world.control_plane.active:
            self._heard(node)
        self.world.load_balancers.node_changed(node)
        node.story = None

    def _replace(self, node: NodeSim, story: Story) -> None:
        """The old node object and its disks are gone: volumes on it are empty, its pods are deleted for good."""
        node.images.clear()
        self.world.volumes, lost = self.world.volumes.lose(node.name)
        for claim in lost:
            self.world.log("DataLost", claim, f"the volume of {claim} was on {node.name} and is gone", story, "error")
        self.world.scheduler.volumes_changed()
        for pod in self.pods_on(node):
            if pod.controller.kind != "DaemonSet":
                self.world.delete_pod(pod, story, force=True)

    def pods_on(self, node: NodeSim) -> list[PodSim]:
        """The pods bound to a node, oldest first."""
        return [pod for pod in self.world.pods.values() if pod.node is node]

    # ---- what the control plane believes

    def _last_heartbeat(self, node: NodeSim) -> float:
        """When the kubelet last renewed its lease; its phase is random and stays."""
        interval = self.world.timings.seconds("k8s.node_lease_renew_interval")
        if node.name not in self._phases:
            self._phases[node.name] = self.world.streams[f"node/{node.name}/lease"].uniform(0.0, interval)
        offset = self._phases[node.name]
        return math.floor((self.world.now - offset) / interval) * interval + offset

    @property
    def grace(self) -> tuple[float, str]:
        """node-monitor-grace-period of this version, and its key."""
        key = "k8s.node_monitor_grace_period"
        if self.version < (1, 32):
            key = "k8s.node_monitor_grace_period_pre_1_32"
        return self.world.timings.seconds(key), key.partition(".")[2].removesuffix("_pre_1_32")

    def _next_poll(self, time: float) -> float:
        """The first look of the node monitor at or after ``time``."""
        period = self.world.timings.seconds("k8s.node_monitor_period")
        return math.ceil((time - self._monitor_phase) / period - 1e-9) * period + self._monitor_phase

    def _watch(self, node: NodeSim, since: float) -> None:
        """The node has been silent since then; notice it when the grace has passed."""
        if not node.known_ready:
            return
        epoch = node.epoch

        def notice() -> None:
            if node.epoch == epoch and self.world.control_plane.active and node.known_ready:
                self._not_ready(node)

        self.world.clock.at(self._next_poll(since + self.grace[0]), notice)

    def _not_ready(self, node: NodeSim) -> None:
        grace, key = self.grace
        story = (node.story or Story(f"node {node.name} silent", self.world.now)).then(
            "noticed after", self.world.now, f"{key} {grace:.0f} s"
        )
        node.story = story
        node.known_ready = False
        self.world.log("NodeNotReady", node.name, "Node is not ready", story, "warning")
        for pod in self.pods_on(node):
            if pod.reported:
                pod.reported = False
                pod.reported_since = self.world.now
                self.world.endpoints.pod_changed(pod)
            pod.trouble = story
            pod.controller.wake()
        self.world.scheduler.nodes_changed()
        self.world.load_balancers.recheck()
        self._queue.append(node)
        self._zones_changed()

    def _heard(self, node: NodeSim) -> None:
        """The kubelet posts its status: Ready at once; the taints go with the monitor's next look."""
        if node.known_ready:
            return
        node.known_ready = True
        self.world.log("NodeReady", node.name, "Node is ready again")
        epoch = node.epoch

        def untaint() -> None:
            if node.epoch == epoch:
                self._untaint(node)
                self.world.scheduler.nodes_changed()
                self._zones_changed()

        self.world.clock.at(self._next_poll(self.world.now), untaint)

    def resync(self) -> None:
        """The controllers start again: silent nodes get the whole grace, evictions their whole toleration, anew."""
        for node in self.by_name.values():
            if node.reachable:
                self._heard(node)
            else:
                if node.story is not None:
                    node.story = node.story.then("control plane takeover", self.world.now, "leader_election")
                self._watch(node, self.world.now)
                if node.tainted:
                    self._arm(node)

    # ---- taints and evictions

    def _zones_changed(self) -> None:
        """All nodes gone: evictions stop everywhere, and start afresh when one is back."""
        if all(not node.known_ready for node in self.by_name.values()):
            for node in self.by_name.values():
                if node.tainted:
                    self._untaint(node)
                    self._queue.append(node)
            return
        self._drain_queue()

    def _rate(self, zone: str) -> float:
        """Evictions per second in a zone: normal, or that of a partly disrupted zone (none in small clusters)."""
        timings = self.world.timings
        members = [node for node in self.by_name.values() if node.zone == zone]
        away = sum(not node.known_ready for node in members)
        disrupted = away > 2 and away / len(members) >= float(timings.value("k8s.unhealthy_zone_threshold"))
        if not disrupted or away == len(members):
            return float(timings.value("k8s.node_eviction_rate"))
        if len(self.by_name) <= int(timings.value("k8s.large_cluster_size_threshold")):
            return 0.0
        return float(timings.value("k8s.secondary_node_eviction_rate"))

    def _drain_queue(self) -> None:
        """Taint queued nodes as the rate of their zone allows."""
        if self._queue_timer is not None:
            self._queue_timer.cancel()
            self._queue_timer = None
        self._queue = [node for node in self._queue if not node.known_ready]
        waiting: list[NodeSim] = []
        soonest = math.inf
        for node in self._queue:
            rate = self._rate(node.zone)
            due = self._next_token.get(node.zone, -math.inf)
            if rate <= 0:
                waiting.append(node)
            elif due > self.world.now:
                waiting.append(node)
                soonest = min(soonest, due)
            else:
                self._next_token[node.zone] = self.world.now + 1.0 / rate
                self._taint(node)
        self._queue = waiting
        if soonest < math.inf:
            self._queue_timer = self.world.clock.at(soonest, self._drain_queue)

    def _taint(self, node: NodeSim) -> None:
        node.tainted = True
        if node.story is not None:
            node.story = node.story.then("eviction queue", self.world.now, "node_eviction_rate")
        self.world.log("TaintAdded", node.name, "node.kubernetes.io/unreachable:NoExecute", node.story or "", "warning")
        self.world.scheduler.nodes_changed()
        self._arm(node)

    def _untaint(self, node: NodeSim) -> None:
        node.tainted = False
        for timer in self._evictions[node.name].values():
            timer.cancel()
        self._evictions[node.name].clear()

    def _arm(self, node: NodeSim) -> None:
        """Every pod on the node is deleted when its toleration has passed."""
        for timer in self._evictions[node.name].values():
            timer.cancel()
        self._evictions[node.name].clear()
        for pod in self.pods_on(node):
            self.arm_pod(pod)

    def arm_pod(self, pod: PodSim) -> None:
        """Start the toleration of one pod on a tainted node."""
        node = pod.node
        wait = pod.controller.model.toleration_s()
        if node is None or wait is None or pod.deleting or not node.tainted:
            return
        self._evictions[node.name][pod.uid] = self.world.clock.after(wait, self._evictor(node, pod))

    def _evictor(self, node: NodeSim, pod: PodSim) -> Callable[[], None]:
        def evict() -> None:
            if pod.gone or pod.deleting or not node.tainted or not self.world.control_plane.active:
                return
            story = (node.story or Story(f"node {node.name} lost", self.world.now)).then("toleration", self.world.now)
            message = f"Marking for deletion Pod {pod.key}"
            self.world.log("TaintManagerEviction", f"Pod {pod.key}", message, story, "warning")
            self.world.delete_pod(pod, story)

        return evict

    # ---- manifests for the scheduler

    def cordon(self, node: NodeSim, on: bool) -> None:
        """Make a node unschedulable, or schedulable again."""
        if node.cordoned != on:
            node.cordoned = on
            self.world.scheduler.nodes_changed()

    def short_of_memory(self, node: NodeSim, on: bool) -> None:
        """The node's condition MemoryPressure has changed: its taint follows at once.

        It keeps every pod away that does not tolerate it. With the default admission plugins only those of DaemonSets
        do: PodTolerationRestriction, which adds the toleration to pods that are not BestEffort, is not among them.
        """
        node.short_of_memory = on
        if on:
            self.world.log("TaintAdded", node.name, "node.kubernetes.io/memory-pressure:NoSchedule", "", "warning")
        self.world.scheduler.nodes_changed()

    def manifests(self) -> list[Manifest]:
        """The Node objects with today's taints and cordons."""
        return [self._manifest(node) for node in self.by_name.values()]

    def _manifest(self, node: NodeSim) -> Manifest:
        if node.known_ready and not (node.cordoned or node.tainted or node.short_of_memory):
            return node.spec.manifest
        spec = dict(node.spec.manifest.get("spec") or {})
        taints = list(spec.get("taints") or [])
        if node.cordoned:
            spec["unschedulable"] = True
            taints.append(CORDON)
        if not node.known_ready or node.tainted:
            taints.append(UNREACHABLE_NO_SCHEDULE)
        if node.tainted:
            taints.append(UNREACHABLE)
        if node.short_of_memory:
            taints.append(MEMORY_PRESSURE)
        spec["taints"] = taints
        return {**node.spec.manifest, "spec": spec}


def distribution_serialises(distribution: str) -> bool:
    """Whether the kubelet pulls one image at a time (k8s.serialize_image_pulls: upstream yes, k3s no)."""
    return distribution != "k3s"
