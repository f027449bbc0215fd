"""Rows of what changed: every kind of field that matters, its line, and what is no change at all."""

from __future__ import annotations

import pytest

from models.platform import read_platform
from models.render import render_text
from sim.compare.changes import changes, same_objects
from sim.compare.difference import Change
from sim.compare.usage import needs

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: home}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      initContainers:
        - name: init
          image: busybox:1
      containers:
        - name: app
          image: app:1
          args: [--fast]
          resources:
            requests: {cpu: 100m, memory: 1Gi}
            limits: {memory: 1Gi}
          env:
            - {name: A, value: "1"}
            - {name: B, value: "2"}
"""
LIMITS = """\
apiVersion: v1
kind: LimitRange
metadata: {name: limits, namespace: home}
spec:
  limits:
    - type: Container
      default: {memory: 1Gi}
      defaultRequest: {cpu: 100m}
"""
QUOTA = """\
apiVersion: v1
kind: ResourceQuota
metadata: {name: quota, namespace: home}
spec:
  hard:
    requests.cpu: "4"
    pods: "10"
"""


def rows(old: str, new: str) -> list[tuple[str, str, str, str, str, int | None]]:
    """Mark, what, field, before, after and line of every row."""
    found = changes(*(read_platform(render_text(text, file="all.yaml")) for text in (old, new)))
    return [(row.mark, row.what, row.field, row.before, row.after, row.where.line) for row in found]


@pytest.mark.parametrize(
    ("text", "old", "new", "row"),
    [
        (DEPLOYMENT, "replicas: 2", "replicas: 3", ("~", "replicas", "replicas", "2", "3", 5)),
        (DEPLOYMENT, "app:1", "app:2", ("~", "image", "container app image", "app:1", "app:2", 15)),
        (DEPLOYMENT, "cpu: 100m", "cpu: 1", ("~", "requests", "container app requests.cpu", "100m", "1", 18)),
        (DEPLOYMENT, "{cpu: 100m, ", "{", ("-", "requests", "container app requests.cpu", "100m", "", 18)),
        (
            DEPLOYMENT,
            "limits: {memory: 1Gi}",
            "limits: {memory: 1Gi, cpu: 2}",
            ("+", "limits", "container app limits.cpu", "", "2", 19),
        ),
        (
            DEPLOYMENT,
            "  replicas: 2\n",
            "  replicas: 2\n  strategy: {type: Recreate}\n",
            ("~", "strategy", "strategy", "", "Recreate", 6),
        ),
        (
            DEPLOYMENT,
            'value: "2"',
            'value: "3"',
            ("~", "object", "spec.template.spec.containers[app].env[B].value", "2", "3", 22),
        ),
        (
            DEPLOYMENT,
            "[--fast]",
            "[--slow]",
            ("~", "object", "spec.template.spec.containers[app].args", '["--fast"]', '["--slow"]', 16),
        ),
        (
            DEPLOYMENT,
            "        - name: init\n          image: busybox:1\n",
            "        - name: init\n          image: busybox:1\n        - name: more\n          image: more:1\n",
            ("+", "image", "init container more", "", "more:1", 13),
        ),
        (LIMITS, "{memory: 1Gi}", "{memory: 2Gi}", ("~", "limit range", "Container default.memory", "1Gi", "2Gi", 7)),
        (LIMITS, "cpu: 100m", "memory: 1Mi", ("-", "limit range", "Container defaultRequest.cpu", "100m", "", 8)),
        (QUOTA, '"4"', '"3"', ("~", "quota", "requests.cpu", "4", "3", 6)),
        (QUOTA, '    pods: "10"\n', "", ("-", "quota", "pods", "10", "", 5)),
    ],
)
def test_changed_field_is_a_row_with_its_line(text: str, old: str, new: str, row: tuple[object, ...]) -> None:
    assert old in text
    found = rows(text, text.replace(old, new, 1))
    assert row in found
    assert len(found) == (2 if "defaultRequest.cpu" in str(row) else 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [("cpu: 100m", "cpu: 0.1"), ("memory: 1Gi", "memory: 1024Mi"), ("{app: web}", '{"app": "web"}')],
)
def test_same_amount_in_another_notation_is_no_row(old: str, new: str) -> None:
    assert rows(DEPLOYMENT, DEPLOYMENT.replace(old, new)) == []


def test_pods_are_replaced_by_a_change_of_the_template_only() -> None:
    platforms = [
        read_platform(render_text(text, file="all.yaml"))
        for text in (DEPLOYMENT, DEPLOYMENT.replace("app:1", "app:2").replace("replicas: 2", "replicas: 5"))
    ]
    found: dict[str, Change] = {row.what: row for row in changes(*platforms)}
    assert found["image"].rolls
    assert not found["replicas"].rolls


def test_order_of_objects_and_their_files_is_no_difference() -> None:
    one = read_platform(render_text("---\n".join([QUOTA, LIMITS]), file="a.yaml"))
    two = read_platform(render_text("---\n".join([LIMITS, QUOTA]), file="b.yaml"))
    assert same_objects(one, two)
    assert changes(one, two) == []


def test_secret_values_are_in_no_row() -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: home}\nstringData: {password: hunter2}\n"
    assert rows(secret, secret.replace("hunter2", "hunter3")) == []
    (row,) = rows(secret, secret.replace("password: hunter2", "passphrase: hunter2, password: x"))
    assert "hunter" not in str(row)


def test_every_key_of_an_exceeded_quota_is_read_from_the_message() -> None:
    message = (
        'pods "a" is forbidden: exceeded quota: q, requested: limits.memory=2Gi,requests.cpu=1500m, '
        "used: limits.memory=7Gi,requests.cpu=3, limited: limits.memory=8Gi,requests.cpu=4"
    )
    assert [(quota, key, str(amount), str(hard)) for quota, key, amount, hard in needs(message)] == [
        ("q", "limits.memory", "9Gi", "8Gi"),
        ("q", "requests.cpu", "4500m", "4"),
    ]
    assert needs("0/3 nodes are available: 3 Insufficient cpu.") == []
