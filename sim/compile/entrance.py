"""The way in: from the client over the line to the tunnel, the reverse proxy, its middlewares and the app's Service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from models.catalog import OperationProfile
from models.graph.middlewares import ForwardAuth, IpAllowList, RateLimit, Retry
from models.graph.routes import EntryRoute
from models.scenario import Scenario
from models.traffic import Traffic
from sim import program as ir
from sim.compile.balancing import through_kube_proxy, through_reverse_proxy
from sim.compile.callplans import Builder
from sim.compile.media import stream_plan
from sim.compile.stated import transfer
from sim.demand import BACKEND_TIMEOUT_S, Demand

TLS_HANDSHAKE_MS = 1.5
"""CPU of the proxy for a full handshake: traefik.tls_extra_cpu_full_handshake of the app catalogue."""

NEW_CONNECTIONS = 0.1
"""Assumed share of requests that begin a TLS connection; the rest reuse one."""


def entries(
    builder: Builder, route: EntryRoute, traffic: Traffic, operation: str, scenario: Scenario
) -> list[tuple[int, float]]:
    """The operations at which requests of this route enter the cluster, with their shares: the tunnel's or the proxy's,
    or those of the backends when no proxy is known."""
    if route.entry_workload is None:
        if not route.direct:
            builder.assumptions[
                f"requests of {route.id} enter at its Service: no reverse proxy in this tree serves it"
            ] = None
        weighted = _shares(route) or [(_nobody(builder, route), 1.0)]
        return [(_at_service(builder, service, traffic, operation), share) for service, share in weighted]
    return [(_entry(builder, route, traffic, operation, scenario), 1.0)]


def _at_service(builder: Builder, service: str, traffic: Traffic, operation: str) -> int:
    """The app's operation for a client that comes without a proxy; between the transfers of its bodies if the
    scenario's plan names their sizes."""
    name = builder.known(service, operation)
    workload = builder.workload_of(service)
    plan = builder.demands[workload.id].plans.get(name) if workload is not None else None
    if plan is None or (plan.request is None and plan.reply is None):
        return builder.operation(service, name)
    steps = [
        *transfer(plan.request, _line("downlink", traffic)),
        *builder.app_instructions(service, name),
        *transfer(plan.reply, _line("uplink", traffic)),
    ]
    return builder.operation(service, f"{name} from {traffic.source}", steps)


def main_backend(route: EntryRoute) -> str | None:
    """The backend that gets the largest part of the requests, the first of equals; None without any."""
    best = max(route.backends, key=lambda backend: backend.weight, default=None)
    return best.service if best is not None else None


def _entry(builder: Builder, route: EntryRoute, traffic: Traffic, operation: str, scenario: Scenario) -> int:
    proxy = _proxy(builder, route, traffic, operation, scenario)
    if route.tunnel is None or traffic.source != "internet":
        return proxy
    workload = builder.platform.workload_by_id[route.tunnel]
    demand = builder.demands[workload.id]
    cpu_ms = demand.profile.operations[0].cpu_ms if demand.profile.operations else 0.0
    name = f"{route.id} {operation} from {traffic.source}"
    return builder.operation(workload.id, name, [ir.Cpu(demand.work(cpu_ms)), ir.Call(proxy)])


def _proxy(builder: Builder, route: EntryRoute, traffic: Traffic, operation: str, scenario: Scenario) -> int:
    service = route.entry_service or str(route.entry_workload)
    workload = builder.platform.workload_by_id[str(route.entry_workload)]
    demand = builder.demands[workload.id]
    name = f"{route.id} {operation} from {traffic.source}"
    return builder.operation(
        service,
        name,
        [
            *_body(builder, route, operation, traffic, "downlink"),
            *_proxy_work(demand, round_trip(traffic, scenario)),
            *_guards(builder, route, traffic),
            *_backend_calls(builder, route, operation),
            *_body(builder, route, operation, traffic, "uplink"),
        ],
    )


def round_trip(traffic: Traffic, scenario: Scenario) -> float:
    """Seconds between the clients and the cluster, and back."""
    return scenario.spec.network.edge.rtt if traffic.source == "internet" else scenario.spec.network.lan_rtt


def _proxy_work(demand: Demand, rtt: float) -> list[ir.Instruction]:
    """CPU of the proxy for one request; before it, on a new connection, the handshakes.

    A kept connection saves two round trips (TCP, then TLS 1.3: RFC 8446, figure 1) and the CPU of a full handshake.
    Source: traefik.cpu_per_request and traefik.tls_extra_cpu_full_handshake of the app catalogue.
    """
    cpu_ms = demand.profile.operations[0].cpu_ms if demand.profile.operations else 0.28
    handshakes: list[ir.Instruction] = [ir.Wait(ir.Draw(2.0 * rtt, "constant")), ir.Cpu(demand.work(TLS_HANDSHAKE_MS))]
    return [ir.Cache(1.0 - NEW_CONNECTIONS, len(handshakes)), *handshakes, ir.Cpu(demand.work(cpu_ms))]


def _guards(builder: Builder, route: EntryRoute, traffic: Traffic) -> list[ir.Instruction]:
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


def _backend_calls(builder: Builder, route: EntryRoute, operation: str) -> list[ir.Instruction]:
    """Copies to the mirrors, which nobody waits for, then the call of one backend."""
    if not route.backends:
        return []
    attempts = max((guard.attempts for guard in route.middlewares if isinstance(guard, Retry)), default=1)
    policy = ir.Policy(retries=max(attempts - 1, 0), dial=ir.DIAL_TIMEOUT_S)

    def call(service: str) -> ir.Call:
        name = builder.known(service, operation)
        return ir.Call(
            builder.operation(service, name), policy=through_reverse_proxy(builder.platform, route, service, policy)
        )

    total = sum(backend.weight for backend in route.backends)
    copies = [
        replace(call(mirror.service), probability=min(mirror.weight / total, 1.0), mode="async", policy=ir.Policy())
        for mirror in route.mirrors
        if mirror.weight > 0.0 and total > 0.0
    ]
    return [*copies, *_one_of(builder, route, call)]


def _one_of(builder: Builder, route: EntryRoute, call: Callable[[str], ir.Call]) -> list[ir.Instruction]:
    """One of the backends, drawn by weight for every request.

    Traefik's weighted round robin and Envoy's random choice give the same shares; only the order within a round is not
    modelled. Backends of weight 0 get nothing; without any other a request finds no endpoint (Gateway API, HTTPRoute
    ``backendRefs.weight``: no traffic; an HTTPRoute answers 500, Traefik 503).
    """
    weighted = _shares(route)
    if not weighted:
        return [ir.Call(builder.operation(_nobody(builder, route), "request", []))]
    out: list[ir.Instruction] = [call(weighted[-1][0])]
    left = weighted[-1][1]
    for service, share in reversed(weighted[:-1]):
        left += share
        # Skip this call and the jump behind it unless its turn has come; then jump over all others.
        out = [ir.Cache(1.0 - share / left, 2), call(service), ir.Cache(1.0, len(out)), *out]
    return [*out, ir.LANDING] if len(weighted) > 1 else out


def _shares(route: EntryRoute) -> list[tuple[str, float]]:
    """(Service, share) of the backends that get requests."""
    total = sum(backend.weight for backend in route.backends)
    return [(backend.service, backend.weight / total) for backend in route.backends if backend.weight > 0.0]


def _nobody(builder: Builder, route: EntryRoute) -> str:
    """A service without pods: where requests go when no backend has a weight."""
    return f"no backend of {route.id}"


def _app_operation(builder: Builder, route: EntryRoute, operation: str) -> OperationProfile | None:
    service = main_backend(route)
    workload = builder.workload_of(service) if service is not None else None
    if workload is None:
        return None
    return next((op for op in builder.demands[workload.id].profile.operations if op.name == operation), None)


def _body(builder: Builder, route: EntryRoute, operation: str, traffic: Traffic, line: str) -> list[ir.Instruction]:
    """The body of a request (downlink) or its reply (uplink), as the scenario's plan says, else the catalogue."""
    profile = _app_operation(builder, route, operation)
    service = main_backend(route)
    workload = builder.workload_of(service) if service is not None else None
    plan = builder.demands[workload.id].plans.get(operation) if workload is not None else None
    link = _line(line, traffic)
    if plan is not None:
        return transfer(plan.request if line == "downlink" else plan.reply, link)
    kilobytes = (1.0, 10.0) if profile is None else (profile.request_kb, profile.reply_kb)
    size = kilobytes[line == "uplink"] * 1000.0
    return [ir.Transfer(ir.Draw(size), link)] if size > 0.0 else []


def _line(line: str, traffic: Traffic) -> int:
    """The home connection for clients outside, the node's own network card for clients at home."""
    return -1 if traffic.source == "lan" else 0 if line == "uplink" else 1


def stream_entries(
    builder: Builder, route: EntryRoute, traffic: Traffic, name: str, scenario: Scenario
) -> list[tuple[int, float]]:
    """A stream through the proxy (if one is known) to the app, which holds bandwidth and cores for its length."""
    stream = next(stream for stream in traffic.streams if stream.name == name)
    outside = traffic.source == "internet"

    def call(service: str) -> ir.Call:
        return ir.Call(builder.operation(service, f"stream {name}", stream_plan(builder, service, stream, outside)))

    if route.entry_workload is None:
        return [(call(service).operation, share) for service, share in _shares(route)]
    demand = builder.demands[route.entry_workload]
    steps = [
        *_proxy_work(demand, round_trip(traffic, scenario)),
        *_guards(builder, route, traffic),
        *_one_of(builder, route, call),
    ]
    return [(builder.operation(route.entry_service or route.entry_workload, f"{route.id} {name}", steps), 1.0)]
