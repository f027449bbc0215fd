"""What operators' resources, aliases and proxies lead to; expectations from the operators' own documentation."""

from __future__ import annotations

import pytest
from graphs import deployment, edges, graph, platform

from models.graph.analysis import cold_start_cycles, taken_down_by
from models.graph.routes import entry_routes
from models.graph.texts import expand, mentions

CNPG = """
---
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {name: pg, namespace: x}
spec:
  instances: 2
  storage: {size: 1Gi}
  walStorage: {size: 2Gi}
  monitoring: {enablePodMonitor: true}
  managed:
    services:
      additional: [{selectorType: rw, serviceTemplate: {metadata: {name: pg-lan}, spec: {type: LoadBalancer}}}]
  backup: {barmanObjectStore: {destinationPath: "s3://b/", endpointURL: "http://minio.x.svc:9000"}}
  externalClusters:
    - {name: old, connectionParameters: {host: old-rw.y, user: u}, password: {name: old-password, key: p}}
  bootstrap: {pg_basebackup: {source: old}}
---
apiVersion: postgresql.cnpg.io/v1
kind: Pooler
metadata: {name: pool, namespace: x}
spec: {cluster: {name: pg}, instances: 2, type: ro, pgbouncer: {poolMode: session}}
---
apiVersion: postgresql.cnpg.io/v1
kind: ScheduledBackup
metadata: {name: daily, namespace: x}
spec: {schedule: "0 0 3 * * *", cluster: {name: pg}}
"""


def test_pooler_queries_the_service_of_its_type_and_is_down_with_the_cluster() -> None:
    built = graph(CNPG)
    assert edges(built, "queries") >= {("Pooler x/pool", "Service x/pg-ro", "queries")}
    assert "Pooler x/pool" in taken_down_by(built, "Cluster x/pg").hard_workloads


def test_pooler_of_a_cluster_that_is_not_there_is_dangling() -> None:
    built = graph(CNPG[CNPG.index("---\napiVersion: postgresql.cnpg.io/v1\nkind: Pooler") :])
    assert {(item.source, item.target) for item in built.graph["dangling"]} >= {("Pooler x/pool", "Service x/pg-ro")}


def test_database_sends_its_backups_to_the_store_and_was_filled_from_the_external_cluster() -> None:
    old = "---\napiVersion: v1\nkind: Service\nmetadata: {name: old-rw, namespace: y}\nspec: {ports: [{port: 5432}]}\n"
    built = graph(CNPG + deployment("minio", port=9000) + old)
    store = built.edges["Cluster x/pg", "Service x/minio", "calls"]
    assert (store["strength"], store["port"]) == ("soft", 9000)
    source = built.edges["Cluster x/pg", "Service y/old-rw", "queries"]
    assert (source["strength"], source["startup"]) == ("startup", True)
    assert ("Cluster x/pg", "Secret x/old-password", "uses") in edges(built)
    assert built.nodes["ScheduledBackup x/daily"]["schedule"] == "0 0 3 * * *"
    assert edges(built, "backs-up") == {("ScheduledBackup x/daily", "Cluster x/pg", "backs-up")}


def test_replica_cluster_follows_its_source_all_the_time_and_goes_on_without_it() -> None:
    follows = CNPG.replace("  instances: 2\n", "  instances: 2\n  replica: {enabled: true, source: old}\n", 1)
    old = "---\napiVersion: v1\nkind: Service\nmetadata: {name: old-rw, namespace: y}\nspec: {ports: [{port: 5432}]}\n"
    assert graph(follows + old).edges["Cluster x/pg", "Service y/old-rw", "queries"]["strength"] == "soft"


def test_backup_store_of_the_barman_plugin_is_read_from_its_object() -> None:
    text = """
---
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {name: pg, namespace: x}
spec:
  storage: {size: 1Gi}
  plugins: [{name: barman-cloud.cloudnative-pg.io, isWALArchiver: true, parameters: {barmanObjectName: store}}]
---
apiVersion: barmancloud.cnpg.io/v1
kind: ObjectStore
metadata: {name: store, namespace: x}
spec: {configuration: {destinationPath: "s3://b/", endpointURL: "https://minio.x.svc.cluster.local:9000"}}
"""
    assert ("Cluster x/pg", "Service x/minio", "calls") in edges(graph(text + deployment("minio", port=9000)))


def test_cluster_and_pooler_have_the_objects_that_the_operator_makes() -> None:
    read = platform(CNPG)
    assert {item.name for item in read.services} == {"pg-rw", "pg-ro", "pg-r", "pg-lan", "pool"}
    assert {item.name for item in read.claims} == {"pg-1", "pg-1-wal", "pg-2", "pg-2-wal"}
    assert [item.name for item in read.by_kind("PodMonitor")] == ["pg"]
    assert {item.id: item.replicas for item in read.workloads} == {"Cluster x/pg": 2, "Deployment x/pool": 2}


PROMETHEUS = """
---
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: p, namespace: x}
spec:
  podMonitorSelector: {}
  scrapeConfigSelector: {}
  probeSelector: {}
  remoteWrite: [{url: "http://mimir.x.svc/api/v1/push"}, {url: "https://metrics.example.com/push"}]
  remoteRead: [{url: "http://mimir.x.svc/prometheus/api/v1/read"}]
"""


def test_prometheus_pushes_to_where_remote_write_says() -> None:
    found = edges(graph(PROMETHEUS + deployment("mimir")), "ships-metrics-to", "reaches-out-to", "calls")
    assert found == {
        ("Prometheus x/p", "Service x/mimir", "ships-metrics-to"),
        ("Prometheus x/p", "Service x/mimir", "calls"),
        ("Prometheus x/p", "External metrics.example.com:443", "reaches-out-to"),
    }


def test_scrape_config_names_its_targets() -> None:
    text = """
---
apiVersion: monitoring.coreos.com/v1alpha1
kind: ScrapeConfig
metadata: {name: s, namespace: x}
spec: {staticConfigs: [{targets: ["api:80", "gone.x.svc:80", "192.168.1.9:9100"]}]}
"""
    built = graph(PROMETHEUS + deployment("api") + text)
    assert edges(built, "scrapes") == {
        ("Prometheus x/p", "Service x/api", "scrapes"),
        ("Prometheus x/p", "Service x/gone", "scrapes"),
    }
    assert ("Prometheus x/p", "External 192.168.1.9:9100", "reaches-out-to") not in edges(built, "scrapes")
    assert [item.target for item in built.graph["dangling"] if "gone" in item.target] == ["Service x/gone"]


def test_probe_is_scraped_at_its_prober_which_calls_the_targets() -> None:
    text = """
---
apiVersion: monitoring.coreos.com/v1
kind: Probe
metadata: {name: pr, namespace: x}
spec: {prober: {url: "blackbox:9115"}, targets: {staticConfig: {static: ["http://api.x.svc/health"]}}}
"""
    built = graph(PROMETHEUS + deployment("api") + deployment("blackbox", port=9115) + text)
    assert edges(built, "scrapes") == {("Prometheus x/p", "Service x/blackbox", "scrapes")}
    assert ("Deployment x/blackbox", "Service x/api", "calls") in edges(built)


@pytest.mark.parametrize(("port", "found"), [("http", True), ("metrics", False)])
def test_pod_monitor_scrapes_only_pods_that_have_a_port_of_that_name(port: str, found: bool) -> None:
    text = f"""
---
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {{name: m, namespace: x}}
spec: {{selector: {{matchLabels: {{app: api}}}}, podMetricsEndpoints: [{{port: {port}}}]}}
"""
    scraped = ("Prometheus x/p", "Deployment x/api", "scrapes") in edges(graph(PROMETHEUS + deployment("api") + text))
    assert scraped is found


def test_sentinels_watch_their_replication() -> None:
    text = """
---
apiVersion: redis.redis.opstreelabs.in/v1beta2
kind: RedisReplication
metadata: {name: rr, namespace: x}
spec: {clusterSize: 3, kubernetesConfig: {image: redis}}
---
apiVersion: redis.redis.opstreelabs.in/v1beta2
kind: RedisSentinel
metadata: {name: rs, namespace: x}
spec: {clusterSize: 3, redisSentinelConfig: {redisReplicationName: rr}, kubernetesConfig: {image: sentinel}}
"""
    assert edges(graph(text), "calls") == {("RedisSentinel x/rs", "Service x/rr", "calls")}


ALIAS = """
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: x}
spec: {type: ExternalName, externalName: pg.data.svc.cluster.local}
"""


def test_external_name_is_followed_to_the_database_behind_it() -> None:
    text = deployment("app", extra="env: [{name: DB_HOST, value: db}]") + ALIAS
    built = graph(text + deployment("pg", "data", image="postgres:17", port=5432))
    assert edges(built, "queries", "routes-to") == {
        ("Deployment x/app", "Service x/db", "queries"),
        ("Service x/db", "Service data/pg", "routes-to"),
    }
    assert taken_down_by(built, "Deployment data/pg").hard_workloads == ("Deployment x/app",)
    assert ("Service x/db", "Service data/pg") in {(item.source, item.target) for item in graph(text).graph["dangling"]}


def test_a_wait_through_an_external_name_is_part_of_a_cycle() -> None:
    wait = "initContainers: [{name: w, image: b, command: [sh, -c, 'until nc -z db 5432; do sleep 1; done']}]"
    back = wait.replace("nc -z db 5432", "nc -z app.x 80")
    one = deployment("app").replace("      containers:", f"      {wait}\n      containers:")
    two = deployment("pg", "data", port=5432).replace("      containers:", f"      {back}\n      containers:")
    (cycle,) = cold_start_cycles(graph(one + two + ALIAS))
    assert (cycle.blocking, cycle.nodes) == (True, ("Deployment data/pg", "Deployment x/app"))


def test_services_without_pods_lead_to_the_hosts_that_are_written_by_hand() -> None:
    text = """
---
apiVersion: v1
kind: Service
metadata: {name: nas, namespace: x}
spec: {ports: [{port: 2049}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: nas, namespace: x}
subsets: [{addresses: [{ip: 192.168.1.9}], ports: [{port: 2049}]}]
---
apiVersion: v1
kind: Service
metadata: {name: printer, namespace: x}
spec: {ports: [{port: 631}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: printer-1, namespace: x, labels: {kubernetes.io/service-name: printer}}
ports: [{port: 631}]
endpoints: [{addresses: [192.168.1.7]}]
---
apiVersion: v1
kind: Service
metadata: {name: mail, namespace: x}
spec: {type: ExternalName, externalName: smtp.example.com}
"""
    assert edges(graph(text), "reaches-out-to") == {
        ("Service x/nas", "External 192.168.1.9:2049", "reaches-out-to"),
        ("Service x/printer", "External 192.168.1.7:631", "reaches-out-to"),
        ("Service x/mail", "External smtp.example.com", "reaches-out-to"),
    }


GATEWAY = """
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: net}
spec:
  gatewayClassName: cilium
  listeners:
    - {name: pg, port: 5432, protocol: TCP}
    - {name: dns, port: 53, protocol: UDP}
    - {name: tls, port: 443, protocol: TLS, hostname: "*.e.org"}
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: pg, namespace: x}
spec: {parentRefs: [{name: gw, namespace: net, sectionName: pg}], rules: [{backendRefs: [{name: a, port: 80}]}]}
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: UDPRoute
metadata: {name: dns, namespace: x}
spec: {parentRefs: [{name: gw, namespace: net, sectionName: dns}], rules: [{backendRefs: [{name: b, port: 80}]}]}
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TLSRoute
metadata: {name: tls, namespace: x}
spec:
  parentRefs: [{name: gw, namespace: net, sectionName: tls}]
  hostnames: [t.e.org]
  rules: [{backendRefs: [{name: a, port: 80, weight: 3}, {name: b, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: grpc, namespace: x}
spec:
  parentRefs: [{name: gw, namespace: net}]
  hostnames: [g.e.org]
  rules:
    - filters: [{type: RequestMirror, requestMirror: {backendRef: {name: b, port: 80}, percent: 10}}]
      backendRefs: [{name: a, port: 80}]
"""


def test_every_kind_of_gateway_route_has_an_id_a_protocol_and_its_backends() -> None:
    found = {
        item.id: (item.protocol, [(end.service, end.weight) for end in item.backends])
        for item in entry_routes(platform(deployment("a") + deployment("b") + GATEWAY))
    }
    assert found == {
        "tcp:pg": ("tcp", [("Service x/a", 1.0)]),
        "udp:dns": ("udp", [("Service x/b", 1.0)]),
        "t.e.org": ("tcp", [("Service x/a", 3.0), ("Service x/b", 1.0)]),
        "g.e.org": ("http", [("Service x/a", 1.0)]),
    }


def test_a_mirror_gets_a_soft_edge_and_does_not_keep_the_route_alive() -> None:
    built = graph(deployment("a") + deployment("b") + GATEWAY)
    mirrored = built.edges["GRPCRoute x/grpc", "Service x/b", "routes-to"]
    assert (mirrored["rule"], mirrored["strength"]) == ("mirror", "soft")
    assert "g.e.org" in taken_down_by(built, "Deployment x/a").hard_routes
    assert "g.e.org" not in taken_down_by(built, "Deployment x/b").soft_routes


TRAEFIK = """
---
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: shop, namespace: x}
spec: {routes: [{match: Host(`shop.e.org`), services: [{name: canary, kind: TraefikService}]}]}
---
apiVersion: traefik.io/v1alpha1
kind: TraefikService
metadata: {name: canary, namespace: x}
spec: {weighted: {services: [{name: a, port: 80, weight: 3}, {name: copy, kind: TraefikService, weight: 1}]}}
---
apiVersion: traefik.io/v1alpha1
kind: TraefikService
metadata: {name: copy, namespace: x}
spec: {mirroring: {name: b, port: 80, mirrors: [{name: c, port: 80, percent: 20}, {name: gone, kind: TraefikService}]}}
"""


def test_traefik_services_share_by_weight_and_mirror_beside_it() -> None:
    text = deployment("a") + deployment("b") + deployment("c") + TRAEFIK
    (route,) = entry_routes(platform(text))
    assert [(end.service, end.weight) for end in route.backends] == [("Service x/a", 0.75), ("Service x/b", 0.25)]
    assert [(end.service, end.weight) for end in route.mirrors] == [("Service x/c", 0.05)]
    built = graph(text)
    missing = {(item.source, item.target) for item in built.graph["dangling"]}
    assert ("TraefikService x/copy", "TraefikService x/gone") in missing


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ('until nc -z "db" 5432; do sleep 1; done', "db", 5432),
        ("nc -z -w3 'db' 5432", "db", 5432),
        ('pg_isready -h "db" -p 5432', "db", None),
        ("while ! nc -vz db.x.svc.cluster.local. 5432; do :; done", "db.x.svc.cluster.local", 5432),
        ("until host db; do sleep 1; done", "db", None),
        ("telnet db 5432", "db", 5432),
        ("until (echo > /dev/tcp/db/5432) 2>/dev/null; do sleep 1; done", "db", 5432),
    ],
)
def test_commands_that_wait_name_their_host(text: str, host: str, port: int | None) -> None:
    found = next(iter(mentions(text)))
    assert (found.host, found.port) == (host, port)


def test_default_of_a_shell_variable_counts_while_nothing_sets_it() -> None:
    assert expand("nc -z ${DB_HOST:-db} ${DB_PORT-5432}", {}) == "nc -z db 5432"
    assert expand("nc -z ${DB_HOST:-db} $DB_PORT", {"DB_HOST": "pg", "DB_PORT": "1"}) == "nc -z pg 1"


@pytest.mark.parametrize(
    "extra",
    [
        'env: [{name: API_URL, value: "http://gone:3000/v1"}]',
        'env: [{name: KAFKA_BROKERS, value: "gone:9092"}]',
        "env: [{name: DB_HOST, value: gone}]",
    ],
)
def test_host_in_a_variable_that_nothing_serves_is_dangling(extra: str) -> None:
    (item,) = graph(deployment("app", extra=extra)).graph["dangling"]
    assert (item.source, item.target) == ("Deployment x/app", "Service x/gone")


def test_host_that_an_init_container_waits_for_and_nothing_serves_is_dangling() -> None:
    wait = "initContainers: [{name: w, image: b, command: [sh, -c, 'until nc -z gone 80; do sleep 1; done']}]"
    built = graph(deployment("app").replace("      containers:", f"      {wait}\n      containers:"))
    assert [item.target for item in built.graph["dangling"]] == ["Service x/gone"]


@pytest.mark.parametrize(
    "extra", ['env: [{name: IMAGE, value: "nginx:1"}]', 'env: [{name: TITLE, value: "see http://wiki/"}]']
)
def test_other_texts_of_a_variable_are_no_dangling_hosts(extra: str) -> None:
    assert graph(deployment("app", extra=extra)).graph["dangling"] == ()


def test_suspended_cron_job_runs_nothing() -> None:
    text = """
apiVersion: batch/v1
kind: CronJob
metadata: {name: c, namespace: x}
spec: {schedule: "* * * * *", suspend: true, jobTemplate: {spec: {template: {spec: {containers: [{name: a}]}}}}}
"""
    (workload,) = platform(text).workloads
    assert workload.replicas == 0


def balanced(name: str, namespace: str = "x", labels: str = "") -> str:
    return f"""
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}, labels: {{{labels}}}}}
spec: {{type: LoadBalancer, ports: [{{port: 80}}]}}
"""


def addresses(text: str) -> dict[str, tuple[str, ...]]:
    return {key.name: found for key, found in platform(text).load_balancer_addresses.items()}


def metallb(spec: str, name: str = "pool") -> str:
    return (
        f"\n---\napiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {{name: {name}, namespace: m}}\n"
        f"spec: {spec}\n"
    )


def cilium_pool(spec: str) -> str:
    return (
        f"\n---\napiVersion: cilium.io/v2alpha1\nkind: CiliumLoadBalancerIPPool\nmetadata: {{name: p}}\nspec: {spec}\n"
    )


SPACE = "\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: x, labels: {tier: edge}}\n"


@pytest.mark.parametrize(
    ("pools", "address"),
    [
        (metallb("{addresses: [10.0.0.0/24]}"), "10.0.0.0"),
        (metallb("{addresses: [10.0.0.0/24], avoidBuggyIPs: true}"), "10.0.0.1"),
        (metallb("{addresses: [10.0.0.9-10.0.0.12]}"), "10.0.0.9"),
        (
            metallb("{addresses: [10.0.0.1/32]}", "b")
            + metallb("{addresses: [10.9.0.1/32], serviceAllocation: {priority: 5}}", "z"),
            "10.9.0.1",
        ),
        (
            metallb(
                "{addresses: [10.0.0.1/32], serviceAllocation: {namespaceSelectors: [{matchLabels: {tier: edge}}]}}"
            ),
            "10.0.0.1",
        ),
        (metallb("{addresses: [10.0.0.1/32], autoAssign: false}"), ""),
        (cilium_pool("{blocks: [{cidr: 10.1.0.0/24}]}"), "10.1.0.0"),
        (cilium_pool('{allowFirstLastIPs: "No", blocks: [{cidr: 10.1.0.0/24}]}'), "10.1.0.1"),
        (cilium_pool("{blocks: [{start: 10.1.0.7, stop: 10.1.0.9}]}"), "10.1.0.7"),
        (
            cilium_pool(
                "{serviceSelector: {matchLabels: {io.kubernetes.service.name: lan}}, blocks: [{start: 10.1.0.7}]}"
            ),
            "10.1.0.7",
        ),
        (cilium_pool("{serviceSelector: {matchLabels: {color: blue}}, blocks: [{start: 10.1.0.7}]}"), ""),
    ],
)
def test_a_load_balancer_gets_the_first_address_that_its_pools_may_give(pools: str, address: str) -> None:
    assert addresses(SPACE + balanced("lan") + pools) == {"lan": (address,) if address else ()}


@pytest.mark.parametrize(
    "container",
    [
        '{name: d, image: postgres, command: [sh, -c, "pg_dump -h db -U app app > /b/x.sql"]}',
        '{name: d, image: postgres, command: [sh, -c, "pg_dump postgres://app@db:5432/app > /b/x.sql"]}',
        "{name: d, image: postgres, command: [pg_dumpall], env: [{name: PGHOST, value: db}]}",
    ],
)
def test_a_job_that_dumps_a_database_backs_it_up_however_it_names_the_host(container: str) -> None:
    text = f"""
---
apiVersion: batch/v1
kind: CronJob
metadata: {{name: dump, namespace: x}}
spec: {{schedule: "0 1 * * *", jobTemplate: {{spec: {{template: {{spec: {{containers: [{container}]}}}}}}}}}}
"""
    built = graph(deployment("db", image="postgres:17", port=5432) + text)
    assert edges(built, "backs-up") == {("CronJob x/dump", "Deployment x/db", "backs-up")}
    assert built.nodes["CronJob x/dump"]["schedule"] == "0 1 * * *"


@pytest.mark.parametrize(
    ("variable", "outside"),
    [
        ("{name: SMTP_HOST, value: smtp.example.com}", {"External smtp.example.com"}),
        ('{name: SMTP_ADDR, value: "smtp.example.com:587"}', {"External smtp.example.com:587"}),
        ("{name: NAS_HOST, value: 192.168.1.9}", {"External 192.168.1.9"}),
        ("{name: DB_HOST, value: pg.example.com}", {"External pg.example.com"}),
        ("{name: VIRTUAL_HOST, value: app.example.com}", set()),
        ("{name: DB_HOST, value: localhost}", set()),
        ("{name: DB_HOST, value: app}", set()),
    ],
)
def test_hosts_outside_that_a_variable_names_are_told_from_own_names(variable: str, outside: set[str]) -> None:
    built = graph(deployment("app", extra=f"env: [{variable}]"))
    assert {target for _, target, _ in edges(built, "reaches-out-to")} == outside
    assert edges(built, "calls", "queries", "caches-in") == set()


CRUNCHY = """
---
apiVersion: postgres-operator.crunchydata.com/v1beta1
kind: PostgresCluster
metadata: {name: pg, namespace: x}
spec:
  postgresVersion: 17
  instances:
    - name: main
      replicas: 2
      dataVolumeClaimSpec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
  users: [{name: shop}]
  proxy: {pgBouncer: {replicas: 2}}
  backups:
    pgbackrest:
      repos:
        - name: repo1
          volume: {volumeClaimSpec: {resources: {requests: {storage: 5Gi}}}}
          schedules: {full: "0 1 * * 0"}
        - {name: repo2, s3: {bucket: b}}
"""
USER = "env: [{name: DB_HOST, valueFrom: {secretKeyRef: {name: pg-pguser-shop, key: pgbouncer-host}}}]"


def test_crunchys_database_is_queried_through_its_pooler_and_copied_by_its_jobs() -> None:
    text = CRUNCHY + deployment("web", extra=USER)
    built = graph(text)
    assert edges(built, "queries") == {
        ("Deployment x/web", "Service x/pg-pgbouncer", "queries"),
        ("Deployment x/pg-pgbouncer", "Service x/pg-primary", "queries"),
    }
    assert {edge[:2] for edge in edges(built, "backs-up")} == {
        ("CronJob x/pg-repo1-full", f"PersistentVolumeClaim x/pgdata-pg-main-{number}") for number in (0, 1)
    }
    assert built.graph["dangling"] == ()
    assert "Deployment x/web" in taken_down_by(built, "PostgresCluster x/pg").hard_workloads
    pods = {item.id: item.replicas for item in platform(text).workloads}
    assert pods == {
        "Deployment x/web": 1,
        "StatefulSet x/pg-main": 2,
        "Deployment x/pg-pgbouncer": 2,
        "StatefulSet x/pg-repo-host": 1,
        "CronJob x/pg-repo1-full": 1,
    }
