"""Which host names the internet can use, and through whom: tunnels, proxied DNS records, dynamic DNS."""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import yaml

from models.graph.hosts import Hosts
from models.objects import KubeObject, Origin
from models.operators.make import items, mapping, maps
from models.platform import Platform, Workload

CLOUDFLARE = "cloudflare"
_ANNOTATION = "external-dns.alpha.kubernetes.io/"
_TUNNEL_IMAGE = re.compile(r"(^|/)cloudflared(:|@|$)")
_DDNS_IMAGE = re.compile(r"ddns|cloudflare-dyndns|inadyn|ddclient", re.IGNORECASE)
_EXTERNAL_DNS_IMAGE = re.compile(r"(^|/)external-dns(:|@|$)")
_SOURCES = {
    "Ingress": "ingress",
    "IngressRoute": "traefik-proxy",
    "IngressRouteTCP": "traefik-proxy",
    "IngressRouteUDP": "traefik-proxy",
    "HTTPRoute": "gateway-httproute",
    "GRPCRoute": "gateway-grpcroute",
    "TLSRoute": "gateway-tlsroute",
    "TCPRoute": "gateway-tcproute",
    "Service": "service",
}


@dataclass(frozen=True)
class TunnelRule:
    """One ingress rule of a cloudflared tunnel: a host pattern ("*" for all) and the URL it leads to."""

    host: str
    path: str
    url: str
    service: str | None
    port: int | None
    workload: str
    namespace: str
    origin: Origin
    field: str


@dataclass(frozen=True)
class Exposure:
    """What is known about a name: whether the internet resolves it to us, the edge in front, where it says so."""

    public: bool
    edge: str | None
    why: str = ""
    origin: Origin | None = None


@dataclass(frozen=True, eq=False)
class Dns:
    """Answers who can reach a host name of this platform."""

    platform: Platform
    hosts: Hosts

    @cached_property
    def tunnel(self) -> tuple[TunnelRule, ...]:
        """Rules of all cloudflared tunnels whose configuration is in the tree, in order."""
        return tuple(
            rule
            for workload in self.platform.workloads
            if _runs(workload, _TUNNEL_IMAGE)
            for rule in self._tunnel_rules(workload)
        )

    @cached_property
    def _dynamic(self) -> tuple[tuple[str, bool, KubeObject], ...]:
        """(host pattern, proxied, workload's object) of dynamic DNS clients."""
        found: list[tuple[str, bool, KubeObject]] = []
        for workload in self.platform.workloads:
            if not _runs(workload, _DDNS_IMAGE):
                continue
            for container in workload.containers:
                values = {str(e.get("name")): str(e.get("value") or "") for e in maps(container.get("env"))}
                proxied = any("PROXIED" in name and value.lower() == "true" for name, value in values.items())
                for name, text in values.items():
                    if re.search(r"DOMAIN|RECORD|HOST|ZONE|SUBDOMAIN", name) and "." in text:
                        found += [(part, proxied, workload.object) for part in re.split(r"[,\s]+", text) if "." in part]
        return tuple(found)

    @cached_property
    def _publishers(self) -> tuple[tuple[frozenset[str], bool], ...]:
        """(sources, proxied by default) of every external-dns that writes to Cloudflare."""
        found = []
        for workload in self.platform.workloads:
            if not _runs(workload, _EXTERNAL_DNS_IMAGE):
                continue
            for container in workload.containers:
                args = [str(text) for text in items(container.get("args"))]
                if "--provider=cloudflare" in args:
                    sources = frozenset(text.removeprefix("--source=") for text in args if text.startswith("--source="))
                    found.append((sources, "--cloudflare-proxied" in args or "--cloudflare-proxied=true" in args))
        return tuple(found)

    @cached_property
    def _endpoints(self) -> tuple[tuple[str, bool, bool, KubeObject], ...]:
        """(name, public, proxied, object) of external-dns ``DNSEndpoint`` records."""
        found = []
        for item in self.platform.by_kind("DNSEndpoint"):
            for entry in maps(item.spec.get("endpoints")):
                proxied = any(
                    option.get("name") == _ANNOTATION + "cloudflare-proxied" and str(option.get("value")) == "true"
                    for option in maps(entry.get("providerSpecific"))
                )
                targets = [str(target) for target in items(entry.get("targets"))]
                found.append((str(entry.get("dnsName") or ""), _public(targets), proxied, item))
        return tuple(found)

    def exposure(self, host: str, sources: tuple[KubeObject, ...], service: str | None) -> Exposure:
        """Who can reach ``host``, declared by ``sources`` (route, then its gateway) and served by ``service``."""
        for rule in self.tunnel:
            if matches(rule.host, host):
                if "://" in rule.url and rule.service in (None, service):
                    return Exposure(True, CLOUDFLARE, f"tunnel rule for {rule.host}", rule.origin)
                break
        for item in sources:
            found = self._annotated(item)
            if found is not None:
                return found
        for name, public, proxied, item in self._endpoints:
            if matches(name, host):
                return Exposure(public or proxied, CLOUDFLARE if proxied else None, "DNSEndpoint", item.origin)
        for name, proxied, item in self._dynamic:
            if matches(name, host):
                return Exposure(True, CLOUDFLARE if proxied else None, "dynamic DNS", item.origin)
        return Exposure(False, None)

    def _annotated(self, item: KubeObject) -> Exposure | None:
        annotations = item.annotations
        proxied = annotations.get(_ANNOTATION + "cloudflare-proxied")
        target = annotations.get(_ANNOTATION + "target", "")
        targets = [part.strip() for part in target.split(",") if part.strip()]
        if proxied == "true" or any(part.endswith(".cfargotunnel.com") for part in targets):
            return Exposure(True, CLOUDFLARE, "proxied DNS record", item.origin)
        if targets:
            default = any(flag for sources, flag in self._publishers if _SOURCES.get(item.kind, "") in sources)
            public = _public(targets)
            edge = CLOUDFLARE if public and default and proxied != "false" else None
            return Exposure(public, edge, f"DNS record to {target}", item.origin)
        if proxied == "false":
            return Exposure(False, None, "DNS record that is not proxied", item.origin)
        return None

    def _tunnel_rules(self, workload: Workload) -> Iterator[TunnelRule]:
        for volume in maps(workload.pod_spec.get("volumes")):
            name = mapping(volume.get("configMap")).get("name")
            config = self.platform.get("ConfigMap", workload.namespace, str(name)) if name else None
            if config is None:
                continue
            for key, text in mapping(config.get("data")).items():
                for index, entry in enumerate(maps(_config(text).get("ingress"))):
                    url = str(entry.get("service") or "")
                    host, port = split_url(url)
                    found = self.hosts.resolve(host, workload.namespace) if host else None
                    yield TunnelRule(
                        str(entry.get("hostname") or "*"),
                        str(entry.get("path") or "/"),
                        url,
                        (found.service_id or None) if found else None,
                        port,
                        workload.id,
                        workload.namespace,
                        config.origin,
                        f"data.{key}.ingress[{index}]",
                    )


def split_url(url: str) -> tuple[str, int | None]:
    """Host and port of a URL; ("", None) for what is none. The port defaults by scheme."""
    if "://" not in url:
        return "", None
    try:
        parts = urlsplit(url)
        return parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", None


def matches(pattern: str, host: str) -> bool:
    """Whether a DNS pattern ("*.example.org", "*") covers ``host``; an equal text always does."""
    return pattern == host or pattern == "*" or ("*" in pattern and fnmatch.fnmatchcase(host, pattern))


def _runs(workload: Workload, image: re.Pattern[str]) -> bool:
    return any(image.search(str(container.get("image") or "")) for container in workload.containers)


def _public(targets: list[str]) -> bool:
    """Whether a record points somewhere on the internet: a name, or an address that is routed there."""
    for target in targets:
        try:
            if ipaddress.ip_address(target).is_global:
                return True
        except ValueError:
            return True
    return False


def _config(text: Any) -> Mapping[str, Any]:
    if not isinstance(text, str) or "ingress" not in text or len(text) > 200_000 or "&" in text:
        return {}
    try:
        return mapping(yaml.safe_load(text))
    except yaml.YAMLError:
        return {}
