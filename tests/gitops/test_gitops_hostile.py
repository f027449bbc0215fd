"""Any junk in the place of any field of a GitOps object: an answer or an input error, never a crash."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import InputError
from models.gitops import render_whole

URL = "https://github.com/acme/platform"
SOURCE = {"repoURL": URL, "path": "apps", "directory": {"recurse": True}, "kustomize": {"images": ["a=b:1"]}}
CHART = {
    "repoURL": "ghcr.io/bjw-s-labs/helm",
    "chart": "app-template",
    "targetRevision": "4.4.0",
    "helm": {
        "valueFiles": ["$r/v.yaml"],
        "values": "a: 1",
        "valuesObject": {"b": 2},
        "parameters": [{"name": "c.d", "value": "1"}],
    },
}


def _object(group: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": "x", "namespace": "n"}, "spec": spec}


OBJECTS = [
    _object("argoproj.io", "Application", {"destination": {"namespace": "p"}, "source": SOURCE}),
    _object(
        "argoproj.io",
        "Application",
        {"destination": {"namespace": "p"}, "sources": [CHART, {"repoURL": URL, "ref": "r"}]},
    ),
    _object(
        "argoproj.io",
        "ApplicationSet",
        {
            "generators": [
                {"list": {"elements": [{"a": "b"}]}, "values": {"v": "1"}},
                {"git": {"repoURL": URL, "directories": [{"path": "*"}], "files": [{"path": "**/*.yaml"}]}},
                {
                    "matrix": {
                        "generators": [{"list": {"elements": [{"a": "b"}]}}, {"clusters": {"values": {"k": "v"}}}]
                    }
                },
                {"merge": {"mergeKeys": ["a"], "generators": [{"list": {"elements": [{"a": "b"}]}}]}},
            ],
            "template": {"metadata": {"name": "{{path.basename}}"}, "spec": {"source": SOURCE}},
        },
    ),
    _object(
        "kustomize.toolkit.fluxcd.io",
        "Kustomization",
        {
            "path": "./apps",
            "sourceRef": {"kind": "GitRepository", "name": "flux-system"},
            "patches": [{"target": {"kind": "ConfigMap"}, "patch": "[]"}],
            "components": ["../c"],
            "images": [{"name": "a", "newTag": "1"}],
            "commonMetadata": {"labels": {"a": "b"}, "annotations": {"a": "b"}},
            "postBuild": {"substitute": {"A": "1"}, "substituteFrom": [{"kind": "ConfigMap", "name": "m"}]},
        },
    ),
    _object(
        "helm.toolkit.fluxcd.io",
        "HelmRelease",
        {
            "chart": {
                "spec": {"chart": "reflector", "version": "1.0", "sourceRef": {"kind": "HelmRepository", "name": "r"}}
            },
            "values": {"replicaCount": 2},
            "valuesFrom": [{"kind": "ConfigMap", "name": "m", "valuesKey": "k", "targetPath": "a.b"}],
            "postRenderers": [{"kustomize": {"patches": [{"patch": "x"}], "images": [{"name": "a"}]}}],
            "install": {"crds": "Skip"},
        },
    ),
]
JUNK = st.sampled_from(
    [None, 5, True, "text", "../../..", "{{", "${", [], {}, [5], [[]], {"a": 5}, {"5": [None]}, [{"a": []}]]
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in entries:
        yield (*path, key)
        yield from _places(item, (*path, key))


@st.composite
def spoiled(draw: st.DrawFn) -> dict[str, Any]:
    item = copy.deepcopy(draw(st.sampled_from(OBJECTS)))
    for place in draw(st.lists(st.sampled_from(list(_places(item["spec"], ("spec",)))), min_size=1, max_size=3)):
        target: Any = item
        try:
            for key in place[:-1]:
                target = target[key]
            target[place[-1]] = draw(JUNK)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    return item


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(item=spoiled())
def test_no_field_of_a_gitops_object_can_crash_the_reader(item: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "apps").mkdir()
        (root / "apps" / "map.yaml").write_text(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {k: '1'}\n"
        )
        (root / "object.yaml").write_text(yaml.safe_dump(item))
        try:
            rendered = render_whole(root / "object.yaml", repository=root, cache=root / "none")
        except InputError:
            return
        assert rendered.objects
