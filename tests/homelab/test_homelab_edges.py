"""The hand-written list of edges agrees with the manifests, and the network policies let every one of them through.

What can be read off a reference (selectors, monitors, routes, claims, settings) is compared in both directions;
calls are found by looking for the names of services in each workload's environment, arguments and settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain

import pytest
from homelab_tree import (
    HERE,
    TREE,
    Doc,
    Pods,
    backends,
    expected,
    matches,
    may_reach,
    mission,
    node_of,
    of_kind,
    pod_port,
    rendered,
    services,
    workloads,
)

pytestmark = pytest.mark.oracle
Pair = tuple[str, str]
_LAN_CLIENT = "192.168.1.50"
_HOST = re.compile(r"(?<![\w.-])([a-z][a-z0-9-]*)(?:\.([a-z]+)\.svc(?:\.cluster\.local)?)?(?::\d+)?(?![\w.-])")


@pytest.fixture(scope="module")
def docs() -> tuple[Doc, ...]:
    return rendered("production")


def _pairs(*kinds: str, section: str = "edges") -> set[Pair]:
    return {(e["source"], e["target"]) for e in expected()[section] if e["kind"] in kinds}


def _kind(pairs: Iterable[Pair], source: str, target: str) -> set[Pair]:
    return {(s, t) for s, t in pairs if s.startswith(source) and t.startswith(target)}


def test_every_edge_is_listed_once_with_a_known_kind_strength_and_an_existing_file() -> None:
    edges = [*expected()["edges"], *expected()["config_edges"]]
    assert len({(e["source"], e["target"], e["kind"]) for e in edges}) == len(edges)
    header = " ".join((HERE / "expected_edges.yaml").read_text().partition("\nedges:")[0].split())
    for e in edges:
        assert set(e) == {"source", "target", "kind", "strength", "evidence"}
        assert e["kind"] in header
        assert e["strength"] in ("hard", "soft", "startup")
        assert (TREE / e["evidence"].split()[0]).is_file(), e


def test_every_end_of_an_edge_and_every_mission_node_is_an_object_or_follows_from_one(docs: tuple[Doc, ...]) -> None:
    there = {node_of(d) for d in docs} | {node_of(s) for s in services(docs)}
    there |= {"Edge cloudflare", "Edge lan", "LoadBalancerAddress 192.168.1.240"}
    there |= {"Secret infra/cnpg-webhook-cert"}  # the operator writes it
    there |= {t for _, t in _claims_of_controllers(docs)}
    there |= {f"Service monitoring/{kind}-operated" for kind in ("prometheus", "alertmanager")}
    for d in of_kind(docs, "SealedSecret"):
        there.add(f"Secret {d['metadata']['namespace']}/{d['metadata']['name']}")
    for d in of_kind(docs, "Certificate"):
        there.add(f"Secret {d['metadata']['namespace']}/{d['spec']['secretName']}")
    for d in of_kind(docs, "Cluster"):
        there.add(f"Secret {d['metadata']['namespace']}/{d['metadata']['name']}-app")
    edges = [*expected()["edges"], *expected()["config_edges"]]
    named = {e["source"] for e in edges} | {e["target"] for e in edges} | {s["node"] for s in mission()}
    assert named - there == set()


def _claims_of_controllers(docs: tuple[Doc, ...]) -> set[Pair]:
    found: set[Pair] = set()
    for d in docs:
        namespace, name, spec = d["metadata"].get("namespace"), d["metadata"]["name"], d.get("spec", {})
        names: list[str] = []
        if d["kind"] == "StatefulSet":
            templates = [t["metadata"]["name"] for t in spec.get("volumeClaimTemplates", [])]
            names = [f"{t}-{name}-{i}" for t in templates for i in range(spec["replicas"])]
        if d["kind"] == "Cluster":
            names = [f"{name}-{i}" for i in range(1, spec["instances"] + 1)]
        if d["kind"] in ("Prometheus", "Alertmanager"):
            kind = d["kind"].lower()
            names = [f"{kind}-{name}-db-{kind}-{name}-{i}" for i in range(spec["replicas"])]
        found |= {(node_of(d), f"PersistentVolumeClaim {namespace}/{n}") for n in names}
    return found


def test_selects_edges_are_the_selectors(docs: tuple[Doc, ...]) -> None:
    real = {(node_of(s), p.node) for s in services(docs) for p in backends(docs, s)}
    operated = {
        ("Service monitoring/prometheus-operated", "Prometheus monitoring/prometheus"),
        ("Service monitoring/alertmanager-operated", "Alertmanager monitoring/alertmanager"),
    }
    assert _pairs("selects") == real | operated


def test_mounts_edges_are_the_claims(docs: tuple[Doc, ...]) -> None:
    real = _claims_of_controllers(docs)
    for p in workloads(docs):
        for volume in p.spec.get("volumes", []):
            if claim := volume.get("persistentVolumeClaim"):
                real.add((p.node, f"PersistentVolumeClaim {p.namespace}/{claim['claimName']}"))
    assert _pairs("mounts") == real


def test_route_and_guard_edges_are_those_of_the_ingress_routes_and_chains(docs: tuple[Doc, ...]) -> None:
    routes: set[Pair] = set()
    guards: set[Pair] = set()
    for d in of_kind(docs, "IngressRoute"):
        routes.add(("Deployment infra/traefik", node_of(d)))
        for rule in d["spec"]["routes"]:
            guards |= {(node_of(d), f"Middleware {m['namespace']}/{m['name']}") for m in rule["middlewares"]}
            own = d["metadata"]["namespace"]
            routes |= {(node_of(d), f"Service {own}/{s['name']}") for s in rule["services"] if s["kind"] == "Service"}
    for d in of_kind(docs, "Middleware"):
        members = d["spec"].get("chain", {}).get("middlewares", [])
        guards |= {(node_of(d), f"Middleware {d['metadata']['namespace']}/{m['name']}") for m in members}
    outside = {s for s, _ in _pairs("routes-to") if s.startswith(("Edge", "LoadBalancerAddress"))}
    assert outside == {"Edge cloudflare", "Edge lan", "LoadBalancerAddress 192.168.1.240"}
    assert _pairs("guarded-by") == guards
    listed = {(s, t) for s, t in _pairs("routes-to") if s not in outside and "cloudflared" not in s}
    assert listed == routes


def _scrapes(docs: tuple[Doc, ...]) -> Iterator[tuple[str, Pods, int]]:
    """(node scraped, its pods, port) for every endpoint of every monitor."""
    for d in of_kind(docs, "PodMonitor"):
        for p in backends(docs, {**d, "spec": {"selector": d["spec"]["selector"]["matchLabels"]}}):
            for end in d["spec"]["podMetricsEndpoints"]:
                yield p.node, p, p.ports[end["port"]]
    for d in of_kind(docs, "ServiceMonitor"):
        for s in of_kind(docs, "Service"):
            same = s["metadata"]["namespace"] == d["metadata"]["namespace"]
            if same and matches(d["spec"]["selector"]["matchLabels"], s["metadata"]["labels"]):
                (p,) = backends(docs, s)
                for end in d["spec"]["endpoints"]:
                    (target,) = (x["targetPort"] for x in s["spec"]["ports"] if x["name"] == end["port"])
                    port = pod_port(p, target)
                    assert port is not None
                    yield node_of(s), p, port


def test_scrape_edges_are_what_the_monitors_select_and_the_policies_let_prometheus_through(
    docs: tuple[Doc, ...],
) -> None:
    prometheus = next(p for p in workloads(docs) if p.node == "Prometheus monitoring/prometheus")
    scrapes = list(_scrapes(docs))
    assert _pairs("scrapes") == {(prometheus.node, node) for node, _, _ in scrapes}
    assert [(node, port) for node, p, port in scrapes if not may_reach(docs, prometheus, p, port)] == []


def test_backup_and_issuer_edges_are_those_that_the_objects_name(docs: tuple[Doc, ...]) -> None:
    issues = {(f"ClusterIssuer {d['spec']['issuerRef']['name']}", node_of(d)) for d in of_kind(docs, "Certificate")}
    assert _pairs("issues") == issues
    backups = {(node_of(d), f"Cluster utils/{d['spec']['cluster']['name']}") for d in of_kind(docs, "ScheduledBackup")}
    backups |= {
        (node_of(d), f"PersistentVolumeClaim utils/{d['spec']['source']['persistentVolumeClaimName']}")
        for d in of_kind(docs, "VolumeSnapshot")
    }
    assert _pairs("backs-up") - _kind(_pairs("backs-up"), "CronJob", "") == backups


def _config_refs(p: Pods) -> Iterator[tuple[str, str]]:
    for c in p.containers:
        for source in c.get("envFrom", []):
            for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if key in source:
                    yield kind, source[key]["name"]
        for env in c.get("env", []):
            for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                if key in env.get("valueFrom", {}):
                    yield kind, env["valueFrom"][key]["name"]
    for volume in p.spec.get("volumes", []):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"]


def _plain(p: Pods, kind: str, name: str) -> str:
    return node_of({"kind": kind, "metadata": {"namespace": p.namespace, "name": name}})


def test_settings_edges_are_what_the_workloads_mount_and_read(docs: tuple[Doc, ...]) -> None:
    real = {(p.node, _plain(p, kind, name)) for p in workloads(docs) for kind, name in _config_refs(p)}
    listed = _pairs("uses", section="config_edges")
    resources = ("ClusterIssuer", "TLSStore", "Cluster ", "Alertmanager")
    assert {pair for pair in listed if not pair[0].startswith(resources)} == real
    custom = {(s, t) for s, t in listed if s.startswith(resources)}
    text = str([d["spec"] for d in of_kind(docs, "ClusterIssuer", "TLSStore", "Cluster", "Alertmanager")])
    assert len(custom) == 7
    assert all(f"'{t.split('/')[1]}'" in text for _, t in custom)


def _spoken(docs: tuple[Doc, ...], p: Pods) -> Iterator[str]:
    """What a workload is told: literal environment, referenced settings, arguments; not scripts and not page links."""
    data = {(d["metadata"]["namespace"], d["metadata"]["name"]): d["data"] for d in of_kind(docs, "ConfigMap")}
    for c in p.containers:
        yield from map(str, c.get("args", []))
        for env in c.get("env", []):
            if "value" in env:
                yield env["value"]
            elif ref := env["valueFrom"].get("configMapKeyRef"):
                yield data[p.namespace, ref["name"]][ref["key"]]
    for kind, name in _config_refs(p):
        if kind == "ConfigMap" and not re.search(r"-wiring|cmd-params|scripts|homepage|local-path|zfs", name):
            for text in data[p.namespace, name].values():
                yield from re.findall(r'(?:https?://|endpoint = "|HOST=)([^\s"]+)', text)


def _called(docs: tuple[Doc, ...], p: Pods) -> set[str]:
    known = {node_of(s) for s in services(docs)}
    own = {node_of(s) for s in services(docs) if p.node in {b.node for b in backends(docs, s)}}
    found: set[str] = set()
    for text in _spoken(docs, p):
        for match in _HOST.finditer(re.sub(r"^(--?[\w.]+=)?(https?://)?", "", text).partition("/")[0]):
            whole = match.group(0) == re.sub(r"^(--?[\w.]+=)?(https?://)?", "", text).partition("/")[0]
            node = f"Service {match.group(2) or p.namespace}/{match.group(1)}"
            if whole and node in known - own:
                found.add(node)
    return found


def test_call_edges_are_the_services_that_workloads_are_told_about(docs: tuple[Doc, ...]) -> None:
    kinds = ("calls", "queries", "caches-in", "ships-logs-to", "ships-traces-to")
    listed = _pairs(*kinds) | _kind(_pairs("routes-to"), "Deployment infra/cloudflared", "Service")
    # Two that stand in custom resources and not in a pod: looked up where they are written.
    (prometheus,) = of_kind(docs, "Prometheus")
    assert [a["name"] for a in prometheus["spec"]["alerting"]["alertmanagers"]] == ["alertmanager"]
    (auth,) = (d for d in of_kind(docs, "Middleware") if d["metadata"]["name"] == "authelia")
    assert auth["spec"]["forwardAuth"]["address"].startswith("http://auth.infra.svc.cluster.local:9091/")
    written = {(node_of(prometheus), "Service monitoring/alertmanager"), (node_of(auth), "Service infra/auth")}
    real = {(p.node, service) for p in workloads(docs) for service in _called(docs, p)}
    assert listed == real | written


def _connections(docs: tuple[Doc, ...]) -> Iterator[tuple[Pods | str, Doc, int | str | None]]:
    """(who, service, named port or nothing for all that it uses) of every edge that is traffic to a service."""
    by_node = {p.node: p for p in workloads(docs)}
    known = {node_of(s): s for s in services(docs)}
    traefik = by_node["Deployment infra/traefik"]
    for e in expected()["edges"]:
        if e["target"] not in known or e["kind"] in ("selects", "scrapes"):
            continue
        service = known[e["target"]]
        if e["source"].startswith(("IngressRoute", "Middleware")):
            yield traefik, service, "http"
        elif e["source"].startswith("LoadBalancerAddress"):
            yield _LAN_CLIENT, service, None
        else:
            yield by_node[e["source"]], service, {"cloudflared": "websecure"}.get(e["source"].split("/")[1])


# Which of a service's ports a caller uses when the service has several: metrics ports are Prometheus' alone.
_PORTS = ("http", "postgres", "redis", "grpc", "otlp-http", "otlp-grpc")


@pytest.mark.parametrize("overlay", ["production", "staging"])
def test_the_network_policies_let_every_call_through(overlay: str) -> None:
    docs = rendered(overlay)
    refused, checked = [], 0
    for who, service, wanted in _connections(docs):
        names = [p["name"] for p in service["spec"]["ports"]]
        port_name = wanted or next(n for n in chain(_PORTS, names) if n in names)
        if service["metadata"]["name"] == "jaeger" and not isinstance(who, str) and "alloy" in who.node:
            port_name = "otlp-grpc"
        (port,) = (p for p in service["spec"]["ports"] if p["name"] == port_name)
        (target,) = backends(docs, service)
        number = pod_port(target, port.get("targetPort", port["port"]))
        assert number is not None
        checked += 1
        if not may_reach(docs, who, target, number):
            refused.append((who if isinstance(who, str) else who.node, node_of(service), number))
    assert refused == []
    assert checked == 55


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [
        ("Deployment utils/homepage", "Deployment utils/nextcloud", 80),
        ("Deployment htpc/qbittorrent", "Deployment htpc/sonarr", 8989),
        ("Deployment infra/cloudflared", "Deployment infra/auth", 9091),
        ("Deployment utils/tandoor", "Cluster utils/nextcloud-db", 5432),
        ("Deployment monitoring/grafana", "Cluster utils/immich-db", 5432),
        ("Deployment htpc/jellyfin", "Deployment argocd/argocd-server", 8080),
    ],
)
def test_the_network_policies_stop_what_nobody_needs(
    docs: tuple[Doc, ...], source: str, target: str, port: int
) -> None:
    by_node = {p.node: p for p in workloads(docs)}
    assert not may_reach(docs, by_node[source], by_node[target], port)


def test_only_the_proxy_can_be_reached_from_the_lan(docs: tuple[Doc, ...]) -> None:
    open_ports = [
        (p.node, port)
        for p in workloads(docs)
        if not p.spec.get("hostNetwork")
        for port in sorted(set(p.ports.values()))
        if may_reach(docs, _LAN_CLIENT, p, port)
    ]
    assert open_ports == [("Deployment infra/traefik", 8000), ("Deployment infra/traefik", 8443)]
