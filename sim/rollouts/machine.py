"""What the controller of one workload may do next while it replaces its pods, reduced to what decides between
finishing and getting stuck: how many pods of each version there are, and where.

A pod that is accepted and bound becomes available in the end, and a deleted one is gone in the end; only what a quota
or a node refuses can stop a rollout. ReplicaSets delete what they are told to before the Deployment's next pass (in
Kubernetes both take milliseconds, and a pass that overtakes a deletion would have to see a new pod ready). Sources: the
rules of :mod:`models.rules.rollout`, ``statefulset`` and ``daemonset``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from models.platform import Workload

Pod = tuple[int, str]
"""(identity, node) of a bound pod. The identity is an ordinal, or :data:`NOBODY` where pods have none."""

NOBODY = -1

Kind = Literal["rolling", "recreate", "ordered", "daemon"]
Verb = Literal["deletes", "gives up", "creates", "creates again", "binds"]


class Standing(NamedTuple):
    """The pods of one workload.

    ``old``/``new``: bound pods of the version before and of the new one, sorted; ``waiting``/``pending``: identities of
    such pods that were accepted but have no node; ``wanted``: replicas of the old ReplicaSet (anonymous pods only).
    """

    old: tuple[Pod, ...]
    waiting: tuple[int, ...]
    wanted: int
    new: tuple[Pod, ...]
    pending: tuple[int, ...]


class Victims(NamedTuple):
    """A node, and the keys of the pods that have to be preempted there first."""

    node: str
    keys: tuple[str, ...]


class Move(NamedTuple):
    """One event: what happens, what the workload's pods are then, and which pods are preempted for it."""

    verb: Verb
    standing: Standing
    victims: tuple[str, ...] = ()


Nodes = Callable[[int, bool], Sequence[Victims]]
"""Where a pod of that identity and version (True: new) may be bound; empty when it stays pending."""


@dataclass(frozen=True, eq=False)
class Machine:
    """The rules of one workload.

    ``rolled``: whether it is rolled out (else it only makes its missing pods); ``wave``: lower ones finish first;
    ``target``: pods of the new version at the end; ``floor``, ``ceiling``: pods available at least and wanted at most
    during the rollout; ``identities``: for pods with an identity, all of them in the order in which they are replaced;
    ``kept``: those that a partition keeps; ``refusal``: why no new pod is ever accepted, "" when it may be.
    """

    workload: Workload
    kind: Kind
    rolled: bool
    wave: int
    replicas: int
    target: int
    floor: int
    ceiling: int
    identities: tuple[int, ...]
    kept: frozenset[int]
    refusal: str
    start: Standing

    def complete(self, at: Standing) -> bool:
        """Whether nothing of the rollout is left to do."""
        if not self.rolled:
            return True
        if self.identities:
            return len(at.new) == self.target and not at.pending and not any(i not in self.kept for i, _ in at.old)
        return not at.old and not at.waiting and not at.wanted and len(at.new) == self.target and not at.pending

    def deletions(self, at: Standing) -> list[Move]:
        """Available old pods that may go now, one event per choice."""
        if not self.rolled:
            return []
        if self.kind == "daemon" and self.ceiling > self.replicas:
            done = {identity for identity, _ in at.new}
            return [_without(at, pod) for pod in at.old if pod[0] in done][:1]
        if self.kind in ("ordered", "daemon"):
            missing = self.replicas - len(at.old) - len(at.new)
            stale = [pod for i in self.identities if i not in self.kept for pod in at.old if pod[0] == i]
            return [_without(at, stale[0])] if stale and missing < self.replicas - self.floor else []
        if self.kind == "recreate":
            gone = at._replace(old=(), waiting=(), wanted=0)
            return [Move("deletes", gone)] if at.wanted or at.old or at.waiting else []
        if at.wanted > len(at.old) or len(at.old) + len(at.new) <= self.floor:
            return []
        return [_without(at, pod)._replace(verb="deletes") for pod in sorted(set(at.old))]

    def moves(self, at: Standing, room: bool, nodes: Nodes) -> Iterator[Move]:
        """Everything else that may happen now. ``room``: whether the quotas have room for one more pod."""
        for identity in sorted(set(at.waiting)):
            yield from _bind(at, identity, nodes, new=False)
        for identity in sorted(set(at.pending)):
            yield from _bind(at, identity, nodes, new=True)
        stale = self.kind == "rolling" and self.rolled and at.wanted > len(at.old)
        if stale and at.wanted + len(at.new) > self.floor:
            # Old pods that are not available are given up first, as far as the others leave room.
            surplus = len(at.old) + len(at.waiting) > at.wanted - 1
            yield Move("gives up", at._replace(wanted=at.wanted - 1, waiting=at.waiting[surplus:]))
        if room and not self.refusal:
            for identity, new in self.missing(at):
                yield from _create(at, identity, nodes, new)

    def missing(self, at: Standing) -> list[tuple[int, bool]]:
        """The pods that the controller asks for now: (identity, of the new version)."""
        if self.identities:
            return self._missing_identities(at)
        asked: list[tuple[int, bool]] = []
        if len(at.old) + len(at.waiting) < at.wanted:
            asked.append((NOBODY, False))
        allowed = self.target if self.kind != "recreate" else self.target * (not at.wanted)
        if self.kind == "rolling":
            allowed = min(self.target, self.ceiling - at.wanted)
        if self.rolled and len(at.new) + len(at.pending) < allowed:
            asked.append((NOBODY, True))
        return asked

    def _missing_identities(self, at: Standing) -> list[tuple[int, bool]]:
        old = {identity for identity, _ in at.old} | set(at.waiting)
        new = {identity for identity, _ in at.new} | set(at.pending)
        asked = [(i, self.rolled and i not in self.kept) for i in sorted(self.identities) if i not in old | new]
        surge = self.ceiling - self.replicas
        if self.rolled and self.kind == "daemon" and len(old & new) < surge:
            asked += [(i, True) for i in self.identities if i in old and i not in new]
        return asked


def without_key(at: Standing, new: bool, pod: Pod) -> Standing:
    """The standing after a bound pod was preempted: its controller misses it."""
    side = at.new if new else at.old
    position = side.index(pod)
    left = side[:position] + side[position + 1 :]
    return at._replace(new=left) if new else at._replace(old=left)


def _without(at: Standing, pod: Pod) -> Move:
    return Move("deletes", without_key(at, False, pod)._replace(wanted=max(0, at.wanted - 1)))


def _create(at: Standing, identity: int, nodes: Nodes, new: bool) -> Iterator[Move]:
    verb: Verb = "creates" if new else "creates again"
    places = nodes(identity, new)
    for place in places:
        yield Move(verb, _bound(at, identity, place.node, new), place.keys)
    if not places:
        queue = tuple(sorted([*(at.pending if new else at.waiting), identity]))
        yield Move(verb, at._replace(pending=queue) if new else at._replace(waiting=queue))


def _bind(at: Standing, identity: int, nodes: Nodes, *, new: bool) -> Iterator[Move]:
    side = list(at.pending if new else at.waiting)
    side.remove(identity)
    left = at._replace(pending=tuple(side)) if new else at._replace(waiting=tuple(side))
    for place in nodes(identity, new):
        yield Move("binds", _bound(left, identity, place.node, new), place.keys)


def _bound(at: Standing, identity: int, node: str, new: bool) -> Standing:
    if new:
        return at._replace(new=tuple(sorted([*at.new, (identity, node)])))
    return at._replace(old=tuple(sorted([*at.old, (identity, node)])))
