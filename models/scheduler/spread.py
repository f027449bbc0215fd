"""PodTopologySpread: filter and score, one node at a time.

Source: pkg/scheduler/framework/plugins/podtopologyspread/{common,filtering,scoring}.go and
plugins/helper/spread.go (Kubernetes 1.33).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from models.scheduler.nodefilters import matches_node, taint_filter
from models.scheduler.nodeinfo import NodeInfo, NodeState
from models.scheduler.podinfo import PodInfo, SpreadConstraint
from models.scheduler.selectors import Selector
from models.scheduler.status import SPREAD, SPREAD_LABEL, PodRefused, Status

MAX_SCORE = 100
HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"

SYSTEM_DEFAULTS = (
    SpreadConstraint(max_skew=3, topology_key=HOSTNAME, hard=False, selector=Selector()),
    SpreadConstraint(max_skew=5, topology_key=ZONE, hard=False, selector=Selector()),
)
"""``systemDefaultConstraints``; the selector comes from the pod's services and controller."""


def hard_constraints(pod: PodInfo) -> tuple[SpreadConstraint, ...]:
    """The DoNotSchedule constraints of the pod; raises :class:`PodRefused` when a selector cannot be parsed."""
    if pod.terms.spread_error:
        message = f'running PreFilter plugin "PodTopologySpread": get constraints from pod: {pod.terms.spread_error}'
        raise PodRefused("PodTopologySpread", message, error=True)
    return tuple(item for item in pod.terms.spread if item.hard)


def soft_constraints(
    pod: PodInfo, default_selector: Selector | None, defaults: Sequence[SpreadConstraint] = SYSTEM_DEFAULTS
) -> tuple[SpreadConstraint, ...]:
    """The ScheduleAnyway constraints: the pod's own, else the defaults when a Service or controller selects it.

    ``default_selector`` is the merged selector of those (None or empty when there is none).
    """
    if pod.terms.spread:
        return tuple(item for item in pod.terms.spread if not item.hard)
    if default_selector is None or default_selector.empty:
        return ()
    return tuple(replace(item, selector=default_selector) for item in defaults if not item.hard)


def counts_node(pod: PodInfo, node: NodeInfo, constraint: SpreadConstraint) -> bool:
    """Whether the node takes part in the constraint under its node inclusion policies."""
    if constraint.honor_affinity and not matches_node(pod.spec, node):
        return False
    return not (constraint.honor_taints and taint_filter(pod.spec, node) is not None)


def count_matching(node: NodeState, selector: Selector, namespace: str) -> int:
    """Pods on the node in ``namespace`` that the selector selects, terminating ones left out.

    An empty selector counts nothing, as upstream has it.
    """
    if selector.empty:
        return 0
    return sum(
        1 for pod in node.pods if not pod.terminating and pod.namespace == namespace and selector.matches(pod.labels)
    )


def _has_all_keys(node: NodeInfo, constraints: Sequence[SpreadConstraint]) -> bool:
    return all(item.topology_key in node.labels for item in constraints)


@dataclass(frozen=True)
class SpreadState:
    """Hard constraints and, for each, the number of matching pods per eligible topology value."""

    constraints: tuple[SpreadConstraint, ...]
    counts: tuple[Mapping[str, int], ...]


def prefilter(pod: PodInfo, states: Sequence[NodeState]) -> SpreadState:
    """Count matching pods per domain over the nodes that carry all keys and pass the inclusion policies."""
    constraints = hard_constraints(pod)
    counts: tuple[dict[str, int], ...] = tuple({} for _ in constraints)
    for state in states:
        if not _has_all_keys(state.info, constraints):
            continue
        for constraint, domain in zip(constraints, counts, strict=True):
            if counts_node(pod, state.info, constraint):
                value = state.info.labels[constraint.topology_key]
                matching = count_matching(state, constraint.selector, pod.namespace)
                domain[value] = domain.get(value, 0) + matching
    return SpreadState(constraints, counts)


def spread_filter(pod: PodInfo, node: NodeInfo, state: SpreadState) -> Status | None:
    """PodTopologySpread as a filter: count + self - minimum must not exceed maxSkew in any constraint."""
    for constraint, counts in zip(state.constraints, state.counts, strict=True):
        value = node.labels.get(constraint.topology_key)
        if value is None:
            return Status("PodTopologySpread", (SPREAD_LABEL,), True)
        # Upstream keeps MaxInt32 as the minimum while there is no eligible domain.
        lowest = min(counts.values(), default=2**31 - 1)
        if len(counts) < constraint.min_domains:
            lowest = 0
        itself = 1 if constraint.selector.matches(pod.labels) else 0
        if counts.get(value, 0) + itself - lowest > constraint.max_skew:
            return Status("PodTopologySpread", (SPREAD,))
    return None


def spread_scores(
    pod: PodInfo,
    states: Sequence[NodeState],
    feasible: Sequence[NodeState],
    constraints: Sequence[SpreadConstraint],
    *,
    require_all: bool,
) -> list[int | None]:
    """Raw scores of the ``feasible`` nodes (fewer is better); None for a node that is left out for a missing key.

    ``require_all`` is false for the system defaults, so that nodes without a zone label still spread by host.
    """
    ignored = [require_all and not _has_all_keys(node.info, constraints) for node in feasible]
    kept = [node for node, out in zip(feasible, ignored, strict=True) if not out]
    weights = []
    domains: list[dict[str, int]] = []
    for constraint in constraints:
        key = constraint.topology_key
        values = {} if key == HOSTNAME else {node.info.labels.get(key, ""): 0 for node in kept}
        domains.append(values)
        weights.append(math.log((len(kept) if key == HOSTNAME else len(values)) + 2))
    for state in states:
        if require_all and not _has_all_keys(state.info, constraints):
            continue
        for constraint, values in zip(constraints, domains, strict=True):
            value = state.info.labels.get(constraint.topology_key, "")
            if value in values and counts_node(pod, state.info, constraint):
                values[value] += count_matching(state, constraint.selector, pod.namespace)
    return [
        None if out else _node_score(pod, node, constraints, domains, weights)
        for node, out in zip(feasible, ignored, strict=True)
    ]


def _node_score(
    pod: PodInfo,
    node: NodeState,
    constraints: Sequence[SpreadConstraint],
    domains: Sequence[Mapping[str, int]],
    weights: Sequence[float],
) -> int:
    score = 0.0
    for constraint, values, weight in zip(constraints, domains, weights, strict=True):
        value = node.info.labels.get(constraint.topology_key)
        if value is None:
            continue
        if constraint.topology_key == HOSTNAME:
            count = count_matching(node, constraint.selector, pod.namespace)
        else:
            count = values[value]
        score += float(count) * weight + float(constraint.max_skew - 1)
    whole = math.floor(score)
    return whole + 1 if score - whole >= 0.5 else whole


def normalise_spread(scores: Sequence[int | None]) -> list[int]:
    """100*(max + min - score)/max truncated; 100 when the maximum is 0; 0 for nodes that were left out."""
    known = [score for score in scores if score is not None]
    low, high = min(known, default=0), max(known, default=0)
    if high == 0:
        return [0 if score is None else MAX_SCORE for score in scores]
    return [0 if score is None else MAX_SCORE * (high + low - score) // high for score in scores]
