"""KubeSchedulerConfiguration: the profiles that a cluster's own scheduler runs with.

Source: pkg/scheduler/apis/config/v1/{default_plugins,defaults}.go and staging kube-scheduler/config/v1/types.go
(Kubernetes 1.33). Filters cannot be switched off here; everything that changes a score can.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from models.errors import InputError, Problem, Where
from models.objects import KubeObject, Manifest, dig
from models.scheduler.noderesources import FitScoring
from models.scheduler.objects import default_selector
from models.scheduler.podinfo import parse_preferred_nodes, spread_constraint
from models.scheduler.profile import SCORE_PLUGINS, Profile
from models.scheduler.selectors import node_selector
from models.scheduler.snapshot import Snapshot

KIND: Final = "KubeSchedulerConfiguration"
DEFAULT_SCHEDULER: Final = "default-scheduler"
PREEMPTION: Final = "DefaultPreemption"

_POINTS_OF_SCORES: Final = ("preScore", "score")
_IRRELEVANT: Final = frozenset(
    {"VolumeBinding", "PrioritySort", "DefaultBinder", "SchedulingGates", "DynamicResources"}
)
"""Score plugins whose score is 0 unless an alpha feature is on; enabling them changes nothing."""

_STRATEGIES: Final = ("LeastAllocated", "MostAllocated", "RequestedToCapacityRatio")


def read_profiles(item: KubeObject) -> Mapping[str, Profile]:
    """The profiles of a configuration by scheduler name; without any, the default one under its default name.

    Raises :class:`models.errors.InputError` naming every field that is wrong or asks for what cannot be done here.
    """
    problems: list[Problem] = []
    found: dict[str, Profile] = {}
    for index, entry in enumerate(dig(item.manifest, "profiles", default=[])):
        name = str(entry.get("schedulerName") or DEFAULT_SCHEDULER)
        reader = _Reader(item, f"profiles[{index}]", problems)
        if name in found:
            reader.complain("schedulerName", f"two profiles are called {name!r}", "give each its own name")
        found[name] = reader.profile(entry)
    if problems:
        raise InputError(problems)
    return found or {DEFAULT_SCHEDULER: Profile()}


def with_default_spread(pod: Manifest, snapshot: Snapshot) -> Manifest:
    """The pod with the profile's default spread constraints written into it, where some of them refuse nodes.

    As upstream, they apply to a pod without constraints of its own that a Service or its controller selects
    (podtopologyspread/common.go ``buildDefaultConstraints``). Defaults that only score need no rewriting: the profile
    carries them.
    """
    defaults = snapshot.profile.spread_defaults
    if dig(pod, "spec", "topologySpreadConstraints") or not any(item.hard for item in defaults):
        return pod
    selector = default_selector(snapshot.parse(pod), snapshot.objects)
    if selector.empty:
        return pod
    expressions = [
        {"key": item.key, "operator": item.op, "values": list(item.values)} for item in selector.requirements
    ]
    written = [
        {
            "maxSkew": item.max_skew,
            "topologyKey": item.topology_key,
            "whenUnsatisfiable": "DoNotSchedule" if item.hard else "ScheduleAnyway",
            "labelSelector": {"matchExpressions": expressions},
            "minDomains": item.min_domains,
            "nodeAffinityPolicy": "Honor" if item.honor_affinity else "Ignore",
            "nodeTaintsPolicy": "Honor" if item.honor_taints else "Ignore",
        }
        for item in defaults
    ]
    return {**pod, "spec": {**(pod.get("spec") or {}), "topologySpreadConstraints": written}}


class _Reader:
    """Reads one profile and notes its problems."""

    def __init__(self, item: KubeObject, base: str, problems: list[Problem]) -> None:
        self.item, self.base, self.problems = item, base, problems

    def complain(self, field: str, what: str, way_out: str) -> None:
        origin = self.item.origin
        self.problems.append(Problem(Where(origin.file, origin.line, f"{self.base}.{field}"), what, way_out))

    def profile(self, entry: Mapping[str, Any]) -> Profile:
        plugins = entry.get("plugins") or {}
        profile = replace(Profile(), weights=self._weights(plugins), preemption=_preempts(plugins))
        readers = {
            "NodeResourcesFit": self._fit,
            "NodeResourcesBalancedAllocation": self._balanced,
            "InterPodAffinity": self._inter_pod,
            "PodTopologySpread": self._spread,
            "NodeAffinity": self._node_affinity,
            PREEMPTION: self._preemption,
        }
        for number, configured in enumerate(entry.get("pluginConfig") or ()):
            reader = readers.get(str(configured.get("name")))
            if reader is None:
                continue
            try:
                profile = reader(profile, configured.get("args") or {})
            except (TypeError, ValueError, AttributeError) as error:
                self.complain(f"pluginConfig[{number}].args", str(error), "see the scheduler configuration reference")
        return profile

    def _weights(self, plugins: Mapping[str, Any]) -> Mapping[str, int]:
        """Weights after ``multiPoint`` and the score points, which win over it; 0 stands for 1."""
        weights = dict(Profile().weights)
        for point in ("multiPoint", *_POINTS_OF_SCORES, "filter", "preFilter"):
            for disabled in _names(plugins, point, "disabled"):
                if point in _POINTS_OF_SCORES:
                    weights = {} if disabled == "*" else {k: v for k, v in weights.items() if k != disabled}
                elif point == "multiPoint" and disabled in ("ImageLocality", "NodeResourcesBalancedAllocation"):
                    weights.pop(disabled, None)
                elif not (point == "multiPoint" and disabled == PREEMPTION):
                    self.complain(
                        f"plugins.{point}.disabled",
                        f"{disabled!r} also filters nodes, and filters cannot be switched off here",
                        f"disable it under plugins.score to change scores alone: {', '.join(SCORE_PLUGINS)}",
                    )
            for number, enabled in enumerate(dig(plugins, point, "enabled", default=[])):
                name = str(enabled.get("name"))
                if name in SCORE_PLUGINS and point in ("multiPoint", "score"):
                    weights[name] = int(enabled.get("weight") or 1)
                elif point == "score" and name not in _IRRELEVANT:
                    self.complain(
                        f"plugins.{point}.enabled[{number}]",
                        f"the score plugin {name!r} is not known",
                        f"known are {', '.join(SCORE_PLUGINS)}",
                    )
        return weights

    def _fit(self, profile: Profile, args: Mapping[str, Any]) -> Profile:
        strategy = args.get("scoringStrategy") or {}
        kind = str(strategy.get("type") or "LeastAllocated")
        if kind not in _STRATEGIES:
            raise ValueError(f"scoringStrategy.type {kind!r} is none of {', '.join(_STRATEGIES)}")
        shape = tuple(
            (int(point.get("utilization") or 0), int(point.get("score") or 0))
            for point in dig(strategy, "requestedToCapacityRatio", "shape", default=[])
        )
        if kind == "RequestedToCapacityRatio" and not shape:
            raise ValueError("scoringStrategy.requestedToCapacityRatio.shape: at least one point must be specified")
        fit = FitScoring(
            strategy=kind,  # type: ignore[arg-type]  # one of the literals, as checked above
            resources=_weighted(strategy.get("resources")) or FitScoring().resources,
            shape=shape or FitScoring().shape,
            ignored_resources=frozenset(map(str, args.get("ignoredResources") or ())),
            ignored_groups=frozenset(map(str, args.get("ignoredResourceGroups") or ())),
        )
        return replace(profile, fit=fit)

    def _balanced(self, profile: Profile, args: Mapping[str, Any]) -> Profile:
        names = tuple(name for name, _ in _weighted(args.get("resources")))
        return replace(profile, balanced_resources=names or profile.balanced_resources)

    def _inter_pod(self, profile: Profile, args: Mapping[str, Any]) -> Profile:
        weight = args.get("hardPodAffinityWeight")
        return replace(
            profile,
            hard_pod_affinity_weight=1 if weight is None else int(weight),
            ignore_preferred_terms_of_existing_pods=bool(args.get("ignorePreferredTermsOfExistingPods")),
        )

    def _spread(self, profile: Profile, args: Mapping[str, Any]) -> Profile:
        if args.get("defaultingType") != "List":
            return profile
        constraints = tuple(spread_constraint(item, {}) for item in args.get("defaultConstraints") or ())
        return replace(profile, spread_defaults=constraints, system_defaulted=False)

    def _node_affinity(self, profile: Profile, args: Mapping[str, Any]) -> Profile:
        added = args.get("addedAffinity") or {}
        required = added.get("requiredDuringSchedulingIgnoredDuringExecution")
        preferred = added.get("preferredDuringSchedulingIgnoredDuringExecution")
        return replace(
            profile,
            added_nodes=None if required is None else node_selector(required),
            added_preferences=parse_preferred_nodes(preferred),
        )

    def _preemption(self, profile: Profile, args: Mapping[str, Any]) -> Profile:
        percent, absolute = args.get("minCandidateNodesPercentage"), args.get("minCandidateNodesAbsolute")
        return replace(
            profile,
            min_candidate_percent=profile.min_candidate_percent if percent is None else int(percent),
            min_candidates=profile.min_candidates if absolute is None else int(absolute),
        )


def _preempts(plugins: Mapping[str, Any]) -> bool:
    if PREEMPTION in _names(plugins, "postFilter", "enabled"):
        return True
    return not any(
        name in (PREEMPTION, "*")
        for point in ("multiPoint", "postFilter")
        for name in _names(plugins, point, "disabled")
    )


def _names(plugins: Mapping[str, Any], point: str, side: str) -> list[str]:
    return [str(item.get("name")) for item in dig(plugins, point, side, default=[])]


def _weighted(resources: Iterable[Mapping[str, Any]] | None) -> tuple[tuple[str, int], ...]:
    return tuple((str(item.get("name")), int(item.get("weight") or 1)) for item in resources or ())
