"""The quota that looks like 85 % and lets nothing restart: a self-made tree, and the tree it was first seen on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from models import scenario as schema
from models.findings import Finding
from models.objects import Rendered
from models.render import render_text, render_tree
from sim.checks import run_checks
from sim.standing import stand

ONE = schema.Cluster(nodes=(schema.Node(name="node", machine="m920q", role="server"),))
USER_TREE = os.environ.get("STOWPLAN_USER_TREE")
QUOTA = """
apiVersion: v1
kind: ResourceQuota
metadata: {name: htpc, namespace: htpc}
spec: {hard: {requests.cpu: "2"}}
"""
APP = """
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: htpc}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      {init}containers: [{{name: {name}, image: "example/{name}:1", resources: {{requests: {{cpu: {cpu}}}}}}}]
"""
INIT = 'initContainers: [{name: fix-permissions, image: "busybox:1", command: [chown, "1000", /config]}]\n      '
WITH_INIT = ("autobrr", "qbittorrent", "radarr", "sonarr")


def media() -> Rendered:
    """Eight apps that request 1.7 cores; four of them with an init container that requests nothing."""
    apps = [APP.format(name="jellyfin", cpu='"1"', init="")]
    apps += [APP.format(name=name, cpu="100m", init="") for name in ("flaresolverr", "prowlarr", "scraparr")]
    apps += [APP.format(name=name, cpu="100m", init=INIT) for name in WITH_INIT]
    return render_text("".join(apps), file="media.yaml")


def trees() -> list[object]:
    known = pytest.mark.skipif(not USER_TREE, reason="STOWPLAN_USER_TREE does not name a tree")
    return ["self-made", pytest.param("user", marks=known)]


@pytest.fixture(params=trees())
def tree(request: pytest.FixtureRequest) -> Rendered:
    return media() if request.param == "self-made" else render_tree(Path(USER_TREE or "."))


def of(tree: Rendered, *codes: str) -> list[Finding]:
    found = run_checks(stand(tree + render_text(QUOTA, file="quota.yaml"), ONE))
    return [item for item in found if item.code in codes]


def test_jellyfin_needs_2_7_cores_for_its_rollout_and_gets_2(tree: Rendered) -> None:
    (item,) = of(tree, "ROLLOUT-STUCK")
    assert item.subject == "Deployment htpc/jellyfin"
    assert item.evidence[0] == "RollingUpdate, surge 1, unavailable 0"
    assert item.evidence[1].endswith(
        "is forbidden: exceeded quota: htpc, requested: requests.cpu=1, used: requests.cpu=1700m, "
        "limited: requests.cpu=2"
    )


def test_four_apps_are_refused_at_their_next_restart_because_of_the_init_container(tree: Rendered) -> None:
    found = of(tree, "QUOTA-UNSPECIFIED")
    assert [item.subject for item in found] == [f"Deployment htpc/{name}" for name in WITH_INIT]
    for item in found:
        assert item.evidence[0].endswith(
            "is forbidden: failed quota: htpc: must specify requests.cpu for: fix-permissions"
        )
        assert item.where.field == "spec.template.spec.initContainers[fix-permissions].resources"


def test_without_the_quota_nothing_is_refused_or_stuck(tree: Rendered) -> None:
    codes = {item.code for item in run_checks(stand(tree, ONE))}
    assert not codes & {"ROLLOUT-STUCK", "QUOTA-UNSPECIFIED", "QUOTA-EXCEEDED"}


def test_init_containers_that_request_what_the_app_does_cost_nothing() -> None:
    text = "".join(APP.format(name=name, cpu="100m", init=INIT) for name in WITH_INIT)
    text = text.replace("/config]}", "/config], resources: {requests: {cpu: 100m}}}")
    tree = render_text(text, file="media.yaml")
    assert of(tree, "QUOTA-UNSPECIFIED", "QUOTA-EXCEEDED", "ROLLOUT-STUCK") == []
