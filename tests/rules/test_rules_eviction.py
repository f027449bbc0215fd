"""Eviction ranking, thresholds and OOM scores.

Sources: pkg/kubelet/eviction/helpers_test.go, pkg/kubelet/qos/policy_test.go.
"""

from typing import Any

import pytest

from models.rules.eviction import (
    DEFAULT_EVICTION_HARD,
    K3S_EVICTION_HARD,
    Observation,
    OomCandidate,
    Threshold,
    Usage,
    by_eviction_priority,
    evictable,
    next_victim,
    oom_order,
    oom_score_adj,
    parse_thresholds,
    rank_disk,
    rank_inodes,
    rank_memory,
    rank_pids,
    thresholds_met,
)
from models.rules.quantity import bytes_of, from_units, parse_quantity

LOW, HIGH = -1, 1
MI = 2**20


def pod(name: str, priority: int = 0, requests: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    container = {"name": name, "resources": {"requests": requests or {}}}
    return {
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {"containers": [container], "priority": priority, **spec},
    }


def names(pods: list[dict[str, Any]]) -> list[str]:
    return [item["metadata"]["name"] for item in pods]


# (name, priority, request, usage) in the order of eviction: TestOrderedByPriorityMemory
TABLE = [
    ("above-requests-low-priority-high-usage", LOW, None, 500),
    ("above-requests-low-priority-low-usage", LOW, None, 50),
    ("above-requests-high-priority-high-usage", HIGH, "100Mi", 600),
    ("above-requests-high-priority-low-usage", HIGH, "100Mi", 150),
    ("below-requests-low-priority-high-usage", LOW, "1Gi", 800),
    ("below-requests-low-priority-low-usage", LOW, "1Gi", 200),
    ("below-requests-high-priority-high-usage", HIGH, "1Gi", 800),
    ("below-requests-high-priority-low-usage", HIGH, "1Gi", 200),
]


def test_memory_pressure_ranks_excess_then_priority_then_size() -> None:
    pods = [pod(name, priority, {"memory": request} if request else {}) for name, priority, request, _ in TABLE]
    usage = {name: Usage(memory_b=used * MI) for name, _, _, used in TABLE}
    assert names(rank_memory(reversed(pods), usage)) == [name for name, *_ in TABLE]


def test_disk_pressure_ranks_the_same_by_ephemeral_storage() -> None:
    pods = [
        pod(name, priority, {"ephemeral-storage": request} if request else {}) for name, priority, request, _ in TABLE
    ]
    usage = {name: Usage(disk_b=used * MI) for name, _, _, used in TABLE}
    assert names(rank_disk(reversed(pods), usage)) == [name for name, *_ in TABLE]


def test_an_unmeasured_pod_goes_first_and_a_pod_at_its_request_is_not_above_it() -> None:
    pods = [pod("at", 0, {"memory": "100Mi"}), pod("over", 0, {"memory": "99Mi"}), pod("unknown", 99)]
    usage = {"at": Usage(memory_b=100 * MI), "over": Usage(memory_b=100 * MI)}
    assert names(rank_memory(pods, usage)) == ["unknown", "over", "at"]


def test_inode_and_pid_pressure_rank_priority_then_count() -> None:
    pods = [pod("high-many", HIGH), pod("low-few", LOW), pod("low-many", LOW)]
    counts = {"high-many": 90, "low-few": 1, "low-many": 50}
    expected = ["low-many", "low-few", "high-many"]
    assert names(rank_inodes(pods, {name: Usage(inodes=count) for name, count in counts.items()})) == expected
    assert names(rank_pids(pods, {name: Usage(pids=count) for name, count in counts.items()})) == expected


def test_overhead_belongs_to_the_request_only_when_there_is_one() -> None:
    overhead = {"memory": "100Mi"}
    pods = [pod("with", 0, {"memory": "100Mi"}, overhead=overhead), pod("without", 0, None, overhead=overhead)]
    usage = {"with": Usage(memory_b=150 * MI), "without": Usage(memory_b=50 * MI)}
    assert names(rank_memory(pods, usage)) == ["without", "with"]


def test_static_and_critical_pods_are_never_evicted() -> None:
    static = pod("static")
    static["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    critical = pod("critical", 2_000_000_000)
    assert not evictable(static)
    assert not evictable(critical)
    assert next_victim([static, critical, pod("a"), pod("b")]) == pod("a")
    assert next_victim([static]) is None


def observed(available: str, capacity: str) -> Observation:
    return Observation(parse_quantity(available), parse_quantity(capacity))


def test_a_threshold_is_met_strictly_below_and_cleared_above_the_minimum_reclaim() -> None:
    thresholds = parse_thresholds({"memory.available": "1Gi"}, minimum_reclaim={"memory.available": "500Mi"})
    assert thresholds_met(thresholds, {"memory.available": observed("1Gi", "8Gi")}) == []
    assert thresholds_met(thresholds, {"memory.available": observed("1023Mi", "8Gi")}) == thresholds
    clearing = {"memory.available": observed("1200Mi", "8Gi")}
    assert thresholds_met(thresholds, clearing) == []
    assert thresholds_met(thresholds, clearing, enforce_min_reclaim=True) == thresholds
    assert thresholds_met(thresholds, {}) == []


def test_percentages_are_of_capacity_in_single_precision() -> None:
    [threshold] = parse_thresholds({"nodefs.available": "10%"})
    # int64(float64(10Gi) * float64(float32(10)/100)): float32(0.1) is 0.100000001490116...
    assert threshold.value.of(parse_quantity("10Gi")) == from_units(1073741840)
    assert threshold.value.of(parse_quantity("0")) == from_units(0)


def test_memory_is_handled_before_disk() -> None:
    found = by_eviction_priority(parse_thresholds(dict(reversed(DEFAULT_EVICTION_HARD.items()))))
    assert found[0].signal == "memory.available"


def test_stock_k3s_has_no_memory_eviction() -> None:
    signals = [threshold.signal for threshold in parse_thresholds(K3S_EVICTION_HARD)]
    assert sorted(signals) == ["imagefs.available", "nodefs.available"]


def test_zero_and_hundred_percent_switch_a_signal_off_and_soft_needs_a_grace() -> None:
    assert parse_thresholds({"memory.available": "0%", "nodefs.available": "100%"}) == []
    [soft] = parse_thresholds({}, {"memory.available": "300Mi"}, {"memory.available": 30.0})
    assert isinstance(soft, Threshold)
    assert soft.grace_s == 30.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([{"mem": "1Gi"}], "unsupported eviction signal mem"),
        ([{"memory.available": "-1Gi"}], "eviction threshold memory.available must be positive: -1Gi"),
        ([{"memory.available": "-15%"}], "eviction percentage threshold memory.available must be >= 0%: -15%"),
        ([{"memory.available": "150%"}], "eviction percentage threshold memory.available must be <= 100%: 150%"),
        ([{}, {"memory.available": "1Gi"}],
         "grace period must be specified for the soft eviction threshold memory.available"),
        (
            [{}, {}, {}, {"memory.available": "-1Gi"}],
            "negative eviction minimum reclaim specified for memory.available",
        ),
        ([{}, {}, {}, {"memory.available": "0%"}],
         "eviction percentage minimum reclaim memory.available must be positive: 0%"),
    ],
)  # fmt: skip
def test_bad_thresholds_are_refused_in_the_words_of_the_kubelet(arguments: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match="eviction") as caught:
        parse_thresholds(*arguments)
    assert str(caught.value) == message


def resourced(requests: dict[str, str], limits: dict[str, str], **spec: Any) -> dict[str, Any]:
    found = pod("a", spec.pop("priority", 0), requests, **spec)
    found["spec"]["containers"][0]["resources"]["limits"] = limits
    return found


@pytest.mark.parametrize(
    ("given", "capacity", "score"),
    [
        (resourced({}, {"cpu": "10"}), 4_000_000_000, 999),
        (resourced({"cpu": "5"}, {"memory": "10G"}), 8_000_000_000, 999),
        (resourced({}, {"memory": "0"}), 7_230_457_451, 1000),
        (resourced({}, {}), 4_000_000_000, 1000),
        (resourced({"cpu": "5", "memory": "10G"}, {"cpu": "5", "memory": "10G"}), 123_456_789, -997),
        (resourced({"memory": str(4_000_000_000), "cpu": "5m"}, {"memory": "8G"}), 8_000_000_000, 500),
        (resourced({"memory": str(8_000_000_000 - 1), "cpu": "5"}, {}), 8_000_000_000, 3),
        (resourced({}, {}, priority=2_000_001_000, priorityClassName="system-node-critical"), 4_000_000_000, -997),
        (resourced({}, {}, priority=2_000_000_000, priorityClassName="system-cluster-critical"), 4_000_000_000, 1000),
    ],
)
def test_oom_score_adj(given: dict[str, Any], capacity: int, score: int) -> None:
    assert oom_score_adj(given, given["spec"]["containers"][0], capacity) == score


def test_a_sidecar_is_no_easier_victim_than_the_smallest_main_container() -> None:
    given = pod("main", 0, {"memory": "1G"})
    side = {"name": "side", "restartPolicy": "Always", "resources": {"requests": {"memory": "100M"}}}
    given["spec"]["initContainers"] = [side]
    assert oom_score_adj(given, given["spec"]["containers"][0], bytes_of("10G")) == 900
    assert oom_score_adj(given, side, bytes_of("10G")) == 900


def test_pod_level_memory_is_shared_out_to_the_containers() -> None:
    given = pod("a", 0, {"memory": "1G"}, resources={"requests": {"memory": "5G"}})
    given["spec"]["containers"].append({"name": "b"})
    assert [oom_score_adj(given, item, bytes_of("10G")) for item in given["spec"]["containers"]] == [700, 800]


def test_the_kernel_weighs_memory_against_the_adjustment() -> None:
    total = 8 * 2**30
    besteffort = OomCandidate("besteffort", 10 * MI, 1000)
    burstable = OomCandidate("burstable", 6 * 2**30, 500)
    guaranteed = OomCandidate("guaranteed", 7 * 2**30, -997)
    immortal = OomCandidate("sshd", 7 * 2**30, -1000)
    # badness in GiB: 6 + 4 = 10; 0.01 + 8 = 8.01; 7 - 7.98 < 0
    order = oom_order([guaranteed, besteffort, burstable, immortal], total)
    assert [item.name for item in order] == ["burstable", "besteffort", "guaranteed"]
