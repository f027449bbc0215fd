"""The direction of imports: models <- sim <- reports; and what the command line may load before it knows its task."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("models", "sim", "reports")
FORBIDDEN = {"models": {"sim", "reports", "stowplan"}, "sim": {"reports", "stowplan"}, "reports": {"stowplan"}}
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
HEAVY = ("numpy", "pandas", "networkx", "matplotlib", "numba", "llvmlite", "scipy")
NUMBA_HOMES = {"sim/kernel.py", "sim/kernel_build.py"}
WITHOUT_CLOCK_OR_CHANCE = {"random", "secrets", "simpy", "numba", "time"}


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Every absolutely imported module with its line, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno} is a relative import"
            assert node.module is not None
            yield node.module, node.lineno


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def users_of(name: str) -> set[str]:
    return {relative(path) for path in MODULES if any(top.partition(".")[0] == name for top, _ in imported(path))}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_nothing_from_its_right(package: str) -> None:
    wrong = [
        f"{relative(path)}:{line} imports {name}"
        for path in (ROOT / package).rglob("*.py")
        for name, line in imported(path)
        if name.partition(".")[0] in FORBIDDEN[package]
    ]
    assert wrong == []


def test_the_imports_of_every_package_were_seen() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in MODULES} == set(PACKAGES)
    assert "sim/study.py" in users_of("models")
    assert "reports/build.py" in users_of("sim")


def test_only_the_kernel_imports_numba_and_only_its_loader_the_linker() -> None:
    assert users_of("numba") <= NUMBA_HOMES
    assert "sim/kernel.py" in users_of("numba")
    assert users_of("llvmlite") == {"sim/kernel.py", "sim/machine_code.py"}


def test_simpy_is_imported_only_in_the_simulation() -> None:
    found = users_of("simpy")
    assert found
    assert {name.partition("/")[0] for name in found} == {"sim"}


def test_templates_and_plots_are_made_only_in_reports() -> None:
    assert {name.partition("/")[0] for name in users_of("jinja2")} == {"reports"}
    assert {name.partition("/")[0] for name in users_of("matplotlib")} <= {"reports"}


def test_models_know_neither_a_clock_nor_chance() -> None:
    wrong = [
        f"{relative(path)}:{line} imports {name}"
        for path in (ROOT / "models").rglob("*.py")
        for name, line in imported(path)
        if name.partition(".")[0] in WITHOUT_CLOCK_OR_CHANCE
    ]
    assert wrong == []


def test_the_command_line_starts_without_any_heavy_library() -> None:
    code = f"import sys, reports.cli; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stderr == ""
    assert done.stdout.strip() == "[]"
