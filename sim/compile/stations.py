"""Pods as queueing stations: what their requests and limits mean for cores and memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.objects import Manifest
from models.platform import Workload
from models.rules.cgroups import cpu_quota_us, cpu_shares
from models.rules.qos import QosClass, qos_class
from models.rules.quantity import bytes_of, cpu_millis
from models.rules.resources import pod_requests
from sim import program as ir
from sim.demand import Demand, running_containers

QOS: Mapping[QosClass, ir.Qos] = {"Guaranteed": "guaranteed", "Burstable": "burstable", "BestEffort": "besteffort"}


@dataclass(frozen=True)
class Quota:
    """How the nodes' kernels account CPU limits: the period, and the share of a quota that a burst may take over."""

    period_s: float
    burst: float


def station_of(
    workload: Workload, pod: Manifest, demand: Demand, service: int, *, cold: bool, quota: Quota
) -> ir.PodStation:
    """The station of a workload's pods, without name and node.

    ``pod``: as the API server stores it (defaults of the API and of its LimitRange applied). ``cold``: it holds copies
    that are lost when it restarts.
    """
    requests = pod_requests(pod)
    main = next((c for c in running_containers(pod["spec"]) if c.get("name") == demand.main), {})
    limits: Mapping[str, Any] = (main.get("resources") or {}).get("limits") or {}
    cpu_limit = _cpu_limit(limits, quota.period_s)
    return ir.PodStation(
        name=workload.name,
        service=service,
        node=0,
        workers=demand.workers,
        queue=demand.queue,
        cpu_weight=float(cpu_shares(requests["cpu"].milli_value() if "cpu" in requests else 0)),
        qos=QOS[qos_class(pod)],
        cpu_limit=cpu_limit,
        cfs_period=quota.period_s,
        cpu_burst=quota.burst * cpu_limit * quota.period_s if math.isfinite(cpu_limit) else 0.0,
        idle_cores=demand.idle_cores,
        memory_base=demand.idle_memory_b,
        memory_per_request=demand.memory_per_request_b,
        memory_growth=demand.memory_growth_bps,
        memory_limit=_memory_limit(demand, limits),
        warm=not (cold or demand.profile.role == "cache") or _keeps_its_data(workload),
    )


def _cpu_limit(limits: Mapping[str, Any], period_s: float) -> float:
    """The CFS quota of a container in cores, inf without one."""
    quota = cpu_quota_us(cpu_millis(limits["cpu"]), round(period_s * 1e6)) if "cpu" in limits else None
    return math.inf if quota is None else quota / (period_s * 1e6)


def _memory_limit(demand: Demand, limits: Mapping[str, Any]) -> float:
    """The main container's limit plus what its sidecars use at rest: a pod is one station with one memory."""
    if "memory" not in limits:
        return math.inf
    others = sum(c.idle_memory_b for c in demand.containers if c.name != demand.main)
    return float(bytes_of(limits["memory"])) + others


def _keeps_its_data(workload: Workload) -> bool:
    """Whether a pod of the workload finds its files again: it mounts a claim."""
    if workload.claim_templates:
        return True
    return any("persistentVolumeClaim" in volume for volume in workload.pod_spec.get("volumes") or ())
