"""Flux: Kustomizations of this repository and HelmReleases with their sources.

Fields follow kustomize-controller (``kustomize.toolkit.fluxcd.io``) and helm-controller (``helm.toolkit.fluxcd.io``).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from models.charts import load_model, merge_values
from models.gitops.argo import set_value, yaml_map
from models.gitops.folders import Tree, render_folder
from models.gitops.overlay import lay_over
from models.gitops.releases import Release, release_objects
from models.gitops.repository import is_this_repository
from models.gitops.substitute import DISABLED, Variables, substitute
from models.objects import KubeObject, Missing, Origin, Rendered, dig, string_map
from models.operators.make import items, mapping, maps

SOURCE_GROUP = "source.toolkit.fluxcd.io"
KUSTOMIZE_GROUP, HELM_GROUP = "kustomize.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io"
Known = Mapping[tuple[str, str, str], Sequence[KubeObject]]


def index(objects: Iterable[KubeObject]) -> dict[tuple[str, str, str], list[KubeObject]]:
    """Objects by kind, namespace and name; Flux looks its sources and values up this way."""
    found: dict[tuple[str, str, str], list[KubeObject]] = {}
    for item in objects:
        found.setdefault((item.kind, item.namespace, item.name), []).append(item)
    return found


def _lookup(known: Known, kind: str, namespace: str, name: str, asker: KubeObject) -> KubeObject | None:
    """The object, also when its namespace is left to a kustomization that is not read.

    A tree of several clusters has objects of one name; the one that stands nearest to the asker is meant.
    """
    found = known.get((kind, namespace, name))
    if found:
        return max(reversed(found), key=lambda item: _shared(item.origin.file, asker.origin.file))
    others = [item for (other, _, called), same in known.items() if (other, called) == (kind, name) for item in same]
    loose = [item for item in others if not item.namespace or not namespace]
    return loose[0] if len(loose) == 1 else None


def _shared(left: str, right: str) -> int:
    """How many folders of one name two paths have: ``clusters/main`` and ``apps/main/web`` belong together."""
    return len(set(left.split("/")[:-1]) & set(right.split("/")[:-1]))


def kustomization_objects(tree: Tree, item: KubeObject, known: Known) -> Rendered:
    """What a Flux Kustomization applies: its folder, built, patched, put in its namespace and substituted."""
    path = str(item.spec.get("path") or "./")
    source = mapping(item.spec.get("sourceRef"))
    folder = tree.folder(path.removeprefix("./")) if _is_here(tree, item, source, path, known) else None
    if folder is None or not folder.is_dir():
        what = f"{path} of {source.get('kind', 'GitRepository')} {source.get('name', '')}".rstrip()
        reason = "this repository has no such folder"
        return Rendered(
            (), (Missing("repository", what, item.origin, reason, f"what Kustomization {item.name} applies"),)
        )
    fields = {name: item.spec.get(name) for name in ("patches", "images", "components", "namePrefix", "nameSuffix")}
    fields["namespace"] = item.spec.get("targetNamespace")
    common = mapping(item.spec.get("commonMetadata"))
    fields["commonAnnotations"] = common.get("annotations")
    fields["labels"] = [{"pairs": common["labels"]}] if common.get("labels") else None
    found = lay_over(render_folder(tree, folder), fields, repository=tree.repository, base=folder, origin=item.origin)
    if not isinstance(item.spec.get("postBuild"), dict):
        return found
    variables = variables_of(item, known)
    if variables.complete and not variables.values and not variables.hidden:
        # kustomize-controller leaves the texts alone when it has no variable at all.
        return found
    return Rendered(tuple(_substituted(entry, variables) for entry in found.objects), found.missing, found.roots)


def _is_here(tree: Tree, item: KubeObject, source: Mapping[str, Any], path: str, known: Known) -> bool:
    """Whether a source is this repository.

    A source that is not in the tree is what Flux was bootstrapped with. Without knowing the repository's remotes, a
    second GitRepository is another one when the path is its root; any other path counts when it exists here.
    """
    kind, name = str(source.get("kind") or "GitRepository"), str(source.get("name") or "")
    found = _lookup(known, kind, str(source.get("namespace") or item.namespace), name, item)
    if found is None or name == "flux-system":
        return True
    if kind != "GitRepository" or not is_this_repository(tree.repository, str(found.spec.get("url") or "")):
        return False
    several = sum(other == "GitRepository" for other, _, _ in known) > 1
    return not several or path.strip("./") != ""


def variables_of(item: KubeObject, known: Known) -> Variables:
    """The variables of ``postBuild``; ``substitute`` wins, and an encrypted source gives names without values."""
    values: dict[str, str] = {}
    hidden: set[str] = set()
    complete = True
    for source in maps(item.get("spec", "postBuild", "substituteFrom")):
        found = _lookup(known, str(source.get("kind")), item.namespace, str(source.get("name") or ""), item)
        if found is None:
            complete = complete and source.get("optional") is True
        elif _encrypted(found):
            names = {str(name) for field in ("data", "stringData") for name in mapping(found.get(field))}
            hidden |= names
            values = {name: value for name, value in values.items() if name not in names}
        else:
            data = {name: value.replace("\n", "") for name, value in _data(found).items()}
            hidden -= data.keys()
            values.update(data)
    inline = string_map(item.get("spec", "postBuild", "substitute"))
    values.update({name: value.replace("\n", "") for name, value in inline.items()})
    return Variables(values, hidden - inline.keys(), complete)


def has_sources(item: KubeObject, known: Known) -> bool:
    """Whether every object that the variables come from is known."""
    return all(
        _lookup(known, str(source.get("kind")), item.namespace, str(source.get("name") or ""), item) is not None
        for source in maps(item.get("spec", "postBuild", "substituteFrom"))
    )


def _data(item: KubeObject) -> dict[str, str]:
    """The texts of a ConfigMap or Secret; base64 data of Secrets is decoded."""
    data = {str(key): str(value) for key, value in mapping(item.get("data")).items() if value is not None}
    if item.kind == "Secret":
        data = {key: _decoded(value) for key, value in data.items()}
        data.update({str(key): str(value) for key, value in mapping(item.get("stringData")).items()})
    return data


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return text


def _encrypted(item: KubeObject) -> bool:
    return "sops" in item.manifest


def _substituted(item: KubeObject, variables: Variables) -> KubeObject:
    if "disabled" in (item.labels.get(DISABLED), item.annotations.get(DISABLED)):
        return item
    return KubeObject(substitute(item.manifest, variables), item.origin)


def helm_release_objects(tree: Tree, item: KubeObject, known: Known) -> Rendered:
    """What a HelmRelease installs."""
    namespace = str(item.spec.get("targetNamespace") or item.namespace)
    name = item.name
    if item.spec.get("targetNamespace"):
        name = f"{item.spec['targetNamespace']}-{item.name}"
    release_name = str(item.spec.get("releaseName") or name)
    chart = _chart(tree, item, known)
    if chart is None:
        what = str(
            dig(item.manifest, "spec", "chartRef", "name") or dig(item.manifest, "spec", "chart", "spec", "chart")
        )
        reason = "its source is not in the tree"
        hides = f"everything that release {release_name} runs"
        entry = Missing(
            "chart",
            what,
            item.origin,
            reason,
            hides,
            release=release_name,
            namespace=namespace,
            values=_values(item, known),
        )
        return Rendered((), (entry,))
    origin = Origin(
        item.origin.file,
        item.origin.line,
        "chart",
        f"HelmRelease {item.name}: chart {chart['name']} {chart['version']}".rstrip(),
    )
    given, absent = _chart_values(tree, item, chart["local"])
    values = merge_values(given, _values(item, known))
    release = Release(
        name=chart["name"],
        repo=chart["repo"],
        version=chart["version"],
        release=release_name,
        namespace=namespace,
        values=values,
        origin=origin,
        local=tree.folder(chart["local"]) if chart["local"] else None,
        include_crds=dig(item.manifest, "spec", "install", "crds", default="Create") != "Skip",
    )
    rendered = release_objects(tree, release)
    hides = f"what its values change in release {release_name}"
    lost = (Missing("file", name, item.origin, "this value file is not in the tree", hides) for name in absent)
    rendered += Rendered((), tuple(lost))
    for renderer in maps(item.spec.get("postRenderers")):
        fields = mapping(renderer.get("kustomize"))
        over = {field: fields.get(field) for field in ("patches", "images", "patchesStrategicMerge", "patchesJson6902")}
        rendered = lay_over(rendered, over, repository=tree.repository, base=None, origin=origin)
    return rendered


def _chart(tree: Tree, item: KubeObject, known: Known) -> dict[str, str] | None:
    """Name, repository, version and local folder of the chart; None when the source is not in the tree."""
    reference = mapping(item.spec.get("chartRef"))
    if reference:
        namespace = str(reference.get("namespace") or item.namespace)
        source = _lookup(known, str(reference.get("kind")), namespace, str(reference.get("name") or ""), item)
        if source is None:
            # A source called like a chart of the catalogue holds that chart, as far as anybody has seen.
            name = str(reference.get("name") or "")
            url = f"{reference.get('kind')} {namespace}/{name}".replace(" /", " ")
            return {"name": name, "repo": url, "version": "", "local": ""} if load_model(name) else None
        if source.kind == "OCIRepository":
            return _from_oci(source)
        return _from_spec(tree, source.spec, source.namespace or namespace, known, item)
    return _from_spec(tree, mapping(item.get("spec", "chart", "spec")), item.namespace, known, item)


def _from_oci(source: KubeObject) -> dict[str, str]:
    url = str(source.spec.get("url") or "").rstrip("/")
    reference = mapping(source.spec.get("ref"))
    version = str(reference.get("tag") or reference.get("semver") or "")
    return {"name": url.rpartition("/")[2], "repo": url.rpartition("/")[0], "version": version, "local": ""}


def _from_spec(
    tree: Tree, spec: Mapping[str, Any], namespace: str, known: Known, item: KubeObject
) -> dict[str, str] | None:
    reference = mapping(spec.get("sourceRef"))
    name, version = str(spec.get("chart") or ""), str(spec.get("version") or "")
    if not name:
        return None
    space = str(reference.get("namespace") or namespace)
    if reference.get("kind") in ("GitRepository", "Bucket"):
        return _from_files(tree, reference, space, name.removeprefix("./").rstrip("/"), known, item)
    source = _lookup(known, str(reference.get("kind")), space, str(reference.get("name") or ""), item)
    url = str(source.spec.get("url") or "").rstrip("/") if source is not None else ""
    if source is None:
        # The chart's name is all that a model needs; the repository stands elsewhere.
        url = f"{reference.get('kind', 'HelmRepository')} {space}/{reference.get('name', '')}"
    return {"name": name, "repo": url, "version": version, "local": ""}


def _from_files(
    tree: Tree, reference: Mapping[str, Any], space: str, path: str, known: Known, item: KubeObject
) -> dict[str, str] | None:
    """A chart that is a folder: of this repository, or of another one whose chart the catalogue may have."""
    source = _lookup(known, str(reference["kind"]), space, str(reference.get("name") or ""), item)
    url = str(source.spec.get("url") or "") if source is not None else ""
    folder = tree.folder(path) if not url or is_this_repository(tree.repository, url) else None
    if folder is not None and (folder / "Chart.yaml").is_file():
        return {"name": folder.name, "repo": "", "version": "", "local": path}
    name = path.rpartition("/")[2]
    repo = url or f"{reference['kind']} {space}/{reference.get('name', '')}"
    return {"name": name, "repo": repo, "version": "", "local": ""} if load_model(name) else None


def _chart_values(tree: Tree, item: KubeObject, local: str) -> tuple[dict[str, Any], list[str]]:
    """What ``valuesFiles`` of the chart say, later ones over earlier ones, and those that cannot be read.

    They are paths in the source: in this repository for a chart of it, in the chart for any other.
    """
    spec = mapping(item.get("spec", "chart", "spec"))
    values: dict[str, Any] = {}
    absent: list[str] = []
    for name in map(str, items(spec.get("valuesFiles"))):
        file = tree.folder(name.removeprefix("./")) if local else None
        if file is not None and file.is_file():
            values = merge_values(values, yaml_map(file.read_text(encoding="utf-8", errors="replace")))
        elif (local and spec.get("ignoreMissingValuesFiles") is not True) or (not local and name != "values.yaml"):
            absent.append(name)
    return values, absent


def _values(item: KubeObject, known: Known) -> dict[str, Any]:
    """``valuesFrom`` in order, then ``values`` over them."""
    values: dict[str, Any] = {}
    for source in maps(item.spec.get("valuesFrom")):
        found = _lookup(known, str(source.get("kind")), item.namespace, str(source.get("name") or ""), item)
        text = _data(found).get(str(source.get("valuesKey") or "values.yaml")) if found is not None else None
        if text is None or (found is not None and _encrypted(found)):
            continue
        if source.get("targetPath"):
            values = merge_values(values, set_value(str(source["targetPath"]), text))
        else:
            values = merge_values(values, yaml_map(text))
    return merge_values(values, mapping(item.spec.get("values")))


def is_kustomization(item: KubeObject) -> bool:
    """Whether an object is a Flux Kustomization that is not suspended."""
    return item.group == KUSTOMIZE_GROUP and item.kind == "Kustomization" and item.spec.get("suspend") is not True


def is_helm_release(item: KubeObject) -> bool:
    """Whether an object is a HelmRelease that is not suspended."""
    return item.group == HELM_GROUP and item.kind == "HelmRelease" and item.spec.get("suspend") is not True
