"""Faults of the scenario: when they strike, what they hit, what they do and how it is undone."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from models import scenario as schema
from models.errors import InputError, Problem, Where
from sim.platform import selection
from sim.platform.jobs import seconds_until
from sim.platform.log import Story
from sim.platform.state import NodeSim, PodSim
from sim.platform.workloads import DNS_SERVICE

if TYPE_CHECKING:
    from sim.platform.world import World

Undo = Callable[[], None]


def schedule_faults(world: World) -> None:
    """Plan every fault of the scenario. Raises InputError naming each selector that matches nothing."""
    problems = []
    for number, fault in enumerate(world.scenario.spec.faults):
        if not targets_of(world, fault):
            where = Where(field=f"spec.faults[{number}].selector")
            problems.append(
                Problem(
                    where, f"fault {fault.name!r} selects nothing", "check names; 'stowplan place' lists pods and nodes"
                )
            )
    if problems:
        raise InputError(problems)
    for fault in world.scenario.spec.faults:
        _plan(world, fault)


def _plan(world: World, fault: schema.Fault) -> None:
    if fault.at is not None:
        world.clock.at(fault.at, lambda: _strike(world, fault))
    elif fault.schedule is not None:
        _repeat(world, fault)
    else:
        stream = world.streams[f"fault/{fault.name}/mode"]
        for target in selection.take(targets_of(world, fault), fault.mode, fault.value, stream):
            _wear(world, fault, target)


def _repeat(world: World, fault: schema.Fault) -> None:
    assert fault.schedule is not None
    delay = seconds_until(world, fault.schedule)
    if delay is not None:

        def strike() -> None:
            _repeat(world, fault)
            _strike(world, fault)

        world.clock.after(delay, strike)


def _wear(world: World, fault: schema.Fault, target: Any) -> None:
    """One thing that fails and is repaired again and again, both times exponential."""
    stream = world.streams[f"fault/{fault.name}/{_name(target)}"]
    mtbf, mttr = fault.mtbf or 0.0, fault.mttr or 0.0

    def fail() -> None:
        undo = _apply(world, fault, target)
        repair = stream.exponential(mttr)

        def mend() -> None:
            undo()
            world.clock.after(stream.exponential(mtbf), fail)

        world.clock.after(repair, mend)

    world.clock.after(stream.exponential(mtbf), fail)


def _strike(world: World, fault: schema.Fault) -> None:
    """One occurrence: choose the victims, do it, undo it after the duration."""
    stream = world.streams[f"fault/{fault.name}/mode"]
    chosen = selection.take(targets_of(world, fault), fault.mode, fault.value, stream)
    names = ", ".join(_name(item) for item in chosen)
    world.log("Fault", fault.name, f"{fault.type} {fault.action}: {names or 'nothing left to hit'}", "", "warning")
    undos = [_apply(world, fault, item) for item in chosen]
    duration = fault.duration
    if duration is None and fault.action == "node-restart":
        duration = world.timings.seconds("k8s.node_startup_grace_period")
    if duration is not None:

        def undo() -> None:
            for item in undos:
                item()
            world.log("FaultEnds", fault.name, f"{fault.type} {fault.action} is over")

        world.clock.after(duration, undo)


def targets_of(world: World, fault: schema.Fault) -> list[Any]:
    """What the fault may hit now: nodes, pods, certificates, or names of outside systems."""
    selector = fault.selector
    if selector.external and fault.type != "PowerChaos":
        return list(selector.external)
    if fault.type == "CertificateChaos":
        names = [*selector.workloads, *(f"{item}/*" for item in selector.namespaces)] or ["*"]
        return [
            item
            for item in world.certificates.items.values()
            if any(fnmatchcase(item.id.partition(" ")[2], name.removeprefix("Certificate/")) for name in names)
        ]
    if fault.type == "DNSChaos":
        service = world.endpoints.services.get(DNS_SERVICE)
        return list(service.pods.values()) if service else []
    by_pod = fault.type == "PodChaos" or selection.names_pods(selector)
    if fault.type == "StressChaos" and fault.action == "memory":
        by_pod = True
    if fault.type == "PowerChaos":
        nodes: list[Any] = [*selection.nodes_of(world, selector)]
        return [*nodes, *selector.external]
    return [*selection.pods_of(world, selector)] if by_pod else [*selection.nodes_of(world, selector)]


def _name(target: Any) -> str:
    if isinstance(target, NodeSim):
        return target.name
    if isinstance(target, PodSim):
        return target.key
    return str(getattr(target, "id", target))


def _apply(world: World, fault: schema.Fault, target: Any) -> Undo:
    """Do it to one target; returns what undoes it."""
    story = Story(f"{fault.name} ({fault.type} {fault.action})", world.now)
    if isinstance(target, NodeSim):
        return _on_node(world, fault, target)
    if isinstance(target, PodSim):
        return _on_pod(world, fault, target, Story(f"{target.name} hit by {fault.name}", world.now))
    if isinstance(target, str):
        if fault.type == "NetworkChaos" and fault.action != "partition":
            return _disturb(world, fault, target)
        why = Story(f"{target} down ({fault.name})", world.now)
        world.externals.fail(target, why)
        return lambda: world.externals.restore(target, why)
    if fault.action == "expire":
        world.certificates.expire(target, story)
        return _nothing
    world.certificates.blocked.append(story)
    return lambda: world.certificates.blocked.remove(story)


def _on_node(world: World, fault: schema.Fault, node: NodeSim) -> Undo:
    story = Story(f"node {node.name} lost", world.now)
    match fault.type, fault.action:
        case "NetworkChaos", "partition":
            world.nodes.cut(node, Story(f"node {node.name} cut off", world.now))
            return lambda: world.nodes.heal(node)
        case "NetworkChaos", _:
            return _disturb(world, fault, node.name)
        case "IOChaos", action:
            world.observer.disk_changed(world.now, node.name, failing=action == "fault", delay_s=fault.delay)
            return lambda: world.observer.disk_changed(world.now, node.name)
        case "StressChaos", _:
            world.observer.node_stressed(world.now, node.name, fault.cores)
            return lambda: world.observer.node_stressed(world.now, node.name, 0.0)
        case _, "node-replace":
            world.nodes.crash(node, story)
            return lambda: world.nodes.restore(node, empty=True)
        case _:
            world.nodes.crash(node, story)
            return lambda: world.nodes.restore(node)


def _on_pod(world: World, fault: schema.Fault, pod: PodSim, story: Story) -> Undo:
    match fault.type, fault.action:
        case "PodChaos", "pod-kill":
            if world.control_plane.active:
                world.delete_pod(pod, story, force=True)
        case "PodChaos", "container-kill":
            world.kubelet.crash(pod, story)
        case "StressChaos", "memory":
            world.observer.pod_memory_stressed(world.now, pod, fault.memory)
            return lambda: world.observer.pod_memory_stressed(world.now, pod, 0)
        case "StressChaos", _:
            return _on_node(world, fault, pod.node) if pod.node is not None else _nothing
        case ("NetworkChaos", "delay" | "loss" | "bandwidth") | ("IOChaos", "latency"):
            return _on_node(world, fault, pod.node) if pod.node is not None else _nothing
        case _:
            world.kubelet.set_failing(pod, True, story)
            return lambda: world.kubelet.set_failing(pod, False, story)
    return _nothing


def _disturb(world: World, fault: schema.Fault, name: str) -> Undo:
    world.observer.link_changed(world.now, name, delay_s=fault.delay, loss=fault.loss, bandwidth_bps=fault.bandwidth)
    return lambda: world.observer.link_changed(world.now, name)


def _nothing() -> None:
    """Nothing to undo."""
