"""What stands beside the kustomizations of a tree: charts that k3s installs are read, other workloads are told of."""

from __future__ import annotations

from pathlib import Path

from models.gitops import render_whole

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  containers:
    - name: main
      image: acme/app:1
"""
CHART = """\
apiVersion: helm.cattle.io/v1
kind: HelmChart
metadata: {name: metrics, namespace: kube-system}
spec: {chart: metrics-server, repo: "https://charts.example.org", targetNamespace: observe}
"""
CONFIG = """\
apiVersion: helm.cattle.io/v1
kind: HelmChartConfig
metadata: {name: metrics, namespace: kube-system}
spec: {valuesContent: "replicas: 2"}
"""


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_charts_of_k3s_beside_kustomizations_are_installed(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "apps/kustomization.yaml": "resources: [pod.yaml]",
            "apps/pod.yaml": POD % "listed",
            "k3s/metrics.yaml": CHART,
            "k3s/values.yaml": CONFIG,
        },
    )
    rendered = render_whole(tmp_path)
    (found,) = (item for item in rendered.objects if item.kind == "Deployment")
    assert (found.namespace, found.spec["replicas"]) == ("observe", 2)


def test_workloads_that_no_kustomization_lists_are_told_of_and_patches_and_templates_are_not(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "apps/kustomization.yaml": "resources: [pod.yaml]\npatches: [{path: ../patches/pod.yaml}]",
            "apps/pod.yaml": POD % "listed",
            "apps/old/pod.yaml": POD % "switched-off",
            "patches/pod.yaml": POD % "listed",
            "raw/pod.yaml": POD % "bare",
            "raw/settings.yaml": "kind: Settings",
            "roles/pod.yaml": POD % "'{{ name }}'",
        },
    )
    rendered = render_whole(tmp_path)
    assert [item.name for item in rendered.objects] == ["listed"]
    (entry,) = rendered.missing
    assert (entry.kind, entry.what, str(entry.origin)) == ("file", "raw/ (pod.yaml)", "raw/pod.yaml:1")
    assert render_whole(tmp_path / "apps", repository=tmp_path).missing == ()
