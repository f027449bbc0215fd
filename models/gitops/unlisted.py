"""Workloads beside the kustomizations of a tree that nothing there lists or deploys: they are not read, and told of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from models.objects import Missing, Origin, Rendered
from models.render import display_path, kustomization_file, walk_manifests

_WORKLOAD: Final = re.compile(
    rb"^kind:\s*[\"']?(?:Deployment|StatefulSet|DaemonSet|CronJob|Job|Pod|Cluster)[\"']?\s*$", re.MULTILINE
)
_WHOLE: Final = re.compile(rb"^[\s-]*\{?\s*(?:image|instances):", re.MULTILINE)
_FILE: Final = re.compile(r"[\w./\-]+\.ya?ml")
_TEMPLATE: Final = re.compile(rb"\{[%{]")
_SUFFIXES: Final = (".yaml", ".yml")
_MOST_BYTES: Final = 1_000_000
_MOST: Final = 20


def unlisted(path: Path, repository: Path, rendered: Rendered) -> Iterator[Missing]:
    """One entry per folder of ``path`` whose files declare workloads that are not in ``rendered``.

    A tree without any kustomization is read file by file, and whoever names a kustomization wants nothing else. A file
    that some kustomization mentions is a patch; one with the signs of a template is no manifest.
    """
    if not path.is_dir() or kustomization_file(path) is not None:
        return
    folders = list(walk_manifests(path))
    lists = [file for folder in folders if (file := kustomization_file(folder)) is not None]
    if not lists:
        return
    mentioned = {(file.parent / name).resolve() for file in lists for name in _named(file)}
    read = {item.origin.file for item in rendered.objects} | {entry.origin.file for entry in rendered.missing}
    found = 0
    for folder in folders:
        if any(folder.is_relative_to(file.parent) for file in lists):
            continue
        files = [
            file
            for file in sorted(folder.iterdir())
            if file.suffix in _SUFFIXES
            and file.is_file()
            and file.resolve() not in mentioned
            and display_path(file, repository) not in read
            and _declares(file)
        ]
        if files and found < _MOST:
            found += 1
            where = display_path(folder, repository)
            names = ", ".join(file.name for file in files[:3]) + (" and others" if len(files) > 3 else "")
            yield Missing(
                "file",
                f"{where}/ ({names})",
                Origin(display_path(files[0], repository), 1),
                "no kustomization lists it and nothing in the tree deploys it",
                "the workloads that it declares; give its folder as a further path to read it",
            )


def _named(file: Path) -> list[str]:
    return _FILE.findall(file.read_text(encoding="utf-8", errors="replace"))


def _declares(file: Path) -> bool:
    """Whether a file has a workload with a container image, and not only a part of one."""
    try:
        content = file.read_bytes() if file.stat().st_size <= _MOST_BYTES else b""
    except OSError:
        return False
    return all(pattern.search(content) for pattern in (_WORKLOAD, _WHOLE)) and not _TEMPLATE.search(content)
