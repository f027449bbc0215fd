"""How many times today's load fits: a search for the load at which the first objective breaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.scenario import Scenario
from models.traffic import Traffic
from sim.measures import EngineMeasures, successes_of
from sim.metrics import ObjectiveResult, RouteMetrics, bottlenecks, objective_results, route_metrics
from sim.streams import request_series, stream_operations
from sim.study import Replication, Results, Study, replicate

MOST = 64.0
"""Loads beyond this multiple are not tried."""

BISECTIONS = 4
REQUESTS = 3000.0
"""Requests per trial: enough for a p95 of the busy routes, few enough to be quick."""

SHORTEST_S, LONGEST_S, WARM_UP_S = 30.0, 600.0, 20.0

STREAM_S = 5.0
"""The longest stream of a trial lasts so long on average.

A film of an hour would never be under way in a trial of a minute, so that streams are made shorter and as much more
frequent. How many there are at once, and which share finds no room, depends on rate times mean length alone (Erlang's
loss formula holds for any length: Sevastyanov, Theory of Probability and its Applications 2, 1957); when measuring
begins, 98 % of them are there.
"""


@dataclass(frozen=True)
class Trial:
    """One load that was tried: its multiple, the objective with the least slack, and the busiest resource.

    ``streams_lost``: the share of its streams that found no room or failed; None without any. No objective judges them.
    """

    load: float
    tightest: ObjectiveResult | None
    held: bool
    bottleneck: str
    utilisation: float
    streams_lost: float | None = None


def load_growth(study: Study) -> list[Trial]:
    """Loads tried in ascending order, with nothing failing: doubled until an objective breaks, then bisected.

    Each trial is one replication at the scenario's busiest hour. Empty when the scenario has no objectives or no open
    traffic to multiply.
    """
    spec = study.scenario.spec
    if not spec.objectives.routes or not any(item.rate is not None or item.users for item in spec.traffic):
        return []
    trials = [_trial(study, 1.0)]
    while trials[-1].held and trials[-1].load < MOST:
        trials.append(_trial(study, trials[-1].load * 2))
    if not trials[-1].held and len(trials) > 1:
        low, high = trials[-2].load, trials[-1].load
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            trials.append(_trial(study, middle))
            low, high = (middle, high) if trials[-1].held else (low, middle)
    return sorted(trials, key=lambda trial: trial.load)


def largest_fit(trials: Sequence[Trial]) -> tuple[float, Trial | None]:
    """The largest load that held (0 when none did) and the smallest trial that did not."""
    broken = next((trial for trial in trials if not trial.held), None)
    held = [trial.load for trial in trials if trial.held and (broken is None or trial.load < broken.load)]
    return max(held, default=0.0), broken


def _trial(study: Study, load: float) -> Trial:
    scaled = study.with_scenario(_scaled(study.scenario, load, study))
    done = (replicate(scaled, 0),)
    results = Results(done, ())
    weight = 1 / _stretch(study.scenario)
    metrics = [_weighted(scaled, item, done[0], weight) for item in route_metrics(scaled, results, (50, 95))]
    judged = objective_results(scaled.scenario, metrics)
    tightest = min(judged, key=lambda item: item.slack, default=None)
    busiest = bottlenecks(scaled, done)[0]
    held = all(item.held for item in judged)
    return Trial(load, tightest, held, busiest.resource, busiest.utilisation, _streams_lost(done[0].measures))


def _streams_lost(measures: EngineMeasures) -> float | None:
    streams = stream_operations(measures.program)
    rows = [row for row, (_, operation) in enumerate(measures.series) if operation in streams]
    good, wanted = successes_of(measures.outcomes[rows].sum(axis=0))
    return 1 - good / wanted if wanted else None


def _stretch(scenario: Scenario) -> float:
    """How much shorter, and more frequent, the streams of a trial are."""
    longest = max((stream.duration for item in scenario.spec.traffic for stream in item.streams), default=0.0)
    return max(1.0, longest / STREAM_S)


def _weighted(study: Study, metrics: RouteMetrics, done: Replication, weight: float) -> RouteMetrics:
    """The route with each of its streams counted ``weight`` times: as rare among its requests as they are outside."""
    measures, route = done.measures, study.compiled.program.routes.index(metrics.route)
    good, wanted = successes_of(measures.route_outcomes(route))
    requests = measures.outcomes[request_series(measures, route)].sum(axis=0)
    good_requests, wanted_requests = successes_of(requests)
    whole = wanted_requests + weight * (wanted - wanted_requests)
    if metrics.availability is None or not whole:
        return metrics
    share = (good_requests + weight * (good - good_requests)) / whole
    return replace(metrics, availability=replace(metrics.availability, mean=share))


def _scaled(scenario: Scenario, load: float, study: Study) -> Scenario:
    """The scenario's busiest moment at ``load`` times its traffic, without faults and operations, and short."""
    rates = [max(source.rates) for source in study.compiled.program.sources if source.rates]
    total = sum(rates) + sum(source.users / (source.think.mean + 1.0) for source in study.compiled.program.sources)
    length = min(max(REQUESTS / max(total * load, 1e-9), SHORTEST_S), LONGEST_S)
    stretch = _stretch(scenario)
    traffic = tuple(_busy(item, load, stretch) for item in scenario.spec.traffic)
    run = scenario.spec.run.model_copy(
        update={"length": length, "warm_up": WARM_UP_S, "replications": 1, "start": _busiest_hour(study)}
    )
    spec = scenario.spec.model_copy(
        update={"traffic": traffic, "faults": (), "operations": (), "thresholds": {}, "run": run}
    )
    return scenario.model_copy(update={"spec": spec})


def _busy(traffic: Traffic, load: float, stretch: float) -> Traffic:
    changes: dict[str, object] = {}
    if traffic.rate is not None:
        changes["rate"] = traffic.rate * load
    if traffic.users is not None:
        changes["users"] = max(1, round(traffic.users * load))
    changes["streams"] = tuple(
        item.model_copy(update={"rate": item.rate * load * stretch, "duration": item.duration / stretch})
        for item in traffic.streams
    )
    return traffic.model_copy(update=changes)


def _busiest_hour(study: Study) -> str:
    """The hour of the day (HH:00) with the highest total rate."""
    totals = [0.0] * 24
    for source in study.compiled.program.sources:
        for hour, rate in enumerate(source.rates):
            totals[hour % 24] += rate
    return f"{max(range(24), key=totals.__getitem__):02d}:00"
