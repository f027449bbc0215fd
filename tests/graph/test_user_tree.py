"""The tree of a real home cluster, which is not part of this repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from models.findings import Finding
from models.graph.analysis import findings
from models.graph.build import build_graph
from models.platform import Platform, read_platform
from models.render import render_tree

TREE = os.environ.get("STOWPLAN_USER_TREE")
pytestmark = pytest.mark.skipif(not TREE, reason="STOWPLAN_USER_TREE does not name a tree")


@pytest.fixture(scope="module")
def platform() -> Platform:
    return read_platform(render_tree(Path(TREE or ".")))


@pytest.fixture(scope="module")
def found(platform: Platform) -> list[Finding]:
    return findings(build_graph(platform), platform)


def test_log_collectors_metrics_endpoint_is_answered_by_no_service(found: list[Finding]) -> None:
    titles = [item.title for item in found if item.code == "GRAPH-DANGLING"]
    assert any("metrics endpoint" in text and "kube-prometheus-stack-prometheus" in text for text in titles)


def test_network_policy_keeps_prometheus_from_the_media_namespace(found: list[Finding]) -> None:
    (item,) = [entry for entry in found if entry.code == "GRAPH-POLICY-FORBIDS"]
    assert "Service htpc/scraparr" in item.title
    assert item.where.file == "base/htpc/network-policy.yaml"
    assert item.way_out == "name namespace monitoring in allow-prometheus-scrape"
