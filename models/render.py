"""From a path to objects: Kustomize roots, plain folders, rendered files, standard input.

``render_tree`` is the one door: whatever the tree is, it gives a :class:`models.objects.Rendered` with every object,
the file and line it stands on, and a list of what could not be had.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from models import kustomize
from models.documents import Document, parse_documents, read_documents
from models.errors import InputError, Problem, RenderError, Where
from models.kustomize.charts import ChartRenderer
from models.objects import KubeObject, Missing, Origin, Rendered
from models.redact import open_names, redact
from models.yamldoc.compose import decode
from models.yamldoc.lines import MAX_BYTES, Lines, marks

KUSTOMIZATION_FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_MANIFEST_SUFFIXES = {".yaml", ".yml", ".json"}
_SKIPPED_FOLDERS = {"node_modules", "vendor", "__pycache__"}


class NothingHereError(InputError):
    """A folder or file without any object."""


def render_tree(
    path: Path,
    *,
    repository: Path | None = None,
    renderer: str = "builtin",
    charts: ChartRenderer | None = None,
    show_secrets: bool = False,
    keep_going: bool = False,
    spare: ChartRenderer | None = None,
) -> Rendered:
    """What ``path`` renders to.

    ``path`` is a Kustomize root, a folder that holds Kustomize roots somewhere below it (every root that no other
    kustomization refers to is built), a folder of plain manifests, or one file. Secret values are dropped unless
    ``show_secrets``. With ``keep_going`` a root that cannot be built is listed as missing when another one can be.
    ``spare`` renders the charts of a root that cannot be built with those that ``charts`` renders.

    Raises:
        InputError: the path does not exist or holds nothing. RenderError: the tree itself is broken.
    """
    if not path.exists():
        raise InputError(Problem(Where(str(path)), "there is no such file or folder", "check the path of the tree"))
    repository = (repository or find_repository(path)).resolve()
    if path.is_file() and path.name not in KUSTOMIZATION_FILES:
        rendered = objects_of(read_documents(path, display=display_path(path, repository)), str(path.name))
    else:
        folder = path.parent if path.is_file() else path
        roots = discover_roots(folder)
        build = partial(_build_roots, roots, repository, renderer, (charts, spare), keep_going=keep_going)
        rendered = build() if roots else _plain_folder(folder, repository)
    if not rendered.objects and not rendered.missing:
        raise NothingHereError(
            Problem(
                Where(str(path)),
                "nothing here is a Kubernetes manifest or a kustomization",
                "point at a Kustomize root, a folder of manifests, a rendered file, or a chart "
                "(render takes one with --expand)",
            )
        )
    rendered = replace(rendered, lines=Lines((str(repository),)))
    return rendered if show_secrets else without_secrets(rendered)


def render_text(text: str | bytes, *, file: str = "stdin", show_secrets: bool = False) -> Rendered:
    """The objects in one multi-document text (standard input, or a rendered file already in memory)."""
    rendered = objects_of(parse_documents(text, file=file), file)
    if len(text) <= MAX_BYTES:
        content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        rendered = replace(rendered, lines=Lines(texts={file: marks(decode(content, file), file)}))
    return rendered if show_secrets else without_secrets(rendered)


def without_secrets(rendered: Rendered) -> Rendered:
    """The same objects with every Secret value dropped, except for the cluster's own hosts in DSNs."""
    known = open_names(rendered.objects)
    return replace(rendered, objects=tuple(redact(item, known) for item in rendered.objects))


def find_repository(path: Path) -> Path:
    """The enclosing git work tree of ``path``, or the folder itself when there is none."""
    folder = path.resolve() if path.is_dir() else path.resolve().parent
    for candidate in (folder, *folder.parents):
        if (candidate / ".git").exists():
            return candidate
    return folder


def discover_roots(folder: Path) -> tuple[Path, ...]:
    """The Kustomize roots of a folder: itself if it is one, else every one below it that no other refers to."""
    if kustomization_file(folder) is not None:
        return (folder,)
    found: dict[Path, list[str]] = {}
    for directory in walk(folder):
        file = kustomization_file(directory)
        if file is not None:
            found[directory.resolve()] = _references(file)
    used = {
        (directory / reference).resolve()
        for directory, references in found.items()
        for reference in references
        if "://" not in reference
    }
    return tuple(directory for directory in sorted(found) if directory not in used and not _is_component(directory))


def root_that_reads(repository: Path, file: Path) -> Path | None:
    """The first Kustomize root of the repository that reads the file, through other kustomizations or directly."""
    wanted = file.resolve()
    for root in discover_roots(repository):
        ahead, seen = [root.resolve()], set[Path]()
        while ahead:
            folder = ahead.pop()
            kustomization = kustomization_file(folder)
            if folder in seen or kustomization is None:
                continue
            seen.add(folder)
            below = [(folder / item).resolve() for item in _references(kustomization) if "://" not in item]
            if wanted in below:
                return root
            ahead += below
    return None


def kustomization_file(folder: Path) -> Path | None:
    """The kustomization file of a folder, or None."""
    return next((folder / name for name in KUSTOMIZATION_FILES if (folder / name).is_file()), None)


def _kustomization(file: Path) -> dict[str, Any]:
    try:
        documents = read_documents(file)
    except InputError:
        return {}
    value = documents[0].value if documents else None
    return value if isinstance(value, dict) else {}


def _references(file: Path) -> list[str]:
    value = _kustomization(file)
    lists = (value.get(key) for key in ("resources", "bases", "components", "generators", "transformers"))
    return [item for entries in lists if isinstance(entries, list) for item in entries if isinstance(item, str)]


def _is_component(folder: Path) -> bool:
    file = kustomization_file(folder)
    return file is not None and _kustomization(file).get("kind") == "Component"


def _build_roots(
    roots: Sequence[Path],
    repository: Path,
    renderer: str,
    charts: tuple[ChartRenderer | None, ChartRenderer | None],
    *,
    keep_going: bool,
) -> Rendered:
    total = Rendered()
    problems: list[Problem] = []
    failed: list[Missing] = []
    for root in roots:
        try:
            if renderer == "kustomize":
                total += _run_kustomize(root, repository)
            else:
                total += _built(root, repository, *charts)
        except InputError as error:
            problems.extend(error.problems)
            failed.append(_failed(display_path(root, repository), error.problems[0]))
    if problems and not (keep_going and total.objects):
        raise RenderError(problems)
    return total + Rendered((), tuple(failed))


def _built(root: Path, repository: Path, charts: ChartRenderer | None, spare: ChartRenderer | None) -> Rendered:
    try:
        return kustomize.build(root, repository=repository, charts=charts)
    except InputError:
        if spare is None:
            raise
        return kustomize.build(root, repository=repository, charts=spare)


def _failed(root: str, problem: Problem) -> Missing:
    origin = Origin(problem.where.file or root, problem.where.line)
    return Missing("file", root, origin, problem.what, "everything below this folder", broken=True)


def _run_kustomize(root: Path, repository: Path) -> Rendered:
    """Build one root with the user's own ``kustomize`` or ``kubectl``."""
    if shutil.which("kustomize"):
        command = ["kustomize", "build"]
    elif shutil.which("kubectl"):
        command = ["kubectl", "kustomize"]
    else:
        raise InputError(
            Problem(
                Where(field="--renderer kustomize"),
                "neither kustomize nor kubectl is on PATH",
                "install one of them, or leave the option out: the built-in renderer needs neither",
            )
        )
    display = display_path(root, repository)
    result = subprocess.run(
        [*command, "--load-restrictor", "LoadRestrictionsNone", str(root)], capture_output=True, check=False
    )
    if result.returncode != 0:
        message = result.stderr.decode("utf-8", "replace").strip() or f"exit status {result.returncode}"
        raise RenderError(Problem(Where(display), message, f"that is what {' '.join(command)} says of this root"))
    rendered = objects_of(parse_documents(result.stdout, file=display), display)
    return Rendered(
        tuple(KubeObject(item.manifest, Origin(display, None, by=command[0])) for item in rendered.objects),
        rendered.missing,
        (display,),
    )


def _plain_folder(folder: Path, repository: Path) -> Rendered:
    objects: list[KubeObject] = []
    missing: list[Missing] = []
    for directory in walk_manifests(folder):
        for file in sorted(directory.iterdir()):
            if file.suffix not in _MANIFEST_SUFFIXES or not file.is_file():
                continue
            display = display_path(file, repository)
            try:
                found = objects_of(read_documents(file, display=display), display)
            except InputError as error:
                missing.append(unreadable(display, error.problems[0]))
                continue
            objects.extend(found.objects)
    return Rendered(tuple(objects), tuple(missing), (display_path(folder, repository),))


def unreadable(file: str, problem: Problem) -> Missing:
    """A file that is there and cannot be read as manifests."""
    return Missing("file", file, Origin(file, problem.where.line), problem.what, "whatever it declares", broken=True)


def objects_of(documents: Sequence[Document], root: str) -> Rendered:
    """The Kubernetes objects among the documents; ``kind: List`` is opened, other data is left aside."""
    return Rendered(tuple(item for document in documents for item in _expand(document.value, document)), (), (root,))


def _expand(value: Any, document: Document, path: tuple[str | int, ...] = ()) -> Iterator[KubeObject]:
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str) or "apiVersion" not in value:
        return
    items = value.get("items")
    if value["kind"].endswith("List") and isinstance(items, list):
        for index, item in enumerate(items):
            yield from _expand(item, document, (*path, "items", index))
        return
    line = document.line_of(path) if path else document.line
    yield KubeObject(value, Origin(document.file, line))


def walk_manifests(folder: Path) -> Iterator[Path]:
    """Those of :func:`walk` that are no part of a Helm chart: templates are no manifests."""
    chart: Path | None = None
    for directory in walk(folder):
        if chart is not None and directory.is_relative_to(chart):
            continue
        if (directory / "Chart.yaml").is_file():
            chart = directory
            continue
        yield directory


def walk(folder: Path) -> Iterator[Path]:
    """``folder`` and every folder below it, in order, without hidden ones, links and other people's code."""
    yield folder
    for child in sorted(folder.iterdir()):
        if (
            child.is_dir()
            and not child.is_symlink()
            and not child.name.startswith(".")
            and child.name not in _SKIPPED_FOLDERS
        ):
            yield from walk(child)


def display_path(path: Path, repository: Path) -> str:
    """``path`` relative to the repository, in POSIX form; absolute when it lies outside."""
    resolved = path.resolve()
    return resolved.relative_to(repository).as_posix() or "." if resolved.is_relative_to(repository) else str(resolved)
