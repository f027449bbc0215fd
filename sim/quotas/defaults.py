"""The LimitRange that gives every container the values that a quota asks for, and changes nothing that is stated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from models.objects import KubeObject, Manifest, Origin
from models.rules.limitrange import apply_limit_ranges, items_of, limit_range_error
from models.rules.quantity import Quantity, parse_quantity
from models.rules.resources import (
    CPU,
    MEMORY,
    ResourceList,
    containers_of,
    init_containers_of,
    pod_level_resources_set,
    resource_list,
)
from sim.placement import Placement
from sim.platform.workloads import first_ordinal, make_pod

SMALL_REQUEST = {CPU: "10m", MEMORY: "32Mi"}
SMALL_LIMIT = {CPU: "100m", MEMORY: "128Mi"}
"""What a container gets that states nothing: enough to copy some files (assumed)."""


@dataclass(frozen=True)
class Defaults:
    """A LimitRange of one item. ``why``: what made each value, by (``defaultRequest`` or ``default``, resource)."""

    namespace: str
    name: str
    default_request: Mapping[str, Quantity]
    default: Mapping[str, Quantity]
    why: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @property
    def manifest(self) -> Manifest:
        """The LimitRange."""
        item: Manifest = {"type": "Container"}
        for name, amounts in (("defaultRequest", self.default_request), ("default", self.default)):
            if amounts:
                item[name] = {key: str(amount) for key, amount in amounts.items()}
        return {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {"limits": [item]},
        }

    @property
    def object(self) -> KubeObject:
        """The LimitRange as an object of the platform."""
        return KubeObject(self.manifest, Origin(provenance="derived", by="stowplan"))


@dataclass(frozen=True)
class _Container:
    """One container after the namespace's own LimitRanges: its name, and the pod's workload."""

    workload: str
    name: str
    requests: ResourceList
    limits: ResourceList


def namespace_pods(placement: Placement, namespace: str) -> dict[str, Manifest]:
    """One pod of every workload of the namespace, jobs included, as the API server would store it."""
    found = {}
    for workload in placement.platform.workloads:
        if workload.namespace == namespace and workload.replicas != 0:
            number = first_ordinal(workload)
            found[workload.id] = placement.gate.prepare(make_pod(workload, number)).manifest
    return found


def states_everywhere(pods: Mapping[str, Manifest], resource: str) -> bool:
    """Whether every container of the pods states a limit of the resource."""
    return all(resource in item.limits for item in _containers(pods))


def suggest_defaults(
    namespace: str, pods: Mapping[str, Manifest], keys: Iterable[str], present: Sequence[Manifest]
) -> tuple[Defaults | None, dict[str, str]]:
    """The LimitRange for what ``keys`` track, None when nothing is left to give; and the refusals, by
    workload, that it does not mend.

    ``pods``: by workload, after the LimitRanges that are ``present``, which stay in force beside the new one.
    """
    keys = set(keys)
    containers = _containers(pods)
    requests: dict[str, Quantity] = {}
    limits: dict[str, Quantity] = {}
    why: dict[tuple[str, str], str] = {}
    for resource in (CPU, MEMORY):
        limited = f"limits.{resource}" in keys and not _supplied(present, "default", resource)
        asked = {resource, f"requests.{resource}"} & keys and not _supplied(present, "defaultRequest", resource)
        if asked or limited:
            # A default limit alone would also become the default request of every container without one.
            requests[resource] = parse_quantity(SMALL_REQUEST[resource])
            without = [item for item in containers if resource not in item.requests]
            why["defaultRequest", resource] = _who(without, "states no request")
        if limited:
            without = [item for item in containers if resource not in item.limits]
            needed = max([item.requests.get(resource, requests[resource]) for item in without], default=None)
            limits[resource] = _limit(resource, needed, pods, present, namespace, requests)
            why["default", resource] = _who(without, "states no limit")
    if not requests:
        return None, {name: message for name, pod in pods.items() if (message := _refused(pod, present))}
    name = f"{namespace}-defaults" if any(_name(item) == namespace for item in present) else namespace
    defaults = Defaults(namespace, name, requests, limits, why)
    whole = [*present, defaults.manifest]
    problems = {name: message for name, pod in pods.items() if (message := _refused(pod, whole))}
    return defaults, problems


def _limit(
    resource: str,
    needed: Quantity | None,
    pods: Mapping[str, Manifest],
    present: Sequence[Manifest],
    namespace: str,
    requests: Mapping[str, Quantity],
) -> Quantity:
    """The default limit: roomy where that breaks nothing, at least the largest request of those without a limit."""
    usual = parse_quantity(SMALL_LIMIT[resource])
    if needed is None or needed >= usual:
        return needed or usual

    def refused(limit: Quantity) -> int:
        trial = Defaults(namespace, "trial", {resource: requests[resource]}, {resource: limit}).manifest
        return sum(bool(_refused(pod, [*present, trial])) for pod in pods.values())

    return needed if refused(usual) > refused(needed) else usual


def _refused(pod: Manifest, limit_ranges: Sequence[Manifest]) -> str | None:
    return limit_range_error(apply_limit_ranges(pod, limit_ranges), limit_ranges)


def _containers(pods: Mapping[str, Manifest]) -> list[_Container]:
    return [
        _Container(
            workload,
            str(item.get("name")),
            resource_list((item.get("resources") or {}).get("requests")),
            resource_list((item.get("resources") or {}).get("limits")),
        )
        for workload, pod in pods.items()
        if not pod_level_resources_set(pod)
        for item in containers_of(pod) + init_containers_of(pod)
    ]


def _supplied(present: Sequence[Manifest], side: str, resource: str) -> bool:
    return any(
        item.get("type") == "Container" and resource in (item.get(side) or {})
        for limit_range in present
        for item in items_of(limit_range)
    )


def _who(without: Sequence[_Container], states: str) -> str:
    if not without:
        return "for what comes later: every container states its own"
    names = [f"{item.name} of {item.workload}" for item in without]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    verb = states if len(names) == 1 else states.replace("states", "state")
    return f"{', '.join(names[:3])}{more} {verb}"


def _name(manifest: Manifest) -> str:
    return str((manifest.get("metadata") or {}).get("name"))
