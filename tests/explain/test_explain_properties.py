"""What holds for every answer of ``explain``: no quota and no node is exceeded, and no input is a bug."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from asking import ask, make
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InputError, Problem
from models.rules.quantity import ZERO, parse_quantity

pods = st.lists(
    st.tuples(st.sampled_from(["50m", "300m", "700m", "1500m"]), st.sampled_from(["64Mi", "1Gi"]), st.integers(0, 2)),
    min_size=1,
    max_size=12,
)
CLASSES = [make("scheduling.k8s.io/v1", "PriorityClass", {"metadata": {"name": f"p{n}"}, "value": n}) for n in range(3)]


def node(name: str) -> dict[str, Any]:
    amounts = {"cpu": "2", "memory": "2Gi", "pods": "4"}
    return make("v1", "Node", {"metadata": {"name": name}, "status": {"allocatable": amounts}})


def of_spec(version: str, kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return make(version, kind, {"metadata": {"name": name}, "spec": spec})


@settings(max_examples=60, deadline=None)
@given(asked=pods, cpu=st.sampled_from(["1", "2500m", "9"]), seed=st.integers(0, 5))
def test_neither_quota_nor_node_is_ever_exceeded(asked: list[tuple[str, str, int]], cpu: str, seed: int) -> None:
    quota = make(
        "v1", "ResourceQuota", {"metadata": {"name": "q"}, "spec": {"hard": {"requests.cpu": cpu, "pods": "9"}}}
    )
    listed = [
        make(
            "v1",
            "Pod",
            {
                "metadata": {"name": f"pod-{number}"},
                "spec": {
                    "priorityClassName": f"p{level}",
                    "containers": [{"name": "c", "resources": {"requests": {"cpu": share, "memory": memory}}}],
                },
            },
        )
        for number, (share, memory, level) in enumerate(asked)
    ]
    data = ask([*CLASSES, node("a"), node("b"), quota, *listed], seed=seed)
    victims = {name for item in data["pods"] for name in item["victims"]}
    standing = [item for item in data["pods"] if f"default/{item['name']}" not in victims]
    charged = [item for item in standing if item["admission"]["admitted"]]
    used = {line["key"]: line["used_after"] for line in data["quotas"][0]["keys"]}
    total = sum((parse_quantity(item["requests"]["cpu"]) for item in charged), ZERO)
    assert parse_quantity(used["requests.cpu"]) == total
    assert total <= parse_quantity(cpu)
    assert int(used["pods"]) == len(charged) <= 9
    for name in ("a", "b"):
        here = [item for item in standing if (item["node"] or item["nominated_node"]) == name]
        assert len(here) <= 4
        for resource, capacity in (("cpu", "2"), ("memory", "2Gi")):
            amount = sum((parse_quantity(item["requests"][resource]) for item in here), ZERO)
            assert amount <= parse_quantity(capacity)
    for item in data["pods"]:
        best = max((entry["total"] for entry in item["nodes"] if entry["total"] is not None), default=None)
        if item["state"] == "scheduled":
            chosen = next(entry for entry in item["nodes"] if entry["node"] == item["node"])
            assert chosen["total"] == best == sum(line["weighted"] for line in chosen["scores"])
        for entry in item["nodes"]:
            assert entry["fits"] == (not entry["reasons"])


RICH: list[dict[str, Any]] = [
    node("a"),
    *CLASSES,
    make(
        "policy/v1",
        "PodDisruptionBudget",
        {"metadata": {"name": "b"}, "spec": {"selector": {"matchLabels": {"a": "b"}}}},
    ),
    make(
        "v1",
        "LimitRange",
        {"metadata": {"name": "l"}, "spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}},
    ),
    make(
        "v1",
        "PersistentVolumeClaim",
        {"metadata": {"name": "c"}, "spec": {"resources": {"requests": {"storage": "1"}}}},
    ),
    make(
        "v1",
        "Pod",
        {
            "metadata": {"name": "rich", "labels": {"a": "b"}},
            "spec": {
                "containers": [{"name": "c", "ports": [{"hostPort": 80}], "resources": {"limits": {"cpu": "1"}}}],
                "tolerations": [{"key": "a", "operator": "Exists"}],
                "nodeSelector": {"a": "b"},
                "priorityClassName": "p1",
                "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}],
                "topologySpreadConstraints": [
                    {
                        "maxSkew": 1,
                        "topologyKey": "zone",
                        "whenUnsatisfiable": "DoNotSchedule",
                        "labelSelector": {"matchLabels": {"a": "b"}},
                    }
                ],
                "affinity": {
                    "podAntiAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": [
                            {"labelSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}
                        ]
                    }
                },
            },
        },
    ),
    make(
        "apps/v1",
        "StatefulSet",
        {
            "metadata": {"name": "s"},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"a": "s"}},
                "template": {"metadata": {"labels": {"a": "s"}}, "spec": {"containers": [{"name": "c"}]}},
                "volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": {"accessModes": ["ReadWriteOnce"]}}],
            },
        },
    ),
]


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from paths(entry, (*path, key))


FIELDS = [
    (number, path)
    for number, item in enumerate(RICH)
    for path in paths(item)
    if path and path[0] not in ("kind", "apiVersion")
]
ODD = st.sampled_from(["text", 7, -1, None, [], {}, ["x"], {"a": "b"}, True, [None], 1.5])


@settings(max_examples=150, deadline=None)
@given(field=st.sampled_from(FIELDS), value=ODD)
def test_an_odd_value_in_any_field_is_answered_or_named_as_a_problem_of_the_input(
    field: tuple[int, tuple[str | int, ...]], value: Any
) -> None:
    number, path = field
    objects = copy.deepcopy(RICH)
    holder: Any = objects[number]
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    try:
        problems: tuple[Problem, ...] = ()
        assert ask(objects)["pods"]
    except InputError as error:
        problems = error.problems
    assert all(problem.where.file == "objects.yaml" and problem.way_out for problem in problems)
