"""The values of one release and the little language in which the chart catalogue speaks of them.

``${a.b}`` is a value of the release, ``${.fullname}`` a fact of the release itself, ``${a.b | c | "text"}`` the first
of them that is not empty. A text that is nothing but one placeholder becomes the value with its type; when there is
none, the key or the list item that holds it goes away. Inside longer text a missing value is empty. ``${a.b * 1.2}``
is a number of the values times another, rounded; ``a."b.c"`` is the key ``b.c`` below ``a``. In a map ``$if`` is
the condition for all of it, ``$or`` names what is taken instead of the map when it is not empty, ``$each`` (with
``$key``, ``$value``, ``$when``) makes one entry per entry of a map or list of values, and ``$yaml`` makes a text of
what stands below it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from models.objects import dig

_PLACEHOLDER = re.compile(r"\$\{([^{}]+)\}")
_HELM = re.compile(
    r"\{\{-?\s*(?:tpl\s+)?\.(Release\.Name|Release\.Namespace|Values\.[\w.\-]+)\s*(?:\|\s*quote\s*)?-?\}\}"
)
_STEP = re.compile(r'"([^"]*)"|([^."]+)')
_EMPTY: tuple[Any, ...] = (None, "", {}, [])


@dataclass(frozen=True)
class Scope:
    """What a model can refer to: the merged values, and facts (release, chart, fullname, namespace, loop variables)."""

    values: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def with_facts(self, **facts: Any) -> Scope:
        """The same values with further facts."""
        return replace(self, facts={**self.facts, **facts})

    def get(self, path: str) -> Any:
        """The value at a dotted path, or the fact when the path begins with a dot; None when it leads nowhere."""
        source: Any = self.facts if path.startswith(".") else self.values
        steps = [quoted or plain for quoted, plain in _STEP.findall(path)]
        return dig(source, *steps) if steps else dict(self.values)

    def first(self, expression: str) -> Any:
        """The first alternative of ``a.b | c | "text"`` that is not empty, else None."""
        for part in expression.split(" | "):
            text = part.strip()
            if text.startswith('"'):
                return text.strip('"')
            if text.lstrip("-").isdigit():
                return int(text)
            value = self._number(text) if " * " in text else self.get(text)
            if not any(value is empty or (value == empty and value is not False) for empty in _EMPTY):
                return value
        return None

    def _number(self, text: str) -> int | None:
        path, _, factor = text.partition(" * ")
        value = self.get(path.strip())
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        return round(value * float(factor)) if plain else None

    def holds(self, condition: Any) -> bool:
        """Whether a condition is true: ``path``, ``!path``, ``path=text``, ``path!=text``, ``a | b``; a list: all."""
        if condition is None:
            return True
        if isinstance(condition, list):
            return all(self.holds(item) for item in condition)
        return any(self._term(term.strip()) for term in str(condition).split(" | "))

    def _term(self, term: str) -> bool:
        if "!=" in term:
            path, _, wanted = term.partition("!=")
            return _text(self.get(path)) != wanted
        if "=" in term:
            path, _, wanted = term.partition("=")
            return _text(self.get(path)) == wanted
        if term.startswith("!"):
            return not self.get(term[1:])
        return bool(self.get(term))

    def fill(self, template: Any) -> Any:
        """``template`` with every placeholder replaced; None when nothing is left of it."""
        if isinstance(template, str):
            return self._fill_text(template)
        if isinstance(template, dict):
            if "$if" in template and not self.holds(template["$if"]):
                return None
            instead = self.first(str(template["$or"])) if "$or" in template else None
            if instead is not None:
                return instead
            if "$each" in template:
                return dict(self._entries(template))
            if "$yaml" in template:
                return yaml.safe_dump(self.fill(template["$yaml"]), sort_keys=False)
            filled = {
                self._fill_text(key): self.fill(item) for key, item in template.items() if key not in ("$if", "$or")
            }
            return {str(key): item for key, item in filled.items() if item is not None and key is not None}
        if isinstance(template, list):
            return [item for item in (self.fill(entry) for entry in template) if item is not None]
        return template

    def _entries(self, template: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """``$key: $value`` for each entry of the map or list ``$each`` for which ``$when`` holds."""
        entries = self.get(str(template["$each"]))
        pairs = (
            enumerate(entries) if isinstance(entries, list) else entries.items() if isinstance(entries, dict) else ()
        )
        for key, item in pairs:
            scope = self.with_facts(key=key, item=item)
            if scope.holds(template.get("$when")):
                yield _text(scope.fill(template.get("$key", "${.key}"))), scope.fill(template["$value"])

    def _fill_text(self, text: str) -> Any:
        whole = _PLACEHOLDER.fullmatch(text)
        if whole:
            return self.first(whole[1])
        return _PLACEHOLDER.sub(lambda match: _text(self.first(match[1])), text)

    def expand(self, value: Any) -> Any:
        """``value`` with the plainest Helm expressions in its texts (release name, namespace, a value) replaced."""
        if isinstance(value, str):
            return _HELM.sub(lambda match: self._helm(match[1], match[0]), value) if "{{" in value else value
        if isinstance(value, dict):
            return {key: self.expand(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.expand(item) for item in value]
        return value

    def _helm(self, name: str, text: str) -> str:
        if name == "Release.Name":
            return str(self.facts.get("release", ""))
        if name == "Release.Namespace":
            return str(self.facts.get("namespace", ""))
        value = self.get(name.removeprefix("Values."))
        return text if isinstance(value, dict | list) or value is None else _text(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def merge_values(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``above`` laid over ``below`` as Helm does: maps key by key, anything else replaced, ``null`` removes a key."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(old, Mapping):
            merged[key] = merge_values(old, value)
        else:
            merged[key] = value
    return merged


def full_name(values: Mapping[str, Any], chart: str, release: str, *, length: int = 63) -> str:
    """The name that Helm's starter template gives a release's objects.

    ``fullnameOverride``; else the release when it contains the chart's name (or ``nameOverride``); else both joined.
    """
    override = values.get("fullnameOverride")
    if override:
        return str(override)[:length].rstrip("-")
    name = str(values.get("nameOverride") or chart)
    return (release if name in release else f"{release}-{name}")[:length].rstrip("-")
