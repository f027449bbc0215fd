"""Arrays over the nodes of a core: label columns, selector masks, and counts of pods kept up to date.

All arrays are in node order. ``codes`` of a label column number the distinct values; -1 marks nodes without the label.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.scheduler.core import Core, IntArray
from models.scheduler.interpod import existing_preferences
from models.scheduler.nodeinfo import NodeInfo
from models.scheduler.podinfo import AffinityTerm, PodInfo, PodSpec
from models.scheduler.selectors import NodeSelector, NodeTerm, Requirement, Selector

BoolArray = NDArray[np.bool_]
Matcher = Callable[[PodInfo], bool]


@dataclass(frozen=True, eq=False)
class Column:
    """One label over all nodes. ``slots`` is ``codes`` + 1, so that slot 0 collects the nodes without the label."""

    values: tuple[str, ...]
    codes: IntArray
    slots: IntArray
    present: BoolArray

    def totals(self, counts: IntArray, eligible: BoolArray | None = None) -> IntArray:
        """The sum of ``counts`` (per node) over all (or the eligible) nodes, per slot."""
        weights = counts if eligible is None or eligible.all() else np.where(eligible, counts, 0)
        # bincount adds in float64, which is exact for sums below 2^53.
        return np.bincount(self.slots, weights=weights, minlength=len(self.values) + 1).astype(np.int64)

    @cached_property
    def complete(self) -> bool:
        """Whether every node carries the label."""
        return bool(self.present.all())

    def domains(self, nodes: BoolArray) -> int:
        """The number of slots that hold at least one of ``nodes``, the slot of nodes without the label included."""
        return int(np.count_nonzero(np.bincount(self.slots[nodes], minlength=len(self.values) + 1)))

    def occupied(self, eligible: BoolArray) -> BoolArray:
        """Which slots hold at least one eligible node; never the slot of nodes without the label."""
        held = np.bincount(self.slots[eligible], minlength=len(self.values) + 1) > 0
        held[0] = False
        return held


class NodeLabels:
    """Label columns and selector masks over fixed nodes, made on demand and remembered."""

    def __init__(self, core: Core) -> None:
        self._nodes = core.nodes
        self._position = core.position
        self._columns: dict[str, Column] = {}
        self._masks: dict[Hashable, BoolArray] = {}

    @cached_property
    def taint_groups(self) -> tuple[list[NodeInfo], IntArray]:
        """One node for each distinct list of taints, and the number of every node's group."""
        numbers: dict[Hashable, int] = {}
        first: list[NodeInfo] = []
        members = np.zeros(len(self._nodes), np.int64)
        for position, node in enumerate(self._nodes):
            number = numbers.setdefault(node.taints, len(first))
            if number == len(first):
                first.append(node)
            members[position] = number
        return first, members

    def column(self, key: str) -> Column:
        """The column of a label key."""
        found = self._columns.get(key)
        if found is None:
            numbers: dict[str, int] = {}
            codes = np.full(len(self._nodes), -1, np.int64)
            for position, node in enumerate(self._nodes):
                value = node.labels.get(key)
                if value is not None:
                    codes[position] = numbers.setdefault(value, len(numbers))
            found = self._columns[key] = Column(tuple(numbers), codes, codes + 1, codes >= 0)
        return found

    def requirement(self, item: Requirement) -> BoolArray:
        """The nodes whose labels satisfy one requirement, decided once per distinct value."""
        found = self._masks.get(item)
        if found is None:
            column = self.column(item.key)
            verdicts = [item.matches({}), *(item.matches({item.key: value}) for value in column.values)]
            found = self._masks[item] = np.array(verdicts, np.bool_)[column.slots]
        return found

    def selector(self, selector: Selector) -> BoolArray:
        """The nodes whose labels a selector selects."""
        mask = np.full(len(self._nodes), not selector.nothing, np.bool_)
        for item in selector.requirements:
            mask &= self.requirement(item)
        return mask

    def term(self, term: NodeTerm, *, fields: bool = True) -> BoolArray:
        """The nodes that a node selector term matches; without ``fields`` its field requirements are unknown."""
        mask = np.full(len(self._nodes), term.valid, np.bool_)
        for item in term.labels:
            mask &= self.requirement(item)
        for item in term.fields if fields else ():
            named = np.zeros(len(self._nodes), np.bool_)
            position = self._position.get(item.values[0]) if item.key == "metadata.name" else None
            if position is not None:
                named[position] = True
            mask &= named if item.op == "In" else ~named
        return mask

    def node_selector(self, selector: NodeSelector, *, fields: bool = True) -> BoolArray:
        """The nodes that any term of a node selector matches."""
        mask = np.zeros(len(self._nodes), np.bool_)
        for term in selector.terms:
            mask |= self.term(term, fields=fields)
        return mask

    def affinity(self, spec: PodSpec) -> BoolArray:
        """The nodes that nodeSelector and required node affinity accept."""
        mask = self.selector(spec.node_selector)
        return mask if spec.required_nodes is None else mask & self.node_selector(spec.required_nodes)


class PodCounts:
    """For each registered question about pods, how many pods on each node answer yes; follows the core."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._matchers: dict[Hashable, tuple[Matcher, IntArray]] = {}
        self._answers: dict[Hashable, tuple[IntArray, ...]] = {}
        core.listeners.append(self.changed)

    def count(self, key: Hashable, matches: Matcher) -> IntArray:
        """Pods per node for which ``matches`` holds; ``key`` identifies the question.

        The answer may depend on nothing but the pod's identity (spec, labels, namespace) and whether it terminates.
        """
        known = self._matchers.get(key)
        if known is not None:
            return known[1]
        counts = np.zeros(len(self._core.nodes), np.int64)
        answers: dict[Hashable, bool] = {}
        for node, pods in enumerate(self._core.pods):
            for pod in pods:
                identity = (pod.identity, pod.terminating)
                answer = answers.get(identity)
                if answer is None:
                    answer = answers[identity] = matches(pod)
                counts[node] += answer
        self._matchers[key] = (matches, counts)
        self._answers.clear()
        return counts

    def changed(self, pod: PodInfo, node: int, sign: int) -> None:
        """Follow one pod that was added or removed."""
        if not self._matchers:
            return
        identity = (pod.identity, pod.terminating)
        arrays = self._answers.get(identity)
        if arrays is None:
            arrays = tuple(counts for matches, counts in self._matchers.values() if matches(pod))
            self._answers[identity] = arrays
        for counts in arrays:
            counts[node] += sign

    def clear(self) -> None:
        """Forget all questions (what they depend on has changed)."""
        self._matchers.clear()
        self._answers.clear()


class HeldTerm(NamedTuple):
    """A term that bound pods hold against (``anti``) or for incoming pods, with its weight in the score."""

    term: AffinityTerm
    anti: bool
    weight: int


class HeldTerms:
    """The (anti-)affinity terms of all bound pods, with the number of pods per node that hold each."""

    def __init__(self, core: Core, hard_weight: int) -> None:
        self._size = len(core.nodes)
        self._hard_weight = hard_weight
        self.counts: dict[HeldTerm, IntArray] = {}
        self._arrays: dict[Hashable, tuple[IntArray, ...]] = {}
        for node, pods in enumerate(core.pods):
            for pod in pods:
                self.changed(pod, node, 1)
        core.listeners.append(self.changed)

    def changed(self, pod: PodInfo, node: int, sign: int) -> None:
        """Follow one pod that was added or removed."""
        if not pod.terms.any_affinity:
            return
        arrays = self._arrays.get(pod.identity)
        if arrays is None:
            arrays = tuple(self.counts.setdefault(held, np.zeros(self._size, np.int64)) for held in self._held(pod))
            self._arrays[pod.identity] = arrays
        for counts in arrays:
            counts[node] += sign

    def _held(self, pod: PodInfo) -> Iterable[HeldTerm]:
        for term in pod.terms.anti_affinity:
            yield HeldTerm(term, True, 0)
        for weight, term in existing_preferences(pod, self._hard_weight):
            yield HeldTerm(term, False, weight)
