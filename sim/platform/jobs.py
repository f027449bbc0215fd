"""CronJobs over time: schedule, concurrency policy, pods that run to completion."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from models.objects import dig
from models.rules.cron import parse_cron
from sim.platform.controllers import Controller
from sim.platform.log import Story
from sim.platform.model import WorkloadModel
from sim.platform.state import PodSim

if TYPE_CHECKING:
    from sim.platform.world import World

DAY_ZERO = datetime(2024, 1, 1, tzinfo=UTC)
"""The day at the end of the warm-up: a Monday, the first of a month. Scenarios name a time of day only."""


def wall_clock(world: World) -> datetime:
    """The scenario's date and time now."""
    hour, _, minute = world.scenario.spec.run.start.partition(":")
    return DAY_ZERO + timedelta(hours=int(hour), minutes=int(minute), seconds=world.now)


def seconds_until(world: World, schedule: str, zone: str | None = None) -> float | None:
    """Seconds until the next time of a cron schedule; None for one that never comes. Raises ValueError."""
    now = wall_clock(world)
    following = parse_cron(schedule, zone=zone).next(now)
    return None if following is None else (following - now).total_seconds()


@dataclass(eq=False)
class _Run:
    """One Job of the CronJob: pods that still have to finish."""

    start: float
    left: int
    parallelism: int


class JobController(Controller):
    """A Job (which has finished before the start) or a CronJob. A pod runs as long as its profile's start-up."""

    runs_to_completion: ClassVar[bool] = True

    def __init__(self, world: World, model: WorkloadModel) -> None:
        super().__init__(world, model)
        manifest = dict(model.workload.object.manifest)
        self.policy = str(dig(manifest, "spec", "concurrencyPolicy", default="Allow"))
        self.suspended = bool(dig(manifest, "spec", "suspend", default=False))
        self.zone = dig(manifest, "spec", "timeZone", default=None)
        self.completions = int(dig(manifest, "spec", "jobTemplate", "spec", "completions", default=self.replicas) or 1)
        self._runs: list[_Run] = []
        self._run_of: dict[int, _Run] = {}
        self._serial = 0

    def begin(self) -> None:
        """Plan the first run."""
        if self.kind == "CronJob" and self.model.workload.schedule and not self.suspended:
            self._plan()

    def _plan(self) -> None:
        try:
            delay = seconds_until(self.world, self.model.workload.schedule, self.zone)
        except ValueError:
            # The API server refuses it, and the checks tell so: it never runs.
            return
        if delay is not None:
            self.world.clock.after(delay, self._tick)

    def _tick(self) -> None:
        self._plan()
        if not self.world.control_plane.active:
            self.world.log("MissedSchedule", self.id, "no control plane at the scheduled time", "", "warning")
            return
        if self._runs and self.policy == "Forbid":
            self.world.log("JobAlreadyActive", self.id, "Not starting job because prior execution is running", "")
            return
        if self._runs and self.policy == "Replace":
            self._runs.clear()
            for pod in list(self.pods.values()):
                self.world.delete_pod(pod, Story(f"{self.id} starts again", self.world.now))
        self._runs.append(_Run(self.world.now, self.completions, max(1, self.replicas)))
        self.wake()

    def sync(self) -> None:
        """Keep ``parallelism`` pods of every run going until ``completions`` have finished."""
        self._runs = [run for run in self._runs if run.left > 0]
        refused = False
        for run in self._runs:
            going = [pod for pod in self.alive if self._run_of.get(pod.uid) is run]
            for _ in range(min(run.parallelism, run.left) - len(going)):
                before = set(self.pods)
                if not self.create(self._serial, self.revision):
                    refused = True
                    break
                self._serial += 1
                for uid in set(self.pods) - before:
                    self._run_of[uid] = run
        if not refused:
            self.forget_failures()

    def pod_removed(self, pod: PodSim) -> None:
        """A pod that finished counts towards its run."""
        run = self._run_of.pop(pod.uid, None)
        if run is not None and pod.finished:
            run.left -= 1
