"""Whether every field of a program holds what its annotation says.

The kinds of the fields are read from the annotations of ``sim.program``, so a new field is checked from its first day.
Of numpy's numbers ``float64`` will do, which is a ``float``: others round differently, or overflow where a random key
is made of them. Where a tuple is declared, nothing else will do: arrays have no truth value, and a list could change
while an engine runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, Literal, Protocol, get_args, get_origin, get_type_hints

import numpy as np

from models.errors import Problem
from sim.program import (
    Disk,
    Instruction,
    Link,
    Node,
    Operation,
    PodStation,
    Policy,
    Pool,
    RateLimit,
    Service,
    Source,
)
from sim.program_checks.problems import problem, shown

MAY_BE_INFINITE: Mapping[type, frozenset[str]] = {
    Node: frozenset({"cores"}),
    Link: frozenset({"bandwidth"}),
    Disk: frozenset({"read_bandwidth", "write_bandwidth"}),
    Pool: frozenset({"capacity"}),
    PodStation: frozenset({"cpu_limit", "memory_limit"}),
    Policy: frozenset({"timeout", "budget", "breaker_open", "hedge"}),
    RateLimit: frozenset({"burst"}),
    Source: frozenset({"segment", "session"}),
}
"""The numbers for which inf means something."""

NAMED: Mapping[type, str] = {
    Node: "node",
    Link: "link",
    Disk: "disk",
    Pool: "pool",
    Service: "service",
    PodStation: "pod",
    Operation: "operation",
    Source: "source",
}
"""Things that problems know by their name."""

WORD = 1 << 63
"""Integers of the kernel have 64 bits."""


class Kind(Protocol):
    """What a field may hold."""

    @property
    def says(self) -> str:
        """In words, after "must be"."""

    def fits(self, value: object) -> bool:
        """Whether the value is of the kind, with everything in it."""

    def problems(self, at: str, path: str, value: object) -> Iterator[Problem]:
        """What is wrong with a value that does not fit: of the thing ``at``, the field ``path``."""


@dataclass(frozen=True)
class Plain:
    """A value without parts."""

    says: str
    fits: Callable[[object], bool]

    def problems(self, at: str, path: str, value: object) -> Iterator[Problem]:
        way_out = f"must be {self.says}"
        if isinstance(value, np.number):
            way_out += f": {'int' if self.says == 'a whole number' else 'float'}({path})"
        elif isinstance(value, int) and abs(value) >= WORD:
            way_out += " below 2^63"
        yield problem(at, f"{path} is {shown(value)}", way_out)


@dataclass(frozen=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]

    @property
    def says(self) -> str:
        return f"one of {', '.join(self.words)}"

    def fits(self, value: object) -> bool:
        return isinstance(value, str) and value in self.words

    def problems(self, at: str, path: str, value: object) -> Iterator[Problem]:
        yield problem(at, f"{path} is {shown(value)}", f"must be {self.says}")


@dataclass(frozen=True)
class Many:
    """A tuple of any length."""

    item: Kind

    @property
    def says(self) -> str:
        return f"a tuple, each item {self.item.says}"

    def fits(self, value: object) -> bool:
        return isinstance(value, tuple) and all(map(self.item.fits, value))

    def problems(self, at: str, path: str, value: object) -> Iterator[Problem]:
        if not isinstance(value, tuple):
            way_out = f"must be {self.says}"
            if isinstance(value, (list, np.ndarray)):
                way_out += f": tuple({path})"
            yield problem(at, f"{path} is {shown(value)}", way_out)
            return
        for position, item in enumerate(value):
            if not self.item.fits(item):
                yield from self.item.problems(*_place(at, path, position, item), item)


@dataclass(frozen=True)
class Row:
    """A tuple of so many items, each of its own kind."""

    items: tuple[Kind, ...]

    @property
    def says(self) -> str:
        return f"a tuple of {len(self.items)}: {', '.join(item.says for item in self.items)}"

    def fits(self, value: object) -> bool:
        if not isinstance(value, tuple) or len(value) != len(self.items):
            return False
        return all(kind.fits(item) for kind, item in zip(self.items, value, strict=True))

    def problems(self, at: str, path: str, value: object) -> Iterator[Problem]:
        if not isinstance(value, tuple) or len(value) != len(self.items):
            yield problem(at, f"{path} is {shown(value)}", f"must be {self.says}")
            return
        for position, (kind, item) in enumerate(zip(self.items, value, strict=True)):
            if not kind.fits(item):
                yield from kind.problems(at, f"{path}[{position}]", item)


@dataclass(frozen=True)
class Record:
    """A frozen value of ``sim.program`` with its fields."""

    made: type
    parts: tuple[tuple[str, Callable[[object], bool], Kind], ...]

    @property
    def says(self) -> str:
        name = self.made.__name__
        return f"{'an' if name[0] in 'AEIO' else 'a'} {name}"

    def fits(self, value: object) -> bool:
        return isinstance(value, self.made) and all(fits(getattr(value, name)) for name, fits, _ in self.parts)

    def problems(self, at: str, path: str, value: object) -> Iterator[Problem]:
        if not isinstance(value, self.made):
            yield problem(at, f"{path} is {shown(value)}" if path else f"is {shown(value)}", f"must be {self.says}")
            return
        for name, fits, kind in self.parts:
            part = getattr(value, name)
            if not fits(part):
                yield from kind.problems(at, f"{path}.{name}" if path else name, part)


@dataclass(frozen=True)
class Either:
    """A value of one of several classes."""

    records: Mapping[type, Record]

    @property
    def says(self) -> str:
        return f"one of {', '.join(made.__name__ for made in self.records)}"

    def fits(self, value: object) -> bool:
        record = self.records.get(type(value))
        return record is not None and record.fits(value)

    def problems(self, at: str, path: str, value: object) -> Iterator[Problem]:
        record = self.records.get(type(value))
        if record is None:
            yield problem(at, f"{path} is {shown(value)}", f"must be {self.says}")
        else:
            yield from record.problems(at, path, value)


def field_problems(annotation: Any, value: object, at: str, path: str = "") -> Iterator[Problem]:
    """Whatever in ``value`` is not what the annotation says, for the field ``path`` of the thing that is called ``at``.

    With the path ``""`` the value is that thing itself.
    """
    kind = kind_of(annotation)
    if not kind.fits(value):
        yield from kind.problems(at, path, value)


@cache
def kind_of(annotation: Any, infinite: bool = False) -> Kind:
    """The kind that an annotation stands for. ``infinite``: numbers may be inf."""
    if is_dataclass(annotation) and isinstance(annotation, type):
        hints, unbounded = get_type_hints(annotation), MAY_BE_INFINITE.get(annotation, frozenset())
        kinds = [(part.name, kind_of(hints[part.name], part.name in unbounded)) for part in fields(annotation)]
        return Record(annotation, tuple((name, kind.fits, kind) for name, kind in kinds))
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return Choice(arguments)
    if origin is tuple and arguments[-1] is ...:
        return Many(kind_of(arguments[0], infinite))
    if origin is tuple:
        return Row(tuple(kind_of(argument, infinite) for argument in arguments))
    if annotation is float:
        return Plain("a number or inf", _is_number) if infinite else Plain("a finite number", _is_finite)
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    records = {member: kind_of(member) for member in arguments}
    return Either({member: record for member, record in records.items() if isinstance(record, Record)})


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -WORD <= value < WORD


def _is_number(value: object) -> bool:
    return value == value if isinstance(value, float) else _is_whole(value)


def _is_finite(value: object) -> bool:
    return math.isfinite(value) if isinstance(value, float) else _is_whole(value)


_PLAIN: Mapping[Any, Kind] = {
    bool: Plain("True or False", lambda value: isinstance(value, bool)),
    int: Plain("a whole number", _is_whole),
    str: Plain("a text", lambda value: isinstance(value, str)),
}

_INSTRUCTIONS = frozenset(get_args(Instruction))


def _place(at: str, path: str, position: int, item: object) -> tuple[str, str]:
    """Where an item of a tuple is: by its name, by its position in the operation, or by the path to it."""
    if type(item) in _INSTRUCTIONS:
        return f"{at} instruction {position}", ""
    if type(item) in NAMED:
        name = getattr(item, "name", None)
        return f"{NAMED[type(item)]} {name if isinstance(name, str) else position}", ""
    return at, f"{path}[{position}]"
