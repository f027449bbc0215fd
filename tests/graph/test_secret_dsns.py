"""A DSN in a Secret tells which Service it leads to, and nothing else of it ever leaves the reader."""

from __future__ import annotations

import base64
import json
import pickle
import string
from pathlib import Path

import pytest
from graphs import deployment
from hypothesis import given, settings
from hypothesis import strategies as st

from models.graph.analysis import findings
from models.graph.build import build_graph
from models.graph.export import explain, to_dot, to_graphml, to_html, to_json, to_mermaid, to_svg
from models.objects import Dsn, Rendered
from models.platform import read_platform
from models.redact import OpenNames, dsn
from models.render import render_text, render_tree

USER, PASSWORD, PATH, QUERY = "appuser77", "hunter2secret", "orders9", "sslkey=abc123"
SECRETS = (USER, PASSWORD, PATH, QUERY, "abc123")
URL = f"postgresql+asyncpg://{USER}:{PASSWORD}@db:5432/{PATH}?{QUERY}"
KNOWN = OpenNames(frozenset({"db", "cache"}), frozenset({"x", "data"}))


def tree(kind: str = "stringData", url: str = URL) -> str:
    value = url if kind == "stringData" else base64.b64encode(url.encode()).decode()
    env = "env: [{name: DATABASE_URL, valueFrom: {secretKeyRef: {name: app, key: url}}}]"
    return (
        deployment("api", extra=env)
        + deployment("db", image="postgres:17", port=5432)
        + f"---\napiVersion: v1\nkind: Secret\nmetadata: {{name: app, namespace: x}}\n{kind}:\n  url: {value}\n"
    )


@pytest.mark.parametrize("kind", ["stringData", "data"])
def test_dsn_of_a_secret_gives_the_edge_that_a_plain_variable_would(kind: str) -> None:
    graph = build_graph(read_platform(render_text(tree(kind))))
    edge = graph.edges["Deployment x/api", "Service x/db", "queries"]
    assert (edge["strength"], edge["port"]) == ("hard", 5432)
    (item,) = edge["evidence"]
    assert item.field == f"spec.containers[main].env[DATABASE_URL] from Secret app {kind}.url"
    assert item.text == "postgresql://db:5432"


def test_secret_of_a_generator_gives_it_too(tmp_path: Path) -> None:
    plain = tree().partition("---\napiVersion: v1\nkind: Secret")[0]
    (tmp_path / "app.yaml").write_text(plain)
    (tmp_path / "kustomization.yaml").write_text(
        f"namespace: x\nresources: [app.yaml]\nsecretGenerator:\n  - name: app\n    literals: ['url={URL}']\n"
    )
    rendered = render_tree(tmp_path)
    graph = build_graph(read_platform(rendered))
    assert graph.has_edge("Deployment x/api", "Service x/db", "queries")
    assert not any(secret in repr(item.manifest) for item in rendered.objects for secret in SECRETS)


def leaks(rendered: Rendered) -> list[str]:
    """Parts of the DSN that can be found in anything that the rendered tree, the platform or the graph gives out."""
    platform = read_platform(rendered)
    graph = build_graph(platform)
    texts = [
        repr(rendered),
        repr([(item, item.manifest, item.dsns) for item in rendered.objects]),
        repr(platform.objects),
        json.dumps([item.manifest for item in rendered.objects]),
        *(write(graph) for write in (to_json, to_mermaid, to_dot, to_graphml, to_svg, to_html)),
        repr(findings(graph, platform)),
        *explain(graph, "Deployment x/api", "Service x/db"),
        pickle.dumps(rendered).decode("latin-1"),
        pickle.dumps(platform).decode("latin-1"),
        pickle.dumps(graph).decode("latin-1"),
    ]
    coded = [base64.b64encode(URL.encode()).decode()]
    return [secret for secret in (*SECRETS, *coded) if any(secret in text for text in texts)]


@pytest.mark.parametrize("kind", ["stringData", "data"])
def test_user_password_path_and_query_are_in_nothing_that_is_given_out(kind: str) -> None:
    assert leaks(render_text(tree(kind))) == []


def test_the_same_holds_for_files_and_for_a_password_with_an_at_sign(tmp_path: Path) -> None:
    url = f"postgres://{USER}:{PASSWORD}@abc123@db/{PATH}"
    (tmp_path / "app.yaml").write_text(tree(url=url))
    rendered = render_tree(tmp_path)
    (secret,) = [item for item in rendered.objects if item.kind == "Secret"]
    assert secret.dsns == ()
    assert leaks_without_edge(rendered) == []


def leaks_without_edge(rendered: Rendered) -> list[str]:
    text = (
        repr(rendered)
        + repr([item.manifest for item in rendered.objects])
        + to_json(build_graph(read_platform(rendered)))
    )
    return [secret for secret in SECRETS if secret in text]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("postgres://u:p@db:5432/app", ("postgres", "db", 5432)),
        ("redis://:p@cache/0", ("redis", "cache", None)),
        ("redis://cache", ("redis", "cache", None)),
        ("jdbc:postgresql://db.data.svc.cluster.local:5432/app", ("postgresql", "db.data.svc.cluster.local", 5432)),
        ("postgres://u:p@db-rw.data:5432/app", ("postgres", "db-rw.data", 5432)),
        ("https://hooks.example.com/T000/B000/token", None),
        ("postgres://u:p@db.elsewhere:5432/app", None),
        ("postgres://u:p@ss@db/app", None),
        ("postgres://u:pa/ss@db/app", None),
        ("postgres://u:pa?ss@db/app", None),
        ("postgres://u:p#@db/app", None),
        ("postgres://u:p@db-hunter2-rw/app", None),
        ("postgres://u:p@db:99999/app", None),
        ("postgres://u:p@db,cache/app", None),
        ("hunter2://db", None),
        ("see postgres://u:p@db:5432/app", None),
        ("hunter2", None),
        ("", None),
    ],
)
def test_only_a_whole_dsn_to_a_name_of_the_tree_is_understood(
    text: str, found: tuple[str, str, int | None] | None
) -> None:
    assert dsn(text, KNOWN) == found


@given(
    password=st.text(
        alphabet=string.ascii_letters + string.digits + "@:/?#%-._~!$&'()*+,;= \\", min_size=1, max_size=30
    ),
    user=st.text(alphabet=string.ascii_letters + "@:-", max_size=8),
)
@settings(max_examples=300, deadline=None)
def test_whatever_the_password_is_only_names_of_the_tree_are_kept(password: str, user: str) -> None:
    found = dsn(f"postgres://{user}:{password}@db:5432/app", KNOWN)
    if found is not None:
        scheme, host, _ = found
        assert scheme == "postgres"
        assert host.partition(".")[0].partition("-")[0] in ("db", "cache")


def test_a_host_outside_of_the_cluster_is_not_kept() -> None:
    rendered = render_text(tree(url="https://acme-tenant.example.com/hook"))
    assert [item.dsns for item in rendered.objects if item.kind == "Secret"] == [()]
    assert "acme-tenant" not in to_json(build_graph(read_platform(rendered)))


def test_keys_are_kept_with_the_field_and_the_port() -> None:
    (secret,) = [item for item in render_text(tree()).objects if item.kind == "Secret"]
    assert secret.dsns == (Dsn("url", "stringData.url", "postgresql", "db", 5432),)
    assert secret.manifest["stringData"] == {"url": "**REDACTED**"}
