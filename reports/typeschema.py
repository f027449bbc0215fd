"""JSON Schemas of plain dataclasses: what is published is made from the types that are written."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, is_dataclass
from enum import IntEnum
from typing import Any, Literal, Union, get_args, get_origin

from reports.jsonout import field_types


@dataclass
class TypeSchema:
    """Makes a schema from a dataclass and all that it holds.

    version: name of the interface (``stowplan/report/v1``), the value of its ``schema`` field.
    number: the schema of a float. describe: the description of a dataclass.
    special: schemas of fields whose JSON is not that of their type, by (dataclass, field).
    """

    version: str
    title: str
    number: dict[str, Any]
    describe: Callable[[type], str]
    special: Mapping[tuple[type, str], Callable[[TypeSchema], dict[str, Any]]] = field(default_factory=dict)
    defs: dict[str, Any] = field(default_factory=dict)

    def document(self, root: type) -> dict[str, Any]:
        """The whole JSON Schema (2020-12) of ``root``, which carries its version in a field ``schema``."""
        top = self.object(root)
        top["properties"] = {"schema": {"const": self.version}, **top["properties"]}
        top["required"] = ["schema", *top["required"]]
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:{self.version.replace('/', ':')}",
            "title": self.title,
            **top,
            "$defs": dict(sorted(self.defs.items())),
        }

    def object(self, cls: type) -> dict[str, Any]:
        """The schema of a dataclass: every field is there, and no other."""
        fields = field_types(cls)
        return {
            "type": "object",
            "description": self.describe(cls),
            "properties": {
                name: self.special[cls, name](self) if (cls, name) in self.special else self.of(kind)
                for name, kind in fields.items()
            },
            "required": list(fields),
            "additionalProperties": False,
        }

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of a type; dataclasses are referred to. Raises KeyError for a type that is not plain data."""
        if get_origin(kind) is tuple:
            return {"type": "array", "items": self.of(get_args(kind)[0])}
        if get_origin(kind) is Literal:
            return {"enum": list(get_args(kind))}
        if get_origin(kind) in (Union, types.UnionType):
            return {"anyOf": [self.of(part) for part in get_args(kind)]}
        if isinstance(kind, type) and issubclass(kind, IntEnum):
            return {"enum": [str(member) for member in kind]}
        if is_dataclass(kind) and isinstance(kind, type):
            if kind.__name__ not in self.defs:
                self.defs[kind.__name__] = {}  # reserve the name first: a type may hold itself
                self.defs[kind.__name__] = self.object(kind)
            return {"$ref": f"#/$defs/{kind.__name__}"}
        return dict(self.number) if kind is float else {"type": _SCALARS[kind]}


_SCALARS: dict[Any, str] = {str: "string", bool: "boolean", int: "integer", type(None): "null"}
