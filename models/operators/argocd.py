"""Where Argo CD puts objects that name no namespace: ``destination.namespace`` of Applications and ApplicationSets."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from models.objects import KubeObject, dig
from models.operators.make import mapping, maps

_PLACEHOLDER = re.compile(r"\{\{\s*\.?([\w.\-]+)\s*\}\}")


def destinations(objects: Iterable[KubeObject], folders: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Pairs of (folder in this repository, namespace), longest folder first.

    ``folders``: folders that exist, which git directory generators are matched against.
    """
    known = sorted(set(folders))
    found: dict[str, str] = {}
    for item in objects:
        if item.group != "argoproj.io":
            continue
        if item.kind == "Application":
            found.update(_application(item.spec))
        elif item.kind == "ApplicationSet":
            template = mapping(item.get("spec", "template", "spec"))
            for generator in maps(item.spec.get("generators")):
                for values in _elements(generator, known):
                    found.update(_application(_filled(template, values)))
    return tuple(sorted(found.items(), key=lambda pair: (-len(pair[0]), pair)))


def _application(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    namespace = dig(spec, "destination", "namespace")
    for source in [spec.get("source"), *maps(spec.get("sources"))]:
        path = dig(source, "path")
        if namespace and path:
            yield str(path).strip("/").removeprefix("./"), str(namespace)


def _elements(generator: Mapping[str, Any], folders: list[str]) -> Iterator[dict[str, str]]:
    for element in maps(dig(generator, "list", "elements")):
        yield {str(key): str(value) for key, value in element.items()}
    for entry in maps(dig(generator, "git", "directories")):
        if entry.get("exclude") is True:
            continue
        pattern = str(entry.get("path") or "")
        depth = pattern.count("/")
        for folder in folders:
            if folder.count("/") == depth and fnmatch.fnmatchcase(folder, pattern):
                base = folder.rpartition("/")[2]
                yield {"path": folder, "path.path": folder, "path.basename": base, "path.basenameNormalized": base}


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), value)
    if isinstance(value, dict):
        return {key: _filled(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    return value
