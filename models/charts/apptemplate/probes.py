"""The probes of a bjw-s common library container (``lib/container/fields/_probes.tpl``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.charts.apptemplate.names import enabled, primary
from models.charts.apptemplate.release import Release, number

_TIMES = ("initialDelaySeconds", "failureThreshold", "timeoutSeconds", "periodSeconds")


def probes(release: Release, controller: str, given: Any) -> dict[str, Any]:
    """``livenessProbe``, ``readinessProbe`` and ``startupProbe``: those that say ``enabled``.

    A ``custom`` probe is its ``spec``; another one asks the port it names, else the first port of the controller's
    service, and is left out when there is neither.
    """
    made: dict[str, Any] = {}
    for name, entry in (given if isinstance(given, dict) else {}).items():
        if not isinstance(entry, dict) or not entry.get("enabled"):
            continue
        spec = entry.get("spec") if isinstance(entry.get("spec"), dict) else {}
        made[f"{name}Probe"] = (
            release.scope.expand(spec) if entry.get("custom") else _usual(release, controller, entry, spec or {})
        )
    return {name: probe for name, probe in made.items() if probe}


def _usual(release: Release, controller: str, entry: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    times = {field: spec[field] for field in _TIMES if spec.get(field) is not None}
    port = _port(release, controller)
    kind = str(entry.get("type") or "")
    if entry.get("command") and kind in ("", "AUTO", "COMMAND"):
        return {**times, "exec": {"command": release.scope.expand(entry["command"])}}
    if kind == "AUTO":
        kind = str(port.get("protocol") or "TCP")
    asked = entry.get("port") or port.get("targetPort") or port.get("port")
    if not asked:
        return {}
    handler: dict[str, Any] = {"port": number(release.scope.expand(asked))}
    if kind in ("HTTP", "HTTPS"):
        return {**times, "httpGet": {"path": entry.get("path") or "/", "scheme": kind, **handler}}
    if kind == "GRPC":
        return {**times, "grpc": {**handler, **({"service": entry["service"]} if entry.get("service") else {})}}
    return {**times, "tcpSocket": handler}


def _port(release: Release, controller: str) -> Mapping[str, Any]:
    """The first port of the controller's service: each the one marked as primary, else the first by name."""
    own = {key: entry for key, entry in sorted(release.services.items()) if release.controller_of(entry) == controller}
    ports = enabled(own.get(primary(own), {}).get("ports"))
    return ports.get(primary(dict(sorted(ports.items()))), {})
