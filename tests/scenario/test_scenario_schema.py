"""The declared schema, the scenarios that ship with the project, and the catalogues they draw from."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml
from pydantic import BaseModel, ValidationError

from models import amounts, callplan
from models import scenario as schema
from models.catalog import load_apps, load_hardware, load_timings
from models.cluster import build_cluster
from models.errors import InputError
from models.scenario_file import load_scenario, resolved_json
from reports.commands.inspect import scenario_schema

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "scenarios").glob("*.yaml"))
MODELS = {
    item.__name__: item
    for module in (amounts, callplan, schema)
    for item in vars(module).values()
    if isinstance(item, type) and issubclass(item, schema.Frozen) and item is not schema.Frozen
}
TIMING_CALL = {"seconds", "range_s", "value"}
TIMING_KEY = re.compile(r"[a-z0-9]+(\.[a-zA-Z0-9_]+)+")


def test_these_scenarios_ship() -> None:
    assert [path.stem for path in SHIPPED] == [
        "baseline-day",
        "evening-peak",
        "my-homelab",
        "node-loss",
        "own-app",
        "quota-cut",
        "rollout",
        "staging",
    ]


@pytest.mark.parametrize("name", MODELS)
def test_every_field_of_the_scenario_file_is_described(name: str) -> None:
    model: type[BaseModel] = MODELS[name]
    assert [name for name, field in model.model_fields.items() if not field.description] == []
    assert model.__doc__


def test_the_json_schema_is_one_and_refuses_unknown_keys() -> None:
    found = json.loads(scenario_schema())
    jsonschema.Draft202012Validator.check_schema(found)
    assert found["additionalProperties"] is False
    assert all(item["additionalProperties"] is False for item in found["$defs"].values() if item["type"] == "object")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_scenario_and_what_it_resolves_to_satisfy_the_json_schema(path: Path) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(scenario_schema()))
    validator.validate(json.loads(resolved_json(load_scenario(path).scenario)))
    written = yaml.safe_load(path.read_text())
    assert written["metadata"]["name"] == path.stem
    if "extends" not in written:
        validator.validate(written)


def test_the_json_schema_sees_a_wrong_key() -> None:
    document = yaml.safe_load((ROOT / "scenarios" / "baseline-day.yaml").read_text())
    document["spec"]["run"]["replicatoins"] = 3
    validator = jsonschema.Draft202012Validator(json.loads(scenario_schema()))
    assert not validator.is_valid(document)


def test_every_fault_type_has_actions_and_every_action_has_a_type() -> None:
    assert set(schema.FAULT_ACTIONS) == set(get_args(schema.FaultType))
    assert all(schema.FAULT_ACTIONS.values())


def test_the_fact_behind_every_profile_exists() -> None:
    apps = load_apps()
    assert [p.name for p in apps.profiles if p.ref and p.ref not in apps.facts] == []
    assert len({p.name for p in apps.profiles}) == len(apps.profiles)


def test_every_fact_and_timer_names_its_source() -> None:
    assert [key for key, fact in load_apps().facts.items() if not fact["source"]] == []
    assert [key for key, timing in load_timings().entries.items() if not timing.source] == []


def timing_keys() -> set[str]:
    """Every key that the code looks up in the timings catalogue, conditional expressions included."""
    found = set()
    for package in ("models", "sim", "reports"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in TIMING_CALL and node.args:
                    found |= {
                        part.value
                        for part in ast.walk(node.args[0])
                        if isinstance(part, ast.Constant)
                        and isinstance(part.value, str)
                        and TIMING_KEY.fullmatch(part.value)
                    }
    return found


def test_every_timer_that_the_code_asks_for_is_in_the_catalogue() -> None:
    keys = timing_keys()
    assert {"k8s.progress_deadline", "k8s.max_pods_per_node", "k8s.endpoint_propagation"} <= keys
    assert sorted(keys - set(load_timings().entries)) == []


@pytest.mark.parametrize("machine", sorted(load_hardware().machines))
def test_every_machine_of_the_catalogue_makes_a_node(machine: str) -> None:
    row = schema.Node(name="one", machine=machine, role="server")
    (node,) = build_cluster(schema.Cluster(nodes=(row,))).nodes
    entry = load_hardware().machines[machine]
    status = node.manifest["status"]
    assert status["capacity"]["cpu"] == str(entry.threads)
    assert node.memory_b == round(entry.mem_typical_gb * 2**30)
    assert node.cores == pytest.approx(entry.ref_cores / entry.speed_single)
    assert node.manifest["metadata"]["labels"]["kubernetes.io/arch"] == entry.arch


@pytest.mark.parametrize("disk", sorted(load_hardware().disks))
def test_every_disk_of_the_catalogue_fits_a_node(disk: str) -> None:
    row = schema.Node.model_validate(
        {"name": "one", "machine": "m920q", "role": "server", "disks": [{"type": disk, "size": "1TB"}]}
    )
    (node,) = build_cluster(schema.Cluster(nodes=(row,))).nodes
    low, high = load_hardware().disks[disk].fsync_ms
    assert low / 1000 <= node.disks[0].fsync_s <= high / 1000


def bad_cluster(**changes: Any) -> list[str]:
    base: dict[str, Any] = {"name": "one", "machine": "m920q", "role": "server"}
    with pytest.raises(InputError) as caught:
        build_cluster(schema.Cluster.model_validate({"nodes": [{**base, **changes}]}))
    return [str(problem) for problem in caught.value.problems]


def test_hardware_that_the_catalogue_does_not_have_is_near_matched() -> None:
    (text,) = bad_cluster(machine="m920")
    assert text.startswith("spec.cluster.nodes[0].machine: 'm920' is not a machine of the hardware catalogue")
    assert "did you mean 'm920q'? 'stowplan catalog machines' lists them all" in text


def test_machine_and_disk_are_both_told() -> None:
    said = bad_cluster(machine="cray-1", disks=[{"type": "floppy", "size": "1GB"}])
    assert ["machine" in said[0], "disk" in said[1]] == [True, True]


def test_a_reservation_that_leaves_nothing_is_refused() -> None:
    said = " ".join(bad_cluster(reserved={"cpu": "6", "memory": "lots"}))
    assert "'6' leaves nothing of the node's cpu" in said
    assert "spec.cluster.nodes[0].reserved.memory" in said


def test_nothing_may_be_reserved_and_zero_needs_no_quotes() -> None:
    row = {"name": "one", "machine": "m920q", "role": "server", "reserved": {"cpu": 0, "memory": 0}}
    (node,) = build_cluster(schema.Cluster.model_validate({"nodes": [row]})).nodes
    assert node.manifest["status"]["allocatable"] == node.manifest["status"]["capacity"]


@pytest.mark.parametrize(("field", "value"), [("cores", 0), ("cores", 2.5), ("speed", 0), ("speed", "fast")])
def test_a_machine_needs_whole_cores_and_some_speed(field: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=field):
        schema.Node.model_validate({"name": "one", "machine": "m920q", field: value})


def test_the_json_schema_takes_a_bare_time_and_one_with_a_law_and_no_other_key() -> None:
    document = yaml.safe_load((ROOT / "scenarios" / "own-app.yaml").read_text())
    validator = jsonschema.Draft202012Validator(json.loads(scenario_schema()))
    (traffic,) = document["spec"]["traffic"]
    for think, valid in (("7s", True), ({"mean": "7s"}, True), ({"law": "constant"}, False), ({"men": "7s"}, False)):
        traffic["thinkTime"] = think
        assert validator.is_valid(document) is valid


def test_a_cluster_without_a_server_has_no_control_plane() -> None:
    assert "no node has role: server" in bad_cluster(role="agent")[0]


def test_a_timer_that_the_catalogue_does_not_have_is_near_matched() -> None:
    with pytest.raises(InputError) as caught:
        load_timings().with_overrides({"k8s.progress_deadlin": 5.0})
    assert "did you mean 'k8s.progress_deadline'?" in str(caught.value)


def test_zero_workers_are_refused_and_unlimited_is_a_word() -> None:
    assert schema.Profile.model_validate({"workers": "unlimited"}).workers == "unlimited"
    assert schema.Profile.model_validate({"workers": 3}).workers == 3
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        schema.Profile.model_validate({"workers": 0})
