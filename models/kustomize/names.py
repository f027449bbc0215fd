"""Prefixes, suffixes, hashes, namespaces and labels: the transformers that write one field each.

Rules: ``api/filters`` and ``api/internal/builtins`` of Kustomize v5.5.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from models.kustomize.fieldspecs import MAP, STRING, FieldSpec, Setter, apply_spec
from models.kustomize.nodes import (
    KindError,
    is_empty,
    is_null,
    is_scalar,
    kind_name,
    new_key,
    plain,
    scalar_like,
    set_text,
    text_of,
    write,
)
from models.kustomize.resource import NEEDS_HASH, Gvk, ResMap, Resource, cluster_scoped_kinds
from models.yamldoc.scalars import STR, Shared

_UNNAMED = (
    Gvk(kind="CustomResourceDefinition"),
    Gvk(group="apiregistration.k8s.io", kind="APIService"),
    Gvk(kind="Namespace"),
)
"""Types whose names no prefix or suffix touches (PrefixTransformer.go)."""


def put_scalar(parent: Any, key: Any, text: str, tag: str = "") -> None:
    """Write text over a scalar. Raises KindError when a map or a list stands there."""
    old = parent[key]
    if not is_scalar(old):
        raise KindError(f"wrong node kind: expected a scalar but got a {kind_name(old)} at '{key}'")
    write(parent, key, scalar_like(old, text, tag))


def apply_to(resource: Resource, spec: FieldSpec, setter: Setter, make: int) -> None:
    """:func:`apply_spec` with errors placed at the resource."""
    try:
        apply_spec(resource.tree, spec, setter, make)
    except ValueError as error:
        raise resource.error(str(error), spec.path) from error


def add_affix(resources: ResMap, affix: str, specs: Sequence[FieldSpec], *, suffix: bool) -> None:
    """Put a prefix before, or a suffix behind, the names of all resources but those that never change."""

    def setter(parent: Any, key: Any) -> None:
        old = text_of(parent[key])
        put_scalar(parent, key, old + affix if suffix else affix + old)

    for item in resources:
        original = item.original.gvk
        if any(original.selected_by(one) for one in _UNNAMED):
            continue
        for spec in specs:
            if not original.selected_by(spec.gvk):
                continue
            if spec.path == "metadata/name" and affix:
                item.add_affix(affix, suffix=suffix)
                item.remember()
            apply_to(item, spec, setter, STRING)


def set_string_entries(resources: ResMap, entries: Mapping[str, str], specs: Sequence[FieldSpec]) -> None:
    """Write ``entries`` into the maps that ``specs`` name: labels and annotations."""
    for item in resources:
        for key in sorted(entries):
            shared = Shared(STR, entries[key])

            def setter(parent: Any, name: Any, key: str = key, shared: Shared = shared) -> None:
                target = parent[name]
                if is_null(target):
                    return
                if not isinstance(target, dict):
                    raise KindError(f"wrong node kind: expected a map but got a {kind_name(target)} at '{name}'")
                if key in target:
                    set_text(target, key, entries[key], STR)
                else:
                    target[new_key(key)] = shared

            for spec in specs:
                apply_to(item, spec, setter, MAP)


def add_namespace(
    resources: ResMap,
    namespace: str,
    specs: Sequence[FieldSpec],
    *,
    unset_only: bool = False,
    subjects: str = "defaultOnly",
) -> None:
    """Move all resources into a namespace: metadata, the default service account in role bindings, other fields.

    Raises:
        RenderError: two resources would get one identity.
    """

    for item in resources:
        if not is_empty(item.tree):
            item.remember()
            put_namespace(item, namespace, specs, unset_only=unset_only, subjects=subjects)
    _refuse_conflicts(resources, namespace)


def put_namespace(
    item: Resource,
    namespace: str,
    specs: Sequence[FieldSpec],
    *,
    unset_only: bool = False,
    subjects: str = "defaultOnly",
) -> None:
    """Move one resource into a namespace."""

    def setter(parent: Any, key: Any) -> None:
        if unset_only and text_of(parent[key]):
            return
        put_scalar(parent, key, namespace, STR)

    gvk = item.gvk
    if (gvk.api_version, gvk.kind) not in cluster_scoped_kinds():
        apply_to(item, FieldSpec(Gvk(), "metadata/namespace", create=True), setter, STRING)
    binding = gvk.kind in ("RoleBinding", "ClusterRoleBinding")
    if binding and subjects != "none":
        _set_subjects(item, setter, everyone=subjects == "allServiceAccounts")
    for spec in specs:
        if spec.path == "metadata/namespace" or (spec.path == "metadata/name" and item.api_version != "v1"):
            continue
        if binding and spec.gvk.kind in ("RoleBinding", "ClusterRoleBinding") and spec.path == "subjects/namespace":
            continue
        apply_to(item, spec, setter, STRING)


def _set_subjects(item: Resource, setter: Setter, *, everyone: bool) -> None:
    subjects = item.tree.get("subjects")
    if is_null(subjects):
        return
    if not isinstance(subjects, list):
        raise item.error("subjects must be a list", "subjects")
    for subject in subjects:
        if not isinstance(subject, dict):
            continue
        chosen = (
            text_of(subject.get("kind")) == "ServiceAccount" if everyone else text_of(subject.get("name")) == "default"
        )
        if chosen:
            if subject.get("namespace") is None:
                subject["namespace"] = ""
            setter(subject, "namespace")


def _refuse_conflicts(resources: ResMap, namespace: str) -> None:
    seen: dict[Any, Resource] = {}
    for item in resources:
        first = seen.setdefault(item.current, item)
        if first is not item:
            raise item.error(
                f"namespace transformation produces ID conflict: {item.current} is also at {first.origin}",
                way_out=f"both end up in namespace {namespace}; give one another name",
            )


_HASH_LETTERS = str.maketrans({"0": "g", "1": "h", "3": "k", "a": "m", "e": "t"})


def _go_json(value: Any) -> str:
    """JSON as Go's ``encoding/json`` writes it: sorted, compact, HTML characters escaped."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def content_hash(item: Resource) -> str:
    """The ten letters that Kustomize appends to the name of a generated ConfigMap or Secret.

    Source: ``api/hasher/hasher.go``. The name takes no part in it (upstream looks it up where it is not).
    """

    def field(name: str) -> Any:
        node = item.tree.get(name)
        return "" if node is None else text_of(node) if is_scalar(node) else plain(node)

    content: dict[str, Any] = {"kind": item.kind, "name": "", "data": field("data")}
    extra = "binaryData"
    if item.kind == "Secret":
        content["type"] = field("type")
        extra = "stringData"
    if isinstance(more := field(extra), dict):
        content[extra] = more
    digest = hashlib.sha256(_go_json(content).encode("utf-8")).hexdigest()
    return digest[:10].translate(_HASH_LETTERS)


def add_hashes(resources: ResMap) -> None:
    """Append the content hash to the names of generated resources that want one."""
    for item in resources:
        if item.enabled(NEEDS_HASH):
            suffix = content_hash(item)
            item.remember()
            item.set_name(f"{item.name}-{suffix}")
