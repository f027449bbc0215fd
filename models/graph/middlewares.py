"""What stands in front of a backend: Traefik middlewares (chains flattened), nginx annotations, Gateway filters."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from models.graph.hosts import Hosts
from models.objects import KubeObject, Origin
from models.operators.make import items, mapping, maps, whole
from models.units import parse_duration


@dataclass(frozen=True)
class Middleware:
    """A middleware of one route. ``id``: its node ("Middleware infra/auth"), "" for one that is no object."""

    id: str
    origin: Origin

    @property
    def kind(self) -> str:
        """What it does, in Traefik's word: ``forwardAuth``, ``rateLimit``, …"""
        name = type(self).__name__
        return name[0].lower() + name[1:]


@dataclass(frozen=True)
class ForwardAuth(Middleware):
    """Asks another service first. ``service``: id of that Service, None when outside; ``port`` of the address."""

    address: str
    service: str | None
    port: int | None


@dataclass(frozen=True)
class RateLimit(Middleware):
    """A token bucket: ``average_rps`` requests per second per source (0: no limit) and ``burst`` requests at once."""

    average_rps: float
    burst: int


@dataclass(frozen=True)
class InFlightReq(Middleware):
    """At most ``amount`` requests at the same time per source."""

    amount: int


@dataclass(frozen=True)
class IpAllowList(Middleware):
    """Lets only these networks in; everyone else gets 403."""

    ranges: tuple[str, ...]

    @property
    def private_only(self) -> bool:
        """Whether only addresses that are not routed on the internet may pass."""
        return bool(self.ranges) and all(_is_private(entry) for entry in self.ranges)


@dataclass(frozen=True)
class Retry(Middleware):
    """Tries a failed request again: ``attempts`` in total, the first included, from ``initial_interval_s`` on."""

    attempts: int
    initial_interval_s: float


@dataclass(frozen=True)
class BasicAuth(Middleware):
    """Asks for a password kept in a Secret of this id (None: written elsewhere)."""

    secret: str | None
    digest: bool = False


@dataclass(frozen=True)
class Headers(Middleware):
    """Sets request or response headers."""


@dataclass(frozen=True)
class Redirect(Middleware):
    """Answers with a redirect. ``scheme`` for a change of scheme, otherwise ``pattern``."""

    scheme: str = ""
    pattern: str = ""


@dataclass(frozen=True)
class Compress(Middleware):
    """Compresses responses."""


@dataclass(frozen=True)
class Rewrite(Middleware):
    """Changes the path: strip, add, replace."""

    how: str


@dataclass(frozen=True)
class Errors(Middleware):
    """Answers certain statuses from another service."""

    service: str | None


@dataclass(frozen=True)
class CircuitBreaker(Middleware):
    """Stops calling a backend while ``expression`` holds."""

    expression: str


@dataclass(frozen=True)
class Buffering(Middleware):
    """Reads the whole request first; ``max_request_body_b`` bytes at most (0: no limit)."""

    max_request_body_b: int


@dataclass(frozen=True)
class Plugin(Middleware):
    """A plugin: ``name`` and the services that its options name."""

    name: str
    services: tuple[str, ...]


@dataclass(frozen=True)
class Unresolved(Middleware):
    """A middleware that the route names and the tree does not have (``reference``); Traefik then drops the router."""

    reference: str


def _is_private(text: str) -> bool:
    try:
        network = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return False
    shared = isinstance(network, ipaddress.IPv4Network) and network.subnet_of(_CGNAT)
    return network.is_private or shared


_CGNAT = ipaddress.IPv4Network("100.64.0.0/10")
_HOST_PORT = re.compile(r"^(?:[a-z][\w+.\-]*://)?([\w.\-]+)(?::(\d{1,5}))?(?:/.*)?$", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class MiddlewareReader:
    """Reads the middlewares of one platform by reference."""

    objects: Mapping[tuple[str, str, str], KubeObject]
    hosts: Hosts

    def named(self, namespace: str, name: str, origin: Origin, kind: str = "Middleware") -> Iterator[Middleware]:
        """The middleware of that name, a chain as its members; a missing one comes as :class:`Unresolved`."""
        yield from self._walk(namespace, name, origin, kind, ())

    def provided(self, reference: str, namespace: str, origin: Origin) -> Iterator[Middleware]:
        """A reference in Traefik's form ``NAMESPACE-NAME@kubernetescrd`` (or a bare name in ``namespace``)."""
        name, _, provider = reference.strip().partition("@")
        if provider and provider != "kubernetescrd":
            yield Unresolved("", origin, reference.strip())
            return
        if not provider:
            yield from self.named(namespace, name, origin)
            return
        for kind, space, other in self.objects:
            if kind == "Middleware" and f"{space}-{other}" == name:
                yield from self.named(space, other, origin)
                return
        yield Unresolved("", origin, reference.strip())

    def _walk(
        self, namespace: str, name: str, origin: Origin, kind: str, above: tuple[tuple[str, str], ...]
    ) -> Iterator[Middleware]:
        found = self.objects.get((kind, namespace, name))
        if found is None or (namespace, name) in above:
            yield Unresolved(f"{kind} {namespace}/{name}", origin, f"{namespace}/{name}")
            return
        for what, options in found.spec.items():
            if what == "chain":
                for entry in maps(mapping(options).get("middlewares")):
                    space = str(entry.get("namespace") or namespace)
                    yield from self._walk(
                        space, str(entry.get("name")), found.origin, kind, (*above, (namespace, name))
                    )
            else:
                yield self._read(found, what, options)

    def _read(self, item: KubeObject, what: str, options: Any) -> Middleware:
        node, origin = f"{item.kind} {item.namespace}/{item.name}", item.origin
        given = mapping(options)
        match what:
            case "forwardAuth":
                return self.forward_auth(node, origin, str(given.get("address") or ""), item.namespace)
            case "rateLimit":
                period = _seconds(given.get("period"), 1.0) or 1.0
                return RateLimit(
                    node, origin, whole(given.get("average"), 0) / period, max(1, whole(given.get("burst"), 1))
                )
            case "inFlightReq" | "inFlightConn":
                return InFlightReq(node, origin, whole(given.get("amount"), 0))
            case "ipAllowList" | "ipWhiteList":
                return IpAllowList(node, origin, tuple(str(entry) for entry in items(given.get("sourceRange"))))
            case "retry":
                return Retry(
                    node, origin, max(1, whole(given.get("attempts"), 1)), _seconds(given.get("initialInterval"), 0.0)
                )
            case "basicAuth" | "digestAuth":
                name = given.get("secret")
                return BasicAuth(
                    node, origin, f"Secret {item.namespace}/{name}" if name else None, what == "digestAuth"
                )
            case "redirectScheme":
                return Redirect(node, origin, scheme=str(given.get("scheme") or ""))
            case "redirectRegex":
                return Redirect(node, origin, pattern=str(given.get("regex") or ""))
            case "compress":
                return Compress(node, origin)
            case "errors":
                return self._errors(item, node, given)
            case "circuitBreaker":
                return CircuitBreaker(node, origin, str(given.get("expression") or ""))
            case "buffering":
                return Buffering(node, origin, whole(given.get("maxRequestBodyBytes"), 0))
            case "plugin":
                return self._plugin(item, node, given)
            case "headers" | "contentType" | "grpcWeb" | "passTLSClientCert":
                return Headers(node, origin)
            case _:
                return Rewrite(node, origin, what)

    def _errors(self, item: KubeObject, node: str, given: Mapping[str, Any]) -> Errors:
        service = mapping(given.get("service"))
        space = service.get("namespace") or item.namespace
        return Errors(node, item.origin, f"Service {space}/{service['name']}" if service.get("name") else None)

    def forward_auth(self, node: str, origin: Origin, address: str, namespace: str) -> ForwardAuth:
        """A question to the service at ``address`` before every request."""
        parts = urlsplit(address if "//" in address else f"//{address}")
        try:
            host, port = parts.hostname or "", parts.port
        except ValueError:
            host, port = "", None
        found = self.hosts.resolve(host, namespace) if host else None
        port = port or {"http": 80, "https": 443}.get(parts.scheme)
        return ForwardAuth(node, origin, address, (found.service_id or None) if found else None, port)

    def _plugin(self, item: KubeObject, node: str, given: Mapping[str, Any]) -> Plugin:
        services: dict[str, None] = {}
        for text in _texts(given):
            match = _HOST_PORT.match(text)
            if match and ("." in match[1] or match[2]):
                found = self.hosts.resolve(match[1], item.namespace)
                if found.service_id and (found.kind == "service" or ".svc" in match[1]):
                    services[found.service_id] = None
        return Plugin(node, item.origin, next(iter(given), ""), tuple(services))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _seconds(value: Any, default: float) -> float:
    """A Go duration, or a bare number of seconds, as Traefik takes it."""
    if value is None:
        return default
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    try:
        return float(value) if str(value).isdigit() else parse_duration(value)
    except ValueError:
        return default


def private_only(middlewares: Sequence[Middleware]) -> bool:
    """Whether some middleware lets in private addresses only."""
    return any(isinstance(item, IpAllowList) and item.private_only for item in middlewares)
