"""The parts that chart models are made of, as manifests: workloads, services, claims, ingresses, monitors.

A model states what a chart's templates would state; here it becomes the same objects in Kubernetes' form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from models.charts.scope import Scope
from models.objects import Manifest, dig

POD_FIELDS = (
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "priorityClassName",
    "runtimeClassName",
    "hostNetwork",
    "dnsPolicy",
    "terminationGracePeriodSeconds",
    "schedulerName",
)
_STRATEGY = {"Deployment": "strategy", "StatefulSet": "updateStrategy", "DaemonSet": "updateStrategy"}


def metadata(scope: Scope, name: Any, labels: Mapping[str, Any], annotations: Any = None) -> dict[str, Any]:
    """``metadata`` of an object of the release, with its namespace when the release has one."""
    result: dict[str, Any] = {"name": str(name)}
    if scope.facts.get("namespace"):
        result["namespace"] = scope.facts["namespace"]
    if labels:
        result["labels"] = _texts(labels)
    if annotations:
        result["annotations"] = _texts(annotations)
    return result


def selector_labels(scope: Scope, part: Mapping[str, Any]) -> dict[str, Any]:
    """The labels by which a part's pods are selected: as stated, or name, instance and component."""
    if isinstance(part.get("selector"), Mapping):
        return dict(part["selector"])
    labels = {"app.kubernetes.io/name": scope.facts["name"], "app.kubernetes.io/instance": scope.facts["release"]}
    if part.get("component"):
        labels["app.kubernetes.io/component"] = part["component"]
    return labels


def workload(scope: Scope, part: Mapping[str, Any]) -> Manifest:
    """A Deployment, StatefulSet, DaemonSet, Job or CronJob."""
    kind, chosen = str(part["workload"]), selector_labels(scope, part)
    labels = {**chosen, **_common(scope), **(part.get("labels") or {})}
    template = {"metadata": _pod_metadata(scope, part, chosen), "spec": _pod_spec(scope, part)}
    spec: dict[str, Any] = {}
    if kind in ("Job", "CronJob"):
        template["spec"].setdefault("restartPolicy", "OnFailure")
        spec = {"template": template, **(part.get("job") or {})}
        if kind == "CronJob":
            spec = {"schedule": str(part.get("schedule") or ""), "jobTemplate": {"spec": spec}}
            if part.get("concurrency"):
                spec["concurrencyPolicy"] = part["concurrency"]
    else:
        if kind != "DaemonSet":
            spec["replicas"] = part.get("replicas", 1)
        spec["selector"] = {"matchLabels": _texts(chosen)}
        spec["template"] = template
        strategy = part.get("strategy")
        if strategy:
            spec[_STRATEGY[kind]] = {"type": strategy} if isinstance(strategy, str) else strategy
        if kind == "StatefulSet":
            spec["serviceName"] = str(part.get("serviceName") or part["name"])
            claims = part.get("claims") or {}
            if claims:
                spec["volumeClaimTemplates"] = [
                    {"metadata": {"name": name}, "spec": claim_spec(entry)} for name, entry in claims.items()
                ]
    return {
        "apiVersion": "batch/v1" if kind in ("Job", "CronJob") else "apps/v1",
        "kind": kind,
        "metadata": metadata(scope, part["name"], labels),
        "spec": spec,
    }


def _common(scope: Scope) -> dict[str, Any]:
    return {"app.kubernetes.io/managed-by": "Helm", **(scope.get("commonLabels") or {})}


def _texts(labels: Mapping[str, Any]) -> dict[str, str]:
    return {key: _scalar(value) for key, value in labels.items()}


def _places(scope: Scope, part: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The maps of values that hold the pod's fields, most general first."""
    at = part.get("at", "")
    found = [scope.get(path) if path else scope.values for path in (at if isinstance(at, list) else [at])]
    return [entry for entry in found if isinstance(entry, Mapping)]


def _pod_metadata(scope: Scope, part: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    labels, annotations = dict(chosen), dict(part.get("podAnnotations") or {})
    labels.update(part.get("podLabels") or {})
    for place in _places(scope, part):
        labels.update(place.get("podLabels") or {})
        annotations.update(place.get("podAnnotations") or {})
    result: dict[str, Any] = {"labels": _texts(labels)}
    if annotations:
        result["annotations"] = _texts(annotations)
    return result


def _pod_spec(scope: Scope, part: Mapping[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    for place in _places(scope, part):
        spec.update({key: place[key] for key in POD_FIELDS if place.get(key) not in (None, "", {}, [])})
    spec.update(part.get("pod") or {})
    spec["containers"] = [_container(name, entry) for name, entry in (part.get("containers") or {}).items()]
    spec["containers"] += _list(part.get("extraContainers"))
    initial = [_container(name, entry) for name, entry in (part.get("init") or {}).items()]
    initial += _list(part.get("extraInit"))
    if initial:
        spec["initContainers"] = initial
    volumes = [{"name": name.rstrip("-"), **_volume(entry)} for name, entry in (part.get("volumes") or {}).items()]
    volumes += _list(part.get("extraVolumes"))
    if volumes:
        spec["volumes"] = volumes
    return spec


def _list(value: Any) -> list[Any]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _volume(entry: Mapping[str, Any]) -> dict[str, Any]:
    if "claim" in entry:
        return {"persistentVolumeClaim": {"claimName": str(entry["claim"])}}
    return dict(entry) or {"emptyDir": {}}


def _container(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    special = ("image", "ports", "morePorts", "mounts", "extraMounts", "env", "extraEnv")
    result: dict[str, Any] = {"name": name, "image": image(entry.get("image"))}
    result.update({key: value for key, value in entry.items() if key not in special and value not in ({}, [])})
    ports = {**(entry.get("ports") or {}), **(entry.get("morePorts") or {})}
    if ports:
        result["ports"] = [_container_port(key, value) for key, value in ports.items()]
    variables = [*environment(entry.get("env")), *environment(entry.get("extraEnv"))]
    if variables:
        result["env"] = variables
    mounts = [{"name": volume, "mountPath": path} for volume, path in (entry.get("mounts") or {}).items()]
    mounts += _list(entry.get("extraMounts"))
    if mounts:
        result["volumeMounts"] = mounts
    return result


def _container_port(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {"name": name, **value}
    return {"name": name, "containerPort": int(value), "protocol": "TCP"}


def environment(value: Any) -> list[dict[str, Any]]:
    """``env`` from a list or from a map of name to text, number or source, as charts accept it."""
    if isinstance(value, list):
        return [item for item in value if isinstance(item, dict) and item.get("name")]
    if not isinstance(value, Mapping):
        return []
    result: list[dict[str, Any]] = []
    for name, entry in value.items():
        if isinstance(entry, Mapping):
            plain = "value" in entry or "valueFrom" in entry
            fields = {key: entry[key] for key in ("value", "valueFrom") if key in entry}
            if "value" in fields:
                fields["value"] = _scalar(fields["value"])
            result.append({"name": name, **fields} if plain else {"name": name, "valueFrom": dict(entry)})
        elif entry is not None:
            result.append({"name": name, "value": _scalar(entry)})
    return result


def _scalar(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def image(value: Any) -> str:
    """An image reference from a text or from a map of registry, repository, tag and digest."""
    if not isinstance(value, Mapping):
        return str(value or "")
    name = str(value.get("repository") or value.get("name") or "")
    if value.get("registry"):
        name = f"{value['registry']}/{name}"
    if value.get("tag"):
        name = f"{name}:{value['tag']}"
    digest = str(value.get("digest") or value.get("sha") or "")
    if digest:
        name = f"{name}@{digest if ':' in digest else 'sha256:' + digest}"
    return name


def service(scope: Scope, part: Mapping[str, Any]) -> Manifest:
    """A Service; ``ports`` maps a name to a number or to port, targetPort, protocol and nodePort."""
    spec: dict[str, Any] = {"type": str(part.get("type") or "ClusterIP")}
    if part.get("headless"):
        spec["clusterIP"] = "None"
    ports = {**(part.get("ports") or {}), **(part.get("morePorts") or {})}
    spec["ports"] = [service_port(name, value) for name, value in ports.items()]
    spec["selector"] = _texts(selector_labels(scope, part))
    spec.update(part.get("spec") or {})
    labels = {**selector_labels(scope, {**part, "selector": None}), **_common(scope), **(part.get("labels") or {})}
    if isinstance(part.get("selector"), Mapping) and not part.get("labels"):
        labels = {**part["selector"], **_common(scope)}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(scope, part["service"], labels, part.get("annotations")),
        "spec": spec,
    }


def service_port(name: str, value: Any) -> dict[str, Any]:
    """One port of a Service; the target is the container's port of that name unless it is stated."""
    entry = dict(value) if isinstance(value, Mapping) else {"port": value}
    result: dict[str, Any] = {"name": name, "port": int(entry["port"]), "targetPort": entry.get("targetPort", name)}
    result["protocol"] = str(entry.get("protocol") or "TCP")
    if entry.get("nodePort"):
        result["nodePort"] = int(entry["nodePort"])
    return result


def claim_spec(entry: Mapping[str, Any]) -> dict[str, Any]:
    """``spec`` of a claim from size, class and modes."""
    modes = entry.get("modes") or ["ReadWriteOnce"]
    spec: dict[str, Any] = {
        "accessModes": modes if isinstance(modes, list) else [modes],
        "resources": {"requests": {"storage": str(entry.get("size") or "1Gi")}},
    }
    storage_class = entry.get("class")
    if storage_class:
        spec["storageClassName"] = "" if storage_class == "-" else str(storage_class)
    return spec


def claim(scope: Scope, part: Mapping[str, Any]) -> Manifest:
    """A PersistentVolumeClaim."""
    labels = {**selector_labels(scope, part), **_common(scope)}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata(scope, part["claim"], labels),
        "spec": claim_spec(part),
    }


def ingress(scope: Scope, part: Mapping[str, Any]) -> Manifest | None:
    """An Ingress from the usual block of values: enabled, className, annotations, hosts or hostname, path, tls."""
    values = scope.get(str(part["ingress"]))
    if not isinstance(values, Mapping) or not values.get("enabled"):
        return None
    rules = []
    hosts = values.get("hosts") or values.get("hostname") or values.get("host") or values.get("domain")
    hosts = hosts or part.get("host")
    for host in hosts if isinstance(hosts, list) else [hosts]:
        rule = _rule(scope.expand(host), values, part)
        if rule:
            rules.append(rule)
    spec: dict[str, Any] = {"rules": rules}
    name = values.get("className") or values.get("ingressClassName") or values.get("class")
    if name:
        spec["ingressClassName"] = str(name)
    if isinstance(values.get("tls"), list) and values["tls"]:
        spec["tls"] = scope.expand(values["tls"])
    labels = {**selector_labels(scope, part), **_common(scope)}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata(scope, part.get("name") or scope.facts["fullname"], labels, values.get("annotations")),
        "spec": spec,
    }


def _rule(host: Any, values: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """One rule; a host is a text or a map of host and paths, a path a text or a map of path and pathType."""
    name = host.get("host") or host.get("name") if isinstance(host, Mapping) else host
    paths = (host.get("paths") or host.get("path")) if isinstance(host, Mapping) else None
    paths = paths or values.get("paths") or values.get("path") or "/"
    backend = {"service": {"name": str(part["service"]), "port": _backend_port(part["port"])}}
    entries = []
    for path in paths if isinstance(paths, list) else [paths]:
        text = path.get("path", "/") if isinstance(path, Mapping) else path
        kind = dig(path, "pathType") or values.get("pathType") or "Prefix"
        entries.append({"path": str(text), "pathType": str(kind), "backend": backend})
    rule: dict[str, Any] = {"http": {"paths": entries}}
    if name:
        rule["host"] = str(name)
    return rule


def _backend_port(port: Any) -> dict[str, Any]:
    return {"name": port} if isinstance(port, str) and not port.isdigit() else {"number": int(port)}


def routes(scope: Scope, part: Mapping[str, Any]) -> Iterator[Manifest]:
    """HTTPRoutes from the usual map of values: name to enabled, kind, hostnames, parentRefs, matches, filters.

    ``main`` has the part's own name, another its key after it. Source: ``templates/route.yaml`` of the charts grafana
    and kube-prometheus-stack, from which others have it.
    """
    values = scope.get(str(part["routes"]))
    for key, entry in values.items() if isinstance(values, dict) else ():
        if not isinstance(entry, dict) or not entry.get("enabled"):
            continue
        name = str(part.get("name") or scope.facts["fullname"])
        rules = _list(entry.get("additionalRules"))
        target = {"name": str(part["service"]), "port": int(part["port"])}
        if entry.get("httpsRedirect"):
            redirect = {"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}
            rules.append({"filters": [redirect]})
        else:
            rule = {field: entry[field] for field in ("matches", "filters") if entry.get(field)}
            rules.append({"backendRefs": [target], **rule})
        spec = {"parentRefs": entry.get("parentRefs") or [], "hostnames": entry.get("hostnames") or [], "rules": rules}
        labels = {**selector_labels(scope, part), **_common(scope), **(entry.get("labels") or {})}
        yield {
            "apiVersion": str(entry.get("apiVersion") or "gateway.networking.k8s.io/v1"),
            "kind": str(entry.get("kind") or "HTTPRoute"),
            "metadata": metadata(scope, name if key == "main" else f"{name}-{key}", labels, entry.get("annotations")),
            "spec": spec,
        }


def monitor(scope: Scope, part: Mapping[str, Any]) -> Manifest:
    """A ServiceMonitor (or PodMonitor) that selects the release's Services (pods) by their labels."""
    kind = str(part.get("kind") or "ServiceMonitor")
    labels = {**selector_labels(scope, part), **_common(scope), **(part.get("labels") or {})}
    endpoints = [{"port": port} if isinstance(port, str) else port for port in part.get("ports") or []]
    spec: dict[str, Any] = {
        "selector": {"matchLabels": _texts(selector_labels(scope, part))},
        "podMetricsEndpoints" if kind == "PodMonitor" else "endpoints": endpoints,
    }
    if part.get("inNamespace"):
        spec["namespaceSelector"] = {"matchNames": [part["inNamespace"]]}
    name = part.get("monitor") or scope.facts["fullname"]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": kind,
        "metadata": metadata(scope, name, labels),
        "spec": spec,
    }
