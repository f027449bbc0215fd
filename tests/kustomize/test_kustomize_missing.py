"""Charts, remote files and plugins: listed, never in the way of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from models.errors import RenderError
from models.kustomize import ChartRequest, build
from models.objects import Manifest

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: here}\n"
CHART = """\
namespace: apps
namePrefix: p-
resources: [cm.yaml]
helmGlobals: {chartHome: ../charts}
helmCharts:
- name: web
  repo: https://charts.example.com
  version: 1.2.3
  releaseName: my-web
  namespace: other
  includeCRDs: true
  valuesFile: values.yaml
  additionalValuesFiles: [more.yaml]
  valuesInline: {replicas: 3, nested: {inline: true, gone: null}}
"""


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return root


def chart_tree(root: Path, kustomization: str = CHART) -> Path:
    values = "replicas: 1\nnested: {file: 1, gone: 2}\nport: 0x50\n"
    more = "nested: {more: x}\n"
    files = {"kustomization.yaml": kustomization, "cm.yaml": CONFIG_MAP, "values.yaml": values, "more.yaml": more}
    return tree(root, files)


def test_a_chart_is_listed_with_version_and_repository_and_the_rest_is_kept(tmp_path: Path) -> None:
    rendered = build(chart_tree(tmp_path), repository=tmp_path)
    assert [item.name for item in rendered.objects] == ["p-here"]
    (missing,) = rendered.missing
    assert (missing.kind, missing.what) == ("chart", "web 1.2.3 from https://charts.example.com")
    assert (missing.origin.file, missing.origin.line) == ("kustomization.yaml", 6)
    assert missing.hides == "everything that release my-web runs"
    assert not rendered.complete


def test_a_renderer_gets_the_merged_values_and_its_objects_go_through_the_transformers(tmp_path: Path) -> None:
    asked: list[ChartRequest] = []

    def renderer(request: ChartRequest) -> list[Manifest]:
        asked.append(request)
        pod: Manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"n": 1.5}}
        return [pod, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}}]

    rendered = build(chart_tree(tmp_path), repository=tmp_path, charts=renderer)
    (request,) = asked
    assert request.values == {"replicas": 3, "nested": {"file": 1, "inline": True, "more": "x"}, "port": 80}
    assert (request.release, request.namespace, request.include_crds) == ("my-web", "other", True)
    assert request.values_files == ("values.yaml", "more.yaml")
    assert request.chart_home == tmp_path / "../charts" / "web-1.2.3"
    pod = next(item for item in rendered.objects if item.kind == "Pod")
    assert pod.manifest["metadata"] == {"name": "p-web", "namespace": "apps"}
    assert pod.manifest["spec"] == {"n": 1.5}
    assert (pod.origin.provenance, pod.origin.by) == ("chart", "helm chart web 1.2.3")
    assert rendered.complete


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("override", {"replicas": 3, "nested": {"file": 1, "inline": True, "more": "x"}, "port": 80}),
        ("merge", {"replicas": 1, "nested": {"file": 1, "gone": 2, "inline": True, "more": "x"}, "port": 80}),
        ("replace", {"replicas": 3, "nested": {"inline": True, "gone": None, "more": "x"}}),
    ],
)
def test_the_three_ways_to_merge_inline_values(tmp_path: Path, how: str, expected: dict[str, Any]) -> None:
    values: list[dict[str, Any]] = []
    root = chart_tree(tmp_path, CHART + f"  valuesMerge: {how}\n")
    build(root, repository=root, charts=lambda request: values.append(request.values))
    assert values == [expected]


def test_a_chart_in_the_tree_is_found(tmp_path: Path) -> None:
    found: list[Path | None] = []
    tree(tmp_path, {"k/kustomization.yaml": "helmCharts: [{name: web}]\n", "k/charts/web/Chart.yaml": "name: web\n"})
    rendered = build(tmp_path / "k", repository=tmp_path, charts=lambda request: found.append(request.local))
    assert found == [tmp_path / "k" / "charts" / "web"]
    assert rendered.missing[0].what == "web in charts/"


@pytest.mark.parametrize(
    "address",
    [
        "https://example.com/a.yaml",
        "https://github.com/org/repo//path?ref=v1",
        "github.com/org/repo/path?ref=v1",
        "git@github.com:org/repo.git//path",
        "ssh://git@example.com/repo.git",
        "git.example.com/org/repo.git/path",
    ],
)
def test_a_remote_resource_is_listed_and_the_rest_is_kept(tmp_path: Path, address: str) -> None:
    root = tree(tmp_path, {"kustomization.yaml": f"resources:\n- cm.yaml\n- '{address}'\n", "cm.yaml": CONFIG_MAP})
    rendered = build(root, repository=root)
    assert [item.name for item in rendered.objects] == ["here"]
    assert [(item.kind, item.what, item.origin.line) for item in rendered.missing] == [("remote", address, 3)]


def test_steps_that_need_a_missing_object_are_listed_and_the_others_done(tmp_path: Path) -> None:
    text = """\
resources: [cm.yaml, https://example.com/all.yaml]
namePrefix: p-
patches:
- patch: "{apiVersion: apps/v1, kind: Deployment, metadata: {name: theirs}, spec: {replicas: 2}}"
- patch: "{apiVersion: v1, kind: ConfigMap, metadata: {name: here}, data: {a: b}}"
- path: https://example.com/patch.yaml
replicas: [{name: theirs, count: 3}]
replacements: [{source: {kind: Service, name: theirs}, targets: [{select: {kind: ConfigMap}}]}]
configMapGenerator:
- {name: theirs, behavior: merge, literals: [x=y]}
- {name: remote, files: [https://example.com/file]}
vars: [{name: V, objref: {kind: Service, name: theirs, apiVersion: v1}}]
"""
    root = tree(tmp_path, {"kustomization.yaml": text, "cm.yaml": CONFIG_MAP})
    rendered = build(root, repository=root)
    assert [(item.name.rpartition("-")[0], item.manifest["data"]) for item in rendered.objects] == [
        ("p", {"a": "b"}),
        ("p-theirs", {"x": "y"}),
    ]
    assert [(item.what, item.origin.line) for item in rendered.missing] == [
        ("https://example.com/all.yaml", 1),
        ("https://example.com/file", 11),
        ("https://example.com/patch.yaml", 6),
        ("what patches[0] changes", 4),
        ("what replicas[0] changes", 7),
        ("what replacements[0] changes", 8),
        ("what vars[0] changes", 12),
    ]


def test_a_plugin_that_would_have_to_be_run_is_listed(tmp_path: Path) -> None:
    plugin = "apiVersion: example.com/v1\nkind: Sops\nmetadata: {name: secrets}\nfiles: [a]\n"
    kustomization = (
        "resources: [cm.yaml]\ngenerators: [sops.yaml]\ntransformers: [sops.yaml]\nvalidators: [sops.yaml]\n"
    )
    root = tree(tmp_path, {"kustomization.yaml": kustomization, "cm.yaml": CONFIG_MAP, "sops.yaml": plugin})
    rendered = build(root, repository=root)
    assert [item.name for item in rendered.objects] == ["here"]
    assert {(item.kind, item.what, item.hides) for item in rendered.missing} == {
        ("plugin", "Sops secrets", "the objects that it makes"),
        ("plugin", "Sops secrets", "the changes that it makes"),
    }


def test_a_missing_values_file_is_an_error_not_a_missing_chart(tmp_path: Path) -> None:
    root = tree(tmp_path, {"kustomization.yaml": "helmCharts: [{name: web, valuesFile: none.yaml}]\n"})
    with pytest.raises(RenderError, match=r"helmCharts\[0\]: 'none.yaml' does not exist"):
        build(root, repository=root)
