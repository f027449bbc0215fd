"""What the kubelet writes into the cgroups of pods and containers.

Source: ``pkg/kubelet/cm/helpers_linux.go`` (MilliCPUToShares, MilliCPUToQuota) of Kubernetes 1.33. A node with cgroup
v2 gets ``cpu.weight`` instead of shares, which is proportional to them but for rounding (KEP-2254).
"""

from __future__ import annotations

MIN_SHARES = 2
MAX_SHARES = 262_144
SHARES_PER_CPU = 1024
MIN_QUOTA_US = 1000
"""The kernel takes no smaller quota (Documentation/scheduler/sched-bwc.rst)."""


def cpu_shares(request_m: int) -> int:
    """``cpu.shares`` for a request in millicores; a pod without one gets the least."""
    if request_m == 0:
        return MIN_SHARES
    return min(max(request_m * SHARES_PER_CPU // 1000, MIN_SHARES), MAX_SHARES)


def cpu_quota_us(limit_m: int, period_us: int = 100_000) -> int | None:
    """``cpu.cfs_quota_us`` for a limit in millicores; None for a limit of 0, which is none."""
    if limit_m == 0:
        return None
    return max(limit_m * period_us // 1000, MIN_QUOTA_US)
