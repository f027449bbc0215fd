"""Flux Kustomizations and HelmReleases of the repository that is read."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.gitops import Variables, render_whole, substitute
from models.helm import engine_name
from models.objects import Rendered


def write(root: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, str):
            content = yaml.safe_dump_all(content if isinstance(content, list) else [content])
        path.write_text(content)
    return root


def flux(name: str, path: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": name, "namespace": "flux-system"},
        "spec": {"path": path, "sourceRef": {"kind": "GitRepository", "name": "flux-system"}, **spec},
    }


def config(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **({"data": data} if data else {})}


def found(rendered: Rendered, kind: str, name: str) -> Any:
    return next(item for item in rendered.objects if (item.kind, item.name) == (kind, name))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${HOST}", "example.org"),
        ("a.${HOST}/x", "a.example.org/x"),
        ("${NONE:=fallback}", "fallback"),
        ("${NONE:-fallback}", "fallback"),
        ("${EMPTY:-fallback}", "fallback"),
        ("${EMPTY-fallback}", ""),
        ("${HOST:=unused}", "example.org"),
        ("${NONE}", ""),
        ("$${HOST}", "${HOST}"),
        ("$HOST", "$HOST"),
        ("${HOST:0:7}", "example"),
        ("${COUNT}", 3),
        ("n${COUNT}", "n3"),
        ("${ON}", True),
        ("${NONE:=${HOST}}", "example.org"),
        ("${NONE:-${EMPTY:=${HOST}}}.lan", "example.org.lan"),
        ("${NONE:=a-${COUNT}-b}", "a-3-b"),
        ("${HOST/./-}-production-tls", "example-org-production-tls"),
        ("${HOST//e/E}", "ExamplE.org"),
        ("${HOST^^}", "EXAMPLE.ORG"),
        ("${HOST^}", "Example.org"),
        ("${HOST%.*}", "example"),
        ("${HOST##*.}", "org"),
        ("${#HOST}", 11),
        ("1${COUNT}", 13),
        ("cost: 5$$", "cost: 5$"),
        ("${not an expression} $x ${HOST}", "${not an expression} $x example.org"),
        ("line\n${COUNT}", "line\n3"),
    ],
)
def test_substitution_follows_envsubst(text: str, expected: Any) -> None:
    variables = {"HOST": "example.org", "EMPTY": "", "COUNT": "3", "ON": "true"}
    assert substitute({"key": [text]}, Variables(variables)) == {"key": [expected]}


def test_unknown_variables_stay_when_a_source_cannot_be_read() -> None:
    assert substitute("${A}-${B}", Variables({"A": "1"}, complete=False)) == "1-${B}"


def test_encrypted_variables_stay_readable_and_unset_ones_take_their_defaults() -> None:
    variables = Variables({"APP": "echo"}, hidden={"DOMAIN"})
    assert substitute("${SUB:-${APP}}.${DOMAIN}", variables) == "echo.${DOMAIN}"
    assert substitute("${DOMAIN/./-}-tls", variables) == "${DOMAIN/./-}-tls"
    assert substitute("${DOMAIN:=example.org}", variables) == "${DOMAIN:=example.org}"
    assert substitute("x${NOBODY}", variables) == "x"


def test_nested_and_growing_expressions_end() -> None:
    variables = Variables({"A": "x" * 100_000})
    assert substitute("${A:=" * 5_000, variables) == "${A:=" * 5_000
    assert substitute("${A//x/" + "y" * 1_000 + "}", variables) == "x" * 100_000
    assert substitute("${A}" * 1_000, variables) == "${A}" * 1_000
    assert substitute("${A##" + "*x" * 50 + "z}", variables) == "x" * 100_000


def test_sops_secrets_give_names_of_variables_but_no_values(tmp_path: Path) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "vars", "namespace": "flux-system"}}
    secret["stringData"] = {"DOMAIN": "ENC[AES256_GCM,data:abc,type:str]"}
    secret["sops"] = {"version": "3.9.0", "mac": "ENC[AES256_GCM,data:abc,type:str]"}
    post = {"substituteFrom": [{"kind": "Secret", "name": "vars"}], "substitute": {"APP": "echo"}}
    write(
        tmp_path,
        {
            "cluster/vars.sops.yaml": secret,
            "cluster/apps.yaml": flux("apps", "./apps", postBuild=post),
            "apps/app.yaml": config("${APP}", host="${SUB:=${APP}}.${DOMAIN}", log="${LEVEL:=info}"),
        },
    )
    (tmp_path / ".git").mkdir()
    data = found(render_whole(tmp_path / "cluster"), "ConfigMap", "echo").manifest["data"]
    assert data == {"host": "echo.${DOMAIN}", "log": "info"}


def test_a_post_build_without_any_variable_leaves_the_texts_alone(tmp_path: Path) -> None:
    post = {"substituteFrom": [{"kind": "ConfigMap", "name": "nobody", "optional": True}]}
    write(
        tmp_path,
        {
            "cluster/apps.yaml": flux("apps", "./apps", postBuild=post),
            "apps/app.yaml": config("app", path="${HOME}/x"),
        },
    )
    (tmp_path / ".git").mkdir()
    assert found(render_whole(tmp_path / "cluster"), "ConfigMap", "app").manifest["data"] == {"path": "${HOME}/x"}


def test_a_kustomization_is_substituted_patched_and_put_into_its_namespace(tmp_path: Path) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "vars", "namespace": "flux-system"}}
    secret["data"] = {"TOKEN": base64.b64encode(b"t0ken").decode()}
    settings = config("settings", DOMAIN="example.org", SIZE="2Gi")
    settings["metadata"]["namespace"] = "flux-system"
    patch = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "any"}, "data": {"patched": "yes"}}
    build = {
        "substitute": {"SIZE": "5Gi"},
        "substituteFrom": [{"kind": "ConfigMap", "name": "settings"}, {"kind": "Secret", "name": "vars"}],
    }
    untouched = config("raw", text="${DOMAIN}")
    untouched["metadata"]["annotations"] = {"kustomize.toolkit.fluxcd.io/substitute": "disabled"}
    write(
        tmp_path,
        {
            "cluster/kustomization.yaml": {"resources": ["apps.yaml", "settings.yaml"]},
            "cluster/apps.yaml": flux(
                "apps",
                "./apps",
                targetNamespace="web",
                postBuild=build,
                patches=[{"target": {"kind": "ConfigMap", "name": "app"}, "patch": yaml.safe_dump(patch)}],
            ),
            "cluster/settings.yaml": [settings, secret],
            "apps/app.yaml": config("app", url="https://app.${DOMAIN}", size="${SIZE}", token="${TOKEN}"),
            "apps/deep/kustomization.yaml": {"resources": ["raw.yaml"]},
            "apps/deep/raw.yaml": untouched,
        },
    )
    rendered = render_whole(tmp_path / "cluster", repository=tmp_path)
    app = found(rendered, "ConfigMap", "app")
    assert app.namespace == "web"
    assert app.manifest["data"] == {
        "url": "https://app.example.org",
        "size": "5Gi",
        "token": "t0ken",
        "patched": "yes",
    }
    assert app.origin.file == "apps/app.yaml"
    assert found(rendered, "ConfigMap", "raw").manifest["data"] == {"text": "${DOMAIN}"}
    assert "data" not in found(rendered, "Secret", "vars").manifest or "t0ken" not in str(
        found(rendered, "Secret", "vars").manifest
    )


def test_what_the_tree_renders_raw_gives_way_to_what_flux_applies(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "kubernetes/flux/cluster.yaml": flux("cluster", "./kubernetes/apps"),
            "kubernetes/apps/ns/app/ks.yaml": flux(
                "app", "./kubernetes/apps/ns/app/app", targetNamespace="ns", postBuild={"substitute": {"APP": "blog"}}
            ),
            "kubernetes/apps/ns/kustomization.yaml": {"resources": ["./app/ks.yaml"]},
            "kubernetes/apps/ns/app/app/kustomization.yaml": {"resources": ["map.yaml"]},
            "kubernetes/apps/ns/app/app/map.yaml": config("${APP}", url="${APP}.svc"),
        },
    )
    rendered = render_whole(tmp_path)
    maps = [(item.namespace, item.name, item.manifest["data"]) for item in rendered.objects if item.kind == "ConfigMap"]
    assert maps == [("ns", "blog", {"url": "blog.svc"})]


def test_components_of_a_kustomization_are_applied(tmp_path: Path) -> None:
    component = {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "labels": [{"pairs": {"tier": "x"}}],
    }
    write(
        tmp_path,
        {
            "cluster/apps.yaml": flux("apps", "./apps/web", components=["../../components/tier"]),
            "apps/web/app.yaml": config("app"),
            "components/tier/kustomization.yaml": component,
        },
    )
    assert found(render_whole(tmp_path / "cluster", repository=tmp_path), "ConfigMap", "app").labels == {"tier": "x"}


def release(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "helm.toolkit.fluxcd.io/v2",
        "kind": "HelmRelease",
        "metadata": {"name": name, "namespace": "apps"},
        "spec": {"interval": "1h", **spec},
    }


def source(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "apps"},
        "spec": spec,
    }


APP = {
    "controllers": {"main": {"containers": {"main": {"image": {"repository": "ghcr.io/acme/web", "tag": "1"}}}}},
    "service": {"main": {"controller": "main", "ports": {"http": {"port": 8080}}}},
}
OCI = source("OCIRepository", "app-template", url="oci://ghcr.io/bjw-s-labs/helm/app-template", ref={"tag": "4.4.0"})
HTTP = source("HelmRepository", "bjw-s", url="https://bjw-s-labs.github.io/helm-charts")
CHART = source(
    "HelmChart", "tpl", chart="app-template", version="4.4.0", sourceRef={"kind": "HelmRepository", "name": "bjw-s"}
)
SPEC = {"chart": "app-template", "version": "4.4.0", "sourceRef": {"kind": "HelmRepository", "name": "bjw-s"}}


@pytest.mark.parametrize(
    ("sources", "reference", "what"),
    [
        ([OCI], {"chartRef": {"kind": "OCIRepository", "name": "app-template"}}, "oci://ghcr.io/bjw-s-labs/helm"),
        ([HTTP], {"chart": {"spec": SPEC}}, "https://bjw-s-labs.github.io/helm-charts"),
        ([HTTP, CHART], {"chartRef": {"kind": "HelmChart", "name": "tpl"}}, "https://bjw-s-labs.github.io/helm-charts"),
        ([], {"chart": {"spec": SPEC}}, "HelmRepository apps/bjw-s"),
    ],
    ids=["OCIRepository", "HelmRepository", "HelmChart", "a source that is not in the tree"],
)
def test_a_release_of_the_generic_chart_becomes_its_workload(
    sources: list[Any], reference: dict[str, Any], what: str, tmp_path: Path
) -> None:
    values = config("base", **{"values.yaml": yaml.safe_dump({**APP, "defaultPodOptions": {"hostNetwork": True}})})
    values["metadata"]["namespace"] = "apps"
    overrides = {"controllers": {"main": {"replicas": 3}}}
    wanted = release("blog", **reference, values=overrides, valuesFrom=[{"kind": "ConfigMap", "name": "base"}])
    write(tmp_path, {"all.yaml": [values, wanted, *sources]})
    rendered = render_whole(tmp_path, cache=tmp_path / "none")
    blog = found(rendered, "Deployment", "blog")
    assert (blog.namespace, blog.spec["replicas"]) == ("apps", 3)
    pod = blog.spec["template"]["spec"]
    assert (pod["hostNetwork"], pod["containers"][0]["image"]) == (True, "ghcr.io/acme/web:1")
    assert found(rendered, "Service", "blog").spec["ports"][0]["port"] == 8080
    (missing,) = rendered.missing
    assert (missing.what, missing.modelled) == (f"app-template 4.4.0 from {what}", True)


def test_post_renderers_and_target_path_and_release_names_count(tmp_path: Path) -> None:
    patch = "- op: replace\n  path: /spec/replicas\n  value: 7\n"
    values = config("base", count="5")
    values["metadata"]["namespace"] = "apps"
    wanted = release(
        "mirror",
        chart={
            "spec": {"chart": "reflector", "version": "9.1.0", "sourceRef": {"kind": "HelmRepository", "name": "e"}}
        },
        targetNamespace="infra",
        valuesFrom=[{"kind": "ConfigMap", "name": "base", "valuesKey": "count", "targetPath": "replicaCount"}],
        postRenderers=[{"kustomize": {"patches": [{"target": {"kind": "Deployment"}, "patch": patch}]}}],
    )
    write(tmp_path, {"all.yaml": [values, wanted]})
    deployment = next(
        item for item in render_whole(tmp_path, cache=tmp_path / "none").objects if item.kind == "Deployment"
    )
    assert (deployment.namespace, deployment.name) == ("infra", "infra-mirror-reflector")
    assert deployment.spec["replicas"] == 7


def test_a_release_of_an_unknown_chart_says_what_it_hides(tmp_path: Path) -> None:
    spec = {"chart": "unheard-of", "version": "1.0.0", "sourceRef": {"kind": "HelmRepository", "name": "x"}}
    write(tmp_path, {"all.yaml": [release("thing", chart={"spec": spec}, values={"host": "db.data.svc"})]})
    (missing,) = render_whole(tmp_path, cache=tmp_path / "none").missing
    assert (missing.modelled, missing.release, missing.namespace) == (False, "thing", "apps")
    assert missing.hides == "everything that release thing runs"
    assert missing.values == {"host": "db.data.svc"}


def test_suspended_objects_bring_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"c/apps.yaml": flux("apps", "./apps", suspend=True), "apps/app.yaml": config("app")})
    assert {item.kind for item in render_whole(tmp_path / "c", repository=tmp_path).objects} == {"Kustomization"}


def test_a_chart_of_the_repository_is_rendered_for_a_release(tmp_path: Path) -> None:
    spec = {"chart": "./charts/own", "sourceRef": {"kind": "GitRepository", "name": "flux-system"}}
    write(
        tmp_path,
        {
            "c/release.yaml": release("own", chart={"spec": spec}, values={"name": "made"}),
            "charts/own/Chart.yaml": {"apiVersion": "v2", "name": "own", "version": "0.1.0"},
            "charts/own/templates/map.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Values.name }}}\n",
        },
    )
    rendered = render_whole(tmp_path / "c", repository=tmp_path, cache=tmp_path / "none")
    made = found(rendered, "ConfigMap", "made")
    assert (made.namespace, made.origin.provenance) == ("apps", "chart")
    assert rendered.complete


def test_two_kustomizations_over_one_base_both_stay(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "c/apps.yaml": [flux("dev", "./env/dev"), flux("prod", "./env/prod")],
            "base/kustomization.yaml": {"resources": ["app.yaml"]},
            "base/app.yaml": config("app"),
            "env/dev/kustomization.yaml": {"namespace": "dev", "resources": ["../../base"]},
            "env/prod/kustomization.yaml": {"namespace": "prod", "resources": ["../../base"]},
        },
    )
    rendered = render_whole(tmp_path)
    assert sorted(item.namespace for item in rendered.objects if item.kind == "ConfigMap") == ["dev", "prod"]


def test_the_root_of_a_second_repository_is_not_this_one(tmp_path: Path) -> None:
    other = flux("other", "./")
    other["spec"]["sourceRef"]["name"] = "elsewhere"
    sources = [source("GitRepository", name, url=f"https://github.com/acme/{name}") for name in ("main", "elsewhere")]
    for entry in sources:
        entry["metadata"]["namespace"] = "flux-system"
    write(tmp_path, {"c/all.yaml": [other, *sources], "apps/app.yaml": config("app")})
    rendered = render_whole(tmp_path / "c", repository=tmp_path)
    assert "ConfigMap" not in {item.kind for item in rendered.objects}
    assert [(item.kind, item.what) for item in rendered.missing] == [("repository", "./ of GitRepository elsewhere")]


def test_a_tree_of_two_clusters_is_read_as_one_and_says_so(tmp_path: Path) -> None:
    post = {"substituteFrom": [{"kind": "ConfigMap", "name": "settings"}]}
    for cluster in ("main", "spare"):
        settings = config("settings", WHERE=cluster)
        settings["metadata"]["namespace"] = "flux-system"
        write(
            tmp_path,
            {
                f"clusters/{cluster}/apps.yaml": flux("apps", f"./apps/{cluster}", postBuild=post),
                f"clusters/{cluster}/settings.yaml": settings,
                f"apps/{cluster}/app.yaml": config(f"app-{cluster}", where="${WHERE}"),
            },
        )
    (tmp_path / ".git").mkdir()
    whole = render_whole(tmp_path)
    for cluster in ("main", "spare"):
        assert found(whole, "ConfigMap", f"app-{cluster}").manifest["data"] == {"where": cluster}
    assert [entry.reason for entry in whole.missing] == [
        "both have Kustomization flux-system/apps: several clusters are read as one"
    ]
    alone = render_whole(tmp_path / "clusters" / "spare")
    assert alone.missing == ()
    assert found(alone, "ConfigMap", "app-spare").manifest["data"] == {"where": "spare"}


def test_variables_beside_loose_kustomizations_are_read_with_them(tmp_path: Path) -> None:
    post = {"substituteFrom": [{"kind": "ConfigMap", "name": "settings"}]}
    settings = config("settings", HOST="example.org")
    settings["metadata"]["namespace"] = "flux-system"
    write(
        tmp_path,
        {
            "cluster/apps.yaml": flux("apps", "./apps", postBuild=post),
            "cluster/settings.yaml": settings,
            "apps/kustomization.yaml": {"resources": ["app.yaml"]},
            "apps/app.yaml": config("app", host="${HOST}"),
        },
    )
    assert found(render_whole(tmp_path), "ConfigMap", "app").manifest["data"] == {"host": "example.org"}


def test_pictures_and_rare_characters_survive_a_patch(tmp_path: Path) -> None:
    rare = "\U0001f6a8 \u03a9 \u2028 \x07 \ufeff\u0085 \\ud83d"
    patch = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata: {more: "\U0001f680"}\n'
    write(
        tmp_path,
        {
            "cluster/apps.yaml": flux("apps", "./apps", targetNamespace="x", patches=[{"patch": patch}]),
            "apps/app.yaml": yaml.safe_dump(config("app", text=rare), allow_unicode=False),
        },
    )
    (tmp_path / ".git").mkdir()
    rendered = render_whole(tmp_path / "cluster")
    assert rendered.missing == ()
    item = found(rendered, "ConfigMap", "app")
    assert (item.namespace, item.manifest["data"]) == ("x", {"text": rare, "more": "\U0001f680"})


def test_a_chart_in_a_folder_takes_its_own_value_files_and_another_repositorys_chart_is_looked_up_by_name(
    tmp_path: Path,
) -> None:
    def chart(path: str, repository: str, **more: Any) -> dict[str, Any]:
        return {"spec": {"chart": path, "sourceRef": {"kind": "GitRepository", "name": repository}, **more}}

    files = ["charts/web/values.yaml", "charts/web/large.yaml", "charts/web/gone.yaml"]
    values = {"controllers": {"main": {"containers": {"main": {"image": {"repository": "acme/api", "tag": "1"}}}}}}
    template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: size}\ndata: {size: {{ .Values.size | quote }}}\n"
    write(
        tmp_path,
        {
            ".git/config": '[remote "origin"]\n\turl = https://github.com/acme/platform\n',
            "web.yaml": release("web", chart=chart("./charts/web", "here", valuesFiles=files)),
            "api.yaml": release("api", chart=chart("./charts/app-template", "there"), values=values),
            "odd.yaml": release("odd", chart=chart("./", "there")),
            "here.yaml": source("GitRepository", "here", url="https://github.com/acme/platform"),
            "there.yaml": source("GitRepository", "there", url="https://github.com/acme/charts"),
            "charts/web/Chart.yaml": {"apiVersion": "v2", "name": "web", "version": "1.0.0"},
            "charts/web/values.yaml": {"size": "small"},
            "charts/web/large.yaml": {"size": "large"},
            "charts/web/templates/map.yaml": template,
        },
    )
    rendered = render_whole(tmp_path)
    assert found(rendered, "Deployment", "api").namespace == "apps"
    told = {entry.what for entry in rendered.missing if not entry.modelled}
    assert told >= {"charts/web/gone.yaml", "./"}
    if engine_name():
        assert found(rendered, "ConfigMap", "size").get("data", "size") == "large"
