"""CSV of a table (RFC 4180): a header of column names, CRLF line ends, values without units.

An estimate is four columns: ``name``, ``name_low``, ``name_high`` (empty: not bounded) and ``name_note``, the warning
or the special method that belongs to it. None is an empty field, booleans are ``true`` and ``false``, numbers are
printed as in the JSON form.
"""

from __future__ import annotations

import csv
import io

from reports.document import Cell, Column, Estimate, Table
from reports.jsonout import rounded


def table_csv(table: Table) -> str:
    """The table as CSV text."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([name for column in table.columns for name in _names(column)])
    for row in table.rows:
        writer.writerow(
            [text for value, column in zip(row, table.columns, strict=True) for text in _fields(value, column)]
        )
    return out.getvalue()


def _is_estimate(column: Column) -> bool:
    return column.type.startswith("estimate_")


def _names(column: Column) -> tuple[str, ...]:
    parts = ("", "_low", "_high", "_note") if _is_estimate(column) else ("",)
    return tuple(f"{column.name}{part}" for part in parts)


def _fields(value: Cell, column: Column) -> tuple[str, ...]:
    if not _is_estimate(column):
        return (_text(value),)
    if isinstance(value, Estimate):
        return (_text(value.mean), _text(value.low), _text(value.high), _text(value.note))
    return (_text(value), "", "", "")


def _text(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _defused(value)
    if isinstance(value, Estimate):
        return _text(value.mean)
    if isinstance(value, float):
        printed = rounded(value)
        return "" if printed is None else repr(printed)
    return str(value)


def _defused(text: str) -> str:
    """A leading apostrophe for text that a spreadsheet would run as a formula: manifests are written by strangers."""
    sign_of_a_number = text[:1] in "+-" and not text[1:2].isalpha() and "(" not in text
    return f"'{text}" if text[:1] in ("=", "@", "\t", "\r", "+", "-") and not sign_of_a_number else text
