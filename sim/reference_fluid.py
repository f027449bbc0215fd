"""CPU, links and disk bandwidth of the reference engine: work that flows at rates which change at events.

A :class:`Resource` has a capacity that its active groups share. On a machine a group is a pod: pods get capacity by
weight (weighted max-min fairness, what CFS approaches: Linux Documentation/scheduler/sched-design-CFS.rst), no thread
more than one core, and a pod that has used its quota of a period is throttled to the period's end (CFS bandwidth
control, Documentation/scheduler/sched-bwc.rst). A link or a disk has one group whose transfers share everything.

All threads of a group advance at the same speed, so a group keeps one virtual time: the work that a thread would have
got since the group became busy. A thread that comes with demand d at virtual time V is done when it reaches V + d
(Parekh and Gallager 1993 for the idea).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sim.cfs import next_boundary
from sim.program import BEST_EFFORT_WEIGHT, CFS_PERIOD_S, ROUNDING_S, Qos


class Group:
    """The threads of one pod on its machine, or the transfers of one link or disk."""

    def __init__(
        self,
        resource: Resource,
        weight: float = 1.0,
        limit: float = math.inf,
        phase: float = 0.0,
        qos: Qos = "guaranteed",
        period: float = CFS_PERIOD_S,
        burst: float = 0.0,
        on_throttle: Callable[[float, float], None] = lambda now, duration: None,
    ) -> None:
        self.resource = resource
        self.qos = qos
        self.period = period
        self.burst = burst
        self.on_throttle = on_throttle
        self.weight = weight
        self.limit = limit
        self.phase = phase
        self.threads: list[tuple[float, int, Any]] = []  # (virtual time of the end, order of begin, visit)
        self.holds = 0  # streams that keep cores busy
        self.load = 0.0  # threads + cores of streams
        self.rate = 0.0  # capacity in use
        self.speed = 0.0  # work per second of one thread
        self.virtual = 0.0
        self.touched = 0.0
        self.changed = False
        self.due = math.inf
        self.due_is_completion = True
        self.budget = limit * self.period
        self.boundary = 0.0
        self.throttled = False
        # measures
        self.accounted = 0.0
        self.used = 0.0
        self.busy_s = 0.0
        self.throttled_s = 0.0
        self.throttled_periods = 0

    @property
    def active(self) -> bool:
        return bool(self.threads) or self.holds > 0

    def throttled_until(self, now: float) -> float:
        """Throttled time up to ``now``."""
        return self.throttled_s - (max(self.boundary - now, 0.0) if self.throttled else 0.0)

    def next_boundary(self, now: float) -> float:
        """The first period boundary after ``now``."""
        return next_boundary(self.phase, self.period, now)

    def begin_anew(self, now: float) -> None:
        """A new container has a new group: nothing is used up yet."""
        self.touch(now)
        if self.throttled:
            self.throttled_s -= max(self.boundary - now, 0.0)
        self.throttled = False
        if math.isfinite(self.limit):
            self.budget, self.boundary = self.limit * self.period, self.next_boundary(now)

    def touch(self, now: float) -> None:
        """Bring virtual time and budget up to ``now`` at the rates that applied since the last touch."""
        elapsed = now - self.touched
        if elapsed <= 0.0:
            return
        self.resource.account(self, now)
        self.virtual += self.speed * elapsed
        if math.isfinite(self.limit) and not self.throttled:
            if now < self.boundary:
                self.budget -= self.rate * elapsed
            else:
                boundary, quota = self.next_boundary(now), self.limit * self.period
                if self.burst > 0.0:
                    quota = self.refilled(round((boundary - self.boundary) / self.period))
                self.boundary = boundary
                self.budget = quota - self.rate * (now - (boundary - self.period))
        self.touched = now

    def refilled(self, periods: int) -> float:
        """The budget right after so many refills, the first at ``boundary``, at a steady rate.

        A refill adds the quota to what is left, up to the quota and the burst (kernel/sched/fair.c,
        __refill_cfs_bandwidth_runtime). What is left grows, or shrinks, by the same amount in every period, so that
        the bound matters at the end, or at the begin.
        """
        quota = self.limit * self.period
        left = self.budget - self.rate * (self.boundary - self.touched)
        gain, most = quota - self.rate * self.period, quota + self.burst
        if gain >= 0.0:
            return min(left + quota + (periods - 1) * gain, most)
        return min(left + quota, most) + (periods - 1) * gain

    def exhaustion_of_burst(self) -> float:
        """When a budget that lasts beyond the next refill is used up, at a rate above the limit."""
        need, first = self.rate * self.period, self.refilled(1)
        loss, later = need - self.limit * self.period, 0.0
        if first >= need:
            later = math.floor((first - need) / loss) + 1.0
        return self.boundary + later * self.period + (first - later * loss) / self.rate

    def plan(self) -> None:
        """When the next thread is done or the budget is used up, should nothing change before."""
        completion = math.inf
        if self.threads and self.speed > 0.0:
            completion = self.touched + max(min(self.threads)[0] - self.virtual, 0.0) / self.speed
        exhaustion = math.inf
        if math.isfinite(self.limit) and self.rate > 0.0:
            at = self.touched + max(self.budget, 0.0) / self.rate
            if at < self.boundary - ROUNDING_S:
                exhaustion = at
            elif self.rate > self.limit:
                exhaustion = self.boundary + self.limit * self.period / self.rate
                if self.burst > 0.0:
                    exhaustion = self.exhaustion_of_burst()
        self.due_is_completion = completion <= exhaustion + ROUNDING_S
        self.due = completion if self.due_is_completion else exhaustion


class Resource:
    """A machine's cores (``shares`` True), or a line whose single group gets all capacity."""

    def __init__(
        self,
        capacity: float,
        speed: float,
        shares: bool,
        mark_dirty: Callable[[Resource], None],
        wake: Callable[[Any], None],
        account: Callable[[Group, float, float, float], None],
    ) -> None:
        self.capacity = capacity
        self.speed = speed
        self.shares = shares
        self.held = 0.0  # bandwidth that streams keep (lines only)
        self.slices: dict[Qos, float] = {"burstable": 0.0, "besteffort": BEST_EFFORT_WEIGHT}
        self.mark_dirty = mark_dirty
        self.wake = wake
        self.on_use = account
        self.groups: list[Group] = []  # the active ones
        self.due = math.inf
        self.due_group: Group | None = None
        self.dirty = False
        self.order = 0

    # ------------------------------------------------------------------------------------------- membership

    def add(self, group: Group, visit: Any, demand: float, now: float, order: int) -> None:
        """A thread begins ``demand`` of work."""
        self._wake_up(group, now)
        group.threads.append((group.virtual + demand, order, visit))
        group.load += 1.0
        self.mark_dirty(self)

    def remove(self, group: Group, visit: Any, now: float) -> None:
        """A thread is taken away before its end."""
        group.touch(now)
        group.threads = [thread for thread in group.threads if thread[2] is not visit]
        group.load -= 1.0
        self._settle(group)

    def hold(self, group: Group, cores: float, now: float) -> None:
        """A stream keeps ``cores`` busy."""
        self._wake_up(group, now)
        group.holds += 1
        group.load += cores
        self.mark_dirty(self)

    def unhold(self, group: Group, cores: float, now: float) -> None:
        """The stream ends."""
        group.touch(now)
        group.holds -= 1
        group.load -= cores
        self._settle(group)

    def _wake_up(self, group: Group, now: float) -> None:
        group.touch(now)
        group.changed = True
        if not group.active:
            self.groups.append(group)
            if group.throttled and now >= group.boundary:
                self._release(group, now)
            elif group.throttled:
                group.due = group.boundary

    def _settle(self, group: Group) -> None:
        group.changed = True
        if not group.active:
            group.load = 0.0
            group.virtual = 0.0
            group.rate = group.speed = 0.0
            group.due = math.inf
            index = self.groups.index(group)
            self.groups[index] = self.groups[-1]
            self.groups.pop()
        self.mark_dirty(self)

    # ------------------------------------------------------------------------------------------- events

    def account(self, group: Group, now: float) -> None:
        """Book what the group used since the last time."""
        if now > group.accounted:
            self.on_use(group, group.accounted, now, group.rate + (0.0 if self.shares else self.held))
            group.accounted = now

    def fire(self, now: float) -> None:
        """The event that ``due`` announced: threads are done, a budget is used up, or a period begins."""
        group = self.due_group
        assert group is not None
        if group.throttled:
            group.touch(now)
            self._release(group, now)
        elif group.due_is_completion:
            group.touch(now)
            group.virtual = min(group.threads)[0]
            done = sorted(thread for thread in group.threads if thread[0] <= group.virtual)
            group.threads = [thread for thread in group.threads if thread[0] > group.virtual]
            for _, _, visit in done:
                group.load -= 1.0
                self.wake(visit)
            self._settle(group)
            return
        else:
            group.touch(now)
            group.budget = 0.0
            group.throttled = True
            group.throttled_periods += 1
            group.throttled_s += group.boundary - now
            group.on_throttle(now, group.boundary - now)
            group.rate = group.speed = 0.0
            group.due = group.boundary
        self.mark_dirty(self)

    def _release(self, group: Group, now: float) -> None:
        group.throttled = False
        boundary, quota = group.next_boundary(now), group.limit * group.period
        if group.burst > 0.0:
            quota = min(round((boundary - group.boundary) / group.period) * quota, quota + group.burst)
        group.budget = quota
        group.boundary = boundary
        group.changed = True

    def resolve(self, now: float) -> None:
        """Share the capacity anew and find the next event."""
        for group, rate in self._rates():
            speed = self.speed * (rate / group.load)
            if rate != group.rate or speed != group.speed:
                group.touch(now)
                group.rate, group.speed = rate, speed
                group.changed = True
            if group.changed:
                group.touch(now)
                group.plan()
                group.changed = False
        self.due, self.due_group = math.inf, None
        for group in self.groups:
            if group.due < self.due:
                self.due, self.due_group = group.due, group

    def _rates(self) -> list[tuple[Group, float]]:
        """Weighted max-min fair rates of the groups that may run."""
        running = [group for group in self.groups if not group.throttled]
        if not self.shares:
            return [(group, max(self.capacity - self.held, 0.0)) for group in running]
        total = 0.0
        for group in running:
            total += group.load
        if total <= self.capacity:
            return [(group, group.load) for group in running]
        alone = [group for group in running if group.qos not in self.slices]
        pieces = {qos: [group for group in running if group.qos == qos] for qos in self.slices}
        parties = [Party(group.weight, group.load) for group in alone]
        slices = {qos: Party(self.slices[qos], total_load(piece)) for qos, piece in pieces.items() if piece}
        level = share_out(self.capacity, [*parties, *slices.values()])
        rates = [(group, min(group.load, group.weight * level)) for group in alone]
        for qos, whole in slices.items():
            level_within = math.inf
            if whole.load > whole.weight * level:
                members = [Party(group.weight, group.load) for group in pieces[qos]]
                level_within = share_out(whole.weight * level, members)
            rates += [(group, min(group.load, group.weight * level_within)) for group in pieces[qos]]
        return rates


@dataclass(frozen=True)
class Party:
    """Someone who wants a share of the cores: a pod, or a slice of pods."""

    weight: float
    load: float


def total_load(groups: Sequence[Group]) -> float:
    """Threads and cores of streams of all of them."""
    total = 0.0
    for group in groups:
        total += group.load
    return total


def share_out(room: float, parties: Sequence[Party]) -> float:
    """Weighted max-min fairness: what each party gets per weight, unless it needs less."""
    weight, level = 0.0, 0.0
    for party in parties:
        weight += party.weight
    waiting, found = list(parties), True
    while found and weight > 0.0:
        level = max(level, room / weight)
        found = False
        for party in list(waiting):
            if party.load <= party.weight * level:
                waiting = [other for other in waiting if other is not party]
                room -= party.load
                weight -= party.weight
                found = True
    return level
