"""Does every request find a pod, on a port that exists?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from models.findings import Severity
from models.objects import KubeObject
from models.operators.make import items, mapping, maps, selector_of, whole
from models.platform import Workload
from models.rules.rollout import max_surge, strategy_of
from sim.checks.check import Check, Defect, subject_of
from sim.checks.labels import meant, said
from sim.checks.look import Look, Slot
from sim.checks.patch import container_patch, json_patch, patch, pointer

_WRITTEN = ("manifest", "generated", "chart")
_TRAEFIK = ("IngressRoute", "IngressRouteTCP", "IngressRouteUDP")
_GATEWAY = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")


@dataclass(frozen=True)
class _Backend:
    """A Service and port that a route sends to: where it is written, as a field and as steps to the port."""

    item: KubeObject
    namespace: str
    service: str
    port: Any
    steps: tuple[str | int, ...]
    whole: bool = False

    @property
    def field(self) -> str:
        """The dotted path of the port."""
        text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.steps)
        return text.removeprefix(".")


def service_selects_nothing(look: Look) -> Iterator[Defect]:
    """A Service without pods behind it. Those that something calls are told by the graph (GRAPH-NO-ENDPOINTS)."""
    told = {item.subject for item in look.graph_findings if item.code == "GRAPH-NO-ENDPOINTS"}
    for service in look.platform.services:
        selector = mapping(service.spec.get("selector"))
        if service.origin.provenance not in _WRITTEN or not selector or subject_of(service) in told:
            continue
        if service.spec.get("type") == "ExternalName":
            # It is a name; a selector, as common labels give it one, means nothing.
            continue
        if look.platform.service_workloads(service):
            continue
        hidden = look.unseen(service.namespace)
        sparse = look.sparse(service.namespace)
        close = meant(look, service.namespace, service.name, selector)
        yield Defect(
            f"{subject_of(service)} selects no pod: whoever calls it gets no answer",
            service,
            "spec.selector",
            (f"selector: {said(selector)}", *(f"not read: {item}" for item in hidden[:3])),
            f"select the labels of {close[0]}" if close else "make the selector match the labels of a pod template",
            patch(service, spec={"selector": close[1]}) if close else "",
            severity=Severity.INFO if hidden or sparse else None,
        )


def service_port_name(look: Look) -> Iterator[Defect]:
    """A Service whose targetPort is a name that no container port of its pods has: it has no endpoint for that port."""
    for service, behind in _served(look):
        names = {name: number for slot in _slots(look, behind) for name, number, _ in _ports(slot) if name}
        for index, entry in enumerate(maps(service.spec.get("ports"))):
            target = entry.get("targetPort")
            if not isinstance(target, str) or target.isdigit() or target in names:
                continue
            chosen = _meant_port(entry, names)
            known = ", ".join(f"{name} ({number})" for name, number in names.items()) or "none"
            yield Defect(
                f"{subject_of(service)} sends port {entry.get('port')} to a port called {target}, which no pod has",
                service,
                f"spec.ports[{index}].targetPort",
                (
                    f"selects {', '.join(item.id for item in behind)}",
                    f"names of their ports: {known}",
                ),
                f"name the port {chosen}" if chosen else "name a container port, or use its number",
                _service_port_patch(service, entry, chosen) if chosen else "",
            )


def service_port_closed(look: Look) -> Iterator[Defect]:
    """A Service port whose number none of its pods declares or speaks of."""
    for service, behind in _served(look):
        slots = list(_slots(look, behind))
        declared = {number: protocol for slot in slots for _, number, protocol in _ports(slot)}
        if not declared or any(item.pod_spec.get("hostNetwork") is True for item in behind):
            continue
        for index, entry in enumerate(maps(service.spec.get("ports"))):
            target = entry.get("targetPort") or entry.get("port")
            number = whole(target, 0)
            if not number or number in declared or speaks_of(look, behind, number):
                continue
            only = next(iter(declared)) if len(declared) == 1 else None
            yield Defect(
                f"{subject_of(service)} sends to port {number}, which its pods do not declare",
                service,
                f"spec.ports[{index}].{'targetPort' if entry.get('targetPort') else 'port'}",
                (
                    f"selects {', '.join(item.id for item in behind)}",
                    f"declared: {', '.join(str(port) for port in sorted(declared))}; no setting says {number}",
                ),
                f"send to {only}" if only else "send to a port that the container listens on",
                _service_port_patch(service, entry, only) if only else "",
            )


def route_port(look: Look) -> Iterator[Defect]:
    """A route that sends to a port that its Service does not have: the proxy drops the route or answers 503."""
    for backend in _backends(look):
        service = look.platform.get("Service", backend.namespace, backend.service)
        if service is None or service.spec.get("type") == "ExternalName" or backend.port is None:
            continue
        ports = maps(service.spec.get("ports"))
        known = {str(entry.get("port")) for entry in ports} | {str(entry.get("name")) for entry in ports}
        if str(backend.port) in known or not ports:
            continue
        only = ports[0].get("port") if len(ports) == 1 else None
        value = {"number": only} if backend.whole else only
        yield Defect(
            f"{subject_of(backend.item)} sends to port {backend.port} of {subject_of(service)}, which it does not have",
            backend.item,
            backend.field,
            (
                f"ports of {subject_of(service)} ({service.origin}): "
                + ", ".join(f"{entry.get('name', '')} {entry.get('port')}".strip() for entry in ports),
            ),
            f"send to port {only}" if only else "send to a port of the Service",
            json_patch(backend.item, {"op": "replace", "path": pointer(*backend.steps), "value": value})
            if only
            else "",
        )


def monitor_port(look: Look) -> Iterator[Defect]:
    """A monitor that names a port that none of the Services or pods it selects has: that endpoint is never scraped."""
    for monitor, part, entries, known in _monitors(look):
        for index, entry in enumerate(entries):
            port = entry.get("port")
            if port is None or not known or str(port) in known:
                continue
            only = next(iter(known)) if len(known) == 1 else None
            yield Defect(
                f"{subject_of(monitor)} scrapes a port called {port}, which nothing that it selects has",
                monitor,
                f"spec.{part}[{index}].port",
                (f"names of the ports: {', '.join(sorted(known))}",),
                f"name the port {only}" if only else "name a port that exists",
                json_patch(monitor, {"op": "replace", "path": pointer("spec", part, index, "port"), "value": only})
                if only
                else "",
            )


def monitor_selects_nothing(look: Look) -> Iterator[Defect]:
    """A monitor that selects nothing where no Prometheus of the tree reads it (else GRAPH-MONITOR-EMPTY says so)."""
    told = {item.subject for item in look.graph_findings if item.code == "GRAPH-MONITOR-EMPTY"}
    for kind in ("ServiceMonitor", "PodMonitor"):
        for monitor in look.platform.by_kind(kind, "monitoring.coreos.com"):
            if monitor.origin.provenance not in _WRITTEN or subject_of(monitor) in told or _selected(look, monitor):
                continue
            hidden = [item for space in _spaces(look, monitor) for item in look.unseen(space)]
            sparse = any(look.sparse(space) for space in _spaces(look, monitor))
            yield Defect(
                f"{subject_of(monitor)} selects nothing to scrape",
                monitor,
                "spec.selector",
                (
                    f"selector: {said(mapping(mapping(monitor.spec.get('selector')).get('matchLabels')))}",
                    f"namespaces: {', '.join(_spaces(look, monitor))}",
                    *(f"not read: {item}" for item in hidden[:3]),
                ),
                "make its selector match the labels of a Service (or pods)",
                severity=Severity.INFO if hidden or sparse else None,
            )


def no_readiness(look: Look) -> Iterator[Defect]:
    """A container behind a Service without a readiness probe: it gets requests before it can answer them."""
    seen: set[tuple[str, str]] = set()
    for service, behind in _served(look):
        if service.spec.get("publishNotReadyAddresses") is True or not _asks(service):
            continue
        for workload in behind:
            for slot in _targets(look, workload, service):
                key = (workload.id, slot.name)
                if key in seen or slot.manifest.get("readinessProbe"):
                    continue
                seen.add(key)
                yield _unready(workload, slot, service)


def _unready(workload: Workload, slot: Slot, service: KubeObject) -> Defect:
    replicas = workload.replicas or 0
    surges = workload.controller == "Deployment" and max_surge(strategy_of(workload.object.manifest), replicas) > 0
    ports = [number for _, number, protocol in _ports(slot) if protocol == "TCP"]
    live = mapping(slot.manifest.get("livenessProbe"))
    handler = {key: live[key] for key in ("httpGet", "tcpSocket", "exec", "grpc") if key in live}
    handler = handler or ({"tcpSocket": {"port": ports[0]}} if ports else {})
    effect = (
        "a rollout takes the old pod away before the new one answers"
        if surges
        else "it gets requests as soon as it runs, ready or not"
    )
    return Defect(
        f"{slot.name} of {workload.id} has no readiness probe: {effect}",
        workload.object,
        slot.field,
        (f"behind {subject_of(service)}", f"{replicas} replicas"),
        "add a readiness probe that succeeds once the app answers",
        container_patch(workload, [(slot.group, slot.name, {"readinessProbe": handler})]) if handler else "",
        # With the old pod gone first nothing is served meanwhile anyway.
        severity=None if surges or replicas > 1 else Severity.INFO,
    )


def speaks_of(look: Look, workloads: tuple[Workload, ...], number: int) -> bool:
    """Whether any variable, argument or configuration file of the workloads holds that number."""
    pattern = re.compile(rf"(?<!\d){number}(?!\d)")
    return any(
        pattern.search(setting.value) for item in workloads for setting in look.context.environment.settings(item)
    )


def _served(look: Look) -> Iterator[tuple[KubeObject, tuple[Workload, ...]]]:
    """Written Services with the written workloads behind them; Services in front of anything else are left out."""
    written = {item.id for item in look.written}
    for service in look.platform.services:
        behind = look.platform.service_workloads(service)
        if service.origin.provenance in _WRITTEN and behind and all(item.id in written for item in behind):
            yield service, behind


def _slots(look: Look, workloads: tuple[Workload, ...]) -> Iterator[Slot]:
    for workload in workloads:
        yield from (slot for slot in look.slots(workload) if slot.runs_along)


def _ports(slot: Slot) -> Iterator[tuple[str, int, str]]:
    for entry in maps(slot.manifest.get("ports")):
        number = str(entry.get("containerPort") or "")
        if number.isdigit():
            yield str(entry.get("name") or ""), int(number), str(entry.get("protocol") or "TCP")


def _asks(service: KubeObject) -> bool:
    """Whether requests come through the Service: metrics are fetched from unready pods as well."""
    return any(
        str(entry.get("protocol") or "TCP") == "TCP" and "metrics" not in str(entry.get("name"))
        for entry in maps(service.spec.get("ports"))
    )


def _targets(look: Look, workload: Workload, service: KubeObject) -> list[Slot]:
    """The containers that the Service sends to: those that declare a target port, else the only one."""
    slots = [slot for slot in look.slots(workload) if slot.runs_along]
    wanted = {str(entry.get("targetPort") or entry.get("port")) for entry in maps(service.spec.get("ports"))}
    found = [slot for slot in slots if any(name in wanted or str(number) in wanted for name, number, _ in _ports(slot))]
    return found or (slots if len(slots) == 1 else [])


def _meant_port(entry: Mapping[str, Any], names: Mapping[str, int]) -> str | None:
    same = [name for name, number in names.items() if number == entry.get("port")]
    if same:
        return same[0]
    return next(iter(names)) if len(names) == 1 else None


def _service_port_patch(service: KubeObject, entry: Mapping[str, Any], target: str | int) -> str:
    keys = {key: entry[key] for key in ("port", "protocol") if key in entry}
    return patch(service, spec={"ports": [{**keys, "targetPort": target}]})


def _backends(look: Look) -> Iterator[_Backend]:
    for item in look.platform.by_kind("Ingress", "networking.k8s.io"):
        yield from _ingress(item)
    for kind in _TRAEFIK:
        for item in look.platform.by_kind(kind):
            for number, route in enumerate(maps(item.spec.get("routes"))):
                for index, entry in enumerate(maps(route.get("services"))):
                    if entry.get("kind", "Service") == "Service" and "@" not in str(entry.get("name")):
                        space = str(entry.get("namespace") or item.namespace)
                        steps = ("spec", "routes", number, "services", index, "port")
                        yield _Backend(item, space, str(entry.get("name")), entry.get("port"), steps)
    for kind in _GATEWAY:
        for item in look.platform.by_kind(kind, "gateway.networking.k8s.io"):
            for number, rule in enumerate(maps(item.spec.get("rules"))):
                for index, entry in enumerate(maps(rule.get("backendRefs"))):
                    if entry.get("kind", "Service") == "Service":
                        space = str(entry.get("namespace") or item.namespace)
                        steps = ("spec", "rules", number, "backendRefs", index, "port")
                        yield _Backend(item, space, str(entry.get("name")), entry.get("port"), steps)


def _ingress(item: KubeObject) -> Iterator[_Backend]:
    places: list[tuple[tuple[str | int, ...], Any]] = [(("spec", "defaultBackend"), item.spec.get("defaultBackend"))]
    for number, rule in enumerate(maps(item.spec.get("rules"))):
        for index, path in enumerate(maps(mapping(rule.get("http")).get("paths"))):
            places.append((("spec", "rules", number, "http", "paths", index, "backend"), path.get("backend")))
    for steps, backend in places:
        service = mapping(mapping(backend).get("service"))
        port = mapping(service.get("port"))
        if service.get("name") and port:
            written = port.get("name") or port.get("number")
            yield _Backend(item, item.namespace, str(service["name"]), written, (*steps, "service", "port"), whole=True)


def _monitors(look: Look) -> Iterator[tuple[KubeObject, str, list[dict[str, Any]], set[str]]]:
    """Written monitors: where their endpoints are, the endpoints, and the port names of everything they select."""
    for kind, part in (("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")):
        for monitor in look.platform.by_kind(kind, "monitoring.coreos.com"):
            found = _selected(look, monitor)
            if monitor.origin.provenance not in _WRITTEN or not found:
                continue
            known: set[str] = set()
            for item in found:
                if isinstance(item, Workload):
                    if item.provenance not in _WRITTEN and item.controller != "Cluster":
                        known = set()
                        break
                    known |= {name for slot in look.slots(item) for name, _, _ in _ports(slot) if name}
                else:
                    known |= {str(entry["name"]) for entry in maps(item.spec.get("ports")) if entry.get("name")}
            yield monitor, part, maps(monitor.spec.get(part)), known


def _selected(look: Look, monitor: KubeObject) -> list[KubeObject | Workload]:
    selector = mapping(monitor.spec.get("selector"))
    spaces = _spaces(look, monitor)
    if monitor.kind == "PodMonitor":
        return [item for space in spaces for item in look.platform.select_workloads(space, selector)]
    chosen = selector_of(selector)
    return [item for item in look.platform.services if item.namespace in spaces and chosen.matches(item.labels)]


def _spaces(look: Look, monitor: KubeObject) -> list[str]:
    selector = mapping(monitor.spec.get("namespaceSelector"))
    if selector.get("any") is True:
        return list(look.platform.namespaces)
    return [str(name) for name in items(selector.get("matchNames"))] or [monitor.namespace]


CHECKS = (
    Check("SERVICE-SELECTS-NOTHING", Severity.WARNING, "a Service selects no pod", service_selects_nothing),
    Check(
        "SERVICE-PORT-NAME",
        Severity.ERROR,
        "a Service's targetPort is a name that no container port of its pods has",
        service_port_name,
    ),
    Check(
        "SERVICE-PORT-CLOSED",
        Severity.WARNING,
        "a Service sends to a port number that its pods neither declare nor speak of",
        service_port_closed,
    ),
    Check(
        "ROUTE-PORT",
        Severity.ERROR,
        "a route sends to a port that its Service does not have",
        route_port,
        # Policies have nothing to say about a port that is none.
        replaces=("GRAPH-POLICY-FORBIDS",),
    ),
    Check(
        "MONITOR-PORT",
        Severity.WARNING,
        "a monitor names a port that nothing it selects has",
        monitor_port,
        replaces=("GRAPH-MONITOR-EMPTY",),
    ),
    Check(
        "MONITOR-SELECTS-NOTHING",
        Severity.WARNING,
        "a monitor selects nothing, and no Prometheus of the tree reads it",
        monitor_selects_nothing,
    ),
    Check("NO-READINESS", Severity.WARNING, "a container behind a Service has no readiness probe", no_readiness),
)
