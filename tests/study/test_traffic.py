"""Traffic from the scenario file to the counts of the report: every kind of arrival, weighted backends, clients."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_studies import HOST, container, deployment, ingress, report, route, service, study, traefik

from models.errors import InputError
from sim.measures import EngineMeasures
from sim.program import Outcome
from sim.study import Study, replicate, run

ENGINES = pytest.mark.parametrize("engine", ["compiled", "reference"])
SMALL = {"Deployment/home/app": {"cpuScale": 0.01, "startup": "0s"}}


def plain(folder: Path, traffic: dict[str, Any], *, engine: str = "auto", **spec: Any) -> Study:
    """One app behind a Service, entered directly."""
    manifests = [deployment("app", container()), service("app"), ingress("app")]
    run_spec = {"engine": engine, **spec.pop("run", {})}
    given = {"route": HOST, "source": "lan", **traffic}
    return study(folder, manifests, profiles=SMALL, traffic=[given], run=run_spec, **spec)


def measured(prepared: Study) -> EngineMeasures:
    return replicate(prepared, 0).measures


# ------------------------------------------------------------------------------------------------- arrivals


@ENGINES
def test_users_whose_sessions_have_four_requests_pause_after_every_fourth_in_the_mean(
    tmp_path: Path, engine: str
) -> None:
    # Three of four gaps are 1 s of thought, one is a pause of 17 s: 5 s in the mean, so 20 users ask 4 times a second.
    sessions = {"users": 20, "thinkTime": {"mean": "1s", "law": "constant"}}
    sessions["session"] = {"requests": 4, "pause": {"mean": "17s", "law": "constant"}}
    found = measured(plain(tmp_path, sessions, engine=engine, run={"length": "30m"}))
    assert int(found.arrived.sum()) == pytest.approx(20 * 1800 / 5, rel=0.05)


def test_a_session_needs_users(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a session is what users have: set users, or leave session out"):
        plain(tmp_path, {"rate": "1/s", "session": {"requests": 4, "pause": "1m"}})


@ENGINES
def test_a_trace_replays_exactly_the_rows_of_its_route(tmp_path: Path, engine: str) -> None:
    rows = ["time,route,operation", "1.5,,request", f"2,{HOST},request", "2,other.example.org,request", "599,*,request"]
    (tmp_path / "trace.csv").write_text("\n".join(rows), encoding="utf-8")
    found = measured(plain(tmp_path, {"arrivals": "trace", "trace": "trace.csv"}, engine=engine))
    assert int(found.arrived.sum()) == 3


@ENGINES
def test_a_burst_brings_its_requests_within_its_seconds(tmp_path: Path, engine: str) -> None:
    bursts = [{"at": "1m", "requests": 200}, {"at": "5m", "requests": 50, "within": "10s"}]
    prepared = plain(tmp_path, {"bursts": bursts}, engine=engine, run={"warmUp": "30s", "length": "10m"})
    first, second = prepared.compiled.program.sources
    assert set(first.trace) == {90.0}
    assert (len(second.trace), second.trace[0], round(second.trace[-1], 6)) == (50, 330.0, 339.8)
    assert int(measured(prepared).arrived.sum()) == 250


@ENGINES
def test_ten_users_who_think_ten_seconds_ask_once_every_ten_seconds_each(tmp_path: Path, engine: str) -> None:
    # Answers take under a millisecond, so that the gaps are the exponential pauses: 10 users for 1800 s at 1/10 Hz
    # make a Poisson count of mean 1800, standard deviation 42.4; 4.5 of them.
    found = measured(plain(tmp_path, {"users": 10, "thinkTime": "10s"}, engine=engine, run={"length": "30m"}))
    assert int(found.arrived.sum()) == pytest.approx(1800, abs=4.5 * math.sqrt(1800))


@ENGINES
@pytest.mark.parametrize(("affinity", "pods"), [("ClientIP", 1), ("None", 3)])
def test_a_user_keeps_to_one_pod_of_three_where_the_service_keeps_sessions(
    tmp_path: Path, engine: str, affinity: str, pods: int
) -> None:
    manifests = [
        deployment("app", container(), replicas=3),
        service("app", sessionAffinity=affinity),
        ingress("app"),
    ]
    traffic = [{"route": HOST, "source": "lan", "users": 1, "thinkTime": "1s"}]
    found = measured(study(tmp_path, manifests, profiles=SMALL, traffic=traffic, run={"engine": engine}))
    assert sum(int(visits) > 0 for visits in found.pod_visits) == pods


def test_renewal_arrivals_more_even_than_sixty_phases_are_told(tmp_path: Path) -> None:
    says = r"variation 0\.1 is not 0 or at least 0\.13: even gaps are erlang of 60 phases"
    with pytest.raises(InputError, match=says):
        plain(tmp_path, {"rate": "1/s", "arrivals": "renewal", "variation": 0.1})


@ENGINES
def test_renewal_arrivals_without_variation_come_like_clockwork(tmp_path: Path, engine: str) -> None:
    traffic = {"rate": "2/s", "arrivals": "renewal", "variation": 0.0}
    found = measured(plain(tmp_path, traffic, engine=engine, run={"length": "100s"}))
    assert int(found.arrived.sum()) in (199, 200)


def test_renewal_arrivals_of_variation_three_are_nine_times_as_uneven(tmp_path: Path) -> None:
    # Renewal theory: the variance of the count tends to cv^2 times its mean.
    counts = []
    prepared = plain(
        tmp_path, {"rate": "5/s", "arrivals": "renewal", "variation": 3.0}, run={"length": "200s", "replications": 120}
    )
    counts = [int(replicate(prepared, index).measures.arrived.sum()) for index in range(120)]
    assert float(np.mean(counts)) == pytest.approx(1000.0, abs=4.5 * math.sqrt(9000.0 / 120))
    # chi-square with 119 degrees of freedom: standard deviation of the ratio is sqrt(2 / 119) = 0.13
    assert float(np.var(counts, ddof=1)) / 9000.0 == pytest.approx(1.0, abs=4.5 * 0.13)


@ENGINES
def test_a_daily_shape_sends_each_hour_its_weight(tmp_path: Path, engine: str) -> None:
    shape = [0.0] * 24
    shape[19], shape[20] = 3.0, 1.0
    traffic = {"rate": "0.1/s", "shape": shape}  # 8640 requests a day, three quarters of them from 19:00 to 20:00
    found = measured(plain(tmp_path, traffic, engine=engine, run={"length": "3h", "start": "19:00"}))
    by_hour = found.bin_arrived.sum(axis=0)[:240].reshape(3, 80).sum(axis=1)
    assert [int(count) for count in by_hour] == [
        pytest.approx(6480, abs=4.5 * math.sqrt(6480)),
        pytest.approx(2160, abs=4.5 * math.sqrt(2160)),
        0,
    ]


# ------------------------------------------------------------------------------------------------- backends


def copies(*names: str) -> list[dict[str, Any]]:
    return [item for name in names for item in (deployment(name, container()), service(name))]


def visits(prepared: Study) -> dict[str, int]:
    """Requests that reached the pods of each workload."""
    found = measured(prepared)
    counted: dict[str, int] = {}
    for name, count in zip(found.pod_names, found.pod_visits, strict=True):
        key = name.partition("/")[2].partition("-")[0]
        counted[key] = counted.get(key, 0) + int(count)
    return counted


def weighted(folder: Path, *objects: dict[str, Any], engine: str, rate: str = "10/s") -> dict[str, int]:
    traffic = [{"route": HOST, "source": "lan", "rate": rate}]
    names = {item["metadata"]["name"] for item in objects if item["kind"] == "Deployment"}
    profiles = {f"Deployment/home/{name}": {"cpuScale": 0.01} for name in names}
    run_spec = {"length": "10m", "engine": engine}
    return visits(study(folder, [*objects, *traefik()], profiles=profiles, traffic=traffic, run=run_spec))


@ENGINES
def test_weights_of_seven_two_and_one_split_the_requests_of_an_ingress_route(tmp_path: Path, engine: str) -> None:
    ends = [{"name": name, "port": 80, "weight": weight} for name, weight in (("a", 7), ("b", 2), ("c", 1))]
    got = weighted(tmp_path, *copies("a", "b", "c"), route(*ends), engine=engine)
    total = got["traefik"]
    assert got["a"] + got["b"] + got["c"] == total
    for name, share in (("a", 0.7), ("b", 0.2), ("c", 0.1)):
        assert got[name] == pytest.approx(total * share, abs=4.5 * math.sqrt(total * share * (1 - share)))


def test_a_traefik_service_splits_and_a_weight_of_zero_gets_nothing(tmp_path: Path) -> None:
    split = {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "TraefikService",
        "metadata": {"name": "canary", "namespace": "home"},
        "spec": {
            "weighted": {
                "services": [
                    {"name": "a", "port": 80, "weight": 3},
                    {"name": "b", "port": 80, "weight": 1},
                    {"name": "c", "port": 80, "weight": 0},
                ]
            }
        },
    }
    way = route({"name": "canary", "kind": "TraefikService"})
    got = weighted(tmp_path, *copies("a", "b", "c"), split, way, engine="compiled")
    total = got["traefik"]
    assert (got["a"] + got["b"], got["c"]) == (total, 0)
    assert got["b"] == pytest.approx(total / 4, abs=4.5 * math.sqrt(total * 3 / 16))


def test_a_mirror_gets_copies_of_a_tenth_and_nobody_waits_for_them(tmp_path: Path) -> None:
    mirror = {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "TraefikService",
        "metadata": {"name": "shadow", "namespace": "home"},
        "spec": {"mirroring": {"name": "a", "port": 80, "mirrors": [{"name": "b", "port": 80, "percent": 10}]}},
    }
    way = route({"name": "shadow", "kind": "TraefikService"})
    got = weighted(tmp_path, *copies("a", "b"), mirror, way, engine="compiled")
    total = got["traefik"]
    assert got["a"] == total
    assert got["b"] == pytest.approx(total / 10, abs=4.5 * math.sqrt(total * 0.09))


def gateway(*ends: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "web", "namespace": "home"},
            "spec": {"gatewayClassName": "traefik", "listeners": [{"name": "web", "port": 80, "protocol": "HTTP"}]},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "app", "namespace": "home"},
            "spec": {"parentRefs": [{"name": "web"}], "hostnames": [HOST], "rules": [{"backendRefs": list(ends)}]},
        },
    ]


@ENGINES
def test_backend_refs_of_an_http_route_split_by_weight(tmp_path: Path, engine: str) -> None:
    ends = ({"name": "a", "port": 80, "weight": 9}, {"name": "b", "port": 80, "weight": 1})
    got = weighted(tmp_path, *copies("a", "b"), *gateway(*ends), engine=engine)
    total = got["a"] + got["b"]
    assert total > 5000
    assert got["b"] == pytest.approx(total / 10, abs=4.5 * math.sqrt(total * 0.09))


def test_backends_that_all_weigh_nothing_answer_nobody(tmp_path: Path) -> None:
    ends = ({"name": "a", "port": 80, "weight": 0},)
    manifests = [*copies("a"), *gateway(*ends), *traefik()]
    traffic = [{"route": HOST, "source": "lan", "rate": "1/s"}]
    found = measured(study(tmp_path, manifests, traffic=traffic))
    assert int(found.outcomes.sum()) > 500
    assert int(found.outcomes[:, Outcome.NO_ENDPOINT].sum()) == int(found.outcomes.sum())


# ------------------------------------------------------------------------------------------------- clients


def dead(folder: Path, client: dict[str, Any], engine: str, **traffic: Any) -> EngineMeasures:
    """An app whose only pod is asked for more than it may: no pod runs, every attempt fails at once."""
    manifests = [deployment("app", container(), replicas=0), service("app"), ingress("app")]
    given = [
        {"route": HOST, "source": "lan", "client": client, "bursts": [{"at": "1s", "requests": 10, "within": "10s"}]}
    ]
    return measured(study(folder, manifests, traffic=[{**given[0], **traffic}], run={"engine": engine}))


@ENGINES
def test_two_retries_make_three_attempts_of_every_request(tmp_path: Path, engine: str) -> None:
    found = dead(tmp_path, {"retries": 2, "backoff": "100ms", "jitter": 0}, engine)
    assert int(found.attempts.sum()) == 30
    assert int(found.outcomes[:, Outcome.NO_ENDPOINT].sum()) == 10


@ENGINES
def test_a_budget_of_a_fifth_allows_two_retries_of_ten_requests(tmp_path: Path, engine: str) -> None:
    found = dead(tmp_path, {"retries": 3, "backoff": "100ms", "jitter": 0, "budget": 0.2}, engine)
    assert int(found.attempts.sum()) == 12


@ENGINES
def test_three_failures_open_the_breaker_for_the_seven_requests_that_follow(tmp_path: Path, engine: str) -> None:
    found = dead(tmp_path, {"breakerFailures": 3, "breakerOpen": "1m"}, engine)
    assert int(found.outcomes[:, Outcome.NO_ENDPOINT].sum()) == 3
    assert int(found.outcomes[:, Outcome.REFUSED].sum()) == 7


def test_a_hedge_and_orphans_reach_the_program(tmp_path: Path) -> None:
    client = {"timeout": "2s", "hedge": "250ms", "cancel": False}
    (source,) = plain(tmp_path, {"rate": "1/s", "client": client}).compiled.program.sources
    assert (source.policy.timeout, source.policy.hedge, source.policy.cancel) == (2.0, 0.25, False)


def test_an_app_calls_its_database_as_its_profile_says_and_waits_thirty_seconds_otherwise(tmp_path: Path) -> None:
    # DATABASE_URL is evidence of a call.
    database = [deployment("db", container("db", "postgres:16")), service("db", 5432)]
    env = [{"name": "DATABASE_HOST", "value": "db.home.svc"}]
    manifests = [deployment("app", container(env=env)), service("app"), ingress("app"), *database]
    traffic = [{"route": HOST, "source": "lan", "rate": "1/s"}]
    calls = {"timeout": "5s", "retries": 1, "backoff": "10ms"}
    default = study(tmp_path, manifests, traffic=traffic).compiled.program
    given = study(
        tmp_path, manifests, traffic=traffic, profiles={"Deployment/home/app": {"calls": calls}}
    ).compiled.program
    (before,) = [call.policy for _, _, call in default.calls()]
    (after,) = [call.policy for _, _, call in given.calls()]
    assert (before.timeout, before.retries) == (30.0, 0)
    assert (after.timeout, after.retries, after.backoff) == (5.0, 1, 0.01)


# ------------------------------------------------------------------------------------------------- the report


def test_fifty_times_the_load_is_a_finding_with_its_utilisation_and_failures(tmp_path: Path) -> None:
    manifests = [deployment("app", container()), service("app"), ingress("app")]
    profile = {"workers": 1, "startup": "0s"}  # 10 ms of work on a core of speed 1 per request
    traffic = {"route": HOST, "source": "lan", "client": {"timeout": "1s"}}

    def told(rate: str) -> dict[str, Any]:
        prepared = study(
            tmp_path,
            manifests,
            profiles={"Deployment/home/app": profile},
            traffic=[{**traffic, "rate": rate}],
            run={"length": "1m"},
        )
        return report(prepared, run(prepared, survival=False))

    assert [item for item in told("20/s")["findings"] if item["code"] == "SIM-OVERLOAD"] == []
    overloaded = told("1000/s")
    (finding,) = [
        item for item in overloaded["findings"] if item["code"] == "SIM-OVERLOAD" and "workers" in item["title"]
    ]
    assert finding["subject"] == "Deployment home/app"
    (row,) = next(table for table in overloaded["tables"] if table["name"] == "failures")["rows"]
    # 60000 requests for one worker that does 120 or so in a second; all others wait longer than their second.
    assert row["timed_out"] > 50_000
