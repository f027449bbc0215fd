"""The output directory of a run: written beside its place, then renamed. Nobody ever sees half a report."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

from models.errors import InputError, Problem, Where
from reports.csvout import table_csv
from reports.document import Report
from reports.html import render_html
from reports.jsonout import to_json
from reports.junit import render_junit
from reports.markdown import render_markdown

_OURS = re.compile(r"report\.(html|md|json|junit\.xml)|tables")
_SCHEMA_FAMILY = "stowplan/report/"


def write_report(report: Report, directory: Path) -> tuple[Path, ...]:
    """Write ``report.html``, ``.md``, ``.json``, ``.junit.xml`` and ``tables/*.csv`` as ``directory``.

    An earlier report there is replaced as a whole; files that are not a report's own are kept. Returns what was
    written, in a fixed order. Raises InputError when the directory holds something else or cannot be written.
    """
    directory = Path(directory)
    target = directory.resolve()
    check_directory(directory)
    contents = _render(report)
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        for name, text in contents.items():
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode("utf-8", errors="replace"))
        _put_in_place(partial, target)
    except OSError as error:
        raise InputError(
            Problem(
                Where(str(directory)),
                f"the report cannot be written: {error.strerror or error}",
                "name a directory whose parent you may write, for example `-o out/report`",
            )
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return tuple(directory / name for name in contents)


def write_text(path: Path, text: str) -> None:
    """Write one file atomically: beside its place, then renamed. Raises InputError when it cannot be written."""
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(
            Problem(Where(str(path)), f"cannot be written: {error.strerror or error}", "name another file with -o")
        ) from error


def _render(report: Report) -> dict[str, str]:
    contents = {
        "report.html": render_html(report),
        "report.md": render_markdown(report),
        "report.json": to_json(report),
        "report.junit.xml": render_junit(report),
    }
    for table in report.tables:
        contents[f"tables/{_file_name(table.name)}.csv"] = table_csv(table)
    return contents


def _file_name(name: str) -> str:
    """The table's name, made safe and still unique when it is not a plain word."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", errors="replace")).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', name)[:50]}-{digest}"


def check_directory(directory: Path) -> None:
    """Raise InputError when ``directory`` cannot become a report: ask before a long run, not after it."""
    target = Path(directory).resolve()
    if not target.exists():
        return
    if not target.is_dir():
        what = "is a file, and a report is a directory"
    elif not any(target.iterdir()) or _is_report(target):
        return
    else:
        what = "exists and is not a report of this tool"
    raise InputError(
        Problem(Where(str(directory)), f"{what}; it is left as it is", "name another directory with -o, or remove it")
    )


def _is_report(target: Path) -> bool:
    try:
        document = json.loads((target / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and str(document.get("schema", "")).startswith(_SCHEMA_FAMILY)


def _put_in_place(partial: Path, target: Path) -> None:
    """Rename ``partial`` to ``target``; what was there steps aside first and comes back when that fails."""
    if not target.exists():
        partial.rename(target)
        return
    aside = target.with_name(f".{target.name}.old-{os.getpid()}")
    target.rename(aside)
    try:
        partial.rename(target)
    except OSError:
        aside.rename(target)
        raise
    for entry in aside.iterdir():
        if not _OURS.fullmatch(entry.name):
            entry.rename(target / entry.name)
    shutil.rmtree(aside)
