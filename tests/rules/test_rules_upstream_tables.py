"""Cases of Kubernetes' own test tables (v1.37.2), each named by the file and the test that it comes from.

``data/kubernetes_1_37_2.json.gz`` holds inputs and expected results as plain data; every kind of case has one function
here that asks ours the same question. Cases of features that are off by default upstream are left out.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from models.rules import eviction, hpa, jobs, rollout
from models.rules.daemonset import daemon_limits, fits_node_affinity, tolerates
from models.rules.defaults import default_pod, default_tolerations
from models.rules.limitrange import validate_limit_ranges
from models.rules.priority import global_default, resolve_priority
from models.rules.qos import qos_class
from models.rules.quantity import Quantity, parse_quantity
from models.rules.quota import admit, compute_used, missing_values
from models.rules.resources import (
    ResourceList,
    ResourceOptions,
    aggregate_limits,
    aggregate_requests,
    containers_of,
    init_containers_of,
    pod_limits,
    pod_requests,
    resource_list,
)
from models.rules.statefulset import statefulset_max_unavailable
from models.rules.usage import matches_scope, usage

Case = dict[str, Any]
DATA = Path(__file__).parent / "data" / "kubernetes_1_37_2.json.gz"
TABLES: list[Case] = json.loads(gzip.decompress(DATA.read_bytes()))


def text(amounts: ResourceList) -> dict[str, str]:
    return {name: str(amount) for name, amount in amounts.items()}


def canonical(amounts: dict[str, str]) -> dict[str, str]:
    return {name: str(parse_quantity(amount)) for name, amount in amounts.items()}


def quantity(case: Case) -> None:
    if "want" not in case:
        with pytest.raises(ValueError, match=r"^(quantities must match|unable to parse)"):
            parse_quantity(case["text"])
        return
    assert str(parse_quantity(case["text"])) == case["want"]


def quantity_sign(case: Case) -> None:
    left, right = parse_quantity(case["left"]), parse_quantity(case["right"])
    assert (left > right) - (left < right) == case["want"]
    assert (left == right) == (case["want"] == 0)


def quantity_round_up(case: Case) -> None:
    assert str(parse_quantity(case["text"]).round_up(case["exponent"])) == case["want"]


def quantity_sum(case: Case) -> None:
    left, right = parse_quantity(case["left"]), parse_quantity(case["right"])
    found = left + right if case["operator"] == "+" else left - right
    assert found == parse_quantity(case["want"])


def quantity_times(case: Case) -> None:
    assert parse_quantity(case["text"]) * case["factor"] == parse_quantity(case["want"])


def options(case: Case) -> ResourceOptions:
    stated = dict(case["options"])
    if "non_missing" in stated:
        stated["non_missing"] = resource_list(stated["non_missing"])
    return ResourceOptions(**stated)


def pod_resources(case: Case) -> None:
    if "requests" in case:
        assert text(pod_requests(case["pod"], options(case))) == canonical(case["requests"])
    if "limits" in case:
        assert text(pod_limits(case["pod"], options(case))) == canonical(case["limits"])


def container_resources(case: Case) -> None:
    assert text(aggregate_requests(case["pod"], options(case))) == canonical(case["requests"])
    assert text(aggregate_limits(case["pod"], options(case))) == canonical(case["limits"])


def qos(case: Case) -> None:
    assert qos_class(case["pod"]) == case["want"]


def usage_of(case: Case) -> None:
    now = datetime.fromisoformat(case["now"]) if "now" in case else None
    assert text(usage(case["object"], now=now)) == canonical(case["want"])


def scopes(case: Case) -> None:
    assert [item for item in case["selectors"] if matches_scope(item, case["object"])] == case["want"]


def must_specify(case: Case) -> None:
    assert missing_values({"kind": "Pod", **case["pod"]}, case["keys"]) == case["want"]


def used(case: Case) -> None:
    assert text(compute_used(case["quota"], case["objects"])) == canonical(case["want"])


def limit_range(case: Case) -> None:
    assert (not validate_limit_ranges(case["object"], [case["limit_range"]])) == case["allowed"]


def quota(case: Case) -> None:
    answer = admit(
        case["object"],
        case["quotas"],
        old=case.get("old"),
        namespace=case["namespace"],
        limited_resources=case["limited"],
    )
    assert answer.message == case["message"]
    if answer.allowed and "used" in case:
        charged = {name: text(answer.new_used[name]) for name in answer.deltas if answer.deltas[name]}
        assert charged == {name: canonical(amounts) for name, amounts in case["used"].items()}


def priority(case: Case) -> None:
    if case["refused"]:
        with pytest.raises(ValueError, match="is forbidden"):
            resolve_priority(case["pod"], case["classes"])
        return
    number, policy = resolve_priority(case["pod"], case["classes"])
    assert (number, policy) == (case["want"], case.get("policy", policy))


def default_class(case: Case) -> None:
    found = global_default(case["classes"]) or {"metadata": {"name": ""}, "value": 0}
    assert (found["metadata"]["name"], found["value"]) == (case["want"], case["value"])


def tolerations(case: Case) -> None:
    assert default_tolerations(case["pod"])["spec"]["tolerations"] == case["want"]


def pod_defaults(case: Case) -> None:
    spec = default_pod(case["pod"])["spec"]
    found = [item.get("resources") or {} for item in (spec, *spec["containers"])]
    sides = ("requests", "limits")
    assert [{side: text(resource_list(item.get(side))) for side in sides} for item in found] == [
        {side: canonical(item.get(side) or {}) for side in sides} for item in case["want"]
    ]


def fence_posts(case: Case) -> None:
    asked = case.get("surge"), case.get("unavailable"), case["replicas"]
    if "want" not in case:
        with pytest.raises(ValueError, match=r"^invalid value for "):
            rollout.resolve_fenceposts(*asked)
        return
    assert list(rollout.resolve_fenceposts(*asked)) == case["want"]


def new_replicas(case: Case) -> None:
    strategy = rollout.Strategy(case["type"], case["surge"], 1)
    assert rollout.new_replicas(strategy, case["replicas"], case["new"], case["new"]) == case["want"]


def max_unavailable(case: Case) -> None:
    assert rollout.max_unavailable(rollout.strategy_of(case["deployment"]), case["replicas"]) == case["want"]


def min_available(case: Case) -> None:
    assert rollout.min_available(rollout.strategy_of(case["deployment"]), case["replicas"]) == case["want"]


def progress(status: Case) -> rollout.Progress:
    names = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    return rollout.Progress(*(status.get(name, 0) for name in names))


def complete(case: Case) -> None:
    assert rollout.deployment_complete(case["replicas"], progress(case["status"])) == case["want"]


def progressing(case: Case) -> None:
    assert rollout.deployment_progressing(progress(case["before"]), progress(case["after"])) == case["want"]


def timed_out(case: Case) -> None:
    found = rollout.deployment_timed_out(case["age_s"], 0.0, case.get("deadline_s"), case["reason"])
    assert found == case["want"]


def scale(case: Case) -> None:
    """Scaling while a rollout is under way, which a paused Deployment does too."""
    before = rollout.strategy_of(case["before"])

    def state(item: Case) -> rollout.ReplicaSetState:
        return rollout.ReplicaSetState(
            **item, max_replicas=item["desired"] + rollout.max_surge(before, item["desired"])
        )

    new = state(case["new"]) if "new" in case else None
    old = tuple(map(state, case["old"]))
    deployment = case["deployment"]
    asked = rollout.RolloutState(
        deployment["spec"]["replicas"],
        rollout.strategy_of(deployment),
        new,
        old,
        status_replicas=deployment.get("status", {}).get("replicas", 0),
        paused=True,
    )
    sizes = {item.name: item.replicas for item in (*old, *([new] if new else []))}
    sizes |= {step.name: step.replicas for step in rollout.plan_rollout_step(asked)}
    assert {name: sizes[name] for name in case["want"]} == case["want"]


def schedule_time(case: Case) -> None:
    earliest, now = datetime.fromisoformat(case["earliest"]), datetime.fromisoformat(case["now"])
    asked = jobs.schedule_of(case["cron_job"]), earliest, now, case.get("deadline")
    if case["refused"]:
        with pytest.raises(ValueError, match=r"less than 1 second"):
            jobs.most_recent_schedule_time(*asked)
        return
    wanted = datetime.fromisoformat(case["want"]) if "want" in case else None
    assert jobs.most_recent_schedule_time(*asked) == (wanted, case["missed"])


def cron(case: Case) -> None:
    now, created = datetime.fromisoformat(case["now"]), datetime.fromisoformat(case["created"])
    last = datetime.fromisoformat(case["last"]) if "last" in case else None
    try:
        found = jobs.cron_decision(case["cron_job"], now, created, last, case["active"])
    except ValueError:
        # A schedule or a zone that cannot be read starts nothing.
        assert case["want"] == [False, False]
        return
    assert [found.start is not None, found.replace] == case["want"]


def job(case: Case) -> None:
    state = jobs.JobState(case["active"], case["succeeded"], case["failed"], suspended=case["suspended"])
    completions = case.get("completions")
    spec = {"parallelism": case["parallelism"], "backoffLimit": case["limit"], "completions": completions}
    verdict = jobs.job_verdict({"spec": spec}, state)
    assert verdict.status == {"": "running", "Complete": "complete", "Failed": "failed"}[case["condition"]]
    if verdict.status == "running":
        assert jobs.job_wanted(case["parallelism"], completions, state) == case["want"]


def amount(value: Case | None) -> eviction.Amount | None:
    if value is None:
        return None
    return eviction.Amount(parse_quantity(value["quantity"])) if "quantity" in value else eviction.Amount(None, **value)


def threshold(item: Case) -> eviction.Threshold:
    value = amount(item["value"])
    assert value is not None
    return eviction.Threshold(item["signal"], value, item["grace_s"], amount(item.get("min_reclaim")))


def comparable(item: eviction.Threshold) -> tuple[object, ...]:
    """Shares to seven digits: upstream holds them in single precision."""

    def plain(value: eviction.Amount | None) -> tuple[Quantity | None, str] | None:
        return None if value is None else (value.quantity, f"{value.share or 0:.7f}")

    return item.signal, plain(item.value), float(item.grace_s), plain(item.min_reclaim)


def thresholds(case: Case) -> None:
    asked = case["hard"], case["soft"], case["grace"], case["reclaim"]
    if "want" not in case:
        with pytest.raises(ValueError, match=r"."):
            eviction.parse_thresholds(*asked)
        return
    found = sorted(map(str, map(comparable, eviction.parse_thresholds(*asked))))
    assert found == sorted(str(comparable(threshold(item))) for item in case["want"])


def thresholds_met(case: Case) -> None:
    seen = {
        name: eviction.Observation(parse_quantity(free), parse_quantity(capacity))
        for name, (free, capacity) in case["observations"].items()
    }
    asked = [threshold(item) for item in case["thresholds"]]
    found = eviction.thresholds_met(asked, seen, enforce_min_reclaim=case["reclaim"])
    assert [comparable(item) for item in found] == [comparable(threshold(item)) for item in case["want"]]


def threshold_order(case: Case) -> None:
    found = eviction.by_eviction_priority([threshold(item) for item in case["thresholds"]])
    assert [item.signal for item in found] == case["want"]


def oom(case: Case) -> None:
    members = containers_of(case["pod"]) + init_containers_of(case["pod"])
    found = {item["name"]: eviction.oom_score_adj(case["pod"], item, case["capacity"]) for item in members}
    for name, (low, high) in case["want"].items():
        assert low <= found[name] <= high


def statefulset_unavailable(case: Case) -> None:
    assert statefulset_max_unavailable(case.get("value"), case["replicas"]) == case["want"]


def daemon(case: Case) -> None:
    manifest = {"kind": "DaemonSet", "spec": {"updateStrategy": case["strategy"]}}
    assert list(daemon_limits(manifest, case["desired"])) == case["want"]


def node_affinity(case: Case) -> None:
    assert fits_node_affinity(case["pod"]["spec"], case["node"]) == case["want"]


def toleration(case: Case) -> None:
    assert tolerates(case["toleration"], case["taint"]) == case["want"]


def hpa_pods(case: Case) -> None:
    pods = {f"p{number}": hpa.PodMetric(*item) for number, item in enumerate(case["pods"])}
    up, down = case["tolerance"]
    by_share = "utilisation" in case
    ask = hpa.desired_from_utilisation if by_share else hpa.desired_from_average
    target = case["utilisation"] if by_share else case["average"]
    if "want" not in case:
        with pytest.raises(ValueError, match=r"missing request|did not receive metrics"):
            ask(case["current"], pods, target, up, tolerance_down=down)
        return
    assert ask(case["current"], pods, target, up, tolerance_down=down) == case["want"]


def hpa_object(case: Case) -> None:
    up, down = case["tolerance"]
    asked = case["current"], case["metric"], case["target"], up
    assert hpa.desired_replicas(*asked, ready=case["ready"], tolerance_down=down) == case["want"]


def hpa_per_pod(case: Case) -> None:
    up, down = case["tolerance"]
    found = hpa.desired_from_total(case["current"], case["metric"], case["target"], up, tolerance_down=down)
    assert found == case["want"]


def past(items: list[list[Any]]) -> list[hpa.Past]:
    return [hpa.Past(*item) for item in items]


def hpa_rules(case: Case) -> None:
    behavior = hpa.behavior_of({"spec": {"behavior": {"scaleUp": case["up"], "scaleDown": case["down"]}}})
    bounds = case["minimum"], case["maximum"]
    events = past(case["added"]), past(case["removed"])
    assert hpa.limited(case["current"], case["desired"], *bounds, behavior, *events) == case["want"]


def hpa_stabilised(case: Case) -> None:
    behavior = None
    if "windows" in case:
        up, down = case["windows"]
        behavior = hpa.Behavior(hpa.ScalingRules((), up), hpa.ScalingRules((), down))
    assert hpa.stabilised(case["current"], case["desired"], past(case["history"]), behavior) == case["want"]


RUN: dict[str, Callable[[Case], None]] = {
    function.__name__: function
    for function in (
        complete,
        container_resources,
        cron,
        default_class,
        fence_posts,
        hpa_object,
        hpa_per_pod,
        hpa_pods,
        hpa_rules,
        hpa_stabilised,
        job,
        limit_range,
        max_unavailable,
        min_available,
        must_specify,
        new_replicas,
        node_affinity,
        oom,
        pod_defaults,
        pod_resources,
        priority,
        progressing,
        qos,
        quantity,
        quantity_round_up,
        quantity_sign,
        quantity_sum,
        quantity_times,
        quota,
        scale,
        schedule_time,
        scopes,
        statefulset_unavailable,
        threshold_order,
        thresholds,
        thresholds_met,
        timed_out,
        toleration,
        tolerations,
        used,
    )
} | {"usage": usage_of, "daemon_limits": daemon}


@pytest.mark.parametrize("case", TABLES, ids=[item["source"] for item in TABLES])
def test_the_rule_answers_as_the_upstream_table(case: Case) -> None:
    RUN[case["kind"]](case)


def test_every_kind_of_rule_has_cases() -> None:
    assert {item["kind"] for item in TABLES} == set(RUN)
