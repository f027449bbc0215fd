"""Where a DaemonSet runs, and how it replaces its pods.

Source: ``pkg/controller/daemon/{daemon_controller,update}.go``, ``util/daemonset_util.go``;
``api/core/v1/toleration.go``; ``component-helpers/scheduling/corev1/nodeaffinity``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from models.objects import Manifest, dig, string_map
from models.rules.defaults import daemon_tolerations, template_of
from models.rules.rollout import IntOrPercent, int_or_percent

_INTEGER: Final = re.compile(r"[+-]?[0-9]+")


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
    effect, key = str(toleration.get("effect") or ""), str(toleration.get("key") or "")
    if effect not in ("", taint.get("effect")) or key not in ("", taint.get("key")):
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Exists":
        return True
    if operator == "Equal":
        return bool((toleration.get("value") or "") == (taint.get("value") or ""))
    return False


def fits_node_affinity(spec: Mapping[str, Any], node: Manifest) -> bool:
    """nodeSelector and required node affinity; terms are ORed, an empty term matches nothing."""
    labels = string_map(dig(node, "metadata", "labels"))
    selector = string_map(spec.get("nodeSelector"))
    if any(labels.get(key) != value for key, value in selector.items()):
        return False
    required = dig(spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    fields = {"metadata.name": str(dig(node, "metadata", "name", default=""))}
    return any(_term(term, labels, fields) for term in dig(required, "nodeSelectorTerms", default=[]))


def _term(term: Mapping[str, Any], labels: Mapping[str, str], fields: Mapping[str, str]) -> bool:
    expressions = term.get("matchExpressions") or []
    names = term.get("matchFields") or []
    if not expressions and not names:
        return False
    return all(_expression(item, labels) for item in expressions) and all(_expression(item, fields) for item in names)


def _expression(item: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator = str(item.get("key")), item.get("operator")
    values = [str(value) for value in item.get("values") or []]
    present = key in labels
    if operator in ("Exists", "DoesNotExist"):
        return present is (operator == "Exists")
    if operator == "In":
        return present and labels[key] in values
    if operator == "NotIn":
        return not present or labels[key] not in values
    if operator in ("Gt", "Lt") and present and len(values) == 1:
        if not _INTEGER.fullmatch(labels[key]) or not _INTEGER.fullmatch(values[0]):
            return False
        left, right = int(labels[key]), int(values[0])
        return left > right if operator == "Gt" else left < right
    return False


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
