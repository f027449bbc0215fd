"""How busy every station was: workers, queues, CPU and throttling per workload, and what the links carried."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from sim.measures import EngineMeasures, merge
from sim.study import Results, Study


@dataclass(frozen=True)
class StationUse:
    """All pods of one workload over all replications.

    ``visits_rps``: requests that its pods accepted per second. ``workers``: busy share of its workers (None: no bound).
    ``queue``: mean number of requests waiting in its listen queues, ``queue_max``: most at one pod. ``cpu_m``: mean use
    of all its pods (millicores), ``cpu_limit``: the share of their limit (None: no limit). ``throttled``: share of time
    in which CFS held a pod back; ``throttled_s``: pod-seconds of it per replication, ``periods``: in how many periods
    of 100 ms.
    """

    workload: str
    pods: int
    visits_rps: float
    refused: int
    workers: float | None
    queue: float
    queue_max: int
    cpu_m: int
    cpu_limit: float | None
    throttled: float
    throttled_s: float
    periods: float


@dataclass(frozen=True)
class LinkUse:
    """One link: bytes per second carried and possible, the share of its bandwidth, the share of time it was busy."""

    link: str
    carried_b: float
    bandwidth_b: float
    use: float
    busy: float


def station_uses(study: Study, results: Results) -> list[StationUse]:
    """Every workload that took requests, busiest first: by the fuller of its workers and its CPU limit."""
    owners = {pod.key: pod.workload for pod in study.placement.pods}
    parts: dict[str, list[tuple[EngineMeasures, int]]] = {}
    for item in results.replications:
        known = {**{lane.pod: lane.workload for lane in item.log.pod_lanes}, **owners}
        for slot, name in enumerate(item.measures.pod_names):
            parts.setdefault(known.get(name, ""), []).append((item.measures, slot))
    time = sum(item.measures.length for item in results.replications)
    found = [
        _use(study, workload, slots, time, len(results.replications))
        for workload, slots in parts.items()
        if workload in study.compiled.stations
    ]
    busiest = sorted(found, key=lambda use: (-max(use.workers or 0.0, use.cpu_limit or 0.0), -use.cpu_m, use.workload))
    return [use for use in busiest if use.visits_rps or use.refused]


def _use(
    study: Study, workload: str, slots: Sequence[tuple[EngineMeasures, int]], time: float, replications: int
) -> StationUse:
    def total(of: Callable[[EngineMeasures], NDArray[Any]]) -> float:
        return float(sum(of(measures)[slot] for measures, slot in slots))

    station = study.compiled.stations[workload]
    pods = len(study.placement.by_workload.get(workload, ())) or 1
    cpu = total(lambda one: one.pod_cpu_s) / time
    stalled = total(lambda one: one.pod_throttled_s)
    busy = total(lambda one: one.pod_busy_s)
    return StationUse(
        workload=workload,
        pods=pods,
        visits_rps=total(lambda one: one.pod_visits) / time,
        refused=int(total(lambda one: one.pod_refused)),
        workers=busy / (station.workers * pods * time) if station.workers else None,
        queue=total(lambda one: one.pod_queue_s) / time,
        queue_max=max(int(measures.pod_queue_max[slot]) for measures, slot in slots),
        cpu_m=round(cpu * 1000),
        cpu_limit=cpu / (station.cpu_limit * pods) if math.isfinite(station.cpu_limit) else None,
        throttled=stalled / (pods * time),
        throttled_s=stalled / replications,
        periods=total(lambda one: one.pod_throttled_periods) / replications,
    )


def link_uses(study: Study, results: Results) -> list[LinkUse]:
    """Every link, in the order of the program: uplink, downlink, network cards."""
    merged = merge([item.measures for item in results.replications])
    time = merged.length * merged.replications
    return [
        LinkUse(
            link.name,
            float(merged.link_bytes[index]) / time,
            link.bandwidth,
            float(merged.link_bytes[index]) / (link.bandwidth * time),
            float(merged.link_busy_s[index]) / time,
        )
        for index, link in enumerate(study.compiled.program.links)
    ]
