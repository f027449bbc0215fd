"""``images:`` and ``replicas:``.

Rules: ``api/filters/imagetag``, ``api/internal/image`` and ``api/filters/replicacount`` of Kustomize v5.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from models.errors import Problem, RenderError, Where
from models.kustomize.absent import AbsentError
from models.kustomize.fieldspecs import NOTHING, STRING, FieldSpec
from models.kustomize.names import apply_to, put_scalar
from models.kustomize.nodes import KindError, Tree, is_null, is_scalar, kind_name, text_of
from models.kustomize.resource import Gvk, ResId, ResMap, Resource
from models.kustomize.selectors import go_pattern
from models.yamldoc.scalars import INT

_TAG = "(:[a-zA-Z0-9_.{}-]*)?(@sha256:[a-zA-Z0-9_.{}-]*)?$"


def split_image(image: str) -> tuple[str, str, str]:
    """Name, tag and digest of an image reference."""
    slash = max(image.find("/"), 0)
    rest = image[slash:]
    at, colon = rest.find("@"), rest.find(":")
    if at < 0 and colon < 0:
        return image, "", ""
    if at >= 0 and (at < colon or colon < 0):
        return image[: slash + at], "", image[slash + at + 1 :]
    if at >= 0:
        return image[: slash + colon], image[slash + colon + 1 : slash + at], image[slash + at + 1 :]
    return image[: slash + colon], image[slash + colon + 1 :], ""


def new_image(old: str, change: Mapping[str, Any]) -> str | None:
    """The image reference after a change, or None when the change is about another image."""
    if not go_pattern(change.get("name") or "", before="^", behind=_TAG)(old):
        return None
    name, tag, digest = split_image(old)
    name = change.get("newName") or name
    new_tag, new_digest = change.get("newTag") or "", change.get("digest") or ""
    if new_tag or new_digest:
        tag, digest = new_tag, new_digest
    elif change.get("tagSuffix"):
        tag, digest = tag + change["tagSuffix"], ""
    return name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


def set_images(resources: ResMap, change: Mapping[str, Any], specs: Sequence[FieldSpec], where: Where) -> None:
    """Change one image wherever containers are, and in the fields that ``specs`` name.

    Raises:
        RenderError: the name is no regular expression, or an image is not a text.
    """
    try:
        go_pattern(change.get("name") or "", before="^", behind=_TAG)
    except ValueError as error:
        raise RenderError(Problem(where, str(error), "write the image's name without its tag")) from error

    def setter(parent: Any, key: Any) -> None:
        old = parent[key]
        if is_null(old):
            return
        if not is_scalar(old):
            raise KindError(f"wrong node kind: expected a scalar but got a {kind_name(old)} at '{key}'")
        image = new_image(text_of(old), change)
        if image is not None:
            put_scalar(parent, key, image)

    for item in resources:
        if item.kind == "CustomResourceDefinition":
            continue
        _everywhere(item, item.tree, setter)
        for spec in specs:
            apply_to(item, spec, setter, NOTHING)


def _everywhere(item: Resource, node: Tree, setter: Any) -> None:
    if isinstance(node, list):
        for one in node:
            _everywhere(item, one, setter)
    elif isinstance(node, dict):
        for key, value in node.items():
            _everywhere(item, value, setter)
            if key in ("containers", "initContainers") and isinstance(value, list):
                for container in value:
                    if isinstance(container, dict) and "image" in container:
                        try:
                            setter(container, "image")
                        except KindError as error:
                            raise item.error(str(error), f"{key}.image") from error


def set_replicas(resources: ResMap, change: Mapping[str, Any], specs: Sequence[FieldSpec], where: Where) -> None:
    """Set the replica count of the workloads with one name. Raises RenderError when there is none."""
    name, count = change.get("name") or "", str(change.get("count") or 0)

    def setter(parent: Any, key: Any) -> None:
        put_scalar(parent, key, count, INT)

    found = False
    for spec in specs:

        def matches(one: ResId, gvk: Gvk = spec.gvk) -> bool:
            return one.name == name and one.gvk.selected_by(gvk)

        for item in resources.matching(matches):
            found = True
            apply_to(item, spec, setter, STRING)
    if not found:
        kinds = ", ".join(spec.gvk.kind for spec in specs)
        raise AbsentError(
            Problem(where, f"no resource named {name!r} is one of {kinds}", "check the name, or remove the entry")
        )
