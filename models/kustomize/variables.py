"""``vars:`` - ``$(NAME)`` in chosen fields stands for a field of another object.

Rules: ``api/types/var.go``, ``api/filters/refvar`` and ``resaccumulator.go`` of Kustomize v5.5.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.errors import Problem, RenderError, Where
from models.kustomize.absent import AbsentError
from models.kustomize.fieldspecs import FieldSpec, apply_spec
from models.kustomize.nodes import (
    Tree,
    go_float,
    is_null,
    is_string,
    kind_name,
    lookup,
    plain,
    split_field_path,
    text_of,
    write,
)
from models.kustomize.resource import Gvk, ResId, ResMap, split_api_version
from models.kustomize.state import BuildState
from models.yamldoc.scalars import BOOL, FLOAT, INT, Scalar


@dataclass(frozen=True)
class Var:
    """A variable: its name, the object and the field that it stands for, and where it is declared."""

    name: str
    gvk: Gvk
    object_name: str
    namespace: str
    path: str
    where: Where


def var_from(value: Mapping[str, Any], where: Where) -> Var:
    """An entry of ``vars:``."""
    reference = value.get("objref") or {}
    group, version = reference.get("group") or "", reference.get("version") or ""
    api_version = reference.get("apiVersion") or ""
    if api_version and api_version.count("/") < 2:
        parts = split_api_version(api_version)
        group, version = (parts[0] or group, parts[1])
    return Var(
        value.get("name") or "",
        Gvk(group, version, reference.get("kind") or ""),
        reference.get("name") or "",
        reference.get("namespace") or "",
        (value.get("fieldref") or {}).get("fieldPath") or "metadata.name",
        where,
    )


def declare(resources: ResMap, known: dict[str, Var], incoming: Sequence[Var]) -> None:
    """Tie each variable to the one object that it names, now or formerly, and add it to ``known``.

    Raises:
        RenderError: several objects fit, or the name is taken.
    """
    for var in incoming:

        def matches(one: ResId, var: Var = var) -> bool:
            if one.name != var.object_name or one.gvk != var.gvk:
                return False
            return not var.namespace or one.namespace == var.namespace

        found = resources.matching(matches)
        if len(found) > 1:
            places = ", ".join(str(item.origin) for item in found)
            raise RenderError(
                Problem(
                    var.where,
                    f"found {len(found)} resId matches for var {var.name} (unable to disambiguate): {places}",
                    "add `namespace:` to its objref",
                )
            )
        if found:
            found[0].var_names.append(var.name)
    merge_vars(known, {var.name: var for var in incoming})
    names = [var.name for var in incoming]
    for var in incoming:
        if names.count(var.name) > 1:
            raise RenderError(Problem(var.where, f"var '{var.name}' already encountered", "declare it once"))


def merge_vars(known: dict[str, Var], more: Mapping[str, Var]) -> None:
    """Add variables. Raises RenderError when a name is taken."""
    for name, var in more.items():
        if name in known:
            raise RenderError(
                Problem(
                    var.where,
                    f"var '{name}' already encountered ({known[name].where})",
                    "declare it once, in the base",
                )
            )
        known[name] = var


def resolve_vars(resources: ResMap, known: Mapping[str, Var], specs: Sequence[FieldSpec], state: BuildState) -> None:
    """Put the values of all variables into the fields that ``specs`` name. Raises RenderError for one without value."""
    if not known:
        return
    values: dict[str, Any] = {}
    for name in sorted(known):
        with state.tolerant():
            values[name] = _value(resources, known[name])

    def mapping(name: str) -> Any:
        value = values.get(name)
        return f"$({name})" if value is None or isinstance(value, dict | list) else value

    for item in resources:
        for spec in specs:
            try:
                apply_spec(item.tree, spec, lambda parent, key: _expand(parent, key, mapping))
            except ValueError as error:
                raise item.error(str(error), spec.path) from error


def _value(resources: ResMap, var: Var) -> Any:
    for item in resources:
        if var.name in item.var_names:
            steps: list[str] = []
            for step in split_field_path(var.path):
                match = re.fullmatch(r"(.*)\[(\d+)\]", step)
                steps.extend(part for part in match.groups() if part) if match else steps.append(step)
            try:
                node = lookup(item.tree, steps)
            except ValueError as error:
                raise RenderError(Problem(var.where, f"var {var.name}: {error}", "mend its fieldPath")) from error
            if node is None:
                raise RenderError(
                    Problem(
                        var.where,
                        f"field '{var.path}' of var '{var.name}' not found in {item.describe()} ({item.origin})",
                        "mend its fieldPath",
                    )
                )
            if isinstance(node, Scalar) and node.tag not in (INT, FLOAT, BOOL):
                return node.text
            try:
                return plain(node, top=False)
            except ValueError as error:
                raise RenderError(Problem(var.where, f"var {var.name}: {error}", "mend the value")) from error
    raise AbsentError(
        Problem(
            var.where,
            f"var '{var.name}' cannot be mapped to a field in the set of known resources",
            "check apiVersion, kind, name and namespace of its objref",
        )
    )


Mapper = Callable[[str], Any]


def _expand(parent: Any, key: Any, mapping: Mapper) -> None:
    node = parent[key]
    if is_null(node):
        return
    if isinstance(node, dict):
        for name in node:
            if is_string(node[name]):
                write(node, name, _replaced(node[name], mapping))
    elif isinstance(node, list):
        for index, item in enumerate(node):
            if not is_string(item):
                raise ValueError(f"invalid value type, expected a string but got a {kind_name(item)} in '{key}'")
            write(node, index, _replaced(item, mapping))
    elif is_string(node):
        write(parent, key, _replaced(node, mapping))


def _replaced(node: Tree, mapping: Mapper) -> Tree:
    value = expand(text_of(node), mapping)
    if isinstance(value, bool):
        return Scalar(BOOL, "true" if value else "false")
    if isinstance(value, int):
        return Scalar(INT, str(value))
    if isinstance(value, float):
        return Scalar(FLOAT, go_float(value))
    return value


def expand(text: str, mapping: Mapper) -> Any:
    """``text`` with each ``$(NAME)`` replaced; ``$$`` is a dollar. A text that is one variable takes its type."""
    result: list[str] = []
    cursor = 0
    while cursor < len(text):
        if text[cursor] != "$" or cursor + 1 >= len(text):
            result.append(text[cursor])
            cursor += 1
            continue
        following = text[cursor + 1]
        if following == "$":
            result.append("$")
            cursor += 2
        elif following == "(":
            end = text.find(")", cursor + 2)
            if end < 0:
                result.append("$(")
                cursor += 2
                continue
            name = text[cursor + 2 : end]
            value = mapping(name)
            if text == f"$({name})":
                return value
            result.append(_go_text(value))
            cursor = end + 1
        else:
            result.append("$" + following)
            cursor += 2
    return "".join(result)


def _go_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return go_float(value) if isinstance(value, float) else str(value)
