"""``diff``: what a change does to a platform, before it is merged."""

from __future__ import annotations

import gc
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import typer

from models.catalog import load_timings
from models.cluster import build_cluster
from models.errors import InputError, Problem, Where
from models.findings import Severity
from models.objects import Rendered
from models.scenario import Cluster
from models.scenario_file import Changes, LoadedScenario, load_scenario
from reports.commands.inspect import parse_nodes
from reports.diff.comment import render_comment, render_summary
from reports.diff.data import render_json, render_junit
from reports.diff.page import render_page
from reports.diff.platforms import Hardware, read_parts
from reports.diff.sides import Sides, open_sides
from reports.diff.text import render_text
from reports.write import write_text
from sim.compare import Part, compare
from sim.compare.difference import STATIC_THRESHOLDS, Difference, Line, RouteDelta

FORMATS: dict[str, Callable[[Difference], str]] = {
    "text": render_text,
    "comment": render_comment,
    "markdown": render_summary,
    "json": render_json,
    "junit": render_junit,
    "html": render_page,
}

FILES = {
    "comment.md": "comment",
    "report.md": "markdown",
    "report.json": "json",
    "report.junit.xml": "junit",
    "report.html": "html",
}
"""What ``-o`` writes."""


_COLLECT_AFTER = 200_000
"""New objects between two runs of the garbage collector while both sides are read."""


@dataclass(frozen=True)
class Wanted:
    """The command line of ``diff``."""

    base: str
    head: str | None
    trees: Sequence[Path] = ()
    nodes: Sequence[str] = ()
    scenario: Path | None = None
    simulate: Path | None = None
    repository: Path | None = None
    exact: bool = False
    seed: int = 1
    workers: int = 1
    fetch: bool = False
    renderer: str = "builtin"


def make_difference(wanted: Wanted) -> Difference:
    """Read, place, check and compare both sides. Raises InputError for what is wrong with the question itself."""
    with _rarely_collecting():
        return _make(wanted)


@contextmanager
def _rarely_collecting() -> Iterator[None]:
    """Two platforms are millions of small objects, nearly all of which stay: looking for garbage is a fifth of the
    time."""
    before = gc.get_threshold()
    gc.set_threshold(_COLLECT_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _make(wanted: Wanted) -> Difference:
    loaded = _scenario(wanted)
    hardware = _hardware(wanted, loaded)
    own = loaded.tree_paths() if loaded is not None else ()
    with open_sides(
        wanted.base,
        wanted.head,
        wanted.trees,
        repository=wanted.repository,
        exact=wanted.exact,
        otherwise=own,
    ) as sides:
        parts, base, head = read_parts(sides, hardware, fetch=wanted.fetch, renderer=wanted.renderer)
        notes = list(sides.notes)
        simulated, lines = _simulated(wanted, parts, notes)
        return compare(
            parts,
            base,
            head,
            simulated=simulated,
            thresholds=lines,
            notes=notes,
            command=_command(wanted, sides),
            version=_version(),
            hardware_known=hardware.nodes is not None,
        )


def show_difference(difference: Difference, form: str, output: Path | None) -> None:
    """Print the difference in one form; with ``output``, write every form into that folder as well."""
    if output is not None:
        _write_all(difference, output)
    typer.echo(FORMATS[form](difference), nl=False)


def fails(difference: Difference, fail_on: str) -> bool:
    """Whether the difference reaches what ``--fail-on`` names."""
    still = [item for item in difference.outcomes if item.news != "fixed"]
    unheld = [line for line in difference.thresholds if not line.held and line.metric not in STATIC_THRESHOLDS]
    if fail_on == "never":
        return False
    if fail_on == "any":
        return difference.status != "same"
    if fail_on == "new-error":
        return difference.status == "fail"
    if fail_on == "new-warning":
        return difference.status == "fail" or any(
            item.severity >= Severity.WARNING for item in difference.outcomes if item.news in ("new", "worse")
        )
    least = Severity.ERROR if fail_on == "error" else Severity.WARNING
    return bool(unheld) or any(item.severity >= least for item in still)


# ------------------------------------------------------------------------------------------------- the question


def _scenario(wanted: Wanted) -> LoadedScenario | None:
    path = wanted.simulate or wanted.scenario
    return load_scenario(path, Changes()) if path is not None else None


def _hardware(wanted: Wanted, loaded: LoadedScenario | None) -> Hardware:
    timings = load_timings()
    cluster: Cluster | None = None
    if loaded is not None:
        cluster = loaded.scenario.spec.cluster
        timings = timings.with_overrides(cluster.timers)
    if wanted.nodes:
        rows = parse_nodes(wanted.nodes)
        cluster = cluster.model_copy(update={"nodes": rows}) if cluster is not None else Cluster(nodes=rows)
    if cluster is not None:
        build_cluster(cluster, timings=timings)  # what is wrong with it is wrong with the question, not with a side
    return Hardware(cluster, timings, wanted.seed)


def _simulated(wanted: Wanted, parts: Sequence[Part], notes: list[str]) -> tuple[Sequence[RouteDelta], Sequence[Line]]:
    """Paired simulation of the platform that changed; says why when it cannot be had."""
    if wanted.simulate is None:
        return (), ()
    from sim.compare.simulate import simulate

    changed = [part for part in parts if not part.same and part.base is not None and part.head is not None]
    if len(changed) != 1:
        words = "no platform changed" if not changed else f"{len(changed)} platforms changed: name one TREE"
        notes.append(f"nothing was simulated: {words}")
        return (), ()
    settings = Changes(settings=[f"run.seed={wanted.seed}"] if wanted.seed != 1 else [])
    loaded = load_scenario(wanted.simulate, settings)
    try:
        return simulate(loaded, _rendered(changed[0].base), _rendered(changed[0].head), workers=wanted.workers)
    except InputError as error:
        notes.append(f"nothing was simulated: {'; '.join(str(problem.what) for problem in error.problems)}")
        return (), ()


def _rendered(standing: Any) -> Rendered:
    found: Rendered = standing.platform.rendered
    return found


def _command(wanted: Wanted, sides: Sides) -> str:
    """The command that makes the same report again: commits by their id, nothing that belongs to this machine."""
    words = ["stowplan", "diff", "--base", _side_word(sides.base.commit, wanted.base, "BASE")]
    if wanted.head is not None:
        words += ["--head", _side_word(sides.head.commit, wanted.head, "HEAD")]
    if sides.base.commit:
        words.append("--exact")
    for node in wanted.nodes:
        words += ["--nodes", node]
    for option, path in (("--scenario", wanted.scenario), ("--simulate", wanted.simulate)):
        if path is not None:
            words += [option, path.name if path.is_absolute() else path.as_posix()]
    if wanted.seed != 1:
        words += ["--seed", str(wanted.seed)]
    return shlex.join([*words, *sides.trees])


def _side_word(commit: str, given: str, placeholder: str) -> str:
    if commit:
        return commit[:12]
    return placeholder if given.startswith(("/", "~")) else given


def _version() -> str:
    try:
        return version("stowplan")
    except PackageNotFoundError:
        return "unknown"


def _write_all(difference: Difference, folder: Path) -> None:
    """Every form as a file. Raises InputError when the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            Problem(Where(str(folder)), f"cannot be made: {error.strerror or error}", "name another folder with -o")
        ) from error
    for name, form in FILES.items():
        write_text(folder / name, FORMATS[form](difference))
