"""The API server while pods come in: mutating admission, validation, quotas, in its order and its words."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from models.objects import KubeObject, Manifest, dig
from models.rules.limitrange import forbidden, limit_range_error
from models.rules.qos import qos_class
from models.rules.resources import ResourceOptions, pod_limits, pod_requests
from models.rules.usage import resource_of, usage
from models.rules.validation import resource_error
from sim.explain.answers import AdmissionAnswer, ObjectAnswer, PodAnswer
from sim.explain.quotabook import QuotaBook
from sim.explain.stock import Arrival, Stock, limited_resources
from sim.platform.admission import Gate

_PRIORITY_FIELDS: Final = ("priority", "preemptionPolicy", "priorityClassName")
_WITH_STATUS: Final = ResourceOptions(use_status=True)


def key_of(obj: Manifest) -> str:
    """namespace/name."""
    return f"{dig(obj, 'metadata', 'namespace', default='')}/{dig(obj, 'metadata', 'name', default='')}"


@dataclass(frozen=True)
class _Form:
    """A pod after mutating admission, with the refusal of the gate's plugin and that of validation, "" for none."""

    answer: PodAnswer
    plugin: str
    message: str
    invalid: str


class ApiServer:
    """Says to every object whether it is created, and remembers what that cost.

    ``live``: the pods that exist, by key. ``refused_claims``: keys of the claims that were not created.
    """

    def __init__(self, stock: Stock) -> None:
        self._platform = stock.platform
        self._gate = Gate(stock.platform)
        self._forms: dict[str, _Form] = {}
        self._accounts: dict[str, set[str]] = {}
        for item in stock.platform.by_kind("ServiceAccount"):
            self._accounts.setdefault(item.namespace, set()).add(item.name)
        stored = [item.manifest for item in stock.stored]
        waiting = [item.manifest for item in stock.arrivals if item.stored]
        counted = [*stock.existing, *waiting, *stored]
        self.quotas = QuotaBook(stock.of_kind("ResourceQuota"), counted, limited_resources(stock))
        self.live = {key_of(pod): pod for pod in [*stock.existing, *waiting]}
        self.refused_claims: set[str] = set()
        self._refused_workloads: dict[str, AdmissionAnswer] = {}

    def create(self, item: KubeObject) -> ObjectAnswer:
        """LimitRanger (for claims) and quota admission of an object that is no pod."""
        manifest = item.manifest
        lines = tuple(self.quotas.lines(manifest))
        message, plugin = self._closed(manifest), "NamespaceLifecycle"
        if not message and item.kind == "PersistentVolumeClaim":
            ranges = [entry.manifest for entry in self._platform.limit_ranges.get(item.namespace, ())]
            message, plugin = limit_range_error(manifest, ranges) or "", "LimitRanger"
        if not message:
            message, plugin = self.quotas.admit(manifest).message, "ResourceQuota"
        admission = AdmissionAnswer(not message, plugin if message else "", message, quotas=lines)
        if message and item.kind == "PersistentVolumeClaim":
            self.refused_claims.add(key_of(manifest))
        elif message:
            self._refused_workloads[f"{item.kind} {key_of(manifest)}"] = admission
        return ObjectAnswer(item.key, item.origin, usage(manifest), admission)

    def create_pod(self, arrival: Arrival) -> PodAnswer:
        """The pod as it would be stored and what admission says; state ``refused`` or, to be scheduled, ``pending``."""
        form = self._form(arrival)
        closed = self._refused_workloads.get(arrival.workload)
        admission = closed if closed is not None else self._admit(arrival, form)
        if not admission.admitted:
            return replace(form.answer, admission=admission, message=admission.message)
        self.live[form.answer.key] = form.answer.manifest
        return replace(form.answer, admission=admission, state="pending")

    def delete_pod(self, key: str) -> None:
        """A pod goes, and its quota with it."""
        self.quotas.release(self.live.pop(key))

    def _form(self, arrival: Arrival) -> _Form:
        """The pod after mutating admission; of pods that differ in their name alone only the first is computed."""
        metadata = arrival.manifest["metadata"]
        name = str(metadata["name"])
        identity = repr(({**arrival.manifest, "metadata": {**metadata, "name": ""}}, arrival.stored))
        form = self._forms.get(identity)
        if form is None:
            form = self._new_form(arrival)
            if not form.message and not form.invalid:
                self._forms[identity] = form
            return form
        stored = form.answer.manifest
        manifest = {**stored, "metadata": {**stored["metadata"], "name": name}}
        answer = replace(form.answer, name=name, manifest=manifest, workload=arrival.workload, origin=arrival.origin)
        return replace(form, answer=answer)

    def _new_form(self, arrival: Arrival) -> _Form:
        sent = self._mutated(arrival)
        held = self._trusted_priority(arrival)
        bare = {**sent, "spec": {name: value for name, value in sent["spec"].items() if name not in held}}
        prepared = self._gate.prepare(bare)
        prepared.manifest["spec"].update(held)
        answer = _describe(arrival, prepared.manifest)
        return _Form(answer, prepared.plugin, prepared.message, resource_error(prepared.manifest))

    def _mutated(self, arrival: Arrival) -> Manifest:
        """The pod after the admission plugins that the gate does not know: ServiceAccount and RuntimeClass."""
        pod = copy.deepcopy(arrival.manifest)
        spec = pod["spec"] = pod.get("spec") or {}
        if not (spec.get("serviceAccountName") or spec.get("serviceAccount")):
            spec["serviceAccountName"] = "default"
        runtime = self._platform.get("RuntimeClass", "", str(spec.get("runtimeClassName") or ""))
        overhead = runtime.get("overhead", "podFixed") if runtime is not None else None
        if overhead:
            spec.setdefault("overhead", dict(overhead))
        return pod

    def _admit(self, arrival: Arrival, form: _Form) -> AdmissionAnswer:
        if arrival.stored:
            return AdmissionAnswer(True, stored=True)
        pod = form.answer.manifest
        lines = tuple(self.quotas.lines(pod))

        def refuse(plugin: str, message: str) -> AdmissionAnswer:
            return AdmissionAnswer(False, plugin, message, quotas=lines)

        early = (
            ("NamespaceLifecycle", self._closed(pod)),
            ("ServiceAccount", self._account_missing(arrival, pod)),
            ("Priority", form.message if form.plugin == "Priority" else ""),
            ("validation", form.invalid),
            (form.plugin, form.message),
            ("", self._name_taken(pod)),
        )
        for plugin, message in early:
            if message:
                return refuse(plugin, message)
        for claim in arrival.claims:
            created = self.create(claim)
            if not created.admission.admitted:
                return refuse(
                    created.admission.plugin, f"failed to create PVC {claim.name}: {created.admission.message}"
                )
        verdict = self.quotas.admit(pod)
        if not verdict.allowed:
            return refuse("ResourceQuota", verdict.message)
        return AdmissionAnswer(True, quotas=lines)

    def _trusted_priority(self, arrival: Arrival) -> Manifest:
        """Priority fields that are taken as they stand instead of being computed from the classes.

        A pod with a status has been admitted before; and where no PriorityClass was given, a bare ``spec.priority``
        can only mean what admission would have computed from the classes that were left out.
        """
        spec = arrival.manifest.get("spec") or {}
        known = bool(arrival.stored or arrival.manifest.get("status"))
        if known or not (self._platform.priority_classes or spec.get("priorityClassName")):
            if known and spec.get("priority") is None:
                return {}
            return {name: spec[name] for name in _PRIORITY_FIELDS if spec.get(name) is not None}
        return {}

    def _closed(self, obj: Manifest) -> str:
        namespace = str(dig(obj, "metadata", "namespace", default=""))
        found = self._platform.get("Namespace", "", namespace)
        if found is None or found.get("status", "phase") != "Terminating":
            return ""
        reason = f"unable to create new content in namespace {namespace} because it is being terminated"
        return forbidden(resource_of(obj), obj, reason)

    def _account_missing(self, arrival: Arrival, pod: Manifest) -> str:
        """The refusal when the files hold ServiceAccounts of the namespace, but not the pod's.

        Accounts that an operator makes, or a chart that could not be had, are not in the files and cannot be missed.
        """
        namespace, name = str(dig(pod, "metadata", "namespace", default="")), str(pod["spec"]["serviceAccountName"])
        accounts = self._accounts.get(namespace)
        made = arrival.origin.provenance in ("modelled", "derived") or arrival.workload.startswith("Cluster ")
        if made or not accounts or name == "default" or name in accounts:
            return ""
        reason = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        return forbidden("pods", pod, reason)

    def _name_taken(self, pod: Manifest) -> str:
        return f'pods "{dig(pod, "metadata", "name")}" already exists' if key_of(pod) in self.live else ""


def _describe(arrival: Arrival, pod: Manifest) -> PodAnswer:
    metadata = pod["metadata"]
    return PodAnswer(
        name=str(metadata["name"]),
        namespace=str(metadata["namespace"]),
        workload=arrival.workload,
        origin=arrival.origin,
        manifest=pod,
        changes=tuple(_changes(arrival.manifest, pod)),
        qos=qos_class(pod),
        priority=int(dig(pod, "spec", "priority", default=0)),
        requests=pod_requests(pod, _WITH_STATUS),
        limits=pod_limits(pod, _WITH_STATUS),
        usage=usage(pod),
        admission=AdmissionAnswer(False),
        state="refused",
    )


def _changes(before: Any, after: Any, path: str = "") -> Iterable[tuple[str, Any, Any]]:
    """(field, value sent, value stored) of every field that differs, None where there was none."""
    if before is None and after and isinstance(after, dict | list):
        before = type(after)()
    if isinstance(before, dict) and isinstance(after, dict):
        for key in after:
            yield from _changes(before.get(key), after[key], f"{path}.{key}" if path else str(key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) <= len(after):
        for index, item in enumerate(after):
            yield from _changes(before[index] if index < len(before) else None, item, f"{path}[{index}]")
    elif before != after:
        yield path, before, after
