"""Charts that stand in the tree and that nothing in the tree installs.

Home platforms wrap a foreign chart in a folder of their own (``Chart.yaml`` with dependencies, ``values.yaml``). Who
installs the first of them (a Makefile, Ansible) is no manifest; it often brings the Applications of all others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.documents import read_documents
from models.errors import InputError
from models.gitops.folders import Tree
from models.gitops.releases import Release, release_objects
from models.objects import Missing, Origin, Rendered
from models.operators.make import maps
from models.render import display_path, walk

_APPLICATION = re.compile(rb"^\s*-?\s*apiVersion:\s*[\"']?argoproj\.io/", re.MULTILINE)
_LIBRARIES = ("charts", "helm-charts", "templates")
"""Folders of charts that wait to be used: what nobody installs there is no part of the platform."""


def chart_folders(path: Path) -> list[Path]:
    """The charts at and below ``path`` that look like parts of a platform; those that bring Applications go first."""
    found: list[Path] = []
    for folder in walk(path) if path.is_dir() else ():
        inside = folder.relative_to(path).parts
        if not (folder / "Chart.yaml").is_file() or any(folder.is_relative_to(other) for other in found):
            continue
        if folder == path or (not set(inside) & set(_LIBRARIES) and _of_chart(folder).get("type") != "library"):
            found.append(folder)
    return sorted(found, key=lambda folder: (not _brings_applications(folder), folder))


def install(tree: Tree, folder: Path) -> Rendered:
    """The release of a chart that nobody installs: called like its folder, in a namespace of that name."""
    name = folder.name
    origin = Origin(display_path(folder / "Chart.yaml", tree.repository), 1, "chart", f"chart folder {name}")
    found = release_objects(
        tree,
        Release(name=name, repo="", version="", release=name, namespace=name, values={}, origin=origin, local=folder),
    )
    what = f"installation of {display_path(folder, tree.repository)}"
    reason = f"nothing in the tree says how it is installed: taken as release {name} in namespace {name}"
    entry = Missing("generator", what, origin, reason, "other values, another name or another namespace")
    return Rendered(found.objects, (entry, *found.missing), found.roots)


def _of_chart(folder: Path) -> dict[str, Any]:
    try:
        documents = read_documents(folder / "Chart.yaml")
    except InputError:
        return {}
    value = documents[0].value if documents else None
    return value if isinstance(value, dict) else {}


def _brings_applications(folder: Path) -> bool:
    return any(_names(folder)) or _has_application_templates(folder)


def _names(folder: Path) -> Iterator[bool]:
    for entry in maps(_of_chart(folder).get("dependencies")):
        yield entry.get("name") == "argocd-apps"


def _has_application_templates(folder: Path) -> bool:
    templates = folder / "templates"
    for file in sorted(templates.glob("*.yaml")) if templates.is_dir() else ():
        try:
            if file.stat().st_size <= 200_000 and _APPLICATION.search(file.read_bytes()):
                return True
        except OSError:
            continue
    return False
