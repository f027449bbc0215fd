"""kube-scheduler over time: a queue of pending pods, retried when something changes that may help them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.scheduler import Decision, schedule_pod
from models.scheduler.status import VOLUME_NODE_AFFINITY
from sim.placement import tie_breaker
from sim.platform.log import Story
from sim.platform.state import PodSim
from sim.platform.workloads import replica_set

if TYPE_CHECKING:
    from sim.platform.world import World


class SchedulerLoop:
    """Pending pods by priority, then by age. A pod that fits nowhere waits for an event: a pod that goes, a node that
    changes, a volume."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.snapshot = world.placement.snapshot
        self._waiting: dict[int, PodSim] = {}
        self._active: dict[int, PodSim] = {}
        self._planned = False
        self._terminating: set[int] = set()

    def start(self) -> None:
        """Take a family of snapshots of its own, so that replications do not hold each other's history."""
        self.snapshot = self.snapshot.with_nodes(self.world.nodes.manifests())

    def add(self, pod: PodSim) -> None:
        """A new pending pod."""
        self._active[pod.uid] = pod
        self.kick()

    def restore_pending(self, pod: PodSim, message: str) -> None:
        """A pod that is pending from the start."""
        pod.message = message
        self._waiting[pod.uid] = pod

    def pending(self) -> list[PodSim]:
        """Pods without a node."""
        return [*self._active.values(), *self._waiting.values()]

    def kick(self, *, all_pods: bool = False) -> None:
        """Look at the queue after the scheduler's latency; ``all_pods``: also at those that found no place before."""
        if all_pods:
            self._active.update(self._waiting)
            self._waiting.clear()
        if self._active and not self._planned:
            self._planned = True
            delay = self.world.timings.seconds("k8s.scheduler_latency_per_pod_homelab")
            self.world.clock.after(delay, self._run)

    def removed(self, pod: PodSim) -> None:
        """A pod object is gone."""
        self._active.pop(pod.uid, None)
        self._waiting.pop(pod.uid, None)
        self._terminating.discard(pod.uid)
        if pod.node is not None and self.snapshot.node_of(pod.key) is not None:
            self.snapshot = self.snapshot.without_pod(pod.key)
            self.kick(all_pods=True)

    def pod_terminating(self, pod: PodSim) -> None:
        """A bound pod is being deleted: it keeps its room but no longer counts for spreading."""
        if pod.node is not None and self.snapshot.node_of(pod.key) is not None:
            metadata = {**pod.manifest["metadata"], "deletionTimestamp": "1970-01-01T00:00:00Z"}
            self.snapshot = self.snapshot.without_pod(pod.key).with_pod(
                {**pod.manifest, "metadata": metadata}, pod.node.name
            )

    def nodes_changed(self) -> None:
        """Taints or cordons changed."""
        self.snapshot = self.snapshot.with_nodes(self.world.nodes.manifests())
        self.kick(all_pods=True)

    def volumes_changed(self) -> None:
        """Claims were bound or lost."""
        volumes = self.world.volumes
        self.snapshot = self.snapshot.with_objects(pvcs=volumes.pvcs.values(), pvs=volumes.pvs.values())

    def add_replica_set(self, pod: PodSim) -> None:
        """A Deployment has a new ReplicaSet, whose selector default spreading reads."""
        manifest = replica_set(pod.controller.model.workload, pod.revision)
        known = self.snapshot.objects.replica_sets
        if f"{pod.namespace}/{manifest['metadata']['name']}" not in known:
            self.snapshot = self.snapshot.with_objects(replica_sets=[*known.values(), manifest])

    def _run(self) -> None:
        self._planned = False
        if not self.world.control_plane.active:
            self._waiting.update(self._active)
            self._active.clear()
            return
        queue = sorted(self._active.values(), key=lambda pod: (-pod.priority, pod.uid))
        self._active.clear()
        for pod in queue:
            if not pod.gone and pod.node is None:
                self._schedule(pod)

    def _schedule(self, pod: PodSim) -> None:
        world = self.world
        if pod.controller.kind == "Deployment" and pod.revision > 1:
            self.add_replica_set(pod)
        breaker = tie_breaker(world.seed, world.replication, f"{pod.key}/{pod.uid}")
        decision = schedule_pod(pod.manifest, self.snapshot, tie_breaker=breaker)
        if decision.node is not None:
            self._bind(pod, decision)
            return
        self._waiting[pod.uid] = pod
        if decision.message != pod.message:
            pod.message = decision.message
            pod.waits_for = self._obstacle(pod)
            world.log("FailedScheduling", f"Pod {pod.key}", decision.message, pod.story or "", "warning")
            pod.controller.pod_waits(pod)
        if decision.victims and decision.nominated is not None:
            self._preempt(pod, decision)

    def _bind(self, pod: PodSim, decision: Decision) -> None:
        world = self.world
        assert decision.node is not None
        if decision.volumes:
            world.volumes = world.volumes.bind(decision.volumes)
            self.volumes_changed()
        self.snapshot = self.snapshot.with_pod(pod.manifest, decision.node)
        if pod.story is not None:
            pod.story = pod.story.then("waiting for a node", world.now, pod.waits_for)
        pod.message = pod.waits_for = ""
        pod.node = world.node(decision.node)
        world.log("Scheduled", f"Pod {pod.key}", f"Successfully assigned {pod.key} to {decision.node}", pod.story or "")
        world.show(pod, "pending")
        world.nodes.arm_pod(pod)
        if pod.node.reachable:
            world.kubelet.start(pod)

    def _obstacle(self, pod: PodSim) -> str:
        """Why a pod finds no place: the volume that pins it, else the scheduler's sentence."""
        pins = self.world.volumes.pins_of(pod.manifest)
        if pins and VOLUME_NODE_AFFINITY in pod.message:
            return pins[0].says(pod.controller.model.workload.name)
        return pod.message

    def _preempt(self, pod: PodSim, decision: Decision) -> None:
        assert decision.nominated is not None
        self.snapshot = self.snapshot.with_nominated(pod.manifest, decision.nominated)
        for key in decision.victims:
            victim = self.world.pods.get(key)
            if victim is not None and not victim.deleting:
                message = f"Preempted by {pod.key} on node {decision.nominated}"
                self.world.log("Preempted", f"Pod {key}", message, pod.story or "", "warning")
                self.world.delete_pod(victim, Story(f"{victim.name} preempted by {pod.name}", self.world.now))
