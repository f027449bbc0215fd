"""Lines of fields, looked up long after a file was read: only keys, names of list items and line numbers are kept.

A field is written as people write it: ``spec.containers[main].env[DB_HOST]``, ``spec.routes[0].match``,
``data.nginx.conf``. Keys may hold dots; an item of a list is named by its place or by its ``name``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from models.errors import InputError
from models.yamldoc.compose import compose, decode

MAX_BYTES = 4_000_000
"""Fields of larger files keep the line of their object."""
_MAX_NODES = 200_000
_INDEX = re.compile(r"\[([^\]]*)\]")


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a document: its 1-based line and what is below it. ``name``: of a list item that has one."""

    line: int
    name: str = ""
    keys: Mapping[str, Mark] = field(default_factory=dict)
    items: tuple[Mark, ...] = ()

    def find(self, path: str) -> tuple[Mark, str]:
        """The deepest place on the way to the field ``path``, and what of the path is left ("": it is the field)."""
        here, rest = self, path
        while rest:
            match = _INDEX.match(rest)
            if match is not None and here.items:
                found = here._item(match[1])
                left = rest[match.end() :].removeprefix(".")
            else:
                found, left = here._key(rest)
            if found is None:
                break
            here, rest = found, left
        return here, rest

    def _item(self, which: str) -> Mark | None:
        if which.isdigit() and int(which) < len(self.items):
            return self.items[int(which)]
        return next((item for item in self.items if item.name == which and which), None)

    def _key(self, rest: str) -> tuple[Mark | None, str]:
        """The longest key that ``rest`` begins with: keys such as ``nginx.conf`` hold dots themselves."""
        end = len(rest)
        while end > 0:
            found = self.keys.get(rest[:end])
            if found is not None:
                return found, rest[end:].removeprefix(".")
            end = max(rest.rfind(".", 0, end), rest.rfind("[", 0, end))
        return None, rest


def marks(text: str, file: str) -> tuple[Mark, ...]:
    """The documents of ``text``, items of a top-level list (``kind: List``) and of ``helmCharts`` after their document.

    Raises:
        InputError: malformed YAML.
    """
    found = []
    for root in compose(text, file):
        if root is not None:
            top = _mark(root, root.start_mark.line + 1, {}, [0])
            found.append(top)
            for key in ("items", "helmCharts"):
                found.extend(top.keys[key].items if key in top.keys else ())
    return tuple(found)


def _mark(node: Any, line: int, seen: dict[int, Mark], count: list[int]) -> Mark:
    count[0] += 1
    if id(node) in seen or count[0] > _MAX_NODES:
        # An alias: where its anchor stands is said by its keys, where it is used by its line.
        below = seen.get(id(node), Mark(line))
        return Mark(line, below.name, below.keys, below.items)
    if type(node) is yaml.MappingNode:
        keys: dict[str, Mark] = {}
        name = ""
        for key, value in node.value:
            if type(key) is yaml.ScalarNode:
                keys[key.value] = _mark(value, key.start_mark.line + 1, seen, count)
                if key.value == "name" and type(value) is yaml.ScalarNode:
                    name = value.value
        made = Mark(line, name, keys)
    elif type(node) is yaml.SequenceNode:
        made = Mark(line, items=tuple(_mark(item, item.start_mark.line + 1, seen, count) for item in node.value))
    else:
        return Mark(line)
    seen[id(node)] = made
    return made


@dataclass(frozen=True, eq=False)
class Lines:
    """Looks lines up in files, each read again once, when it is first asked for.

    ``bases``: folders that the names of files are relative to. ``texts``: marks of what was never a file.
    """

    bases: tuple[str, ...] = ()
    texts: Mapping[str, tuple[Mark, ...]] = field(default_factory=dict)

    def __add__(self, other: Lines) -> Lines:
        return Lines(tuple(dict.fromkeys((*self.bases, *other.bases))), {**self.texts, **other.texts})

    def __reduce__(self) -> tuple[Any, ...]:
        return (Lines, (self.bases, self.texts))

    @cached_property
    def _read(self) -> dict[str, tuple[Mark, ...]]:
        return dict(self.texts)

    def document(self, file: str, line: int) -> Mark | None:
        """The document (or list item) whose first line is ``line``."""
        known = self._read.get(file)
        if known is None:
            known = self._read[file] = self._marks(file)
        return next((item for item in known if item.line == line), None)

    def line_of(self, file: str, line: int | None, *paths: str, whole: bool = False) -> int | None:
        """The line of the first of ``paths`` in the document that begins at ``line``; ``line`` when there is none.

        When no path is there as a whole, the deepest place on the way to one counts, unless ``whole``.
        """
        top = self.document(file, line) if file and line is not None else None
        if top is None:
            return line
        best, left = line, max(len(path) for path in paths) + 1
        for path in paths:
            place, rest = top.find(path)
            if not rest:
                return place.line
            if len(rest) < len(path) and not whole and len(rest) < left:
                best, left = place.line, len(rest)
        return best

    def _marks(self, file: str) -> tuple[Mark, ...]:
        for path in self._candidates(file):
            try:
                if path.is_file() and path.stat().st_size <= MAX_BYTES:
                    return marks(decode(path.read_bytes(), file), file)
            except (OSError, InputError):
                continue
        return ()

    def _candidates(self, file: str) -> Iterator[Path]:
        if file.startswith("/"):
            yield Path(file)
        yield from (Path(base) / file for base in self.bases)
