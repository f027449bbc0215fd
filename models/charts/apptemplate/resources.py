"""The objects that the bjw-s common library makes of a release: workloads, services, claims, routes, monitors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from models.charts import parts
from models.charts.apptemplate.names import enabled
from models.charts.apptemplate.pods import template
from models.charts.apptemplate.release import Entries, Release, claim_fields, number, protocol
from models.objects import Manifest, dig

_KINDS = {
    "deployment": "Deployment",
    "statefulset": "StatefulSet",
    "daemonset": "DaemonSet",
    "cronjob": "CronJob",
    "job": "Job",
}
_SERVICE_FIELDS = (
    "loadBalancerIP",
    "loadBalancerClass",
    "clusterIP",
    "externalIPs",
    "externalTrafficPolicy",
    "internalTrafficPolicy",
    "externalName",
    "ipFamilyPolicy",
    "ipFamilies",
    "publishNotReadyAddresses",
    "sessionAffinity",
)


def resources(release: Release) -> Iterator[Manifest]:
    """All objects of a release, in the order of the library's ``loader/_generate.tpl`` where it matters."""
    for key, entry in release.controllers.items():
        yield from _controller(release, key, entry)
    for key, entry in release.services.items():
        made = _service(release, key, entry)
        if made:
            yield made
    for key, entry in release.claims.items():
        name = release.names.of("pvc", key, release.claims)
        body = {"spec": parts.claim_spec(claim_fields(entry))}
        yield release.make("v1", "PersistentVolumeClaim", name, body, entry)
    yield from _plain(release)
    for kind, group in (("ingress", _ingress), ("route", _route), ("serviceMonitor", _monitor)):
        several = enabled(release.values.get(kind))
        for key, entry in several.items():
            yield group(release, release.names.of(kind, key, several), entry)
    policies = enabled(release.values.get("networkpolicies"))
    for key, entry in policies.items():
        yield _policy(release, release.names.of("networkPolicy", key, policies), entry)


def _plain(release: Release) -> Iterator[Manifest]:
    """ConfigMaps, service accounts and raw resources."""
    maps = enabled(release.values.get("configMaps"))
    for key, entry in maps.items():
        body = {"data": entry.get("data") or {}}
        yield release.make("v1", "ConfigMap", release.names.of("configMap", key, maps), body, entry)
    if release.major >= 4:
        accounts = enabled(release.values.get("serviceAccount"))
        for key, entry in accounts.items():
            name = release.names.of("serviceAccount", key, accounts)
            yield release.make("v1", "ServiceAccount", name, {}, entry)
    raw = enabled(release.values.get("rawResources"))
    for key, entry in raw.items():
        # Version 5 has the object below ``manifest``; before, ``spec`` held all of it but its kind and metadata.
        given = entry.get("manifest") if isinstance(entry.get("manifest"), dict) else entry.get("spec")
        whole = given if isinstance(given, dict) else {}
        version, kind = (whole.get(field) or entry.get(field) for field in ("apiVersion", "kind"))
        if version and kind:
            body = {field: value for field, value in whole.items() if field not in ("apiVersion", "kind", "metadata")}
            name = release.names.of("rawResource", key, raw)
            yield release.make(str(version), str(kind), name, body, whole.get("metadata") or entry)


def _controller(release: Release, key: str, entry: Mapping[str, Any]) -> Iterator[Manifest]:
    kind = _KINDS.get(str(entry.get("type") or "deployment").lower(), "Deployment")
    name = release.names.of("controller", key, release.controllers)
    version = "batch/v1" if kind in ("CronJob", "Job") else "apps/v1"
    made = release.make(version, kind, name, {"spec": _controller_spec(release, kind, key, entry)}, entry)
    made["metadata"]["labels"].update(release.selector(key))
    yield made
    budget = entry.get("podDisruptionBudget")
    if isinstance(budget, dict) and budget:
        chosen = {field: budget[field] for field in ("minAvailable", "maxUnavailable") if budget.get(field)}
        spec = {"selector": {"matchLabels": release.selector(key)}, **chosen}
        yield release.make("policy/v1", "PodDisruptionBudget", name, {"spec": spec})
    scaler = entry.get("horizontalPodAutoscaler")
    if isinstance(scaler, dict) and scaler and kind in ("Deployment", "StatefulSet"):
        fields = ("minReplicas", "maxReplicas", "metrics", "behavior")
        spec = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": kind, "name": name}}
        spec |= {field: scaler[field] for field in fields if scaler.get(field) is not None}
        yield release.make("autoscaling/v2", "HorizontalPodAutoscaler", name, {"spec": spec})


def _controller_spec(release: Release, kind: str, key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    pods = template(release, key, entry)
    if kind in ("CronJob", "Job"):
        return _job_spec(kind, entry, pods)
    spec: dict[str, Any] = {"selector": {"matchLabels": release.selector(key)}, "template": pods}
    strategy = entry.get("strategy")
    if kind == "Deployment":
        # ``replicas: null`` leaves the number to an autoscaler.
        if entry.get("replicas", 1) is not None:
            spec["replicas"] = entry.get("replicas", 1)
        spec["strategy"] = {"type": str(strategy or "Recreate")}
        rolling = _rolling(entry.get("rollingUpdate"))
        if strategy == "RollingUpdate" and rolling:
            spec["strategy"]["rollingUpdate"] = rolling
    elif kind == "StatefulSet":
        spec["replicas"] = entry["replicas"] if entry.get("replicas") is not None else 1
        spec["updateStrategy"] = {"type": str(strategy or "RollingUpdate")}
        spec["podManagementPolicy"] = str(dig(entry, "statefulset", "podManagementPolicy") or "OrderedReady")
        spec["serviceName"] = _governing(release, dig(entry, "statefulset", "serviceName"))
        templates = dig(entry, "statefulset", "volumeClaimTemplates") or []
        if templates:
            spec["volumeClaimTemplates"] = [
                {"metadata": {"name": item.get("name")}, "spec": parts.claim_spec(claim_fields(item))}
                for item in templates
                if isinstance(item, dict)
            ]
    return spec


def _governing(release: Release, given: Any) -> str:
    """The Service of a StatefulSet's pods: as named, by identifier, else the release's full name."""
    if isinstance(dig(given, "identifier"), str):
        return release.names.of("service", given["identifier"], release.services)
    return str(release.scope.expand(given)) if isinstance(given, str) and given else release.names.fullname


def _rolling(given: Any) -> dict[str, Any]:
    settings = given if isinstance(given, dict) else {}
    found: dict[str, Any] = {}
    for field, short in (("maxUnavailable", "unavailable"), ("maxSurge", "surge")):
        value = settings.get(field, settings.get(short))
        if value is not None:
            found[field] = value
    return found


def _job_spec(kind: str, entry: Mapping[str, Any], pods: dict[str, Any]) -> dict[str, Any]:
    settings = dict(entry.get("cronjob" if kind == "CronJob" else "job") or {})
    pods["spec"].setdefault("restartPolicy", "Never")
    inner: dict[str, Any] = {"template": pods, "backoffLimit": settings.get("backoffLimit", 6)}
    for field in ("parallelism", "completions", "ttlSecondsAfterFinished", "activeDeadlineSeconds"):
        if settings.get(field):
            inner[field] = settings[field]
    if kind == "Job":
        return {**inner, "suspend": bool(settings.get("suspend"))}
    zone = {"timeZone": settings["timeZone"]} if settings.get("timeZone") else {}
    return {
        "schedule": str(settings.get("schedule") or "*/20 * * * *"),
        "suspend": bool(settings.get("suspend")),
        "concurrencyPolicy": str(settings.get("concurrencyPolicy") or "Forbid"),
        **zone,
        "jobTemplate": {"spec": inner},
    }


def _service(release: Release, key: str, entry: Mapping[str, Any]) -> Manifest | None:
    ports = list(_service_ports(enabled(entry.get("ports"))))
    external = entry.get("type") == "ExternalName"
    if not ports and not external:
        return None
    spec: dict[str, Any] = {"type": str(entry.get("type") or "ClusterIP"), "ports": ports}
    extra = release.scope.expand(entry.get("extraSelectorLabels") or {})
    spec["selector"] = {**release.selector(release.controller_of(entry)), **extra}
    spec.update({field: entry[field] for field in _SERVICE_FIELDS if entry.get(field)})
    name = release.names.of("service", key, release.services)
    made = release.make("v1", "Service", name, {"spec": spec}, entry)
    made["metadata"]["labels"]["app.kubernetes.io/service"] = name
    return made


def _service_ports(ports: Entries) -> Iterator[dict[str, Any]]:
    for name, port in sorted(ports.items()):
        span = port.get("portRange")
        if isinstance(span, dict) and not port.get("port"):
            for value in range(int(span["start"]), int(span["end"]) + 1):
                yield {"name": f"{name}-{value}", "port": value, "targetPort": value, "protocol": protocol(port)}
            continue
        if port.get("port") in (None, ""):
            continue
        target = number(port.get("targetPort") or port["port"])
        fields = {"port": port["port"], "targetPort": target, "protocol": protocol(port)}
        made = parts.service_port(name, {**fields, "nodePort": port.get("nodePort")})
        yield {**made, "appProtocol": port["appProtocol"]} if port.get("appProtocol") else made


def _ingress(release: Release, name: str, entry: Mapping[str, Any]) -> Manifest:
    rules = []
    for host in entry.get("hosts") or []:
        paths = []
        for path in host.get("paths") or []:
            service, port = release.service_named(path.get("service"))
            backend = {"name": service, "port": {"number": port} if isinstance(port, int) else {"name": port}}
            kind = path.get("pathType") or "Prefix"
            paths.append({"path": path.get("path"), "pathType": kind, "backend": {"service": backend}})
        rules.append({"host": host.get("host"), "http": {"paths": paths}})
    spec: dict[str, Any] = {"rules": rules}
    if entry.get("defaultBackend"):
        spec = {"defaultBackend": entry["defaultBackend"]}
    if entry.get("className"):
        spec["ingressClassName"] = entry["className"]
    if entry.get("tls"):
        spec["tls"] = entry["tls"]
    return release.make("networking.k8s.io/v1", "Ingress", name, {"spec": spec}, entry)


def _route(release: Release, name: str, entry: Mapping[str, Any]) -> Manifest:
    """A Gateway API route; without rules it leads to the only service, a rule without backends to none."""
    kind = str(entry.get("kind") or "HTTPRoute")
    rules = []
    for rule in entry.get("rules") or [{"backendRefs": [{}]}]:
        references = []
        for reference in rule.get("backendRefs") or []:
            service, port = release.service_named(reference)
            extra = {field: reference[field] for field in ("namespace", "weight") if reference.get(field) is not None}
            references.append({"name": service, "port": port, **extra})
        made = {field: rule[field] for field in ("matches", "filters", "timeouts") if rule.get(field)}
        rules.append({**made, "backendRefs": references})
    parents = [parent for parent in entry.get("parentRefs") or [] if isinstance(parent, dict)]
    spec: dict[str, Any] = {"parentRefs": parents, "rules": rules}
    if entry.get("hostnames") and kind not in ("TCPRoute", "UDPRoute"):
        spec["hostnames"] = entry["hostnames"]
    version = "v1" if kind in ("HTTPRoute", "GRPCRoute") else "v1alpha2"
    return release.make(f"gateway.networking.k8s.io/{version}", kind, name, {"spec": spec}, entry)


def _monitor(release: Release, name: str, entry: Mapping[str, Any]) -> Manifest:
    """A ServiceMonitor of the service that it names (version 2: of the release's) in the release's namespace."""
    service = str(release.scope.expand(entry.get("serviceName") or ""))
    if not service or "{{" in service:
        service = release.names.fullname if release.major < 3 else release.service_named(entry.get("service"))[0]
    chosen = entry.get("selector") or {"matchLabels": {**release.labels(), "app.kubernetes.io/service": service}}
    spec: dict[str, Any] = {"selector": chosen, "endpoints": entry.get("endpoints") or []}
    return release.make("monitoring.coreos.com/v1", "ServiceMonitor", name, {"spec": spec}, entry)


def _policy(release: Release, name: str, entry: Mapping[str, Any]) -> Manifest:
    chosen = entry.get("podSelector")
    if not isinstance(chosen, dict):
        chosen = {"matchLabels": release.selector(release.controller_of(entry))}
    rules = entry.get("rules") or {}
    spec: dict[str, Any] = {"podSelector": chosen, "policyTypes": entry.get("policyTypes") or ["Ingress", "Egress"]}
    spec |= {field: rules[field] for field in ("ingress", "egress") if rules.get(field)}
    return release.make("networking.k8s.io/v1", "NetworkPolicy", name, {"spec": spec}, entry)
