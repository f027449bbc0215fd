"""How many times today's load fits: a search for the load at which the first objective breaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.scenario import Scenario, Traffic
from sim.metrics import ObjectiveResult, bottlenecks, objective_results, route_metrics
from sim.study import Results, Study, replicate

MOST = 64.0
"""Loads beyond this multiple are not tried."""

BISECTIONS = 4
REQUESTS = 3000.0
"""Requests per trial: enough for a p95 of the busy routes, few enough to be quick."""

SHORTEST_S, LONGEST_S, WARM_UP_S = 30.0, 600.0, 20.0


@dataclass(frozen=True)
class Trial:
    """One load that was tried: its multiple, the objective with the least slack, and the busiest resource."""

    load: float
    tightest: ObjectiveResult | None
    held: bool
    bottleneck: str
    utilisation: float


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
    judged = objective_results(scaled.scenario, route_metrics(scaled, results, (50, 95)))
    tightest = min(judged, key=lambda item: item.slack, default=None)
    busiest = bottlenecks(scaled, done)[0]
    held = all(item.held for item in judged)
    return Trial(load, tightest, held, busiest.resource, busiest.utilisation)


def _scaled(scenario: Scenario, load: float, study: Study) -> Scenario:
    """The scenario's busiest moment at ``load`` times its traffic, without faults and operations, and short."""
    rates = [max(source.rates) for source in study.compiled.program.sources if source.rates]
    total = sum(rates) + sum(source.users / (source.think.mean + 1.0) for source in study.compiled.program.sources)
    length = min(max(REQUESTS / max(total * load, 1e-9), SHORTEST_S), LONGEST_S)
    traffic = tuple(_busy(item, load) for item in scenario.spec.traffic)
    run = scenario.spec.run.model_copy(
        update={"length": length, "warm_up": WARM_UP_S, "replications": 1, "start": _busiest_hour(study)}
    )
    spec = scenario.spec.model_copy(
        update={"traffic": traffic, "faults": (), "operations": (), "thresholds": {}, "run": run}
    )
    return scenario.model_copy(update={"spec": spec})


def _busy(traffic: Traffic, load: float) -> Traffic:
    changes: dict[str, object] = {}
    if traffic.rate is not None:
        changes["rate"] = traffic.rate * load
    if traffic.users is not None:
        changes["users"] = max(1, round(traffic.users * load))
    changes["streams"] = tuple(item.model_copy(update={"rate": item.rate * load}) for item in traffic.streams)
    return traffic.model_copy(update=changes)


def _busiest_hour(study: Study) -> str:
    """The hour of the day (HH:00) with the highest total rate."""
    totals = [0.0] * 24
    for source in study.compiled.program.sources:
        for hour, rate in enumerate(source.rates):
            totals[hour % 24] += rate
    return f"{max(range(24), key=totals.__getitem__):02d}:00"
