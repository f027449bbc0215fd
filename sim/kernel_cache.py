"""Where the compiled kernel is kept between runs.

numba's cache knows the processor and the time stamp of one file. This adds what else the machine code depends on to the
name of the directory, and digests, so that a damaged file is compiled again and never run.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

SOURCES = ("kernel.py", "kernel_build.py", "layout.py", "measures.py", "program.py", "randomness.py")
"""What the machine code depends on. numba itself looks only at the file of the function."""

DIGESTS = "digests.json"


def cache_directory(configured: str = "") -> Path | None:
    """A writable directory for this version of the kernel, None where there is none.

    It is below ``$STOWPLAN_CACHE_DIR``, else below ``configured`` (``$NUMBA_CACHE_DIR``), else in the user's caches,
    else in a private directory for temporary files. The name holds a digest of the kernel's sources and of the versions
    of Python, numpy, numba and llvmlite.
    """
    digest = hashlib.sha256()
    for name in SOURCES:
        digest.update(Path(__file__).with_name(name).read_bytes())
    for package in ("numba", "llvmlite", "numpy"):
        digest.update(f"{package} {version(package)} ".encode())
    digest.update(sys.version.encode())
    given = os.environ.get("STOWPLAN_CACHE_DIR") or configured
    for base in ([Path(given)] if given else []) + [user_caches(), _private_temporary()]:
        directory = base / "stowplan" / f"kernel-{digest.hexdigest()[:16]}"
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            if _is_ours(directory):
                with tempfile.TemporaryFile(dir=directory):
                    return directory
        except OSError:
            continue
    return None


def _is_ours(directory: Path) -> bool:
    """Whether nobody else can have put machine code there."""
    return sys.platform == "win32" or directory.stat().st_uid == os.getuid()


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


def _digests(directory: Path) -> dict[str, str]:
    files = sorted(path for path in directory.rglob("*.nb?") if path.is_file())
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def drop_damaged(directory: Path) -> None:
    """Remove everything if a file is not what :func:`seal` saw, so that it is compiled again."""
    found = _digests(directory)
    try:
        sealed = json.loads((directory / DIGESTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        sealed = None
    if found != sealed:
        for name in found:
            (directory / name).unlink(missing_ok=True)


def seal(directory: Path) -> None:
    """Note the digests of what was compiled."""
    found = _digests(directory)
    with tempfile.NamedTemporaryFile("w", dir=directory, delete=False, encoding="utf-8") as handle:
        json.dump(found, handle)
    Path(handle.name).replace(directory / DIGESTS)
