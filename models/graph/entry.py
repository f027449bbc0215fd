"""Edges from the outside to the services: edge, load balancer, proxy, route, middleware, backend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from models.graph.context import Context, Dangling, edge, id_of
from models.graph.dns import Dns
from models.graph.middlewares import Errors, ForwardAuth, MiddlewareReader, Plugin
from models.graph.routes import EntryRoute
from models.graph.schema import Edge, Evidence, Strength, node_id
from models.objects import KubeObject
from models.operators.make import mapping, maps

_BACKENDS = {
    **dict.fromkeys(("IngressRoute", "IngressRouteTCP", "IngressRouteUDP"), ".services"),
    **dict.fromkeys(("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"), ".backendRefs"),
    "Ingress": ".backend",
}
"""The field below a rule of a route that names its backends; the rules of a tunnel name them themselves."""
_GUARDED = ("IngressRoute", "IngressRouteTCP")


def entry_edges(context: Context) -> Iterator[Edge | Dangling]:
    """All of them: from the outside in."""
    yield from _addresses(context)
    yield from _edges(context)
    for route in context.routes:
        yield from _route(context, route)
    yield from _lost_services(context)
    yield from _guards(context)
    yield from _middlewares(context)


def _addresses(context: Context) -> Iterator[Edge]:
    for service in context.platform.services:
        for address in context.platform.load_balancer_addresses.get(service.key, ()):
            node = node_id("LoadBalancerAddress", "", address)
            yield edge(node, id_of(service), "routes-to", "load balancer", service.origin, "spec.type", address)
            yield edge("Edge lan", node, "routes-to", "load balancer", service.origin, "spec.type", address)


def _edges(context: Context) -> Iterator[Edge]:
    """Cloudflare to the tunnel, the tunnel to what its rules name; a proxied record without one to the address."""
    dns = Dns(context.platform, context.hosts)
    for rule in dns.tunnel:
        if rule.service is not None:
            workload = context.node_of(rule.workload)
            yield edge(
                "Edge cloudflare", workload, "routes-to", "tunnel", rule.origin, f"{rule.field}.hostname", rule.host
            )
            yield edge(
                workload,
                rule.service,
                "routes-to",
                "tunnel rule",
                rule.origin,
                f"{rule.field}.service",
                rule.url,
                port=rule.port,
            )
    for route in context.routes:
        if route.edge and not route.tunnel:
            target = node_id("LoadBalancerAddress", "", route.load_balancer) if route.load_balancer else route.object_id
            text = f"{route.host} is proxied"
            yield edge(
                f"Edge {route.edge}",
                target,
                "routes-to",
                "proxied DNS record",
                route.origin,
                "metadata.annotations",
                text,
            )
        elif route.external and not route.edge:
            target = node_id("LoadBalancerAddress", "", route.load_balancer) if route.load_balancer else route.object_id
            yield edge(
                "Edge internet",
                target,
                "routes-to",
                "public DNS name",
                route.origin,
                "metadata",
                route.host,
                confidence=0.6,
            )


def _route(context: Context, route: EntryRoute) -> Iterator[Edge | Dangling]:
    if route.object_id != route.entry_workload:
        front = route.entry_workload or route.entry_service
        if front:
            yield edge(
                context.node_of(front),
                route.object_id,
                "routes-to",
                "router",
                route.origin,
                route.field,
                route.host,
                hosts=(route.host,),
            )
    kind = route.object_id.partition(" ")[0]
    below = _BACKENDS.get(kind, "") if not route.field.endswith("defaultBackend") else ""
    for backend in (*route.backends, *route.mirrors):
        yield edge(
            route.object_id,
            backend.service,
            "routes-to",
            "mirror" if backend.mirror else "backend",
            route.origin,
            f"{route.field}{below}",
            f"{route.id} -> {backend.service.partition(' ')[2]}:{backend.port}",
            strength=Strength.SOFT if backend.mirror else Strength.HARD,
            port=backend.port,
        )
        namespace, _, name = backend.service.partition(" ")[2].partition("/")
        if context.hosts.service(namespace, name) is None:
            evidence = Evidence("backend", route.origin, f"{route.field}{below}", f"{name}:{backend.port}")
            yield Dangling(route.object_id, backend.service, namespace, evidence)


def _lost_services(context: Context) -> Iterator[Edge | Dangling]:
    """TraefikServices that a route or another one names and that the tree does not have."""
    for kind in ("IngressRoute", "TraefikService"):
        for item in context.platform.by_kind(kind):
            for field, entry in _named_services(item):
                name = str(entry.get("name") or "")
                if entry.get("kind") != "TraefikService" or not name or "@" in name:
                    continue
                space = str(entry.get("namespace") or item.namespace)
                if context.platform.get("TraefikService", space, name) is None:
                    target = node_id("TraefikService", space, name)
                    evidence = Evidence("backend", item.origin, field, name)
                    yield Edge(id_of(item), target, "routes-to", Strength.HARD, (evidence,))
                    yield Dangling(id_of(item), target, space, evidence)


def _named_services(item: KubeObject) -> Iterator[tuple[str, dict[str, Any]]]:
    for index, route in enumerate(maps(item.spec.get("routes"))):
        for number, entry in enumerate(maps(route.get("services"))):
            yield f"spec.routes[{index}].services[{number}]", entry
    for number, entry in enumerate(maps(mapping(item.spec.get("weighted")).get("services"))):
        yield f"spec.weighted.services[{number}]", entry
    mirroring = mapping(item.spec.get("mirroring"))
    yield "spec.mirroring", mirroring
    for number, entry in enumerate(maps(mirroring.get("mirrors"))):
        yield f"spec.mirroring.mirrors[{number}]", entry


def _guards(context: Context) -> Iterator[Edge | Dangling]:
    """Middlewares by name, chains as they are written; middlewares of an entry point belong to each of its routes."""
    for kind in _GUARDED:
        for item in context.platform.by_kind(kind):
            what = "MiddlewareTCP" if kind == "IngressRouteTCP" else "Middleware"
            for index, route in enumerate(maps(item.spec.get("routes"))):
                for number, entry in enumerate(maps(route.get("middlewares"))):
                    name = str(entry.get("name") or "")
                    if not name or "@" in name:
                        continue
                    target = node_id(what, str(entry.get("namespace") or item.namespace), name)
                    yield from _guard(
                        context,
                        id_of(item),
                        target,
                        Evidence("middleware", item.origin, f"spec.routes[{index}].middlewares[{number}]", name),
                    )
    for entry_route in context.routes:
        for middleware in entry_route.middlewares:
            if middleware.id and entry_route.object_id.partition(" ")[0] not in _GUARDED:
                evidence = Evidence("middleware", entry_route.origin, entry_route.field, middleware.id)
                yield from _guard(context, entry_route.object_id, middleware.id, evidence)


def _guard(context: Context, source: str, target: str, evidence: Evidence) -> Iterator[Edge | Dangling]:
    yield Edge(source, target, "guarded-by", Strength.HARD, (evidence,))
    kind, _, place = target.partition(" ")
    namespace, _, name = place.partition("/")
    if context.platform.get(kind, namespace, name) is None:
        yield Dangling(source, target, namespace, evidence)


def _middlewares(context: Context) -> Iterator[Edge | Dangling]:

    listed = context.platform.by_kind("Middleware")
    reader = MiddlewareReader({(item.kind, item.namespace, item.name): item for item in listed}, context.hosts)
    for item in listed:
        for index, entry in enumerate(maps(mapping(item.spec.get("chain")).get("middlewares"))):
            target = node_id("Middleware", str(entry.get("namespace") or item.namespace), str(entry.get("name")))
            evidence = Evidence(
                "middleware chain", item.origin, f"spec.chain.middlewares[{index}]", str(entry.get("name"))
            )
            yield from _guard(context, id_of(item), target, evidence)
        if "chain" in item.spec:
            continue
        for middleware in reader.named(item.namespace, item.name, item.origin):
            if isinstance(middleware, ForwardAuth) and middleware.service:
                yield from _call(
                    context,
                    item,
                    middleware.service,
                    "spec.forwardAuth.address",
                    middleware.address,
                    middleware.port,
                    Strength.HARD,
                )
            elif isinstance(middleware, Errors) and middleware.service:
                yield from _call(context, item, middleware.service, "spec.errors.service", "", None, Strength.SOFT)
            elif isinstance(middleware, Plugin):
                for service in middleware.services:
                    yield from _call(context, item, service, f"spec.plugin.{middleware.name}", "", None, Strength.SOFT)


def _call(
    context: Context, item: KubeObject, service: str, field: str, text: str, port: int | None, strength: Strength
) -> Iterator[Edge | Dangling]:

    evidence = Evidence("forward auth" if "forwardAuth" in field else "middleware option", item.origin, field, text)
    namespace, _, name = service.partition(" ")[2].partition("/")
    yield Edge(id_of(item), service, "calls", strength, (evidence,), {"port": port})
    if context.hosts.service(namespace, name) is None:
        yield Dangling(id_of(item), service, namespace, evidence)
