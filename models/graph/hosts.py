"""What a host name in a manifest means inside the cluster: a Service, this pod, or the world outside."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from models.objects import KubeObject
from models.operators.make import maps, whole
from models.platform import Platform

HostKind = Literal["service", "missing", "local", "address", "external", "name", "api"]
"""``service`` in the tree; ``missing`` by its form a cluster name that no object serves; ``local`` this pod;
``address`` an IP address outside; ``external`` a DNS name outside; ``name`` a bare word that is no Service; ``api`` the
API server or cluster DNS."""

_SYSTEM = {
    ("default", "kubernetes"),
    ("kube-system", "kube-dns"),
    ("kube-system", "coredns"),
    ("kube-system", "metrics-server"),
}
_LOCAL = frozenset({"localhost", "0.0.0.0", "::", "::1", "ip6-localhost", "localhost.localdomain"})
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_\-]*[a-z0-9_])?")


@dataclass(frozen=True)
class Host:
    """A resolved host: what it is, the Service that answers or is missing, and how sure the reading is (0 to 1)."""

    kind: HostKind
    namespace: str = ""
    name: str = ""
    confidence: float = 1.0

    @property
    def service_id(self) -> str:
        """Node id of the Service, "" when it is none."""
        return f"Service {self.namespace}/{self.name}" if self.kind in ("service", "missing") else ""


@dataclass(frozen=True, eq=False)
class Hosts:
    """Resolves host names of one platform as a pod of a given namespace would."""

    platform: Platform

    @cached_property
    def _services(self) -> Mapping[tuple[str, str], KubeObject]:
        return {(item.namespace, item.name): item for item in self.platform.services}

    @cached_property
    def _addresses(self) -> Mapping[str, KubeObject]:
        found: dict[str, KubeObject] = {}
        for item in self.platform.services:
            fixed = item.spec.get("clusterIP")
            if fixed and fixed != "None":
                found.setdefault(str(fixed), item)
            for address in self.platform.load_balancer_addresses.get(item.key, ()):
                found.setdefault(address, item)
        return found

    @cached_property
    def _pods(self) -> Mapping[tuple[str, str], str]:
        """Pod names that are also DNS names with a governing Service: (namespace, pod) to Service."""
        return {
            (item.namespace, f"{item.name}-{ordinal}"): str(item.object.spec.get("serviceName"))
            for item in self.platform.workloads
            if item.controller == "StatefulSet" and item.object.spec.get("serviceName")
            for ordinal in range(min(item.replicas or 0, 100))
        }

    def service(self, namespace: str, name: str) -> KubeObject | None:
        """The Service of that name."""
        return self._services.get((namespace, name))

    def resolve(self, host: str, namespace: str) -> Host:
        """What ``host`` is for a pod in ``namespace``."""
        name = host.strip().strip("[]").rstrip(".").lower()
        if name in _LOCAL or name.startswith("127.") or name.endswith(".localhost"):
            return Host("local")
        if name in self._addresses:
            found = self._addresses[name]
            return Host("service", found.namespace, found.name)
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return self._named(name.split("."), namespace)
        return Host("address", "", name)

    def _named(self, parts: list[str], namespace: str) -> Host:
        if "svc" in parts[1:]:
            at = parts.index("svc", 1)
            if at == 1:
                return Host("external", "", ".".join(parts))
            return self._lookup(parts[at - 1], parts[at - 2], 1.0)
        if len(parts) == 1:
            return self._bare(parts[0], namespace)
        if parts[-1] in self.platform.namespaces and len(parts) in (2, 3):
            found = self._lookup(parts[-1], parts[-2], 0.95)
            if found.kind == "service" or len(parts) == 2:
                return found
        if len(parts) == 2 and (namespace, parts[1]) in self._services and (namespace, parts[0]) in self._pods:
            return Host("service", namespace, parts[1], 0.95)
        return Host("external", "", ".".join(parts))

    def _lookup(self, namespace: str, name: str, confidence: float) -> Host:
        if (namespace, name) in _SYSTEM and (namespace, name) not in self._services:
            return Host("api", namespace, name)
        kind: HostKind = "service" if (namespace, name) in self._services else "missing"
        return Host(kind, namespace, name, confidence)

    def _bare(self, name: str, namespace: str) -> Host:
        if (namespace, name) in self._services:
            return Host("service", namespace, name, 0.9)
        if (namespace, name) in self._pods:
            return Host("service", namespace, self._pods[namespace, name], 0.7)
        return Host("name", namespace, name, 0.5) if _NAME.fullmatch(name) else Host("external", "", name)

    def port_number(self, service: KubeObject, port: int | str | None) -> int | None:
        """The Service port that a number or a name means; the only port when none is given."""
        ports = maps(service.spec.get("ports"))
        if port is None:
            return (whole(ports[0].get("port"), 0) or None) if len(ports) == 1 else None
        if isinstance(port, int) or str(port).isdigit():
            return int(port)
        named = next((entry for entry in ports if entry.get("name") == port), None)
        return (whole(named.get("port"), 0) or None) if named is not None else None
