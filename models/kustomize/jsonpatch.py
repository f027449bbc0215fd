"""JSON patches (RFC 6902) with the habits of the library that Kustomize uses (evanphx/json-patch v4).

Where it departs from the RFC: ``replace`` of a missing map key adds it, list indices may be negative, and a path
without a leading slash loses its first step.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from models.kustomize.nodes import Tree, from_json, plain, tree_size

MAX_COPIED = 1_000_000
"""Most maps, lists and values that lie in an object when its patch copies, all copies together."""


def decode_patch(value: Any) -> list[dict[str, Any]]:
    """The operations in ``value``. Raises ValueError when it is not a list of maps."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError("a JSON patch must be a list of operations")
    return value


def apply_json_patch(tree: Tree, operations: list[dict[str, Any]]) -> Tree:
    """``tree`` after all ``operations``. Raises ValueError naming the operation that does not apply."""
    document = plain(tree)
    copied = 0
    for number, operation in enumerate(operations):
        try:
            if operation.get("op") in ("copy", "move"):
                copied += tree_size(document)
                if copied > MAX_COPIED:
                    raise ValueError("the patch copies too much")
            document = _apply(document, operation)
        except (ValueError, IndexError, KeyError, TypeError) as error:
            raise ValueError(f"operation {number} ({operation.get('op')} {operation.get('path')}): {error}") from error
    if not isinstance(document, dict):
        raise ValueError("the patch leaves something that is not a map")
    tree_size(document)
    return from_json(document)


def _unescape(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")


def _find(document: Any, path: str, what: str) -> tuple[Any, str]:
    """The container that holds the end of ``path``, and the last step."""
    steps = path.split("/")
    if len(steps) < 2:
        raise ValueError(f"{what} operation does not apply: doc is missing path: {path!r}")
    for step in steps[1:-1]:
        child = _get(document, _unescape(step))
        if not isinstance(child, dict | list):
            raise ValueError(f"{what} operation does not apply: doc is missing path: {path!r}")
        document = child
    return document, _unescape(steps[-1])


def _index(container: list[Any], key: str, size: int) -> int:
    index = int(key)
    if index >= size or index < -size:
        raise ValueError(f"Unable to access invalid index: {index}")
    return index + size if index < 0 else index


def _get(container: Any, key: str) -> Any:
    if isinstance(container, dict):
        return container.get(key)
    return container[_index(container, key, len(container))]


def _add(container: Any, key: str, value: Any) -> None:
    if isinstance(container, dict):
        container[key] = value
    elif key == "-":
        container.append(value)
    else:
        container.insert(_index(container, key, len(container) + 1), value)


def _remove(container: Any, key: str) -> None:
    if isinstance(container, dict):
        if key not in container:
            raise ValueError(f"Unable to remove nonexistent key: {key}")
        del container[key]
    else:
        del container[_index(container, key, len(container))]


def _text(operation: dict[str, Any], field: str) -> str:
    value = operation.get(field)
    if not isinstance(value, str):
        raise ValueError(f"the operation has no {field!r}")
    return value


def _apply(document: Any, operation: dict[str, Any]) -> Any:
    kind, path = operation.get("op"), _text(operation, "path")
    value = copy.deepcopy(operation.get("value"))
    if kind == "replace" and path == "":
        if not isinstance(value, dict | list):
            raise ValueError("replace operation value must be object or array")
        return value
    if kind == "test" and path == "":
        _test(document, value)
        return document
    if kind in ("move", "copy"):
        source, key = _find(document, _text(operation, "from"), kind)
        value = copy.deepcopy(_get(source, key))
        if kind == "move":
            _remove(source, key)
    elif kind not in ("add", "remove", "replace", "test"):
        raise ValueError(f"Unexpected kind: {kind}")
    container, key = _find(document, path, str(kind))
    if kind in ("add", "move", "copy"):
        _add(container, key, value)
    elif kind == "remove":
        _remove(container, key)
    elif kind == "replace":
        if isinstance(container, dict):
            container[key] = value
        else:
            container[_index(container, key, len(container))] = value
    else:
        _test(_get(container, key), value)
    return document


def _test(found: Any, wanted: Any) -> None:
    if json.dumps(found, sort_keys=True) != json.dumps(wanted, sort_keys=True):
        raise ValueError(f"test failed: found {json.dumps(found)}, not {json.dumps(wanted)}")
