"""Whether the call plans of a scenario can be run on this platform: all problems at once, each with its field."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from models.errors import Problem, Where
from models.platform import Platform, Workload
from sim.callees import StatedCall, callee_of, stated_calls, workload_behind
from sim.circles import circles
from sim.demand import Demand

Place = tuple[str, str]
"""An operation of a workload: workload id, name."""


def check_plans(platform: Platform, demands: Mapping[str, Demand]) -> list[Problem]:
    """Calls of unknown services and operations, and operations that call themselves in a circle."""
    problems: dict[Problem, None] = {}
    edges: dict[Place, list[tuple[Place, str]]] = {}
    for workload in platform.workloads:
        demand = demands[workload.id]
        for plan in demand.plans.values():
            edges[workload.id, plan.name] = []
        for call in stated_calls(demand.plans):
            field = f"spec.profiles.{demand.key}.{call.field}"
            found = _target(platform, demands, workload, call, field)
            if isinstance(found, Problem):
                problems[found] = None
            else:
                edges[workload.id, call.operation].append((found, field))
    problems.update(dict.fromkeys(_circles(edges)))
    return list(problems)


def _target(
    platform: Platform, demands: Mapping[str, Demand], caller: Workload, call: StatedCall, field: str
) -> Place | Problem:
    """The operation that is called, or what is wrong with the call."""
    name = call.callee.to
    callee = callee_of(platform, caller, name)
    if callee is None:
        return Problem(
            Where(field=f"{field}.to"),
            f"{name!r} is no Service or workload of this platform",
            _near(platform, caller, name)
            or f"write a name of the namespace {caller.namespace}, namespace/name or Kind namespace/name",
        )
    behind = workload_behind(platform, callee)
    if behind is None:
        return Problem(
            Where(field=f"{field}.to"),
            f"{callee} has no pods in this tree",
            "a system outside of it is a wait step; or add the workload that the Service selects",
        )
    names = [operation.name for operation in demands[behind.id].profile.operations]
    wanted = call.callee.operation
    if wanted is not None and wanted not in names:
        return Problem(
            Where(field=f"{field}.operation"),
            f"{behind.id} has no operation {wanted!r}",
            f"it has: {', '.join(names)}" if names else f"leave it out, or write operations for {behind.id}",
        )
    return behind.id, wanted or (names[0] if names else "request")


def _near(platform: Platform, caller: Workload, name: str) -> str:
    """The Service or workload with the nearest name, those of the caller's own namespace first."""
    places = [(item.namespace, item.name) for item in platform.services]
    places += [(item.namespace, item.name) for item in platform.workloads]
    places.sort(key=lambda place: place[0] != caller.namespace)
    last = name.strip().replace(" ", "/").rpartition("/")[2]
    close = difflib.get_close_matches(last, [item for _, item in places], n=1, cutoff=0.6)
    return next((f"did you mean '{namespace}/{item}'?" for namespace, item in places if item in close), "")


def _circles(edges: Mapping[Place, list[tuple[Place, str]]]) -> Iterator[Problem]:
    """One problem for every call that closes a circle of operations."""
    for circle, field in circles(edges):
        yield Problem(
            Where(field=field),
            f"call cycle {' -> '.join(' '.join(item) for item in circle)}",
            "remove one call, or give what it needs an operation of its own",
        )
