"""The published JSON Schema of a report, made from the dataclasses and the declared tables.

``schemas/report.schema.json`` is its output; a test keeps the two equal.
"""

from __future__ import annotations

import inspect
import json
import types
from dataclasses import is_dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from reports.declared import TABLES
from reports.document import SCHEMA, Cell, Column, ColumnType, Report, Table
from reports.jsonout import field_types

SCHEMA_FILE = Path(__file__).parent / "schemas" / "report.schema.json"

_ESTIMATE = {"$ref": "#/$defs/Estimate"}
_SCALARS: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": ["number", "null"]},  # null: not finite, for example the interval of one replication
    type(None): {"type": "null"},
}
_CELLS: dict[ColumnType, dict[str, Any]] = {
    "text": {"type": ["string", "null"]},
    "boolean": {"type": ["boolean", "null"]},
    "integer": {"type": ["integer", "null"]},
    "estimate_ratio": {"anyOf": [_ESTIMATE, {"type": ["number", "null"]}]},
    "estimate_s": {"anyOf": [_ESTIMATE, {"type": ["number", "null"]}]},
}
_NUMBER = {"type": ["number", "null"]}


def report_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of ``reports.jsonout.to_json``'s output."""
    defs: dict[str, Any] = {}
    root = _object(Report, defs)
    root["properties"] = {"schema": {"const": SCHEMA}, **root["properties"]}
    root["required"] = ["schema", *root["required"]]
    defs["Table"]["allOf"] = [_declared_table(name, columns) for name, (_, columns) in TABLES.items()]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{SCHEMA.replace('/', ':')}",
        "title": "stowplan report",
        **root,
        "$defs": dict(sorted(defs.items())),
    }


def schema_text() -> str:
    """The schema as it is published."""
    return json.dumps(report_schema(), indent=2) + "\n"


def _object(cls: type, defs: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": inspect.getdoc(cls) or "",
        "properties": {name: _schema(cls, name, kind, defs) for name, kind in field_types(cls).items()},
        "required": list(field_types(cls)),
        "additionalProperties": False,
    }


def _schema(cls: type, name: str, kind: Any, defs: dict[str, Any]) -> dict[str, Any]:
    if cls is Table and name == "rows":
        cell = _of(Cell, defs)
        return {"type": "array", "items": {"type": "object", "additionalProperties": cell}}
    return _of(kind, defs)


def _of(kind: Any, defs: dict[str, Any]) -> dict[str, Any]:
    if get_origin(kind) is tuple:
        return {"type": "array", "items": _of(get_args(kind)[0], defs)}
    if get_origin(kind) is Literal:
        return {"enum": list(get_args(kind))}
    if get_origin(kind) in (Union, types.UnionType):
        return {"anyOf": [_of(part, defs) for part in get_args(kind)]}
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return {"enum": [str(member) for member in kind]}
    if is_dataclass(kind) and isinstance(kind, type):
        if kind.__name__ not in defs:
            defs[kind.__name__] = {}  # reserve the name first: a type may hold itself
            defs[kind.__name__] = _object(kind, defs)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    return dict(_SCALARS[kind])


def _declared_table(name: str, columns: tuple[Column, ...]) -> dict[str, Any]:
    row = {
        "properties": {
            column.name: {"description": column.meaning, **_CELLS.get(column.type, _NUMBER)} for column in columns
        },
        "required": [column.name for column in columns],
        "additionalProperties": False,
    }
    return {
        "if": {"properties": {"name": {"const": name}}},
        "then": {"properties": {"rows": {"items": row}}},
    }


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
