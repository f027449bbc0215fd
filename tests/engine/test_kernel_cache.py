"""The compiled kernel is kept between runs, and damage to what is kept never reaches a result."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from sim import kernel_cache
from sim.kernel_cache import FILE, SOURCES, MachineCode, cache_directory, keep, kept_code

CODE = MachineCode("entry", b"\x7fELF\n\x00\ncode")
SIM = Path(kernel_cache.__file__).parent


def test_machine_code_is_read_back_as_it_was_kept(tmp_path: Path) -> None:
    assert kept_code(tmp_path) is None
    keep(tmp_path, CODE)
    assert kept_code(tmp_path) == CODE
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_of_two_that_keep_the_kernel_at_the_same_time_the_last_one_wins(tmp_path: Path) -> None:
    keep(tmp_path, MachineCode("entry", b"earlier"))
    keep(tmp_path, CODE)
    assert kept_code(tmp_path) == CODE


def test_a_file_with_any_byte_changed_cut_off_or_added_is_not_trusted(tmp_path: Path) -> None:
    keep(tmp_path, CODE)
    whole = (tmp_path / FILE).read_bytes()
    changed = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole))]
    for content in (*changed, *(whole[:size] for size in range(len(whole))), whole + b"\x00"):
        (tmp_path / FILE).write_bytes(content)
        assert kept_code(tmp_path) is None


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="this system has no numbers of users")
def test_what_somebody_else_has_put_there_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(tmp_path, CODE)
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    assert kept_code(tmp_path) is None


def test_a_full_disk_keeps_nothing_and_leaves_no_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_a_part(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_a_part)
    keep(tmp_path, CODE)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_went_away_keeps_nothing(tmp_path: Path) -> None:
    keep(tmp_path / "gone", CODE)
    assert list(tmp_path.iterdir()) == []


def test_the_digest_knows_every_source_that_the_kernel_imports() -> None:
    waiting, seen = ["kernel.py", "machine_code.py"], set()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            for node in ast.walk(ast.parse((SIM / name).read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "sim":
                    modules = [alias.name for alias in node.names] if node.module == "sim" else [node.module[4:]]
                    waiting.extend(f"{module}.py" for module in modules)
    assert set(SOURCES) == seen


def test_another_processor_and_another_setting_of_numba_have_another_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOWPLAN_CACHE_DIR", str(tmp_path))
    found = {cache_directory("znver4 +avx512f"), cache_directory("znver4 -avx512f"), cache_directory("znver3 +avx2")}
    monkeypatch.setenv("NUMBA_OPT", "1")
    found.add(cache_directory("znver3 +avx2"))
    assert len(found) == 4
    assert None not in found


def test_our_own_variable_comes_before_that_of_numba_and_that_of_the_desktop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STOWPLAN_CACHE_DIR", raising=False)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    desktop = cache_directory("")
    assert desktop is not None
    assert desktop.is_relative_to(tmp_path / "xdg" / "stowplan")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
    numba = cache_directory("")
    assert numba is not None
    assert numba.is_relative_to(tmp_path / "numba")
    monkeypatch.setenv("STOWPLAN_CACHE_DIR", str(tmp_path / "ours"))
    ours = cache_directory("")
    assert ours is not None
    assert ours.is_relative_to(tmp_path / "ours")
    assert ours.name == desktop.name  # the same sources and versions


def test_a_directory_that_cannot_be_made_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    monkeypatch.setenv("STOWPLAN_CACHE_DIR", str(blocked))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    found = cache_directory("")
    assert found is not None
    assert found.is_relative_to(tmp_path / "xdg")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    monkeypatch.setattr("tempfile.tempdir", str(blocked))
    assert cache_directory("") is None
