"""The line of the field itself, where a finding knows the line of its object only."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.documents import Document, read_documents
from models.errors import InputError
from models.findings import Finding

_STEP = re.compile(r"([^.\[\]]+)|\[([^\]]*)\]")
_LINES_PER_FILE = 20_000


def point_at_fields(findings: Iterable[Finding], repository: Path) -> list[Finding]:
    """The same findings, each with the line of its field as far as the file says that field at all.

    A field that a patch or an operator adds is in another file: then the line of the nearest part that is there.
    Reads every file that a finding names once.
    """
    known: dict[str, list[Document]] = {}
    return [_pointed(item, repository, known) for item in findings]


def _pointed(item: Finding, repository: Path, known: dict[str, list[Document]]) -> Finding:
    where = item.where
    if not where.file or where.line is None or not where.field:
        return item
    if where.file not in known:
        known[where.file] = _read(repository / where.file)
    for document in known[where.file]:
        if document.line == where.line and _is_subject(document.value, item.subject):
            return replace(item, where=replace(where, line=document.line_of(path_of(document.value, where.field))))
    return item


def _read(file: Path) -> list[Document]:
    try:
        documents = read_documents(file)
    except (InputError, OSError):
        return []
    # Composing a huge file again costs more than the line is worth.
    return documents if not documents or documents[-1].line < _LINES_PER_FILE else []


def _is_subject(value: Any, subject: str) -> bool:
    return isinstance(value, dict) and str(value.get("kind")) == subject.partition(" ")[0]


def path_of(value: Any, field: str) -> tuple[str | int, ...]:
    """The path that a dotted field means in a document: ``containers[web]`` is the entry whose name is web."""
    path: list[str | int] = []
    for match in _STEP.finditer(field):
        step: str | int | None = match[1]
        if step is None:
            step = _index(value, match[2])
        elif isinstance(value, dict) and step not in value:
            # A key with dots in it: everything that is left.
            rest = field[match.start() :]
            step = rest if rest in value else None
        if step is None:
            break
        path.append(step)
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            break
    return tuple(path)


def _index(value: Any, name: str) -> int | None:
    if not isinstance(value, list):
        return None
    if name.isdigit():
        return int(name)
    found = (number for number, entry in enumerate(value) if isinstance(entry, dict) and entry.get("name") == name)
    return next(found, None)
