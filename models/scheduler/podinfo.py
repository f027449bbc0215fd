"""A pod as the scheduler reads it: parsed once per distinct spec and labels, shared by all identical pods.

Sources: pkg/scheduler/framework/types.go (PodInfo, AffinityTerm, Resource), pkg/scheduler/util/pod_resources.go,
pkg/apis/core/v1/defaults.go (host ports of hostNetwork pods).
"""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from models.objects import dig, string_map
from models.rules.resources import ResourceOptions, is_sidecar, non_zero_requests, pod_requests
from models.scheduler.selectors import (
    NodeSelector,
    NodeTerm,
    Requirement,
    Selector,
    label_selector,
    make_requirement,
    node_selector,
    node_term,
    set_selector,
)
from models.scheduler.taints import Toleration

CPU, MEMORY, EPHEMERAL, PODS = "cpu", "memory", "ephemeral-storage", "pods"
_OPTIONS = ResourceOptions(use_status=True)
WILDCARD_IP = "0.0.0.0"

LARGEST = 2**56
"""The largest amount told apart (72 PB, or 72 trillion cores): a hundredfold of it still fits into int64."""


class HostPort(NamedTuple):
    """A host port that a pod occupies; ``ip`` 0.0.0.0 means every address."""

    ip: str
    protocol: str
    port: int


class PreferredNodeTerm(NamedTuple):
    """A preferred node affinity term and its weight (1..100)."""

    weight: int
    term: NodeTerm


class AffinityTerm(NamedTuple):
    """One (anti-)affinity term of a pod, with the namespaces resolved as far as the pod alone allows."""

    selector: Selector
    namespaces: frozenset[str]
    namespace_selector: Selector
    topology_key: str

    def matches(self, namespace: str, labels: Mapping[str, str], namespace_labels: Mapping[str, str]) -> bool:
        """Whether a pod with these labels in this namespace (whose own labels are given) is meant by the term."""
        if namespace in self.namespaces or self.namespace_selector.matches(namespace_labels):
            return self.selector.matches(labels)
        return False


class WeightedTerm(NamedTuple):
    """A preferred (anti-)affinity term; ``weight`` is negative for anti-affinity."""

    weight: int
    term: AffinityTerm


@dataclass(frozen=True)
class SpreadConstraint:
    """A topology spread constraint with its selector parsed and ``matchLabelKeys`` folded in."""

    max_skew: int
    topology_key: str
    hard: bool
    selector: Selector
    min_domains: int = 1
    honor_affinity: bool = True
    honor_taints: bool = False


@dataclass(frozen=True, eq=False)
class PodSpec:
    """Everything that follows from ``spec`` alone. Requests are in millicores for cpu and base units otherwise."""

    manifest: Mapping[str, Any]
    requests: Mapping[str, int]
    non_zero: tuple[int, int]
    tolerations: tuple[Toleration, ...]
    host_ports: tuple[HostPort, ...]
    node_name: str
    node_selector: Selector
    required_nodes: NodeSelector | None
    preferred_nodes: tuple[PreferredNodeTerm, ...]
    priority: int
    preempts: bool
    gates: tuple[str, ...]
    images: tuple[str, ...]
    volumes: tuple[Mapping[str, Any], ...]

    @cached_property
    def uses_claims(self) -> bool:
        """Whether a volume needs a PersistentVolumeClaim."""
        kinds = ("persistentVolumeClaim", "ephemeral")
        return any(item.get(kind) is not None for item in self.volumes for kind in kinds)

    @cached_property
    def uses_disks(self) -> bool:
        """Whether an inline disk can conflict with another pod's."""
        return any(item.get(kind) for item in self.volumes for kind in INLINE_DISKS)

    @cached_property
    def ordinary(self) -> bool:
        """Whether neither volumes, nor affinity, nor spreading of its own decide where the pod goes."""
        affinity = self.manifest.get("affinity") or {}
        return not (
            self.uses_claims
            or self.uses_disks
            or affinity.get("podAffinity")
            or affinity.get("podAntiAffinity")
            or self.manifest.get("topologySpreadConstraints")
        )


INLINE_DISKS = ("gcePersistentDisk", "awsElasticBlockStore", "iscsi", "rbd")


@dataclass(frozen=True, eq=False)
class PodInfo:
    """One pod. ``key`` is ``namespace/name``; ``start`` is ``status.startTime`` as text ("" when not started)."""

    manifest: Mapping[str, Any]
    name: str
    namespace: str
    labels: Mapping[str, str]
    spec: PodSpec
    terms: PodTerms
    terminating: bool
    start: str
    identity: tuple[bytes, bytes] = field(repr=False)

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"

    @property
    def priority(self) -> int:
        """``spec.priority``, 0 when unset."""
        return self.spec.priority

    @property
    def nominated(self) -> str:
        """``status.nominatedNodeName``, "" when unset."""
        return str(dig(dict(self.manifest), "status", "nominatedNodeName", default=""))


@dataclass(frozen=True, eq=False)
class PodTerms:
    """What follows from spec, namespace and labels together: inter-pod terms and spread constraints.

    ``error`` holds the parser's words when a selector of the (anti-)affinity cannot be parsed.
    """

    affinity: tuple[AffinityTerm, ...] = ()
    anti_affinity: tuple[AffinityTerm, ...] = ()
    preferred: tuple[WeightedTerm, ...] = ()
    spread: tuple[SpreadConstraint, ...] = ()
    error: str = ""
    spread_error: str = ""

    @cached_property
    def any_affinity(self) -> bool:
        """Whether the pod has any (anti-)affinity term."""
        return bool(self.affinity or self.anti_affinity or self.preferred)


NO_TERMS = PodTerms()


class PodParser:
    """Parses pods and remembers specs, so that a pod of a known template costs one serialisation.

    Equal specs (same data in the same order) share one :class:`PodSpec`; the bytes that identify them are
    ``marshal`` dumps because that is the fastest faithful serialisation of plain data.
    """

    def __init__(self) -> None:
        self._specs: dict[bytes, PodSpec] = {}
        self._metas: dict[bytes, tuple[str, Mapping[str, str]]] = {}
        self._terms: dict[tuple[bytes, bytes], PodTerms] = {}

    def parse(self, pod: Mapping[str, Any]) -> PodInfo:
        """The parsed pod; raises :class:`models.errors.InputError` for an unusable quantity."""
        metadata = pod.get("metadata") or {}
        spec = pod.get("spec") or {}
        status = pod.get("status") or {}
        spec_id = _identity(spec if not _resized(status) else (spec, status))
        parsed = self._specs.get(spec_id)
        if parsed is None:
            parsed = self._specs[spec_id] = parse_spec(pod)
        meta_id = _identity((metadata.get("namespace"), metadata.get("labels"), metadata.get("ownerReferences")))
        known = self._metas.get(meta_id)
        if known is None:
            known = (str(metadata.get("namespace") or "default"), string_map(metadata.get("labels")))
            self._metas[meta_id] = known
        namespace, labels = known
        identity = (spec_id, meta_id)
        if not spec.get("affinity") and not spec.get("topologySpreadConstraints"):
            terms = NO_TERMS
        else:
            found = self._terms.get(identity)
            if found is None:
                found = self._terms[identity] = parse_terms(spec, namespace, labels)
            terms = found
        return PodInfo(
            pod,
            str(metadata.get("name") or ""),
            namespace,
            labels,
            parsed,
            terms,
            metadata.get("deletionTimestamp") is not None,
            str(status.get("startTime") or ""),
            identity,
        )


def _resized(status: Mapping[str, Any]) -> bool:
    """Whether the status says something about resources that spec does not (in-place resize)."""
    return any(
        item.get("resources") or item.get("allocatedResources")
        for name in ("containerStatuses", "initContainerStatuses")
        for item in status.get(name) or ()
    )


def _identity(value: Any) -> bytes:
    try:
        # Version 2 writes no back references, so equal data gives equal bytes whatever objects it is made of.
        return marshal.dumps(value, 2)
    except ValueError:
        return repr(value).encode()


def parse_spec(pod: Mapping[str, Any]) -> PodSpec:
    """The part of a pod that its ``spec`` decides."""
    spec: Mapping[str, Any] = pod.get("spec") or {}
    containers = list(spec.get("containers") or ())
    init_containers = list(spec.get("initContainers") or ())
    # 1.37 counts the ports of sidecars and the images mounted as volumes, which 1.33 overlooked.
    sidecars = [item for item in init_containers if is_sidecar(item)]
    volumes = tuple(spec.get("volumes") or ())
    images = [item.get("image") for item in (*init_containers, *containers)]
    images += [item["image"].get("reference") for item in volumes if item.get("image")]
    affinity = dig(dict(spec), "affinity", "nodeAffinity", default={})
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    non_zero = resource_values(non_zero_requests(dict(pod), _OPTIONS))
    return PodSpec(
        manifest=spec,
        requests=resource_values(pod_requests(dict(pod), _OPTIONS)),
        non_zero=(non_zero.get(CPU, 0), non_zero.get(MEMORY, 0)),
        tolerations=parse_tolerations(spec.get("tolerations")),
        host_ports=tuple(_host_ports([*sidecars, *containers], bool(spec.get("hostNetwork")))),
        node_name=str(spec.get("nodeName") or ""),
        node_selector=set_selector(spec.get("nodeSelector")),
        required_nodes=None if required is None else node_selector(required),
        preferred_nodes=parse_preferred_nodes(affinity.get("preferredDuringSchedulingIgnoredDuringExecution")),
        priority=int(spec.get("priority") or 0),
        preempts=spec.get("preemptionPolicy") != "Never",
        gates=tuple(str(gate.get("name") or "") for gate in spec.get("schedulingGates") or ()),
        images=tuple(normal_image(str(name or "")) for name in images),
        volumes=volumes,
    )


def resource_values(resources: Mapping[str, Any]) -> dict[str, int]:
    """Quantities as the scheduler counts them: millicores for cpu, whole base units otherwise, rounded up.

    Names that the scheduler does not know (no slash, not hugepages) are dropped (``framework.Resource.Add``).
    Amounts above :data:`LARGEST` count as that.
    """
    return {
        name: min(quantity.milli_value() if name == CPU else quantity.value(), LARGEST)
        for name, quantity in resources.items()
        if name in (CPU, MEMORY, EPHEMERAL, PODS) or is_scalar(name)
    }


def is_scalar(name: str) -> bool:
    """Whether ``name`` is an extended, huge page, prefixed native or attachable volume resource."""
    return is_extended(name) or "kubernetes.io/" in name or name.startswith(("hugepages-", "attachable-volumes-"))


def is_extended(name: str) -> bool:
    """Whether ``name`` is an extended resource (pkg/apis/core/v1/helper ``IsExtendedResourceName``)."""
    return "/" in name and "kubernetes.io/" not in name and not name.startswith("requests.")


def parse_tolerations(value: Iterable[Mapping[str, Any]] | None) -> tuple[Toleration, ...]:
    """``spec.tolerations`` with missing fields as empty text."""
    return tuple(
        Toleration(*(str(item.get(name) or "") for name in ("key", "operator", "value", "effect")))
        for item in value or ()
    )


def parse_preferred_nodes(value: Iterable[Mapping[str, Any]] | None) -> tuple[PreferredNodeTerm, ...]:
    """Preferred node affinity terms; weight 0 and empty preferences never count."""
    found = []
    for item in value or ():
        preference = item.get("preference") or {}
        weight = int(item.get("weight") or 0)
        if weight and (preference.get("matchExpressions") or preference.get("matchFields")):
            found.append(PreferredNodeTerm(weight, node_term(preference)))
    return tuple(found)


def _host_ports(containers: Iterable[Mapping[str, Any]], host_network: bool) -> Iterable[HostPort]:
    for container in containers:
        for port in container.get("ports") or ():
            # The API server fills hostPort of a hostNetwork pod from containerPort.
            number = int(port.get("hostPort") or (port.get("containerPort") if host_network else 0) or 0)
            if number > 0:
                yield HostPort(str(port.get("hostIP") or WILDCARD_IP), str(port.get("protocol") or "TCP"), number)


def normal_image(name: str) -> str:
    """An image name with ``:latest`` when it has no tag (imagelocality ``normalizedImageName``)."""
    return f"{name}:latest" if name.rfind(":") <= name.rfind("/") else name


def parse_terms(spec: Mapping[str, Any], namespace: str, labels: Mapping[str, str]) -> PodTerms:
    """Inter-pod terms and spread constraints; a parse error is kept as text, as the scheduler reports it later."""
    affinity = dig(dict(spec), "affinity", "podAffinity", default={})
    anti = dig(dict(spec), "affinity", "podAntiAffinity", default={})
    required, preferred = (
        "requiredDuringSchedulingIgnoredDuringExecution",
        "preferredDuringSchedulingIgnoredDuringExecution",
    )
    error = spread_error = ""
    own: tuple[AffinityTerm, ...] = ()
    own_anti: tuple[AffinityTerm, ...] = ()
    weighted: list[WeightedTerm] = []
    try:
        own = tuple(affinity_term(item, namespace, labels) for item in affinity.get(required) or ())
        own_anti = tuple(affinity_term(item, namespace, labels) for item in anti.get(required) or ())
        for sign, source in ((1, affinity), (-1, anti)):
            for item in source.get(preferred) or ():
                term = affinity_term(item.get("podAffinityTerm") or {}, namespace, labels)
                weighted.append(WeightedTerm(sign * int(item.get("weight") or 0), term))
    except ValueError as problem:
        error = str(problem)
    constraints: tuple[SpreadConstraint, ...] = ()
    try:
        constraints = tuple(spread_constraint(item, labels) for item in spec.get("topologySpreadConstraints") or ())
    except ValueError as problem:
        spread_error = str(problem)
    return PodTerms(own, own_anti, tuple(weighted), constraints, error, spread_error)


def affinity_term(term: Mapping[str, Any], namespace: str, labels: Mapping[str, str]) -> AffinityTerm:
    """A parsed pod (anti-)affinity term of a pod in ``namespace`` with ``labels``.

    ``matchLabelKeys`` and ``mismatchLabelKeys`` are folded into the selector as the API server does on creation.
    """
    selector = label_selector(term.get("labelSelector"))
    extra = [
        make_requirement(str(key), op, (labels[str(key)],))
        for op, field_name in (("In", "matchLabelKeys"), ("NotIn", "mismatchLabelKeys"))
        for key in term.get(field_name) or ()
        if str(key) in labels
    ]
    named = frozenset(str(item or "default") for item in term.get("namespaces") or ())
    selects = term.get("namespaceSelector")
    if not named and selects is None:
        named = frozenset((namespace,))
    return AffinityTerm(selector.plus(extra), named, label_selector(selects), str(term.get("topologyKey") or ""))


def spread_constraint(item: Mapping[str, Any], labels: Mapping[str, str]) -> SpreadConstraint:
    """A parsed topology spread constraint of a pod with ``labels``."""
    selector = label_selector(item.get("labelSelector"))
    extra = [
        Requirement(str(key), "In", (labels[str(key)],))
        for key in item.get("matchLabelKeys") or ()
        if str(key) in labels
    ]
    return SpreadConstraint(
        max_skew=int(item.get("maxSkew") or 0),
        topology_key=str(item.get("topologyKey") or ""),
        hard=item.get("whenUnsatisfiable") != "ScheduleAnyway",
        selector=selector.plus(extra),
        min_domains=int(item.get("minDomains") or 1),
        honor_affinity=item.get("nodeAffinityPolicy") != "Ignore",
        honor_taints=item.get("nodeTaintsPolicy") == "Honor",
    )
