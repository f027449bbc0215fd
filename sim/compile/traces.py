"""Arrival times from a file: what a log says, replayed.

A CSV file with the time of every request in seconds from the start of the run (warm-up included) in its first column;
optionally a route (its id or host, shell patterns) in the second and an operation of the app in the third. Without a
heading, or with one whose first cell is no number.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from models.graph.routes import EntryRoute


def read_trace(path: Path, route: EntryRoute, operations: Sequence[str]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """(sorted times, positions in ``operations``) of the requests that the file has for a route.

    The positions are empty when no row names an operation: then the mix decides. Raises ValueError, with the line, for
    a file that cannot be read, a time that is none, or an operation that is unknown or missing in some rows only.
    """
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            reader = csv.reader(handle)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]
    except (OSError, ValueError, csv.Error) as error:
        raise ValueError(f"trace {path}: {error}") from None
    if rows and _time(rows[0][1][0]) is None:
        rows = rows[1:]
    if not rows:
        raise ValueError(f"trace {path}: needs at least one time")
    found: list[tuple[float, int]] = []
    for line, row in rows:
        time = _time(row[0])
        if time is None or time < 0.0 or not math.isfinite(time):
            raise ValueError(f"trace {path}:{line}: {row[0]!r} is no time: seconds, finite and not negative")
        wanted = row[1] if len(row) > 1 and row[1] else "*"
        if not (fnmatchcase(route.id, wanted) or fnmatchcase(route.host, wanted)):
            continue
        name = row[2] if len(row) > 2 else ""
        if name and name not in operations:
            raise ValueError(f"trace {path}:{line}: {route.id} has no operation {name!r}, but {', '.join(operations)}")
        found.append((time, operations.index(name) if name else -1))
    found.sort(key=lambda item: item[0])
    chosen = tuple(position for _, position in found)
    if -1 in chosen and max(chosen) >= 0:
        raise ValueError(f"trace {path}: some rows of {route.id} name an operation and some do not")
    return tuple(time for time, _ in found), () if -1 in chosen else chosen


def _time(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
