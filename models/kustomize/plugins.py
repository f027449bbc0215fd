"""Transformers and generators: those of a kustomization's own fields and those that stand in files of their own.

A plugin file names a built-in plugin (``apiVersion: builtin``) and configures it. Anything else would have to be run,
which we never do; it is listed as missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import Problem, RenderError, Where
from models.kustomize.charts import Approximate, chart_request, manifests_of
from models.kustomize.fieldspecs import FieldSpec, spec_from
from models.kustomize.generators import generate
from models.kustomize.images import set_images, set_replicas
from models.kustomize.kustomization import (
    CONFIG_MAP,
    FIELD_SPEC,
    HELM_CHART,
    HELM_GLOBALS,
    IMAGE,
    PATCH,
    REPLACEMENT,
    SELECTOR,
    STRINGS,
    Shape,
)
from models.kustomize.loader import parse_config
from models.kustomize.names import add_affix, add_hashes, add_namespace, put_namespace, set_string_entries
from models.kustomize.nodes import place_for_scalar, plain, scalar_like, split_path, text_of, write
from models.kustomize.patches import (
    apply_json6902,
    apply_merge_list,
    apply_patch,
    merge_selected,
    merges_in,
    only_match,
    read_patch,
    selector_from,
)
from models.kustomize.replacements import read_replacements, replace_fields
from models.kustomize.resource import ResMap, Resource
from models.kustomize.selectors import Selector
from models.kustomize.state import BuildState
from models.objects import Origin
from models.yamldoc.compose import manifest_scalar

Transformer = Callable[[ResMap], None]
_META: Shape = {"name": str, "namespace": str}
_SPECS: Shape = [FIELD_SPEC]
_VALUE_TARGET: Shape = {"selector": SELECTOR, "fieldPath": str, "filePathPosition": int}
CONFIGURATIONS: Mapping[str, Shape] = {
    "AnnotationsTransformer": {"annotations": STRINGS, "fieldSpecs": _SPECS},
    "LabelTransformer": {"labels": STRINGS, "fieldSpecs": _SPECS},
    "NamespaceTransformer": {
        "metadata": _META,
        "fieldSpecs": _SPECS,
        "unsetOnly": bool,
        "setRoleBindingSubjects": str,
    },
    "PrefixTransformer": {"prefix": str, "fieldSpecs": _SPECS},
    "SuffixTransformer": {"suffix": str, "fieldSpecs": _SPECS},
    "PrefixSuffixTransformer": {"prefix": str, "suffix": str, "fieldSpecs": _SPECS},
    "ImageTagTransformer": {"imageTag": IMAGE, "fieldSpecs": _SPECS},
    "ReplicaCountTransformer": {"replica": {"name": str, "count": int}, "fieldSpecs": _SPECS},
    "PatchTransformer": PATCH,
    "PatchJson6902Transformer": {"target": SELECTOR, "path": str, "jsonOp": str},
    "PatchStrategicMergeTransformer": {"paths": [str], "patches": str},
    "ReplacementTransformer": {"replacements": [{**REPLACEMENT, "path": str}]},
    "ValueAddTransformer": {
        "value": str,
        "targetFilePath": str,
        "targets": [_VALUE_TARGET],
    },
    "HashTransformer": {},
    "ConfigMapGenerator": {"metadata": _META, **CONFIG_MAP},
    "SecretGenerator": {"metadata": _META, **CONFIG_MAP, "type": str},
    "HelmChartInflationGenerator": {**HELM_GLOBALS, **HELM_CHART},
    "IAMPolicyGenerator": {
        "cloud": str,
        "kubernetesService": {"namespace": str, "name": str},
        "serviceAccount": {"name": str, "projectId": str},
    },
}
"""What each built-in plugin's file may say (api/internal/builtins of Kustomize v5.5)."""
GENERATORS = frozenset({"ConfigMapGenerator", "SecretGenerator", "HelmChartInflationGenerator", "IAMPolicyGenerator"})


@dataclass(frozen=True)
class Plugin:
    """A built-in plugin, configured by a file."""

    kind: str
    settings: Mapping[str, Any]
    base: Path
    where: Where


def lenient(value: Any, shape: Shape) -> Any:
    """``value`` cut down to ``shape``: unknown fields go, numbers and booleans become text where text is wanted."""
    if value is None or shape is object:
        return value
    if isinstance(shape, list):
        return [lenient(item, shape[0]) for item in value] if isinstance(value, list) else None
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return None
        if "*" in shape:
            return {str(key): lenient(item, shape["*"]) for key, item in value.items()}
        known = {key.lower(): key for key in shape}
        found = {known.get(str(key).lower()): item for key, item in value.items()}
        return {key: lenient(item, shape[key]) for key, item in found.items() if key is not None}
    if shape is str and not isinstance(value, dict | list):
        return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return value if isinstance(value, shape) else None


def is_builtin(resource: Resource) -> bool:
    """Whether a plugin file names a plugin that is built in."""
    return resource.api_version == "builtin" and resource.kind in CONFIGURATIONS


def plugin_from(resource: Resource, base: Path) -> Plugin:
    """The plugin that a file configures."""
    settings = lenient(plain(resource.tree), CONFIGURATIONS[resource.kind])
    return Plugin(resource.kind, settings, base, Where(resource.origin.file, resource.origin.line))


def _specs(settings: Mapping[str, Any]) -> list[FieldSpec]:
    return [spec_from(item) for item in settings.get("fieldSpecs") or []]


def run_generator(plugin: Plugin, state: BuildState) -> list[Resource]:
    """The resources that a generator file makes; a chart that cannot be had is noted as missing."""
    settings = plugin.settings
    if plugin.kind == "HelmChartInflationGenerator":
        return inflate(settings, settings, plugin.base, state, plugin.where)
    if plugin.kind == "IAMPolicyGenerator":
        return [_iam_service_account(plugin)]
    meta = settings.get("metadata") or {}
    args = {
        **settings,
        "name": settings.get("name") or meta.get("name"),
        "namespace": settings.get("namespace") or meta.get("namespace"),
    }
    kind = plugin.kind.removesuffix("Generator")
    return [generate(kind, args, settings.get("options") or {}, plugin.base, state.files, plugin.where)]


def inflate(
    chart: Mapping[str, Any], globals_: Mapping[str, Any], base: Path, state: BuildState, where: Where
) -> list[Resource]:
    """The objects of a chart, or nothing and a note that it is missing."""
    request = chart_request(chart, globals_, base, state.files, where)
    objects = state.charts(request) if state.charts is not None else None
    if objects is None:
        state.lacks_chart(request)
        return []
    guessed = isinstance(objects, Approximate)
    state.approximate |= guessed
    found = [Resource(tree, request.origin) for tree in manifests_of(objects, request)]
    for resource in found:
        resource.guessed = guessed
    return found


def _iam_service_account(plugin: Plugin) -> Resource:
    settings = plugin.settings
    service, account = settings.get("kubernetesService") or {}, settings.get("serviceAccount") or {}
    if settings.get("cloud") != "gke":
        raise RenderError(Problem(plugin.where, f"cloud provider {settings.get('cloud')} not supported", "use gke"))
    email = f"{account.get('name') or ''}@{account.get('projectId') or ''}.iam.gserviceaccount.com"
    metadata: dict[str, Any] = {"annotations": {"iam.gke.io/gcp-service-account": email}}
    # upstream writes the names into a text without quotes
    metadata["name"] = manifest_scalar("", service.get("name") or "", False)
    if service.get("namespace"):
        metadata["namespace"] = manifest_scalar("", service["namespace"], False)
    tree = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    return Resource(tree, Origin(plugin.where.file, plugin.where.line, "generated", "Kustomize IAM policy generator"))


def run_transformer(plugin: Plugin, resources: ResMap, state: BuildState) -> None:
    """Let a transformer file do its work. Raises RenderError as the field of the same purpose does."""
    settings, where, kind = plugin.settings, plugin.where, plugin.kind
    if kind == "AnnotationsTransformer":
        set_string_entries(resources, _texts(settings.get("annotations")), _specs(settings))
    elif kind == "LabelTransformer":
        set_string_entries(resources, _texts(settings.get("labels")), _specs(settings))
    elif kind == "NamespaceTransformer":
        _namespace(plugin, resources)
    elif kind in ("PrefixTransformer", "SuffixTransformer", "PrefixSuffixTransformer"):
        if settings.get("fieldSpecs") is None:
            raise RenderError(Problem(where, "fieldSpecs is not expected to be nil", "add `fieldSpecs:`"))
        if kind != "SuffixTransformer":
            add_affix(resources, settings.get("prefix") or "", _specs(settings), suffix=False)
        if kind != "PrefixTransformer":
            add_affix(resources, settings.get("suffix") or "", _specs(settings), suffix=True)
    elif kind == "ImageTagTransformer":
        set_images(resources, settings.get("imageTag") or {}, _specs(settings), where)
    elif kind == "ReplicaCountTransformer":
        with state.tolerant():
            set_replicas(resources, settings.get("replica") or {}, _specs(settings), where)
    elif kind == "HashTransformer":
        add_hashes(resources)
    elif kind == "ReplacementTransformer":
        for entry in settings.get("replacements") or []:
            for replacement in read_replacements(entry, plugin.base, state.files, where):
                with state.tolerant():
                    replace_fields(resources, replacement, where)
    elif kind == "ValueAddTransformer":
        _add_value(plugin, resources, state)
    else:
        _patch(plugin, resources, state)


def _texts(values: Mapping[str, Any] | None) -> dict[str, str]:
    return {key: "" if value is None else str(value) for key, value in (values or {}).items()}


def _namespace(plugin: Plugin, resources: ResMap) -> None:
    settings = plugin.settings
    subjects = settings.get("setRoleBindingSubjects") or "defaultOnly"
    if subjects not in ("defaultOnly", "none", "allServiceAccounts"):
        raise RenderError(
            Problem(
                plugin.where,
                f'invalid value "{subjects}" for setRoleBindingSubjects',
                "use defaultOnly, none or allServiceAccounts",
            )
        )
    namespace = (settings.get("metadata") or {}).get("namespace") or ""
    if namespace:
        add_namespace(
            resources,
            namespace,
            _specs(settings),
            unset_only=bool(settings.get("unsetOnly")),
            subjects=subjects,
        )


def _patch(plugin: Plugin, resources: ResMap, state: BuildState) -> None:
    settings, where = plugin.settings, plugin.where
    if plugin.kind == "PatchTransformer":
        apply_patch(resources, read_patch(settings, plugin.base, state.files, where), state)
    elif plugin.kind == "PatchJson6902Transformer":
        apply_json6902(resources, settings, plugin.base, state.files, where)
    else:
        if settings.get("paths"):
            apply_merge_list(resources, settings["paths"], plugin.base, state, where)
        for patch in merges_in(settings.get("patches") or "", where.file, where.line or 1):
            with state.tolerant():
                merge_selected(resources, [only_match(resources, patch, where)], patch, state.schema, where)


def _add_value(plugin: Plugin, resources: ResMap, state: BuildState) -> None:
    """``ValueAddTransformer``: put a value into a field, or between the parts of a path that stands there."""
    settings = plugin.settings
    value = (settings.get("value") or "").strip() or plugin.base.name
    targets = list(settings.get("targets") or [])
    if settings.get("targetFilePath"):
        path = state.files.file(plugin.base, settings["targetFilePath"], plugin.where)
        more = parse_config(state.files.text(path), state.files.display(path))
        targets += (lenient(more, {"targets": [_VALUE_TARGET]}) or {}).get("targets") or []
    if not targets:
        raise RenderError(Problem(plugin.where, "must specify at least one target", "add `targets:`"))
    for target in targets:
        field, position = target.get("fieldPath") or "", target.get("filePathPosition") or 0
        if not field or position < 0:
            what = "fieldPath cannot be empty" if not field else f"FilePathPosition ({position}) cannot be negative"
            raise RenderError(Problem(plugin.where, what, "mend the target"))
        selector = selector_from(target.get("selector")) or Selector()
        for item in selector.select(resources.items):
            if field == "metadata/namespace":
                put_namespace(item, value, [])
                continue
            try:
                parent, key = place_for_scalar(item.tree, split_path(field, "/"))
            except ValueError as error:
                raise item.error(str(error), field) from error
            old = text_of(parent[key])
            write(parent, key, scalar_like(parent[key], _inserted(old, position - 1, value) if position else value))


def _inserted(path: str, position: int, part: str) -> str:
    """``part`` put between the steps of a file path (``InsertPathPart`` in ``kyaml/filesys/util.go``)."""
    absolute = path.startswith("/")
    parts = [step for step in path.split("/") if step]
    parts.insert(position, part)
    return ("/" if absolute else "") + "/".join(parts)
