"""The typed platform: every object with its namespace filled in, what operators add, and the look-ups others need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from models.objects import KubeObject, Manifest, Missing, ObjectKey, Provenance, Rendered, string_map
from models.operators import argocd, cnpg, derive
from models.operators.addresses import load_balancer_addresses
from models.operators.kinds import CLUSTER_SCOPED, KNOWN_KINDS
from models.operators.make import mapping, maps, selector_of, whole
from models.scheduler.selectors import set_selector
from models.unknowns import settled

Controller = Literal["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod", "Cluster"]
"""What makes the pods of a workload. ``Cluster`` is a CloudNativePG database cluster."""

_APPS = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"})


@dataclass(frozen=True, eq=False)
class Workload:
    """Something that runs pods.

    id: "Deployment namespace/name". object: the object that declares it. replicas: pods wanted, None for a DaemonSet
    (one per node that fits). template: pod template with ``metadata`` (namespace filled in) and ``spec``.
    claim_templates: one manifest per claim that each pod gets. strategy: ``spec.strategy`` or ``updateStrategy`` as
    written. schedule: the cron expression of a CronJob. roles: label sets that pods of one workload may carry beyond
    the template's (a database's primary and replicas); a single empty map for everything else.
    """

    id: str
    key: ObjectKey
    object: KubeObject
    controller: Controller
    replicas: int | None
    template: Manifest
    claim_templates: tuple[Manifest, ...] = ()
    strategy: Mapping[str, Any] = field(default_factory=dict)
    provenance: Provenance = "manifest"
    schedule: str = ""
    roles: tuple[Mapping[str, str], ...] = ({},)

    @property
    def namespace(self) -> str:
        """The namespace of the workload and its pods."""
        return self.key.namespace

    @property
    def name(self) -> str:
        """The name of the workload."""
        return self.key.name

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of the pod template."""
        return string_map(mapping(self.template.get("metadata")).get("labels"))

    @property
    def pod_spec(self) -> Mapping[str, Any]:
        """``spec`` of the pod template."""
        return mapping(self.template.get("spec"))

    @cached_property
    def label_sets(self) -> tuple[Mapping[str, str], ...]:
        """Every label map that a pod of the workload may carry."""
        return tuple({**self.labels, **role} for role in self.roles)

    @property
    def containers(self) -> tuple[Manifest, ...]:
        """The containers that run together, sidecars (init containers that restart always) included."""
        sidecars = [item for item in maps(self.pod_spec.get("initContainers")) if item.get("restartPolicy") == "Always"]
        return (*maps(self.pod_spec.get("containers")), *sidecars)

    @property
    def init_containers(self) -> tuple[Manifest, ...]:
        """The init containers that must finish before the pod starts."""
        found = maps(self.pod_spec.get("initContainers"))
        return tuple(item for item in found if item.get("restartPolicy") != "Always")

    def __repr__(self) -> str:
        return f"<{self.id}: {self.replicas} pods>"


@dataclass(frozen=True, eq=False)
class Platform:
    """Every object (derived ones included) and workload of the rendered roots, with look-ups made once."""

    rendered: Rendered
    objects: tuple[KubeObject, ...]
    workloads: tuple[Workload, ...]

    @cached_property
    def _by_name(self) -> Mapping[tuple[str, str, str], KubeObject]:
        found: dict[tuple[str, str, str], KubeObject] = {}
        for item in self.objects:
            found.setdefault((item.kind, item.namespace, item.name), item)
        return found

    @cached_property
    def _by_kind(self) -> Mapping[str, tuple[KubeObject, ...]]:
        found: dict[str, list[KubeObject]] = {}
        for item in self.objects:
            found.setdefault(item.kind, []).append(item)
        return {kind: tuple(listed) for kind, listed in found.items()}

    @cached_property
    def _workloads_in(self) -> Mapping[str, tuple[Workload, ...]]:
        found: dict[str, list[Workload]] = {}
        for item in self.workloads:
            found.setdefault(item.namespace, []).append(item)
        return {namespace: tuple(listed) for namespace, listed in found.items()}

    @cached_property
    def workload_by_id(self) -> Mapping[str, Workload]:
        """Workloads by their id."""
        return {item.id: item for item in self.workloads}

    def get(self, kind: str, namespace: str, name: str) -> KubeObject | None:
        """The object of that kind and name, None when the tree has none. Cluster-scoped objects: namespace ""."""
        return self._by_name.get((kind, namespace, name))

    def by_kind(self, kind: str, group: str | None = None) -> tuple[KubeObject, ...]:
        """All objects of a kind in tree order; ``group`` narrows to one API group."""
        found = self._by_kind.get(kind, ())
        return found if group is None else tuple(item for item in found if item.group == group)

    def select_workloads(self, namespace: str, selector: Mapping[str, Any] | None) -> tuple[Workload, ...]:
        """Workloads of the namespace whose pods a ``LabelSelector`` matches; None matches none, ``{}`` all."""
        chosen = selector_of(selector)
        return tuple(
            item
            for item in self._workloads_in.get(namespace, ())
            if any(chosen.matches(labels) for labels in item.label_sets)
        )

    def service_workloads(self, service: KubeObject) -> tuple[Workload, ...]:
        """Workloads behind a Service. An external name of the cluster's own is followed; manual endpoints have none."""
        found = self._behind.get(service.key)
        return self._selected(service) if found is None else found

    @cached_property
    def _behind(self) -> Mapping[ObjectKey, tuple[Workload, ...]]:
        return {item.key: self._selected(item) for item in self.services}

    def alias(self, service: KubeObject) -> KubeObject | None:
        """The Service of the cluster that an ExternalName Service stands for, None for any other."""
        name = str(service.spec.get("externalName") or "").rstrip(".").lower()
        parts = name.split(".")
        if service.spec.get("type") != "ExternalName" or parts[2:3] != ["svc"]:
            return None
        return self.get("Service", parts[1], parts[0])

    def _selected(self, service: KubeObject, hops: int = 5) -> tuple[Workload, ...]:
        other = self.alias(service) if hops else None
        if other is not None:
            return self._selected(other, hops - 1)
        selector = mapping(service.spec.get("selector"))
        if not selector or service.spec.get("type") == "ExternalName":
            return ()
        chosen = set_selector(selector)
        return tuple(
            item
            for item in self._workloads_in.get(service.namespace, ())
            if any(chosen.matches(labels) for labels in item.label_sets)
        )

    @cached_property
    def services(self) -> tuple[KubeObject, ...]:
        """Services, derived ones included."""
        return self.by_kind("Service", "")

    @cached_property
    def claims(self) -> tuple[KubeObject, ...]:
        """PersistentVolumeClaims: written ones and those that StatefulSets and database clusters make (derived)."""
        return self.by_kind("PersistentVolumeClaim", "")

    @cached_property
    def volumes(self) -> tuple[KubeObject, ...]:
        """PersistentVolumes that the tree writes."""
        return self.by_kind("PersistentVolume", "")

    @cached_property
    def storage_classes(self) -> Mapping[str, KubeObject]:
        """StorageClasses by name."""
        return {item.name: item for item in self.by_kind("StorageClass", "storage.k8s.io")}

    @cached_property
    def quotas(self) -> Mapping[str, tuple[KubeObject, ...]]:
        """ResourceQuotas by namespace."""
        return _by_namespace(self.by_kind("ResourceQuota", ""))

    @cached_property
    def limit_ranges(self) -> Mapping[str, tuple[KubeObject, ...]]:
        """LimitRanges by namespace."""
        return _by_namespace(self.by_kind("LimitRange", ""))

    @cached_property
    def network_policies(self) -> Mapping[str, tuple[KubeObject, ...]]:
        """NetworkPolicies by namespace."""
        return _by_namespace(self.by_kind("NetworkPolicy", "networking.k8s.io"))

    @cached_property
    def cilium_policies(self) -> Mapping[str, tuple[KubeObject, ...]]:
        """CiliumNetworkPolicies by namespace; cluster-wide ones under ""."""
        found = _by_namespace(self.by_kind("CiliumNetworkPolicy"))
        wide = self.by_kind("CiliumClusterwideNetworkPolicy")
        return {**found, "": wide} if wide else found

    @cached_property
    def priority_classes(self) -> Mapping[str, KubeObject]:
        """PriorityClasses by name."""
        return {item.name: item for item in self.by_kind("PriorityClass", "scheduling.k8s.io")}

    @cached_property
    def pdbs(self) -> tuple[KubeObject, ...]:
        """PodDisruptionBudgets."""
        return self.by_kind("PodDisruptionBudget", "policy")

    @cached_property
    def hpas(self) -> tuple[KubeObject, ...]:
        """HorizontalPodAutoscalers."""
        return self.by_kind("HorizontalPodAutoscaler", "autoscaling")

    @cached_property
    def namespaces(self) -> Mapping[str, Mapping[str, str]]:
        """Labels of every namespace that is written or used, with the label that the API server adds."""
        found = {item.name: dict(item.labels) for item in self.by_kind("Namespace", "")}
        for item in self.objects:
            if item.namespace:
                found.setdefault(item.namespace, {})
        for name, labels in found.items():
            labels["kubernetes.io/metadata.name"] = name
        return dict(sorted(found.items()))

    @cached_property
    def load_balancer_addresses(self) -> Mapping[ObjectKey, tuple[str, ...]]:
        """Addresses of the Services of type LoadBalancer; an empty tuple where the tree does not decide."""
        return load_balancer_addresses(self.objects)

    @cached_property
    def unknown_kinds(self) -> Mapping[str, int]:
        """How many objects of each kind no rule of the tool reads: "group/Kind" to count."""
        counted = Counter(
            f"{item.group}/{item.kind}" if item.group else item.kind
            for item in self.objects
            if (item.group, item.kind) not in KNOWN_KINDS
        )
        return dict(sorted(counted.items()))


def _by_namespace(objects: Iterable[KubeObject]) -> Mapping[str, tuple[KubeObject, ...]]:
    found: dict[str, list[KubeObject]] = {}
    for item in objects:
        found.setdefault(item.namespace, []).append(item)
    return {namespace: tuple(listed) for namespace, listed in found.items()}


def read_platform(rendered: Rendered, *, once: bool = True) -> Platform:
    """The platform of the rendered roots: namespaces filled in, operators' objects added, workloads listed.

    A number that is an unknown variable is left out and listed as missing, as are the later versions of one object
    (``once``; otherwise all of them stay).
    """
    rendered = settled(rendered)
    placed = [_placed(item, namespace) for item, namespace in _namespaces(rendered)]
    placed, others = _once(placed) if once else (placed, ())
    rendered = replace(rendered, missing=(*rendered.missing, *others))
    objects = (*placed, *derive(placed))
    return Platform(rendered, objects, tuple(_workloads(objects)))


def _once(objects: Sequence[KubeObject]) -> tuple[list[KubeObject], tuple[Missing, ...]]:
    """Each object once, as in a cluster: of overlays that exclude each other the first counts, and one entry tells it.

    Objects without a name are not told apart; copies that say the same are no second version.
    """
    first: dict[ObjectKey, KubeObject] = {}
    kept: list[KubeObject] = []
    others: dict[ObjectKey, KubeObject] = {}
    for item in objects:
        same = first.setdefault(item.key, item)
        if same is item or not item.name:
            kept.append(item)
        elif item.manifest != same.manifest:
            others.setdefault(item.key, item)
    if not others:
        return kept, ()
    (key, item), *more = others.items()
    what = f"second version of {key}" + (f" and of {len(more)} more" if more else "")
    reason = "overlays, clusters or files write the same objects: the first of each is taken"
    hides = "what the others say; name the folder of one overlay to see it alone"
    return kept, (Missing("generator", what, item.origin, reason, hides),)


def _namespaces(rendered: Rendered) -> Iterator[tuple[KubeObject, str]]:
    """Each object with the namespace it ends up in: its own, its Argo CD application's, or ``default``."""
    custom = frozenset(
        str(item.get("spec", "names", "kind"))
        for item in rendered.objects
        if item.kind == "CustomResourceDefinition" and item.spec.get("scope") == "Cluster"
    )
    folders = {folder for item in rendered.objects for folder in _parents(item.origin.file)} | set(rendered.roots)
    targets = argocd.destinations(rendered.objects, folders)
    whole_tree = next((space for path, space in targets if rendered.roots == (path,)), None)
    for item in rendered.objects:
        if item.kind in CLUSTER_SCOPED or item.kind in custom:
            yield item, ""
        elif item.namespace:
            yield item, item.namespace
        else:
            file = item.origin.file
            inside = (space for path, space in targets if file == path or file.startswith(path + "/"))
            yield item, next(inside, None) or whole_tree or "default"


def _parents(file: str) -> Iterator[str]:
    parts = file.split("/")[:-1]
    for count in range(1, len(parts) + 1):
        yield "/".join(parts[:count])


def _placed(item: KubeObject, namespace: str) -> KubeObject:
    if item.namespace == namespace:
        return item
    metadata = {key: value for key, value in item.metadata.items() if key != "namespace"}
    if namespace:
        metadata["namespace"] = namespace
    return replace(item, manifest={**item.manifest, "metadata": metadata})


def _workloads(objects: tuple[KubeObject, ...]) -> Iterator[Workload]:
    scalers = {
        (
            item.namespace,
            str(item.get("spec", "scaleTargetRef", "kind")),
            str(item.get("spec", "scaleTargetRef", "name")),
        ): item
        for item in objects
        if item.kind == "HorizontalPodAutoscaler"
    }
    for item in objects:
        if item.get("metadata", "ownerReferences") and item.origin.provenance != "derived":
            # Pods and ReplicaSets of a dump of a live cluster: their owner is there as well.
            continue
        if item.kind in _APPS and item.group in ("apps", "extensions"):
            yield _app(item, scalers.get((item.namespace, item.kind, item.name)))
        elif item.kind in ("Job", "CronJob") and item.group == "batch":
            yield _job(item)
        elif item.kind == "Pod" and item.group == "":
            yield _workload(item, 1, item.manifest)
        elif cnpg.is_cluster(item):
            yield _database(item)


def _app(item: KubeObject, scaler: KubeObject | None) -> Workload:
    replicas: int | None = None
    if item.kind != "DaemonSet":
        replicas = max(0, whole(item.spec.get("replicas"), 1))
        if scaler is not None and replicas:
            # The autoscaler is off for 0 replicas; otherwise its bounds win over what is written.
            low = max(1, whole(scaler.spec.get("minReplicas"), 1))
            replicas = min(max(replicas, low), max(low, whole(scaler.spec.get("maxReplicas"), replicas)))
    strategy = mapping(item.spec.get("strategy" if item.kind == "Deployment" else "updateStrategy"))
    claims = tuple(maps(item.spec.get("volumeClaimTemplates"))) if item.kind == "StatefulSet" else ()
    return _workload(item, replicas, mapping(item.spec.get("template")), claims=claims, strategy=strategy)


def _job(item: KubeObject) -> Workload:
    spec = mapping(item.get("spec", "jobTemplate", "spec")) if item.kind == "CronJob" else item.spec
    schedule = str(item.spec.get("schedule") or "") if item.kind == "CronJob" else ""
    suspended = spec.get("suspend") is True or item.spec.get("suspend") is True
    replicas = 0 if suspended else max(0, whole(spec.get("parallelism"), 1))
    return _workload(item, replicas, mapping(spec.get("template")), schedule=schedule)


def _database(item: KubeObject) -> Workload:
    roles = tuple({"cnpg.io/instanceRole": role, "role": role} for role in cnpg.roles(item))
    return _workload(
        item, cnpg.instances(item), cnpg.pod_template(item), claims=cnpg.claim_templates(item), roles=roles
    )


def _workload(
    item: KubeObject,
    replicas: int | None,
    template: Mapping[str, Any],
    *,
    claims: tuple[Manifest, ...] = (),
    strategy: Mapping[str, Any] | None = None,
    schedule: str = "",
    roles: tuple[Mapping[str, str], ...] = ({},),
) -> Workload:
    metadata = {**mapping(template.get("metadata")), "namespace": item.namespace}
    kind: Any = item.kind
    return Workload(
        id=f"{item.kind} {item.namespace}/{item.name}",
        key=item.key,
        object=item,
        controller=kind,
        replicas=replicas,
        template={"metadata": metadata, "spec": mapping(template.get("spec"))},
        claim_templates=claims,
        strategy=strategy or {},
        provenance=item.origin.provenance,
        schedule=schedule,
        roles=roles,
    )
