"""Names that stand in other objects follow the objects when these are renamed.

Rules: ``api/filters/nameref`` and ``namereferencetransformer.go`` of Kustomize v5.5.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from models.kustomize.fieldspecs import BackReference, FieldSpec, apply_spec
from models.kustomize.nodes import KindError, Tree, is_null, set_text, text_of
from models.kustomize.resource import NO_NAMESPACE, Gvk, ResId, ResMap, Resource


def fix_references(resources: ResMap, references: Sequence[BackReference]) -> None:
    """Rewrite every reference to a resource that was renamed or moved.

    Raises:
        RenderError: a reference could mean several resources that now have different names.
    """
    by_name: dict[str, list[_Candidate]] = defaultdict(list)
    candidates = [_Candidate(item) for item in resources]
    for candidate in candidates:
        if candidate.previous:
            for name in dict.fromkeys(one.name for one in candidate.previous):
                by_name[name].append(candidate)
    if not by_name:
        return
    order = {id(item): index for index, item in enumerate(resources)}
    by_kind: dict[str, list[tuple[int, FieldSpec, Gvk]]] = defaultdict(list)
    for number, (target, spec) in enumerate(
        (reference.target, spec) for reference in references for spec in reference.referrers
    ):
        by_kind[spec.gvk.kind].append((number, spec, target))
    for item in resources:
        original = item.original.gvk
        found = [*by_kind.get(original.kind, ()), *(by_kind.get("", ()) if original.kind else ())]
        referrer: _Referrer | None = None
        for _number, spec, target in sorted(found, key=lambda one: one[0]):
            if original.selected_by(spec.gvk):
                referrer = referrer or _Referrer(item, by_name, candidates, order)
                referrer.update(spec, target)


class _Candidate:
    """A resource that may be referred to, with its identities worked out once."""

    __slots__ = ("current", "namespace", "previous", "resource")

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.previous: list[ResId] = resource.previous_ids()
        self.current: ResId = resource.current
        self.namespace = resource.namespace


class _Referrer:
    def __init__(
        self,
        resource: Resource,
        by_name: dict[str, list[_Candidate]],
        everyone: list[_Candidate],
        order: dict[int, int],
    ) -> None:
        self.resource = resource
        self.by_name = by_name
        self.everyone = everyone
        self.order = order
        self.current = resource.current
        self.binding_namespaces = _binding_namespaces(resource)

    def update(self, spec: FieldSpec, target: Gvk) -> None:
        path = spec.path

        def setter(parent: Any, key: Any) -> None:
            node = parent[key]
            if is_null(node):
                return
            if isinstance(node, list):
                for index, one in enumerate(node):
                    if isinstance(one, dict):
                        self._mapping(one, target, path)
                    elif isinstance(one, list):
                        raise KindError("expected a string or a map with a name")
                    elif not is_null(one):
                        self._scalar(node, index, target, path)
            elif isinstance(node, dict):
                self._mapping(node, target, path)
            else:
                self._scalar(parent, key, target, path)

        try:
            apply_spec(self.resource.tree, FieldSpec(self.resource.gvk, path), setter)
        except ValueError as error:
            raise self.resource.error(f"updating name reference in '{path}': {error}", path) from error

    def _scalar(self, parent: Any, key: Any, target: Gvk, path: str) -> None:
        old = text_of(parent[key])
        found = self._referral(old, self.by_name.get(old, ()), target, path, names_only=True)
        if found is not None and found.resource.name != old:
            set_text(parent, key, found.resource.name)

    def _mapping(self, node: dict[str, Tree], target: Gvk, path: str) -> None:
        if "name" not in node:
            raise ValueError("path config error; no 'name' field in node")
        old = text_of(node["name"])
        candidates: Iterable[_Candidate] = self.by_name.get(old, ())
        if "namespace" in node:
            candidates = self._in_namespace(text_of(node["namespace"]), list(candidates))
        found = self._referral(old, candidates, target, path, names_only=False)
        if found is None:
            return
        name, namespace = found.resource.name, found.namespace
        if name == old and not namespace:
            return
        set_text(node, "name", name)
        if namespace:
            set_text(node, "namespace", namespace)

    def _in_namespace(self, namespace: str, candidates: list[_Candidate]) -> list[_Candidate]:
        if namespace == NO_NAMESPACE:
            return []
        if any(_first(one).namespace == namespace for one in self.everyone if self._could_refer(one)):
            return [one for one in candidates if _first(one).namespace == namespace]
        return [one for one in candidates if one.current.namespace == namespace]

    def _could_refer(self, one: _Candidate) -> bool:
        if self.current.namespace == NO_NAMESPACE or one.current.namespace == NO_NAMESPACE:
            return True
        return one.current.namespace == self.current.namespace or one.namespace in self.binding_namespaces

    def _referral(
        self, name: str, candidates: Iterable[_Candidate], target: Gvk, path: str, *, names_only: bool
    ) -> _Candidate | None:
        found = [
            one
            for one in candidates
            if self._could_refer(one) and any(previous.gvk.selected_by(target) for previous in one.previous)
        ]
        role = self._role(path)
        if role is not None:
            found = [one for one in found if any(previous.gvk.selected_by(role) for previous in one.previous)]
        if self.current.namespace != NO_NAMESPACE:
            found = [
                one
                for one in found
                if one.current.namespace in (NO_NAMESPACE, self.current.namespace)
                or one.resource.kind == "ServiceAccount"
            ]
        if len(found) == 1:
            return found[0]
        found = [one for one in found if _same_affixes(one.resource, self.resource, lenient=True)]
        if len(found) > 1:
            found = [one for one in found if _same_affixes(one.resource, self.resource, lenient=False)]
        if not found:
            return None
        found.sort(key=lambda one: self.order[id(one.resource)])
        if len({(one.resource.name, "" if names_only else one.namespace) for one in found}) == 1:
            return found[0]
        names = ", ".join(f"{one.current} ({one.resource.origin})" for one in found)
        raise ValueError(f"found multiple possible referrals for {name!r}: {names}")

    def _role(self, path: str) -> Gvk | None:
        if not path.endswith("roleRef/name"):
            return None
        reference = self.resource.tree.get("roleRef")
        if not isinstance(reference, dict) or is_null(reference.get("apiGroup")) or is_null(reference.get("kind")):
            return None
        return Gvk(text_of(reference["apiGroup"]), "", text_of(reference["kind"]))


def _first(one: _Candidate) -> ResId:
    return one.previous[0] if one.previous else one.current


def _binding_namespaces(resource: Resource) -> frozenset[str]:
    subjects = resource.tree.get("subjects") if resource.kind == "RoleBinding" else None
    if not isinstance(subjects, list):
        return frozenset()
    if not all(isinstance(subject, dict) for subject in subjects):
        raise resource.error("each subject must be a map", "subjects")
    return frozenset(
        text_of(subject["namespace"])
        for subject in subjects
        if subject.get("namespace") and text_of(subject.get("kind")) == "ServiceAccount"
    )


def _same_affixes(one: Resource, other: Resource, *, lenient: bool) -> bool:
    def same(left: list[str], right: list[str]) -> bool:
        if lenient and (not left or not right):
            return True
        if len(left) > len(right):
            left, right = right, left
        if not left:
            return not right
        return right[-len(left) :] == left

    return same(one.prefixes, other.prefixes) and same(one.suffixes, other.suffixes)
