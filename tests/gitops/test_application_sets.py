"""Go templates, patches and selectors of ApplicationSets, and what their generators hide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from models.gitops import render_whole
from models.gitops.gotemplate import TemplateError, expand_template
from models.objects import Rendered

URL = "https://github.com/acme/platform.git"
VALUES = {
    "name": "Web_App",
    "path": {"path": "apps/Web_App", "basename": "Web_App", "segments": ["apps", "Web_App"]},
    "list": [1, 2],
    "on": True,
    "empty": "",
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ .path.basename }}", "Web_App"),
        ("{{.path.basename}}-{{ .name }}", "Web_App-Web_App"),
        ("{{ index .path.segments 0 }}", "apps"),
        ('{{ .name | lower | replace "_" "-" }}', "web-app"),
        ("{{ .path.basename | normalize }}", "web-app"),
        ('{{ trimSuffix "_App" .name }}', "Web"),
        ('{{ .nothing | default "x" }}', "x"),
        ('{{ default "x" .empty }}', "x"),
        ("{{ .nothing }}", "<no value>"),
        ("{{ toJson .list }}", "[1,2]"),
        ("{{ if .on }}yes{{ else }}no{{ end }}", "yes"),
        ('{{ if eq .name "a" }}a{{ else if eq .name "Web_App" }}b{{ else }}c{{ end }}', "b"),
        ("a {{- if and .on (not .empty) }} b {{- end }}", "a b"),
        ("{{ range $i, $v := .list }}{{ $i }}:{{ $v }} {{ end }}", "0:1 1:2 "),
        ("{{ range .path.segments }}{{ . }}/{{ end }}", "apps/Web_App/"),
        ("{{ $x := .name }}{{ $x | upper | quote }}", '"WEB_APP"'),
        ("{{ with .name }}{{ . }}{{ $.path.basename }}{{ end }}", "Web_AppWeb_App"),
        ('{{ printf "%s-%d" .name 3 }}', "Web_App-3"),
        ('{{ "}}" }}', "}}"),
        ("{{/* a comment */}}x", "x"),
        ('{{ ternary "a" "b" .on }}', "a"),
        ('{{ splitList "/" .path.path | last }}', "Web_App"),
        ("{{ len .list }}{{ add 1 2 }}", "23"),
        ("no template", "no template"),
    ],
)
def test_go_templates_mean_what_they_mean_to_go(template: str, expected: str) -> None:
    assert expand_template(template, VALUES) == expected


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ unknownFunction . }}", 'function "unknownFunction" not defined'),
        ("{{ if .on }}", "has no end"),
        ("{{ .name", "unclosed action"),
        ("{{ end }}", "unexpected"),
        ("{{ index .list 9 }}", "index out of range: 9"),
        ("{{ .name.x }}", "can't evaluate field x"),
        ("{{ $none }}", "undefined variable"),
        ("{{ range until 9999 }}{{ range until 9999 }}{{ end }}x{{ end }}", "does too much"),
        ('{{ repeat 999999 "x" }}', "grows too long"),
        ('{{ env "HOME" }}', 'function "env" not defined'),
    ],
)
def test_a_template_that_fails_says_why(template: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message.replace("$", r"\$")):
        expand_template(template, VALUES)


def test_a_missing_key_is_an_error_when_the_options_say_so() -> None:
    with pytest.raises(TemplateError, match='map has no entry for key "nothing"'):
        expand_template("{{ .nothing }}", VALUES, strict=True)


def config(name: str) -> str:
    return yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})


def deployed(root: Path, spec: dict[str, Any]) -> Rendered:
    files = {f"apps/{name}/cm.yaml": config(name) for name in ("api", "Web_App", "docs")}
    files["apps/api/config.json"] = '{"tier": "back", "wave": 2}'
    files["set.yaml"] = yaml.safe_dump(
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "ApplicationSet",
            "metadata": {"name": "all", "namespace": "argocd"},
            "spec": spec,
        }
    )
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return render_whole(root / "set.yaml", repository=root)


def template(name: str, path: str, namespace: str = "x", **source: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"destination": {"namespace": namespace}, "source": {"repoURL": URL, "path": path, **source}},
    }


FOLDERS = {"git": {"repoURL": URL, "directories": [{"path": "apps/*"}]}}


def places(found: Rendered) -> set[str]:
    return {f"{item.namespace}/{item.name}" for item in found.objects if item.kind == "ConfigMap"}


def test_a_go_template_names_applications_after_their_folders(tmp_path: Path) -> None:
    spec = {
        "goTemplate": True,
        "goTemplateOptions": ["missingkey=error"],
        "generators": [FOLDERS],
        "template": template("{{ .path.basename }}", "{{ .path.path }}", "{{ index .path.segments 1 | normalize }}-ns"),
    }
    assert places(deployed(tmp_path, spec)) == {"api-ns/api", "web-app-ns/Web_App", "docs-ns/docs"}


def test_a_template_patch_changes_single_applications(tmp_path: Path) -> None:
    patch = """\
{{- if eq .path.basename "api" }}
spec:
  destination:
    namespace: special
  source:
    kustomize:
      namePrefix: p-
{{- end }}
"""
    spec = {
        "goTemplate": True,
        "generators": [FOLDERS],
        "template": template("{{ .path.basename }}", "{{ .path.path }}"),
        "templatePatch": patch,
    }
    assert places(deployed(tmp_path, spec)) == {"special/p-api", "x/Web_App", "x/docs"}


def test_a_generators_selector_keeps_matching_elements_only(tmp_path: Path) -> None:
    generators = [
        {
            "list": {"elements": [{"app": "api", "env": "prod"}, {"app": "docs", "env": "test"}]},
            "selector": {"matchLabels": {"env": "prod"}},
        },
        {**FOLDERS, "selector": {"matchExpressions": [{"key": "path.basename", "operator": "In", "values": ["docs"]}]}},
    ]
    spec = {
        "goTemplate": True,
        "generators": generators,
        "template": template("{{ .app }}", "{{ with .app }}apps/{{ . }}{{ else }}{{ .path.path }}{{ end }}"),
    }
    assert places(deployed(tmp_path, spec)) == {"x/api", "x/docs"}


def test_files_with_a_path_prefix_and_values_fill_the_template(tmp_path: Path) -> None:
    generator = {
        "git": {
            "repoURL": URL,
            "files": [{"path": "apps/**/config.json"}],
            "pathParamPrefix": "at",
            "values": {"space": "{{ .tier }}-{{ .at.path.basename }}"},
        }
    }
    spec = {
        "goTemplate": True,
        "generators": [generator],
        "template": template("a", "{{ .at.path.path }}", "{{ .values.space }}"),
    }
    assert places(deployed(tmp_path, spec)) == {"back-api/api"}


def test_clusters_give_the_one_cluster_that_is_known(tmp_path: Path) -> None:
    generators = [{"matrix": {"generators": [{"clusters": {}}, FOLDERS]}}]
    spec = {
        "goTemplate": True,
        "generators": generators,
        "template": template("{{ .path.basename }}", "{{ .path.path }}", "{{ .name }}"),
    }
    assert places(deployed(tmp_path, spec)) == {"in-cluster/api", "in-cluster/Web_App", "in-cluster/docs"}


def test_clusters_with_labels_are_those_of_the_trees_own_secrets(tmp_path: Path) -> None:
    labels = {"argocd.argoproj.io/secret-type": "cluster", "env": "prod"}
    metadata = {"name": "home", "namespace": "argocd", "labels": labels}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"name": "Home"}}
    (tmp_path / "secret.yaml").write_text(yaml.safe_dump(secret), encoding="utf-8")

    def spec(env: str) -> dict[str, Any]:
        generators = [{"matrix": {"generators": [{"clusters": {"selector": {"matchLabels": {"env": env}}}}, FOLDERS]}}]
        return {
            "goTemplate": True,
            "generators": generators,
            "template": template("{{ .path.basename }}", "{{ .path.path }}", "{{ .nameNormalized }}"),
        }

    deployed(tmp_path, spec("prod"))
    found = render_whole(tmp_path)
    assert (places(found), found.missing) == ({"home/api", "home/Web_App", "home/docs"}, ())
    deployed(tmp_path, spec("lab"))
    found = render_whole(tmp_path)
    assert places(found) == {"/api", "/Web_App", "/docs"}  # as they stand in the tree
    assert [entry.reason for entry in found.missing] == ["no cluster Secret of the tree has these labels"]


def test_clusters_that_nobody_wrote_down_are_taken_as_one_that_has_the_labels_asked_for_first(tmp_path: Path) -> None:
    generators = [
        {"clusters": {"selector": {"matchLabels": {"env": env}}, "values": {"folder": folder}}}
        for env, folder in (("prod", "api"), ("lab", "docs"), ("prod", "Web_App"))
    ]
    spec = {"generators": generators, "template": template("{{values.folder}}", "apps/{{values.folder}}", "{{name}}")}
    found = deployed(tmp_path, spec)
    assert places(found) == {"in-cluster/api", "in-cluster/Web_App"}
    assert [entry.reason.partition(": ")[2] for entry in found.missing] == [
        "the tree is taken to be for one that has them",
        "the one of this tree has others",
    ]


@pytest.mark.parametrize(
    ("generator", "what"),
    [
        ({"scmProvider": {"github": {"organization": "acme"}}}, "scmProvider generator"),
        ({"pullRequest": {"github": {"owner": "acme"}}}, "pullRequest generator"),
        ({"plugin": {"configMapRef": {"name": "p"}}}, "plugin generator"),
        ({"clusterDecisionResource": {"configMapRef": "p"}}, "clusterDecisionResource generator"),
        ({"git": {"repoURL": "https://github.com/acme/other", "directories": [{"path": "*"}]}}, "git generator of"),
    ],
)
def test_generators_that_ask_others_are_listed_with_what_they_hide(
    generator: dict[str, Any], what: str, tmp_path: Path
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text(f'[remote "origin"]\n\turl = {URL}\n', encoding="utf-8")
    spec = {"generators": [generator], "template": template("a", "apps/api")}
    found = deployed(tmp_path, spec)
    (entry,) = found.missing
    assert (entry.kind, entry.what.startswith(what)) == ("generator", True)
    assert entry.hides == "the Applications that ApplicationSet all makes of it"
    assert (entry.origin.file, places(found)) == ("set.yaml", set())


def test_a_template_that_cannot_be_filled_in_is_listed(tmp_path: Path) -> None:
    spec = {"goTemplate": True, "generators": [FOLDERS], "template": template("{{ nope }}", "{{ .path.path }}")}
    (entry,) = deployed(tmp_path, spec).missing
    assert entry.reason == 'its template cannot be filled in: function "nope" not defined'


def test_plugins_and_jsonnet_of_an_application_are_listed(tmp_path: Path) -> None:
    (tmp_path / "apps" / "api").mkdir(parents=True)
    (tmp_path / "apps" / "api" / "main.jsonnet").write_text("{}", encoding="utf-8")
    spec = {
        "generators": [{"list": {"elements": [{"path": "apps/api"}]}}],
        "template": template("a", "{{path}}", directory={"jsonnet": {}}),
    }
    found = deployed(tmp_path, spec)
    assert [(entry.kind, entry.what) for entry in found.missing] == [("generator", "apps/api/main.jsonnet")]
    spec["template"] = template("a", "{{path}}", plugin={"name": "cdk8s"})
    assert [(entry.kind, entry.what) for entry in deployed(tmp_path, spec).missing] == [
        ("plugin", "apps/api through plugin cdk8s")
    ]


def test_kustomize_replicas_and_labels_of_an_application_are_laid_over(tmp_path: Path) -> None:
    workload = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": {"spec": {"containers": []}}},
    }
    (tmp_path / "apps" / "docs").mkdir(parents=True)
    (tmp_path / "apps" / "docs" / "web.yaml").write_text(yaml.safe_dump(workload), encoding="utf-8")
    kustomize = {
        "replicas": [{"name": "web", "count": "3"}],
        "commonLabels": {"team": "a"},
        "labelWithoutSelector": True,
    }
    spec = {
        "generators": [{"list": {"elements": [{"app": "docs"}]}}],
        "template": template("a", "apps/{{app}}", kustomize=kustomize),
    }
    found = next(item for item in deployed(tmp_path, spec).objects if item.kind == "Deployment")
    assert (found.spec["replicas"], found.labels) == (3, {"team": "a"})
    assert found.spec["selector"] == {"matchLabels": {"app": "web"}}
