"""The compiled kernel is kept between runs, and damage to what is kept never reaches a result."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sim import kernel_build
from sim.kernel_cache import cache_directory, drop_damaged, seal

ROOT = Path(__file__).parents[2]
RUN = """
from sim import kernel
from sim.compiled import CompiledEngine
from sim.program import Cpu, Draw, Node, Operation, PodStation, Program, Service, Source
program = Program(
    (Node("node", 1.0),), (Service("service"),), (Operation("job", 0, (Cpu(Draw(0.25, "constant")),)),),
    (Source("source", 0, ((0, 1.0),), trace=(0.0, 1.0, 1.125)),), ("route",), (PodStation("pod", 0, 0),),
)
engine = CompiledEngine(program, seed=1, log=True)
engine.advance(5.0)
hits = sum(kernel.advance.stats.cache_hits.values())
print([entry[4] for entry in engine.request_log()], hits, len(kernel.advance.signatures))
"""


def test_this_numba_is_one_whose_libraries_can_be_compiled_as_one_module() -> None:
    assert kernel_build.is_known()


def test_files_as_they_were_sealed_stay(tmp_path: Path) -> None:
    (tmp_path / "sim").mkdir()
    kept = tmp_path / "sim" / "kernel.advance.nbi"
    kept.write_bytes(b"index")
    seal(tmp_path)
    drop_damaged(tmp_path)
    assert kept.read_bytes() == b"index"


@pytest.mark.parametrize("damage", [b"", b"indeX", b"index and more"])
def test_a_file_that_differs_from_its_digest_is_removed_with_all_others(tmp_path: Path, damage: bytes) -> None:
    index, code = tmp_path / "kernel.advance.nbi", tmp_path / "kernel.advance.1.nbc"
    index.write_bytes(b"index")
    code.write_bytes(b"code")
    seal(tmp_path)
    index.write_bytes(damage)
    drop_damaged(tmp_path)
    assert not index.exists()
    assert not code.exists()


def test_files_without_digests_are_not_trusted(tmp_path: Path) -> None:
    code = tmp_path / "kernel.advance.1.nbc"
    code.write_bytes(b"code")
    drop_damaged(tmp_path)
    assert not code.exists()
    (tmp_path / "digests.json").write_text("{")
    code.write_bytes(b"code")
    drop_damaged(tmp_path)
    assert not code.exists()


def test_our_own_variable_comes_before_that_of_numba_and_that_of_the_desktop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STOWPLAN_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    desktop = cache_directory()
    assert desktop is not None
    assert desktop.is_relative_to(tmp_path / "xdg" / "stowplan")
    numba = cache_directory(str(tmp_path / "numba"))
    assert numba is not None
    assert numba.is_relative_to(tmp_path / "numba")
    monkeypatch.setenv("STOWPLAN_CACHE_DIR", str(tmp_path / "ours"))
    ours = cache_directory(str(tmp_path / "numba"))
    assert ours is not None
    assert ours.is_relative_to(tmp_path / "ours")
    assert ours.name == desktop.name  # the same sources and versions


def test_a_directory_that_cannot_be_made_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    monkeypatch.setenv("STOWPLAN_CACHE_DIR", str(blocked))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    found = cache_directory()
    assert found is not None
    assert found.is_relative_to(tmp_path / "xdg")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    monkeypatch.setattr("tempfile.tempdir", str(blocked))
    assert cache_directory() is None


def _run(directory: Path) -> str:
    environment = dict(os.environ, STOWPLAN_CACHE_DIR=str(directory))
    environment.pop("NUMBA_DISABLE_JIT", None)
    done = subprocess.run(
        [sys.executable, "-c", RUN], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_the_second_run_loads_what_the_first_compiled_and_a_damaged_file_is_compiled_again(tmp_path: Path) -> None:
    # Work of 0.25 s at 0, 1 and 1.125 s on one core: the last two share it from 1.125 s until 1.375 s.
    times = "[0.25, 1.375, 1.5]"
    assert _run(tmp_path) == f"{times} 0 1"
    assert _run(tmp_path) == f"{times} 1 1"
    for path in tmp_path.rglob("*.nbc"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    assert _run(tmp_path) == f"{times} 0 1"
