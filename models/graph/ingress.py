"""``Ingress`` objects of any class, with the annotations of Traefik and ingress-nginx that change who may pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from models.graph.middlewares import BasicAuth, InFlightReq, IpAllowList, Middleware, RateLimit, Redirect
from models.graph.proxies import Proxy, proxy_of_class
from models.graph.routes import Backend, EntryRoute, RouteContext
from models.objects import KubeObject
from models.operators.make import items, mapping, maps, whole

_NGINX = "nginx.ingress.kubernetes.io/"
_TRAEFIK = "traefik.ingress.kubernetes.io/"


def ingress_routes(context: RouteContext) -> Iterator[EntryRoute]:
    """One route per host and path of every Ingress; a default backend is host "*"."""
    for item in context.platform.by_kind("Ingress"):
        named = str(item.spec.get("ingressClassName") or item.annotations.get("kubernetes.io/ingress.class") or "")
        proxy = _proxy(context, item, named)
        guards = tuple(_guards(context, item))
        points = item.annotations.get(_TRAEFIK + "router.entrypoints", "")
        names = tuple(part.strip() for part in points.split(",") if part.strip())
        secrets = _secrets(item)
        for host, path, backend, field in _rules(context, item):
            yield context.route(
                item,
                host,
                path,
                proxy,
                (backend,) if backend else (),
                middlewares=guards,
                entry_points=names,
                tls_secret=secrets.get(host),
                field=field,
                hint=f"{named} {points}",
            )


def _proxy(context: RouteContext, item: KubeObject, named: str) -> Proxy | None:
    if named == "cilium":
        own = item.annotations.get("ingress.cilium.io/loadbalancer-mode") == "dedicated"
        place = (item.namespace, f"cilium-ingress-{item.name}") if own else ("kube-system", "cilium-ingress")
        service = context.hosts.service(*place)
        if service is not None:
            return Proxy("cilium", None, service, context.platform.load_balancer_addresses.get(service.key, ()), named)
    return proxy_of_class(context.platform, context.proxies, named)


def _rules(context: RouteContext, item: KubeObject) -> Iterator[tuple[str, str, Backend | None, str]]:
    for index, rule in enumerate(maps(item.spec.get("rules"))):
        host = str(rule.get("host") or "*").lower()
        for number, entry in enumerate(maps(mapping(rule.get("http")).get("paths"))):
            path = str(entry.get("path") or "/")
            field = f"spec.rules[{index}].http.paths[{number}]"
            yield host, path, _backend(context, item, mapping(entry.get("backend"))), field
    default = mapping(item.spec.get("defaultBackend") or item.spec.get("backend"))
    if default:
        yield "*", "/", _backend(context, item, default), "spec.defaultBackend"


def _backend(context: RouteContext, item: KubeObject, entry: Mapping[str, Any]) -> Backend | None:
    service = mapping(entry.get("service"))
    if service.get("name"):
        port = mapping(service.get("port"))
        return context.backend(item.namespace, service["name"], port.get("number") or port.get("name"))
    if entry.get("serviceName"):
        return context.backend(item.namespace, entry["serviceName"], entry.get("servicePort"))
    return None


def _secrets(item: KubeObject) -> dict[str, str]:
    """TLS Secret per host; an entry without hosts counts for every host of the Ingress."""
    found: dict[str, str] = {}
    every = [str(rule.get("host") or "*").lower() for rule in maps(item.spec.get("rules"))]
    for entry in maps(item.spec.get("tls")):
        if entry.get("secretName"):
            for host in [str(name).lower() for name in items(entry.get("hosts"))] or every:
                found.setdefault(host, f"Secret {item.namespace}/{entry['secretName']}")
    return found


def _guards(context: RouteContext, item: KubeObject) -> Iterator[Middleware]:
    notes, origin = item.annotations, item.origin
    for reference in notes.get(_TRAEFIK + "router.middlewares", "").split(","):
        if reference.strip():
            yield from context.reader.provided(reference, item.namespace, origin)
    address = notes.get(_NGINX + "auth-url")
    if address:
        yield context.reader.forward_auth("", origin, address, item.namespace)
    if notes.get(_NGINX + "auth-type") and notes.get(_NGINX + "auth-secret"):
        name = notes[_NGINX + "auth-secret"]
        yield BasicAuth("", origin, f"Secret {name if '/' in name else f'{item.namespace}/{name}'}")
    allowed = notes.get(_NGINX + "whitelist-source-range") or notes.get(_NGINX + "allowlist-source-range")
    if allowed:
        yield IpAllowList("", origin, tuple(part.strip() for part in allowed.split(",") if part.strip()))
    # ingress-nginx lets limit-burst-multiplier (default 5) times the rate through at once.
    burst = whole(notes.get(_NGINX + "limit-burst-multiplier"), 5)
    for key, period in (("limit-rps", 1.0), ("limit-rpm", 60.0)):
        limit = whole(notes.get(_NGINX + key), 0)
        if limit:
            yield RateLimit("", origin, limit / period, limit * burst)
    if whole(notes.get(_NGINX + "limit-connections"), 0):
        yield InFlightReq("", origin, whole(notes[_NGINX + "limit-connections"], 0))
    if notes.get(_NGINX + "force-ssl-redirect") == "true":
        yield Redirect("", origin, scheme="https")
