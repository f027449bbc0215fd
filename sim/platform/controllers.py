"""What every workload controller does: keep pods, create them with back-off when refused, and tell why."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from models.rules.daemonset import DaemonNode, daemon_limits, daemon_update_step
from models.rules.statefulset import Replica, statefulset_rule, statefulset_steps
from sim.placement import daemon_nodes
from sim.platform.clock import Timer
from sim.platform.log import Story
from sim.platform.model import WorkloadModel
from sim.platform.state import PodSim

if TYPE_CHECKING:
    from sim.platform.world import World

FIRST_RETRY_S = 0.005
LAST_RETRY_S = 1000.0
"""Back-off of a controller's work queue per item: 5 ms, doubling, at most 1000 s.

Source: client-go util/workqueue/default_rate_limiters.go ``DefaultTypedControllerRateLimiter``."""


class Controller:
    """The controller of one workload. Wakes on events; several wakes at one instant make one pass."""

    runs_to_completion: ClassVar[bool] = False

    def __init__(self, world: World, model: WorkloadModel) -> None:
        self.world = world
        self.model = model
        self.kind = model.workload.controller
        self.pods: dict[int, PodSim] = {}
        self.replicas = model.workload.replicas or 0
        self.revision = 1
        self.broken: set[int] = set()
        self.rollout: Rollout | None = None
        self.refused = ""
        self._planned = False
        self._failures = 0
        self._retry: Timer | None = None
        self._debts: list[tuple[PodSim, Story]] = []

    @property
    def id(self) -> str:
        """The workload's id."""
        return self.model.id

    def wake(self) -> None:
        """Look at the workload again, later at this instant."""
        if not self._planned:
            self._planned = True
            self.world.clock.after(0.0, self._pass)

    def _pass(self) -> None:
        self._planned = False
        if self.world.control_plane.active:
            self.sync()

    def sync(self) -> None:
        """One pass: compare what is wanted with what there is. The base class, of a bare Pod, wants nothing."""

    def lost(self, pod: PodSim, story: Story) -> None:
        """A pod of the workload goes, because of ``story``; called before its replacement is made."""
        self._debts = [item for item in self._debts if item[0] is not pod]
        self._debts.append((pod, story))

    def pod_removed(self, pod: PodSim) -> None:
        """A pod object is gone."""

    def pod_reported(self, pod: PodSim) -> None:
        """A pod's Ready condition changed."""
        self.world.changed()
        for other in self.world.dependents.get(self.id, ()):
            other.wake()

    def pod_waits(self, pod: PodSim) -> None:
        """A pod finds no node."""

    def start_rollout(self, story: Story, *, broken: bool = False, revision: int | None = None) -> None:
        """A new version of the template (or, with ``revision``, an earlier one again)."""
        if self.rollout is not None and not self.rollout.done:
            self.rollout.finish("superseded")
        self.revision = self.latest_revision + 1 if revision is None else revision
        if broken:
            self.broken.add(self.revision)
        self.rollout = Rollout(self, story)
        self.wake()

    @property
    def latest_revision(self) -> int:
        """The highest revision that was ever rolled out."""
        return max([self.revision, *(pod.revision for pod in self.pods.values()), *self.broken])

    # ---- helpers of subclasses

    @property
    def alive(self) -> list[PodSim]:
        """Pods that are not being deleted, oldest first."""
        return [pod for pod in self.pods.values() if not pod.deleting and not pod.finished]

    def available(self, pod: PodSim) -> bool:
        """Ready for minReadySeconds; wakes the controller when that time comes."""
        if not pod.reported:
            return False
        left = pod.reported_since + self.model.min_ready_s - self.world.now
        if left > 1e-9:
            self.world.clock.after(left, self.wake)
            return False
        return True

    def create(self, number: int, revision: int, node: str = "") -> bool:
        """Ask for one pod. Refused: the message is told once, and the controller comes back with growing delay."""
        story = self._reason(number, node, revision)
        message = self.world.create_pod(self, number, revision, story, node=node, broken=revision in self.broken)
        if not message:
            self.refused = ""
            return True
        self.refused = message
        if self.world.recorder.refusal(self.world.now, self.id, message):
            self.world.log("FailedCreate", self.id, f"Error creating: {message}", story, "error")
        self._back_off()
        return False

    def forget_failures(self) -> None:
        """A pass without a refusal: the next one starts with the shortest delay again."""
        self._failures = 0
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _back_off(self) -> None:
        # Far beyond the longest delay the exponent no longer matters, and must not overflow.
        delay = min(FIRST_RETRY_S * 2.0 ** min(self._failures, 60), LAST_RETRY_S)
        self._failures += 1
        if self._retry is not None:
            self._retry.cancel()
        self._retry = self.world.clock.after(delay, self.wake)

    def _reason(self, number: int, node: str, revision: int) -> Story:
        """Why a pod is created: the pod that it replaces, the rollout it belongs to, or a change of scale."""
        identity = self.kind in ("StatefulSet", "Cluster", "DaemonSet")
        for position, (pod, story) in enumerate(self._debts):
            same = pod.number == number if self.kind != "DaemonSet" else pod.node is not None and pod.node.name == node
            if (identity and same) or (not identity and revision == pod.revision):
                del self._debts[position]
                return story.then("until it was gone" if identity else "until it was replaced", self.world.now)
        if self.rollout is not None and not self.rollout.done:
            return Story(self.rollout.story.root, self.world.now)
        return Story(f"{self.id} scaled" if not self.runs_to_completion else f"{self.id} is due", self.world.now)


class Rollout:
    """A rollout that is under way: its deadline and its verdict."""

    def __init__(self, controller: Controller, story: Story) -> None:
        self.controller = controller
        self.story = story
        self.start = controller.world.now
        self.done = False
        self.late = False

    def finish(self, verdict: str) -> None:
        """Write the verdict down: complete or superseded."""
        from sim.platform.log import RolloutLog

        world = self.controller.world
        self.done = True
        duration = world.now - self.start
        world.recorder.rollouts.append(
            RolloutLog(self.controller.id, self.start, verdict, duration if verdict == "complete" else None)  # type: ignore[arg-type]
        )
        for call in list(world.on_rollout):
            call()
        if verdict == "complete":
            world.log("RolloutComplete", self.controller.id, f"complete after {duration:.1f} s", self.story)


class StatefulSetController(Controller):
    """Ordinals in order (or in parallel), rolling update from the top; a name exists at most once."""

    def sync(self) -> None:
        """Source of the decisions: :mod:`models.rules.statefulset`."""
        manifest = dict(self.model.workload.object.manifest)
        manifest["spec"] = {**(manifest.get("spec") or {}), "replicas": self.replicas}
        rule = statefulset_rule(manifest)
        pods = {pod.number: pod for pod in self.pods.values()}
        replicas = [
            Replica(pod.number, pod.revision == self.revision, self.available(pod), pod.deleting)
            for pod in pods.values()
        ]
        refused = False
        for step in statefulset_steps(rule, sorted(replicas, key=lambda item: item.ordinal)):
            if step.verb == "create":
                refused = not self.create(step.ordinal, self.revision if step.updated else 1) or refused
            else:
                reason = self.rollout.story if self.rollout else Story(f"{self.id} scaled down", self.world.now)
                self.world.delete_pod(pods[step.ordinal], Story(reason.root, self.world.now))
        if not refused:
            self.forget_failures()
        if self.rollout is not None and not self.rollout.done:
            wanted = range(rule.start, rule.start + rule.replicas)
            if all(
                (pod := pods.get(n)) is not None
                and (pod.revision == self.revision or n < rule.start + rule.partition)
                and not pod.deleting
                and self.available(pod)
                for n in wanted
            ):
                self.rollout.finish("complete")


class DaemonSetController(Controller):
    """One pod on every node that fits, rolling update within maxUnavailable (or maxSurge)."""

    def __init__(self, world: World, model: WorkloadModel) -> None:
        super().__init__(world, model)
        manifests = [node.spec.manifest for node in world.nodes.by_name.values()]
        self._nodes = daemon_nodes(model.workload, manifests)
        self._serial = dict.fromkeys(self._nodes, 0)
        self._home: dict[int, str] = {}

    def home(self, pod: PodSim, node: str) -> None:
        """Remember which node a pod is for."""
        self._home[pod.uid] = node

    def sync(self) -> None:
        """Source of the update's decisions: :mod:`models.rules.daemonset`."""
        here: dict[str, list[PodSim]] = {name: [] for name in self._nodes}
        for pod in self.pods.values():
            name = self._home.get(pod.uid) or (pod.node.name if pod.node else _wanted_node(pod))
            here.setdefault(name, []).append(pod)
        refused = False
        for name in self._nodes:
            if not here[name]:
                self._serial[name] += 1
                refused = not self.create(self._serial[name], self.revision, name) or refused
        if not refused:
            self.forget_failures()
        if self.rollout is None or self.rollout.done:
            return
        nodes = [self._state(name, here[name]) for name in self._nodes]
        surge, unavailable = daemon_limits(dict(self.model.workload.object.manifest), len(self._nodes))
        step = daemon_update_step(nodes, surge, unavailable)
        for name in step.delete_old:
            for pod in here[name]:
                if pod.revision != self.revision:
                    self.world.delete_pod(pod, Story(self.rollout.story.root, self.world.now))
        for name in step.create_new:
            self._serial[name] += 1
            self.create(self._serial[name], self.revision, name)
        if all(node.new_available and node.old_available is None for node in nodes):
            self.rollout.finish("complete")

    def _state(self, name: str, pods: list[PodSim]) -> DaemonNode:
        old = [pod for pod in pods if pod.revision != self.revision and not pod.deleting]
        new = [pod for pod in pods if pod.revision == self.revision and not pod.deleting]
        return DaemonNode(
            name,
            any(self.available(pod) for pod in old) if old else None,
            any(self.available(pod) for pod in new) if new else None,
        )


def _wanted_node(pod: PodSim) -> str:
    affinity = pod.manifest["spec"].get("affinity", {}).get("nodeAffinity", {})
    terms = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms", [])
    for term in terms:
        for field in term.get("matchFields") or []:
            return str(field["values"][0])
    return ""
