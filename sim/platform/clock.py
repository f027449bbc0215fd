"""SimPy as the clock: one-shot timers that can be cancelled, and a link whose transfers share its bandwidth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import simpy


class Timer:
    """A call that will happen unless it is cancelled."""

    __slots__ = ("active", "at")

    def __init__(self, at: float) -> None:
        self.active = True
        self.at = at

    def cancel(self) -> None:
        """The call does not happen."""
        self.active = False


class Clock:
    """A SimPy environment with timers. Calls at one instant happen in the order in which they were asked for."""

    def __init__(self, start: float) -> None:
        self.env = simpy.Environment(initial_time=start)

    @property
    def now(self) -> float:
        """Seconds."""
        return float(self.env.now)

    def after(self, delay: float, call: Callable[[], object]) -> Timer:
        """Call in ``delay`` seconds (0: later at this instant)."""
        timer = Timer(self.now + delay)

        def fire(_: Any) -> None:
            if timer.active:
                timer.active = False
                call()

        event = self.env.timeout(delay)
        assert event.callbacks is not None
        event.callbacks.append(fire)
        return timer

    def at(self, time: float, call: Callable[[], object]) -> Timer:
        """Call at ``time``, at once when that has passed."""
        return self.after(max(0.0, time - self.now), call)


@dataclass(eq=False)
class _Transfer:
    left: float
    done: simpy.Event


class FairLink:
    """A line of ``bandwidth`` bytes per second that its transfers share equally (processor sharing)."""

    def __init__(self, clock: Clock, bandwidth: float) -> None:
        self.clock = clock
        self.bandwidth = bandwidth
        self._transfers: list[_Transfer] = []
        self._since = clock.now
        self._timer: Timer | None = None

    def start(self, size: float) -> simpy.Event:
        """An event that happens when ``size`` bytes are through. Give it to :meth:`cancel` to give up."""
        self._settle()
        transfer = _Transfer(size, self.clock.env.event())
        self._transfers.append(transfer)
        self._plan()
        return transfer.done

    def cancel(self, event: simpy.Event) -> None:
        """The transfer behind ``event`` ends without finishing."""
        self._settle()
        self._transfers = [item for item in self._transfers if item.done is not event]
        self._plan()

    def set_bandwidth(self, bandwidth: float) -> None:
        """Change the line from now on."""
        self._settle()
        self.bandwidth = bandwidth
        self._plan()

    def _settle(self) -> None:
        now = self.clock.now
        if self._transfers:
            moved = (now - self._since) * self.bandwidth / len(self._transfers)
            for item in self._transfers:
                item.left -= moved
        self._since = now

    def _plan(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transfers and self.bandwidth > 0:
            least = min(item.left for item in self._transfers)
            self._timer = self.clock.after(max(0.0, least * len(self._transfers) / self.bandwidth), self._finish)

    def _finish(self) -> None:
        self._settle()
        # What is left of a transfer that is due are crumbs of rounding; less than a microsecond cannot be waited for.
        crumb = self.bandwidth * 1e-6 / len(self._transfers)
        done = [item for item in self._transfers if item.left <= crumb]
        self._transfers = [item for item in self._transfers if item.left > crumb]
        self._plan()
        for item in done:
            item.done.succeed()
