"""A resource on its way through Kustomize, its identity now and before, and ordered sets of resources."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from models.errors import Problem, RenderError, Where
from models.kustomize.metadata import ORIGIN_ANNOTATION, TRANSFORMATIONS_ANNOTATION, BuildOrigin
from models.kustomize.nodes import Tree, copy_tree, is_empty, is_null, new_key, new_string, plain, set_text, text_of
from models.objects import Manifest, Origin
from models.yamldoc.scalars import Quoted

NO_NAMESPACE = "_non_namespaceable_"
DEFAULT_NAMESPACE = "default"


@cache
def cluster_scoped_kinds() -> frozenset[tuple[str, str]]:
    """(apiVersion, kind) of the types that Kustomize knows to have no namespace."""
    text = resources.files("models.kustomize").joinpath("clusterscoped.json").read_text(encoding="utf-8")
    return frozenset((version, kind) for version, names in json.loads(text)["kinds"].items() for kind in names)


class Gvk(NamedTuple):
    """Group, version and kind; in a selector, "" matches everything."""

    group: str = ""
    version: str = ""
    kind: str = ""

    def selected_by(self, selector: Gvk) -> bool:
        """Whether every part that ``selector`` states is equal."""
        return (
            (not selector.group or selector.group == self.group)
            and (not selector.version or selector.version == self.version)
            and (not selector.kind or selector.kind == self.kind)
        )

    @property
    def api_version(self) -> str:
        """``group/version``, or the version alone."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        return f"{self.kind or '[noKind]'}.{self.version or '[noVer]'}.{self.group or '[noGrp]'}"


def split_api_version(api_version: str) -> tuple[str, str]:
    """Group ("" for the core group) and version."""
    group, slash, version = api_version.partition("/")
    return (group, version) if slash else ("", api_version)


class ResId(NamedTuple):
    """Identity of a resource: ``namespace`` is the effective one (``default`` when unset, a marker without one)."""

    gvk: Gvk
    name: str
    namespace: str

    def __str__(self) -> str:
        shown = "[noNs]" if self.namespace in (NO_NAMESPACE, DEFAULT_NAMESPACE) else self.namespace
        return f"{self.gvk}/{self.name or '[noName]'}.{shown}"


def effective_namespace(gvk: Gvk, namespace: str) -> str:
    """The namespace that counts when identities are compared."""
    if (gvk.api_version, gvk.kind) in cluster_scoped_kinds():
        return NO_NAMESPACE
    return namespace or DEFAULT_NAMESPACE


def string_fields(node: Tree) -> dict[str, str]:
    """A label or annotation map with the text of each value."""
    return {str(key): text_of(value) for key, value in node.items()} if isinstance(node, dict) else {}


_DOMAIN = "internal.config.kubernetes.io/"
PREVIOUS_NAMES = _DOMAIN + "previousNames"
PREVIOUS_NAMESPACES = _DOMAIN + "previousNamespaces"
PREVIOUS_KINDS = _DOMAIN + "previousKinds"
PREFIXES, SUFFIXES = _DOMAIN + "prefixes", _DOMAIN + "suffixes"
BEHAVIOR, NEEDS_HASH = _DOMAIN + "generatorBehavior", _DOMAIN + "needsHashSuffix"
ALLOW_NAME_CHANGE, ALLOW_KIND_CHANGE = _DOMAIN + "allowNameChange", _DOMAIN + "allowKindChange"
_ENABLED = "enabled"
_LEGACY = ("config.kubernetes.io/index", "config.kubernetes.io/path", "config.k8s.io/id")
MEMORY = frozenset(
    {
        PREVIOUS_NAMES,
        PREVIOUS_NAMESPACES,
        PREVIOUS_KINDS,
        PREFIXES,
        SUFFIXES,
        BEHAVIOR,
        NEEDS_HASH,
        ALLOW_NAME_CHANGE,
        ALLOW_KIND_CHANGE,
        _DOMAIN + "refBy",
        _DOMAIN + "index",
        _DOMAIN + "path",
        _DOMAIN + "seqindent",
        _DOMAIN + "id",
        _DOMAIN + "annotations-migration-resource-id",
        *_LEGACY,
    }
)
"""Annotations in which Kustomize remembers things while it builds (api/resource/resource.go).

They stand in the manifest as they do upstream, for what a patch does to annotations depends on whether there are any.
"""


class Resource:
    """A manifest tree plus what Kustomize remembers about it.

    ``guessed``: the model of a chart made it; anything that is written under the same identity goes before it.
    """

    __slots__ = ("guessed", "origin", "tree", "var_names")

    def __init__(self, tree: Tree, origin: Origin) -> None:
        self.tree: Tree = tree
        self.origin = origin
        self.var_names: list[str] = []
        self.guessed = False

    def copy(self) -> Resource:
        """A deep copy."""
        other = Resource(copy_tree(self.tree), self.origin)
        other.var_names = list(self.var_names)
        other.guessed = self.guessed
        return other

    def _memory(self, name: str) -> str | None:
        meta = self.tree.get("metadata")
        annotations = meta.get("annotations") if isinstance(meta, dict) else None
        value = annotations.get(name) if isinstance(annotations, dict) else None
        return None if value is None else text_of(value)

    def _list(self, name: str) -> list[str]:
        text = self._memory(name)
        return [] if text is None else text.split(",")

    def _append(self, name: str, value: str) -> None:
        if not value:
            return
        text = ",".join([*self._list(name), value])
        meta = self.metadata()
        if not isinstance(meta.get("annotations"), dict):
            meta["annotations"] = {}
        meta["annotations"][name] = Quoted(text)

    def enable(self, name: str, value: str = _ENABLED) -> None:
        """Remember a fact; all annotations become text on the way."""
        self.set_string_map("annotations", {**self.annotations, name: value})

    def enabled(self, name: str) -> bool:
        """Whether a fact is remembered."""
        return self._memory(name) == _ENABLED

    @property
    def behavior(self) -> str:
        """The ``behavior:`` of the generator that made it."""
        return self._memory(BEHAVIOR) or ""

    @property
    def prefixes(self) -> list[str]:
        """The prefixes that its name got, in order."""
        return self._list(PREFIXES)

    @property
    def suffixes(self) -> list[str]:
        """The suffixes that its name got, in order."""
        return self._list(SUFFIXES)

    def add_affix(self, affix: str, *, suffix: bool) -> None:
        """Remember a prefix or a suffix."""
        self._append(SUFFIXES if suffix else PREFIXES, affix)

    @property
    def renamed(self) -> bool:
        """Whether it had another identity before (or was at least asked to remember one)."""
        return self._memory(PREVIOUS_NAMES) is not None

    def built_from(self) -> str | None:
        """The text of its origin annotation."""
        return self._memory(ORIGIN_ANNOTATION)

    def set_origin(self, origin: BuildOrigin) -> None:
        """Write its origin annotation."""
        self.enable(ORIGIN_ANNOTATION, origin.text())

    def note_change(self, change: BuildOrigin) -> None:
        """Write what changed it into an annotation (into that of its origin when it has none)."""
        if self.built_from() is None:
            self.set_origin(change)
        else:
            changes = self._memory(TRANSFORMATIONS_ANNOTATION) or ""
            self.enable(TRANSFORMATIONS_ANNOTATION, changes + change.text(item=True))

    def memories(self) -> dict[str, str]:
        """All that is remembered, as annotations."""
        return {key: value for key, value in self.annotations.items() if key.startswith(_DOMAIN) or key in _LEGACY}

    @property
    def kind(self) -> str:
        """``kind``, "" when absent."""
        return text_of(self.tree.get("kind"))

    @property
    def api_version(self) -> str:
        """``apiVersion``, "" when absent."""
        return text_of(self.tree.get("apiVersion"))

    @property
    def gvk(self) -> Gvk:
        """Group, version and kind."""
        return Gvk(*split_api_version(self.api_version), self.kind)

    def _meta(self, field: str) -> Tree:
        meta = self.tree.get("metadata")
        value = meta.get(field) if isinstance(meta, dict) else None
        return None if is_empty(value) else value

    @property
    def name(self) -> str:
        """``metadata.name``, "" when absent."""
        return text_of(self._meta("name"))

    @property
    def namespace(self) -> str:
        """``metadata.namespace``, "" when absent."""
        return text_of(self._meta("namespace"))

    @property
    def labels(self) -> dict[str, str]:
        """``metadata.labels`` as text."""
        return string_fields(self._meta("labels"))

    @property
    def annotations(self) -> dict[str, str]:
        """``metadata.annotations`` as text."""
        return string_fields(self._meta("annotations"))

    @property
    def current(self) -> ResId:
        """The identity now."""
        gvk = self.gvk
        return ResId(gvk, self.name, effective_namespace(gvk, self.namespace))

    def previous_ids(self) -> list[ResId]:
        """The identities it had, oldest first."""
        names = self._memory(PREVIOUS_NAMES)
        if names is None:
            return []
        columns = (names.split(","), self._list(PREVIOUS_NAMESPACES), self._list(PREVIOUS_KINDS))
        if len({len(column) for column in columns}) != 1:
            raise self.error("number of previous names, previous namespaces and previous kinds not equal")
        group, version = split_api_version(self.api_version)
        return [
            ResId(Gvk(group, version, kind), name, namespace or DEFAULT_NAMESPACE)
            for name, namespace, kind in zip(*columns, strict=True)
        ]

    @property
    def original(self) -> ResId:
        """The first identity it had."""
        previous = self.previous_ids()
        return previous[0] if previous else self.current

    def all_ids(self) -> list[ResId]:
        """Every identity it had, and has."""
        return [*self.previous_ids(), self.current]

    def remember(self) -> None:
        """Keep the current identity among the previous ones."""
        current = self.current
        self._append(PREVIOUS_NAMES, current.name)
        self._append(PREVIOUS_NAMESPACES, current.namespace)
        self._append(PREVIOUS_KINDS, current.gvk.kind)

    def metadata(self) -> dict[str, Tree]:
        """The ``metadata`` map, made when it is missing."""
        meta: dict[str, Tree] | None = self.tree.get("metadata")
        if not isinstance(meta, dict):
            meta = self.tree["metadata"] = {}
        return meta

    def set_name(self, name: str) -> None:
        """Write ``metadata.name``."""
        set_text(self.metadata(), "name", name)

    def set_namespace(self, namespace: str) -> None:
        """Write ``metadata.namespace``, or remove it when it is ""."""
        if namespace:
            set_text(self.metadata(), "namespace", namespace)
        elif isinstance(self.tree.get("metadata"), dict):
            self.tree["metadata"].pop("namespace", None)

    def set_string_map(self, field: str, values: dict[str, str]) -> None:
        """Write ``metadata.labels`` or ``metadata.annotations`` as strings; an empty map removes the field."""
        meta = self.metadata()
        meta.pop(field, None)
        if values:
            meta[field] = {new_key(key): new_string(values[key]) for key in sorted(values)}

    def finish(self) -> Manifest:
        """The finished manifest: annotations become strings, an empty annotation map goes. Raises RenderError."""
        annotations = {key: value for key, value in self.annotations.items() if key not in MEMORY}
        self.set_string_map("annotations", annotations)
        try:
            result: Manifest = plain(self.tree)
        except ValueError as error:
            raise self.error(str(error)) from error
        return result

    def error(self, what: str, field: str | None = None, way_out: str = "") -> RenderError:
        """An error about this resource, placed where it was written."""
        where = Where(self.origin.file, self.origin.line, field)
        return RenderError(Problem(where, f"{self.describe()}: {what}", way_out))

    def describe(self) -> str:
        """Kind, namespace and name in words."""
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {name}"


class ResMap:
    """Resources in order, no two with one identity."""

    def __init__(self, items: Iterable[Resource] = ()) -> None:
        self.items: list[Resource] = list(items)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def append_all(self, others: Iterable[Resource]) -> None:
        """Append each of ``others``. Raises RenderError when one has an identity that is taken."""
        ids = {item.current: item for item in self.items}
        for other in others:
            current = other.current
            if (first := ids.get(current)) is not None:
                if other.guessed:
                    continue
                if first.guessed:
                    self.items[self.items.index(first)] = ids[current] = other
                    continue
                raise other.error(
                    f"may not add resource with an already registered id: {current}"
                    f" (the other one is at {first.origin})",
                    way_out="list it once; if both are meant, give one another name or namespace",
                )
            ids[current] = other
            self.items.append(other)

    def matching(self, matches: Callable[[ResId], bool]) -> list[Resource]:
        """The resources of which any identity, now or before, matches."""
        return [item for item in self.items if any(matches(one) for one in item.all_ids())]

    def drop_empty(self) -> None:
        """Forget resources that a patch deleted."""
        self.items = [item for item in self.items if not is_empty(item.tree)]


def merge_metadata(target: Resource, source: Resource) -> None:
    """Labels and annotations of ``source`` under those of ``target``; name, namespace and memory from ``source``."""
    target.set_string_map("labels", {**source.labels, **target.labels})
    mine, theirs = target.annotations, source.annotations
    merged = {key: value for key, value in {**theirs, **mine}.items() if key not in MEMORY}
    merged.update({key: value for key, value in theirs.items() if key in MEMORY})
    if NEEDS_HASH not in mine:
        merged.pop(NEEDS_HASH, None)
    target.set_string_map("annotations", merged)
    target.var_names = list(source.var_names)
    target.set_name(source.name)
    target.set_namespace(source.namespace)


def validated(tree: Any, where: Where) -> None:
    """Raise RenderError when a tree is not a resource: not a map, no kind, no name."""
    if not isinstance(tree, dict):
        raise RenderError(
            Problem(where, "a manifest must be a map", "start it with `apiVersion:`, `kind:` and `metadata:`")
        )
    kind = text_of(tree.get("kind")) if not is_null(tree.get("kind")) else ""
    if not kind:
        raise RenderError(Problem(where, "missing kind in object", "add `kind:`"))
    if kind.endswith("List"):
        return
    meta = tree.get("metadata")
    name = meta.get("name") if isinstance(meta, dict) else None
    if is_empty(name) or not text_of(name):
        raise RenderError(Problem(where, f"missing metadata.name in object of kind {kind}", "add `metadata.name:`"))
