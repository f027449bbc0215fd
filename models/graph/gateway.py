"""Gateway API routes: HTTPRoute, GRPCRoute, TLSRoute, TCPRoute and UDPRoute behind their Gateways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from models.graph.middlewares import Headers, Middleware, Redirect, Rewrite
from models.graph.proxies import Proxy, proxy_of_class
from models.graph.routes import Backend, EntryRoute, RouteContext
from models.objects import KubeObject
from models.operators.make import items, mapping, maps, whole

GATEWAY_ROUTES: Mapping[str, Literal["http", "tcp", "udp"]] = {
    "HTTPRoute": "http",
    "GRPCRoute": "http",
    "TLSRoute": "tcp",
    "TCPRoute": "tcp",
    "UDPRoute": "udp",
}
_FILTERS = {
    "RequestHeaderModifier": "headers",
    "ResponseHeaderModifier": "headers",
    "URLRewrite": "rewrite",
}


def gateway_routes(context: RouteContext) -> Iterator[EntryRoute]:
    """One route per parent Gateway, host name, rule and path."""
    for kind, protocol in GATEWAY_ROUTES.items():
        for item in context.platform.by_kind(kind, "gateway.networking.k8s.io"):
            parents = _gateways(context, item)
            for gateway, section in parents:
                yield from _routes(context, item, gateway, section, protocol)


def _gateways(context: RouteContext, item: KubeObject) -> list[tuple[KubeObject | None, str]]:
    found: list[tuple[KubeObject | None, str]] = []
    for parent in maps(item.spec.get("parentRefs")):
        if parent.get("kind", "Gateway") == "Gateway":
            space = str(parent.get("namespace") or item.namespace)
            gateway = context.platform.get("Gateway", space, str(parent.get("name")))
            found.append((gateway, str(parent.get("sectionName") or "")))
    return found or [(None, "")]


def _routes(
    context: RouteContext,
    item: KubeObject,
    gateway: KubeObject | None,
    section: str,
    protocol: Literal["http", "tcp", "udp"],
) -> Iterator[EntryRoute]:
    listeners = [
        entry
        for entry in maps(gateway.spec.get("listeners") if gateway else None)
        if not section or entry.get("name") == section
    ]
    hosts = [str(host).lower() for host in items(item.spec.get("hostnames"))]
    hosts = hosts or list(dict.fromkeys(_listener_host(entry, protocol) for entry in listeners)) or ["*"]
    proxy = _proxy(context, gateway)
    for index, rule in enumerate(maps(item.spec.get("rules"))):
        backends = tuple(_backends(context, item, rule))
        guards = tuple(_guards(context, item, rule))
        paths = [str(mapping(match.get("path")).get("value") or "/") for match in maps(rule.get("matches"))] or ["/"]
        for host in hosts:
            for path in dict.fromkeys(paths):
                yield context.route(
                    item,
                    host,
                    path,
                    proxy,
                    backends,
                    middlewares=guards,
                    entry_points=tuple(str(entry.get("name")) for entry in listeners),
                    tls_secret=_tls(gateway, listeners),
                    field=f"spec.rules[{index}]",
                    protocol=protocol,
                    also=(gateway,) if gateway else (),
                    hint=gateway.name if gateway else "",
                )


def _listener_host(listener: Mapping[str, Any], protocol: str) -> str:
    """The host that a listener serves; plain TCP and UDP have none and are called by the listener: ``tcp:postgres``."""
    if protocol == "http" or listener.get("hostname"):
        return str(listener.get("hostname") or "*").lower()
    return f"{protocol}:{listener.get('name') or listener.get('port')}"


def _proxy(context: RouteContext, gateway: KubeObject | None) -> Proxy | None:
    """The Service made for the Gateway where there is one, otherwise the proxy that serves its class."""
    if gateway is None:
        return None
    name = str(gateway.spec.get("gatewayClassName") or "")
    for service in context.platform.services:
        if (
            service.labels.get("gateway.networking.k8s.io/gateway-name") == gateway.name
            and gateway.name in service.name
        ):
            addresses = context.platform.load_balancer_addresses.get(service.key, ())
            return Proxy(name, None, service, addresses, name)
    return proxy_of_class(context.platform, context.proxies, name)


def _backends(context: RouteContext, item: KubeObject, rule: Mapping[str, Any]) -> Iterator[Backend]:
    references = [entry for entry in maps(rule.get("backendRefs")) if entry.get("kind", "Service") == "Service"]
    for entry in references:
        space = str(entry.get("namespace") or item.namespace)
        yield context.backend(space, entry.get("name"), entry.get("port"), float(whole(entry.get("weight"), 1)))
    total = float(sum(whole(entry.get("weight"), 1) for entry in references))
    for entry in maps(rule.get("filters")):
        mirror = mapping(entry.get("requestMirror"))
        copied = mapping(mirror.get("backendRef"))
        if entry.get("type") == "RequestMirror" and copied.get("name"):
            part = mapping(mirror.get("fraction"))
            share = whole(part.get("numerator"), 0) / max(whole(part.get("denominator"), 100), 1) if part else None
            share = whole(mirror.get("percent"), 100) / 100 if share is None else share
            space = str(copied.get("namespace") or item.namespace)
            copy = context.backend(space, copied["name"], copied.get("port"), share * (total or 1.0))
            yield replace(copy, mirror=True)


def _guards(context: RouteContext, item: KubeObject, rule: Mapping[str, Any]) -> Iterator[Middleware]:
    for entry in maps(rule.get("filters")):
        kind = str(entry.get("type") or "")
        reference = mapping(entry.get("extensionRef"))
        if kind == "ExtensionRef" and reference.get("kind") == "Middleware":
            yield from context.reader.named(item.namespace, str(reference.get("name")), item.origin)
        elif kind == "RequestRedirect":
            yield Redirect("", item.origin, scheme=str(mapping(entry.get("requestRedirect")).get("scheme") or ""))
        elif _FILTERS.get(kind) == "headers":
            yield Headers("", item.origin)
        elif _FILTERS.get(kind) == "rewrite":
            yield Rewrite("", item.origin, kind)


def _tls(gateway: KubeObject | None, listeners: list[dict[str, Any]]) -> str | None:
    for listener in listeners:
        for reference in maps(mapping(listener.get("tls")).get("certificateRefs")):
            if gateway is not None and reference.get("name"):
                return f"Secret {reference.get('namespace') or gateway.namespace}/{reference['name']}"
    return None
