"""The pods of a DaemonSet: pinned to their node by name, tolerant of a node's troubles.

Source: pkg/controller/daemon/util/daemonset_util.go and daemon_controller.go (``NodeShouldRunDaemonPod``).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from models.objects import Manifest
from models.scheduler.nodefilters import affinity_filter, name_filter, taint_filter
from models.scheduler.nodeinfo import parse_node
from models.scheduler.podinfo import PodParser

_AUTOMATIC = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
_HOST_NETWORK = ("node.kubernetes.io/network-unavailable", "NoSchedule")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def daemonset_pod(template: Mapping[str, Any], node: str) -> Manifest:
    """The pod that a DaemonSet makes of its pod ``template`` for ``node``: a deep copy, template untouched.

    The required node affinity terms are replaced by one that names the node (``matchFields`` ``metadata.name``), as
    the controller has already looked at them; tolerations for the conditions of a node are added.
    """
    pod: Manifest = copy.deepcopy(dict(template))
    spec = pod.setdefault("spec", {})
    affinity = spec.get("affinity") or {}
    spec["affinity"] = affinity
    node_affinity = affinity.get("nodeAffinity") or {}
    affinity["nodeAffinity"] = node_affinity
    node_affinity[_REQUIRED] = {
        "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]
    }
    spec["tolerations"] = [*(spec.get("tolerations") or ())]
    for key, effect in (*_AUTOMATIC, *([_HOST_NETWORK] if spec.get("hostNetwork") else ())):
        toleration = {"key": key, "operator": "Exists", "effect": effect}
        if toleration not in spec["tolerations"]:
            spec["tolerations"].append(toleration)
    return pod


def runs_on(template: Mapping[str, Any], node: Mapping[str, Any]) -> bool:
    """Whether the DaemonSet wants a pod on ``node`` at all: node name, node affinity, and taints it tolerates."""
    name = str((node.get("metadata") or {}).get("name") or "")
    info = parse_node(node)
    parser = PodParser()
    own, made = parser.parse(template), parser.parse(daemonset_pod(template, name))
    return (
        name_filter(own.spec, info) is None
        and affinity_filter(own.spec, info) is None
        and taint_filter(made.spec, info) is None
    )
