"""Files of a tree: confined to its repository, read once, and turned into manifest trees."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.documents import read_bytes
from models.errors import InputError, Problem, RenderError, Where
from models.kustomize.absent import RemoteError
from models.kustomize.nodes import Tree, copy_tree, from_plain, is_null, plain, text_of
from models.kustomize.resource import validated
from models.yamldoc.compose import TreeBuilder, compose, decode, manifest_scalar
from models.yamldoc.scalars import STR, json_number, resolve, value_of

KUSTOMIZATION_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
"""The names that a kustomization file may have."""
_REMOTE = re.compile(r"(?i)^(?:https?|ssh|file|oci)://|^git::|^git@|^git::?|^[\w.-]+@[\w.-]+:")
_HOSTS = re.compile(r"^(?:github\.com|gitlab\.com|bitbucket\.org|dev\.azure\.com|[\w.-]+\.visualstudio\.com)[/:]")
_PATH_WORD = re.compile(r"""[^\s"'#,\[\]{}:=]+""")
_SEPARATOR = re.compile(r"\n---.*\n")


@dataclass(frozen=True)
class LoadedTree:
    """One manifest of a file: its tree (owned by the reader) and its first line."""

    tree: Tree
    line: int


def is_remote(path: str) -> bool:
    """Whether a path names something on the network: an URL, or a repository in one of git's short forms."""
    if _REMOTE.match(path) or _HOSTS.match(path):
        return True
    # host.tld/org/repo with a reference or a path into a repository
    return bool(re.search(r"[?&](?:ref|version)=", path) or (".git" in path and re.search(r"\.git(?:/|\?|$)", path)))


def enclosing_repository(root: Path) -> Path:
    """The git work tree around ``root``.

    Without one, the smallest directory that holds everything ``root``'s kustomizations name, as long as that is not a
    place where unrelated things lie (the file system's top, the home directory, the directory for temporary files).
    """
    for directory in (root, *root.parents):
        if (directory / ".git").exists():
            return directory
    top = root
    queue, seen = [root], {root}
    while queue:
        directory = queue.pop()
        for path in _named_in(directory):
            if not path.exists():
                continue
            shared = Path(os.path.commonpath((top, path if path.is_dir() else path.parent)))
            if _shared_place(shared):
                continue
            top = shared
            if path.is_dir() and path not in seen:
                seen.add(path)
                queue.append(path)
    return top


def _named_in(directory: Path) -> list[Path]:
    """The paths that a kustomization file in ``directory`` may mean, by a look at its text."""
    for name in KUSTOMIZATION_NAMES:
        try:
            text = (directory / name).read_bytes()[:1_000_000].decode("utf-8", "replace")
        except OSError:
            continue
        words = set(_PATH_WORD.findall(text))
        return [Path(os.path.normpath(directory / word)) for word in sorted(words)[:20_000] if len(word) < 256]
    return []


def _shared_place(directory: Path) -> bool:
    temporary = Path(tempfile.gettempdir()).resolve()
    return len(directory.parts) <= 2 or directory in (Path.home(), Path.home().parent, temporary)


def split_documents(text: str, file: str, first_line: int = 1) -> list[tuple[str, int]]:
    """The documents of a file as Kustomize cuts them, with their first lines. Raises InputError."""
    chunks: list[tuple[str, int]] = []
    previous, line = 0, first_line
    for match in _SEPARATOR.finditer(text):
        rest = match[0][4:].strip()
        if rest and not rest.startswith("#"):
            at = line + text.count("\n", previous, match.start()) + 1
            raise InputError(
                Problem(
                    Where(file, at),
                    f"invalid document separator: {match[0].strip()}",
                    "put nothing but a comment behind `---`",
                )
            )
        chunks.append((text[previous : match.start()] + "\n", line))
        line += text.count("\n", previous, match.end())
        previous = match.end()
    chunks.append((text[previous:], line))
    return chunks


def parse_manifests(text: str, file: str, first_line: int = 1) -> list[LoadedTree]:
    """The manifests in ``text``, lists of objects taken apart, empty documents left out.

    Raises:
        InputError: malformed YAML.
        RenderError: a document that is no Kubernetes object.
    """
    text = text.replace("\r\n", "\n")
    loaded: list[LoadedTree] = []
    chunks = split_documents(text, file, first_line)
    for chunk, line in chunks:
        roots = compose(chunk, file, line, only_first=True)
        if not roots or roots[0] is None:
            continue
        tree = TreeBuilder(file, line, manifest_scalar).build(roots[0])
        if is_null(tree):
            continue
        start = line + roots[0].start_mark.line
        if (
            len(chunks) == 1
            and isinstance(tree, dict)
            and text_of(tree.get("kind")) in ("List", "ResourceList")
            and ("items" in tree or "functionConfig" in tree)
        ):
            loaded.extend(_items(tree, roots[0], line, start))
        else:
            loaded.append(LoadedTree(tree, start))
    return _inline_lists(loaded, file)


def _items(tree: Tree, node: Any, first_line: int, start: int) -> list[LoadedTree]:
    items = tree.get("items")
    if not isinstance(items, list):
        return []
    lines = [start] * len(items)
    for key, value in node.value:
        if key.value == "items" and isinstance(value.value, list) and len(value.value) == len(items):
            lines = [first_line + item.start_mark.line for item in value.value]
    return [LoadedTree(item, line) for item, line in zip(items, lines, strict=True)]


def _inline_lists(loaded: list[LoadedTree], file: str) -> list[LoadedTree]:
    queue = [item for item in loaded if not _blank(item.tree)]
    for item in queue:
        validated(item.tree, Where(file, item.line))
    result: list[LoadedTree] = []
    while queue:
        item = queue.pop(0)
        tree = item.tree
        kind = text_of(tree.get("kind"))
        if not kind.endswith("List") or "items" not in tree:
            result.append(item)
            continue
        items = tree["items"]
        if is_null(items):
            continue
        if not isinstance(items, list):
            raise RenderError(
                Problem(Where(file, item.line, f"{kind}/items"), "expected a list", "write the objects as list items")
            )
        where = Where(file, item.line, f"{kind}/items")
        for one in items:
            if not _blank(one):
                validated(one, Where(file, item.line))
                queue.append(LoadedTree(_as_data(one, where), item.line))
    return result


def _as_data(tree: Tree, where: Where) -> Tree:
    """An object out of a list among other documents: upstream takes its values, which forgets how they were written."""
    try:
        return from_plain(plain(tree))
    except ValueError as error:
        raise RenderError(Problem(where, str(error), "mend the value")) from error


def _blank(tree: Tree) -> bool:
    return is_null(tree) or tree in ({}, [])


def _config_scalar(tag: str, text: str, quoted: bool) -> Any:
    if tag == "" and not quoted:
        return json_number(resolve(text, True)[1])
    return text if tag == STR else json_number(value_of(tag, text, quoted))


def parse_config(text: str, file: str, first_line: int = 1) -> Any:
    """The first document of a configuration file as plain data (YAML 1.1 booleans, the last of repeated keys wins)."""
    roots = compose(text, file, first_line, only_first=True)
    if not roots or roots[0] is None:
        return None
    return TreeBuilder(file, first_line, _config_scalar, odd_key=_config_key, last_key_wins=True).build(roots[0])


def _config_key(text: str) -> str:
    value = resolve(text, True)[1]
    return (
        {True: "true", False: "false", None: "null"}.get(value, text)
        if not isinstance(value, int | float) or isinstance(value, bool)
        else str(value)
    )


@dataclass
class Files:
    """The files of one build: which may be read, and what has been read.

    Attributes:
        repository: nothing outside of it is read (real path).
        restrict: refuse files outside of the kustomization's own directory, as Kustomize does by default.
        beside: another directory that may be read (real path).
    """

    repository: Path
    restrict: bool = False
    beside: Path | None = None
    _bytes: dict[Path, bytes] = field(default_factory=dict)
    _manifests: dict[Path, list[LoadedTree]] = field(default_factory=dict)

    def may_read(self, path: Path) -> bool:
        """Whether a real path is inside of what may be read."""
        return path.is_relative_to(self.repository) or (self.beside is not None and path.is_relative_to(self.beside))

    def display(self, path: Path) -> str:
        """``path`` relative to the repository."""
        try:
            return path.relative_to(self.repository).as_posix() or "."
        except ValueError:
            return os.path.relpath(path, self.repository)

    def confined(self, base: Path, name: str, where: Where) -> Path:
        """The real path of ``name`` seen from ``base``. Raises RenderError when it leads out of the repository."""
        joined = Path(os.path.normpath(base / name))
        try:
            real = joined.resolve(strict=True)
        except RuntimeError as error:
            raise RenderError(
                Problem(where, f"'{name}' is a loop of symbolic links", "point the link at a file")
            ) from error
        except ValueError as error:
            raise RenderError(Problem(where, f"{name!r} is no path: {error}", "mend the path")) from error
        except OSError as error:
            what = "is a loop of symbolic links" if error.errno == errno.ELOOP else "does not exist"
            raise RenderError(
                Problem(where, f"'{name}' {what} (looked at {self.display(joined)})", "check the path")
            ) from error
        if not self.may_read(real):
            raise RenderError(
                Problem(
                    where,
                    f"'{name}' leads out of the repository {self.repository}",
                    "move the file into the repository, or name a wider root with --root",
                )
            )
        return real

    def file(self, base: Path, name: str, where: Where) -> Path:
        """The real path of the file ``name``. Raises RenderError when there is none or it may not be read."""
        if is_remote(name) and not (base / name).exists():
            raise RemoteError(where, name)
        real = self.confined(base, name, where)
        if real.is_dir():
            raise RenderError(Problem(where, f"'{name}' is a directory, not a file", "name the file"))
        if self.restrict and not real.is_relative_to(base):
            raise RenderError(
                Problem(
                    where,
                    f"security; file '{self.display(real)}' is not in or below '{self.display(base)}'",
                    "move it below the kustomization, or build without the restriction",
                )
            )
        return real

    def read(self, base: Path, name: str, where: Where) -> bytes:
        """The content of the file ``name``."""
        return self.read_path(self.file(base, name, where))

    def read_path(self, path: Path) -> bytes:
        """The content of a file whose real path is known."""
        if path not in self._bytes:
            self._bytes[path] = read_bytes(path, self.display(path))
        return self._bytes[path]

    def text(self, path: Path) -> str:
        """The content of a file as text."""
        return decode(self.read_path(path), self.display(path))

    def manifests(self, path: Path) -> list[LoadedTree]:
        """The manifests of a file, each time as fresh trees."""
        known = self._manifests.get(path)
        if known is None:
            known = self._manifests[path] = parse_manifests(self.text(path), self.display(path))
        return [LoadedTree(copy_tree(item.tree), item.line) for item in known]
