"""The small checks that all parts of a program share."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Iterator

from models.errors import Problem, Where

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60


def problem(at: str, what: str, way_out: str) -> Problem:
    """A problem of the thing ``at`` (``pod web``, ``operation list instruction 2``)."""
    return Problem(Where(field=at), what, way_out)


def shown(value: object) -> str:
    """A value on one line, however large it is."""
    return " ".join(_SHORT.repr(value).split())


def positive(at: str, **values: float) -> Iterator[Problem]:
    """Those that are 0 or less."""
    for name, value in values.items():
        if not value > 0.0:
            yield problem(at, f"{name} is {value}", "must be positive")


def not_negative(at: str, **values: float) -> Iterator[Problem]:
    """Those below 0."""
    for name, value in values.items():
        if not value >= 0.0:
            yield problem(at, f"{name} is {value}", "must not be negative")


def share(at: str, **values: float) -> Iterator[Problem]:
    """Those that are no share of a whole."""
    for name, value in values.items():
        if not 0.0 <= value <= 1.0:
            yield problem(at, f"{name} is {value}", "must be between 0 and 1")


def index(at: str, name: str, value: int, things: Collection[object], optional: bool = False) -> Iterator[Problem]:
    """An index that leads nowhere; -1 is none where it is ``optional``."""
    if not (-1 if optional else 0) <= value < len(things):
        yield problem(at, f"{name} {value} does not exist", f"there are {len(things)}")
