"""Flux's ``postBuild`` substitution: ``${VAR}`` with defaults, in every text of an object.

As github.com/fluxcd/pkg/envsubst does it (a fork of drone/envsubst): ``${VAR}``, defaults that may hold variables again
(``${CLAIM:=${APP}}``), parts (``${VAR:position:length}``), replacements (``${DOMAIN/./-}``), case (``${VAR^^}``), ends
cut off (``${VAR##*/}``), length (``${#VAR}``), ``$$`` for one dollar; a variable that nobody sets is empty. A field
that is only text with variables takes the type of the result, because Flux substitutes in YAML.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

DISABLED = "kustomize.toolkit.fluxcd.io/substitute"
_NAME = re.compile(r"\w+")
_OPERATOR = re.compile(r":[=\-?+]|:|[=\-]|//|/#|/%|/|\^\^|\^|,,|,|##|#|%%|%")
_DEFAULTS = (":=", ":-", ":?", ":+", "=", "-")
_PLAIN = re.compile(r"[\w$./+-](?:(?!: | #|\n).)*")
"""Texts that YAML writes without quotes, so that what stands there after the substitution is read anew."""


@dataclass(frozen=True)
class Variables:
    """What ``postBuild`` sets.

    ``hidden`` names variables whose values are encrypted; ``complete`` is false when some source of variables could not
    be read at all, so that a name that is not here may still be set. Either stays in the text as it was written.
    """

    values: Mapping[str, str]
    hidden: Collection[str] = ()
    complete: bool = True


_DEPTH = 20
"""Defaults within defaults; deeper ones are no expressions to us."""
_LONGEST = 4_000_000
"""Characters of a text after its substitution; what grows beyond stays as it was written."""


class _BadSubstitutionError(ValueError):
    """The text after a ``${`` is no expression."""


def substitute(value: Any, variables: Variables) -> Any:
    """``value`` with the variables in its texts replaced; what is no valid expression stays as it is."""
    if isinstance(value, dict):
        return {
            str(substitute(key, variables)) if isinstance(key, str) and "$" in key else key: substitute(item, variables)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [substitute(item, variables) for item in value]
    if not isinstance(value, str) or "$" not in value:
        return value
    text = _replaced(value, variables)
    return _typed(text) if text != value and "${" in value and _PLAIN.fullmatch(value) else text


def _replaced(text: str, variables: Variables) -> str:
    parts: list[str] = []
    position = length = 0
    while (dollar := text.find("$", position)) >= 0:
        parts.append(text[position:dollar])
        follows = text[dollar + 1 : dollar + 2]
        if follows == "{":
            try:
                found, position = _expression(text, dollar, variables, _DEPTH)
            except _BadSubstitutionError:
                found, position = "${", dollar + 2
            parts.append(found)
            length += len(found)
            if length > _LONGEST:
                return text
        else:
            parts.append("$")
            position = dollar + (2 if follows == "$" else 1)
    return "".join([*parts, text[position:]])


def _expression(text: str, start: int, variables: Variables, depth: int) -> tuple[str, int]:
    """What the expression at ``start`` (its dollar) becomes, and the position behind its brace."""
    position = start + 2
    measured = text.startswith("#", position)
    name = _NAME.match(text, position + measured)
    if name is None or not depth:
        raise _BadSubstitutionError
    position = name.end()
    found = None if measured else _OPERATOR.match(text, position)
    operator = "#length" if measured else found[0] if found else ""
    arguments, position = _arguments(text, found.end() if found else position, operator, variables, depth)
    value = variables.values.get(name[0])
    if name[0] in variables.hidden or (value is None and not variables.complete and operator not in _DEFAULTS):
        return text[start:position], position
    if operator == "-" and value is not None:
        return value, position
    return _FUNCTIONS[operator](value or "", arguments), position


def _arguments(text: str, position: int, operator: str, variables: Variables, depth: int) -> tuple[list[str], int]:
    """The arguments of an operator and the position behind the closing brace."""
    ends = {":": (":}", "}"), **dict.fromkeys(("/", "//", "/#", "/%"), ("/", "}"))}.get(operator, ("}",))
    found: list[str] = []
    if operator not in ("", "#length", "^", "^^", ",", ",,"):
        for number, stops in enumerate(ends):
            argument, position = _argument(text, position, stops, variables, depth, escapes="/" in operator)
            found.append(argument)
            if number < len(ends) - 1 and text[position] != "}":
                position += 1
            else:
                break
    if text[position : position + 1] != "}":
        raise _BadSubstitutionError
    return found, position + 1


def _argument(
    text: str, position: int, stops: str, variables: Variables, depth: int, *, escapes: bool
) -> tuple[str, int]:
    parts: list[str] = []
    while position < len(text):
        if text.startswith("${", position):
            part, position = _expression(text, position, variables, depth - 1)
            parts.append(part)
            continue
        if text[position] in stops:
            return "".join(parts), position
        if escapes and text[position : position + 2] in ("\\/", "\\\\", "$$"):
            position += 1
        parts.append(text[position])
        position += 1
    raise _BadSubstitutionError


def _part(value: str, arguments: list[str]) -> str:
    if not all(re.fullmatch(r"[+-]?\d{1,9}", argument) for argument in arguments):
        return value
    start = int(arguments[0])
    start = max(start + len(value), 0) if start < 0 else start
    return value[start:] if len(arguments) == 1 else value[start : start + max(int(arguments[1]), 0)]


def _replace_all(value: str, old: str, new: str) -> str:
    return value.replace(old, new) if len(value) + value.count(old) * len(new) <= _LONGEST else value


def _cut(value: str, pattern: str, *, longest: bool) -> str:
    """``value`` without the longest or shortest start that the glob matches; O(len(value) * len(pattern))."""
    states, ends = _beyond({0}, pattern), []
    for index, char in enumerate(value):
        moved = {
            at if pattern[at] == "*" else at + 1 for at in states if at < len(pattern) and pattern[at] in ("*?" + char)
        }
        states = _beyond(moved, pattern)
        if len(pattern) in states:
            ends.append(index + 1)
            if not longest:
                break
    return value[ends[-1] :] if ends else value


def _beyond(states: set[int], pattern: str) -> set[int]:
    """``states`` of a glob and those that its stars reach without a character."""
    found = set(states)
    for at in states:
        while at < len(pattern) and pattern[at] == "*":
            at += 1
            found.add(at)
    return found


def _cut_end(value: str, pattern: str, *, longest: bool) -> str:
    return _cut(value[::-1], pattern[::-1], longest=longest)[::-1]


_FUNCTIONS: Mapping[str, Callable[[str, list[str]], str]] = {
    "": lambda value, _: value,
    "#length": lambda value, _: str(len(value.encode())),
    **dict.fromkeys(_DEFAULTS, lambda value, arguments: value or arguments[0]),
    ":": _part,
    "^": lambda value, _: value[:1].upper() + value[1:],
    "^^": lambda value, _: value.upper(),
    ",": lambda value, _: value[:1].lower() + value[1:],
    ",,": lambda value, _: value.lower(),
    "/": lambda value, arguments: value.replace(arguments[0], arguments[1], 1),
    "//": lambda value, arguments: _replace_all(value, arguments[0], arguments[1]),
    "/#": lambda value, arguments: (
        arguments[1] + value[len(arguments[0]) :] if value.startswith(arguments[0]) else value
    ),
    "/%": lambda value, arguments: (
        value.removesuffix(arguments[0]) + arguments[1] if value.endswith(arguments[0]) else value
    ),
    "#": lambda value, arguments: _cut(value, arguments[0], longest=False),
    "##": lambda value, arguments: _cut(value, arguments[0], longest=True),
    "%": lambda value, arguments: _cut_end(value, arguments[0], longest=False),
    "%%": lambda value, arguments: _cut_end(value, arguments[0], longest=True),
}


def _typed(text: str) -> Any:
    """A number or a truth value as YAML reads it; any other text stays text."""
    if re.fullmatch(r"-?\d+|true|false|-?\d+\.\d+", text):
        return yaml.safe_load(text)
    return text
