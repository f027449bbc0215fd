"""The kernel runs as machine code without numba; what cannot be linked is refused, and numba takes over."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from llvmlite import binding, ir

from sim import kernel_build
from sim.kernel_cache import FILE, MachineCode
from sim.machine_code import entry_point, load, processor

ROOT = Path(__file__).parents[2]
RUN = """
import sys
from sim.compiled import CompiledEngine
from sim.program import Cpu, Draw, Node, Operation, PodStation, Program, Service, Source
program = Program(
    (Node("node", 1.0),), (Service("service"),), (Operation("job", 0, (Cpu(Draw(0.25, "constant")),)),),
    (Source("source", 0, ((0, 1.0),), trace=(0.0, 1.0, 1.125)),), ("route",), (PodStation("pod", 0, 0),),
)
engine = CompiledEngine(program, seed=1, log=True)
engine.advance(5.0)
print([entry[4] for entry in engine.request_log()], "numba" if "numba" in sys.modules else "kept")
"""
REFUSE = """
from llvmlite import binding
def refuse(*arguments, **options):
    raise RuntimeError("no executable memory")
binding.create_lljit_compiler = refuse
"""
TIMES = "[0.25, 1.375, 1.5]"
"""Work of 0.25 s at 0, 1 and 1.125 s on one core: the last two share it from 1.125 s until 1.375 s."""


def test_this_numba_is_one_whose_libraries_can_be_compiled_as_one_module() -> None:
    assert kernel_build.is_known()


def object_file(function: str, status: int = 0) -> MachineCode:
    """An entry point that puts ``function(until)`` where the floats begin and answers the number plus one."""
    word, real, byte = ir.IntType(64), ir.DoubleType(), ir.IntType(8).as_pointer()
    module = ir.Module()
    module.triple = binding.get_process_triple()
    callee = ir.Function(module, ir.FunctionType(real, [real]), function)
    arguments = [word.as_pointer(), byte, word.as_pointer(), real.as_pointer(), real, word, word, word, real]
    entry = ir.Function(module, ir.FunctionType(ir.IntType(32), arguments), "entry")
    answer, _, _, floats, until, _, _, number, _ = entry.args
    builder = ir.IRBuilder(entry.append_basic_block())
    builder.store(builder.call(callee, [until]), floats)
    builder.store(builder.add(number, word(1)), answer)
    builder.ret(ir.IntType(32)(status))
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_triple(binding.get_process_triple()).create_target_machine(codemodel="large")
    return MachineCode("entry", target.emit_object(binding.parse_assembly(str(module))))


@pytest.mark.parametrize("name", ["cos", "exp", "log"])
def test_machine_code_calls_the_function_that_python_calls(name: str) -> None:
    integers, floats = np.zeros(1, np.int64), np.zeros(1)
    assert entry_point(load(object_file(name)))(integers, floats, 0.7, -1, 0, 41, 0.0) == 42
    assert floats[0] == getattr(math, name)(0.7)


def test_machine_code_that_needs_an_unknown_function_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"Failed to materialize symbols|Symbols not found"):
        load(object_file("numba_helper_of_tomorrow"))


def test_what_is_no_object_file_or_lacks_the_entry_point_is_refused() -> None:
    for code in (b"", b"something else"):
        with pytest.raises(RuntimeError):
            load(MachineCode("entry", code))
    with pytest.raises(RuntimeError, match="no_entry"):
        load(MachineCode("no_entry", object_file("cos").code))


def test_a_status_that_numba_gives_to_an_exception_is_an_error() -> None:
    failing = entry_point(load(object_file("cos", status=-1)))
    with pytest.raises(RuntimeError, match=r"^the kernel failed$"):
        failing(np.zeros(1, np.int64), np.zeros(1), 0.0, -1, 0, 0, 0.0)


def test_words_that_are_not_contiguous_or_may_not_be_written_are_not_passed_on() -> None:
    advance, floats = entry_point(load(object_file("cos"))), np.zeros(1)
    with pytest.raises(TypeError, match="contiguous"):
        advance(np.zeros(4, np.int64)[::2], floats, 0.0, -1, 0, 0, 0.0)
    frozen = np.zeros(1, np.int64)
    frozen.flags.writeable = False
    with pytest.raises(TypeError, match="not writable"):
        advance(frozen, floats, 0.0, -1, 0, 0, 0.0)


def test_the_processor_is_named_with_its_features() -> None:
    assert binding.get_host_cpu_name() in processor()
    assert binding.get_host_cpu_features().flatten() in processor()


def start(directory: Path, code: str = RUN, **settings: str) -> str:
    """What a new process prints that keeps its kernel in ``directory``."""
    environment = dict(os.environ, STOWPLAN_CACHE_DIR=str(directory))
    environment.pop("NUMBA_DISABLE_JIT", None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment | settings, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.slow
def test_the_second_start_needs_no_numba_and_a_damaged_file_is_compiled_again(tmp_path: Path) -> None:
    assert start(tmp_path) == f"{TIMES} numba"
    assert start(tmp_path) == f"{TIMES} kept"
    (kept,) = tmp_path.rglob(FILE)
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1000] + bytes(1000))
    assert start(tmp_path) == f"{TIMES} numba"
    assert start(tmp_path) == f"{TIMES} kept"
    assert start(tmp_path, NUMBA_DISABLE_JIT="1") == f"{TIMES} numba"


@pytest.mark.slow
def test_where_the_linker_refuses_numba_runs_its_own_code_and_nothing_is_kept(tmp_path: Path) -> None:
    assert start(tmp_path, REFUSE + RUN) == f"{TIMES} numba"
    assert list(tmp_path.rglob(FILE)) == []
