"""Where the compiled kernel is kept between runs."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path

SOURCES = ("kernel.py", "layout.py", "measures.py", "program.py", "randomness.py")
"""What the machine code depends on. numba itself looks only at the file of the function."""


def cache_directory(configured: str = "") -> str:
    """A directory for this version of the kernel: below ``NUMBA_CACHE_DIR`` if it is set, else the user's caches.

    It holds a digest of the kernel's sources, so that an upgrade never runs old machine code. Falls back to the
    directory for temporary files where the user has no writable cache.
    """
    digest = hashlib.sha256()
    for name in SOURCES:
        digest.update(Path(__file__).with_name(name).read_bytes())
    leaf = f"kernel-{digest.hexdigest()[:16]}"
    bases = [Path(configured)] if configured else [user_caches(), Path(tempfile.gettempdir())]
    for base in bases:
        directory = base / "stowplan" / leaf
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(directory, os.W_OK):
            return str(directory)
    return configured


def user_caches() -> Path:
    """The platform's directory for caches (XDG base directories, macOS Library, Windows local data)."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", tempfile.gettempdir()))
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    configured = os.environ.get("XDG_CACHE_HOME", "")
    return Path(configured) if configured else Path("~").expanduser() / ".cache"
