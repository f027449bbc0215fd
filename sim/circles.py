"""Circles in who calls whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

Place = TypeVar("Place")
Label = TypeVar("Label")


def circles(calls: Mapping[Place, Iterable[tuple[Place, Label]]]) -> Iterator[tuple[list[Place], Label]]:
    """Every call that closes a circle, found by depth-first search: the circle from the called place back to it, and
    the label of that call. Linear in the calls, but for the length of the paths."""
    done: set[Place] = set()
    for start in calls:
        if start in done:
            continue
        path, stack = [start], [iter(calls[start])]
        while stack:
            step = next(stack[-1], None)
            if step is None:
                stack.pop()
                done.add(path.pop())
                continue
            called, label = step
            if called in path:
                yield [*path[path.index(called) :], called], label
            elif called not in done and called in calls:
                path.append(called)
                stack.append(iter(calls[called]))
