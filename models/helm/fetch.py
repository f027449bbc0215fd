"""Downloading a chart: the only place of the tool that uses the network, and only when a person allowed it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from models.helm.engine import EngineError
from models.helm.find import base_name, cached_archive
from models.kustomize.charts import ChartRequest

_TIMEOUT_S = 300


def fetch_chart(request: ChartRequest, cache: Path) -> Path:
    """Download the archive of a pinned chart into the cache; returns it.

    Raises:
        EngineError: no version is pinned, no engine can download, or the repository does not have it.
    """
    if not request.version:
        raise EngineError("no version is pinned, so nothing was downloaded: add `version:`")
    target = cached_archive(request, cache)
    with tempfile.TemporaryDirectory(prefix="stowplan-") as folder:
        _pull(request, Path(folder))
        archives = sorted(Path(folder).glob("*.tgz"))
        if not archives:
            raise EngineError(f"{request.repo} gave no archive")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(archives[0], target)
    return target


def sha256(archive: Path) -> str:
    """The hexadecimal SHA-256 sum of a file."""
    return hashlib.sha256(archive.read_bytes()).hexdigest()


def _pull(request: ChartRequest, folder: Path) -> None:
    name = base_name(request.name)
    oci = request.repo.startswith("oci://")
    reference = request.repo.rstrip("/") if oci else name
    if oci and base_name(reference) != name:
        reference = f"{reference}/{name}"
    if find_spec("helm_python") is not None:
        import helm_python

        try:
            helm_python.pull(
                reference, destination=folder, version=request.version, repo_url=None if oci else request.repo
            )
        except helm_python.HelmError as error:
            raise EngineError(str(error)) from error
        return
    if shutil.which("helm") is None:
        raise EngineError("there is neither the package helm-python-sdk nor a helm binary to download with")
    command = ["helm", "pull", reference, "--version", request.version, "--destination", str(folder)]
    command += [] if oci else ["--repo", request.repo]
    done = subprocess.run(command, capture_output=True, check=False, timeout=_TIMEOUT_S)
    if done.returncode != 0:
        raise EngineError(done.stderr.decode("utf-8", "replace").strip())
