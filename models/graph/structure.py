"""Edges that the API itself states: selectors, volumes, references to settings, claims' classes, quotas and budgets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from models.graph.context import Context, Dangling, edge, id_of
from models.graph.gateway import GATEWAY_ROUTES
from models.graph.netpol import cilium_governs
from models.graph.schema import Edge, Evidence, Strength, node_id
from models.objects import KubeObject
from models.operators.make import items, mapping, maps
from models.platform import Workload


def structure_edges(context: Context) -> Iterator[Edge | Dangling]:
    """All of them, in tree order."""
    yield from _selects(context)
    for workload in context.platform.workloads:
        yield from _volumes(context, workload)
        yield from _settings(context, workload)
    yield from _custom_references(context)
    yield from _made(context)
    yield from _claims(context)
    yield from _parents(context)
    yield from _governed(context)


def _selects(context: Context) -> Iterator[Edge]:
    for service in context.platform.services:
        if service.spec.get("type") == "ExternalName":
            continue
        for workload in context.platform.service_workloads(service):
            yield _select(service, context.node_of(workload), ready=True)
        cluster = mapping(service.spec.get("selector")).get("cnpg.io/cluster")
        if cluster and not context.platform.service_workloads(service):
            # The role that the Service asks for has no pod now: a replica of a database with one instance.
            target = context.platform.get("Cluster", service.namespace, str(cluster))
            if target is not None:
                yield _select(service, id_of(target), ready=False)


def _select(service: KubeObject, target: str, *, ready: bool) -> Edge:
    selector = mapping(service.spec.get("selector"))
    text = ", ".join(f"{key}={value}" for key, value in selector.items())
    rule, field = "service selector", "spec.selector"
    return edge(id_of(service), target, "selects", rule, service.origin, field, text, ready=ready)


def _volumes(context: Context, workload: Workload) -> Iterator[Edge | Dangling]:
    node = context.node_of(workload)
    origin = workload.object.origin
    for volume in maps(workload.pod_spec.get("volumes")):
        field = f"spec.volumes[{volume.get('name')}]"
        claim = mapping(volume.get("persistentVolumeClaim")).get("claimName")
        if claim:
            target = node_id("PersistentVolumeClaim", workload.namespace, str(claim))
            evidence = Evidence("volume", origin, field, str(claim))
            yield Edge(node, target, "mounts", Strength.HARD, (evidence,))
            if context.platform.get("PersistentVolumeClaim", workload.namespace, str(claim)) is None:
                yield Dangling(node, target, workload.namespace, evidence)
        for source in [volume, *maps(mapping(volume.get("projected")).get("sources"))]:
            yield from _reference(context, workload, "ConfigMap", mapping(source.get("configMap")), "name", field)
            yield from _reference(context, workload, "Secret", mapping(source.get("secret")), "secretName", field)
            yield from _reference(context, workload, "Secret", mapping(source.get("secret")), "name", field)
    for claim_object in context.made_claims.get(f"{workload.namespace}/{workload.name}", ()):
        if _fits(claim_object, workload):
            yield edge(node, id_of(claim_object), "mounts", "claim template", origin, "volumeClaimTemplates")


def _fits(claim: KubeObject, workload: Workload) -> bool:
    """Whether a derived claim belongs to the workload: a StatefulSet's template, or a database instance."""
    if workload.controller == "Cluster":
        return claim.labels.get("cnpg.io/cluster") == workload.name
    if workload.controller != "StatefulSet":
        return False
    names = {str(mapping(item.get("metadata")).get("name")) for item in workload.claim_templates}
    return any(claim.name.startswith(f"{name}-{workload.name}-") for name in names)


def _settings(context: Context, workload: Workload) -> Iterator[Edge | Dangling]:
    for kind in ("containers", "initContainers"):
        for container in maps(workload.pod_spec.get(kind)):
            place = f"spec.{kind}[{container.get('name')}]"
            for index, entry in enumerate(maps(container.get("envFrom"))):
                field = f"{place}.envFrom[{index}]"
                yield from _reference(context, workload, "ConfigMap", mapping(entry.get("configMapRef")), "name", field)
                yield from _reference(context, workload, "Secret", mapping(entry.get("secretRef")), "name", field)
            for entry in maps(container.get("env")):
                source, field = mapping(entry.get("valueFrom")), f"{place}.env[{entry.get('name')}]"
                config, secret = mapping(source.get("configMapKeyRef")), mapping(source.get("secretKeyRef"))
                yield from _reference(context, workload, "ConfigMap", config, "name", field)
                yield from _reference(context, workload, "Secret", secret, "name", field)
    for entry in maps(workload.pod_spec.get("imagePullSecrets")):
        yield from _reference(context, workload, "Secret", {**entry, "optional": True}, "name", "spec.imagePullSecrets")


def _reference(
    context: Context, workload: Workload, kind: str, reference: Mapping[str, Any], key: str, field: str
) -> Iterator[Edge | Dangling]:
    name = reference.get(key)
    if not name:
        return
    target = node_id(kind, workload.namespace, str(name))
    optional = reference.get("optional") is True
    evidence = Evidence("reference by name", workload.object.origin, field, f"{kind} {name}")
    source = context.node_of(workload)
    yield Edge(source, target, "uses", Strength.SOFT if optional else Strength.HARD, (evidence,))
    if context.platform.get(kind, workload.namespace, str(name)) is None and name != "kube-root-ca.crt":
        yield Dangling(source, target, workload.namespace, evidence, optional)


_SECRET_KEYS = ("secretName", "configSecret")


def _custom_references(context: Context) -> Iterator[Edge | Dangling]:
    """Secrets that custom resources name: issuers' tokens, backup credentials, certificates of routes and stores."""
    for item in context.platform.objects:
        found: dict[str, tuple[str, bool]] = {}
        if item.kind in ("ClusterIssuer", "Issuer"):
            space = item.namespace or _cluster_resource_namespace(context)
            _issuer_references(item.spec, "spec", found)
        elif item.kind == "TLSStore":
            space = item.namespace
            name = item.get("spec", "defaultCertificate", "secretName")
            if name:
                found[str(name)] = ("spec.defaultCertificate.secretName", False)
        elif item.kind in ("IngressRoute", "IngressRouteTCP"):
            space = item.namespace
            if item.get("spec", "tls", "secretName"):
                found[str(item.get("spec", "tls", "secretName"))] = ("spec.tls.secretName", False)
        elif item.kind == "Ingress":
            space = item.namespace
            for index, entry in enumerate(maps(item.spec.get("tls"))):
                if entry.get("secretName"):
                    found[str(entry["secretName"])] = (f"spec.tls[{index}].secretName", False)
        elif item.kind == "Cluster" and item.group == "postgresql.cnpg.io":
            space = item.namespace
            _database_references(item, found)
        elif item.kind == "Alertmanager":
            space = item.namespace
            if item.spec.get("configSecret"):
                found[str(item.spec["configSecret"])] = ("spec.configSecret", False)
        elif item.kind == "Middleware":
            space = item.namespace
            for auth in ("basicAuth", "digestAuth"):
                if item.get("spec", auth, "secret"):
                    found[str(item.get("spec", auth, "secret"))] = (f"spec.{auth}.secret", False)
        else:
            continue
        for name, (field, optional) in found.items():
            target = node_id("Secret", space, name)
            evidence = Evidence("reference by name", item.origin, field, f"Secret {name}")
            yield Edge(id_of(item), target, "uses", Strength.SOFT if optional else Strength.HARD, (evidence,))
            if context.platform.get("Secret", space, name) is None:
                yield Dangling(id_of(item), target, space, evidence, optional)


def _issuer_references(value: Any, field: str, found: dict[str, tuple[str, bool]]) -> None:
    """Every ``…SecretRef`` of an issuer, the account key apart: cert-manager makes that one itself."""
    if isinstance(value, dict):
        for key, item in value.items():
            if str(key).endswith("SecretRef") and isinstance(item, dict):
                if key != "privateKeySecretRef" and item.get("name"):
                    found.setdefault(str(item["name"]), (f"{field}.{key}", False))
            else:
                _issuer_references(item, f"{field}.{key}", found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _issuer_references(item, f"{field}[{index}]", found)


def _cluster_resource_namespace(context: Context) -> str:
    """Where cert-manager keeps the Secrets of ClusterIssuers: its own namespace unless an argument says otherwise."""
    for workload in context.platform.workloads:
        for container in workload.containers:
            if "cert-manager-controller" in str(container.get("image") or ""):
                for text in items(container.get("args")):
                    flag, _, value = str(text).partition("=")
                    if flag == "--cluster-resource-namespace" and value and not value.startswith("$"):
                        return value
                return workload.namespace
    chart = next((space for item, space in context.charts.values() if item.what.startswith("cert-manager ")), "")
    return chart or "cert-manager"


def _database_references(item: KubeObject, found: dict[str, tuple[str, bool]]) -> None:
    for method, options in mapping(item.spec.get("bootstrap")).items():
        name = mapping(mapping(options).get("secret")).get("name")
        if name:
            found[str(name)] = (f"spec.bootstrap.{method}.secret", False)
    if item.get("spec", "superuserSecret", "name"):
        found[str(item.get("spec", "superuserSecret", "name"))] = ("spec.superuserSecret", False)
    stores = [("spec.backup.barmanObjectStore", item.get("spec", "backup", "barmanObjectStore"))]
    for index, cluster in enumerate(maps(item.spec.get("externalClusters"))):
        place = f"spec.externalClusters[{index}]"
        stores.append((f"{place}.barmanObjectStore", cluster.get("barmanObjectStore")))
        for key in ("password", "sslKey", "sslCert", "sslRootCert"):
            name = mapping(cluster.get(key)).get("name")
            if name:
                found.setdefault(str(name), (f"{place}.{key}", False))
    for field, store in stores:
        for provider in ("s3Credentials", "azureCredentials", "googleCredentials"):
            for entry in mapping(mapping(store).get(provider)).values():
                if mapping(entry).get("name"):
                    found.setdefault(str(mapping(entry)["name"]), (f"{field}.{provider}", False))
    for role in maps(mapping(item.spec.get("managed")).get("roles")):
        name = mapping(role.get("passwordSecret")).get("name")
        if name:
            found.setdefault(str(name), ("spec.managed.roles[].passwordSecret", False))


def _made(context: Context) -> Iterator[Edge]:
    """What controllers make: a Secret from a Certificate or a sealed one, Services and budgets of a database."""
    for item in context.platform.objects:
        if item.origin.provenance != "derived":
            continue
        what, _, place = item.origin.by.rpartition(" ")
        namespace, _, name = place.rpartition("/")
        kind = what.rpartition(" ")[2]
        made = item.kind in ("Secret", "Certificate", "Service")
        made = made or (item.kind == "PersistentVolumeClaim" and kind.startswith("Replication"))
        if made and context.platform.get(kind, namespace, name):
            yield edge(node_id(kind, namespace, name), id_of(item), "makes", what, item.origin, "metadata.name")


def _claims(context: Context) -> Iterator[Edge | Dangling]:
    default = next(
        (
            name
            for name, item in context.platform.storage_classes.items()
            if item.annotations.get("storageclass.kubernetes.io/is-default-class") == "true"
        ),
        "",
    )
    for claim in context.platform.claims:
        volume, written = claim.spec.get("volumeName"), claim.spec.get("storageClassName")
        if volume:
            target = node_id("PersistentVolume", "", str(volume))
            yield edge(id_of(claim), target, "binds", "volume name", claim.origin, "spec.volumeName", str(volume))
        yield from _data_source(context, claim)
        name = default if written is None else str(written)
        if not name:
            continue
        field = "spec.storageClassName"
        evidence = Evidence("storage class", claim.origin, field, name, 1.0 if written else 0.9)
        target = node_id("StorageClass", "", name)
        yield Edge(id_of(claim), target, "binds", Strength.HARD, (evidence,))
        if name not in context.platform.storage_classes and not volume:
            yield Dangling(id_of(claim), target, claim.namespace, evidence, optional=True)


def _parents(context: Context) -> Iterator[Edge | Dangling]:
    """Gateways that routes name and that are not in the tree: nothing leads to such a route."""
    for kind in GATEWAY_ROUTES:
        for item in context.platform.by_kind(kind, "gateway.networking.k8s.io"):
            for index, parent in enumerate(maps(item.spec.get("parentRefs"))):
                space, name = str(parent.get("namespace") or item.namespace), str(parent.get("name") or "")
                if parent.get("kind", "Gateway") != "Gateway" or context.platform.get("Gateway", space, name):
                    continue
                evidence = Evidence("parent gateway", item.origin, f"spec.parentRefs[{index}]", f"Gateway {name}")
                target = node_id("Gateway", space, name)
                yield Edge(id_of(item), target, "uses", Strength.HARD, (evidence,))
                yield Dangling(id_of(item), target, space, evidence, optional=True)


def _data_source(context: Context, claim: KubeObject) -> Iterator[Edge | Dangling]:
    """What a claim is filled from when it is made: a snapshot, another claim, a VolSync destination."""
    for field in ("dataSourceRef", "dataSource"):
        source = mapping(claim.spec.get(field))
        kind, name = str(source.get("kind") or ""), source.get("name")
        if not kind or not name:
            continue
        target = node_id(kind, str(source.get("namespace") or claim.namespace), str(name))
        evidence = Evidence("data source", claim.origin, f"spec.{field}", f"{kind} {name}")
        yield Edge(id_of(claim), target, "uses", Strength.STARTUP, (evidence,))
        if context.platform.get(kind, str(source.get("namespace") or claim.namespace), str(name)) is None:
            yield Dangling(id_of(claim), target, claim.namespace, evidence, optional=True)
        return


def _governed(context: Context) -> Iterator[Edge]:
    platform = context.platform
    for kind, found in (("quota", platform.quotas), ("limit range", platform.limit_ranges)):
        for namespace, listed in found.items():
            for item in listed:
                yield edge(node_id("Namespace", "", namespace), id_of(item), "governed-by", kind, item.origin, "spec")
    for item in platform.pdbs:
        for workload in platform.select_workloads(item.namespace, mapping(item.spec.get("selector")) or None):
            yield _by(context, workload, item, "disruption budget", "spec.selector")
    for item in platform.hpas:
        target = mapping(item.spec.get("scaleTargetRef"))
        scaled = platform.workload_by_id.get(f"{target.get('kind')} {item.namespace}/{target.get('name')}")
        if scaled is not None:
            yield _by(context, scaled, item, "autoscaler", "spec.scaleTargetRef")
    for policies in platform.network_policies.values():
        for item in policies:
            for workload in platform.select_workloads(item.namespace, mapping(item.spec.get("podSelector"))):
                yield _by(context, workload, item, "network policy", "spec.podSelector")
    for policies in platform.cilium_policies.values():
        for item in policies:
            for workload in cilium_governs(platform, item):
                yield _by(context, workload, item, "Cilium policy", "spec.endpointSelector")


def _by(context: Context, workload: Workload, item: KubeObject, rule: str, field: str) -> Edge:
    return edge(context.node_of(workload), id_of(item), "governed-by", rule, item.origin, field, strength=Strength.SOFT)
