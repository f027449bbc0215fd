"""Would the API server let the pods come back?

Each pod is created again while everything else runs; a Job's and a CronJob's pods are created beside all others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from models.catalog import load_apps
from models.catalog.apps import AppProfile
from models.findings import Severity
from models.objects import KubeObject, Manifest, dig
from models.platform import Workload
from models.rules.limitrange import limit_range_error
from models.rules.quantity import ZERO, Quantity, format_bytes, format_millicores, parse_quantity
from models.rules.quota import hard_of, missing_values, usage
from models.rules.resources import ResourceList, add_lists, is_sidecar
from models.rules.usage import matches_scopes, matching_keys
from sim.checks.check import Check, Defect, subject_of
from sim.checks.look import Look, Restart, pod_field
from sim.checks.patch import container_patch, patch, pod_patch

_PART = re.compile(r"(\S+) for: (\S+?)(?:;|$)")
_MIB = 1 << 20


def quota_unspecified(look: Look) -> Iterator[Defect]:
    """A container or init container without a value that a quota of its namespace tracks."""
    for restart in look.restarts.values():
        if restart.plugin != "ResourceQuota":
            continue
        missing, quotas = _missing(look, restart)
        if not missing:
            continue
        workload = restart.workload
        first = next(iter(missing))
        yield Defect(
            f"A pod of {workload.id} is refused when it is created again: "
            f"{_count(len(missing), 'container')} without a value that the quota tracks",
            workload.object,
            f"{pod_field(workload)}.{first[0]}[{first[1]}].resources",
            (*quotas, *_stops_update(workload)),
            "give every container and init container what the quota tracks, or let a LimitRange fill it in",
            _values_patch(workload, missing),
        )


def quota_exceeded(look: Look) -> Iterator[Defect]:
    """A pod for which the quota has too little left: the namespace uses more than it may, or a Job does not fit in."""
    for restart in look.restarts.values():
        if restart.plugin != "ResourceQuota" or _missing(look, restart)[0]:
            continue
        workload = restart.workload
        needed = _needed(look, restart)
        lines = [restart.message]
        patches = []
        for quota, keys in needed:
            amounts = {key: str(amount) for key, amount in keys.items()}
            hard = hard_of(quota.manifest)
            lines += [
                f"{subject_of(quota)} ({quota.origin}): {key} needed {amount}, allowed {hard[key]}"
                for key, amount in amounts.items()
            ]
            patches.append(patch(quota, spec={"hard": amounts}))
        what = "its next run" if workload.controller in ("Job", "CronJob") else "it is created again"
        yield Defect(
            f"A pod of {workload.id} is refused when {what}: the quota has too little left"
            if what != "its next run"
            else f"The next run of {workload.id} is refused: the quota has too little left",
            workload.object,
            f"{pod_field(workload)}.containers",
            (*lines, *_stops_update(workload)),
            "raise the quota to what everything needs together, or lower requests",
            "---\n".join(patches),
        )


def limit_range_refused(look: Look) -> Iterator[Defect]:
    """A pod or a claim outside of what a LimitRange of its namespace allows."""
    for restart in look.restarts.values():
        if restart.plugin == "LimitRanger":
            workload = restart.workload
            yield Defect(
                f"A pod of {workload.id} is refused when it is created again: it breaks a LimitRange",
                workload.object,
                f"{pod_field(workload)}.containers",
                (restart.message, *_places(look.platform.limit_ranges.get(workload.namespace, ()))),
                "bring requests and limits into the range (the ratio is limit divided by request), or widen it",
                _range_patch(look, restart),
            )
    for claim in look.platform.claims:
        ranges = look.platform.limit_ranges.get(claim.namespace, ())
        message = limit_range_error(claim.manifest, [item.manifest for item in ranges])
        if message and claim.origin.provenance != "derived":
            yield Defect(
                f"{subject_of(claim)} is refused when it is created again: it breaks a LimitRange",
                claim,
                "spec.resources.requests.storage",
                (message, *_places(ranges)),
                "ask for an amount inside of the range, or widen it",
            )


def priority_class_missing(look: Look) -> Iterator[Defect]:
    """A pod that names a PriorityClass that nobody makes, or states another priority than its class."""
    for restart in look.restarts.values():
        if restart.plugin != "Priority":
            continue
        workload = restart.workload
        name = dig(dict(workload.pod_spec), "priorityClassName", default="")
        hidden = look.unseen("")
        other = look.declared_elsewhere("PriorityClass", name)
        yield Defect(
            f"A pod of {workload.id} is refused when it is created again: "
            + (
                f"no PriorityClass {name}"
                if "no PriorityClass" in restart.message
                else "its priority is not its class's"
            ),
            workload.object,
            f"{pod_field(workload)}.priorityClassName",
            (
                restart.message,
                *([f"the repository has it at {other}, outside of this tree"] if other else []),
                *(f"not read: {item}" for item in hidden[:3]),
            ),
            look.read_as_well(other, f"PriorityClass {name}")
            if other
            else f"add the PriorityClass {name}, or leave priorityClassName out",
            pod_patch(workload, {"priorityClassName": None, "priority": None, "preemptionPolicy": None}),
            Severity.WARNING if other or hidden else None,
        )


def quota_objects(look: Look) -> Iterator[Defect]:
    """More Services, claims, storage or other objects than a quota allows: a fresh cluster refuses the last of them."""
    for quotas in look.platform.quotas.values():
        for quota in quotas:
            hard = hard_of(quota.manifest)
            used: ResourceList = {}
            for item in look.platform.objects:
                if item.namespace == quota.namespace and item.kind not in ("Pod", "ResourceQuota"):
                    keys = matching_keys(item.manifest, hard)
                    if keys and matches_scopes(quota.manifest, item.manifest):
                        cost = usage(item.manifest)
                        used = add_lists(used, {key: cost[key] for key in keys if key in cost})
            over = {key: str(amount) for key, amount in used.items() if amount > hard[key]}
            if over:
                yield Defect(
                    f"{subject_of(quota)} is smaller than what the tree itself declares: "
                    "on a fresh cluster the API server refuses the last of it",
                    quota,
                    f"spec.hard.{next(iter(over))}",
                    tuple(f"{key}: declared {amount}, allowed {hard[key]}" for key, amount in sorted(over.items())),
                    "raise the quota to what the tree declares",
                    patch(quota, spec={"hard": over}),
                )


def _missing(look: Look, restart: Restart) -> tuple[dict[tuple[str, str], list[str]], list[str]]:
    """Tracked keys by (group, container) that lack them, over all quotas of the namespace, and their sentences."""
    found: dict[tuple[str, str], list[str]] = {}
    lines = []
    groups = {
        str(item.get("name")): group
        for group in ("initContainers", "containers")
        for item in dig(restart.manifest, "spec", group, default=[])
    }
    for quota in look.platform.quotas.get(restart.workload.namespace, ()):
        keys = matching_keys(restart.manifest, hard_of(quota.manifest))
        if not keys or not matches_scopes(quota.manifest, restart.manifest):
            continue
        text = missing_values(restart.manifest, keys)
        if not text:
            continue
        name = dig(restart.manifest, "metadata", "name", default="")
        lines.append(f'pods "{name}" is forbidden: failed quota: {quota.name}: must specify {text}')
        lines.append(f"{subject_of(quota)} is at {quota.origin}")
        for key, names in _PART.findall(text):
            for container in names.split(","):
                listed = found.setdefault((groups.get(container, "containers"), container), [])
                if key not in listed:
                    listed.append(key)
    return found, lines


def _needed(look: Look, restart: Restart) -> list[tuple[KubeObject, dict[str, Quantity]]]:
    """Per quota that has too little: the amounts that everything together needs, of the keys that do not suffice."""
    workload = restart.workload
    found = []
    for quota in look.platform.quotas.get(workload.namespace, ()):
        hard = hard_of(quota.manifest)
        total = look.ledger.use(workload.namespace, quota.name)
        if workload.controller in ("Job", "CronJob") and matches_scopes(quota.manifest, restart.manifest):
            cost = usage(restart.manifest)
            total = add_lists(total, {key: cost[key] * (workload.replicas or 0) for key in hard if key in cost})
        own = usage(restart.manifest)
        over = {key: total[key] for key in sorted(hard) if total.get(key, ZERO) > hard[key] and own.get(key)}
        if over:
            found.append((quota, over))
    return found


def _stops_update(workload: Workload) -> tuple[str, ...]:
    if workload.controller in ("StatefulSet", "DaemonSet"):
        return (f"an update of this {workload.controller} deletes a running pod first and then stops here",)
    return ()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _places(items: tuple[KubeObject, ...]) -> tuple[str, ...]:
    return tuple(f"{subject_of(item)} is at {item.origin}" for item in items)


def _values_patch(workload: Workload, missing: Mapping[tuple[str, str], list[str]]) -> str:
    """The missing values: what the catalogue expects of the app; an init container no more than the pod has anyway."""
    changes = []
    for (group, name), keys in missing.items():
        listed = dig(dict(workload.pod_spec), group, default=[])
        container: Manifest = next((item for item in listed if item.get("name") == name), {})
        profile = load_apps().for_container(str(container.get("image") or ""), workload.name)
        resources: dict[str, dict[str, str]] = {}
        for key in keys:
            side, _, resource = key.rpartition(".")
            side = side or "requests"
            starts_only = group == "initContainers" and not is_sidecar(container)
            amount = _suggested(workload, container, profile, side, resource, starts_only)
            resources.setdefault(side, {})[resource] = amount
        changes.append((group, name, {"resources": resources}))
    return container_patch(workload, changes)


def _suggested(
    workload: Workload, container: Manifest, profile: AppProfile, side: str, resource: str, starts_only: bool
) -> str:
    limit = side == "limits"
    if resource == "cpu":
        amount = (max(profile.busy_cpu_m, 100) if limit else max(profile.idle_cpu_m, 10)) * 1_000_000
    else:
        amount = (2 * profile.busy_mem_mib if limit else max(profile.idle_mem_mib, 16)) * _MIB * 1_000_000_000
    if starts_only:
        # It runs before the others: up to their sum it costs the quota nothing.
        own = sum(_amount(item, side, resource) for item in dig(dict(workload.pod_spec), "containers", default=[]))
        amount = min(amount, own) if own else amount
    if limit:
        amount = max(amount, _amount(container, "requests", resource))
    elif stated := _amount(container, "limits", resource):
        amount = min(amount, stated)
    if resource == "cpu":
        return format_millicores(max(1, amount // 1_000_000))
    return format_bytes(max(1, amount // 1_000_000_000))


def _amount(container: Manifest, side: str, resource: str) -> int:
    text = dig(container, "resources", side, resource)
    return parse_quantity(text).nano if text is not None else 0


def _range_patch(look: Look, restart: Restart) -> str:
    """Requests and limits of single containers moved to the nearest end of the range; "" for a range of whole pods."""
    workload = restart.workload
    ranges = [item.manifest for item in look.platform.limit_ranges.get(workload.namespace, ())]
    bounds = [
        item
        for manifest in ranges
        for item in dig(manifest, "spec", "limits", default=[])
        if isinstance(item, dict) and item.get("type") == "Container"
    ]
    changes = []
    for group in ("containers", "initContainers"):
        for container in dig(restart.manifest, "spec", group, default=[]):
            mended = _into_range(container, bounds)
            if mended:
                changes.append((group, str(container.get("name")), {"resources": mended}))
    return container_patch(workload, changes) if changes else ""


def _into_range(container: Manifest, bounds: list[Manifest]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}

    def current(side: str, name: str) -> Quantity | None:
        text = found.get(side, {}).get(name, dig(container, "resources", side, name))
        return None if text is None else parse_quantity(text)

    def put(side: str, name: str, value: Any) -> None:
        found.setdefault(side, {})[name] = str(parse_quantity(value) if not isinstance(value, Quantity) else value)

    for item in bounds:
        for name, floor in (item.get("min") or {}).items():
            for side in ("requests", "limits"):
                amount = current(side, name)
                if (amount is None and side == "requests") or (amount is not None and amount < parse_quantity(floor)):
                    put(side, name, floor)
        for name, ceiling in (item.get("max") or {}).items():
            for side in ("limits", "requests"):
                amount = current(side, name)
                if (amount is None and side == "limits") or (amount is not None and amount > parse_quantity(ceiling)):
                    put(side, name, ceiling)
        for name, ratio in (item.get("maxLimitRequestRatio") or {}).items():
            limit, request = current("limits", name), current("requests", name)
            most = parse_quantity(ratio)
            if limit is None:
                continue
            if not request or limit.nano * 1_000_000_000 > request.nano * most.nano:
                wanted = -(-limit.nano * 1_000_000_000 // most.nano)
                put("requests", name, _whole(wanted, name))
    return found


def _whole(nano: int, resource: str) -> str:
    """An amount in the finest unit that people write: millicores, or bytes."""
    if resource == "cpu":
        return format_millicores(-(-nano // 1_000_000))
    return format_bytes(-(-nano // 1_000_000_000))


CHECKS = (
    Check(
        "QUOTA-UNSPECIFIED",
        Severity.ERROR,
        "a container or init container states no value that a quota tracks: the pod is refused at its next restart",
        quota_unspecified,
    ),
    Check(
        "QUOTA-EXCEEDED",
        Severity.ERROR,
        "a quota has too little left for a pod that is created again, or for the next run of a Job",
        quota_exceeded,
    ),
    Check(
        "QUOTA-OBJECTS",
        Severity.ERROR,
        "the tree declares more objects or storage than a quota of the namespace allows",
        quota_objects,
    ),
    Check(
        "LIMITRANGE-REFUSED",
        Severity.ERROR,
        "a pod or a claim breaks a LimitRange: it is refused at its next creation",
        limit_range_refused,
    ),
    Check(
        "PRIORITYCLASS-MISSING",
        Severity.ERROR,
        "a pod names a PriorityClass that does not exist: it is refused at its next restart",
        priority_class_missing,
    ),
)
