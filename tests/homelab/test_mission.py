"""Every system of the mission: rendered by us, a node of the graph, and a fault, an operation or a finding about it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from homelab_tree import TREE, mission, node_of

from models.cluster import build_cluster
from models.graph.build import build_graph
from models.graph.routes import entry_routes
from models.objects import Rendered
from models.platform import Platform, read_platform
from models.render import render_tree
from models.scenario import Fault, PlannedOperation, Scenario
from models.scenario_file import load_scenario
from sim import findings as sim_findings
from sim.checks import codes
from sim.faults_check import check_targets

SYSTEMS = pytest.mark.parametrize("system", mission(), ids=lambda system: system["system"])
CODES = {**codes(), **sim_findings.CODES}


@functools.cache
def rendered() -> Rendered:
    return render_tree(TREE / "overlays" / "production")


@functools.cache
def platform() -> Platform:
    return read_platform(rendered())


@functools.cache
def graph() -> Any:
    return build_graph(platform())


@functools.cache
def baseline() -> Scenario:
    return load_scenario(Path(TREE).parent / "baseline-day.yaml").scenario


def problems(**parts: Any) -> list[str]:
    scenario = baseline()
    spec = scenario.spec.model_copy(update=parts)
    cluster = build_cluster(spec.cluster)
    found = check_targets(scenario.model_copy(update={"spec": spec}), platform(), cluster, entry_routes(platform()))
    return [str(problem) for problem in found]


@SYSTEMS
def test_our_renderer_gives_every_object_of_the_system(system: dict[str, Any]) -> None:
    nodes = {node_of(item.manifest) for item in rendered().objects}
    assert [name for name in system["objects"] if name not in nodes] == []


@SYSTEMS
def test_the_system_is_a_node_of_the_graph(system: dict[str, Any]) -> None:
    assert system["node"] in graph()


@SYSTEMS
def test_a_fault_an_operation_or_a_finding_concerns_the_system(system: dict[str, Any]) -> None:
    given = {"fault", "operation", "finding"} & set(system)
    assert len(given) == 1
    assert system["expect"]
    if "fault" in system:
        fault = Fault.model_validate({"name": system["system"], "at": "1m", **system["fault"]})
        assert any(fault.selector.model_dump().values())
        assert problems(faults=(fault,)) == []
    elif "operation" in system:
        operation = PlannedOperation.model_validate({"name": system["system"], "at": "1m", **system["operation"]})
        assert problems(operations=(operation,)) == []
    else:
        assert system["finding"] in CODES
