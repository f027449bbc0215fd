"""Where requests come from: a scenario's traffic as sources of the program."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from models.errors import InputError, Problem, Where, among
from models.graph.routes import EntryRoute
from models.platform import Platform
from models.scenario import Scenario
from models.traffic import Traffic
from sim import program as ir
from sim.compile.balancing import through_kube_proxy
from sim.compile.callplans import Builder
from sim.compile.entrance import entries, main_backend, round_trip, stream_entries
from sim.compile.stated import draw
from sim.compile.traces import read_trace
from sim.demand import client_policy

SHAPES: dict[str, tuple[float, ...]] = {
    "flat": (1.0,) * 24,
    "evening": (2, 1, 1, 1, 1, 1, 2, 4, 4, 3, 3, 4, 5, 4, 4, 5, 6, 8, 10, 13, 14, 12, 8, 4),
    "office": (1, 1, 1, 1, 1, 1, 2, 5, 11, 14, 14, 13, 9, 12, 13, 13, 11, 8, 5, 3, 2, 2, 1, 1),
    "night": (12, 13, 13, 12, 10, 7, 4, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3, 4, 6, 8, 10),
}
"""Relative load per hour of the day. Assumed: the shape of a household, an office, and nightly jobs."""


def matching_routes(pattern: str, routes: Iterable[EntryRoute]) -> list[EntryRoute]:
    """The routes whose id or host a pattern matches (``*`` matches anything), without the Services of other traffic."""
    return [
        route
        for route in routes
        if not route.direct and (fnmatchcase(route.id, pattern) or fnmatchcase(route.host, pattern))
    ]


def _routes_of(traffic: Traffic, routes: Sequence[EntryRoute], platform: Platform, where: str) -> list[EntryRoute]:
    """The routes that traffic goes to. Raises InputError when there are none."""
    if traffic.service is not None:
        name = traffic.service.removeprefix("Service ")
        found = [route for route in routes if route.direct and route.id == name]
        if not found:
            known = [f"{item.namespace}/{item.name}" for item in platform.services]
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            raise InputError(
                Problem(
                    Where(field=f"{where}.service"),
                    f"{traffic.service!r} is no Service of the platform",
                    f"did you mean {close[0]!r}?" if close else f"Services: {', '.join(sorted(known)) or 'none'}",
                )
            )
        return found
    found = matching_routes(str(traffic.route), routes)
    if not found:
        hosts = {route.host for route in routes if not route.direct}
        none = "there are none: name a Service instead (service: namespace/name)"
        raise InputError(
            Problem(
                Where(field=f"{where}.route"),
                f"{traffic.route!r} matches no route of the platform",
                among(str(traffic.route), hosts, "routes") if hosts else none,
            )
        )
    return found


def sources(
    builder: Builder, routes: list[EntryRoute], scenario: Scenario, folder: Path | None
) -> tuple[list[ir.Source], list[str], list[Traffic]]:
    """The sources of a scenario's traffic, the routes they use in order, and the traffic of each source.

    Raises InputError for traffic that matches no route or an operation that no profile has.
    """
    problems: list[Problem] = []
    found_sources: list[ir.Source] = []
    names: list[str] = []
    kept: list[Traffic] = []
    for index, traffic in enumerate(scenario.spec.traffic):
        where = f"spec.traffic[{index}]"
        if traffic.users is not None and traffic.think_time.mean + round_trip(traffic, scenario) <= 0.0:
            problems.append(
                Problem(
                    Where(field=f"{where}.thinkTime"),
                    "users who neither think nor wait for the network ask again without end in the instant in which "
                    "they are refused",
                    "let them think for a moment (1us), or give the network a round trip",
                )
            )
            continue
        try:
            found = _routes_of(traffic, routes, builder.platform, where)
        except InputError as error:
            problems.extend(error.problems)
            continue
        for route in found:
            if not route.backends and route.entry_workload is None:
                continue
            try:
                made = _route_sources(builder, route, traffic, scenario, folder, names)
            except ValueError as error:
                problems.append(Problem(Where(field=where), str(error), "see 'stowplan catalog apps'"))
                continue
            found_sources.extend(made)
            kept.extend([traffic] * len(made))
    if problems:
        raise InputError(problems)
    return found_sources, names, kept


def _route_sources(
    builder: Builder,
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
    parts = [entries(builder, route, traffic, name, scenario) for name, _ in mix]
    ways = tuple((way, weight * share) for (_, weight), part in zip(mix, parts, strict=True) for way, share in part)
    policy = client_policy(traffic.client)
    entered = route.entry_service or main_backend(route)
    if entered is not None:
        policy = through_kube_proxy(builder.platform, entered, policy)
    edge = scenario.spec.network.edge
    outside = traffic.source == "internet"
    common: dict[str, Any] = {
        "route": index,
        "rtt": round_trip(traffic, scenario),
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
            trace: dict[str, Any] = {"trace": times, "trace_operations": _spread(chosen, parts)}
            out.append(ir.Source(f"{route.id} trace", mix=ways, policy=policy, edge_hits=hits, **trace, **common))
    elif traffic.rate is not None:
        rates = tuple(traffic.rate * factor for factor in factors)
        cv = traffic.variation if traffic.arrivals == "renewal" else 1.0
        out.append(ir.Source(route.id, mix=ways, rates=rates, cv=cv, policy=policy, edge_hits=hits, **common))
    elif traffic.users is not None:
        behaviour: dict[str, Any] = {"users": traffic.users, "think": draw(traffic.think_time)}
        if traffic.session is not None:
            behaviour |= {"session": traffic.session.requests, "pause": draw(traffic.session.pause)}
        out.append(ir.Source(route.id, mix=ways, policy=policy, edge_hits=hits, **behaviour, **common))
    for number, burst in enumerate(traffic.bursts, 1):
        start, gap = scenario.spec.run.warm_up + burst.at, burst.within / burst.requests
        times = tuple(start + gap * position for position in range(burst.requests))
        out.append(
            ir.Source(f"{route.id} burst {number}", mix=ways, trace=times, policy=policy, edge_hits=hits, **common)
        )
    for stream in traffic.streams:
        mixed = tuple(stream_entries(builder, route, traffic, stream.name, scenario))
        rates = tuple(stream.rate * factor for factor in factors)
        if mixed:
            begun = under_way(rates, common["offset"], stream.duration)
            out.append(ir.Source(f"{route.id} {stream.name}", mix=mixed, rates=rates, under_way=begun, **common))
    return out


def under_way(rates: Sequence[float], offset: float, duration: float) -> float:
    """Streams expected at engine time 0 when they have come at these rates, an hour each, for ever before it.

    The number under way of an M(t)/M/infinity queue is Poisson with the mean of all that came, each weighted by the
    chance that it lasts until now (Eick, Massey and Whitt 1993). What is left of an exponential length has its law.
    """
    begin, expected = offset % 3600.0 or 3600.0, 0.0
    hour, age = math.ceil(offset / 3600.0) - 1, 0.0
    while age < 40.0 * duration:
        rate = rates[hour % len(rates)]
        expected += rate * duration * (math.exp(-age / duration) - math.exp(-(age + begin) / duration))
        hour, age, begin = hour - 1, age + begin, 3600.0
    return expected


def _spread(chosen: Sequence[int], parts: Sequence[Sequence[tuple[int, float]]]) -> tuple[int, ...]:
    """Positions in the mix of ways for a trace's positions in the mix of operations: where an operation has several
    ways (weighted backends), each gets its share in turn."""
    first = [sum(len(part) for part in parts[:number]) for number in range(len(parts))]
    credit = [[0.0 for _ in part] for part in parts]
    out = []
    for position in chosen:
        mine = credit[position]
        for way, (_, share) in enumerate(parts[position]):
            mine[way] += share
        best = max(range(len(mine)), key=mine.__getitem__)
        mine[best] -= 1.0
        out.append(first[position] + best)
    return tuple(out)


def _time_of_day(scenario: Scenario) -> float:
    hours, _, minutes = scenario.spec.run.start.partition(":")
    return int(hours) * 3600.0 + int(minutes) * 60.0


def _mix(builder: Builder, route: EntryRoute, traffic: Traffic) -> list[tuple[str, float]]:
    """(operation, weight) of a route: the scenario's, else the profile's."""
    service = main_backend(route)
    workload = builder.workload_of(service) if service is not None else None
    known = builder.demands[workload.id].profile.operations if workload is not None else ()
    if traffic.operations:
        unknown = [op.name for op in traffic.operations if op.name not in {known_op.name for known_op in known}]
        if unknown:
            options = ", ".join(op.name for op in known) or "none"
            raise ValueError(f"{route.id} has no operation {unknown[0]!r}; its profile has: {options}")
        return [(op.name, op.weight) for op in traffic.operations]
    return [(op.name, op.weight) for op in known] or [("request", 1.0)]
