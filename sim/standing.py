"""A platform at rest on its hardware, with everything that follows without a clock: what the static reports read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import networkx as nx

from models import scenario as schema
from models.catalog import Timings, load_timings
from models.cluster import Cluster, build_cluster
from models.errors import InputError
from models.graph.build import build_graph
from models.objects import Rendered, dig
from models.platform import Platform, Workload, read_platform
from models.shapes import check_shapes
from sim.distribution import with_storage_classes
from sim.headroom import QuotaHeadroom, RolloutCheck, quota_headroom, rollout_checks
from sim.placement import NodeLossAnswer, Placement, lose_node, place_platform

ENDLESS = {"cpu": "1M", "memory": "1Pi", "ephemeral-storage": "1Pi", "pods": "1M"}
_MACHINE = schema.Cluster(nodes=(schema.Node(name="any", machine="m920q", role="server"),))


@dataclass(frozen=True, eq=False)
class Standing:
    """A platform at rest.

    ``hardware_known`` is False when nobody said what the nodes are: then nothing may be concluded about nodes.
    """

    platform: Platform
    graph: nx.MultiDiGraph[str]
    cluster: Cluster
    placement: Placement
    hardware_known: bool = True

    @cached_property
    def workloads(self) -> Mapping[str, Workload]:
        """Every workload by id, those of the distribution included."""
        return {item.id: item for item in self.placement.workloads}

    @cached_property
    def rollouts(self) -> tuple[RolloutCheck, ...]:
        """Whether every Deployment, rolled out alone, can finish."""
        return tuple(rollout_checks(self.placement))

    @cached_property
    def quotas(self) -> tuple[QuotaHeadroom, ...]:
        """Every quota key, tightest first."""
        return tuple(quota_headroom(self.placement, self.rollouts, 0.0))

    @cached_property
    def losses(self) -> tuple[NodeLossAnswer, ...]:
        """What losing each node leaves without a place; nothing when the hardware is unknown."""
        if not self.hardware_known:
            return ()
        return tuple(lose_node(self.placement, node.name) for node in self.cluster.nodes)


def stand(
    rendered: Rendered, hardware: schema.Cluster | None, *, seed: int = 1, timings: Timings | None = None
) -> Standing:
    """Read, graph and place what a tree renders to. ``hardware`` None: unknown, every pod that is admitted fits.

    Raises InputError with every problem found.
    """
    timings = timings or load_timings()
    distribution = hardware.distribution if hardware is not None else "k3s"
    platform = read_platform(with_storage_classes(rendered, distribution))
    problems = check_shapes(platform)
    if problems:
        raise InputError(problems)
    cluster = build_cluster(hardware, timings=timings) if hardware is not None else boundless(platform)
    placement = place_platform(platform, cluster, seed=seed, timings=timings)
    return Standing(platform, build_graph(platform), cluster, placement, hardware is not None)


def boundless(platform: Platform) -> Cluster:
    """Stands for hardware that nobody named: one node with room, every label and every device that a pod asks for."""
    labels: dict[str, str] = {}
    room = dict(ENDLESS)
    for workload in platform.workloads:
        spec = workload.pod_spec
        for key, value in (spec.get("nodeSelector") or {}).items():
            labels.setdefault(str(key), str(value))
        for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
            for name in dig(container, "resources", "limits", default={}) or {}:
                room.setdefault(str(name), "1M")
    cluster = build_cluster(_MACHINE)
    (node,) = cluster.nodes
    metadata = {**node.manifest["metadata"], "labels": {**node.manifest["metadata"]["labels"], **labels}}
    manifest = {**node.manifest, "metadata": metadata, "status": {"capacity": room, "allocatable": room}}
    return replace(cluster, nodes=(replace(node, manifest=manifest),))
