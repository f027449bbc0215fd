"""Streams: what a long transfer holds at the app, and which pods may use the hardware encoder of their node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.platform import Workload
from models.traffic import Stream
from sim import program as ir
from sim.compile.callplans import Builder
from sim.demand import running_containers

GPU_RESOURCES = ("gpu.intel.com/", "nvidia.com/", "amd.com/gpu")
"""Extended resources whose device plugins hand a pod a video encoder (Intel, NVIDIA and AMD device plugins)."""

GPU_DEVICES = ("/dev/dri", "/dev/nvidia", "/dev/mpp_service")
"""Device files of video encoders that a pod may mount (Jellyfin docs: hardware acceleration)."""


def stream_plan(builder: Builder, service: str, stream: Stream, outside: bool) -> list[ir.Instruction]:
    """What one stream does at the app behind ``service``; ``outside``: it goes over the home connection.

    A transcode takes an encoder session of the node that its pod runs on. When none is left it goes on in software and
    ends degraded, or is refused, as the app's profile says. A pod that may not use an encoder transcodes in software.
    """
    link = (1 if stream.kind == "upload" else 0) if outside else -1
    bandwidth = stream.bitrate if outside else 0.0

    def hold(cores: float, pool: int = -1, *, degrade: bool = False, skip: int = 0) -> ir.Hold:
        length = ir.Draw(stream.duration)
        return ir.Hold(length, pool=pool, link=link, bandwidth=bandwidth, cores=cores, degrade=degrade, skip=skip)

    workload = builder.workload_of(service)
    if workload is None:
        return [hold(0.0)]
    demand = builder.demands[workload.id]
    costs = demand.profile.streams
    if costs is None:
        builder.assumptions[f"a stream of {workload.id} needs no CPU (its profile does not say)"] = None
        return [hold(0.0)]
    if stream.kind != "transcode":
        return [hold(costs.direct_cores)]
    if not may_encode(workload):
        builder.assumptions[
            f"{workload.id} transcodes in software: it asks for no GPU and mounts no device of an encoder"
        ] = None
        return [hold(costs.transcode_cores)]
    if demand.without_encoder == "refuse":
        return [hold(costs.transcode_hw_cores, ir.POOL_OF_POD)]
    hardware = hold(costs.transcode_hw_cores, ir.POOL_OF_POD, degrade=True, skip=1)
    return [hardware, hold(costs.transcode_cores), ir.LANDING]


def may_encode(workload: Workload) -> bool:
    """Whether a pod of the workload sees a video encoder: a GPU resource, a device file, or a privileged container."""
    for container in running_containers(workload.pod_spec):
        resources: Mapping[str, Any] = container.get("resources") or {}
        asked = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
        if any(name.startswith(GPU_RESOURCES) and str(amount) != "0" for name, amount in asked.items()):
            return True
        if (container.get("securityContext") or {}).get("privileged") is True:
            return True
    volumes = workload.pod_spec.get("volumes") or ()
    return any(str((item.get("hostPath") or {}).get("path") or "").startswith(GPU_DEVICES) for item in volumes)
