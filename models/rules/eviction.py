"""Who goes first when a node runs out: the kubelet's eviction order, and the kernel's OOM order.

Source: ``pkg/kubelet/eviction/{helpers,eviction_manager,defaults_linux}.go``, ``pkg/kubelet/qos/policy.go``,
``pkg/kubelet/types/pod_update.go``; the kernel's badness from ``mm/oom_kill.c`` (``oom_badness``); k3s overrides from
k3s' kubelet defaults (``pkg/daemons/agent``).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from models.objects import Manifest, dig
from models.rules.priority import SYSTEM_CRITICAL_PRIORITY
from models.rules.qos import reported_qos_class
from models.rules.quantity import Quantity, from_units, parse_quantity
from models.rules.resources import (
    EPHEMERAL_STORAGE,
    MEMORY,
    ResourceList,
    ResourceOptions,
    aggregate_requests,
    containers_of,
    init_containers_of,
    is_sidecar,
    pod_level_requests_set,
    pod_level_resources_set,
    pod_requests,
    resource_list,
)

SIGNALS: Final = (
    "memory.available",
    "nodefs.available",
    "nodefs.inodesFree",
    "imagefs.available",
    "imagefs.inodesFree",
    "containerfs.available",
    "containerfs.inodesFree",
    "allocatableMemory.available",
    "pid.available",
)

DEFAULT_EVICTION_HARD: Final[Mapping[str, str]] = {
    "memory.available": "100Mi",
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%",
    "imagefs.available": "15%",
    "imagefs.inodesFree": "5%",
}
"""The kubelet's hard thresholds when none are configured; naming any one drops all the others."""

K3S_EVICTION_HARD: Final[Mapping[str, str]] = {"imagefs.available": "5%", "nodefs.available": "5%"}
"""k3s' hard thresholds: there is no memory eviction, memory exhaustion ends in the kernel's OOM killer."""

K3S_MINIMUM_RECLAIM: Final[Mapping[str, str]] = {"imagefs.available": "10%", "nodefs.available": "10%"}

GUARANTEED_OOM_SCORE_ADJ: Final = -997
BEST_EFFORT_OOM_SCORE_ADJ: Final = 1000
SYSTEM_OOM_SCORE_ADJ: Final = -999
"""oom_score_adj of the kubelet, kube-proxy and containerd."""

_PERCENT: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)")


@dataclass(frozen=True)
class Usage:
    """What one pod uses now; None where nothing was measured.

    ``memory_b``: working set; ``disk_b``: root file systems + logs + local volumes; ``inodes``, ``pids``: counts.
    """

    memory_b: int | None = None
    disk_b: int | None = None
    inodes: int | None = None
    pids: int | None = None


@dataclass(frozen=True)
class Amount:
    """An absolute amount or a share (0..1) of capacity; exactly one is set."""

    quantity: Quantity | None = None
    share: float | None = None

    def of(self, capacity: Quantity) -> Quantity:
        """The amount for a capacity, whole units truncated as upstream (``GetThresholdQuantity``)."""
        if self.quantity is not None:
            return self.quantity
        return from_units(int(float(capacity.value()) * (self.share or 0.0)), "BinarySI")


@dataclass(frozen=True)
class Threshold:
    """A configured eviction threshold; ``grace_s`` is 0 for a hard one."""

    signal: str
    value: Amount
    grace_s: float = 0.0
    min_reclaim: Amount | None = None


@dataclass(frozen=True)
class Observation:
    """What a signal reads: available and capacity, in units (bytes, inodes, pids)."""

    available: Quantity
    capacity: Quantity


@dataclass(frozen=True)
class OomCandidate:
    """A process the kernel may kill: resident + swap + page tables in bytes, and its oom_score_adj."""

    name: str
    memory_b: int
    score_adj: int


def rank_memory(pods: Iterable[Manifest], usage: Mapping[str, Usage]) -> list[Manifest]:
    """Pods in the order of eviction under memory pressure, first to go first (``rankMemoryPressure``).

    Pods not measured; then pods above their request; then low priority; then the largest excess over the request.
    ``usage``: by pod name, or by ``namespace/name`` where names repeat.
    """
    return _rank_over_request(pods, MEMORY, lambda pod: _usage(usage, pod).memory_b)


def rank_disk(pods: Iterable[Manifest], usage: Mapping[str, Usage]) -> list[Manifest]:
    """Pods in the order of eviction under disk pressure, as :func:`rank_memory` with ephemeral storage."""
    return _rank_over_request(pods, EPHEMERAL_STORAGE, lambda pod: _usage(usage, pod).disk_b)


def rank_inodes(pods: Iterable[Manifest], usage: Mapping[str, Usage]) -> list[Manifest]:
    """Pods in the order of eviction under inode pressure: low priority, then most inodes."""
    return _rank_plain(pods, lambda pod: _usage(usage, pod).inodes)


def rank_pids(pods: Iterable[Manifest], usage: Mapping[str, Usage]) -> list[Manifest]:
    """Pods in the order of eviction under pid pressure: low priority, then most processes (``rankPIDPressure``)."""
    return _rank_plain(pods, lambda pod: _usage(usage, pod).pids)


def evictable(pod: Manifest) -> bool:
    """Whether the kubelet may evict the pod: not static, not a mirror, not system-critical (``IsCriticalPod``)."""
    annotations = dig(pod, "metadata", "annotations", default={})
    source = annotations.get("kubernetes.io/config.source", "api")
    static = "kubernetes.io/config.mirror" in annotations or source != "api"
    return not static and priority_of(pod) < SYSTEM_CRITICAL_PRIORITY


def next_victim(ranked: Iterable[Manifest]) -> Manifest | None:
    """The one pod that an eviction cycle kills: the first of the ranking that may be evicted."""
    return next((pod for pod in ranked if evictable(pod)), None)


def parse_thresholds(
    hard: Mapping[str, str],
    soft: Mapping[str, str] | None = None,
    grace_s: Mapping[str, float] | None = None,
    minimum_reclaim: Mapping[str, str] | None = None,
) -> list[Threshold]:
    """Thresholds of a kubelet configuration (``ParseThresholdConfig``); ``0%`` and ``100%`` switch a signal off.

    Raises ValueError in the kubelet's words.
    """
    for seconds in (grace_s or {}).values():
        if seconds < 0:
            raise ValueError(f"invalid eviction grace period specified: {seconds:g}s, must be a positive value")
    reclaim = {signal: _reclaim(signal, text) for signal, text in (minimum_reclaim or {}).items()}
    found: list[Threshold] = []
    for signal, text in hard.items():
        value = _threshold(signal, text)
        if value is not None:
            found.append(Threshold(signal, value, 0.0, reclaim.get(signal)))
    for signal, text in (soft or {}).items():
        value = _threshold(signal, text)
        if value is None:
            continue
        if signal not in (grace_s or {}):
            raise ValueError(f"grace period must be specified for the soft eviction threshold {signal}")
        found.append(Threshold(signal, value, (grace_s or {})[signal], reclaim.get(signal)))
    return found


def thresholds_met(
    thresholds: Iterable[Threshold], observed: Mapping[str, Observation], *, enforce_min_reclaim: bool = False
) -> list[Threshold]:
    """Thresholds that the observations are below; while clearing, below threshold + minimum reclaim."""
    met: list[Threshold] = []
    for threshold in thresholds:
        seen = observed.get(threshold.signal)
        if seen is None:
            continue
        line = threshold.value.of(seen.capacity)
        if enforce_min_reclaim and threshold.min_reclaim is not None:
            line = line + threshold.min_reclaim.of(seen.capacity)
        if seen.available < line:
            met.append(threshold)
    return met


def by_eviction_priority(thresholds: Iterable[Threshold]) -> list[Threshold]:
    """Thresholds in the order they are handled: memory before everything else."""
    return sorted(thresholds, key=lambda item: item.signal not in ("memory.available", "allocatableMemory.available"))


def oom_score_adj(pod: Manifest, container: Manifest, memory_capacity_b: int) -> int:
    """oom_score_adj of a container's processes (``GetContainerOOMScoreAdjust``), -997 (safe) .. 1000 (first).

    ``memory_capacity_b``: the node's memory. A burstable container gets 1000 minus its share of the node in
    thousandths, kept within 3..999; a sidecar is never worse off than the least of the main containers.
    """
    if priority_of(pod) >= SYSTEM_CRITICAL_PRIORITY and dig(pod, "spec", "priorityClassName") == "system-node-critical":
        return GUARANTEED_OOM_SCORE_ADJ
    qos = reported_qos_class(pod)
    if qos == "Guaranteed":
        return GUARANTEED_OOM_SCORE_ADJ
    if qos == "BestEffort":
        return BEST_EFFORT_OOM_SCORE_ADJ
    extra = _unshared_memory(pod)
    score = 1000 - 1000 * (_memory_request(container) + extra) // memory_capacity_b
    if is_sidecar(container) and container in init_containers_of(pod):
        smallest = min((_memory_request(item) for item in containers_of(pod)), default=0)
        score = min(score, 1000 - 1000 * (smallest + extra) // memory_capacity_b)
    if score < 1000 + GUARANTEED_OOM_SCORE_ADJ:
        return 1000 + GUARANTEED_OOM_SCORE_ADJ
    return score - 1 if score == BEST_EFFORT_OOM_SCORE_ADJ else score


def oom_order(candidates: Sequence[OomCandidate], total_memory_b: int) -> list[OomCandidate]:
    """Processes in the order the kernel kills them when ``total_memory_b`` (RAM + swap, or the cgroup's limit) is gone.

    Badness = memory + oom_score_adj / 1000 of the total; a process at -1000 is never killed. Ties keep the order given.
    """
    mortal = [item for item in candidates if item.score_adj > -1000]
    return sorted(mortal, key=lambda item: -(item.memory_b * 1000 + item.score_adj * total_memory_b))


def priority_of(pod: Manifest) -> int:
    """``spec.priority``, 0 when admission has not set it."""
    return int(dig(pod, "spec", "priority", default=0))


def _rank_over_request(
    pods: Iterable[Manifest], name: str, measured: Callable[[Manifest], int | None]
) -> list[Manifest]:
    def key(pod: Manifest) -> tuple[bool, bool, int, int]:
        used = measured(pod)
        if used is None:
            return False, False, priority_of(pod), 0
        excess = used - _request(pod, name)
        return True, excess <= 0, priority_of(pod), -excess

    return sorted(pods, key=key)


def _rank_plain(pods: Iterable[Manifest], measured: Callable[[Manifest], int | None]) -> list[Manifest]:
    def key(pod: Manifest) -> tuple[int, bool, int]:
        used = measured(pod)
        return priority_of(pod), used is not None, -(used or 0)

    return sorted(pods, key=key)


def _usage(usage: Mapping[str, Usage], pod: Manifest) -> Usage:
    name = str(dig(pod, "metadata", "name", default=""))
    qualified = f"{dig(pod, 'metadata', 'namespace', default='')}/{name}"
    return usage.get(qualified) or usage.get(name) or Usage()


def _request(pod: Manifest, name: str) -> int:
    """The request that usage is held against; overhead counts only on top of a request (GetResourceRequestQuantity)."""
    requests: ResourceList
    if pod_level_resources_set(pod):
        requests = resource_list(dig(pod, "spec", "resources", "requests"))
    else:
        requests = pod_requests(pod, ResourceOptions(exclude_overhead=True))
    amount = requests.get(name)
    if not amount:
        return 0
    overhead = resource_list(dig(pod, "spec", "overhead")).get(name)
    return (amount + overhead if overhead else amount).value()


def _memory_request(container: Manifest) -> int:
    amount = resource_list(dig(container, "resources", "requests")).get(MEMORY)
    return amount.value() if amount else 0


def _unshared_memory(pod: Manifest) -> int:
    """Each container's even share of the pod-level memory request that the containers together do not claim."""
    if not pod_level_requests_set(pod):
        return 0
    stated = resource_list(dig(pod, "spec", "resources", "requests")).get(MEMORY)
    members = len(containers_of(pod)) + len(init_containers_of(pod))
    if not stated or not members:
        return 0
    claimed = aggregate_requests(pod).get(MEMORY)
    return max(0, stated.value() - (claimed.value() if claimed else 0)) // members


def _check_signal(signal: str) -> None:
    if signal not in SIGNALS:
        raise ValueError(f"unsupported eviction signal {signal}")


def _threshold(signal: str, text: str) -> Amount | None:
    _check_signal(signal)
    if text.endswith("%"):
        if text in ("0%", "100%"):
            return None
        share = _share(text)
        if share < 0:
            raise ValueError(f"eviction percentage threshold {signal} must be >= 0%: {text}")
        if share > 1:
            raise ValueError(f"eviction percentage threshold {signal} must be <= 100%: {text}")
        return Amount(share=share)
    quantity = parse_quantity(text)
    if quantity.sign <= 0:
        raise ValueError(f"eviction threshold {signal} must be positive: {quantity}")
    return Amount(quantity)


def _reclaim(signal: str, text: str) -> Amount:
    _check_signal(signal)
    if text.endswith("%"):
        share = _share(text)
        if share <= 0:
            raise ValueError(f"eviction percentage minimum reclaim {signal} must be positive: {text}")
        return Amount(share=share)
    quantity = parse_quantity(text)
    if quantity.sign < 0:
        raise ValueError(f"negative eviction minimum reclaim specified for {signal}")
    return Amount(quantity)


def _share(text: str) -> float:
    """A percentage as the kubelet holds it: single precision, so that thresholds fall on the same byte."""
    digits = text.rstrip("%")
    if not _PERCENT.fullmatch(digits):
        raise ValueError(f'strconv.ParseFloat: parsing "{digits}": invalid syntax')
    return _single(_single(float(digits)) / 100)


def _single(number: float) -> float:
    return float(struct.unpack("f", struct.pack("f", number))[0])
