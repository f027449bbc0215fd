"""Call plans of the scenario file: what they become, what they leave out, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_studies import HOST, container, deployment, ingress, report, service, study, traefik
from small_studies import route as ingress_route

from models.errors import InputError
from models.scenario_file import load_scenario, resolved_json
from sim.program import LANDING, Cache, Call, Cpu, Draw, Instruction, Outcome, Wait
from sim.study import Study, replicate, run

Dict = dict[str, Any]
ENGINES = pytest.mark.parametrize("engine", ["compiled", "reference"])
APP = "Deployment/home/app"
PLACE = f"spec.profiles.{APP}.operations[0]"


def app(*steps: Dict, name: str = "job", **fields: Any) -> Dict:
    return {"startup": "0s", "operations": [{"name": name, "steps": list(steps)}], **fields}


def apps(*names: str, **fields: Any) -> list[Dict]:
    return [item for name in names for item in (deployment(name, container(**fields)), service(name))]


def planned(folder: Path, profiles: dict[str, Dict], *more: Dict, traffic: Dict | None = None, **spec: Any) -> Study:
    """One Deployment and Service per profile; clients call the first."""
    given = {"service": f"home/{next(iter(profiles))}", "rate": "10/s", **(traffic or {})}
    return study(
        folder,
        [*apps(*profiles), *more],
        profiles={f"Deployment/home/{name}": profile for name, profile in profiles.items()},
        traffic=[given],
        **spec,
    )


def steps_of(prepared: Study, operation: str = "Service home/app job") -> tuple[Instruction, ...]:
    return next(item.instructions for item in prepared.compiled.program.operations if item.name == operation)


def problems(folder: Path, profiles: dict[str, Dict], *more: Dict, **spec: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        planned(folder, profiles, *more, **spec)
    return [str(problem) for problem in caught.value.problems]


# ------------------------------------------------------------------------------------------------- meaning


def test_every_kind_of_step_becomes_its_instruction(tmp_path: Path) -> None:
    plan = app(
        {"cpu": "5ms"},
        {"wait": {"mean": "2ms", "law": "erlang", "variation": 0.5}},
        {"parallel": [{"to": "a"}, {"to": "b", "count": 2, "soft": True}]},
        {"cache": {"hitRatio": "90%", "workingSet": 500, "lookUp": {"to": "a"}, "miss": [{"call": {"to": "b"}}]}},
        cpuScale=2,
    )
    prepared = planned(tmp_path, {"app": plan, "a": app(), "b": app()})
    cpu, wait, first, second, landing, forget, ask, cache, miss = steps_of(prepared)
    assert (cpu, wait) == (Cpu(Draw(0.010)), Wait(Draw(0.002, "erlang", 0.5)))
    assert isinstance(first, Call)
    assert isinstance(second, Call)
    assert (first.mode, second.mode, second.count, second.soft) == ("parallel", "parallel", 2, True)
    assert (landing, forget) == (LANDING, Cache(0.0, 0))  # a soft call came before
    assert isinstance(ask, Call)
    assert ask.soft
    assert isinstance(cache, Cache)
    assert (cache.hit_ratio, cache.skip, cache.working_set) == (0.9, 1, 500.0)
    assert cache.service == prepared.compiled.services["Deployment home/a"]
    assert isinstance(miss, Call)
    assert not prepared.compiled.stations["Deployment home/a"].warm  # what a killed cache held is lost
    assert prepared.compiled.stations["Deployment home/b"].warm


@ENGINES
def test_both_engines_serve_every_kind_of_step(tmp_path: Path, engine: str) -> None:
    plan = app(
        {"cpu": "2ms"},
        {"disk": {"read": "100KB", "write": "10KB", "fsyncs": 1}},
        {"parallel": [{"to": "a", "request": "20KB"}, {"to": "b", "count": 3, "probability": "50%"}]},
        {"parallel": [{"to": "a"}, {"to": "b"}]},
        {"cache": {"hitRatio": "70%", "lookUp": {"to": "a"}, "miss": [{"parallel": [{"to": "b"}]}, {"wait": "1ms"}]}},
        {"cache": {"hitRatio": "50%", "workingSet": 10, "miss": [{"call": {"to": "b", "mode": "async"}}]}},
        workers=4,
        queue=10,
    )
    profiles = {"app": plan, "a": app({"cpu": "1ms"}), "b": app({"wait": "1ms"}, workers=2)}
    found = {
        kind: replicate(planned(tmp_path, profiles, run={"engine": kind, "length": "1m"}), 0).measures
        for kind in {engine, "compiled"}
    }
    assert int(found[engine].outcomes[0, Outcome.SERVED]) > 500
    assert np.array_equal(found[engine].outcomes, found["compiled"].outcomes)
    assert found[engine].mean_latency(0) == pytest.approx(found["compiled"].mean_latency(0), rel=1e-12)


def test_an_app_with_a_plan_calls_nothing_else_and_no_guess_about_it_is_listed(tmp_path: Path) -> None:
    env = [{"name": "DATABASE_HOST", "value": "db.home.svc"}]
    database = [deployment("db", container("db", "postgres:16")), service("db", 5432)]
    manifests = [deployment("app", container(env=env)), service("app"), *database]
    traffic = [{"service": "home/app", "rate": "1/s"}]
    guessed = study(tmp_path, manifests, traffic=traffic)
    assert [call for _, _, call in guessed.compiled.program.calls()]
    stated = study(tmp_path, manifests, traffic=traffic, profiles={APP: app({"wait": "5ms"})})
    assert [call for _, _, call in stated.compiled.program.calls()] == []
    assert stated.compiled.program.assumptions == ()
    assert stated.program.dependencies.hard == {}


def test_the_report_lists_what_a_plan_leaves_to_the_catalogue_and_nothing_that_it_gives(tmp_path: Path) -> None:
    prepared = planned(tmp_path, {"app": app({"cpu": "1ms"}, idleCpu=0, workers=4)}, run={"length": "1m"})
    rows = {row["key"]: row for row in report(prepared, run(prepared, survival=False))["assumptions"]}
    assert rows["Deployment home/app"]["value"] == ("at rest 128Mi memory; 1Mi per request in flight; image of 200 MB")
    assert "profile unknown" not in rows
    everything = app({"cpu": "1ms"}, idleCpu=0, workers=4, memory=0, memoryPerRequest=0, imageSize=0)
    silent = planned(tmp_path, {"app": everything}, run={"length": "1m"})
    keys = [row["key"] for row in report(silent, run(silent, survival=False))["assumptions"]]
    assert "Deployment home/app" not in keys


def test_a_catalogue_app_that_asks_for_query_gets_the_first_operation_of_a_planned_database(tmp_path: Path) -> None:
    env = [{"name": "DATABASE_HOST", "value": "db.home.svc"}]
    manifests = [
        *(deployment("app", container(env=env)), service("app")),
        *(deployment("db", container("db", "postgres:16")), service("db", 5432)),
    ]
    plan = {"Deployment/home/db": app({"wait": "5ms"}, name="select")}
    prepared = study(tmp_path, manifests, traffic=[{"service": "home/app", "rate": "1/s"}], profiles=plan)
    assert steps_of(prepared, "Service home/db select") == (Wait(Draw(0.005)),)


def test_a_catalogue_app_does_not_call_back_the_planned_app_that_it_serves(tmp_path: Path) -> None:
    # b's environment is evidence that it calls the app; the app's plan calls b, with a payload.
    env = [{"name": "API_URL", "value": "http://app.home.svc"}]
    manifests = [*apps("app"), deployment("b", container(env=env)), service("b")]
    plan = {APP: app({"call": {"to": "b", "request": "2KB"}})}
    prepared = study(tmp_path, manifests, traffic=[{"service": "home/app", "rate": "1/s"}], profiles=plan)
    callees = [
        prepared.compiled.program.operations[call.operation].name for _, _, call in prepared.compiled.program.calls()
    ]
    assert callees == ["Service home/b request (2000 B sent, 0 B got)"]


@pytest.mark.parametrize("name", ["a", "home/a", "Service home/a", "Deployment home/a", "Deployment/home/a"])
def test_a_callee_is_named_in_five_ways(tmp_path: Path, name: str) -> None:
    prepared = planned(tmp_path, {"app": app({"call": {"to": name}}), "a": app({"wait": "1ms"})})
    (call,) = steps_of(prepared)
    assert isinstance(call, Call)
    kind = "Deployment" if name.startswith("Deployment") else "Service"
    assert prepared.compiled.program.operations[call.operation].name == f"{kind} home/a job"


def test_a_proxy_takes_the_bodies_and_the_mix_of_a_plan(tmp_path: Path) -> None:
    profile = app()
    profile["operations"] = [
        {"name": "view", "weight": 3, "reply": {"mean": "2MB", "law": "constant"}},
        {"name": "buy", "request": "1KB"},
    ]
    manifests = [*apps("app"), *traefik(), ingress_route({"name": "app", "port": 80})]
    prepared = study(tmp_path, manifests, profiles={APP: profile}, traffic=[{"route": HOST, "rate": "1/s"}])
    (source,) = prepared.compiled.program.sources
    assert [weight for _, weight in source.mix] == [3.0, 1.0]
    view, buy = (prepared.compiled.program.operations[index].instructions for index, _ in source.mix)
    sizes = [[(step.size, step.link) for step in part if hasattr(step, "size")] for part in (view, buy)]
    assert sizes == [[(Draw(2e6, "constant"), 0)], [(Draw(1000.0), 1)]]


def deny(name: str) -> Dict:
    """Nobody may connect to the pods of an app."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "closed", "namespace": "home"},
        "spec": {"podSelector": {"matchLabels": {"app": name}}, "policyTypes": ["Ingress"]},
    }


def test_a_call_that_a_network_policy_forbids_finds_no_endpoint(tmp_path: Path) -> None:
    profiles = {"app": app({"call": {"to": "a"}}), "a": app()}
    prepared = planned(tmp_path, profiles, deny("a"), run={"length": "1m"})
    found = replicate(prepared, 0).measures
    assert int(found.outcomes[0, Outcome.NO_ENDPOINT]) == int(found.outcomes.sum()) > 500
    (line,) = [text for text in prepared.compiled.program.assumptions if "NetworkPolicy" in text]
    assert line == (
        "calls of Deployment home/app to Service home/a fail at once: a NetworkPolicy does not let them "
        "(home/closed, ingress)"
    )


def test_a_soft_call_that_a_network_policy_forbids_degrades_the_answer(tmp_path: Path) -> None:
    profiles = {"app": app({"call": {"to": "a", "soft": True}}), "a": app()}
    found = replicate(planned(tmp_path, profiles, deny("a"), run={"length": "1m"}), 0).measures
    assert int(found.outcomes[0, Outcome.DEGRADED]) == int(found.outcomes.sum()) > 500


@pytest.mark.parametrize(("soft", "down"), [(False, 60.0), (True, 0.0)])
@pytest.mark.parametrize("warm_up", ["0s", "30s"])
def test_the_platform_knows_what_a_plan_needs(tmp_path: Path, soft: bool, down: float, warm_up: str) -> None:
    # The called app has no pod at all: a hard call keeps the route down for the minute, a soft one does not. An outage
    # that began in the warm-up counts from its end.
    profiles = {"app": app({"call": {"to": "a", "soft": soft}}), "a": app()}
    prepared = study(
        tmp_path,
        [*apps("app"), deployment("a", container(), replicas=0), service("a")],
        profiles={f"Deployment/home/{name}": profile for name, profile in profiles.items()},
        traffic=[{"service": "home/app", "rate": "1/s"}],
        run={"length": "1m", "warmUp": warm_up},
    )
    log = replicate(prepared, 0).log
    assert log.routes["home/app"].down_s(log.until) == down


def test_a_cache_inside_the_app_is_cold_after_a_kill_and_each_of_its_things_is_fetched_again(tmp_path: Path) -> None:
    plan = app({"cache": {"hitRatio": "100%", "workingSet": 300, "miss": [{"call": {"to": "db"}}]}})
    kill = {
        "name": "app dies",
        "type": "PodChaos",
        "action": "container-kill",
        "selector": {"workloads": [APP]},
        "at": "10s",
        "duration": "1s",
    }
    prepared = planned(tmp_path, {"app": plan, "db": app()}, traffic={"rate": "50/s"}, faults=[kill])
    found = replicate(prepared, 0).measures
    visits = {name.split("/")[1].split("-")[0]: n for name, n in zip(found.pod_names, found.pod_visits, strict=True)}
    assert int(visits["db"]) == 300


@ENGINES
def test_a_soft_call_that_fails_makes_no_miss_of_a_look_up_elsewhere(tmp_path: Path, engine: str) -> None:
    look = {"cache": {"hitRatio": "100%", "lookUp": {"to": "redis"}, "miss": [{"call": {"to": "db"}}]}}
    plan = app({"call": {"to": "a", "soft": True}}, look)
    profiles = {"app": plan, "a": app(), "redis": app(), "db": app()}
    prepared = planned(tmp_path, profiles, deny("a"), run={"length": "1m", "engine": engine})
    found = replicate(prepared, 0).measures
    visits = {name.split("/")[1].split("-")[0]: n for name, n in zip(found.pod_names, found.pod_visits, strict=True)}
    assert int(found.outcomes[0, Outcome.DEGRADED]) == int(visits["redis"]) > 500
    assert int(visits["db"]) == 0


@ENGINES
def test_a_look_up_that_a_network_policy_forbids_is_a_miss(tmp_path: Path, engine: str) -> None:
    look = {"cache": {"hitRatio": "100%", "lookUp": {"to": "redis"}, "miss": [{"call": {"to": "db"}}]}}
    profiles = {"app": app(look), "redis": app(), "db": app()}
    prepared = planned(tmp_path, profiles, deny("redis"), run={"length": "1m", "engine": engine})
    found = replicate(prepared, 0).measures
    visits = {name.split("/")[1].split("-")[0]: n for name, n in zip(found.pod_names, found.pod_visits, strict=True)}
    assert int(found.outcomes[0, Outcome.DEGRADED]) == int(visits["db"]) > 500


def test_the_picture_shows_the_calls_of_plans_from_the_service_that_clients_call(tmp_path: Path) -> None:
    profiles = {"app": app({"call": {"to": "a"}}, {"call": {"to": "b", "mode": "async"}}), "a": app(), "b": app()}
    prepared = planned(tmp_path, profiles, run={"length": "1m"})
    edges = report(prepared, run(prepared, survival=False))["topology"]["edges"]
    assert [(edge["source"], edge["target"], edge["strength"]) for edge in edges] == [
        ("Deployment home/app", "Deployment home/a", "hard"),
        ("Deployment home/app", "Deployment home/b", "soft"),
    ]


# ------------------------------------------------------------------------------------------------- clients of a Service


def test_clients_of_a_service_are_at_home_and_no_proxy_is_assumed(tmp_path: Path) -> None:
    prepared = planned(tmp_path, {"app": app()})
    (source,) = prepared.compiled.program.sources
    assert (source.name, source.rtt) == ("home/app", 0.0003)
    assert prepared.scenario.spec.traffic[0].source == "lan"
    assert prepared.compiled.program.assumptions == ()


def test_a_pattern_of_routes_does_not_match_the_services_of_other_traffic(tmp_path: Path) -> None:
    traffic = [{"service": "home/app", "rate": "1/s"}, {"route": "*", "rate": "1/s"}]
    prepared = study(tmp_path, [*apps("app"), ingress("app")], traffic=traffic)
    assert prepared.compiled.program.routes == ("home/app", HOST)


def test_objectives_and_thresholds_name_the_service(tmp_path: Path) -> None:
    prepared = planned(
        tmp_path,
        {"app": app()},
        objectives={"routes": [{"route": "home/app", "availability": "99%"}]},
        thresholds={"http_req_failed{route:home/app}": ["rate<0.01"]},
        run={"length": "1m"},
    )
    found = report(prepared, run(prepared))
    (row,) = next(table for table in found["tables"] if table["name"] == "routes")["rows"]
    assert (row["route"], row["availability"]["mean"]) == ("home/app", 1.0)
    assert [item["passed"] for item in found["thresholds"]] == [True]


def test_a_node_port_is_called_like_any_service(tmp_path: Path) -> None:
    manifests = [deployment("app", container()), service("app", type="NodePort")]
    prepared = study(
        tmp_path, manifests, traffic=[{"service": "Service home/app", "source": "internet", "rate": "1/s"}]
    )
    (source,) = prepared.compiled.program.sources
    assert (source.name, source.rtt) == ("home/app", 0.02)


# ------------------------------------------------------------------------------------------------- errors


def test_an_unknown_callee_is_near_matched(tmp_path: Path) -> None:
    assert problems(tmp_path, {"app": app({"wait": "1ms"}, {"call": {"to": "databse"}}), "database": app()}) == [
        (
            f"{PLACE}.steps[1].call.to: 'databse' is no Service or workload of this "
            "platform\n    did you mean 'home/database'?"
        )
    ]


def test_unknown_callees_are_all_told_wherever_they_stand(tmp_path: Path) -> None:
    miss = [{"parallel": [{"to": "x1"}, {"to": "other/x2"}]}]
    said = problems(tmp_path, {"app": app({"cache": {"hitRatio": 0.5, "lookUp": {"to": "x3/x3/x3/x3"}, "miss": miss}})})
    place = f"{PLACE}.steps[0].cache"
    way_out = "write a name of the namespace home, namespace/name or Kind namespace/name"
    assert said == [
        f"{place}.lookUp.to: 'x3/x3/x3/x3' is no Service or workload of this platform\n    {way_out}",
        f"{place}.miss[0].parallel[0].to: 'x1' is no Service or workload of this platform\n    {way_out}",
        f"{place}.miss[0].parallel[1].to: 'other/x2' is no Service or workload of this platform\n    {way_out}",
    ]


def test_an_unknown_operation_of_a_planned_app_is_told_with_those_it_has(tmp_path: Path) -> None:
    assert problems(tmp_path, {"app": app({"call": {"to": "a", "operation": "lost"}}), "a": app()}) == [
        (f"{PLACE}.steps[0].call.operation: Deployment home/a has no operation 'lost'\n    it has: job")
    ]


def test_a_service_without_pods_cannot_be_called(tmp_path: Path) -> None:
    outside = service("outside", type="ExternalName", externalName="api.example.com", selector=None)
    assert problems(tmp_path, {"app": app({"call": {"to": "outside"}})}, outside) == [
        (
            f"{PLACE}.steps[0].call.to: Service home/outside has no pods in this "
            "tree\n    a system outside of it is a wait step; or add the workload that the Service selects"
        )
    ]


def test_a_circle_of_three_apps_is_told_at_the_call_that_closes_it(tmp_path: Path) -> None:
    profiles = {name: app({"call": {"to": to}}) for name, to in (("app", "a"), ("a", "b"), ("b", "app"))}
    assert problems(tmp_path, profiles) == [
        (
            "spec.profiles.Deployment/home/b.operations[0].steps[0].call: call cycle Deployment home/app job -> "
            "Deployment home/a job -> Deployment home/b job -> Deployment home/app job\n    remove one call, or give "
            "what it needs an operation of its own"
        )
    ]


def test_a_call_back_of_another_operation_is_no_circle(tmp_path: Path) -> None:
    called = app({"call": {"to": "app", "operation": "details"}})
    calling = app({"call": {"to": "a"}})
    calling["operations"].append({"name": "details", "steps": [{"wait": "1ms"}]})
    prepared = planned(tmp_path, {"app": calling, "a": called}, traffic={"operations": [{"name": "job"}]})
    assert int(replicate(prepared, 0).measures.outcomes[0, Outcome.SERVED]) > 5000


def test_a_queue_needs_workers(tmp_path: Path) -> None:
    assert problems(tmp_path, {"app": app(workers="unlimited", queue=5)}) == [
        (
            f"spec.profiles.{APP}.queue: nothing ever waits for a worker of Deployment home/app: it has no "
            "bound of workers\n    set workers, too"
        )
    ]


def test_an_unknown_service_of_clients_is_near_matched(tmp_path: Path) -> None:
    assert problems(tmp_path, {"app": app()}, traffic={"service": "home/ap"}) == [
        "spec.traffic[0].service: 'home/ap' is no Service of the platform\n    did you mean 'home/app'?"
    ]


def test_a_route_of_a_tree_without_any_points_at_services(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        study(tmp_path, apps("app"), traffic=[{"route": HOST, "rate": "1/s"}])
    assert str(caught.value) == (
        f"spec.traffic[0].route: '{HOST}' matches no route of the platform\n"
        "    there are none: name a Service instead (service: namespace/name)"
    )


@pytest.mark.parametrize("pattern", ["*", "*.example.org"])
def test_a_pattern_of_routes_in_a_tree_without_any_sends_nothing_and_says_so(tmp_path: Path, pattern: str) -> None:
    traffic = [{"route": pattern, "rate": "1/s"}, {"service": "home/app", "rate": "1/s"}]
    prepared = study(tmp_path, apps("app"), traffic=traffic)
    assert prepared.compiled.program.routes == ("home/app",)
    made = report(prepared, run(prepared))
    assert f"The tree shows no route for the traffic '{pattern}': nothing was sent." in made["verdict"]["sentences"]
    assert (
        f"Traffic for '{pattern}': the tree shows no route, so nothing was sent and nothing is known of requests."
        in made["not_covered"]
    )


def test_a_pattern_that_matches_none_of_the_routes_that_there_are_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'\*\.example\.com' matches no route of the platform"):
        study(tmp_path, [*apps("app"), ingress("app")], traffic=[{"route": "*.example.com", "rate": "1/s"}])


def test_a_tree_without_any_route_runs_without_any_traffic(tmp_path: Path) -> None:
    prepared = study(tmp_path, apps("app"), traffic=[{"route": "*", "rate": "1/s"}])
    assert prepared.compiled.program.sources == ()
    assert all(replication.measures.arrived.sum() == 0 for replication in run(prepared).replications)


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (
            {"cpu": "-5ms"},
            ".steps[0].cpu.mean: '-5ms' is not a duration: write for example 250ms, 30s, 5m, 1h30m or 2d",
        ),
        ({"cpu": 5}, ".steps[0].cpu.mean: 5 has no unit: write a duration such as 5s, 5m or 5h"),
        (
            {"cpu": "5ms", "wait": "1s"},
            ".steps[0]: a step is exactly one of cpu, wait, disk, call, parallel, cache: cpu and wait are given",
        ),
        ({}, ".steps[0]: a step is exactly one of cpu, wait, disk, call, parallel, cache: none is given"),
        ({"cal": {"to": "a"}}, ".steps[0].cal: unknown key 'cal'\n    did you mean 'call'?"),
        ({"call": {"to": "a", "mode": "paralel"}}, ".steps[0].call.mode: Input should be 'sequential' or 'async'"),
        ({"call": {"to": "a", "probability": 2}}, ".steps[0].call.probability: 2 is not between 0 and 100%"),
        (
            {"call": {"to": "a", "count": 0}},
            ".steps[0].call.count: Input should be greater than or equal to 1 (given: 0)",
        ),
        ({"call": {}}, ".steps[0].call.to: 'to' is missing\n    see 'stowplan schema' for what it holds"),
        ({"call": {"to": "a", "reply": "big"}}, "'big' is not a size: write for example 16Gi, 500GB or 20Mi"),
        ({"parallel": [{"to": "a", "mode": "async"}]}, ".steps[0].parallel[0].mode: unknown key 'mode'"),
        ({"cache": {"hitRatio": 0.5}}, ".steps[0].cache.miss: 'miss' is missing"),
        ({"cpu": {"mean": "1ms", "law": "gamma"}}, ".steps[0].cpu.law: Input should be 'constant', 'exponential', "),
        (
            {"cpu": {"mean": "1ms", "law": "erlang"}},
            ".steps[0].cpu: law erlang needs its variation: standard deviation / mean",
        ),
        (
            {"cpu": {"mean": "1ms", "law": "erlang", "variation": 2}},
            ".steps[0].cpu: variation 2 is not at most 1: law erlang has no such form",
        ),
        (
            {"cpu": {"mean": "1ms", "law": "erlang", "variation": 0.1}},
            ".steps[0].cpu: variation 0.1 is not 0 or at least 0.13: law erlang has 60 phases at most",
        ),
        (
            {"cpu": {"mean": "1ms", "law": "hyperexponential", "variation": 0.5}},
            ".steps[0].cpu: variation 0.5 is not at least 1: law hyperexponential has no such form",
        ),
        (
            {"cpu": {"mean": "1ms", "law": "constant", "variation": 1}},
            ".steps[0].cpu: law constant has no variation to choose: leave it out",
        ),
    ],
)
def test_a_wrong_step_is_told_with_file_line_and_field(tmp_path: Path, step: Dict, says: str) -> None:
    (said,) = problems(tmp_path, {"app": app(step)})
    place, _, text = said.partition(" ")
    assert place.startswith(f"{tmp_path / 'scenario.yaml'}:")
    assert text.startswith(PLACE)
    assert says in text


@pytest.mark.parametrize(
    ("operations", "says"),
    [
        ([{"name": "x", "weight": 0}], "operations[0].weight: Input should be greater than 0"),
        ([{"name": "x"}, {"name": "x"}], "two operations are called 'x': give each its own name"),
        ([{"steps": []}], "operations[0].name: 'name' is missing"),
    ],
)
def test_a_wrong_operation_is_told(tmp_path: Path, operations: list[Dict], says: str) -> None:
    (said,) = problems(tmp_path, {"app": {"operations": operations}})
    assert says in said


def test_users_who_neither_think_nor_travel_are_refused_before_they_ask_without_end(tmp_path: Path) -> None:
    traffic = {"rate": None, "users": 2, "thinkTime": 0}
    assert problems(tmp_path, {"app": app({"wait": "1ms"})}, traffic=traffic, network={"lanRtt": 0}) == [
        (
            "spec.traffic[0].thinkTime: users who neither think nor wait for the network ask again without end in the "
            "instant in which they are refused\n    let them think for a moment (1us), or give the network a round trip"
        )
    ]
    planned(tmp_path, {"app": app({"wait": "1ms"})}, traffic={**traffic, "thinkTime": "1us"}, network={"lanRtt": 0})


@pytest.mark.parametrize("traffic", [{"route": HOST}, {"service": None}])
def test_traffic_goes_to_a_route_or_to_a_service(tmp_path: Path, traffic: Dict) -> None:
    (said,) = problems(tmp_path, {"app": app()}, traffic=traffic)
    assert "say where requests go: exactly one of route and service" in said


def test_a_resolved_scenario_reads_back_as_itself(tmp_path: Path) -> None:
    plan = app(
        {"cpu": "50us"},
        {"wait": {"mean": "2ms", "law": "lognormal", "variation": 0.7}},
        {"call": {"to": "a", "reply": "20KB"}},
        {"cache": {"hitRatio": "90%", "miss": [{"parallel": [{"to": "a"}]}]}},
    )
    prepared = planned(tmp_path, {"app": plan, "a": app()}, traffic={"thinkTime": {"mean": "5s", "law": "constant"}})
    text = resolved_json(prepared.scenario)
    (tmp_path / "scenario.yaml").write_text(text, encoding="utf-8")
    assert resolved_json(load_scenario(tmp_path / "scenario.yaml").scenario) == text
    steps = json.loads(text)["spec"]["profiles"][APP]["operations"][0]["steps"]
    assert steps[:2] == [{"cpu": "0.05ms"}, {"wait": {"law": "lognormal", "mean": "2ms", "variation": 0.7}}]


# ------------------------------------------------------------------------------------------------- profiles and nodes


@pytest.mark.parametrize("key", ["Deployment/home/app", "Deployment home/app", "home/app", "Deployment/home/*"])
def test_a_profile_reaches_requests_and_platform_whatever_form_its_key_has(tmp_path: Path, key: str) -> None:
    traffic = [{"service": "home/app", "rate": "1/s"}]
    prepared = study(tmp_path, apps("app"), profiles={key: {"startup": "77s", "workers": 3}}, traffic=traffic)
    assert prepared.compiled.stations["Deployment home/app"].workers == 3
    (model,) = [model for name, model in prepared.program.models.items() if name == "Deployment home/app"]
    assert {container.startup_s for container in model.containers} == {77.0}


def test_a_machine_of_three_cores_of_half_the_speed_is_one_for_kubernetes_and_for_the_physics(tmp_path: Path) -> None:
    node = {"name": "vm", "machine": "m920q", "role": "server", "cores": 3, "speed": 0.5, "memory": "4Gi"}
    prepared = study(tmp_path, apps("app"), cluster={"nodes": [{**node, "reserved": {"cpu": 0, "memory": 0}}]})
    (found,) = prepared.cluster.nodes
    assert (found.cores, found.speed) == (3.0, 0.5)
    assert found.manifest["status"]["capacity"] == found.manifest["status"]["allocatable"]
    assert found.manifest["status"]["capacity"]["cpu"] == "3"
    physics = prepared.compiled.program.nodes[0]
    assert (physics.cores, physics.speed) == (3.0, 0.5)


def test_a_machine_that_the_scenario_describes_is_no_assumption(tmp_path: Path) -> None:
    def keys(**node: Any) -> list[str]:
        nodes = [{"name": "vm", "machine": "m920q", "role": "server", **node}]
        prepared = planned(tmp_path, {"app": app()}, cluster={"nodes": nodes}, run={"length": "1m"})
        return [row["key"] for row in report(prepared, run(prepared, survival=False))["assumptions"]]

    assert "machine m920q" in keys(cores=3)
    assert "machine m920q" not in keys(cores=3, speed=1)
