"""Scenario files: composing them, and every mistake with its file, line, field and way out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from models.errors import InputError, Problem
from models.scenario_file import Changes, load_scenario, resolved_json

MINIMAL = """\
apiVersion: stowplan/v1
kind: Scenario
metadata:
  name: small
spec:
  trees:
    - path: tree
  cluster:
    nodes:
      - name: one
        machine: m920q
        role: server
"""


def write(folder: Path, text: str = MINIMAL, name: str = "scenario.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def problems(path: Path, changes: Changes = Changes()) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        load_scenario(path, changes)
    return caught.value.problems


def spec(path: Path, *settings: str, **changes: Any) -> Any:
    return load_scenario(path, Changes(settings=settings, **changes)).scenario.spec


def test_a_minimal_file_gets_the_documented_defaults(tmp_path: Path) -> None:
    run = spec(write(tmp_path)).run
    assert (run.length, run.warm_up, run.replications, run.confidence) == (3600.0, 300.0, 10, 0.95)


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_known_key(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL + "  run:\n    replicatoins: 4\n")
    (problem,) = problems(path)
    assert problem.where.file == str(path)
    assert problem.where.line == 14
    assert problem.where.field == "spec.run.replicatoins"
    assert problem.what == "unknown key 'replicatoins'"
    assert problem.way_out == "did you mean 'replications'?"


def test_an_unknown_key_without_a_neighbour_lists_what_is_allowed(tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path, MINIMAL + "  run:\n    zzz: 4\n"))
    assert problem.way_out.startswith("allowed here: length, warmUp, start, replications")


def test_all_mistakes_are_told_at_once_each_with_its_line(tmp_path: Path) -> None:
    text = MINIMAL.replace("m920q", "m920q\n        count: 0\n        colour: red") + (
        '  run:\n    length: 30\n    start: "25:00"\n'
        "  faults:\n    - {name: f, type: NodeChaos, action: pod-kill, at: 1m}\n"
    )
    found = problems(write(tmp_path, text))
    lines = {problem.where.field: problem.where.line for problem in found}
    assert lines == {
        "spec.cluster.nodes[0].count": 12,
        "spec.cluster.nodes[0].colour": 13,
        "spec.run.length": 16,
        "spec.run.start": 17,
        "spec.faults[0]": 19,
    }
    said = " ".join(problem.what for problem in found)
    assert "30 has no unit: write a duration such as 30s" in said
    assert "NodeChaos has no action 'pod-kill': choose node-stop or node-restart or node-replace" in said


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path, MINIMAL.replace("        machine: m920q\n", "")))
    assert problem.what == "'machine' is missing"
    assert problem.where.line == 10


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: [1, 2\nb: 3\n", 2, ""),
        ("a: 1\na: 2\n", 2, "a"),
        ("- a\n- b\n", 1, "one YAML map"),
        ("", 1, "one YAML map"),
        (MINIMAL + "---\n" + MINIMAL, 1, "one YAML map"),
    ],
    ids=["broken", "repeated key", "list", "empty", "two documents"],
)
def test_a_file_that_is_no_single_yaml_map_is_refused_with_a_line(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    (problem, *_) = problems(write(tmp_path, text))
    assert problem.where.file.endswith("scenario.yaml")
    assert problem.where.line == line
    assert says in problem.what


def test_a_file_that_does_not_exist_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path / "nowhere.yaml")
    assert "nowhere.yaml" in problem.where.file


def test_a_file_extends_another_map_by_map_and_null_removes(tmp_path: Path) -> None:
    write(
        tmp_path,
        MINIMAL + "  run: {length: 2h, seed: 7}\n  thresholds: {http_reqs: ['count>1'], route_outage: ['max<60']}\n",
        "base.yaml",
    )
    child = write(
        tmp_path,
        "apiVersion: stowplan/v1\nkind: Scenario\nmetadata: {name: child}\nextends: base.yaml\n"
        "spec:\n  run: {length: 30m}\n  thresholds: {http_reqs: null}\n",
        "child.yaml",
    )
    found = spec(child)
    assert (found.run.length, found.run.seed) == (1800.0, 7)
    assert found.thresholds == {"route_outage": ("max<60",)}
    assert load_scenario(child).scenario.metadata.name == "child"


def test_a_mistake_in_the_extended_file_is_shown_there(tmp_path: Path) -> None:
    base = write(tmp_path, MINIMAL + "  run: {seeed: 7}\n", "base.yaml")
    child = write(
        tmp_path, "apiVersion: stowplan/v1\nkind: Scenario\nmetadata: {name: child}\nextends: base.yaml\n", "child.yaml"
    )
    (problem,) = problems(child)
    assert (problem.where.file, problem.where.line) == (str(base), 13)


def test_files_that_extend_each_other_are_a_circle(tmp_path: Path) -> None:
    write(tmp_path, MINIMAL + "extends: b.yaml\n", "a.yaml")
    (problem,) = problems(write(tmp_path, MINIMAL + "extends: a.yaml\n", "b.yaml"))
    assert problem.what == "the scenario extends itself"
    assert problem.where.field == "extends"


def test_the_tree_of_an_extended_file_is_found_from_that_file(tmp_path: Path) -> None:
    write(tmp_path, MINIMAL, "shared/base.yaml")
    child = write(
        tmp_path,
        "apiVersion: stowplan/v1\nkind: Scenario\nmetadata: {name: child}\nextends: ../shared/base.yaml\n",
        "mine/child.yaml",
    )
    assert load_scenario(child).tree_paths() == ((tmp_path / "shared" / "tree").resolve(),)


def test_the_tree_of_a_file_is_found_from_its_folder_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, MINIMAL, "deep/scenario.yaml")
    monkeypatch.chdir(tmp_path)
    assert load_scenario(Path("deep/scenario.yaml")).tree_paths() == ((tmp_path / "deep" / "tree").resolve(),)


def test_trees_from_the_command_line_are_found_from_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, MINIMAL, "deep/scenario.yaml")
    monkeypatch.chdir(tmp_path)
    loaded = load_scenario(path, Changes(trees=[Path("mine")]))
    assert loaded.tree_paths() == ((tmp_path / "mine").resolve(),)


NAMED = (
    MINIMAL
    + """\
  run: {length: 1h, seed: 1}
overrides:
  short: {run: {length: 5m}}
  other-seed: {run: {seed: 2}}
  shorter: {run: {length: 1m}}
scenarios:
  quick: [short, other-seed]
"""
)


def test_overrides_apply_in_the_order_they_are_named_and_set_comes_last(tmp_path: Path) -> None:
    path = write(tmp_path, NAMED)
    assert spec(path, overrides=["short", "shorter"]).run.length == 60.0
    assert spec(path, overrides=["shorter", "short"]).run.length == 300.0
    assert spec(path, "run.length=2m", overrides=["short"]).run.length == 120.0


def test_a_named_scenario_is_a_list_of_overrides(tmp_path: Path) -> None:
    run = spec(write(tmp_path, NAMED), scenarios=["quick"]).run
    assert (run.length, run.seed) == (300.0, 2)


def test_an_override_that_the_file_does_not_have_is_near_matched(tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path, NAMED), Changes(overrides=["shrot"]))
    assert problem.what == "there is no override called 'shrot'"
    assert problem.way_out == "did you mean 'short'?"
    (problem,) = problems(write(tmp_path, NAMED), Changes(scenarios=["slow"]))
    assert problem.what == "there is no scenario called 'slow'"


def test_set_reaches_into_maps_and_lists_and_makes_what_is_missing(tmp_path: Path) -> None:
    path = write(tmp_path)
    found = spec(
        path,
        "cluster.nodes.0.memory=8Gi",
        "spec.run.replications=3",
        "network.edge.rtt=5ms",
        "cluster.nodes.0.labels={zone: attic}",
    )
    assert found.cluster.nodes[0].memory == 8 * 2**30
    assert found.cluster.nodes[0].labels == {"zone": "attic"}
    assert found.run.replications == 3
    assert found.network.edge.rtt == pytest.approx(0.005)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("run.replications", "not of the form key.path=value"),
        ("=4", "not of the form key.path=value"),
        ("cluster.nodes.3.memory=8Gi", "cluster.nodes has no item '3'"),
        ("cluster.nodes.first.memory=8Gi", "cluster.nodes has no item 'first'"),
        ("cluster.nodes.0.name.x=1", "cluster.nodes.0.name is not a map or a list"),
        ("run.replicas=4", "unknown key 'replicas'"),
        ("run.seed=many", "integer"),
    ],
)
def test_a_setting_that_cannot_be_applied_says_why(tmp_path: Path, setting: str, says: str) -> None:
    assert says in problems(write(tmp_path), Changes(settings=[setting]))[0].what


def test_what_is_resolved_is_a_scenario_that_resolves_to_itself(tmp_path: Path) -> None:
    path = write(tmp_path, NAMED)
    first = load_scenario(path, Changes(overrides=["short"]))
    again = write(tmp_path, resolved_json(first.scenario), "again.json")
    second = load_scenario(again)
    assert resolved_json(second.scenario) == resolved_json(first.scenario)
    assert second.sha256 == first.sha256
    content = json.loads(resolved_json(first.scenario))
    assert content["spec"]["run"]["length"] == "5m"
    assert not {"extends", "overrides", "scenarios"} & set(content)


def test_the_digest_tells_scenarios_apart(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert load_scenario(path).sha256 != load_scenario(path, Changes(settings=["run.seed=2"])).sha256
