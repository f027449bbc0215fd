"""What is wrong with a pod as a station."""

from __future__ import annotations

from collections.abc import Iterator

from models.errors import Problem
from sim.program import DiskIo, PodStation, Program, Transfer
from sim.program_checks.problems import index, not_negative, positive, problem


def pod_problems(program: Program, pod: PodStation) -> Iterator[Problem]:
    """What is wrong with one pod."""
    at = f"pod {pod.name}"
    yield from index(at, "service", pod.service, program.services)
    yield from index(at, "node", pod.node, program.nodes)
    yield from index(at, "disk", pod.disk, program.disks, optional=True)
    yield from index(at, "pool", pod.pool, program.pools, optional=True)
    yield from positive(
        at,
        cpu_weight=pod.cpu_weight,
        cpu_limit=pod.cpu_limit,
        cfs_period=pod.cfs_period,
        memory_limit=pod.memory_limit,
    )
    if pod.queue < -1:
        yield problem(at, f"queue is {pod.queue}", "so many may wait; -1: no bound")
    if pod.cpu_burst > pod.cpu_limit * pod.cfs_period:
        quota = f"{pod.cpu_limit * pod.cfs_period:g} core-seconds"
        yield problem(at, f"cpu_burst is {pod.cpu_burst:g}", f"at most one period's quota, {quota}")
    yield from not_negative(
        at,
        workers=pod.workers,
        cpu_burst=pod.cpu_burst,
        idle_cores=pod.idle_cores,
        memory_base=pod.memory_base,
        memory_per_request=pod.memory_per_request,
        memory_growth=pod.memory_growth,
    )


def lacking(program: Program) -> Iterator[Problem]:
    """Pods that lack the disk, or nodes the network card, that the instructions of an operation take for granted."""
    accesses, transfers = _users(program, DiskIo), _users(program, Transfer)
    for pod in program.pods:
        name = accesses.get(pod.service)
        if name is not None and pod.disk == -1:
            yield problem(f"pod {pod.name}", "has no disk", f"operation {name} uses it: set disk, or name one there")
        name = transfers.get(pod.service)
        if name is not None and 0 <= pod.node < len(program.nodes) and program.nodes[pod.node].nic == -1:
            node = program.nodes[pod.node].name
            way_out = f"operation {name} uses it: set nic, or name a link there"
            yield problem(f"node {node}", "has no network card", way_out)


def _users(program: Program, kind: type[DiskIo] | type[Transfer]) -> dict[int, str]:
    """By service, an operation whose instructions take what their pod or its node has."""
    found: dict[int, str] = {}
    for operation in program.operations:
        for step in operation.instructions:
            if isinstance(step, kind) and (step.disk if isinstance(step, DiskIo) else step.link) == -1:
                found.setdefault(operation.service, operation.name)
    return found
