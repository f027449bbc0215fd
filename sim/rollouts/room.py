"""Where the pods of rollouts may be bound: nowhere in particular, by arithmetic, or by the whole scheduler.

Three levels of the same answer. Mostly some node has room for everything that may come, and nodes need not be told
apart; else room alone decides, and nodes that are alike may be exchanged for one another; pods that look at other pods
(affinity, spreading, ports, preemption) are scheduled one state at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from models.objects import dig
from models.scheduler import Decision, Snapshot, schedule_pod
from models.scheduler.podinfo import PODS, PodInfo
from sim.placement import Placement
from sim.rollouts.machine import NOBODY, Pod, Standing, Victims
from sim.rollouts.start import Member

ANYWHERE = (Victims("", ()),)
"""The one place there is when nodes cannot refuse anything."""

_CANDIDATE = 1_000_000
"""Serial number of a pod that is not there yet."""


@dataclass(frozen=True)
class State:
    """Where everything stands; ``evicted``: pods of others that were preempted."""

    standings: tuple[Standing, ...]
    evicted: frozenset[str] = frozenset()


class Room:
    """The nodes of a placement as the members' pods find them."""

    def __init__(self, placement: Placement, members: Sequence[Member]) -> None:
        self.members = tuple(members)
        # A family of snapshots of its own: walking about in the placement's own would cost its other readers.
        self._bare = placement.snapshot.with_nodes([node.manifest for node in placement.cluster.nodes])
        mine = [pod for item in members for pod in placement.by_workload.get(item.machine.workload.id, ())]
        for pod in mine:
            if pod.node is not None:
                self._bare = self._bare.without_pod(pod.key)
        self._infos: dict[tuple[int, int, int, bool], PodInfo] = {}
        self._decisions: dict[tuple[State, int, int, bool], Decision] = {}
        self._static: dict[tuple[int, int], frozenset[str]] = {}
        self._needs: dict[int, Mapping[str, int]] = {}
        self.monotone = not any(_wants_company(pod.manifest) for pod in placement.pods)
        self.by_scheduler = any(_relates(pod.manifest, placement) for pod in placement.pods) or self._may_preempt()
        if not self.by_scheduler:
            self._prepare_arithmetic()
        self.anywhere = not self.by_scheduler and self._room_for_all()

    # ---- answers

    def places(self, state: State, index: int, identity: int, new: bool) -> Sequence[Victims]:
        """Where a pod may be bound, each with the pods that are preempted for it."""
        if self.anywhere:
            return ANYWHERE
        if not self.by_scheduler:
            free = self._free_in(state)
            needs = self._needs[index].items()
            return [
                Victims(node, ())
                for node in sorted(self._static[(index, identity)])
                if all(free[node].get(name, 0) >= amount for name, amount in needs)
            ]
        decision = self.decide(state, index, identity, new)
        if decision.node is not None:
            return [Victims(node, ()) for node in sorted(decision.total)]
        return [Victims(decision.nominated, decision.victims)] if decision.nominated and decision.victims else ()

    def decide(self, state: State, index: int, identity: int, new: bool) -> Decision:
        """The scheduler's answer for one more pod."""
        bound = State(tuple(Standing(at.old, (), 0, at.new, ()) for at in state.standings), state.evicted)
        key = (bound, index, identity, new)
        if key not in self._decisions:
            pod = self._info(index, identity, _CANDIDATE, new)
            self._decisions[key] = schedule_pod(pod, self._snapshot(state), explain=True)
        return self._decisions[key]

    def owner(self, state: State, key: str) -> tuple[int, bool, Pod] | None:
        """Which member's bound pod has that key, None for a pod of somebody else."""
        return next(((index, new, pod) for index, new, pod, info in self._bound(state) if info.key == key), None)

    def canonical(self, standings: Sequence[Standing]) -> tuple[Standing, ...]:
        """The same state with nodes that are alike put in order, so that it is looked at once."""
        if self.anywhere:
            return tuple(
                at._replace(old=tuple((i, "") for i, _ in at.old), new=tuple((i, "") for i, _ in at.new))
                for at in standings
            )
        if self.by_scheduler:
            return tuple(standings)
        loads: dict[str, list[tuple[int, bool, int]]] = {}
        for index, at in enumerate(standings):
            for new, side in ((False, at.old), (True, at.new)):
                for identity, node in side:
                    loads.setdefault(node, []).append((index, new, identity))
        renamed: dict[str, str] = {}
        for alike in self._alike:
            order = sorted(alike, key=lambda node: (sorted(loads.get(node, ())), node))
            renamed.update(zip(order, alike, strict=True))
        return tuple(
            at._replace(
                old=tuple(sorted((i, renamed[node]) for i, node in at.old)),
                new=tuple(sorted((i, renamed[node]) for i, node in at.new)),
            )
            for at in standings
        )

    # ---- the scheduler

    def _info(self, index: int, identity: int, serial: int, new: bool) -> PodInfo:
        key = (index, identity, serial, new)
        if key not in self._infos:
            self._infos[key] = self._bare.parse(self.members[index].pod(identity, serial, new))
        return self._infos[key]

    def _bound(self, state: State) -> Iterator[tuple[int, bool, Pod, PodInfo]]:
        for index, at in enumerate(state.standings):
            for new, side in ((False, at.old), (True, at.new)):
                for serial, pod in enumerate(side):
                    yield index, new, pod, self._info(index, pod[0], serial, new)

    def _snapshot(self, state: State) -> Snapshot:
        snapshot = self._bare
        for key in sorted(state.evicted):
            snapshot = snapshot.without_pod(key)
        for _, _, (_, node), info in self._bound(state):
            snapshot = snapshot.with_pod(info, node)
        return snapshot

    def _may_preempt(self) -> bool:
        """Whether some pod that comes has a higher priority than some pod that is there."""
        here = [pod.spec.priority for node in self._bare.node_names for pod in self._bare.pods_on(node)]
        ours = [self._info(index, item.identity, _CANDIDATE, True).spec for index, item in enumerate(self.members)]
        lowest = min([*here, *(spec.priority for spec in ours)], default=0)
        return any(spec.priority > lowest for spec in ours)

    # ---- arithmetic

    def _prepare_arithmetic(self) -> None:
        names = self._bare.node_names
        self._free = {node: self._bare.free(node) for node in names}
        for index, item in enumerate(self.members):
            requests = self._info(index, item.identity, _CANDIDATE, True).spec.requests
            self._needs[index] = {**{name: amount for name, amount in requests.items() if amount > 0}, PODS: 1}
            for identity in item.machine.identities or (NOBODY,):
                pod = self._info(index, identity, _CANDIDATE, True)
                decision = schedule_pod(pod, self._bare, explain=True)
                self._static[(index, identity)] = frozenset(decision.total)
        groups: dict[object, list[str]] = {}
        for node in names:
            allowed = tuple(sorted(key for key, nodes in self._static.items() if node in nodes))
            groups.setdefault((tuple(sorted(self._free[node].items())), allowed, *self._old_homes(node)), []).append(
                node
            )
        self._alike = [tuple(nodes) for nodes in groups.values()]

    def _old_homes(self, node: str) -> Iterator[int]:
        """Members whose pods stand on a node that would not take them any more: such nodes are told apart."""
        for index, item in enumerate(self.members):
            if any(
                home == node and node not in self._static[(index, identity)]
                for identity, home in item.machine.start.old
            ):
                yield index

    def _free_in(self, state: State) -> dict[str, dict[str, int]]:
        free = {node: dict(amounts) for node, amounts in self._free.items()}
        for index, at in enumerate(state.standings):
            for _, node in (*at.old, *at.new):
                for name, amount in self._needs[index].items():
                    free[node][name] = free[node].get(name, 0) - amount
        return free

    def _room_for_all(self) -> bool:
        """Whether no choice of nodes can leave a pod without one.

        All pods that may still come, put where they do most harm beside what is there now, can fill so many of the
        nodes that a pod may use, resource by resource; one more node than that, and there is always one left.
        """
        start = State(tuple(item.machine.start for item in self.members))
        if any(at.waiting for at in start.standings):
            return False
        coming: dict[str, int] = {}
        for index, item in enumerate(self.members):
            machine = item.machine
            pods = machine.target * machine.rolled + machine.replicas - len(machine.start.old)
            for name, amount in self._needs[index].items():
                coming[name] = coming.get(name, 0) + amount * pods
        free = self._free_in(start)
        return all(
            sum(
                _filled([free[node].get(name, 0) - amount for node in nodes], coming[name])
                for name, amount in self._needs[index].items()
            )
            < len(nodes)
            for (index, _), nodes in self._static.items()
        )


def _filled(spare: Sequence[int], amount: int) -> int:
    """How many nodes ``amount`` can fill so far that a pod does not fit any more; ``spare``: left of each beside it."""
    count = 0
    for left in sorted(spare):
        amount -= max(0, left + 1)
        if amount < 0:
            break
        count += 1
    return count


def _relates(pod: Mapping[str, object], placement: Placement) -> bool:
    """Whether more than room decides about where a pod may go: other pods, ports, volumes of one pod only."""
    manifest = dict(pod)
    if dig(manifest, "spec", "topologySpreadConstraints"):
        return True
    if any(dig(manifest, "spec", "affinity", side) for side in ("podAffinity", "podAntiAffinity")):
        return True
    containers = [
        *dig(manifest, "spec", "containers", default=[]),
        *dig(manifest, "spec", "initContainers", default=[]),
    ]
    if any(port.get("hostPort") for item in containers for port in item.get("ports") or []):
        return True
    space = dig(manifest, "metadata", "namespace")
    claims = [dig(item, "persistentVolumeClaim", "claimName") for item in dig(manifest, "spec", "volumes", default=[])]
    found = [placement.volumes.pvcs.get(f"{space}/{name}", {}) for name in claims if name]
    return any("ReadWriteOncePod" in dig(claim, "spec", "accessModes", default=[]) for claim in found)


def _wants_company(pod: Mapping[str, object]) -> bool:
    """Whether taking another pod away may forbid this one a node."""
    manifest = dict(pod)
    constraints = dig(manifest, "spec", "topologySpreadConstraints", default=[])
    hard = any(item.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule" for item in constraints)
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    return hard or bool(dig(manifest, "spec", "affinity", "podAffinity", required))
