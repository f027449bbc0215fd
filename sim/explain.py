"""What would happen to each pod to come, in order: admission, quota, filters, scores, the node, the victims.

Nothing here takes time: every pod is admitted and scheduled before the next one arrives, what it is charged stays
charged and the room it takes is gone. Victims of a preemption leave at once, and the pod takes their place.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from models.errors import InputError, Problem, Where
from models.objects import KubeObject, Manifest, dig
from models.platform import Workload
from models.rules.disruption import budgets_of
from models.rules.limitrange import forbidden, limit_range_error
from models.rules.qos import qos_class
from models.rules.quota import hard_of, used_of
from models.rules.resources import ResourceList, ResourceOptions, pod_limits, pod_requests
from models.rules.usage import resource_of, scope_selectors, usage
from models.rules.validation import resource_error
from models.scheduler import Decision, Score, Snapshot, schedule_pod
from models.scheduler.config import DEFAULT_SCHEDULER, KIND, read_profiles
from models.scheduler.profile import SCORE_PLUGINS, Profile
from sim.arrivals import Arrival, Stock, limited_resources
from sim.explained import (
    AdmissionAnswer,
    Explanation,
    NodeAnswer,
    NodeStock,
    ObjectAnswer,
    PodAnswer,
    QuotaStock,
    ScoreLine,
)
from sim.placement import tie_breaker
from sim.platform.admission import Gate
from sim.platform.storage import Volumes
from sim.platform.workloads import replica_set
from sim.quotabook import QuotaBook

PRIORITY_FIELDS: Final = ("priority", "preemptionPolicy", "priorityClassName")


def explain(stock: Stock, *, seed: int = 1) -> Explanation:
    """Answer for every pod to come, each after those before it; ``seed`` breaks the scheduler's ties.

    Raises InputError for an unusable scheduler configuration, and for a value in a pod that no rule can read.
    """
    configurations = stock.platform.by_kind(KIND)
    profiles = read_profiles(configurations[0]) if configurations else {}
    world = _World(stock, profiles, seed)
    nodes = tuple(world.node_stock())
    before = {_key(quota): used_of(quota) for quota in world.quotas.all()}
    objects = tuple(world.create(item) for item in stock.written)
    world.open()
    pods = tuple(_answer(world, arrival) for arrival in stock.arrivals)
    quotas = tuple(_quota_stock(quota, before[_key(quota)], world.quotas) for quota in world.quotas.all())
    return Explanation(pods, objects, nodes, quotas, stock.ignored, stock.notes, seed)


def _answer(world: _World, arrival: Arrival) -> PodAnswer:
    try:
        return world.answer(arrival)
    except ValueError as error:
        where = Where(arrival.origin.file, arrival.origin.line)
        what = f"{_key(arrival.manifest)} cannot be explained: {error}"
        raise InputError(Problem(where, what, "mend that value, here or in an object that concerns the pod")) from error


@dataclass(frozen=True)
class _Form:
    """A pod after mutating admission, with the refusal of the gate's plugin and that of validation, "" for none."""

    answer: PodAnswer
    plugin: str
    message: str
    invalid: str


class _World:
    """The cluster while the pods come in; used once."""

    def __init__(self, stock: Stock, profiles: Mapping[str, Profile], seed: int) -> None:
        self.stock, self.profiles, self.seed = stock, profiles, seed
        self.gate = Gate(stock.platform)
        self.forms: dict[str, _Form] = {}
        self.default_profile = Profile()
        self.accounts: dict[str, set[str]] = {}
        for item in stock.platform.by_kind("ServiceAccount"):
            self.accounts.setdefault(item.namespace, set()).add(item.name)
        stored = [item.manifest for item in stock.stored]
        waiting = [item.manifest for item in stock.arrivals if item.stored]
        counted = [*stock.existing, *waiting, *stored]
        self.quotas = QuotaBook(stock.of_kind("ResourceQuota"), counted, limited_resources(stock))
        self.live = {_key(pod): pod for pod in [*stock.existing, *waiting]}
        self.refused_claims: set[str] = set()
        self.refused_workloads: dict[str, AdmissionAnswer] = {}
        self.volumes = Volumes.of(*(stock.of_kind(kind) for kind in _VOLUME_KINDS))
        self.snapshot = _snapshot(stock, self.volumes)

    def node_stock(self) -> Iterable[NodeStock]:
        """The nodes as they are before anything comes."""
        for item, info in zip(self.stock.nodes, self.snapshot.core.nodes, strict=True):
            free = self.snapshot.free(info.name)
            used = {name: amount - free[name] for name, amount in info.allocatable.items()}
            taints = tuple(f"{taint.key}={taint.value}:{taint.effect}" for taint in info.taints)
            here = len(self.snapshot.pods_on(info.name))
            yield NodeStock(info.name, item.origin, info.allocatable, used, here, taints)

    def open(self) -> None:
        """Let the scheduler see the claims that were created, and not those that were refused."""
        claims = [item for item in self.stock.of_kind("PersistentVolumeClaim") if _key(item) not in self.refused_claims]
        if self.refused_claims:
            self.volumes = Volumes.of(claims, *(self.stock.of_kind(kind) for kind in _VOLUME_KINDS[1:]))
            self.snapshot = self.snapshot.with_objects(pvcs=self.volumes.pvcs.values(), pvs=self.volumes.pvs.values())

    def create(self, item: KubeObject) -> ObjectAnswer:
        """LimitRanger (for claims) and quota admission of an object that is no pod."""
        manifest = item.manifest
        lines = tuple(self.quotas.lines(manifest))
        message, plugin = self._closed(manifest), "NamespaceLifecycle"
        if not message and item.kind == "PersistentVolumeClaim":
            ranges = [entry.manifest for entry in self.stock.platform.limit_ranges.get(item.namespace, ())]
            message, plugin = limit_range_error(manifest, ranges) or "", "LimitRanger"
        if not message:
            message, plugin = self.quotas.admit(manifest).message, "ResourceQuota"
        admission = AdmissionAnswer(not message, plugin if message else "", message, quotas=lines)
        if message and item.kind == "PersistentVolumeClaim":
            self.refused_claims.add(_key(manifest))
        elif message:
            self.refused_workloads[f"{item.kind} {_key(manifest)}"] = admission
        return ObjectAnswer(item.key, item.origin, usage(manifest), admission)

    def answer(self, arrival: Arrival) -> PodAnswer:
        """Admit and schedule one pod, and change the cluster by it."""
        form = self._form(arrival)
        closed = self.refused_workloads.get(arrival.workload)
        admission = closed if closed is not None else self._admit(arrival, form)
        answer = replace(form.answer, admission=admission)
        if not admission.admitted:
            return replace(answer, message=admission.message)
        self.live[answer.key] = answer.manifest
        return self._schedule(answer)

    def _form(self, arrival: Arrival) -> _Form:
        """The pod after mutating admission; of pods that differ in their name alone only the first is computed."""
        metadata = arrival.manifest["metadata"]
        name = str(metadata["name"])
        identity = repr(({**arrival.manifest, "metadata": {**metadata, "name": ""}}, arrival.stored))
        form = self.forms.get(identity)
        if form is None:
            form = self._new_form(arrival)
            if not form.message and not form.invalid:
                self.forms[identity] = form
            return form
        stored = form.answer.manifest
        manifest = {**stored, "metadata": {**stored["metadata"], "name": name}}
        answer = replace(form.answer, name=name, manifest=manifest, workload=arrival.workload, origin=arrival.origin)
        return replace(form, answer=answer)

    def _new_form(self, arrival: Arrival) -> _Form:
        sent = self._mutated(arrival)
        held = self._trusted_priority(arrival)
        bare = {**sent, "spec": {name: value for name, value in sent["spec"].items() if name not in held}}
        prepared = self.gate.prepare(bare)
        prepared.manifest["spec"].update(held)
        answer = _describe(arrival, prepared.manifest)
        return _Form(answer, prepared.plugin, prepared.message, resource_error(prepared.manifest))

    # ---------------------------------------------------------------------------------------------- admission

    def _mutated(self, arrival: Arrival) -> Manifest:
        """The pod after the admission plugins that the gate does not know: ServiceAccount and RuntimeClass."""
        pod = copy.deepcopy(arrival.manifest)
        spec = pod["spec"] = pod.get("spec") or {}
        if not (spec.get("serviceAccountName") or spec.get("serviceAccount")):
            spec["serviceAccountName"] = "default"
        runtime = self.stock.platform.get("RuntimeClass", "", str(spec.get("runtimeClassName") or ""))
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
            ("ServiceAccount", self._account_missing(pod)),
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
        if known or not (self.stock.platform.priority_classes or spec.get("priorityClassName")):
            if known and spec.get("priority") is None:
                return {}
            return {name: spec[name] for name in PRIORITY_FIELDS if spec.get(name) is not None}
        return {}

    def _closed(self, obj: Manifest) -> str:
        namespace = str(dig(obj, "metadata", "namespace", default=""))
        found = self.stock.platform.get("Namespace", "", namespace)
        if found is None or found.get("status", "phase") != "Terminating":
            return ""
        reason = f"unable to create new content in namespace {namespace} because it is being terminated"
        return forbidden(resource_of(obj), obj, reason)

    def _account_missing(self, pod: Manifest) -> str:
        """The refusal when the files hold ServiceAccounts of the namespace, but not the pod's."""
        namespace, name = str(dig(pod, "metadata", "namespace", default="")), str(pod["spec"]["serviceAccountName"])
        accounts = self.accounts.get(namespace)
        if not accounts or name == "default" or name in accounts:
            return ""
        reason = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        return forbidden("pods", pod, reason)

    def _name_taken(self, pod: Manifest) -> str:
        return f'pods "{dig(pod, "metadata", "name")}" already exists' if _key(pod) in self.live else ""

    # ---------------------------------------------------------------------------------------------- scheduling

    def _schedule(self, answer: PodAnswer) -> PodAnswer:
        notes = list(_pod_notes(answer.manifest))
        scheduler = str(dig(answer.manifest, "spec", "schedulerName", default=DEFAULT_SCHEDULER))
        profile = self.profiles.get(scheduler)
        if self.profiles and profile is None:
            note = f"no profile of the scheduler configuration is called {scheduler!r}: nobody schedules this pod"
            return replace(answer, state="pending", notes=(*notes, note))
        if profile is None and scheduler != DEFAULT_SCHEDULER:
            notes.append(f"spec.schedulerName is {scheduler!r}: this is what the default scheduler would do")
        self.snapshot = self.snapshot.with_profile(profile or self.default_profile)
        breaker = tie_breaker(self.seed, 0, answer.key)
        decision = schedule_pod(answer.manifest, self.snapshot, tie_breaker=breaker, explain=True)
        answer = replace(
            answer,
            message=decision.message,
            nodes=tuple(_node_answers(decision, self.snapshot)),
            ties=_ties(decision),
            victims=decision.victims,
            displacements=decision.displacements,
            nominated=decision.nominated,
            notes=tuple(notes),
        )
        if decision.node is not None:
            self._bind(answer.manifest, decision)
            return replace(answer, state="scheduled", node=decision.node, volumes=decision.volumes)
        if decision.nominated is not None:
            self._preempt(answer.manifest, decision)
            return replace(answer, state="preempting")
        return replace(answer, state="gated" if decision.gated else "pending")

    def _bind(self, pod: Manifest, decision: Decision) -> None:
        assert decision.node is not None
        if decision.volumes:
            self.volumes = self.volumes.bind(decision.volumes)
            self.snapshot = self.snapshot.with_objects(pvcs=self.volumes.pvcs.values(), pvs=self.volumes.pvs.values())
        self.snapshot = self.snapshot.with_pod(pod, decision.node)

    def _preempt(self, pod: Manifest, decision: Decision) -> None:
        """The victims leave, their quota with them, and the pod takes the room."""
        assert decision.nominated is not None
        self._use_budgets(decision.victims)
        for key in decision.victims:
            self.snapshot = self.snapshot.without_pod(key)
            self.quotas.release(self.live.pop(key))
        status = {**(pod.get("status") or {}), "nominatedNodeName": decision.nominated}
        promised = {**pod, "status": status}
        second = schedule_pod(promised, self.snapshot)
        if second.node is not None:
            self._bind(pod, second)
        else:
            self.snapshot = self.snapshot.with_nominated(promised, decision.nominated)

    def _use_budgets(self, victims: Sequence[str]) -> None:
        """Lower ``status.disruptionsAllowed`` of the budgets that cover victims, as their controller would."""
        budgets = dict(self.snapshot.objects.pdbs)
        for key in victims:
            for budget in budgets_of(self.live[key], list(budgets.values())):
                status = budget.get("status")
                if status:
                    allowed = max(0, int(status.get("disruptionsAllowed") or 0) - 1)
                    budgets[_key(budget)] = {**budget, "status": {**status, "disruptionsAllowed": allowed}}
        self.snapshot = self.snapshot.with_objects(pdbs=budgets.values())


_WITH_STATUS: Final = ResourceOptions(use_status=True)
_VOLUME_KINDS: Final = ("PersistentVolumeClaim", "PersistentVolume", "StorageClass")


def _snapshot(stock: Stock, volumes: Volumes) -> Snapshot:
    """The cluster as the scheduler sees it, with every pod that exists or was promised a node."""
    deployments: Iterable[Workload] = (item for item in stock.platform.workloads if item.controller == "Deployment")
    nominees = [item.manifest for item in stock.arrivals if dig(item.manifest, "status", "nominatedNodeName")]
    return Snapshot.of(
        [item.manifest for item in stock.nodes],
        [*stock.existing, *nominees],
        pvs=list(volumes.pvs.values()),
        pvcs=list(volumes.pvcs.values()),
        storage_classes=list(volumes.classes.values()),
        services=stock.of_kind("Service"),
        replica_sets=[*stock.of_kind("ReplicaSet"), *(replica_set(item, 1) for item in deployments)],
        stateful_sets=stock.of_kind("StatefulSet"),
        replication_controllers=stock.of_kind("ReplicationController"),
        pdbs=[item.manifest for item in stock.platform.pdbs],
        csi_nodes=stock.of_kind("CSINode"),
        csi_drivers=stock.of_kind("CSIDriver"),
        csi_capacities=stock.of_kind("CSIStorageCapacity"),
        volume_attachments=stock.of_kind("VolumeAttachment"),
        namespaces=[
            {"metadata": {"name": name, "labels": dict(labels)}} for name, labels in stock.platform.namespaces.items()
        ],
    )


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


def _node_answers(decision: Decision, snapshot: Snapshot) -> Iterable[NodeAnswer]:
    if not decision.refusals and not decision.scores:
        return
    weights = snapshot.profile.weights
    for name in snapshot.node_names:
        refusal = decision.refusals.get(name)
        if refusal is not None:
            yield NodeAnswer(name, refusal.plugin, refusal.reasons, refusal.unresolvable)
            continue
        found = decision.scores.get(name)
        if found is None:
            yield NodeAnswer(name)
            continue
        # A plugin that has nothing to say about the pod is skipped upstream and adds nothing.
        lines = tuple(
            ScoreLine(plugin, found.get(plugin, _NO_SCORE), weights[plugin])
            for plugin in SCORE_PLUGINS
            if weights.get(plugin)
        )
        yield NodeAnswer(name, scores=lines, total=decision.total[name])


_NO_SCORE: Final = Score(0, 0, 0)


def _ties(decision: Decision) -> tuple[str, ...]:
    """The nodes that share the highest total, when several do."""
    best = max(decision.total.values(), default=0)
    tied = tuple(name for name, total in decision.total.items() if total == best)
    return tied if len(tied) > 1 else ()


def _pod_notes(pod: Manifest) -> Iterable[str]:
    if node := dig(pod, "spec", "nodeName"):
        yield (
            f"spec.nodeName is {node}: no scheduler looks at this pod, the kubelet of that node admits it; "
            "below is what the filters say"
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


def _quota_stock(quota: Manifest, before: ResourceList, book: QuotaBook) -> QuotaStock:
    namespace, name = (str(dig(quota, "metadata", part, default="")) for part in ("namespace", "name"))
    after = used_of(quota)
    keys = {
        key: (str(hard), _text(before.get(key)), _text(after.get(key))) for key, hard in sorted(hard_of(quota).items())
    }
    scopes = tuple(
        " ".join([str(item.get("scopeName")), str(item.get("operator")), *map(str, item.get("values") or ())])
        for item in scope_selectors(quota)
    )
    return QuotaStock(namespace, name, (namespace, name) in book.counted, scopes, keys)


def _text(amount: Any) -> str | None:
    return None if amount is None else str(amount)


def _key(obj: Manifest) -> str:
    return f"{dig(obj, 'metadata', 'namespace', default='')}/{dig(obj, 'metadata', 'name', default='')}"
