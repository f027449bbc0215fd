"""Findings of a study before it runs: stations that open traffic asks for more than they can do."""

from __future__ import annotations

from models.errors import Where
from models.findings import Finding, Severity
from models.platform import Workload
from sim.offered_load import Load, Members, busiest_loads
from sim.program import Call, Cpu, DiskIo, Hold, Operation, PodStation, Program, Transfer
from sim.study import Study


def expected_loads(study: Study) -> list[Load]:
    """The load of every station at its busiest hour of the run, with every pod where it is at rest."""
    run = study.scenario.spec.run
    return busiest_loads(study.compiled.program, run.warm_up + run.length, _members(study))


def _members(study: Study) -> dict[int, list[PodStation]]:
    """The pods behind each service at rest."""
    compiled = study.compiled
    return {
        index: [
            compiled.station(workload.id, pod.key, pod.node)
            for workload in _behind(study, key)
            for pod in study.placement.by_workload.get(workload.id, ())
            if pod.node is not None and workload.id in compiled.stations
        ]
        for key, index in compiled.services.items()
    }


def overloaded_routes(study: Study) -> dict[str, tuple[str, ...]]:
    """The routes whose requests pass a station that open traffic asks for more than it can do, and those stations.

    Their latency has no steady state: it grows with the length of the run.
    """
    full = [load.station for load in expected_loads(study) if load.utilisation >= 1.0]
    if not full:
        return {}
    program, members = study.compiled.program, _members(study)
    stations = [_stations(program, operation, members) for operation in program.operations]
    found: dict[str, dict[str, None]] = {}
    for source in program.sources:
        for operation, _ in source.mix:
            passed = {station for index in _reached(program, operation) for station in stations[index]}
            for station in full:
                if station in passed:
                    found.setdefault(program.routes[source.route], {})[station] = None
    return {route: tuple(names) for route, names in found.items()}


def _stations(program: Program, operation: Operation, members: Members) -> set[str]:
    """Every station that one operation may use, by the names of ``expected_loads``."""
    found: set[str] = set()
    for pod in members.get(operation.service, ()):
        node = program.nodes[pod.node]
        found.add(f"Pod {pod.name}")
        for step in operation.instructions:
            if isinstance(step, Cpu):
                found.add(f"Node {node.name}")
            elif isinstance(step, DiskIo) and (disk := step.disk if step.disk >= 0 else pod.disk) >= 0:
                found.add(program.disks[disk].name)
            elif isinstance(step, Transfer) and (link := step.link if step.link >= 0 else node.nic) >= 0:
                found.add(program.links[link].name)
            elif isinstance(step, Hold) and step.link >= 0:
                found.add(program.links[step.link].name)
    return found


def _reached(program: Program, operation: int) -> set[int]:
    """An operation and everything that it calls, directly or not."""
    found: set[int] = set()
    waiting = [operation]
    while waiting:
        index = waiting.pop()
        if index not in found:
            found.add(index)
            waiting += [step.operation for step in program.operations[index].instructions if isinstance(step, Call)]
    return found


def overloads(study: Study) -> list[Finding]:
    """One finding per station whose utilisation is 1 or more."""
    return [_finding(study, load) for load in expected_loads(study) if load.utilisation >= 1.0]


def _behind(study: Study, key: str) -> tuple[Workload, ...]:
    if key in study.platform.workload_by_id:
        return (study.platform.workload_by_id[key],)
    namespace, _, name = key.removeprefix("Service ").partition("/")
    service = study.platform.get("Service", namespace, name)
    return study.platform.service_workloads(service) if service is not None else ()


def _finding(study: Study, load: Load) -> Finding:
    workload = _workload_of(study, load)
    return Finding(
        "SIM-OVERLOAD",
        Severity.WARNING,
        f"{load.station} is asked for {load.offered:.3g} {load.unit} and has {load.capacity:.3g}: "
        f"utilisation {load.utilisation:.0%}",
        workload.id if workload is not None else load.station,
        Where(workload.object.origin.file, workload.object.origin.line) if workload is not None else Where(),
        (f"open traffic alone, at its busiest hour of the run: {load.offered:.6g} of {load.capacity:.6g} {load.unit}",),
        "add replicas or capacity, or lower the load: queues grow for as long as it lasts",
        namespace=workload.namespace if workload is not None else "",
    )


def _workload_of(study: Study, load: Load) -> Workload | None:
    name = load.station.removeprefix("Pod ")
    placed = next((pod for pod in study.placement.pods if pod.key == name), None)
    return study.platform.workload_by_id.get(placed.workload) if placed is not None else None
