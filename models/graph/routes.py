"""The ways into the platform: one :class:`EntryRoute` per host and path, whatever kind of object declares it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from models.graph.dns import Dns
from models.graph.hosts import Hosts
from models.graph.middlewares import Middleware, MiddlewareReader, private_only
from models.graph.proxies import Proxy, find_proxies
from models.objects import KubeObject, Origin
from models.operators.make import mapping, maps
from models.platform import Platform


@dataclass(frozen=True)
class Backend:
    """Where a route sends requests: Service id, port (a number where it could be told), share of the traffic.

    mirror: it gets copies whose answers nobody waits for.
    """

    service: str
    port: int | str | None
    weight: float = 1.0
    mirror: bool = False


@dataclass(frozen=True)
class EntryRoute:
    """One host and path prefix that clients use.

    id: host and path, unique ("photos.example.org", "photos.example.org/api"). edge: "cloudflare" when a proxied DNS
    record or a tunnel stands in front. external: reachable from the internet and not closed by an allow list of private
    networks. load_balancer: address of the proxy's Service. entry_service / entry_workload: ids of the proxy. internal:
    a service inside the proxy ("api@internal") when there is no backend. tls_secret / certificate: ids of what serves
    TLS. object_id: the declaring object ("IngressRoute media/jellyfin"). mirrors: get copies of the requests.
    """

    id: str
    host: str
    path: str
    protocol: Literal["http", "tcp", "udp"]
    external: bool
    edge: str | None
    load_balancer: str | None
    entry_service: str | None
    entry_workload: str | None
    entry_points: tuple[str, ...]
    middlewares: tuple[Middleware, ...]
    backends: tuple[Backend, ...]
    tls_secret: str | None
    certificate: str | None
    namespace: str
    object_id: str
    origin: Origin
    field: str = ""
    internal: str = ""
    tunnel: str | None = None
    mirrors: tuple[Backend, ...] = ()

    @property
    def direct(self) -> bool:
        """Whether clients call a Service and nothing declares a host (:func:`service_routes`)."""
        return self.object_id.startswith("Service ")


@dataclass(frozen=True, eq=False)
class RouteContext:
    """What every reader of route objects needs, made once per platform."""

    platform: Platform

    @cached_property
    def hosts(self) -> Hosts:
        """Host name resolution."""
        return Hosts(self.platform)

    @cached_property
    def dns(self) -> Dns:
        """Who can reach a name."""
        return Dns(self.platform, self.hosts)

    @cached_property
    def proxies(self) -> tuple[Proxy, ...]:
        """Reverse proxies."""
        return find_proxies(self.platform)

    @cached_property
    def reader(self) -> MiddlewareReader:
        """Middlewares by name."""
        kinds = ("Middleware", "MiddlewareTCP")
        found = {(item.kind, item.namespace, item.name): item for kind in kinds for item in self.platform.by_kind(kind)}
        return MiddlewareReader(found, self.hosts)

    @cached_property
    def certificates(self) -> dict[str, str]:
        """Certificate ids by the id of the Secret they fill; copies of a Secret point at the same Certificate."""
        found: dict[str, str] = {}
        names: dict[str, str] = {}
        for item in self.platform.by_kind("Certificate", "cert-manager.io"):
            if item.spec.get("secretName"):
                node = f"Certificate {item.namespace}/{item.name}"
                found[f"Secret {item.namespace}/{item.spec['secretName']}"] = node
                names.setdefault(str(item.spec["secretName"]), node)
        for item in self.platform.by_kind("Secret", ""):
            if item.origin.by.startswith("reflector copy") and item.name in names:
                found.setdefault(f"Secret {item.namespace}/{item.name}", names[item.name])
        return found

    def route(
        self,
        item: KubeObject,
        host: str,
        path: str,
        proxy: Proxy | None,
        backends: Iterable[Backend],
        *,
        middlewares: Iterable[Middleware] = (),
        entry_points: tuple[str, ...] = (),
        tls_secret: str | None = None,
        field: str = "",
        protocol: Literal["http", "tcp", "udp"] = "http",
        internal: str = "",
        also: tuple[KubeObject, ...] = (),
        hint: str = "",
    ) -> EntryRoute:
        """One route of ``item`` with everything that follows from host, proxy and middlewares."""
        guards = tuple(middlewares)
        ends = tuple(backends)
        service = proxy.service_id if proxy else None
        exposure = self.dns.exposure(host, (item, *also), service)
        hinted = any(word in f"{item.name} {hint}".lower() for word in ("external", "public"))
        public = exposure.public or (hinted and not exposure.why)
        return EntryRoute(
            id=host if path == "/" else f"{host}{path}",
            host=host,
            path=path,
            protocol=protocol,
            external=public and not private_only(guards),
            edge=exposure.edge,
            load_balancer=proxy.addresses[0] if proxy and proxy.addresses else None,
            entry_service=service,
            entry_workload=proxy.workload.id if proxy and proxy.workload else None,
            entry_points=entry_points,
            middlewares=guards,
            backends=tuple(end for end in ends if not end.mirror),
            mirrors=tuple(end for end in ends if end.mirror),
            tls_secret=tls_secret,
            certificate=self.certificates.get(tls_secret) if tls_secret else None,
            namespace=item.namespace,
            object_id=f"{item.kind} {item.namespace}/{item.name}",
            origin=item.origin,
            field=field,
            internal=internal,
            tunnel=next((rule.workload for rule in self.dns.tunnel if exposure.origin is rule.origin), None),
        )

    def backend(self, namespace: str, name: object, port: object, weight: float = 1.0) -> Backend:
        """A backend Service with its port resolved to a number where the Service tells."""
        service = self.hosts.service(namespace, str(name))
        written = port if isinstance(port, (int, str)) and not isinstance(port, bool) else None
        if isinstance(written, str) and written.isdigit():
            written = int(written)
        number = self.hosts.port_number(service, written) if service is not None else None
        return Backend(f"Service {namespace}/{name}", number if number is not None else written, weight)


def entry_routes(platform: Platform) -> tuple[EntryRoute, ...]:
    """Every way into the platform: Traefik routes, Ingresses, Gateway API routes, tunnel rules without a route.

    Ids are unique: where two objects claim one host and path, the later ones carry their object's name as well.
    """
    from models.graph.gateway import gateway_routes
    from models.graph.ingress import ingress_routes
    from models.graph.traefik import traefik_routes

    context = RouteContext(platform)
    found = [*traefik_routes(context), *ingress_routes(context), *gateway_routes(context)]
    found += _tunnel_routes(context, found)
    return tuple(_unique(found))


def service_routes(platform: Platform, names: Iterable[str]) -> tuple[EntryRoute, ...]:
    """Routes to Services that clients call without a proxy: ``namespace/name`` each, once; unknown ones left out."""
    context = RouteContext(platform)
    found: dict[str, EntryRoute] = {}
    for name in dict.fromkeys(item.removeprefix("Service ") for item in names):
        namespace, _, last = name.partition("/")
        service = platform.get("Service", namespace, last)
        if service is None:
            continue
        port = next((entry.get("port") for entry in maps(service.spec.get("ports"))), None)
        found[name] = EntryRoute(
            id=name,
            host=name,
            path="/",
            protocol="http",
            external=False,
            edge=None,
            load_balancer=None,
            entry_service=None,
            entry_workload=None,
            entry_points=(),
            middlewares=(),
            backends=(context.backend(namespace, last, port),),
            tls_secret=None,
            certificate=None,
            namespace=namespace,
            object_id=f"Service {name}",
            origin=service.origin,
        )
    return tuple(found.values())


def _unique(routes: Iterable[EntryRoute]) -> Iterator[EntryRoute]:
    seen: dict[str, int] = {}
    for item in routes:
        name = item.id
        if name in seen:
            name = f"{name} ({item.object_id.partition(' ')[2]})"
        count = seen.get(name, 0) + 1
        seen[name] = count
        seen.setdefault(item.id, 1)
        yield item if name == item.id and count == 1 else replace(item, id=name if count == 1 else f"{name} #{count}")


def _tunnel_routes(context: RouteContext, known: list[EntryRoute]) -> Iterator[EntryRoute]:
    """Tunnel rules that lead straight to an application instead of to a proxy."""
    fronts = {item.entry_service for item in known} | {proxy.service_id for proxy in context.proxies}
    for rule in context.dns.tunnel:
        if rule.service is None or rule.service in fronts:
            continue
        _, _, place = rule.service.partition(" ")
        namespace, _, name = place.partition("/")
        yield EntryRoute(
            id=rule.host if rule.path == "/" else f"{rule.host}{rule.path}",
            host=rule.host,
            path=rule.path,
            protocol="http",
            external=True,
            edge="cloudflare",
            load_balancer=None,
            entry_service=None,
            entry_workload=rule.workload,
            entry_points=(),
            middlewares=(),
            backends=(context.backend(namespace, name, rule.port),),
            tls_secret=None,
            certificate=None,
            namespace=rule.namespace,
            object_id=rule.workload,
            origin=rule.origin,
            field=rule.field,
            tunnel=rule.workload,
        )


def default_tls(platform: Platform) -> str | None:
    """Secret of Traefik's default certificate: the ``TLSStore`` called default, wherever it is."""
    for item in platform.by_kind("TLSStore"):
        if item.name == "default":
            name = mapping(item.spec.get("defaultCertificate")).get("secretName")
            listed = [entry.get("secretName") for entry in maps(item.spec.get("certificates"))]
            for chosen in (name, *listed):
                if chosen:
                    return f"Secret {item.namespace}/{chosen}"
    return None
