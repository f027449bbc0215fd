"""Every form of the graph can be read back by the tool it is for, and says the same."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from xml.etree import ElementTree

import jsonschema
import networkx as nx
import pytest
from graphs import deployment, edges, graph

from models.graph.build import build_graph
from models.graph.export import explain, filtered, layered, to_dot, to_graphml, to_html, to_json, to_mermaid, to_svg
from models.graph.schema import json_schema
from models.objects import KubeObject, Missing, Origin, Rendered
from models.platform import read_platform
from models.render import render_text

TEXT = (
    deployment("db", image="postgres:17", port=5432)
    + deployment("api", extra='env: [{name: DB_HOST, value: db}, {name: "ODD", value: "http://other.y.svc/<&\\">"}]')
    + deployment("other", "y")
)


def test_json_holds_every_node_and_edge_once_and_is_the_same_twice() -> None:
    built = graph(TEXT)
    document = json.loads(to_json(built))
    assert document["schema"] == "stowplan/graph/v1"
    assert [item["id"] for item in document["nodes"]] == sorted(built)
    assert len(document["edges"]) == built.number_of_edges()
    assert to_json(graph(TEXT)) == to_json(built)
    (edge,) = [item for item in document["edges"] if item["kind"] == "queries"]
    assert (edge["source"], edge["target"], edge["port"]) == ("Deployment x/api", "Service x/db", 5432)
    assert edge["evidence"][0]["field"] == "spec.containers[main].env[DB_HOST]"


def test_graphml_is_read_back_by_networkx() -> None:
    built = graph(TEXT)
    again = nx.read_graphml(io.BytesIO(to_graphml(built).encode()), force_multigraph=True)
    assert set(again) == set(built)
    assert again.number_of_edges() == built.number_of_edges()


def test_svg_and_page_are_well_formed_and_load_nothing() -> None:
    built = graph(TEXT)
    picture = ElementTree.fromstring(to_svg(built))
    boxes = [item for item in picture.iter("{http://www.w3.org/2000/svg}g") if item.get("data-id")]
    assert {item.get("data-id") for item in boxes} == {
        "Deployment x/api", "Deployment x/db", "Deployment y/other", "Service x/api", "Service x/db", "Service y/other",
    }  # fmt: skip
    page = to_html(built)
    outside = re.findall(r"(?:src|href|@import|url\()\s*=?\s*[\"']?(https?:[^\"')\s]+)", page)
    assert outside == []
    assert "%SVG%" not in page


def test_mermaid_and_dot_have_a_line_per_edge_and_quote_what_they_must() -> None:
    built = graph(TEXT)
    shown = len(edges(built, "selects", "queries", "calls"))
    assert len(re.findall(r"^  n\d+ \S+\|", to_mermaid(built), re.MULTILINE)) == shown
    dot = to_dot(built)
    assert dot.count(" -> ") == shown
    assert dot.count("{") == dot.count("}")


def test_filters_keep_a_namespace_and_a_role() -> None:
    built = graph(TEXT)
    assert {data["namespace"] for _, data in filtered(built, namespaces={"x"}).nodes(data=True)} == {"x"}
    assert {data["role"] for _, data in filtered(built, kinds={"Service"}).nodes(data=True)} == {"Service"}
    assert set(filtered(built, edge_kinds={"queries"}, isolated=False)) == {"Deployment x/api", "Service x/db"}


def test_no_two_boxes_lie_on_each_other_and_edges_of_a_tree_go_right() -> None:
    built = filtered(graph(TEXT), edge_kinds={"selects", "queries", "calls"}, isolated=False)
    places = layered(built)
    assert len({(item.column, item.row) for item in places.values()}) == len(places)
    assert all(places[a].column < places[b].column for a, b in built.edges())


def test_explanation_gives_the_place_the_field_and_the_text() -> None:
    lines = explain(graph(TEXT), "Deployment x/api", "Service x/db")
    assert lines[0] == "Deployment x/api queries Service x/db (hard, confidence 0.63)"
    assert lines[1] == "    stdin:29 spec.containers[main].env[DB_HOST] [host name in variable]: DB_HOST=db"


def test_explanation_follows_a_chain_and_says_nothing_where_there_is_none() -> None:
    built = graph(TEXT)
    chain = [line for line in explain(built, "Deployment x/api", "Deployment x/db") if not line.startswith(" ")]
    assert [line.split(" (")[0] for line in chain] == [
        "Deployment x/api queries Service x/db",
        "Service x/db selects Deployment x/db",
    ]
    assert explain(built, "Deployment x/db", "Deployment x/api") == []
    with pytest.raises(KeyError):
        explain(built, "Deployment x/db", "nobody")


# --- what is modelled or missing

MODELLED = "chart catalogue: redis 20.0"


def partial() -> nx.MultiDiGraph[str]:
    """A graph with a modelled cache, a chart that nobody knows, and a Service that nothing makes."""
    text = deployment(
        "api", extra='env: [{name: A, value: "redis://cache:6379"}, {name: B, value: "http://gone.y.svc"}]'
    )
    written = render_text(text).objects
    modelled = [
        KubeObject(item.manifest, Origin("k.yaml", 4, "modelled", MODELLED))
        for item in render_text(deployment("cache", image="redis", port=6379)).objects
    ]
    missing = (
        Missing("chart", "redis 20.0", Origin("k.yaml", 4), "offline", "at least its exporter", modelled=True),
        Missing("chart", "strange 1.0", Origin("k.yaml", 9), "offline", "all", release="odd", namespace="x"),
    )
    return build_graph(read_platform(Rendered((*written, *modelled), missing)))


def test_json_lists_what_could_not_be_had_and_says_of_every_node_how_it_was_seen() -> None:
    document = json.loads(to_json(filtered(partial(), namespaces=["x"], kinds=["Deployment"])))
    assert document["missing"] == [
        {
            "kind": "chart", "what": "redis 20.0", "release": "", "namespace": "", "file": "k.yaml", "line": 4,
            "reason": "offline", "hides": "at least its exporter", "modelled": True,
        },
        {
            "kind": "chart", "what": "strange 1.0", "release": "odd", "namespace": "x", "file": "k.yaml", "line": 9,
            "reason": "offline", "hides": "all", "modelled": False,
        },
    ]  # fmt: skip
    assert document["hidden"] == {
        "charts": 1,
        "workloads": 1,
        "modelled": 1,
        "others": 0,
        "sentence": "At least 1 workload of 1 chart is not in these numbers; 1 chart is modelled and may run more.",
    }
    whole = {item["id"]: item["seen"] for item in json.loads(to_json(partial()))["nodes"]}
    assert whole["Deployment x/api"] == "written"
    assert whole["Deployment x/cache"] == whole["Service x/cache"] == "modelled"
    assert whole["Chart x/odd"] == whole["Service y/gone"] == "missing"


def test_json_of_the_graph_has_the_declared_form() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    for built in (graph(TEXT), partial()):
        jsonschema.validate(json.loads(to_json(built)), json_schema())
    document = json.loads(to_json(partial()))
    del document["missing"]
    with pytest.raises(jsonschema.ValidationError, match="'missing' is a required property"):
        jsonschema.validate(document, json_schema())


@pytest.mark.parametrize("write", [to_mermaid, to_dot, to_svg, to_html])
def test_every_picture_marks_what_is_modelled_and_says_what_is_hidden(
    write: Callable[[nx.MultiDiGraph[str]], str],
) -> None:
    text = write(partial())
    assert "cache †" in text
    assert "gone ‡" in text
    assert "api †" not in text
    assert "† modelled from the chart catalogue" in text
    assert "At least 1 workload of 1 chart is not in these numbers" in text
    assert "†" not in write(graph(TEXT))


def test_the_page_lists_what_could_not_be_read() -> None:
    page = to_html(partial())
    assert "<summary>2 things of the tree could not be read</summary>" in page
    assert "strange 1.0" in page
