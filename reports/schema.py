"""The published JSON Schema of a report, made from the dataclasses and the declared tables.

``schemas/report.schema.json`` is its output; a test keeps the two equal.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

from reports.declared import TABLES
from reports.document import SCHEMA, Cell, Column, ColumnType, Report, Table
from reports.typeschema import TypeSchema

SCHEMA_FILE = Path(__file__).parent / "schemas" / "report.schema.json"

_ESTIMATE = {"$ref": "#/$defs/Estimate"}
_CELLS: dict[ColumnType, dict[str, Any]] = {
    "text": {"type": ["string", "null"]},
    "boolean": {"type": ["boolean", "null"]},
    "integer": {"type": ["integer", "null"]},
    "estimate_ratio": {"anyOf": [_ESTIMATE, {"type": ["number", "null"]}]},
    "estimate_s": {"anyOf": [_ESTIMATE, {"type": ["number", "null"]}]},
}
_NUMBER = {"type": ["number", "null"]}
"""null: not finite, for example the interval of one replication."""


def report_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of ``reports.jsonout.to_json``'s output."""
    made = TypeSchema(
        SCHEMA,
        "stowplan report",
        _NUMBER,
        lambda cls: inspect.getdoc(cls) or "",
        {(Table, "rows"): _rows},
    )
    schema = made.document(Report)
    schema["$defs"]["Table"]["allOf"] = [_declared_table(name, columns) for name, (_, columns) in TABLES.items()]
    return schema


def schema_text() -> str:
    """The schema as it is published."""
    return json.dumps(report_schema(), indent=2) + "\n"


def _rows(made: TypeSchema) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "object", "additionalProperties": made.of(Cell)}}


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
