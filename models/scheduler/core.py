"""The mutable heart of a snapshot: per-node pods and usage arrays, changed one pod at a time.

Only :mod:`models.scheduler.snapshot` may hold one; everybody else sees the persistent :class:`Snapshot` around it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from models.scheduler.nodeinfo import NodeInfo
from models.scheduler.podinfo import CPU, MEMORY, PODS, HostPort, PodInfo, PodParser

IntArray = NDArray[np.int64]
_NO_PODS = 2**62
_LONGEST_LOG = 1_000_000

NON_ZERO = {CPU: "cpu (non-zero)", MEMORY: "memory (non-zero)"}
"""The names of the rows that count 100m cpu and 200Mi memory for containers without a request."""

_ROW_CAPACITY = {row: name for name, row in NON_ZERO.items()}

Listener = Callable[[PodInfo, int, int], None]
"""Called after a pod was added to (1) or removed from (-1) a node: pod, node position, sign."""


class Core:
    """Nodes in their order with what is used on them.

    ``allocatable`` and ``used`` are resources x nodes (rows by :meth:`row`). Rows 0 and 1 are cpu and memory with the
    non-zero requests that the Fit score counts (:data:`NON_ZERO`), against the same allocatable. ``count`` and
    ``max_pods`` are pods, ``lowest`` is the lowest priority of the pods on each node. ``changes`` counts the changes
    made so far, so that caches can ask what changed since. ``memory`` belongs to the vectorised engine.
    """

    def __init__(self, nodes: Sequence[NodeInfo], parser: PodParser) -> None:
        self.nodes = tuple(nodes)
        self.parser = parser
        self.position = {node.name: number for number, node in enumerate(self.nodes)}
        self.pods: list[list[PodInfo]] = [[] for _ in self.nodes]
        self.where: dict[str, int] = {}
        self.changes = 0
        self._log: list[int] = []
        self.listeners: list[Listener] = []
        self.memory: object | None = None
        size = len(self.nodes)
        self._rows: dict[str, int] = {}
        self.allocatable: IntArray = np.zeros((0, size), np.int64)
        self.used: IntArray = np.zeros((0, size), np.int64)
        self.count: IntArray = np.zeros(size, np.int64)
        self.lowest: IntArray = np.full(size, _NO_PODS, np.int64)
        self._priorities: list[Counter[int]] = [Counter() for _ in self.nodes]
        self.max_pods: IntArray = np.array([node.allocatable.get(PODS, 0) for node in self.nodes], np.int64)
        for name in (*NON_ZERO.values(), CPU, MEMORY):
            self.row(name)

    def row(self, resource: str) -> int:
        """The row of a resource in ``allocatable`` and ``used``; made when it is new."""
        found = self._rows.get(resource)
        if found is None:
            found = self._rows[resource] = len(self._rows)
            listed = _ROW_CAPACITY.get(resource, resource)
            capacity = np.array([node.allocatable.get(listed, 0) for node in self.nodes], np.int64)
            self.allocatable = np.vstack([self.allocatable, capacity])
            self.used = np.vstack([self.used, np.zeros(len(self.nodes), np.int64)])
        return found

    def add(self, pod: PodInfo, node: int) -> None:
        """Put a pod on the node at position ``node``."""
        self.pods[node].append(pod)
        self.where[pod.key] = node
        self._priorities[node][pod.spec.priority] += 1
        if pod.spec.priority < self.lowest[node]:
            self.lowest[node] = pod.spec.priority
        self._account(pod, node, 1)

    def remove(self, pod: PodInfo, node: int) -> None:
        """Take a pod off the node at position ``node``."""
        here = self.pods[node]
        here.remove(pod)
        if self.where.get(pod.key) == node:
            del self.where[pod.key]
        priorities = self._priorities[node]
        priorities[pod.spec.priority] -= 1
        if not priorities[pod.spec.priority]:
            del priorities[pod.spec.priority]
            self.lowest[node] = min(priorities, default=_NO_PODS)
        self._account(pod, node, -1)

    def _account(self, pod: PodInfo, node: int, sign: int) -> None:
        spec = pod.spec
        for name, amount in spec.requests.items():
            row = self.row(name)
            self.used[row, node] += sign * amount
        self.used[0, node] += sign * spec.non_zero[0]
        self.used[1, node] += sign * spec.non_zero[1]
        self.count[node] += sign
        if len(self._log) >= _LONGEST_LOG:
            self._log.clear()
        self._log.append(node)
        self.changes += 1
        for listener in self.listeners:
            listener(pod, node, sign)

    def changed_since(self, position: int) -> list[int] | None:
        """The nodes changed after change number ``position``, oldest first; None when that is too long ago."""
        behind = self.changes - position
        if behind > len(self._log):
            return None
        return self._log[len(self._log) - behind :] if behind else []

    def taken_ports(self, node: int) -> Iterable[HostPort]:
        """The host ports in use on a node."""
        for pod in self.pods[node]:
            yield from pod.spec.host_ports
