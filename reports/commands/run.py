"""``run``: from a scenario file to a folder of reports."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from models.scenario_file import Changes, load_scenario, resolved_json
from reports.commands.reading import accepted_of, read_trees


def show_scenario(path: Path, changes: Changes) -> str:
    """What would run, as JSON: composed, defaults filled in."""
    return resolved_json(load_scenario(path, changes).scenario)


def run_scenario(
    path: Path,
    changes: Changes,
    output: Path | None,
    *,
    workers: int,
    command: str,
    fetch: bool = False,
    resume: bool = True,
    root: Path | None = None,
    accepted_file: Path | None = None,
) -> bool:
    """Simulate, write the reports, print the verdict. True when every threshold held.

    ``accepted_file``: findings that do not count; default: the file beside the tree, as ``check`` finds it.
    ``resume``: go on from the replications that a killed run of the same study finished.
    """
    loaded = load_scenario(path, changes)
    rendered = read_trees(loaded, fetch=fetch, root=root)
    accepted = accepted_of(loaded.tree_paths(), accepted_file)

    from rich.console import Console

    from reports.build import build_report
    from reports.terminal import print_report
    from reports.write import check_directory, write_report
    from sim.checkpoint import Checkpoints
    from sim.growth import load_growth
    from sim.study import prepare, run

    directory = output or Path("out") / loaded.scenario.metadata.name
    check_directory(directory)
    study = prepare(loaded, rendered)
    console = Console(stderr=True, highlight=False)
    with Stages(console) as stages:
        checkpoints = Checkpoints.of(study)
        if not resume:
            checkpoints.discard()
        results = run(
            study, workers=workers or os.cpu_count() or 1, progress=stages.replications, checkpoints=checkpoints
        )
        stages.say("how much more load fits")
        growth = load_growth(study)
    report = build_report(study, results, command=command, growth=growth, accepted=accepted)
    written = write_report(report, directory)
    checkpoints.discard()
    print_report(report, Console(highlight=False))
    print(f"\n{written[0]}")
    return all(threshold.passed for threshold in report.thresholds)


class Stages:
    """Progress on standard error, only on a terminal."""

    def __init__(self, console: object) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        if not isinstance(console, Console):
            raise TypeError("a rich console is needed")
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
        self._bar = Progress(*columns, TimeElapsedColumn(), console=console, disable=not sys.stderr.isatty())
        self._task = self._bar.add_task("replications", total=None)

    def __enter__(self) -> Stages:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def replications(self, done: int, count: int) -> None:
        """So many of all replications are finished."""
        self._bar.update(self._task, completed=done, total=count)

    def say(self, what: str) -> None:
        """The next stage, of unknown length."""
        self._bar.update(self._task, description=what, completed=0, total=None)
