"""Use of every namespace before and after: at rest and at peak, against its quotas and against the nodes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from models.rules.quantity import ZERO, Quantity, format_bytes, format_millicores, parse_quantity
from sim.compare.difference import Use
from sim.standing import Standing


@dataclass(frozen=True)
class Row:
    """One side of a :class:`sim.compare.difference.Use`."""

    hard: Quantity | None
    rest: Quantity
    peak: Quantity
    at_peak: str

    @property
    def share(self) -> float | None:
        """Use at peak as a share of the limit; None without one."""
        return share_of(self.peak, self.hard)


Key = tuple[str, str, str]
"""Namespace, quota ("" for none), resource."""


def share_of(amount: Quantity, hard: Quantity | None) -> float | None:
    """``amount`` as a share of the limit; None without a limit, and for a limit of 0 that nobody uses."""
    if hard is None or (not hard.nano and not amount.nano):
        return None
    return amount.nano / hard.nano if hard.nano else float("inf")


def use_rows(running: Standing) -> dict[Key, Row]:
    """What a platform that runs uses: every quota key, and the requests of every namespace against the nodes."""
    rows: dict[Key, Row] = {}
    for item in running.quotas:
        where = (item.namespace, item.quota, item.key)
        rest = parse_quantity(item.used_rest)
        peak = rest
        limit, at_peak = parse_quantity(item.hard), ""
        for check in running.rollouts:
            amount = check.peak.get(where, ZERO)
            if check.verdict == "completes":
                # It goes on with what the quota leaves: old pods make room for the rest.
                amount = min(amount, max(limit, rest))
            if amount > peak:
                peak, at_peak = amount, f"{check.workload} rolls out"
        rows[where] = Row(limit, rest, peak, at_peak)
    rooms = running.placement.node_rooms() if running.hardware_known else ()
    cpu = parse_quantity(f"{sum(room.cpu_allocatable_m for room in rooms)}m") if rooms else None
    memory = parse_quantity(sum(room.memory_allocatable_b for room in rooms)) if rooms else None
    for use in running.placement.namespace_uses():
        for key, amount, hard in (
            ("requests.cpu", parse_quantity(format_millicores(use.cpu_requests_m)), cpu),
            ("requests.memory", parse_quantity(format_bytes(use.memory_requests_b)), memory),
        ):
            rows[(use.namespace, "", key)] = Row(hard, amount, amount, "")
    return rows


_EXCEEDED = re.compile(r"exceeded quota: (\S+), requested: (\S+), used: (\S*), limited: (\S+)")


def needs(message: str) -> list[tuple[str, str, Quantity, Quantity]]:
    """Quota, key, what is needed (used + requested) and the limit, of an ``exceeded quota`` message of the API server.

    Source of the form: ``apiserver/pkg/admission/plugin/resourcequota/controller.go``, ``CheckRequest``.
    """
    match = _EXCEEDED.search(message)
    if match is None:
        return []
    requested, used, limited = (_amounts(match[number]) for number in (2, 3, 4))
    return [
        (match[1], key, used.get(key, ZERO) + amount, limited[key])
        for key, amount in sorted(requested.items())
        if key in limited
    ]


def _amounts(text: str) -> dict[str, Quantity]:
    pairs = (item.partition("=") for item in text.split(","))
    return {key: parse_quantity(value) for key, equals, value in pairs if equals}


def uses(before: Mapping[Key, Row], after: Mapping[Key, Row], platform: str = "") -> list[Use]:
    """Both sides joined, the largest share in the head first."""
    joined = [_join(key, before.get(key), after.get(key), platform) for key in sorted({*before, *after})]
    return sorted(joined, key=lambda row: (-(row.share_after or 0.0), row.namespace, row.quota, row.key))


def _join(key: Key, before: Row | None, after: Row | None, platform: str) -> Use:
    def text(row: Row | None, name: str) -> str | None:
        value = getattr(row, name) if row is not None else None
        return None if value is None else str(value)

    namespace, quota, resource = key
    row = after or before
    return Use(
        namespace,
        quota,
        resource,
        text(before, "hard"),
        text(after, "hard"),
        text(before, "rest"),
        text(after, "rest"),
        text(before, "peak"),
        text(after, "peak"),
        row.at_peak if row is not None else "",
        share_of(after.rest, after.hard) if after is not None else None,
        before.share if before is not None else None,
        after.share if after is not None else None,
        platform,
    )
