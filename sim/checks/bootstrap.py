"""Does the cluster come up when everything in it is down?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Final

import networkx as nx

from models.findings import Severity
from models.graph.schema import DEPENDENCY_KINDS, Strength
from models.objects import KubeObject
from models.operators.make import items, mapping, maps
from models.platform import Workload
from sim.checks.check import Check, Defect, subject_of
from sim.checks.look import Look, Slot

_NEEDS: Final = DEPENDENCY_KINDS - {"routes-to"}
_DNS_IMAGE: Final = re.compile(
    r"(^|/)(adguardhome|adguard-home|pihole|blocky|technitium[\w\-]*|dns-server|unbound|bind9|dnsmasq|pdns[\w\-]*|coredns)"
    r"(:|@|$)",
    re.IGNORECASE,
)


class _Registries:
    """Image registries that the platform itself serves, and what must run before they answer."""

    def __init__(self, look: Look) -> None:
        self.look = look

    @cached_property
    def users(self) -> dict[str, list[Slot]]:
        """Registry host to the containers whose images come from it."""
        found: dict[str, list[Slot]] = {}
        for workload in self.look.platform.workloads:
            for slot in self.look.slots(workload):
                host = registry_of(str(slot.manifest.get("image") or ""))
                if host and self.servers(host, workload.namespace):
                    found.setdefault(host, []).append(slot)
        return found

    def servers(self, host: str, namespace: str) -> list[Workload]:
        """The workloads that answer for a registry host: behind its routes or its Service; none when it is outside."""
        name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
        context = self.look.context
        services = [end.service for route in context.route_hosts.get(name, ()) for end in route.backends]
        resolved = context.hosts.resolve(name, namespace)
        if resolved.kind == "service" and "." in name:
            services.append(resolved.service_id)
        found: list[Workload] = []
        for node in services:
            space, _, short = node.partition(" ")[2].partition("/")
            service = context.hosts.service(space, short)
            found += self.look.platform.service_workloads(service) if service is not None else ()
        return list(dict.fromkeys(found))

    def says(self, host: str, namespace: str) -> str:
        """Who serves a registry, in a sentence."""
        return ", ".join(item.id for item in self.servers(host, namespace))

    def needed(self, host: str, namespace: str) -> set[str]:
        """Ids of the workloads without which the registry does not answer: itself, its proxy, what both need."""
        context = self.look.context
        name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
        nodes = {context.node_of(item) for item in self.servers(host, namespace)}
        for route in context.route_hosts.get(name, ()):
            nodes |= set(context.route_needs(route))
        graph = self.look.standing.graph
        hard: nx.DiGraph[str] = nx.DiGraph()
        hard.add_edges_from(
            (a, b)
            for a, b, data in graph.edges(data=True)
            # A proxy leads to every route, and needs none of them to answer for this one.
            if data["kind"] in _NEEDS and data["strength"] == Strength.HARD
        )
        reached = set(nodes)
        for node in nodes & set(hard):
            reached |= nx.descendants(hard, node)
        return {item.id for node in reached for item in context.workloads_of.get(node, ())}


def registry_of(image: str) -> str:
    """The registry host of an image, "" for the default one (reference grammar of distribution/reference)."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else ""


def registry_needs_itself(look: Look) -> Iterator[Defect]:
    """A registry in the cluster that cannot start without an image that only it has."""
    registries = _Registries(look)
    for host, slots in registries.users.items():
        needed = registries.needed(host, slots[0].workload.namespace)
        for slot in slots:
            if slot.workload.id not in needed:
                continue
            yield Defect(
                f"{slot.workload.id} is needed to serve registry {host} and takes its own image from it: "
                "on an empty node neither starts",
                slot.workload.object,
                f"{slot.field}.image",
                (
                    f"image {slot.manifest.get('image')}",
                    f"{host} is served by {registries.says(host, slot.workload.namespace)}",
                ),
                "take that image from a registry outside of the cluster",
            )


def registry_in_cluster(look: Look) -> Iterator[Defect]:
    """Images from a registry in the cluster: while it is down, no pod starts on a node that has not got them."""
    registries = _Registries(look)
    for host, slots in registries.users.items():
        needed = registries.needed(host, slots[0].workload.namespace)
        users = list(dict.fromkeys(slot.workload.id for slot in slots if slot.workload.id not in needed))
        served = f"{host} is served by {registries.says(host, slots[0].workload.namespace)}"
        if users:
            first = next(slot for slot in slots if slot.workload.id == users[0])
            yield Defect(
                f"{len(users)} workload{'s take their images' if len(users) > 1 else ' takes its image'} from {host}, "
                "which runs in this cluster: after a cold start they wait for it",
                first.workload.object,
                f"{first.field}.image",
                (
                    served,
                    *(f"used by {name}" for name in users),
                ),
                "keep the images that a cold start needs in a registry outside, or preload them on the nodes",
            )


def dns_needs_itself(look: Look) -> Iterator[Defect]:
    """A DNS server in the cluster that must be reached, or whose image must be found, before it runs."""
    registries = _Registries(look)
    for workload in look.platform.workloads:
        slots = [slot for slot in look.slots(workload) if _DNS_IMAGE.search(str(slot.manifest.get("image") or ""))]
        addresses = _answers_at(look, workload) if slots else []
        if not slots or not addresses:
            continue
        inside = [
            slot
            for slot in look.slots(workload)
            if slot in registries.users.get(registry_of(str(slot.manifest.get("image") or "")), [])
        ]
        forwarding = list(_forwards_to(look, addresses))
        image = str(slots[0].manifest.get("image"))
        if inside:
            reason = f"its image {inside[0].manifest.get('image')} comes from a registry in the cluster"
        elif forwarding:
            reason = f"{subject_of(forwarding[0])} sends the cluster's questions to it"
        else:
            reason = f"its image {image} has to be found by name"
        yield Defect(
            f"{workload.id} answers DNS at {', '.join(addresses)}: while it is down, what it starts from is not found",
            workload.object,
            f"{(inside or slots)[0].field}.image",
            (reason, *(f"{subject_of(item)} is at {item.origin}" for item in forwarding)),
            "give the nodes a second resolver outside of the cluster, and keep the image on the nodes",
            severity=Severity.ERROR if inside else Severity.WARNING if forwarding else None,
        )


def _answers_at(look: Look, workload: Workload) -> list[str]:
    """Addresses outside of the cluster network at which a workload answers on port 53."""
    found = []
    if workload.pod_spec.get("hostNetwork") is True:
        found.append("the node's address")
    ports = [entry.get("hostPort") for slot in look.slots(workload) for entry in maps(slot.manifest.get("ports"))]
    if 53 in ports:
        found.append("the node's address")
    for service in look.platform.services:
        if service.spec.get("type") != "LoadBalancer" or workload not in look.platform.service_workloads(service):
            continue
        if any(entry.get("port") == 53 for entry in maps(service.spec.get("ports"))):
            listed = look.platform.load_balancer_addresses.get(service.key, ())
            found += listed or (f"Service {service.namespace}/{service.name}",)
    return list(dict.fromkeys(found))


def _forwards_to(look: Look, addresses: list[str]) -> Iterator[KubeObject]:
    """CoreDNS configurations, and pods with their own resolver, that name one of the addresses."""
    for item in look.platform.by_kind("ConfigMap", ""):
        if "coredns" in item.name and any(
            re.search(rf"forward\s[^\n]*(?<![\d.]){re.escape(address)}(?![\d.])", str(text))
            for text in mapping(item.manifest.get("data")).values()
            for address in addresses
        ):
            yield item
    for workload in look.platform.workloads:
        servers = {str(entry) for entry in items(mapping(workload.pod_spec.get("dnsConfig")).get("nameservers"))}
        if servers & set(addresses):
            yield workload.object


CHECKS = (
    Check(
        "REGISTRY-NEEDS-ITSELF",
        Severity.ERROR,
        "what serves a registry in the cluster takes its own image from it",
        registry_needs_itself,
    ),
    Check(
        "REGISTRY-IN-CLUSTER",
        Severity.WARNING,
        "images come from a registry that runs in the same cluster",
        registry_in_cluster,
    ),
    Check(
        "DNS-NEEDS-ITSELF",
        Severity.INFO,
        "a DNS server in the cluster needs DNS or a registry in the cluster to start",
        dns_needs_itself,
    ),
)
