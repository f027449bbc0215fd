"""The graph of trees whose workloads only a HelmRelease names: each thing told once, by the one who does it."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.gitops import render_whole
from models.graph.build import build_graph
from models.graph.findings import findings
from models.platform import Platform, read_platform
from reports.cli import main


def release(name: str, chart: str, values: str, namespace: str = "x") -> str:
    return f"""---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  chart: {{spec: {{chart: {chart}, version: 4.0.1, sourceRef: {{kind: HelmRepository, name: charts}}}}}}
  values: {values}
"""


def app(name: str, image: str, env: str) -> str:
    return release(
        name,
        "app-template",
        f"""
    controllers:
      {name}:
        containers:
          app: {{image: {{repository: {image}, tag: "1"}}, env: {{{env}}}}}
    service: {{app: {{controller: {name}, ports: {{http: {{port: 80}}}}}}}}
""",
    )


def platform(root: Path, text: str) -> Platform:
    (root / "tree.yaml").write_text(text)
    return read_platform(render_whole(root))


def dangling(found: Platform) -> list[str]:
    graph = build_graph(found)
    return sorted(item.title for item in findings(graph, found) if item.code == "GRAPH-DANGLING")


def test_a_lost_host_in_values_is_told_once_of_the_workload_that_calls_it(tmp_path: Path) -> None:
    found = platform(tmp_path, app("web", "acme/web", "API: http://lost.x.svc.cluster.local"))
    assert dangling(found) == ["no service answers the host of Deployment x/web: lost.x"]


def test_a_lost_host_in_values_of_an_unknown_chart_is_told_once(tmp_path: Path) -> None:
    found = platform(tmp_path, release("web", "nobody-knows", "{api: http://lost.x.svc.cluster.local}"))
    assert len(dangling(found)) == 1


def test_a_modelled_release_does_not_call_its_own_service(tmp_path: Path) -> None:
    found = platform(tmp_path, app("web", "acme/web", "SELF: http://web.x.svc.cluster.local"))
    assert [edge for edge in build_graph(found).edges(keys=True) if edge[2] == "calls"] == []


def test_the_links_of_a_modelled_start_page_are_no_dependencies(tmp_path: Path) -> None:
    found = platform(tmp_path, app("home", "ghcr.io/gethomepage/homepage", "LINK: http://lost.x.svc.cluster.local"))
    assert dangling(found) == []


def test_every_ingress_class_of_two_controllers_leads_to_its_own(tmp_path: Path) -> None:
    text = "".join(
        release(f"{name}-nginx", "ingress-nginx", f"{{controller: {{ingressClassResource: {{name: {name}}}}}}}", "net")
        + f"""---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}, namespace: x}}
spec:
  ingressClassName: {name}
  rules:
  - host: {name}.example.org
    http: {{paths: [{{path: /, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}]}}
"""
        for name in ("external", "internal")
    )
    graph = build_graph(platform(tmp_path, text + app("web", "acme/web", "")))
    served = {(target, source) for source, target in graph.edges() if target.startswith("Ingress ")}
    assert {pair for pair in served if pair[1].startswith("Deployment")} == {
        ("Ingress x/external", "Deployment net/external-nginx-ingress-nginx-controller"),
        ("Ingress x/internal", "Deployment net/internal-nginx-ingress-nginx-controller"),
    }


def test_the_prometheus_of_a_modelled_stack_scrapes_its_exporters(tmp_path: Path) -> None:
    graph = build_graph(platform(tmp_path, release("kps", "kube-prometheus-stack", "{grafana: {enabled: false}}")))
    scraped = {target for _, target, kind in graph.edges(keys=True) if kind == "scrapes"}
    assert {"Service x/kps-kube-state-metrics", "Service x/kps-prometheus-node-exporter"} <= scraped


def test_explaining_a_node_that_is_not_there_names_a_close_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    platform(tmp_path, app("web", "acme/web", "") + app("api", "acme/api", ""))
    assert main(["graph", str(tmp_path), "--explain", "Deployment/x/web", "Service x/web"]) == 2
    error = capsys.readouterr().err
    assert "the graph has no node 'Deployment/x/web'" in error
    assert "Deployment x/web" in error
    assert main(["graph", str(tmp_path), "--explain", "Deployment x/web", "Service x/api"]) == 0
    assert capsys.readouterr().out == "nothing in the tree makes Deployment x/web depend on Service x/api\n"


def test_releases_of_one_application_set_keep_their_values_to_themselves(tmp_path: Path) -> None:
    (tmp_path / "set.yaml").write_text(
        """
apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {name: apps, namespace: argocd}
spec:
  generators: [{git: {repoURL: "http://git/home", files: [{path: "apps/*/config.yaml"}]}}]
  template:
    metadata: {name: "{{path.basename}}"}
    spec:
      destination: {namespace: x}
      sources:
        - repoURL: ghcr.io/charts
          chart: app-template
          targetRevision: 4.0.1
          helm: {valueFiles: ["$own/{{path}}/values.yaml"]}
        - {repoURL: "http://git/home", ref: own}
"""
    )
    for name, host in (("api", "lost-one"), ("web", "lost-two")):
        folder = tmp_path / "apps" / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("{}")
        env = f"{{API: http://{host}.x.svc.cluster.local}}"
        image = "{repository: acme/app, tag: '1'}"
        (folder / "values.yaml").write_text(
            f"controllers: {{{name}: {{containers: {{app: {{image: {image}, env: {env}}}}}}}}}\n"
        )
    found = read_platform(render_whole(tmp_path))
    assert dangling(found) == [
        "no service answers the host of Deployment x/api: lost-one.x",
        "no service answers the host of Deployment x/web: lost-two.x",
    ]
    assert {item.object.origin.file for item in found.workloads} == {"apps/api/values.yaml", "apps/web/values.yaml"}


def test_a_source_outside_of_the_view_that_is_called_like_a_known_chart_is_taken_for_it(tmp_path: Path) -> None:
    text = app("web", "acme/web", "").replace(
        "chart: {spec: {chart: app-template, version: 4.0.1, sourceRef: {kind: HelmRepository, name: charts}}}",
        "chartRef: {kind: OCIRepository, name: app-template}",
    )
    found = platform(tmp_path, text)
    assert [workload.id for workload in found.workloads] == ["Deployment x/web"]
    assert [(entry.what, entry.modelled) for entry in found.rendered.missing] == [
        ("app-template from OCIRepository x/app-template", True)
    ]
