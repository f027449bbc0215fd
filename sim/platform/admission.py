"""What the API server does to a new pod: defaults, priority, LimitRanger, and the running ledger of the quotas."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass

from models.objects import Manifest, dig
from models.platform import Platform
from models.rules.defaults import DEFAULT_TOLERATION_SECONDS, default_pod, default_tolerations
from models.rules.limitrange import apply_limit_ranges, limit_range_error
from models.rules.priority import priority_class_name, resolve_priority
from models.rules.quantity import ZERO
from models.rules.quota import Admission, admit, compute_used, hard_of
from models.rules.resources import ResourceList, add_lists


@dataclass(frozen=True)
class Prepared:
    """A pod after everything but quota: the manifest as it would be stored, or the API server's refusal.

    ``plugin``: the admission plugin that refuses.
    """

    manifest: Manifest
    message: str = ""
    plugin: str = ""


class Gate:
    """The admission plugins that need no running state, for one platform.

    ``toleration_s``: how long pods that say nothing else stay on a node that is lost (--default-unreachable-toleration-
    seconds of the API server).
    """

    def __init__(self, platform: Platform, toleration_s: int = DEFAULT_TOLERATION_SECONDS) -> None:
        self._toleration_s = toleration_s
        self._priority_classes = [item.manifest for item in platform.priority_classes.values()]
        self._known: dict[Hashable, Manifest] = {}
        self._limit_ranges = {name: [item.manifest for item in items] for name, items in platform.limit_ranges.items()}

    def prepare_again(self, key: Hashable, name: str, make: Callable[[], Manifest]) -> Prepared:
        """As :meth:`prepare` for pods that differ in their name alone: the first of each ``key`` is remembered.

        ``make`` makes the pod. Specs are shared between the results; nobody changes a stored manifest.
        """
        known = self._known.get(key)
        if known is not None:
            return Prepared({**known, "metadata": {**known["metadata"], "name": name}})
        prepared = self.prepare(make())
        if not prepared.message:
            self._known[key] = prepared.manifest
        return prepared

    def prepare(self, pod: Manifest) -> Prepared:
        """The pod after API defaulting, priority, default tolerations and LimitRanger."""
        limit_ranges = self._limit_ranges.get(str(dig(pod, "metadata", "namespace", default="")), [])
        manifest = default_tolerations(default_pod(pod), self._toleration_s)
        try:
            priority, policy = resolve_priority(manifest, self._priority_classes)
        except ValueError as error:
            return Prepared(manifest, str(error), "Priority")
        spec = manifest["spec"]
        spec["priority"], spec["preemptionPolicy"] = priority, policy
        if name := priority_class_name(manifest, self._priority_classes):
            spec["priorityClassName"] = name
        manifest = apply_limit_ranges(manifest, limit_ranges)
        message = limit_range_error(manifest, limit_ranges)
        return Prepared(manifest, message, "LimitRanger") if message else Prepared(manifest)


class Ledger:
    """The ResourceQuotas of all namespaces with their current use. Pods are charged and released by key.

    ``objects``: manifests that exist from the start (services, claims, …) and count against object quotas.
    """

    def __init__(self, quotas: Mapping[str, Iterable[Manifest]], objects: Iterable[Manifest] = ()) -> None:
        self._quotas = {namespace: {_name(item): item for item in items} for namespace, items in quotas.items()}
        listed: dict[str, list[Manifest]] = {}
        for item in objects:
            listed.setdefault(str(dig(item, "metadata", "namespace", default="")), []).append(item)
        self._used: dict[str, dict[str, ResourceList]] = {
            namespace: {name: compute_used(quota, listed.get(namespace, [])) for name, quota in items.items()}
            for namespace, items in self._quotas.items()
        }
        self._charges: dict[str, tuple[str, Mapping[str, ResourceList]]] = {}

    def copy(self) -> Ledger:
        """An independent ledger with the same state."""
        other = Ledger({})
        other._quotas = {namespace: dict(items) for namespace, items in self._quotas.items()}
        other._used = {namespace: dict(items) for namespace, items in self._used.items()}
        other._charges = dict(self._charges)
        return other

    def try_admit(self, pod: Manifest) -> Admission:
        """Quota admission of a pod; an allowed pod is charged."""
        namespace = str(dig(pod, "metadata", "namespace", default=""))
        quotas = self._quotas.get(namespace)
        if not quotas:
            return Admission(True)
        answer = admit(pod, quotas.values(), namespace=namespace, used=self._used[namespace])
        if answer.allowed:
            self._used[namespace] = {**self._used[namespace], **answer.new_used}
            self._charges[f"{namespace}/{_name(pod)}"] = (namespace, answer.deltas)
        return answer

    def charge(self, pod: Manifest) -> None:
        """Count a pod that runs already, whatever admission would say to it today: a quota evicts nothing."""
        namespace = str(dig(pod, "metadata", "namespace", default=""))
        quotas = self._quotas.get(namespace, {})
        deltas = {name: compute_used(quota, [pod]) for name, quota in quotas.items()}
        used = self._used.get(namespace, {})
        self._used[namespace] = {**used, **{name: add_lists(used[name], amounts) for name, amounts in deltas.items()}}
        self._charges[f"{namespace}/{_name(pod)}"] = (namespace, deltas)

    def release(self, key: str) -> bool:
        """Give back what the pod ``namespace/name`` was charged; true when it had been charged anything."""
        namespace, deltas = self._charges.pop(key, ("", {}))
        for quota, amounts in deltas.items():
            used = self._used[namespace].get(quota)
            if used is not None:
                lowered = {name: amount - amounts.get(name, ZERO) for name, amount in used.items()}
                self._used[namespace] = {**self._used[namespace], quota: lowered}
        return bool(deltas)

    def set_hard(self, namespace: str, quota: str, hard: Mapping[str, str], objects: Iterable[Manifest]) -> None:
        """Write other limits into a quota. ``objects`` are all that exist, to count keys that were not tracked."""
        manifest = copy.deepcopy(self._quotas[namespace][quota])
        manifest.setdefault("spec", {})["hard"] = {**dig(manifest, "spec", "hard", default={}), **hard}
        manifest.pop("status", None)
        self._quotas[namespace][quota] = manifest
        known = self._used[namespace].get(quota, {})
        fresh = compute_used(manifest, objects)
        self._used[namespace] = {**self._used[namespace], quota: {**fresh, **known}}

    def has(self, namespace: str, quota: str) -> bool:
        """Whether the namespace has a quota of that name."""
        return quota in self._quotas.get(namespace, {})

    def rows(self, namespace: str | None = None) -> list[tuple[str, str, str, str, str]]:
        """(namespace, quota, key, used, hard) as Kubernetes prints them, of one namespace or all."""
        chosen = self._quotas if namespace is None else {namespace: self._quotas.get(namespace, {})}
        return [
            (place, name, key, str(self._used[place].get(name, {}).get(key, ZERO)), str(hard))
            for place, quotas in chosen.items()
            for name, quota in quotas.items()
            for key, hard in sorted(hard_of(quota).items())
        ]

    def use(self, namespace: str, quota: str) -> ResourceList:
        """What is used of a quota."""
        return add_lists({}, self._used[namespace][quota])


def _name(manifest: Manifest) -> str:
    return str(dig(manifest, "metadata", "name", default=""))
