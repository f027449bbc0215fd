"""A node as the scheduler reads it, and a node with the pods on it.

Source: pkg/scheduler/framework/types.go (NodeInfo), pkg/apis/core/v1/defaults.go (``SetDefaults_NodeStatus``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.objects import dig, string_map
from models.rules.quantity import parse_quantity
from models.scheduler.podinfo import PodInfo, resource_values
from models.scheduler.taints import Taint


@dataclass(frozen=True, eq=False)
class NodeInfo:
    """One node. ``allocatable`` is in millicores for cpu and base units otherwise; ``images`` maps name to bytes."""

    manifest: Mapping[str, Any]
    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    unschedulable: bool
    allocatable: Mapping[str, int]
    images: Mapping[str, int]


@dataclass(frozen=True)
class NodeState:
    """A node and the pods that are bound to it: what the plain filters and scores look at."""

    info: NodeInfo
    pods: Sequence[PodInfo]

    def used(self, resource: str) -> int:
        """The sum of the pods' requests for ``resource`` (millicores for cpu)."""
        return sum(pod.spec.requests.get(resource, 0) for pod in self.pods)

    def non_zero_used(self, resource: str) -> int:
        """As :meth:`used`, with 100m cpu and 200Mi memory for containers that request none; cpu and memory only."""
        position = {"cpu": 0, "memory": 1}[resource]
        return sum(pod.spec.non_zero[position] for pod in self.pods)


def parse_node(node: Mapping[str, Any]) -> NodeInfo:
    """The parsed node; without ``status.allocatable`` the capacity counts, as the API server's defaulting does."""
    metadata = node.get("metadata") or {}
    spec = node.get("spec") or {}
    status = dict(node.get("status") or {})
    amounts = status.get("allocatable")
    if amounts is None:
        amounts = status.get("capacity") or {}
    images: dict[str, int] = {}
    for image in status.get("images") or ():
        for name in image.get("names") or ():
            images[str(name)] = int(image.get("sizeBytes") or 0)
    return NodeInfo(
        manifest=node,
        name=str(metadata.get("name") or ""),
        labels=string_map(metadata.get("labels")),
        taints=tuple(
            Taint(*(str(item.get(name) or "") for name in ("key", "value", "effect")))
            for item in spec.get("taints") or ()
        ),
        unschedulable=bool(spec.get("unschedulable")),
        allocatable=resource_values({str(name): parse_quantity(value) for name, value in amounts.items()}),
        images=images,
    )


def csi_limits(csi_node: Mapping[str, Any] | None) -> dict[str, int]:
    """``spec.drivers[].allocatable.count`` of a CSINode by driver name; drivers without a count have no limit."""
    limits: dict[str, int] = {}
    for driver in dig(dict(csi_node or {}), "spec", "drivers", default=[]):
        count = dig(driver, "allocatable", "count")
        if count is not None:
            limits[str(driver.get("name") or "")] = int(count)
    return limits
