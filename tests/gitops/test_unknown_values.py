"""Values that nobody in the tree knows, because they are encrypted or made elsewhere: readable, and no failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.gitops import render_whole
from models.graph.build import build_graph
from models.graph.texts import mentions
from models.platform import read_platform
from reports.cli import main

TREE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: x}
spec:
  replicas: "${REPLICAS}"
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: app
          image: acme/web
          ports: [{containerPort: "${PORT}"}, {containerPort: 8080}]
          resources: {requests: {cpu: "${CPU}", memory: 64Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: x}
spec: {selector: {app: web}, ports: [{port: "${PORT}"}, {port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: web, namespace: x}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: "${SIZE}"}}}
"""


def test_unknown_numbers_count_as_left_out_and_are_listed(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(TREE)
    rendered = render_whole(tmp_path)
    assert next(item for item in rendered.objects if item.kind == "Deployment").spec["replicas"] == "${REPLICAS}"
    platform = read_platform(rendered)
    workload = platform.workloads[0]
    assert workload.containers[0]["ports"] == [{"containerPort": 8080}]
    assert workload.containers[0]["resources"] == {"requests": {"memory": "64Mi"}}
    assert platform.services[0].spec["ports"] == [{"port": 80, "targetPort": 8080}]
    assert [(entry.what, entry.reason) for entry in platform.rendered.missing] == [
        ("spec.replicas of Deployment x/web", "nobody here knows the value of ${REPLICAS}"),
        (
            "spec.template.spec.containers[0].ports[0].containerPort of Deployment x/web",
            "nobody here knows the value of ${PORT}",
        ),
        (
            "spec.template.spec.containers[0].resources.requests.cpu of Deployment x/web",
            "nobody here knows the value of ${CPU}",
        ),
        ("spec.ports[0].port of Service x/web", "nobody here knows the value of ${PORT}"),
        ("spec.resources.requests.storage of PersistentVolumeClaim x/web", "nobody here knows the value of ${SIZE}"),
    ]


@pytest.mark.parametrize("command", ["place", "explain", "graph", "check"])
def test_a_tree_with_unknown_numbers_is_no_wrong_input(command: str, tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(TREE)
    nodes = [] if command == "graph" else ["--nodes", "3xm920q:server"]
    assert main([command, str(tmp_path), *nodes]) in (0, 99)


def test_a_schedule_that_nobody_knows_never_runs(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(
        TREE.replace('"${PORT}"', "9090")
        + """---
apiVersion: batch/v1
kind: CronJob
metadata: {name: job, namespace: x}
spec:
  schedule: "${SCHEDULE}"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: app, image: acme/job}]}}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: x}
spec:
  rules: [{host: web.lan, http: {paths: [{path: /, backend: {service: {name: web, port: {number: 80}}}}]}}]
"""
    )
    scenario = Path(__file__).parents[2] / "scenarios" / "my-homelab.yaml"
    short = ["--set", "run.replications=2", "--set", "run.length=10m", "-n", "1", "--report-only"]
    assert main(["run", str(scenario), "--tree", str(tmp_path), "-o", str(tmp_path / "out"), *short]) == 0


@pytest.mark.parametrize("text", ["https://web.${DOMAIN}/x", "http://web-${STAGE}.example", "https://web.$(DOMAIN)"])
def test_a_host_whose_end_is_a_variable_is_no_service_of_that_name(text: str) -> None:
    assert list(mentions(text)) == []


@pytest.mark.parametrize(
    ("text", "host"),
    [("http://web.x.svc.${CLUSTER}:80/", "web.x.svc."), ("http://web:80${BASE}", "web"), ("http://web/${BASE}", "web")],
)
def test_a_host_that_is_whole_before_a_variable_counts(text: str, host: str) -> None:
    assert [item.host for item in mentions(text)] == [host]


def test_a_public_address_of_the_app_itself_is_no_call(tmp_path: Path) -> None:
    address = 'env: [{name: ROOT_URL, value: "https://web.${DOMAIN}"}]'
    (tmp_path / "all.yaml").write_text(TREE.replace("image: acme/web", f"image: acme/other\n          {address}"))
    graph = build_graph(read_platform(render_whole(tmp_path)))
    assert [edge for edge in graph.edges(keys=True) if edge[2] == "calls"] == []


def test_a_kustomization_waits_for_the_one_that_brings_its_variables(tmp_path: Path) -> None:
    flux = """---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: NAME, namespace: flux-system}
spec:
  path: ./NAME
  sourceRef: {kind: GitRepository, name: flux-system}
"""
    late = flux + "  postBuild: {substituteFrom: [{kind: ConfigMap, name: settings}]}\n"
    files = {
        "cluster/all.yaml": late.replace("NAME", "apps") + flux.replace("NAME", "config"),
        "apps/app.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: app}, data: {host: '${HOST}'}}",
        "config/settings.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: flux-system},"
        " data: {HOST: example.org}}",
    }
    (tmp_path / ".git").mkdir()
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = next(item for item in render_whole(tmp_path / "cluster").objects if item.name == "app")
    assert found.manifest["data"] == {"host": "example.org"}
