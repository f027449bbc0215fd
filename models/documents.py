"""YAML (and JSON) files as documents: plain values with the file and line each field stands on.

The reader trusts nothing: it bounds the size, the depth and what aliases expand to, and it refuses repeated keys,
broken UTF-8 and malformed text with the file and the line. Scalars mean what they mean to Kubernetes
(``yes`` is text, ``0644`` is 420, ``1.0`` is 1); see :mod:`models.yamldoc.scalars`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from models.errors import InputError, Problem, Where
from models.yamldoc.compose import MAX_BYTES, TreeBuilder, compose, decode, plain_lines
from models.yamldoc.scalars import json_number, value_of


class _Source:
    """The text of a stream, composed again only when somebody asks for a line."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file

    @cached_property
    def lines(self) -> list[dict[tuple[str | int, ...], int]]:
        """For each document of the stream, the line of every path."""
        return [dict(plain_lines(root, 1)) if root else {} for root in compose(self.text, self.file)]


@dataclass(frozen=True)
class Document:
    """One document of a YAML stream: its value as plain data, its file, its first line (1-based) and its place."""

    value: Any
    file: str
    line: int
    index: int = 0
    _source: _Source | None = field(default=None, repr=False, compare=False)

    def line_of(self, path: tuple[str | int, ...]) -> int:
        """The 1-based line of the field at ``path``, or of its nearest ancestor that exists.

        The first call on a file reads its text again (linear in its size); later calls are look-ups.
        """
        if self._source is None:
            return self.line
        lines = self._source.lines[self.index]
        for length in range(len(path), -1, -1):
            found = lines.get(path[:length])
            if found is not None:
                return found
        return self.line


def _plain_scalar(tag: str, text: str, quoted: bool) -> Any:
    return json_number(value_of(tag, text, quoted))


def parse_documents(text: str | bytes, *, file: str) -> list[Document]:
    """The non-empty documents of ``text``, in order; ``index`` counts the empty ones too.

    Raises:
        InputError: the text is too large, not UTF-8, malformed, nested too deep, repeats a key, or its aliases expand
            to too much; with ``file`` and the line.
    """
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    decoded = decode(content, file)
    source = _Source(decoded, file)
    documents: list[Document] = []
    for index, root in enumerate(compose(decoded, file)):
        if root is None:
            continue
        value = TreeBuilder(file, 1, _plain_scalar, odd_key=str).build(root)
        if value is not None:
            documents.append(Document(value, file, root.start_mark.line + 1, index, source))
    return documents


def read_bytes(path: Path, display: str) -> bytes:
    """The content of a regular file of at most ``MAX_BYTES``. Raises InputError otherwise."""
    try:
        if not path.is_file():
            what = "is a directory" if path.is_dir() else "does not exist or is not a regular file"
            raise InputError(Problem(Where(display), f"the file {what}", "check the path"))
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputError(
                Problem(
                    Where(display),
                    f"the file has {size} bytes, more than the {MAX_BYTES} that are read",
                    "split it, or leave it out of the tree that is read",
                )
            )
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            Problem(Where(display), f"cannot be read: {error.strerror or error}", "check the path and its permissions")
        ) from error


def read_documents(path: Path, *, display: str | None = None) -> list[Document]:
    """The non-empty documents of the file ``path``; ``display`` is the name used in positions and errors.

    Raises:
        InputError: as :func:`parse_documents`, or the file cannot be read.
    """
    name = str(path) if display is None else display
    return parse_documents(read_bytes(path, name), file=name)
