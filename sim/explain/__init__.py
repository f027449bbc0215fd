"""What would happen to each pod to come, in order: admission, quota, filters, scores, the node, the victims.

Nothing here takes time: every pod is admitted and scheduled before the next one arrives, what it is charged stays
charged and the room it takes is gone. Victims of a preemption leave at once, and the pod takes their place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from models.errors import InputError, Problem, Where
from models.objects import KubeObject, Manifest, dig
from models.platform import Workload
from models.rules.disruption import budgets_of
from models.rules.quota import hard_of, used_of
from models.rules.resources import ResourceList
from models.rules.usage import scope_selectors
from models.scheduler import Decision, Score, Snapshot, schedule_pod
from models.scheduler.config import DEFAULT_SCHEDULER, KIND, read_profiles, with_default_spread
from models.scheduler.profile import SCORE_PLUGINS, Profile
from sim.explain.answers import (
    Explanation,
    NodeAnswer,
    NodeStock,
    PodAnswer,
    QuotaStock,
    ScoreLine,
)
from sim.explain.api_server import ApiServer, key_of
from sim.explain.quotabook import QuotaBook
from sim.explain.stock import Arrival, Stock, ephemeral_claims
from sim.placement import tie_breaker
from sim.platform.storage import Volumes
from sim.platform.workloads import replica_set


def explain(stock: Stock, *, seed: int = 1) -> Explanation:
    """Answer for every pod to come, each after those before it; ``seed`` breaks the scheduler's ties.

    Raises InputError for an unusable scheduler configuration, and for a value in a pod that no rule can read.
    """
    configurations = stock.platform.by_kind(KIND)
    profiles = read_profiles(configurations[0]) if configurations else {}
    world = _World(stock, profiles, seed)
    nodes = tuple(world.node_stock())
    before = {key_of(quota): used_of(quota) for quota in world.api.quotas.all()}
    objects = tuple(world.api.create(item) for item in stock.written)
    world.open()
    pods = tuple(_answer(world, arrival) for arrival in stock.arrivals)
    quotas = tuple(_quota_stock(quota, before[key_of(quota)], world.api.quotas) for quota in world.api.quotas.all())
    return Explanation(pods, objects, nodes, quotas, stock.ignored, stock.notes, seed)


def _answer(world: _World, arrival: Arrival) -> PodAnswer:
    try:
        return world.answer(arrival)
    except ValueError as error:
        where = Where(arrival.origin.file, arrival.origin.line)
        what = f"{key_of(arrival.manifest)} cannot be explained: {error}"
        raise InputError(Problem(where, what, "mend that value, here or in an object that concerns the pod")) from error


class _World:
    """The cluster while the pods come in; used once."""

    def __init__(self, stock: Stock, profiles: Mapping[str, Profile], seed: int) -> None:
        self.stock, self.profiles, self.seed = stock, profiles, seed
        self.default_profile = Profile()
        self.api = ApiServer(stock)
        self.unready: dict[str, str] = {}
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
        claims = [
            item for item in self.stock.of_kind("PersistentVolumeClaim") if key_of(item) not in self.api.refused_claims
        ]
        if self.api.refused_claims:
            self.volumes = Volumes.of(claims, *(self.stock.of_kind(kind) for kind in _VOLUME_KINDS[1:]))
            self.snapshot = self.snapshot.with_objects(pvcs=self.volumes.pvcs.values(), pvs=self.volumes.pvs.values())

    def answer(self, arrival: Arrival) -> PodAnswer:
        """Admit and schedule one pod, and change the cluster by it."""
        answer = self.api.create_pod(arrival)
        if answer.admission.admitted:
            answer = replace(answer, notes=tuple(self._claim_ephemeral(answer)))
            answer = self._schedule(answer)
        return self._in_turn(answer)

    def _claim_ephemeral(self, answer: PodAnswer) -> Iterable[str]:
        """Creates the claims of generic ephemeral volumes as their controller does; says which it cannot.

        Source: pkg/controller/volume/ephemeral/controller.go (``handleVolume``).
        """
        for claim in ephemeral_claims(answer.manifest):
            if key_of(claim) in self.volumes.pvcs:
                continue
            created = self.api.create(KubeObject(claim, answer.origin)).admission
            if not created.admitted:
                yield f"its ephemeral volume gets no claim: {created.message}"
                continue
            claims = [*self.volumes.pvcs.values(), claim]
            self.volumes = Volumes.of(claims, self.volumes.pvs.values(), self.volumes.classes.values())
            self.snapshot = self.snapshot.with_objects(pvcs=self.volumes.pvcs.values(), pvs=self.volumes.pvs.values())

    def _in_turn(self, answer: PodAnswer) -> PodAnswer:
        """Notes what an ordered StatefulSet waits for: it makes no pod before the one below it is ready."""
        workload = self.stock.platform.workload_by_id.get(answer.workload)
        if workload is None or workload.controller != "StatefulSet":
            return answer
        if workload.object.get("spec", "podManagementPolicy") == "Parallel":
            return answer
        before = self.unready.get(answer.workload)
        if before:
            note = f"podManagementPolicy is OrderedReady: this pod is not made before {before} is ready"
            return replace(answer, notes=(*answer.notes, note))
        if answer.state != "scheduled":
            self.unready[answer.workload] = answer.name
        return answer

    def _schedule(self, answer: PodAnswer) -> PodAnswer:
        notes = [*answer.notes, *_pod_notes(answer.manifest)]
        scheduler = str(dig(answer.manifest, "spec", "schedulerName", default=DEFAULT_SCHEDULER))
        profile = self.profiles.get(scheduler)
        if self.profiles and profile is None:
            note = f"no profile of the scheduler configuration is called {scheduler!r}: nobody schedules this pod"
            return replace(answer, state="pending", notes=(*notes, note))
        if profile is None and scheduler != DEFAULT_SCHEDULER:
            notes.append(f"spec.schedulerName is {scheduler!r}: this is what the default scheduler would do")
        self.snapshot = self.snapshot.with_profile(profile or self.default_profile)
        breaker = tie_breaker(self.seed, 0, answer.key)
        asked = with_default_spread(answer.manifest, self.snapshot)
        decision = schedule_pod(asked, self.snapshot, tie_breaker=breaker, explain=True)
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
            self.api.delete_pod(key)
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
            for budget in budgets_of(self.api.live[key], list(budgets.values())):
                status = budget.get("status")
                if status:
                    allowed = max(0, int(status.get("disruptionsAllowed") or 0) - 1)
                    budgets[key_of(budget)] = {**budget, "status": {**status, "disruptionsAllowed": allowed}}
        self.snapshot = self.snapshot.with_objects(pdbs=budgets.values())


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
        # Drivers publish free space per node once they run: of hardware that is only planned nothing is published.
        csi_drivers=[] if stock.planned else stock.of_kind("CSIDriver"),
        csi_capacities=stock.of_kind("CSIStorageCapacity"),
        volume_attachments=stock.of_kind("VolumeAttachment"),
        namespaces=[
            {"metadata": {"name": name, "labels": dict(labels)}} for name, labels in stock.platform.namespaces.items()
        ],
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
