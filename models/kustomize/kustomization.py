"""A ``kustomization.yaml`` as data: known fields only, of the right types, with the line of each.

Field names are matched without regard to case and the last of repeated fields wins, as upstream's decoder does
(``api/types/kustomization.go`` of Kustomize v5.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import Problem, RenderError, Where
from models.kustomize.loader import parse_config
from models.yamldoc.compose import compose, plain_lines

KUSTOMIZATION, COMPONENT = "Kustomization", "Component"
API_VERSIONS = {
    KUSTOMIZATION: "kustomize.config.k8s.io/v1beta1",
    COMPONENT: "kustomize.config.k8s.io/v1alpha1",
}

Shape = Any
"""``str``, ``bool``, ``int``, ``object`` (anything), ``[shape]`` (list), ``{"*": shape}`` (map), or a map of fields."""

STRINGS: Shape = {"*": str}
FIELD_SPEC: Shape = {"group": str, "version": str, "kind": str, "path": str, "create": bool}
_ID: Shape = {"group": str, "version": str, "kind": str, "name": str, "namespace": str}
SELECTOR: Shape = {**_ID, "annotationSelector": str, "labelSelector": str}
_FIELD_OPTIONS: Shape = {"delimiter": str, "index": int, "encoding": str, "create": bool}
REPLACEMENT: Shape = {
    "source": {**_ID, "fieldPath": str, "options": _FIELD_OPTIONS},
    "targets": [{"select": SELECTOR, "reject": [SELECTOR], "fieldPaths": [str], "options": _FIELD_OPTIONS}],
}
GENERATOR_OPTIONS: Shape = {
    "labels": STRINGS,
    "annotations": STRINGS,
    "disableNameSuffixHash": bool,
    "immutable": bool,
}
CONFIG_MAP: Shape = {
    "namespace": str,
    "name": str,
    "behavior": str,
    "literals": [str],
    "files": [str],
    "envs": [str],
    "env": str,
    "options": GENERATOR_OPTIONS,
}
PATCH: Shape = {"path": str, "patch": str, "target": SELECTOR, "options": {"*": bool}}
IMAGE: Shape = {"name": str, "newName": str, "tagSuffix": str, "newTag": str, "digest": str}
HELM_GLOBALS: Shape = {"chartHome": str, "configHome": str}
HELM_CHART: Shape = {
    "name": str,
    "version": str,
    "repo": str,
    "releaseName": str,
    "namespace": str,
    "additionalValuesFiles": [str],
    "valuesFile": str,
    "valuesInline": {"*": object},
    "valuesMerge": str,
    "includeCRDs": bool,
    "skipHooks": bool,
    "apiVersions": [str],
    "kubeVersion": str,
    "nameTemplate": str,
    "skipTests": bool,
    "debug": bool,
}
_OLD_HELM: Shape = {
    "chartName": str,
    "chartVersion": str,
    "chartRepoUrl": str,
    "chartHome": str,
    "chartRepoName": str,
    "helmBin": str,
    "helmHome": str,
    "values": str,
    "valuesLocal": {"*": object},
    "valuesMerge": str,
    "releaseName": str,
    "releaseNamespace": str,
    "extraArgs": [str],
}
FIELDS: Shape = {
    "apiVersion": str,
    "kind": str,
    "metadata": {"name": str, "namespace": str, "labels": STRINGS, "annotations": STRINGS},
    "openapi": STRINGS,
    "namePrefix": str,
    "nameSuffix": str,
    "namespace": str,
    "commonLabels": STRINGS,
    "labels": [{"pairs": STRINGS, "includeSelectors": bool, "includeTemplates": bool, "fields": [FIELD_SPEC]}],
    "commonAnnotations": STRINGS,
    "patchesStrategicMerge": [str],
    "patchesJson6902": [PATCH],
    "patches": [PATCH],
    "images": [IMAGE],
    "imageTags": [IMAGE],
    "replacements": [{**REPLACEMENT, "path": str}],
    "replicas": [{"name": str, "count": int}],
    "vars": [
        {
            "name": str,
            "objref": {"apiVersion": str, **_ID},
            "fieldref": {"fieldPath": str},
        }
    ],
    "sortOptions": {"order": str, "legacySortOptions": {"orderFirst": [str], "orderLast": [str]}},
    "resources": [str],
    "components": [str],
    "crds": [str],
    "bases": [str],
    "configMapGenerator": [CONFIG_MAP],
    "secretGenerator": [{**CONFIG_MAP, "type": str}],
    "helmGlobals": HELM_GLOBALS,
    "helmCharts": [HELM_CHART],
    "helmChartInflationGenerator": [_OLD_HELM],
    "generatorOptions": GENERATOR_OPTIONS,
    "configurations": [str],
    "generators": [str],
    "transformers": [str],
    "validators": [str],
    "buildMetadata": [str],
}


@dataclass(frozen=True)
class Kustomization:
    """One kustomization file: its directory, its name for people, its fields under their proper names."""

    directory: Path
    file: str
    fields: Mapping[str, Any]
    lines: Mapping[tuple[str | int, ...], int]

    def get(self, field: str) -> Any:
        """A field's value, or None."""
        return self.fields.get(field)

    def items(self, field: str) -> list[Any]:
        """A list field's items; empty when it is absent."""
        return self.fields.get(field) or []

    def text(self, field: str) -> str:
        """A text field, "" when absent."""
        return self.fields.get(field) or ""

    @property
    def is_component(self) -> bool:
        """Whether it is a component."""
        return self.text("kind") == COMPONENT

    def where(self, *path: str | int) -> Where:
        """The place of a field, with the line of its nearest ancestor that exists."""
        for length in range(len(path), -1, -1):
            line = self.lines.get(path[:length])
            if line is not None:
                break
        name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
        return Where(self.file, line, name or None)

    def error(self, what: str, *path: str | int, way_out: str = "") -> RenderError:
        """An error at a field."""
        return RenderError(Problem(self.where(*path), what, way_out))


def conform(
    value: Any, shape: Shape, path: tuple[str | int, ...], problems: list[tuple[tuple[str | int, ...], str]]
) -> Any:
    """``value`` with proper field names; what does not fit is reported in ``problems`` and left out."""
    if value is None or shape is object:
        return value
    if isinstance(shape, list):
        if not isinstance(value, list):
            problems.append((path, f"must be a list, not {_name(value)}"))
            return None
        # an empty item is what Go makes of it: an empty text, or an entry without fields
        nothing: Any = "" if shape[0] is str else {} if isinstance(shape[0], dict) else None
        return [
            nothing if item is None else conform(item, shape[0], (*path, index), problems)
            for index, item in enumerate(value)
        ]
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            problems.append((path, f"must be a map, not {_name(value)}"))
            return None
        if "*" in shape:
            return {str(key): conform(item, shape["*"], (*path, key), problems) for key, item in value.items()}
        known = {key.lower(): key for key in shape}
        result: dict[str, Any] = {}
        for key, item in sorted(value.items()):  # of two spellings of a field, the last one counts
            proper = key if key in shape else known.get(str(key).lower())
            if proper is None:
                problems.append(((*path, key), f'unknown field "{key}"'))
                continue
            result[proper] = conform(item, shape[proper], (*path, key), problems)
        return {key: item for key, item in result.items() if item is not None}
    if shape is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if shape is not int and isinstance(value, shape):
        return value
    expected = {str: "text", bool: "true or false", int: "an integer"}[shape]
    hint = "; put it in quotes" if shape is str and not isinstance(value, dict | list) else ""
    problems.append((path, f"must be {expected}, not {_name(value)}{hint}"))
    return None


def _name(value: Any) -> str:
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"the {'text' if isinstance(value, str) else 'number'} {value!r}"


def load_kustomization(text: str, directory: Path, file: str) -> Kustomization:
    """Read a kustomization file.

    Raises:
        InputError: malformed YAML.
        RenderError: unknown or ill-typed fields (all of them), a wrong kind or version, or nothing in it.
    """
    value = parse_config(text, file)
    roots = compose(text, file, only_first=True)
    lines: dict[tuple[str | int, ...], int] = (
        dict(plain_lines(roots[0], 1)) if roots and roots[0] is not None else {(): 1}
    )
    raw = Kustomization(directory, file, {}, lines)
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise raw.error("a kustomization must be a map", way_out="start it with `resources:`")
    found: list[tuple[tuple[str | int, ...], str]] = []
    fields = conform(value, FIELDS, (), found)
    if found:
        raise RenderError(
            Problem(raw.where(*path), f"invalid Kustomization: {what}", _way_out(what)) for path, what in found
        )
    if not any(fields[key] != "" for key in fields if key not in ("apiVersion", "kind")):
        raise raw.error("kustomization.yaml is empty", way_out="list something under `resources:`")
    kustomization = Kustomization(directory, file, _modern(fields), lines)
    _check_type(kustomization)
    return kustomization


def _way_out(what: str) -> str:
    return "check the spelling; Kustomize v5.5 knows no such field" if what.startswith("unknown") else "mend the value"


def _check_type(kustomization: Kustomization) -> None:
    kind = kustomization.text("kind")
    if kind not in API_VERSIONS:
        raise kustomization.error(f"kind should be {KUSTOMIZATION} or {COMPONENT}, not {kind}", "kind")
    version = kustomization.text("apiVersion")
    if version != API_VERSIONS[kind]:
        raise kustomization.error(
            f"apiVersion for {kind} should be {API_VERSIONS[kind]}, not {version}", "apiVersion", way_out="change it"
        )


def _modern(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with the deprecated ones moved to where they belong today."""
    result = dict(fields)
    result["kind"] = fields.get("kind") or KUSTOMIZATION
    result["apiVersion"] = fields.get("apiVersion") or API_VERSIONS.get(result["kind"], "")
    result["resources"] = [*(fields.get("resources") or []), *(result.pop("bases", None) or [])]
    result["images"] = [*(fields.get("images") or []), *(result.pop("imageTags", None) or [])]
    for generator in ("configMapGenerator", "secretGenerator"):
        result[generator] = [
            {**item, "envs": [*(item.get("envs") or []), *([item["env"]] if item.get("env") else [])]}
            for item in fields.get(generator) or []
            if item is not None
        ]
    old = result.pop("helmChartInflationGenerator", None) or []
    homes = [chart["chartHome"] for chart in old if chart.get("chartHome")]
    if homes and not result.get("helmGlobals"):
        result["helmGlobals"] = {"chartHome": homes[-1]}
    result["helmCharts"] = [*(fields.get("helmCharts") or []), *map(_modern_chart, old)]
    return result


def _modern_chart(old: dict[str, Any]) -> dict[str, Any]:
    names = {
        "chartName": "name",
        "chartVersion": "version",
        "chartRepoUrl": "repo",
        "values": "valuesFile",
        "valuesLocal": "valuesInline",
        "valuesMerge": "valuesMerge",
        "releaseName": "releaseName",
    }
    return {new: old[key] for key, new in names.items() if key in old}
