"""The periods of CFS bandwidth control. The kernel compiles the same arithmetic."""

from __future__ import annotations

import math


def next_boundary(phase: float, period: float, now: float) -> float:
    """The first of the moments ``phase + k * period`` after ``now`` (seconds)."""
    k = math.floor((now - phase) / period)
    while phase + (k + 1) * period <= now:
        k += 1
    while phase + k * period > now:
        k -= 1
    return phase + (k + 1) * period
