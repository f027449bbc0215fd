"""A microservice application that others measured on Kubernetes, under real CFS quotas; nothing is fitted.

github.com/bistrulli/SPE_Application_2 (commit 628ffe3) publishes runs of 300 seconds. Locust's users think for an
exponential second (experiment_mapping.yaml, QNonK8s/locust/locustfile.py) and ask task 1, which burns exponential
100 ms of CPU and calls task 2 without waiting, which burns as much (src/app.py of
bistrulli/generic-microservice-tester). Each task is one pod of 20 workers under a limit of 1000m
(QNonK8s/applications/3tier.yaml); the README starts minikube with four cores. The numbers are those of
results/20251117_{184744,185307,185820}/locust_stats.csv; Locust rounds percentiles to two digits.

What is not asserted: p99. With ten users it is 1.50 s on both sides; with one and with five (3 and 13 answers lie
beyond it) the measured 0.60 and 0.91 s are 2.2 and 3 standard deviations above the model's 0.47 and 0.74 s. The way
through Istio's proxies and gunicorn, of which the fastest answers show 2 to 3 ms, is not modelled.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from sim.engine import make_engine
from sim.measures import EngineMeasures
from sim.program import Call, Cpu, Draw, Node, Operation, PodStation, Program, Service, Source

RUN_S = 300.0
RUNS = 100

MEASURED = {
    1: {"per second": 0.860, "mean": 0.1091, "p50": 0.075, "p90": 0.250, "p95": 0.300},
    5: {"per second": 4.304, "mean": 0.1478, "p50": 0.087, "p90": 0.350, "p95": 0.510},
    10: {"per second": 7.768, "mean": 0.2580, "p50": 0.150, "p90": 0.640, "p95": 0.880},
}
"""By number of users: answers per second, and response times in seconds."""

OF_A_RUN: dict[str, Callable[[EngineMeasures], float]] = {
    "per second": lambda measures: float(measures.outcomes[0, 0]) / measures.length,
    "mean": lambda measures: measures.mean_latency(0),
    "p50": lambda measures: measures.quantile(0, 0.50),
    "p90": lambda measures: measures.quantile(0, 0.90),
    "p95": lambda measures: measures.quantile(0, 0.95),
}


def application(users: int) -> Program:
    """What the manifest and the Locust file say."""
    work = Cpu(Draw(0.1))
    return Program(
        nodes=(Node("minikube", 4.0),),
        services=(Service("task1"), Service("task2")),
        operations=(Operation("task1", 0, (work, Call(1, mode="async"))), Operation("task2", 1, (work,))),
        sources=(Source("locust", 0, ((0, 1.0),), users=users, think=Draw(1.0)),),
        routes=("route",),
        pods=tuple(PodStation(f"task{task + 1}", task, 0, workers=20, cpu_limit=1.0) for task in range(2)),
        bins=0,
    )


@cache
def runs(users: int) -> tuple[EngineMeasures, ...]:
    """Simulated runs as long as the measured one."""

    def run(replication: int) -> EngineMeasures:
        engine = make_engine(application(users), seed=20260101, replication=replication)
        engine.advance(RUN_S)
        return engine.measures()

    return tuple(run(replication) for replication in range(RUNS))


@pytest.mark.parametrize("measure", OF_A_RUN)
@pytest.mark.parametrize("users", MEASURED)
def test_the_measured_run_is_one_that_the_model_could_have_had(users: int, measure: str) -> None:
    """Within three standard deviations of single runs, which are narrow: at most 10 % of the value."""
    simulated = np.array([OF_A_RUN[measure](run) for run in runs(users)])
    measured, expected, spread = MEASURED[users][measure], float(simulated.mean()), float(simulated.std(ddof=1))
    assert spread < 0.10 * expected
    assert abs(measured - expected) < 3.0 * spread, f"measured {measured:.3f}, simulated {expected:.3f} +- {spread:.3f}"
