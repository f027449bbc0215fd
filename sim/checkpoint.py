"""Finished replications on disk, so that a killed run goes on where it was.

They lie in the user's own cache, never beside the manifests: reading them back runs what they say (pickle), and nobody
else may write there. A run that ends well takes its own away.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import shutil
import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sim.kernel_cache import user_caches

if TYPE_CHECKING:
    from sim.study import Replication, Study

KEPT_S = 14 * 86400.0
"""Replications of runs that were never finished are thrown away after two weeks."""


class Checkpoints:
    """The finished replications of one study. Without a writable cache nothing is kept, and nothing fails."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of(cls, study: Study, caches: Path | None = None) -> Checkpoints:
        """Those of exactly this study: same tree, same scenario, same sources of stowplan, same numpy."""
        runs = (caches or user_caches()) / "stowplan" / "runs"
        _forget_old(runs)
        return cls(runs / study_key(study))

    def load(self, index: int) -> Replication | None:
        """Replication ``index`` if an earlier run finished it; a file that cannot be read counts as none."""
        try:
            with self._file(index).open("rb") as file:
                found: Replication = pickle.load(file)
        except (OSError, pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, ValueError):
            return None
        return found

    def save(self, replication: Replication) -> None:
        """Keep a finished replication: written beside its place, then renamed."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial = self._folder / f".{replication.index}.{os.getpid()}"
            partial.write_bytes(pickle.dumps(replication, protocol=pickle.HIGHEST_PROTOCOL))
            partial.replace(self._file(replication.index))

    def discard(self) -> None:
        """The run is over: nothing has to be kept."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _file(self, index: int) -> Path:
        return self._folder / f"replication-{index}.pickle"


def study_key(study: Study) -> str:
    """Everything that a replication depends on, as a digest."""
    digest = hashlib.sha256(_sources_digest())
    digest.update(f"{sys.version_info[:2]} {np.__version__} {study.loaded.sha256}".encode())
    for item in study.platform.rendered.objects:
        digest.update(repr(item.manifest).encode())
    digest.update(repr(sorted(study.graph.edges(keys=True), key=repr)).encode())
    digest.update(repr(study.compiled.program).encode())
    return digest.hexdigest()[:32]


@cache
def _sources_digest() -> bytes:
    digest = hashlib.sha256()
    for package in ("models", "sim"):
        root = Path(__file__).parents[1] / package
        for file in sorted(root.rglob("*")):
            if file.suffix in (".py", ".yaml"):
                digest.update(file.read_bytes())
    return digest.digest()


def _forget_old(runs: Path) -> None:
    with contextlib.suppress(OSError):
        for folder in runs.iterdir():
            if time.time() - folder.stat().st_mtime > KEPT_S:
                shutil.rmtree(folder, ignore_errors=True)
