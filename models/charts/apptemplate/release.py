"""One release of the bjw-s common library: its enabled parts, names and labels, shared by all that it renders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from models.charts import parts
from models.charts.apptemplate.names import Names, enabled, primary
from models.charts.scope import Scope
from models.objects import Manifest, dig

Entries = dict[str, dict[str, Any]]
CLAIM = "persistentVolumeClaim"


@dataclass(frozen=True)
class Release:
    """The values of one release in the form of version 3 and later, and the major version that renders them."""

    scope: Scope
    values: Mapping[str, Any]
    name: str
    names: Names

    @property
    def major(self) -> int:
        """The major version of the library."""
        return self.names.major

    @cached_property
    def controllers(self) -> Entries:
        """The enabled controllers."""
        return enabled(self.values.get("controllers"))

    @cached_property
    def services(self) -> Entries:
        """The enabled services."""
        return enabled(self.values.get("service"))

    @cached_property
    def persistence(self) -> Entries:
        """The enabled persistence items."""
        return enabled(self.values.get("persistence"))

    @cached_property
    def claims(self) -> Entries:
        """The persistence items for which the release makes a claim."""
        return {
            key: entry
            for key, entry in self.persistence.items()
            if volume_type(entry) == CLAIM and not entry.get("existingClaim")
        }

    def labels(self) -> dict[str, str]:
        """The labels that select everything of the release."""
        return {"app.kubernetes.io/name": self.name, "app.kubernetes.io/instance": str(self.scope.facts["release"])}

    def selector(self, controller: str) -> dict[str, str]:
        """The labels that select one controller's pods.

        Version 2 added ``app.kubernetes.io/component``, which version 4 renamed to ``app.kubernetes.io/controller``.
        """
        chosen = self.labels()
        if self.major >= 2:
            chosen[f"app.kubernetes.io/{'controller' if self.major >= 4 else 'component'}"] = controller
        extra = dig(self.controllers, controller, "extraSelectorLabels") if self.major >= 4 else None
        return {**chosen, **self.scope.expand(extra or {})}

    def controller_of(self, entry: Mapping[str, Any]) -> str:
        """The controller that a service or a policy is for: the one it names, else the only one."""
        named = entry.get("controller")
        return named if isinstance(named, str) and named else next(iter(self.controllers), "main")

    def service_named(self, reference: Any) -> tuple[str, Any]:
        """Name and port of the service that a path, a rule or a monitor points to.

        ``name`` is the service's own name, before version 3 also an identifier; without either it is the only service.
        """
        entry = reference if isinstance(reference, dict) else {}
        if entry.get("name") and (self.major >= 3 or entry["name"] not in self.services):
            return str(self.scope.expand(entry["name"])), number(entry.get("port"))
        key = str(entry.get("identifier") or entry.get("name") or primary(self.services))
        ports = enabled(self.services.get(key, {}).get("ports"))
        port = entry.get("port")
        if port is None:
            port = ports.get(primary(dict(sorted(ports.items()))), {}).get("port")
        elif isinstance(port, str) and port in ports:
            port = ports[port].get("port")
        return self.names.of("service", key, self.services), number(port)

    def make(
        self, version: str, kind: str, name: str, body: Mapping[str, Any], entry: Mapping[str, Any] | None = None
    ) -> Manifest:
        """One object of the release with its labels and the entry's own."""
        shared = dig(self.values, "global", "labels") or {}
        labels = {
            **self.labels(),
            "app.kubernetes.io/managed-by": "Helm",
            **shared,
            **((entry or {}).get("labels") or {}),
        }
        meta = parts.metadata(self.scope, name, labels, (entry or {}).get("annotations"))
        made: Manifest = self.scope.expand({"apiVersion": version, "kind": kind, "metadata": meta, **body})
        return made


def volume_type(entry: Mapping[str, Any]) -> str:
    """The type of a persistence item; version 1 said ``pvc``."""
    kind = str(entry.get("type") or CLAIM)
    return CLAIM if kind == "pvc" else kind


def number(port: Any) -> Any:
    """A port as the rendered text has it: digits are a number."""
    return int(port) if isinstance(port, str) and port.isdigit() else port


def protocol(port: Mapping[str, Any]) -> str:
    """HTTP and HTTPS are the library's words for TCP."""
    named = str(port.get("protocol") or "TCP").upper()
    return "TCP" if named in ("HTTP", "HTTPS") else named


def claim_fields(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a claim, of a persistence item or of a volume claim template."""
    return {
        "size": entry.get("size"),
        "class": entry.get("storageClass") or entry.get("storageClassName"),
        "modes": entry.get("accessMode") or entry.get("accessModes"),
    }
