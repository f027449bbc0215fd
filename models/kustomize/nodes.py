"""Trees of a manifest while Kustomize works on it.

A tree is made of ``dict``, ``list``, ``str`` and, for every scalar that is more than a plain string,
:class:`models.yamldoc.scalars.Scalar` or :class:`~models.yamldoc.scalars.Quoted`: Kustomize's transformers read and
write the *text* of a scalar and keep its quoting, and only a finished object has values. ``None`` stands for "absent".
"""

from __future__ import annotations

import re
from typing import Any

from models.yamldoc.scalars import (
    BOOL,
    FLOAT,
    INT,
    NULL,
    STR,
    Folded,
    OddKey,
    Quoted,
    Scalar,
    Shared,
    json_number,
    refolded,
    resolve,
    value_of,
)

Tree = Any
MAX_DEPTH = 300
"""Deepest nesting of an object, as of a file (:data:`models.yamldoc.compose.MAX_DEPTH`)."""
MAX_NODES = 1_000_000
"""Most maps, lists and values that one field may be filled with."""
NULL_NODE = Scalar(NULL, "null")


def text_of(node: Tree) -> str:
    """The text of a scalar; "" for everything else, as ``Node.Value`` upstream."""
    if isinstance(node, str):
        return str(node)
    return node.text if isinstance(node, Scalar) else ""


def is_null(node: Tree) -> bool:
    """Whether ``node`` is absent or a null."""
    return node is None or (isinstance(node, Scalar) and node.tag == NULL)


def is_empty(node: Tree) -> bool:
    """Whether ``node`` is absent, null, an empty map or an empty list."""
    return is_null(node) or (isinstance(node, dict | list) and not node)


def is_scalar(node: Tree) -> bool:
    """Whether ``node`` is a scalar (a null counts)."""
    return isinstance(node, str | Scalar)


def is_string(node: Tree) -> bool:
    """Whether ``node`` is a scalar whose tag is string or not yet known."""
    return isinstance(node, str) or (isinstance(node, Scalar) and node.tag in ("", STR))


def kind_name(node: Tree) -> str:
    """``map``, ``list`` or ``scalar``."""
    return "map" if isinstance(node, dict) else "list" if isinstance(node, list) else "scalar"


def _quoted(node: Tree) -> bool:
    return isinstance(node, Quoted) or (isinstance(node, Scalar) and node.quoted)


def scalar_like(old: Tree, text: str, tag: str = "") -> Tree:
    """``text`` in the place of the scalar ``old``: the quoting stays, the tag is ``tag``.

    With no tag, an unquoted scalar takes the type of its new text: ``name: web`` renamed to ``5`` becomes a number.
    """
    quoted = _quoted(old)
    if tag in ("", STR):
        if quoted:
            return type(old)(text) if isinstance(old, Quoted) else Quoted(text)
        return text if tag == STR else Scalar("", text)
    return Scalar(tag, text, quoted)


def styled_like(value: Tree, old: Tree) -> Tree:
    """``value`` as it stands when it is written over ``old``: the quoting of what stood there stays."""
    if isinstance(value, str) and is_scalar(old):
        return scalar_like(old, str(value), STR)
    if type(value) is Scalar and is_scalar(old):
        return Scalar(value.tag, value.text, _quoted(old))
    return value


def retagged(old: Tree, text: str) -> Tree:
    """``text`` in the place of the scalar ``old``, keeping the tag and the quoting that ``old`` has."""
    if isinstance(old, Scalar):
        return Scalar(old.tag, text, old.quoted)
    return type(old)(text) if isinstance(old, Quoted) else text


def new_string(text: str) -> Tree:
    """``text`` as a new field's value; it stays a string whatever it looks like."""
    return Quoted(text) if text and resolve(text, True)[0] != STR else text


def new_key(text: str) -> str:
    """``text`` as the key of a new field. One that reads like a number or a boolean spoils the object, as upstream."""
    return text if resolve(text)[0] == STR else OddKey(text)


def set_text(parent: Any, key: Any, text: str, tag: str = "") -> None:
    """Write a scalar into a map or a list, keeping the quoting of what stood there."""
    old = parent.get(key) if isinstance(parent, dict) else parent[key]
    if old is None:
        new = new_string(text)
        parent[key] = new if tag or isinstance(new, Quoted) else Scalar("", text)
    else:
        write(parent, key, scalar_like(old, text, tag))


def write(parent: Any, key: Any, value: Tree) -> None:
    """Put ``value`` into a map or a list; a scalar that is shared changes wherever it stands."""
    old = parent.get(key) if isinstance(parent, dict) else parent[key]
    if isinstance(old, Shared) and isinstance(value, str | Scalar):
        old.assign(value)
    else:
        parent[key] = value


def copy_tree(node: Tree) -> Tree:
    """A deep copy. Scalars are not copied, for they never change, but for those that stand in several places."""
    if isinstance(node, dict):
        return {key: copy_tree(value) for key, value in node.items()}
    if isinstance(node, list):
        return [copy_tree(value) for value in node]
    if isinstance(node, Shared):
        return Scalar(node.tag, node.text, node.quoted)
    return node


def tree_size(value: Any) -> int:
    """How many maps, lists and values there are. Raises ValueError when they nest deeper than an object may."""
    total, level, depth = 0, [value], 0
    while level:
        total += len(level)
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"the object nests deeper than {MAX_DEPTH} levels")
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return total


def plain(node: Tree, *, top: bool = True) -> Any:
    """The finished plain value of a tree.

    Raises:
        ValueError: a tag and its text disagree, a number that JSON has no form for, or a map key that is not a string.
    """
    if type(node) is str:
        return node
    if isinstance(node, dict):
        result = {}
        for key, value in node.items():
            if type(key) is not str:
                if isinstance(key, OddKey) and not top:
                    raise ValueError(f'the map key "{key}" is not a string; quote it')
                key = str(key)
            result[key] = value if type(value) is str else plain(value, top=False)
        return result
    if isinstance(node, list):
        return [value if type(value) is str else plain(value, top=False) for value in node]
    if isinstance(node, str):
        return refolded(str(node)) if isinstance(node, Folded) else str(node)
    if isinstance(node, Scalar):
        return json_number(value_of(node.tag, node.text, node.quoted))
    return None


def go_float(value: float) -> str:
    """A float as Go's ``strconv.FormatFloat(value, 'g', -1, 64)`` writes it."""
    text = repr(value)
    mantissa, _, exponent = text.partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return f"{sign}0"
    leading = len(whole + fraction) - len((whole + fraction).lstrip("0"))
    point = len(whole) - leading + int(exponent or 0)
    digits = digits.rstrip("0") or "0"
    power = point - 1
    if power < -4 or power >= 6:
        tail = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{tail}e{'-' if power < 0 else '+'}{abs(power):02}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if point >= len(digits):
        return sign + digits + "0" * (point - len(digits))
    return f"{sign}{digits[:point]}.{digits[point:]}"


_NOT_PLAIN = re.compile(
    r"""^(?:---|\.\.\.)|^[#,\[\]{}&*!|>'"%@`]|^[?:-](?=\s|\Z)|^\s|\s\Z|:(?=\s|\Z)|\s\#|[\t\n]"""
    r"""|^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?\Z""",
)
"""Texts that go-yaml's writer puts into quotes or a block (``yaml_emitter_analyze_scalar``, ``isBase60Float``)."""


def from_plain(value: Any) -> Tree:
    """A tree of plain JSON data."""
    if isinstance(value, dict):
        return {key: from_plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [from_plain(item) for item in value]
    if value is None:
        return NULL_NODE
    if isinstance(value, bool):
        return Scalar(BOOL, "true" if value else "false")
    if isinstance(value, int):
        return Scalar(INT, str(value))
    if isinstance(value, float):
        return Scalar(FLOAT, go_float(value))
    return Quoted(value) if _NOT_PLAIN.search(value) else new_string(value)


def from_json(value: Any) -> Tree:
    """A tree of data that went through JSON upstream, where every number is a float: 10000000 has the text 1e+07."""
    if isinstance(value, dict):
        return {key: from_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        text = go_float(float(value))
        return Scalar(FLOAT if "e" in text else INT, text)
    return from_plain(value)


def split_path(path: str, delimiter: str) -> list[str]:
    """A path in its steps; a backslash keeps the delimiter that follows it in the step."""
    parts = path.split(delimiter)
    if len(parts) > 1 and parts[0] == "":
        parts = parts[1:]
    result = [parts[0]]
    for part in parts[1:]:
        if result[-1].endswith("\\"):
            result[-1] = result[-1][:-1] + delimiter + part
        else:
            result.append(part)
    return result


def split_field_path(path: str, delimiter: str = ".") -> list[str]:
    """As :func:`split_path`, but a step in brackets may hold the delimiter: ``spec.[name=a.b].image``."""
    result: list[str] = []
    parts = iter(split_path(path, delimiter))
    for part in parts:
        if part.startswith("[") and not part.endswith("]"):
            pieces = [part]
            for more in parts:
                pieces.append(more)
                if more.endswith("]"):
                    break
            joined = delimiter.join(pieces)
            result.append(joined if "=" in joined else joined.strip("[]"))
        else:
            result.append(part)
    return result


def is_index(step: str) -> bool:
    """Whether a step is a list index."""
    return re.fullmatch(r"\+?\d+", step) is not None


class KindError(ValueError):
    """A map where a scalar was expected, or the like."""


def lookup(node: Tree, steps: list[str]) -> Tree:
    """The node at ``steps`` (field names, indices, ``-``, ``[key=value]``), or None.

    Raises:
        KindError: a step meets a node of another kind.
        ValueError: a step that this kind of path does not have (``*``).
    """
    for raw in steps:
        step = raw.strip()
        if not step:
            continue
        if is_index(step) or step == "-":
            if is_null(node):
                return None
            if not isinstance(node, list):
                raise KindError(f"wrong node kind: expected a list but got a {kind_name(node)} at {step!r}")
            index = -1 if step == "-" else int(step)
            if not node or index >= len(node):
                return None
            node = node[index]
        elif step == "*":
            raise ValueError("wildcard is not supported here")
        elif step.startswith("[") and step.endswith("]"):
            node = _element(node, step)
        else:
            if is_null(node):
                return None
            if not isinstance(node, dict):
                raise KindError(f"wrong node kind: expected a map but got a {kind_name(node)} at {step!r}")
            node = node.get(step)
        if node is None:
            return None
    return node


def place_for_scalar(node: Tree, steps: list[str]) -> tuple[Any, Any]:
    """The container and the key of the scalar at ``steps``; what is missing on the way is made.

    Raises:
        KindError: a step meets a node of another kind, or no scalar stands at the end.
        ValueError: a step that names no place (``*``, an index that the list does not have).
    """
    container: Any = {"": node}
    key: Any = ""
    for number, raw in enumerate(steps):
        step, following = raw.strip(), steps[number + 1].strip() if number + 1 < len(steps) else None
        parent, container = container[key], None
        if is_index(step) or step in ("-", "*"):
            if lookup(parent, [step]) is None:
                raise ValueError(f"there is no item {step!r}")
            container, key = parent, -1 if step == "-" else int(step)
        elif step.startswith("[") and step.endswith("]"):
            container, key = parent, _element_index(parent, step)
        else:
            if not isinstance(parent, dict):
                raise KindError(f"wrong node kind: expected a map but got a {kind_name(parent)} at {step!r}")
            if is_null(parent.get(step)):
                listed = following is not None and following.startswith("[")
                parent[step] = Scalar("", "") if following is None else [] if listed else {}
            container, key = parent, step
    if not is_scalar(container[key]):
        raise KindError(f"wrong node kind: expected a scalar but got a {kind_name(container[key])}")
    return container, key


def _element_index(items: Tree, step: str) -> int:
    """The place of the item that ``[key=value]`` names, appended when there is none."""
    name, text = list_step(step)
    found = _element(items, step)
    if found is None:
        items.append({name: Scalar("", text)} if name else Scalar("", text))
        return len(items) - 1
    return next(index for index, item in enumerate(items) if item is found)


def list_step(step: str) -> tuple[str, str]:
    """The key and the value of a step ``[key=value]``. Raises ValueError when there is no ``=``."""
    key, found, value = step[1:-1].partition("=")
    if not found:
        raise ValueError(f"list path element {step!r} must contain fieldName=fieldValue for element to match")
    return key, value


def _element(node: Tree, step: str) -> Tree:
    key, value = list_step(step)
    if is_null(node):
        return None
    if not isinstance(node, list):
        raise KindError(f"wrong node kind: expected a list but got a {kind_name(node)} at {step!r}")
    for item in node:
        if key == "":
            if text_of(item) == value:
                return item
        elif isinstance(item, dict) and item.get(key) is not None and text_of(item[key]) == value:
            return item
    return None
