"""InterPodAffinity: filter and score, one node at a time.

Source: pkg/scheduler/framework/plugins/interpodaffinity/{filtering,scoring}.go (Kubernetes 1.33).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from models.scheduler.nodeinfo import NodeInfo, NodeState
from models.scheduler.podinfo import AffinityTerm, PodInfo, WeightedTerm
from models.scheduler.status import (
    EXISTING_ANTI_AFFINITY,
    POD_AFFINITY,
    POD_ANTI_AFFINITY,
    PodRefused,
    Status,
)

MAX_SCORE = 100
NamespaceLabels = Mapping[str, Mapping[str, str]]
"""Labels of each known namespace."""

Pair = tuple[str, str]
"""A topology key and a value of it."""


@dataclass(frozen=True)
class InterPodState:
    """What PreFilter counts: pods per topology pair that match the pod's terms, and whose terms match the pod."""

    affinity: Mapping[Pair, int]
    anti_affinity: Mapping[Pair, int]
    existing_anti_affinity: Mapping[Pair, int]


def own_term_matches(term: AffinityTerm, other: PodInfo, namespaces: NamespaceLabels) -> bool:
    """Whether the incoming pod's ``term`` means ``other``.

    A namespaceSelector sees only namespaces that exist, except that an empty one means every namespace.
    """
    if other.namespace not in term.namespaces and not term.namespace_selector.empty:
        labels = namespaces.get(other.namespace)
        if labels is None or not term.namespace_selector.matches(labels):
            return False
    return term.selector.matches(other.labels)


def their_term_matches(term: AffinityTerm, pod: PodInfo, namespaces: NamespaceLabels) -> bool:
    """Whether an existing pod's ``term`` means the incoming pod; an unknown namespace has no labels."""
    return term.matches(pod.namespace, pod.labels, namespaces.get(pod.namespace, {}))


def prefilter(pod: PodInfo, states: Sequence[NodeState], namespaces: NamespaceLabels) -> InterPodState:
    """Count matches over the cluster; raises :class:`PodRefused` when a selector of the pod cannot be parsed."""
    if pod.terms.error:
        raise PodRefused("InterPodAffinity", f"parsing pod: {pod.terms.error}")
    affinity: Counter[Pair] = Counter()
    anti: Counter[Pair] = Counter()
    existing: Counter[Pair] = Counter()
    for state in states:
        labels = state.info.labels
        for other in state.pods:
            for term in other.terms.anti_affinity:
                if their_term_matches(term, pod, namespaces):
                    _add(existing, term, labels)
            if pod.terms.affinity and all(own_term_matches(term, other, namespaces) for term in pod.terms.affinity):
                for term in pod.terms.affinity:
                    _add(affinity, term, labels)
            for term in pod.terms.anti_affinity:
                if own_term_matches(term, other, namespaces):
                    _add(anti, term, labels)
    return InterPodState(affinity, anti, existing)


def _add(counts: Counter[Pair], term: AffinityTerm, labels: Mapping[str, str]) -> None:
    if term.topology_key in labels:
        counts[term.topology_key, labels[term.topology_key]] += 1


def interpod_filter(pod: PodInfo, node: NodeInfo, state: InterPodState, namespaces: NamespaceLabels) -> Status | None:
    """InterPodAffinity as a filter: own affinity, own anti-affinity, then the anti-affinity of the pods there."""
    if not _affinity_holds(pod, node, state, namespaces):
        return Status("InterPodAffinity", (POD_AFFINITY,), True)
    for term in pod.terms.anti_affinity:
        value = node.labels.get(term.topology_key)
        if value is not None and state.anti_affinity.get((term.topology_key, value), 0) > 0:
            return Status("InterPodAffinity", (POD_ANTI_AFFINITY,))
    if any(state.existing_anti_affinity.get(pair, 0) > 0 for pair in node.labels.items()):
        return Status("InterPodAffinity", (EXISTING_ANTI_AFFINITY,))
    return None


def _affinity_holds(pod: PodInfo, node: NodeInfo, state: InterPodState, namespaces: NamespaceLabels) -> bool:
    satisfied = True
    for term in pod.terms.affinity:
        value = node.labels.get(term.topology_key)
        if value is None:
            return False
        satisfied = satisfied and state.affinity.get((term.topology_key, value), 0) > 0
    if satisfied:
        return True
    # The first pod of a group that wants to be together would otherwise wait for ever.
    return not any(state.affinity.values()) and matches_own_terms(pod, namespaces)


def matches_own_terms(pod: PodInfo, namespaces: NamespaceLabels) -> bool:
    """Whether the pod satisfies all of its own required affinity terms."""
    return bool(pod.terms.affinity) and all(own_term_matches(term, pod, namespaces) for term in pod.terms.affinity)


def interpod_scores(
    pod: PodInfo,
    states: Sequence[NodeState],
    nodes: Iterable[NodeInfo],
    namespaces: NamespaceLabels,
    hard_weight: int = 1,
    *,
    ignore_existing: bool = False,
) -> list[int] | None:
    """Raw scores of ``nodes``: the weights of all topology pairs that each node carries; None when nothing counts.

    ``hard_weight`` is hardPodAffinityWeight, ``ignore_existing`` is ignorePreferredTermsOfExistingPods.
    """
    if ignore_existing and not pod.terms.preferred:
        return None
    weights: Counter[Pair] = Counter()
    for state in states:
        labels = state.info.labels
        for other in state.pods:
            for own in pod.terms.preferred:
                if own_term_matches(own.term, other, namespaces):
                    _weigh(weights, own, labels)
            for theirs in existing_preferences(other, hard_weight):
                if their_term_matches(theirs.term, pod, namespaces):
                    _weigh(weights, theirs, labels)
    if not weights:
        return None
    return [sum(weights.get(pair, 0) for pair in node.labels.items()) for node in nodes]


def existing_preferences(other: PodInfo, hard_weight: int) -> Iterable[WeightedTerm]:
    """The terms of an existing pod that pull an incoming pod towards it or push it away."""
    if hard_weight > 0:
        for term in other.terms.affinity:
            yield WeightedTerm(hard_weight, term)
    yield from other.terms.preferred


def _weigh(weights: Counter[Pair], item: WeightedTerm, labels: Mapping[str, str]) -> None:
    key = item.term.topology_key
    if key in labels:
        weights[key, labels[key]] += item.weight


def normalise_interpod(scores: Sequence[int]) -> list[int]:
    """Scale linearly so that the lowest becomes 0 and the highest 100, truncated; all 0 when they are equal."""
    low, high = min(scores, default=0), max(scores, default=0)
    if high == low:
        return [0] * len(scores)
    return [int(float(MAX_SCORE) * (float(score - low) / float(high - low))) for score in scores]
