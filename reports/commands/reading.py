"""From paths and scenarios to what they render to, and to the findings that their owner accepted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import InputError, Problem
from models.objects import Rendered

if TYPE_CHECKING:
    from models.scenario_file import LoadedScenario
    from sim.accepted import Accepted


def read_paths(
    paths: Sequence[Path],
    *,
    renderer: str = "builtin",
    show_secrets: bool = False,
    fetch: bool = False,
    expand: bool = True,
    root: Path | None = None,
) -> Rendered:
    """Everything that the paths render to, in order; ``-`` is standard input. Raises InputError with all problems.

    ``expand``: let the chart catalogue model charts that cannot be had, and follow Argo CD's and Flux's objects.
    """
    from models.gitops import render_whole
    from models.render import render_text

    def read(path: Path) -> Rendered:
        if str(path) == "-":
            return render_text(sys.stdin.buffer.read(), show_secrets=show_secrets)
        return render_whole(
            path,
            repository=root,
            renderer=renderer,
            fetch=fetch,
            model=expand,
            expand=expand,
            show_secrets=show_secrets,
        )

    return _together(partial(read, path) for path in paths)


def read_trees(loaded: LoadedScenario, *, fetch: bool = False, root: Path | None = None) -> Rendered:
    """All trees of a scenario as one platform, charts and GitOps objects included. Raises InputError as above."""
    pairs = zip(loaded.scenario.spec.trees, loaded.tree_paths(), strict=True)
    return _together(
        partial(read_paths, [path], renderer=tree.renderer, fetch=fetch, root=root) for tree, path in pairs
    )


def _together(readings: Iterable[Callable[[], Rendered]]) -> Rendered:
    """The sum of all readings; when some of them fail, one error with the problems of all."""
    total = Rendered()
    problems: list[Problem] = []
    failure: type[InputError] = InputError
    for read in readings:
        try:
            total += read()
        except InputError as error:
            failure = type(error)
            problems.extend(error.problems)
    if problems:
        raise failure(problems)
    return total


def accepted_of(paths: Sequence[Path], file: Path | None = None) -> Accepted | None:
    """What ``file`` (default: the file beside the first tree) accepts; None without one. Raises InputError."""
    from models.render import display_path, find_repository
    from sim.accepted import Accepted, acceptable_codes, read_accepted

    found = file or find_accepted(paths)
    if found is None:
        return None
    entries = read_accepted(found, acceptable_codes())
    return Accepted(display_path(found, find_repository(found).resolve()), entries)


def find_accepted(paths: Sequence[Path]) -> Path | None:
    """The acceptance file nearest to the first tree, at or above it up to its repository; None when there is none."""
    from models.render import find_repository
    from sim.accepted import FILE

    if not paths or not paths[0].exists():
        return None
    top = find_repository(paths[0])
    folder = paths[0].resolve()
    for candidate in (folder, *folder.parents):
        if (candidate / FILE).is_file():
            return candidate / FILE
        if candidate == top:
            break
    return None
