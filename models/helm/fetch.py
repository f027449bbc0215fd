"""Downloading a chart: the only place of the tool that uses the network, and only when a person allowed it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

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
        put_file(target, archives[0].read_bytes())
    return target


def put_file(target: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees half of it: beside its place first, then moved there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # mkstemp makes it for its owner alone
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def sha256(archive: Path) -> str:
    """The hexadecimal SHA-256 sum of a file."""
    return hashlib.sha256(archive.read_bytes()).hexdigest()


def _is_local(reference: str) -> bool:
    """Whether a registry is on this machine; Helm speaks HTTP without TLS with such a one."""
    return urlsplit(reference).hostname in ("localhost", "127.0.0.1", "::1")


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
                reference,
                destination=folder,
                version=request.version,
                repo_url=None if oci else request.repo,
                plain_http=oci and _is_local(reference),
            )
        except helm_python.HelmError as error:
            raise EngineError(str(error)) from error
        return
    if shutil.which("helm") is None:
        raise EngineError("there is neither the package helm-python-sdk nor a helm binary to download with")
    command = ["helm", "pull", reference, "--version", request.version, "--destination", str(folder)]
    command += [] if oci else ["--repo", request.repo]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"helm did not finish within {_TIMEOUT_S} s") from error
    if done.returncode != 0:
        raise EngineError(done.stderr.decode("utf-8", "replace").strip())
