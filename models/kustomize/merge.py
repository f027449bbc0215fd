"""Strategic merge: a patch laid over a manifest, lists merged by the keys of the Kubernetes schema.

The walk visits every field of both sides, as ``kyaml/yaml/merge2`` and ``kyaml/yaml/walk`` v0.18 do, because even
fields that the patch does not name are tidied on the way (bare nulls go, merged lists lose empty items).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from models.kustomize.nodes import KindError, Tree, is_null, kind_name, new_string, styled_like, text_of, write
from models.yamldoc.scalars import STR, Quoted, Scalar, resolve

DIRECTIVE = "$patch"
Definition = dict[str, Any]


@dataclass(frozen=True)
class Schema:
    """Where merged lists are: ``kinds`` maps ``apiVersion/kind`` to a name in ``definitions``."""

    kinds: dict[str, str]
    definitions: dict[str, Definition] = field(repr=False)

    def of(self, node: Any) -> Definition | None:
        """The definition of a (sub-)tree that says its ``apiVersion`` and ``kind``."""
        if not isinstance(node, dict):
            return None
        kind, version = node.get("kind"), node.get("apiVersion")
        if is_null(kind) or is_null(version):
            return None
        name = self.kinds.get(f"{text_of(version)}/{text_of(kind)}")
        return None if name is None else self.definitions[name]

    def resolve(self, reference: str | Definition | None) -> Definition | None:
        """A definition, looked up when it is given by name."""
        return self.definitions.get(reference) if isinstance(reference, str) else reference

    def field(self, definition: Definition | None, name: str) -> Definition | None:
        """The definition of a field."""
        if definition is None:
            return None
        return self.resolve(definition.get("fields", {}).get(name, definition.get("values")))

    def items(self, definition: Definition | None) -> Definition | None:
        """The definition of a list's items."""
        return None if definition is None else self.resolve(definition.get("items"))


@cache
def builtin_schema() -> Schema:
    """The schema of Kubernetes' own types (``mergekeys.json``)."""
    text = resources.files("models.kustomize").joinpath("mergekeys.json").read_text(encoding="utf-8")
    data = json.loads(text)
    return Schema(data["kinds"], data["definitions"])


class _Kept(Scalar):
    """A null of the target that survives because it is written out (``field: null``)."""

    __slots__ = ()


def strategic_merge(patch: Tree, target: Tree, schema: Schema, *, append: bool = False) -> Tree:
    """``target`` with ``patch`` laid over it, or None when the patch deletes it. Both trees are used up.

    Args:
        patch: the patch.
        target: the manifest.
        schema: says which lists are merged.
        append: put new items of merged lists behind the old ones (patches put them in front).

    Raises:
        ValueError: the kinds of two nodes differ, or a ``$patch`` directive is unknown.
    """
    return _Merger(schema, append).walk(target, patch, None)


class _Merger:
    def __init__(self, schema: Schema, append: bool) -> None:
        self.schema = schema
        self.append = append

    def walk(self, dest: Tree, origin: Tree, definition: Definition | None) -> Tree:
        if definition is None:
            definition = self.schema.of(dest) or self.schema.of(origin)
        lead = dest if not is_null(dest) else origin
        if is_null(lead):
            return self._map(dest, origin, definition)
        other = origin if lead is dest else None
        if not is_null(other) and kind_name(other) != kind_name(lead):
            raise KindError(f"wrong node kind: expected a {kind_name(lead)} but the patch has a {kind_name(other)}")
        if isinstance(lead, dict):
            return self._map(dest, origin, definition)
        if isinstance(lead, list):
            if definition is not None and "keys" in definition:
                return self._keyed_list(dest, origin, definition)
            return origin if origin is not None else dest
        return origin if origin is not None else dest

    def _start_map(self, dest: Tree, origin: Tree) -> Tree:
        """The map to fill, or None when it is deleted."""
        if is_null(dest):
            directive = None
            if isinstance(origin, dict | list):
                try:
                    directive = take_directive(origin)
                except ValueError:
                    directive = None
            if directive == "delete":
                return None
            if origin is None and dest is not None and dest.text:
                return _Kept(dest.tag, dest.text)
            return origin
        if origin is not None and is_null(origin):
            return None
        directive = take_directive(origin)
        return None if directive == "delete" else origin if directive == "replace" else dest

    def _map(self, dest: Tree, origin: Tree, definition: Definition | None) -> Tree:
        result = self._start_map(dest, origin)
        if not isinstance(result, dict):
            return result
        names = set(result)
        if isinstance(origin, dict):
            names.update(origin)
        get = origin.get if isinstance(origin, dict) else lambda _name: None
        for name in sorted(names):
            old = result.get(name)
            value = self.walk(old, get(name), self.schema.field(definition, name))
            if value is None or (is_null(value) and not isinstance(value, _Kept)):
                result.pop(name, None)
            elif old is None:
                result[name] = value
            elif value is old:
                if type(value) is str and resolve(value, True)[0] != STR:
                    result[name] = Quoted(value)  # upstream puts quotes around such a string when it passes it
            else:
                write(result, name, styled_like(value, old))
        return result

    def _keyed_list(self, dest: Tree, origin: Tree, definition: Definition) -> Tree:
        if is_null(dest):
            result = origin
        elif origin is not None and is_null(origin):
            return None
        else:
            directive = take_directive(origin)
            result = None if directive == "delete" else origin if directive == "replace" else dest
        if not isinstance(result, list):
            return result
        sources = [result, origin if isinstance(origin, list) else None]
        keys: list[str] = definition["keys"]
        values = _key_values(sources, keys, self.append) if keys else []
        if values or keys:
            return self._merge_items(values, keys, result, sources, definition)
        return self._merge_items(_primitives(sources, self.append), [""], result, sources, definition)

    def _merge_items(
        self,
        values_list: list[list[str]],
        keys: list[str],
        dest: list[Tree],
        sources: list[list[Tree] | None],
        definition: Definition,
    ) -> Tree:
        added: list[Tree] = []
        items = self.schema.items(definition)
        if len(keys) > 1:
            values_list = _complete(values_list)
        valid_keys: list[str] = []
        for values in values_list:
            if not values:
                continue
            valid_keys, valid_values = _valid(values_list, values, keys)
            element_keys, element_values = _valid([valid_values], valid_values, valid_keys)
            found = [
                None if source is None else find_element(source, element_keys, element_values) for source in sources
            ]
            value = self.walk(found[0], found[1], items)
            if is_null(value) or value == {}:
                for _key in valid_keys:
                    set_element(dest, valid_keys, valid_values, None)
                continue
            for key, text in zip(valid_keys, valid_values, strict=False):
                if isinstance(value, dict) and key not in value and text:
                    value[key] = new_string(text) if key else text
            set_element(added, valid_keys, valid_values, value)
        if values_list:
            if self.append:
                _append_all(dest, added, valid_keys)
            else:
                _append_all(added, dest, valid_keys)
                dest = added
        return dest


def take_directive(node: Tree) -> str:
    """The ``$patch`` directive of a patch's map or list, removed from it; ``merge`` when there is none."""
    if node is None:
        return "merge"
    if isinstance(node, dict):
        if node.get(DIRECTIVE) is None:
            return "merge"
        directive = text_of(node[DIRECTIVE])
        if directive not in ("delete", "replace", "merge"):
            raise ValueError(f"unknown patch strategy '{directive}'; known are delete, merge and replace")
        del node[DIRECTIVE]
        return directive
    if isinstance(node, list):
        carrier = next((item for item in node if isinstance(item, dict) and item.get(DIRECTIVE) is not None), None)
        if carrier is None or len(carrier) > 1:
            return "merge"
        directive = text_of(carrier[DIRECTIVE])
        if directive not in ("delete", "replace", "merge"):
            raise ValueError(f"unknown patch strategy '{directive}'; known are delete, merge and replace")
        set_element(node, [DIRECTIVE], [directive], None)
        return directive
    raise ValueError(f"no strategic merge patch strategy for the scalar {text_of(node)!r}")


def _matches(item: Any, key: str, text: str) -> bool:
    """Whether a map has ``key`` with ``text`` ("" asks only that it has the key)."""
    value = item.get(key) if isinstance(item, dict) else None
    return value is not None and (text == "" or text_of(value) == text)


def set_element(target: list[Tree], keys: list[str], values: list[str], element: Tree) -> None:
    """Replace the items of ``target`` that ``keys`` and ``values`` name by ``element``, remove them when it is None,
    append it when there is none; empty items go (``yaml.ElementSetter``)."""
    result: list[Tree] = []
    found = False
    mapping = bool(keys and keys[0] and values and values[0])
    for item in target:
        if is_null(item) or item == {}:
            continue
        if not isinstance(item, dict) and mapping:
            result.append(item)
        elif not _hit(item, keys, values):
            if values:  # upstream drops the item when there is nothing to compare with
                result.append(item)
        else:
            found = True
            if element is not None:
                result.append(element)
    target[:] = result
    if not is_null(element) and not found:
        target.append(element)


def _hit(item: Tree, keys: list[str], values: list[str]) -> bool:
    matched = False
    for index, key in enumerate(keys):
        if index < len(values):
            matched = _matches(item, key, values[index]) if key else text_of(item) == values[index]
        if not matched:
            return False
    return matched


def find_element(items: list[Tree], keys: list[str], values: list[str]) -> Tree:
    """The first item that has all ``keys`` with ``values`` (``yaml.ElementMatcher``), or None."""
    if not keys or not keys[0]:
        wanted = values[0] if values else ""
        return next((item for item in items if text_of(item) == wanted), None)
    for item in items:
        if isinstance(item, dict) and all(
            item.get(key) is not None and text_of(item[key]) == text for key, text in zip(keys, values, strict=False)
        ):
            return item
    return None


def _ordered(sources: list[list[Tree] | None], append: bool) -> list[list[Tree]]:
    return [source for source in (sources if append else sources[::-1]) if source is not None]


def _key_values(sources: list[list[Tree] | None], keys: list[str], append: bool) -> list[list[str]]:
    result: list[list[str]] = []
    for source in _ordered(sources, append):
        for item in source:
            values = [_key_text(item, key) for key in keys]
            if values not in result:
                result.append(values)
    return result


def _key_text(item: Tree, key: str) -> str:
    value = item.get(key) if isinstance(item, dict) else None
    return "" if is_null(value) else text_of(value)


def _primitives(sources: list[list[Tree] | None], append: bool) -> list[list[str]]:
    seen: dict[str, None] = {}
    for source in _ordered(sources, append):
        for item in source:
            seen.setdefault(text_of(item))
    return [[text] for text in seen]


def _complete(values_list: list[list[str]]) -> list[list[str]]:
    """Fill in missing key parts from entries that agree in another part."""
    result = list(values_list)
    for left in range(len(result)):
        first = result[left]
        for right in range(len(result)):
            merged = _agree(first, result[right])
            if merged is not None:
                result[left] = merged
                result[right] = merged
    return result


def _agree(left: list[str], right: list[str]) -> list[str] | None:
    if len(left) != len(right):
        return None
    common = False
    merged: list[str] = []
    for one, other in zip(left, right, strict=True):
        if one == other:
            common = True
            merged.append(one)
        elif one and other:
            return None
        else:
            merged.append(one or other)
    return merged if common else None


def _valid(values_list: list[list[str]], values: list[str], keys: list[str]) -> tuple[list[str], list[str]]:
    """The keys that any entry has a value for, and this entry's values for them."""
    used = {keys[index] for entry in values_list for index, value in enumerate(entry) if value}
    if not used:
        return keys, values
    return (
        [key for key in keys if key in used],
        [value for index, value in enumerate(values) if value or keys[index] in used],
    )


def _append_all(target: list[Tree], source: list[Tree], keys: list[str]) -> None:
    for item in list(source):
        if keys and keys[0] == "":
            _set_primitive(target, item)
            continue
        values: list[str] = []
        for key in keys:
            value = item.get(key) if isinstance(item, dict) else None
            if value is None:
                target.append(item)
                continue
            values.append(text_of(value))
        if len(keys) > 1:
            set_element(target, keys, values, None)
        set_element(target, keys, values, item)


def _set_primitive(target: list[Tree], item: Tree) -> None:
    text = text_of(item)
    result = [item if text_of(old) == text else old for old in target if not is_null(old) and old != {}]
    if not any(text_of(old) == text for old in target):
        result.append(item)
    target[:] = result
