"""Values as people read them: units always shown, Kubernetes' own notation where it has one.

Used by every renderer, so that a number looks the same in the browser, in a pull request and in the terminal.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from reports.document import Cell, Column, ColumnType, Estimate

EMPTY = "–"
"""Shown for None: unset or unknown."""

UNITS = {"watts": " W", "load": "×"}
"""Units of ``number`` columns whose title does not say them: their type does not imply one."""

NANOSECOND = 1e-9
"""Shorter times are residues of adding floats."""

NUMERIC: frozenset[ColumnType] = frozenset(
    {"integer", "number", "ratio", "seconds", "millicores", "bytes", "estimate_ratio", "estimate_s"}
)
"""Column types that are set flush right and sorted by value."""


def number(value: float, digits: int = 3) -> str:
    """``value`` with ``digits`` significant digits, never in exponent notation, thousands set apart: ``12,345``."""
    if not math.isfinite(value):
        return EMPTY
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(decimals, 9)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def ratio(value: float) -> str:
    """A share as a percentage; more digits close to 100 %, where availabilities differ: ``0.99953`` -> ``99.953%``."""
    if not math.isfinite(value):
        return EMPTY
    percent = value * 100
    if 99 < percent < 100:
        text = f"{math.floor(percent * 1000) / 1000:.3f}"  # rounding down: only a true 100 % may read 100 %
    elif 0 < abs(percent) < 0.1:
        text = number(percent, 2)
    else:
        text = f"{percent:.1f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}%"


def duration(seconds: float) -> str:
    """Seconds in two units at most: ``0.12`` -> ``120 ms``, ``340`` -> ``5 min 40 s``, ``97200`` -> ``1 d 3 h``."""
    if not math.isfinite(seconds):
        return EMPTY
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < NANOSECOND:
        return "0 s"
    if seconds < 0.9995:
        return f"{number(seconds * 1000, 3 if seconds >= 0.01 else 2)} ms"
    if seconds < 59.95:
        return f"{number(seconds)} s"
    whole = round(seconds)
    for size, unit, small, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {unit} {rest} {small_unit}" if rest else f"{whole // size} {unit}"
    raise AssertionError("unreachable: every duration of a minute or more has a unit")


def size(value: float) -> str:
    """Bytes in Kubernetes' binary suffixes, three digits: ``536870912`` -> ``512Mi``."""
    if not math.isfinite(value):
        return EMPTY
    amount, suffix = float(value), ""
    for larger in ("Ki", "Mi", "Gi", "Ti", "Pi"):
        if abs(amount) < 1024:
            break
        amount, suffix = amount / 1024, larger
    text = f"{amount:.0f}" if abs(amount) >= 100 else number(amount)
    return f"{text}{suffix}" if suffix else f"{text} B"


def millicores(value: float) -> str:
    """CPU in millicores, as manifests write it: ``250m``."""
    return f"{value:.0f}m" if math.isfinite(value) else EMPTY


def scalar(value: Cell, kind: ColumnType) -> str:
    """A cell that is not an estimate, or the mean of one that is."""
    if value is None:
        return EMPTY
    if isinstance(value, Estimate):
        return scalar(value.mean, kind)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    match kind:
        case "ratio" | "estimate_ratio":
            return ratio(value)
        case "seconds" | "estimate_s":
            return duration(value)
        case "millicores":
            return millicores(value)
        case "bytes":
            return size(value)
        case "integer":
            return f"{value:,.0f}"
        case _:
            return number(value)


def interval(value: Estimate, kind: ColumnType) -> str:
    """The confidence interval of an estimate: ``99.1–99.4%``; one bound alone when the other is not known.

    "" when there is none (a single replication). Equal values say in how many replications they were observed.
    """
    low = scalar(value.low, kind) if math.isfinite(value.low) else ""
    high = scalar(value.high, kind) if math.isfinite(value.high) else ""
    if not low or not high:
        return f"≥ {low}" if low else f"≤ {high}" if high else ""
    if low == high:
        return f"in all {value.n}" if value.low == value.high else f"≈ {high}"
    return f"{low} – {high}"


def cell(value: Cell, column: Column, notes: Mapping[str, int] = MappingProxyType({})) -> str:
    """A cell as one line of text with its unit; an estimate with its interval in brackets and its note's number."""
    text = scalar(value, column.type)
    if isinstance(value, Estimate):
        return f"{text} ({interval(value, column.type) or 'no interval'}){note_mark(value, notes)}"
    if value is not None and column.name in UNITS:
        return f"{text}{UNITS[column.name]}"
    return text


def estimate_notes(rows: Iterable[Iterable[Cell]]) -> dict[str, int]:
    """The notes of the estimates in these rows, numbered from 1 in order of appearance."""
    found: dict[str, int] = {}
    for row in rows:
        for value in row:
            if isinstance(value, Estimate) and value.note:
                found.setdefault(value.note, len(found) + 1)
    return found


def note_mark(value: Cell, notes: Mapping[str, int]) -> str:
    """The number of an estimate's note, raised: ``¹``; "" when it has none."""
    number = notes.get(value.note) if isinstance(value, Estimate) and value.note else None
    return superscript(number) if number is not None else ""


def superscript(number: int) -> str:
    """A number as raised digits."""
    return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def with_unit(value: float | None, unit: str) -> str:
    """A value of a series in the series' own unit: ``ratio``, ``s``, ``B``, ``m`` are understood, others appended."""
    if value is None or not math.isfinite(value):
        return EMPTY
    match unit:
        case "ratio" | "share":
            return ratio(value)
        case "s" | "seconds":
            return duration(value)
        case "B" | "bytes":
            return size(value)
        case "m" | "millicores":
            return millicores(value)
        case "%":
            return f"{number(value)}%"
        case "":
            return number(value)
        case _:
            return f"{number(value)} {unit}"


def printable(text: str) -> str:
    """``text`` without control characters (a name may carry terminal escapes); line breaks and tabs stay."""
    return "".join(char if char in "\n\t" or char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
