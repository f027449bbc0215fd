"""Every shipped scenario runs and gives a report that satisfies its schema; the same seed gives the same bytes."""

from __future__ import annotations

import functools
import json
from typing import Any

import jsonschema
import pytest
from study_runs import MOVED, ROOT, SCENARIOS, SHORT, once, report_json, short, short_report, study

from sim.study import Results, replicate, run

SCHEMA = json.loads((ROOT / "reports" / "schemas" / "report.schema.json").read_text())
NODES = ("mini-1", "mini-2", "mini-3")


def test_every_shipped_scenario_is_run_here() -> None:
    assert set(MOVED) == {path.stem for path in SCENARIOS.glob("*.yaml")}


@pytest.mark.parametrize("name", sorted(MOVED))
def test_a_shipped_scenario_gives_a_report_that_satisfies_its_schema(name: str) -> None:
    report = short_report(name)
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    assert report["name"] == name
    assert report["verdict"]["sentences"]
    routes = next(table for table in report["tables"] if table["name"] == "routes")
    assert routes["rows"]


@pytest.mark.parametrize("name", sorted(MOVED))
def test_every_request_that_arrived_has_one_outcome_or_is_in_flight_at_the_end_of_every_replication(name: str) -> None:
    _, results = short(name)
    for item in results.replications:
        found = item.measures
        assert int(found.arrived.sum()) > 0
        assert found.arrived.tolist() == (found.outcomes.sum(axis=1) + found.in_flight).tolist()


@pytest.mark.parametrize("name", sorted(set(MOVED) - {"my-homelab"}))  # one node cannot hold spread databases
def test_every_pod_of_a_shipped_scenario_has_a_place_at_rest(name: str) -> None:
    prepared, _ = short(name)
    assert [(pod.key, pod.message) for pod in prepared.placement.waiting] == []


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    prepared, results = short("staging")
    first = report_json(prepared, results)
    assert report_json(prepared, run(prepared, survival=False)) == first
    other = study("staging", *SHORT, "run.seed=2")
    assert report_json(other, run(other, survival=False)) != first


def test_two_workers_and_one_agree_to_the_byte() -> None:
    prepared, results = short("staging")
    assert report_json(prepared, run(prepared, workers=2, survival=False)) == report_json(prepared, results)


def test_replications_do_not_depend_on_the_order_in_which_they_run() -> None:
    prepared, results = short("staging")
    later, earlier = replicate(prepared, 1), replicate(prepared, 0)
    assert report_json(prepared, Results((earlier, later), ())) == report_json(prepared, results)


@functools.cache
def losses() -> dict[tuple[str, str], Any]:
    prepared = study("node-loss", "run.length=2m", "run.replications=1", "run.warmUp=10s", "faults=[]")
    return {(item.node, item.route): item for item in run(prepared).losses}


def host_of(workload: str) -> str:
    """The node on which the only pod of a workload runs at rest."""
    prepared = study("node-loss", "run.length=2m", "run.replications=1", "run.warmUp=10s", "faults=[]")
    (pod,) = prepared.placement.by_workload[workload]
    assert pod.node is not None
    return str(pod.node)


def test_every_route_is_judged_for_the_loss_of_every_node() -> None:
    found = losses()
    assert {node for node, _ in found} == set(NODES)
    assert len(found) == len(NODES) * len({route for _, route in found})


def test_a_single_stateless_replica_is_back_after_grace_toleration_and_start() -> None:
    # 50 s grace (Kubernetes 1.32 and later), less up to one lease interval of 10 s, plus up to one monitor period of
    # 5 s, then 300 s toleration, then at most two minutes to pull, start and become ready.
    back = [item for item in losses().values() if item.outage_s is not None and item.outage_s > 60]
    assert back
    for item in back:
        assert 340 < item.outage_s < 480, item
        assert "node_monitor_grace_period 50 s" in item.cause, item


def test_a_shop_whose_database_is_away_is_not_down_and_said_to_answer_only_in_part() -> None:
    prepared = study("own-app", *SHORT)
    verdict = json.loads(report_json(prepared, run(prepared)))["verdict"]
    lost = [text for text in verdict["sentences"] if text.startswith("Losing ")]
    assert lost == [
        "Losing vm-1: 0 of 1 routes stay down until it returns, 1 answers only in part until then.",
        "Losing vm-2: 0 of 1 routes stay down until it returns.",
    ]


def test_a_pod_pinned_by_a_local_volume_is_away_until_its_node_returns() -> None:
    pinned = losses()[host_of("Deployment htpc/sonarr"), "sonarr.home.example.org"]
    assert pinned.outage_s is None
    assert "volume" in pinned.cause or "local-path" in pinned.cause


def test_replicas_elsewhere_take_over_within_seconds() -> None:
    # Homepage and Traefik have two replicas each; a node that holds neither Authelia nor what it needs costs seconds.
    outages = {item.node: item.outage_s for item in losses().values() if item.route == "start.home.example.org"}
    assert set(outages) == set(NODES)
    auth = host_of("Deployment infra/auth")
    assert outages.pop(auth) is None  # pinned by its volume, and every request asks it first
    assert min(outage for outage in outages.values() if outage is not None) < 65


def test_the_node_that_dies_is_in_the_timeline_with_the_pods_that_move() -> None:
    report = short_report("node-loss")
    said = [(event["kind"], event["subject"]) for event in report["timeline"]]
    assert ("Fault", "mini-2 dies") in said
    assert ("FaultEnds", "mini-2 dies") in said


def test_a_quota_just_above_the_resting_sum_stops_a_rollout_and_jobs() -> None:
    log = once("quota-cut", "run.warmUp=10s")
    stuck = {item.workload: item.reason for item in log.rollouts if item.verdict == "stuck"}
    refused = {item.workload: item.message for item in log.refusals}
    assert set(stuck) == {"Deployment utils/homepage", "Deployment htpc/jellyseerr"}
    assert stuck["Deployment utils/homepage"].endswith(
        "is forbidden: exceeded quota: utils, requested: requests.cpu=50m, used: requests.cpu=2975m, "
        "limited: requests.cpu=3"
    )
    assert "exceeded quota: utils, requested: requests.cpu=100m" in refused["CronJob utils/nextcloud-cron"]


def test_a_quota_below_the_resting_sum_refuses_the_restart_of_a_killed_pod() -> None:
    log = once("quota-cut", "run.warmUp=10s")
    (message,) = {item.message.partition(" is ")[2] for item in log.refusals if item.workload.endswith("/sonarr")}
    assert message == (
        "forbidden: exceeded quota: htpc, requested: requests.cpu=75m, used: requests.cpu=1300m, "
        "limited: requests.cpu=1300m"
    )
    assert "Deployment htpc/sonarr (refused)" in log.pending
    assert [item.end for item in log.routes["sonarr.home.example.org"].outages] == [None]


def test_the_report_on_the_quota_cut_tells_it_in_the_words_of_the_api_server() -> None:
    text = json.dumps(short_report("quota-cut"))
    assert "exceeded quota: htpc" in text
    codes = {finding["code"] for finding in short_report("quota-cut")["findings"]}
    assert {"SIM-REFUSED", "SIM-ROLLOUT-STUCK"} <= codes


def test_the_verdict_on_the_quota_cut_begins_with_the_rollout_that_never_finishes() -> None:
    verdict = short_report("quota-cut")["verdict"]
    assert verdict["status"] == "warn"
    assert verdict["headline"].startswith("It runs, but the rollout of Deployment htpc/jellyseerr did not finish")
    refused = next(text for text in verdict["sentences"] if text.startswith("The API server refused pods of "))
    assert "exceeded quota: " in refused


def test_a_broken_rollout_leaves_the_old_pods_and_the_way_back_completes() -> None:
    log = once("rollout", "run.warmUp=10s", "run.length=35m")
    by_workload: dict[str, list[str]] = {}
    for item in log.rollouts:
        by_workload.setdefault(item.workload, []).append(item.verdict)
    assert by_workload["Deployment infra/traefik"] == ["complete"]
    assert by_workload["Deployment utils/nextcloud"] == ["complete"]
    assert "complete" in by_workload["Deployment utils/homepage"]
    # Only the removal of Traefik's old pods from the endpoints is felt, for less than a second.
    assert log.routes["start.home.example.org"].down_s(log.until) < 1.0


def test_the_shop_answers_two_hundred_visitors_with_its_own_operations() -> None:
    prepared, results = short("own-app")
    program = prepared.compiled.program
    assert program.routes == ("shop/web",)
    called = {program.operations[call.operation].name for _, _, call in program.calls()}
    assert called == {
        "Service shop/products list (0 B sent, 30000 B got)",
        "Service shop/products bought",
        "Service shop/cart view",
        "Service shop/cart checkout",
        "Service shop/redis command",
        "Service shop/db query",
        "Service shop/db write",
    }
    # 200 visitors who think 7 s and wait some 50 ms: 28 requests a second.
    arrived = sum(int(item.measures.arrived.sum()) for item in results.replications)
    assert 26 < arrived / (120.0 * len(results.replications)) < 31
