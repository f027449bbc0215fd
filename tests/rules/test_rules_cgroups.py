"""Requests and limits as cgroup values, by the tables of the kubelet (pkg/kubelet/cm/helpers_linux_test.go)."""

from __future__ import annotations

import pytest

from models.rules.cgroups import cpu_quota_us, cpu_shares


@pytest.mark.parametrize(
    ("request_m", "shares"), [(0, 2), (1, 2), (2, 2), (5, 5), (100, 102), (1000, 1024), (10**9, 262_144)]
)
def test_shares_of_a_request(request_m: int, shares: int) -> None:
    assert cpu_shares(request_m) == shares


@pytest.mark.parametrize(
    ("limit_m", "period_us", "quota"),
    [
        (0, 100_000, None),  # no limit
        (5, 100_000, 1000),  # the kernel takes no smaller quota
        (9, 100_000, 1000),
        (10, 100_000, 1000),
        (200, 100_000, 20_000),
        (500, 100_000, 50_000),
        (1000, 100_000, 100_000),
        (1500, 100_000, 150_000),
        (200, 500_000, 100_000),
        (500, 5_000, 2_500),
    ],
)
def test_quota_of_a_limit(limit_m: int, period_us: int, quota: int | None) -> None:
    assert cpu_quota_us(limit_m, period_us) == quota
