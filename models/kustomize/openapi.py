"""OpenAPI files that a kustomization names: merge keys of custom types (``openapi:``) and their references (``crds:``).

Rules: ``kyaml/openapi`` and ``api/internal/accumulator/loadconfigfromcrds.go`` of Kustomize v5.5.
"""

from __future__ import annotations

from typing import Any

from models.kustomize.fieldspecs import BackReference, Config, FieldSpec
from models.kustomize.merge import Definition, Schema
from models.kustomize.resource import Gvk


def schema_from(document: Any) -> Schema:
    """The merge keys in an OpenAPI document. Raises ValueError when it is none."""
    definitions = document.get("definitions") if isinstance(document, dict) else None
    if definitions is None:
        return Schema({}, {})
    if not isinstance(definitions, dict):
        raise ValueError("`definitions` must be a map")
    kinds: dict[str, str] = {}
    for name, definition in definitions.items():
        if not isinstance(definition, dict):
            continue
        for gvk in definition.get("x-kubernetes-group-version-kind") or []:
            if isinstance(gvk, dict):
                version = "/".join(part for part in (gvk.get("group"), gvk.get("version")) if part)
                kinds[f"{version}/{gvk.get('kind')}"] = name
    return Schema(kinds, {name: _compact(item) for name, item in definitions.items() if isinstance(item, dict)})


def _compact(value: dict[str, Any]) -> Definition:
    result: Definition = {}
    if "merge" in str(value.get("x-kubernetes-patch-strategy") or "").split(","):
        key = value.get("x-kubernetes-patch-merge-key")
        result["keys"] = list(value.get("x-kubernetes-list-map-keys") or ([key] if key else []))
    if isinstance(value.get("properties"), dict):
        result["fields"] = {
            name: _reference(item) for name, item in value["properties"].items() if isinstance(item, dict)
        }
    if isinstance(value.get("additionalProperties"), dict):
        result["values"] = _reference(value["additionalProperties"])
    if value.get("type") == "array" and isinstance(value.get("items"), dict):
        result["items"] = _reference(value["items"])
    return result


def _reference(value: dict[str, Any]) -> str | Definition:
    reference = value.get("$ref")
    return reference.rpartition("/")[2] if isinstance(reference, str) else _compact(value)


def merged_schema(one: Schema, other: Schema) -> Schema:
    """Both together; ``other`` wins."""
    return Schema({**one.kinds, **other.kinds}, {**one.definitions, **other.definitions})


def config_from_crds(document: Any) -> Config:
    """Field specifications that the schemas of custom types state with ``x-kubernetes-*`` marks.

    Raises:
        ValueError: the document is not a map from type names to schemas (a CustomResourceDefinition is not).
    """
    if not isinstance(document, dict) or not all(isinstance(item, dict | None) for item in document.values()):
        raise ValueError(
            "unable to parse open API definition: a map from type names to `Schema` is expected;"
            " a CustomResourceDefinition belongs under `resources:`"
        )
    types = {name: _properties(item or {}) for name, item in document.items()}
    collected = _Collected()
    for name, properties in types.items():
        if {"kind", "apiVersion", "metadata"} <= properties.keys():
            collected.walk(Gvk(kind=name.rpartition(".")[2]), types, name, [])
    return Config(
        name_prefix=tuple(collected.prefix),
        common_labels=tuple(collected.labels),
        common_annotations=tuple(collected.annotations),
        name_reference=tuple(collected.references),
    ).ordered()


def _properties(definition: dict[str, Any]) -> dict[str, Any]:
    schema = next((value for key, value in definition.items() if key.lower() == "schema"), None)
    found = schema.get("properties") if isinstance(schema, dict) else None
    return found if isinstance(found, dict) else {}


class _Collected:
    def __init__(self) -> None:
        self.prefix: list[FieldSpec] = []
        self.labels: list[FieldSpec] = []
        self.annotations: list[FieldSpec] = []
        self.references: list[BackReference] = []

    def walk(self, gvk: Gvk, types: dict[str, dict[str, Any]], name: str, path: list[str]) -> None:
        if len(path) > len(types) + 32:
            return
        for field, value in types.get(name, {}).items():
            if not isinstance(value, dict):
                continue
            spec = FieldSpec(gvk, "/".join([*path, field]))
            if isinstance(value.get("x-kubernetes-annotation"), str):
                self.annotations.append(spec)
            if isinstance(value.get("x-kubernetes-label-selector"), str):
                self.labels.append(spec)
            if isinstance(value.get("x-kubernetes-identity"), str):
                self.prefix.append(spec)
            version, kind = (value.get(f"x-kubernetes-object-ref-{part}") for part in ("api-version", "kind"))
            if isinstance(version, str) and isinstance(kind, str):
                key = value.get("x-kubernetes-object-ref-name-key") or "name"
                referrer = FieldSpec(gvk, "/".join([*path, field, str(key)]))
                self.references.append(BackReference(Gvk("", version, kind), (referrer,)))
            if isinstance(value.get("$ref"), str):
                self.walk(gvk, types, value["$ref"], [*path, field])
