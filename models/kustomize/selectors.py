"""Label selectors as text (``app=web,tier in (a, b),!legacy``) and the selectors of patches and replacements.

Grammar: ``k8s.io/apimachinery/pkg/labels`` (``Parse``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from models.kustomize.patterns import compile_pattern
from models.kustomize.resource import Gvk, Resource

_TOKEN = re.compile(r"\s*(==|!=|[=!,()<>]|[^\s=!,()<>]+)")
Matcher = Callable[[Mapping[str, str]], bool]


@lru_cache(maxsize=512)
def parse_label_selector(text: str) -> Matcher:
    """A function that tells whether labels match. Raises ValueError on a malformed selector."""
    tokens: list[str] = []
    position = 0
    stripped = text.rstrip()
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if match is None:
            raise ValueError(f"cannot read selector {text!r}")
        tokens.append(match[1])
        position = match.end()
    requirements: list[Matcher] = []
    while tokens:
        requirements.append(_requirement(tokens, text))
        if tokens:
            if tokens.pop(0) != ",":
                raise ValueError(f"unexpected text in selector {text!r}; requirements are separated by commas")
            if not tokens:
                raise ValueError(f"selector {text!r} ends with a comma")
    return lambda labels: all(matches(labels) for matches in requirements)


def _requirement(tokens: list[str], text: str) -> Matcher:
    if tokens[0] == "!":
        tokens.pop(0)
        absent = _word(tokens, text)
        return lambda labels: absent not in labels
    key = _word(tokens, text)
    if not tokens or tokens[0] == ",":
        return lambda labels: key in labels
    operator = tokens.pop(0)
    if operator in ("=", "=="):
        value = _value(tokens)
        return lambda labels: labels.get(key) == value
    if operator == "!=":
        value = _value(tokens)
        return lambda labels: labels.get(key) != value
    if operator in ("in", "notin"):
        values = _values(tokens, text)
        if operator == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if operator in ("<", ">"):
        bound = int(_value(tokens))
        return lambda labels: _compare(labels.get(key), bound, operator)
    raise ValueError(f"found {operator!r} in selector {text!r}, expected one of =, ==, !=, in, notin, <, >")


def _compare(value: str | None, bound: int, operator: str) -> bool:
    if value is None or not re.fullmatch(r"[-+]?\d+", value):
        return False
    return int(value) > bound if operator == ">" else int(value) < bound


def _word(tokens: list[str], text: str) -> str:
    if not tokens or tokens[0] in "=!,()<>" or tokens[0] in ("==", "!="):
        raise ValueError(f"a label name is missing in selector {text!r}")
    return tokens.pop(0)


def _value(tokens: list[str]) -> str:
    return tokens.pop(0) if tokens and tokens[0] != "," else ""


def _values(tokens: list[str], text: str) -> frozenset[str]:
    if not tokens or tokens.pop(0) != "(":
        raise ValueError(f"a list in parentheses is missing in selector {text!r}")
    values: set[str] = set()
    current = ""
    while tokens:
        token = tokens.pop(0)
        if token == ")":
            return frozenset({*values, current})
        if token == ",":
            values.add(current)
            current = ""
        else:
            current = token
    raise ValueError(f"a closing parenthesis is missing in selector {text!r}")


_SAME_IN_PYTHON = re.compile(r"[A-Za-z0-9_./:@|^$-]*(?:\.[*+][A-Za-z0-9_./:@|^$-]*)?", re.ASCII)


@lru_cache(maxsize=2048)
def go_pattern(pattern: str, *, before: str = "^(?:", behind: str = ")$") -> Callable[[str], bool]:
    """Whether a text has a match of a Go regular expression; anchored at both ends unless told otherwise.

    Raises:
        ValueError: Go would refuse the expression.
    """
    if _SAME_IN_PYTHON.fullmatch(pattern):
        # what nearly all are, and faster
        found = re.compile((before + pattern + behind).replace("$", r"\Z"), re.ASCII)
        return lambda text: found.search(text) is not None
    return compile_pattern(before + pattern + behind).search


EVERY_TYPE = Gvk()


@dataclass(frozen=True)
class Selector:
    """The ``target:`` of a patch: regular expressions on type, name and namespace, selectors on labels."""

    gvk: Gvk = EVERY_TYPE
    name: str = ""
    namespace: str = ""
    label_selector: str = ""
    annotation_selector: str = ""

    def __str__(self) -> str:
        parts = {
            "group": self.gvk.group,
            "version": self.gvk.version,
            "kind": self.gvk.kind,
            "name": self.name,
            "namespace": self.namespace,
            "labelSelector": self.label_selector,
            "annotationSelector": self.annotation_selector,
        }
        return ", ".join(f"{key}: {value}" for key, value in parts.items() if value) or "everything"

    @cached_property
    def _patterns(self) -> dict[str, Callable[[str], bool]]:
        parts = {**self.gvk._asdict(), "name": self.name, "namespace": self.namespace}
        return {part: go_pattern(pattern) for part, pattern in parts.items() if pattern}

    def select(self, items: list[Resource]) -> list[Resource]:
        """The resources that it selects, by their current or original name and namespace. Raises ValueError."""
        patterns = self._patterns
        labels = parse_label_selector(self.label_selector)
        annotations = parse_label_selector(self.annotation_selector)
        result: list[Resource] = []
        for item in items:
            gvk = item.gvk
            if any(part in patterns and not patterns[part](getattr(gvk, part)) for part in Gvk._fields):
                continue
            current, original = item.current, item.original
            if any(
                part in patterns
                and not patterns[part](getattr(original, part))
                and not patterns[part](getattr(current, part))
                for part in ("namespace", "name")
            ):
                continue
            if labels(item.labels) and annotations(item.annotations):
                result.append(item)
        return result
