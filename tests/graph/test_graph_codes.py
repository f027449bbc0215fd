"""Findings of the graph on platforms of a few objects: a Service without pods, and pods that wait for each other."""

from __future__ import annotations

from typing import Any

from models.graph.analysis import findings
from models.graph.build import build_graph
from models.objects import KubeObject, Origin, Rendered
from models.platform import read_platform


def codes(*manifests: dict[str, Any]) -> dict[str, str]:
    """Subject by code."""
    objects = tuple(KubeObject(item, Origin("world.yaml", n + 1)) for n, item in enumerate(manifests))
    platform = read_platform(Rendered(objects))
    return {item.code: item.subject for item in findings(build_graph(platform), platform)}


def app(name: str, calls: str, *, waits: bool = False) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "main", "image": f"example/{name}:1"}
    if not waits:
        container["env"] = [{"name": "PEER_URL", "value": f"http://{calls}"}]
    spec: dict[str, Any] = {"containers": [container]}
    if waits:
        spec["initContainers"] = [
            {"name": "wait", "image": "busybox:1", "command": ["sh", "-c", f"until nc -z {calls} 80; do sleep 1; done"]}
        ]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "home"},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
        },
    }


def service(name: str, app_label: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "home"},
        "spec": {"selector": {"app": app_label}, "ports": [{"port": 80}]},
    }


def test_a_called_service_whose_selector_matches_no_pod_is_told() -> None:
    found = codes(app("web", "api"), service("api", "apii"))
    assert found["GRAPH-NO-ENDPOINTS"] == "Service home/api"
    assert "GRAPH-NO-ENDPOINTS" not in codes(app("web", "api"), app("api", "web"), service("api", "api"))


def test_workloads_that_wait_for_each_other_do_not_come_up_together() -> None:
    found = codes(app("a", "b", waits=True), app("b", "a", waits=True), service("a", "a"), service("b", "b"))
    assert "GRAPH-COLD-START" in found
    assert "GRAPH-COLD-START" not in codes(app("a", "b", waits=True), app("b", "c"), service("b", "b"))
