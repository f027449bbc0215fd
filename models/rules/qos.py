"""Quality-of-service class of a pod.

Source: ``pkg/apis/core/v1/helper/qos/qos.go``. Only cpu and memory count, zero amounts count as unset, containers and
init containers are looked at (not ephemeral ones); pod-level resources, where set, are looked at alone.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from models.objects import Manifest, dig
from models.rules.resources import (
    CPU,
    MEMORY,
    ResourceList,
    add_lists,
    containers_of,
    init_containers_of,
    pod_level_resources_set,
    resource_list,
)

QosClass = Literal["Guaranteed", "Burstable", "BestEffort"]

_COMPUTE: Final = (CPU, MEMORY)


def qos_class(pod: Manifest) -> QosClass:
    """The class of a pod, computed from its spec (``ComputePodQOS``). Raises ValueError on an unreadable amount.

    The pod should have been through API defaulting: a limit without a request is a request of that size.
    """
    if pod_level_resources_set(pod):
        resources = [dig(pod, "spec", "resources")]
    else:
        resources = [container.get("resources") for container in containers_of(pod) + init_containers_of(pod)]
    requests: ResourceList = {}
    limits: ResourceList = {}
    guaranteed = True
    for item in resources:
        own_limits = _positive(dig(item, "limits"))
        requests = add_lists(requests, _positive(dig(item, "requests")))
        limits = add_lists(limits, own_limits)
        guaranteed = guaranteed and len(own_limits) == len(_COMPUTE)
    if not requests and not limits:
        return "BestEffort"
    return "Guaranteed" if guaranteed and requests == limits else "Burstable"


def reported_qos_class(pod: Manifest) -> str:
    """``status.qosClass`` where the API server has set it, else the computed class (``GetPodQOS``)."""
    return str(dig(pod, "status", "qosClass") or qos_class(pod))


def _positive(value: Any) -> ResourceList:
    return {name: amount for name, amount in resource_list(value).items() if name in _COMPUTE and amount.sign > 0}
