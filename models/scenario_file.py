"""Loading and composing scenario files: ``extends``, named overrides, ``--set``; every error with its line.

Precedence, lowest first: the file named by ``extends`` < this file's ``spec`` < overrides in the order they are named
< ``--set``. Maps merge key by key, anything else replaces; an explicit null removes a key.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from models.documents import Document, parse_documents, read_documents
from models.errors import InputError, Problem, Where
from models.scenario import Scenario

_MAX_EXTENDS = 8


@dataclass(frozen=True)
class LoadedScenario:
    """A finished scenario, the folder its relative paths start from, and the digest of what will run."""

    scenario: Scenario
    folder: Path
    file: str
    sha256: str

    def tree_paths(self) -> tuple[Path, ...]:
        """The trees of the scenario as absolute paths, in order."""
        return tuple((self.folder / tree.path).resolve() for tree in self.scenario.spec.trees)


@dataclass(frozen=True)
class Changes:
    """What changes a scenario file from outside.

    overrides: names of the file's ``overrides``. scenarios: names of its ``scenarios`` (lists of overrides).
    settings: ``key.path=value`` pairs under ``spec``; the value is YAML; list items by number.
    trees: replace ``spec.trees`` (for scenarios that are run on anybody's tree).
    """

    overrides: Sequence[str] = ()
    scenarios: Sequence[str] = ()
    settings: Sequence[str] = ()
    trees: Sequence[Path] = ()


def load_scenario(path: Path, changes: Changes = Changes()) -> LoadedScenario:
    """The scenario in ``path`` with everything that changes it.

    Raises:
        InputError: with every problem found, each with file, line and field.
    """
    content, documents = _load_chain(path)
    names = [name for chosen in changes.scenarios for name in _named(content, "scenarios", chosen, path)]
    for name in (*names, *changes.overrides):
        content["spec"] = _merge(content.get("spec"), _named(content, "overrides", name, path))
    if changes.trees:
        content.setdefault("spec", {})
        content["spec"] = {**content["spec"], "trees": [{"path": str(tree.resolve())} for tree in changes.trees]}
    for setting in changes.settings:
        _apply_setting(content, setting)
    scenario = _validate(content, documents, str(path))
    digest = hashlib.sha256(resolved_json(scenario).encode()).hexdigest()
    return LoadedScenario(scenario, path.resolve().parent, str(path), digest)


def resolved_json(scenario: Scenario) -> str:
    """What will run, as canonical JSON: overrides applied, defaults filled in, units canonical."""
    content = scenario.model_dump(mode="json", by_alias=True, exclude={"extends", "overrides", "scenarios"})
    return json.dumps(content, sort_keys=True, indent=2)


def _load_chain(path: Path) -> tuple[dict[str, Any], list[Document]]:
    """The merged content of ``path`` and all that it extends, and their documents, nearest first."""
    chain: list[tuple[dict[str, Any], Document]] = []
    current, seen = path, set[Path]()
    while True:
        if current.resolve() in seen or len(chain) >= _MAX_EXTENDS:
            raise InputError(
                Problem(Where(str(current), field="extends"), "the scenario extends itself", "break the circle")
            )
        seen.add(current.resolve())
        document = _single_document(current)
        chain.append((document.value, document))
        parent = document.value.get("extends")
        if parent is None:
            break
        current = current.parent / str(parent)
    content: dict[str, Any] = {}
    for index, (value, document) in enumerate(reversed(chain)):
        own = _anchor_paths(value, Path(document.file).parent, path.parent) if index < len(chain) - 1 else value
        content = _merge(content, {key: item for key, item in own.items() if key != "extends"})
    return content, [document for _, document in chain]


def _anchor_paths(value: dict[str, Any], here: Path, target: Path) -> dict[str, Any]:
    """``value`` with tree paths that are relative to ``here`` made absolute when ``target`` is another folder."""
    trees = (value.get("spec") or {}).get("trees") if isinstance(value.get("spec"), dict) else None
    if here.resolve() == target.resolve() or not isinstance(trees, list):
        return value
    moved = [
        {**tree, "path": str((here / str(tree["path"])).resolve())}
        if isinstance(tree, dict) and "path" in tree
        else tree
        for tree in trees
    ]
    return {**value, "spec": {**value["spec"], "trees": moved}}


def _single_document(path: Path) -> Document:
    documents = read_documents(path, display=str(path))
    if len(documents) != 1 or not isinstance(documents[0].value, dict):
        raise InputError(
            Problem(
                Where(str(path), 1),
                "a scenario file holds one YAML map with apiVersion, kind, metadata and spec",
                "see 'stowplan schema' or copy one of the scenarios that ship with the project",
            )
        )
    return documents[0]


def _named(content: Mapping[str, Any], section: str, name: str, path: Path) -> Any:
    table = content.get(section) or {}
    if not isinstance(table, dict) or name not in table:
        known = sorted(table) if isinstance(table, dict) else []
        raise InputError(
            Problem(
                Where(str(path), field=section),
                f"there is no {section[:-1]} called {name!r}",
                _near(name, known) or (f"there are: {', '.join(known)}" if known else f"the file has no {section}"),
            )
        )
    return table[name]


def _merge(base: Any, change: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(change, dict):
        return change
    merged = dict(base)
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value)
    return merged


def _apply_setting(content: dict[str, Any], setting: str) -> None:
    """Set one ``key.path=value`` below ``spec`` in place (``content`` belongs to the caller)."""
    key, equals, text = setting.partition("=")
    where = Where(field=f"--set {setting}")
    if not equals or not key.strip():
        raise InputError(Problem(where, "not of the form key.path=value", "for example --set run.replications=20"))
    parsed = parse_documents(text, file=f"--set {key}") if text.strip() else []
    value = parsed[0].value if parsed else None
    steps = ["spec", *key.strip().removeprefix("spec.").split(".")]
    target: Any = content
    for here, step in enumerate(steps):
        last = here == len(steps) - 1
        if isinstance(target, list):
            if not step.isdigit() or int(step) >= len(target):
                raise InputError(
                    Problem(
                        where, f"{'.'.join(steps[1:here])} has no item {step!r}", f"it has {len(target)} items, from 0"
                    )
                )
            if last:
                target[int(step)] = value
            else:
                target[int(step)] = target = _copied(target[int(step)])
        elif isinstance(target, dict):
            if last:
                target[step] = value
            else:
                target[step] = target = _copied(target.get(step))
        else:
            raise InputError(
                Problem(
                    where, f"{'.'.join(steps[1:here])} is not a map or a list", "see 'stowplan schema' for the fields"
                )
            )


def _copied(value: Any) -> Any:
    if value is None:
        return {}
    return dict(value) if isinstance(value, dict) else list(value) if isinstance(value, list) else value


def _validate(content: dict[str, Any], documents: Sequence[Document], file: str) -> Scenario:
    try:
        return Scenario.model_validate(content)
    except ValidationError as error:
        found = [item for item in error.errors(include_url=False) if not _is_echo(item)]
        raise InputError(_problem(item, documents, file) for item in found) from None


def _is_echo(error: Any) -> bool:
    """Whether pydantic calls a list too short only because its items are wrong themselves."""
    return error["type"] == "too_short" and bool(error.get("input"))


def _problem(error: Any, documents: Sequence[Document], file: str) -> Problem:
    path = tuple(
        step for step in error["loc"] if not (isinstance(step, str) and step.startswith(("function-", "tuple[")))
    )
    field = _field_path(path)
    if error["type"] == "extra_forbidden":
        known = _known_fields(path[:-1])
        close = _near(str(path[-1]), known)
        return Problem(_where(path, documents, file, field), f"unknown key {path[-1]!r}", close or _listing(known))
    if error["type"] == "missing":
        return Problem(
            _where(path[:-1], documents, file, field),
            f"{path[-1]!r} is missing",
            "see 'stowplan schema' for what it holds",
        )
    message = str(error["msg"]).removeprefix("Value error, ")
    given = error.get("input")
    shown = "" if isinstance(given, (dict, list)) or repr(given) in message else f" (given: {given!r})"
    return Problem(_where(path, documents, file, field), f"{message}{shown}", "")


def _field_path(path: Sequence[str | int]) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def _where(path: tuple[str | int, ...], documents: Sequence[Document], file: str, field: str) -> Where:
    """The nearest file of the chain in which the field (or the longest part of its path) stands."""
    for length in range(len(path), 0, -1):
        for document in documents:
            if _holds(document.value, path[:length]):
                return Where(document.file, document.line_of(path[:length]), field)
    return Where(file, None, field)


def _holds(value: Any, path: Sequence[str | int]) -> bool:
    for step in path:
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                return False
        elif not isinstance(value, dict) or step not in value:
            return False
        value = value[step]
    return True


def _known_fields(path: Sequence[str | int]) -> list[str]:
    """The keys that the schema allows at ``path``."""
    annotation: Any = Scenario
    for step in path:
        annotation = _without_none(annotation)
        if _is_model(annotation):
            fields = annotation.model_fields.items()
            annotation = next((field.annotation for name, field in fields if step in (name, field.alias)), None)
        else:
            parts = get_args(annotation)
            annotation = parts[-1 if get_origin(annotation) is dict else 0] if parts else None
    annotation = _without_none(annotation)
    return [field.alias or name for name, field in annotation.model_fields.items()] if _is_model(annotation) else []


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _without_none(annotation: Any) -> Any:
    """``Model`` for ``Model | None``; anything else as it is."""
    return (
        next((part for part in get_args(annotation) if _is_model(part)), annotation)
        if _is_union(annotation)
        else annotation
    )


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, UnionType)


def _near(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else ""


def _listing(known: Sequence[str]) -> str:
    return f"allowed here: {', '.join(known)}" if known else "see 'stowplan schema' for the fields"
