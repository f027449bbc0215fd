"""The vectorised scheduler: every plugin over all nodes at once, with counts kept up to date. Twin of :mod:`.plain`.

Cost per pod of a known spec: O(nodes changed since that spec was last seen) plus a few passes over arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence

import numpy as np

from models.scheduler import interpod, noderesources, spread, volumebinding, volumes
from models.scheduler.core import Core, IntArray
from models.scheduler.decision import Score, TieBreaker
from models.scheduler.index import BoolArray, HeldTerms, NodeLabels, PodCounts
from models.scheduler.nodeinfo import NodeInfo, NodeState
from models.scheduler.objects import Objects, default_selector
from models.scheduler.podinfo import AffinityTerm, PodInfo, PodSpec, SpreadConstraint
from models.scheduler.profile import Profile
from models.scheduler.selectors import Selector, node_selector
from models.scheduler.snapshot import Snapshot
from models.scheduler.specindex import PORTS_TAKEN, SpecIndex
from models.scheduler.status import (
    EXISTING_ANTI_AFFINITY,
    POD_AFFINITY,
    POD_ANTI_AFFINITY,
    RWOP_CONFLICT,
    SPREAD,
    SPREAD_LABEL,
    PodRefused,
    Status,
)
from models.scheduler.taints import first_untolerated

MAX_SCORE = 100
_MOST_MASKS = 1024
_MOST_CELLS = 4_000_000
"""Specs times nodes that are remembered, about 60 bytes each."""

_Check = Callable[[int], Status | None]
_Held = tuple[str, IntArray, int]
"""Topology key, pods per node that hold the term, weight."""

_Scores = tuple[str, IntArray, IntArray]


class VectorEngine:
    """The :class:`models.scheduler.plain.Engine` on arrays. Stateless: what it remembers hangs on the core."""

    def filter(self, pod: PodInfo, snapshot: Snapshot) -> dict[int, Status]:
        """See :class:`models.scheduler.plain.Engine`."""
        refusals = _memory(snapshot).refusals(pod, snapshot)
        statuses = refusals.statuses
        return {
            number: statuses[code]
            for number, code in zip(
                np.flatnonzero(refusals.codes).tolist(),
                refusals.codes[refusals.codes > 0].tolist(),
                strict=True,
            )
        }

    def check(self, pod: PodInfo, snapshot: Snapshot, node: int) -> Status | None:
        """See :class:`models.scheduler.plain.Engine`."""
        refusals = _memory(snapshot).refusals(pod, snapshot)
        code = int(refusals.codes[node])
        return refusals.statuses[code] if code else None

    def score(self, pod: PodInfo, snapshot: Snapshot, feasible: Sequence[int]) -> list[dict[str, Score]]:
        """See :class:`models.scheduler.plain.Engine`."""
        memory = _memory(snapshot)
        chosen = np.array(feasible, np.int64)
        rows: list[dict[str, Score]] = [{} for _ in feasible]
        for plugin, raw, normalised in memory.scores(pod, snapshot, chosen):
            weight = snapshot.profile.weights.get(plugin, 0)
            if weight:
                for row, first, second in zip(rows, raw.tolist(), normalised.tolist(), strict=True):
                    row[plugin] = Score(first, second, second * weight)
        return rows

    def best(self, pod: PodInfo, snapshot: Snapshot, tie_breaker: TieBreaker | None) -> int | None:
        """The chosen node, None where no node fits. Raises :class:`PodRefused` when PreFilter refuses the pod."""
        memory = _memory(snapshot)
        quick = memory.plain_totals(pod)
        if quick is not None:
            return _pick(quick, None, snapshot, tie_breaker)
        feasible = np.flatnonzero(memory.refusals(pod, snapshot).codes == 0)
        if feasible.size < 2:
            return int(feasible[0]) if feasible.size else None
        total = np.zeros(feasible.size, np.int64)
        for plugin, _, normalised in memory.scores(pod, snapshot, feasible):
            total += snapshot.profile.weights.get(plugin, 0) * normalised
        return _pick(total, feasible, snapshot, tie_breaker)


def _pick(totals: IntArray, nodes: IntArray | None, snapshot: Snapshot, tie_breaker: TieBreaker | None) -> int | None:
    """The position of the best total (-1 marks refusal); ``nodes`` translates positions where totals are a subset."""
    first = int(totals.argmax())
    best = totals[first]
    if best < 0:
        return None
    if tie_breaker is not None:
        ties = np.flatnonzero(totals == best)
        if ties.size > 1:
            numbers = ties if nodes is None else nodes[ties]
            first = int(ties[tie_breaker(NodeNames(snapshot.core, numbers))])
    return first if nodes is None else int(nodes[first])


class NodeNames(Sequence[str]):
    """The names of some nodes, looked up only when asked for: a tie among thousands of nodes costs nothing."""

    def __init__(self, core: Core, numbers: IntArray) -> None:
        self._nodes, self._numbers = core.nodes, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, position: int) -> str:  # type: ignore[override]  # slices make no sense here
        return self._nodes[int(self._numbers[position])].name


class _Refusals:
    """A refusal code per node (0 for none) and what the codes mean."""

    def __init__(self, codes: IntArray, statuses: Iterable[Status]) -> None:
        self.codes = codes
        self.statuses = list(statuses)

    def add(self, mask: BoolArray, status: Status) -> None:
        """Refuse the nodes of ``mask`` that nobody has refused yet."""
        fresh = mask & (self.codes == 0)
        if fresh.any():
            self.codes[fresh] = len(self.statuses)
            self.statuses.append(status)


def _memory(snapshot: Snapshot) -> _Memory:
    """What is remembered about the snapshot's core; forgotten in part when objects or profile are others."""
    core = snapshot.core
    memory = core.memory
    if not isinstance(memory, _Memory) or memory.profile is not snapshot.profile:
        core.listeners.clear()
        memory = core.memory = _Memory(core, snapshot.profile, snapshot.objects)
    elif memory.objects is not snapshot.objects:
        memory.use(snapshot.objects)
    return memory


class _Memory:
    """Caches over one core under one profile."""

    def __init__(self, core: Core, profile: Profile, objects: Objects) -> None:
        self.core, self.profile, self.objects = core, profile, objects
        self.labels = NodeLabels(core)
        self.counts = PodCounts(core)
        self.held = HeldTerms(core, profile.hard_pod_affinity_weight)
        self.specs: dict[PodSpec, SpecIndex] = {}
        self._defaults: dict[Hashable, Selector] = {}
        self._matching: dict[Hashable, tuple[int, tuple[list[_Held], list[_Held]]]] = {}
        self._eligible: dict[Hashable, BoolArray] = {}

    def use(self, objects: Objects) -> None:
        """Go on with other objects; what depends on namespaces or selectors of the old ones is forgotten."""
        if objects.namespaces is not self.objects.namespaces:
            self._matching.clear()
        self.counts.clear()
        self._defaults.clear()
        self.objects = objects

    def spec(self, spec: PodSpec) -> SpecIndex:
        """The up-to-date arrays of a spec."""
        found = self.specs.get(spec)
        if found is None:
            if len(self.specs) >= max(64, _MOST_CELLS // len(self.core.nodes)):
                del self.specs[next(iter(self.specs))]
            found = self.specs[spec] = SpecIndex(spec, self.core, self.labels, self.profile)
        else:
            found.refresh()
        return found

    def plain_totals(self, pod: PodInfo) -> IntArray | None:
        """Totals over all nodes (-1 for refusals) for a pod that no inter-pod term concerns, else None."""
        if not pod.spec.ordinary:
            return None
        anti, others = self.matching(pod)
        if anti or others:
            return None
        index, weights = self.spec(pod.spec), self.profile.weights
        constraints = spread.soft_constraints(pod, self.default_selector(pod), self.profile.spread_defaults)
        if index.taints is None and index.preferred is None and not constraints:
            return index.plain
        good = index.plain >= 0
        total = index.plain
        for plugin, raw in (("TaintToleration", index.taints), ("NodeAffinity", index.preferred)):
            highest = 0 if raw is None else int(raw[good].max(initial=0))
            if raw is not None and highest > 0:
                scaled = MAX_SCORE * raw // highest
                # The constant 100 of the reversed score changes no comparison.
                total = total + weights.get(plugin, 0) * (-scaled if plugin == "TaintToleration" else scaled)
        if constraints:
            total = total + weights.get("PodTopologySpread", 0) * self._spread_scores(pod, constraints, good)[1]
        # The lowest total is that of the reversed taints, -100 times their weight.
        return np.where(good, total + MAX_SCORE * weights.get("TaintToleration", 0), -1)

    def default_selector(self, pod: PodInfo) -> Selector:
        """The selector of system default spreading, remembered by labels and owner; empty with own constraints."""
        if pod.terms.spread:
            return Selector()
        key = pod.identity[1]
        found = self._defaults.get(key)
        if found is None:
            found = self._defaults[key] = default_selector(pod, self.objects)
        return found

    def matching(self, pod: PodInfo) -> tuple[list[_Held], list[_Held]]:
        """Terms of bound pods that mean this pod: the anti-affinity ones, and those that only weigh."""
        key, size = pod.identity[1], len(self.held.counts)
        known = self._matching.get(key)
        if known is not None and known[0] == size:
            return known[1]
        anti: list[_Held] = []
        others: list[_Held] = []
        namespaces = self.objects.namespaces
        for held, counts in self.held.counts.items():
            if interpod.their_term_matches(held.term, pod, namespaces):
                (anti if held.anti else others).append((held.term.topology_key, counts, held.weight))
        self._matching[key] = (size, (anti, others))
        return anti, others

    def refusals(self, pod: PodInfo, snapshot: Snapshot) -> _Refusals:
        """The refusal of every node by the first plugin that objects."""
        state = volumes.prefilter(pod, self.objects)
        constraints = spread.hard_constraints(pod)
        if pod.terms.error:
            raise PodRefused("InterPodAffinity", f"parsing pod: {pod.terms.error}")
        index = self.spec(pod.spec)
        found = _Refusals(index.static.copy(), index.statuses)
        if pod.spec.host_ports:
            found.add(~index.free_ports, PORTS_TAKEN)
        if not index.fits.all():
            codes, statuses = index.fit_statuses()
            for number, status in enumerate(statuses):
                found.add(codes == number, status)
        self._volumes(pod, snapshot, state, found)
        self._spread(pod, constraints, found)
        self._interpod(pod, found)
        return found

    def _volumes(self, pod: PodInfo, snapshot: Snapshot, state: volumes.VolumeState, found: _Refusals) -> None:
        spec = pod.spec
        if not spec.uses_claims and not spec.uses_disks:
            return
        core = self.core
        if spec.uses_disks:
            self._each(found, lambda number: volumes.restrictions_filter(state, self._state(number), ()))
        if state.exclusive:
            key = ("exclusive", pod.namespace, state.exclusive)
            users = self.counts.count(key, lambda other: volumes.uses_exclusive(state, other))
            if users.any():
                everywhere = np.ones(len(core.nodes), np.bool_)
                found.add(everywhere, Status("VolumeRestrictions", (RWOP_CONFLICT,)))
        if not spec.uses_claims:
            return
        if self.objects.csi_nodes and state.csi_volumes:
            self._each(found, lambda number: volumes.limits_filter(state, self._state(number)))
        for mask, chosen in self._alike(state):
            status = volumebinding.binding_filter(state, chosen)
            if status is not None:
                found.add(mask, status)
        if state.zones:
            self._each(found, lambda number: volumes.zone_filter(state, core.nodes[number]))

    def _alike(self, state: volumes.VolumeState) -> Iterable[tuple[BoolArray, NodeInfo]]:
        """Groups of nodes that VolumeBinding cannot tell apart, each with one of its nodes."""
        nodes = self.core.nodes
        masks = []
        for required in volumebinding.node_requirements(state):
            if required is None:
                for number, node in enumerate(nodes):
                    single = np.zeros(len(nodes), np.bool_)
                    single[number] = True
                    yield single, node
                return
            masks.append(self.labels.node_selector(node_selector(required), fields=False))
        kinds = np.zeros(len(nodes), np.int64)
        for mask in masks:
            kinds = np.unique(kinds * 2 + mask, return_inverse=True)[1]
        for kind in range(int(kinds.max(initial=0)) + 1):
            here = kinds == kind
            yield here, nodes[int(here.argmax())]

    def _state(self, number: int) -> NodeState:
        return NodeState(self.core.nodes[number], self.core.pods[number])

    def _each(self, found: _Refusals, check: _Check) -> None:
        """Ask a one-node filter about every node that is still in the running."""
        for number in np.flatnonzero(found.codes == 0).tolist():
            status = check(number)
            if status is not None:
                if status not in found.statuses:
                    found.statuses.append(status)
                found.codes[number] = found.statuses.index(status)

    def _pods_matching(self, namespace: str, selector: Selector) -> IntArray:
        """Pods per node that topology spreading counts."""
        if selector.empty:
            return np.zeros(len(self.core.nodes), np.int64)
        return self.counts.count(
            ("spread", namespace, selector),
            lambda other: not other.terminating and other.namespace == namespace and selector.matches(other.labels),
        )

    def _eligible_nodes(self, pod: PodInfo, constraint: SpreadConstraint, keys: Sequence[str]) -> BoolArray:
        """Nodes that carry all ``keys`` and pass the constraint's inclusion policies."""
        identity = (pod.spec, constraint.honor_affinity, constraint.honor_taints, tuple(keys))
        known = self._eligible.get(identity)
        if known is not None:
            return known
        mask = np.ones(len(self.core.nodes), np.bool_)
        for key in keys:
            mask &= self.labels.column(key).present
        if constraint.honor_affinity:
            mask &= self.spec(pod.spec).affinity
        if constraint.honor_taints:
            tolerations = pod.spec.tolerations
            mask &= np.array(
                [first_untolerated(node.taints, tolerations) is None for node in self.core.nodes], np.bool_
            )
        if len(self._eligible) >= _MOST_MASKS:
            self._eligible.clear()
        self._eligible[identity] = mask
        return mask

    def _spread(self, pod: PodInfo, constraints: Sequence[SpreadConstraint], found: _Refusals) -> None:
        keys = [item.topology_key for item in constraints]
        for constraint in constraints:
            column = self.labels.column(constraint.topology_key)
            eligible = self._eligible_nodes(pod, constraint, keys)
            totals = column.totals(self._pods_matching(pod.namespace, constraint.selector), eligible)
            occupied = column.occupied(eligible)
            domains = int(occupied.sum())
            enough = domains >= constraint.min_domains and domains > 0
            lowest = int(totals[occupied].min()) if enough else 0
            itself = 1 if constraint.selector.matches(pod.labels) else 0
            found.add(~column.present, Status("PodTopologySpread", (SPREAD_LABEL,), True))
            skewed = totals + itself - lowest > constraint.max_skew
            found.add(skewed[column.slots], Status("PodTopologySpread", (SPREAD,)))

    def _own_term(self, term: AffinityTerm) -> IntArray:
        """Pods per node that one of the incoming pod's terms means."""
        namespaces = self.objects.namespaces
        return self.counts.count(
            ("term", term.selector, term.namespaces, term.namespace_selector),
            lambda other: interpod.own_term_matches(term, other, namespaces),
        )

    def _interpod(self, pod: PodInfo, found: _Refusals) -> None:
        terms = pod.terms
        if terms.affinity:
            self._affinity(pod, found)
        for term in terms.anti_affinity:
            column = self.labels.column(term.topology_key)
            full = column.totals(self._own_term(term)) > 0
            full[0] = False
            found.add(full[column.slots], Status("InterPodAffinity", (POD_ANTI_AFFINITY,)))
        for key, counts, _ in self.matching(pod)[0]:
            column = self.labels.column(key)
            full = column.totals(counts) > 0
            full[0] = False
            found.add(full[column.slots], Status("InterPodAffinity", (EXISTING_ANTI_AFFINITY,)))

    def _affinity(self, pod: PodInfo, found: _Refusals) -> None:
        terms, namespaces = pod.terms.affinity, self.objects.namespaces
        together = self.counts.count(
            ("terms", terms),
            lambda other: all(interpod.own_term_matches(term, other, namespaces) for term in terms),
        )
        size = len(self.core.nodes)
        labelled, satisfied, anywhere = np.ones(size, np.bool_), np.ones(size, np.bool_), False
        # Upstream counts per pair over all terms, so a key that two terms share is simply counted twice.
        for term in terms:
            column = self.labels.column(term.topology_key)
            totals = column.totals(together)
            anywhere = anywhere or bool(totals[1:].any())
            labelled &= column.present
            satisfied &= (totals > 0)[column.slots]
        fine = labelled & satisfied
        if not anywhere and interpod.matches_own_terms(pod, namespaces):
            fine = labelled
        found.add(~fine, Status("InterPodAffinity", (POD_AFFINITY,), True))

    def scores(self, pod: PodInfo, snapshot: Snapshot, chosen: IntArray) -> Iterable[_Scores]:
        """(plugin, raw, scores 0..100) of every score plugin that has something to say about the ``chosen`` nodes."""
        index = self.spec(pod.spec)
        zeros = np.zeros(chosen.size, np.int64)
        taints = zeros if index.taints is None else index.taints[chosen]
        yield "TaintToleration", taints, _normalise(taints, reverse=True)
        if pod.spec.preferred_nodes or self.profile.added_preferences:
            preferred = zeros if index.preferred is None else index.preferred[chosen]
            yield "NodeAffinity", preferred, _normalise(preferred)
        fit = index.fit_score[chosen]
        yield "NodeResourcesFit", fit, fit
        constraints = spread.soft_constraints(pod, self.default_selector(pod), self.profile.spread_defaults)
        if constraints:
            candidates = np.zeros(len(self.core.nodes), np.bool_)
            candidates[chosen] = True
            raw, normalised = self._spread_scores(pod, constraints, candidates)
            yield "PodTopologySpread", raw[chosen], normalised[chosen]
        between = self._interpod_scores(pod, chosen)
        if between is not None:
            yield "InterPodAffinity", between, _normalise_interpod(between)
        if not noderesources.is_best_effort(pod, self.profile.balanced_resources):
            balanced = index.balanced_score[chosen]
            yield "NodeResourcesBalancedAllocation", balanced, balanced
        images = index.images[chosen]
        yield "ImageLocality", images, images

    def _spread_scores(
        self, pod: PodInfo, constraints: Sequence[SpreadConstraint], candidates: BoolArray
    ) -> tuple[IntArray, IntArray]:
        """PodTopologySpread's raw and normalised scores of all nodes; those of ``candidates`` mean something."""
        require_all = bool(pod.terms.spread) or not self.profile.system_defaulted
        keys = [item.topology_key for item in constraints] if require_all else []
        kept = candidates
        for key in keys:
            kept = kept & self.labels.column(key).present
        score = np.zeros(len(self.core.nodes))
        for constraint in constraints:
            column = self.labels.column(constraint.topology_key)
            counts = self._pods_matching(pod.namespace, constraint.selector)
            offset = float(constraint.max_skew - 1)
            if constraint.topology_key == spread.HOSTNAME:
                part = counts * math.log(int(kept.sum()) + 2) + offset
            else:
                totals = column.totals(counts, self._eligible_nodes(pod, constraint, keys))
                # Nodes without the label count as one more domain, which upstream keys with the empty value.
                part = (totals * math.log(column.domains(kept) + 2) + offset)[column.slots]
            score += part if column.complete else np.where(column.present, part, 0.0)
        whole = np.floor(score)
        raw = (whole + (score - whole >= 0.5)).astype(np.int64)
        return np.where(kept, raw, 0), _normalise_spread(raw, kept)

    def _interpod_scores(self, pod: PodInfo, chosen: IntArray) -> IntArray | None:
        own = [(item.term.topology_key, self._own_term(item.term), item.weight) for item in pod.terms.preferred]
        if self.profile.ignore_preferred_terms_of_existing_pods and not own:
            return None
        total = np.zeros(chosen.size, np.int64)
        counted = False
        for key, counts, weight in (*own, *self.matching(pod)[1]):
            column = self.labels.column(key)
            totals = column.totals(counts)
            totals[0] = 0
            if totals.any():
                counted = True
                total += weight * totals[column.slots[chosen]]
        return total if counted else None


def _normalise(scores: IntArray, *, reverse: bool = False) -> IntArray:
    highest = int(scores.max(initial=0))
    if highest <= 0:
        return np.full(scores.size, MAX_SCORE, np.int64) if reverse else scores
    scaled = MAX_SCORE * scores // highest
    return MAX_SCORE - scaled if reverse else scaled


def _normalise_spread(scores: IntArray, kept: BoolArray) -> IntArray:
    low, high = int(scores.min(where=kept, initial=2**62)), int(scores.max(where=kept, initial=0))
    if high == 0:
        return np.where(kept, MAX_SCORE, 0)
    return np.where(kept, MAX_SCORE * (high + low - scores) // high, 0)


def _normalise_interpod(scores: IntArray) -> IntArray:
    low, high = int(scores.min(initial=2**62)), int(scores.max(initial=-(2**62)))
    if high <= low:
        return np.zeros(scores.size, np.int64)
    return (float(MAX_SCORE) * ((scores - low) / float(high - low))).astype(np.int64)
