"""The largest use of every quota key, and what drives it there.

Each driver acts on top of the platform at rest, one at a time: the N largest rollouts at once, all autoscalers at their
maximum (and rollouts there), the loss of any node that something recovers from, the Jobs, the worst minute of the
schedules. Costs are those of quota admission (:mod:`models.rules.usage`, scopes included); nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from models.objects import Manifest, dig
from models.rules.quantity import ZERO, Quantity
from models.rules.quota import compute_used, hard_of
from models.rules.resources import ResourceList
from sim.placement import Placement
from sim.quotas.extras import (
    Extra,
    active_at_changes,
    cron_schedule,
    one_off_jobs,
    replaced,
    scaled_out,
    surges,
    survivable,
)

JOB_S = 600.0
"""How long a run of a Job is taken to last when nobody says: ten minutes (assumed)."""


_Cost = Callable[[Extra], Quantity]


@dataclass(frozen=True)
class Peak:
    """One driver of a key: ``driver`` in a word, ``what`` in full, the use then, and the pods on top of rest."""

    driver: str
    what: str
    use: Quantity
    extras: tuple[Extra, ...] = ()


@dataclass(frozen=True)
class KeyPeaks:
    """One key of one quota: its limit, its use at rest, and every driver, the largest use first."""

    namespace: str
    quota: str
    key: str
    hard: Quantity
    rest: Quantity
    drivers: tuple[Peak, ...]

    @property
    def peak(self) -> Peak:
        """The worst moment."""
        return self.drivers[0]


@dataclass(frozen=True)
class Assumed:
    """What the peaks take for granted: rollouts at once, and seconds that a Job's run lasts."""

    max_rollouts: int = 1
    job_s: float = JOB_S


ALONE = Assumed()
"""One rollout at a time."""


def quota_peaks(placement: Placement, assumed: Assumed = ALONE) -> list[KeyPeaks]:
    """Every key of every quota. ``placement``: with everything running (:func:`sim.quotas.rest.as_running`)."""
    found: list[KeyPeaks] = []
    for namespace, quotas in placement.platform.quotas.items():
        moments = _Moments(placement, namespace, assumed)
        for quota in quotas:
            found += moments.of(quota.manifest)
    return found


class _Moments:
    """What may happen in one namespace, with the cost of every pod per quota worked out once."""

    def __init__(self, placement: Placement, namespace: str, assumed: Assumed) -> None:
        self.namespace = namespace
        self.assumed = assumed
        self._ledger = placement.ledger
        self._rollouts = surges(placement, namespace)
        self._scaled = scaled_out(placement, namespace)
        self._scaled_rollouts = surges(placement, namespace, at_maximum=True) if self._scaled else []
        self._losses = {node: replaced(placement, namespace, node) for node in survivable(placement.cluster)}
        self._jobs = one_off_jobs(placement, namespace)
        # Most instants of a month are alike: one of each is enough.
        self._instants = list(
            {
                tuple(sorted((run.extra.workload, run.extra.count) for run in active)): tuple(
                    run.extra for run in active
                )
                for active in active_at_changes(cron_schedule(placement, namespace, assumed.job_s))
            }.values()
        )

    def of(self, quota: Manifest) -> Iterator[KeyPeaks]:
        """The peaks of one quota's keys."""
        name, hard = str(dig(quota, "metadata", "name")), hard_of(quota)
        rest = self._ledger.use(self.namespace, name)
        costs: dict[int, ResourceList] = {}

        def cost(key: str, extra: Extra) -> Quantity:
            if id(extra.pod) not in costs:
                costs[id(extra.pod)] = compute_used(quota, [extra.pod])
            return costs[id(extra.pod)][key] * extra.count

        for key in sorted(hard):
            used = rest.get(key, ZERO)
            drivers = [Peak("rest", "at rest", used)]
            for driver, what, extras in self._candidates(partial(cost, key)):
                total = used
                for extra in extras:
                    total += cost(key, extra)
                drivers.append(Peak(driver, what, total, tuple(extras)))
            # Stable: of equal ones the simpler driver, listed earlier, is named.
            drivers.sort(key=lambda peak: -peak.use.nano)
            yield KeyPeaks(self.namespace, name, key, hard[key], used, tuple(drivers))

    def _candidates(self, cost: _Cost) -> Iterator[tuple[str, str, Sequence[Extra]]]:
        """Per driver the worst choice for one key."""
        most = self.assumed.max_rollouts
        rollouts = _largest(self._rollouts, most, cost)
        if rollouts:
            yield "rollout", _rollout_text(rollouts), rollouts
        scaled = [extra for extra in self._scaled if cost(extra)]
        if scaled:
            names = ", ".join(f"{extra.count} more pods of {extra.workload}" for extra in scaled)
            yield "autoscaler", f"autoscalers at their maximum: {names}", scaled
            rollouts = _largest(self._scaled_rollouts, most, cost)
            if rollouts:
                yield "autoscaler", f"{_rollout_text(rollouts)} at the autoscalers' maximum", [*scaled, *rollouts]
        for node, extras in self._losses.items():
            lost = [extra for extra in extras if cost(extra)]
            if lost:
                names = ", ".join(sorted({extra.workload for extra in lost}))
                yield "node loss", f"loss of {node}: {names} made anew while the old pods are Terminating", lost
        jobs = [extra for extra in self._jobs if cost(extra)]
        if jobs:
            yield "jobs", f"Jobs: {', '.join(extra.workload for extra in jobs)}", jobs
        worst = max(self._instants, key=lambda extras: sum(cost(extra).nano for extra in extras), default=())
        if any(cost(extra) for extra in worst):
            names = ", ".join(extra.workload for extra in worst)
            yield "schedules", f"runs at the same time: {names}", worst


def _largest(extras: Iterable[Extra], most: int, cost: _Cost) -> list[Extra]:
    ranked = sorted(extras, key=lambda extra: (-cost(extra).nano, extra.workload))
    return [extra for extra in ranked[:most] if cost(extra)]


def _rollout_text(extras: Sequence[Extra]) -> str:
    names = ", ".join(f"{extra.workload} (surge {extra.count})" for extra in extras)
    return f"rollout of {names}" if len(extras) == 1 else f"rollouts at once of {names}"
