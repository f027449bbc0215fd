"""Latency and availability of both sides under one scenario, with the same random streams on both.

Arrivals, demands and faults are drawn from streams that belong to their source, not to the platform, so that a
replication of the head differs from that of the base by the change alone (common random numbers; Law, Simulation
Modeling and Analysis, 5th ed., 11.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from models.objects import Rendered
from models.scenario_file import LoadedScenario
from sim.compare.difference import Line, RouteDelta
from sim.measures import EngineMeasures, histogram_quantile
from sim.metrics import ThresholdOutcome, threshold_results
from sim.statistics import paired_difference
from sim.streams import request_latency
from sim.study import Results, Study, prepare, run

Measure = Callable[[EngineMeasures, int], float]

MEASURES: tuple[tuple[str, Measure], ...] = (
    ("availability", lambda measures, route: measures.availability(route)),
    ("median_s", lambda measures, route: histogram_quantile(request_latency(measures, route), 0.5)),
    ("p95_s", lambda measures, route: histogram_quantile(request_latency(measures, route), 0.95)),
)


def simulate(
    loaded: LoadedScenario, base: Rendered, head: Rendered, *, workers: int = 1
) -> tuple[list[RouteDelta], list[Line]]:
    """Paired differences of every route that both sides have, largest relative change first, and the thresholds.

    Raises InputError when the scenario does not fit one of the sides (a target or a route that it has not).
    """
    studies = prepare(loaded, base), prepare(loaded, head)
    results = [run(study, workers=workers, survival=False) for study in studies]
    pairs = min(len(item.replications) for item in results)
    rows = list(_deltas(studies, results, pairs, loaded.scenario.spec.run.confidence))
    return sorted(rows, key=_largest_first), _lines(studies, results)


def _largest_first(row: RouteDelta) -> tuple[object, ...]:
    relative = abs(row.difference or 0.0) / (abs(row.before or 0.0) or 1.0)
    return (not row.significant, -relative, row.route, row.measure)


def _deltas(
    studies: tuple[Study, Study], results: Sequence[Results], pairs: int, confidence: float
) -> list[RouteDelta]:
    names = [study.compiled.program.routes for study in studies]
    rows = []
    for route in names[0]:
        if route not in names[1]:
            continue
        for name, measure in MEASURES:
            values = [
                np.array([measure(item.measures, routes.index(route)) for item in result.replications[:pairs]])
                for routes, result in zip(names, results, strict=True)
            ]
            if not all(np.isfinite(side).any() for side in values):
                continue
            found = paired_difference(values[0], values[1], confidence)
            interval = found.interval
            bounded = math.isfinite(interval.low)
            rows.append(
                RouteDelta(
                    route,
                    name,
                    float(np.nanmean(values[0])),
                    float(np.nanmean(values[1])),
                    interval.estimate if math.isfinite(interval.estimate) else None,
                    interval.low if bounded else None,
                    interval.high if bounded else None,
                    confidence,
                    interval.samples,
                    bounded and found.significant,
                    found.variance_reduction if math.isfinite(found.variance_reduction) else None,
                )
            )
    return rows


def _lines(studies: tuple[Study, Study], results: Sequence[Results]) -> list[Line]:
    before, after = (threshold_results(study, result) for study, result in zip(studies, results, strict=True))
    return [
        Line(two.metric, two.text, _text(one), _text(two), two.held, one.held)
        for one, two in zip(before, after, strict=True)
    ]


def _text(outcome: ThresholdOutcome) -> str:
    return "–" if outcome.observed is None else f"{outcome.observed:.4g}"
