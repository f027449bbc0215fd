"""The two sides of a comparison: commits and folders, and which trees of them are platforms.

What ``--base`` and ``--head`` mean: text that begins with ``/``, ``./``, ``../`` or ``~``, and ``.`` itself, is a path.
Anything else is a commit if git knows one by that name, else a path. Without ``--head`` it is the work tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from models.errors import InputError, Problem, Where
from models.gitrefs import checkout, is_commit, merge_base, resolve_commit, work_tree
from models.objects import Missing
from models.render import find_repository


@dataclass(frozen=True)
class Source:
    """One side as files.

    root: nothing outside of it is read; names of files are relative to it. start: what trees are relative to. given:
    as typed. commit: full id, "" for a folder.
    """

    root: Path
    start: Path
    given: str
    commit: str = ""
    missing: tuple[Missing, ...] = ()

    def tree(self, relative: str) -> Path | None:
        """A tree of this side; None when it has no such file or folder."""
        path = self.start / relative if relative != "." else self.start
        return path if path.exists() else None


@dataclass(frozen=True)
class Sides:
    """Both sides. trees: those that were named, relative to ``start``; empty: find them. notes: what was decided."""

    base: Source
    head: Source
    trees: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Given:
    """One option: a folder or file (``path``), or a commit."""

    text: str
    path: Path | None
    commit: str = ""


@contextmanager
def open_sides(
    base: str,
    head: str | None,
    trees: Sequence[Path],
    *,
    repository: Path | None = None,
    exact: bool = False,
    otherwise: Sequence[Path] = (),
) -> Iterator[Sides]:
    """Both sides as folders, for as long as the context lasts.

    Two commits, and a commit and the work tree around it, are compared from their newest common ancestor on, as a pull
    request is; ``exact``: from ``base`` itself. ``otherwise``: the trees
    when none is named, if the repository has them. Raises InputError with what cannot be had and the way out.
    """
    here = (repository or Path()).resolve()
    if repository is not None and not here.is_dir():
        raise InputError(Problem(Where(str(repository)), "there is no such folder", "check --repository"))
    one = _read(base, here, "--base")
    two = _read(head, here, "--head") if head is not None else _Given("", find_repository(here))
    notes: list[str] = []
    top = work_tree(here) if one.commit or two.commit else None
    if one.commit and top is not None and not exact:
        one = _from_ancestor(one, two, top, notes)
    with ExitStack() as stack:
        sources = [_open(stack, given, top, other) for given, other in ((one, two), (two, one))]
        if not trees and top is not None and all(path.resolve().is_relative_to(top) for path in otherwise):
            trees = otherwise
        relative = tuple(_relative(tree, top, both_paths=top is None) for tree in trees)
        yield Sides(sources[0], sources[1], relative, tuple(notes))


def _read(text: str, here: Path, option: str) -> _Given:
    explicit = text == "." or text.startswith(("/", "./", "../", "~"))
    path = Path(text).expanduser()
    if explicit:
        if not path.exists():
            raise InputError(
                Problem(Where(field=f"{option} {text}"), "there is no such file or folder", "check the path")
            )
        return _Given(text, path.resolve())
    if _in_repository(here) and is_commit(here, text):
        return _Given(text, None, resolve_commit(here, text, option))
    if text and path.exists():
        return _Given(text, path.resolve())
    work_tree(here)
    return _Given(text, None, resolve_commit(here, text, option))


def _in_repository(here: Path) -> bool:
    try:
        work_tree(here)
    except InputError:
        return False
    return True


def _from_ancestor(one: _Given, two: _Given, top: Path, notes: list[str]) -> _Given:
    """``one`` moved to the newest common ancestor with the other side, where that side has a history."""
    other = two.commit
    if not other and two.path is not None and find_repository(two.path) == top and is_commit(top, "HEAD"):
        other = resolve_commit(top, "HEAD", "--head")
    if not other:
        return one
    ancestor = merge_base(top, one.commit, other)
    if ancestor is None:
        notes.append(f"{one.text} and {two.text or 'HEAD'} have no common ancestor: compared as they are")
        return one
    if ancestor != one.commit:
        notes.append(f"compared from {ancestor[:12]} on, the newest common ancestor with {one.text}")
    return _Given(one.text, None, ancestor)


def _open(stack: ExitStack, given: _Given, top: Path | None, other: _Given) -> Source:
    if given.path is not None:
        return Source(find_repository(given.path), given.path, given.text)
    if top is None:
        raise RuntimeError("a commit without a repository")
    found = stack.enter_context(checkout(top, given.commit))
    scope = Path()
    if other.path is not None and other.path.is_relative_to(top):
        # A folder of this repository on one side means the same folder of the commit on the other.
        scope = other.path.relative_to(top)
    return Source(found.folder, found.folder / scope, given.text, given.commit, found.notes)


def _relative(tree: Path, top: Path | None, *, both_paths: bool) -> str:
    """A named tree relative to where trees start: the top of the repository, or each of two folders."""
    if both_paths or top is None:
        if tree.is_absolute() or ".." in tree.parts:
            raise InputError(
                Problem(Where(str(tree)), "not below both folders", "name it relative to --base and --head")
            )
        return tree.as_posix()
    here = Path.cwd()
    inside = (here if here.is_relative_to(top) else top) / tree
    resolved = Path(inside).resolve()
    if not resolved.is_relative_to(top):
        raise InputError(Problem(Where(str(tree)), "outside of the repository", "name a tree that is inside of it"))
    return resolved.relative_to(top).as_posix()
