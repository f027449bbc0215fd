"""From graph, placement, profiles and scenario to a program that a request engine runs.

A request of a route becomes: client -> (edge) -> (tunnel) -> reverse proxy -> its middlewares -> the app's Service ->
the app's operation, which calls what the graph says the app calls. Only dependencies that the graph has evidence for
are called; how often comes from the app catalogue, and every guess is listed in ``Program.assumptions``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import networkx as nx

from models.catalog import AppProfile, CallProfile, OperationProfile
from models.cluster import Cluster
from models.errors import InputError, Problem, Where
from models.graph.middlewares import ForwardAuth, IpAllowList, RateLimit, Retry
from models.graph.routes import EntryRoute
from models.platform import Platform, Workload
from models.rules.quantity import bytes_of, cpu_millis
from models.rules.resources import pod_requests
from models.scenario import Scenario, Traffic
from sim import program as ir
from sim.balancing import through_kube_proxy, through_reverse_proxy
from sim.demand import Demand, running_containers
from sim.traces import read_trace

DEPENDENCIES = {"queries": "database", "caches-in": "cache", "calls": ""}
"""Edge kinds that mean requests, and the role in a call profile that each stands for."""

BACKEND_TIMEOUT_S = 30.0
"""Assumed patience of an app with its database, cache or other service."""

TLS_HANDSHAKE_MS = 1.5
"""CPU of the proxy for a full handshake: traefik.tls_extra_cpu_full_handshake of the app catalogue."""

NEW_CONNECTIONS = 0.1
"""Assumed share of requests that begin a TLS connection; the rest reuse one."""

UNKNOWN_SOFT_SHARE = 0.2
"""Assumed share of requests that use a soft dependency which the app's profile does not mention."""

SHAPES: dict[str, tuple[float, ...]] = {
    "flat": (1.0,) * 24,
    "evening": (2, 1, 1, 1, 1, 1, 2, 4, 4, 3, 3, 4, 5, 4, 4, 5, 6, 8, 10, 13, 14, 12, 8, 4),
    "office": (1, 1, 1, 1, 1, 1, 2, 5, 11, 14, 14, 13, 9, 12, 13, 13, 11, 8, 5, 3, 2, 2, 1, 1),
    "night": (12, 13, 13, 12, 10, 7, 4, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3, 4, 6, 8, 10),
}
"""Relative load per hour of the day. Assumed: the shape of a household, an office, and nightly jobs."""


@dataclass(frozen=True)
class Compiled:
    """A program without pods, and what the platform simulation needs to add them.

    ``services``: program index by Service id and by workload id (a workload's own service holds all its ready pods).
    ``stations``: per workload, a pod without name and node. ``routes``: entry route ids in program order.
    """

    program: ir.Program
    services: Mapping[str, int]
    stations: Mapping[str, ir.PodStation]
    nodes: Mapping[str, int]
    links: Mapping[str, int]
    traffic: tuple[Traffic, ...]

    def station(self, workload: str, pod: str, node: str) -> ir.PodStation:
        """The station of a pod of ``workload`` called ``pod`` on ``node``."""
        index = self.nodes[node]
        return replace(self.stations[workload], name=pod, node=index, disk=index)


@dataclass
class _Builder:
    """Collects the tables of a program; the order of insertion is the index."""

    platform: Platform
    graph: nx.MultiDiGraph[str]
    demands: Mapping[str, Demand]
    services: dict[str, int] = field(default_factory=dict)
    service_rows: list[ir.Service] = field(default_factory=list)
    operations: dict[tuple[str, str], int] = field(default_factory=dict)
    operation_rows: list[ir.Operation | None] = field(default_factory=list)
    assumptions: dict[str, None] = field(default_factory=dict)

    def service(self, name: str) -> int:
        if name not in self.services:
            self.services[name] = len(self.service_rows)
            self.service_rows.append(ir.Service(name))
        return self.services[name]

    def operation(self, service: str, name: str, instructions: Iterable[ir.Instruction] | None = None) -> int:
        key = (service, name)
        if key not in self.operations:
            self.operations[key] = len(self.operation_rows)
            self.operation_rows.append(None)
            if instructions is None:
                instructions = self._app_instructions(service, name)
            row = ir.Operation(f"{service} {name}", self.service(service), tuple(instructions))
            self.operation_rows[self.operations[key]] = row
        return self.operations[key]

    def finished(self) -> tuple[ir.Operation, ...]:
        rows = tuple(row for row in self.operation_rows if row is not None)
        if len(rows) != len(self.operation_rows):
            raise RuntimeError("an operation was left without instructions")
        return rows

    # ---------------------------------------------------------------------------------- apps

    def workload_of(self, service: str) -> Workload | None:
        """The workload behind a Service id or a workload id; the first when there are several."""
        if service in self.platform.workload_by_id:
            return self.platform.workload_by_id[service]
        namespace, _, name = service.removeprefix("Service ").partition("/")
        found = self.platform.get("Service", namespace, name)
        return next(iter(self.platform.service_workloads(found)), None) if found is not None else None

    def _app_instructions(self, service: str, name: str) -> list[ir.Instruction]:
        workload = self.workload_of(service)
        if workload is None:
            return []
        demand = self.demands[workload.id]
        profile = next((op for op in demand.profile.operations if op.name == name), OperationProfile(name=name))
        out: list[ir.Instruction] = []
        if profile.cpu_ms:
            out.append(ir.Cpu(demand.work(profile.cpu_ms)))
        if profile.disk_kb or profile.fsync:
            written = profile.disk_kb * 1000.0 if profile.fsync else 0.0
            read = 0.0 if profile.fsync else profile.disk_kb * 1000.0
            out.append(ir.DiskIo(read_bytes=read, write_bytes=written, fsyncs=float(profile.fsync)))
        if profile.wait_ms:
            out.append(ir.Wait(ir.Draw(profile.wait_ms / 1000.0)))
        out.extend(self._calls(workload, demand.profile, profile))
        return out

    def _calls(self, workload: Workload, app: AppProfile, operation: OperationProfile) -> list[ir.Instruction]:
        out: list[ir.Instruction] = []
        for target, kind, strength in self._dependencies(workload.id):
            named = [call for call in operation.calls if self._means(call, target, kind)]
            named = [call for call in named if not self._closes_circle(workload, target, call)]
            for call in named:
                out.extend(self._call_or_look_up(workload, app, target, call, soft=call.soft or strength == "soft"))
            elsewhere = any(self._means(call, target, kind) for op in app.operations for call in op.calls)
            if elsewhere:
                continue
            soft = strength == "soft"
            share = UNKNOWN_SOFT_SHARE if soft else 1.0
            if self._closes_circle(workload, target, CallProfile(to=target)):
                continue
            self.assumptions[
                f"{workload.id} uses {target} in {share:.0%} of its requests (its profile {app.name!r} does not say)"
            ] = None
            out.append(self._call(target, CallProfile(to=target, probability=share), soft=soft))
        return out

    def _call_or_look_up(
        self, workload: Workload, app: AppProfile, target: str, call: CallProfile, *, soft: bool
    ) -> list[ir.Instruction]:
        """A call; or look-ups in a cache, each followed by the calls of the database that a miss costs."""
        databases = [(to, strength) for to, kind, strength in self._dependencies(workload.id) if kind == "queries"]
        plain, holder = self._call(target, call, soft=soft), self.workload_of(target)
        if call.hit_ratio is None or not databases or holder is None:
            return [plain]
        database, strength = databases[0]
        self.assumptions[
            f"{workload.id} finds {call.hit_ratio:.0%} of its look-ups in {target} once it holds {call.working_set} "
            f"things; a miss costs {call.miss_calls} calls of {database} ({app.confidence}, profile {app.name!r})"
        ] = None
        cache = ir.Cache(call.hit_ratio, 1, self.service(holder.id), float(call.working_set))
        missed = CallProfile(to="database", count=call.miss_calls)
        query = self._call(database, missed, soft=strength == "soft")
        return [replace(plain, count=1), cache, query] * call.count

    def _closes_circle(self, workload: Workload, target: str, call: CallProfile) -> bool:
        """Whether the called operation is one of those that lead here: two apps that use each other do so for
        different requests, not for one without end."""
        key = (target, self._operation_name(target, call))
        closes = key in self.operations and self.operation_rows[self.operations[key]] is None
        if closes:
            self.assumptions[f"{workload.id} does not call {target} back while it serves a call from there"] = None
        return closes

    def _dependencies(self, workload: str) -> list[tuple[str, str, str]]:
        """(target Service, edge kind, strength) of the calls of a workload, one per target, in a stable order."""
        found: dict[str, tuple[str, str]] = {}
        if workload not in self.graph:
            return []
        for _, target, data in self.graph.out_edges(workload, data=True):
            kind, strength = str(data.get("kind")), str(data.get("strength"))
            reachable = target in self.platform.workload_by_id or str(target).startswith("Service ")
            if kind not in DEPENDENCIES or strength == "startup" or not reachable or data.get("allowed") is False:
                continue
            behind = self.workload_of(str(target))
            if behind is None or behind.id == workload:
                continue
            earlier = found.get(str(target))
            if earlier is None or (earlier[1] == "soft" and strength == "hard"):
                found[str(target)] = (kind, strength)
        return [(target, *found[target]) for target in sorted(found)]

    def _means(self, call: CallProfile, target: str, kind: str) -> bool:
        role = DEPENDENCIES[kind]
        if call.to in ("database", "cache"):
            return call.to == role
        name = target.rpartition("/")[2]
        behind = self.workload_of(target)
        return fnmatchcase(name, call.to) or (behind is not None and fnmatchcase(behind.name, call.to))

    def _call(self, target: str, call: CallProfile, *, soft: bool) -> ir.Call:
        return ir.Call(
            self.operation(target, self._operation_name(target, call)),
            probability=call.probability,
            count=call.count,
            mode="async" if call.asynchronous else "sequential",
            soft=soft,
            policy=through_kube_proxy(self.platform, target, ir.Policy(timeout=BACKEND_TIMEOUT_S)),
        )

    def _operation_name(self, target: str, call: CallProfile) -> str:
        workload = self.workload_of(target)
        operations = self.demands[workload.id].profile.operations if workload is not None else ()
        return call.operation or (operations[0].name if operations else "request")


def compile_program(
    platform: Platform,
    graph: nx.MultiDiGraph[str],
    routes: Iterable[EntryRoute],
    cluster: Cluster,
    demands: Mapping[str, Demand],
    scenario: Scenario,
    *,
    folder: Path | None = None,
) -> Compiled:
    """The program of a platform under a scenario's traffic.

    ``folder``: where relative trace files are. Raises InputError for traffic that matches no route or an operation
    that no profile has.
    """
    spec = scenario.spec
    builder = _Builder(platform, graph, demands)
    stations = {
        workload.id: _station(workload, demands[workload.id], builder.service(workload.id))
        for workload in platform.workloads
    }
    links = [
        ir.Link("uplink", spec.network.uplink),
        ir.Link("downlink", spec.network.downlink),
        *(ir.Link(f"nic {node.name}", min(node.nic_bps, spec.network.lan)) for node in cluster.nodes),
    ]
    sources, names, kept = _sources(builder, list(routes), scenario, folder)
    nodes = tuple(ir.Node(node.name, node.cores, node.speed, nic=index + 2) for index, node in enumerate(cluster.nodes))
    disks = tuple(
        ir.Disk(
            f"disk {node.name}",
            node.disks[0].read_bps,
            node.disks[0].write_bps,
            op_latency=1.0 / node.disks[0].read_iops,
            fsync=node.disks[0].fsync_s,
            channels=1,
        )
        for node in cluster.nodes
    )
    program = ir.Program(
        nodes=nodes,
        services=tuple(builder.service_rows),
        operations=builder.finished(),
        sources=tuple(sources),
        routes=tuple(names),
        links=tuple(links),
        disks=disks,
        lan_rtt=spec.network.lan_rtt,
        bin_width=max(spec.run.length / 240.0, 1.0),
        bins=math.ceil(spec.run.length / max(spec.run.length / 240.0, 1.0)),
        assumptions=tuple(builder.assumptions),
    )
    return Compiled(
        program=program,
        services=builder.services,
        stations=stations,
        nodes={node.name: index for index, node in enumerate(cluster.nodes)},
        links={link.name: index for index, link in enumerate(links)},
        traffic=tuple(kept),
    )


# -------------------------------------------------------------------------------------- pods


def _station(workload: Workload, demand: Demand, service: int) -> ir.PodStation:
    pod = {"spec": workload.pod_spec}
    requests = pod_requests(pod)
    shares = requests["cpu"].milli_value() if "cpu" in requests else 0
    main = next((c for c in running_containers(workload.pod_spec) if c.get("name") == demand.main), {})
    limits: Mapping[str, Any] = (main.get("resources") or {}).get("limits") or {}
    return ir.PodStation(
        name=workload.name,
        service=service,
        node=0,
        workers=demand.workers,
        cpu_weight=max(shares * 1024.0 / 1000.0, 2.0),
        cpu_limit=cpu_millis(limits["cpu"]) / 1000.0 if "cpu" in limits else math.inf,
        idle_cores=demand.idle_cores,
        memory_base=demand.idle_memory_b,
        memory_per_request=demand.profile.mem_per_request_mib * 2**20,
        memory_growth=demand.profile.mem_growth_mib_per_h * 2**20 / 3600.0,
        memory_limit=_memory_limit(workload, demand, limits),
        warm=demand.profile.role != "cache" or _keeps_its_data(workload),
    )


def _keeps_its_data(workload: Workload) -> bool:
    """Whether a pod of the workload finds its files again: it mounts a claim."""
    if workload.claim_templates:
        return True
    return any("persistentVolumeClaim" in volume for volume in workload.pod_spec.get("volumes") or ())


def _memory_limit(workload: Workload, demand: Demand, limits: Mapping[str, Any]) -> float:
    """The main container's limit plus what its sidecars use at rest: a pod is one station with one memory."""
    if "memory" not in limits:
        return math.inf
    others = sum(c.idle_memory_b for c in demand.containers if c.name != demand.main)
    return float(bytes_of(limits["memory"])) + others


# -------------------------------------------------------------------------------------- traffic


def matching_routes(pattern: str, routes: Iterable[EntryRoute]) -> list[EntryRoute]:
    """The routes whose id or host a pattern matches (``*`` matches anything)."""
    return [route for route in routes if fnmatchcase(route.id, pattern) or fnmatchcase(route.host, pattern)]


def _sources(
    builder: _Builder, routes: list[EntryRoute], scenario: Scenario, folder: Path | None
) -> tuple[list[ir.Source], list[str], list[Traffic]]:
    problems: list[Problem] = []
    sources: list[ir.Source] = []
    names: list[str] = []
    kept: list[Traffic] = []
    for index, traffic in enumerate(scenario.spec.traffic):
        where = f"spec.traffic[{index}]"
        found = matching_routes(traffic.route, routes)
        if not found:
            known = ", ".join(sorted({route.host for route in routes})) or "none"
            problems.append(
                Problem(
                    Where(field=f"{where}.route"),
                    f"{traffic.route!r} matches no route of the platform",
                    f"routes: {known}",
                )
            )
        for route in found:
            if not route.backends and route.entry_workload is None:
                continue
            try:
                made = _route_sources(builder, route, traffic, scenario, folder, names)
            except ValueError as error:
                problems.append(Problem(Where(field=where), str(error), "see 'stowplan catalog apps'"))
                continue
            sources.extend(made)
            kept.extend([traffic] * len(made))
    if problems:
        raise InputError(problems)
    return sources, names, kept


def _route_sources(
    builder: _Builder,
    route: EntryRoute,
    traffic: Traffic,
    scenario: Scenario,
    folder: Path | None,
    names: list[str],
) -> list[ir.Source]:
    if route.id not in names:
        names.append(route.id)
    index = names.index(route.id)
    mix = _mix(builder, route, traffic)
    entries = tuple((_entry(builder, route, traffic, name, scenario), weight) for name, weight in mix)
    client = traffic.client
    policy = ir.Policy(
        timeout=client.timeout,
        retries=client.retries,
        backoff=client.backoff,
        jitter=client.jitter,
        cancel=client.cancel,
    )
    edge = scenario.spec.network.edge
    outside = traffic.source == "internet"
    common: dict[str, Any] = {
        "route": index,
        "rtt": edge.rtt if outside else scenario.spec.network.lan_rtt,
        "segment": 3600.0,
        "offset": _time_of_day(scenario) - scenario.spec.run.warm_up,
    }
    weights = SHAPES[traffic.shape] if isinstance(traffic.shape, str) else traffic.shape
    factors = [weight * 24.0 / sum(weights) for weight in weights]
    out: list[ir.Source] = []
    hits = edge.cache_hit_ratio if outside and route.edge else 0.0
    if traffic.arrivals == "trace":
        times, chosen = read_trace((folder or Path()) / str(traffic.trace), route, [name for name, _ in mix])
        if times:
            trace: dict[str, Any] = {"trace": times, "trace_operations": chosen}
            out.append(ir.Source(f"{route.id} trace", mix=entries, policy=policy, edge_hits=hits, **trace, **common))
    elif traffic.rate is not None:
        rates = tuple(traffic.rate * factor for factor in factors)
        cv = traffic.variation if traffic.arrivals == "renewal" else 1.0
        out.append(ir.Source(route.id, mix=entries, rates=rates, cv=cv, policy=policy, edge_hits=hits, **common))
    elif traffic.users is not None:
        think = ir.Draw(traffic.think_time)
        out.append(
            ir.Source(route.id, mix=entries, users=traffic.users, think=think, policy=policy, edge_hits=hits, **common)
        )
    for stream in traffic.streams if route.entry_workload is not None and route.backends else ():
        operation = _stream(builder, route, traffic, stream.name, scenario)
        rates = tuple(stream.rate * factor for factor in factors)
        out.append(ir.Source(f"{route.id} {stream.name}", mix=((operation, 1.0),), rates=rates, **common))
    return out


def _time_of_day(scenario: Scenario) -> float:
    hours, _, minutes = scenario.spec.run.start.partition(":")
    return int(hours) * 3600.0 + int(minutes) * 60.0


def _mix(builder: _Builder, route: EntryRoute, traffic: Traffic) -> list[tuple[str, float]]:
    """(operation, weight) of a route: the scenario's, else the profile's."""
    workload = builder.workload_of(route.backends[0].service) if route.backends else None
    known = builder.demands[workload.id].profile.operations if workload is not None else ()
    if traffic.operations:
        unknown = [op.name for op in traffic.operations if op.name not in {known_op.name for known_op in known}]
        if unknown:
            options = ", ".join(op.name for op in known) or "none"
            raise ValueError(f"{route.id} has no operation {unknown[0]!r}; its profile has: {options}")
        return [(op.name, op.weight) for op in traffic.operations]
    return [(op.name, op.weight) for op in known] or [("request", 1.0)]


# -------------------------------------------------------------------------------------- the way in


def _entry(builder: _Builder, route: EntryRoute, traffic: Traffic, operation: str, scenario: Scenario) -> int:
    """The operation at which a request of this route enters the cluster: the tunnel's, the proxy's or the app's."""
    if route.entry_workload is None:
        builder.assumptions[f"requests of {route.id} enter at its Service: no reverse proxy in this tree serves it"] = (
            None
        )
        return builder.operation(route.backends[0].service, operation)
    proxy = _proxy(builder, route, traffic, operation, scenario)
    if route.tunnel is None or traffic.source != "internet":
        return proxy
    workload = builder.platform.workload_by_id[route.tunnel]
    demand = builder.demands[workload.id]
    cpu_ms = demand.profile.operations[0].cpu_ms if demand.profile.operations else 0.0
    name = f"{route.id} {operation} from {traffic.source}"
    return builder.operation(workload.id, name, [ir.Cpu(demand.work(cpu_ms)), ir.Call(proxy)])


def _proxy(builder: _Builder, route: EntryRoute, traffic: Traffic, operation: str, scenario: Scenario) -> int:
    service = route.entry_service or str(route.entry_workload)
    workload = builder.platform.workload_by_id[str(route.entry_workload)]
    demand = builder.demands[workload.id]
    name = f"{route.id} {operation} from {traffic.source}"
    return builder.operation(
        service,
        name,
        [
            *_transfer("downlink", _request_bytes(builder, route, operation), traffic),
            *_proxy_work(demand, _round_trip(traffic, scenario)),
            *_guards(builder, route, traffic),
            *_backend_calls(builder, route, operation),
            *_transfer("uplink", _reply_bytes(builder, route, operation), traffic),
        ],
    )


def _round_trip(traffic: Traffic, scenario: Scenario) -> float:
    return scenario.spec.network.edge.rtt if traffic.source == "internet" else scenario.spec.network.lan_rtt


def _proxy_work(demand: Demand, rtt: float) -> list[ir.Instruction]:
    """CPU of the proxy for one request; before it, on a new connection, the handshakes.

    A kept connection saves two round trips (TCP, then TLS 1.3: RFC 8446, figure 1) and the CPU of a full handshake.
    Source: traefik.cpu_per_request and traefik.tls_extra_cpu_full_handshake of the app catalogue.
    """
    cpu_ms = demand.profile.operations[0].cpu_ms if demand.profile.operations else 0.28
    handshakes: list[ir.Instruction] = [ir.Wait(ir.Draw(2.0 * rtt, "constant")), ir.Cpu(demand.work(TLS_HANDSHAKE_MS))]
    return [ir.Cache(1.0 - NEW_CONNECTIONS, len(handshakes)), *handshakes, ir.Cpu(demand.work(cpu_ms))]


def _guards(builder: _Builder, route: EntryRoute, traffic: Traffic) -> list[ir.Instruction]:
    """What the middlewares do, in order. A request that one of them denies never reaches the app."""
    out: list[ir.Instruction] = []
    for guard in route.middlewares:
        if isinstance(guard, RateLimit) and guard.average_rps > 0:
            out.append(ir.RateLimit(guard.average_rps, float(max(guard.burst, 1))))
            builder.assumptions[f"the rate limit {guard.id} is shared by all clients of {route.id}"] = None
        elif isinstance(guard, IpAllowList) and guard.private_only and traffic.source == "internet":
            out.append(ir.Deny(1.0))
        elif isinstance(guard, ForwardAuth):
            if guard.service is not None and (workload := builder.workload_of(guard.service)) is not None:
                operations = builder.demands[workload.id].profile.operations
                verify = operations[0].name if operations else "verify"
                policy = ir.Policy(timeout=BACKEND_TIMEOUT_S)
                policy = through_kube_proxy(builder.platform, guard.service, policy)
                out.append(ir.Call(builder.operation(guard.service, verify), policy=policy))
            if traffic.unauthorised:
                out.append(ir.Deny(traffic.unauthorised))
    return out


def _backend_calls(builder: _Builder, route: EntryRoute, operation: str) -> list[ir.Instruction]:
    if not route.backends:
        return []
    attempts = max((guard.attempts for guard in route.middlewares if isinstance(guard, Retry)), default=1)
    policy = ir.Policy(retries=max(attempts - 1, 0), dial=ir.DIAL_TIMEOUT_S)
    chosen = max(route.backends, key=lambda backend: backend.weight)
    policy = through_reverse_proxy(builder.platform, route, chosen.service, policy)
    return [ir.Call(builder.operation(chosen.service, operation), policy=policy)]


def _app_operation(builder: _Builder, route: EntryRoute, operation: str) -> OperationProfile | None:
    workload = builder.workload_of(route.backends[0].service) if route.backends else None
    if workload is None:
        return None
    return next((op for op in builder.demands[workload.id].profile.operations if op.name == operation), None)


def _request_bytes(builder: _Builder, route: EntryRoute, operation: str) -> float:
    profile = _app_operation(builder, route, operation)
    return (profile.request_kb if profile is not None else 1.0) * 1000.0


def _reply_bytes(builder: _Builder, route: EntryRoute, operation: str) -> float:
    profile = _app_operation(builder, route, operation)
    return (profile.reply_kb if profile is not None else 10.0) * 1000.0


def _transfer(line: str, size: float, traffic: Traffic) -> list[ir.Instruction]:
    """Bytes over the home connection for clients outside, over the node's own network card for clients at home."""
    if size <= 0.0:
        return []
    link = -1 if traffic.source == "lan" else 0 if line == "uplink" else 1
    return [ir.Transfer(ir.Draw(size), link)]


def _stream(builder: _Builder, route: EntryRoute, traffic: Traffic, name: str, scenario: Scenario) -> int:
    """A stream through the proxy to the app, which holds bandwidth and cores for its length."""
    stream = next(stream for stream in traffic.streams if stream.name == name)
    chosen = max(route.backends, key=lambda backend: backend.weight)
    workload = builder.workload_of(chosen.service)
    cores = 0.0
    if workload is not None:
        costs = builder.demands[workload.id].profile.streams
        if costs is not None:
            cores = costs.transcode_cores if stream.kind == "transcode" else costs.direct_cores
        else:
            builder.assumptions[f"a stream of {workload.id} needs no CPU (its profile does not say)"] = None
    outside = traffic.source == "internet"
    link = (1 if stream.kind == "upload" else 0) if outside else -1
    hold = ir.Hold(ir.Draw(stream.duration), link=link, bandwidth=stream.bitrate if outside else 0.0, cores=cores)
    served = builder.operation(chosen.service, f"stream {name}", [hold])
    service = route.entry_service or str(route.entry_workload)
    demand = builder.demands[str(route.entry_workload)]
    guards = _guards(builder, route, traffic)
    return builder.operation(
        service, f"{route.id} {name}", [*_proxy_work(demand, _round_trip(traffic, scenario)), *guards, ir.Call(served)]
    )
