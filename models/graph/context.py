"""What all rules of the graph share: the platform, its hosts and routes, and the names of nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from models.graph.classify import Classifier
from models.graph.environment import Environment
from models.graph.hosts import Hosts
from models.graph.middlewares import ForwardAuth
from models.graph.routes import EntryRoute, entry_routes
from models.graph.schema import Edge, Evidence, Strength, node_id
from models.objects import KubeObject, Missing, Origin
from models.operators.make import maps
from models.platform import Platform, Workload


@dataclass(frozen=True)
class Dangling:
    """A reference that nothing in the tree answers: who refers, to which node, and where it says so."""

    source: str
    target: str
    namespace: str
    evidence: Evidence
    optional: bool = False


@dataclass(frozen=True, eq=False)
class Context:
    """Shared look-ups of one platform, each made once."""

    platform: Platform

    @cached_property
    def hosts(self) -> Hosts:
        """Host names."""
        return Hosts(self.platform)

    @cached_property
    def routes(self) -> tuple[EntryRoute, ...]:
        """Ways in."""
        return entry_routes(self.platform)

    @cached_property
    def reached(self) -> frozenset[str]:
        """Ids of the workloads that stand behind a way in."""
        ends = {end.service for route in self.routes for end in route.backends}
        return frozenset(item.id for end in ends for item in self.behind(end))

    def behind(self, service_id: str) -> tuple[Workload, ...]:
        """The workloads that a Service selects, by its node id."""
        namespace, _, name = service_id.partition(" ")[2].partition("/")
        service = self.hosts.service(namespace, name)
        return self.platform.service_workloads(service) if service is not None else ()

    @cached_property
    def environment(self) -> Environment:
        """What containers read."""
        return Environment(self.platform)

    @cached_property
    def classifier(self) -> Classifier:
        """Kinds of calls."""
        return Classifier(self.platform)

    @cached_property
    def _owners(self) -> Mapping[str, str]:
        """Workload id to node id: a workload that an operator made stands under its custom resource."""
        found = {}
        for workload in self.platform.workloads:
            found[workload.id] = workload.id
            if workload.provenance == "derived":
                for owner in maps(workload.object.metadata.get("ownerReferences")):
                    found[workload.id] = node_id(str(owner.get("kind")), workload.namespace, str(owner.get("name")))
        return found

    def node_of(self, workload: Workload | str) -> str:
        """The node of a workload."""
        name = workload if isinstance(workload, str) else workload.id
        return self._owners.get(name, name)

    @cached_property
    def workloads_of(self) -> Mapping[str, tuple[Workload, ...]]:
        """Node id to the workloads that stand under it."""
        found: dict[str, list[Workload]] = {}
        for workload in self.platform.workloads:
            found.setdefault(self.node_of(workload), []).append(workload)
        return {node: tuple(listed) for node, listed in found.items()}

    @cached_property
    def charts(self) -> Mapping[str, tuple[Missing, str]]:
        """Charts that could not be read, by node id, with the namespace of the release as far as it is known."""
        found = {}
        for item in self.platform.rendered.missing:
            if item.kind == "chart" and not item.modelled:
                namespace = item.namespace or self._namespace_near(item.origin.file)
                release = item.release or item.what.split(" ")[0].rpartition("/")[2]
                found[node_id("Chart", namespace, release)] = (item, namespace)
        return found

    def _namespace_near(self, file: str) -> str:
        """The namespace of the objects that are written below the folder of ``file``: the most frequent one."""
        parts = file.split("/")[:-1]
        for depth in range(len(parts), -1, -1):
            below = "".join(f"{part}/" for part in parts[:depth])
            counted: dict[str, int] = {}
            for item in self.platform.rendered.objects:
                if item.namespace and item.origin.file.startswith(below):
                    counted[item.namespace] = counted.get(item.namespace, 0) + 1
            if counted:
                return min(counted, key=lambda name: (-counted[name], name))
        return ""

    @cached_property
    def made_claims(self) -> Mapping[str, tuple[KubeObject, ...]]:
        """Claims that a controller makes, by "namespace/name" of what they are made for."""
        found: dict[str, list[KubeObject]] = {}
        for item in self.platform.claims:
            if item.origin.provenance == "derived":
                found.setdefault(item.origin.by.rpartition(" ")[2], []).append(item)
        return {owner: tuple(listed) for owner, listed in found.items()}

    def route_needs(self, route: EntryRoute) -> tuple[str, ...]:
        """Nodes that a route cannot do without, its backends apart: proxy, address, guards, certificate."""
        needed = [route.object_id, route.entry_service or "", route.tls_secret or ""]
        if route.entry_workload:
            needed.append(self.node_of(route.entry_workload))
        if route.load_balancer and not route.tunnel:
            needed.append(node_id("LoadBalancerAddress", "", route.load_balancer))
        if route.tunnel and route.external:
            needed.append(self.node_of(route.tunnel))
        for middleware in route.middlewares:
            needed.append(middleware.id)
            if isinstance(middleware, ForwardAuth) and middleware.service:
                needed.append(middleware.service)
        return tuple(dict.fromkeys(node for node in needed if node))

    @cached_property
    def routes_touching(self) -> Mapping[str, tuple[EntryRoute, ...]]:
        """Node to the routes that need it or send to it."""
        found: dict[str, list[EntryRoute]] = {}
        for route in self.routes:
            for node in dict.fromkeys((*self.route_needs(route), *(item.service for item in route.backends))):
                found.setdefault(node, []).append(route)
        return {node: tuple(listed) for node, listed in found.items()}

    @cached_property
    def route_hosts(self) -> Mapping[str, tuple[EntryRoute, ...]]:
        """Public host name to its routes."""
        found: dict[str, list[EntryRoute]] = {}
        for route in self.routes:
            found.setdefault(route.host, []).append(route)
        return {host: tuple(listed) for host, listed in found.items()}


def edge(
    source: str,
    target: str,
    kind: str,
    rule: str,
    origin: Origin,
    field: str,
    text: str = "",
    *,
    strength: Strength = Strength.HARD,
    confidence: float = 1.0,
    **details: object,
) -> Edge:
    """An edge with one piece of evidence."""
    return Edge(source, target, kind, strength, (Evidence(rule, origin, field, text, confidence),), details)


def id_of(item: KubeObject) -> str:
    """The node id of an object."""
    return node_id(item.kind, item.namespace, item.name)
