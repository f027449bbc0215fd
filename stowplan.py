"""The public face of stowplan for notebooks and scripts: ``import stowplan``.

import stowplan

study = stowplan.prepare("scenarios/node-loss.yaml")
study.graph, study.placement                     # a networkx graph, every pod and its node
results = stowplan.run(study, workers=2)
report = stowplan.report(study, results)
stowplan.write(report, "out/mine")

other = stowplan.prepare("scenarios/node-loss.yaml", network__uplink="10Mbit/s")
stowplan.compare(results, stowplan.run(other))   # paired differences with their intervals, a DataFrame
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

_HOME = Path(__file__).resolve().parent
for _name in ("models", "sim", "reports"):
    _spec = find_spec(_name)
    _place = Path(_spec.origin).resolve() if _spec is not None and _spec.origin else None
    if _place is None or _place.parent.parent != _HOME:
        raise ImportError(
            f"stowplan needs its own package {_name!r} beside {_HOME / 'stowplan.py'}, but Python finds "
            f"{_place or 'none'}: start Python in another folder, or rename the package that is in the way"
        )

from models.errors import InputError  # noqa: E402  (only after we know that it is ours)

if TYPE_CHECKING:
    import pandas as pd

    from reports.document import Report
    from sim.compare.difference import Difference
    from sim.study import Results, Study

__all__ = ["InputError", "comment", "compare", "diff", "prepare", "report", "run", "table", "write"]


def prepare(scenario: str | Path, **settings: object) -> Study:
    """Read a scenario file and its trees, build graph, cluster, placement and request program.

    ``settings`` change fields below ``spec``, dots written as double underscores: ``run__replications=4``.
    Raises InputError with every problem found.
    """
    import json

    from models.scenario_file import Changes, load_scenario
    from reports.commands.reading import read_trees
    from sim.study import prepare as prepare_study

    pairs = [f"{key.replace('__', '.')}={json.dumps(value)}" for key, value in settings.items()]
    loaded = load_scenario(Path(scenario), Changes(settings=pairs))
    return prepare_study(loaded, read_trees(loaded))


def run(study: Study, *, workers: int = 1) -> Results:
    """All replications of a study and the loss of each node in turn. The result does not depend on ``workers``."""
    from sim.study import run as run_study

    return run_study(study, workers=workers)


def report(study: Study, results: Results) -> Report:
    """The finished report of a run: verdict, findings, tables, series."""
    from reports.build import build_report

    return build_report(study, results)


def table(report: Report, name: str) -> pd.DataFrame:
    """One table of a report as a DataFrame; estimates become their means. Raises KeyError for a table it has not."""
    import pandas as pd

    from reports.document import Estimate

    found = report.table(name)
    if found is None:
        raise KeyError(f"{name!r}; this report has {', '.join(item.name for item in report.tables)}")
    rows = [[cell.mean if isinstance(cell, Estimate) else cell for cell in row] for row in found.rows]
    return pd.DataFrame(rows, columns=[column.name for column in found.columns])


def compare(before: Results, after: Results, *, confidence: float = 0.95) -> pd.DataFrame:
    """After minus before for every route, paired replication by replication (common random numbers: same seed).

    Columns: route, measure (``availability``, ``median_s``, ``p95_s``), before, after, difference, low, high,
    significant, variance_reduction (the share of the variance that pairing removed), pairs. Raises ValueError when the
    runs measured different times.
    """
    import pandas as pd

    from sim.pairs import paired_rows

    return pd.DataFrame(
        {
            "route": row.route,
            "measure": row.measure,
            "before": row.before,
            "after": row.after,
            "difference": row.difference.interval.estimate,
            "low": row.difference.interval.low,
            "high": row.difference.interval.high,
            "significant": row.difference.significant,
            "variance_reduction": row.difference.variance_reduction,
            "pairs": row.difference.interval.samples,
        }
        for row in paired_rows(before, after, confidence)
    )


def write(report: Report, directory: str | Path) -> tuple[Path, ...]:
    """Write HTML, Markdown, JSON, JUnit and CSV into a folder, all or nothing."""
    from reports.write import write_report

    return write_report(report, Path(directory))


def diff(
    base: str,
    head: str | None = None,
    *trees: str | Path,
    repository: str | Path | None = None,
    nodes: Sequence[str] = (),
    scenario: str | Path | None = None,
    simulate: str | Path | None = None,
) -> Difference:
    """What a change does: two commits (or folders) compared as ``stowplan diff`` does. Without ``head``: the work tree.

    ``nodes``: hardware such as ``3xm920q:server``, or that of a ``scenario``. ``simulate``: a scenario to run on both
    sides. Raises InputError for what is wrong with the question; what is wrong with a side is part of the answer.
    """
    from reports.commands.diff import Wanted, make_difference

    def path(item: str | Path | None) -> Path | None:
        return None if item is None else Path(item)

    wanted = Wanted(
        base, head, [Path(tree) for tree in trees], list(nodes), path(scenario), path(simulate), path(repository)
    )
    return make_difference(wanted)


def comment(difference: Difference) -> str:
    """The difference as the Markdown of a pull-request comment."""
    from reports.diff.comment import render_comment

    return render_comment(difference)


if __name__ == "__main__":
    from reports.cli import main

    sys.exit(main())
