"""Numbers with units, as people write them in a scenario file.

Durations are seconds (float), rates are per second (float), bandwidths are bytes per second (float), sizes are bytes
(int), ratios are fractions (float). Kubernetes quantities are another matter: see ``models.rules.quantity``.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_DURATION_UNITS = {
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 604800.0,
    "y": 31_557_600.0,
}
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(us|µs|ms|min|s|m|h|d|w|y)")
_BIT_UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_BANDWIDTH = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([kMG]?)(bit|bps|B)(?:/s)?")
_SIZE_UNITS = {
    "": 1,
    "k": 10**3,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
_SIZE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([kKMGT]i?|)B?")
_RATE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(?:/|per)\s*(s|second|m|min|minute|h|hour|d|day|y|year)")
_RATE_UNITS = {
    "s": 1.0,
    "second": 1.0,
    "m": 60.0,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
    "y": 31_557_600.0,
    "year": 31_557_600.0,
}


def parse_duration(value: Any) -> float:
    """``"1h30m"``, ``"250ms"``, ``"45 s"``, ``"2d"`` as seconds; a bare 0 is allowed, any other number needs a unit.

    Raises ValueError.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value == 0:
            return 0.0
        raise ValueError(f"{value} has no unit: write a duration such as {value}s, {value}m or {value}h")
    text = str(value).strip()
    position, total = 0, 0.0
    while position < len(text):
        part = _DURATION_PART.match(text, position)
        if part is None:
            break
        total += float(part[1]) * _DURATION_UNITS[part[2]]
        position = part.end()
        while position < len(text) and text[position] == " ":
            position += 1
    if not text or position != len(text):
        if text == "0":
            return 0.0
        raise ValueError(f"{value!r} is not a duration: write for example 250ms, 30s, 5m, 1h30m or 2d")
    return total


def parse_bandwidth(value: Any) -> float:
    """``"50Mbit/s"``, ``"1Gbps"``, ``"90 MB/s"`` as bytes per second. Raises ValueError."""
    match = _BANDWIDTH.fullmatch(str(value).strip())
    if match is None:
        raise ValueError(f"{value!r} is not a bandwidth: write for example 50Mbit/s, 1Gbit/s or 90MB/s")
    number = float(match[1]) * _BIT_UNITS[match[2]]
    return number if match[3] == "B" else number / 8.0


def parse_size(value: Any) -> int:
    """``"32Gi"``, ``"500GB"``, ``"20 Mi"`` as bytes. Raises ValueError."""
    match = _SIZE.fullmatch(str(value).strip())
    if match is None:
        raise ValueError(f"{value!r} is not a size: write for example 16Gi, 500GB or 20Mi")
    return round(float(match[1]) * _SIZE_UNITS[match[2]])


def parse_rate(value: Any) -> float:
    """``"2/s"``, ``"30/min"``, ``"1 per day"`` as events per second. Raises ValueError."""
    match = _RATE.fullmatch(str(value).strip())
    if match is None:
        raise ValueError(f"{value!r} is not a rate: write for example 2/s, 30/min or 500/h")
    return float(match[1]) / _RATE_UNITS[match[2]]


def parse_growth(value: Any) -> float:
    """``"50Mi/h"``, ``"1GB/d"`` as bytes per second. Raises ValueError."""
    size, _, unit = str(value).strip().partition("/")
    try:
        return parse_size(size) / _RATE_UNITS[unit.strip()]
    except (KeyError, ValueError):
        raise ValueError(f"{value!r} is not a growth: write for example 50Mi/h or 1Gi/d") from None


def parse_ratio(value: Any) -> float:
    """``"25%"`` or ``0.25`` as a fraction between 0 and 1. Raises ValueError."""
    text = str(value).strip()
    try:
        number = float(text[:-1]) / 100.0 if text.endswith("%") else float(text)
    except ValueError:
        raise ValueError(f"{value!r} is not a share: write for example 25% or 0.25") from None
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"{value!r} is not between 0 and 100%")
    return number


def print_duration(seconds: float) -> str:
    """Seconds in the largest unit that keeps them exact enough to read back: ``90.0`` -> ``"90s"``."""
    if seconds and seconds < 1:
        return f"{seconds * 1e3:.12g}ms" if seconds >= 1e-6 else f"{seconds * 1e6:.12g}us"
    for unit in ("d", "h", "m"):
        if seconds and seconds % _DURATION_UNITS[unit] == 0:
            return f"{seconds / _DURATION_UNITS[unit]:g}{unit}"
    return f"{seconds:.12g}s"


def print_rate(per_second: float) -> str:
    """Events per unit of time, in a unit that needs no exponent (which ``parse_rate`` does not read)."""
    for unit in ("s", "h", "d"):
        number = per_second * _RATE_UNITS[unit]
        if number >= 0.001 or not number:
            return f"{number:.12g}/{unit}"
    return f"{per_second * _RATE_UNITS['y']:.12f}/y"


def print_growth(per_second: float) -> str:
    """Bytes per hour, rounded to whole bytes."""
    return f"{round(per_second * 3600)}/h"


def print_bandwidth(bytes_per_second: float) -> str:
    """Bits per second, in Mbit/s where that needs no exponent (which ``parse_bandwidth`` does not read)."""
    bits = bytes_per_second * 8
    return f"{bits / 1e6:.12g}Mbit/s" if bits >= 1000 or not bits else f"{bits:.12g}bit/s"


def _schema(examples: list[str], what: str) -> WithJsonSchema:
    return WithJsonSchema({"type": ["string", "number"], "description": what, "examples": examples})


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(print_duration, return_type=str),
    _schema(["250ms", "30s", "5m", "1h30m"], "a duration with its unit"),
]
"""Seconds."""

Bandwidth = Annotated[
    float,
    BeforeValidator(parse_bandwidth),
    PlainSerializer(print_bandwidth, return_type=str),
    _schema(["50Mbit/s", "1Gbit/s", "90MB/s"], "a bandwidth with its unit"),
]
"""Bytes per second."""

Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(str, return_type=str),
    _schema(["16Gi", "500GB"], "a size with its unit"),
]
"""Bytes."""

Growth = Annotated[
    float,
    BeforeValidator(parse_growth),
    PlainSerializer(print_growth, return_type=str),
    _schema(["50Mi/h", "1Gi/d"], "a size per unit of time"),
]
"""Bytes per second."""

Rate = Annotated[
    float,
    BeforeValidator(parse_rate),
    PlainSerializer(print_rate, return_type=str),
    _schema(["2/s", "30/min", "500/h"], "events per unit of time"),
]
"""Events per second."""

Ratio = Annotated[
    float,
    BeforeValidator(parse_ratio),
    PlainSerializer(lambda ratio: f"{ratio * 100:.12g}%", return_type=str),
    _schema(["25%", "0.25"], "a share between 0 and 100%"),
]
"""A fraction between 0 and 1."""
