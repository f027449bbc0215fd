"""ResourceQuota admission in the API server's words.

Source: ``apiserver/pkg/admission/plugin/resourcequota/controller.go`` (``CheckRequest``) and
``apiserver/pkg/quota/v1/resources.go``. Usage and scopes are in :mod:`models.rules.usage`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from models.objects import Manifest, dig
from models.rules.limitrange import forbidden
from models.rules.quantity import ZERO
from models.rules.resources import (
    ResourceList,
    add_lists,
    containers_of,
    init_containers_of,
    pod_level_resources_set,
    resource_list,
)
from models.rules.usage import (
    COMPUTE_KEYS,
    compute_usage,
    is_terminating,
    matches_scope,
    matches_scopes,
    matching_keys,
    resource_of,
    scope_selectors,
    usage,
)

__all__ = ["Admission", "admit", "compute_used", "hard_of", "matches_scopes", "usage", "used_of"]


@dataclass(frozen=True)
class Admission:
    """The answer of quota admission.

    ``message``: the API server's refusal, "" when allowed; ``deltas``: what was charged, by quota name (only quotas
    that were charged); ``new_used``: every quota's use afterwards, by quota name (unchanged when refused).
    """

    allowed: bool
    message: str = ""
    deltas: Mapping[str, ResourceList] = field(default_factory=dict)
    new_used: Mapping[str, ResourceList] = field(default_factory=dict)


@dataclass(frozen=True)
class _Quota:
    """One quota of the namespace with its amounts read."""

    manifest: Manifest
    name: str
    hard: ResourceList
    used: ResourceList


def admit(
    obj: Manifest,
    quotas: Iterable[Manifest],
    *,
    old: Manifest | None = None,
    namespace: str | None = None,
    limited_resources: Sequence[Manifest] = (),
    used: Mapping[str, ResourceList] | None = None,
    now: datetime | None = None,
) -> Admission:
    """Whether the namespace's quotas let the object in, and what it costs them.

    ``old``: the stored object on an update (a pod's update counts only when it is a resize or changes its
    terminating scope); ``namespace``: where the object goes, its own by default, other namespaces' quotas are ignored;
    ``limited_resources``: the plugin's configuration; ``used``: current use by quota name, in place of
    ``status.used``. A quota without ``status`` is taken as new: its ``spec.hard`` counts and nothing is used yet
    unless ``used`` says so. Raises ValueError on an unreadable amount.
    """
    where = namespace if namespace is not None else dig(obj, "metadata", "namespace", default="")
    considered = [_read(quota, used or {}) for quota in quotas if _belongs(quota, where)]
    current = {quota.name: quota.used for quota in considered}

    def refuse(reason: str) -> Admission:
        return Admission(False, reason, {}, current)

    if not _handles(obj, old):
        return Admission(True, "", {}, current)
    relevant: list[_Quota] = []
    covered: set[str] = set()
    for quota in considered:
        keys = matching_keys(obj, quota.hard)
        if not keys or not matches_scopes(quota.manifest, obj):
            continue
        missing = missing_values(obj, keys)
        if missing:
            return refuse(_forbid(obj, f"failed quota: {quota.name}: must specify {missing}"))
        if any(key not in quota.used for key in keys):
            reason = f"status unknown for quota: {quota.name}, resources: {','.join(keys)}"
            return refuse(_forbid(obj, reason))
        relevant.append(quota)
        covered.update(keys)
    cost = usage(obj, now=now)
    negative = sorted(key for key, amount in cost.items() if amount.sign < 0)
    if negative:
        return refuse(_forbid(obj, f"quota usage is negative for resource(s): {','.join(negative)}"))
    deltas, changed = _deltas(cost, relevant, old, now)
    if not changed:
        return Admission(True, "", {}, current)
    uncovered = _limits_without_quota(obj, considered, covered, cost, limited_resources)
    if uncovered:
        return refuse(uncovered)
    return _charge(obj, relevant, deltas, current)


def missing_values(pod: Manifest, keys: Iterable[str]) -> str:
    """What a pod must state because a quota tracks it: ``limits.cpu for: a,b; limits.memory for: a``; "" when complete.

    Every container and init container must state tracked cpu and memory values, unless the pod states pod-level
    resources. Other kinds never miss any.
    """
    if resource_of(pod) != "pods" or pod_level_resources_set(pod):
        return ""
    required = sorted(COMPUTE_KEYS.intersection(keys))
    missing: dict[str, set[str]] = {key: set() for key in required}
    for container in containers_of(pod) + init_containers_of(pod):
        stated = compute_usage(
            resource_list(dig(container, "resources", "requests")),
            resource_list(dig(container, "resources", "limits")),
        )
        for key in required:
            if key not in stated:
                missing[key].add(str(container.get("name", "")))
    return "; ".join(f"{key} for: {','.join(sorted(names))}" for key, names in missing.items() if names)


def compute_used(quota: Manifest, objects: Iterable[Manifest], *, now: datetime | None = None) -> ResourceList:
    """What the namespace's objects use of a quota's hard keys (``CalculateUsage``); keys nobody uses are zero.

    Objects of another namespace than the quota's are left out.
    """
    hard = hard_of(quota)
    home = dig(quota, "metadata", "namespace", default="")
    total: ResourceList = {}
    for obj in objects:
        if dig(obj, "metadata", "namespace", default="") != home:
            continue
        keys = matching_keys(obj, hard)
        total = add_lists(total, dict.fromkeys(keys, ZERO))
        if keys and matches_scopes(quota, obj):
            cost = usage(obj, now=now)
            total = add_lists(total, {key: cost[key] for key in keys if key in cost})
    return {key: total.get(key, ZERO) for key in hard}


def hard_of(quota: Manifest) -> ResourceList:
    """The limits in force: ``status.hard`` when there is a status, else ``spec.hard``."""
    status = dig(quota, "status", "hard")
    return resource_list(dig(quota, "spec", "hard") if status is None else status)


def used_of(quota: Manifest) -> ResourceList:
    """``status.used``; zero for every key when the quota has no status yet."""
    if dig(quota, "status", "hard") is None and dig(quota, "status", "used") is None:
        return dict.fromkeys(hard_of(quota), ZERO)
    return resource_list(dig(quota, "status", "used"))


def pretty(amounts: Mapping[str, object]) -> str:
    """A resource list as quota messages print it: ``cpu=1,memory=1Gi``, sorted by name."""
    return ",".join(f"{name}={amounts[name]}" for name in sorted(amounts))


def _read(quota: Manifest, used: Mapping[str, ResourceList]) -> _Quota:
    name = str(dig(quota, "metadata", "name", default=""))
    hard = hard_of(quota)
    current = dict.fromkeys(hard, ZERO) | dict(used[name]) if name in used else used_of(quota)
    return _Quota(quota, name, hard, current)


def _belongs(quota: Manifest, namespace: str) -> bool:
    home = dig(quota, "metadata", "namespace", default="")
    return not home or not namespace or home == namespace


def _handles(obj: Manifest, old: Manifest | None) -> bool:
    """Whether quota looks at this request at all (the evaluators' ``Handles``)."""
    if old is None:
        return True
    resource = resource_of(obj)
    if resource == "pods":
        return is_terminating(obj) != is_terminating(old) or _stated_resources(obj) != _stated_resources(old)
    return resource in ("services", "persistentvolumeclaims", "resourceclaims.resource.k8s.io")


def _stated_resources(pod: Manifest) -> list[object]:
    """What only a resize can change: the resources of the pod and of its containers."""
    members = containers_of(pod) + init_containers_of(pod)
    return [dig(pod, "spec", "resources"), *(container.get("resources") for container in members)]


def _deltas(
    cost: ResourceList, relevant: Sequence[_Quota], old: Manifest | None, now: datetime | None
) -> tuple[dict[str, ResourceList], bool]:
    """The non-zero charge per relevant quota, and whether anything at all is charged.

    An update costs only its increases, and only where the stored object already counted; an old object without a
    resourceVersion is a create in disguise.
    """
    increase = cost
    stored = old is not None and bool(dig(old, "metadata", "resourceVersion"))
    if old is not None and stored:
        before = usage(old, now=now)
        increase = {key: amount - before.get(key, ZERO) for key, amount in cost.items()}
        increase = {key: amount for key, amount in increase.items() if amount.sign > 0}
    charges: dict[str, ResourceList] = {}
    for quota in relevant:
        counted = old is not None and stored and matches_scopes(quota.manifest, old)
        charge = {key: amount for key, amount in (increase if counted else cost).items() if amount}
        if charge:
            charges[quota.name] = charge
    return charges, bool(charges) if relevant else any(increase.values())


def _limits_without_quota(
    obj: Manifest,
    quotas: Sequence[_Quota],
    covered: set[str],
    cost: ResourceList,
    limited_resources: Sequence[Manifest],
) -> str:
    """The refusal when a resource or scope that is limited by configuration has no quota, else ""."""
    limited_keys: set[str] = set()
    limited_scopes: list[Manifest] = []
    for limited in limited_resources:
        limited_scopes += [s for s in limited.get("matchScopes") or [] if matches_scope(s, obj)]
        group = limited.get("apiGroup") or ""
        resource = f"{limited.get('resource')}.{group}" if group else limited.get("resource")
        if resource == resource_of(obj):
            parts = limited.get("matchContains") or []
            limited_keys |= {key for key, n in cost.items() if n.sign > 0 and any(part in key for part in parts)}
    if limited_keys - covered:
        reason = f"insufficient quota to consume: {','.join(sorted(limited_keys - covered))}"
        return _forbid(obj, reason)
    offered = {
        selector.get("scopeName")
        for quota in quotas
        for selector in scope_selectors(quota.manifest)
        if matches_scope(selector, obj)
    }
    bare = [selector for selector in limited_scopes if selector.get("scopeName") not in offered]
    if bare:
        # Upstream does not put this one into the "is forbidden" frame.
        return f"insufficient quota to match these scopes: [{' '.join(_go_selector(s) for s in bare)}]"
    return ""


def _go_selector(selector: Manifest) -> str:
    """A scope selector as Go prints the struct: ``{PriorityClass In [high]}``."""
    values = " ".join(str(value) for value in selector.get("values") or [])
    return f"{{{selector.get('scopeName', '')} {selector.get('operator', '')} [{values}]}}"


def _charge(
    obj: Manifest,
    relevant: Sequence[_Quota],
    deltas: Mapping[str, ResourceList],
    current: dict[str, ResourceList],
) -> Admission:
    charged: dict[str, ResourceList] = {}
    new_used = dict(current)
    for quota in relevant:
        if quota.name not in deltas:
            continue
        delta = {key: amount for key, amount in deltas[quota.name].items() if key in quota.hard}
        total = add_lists(quota.used, delta)
        exceeded = [key for key in delta if total[key] > quota.hard[key]]
        if exceeded:
            reason = (
                f"exceeded quota: {quota.name}, requested: {pretty({k: delta[k] for k in exceeded})}, "
                f"used: {pretty({k: quota.used[k] for k in exceeded if k in quota.used})}, "
                f"limited: {pretty({k: quota.hard[k] for k in exceeded})}"
            )
            return Admission(False, _forbid(obj, reason), {}, current)
        charged[quota.name] = delta
        new_used[quota.name] = total
    return Admission(True, "", charged, new_used)


def _forbid(obj: Manifest, reason: str) -> str:
    return forbidden(resource_of(obj), obj, reason)
