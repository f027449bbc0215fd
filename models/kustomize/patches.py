"""Patches: strategic merges and JSON patches, by identity or by target.

Rules: ``PatchTransformer``, ``PatchStrategicMergeTransformer`` and ``PatchJson6902Transformer`` of Kustomize v5.5.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.errors import InputError, Problem, RenderError, Where
from models.kustomize.absent import AbsentError
from models.kustomize.jsonpatch import apply_json_patch, decode_patch
from models.kustomize.loader import Files, parse_config, parse_manifests
from models.kustomize.merge import Schema, strategic_merge
from models.kustomize.nodes import is_empty, set_text, tree_size
from models.kustomize.resource import ALLOW_KIND_CHANGE, ALLOW_NAME_CHANGE, Gvk, ResMap, Resource, merge_metadata
from models.kustomize.selectors import Selector
from models.kustomize.state import BuildState
from models.objects import Origin


@dataclass(frozen=True)
class Patch:
    """A patch that has been read: either strategic merges or JSON operations, and where it stands."""

    where: Where
    source: str
    merges: tuple[Resource, ...] = ()
    operations: list[dict[str, Any]] = field(default_factory=list)
    target: Selector | None = None


def selector_from(value: Mapping[str, Any] | None) -> Selector | None:
    """The ``target:`` of a patch."""
    if value is None:
        return None
    return Selector(
        Gvk(value.get("group") or "", value.get("version") or "", value.get("kind") or ""),
        value.get("name") or "",
        value.get("namespace") or "",
        value.get("labelSelector") or "",
        value.get("annotationSelector") or "",
    )


def merges_in(text: str, file: str, line: int = 1) -> tuple[Resource, ...]:
    """The strategic merge patches in ``text``. Raises InputError when it holds anything else."""
    return tuple(Resource(item.tree, Origin(file, item.line)) for item in parse_manifests(text, file, line))


def operations_in(text: str, file: str, line: int = 1) -> list[dict[str, Any]]:
    """The JSON patch in ``text``. Raises ValueError or InputError when it holds anything else."""
    if text.startswith("["):
        try:
            operations = decode_patch(json.loads(text))
        except RecursionError as error:
            raise ValueError("the patch nests too deeply") from error
        tree_size(operations)
        return operations
    return decode_patch(parse_config(text, file, line))


def read_patch(value: Mapping[str, Any], base: Path, files: Files, where: Where) -> Patch:
    """An entry of ``patches:``.

    Raises:
        RenderError: neither or both of ``path`` and ``patch``, a missing file, or text that is no patch.
    """
    inline, name = (value.get("patch") or "").strip(), value.get("path") or ""
    if bool(inline) == bool(name):
        what = "patch and path can't be set at the same time" if name else "must specify one of patch and path"
        raise RenderError(Problem(where, what, "keep one of the two"))
    if name:
        path = files.file(base, name, where)
        text, shown, line = files.text(path), files.display(path), 1
    else:
        text, shown, line = inline, where.file, where.line or 1
    target = selector_from(value.get("target"))
    merges, operations, problems = _both(text, shown, line)
    if merges is not None and operations is not None:
        raise RenderError(
            Problem(where, "illegally qualifies as both an SM and JSON patch", "split it into two patches")
        )
    if operations is not None:
        return Patch(where, text, operations=operations, target=target)
    if merges is None:
        what = f"unable to parse SM or JSON patch from {name or 'the inline text'}"
        way_out = "a patch that starts with `[` must be valid JSON" if text.startswith("[") else ""
        raise RenderError((Problem(where, what, way_out), *problems))
    options = value.get("options") or {}
    for patch in merges:
        for option, name in (("allowNameChange", ALLOW_NAME_CHANGE), ("allowKindChange", ALLOW_KIND_CHANGE)):
            if options.get(option):
                patch.enable(name)
    return Patch(where, text, merges=merges, target=target)


def _both(
    text: str, file: str, line: int
) -> tuple[tuple[Resource, ...] | None, list[dict[str, Any]] | None, tuple[Problem, ...]]:
    problems: tuple[Problem, ...] = ()
    merges: tuple[Resource, ...] | None = None
    operations: list[dict[str, Any]] | None = None
    try:
        merges = merges_in(text, file, line)
    except InputError as error:
        problems = error.problems
    try:
        if text:
            operations = operations_in(text, file, line)
    except (InputError, ValueError):
        operations = None
    return merges, operations, problems


def apply_patch(resources: ResMap, patch: Patch, state: BuildState) -> None:
    """Lay a patch over the resources it is meant for.

    Raises:
        RenderError: no resource fits a patch without target, several do, or the patch does not apply.
    """
    schema = state.schema
    if patch.operations or not patch.merges:
        if patch.target is None:
            if not patch.merges and not patch.operations:
                raise RenderError(Problem(patch.where, "the patch is empty", "remove it"))
            raise RenderError(Problem(patch.where, "must specify a target for a JSON patch", "add `target:`"))
        for item in _selected(resources, patch.target, patch.where):
            item.remember()
            apply_operations(item, patch.operations, patch.where)
        return
    if patch.target is None:
        for merge in patch.merges:
            with state.tolerant():
                target = only_match(resources, merge, patch.where)
                merge_into(target, merge.copy(), schema, patch.where)
        return
    if len(patch.merges) > 1:
        raise RenderError(
            Problem(
                patch.where,
                "Multiple Strategic-Merge Patches in one `patches` entry is not allowed to set `patches.target` field",
                "write one entry for each patch",
            )
        )
    merge_selected(resources, _selected(resources, patch.target, patch.where), patch.merges[0], schema, patch.where)


def _selected(resources: ResMap, target: Selector, where: Where) -> list[Resource]:
    try:
        return target.select(resources.items)
    except ValueError as error:
        raise RenderError(Problem(where, f"unable to find patch target: {error}", "mend the selector")) from error


def only_match(resources: ResMap, patch: Resource, where: Where) -> Resource:
    """The one resource that a patch without target names. Raises RenderError when there is none or several."""
    wanted = patch.original
    found = resources.matching(lambda one: one == wanted)
    if len(found) == 1:
        return found[0]
    if found:
        error: type[RenderError] = RenderError
        what = f"multiple matches for Id {wanted}; failed to find unique target for patch {wanted}"
        way_out = "say which with `target:`"
    else:
        error = AbsentError
        what = f"no resource matches strategic merge patch {wanted}: no matches for Id {wanted}"
        way_out = "check apiVersion, kind, name and namespace" + _near(resources, patch)
    raise error(Problem(where, what, way_out))


def _near(resources: ResMap, patch: Resource) -> str:
    names = sorted({item.describe() for item in resources if patch.name in (item.name, item.original.name)})
    return f"; there are {', '.join(names[:5])}" if names else ""


def merge_selected(resources: ResMap, selected: list[Resource], patch: Resource, schema: Schema, where: Where) -> None:
    """Lay a patch over each of ``selected``; its labels and annotations become text on the way, as upstream."""
    for item in selected:
        once = patch.copy()
        memory = patch.copy()
        merge_metadata(once, memory)
        set_text(once.tree, "apiVersion", item.api_version)
        merge_into(item, once, schema, where)
    kept = [item for item in resources if not is_empty(item.tree)]
    resources.items = []
    resources.append_all(kept)


def merge_into(item: Resource, patch: Resource, schema: Schema, where: Where) -> None:
    """Lay one patch over one resource, which keeps its name, kind and namespace unless the patch may change them."""
    name, namespace, kind = item.name, item.namespace, item.kind
    renames, retypes = patch.enabled(ALLOW_NAME_CHANGE), patch.enabled(ALLOW_KIND_CHANGE)
    if renames or retypes:
        item.remember()
    try:
        merged = strategic_merge(patch.tree, item.tree, schema)
    except ValueError as error:
        raise RenderError(
            Problem(where, f"the patch does not fit {item.describe()}: {error}", "compare the patch with the object")
        ) from error
    if merged is None:
        item.tree = {}
    # a patch that is to replace the whole object makes a new one, which upstream throws away
    if is_empty(item.tree):
        return
    if not retypes:
        set_text(item.tree, "kind", kind)
    if not renames:
        item.set_name(name)
    item.set_namespace(namespace)


def apply_operations(item: Resource, operations: list[dict[str, Any]], where: Where) -> None:
    """Apply a JSON patch to one resource. Raises RenderError when an operation does not apply."""
    memories = item.memories()
    try:
        item.tree = apply_json_patch(item.tree, operations)
    except ValueError as error:
        raise RenderError(
            Problem(where, f"the JSON patch does not fit {item.describe()}: {error}", "check the path in the object")
        ) from error
    item.set_string_map("annotations", {**item.annotations, **memories})


def apply_merge_list(resources: ResMap, texts: list[str], base: Path, state: BuildState, where: Where) -> None:
    """``patchesStrategicMerge``: each entry is a patch or the name of a file with patches."""
    patches: list[Resource] = []
    for text in texts:
        try:
            patches.extend(merges_in(text, where.file, where.line or 1))
        except InputError:
            path = state.files.file(base, text, where)
            shown = state.files.display(path)
            patches.extend(Resource(one.tree, Origin(shown, one.line)) for one in state.files.manifests(path))
    if not patches:
        raise RenderError(Problem(where, "patch appears to be empty", "remove it"))
    for patch in patches:
        with state.tolerant():
            merge_selected(resources, [only_match(resources, patch, where)], patch, state.schema, where)


def apply_json6902(resources: ResMap, value: Mapping[str, Any], base: Path, files: Files, where: Where) -> None:
    """An entry of ``patchesJson6902``."""
    text, name = value.get("patch") or value.get("jsonOp") or "", value.get("path") or ""
    target = selector_from(value.get("target"))
    if target is None or not target.name:
        raise RenderError(Problem(where, "must specify the target name", "add `target:` with `name:`"))
    if bool(text) == bool(name):
        raise RenderError(Problem(where, "must specify a file path or an inline patch, not both", "keep one"))
    shown, line = where.file, where.line or 1
    if name:
        path = files.file(base, name, where)
        text, shown, line = files.text(path), files.display(path), 1
    try:
        operations = operations_in(text, shown, line)
    except ValueError as error:
        raise RenderError(Problem(where, f"unable to parse the JSON patch: {error}", "")) from error
    if not operations:
        raise RenderError(Problem(where, "patch appears to be empty", "remove it"))
    for item in _selected(resources, target, where):
        apply_operations(item, operations, where)
