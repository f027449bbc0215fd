"""What the owner does on purpose: rollouts, rollbacks, drains, quota changes, scaling, backups, restores, syncs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from models import scenario as schema
from models.errors import InputError, Problem, Where
from models.objects import Manifest, dig
from models.rules.disruption import BudgetStatus, budget_status, budgets_of, eviction_refusal
from models.rules.quantity import bytes_of
from sim.platform.controllers import Controller
from sim.platform.deployments import DeploymentController
from sim.platform.external import GIT, OBJECTS, STORAGE
from sim.platform.log import Story
from sim.platform.selection import workload_matches
from sim.platform.state import NodeSim, PodSim
from sim.platform.storage import claims_of

if TYPE_CHECKING:
    from sim.platform.world import World

EVICTION_RETRY_S = 5.0
"""kubectl drain tries an eviction that a budget refuses again after this (kubectl pkg/drain/drain.go)."""

WAVE = "argocd.argoproj.io/sync-wave"


def schedule_operations(world: World) -> None:
    """Plan every operation of the scenario. Raises InputError naming each target that does not exist."""
    problems = []
    for number, item in enumerate(world.scenario.spec.operations):
        if not _target_exists(world, item):
            problems.append(
                Problem(
                    Where(field=f"spec.operations[{number}].target"),
                    f"operation {item.name!r}: there is no {item.target!r}",
                    "write Kind/namespace/name of a workload, namespace/name of a quota or database, or a node's name",
                )
            )
    if problems:
        raise InputError(problems)
    for item in world.scenario.spec.operations:
        _plan(world, item)


def _plan(world: World, item: schema.PlannedOperation) -> None:
    world.clock.at(item.at, lambda: _perform(world, item))


def _target_exists(world: World, item: schema.PlannedOperation) -> bool:
    if item.type in ("drain", "uncordon"):
        return item.target in world.nodes.by_name
    if item.type == "quota":
        namespace, _, name = item.target.rpartition("/")
        return world.ledger.has(namespace, name)
    return bool(_controllers(world, item.target))


def _controllers(world: World, target: str) -> list[Controller]:
    return [item for item in world.controllers.values() if workload_matches(item.model.workload, target)]


def _perform(world: World, item: schema.PlannedOperation) -> None:
    story = Story(f"{item.name} ({item.type} {item.target})", world.now)
    world.log("Operation", item.name, f"{item.type} {item.target}", "")
    if item.type == "drain":
        Drain(world, world.node(item.target), story).start()
    elif item.type == "uncordon":
        world.nodes.cordon(world.node(item.target), False)
    elif item.type == "quota":
        _change_quota(world, item)
    elif item.type == "sync":
        _sync(world, item, story)
    else:
        for controller in _controllers(world, item.target):
            _on_workload(world, item, controller, story)


def _on_workload(world: World, item: schema.PlannedOperation, controller: Controller, story: Story) -> None:
    if item.type == "rollout":
        controller.start_rollout(story, broken=item.broken)
    elif item.type == "rollback":
        previous = controller.previous_revision if isinstance(controller, DeploymentController) else 1
        controller.start_rollout(story, revision=previous)
    elif item.type == "scale":
        controller.replicas = item.replicas or 0
        controller.wake()
    elif item.type == "backup":
        _backup(world, item, controller, story)
    else:
        _restore(world, item, controller, story)


def _change_quota(world: World, item: schema.PlannedOperation) -> None:
    namespace, _, name = item.target.rpartition("/")
    objects = [entry.manifest for entry in world.placement.platform.objects if entry.kind != "Pod"]
    objects += [pod.manifest for pod in world.pods.values()]
    world.ledger.set_hard(namespace, name, item.hard, objects)
    world.note_quota(namespace)


def _sync(world: World, item: schema.PlannedOperation, story: Story) -> None:
    """A change was pushed: Argo CD notices at its next look and applies it wave by wave, each healthy first."""
    stream = world.streams[f"operation/{item.name}"]
    timings = world.timings
    jitter = stream.uniform(0.0, timings.seconds("argocd.reconciliation_jitter"))
    wait = stream.uniform(0.0, timings.seconds("argocd.reconciliation_timeout") + jitter)
    waves: dict[int, list[Controller]] = {}
    for controller in _controllers(world, item.target):
        annotations = controller.model.workload.object.annotations
        waves.setdefault(int(annotations.get(WAVE, "0") or 0), []).append(controller)

    def apply(order: list[int]) -> None:
        if not order:
            return
        if world.externals.why_down(GIT) is not None:
            world.log(
                "SyncFailed", item.name, "the Git host does not answer", world.externals.why_down(GIT) or "", "error"
            )
            return
        told = story.then("Argo CD poll", world.now, "argocd.reconciliation_timeout")
        members = waves[order[0]]
        world.log("Sync", item.name, f"wave {order[0]}: {', '.join(entry.id for entry in members)}", told)
        for controller in members:
            controller.start_rollout(told, broken=item.broken)
        _when_complete(world, members, lambda: apply(order[1:]))

    world.clock.after(wait, lambda: apply(sorted(waves)))


def _when_complete(world: World, members: list[Controller], call: Callable[[], None]) -> None:
    """Call when the current rollouts of all members are done; a stuck one holds the next wave back for ever."""
    rollouts = [item.rollout for item in members if item.rollout is not None]

    def check() -> None:
        if all(item.done for item in rollouts):
            world.on_rollout.remove(check)
            world.clock.after(0.0, call)

    world.on_rollout.append(check)
    check()


def _size_b(world: World, controller: Controller) -> int:
    """What its claims ask for: an upper bound of the data."""
    total = 0
    claims = {claim for pod in controller.pods.values() for claim in claims_of(pod.manifest)}
    for claim in sorted(claims):
        asked = dig(world.volumes.pvcs.get(claim, {}), "spec", "resources", "requests", "storage", default="0")
        total += bytes_of(asked)
    return total


def _copy_time(world: World, size: int) -> float:
    """Seconds to copy so many bytes with the measured throughput of a file backup on one core."""
    rate = float(world.timings.value("velero.kopia_throughput")["files_1GB_900GB"]) * 1e6
    return size / rate


def _backup(world: World, item: schema.PlannedOperation, controller: Controller, story: Story) -> None:
    size = _size_b(world, controller)

    def finish() -> None:
        why = world.externals.why_down(OBJECTS) or world.externals.why_down(STORAGE)
        alive = any(pod.serves for pod in controller.pods.values())
        if why is not None or not alive:
            world.log("BackupFailed", controller.id, "no copy was made", why or "the workload does not run", "error")
        else:
            world.log("BackupCompleted", controller.id, f"a copy of at most {size} bytes was made", story)

    world.log("BackupStarted", controller.id, f"at most {size} bytes", story)
    world.clock.after(_copy_time(world, size), finish)


def _restore(world: World, item: schema.PlannedOperation, controller: Controller, story: Story) -> None:
    """The workload is down while its data is copied back; then it starts."""
    size = _size_b(world, controller)
    pods = [pod for pod in controller.pods.values() if not pod.deleting]
    for pod in pods:
        world.kubelet.set_failing(pod, True, story)
    world.log("RestoreStarted", controller.id, f"at most {size} bytes", story)

    def finish() -> None:
        for pod in pods:
            world.kubelet.set_failing(pod, False, story)
        world.log("RestoreCompleted", controller.id, "the data is back", story)

    world.clock.after(_copy_time(world, size), finish)


class Drain:
    """``kubectl drain --ignore-daemonsets --delete-emptydir-data --force``: cordon, then evict within the budgets."""

    def __init__(self, world: World, node: NodeSim, story: Story) -> None:
        self.world = world
        self.node = node
        self.story = Story(f"node {node.name} drained", world.now)
        self.started = world.now
        self._told: dict[int, str] = {}
        self._planned = False
        self._over = False

    def start(self) -> None:
        """Cordon the node and evict what its budgets allow; the rest is tried again every 5 s in which something
        changed."""
        self.world.nodes.cordon(self.node, True)
        for controller in self.world.controllers.values():
            if controller.kind == "Cluster":
                controller.wake()
        self.world.on_change.append(self._changed)
        self._evict()

    def _changed(self) -> None:
        if not self._left():
            self._finish()
        if self._planned or self._over:
            return
        self._planned = True
        turns = math.floor((self.world.now - self.started) / EVICTION_RETRY_S) + 1
        self.world.clock.at(self.started + turns * EVICTION_RETRY_S, self._evict)

    def _evict(self) -> None:
        self._planned = False
        if self._over or not self.world.control_plane.active:
            return
        if not self.node.cordoned or not self._left():
            self._finish()
            return
        for pod in self._left():
            if pod.deleting:
                continue
            budget = blocking_budget(self.world, pod)
            if budget:
                self._tell(pod, budget)
            else:
                self.world.log("Evicted", f"Pod {pod.key}", f"evicted from {self.node.name}", self.story)
                self.world.delete_pod(pod, Story(self.story.root, self.world.now))

    def _left(self) -> list[PodSim]:
        return [pod for pod in self.world.nodes.pods_on(self.node) if pod.controller.kind not in ("DaemonSet", "Job")]

    def _finish(self) -> None:
        if self._over:
            return
        self._over = True
        self.world.on_change.remove(self._changed)
        if not self._left():
            took = f"drained after {self.world.now - self.started:.0f} s"
            self.world.log("Drained", self.node.name, took, self.story)

    def _tell(self, pod: PodSim, budget: str) -> None:
        if self._told.get(pod.uid) != budget:
            self._told[pod.uid] = budget
            self.world.log("DrainBlocked", f"Pod {pod.key}", budget, self.story, "warning")


def blocking_budget(world: World, pod: PodSim) -> str:
    """Why the API server does not let the pod be evicted now, in its words; "" when it may go."""
    listed = [item.manifest for item in world.placement.platform.pdbs if item.namespace == pod.namespace]
    if not listed:
        return ""
    members = {other.uid: _as_seen(other) for other in world.pods.values() if other.namespace == pod.namespace}
    budgets = budgets_of(members[pod.uid], listed)
    refusal = eviction_refusal(members[pod.uid], [(item, _status(world, item, members)) for item in budgets])
    return " ".join(part for part in refusal if part) if refusal is not None else ""


def _status(world: World, budget: Manifest, members: dict[int, Manifest]) -> BudgetStatus:
    selected = [pod for pod in world.pods.values() if pod.uid in members and budgets_of(members[pod.uid], [budget])]
    controllers = {pod.controller.id: pod.controller for pod in selected}
    scale = sum(item.replicas if item.kind != "Pod" else 1 for item in controllers.values())
    healthy = sum(pod.reported and not pod.deleting for pod in selected)
    return budget_status(budget, len(selected), scale, healthy)


def _as_seen(pod: PodSim) -> Manifest:
    """The pod with today's role label, phase and Ready condition."""
    metadata = pod.manifest["metadata"]
    if pod.role:
        labels = {**(metadata.get("labels") or {}), "cnpg.io/instanceRole": pod.role, "role": pod.role}
        metadata = {**metadata, "labels": labels}
    ready = {"type": "Ready", "status": str(pod.reported)}
    return {"metadata": metadata, "status": {"phase": "Running" if pod.pulled else "Pending", "conditions": [ready]}}
