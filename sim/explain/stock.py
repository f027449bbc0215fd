"""What a set of objects holds: pods that exist, and pods that are to come, in the order of the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from models.errors import InputError, Problem, Where
from models.field_types import wrong_types
from models.objects import KubeObject, Manifest, Origin, Rendered, dig
from models.platform import Platform, Workload, read_platform
from models.quantities import check_quantities
from models.rules.daemonset import daemon_should_run
from models.rules.defaults import default_pod
from models.rules.priority import resolve_priority
from models.rules.quota import hard_of
from models.rules.usage import matching_keys
from models.scheduler.config import KIND as SCHEDULER_CONFIGURATION
from models.unknowns import settled
from sim.platform.storage import claims_of
from sim.platform.workloads import first_ordinal, generated, make_pod, pod_name

READ_KINDS: Final = frozenset(
    {
        *("Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"),
        *("Node", "Namespace", "PriorityClass", "RuntimeClass", "ServiceAccount", "Service", "ReplicationController"),
        *("ResourceQuota", "LimitRange", "PodDisruptionBudget", "HorizontalPodAutoscaler"),
        *("PersistentVolume", "PersistentVolumeClaim", "StorageClass", "VolumeAttachment"),
        *("CSIDriver", "CSINode", "CSIStorageCapacity"),
        *(SCHEDULER_CONFIGURATION, "AdmissionConfiguration", "ResourceQuotaConfiguration"),
    }
)
"""Kinds that change an answer whatever else there is; others count only where a quota counts them."""

MAX_PODS: Final = 110
"""Pods that a kubelet takes unless it is told otherwise (KubeletConfiguration ``maxPods``)."""

_CONFIGURATIONS: Final = frozenset({SCHEDULER_CONFIGURATION, "AdmissionConfiguration", "ResourceQuotaConfiguration"})
_TYPED_KINDS: Final = READ_KINDS - _CONFIGURATIONS
_NOT_CREATED: Final = _CONFIGURATIONS | {"Pod", "ResourceQuota"}
"""Pods are created one by one, quotas are there from the start, and configurations are no objects of the API."""

_FINISHED: Final = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Arrival:
    """A pod to come, as its author or its controller sends it to the API server.

    ``workload``: id of what makes it, "" for a pod of its own. ``stored``: the API server has it already (it carries a
    ``resourceVersion``), so that admission lies behind it. ``claims``: claims that its StatefulSet makes for it.
    """

    manifest: Manifest
    workload: str
    origin: Origin
    stored: bool = False
    claims: tuple[KubeObject, ...] = ()


@dataclass(frozen=True, eq=False)
class Stock:
    """Everything that the files hold, sorted by what it means.

    ``existing``: pods that are bound or finished, defaulted. ``written``: other objects with a namespace that are to
    be created, in order. ``stored``: those that exist. ``ignored``: kinds that no answer depends on, with their count.
    ``planned``: the nodes are hardware that was named, and none of the files'.
    """

    platform: Platform
    nodes: tuple[KubeObject, ...]
    existing: tuple[Manifest, ...]
    arrivals: tuple[Arrival, ...]
    written: tuple[KubeObject, ...]
    stored: tuple[KubeObject, ...]
    ignored: Mapping[str, int]
    notes: tuple[str, ...]
    planned: bool = False

    def of_kind(self, kind: str) -> list[Manifest]:
        """The manifests of a kind, whatever its API group."""
        return [item.manifest for item in self.platform.by_kind(kind)]


def take_stock(rendered: Rendered, hardware: Iterable[Manifest] = ()) -> Stock:
    """Sort the objects; ``hardware`` are nodes in place of those that the files do not hold.

    A pod exists when it has ``spec.nodeName`` and a status, or has finished; any other pod is to come. Pods that exist
    count towards the replicas of their controller, which brings only the missing ones. Raises InputError with every
    wrong type, unreadable amount and doubled name, or when nothing is to come.
    """
    rendered = settled(rendered)
    problems = [problem for item in rendered.objects if item.kind in _TYPED_KINDS for problem in wrong_types(item)]
    if problems:
        raise InputError(problems)
    # The second object of one name is refused, and told so.
    platform = read_platform(replace(rendered, objects=tuple(_named(rendered.objects))), once=False)
    nodes = platform.by_kind("Node")
    given = tuple(hardware)
    problems = [*check_quantities(platform), *_doubles(platform)]
    if given and nodes:
        problems.append(
            Problem(
                Where(field="--nodes"),
                f"the files hold nodes already, {nodes[0].name} for one",
                "leave one of them out",
            )
        )
    if problems:
        raise InputError(problems)
    supplied = (KubeObject(item, Origin("--nodes", None, "derived")) for item in given)
    nodes = tuple(map(_with_pods, nodes or supplied))
    pods = platform.by_kind("Pod")
    existing = [item for item in pods if exists(item.manifest)]
    arrivals = tuple(_Expander(platform, [item.manifest for item in nodes]).arrivals())
    others = [item for item in platform.objects if item.namespace and item.kind not in _NOT_CREATED]
    mounted = {claim for item in existing for claim in claims_of(item.manifest)}
    made = {item.key for arrival in arrivals for item in arrival.claims}
    others = [item for item in others if item.key not in made]
    written = tuple(item for item in others if not _is_stored(item, mounted))
    if not arrivals and not existing and not platform.workloads and not written:
        raise InputError(
            Problem(Where(), "no pod and no workload is among the objects", "add the Pod or Deployment to explain")
        )
    return Stock(
        platform,
        nodes,
        tuple(_as_stored(item.manifest, platform) for item in existing),
        arrivals,
        written,
        tuple(item for item in others if _is_stored(item, mounted)),
        _ignored(platform),
        tuple(_notes(platform, nodes, existing)),
        planned=bool(given),
    )


def limited_resources(stock: Stock) -> list[Manifest]:
    """``limitedResources`` of the quota admission plugin, from its own or the API server's whole configuration."""
    plugins = [
        plugin.get("configuration")
        for item in stock.of_kind("AdmissionConfiguration")
        for plugin in item.get("plugins") or ()
        if plugin.get("name") == "ResourceQuota"
    ]
    return [
        entry
        for configuration in [*stock.of_kind("ResourceQuotaConfiguration"), *plugins]
        for entry in (configuration or {}).get("limitedResources") or ()
    ]


def ephemeral_claims(pod: Manifest) -> list[Manifest]:
    """The claims of a pod's generic ephemeral volumes: ``POD-VOLUME``, owned by the pod."""
    metadata = pod["metadata"]
    owner = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "controller": True}
    if "uid" in metadata:
        owner["uid"] = metadata["uid"]
    claims = []
    for volume in dig(pod, "spec", "volumes", default=[]):
        template = dig(volume, "ephemeral", "volumeClaimTemplate")
        if template is not None:
            own = {"name": f"{metadata['name']}-{volume.get('name')}", "namespace": metadata["namespace"]}
            written = {**(template.get("metadata") or {}), **own, "ownerReferences": [owner]}
            spec = template.get("spec") or {}
            claims.append({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": written, "spec": spec})
    return claims


def exists(pod: Manifest) -> bool:
    """Whether a pod is already in the cluster's accounts: bound with a status, or finished."""
    status = dig(pod, "status")
    return bool(status and dig(pod, "spec", "nodeName")) or dig(pod, "status", "phase") in _FINISHED


class _Expander:
    """Lists the pods to come, object by object."""

    def __init__(self, platform: Platform, nodes: list[Manifest]) -> None:
        self._platform, self._nodes = platform, nodes
        self._held: dict[str, list[Manifest]] = {}
        for item in platform.by_kind("Pod"):
            for owner in self._owners(item):
                self._held.setdefault(owner, []).append(item.manifest)

    def arrivals(self) -> Iterator[Arrival]:
        for item in self._platform.objects:
            if item.kind == "Pod":
                if not exists(item.manifest):
                    owner = next(iter(self._owners(item)), "")
                    yield Arrival(item.manifest, owner, item.origin, bool(item.metadata.get("resourceVersion")))
                continue
            workload = self._platform.workload_by_id.get(f"{item.kind} {item.namespace}/{item.name}")
            if workload is not None and workload.object is item:
                yield from self._of(workload)

    def _owners(self, pod: KubeObject) -> Iterator[str]:
        """The ids of the workloads behind a pod, the outermost first."""
        for reference in pod.metadata.get("ownerReferences") or ():
            kind, name = str(reference.get("kind")), str(reference.get("name"))
            if kind == "ReplicaSet":
                held = self._platform.get("ReplicaSet", pod.namespace, name)
                above = dig(held.manifest, "metadata", "ownerReferences", default=[]) if held else []
                deployment = str(above[0].get("name")) if above else name.rpartition("-")[0]
                if f"Deployment {pod.namespace}/{deployment}" in self._platform.workload_by_id:
                    yield f"Deployment {pod.namespace}/{deployment}"
            yield f"{kind} {pod.namespace}/{name}"

    def _of(self, workload: Workload) -> Iterator[Arrival]:
        held = self._held.get(workload.id, [])
        if workload.controller == "DaemonSet":
            taken = {_target(pod) for pod in held}
            for node in self._nodes:
                name = str(dig(node, "metadata", "name"))
                if name not in taken and daemon_should_run(workload.object.manifest, node)[0]:
                    yield self._arrival(workload, 0, name)
            return
        names = {str(dig(pod, "metadata", "name")) for pod in held}
        first, wanted = first_ordinal(workload), _wanted(workload, held)
        if workload.controller in ("StatefulSet", "Cluster"):
            numbers = [item for item in range(first, first + wanted) if pod_name(workload, item) not in names]
        else:
            running = sum(1 for pod in held if dig(pod, "status", "phase") not in _FINISHED)
            numbers = _fresh(workload, max(0, wanted - running), names)
        for number in numbers:
            yield self._arrival(workload, number)

    def _arrival(self, workload: Workload, number: int, node: str = "") -> Arrival:
        pod = make_pod(workload, number, node=node)
        claims = [self._platform.get("PersistentVolumeClaim", *key.split("/", 1)) for key in claims_of(pod)]
        made = tuple(item for item in claims if item is not None and item.origin.provenance == "derived")
        return Arrival(pod, workload.id, workload.object.origin, claims=made)


def _fresh(workload: Workload, count: int, taken: set[str]) -> list[int]:
    """So many numbers whose pod names are all different and none is taken: the API server draws such names again."""
    numbers: list[int] = []
    number = 0
    while len(numbers) < count:
        name = pod_name(workload, number)
        if name not in taken:
            taken.add(name)
            numbers.append(number)
        number += 1
    return numbers


def _wanted(workload: Workload, held: list[Manifest]) -> int:
    """How many pods the controller wants now: a Job what is left of its completions, a CronJob one run."""
    wanted = workload.replicas or 0
    manifest = workload.object.manifest
    if workload.controller == "CronJob":
        completions = dig(manifest, "spec", "jobTemplate", "spec", "completions")
        return 0 if dig(manifest, "spec", "suspend") is True else _at_most(wanted, completions)
    if workload.controller == "Job":
        if any(dig(item, "status") == "True" for item in dig(manifest, "status", "conditions", default=[])):
            return 0
        done = sum(1 for pod in held if dig(pod, "status", "phase") == "Succeeded")
        completions = dig(manifest, "spec", "completions")
        return _at_most(wanted, None if completions is None else max(0, int(completions) - done))
    return wanted


def _at_most(count: int, limit: int | None) -> int:
    return count if limit is None else min(count, int(limit))


def _target(pod: Manifest) -> str:
    """The node that a daemon pod is on or made for."""
    if node := dig(pod, "spec", "nodeName"):
        return str(node)
    required = dig(pod, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    return str(dig(required, "nodeSelectorTerms", 0, "matchFields", 0, "values", 0, default=""))


def _named(objects: Iterable[KubeObject]) -> Iterator[KubeObject]:
    """The objects with a name each: what ``generateName`` gives, or the kind and a number."""
    for number, item in enumerate(objects, 1):
        if item.name:
            yield item
            continue
        stem = item.metadata.get("generateName")
        name = f"{stem}{generated(f'{stem}{number}')}" if stem else f"{item.kind.lower()}-{number}"
        yield KubeObject({**item.manifest, "metadata": {**item.metadata, "name": name}}, item.origin)


def _with_pods(node: KubeObject) -> KubeObject:
    """The node with the kubelet's own limit of pods where it states amounts but not that one."""
    status = node.manifest.get("status") or {}
    side = "capacity" if status.get("allocatable") is None else "allocatable"
    amounts = status.get(side)
    if not amounts or "pods" in amounts:
        return node
    return KubeObject({**node.manifest, "status": {**status, side: {**amounts, "pods": MAX_PODS}}}, node.origin)


def _as_stored(pod: Manifest, platform: Platform) -> Manifest:
    """An existing pod with what the API server had filled in when it was created."""
    stored = default_pod(pod)
    if dig(stored, "spec", "priority") is None:
        try:
            classes = [item.manifest for item in platform.priority_classes.values()]
            stored["spec"]["priority"] = resolve_priority(stored, classes)[0]
        except ValueError:
            # Its class has gone since; without a priority in the file the pod counts as 0.
            stored["spec"]["priority"] = 0
    return stored


def _is_stored(item: KubeObject, mounted: set[str]) -> bool:
    if item.metadata.get("resourceVersion") or item.manifest.get("status"):
        return True
    claim = item.kind == "PersistentVolumeClaim"
    return claim and bool(item.spec.get("volumeName") or f"{item.namespace}/{item.name}" in mounted)


def _ignored(platform: Platform) -> Mapping[str, int]:
    counted: Counter[str] = Counter()
    for item in platform.objects:
        if item.kind in READ_KINDS or (item.kind == "Cluster" and item.group == "postgresql.cnpg.io"):
            continue
        quotas = platform.quotas.get(item.namespace, ())
        if not any(matching_keys(item.manifest, hard_of(quota.manifest)) for quota in quotas):
            counted[f"{item.group}/{item.kind}" if item.group else item.kind] += 1
    return dict(sorted(counted.items()))


def _notes(platform: Platform, nodes: Iterable[KubeObject], existing: Iterable[KubeObject]) -> Iterator[str]:
    known = set()
    for node in nodes:
        known.add(node.name)
        written = platform.get("Node", "", node.name)
        if not node.get("status", "allocatable") and not node.get("status", "capacity"):
            yield f"node {node.name} ({node.origin}) states neither capacity nor allocatable: nothing fits on it"
        elif written is not None and written.manifest is not node.manifest:
            yield f"node {node.name} ({node.origin}) does not say how many pods it takes: {MAX_PODS}, as kubelets do"
    for pod in existing:
        if pod.spec.get("nodeName") and pod.spec["nodeName"] not in known:
            yield f"pod {pod.namespace}/{pod.name} ({pod.origin}) is on node {pod.spec['nodeName']}, which is not here"
    if not known:
        yield "no node is among the objects: pods are admitted and then stay pending (--nodes 3xm920q gives some)"
    if len(platform.by_kind(SCHEDULER_CONFIGURATION)) > 1:
        yield "several KubeSchedulerConfigurations: the first counts"


def _doubles(platform: Platform) -> Iterator[Problem]:
    """Objects other than pods that share kind and name (a second pod of a name is refused by the API server)."""
    seen: dict[Any, KubeObject] = {}
    for item in platform.objects:
        if item.kind == "Pod" or item.origin.provenance == "derived":
            continue
        earlier = seen.setdefault(item.key, item)
        if earlier is not item:
            where = Where(item.origin.file, item.origin.line, "metadata.name")
            yield Problem(where, f"{item.key} is there twice, first in {earlier.origin}", "leave one of them out")
