"""Argo CD Applications and ApplicationSets of the repository that is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from models.gitops import render_whole
from models.gitops.appsets import generated
from models.gitops.folders import Tree
from models.helm import ChartSource
from models.objects import KubeObject, Rendered

URL = "https://github.com/acme/platform.git"


def write(root: Path, files: dict[str, Any]) -> Path:
    """Files of a tree; maps are written as YAML, lists as several documents."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, str):
            documents = content if isinstance(content, list) else [content]
            content = yaml.safe_dump_all(documents)
        path.write_text(content)
    return root


def config(name: str, namespace: str = "") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
    }


def application(name: str, source: dict[str, Any], namespace: str = "prod") -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "namespace": "argocd"},
        "spec": {"destination": {"namespace": namespace}, "source": {"repoURL": URL, **source}},
    }


def application_set(generators: list[Any], template: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "ApplicationSet",
        "metadata": {"name": "all", "namespace": "argocd"},
        "spec": {"generators": generators, "template": template},
    }


def keys(rendered: Rendered) -> set[str]:
    return {f"{item.kind} {item.namespace}/{item.name}" for item in rendered.objects}


def test_an_application_deploys_its_folder_into_its_destination(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "root/kustomization.yaml": {"resources": ["app.yaml"]},
            "root/app.yaml": application("shop", {"path": "shop"}),
            "shop/map.yaml": [config("loose"), config("fixed", "other")],
            "shop/deep/map.yaml": config("deeper"),
        },
    )
    assert keys(render_whole(tmp_path / "root", repository=tmp_path)) == {
        "Application argocd/shop",
        "ConfigMap prod/loose",
        "ConfigMap other/fixed",
    }
    write(tmp_path, {"root/app.yaml": application("shop", {"path": "shop", "directory": {"recurse": True}})})
    assert "ConfigMap prod/deeper" in keys(render_whole(tmp_path / "root", repository=tmp_path))


def test_applications_may_bring_applications_and_cycles_end(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "root/apps.yaml": application("root", {"path": "apps"}, "argocd"),
            "apps/one.yaml": application("one", {"path": "one"}),
            "apps/root.yaml": application("again", {"path": "root"}, "argocd"),
            "one/map.yaml": config("inner"),
        },
    )
    assert "ConfigMap prod/inner" in keys(render_whole(tmp_path / "root", repository=tmp_path))


def test_render_prints_nothing_that_argo_derives(tmp_path: Path) -> None:
    write(tmp_path, {"root/app.yaml": application("shop", {"path": "shop"}), "shop/map.yaml": config("loose")})
    rendered = render_whole(tmp_path / "root", repository=tmp_path, expand=False, model=False)
    assert keys(rendered) == {"Application argocd/shop"}


def test_kustomize_overrides_of_a_source_are_laid_over_the_folder(tmp_path: Path) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "c", "image": "nginx:1"}]},
    }
    overrides = {"namePrefix": "my-", "images": ["nginx=ghcr.io/acme/nginx:2"]}
    write(
        tmp_path,
        {
            "root/app.yaml": application("shop", {"path": "shop", "kustomize": overrides}),
            "shop/kustomization.yaml": {"resources": ["pod.yaml"]},
            "shop/pod.yaml": pod,
        },
    )
    rendered = render_whole(tmp_path / "root", repository=tmp_path)
    found = next(item for item in rendered.objects if item.kind == "Pod")
    assert (found.name, found.spec["containers"][0]["image"]) == ("my-web", "ghcr.io/acme/nginx:2")
    assert found.origin.file == "shop/pod.yaml"


def test_a_chart_source_is_modelled_with_its_values_object_over_its_value_files(tmp_path: Path) -> None:
    chart = {"repoURL": "https://emberstack.github.io/helm-charts", "chart": "reflector", "targetRevision": "9.1.0"}
    app = application("mirror", {}, "infra")
    app["spec"].pop("source")
    app["spec"]["sources"] = [
        {
            **chart,
            "helm": {
                "valueFiles": ["$repo/values/a.yaml"],
                "valuesObject": {"replicaCount": 4},
                "releaseName": "reflector",
            },
        },
        {"repoURL": URL, "ref": "repo"},
    ]
    write(tmp_path, {"root/app.yaml": app, "values/a.yaml": {"replicaCount": 2, "resources": {"limits": {"cpu": "1"}}}})
    rendered = render_whole(tmp_path / "root", repository=tmp_path, cache=tmp_path / "none")
    found = next(item for item in rendered.objects if item.kind == "Deployment")
    assert (found.namespace, found.name, found.spec["replicas"]) == ("infra", "reflector", 4)
    assert found.get("spec", "template", "spec", "containers", 0, "resources") == {"limits": {"cpu": "1"}}
    assert found.origin.provenance == "modelled"
    assert [(item.what, item.modelled, item.release) for item in rendered.missing] == [
        ("reflector 9.1.0 from https://emberstack.github.io/helm-charts", True, "reflector")
    ]


def test_another_repository_is_listed_as_missing(tmp_path: Path) -> None:
    write(tmp_path, {"root/app.yaml": application("shop", {"path": "not/here"})})
    (missing,) = render_whole(tmp_path / "root", repository=tmp_path).missing
    assert (missing.kind, missing.what) == ("repository", f"not/here of {URL}")


GENERATORS: list[tuple[str, list[Any], list[str]]] = [
    ("list", [{"list": {"elements": [{"app": "a"}, {"app": "b"}]}}], ["a", "b"]),
    (
        "git directories",
        [{"git": {"repoURL": URL, "directories": [{"path": "apps/*"}, {"path": "apps/old", "exclude": True}]}}],
        ["blog", "shop"],
    ),
    ("git files", [{"git": {"repoURL": URL, "files": [{"path": "clusters/**/config.json"}]}}], ["east", "west"]),
    (
        "matrix",
        [
            {
                "matrix": {
                    "generators": [
                        {"git": {"repoURL": URL, "directories": [{"path": "apps/shop"}]}},
                        {"list": {"elements": [{"app": "x"}, {"app": "y"}]}},
                    ]
                }
            }
        ],
        ["x", "y"],
    ),
    (
        "merge",
        [
            {
                "merge": {
                    "mergeKeys": ["id"],
                    "generators": [
                        {"list": {"elements": [{"id": 1, "app": "one"}, {"id": 2, "app": "two"}]}},
                        {"list": {"elements": [{"id": 2, "app": "second"}, {"id": 3, "app": "third"}]}},
                    ],
                }
            }
        ],
        ["one", "second"],
    ),
]


@pytest.mark.parametrize(
    ("generators", "expected"), [case[1:] for case in GENERATORS], ids=[case[0] for case in GENERATORS]
)
def test_generators_produce_their_elements(generators: list[Any], expected: list[str], tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "apps/shop/a.yaml": config("a"),
            "apps/blog/a.yaml": config("a"),
            "apps/old/a.yaml": config("a"),
            "apps/shop/deep/a.yaml": config("a"),
            "clusters/east/config.json": '{"app": "east"}',
            "clusters/eu/west/config.json": '{"app": "west"}',
        },
    )
    item = KubeObject(application_set(generators, {}))
    found = generated(Tree(tmp_path.resolve(), ChartSource(tmp_path)), item)
    assert [element.get("app") or element["path"]["basename"] for element in found] == expected


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("{{path.basename}}", "{{path}}"),
        ("{{ .path.basename }}", "{{ .path.path }}"),
        ("{{ index .path.segments 1 }}", "{{.path.path}}"),
        ("{{path[1]}}", "{{path}}"),
    ],
)
def test_an_application_set_deploys_every_folder_it_finds(name: str, path: str, tmp_path: Path) -> None:
    template = {
        "metadata": {"name": name},
        "spec": {"destination": {"namespace": name}, "source": {"repoURL": URL, "path": path}},
    }
    generators = [{"git": {"repoURL": URL, "directories": [{"path": "apps/*"}]}}]
    write(
        tmp_path,
        {
            "root/kustomization.yaml": {"resources": ["set.yaml"]},
            "root/set.yaml": application_set(generators, template),
            "apps/shop/a.yaml": config("a"),
            "apps/blog/kustomization.yaml": {"resources": ["b.yaml"]},
            "apps/blog/b.yaml": config("b"),
        },
    )
    rendered = render_whole(tmp_path / "root", repository=tmp_path)
    assert keys(rendered) == {"ApplicationSet argocd/all", "ConfigMap shop/a", "ConfigMap blog/b"}


def test_a_folder_that_another_root_includes_is_not_deployed_twice(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "kustomization.yaml": {"resources": ["app.yaml", "shop"]},
            "app.yaml": application("shop", {"path": "shop"}),
            "shop/kustomization.yaml": {"resources": ["map.yaml"]},
            "shop/map.yaml": config("loose"),
        },
    )
    maps = [item for item in render_whole(tmp_path).objects if item.kind == "ConfigMap"]
    assert [(item.namespace, item.name) for item in maps] == [("prod", "loose")]


def test_a_chart_of_a_registry_may_be_written_as_a_folder_of_it(tmp_path: Path) -> None:
    chart = {"repoURL": "oci://ghcr.io/acme/charts/app-template", "path": ".", "targetRevision": "4.0.0"}
    values = {"controllers": {"main": {"containers": {"main": {"image": {"repository": "acme/web", "tag": "1"}}}}}}
    manifests = {"repoURL": "oci://ghcr.io/acme/manifests", "path": ".", "targetRevision": "1"}
    write(
        tmp_path,
        {
            "root/kustomization.yaml": {"resources": ["app.yaml", "other.yaml"]},
            "root/app.yaml": application("web", {**chart, "helm": {"valuesObject": values}}),
            "root/other.yaml": application("other", manifests),
            "elsewhere/map.yaml": config("loose"),
        },
    )
    rendered = render_whole(tmp_path / "root", repository=tmp_path)
    assert keys(rendered) == {"Application argocd/web", "Application argocd/other", "Deployment prod/web"}
    told = {entry.what: entry.reason for entry in rendered.missing if not entry.modelled}
    assert told == {". of oci://ghcr.io/acme/manifests": "it is an artifact of a registry"}
    chart_entry = next(entry for entry in rendered.missing if entry.modelled)
    assert chart_entry.what == "app-template 4.0.0 from oci://ghcr.io/acme/charts"


def test_a_folder_that_an_application_renames_does_not_run_under_its_old_name_as_well(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "app.yaml": application("shop", {"path": "shop", "kustomize": {"nameSuffix": "-east"}}),
            "shop/kustomization.yaml": {"resources": ["map.yaml"]},
            "shop/map.yaml": config("loose"),
        },
    )
    assert keys(render_whole(tmp_path)) == {"Application argocd/shop", "ConfigMap prod/loose-east"}
