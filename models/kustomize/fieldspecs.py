"""Which fields of which kinds a transformer touches: field specifications, their merging, and the walk to a field.

Defaults come from ``fieldspecs.json``; ``configurations:`` and CRD schemas add to them. Merging and order follow
``api/internal/plugins/builtinconfig`` of Kustomize v5.5.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache, lru_cache
from importlib import resources
from typing import Any, NamedTuple

from models.kustomize.nodes import Tree, is_null, kind_name, new_string, split_path, text_of
from models.kustomize.resource import Gvk, split_api_version
from models.yamldoc.scalars import STR, Scalar

ORDER_FIRST = (
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
)
"""Kinds that come first in Kustomize's legacy order (api/internal/builtins/SortOrderTransformer.go)."""
ORDER_LAST = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
"""Kinds that come last in it."""
_RANK = {
    **{kind: index - len(ORDER_FIRST) for index, kind in enumerate(ORDER_FIRST)},
    **{kind: index + 1 for index, kind in enumerate(ORDER_LAST)},
}


def gvk_sort_key(gvk: Gvk) -> tuple[int, str]:
    """The key that sorts field specifications by type."""
    return _RANK.get(gvk.kind, 0), f"{gvk.group or '~G'}_{gvk.version or '~V'}_{gvk.kind or '~K'}"


class FieldSpec(NamedTuple):
    """A field (``/``-separated path) of the kinds that ``gvk`` selects, and whether it is made when missing."""

    gvk: Gvk
    path: str
    create: bool = False


class BackReference(NamedTuple):
    """The fields in which the name of a ``target`` stands."""

    target: Gvk
    referrers: tuple[FieldSpec, ...]


class ConflictError(ValueError):
    """Two field specifications for one field disagree about creating it."""


def merge_specs(have: Sequence[FieldSpec], more: Sequence[FieldSpec]) -> tuple[FieldSpec, ...]:
    """``have`` plus those of ``more`` that it does not cover. Raises ConflictError."""
    result = list(have)
    for spec in more:
        for known in result:
            if known.path == spec.path and known.gvk.selected_by(spec.gvk):
                if known.create != spec.create:
                    raise ConflictError(
                        f"conflicting fieldspecs: {spec.path} of {spec.gvk} is given with create"
                        f" {str(spec.create).lower()} and {str(known.create).lower()}"
                    )
                break
        else:
            result.append(spec)
    return tuple(result)


def _merge_references(have: Sequence[BackReference], more: Sequence[BackReference]) -> tuple[BackReference, ...]:
    result = list(have)
    for reference in more:
        found = False
        for index, known in enumerate(result):
            if known.target == reference.target:
                result[index] = BackReference(known.target, merge_specs(known.referrers, reference.referrers))
                found = True
        if not found:
            result.append(reference)
    return tuple(result)


@dataclass(frozen=True)
class Config:
    """The field specifications of every transformer, in Kustomize's words."""

    name_prefix: tuple[FieldSpec, ...] = ()
    name_suffix: tuple[FieldSpec, ...] = ()
    namespace: tuple[FieldSpec, ...] = ()
    common_labels: tuple[FieldSpec, ...] = ()
    labels: tuple[FieldSpec, ...] = ()
    template_labels: tuple[FieldSpec, ...] = ()
    common_annotations: tuple[FieldSpec, ...] = ()
    name_reference: tuple[BackReference, ...] = ()
    var_reference: tuple[FieldSpec, ...] = ()
    images: tuple[FieldSpec, ...] = ()
    replicas: tuple[FieldSpec, ...] = ()
    _default: bool = field(default=False, compare=False, repr=False)

    def merge(self, other: Config) -> Config:
        """Both together. Raises ConflictError when two specifications disagree."""
        if self._default and other._default:
            return self
        return _merged(self, other)

    def _merged_with(self, other: Config) -> Config:
        merged: dict[str, Any] = {}
        for item in fields(self):
            if item.name == "_default":
                continue
            mine, theirs = getattr(self, item.name), getattr(other, item.name)
            merge = _merge_references if item.name == "name_reference" else merge_specs
            merged[item.name] = merge(mine, theirs)
        return Config(**merged).ordered()

    def ordered(self) -> Config:
        """The same, each list sorted by type as upstream does after merging."""
        changes: dict[str, Any] = {}
        for item in fields(self):
            specs = getattr(self, item.name)
            if isinstance(specs, tuple):
                changes[item.name] = tuple(sorted(specs, key=lambda spec: gvk_sort_key(spec[0])))
        return replace(self, **changes)


@lru_cache(maxsize=64)
def _merged(one: Config, other: Config) -> Config:
    merged = one._merged_with(other)
    # the built-in specifications stay what they are when nothing is merged with them, and are then cheap to merge
    return other if other._default and merged == other else merged


EMPTY = Config()
_KEYS = {
    "namePrefix": "name_prefix",
    "nameSuffix": "name_suffix",
    "namespace": "namespace",
    "commonLabels": "common_labels",
    "labels": "labels",
    "templateLabels": "template_labels",
    "commonAnnotations": "common_annotations",
    "nameReference": "name_reference",
    "varReference": "var_reference",
    "images": "images",
    "replicas": "replicas",
}


def spec_from(value: Any) -> FieldSpec:
    """A field specification as written in a file. Raises ValueError when its type is wrong."""
    if not isinstance(value, dict):
        raise ValueError(f"a field specification must be a map, not {value!r}")
    return FieldSpec(
        Gvk(*(str(value.get(part) or "") for part in ("group", "version", "kind"))),
        str(value.get("path") or ""),
        value.get("create") in (True, "true"),
    )


def config_from(value: Any) -> Config:
    """The configuration that a ``configurations:`` file holds. Raises ValueError on an unknown key or a wrong type."""
    if value is None:
        return EMPTY
    if not isinstance(value, dict):
        raise ValueError("a transformer configuration must be a map")
    lower = {key.lower(): name for key, name in _KEYS.items()}
    parts: dict[str, Any] = {}
    for key, items in value.items():
        name = lower.get(str(key).lower())
        if name is None:
            raise ValueError(f'unknown field "{key}"; known are {", ".join(sorted(_KEYS))}')
        if not isinstance(items or [], list):
            raise ValueError(f'"{key}" must be a list')
        if name == "name_reference":
            parts[name] = tuple(
                BackReference(spec_from(item).gvk, tuple(spec_from(spec) for spec in item.get("fieldSpecs") or ()))
                for item in items or ()
            )
        else:
            parts[name] = tuple(spec_from(item) for item in items or ())
    return Config(**parts).ordered()


@cache
def default_config() -> Config:
    """The specifications that are built in (``fieldspecs.json``)."""
    text = resources.files("models.kustomize").joinpath("fieldspecs.json").read_text(encoding="utf-8")

    def spec(row: list[Any]) -> FieldSpec:
        return FieldSpec(Gvk(*row[:3]), row[3], row[4])

    parts: dict[str, Any] = {}
    for key, rows in json.loads(text).items():
        if key == "nameReference":
            parts[_KEYS[key]] = tuple(
                BackReference(Gvk(*row[:3]), tuple(spec(item) for item in row[3])) for row in rows
            )
        elif key in _KEYS:
            parts[_KEYS[key]] = tuple(spec(row) for row in rows)
    return replace(EMPTY.merge(Config(**parts).ordered()), _default=True)


Setter = Callable[[Any, Any], None]
"""Changes ``parent[key]``."""
NOTHING, MAP, STRING = 0, 1, 2
"""What a walk makes at the end of a path whose last step is missing."""


@cache
def _steps(path: str) -> tuple[str, ...]:
    return tuple(split_path(path, "/"))


def apply_spec(tree: Tree, spec: FieldSpec, setter: Setter, make: int = NOTHING) -> None:
    """Call ``setter`` for every place in ``tree`` that ``spec`` names.

    Args:
        tree: a manifest.
        spec: the field; lists on the way are walked through.
        setter: receives the container and the key.
        make: what to make when the field is missing and the specification says so.

    Raises:
        ValueError: a scalar stands where the path goes on.
    """
    gvk = spec.gvk
    if gvk.kind and text_of(tree.get("kind")) != gvk.kind:
        return
    if gvk.group or gvk.version:
        group, version = split_api_version(text_of(tree.get("apiVersion")))
        if (gvk.group and gvk.group != group) or (gvk.version and gvk.version != version):
            return
    _walk(tree, _steps(spec.path), 0, spec, setter, make)


def _walk(node: Tree, steps: tuple[str, ...], at: int, spec: FieldSpec, setter: Setter, make: int) -> None:
    if is_null(node):
        return
    if isinstance(node, list):
        for index, item in enumerate(node):
            if isinstance(item, list | dict):
                _walk(item, steps, at, spec, setter, make)
            elif not is_null(item):
                raise ValueError(
                    f"considering field '{spec.path}': expected a list or a map at item {index}, found a scalar"
                )
        return
    if not isinstance(node, dict):
        raise ValueError(f"considering field '{spec.path}': expected a list or a map, found a {kind_name(node)}")
    name = steps[at]
    is_list = name.endswith("[]")
    name = name[:-2] if is_list else name
    if not name:
        raise ValueError(f"considering field '{spec.path}': cannot set or create an empty field name")
    last = at == len(steps) - 1
    child = node.get(name)
    creates = spec.create and make != NOTHING and not is_list
    if child is None:
        if not creates:
            return
        child = node[name] = (new_string("") if make == STRING else {}) if last else {}
    elif is_null(child) and (creates or is_list):
        if is_list:
            child = node[name] = []
        elif not last or make == MAP:
            child = node[name] = {}
        else:
            child = node[name] = Scalar(STR, text_of(child))
    if last:
        setter(node, name)
    else:
        _walk(child, steps, at + 1, spec, setter, make)
