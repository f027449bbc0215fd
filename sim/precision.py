"""When a run has made enough replications: every route's availability is known as well as was asked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.estimates import share_estimate
from sim.measures import successes_of

if TYPE_CHECKING:
    from sim.study import Replication, Study

AT_LEAST = 5
"""Fewer replications than this never stop a run: their variance is not known well enough (Law, 5th ed., 9.4.1)."""


@dataclass(frozen=True)
class Precision:
    """How well the availability of one route is known: the half-width of its interval (None: there is none)."""

    route: str
    half_width: float | None
    reached: bool


def precisions(study: Study, done: Sequence[Replication]) -> list[Precision]:
    """Every route against ``run.precision``, by the interval that the report shows; empty when none was asked."""
    run = study.scenario.spec.run
    if run.precision is None:
        return []
    found = []
    for index, route in enumerate(study.compiled.program.routes):
        pairs = [successes_of(item.measures.route_outcomes(index)) for item in done]
        interval = share_estimate([good for good, _ in pairs], [of for _, of in pairs], run.confidence)
        half = (interval.high - interval.low) / 2.0 if interval is not None else math.inf
        found.append(Precision(route, half if math.isfinite(half) else None, half <= run.precision))
    return found


def known_well_enough(study: Study, done: Sequence[Replication]) -> bool:
    """Whether a precision was asked for and every route has it, after at least ``AT_LEAST`` replications."""
    return (
        study.scenario.spec.run.precision is not None
        and len(done) >= AT_LEAST
        and all(item.reached for item in precisions(study, done))
    )
