"""NodeResourcesFit and NodeResourcesBalancedAllocation: filter and scores, one node at a time.

Source: pkg/scheduler/framework/plugins/noderesources/{fit,resource_allocation,least_allocated,most_allocated,
requested_to_capacity_ratio,balanced_allocation}.go and plugins/helper/shape_score.go (Kubernetes 1.33).
All amounts are integers: millicores for cpu, base units for everything else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from models.scheduler.nodeinfo import NodeState
from models.scheduler.podinfo import CPU, EPHEMERAL, MEMORY, PODS, PodInfo, is_extended, is_scalar
from models.scheduler.status import TOO_MANY_PODS, Status, insufficient

MAX_SCORE = 100
Strategy = Literal["LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"]


@dataclass(frozen=True)
class FitScoring:
    """``scoringStrategy`` of NodeResourcesFit, and what its filter ignores.

    ``resources`` are (name, weight), ``shape`` are (utilisation in percent, score 0..10).
    """

    strategy: Strategy = "LeastAllocated"
    resources: tuple[tuple[str, int], ...] = ((CPU, 1), (MEMORY, 1))
    shape: tuple[tuple[int, int], ...] = ((0, 0), (100, 10))
    ignored_resources: frozenset[str] = frozenset()
    ignored_groups: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Shortage:
    """A resource that a node lacks for a pod."""

    resource: str
    requested: int
    used: int
    capacity: int

    @property
    def reason(self) -> str:
        """The scheduler's words."""
        return TOO_MANY_PODS if self.resource == PODS else insufficient(self.resource)


def shortages(pod: PodInfo, node: NodeState, scoring: FitScoring | None = None) -> tuple[Shortage, ...]:
    """Every resource that is short on the node for the pod, the pod count first (``fitsRequest``)."""
    allocatable = node.info.allocatable
    found = []
    if len(node.pods) + 1 > allocatable.get(PODS, 0):
        found.append(Shortage(PODS, 1, len(node.pods), allocatable.get(PODS, 0)))
    requests = pod.spec.requests
    for name in (*(key for key in (CPU, MEMORY, EPHEMERAL) if key in requests), *scalars(requests)):
        amount = requests[name]
        if amount <= 0 or (scoring is not None and is_ignored(name, scoring)):
            continue
        capacity, used = allocatable.get(name, 0), node.used(name)
        if amount > capacity - used:
            found.append(Shortage(name, amount, used, capacity))
    return tuple(found)


def scalars(requests: Mapping[str, int]) -> list[str]:
    """The names of extended and other scalar resources, sorted."""
    return sorted(name for name in requests if name not in (CPU, MEMORY, EPHEMERAL, PODS))


def is_ignored(name: str, scoring: FitScoring) -> bool:
    """Whether an extended resource is left to an extender by ``ignoredResources`` or ``ignoredResourceGroups``."""
    return is_extended(name) and (name in scoring.ignored_resources or name.partition("/")[0] in scoring.ignored_groups)


def fit_filter(pod: PodInfo, node: NodeState, scoring: FitScoring | None = None) -> Status | None:
    """NodeResourcesFit as a filter."""
    short = shortages(pod, node, scoring)
    return Status("NodeResourcesFit", tuple(item.reason for item in short)) if short else None


def fit_score(pod: PodInfo, node: NodeState, scoring: FitScoring) -> int:
    """NodeResourcesFit score 0..100 with the chosen strategy; cpu and memory count their non-zero requests."""
    pairs = []
    for name, weight in scoring.resources:
        request = non_zero_request(pod, name)
        capacity = 0 if request == 0 and is_scalar(name) else node.info.allocatable.get(name, 0)
        if capacity:
            used = node.non_zero_used(name) if name in (CPU, MEMORY) else node.used(name)
            pairs.append((used + request, capacity, weight))
    return allocation_score(pairs, scoring)


def non_zero_request(pod: PodInfo, name: str) -> int:
    """A pod's request as the Fit score counts it: 100m and 200Mi for containers without one."""
    if name == CPU:
        return pod.spec.non_zero[0]
    return pod.spec.non_zero[1] if name == MEMORY else pod.spec.requests.get(name, 0)


def allocation_score(pairs: Sequence[tuple[int, int, int]], scoring: FitScoring) -> int:
    """The weighted score of (requested, capacity, weight) triples; capacities are positive."""
    if scoring.strategy == "RequestedToCapacityRatio":
        return requested_to_capacity_ratio(pairs, scoring.shape)
    single = least_requested if scoring.strategy == "LeastAllocated" else most_requested
    weights = sum(weight for _, _, weight in pairs)
    total = sum(single(requested, capacity) * weight for requested, capacity, weight in pairs)
    return total // weights if weights else 0


def least_requested(requested: int, capacity: int) -> int:
    """The free share in percent, truncated; 0 when over capacity."""
    if capacity == 0 or requested > capacity:
        return 0
    return (capacity - requested) * MAX_SCORE // capacity


def most_requested(requested: int, capacity: int) -> int:
    """The used share in percent, truncated; over capacity counts as full."""
    if capacity == 0:
        return 0
    return min(requested, capacity) * MAX_SCORE // capacity


def requested_to_capacity_ratio(pairs: Sequence[tuple[int, int, int]], shape: Sequence[tuple[int, int]]) -> int:
    """Weighted mean, rounded half up, of the shape's value at each utilisation; resources that score 0 drop out."""
    total = weights = 0
    for requested, capacity, weight in pairs:
        utilisation = MAX_SCORE if requested > capacity else requested * MAX_SCORE // capacity
        score = shape_value(utilisation, shape)
        if score > 0:
            total += score * weight
            weights += weight
    return (2 * total + weights) // (2 * weights) if weights else 0


def shape_value(utilisation: int, shape: Sequence[tuple[int, int]]) -> int:
    """The piecewise linear shape at a utilisation in percent, scaled from 0..10 to 0..100, truncated as Go does."""
    points = [(x, y * 10) for x, y in shape]
    for position, (x, y) in enumerate(points):
        if utilisation <= x:
            if position == 0:
                return y
            x0, y0 = points[position - 1]
            rise = (y - y0) * (utilisation - x0)
            step = abs(rise) // (x - x0)
            return y0 + (step if rise >= 0 else -step)
    return points[-1][1]


def balanced_score(pod: PodInfo, node: NodeState, resources: Sequence[str] = (CPU, MEMORY)) -> int:
    """NodeResourcesBalancedAllocation score 0..100 from real requests; 0 when the pod requests none of them."""
    if is_best_effort(pod, resources):
        return 0
    fractions = []
    for name in resources:
        request = pod.spec.requests.get(name, 0)
        capacity = 0 if request == 0 and is_scalar(name) else node.info.allocatable.get(name, 0)
        if capacity:
            fractions.append(min(1.0, float(node.used(name) + request) / float(capacity)))
    return int((1 - _deviation(fractions)) * MAX_SCORE)


def is_best_effort(pod: PodInfo, resources: Sequence[str]) -> bool:
    """Whether the pod requests none of ``resources``, which skips the balanced allocation score."""
    return not any(pod.spec.requests.get(name, 0) for name in resources)


def _deviation(fractions: Sequence[float]) -> float:
    if len(fractions) == 2:
        return abs((fractions[0] - fractions[1]) / 2)
    if len(fractions) < 2:
        return 0.0
    # Plain left-to-right addition, as Go does: the last bit decides at a truncation border.
    mean = 0.0
    for fraction in fractions:
        mean += fraction
    mean /= len(fractions)
    total = 0.0
    for fraction in fractions:
        total += (fraction - mean) * (fraction - mean)
    return math.sqrt(total / len(fractions))
