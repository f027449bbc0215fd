"""Argo CD: Applications, and the Applications that ApplicationSets generate from this repository."""

from __future__ import annotations

import itertools
import re
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

from models.charts import merge_values
from models.documents import read_documents
from models.errors import InputError
from models.gitops.folders import Tree, read_file, render_folder
from models.gitops.overlay import lay_over
from models.gitops.releases import Release, release_objects
from models.gitops.repository import is_this_repository
from models.objects import KubeObject, Missing, Origin, Rendered, dig
from models.operators.make import items, mapping, maps
from models.render import walk

GROUP = "argoproj.io"
_FIELD = re.compile(r"\{\{-?\s*(?:index\s+)?\.?([\w.\-]+)(?:\[(\d+)\]|\s+(\d+))?\s*(?:\|[^{}]*)?-?\}\}")
_DNS = re.compile(r"[^a-z0-9-]+")
_KUSTOMIZE = {
    "images": "images",
    "namePrefix": "namePrefix",
    "nameSuffix": "nameSuffix",
    "namespace": "namespace",
    "patches": "patches",
    "components": "components",
    "commonLabels": "commonLabels",
    "commonAnnotations": "commonAnnotations",
}


def applications(tree: Tree, item: KubeObject) -> Iterator[KubeObject]:
    """The Application itself, or those that an ApplicationSet generates."""
    if item.group != GROUP:
        return
    if item.kind == "Application":
        yield item
    elif item.kind == "ApplicationSet":
        for values in generated(tree, item):
            template = fill(item.get("spec", "template"), values)
            metadata = {"namespace": item.namespace, **mapping(dig(template, "metadata"))}
            manifest = {"apiVersion": item.api_version, "kind": "Application", "metadata": metadata}
            yield KubeObject({**manifest, "spec": mapping(dig(template, "spec"))}, item.origin)


def generated(tree: Tree, item: KubeObject) -> list[dict[str, Any]]:
    """The parameters that the generators of an ApplicationSet produce, in order."""
    generators = maps(item.spec.get("generators"))
    return [values for generator in generators for values in _generate(tree, generator, {})]


def _generate(tree: Tree, generator: Mapping[str, Any], outer: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "list" in generator:
        elements = [dict(element) for element in maps(dig(generator, "list", "elements"))]
    elif "git" in generator:
        elements = _git(tree, mapping(fill(generator["git"], outer) if outer else generator["git"]))
    elif "clusters" in generator:
        # The cluster that the tree is for is the only one that can be known.
        server = "https://kubernetes.default.svc"
        elements = [{"name": "in-cluster", "nameNormalized": "in-cluster", "server": server}]
    elif "matrix" in generator:
        elements = _matrix(tree, maps(dig(generator, "matrix", "generators")))
    elif "merge" in generator:
        elements = _merge(tree, mapping(generator["merge"]))
    else:
        elements = []
    kind = next(iter(generator), "")
    extra = dig(generator, kind, "values")
    if isinstance(extra, dict):
        elements = [{**element, "values": fill(extra, element)} for element in elements]
    return elements


def _matrix(tree: Tree, generators: list[Any]) -> list[dict[str, Any]]:
    if len(generators) != 2:
        return []
    found = []
    for left in _generate(tree, generators[0], {}):
        found += [merge_values(left, right) for right in _generate(tree, generators[1], left)]
    return found


def _merge(tree: Tree, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    keys = [str(key) for key in items(settings.get("mergeKeys"))]
    lists = [_generate(tree, generator, {}) for generator in maps(settings.get("generators"))]
    if not lists:
        return []

    def key_of(element: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(str(_value(element, key)) for key in keys)

    base = {key_of(element): element for element in lists[0]}
    for element in itertools.chain.from_iterable(lists[1:]):
        if key_of(element) in base:
            base[key_of(element)] = merge_values(base[key_of(element)], element)
    return list(base.values())


def _git(tree: Tree, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not is_this_repository(tree.repository, str(settings.get("repoURL") or "")):
        return []
    found: dict[str, dict[str, Any]] = {}
    entries = maps(settings.get("directories"))
    excluded = [str(entry.get("path") or "") for entry in entries if entry.get("exclude") is True]
    folders = _folders(tree) if entries else []
    for entry in entries:
        if entry.get("exclude") is not True:
            for folder in folders:
                if _glob(folder, str(entry.get("path") or "")) and not any(_glob(folder, text) for text in excluded):
                    found.setdefault(folder, {"path": _path_facts(folder)})
    elements = list(found.values())
    for entry in maps(settings.get("files")):
        for file in _files(tree):
            if _glob(file.relative_to(tree.repository).as_posix(), str(entry.get("path") or "")):
                elements += _file_elements(tree, file)
    return elements


def _folders(tree: Tree) -> list[str]:
    return [folder.relative_to(tree.repository).as_posix() for folder in walk(tree.repository)][1:]


def _files(tree: Tree) -> Iterator[Path]:
    for folder in walk(tree.repository):
        yield from (file for file in sorted(folder.iterdir()) if file.is_file())


def _glob(path: str, pattern: str) -> bool:
    """Go's ``path.Match``, with ``**`` for any number of segments; ``*`` does not cross a slash."""
    text = re.escape(pattern.strip("/")).replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*")
    return re.fullmatch(text.replace(r"\*", "[^/]*").replace(r"\?", "[^/]"), path) is not None


def _path_facts(folder: str) -> dict[str, Any]:
    base = folder.rpartition("/")[2]
    return {
        "path": folder,
        "basename": base,
        "basenameNormalized": _DNS.sub("-", base.lower()).strip("-"),
        "segments": folder.split("/"),
    }


def _file_elements(tree: Tree, file: Path) -> list[dict[str, Any]]:
    if not file.is_file() or not file.resolve().is_relative_to(tree.repository):
        return []
    name = file.relative_to(tree.repository).as_posix()
    try:
        contents = [document.value for document in read_documents(file, display=name)]
    except InputError:
        return []
    folder = name.rpartition("/")[0]
    facts = {**_path_facts(folder), "filename": file.name}
    entries = [entry for value in contents for entry in (value if isinstance(value, list) else [value])]
    return [{**entry, "path": facts} for entry in entries if isinstance(entry, dict)]


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


def sources(item: KubeObject) -> list[dict[str, Any]]:
    """The sources of an Application, one or several."""
    several = [dict(source) for source in maps(item.spec.get("sources"))]
    return several or ([dict(item.spec["source"])] if isinstance(item.spec.get("source"), dict) else [])


def application_objects(tree: Tree, item: KubeObject, roots: Container[str] = ()) -> Iterator[Rendered]:
    """What each source of an Application deploys, except folders of ``roots`` that it deploys as they stand."""
    listed = sources(item)
    named = {str(source["ref"]): source for source in listed if source.get("ref")}
    for source in listed:
        if source.get("chart"):
            release = _release(tree, item, source, named)
            yield release_objects(tree, release)
        elif source.get("path") and (source.get("kustomize") or str(source["path"]).strip("/") not in roots):
            yield from _path_source(tree, item, source, named)


def _path_source(
    tree: Tree, item: KubeObject, source: Mapping[str, Any], named: Mapping[str, Any]
) -> Iterator[Rendered]:
    path, url = str(source["path"]), str(source.get("repoURL") or "")
    folder = tree.folder(path) if is_this_repository(tree.repository, url) else None
    if folder is None:
        what = f"{path} of {url}"
        yield Rendered((), (Missing("repository", what, item.origin, "it is another repository", "its objects"),))
    elif folder.is_file():
        yield read_file(tree, folder)
    elif (folder / "Chart.yaml").is_file():
        release = _release(tree, item, source, named, folder)
        yield release_objects(tree, release)
    else:
        directory = mapping(source.get("directory"))
        recurse = directory.get("recurse") is True
        options = {name: str(directory.get(name) or "") for name in ("include", "exclude")}
        found = render_folder(tree, folder, recurse=recurse, **options)
        fields = mapping(source.get("kustomize"))
        over = {ours: fields.get(theirs) for theirs, ours in _KUSTOMIZE.items()}
        over["images"] = [_image(entry) for entry in items(over["images"])]
        yield lay_over(found, over, repository=tree.repository, base=folder, origin=item.origin)


def _image(entry: Any) -> Any:
    """``name=new:tag`` as Argo CD writes an image override, in Kustomize's form."""
    if not isinstance(entry, str):
        return entry
    name, _, new = entry.rpartition("=")
    target, _, digest = new.partition("@")
    repository, colon, tag = target.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = target, ""
    result = {"name": name or repository, "newName": repository, "newTag": tag, "digest": digest}
    return {key: value for key, value in result.items() if value}


def _release(
    tree: Tree, item: KubeObject, source: Mapping[str, Any], named: Mapping[str, Any], folder: Path | None = None
) -> Release:
    helm = mapping(source.get("helm"))
    values: dict[str, Any] = {}
    for name in items(helm.get("valueFiles")):
        values = merge_values(values, _value_file(tree, str(name), folder, named))
    values = merge_values(values, _yaml_map(helm.get("values")))
    values = merge_values(values, mapping(helm.get("valuesObject")))
    for parameter in maps(helm.get("parameters")):
        values = merge_values(values, set_value(str(parameter.get("name") or ""), parameter.get("value")))
    name = str(source.get("chart") or (folder.name if folder else ""))
    url = str(source.get("repoURL") or "")
    if folder is None and "://" not in url and url:
        url = f"oci://{url}"
    return Release(
        name=name,
        repo="" if folder else url,
        version="" if folder else str(source.get("targetRevision") or ""),
        release=str(helm.get("releaseName") or item.name),
        namespace=str(dig(item.spec, "destination", "namespace") or ""),
        values=values,
        origin=Origin(item.origin.file, item.origin.line, "chart", f"Argo CD Application {item.name}: chart {name}"),
        local=folder,
        include_crds=helm.get("skipCrds") is not True,
    )


def _value_file(tree: Tree, name: str, folder: Path | None, named: Mapping[str, Any]) -> dict[str, Any]:
    base: Path | None = folder
    if name.startswith("$"):
        reference, _, name = name[1:].partition("/")
        known = reference in named and is_this_repository(tree.repository, str(named[reference].get("repoURL") or ""))
        base = tree.repository if known else None
    elif name.startswith("/"):
        base, name = tree.repository, name[1:]
    file = (base / name).resolve() if base is not None else None
    if file is None or not file.is_file() or not file.is_relative_to(tree.repository):
        return {}
    try:
        documents = read_documents(file)
    except InputError:
        return {}
    value = documents[0].value if documents else None
    return value if isinstance(value, dict) else {}


def _yaml_map(text: Any) -> dict[str, Any]:
    from models.documents import parse_documents

    if not isinstance(text, str):
        return mapping(text)
    try:
        documents = parse_documents(text, file="values")
    except InputError:
        return {}
    value = documents[0].value if documents else None
    return value if isinstance(value, dict) else {}


def set_value(path: str, value: Any) -> dict[str, Any]:
    """A map with ``value`` at a dotted path, as ``helm --set`` makes it (without lists)."""
    keys = [key.replace("\0", ".") for key in path.replace("\\.", "\0").split(".") if key]
    result: Any = value
    for key in reversed(keys):
        result = {key: result}
    return result if isinstance(result, dict) else {}
