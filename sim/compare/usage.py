"""Use of every namespace before and after: at rest and at peak, against its quotas and against the nodes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from models.objects import KubeObject
from models.rules.quantity import ZERO, Quantity, parse_quantity
from models.rules.quota import hard_of
from sim.compare.difference import Use
from sim.placement import Placement
from sim.quotas.peaks import quota_peaks
from sim.quotas.rest import full_ledger, with_objects
from sim.standing import Standing


@dataclass(frozen=True)
class Row:
    """One side of a :class:`sim.compare.difference.Use`."""

    hard: Quantity | None
    rest: Quantity
    peak: Quantity
    at_peak: str = ""
    driver: str = ""

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


_NODES = ("requests.cpu", "requests.memory")
"""What of a namespace is compared with the nodes where no quota limits it."""

_UNLIMITED = "1Ei"


def use_rows(running: Standing) -> dict[Key, Row]:
    """What a platform that runs uses at rest and at peak.

    Every key of every quota, and requests of CPU and memory of each namespace that no quota limits, against what the
    nodes can allocate. Peaks are those of :func:`sim.quotas.peaks.quota_peaks`, one rollout at a time.
    """
    completes = {check.workload for check in running.rollouts if check.verdict == "completes"}
    placement = _with_nodes_as_quotas(running)
    rows: dict[Key, Row] = {}
    for item in quota_peaks(placement):
        hard = None if not item.quota and not running.hardware_known else item.hard
        row = Row(hard, item.rest, item.rest)
        for driver in item.drivers:
            use = driver.use
            if driver.driver == "rollout" and driver.extras[0].workload in completes and hard is not None:
                # It goes on with what the limit leaves: old pods make room for the rest.
                use = min(use, max(hard, item.rest))
            if use > row.peak:
                row = Row(hard, item.rest, use, driver.what, driver.driver)
        rows[(item.namespace, item.quota, item.key)] = row
    return rows


def _with_nodes_as_quotas(running: Standing) -> Placement:
    """The placement with a quota without a name in each namespace, as large as all nodes, for what no quota limits."""
    platform, rooms = running.platform, running.placement.node_rooms()
    whole = {
        "requests.cpu": f"{sum(room.cpu_allocatable_m for room in rooms)}m",
        "requests.memory": str(sum(room.memory_allocatable_b for room in rooms)),
    }
    added = []
    for namespace in sorted({pod.namespace for pod in running.placement.pods}):
        limited = {key for item in platform.quotas.get(namespace, ()) for key in hard_of(item.manifest)}
        hard = {key: whole[key] if running.hardware_known else _UNLIMITED for key in _NODES if key not in limited}
        if hard:
            metadata = {"name": "", "namespace": namespace}
            manifest = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}}
            added.append(KubeObject(manifest))
    wider = with_objects(platform, [*platform.objects, *added])
    return replace(running.placement, platform=wider, ledger=full_ledger(running.placement, wider))


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
    joined = []
    for key in sorted({*before, *after}):
        namespace, quota, resource = key
        one, two = before.get(key), after.get(key)
        free = (namespace, "", resource)
        if quota and (one is None or two is None):
            # A quota that comes or goes: what the namespace used is known all the same.
            one, two = one or _unlimited(before.get(free)), two or _unlimited(after.get(free))
        elif not quota and (one is None or two is None) and _limited({**before, **after}, namespace, resource):
            continue
        joined.append(_join(key, one, two, platform))
    return sorted(joined, key=lambda row: (-(row.share_after or 0.0), row.namespace, row.quota, row.key))


def _unlimited(row: Row | None) -> Row | None:
    return None if row is None else replace(row, hard=None)


def _limited(rows: Mapping[Key, Row], namespace: str, resource: str) -> bool:
    return any(key[0] == namespace and key[1] and key[2] == resource for key in rows)


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
