"""What open traffic asks of every station before anything runs: at or beyond its capacity there is no steady state.

Everything is a lower bound: requests meet no queue, no retry and no fault. So a utilisation of 1 or more means that the
station is overloaded whatever happens, which is a finding and no error: the overload may be the answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sim.program import (
    Cache,
    Call,
    Cpu,
    Deny,
    DiskIo,
    Hold,
    Instruction,
    Operation,
    PodStation,
    Program,
    RateLimit,
    Transfer,
    Wait,
)

Members = Mapping[int, Sequence[PodStation]]
"""The pods behind each service; a pod may be behind several."""


@dataclass(frozen=True)
class Load:
    """What is asked of one station: busy cores, workers, channels or bytes per second, and how many there are."""

    station: str
    unit: str
    offered: float
    capacity: float

    @property
    def utilisation(self) -> float:
        """Offered load as a share of the capacity."""
        return self.offered / self.capacity if self.capacity > 0.0 else math.inf


def own_members(program: Program) -> dict[int, list[PodStation]]:
    """The initial pods of a program by service."""
    found: dict[int, list[PodStation]] = {}
    for pod in program.pods:
        found.setdefault(pod.service, []).append(pod)
    return found


def loads(program: Program, rates: Sequence[float], members: Members) -> list[Load]:
    """The load of every station when source i sends ``rates[i]`` requests per second.

    The visits of a service are spread evenly over its pods.
    """
    visits = _visits(program, rates)
    held = _holding_times(program, visits)
    node_cores = [0.0] * len(program.nodes)
    disks, links = [0.0] * len(program.disks), [0.0] * len(program.links)
    pods: dict[tuple[str, int], PodStation] = {}
    busy: dict[tuple[str, int], float] = {}
    cores: dict[tuple[str, int], float] = {}
    for index, operation in enumerate(program.operations):
        behind = members.get(operation.service, ())
        for pod in behind:
            key, rate = (pod.name, pod.node), visits[index] / len(behind)
            pods[key] = pod
            node = program.nodes[pod.node]
            busy[key] = busy.get(key, 0.0) + rate * held[index]
            for share, step in _shares(operation, visits[index]):
                if isinstance(step, Cpu):
                    work = rate * share * step.work.mean / node.speed
                    cores[key] = cores.get(key, 0.0) + work
                    node_cores[pod.node] += work
                elif isinstance(step, DiskIo) and (disk := step.disk if step.disk >= 0 else pod.disk) >= 0:
                    disks[disk] += rate * share * _disk_time(program, step, disk)
                elif isinstance(step, Transfer) and (link := step.link if step.link >= 0 else node.nic) >= 0:
                    links[link] += rate * share * step.size.mean
                elif isinstance(step, Hold):
                    held_s = rate * share * step.time.mean
                    cores[key] = cores.get(key, 0.0) + held_s * step.cores
                    node_cores[pod.node] += held_s * step.cores
                    if step.link >= 0:
                        links[step.link] += held_s * step.bandwidth
    every = {(pod.name, pod.node): pod for group in members.values() for pod in group}
    for pod in every.values():
        node_cores[pod.node] += pod.idle_cores
    found = [
        Load(f"Node {node.name}", "cores", load, node.cores)
        for node, load in zip(program.nodes, node_cores, strict=True)
    ]
    for key, pod in pods.items():
        if pod.workers > 0:
            found.append(Load(f"Pod {pod.name}", "workers", busy[key], float(pod.workers)))
        if math.isfinite(pod.cpu_limit):
            found.append(Load(f"Pod {pod.name}", "cores of its CPU limit", cores.get(key, 0.0), pod.cpu_limit))
    found += [
        Load(disk.name, "channels", load, float(disk.channels)) for disk, load in zip(program.disks, disks, strict=True)
    ]
    found += [
        Load(link.name, "bytes per second", load, link.bandwidth)
        for link, load in zip(program.links, links, strict=True)
    ]
    return found


def busiest_loads(program: Program, length: float, members: Members) -> list[Load]:
    """For every station its largest load in any segment of the day between time 0 and ``length``."""
    segment = min((source.segment for source in program.sources), default=3600.0)
    moments = [number * segment for number in range(math.ceil(min(length, 7 * 86400.0) / segment) + 1)]
    worst: dict[tuple[str, str], Load] = {}
    seen: set[tuple[float, ...]] = set()
    for moment in moments:
        rates = tuple(_rate_at(source.rates, source.segment, source.offset, moment) for source in program.sources)
        if moment > length or rates in seen:
            continue
        seen.add(rates)
        for load in loads(program, rates, members):
            key = (load.station, load.unit)
            if key not in worst or load.offered > worst[key].offered:
                worst[key] = load
    return list(worst.values())


def _rate_at(rates: Sequence[float], segment: float, offset: float, moment: float) -> float:
    return rates[math.floor((moment + offset) / segment) % len(rates)] if rates else 0.0


def _disk_time(program: Program, step: DiskIo, disk: int) -> float:
    spec = program.disks[disk]
    return step.ops * spec.op_latency + step.fsyncs * spec.fsync


def _shares(operation: Operation, rate: float) -> Iterator[tuple[float, Instruction]]:
    """Every instruction with the share of the visits that reach it, when no call fails and no pool is empty."""
    reach = [1.0, *(0.0 for _ in operation.instructions)]
    for index, step in enumerate(operation.instructions):
        share = reach[index]
        yield share, step
        landing, skipped, goes_on = index + 1, 0.0, share
        if isinstance(step, Cache):
            landing, skipped = landing + step.skip, share * step.hit_ratio
        elif isinstance(step, Hold):
            landing, skipped = landing + step.skip, share
        elif isinstance(step, Deny):
            goes_on = share * (1.0 - step.probability)
        elif isinstance(step, RateLimit) and rate * share > step.average:
            goes_on = step.average / rate
        reach[index + 1] += goes_on - skipped
        reach[landing] += skipped


def _visits(program: Program, rates: Sequence[float]) -> list[float]:
    """Visits per second of every operation."""
    visits = [0.0] * len(program.operations)
    for source, rate in zip(program.sources, rates, strict=True):
        total = sum(weight for _, weight in source.mix)
        for operation, weight in source.mix:
            visits[operation] += rate * (1.0 - source.edge_hits) * weight / total
    for caller in _callers_first(program):
        for share, step in _shares(program.operations[caller], visits[caller]):
            if isinstance(step, Call):
                visits[step.operation] += visits[caller] * share * step.probability * step.count
    return visits


def _holding_times(program: Program, visits: Sequence[float]) -> list[float]:
    """How long a visit of every operation keeps its worker at least (seconds, on a core of the fastest node)."""
    fastest = max((node.speed for node in program.nodes), default=1.0)
    held = [0.0] * len(program.operations)
    for index in reversed(_callers_first(program)):
        parallel = 0.0
        for share, step in _shares(program.operations[index], visits[index]):
            match step:
                case Cpu(work):
                    held[index] += share * work.mean / fastest
                case Wait(time) | Hold(time):
                    held[index] += share * time.mean
                case Call(mode="sequential"):
                    held[index] += share * step.probability * step.count * held[step.operation]
                case Call(mode="parallel"):
                    parallel = max(parallel, share * step.probability * held[step.operation] if step.count else 0.0)
        held[index] += parallel
    return held


def _callers_first(program: Program) -> list[int]:
    """Operations in an order in which every caller comes before what it calls."""
    waiting = [0] * len(program.operations)
    callees: dict[int, list[int]] = {}
    for operation, _, call in program.calls():
        waiting[call.operation] += 1
        callees.setdefault(operation, []).append(call.operation)
    order = [index for index, count in enumerate(waiting) if count == 0]
    for operation in order:
        for callee in callees.get(operation, ()):
            waiting[callee] -= 1
            if waiting[callee] == 0:
                order.append(callee)
    return order
