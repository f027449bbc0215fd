"""Secret values never leave the reader: keys stay, values go.

One thing is kept of a value that is a DSN (``postgres://user:password@db-rw:5432/app``): that it leads to ``db-rw``,
port 5432, over ``postgres``; and only when that host is a name which the tree writes elsewhere in the open. User,
password, path and query are never kept, nor a host outside of the cluster, which may say who somebody is.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from models.objects import Dsn, KubeObject, Manifest

REDACTED = "**REDACTED**"

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_LONGEST = 4096
"""Longer values are no DSN, in characters."""
_SCHEMES = """
    amqp amqps cockroachdb ftp http https jdbc:mariadb jdbc:mysql jdbc:postgresql ldap ldaps mariadb memcached mongodb
    mqtt mysql nats postgres postgresql redis rediss s3 smtp smtps sqlserver valkey ws wss
"""
_KNOWN_SCHEMES = frozenset(_SCHEMES.split())
_DSN = re.compile(r"([a-z0-9+.:\-]{2,30})://([^\s/?#\\]+)([/?#][^\s@\\]*)?", re.IGNORECASE)
"""One DSN and nothing else. An ``@`` behind the first ``/`` may be part of a password: that is not taken apart."""
_AUTHORITY = re.compile(r"(?:[^@]*@)?([a-z0-9]([a-z0-9.\-]*[a-z0-9])?)\.?(?::(\d{1,5}))?", re.IGNORECASE)


@dataclass(frozen=True)
class OpenNames:
    """Names that the tree writes in the open: of objects that are no Secrets, and of namespaces."""

    names: Collection[str] = field(default_factory=frozenset)
    namespaces: Collection[str] = field(default_factory=frozenset)

    def holds(self, host: str) -> bool:
        """Whether ``host`` is a cluster name made of them alone: ``db``, ``db-rw`` of a ``db``, ``db.prod.svc``."""
        first, _, rest = host.partition(".")
        space, _, domain = rest.partition(".")
        if space and (space not in self.namespaces or domain not in ("", "svc", "svc.cluster.local")):
            return False
        if first in self.names:
            return True
        cuts = (at for at, letter in enumerate(first) if letter == "-")
        return any(first[:at] in self.names and _SERVICE_SUFFIX.fullmatch(first[at:]) for at in cuts)


_SERVICE_SUFFIX = re.compile(
    r"-(?:rw|ro|r|pooler|primary|replicas?|master|leader|follower|headless|server|hl|db|postgresql|mysql|mariadb|redis|"
    r"valkey|dragonfly|mongodb|rabbitmq)(?:-(?:rw|ro|r|primary|replicas?|master|headless))?"
)
"""What operators and charts add to a name that the tree writes."""


def open_names(objects: Iterable[KubeObject]) -> OpenNames:
    """The names of a tree's objects."""
    listed = [item for item in objects if not is_secret(item.manifest)]
    spaces = {item.namespace for item in listed} | {item.name for item in listed if item.kind == "Namespace"}
    return OpenNames(frozenset(item.name for item in listed) - {""}, frozenset(spaces) - {""})


def redact(item: KubeObject, known: OpenNames | None = None) -> KubeObject:
    """``item`` without the values of a core/v1 Secret, and without the copy that kubectl keeps in an annotation.

    ``known``: names that a host may consist of to be kept as one of ``dsns``; None keeps no host.
    """
    manifest = item.manifest
    written = item.metadata.get("annotations")
    annotations = written if isinstance(written, dict) else {}
    has_copy = _LAST_APPLIED in annotations
    if not is_secret(manifest) and not has_copy:
        return item
    cleaned: Manifest = dict(manifest)
    dsns: tuple[Dsn, ...] = ()
    if is_secret(manifest):
        dsns = tuple(_dsns(manifest, known)) if known is not None else ()
        for name in ("data", "stringData"):
            values = manifest.get(name)
            if isinstance(values, dict):
                cleaned[name] = dict.fromkeys(values, REDACTED)
            elif values is not None:
                cleaned[name] = REDACTED
    if has_copy:
        cleaned["metadata"] = {**item.metadata, "annotations": {**annotations, _LAST_APPLIED: REDACTED}}
    return replace(item, manifest=cleaned, dsns=dsns)


def _dsns(manifest: Manifest, known: OpenNames) -> Iterator[Dsn]:
    for name in ("data", "stringData"):
        values = manifest.get(name)
        for key, value in values.items() if isinstance(values, dict) else ():
            text = _decoded(value) if name == "data" else value
            found = dsn(text, known) if isinstance(text, str) else None
            if found is not None:
                scheme, host, port = found
                yield Dsn(str(key), f"{name}.{key}", scheme, host, port)


def _decoded(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 2 * _LONGEST:
        return ""
    try:
        return base64.b64decode(value, validate=False).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""


def dsn(text: str, known: OpenNames) -> tuple[str, str, int | None] | None:
    """Scheme, host and port of a text that is one DSN, None for anything else or when there is any doubt."""
    match = _DSN.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    scheme = match[1].lower() if match is not None else ""
    if match is None or (scheme not in _KNOWN_SCHEMES and scheme.partition("+")[0] not in _KNOWN_SCHEMES):
        return None
    authority = _AUTHORITY.fullmatch(match[2])
    if authority is None or not known.holds(authority[1].lower()):
        return None
    port = int(authority[3]) if authority[3] else None
    if port is not None and not 0 < port < 65536:
        return None
    # Of ``postgresql+asyncpg`` only the first word is known; the rest is whatever somebody wrote.
    return scheme.removeprefix("jdbc:").partition("+")[0], authority[1].lower(), port


def is_secret(manifest: Manifest) -> bool:
    """Whether the manifest is a core/v1 Secret, however its kind is capitalised."""
    return str(manifest.get("kind", "")).lower() == "secret" and "/" not in str(manifest.get("apiVersion", "v1"))
