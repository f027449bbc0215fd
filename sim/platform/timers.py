"""Timings that the catalogue holds as lists or maps, in seconds; a scenario's single value stands for all of them."""

from __future__ import annotations

from models.catalog import Timings


def series(timings: Timings, key: str) -> tuple[float, ...]:
    """A list of waits, one after the other."""
    value = timings.value(key)
    return tuple(float(item) for item in value) if isinstance(value, list) else (float(value),)


def part(timings: Timings, key: str, name: str) -> float:
    """One named value of a map."""
    value = timings.value(key)
    return float(value[name]) if isinstance(value, dict) else float(value)


def bounds(timings: Timings, key: str, name: str) -> tuple[float, float]:
    """One named (low, high) of a map."""
    value = timings.value(key)
    if isinstance(value, dict):
        return float(value[name][0]), float(value[name][1])
    return float(value), float(value)
