"""The verdict on a set of rollouts at once: completes after T, may get stuck, or stuck because of what.

Whether it can get stuck is decided by :mod:`sim.rollouts.search` over every order of events; how long it takes by one
run of the platform simulation: SimPy processes with ReplicaSets, back-off of refused pods, terminating pods that stay
charged until their grace ends, readiness, and sync waves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from models import scenario as schema
from models.catalog import Apps, Timings
from models.platform import Workload
from sim.placement import Placement
from sim.platform.log import RolloutLog, Story
from sim.platform.simulation import PlatformSimulation, prepare_platform
from sim.rollouts.search import Search
from sim.rollouts.start import ROLLED_KINDS, Member, member

STATES = 50_000
"""States looked at before the search gives up. A single workload has a handful, five that compete some thousands."""

SCHEDULED_STATES = 2000
"""The same where each state takes the whole scheduler, some milliseconds a pod."""

HORIZON_S = 86_400.0
"""A day: refused pods are tried again every 1000 s at the latest, so nothing that can move stands still for so long."""

SYNC_WAVE = "argocd.argoproj.io/sync-wave"

Ending = Literal["completes", "may get stuck", "stuck", "undecided"]


@dataclass(frozen=True)
class RolloutVerdict:
    """What becomes of a set of rollouts that start together.

    ``verdict``: whatever the order of events and whichever fitting node the scheduler takes, all complete
    (``completes``) or never all (``stuck``), or it depends (``may get stuck``); ``undecided`` when there are too many
    states. ``reasons``: by workload, why it waits in the stuck state that was found, in the API server's or the
    scheduler's words; ``witness``: the events that lead there; ``seconds``: what the simulated run took, None without
    a run or when that one did not finish.
    """

    workloads: tuple[str, ...]
    verdict: Ending
    reasons: Mapping[str, str] = field(default_factory=dict)
    witness: tuple[str, ...] = ()
    states: int = 0
    seconds: float | None = None

    @property
    def says(self) -> str:
        """The verdict in words."""
        if self.verdict in ("completes", "undecided"):
            after = "" if self.seconds is None else f" after {self.seconds:.0f} s"
            return f"{self.verdict}{after}"
        alone = len(self.workloads) == 1
        because = "; ".join(reason if alone else f"{name}: {reason}" for name, reason in self.reasons.items())
        return f"{self.verdict} because {because}"


def judge_rollouts(
    placement: Placement,
    workloads: Iterable[Workload],
    *,
    waves: bool = False,
    alone: bool = False,
    simulate: bool = True,
    states: int = STATES,
    timings: Timings | None = None,
    apps: Apps | None = None,
) -> RolloutVerdict:
    """Roll these workloads out at once (with ``waves`` in the order of their Argo CD sync waves).

    Workloads without pods, and kinds that are not rolled out, complete at once. Pods of others that are missing or
    pending at rest may take what the rollouts free, unless they happen ``alone``. ``simulate``: also run it for the
    time it takes. Raises ValueError for a workload of another platform.
    """
    chosen = [item for item in workloads if item.controller in ROLLED_KINDS and item.replicas != 0]
    for item in chosen:
        if item.id not in placement.by_workload:
            raise ValueError(f"{item.id} is not on this placement")
    names = tuple(item.id for item in chosen)
    if not chosen:
        return RolloutVerdict(names, "completes", seconds=0.0)
    rolled = [member(placement, item, _wave(item) if waves else 0) for item in chosen]
    search = Search(placement, [*rolled, *([] if alone else _bystanders(placement, rolled))])
    found = search.run(min(states, SCHEDULED_STATES) if search.room.by_scheduler else states)
    verdict: Ending = "undecided"
    if found.can_stick and found.can_complete:
        verdict = "may get stuck"
    elif found.exhausted:
        verdict = "stuck" if found.can_stick else "completes"
    reasons = search.reasons(found.stuck) if found.stuck is not None else {}
    seconds = None
    if simulate and verdict != "stuck":
        logs = run_rollouts(placement, chosen, waves=waves, timings=timings, apps=apps)
        if all(item.verdict == "complete" for item in logs):
            seconds = max((item.start + (item.duration_s or 0.0) for item in logs), default=0.0)
    return RolloutVerdict(names, verdict, reasons, found.path, found.states, seconds)


def run_rollouts(
    placement: Placement,
    workloads: Sequence[Workload],
    *,
    waves: bool = False,
    seed: int = 1,
    horizon_s: float = HORIZON_S,
    timings: Timings | None = None,
    apps: Apps | None = None,
    scenario: schema.Scenario | None = None,
) -> tuple[RolloutLog, ...]:
    """Simulate the rollouts, all from second 0, wave by wave; until all are complete or ``horizon_s`` has passed."""
    program = prepare_platform(
        placement.platform, placement, scenario or _quiet(), timings=timings, apps=apps, routes=()
    )
    simulation = PlatformSimulation(program, seed=seed, detail=False, cron=False)
    world = simulation.world
    groups: dict[int, list[str]] = {}
    for item in workloads:
        groups.setdefault(_wave(item) if waves else 0, []).append(item.id)
    left = [groups[wave] for wave in sorted(groups)]

    def advance() -> None:
        """Start the next wave when the one before has ended."""
        while left and all(done(name) for name in started):
            for name in left.pop(0):
                started.append(name)
                world.controllers[name].start_rollout(Story(f"rollout of {name}", world.now))

    def done(name: str) -> bool:
        rollout = world.controllers[name].rollout
        return rollout is not None and rollout.done

    started: list[str] = []

    def later() -> None:
        """Look for the next wave once the controllers have finished this instant."""
        world.clock.after(0.0, advance)

    world.on_rollout.append(later)
    later()
    while simulation.peek() <= horizon_s and (left or not all(done(name) for name in started) or not started):
        simulation.step()
    chosen = {item.id for item in workloads}
    logs = tuple(item for item in simulation.log().rollouts if item.workload in chosen)
    waiting = tuple(
        RolloutLog(name, math.inf, "stuck", None, "waits for an earlier wave") for group in left for name in group
    )
    return logs + waiting


def _wave(workload: Workload) -> int:
    text = workload.object.annotations.get(SYNC_WAVE, "0") or "0"
    try:
        return int(text)
    except ValueError:
        return 0  # Argo CD reads a wave that is no number as 0


def _bystanders(placement: Placement, rolled: Sequence[Member]) -> list[Member]:
    """Workloads that miss pods and might take what the rollouts free."""
    mine = {item.machine.workload.id for item in rolled}
    found = []
    for workload in placement.workloads:
        pods = placement.by_workload[workload.id]
        if workload.id in mine or all(pod.state == "placed" for pod in pods) or workload.controller not in ROLLED_KINDS:
            continue
        item = member(placement, workload, None)
        if not item.machine.refusal or item.machine.start.waiting:
            found.append(item)
    return found


def _quiet() -> schema.Scenario:
    """A scenario in which nothing else happens."""
    nodes = [{"name": "node", "machine": "m920q", "role": "server"}]
    return schema.Scenario.model_validate(
        {
            "apiVersion": "stowplan/v1",
            "kind": "Scenario",
            "metadata": {"name": "rollouts"},
            "spec": {"trees": [{"path": "."}], "cluster": {"nodes": nodes}, "run": {"warmUp": "0"}},
        }
    )
