"""Where a chart may be without asking the network: unpacked or packed in the tree, or in the user's cache."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from models.documents import read_documents
from models.errors import InputError
from models.kustomize.charts import ChartRequest


def cache_folder() -> Path:
    """The folder of downloaded charts: ``$XDG_CACHE_HOME/stowplan/charts``, by default below ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "stowplan" / "charts"


def cached_archive(request: ChartRequest, cache: Path) -> Path:
    """Where the cache keeps the archive of a request."""
    source = hashlib.sha256(request.repo.rstrip("/").encode()).hexdigest()[:12]
    return cache / source / f"{base_name(request.name)}-{request.version}.tgz"


def base_name(name: str) -> str:
    """A chart's own name, without the path that an OCI reference puts before it."""
    return name.rstrip("/").rpartition("/")[2]


def find_chart(request: ChartRequest, repository: Path, cache: Path) -> Path | None:
    """The folder or archive that holds the wanted chart, or None. Nothing outside of repository and cache is read."""
    name = base_name(request.name)
    if request.local is not None and (request.local / "Chart.yaml").is_file():
        return request.local
    homes = [request.chart_home, request.chart_home.parent]
    for home in homes:
        if not home.resolve().is_relative_to(repository.resolve()):
            continue
        folder, archive = home / name, home / f"{name}-{request.version}.tgz"
        if archive.is_file():
            return archive
        if _is_version(folder, request.version):
            return folder
    stored = cached_archive(request, cache)
    return stored if request.version and stored.is_file() else None


def _is_version(folder: Path, version: str) -> bool:
    """Whether an unpacked chart is there and is the wanted version (any, when none is wanted)."""
    file = folder / "Chart.yaml"
    if not file.is_file():
        return False
    try:
        documents = read_documents(file)
    except InputError:
        return False
    value = documents[0].value if documents else None
    found = str(value.get("version") or "") if isinstance(value, dict) else ""
    return not version or found.lstrip("v") == version.lstrip("v")
