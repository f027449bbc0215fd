"""What the CloudNativePG operator runs for ``Cluster`` and ``Pooler`` (group ``postgresql.cnpg.io``).

Names, labels and selectors follow the operator's documentation ("Service management", "Labels and annotations",
"Connection pooling") and its ``pkg/specs``: ``services.go``, ``poddisruptionbudget.go``, ``pods.go``, ``secrets.go``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from models.objects import KubeObject, Manifest
from models.operators.make import derived, mapping, maps, said_by, secret, service, whole

GROUP = "postgresql.cnpg.io"
PORT = 5432
METRICS_PORT = 9187
STATUS_PORT = 8000
APP_KEYS = (
    "dbname",
    "fqdn-jdbc-uri",
    "fqdn-uri",
    "host",
    "jdbc-uri",
    "password",
    "pgpass",
    "port",
    "uri",
    "user",
    "username",
)
"""Keys of the connection secrets ``NAME-app`` and ``NAME-superuser``."""


def is_cluster(item: KubeObject) -> bool:
    """Whether the object is a CNPG database cluster."""
    return item.kind == "Cluster" and item.group == GROUP


def derive(objects: list[KubeObject]) -> Iterator[KubeObject]:
    """Everything the operator makes of the clusters and poolers among ``objects``."""
    for item in objects:
        if is_cluster(item):
            yield from _cluster(item)
        elif item.kind == "Pooler" and item.group == GROUP:
            yield from _pooler(item)


def instances(cluster: KubeObject) -> int:
    """Number of PostgreSQL pods; the API's default is 1."""
    return max(0, whole(cluster.spec.get("instances"), 1))


def roles(cluster: KubeObject) -> tuple[str, ...]:
    """The roles that pods of the cluster have: a primary, and replicas when there is more than one instance."""
    return ("primary", "replica") if instances(cluster) > 1 else ("primary",)


def _cluster(item: KubeObject) -> Iterator[KubeObject]:
    by = said_by(item, "CNPG Cluster")
    yield from _services(item, by)
    yield from _secrets(item, by)
    yield from _budgets(item, by)
    yield from _pod_monitor(item, by, {"cnpg.io/cluster": item.name, "cnpg.io/podRole": "instance"})
    for number in range(1, instances(item) + 1):
        for template in claim_templates(item):
            suffix = str(template["metadata"]["name"]).removeprefix("pgdata")
            yield derived(
                item,
                "PersistentVolumeClaim",
                f"{item.name}-{number}{suffix}",
                by=by,
                labels={"cnpg.io/cluster": item.name, "cnpg.io/instanceName": f"{item.name}-{number}"},
                spec=template["spec"],
            )


def _selector(item: KubeObject, kind: str) -> dict[str, str]:
    selector = {"cnpg.io/cluster": item.name}
    if kind == "rw":
        selector["cnpg.io/instanceRole"] = "primary"
    elif kind == "ro":
        selector["cnpg.io/instanceRole"] = "replica"
    else:
        selector["cnpg.io/podRole"] = "instance"
    return selector


def _services(item: KubeObject, by: str) -> Iterator[KubeObject]:
    managed = mapping(item.get("spec", "managed", "services"))
    disabled = managed.get("disabledDefaultServices")
    labels = {"cnpg.io/cluster": item.name}
    for kind in ("rw", "ro", "r"):
        if isinstance(disabled, list) and kind in disabled:
            continue
        yield service(item, f"{item.name}-{kind}", {"postgres": PORT}, _selector(item, kind), by=by, labels=labels)
    for extra in maps(managed.get("additional")):
        template = mapping(extra.get("serviceTemplate"))
        name = mapping(template.get("metadata")).get("name")
        if name:
            spec = mapping(template.get("spec"))
            built = service(
                item,
                str(name),
                {"postgres": PORT},
                _selector(item, str(extra.get("selectorType") or "rw")),
                by=by,
                labels={**labels, **mapping(mapping(template.get("metadata")).get("labels"))},
                service_type=str(spec.get("type") or "ClusterIP"),
            )
            annotations = mapping(mapping(template.get("metadata")).get("annotations"))
            built.manifest["metadata"]["annotations"] = dict(annotations)
            built.manifest["spec"] = {**built.manifest["spec"], **spec, "selector": built.manifest["spec"]["selector"]}
            yield built


def _secrets(item: KubeObject, by: str) -> Iterator[KubeObject]:
    bootstrap = mapping(item.get("spec", "bootstrap"))
    given = any(mapping(mapping(method).get("secret")).get("name") for method in bootstrap.values())
    if not given and ("initdb" in bootstrap or not bootstrap):
        yield secret(item, f"{item.name}-app", APP_KEYS, by=by, secret_type="kubernetes.io/basic-auth")
    if item.spec.get("enableSuperuserAccess") is True and not item.get("spec", "superuserSecret", "name"):
        yield secret(item, f"{item.name}-superuser", APP_KEYS, by=by, secret_type="kubernetes.io/basic-auth")
    certificates = mapping(item.spec.get("certificates"))
    for field, suffix, keys in (
        ("serverCASecret", "ca", ("ca.crt", "ca.key")),
        ("serverTLSSecret", "server", ("tls.crt", "tls.key")),
        ("replicationTLSSecret", "replication", ("tls.crt", "tls.key")),
    ):
        if not certificates.get(field):
            yield secret(item, f"{item.name}-{suffix}", keys, by=by)


def _pod_monitor(item: KubeObject, by: str, selector: dict[str, str]) -> Iterator[KubeObject]:
    """The PodMonitor of a cluster or pooler that asks for one (``pkg/specs/podmonitor.go`` of the operator)."""
    monitoring = mapping(item.spec.get("monitoring"))
    if monitoring.get("enablePodMonitor") is not True:
        return
    yield derived(
        item,
        "PodMonitor",
        item.name,
        by=by,
        api_version="monitoring.coreos.com/v1",
        labels={"cnpg.io/cluster": str(selector.get("cnpg.io/cluster") or item.get("spec", "cluster", "name") or "")},
        spec={"selector": {"matchLabels": selector}, "podMetricsEndpoints": [{"port": "metrics"}]},
    )


def _budgets(item: KubeObject, by: str) -> Iterator[KubeObject]:
    if item.spec.get("enablePDB") is False:
        return
    budgets = [(f"{item.name}-primary", 1, "primary")]
    if instances(item) >= 3:
        budgets.append((item.name, instances(item) - 2, "replica"))
    for name, available, role in budgets:
        labels = {"cnpg.io/cluster": item.name, "cnpg.io/instanceRole": role}
        yield derived(
            item,
            "PodDisruptionBudget",
            name,
            by=by,
            api_version="policy/v1",
            spec={"minAvailable": available, "selector": {"matchLabels": labels}},
        )


def claim_templates(cluster: KubeObject) -> tuple[Manifest, ...]:
    """One claim template per volume of an instance; names are ``pgdata``, ``pgdata-wal`` and ``pgdata-TABLESPACE``."""
    volumes: list[tuple[str, dict[str, Any]]] = [("pgdata", mapping(cluster.spec.get("storage")))]
    if cluster.spec.get("walStorage"):
        volumes.append(("pgdata-wal", mapping(cluster.spec.get("walStorage"))))
    spaces = maps(cluster.spec.get("tablespaces"))
    volumes.extend((f"pgdata-tbs-{space.get('name')}", mapping(space.get("storage"))) for space in spaces)
    return tuple(_claim(name, storage) for name, storage in volumes)


def _claim(name: str, storage: dict[str, Any]) -> Manifest:
    spec: Manifest = {"accessModes": ["ReadWriteOnce"], **mapping(storage.get("pvcTemplate"))}
    if storage.get("storageClass"):
        spec["storageClassName"] = storage["storageClass"]
    if storage.get("size") is not None:
        spec["resources"] = {"requests": {"storage": storage["size"]}}
    return {"metadata": {"name": name}, "spec": spec}


def pod_template(cluster: KubeObject) -> Manifest:
    """The pod of one instance. The role label is left out: it moves between pods (see ``roles``)."""
    inherited = mapping(cluster.get("spec", "inheritedMetadata"))
    labels = {
        **mapping(inherited.get("labels")),
        "cnpg.io/cluster": cluster.name,
        "cnpg.io/podRole": "instance",
        "app.kubernetes.io/managed-by": "cloudnative-pg",
        "app.kubernetes.io/name": "postgresql",
        "app.kubernetes.io/component": "database",
        "app.kubernetes.io/instance": cluster.name,
    }
    container: Manifest = {
        "name": "postgres",
        "image": str(cluster.spec.get("imageName") or "ghcr.io/cloudnative-pg/postgresql"),
        "ports": [
            {"name": "postgresql", "containerPort": PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"},
            {"name": "status", "containerPort": STATUS_PORT, "protocol": "TCP"},
        ],
        "env": maps(cluster.spec.get("env")),
        "envFrom": maps(cluster.spec.get("envFrom")),
        "volumeMounts": [{"name": "pgdata", "mountPath": "/var/lib/postgresql/data"}],
        "resources": mapping(cluster.spec.get("resources")),
    }
    spec: Manifest = {"serviceAccountName": cluster.name, "containers": [container], "affinity": _affinity(cluster)}
    affinity = mapping(cluster.spec.get("affinity"))
    for field in ("nodeSelector", "tolerations"):
        if affinity.get(field):
            spec[field] = affinity[field]
    for field in ("priorityClassName", "topologySpreadConstraints", "schedulerName"):
        if cluster.spec.get(field):
            spec[field] = cluster.spec[field]
    spec["terminationGracePeriodSeconds"] = whole(cluster.spec.get("stopDelay"), 1800)
    metadata = {
        "namespace": cluster.namespace,
        "labels": labels,
        "annotations": dict(mapping(inherited.get("annotations"))),
    }
    return {"metadata": metadata, "spec": spec}


def _affinity(cluster: KubeObject) -> Manifest:
    """The pod's affinity: anti-affinity is on and preferred, over host names, unless the cluster says otherwise."""
    asked = mapping(cluster.spec.get("affinity"))
    result: Manifest = {}
    if asked.get("nodeAffinity"):
        result["nodeAffinity"] = asked["nodeAffinity"]
    if asked.get("additionalPodAffinity"):
        result["podAffinity"] = asked["additionalPodAffinity"]
    anti: Manifest = dict(mapping(asked.get("additionalPodAntiAffinity")))
    if asked.get("enablePodAntiAffinity") is not False:
        term: Manifest = {
            "labelSelector": {
                "matchExpressions": [
                    {"key": "cnpg.io/cluster", "operator": "In", "values": [cluster.name]},
                    {"key": "cnpg.io/podRole", "operator": "In", "values": ["instance"]},
                ]
            },
            "topologyKey": str(asked.get("topologyKey") or "kubernetes.io/hostname"),
        }
        if asked.get("podAntiAffinityType") == "required":
            entry: Manifest = term
            field = "requiredDuringSchedulingIgnoredDuringExecution"
        else:
            field = "preferredDuringSchedulingIgnoredDuringExecution"
            entry = {"weight": 100, "podAffinityTerm": term}
        anti[field] = [*maps(anti.get(field)), entry]
    if anti:
        result["podAntiAffinity"] = anti
    return result


def _pooler(item: KubeObject) -> Iterator[KubeObject]:
    by = said_by(item, "CNPG Pooler")
    labels = {"cnpg.io/poolerName": item.name}
    template = mapping(item.spec.get("template"))
    pod = dict(mapping(template.get("spec")))
    given = maps(pod.get("containers"))
    own = next((entry for entry in given if entry.get("name") == "pgbouncer"), {})
    container = {
        "image": "ghcr.io/cloudnative-pg/pgbouncer",
        **own,
        "name": "pgbouncer",
        "ports": [{"name": "pgbouncer", "containerPort": PORT}, {"name": "metrics", "containerPort": 9127}],
    }
    pod["containers"] = [container, *(entry for entry in given if entry.get("name") != "pgbouncer")]
    metadata = mapping(template.get("metadata"))
    pod_labels = {**mapping(metadata.get("labels")), **labels}
    yield derived(
        item,
        "Deployment",
        item.name,
        by=by,
        api_version="apps/v1",
        labels=labels,
        spec={
            "replicas": whole(item.spec.get("instances"), 1),
            "selector": {"matchLabels": labels},
            "strategy": mapping(item.spec.get("deploymentStrategy")),
            "template": {"metadata": {**metadata, "labels": pod_labels}, "spec": pod},
        },
    )
    yield service(item, item.name, {"pgbouncer": PORT}, labels, by=by, labels=labels)
    yield from _pod_monitor(item, by, labels)
