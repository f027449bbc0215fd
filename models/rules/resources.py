"""Effective requests and limits of a pod: containers, init containers, sidecars, pod-level resources, overhead.

Source: ``component-helpers/resource/helpers.go`` (``PodRequests``, ``PodLimits``). Resource lists are dicts from
resource name to :class:`~models.rules.quantity.Quantity`. Node-allocatable claims of dynamic resource allocation
(alpha) are not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from models.objects import Manifest, dig
from models.rules.quantity import ZERO, Quantity, from_millis, from_units, parse_quantity

ResourceList = dict[str, Quantity]

CPU: Final = "cpu"
MEMORY: Final = "memory"
EPHEMERAL_STORAGE: Final = "ephemeral-storage"
HUGEPAGES_PREFIX: Final = "hugepages-"

DEFAULT_NON_ZERO: Final[Mapping[str, Quantity]] = {CPU: from_millis(100), MEMORY: from_units(200 * 1024 * 1024)}
"""What the scheduler's scores assume for a container without a request (scheduler/util/pod_resources.go)."""


@dataclass(frozen=True)
class ResourceOptions:
    """Which parts count, as ``PodResourcesOptions``.

    ``use_status``: in-place resize, the largest of spec, allocated and actual; ``pod_level_status``: the same for
    pod-level resources; ``non_missing``: amounts assumed where a container states none (an explicit 0 stays 0).
    """

    use_status: bool = False
    pod_level_status: bool = False
    exclude_overhead: bool = False
    skip_pod_level: bool = False
    non_missing: Mapping[str, Quantity] | None = None


PLAIN: Final = ResourceOptions()


def resource_list(value: Any) -> ResourceList:
    """A ``requests``/``limits``/``hard`` map as quantities; an absent map is empty, a null amount is zero.

    Raises ValueError naming the resource and the amount when one cannot be read.
    """
    if not isinstance(value, Mapping):
        return {}
    return {str(name): _amount(str(name), amount) for name, amount in value.items()}


def pod_requests(pod: Manifest, options: ResourceOptions = PLAIN) -> ResourceList:
    """The effective requests of a pod (``PodRequests``). Raises ValueError on an unreadable amount."""
    requests = aggregate_requests(pod, options)
    if not options.skip_pod_level and pod_level_requests_set(pod):
        stated = resource_list(dig(pod, "spec", "resources", "requests"))
        status = dig(pod, "status", "resources")
        if options.pod_level_status and options.use_status and status is not None:
            actual = [dig(status, "requests"), dig(pod, "status", "allocatedResources")]
            stated = _effective_pod_level(pod, stated, *actual)
        requests |= _supported_only(stated)
    if not options.exclude_overhead:
        requests = add_lists(requests, resource_list(dig(pod, "spec", "overhead")))
    return requests


def pod_limits(pod: Manifest, options: ResourceOptions = PLAIN) -> ResourceList:
    """The effective limits of a pod (``PodLimits``); overhead only raises limits that are set and not zero."""
    limits = aggregate_limits(pod, options)
    if not options.skip_pod_level and pod_level_resources_set(pod):
        stated = resource_list(dig(pod, "spec", "resources", "limits"))
        status = dig(pod, "status", "resources")
        if options.pod_level_status and options.use_status and status is not None:
            stated = _effective_pod_level(pod, stated, dig(status, "limits"))
        limits |= _supported_only(stated)
    if not options.exclude_overhead:
        for name, amount in resource_list(dig(pod, "spec", "overhead")).items():
            if limits.get(name):
                limits[name] += amount
    return limits


def non_zero_requests(pod: Manifest, options: ResourceOptions = PLAIN) -> ResourceList:
    """Requests with the scheduler's assumed 100m and 200Mi where a container states none (scheduler/framework).

    With pod-level requests only a resource that neither the pod nor any container names is assumed
    (``getNonMissingContainerRequests``).
    """
    assumed: Mapping[str, Quantity] = DEFAULT_NON_ZERO
    if pod_level_requests_set(pod):
        known = pod_requests(pod, options)
        assumed = {name: amount for name, amount in DEFAULT_NON_ZERO.items() if name not in known}
    return pod_requests(pod, replace(options, non_missing=assumed))


def aggregate_requests(pod: Manifest, options: ResourceOptions = PLAIN) -> ResourceList:
    """Requests of the containers alone, no pod-level resources, no overhead (``AggregateContainerRequests``)."""
    fill = options.non_missing or {}
    if not options.use_status:
        return _aggregate(pod, lambda container: fill_missing(_spec(container, "requests"), fill))
    infeasible = resize_infeasible(pod)
    spec = _aggregate(pod, lambda container: fill_missing(_spec(container, "requests"), fill))
    pod_allocated = dig(pod, "status", "allocatedResources")
    pod_actual = dig(pod, "status", "resources", "requests")
    if options.pod_level_status and pod_allocated is not None and pod_actual is not None:
        allocated, actual = resource_list(pod_allocated), resource_list(pod_actual)
    else:
        statuses = container_statuses(pod)
        allocated = _aggregate(pod, lambda container: fill_missing(_allocated(container, statuses, infeasible), fill))
        actual = _aggregate(pod, lambda container: fill_missing(_actual(container, statuses, infeasible), fill))
    return max_lists(actual, allocated) if infeasible else max_lists(spec, actual, allocated)


def aggregate_limits(pod: Manifest, options: ResourceOptions = PLAIN) -> ResourceList:
    """Limits of the containers alone, no pod-level resources, no overhead (``AggregateContainerLimits``)."""
    spec = _aggregate(pod, lambda container: _spec(container, "limits"))
    if not options.use_status:
        return spec
    infeasible = resize_infeasible(pod)
    pod_actual = dig(pod, "status", "resources", "limits")
    if options.pod_level_status and pod_actual is not None:
        actual = resource_list(pod_actual)
    else:
        statuses = container_statuses(pod)
        actual = _aggregate(pod, lambda container: _actual_limits(container, statuses, infeasible))
    return actual if infeasible else max_lists(spec, actual)


def pod_level_supported(name: str) -> bool:
    """Whether a resource can be stated for a whole pod (``IsSupportedPodLevelResource``)."""
    return name in (CPU, MEMORY) or name.startswith(HUGEPAGES_PREFIX)


def pod_level_resources_set(pod: Manifest) -> bool:
    """Whether the pod states a supported request or limit for itself (``IsPodLevelResourcesSet``)."""
    return pod_level_requests_set(pod) or _any_supported(dig(pod, "spec", "resources", "limits"))


def pod_level_requests_set(pod: Manifest) -> bool:
    """Whether the pod states a supported request for itself (``IsPodLevelRequestsSet``)."""
    return _any_supported(dig(pod, "spec", "resources", "requests"))


def resize_infeasible(pod: Manifest) -> bool:
    """Whether the kubelet called the pending in-place resize infeasible (``IsPodResizeInfeasible``)."""
    for condition in dig(pod, "status", "conditions", default=[]):
        if dig(condition, "type") == "PodResizePending":
            return bool(dig(condition, "reason") == "Infeasible")
    return False


def containers_of(pod: Manifest) -> list[Manifest]:
    """``spec.containers`` that are maps."""
    return [item for item in dig(pod, "spec", "containers", default=[]) if isinstance(item, dict)]


def init_containers_of(pod: Manifest) -> list[Manifest]:
    """``spec.initContainers`` that are maps, sidecars included."""
    return [item for item in dig(pod, "spec", "initContainers", default=[]) if isinstance(item, dict)]


def is_sidecar(container: Manifest) -> bool:
    """Whether an init container keeps running beside the main ones (restartPolicy Always)."""
    return container.get("restartPolicy") == "Always"


def container_statuses(pod: Manifest) -> dict[str, Manifest]:
    """Container and init container statuses by name; a container's own status wins over an init container's."""
    found: dict[str, Manifest] = {}
    for field in ("containerStatuses", "initContainerStatuses"):
        for status in dig(pod, "status", field, default=[]):
            found.setdefault(str(dig(status, "name", default="")), status)
    return found


def add_lists(left: ResourceList, right: ResourceList) -> ResourceList:
    """left + right by name; a name in one list only keeps its amount."""
    result = dict(left)
    for name, amount in right.items():
        result[name] = result[name] + amount if name in result else amount
    return result


def max_lists(first: ResourceList, *others: ResourceList) -> ResourceList:
    """The larger amount by name; the earlier list wins a tie."""
    result = dict(first)
    for other in others:
        for name, amount in other.items():
            if name not in result or amount > result[name]:
                result[name] = amount
    return result


def fill_missing(amounts: ResourceList, assumed: Mapping[str, Quantity]) -> ResourceList:
    """``amounts`` plus the assumed amount of every name that it lacks (``applyNonMissing``)."""
    return {**assumed, **amounts} if assumed else amounts


def is_native(name: str) -> bool:
    """Whether a resource belongs to Kubernetes itself (``IsNativeResource``)."""
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    """Whether a resource is an extended one (``IsExtendedResourceName``)."""
    return not is_native(name) and not name.startswith("requests.")


def _amount(name: str, amount: Any) -> Quantity:
    if amount is None:
        return ZERO
    try:
        return parse_quantity(amount.strip() if isinstance(amount, str) else amount)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name}: {amount!r}: {error}") from error


def _aggregate(pod: Manifest, amounts: Callable[[Manifest], ResourceList]) -> ResourceList:
    """Sum over containers and sidecars, at least what any init container needs while it runs (KEP-753)."""
    total: ResourceList = {}
    for container in containers_of(pod):
        total = add_lists(total, amounts(container))
    sidecars: ResourceList = {}
    peak: ResourceList = {}
    for container in init_containers_of(pod):
        own = amounts(container)
        if is_sidecar(container):
            total = add_lists(total, own)
            sidecars = add_lists(sidecars, own)
            peak = max_lists(peak, sidecars)
        else:
            peak = max_lists(peak, add_lists(own, sidecars))
    return max_lists(total, peak)


def _spec(container: Manifest, side: str) -> ResourceList:
    return resource_list(dig(container, "resources", side))


def _allocated(container: Manifest, statuses: Mapping[str, Manifest], infeasible: bool) -> ResourceList:
    status = statuses.get(str(container.get("name", "")))
    if dig(status, "allocatedResources") is not None:
        return resource_list(dig(status, "allocatedResources"))
    return {} if infeasible else _spec(container, "requests")


def _actual(container: Manifest, statuses: Mapping[str, Manifest], infeasible: bool) -> ResourceList:
    status = statuses.get(str(container.get("name", "")))
    if dig(status, "resources", "requests") is not None:
        return resource_list(dig(status, "resources", "requests"))
    return _allocated(container, statuses, infeasible)


def _actual_limits(container: Manifest, statuses: Mapping[str, Manifest], infeasible: bool) -> ResourceList:
    status = statuses.get(str(container.get("name", "")))
    if dig(status, "resources", "limits") is not None:
        return resource_list(dig(status, "resources", "limits"))
    return {} if infeasible else _spec(container, "limits")


def _effective_pod_level(pod: Manifest, stated: ResourceList, *statuses: Any) -> ResourceList:
    own = {} if resize_infeasible(pod) else stated
    return max_lists(own, *(resource_list(status) for status in statuses))


def _supported_only(amounts: ResourceList) -> ResourceList:
    return {name: amount for name, amount in amounts.items() if pod_level_supported(name)}


def _any_supported(value: Any) -> bool:
    return isinstance(value, Mapping) and any(pod_level_supported(str(name)) for name in value)
