"""Compile the kernel as one module: a few seconds instead of half a minute, and faster code.

numba compiles every function into a library of its own, and each of these is linked with everything it calls, optimised
and turned into machine code: what is called from ten places is optimised ten times. Only ``advance`` is ever called
from Python, so within :func:`one_module` the other libraries stay as they were lowered, and are linked and optimised
once, with the entry point. There they are private to the module, so that LLVM inlines what has a single caller.

This relies on the inside of numba (``numba.core.codegen``, checked with 0.68). Where that looks different,
numba compiles in its own way: the same results, later.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numba import njit
from numba.core import codegen

from sim.kernel_cache import MachineCode

PATCHED = (
    (codegen.CPUCodeLibrary, "finalize"),
    (codegen.CPUCodeLibrary, "_optimize_functions"),
    (codegen.JITCodeLibrary, "get_pointer_to_function"),
    (codegen.JITCPUCodegen, "set_env"),
)
"""What numba does per library, and what it does with the machine code of each."""


def build(function: Callable[..., Any], signature: Any, options: dict[str, Any]) -> tuple[MachineCode, int]:
    """Compile a function for one signature: its object code, and the address where numba has put it.

    It is called by numba's own convention, as the options say that there is no wrapper. A numba that does not give its
    object code away leaves it empty, which no linker accepts.
    """
    collecting = gc.isenabled()
    gc.disable()  # a tenth of the time, for nothing: little of what numba makes is garbage before the end
    try:
        with one_module(function.__name__):
            compiled = njit(signature, **options)(function).overloads[signature.args]
    finally:
        if collecting:
            gc.enable()
    symbol, library = compiled.fndesc.llvm_func_name, compiled.library
    address = library.get_pointer_to_function(symbol)
    code = library._get_compiled_object() if hasattr(library, "_get_compiled_object") else b""
    return MachineCode(symbol, code), address


def is_known() -> bool:
    """Whether this numba has everything that :func:`one_module` replaces."""
    return all(name in vars(owner) for owner, name in PATCHED)


@contextmanager
def one_module(entry: str) -> Iterator[None]:
    """Within it, libraries wait for that of the function ``entry``, the only one that becomes machine code."""
    if not is_known():
        yield
        return
    original = {name: getattr(owner, name) for owner, name in PATCHED}
    replaced = _replacements(entry, original)
    for owner, name in PATCHED:
        setattr(owner, name, replaced[name])
    try:
        yield
    finally:
        for owner, name in PATCHED:
            setattr(owner, name, original[name])


def _replacements(entry: str, original: dict[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    def finalize(library: Any) -> None:
        if library.name == entry:
            _link_everything(library)
            original["finalize"](library)
        else:
            library._finalized = True

    def optimise(library: Any, module: Any) -> None:
        module.data_layout = library._codegen._data_layout

    def pointer(library: Any, name: str) -> Any:
        return original["get_pointer_to_function"](library, name) if library.name == entry else 0

    def set_environment(generator: Any, name: str, environment: Any) -> None:
        if generator._engine.is_symbol_defined(name):
            original["set_env"](generator, name, environment)

    return {
        "finalize": finalize,
        "_optimize_functions": optimise,
        "get_pointer_to_function": pointer,
        "set_env": set_environment,
    }


def _link_everything(library: Any) -> None:
    """Link all that is called, however deep, into a library; only its own functions stay visible."""
    module = library._final_module
    own = {function.name for function in module.functions}
    waiting, seen = list(library._linking_libraries), set()
    while waiting:
        callee = waiting.pop()
        if id(callee) not in seen:
            seen.add(id(callee))
            waiting.extend(callee._linking_libraries)
            module.link_in(callee._final_module, preserve=True)
    library._linking_libraries = []
    for function in module.functions:
        if not function.is_declaration and function.name not in own:
            function.linkage = "internal"
