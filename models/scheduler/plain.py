"""The plain scheduler: one node at a time, everything counted afresh from the pods. Twin of :mod:`.vector`.

Obvious rather than fast: use it to check the other, or to read how the plugins follow one another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from models.scheduler import interpod, nodefilters, noderesources, spread, volumebinding, volumes
from models.scheduler.decision import Score, TieBreaker
from models.scheduler.nodeinfo import NodeState
from models.scheduler.objects import default_selector
from models.scheduler.podinfo import PodInfo
from models.scheduler.profile import Profile
from models.scheduler.snapshot import Snapshot
from models.scheduler.status import Status


class Engine(Protocol):
    """Filters and scores of the default profile over a snapshot; nodes are positions in its node order."""

    def filter(self, pod: PodInfo, snapshot: Snapshot) -> dict[int, Status]:
        """The refusals by node; raises :class:`PodRefused` when PreFilter refuses the pod as such."""

    def check(self, pod: PodInfo, snapshot: Snapshot, node: int) -> Status | None:
        """The refusal of one node, None when it fits."""

    def score(self, pod: PodInfo, snapshot: Snapshot, feasible: Sequence[int]) -> list[dict[str, Score]]:
        """The scores of each plugin for each feasible node."""

    def best(self, pod: PodInfo, snapshot: Snapshot, tie_breaker: TieBreaker | None) -> int | None:
        """The chosen node, None where no node fits. Raises :class:`PodRefused` when PreFilter refuses the pod."""


class PlainEngine:
    """The :class:`Engine` that looks at one node at a time."""

    def filter(self, pod: PodInfo, snapshot: Snapshot) -> dict[int, Status]:
        """See :class:`Engine`."""
        states = snapshot.states()
        cycle = _Cycle(pod, snapshot, states)
        found = {}
        for number, state in enumerate(states):
            status = cycle.refusal(state)
            if status is not None:
                found[number] = status
        return found

    def check(self, pod: PodInfo, snapshot: Snapshot, node: int) -> Status | None:
        """See :class:`Engine`."""
        states = snapshot.states()
        return _Cycle(pod, snapshot, states).refusal(states[node])

    def score(self, pod: PodInfo, snapshot: Snapshot, feasible: Sequence[int]) -> list[dict[str, Score]]:
        """See :class:`Engine`."""
        states = snapshot.states()
        chosen = [states[number] for number in feasible]
        weights = snapshot.profile.weights
        rows: list[dict[str, Score]] = [{} for _ in chosen]
        for plugin, raw, normalised in raw_scores(pod, snapshot, states, chosen):
            weight = weights.get(plugin, 0)
            if weight:
                for row, first, second in zip(rows, raw, normalised, strict=True):
                    row[plugin] = Score(first, second, second * weight)
        return rows

    def best(self, pod: PodInfo, snapshot: Snapshot, tie_breaker: TieBreaker | None) -> int | None:
        """See :class:`Engine`."""
        refused = self.filter(pod, snapshot)
        nodes = snapshot.core.nodes
        feasible = [number for number in range(len(nodes)) if number not in refused]
        if len(feasible) < 2:
            return feasible[0] if feasible else None
        totals = [total(row) for row in self.score(pod, snapshot, feasible)]
        ties = best_of(feasible, totals)
        names = [nodes[number].name for number in ties]
        return ties[tie_breaker(names) if tie_breaker and len(ties) > 1 else 0]


def total(row: Mapping[str, Score]) -> int:
    """A node's total: the sum of its weighted scores."""
    return sum(score.weighted for score in row.values())


def best_of(feasible: Sequence[int], totals: Sequence[int]) -> list[int]:
    """The nodes with the highest total, in node order."""
    highest = max(totals)
    return [number for number, value in zip(feasible, totals, strict=True) if value == highest]


class _Cycle:
    """One scheduling cycle: what the PreFilter plugins found, and the Filter plugins in their order."""

    def __init__(self, pod: PodInfo, snapshot: Snapshot, states: Sequence[NodeState]) -> None:
        self.pod, self.states, self.objects = pod, states, snapshot.objects
        self.profile: Profile = snapshot.profile
        self.names = nodefilters.pinned_nodes(pod.spec)
        self.volumes = volumes.prefilter(pod, self.objects)
        self.spread = spread.prefilter(pod, states)
        self.interpod = interpod.prefilter(pod, states, self.objects.namespaces)

    def refusal(self, node: NodeState) -> Status | None:
        """The first plugin's refusal of the node."""
        pod, info = self.pod, node.info
        if self.names is not None and info.name not in self.names:
            return nodefilters.NOT_PINNED
        others = (other for state in self.states for other in state.pods)
        return (
            nodefilters.unschedulable_filter(pod.spec, info)
            or nodefilters.name_filter(pod.spec, info)
            or nodefilters.taint_filter(pod.spec, info)
            or nodefilters.affinity_filter(pod.spec, info, self.profile.added_nodes)
            or nodefilters.ports_filter(pod.spec, node)
            or noderesources.fit_filter(pod, node, self.profile.fit)
            or volumes.restrictions_filter(self.volumes, node, others)
            or volumes.limits_filter(self.volumes, node)
            or volumebinding.binding_filter(self.volumes, info)
            or volumes.zone_filter(self.volumes, info)
            or spread.spread_filter(pod, info, self.spread)
            or interpod.interpod_filter(pod, info, self.interpod, self.objects.namespaces)
        )


def raw_scores(
    pod: PodInfo, snapshot: Snapshot, states: Sequence[NodeState], chosen: Sequence[NodeState]
) -> list[tuple[str, list[int], list[int]]]:
    """(plugin, raw scores, scores 0..100) of every score plugin that has something to say about ``chosen``."""
    profile, namespaces, spec = snapshot.profile, snapshot.objects.namespaces, pod.spec
    taints = [nodefilters.taint_score(spec, node.info) for node in chosen]
    found = [("TaintToleration", taints, nodefilters.normalise(taints, reverse=True))]
    if spec.preferred_nodes or profile.added_preferences:
        raw = [nodefilters.affinity_score(spec, node.info, profile.added_preferences) for node in chosen]
        found.append(("NodeAffinity", raw, nodefilters.normalise(raw)))
    fit = [noderesources.fit_score(pod, node, profile.fit) for node in chosen]
    found.append(("NodeResourcesFit", fit, fit))
    selector = None if pod.terms.spread else default_selector(pod, snapshot.objects)
    constraints = spread.soft_constraints(pod, selector, profile.spread_defaults)
    if constraints:
        require_all = bool(pod.terms.spread) or not profile.system_defaulted
        spreads = spread.spread_scores(pod, states, chosen, constraints, require_all=require_all)
        found.append(("PodTopologySpread", [item or 0 for item in spreads], spread.normalise_spread(spreads)))
    between = interpod.interpod_scores(
        pod,
        states,
        [node.info for node in chosen],
        namespaces,
        profile.hard_pod_affinity_weight,
        ignore_existing=profile.ignore_preferred_terms_of_existing_pods,
    )
    if between is not None:
        found.append(("InterPodAffinity", between, interpod.normalise_interpod(between)))
    if not noderesources.is_best_effort(pod, profile.balanced_resources):
        balanced = [noderesources.balanced_score(pod, node, profile.balanced_resources) for node in chosen]
        found.append(("NodeResourcesBalancedAllocation", balanced, balanced))
    holders = nodefilters.image_spread(state.info for state in states)
    images = [nodefilters.image_score(spec, node.info, holders, len(states)) for node in chosen]
    found.append(("ImageLocality", images, images))
    return found
