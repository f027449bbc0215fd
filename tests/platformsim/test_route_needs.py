"""What routes need, compiled from Traefik's objects and a graph of dependencies."""

from dataclasses import replace
from typing import Any

import networkx as nx
import platform_worlds as w

from models.objects import Missing, Origin, Rendered
from models.platform import Platform, read_platform
from sim.platform.routes import Dependencies, compile_routes, dependencies_of, unseen_routes


def ingress_route(host: str, service: str, middlewares: list[str] | None = None) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "match": f"Host(`{host}`)",
        "kind": "Rule",
        "services": [{"name": service, "port": 80}],
    }
    if middlewares:
        rule["middlewares"] = [{"name": name} for name in middlewares]
    return {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "IngressRoute",
        "metadata": {"name": service, "namespace": "home"},
        "spec": {"entryPoints": ["websecure"], "routes": [rule]},
    }


def forward_auth(name: str, service: str) -> dict[str, Any]:
    return {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "Middleware",
        "metadata": {"name": name, "namespace": "home"},
        "spec": {"forwardAuth": {"address": f"http://{service}.home.svc.cluster.local/verify"}},
    }


def tree() -> Platform:
    return w.platform(
        w.deployment("web"),
        w.service("web"),
        w.deployment("auth"),
        w.service("auth"),
        w.deployment("store"),
        w.service("store"),
        forward_auth("guard", "auth"),
        ingress_route("web.test", "web", ["guard"]),
    )


def test_a_route_needs_its_guard_its_backend_and_what_that_needs():
    platform = tree()
    needs = Dependencies(
        hard={"Deployment home/web": ("Service home/store", "Service home/elsewhere")},
        soft={"Deployment home/store": ("Service home/auth",)},
    )
    (route,) = compile_routes(platform, platform.workloads, needs)
    assert route.id == "web.test"
    assert route.guards == ("Service home/auth",)
    assert route.backends == (("Service home/web", 1.0),)
    # Nothing in the tree stands behind "elsewhere", so that it cannot fail here.
    assert route.needs == {"Service home/auth": (), "Service home/web": ("Service home/store",)}
    assert route.wants == ("Service home/auth",)


def test_edges_of_a_graph_become_dependencies_by_strength():
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    graph.add_node("Prometheus home/main", workloads=("StatefulSet home/prometheus-main",))
    graph.add_edge("Deployment home/web", "Service home/db", kind="queries", strength="hard")
    graph.add_edge("Deployment home/web", "Service home/cache", kind="caches-in", strength="soft")
    graph.add_edge("Prometheus home/main", "Service home/db", kind="calls", strength="startup")
    graph.add_edge("Deployment home/web", "Service home/web", kind="scrapes", strength="hard")
    found = dependencies_of(graph)
    assert found.hard == {"Deployment home/web": ("Service home/db",)}
    assert found.soft == {"Deployment home/web": ("Service home/cache",)}
    assert found.startup == {"StatefulSet home/prometheus-main": ("Service home/db",)}


def test_a_route_into_a_chart_that_could_not_be_had_is_left_out_and_named():
    whole = w.platform(w.deployment("web"), w.service("web"), ingress_route("charts.test", "grafana"))
    assert [route.id for route in compile_routes(whole, whole.workloads)] == ["charts.test"]
    missing = (Missing("chart", "grafana", Origin("kustomization.yaml", 3), "not in the cache"),)
    partial = read_platform(replace(Rendered(whole.objects), missing=missing))
    assert compile_routes(partial, partial.workloads) == ()
    assert unseen_routes(partial) == ("charts.test",)
