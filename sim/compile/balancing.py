"""How a caller chooses among the pods of a Service, from what the tree says about both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from models.graph.routes import EntryRoute
from models.objects import KubeObject
from models.platform import Platform
from sim.program import Policy

TRAEFIK_COOKIE = "traefik.ingress.kubernetes.io/service.sticky.cookie"
TRAEFIK_NATIVE = "traefik.ingress.kubernetes.io/service.nativelb"
"""Annotations of a Service: traefik docs/content/reference/routing-configuration/kubernetes/ingress.md."""


def through_kube_proxy(platform: Platform, service: str, policy: Policy) -> Policy:
    """An app calls a Service's address: kube-proxy picks a pod at random, or by client (sessionAffinity ClientIP)."""
    found = _service(platform, service)
    affinity = found.spec.get("sessionAffinity") if found is not None else None
    return replace(policy, balance="random", sticky=affinity == "ClientIP")


def through_reverse_proxy(platform: Platform, route: EntryRoute, service: str, policy: Policy) -> Policy:
    """A reverse proxy knows the endpoints and goes round them, with a cookie if asked; ``nativeLB`` leaves it to
    kube-proxy. Traefik's ``p2c`` strategy is taken for least connections, its limit for many choices."""
    reference = _reference(platform, route, service)
    found = _service(platform, service)
    notes: Mapping[str, Any] = (found.metadata.get("annotations") or {}) if found is not None else {}
    if reference.get("nativeLB") is True or str(notes.get(TRAEFIK_NATIVE, "")).lower() == "true":
        return through_kube_proxy(platform, service, policy)
    cookie = (reference.get("sticky") or {}).get("cookie") is not None
    cookie = cookie or str(notes.get(TRAEFIK_COOKIE, "")).lower() == "true"
    least = str(reference.get("strategy", "")).lower() == "p2c"
    return replace(policy, balance="least_connections" if least else "round_robin", sticky=cookie)


def _service(platform: Platform, service: str) -> KubeObject | None:
    namespace, _, name = service.removeprefix("Service ").partition("/")
    return platform.get("Service", namespace, name) if service.startswith("Service ") else None


def _reference(platform: Platform, route: EntryRoute, service: str) -> Mapping[str, Any]:
    """The entry of an IngressRoute that names the service."""
    kind, _, rest = route.object_id.partition(" ")
    namespace, _, name = rest.partition("/")
    item = platform.get(kind, namespace, name) if kind == "IngressRoute" else None
    for rule in (item.spec.get("routes") or ()) if item is not None else ():
        for entry in rule.get("services") or () if isinstance(rule, Mapping) else ():
            if isinstance(entry, Mapping) and entry.get("name") == service.rpartition("/")[2]:
                return entry
    return {}
