"""``stowplan-graph.yaml``: what a person knows better than the rules. Adds, removes and retypes edges."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import networkx as nx
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from models.documents import Document, read_documents
from models.errors import InputError, Problem, Where
from models.graph.schema import EDGE_KINDS, Evidence, role_of
from models.objects import Origin

OVERRIDE_FILE = "stowplan-graph.yaml"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Pair(_Frozen):
    source: str = Field(description='node, "Deployment namespace/name"')
    target: str = Field(description="node")

    @field_validator("source", "target")
    @classmethod
    def _is_node(cls, value: str) -> str:
        kind, _, place = value.partition(" ")
        if not kind or not place:
            raise ValueError(f'{value!r} is no node: write "Kind namespace/name", or "Kind name" without a namespace')
        return value


def _known(kind: str | None) -> str | None:
    if kind is not None and kind not in EDGE_KINDS:
        raise ValueError(f"{kind!r} is no kind of edge: use one of {', '.join(EDGE_KINDS)}")
    return kind


class AddedEdge(_Pair):
    """An edge that the rules did not find."""

    kind: str = Field(description="kind of the edge")
    strength: Literal["hard", "soft", "startup"] = Field(default="hard", description="how much the source needs it")
    port: int | None = Field(default=None, ge=1, le=65535, description="port of the target")
    why: str = Field(default="", description="shown as evidence")

    _kind = field_validator("kind")(_known)


class RemovedEdge(_Pair):
    """An edge that is wrong; without a kind, every edge between the two."""

    kind: str | None = Field(default=None, description="kind of the edge")
    why: str = Field(default="", description="for the reader of the file")

    _kind = field_validator("kind")(_known)


class ChangedEdge(_Pair):
    """An edge whose kind or strength is wrong; ``kind`` says which edge when there are several."""

    kind: str | None = Field(default=None, description="kind of the edge as it is")
    to: str | None = Field(default=None, description="kind of the edge as it should be")
    strength: Literal["hard", "soft", "startup"] | None = Field(default=None, description="strength as it should be")
    why: str = Field(default="", description="shown as evidence")

    _kind = field_validator("kind", "to")(_known)

    @model_validator(mode="after")
    def _changes(self) -> ChangedEdge:
        if self.to is None and self.strength is None:
            raise ValueError("says neither `to` nor `strength`: nothing would change")
        return self


class Overrides(_Frozen):
    """The whole file."""

    add: tuple[AddedEdge, ...] = Field(default=(), description="edges to add")
    remove: tuple[RemovedEdge, ...] = Field(default=(), description="edges to remove")
    change: tuple[ChangedEdge, ...] = Field(default=(), description="edges to retype")
    file: str = Field(default=OVERRIDE_FILE, exclude=True)


def read_overrides(path: Path, *, display: str | None = None) -> Overrides:
    """The override file at ``path``. Raises InputError with every mistake and its line."""
    documents = read_documents(path, display=display)
    name = display or str(path)
    if not documents:
        return Overrides(file=name)
    document = documents[0]
    if not isinstance(document.value, dict):
        raise InputError(Problem(Where(name, 1), "is not a map", "write `add:`, `remove:` and `change:` lists"))
    try:
        return Overrides(**{**document.value, "file": name})
    except ValidationError as error:
        raise InputError([_problem(document, name, dict(entry)) for entry in error.errors()]) from None


def _problem(document: Document, name: str, entry: dict[str, Any]) -> Problem:
    path = tuple(part for part in entry["loc"] if isinstance(part, (str, int)))
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    text = str(entry["msg"]).removeprefix("Value error, ")
    return Problem(Where(name, document.line_of(path), field), text, "see the documentation of stowplan-graph.yaml")


def apply_overrides(graph: nx.MultiDiGraph[str], overrides: Overrides) -> None:
    """Change the graph as the file says. Raises InputError for an edge to remove or change that is not there."""
    problems: list[Problem] = []
    for index, removed in enumerate(overrides.remove):
        keys = _keys(graph, removed.source, removed.target, removed.kind)
        if not keys:
            problems.append(_absent(overrides, f"remove[{index}]", removed, removed.kind))
        for key in keys:
            graph.remove_edge(removed.source, removed.target, key)
    for index, changed in enumerate(overrides.change):
        keys = _keys(graph, changed.source, changed.target, changed.kind)
        if not keys:
            problems.append(_absent(overrides, f"change[{index}]", changed, changed.kind))
        for key in keys:
            attributes = dict(graph.edges[changed.source, changed.target, key])
            graph.remove_edge(changed.source, changed.target, key)
            attributes["kind"] = changed.to or key
            if changed.strength is not None:
                attributes["strength"] = changed.strength
                attributes["startup"] = changed.strength == "startup"
            note = _note(overrides, f"change[{index}]", changed.why or f"was {key}")
            attributes["evidence"] = (note, *attributes["evidence"])
            graph.add_edge(changed.source, changed.target, key=attributes["kind"], **attributes)
    for index, added in enumerate(overrides.add):
        note = _note(overrides, f"add[{index}]", added.why or "written by hand")
        for node in (added.source, added.target):
            if node not in graph:
                kind, _, place = node.partition(" ")
                space, slash, name = place.partition("/")
                graph.add_node(
                    node,
                    kind=kind,
                    role=role_of(kind),
                    namespace=space if slash else "",
                    name=name if slash else place,
                    provenance="manifest",
                    seen="written",
                    origin=overrides.file,
                    file=overrides.file,
                    line=None,
                )
        graph.add_edge(
            added.source, added.target, key=added.kind, kind=added.kind, strength=added.strength,
            startup=added.strength == "startup", confidence=1.0, rule=note.rule, file=overrides.file, line=None,
            field=note.field, evidence=(note,), port=added.port,
        )  # fmt: skip
    if problems:
        raise InputError(problems)


def _note(overrides: Overrides, field: str, text: str) -> Evidence:
    return Evidence("override", Origin(overrides.file), field, text)


def _keys(graph: nx.MultiDiGraph[str], source: str, target: str, kind: str | None) -> list[str]:
    if not graph.has_node(source) or not graph.has_node(target):
        return []
    found = graph.get_edge_data(source, target) or {}
    return [str(key) for key in found if kind in (None, key)]


def _absent(overrides: Overrides, field: str, pair: _Pair, kind: str | None) -> Problem:
    what = f"there is no {kind or 'edge'} from {pair.source} to {pair.target}"
    return Problem(Where(overrides.file, None, field), what, "compare with `stowplan graph --format json`")
