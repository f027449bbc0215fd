"""What :mod:`sim.explain` answers: one record per pod, node, score, object and quota."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from models.objects import Manifest, ObjectKey, Origin
from models.rules.qos import QosClass
from models.rules.resources import ResourceList
from models.scheduler import Score
from models.scheduler.decision import Displacement
from models.scheduler.volumes import Binding
from sim.explain.quotabook import QuotaLine

State = Literal["refused", "scheduled", "preempting", "pending", "gated"]


@dataclass(frozen=True)
class ScoreLine:
    """One plugin's score of one node; ``weighted`` is what it adds to the node's total."""

    plugin: str
    score: Score
    weight: int


@dataclass(frozen=True)
class NodeAnswer:
    """What the scheduler finds on one node: the refusing plugin with its reasons, or the scores and their total.

    ``unresolvable``: no preemption on this node could help. A node that fits has no scores when the pod is bound to
    another one by a nomination.
    """

    node: str
    plugin: str = ""
    reasons: tuple[str, ...] = ()
    unresolvable: bool = False
    scores: tuple[ScoreLine, ...] = ()
    total: int | None = None

    @property
    def fits(self) -> bool:
        """Whether no plugin refuses the node."""
        return not self.plugin


@dataclass(frozen=True)
class AdmissionAnswer:
    """What the API server says. ``plugin`` refuses with ``message``; ``stored``: the pod was admitted before."""

    admitted: bool
    plugin: str = ""
    message: str = ""
    stored: bool = False
    quotas: tuple[QuotaLine, ...] = ()


@dataclass(frozen=True)
class PodAnswer:
    """One pod to come and what becomes of it; ``manifest`` is the pod as stored (or as refused)."""

    name: str
    namespace: str
    workload: str
    origin: Origin
    manifest: Manifest
    changes: tuple[tuple[str, Any, Any], ...]
    qos: QosClass
    priority: int
    requests: ResourceList
    limits: ResourceList
    usage: ResourceList
    admission: AdmissionAnswer
    state: State
    message: str = ""
    node: str | None = None
    nominated: str | None = None
    victims: tuple[str, ...] = ()
    displacements: tuple[Displacement, ...] = ()
    nodes: tuple[NodeAnswer, ...] = ()
    ties: tuple[str, ...] = ()
    volumes: tuple[Binding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """namespace/name."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class ObjectAnswer:
    """Another object to be created, and whether the API server takes it."""

    key: ObjectKey
    origin: Origin
    usage: ResourceList
    admission: AdmissionAnswer


@dataclass(frozen=True)
class NodeStock:
    """A node before the first pod comes: amounts in millicores for cpu and base units for everything else."""

    name: str
    origin: Origin
    allocatable: Mapping[str, int]
    requested: Mapping[str, int]
    pods: int
    taints: tuple[str, ...]


@dataclass(frozen=True)
class QuotaStock:
    """One quota: its keys with (hard, used before, used after); ``counted``: its use was counted from the objects."""

    namespace: str
    name: str
    counted: bool
    scopes: tuple[str, ...]
    keys: Mapping[str, tuple[str, str | None, str | None]]


@dataclass(frozen=True)
class Explanation:
    """All answers, and the state of the cluster before and after."""

    pods: tuple[PodAnswer, ...]
    objects: tuple[ObjectAnswer, ...]
    nodes: tuple[NodeStock, ...]
    quotas: tuple[QuotaStock, ...]
    ignored: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seed: int = 1
