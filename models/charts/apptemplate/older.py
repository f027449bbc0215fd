"""Values of the bjw-s common library's other major versions, in the form of the third.

Version 2 put ``main`` objects into its own ``values.yaml``; version 1 had one controller, whose container stood at the
top of the values, and nothing but the controller, its service and its container's ports and probes was on unless
enabled. Since version 3 probes are off unless enabled.
Sources: ``charts/library/common/values.yaml`` and ``docs/app-template/upgrade-instructions.md`` of bjw-s/helm-charts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.charts.apptemplate.names import enabled
from models.charts.scope import merge_values
from models.objects import dig

_OFF: dict[str, Any] = {"enabled": False}
_USUAL = {"enabled": True, "type": "TCP", "spec": {"failureThreshold": 3, "timeoutSeconds": 1, "periodSeconds": 10}}
_STARTUP = {"enabled": True, "type": "TCP", "spec": {"failureThreshold": 30, "timeoutSeconds": 1, "periodSeconds": 5}}
_PROBES = {"liveness": _USUAL, "readiness": _USUAL, "startup": _STARTUP}
_PORT = {"primary": True, "protocol": "HTTP"}
_SECOND: dict[str, Any] = {
    "controllers": {"main": {"enabled": True, "containers": {"main": {"probes": _PROBES}}}},
    "service": {"main": {"enabled": True, "primary": True, "controller": "main", "ports": {"http": _PORT}}},
    "serviceMonitor": {"main": _OFF},
    "ingress": {"main": {**_OFF, "primary": True}},
    "route": {"main": _OFF},
    "persistence": {"config": {**_OFF, "accessMode": "ReadWriteOnce", "size": "1Gi"}},
    "configMaps": {"config": _OFF},
    "secrets": {"secret": _OFF},
}
_POD = (
    "affinity",
    "automountServiceAccountToken",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostname",
    "imagePullSecrets",
    "nodeSelector",
    "priorityClassName",
    "runtimeClassName",
    "schedulerName",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
)
_CONTAINER = (
    "image",
    "command",
    "args",
    "env",
    "envFrom",
    "resources",
    "securityContext",
    "lifecycle",
    "workingDir",
    "probes",
)
_SWITCHED = ("ingress", "route", "persistence", "configMaps", "serviceMonitor", "secrets", "service")


def modern(values: Mapping[str, Any], major: int, release: str) -> dict[str, Any]:
    """``values`` as version 3 would have them, with what the version's own values add.

    Version 5 makes a service account named after the release unless there is one or ``global`` says otherwise.
    """
    wanted = dig(values, "global", "createDefaultServiceAccount", default=True)
    if major >= 5 and "serviceAccount" not in values and wanted is not False:
        return {**values, "serviceAccount": {release: {}}}
    if major >= 3:
        return dict(values)
    return merge_values(_SECOND, values if major == 2 else _from_first(values))


def _from_first(values: Mapping[str, Any]) -> dict[str, Any]:
    container = {key: values[key] for key in _CONTAINER if key in values}
    pod = {key: values[key] for key in _POD if key in values}
    for ours, theirs in (("securityContext", "podSecurityContext"), ("labels", "podLabels")):
        if values.get(theirs):
            pod[ours] = values[theirs]
    if values.get("podAnnotations"):
        pod["annotations"] = values["podAnnotations"]
    given = values.get("controller")
    controller: dict[str, Any] = dict(given) if isinstance(given, dict) else {}
    controller["pod"] = pod
    controller["containers"] = {
        "main": container,
        **_raw(values.get("sidecars")),
        **_raw(values.get("additionalContainers")),
    }
    controller["initContainers"] = _raw(values.get("initContainers"))
    templates = [item for item in values.get("volumeClaimTemplates") or [] if isinstance(item, dict)]
    if templates:
        controller["statefulset"] = {"volumeClaimTemplates": [{**item, **_mounts(item)} for item in templates]}
    kept = {key: values[key] for key in ("global", "nameOverride", "fullnameOverride", *_SWITCHED) if key in values}
    for kind in _SWITCHED[:-1]:
        kept[kind] = {key: {**_OFF, **item} for key, item in (kept.get(kind) or {}).items() if isinstance(item, dict)}
    services = kept.get("service")
    kept["service"] = {
        key: item if key == "main" else {**_OFF, **item}
        for key, item in (services if isinstance(services, dict) else {}).items()
        if isinstance(item, dict)
    }
    kept["persistence"] = {key: {**item, **_mounts(item)} for key, item in kept["persistence"].items()}
    kept["ingress"] = {
        key: {**item, "className": item.get("ingressClassName") or item.get("className")}
        for key, item in kept["ingress"].items()
    }
    kept["controllers"] = {"main": controller}
    return kept


def _raw(containers: Any) -> dict[str, Any]:
    """Containers that version 1 took as Kubernetes has them, and to which it added nothing but the name."""
    return {key: {**item, "raw": True} for key, item in enabled(containers).items()}


def _mounts(item: Mapping[str, Any]) -> dict[str, Any]:
    """``mountPath`` and ``subPath`` (a text or a list of path and mountPath) of version 1 as ``globalMounts``."""
    path = item.get("mountPath")
    if path == "-":
        return {"globalMounts": [{"path": None}]}
    below = item.get("subPath")
    if isinstance(below, list):
        places = [entry for entry in below if isinstance(entry, dict)]
        return {"globalMounts": [{"path": place.get("mountPath"), "subPath": place.get("path")} for place in places]}
    mount = {"path": path, "subPath": below, "readOnly": item.get("readOnly")}
    found = {key: value for key, value in mount.items() if value is not None}
    return {"globalMounts": [found]} if found else {}
