"""A study: everything that is decided before a clock starts, then independent replications of it.

study = prepare(load_scenario(path))
results = run(study, workers=2)
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import networkx as nx

from models.catalog import Apps, Timings, load_apps, load_timings
from models.cluster import Cluster, build_cluster
from models.errors import InputError, Problem
from models.graph.build import build_graph
from models.graph.routes import EntryRoute, entry_routes, service_routes
from models.objects import Rendered
from models.platform import Platform, read_platform
from models.scenario import Scenario
from models.scenario_file import LoadedScenario
from sim.binding import EngineBinding
from sim.callees import with_stated_calls
from sim.callplan_check import check_plans
from sim.checkpoint import Checkpoints
from sim.compile import Compiled, compile_program
from sim.demand import Demand, demands
from sim.distribution import with_storage_classes
from sim.engine import EngineKind, make_engine
from sim.faults_check import check_targets
from sim.measures import EngineMeasures
from sim.placement import Placement, place_platform
from sim.platform.build import PlatformProgram
from sim.platform.log import PlatformLog, Story
from sim.platform.routes import dependencies_of
from sim.platform.simulation import NodeLoss, PlatformSimulation, prepare_platform, survive_each_node
from sim.platform.state import PodSim
from sim.precision import known_well_enough
from sim.program_checks import check_program
from sim.thresholds import check_thresholds

SAMPLES = 60
"""How often a run looks at each pod's CPU use, for the percentiles of the sizing table."""

Progress = Callable[[int, int], None]
"""Called with (finished, all) replications."""


@dataclass(frozen=True, eq=False)
class Study:
    """A scenario on its platform: what was read, what depends on what, where everything runs at rest.

    ``graph``: dependencies with evidence. ``placement``: every pod and its node. ``compiled``: the request program.
    ``program``: what all replications of the platform simulation share.
    """

    loaded: LoadedScenario
    platform: Platform
    graph: nx.MultiDiGraph[str]
    routes: tuple[EntryRoute, ...]
    cluster: Cluster
    timings: Timings
    apps: Apps
    demands: Mapping[str, Demand]
    placement: Placement
    compiled: Compiled
    program: PlatformProgram

    @property
    def scenario(self) -> Scenario:
        """The finished scenario."""
        return self.loaded.scenario

    def with_scenario(self, scenario: Scenario) -> Study:
        """The same platform under another scenario (traffic, faults, operations, run, hardware).

        Everything stays where it is unless the hardware or the seed of the placement changes.
        """
        before, after = self.scenario.spec, scenario.spec
        same = before.cluster == after.cluster and before.run.seed == after.run.seed
        placement = self.placement if same else None
        return assemble(replace(self.loaded, scenario=scenario), self.platform, self.graph, placement)


@dataclass(frozen=True)
class Replication:
    """One replication: what the platform did, what requests saw, and CPU samples.

    ``pod_cpu``: per pod name, mean cores between successive samples of the measured time.
    """

    index: int
    log: PlatformLog
    measures: EngineMeasures
    pod_cpu: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Results:
    """All replications of a study in order, and what losing each node in turn does."""

    replications: tuple[Replication, ...]
    losses: tuple[NodeLoss, ...]


def prepare(loaded: LoadedScenario, rendered: Rendered) -> Study:
    """Read, graph, build, place and compile. Raises InputError with every problem found."""
    platform = read_platform(with_storage_classes(rendered, loaded.scenario.spec.cluster.distribution))
    return assemble(loaded, platform, build_graph(platform))


def assemble(
    loaded: LoadedScenario,
    platform: Platform,
    graph: nx.MultiDiGraph[str],
    placement: Placement | None = None,
) -> Study:
    """A study of a platform whose graph is known, placed anew unless ``placement`` says where everything runs.

    Raises InputError with every problem found.
    """
    spec = loaded.scenario.spec
    problems: list[Problem] = []
    timings = load_timings()
    cluster: Cluster | None = None
    try:
        timings = timings.with_overrides(spec.cluster.timers)
    except InputError as error:
        problems.extend(error.problems)
    try:
        cluster = placement.cluster if placement is not None else build_cluster(spec.cluster, timings=timings)
    except InputError as error:
        problems.extend(error.problems)
    routes = (*entry_routes(platform), *service_routes(platform, spec.services_called()))
    apps = load_apps()
    problems.extend(check_thresholds(spec.thresholds, routes))
    problems.extend(check_targets(loaded.scenario, platform, cluster, routes))
    known: Mapping[str, Demand] = {}
    try:
        known = demands(platform, apps, spec.profiles)
        problems.extend(check_plans(platform, known))
    except InputError as error:
        problems.extend(error.problems)
    if problems or cluster is None:
        raise InputError(problems)
    if placement is None:
        placement = place_platform(platform, cluster, seed=spec.run.seed, timings=timings)
    stored = {workload: pods[0].manifest for workload, pods in placement.by_workload.items() if pods}
    asked = _with_somewhere_to_go(loaded.scenario, routes)
    compiled = compile_program(
        platform, graph, routes, cluster, known, asked, timings, stored=stored, folder=loaded.folder
    )
    check_program(compiled.program)
    needs = dependencies_of(with_stated_calls(graph, platform, known))
    program = prepare_platform(platform, placement, loaded.scenario, timings=timings, apps=apps, dependencies=needs)
    return Study(loaded, platform, graph, routes, cluster, timings, apps, known, placement, compiled, program)


def traffic_for_nothing(scenario: Scenario, routes: Sequence[EntryRoute]) -> tuple[str, ...]:
    """The patterns (with a ``*``) of traffic to a tree that has no route at all.

    They ask for whatever there is, and that is nothing; the name of a host that is not there is an error instead.
    """
    if any(not route.direct for route in routes):
        return ()
    return tuple(item.route for item in scenario.spec.traffic if item.route is not None and "*" in item.route)


def _with_somewhere_to_go(scenario: Scenario, routes: Sequence[EntryRoute]) -> Scenario:
    """The scenario without the traffic of :func:`traffic_for_nothing`."""
    idle = traffic_for_nothing(scenario, routes)
    if not idle:
        return scenario
    kept = tuple(item for item in scenario.spec.traffic if item.route not in idle)
    return scenario.model_copy(update={"spec": scenario.spec.model_copy(update={"traffic": kept})})


def replicate(study: Study, index: int) -> Replication:
    """Run replication ``index`` (0, 1, …): the same on any machine and in any order."""
    run = study.scenario.spec.run
    kind: EngineKind = run.engine
    engine = make_engine(study.compiled.program, seed=run.seed, replication=index, kind=kind)
    binding = EngineBinding(engine, study.compiled, run.warm_up, samples=SAMPLES, length=run.length)
    simulation = PlatformSimulation(
        study.program, seed=run.seed, replication=index, start=-run.warm_up, observer=binding
    )
    advance_together(simulation, binding, run.length)
    return Replication(index, simulation.log(), engine.measures(), binding.pod_cpu())


def advance_together(simulation: PlatformSimulation, binding: EngineBinding, until: float) -> None:
    """Run platform and requests up to ``until``: requests first, to the time of the next platform event.

    A pod that runs out of memory on the way is a platform event of its own, at that moment.
    """
    while True:
        upcoming = min(simulation.peek(), until)
        killed = binding.advance(upcoming)
        for pod in killed:
            _kill_at(simulation, pod, min(binding.now, upcoming))
        if killed:
            continue
        if simulation.peek() > until:
            break
        simulation.step()
    simulation.run(until)


def _kill_at(simulation: PlatformSimulation, pod: PodSim, at: float) -> None:
    world = simulation.world

    def kill() -> None:
        story = Story(f"{pod.key} exceeded its memory limit", world.now)
        world.log("OOMKilled", pod.key, "a container of the pod was killed for its memory", story, "error")
        world.kubelet.crash(pod, story)

    world.clock.at(at, kill)


def run(
    study: Study,
    *,
    workers: int = 1,
    progress: Progress | None = None,
    survival: bool = True,
    checkpoints: Checkpoints | None = None,
) -> Results:
    """All replications, on ``workers`` processes (0: one per core), and the loss of each node in turn.

    Stops after fewer replications once every availability is known to ``run.precision``. The results do not depend on
    ``workers``, nor on which replications ``checkpoints`` already holds. ``survival`` False leaves the node losses out.
    """
    count = study.scenario.spec.run.replications
    wanted = min(workers or os.cpu_count() or 1, count)
    done: list[Replication] = []
    for item in _replications(study, count, wanted, checkpoints):
        done.append(item)
        if progress is not None:
            progress(len(done), count)
        if known_well_enough(study, done):
            break
    losses = _losses(study) if survival else ()
    return Results(tuple(done), losses)


def _replications(study: Study, count: int, workers: int, checkpoints: Checkpoints | None) -> Iterator[Replication]:
    """Replications 0 to ``count``, in order: those that an earlier run finished, then new ones, kept as they come."""
    first = 0
    while checkpoints is not None and first < count and (kept := checkpoints.load(first)) is not None:
        yield kept
        first += 1
    for item in _map(replicate, study, range(first, count), workers):
        if checkpoints is not None:
            checkpoints.save(item)
        yield item


def _losses(study: Study) -> tuple[NodeLoss, ...]:
    return tuple(
        survive_each_node(
            study.platform,
            study.cluster,
            study.placement,
            study.scenario,
            seed=study.scenario.spec.run.seed,
            timings=study.timings,
            apps=study.apps,
            dependencies=study.program.dependencies,
        )
    )


_STUDY: Study | None = None


def _adopt(loaded: LoadedScenario, platform: Platform, graph: nx.MultiDiGraph[str]) -> None:
    global _STUDY
    _STUDY = assemble(loaded, platform, graph)


def _one(call: Callable[[Study, int], Any], index: int) -> Any:
    if _STUDY is None:
        raise RuntimeError("a worker was started without its study")
    return call(_STUDY, index)


def _map(call: Callable[[Study, int], Any], study: Study, indices: Sequence[int], workers: int) -> Any:
    """``call(study, index)`` for every index, in order, here or in worker processes."""
    if workers <= 1 or len(indices) <= 1:
        for index in indices:
            yield call(study, index)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import active_children, get_context

    # Spawned, not forked: the parent may hold threads, and both start the same on every system. A worker places and
    # compiles for itself: that takes a second and needs nothing that cannot be sent to another process.
    given = (study.loaded, study.platform, study.graph)
    others = set(active_children())
    if study.scenario.spec.run.engine != "reference":
        import sim.compiled  # noqa: F401  (compiled here, once; the workers find it in the cache)

    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_adopt, initargs=given) as pool:
        try:
            with _interrupts_held_back():
                answers = [pool.submit(_one, call, index) for index in indices]
            for answer in answers:
                yield answer.result()
        except KeyboardInterrupt:
            for process in set(active_children()) - others:
                process.terminate()
            raise


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Processes that begin in here never see Ctrl-C: the parent gets it afterwards, ends them and says so once.

    The mask is for the children, who inherit it. The parent has other threads that would take the signal all the same,
    and an exception between the birth of a process and its entry into the pool's books would leave it behind.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt
