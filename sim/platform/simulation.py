"""Runs the platform: one replication with its log, and the loss of each node in turn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from models import scenario as schema
from models.catalog import Apps, Timings, load_apps, load_timings
from models.cluster import Cluster
from models.graph.routes import service_routes
from models.platform import Platform
from sim.placement import Placement
from sim.platform.autoscaling import start_autoscalers
from sim.platform.build import PlatformProgram, build_world, compile_platform
from sim.platform.faults import schedule_faults
from sim.platform.log import Outage, PlatformLog, RolloutLog, Story
from sim.platform.observer import PlatformObserver
from sim.platform.operations import schedule_operations
from sim.platform.routes import NO_DEPENDENCIES, Dependencies, RouteModel, compile_routes
from sim.platform.state import PodSim
from sim.platform.world import World


def prepare_platform(
    platform: Platform,
    placement: Placement,
    scenario: schema.Scenario,
    *,
    timings: Timings | None = None,
    apps: Apps | None = None,
    routes: Sequence[RouteModel] | None = None,
    dependencies: Dependencies = NO_DEPENDENCIES,
) -> PlatformProgram:
    """What all replications share. ``routes``: those of the platform by default. The scenario's timers win over
    ``timings``. Raises InputError for a timer that the catalogue does not have."""
    known = (timings or load_timings()).with_overrides(scenario.spec.cluster.timers)
    if routes is None:
        direct = service_routes(platform, scenario.spec.services_called())
        routes = compile_routes(platform, placement.workloads, dependencies, direct)
    return compile_platform(
        platform,
        placement,
        scenario,
        timings=known,
        apps=apps or load_apps(),
        routes=routes,
        dependencies=dependencies,
    )


class PlatformSimulation:
    """One replication that can be run piece by piece: the request engine advances between its events."""

    def __init__(
        self,
        program: PlatformProgram,
        *,
        seed: int,
        replication: int = 0,
        start: float = 0.0,
        observer: PlatformObserver | None = None,
        detail: bool = True,
        cron: bool = True,
    ) -> None:
        self.program = program
        self.world: World = build_world(
            program, seed=seed, replication=replication, start=start, observer=observer, detail=detail, cron=cron
        )
        schedule_faults(self.world)
        schedule_operations(self.world)
        start_autoscalers(self.world)

    @property
    def now(self) -> float:
        """Seconds; 0 is the end of the warm-up."""
        return self.world.now

    def peek(self) -> float:
        """When the next platform event happens; infinite when there is none."""
        return float(self.world.clock.env.peek())

    def step(self) -> None:
        """Do all that happens at the next instant."""
        at = self.peek()
        while self.peek() == at < math.inf:
            self.world.clock.env.step()

    def run(self, until: float) -> None:
        """Run up to and including ``until``."""
        while self.peek() <= until:
            self.step()
        if self.world.clock.env.now < until:
            self.world.clock.env.run(until)

    def log(self) -> PlatformLog:
        """What has happened up to now."""
        world = self.world
        pending = {pod.key: pod.message for pod in world.scheduler.pending() if pod.message}
        pending |= {f"{item.id} (refused)": item.refused for item in world.controllers.values() if item.refused}
        finished = world.recorder.finish(world.now, world.routes.finish(world.now), pending)
        open_rollouts = tuple(
            _open_rollout(world, controller.id)
            for controller in world.controllers.values()
            if controller.rollout is not None and not controller.rollout.done
        )
        return PlatformLog(
            finished.until,
            finished.events,
            finished.pod_lanes,
            finished.routes,
            finished.quota_usage,
            finished.refusals,
            finished.rollouts + open_rollouts,
            finished.pending,
        )


def _open_rollout(world: World, workload: str) -> RolloutLog:
    """A rollout that has not completed: stuck when its deadline has passed or something refuses to let it go on."""
    controller = world.controllers[workload]
    rollout = controller.rollout
    assert rollout is not None
    waiting = [pod.message for pod in controller.pods.values() if pod.node is None and pod.message]
    reason = controller.refused or (waiting[0] if waiting else "")
    if not reason and rollout.late:
        reason = "its pods did not become ready within the progress deadline"
    stuck = bool(controller.refused or waiting or rollout.late)
    return RolloutLog(workload, rollout.start, "stuck" if stuck else "running", None, reason)


def simulate_platform(
    platform: Platform,
    cluster: Cluster,
    placement: Placement,
    scenario: schema.Scenario,
    *,
    seed: int,
    replication: int = 0,
    timings: Timings | None = None,
    apps: Apps | None = None,
    observer: PlatformObserver | None = None,
    until: float | None = None,
    routes: Sequence[RouteModel] | None = None,
    dependencies: Dependencies = NO_DEPENDENCIES,
    detail: bool = True,
) -> PlatformLog:
    """One replication of the platform's own events, from the end of the warm-up to ``until`` (default: run.length).

    ``cluster`` must be the one of the placement. With an observer (a request engine) it is told everything as it
    happens. The same seed and replication give the same log.
    """
    if cluster is not placement.cluster:
        raise ValueError("the placement is of another cluster")
    program = prepare_platform(
        platform, placement, scenario, timings=timings, apps=apps, routes=routes, dependencies=dependencies
    )
    simulation = PlatformSimulation(program, seed=seed, replication=replication, observer=observer, detail=detail)
    simulation.run(scenario.spec.run.length if until is None else until)
    return simulation.log()


@dataclass(frozen=True)
class NodeLoss:
    """What the loss of one node does to one route.

    ``outage_s``: time without any service, None when it lasts until the node returns; ``degraded_s``: time in which a
    ``outage_s``: time without any service, None when it lasts until the node returns; ``degraded_s``: time in which a
    share of requests fails or answers are incomplete; ``cause``: the deciding chain of timers and pins; ``pending``:
    pods that find no place, with the sentence.
    """

    node: str
    route: str
    outage_s: float | None
    degraded_s: float
    cause: str
    pending: tuple[str, ...] = ()


def survive_each_node(
    platform: Platform,
    cluster: Cluster,
    placement: Placement,
    scenario: schema.Scenario,
    *,
    seed: int,
    replication: int = 0,
    timings: Timings | None = None,
    apps: Apps | None = None,
    routes: Sequence[RouteModel] | None = None,
    dependencies: Dependencies = NO_DEPENDENCIES,
    horizon_s: float = 7200.0,
) -> list[NodeLoss]:
    """Lose each node in turn for good, with nothing else happening, and see what every route does in ``horizon_s``.

    An outage that lasts at the horizon is taken to last until the node returns.
    """
    if cluster is not placement.cluster:
        raise ValueError("the placement is of another cluster")
    quiet = scenario.model_copy(update={"spec": scenario.spec.model_copy(update={"faults": (), "operations": ()})})
    program = prepare_platform(
        platform, placement, quiet, timings=timings, apps=apps, routes=routes, dependencies=dependencies
    )
    asleep = _down_at_rest(program, seed, replication)
    losses: list[NodeLoss] = []
    for node in cluster.nodes:
        simulation = PlatformSimulation(program, seed=seed, replication=replication, detail=False, cron=False)
        world = simulation.world
        name = node.name

        def lose(world: World = world, name: str = name) -> None:
            world.nodes.crash(world.node(name), Story(f"node {name} lost", world.now))

        world.clock.after(0.0, lose)
        simulation.run(horizon_s)
        log = simulation.log()
        pending = tuple(f"{pod}: {message}" for pod, message in log.pending.items())
        stuck = tuple(
            f"{pod.key}: {_stuck(pod)}"
            for pod in world.pods.values()
            if pod.deleting and pod.controller.kind in ("StatefulSet", "Cluster", "Pod")
        )
        losses.extend(
            _loss(name, route.route, route.outages, route.degradations, pending + stuck, horizon_s)
            if route.route not in asleep
            else NodeLoss(name, route.route, None, 0.0, f"down before any node is lost: {asleep[route.route]}")
            for route in log.routes.values()
        )
    return losses


def _down_at_rest(program: PlatformProgram, seed: int, replication: int) -> dict[str, str]:
    """Routes that nobody can reach although nothing has happened, and why."""
    simulation = PlatformSimulation(program, seed=seed, replication=replication, detail=False, cron=False)
    simulation.run(1.0)
    routes = simulation.log().routes.values()
    return {item.route: item.outages[0].cause for item in routes if item.outages and item.outages[0].end is None}


def _stuck(pod: PodSim) -> str:
    return f"stays Terminating on {pod.node.name if pod.node else '?'} until it returns"


def _loss(
    node: str,
    route: str,
    outages: Sequence[Outage],
    degradations: Sequence[Outage],
    pending: tuple[str, ...],
    horizon_s: float,
) -> NodeLoss:
    lasting = [item for item in outages if item.end is None]
    worst = max(outages, key=lambda item: (horizon_s if item.end is None else item.end) - item.start, default=None)
    if worst is None:
        worst = max(degradations, key=lambda item: (item.end or horizon_s) - item.start, default=None)
    return NodeLoss(
        node=node,
        route=route,
        outage_s=None if lasting else sum(((item.end or horizon_s) - item.start for item in outages), 0.0),
        degraded_s=sum(((item.end or horizon_s) - item.start for item in degradations), 0.0),
        cause=worst.cause if worst is not None else "",
        pending=pending,
    )
