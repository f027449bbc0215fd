"""StatefulSet, DaemonSet, Job, CronJob, HPA, PodDisruptionBudget and drain.

Sources: pkg/controller/statefulset/stateful_set_control_test.go,
pkg/controller/daemon/{daemon_controller,update}_test.go,
pkg/controller/cronjob/utils_test.go, pkg/controller/job/backoff_utils_test.go,
pkg/controller/podautoscaler/{replica_calculator,horizontal}_test.go, pkg/controller/disruption/disruption_test.go,
pkg/registry/core/pod/storage/eviction_test.go.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from models.rules.controllers import cron_decision, desired_replicas, drain_verdict, parse_cron
from models.rules.daemonset import (
    DaemonNode,
    DaemonStep,
    daemon_limits,
    daemon_should_run,
    daemon_update_step,
    fits_node_affinity,
    tolerates,
)
from models.rules.defaults import daemon_tolerations
from models.rules.disruption import (
    REFUSED,
    SEVERAL_BUDGETS,
    budget_status,
    budgets_of,
    disruptions_allowed,
    eviction_refusal,
    selects,
)
from models.rules.hpa import (
    Behavior,
    Past,
    PodMetric,
    Policy,
    ScalingRules,
    behavior_of,
    desired_from_average,
    desired_from_total,
    desired_from_utilisation,
    limited,
    scale_down_limit,
    scale_up_limit,
    stabilised,
)
from models.rules.jobs import (
    JobState,
    JobVerdict,
    cron_runs,
    job_backoff_s,
    job_parallelism,
    job_verdict,
    job_wanted,
    most_at_once,
    most_recent_schedule_time,
)
from models.rules.statefulset import (
    Replica,
    StatefulSetRule,
    Step,
    statefulset_max_unavailable,
    statefulset_rule,
    statefulset_steps,
)

NOON = datetime(2024, 5, 19, 12, 0, tzinfo=UTC)

# StatefulSet


def test_ordered_set_starts_one_pod_at_a_time_and_waits_for_it() -> None:
    rule = StatefulSetRule(3)
    assert statefulset_steps(rule, []) == (Step("create", 0),)
    assert statefulset_steps(rule, [Replica(0, available=False)]) == ()
    assert statefulset_steps(rule, [Replica(0)]) == (Step("create", 1),)
    assert statefulset_steps(rule, [Replica(0, terminating=True), Replica(1)]) == ()


def test_parallel_set_starts_and_stops_all_at_once() -> None:
    rule = StatefulSetRule(3, parallel=True)
    assert statefulset_steps(rule, []) == (Step("create", 0), Step("create", 1), Step("create", 2))
    pods = [Replica(number) for number in range(5)]
    assert statefulset_steps(rule, pods) == (Step("delete", 4), Step("delete", 3))


def test_ordered_set_shrinks_from_the_top_and_waits_for_an_unhealthy_pod_below() -> None:
    rule = StatefulSetRule(1)
    assert statefulset_steps(rule, [Replica(0), Replica(1), Replica(2)]) == (Step("delete", 2),)
    assert statefulset_steps(rule, [Replica(0), Replica(1), Replica(2, terminating=True)]) == ()
    assert statefulset_steps(rule, [Replica(0), Replica(1, available=False), Replica(2, available=False)]) == ()
    assert statefulset_steps(rule, [Replica(0), Replica(1), Replica(2, available=False)]) == (Step("delete", 2),)
    assert statefulset_steps(rule, [Replica(0, available=False), Replica(1)]) == ()


def test_update_goes_from_the_highest_ordinal_and_stops_at_the_partition() -> None:
    rule = StatefulSetRule(3, partition=1)
    old = [Replica(number, updated=False) for number in range(3)]
    assert statefulset_steps(rule, old) == (Step("delete", 2),)
    assert statefulset_steps(rule, [*old[:2], Replica(2)]) == (Step("delete", 1),)
    assert statefulset_steps(rule, [old[0], Replica(1), Replica(2)]) == ()
    assert statefulset_steps(rule, [Replica(1), Replica(2)]) == (Step("create", 0, updated=False),)
    assert statefulset_steps(StatefulSetRule(3, on_delete=True), old) == ()


def test_max_unavailable_replaces_several_at_once() -> None:
    old = [Replica(number, updated=False) for number in range(4)]
    rule = StatefulSetRule(4, max_unavailable=2)
    assert statefulset_steps(rule, old) == (Step("delete", 3), Step("delete", 2))
    parallel = StatefulSetRule(4, parallel=True, max_unavailable=2)
    broken = [Replica(0, updated=False, available=False), *old[1:]]
    assert statefulset_steps(parallel, broken) == (Step("delete", 0), Step("delete", 3))
    assert [statefulset_max_unavailable(value, 10) for value in (None, "5%", "35%", 3)] == [1, 1, 3, 3]


def test_a_finished_pod_is_deleted_first() -> None:
    assert statefulset_steps(StatefulSetRule(1), [Replica(0, finished=True)]) == (Step("delete", 0),)


def test_stateful_set_manifest_has_the_api_defaults() -> None:
    assert statefulset_rule({"spec": {}}) == StatefulSetRule(1)
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2, "maxUnavailable": "50%"}}
    spec = {"replicas": 4, "podManagementPolicy": "Parallel", "updateStrategy": rolling, "ordinals": {"start": 5}}
    assert statefulset_rule({"spec": spec}) == StatefulSetRule(4, True, False, 2, "50%", 5)


# DaemonSet


def node(name: str = "n", taints: list[dict[str, Any]] | None = None, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints or []}}


def daemon(**spec: Any) -> dict[str, Any]:
    return {"kind": "DaemonSet", "spec": {"template": {"spec": spec}}}


@pytest.mark.parametrize(
    ("taint", "expected"),
    [
        ({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}, (True, True)),
        ({"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"}, (True, True)),
        ({"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}, (True, True)),
        ({"key": "node.kubernetes.io/network-unavailable", "effect": "NoSchedule"}, (False, True)),
        ({"key": "dedicated", "value": "db", "effect": "NoSchedule"}, (False, True)),
        ({"key": "dedicated", "value": "db", "effect": "NoExecute"}, (False, False)),
        ({"key": "dedicated", "value": "db", "effect": "PreferNoSchedule"}, (True, True)),
    ],
)
def test_which_taints_keep_a_daemon_away(taint: dict[str, Any], expected: tuple[bool, bool]) -> None:
    assert daemon_should_run(daemon(), node(taints=[taint])) == expected


def test_host_network_daemons_tolerate_a_missing_network() -> None:
    taint = {"key": "node.kubernetes.io/network-unavailable", "effect": "NoSchedule"}
    assert daemon_should_run(daemon(hostNetwork=True), node(taints=[taint])) == (True, True)
    short = {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
    lifted = daemon_tolerations({"spec": {"tolerations": [short]}})
    assert "tolerationSeconds" not in lifted[0]
    assert len(lifted) == 6


def test_selectors_decide_where_a_daemon_runs() -> None:
    assert daemon_should_run(daemon(nodeSelector={"disk": "ssd"}), node(disk="ssd")) == (True, True)
    assert daemon_should_run(daemon(nodeSelector={"disk": "ssd"}), node(disk="hdd")) == (False, False)
    assert daemon_should_run(daemon(nodeName="other"), node()) == (False, False)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ([], False), ([{}], False),
        ([{"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["3"]}]}], True),
        ([{"matchExpressions": [{"key": "cores", "operator": "Lt", "values": ["4"]}]}], False),
        ([{"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}, {"matchFields": [
            {"key": "metadata.name", "operator": "In", "values": ["n"]}]}], True),
        ([{"matchExpressions": [{"key": "gpu", "operator": "NotIn", "values": ["x"]}]}], True),
        ([{"matchExpressions": [{"key": "cores", "operator": "DoesNotExist"}]}], False),
    ],
)  # fmt: skip
def test_required_node_affinity(terms: list[dict[str, Any]], expected: bool) -> None:
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    assert fits_node_affinity({"affinity": affinity}, node(cores="4")) is expected


def test_tolerations_default_to_equal_and_empty_parts_match_all() -> None:
    taint = {"key": "a", "value": "b", "effect": "NoSchedule"}
    assert tolerates({"key": "a", "value": "b"}, taint)
    assert not tolerates({"key": "a", "value": "c"}, taint)
    assert tolerates({"operator": "Exists"}, taint)
    assert not tolerates({"key": "a", "operator": "Exists", "effect": "NoExecute"}, taint)


def test_daemon_update_replaces_broken_pods_and_as_many_good_ones_as_allowed() -> None:
    nodes = [DaemonNode(name, old_available=True) for name in "abcde"]
    assert daemon_update_step(nodes, 0, 2) == DaemonStep(delete_old=("a", "b"))
    one_new_down = [DaemonNode("a", new_available=False), *nodes[1:]]
    assert daemon_update_step(one_new_down, 0, 2) == DaemonStep(delete_old=("b",))
    broken = [DaemonNode("a", old_available=False), *nodes[1:]]
    assert daemon_update_step(broken, 0, 1) == DaemonStep(delete_old=("a",))


def test_daemon_surge_starts_new_pods_beside_old_ones() -> None:
    nodes = [DaemonNode("a", old_available=True), DaemonNode("b", old_available=False), DaemonNode("c", True, True)]
    assert daemon_update_step(nodes, 1, 0) == DaemonStep(delete_old=("c",), create_new=("b", "a"))
    assert daemon_update_step([DaemonNode("a", True, False), DaemonNode("b", True)], 1, 0) == DaemonStep()


def test_daemon_limits_round_up_and_never_both_vanish() -> None:
    rolling = {"rollingUpdate": {"maxUnavailable": "30%"}}
    assert daemon_limits({"spec": {"updateStrategy": rolling}}, 5) == (0, 2)
    assert daemon_limits({"spec": {}}, 5) == (0, 1)
    assert daemon_limits({"spec": {"updateStrategy": {"rollingUpdate": {"maxUnavailable": 0}}}}, 5) == (0, 1)
    assert daemon_limits({"spec": {"updateStrategy": {"type": "OnDelete"}}}, 5) == (0, 0)


# Job and CronJob


@pytest.mark.parametrize(
    ("parallelism", "completions", "state", "wanted"),
    [(2, 5, JobState(), 2), (2, 5, JobState(succeeded=4), 1), (2, 5, JobState(succeeded=5), 0),
     (2, None, JobState(active=2), 2), (2, None, JobState(active=1, succeeded=1), 1), (0, 5, JobState(), 0),
     (2, 5, JobState(suspended=True), 0)],
)  # fmt: skip
def test_pods_a_job_wants(parallelism: int, completions: int | None, state: JobState, wanted: int) -> None:
    assert job_wanted(parallelism, completions, state) == wanted


def test_job_backoff_doubles_from_ten_seconds_to_ten_minutes() -> None:
    assert [job_backoff_s(failures) for failures in range(9)] == [0, 10, 20, 40, 80, 160, 320, 600, 600]
    assert job_backoff_s(1000) == 600


def test_job_verdicts() -> None:
    job: dict[str, Any] = {"spec": {"backoffLimit": 2, "activeDeadlineSeconds": 60, "completions": 2}}
    assert job_verdict(job, JobState(failed=2)).status == "running"
    assert job_verdict(job, JobState(failed=3)) == JobVerdict(
        "failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    )
    assert job_verdict(job, JobState(age_s=60)) == JobVerdict(
        "failed", "DeadlineExceeded", "Job was active longer than specified deadline"
    )
    assert job_verdict(job, JobState(succeeded=2)).status == "complete"
    assert job_verdict({"spec": {}}, JobState(succeeded=1)).status == "complete"
    assert [job_parallelism({"spec": spec}) for spec in ({}, {"parallelism": 3}, {"completions": 4})] == [
        (1, 1),
        (3, None),
        (1, 4),
    ]


def test_cnpg_schedules_have_seconds_and_five_fields_leave_out_the_weekday() -> None:
    night = parse_cron("0 30 2 * * *", seconds=True)
    assert night.next(NOON) == datetime(2024, 5, 20, 2, 30, tzinfo=UTC)
    # the same text read as a CronJob's would run every day; as CNPG's, at second 0, minute 0, hour 2 of the 1st
    assert parse_cron("0 0 2 1 *", seconds=True).next(NOON) == datetime(2024, 6, 1, 2, 0, tzinfo=UTC)
    with pytest.raises(ValueError, match="expected exactly 5 fields, found 6"):
        parse_cron("0 30 2 * * *")


def test_time_zone_of_a_cron_job_follows_daylight_saving() -> None:
    schedule = parse_cron("30 2 * * *", zone="Europe/Berlin")
    assert schedule.next(datetime(2024, 3, 29, 12, tzinfo=UTC)) == datetime(2024, 3, 30, 1, 30, tzinfo=UTC)
    # 2:30 does not exist on 31 March 2024
    assert schedule.next(datetime(2024, 3, 30, 12, tzinfo=UTC)) == datetime(2024, 4, 1, 0, 30, tzinfo=UTC)
    local = datetime(2024, 7, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    assert parse_cron("@daily").next(local) == datetime(2024, 7, 2, tzinfo=ZoneInfo("Europe/Berlin"))


def test_a_schedule_that_never_comes_has_no_next_time() -> None:
    assert parse_cron("0 0 31 2 *").next(NOON) is None
    with pytest.raises(ValueError, match="time difference between two schedules is less than 1 second"):
        most_recent_schedule_time(parse_cron("0 0 31 2 *"), NOON, NOON + timedelta(days=1))


@pytest.mark.parametrize(
    ("text", "minutes", "deadline", "recent", "missed"),
    [("0 * * * *", 10, None, None, "none"), ("0 * * * *", 60, None, 60, "none"),
     ("0 * * * *", 301, None, 300, "few"), ("0 * * * *", 60 * 200, None, 60 * 200, "many"),
     ("0 * * * *", 301, 30, None, "none"), ("30 6-16/4 * * 1-5", 2 * 24 * 60, None, 2790, "few")],
)  # fmt: skip
def test_the_most_recent_due_time(
    text: str, minutes: int, deadline: float | None, recent: int | None, missed: str
) -> None:
    found = most_recent_schedule_time(parse_cron(text), NOON, NOON + timedelta(minutes=minutes), deadline)
    assert found == (recent and NOON + timedelta(minutes=recent), missed)


def cron_job(**spec: Any) -> dict[str, Any]:
    return {"kind": "CronJob", "spec": {"schedule": "0 * * * *", **spec}}


@pytest.mark.parametrize(
    ("spec", "minutes", "last", "active", "starts", "reason"),
    [
        ({}, 61, None, 0, True, ""), ({}, 59, None, 0, False, "no unmet start times"),
        ({"suspend": True}, 61, None, 0, False, "suspended"),
        ({"concurrencyPolicy": "Forbid"}, 61, None, 1, False,
         "prior execution is still running and concurrency policy is Forbid"),
        ({"concurrencyPolicy": "Allow"}, 61, None, 1, True, ""),
        ({"concurrencyPolicy": "Replace"}, 61, None, 1, True, ""),
        ({"startingDeadlineSeconds": 30}, 61, None, 0, False, "no unmet start times"),
        ({"startingDeadlineSeconds": 90}, 61, None, 0, True, ""), ({}, 61, 60, 0, False, "no unmet start times"),
    ],
)  # fmt: skip
def test_what_a_cron_job_does_now(
    spec: dict[str, Any], minutes: int, last: int | None, active: int, starts: bool, reason: str
) -> None:
    found = cron_decision(
        cron_job(**spec),
        NOON + timedelta(minutes=minutes),
        NOON,
        None if last is None else NOON + timedelta(minutes=last),
        active,
    )
    assert found.start == (NOON + timedelta(hours=1) if starts else None)
    assert found.reason == reason
    assert found.replace == (spec.get("concurrencyPolicy") == "Replace")


@pytest.mark.parametrize(("policy", "runs", "peak"), [("Allow", 6, 3), ("Forbid", 3, 1), ("Replace", 6, 1)])
def test_overlap_of_hourly_runs_that_take_two_and_a_half_hours(policy: Any, runs: int, peak: int) -> None:
    found = cron_runs(parse_cron("0 * * * *"), 9000, NOON, NOON + timedelta(hours=6), policy)
    assert (len(found), most_at_once(found)) == (runs, peak)


def test_runs_that_touch_do_not_overlap() -> None:
    found = cron_runs(parse_cron("0 * * * *"), 3600, NOON, NOON + timedelta(hours=3))
    assert most_at_once(found) == 1


# HPA


@pytest.mark.parametrize(
    ("current", "metric", "target", "expected"),
    [(3, 90, 30, 9), (3, 33, 30, 3), (3, 33.1, 30, 4), (3, 27, 30, 3), (3, 20, 30, 2), (0, 150, 100, 2), (0, 0, 10, 0)],
)
def test_replicas_follow_the_ratio_outside_the_tolerance(
    current: int, metric: float, target: float, expected: int
) -> None:
    assert desired_replicas(current, metric, target) == expected


def test_only_ready_pods_are_multiplied() -> None:
    assert desired_replicas(4, 200, 100, ready=3) == 6


def pods(*values: int | None, request: int = 1000, unready: int = 0) -> dict[str, PodMetric]:
    found = {f"p{rank}": PodMetric(value, request) for rank, value in enumerate(values)}
    return found | {f"u{rank}": PodMetric(None, request, "unready") for rank in range(unready)}


@pytest.mark.parametrize(
    ("current", "metrics", "target", "expected"),
    [
        # TestReplicaCalcScaleUp, ...UnreadyLessScale, ...UnreadyNoScale, ...Down, ...MissingMetrics*
        (3, pods(300, 500, 700), 30, 5), (3, pods(500, 700, unready=1), 30, 4), (3, pods(400, unready=2), 30, 3),
        (5, pods(100, 300, 500, 250, 250), 50, 3), (2, pods(400, None), 100, 2), (2, pods(1000, None), 15, 7),
        (5, pods(100, 300, 500, None, 250), 50, 5), (4, pods(100, None, unready=2), 50, 4),
        (10, pods(1010, 1030, 1020), 100, 10),
    ],
)  # fmt: skip
def test_utilisation_with_missing_and_unready_pods(
    current: int, metrics: dict[str, PodMetric], target: int, expected: int
) -> None:
    assert desired_from_utilisation(current, metrics, target) == expected


def test_average_values_and_totals() -> None:
    assert desired_from_average(3, pods(20000, 10000, 30000), 15000) == 4
    assert desired_from_average(2, pods(400000, None), 800000) == 2
    assert desired_from_total(4, 8600, 4400) == 2
    assert desired_from_total(2, 8600, 4400) == 2


def test_no_metrics_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="did not receive metrics for targeted pods"):
        desired_from_utilisation(1, pods(None), 50)
    with pytest.raises(ValueError, match="missing request"):
        desired_from_utilisation(1, pods(100, request=0), 50)


def test_downscaling_waits_for_the_highest_recommendation_of_five_minutes() -> None:
    history = [Past(290, 8), Past(301, 12)]
    assert stabilised(8, 3, history) == 8
    assert stabilised(8, 10, history) == 10
    assert stabilised(8, 3, history, Behavior()) == 8
    slow_up = Behavior(up=ScalingRules((Policy("Pods", 4, 15),), 60))
    assert stabilised(3, 10, [Past(30, 5)], slow_up) == 5


def test_without_a_behavior_one_step_at_most_doubles() -> None:
    assert [limited(current, 50, 1, 100) for current in (1, 2, 10)] == [4, 4, 20]
    assert limited(10, 50, 1, 15) == 15
    assert limited(10, 0, 2, 15) == 2


def test_policies_count_what_was_scaled_in_their_period() -> None:
    rules = ScalingRules((Policy("Pods", 4, 60), Policy("Percent", 100, 60)), 0)
    assert scale_up_limit(10, rules, [], []) == 20
    assert scale_up_limit(10, rules, [Past(30, 5)], []) == 10
    assert scale_up_limit(10, ScalingRules(rules.policies, 0, "Min"), [], []) == 14
    assert scale_up_limit(10, ScalingRules(rules.policies, 0, "Disabled"), [], []) == 10
    down = ScalingRules((Policy("Percent", 20, 60),), 300)
    assert scale_down_limit(10, down, [], []) == 8
    assert scale_down_limit(8, down, [], [Past(10, 2)]) == 8
    assert limited(10, 1, 1, 100, Behavior(down=down)) == 8
    assert limited(10, 100, 1, 30, Behavior(up=rules), added=[Past(30, 9)]) == 10


def test_behavior_is_filled_with_its_defaults() -> None:
    spec = {"behavior": {"scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}}}
    found = behavior_of({"spec": spec})
    assert found == Behavior(down=ScalingRules((Policy("Pods", 1, 60),), 300))
    assert behavior_of({"spec": {}}) is None


# Budgets and drain


def budget(**spec: Any) -> dict[str, Any]:
    body = {"selector": {"matchLabels": {"app": "a"}}, **spec}
    return {"metadata": {"name": "pdb", "namespace": "ns"}, "spec": body}


def member(ready: bool = True, phase: str = "Running", **metadata: Any) -> dict[str, Any]:
    owner = {"ownerReferences": [{"kind": "ReplicaSet", "controller": True}]}
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {
        "metadata": {"name": "p", "namespace": "ns", "labels": {"app": "a"}, **owner, **metadata},
        "spec": {},
        "status": {"phase": phase, "conditions": conditions},
    }


@pytest.mark.parametrize(
    ("spec", "count", "scale", "healthy", "allowed"),
    [({"minAvailable": 1}, 1, 1, 1, 0), ({"minAvailable": 2}, 3, 3, 3, 1), ({"minAvailable": "30%"}, 7, 10, 7, 4),
     ({"minAvailable": "28%"}, 4, 4, 4, 2), ({"maxUnavailable": 1}, 3, 3, 3, 1),
     ({"maxUnavailable": "10%"}, 3, 3, 3, 1),
     ({"maxUnavailable": 1}, 3, 4, 3, 0), ({"maxUnavailable": 0}, 3, 3, 3, 0), ({"minAvailable": 0}, 0, 0, 0, 0)],
)  # fmt: skip
def test_disruptions_allowed(spec: dict[str, Any], count: int, scale: int, healthy: int, allowed: int) -> None:
    assert disruptions_allowed(budget(**spec), count, scale, healthy) == allowed


def test_eviction_is_refused_with_the_sentence_of_the_api_server() -> None:
    rule = budget(minAvailable=1)
    status = budget_status(rule, 1, 1, 1)
    cause = "The disruption budget pdb needs 1 healthy pods and has 1 currently"
    assert eviction_refusal(member(), [(rule, status)]) == (REFUSED, cause)
    assert eviction_refusal(member(), [(rule, status)] * 2) == (SEVERAL_BUDGETS, "")
    assert eviction_refusal(member(phase="Pending"), [(rule, status)]) is None
    assert eviction_refusal(member(ready=False), [(rule, status)]) is None
    unhealthy = budget_status(rule, 1, 1, 0)
    assert eviction_refusal(member(ready=False), [(rule, unhealthy)]) is not None
    lenient = budget(minAvailable=1, unhealthyPodEvictionPolicy="AlwaysAllow")
    assert eviction_refusal(member(ready=False), [(lenient, unhealthy)]) is None


def test_drain_skips_daemons_and_stops_at_bare_pods_and_blocked_budgets() -> None:
    daemon_pod = member(ownerReferences=[{"kind": "DaemonSet", "controller": True}])
    assert drain_verdict(daemon_pod).outcome == "skipped"
    refused = drain_verdict(daemon_pod, ignore_daemon_sets=False)
    assert refused.message == "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): ns/p"
    assert drain_verdict(member(ownerReferences=[])).outcome == "refused"
    assert drain_verdict(member(ownerReferences=[]), force=True).outcome == "evicted"
    local = member() | {"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}
    assert drain_verdict(local, delete_empty_dir=False).message == (
        "cannot delete Pods with local storage (use --delete-emptydir-data to override): ns/p"
    )
    rule = budget(minAvailable=1)
    assert drain_verdict(member(), [(rule, budget_status(rule, 1, 1, 1))]).outcome == "blocked"
    assert drain_verdict(member()).outcome == "evicted"


def test_a_null_selector_selects_nothing_and_an_empty_one_everything() -> None:
    assert not selects(None, {"app": "a"})
    assert selects({}, {"app": "a"})
    rule = {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["b"]}]}
    assert selects(rule, {})
    assert selects(rule, {"app": "a"})
    assert not selects(rule, {"app": "b"})
    assert budgets_of(member(), [budget(), budget() | {"metadata": {"name": "x", "namespace": "other"}}]) == [budget()]
