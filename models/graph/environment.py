"""What a container reads: its variables with their values as far as the tree has them, and its configuration files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from models.graph.texts import expand
from models.objects import KubeObject, Manifest, Origin
from models.operators import cnpg
from models.operators.make import items, mapping, maps
from models.platform import Platform, Workload
from models.redact import REDACTED

_DASHBOARD_APPS = re.compile(r"(^|/)(homepage|dashy|homer|heimdall|glance|homarr|flame|dashboard-icons)(:|@|$)")
"""Start pages: what they hold are links for people, not calls of their own."""
_DASHBOARD_KEYS = re.compile(r"(?:dashboard.*\.json|services\.ya?ml|bookmarks\.ya?ml)$", re.IGNORECASE)
_TEMPLATE = re.compile(r"\{\{.*?\}\}")


@dataclass(frozen=True)
class Setting:
    """One text that a container reads: a variable (``name``) or a file. ``field``: where it is written."""

    name: str
    value: str
    field: str
    origin: Origin
    startup: bool = False


@dataclass(frozen=True, eq=False)
class Environment:
    """Reads the settings of workloads of one platform."""

    platform: Platform

    def settings(self, workload: Workload) -> Iterator[Setting]:
        """Variables, commands and configuration files of every container of the workload, each once."""
        if self.is_start_page(workload):
            return
        containers = [(item, False, "containers") for item in maps(workload.pod_spec.get("containers"))]
        first = maps(workload.pod_spec.get("initContainers"))
        containers += [(item, item.get("restartPolicy") != "Always", "initContainers") for item in first]
        for container, startup, kind in containers:
            place = f"spec.{kind}[{container.get('name')}]"
            variables = list(self._variables(workload, container, place, startup))
            yield from variables
            values = {entry.name: entry.value for entry in variables}
            for part in ("command", "args"):
                text = " ".join(str(entry) for entry in items(container.get(part)))
                if text:
                    origin = workload.object.origin
                    yield Setting(part, expand(text, values), f"{place}.{part}", origin, startup)
            for file in self._files(workload, container, startup):
                yield Setting(file.name, expand(file.value, values), file.field, file.origin, startup)

    def is_start_page(self, workload: Workload) -> bool:
        """Whether the workload is a page of links."""
        return any(_DASHBOARD_APPS.search(str(item.get("image") or "")) for item in workload.containers)

    def _variables(self, workload: Workload, container: Manifest, place: str, startup: bool) -> Iterator[Setting]:
        found: dict[str, Setting] = {}
        for index, entry in enumerate(maps(container.get("envFrom"))):
            prefix = str(entry.get("prefix") or "")
            for kind, reference in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                name = mapping(entry.get(reference)).get("name")
                if not name:
                    continue
                field = f"{place}.envFrom[{index}]"
                for key, value, origin, where in self.values(kind, workload.namespace, str(name)):
                    field_here = f"{field} {where}"
                    found[prefix + key] = Setting(prefix + key, value, field_here, origin, startup)
        for entry in maps(container.get("env")):
            key = str(entry.get("name") or "")
            if entry.get("value") is not None:
                values = {name: item.value for name, item in found.items()}
                text = expand(str(entry["value"]), values)
                found[key] = Setting(key, text, f"{place}.env[{key}]", workload.object.origin, startup)
                continue
            for kind, reference in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
                chosen = mapping(mapping(entry.get("valueFrom")).get(reference))
                for held, value, origin, where in self.values(kind, workload.namespace, str(chosen.get("name") or "")):
                    if held == chosen.get("key"):
                        field = f"{place}.env[{key}] {where}"
                        found[key] = Setting(key, value, field, origin, startup)
        yield from found.values()

    def values(self, kind: str, namespace: str, name: str) -> Iterator[tuple[str, str, Origin, str]]:
        """(key, value, origin, where) of a ConfigMap, or of a Secret as far as its text is not secret."""
        if not name:
            return
        if kind == "ConfigMap":
            item = self.platform.get("ConfigMap", namespace, name)
            for key, value in mapping(item.manifest.get("data")).items() if item else ():
                if isinstance(value, str) and item:
                    yield str(key), value, item.origin, f"from ConfigMap {name} data.{key}"
            return
        secret = self.platform.get("Secret", namespace, name)
        if secret is not None:
            for found in secret.dsns:
                yield found.key, found.url, secret.origin, f"from Secret {name} {found.field}"
        yield from self._template_values.get((namespace, name), ())
        yield from self._database_values(namespace, name)

    @cached_property
    def _template_values(self) -> Mapping[tuple[str, str], list[tuple[str, str, Origin, str]]]:
        """Texts of ExternalSecret and SealedSecret templates by (namespace, name) of the Secret, without placeholders.

        Each is (key, value, origin, where).
        """
        found: dict[tuple[str, str], list[tuple[str, str, Origin, str]]] = {}
        for kind in ("ExternalSecret", "SealedSecret"):
            for item in self.platform.by_kind(kind):
                target = mapping(item.spec.get("target")) if kind == "ExternalSecret" else item.spec
                template = mapping(target.get("template"))
                made = target.get("name") or mapping(template.get("metadata")).get("name") or item.name
                texts = found.setdefault((item.namespace, str(made)), [])
                for key, value in mapping(template.get("data")).items():
                    if isinstance(value, str) and value != REDACTED:
                        text = _TEMPLATE.sub("x", value)
                        texts.append((str(key), text, item.origin, f"from {kind} {item.name} template.data.{key}"))
        return found

    def _database_values(self, namespace: str, name: str) -> Iterator[tuple[str, str, Origin, str]]:
        """Hosts in the connection Secret that CloudNativePG makes (``NAME-app``, ``NAME-superuser``)."""
        for suffix in ("-app", "-superuser"):
            cluster = (
                self.platform.get("Cluster", namespace, name.removesuffix(suffix)) if name.endswith(suffix) else None
            )
            if cluster is not None and cnpg.is_cluster(cluster):
                host = f"{cluster.name}-rw"
                full = f"{host}.{namespace}.svc.cluster.local"
                where = f"from Secret {name} of database {cluster.name}"
                for key, text in (
                    ("host", host),
                    ("uri", f"postgresql://{host}.{namespace}:5432/"),
                    ("jdbc-uri", f"jdbc:postgresql://{host}.{namespace}:5432/"),
                    ("fqdn-uri", f"postgresql://{full}:5432/"),
                    ("fqdn-jdbc-uri", f"jdbc:postgresql://{full}:5432/"),
                ):
                    yield key, text, cluster.origin, f"{where} key {key}"
        owner, of_user, _ = name.partition("-pguser-")
        found = self.platform.get("PostgresCluster", namespace, owner) if of_user else None
        if found is not None:
            # Crunchy's operator writes one Secret per user.
            for prefix, service in (("", "primary"), ("pgbouncer-", "pgbouncer")):
                host = f"{owner}-{service}.{namespace}.svc"
                where = f"from Secret {name} of database {owner}"
                yield f"{prefix}host", host, found.origin, f"{where} key {prefix}host"
                for key, scheme in (("uri", "postgresql"), ("jdbc-uri", "jdbc:postgresql")):
                    text = f"{scheme}://{host}:5432/"
                    yield f"{prefix}{key}", text, found.origin, f"{where} key {prefix}{key}"

    def _files(self, workload: Workload, container: Manifest, startup: bool) -> Iterator[Setting]:
        mounted = {str(entry.get("name")) for entry in maps(container.get("volumeMounts"))}
        for volume in maps(workload.pod_spec.get("volumes")):
            if str(volume.get("name")) in mounted:
                sources = [volume, *maps(mapping(volume.get("projected")).get("sources"))]
                for source in sources:
                    yield from self._volume(workload, mapping(source.get("configMap")), "ConfigMap", "name", startup)
                    yield from self._volume(workload, mapping(source.get("secret")), "Secret", "secretName", startup)
                    yield from self._volume(workload, mapping(source.get("secret")), "Secret", "name", startup)

    def _volume(
        self, workload: Workload, volume: Mapping[str, object], kind: str, field: str, startup: bool
    ) -> Iterator[Setting]:
        name = volume.get(field)
        chosen = {str(entry.get("key")) for entry in maps(volume.get("items"))}
        for key, value, origin, where in self.values(kind, workload.namespace, str(name) if name else ""):
            if (not chosen or key in chosen) and not is_dashboard(key, value):
                yield Setting(key, value, where.removeprefix("from "), origin, startup)


def is_dashboard(key: str, text: str) -> bool:
    """Whether a file is a Grafana dashboard or a list of links."""
    if _DASHBOARD_KEYS.search(key):
        return True
    return key.endswith(".json") and '"panels"' in text


def datasource_maps(platform: Platform) -> Iterator[KubeObject]:
    """ConfigMaps that Grafana's sidecar reads as data sources."""
    for item in platform.by_kind("ConfigMap", ""):
        if "grafana_datasource" in item.labels or "grafana_datasources" in item.labels:
            yield item
