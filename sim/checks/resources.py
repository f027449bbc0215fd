"""Do requests and limits say what they mean?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from models.catalog import load_apps
from models.findings import Severity
from models.objects import Manifest, dig
from models.platform import Workload
from models.rules.quantity import format_bytes, parse_quantity
from models.rules.resources import is_extended, resource_list
from sim.checks.check import Check, Defect
from sim.checks.look import Look, Slot, pod_field
from sim.checks.patch import container_patch, patch

_MIB = 1 << 20


def limit_below_request(look: Look) -> Iterator[Defect]:
    """A limit below the request, as written or as a LimitRange makes it: the API server refuses the pod."""
    for restart in look.restarts.values():
        workload = restart.workload
        for group in ("containers", "initContainers"):
            for index, container in enumerate(dig(restart.manifest, "spec", group, default=[])):
                for name, message in _contradictions(container, f"spec.{group}[{index}].resources"):
                    written = _written(workload, group, str(container.get("name")))
                    stated = dig(written, "resources", "requests", name)
                    limit = str(dig(container, "resources", "limits", name))
                    change: dict[str, Any] = (
                        {"limits": {name: stated}} if stated is not None else {"requests": {name: limit}}
                    )
                    yield Defect(
                        f"A pod of {workload.id} is refused when it is created again: "
                        f"{name} limit of {container.get('name')} is below its request",
                        workload.object,
                        _resources_field(workload, group, str(container.get("name"))),
                        (
                            f'Pod "{dig(restart.manifest, "metadata", "name")}" is invalid: {message}',
                            *_filled(restart.manifest),
                        ),
                        "raise the limit to the request, or lower the request",
                        _resources_patch(workload, group, str(container.get("name")), change),
                    )


def memory_limit_only(look: Look) -> Iterator[Defect]:
    """A memory limit without a request: the whole limit is requested, on the node and from the quota."""
    for workload in look.written:
        slots = [
            slot
            for slot in look.slots(workload)
            if slot.runs_along and _side(slot, "limits") and not _side(slot, "requests")
        ]
        if slots:
            yield Defect(
                f"{workload.id} reserves its whole memory limit: without a request the limit becomes the request",
                workload.object,
                f"{slots[0].field}.resources.limits.memory",
                tuple(f"{slot.name}: limit {_side(slot, 'limits')}, request becomes the same" for slot in slots),
                "state the request: what the app usually needs",
                container_patch(
                    workload,
                    [(slot.group, slot.name, {"resources": {"requests": {"memory": _usual(slot)}}}) for slot in slots],
                ),
            )


def memory_request_only(look: Look) -> Iterator[Defect]:
    """A memory request without a limit: a leak takes the node's memory and others with it."""
    for workload in look.written:
        restart = look.restarts.get(workload.id)
        filled = restart.manifest if restart is not None else {}
        slots = [
            slot
            for slot in look.slots(workload)
            if slot.runs_along
            and _side(slot, "requests")
            and not _side(slot, "limits")
            and not dig(_find(filled, slot), "resources", "limits", "memory")
            and not dig(dict(workload.pod_spec), "resources", "limits", "memory")
        ]
        if slots:
            yield Defect(
                f"{workload.id} may use all memory of its node: it requests some and has no limit",
                workload.object,
                f"{slots[0].field}.resources.requests.memory",
                tuple(f"{slot.name}: request {_side(slot, 'requests')}, no limit" for slot in slots),
                "state a memory limit: what the app needs at its busiest",
                container_patch(
                    workload,
                    [(slot.group, slot.name, {"resources": {"limits": {"memory": _most(slot)}}}) for slot in slots],
                ),
            )


def _contradictions(container: Manifest, field: str) -> Iterator[tuple[str, str]]:
    """(resource, sentence) of ``ValidateContainerResourceRequirements`` (pkg/apis/core/validation)."""
    limits = resource_list(dig(container, "resources", "limits"))
    for name, request in resource_list(dig(container, "resources", "requests")).items():
        limit = limits.get(name)
        whole = is_extended(name) or name.startswith("hugepages-")
        if limit is None:
            continue
        if whole and request != limit:
            yield name, f'{field}.requests: Invalid value: "{request}": must be equal to {name} limit of {limit}'
        elif request > limit:
            text = f'Invalid value: "{request}": must be less than or equal to {name} limit of {limit}'
            yield name, f"{field}.requests: {text}"


def _filled(pod: Manifest) -> tuple[str, ...]:
    note = dig(pod, "metadata", "annotations", "kubernetes.io/limit-ranger")
    return (str(note),) if note else ()


def _written(workload: Workload, group: str, name: str) -> Manifest:
    listed = dig(dict(workload.pod_spec), group, default=[])
    return next((item for item in listed if item.get("name") == name), {})


def _resources_field(workload: Workload, group: str, name: str) -> str:
    return "spec.resources" if workload.controller == "Cluster" else f"{pod_field(workload)}.{group}[{name}].resources"


def _resources_patch(workload: Workload, group: str, name: str, change: dict[str, Any]) -> str:
    if workload.controller == "Cluster":
        return patch(workload.object, spec={"resources": change})
    return container_patch(workload, [(group, name, {"resources": change})])


def _side(slot: Slot, side: str) -> str:
    text = dig(slot.manifest, "resources", side, "memory")
    return "" if text is None else str(text)


def _find(pod: Manifest, slot: Slot) -> Manifest:
    listed = dig(pod, "spec", slot.group, default=[])
    return next((item for item in listed if item.get("name") == slot.name), {})


def _usual(slot: Slot) -> str:
    """What the catalogue expects the app to need when busy, at most the limit."""
    profile = load_apps().for_container(str(slot.manifest.get("image") or ""), slot.workload.name)
    return format_bytes(min(profile.busy_mem_mib * _MIB, parse_quantity(_side(slot, "limits")).value()))


def _most(slot: Slot) -> str:
    """Twice what the catalogue expects of the busy app, at least twice the request."""
    profile = load_apps().for_container(str(slot.manifest.get("image") or ""), slot.workload.name)
    return format_bytes(2 * max(profile.busy_mem_mib * _MIB, parse_quantity(_side(slot, "requests")).value()))


CHECKS = (
    Check(
        "LIMIT-BELOW-REQUEST",
        Severity.ERROR,
        "a limit is below the request, as written or as a LimitRange fills it in",
        limit_below_request,
    ),
    Check(
        "MEMORY-LIMIT-ONLY",
        Severity.INFO,
        "a memory limit without a request reserves the whole limit",
        memory_limit_only,
    ),
    Check("MEMORY-REQUEST-ONLY", Severity.INFO, "a memory request without a limit", memory_request_only),
)
