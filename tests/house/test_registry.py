"""What is declared is tested: finding codes, fault actions, shipped scenarios."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

from models.catalog import load_timings
from models.catalog.timings import SIMULATED
from models.errors import InputError
from models.scenario import FAULT_ACTIONS
from sim.checks import codes
from sim.findings import CODES as SIM_CODES

ROOT = Path(__file__).parents[2]


@functools.cache
def all_tests() -> str:
    """The text of all tests but this one, and of the tables that they read."""
    files = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "tests" / "homelab").glob("*.yaml")]
    return "\n".join(path.read_text(encoding="utf-8") for path in files if path.resolve() != Path(__file__).resolve())


@pytest.mark.parametrize("code", sorted({**codes(), **SIM_CODES}))
def test_every_finding_code_is_named_by_a_test(code: str) -> None:
    assert code in all_tests()


@pytest.mark.parametrize("code", sorted({**codes(), **SIM_CODES}))
def test_every_declared_code_is_raised_somewhere(code: str) -> None:
    raised = [
        path
        for package in ("models", "sim")
        for path in (ROOT / package).rglob("*.py")
        if path.read_text(encoding="utf-8").count(f'"{code}"') > (path.name == "findings.py")
    ]
    assert raised


def test_the_timers_that_a_scenario_may_change_are_those_that_something_reads() -> None:
    files = [path for package in ("models", "sim") for path in (ROOT / package).rglob("*.py")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in files if path.name != "timings.py")
    assert {key for key in load_timings().entries if f'"{key}"' in code} == SIMULATED


def test_a_timer_that_nothing_reads_cannot_be_set_in_vain() -> None:
    with pytest.raises(InputError, match=r"'k8s\.min_ready_seconds' is told for information"):
        load_timings().with_overrides({"k8s.min_ready_seconds": 5.0})


def test_every_fault_action_is_exercised() -> None:
    smoke = ast.parse((ROOT / "tests" / "platformsim" / "test_every_fault.py").read_text(encoding="utf-8"))
    tables = {
        node.target.id: node.value
        for node in ast.walk(smoke)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    assert set(ast.literal_eval(tables["SELECTORS"])) == set(FAULT_ACTIONS)


@pytest.mark.parametrize("path", sorted((ROOT / "scenarios").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_scenario_is_named_by_a_test(path: Path) -> None:
    assert f'"{path.stem}"' in all_tests()
