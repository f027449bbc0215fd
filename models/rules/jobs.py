"""Job and CronJob arithmetic: how many pods run, back-off, deadlines, what a schedule starts, how far runs overlap.

Source: ``pkg/controller/job/{job_controller,backoff_utils}.go``,
``pkg/controller/cronjob/{utils,cronjob_controllerv2}.go``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from models.objects import Manifest, dig
from models.rules.cron import CronSchedule, parse_cron

BACKOFF_START_S: Final = 10
BACKOFF_MAX_S: Final = 600
DEFAULT_BACKOFF_LIMIT: Final = 6
MAX_PODS_PER_SYNC: Final = 500

ConcurrencyPolicy = Literal["Allow", "Forbid", "Replace"]
Missed = Literal["none", "few", "many"]


@dataclass(frozen=True)
class JobState:
    """Counters of a Job; ``succeeded``/``failed`` count finished pods, ``active`` those that are not."""

    active: int = 0
    succeeded: int = 0
    failed: int = 0
    age_s: float = 0.0
    suspended: bool = False


@dataclass(frozen=True)
class JobVerdict:
    """Where a Job stands: ``reason`` and ``message`` as its Failed condition has them."""

    status: Literal["running", "complete", "failed"]
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class CronDecision:
    """What a CronJob does now: ``start`` the time it starts a Job for, ``replace`` whether active Jobs are deleted."""

    start: datetime | None
    replace: bool = False
    reason: str = ""


def job_wanted(parallelism: int, completions: int | None, state: JobState) -> int:
    """Pods that should run now (``manageJob``): never more than completions still missing.

    Without ``completions`` the first success stops new pods. A suspended Job wants none.
    """
    if state.suspended:
        return 0
    if completions is None:
        return state.active if state.succeeded > 0 else parallelism
    return max(0, min(completions - state.succeeded, parallelism))


def job_backoff_s(failures: int) -> int:
    """Seconds from the last failure to the next pod: 10, 20, 40, ... at most 600; 0 without failures."""
    if failures <= 0:
        return 0
    return min(BACKOFF_MAX_S, BACKOFF_START_S << min(failures - 1, 10))


def job_verdict(job: Manifest, state: JobState) -> JobVerdict:
    """Whether the Job goes on, is complete, or failed by its back-off limit or its deadline (``syncJob``)."""
    limit = int(dig(job, "spec", "backoffLimit", default=DEFAULT_BACKOFF_LIMIT))
    deadline = dig(job, "spec", "activeDeadlineSeconds")
    completions = dig(job, "spec", "completions")
    if completions is None and dig(job, "spec", "parallelism") is None:
        completions = 1
    if state.failed > limit:
        return JobVerdict("failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    if deadline is not None and not state.suspended and state.age_s >= deadline:
        return JobVerdict("failed", "DeadlineExceeded", "Job was active longer than specified deadline")
    enough = state.succeeded > 0 and state.active == 0
    done = enough if completions is None else state.succeeded >= completions
    return JobVerdict("complete" if done else "running")


def job_parallelism(job: Manifest) -> tuple[int, int | None]:
    """(parallelism, completions) with the API's defaults: both 1 when both are left out, parallelism 1 otherwise."""
    parallelism = dig(job, "spec", "parallelism")
    completions = dig(job, "spec", "completions")
    if parallelism is None and completions is None:
        return 1, 1
    return (1 if parallelism is None else int(parallelism)), (None if completions is None else int(completions))


def schedule_of(cron_job: Manifest) -> CronSchedule:
    """The schedule of a CronJob manifest in its ``timeZone``. Raises ValueError on a bad one."""
    return parse_cron(str(dig(cron_job, "spec", "schedule", default="")), zone=dig(cron_job, "spec", "timeZone"))


def most_recent_schedule_time(
    schedule: CronSchedule, earliest: datetime, now: datetime, deadline_s: float | None = None
) -> tuple[datetime | None, Missed]:
    """The last due time in (earliest, now], and how many were missed (``mostRecentScheduleTime``).

    ``earliest``: last schedule time, or creation; ``deadline_s``: startingDeadlineSeconds, which moves it up. Raises
    ValueError for a schedule that never comes.
    """
    if deadline_s is not None:
        earliest = max(earliest, now - timedelta(seconds=deadline_s))
    first = schedule.next(earliest)
    second = None if first is None else schedule.next(first)
    if first is None or second is None:
        raise ValueError("time difference between two schedules is less than 1 second")
    if now < first:
        return None, "none"
    if now < second:
        return first, "none"
    step = int((second - first).total_seconds())
    missed = int((now - first).total_seconds()) // step + 1
    moment = schedule.next(first + timedelta(seconds=(missed - 2) * step))
    found: datetime | None = None
    while moment is not None and moment <= now:
        found, moment = moment, schedule.next(moment)
    return found, "many" if missed > 100 else "few"


def cron_decision(
    cron_job: Manifest, now: datetime, created: datetime, last: datetime | None = None, active: int = 0
) -> CronDecision:
    """Whether the CronJob starts a Job at ``now`` (``syncCronJob``).

    ``last``: the last time a Job was scheduled for; ``active``: its unfinished Jobs; ``reason``: why nothing starts.
    """
    if dig(cron_job, "spec", "suspend") is True:
        return CronDecision(None, reason="suspended")
    deadline = dig(cron_job, "spec", "startingDeadlineSeconds")
    due, _ = most_recent_schedule_time(schedule_of(cron_job), last or created, now, deadline)
    if due is None:
        return CronDecision(None, reason="no unmet start times")
    if deadline is not None and due + timedelta(seconds=deadline) < now:
        return CronDecision(None, reason="missed starting window")
    if due == last:
        return CronDecision(None, reason="already processed")
    policy: ConcurrencyPolicy = dig(cron_job, "spec", "concurrencyPolicy", default="Allow")
    if policy == "Forbid" and active:
        return CronDecision(None, reason="prior execution is still running and concurrency policy is Forbid")
    return CronDecision(due, replace=policy == "Replace" and active > 0)


def cron_runs(
    schedule: CronSchedule, duration_s: float, start: datetime, end: datetime, policy: ConcurrencyPolicy = "Allow"
) -> list[tuple[datetime, datetime]]:
    """The runs begun in (start, end] as (begin, finish), each lasting ``duration_s`` unless replaced.

    Forbid: a run that is due while one is active starts when that ends, for the latest missed time only.
    """
    length = timedelta(seconds=duration_s)
    runs: list[tuple[datetime, datetime]] = []
    for due in schedule.between(start, end):
        begin = due
        if runs and runs[-1][1] > due and policy == "Replace":
            runs[-1] = (runs[-1][0], due)
        elif runs and runs[-1][1] > due and policy == "Forbid":
            if runs[-1][0] >= due:
                continue  # a later missed time takes the place of this one, the run is the same
            begin = runs[-1][1]
        runs.append((begin, begin + length))
    return runs


def most_at_once(runs: Iterable[tuple[datetime, datetime]]) -> int:
    """The largest number of runs active at one instant; a run that ends as another begins does not overlap it."""
    edges = sorted((edge for begin, finish in runs for edge in ((begin, 1), (finish, -1))), key=lambda e: (e[0], e[1]))
    peak = count = 0
    for _, change in edges:
        count += change
        peak = max(peak, count)
    return peak
