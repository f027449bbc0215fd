"""Shipped scenarios, run short and once per process, for the tests of whole studies."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from models.objects import Rendered
from models.scenario_file import Changes, load_scenario
from reports.build import build_report
from reports.commands.reading import read_trees
from reports.jsonout import to_json
from sim.study import Results, Study, prepare, replicate, run

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "scenarios"
SHORT = ("run.length=2m", "run.replications=2", "run.warmUp=10s")

MOVED: dict[str, tuple[str, ...]] = {
    "baseline-day": (),
    "evening-peak": (),
    "my-homelab": (),
    "node-loss": ("faults.0.at=20s", "faults.0.duration=1m"),
    "own-app": (),
    "quota-cut": (
        "operations.0.at=5s",
        "operations.1.at=5s",
        "operations.2.at=10s",
        "operations.3.at=15s",
        "faults.0.at=1m",
    ),
    "rollout": ("operations.0.at=5s", "operations.1.at=10s", "operations.2.at=15s", "operations.3.at=1m"),
    "staging": (),
}
"""Every shipped scenario, and what happens earlier so that it happens within two minutes."""


@functools.cache
def rendered(trees: tuple[Path, ...], name: str) -> Rendered:
    """The trees of a scenario; the same for all that share them."""
    return read_trees(load_scenario(SCENARIOS / f"{name}.yaml"))


@functools.cache
def study(name: str, *settings: str) -> Study:
    """A shipped scenario with other settings, ready to run."""
    loaded = load_scenario(SCENARIOS / f"{name}.yaml", Changes(settings=settings))
    first = name if name in ("own-app", "staging") else "baseline-day"
    return prepare(loaded, rendered(loaded.tree_paths(), first))


@functools.cache
def short(name: str) -> tuple[Study, Results]:
    """Two minutes of a shipped scenario, twice, without the loss of each node."""
    prepared = study(name, *SHORT, *MOVED[name])
    return prepared, run(prepared, survival=False)


@functools.cache
def short_report(name: str) -> dict[str, Any]:
    """The JSON of the report of :func:`short`."""
    content: dict[str, Any] = json.loads(report_json(*short(name)))
    return content


def report_json(prepared: Study, results: Results) -> str:
    """The JSON of a report whose command line does not differ between runs."""
    return to_json(build_report(prepared, results, command="stowplan run"))


@functools.cache
def once(name: str, *settings: str) -> Any:
    """The platform log of one replication."""
    return replicate(study(name, "run.replications=1", *settings), 0).log
