"""Junk in every field of a kustomization, bombs, odd files and odd paths: an error with a place, never a crash."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import InputError, Problem
from models.kustomize import build
from models.kustomize.kustomization import FIELDS, Shape
from models.kustomize.patterns import compile_pattern

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
WORKLOAD = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}, annotations: {a: b}}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: "nginx:1", env: [{name: A, value: "$(V)"}]}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: {k: v}
"""
WORDS = st.sampled_from(
    [
        "",
        "a",
        "web",
        "Deployment",
        "ConfigMap",
        "v1",
        "apps",
        "all.yaml",
        "file.txt",
        "k=v",
        "k=file.txt",
        "../x",
        "data.k",
        "spec.template.spec.containers.[name=main].image",
        "spec.[",
        "spec/selector[]/x",
        "metadata/labels",
        "*",
        "(",
        "app=web",
        "merge",
        "https://example.com/x",
        "x\0y",
        '[{"op": "add", "path": "/spec/x", "value": {"a": [1]}}]',
        '[{"op": "copy", "from": "/spec", "path": "/spec/y"}]',
        "- {op: remove, path: /spec}",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {$patch: replace, z: w}\n",
        "apiVersion: builtin\nkind: NamespaceTransformer\nmetadata: {name: t, namespace: n}\nfieldSpecs: 5\n",
        "apiVersion: builtin\nkind: ValueAddTransformer\nmetadata: {name: t}\ntargets: [{fieldPath: data/k}]\n",
    ]
)
JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 10**30), st.floats(), WORDS, st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=6,
)


def of_shape(shape: Shape, depth: int = 0) -> st.SearchStrategy[Any]:
    """A value that fits a shape, or junk in some place of it."""
    if isinstance(shape, list):
        fitting: st.SearchStrategy[Any] = st.lists(of_shape(shape[0], depth + 1), max_size=2)
    elif isinstance(shape, dict) and "*" in shape:
        fitting = st.dictionaries(WORDS, of_shape(shape["*"], depth + 1), max_size=2)
    elif isinstance(shape, dict):
        fields = {name: of_shape(inner, depth + 1) for name, inner in shape.items()}
        chosen = st.lists(st.sampled_from(sorted(fields)), max_size=4, unique=True)
        fitting = chosen.flatmap(lambda names: st.fixed_dictionaries({name: fields[name] for name in names}))
    else:
        fitting = {str: WORDS, bool: st.booleans(), int: st.integers(-2, 10**20)}.get(shape, JUNK)
    return st.one_of(fitting, fitting, fitting, JUNK) if depth else fitting


def problems_of(root: Path) -> tuple[Problem, ...]:
    """What is wrong with a root, nothing when it can be built."""
    try:
        build(root, repository=root)
    except InputError as error:
        return error.problems
    return ()


FUZZED = {name: shape for name, shape in FIELDS.items() if name not in ("apiVersion", "kind")}


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(kustomization=of_shape(FUZZED))
def test_no_field_of_a_kustomization_can_crash_the_build(kustomization: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        (root / "all.yaml").write_text(WORKLOAD, encoding="utf-8")
        (root / "file.txt").write_text("A=1\n# c\nB\n", encoding="utf-8")
        content = {"resources": ["all.yaml"], **kustomization}
        (root / "kustomization.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        assert all(problem.what and problem.where.file for problem in problems_of(root))


@settings(max_examples=300, deadline=None)
@given(target=JUNK, patch=st.dictionaries(st.sampled_from(["spec", "data", "metadata", "$patch", "items"]), JUNK))
def test_no_patch_can_crash_the_build(target: Any, patch: dict[str, Any]) -> None:
    head = {"apiVersion": "v1", "kind": "ConfigMap"}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        meta = {"name": "a"}
        resource = {**head, "metadata": meta, "spec": target}
        (root / "all.yaml").write_text(yaml.safe_dump(resource), encoding="utf-8")
        content = (
            {**patch, **head, "metadata": {**meta, **(patch.get("metadata") or {})}}
            if isinstance(patch.get("metadata"), dict | None)
            else {**patch, **head}
        )
        entry = {"patch": yaml.safe_dump(content), "target": {"kind": "ConfigMap"}}
        (root / "kustomization.yaml").write_text(
            yaml.safe_dump({"resources": ["all.yaml"], "patches": [entry], "namePrefix": "p-"}), encoding="utf-8"
        )
        assert all(problem.what for problem in problems_of(root))


def refusal(root: Path, files: dict[str, str], prepare: Callable[[Path], object] | None = None) -> str:
    """What a tree is refused with, within a few seconds."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if prepare is not None:
        prepare(root)
    start = time.monotonic()
    with pytest.raises(InputError) as caught:
        build(root, repository=root)
    assert time.monotonic() - start < 60
    return str(caught.value)


def operations(*values: dict[str, Any]) -> str:
    return json.dumps({"resources": ["a.yaml"], "patches": [{"target": {"name": "a"}, "patch": json.dumps(values)}]})


DEEP = "[" * 900 + "]" * 900
DOUBLING = [{"op": "copy", "from": "/l", "path": f"/l/x{number}"} for number in range(60)]
COPIES = [
    {
        "source": {"kind": "ConfigMap", "fieldPath": "l"},
        "targets": [{"select": {"kind": "ConfigMap"}, "fieldPaths": [f"l.x{number}"], "options": {"create": True}}],
    }
    for number in range(60)
]
LONG_PATH = {
    "source": {"kind": "ConfigMap"},
    "targets": [{"select": {"kind": "ConfigMap"}, "fieldPaths": [".".join("a" * 2000)], "options": {"create": True}}],
}


@pytest.mark.parametrize(
    ("kustomization", "message"),
    [
        ('resources: ["a\\0b"]', "'a\\x00b' is no path: embedded null byte"),
        ('configMapGenerator: [{name: a, files: ["x\\0y"]}]', "'x\\x00y' is no path: embedded null byte"),
        ("resources: [" + "a" * 5000 + "]", "does not exist"),
        ("resources: " + DEEP, "nested deeper than 300 levels"),
        ("resources: [a.yaml]\nreplicas: [{name: a, count: " + "9" * 5000 + "}]", "must be an integer"),
        (
            f"resources: [a.yaml]\npatches: [{{target: {{name: a}}, patch: '{DEEP}'}}]",
            "unable to parse SM or JSON patch",
        ),
        (operations(*DOUBLING), "the patch copies too much"),
        (operations({"op": "add", "path": "/l/99999999999", "value": 1}), "Unable to access invalid index"),
        (json.dumps({"resources": ["a.yaml"], "replacements": COPIES}), "the value has more than 1000000 nodes"),
        (json.dumps({"resources": ["a.yaml"], "replacements": [LONG_PATH]}), "nests too deeply"),
        (
            "resources: [a.yaml]\npatches: [{target: {name: '((a{1000}){1000}){1000}'}, patch: '[]'}]",
            "illegally qualifies as both",
        ),
        (
            "resources: [a.yaml]\nimages: [{name: '((a{1000}){1000}){1000}', newTag: x}]",
            "expression is too large",
        ),
        ("resources: [a.yaml]\nimages: [{name: 'a**', newTag: x}]", "invalid nested repetition operator"),
    ],
)
def test_bombs_and_odd_values_are_refused(kustomization: str, message: str, tmp_path: Path) -> None:
    kind = "l: [1]\n" if "99999" in kustomization else "l: {a: {b: c}}\n"
    assert message in refusal(tmp_path, {"kustomization.yaml": kustomization, "a.yaml": CONFIG_MAP + kind})


def test_bases_that_multiply_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("models.kustomize.state.MAX_BUILDS", 500)
    files = {"kustomization.yaml": "resources: [l0a, l0b]\n"}
    for level in range(20):
        for name in "ab":
            files[f"l{level}{name}/kustomization.yaml"] = f"resources: [../l{level + 1}a, ../l{level + 1}b]\n"
    for name in "ab":
        files[f"l20{name}/kustomization.yaml"] = "namespace: space\n"
    assert "more than 500 kustomizations are built for this one" in refusal(tmp_path, files)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda root: os.mkfifo(root / "a.yaml"), "is not a regular file"),
        (lambda root: (root / "a.yaml").symlink_to("/dev/zero"), "leads out of the repository"),
        (lambda root: (root / "a.yaml").symlink_to(root / "a.yaml"), "loop of symbolic links"),
        (lambda root: (root / "a.yaml").mkdir(), "unable to find one of kustomization.yaml"),
        (lambda root: (root / "a.yaml").write_bytes(bytes(100 * 2**20)), "104857600 bytes, more than"),
        (lambda root: (root / "a.yaml").write_bytes(b"a: \xff\n"), "the file is not UTF-8 (byte 0xff)"),
        (lambda root: (root / "a.yaml").write_bytes(b"a: \x00\n"), "control characters are not allowed"),
    ],
    ids=["fifo", "device", "loop", "folder", "100 MB", "broken UTF-8", "NUL"],
)
def test_odd_files_are_refused(prepare: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    assert message in refusal(tmp_path, {"kustomization.yaml": "resources: [a.yaml]\n"}, prepare)


def test_a_text_of_too_many_items_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("models.yamldoc.compose.MAX_NODES", 1000)
    files = {"kustomization.yaml": "resources: [a.yaml]\n", "a.yaml": "l: [" + "1," * 1100 + "]"}
    assert "a.yaml: malformed YAML: more than 1000 keys and values in one text" in refusal(tmp_path, files)


def test_a_number_that_no_type_holds_is_text_as_in_go(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [a.yaml]\n", encoding="utf-8")
    (tmp_path / "a.yaml").write_text(f"{CONFIG_MAP}data: {{a: {'9' * 20_000}}}\n", encoding="utf-8")
    (found,) = build(tmp_path, repository=tmp_path).objects
    assert found.manifest["data"] == {"a": "9" * 20_000}


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(a*)*b", "(.*a){20}$"])
def test_no_pattern_takes_exponential_time(pattern: str) -> None:
    start = time.monotonic()
    compile_pattern(pattern).search("a" * 2000 + "!")
    assert time.monotonic() - start < 10
