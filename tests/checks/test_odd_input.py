"""What the API server would refuse is told with its place; nothing odd makes a rule fall over."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from check_cases import CLUSTERS, Tree, clean, in_container, in_pod, put, text_of

from models.errors import InputError
from models.findings import Finding
from models.render import render_text
from sim.checks import run_checks
from sim.standing import stand

ODD = (None, "", [], {}, 0, -1, "x", True, ["x"], {"a": 1}, 1.5, [None], [[]])


def places(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*path, index))


def checked(tree: Tree) -> list[Finding]:
    return run_checks(stand(render_text(text_of(tree), file="all.yaml"), CLUSTERS["three"]))


def test_every_field_of_the_wrong_form_is_told_at_once_with_its_line() -> None:
    tree = clean()
    in_pod("Deployment/web", "containers", value={"name": "web"})(tree)
    in_container("Deployment/files", "ports", value=["8081"])(tree)
    put(tree, "Service/files", "spec", "selector", value="app")
    with pytest.raises(InputError) as caught:
        checked(tree)
    told = {problem.where.field: problem for problem in caught.value.problems}
    assert set(told) == {
        "spec.template.spec.containers",
        "spec.template.spec.containers[0].ports[0]",
        "spec.selector",
    }
    first = told["spec.template.spec.containers"]
    assert first.what == "spec.template.spec.containers of Deployment shop/web is a map, where a list of maps belongs"
    lines = text_of(tree).splitlines()
    assert lines[(first.where.line or 0) - 1].strip() == "containers:"
    assert lines[(told["spec.selector"].where.line or 0) - 1].strip() == "selector: app"


@pytest.mark.parametrize("seed", range(12))
def test_a_field_of_any_other_kind_is_an_input_error_or_a_finding_and_never_a_crash(seed: int) -> None:
    chance = random.Random(seed)
    options = [key for key, item in clean().items() if "spec" in item]
    key = chance.choice(options)
    path = chance.choice([path for path in places(clean()[key]["spec"], ("spec",)) if len(path) > 1])
    tree = clean()
    put(tree, key, *path, value={"replaced": chance.choice(ODD)})
    here: Any = tree[key]
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = here[path[-1]]["replaced"]
    try:
        found = checked(tree)
    except InputError:
        return
    assert all(item.code for item in found)
