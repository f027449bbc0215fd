"""The filters and scores that look at one node alone: name, taints, node affinity, ports, images; normalisation.

Sources: pkg/scheduler/framework/plugins/{nodeunschedulable,nodename,tainttoleration,nodeaffinity,nodeports,
imagelocality}/*.go, plugins/helper/normalize_score.go (Kubernetes 1.33).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from models.objects import dig
from models.scheduler.nodeinfo import NodeInfo, NodeState
from models.scheduler.podinfo import WILDCARD_IP, HostPort, PodSpec, PreferredNodeTerm
from models.scheduler.selectors import NodeSelector
from models.scheduler.status import (
    AFFINITY_CONFLICT,
    NODE_AFFINITY,
    NODE_ENFORCED,
    NODE_NAME,
    NODE_PORTS,
    NODE_UNSCHEDULABLE,
    PodRefused,
    Status,
    untolerated_reason,
)
from models.scheduler.taints import (
    UNSCHEDULABLE,
    count_untolerated_preferences,
    first_untolerated,
    tolerated,
)

MAX_SCORE = 100
NOT_PINNED = Status("NodeAffinity", ("node(s) didn't satisfy plugin(s) [NodeAffinity]",), True)
"""The status of nodes that PreFilter leaves out because the pod names its nodes by ``matchFields``."""

_REQUIRED_TERMS = (
    "affinity",
    "nodeAffinity",
    "requiredDuringSchedulingIgnoredDuringExecution",
    "nodeSelectorTerms",
)
_MEBIBYTE = 1024 * 1024
_IMAGE_MIN = 23 * _MEBIBYTE
_IMAGE_MAX_PER_CONTAINER = 1000 * _MEBIBYTE


def unschedulable_filter(spec: PodSpec, node: NodeInfo) -> Status | None:
    """NodeUnschedulable: a cordoned node refuses, unless the pod tolerates the unschedulable taint."""
    if node.unschedulable and not tolerated(UNSCHEDULABLE, spec.tolerations):
        return Status("NodeUnschedulable", (NODE_UNSCHEDULABLE,), True)
    return None


def name_filter(spec: PodSpec, node: NodeInfo) -> Status | None:
    """NodeName: ``spec.nodeName``, when set, must be the node."""
    if spec.node_name and spec.node_name != node.name:
        return Status("NodeName", (NODE_NAME,), True)
    return None


def taint_filter(spec: PodSpec, node: NodeInfo) -> Status | None:
    """TaintToleration: the first NoSchedule or NoExecute taint without toleration refuses."""
    taint = first_untolerated(node.taints, spec.tolerations)
    if taint is None:
        return None
    return Status("TaintToleration", (untolerated_reason(taint.key, taint.value),), True)


def affinity_filter(spec: PodSpec, node: NodeInfo, added: NodeSelector | None = None) -> Status | None:
    """NodeAffinity: what the profile adds for all pods, then nodeSelector and the required terms."""
    if added is not None and not added.matches(node.labels, node.name):
        return Status("NodeAffinity", (NODE_ENFORCED,), True)
    if matches_node(spec, node):
        return None
    return Status("NodeAffinity", (NODE_AFFINITY,), True)


def matches_node(spec: PodSpec, node: NodeInfo) -> bool:
    """Whether nodeSelector and required node affinity accept the node."""
    if not spec.node_selector.matches(node.labels):
        return False
    return spec.required_nodes is None or spec.required_nodes.matches(node.labels, node.name)


def pinned_nodes(spec: PodSpec) -> frozenset[str] | None:
    """The node names that ``matchFields`` pins a pod to, None when any required term leaves the name open.

    Reads the raw terms because PreFilter looks at them before they are parsed. Raises :class:`PodRefused` when every
    term contradicts itself.
    """
    terms = dig(dict(spec.manifest), *_REQUIRED_TERMS, default=[])
    if not terms:
        return None
    names: set[str] = set()
    for term in terms:
        allowed: set[str] | None = None
        for item in term.get("matchFields") or ():
            if item.get("key") == "metadata.name" and item.get("operator") == "In":
                values = {str(value) for value in item.get("values") or ()}
                allowed = values if allowed is None else allowed & values
        if allowed is None:
            return None
        names |= allowed
    if not names:
        raise PodRefused("NodeAffinity", AFFINITY_CONFLICT)
    return frozenset(names)


def ports_filter(spec: PodSpec, node: NodeState) -> Status | None:
    """NodePorts: no host port of the pod may be taken on the node."""
    taken = [port for pod in node.pods for port in pod.spec.host_ports]
    if any(ports_conflict(wanted, used) for wanted in spec.host_ports for used in taken):
        return Status("NodePorts", (NODE_PORTS,))
    return None


def ports_conflict(left: HostPort, right: HostPort) -> bool:
    """Whether two host ports collide: same protocol and port, and the same address or a wildcard on either side."""
    if (left.protocol, left.port) != (right.protocol, right.port):
        return False
    return left.ip == right.ip or WILDCARD_IP in (left.ip, right.ip)


def taint_score(spec: PodSpec, node: NodeInfo) -> int:
    """TaintToleration raw score: untolerated PreferNoSchedule taints (fewer is better)."""
    return count_untolerated_preferences(node.taints, spec.tolerations)


def affinity_score(spec: PodSpec, node: NodeInfo, added: Sequence[PreferredNodeTerm] = ()) -> int:
    """NodeAffinity raw score: the weights of the preferred terms, the pod's and the profile's, that match the node."""
    return sum(item.weight for item in (*added, *spec.preferred_nodes) if item.term.matches(node.labels, node.name))


def image_score(spec: PodSpec, node: NodeInfo, spread: Mapping[str, int], nodes: int) -> int:
    """ImageLocality score 0..100. ``spread`` is the number of nodes that hold each image, of ``nodes`` in all."""
    total = 0
    for image in spec.images:
        size = node.images.get(image)
        if size is not None:
            total += int(float(size) * (float(spread.get(image, 0)) / float(nodes)))
    ceiling = _IMAGE_MAX_PER_CONTAINER * len(spec.images)
    total = min(max(total, _IMAGE_MIN), max(ceiling, _IMAGE_MIN))
    return MAX_SCORE * (total - _IMAGE_MIN) // (ceiling - _IMAGE_MIN)


def image_spread(nodes: Iterable[NodeInfo]) -> dict[str, int]:
    """How many nodes hold each image."""
    spread: dict[str, int] = {}
    for node in nodes:
        for name in node.images:
            spread[name] = spread.get(name, 0) + 1
    return spread


def normalise(scores: Sequence[int], *, reverse: bool = False) -> list[int]:
    """``DefaultNormalizeScore``: scale so that the largest becomes 100, truncated; ``reverse`` turns it upside down."""
    highest = max(scores, default=0)
    if highest <= 0:
        return [MAX_SCORE] * len(scores) if reverse else list(scores)
    scaled = [MAX_SCORE * score // highest for score in scores]
    return [MAX_SCORE - score for score in scaled] if reverse else scaled
