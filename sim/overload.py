"""Findings of a study before it runs: stations that open traffic asks for more than they can do."""

from __future__ import annotations

from models.errors import Where
from models.findings import Finding, Severity
from models.platform import Workload
from sim.offered_load import Load, busiest_loads
from sim.program import PodStation
from sim.study import Study


def expected_loads(study: Study) -> list[Load]:
    """The load of every station at its busiest hour of the run, with every pod where it is at rest."""
    compiled = study.compiled
    members: dict[int, list[PodStation]] = {}
    for key, index in compiled.services.items():
        members[index] = [
            compiled.station(workload.id, pod.key, pod.node)
            for workload in _behind(study, key)
            for pod in study.placement.by_workload.get(workload.id, ())
            if pod.node is not None and workload.id in compiled.stations
        ]
    run = study.scenario.spec.run
    return busiest_loads(compiled.program, run.warm_up + run.length, members)


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
