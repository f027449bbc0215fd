"""For one pod spec: which nodes take it and how they score, kept up to date node by node.

Covers the plugins that look at one node at a time: unschedulable, name, taints, node affinity, ports, resources and
images. The formulas are those of :mod:`.noderesources` and :mod:`.nodefilters`, on whole arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from models.scheduler import nodefilters
from models.scheduler.core import Core, IntArray
from models.scheduler.index import BoolArray, NodeLabels
from models.scheduler.nodeinfo import NodeInfo
from models.scheduler.noderesources import (
    MAX_SCORE,
    allocation_score,
    is_ignored,
    scalars,
)
from models.scheduler.podinfo import CPU, EPHEMERAL, MEMORY, PODS, PodSpec, is_scalar
from models.scheduler.profile import Profile
from models.scheduler.status import NODE_AFFINITY, NODE_PORTS, TOO_MANY_PODS, Status, insufficient

FloatArray = NDArray[np.float64]
Where = IntArray | slice
EVERYWHERE = slice(None)
PORTS_TAKEN = Status("NodePorts", (NODE_PORTS,))


class SpecIndex:
    """Arrays over all nodes for one spec under one profile.

    ``static`` numbers the refusal in ``statuses`` (0 for none) of the plugins that never change their mind;
    ``fits`` is NodeResourcesFit, ``free_ports`` NodePorts. ``plain`` is the weighted sum of the scores that are not
    normalised, or -1 where the node refuses. ``taints`` and ``preferred`` are raw scores, None when 0 everywhere.
    """

    def __init__(self, spec: PodSpec, core: Core, labels: NodeLabels, profile: Profile) -> None:
        self._spec, self._core, self._profile = spec, core, profile
        size = len(core.nodes)
        self.statuses: list[Status] = [Status("", ())]
        self.static = self._static_refusals(labels)
        self.affinity = labels.affinity(spec)
        self.taints = self._per_taints(lambda node: nodefilters.taint_score(spec, node))
        self.preferred = self._preferred(labels)
        self.images = self._images()
        self._rows = [
            (name, core.row(name), amount)
            for name in (*(key for key in (CPU, MEMORY, EPHEMERAL) if key in spec.requests), *scalars(spec.requests))
            if (amount := spec.requests[name]) > 0 and not is_ignored(name, profile.fit)
        ]
        self._scored = [self._scored_resource(name) for name, _ in profile.fit.resources]
        balanced = [(name, spec.requests.get(name, 0)) for name in profile.balanced_resources]
        self.best_effort = not any(amount for _, amount in balanced)
        self._balanced = [(core.row(name), amount) for name, amount in balanced if amount or not is_scalar(name)]
        self.fits: BoolArray = np.zeros(size, np.bool_)
        self.free_ports: BoolArray = np.ones(size, np.bool_)
        self.fit_score: IntArray = np.zeros(size, np.int64)
        self.balanced_score: IntArray = np.zeros(size, np.int64)
        self.plain: IntArray = np.zeros(size, np.int64)
        self._seen = core.changes
        self._update(EVERYWHERE)

    def refresh(self) -> None:
        """Catch up with the nodes that changed since the last look."""
        changed = self._core.changed_since(self._seen)
        if changed is None or len(changed) * 4 > len(self._core.nodes):
            self._update(EVERYWHERE)
        elif changed:
            self._update(np.array(list(dict.fromkeys(changed)), np.int64))
        self._seen = self._core.changes

    def fit_statuses(self) -> tuple[IntArray, list[Status]]:
        """For nodes short of something, the position of their refusal in the list; -1 for the others."""
        core = self._core
        bits = (core.count >= core.max_pods).astype(np.int64)
        reasons = [TOO_MANY_PODS]
        for number, (name, row, amount) in enumerate(self._rows, 1):
            bits |= (amount > core.allocatable[row] - core.used[row]).astype(np.int64) << number
            reasons.append(insufficient(name))
        kinds, codes = np.unique(bits, return_inverse=True)
        statuses = [
            Status("NodeResourcesFit", tuple(text for number, text in enumerate(reasons) if kind >> number & 1))
            for kind in kinds.tolist()
        ]
        return np.where(bits > 0, codes, -1), statuses

    def _static_refusals(self, labels: NodeLabels) -> IntArray:
        spec = self._spec
        nodes = self._core.nodes
        codes = np.zeros(len(nodes), np.int64)
        names = nodefilters.pinned_nodes(spec)
        if names is not None:
            pinned = np.array([node.name in names for node in nodes], np.bool_)
            self.refuse(codes, ~pinned, nodefilters.NOT_PINNED)
        for check in (nodefilters.unschedulable_filter, nodefilters.name_filter):
            if check is nodefilters.name_filter and not spec.node_name:
                continue
            found = [check(spec, node) for node in nodes]
            refusal = next((item for item in found if item is not None), None)
            if refusal is not None:
                self.refuse(codes, np.array([item is not None for item in found], np.bool_), refusal)
        groups, members = _group(nodes, lambda node: node.taints)
        for number, node in enumerate(groups):
            refusal = nodefilters.taint_filter(spec, node)
            if refusal is not None:
                self.refuse(codes, members == number, refusal)
        refusal = Status("NodeAffinity", (NODE_AFFINITY,), True)
        self.refuse(codes, ~labels.affinity(spec), refusal)
        return codes

    def refuse(self, codes: IntArray, mask: BoolArray, status: Status) -> None:
        """Record a refusal for the nodes of ``mask`` that have none yet."""
        fresh = mask & (codes == 0)
        if fresh.any():
            codes[fresh] = len(self.statuses)
            self.statuses.append(status)

    def _per_taints(self, raw: Callable[[NodeInfo], int]) -> IntArray | None:
        groups, members = _group(self._core.nodes, lambda node: node.taints)
        values = np.array([raw(node) for node in groups], np.int64)
        return values[members] if values.any() else None

    def _preferred(self, labels: NodeLabels) -> IntArray | None:
        if not self._spec.preferred_nodes:
            return None
        raw = np.zeros(len(self._core.nodes), np.int64)
        for weight, term in self._spec.preferred_nodes:
            raw += weight * labels.term(term)
        return raw

    def _images(self) -> IntArray:
        nodes = self._core.nodes
        spread = nodefilters.image_spread(nodes) if any(node.images for node in nodes) else {}
        if not any(image in spread for image in self._spec.images):
            return np.zeros(len(nodes), np.int64)
        size = len(nodes)
        return np.array([nodefilters.image_score(self._spec, node, spread, size) for node in nodes], np.int64)

    def _scored_resource(self, name: str) -> tuple[int | None, int, int]:
        """(row of usage in ``used`` or None for the non-zero ones, row of allocatable, request); -1 to leave out."""
        spec = self._spec
        if name in (CPU, MEMORY):
            return None, self._core.row(name), spec.non_zero[0 if name == CPU else 1]
        amount = spec.requests.get(name, 0)
        if name == PODS or (amount == 0 and is_scalar(name)):
            return None, -1, 0
        row = self._core.row(name)
        return row, row, amount

    def _update(self, where: Where) -> None:
        core, profile = self._core, self._profile
        fits = core.count[where] < core.max_pods[where]
        for _, row, amount in self._rows:
            fits &= core.allocatable[row][where] - core.used[row][where] >= amount
        self.fits[where] = fits
        fit = self._fit(where)
        balanced = self._balance(where)
        self.fit_score[where] = fit
        self.balanced_score[where] = balanced
        weights = profile.weights
        plain = weights.get("NodeResourcesFit", 0) * fit
        plain += weights.get("NodeResourcesBalancedAllocation", 0) * balanced
        plain += weights.get("ImageLocality", 0) * self.images[where]
        good = fits & (self.static[where] == 0)
        if self._spec.host_ports:
            good &= self._update_ports(where)
        plain[~good] = -1
        self.plain[where] = plain

    def _update_ports(self, where: Where) -> BoolArray:
        wanted = self._spec.host_ports
        numbers = range(len(self._core.nodes)) if isinstance(where, slice) else where.tolist()
        for number in numbers:
            self.free_ports[number] = not any(
                nodefilters.ports_conflict(port, used) for used in self._core.taken_ports(number) for port in wanted
            )
        return self.free_ports[where]

    def _fit(self, where: Where) -> IntArray:
        """NodeResourcesFit score; see :func:`models.scheduler.noderesources.fit_score`."""
        core, scoring = self._core, self._profile.fit
        pairs: list[tuple[IntArray, IntArray, int]] = []
        for (name, weight), (usage, row, request) in zip(scoring.resources, self._scored, strict=True):
            if row < 0:
                continue
            source = core.non_zero[0 if name == CPU else 1] if usage is None else core.used[usage]
            pairs.append((source[where] + request, core.allocatable[row][where], weight))
        if scoring.strategy == "RequestedToCapacityRatio":
            return _by_node(pairs, lambda triples: allocation_score(triples, scoring), self.plain[where].size)
        total = np.zeros(self.plain[where].size, np.int64)
        weights = np.zeros_like(total)
        for requested, capacity, weight in pairs:
            if scoring.strategy == "LeastAllocated":
                part = np.maximum(capacity - requested, 0)
            else:
                part = np.minimum(requested, capacity)
            total += weight * (part * MAX_SCORE // np.maximum(capacity, 1))
            weights += weight * (capacity > 0)
        return total // np.maximum(weights, 1)

    def _balance(self, where: Where) -> IntArray:
        """NodeResourcesBalancedAllocation; see :func:`models.scheduler.noderesources.balanced_score`."""
        core = self._core
        size = self.plain[where].size
        if self.best_effort:
            return np.zeros(size, np.int64)
        fractions: list[FloatArray] = []
        valid: list[BoolArray] = []
        for row, amount in self._balanced:
            capacity = core.allocatable[row][where]
            known = capacity > 0
            share = (core.used[row][where] + amount) / np.maximum(capacity, 1)
            fractions.append(np.where(known, np.minimum(share, 1.0), 0.0))
            valid.append(known)
        return ((1 - _deviations(fractions, valid, size)) * MAX_SCORE).astype(np.int64)


def _deviations(fractions: Sequence[FloatArray], valid: Sequence[BoolArray], size: int) -> FloatArray:
    """The spread of each node's valid fractions: half the difference of two, else the standard deviation.

    Sums run from left to right with 0 for what is not valid, so every bit equals the one-node formula.
    """
    known = np.zeros(size, np.int64)
    for mask in valid:
        known += mask
    if len(fractions) == 2:
        return np.where(known == 2, np.abs((fractions[0] - fractions[1]) / 2), 0.0)
    total = np.zeros(size)
    for fraction in fractions:
        total += fraction
    mean = total / np.maximum(known, 1)
    squares = np.zeros(size)
    highest, lowest = np.full(size, -1.0), np.full(size, 2.0)
    for fraction, mask in zip(fractions, valid, strict=True):
        squares += np.where(mask, (fraction - mean) * (fraction - mean), 0.0)
        highest = np.where(mask, np.maximum(highest, fraction), highest)
        lowest = np.where(mask, np.minimum(lowest, fraction), lowest)
    many = np.sqrt(squares / np.maximum(known, 1))
    return np.where(known == 2, (highest - lowest) / 2, np.where(known > 2, many, 0.0))


def _by_node(
    pairs: Sequence[tuple[IntArray, IntArray, int]],
    score: Callable[[Sequence[tuple[int, int, int]]], int],
    size: int,
) -> IntArray:
    """Scores computed one node at a time: for the strategy whose shape is any piecewise linear function."""
    rows = [(requested.tolist(), capacity.tolist(), weight) for requested, capacity, weight in pairs]
    return np.array(
        [
            score([(used[i], capacity[i], weight) for used, capacity, weight in rows if capacity[i]])
            for i in range(size)
        ],
        np.int64,
    )


def _group(nodes: Sequence[NodeInfo], key: Callable[[NodeInfo], Hashable]) -> tuple[list[NodeInfo], IntArray]:
    """One node of each group of equal keys, and the number of every node's group."""
    numbers: dict[Hashable, int] = {}
    first: list[NodeInfo] = []
    members = np.zeros(len(nodes), np.int64)
    for position, node in enumerate(nodes):
        value = key(node)
        number = numbers.get(value)
        if number is None:
            number = numbers[value] = len(first)
            first.append(node)
        members[position] = number
    return first, members
