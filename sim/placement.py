"""Initial placement of a whole platform: every pod admitted, given volumes and scheduled by Kubernetes' rules.

Also what follows at rest: head-room per node, namespace and quota, and which pods find no place when one node is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from models.catalog import Timings, load_apps, load_timings
from models.cluster import Cluster
from models.errors import InputError
from models.objects import Manifest, dig
from models.platform import Platform, Workload
from models.quantities import check_quantities
from models.rules.daemonset import daemon_should_run
from models.rules.qos import QosClass, qos_class
from models.rules.resources import ResourceList, pod_limits, pod_requests
from models.scheduler import Decision, Snapshot, TieBreaker, schedule_pod
from models.scheduler.nodeinfo import parse_node
from sim.platform.admission import Gate, Ledger
from sim.platform.storage import Pin, Volumes
from sim.platform.streams import Stream
from sim.platform.workloads import all_services, first_ordinal, implicit_workloads, make_pod, replica_set

PodStanding = Literal["placed", "pending", "refused"]

UNREACHABLE: Manifest = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
UNREACHABLE_NO_SCHEDULE: Manifest = {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}


@dataclass(frozen=True)
class PlacedPod:
    """One pod at rest.

    ``manifest`` is the pod as stored (defaulted and mutated); ``message`` the API server's refusal or the scheduler's
    sentence; ``requests`` and ``limits`` are the effective amounts; ``pins`` the volumes that hold it to a node.
    """

    name: str
    namespace: str
    workload: str
    number: int
    manifest: Manifest
    node: str | None
    state: PodStanding
    message: str
    qos: QosClass
    priority: int
    requests: ResourceList
    limits: ResourceList
    pins: tuple[Pin, ...] = ()

    @property
    def key(self) -> str:
        """namespace/name."""
        return f"{self.namespace}/{self.name}"

    @property
    def cpu_request_m(self) -> int:
        """Effective CPU request in millicores."""
        return _milli(self.requests, "cpu")

    @property
    def memory_request_b(self) -> int:
        """Effective memory request in bytes."""
        return _bytes(self.requests, "memory")

    @property
    def cpu_limit_m(self) -> int | None:
        """Effective CPU limit in millicores, None when unlimited."""
        return _milli(self.limits, "cpu") if "cpu" in self.limits else None

    @property
    def memory_limit_b(self) -> int | None:
        """Effective memory limit in bytes, None when unlimited."""
        return _bytes(self.limits, "memory") if "memory" in self.limits else None


@dataclass(frozen=True)
class NodeRoom:
    """What a node has and what its pods ask for; CPU in millicores, memory in bytes.

    Limits are those of the pods that set one, None when none does.
    """

    node: str
    pods: int
    cpu_allocatable_m: int
    cpu_requests_m: int
    cpu_limits_m: int | None
    memory_allocatable_b: int
    memory_requests_b: int
    memory_limits_b: int | None

    @property
    def cpu_free_m(self) -> int:
        """Unrequested CPU, negative when overcommitted."""
        return self.cpu_allocatable_m - self.cpu_requests_m

    @property
    def memory_free_b(self) -> int:
        """Unrequested memory."""
        return self.memory_allocatable_b - self.memory_requests_b


@dataclass(frozen=True)
class NamespaceUse:
    """What the placed and pending pods of a namespace ask for; limits None when no pod sets one."""

    namespace: str
    pods: int
    cpu_requests_m: int
    cpu_limits_m: int | None
    memory_requests_b: int
    memory_limits_b: int | None


@dataclass(frozen=True)
class QuotaUse:
    """One key of one quota at rest, amounts as Kubernetes prints them."""

    namespace: str
    quota: str
    key: str
    used: str
    hard: str


@dataclass(frozen=True)
class Unplaced:
    """A pod that finds no place: the reason in the API server's or the scheduler's words, and the pins behind it."""

    pod: str
    workload: str
    message: str
    pins: tuple[Pin, ...] = ()


@dataclass(frozen=True)
class NodeLossAnswer:
    """What losing a node does once all timers have run: pods that moved (pod, new node) and pods without a place."""

    node: str
    moved: tuple[tuple[str, str], ...]
    unplaced: tuple[Unplaced, ...]


@dataclass(frozen=True, eq=False)
class Placement:
    """A platform on a cluster at rest. ``workloads`` and ``services`` include what the distribution brings along."""

    platform: Platform
    cluster: Cluster
    workloads: tuple[Workload, ...]
    services: tuple[Manifest, ...]
    pods: tuple[PlacedPod, ...]
    volumes: Volumes
    snapshot: Snapshot = field(repr=False)
    ledger: Ledger = field(repr=False)
    gate: Gate = field(repr=False)
    seed: int

    @cached_property
    def by_workload(self) -> Mapping[str, tuple[PlacedPod, ...]]:
        """Pods by workload id."""
        found: dict[str, list[PlacedPod]] = {item.id: [] for item in self.workloads}
        for pod in self.pods:
            found[pod.workload].append(pod)
        return {key: tuple(items) for key, items in found.items()}

    @property
    def waiting(self) -> tuple[PlacedPod, ...]:
        """Pods that are pending or refused."""
        return tuple(pod for pod in self.pods if pod.state != "placed")

    def on_node(self, node: str) -> tuple[PlacedPod, ...]:
        """The pods placed on a node."""
        return tuple(pod for pod in self.pods if pod.node == node)

    def node_rooms(self) -> tuple[NodeRoom, ...]:
        """Head-room per node, in cluster order."""
        rooms = []
        for node in self.cluster.nodes:
            allocatable = parse_node(node.manifest).allocatable
            pods = self.on_node(node.name)
            cpu, cpu_limit, memory, memory_limit = _totals(pods)
            rooms.append(
                NodeRoom(
                    node.name,
                    len(pods),
                    allocatable.get("cpu", 0),
                    cpu,
                    cpu_limit,
                    allocatable.get("memory", 0),
                    memory,
                    memory_limit,
                )
            )
        return tuple(rooms)

    def namespace_uses(self) -> tuple[NamespaceUse, ...]:
        """Requests and limits per namespace, by name; refused pods do not count."""
        found: dict[str, list[PlacedPod]] = {}
        for pod in self.pods:
            if pod.state != "refused":
                found.setdefault(pod.namespace, []).append(pod)
        uses = []
        for name in sorted(found):
            cpu, cpu_limit, memory, memory_limit = _totals(found[name])
            uses.append(NamespaceUse(name, len(found[name]), cpu, cpu_limit, memory, memory_limit))
        return tuple(uses)

    def quota_uses(self) -> tuple[QuotaUse, ...]:
        """Every key of every quota at rest."""
        return tuple(QuotaUse(*row) for row in self.ledger.rows())


def place_platform(platform: Platform, cluster: Cluster, *, seed: int = 1, timings: Timings | None = None) -> Placement:
    """Place every pod that runs at rest (Jobs and CronJobs have none then).

    Pods are admitted in tree order and scheduled DaemonSets first, then by priority, then in tree order. ``seed``
    breaks the scheduler's ties. Raises :class:`models.errors.InputError` for unusable quantities.
    """
    problems = check_quantities(platform)
    if problems:
        raise InputError(problems)
    dns = load_apps().facts["coredns.requests"]["value"]
    implicit = implicit_workloads(platform, cluster, timings or load_timings(), dns)
    workloads = (*implicit, *platform.workloads)
    services = tuple(all_services(platform, workloads))
    volumes = Volumes.of(
        (item.manifest for item in platform.claims),
        (item.manifest for item in platform.volumes),
        (item.manifest for item in platform.storage_classes.values()),
    )
    quotas = {name: [item.manifest for item in items] for name, items in platform.quotas.items()}
    ledger = Ledger(quotas, [item.manifest for item in platform.objects if item.kind not in ("Pod", "ResourceQuota")])
    snapshot = empty_snapshot(platform, cluster, workloads, services, volumes)
    gate = Gate(platform, round((timings or load_timings()).seconds("k8s.default_noexecute_toleration")))
    placer = _Placer(cluster, gate, ledger, volumes, snapshot, seed)
    admitted = [item for workload in workloads for item in placer.admit(workload)]
    admitted.sort(key=lambda item: (item.workload.controller != "DaemonSet", -item.priority))
    pods = {item.key: placer.place(item) for item in admitted}
    order = {workload.id: position for position, workload in enumerate(workloads)}
    placed = sorted([*pods.values(), *placer.refused], key=lambda pod: (order[pod.workload], pod.number, pod.name))
    return Placement(
        platform, cluster, workloads, services, tuple(placed), placer.volumes, placer.snapshot, ledger, gate, seed
    )


def empty_snapshot(
    platform: Platform,
    cluster: Cluster,
    workloads: Iterable[Workload],
    services: Iterable[Manifest],
    volumes: Volumes,
) -> Snapshot:
    """The cluster without any pod, with everything else that the scheduler reads."""
    return Snapshot.of(
        [node.manifest for node in cluster.nodes],
        pvs=list(volumes.pvs.values()),
        pvcs=list(volumes.pvcs.values()),
        storage_classes=list(volumes.classes.values()),
        services=list(services),
        replica_sets=[replica_set(item, 1) for item in workloads if item.controller == "Deployment"],
        stateful_sets=[item.object.manifest for item in workloads if item.controller == "StatefulSet"],
        pdbs=[item.manifest for item in platform.pdbs],
        namespaces=[
            {"metadata": {"name": name, "labels": dict(labels)}} for name, labels in platform.namespaces.items()
        ],
    )


def tie_breaker(seed: int, replication: int, pod: str) -> TieBreaker:
    """Picks among equally good nodes at random, from the pod's own stream."""
    return lambda names: Stream(seed, replication, f"tie/{pod}").below(len(names))


def daemon_nodes(workload: Workload, nodes: Iterable[Manifest]) -> list[str]:
    """The nodes that should run a pod of the DaemonSet, by its affinity, selector and tolerations."""
    manifest = dict(workload.object.manifest)
    return [str(node["metadata"]["name"]) for node in nodes if daemon_should_run(manifest, node)[0]]


def lose_node(placement: Placement, node: str) -> NodeLossAnswer:
    """What stays without a place when ``node`` is lost and all timers have run (static: no time, no preemption).

    Displaced pods are admitted and scheduled again by priority on the remaining nodes. Pods with an identity
    (StatefulSet, CNPG) are not replaced while their node is away; DaemonSet pods are not missed.
    Raises KeyError for an unknown node.
    """
    placement.cluster.node(node)
    kinds = {item.id: item.controller for item in placement.workloads}
    displaced = [pod for pod in placement.on_node(node) if kinds[pod.workload] != "DaemonSet"]
    nodes = [_tainted(item.manifest) if item.name == node else item.manifest for item in placement.cluster.nodes]
    snapshot = placement.snapshot.with_nodes(nodes)
    ledger = placement.ledger.copy()
    for pod in placement.on_node(node):
        snapshot = snapshot.without_pod(pod.key)
    moved: list[tuple[str, str]] = []
    unplaced: list[Unplaced] = []
    for pod in sorted(displaced, key=lambda item: -item.priority):
        decision: Decision | None = None
        if kinds[pod.workload] in ("StatefulSet", "Cluster", "Pod") and not pod.pins:
            why = _identity_message(kinds[pod.workload], node)
        else:
            ledger.release(pod.key)
            why = ledger.try_admit(pod.manifest).message
            if not why:
                breaker = tie_breaker(placement.seed, 0, f"lose/{node}/{pod.key}")
                decision = schedule_pod(pod.manifest, snapshot, tie_breaker=breaker)
                why = decision.message
        if decision is not None and decision.node is not None:
            snapshot = snapshot.with_pod(pod.manifest, decision.node)
            moved.append((pod.key, decision.node))
        else:
            unplaced.append(Unplaced(pod.key, pod.workload, why, pod.pins))
    return NodeLossAnswer(node, tuple(moved), tuple(unplaced))


def _identity_message(controller: str, node: str) -> str:
    if controller == "Pod":
        return f"no controller makes a new one; it stays Terminating on {node} until the node returns"
    return f"it stays Terminating on {node} until the node returns: a {controller} never runs two pods of one name"


def _tainted(node: Manifest) -> Manifest:
    spec = dict(node.get("spec") or {})
    spec["taints"] = [*(spec.get("taints") or []), UNREACHABLE_NO_SCHEDULE, UNREACHABLE]
    return {**node, "spec": spec}


@dataclass(frozen=True, eq=False)
class _Admitted:
    workload: Workload
    number: int
    manifest: Manifest
    priority: int

    @property
    def key(self) -> str:
        metadata = self.manifest["metadata"]
        return f"{metadata['namespace']}/{metadata['name']}"


class _Placer:
    """Admission and scheduling with running state; used once per placement."""

    def __init__(
        self, cluster: Cluster, gate: Gate, ledger: Ledger, volumes: Volumes, snapshot: Snapshot, seed: int
    ) -> None:
        self.cluster = cluster
        self.gate = gate
        self.ledger = ledger
        self.volumes = volumes
        self.snapshot = snapshot
        self.seed = seed
        self.refused: list[PlacedPod] = []

    def admit(self, workload: Workload) -> list[_Admitted]:
        """The workload's pods that pass admission; the others are noted as refused."""
        if workload.controller in ("Job", "CronJob"):
            return []
        wanted: list[tuple[int, str]]
        if workload.controller == "DaemonSet":
            nodes = daemon_nodes(workload, [node.manifest for node in self.cluster.nodes])
            wanted = [(0, node) for node in nodes]
        else:
            first = first_ordinal(workload)
            wanted = [(number, "") for number in range(first, first + (workload.replicas or 0))]
        admitted = []
        for number, node in wanted:
            prepared = self.gate.prepare(make_pod(workload, number, node=node))
            message = prepared.message or self.ledger.try_admit(prepared.manifest).message
            if message:
                self.refused.append(self._pod(workload, number, prepared.manifest, None, "refused", message))
            else:
                priority = int(dig(prepared.manifest, "spec", "priority", default=0))
                admitted.append(_Admitted(workload, number, prepared.manifest, priority))
        return admitted

    def place(self, item: _Admitted) -> PlacedPod:
        """Schedule one pod and bind its volumes. At rest nobody is preempted: pods come in order of priority."""
        decision = schedule_pod(item.manifest, self.snapshot, tie_breaker=tie_breaker(self.seed, 0, item.key))
        if decision.node is None:
            return self._pod(item.workload, item.number, item.manifest, None, "pending", decision.message)
        if decision.volumes:
            self.volumes = self.volumes.bind(decision.volumes)
            self.snapshot = self.snapshot.with_objects(pvcs=self.volumes.pvcs.values(), pvs=self.volumes.pvs.values())
        self.snapshot = self.snapshot.with_pod(item.manifest, decision.node)
        return self._pod(item.workload, item.number, item.manifest, decision.node, "placed", "")

    def _pod(
        self, workload: Workload, number: int, manifest: Manifest, node: str | None, state: PodStanding, message: str
    ) -> PlacedPod:
        return PlacedPod(
            name=str(manifest["metadata"]["name"]),
            namespace=workload.namespace,
            workload=workload.id,
            number=number,
            manifest=manifest,
            node=node,
            state=state,
            message=message,
            qos=qos_class(manifest),
            priority=int(dig(manifest, "spec", "priority", default=0)),
            requests=pod_requests(manifest),
            limits=pod_limits(manifest),
            pins=self.volumes.pins_of(manifest) if node else (),
        )


def _milli(amounts: ResourceList, name: str) -> int:
    return amounts[name].milli_value() if name in amounts else 0


def _bytes(amounts: ResourceList, name: str) -> int:
    return amounts[name].value() if name in amounts else 0


def _totals(pods: Iterable[PlacedPod]) -> tuple[int, int | None, int, int | None]:
    """CPU requests and limits in millicores, memory requests and limits in bytes; limits None when no pod sets one."""
    listed = list(pods)
    return (
        sum(pod.cpu_request_m for pod in listed),
        _sum_of_set(pod.cpu_limit_m for pod in listed),
        sum(pod.memory_request_b for pod in listed),
        _sum_of_set(pod.memory_limit_b for pod in listed),
    )


def _sum_of_set(amounts: Iterable[int | None]) -> int | None:
    stated = [amount for amount in amounts if amount is not None]
    return sum(stated) if stated else None
