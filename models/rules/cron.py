"""Cron schedules: five fields as CronJobs, six with seconds as CloudNativePG's ScheduledBackups.

Source: ``robfig/cron`` v3 ``parser.go`` and ``spec.go`` (the parser that Kubernetes uses), v1's default parser for
schedules with seconds. A schedule is read with the messages of that parser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

_MONTHS: Final = {
    "jan": 1,
    "feb": 2,
    "mar": 3,
    "apr": 4,
    "may": 5,
    "jun": 6,
    "jul": 7,
    "aug": 8,
    "sep": 9,
    "oct": 10,
    "nov": 11,
    "dec": 12,
}
_DAYS: Final = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}

_BOUNDS: Final = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
"""Seconds, minutes, hours, day of month, month, day of week (7 is not Sunday here)."""

_NAMES: Final[tuple[dict[str, int], ...]] = ({}, {}, {}, {}, _MONTHS, _DAYS)

_DESCRIPTORS: Final = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}

_DURATION_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_YEARS_AHEAD: Final = 5


@dataclass(frozen=True)
class CronSchedule:
    """A parsed schedule. Fields are sets of allowed values; ``zone`` None means the zone of the time asked about.

    ``dom_star``/``dow_star``: written as ``*``, so that the other of the two days decides alone; ``every_s``: period of
    an ``@every`` schedule, which ignores the fields.
    """

    second: frozenset[int]
    minute: frozenset[int]
    hour: frozenset[int]
    dom: frozenset[int]
    month: frozenset[int]
    dow: frozenset[int]
    dom_star: bool = True
    dow_star: bool = True
    zone: tzinfo | None = None
    every_s: int | None = None

    def next(self, after: datetime) -> datetime | None:
        """The first time after ``after`` (aware), in its zone; None if there is none within five years."""
        if self.every_s is not None:
            return (
                (after.astimezone(UTC) + timedelta(seconds=self.every_s))
                .replace(microsecond=0)
                .astimezone(after.tzinfo)
            )
        found = _search(self, after.astimezone(self.zone or after.tzinfo))
        return None if found is None else found.astimezone(after.tzinfo)

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """All times t with start < t <= end, in order."""
        moment = self.next(start)
        while moment is not None and moment <= end:
            yield moment
            moment = self.next(moment)


def parse_cron(text: str, *, seconds: bool = False, zone: str | None = None) -> CronSchedule:
    """Read a schedule: five fields or a descriptor; with ``seconds`` six fields, or five where the weekday is left out.

    ``zone``: IANA name as ``spec.timeZone``; a ``TZ=``/``CRON_TZ=`` prefix wins over it. Raises ValueError.
    """
    if not text:
        raise ValueError("empty spec string")
    if text.startswith(("TZ=", "CRON_TZ=")):
        prefix, blank, rest = text.partition(" ")
        if not blank:
            raise ValueError(f"provided bad location {prefix.partition('=')[2]}: no schedule follows")
        zone, text = prefix.partition("=")[2], rest.strip()
    location = _location(zone) if zone else None
    if text.startswith("@"):
        return _descriptor(text, location)
    fields = text.split()
    if seconds:
        if not 5 <= len(fields) <= 6:
            raise ValueError(f"expected 5 to 6 fields, found {len(fields)}: [{' '.join(fields)}]")
        fields = fields if len(fields) == 6 else [*fields, "*"]
    else:
        if len(fields) != 5:
            raise ValueError(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
        fields = ["0", *fields]
    return _from_fields(fields, location)


def _from_fields(fields: list[str], zone: tzinfo | None) -> CronSchedule:
    parsed = [_field(text, index) for index, text in enumerate(fields)]
    second, minute, hour, dom, month, dow = (values for values, _ in parsed)
    return CronSchedule(second, minute, hour, dom, month, dow, parsed[3][1], parsed[5][1], zone)


def _descriptor(text: str, zone: tzinfo | None) -> CronSchedule:
    if text in _DESCRIPTORS:
        return _from_fields(_DESCRIPTORS[text].split(), zone)
    if not text.startswith("@every "):
        raise ValueError(f"unrecognized descriptor: {text}")
    period = text.removeprefix("@every ")
    parts = _DURATION.findall(period)
    if not parts or "".join(number + unit for number, unit in parts) != period:
        raise ValueError(f'failed to parse duration {text}: time: invalid duration "{period}"')
    every = max(1, int(sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts)))
    empty: frozenset[int] = frozenset()
    return CronSchedule(empty, empty, empty, empty, empty, empty, zone=zone, every_s=every)


def _field(text: str, index: int) -> tuple[frozenset[int], bool]:
    """Values of one field, and whether it counts as ``*``."""
    values: set[int] = set()
    star = False
    for part in filter(None, text.split(",")):
        found, starred = _range(part, *_BOUNDS[index], _NAMES[index])
        values.update(found)
        star = star or starred
    return frozenset(values), star


def _range(expression: str, low: int, high: int, names: dict[str, int]) -> tuple[range, bool]:
    span, *steps = expression.split("/")
    ends = span.split("-")
    star = ends[0] in ("*", "?")
    if star:
        start, end = low, high
    else:
        if len(ends) > 2:
            raise ValueError(f"too many hyphens: {expression}")
        start = _number(ends[0], names)
        end = _number(ends[1], names) if len(ends) == 2 else start
    if len(steps) > 1:
        raise ValueError(f"too many slashes: {expression}")
    step = _number(steps[0], {}) if steps else 1
    if steps and len(ends) == 1:
        end = high
    if start < low:
        raise ValueError(f"beginning of range ({start}) below minimum ({low}): {expression}")
    if end > high:
        raise ValueError(f"end of range ({end}) above maximum ({high}): {expression}")
    if start > end:
        raise ValueError(f"beginning of range ({start}) beyond end of range ({end}): {expression}")
    if step == 0:
        raise ValueError(f"step of range should be a positive number: {expression}")
    return range(start, end + 1, step), star and step == 1


def _number(text: str, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise ValueError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    if int(text) < 0:
        raise ValueError(f"negative number ({int(text)}) not allowed: {text}")
    return int(text)


def _location(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"provided bad location {name}: unknown time zone {name}") from error


def _search(schedule: CronSchedule, after: datetime) -> datetime | None:
    """Walk months, days, hours, minutes, seconds upwards; hours and below walk absolute time (daylight saving)."""
    zone = after.tzinfo
    moment = _later(after.replace(microsecond=0), 1)
    limit = moment.year + _YEARS_AHEAD
    while moment.year <= limit:
        if moment.month not in schedule.month:
            year, month = divmod(moment.year * 12 + moment.month, 12)
            moment = _real(datetime(year, month + 1, 1, tzinfo=zone))
        elif not _day_matches(schedule, moment):
            day = datetime(moment.year, moment.month, moment.day, tzinfo=zone) + timedelta(days=1)
            moment = _real(day)
        elif moment.hour not in schedule.hour:
            # Back to the full hour in absolute time: replacing the minute could step behind a clock change.
            moment = _later(moment, 3600 - moment.minute * 60 - moment.second)
        elif moment.minute not in schedule.minute:
            moment = _later(moment, 60 - moment.second)
        elif moment.second not in schedule.second:
            moment = _later(moment, 1)
        else:
            return moment
    return None


def _later(moment: datetime, seconds: int) -> datetime:
    """Absolute time passed, seen in the same zone."""
    return (moment.astimezone(UTC) + timedelta(seconds=seconds)).astimezone(moment.tzinfo)


def _real(moment: datetime) -> datetime:
    """A wall time that daylight saving skips becomes the one right after the gap."""
    return moment.astimezone(UTC).astimezone(moment.tzinfo)


def _day_matches(schedule: CronSchedule, moment: datetime) -> bool:
    dom = moment.day in schedule.dom
    dow = (moment.weekday() + 1) % 7 in schedule.dow
    return (dom and dow) if schedule.dom_star or schedule.dow_star else (dom or dow)
