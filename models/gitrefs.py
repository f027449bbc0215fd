"""Commits of a git repository as folders, without touching its work tree, its index or its configuration.

A commit is written out blob by blob (``git ls-tree`` and ``git cat-file --batch``), so that no attribute, filter, hook
or LFS download of the repository has a say. Submodules, symbolic links that lead outside, Git LFS pointers and paths
that no checkout would accept are left out or kept as they are, and listed.
"""

from __future__ import annotations

import difflib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from models.errors import InputError, Problem, Where
from models.objects import Missing, Origin
from models.yamldoc.compose import MAX_BYTES

_LFS = b"version https://git-lfs.github.com/spec/v1\n"
_FILE, _LINK, _SUBMODULE = "100", "120", "160"
"""First digits of the modes of a tree entry (gitformat-tree)."""

_SHALLOW = "fetch the whole history: `fetch-depth: 0` for actions/checkout, GIT_DEPTH: 0 on GitLab, or git fetch"
_LOCAL_VARIABLES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY")
"""Set inside hooks; they would point git at another repository than the one asked for."""


@dataclass(frozen=True)
class Checkout:
    """The files of one commit. folder: where they are for as long as the context lasts. notes: what is not as it was
    written, each with what that hides."""

    folder: Path
    commit: str
    notes: tuple[Missing, ...] = ()


@dataclass(frozen=True)
class _Entry:
    mode: str
    blob: str
    size: int
    path: str


def work_tree(path: Path) -> Path:
    """The top folder of the git work tree around ``path``. Raises InputError outside of one and without git."""
    folder = path if path.is_dir() else path.parent
    done = _git(folder, "rev-parse", "--show-toplevel")
    if done.returncode:
        raise InputError(
            Problem(
                Where(str(path)),
                f"not inside a git work tree ({_words(done)})",
                "start in a clone, name one with --repository, or give folders as --base ./OLD --head ./NEW",
            )
        )
    return Path(os.fsdecode(done.stdout.rstrip(b"\n"))).resolve()


def is_commit(repository: Path, ref: str) -> bool:
    """Whether git knows a commit by that name."""
    return bool(ref) and _git(repository, *_verify(ref)).returncode == 0


def resolve_commit(repository: Path, ref: str, option: str) -> str:
    """The full id of the commit that ``ref`` (branch, tag, id, ``HEAD~1``) names; ``option`` is for the message.

    Raises InputError when there is none, with the branches of similar names, or what to fetch in a shallow clone.
    """
    done = _git(repository, *_verify(ref))
    if done.returncode == 0:
        return done.stdout.decode().strip()
    known = _lines(repository, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes", "refs/tags")
    plain = {name.rpartition("/")[2]: name for name in reversed(known)}
    close = [plain.get(name, name) for name in difflib.get_close_matches(ref, [*known, *plain], n=3)]
    if is_shallow(repository):
        way_out = f"this clone is shallow: {_SHALLOW}"
    elif close:
        way_out = f"did you mean {', '.join(dict.fromkeys(close))}?"
    else:
        way_out = "name a branch, a tag or a commit of this repository, or an existing folder"
    raise InputError(
        Problem(Where(field=f"{option} {ref}"), "git knows no such commit and there is no such folder", way_out)
    )


def is_shallow(repository: Path) -> bool:
    """Whether the clone lacks history."""
    return _lines(repository, "rev-parse", "--is-shallow-repository") == ["true"]


def merge_base(repository: Path, base: str, head: str) -> str | None:
    """The newest commit that both have in their history, None when there is none.

    Raises InputError when it may exist but the clone is shallow.
    """
    found = _lines(repository, "merge-base", base, head)
    if found:
        return found[0]
    if is_shallow(repository):
        raise InputError(
            Problem(
                Where(field="--base"), "the common ancestor of base and head is not in this shallow clone", _SHALLOW
            )
        )
    return None


@contextmanager
def checkout(repository: Path, commit: str) -> Iterator[Checkout]:
    """The files of ``commit`` (a full id) in a temporary folder that is removed at the end, whatever happens.

    Files larger than what any reader accepts are left out and listed. Raises InputError when git cannot read them.
    """
    entries = list(_entries(repository, commit))
    with tempfile.TemporaryDirectory(prefix="stowplan-") as temporary:
        folder = Path(temporary).resolve() / "tree"
        folder.mkdir()
        notes = _write_files(repository, folder, entries)
        notes += _write_links(repository, folder, [item for item in entries if item.mode.startswith(_LINK)])
        notes += [_left_out(item) for item in entries if item.mode.startswith(_SUBMODULE)]
        yield Checkout(folder, commit, tuple(sorted(notes)))


def _verify(ref: str) -> tuple[str, ...]:
    return ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")


def _entries(repository: Path, commit: str) -> Iterator[_Entry]:
    done = _git(repository, "ls-tree", "-r", "-l", "-z", "--full-tree", commit)
    if done.returncode:
        raise InputError(Problem(Where(str(repository)), f"git cannot list {commit[:12]}: {_words(done)}", _SHALLOW))
    for record in done.stdout.split(b"\0"):
        if record:
            facts, _, path = record.partition(b"\t")
            mode, _, blob, size = facts.decode().split()
            yield _Entry(mode, blob, int(size) if size.isdigit() else 0, os.fsdecode(path))


def _write_files(repository: Path, folder: Path, entries: Sequence[_Entry]) -> list[Missing]:
    """Write the regular files; returns what had to be left out."""
    notes: list[Missing] = []
    wanted: list[_Entry] = []
    for item in entries:
        if not item.mode.startswith(_FILE):
            continue
        if not _safe(item.path):
            notes.append(_note(item, "a path that no checkout accepts"))
        elif item.size > MAX_BYTES:
            notes.append(_note(item, f"{item.size} bytes, more than the {MAX_BYTES} that are read"))
        else:
            wanted.append(item)
    for item, content in zip(wanted, _blobs(repository, [item.blob for item in wanted]), strict=True):
        target = folder / item.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        if content.startswith(_LFS):
            notes.append(_note(item, "a Git LFS pointer: the commit holds its address, not its content"))
    return notes


def _write_links(repository: Path, folder: Path, links: Sequence[_Entry]) -> list[Missing]:
    """Write the symbolic links last, so that no file is written through one; those that leave the folder go again."""
    notes: list[Missing] = []
    made: list[tuple[_Entry, Path]] = []
    for item, target in zip(links, _blobs(repository, [item.blob for item in links]), strict=True):
        place = folder / item.path
        if not _safe(item.path) or os.path.lexists(place) or target.startswith(b"/") or b"\0" in target:
            notes.append(_note(item, "a symbolic link that leads outside of the repository"))
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.parent.resolve().is_relative_to(folder):
            notes.append(_note(item, "a path that no checkout accepts"))
            continue
        place.symlink_to(os.fsdecode(target))
        made.append((item, place))
    # Only once all are there: a link may lead outside through another one.
    outside = [(item, place) for item, place in made if not Path(os.path.realpath(place)).is_relative_to(folder)]
    for item, place in outside:
        place.unlink()
        notes.append(_note(item, "a symbolic link that leads outside of the repository"))
    return notes


def _blobs(repository: Path, names: Sequence[str]) -> Iterator[bytes]:
    """The contents of the blobs in order, from one ``git cat-file`` process."""
    if not names:
        return
    # The names go through a file: with two pipes, git and we could wait for each other.
    with tempfile.TemporaryFile() as asked:
        asked.write("".join(f"{name}\n" for name in names).encode())
        asked.seek(0)
        command = [_binary(), "-C", str(repository), "cat-file", "--batch"]
        with subprocess.Popen(
            command, stdin=asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment()
        ) as process:
            stream = process.stdout
            if stream is None:
                raise RuntimeError("git was started without a pipe")
            for name in names:
                header = stream.readline().split()
                if len(header) != 3:
                    process.kill()
                    raise InputError(
                        Problem(Where(str(repository)), f"git has no content for object {name[:12]}", _SHALLOW)
                    )
                yield stream.read(int(header[2]))
                stream.read(1)


def _safe(path: str) -> bool:
    """Whether a checkout would accept the path: relative, no dots as steps, nothing inside ``.git``."""
    steps = path.split("/")
    return not PurePosixPath(path).is_absolute() and not any(
        step in ("", ".", "..") or step.lower() == ".git" or "\\" in step for step in steps
    )


def _note(item: _Entry, reason: str) -> Missing:
    return Missing("file", item.path, Origin(item.path), reason, "whatever it declares")


def _left_out(item: _Entry) -> Missing:
    return Missing(
        "repository", item.path, Origin(item.path), "a submodule: its files are not part of the commit", "its files"
    )


def _lines(repository: Path, *arguments: str) -> list[str]:
    done = _git(repository, *arguments)
    return done.stdout.decode("utf-8", "replace").split() if done.returncode == 0 else []


def _words(done: subprocess.CompletedProcess[bytes]) -> str:
    text = done.stderr.decode("utf-8", "replace").strip()
    return text.splitlines()[0] if text else f"exit status {done.returncode}"


def _git(repository: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [_binary(), "-C", str(repository), *arguments]
    return subprocess.run(command, capture_output=True, check=False, env=_environment(), stdin=subprocess.DEVNULL)


def _binary() -> str:
    found = shutil.which("git")
    if found is None:
        raise InputError(
            Problem(Where(), "git is not installed", "install git, or compare folders: --base ./OLD --head ./NEW")
        )
    return found


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in _LOCAL_VARIABLES}
    return {**kept, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
