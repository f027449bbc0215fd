"""The JSON form of a report: the tool's stable interface, the same bytes for the same report.

Keys are sorted, floats are rounded to nine significant digits and printed by ``repr``, lists of plain values stay on
one line so that two reports can be compared with ``diff``. Rows of a table are objects keyed by column name. There are
no timestamps and nothing about the machine that ran. A number that is not finite (the interval of one replication) is
null.
"""

from __future__ import annotations

import json
import math
import numbers
import types
from dataclasses import fields, is_dataclass, replace
from enum import IntEnum
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from models.errors import InputError, Problem, Where
from reports.document import SCHEMA, Cell, Estimate, Report, Table

DIGITS = 9
"""Significant digits of a float: more than any estimate deserves, fewer than where platforms differ."""


def rounded(value: float) -> float | None:
    """``value`` as it is printed: nine significant digits, no negative zero, None when it is not finite."""
    return float(f"{value:.{DIGITS}g}") + 0.0 if math.isfinite(value) else None


@cache
def field_types(cls: type) -> dict[str, Any]:
    """The resolved annotation of every field of a dataclass, in declared order."""
    hints = get_type_hints(cls)
    return {item.name: hints[item.name] for item in fields(cls)}


# --- writing ----------------------------------------------------------------------------------------------------------


def to_plain(report: Report) -> dict[str, Any]:
    """The report as plain maps, lists and scalars, with the schema's name. Raises TypeError for a foreign value."""
    return {"schema": SCHEMA, **_plain(report, Report, "report")}


def to_json(report: Report) -> str:
    """The report as text, ending in a line break. Raises TypeError for a value that is not plain data."""
    return _write(to_plain(report), "") + "\n"


def _plain(value: Any, kind: Any, path: str) -> Any:
    if isinstance(value, Table):
        return _plain_table(value, path)
    if is_dataclass(value) and not isinstance(value, type):
        return {
            name: _plain(getattr(value, name), kind, f"{path}.{name}")
            for name, kind in field_types(type(value)).items()
        }
    if isinstance(value, IntEnum):
        return str(value)
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (tuple, list)):
        inner = get_args(kind)[0] if get_origin(kind) is tuple else Any
        return [_plain(item, inner, f"{path}[{position}]") for position, item in enumerate(value)]
    if isinstance(value, numbers.Integral) and not _wants_float(kind):
        return int(value)
    if isinstance(value, numbers.Real):
        return rounded(float(value))
    raise TypeError(f"{path}: {type(value).__name__} is not plain data")


def _plain_table(table: Table, path: str) -> dict[str, Any]:
    names = [column.name for column in table.columns]
    if len(set(names)) != len(names):
        raise ValueError(f"{path}: two columns of table {table.name} have the same name")
    plain = {
        name: _plain(getattr(table, name), kind, f"{path}.{name}")
        for name, kind in field_types(Table).items()
        if name != "rows"
    }
    plain["rows"] = [
        {name: _plain(value, Any, f"{path}.rows[{position}].{name}") for name, value in zip(names, row, strict=True)}
        for position, row in enumerate(table.rows)
    ]
    return plain


def _wants_float(kind: Any) -> bool:
    return kind is float or (_is_union(kind) and float in get_args(kind) and int not in get_args(kind))


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def _write(value: Any, indent: str) -> str:
    """JSON with one key per line, and lists of scalars on one line."""
    if isinstance(value, dict) and value:
        deeper = indent + " "
        inside = ",\n".join(f"{deeper}{json.dumps(key)}: {_write(value[key], deeper)}" for key in sorted(value))
        return f"{{\n{inside}\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        deeper = indent + " "
        inside = ",\n".join(f"{deeper}{_write(item, deeper)}" for item in value)
        return f"[\n{inside}\n{indent}]"
    return json.dumps(value, allow_nan=False)


# --- reading ----------------------------------------------------------------------------------------------------------


def from_json(text: str) -> Report:
    """The report that ``to_json`` wrote, with floats as they were printed.

    Raises InputError when the text is not JSON, is of another schema, or does not have the declared form.
    """
    try:
        plain = json.loads(text)
    except json.JSONDecodeError as error:
        raise _refuse("", f"not JSON: {error.msg}", line=error.lineno) from None
    if not isinstance(plain, dict) or plain.get("schema") != SCHEMA:
        found = plain.get("schema") if isinstance(plain, dict) else None
        raise _refuse("schema", f"{found!r} is not {SCHEMA!r}")
    report: Report = _read({key: value for key, value in plain.items() if key != "schema"}, Report, "report")
    return report


def _refuse(field: str, what: str, line: int | None = None) -> InputError:
    where = Where(line=line, field=field or None)
    return InputError(Problem(where, f"this is not a report: {what}", f"write one with `stowplan run`: {SCHEMA}"))


def _read(value: Any, kind: Any, path: str) -> Any:
    if kind is Table:
        return _read_table(value, path)
    if is_dataclass(kind) and isinstance(kind, type):
        return _read_dataclass(value, kind, path)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise _refuse(path, "a list is expected")
        return tuple(_read(item, get_args(kind)[0], f"{path}[{position}]") for position, item in enumerate(value))
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise _refuse(path, f"{value!r} is not one of {', '.join(map(repr, get_args(kind)))}")
        return value
    if _is_union(kind):
        if value is None and type(None) in get_args(kind):
            return None
        return _read(value, next(part for part in get_args(kind) if part is not type(None)), path)
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        by_name = {str(member): member for member in kind}
        if value not in by_name:
            raise _refuse(path, f"{value!r} is not one of {', '.join(by_name)}")
        return by_name[value]
    return _read_scalar(value, kind, path)


def _read_scalar(value: Any, kind: Any, path: str) -> Any:
    if kind is float:
        if value is None:
            return math.nan
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    elif isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise _refuse(path, f"{value!r} is not a {kind.__name__}")


def _read_dataclass(value: Any, kind: type, path: str) -> Any:
    if not isinstance(value, dict):
        raise _refuse(path, "an object is expected")
    declared = field_types(kind)
    if set(value) != set(declared):
        raise _refuse(path, f"keys {', '.join(sorted(set(value) ^ set(declared)))} are missing or not known")
    return kind(**{name: _read(value[name], declared[name], f"{path}.{name}") for name in declared})


def _read_table(value: Any, path: str) -> Table:
    if not isinstance(value, dict) or not isinstance(value.get("rows"), list):
        raise _refuse(path, "a table with rows is expected")
    empty: Table = _read_dataclass({**value, "rows": []}, Table, path)
    names = [column.name for column in empty.columns]
    rows: list[tuple[Cell, ...]] = []
    for position, row in enumerate(value["rows"]):
        if not isinstance(row, dict) or set(row) != set(names):
            raise _refuse(f"{path}.rows[{position}]", f"the columns are {', '.join(names)}")
        rows.append(tuple(_read_cell(row[name], f"{path}.rows[{position}].{name}") for name in names))
    return replace(empty, rows=tuple(rows))


def _read_cell(value: Any, path: str) -> Cell:
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    estimate: Estimate = _read_dataclass(value, Estimate, path)
    return estimate
