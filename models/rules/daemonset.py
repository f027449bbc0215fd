"""Where a DaemonSet runs, and how it replaces its pods.

Source: ``pkg/controller/daemon/{daemon_controller,update}.go``, ``util/daemonset_util.go``;
``api/core/v1/toleration.go``; ``component-helpers/scheduling/corev1/nodeaffinity``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.objects import Manifest, dig, string_map
from models.rules.defaults import daemon_tolerations, template_of
from models.rules.rollout import IntOrPercent, int_or_percent
from models.scheduler.podinfo import parse_tolerations
from models.scheduler.selectors import node_selector
from models.scheduler.taints import Taint, tolerated


@dataclass(frozen=True)
class DaemonNode:
    """The daemon pods on one node that should run one: None where there is none, else whether it is available.

    ``should_run`` is false on a node that the set no longer selects.
    """

    name: str
    old_available: bool | None = None
    new_available: bool | None = None
    should_run: bool = True


@dataclass(frozen=True)
class DaemonStep:
    """Nodes whose old pod is deleted now, and nodes that get a new pod beside their old one."""

    delete_old: tuple[str, ...] = ()
    create_new: tuple[str, ...] = ()


def daemon_should_run(daemon_set: Manifest, node: Manifest) -> tuple[bool, bool]:
    """(a new pod is placed on the node, a running one stays) (``NodeShouldRunDaemonPod``).

    Node name, node selector, required node affinity and taints decide; resources do not. Unschedulable and pressure
    taints are tolerated by every daemon pod.
    """
    template = template_of(daemon_set)
    spec = dig(template, "spec", default={})
    name = dig(node, "metadata", "name", default="")
    if dig(spec, "nodeName", default="") not in ("", name) or not fits_node_affinity(spec, node):
        return False, False
    tolerations = daemon_tolerations(template)
    taints = dig(node, "spec", "taints", default=[])
    blocking = [taint for taint in taints if not any(tolerates(item, taint) for item in tolerations)]
    effects = {dig(taint, "effect") for taint in blocking}
    return not effects & {"NoSchedule", "NoExecute"}, "NoExecute" not in effects


def daemon_limits(daemon_set: Manifest, desired: int) -> tuple[int, int]:
    """(maxSurge, maxUnavailable) in pods, both rounded up; if both are 0, maxUnavailable is 1."""
    strategy = dig(daemon_set, "spec", "updateStrategy", default={})
    if dig(strategy, "type", default="RollingUpdate") != "RollingUpdate":
        return 0, 0
    surge: IntOrPercent = dig(strategy, "rollingUpdate", "maxSurge", default=0)
    missing: IntOrPercent = dig(strategy, "rollingUpdate", "maxUnavailable", default=1)
    extra = int_or_percent(surge, desired, round_up=True)
    unavailable = int_or_percent(missing, desired, round_up=True)
    return extra, 1 if desired > 0 and extra == 0 and unavailable == 0 else unavailable


def daemon_update_step(nodes: Sequence[DaemonNode], surge: int, unavailable: int) -> DaemonStep:
    """One pass of the rolling update over the nodes, in the order given (``rollingUpdate``).

    Without surge old pods are deleted while fewer than ``unavailable`` nodes lack an available pod; an old pod that is
    not available is always replaced. With surge new pods start beside old ones, which go once the new is available.
    """
    return _surging(nodes, surge) if surge > 0 else _replacing(nodes, unavailable)


def tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    """Whether a toleration covers a taint (``ToleratesTaint``): empty effect or key match all; default Equal."""
    wanted = Taint(*(str(taint.get(field) or "") for field in Taint._fields))
    return tolerated(wanted, parse_tolerations([toleration]))


def fits_node_affinity(spec: Mapping[str, Any], node: Manifest) -> bool:
    """nodeSelector and required node affinity; terms are ORed, an empty or unreadable term matches nothing."""
    labels = string_map(dig(node, "metadata", "labels"))
    selector = string_map(spec.get("nodeSelector"))
    if any(labels.get(key) != value for key, value in selector.items()):
        return False
    required = dig(spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return node_selector(required).matches(labels, str(dig(node, "metadata", "name", default="")))


def _replacing(nodes: Sequence[DaemonNode], unavailable: int) -> DaemonStep:
    missing = 0
    broken: list[str] = []
    candidates: list[str] = []
    for node in nodes:
        if (node.old_available is None) == (node.new_available is None):
            missing += 1
        elif node.new_available is not None:
            missing += not node.new_available
        elif not node.old_available:
            broken.append(node.name)
            missing += 1
        elif missing < unavailable:
            candidates.append(node.name)
    return DaemonStep(delete_old=(*broken, *candidates[: max(0, unavailable - missing)]))


def _surging(nodes: Sequence[DaemonNode], surge: int) -> DaemonStep:
    delete: list[str] = []
    leaving: list[str] = []
    allowed: list[str] = []
    candidates: list[str] = []
    surging = available = 0
    for node in nodes:
        available += bool(node.new_available if node.old_available is None else node.old_available)
        if node.old_available is None:
            continue
        if node.new_available is not None:
            if node.new_available:
                delete.append(node.name)
            else:
                surging += 1
        elif not node.should_run:
            (leaving if node.old_available else delete).append(node.name)
        elif not node.old_available:
            allowed.append(node.name)
        elif surging < surge:
            candidates.append(node.name)
    surplus = available - sum(node.should_run for node in nodes)
    return DaemonStep(
        delete_old=(*delete, *leaving[: max(0, surplus)]),
        create_new=(*allowed, *candidates[: max(0, surge - surging)]),
    )
