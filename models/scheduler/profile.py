"""The scheduler profile: plugin weights and arguments, by default those of Kubernetes 1.33.

Source: pkg/scheduler/apis/config/v1/{default_plugins,defaults}.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.scheduler.noderesources import FitScoring
from models.scheduler.podinfo import CPU, MEMORY, PreferredNodeTerm, SpreadConstraint
from models.scheduler.selectors import NodeSelector
from models.scheduler.spread import SYSTEM_DEFAULTS

SCORE_PLUGINS = (
    "TaintToleration",
    "NodeAffinity",
    "NodeResourcesFit",
    "PodTopologySpread",
    "InterPodAffinity",
    "NodeResourcesBalancedAllocation",
    "ImageLocality",
)
"""The plugins that score nodes in the default profile, in their order there."""


def _default_weights() -> Mapping[str, int]:
    return {
        "TaintToleration": 3,
        "NodeAffinity": 2,
        "NodeResourcesFit": 1,
        "PodTopologySpread": 2,
        "InterPodAffinity": 2,
        "NodeResourcesBalancedAllocation": 1,
        "ImageLocality": 1,
    }


@dataclass(frozen=True)
class Profile:
    """Weights of the score plugins and the arguments that change results.

    ``spread_defaults`` are the default topology spread constraints, ``system_defaulted`` whether they are the built-in
    ones (which also score nodes without a zone label). ``min_candidates`` and ``min_candidate_percent`` bound how many
    nodes a preemption tries. ``added_nodes`` and ``added_preferences`` are NodeAffinity's ``addedAffinity``, parsed.
    """

    weights: Mapping[str, int] = field(default_factory=_default_weights)
    fit: FitScoring = field(default_factory=FitScoring)
    balanced_resources: tuple[str, ...] = (CPU, MEMORY)
    hard_pod_affinity_weight: int = 1
    ignore_preferred_terms_of_existing_pods: bool = False
    spread_defaults: tuple[SpreadConstraint, ...] = SYSTEM_DEFAULTS
    system_defaulted: bool = True
    min_candidates: int = 100
    min_candidate_percent: int = 10
    preemption: bool = True
    added_nodes: NodeSelector | None = None
    added_preferences: tuple[PreferredNodeTerm, ...] = ()
