"""Can each node be drained? What a budget blocks, what kubectl refuses without a flag, and what stays pending then.

``kubectl drain`` at rest: every placed pod is ready, an evicted pod is replaced at once wherever its claims, its quota
and the scheduler allow, and counts for its budget again as soon as it is placed. A pod that is refused is tried again
as long as anything changes; what is refused then is refused for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from models.objects import Manifest, dig
from models.rules.disruption import BudgetStatus, budget_status, budgets_of, drain_verdict
from models.scheduler import schedule_pod
from sim.placement import PlacedPod, Placement, Unplaced, tie_breaker
from sim.platform.storage import Pin

_FLAGS: Final = ("--delete-emptydir-data", "--force")


@dataclass(frozen=True)
class BlockedPod:
    """A pod that the eviction API never lets go: its budgets, and the API server's message and cause."""

    pod: str
    workload: str
    budgets: tuple[str, ...]
    message: str
    cause: str


@dataclass(frozen=True)
class NeededFlag:
    """A pod for which kubectl does not begin to drain until ``flag`` is given, in kubectl's words."""

    flag: str
    pod: str
    message: str


@dataclass(frozen=True)
class DrainAnswer:
    """What draining a node comes to.

    ``moved``: (pod, new node); ``pending``: evicted pods whose successors find no place, with the pins behind it;
    ``gone``: pods that nothing makes again; ``needs``: flags without which kubectl does not begin (the rest of the
    answer is with them).
    """

    node: str
    moved: tuple[tuple[str, str], ...]
    blocked: tuple[BlockedPod, ...]
    pending: tuple[Unplaced, ...]
    gone: tuple[str, ...]
    needs: tuple[NeededFlag, ...]

    @property
    def ends(self) -> bool:
        """Whether the drain ends, that is, whether no budget blocks it."""
        return not self.blocked

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags that it takes beside ``--ignore-daemonsets``."""
        asked = {item.flag for item in self.needs}
        return tuple(flag for flag in _FLAGS if flag in asked)


def drain_node(placement: Placement, node: str) -> DrainAnswer:
    """Drain ``node`` on paper; raises KeyError for an unknown node.

    A database operator makes an instance on another node the primary before the drain reaches it.
    """
    placement.cluster.node(node)
    return _Drain(placement, node).run()


class _Drain:
    """One drain; used once. ``ready`` holds the pods that count as healthy for their budgets."""

    def __init__(self, placement: Placement, node: str) -> None:
        self.placement, self.node = placement, node
        self.kinds = {item.id: item.controller for item in placement.workloads}
        self.seen = _as_seen(placement, node)
        self.ready = {pod.key for pod in placement.pods if pod.node is not None}
        self.scale = _scale(placement)
        self.ledger = placement.ledger.copy()
        nodes = [_cordoned(item.manifest) if item.name == node else item.manifest for item in placement.cluster.nodes]
        self.snapshot = placement.snapshot.with_nodes(nodes)
        self.moved: list[tuple[str, str]] = []
        self.pending: list[Unplaced] = []
        self.gone: list[str] = []

    def run(self) -> DrainAnswer:
        """Evict until nothing changes any more."""
        here = sorted(self.placement.on_node(self.node), key=lambda pod: pod.key)
        left = [pod for pod in here if self.kinds[pod.workload] != "DaemonSet"]
        needs = [flag for pod in left for flag in self._needs(pod)]
        blocked: list[BlockedPod] = []
        progress = True
        while left and progress:
            blocked = []
            waiting = []
            for pod in left:
                refusal = self._refusal(pod)
                if refusal is None:
                    self._evict(pod)
                else:
                    waiting.append(pod)
                    blocked.append(refusal)
            progress = len(waiting) < len(left)
            left = waiting
        return DrainAnswer(
            self.node,
            tuple(self.moved),
            tuple(blocked),
            tuple(self.pending),
            tuple(self.gone),
            tuple(needs),
        )

    def _needs(self, pod: PlacedPod) -> Iterable[NeededFlag]:
        """What kubectl says to the pod without its two flags."""
        manifest = self.seen[pod.key]
        empty_dir = drain_verdict(manifest, delete_empty_dir=False, force=True)
        if empty_dir.outcome == "refused":
            yield NeededFlag("--delete-emptydir-data", pod.key, empty_dir.message)
        bare = drain_verdict(manifest)
        if bare.outcome == "refused":
            yield NeededFlag("--force", pod.key, bare.message)

    def _refusal(self, pod: PlacedPod) -> BlockedPod | None:
        """Why the eviction API does not let the pod go now."""
        manifest = self.seen[pod.key]
        budgets = budgets_of(manifest, self._budgets(pod.namespace))
        verdict = drain_verdict(manifest, [(item, self._status(item)) for item in budgets], force=True)
        if verdict.outcome != "blocked":
            return None
        names = tuple(str(dig(item, "metadata", "name", default="")) for item in budgets)
        return BlockedPod(pod.key, pod.workload, names, verdict.message, verdict.cause)

    def _budgets(self, namespace: str) -> list[Manifest]:
        return [item.manifest for item in self.placement.platform.pdbs if item.namespace == namespace]

    def _status(self, budget: Manifest) -> BudgetStatus:
        """The budget's status with the pods that are ready now."""
        namespace = str(dig(budget, "metadata", "namespace", default=""))
        selected = [
            pod
            for pod in self.placement.pods
            if pod.namespace == namespace and pod.key not in self.gone and budgets_of(self.seen[pod.key], [budget])
        ]
        scale = sum(self.scale[name] for name in {pod.workload for pod in selected})
        healthy = sum(pod.key in self.ready for pod in selected)
        return budget_status(budget, len(selected), scale, healthy)

    def _evict(self, pod: PlacedPod) -> None:
        """The pod goes, and its controller's next one looks for a place."""
        self.snapshot = self.snapshot.without_pod(pod.key)
        self.ready.discard(pod.key)
        self.ledger.release(pod.key)
        if self.kinds[pod.workload] == "Pod":
            self.gone.append(pod.key)
            return
        message = self.ledger.try_admit(pod.manifest).message
        if not message:
            breaker = tie_breaker(self.placement.seed, 0, f"drain/{self.node}/{pod.key}")
            decision = schedule_pod(pod.manifest, self.snapshot, tie_breaker=breaker)
            if decision.node is not None:
                self.snapshot = self.snapshot.with_pod(pod.manifest, decision.node)
                self.ready.add(pod.key)
                self.moved.append((pod.key, decision.node))
                return
            message = decision.message
        self.pending.append(Unplaced(pod.key, pod.workload, message, _held(pod, self.node)))


def _held(pod: PlacedPod, node: str) -> tuple[Pin, ...]:
    return tuple(pin for pin in pod.pins if pin.node == node)


def _scale(placement: Placement) -> Mapping[str, int]:
    """How many pods each controller wants; a pod of its own and every daemon pod count one each."""
    return {
        name: len(pods) if item.replicas is None else 1 if item.controller == "Pod" else item.replicas
        for item, (name, pods) in zip(placement.workloads, placement.by_workload.items(), strict=True)
    }


def _as_seen(placement: Placement, node: str) -> dict[str, Manifest]:
    """Every pod as the API server shows it at rest: running, ready, and with its role in a database cluster."""
    primaries: dict[str, str] = {}
    for item in placement.workloads:
        if item.controller == "Cluster":
            placed = sorted((pod for pod in placement.by_workload[item.id] if pod.node), key=lambda pod: pod.number)
            elsewhere = [pod for pod in placed if pod.node != node]
            primaries[item.id] = next((pod.key for pod in [*elsewhere, *placed]), "")
    seen = {}
    for pod in placement.pods:
        metadata = dict(pod.manifest["metadata"])
        if pod.workload in primaries:
            role = "primary" if primaries[pod.workload] == pod.key else "replica"
            metadata["labels"] = {**(metadata.get("labels") or {}), "cnpg.io/instanceRole": role, "role": role}
        ready = {"type": "Ready", "status": "True" if pod.node else "False"}
        status = {"phase": "Running" if pod.node else "Pending", "conditions": [ready]}
        seen[pod.key] = {**pod.manifest, "metadata": metadata, "status": status}
    return seen


def _cordoned(node: Manifest) -> Manifest:
    return {**node, "spec": {**(node.get("spec") or {}), "unschedulable": True}}
