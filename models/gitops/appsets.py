"""Argo CD's ApplicationSets: what their generators produce from this repository, and the Applications of it.

Sources: https://argo-cd.readthedocs.io/en/stable/operator-manual/applicationset/ and ``applicationset/`` of Argo CD.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from models.charts import merge_values
from models.documents import parse_documents, read_documents
from models.errors import InputError
from models.gitops.folders import Tree
from models.gitops.gotemplate import TemplateError, expand_template
from models.gitops.repository import is_this_repository
from models.kustomize.patterns import compile_pattern
from models.objects import KubeObject, Missing, Rendered, dig
from models.operators.make import items, mapping, maps
from models.render import walk

_FIELD = re.compile(r"\{\{-?\s*(?:index\s+)?\.?([\w.\-]+)(?:\[(\d+)\]|\s+(\d+))?\s*(?:\|[^{}]*)?-?\}\}")
_DNS = re.compile(r"[^a-z0-9-]+")
_UNKNOWABLE = {
    "clusterDecisionResource": "the clusters that another controller chose",
    "plugin": "what a plugin answers",
    "pullRequest": "the open pull requests of a repository",
    "scmProvider": "the repositories of an organisation",
}
MAX_ELEMENTS = 1_000
"""Most parameter sets that one generator may produce."""

Values = dict[str, Any]


@dataclass
class _Set:
    """An ApplicationSet on its way: how its templates are read, and what could not be known."""

    tree: Tree
    item: KubeObject
    go: bool
    strict: bool
    gaps: list[Missing] = field(default_factory=list)

    def lacks(self, what: str, reason: str) -> None:
        """Note what is not known."""
        hides = f"the Applications that ApplicationSet {self.item.name} makes of it"
        entry = Missing("generator", what, self.item.origin, reason, hides)
        if entry not in self.gaps:
            self.gaps.append(entry)

    def fill(self, value: Any, values: Mapping[str, Any]) -> Any:
        """A template filled in; TemplateError when it cannot be."""
        if not self.go:
            return fill(value, values)
        if isinstance(value, str):
            return expand_template(value, values, strict=self.strict)
        if isinstance(value, dict):
            return {self.fill(key, values): self.fill(entry, values) for key, entry in value.items()}
        if isinstance(value, list):
            return [self.fill(entry, values) for entry in value]
        return value


def _opened(tree: Tree, item: KubeObject) -> _Set:
    options = [str(option) for option in items(item.spec.get("goTemplateOptions"))]
    return _Set(tree, item, item.spec.get("goTemplate") is True, "missingkey=error" in options)


def application_set(tree: Tree, item: KubeObject) -> tuple[list[KubeObject], list[Missing]]:
    """The Applications that an ApplicationSet generates, and what of it cannot be known here."""
    state = _opened(tree, item)
    found: list[KubeObject] = []
    for values in _all(state):
        try:
            template = state.fill(item.get("spec", "template"), values)
            template = _patched(state, template, values)
        except TemplateError as error:
            state.lacks("template", f"its template cannot be filled in: {error}")
            continue
        metadata = {"namespace": item.namespace, **mapping(dig(template, "metadata"))}
        manifest = {"apiVersion": item.api_version, "kind": "Application", "metadata": metadata}
        origin = replace(item.origin, by=f"ApplicationSet {item.name}")
        found.append(KubeObject({**manifest, "spec": mapping(dig(template, "spec"))}, origin))
    return found, state.gaps


def gaps_of(tree: Tree, item: KubeObject) -> Rendered:
    """What an ApplicationSet hides, as entries of what is missing."""
    return Rendered((), tuple(application_set(tree, item)[1]))


def generated(tree: Tree, item: KubeObject) -> list[Values]:
    """The parameters that the generators of an ApplicationSet produce, in order."""
    return _all(_opened(tree, item))


def _all(state: _Set) -> list[Values]:
    return [values for one in maps(state.item.spec.get("generators")) for values in _generate(state, one, {})]


def _patched(state: _Set, template: Any, values: Mapping[str, Any]) -> Any:
    """``templatePatch``: YAML that is filled in and laid over the template; null removes a field."""
    text = state.item.spec.get("templatePatch")
    if not isinstance(text, str) or not text.strip():
        return template
    try:
        documents = parse_documents(str(state.fill(text, values)), file="templatePatch")
    except InputError as error:
        raise TemplateError(f"templatePatch: {error.problems[0].what}") from error
    return _over(template, documents[0].value) if documents else template


def _over(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    result = {key: value for key, value in old.items() if key not in new}
    for key, value in new.items():
        if value is not None:
            result[key] = _over(old.get(key), value)
    return result


# -- generators ------------------------------------------------------------------------------------------------------


def _generate(state: _Set, generator: Mapping[str, Any], outer: Mapping[str, Any]) -> list[Values]:
    kind = next((name for name in generator if name != "selector"), "")
    settings = mapping(generator.get(kind))
    if outer:
        try:
            settings = mapping(state.fill(settings, outer))
        except TemplateError as error:
            state.lacks(f"{kind} generator", str(error))
            return []
    elements = _elements(state, kind, settings)
    extra = settings.get("values")
    if isinstance(extra, dict) and kind not in ("matrix", "merge"):
        elements = [{**element, "values": _extra(state, extra, {**outer, **element})} for element in elements]
    selector = generator.get("selector")
    if isinstance(selector, dict):
        elements = [element for element in elements if _selected(selector, element)]
    if len(elements) > MAX_ELEMENTS:
        state.lacks(f"{kind} generator", f"it produces more than {MAX_ELEMENTS} elements; the others are left out")
    return elements[:MAX_ELEMENTS]


def _extra(state: _Set, extra: Mapping[str, Any], element: Mapping[str, Any]) -> Any:
    try:
        return state.fill(dict(extra), element)
    except TemplateError as error:
        state.lacks("values of a generator", str(error))
        return {}


def _elements(state: _Set, kind: str, settings: Mapping[str, Any]) -> list[Values]:
    if kind == "list":
        elements = [dict(element) for element in maps(settings.get("elements"))]
        return elements + _elements_text(state, settings.get("elementsYaml"))
    if kind == "git":
        return _git(state, settings)
    if kind == "clusters":
        found, unknown = state.tree.clusters.selected(mapping(settings.get("selector")))
        if unknown:
            state.lacks("clusters generator", unknown)
        return found
    if kind == "matrix":
        return _matrix(state, maps(settings.get("generators")))
    if kind == "merge":
        return _merge(state, settings)
    state.lacks(f"{kind or 'empty'} generator", f"{_UNKNOWABLE.get(kind, 'what it produces')} cannot be known offline")
    return []


def _elements_text(state: _Set, text: Any) -> list[Values]:
    if not isinstance(text, str) or "{{" in text:
        if isinstance(text, str):
            state.lacks("list generator", "its elementsYaml cannot be filled in")
        return []
    try:
        documents = parse_documents(text, file="elementsYaml")
    except InputError as error:
        state.lacks("list generator", error.problems[0].what)
        return []
    return [dict(element) for document in documents for element in maps(document.value)]


def _matrix(state: _Set, generators: list[Any]) -> list[Values]:
    if len(generators) != 2:
        state.lacks("matrix generator", f"it needs two generators and has {len(generators)}")
        return []
    found: list[Values] = []
    for left in _generate(state, generators[0], {}):
        found += [merge_values(left, right) for right in _generate(state, generators[1], left)]
        if len(found) > MAX_ELEMENTS:
            break
    return found


def _merge(state: _Set, settings: Mapping[str, Any]) -> list[Values]:
    keys = [str(key) for key in items(settings.get("mergeKeys"))]
    lists = [_generate(state, generator, {}) for generator in maps(settings.get("generators"))]
    if not lists:
        return []

    def key_of(element: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(str(_value(element, key)) for key in keys)

    base = {key_of(element): element for element in lists[0]}
    for element in itertools.chain.from_iterable(lists[1:]):
        if key_of(element) in base:
            base[key_of(element)] = merge_values(base[key_of(element)], element)
    return list(base.values())


def _git(state: _Set, settings: Mapping[str, Any]) -> list[Values]:
    tree, url = state.tree, str(settings.get("repoURL") or "")
    if not is_this_repository(tree.repository, url):
        state.lacks(f"git generator of {url}", "it is another repository")
        return []
    prefix = str(settings.get("pathParamPrefix") or "")
    found: dict[str, Values] = {}
    entries = maps(settings.get("directories"))
    excluded = [str(entry.get("path") or "") for entry in entries if entry.get("exclude") is True]
    folders = _folders(tree) if entries else []
    for entry in entries:
        if entry.get("exclude") is not True:
            for folder in folders:
                if _glob(folder, str(entry.get("path") or "")) and not any(_glob(folder, text) for text in excluded):
                    found.setdefault(folder, _named(prefix, _path_facts(folder)))
    elements = list(found.values())
    entries = maps(settings.get("files"))
    excluded = [str(entry.get("path") or "") for entry in entries if entry.get("exclude") is True]
    for entry in entries:
        for file in _files(tree) if entry.get("exclude") is not True else ():
            name = file.relative_to(tree.repository).as_posix()
            if _glob(name, str(entry.get("path") or "")) and not any(_glob(name, text) for text in excluded):
                elements += _file_elements(state, file, prefix)
    return elements


def _named(prefix: str, facts: Values) -> Values:
    return {prefix: {"path": facts}} if prefix else {"path": facts}


def _folders(tree: Tree) -> list[str]:
    return [folder.relative_to(tree.repository).as_posix() for folder in walk(tree.repository)][1:]


def _files(tree: Tree) -> Iterator[Path]:
    for folder in walk(tree.repository):
        yield from (file for file in sorted(folder.iterdir()) if file.is_file())


def _glob(path: str, pattern: str) -> bool:
    """Go's ``path.Match``, with ``**`` for any number of segments; ``*`` does not cross a slash."""
    return _glob_matcher(pattern)(path)


@lru_cache(maxsize=256)
def _glob_matcher(pattern: str) -> Callable[[str], bool]:
    text = re.escape(pattern.strip("/")).replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*")
    text = text.replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    if pattern.count("*") > 4:
        # where Python's engine could take exponential time
        return compile_pattern(f"^{text}$").search
    found = re.compile(text)
    return lambda path: found.fullmatch(path) is not None


def _path_facts(folder: str) -> Values:
    base = folder.rpartition("/")[2]
    return {
        "path": folder,
        "basename": base,
        "basenameNormalized": _DNS.sub("-", base.lower()).strip("-"),
        "segments": folder.split("/"),
    }


def _file_elements(state: _Set, file: Path, prefix: str) -> list[Values]:
    tree = state.tree
    if not file.is_file() or not file.resolve().is_relative_to(tree.repository):
        return []
    name = file.relative_to(tree.repository).as_posix()
    try:
        contents = [document.value for document in read_documents(file, display=name)]
    except InputError as error:
        state.lacks(f"git generator: {name}", error.problems[0].what)
        return []
    base = file.name
    facts = {**_path_facts(name.rpartition("/")[0]), "filename": base}
    facts["filenameNormalized"] = _DNS.sub("-", base.lower()).strip("-")
    entries = [entry for value in contents for entry in (value if isinstance(value, list) else [value])]
    return [{**entry, **_named(prefix, facts)} for entry in entries if isinstance(entry, dict)]


# -- selecting and filling in ------------------------------------------------------------------------------------------


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


def _selected(selector: Mapping[str, Any], element: Mapping[str, Any]) -> bool:
    """A generator's own ``selector``: labels are the parameters, nested ones with dots between the names."""
    labels = dict(_flat(element))
    for key, value in mapping(selector.get("matchLabels")).items():
        if labels.get(str(key)) != str(value):
            return False
    for expression in maps(selector.get("matchExpressions")):
        key, operator = str(expression.get("key") or ""), str(expression.get("operator") or "")
        among = labels.get(key) in [str(value) for value in items(expression.get("values"))]
        fits = {"In": among, "NotIn": not among, "Exists": key in labels, "DoesNotExist": key not in labels}
        if not fits.get(operator, False):
            return False
    return True


def fill(value: Any, values: Mapping[str, Any]) -> Any:
    """A template with ``{{path.basename}}`` and ``{{ .path.basename }}`` replaced; unknown names stay as they are."""
    if isinstance(value, str):
        return _FIELD.sub(lambda match: _text(values, match), value) if "{{" in value else value
    if isinstance(value, dict):
        return {fill(key, values): fill(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, values) for item in value]
    return value


def _text(values: Mapping[str, Any], match: re.Match[str]) -> str:
    found = _value(values, match[1])
    index = match[2] or match[3]
    if index is not None:
        entries = found.get("segments") if isinstance(found, dict) else found
        found = entries[int(index)] if isinstance(entries, list) and int(index) < len(entries) else None
    if isinstance(found, dict) and "path" in found:
        # Without goTemplate, {{path}} is the folder's path itself.
        found = found["path"]
    return match[0] if found is None or isinstance(found, dict | list) else str(found)


def _value(values: Mapping[str, Any], name: str) -> Any:
    return values[name] if name in values else dig(dict(values), *name.split("."))
