"""A platform as it runs on the day a change is merged: a quota that is lowered evicts nothing.

``sim.standing`` starts everything from nothing, so that a pod which admission refuses is not there. In a cluster it is:
it was admitted under the rules of yesterday, is charged to the quota, and takes room on its node until it restarts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from models.objects import Manifest
from models.operators.make import maps
from models.platform import Platform, Workload
from sim.placement import place_platform
from sim.quotas.rest import full_ledger
from sim.standing import Standing

_ABOUT_NODES = ("volumes", "affinity", "nodeName", "nodeSelector", "topologySpreadConstraints", "schedulingGates")
"""Fields of a pod that decide on which node it may run, and nothing about quotas."""


def as_running(standing: Standing) -> Standing:
    """The same platform with every pod in its place and charged, those that quotas would refuse today included.

    While nobody said what the nodes are, every pod runs somewhere: volumes, affinity and ports are left out.
    """
    refused = any(pod.state == "refused" for pod in standing.placement.pods)
    if standing.hardware_known and not refused:
        return standing
    platform = standing.platform
    workloads = platform.workloads if standing.hardware_known else tuple(_anywhere(item) for item in platform.workloads)
    rest = tuple(item for item in platform.objects if item.kind != "ResourceQuota")
    placement = place_platform(
        Platform(platform.rendered, rest, workloads), standing.cluster, seed=standing.placement.seed
    )
    whole = Platform(platform.rendered, platform.objects, workloads)
    placement = replace(placement, platform=whole, ledger=full_ledger(placement, whole))
    return replace(standing, platform=whole, placement=placement)


def _anywhere(workload: Workload) -> Workload:
    """The workload without what ties its pods to some nodes."""
    spec: dict[str, Any] = {key: value for key, value in workload.pod_spec.items() if key not in _ABOUT_NODES}
    for group in ("containers", "initContainers"):
        if group in spec:
            spec[group] = [_without_ports(item) for item in maps(spec[group])]
    return replace(workload, template={**workload.template, "spec": spec}, claim_templates=())


def _without_ports(container: Manifest) -> Manifest:
    return {key: value for key, value in container.items() if key != "ports"}
