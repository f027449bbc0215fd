"""What is wrong with a tree is said with file, line, field and the way out, as clearly as Kustomize says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import InputError, RenderError
from models.kustomize import build

DEPLOYMENT = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 1\n"


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return root


def problem(root: Path, files: dict[str, str], start: str = ".", **options: bool) -> str:
    with pytest.raises(InputError) as caught:
        build(tree(root, files) / start, repository=root, **options)
    return str(caught.value)


def test_a_missing_file_is_named_with_the_line_that_asks_for_it(tmp_path: Path) -> None:
    assert problem(tmp_path, {"kustomization.yaml": "resources:\n- here.yaml\n", "other": ""}) == (
        "kustomization.yaml:2 resources[0]: 'here.yaml' does not exist (looked at here.yaml)\n    check the path"
    )


def test_a_patch_without_a_matching_object_names_what_it_looks_for(tmp_path: Path) -> None:
    patch = DEPLOYMENT.replace("name: web", "name: wob")
    files = {
        "kustomization.yaml": "resources: [d.yaml]\npatches:\n- path: p.yaml\n",
        "d.yaml": DEPLOYMENT,
        "p.yaml": patch,
    }
    assert problem(tmp_path, files) == (
        "kustomization.yaml:3 patches[0]: no resource matches strategic merge patch Deployment.v1.apps/wob.[noNs]:"
        " no matches for Id Deployment.v1.apps/wob.[noNs]\n    check apiVersion, kind, name and namespace"
    )


def test_two_objects_with_one_identity_are_both_named(tmp_path: Path) -> None:
    files = {"kustomization.yaml": "resources: [a.yaml, b.yaml]\n", "a.yaml": DEPLOYMENT, "b.yaml": DEPLOYMENT}
    assert problem(tmp_path, files) == (
        "b.yaml:1: Deployment web: may not add resource with an already registered id:"
        " Deployment.v1.apps/web.[noNs] (the other one is at a.yaml:1)\n"
        "    list it once; if both are meant, give one another name or namespace"
    )


def test_a_namespace_that_makes_two_objects_one_is_refused(tmp_path: Path) -> None:
    other = DEPLOYMENT.replace("name: web", "name: web\n  namespace: far")
    files = {
        "kustomization.yaml": "namespace: ns\nresources: [a.yaml, b.yaml]\n",
        "a.yaml": DEPLOYMENT,
        "b.yaml": other,
    }
    assert "namespace transformation produces ID conflict: Deployment.v1.apps/web.ns is also at a.yaml:1" in problem(
        tmp_path, files
    )


def test_a_cycle_of_kustomizations_is_found(tmp_path: Path) -> None:
    files = {"a/kustomization.yaml": "resources: [../b]\n", "b/kustomization.yaml": "resources:\n- ../a\n"}
    assert problem(tmp_path, files, "a") == (
        "b/kustomization.yaml:2 resources[0]: cycle detected: candidate root 'a' contains visited root 'a'\n"
        "    a kustomization cannot be part of itself; remove one of the entries"
    )
    assert "cycle detected" in problem(
        tmp_path, {"c/kustomization.yaml": "resources: [..]\n", "kustomization.yaml": "resources: [c]\n"}
    )


def test_all_unknown_and_ill_typed_fields_are_reported_at_once(tmp_path: Path) -> None:
    text = "resource: [a]\nnamespace: 5\nimages:\n- name: a\n  newTag: 1.0\n  tag: x\nreplicas: many\n"
    assert problem(tmp_path, {"kustomization.yaml": text}).splitlines()[::2] == [
        (
            "kustomization.yaml:5 images[0].newTag: invalid Kustomization: must be text, not the number 1; put it in"
            " quotes"
        ),
        'kustomization.yaml:6 images[0].tag: invalid Kustomization: unknown field "tag"',
        "kustomization.yaml:2 namespace: invalid Kustomization: must be text, not the number 5; put it in quotes",
        "kustomization.yaml:7 replicas: invalid Kustomization: must be a list, not the text 'many'",
        'kustomization.yaml:1 resource: invalid Kustomization: unknown field "resource"',
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "kustomization.yaml is empty"),
        ("kind: Kustomization\n", "kustomization.yaml is empty"),
        ("kind: Thing\nresources: [a]\n", "kind should be Kustomization or Component, not Thing"),
        (
            "apiVersion: v1\nkind: Kustomization\nresources: [a]\n",
            "apiVersion for Kustomization should be kustomize.config.k8s.io/v1beta1, not v1",
        ),
        ("- a\n", "a kustomization must be a map"),
        ("resources: [a\n", "malformed YAML: did not find expected ',' or ']'"),
        ("a:\n\t- b\n", "malformed YAML: found character that cannot start any token"),
        ("sortOptions: {order: any}\nresources: []\nnamespace: a\n", "must be one of [fifo, legacy]"),
    ],
)
def test_a_kustomization_file_that_is_none_is_refused(tmp_path: Path, text: str, message: str) -> None:
    assert message in problem(tmp_path, {"kustomization.yaml": text})


def test_a_component_under_resources_and_the_other_way_round_are_refused(tmp_path: Path) -> None:
    files = {
        "kustomization.yaml": "resources: [c]\n",
        "c/kustomization.yaml": "kind: Component\nnamespace: a\n",
        "x/kustomization.yaml": "components: [../y]\n",
        "y/kustomization.yaml": "namespace: a\n",
    }
    assert "expected kind != 'Component' for path 'c' but got 'Component'" in problem(tmp_path, files)
    assert "expected kind 'Component' for path 'y' but got 'Kustomization'" in problem(tmp_path, files, "x")


def test_a_file_outside_of_the_repository_is_never_read(tmp_path: Path) -> None:
    (tmp_path / "secret.yaml").write_text(DEPLOYMENT, encoding="utf-8")
    root = tmp_path / "repository"
    files = {"kustomization.yaml": "resources:\n- ../secret.yaml\n"}
    assert problem(root, files) == (
        f"kustomization.yaml:2 resources[0]: '../secret.yaml' leads out of the repository {root}\n"
        "    move the file into the repository, or name a wider root with --root"
    )
    (root / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    assert "'link.yaml' leads out of the repository" in problem(
        root, {"kustomization.yaml": "resources: [link.yaml]\n"}
    )
    for entry in ("configMapGenerator: [{name: a, files: [../secret.yaml]}]", "patches: [{path: ../secret.yaml}]"):
        assert "leads out of the repository" in problem(root, {"kustomization.yaml": f"{entry}\n"})


def test_the_git_work_tree_is_the_repository_when_none_is_named(tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    tree(
        outer, {"tree/.git/HEAD": "", "tree/a/kustomization.yaml": "resources: [../../b.yaml]\n", "b.yaml": DEPLOYMENT}
    )
    with pytest.raises(RenderError, match="leads out of the repository"):
        build(outer / "tree" / "a")
    tree(outer, {"tree/a/kustomization.yaml": "resources: [../b.yaml]\n", "tree/b.yaml": DEPLOYMENT})
    rendered = build(outer / "tree" / "a")
    assert [item.origin.file for item in rendered.objects] == ["b.yaml"]
    assert rendered.roots == ("a",)


def test_without_git_bases_above_the_root_are_found(tmp_path: Path) -> None:
    tree(
        tmp_path,
        {"o/x/kustomization.yaml": "resources: [../../base]\n", "base/kustomization.yaml": "resources: [d.yaml]\n"},
    )
    tree(tmp_path, {"base/d.yaml": DEPLOYMENT})
    assert [item.origin.file for item in build(tmp_path / "o" / "x").objects] == ["base/d.yaml"]


def test_a_loop_of_symbolic_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to(tmp_path / "b.yaml")
    (tmp_path / "b.yaml").symlink_to(tmp_path / "a.yaml")
    assert "'a.yaml' is a loop of symbolic links" in problem(tmp_path, {"kustomization.yaml": "resources: [a.yaml]\n"})


def test_the_restriction_to_the_own_directory_can_be_had(tmp_path: Path) -> None:
    files = {"o/kustomization.yaml": "resources: [../d.yaml]\n", "d.yaml": DEPLOYMENT}
    assert "security; file 'd.yaml' is not in or below 'o'" in problem(tmp_path, files, "o", restrict=True)
    assert len(build(tmp_path / "o", repository=tmp_path).objects) == 1


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("patches: [{patch: '[]', path: d.yaml}]", "patch and path can't be set at the same time"),
        ("patches: [{target: {kind: Deployment}}]", "must specify one of patch and path"),
        ("patches: [{patch: 'just text'}]", "unable to parse SM or JSON patch"),
        (
            'patches: [{target: {kind: Deployment}, patch: \'[{"op": "remove", "path": "/spec/none"}]\'}]',
            "operation 0 (remove /spec/none): Unable to remove nonexistent key: none",
        ),
        (
            "patches: [{target: {name: '('}, path: d.yaml}]",
            "unable to find patch target: error parsing regexp: missing closing )",
        ),
        ("replicas: [{name: none, count: 1}]", "no resource named 'none' is one of"),
        ("configMapGenerator: [{name: a, literals: [novalue]}]", "invalid literal source novalue, expected key=value"),
        ("configMapGenerator: [{name: a, literals: [a=1, a=2]}]", "illegally repeats the key `a`"),
        ("configMapGenerator: [{name: a, behavior: merge}]", "does not exist; cannot merge or replace"),
        ("configMapGenerator: [{literals: [a=b]}]", "must have a name"),
        (
            "replacements: [{source: {kind: None}, targets: [{select: {kind: Deployment}}]}]",
            "nothing selected by None.[noVer].[noGrp]/[noName].[noNs]",
        ),
        (
            "replacements: [{source: {kind: Deployment}, targets: [{select: {}, fieldPaths: [spec.x]}]}]",
            "unable to find field 'spec.x' in replacement target (in Deployment web, d.yaml:1)",
        ),
        (
            "vars: [{name: V, objref: {kind: Service, name: x, apiVersion: v1}}]",
            "var 'V' cannot be mapped to a field in the set of known resources",
        ),
        ("crds: [d.yaml]", "a CustomResourceDefinition belongs under `resources:`"),
        ("configurations: [d.yaml]", 'unknown field "apiVersion"'),
    ],
)
def test_a_step_that_fails_says_why(tmp_path: Path, field: str, message: str) -> None:
    found = problem(tmp_path, {"kustomization.yaml": f"resources: [d.yaml]\n{field}\n", "d.yaml": DEPLOYMENT})
    assert message in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b\n", "d.yaml:1: missing kind in object"),
        ("kind: Pod\nmetadata: {}\n", "d.yaml:1: missing metadata.name in object of kind Pod"),
        ("\n- a\n", "d.yaml:2: a manifest must be a map"),
        ("just text\n", "d.yaml:1: a manifest must be a map"),
        (DEPLOYMENT + "kind: Service\n", 'd.yaml:7: mapping key "kind" already defined in this map'),
        (DEPLOYMENT + "--- oops\na: b\n", "d.yaml:7: invalid document separator: --- oops"),
        (DEPLOYMENT + "  size: .inf\n", "Deployment web: json: unsupported value: inf"),
        (DEPLOYMENT + "  map: {8080: http}\n", 'Deployment web: the map key "8080" is not a string; quote it'),
        (DEPLOYMENT + "  size: !!int x\n", "cannot decode !!str `x` as a !!int"),
        ("kind: FooList\nitems: {a: b}\n", "d.yaml:1 FooList/items: expected a list"),
        ("a: " + "[" * 400 + "]" * 400 + "\n", "d.yaml:1: nested deeper than 300 levels"),
    ],
)
def test_a_manifest_that_is_none_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    assert message in problem(tmp_path, {"kustomization.yaml": "resources: [d.yaml]\n", "d.yaml": text})


def test_two_kustomization_files_in_one_directory_are_refused(tmp_path: Path) -> None:
    files = {"kustomization.yaml": "namespace: a\n", "kustomization.yml": "namespace: a\n"}
    assert "Found multiple kustomization files: kustomization.yaml, kustomization.yml" in problem(tmp_path, files)
    assert "unable to find one of kustomization.yaml" in problem(tmp_path / "empty", {"x": ""})
