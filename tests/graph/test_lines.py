"""Every piece of evidence names the line of its own field."""

from __future__ import annotations

import pickle
from pathlib import Path

from models.graph.analysis import findings
from models.graph.build import build_graph
from models.graph.export import explain
from models.platform import read_platform
from models.render import render_text, render_tree
from models.yamldoc.lines import Lines, marks

APP = """\
# the shop
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
  namespace: x
spec:
  selector:
    matchLabels: {app: shop}
  template:
    metadata:
      labels: {app: shop}
    spec:
      initContainers:
        - name: wait
          image: busybox
          command: [sh, -c, "until nc -z db 5432; do sleep 1; done"]
      containers:
        - name: main
          image: shop
          env:
            - name: COLOUR
              value: blue
            - name: DB_HOST
              value: db
          envFrom:
            - configMapRef:
                name: settings
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: x}
data:
  colour: blue
  CACHE_URL: redis://cache:6379
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: x}
spec:
  ports: [{port: 5432}]
  selector:
    app: nothing
---
apiVersion: v1
kind: Service
metadata: {name: cache, namespace: x}
spec: {ports: [{port: 6379}]}
"""


def line(text: str) -> int:
    """The line of the only place in the file that begins with ``text``."""
    (found,) = [number for number, content in enumerate(APP.splitlines(), 1) if content.strip().startswith(text)]
    return found


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def test_an_edge_has_the_line_of_its_variable_and_every_other_evidence_its_own(tmp_path: Path) -> None:
    graph = build_graph(read_platform(render_tree(write(tmp_path, app=APP))))
    edge = graph.edges["Deployment x/shop", "Service x/db", "queries"]
    assert {(item.field, item.origin.line) for item in edge["evidence"]} == {
        ("spec.containers[main].env[DB_HOST]", line("- name: DB_HOST")),
        ("spec.initContainers[wait].command", line("command:")),
    }
    assert explain(graph, "Deployment x/shop", "Service x/db")[1:] == [
        "    app.yaml:17 spec.initContainers[wait].command [command in argument]: nc -z db 5432",
        "    app.yaml:24 spec.containers[main].env[DB_HOST] [host name in variable]: DB_HOST=db",
    ]


def test_what_is_read_from_a_config_map_has_the_line_of_the_key_there(tmp_path: Path) -> None:
    graph = build_graph(read_platform(render_tree(write(tmp_path, app=APP))))
    edge = graph.edges["Deployment x/shop", "Service x/cache", "caches-in"]
    assert (edge["file"], edge["line"]) == ("app.yaml", line("CACHE_URL:"))
    uses = graph.edges["Deployment x/shop", "ConfigMap x/settings", "uses"]
    assert uses["line"] == line("- configMapRef:")


def test_a_text_that_was_never_a_file_has_lines_too() -> None:
    graph = build_graph(read_platform(render_text(APP)))
    assert graph.edges["Deployment x/shop", "Service x/cache", "caches-in"]["line"] == line("CACHE_URL:")


def test_a_field_that_a_patch_added_has_the_line_of_what_holds_it_in_the_base(tmp_path: Path) -> None:
    patch = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, namespace: x}
spec:
  template:
    spec:
      containers:
        - name: main
          env:
            - {name: CACHE_HOST, value: cache}
"""
    kustomization = "resources: [app.yaml]\npatches: [{path: patch.yaml}]\n"
    folder = write(tmp_path, app=APP, patch=patch, kustomization=kustomization)
    graph = build_graph(read_platform(render_tree(folder)))
    held = graph.edges["Deployment x/shop", "Service x/cache", "caches-in"]["evidence"]
    assert {(item.field, item.origin.line) for item in held} == {
        ("spec.containers[main].env[CACHE_HOST]", line("env:")),
        ("spec.containers[main].envFrom[0] from ConfigMap settings data.CACHE_URL", line("CACHE_URL:")),
    }


def test_findings_name_the_line_of_the_field(tmp_path: Path) -> None:
    platform = read_platform(render_tree(write(tmp_path, app=APP)))
    graph = build_graph(platform)
    (found,) = [item for item in findings(graph, platform) if item.code == "GRAPH-NO-ENDPOINTS"]
    assert str(found.where) == "app.yaml:42 spec.selector"
    assert APP.splitlines()[41].strip() == "selector:"


def test_inline_values_of_a_chart_have_the_line_of_the_value_in_the_kustomization(tmp_path: Path) -> None:
    kustomization = """\
namespace: x
resources: [app.yaml]
helmCharts:
  - name: unheard-of
    repo: https://charts.example.org
    version: 1.0.0
    valuesInline:
      database:
        host: db.x.svc.cluster.local
"""
    graph = build_graph(read_platform(render_tree(write(tmp_path, app=APP, kustomization=kustomization))))
    edge = graph.edges["Chart x/unheard-of", "Service x/db", "queries"]
    assert (edge["file"], edge["line"]) == ("kustomization.yaml", 9)


def test_items_of_a_list_are_found_by_place_or_name_and_keys_may_hold_dots() -> None:
    (top,) = marks("a:\n  nginx.conf: x\n  list:\n    - name: one\n      b: 1\n    - name: two\n      b: 2\n", "f")
    assert [top.find(path)[0].line for path in ("a.nginx.conf", "a.list[1].b", "a.list[one].b", "a.list[two]")] == [
        2,
        7,
        5,
        6,
    ]
    assert top.find("a.list[three].b") == (top.keys["a"].keys["list"], "[three].b")


def test_lines_keep_no_values_of_a_secret(tmp_path: Path) -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: x}\nstringData: {password: hunter2}\n"
    folder = write(tmp_path, secret=secret)
    for rendered in (render_tree(folder), render_text(secret)):
        file = rendered.objects[0].origin.file
        assert rendered.lines.line_of(file, 1, "stringData.password") == 4
        assert b"hunter2" not in pickle.dumps(rendered)
        assert "hunter2" not in repr(rendered.lines._read)


def test_a_file_that_is_gone_leaves_the_line_of_the_object() -> None:
    assert Lines(("/nowhere",)).line_of("app.yaml", 7, "spec.replicas") == 7
