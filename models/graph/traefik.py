"""Traefik's routes: IngressRoute, IngressRouteTCP, IngressRouteUDP, TraefikService weights, entry point rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from models.graph.matchers import Match, parse_rule
from models.graph.middlewares import Middleware, Redirect
from models.graph.proxies import EntryPoint, Proxy, proxy_of_class
from models.graph.routes import Backend, EntryRoute, RouteContext, default_tls
from models.objects import KubeObject
from models.operators.make import items, mapping, maps, whole

_PROTOCOLS: Mapping[str, Literal["http", "tcp", "udp"]] = {
    "IngressRoute": "http",
    "IngressRouteTCP": "tcp",
    "IngressRouteUDP": "udp",
}
_CLASS = "kubernetes.io/ingress.class"


@dataclass(frozen=True, eq=False)
class _Target:
    backends: tuple[Backend, ...]
    internal: str = ""


def traefik_routes(context: RouteContext) -> Iterator[EntryRoute]:
    """Every route of Traefik's own kinds, in tree order."""
    store = default_tls(context.platform)
    for kind, protocol in _PROTOCOLS.items():
        for item in context.platform.by_kind(kind):
            proxy = _proxy(context, item)
            for index, route in enumerate(maps(item.spec.get("routes"))):
                yield from _routes(context, item, route, index, proxy, protocol, store)


def _proxy(context: RouteContext, item: KubeObject) -> Proxy | None:
    own = tuple(proxy for proxy in context.proxies if proxy.kind == "traefik")
    return proxy_of_class(context.platform, own, item.annotations.get(_CLASS, "")) or (own[0] if own else None)


def _routes(
    context: RouteContext,
    item: KubeObject,
    route: Mapping[str, Any],
    index: int,
    proxy: Proxy | None,
    protocol: Literal["http", "tcp", "udp"],
    store: str | None,
) -> Iterator[EntryRoute]:
    points = _entry_points(item, proxy)
    matches = parse_rule(str(route.get("match") or "")) if protocol != "udp" else (Match(),)
    target = _target(context, item, route)
    guards = (*_point_guards(context, item, points), *_guards(context, item, route, protocol))
    names = tuple(point.name for point in points)
    if protocol == "udp" or (protocol == "tcp" and matches == (Match(),)):
        matches = tuple(Match(f"{protocol}:{name}") for name in names) or (Match(protocol),)
    for match in matches:
        yield context.route(
            item,
            match.host,
            match.path,
            proxy,
            target.backends,
            middlewares=guards,
            entry_points=names,
            tls_secret=_tls(item, points, protocol, store),
            field=f"spec.routes[{index}]",
            protocol=protocol,
            internal=target.internal,
            hint=" ".join(names),
        )


def _entry_points(item: KubeObject, proxy: Proxy | None) -> tuple[EntryPoint, ...]:
    known = proxy.entry_points if proxy else {}
    named = [str(name) for name in items(item.spec.get("entryPoints"))]
    if named:
        return tuple(known.get(name.lower(), EntryPoint(name)) for name in named)
    marked = tuple(point for point in known.values() if point.default)
    if marked:
        return marked
    udp = item.kind == "IngressRouteUDP"
    return tuple(
        point for point in known.values() if point.name not in ("traefik", "metrics", "ping") and point.udp is udp
    )


def _point_guards(context: RouteContext, item: KubeObject, points: tuple[EntryPoint, ...]) -> Iterator[Middleware]:
    """Middlewares that an entry point adds in front of the route's own."""
    for point in points:
        if point.redirect_to and len(points) == 1:
            yield Redirect("", item.origin, scheme=point.redirect_scheme or "https")
        for reference in point.middlewares:
            yield from context.reader.provided(reference, item.namespace, item.origin)


def _guards(context: RouteContext, item: KubeObject, route: Mapping[str, Any], protocol: str) -> Iterator[Middleware]:
    kind = "MiddlewareTCP" if protocol == "tcp" else "Middleware"
    for entry in maps(route.get("middlewares") or item.spec.get("middlewares")):
        name = str(entry.get("name") or "")
        if "@" in name:
            yield from context.reader.provided(name, item.namespace, item.origin)
        else:
            yield from context.reader.named(str(entry.get("namespace") or item.namespace), name, item.origin, kind)


def _tls(item: KubeObject, points: tuple[EntryPoint, ...], protocol: str, store: str | None) -> str | None:
    written = item.spec.get("tls")
    if isinstance(written, dict):
        if written.get("secretName"):
            return f"Secret {item.namespace}/{written['secretName']}"
        return None if written.get("certResolver") or written.get("passthrough") is True else store
    return store if protocol == "http" and any(point.tls for point in points) else None


def _target(context: RouteContext, item: KubeObject, route: Mapping[str, Any]) -> _Target:
    backends: list[Backend] = []
    internal = ""
    for entry in maps(route.get("services")):
        name = str(entry.get("name") or "")
        if "@internal" in name:
            internal = name
        elif name:
            backends.extend(_backends(context, entry, item.namespace, 1.0, ()))
    return _Target(tuple(backends), internal)


def _backends(
    context: RouteContext, entry: Mapping[str, Any], namespace: str, share: float, above: tuple[str, ...]
) -> Iterator[Backend]:
    name = str(entry.get("name") or "").partition("@")[0]
    space = str(entry.get("namespace") or namespace)
    weight = share * whole(entry.get("weight"), 1)
    if entry.get("kind") != "TraefikService":
        yield context.backend(space, name, entry.get("port"), weight)
        return
    nested = context.platform.get("TraefikService", space, name)
    if nested is None or f"{space}/{name}" in above or len(above) > 10:
        return
    inside = (*above, f"{space}/{name}")
    members = maps(nested.get("spec", "weighted", "services"))
    total = sum(whole(member.get("weight"), 1) for member in members) or 1
    for member in members:
        yield from _backends(context, member, space, weight / total, inside)
    mirroring = mapping(nested.spec.get("mirroring"))
    if mirroring.get("name"):
        yield from _backends(context, mirroring, space, weight, inside)
    for mirror in maps(mirroring.get("mirrors")):
        share = weight * whole(mirror.get("percent"), 0) / 100
        for copy in _backends(context, {**mirror, "weight": 1}, space, share, inside):
            yield replace(copy, mirror=True)
