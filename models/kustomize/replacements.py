"""``replacements:`` - copy a field of one object into fields of others.

Rules: ``api/filters/replacement`` and ``kyaml/yaml/match.go`` (``PathMatcher``) of Kustomize v5.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.errors import Problem, RenderError, Where
from models.kustomize.absent import AbsentError
from models.kustomize.kustomization import REPLACEMENT, conform
from models.kustomize.loader import Files, parse_config
from models.kustomize.nodes import (
    MAX_NODES,
    KindError,
    Tree,
    copy_tree,
    is_empty,
    is_index,
    is_null,
    is_scalar,
    kind_name,
    list_step,
    lookup,
    retagged,
    split_field_path,
    text_of,
    tree_size,
    write,
)
from models.kustomize.resource import DEFAULT_NAMESPACE, Gvk, ResId, ResMap, Resource
from models.kustomize.selectors import go_pattern, parse_label_selector
from models.yamldoc.scalars import STR, Quoted, Scalar, resolve

DEFAULT_PATH = "metadata.name"


def read_replacements(entry: Mapping[str, Any], base: Path, files: Files, where: Where) -> list[Mapping[str, Any]]:
    """The replacements of an entry: itself, or those of the file that it names."""
    name = entry.get("path")
    if not name:
        return [entry]
    if entry.get("source") or entry.get("targets"):
        raise RenderError(Problem(where, "cannot specify both path and inline replacement", "keep one of the two"))
    path = files.file(base, name, where)
    value = parse_config(files.text(path), files.display(path))
    found: list[tuple[tuple[str | int, ...], str]] = []
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, dict) for item in items):
        raise RenderError(
            Problem(Where(files.display(path), 1), "unsupported replacement type: a list or a map is expected", "")
        )
    return [conform(_stringly(item), REPLACEMENT, (), found) for item in items]


def _stringly(value: Any) -> Any:
    """Numbers and booleans in text fields as text, as a lenient decoder takes them."""
    if isinstance(value, dict):
        return {key: item if key in ("index", "create") else _stringly(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_stringly(item) for item in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def replace_fields(resources: ResMap, replacement: Mapping[str, Any], where: Where) -> None:
    """Apply one replacement.

    Raises:
        RenderError: the source is missing or ambiguous, a target field does not exist, or a value does not fit.
    """
    source, targets = replacement.get("source"), replacement.get("targets")
    if source is None or targets is None:
        raise RenderError(Problem(where, "replacements must specify a source and at least one target", "add them"))
    found = [item for item in resources if any(_selected(one, source) for one in _ids(item))]
    if not found:
        raise AbsentError(Problem(where, f"nothing selected by {_shown(source)}", "check the source's kind and name"))
    try:
        value = _source_value(found, source)
        for target in targets:
            _to_target(resources, target, value)
    except ValueError as error:
        raise RenderError(Problem(where, str(error), "check the path and the names in the objects")) from error


def _select_id(selector: Mapping[str, Any]) -> tuple[Gvk, str, str]:
    gvk = Gvk(selector.get("group") or "", selector.get("version") or "", selector.get("kind") or "")
    return gvk, selector.get("name") or "", selector.get("namespace") or ""


def _ids(item: Resource) -> list[ResId]:
    """Identities as replacements see them: a cluster-scoped object counts as in the default namespace."""
    current = ResId(item.gvk, item.name, item.namespace or DEFAULT_NAMESPACE)
    return [current, *item.previous_ids()]


def _selected(one: ResId, selector: Mapping[str, Any]) -> bool:
    gvk, name, namespace = _select_id(selector)
    return (not name or name == one.name) and (not namespace or namespace == one.namespace) and one.gvk.selected_by(gvk)


def _shown(selector: Mapping[str, Any]) -> str:
    gvk, name, namespace = _select_id(selector)
    return f"{gvk}/{name or '[noName]'}.{namespace or '[noNs]'}"


def _source_value(found: list[Resource], source: Mapping[str, Any]) -> _Slot:
    """The place of the value. A whole field is read anew at every target, for a target may be the source itself."""
    if len(found) > 1:
        places = ", ".join(str(item.origin) for item in found[:5])
        raise ValueError(f"multiple matches for selector {_shown(source)} ({places})")
    path = source.get("fieldPath") or DEFAULT_PATH
    value = lookup(found[0].tree, split_field_path(path))
    if is_empty(value):
        raise ValueError(f"fieldPath `{path}` is missing for replacement source {_shown(source)}")
    options = source.get("options") or {}
    delimiter = options.get("delimiter")
    if not delimiter:
        return _slot_of(found[0].tree, split_field_path(path), value)
    if not is_scalar(value):
        raise ValueError("delimiter option can only be used with scalar nodes")
    parts = text_of(value).split(delimiter)
    index = options.get("index") or 0
    if not 0 <= index < len(parts):
        raise ValueError(f"options.index {index} is out of bounds for value {text_of(value)}")
    return _Slot([retagged(value, parts[index])], 0)


def _slot_of(tree: Tree, steps: list[str], value: Tree) -> _Slot:
    """The place of ``value``, which stands at ``steps``."""
    container = lookup(tree, steps[:-1])
    if isinstance(container, dict):
        return _Slot(container, steps[-1].strip())
    return _Slot(container, next(index for index, item in enumerate(container) if item is value))


def _to_target(resources: ResMap, target: Mapping[str, Any], value: _Slot) -> None:
    select = target.get("select")
    if select is None:
        raise ValueError("target must specify resources to select")
    rejects = [reject for reject in target.get("reject") or [] if reject]
    for item in resources:
        ids = _ids(item)
        if not _labels_match(item, select) or any(
            _labels_match(item, reject)
            for reject in rejects
            if reject.get("annotationSelector") or reject.get("labelSelector")
        ):
            continue
        if not any(_selected(one, select) for one in ids):
            continue
        if any(_selected(one, reject) for reject in rejects if any(_flat(reject)) for one in ids):
            continue
        for path in target.get("fieldPaths") or [DEFAULT_PATH]:
            try:
                _copy_to(item.tree, path, value, target.get("options") or {})
            except ValueError as error:
                raise ValueError(f"{error} (in {item.describe()}, {item.origin})") from error


def _flat(selector: Mapping[str, Any]) -> tuple[str, ...]:
    gvk, name, namespace = _select_id(selector)
    return (*gvk, name, namespace)


def _labels_match(item: Resource, selector: Mapping[str, Any]) -> bool:
    return parse_label_selector(selector.get("annotationSelector") or "")(item.annotations) and parse_label_selector(
        selector.get("labelSelector") or ""
    )(item.labels)


def _copy_to(tree: Tree, path: str, source: _Slot, options: Mapping[str, Any]) -> None:
    creates, value = bool(options.get("create")), source.node
    what = f"unable to find {'or create ' if creates else ''}field {path!r} in replacement target"
    kind = {"map": dict, "list": list, "scalar": str}[kind_name(value)] if creates else None
    steps = split_field_path(path)
    meta = tree.get("metadata")
    annotating = creates and steps[:2] == ["metadata", "annotations"] and isinstance(meta, dict)
    if annotating and is_null(meta.get("annotations", "")):
        # elsewhere what is made inside of a null is lost; annotations are written anew in the end
        meta["annotations"] = {}
    try:
        places = _Places(kind).find(_Slot({"": tree}, ""), steps)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
    if not places:
        raise ValueError(what)
    for place in places:
        _put(place, source.node, options)


class _Slot:
    """A place in a tree: a container and a key."""

    __slots__ = ("container", "key")

    def __init__(self, container: Any, key: Any) -> None:
        self.container = container
        self.key = key

    @property
    def node(self) -> Tree:
        return self.container[self.key]


class _Places:
    """All places that a path with wildcards and conditions leads to; missing ones are made when asked for."""

    def __init__(self, create: type | None) -> None:
        self.create = create  # str stands for any scalar; its type follows from the text that it gets

    def find(self, slot: _Slot, steps: list[str]) -> list[_Slot]:
        if not steps:
            return [slot]
        step, rest = steps[0], steps[1:]
        if is_index(step):
            return self._index(slot, int(step), rest)
        if step.startswith("[") and step.endswith("]"):
            return self._matching(slot, step, rest)
        if step == "*":
            return [
                found
                for index in range(len(_list(slot.node, step)))
                for found in self.find(_Slot(slot.node, index), rest)
            ]
        return self._field(slot, step, rest)

    def _new(self, rest: list[str]) -> Tree:
        following = rest[0] if rest else None
        if following is None:
            return Scalar("", "") if self.create in (str, None) else self.create()
        if is_index(following) or (following.startswith("[") and following.endswith("]")):
            return []
        return {}

    def _field(self, slot: _Slot, step: str, rest: list[str]) -> list[_Slot]:
        node = slot.node
        if is_null(node):
            if self.create is None:
                return []
            # upstream makes the field inside the null, where nobody sees it
            return self.find(_Slot({step: self._new(rest)}, step), rest)
        if not isinstance(node, dict):
            raise KindError(f"wrong node kind: expected a map but got a {kind_name(node)} at {step!r}")
        if step not in node:
            if self.create is None:
                return []
            node[step] = self._new(rest)
        return self.find(_Slot(node, step), rest)

    def _index(self, slot: _Slot, index: int, rest: list[str]) -> list[_Slot]:
        items = _list(slot.node, str(index))
        if index == len(items) and self.create is not None:
            items.append(self._new(rest))
        if index >= len(items):
            raise ValueError(f"index {index} specified but only {len(items)} elements found")
        return self.find(_Slot(items, index), rest)

    def _matching(self, slot: _Slot, step: str, rest: list[str]) -> list[_Slot]:
        key, wanted = list_step(step)
        matches = go_pattern(wanted, before="", behind="")
        items = _list(slot.node, step)
        found: list[_Slot] = []
        for index, item in enumerate(items):
            if key == "":
                if matches(_yaml_text(item)):
                    found.append(_Slot(items, index))
            elif isinstance(item, dict) and key in item and matches(_yaml_text(item[key])):
                found.extend(self.find(_Slot(items, index), rest))
        if found or self.create is None:
            return found
        made = wanted if key == "" else {key: wanted}
        if not matches(_yaml_text(wanted)):
            raise ValueError(f"an element made for {step!r} does not match it; write the plain value, not a pattern")
        items.append(made)
        place = _Slot(items, len(items) - 1)
        return [place] if key == "" else self.find(place, rest)


def _list(node: Tree, step: str) -> list[Tree]:
    if is_null(node):
        return []
    if not isinstance(node, list):
        raise KindError(f"wrong node kind: expected a list but got a {kind_name(node)} at {step!r}")
    return node


def _yaml_text(node: Tree) -> str:
    """A scalar as it would be written in YAML: a string that looks like something else stands in quotes."""
    text = text_of(node)
    string = isinstance(node, str) or (isinstance(node, Scalar) and node.tag == STR)
    if isinstance(node, Quoted) or (string and resolve(text)[0] != STR):
        return f'"{text}"'
    return text


def _put(slot: _Slot, value: Tree, options: Mapping[str, Any]) -> None:
    old = slot.node
    new = value
    delimiter = options.get("delimiter")
    if delimiter:
        if not is_scalar(old):
            raise ValueError("delimiter option can only be used with scalar nodes")
        parts = text_of(old).split(delimiter)
        index = options.get("index") or 0
        text = "" if is_null(value) else text_of(value)
        if index < 0:
            parts.insert(0, text)
        elif index >= len(parts):
            parts.append(text)
        else:
            parts[index] = text
        new = retagged(value, delimiter.join(parts)) if is_scalar(value) else delimiter.join(parts)
    if is_scalar(old):
        write(slot.container, slot.key, retagged(old, text_of(new)))
    else:
        if tree_size(new) > MAX_NODES:
            raise ValueError(f"the value has more than {MAX_NODES} nodes")
        slot.container[slot.key] = copy_tree(new)
