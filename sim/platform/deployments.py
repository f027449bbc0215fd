"""Deployments and ReplicaSets: rolling updates, progress deadline, and the back-off of refused pods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.objects import dig
from models.rules.rollout import (
    DEFAULT_PROGRESS_DEADLINE_S,
    Progress,
    ReplicaSetState,
    RolloutState,
    deployment_complete,
    deployment_progressing,
    max_surge,
    plan_rollout_step,
    strategy_of,
)
from sim.platform.clock import Timer
from sim.platform.controllers import Controller
from sim.platform.log import Story
from sim.platform.model import WorkloadModel
from sim.platform.state import PodSim

if TYPE_CHECKING:
    from sim.platform.world import World

_MAX_PASSES = 1000
"""Passes at one instant before something must be wrong: each creates or shrinks a ReplicaSet."""


@dataclass(eq=False)
class ReplicaSet:
    """The pods of one revision. ``serial`` numbers the next pod."""

    revision: int
    replicas: int
    created: int
    serial: int = 0
    desired: int | None = None
    max_replicas: int | None = None


class DeploymentController(Controller):
    """A Deployment with its ReplicaSets (or a ReplicaSet alone, which never changes its template)."""

    def __init__(self, world: World, model: WorkloadModel) -> None:
        super().__init__(world, model)
        manifest = dict(model.workload.object.manifest)
        self.strategy = strategy_of(manifest)
        default = world.timings.seconds("k8s.progress_deadline")
        stated = dig(manifest, "spec", "progressDeadlineSeconds", default=None)
        self.deadline_s = float(default if stated is None or stated == DEFAULT_PROGRESS_DEADLINE_S else stated)
        self.sets = {1: ReplicaSet(1, self.replicas, 0, desired=self.replicas)}
        self._progress = Progress()
        self._deadline: Timer | None = None

    def adopt(self, pods: int) -> None:
        """The first ReplicaSet has made so many pods already."""
        self.sets[1].serial = pods

    def scale(self, replicas: int) -> None:
        """Another number of replicas."""
        self.replicas = replicas
        self.wake()

    @property
    def latest_revision(self) -> int:
        """The highest revision that was ever rolled out."""
        return max(self.sets)

    @property
    def previous_revision(self) -> int:
        """The revision before the current one: what a rollback goes to."""
        return max((item for item in self.sets if item != self.revision), default=self.revision)

    def start_rollout(self, story: Story, *, broken: bool = False, revision: int | None = None) -> None:
        """See the base class; the progress deadline starts now."""
        super().start_rollout(story, broken=broken, revision=revision)
        self._progress = self._status()
        self._watch_progress()

    def sync(self) -> None:
        """Passes of the Deployment controller and its ReplicaSets until there is nothing more to do now."""
        for _ in range(_MAX_PASSES):
            steps = plan_rollout_step(self._state())
            for step in steps:
                revision = self.revision if step.create else int(step.name)
                chosen = self.sets.setdefault(revision, ReplicaSet(revision, 0, len(self.sets)))
                chosen.replicas = step.replicas
            for item in self.sets.values():
                item.desired = self.replicas
                item.max_replicas = self.replicas + max_surge(self.strategy, self.replicas)
            refused = [item for item in self.sets.values() if not self._sync_set(item)]
            if not steps:
                break
        if not refused:
            self.forget_failures()
        self._judge()

    def _sync_set(self, item: ReplicaSet) -> bool:
        """Create or delete pods of one ReplicaSet; False when the API server refused one."""
        pods = [pod for pod in self.alive if pod.revision == item.revision]
        missing = item.replicas - len(pods)
        for _ in range(missing):
            if not self.create(item.serial, item.revision):
                return False
            item.serial += 1
        if missing < 0:
            reason = self.rollout.story.root if self.rollout and not self.rollout.done else f"{self.id} scaled down"
            for pod in sorted(pods, key=_deletion_rank)[:-missing]:
                self.world.delete_pod(pod, Story(reason, self.world.now))
        if missing <= 0:
            self._debts = [entry for entry in self._debts if entry[0].revision != item.revision]
        return True

    def _state(self) -> RolloutState:
        alive = self.alive
        states = {
            item.revision: ReplicaSetState(
                str(item.revision),
                item.replicas,
                sum(self.available(pod) for pod in alive if pod.revision == item.revision),
                item.created,
                item.desired,
                item.max_replicas,
            )
            for item in self.sets.values()
        }
        return RolloutState(
            replicas=self.replicas,
            strategy=self.strategy,
            new=states.get(self.revision),
            old=tuple(state for revision, state in states.items() if revision != self.revision),
            old_pods=sum(pod.revision != self.revision for pod in self.pods.values()),
            status_replicas=len(alive),
        )

    def _status(self) -> Progress:
        alive = self.alive
        return Progress(
            replicas=len(alive),
            updated=sum(pod.revision == self.revision for pod in alive),
            ready=sum(pod.reported for pod in alive),
            available=sum(self.available(pod) for pod in alive),
        )

    def _judge(self) -> None:
        rollout = self.rollout
        if rollout is None or rollout.done:
            return
        status = self._status()
        if deployment_complete(self.replicas, status):
            if self._deadline is not None:
                self._deadline.cancel()
            rollout.finish("complete")
        elif deployment_progressing(self._progress, status):
            self._watch_progress()
        self._progress = status

    def _watch_progress(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.world.clock.after(self.deadline_s, self._too_late)

    def _too_late(self) -> None:
        rollout = self.rollout
        if rollout is None or rollout.done:
            return
        rollout.late = True
        message = f'ReplicaSet "{self.model.workload.name}" has timed out progressing.'
        self.world.log("ProgressDeadlineExceeded", self.id, message, self.refused or rollout.story, "error")


def _deletion_rank(pod: PodSim) -> tuple[bool, bool, bool, int, float, int]:
    """Who goes first: without a node, not started, not ready, more restarts, ready for a shorter time, younger.

    Source: pkg/controller/controller_utils.go ``ActivePodsWithRanks`` (without the rank by neighbours).
    """
    return (
        pod.node is not None,
        pod.state not in ("pending", "starting"),
        pod.reported,
        -pod.restarts,
        -pod.reported_since,
        -pod.uid,
    )
