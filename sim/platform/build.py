"""Makes the world of one replication from a placement: controllers, services, pods that run at rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models import scenario as schema
from models.catalog import Apps, Timings
from models.objects import Manifest, dig
from models.platform import Platform
from models.scheduler.selectors import set_selector
from sim.placement import PlacedPod, Placement
from sim.platform.availability import Availability
from sim.platform.certificates import Certificates
from sim.platform.controllers import Controller, DaemonSetController, StatefulSetController
from sim.platform.databases import OPERATOR_IMAGE, DatabaseController
from sim.platform.deployments import DeploymentController
from sim.platform.endpoints import Endpoints
from sim.platform.jobs import JobController
from sim.platform.loadbalancer import LoadBalancers
from sim.platform.log import Story
from sim.platform.model import WorkloadModel, model_workload
from sim.platform.observer import PlatformObserver
from sim.platform.routes import Dependencies, RouteModel, balanced_services
from sim.platform.state import PodSim, ServiceSim
from sim.platform.workloads import first_ordinal, make_pod
from sim.platform.world import World

_CONTROLLERS: Mapping[str, type[Controller]] = {
    "Deployment": DeploymentController,
    "ReplicaSet": DeploymentController,
    "StatefulSet": StatefulSetController,
    "DaemonSet": DaemonSetController,
    "Job": JobController,
    "CronJob": JobController,
    "Cluster": DatabaseController,
    "Pod": Controller,
}


@dataclass(frozen=True, eq=False)
class PlatformProgram:
    """Everything about a placed platform that does not change between replications; make it once."""

    platform: Platform
    placement: Placement
    scenario: schema.Scenario
    timings: Timings
    models: Mapping[str, WorkloadModel]
    routes: Sequence[RouteModel]
    dependencies: Dependencies


def compile_platform(
    platform: Platform,
    placement: Placement,
    scenario: schema.Scenario,
    *,
    timings: Timings,
    apps: Apps,
    routes: Sequence[RouteModel],
    dependencies: Dependencies,
) -> PlatformProgram:
    """Work out once what every replication reads."""
    models: dict[str, WorkloadModel] = {}
    for workload in placement.workloads:
        pods = placement.by_workload[workload.id]
        pod = pods[0].manifest if pods else _example(placement, workload.id)
        models[workload.id] = model_workload(workload, pod, scenario, apps, timings)
    return PlatformProgram(platform, placement, scenario, timings, models, routes, dependencies)


def _example(placement: Placement, workload: str) -> Manifest:
    found = next(item for item in placement.workloads if item.id == workload)
    return placement.gate.prepare(make_pod(found, first_ordinal(found))).manifest


def build_world(
    program: PlatformProgram,
    *,
    seed: int,
    replication: int,
    start: float = 0.0,
    observer: PlatformObserver | None = None,
    detail: bool = True,
    cron: bool = True,
) -> World:
    """A world at rest: every placed pod runs and is ready, every proxy knows it. ``cron``: whether CronJobs run."""
    world = World(
        program.placement,
        program.models,
        program.scenario,
        program.timings,
        seed=seed,
        replication=replication,
        start=start,
        observer=observer or PlatformObserver(),
        detail=detail,
    )
    for name, model in program.models.items():
        world.controllers[name] = _CONTROLLERS[model.workload.controller](world, model)
    _connect(world, program)
    for placed in program.placement.pods:
        _put(world, placed)
    for controller in world.controllers.values():
        if isinstance(controller, DeploymentController):
            controller.adopt(len(program.placement.by_workload[controller.id]))
    world.endpoints.settle()
    world.scheduler.start()
    world.control_plane.start()
    world.load_balancers.start()
    world.certificates.start()
    world.routes.start()
    for controller in world.controllers.values():
        if isinstance(controller, JobController) and cron:
            controller.begin()
        elif controller.kind not in ("Job", "CronJob"):
            controller.wake()
    for namespace in program.platform.quotas:
        world.note_quota(namespace)
    for pod in world.pods.values():
        if pod.answers:
            world.observer.pod_answers(world.now, pod)
    for service in world.endpoints.services.values():
        world.observer.endpoints_changed(world.now, service.id, service.view)
    world.pressure.start()
    return world


def _connect(world: World, program: PlatformProgram) -> None:
    """Services, addresses, certificates, routes, and which controllers wait for which."""
    backends = {service for route in program.routes for service, _ in route.backends}
    services = {}
    for manifest in program.placement.services:
        item = _service(manifest)
        item.throttled = item.id in backends
        services[item.id] = item
    world.endpoints = Endpoints(world, services)
    addresses = balanced_services(program.platform)
    balanced = [services[name] for name in addresses if name in services]
    world.load_balancers = LoadBalancers(world, balanced, addresses)
    world.certificates = Certificates(world, program.platform)
    world.routes = Availability(world, program.routes, program.dependencies.startup)
    databases: list[Controller] = [item for item in world.controllers.values() if isinstance(item, DatabaseController)]
    for controller in world.controllers.values():
        if any(OPERATOR_IMAGE in item.image for item in controller.model.containers):
            world.database_operators.append(controller)
            world.dependents[controller.id] = databases


def _service(manifest: Manifest) -> ServiceSim:
    metadata, spec = manifest.get("metadata") or {}, manifest.get("spec") or {}
    namespace = str(metadata.get("namespace") or "default")
    selector = spec.get("selector") or {}
    return ServiceSim(
        id=f"Service {namespace}/{metadata.get('name')}",
        manifest=manifest,
        namespace=namespace,
        selector=set_selector(selector),
        manual=not selector,
        unready_too=spec.get("publishNotReadyAddresses") is True,
        local_only=spec.get("externalTrafficPolicy") == "Local",
    )


def _put(world: World, placed: PlacedPod) -> None:
    """One pod as it is at rest. A refused one does not exist: its controller asks for it again."""
    if placed.state == "refused":
        return
    controller = world.controllers[placed.workload]
    pod: PodSim = world.new_pod(controller, placed.number, 1, placed.manifest)
    if isinstance(controller, DatabaseController):
        pod.role = "primary" if placed.number == controller.primary else "replica"
        world.endpoints.attach(pod)
    if placed.node is None:
        pod.story = Story("not placed at the start", world.now)
        world.scheduler.restore_pending(pod, placed.message)
        world.show(pod, "pending")
        return
    pod.node = world.node(placed.node)
    pod.node.images.update(dig(dict(item), "image", default="") for item in _containers(placed.manifest))
    if isinstance(controller, DaemonSetController):
        controller.home(pod, placed.node)
    pod.pulled = pod.answers = pod.ready = pod.reported = True
    pod.started = pod.reported_since = world.now - world.timings.seconds("k8s.crashloop_reset") - 1.0
    world.show(pod, "ready")


def _containers(pod: Manifest) -> list[Manifest]:
    spec = pod["spec"]
    return [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]
