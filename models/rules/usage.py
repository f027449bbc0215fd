"""What an object costs against a ResourceQuota, and which quota scopes it falls under.

Source: ``pkg/quota/v1/evaluator/core/{pods,services,persistent_volume_claims,resource_claims}.go`` and
``apiserver/pkg/quota/v1/generic/evaluator.go``. An extended resource that a device class stands for is charged to the
pod that asks for it; the claim made for that pod is charged for the devices of its class.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from models.objects import Manifest, dig
from models.rules.qos import reported_qos_class
from models.rules.quantity import ZERO, Quantity, from_units
from models.rules.resources import (
    CPU,
    EPHEMERAL_STORAGE,
    HUGEPAGES_PREFIX,
    MEMORY,
    ResourceList,
    ResourceOptions,
    add_lists,
    is_extended,
    is_native,
    pod_limits,
    pod_requests,
    resource_list,
)

ONE: Final = from_units(1)

POD_KEYS: Final = frozenset(
    ["count/pods", "pods"]
    + [f"{prefix}{name}" for prefix in ("", "requests.", "limits.") for name in (CPU, MEMORY, EPHEMERAL_STORAGE)]
)
"""Quota keys that concern pods by name; huge pages and extended resources come by prefix."""

COMPUTE_KEYS: Final = frozenset(f"{prefix}{name}" for prefix in ("", "requests.", "limits.") for name in (CPU, MEMORY))
"""Keys that oblige every container to state the value (``validationSet``)."""

_SERVICE_KEYS: Final = frozenset(["count/services", "services", "services.nodeports", "services.loadbalancers"])
_CLAIM_KEYS: Final = ("persistentvolumeclaims", "requests.storage")
_CLASS_INFIX: Final = ".storageclass.storage.k8s.io/"
_DEVICE_SUFFIX: Final = ".deviceclass.resource.k8s.io/devices"
_DEVICE_PREFIX: Final = "deviceclass.resource.kubernetes.io/"
_MAX_DEVICES: Final = 32
"""Devices that one claim can hold, charged when a request asks for all (resource/v1 ``AllocationResultsMaxSize``)."""

_LEGACY_COUNTS: Final = frozenset(["configmaps", "resourcequotas", "replicationcontrollers", "secrets"])
_STATUS: Final = ResourceOptions(use_status=True)

_IRREGULAR_PLURALS: Final = {"Endpoints": "endpoints"}


def usage(obj: Manifest, *, now: datetime | None = None) -> ResourceList:
    """What one object costs, by quota key.

    ``now`` decides whether a pod stuck in deletion past its grace still counts; without it such a pod counts. A pod
    must have been defaulted. Raises ValueError on an unreadable amount.
    """
    resource = resource_of(obj)
    if resource == "pods":
        return _pod_usage(obj, now)
    if resource == "services":
        return _service_usage(obj)
    if resource == "persistentvolumeclaims":
        return _claim_usage(obj)
    if resource == "resourceclaims.resource.k8s.io":
        return _device_usage(obj)
    return dict.fromkeys(_count_keys(resource), ONE)


def matching_keys(obj: Manifest, keys: Iterable[str]) -> list[str]:
    """Those of the quota keys that concern this kind of object, sorted (``MatchingResources``)."""
    resource = resource_of(obj)
    return sorted(key for key in set(keys) if _concerns(resource, key))


def matches_scopes(quota: Manifest, obj: Manifest) -> bool:
    """Whether the object falls under all scopes and scope selectors of the quota; without scopes it always does."""
    return all(matches_scope(selector, obj) for selector in scope_selectors(quota))


def scope_selectors(quota: Manifest) -> list[Manifest]:
    """``spec.scopes`` as Exists selectors, then ``spec.scopeSelector.matchExpressions``."""
    plain = [{"scopeName": scope, "operator": "Exists"} for scope in dig(quota, "spec", "scopes", default=[])]
    return plain + list(dig(quota, "spec", "scopeSelector", "matchExpressions", default=[]))


def matches_scope(selector: Manifest, obj: Manifest) -> bool:
    """Whether the object falls under one scope selector; kinds other than pods and claims match none."""
    scope = selector.get("scopeName")
    resource = resource_of(obj)
    if resource == "persistentvolumeclaims":
        return scope == "VolumeAttributesClass" and _matches_names(selector, _attribute_classes(obj))
    if resource != "pods":
        return False
    if scope in ("Terminating", "NotTerminating"):
        return bool(is_terminating(obj) == (scope == "Terminating"))
    if scope in ("BestEffort", "NotBestEffort"):
        return bool((reported_qos_class(obj) == "BestEffort") == (scope == "BestEffort"))
    if scope == "PriorityClass":
        name = dig(obj, "spec", "priorityClassName", default="")
        return _matches_names(selector, [str(name)] if name else [])
    return scope == "CrossNamespacePodAffinity" and _crosses_namespaces(obj)


def is_terminating(pod: Manifest) -> bool:
    """Quota's idea of a terminating pod: one with an active deadline, deleted or not (``IsTerminating``)."""
    deadline = dig(pod, "spec", "activeDeadlineSeconds")
    return isinstance(deadline, int) and deadline >= 0


def is_charged(pod: Manifest, *, now: datetime | None = None) -> bool:
    """Whether a pod costs compute resources: not finished, not past its deletion grace (``QuotaV1Pod``)."""
    if dig(pod, "status", "phase") in ("Failed", "Succeeded"):
        return False
    deleted = dig(pod, "metadata", "deletionTimestamp")
    grace = dig(pod, "metadata", "deletionGracePeriodSeconds")
    if now is None or deleted is None or grace is None:
        return True
    moment = deleted if isinstance(deleted, datetime) else datetime.fromisoformat(str(deleted))
    return not now > moment + timedelta(seconds=int(grace))


def compute_usage(requests: ResourceList, limits: ResourceList) -> ResourceList:
    """Quota keys that requests and limits fill, with the one pod they belong to (``podComputeUsageHelper``)."""
    result: ResourceList = {"pods": ONE}
    for name in (CPU, MEMORY, EPHEMERAL_STORAGE):
        if name in requests:
            result[name] = result[f"requests.{name}"] = requests[name]
        if name in limits:
            result[f"limits.{name}"] = limits[name]
    for name, amount in requests.items():
        if name.startswith(HUGEPAGES_PREFIX):
            result[name] = result[f"requests.{name}"] = amount
        elif is_extended(name) or name.startswith(_DEVICE_PREFIX):
            result[f"requests.{name}"] = amount
    return result


def resource_of(obj: Manifest) -> str:
    """The object's resource with its API group: ``pods``, ``deployments.apps``, ``ingresses.networking.k8s.io``."""
    kind = str(obj.get("kind") or ("Pod" if dig(obj, "spec", "containers") is not None else ""))
    group = str(obj.get("apiVersion") or "").rpartition("/")[0]
    plural = _IRREGULAR_PLURALS.get(kind) or _plural(kind.lower())
    return f"{plural}.{group}" if group else plural


def _plural(name: str) -> str:
    if name.endswith(("s", "x", "ch", "sh")):
        return f"{name}es"
    return f"{name[:-1]}ies" if name.endswith("y") and name[-2:-1] not in "aeiou" else f"{name}s"


def _concerns(resource: str, key: str) -> bool:
    if resource == "pods":
        by_prefix = key.startswith((HUGEPAGES_PREFIX, f"requests.{HUGEPAGES_PREFIX}"))
        extended = key.startswith("requests.") and (not is_native(key) or key.startswith(f"requests.{_DEVICE_PREFIX}"))
        return key in POD_KEYS or by_prefix or extended
    if resource == "services":
        return key in _SERVICE_KEYS
    if resource == "persistentvolumeclaims":
        by_class = any(key.endswith(f"{_CLASS_INFIX}{name}") for name in _CLAIM_KEYS)
        return key == "count/persistentvolumeclaims" or key in _CLAIM_KEYS or by_class
    if resource == "resourceclaims.resource.k8s.io":
        return key == f"count/{resource}" or key.endswith(_DEVICE_SUFFIX)
    return key in _count_keys(resource)


def _count_keys(resource: str) -> list[str]:
    return [f"count/{resource}", resource] if resource in _LEGACY_COUNTS else [f"count/{resource}"]


def _pod_usage(pod: Manifest, now: datetime | None) -> ResourceList:
    if not is_charged(pod, now=now):
        return {"count/pods": ONE}
    return {"count/pods": ONE} | compute_usage(pod_requests(pod, _STATUS), pod_limits(pod, _STATUS))


def _service_usage(service: Manifest) -> ResourceList:
    kind = dig(service, "spec", "type")
    ports = dig(service, "spec", "ports", default=[])
    node_ports = len(ports) if kind in ("NodePort", "LoadBalancer") else 0
    if kind == "LoadBalancer" and dig(service, "spec", "allocateLoadBalancerNodePorts") is False:
        node_ports = sum(1 for port in ports if dig(port, "nodePort", default=0))
    return {
        "count/services": ONE,
        "services": ONE,
        "services.loadbalancers": from_units(1 if kind == "LoadBalancer" else 0),
        "services.nodeports": from_units(node_ports),
    }


def _claim_usage(claim: Manifest) -> ResourceList:
    amounts: ResourceList = {"persistentvolumeclaims": ONE}
    requested = resource_list(dig(claim, "spec", "resources", "requests")).get("storage")
    if requested is not None:
        allocated = resource_list(dig(claim, "status", "allocatedResources")).get("storage", requested)
        amounts["requests.storage"] = max(requested, allocated).round_up(0)
    annotations = dig(claim, "metadata", "annotations", default={})
    storage_class = annotations.get("volume.beta.kubernetes.io/storage-class")
    if storage_class is None:
        storage_class = dig(claim, "spec", "storageClassName", default="")
    by_class = {f"{storage_class}{_CLASS_INFIX}{key}": amount for key, amount in amounts.items()}
    return {"count/persistentvolumeclaims": ONE} | amounts | (by_class if storage_class else {})


def _device_usage(claim: Manifest) -> ResourceList:
    total: ResourceList = {"count/resourceclaims.resource.k8s.io": ONE}
    for request in dig(claim, "spec", "devices", "requests", default=[]):
        alternatives = dig(request, "firstAvailable", default=[])
        worst: ResourceList = {}
        for item in alternatives or [dig(request, "exactly", default={})]:
            if item:
                key, amount = _devices(item)
                worst[key] = max(worst.get(key, ZERO), amount)
        total = add_lists(total, worst)
    # A device class is an extended resource of its own, so that quotas of either form see the same devices.
    classes = {key.removesuffix(_DEVICE_SUFFIX): n for key, n in total.items() if key.endswith(_DEVICE_SUFFIX) and n}
    return total | {f"requests.{_DEVICE_PREFIX}{name}": amount for name, amount in classes.items() if name}


def _devices(request: Manifest) -> tuple[str, Quantity]:
    mode = request.get("allocationMode") or "ExactCount"
    count = {"All": _MAX_DEVICES, "ExactCount": int(request.get("count") or 1)}.get(mode, 0)
    return f"{request.get('deviceClassName', '')}{_DEVICE_SUFFIX}", from_units(count)


def _matches_names(selector: Mapping[str, Any], names: list[str]) -> bool:
    """The selector against every name in turn, against "no name" when there is none."""
    values = selector.get("values") or []
    operator = selector.get("operator")
    if operator == "Exists":
        return bool(names)
    if operator == "DoesNotExist":
        return not names
    if operator == "NotIn":
        return not names or any(name not in values for name in names)
    return operator == "In" and any(name in values for name in names)


def _attribute_classes(claim: Manifest) -> list[str]:
    """Volume attributes classes that a claim asks for, has, or is moving to."""
    names = (
        dig(claim, "spec", "volumeAttributesClassName"),
        dig(claim, "status", "currentVolumeAttributesClassName"),
        dig(claim, "status", "modifyVolumeStatus", "targetVolumeAttributesClassName"),
    )
    return [str(name) for name in names if name]


def _crosses_namespaces(pod: Manifest) -> bool:
    terms: list[Any] = []
    for side in ("podAffinity", "podAntiAffinity"):
        affinity = dig(pod, "spec", "affinity", side, default={})
        terms += dig(affinity, "requiredDuringSchedulingIgnoredDuringExecution", default=[])
        preferred = dig(affinity, "preferredDuringSchedulingIgnoredDuringExecution", default=[])
        terms += [dig(item, "podAffinityTerm", default={}) for item in preferred]
    return any(dig(term, "namespaces") or dig(term, "namespaceSelector") is not None for term in terms)
