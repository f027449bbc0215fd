"""What has been gathered on the way up a tree of kustomizations, and how generated resources join it."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.errors import Problem, RenderError, Where
from models.kustomize.absent import AbsentError
from models.kustomize.fieldspecs import EMPTY, Config
from models.kustomize.metadata import ORIGIN_ANNOTATION
from models.kustomize.nodes import is_null, new_key, new_string, text_of
from models.kustomize.resource import ResMap, Resource, merge_metadata
from models.kustomize.variables import Var


@dataclass
class Accumulator:
    """Resources, field specifications and variables gathered so far."""

    resources: ResMap = field(default_factory=ResMap)
    config: Config = EMPTY
    variables: dict[str, Var] = field(default_factory=dict)


def absorb(resources: ResMap, made: Resource, where: Where) -> None:
    """Add a generated resource, or merge it into the one that it names. Raises RenderError."""
    current = made.current
    found = resources.matching(lambda one: one == current)
    if found and made.guessed:
        return
    if not found or (found[0].guessed and made.behavior not in ("merge", "replace")):
        if made.behavior in ("merge", "replace"):
            raise AbsentError(
                Problem(
                    where,
                    f"id {current} does not exist; cannot merge or replace",
                    "generate it in a base first, or drop `behavior:`",
                )
            )
        resources.append_all([made])
        return
    if len(found) > 1:
        places = ", ".join(str(item.origin) for item in found)
        raise RenderError(Problem(where, f"found multiple objects that could accept merge of {current}: {places}", ""))
    old = found[0]
    if made.behavior not in ("merge", "replace"):
        raise RenderError(
            Problem(
                where,
                f"id {current} exists; behavior must be merge or replace ({old.origin})",
                "add `behavior: merge` or `behavior: replace`, or give it another name",
            )
        )
    merging = made.behavior == "merge"
    origin = old.built_from()
    merge_metadata(made, old)
    if merging:
        _merge_data(made, old)
        if origin is not None:
            made.enable(ORIGIN_ANNOTATION, origin)
    same = [item for item in resources if item.current == made.current]
    if len(same) != 1:
        what = (
            f"id matched {len(same)} resources" if same else f"cannot find resource with id {made.current} to replace"
        )
        raise RenderError(Problem(where, what, "give the generator the name that the object has here"))
    resources.items[resources.items.index(same[0])] = made


def _merge_data(made: Resource, old: Resource) -> None:
    for name in ("data", "binaryData"):
        values: dict[str, str] = {}
        for source in (old.tree.get(name), made.tree.get(name)):
            if isinstance(source, dict):
                values.update({key: "" if is_null(value) else text_of(value) for key, value in source.items()})
        made.tree.pop(name, None)
        if values:
            made.tree[name] = {new_key(key): new_string(values[key]) for key in sorted(values)}
