"""What outages, policies, cycles and missing objects mean, on platforms small enough to check by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphs import deployment, graph, platform

from models.errors import InputError
from models.findings import Severity
from models.graph.analysis import cold_start_cycles, findings, single_points, taken_down_by
from models.graph.build import build_graph
from models.graph.findings import CODES
from models.graph.overrides import apply_overrides, read_overrides
from models.objects import Missing, Origin, Rendered
from models.platform import read_platform
from models.render import render_text

SHOP = (
    deployment("db", image="postgres:17", port=5432)
    + deployment("api", extra="env: [{name: DB_HOST, value: db}]")
    + deployment("hint")
    + deployment("web", extra='env: [{name: API, value: "http://api.x.svc"}, {name: HINT, value: "http://hint.x.svc"}]')
    + """
---
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: shop, namespace: x}
spec:
  routes:
    - {match: Host(`shop.org`), services: [{name: web, port: 80}]}
    - {match: Host(`api.org`), services: [{name: api, port: 80}]}
"""
)


def waits(name: str, host: str) -> str:
    return (
        deployment(name)
        + f"""
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}-app, namespace: x}}
spec:
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      initContainers: [{{name: w, image: busybox, command: [sh, -c, "until nc -z {host} 80; do sleep 1; done"]}}]
      containers: [{{name: c, image: c}}]
"""
    )


def test_lost_database_stops_what_queries_it_and_degrades_what_only_calls_that() -> None:
    impact = taken_down_by(graph(SHOP), "Deployment x/db")
    assert impact.hard_workloads == ("Deployment x/api",)
    assert impact.soft_workloads == ("Deployment x/web",)
    assert impact.hard_routes == ("api.org",)
    assert impact.soft_routes == ("shop.org",)


def test_lost_helper_degrades_one_route_and_stops_none() -> None:
    impact = taken_down_by(graph(SHOP), "Service x/hint")
    assert (impact.hard_routes, impact.soft_routes) == ((), ("shop.org",))


def test_service_with_two_workloads_survives_one() -> None:
    second = deployment("web").replace("name: web,", "name: web-2,").partition("---\napiVersion: v1")[0]
    built = graph(SHOP + second)
    assert taken_down_by(built, "Deployment x/web").hard_routes == ()
    assert taken_down_by(built, "Deployment x/web", "Deployment x/web-2").hard_routes == ("shop.org",)


def test_one_of_three_database_volumes_degrades_and_all_three_stop() -> None:
    built = graph(
        "{apiVersion: postgresql.cnpg.io/v1, kind: Cluster, metadata: {name: db, namespace: x}, spec: {instances: 3}}"
    )
    claims = [f"PersistentVolumeClaim x/db-{number}" for number in (1, 2, 3)]
    assert taken_down_by(built, claims[0]).soft_workloads == ("Cluster x/db",)
    assert taken_down_by(built, *claims).hard_workloads == ("Cluster x/db",)


def test_unknown_node_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        taken_down_by(graph(SHOP), "Deployment x/nobody")


def test_single_points_are_sorted_by_what_they_stop() -> None:
    found = single_points(graph(SHOP))
    assert [(item.node, item.impact.hard_routes) for item in found] == [
        ("Deployment x/db", ("api.org",)),
        ("Deployment x/api", ("api.org",)),
        ("Deployment x/web", ("shop.org",)),
    ]


def test_two_that_wait_for_each_other_never_start() -> None:
    built = graph(waits("a", "b") + waits("b", "a"))
    (cycle,) = cold_start_cycles(built)
    assert (cycle.nodes, cycle.blocking) == (("Deployment x/a-app", "Deployment x/b-app"), True)


def waits_and_calls(name: str, other: str) -> str:
    """A workload whose init container waits for another one, whose address its main container has as well."""
    plain = waits(name, other)
    url = f'{{name: c, image: c, env: [{{name: PEER_URL, value: "http://{other}:80/api"}}]}}'
    return plain.replace("{name: c, image: c}", url)


def test_waiting_for_each_other_is_seen_although_a_url_makes_the_edge_soft() -> None:
    built = graph(waits_and_calls("a", "b") + waits_and_calls("b", "a"))
    edge = built.edges["Deployment x/a-app", "Service x/b", "calls"]
    assert (edge["strength"], edge["startup"]) == ("soft", True)
    assert {item.rule for item in edge["evidence"]} == {"URL in variable", "command in argument"}
    (cycle,) = [item for item in cold_start_cycles(built) if item.blocking]
    assert {"Deployment x/a-app", "Deployment x/b-app"} <= set(cycle.nodes)


def test_urls_to_each_other_without_waiting_are_no_cycle() -> None:
    one = deployment("a", extra='env: [{name: PEER_URL, value: "http://b/"}]')
    two = deployment("b", extra='env: [{name: PEER_URL, value: "http://a/"}]')
    built = graph(one + two)
    assert built.edges["Deployment x/a", "Service x/b", "calls"]["startup"] is False
    assert cold_start_cycles(built) == ()


def test_an_override_that_says_soft_ends_the_wait(tmp_path: Path) -> None:
    file = tmp_path / "stowplan-graph.yaml"
    file.write_text("change:\n- {source: Deployment x/a-app, target: Service x/b, strength: soft}\n")
    built = graph(waits("a", "b") + waits("b", "a"))
    apply_overrides(built, read_overrides(file))
    assert cold_start_cycles(built) == ()


def test_waiting_in_one_direction_is_no_cycle() -> None:
    assert cold_start_cycles(graph(waits("a", "b") + deployment("b"))) == ()


def codes(text: str) -> dict[str, Severity]:
    read = platform(text)
    return {item.code: item.severity for item in findings(build_graph(read), read)}


def test_call_to_a_service_that_does_not_exist_is_an_error_and_names_the_place() -> None:
    read = platform(deployment("web", extra='env: [{name: API, value: "http://gone.x.svc:80"}]'))
    (found,) = [item for item in findings(build_graph(read), read) if item.code == "GRAPH-DANGLING"]
    assert found.severity is Severity.ERROR
    assert found.title == "no service answers the host of Deployment x/web: gone.x"
    assert (found.where.file, found.where.field) == ("stdin", "spec.containers[main].env[API]")


def test_hidden_chart_that_uses_the_name_explains_the_gap_and_one_that_is_renamed_does_not() -> None:
    from models.objects import KubeObject

    written = render_text(deployment("web", extra='env: [{name: API, value: "http://shop-api.x.svc:80"}]'))

    def read(values: dict[str, object]) -> set[str]:
        chart = Missing(
            "chart", "shop 1.0 from https://c", Origin("k.yaml", 3), "offline", release="shop", namespace="x"
        )
        chart = Missing(**{**chart.__dict__, "values": values})
        whole = read_platform(Rendered(tuple(KubeObject(i.manifest, i.origin) for i in written.objects), (chart,)))
        return {item.code for item in findings(build_graph(whole), whole)}

    assert read({}) == {"GRAPH-HIDDEN"}
    assert read({"fullnameOverride": "store"}) == {"GRAPH-HIDDEN", "GRAPH-DANGLING"}


def test_every_code_is_raised_by_some_platform() -> None:
    text = (
        SHOP
        + waits("a", "b")
        + waits("b", "a")
        + deployment("web2", extra='env: [{name: API, value: "http://gone.x.svc"}]')
        + deployment(
            "web3", "y", extra='env: [{name: API, value: "http://web.x.svc"}, {name: E, value: "http://empty.x.svc"}]'
        )
        + "".join(
            f"""
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: sharer{number}, namespace: x}}
spec:
  template:
    spec:
      containers: [{{name: c, image: c, envFrom: [{{secretRef: {{name: nobody}}}}]}}]
      volumes: [{{name: d, persistentVolumeClaim: {{claimName: data}}}}]
"""
            for number in (1, 2)
        )
        + """
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: x}
spec: {accessModes: [ReadWriteOnce]}
---
apiVersion: v1
kind: Service
metadata: {name: empty, namespace: x}
spec: {selector: {app: empty}, ports: [{port: 80}]}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: deny, namespace: x}, spec: {podSelector: {}}}
---
{apiVersion: example.org/v1, kind: Thing, metadata: {name: t, namespace: x}}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: nothing, namespace: x}
spec: {selector: {matchLabels: {app: nothing}}, endpoints: [{port: http}]}
---
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: p, namespace: x}
spec: {serviceMonitorSelector: {}}
---
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: many, namespace: x}
spec:
  routes:
    - {match: Host(`1.org`), services: [{name: db, port: 5432}]}
    - {match: Host(`2.org`), services: [{name: db, port: 5432}]}
    - {match: Host(`3.org`), services: [{name: db, port: 5432}]}
"""
    )
    written = render_text(text)
    chart = Missing("chart", "extra 1.0 from https://c", Origin("k.yaml", 3), "offline", "everything", release="extra")
    read = read_platform(Rendered(written.objects, (chart,)))
    assert {item.code for item in findings(build_graph(read), read)} == set(CODES)


def test_override_adds_removes_and_retypes(tmp_path: Path) -> None:
    file = tmp_path / "stowplan-graph.yaml"
    file.write_text(
        "add:\n- {source: Deployment x/web, target: Service x/db, kind: queries, why: by hand}\n"
        "remove:\n- {source: Deployment x/web, target: Service x/hint}\n"
        "change:\n- {source: Deployment x/web, target: Service x/api, to: queries, strength: hard}\n"
    )
    built = graph(SHOP)
    apply_overrides(built, read_overrides(file))
    found = {
        (b, str(key)) for _, b, key in built.out_edges("Deployment x/web", keys=True) if key in ("calls", "queries")
    }
    assert found == {("Service x/db", "queries"), ("Service x/api", "queries")}
    assert built.edges["Deployment x/web", "Service x/api", "queries"]["strength"] == "hard"


def test_wrong_override_names_every_mistake_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "stowplan-graph.yaml"
    file.write_text("add:\n- source: web\n  target: Service x/db\n  kind: asks\nremoved: []\n")
    with pytest.raises(InputError) as caught:
        read_overrides(file, display="stowplan-graph.yaml")
    assert [(item.where.line, item.where.field) for item in caught.value.problems] == [
        (2, "add[0].source"),
        (4, "add[0].kind"),
        (5, "removed"),
    ]


def test_override_of_an_edge_that_is_not_there_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "o.yaml"
    file.write_text("remove:\n- {source: Deployment x/web, target: Service x/db, kind: calls}\n")
    with pytest.raises(InputError, match="there is no calls from Deployment x/web to Service x/db"):
        apply_overrides(graph(SHOP), read_overrides(file, display="o.yaml"))
