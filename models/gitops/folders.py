"""A folder of the repository as a GitOps controller reads it: a kustomization, a chart, or the manifests below it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from models import kustomize
from models.documents import read_documents
from models.errors import InputError
from models.gitops.clusters import Clusters
from models.helm.source import ChartSource
from models.objects import Missing, Origin, Rendered
from models.render import display_path, kustomization_file, objects_of, unreadable, walk

_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Tree:
    """The repository that is read and who renders its charts."""

    repository: Path
    charts: ChartSource
    read: dict[Path, Rendered] = field(default_factory=dict, repr=False, compare=False)
    clusters: Clusters = field(default_factory=Clusters, repr=False, compare=False)

    def folder(self, path: str) -> Path | None:
        """The folder (or file) of that path from the repository's root, or None when it is not there."""
        found = (self.repository / path.strip().lstrip("/")).resolve()
        return found if found.exists() and found.is_relative_to(self.repository) else None


def render_folder(tree: Tree, folder: Path, *, recurse: bool = True, include: str = "", exclude: str = "") -> Rendered:
    """What a folder holds: a kustomization is built, anything else is read file by file.

    Nested kustomizations of a folder without one are built as well (Flux makes one that lists them).
    """
    try:
        return _render_folder(tree, folder, recurse, include, exclude)
    except InputError as error:
        first = error.problems[0]
        name = display_path(folder, tree.repository)
        origin = Origin(first.where.file or name, first.where.line)
        entry = Missing("file", name, origin, first.what, "everything below this folder", broken=True)
        return Rendered((), (entry,), (name,))


def _render_folder(tree: Tree, folder: Path, recurse: bool, include: str, exclude: str) -> Rendered:
    name = display_path(folder, tree.repository)
    if kustomization_file(folder) is not None:
        return kustomize.build(folder, repository=tree.repository, charts=tree.charts)
    total = Rendered(roots=(name,))
    built: list[Path] = []
    for directory in walk(folder) if recurse else (folder,):
        if (directory / "Chart.yaml").is_file() or any(directory.is_relative_to(other) for other in built):
            continue
        if directory != folder and kustomization_file(directory) is not None:
            built.append(directory)
            total += kustomize.build(directory, repository=tree.repository, charts=tree.charts)
            continue
        for file in _files(directory, folder, include, exclude):
            total += read_file(tree, file)
    return Rendered(total.objects, total.missing, (name,))


def _files(directory: Path, folder: Path, include: str, exclude: str) -> Iterator[Path]:
    for file in sorted(directory.iterdir()):
        below = file.relative_to(folder).as_posix()
        if file.suffix not in _SUFFIXES or not file.is_file():
            continue
        if (include and not _matches(below, include)) or (exclude and _matches(below, exclude)):
            continue
        yield file


def _matches(path: str, pattern: str) -> bool:
    """Argo CD's ``{a,b}`` of globs, or one glob."""
    alternatives = pattern[1:-1].split(",") if pattern.startswith("{") and pattern.endswith("}") else [pattern]
    return any(fnmatch(path, item.strip()) for item in alternatives)


def read_file(tree: Tree, file: Path) -> Rendered:
    """The objects of one file, read once; a file that cannot be read is listed as missing."""
    known = tree.read.get(file)
    if known is None:
        known = tree.read[file] = _read_file(tree, file)
    return known


def _read_file(tree: Tree, file: Path) -> Rendered:
    name = display_path(file, tree.repository)
    try:
        found = objects_of(read_documents(file, display=name), name)
    except InputError as error:
        return Rendered((), (unreadable(name, error.problems[0]),))
    return Rendered(found.objects, found.missing)
