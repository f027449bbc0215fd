"""Kubernetes objects as read or derived, each with the place it came from.

A manifest is plain data in Kubernetes' own JSON form (``dict``/``list``/``str``/``int``/``float``/``bool``/``None``).
Nobody mutates a manifest that is inside a :class:`KubeObject`; whoever needs a changed one makes a copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from models.yamldoc.lines import Lines

Manifest = dict[str, Any]

Provenance = Literal["manifest", "generated", "chart", "modelled", "derived"]
"""How far an object can be trusted.

``manifest``   written in the tree;
``generated``  made by a Kustomize generator;
``chart``      rendered by the real Helm engine;
``modelled``   made from the chart catalogue because the chart could not be had;
``derived``    what an operator or a controller makes of another object.
"""


@dataclass(frozen=True, order=True)
class Origin:
    """Where an object was written: file (relative to the tree's repository root) and 1-based first line.

    ``by`` says what made it when no file holds it as it stands ("helm chart traefik 41.3.0", "CNPG Cluster immich").
    """

    file: str = ""
    line: int | None = None
    provenance: Provenance = "manifest"
    by: str = ""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place} ({self.by})" if self.by else place


class ObjectKey(NamedTuple):
    """The identity of an object: API group (no version), kind, namespace ("" when cluster-scoped), name."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {name}"


class Dsn(NamedTuple):
    """Where a value of a Secret leads to, no more: key, field (``stringData.KEY``), scheme, host and port."""

    key: str
    field: str
    scheme: str
    host: str
    port: int | None

    @property
    def url(self) -> str:
        """``scheme://host:port``."""
        return f"{self.scheme}://{self.host}" + (f":{self.port}" if self.port is not None else "")


@dataclass(frozen=True, eq=False)
class KubeObject:
    """One Kubernetes object: its manifest, its origin, and a short way to the fields that everyone reads.

    ``dsns``: of a redacted Secret, the hosts inside of the cluster that its values lead to (see :mod:`models.redact`).
    """

    manifest: Manifest
    origin: Origin = field(default_factory=Origin)
    dsns: tuple[Dsn, ...] = ()

    @property
    def api_version(self) -> str:
        """``apiVersion`` as written, "" when absent."""
        return str(self.manifest.get("apiVersion") or "")

    @property
    def group(self) -> str:
        """The API group without its version; "" for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def kind(self) -> str:
        """``kind`` as written, "" when absent."""
        return str(self.manifest.get("kind") or "")

    @property
    def metadata(self) -> Mapping[str, Any]:
        """``metadata``, or an empty mapping when it is absent or not a map."""
        value = self.manifest.get("metadata")
        return value if isinstance(value, dict) else {}

    @property
    def name(self) -> str:
        """``metadata.name``, "" when absent."""
        return str(self.metadata.get("name") or "")

    @property
    def namespace(self) -> str:
        """``metadata.namespace`` as written, "" when absent (see ``models.platform`` for defaulting)."""
        return str(self.metadata.get("namespace") or "")

    @property
    def labels(self) -> Mapping[str, str]:
        """``metadata.labels`` as strings."""
        return string_map(self.metadata.get("labels"))

    @property
    def annotations(self) -> Mapping[str, str]:
        """``metadata.annotations`` as strings."""
        return string_map(self.metadata.get("annotations"))

    @property
    def spec(self) -> Mapping[str, Any]:
        """``spec``, or an empty mapping when it is absent or not a map."""
        value = self.manifest.get("spec")
        return value if isinstance(value, dict) else {}

    @property
    def key(self) -> ObjectKey:
        """The identity of the object."""
        return ObjectKey(self.group, self.kind, self.namespace, self.name)

    def get(self, *path: str | int, default: Any = None) -> Any:
        """The value at ``path`` inside the manifest, or ``default`` when any step is missing or of another type."""
        return dig(self.manifest, *path, default=default)

    def __repr__(self) -> str:
        return f"<{self.key} from {self.origin}>"


def dig(value: Any, *path: str | int, default: Any = None) -> Any:
    """Follow ``path`` through maps (string steps) and lists (integer steps); ``default`` when it leads nowhere."""
    for step in path:
        if isinstance(step, int):
            if not isinstance(value, list) or not -len(value) <= step < len(value):
                return default
        elif not isinstance(value, dict) or step not in value:
            return default
        value = value[step]
    return default if value is None else value


def string_map(value: Any) -> Mapping[str, str]:
    """A label or annotation map with every value as text; anything that is not a map gives an empty one."""
    if not isinstance(value, dict):
        return {}
    return {str(key): "" if item is None else str(item) for key, item in value.items()}


@dataclass(frozen=True, order=True)
class Missing:
    """Something the tree asks for that could not be had, and what that hides.

    ``kind``: ``chart``, ``remote``, ``plugin``, ``repository``, ``generator`` or ``file``.
    ``modelled`` is true when the chart catalogue stands in for it. For a chart: its ``release``, the ``namespace``
    asked for ("" when the kustomization decides) and the merged ``values``, in which hosts are looked for and which
    nobody prints. ``broken``: it is there, and whoever applies the tree cannot read it either.
    """

    kind: str
    what: str
    origin: Origin
    reason: str
    hides: str = ""
    modelled: bool = False
    release: str = field(default="", compare=False)
    namespace: str = field(default="", compare=False)
    values: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    broken: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Rendered:
    """What one or several roots render to, in order, and what could not be had.

    ``lines`` finds the line of a field of an object; it holds keys and numbers, no values.
    """

    objects: tuple[KubeObject, ...] = ()
    missing: tuple[Missing, ...] = ()
    roots: tuple[str, ...] = ()
    lines: Lines = field(default_factory=Lines, repr=False, compare=False)

    @property
    def complete(self) -> bool:
        """Whether nothing had to be left out or modelled."""
        return not self.missing

    @property
    def broken(self) -> frozenset[str]:
        """The names of what is there and cannot be read."""
        return frozenset(item.what for item in self.missing if item.broken)

    def __add__(self, other: Rendered) -> Rendered:
        return Rendered(
            self.objects + other.objects,
            self.missing + other.missing,
            self.roots + other.roots,
            self.lines + other.lines,
        )


def first_duplicate(objects: Iterable[KubeObject]) -> tuple[KubeObject, KubeObject] | None:
    """The first two objects with one identity, or None."""
    seen: dict[ObjectKey, KubeObject] = {}
    for item in objects:
        earlier = seen.setdefault(item.key, item)
        if earlier is not item:
            return earlier, item
    return None
