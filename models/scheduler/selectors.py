"""Label selectors, node selectors and topology selector terms, parsed once and matched often.

Sources: apimachinery/pkg/labels/selector.go, apimachinery/pkg/apis/meta/v1/helpers.go,
component-helpers/scheduling/corev1/nodeaffinity/nodeaffinity.go (Kubernetes 1.33).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

_INT64_MAX = 2**63 - 1
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_INTEGER = re.compile(r"[+-]?[0-9]+")


class SelectorError(ValueError):
    """A selector that the API machinery refuses to parse; the text names the requirement."""


class Requirement(NamedTuple):
    """One condition on one label: ``op`` is In, NotIn, Exists, DoesNotExist, Gt or Lt."""

    key: str
    op: str
    values: tuple[str, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether ``labels`` satisfy the condition; NotIn also holds where the key is absent."""
        value = labels.get(self.key)
        if self.op == "In":
            return value is not None and value in self.values
        if self.op == "NotIn":
            return value is None or value not in self.values
        if self.op == "Exists":
            return value is not None
        if self.op == "DoesNotExist":
            return value is None
        number = None if value is None else parse_int64(value)
        if number is None:
            return False
        bound = int(self.values[0])
        return number > bound if self.op == "Gt" else number < bound


@dataclass(frozen=True)
class Selector:
    """Requirements that must all hold. ``nothing`` is the selector of a null label selector: it matches no object."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    @property
    def empty(self) -> bool:
        """Whether it is the selector that matches everything."""
        return not self.nothing and not self.requirements

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with ``labels`` is selected."""
        if self.nothing:
            return False
        return all(requirement.matches(labels) for requirement in self.requirements)

    def plus(self, requirements: Iterable[Requirement]) -> Selector:
        """This selector narrowed by further requirements; a selector of nothing stays one."""
        return self if self.nothing else Selector((*self.requirements, *requirements))


NOTHING = Selector(nothing=True)


def parse_int64(text: str) -> int | None:
    """``text`` as Go's ``strconv.ParseInt(text, 10, 64)`` reads it, None where that fails."""
    if not _INTEGER.fullmatch(text):
        return None
    number = int(text)
    return number if -_INT64_MAX - 1 <= number <= _INT64_MAX else None


def set_selector(labels: Mapping[str, Any] | None) -> Selector:
    """The selector of a plain label map (Service, ReplicationController, nodeSelector)."""
    return Selector(
        tuple(Requirement(str(key), "In", (_text(value),)) for key, value in sorted((labels or {}).items()))
    )


def label_selector(value: Mapping[str, Any] | None) -> Selector:
    """A ``LabelSelector``: null selects nothing, ``{}`` selects everything.

    Raises :class:`SelectorError` where ``metav1.LabelSelectorAsSelector`` returns an error.
    """
    if value is None:
        return NOTHING
    requirements = [
        make_requirement(str(key), "In", (_text(item),))
        for key, item in sorted((value.get("matchLabels") or {}).items())
    ]
    for expression in value.get("matchExpressions") or ():
        op = str(expression.get("operator") or "")
        if op not in ("In", "NotIn", "Exists", "DoesNotExist"):
            raise SelectorError(f'"{op}" is not a valid label selector operator')
        values = tuple(_text(item) for item in expression.get("values") or ())
        requirements.append(make_requirement(str(expression.get("key") or ""), op, values))
    return Selector(tuple(requirements))


def make_requirement(key: str, op: str, values: tuple[str, ...]) -> Requirement:
    """A checked requirement (``labels.NewRequirement``); raises :class:`SelectorError`."""
    if not _qualified(key):
        raise SelectorError(f'key: Invalid value: "{key}": not a qualified name')
    if op in ("In", "NotIn") and not values:
        raise SelectorError("values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty")
    if op in ("Exists", "DoesNotExist") and values:
        raise SelectorError("values: Invalid value: values set must be empty for exists and does not exist")
    if op in ("Gt", "Lt"):
        if len(values) != 1:
            raise SelectorError("values: Invalid value: for 'Gt', 'Lt' operators, exactly one value is required")
        if parse_int64(values[0]) is None:
            raise SelectorError("values: Invalid value: for 'Gt', 'Lt' operators, the value must be an integer")
    elif op not in ("In", "NotIn", "Exists", "DoesNotExist"):
        raise SelectorError(f'operator: Unsupported value: "{op}"')
    for value in values:
        if value and (len(value) > 63 or not _NAME.fullmatch(value)):
            raise SelectorError(f'values: Invalid value: "{value}": not a valid label value')
    return Requirement(key, op, values)


def _qualified(key: str) -> bool:
    """Whether ``key`` is a label key: an optional DNS subdomain, a slash, and a name of at most 63 characters."""
    prefix, slash, name = key.rpartition("/")
    if slash and not (len(prefix) <= 253 and _SUBDOMAIN.fullmatch(prefix)):
        return False
    return len(name) <= 63 and _NAME.fullmatch(name) is not None


def _text(value: Any) -> str:
    return "" if value is None else str(value)


@dataclass(frozen=True)
class NodeTerm:
    """One parsed ``nodeSelectorTerms`` entry; ``valid`` is false for a term that cannot be parsed."""

    labels: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()
    valid: bool = True

    def matches(self, labels: Mapping[str, str], name: str) -> bool:
        """Whether a node matches. ``name`` "" means that fields are unknown, which skips them as upstream does."""
        if not self.valid or not all(item.matches(labels) for item in self.labels):
            return False
        if not name:
            return True
        fields = {"metadata.name": name}
        return all((fields.get(item.key, "") == item.values[0]) == (item.op == "In") for item in self.fields)


@dataclass(frozen=True)
class NodeSelector:
    """Terms of which one must match; no term at all matches nothing."""

    terms: tuple[NodeTerm, ...]

    def matches(self, labels: Mapping[str, str], name: str = "") -> bool:
        """Whether the node with these labels and this name is selected."""
        return any(term.matches(labels, name) for term in self.terms)


def node_selector(value: Mapping[str, Any]) -> NodeSelector:
    """A ``v1.NodeSelector`` (``nodeSelectorTerms``); empty terms are dropped, unparsable ones match nothing."""
    return NodeSelector(
        tuple(
            node_term(term)
            for term in value.get("nodeSelectorTerms") or ()
            if term and (term.get("matchExpressions") or term.get("matchFields"))
        )
    )


def node_term(term: Mapping[str, Any]) -> NodeTerm:
    """One node selector term; a field requirement must be In or NotIn with exactly one value."""
    try:
        labels = tuple(
            make_requirement(
                str(item.get("key") or ""),
                str(item.get("operator") or ""),
                tuple(_text(entry) for entry in item.get("values") or ()),
            )
            for item in term.get("matchExpressions") or ()
        )
    except SelectorError:
        return NodeTerm(valid=False)
    fields = []
    for item in term.get("matchFields") or ():
        values = tuple(_text(entry) for entry in item.get("values") or ())
        op = str(item.get("operator") or "")
        if op not in ("In", "NotIn") or len(values) != 1:
            return NodeTerm(valid=False)
        fields.append(Requirement(str(item.get("key") or ""), op, values))
    return NodeTerm(labels, tuple(fields))


def topology_terms_match(terms: Iterable[Mapping[str, Any]] | None, labels: Mapping[str, str]) -> bool:
    """Whether a node satisfies ``allowedTopologies`` of a StorageClass: any term, all of its expressions.

    Source: component-helpers/scheduling/corev1/helpers.go ``MatchTopologySelectorTerms``: no terms match all nodes,
    an empty term matches none.
    """
    listed = list(terms or ())
    if not listed:
        return True
    for term in listed:
        expressions = (term or {}).get("matchLabelExpressions") or ()
        if expressions and all(
            labels.get(str(item.get("key"))) in tuple(_text(entry) for entry in item.get("values") or ())
            for item in expressions
        ):
            return True
    return False
