"""Where the compiled kernel is kept between runs.

One file holds the object code behind a digest of it, in a directory whose name is a digest of all the code depends on.
So a damaged file is compiled again and never run, and a home directory may be shared by different machines.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

SOURCES = (
    "kernel.py",
    "kernel_build.py",
    "kernel_cache.py",
    "layout.py",
    "machine_code.py",
    "measures.py",
    "program.py",
    "randomness.py",
)
"""What the machine code depends on, and how it is kept and called."""

FILE = "kernel.sealed"


class MachineCode(NamedTuple):
    """An object file in memory (ELF, Mach-O or COFF), and the symbol of its entry point."""

    symbol: str
    code: bytes


def cache_directory(processor: str) -> Path | None:
    """A writable directory for this version of the kernel on such a processor, None where there is none.

    It is below ``$STOWPLAN_CACHE_DIR``, else below ``$NUMBA_CACHE_DIR``, else in the user's caches, else in a private
    directory for temporary files. The name holds a digest of the processor with its features, of the kernel's sources,
    of the versions of Python, numpy, numba and llvmlite, and of what the environment tells numba.
    """
    digest = hashlib.sha256(processor.encode())
    for name in SOURCES:
        digest.update(Path(__file__).with_name(name).read_bytes())
    for package in ("numba", "llvmlite", "numpy"):
        digest.update(f"{package} {version(package)} ".encode())
    digest.update(sys.version.encode())
    for name, value in sorted(os.environ.items()):
        if name.startswith("NUMBA_") and name != "NUMBA_CACHE_DIR":
            digest.update(f"{name}={value} ".encode())
    given = os.environ.get("STOWPLAN_CACHE_DIR") or os.environ.get("NUMBA_CACHE_DIR")
    for base in ([Path(given)] if given else []) + [user_caches(), _private_temporary()]:
        directory = base / "stowplan" / f"kernel-{digest.hexdigest()[:16]}"
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            if _is_ours(directory.stat()):
                with tempfile.TemporaryFile(dir=directory):
                    return directory
        except OSError:
            continue
    return None


def _is_ours(status: os.stat_result) -> bool:
    """Whether nobody else can have put machine code there."""
    return sys.platform == "win32" or status.st_uid == os.getuid()


def _private_temporary() -> Path:
    """A directory for temporary files with the user's number in its name."""
    return Path(tempfile.gettempdir()) / (f"stowplan-{os.getuid()}" if sys.platform != "win32" else "stowplan")


def user_caches() -> Path:
    """The platform's directory for caches (XDG base directories, macOS Library, Windows local data)."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", tempfile.gettempdir()))
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    configured = os.environ.get("XDG_CACHE_HOME", "")
    return Path(configured) if configured else Path("~").expanduser() / ".cache"


def kept_code(directory: Path) -> MachineCode | None:
    """What :func:`keep` wrote there; None where there is nothing, or a file that is damaged or somebody else's."""
    try:
        with (directory / FILE).open("rb") as file:
            content = file.read() if _is_ours(os.fstat(file.fileno())) else b""
    except OSError:
        return None
    seal, _, sealed = content.partition(b"\n")
    if seal != _seal(sealed):
        return None
    symbol, _, code = sealed.partition(b"\n")
    return MachineCode(symbol.decode(), code)


def keep(directory: Path, machine_code: MachineCode) -> None:
    """Keep machine code for later starts; on a full disk nothing is kept, and nothing fails.

    It is written beside its place, then renamed: of two processes that compile at the same time, the last one wins.
    """
    sealed = machine_code.symbol.encode() + b"\n" + machine_code.code
    partial = directory / f"{FILE}.{os.getpid()}"
    try:
        partial.write_bytes(_seal(sealed) + b"\n" + sealed)
        partial.replace(directory / FILE)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()


def _seal(sealed: bytes) -> bytes:
    return hashlib.sha256(sealed).hexdigest().encode()
