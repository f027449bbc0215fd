"""Flux's ``postBuild`` substitution: ``${VAR}`` with defaults, in every text of an object.

As github.com/fluxcd/pkg/envsubst does it: ``${VAR}``, ``${VAR:-default}``, ``${VAR:=default}``, ``${VAR-default}``,
``${VAR:position:length}``, ``$${VAR}`` for a literal one; a variable that nobody sets is empty. A field that consists
of one variable takes the type of its text, because Flux substitutes in YAML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

_VARIABLE = re.compile(r"\$?\$\{([A-Za-z_]\w*)(?:(:=|:-|=|-|:)([^{}]*))?\}")
DISABLED = "kustomize.toolkit.fluxcd.io/substitute"


def substitute(value: Any, variables: Mapping[str, str], *, complete: bool = True) -> Any:
    """``value`` with the variables in its texts replaced.

    ``complete`` is false when some source of variables could not be read: unknown ones then stay as they are.
    """
    if isinstance(value, dict):
        return {
            substitute(key, variables, complete=complete) if "${" in str(key) else key: substitute(
                item, variables, complete=complete
            )
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [substitute(item, variables, complete=complete) for item in value]
    if not isinstance(value, str) or "${" not in value:
        return value
    text = _VARIABLE.sub(lambda match: _replaced(match, variables, complete), value)
    whole = _VARIABLE.fullmatch(value)
    return _typed(text) if whole and not value.startswith("$$") and text != value else text


def _replaced(match: re.Match[str], variables: Mapping[str, str], complete: bool) -> str:
    text = match[0]
    if text.startswith("$$"):
        return text[1:]
    name, operator, rest = match[1], match[2] or "", match[3] or ""
    known = variables.get(name)
    if operator in (":=", ":-", "=", "-"):
        empty_counts = operator.startswith(":")
        return known if known or (known is not None and not empty_counts) else rest
    if known is None:
        return "" if complete else text
    if operator == ":":
        parts = rest.split(":")
        if all(part.isdigit() for part in parts):
            start = int(parts[0])
            return known[start : start + int(parts[1])] if len(parts) > 1 else known[start:]
    return known


def _typed(text: str) -> Any:
    """A number or a truth value as YAML reads it; any other text stays text."""
    if re.fullmatch(r"-?\d+|true|false|-?\d+\.\d+", text):
        return yaml.safe_load(text)
    return text
