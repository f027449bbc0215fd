"""Each kind of evidence gives the edge that a person would draw, and look-alikes give none."""

from __future__ import annotations

import pytest
from graphs import deployment, edges, graph, platform

from models.graph.hosts import Hosts
from models.graph.texts import Mention, expand, mentions

CALLS = ("calls", "queries", "caches-in", "ships-logs-to", "ships-traces-to", "ships-metrics-to", "reaches-out-to")


@pytest.mark.parametrize(
    ("text", "host", "port", "how"),
    [
        ("postgresql://user:p%40ss@db-rw.data:5432/app?sslmode=disable", "db-rw.data", 5432, "url"),
        ("jdbc:mysql://maria/app", "maria", 3306, "url"),
        ("redis://:secret@cache", "cache", 6379, "url"),
        ("endpoint: loki.monitoring.svc.cluster.local:3100", "loki.monitoring.svc.cluster.local", 3100, "cluster"),
        ("until nc -z redis 6379; do sleep 1; done", "redis", 6379, "command"),
        ("pg_isready -h db-rw -U app", "db-rw", None, "command"),
        ("wait-for-it.sh queue:5672 --", "queue", 5672, "host:port"),
        ("'host' => 'redis',", "redis", None, "key"),
    ],
)
def test_text_names_its_host(text: str, host: str, port: int | None, how: str) -> None:
    found = next(iter(mentions(text)))
    assert (found.host, found.port, found.how) == (host, port, how)


@pytest.mark.parametrize("text", ["# url: http://commented:80\n\n", "image: nginx:1.29", "12:30", "a: b"])
def test_comments_images_and_times_name_no_service(text: str) -> None:
    built = graph(deployment("commented") + deployment("nginx") + deployment("b") + _config(text))
    assert edges(built, *CALLS) == set()


def _config(text: str) -> str:
    return (
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf, namespace: x}\n"
        f"data: {{app.conf: {text!r}}}\n".replace("'", '"')
        + """
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: reader, namespace: x}
spec:
  template:
    metadata: {labels: {app: reader}}
    spec:
      containers: [{name: main, image: reader, volumeMounts: [{name: conf, mountPath: /etc/app}]}]
      volumes: [{name: conf, configMap: {name: conf}}]
"""
    )


def test_password_of_a_url_is_not_in_the_evidence() -> None:
    (found,) = mentions("postgres://app:hunter2@db:5432/app?password=hunter2")
    assert "hunter2" not in found.text
    assert found == Mention("db", 5432, "postgres", "/app?password=hunter2", "url", "postgres://db:5432/app")


def test_kubelet_and_shell_variables_are_expanded() -> None:
    assert expand("nc -z $(HOST) ${PORT} $OTHER $unknown", {"HOST": "db", "PORT": "1", "OTHER": "o"}) == (
        "nc -z db 1 o $unknown"
    )


@pytest.mark.parametrize(
    ("host", "kind", "service"),
    [
        ("api", "service", "Service x/api"),
        ("api.x", "service", "Service x/api"),
        ("api.x.svc", "service", "Service x/api"),
        ("api.x.svc.cluster.local.", "service", "Service x/api"),
        ("api-0.api.x.svc.cluster.local", "service", "Service x/api"),
        ("gone.x.svc", "missing", "Service x/gone"),
        ("gone.x", "missing", "Service x/gone"),
        ("gone", "name", ""),
        ("localhost", "local", ""),
        ("127.0.0.1", "local", ""),
        ("example.org", "external", ""),
        ("10.1.2.3", "address", ""),
        ("kubernetes.default.svc", "api", ""),
    ],
)
def test_host_means_what_cluster_dns_says(host: str, kind: str, service: str) -> None:
    found = Hosts(platform(deployment("api"))).resolve(host, "x")
    assert (found.kind, found.service_id) == (kind, service)


def test_variables_arguments_and_config_maps_give_calls_of_the_right_kind() -> None:
    built = graph(
        deployment("db", image="docker.io/library/postgres:17", port=5432)
        + deployment("cache", image="valkey/valkey:8", port=6379)
        + deployment("api", extra='env: [{name: DB_HOST, value: db}, {name: CACHE, value: "redis://cache:6379/0"}]')
        + deployment("web", extra='args: ["--backend=http://api.x.svc:80", "--listen=0.0.0.0:80"]')
    )
    assert edges(built, *CALLS) == {
        ("Deployment x/api", "Service x/db", "queries"),
        ("Deployment x/api", "Service x/cache", "caches-in"),
        ("Deployment x/web", "Service x/api", "calls"),
    }
    data = built.edges["Deployment x/api", "Service x/db", "queries"]
    assert (data["field"], data["strength"], data["line"]) == ("spec.containers[main].env[DB_HOST]", "hard", 46)


def test_own_address_localhost_and_listening_addresses_are_no_calls() -> None:
    built = graph(
        deployment(
            "api",
            extra='env: [{name: SELF, value: "http://api.x.svc"}, {name: SIDE_URL, value: "http://localhost:9000"},'
            ' {name: LISTEN_ADDR, value: "api:80"}]',
        )
    )
    assert edges(built, *CALLS) == set()


def test_host_outside_of_the_cluster_is_told_apart() -> None:
    built = graph(deployment("api", extra='env: [{name: SMTP_URL, value: "smtp://mail.example.org:587"}]'))
    assert edges(built, *CALLS) == {("Deployment x/api", "External mail.example.org:587", "reaches-out-to")}


def test_init_container_that_waits_gives_a_start_up_edge() -> None:
    built = graph(
        deployment("db", image="mariadb:11", port=3306)
        + """
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: x}
spec:
  template:
    metadata: {labels: {app: app}}
    spec:
      initContainers:
        - name: wait
          image: busybox
          env: [{name: DB, value: db}]
          command: [sh, -c, "until nc -z $DB 3306; do sleep 1; done"]
      containers: [{name: main, image: app}]
"""
    )
    data = built.edges["Deployment x/app", "Service x/db", "queries"]
    assert data["strength"] == "startup"


def test_connection_secret_of_a_database_leads_to_its_primary() -> None:
    built = graph(
        "{apiVersion: postgresql.cnpg.io/v1, kind: Cluster, metadata: {name: db, namespace: x}, spec: {instances: 1}}\n"
        + deployment("app", extra="env: [{name: URL, valueFrom: {secretKeyRef: {name: db-app, key: uri}}}]")
    )
    assert edges(built, "queries", "uses") == {
        ("Deployment x/app", "Service x/db-rw", "queries"),
        ("Deployment x/app", "Secret x/db-app", "uses"),
    }


def test_template_of_an_external_secret_is_evidence_and_its_placeholders_are_not() -> None:
    built = graph(
        """
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: app, namespace: x}
spec:
  target: {name: app-env, template: {data: {DATABASE_URL: "postgres://app:{{ .password }}@db:5432/app"}}}
"""
        + deployment("db", image="postgres:17", port=5432)
        + deployment("app", extra="envFrom: [{secretRef: {name: app-env}}]")
    )
    assert ("Deployment x/app", "Service x/db", "queries") in edges(built)
    (evidence,) = built.edges["Deployment x/app", "Service x/db", "queries"]["evidence"]
    assert evidence.text == "postgres://db:5432/app"


def test_links_of_a_start_page_and_of_dashboards_are_no_dependencies() -> None:
    built = graph(
        _config("- Sonarr: {href: http://sonarr.x.svc:80}").replace(
            "image: reader", "image: ghcr.io/gethomepage/homepage:v1"
        )
        + deployment("sonarr")
    )
    assert edges(built, *CALLS) == set()
    assert ("Deployment x/reader", "ConfigMap x/conf", "uses") in edges(built)


def test_metrics_logs_and_traces_are_told_apart() -> None:
    built = graph(
        deployment("prom", port=9090)
        + deployment("loki", image="grafana/loki:3", port=3100)
        + deployment("jaeger", image="jaegertracing/all-in-one:1", port=4317)
        + deployment(
            "alloy",
            image="grafana/alloy:v1",
            extra='args: ["http://prom:9090/api/v1/write", "http://loki:3100/loki/api/v1/push", "--otlp=jaeger:4317"]',
        )
    )
    assert edges(built, *CALLS) == {
        ("Deployment x/alloy", "Service x/prom", "ships-metrics-to"),
        ("Deployment x/alloy", "Service x/loki", "ships-logs-to"),
        ("Deployment x/alloy", "Service x/jaeger", "ships-traces-to"),
    }


def test_prometheus_configuration_file_tells_scrapes_from_alerts_and_remote_writes() -> None:
    built = graph(
        deployment("api") + deployment("alerts") + deployment("store")
        + """
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf, namespace: x}
data:
  prometheus.yml: |
    scrape_configs: [{job_name: a, static_configs: [{targets: ["api:80", "localhost:9090"]}]}]
    alerting: {alertmanagers: [{static_configs: [{targets: ["alerts:80"]}]}]}
    remote_write: [{url: "http://store:80/api/v1/write"}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: prometheus, namespace: x}
spec:
  template:
    spec:
      containers: [{name: main, image: "prom/prometheus:v3", volumeMounts: [{name: c, mountPath: /etc}]}]
      volumes: [{name: c, configMap: {name: conf}}]
"""
    )  # fmt: skip
    assert edges(built, "scrapes", *CALLS) == {
        ("Deployment x/prometheus", "Service x/api", "scrapes"),
        ("Deployment x/prometheus", "Service x/alerts", "calls"),
        ("Deployment x/prometheus", "Service x/store", "ships-metrics-to"),
    }


def test_service_monitor_counts_only_for_a_prometheus_that_selects_it() -> None:
    monitor = """
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: api, namespace: x, labels: {release: mine}}
spec: {selector: {matchLabels: {app: api}}, endpoints: [{port: http}]}
---
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: p, namespace: mon}
spec: {serviceMonitorSelector: {matchLabels: {release: RELEASE}}, serviceMonitorNamespaceSelector: {}}
"""
    chosen = graph(deployment("api") + monitor.replace("RELEASE", "mine"))
    other = graph(deployment("api") + monitor.replace("RELEASE", "other"))
    assert edges(chosen, "scrapes") == {("Prometheus mon/p", "Service x/api", "scrapes")}
    assert edges(other, "scrapes") == set()


def test_values_of_a_flux_release_are_evidence() -> None:
    built = graph(
        deployment("db", image="postgres:17", port=5432)
        + """
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: app, namespace: x}
spec: {values: {env: {DB_HOST: db, PUBLIC: "https://app.example.org"}}}
"""
    )
    assert edges(built, "queries") == {("HelmRelease x/app", "Service x/db", "queries")}


def test_variable_that_a_chart_gives_to_all_pods_counts_for_the_main_one() -> None:
    from dataclasses import replace

    from models.graph.build import build_graph
    from models.objects import KubeObject, Rendered
    from models.platform import read_platform

    env = "env: [{name: DB_HOST, value: db}]"
    written = platform(
        deployment("app-worker", extra=env)
        + deployment("app-server", extra=env)
        + deployment("db", image="postgres:17")
    )
    charted = tuple(
        KubeObject(item.manifest, replace(item.origin, provenance="chart", by="helm chart app 1"))
        if item.name.startswith("app-")
        else item
        for item in written.objects
    )
    built = build_graph(read_platform(Rendered(charted)))
    assert edges(built, "queries") == {("Deployment x/app-server", "Service x/db", "queries")}
