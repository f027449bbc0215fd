"""A difference as JSON and JUnit: what machines read.

The JSON is a stable interface (:data:`SCHEMA`, published as ``schemas/diff.schema.json``): the same difference
gives the same bytes; nothing in it depends on the time or the machine.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import is_dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from models.errors import Problem
from models.findings import Severity
from reports.jsonout import field_types, rounded
from reports.junit import xml_text
from reports.typeschema import TypeSchema
from sim.compare.difference import Difference, Line, Outcome

SCHEMA = "stowplan/diff/v1"
SCHEMA_FILE = Path(__file__).parents[1] / "schemas" / "diff.schema.json"

_NUMBER = {"type": ["number", "null"], "description": "null: not finite, a limit of 0 for example"}


def render_json(difference: Difference) -> str:
    """The difference as JSON text, ending in a line break."""
    content = {"schema": SCHEMA, **_plain(difference)}
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(getattr(value, name)) for name in field_types(type(value))}
    if isinstance(value, IntEnum):
        return str(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return rounded(value) if isinstance(value, float) else value


# ------------------------------------------------------------------------------------------------- schema


def diff_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of :func:`render_json`'s output, made from the dataclasses."""
    made = TypeSchema(SCHEMA, "stowplan diff", _NUMBER, lambda cls: " ".join((cls.__doc__ or "").split()))
    return made.document(Difference)


def schema_text() -> str:
    """The schema as it is published."""
    return json.dumps(diff_schema(), indent=2) + "\n"


# ------------------------------------------------------------------------------------------------- JUnit


def render_junit(difference: Difference) -> str:
    """JUnit XML: what cannot be rendered, thresholds, and verdicts. New errors are failures; what is fixed, what was
    there before and what is no error are passed cases that carry their text."""
    root = ET.Element("testsuites", name="stowplan diff")
    problems = ET.SubElement(root, "testsuite", name="render")
    for name, side in (("head", difference.head), ("base", difference.base)):
        for problem in side.problems:
            _add_problem(problems, name, problem)
    thresholds = ET.SubElement(root, "testsuite", name="thresholds")
    for line in difference.thresholds:
        _add_line(thresholds, line)
    verdicts = ET.SubElement(root, "testsuite", name="verdicts")
    for outcome in difference.outcomes:
        _add_outcome(verdicts, outcome)
    if not len(verdicts):
        _case(verdicts, "verdict", difference.headline)
    for suite in root:
        suite.set("tests", str(len(suite)))
        suite.set("failures", str(len(suite.findall("./testcase/failure"))))
        suite.set("errors", str(len(suite.findall("./testcase/error"))))
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, classname: str, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=xml_text(classname), name=xml_text(name))


def _add_problem(suite: ET.Element, side: str, problem: Problem) -> None:
    case = _case(suite, f"render.{side}", str(problem.where) or side)
    ET.SubElement(case, "error", type="render", message=xml_text(problem.what)).text = xml_text(str(problem))


def _add_line(suite: ET.Element, line: Line) -> None:
    case = _case(suite, "thresholds", f"{line.metric} {line.expression}")
    text = xml_text(f"observed {line.after}, before {line.before}")
    if line.held or line.held_before is False:
        ET.SubElement(case, "system-out").text = text
    else:
        ET.SubElement(case, "failure", type="threshold", message=text).text = text


def _add_outcome(suite: ET.Element, item: Outcome) -> None:
    platform = f" [{item.platform}]" if item.platform else ""
    case = _case(suite, f"{item.news}.{item.code}", f"{item.subject}{platform}: {item.sentence}")
    if item.where.file:
        case.set("file", xml_text(item.where.file))
    if item.where.line is not None:
        case.set("line", str(item.where.line))
    lines = [f"{item.news} {item.severity}: {item.sentence}", item.amount, *item.evidence, item.way_out, item.patch]
    text = xml_text("\n".join(line for line in lines if line))
    if item.news == "new" and item.severity is Severity.ERROR:
        ET.SubElement(case, "failure", type=xml_text(item.code), message=xml_text(item.sentence)).text = text
    else:
        ET.SubElement(case, "system-out").text = text


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
