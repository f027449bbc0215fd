"""The cluster at one instant, as a value: adding or removing a pod gives a new snapshot in constant time.

The arrays live in one shared :class:`Core` that always has the state of the snapshot used last; older snapshots hold
the way back (the difference to their neighbour). Using an older one walks that way and turns it round. This is Baker's
shallow binding ("Shallow binding in Lisp 1.5", CACM 1978): constant time along the newest line, correct for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.objects import Manifest, dig
from models.scheduler.core import Core
from models.scheduler.nodeinfo import NodeState, parse_node
from models.scheduler.objects import Objects
from models.scheduler.podinfo import PODS, PodInfo, PodParser
from models.scheduler.profile import Profile

_FINISHED = ("Succeeded", "Failed")


@dataclass(frozen=True)
class _Change:
    pod: PodInfo
    node: int
    add: bool

    def apply(self, core: Core) -> None:
        (core.add if self.add else core.remove)(self.pod, self.node)

    def inverse(self) -> _Change:
        return _Change(self.pod, self.node, not self.add)


class Snapshot:
    """Nodes, the pods bound to them, pending pods that were promised a node, and the other objects.

    Build one with :meth:`of`. Not safe to share between threads, because old snapshots are restored in place.
    """

    __slots__ = ("_change", "_core", "_next", "nominated", "objects", "profile")

    def __init__(
        self, core: Core, objects: Objects, profile: Profile, nominated: tuple[tuple[PodInfo, int], ...] = ()
    ) -> None:
        self._core: Core | None = core
        self._next: Snapshot | None = None
        self._change: _Change | None = None
        self.objects = objects
        self.profile = profile
        self.nominated = nominated

    @classmethod
    def of(
        cls,
        nodes: Iterable[Mapping[str, Any]],
        pods: Iterable[Mapping[str, Any]] = (),
        *,
        profile: Profile | None = None,
        **objects: Iterable[Manifest],
    ) -> Snapshot:
        """A snapshot of manifests. ``objects`` are the fields of :class:`Objects`, each as manifests.

        Pods count where ``spec.nodeName`` says; finished pods and pods of unknown nodes do not count. Pending pods
        matter only with ``status.nominatedNodeName``. Raises :class:`models.errors.InputError` for bad quantities.
        """
        parser = PodParser()
        core = Core([parse_node(node) for node in nodes], parser)
        nominated = []
        for pod in pods:
            if is_finished(pod):
                continue
            node = core.position.get(str(dig(dict(pod), "spec", "nodeName", default="")))
            if node is not None:
                core.add(parser.parse(pod), node)
                continue
            promised = core.position.get(str(dig(dict(pod), "status", "nominatedNodeName", default="")))
            if promised is not None and not dig(dict(pod), "spec", "nodeName"):
                nominated.append((parser.parse(pod), promised))
        return cls(core, Objects().replace(**objects), profile or Profile(), tuple(nominated))

    @property
    def core(self) -> Core:
        """The arrays with this snapshot's state; valid until another snapshot of the family is used."""
        if self._core is None:
            self._restore()
        assert self._core is not None
        return self._core

    def _restore(self) -> None:
        path: list[Snapshot] = [self]
        while path[-1]._core is None:
            following = path[-1]._next
            assert following is not None
            path.append(following)
        core = path[-1]._core
        assert core is not None
        for target, holder in zip(reversed(path[:-1]), reversed(path), strict=False):
            change = target._change
            if change is not None:
                change.apply(core)
            holder._core, holder._next = None, target
            holder._change = None if change is None else change.inverse()
            target._core, target._next, target._change = core, None, None

    def _successor(self, change: _Change | None, **fields: Any) -> Snapshot:
        core = self.core
        result = Snapshot(
            core,
            fields.get("objects", self.objects),
            fields.get("profile", self.profile),
            fields.get("nominated", self.nominated),
        )
        if change is not None:
            change.apply(core)
        self._core, self._next = None, result
        self._change = None if change is None else change.inverse()
        return result

    def parse(self, pod: Mapping[str, Any]) -> PodInfo:
        """A pod parsed with this family's memory of specs."""
        return self.core.parser.parse(pod)

    def with_pod(self, pod: Mapping[str, Any] | PodInfo, node: str) -> Snapshot:
        """This snapshot with one more pod on ``node``. Raises KeyError for an unknown node."""
        info = pod if isinstance(pod, PodInfo) else self.parse(pod)
        nominated = self.nominated
        if nominated:
            nominated = tuple(item for item in nominated if item[0].key != info.key)
        return self._successor(_Change(info, self.core.position[node], add=True), nominated=nominated)

    def without_pod(self, pod: Mapping[str, Any] | PodInfo | str) -> Snapshot:
        """This snapshot without a bound pod, given as manifest, parsed, or as ``namespace/name``.

        Raises KeyError when no such pod is bound.
        """
        info = self.parse(pod) if isinstance(pod, Mapping) else pod
        key = info if isinstance(info, str) else info.key
        core = self.core
        node = core.where[key]
        here = core.pods[node]
        if isinstance(info, PodInfo) and info in here:
            found = info
        else:
            found = next(item for item in reversed(here) if item.key == key)
        return self._successor(_Change(found, node, add=False))

    def with_nominated(self, pod: Mapping[str, Any] | PodInfo, node: str | None) -> Snapshot:
        """This snapshot with a pending pod promised to ``node`` (None takes the promise back)."""
        info = pod if isinstance(pod, PodInfo) else self.parse(pod)
        others = tuple(item for item in self.nominated if item[0].key != info.key)
        if node is not None:
            others = (*others, (info, self.core.position[node]))
        return self._successor(None, nominated=others)

    def with_objects(self, **objects: Iterable[Manifest]) -> Snapshot:
        """This snapshot with whole kinds of other objects exchanged (see :class:`Objects`)."""
        return self._successor(None, objects=self.objects.replace(**objects))

    def with_profile(self, profile: Profile) -> Snapshot:
        """This snapshot under another scheduler profile."""
        return self._successor(None, profile=profile)

    def with_nodes(self, nodes: Iterable[Mapping[str, Any]]) -> Snapshot:
        """A new family of snapshots with other nodes; pods of nodes that are gone are dropped. Linear in pods."""
        old = self.core
        core = Core([parse_node(node) for node in nodes], old.parser)
        for number, here in enumerate(old.pods):
            node = core.position.get(old.nodes[number].name)
            if node is not None:
                for pod in here:
                    core.add(pod, node)
        nominated = tuple(
            (pod, core.position[old.nodes[number].name])
            for pod, number in self.nominated
            if old.nodes[number].name in core.position
        )
        return Snapshot(core, self.objects, self.profile, nominated)

    @property
    def node_names(self) -> Sequence[str]:
        """The names of the nodes, in order."""
        return tuple(self.core.position)

    def pods_on(self, node: str) -> tuple[PodInfo, ...]:
        """The pods bound to a node."""
        core = self.core
        return tuple(core.pods[core.position[node]])

    def node_of(self, key: str) -> str | None:
        """The node of the bound pod ``namespace/name``, or None."""
        core = self.core
        node = core.where.get(key)
        return None if node is None else core.nodes[node].name

    def states(self) -> list[NodeState]:
        """Every node with its pods, copied: what the plain functions work on."""
        core = self.core
        return [NodeState(info, tuple(pods)) for info, pods in zip(core.nodes, core.pods, strict=True)]

    def free(self, node: str) -> dict[str, int]:
        """What is left on a node by resource (millicores for cpu), negative when overcommitted."""
        core = self.core
        number = core.position[node]
        here = core.pods[number]
        left = {
            name: amount - sum(pod.spec.requests.get(name, 0) for pod in here)
            for name, amount in core.nodes[number].allocatable.items()
        }
        if PODS in left:
            left[PODS] -= len(here)
        return left


def is_finished(pod: Mapping[str, Any]) -> bool:
    """Whether a pod has ended and so holds nothing on its node."""
    return dig(dict(pod), "status", "phase") in _FINISHED
