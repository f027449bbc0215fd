"""Arrival times of an open source whose rate changes over the day.

The gaps are drawn on the source's own clock, which runs with the rate: after an amount ``need`` of that clock the next
request comes. For exponential gaps of mean 1 this is the Poisson process with that rate (time change; Cinlar,
Introduction to Stochastic Processes, 1975, ch. 4.7; the same law as thinning), for others a renewal process. The kernel
compiles these very functions.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def segment_after(time: float, segment: float, offset: float) -> tuple[int, float]:
    """Number of the segment that holds the moments right after ``time``, and its end."""
    number = math.floor((time + offset) / segment)
    end = (number + 1) * segment - offset
    while end <= time:
        number += 1
        end = (number + 1) * segment - offset
    return number, end


def arrival_time(since: float, need: float, rates: Floats, segment: float, offset: float, factor: float) -> float:
    """When the source's clock has advanced by ``need`` since ``since``; inf if it stands still for ever."""
    if need <= 0.0:
        return since
    count = len(rates)
    if count == 1:
        rate = rates[0] * factor
        return since + need / rate if rate > 0.0 else math.inf
    idle = 0
    while idle < count:
        number, end = segment_after(since, segment, offset)
        rate = rates[number % count] * factor
        room = rate * (end - since)
        if rate > 0.0 and need <= room:
            return float(since + need / rate)
        idle = idle + 1 if rate <= 0.0 else 0
        need -= room
        since = end
    return math.inf


def clock_between(since: float, until: float, rates: Floats, segment: float, offset: float, factor: float) -> float:
    """How far the source's clock advances between two times."""
    count = len(rates)
    if count == 1:
        one: float = rates[0] * factor * (until - since)
        return one
    total = 0.0
    while since < until:
        number, end = segment_after(since, segment, offset)
        end = min(end, until)
        total += rates[number % count] * factor * (end - since)
        since = end
    return total
