"""Charts of the tree whose templates call those of a library chart that is not there.

Helm renders such a chart not at all. Here its other templates are rendered, in a copy without those that call a
template nobody defines. A chart that hands everything to bjw-s' library ``common`` is what ``app-template`` is, with
its values one level higher.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_CALLS: Final = re.compile(r"\b(?:include|template)\s+\"([\w./\-]+)\"")
_DEFINES: Final = re.compile(r"\{\{-?\s*define\s+\"([\w./\-]+)\"")
_LOADERS: Final = ("bjw-s.common.loader.all", "bjw-s.common.loader.generate", "common.all")
_MOST_BYTES: Final = 1_000_000
_MOST_FILES: Final = 2_000


def calls_loader(chart: Path) -> bool:
    """Whether a template of the chart lets bjw-s' library make everything from the values."""
    return any(name in _LOADERS for text in _templates(chart).values() for name in _CALLS.findall(text))


@contextmanager
def without_unknown_calls(chart: Path) -> Iterator[tuple[Path, tuple[Path, ...]] | None]:
    """A copy of an unpacked chart without the templates that call undefined ones; None when none of them does.

    Also the templates left out, except those that only call a loader.
    """
    texts = _templates(chart)
    defined = {name for text in _templates(chart, "**/templates").values() for name in _DEFINES.findall(text)}
    unknown = set(texts)
    callers: set[Path] = set()
    while unknown:
        # What calls a template that only a left out file defines goes as well.
        found = {file for file in unknown if any(name not in defined for name in _CALLS.findall(texts[file]))}
        callers |= found
        unknown -= found
        gone = {name for file in found for name in _DEFINES.findall(texts[file])}
        if not gone & defined:
            break
        defined -= gone
    if not callers or sum(1 for _ in chart.rglob("*")) > _MOST_FILES:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="stowplan-") as folder:
        copy = Path(folder) / chart.name
        shutil.copytree(chart, copy, symlinks=True)
        for file in callers:
            (copy / file.relative_to(chart)).unlink()
        lost = sorted(file for file in callers if set(_CALLS.findall(texts[file])) - set(_LOADERS))
        yield copy, tuple(file for file in lost if file.suffix != ".tpl")


def _templates(chart: Path, folder: str = "templates") -> dict[Path, str]:
    """The files of the chart's templates (with ``**/templates``: of its own and of the charts in it) and their text."""
    files = [file for found in sorted(chart.glob(folder)) for file in sorted(found.rglob("*")) if file.is_file()]
    return {
        file: file.read_text(encoding="utf-8", errors="replace")
        for file in files
        if file.suffix in (".yaml", ".yml", ".tpl", ".txt") and file.stat().st_size <= _MOST_BYTES
    }
