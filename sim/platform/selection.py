"""Which pods, nodes, systems and certificates a selector of the scenario means, and how many of them a mode takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeVar

from models import scenario as schema
from models.platform import Workload
from sim.platform.state import NodeSim, PodSim
from sim.platform.storage import claims_of
from sim.platform.streams import Stream

if TYPE_CHECKING:
    from sim.platform.world import World

T = TypeVar("T")


def workload_matches(workload: Workload, pattern: str) -> bool:
    """``Kind/namespace/name``, ``namespace/name``, ``Kind/name`` or ``name``; ``*`` matches anything."""
    full = (workload.controller, workload.namespace, workload.name)
    parts = pattern.split("/")
    if len(parts) == 3:
        return all(fnmatchcase(value, part) for value, part in zip(full, parts, strict=True))
    if len(parts) == 2:
        kind_or_namespace, name = parts
        known = fnmatchcase(workload.namespace, kind_or_namespace) or workload.controller == kind_or_namespace
        return known and fnmatchcase(workload.name, name)
    return fnmatchcase(workload.name, pattern)


def pods_of(world: World, selector: schema.Selector) -> list[PodSim]:
    """The pods that exist now and match all that the selector says about pods and their nodes."""
    nodes = {node.name for node in nodes_of(world, selector)}
    found = []
    for pod in world.pods.values():
        labels = pod.manifest["metadata"].get("labels") or {}
        workload = pod.controller.model.workload
        claims = claims_of(pod.manifest)
        if (
            (not selector.namespaces or any(fnmatchcase(pod.namespace, item) for item in selector.namespaces))
            and all(labels.get(key) == value for key, value in selector.label_selectors.items())
            and (not selector.workloads or any(workload_matches(workload, item) for item in selector.workloads))
            and (not selector.volumes or any(fnmatchcase(c, item) for c in claims for item in selector.volumes))
            and (not (selector.nodes or selector.node_selectors) or (pod.node is not None and pod.node.name in nodes))
            and not pod.deleting
        ):
            found.append(pod)
    return found


def nodes_of(world: World, selector: schema.Selector) -> list[NodeSim]:
    """The nodes that match; all when the selector says nothing about nodes."""
    found = []
    for node in world.nodes.by_name.values():
        labels = node.spec.manifest["metadata"].get("labels") or {}
        named = not selector.nodes or any(fnmatchcase(node.name, item) for item in selector.nodes)
        if named and all(labels.get(key) == value for key, value in selector.node_selectors.items()):
            found.append(node)
    return found


def names_pods(selector: schema.Selector) -> bool:
    """Whether the selector speaks of pods at all."""
    return bool(selector.namespaces or selector.label_selectors or selector.workloads or selector.volumes)


def take(items: Sequence[T], mode: schema.Mode, value: float | None, stream: Stream) -> list[T]:
    """As many of the items as the mode says, at random, in their order.

    Percentages round down but hit at least one (Chaos Mesh, pkg/selector/generic ``FilterObjectsByMode``).
    """
    if mode == "all" or not items:
        return list(items)
    if mode == "one":
        count = 1
    elif mode == "fixed":
        count = int(value or 0)
    elif mode == "fixed-percent":
        count = max(1, math.floor(len(items) * (value or 0.0) / 100.0))
    else:
        count = max(1, math.floor(len(items) * stream.uniform(0.0, value or 0.0) / 100.0))
    left = list(range(len(items)))
    chosen = sorted(left.pop(stream.below(len(left))) for _ in range(min(count, len(items))))
    return [items[position] for position in chosen]
