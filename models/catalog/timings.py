"""Timers and limits of Kubernetes and the systems around it, each with its source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic import Field

from models.catalog.store import Entry, load_yaml
from models.errors import InputError, Problem, Where

_SECONDS = {"ms": 0.001, "s": 1.0, "h": 3600.0}


class Timing(Entry):
    """One figure of the timings catalogue. ``value`` is a number, a (low, high) list, or another plain value."""

    key: str
    group: str
    value: Any
    unit: str
    meaning: str
    source: str
    confidence: str = Field(description="high, medium, derived or assumed")
    versions: str = Field(default="", description="Kubernetes versions it holds for")


@dataclass(frozen=True)
class Timings:
    """The timings catalogue with the scenario's own values (seconds, by key) on top."""

    entries: Mapping[str, Timing]
    overrides: Mapping[str, float] = field(default_factory=dict)

    def seconds(self, key: str) -> float:
        """A duration in seconds; the middle of a range. Raises KeyError (unknown key) or TypeError (no duration)."""
        low, high = self.range_s(key)
        return (low + high) / 2.0

    def range_s(self, key: str) -> tuple[float, float]:
        """A duration as (low, high) seconds; both are equal when the catalogue has one value."""
        if key in self.overrides:
            return self.overrides[key], self.overrides[key]
        entry = self.entries[key]
        unit = _SECONDS.get(entry.unit)
        value = entry.value
        if unit is None or isinstance(value, (str, bool)) or value is None:
            raise TypeError(f"timing {key} is not a duration but {value!r} {entry.unit}")
        if isinstance(value, list):
            return float(value[0]) * unit, float(value[-1]) * unit
        return float(value) * unit, float(value) * unit

    def value(self, key: str) -> Any:
        """The figure as the catalogue has it. Raises KeyError for an unknown key."""
        return self.overrides.get(key, self.entries[key].value)

    def with_overrides(self, overrides: Mapping[str, float]) -> Timings:
        """These timings with other values. Raises InputError for keys that the catalogue does not have."""
        problems = [
            Problem(
                Where(field=f"spec.cluster.timers.{key}"),
                f"{key!r} is not a timer of the catalogue",
                _near(key, self.entries),
            )
            for key in overrides
            if key not in self.entries
        ]
        if problems:
            raise InputError(problems)
        return Timings(self.entries, {**self.overrides, **overrides})


def _near(key: str, known: Iterable[str]) -> str:
    import difflib

    close = difflib.get_close_matches(key, list(known), n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}'stowplan catalog timings' lists them all"


@cache
def load_timings() -> Timings:
    """The timings catalogue that ships with the package."""
    rows = load_yaml("timings.yaml")["facts"]
    return Timings({row["key"]: Timing.model_validate(row) for row in rows})
