"""Repositories of wrapper charts, whose first chart is installed by hand and brings the Applications of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import InputError
from models.gitops import render_whole
from models.helm import engine_name
from models.objects import Rendered

pytestmark = pytest.mark.skipif(not engine_name(), reason="no Helm engine is installed")

APPLICATIONS = """
argocd-apps:
  applicationsets:
    - name: root
      generators: [{git: {repoURL: "http://git/home", directories: [{path: apps/*}, {path: system/*}]}}]
      template:
        metadata: {name: "{{path.basename}}"}
        spec:
          destination: {namespace: "{{path.basename}}"}
          source: {repoURL: "http://git/home", path: "{{path}}"}
"""
WEB = """
app-template:
  controllers: {main: {containers: {main: {image: {repository: acme/web, tag: "1"}}}}}
"""


def chart(root: Path, path: str, dependency: str, values: str = "", **templates: str) -> None:
    folder = root / path
    (folder / "templates").mkdir(parents=True)
    needed = f"dependencies: [{{name: {dependency}, version: 2.6.0, repository: https://charts.example.org}}]\n"
    text = f"apiVersion: v2\nname: {folder.name}\nversion: 0.0.0\n"
    (folder / "Chart.yaml").write_text(text + (needed if dependency else ""))
    (folder / "values.yaml").write_text(values)
    for name, template in templates.items():
        (folder / "templates" / f"{name}.yaml").write_text(template)


def named(rendered: Rendered, kind: str) -> list[str]:
    return sorted(f"{item.namespace}/{item.name}" for item in rendered.objects if item.kind == kind)


def test_the_applications_that_a_wrapper_chart_brings_install_the_other_charts(tmp_path: Path) -> None:
    chart(tmp_path, "system/argocd", "argocd-apps", APPLICATIONS)
    chart(tmp_path, "apps/web", "app-template", WEB)
    rendered = render_whole(tmp_path)
    assert named(rendered, "ApplicationSet") == ["argocd/root"]
    assert named(rendered, "Deployment") == ["web/web"]
    guessed = [entry for entry in rendered.missing if entry.kind == "generator"]
    assert [entry.what for entry in guessed] == ["installation of system/argocd"]


def test_a_chart_that_nothing_installs_is_taken_as_a_release_and_said_so(tmp_path: Path) -> None:
    chart(tmp_path, "apps/web", "app-template", WEB)
    rendered = render_whole(tmp_path)
    assert named(rendered, "Deployment") == ["web/web"]
    entry = next(entry for entry in rendered.missing if entry.kind == "generator")
    assert entry.reason == "nothing in the tree says how it is installed: taken as release web in namespace web"


def test_a_wrapper_of_an_unknown_chart_is_listed_with_what_it_hides(tmp_path: Path) -> None:
    chart(tmp_path, "apps/dendrite", "dendrite")
    rendered = render_whole(tmp_path)
    hidden = [(entry.what, entry.hides) for entry in rendered.missing if entry.kind == "chart"]
    assert hidden == [("dendrite 2.6.0 from https://charts.example.org", "everything that release dendrite runs")]


def test_charts_that_wait_in_a_library_are_no_part_of_the_platform(tmp_path: Path) -> None:
    chart(tmp_path, "charts/web", "app-template", WEB)
    (tmp_path / "map.yaml").write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: map}}")
    assert [item.kind for item in render_whole(tmp_path).objects] == ["ConfigMap"]


def test_templates_of_a_chart_are_no_manifests(tmp_path: Path) -> None:
    plain = "{apiVersion: v1, kind: ConfigMap, metadata: {name: '{{ .Release.Name }}-map'}}"
    chart(tmp_path, "charts/web", "", map=plain)
    (tmp_path / "map.yaml").write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: map}}")
    rendered = render_whole(tmp_path, expand=False)
    assert [item.name for item in rendered.objects] == ["map"]
    assert rendered.missing == ()


def test_a_chart_folder_without_expansion_says_how_to_read_it(tmp_path: Path) -> None:
    chart(tmp_path, "web", "app-template", WEB)
    with pytest.raises(InputError, match="a chart \\(render takes one with --expand\\)"):
        render_whole(tmp_path / "web", expand=False)


def test_a_folder_that_an_application_misses_is_not_called_another_repository(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text(
        """
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: web, namespace: argocd}
spec: {source: {repoURL: "http://git/home", path: apps/lost}}
"""
    )
    reasons = [(entry.what, entry.reason) for entry in render_whole(tmp_path).missing]
    assert reasons == [("apps/lost of http://git/home", "this repository has no such folder")]


def test_a_root_that_cannot_be_built_is_listed_beside_those_that_can(tmp_path: Path) -> None:
    for name, text in (("good", "{kind: ConfigMap, apiVersion: v1, metadata: {name: good}}"), ("bad", "a: {b")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "kustomization.yaml").write_text("resources: [all.yaml]")
        (folder / "all.yaml").write_text(text)
    rendered = render_whole(tmp_path)
    assert [item.name for item in rendered.objects] == ["good"]
    assert [(entry.what, entry.origin.file, entry.hides) for entry in rendered.missing] == [
        ("bad", "bad/all.yaml", "everything below this folder")
    ]
    with pytest.raises(InputError, match="malformed YAML"):
        render_whole(tmp_path / "bad")


def test_a_broken_folder_of_a_flux_kustomization_is_listed_and_the_rest_is_read(tmp_path: Path) -> None:
    flux = """
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: NAME, namespace: flux-system}
spec: {path: ./NAME, sourceRef: {kind: GitRepository, name: flux-system}}
"""
    (tmp_path / "cluster").mkdir()
    for name, text in (("good", "{kind: ConfigMap, apiVersion: v1, metadata: {name: good}}"), ("bad", "a: {b")):
        (tmp_path / "cluster" / f"{name}.yaml").write_text(flux.replace("NAME", name))
        (tmp_path / name).mkdir()
        (tmp_path / name / "kustomization.yaml").write_text("resources: [all.yaml]")
        (tmp_path / name / "all.yaml").write_text(text)
    rendered = render_whole(tmp_path)
    assert "good" in [item.name for item in rendered.objects if item.kind == "ConfigMap"]
    assert [(entry.what, entry.origin.file) for entry in rendered.missing] == [("bad", "bad/all.yaml")]


HOOK = """
apiVersion: v1
kind: ConfigMap
metadata: {name: hooked, annotations: {argocd.argoproj.io/hook: PostSync}}
"""


def test_a_chart_with_a_hook_of_argo_cd_waits_for_its_application(tmp_path: Path) -> None:
    chart(tmp_path, "system/argocd", "argocd-apps", APPLICATIONS)
    chart(tmp_path, "apps/hooks", "", HOOK=HOOK)
    rendered = render_whole(tmp_path)
    assert named(rendered, "ConfigMap") == ["hooks/hooked"]
    guessed = [entry.what for entry in rendered.missing if entry.kind == "generator"]
    assert guessed == ["installation of system/argocd"]


DEPENDENCIES = """
apiVersion: v2
name: notes
version: 0.0.0
dependencies:
  - {name: common, version: 3.7.3, repository: "https://charts.example.org"}
  - {name: postgresql, version: 18.1.0, repository: "https://charts.bitnami.com/bitnami", alias: db}
  - {name: redis, version: 23.2.0, repository: "https://charts.bitnami.com/bitnami", tags: [cache]}
"""
NOTES = """
tags: {cache: false}
controllers: {main: {containers: {main: {image: {repository: acme/notes, tag: "1"}}}}}
"""


def test_a_chart_whose_library_is_missing_keeps_what_needs_no_library_and_names_the_rest(tmp_path: Path) -> None:
    calls = '{{ include "acme.labels" . }}'
    chart(
        tmp_path,
        "apps/notes",
        "",
        NOTES,
        all='{{ include "bjw-s.common.loader.all" . }}',
        own="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: own}\n",
        lost=f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: lost, labels: {calls}}}\n",
    )
    (tmp_path / "apps/notes/Chart.yaml").write_text(DEPENDENCIES)
    rendered = render_whole(tmp_path)
    assert named(rendered, "ConfigMap") == ["notes/own"]
    assert named(rendered, "Deployment") == ["notes/notes"]
    assert named(rendered, "StatefulSet") == ["notes/notes-db"]
    assert [entry.what for entry in rendered.missing if not entry.modelled] == [
        "installation of apps/notes",
        "apps/notes/templates/lost.yaml",
    ]
