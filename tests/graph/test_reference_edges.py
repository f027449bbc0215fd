"""The graph of the reference platform equals the list that was written by hand from its manifests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
import yaml

from models.findings import Severity
from models.graph.analysis import findings, forbidden_edges
from models.graph.build import build_graph
from models.platform import Platform, read_platform
from models.render import render_tree

ROOT = Path(__file__).parents[2]
LISTED = {
    "routes-to", "guarded-by", "selects", "calls", "queries", "caches-in", "mounts", "scrapes", "ships-logs-to",
    "ships-traces-to", "ships-metrics-to", "issues", "backs-up", "uses",
}  # fmt: skip

APP_KNOWLEDGE = {
    # Argo CD computes again what its cache has lost; people log in to Jellyseerr with their Jellyfin account. Neither
    # is written in a manifest: an override file says such things.
    ("StatefulSet argocd/argocd-application-controller", "Service argocd/argocd-redis", "caches-in"),
    ("Deployment argocd/argocd-repo-server", "Service argocd/argocd-redis", "caches-in"),
    ("Deployment argocd/argocd-server", "Service argocd/argocd-redis", "caches-in"),
    ("Deployment htpc/jellyseerr", "Service htpc/jellyfin", "calls"),
}


@pytest.fixture(scope="module")
def platform() -> Platform:
    return read_platform(render_tree(ROOT / "scenarios/homelab/overlays/production"))


@pytest.fixture(scope="module")
def built(platform: Platform) -> nx.MultiDiGraph[str]:
    return build_graph(platform)


@pytest.fixture(scope="module")
def expected() -> dict[tuple[str, str, str], Any]:
    document = yaml.safe_load((ROOT / "tests/homelab/expected_edges.yaml").read_text(encoding="utf-8"))
    listed = document["edges"] + document["config_edges"]
    return {(item["source"], item["target"], item["kind"]): item for item in listed}


def named(node: str) -> str:
    """A node without the hash that a generator appends."""
    return re.sub(r"^(ConfigMap .+)-[0-9a-z]{10}$", r"\1", node)


def test_graph_has_every_listed_edge_and_no_other(built: Any, expected: Any) -> None:
    found = {(named(a), named(b), key) for a, b, key in built.edges(keys=True) if key in LISTED}
    assert sorted(set(expected) - found) == []
    assert sorted(found - set(expected)) == []


def test_strengths_are_as_listed_but_for_what_only_the_application_knows(built: Any, expected: Any) -> None:
    found = {(named(a), named(b), key): data["strength"] for a, b, key, data in built.edges(keys=True, data=True)}
    assert {key for key, item in expected.items() if found[key] != item["strength"]} == APP_KNOWLEDGE


def test_every_edge_says_rule_file_line_and_field(built: Any) -> None:
    for source, target, data in built.edges(data=True):
        where = f"{source} -> {target}"
        assert data["rule"], where
        assert data["field"], where
        assert (ROOT / data["file"]).is_file(), where
        assert data["line"], where
        assert 0 < data["confidence"] <= 1, where


def test_reference_platform_has_no_dangling_host_and_no_forbidden_call(platform: Any, built: Any) -> None:
    assert forbidden_edges(built) == ()
    assert [item.title for item in findings(built, platform) if item.severity > Severity.INFO] == []
