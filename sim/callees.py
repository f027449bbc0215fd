"""What the call plans of a scenario name: the services that are called, and whether they may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import networkx as nx

from models.callplan import Cached, Callee, OperationPlan, ParallelCall, Step
from models.graph.build import pod_port
from models.graph.netpol import Verdict, verdict
from models.operators.make import maps
from models.platform import Platform, Workload
from sim.demand import Demand


@dataclass(frozen=True)
class StatedCall:
    """A call or look-up of a plan: where it stands (``operations[0].steps[1].call``), and whether all requests of the
    operation make it and need its answer."""

    field: str
    operation: str
    callee: Callee
    hard: bool


def stated_calls(plans: Mapping[str, OperationPlan]) -> Iterator[StatedCall]:
    """Every call in the plans of an app, in order."""
    for index, plan in enumerate(plans.values()):
        yield from _calls(f"operations[{index}].steps", plan.name, plan.steps, hard=True)


def _calls(field: str, operation: str, steps: tuple[Step, ...], *, hard: bool) -> Iterator[StatedCall]:
    for index, step in enumerate(steps):
        at = f"{field}[{index}]"
        if step.call is not None:
            waits = step.call.mode == "sequential"
            yield StatedCall(f"{at}.call", operation, step.call, hard and waits and _always(step.call))
        for number, call in enumerate(step.parallel or ()):
            yield StatedCall(f"{at}.parallel[{number}]", operation, call, hard and _always(call))
        if step.cache is not None:
            if step.cache.look_up is not None:
                needed = hard and not step.cache.look_up.soft
                yield StatedCall(f"{at}.cache.lookUp", operation, step.cache.look_up, needed)
            missed = hard and step.cache.hit_ratio == 0.0
            yield from _calls(f"{at}.cache.miss", operation, step.cache.miss, hard=missed)


def _always(call: ParallelCall) -> bool:
    return call.probability == 1.0 and not call.soft


def callee_of(platform: Platform, caller: Workload, name: str) -> str | None:
    """The id of the Service or workload that a plan of ``caller`` calls by ``name``; None when there is none.

    ``name`` in the caller's own namespace, ``namespace/name`` or ``Kind namespace/name``. A Service goes before a
    workload of the same name.
    """
    parts = name.strip().replace(" ", "/").split("/")
    if not 1 <= len(parts) <= 3:
        return None
    kind = parts[0] if len(parts) == 3 else ""
    namespace = parts[-2] if len(parts) > 1 else caller.namespace
    if kind in ("", "Service") and platform.get("Service", namespace, parts[-1]) is not None:
        return f"Service {namespace}/{parts[-1]}"
    for workload in platform.workloads:
        if (workload.namespace, workload.name) == (namespace, parts[-1]) and kind in ("", workload.controller):
            return workload.id
    return None


def workload_behind(platform: Platform, service: str) -> Workload | None:
    """The workload behind a Service id or a workload id; the first when there are several."""
    if service in platform.workload_by_id:
        return platform.workload_by_id[service]
    namespace, _, name = service.removeprefix("Service ").partition("/")
    found = platform.get("Service", namespace, name)
    return next(iter(platform.service_workloads(found)), None) if found is not None else None


def way_to(platform: Platform, caller: Workload, callee: str) -> Verdict:
    """Whether network policies let the pods of ``caller`` reach the pods behind ``callee`` on any port of it."""
    namespace, _, name = callee.removeprefix("Service ").partition("/")
    service = platform.get("Service", namespace, name) if callee.startswith("Service ") else None
    if service is None:
        return verdict(platform, caller, platform.workload_by_id[callee], None)
    ports = [pod_port(service, entry.get("port")) for entry in maps(service.spec.get("ports"))] or [None]
    answers = [
        verdict(platform, caller, workload, port) for workload in platform.service_workloads(service) for port in ports
    ]
    return next((answer for answer in answers if answer.allowed), answers[0]) if answers else Verdict(True)


def cache_holders(platform: Platform, demands: Mapping[str, Demand]) -> frozenset[str]:
    """The workloads in whose pods plans look for things of a stated working set: a new pod has none of them."""
    found: set[str] = set()
    for workload in platform.workloads:
        for plan in demands[workload.id].plans.values():
            for cached in _lookups(plan.steps):
                if cached.working_set is None:
                    continue
                asked = callee_of(platform, workload, cached.look_up.to) if cached.look_up is not None else workload.id
                behind = workload_behind(platform, asked) if asked is not None else None
                found.update([behind.id] if behind is not None else [])
    return frozenset(found)


def _lookups(steps: tuple[Step, ...]) -> Iterator[Cached]:
    for step in steps:
        if step.cache is not None:
            yield step.cache
            yield from _lookups(step.cache.miss)


def with_stated_calls(
    graph: nx.MultiDiGraph[str], platform: Platform, demands: Mapping[str, Demand]
) -> nx.MultiDiGraph[str]:
    """The graph with the requests of apps that have plans as those say, instead of what the tree gives evidence of.

    An app cannot do without what all of its operations need; what some need is soft: a part of its answers is missing.
    What it needs before it starts stays. The graph itself when no app has a plan.
    """
    planned = {workload.id: workload for workload in platform.workloads if demands[workload.id].plans}
    if not planned:
        return graph
    found: nx.MultiDiGraph[str] = graph.copy()
    requests = ("calls", "queries", "caches-in")
    found.remove_edges_from(
        [
            (source, target, key)
            for source, target, key, data in graph.edges(planned, keys=True, data=True)
            if data.get("kind") in requests and data.get("strength") != "startup"
        ]
    )
    for name, workload in planned.items():
        plans = demands[name].plans
        needing: dict[str, set[str]] = {}
        for call in stated_calls(plans):
            callee = callee_of(platform, workload, call.callee.to)
            if callee is not None and callee in graph:
                needing.setdefault(callee, set()).update([call.operation] if call.hard else [])
        for callee, operations in needing.items():
            found.add_edge(name, callee, kind="calls", strength="hard" if len(operations) == len(plans) else "soft")
    return found
