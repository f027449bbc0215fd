"""What each route needs to be reachable: edge, address, proxy, guards, backends, and all that those need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import networkx as nx

from models.graph.middlewares import ForwardAuth
from models.graph.routes import EntryRoute, default_tls, entry_routes
from models.operators.make import mapping
from models.platform import Platform, Workload
from models.scheduler.selectors import set_selector
from sim.platform.workloads import DNS_SERVICE


@dataclass(frozen=True)
class RouteModel:
    """The needs of one route. All services are ids ("Service namespace/name").

    ``externals``: outside systems on the way; ``entry``: the proxy's service, reached through a load balancer;
    ``guards``: services that every request asks first; ``backends``: (service, weight); ``needs``: per backend, the
    services that it cannot do without (transitively); ``wants``: services whose absence degrades the answer;
    ``tunnel``: the workload that carries the route in, "" for none; ``certificate``: what must not have expired.
    """

    id: str
    externals: tuple[str, ...] = ()
    entry: str = ""
    guards: tuple[str, ...] = ()
    backends: tuple[tuple[str, float], ...] = ()
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    wants: tuple[str, ...] = ()
    tunnel: str = ""
    certificate: str = ""

    @property
    def services(self) -> frozenset[str]:
        """Every service that the route's availability depends on."""
        chains = [service for needed in self.needs.values() for service in needed]
        names = [self.entry, *self.guards, *(service for service, _ in self.backends), *chains, *self.wants]
        return frozenset(name for name in names if name)


@dataclass(frozen=True)
class Dependencies:
    """Services that workloads need, by workload id: always (hard), for full answers (soft), to start (startup)."""

    hard: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    soft: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    startup: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


NO_DEPENDENCIES = Dependencies()

_CALLS = frozenset({"calls", "queries", "caches-in"})


def dependencies_of(graph: nx.MultiDiGraph[str]) -> Dependencies:
    """The dependencies in a platform graph: edges of kind calls, queries and caches-in that lead to Services."""
    found: dict[str, dict[str, dict[str, None]]] = {"hard": {}, "soft": {}, "startup": {}}
    for source, target, data in graph.edges(data=True):
        if str(data.get("kind")) not in _CALLS or not str(target).startswith("Service "):
            continue
        strengths = {str(data.get("strength", "hard")), *(["startup"] if data.get("startup") else [])}
        for workload in graph.nodes[source].get("workloads") or (source,):
            for strength in sorted(strengths):
                found.setdefault(strength, {}).setdefault(str(workload), {})[str(target)] = None
    frozen = {name: {key: tuple(items) for key, items in edges.items()} for name, edges in found.items()}
    return Dependencies(frozen["hard"], frozen["soft"], frozen["startup"])


def compile_routes(
    platform: Platform,
    workloads: Iterable[Workload],
    dependencies: Dependencies = NO_DEPENDENCIES,
    direct: Iterable[EntryRoute] = (),
) -> tuple[RouteModel, ...]:
    """The needs of every way into the platform. ``workloads`` include an implicit CoreDNS, which every call by name
    inside the cluster then needs. ``direct``: Services that clients call without a proxy.

    Routes to services that an incompletely rendered tree does not show are left out (:func:`unseen_routes`).
    """
    behind = _selected(platform, list(workloads))
    dns = DNS_SERVICE if DNS_SERVICE in behind or platform.get("Service", "kube-system", "kube-dns") else ""
    secret = default_tls(platform)
    tls = _certificates(platform).get(secret, secret) if secret else None
    return tuple(
        _model(route, behind, dependencies, dns, tls)
        for route in (*entry_routes(platform), *direct)
        if (route.backends or route.internal) and not _unseen(platform, route, behind)
    )


def unseen_routes(platform: Platform) -> tuple[str, ...]:
    """Routes that lead to something the tree does not show, because a chart or a remote file could not be had."""
    behind = _selected(platform, [])
    return tuple(route.id for route in entry_routes(platform) if _unseen(platform, route, behind))


def _unseen(platform: Platform, route: EntryRoute, behind: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether a backend is not there or selects nothing, in a tree of which a part is missing."""
    if platform.rendered.complete:
        return False
    manual = {
        f"Service {item.namespace}/{item.name}" for item in platform.services if not mapping(item.spec.get("selector"))
    }
    return any(not behind.get(backend.service) and backend.service not in manual for backend in route.backends)


def _certificates(platform: Platform) -> dict[str, str]:
    """Certificate ids by the id of the Secret that they fill."""
    return {
        f"Secret {item.namespace}/{item.spec['secretName']}": f"Certificate {item.namespace}/{item.name}"
        for item in platform.by_kind("Certificate", "cert-manager.io")
        if item.spec.get("secretName")
    }


def _selected(platform: Platform, workloads: list[Workload]) -> dict[str, tuple[str, ...]]:
    """Workload ids behind each Service id."""
    found = {
        f"Service {item.namespace}/{item.name}": tuple(work.id for work in platform.service_workloads(item))
        for item in platform.services
    }
    chosen = set_selector({"k8s-app": "kube-dns"})
    implicit = [item.id for item in workloads if item.namespace == "kube-system" and chosen.matches(item.labels)]
    if implicit:
        found.setdefault(DNS_SERVICE, tuple(implicit))
    return found


def _model(
    route: EntryRoute, behind: Mapping[str, tuple[str, ...]], dependencies: Dependencies, dns: str, tls: str | None
) -> RouteModel:
    guards = tuple(item.service for item in route.middlewares if isinstance(item, ForwardAuth) and item.service)
    needs: dict[str, tuple[str, ...]] = {}
    wants: dict[str, None] = {}
    for service in dict.fromkeys([*guards, *(backend.service for backend in route.backends)]):
        hard, soft = _closure(service, behind, dependencies)
        hard = tuple(item for item in hard if behind.get(item))
        soft = tuple(item for item in soft if behind.get(item))
        # Calls inside the cluster go by name; so does the question to a guard, but not the step to a backend.
        by_name = bool(hard) or service in guards
        needs[service] = (*hard, dns) if by_name and dns and service != dns else hard
        wants.update(dict.fromkeys(soft))
    externals = ("internet", *((route.edge,) if route.edge else ())) if route.external else ()
    return RouteModel(
        id=route.id,
        externals=externals,
        entry=route.entry_service or "",
        guards=guards,
        backends=tuple((backend.service, backend.weight) for backend in route.backends),
        needs=needs,
        wants=tuple(item for item in wants if not any(item in chain for chain in needs.values())),
        tunnel=route.tunnel or "",
        certificate="" if route.direct else route.certificate or route.tls_secret or (tls or ""),
    )


def _closure(
    service: str, behind: Mapping[str, tuple[str, ...]], dependencies: Dependencies
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Services that a service needs through its workloads, transitively, and those it wants; itself left out.

    What nothing in the tree answers for cannot come or go in a simulation; the caller leaves it out.
    """
    hard: dict[str, None] = {}
    soft: dict[str, None] = {}
    stack = [service]
    while stack:
        for workload in behind.get(stack.pop(), ()):
            soft.update(dict.fromkeys(dependencies.soft.get(workload, ())))
            for needed in dependencies.hard.get(workload, ()):
                if needed not in hard and needed != service:
                    hard[needed] = None
                    stack.append(needed)
    return tuple(hard), tuple(item for item in soft if item not in hard and item != service)


def balanced_services(platform: Platform) -> dict[str, str]:
    """Services of type LoadBalancer by id, with their address ("" where nothing says which)."""
    found = {}
    for item in platform.services:
        if mapping(item.spec).get("type") == "LoadBalancer":
            addresses = platform.load_balancer_addresses.get(item.key, ())
            found[f"Service {item.namespace}/{item.name}"] = addresses[0] if addresses else ""
    return found
