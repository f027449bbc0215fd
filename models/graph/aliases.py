"""Services that stand for something else: another Service, a host outside, addresses that are written by hand."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from models.graph.context import Context, Dangling, edge, id_of
from models.graph.schema import Edge, Evidence, node_id
from models.objects import KubeObject
from models.operators.make import items, mapping, maps, whole


def alias_edges(context: Context) -> Iterator[Edge | Dangling]:
    """Where ExternalName Services and Services with hand-written endpoints lead to."""
    for service in context.platform.services:
        if service.spec.get("type") == "ExternalName":
            name = str(service.spec.get("externalName") or "")
            if name:
                yield from _leads(context, service, service, name, None, "spec.externalName", "external name")
        elif not mapping(service.spec.get("selector")):
            yield from _written(context, service)


def _written(context: Context, service: KubeObject) -> Iterator[Edge | Dangling]:
    """The addresses of the Endpoints of the Service's name, and of the EndpointSlices that name it."""
    endpoints = context.platform.get("Endpoints", service.namespace, service.name)
    if endpoints is not None:
        for index, subset in enumerate(maps(endpoints.manifest.get("subsets"))):
            port = next((whole(entry.get("port"), 0) for entry in maps(subset.get("ports"))), 0) or None
            for address in maps(subset.get("addresses")):
                field = f"subsets[{index}].addresses"
                yield from _leads(context, service, endpoints, str(address.get("ip")), port, field, "endpoints")
    for piece in context.platform.by_kind("EndpointSlice", "discovery.k8s.io"):
        named = piece.labels.get("kubernetes.io/service-name")
        if (piece.namespace, named) == (service.namespace, service.name):
            port = next((whole(entry.get("port"), 0) for entry in maps(piece.manifest.get("ports"))), 0) or None
            for index, entry in enumerate(maps(piece.manifest.get("endpoints"))):
                for address in items(entry.get("addresses")):
                    field = f"endpoints[{index}].addresses"
                    yield from _leads(context, service, piece, str(address), port, field, "endpoint slice")


def _leads(
    context: Context, service: KubeObject, item: KubeObject, name: str, port: int | None, field: str, rule: str
) -> Iterator[Edge | Dangling]:
    host = context.hosts.resolve(name, service.namespace)
    if host.kind in ("service", "missing"):
        yield edge(id_of(service), host.service_id, "routes-to", rule, item.origin, field, name, port=port)
        if host.kind == "missing":
            evidence = Evidence(rule, item.origin, field, name)
            yield Dangling(id_of(service), host.service_id, host.namespace, evidence)
    elif host.kind in ("external", "address") and not _is_pod(host.name):
        outside = node_id("External", "", f"{host.name}:{port}" if port else host.name)
        yield edge(id_of(service), outside, "reaches-out-to", rule, item.origin, field, name, port=port)


_PODS = tuple(ipaddress.ip_network(text) for text in ("10.42.0.0/16", "10.244.0.0/16"))


def _is_pod(name: str) -> bool:
    """Whether an address is one of the pod network: endpoints of a dump of a live cluster."""
    try:
        return any(ipaddress.ip_address(name) in network for network in _PODS)
    except (ValueError, TypeError):
        return False
