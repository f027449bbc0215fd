"""Who scrapes what: ServiceMonitors, PodMonitors and Probes for each Prometheus, and static scrape configurations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from models.graph.context import Context, Dangling, edge, id_of
from models.graph.environment import Setting
from models.graph.netpol import Endpoint
from models.graph.references import Source, target_edges
from models.graph.schema import Edge, Evidence, Strength, node_id
from models.objects import KubeObject
from models.operators.make import items, mapping, maps, selector_of
from models.operators.prometheus import GROUP
from models.platform import Platform, Workload

_CHARTS = ("kube-prometheus-stack", "prometheus-operator", "prometheus", "victoria-metrics-k8s-stack", "k8s-monitoring")


@dataclass(frozen=True)
class Scraper:
    """Something that scrapes: its node, and the resource that selects monitors (None: it takes all)."""

    node: str
    namespace: str
    resource: KubeObject | None
    assumed: bool = False


def scrapers(context: Context) -> tuple[Scraper, ...]:
    """Every Prometheus of the platform; when there is none, the chart that would run one."""
    found = [
        Scraper(id_of(item), item.namespace, item)
        for kind in ("Prometheus", "PrometheusAgent")
        for item in context.platform.by_kind(kind, GROUP)
    ]
    if found:
        return tuple(found)
    return tuple(
        Scraper(node, namespace, None, True)
        for node, (item, namespace) in context.charts.items()
        if item.what.split(" ")[0].rpartition("/")[2] in _CHARTS
    )


def chart_endpoint(scraper: Scraper) -> Endpoint:
    """The pods of a Prometheus that a hidden chart would run: the operator's labels in the chart's namespace."""
    labels = {"app.kubernetes.io/name": "prometheus", "app.kubernetes.io/managed-by": "prometheus-operator"}
    return Endpoint(scraper.namespace, (labels,), {})


def monitoring_edges(context: Context) -> Iterator[Edge | Dangling]:
    """What every scraper scrapes, and whom it sends alerts to."""
    platform = context.platform
    for scraper in scrapers(context):
        for kind, prefix in _MONITORS.items():
            for monitor in platform.by_kind(kind, GROUP):
                if _chosen(platform, scraper, monitor, prefix):
                    yield from _monitor(context, scraper, monitor)
        if scraper.resource is not None:
            yield from _alerting(context, scraper.resource)
            yield from _remote(context, scraper.resource)


_MONITORS = {
    "ServiceMonitor": "serviceMonitor",
    "PodMonitor": "podMonitor",
    "Probe": "probe",
    "ScrapeConfig": "scrapeConfig",
}
"""Kinds of monitors, and how the fields of a Prometheus that select them begin."""


def _remote(context: Context, resource: KubeObject) -> Iterator[Edge | Dangling]:
    """Where a Prometheus pushes its samples to, and where it reads old ones from."""
    own = context.workloads_of.get(id_of(resource), ())
    source = Source(id_of(resource), own[0] if own else None, resource.namespace)
    for part, kind in (("remoteWrite", "ships-metrics-to"), ("remoteRead", "calls")):
        for index, entry in enumerate(maps(resource.spec.get(part))):
            url, field = str(entry.get("url") or ""), f"spec.{part}[{index}].url"
            yield from target_edges(context, source, Setting("url", url, field, resource.origin), url, kind, "")


def _scrape_config(context: Context, scraper: Scraper, item: KubeObject) -> Iterator[Edge | Dangling]:
    """Static targets, and names that are looked up; what Kubernetes' own discovery would find is not guessed."""
    own = context.workloads_of.get(scraper.node, ())
    source = Source(scraper.node, own[0] if own else None, item.namespace)
    named = [
        (f"spec.{part}[{index}].{key}", str(target))
        for part, key in (("staticConfigs", "targets"), ("dnsSDConfigs", "names"))
        for index, entry in enumerate(maps(item.spec.get(part)))
        for target in items(entry.get(key))
    ]
    for field, target in named:
        setting = Setting("targets", target, field, item.origin)
        yield from target_edges(context, source, setting, target, "scrapes", "")


def _chosen(platform: Platform, scraper: Scraper, monitor: KubeObject, prefix: str) -> bool:
    """Whether the scraper takes the monitor: no selector takes none, no namespace selector takes its own."""
    if scraper.resource is None:
        return True
    spec = scraper.resource.spec
    if f"{prefix}Selector" not in spec or spec[f"{prefix}Selector"] is None:
        return False
    if not selector_of(mapping(spec[f"{prefix}Selector"])).matches(monitor.labels):
        return False
    spaces = spec.get(f"{prefix}NamespaceSelector")
    if spaces is None:
        return monitor.namespace == scraper.namespace
    return selector_of(spaces).matches(platform.namespaces.get(monitor.namespace, {}))


def _namespaces(platform: Platform, monitor: KubeObject) -> list[str]:
    selector = mapping(monitor.spec.get("namespaceSelector"))
    if selector.get("any") is True:
        return list(platform.namespaces)
    return [str(name) for name in items(selector.get("matchNames"))] or [monitor.namespace]


def _monitor(context: Context, scraper: Scraper, monitor: KubeObject) -> Iterator[Edge | Dangling]:
    platform = context.platform
    confidence = 0.8 if scraper.assumed else 1.0
    selector = mapping(monitor.spec.get("selector"))
    chosen = selector_of(selector)
    found = False
    if monitor.kind == "Probe":
        yield from _probe(context, scraper, monitor)
        return
    if monitor.kind == "ScrapeConfig":
        yield from _scrape_config(context, scraper, monitor)
        return
    for namespace in _namespaces(platform, monitor):
        if monitor.kind == "ServiceMonitor":
            for service in platform.services:
                if service.namespace == namespace and chosen.matches(service.labels):
                    port = _endpoint_port(context, service, maps(monitor.spec.get("endpoints")))
                    if port is None and not _has_port(service, maps(monitor.spec.get("endpoints"))):
                        continue
                    found = True
                    yield _scrape(scraper, monitor, id_of(service), port, confidence)
        else:
            ends = maps(monitor.spec.get("podMetricsEndpoints"))
            for workload in platform.select_workloads(namespace, selector):
                if not _opens(workload, ends):
                    continue
                found = True
                port = next((entry.get("port") or entry.get("targetPort") for entry in ends), None)
                yield _scrape(scraper, monitor, context.node_of(workload), port, confidence)
    if not found:
        field = "spec.selector.matchLabels"
        text = ", ".join(f"{key}={value}" for key, value in mapping(selector.get("matchLabels")).items())
        evidence = Evidence("monitor", monitor.origin, field, text)
        yield Dangling(scraper.node, id_of(monitor), monitor.namespace, evidence, optional=True)


def _endpoint_port(context: Context, service: KubeObject, endpoints: list[dict[str, Any]]) -> int | None:
    for entry in endpoints:
        if entry.get("port"):
            number = context.hosts.port_number(service, str(entry["port"]))
            if number is not None:
                return number
    return None


def _has_port(service: KubeObject, endpoints: list[dict[str, Any]]) -> bool:
    """Whether some endpoint of the monitor can be a port of the Service; one by target port always can."""
    named = {str(entry.get("name")) for entry in maps(service.spec.get("ports"))}
    return any(entry.get("targetPort") or str(entry.get("port")) in named for entry in endpoints)


def _opens(workload: Workload, endpoints: list[dict[str, Any]]) -> bool:
    """Whether some endpoint of a PodMonitor can be a port of the pods: a name needs a container port of that name."""
    names = {str(entry.get("name")) for item in workload.containers for entry in maps(item.get("ports"))}
    return any(entry.get("port") is None or str(entry["port"]) in names for entry in endpoints)


def _scrape(scraper: Scraper, monitor: KubeObject, target: str, port: Any, confidence: float) -> Edge:
    field = "spec.endpoints" if monitor.kind == "ServiceMonitor" else "spec.podMetricsEndpoints"
    return edge(
        scraper.node,
        target,
        "scrapes",
        monitor.kind,
        monitor.origin,
        field,
        f"{monitor.kind} {monitor.namespace}/{monitor.name}",
        strength=Strength.SOFT,
        confidence=confidence,
        port=port,
    )


def _probe(context: Context, scraper: Scraper, monitor: KubeObject) -> Iterator[Edge | Dangling]:
    """The prober is scraped; what it looks at, it calls by itself."""
    url = str(mapping(monitor.spec.get("prober")).get("url") or "")
    host, _, port = url.partition(":")
    found = context.hosts.resolve(host, monitor.namespace) if host else None
    if found is not None and found.kind == "service":
        number = int(port) if port.isdigit() else None
        yield edge(
            scraper.node, found.service_id, "scrapes", "Probe", monitor.origin, "spec.prober.url", url,
            strength=Strength.SOFT, port=number,
        )  # fmt: skip
        service = context.hosts.service(found.namespace, found.name)
        behind = context.platform.service_workloads(service) if service is not None else ()
        for workload in behind:
            source = Source(context.node_of(workload), workload, monitor.namespace)
            config = mapping(mapping(monitor.spec.get("targets")).get("staticConfig"))
            for index, target in enumerate(items(config.get("static"))):
                setting = Setting("static", str(target), f"spec.targets.staticConfig.static[{index}]", monitor.origin)
                yield from target_edges(context, source, setting, str(target), "calls", "")


def _alerting(context: Context, resource: KubeObject) -> Iterator[Edge | Dangling]:
    for index, entry in enumerate(maps(mapping(resource.spec.get("alerting")).get("alertmanagers"))):
        name, namespace = str(entry.get("name") or ""), str(entry.get("namespace") or resource.namespace)
        if name:
            yield from _to(context, resource, namespace, name, f"spec.alerting.alertmanagers[{index}]", entry, "calls")


def _to(
    context: Context, resource: KubeObject, namespace: str, name: str, field: str, entry: Mapping[str, Any], kind: str
) -> Iterator[Edge | Dangling]:
    service = context.hosts.service(namespace, name)
    target = node_id("Service", namespace, name)
    evidence = Evidence("alerting", resource.origin, field, f"{namespace}/{name}")
    port = context.hosts.port_number(service, entry.get("port")) if service is not None else None
    yield Edge(id_of(resource), target, kind, Strength.SOFT, (evidence,), {"port": port})
    if service is None:
        yield Dangling(id_of(resource), target, namespace, evidence)
