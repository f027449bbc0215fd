"""CloudNativePG clusters over time: instances with their own volumes, failover and switchover of the primary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.platform.clock import Timer
from sim.platform.controllers import Controller
from sim.platform.log import Story
from sim.platform.model import WorkloadModel
from sim.platform.state import PodSim
from sim.platform.timers import part

if TYPE_CHECKING:
    from sim.platform.world import World

OPERATOR_IMAGE = "cloudnative-pg/cloudnative-pg"


class DatabaseController(Controller):
    """One CNPG cluster. The operator acts while one of its pods is ready; a tree without one has it elsewhere."""

    def __init__(self, world: World, model: WorkloadModel) -> None:
        super().__init__(world, model)
        self.primary = 1
        self._failover: Timer | None = None
        self._restarting = False

    def operator_alive(self) -> bool:
        """Whether the operator reconciles."""
        operators = self.world.database_operators
        return not operators or any(pod.reported and pod.serves for item in operators for pod in item.pods.values())

    def sync(self) -> None:
        """Make missing instances, move the primary when it is gone, replace old revisions replica by replica."""
        if not self.operator_alive():
            return
        pods = {pod.number: pod for pod in self.pods.values()}
        refused = False
        for number in range(1, self.replicas + 1):
            if number not in pods:
                refused = not self.create(number, self.revision) or refused
        if not refused:
            self.forget_failures()
        pods = {pod.number: pod for pod in self.pods.values()}
        for pod in pods.values():
            self._set_role(pod, "primary" if pod.number == self.primary else "replica")
        self._check_primary(pods)
        self._update(pods)

    def _set_role(self, pod: PodSim, role: str) -> None:
        if pod.role != role:
            pod.role = role
            self.world.endpoints.attach(pod)
            self.world.endpoints.pod_changed(pod)

    def _check_primary(self, pods: dict[int, PodSim]) -> None:
        primary = pods.get(self.primary)
        fine = primary is not None and primary.reported and not primary.deleting
        moving = fine and primary is not None and primary.node is not None and primary.node.cordoned
        if (fine and not moving) or self._restarting:
            if self._failover is not None:
                self._failover.cancel()
                self._failover = None
            return
        candidate = self._candidate(pods, away_from_cordoned=moving)
        if candidate is None or (self._failover is not None and self._failover.active):
            return
        timings = self.world.timings
        stream = self.world.streams[f"database/{self.id}"]
        retry, released = (part(timings, "cnpg.primary_lease", name) for name in ("retry", "released"))
        if moving:
            delay = stream.uniform(released, timings.seconds("cnpg.e2e.max_switchover"))
            note = "switchover, the node is being drained"
        elif primary is not None and primary.deleting and primary.node is not None and primary.node.reachable:
            delay = stream.uniform(*timings.range_s("cnpg.detect.pod_deleted")) + released
            note = "primary lease released"
        else:
            lease = part(timings, "cnpg.primary_lease", "lease")
            seen = 0.0
            if primary is not None and primary.node is not None and primary.node.reachable:
                seen = stream.uniform(*timings.range_s("cnpg.detect.pod_deleted"))
            delay = seen + timings.seconds("cnpg.failover_delay") + lease + stream.uniform(0.0, retry)
            note = f"primary lease {lease:.0f} s"
        delay += timings.seconds("measured.cnpg_promotion_step")
        trouble = primary.trouble if primary is not None else None
        story = trouble or Story(f"primary of {self.model.workload.name} lost", self.world.now)
        if moving:
            story = Story(f"node {primary.node.name if primary and primary.node else ''} drained", self.world.now)
        self._failover = self.world.clock.after(delay, lambda: self._promote(story, note))

    def _candidate(self, pods: dict[int, PodSim], *, away_from_cordoned: bool) -> PodSim | None:
        """The ready replica that takes over: the lowest number (replication lag is not modelled)."""
        ready = [
            pod
            for pod in pods.values()
            if pod.number != self.primary
            and pod.reported
            and not pod.deleting
            and pod.node is not None
            and not (away_from_cordoned and pod.node.cordoned)
        ]
        return min(ready, key=lambda pod: pod.number, default=None)

    def _promote(self, story: Story, note: str) -> None:
        self._failover = None
        pods = {pod.number: pod for pod in self.pods.values()}
        chosen = self._candidate(pods, away_from_cordoned="switchover" in note)
        if chosen is None or not self.operator_alive() or not self.world.control_plane.active:
            self.wake()
            return
        self.primary = chosen.number
        chosen.story = story.then("failover", self.world.now, note)
        message = f"{chosen.name} is promoted to primary"
        self.world.log("Failover", self.id, message, chosen.story, "warning")
        for pod in pods.values():
            self._set_role(pod, "primary" if pod is chosen else "replica")

    def _update(self, pods: dict[int, PodSim]) -> None:
        """Rolling update: replicas one after the other, the primary last, restarted in place (cnpg.update_default)."""
        if self.rollout is None or self.rollout.done:
            return
        if any(not pod.reported or pod.deleting for pod in pods.values()) or len(pods) < self.replicas:
            return
        stale = sorted((pod for pod in pods.values() if pod.revision != self.revision), key=lambda pod: pod.number)
        if not stale:
            self._restarting = False
            self.rollout.finish("complete")
            return
        replicas = [pod for pod in stale if pod.number != self.primary]
        self._restarting = not replicas
        self.world.delete_pod((replicas or stale)[0], Story(self.rollout.story.root, self.world.now))
