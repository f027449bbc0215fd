"""Argo CD: Applications, and the Applications that ApplicationSets generate from this repository."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from models.charts import load_model, merge_values
from models.documents import read_documents
from models.errors import InputError
from models.gitops.appsets import application_set, gaps_of
from models.gitops.folders import Tree, read_file, render_folder
from models.gitops.overlay import lay_over
from models.gitops.releases import Release, release_objects
from models.gitops.repository import is_this_repository
from models.objects import KubeObject, Missing, Origin, Rendered, dig
from models.operators.make import items, mapping, maps
from models.render import display_path, walk

GROUP = "argoproj.io"
_KUSTOMIZE = {
    "images": "images",
    "namePrefix": "namePrefix",
    "nameSuffix": "nameSuffix",
    "namespace": "namespace",
    "patches": "patches",
    "components": "components",
    "commonLabels": "commonLabels",
    "commonAnnotations": "commonAnnotations",
    "replicas": "replicas",
}


def applications(tree: Tree, item: KubeObject) -> Iterator[KubeObject]:
    """The Application itself, or those that an ApplicationSet generates, and the set when it hides something."""
    if item.group != GROUP:
        return
    if item.kind == "Application":
        yield item
    elif item.kind == "ApplicationSet":
        made, gaps = application_set(tree, item)
        yield from made
        if gaps:
            yield item


def sources(item: KubeObject) -> list[dict[str, Any]]:
    """The sources of an Application, one or several."""
    several = [dict(source) for source in maps(item.spec.get("sources"))]
    return several or ([dict(item.spec["source"])] if isinstance(item.spec.get("source"), dict) else [])


def application_objects(tree: Tree, item: KubeObject, roots: Container[str] = ()) -> Iterator[Rendered]:
    """What each source of an Application deploys, except folders of ``roots`` that it deploys as they stand."""
    if item.kind == "ApplicationSet":
        yield gaps_of(tree, item)
        return
    listed = sources(item)
    named = {str(source["ref"]): source for source in listed if source.get("ref")}
    for source in map(_as_chart, listed):
        if source.get("chart"):
            yield _release_objects(tree, item, source, named)
        elif source.get("path") and (source.get("kustomize") or str(source["path"]).strip("/") not in roots):
            yield from _path_source(tree, item, source, named)


def _as_chart(source: dict[str, Any]) -> dict[str, Any]:
    """A source of a registry in the form of a chart source; any other source as it is.

    Argo CD takes a chart of a registry as a folder, too: the address ends with the chart, and ``path`` is its root.
    https://argo-cd.readthedocs.io/en/stable/user-guide/oci/
    """
    url = str(source.get("repoURL") or "").rstrip("/")
    path = str(source.get("path") or "").strip("./")
    if not url.startswith("oci://") or source.get("chart") or source.get("ref"):
        return source
    base, _, name = f"{url}/{path}".rstrip("/").rpartition("/")
    chart = source.get("helm") is not None or load_model(name) is not None
    return {**source, "chart": name, "repoURL": base} if chart else source


def _path_source(
    tree: Tree, item: KubeObject, source: Mapping[str, Any], named: Mapping[str, Any]
) -> Iterator[Rendered]:
    path, url = str(source["path"]), str(source.get("repoURL") or "")
    artifact = url.startswith("oci://")
    here = not artifact and is_this_repository(tree.repository, url)
    folder = tree.folder(path) if here else None
    if folder is None:
        other = "it is an artifact of a registry" if artifact else "it is another repository"
        reason = "this repository has no such folder" if here else other
        yield Rendered((), (Missing("repository", f"{path} of {url}", item.origin, reason, "its objects"),))
    elif folder.is_file():
        yield read_file(tree, folder)
    elif source.get("plugin") is not None:
        what = f"{path} through plugin {mapping(source['plugin']).get('name', '')}".rstrip()
        entry = Missing("plugin", what, item.origin, "it is a program that would have to be run", "all its objects")
        yield Rendered((), (entry,))
    elif (folder / "Chart.yaml").is_file():
        yield _release_objects(tree, item, source, named, folder)
    else:
        directory = mapping(source.get("directory"))
        recurse = directory.get("recurse") is True
        options = {name: str(directory.get(name) or "") for name in ("include", "exclude")}
        found = render_folder(tree, folder, recurse=recurse, **options)
        fields = mapping(source.get("kustomize"))
        over = {ours: fields.get(theirs) for theirs, ours in _KUSTOMIZE.items()}
        over["images"] = [_image(entry) for entry in items(over["images"])]
        over["replicas"] = [_replicas(entry) for entry in maps(over["replicas"])]
        if fields.get("labelWithoutSelector") is True and over["commonLabels"]:
            over["labels"] = [{"pairs": over.pop("commonLabels")}]
        yield Rendered((), tuple(_jsonnet(tree, folder, item, recurse=recurse)))
        yield lay_over(found, over, repository=tree.repository, base=folder, origin=item.origin)


def _jsonnet(tree: Tree, folder: Path, item: KubeObject, *, recurse: bool) -> Iterator[Missing]:
    """The files of a folder that Argo CD would evaluate with Jsonnet."""
    for directory in walk(folder) if recurse else (folder,):
        for file in sorted(directory.glob("*.jsonnet")):
            name = file.relative_to(tree.repository).as_posix()
            yield Missing("generator", name, item.origin, "Jsonnet is not evaluated", "the objects that it makes")


def _replicas(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A replica override; Argo CD takes the count as text, too."""
    count = str(entry.get("count") or "0")
    return {"name": str(entry.get("name") or ""), "count": int(count) if count.isdigit() else 0}


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


def _release_objects(
    tree: Tree, item: KubeObject, source: Mapping[str, Any], named: Mapping[str, Any], folder: Path | None = None
) -> Rendered:
    """The objects of a chart source, and the value files that are not here."""
    release, absent = _release(tree, item, source, named, folder)
    made = release_objects(tree, release)
    reason = "this value file is not in the tree"
    hides = f"what its values change in release {release.release}"
    entries = tuple(Missing("file", name, item.origin, reason, hides) for name in absent)
    return Rendered(made.objects, made.missing + entries, made.roots)


def _release(
    tree: Tree, item: KubeObject, source: Mapping[str, Any], named: Mapping[str, Any], folder: Path | None = None
) -> tuple[Release, list[str]]:
    """The release that a source asks for, and the names of the value files that cannot be read."""
    helm = mapping(source.get("helm"))
    values: dict[str, Any] = {}
    absent: list[str] = []
    places = [folder / "Chart.yaml"] if folder else []
    for name in map(str, items(helm.get("valueFiles"))):
        file = _value_file(tree, name, folder, named)
        content = _content(file) if file is not None else None
        if file is not None and content is not None:
            values = merge_values(values, content)
            places.append(file)
        elif helm.get("ignoreMissingValueFiles") is not True:
            absent.append(name)
    values = merge_values(values, yaml_map(helm.get("values")))
    values = merge_values(values, mapping(helm.get("valuesObject")))
    for parameter in maps(helm.get("parameters")):
        values = merge_values(values, set_value(str(parameter.get("name") or ""), parameter.get("value")))
    name = str(source.get("chart") or (folder.name if folder else ""))
    url = str(source.get("repoURL") or "")
    if folder is None and "://" not in url and url:
        url = f"oci://{url}"
    release = Release(
        name=name,
        repo="" if folder else url,
        version="" if folder else str(source.get("targetRevision") or ""),
        release=str(helm.get("releaseName") or item.name),
        namespace=str(dig(item.spec, "destination", "namespace") or ""),
        values=values,
        origin=_origin(tree, item, f"Argo CD Application {item.name}: chart {name}", places),
        local=folder,
        include_crds=helm.get("skipCrds") is not True,
    )
    return release, absent


def _origin(tree: Tree, item: KubeObject, by: str, places: Sequence[Path]) -> Origin:
    """Where a release is written: the Application, or its own files when a set made the Application."""
    if item.origin.by and places:
        place = places[0] if places[0].name == "Chart.yaml" else places[-1]
        return Origin(display_path(place, tree.repository), 1, "chart", by)
    return Origin(item.origin.file, item.origin.line, "chart", by)


def _value_file(tree: Tree, name: str, folder: Path | None, named: Mapping[str, Any]) -> Path | None:
    base: Path | None = folder
    if name.startswith("$"):
        reference, _, name = name[1:].partition("/")
        known = reference in named and is_this_repository(tree.repository, str(named[reference].get("repoURL") or ""))
        base = tree.repository if known else None
    elif name.startswith("/"):
        base, name = tree.repository, name[1:]
    file = (base / name).resolve() if base is not None else None
    return file if file is not None and file.is_file() and file.is_relative_to(tree.repository) else None


def _content(file: Path) -> dict[str, Any] | None:
    try:
        documents = read_documents(file)
    except InputError:
        return None
    value = documents[0].value if documents else None
    return value if isinstance(value, dict) else {}


def yaml_map(text: Any) -> dict[str, Any]:
    """The map that a text of YAML holds, empty when it holds none; a map is taken as it is."""
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
    """A map with ``value`` at a dotted path, as ``helm --set`` makes it; ``a[1].b`` makes a list."""
    keys = [key.replace("\0", ".") for key in path.replace("\\.", "\0").split(".") if key]
    result: Any = value
    for key in reversed(keys):
        name, *indices = re.split(r"\[(\d{1,3})\]", key)
        for index in reversed(indices[::2]):
            result = [*[None] * int(index), result]
        result = {name: result} if name else result
    return result if isinstance(result, dict) else {}
