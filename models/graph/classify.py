"""What kind of dependency a call is, judged by what answers: a database, a cache, a log store, another service."""

from __future__ import annotations

import re
from dataclasses import dataclass

from models.graph.schema import Strength
from models.graph.texts import Mention
from models.objects import KubeObject
from models.operators import cnpg
from models.operators.make import maps, whole
from models.platform import Platform, Workload

_SIDE = re.compile(r"exporter|insight|commander|-express|adminer|admin|operator|backup|ui(:|$)")
_DATABASE = re.compile(
    r"(^|/)(postgres|postgresql|crunchy-p|postgis|pgvector|pgvecto|cloudnative-|timescaledb|cockroach|mariadb|mysql|percona|mongo|"
    r"couchdb|cassandra|influxdb|clickhouse|neo4j|surrealdb|rethinkdb|pgbouncer|spilo|ferretdb)",
    re.IGNORECASE,
)
_CACHE = re.compile(r"(^|/)(redis|valkey|dragonfly|keydb|memcached|garnet)", re.IGNORECASE)
_LOGS = re.compile(r"(^|/)(loki|victoria-logs|vlogs|graylog)(:|@|-|$)", re.IGNORECASE)
_TRACES = re.compile(r"(^|/)(jaeger|all-in-one|tempo|zipkin)(:|@|-|$)", re.IGNORECASE)
_SHIPPER = re.compile(
    r"(^|/)(alloy|agent|promtail|fluent-bit|fluentd|vector|filebeat|logstash|opentelemetry-collector[\w\-]*|otelcol[\w\-]*)(:|@|$)",
    re.IGNORECASE,
)
_DATABASE_PORTS = frozenset({5432, 3306, 27017, 1433, 9042, 8086, 26257})
_CACHE_PORTS = frozenset({6379, 11211, 26379})
_TRACE_PORTS = frozenset({4317, 4318, 14250, 14268, 9411, 6831, 6832, 55680})
_TRACE_WORD = re.compile(r"trac(?:e|ing)|otlp|jaeger|zipkin|tempo|\botel", re.IGNORECASE)
_DATABASE_SCHEMES = ("postgres", "mysql", "mariadb", "mongodb", "cockroach", "clickhouse")
_CACHE_SCHEMES = ("redis", "rediss", "valkey", "memcache", "memcached")
_OPTIONAL = re.compile(
    r"machine.?learning|metric|alert|log|trac|webhook|notif|smtp|mail|ntfy|gotify|apprise|search|imgproxy|render|gotenberg|tika",
    re.IGNORECASE,
)


@dataclass(frozen=True, eq=False)
class Classifier:
    """Judges calls on one platform."""

    platform: Platform

    def kind(self, source: Workload | None, service: KubeObject | None, mention: Mention, key: str) -> str:
        """The edge kind of a call from ``source`` to ``service`` (None: not in the tree) that ``key`` speaks of.

        ``key`` is the name of the variable or the field.
        """
        path, scheme = mention.path, mention.scheme
        if "/api/v1/write" in path or ("/api/v1/push" in path and "loki" not in path) or path.endswith("/v1/metrics"):
            return "ships-metrics-to"
        if "/loki/api/v1/push" in path or path.endswith("/v1/logs"):
            return "ships-logs-to"
        if path.endswith(("/v1/traces", "/api/traces")):
            return "ships-traces-to"
        if service is None:
            return _unseen(mention, key)
        behind = self.platform.service_workloads(service)
        images = _images(behind, service, mention.port)
        if any(cnpg.is_cluster(item.object) for item in behind) or scheme.startswith(_DATABASE_SCHEMES):
            return "queries"
        if scheme.startswith(_CACHE_SCHEMES):
            return "caches-in"
        for pattern, answer in ((_DATABASE, "queries"), (_CACHE, "caches-in")):
            if any(pattern.search(image) and not _SIDE.search(image) for image in images):
                return answer
        if not behind and mention.port in _DATABASE_PORTS:
            return "queries"
        if not behind and mention.port in _CACHE_PORTS:
            return "caches-in"
        shipper = source is not None and any(_SHIPPER.search(image) for image in _images((source,), None, None))
        if shipper and any(_LOGS.search(image) for image in images):
            return "ships-logs-to"
        if mention.port in _TRACE_PORTS and (_TRACE_WORD.search(key) or any(_TRACES.search(image) for image in images)):
            return "ships-traces-to"
        return "calls"

    def strength(self, source: Workload | None, service: KubeObject, kind: str, startup: bool) -> Strength:
        """How much the source needs it.

        Databases, caches and other parts of one application are hard; another application, telemetry and helpers that
        are known to be optional are soft; what only an init container waits for is start-up.
        """
        if startup:
            return Strength.STARTUP
        if kind in ("queries", "caches-in"):
            return Strength.HARD
        if kind != "calls" or source is None or _OPTIONAL.search(service.name):
            return Strength.SOFT
        behind = self.platform.service_workloads(service)
        return Strength.HARD if any(_one_application(source, item) for item in behind) else Strength.SOFT


def _unseen(mention: Mention, key: str) -> str:
    """The kind of a call to something that is not in the tree, by scheme and port alone."""
    if mention.port in _DATABASE_PORTS or mention.scheme.startswith(_DATABASE_SCHEMES):
        return "queries"
    if mention.port in _CACHE_PORTS or mention.scheme.startswith(_CACHE_SCHEMES):
        return "caches-in"
    return "ships-traces-to" if mention.port in _TRACE_PORTS and _TRACE_WORD.search(key) else "calls"


def _images(workloads: tuple[Workload, ...], service: KubeObject | None, port: int | None) -> list[str]:
    """Images behind a Service, of the container that has the port where that can be told."""
    numbers: set[int] = set()
    names: set[str] = set()
    for entry in maps(service.spec.get("ports")) if service is not None else []:
        if port is None or entry.get("port") == port:
            target = entry.get("targetPort", entry.get("port"))
            (names.add(target) if isinstance(target, str) else numbers.add(whole(target, 0)))
    exact, every = [], []
    for workload in workloads:
        for container in workload.containers:
            image = str(container.get("image") or "")
            every.append(image)
            for opened in maps(container.get("ports")):
                if whole(opened.get("containerPort"), -1) in numbers or str(opened.get("name")) in names:
                    exact.append(image)
                    break
    return exact or every


def _one_application(left: Workload, right: Workload) -> bool:
    """Whether two workloads say that they are parts of one application."""
    if left.namespace != right.namespace:
        return False
    for key in ("app.kubernetes.io/part-of", "app.kubernetes.io/instance"):
        mine, other = left.object.labels.get(key), right.object.labels.get(key)
        if mine and mine == other and mine != left.namespace:
            return True
    first, second = left.name.partition("-")[0], right.name.partition("-")[0]
    return first == second and "-" in f"{left.name}{right.name}"
