"""From a command's arguments to a platform at rest: a tree, and hardware from ``--nodes`` or a scenario."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import InputError, Problem, Where
from reports.commands.inspect import parse_nodes
from reports.commands.reading import read_paths, read_trees

if TYPE_CHECKING:
    from sim.standing import Standing


def read_standing(
    paths: Sequence[Path],
    scenario: Path | None = None,
    nodes: Sequence[str] = (),
    *,
    seed: int = 1,
    renderer: str = "builtin",
    fetch: bool = False,
    root: Path | None = None,
) -> Standing:
    """The platform of ``paths`` (default: the scenario's trees) on the hardware that was named, if any was.

    Raises InputError with every problem found.
    """
    from models.catalog import load_timings
    from models.scenario import Cluster
    from models.scenario_file import Changes, load_scenario
    from sim.standing import stand

    if scenario is None and not paths:
        raise InputError(Problem(Where(), "no tree", "name a tree, or a --scenario that has one"))
    timings = load_timings()
    hardware: Cluster | None = None
    loaded = None
    if scenario is not None:
        loaded = load_scenario(scenario, Changes(trees=paths))
        hardware = loaded.scenario.spec.cluster
        timings = timings.with_overrides(hardware.timers)
    if nodes:
        rows = parse_nodes(nodes)
        hardware = hardware.model_copy(update={"nodes": rows}) if hardware is not None else Cluster(nodes=rows)
    if loaded is None:
        rendered = read_paths(paths, renderer=renderer, fetch=fetch, root=root)
    else:
        rendered = read_trees(loaded, fetch=fetch, root=root)
    return stand(rendered, hardware, seed=seed, timings=timings)
