"""Do the schedules fire, and is there room for what they start?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from models.findings import Severity
from models.objects import KubeObject, Manifest
from models.operators import cnpg
from models.operators.make import mapping, whole
from models.rules.cron import CronSchedule, parse_cron
from sim.checks.check import Check, Defect, subject_of
from sim.checks.look import Look, Restart
from sim.checks.patch import patch

_START: Final = datetime(2024, 1, 1, tzinfo=UTC)
"""A Monday of a leap year: every date and weekday comes within the year that follows."""
_DAY: Final = 1440


@dataclass(frozen=True)
class _Run:
    """A CronJob that can run: its pod as admitted, its schedule, how many minutes a run may last."""

    item: KubeObject
    restart: Restart
    schedule: CronSchedule
    minutes: int


def schedule_never_fires(look: Look) -> Iterator[Defect]:
    """A schedule that nobody can read, or that no date satisfies."""
    for item, field, text, seconds, zone in _schedules(look):
        try:
            schedule = parse_cron(text, seconds=seconds, zone=zone)
        except ValueError as error:
            yield Defect(
                f"The schedule of {subject_of(item)} cannot be read: it never runs",
                item,
                field,
                (f"{text!r}: {error}",),
                "write five fields: minute hour day month weekday"
                if not seconds
                else "write six fields: second minute hour day month weekday",
            )
            continue
        if schedule.next(_START) is None:
            yield Defect(
                f"No date satisfies the schedule of {subject_of(item)}: it never runs",
                item,
                field,
                (f"{text!r}",),
                "choose a day that the month has",
            )


def schedule_five_fields(look: Look) -> Iterator[Defect]:
    """A ScheduledBackup with five fields: they are read from the second on, not from the minute on."""
    for item in look.platform.by_kind("ScheduledBackup", cnpg.GROUP):
        text = str(item.spec.get("schedule") or "")
        if len(text.split()) != 5 or text.startswith(("@", "TZ=", "CRON_TZ=")):
            continue
        try:
            schedule = parse_cron(text, seconds=True)
        except ValueError:
            continue
        count = sum(1 for _ in schedule.between(_START, _START + timedelta(days=1)))
        yield Defect(
            f"{subject_of(item)} runs {count} times a day: five fields are read as second, minute, hour, day, month",
            item,
            "spec.schedule",
            (f"{text!r}; a ScheduledBackup has six fields, seconds first",),
            f'write "0 {text}"',
            patch(item, spec={"schedule": f"0 {text}"}),
        )


def cron_overlap_quota(look: Look) -> Iterator[Defect]:
    """CronJobs that fit into the quota one by one and not together: the later ones wait, or miss their time."""
    for namespace in look.platform.quotas:
        runs = list(_runs(look, namespace))
        started = [replace(run, minutes=1) for run in runs]
        for group, minute in [*_together(started), *_together(runs)]:
            message, last = _refused(look, group)
            if last is None:
                continue
            together = all(run.minutes == 1 for run in group)
            yield Defect(
                f"{len(group)} CronJobs of namespace {namespace} {'start' if together else 'may all run'} at "
                f"{minute // 60:02}:{minute % 60:02}, and the quota has no room for all",
                last.item,
                "spec.schedule",
                (*(f"{subject_of(run.item)}: {run.item.spec.get('schedule')}" for run in group), message),
                "start them at different times, or raise the quota",
                # A deadline is the longest that a run may take, not what it takes.
                severity=None if together else Severity.INFO,
            )
            break


def _schedules(look: Look) -> Iterator[tuple[KubeObject, str, str, bool, str | None]]:
    """(object, field, schedule, whether it has seconds, time zone) of everything that runs by schedule."""
    for item in look.platform.by_kind("CronJob", "batch"):
        zone = item.spec.get("timeZone")
        yield item, "spec.schedule", str(item.spec.get("schedule") or ""), False, str(zone) if zone else None
    for item in look.platform.by_kind("ScheduledBackup", cnpg.GROUP):
        yield item, "spec.schedule", str(item.spec.get("schedule") or ""), True, None
    for item in look.platform.by_kind("Schedule", "velero.io"):
        yield item, "spec.schedule", str(item.spec.get("schedule") or ""), False, None
    for item in look.platform.by_kind("ReplicationSource", "volsync.backube"):
        text = mapping(item.spec.get("trigger")).get("schedule")
        if text:
            yield item, "spec.trigger.schedule", str(text), False, None


def _runs(look: Look, namespace: str) -> Iterator[_Run]:
    for item in look.platform.by_kind("CronJob", "batch"):
        restart = look.restarts.get(subject_of(item))
        if item.namespace != namespace or item.spec.get("suspend") is True or restart is None or restart.message:
            continue
        try:
            zone = item.spec.get("timeZone")
            schedule = parse_cron(str(item.spec.get("schedule") or ""), zone=str(zone) if zone else None)
        except ValueError:
            continue
        if schedule.every_s is None:
            deadline = whole(item.get("spec", "jobTemplate", "spec", "activeDeadlineSeconds"), 60)
            yield _Run(item, restart, schedule, max(1, min(_DAY, -(-deadline // 60))))


def _together(runs: list[_Run]) -> list[tuple[tuple[_Run, ...], int]]:
    """Sets of CronJobs that may run in one minute, largest first, each with such a minute of the day.

    A run lasts ``minutes``; time zones are taken as one. O(days * runs + kinds of days * minutes * runs).
    """
    days = {tuple(_on(run.schedule, _START + timedelta(days=number)) for run in runs) for number in range(366)}
    found: dict[tuple[int, ...], int] = {}
    for day in sorted(days, reverse=True):
        active: Mapping[int, set[int]] = {index: _minutes(run) for index, run in enumerate(runs) if day[index]}
        for minute in range(_DAY):
            group = tuple(index for index, minutes in active.items() if minute in minutes)
            if len(group) > 1:
                found.setdefault(group, minute)
    ordered = sorted(found.items(), key=lambda pair: (-len(pair[0]), pair[1]))
    return [(tuple(runs[index] for index in group), minute) for group, minute in ordered]


def _minutes(run: _Run) -> set[int]:
    """Minutes of the day in which a run may be active."""
    starts = [hour * 60 + minute for hour in run.schedule.hour for minute in run.schedule.minute]
    return {(start + offset) % _DAY for start in starts for offset in range(run.minutes)}


def _on(schedule: CronSchedule, day: datetime) -> bool:
    """Whether the schedule fires on that date: both days must match when one is a star, either one otherwise."""
    if day.month not in schedule.month:
        return False
    dom, dow = day.day in schedule.dom, (day.weekday() + 1) % 7 in schedule.dow
    return (dom and dow) if schedule.dom_star or schedule.dow_star else (dom or dow)


def _refused(look: Look, group: tuple[_Run, ...]) -> tuple[str, _Run | None]:
    """The first pod that the quota refuses when all of the group run beside everything else."""
    ledger = look.ledger.copy()
    for run in group:
        workload = run.restart.workload
        for number in range(workload.replicas or 0):
            metadata = {**run.restart.manifest["metadata"], "name": f"{workload.name}-{number}"}
            pod: Manifest = {**run.restart.manifest, "metadata": metadata}
            answer = ledger.try_admit(pod)
            if not answer.allowed:
                return answer.message, run
    return "", None


CHECKS = (
    Check(
        "SCHEDULE-NEVER-FIRES",
        Severity.ERROR,
        "a schedule cannot be read, or no date satisfies it",
        schedule_never_fires,
    ),
    Check(
        "SCHEDULE-FIVE-FIELDS",
        Severity.WARNING,
        "a ScheduledBackup with five fields runs far more often than meant",
        schedule_five_fields,
    ),
    Check(
        "CRON-OVERLAP-QUOTA",
        Severity.WARNING,
        "CronJobs that run at once do not fit into the quota together",
        cron_overlap_quota,
    ),
)
