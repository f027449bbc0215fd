"""What the Prometheus operator runs for its custom resources (group ``monitoring.coreos.com``).

Names and labels follow the operator's ``pkg/prometheus/server/statefulset.go``, ``pkg/alertmanager/statefulset.go``
and ``pkg/thanos/statefulset.go``: a StatefulSet with the kind's prefix and one headless governing Service per kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from models.objects import KubeObject, Manifest
from models.operators.make import derived, mapping, maps, said_by, service, whole

GROUP = "monitoring.coreos.com"


@dataclass(frozen=True)
class _Product:
    """How the operator names what it runs for one kind."""

    prefix: str
    app: str
    governing: str
    port: int
    image: str


_PRODUCTS = {
    "Prometheus": _Product("prometheus", "prometheus", "prometheus-operated", 9090, "quay.io/prometheus/prometheus"),
    "PrometheusAgent": _Product(
        "prom-agent", "prometheus-agent", "prometheus-agent-operated", 9090, "quay.io/prometheus/prometheus"
    ),
    "Alertmanager": _Product(
        "alertmanager", "alertmanager", "alertmanager-operated", 9093, "quay.io/prometheus/alertmanager"
    ),
    "ThanosRuler": _Product("thanos-ruler", "thanos-ruler", "thanos-ruler-operated", 10902, "quay.io/thanos/thanos"),
}


def derive(objects: list[KubeObject]) -> Iterator[KubeObject]:
    """StatefulSets and governing Services of the operator's resources among ``objects``."""
    governed: set[tuple[str, str]] = set()
    for item in objects:
        product = _PRODUCTS.get(item.kind) if item.group == GROUP else None
        if product is None:
            continue
        by = said_by(item, f"Prometheus operator {item.kind}")
        for shard in range(max(1, whole(item.spec.get("shards"), 1))):
            yield _stateful_set(item, product, shard, by)
        if (item.namespace, product.governing) not in governed:
            governed.add((item.namespace, product.governing))
            yield service(
                item,
                product.governing,
                {str(item.spec.get("portName") or "web"): product.port},
                {"app.kubernetes.io/name": product.app, "app.kubernetes.io/managed-by": "prometheus-operator"},
                by=by,
                labels={"operated-" + product.app: "true", "managed-by": "prometheus-operator"},
                headless=True,
            )


def pod_labels(item: KubeObject, app: str, shard: int) -> dict[str, str]:
    """Labels of the pods that the operator runs for ``item``."""
    labels = {
        **mapping(item.get("spec", "podMetadata", "labels")),
        "app.kubernetes.io/name": app,
        "app.kubernetes.io/instance": item.name,
        "app.kubernetes.io/managed-by": "prometheus-operator",
    }
    if app.startswith("prometheus"):
        labels["operator.prometheus.io/name"] = item.name
        labels["operator.prometheus.io/shard"] = str(shard)
    labels[app] = item.name
    return {key: str(value) for key, value in labels.items()}


def _stateful_set(item: KubeObject, product: _Product, shard: int, by: str) -> KubeObject:
    name = f"{product.prefix}-{item.name}" + (f"-shard-{shard}" if shard else "")
    labels = pod_labels(item, product.app, shard)
    volume = f"{product.prefix}-{item.name}-db"
    main: Manifest = {
        "name": product.app if product.app != "prometheus-agent" else "prometheus",
        "image": str(item.spec.get("image") or product.image),
        "ports": [{"name": str(item.spec.get("portName") or "web"), "containerPort": product.port}],
        "resources": mapping(item.spec.get("resources")),
        "volumeMounts": [{"name": volume, "mountPath": f"/{product.app}"}, *maps(item.spec.get("volumeMounts"))],
    }
    reloader: Manifest = {
        "name": "config-reloader",
        "image": "quay.io/prometheus-operator/prometheus-config-reloader",
        "ports": [{"name": "reloader-web", "containerPort": 8080}],
        "resources": {},
    }
    pod: Manifest = {
        "containers": _merged([main, reloader], maps(item.spec.get("containers"))),
        "initContainers": maps(item.spec.get("initContainers")),
        "volumes": maps(item.spec.get("volumes")),
        "terminationGracePeriodSeconds": 600 if product.prefix.startswith("prom") else 120,
    }
    for field in ("affinity", "nodeSelector", "priorityClassName", "securityContext", "serviceAccountName"):
        if item.spec.get(field):
            pod[field] = item.spec[field]
    for field in ("tolerations", "topologySpreadConstraints"):
        if maps(item.spec.get(field)):
            pod[field] = item.spec[field]
    for source in maps([{"secret": item.spec.get("secrets")}, {"configMap": item.spec.get("configMaps")}]):
        ((kind, names),) = source.items()
        for entry in names if isinstance(names, list) else []:
            key = {"secret": "secretName", "configMap": "name"}[kind]
            pod["volumes"] = [*pod["volumes"], {"name": f"{kind.lower()}-{entry}", kind: {key: str(entry)}}]
    claim = mapping(item.get("spec", "storage", "volumeClaimTemplate"))
    templates = [{**claim, "metadata": {**mapping(claim.get("metadata")), "name": volume}}] if claim else []
    if not claim:
        pod["volumes"] = [
            *pod["volumes"],
            {"name": volume, "emptyDir": mapping(item.get("spec", "storage", "emptyDir"))},
        ]
    return derived(
        item,
        "StatefulSet",
        name,
        by=by,
        api_version="apps/v1",
        labels=labels,
        spec={
            "replicas": whole(item.spec.get("replicas"), 1),
            "serviceName": product.governing,
            "podManagementPolicy": str(item.spec.get("podManagementPolicy") or "Parallel"),
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": mapping(item.get("spec", "podMetadata", "annotations"))},
                "spec": pod,
            },
            "volumeClaimTemplates": templates,
        },
    )


def _merged(own: list[Manifest], extra: list[Manifest]) -> list[Manifest]:
    """Containers of the operator with the resource's ``containers`` laid over those of the same name."""
    by_name = {str(entry.get("name")): entry for entry in extra}
    merged = [{**entry, **by_name.pop(str(entry["name"]), {})} for entry in own]
    return [*merged, *by_name.values()]
