"""LimitRange admission: what it fills in, and what it refuses in the API server's words.

Source: ``plugin/pkg/admission/limitranger/admission.go``. It runs when a Pod is created and when a
PersistentVolumeClaim is created or updated. Defaulting of the LimitRange itself is part of these functions.
Upstream walks its maps in random order; here minimum comes before maximum before ratio, each by resource name, and
LimitRanges apply in the order given (upstream lists them by name).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from models.objects import Manifest, dig
from models.rules.defaults import default_limit_range_item
from models.rules.quantity import ZERO, Quantity
from models.rules.resources import (
    ResourceList,
    ResourceOptions,
    containers_of,
    init_containers_of,
    pod_limits,
    pod_requests,
    resource_list,
)

ANNOTATION: Final = "kubernetes.io/limit-ranger"
"""Where LimitRanger writes down what it set."""

_MAX_MILLI: Final = ((1 << 63) - 1) // 1000
"""Largest value upstream can compare in thousandths (``resource.MaxMilliValue``)."""

_SPEC_ONLY: Final = ResourceOptions(exclude_overhead=True)

_Check = Callable[[str, str, Quantity, ResourceList, ResourceList], str]


def apply_limit_ranges(pod: Manifest, limit_ranges: Iterable[Manifest]) -> Manifest:
    """The pod with missing limits and requests filled from the namespace's LimitRanges.

    The pod must have been through API defaulting, so that a container with a limit alone already requests it. Every
    container and init container is filled; the annotation that LimitRanger writes is set. Raises ValueError on an
    unreadable amount.
    """
    result = copy.deepcopy(pod)
    for limit_range in limit_ranges:
        requests: ResourceList = {}
        limits: ResourceList = {}
        for item in items_of(limit_range):
            if item.get("type") == "Container":
                requests |= resource_list(item.get("defaultRequest"))
                limits |= resource_list(item.get("default"))
        notes: list[str] = []
        for prefix, containers in (
            ("container", containers_of(result)),
            ("init container", init_containers_of(result)),
        ):
            for container in containers:
                notes += _fill(container, prefix, requests, limits)
        if notes:
            metadata = result.setdefault("metadata", {})
            annotations = dict(metadata.get("annotations") or {})
            annotations[ANNOTATION] = "LimitRanger plugin set: " + "; ".join(notes)
            metadata["annotations"] = annotations
    return result


def validate_limit_ranges(obj: Manifest, limit_ranges: Iterable[Manifest]) -> list[str]:
    """Every violation of a Pod or a PersistentVolumeClaim, one message each, without the ``is forbidden`` frame.

    Upstream stops at the first LimitRange that refuses: :func:`limit_range_error` gives the API server's sentence.
    """
    return [message for limit_range in limit_ranges for message in violations(obj, limit_range)]


def limit_range_error(obj: Manifest, limit_ranges: Iterable[Manifest]) -> str | None:
    """The API server's answer (``pods "x" is forbidden: [a, b]``), or None when every LimitRange is satisfied."""
    for limit_range in limit_ranges:
        messages = violations(obj, limit_range)
        if messages:
            resource = "persistentvolumeclaims" if obj.get("kind") == "PersistentVolumeClaim" else "pods"
            return forbidden(resource, obj, aggregate(messages))
    return None


def violations(obj: Manifest, limit_range: Manifest) -> list[str]:
    """The violations of one LimitRange (``PodValidateLimitFunc``, ``PersistentVolumeClaimValidateLimitFunc``)."""
    if obj.get("kind") == "PersistentVolumeClaim":
        return _claim_violations(obj, limit_range)
    found: list[str] = []
    for item in items_of(limit_range):
        if item.get("type") == "Container":
            for container in containers_of(obj) + init_containers_of(obj):
                requests = resource_list(dig(container, "resources", "requests"))
                limits = resource_list(dig(container, "resources", "limits"))
                found += _constraints(item, requests, limits)
        elif item.get("type") == "Pod":
            found += _constraints(item, pod_requests(obj, _SPEC_ONLY), pod_limits(obj, _SPEC_ONLY))
    return found


def items_of(limit_range: Manifest) -> list[Manifest]:
    """The items of a LimitRange after API defaulting."""
    items = dig(limit_range, "spec", "limits", default=[])
    return [default_limit_range_item(item) for item in items if isinstance(item, dict)]


def aggregate(messages: Sequence[str]) -> str:
    """Several errors as one, doubles dropped: ``[a, b]`` (apimachinery ``errors.NewAggregate``)."""
    unique = list(dict.fromkeys(messages))
    return unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"


def forbidden(resource: str, obj: Manifest, reason: str) -> str:
    """The frame that admission puts around a refusal: ``pods "x" is forbidden: reason``."""
    name = dig(obj, "metadata", "name") or dig(obj, "metadata", "generateName") or "Unknown"
    return f'{resource} "{name}" is forbidden: {reason}'


def _fill(container: Manifest, prefix: str, requests: ResourceList, limits: ResourceList) -> list[str]:
    resources: dict[str, Any] = dict(container.get("resources") or {})
    notes: list[str] = []
    for side, word, defaults in (("requests", "request", requests), ("limits", "limit", limits)):
        stated = dict(resources.get(side) or {})
        added = sorted(name for name in defaults if name not in stated)
        resources[side] = stated | {name: str(defaults[name]) for name in added}
        if added:
            notes.append(f"{', '.join(added)} {word} for {prefix} {container.get('name', '')}")
    container["resources"] = {side: amounts for side, amounts in resources.items() if amounts}
    return notes


def _constraints(item: Manifest, requests: ResourceList, limits: ResourceList) -> list[str]:
    kind = str(item["type"])
    checks: tuple[tuple[str, _Check], ...] = (
        ("min", _minimum),
        ("max", _maximum),
        ("maxLimitRequestRatio", _ratio),
    )
    found = [
        check(kind, name, enforced, requests, limits)
        for side, check in checks
        for name, enforced in sorted(resource_list(item.get(side)).items())
    ]
    return [message for message in found if message]


def _claim_violations(claim: Manifest, limit_range: Manifest) -> list[str]:
    requests = resource_list(dig(claim, "spec", "resources", "requests"))
    found: list[str] = []
    for item in items_of(limit_range):
        if item.get("type") != "PersistentVolumeClaim":
            continue
        for name, enforced in sorted(resource_list(item.get("min")).items()):
            found.append(_minimum("PersistentVolumeClaim", name, enforced, requests, {}))
        for name, enforced in sorted(resource_list(item.get("max")).items()):
            found.append(_maximum_request("PersistentVolumeClaim", name, enforced, requests))
    return [message for message in found if message]


def _minimum(kind: str, name: str, enforced: Quantity, requests: ResourceList, limits: ResourceList) -> str:
    text = f"minimum {name} usage per {kind} is {enforced}"
    request, limit, floor = _comparable(requests.get(name), limits.get(name), enforced)
    if name not in requests:
        return f"{text}.  No request is specified"
    if request < floor:
        return f"{text}, but request is {requests[name]}"
    if name in limits and limit < floor:
        return f"{text}, but limit is {limits[name]}"
    return ""


def _maximum(kind: str, name: str, enforced: Quantity, requests: ResourceList, limits: ResourceList) -> str:
    text = f"maximum {name} usage per {kind} is {enforced}"
    request, limit, ceiling = _comparable(requests.get(name), limits.get(name), enforced)
    if name not in limits:
        return f"{text}.  No limit is specified"
    if limit > ceiling:
        return f"{text}, but limit is {limits[name]}"
    if name in requests and request > ceiling:
        return f"{text}, but request is {requests[name]}"
    return ""


def _maximum_request(kind: str, name: str, enforced: Quantity, requests: ResourceList) -> str:
    text = f"maximum {name} usage per {kind} is {enforced}"
    request, _, ceiling = _comparable(requests.get(name), None, enforced)
    if name not in requests:
        return f"{text}.  No request is specified"
    if request > ceiling:
        return f"{text}, but request is {requests[name]}"
    return ""


def _ratio(kind: str, name: str, enforced: Quantity, requests: ResourceList, limits: ResourceList) -> str:
    text = f"{name} max limit to request ratio per {kind} is {enforced}"
    request, limit, _ = _comparable(requests.get(name), limits.get(name), enforced)
    if not request:
        return f"{text}, but no request is specified or request is 0"
    if not limit:
        return f"{text}, but no limit is specified or limit is 0"
    ratio = limit / request
    # Floats as upstream, so that the edge of the comparison falls where the API server's does.
    exceeded = (
        ratio * 1000 > float(enforced.milli_value()) if enforced.value() <= _MAX_MILLI else ratio > enforced.value()
    )
    return f"{text}, but provided ratio is {ratio:f}" if exceeded else ""


def _comparable(request: Quantity | None, limit: Quantity | None, enforced: Quantity) -> tuple[int, int, int]:
    """The three amounts at one precision: thousandths unless one is too large (``requestLimitEnforcedValues``)."""
    amounts = (request or ZERO, limit or ZERO, enforced)
    if all(amount.value() <= _MAX_MILLI for amount in amounts):
        return amounts[0].milli_value(), amounts[1].milli_value(), amounts[2].milli_value()
    return amounts[0].value(), amounts[1].value(), amounts[2].value()
