"""The names of a bjw-s common library release's objects, as each major version of the library forms them.

Versions 4 and 5 have one rule for every kind (``lib/common/_determineResourceNameFromValues.tpl``); before, each kind
had its own (``lib/<kind>/_valuesToObject.tpl``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.charts.scope import Scope
from models.objects import dig

_SUFFIXED = ("pvc", "configMap", "secret", "rawResource")
"""The kinds whose names carried their identifier however many there were, before version 4."""


@dataclass(frozen=True)
class Names:
    """What a release's names depend on.

    ``major``: of the common library. ``always``: ``global.alwaysAppendIdentifierToResourceName``.
    """

    scope: Scope
    fullname: str
    major: int
    always: bool = False

    def of(self, kind: str, key: str, several: Mapping[str, Mapping[str, Any]]) -> str:
        """The name of the ``kind`` with the identifier ``key``, one of the enabled ``several``.

        ``kind`` is controller, service, ingress, route, serviceMonitor, pvc, configMap, secret, rawResource or
        networkPolicy.
        """
        entry = several.get(key, {})
        if entry.get("forceRename"):
            renamed = str(self.scope.expand(entry["forceRename"]))
            return renamed.lower() if self.major >= 4 else renamed
        return self._common(key, entry, len(several)) if self.major >= 4 else self._older(kind, key, entry, several)

    def _common(self, key: str, entry: Mapping[str, Any], count: int) -> str:
        name = self.fullname
        prefix, suffix = (str(self.scope.expand(entry.get(field) or "")) for field in ("prefix", "suffix"))
        if prefix and prefix != name:
            name = f"{prefix}-{name}"
        if (count > 1 or self.always) and key != name and not name.endswith(f"-{key}"):
            name = f"{name}-{key}"
        if suffix and not name.endswith(f"-{suffix}"):
            name = f"{name}-{suffix}"
        return name.lower()

    def _older(self, kind: str, key: str, entry: Mapping[str, Any], several: Mapping[str, Mapping[str, Any]]) -> str:
        override = str(self.scope.expand(entry.get("nameOverride") or ""))
        if override:
            plain = override == self.fullname or (kind == "pvc" and override == "-")
            return self.fullname if plain else f"{self.fullname}-{override}"
        return self.fullname if self._is_plain(kind, key, entry, several) else f"{self.fullname}-{key}"

    def _is_plain(
        self, kind: str, key: str, entry: Mapping[str, Any], several: Mapping[str, Mapping[str, Any]]
    ) -> bool:
        """Whether an object takes the release's full name as it is, before version 4."""
        if kind in _SUFFIXED:
            return kind == "rawResource" and key == self.fullname
        if self.major == 3:
            chosen = kind == "service" and bool(entry.get("primary"))
            return chosen or len(several) == 1 or key == self.fullname
        if kind == "controller":
            return self.major < 2 or key == "main"
        if kind == "service" and self.major == 2:
            return bool(entry.get("primary"))
        if kind == "serviceMonitor":
            return key == "main"
        return key == primary(several)


def primary(several: Mapping[str, Mapping[str, Any]]) -> str:
    """The entry marked as the primary one, else the first."""
    return next((key for key, entry in several.items() if entry.get("primary")), next(iter(several), ""))


def full_name(scope: Scope, values: Mapping[str, Any], chart: str) -> tuple[str, str]:
    """``app.kubernetes.io/name`` and the full name (``lib/chart/_names.tpl``).

    The full name is the release's when that contains the chart's name, which ``global.nameOverride`` replaces.
    """
    release = str(scope.facts["release"])
    name = str(scope.expand(dig(values, "global", "nameOverride") or values.get("nameOverride") or chart))
    override = dig(values, "global", "fullnameOverride") or values.get("fullnameOverride")
    joined = release if name in release else f"{release}-{name}"
    return name[:63].rstrip("-"), str(scope.expand(override or joined))[:63].rstrip("-")


def enabled(value: Any) -> dict[str, dict[str, Any]]:
    """The entries of a map of resources that are not switched off."""
    if not isinstance(value, dict):
        return {}
    return {
        str(key): item
        for key, item in value.items()
        if isinstance(item, dict) and item.get("enabled", True) not in (False, None)
    }
