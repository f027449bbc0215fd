"""Limits that the API server would not store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from models.errors import Problem, Where
from models.platform import Platform
from models.rules.quantity import NANO
from models.rules.quota import hard_of

_COUNTED: Final = frozenset(
    {
        "pods",
        "services",
        "services.nodeports",
        "services.loadbalancers",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
    }
)
"""Keys that count pieces, beside ``count/…`` (pkg/apis/core/helper/helpers.go ``integerResources``)."""


def quota_problems(platform: Platform) -> list[Problem]:
    """A problem for every limit that is below zero, or no whole number where pieces are counted.

    Source: pkg/apis/core/validation/validation.go ``ValidateResourceQuotaSpec``.
    """
    return list(_problems(platform))


def _problems(platform: Platform) -> Iterator[Problem]:
    for item in platform.by_kind("ResourceQuota", ""):
        for key, amount in hard_of(item.manifest).items():
            where = Where(item.origin.file, item.origin.line, f"spec.hard.{key}")
            what = f"'{amount}' of {item.key}"
            if amount.sign < 0:
                yield Problem(where, f"{what} must be greater than or equal to 0", "0 forbids, no key leaves it open")
            elif (key in _COUNTED or key.startswith("count/")) and amount.nano % NANO:
                yield Problem(where, f"{what} must be an integer", "write a whole number of pieces")
