"""For one pod spec: which nodes take it and how they score, kept up to date node by node.

Covers the plugins that look at one node at a time: unschedulable, name, taints, node affinity, ports, resources and
images. The formulas are those of :mod:`.noderesources` and :mod:`.nodefilters`, on whole arrays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.scheduler import nodefilters
from models.scheduler.core import NON_ZERO, Core, IntArray
from models.scheduler.index import BoolArray, NodeLabels
from models.scheduler.noderesources import (
    MAX_SCORE,
    FitScoring,
    allocation_score,
    is_ignored,
    scalars,
)
from models.scheduler.podinfo import CPU, EPHEMERAL, MEMORY, PODS, PodSpec, is_scalar
from models.scheduler.profile import Profile
from models.scheduler.status import NODE_AFFINITY, NODE_ENFORCED, NODE_PORTS, TOO_MANY_PODS, Status, insufficient

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
        self.taints = self._taint_scores(labels)
        self.preferred = self._preferred(labels)
        self.images = self._images()
        self._image_part = profile.weights.get("ImageLocality", 0) * self.images
        self._willing: BoolArray = self.static == 0
        checked = [
            (name, core.row(name), amount)
            for name in (*(key for key in (CPU, MEMORY, EPHEMERAL) if key in spec.requests), *scalars(spec.requests))
            if (amount := spec.requests[name]) > 0 and not is_ignored(name, profile.fit)
        ]
        self._checked = [name for name, _, _ in checked]
        scored = [item for item in map(self._scored_row, profile.fit.resources) if item is not None]
        self._weights = np.array([weight for _, _, weight in scored], np.int64)
        self._weight_sum = max(int(self._weights.sum()), 1)
        amounts = [(name, spec.requests.get(name, 0)) for name in profile.balanced_resources]
        self.best_effort = not any(amount for _, amount in amounts)
        balanced = [(core.row(name), amount) for name, amount in amounts if amount or not is_scalar(name)]
        needs = [
            *((row, amount) for _, row, amount in checked),
            *((row, amount) for row, amount, _ in scored),
            *([] if self.best_effort else balanced),
        ]
        self._rows = np.array([row for row, _ in needs], np.int64)[:, None]
        self._amounts = np.array([amount for _, amount in needs], np.int64)[:, None]
        self._cuts = (len(checked), len(checked) + len(scored))
        # What nodes offer never changes within a core, so it is gathered and looked over once.
        self._capacity: IntArray = core.allocatable[self._rows[:, 0]]
        self._complete = bool((self._capacity[len(checked) :] > 0).all())
        self._offsets = self._rows * size
        self._fit_weight = profile.weights.get("NodeResourcesFit", 0)
        self._balance_weight = profile.weights.get("NodeResourcesBalancedAllocation", 0)
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
        for number, name in enumerate(self._checked, 1):
            row = core.row(name)
            short = self._spec.requests[name] > core.allocatable[row] - core.used[row]
            bits |= short.astype(np.int64) << number
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
        groups, members = labels.taint_groups
        for number, node in enumerate(groups):
            refusal = nodefilters.taint_filter(spec, node)
            if refusal is not None:
                self.refuse(codes, members == number, refusal)
        if self._profile.added_nodes is not None:
            enforced = Status("NodeAffinity", (NODE_ENFORCED,), True)
            self.refuse(codes, ~labels.node_selector(self._profile.added_nodes), enforced)
        refusal = Status("NodeAffinity", (NODE_AFFINITY,), True)
        self.refuse(codes, ~labels.affinity(spec), refusal)
        return codes

    def refuse(self, codes: IntArray, mask: BoolArray, status: Status) -> None:
        """Record a refusal for the nodes of ``mask`` that have none yet."""
        fresh = mask & (codes == 0)
        if fresh.any():
            codes[fresh] = len(self.statuses)
            self.statuses.append(status)

    def _taint_scores(self, labels: NodeLabels) -> IntArray | None:
        groups, members = labels.taint_groups
        values = np.array([nodefilters.taint_score(self._spec, node) for node in groups], np.int64)
        return values[members] if values.any() else None

    def _preferred(self, labels: NodeLabels) -> IntArray | None:
        terms = (*self._profile.added_preferences, *self._spec.preferred_nodes)
        if not terms:
            return None
        raw = np.zeros(len(self._core.nodes), np.int64)
        for weight, term in terms:
            raw += weight * labels.term(term)
        return raw

    def _images(self) -> IntArray:
        nodes = self._core.nodes
        spread = nodefilters.image_spread(nodes) if any(node.images for node in nodes) else {}
        if not any(image in spread for image in self._spec.images):
            return np.zeros(len(nodes), np.int64)
        size = len(nodes)
        return np.array([nodefilters.image_score(self._spec, node, spread, size) for node in nodes], np.int64)

    def _scored_row(self, resource: tuple[str, int]) -> tuple[int, int, int] | None:
        """(row, request, weight) of a resource that the Fit score looks at, None when it is left out for this pod."""
        name, weight = resource
        if name in NON_ZERO:
            return self._core.row(NON_ZERO[name]), self._spec.non_zero[0 if name == CPU else 1], weight
        amount = self._spec.requests.get(name, 0)
        if name == PODS or (amount == 0 and is_scalar(name)):
            return None
        return self._core.row(name), amount, weight

    def _update(self, where: Where) -> None:
        core = self._core
        capacity, requested = self._needed(where)
        first, second = self._cuts
        good: BoolArray = core.count[where] < core.max_pods[where]
        good &= (requested[:first] <= capacity[:first]).all(axis=0)
        fit = self._fit(requested[first:second], capacity[first:second])
        balanced = _balance(requested[second:], capacity[second:], complete=self._complete)
        self.fits[where] = good
        self.fit_score[where] = fit
        self.balanced_score[where] = balanced
        plain = self._fit_weight * fit
        plain += self._balance_weight * balanced
        plain += self._image_part[where]
        good = good & self._willing[where]
        if self._spec.host_ports:
            good &= self._update_ports(where)
        plain[~good] = -1
        self.plain[where] = plain

    def _needed(self, where: Where) -> tuple[IntArray, IntArray]:
        """(allocatable, used with this pod) of this spec's resources, in the order of ``_amounts``."""
        used = self._core.used
        if isinstance(where, slice):
            return self._capacity, used[self._rows[:, 0]] + self._amounts
        # One flat gather costs half of a two-dimensional one, and this runs for every pod.
        requested: IntArray = used.ravel().take(self._offsets + where)
        requested += self._amounts
        return self._capacity.take(where, axis=1), requested

    def _update_ports(self, where: Where) -> BoolArray:
        wanted = self._spec.host_ports
        numbers = range(len(self._core.nodes)) if isinstance(where, slice) else where.tolist()
        for number in numbers:
            self.free_ports[number] = not any(
                nodefilters.ports_conflict(port, used) for used in self._core.taken_ports(number) for port in wanted
            )
        return self.free_ports[where]

    def _fit(self, requested: IntArray, capacity: IntArray) -> IntArray:
        """NodeResourcesFit score (resources x nodes); see :func:`models.scheduler.noderesources.fit_score`."""
        scoring = self._profile.fit
        if scoring.strategy == "RequestedToCapacityRatio":
            return _by_node(requested, capacity, self._weights, scoring)
        if scoring.strategy == "LeastAllocated":
            part = np.maximum(capacity - requested, 0)
        else:
            part = np.minimum(requested, capacity)
        if self._complete:
            full: IntArray = self._weights @ (part * MAX_SCORE // capacity)
            return full // self._weight_sum
        total: IntArray = self._weights @ (part * MAX_SCORE // np.maximum(capacity, 1))
        return total // np.maximum(self._weights @ (capacity > 0), 1)


def _balance(requested: IntArray, capacity: IntArray, *, complete: bool) -> IntArray:
    """NodeResourcesBalancedAllocation (resources x nodes, none for a pod without requests).

    ``complete``: every node has some of every resource, which spares looking for those without.
    """
    size = requested.shape[1]
    if not len(requested):
        return np.zeros(size, np.int64)
    if complete and len(requested) == 2:
        share = np.minimum(requested / capacity, 1.0)
        score: FloatArray = (1 - np.abs(share[0] - share[1]) / 2) * MAX_SCORE
        return score.astype(np.int64)
    known = capacity > 0
    fractions = np.where(known, np.minimum(requested / np.maximum(capacity, 1), 1.0), 0.0)
    return ((1 - _deviations(fractions, known)) * MAX_SCORE).astype(np.int64)


def _deviations(fractions: FloatArray, valid: BoolArray) -> FloatArray:
    """The spread of each node's valid fractions: half the difference of two, else the standard deviation.

    Sums run from the first resource to the last with 0 for what is not valid, so that every bit equals the one-node
    formula.
    """
    if len(fractions) == 2:
        spread: FloatArray = np.abs(fractions[0] - fractions[1]) / 2
        return spread if valid.all() else np.where(valid.all(axis=0), spread, 0.0)
    size = fractions.shape[1]
    known = valid.sum(axis=0)
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


def _by_node(requested: IntArray, capacity: IntArray, weights: IntArray, scoring: FitScoring) -> IntArray:
    """Scores computed one node at a time: for the strategy whose shape is any piecewise linear function."""
    columns = zip(requested.T.tolist(), capacity.T.tolist(), strict=True)
    scores = [
        allocation_score([item for item in zip(used, total, weights.tolist(), strict=True) if item[1]], scoring)
        for used, total in columns
    ]
    return np.array(scores, np.int64)
