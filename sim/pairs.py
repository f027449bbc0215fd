"""Two runs under common random numbers, measure by measure: the difference and what pairing was worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim.compare.simulate import MEASURES
from sim.statistics import Difference, paired_difference
from sim.study import Results


@dataclass(frozen=True)
class Pair:
    """One measure of one route before and after, means over the paired replications (seconds, or a share)."""

    route: str
    measure: str
    before: float
    after: float
    difference: Difference


def paired_rows(before: Results, after: Results, confidence: float = 0.95) -> list[Pair]:
    """Every measure of every route that both runs have, replication by replication.

    Both runs must have been made with the same ``run.seed``, so that replication i of one shares its random streams
    with replication i of the other. A run that stopped early is compared over the replications that both have. Raises
    ``ValueError`` when their measured times differ.
    """
    pairs = min(len(before.replications), len(after.replications))
    sides = [[item.measures for item in run.replications[:pairs]] for run in (before, after)]
    lengths = {one.length for side in sides for one in side}
    if len(lengths) > 1:
        raise ValueError(f"the runs measured {' and '.join(f'{length:g} s' for length in sorted(lengths))}")
    names: Sequence[Sequence[str]] = [side[0].program.routes for side in sides]
    found = []
    for route in names[0]:
        if route not in names[1]:
            continue
        for name, measure in MEASURES:
            one, two = (
                np.array([measure(item, routes.index(route)) for item in side])
                for routes, side in zip(names, sides, strict=True)
            )
            if np.isfinite(one).any() and np.isfinite(two).any():
                difference = paired_difference(one, two, confidence)
                found.append(Pair(route, name, float(np.nanmean(one)), float(np.nanmean(two)), difference))
    return found
