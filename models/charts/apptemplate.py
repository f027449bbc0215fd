"""The bjw-s common library (chart app-template): controllers, services, persistence, ingresses and routes.

Names and labels follow the library's ``templates/lib`` of major versions 3 and 4: a resource takes the release's full
name when it is the only enabled one of its type, and the full name with its identifier otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from models.charts import parts
from models.charts.scope import Scope, merge_values
from models.objects import Manifest, dig

_KINDS = {
    "deployment": "Deployment",
    "statefulset": "StatefulSet",
    "daemonset": "DaemonSet",
    "cronjob": "CronJob",
    "job": "Job",
}
_POD_OPTIONS = (
    *parts.POD_FIELDS,
    "dnsConfig",
    "hostPID",
    "hostIPC",
    "hostname",
    "hostUsers",
    "restartPolicy",
    "securityContext",
    "shareProcessNamespace",
    "imagePullSecrets",
)
_PASSED = ("command", "args", "envFrom", "resources", "securityContext", "workingDir", "lifecycle", "restartPolicy")


def objects(scope: Scope, part: Mapping[str, Any]) -> Iterator[Manifest]:
    """The objects of one use of the library.

    ``part["app-template"]`` names the map of values ("" for all of them); ``merge`` lays that map over all the values,
    as charts that use the library once per component do; ``name`` is the component, ``hard`` what the chart fixes.
    """
    path = str(part["app-template"])
    values: dict[str, Any] = dict(scope.values)
    own = scope.get(path) if path else None
    if part.get("merge"):
        values = merge_values(values, own if isinstance(own, dict) else {})
        # What the chart itself fixes gives way to what the values say.
        values = merge_values(scope.fill(part.get("hard") or {}), values)
    elif isinstance(own, dict):
        values = own
    release = str(scope.facts["release"])
    override = dig(values, "global", "fullnameOverride") or values.get("fullnameOverride")
    name = str(scope.fill(part.get("name") or "${.release}"))
    name = str(dig(values, "global", "nameOverride") or name) if not part.get("name") else name
    name = str(scope.expand(name))
    fullname = str(override or (release if name in release else f"{release}-{name}"))
    yield from _Library(scope.with_facts(name=name, fullname=str(scope.expand(fullname))), values).objects()


class _Library:
    """One rendering of the library."""

    def __init__(self, scope: Scope, values: Mapping[str, Any]) -> None:
        self.scope, self.values = Scope(values, scope.facts), values
        self.controllers = _enabled(values.get("controllers"))
        self.services = _enabled(values.get("service"))
        self.persistence = _enabled(values.get("persistence"))
        self.major = int(str(scope.facts.get("version") or "4").lstrip("v").partition(".")[0] or 4)

    def objects(self) -> Iterator[Manifest]:
        for key, entry in self.controllers.items():
            yield self._controller(key, entry)
        for key, entry in self.services.items():
            yield self._service(key, entry)
        claims = {
            key: entry
            for key, entry in self.persistence.items()
            if str(entry.get("type") or "persistentVolumeClaim") == "persistentVolumeClaim"
            and not entry.get("existingClaim")
        }
        for key, entry in claims.items():
            yield self._claim(key, entry, claims)
        maps = _enabled(self.values.get("configMaps"))
        for key, entry in maps.items():
            yield self._make("v1", "ConfigMap", self._name(key, entry, maps), {"data": entry.get("data") or {}})
        for kind, group in (("ingress", self._ingress), ("route", self._route), ("serviceMonitor", self._monitor)):
            several = _enabled(self.values.get(kind))
            for key, entry in several.items():
                yield group(key, entry, several)
        for key, entry in _enabled(self.values.get("rawResources")).items():
            if entry.get("apiVersion") and entry.get("kind"):
                body = entry.get("manifest") or {field: entry[field] for field in ("spec", "data") if field in entry}
                name = self._name(key, entry, _enabled(self.values.get("rawResources")))
                yield self._make(str(entry["apiVersion"]), str(entry["kind"]), name, body)

    def _name(self, key: str, entry: Mapping[str, Any], several: Mapping[str, Any]) -> str:
        fullname = str(self.scope.facts["fullname"])
        if entry.get("forceRename"):
            return str(self.scope.expand(entry["forceRename"]))
        if entry.get("nameOverride"):
            return f"{fullname}-{self.scope.expand(entry['nameOverride'])}"
        if entry.get("suffix"):
            return f"{fullname}-{self.scope.expand(entry['suffix'])}"
        primary = self.major < 3 and key == "main"
        return fullname if len(several) == 1 or primary else f"{fullname}-{key}"

    def _labels(self) -> dict[str, str]:
        facts = self.scope.facts
        return {"app.kubernetes.io/name": str(facts["name"]), "app.kubernetes.io/instance": str(facts["release"])}

    def _selector(self, controller: str) -> dict[str, str]:
        key = "controller" if self.major >= 4 else "component"
        return {**self._labels(), f"app.kubernetes.io/{key}": controller}

    def _make(
        self, version: str, kind: str, name: str, body: Mapping[str, Any], entry: Mapping[str, Any] | None = None
    ) -> Manifest:
        labels = {**self._labels(), **((entry or {}).get("labels") or {})}
        meta = parts.metadata(self.scope, name, labels, (entry or {}).get("annotations"))
        made: Manifest = self.scope.expand({"apiVersion": version, "kind": kind, "metadata": meta, **body})
        return made

    def _controller(self, key: str, entry: Mapping[str, Any]) -> Manifest:
        kind = _KINDS.get(str(entry.get("type") or "deployment").lower(), "Deployment")
        chosen = self._selector(key)
        options = merge_values(self.values.get("defaultPodOptions") or {}, entry.get("pod") or {})
        containers = self._containers(key, entry, "containers")
        pod: dict[str, Any] = {name: options[name] for name in _POD_OPTIONS if options.get(name) not in (None, {}, [])}
        pod["containers"] = containers
        initial = self._containers(key, entry, "initContainers")
        if initial:
            pod["initContainers"] = initial
        volumes = [self._volume(name, item) for name, item in self._mounted(key)]
        if volumes:
            pod["volumes"] = volumes
        service_account = dig(entry, "serviceAccount", "name")
        if service_account:
            pod["serviceAccountName"] = service_account
        template = {
            "metadata": {
                "labels": {**chosen, **(options.get("labels") or {}), **(entry.get("podLabels") or {})},
                "annotations": {**(options.get("annotations") or {}), **(entry.get("podAnnotations") or {})},
            },
            "spec": pod,
        }
        version = "batch/v1" if kind in ("CronJob", "Job") else "apps/v1"
        spec = self._controller_spec(kind, key, entry, template)
        made = self._make(version, kind, self._name(key, entry, self.controllers), {"spec": spec}, entry)
        made["metadata"]["labels"].update(chosen)
        return made

    def _controller_spec(
        self, kind: str, key: str, entry: Mapping[str, Any], template: dict[str, Any]
    ) -> dict[str, Any]:
        if kind in ("CronJob", "Job"):
            settings = dict(entry.get("cronjob" if kind == "CronJob" else "job") or {})
            template["spec"].setdefault("restartPolicy", "Never")
            inner: dict[str, Any] = {"template": template}
            for field in ("parallelism", "completions", "backoffLimit", "ttlSecondsAfterFinished"):
                if field in settings:
                    inner[field] = settings[field]
            if kind == "Job":
                return inner
            return {
                "schedule": str(settings.get("schedule") or ""),
                "suspend": bool(settings.get("suspend")),
                "concurrencyPolicy": str(settings.get("concurrencyPolicy") or "Forbid"),
                "jobTemplate": {"spec": inner},
            }
        spec: dict[str, Any] = {"selector": {"matchLabels": self._selector(key)}, "template": template}
        if kind != "DaemonSet" and "replicas" not in entry:
            spec["replicas"] = 1
        elif kind != "DaemonSet" and entry["replicas"] is not None:
            spec["replicas"] = entry["replicas"]
        if kind == "Deployment":
            spec["strategy"] = {"type": str(entry.get("strategy") or "Recreate")}
        if kind == "StatefulSet":
            spec["serviceName"] = str(dig(entry, "statefulset", "serviceName") or self.scope.facts["fullname"])
            templates = dig(entry, "statefulset", "volumeClaimTemplates") or entry.get("volumeClaimTemplates") or []
            spec["volumeClaimTemplates"] = [
                {"metadata": {"name": item.get("name")}, "spec": parts.claim_spec(_claim(item))}
                for item in templates
                if isinstance(item, dict)
            ]
        return spec

    def _containers(self, controller: str, entry: Mapping[str, Any], field: str) -> list[dict[str, Any]]:
        found = _enabled(entry.get(field))
        defaults = merge_values(
            self.values.get("defaultContainerOptions") or {}, entry.get("defaultContainerOptions") or {}
        )
        main = str(self.scope.facts["fullname"])
        made = []
        for key, item in found.items():
            settings = merge_values(defaults, item)
            result: dict[str, Any] = {
                "name": main if key == "main" and field == "containers" else key,
                "image": parts.image(settings.get("image")),
            }
            result.update({name: settings[name] for name in _PASSED if settings.get(name) not in (None, {}, [])})
            for name in ("command", "args"):
                if isinstance(result.get(name), str):
                    result[name] = [result[name]]
            if isinstance(result.get("envFrom"), list):
                result["envFrom"] = [self._source(source) for source in result["envFrom"]]
            variables = parts.environment(settings.get("env"))
            if variables:
                result["env"] = variables
            ports = settings.get("ports") or (self._ports(controller, key) if field == "containers" else [])
            if ports:
                result["ports"] = ports
            mounts = list(self._mounts(controller, key))
            if mounts:
                result["volumeMounts"] = mounts
            made.append(result)
        return made

    def _source(self, source: Any) -> Any:
        """An ``envFrom`` entry; the library also takes a bare ``secret:`` or ``configMap:`` name."""
        if not isinstance(source, dict):
            return source
        for short, long in (("secret", "secretRef"), ("configMap", "configMapRef")):
            if short in source:
                name = source[short]
                return {long: {"name": name if isinstance(name, str) else dig(name, "name", default="")}}
        if isinstance(dig(source, "configMapRef", "identifier"), str):
            maps = _enabled(self.values.get("configMaps"))
            key = source["configMapRef"]["identifier"]
            return {"configMapRef": {"name": self._name(key, maps.get(key, {}), maps)}}
        return source

    def _ports(self, controller: str, container: str) -> list[dict[str, Any]]:
        """What the services of the controller send to it: the ports of its main container."""
        first = next(iter(_enabled(dig(self.controllers, controller, "containers"))), "main")
        if container not in ("main", first) or (container == "main" and first != "main"):
            return []
        found: list[dict[str, Any]] = []
        for entry in self.services.values():
            if self._target(entry) != controller:
                continue
            for name, port in _enabled(entry.get("ports")).items():
                number = port.get("targetPort") or port.get("port")
                if isinstance(number, int):
                    found.append({"name": name, "containerPort": number, "protocol": _protocol(port)})
        return found

    def _target(self, entry: Mapping[str, Any]) -> str:
        return str(entry.get("controller") or next(iter(self.controllers), "main"))

    def _service(self, key: str, entry: Mapping[str, Any]) -> Manifest:
        ports = []
        for name, port in _enabled(entry.get("ports")).items():
            value: dict[str, Any] = {
                "port": port.get("port"),
                "targetPort": port.get("targetPort") or name,
                "protocol": _protocol(port),
                "nodePort": port.get("nodePort"),
            }
            if port.get("targetPort") is None and isinstance(port.get("port"), int):
                value["targetPort"] = port["port"]
            ports.append(parts.service_port(name, value))
        spec: dict[str, Any] = {"type": str(entry.get("type") or "ClusterIP"), "ports": ports}
        selector = dict(self._selector(self._target(entry)))
        spec["selector"] = {**selector, **(entry.get("extraSelectorLabels") or {})}
        for field in ("loadBalancerIP", "clusterIP", "externalIPs", "externalTrafficPolicy", "externalName"):
            if entry.get(field):
                spec[field] = entry[field]
        made = self._make("v1", "Service", self._name(key, entry, self.services), {"spec": spec}, entry)
        made["metadata"]["labels"]["app.kubernetes.io/service"] = made["metadata"]["name"]
        return made

    def _claim_name(self, key: str, entry: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        if self.major >= 4 or entry.get("nameOverride") or entry.get("forceRename"):
            return self._name(key, entry, claims)
        return f"{self.scope.facts['fullname']}-{key}"

    def _claim(self, key: str, entry: Mapping[str, Any], claims: Mapping[str, Any]) -> Manifest:
        name = self._claim_name(key, entry, claims)
        return self._make("v1", "PersistentVolumeClaim", name, {"spec": parts.claim_spec(_claim(entry))}, entry)

    def _mounted(self, controller: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for key, entry in self.persistence.items():
            advanced = entry.get("advancedMounts")
            if not advanced or controller in advanced:
                yield key, entry

    def _volume(self, key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        kind = str(entry.get("type") or "persistentVolumeClaim")
        if kind == "persistentVolumeClaim":
            claims = {
                name: item
                for name, item in self.persistence.items()
                if str(item.get("type") or "persistentVolumeClaim") == kind and not item.get("existingClaim")
            }
            name = entry.get("existingClaim") or self._claim_name(key, entry, claims)
            return {"name": key, "persistentVolumeClaim": {"claimName": str(name)}}
        if kind == "nfs":
            return {"name": key, "nfs": {"server": entry.get("server"), "path": entry.get("path")}}
        if kind == "hostPath":
            return {"name": key, "hostPath": {"path": entry.get("hostPath")}}
        if kind in ("configMap", "secret"):
            name = entry.get("name")
            if not name and entry.get("identifier"):
                several = _enabled(self.values.get(f"{kind}s"))
                name = self._name(str(entry["identifier"]), several.get(str(entry["identifier"]), {}), several)
            return {"name": key, kind: {"name" if kind == "configMap" else "secretName": name}}
        if kind == "custom":
            return {"name": key, **(entry.get("volumeSpec") or {})}
        fields = {"medium": entry.get("medium"), "sizeLimit": entry.get("sizeLimit")}
        return {"name": key, "emptyDir": {name: item for name, item in fields.items() if item}}

    def _mounts(self, controller: str, container: str) -> Iterator[dict[str, Any]]:
        for key, entry in self._mounted(controller):
            advanced = entry.get("advancedMounts")
            if advanced:
                wanted = dig(advanced, controller, container) or []
            else:
                wanted = entry.get("globalMounts") or [{"path": entry.get("mountPath") or f"/{key}"}]
            for mount in wanted if isinstance(wanted, list) else []:
                if isinstance(mount, dict) and mount.get("path"):
                    extra = {name: mount[name] for name in ("subPath", "readOnly") if name in mount}
                    yield {"name": key, "mountPath": mount["path"], **extra}

    def _backend(self, reference: Any) -> tuple[str, Any]:
        """Name and port of the service that a path or a rule points to; the first service when it names none."""
        entry = reference if isinstance(reference, dict) else {}
        if entry.get("name") and entry["name"] not in self.services:
            return str(self.scope.expand(entry["name"])), entry.get("port")
        key = str(entry.get("identifier") or entry.get("name") or next(iter(self.services), ""))
        item = self.services.get(key, {})
        ports = _enabled(item.get("ports"))
        port = entry.get("port")
        if port is None:
            port = next((value.get("port") for value in ports.values()), None)
        elif isinstance(port, str) and port in ports:
            port = ports[port].get("port")
        return self._name(key, item, self.services), port

    def _ingress(self, key: str, entry: Mapping[str, Any], several: Mapping[str, Any]) -> Manifest:
        rules = []
        for host in entry.get("hosts") or []:
            paths = []
            for path in host.get("paths") or []:
                name, port = self._backend(path.get("service"))
                target = {"name": name, "port": {"number": port} if isinstance(port, int) else {"name": port}}
                kind = path.get("pathType") or "Prefix"
                paths.append({"path": path.get("path"), "pathType": kind, "backend": {"service": target}})
            rules.append({"host": host.get("host"), "http": {"paths": paths}})
        spec: dict[str, Any] = {"rules": rules}
        if entry.get("className"):
            spec["ingressClassName"] = entry["className"]
        if entry.get("tls"):
            spec["tls"] = entry["tls"]
        name = self._name(key, entry, several)
        return self._make("networking.k8s.io/v1", "Ingress", name, {"spec": spec}, entry)

    def _route(self, key: str, entry: Mapping[str, Any], several: Mapping[str, Any]) -> Manifest:
        kind = str(entry.get("kind") or "HTTPRoute")
        rules = []
        for rule in entry.get("rules") or [{}]:
            references = []
            for reference in rule.get("backendRefs") or [{}]:
                name, port = self._backend(reference)
                references.append({"name": name, "port": port})
            made = {field: rule[field] for field in ("matches", "filters", "timeouts") if rule.get(field)}
            rules.append({**made, "backendRefs": references})
        spec: dict[str, Any] = {"parentRefs": entry.get("parentRefs") or [], "rules": rules}
        if entry.get("hostnames"):
            spec["hostnames"] = entry["hostnames"]
        version = "v1" if kind in ("HTTPRoute", "GRPCRoute") else "v1alpha2"
        api = f"gateway.networking.k8s.io/{version}"
        return self._make(api, kind, self._name(key, entry, several), {"spec": spec}, entry)

    def _monitor(self, key: str, entry: Mapping[str, Any], several: Mapping[str, Any]) -> Manifest:
        name, _ = self._backend(entry.get("service") or {})
        labels = {**self._labels(), "app.kubernetes.io/service": str(entry.get("serviceName") or name)}
        spec = {"selector": {"matchLabels": labels}, "endpoints": entry.get("endpoints") or []}
        api = "monitoring.coreos.com/v1"
        return self._make(api, "ServiceMonitor", self._name(key, entry, several), {"spec": spec}, entry)


def _protocol(port: Mapping[str, Any]) -> str:
    """HTTP and HTTPS are the library's words for TCP."""
    protocol = str(port.get("protocol") or "TCP").upper()
    return "TCP" if protocol in ("HTTP", "HTTPS") else protocol


def _claim(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "size": entry.get("size"),
        "class": entry.get("storageClass") or entry.get("storageClassName"),
        "modes": entry.get("accessMode") or entry.get("accessModes"),
    }


def _enabled(value: Any) -> dict[str, dict[str, Any]]:
    """The entries of a map of resources that are not switched off."""
    if not isinstance(value, dict):
        return {}
    return {
        str(key): item
        for key, item in value.items()
        if isinstance(item, dict) and item.get("enabled", True) is not False
    }
