"""Why a node is refused, in the scheduler's own words, and the sentence that it writes into the pod's events.

Sources: pkg/scheduler/framework/types.go (``FitError.Error``) and the ``ErrReason`` constants of the plugins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

NODE_UNSCHEDULABLE = "node(s) were unschedulable"
NODE_NAME = "node(s) didn't match the requested node name"
NODE_AFFINITY = "node(s) didn't match Pod's node affinity/selector"
NODE_ENFORCED = "node(s) didn't match scheduler-enforced node affinity"
NODE_PORTS = "node(s) didn't have free ports for the requested pod ports"
TOO_MANY_PODS = "Too many pods"
DISK_CONFLICT = "node(s) had no available disk"
RWOP_CONFLICT = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
MAX_VOLUMES = "node(s) exceed max volume count"
VOLUME_NODE_AFFINITY = "node(s) had volume node affinity conflict"
VOLUME_BIND = "node(s) didn't find available persistent volumes to bind"
VOLUME_SPACE = "node(s) did not have enough free storage"
VOLUME_MISSING = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
VOLUME_ZONE = "node(s) had no available volume zone"
UNBOUND_IMMEDIATE = "pod has unbound immediate PersistentVolumeClaims"
SPREAD = "node(s) didn't match pod topology spread constraints"
SPREAD_LABEL = f"{SPREAD} (missing required label)"
POD_AFFINITY = "node(s) didn't match pod affinity rules"
POD_ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules"
EXISTING_ANTI_AFFINITY = "node(s) didn't satisfy existing pods anti-affinity rules"
AFFINITY_CONFLICT = "pod affinity terms conflict"
NO_VICTIMS = "No preemption victims found for incoming pod"
PREEMPTION_UNHELPFUL = "Preemption is not helpful for scheduling"
NO_NODES = "no nodes available to schedule pods"


class Status(NamedTuple):
    """A refusal: the plugin, its reasons, and whether removing pods from the node could never help."""

    plugin: str
    reasons: tuple[str, ...]
    unresolvable: bool = False


class PodRefused(Exception):  # noqa: N818 - a verdict on the pod, not an error of the program
    """PreFilter refuses the pod on all nodes at once.

    ``error`` is true where the scheduler reports an internal error (no FitError sentence, no preemption).
    """

    def __init__(self, plugin: str, message: str, *, unresolvable: bool = True, error: bool = False) -> None:
        super().__init__(message)
        self.plugin = plugin
        self.message = message
        self.unresolvable = unresolvable
        self.error = error


def untolerated_reason(key: str, value: str) -> str:
    """The TaintToleration reason for a taint."""
    return f"node(s) had untolerated taint {{{key}: {value}}}"


def insufficient(resource: str) -> str:
    """The NodeResourcesFit reason for a resource."""
    return f"Insufficient {resource}"


def fit_error(nodes: int, reasons: Mapping[str, int], *, prefilter: str = "", postfilter: str = "") -> str:
    """``FitError.Error``: ``0/N nodes are available: <histogram>. <preemption>``.

    ``reasons`` counts how many nodes give each reason; they are sorted as text (``10 x`` before ``2 y``), as upstream
    does. A message from PreFilter replaces the histogram.
    """
    text = f"0/{nodes} nodes are available:"
    if prefilter:
        text += f" {prefilter}."
    elif reasons:
        text += f" {', '.join(sorted(f'{count} {reason}' for reason, count in reasons.items()))}."
    return f"{text} {postfilter}" if postfilter else text


def histogram(statuses: Iterable[Status]) -> Counter[str]:
    """How many nodes give each reason."""
    return Counter(reason for status in statuses for reason in status.reasons)
