"""Kubernetes' preemption tables through the JSON of ``explain``: which pods each node would have to give up.

Source: pkg/scheduler/framework/plugins/defaultpreemption/default_preemption_test.go (v1.33.1), TestDryRunPreemption,
with upstream's names of the cases. The choice among nodes is tested with cases of our own, one for each rule of
framework/preemption/preemption.go ``pickOneNodeForPreemption``.
"""

from __future__ import annotations

from typing import Any

import pytest
from asking import ask, bound, make, to_come

NEGATIVE, LOW, MID, HIGH, VERY_HIGH = -100, 0, 100, 1000, 10000
SIZES = {"small": "100", "medium": "200", "large": "300", "very large": "500"}

Row = tuple[str, str, int, str]
"""Name, node, priority, size of a pod that exists."""

Wanted = dict[str, tuple[list[str], int]]
"""Victims and budget violations by node."""


def spec_of(priority: int, size: str) -> dict[str, Any]:
    amounts = {"cpu": f"{SIZES[size]}m", "memory": SIZES[size]}
    return {"priority": priority, "containers": [{"name": "c", "resources": {"requests": amounts}}]}


def asked(
    rows: list[Row],
    size: str = "large",
    *,
    start: dict[str, str] | None = None,
    disrupted: list[str] | None = None,
    allowed: int | None = None,
) -> dict[str, Any]:
    """The answer for a pod of high priority on nodes of the upstream size; budgets select all existing pods."""
    nodes = sorted({node for _, node, _, _ in rows})
    amounts = {"cpu": "500m", "memory": "500", "pods": "32"}
    objects = [make("v1", "Node", {"metadata": {"name": name}, "status": {"allocatable": amounts}}) for name in nodes]
    for name, node, priority, share in rows:
        pod: dict[str, Any] = {"metadata": {"name": name, "labels": {"app": "foo"}}, "spec": spec_of(priority, share)}
        if start:
            pod["status"] = {"startTime": start[name]}
        objects.append(bound(pod, node))
    if allowed is not None:
        status = {
            "disruptionsAllowed": allowed,
            "disruptedPods": dict.fromkeys(disrupted or [], "2024-01-01T00:00:00Z"),
        }
        budget = {"spec": {"selector": {"matchLabels": {"app": "foo"}}}, "status": status}
        objects.append(make("policy/v1", "PodDisruptionBudget", budget))
    (answer,) = ask([*objects, to_come({"metadata": {"name": "p"}, "spec": spec_of(HIGH, size)})])["pods"]
    return dict(answer)


def candidates(answer: dict[str, Any]) -> Wanted:
    return {
        item["node"]: (sorted(name.removeprefix("default/") for name in item["victims"]), item["pdb_violations"])
        for item in answer["preemption_candidates"]
    }


MIXED: list[Row] = [
    ("p1.1", "node1", MID, "small"),
    ("p1.2", "node1", LOW, "small"),
    ("p1.3", "node1", MID, "medium"),
    ("p1.4", "node1", HIGH, "small"),
    ("p2", "node2", HIGH, "large"),
]


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        pytest.param(
            [("p1", "node1", MID, "large"), ("p2", "node2", MID, "large")],
            {"node1": (["p1"], 0), "node2": (["p2"], 0)},
            id="a pod that fits on both nodes when lower priority pods are preempted",
        ),
        pytest.param(
            [("p1", "node1", VERY_HIGH, "large"), ("p2", "node2", VERY_HIGH, "large")],
            {},
            id="a pod that would fit on the nodes, but other pods running are higher priority",
        ),
        pytest.param(
            [("p1.1", "node1", LOW, "small"), ("p1.2", "node1", MID, "large"), ("p2", "node2", MID, "large")],
            {"node1": (["p1.2"], 0), "node2": (["p2"], 0)},
            id="medium priority pod is preempted, but lower priority one stays as it is small",
        ),
        pytest.param(MIXED, {"node1": (["p1.2", "p1.3"], 0)}, id="mixed priority pods are preempted"),
    ],
)
def test_the_victims_are_those_of_the_upstream_table(rows: list[Row], wanted: Wanted) -> None:
    answer = asked(rows)
    assert candidates(answer) == wanted
    assert answer["state"] == ("preempting" if wanted else "pending")
    assert (answer["nominated_node"] in wanted) == bool(wanted)


def test_of_equal_priorities_the_pod_that_started_later_goes() -> None:
    rows = [
        ("p1.1", "node1", LOW, "small"),
        ("p1.2", "node1", LOW, "small"),
        ("p1.3", "node1", MID, "medium"),
        ("p1.4", "node1", HIGH, "small"),
        ("p2", "node2", HIGH, "large"),
    ]
    start = {
        name: f"1970-01-01T00:00:0{second}Z"
        for name, second in zip(("p2", "p1.4", "p1.3", "p1.2", "p1.1"), range(1, 6), strict=True)
    }
    assert candidates(asked(rows, start=start)) == {"node1": (["p1.1", "p1.3"], 0)}


TWO: list[Row] = [("p1.1", "node1", MID, "medium"), ("p1.2", "node1", MID, "medium")]


@pytest.mark.parametrize(
    ("disrupted", "violations"),
    [([], 1), (["p2"], 1), (["p1.2"], 0)],
    ids=["violation of same pdb", "the victim doesn't belong to DisruptedPods", "the victim belongs to DisruptedPods"],
)
def test_budget_violations_are_counted_as_upstream_does(disrupted: list[str], violations: int) -> None:
    answer = asked(TWO, "very large", disrupted=disrupted, allowed=1)
    assert candidates(answer) == {"node1": (["p1.1", "p1.2"], violations)}


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        pytest.param([("p1", "node1", MID, "very large")], "node1", id="single node with min highest priority"),
        pytest.param(
            [("p1", "node1", MID, "very large"), ("p2", "node2", LOW, "very large")],
            "node2",
            id="min highest priority victim wins",
        ),
        pytest.param(
            [
                ("p1.1", "node1", MID, "large"),
                ("p1.2", "node1", MID, "medium"),
                ("p2.1", "node2", MID, "large"),
                ("p2.2", "node2", LOW, "medium"),
            ],
            "node2",
            id="min sum of priorities wins",
        ),
        pytest.param(
            [
                ("p1.1", "node1", MID, "small"),
                ("p1.2", "node1", NEGATIVE, "large"),
                ("p1.3", "node1", NEGATIVE, "small"),
                ("p2.1", "node2", MID, "medium"),
                ("p2.2", "node2", NEGATIVE, "large"),
            ],
            "node2",
            id="fewest pods wins although sums weigh each pod with 2^31",
        ),
    ],
)
def test_the_node_that_hurts_least_is_nominated(rows: list[Row], wanted: str) -> None:
    assert asked(rows, "very large")["nominated_node"] == wanted
