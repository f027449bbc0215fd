"""Charts that a kustomization lists and that a model stands in for: what is written goes before what is guessed."""

from __future__ import annotations

from pathlib import Path

from models.gitops import render_whole
from models.objects import Rendered

CLASS = """\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: cilium, labels: {written: "yes"}}
spec: {controllerName: io.cilium/gateway-controller}
"""
CHART = """\
helmCharts:
  - name: cilium
    repo: https://helm.cilium.io
    version: 1.18.2
    releaseName: cilium
    namespace: kube-system
    valuesInline: {gatewayAPI: {enabled: true}}
"""
METRICS = """\
helmCharts: [{name: metrics-server, repo: "https://charts.example.org", version: 3.13.0, releaseName: metrics}]
"""


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def classes(rendered: Rendered) -> list[tuple[str, str]]:
    return [
        (item.labels.get("written", ""), item.origin.provenance)
        for item in rendered.objects
        if item.kind == "GatewayClass"
    ]


def test_an_object_that_the_tree_writes_goes_before_the_one_of_a_modelled_chart(tmp_path: Path) -> None:
    write(tmp_path, {"kustomization.yaml": f"resources: [class.yaml]\n{CHART}", "class.yaml": CLASS})
    rendered = render_whole(tmp_path)
    assert classes(rendered) == [("yes", "manifest")]
    assert "DaemonSet" in {item.kind for item in rendered.objects}


def test_it_does_so_in_either_order_when_they_come_from_two_bases(tmp_path: Path) -> None:
    bases = {"one/kustomization.yaml": CHART, "two/kustomization.yaml": "resources: [class.yaml]"}
    for order in ("one, two", "two, one"):
        write(tmp_path, {**bases, "two/class.yaml": CLASS, "kustomization.yaml": f"resources: [{order}]"})
        assert classes(render_whole(tmp_path)) == [("yes", "manifest")]


def test_a_root_that_cannot_be_built_takes_no_model_from_the_others(tmp_path: Path) -> None:
    write(tmp_path, {"good/kustomization.yaml": METRICS, "bad/kustomization.yaml": "resources: [nowhere.yaml]"})
    rendered = render_whole(tmp_path)
    assert ("Deployment", "metrics-metrics-server") in {(item.kind, item.name) for item in rendered.objects}
    assert [(entry.kind, entry.what) for entry in rendered.missing if not entry.modelled] == [("file", "bad")]
