"""Kustomize's fields that GitOps controllers lay over objects that are there: patches, images, namespace, names.

The objects are built once more as the only resource of a kustomization that lives in a temporary folder.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from models import kustomize
from models.errors import InputError
from models.objects import KubeObject, Missing, Origin, Rendered
from models.operators.make import items
from models.yamldoc.escaped import as_yaml

_FILE = "objects.json"


def lay_over(
    rendered: Rendered, fields: Mapping[str, Any], *, repository: Path, base: Path | None, origin: Origin
) -> Rendered:
    """``rendered`` with the fields of a kustomization applied to all its objects.

    Args:
        fields: ``patches``, ``images``, ``components`` and the like, as Kustomize spells them.
        base: the folder that paths of components are relative to.
        origin: who asks for it, for what cannot be applied.
    """
    wanted = {key: value for key, value in fields.items() if value}
    if not wanted or not rendered.objects:
        return rendered
    with tempfile.TemporaryDirectory(prefix="stowplan-") as name:
        folder = Path(name).resolve()
        lines = [as_yaml(item.manifest) for item in rendered.objects]
        (folder / _FILE).write_text("\n---\n".join(lines) + "\n", encoding="utf-8")
        wanted["components"] = _components(items(wanted.get("components")), folder, repository, base)
        content = {"resources": [_FILE], **{key: value for key, value in wanted.items() if value}}
        (folder / "kustomization.yaml").write_text(as_yaml(content), encoding="utf-8")
        try:
            built = kustomize.build(folder, repository=repository, beside=folder)
        except InputError as error:
            what = error.problems[0].what
            entry = Missing("generator", "patches of a GitOps object", origin, what, "what they would change")
            return Rendered(rendered.objects, (*rendered.missing, entry), rendered.roots)
        inside = os.path.relpath(folder, repository)
    # One object per document, each on one line, with a separator between: document n stands on line 2n + 1.
    origins = {2 * index + 1: item.origin for index, item in enumerate(rendered.objects)}

    def place(found: Origin) -> Origin:
        if not found.file.startswith(inside):
            return found
        return origins.get(found.line or 0, origin) if found.file.endswith(_FILE) else origin

    objects = tuple(KubeObject(item.manifest, place(item.origin)) for item in built.objects)
    missing = tuple(replace(entry, origin=place(entry.origin)) for entry in built.missing)
    return Rendered(objects, rendered.missing + missing, rendered.roots)


def _components(paths: list[Any], folder: Path, repository: Path, base: Path | None) -> list[str]:
    """The component folders that lie in the repository, as seen from the temporary folder."""
    sources = [((base or repository) / str(path)).resolve() for path in paths]
    return [
        os.path.relpath(source, folder) for source in sources if source.is_dir() and source.is_relative_to(repository)
    ]
