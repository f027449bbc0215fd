"""Edges that texts give away: variables, arguments, configuration files, chart values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from models.graph.context import Context, Dangling, edge
from models.graph.environment import Setting, datasource_maps, is_dashboard
from models.graph.hosts import Host
from models.graph.schema import Edge, Evidence, Strength, node_id
from models.graph.texts import Mention, mentions
from models.objects import Missing, Origin
from models.operators.make import items, mapping, maps
from models.platform import Workload

_HOST_KEY = re.compile(
    r"host|server|addr|url|uri|endpoint|dsn|sentinel|broker|nodes?$|service|peer|upstream|backend|conn", re.IGNORECASE
)
_SURE_KEY = re.compile(
    r"(?:^|_)(?:db|database|postgres|pg|mysql|mariadb|redis|valkey|mongo|cache|broker|sql)\w*_?host(?:name)?$",
    re.IGNORECASE,
)
_NOT_CALLS = re.compile(
    r"allowed|trusted|cors|origin|no_?proxy|listen|bind|self_|csrf|whitelist|allowlist|cookie|domain$|dns|title|message",
    re.IGNORECASE,
)
_OUTSIDE_KEY = re.compile(
    r"(?:^|_)(?:smtp|mail|imap|ldap|mqtt|ntp|s3|nas|nfs|db|database|postgres|pg|mysql|mariadb|redis|valkey|mongo|broker)"
    r"\w*_?(?:host(?:name)?|server|addr(?:ess)?|endpoint)$",
    re.IGNORECASE,
)
"""Variables whose bare host is used by the workload: others, such as ``VIRTUAL_HOST``, are its own names."""
_BARE = re.compile(r"[a-z0-9](?:[a-z0-9.\-]*[a-z0-9])?", re.IGNORECASE)
_SCRAPE = re.compile(r"prometheus.*\.ya?ml$|scrape", re.IGNORECASE)
_PROMETHEUS = re.compile(r"(^|/)(prometheus|vmagent|agent|victoria-metrics)(:|@|$)")


@dataclass(frozen=True)
class Source:
    """Who speaks: a node, the workload behind it where there is one, and its namespace."""

    node: str
    workload: Workload | None
    namespace: str


def reference_edges(context: Context) -> Iterator[Edge | Dangling]:
    """Everything that the texts of workloads, data sources and hidden charts say."""
    spread = _spread(context)
    for workload in context.platform.workloads:
        source = Source(context.node_of(workload), workload, workload.namespace)
        for setting in context.environment.settings(workload):
            if (workload.id, setting.name, setting.value) not in spread:
                yield from setting_edges(context, source, setting)
    yield from _datasources(context)
    yield from _hidden(context)


def setting_edges(context: Context, source: Source, setting: Setting) -> Iterator[Edge | Dangling]:
    """Everything that one variable, argument, file or field names."""
    if _NOT_CALLS.search(setting.name) and ".env" in setting.field:
        return
    if setting.name.endswith((".yml", ".yaml")) and source.workload and _scrapes(source.workload, setting.name):
        yield from _scrape_file(context, source, setting)
        return
    for mention in _mentions(setting):
        yield from mention_edges(context, source, setting, mention)


def _mentions(setting: Setting) -> Iterator[Mention]:
    """Hosts in a setting; a variable that is nothing but a name counts when its own name speaks of hosts."""
    text = setting.value
    if ".env" in setting.field and "\n" not in text:
        found = list(mentions(text, strip_comments=False))
        if found:
            yield from found
        elif _HOST_KEY.search(setting.name):
            for part in re.split(r"[,\s]+", text.strip()):
                if _BARE.fullmatch(part) and not part.isdigit():
                    yield Mention(part, None, "", "", "key", f"{setting.name}={part}")
        return
    yield from mentions(text)


def mention_edges(context: Context, source: Source, setting: Setting, mention: Mention) -> Iterator[Edge | Dangling]:
    """The edge to one host, and that it is dangling when nothing serves it."""
    host = context.hosts.resolve(mention.host, source.namespace)
    key = f"{setting.name} {setting.field}"
    if host.kind == "service":
        yield from _call(context, source, setting, mention, host, key)
    elif host.kind == "missing" or (host.kind == "name" and _expected(setting, mention)):
        target = node_id("Service", host.namespace, host.name)
        evidence = _evidence(setting, mention, host)
        kind = context.classifier.kind(source.workload, None, mention, key)
        strength = Strength.STARTUP if setting.startup else Strength.SOFT
        yield Edge(source.node, target, kind, strength, (evidence,), {"port": mention.port})
        yield Dangling(source.node, target, host.namespace, evidence, optional=host.kind == "name")
    elif host.kind in ("external", "address") and (mention.how in ("url", "host:port") or _used(setting)):
        yield from _outside(context, source, setting, mention, host)


def _used(setting: Setting) -> bool:
    return ".env" in setting.field and bool(_OUTSIDE_KEY.search(setting.name))


def _expected(setting: Setting, mention: Mention) -> bool:
    """Whether a bare name that is no Service must be one.

    A variable like ``DB_HOST``, a URL or an address with a port in a variable that speaks of hosts, a DSN of a database
    anywhere, or what an init container waits for.
    """
    variable = ".env" in setting.field
    if "_" in mention.host:
        return False
    if mention.how == "url":
        database = mention.scheme.startswith(("postgres", "mysql", "redis", "mongodb", "mariadb"))
        return database or (variable and mention.scheme in _CALL_SCHEMES and bool(_HOST_KEY.search(setting.name)))
    if mention.how == "host:port":
        return variable and bool(_HOST_KEY.search(setting.name))
    if mention.how == "command":
        return setting.startup and mention.port is not None
    return mention.how == "key" and variable and bool(_SURE_KEY.search(setting.name))


def _call(context: Context, source: Source, setting: Setting, mention: Mention, host: Host, key: str) -> Iterator[Edge]:
    service = context.hosts.service(host.namespace, host.name)
    if service is None:
        return
    behind = context.platform.service_workloads(service)
    if source.workload is not None and source.workload in behind:
        return
    if mention.how == "key" and ".env" not in setting.field and "values" not in setting.field and not behind:
        return
    port = mention.port or context.hosts.port_number(service, None)
    sure = Mention(mention.host, port, mention.scheme, mention.path, mention.how, mention.text)
    kind = context.classifier.kind(source.workload, service, sure, key)
    strength = context.classifier.strength(source.workload, service, kind, setting.startup)
    evidence = _evidence(setting, mention, host)
    yield Edge(source.node, host.service_id, kind, strength, (evidence,), {"port": port})


def _evidence(setting: Setting, mention: Mention, host: Host) -> Evidence:
    rule = {"url": "URL", "cluster": "cluster name", "host:port": "host and port", "command": "command"}.get(
        mention.how
    )
    rule = rule or "host name"
    where = "variable" if ".env" in setting.field else ("file" if "data." in setting.field else "argument")
    confidence = round(mention.confidence * host.confidence, 3)
    return Evidence(f"{rule} in {where}", setting.origin, setting.field, mention.text, confidence)


def _outside(context: Context, source: Source, setting: Setting, mention: Mention, host: Host) -> Iterator[Edge]:
    routes = context.route_hosts.get(host.name, ())
    if routes:
        own = context.workloads_of.get(source.node, ())
        for route in routes:
            services = [backend.service for backend in route.backends]
            selected = {item.id for name in services for item in context.behind(name)}
            if not any(item.id in selected for item in own):
                evidence = _evidence(setting, mention, host)
                yield Edge(source.node, route.object_id, "links-to", Strength.SOFT, (evidence,))
        return
    called = mention.scheme in _CALL_SCHEMES if mention.how == "url" else _used(setting)
    if called and ("." in host.name or ":" in host.name):
        if host.name.endswith((".example", ".invalid", ".schema")) or (
            mention.scheme.startswith("http") and _is_link(mention)
        ):
            return
        name = f"{host.name}:{mention.port}" if mention.port else host.name
        evidence = _evidence(setting, mention, host)
        yield Edge(
            source.node,
            node_id("External", "", name),
            "reaches-out-to",
            Strength.SOFT,
            (evidence,),
            {"port": mention.port},
        )


_SCHEMES = """
    http https postgres postgresql mysql mariadb redis rediss mongodb amqp amqps ldap ldaps smtp smtps mqtt nats s3
"""
_CALL_SCHEMES = frozenset(_SCHEMES.split())


def _is_link(mention: Mention) -> bool:
    """Whether a URL is likely read by people or is an identifier: documentation, schemas, licences."""
    return (
        mention.path.endswith((".md", ".html", ".xsd", ".json#", ".png", ".svg")) or "json-schema.org" in mention.host
    )


def _spread(context: Context) -> set[tuple[str, str, str]]:
    """Variables that a chart gives to all of its pods: evidence for the release's main workload only."""
    groups: dict[str, list[Workload]] = {}
    for workload in context.platform.workloads:
        if workload.provenance in ("chart", "modelled") and workload.object.origin.by:
            groups.setdefault(f"{workload.namespace} {workload.object.origin.by}", []).append(workload)
    dropped: set[tuple[str, str, str]] = set()
    for workloads in groups.values():
        if len(workloads) < 2:
            continue
        texts = {
            workload.id: {
                (item.name, item.value) for item in context.environment.settings(workload) if ".env[" in item.field
            }
            for workload in workloads
        }
        counted = Counter(pair for pairs in texts.values() for pair in pairs)
        speakers = [workload for workload in workloads if texts[workload.id]]
        main = _main(context, speakers)
        for workload in speakers:
            if workload is not main:
                dropped |= {(workload.id, *pair) for pair in texts[workload.id] if 1 < counted[pair] == len(speakers)}
    return dropped


def _main(context: Context, workloads: list[Workload]) -> Workload | None:
    """The workload of a release that people reach, otherwise the one named like a server, otherwise the first."""
    chosen = next((item for item in workloads if item.id in context.reached), None)
    named = re.compile(r"-(server|web|api|app|main|backend)$")
    chosen = chosen or next((item for item in workloads if named.search(item.name)), None)
    return chosen or (workloads[0] if workloads else None)


def _datasources(context: Context) -> Iterator[Edge | Dangling]:
    """Data sources that Grafana's sidecar loads belong to every Grafana of the platform."""
    grafanas = [
        workload
        for workload in context.platform.workloads
        if any(re.search(r"(^|/)grafana(:|@|$)", str(item.get("image") or "")) for item in workload.containers)
    ]
    for item in datasource_maps(context.platform):
        for workload in grafanas:
            source = Source(context.node_of(workload), workload, workload.namespace)
            for key, text in mapping(item.manifest.get("data")).items():
                if isinstance(text, str):
                    setting = Setting(str(key), text, f"ConfigMap {item.name} data.{key}", item.origin)
                    yield from setting_edges(context, source, setting)


def _hidden(context: Context) -> Iterator[Edge | Dangling]:
    """What the values of charts say: HelmRelease and HelmChart objects, and charts that could not be had."""
    for node, (chart, namespace) in context.charts.items():
        yield from _values(context, Source(node, None, namespace), chart.values, chart.origin)
    placed: dict[tuple[str, int | None], list[Workload]] = {}
    for workload in context.platform.workloads:
        placed.setdefault(_place(workload.object.origin), []).append(workload)
    for chart in context.platform.rendered.missing:
        if chart.modelled and chart.values:
            made = [item for item in placed.get(_place(chart.origin), ()) if _is_of(item, chart)]
            main = _main(context, made)
            if main is not None and not context.environment.is_start_page(main):
                source = Source(context.node_of(main), main, main.namespace)
                yield from _values(context, source, chart.values, chart.origin)
    told = {_place(chart.origin) for chart in context.platform.rendered.missing}
    made_by_charts = (item.object.origin for item in context.platform.workloads)
    told |= {_place(origin) for origin in made_by_charts if origin.provenance in ("chart", "modelled")}
    for kind in ("HelmRelease", "HelmChart", "HelmChartConfig"):
        for item in context.platform.by_kind(kind):
            if _place(item.origin) in told:
                # What its chart makes says it, or the missing chart does.
                continue
            values: Any = item.spec.get("values")
            if isinstance(item.spec.get("valuesContent"), str):
                values = _yaml(item.spec["valuesContent"])
            namespace = str(item.spec.get("targetNamespace") or item.namespace)
            source = Source(node_id(kind, item.namespace, item.name), None, namespace)
            yield from _values(context, source, values, item.origin)


def _is_of(workload: Workload, chart: Missing) -> bool:
    """Whether a workload of a chart's place is of that release; releases of one ApplicationSet may share a place."""
    released = str(workload.object.labels.get("app.kubernetes.io/instance") or chart.release)
    return released == (chart.release or released)


def _place(origin: Origin) -> tuple[str, int | None]:
    return origin.file, origin.line


def _values(context: Context, source: Source, values: Any, origin: Origin) -> Iterator[Edge | Dangling]:
    for path, text in _leaves(values, "values"):
        key = path.rpartition(".")[2]
        if key in _NOT_VALUES or _NOT_CALLS.search(key) or is_dashboard(key, text):
            continue
        name = path.split(".")[-2] if key == "value" and path.count(".") > 1 else key
        setting = Setting(name, text, path, origin)
        multi = "\n" in text
        found = list(mentions(text, strip_comments=multi))
        if not found and not multi and _HOST_KEY.search(name) and _BARE.fullmatch(text):
            found = [Mention(text, None, "", "", "key", f"{name}: {text}")]
        for mention in found:
            if (
                multi
                or mention.how != "host:port"
                or "." in mention.host
                or context.hosts.resolve(mention.host, source.namespace).kind == "service"
            ):
                yield from mention_edges(context, source, setting, mention)


_NOT_VALUES = frozenset({"href", "repository", "image", "registry", "tag", "icon", "description", "homepage"})


def _leaves(value: Any, path: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    if depth > 40:
        return
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}", depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]", depth + 1)


def _scrapes(workload: Workload, file: str) -> bool:
    return bool(_SCRAPE.search(file)) and any(
        _PROMETHEUS.search(str(c.get("image") or "")) for c in workload.containers
    )


def _scrape_file(context: Context, source: Source, setting: Setting) -> Iterator[Edge | Dangling]:
    """A Prometheus configuration: static targets are scraped, alert managers called, remote writes pushed to."""
    config = mapping(_yaml(setting.value))
    for index, job in enumerate(maps(config.get("scrape_configs"))):
        for group in maps(job.get("static_configs")):
            for target in items(group.get("targets")):
                yield from target_edges(context, source, setting, str(target), "scrapes", f"scrape_configs[{index}]")
    for group in maps(mapping(config.get("alerting")).get("alertmanagers")):
        for entry in maps(group.get("static_configs")):
            for target in items(entry.get("targets")):
                yield from target_edges(context, source, setting, str(target), "calls", "alerting")
    for part in ("remote_write", "remote_read"):
        for entry in maps(config.get(part)):
            kind = "ships-metrics-to" if part == "remote_write" else "calls"
            yield from target_edges(context, source, setting, str(entry.get("url") or ""), kind, part)


def target_edges(
    context: Context, source: Source, setting: Setting, text: str, kind: str, part: str
) -> Iterator[Edge | Dangling]:
    """The edge of a given kind to what an address in a configuration of Prometheus means."""
    mention = next(iter(mentions(text, strip_comments=False)), None) or Mention(text, None, "", "", "key", text)
    host = context.hosts.resolve(mention.host, source.namespace)
    if host.kind not in ("service", "missing"):
        if host.kind in ("external", "address") and mention.how in ("url", "host:port"):
            yield from _outside(context, source, setting, mention, host)
        return
    service = context.hosts.service(host.namespace, host.name)
    if service is not None and source.workload in context.platform.service_workloads(service):
        return
    field = f"{setting.field} {part}".strip()
    yield edge(
        source.node, host.service_id, kind, "Prometheus configuration", setting.origin, field, text,
        strength=Strength.SOFT, confidence=0.95, port=mention.port,
    )  # fmt: skip
    if host.kind == "missing":
        evidence = Evidence("Prometheus configuration", setting.origin, field, text, 0.95)
        yield Dangling(source.node, host.service_id, host.namespace, evidence)


def _yaml(text: str) -> Any:
    """A YAML text, None when it cannot be read; anchors are refused, they are how small files become large."""
    if len(text) > 300_000 or re.search(r"(?:^|\s)&\w", text):
        return None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
