"""The kernel's machine code, without numba: loaded from the cache, or compiled once and kept there.

Importing numba and declaring the kernel's functions takes half a second, in every worker process again. The code itself
is a small object file that works on bare addresses and calls three functions of the C library. LLVM's linker (llvmlite,
which brings it for numba) puts it into memory in a few milliseconds, and ctypes calls it. numba is imported only where
there is no code yet, where the linker refuses it, or where ``NUMBA_DISABLE_JIT`` asks for the interpreted kernel.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llvmlite import binding as llvm

from sim.kernel_cache import MachineCode, cache_directory, keep, kept_code

Advance = Callable[[Any, Any, float, int, int, int, float], int]
"""``advance`` of ``sim.kernel``."""

ENTRY_POINT = ctypes.CFUNCTYPE(
    ctypes.c_int32,  # 0 unless it failed
    ctypes.c_void_p,  # where to put the answer
    ctypes.c_void_p,  # where to put an exception: the kernel has none
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_double,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_double,
)
"""numba's calling convention (``numba.core.callconv.CPUCallConv``) for addresses and numbers. Calls release the GIL."""

CALLED = ("cos", "exp", "log", "memcpy", "memmove", "memset")
"""What the kernel may need of the C library. Python's ``math``, and with it the reference engine, calls the same."""


def processor() -> str:
    """The kind of processor with its features: code made for one may contain instructions that another lacks."""
    return f"{llvm.get_process_triple()} {llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"


def _c_functions() -> dict[str, int]:
    """The addresses of the functions that machine code may call."""
    c_library = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
    there = {name: getattr(c_library, name) for name in CALLED if hasattr(c_library, name)}
    return {name: ctypes.cast(function, ctypes.c_void_p).value or 0 for name, function in there.items()}


def load(machine_code: MachineCode) -> int:
    """Link machine code into this process, where it stays, and return the address of its entry point.

    Raises :class:`RuntimeError` if it is no object file, or needs a function that is not there.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # JITLink reports what it cannot link, but does not know Windows' objects well.
    linker = llvm.create_lljit_compiler(use_jit_link=sys.platform != "win32", suppress_errors=True)
    library = llvm.JITLibraryBuilder().add_object_img(machine_code.code).export_symbol(machine_code.symbol)
    for name, function in _c_functions().items():
        library.import_symbol(name, function)
    linked = library.link(linker, "kernel")
    address = int(linked[machine_code.symbol])
    linked.detach()  # never unloaded: a thread may still be in it when the interpreter ends
    linker.detach()
    return address


def entry_point(address: int) -> Advance:
    """The machine code at an address as a function of arrays and numbers."""
    call, address_of = ENTRY_POINT(address), ctypes.addressof
    first_byte = ctypes.c_char.from_buffer  # of contiguous words that may be written; faster than ``array.ctypes``
    exception = ctypes.c_void_p()

    def advance(integers: Any, floats: Any, until: float, order: int, thing: int, number: int, value: float) -> int:
        """See :func:`sim.kernel.advance`."""
        answer = ctypes.c_int64()
        words, reals = address_of(first_byte(integers)), address_of(first_byte(floats))
        if call(address_of(answer), address_of(exception), words, reals, until, order, thing, number, value):
            raise RuntimeError("the kernel failed")
        return answer.value

    return advance


def _prepared() -> Advance:
    """The kernel from the cache, else from numba."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return _from_numba(None)
    directory = cache_directory(processor())
    kept = kept_code(directory) if directory else None
    if kept:
        with contextlib.suppress(RuntimeError):
            return entry_point(load(kept))
    return _from_numba(directory)


def _from_numba(directory: Path | None) -> Advance:
    """The kernel compiled, and kept in a directory for the next start; interpreted if numba is told not to compile."""
    from sim import kernel

    if kernel.INTERPRETED:
        return kernel.advance
    built, address = kernel.build()
    try:
        address = load(built)
    except RuntimeError:
        return entry_point(address)  # where numba has put it
    if directory:
        keep(directory, built)
    return entry_point(address)


advance = _prepared()
