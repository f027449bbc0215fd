"""JSON, its published schema, CSV and JUnit: the forms that programs read."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import example
import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InputError, Where
from models.findings import Finding, Severity
from reports.csvout import table_csv
from reports.declared import TABLES, make_table
from reports.document import SCHEMA, Column, Estimate, Report, Table, ThresholdResult, Verdict
from reports.jsonout import from_json, to_json
from reports.junit import render_junit
from reports.schema import SCHEMA_FILE, report_schema, schema_text


def test_reading_what_was_written_and_writing_it_again_gives_the_same_bytes() -> None:
    text = to_json(example.example_report())
    assert to_json(from_json(text)) == text


def test_an_example_without_long_floats_survives_the_round_trip_unchanged() -> None:
    report = replace(example.example_report(), series=(), tables=(example.example_report().tables[2],))
    assert from_json(to_json(report)) == report


def test_the_first_lines_of_the_json_form_are_sorted_keys_one_per_line() -> None:
    report = Report("r", "A title", "", Verdict("pass", "Everything fits."))
    assert to_json(report) == (
        '{\n "assumptions": [],\n "description": "",\n "findings": [],\n "lanes": [],\n "name": "r",\n'
        ' "not_covered": [],\n "reproduce": {\n  "command": "",\n  "replications": 0,\n'
        '  "scenario_sha256": "",\n  "seed": 0,\n  "tree_sha256": "",\n  "version": ""\n },\n'
        ' "schema": "stowplan/report/v1",\n "series": [],\n "tables": [],\n "thresholds": [],\n "timeline": [],\n'
        ' "title": "A title",\n "topology": {\n  "edges": [],\n  "nodes": []\n },\n'
        ' "verdict": {\n  "headline": "Everything fits.",\n  "sentences": [],\n  "status": "pass"\n }\n}\n'
    )


def test_floats_are_rounded_to_nine_significant_digits_and_negative_zero_is_zero() -> None:
    column = Column("value", "Value", "number", "a number")
    rows = ((1 / 3,), (-0.0,), (1234567890123.4,), (600,), (math.nan,))
    report = Report("r", "", "", Verdict("pass", ""), tables=(Table("t", "T", (column,), rows),))
    rows_back = json.loads(to_json(report))["tables"][0]["rows"]
    assert [row["value"] for row in rows_back] == [0.333333333, 0.0, 1234567890000.0, 600, None]
    assert "-0.0" not in to_json(report)


def test_the_interval_of_a_single_replication_is_null_and_reads_back_as_not_a_number() -> None:
    column = Column("value", "Value", "estimate_s", "a number")
    table = Table("t", "T", (column,), ((Estimate(1.0, math.nan, math.inf, 1),),))
    text = to_json(Report("r", "", "", Verdict("pass", ""), tables=(table,)))
    cell = from_json(text).tables[0].rows[0][0]
    assert '"high": null' in text
    assert isinstance(cell, Estimate)
    assert math.isnan(cell.low)
    assert math.isnan(cell.high)


def test_a_value_that_is_not_plain_data_is_refused_with_its_path() -> None:
    column = Column("value", "Value", "text", "a set")
    table = Table("t", "T", (column,), (({1},),))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=re.escape("report.tables[0].rows[0].value: set is not plain data")):
        to_json(Report("r", "", "", Verdict("pass", ""), tables=(table,)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "this is not a report: not JSON"),
        ("[]", f"this is not a report: None is not '{SCHEMA}'"),
        ('{"schema": "stowplan/report/v9"}', f"'stowplan/report/v9' is not '{SCHEMA}'"),
        (f'{{"schema": "{SCHEMA}"}}', "report: this is not a report: keys assumptions, description, findings"),
    ],
)
def test_text_that_is_not_a_report_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        from_json(text)
    assert message in str(caught.value)


def test_a_wrong_value_deep_inside_is_refused_with_its_path() -> None:
    plain = json.loads(to_json(example.example_report()))
    plain["findings"][1]["severity"] = "fatal"
    with pytest.raises(InputError) as caught:
        from_json(json.dumps(plain))
    assert "report.findings[1].severity" in str(caught.value)
    assert "'fatal' is not one of info, warning, error" in str(caught.value)


words = st.text(max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: float(f"{value:.9g}") + 0.0)
cells = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    numbers,
    words,
    st.builds(Estimate, numbers, numbers, numbers, st.integers(1, 99), words),
)
tables = st.integers(1, 3).flatmap(
    lambda width: st.builds(
        Table,
        words,
        words,
        st.just(tuple(Column(f"c{position}", "C", "number", "") for position in range(width))),
        st.lists(st.tuples(*[cells] * width), max_size=4).map(tuple),
    )
)
findings = st.builds(
    Finding,
    words,
    st.sampled_from(Severity),
    words,
    words,
    st.builds(Where, words, st.none() | st.integers(1, 9), st.none() | words),
    st.lists(words, max_size=2).map(tuple),
)
reports = st.builds(
    Report,
    words,
    words,
    words,
    st.builds(Verdict, st.sampled_from(["pass", "warn", "fail"]), words),
    st.lists(st.builds(ThresholdResult, words, words, st.none() | numbers, st.booleans()), max_size=2).map(tuple),
    st.lists(findings, max_size=2).map(tuple),
    st.lists(tables, max_size=2).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(reports)
def test_any_report_survives_the_round_trip_and_satisfies_the_schema(report: Report) -> None:
    text = to_json(report)
    assert from_json(text) == report
    plain = json.loads(text)
    plain["tables"] = [table for table in plain["tables"] if table["name"] not in TABLES]
    jsonschema.validate(plain, report_schema())


def test_the_published_schema_is_what_the_dataclasses_say_and_the_example_satisfies_it() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), "run: python -m reports.schema"
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(to_json(example.example_report())), schema)


def test_the_schema_refuses_a_misspelt_column_of_a_declared_table() -> None:
    plain = json.loads(to_json(example.example_report()))
    row = next(table for table in plain["tables"] if table["name"] == "routes")["rows"][0]
    row["avaliability"] = row.pop("availability")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(plain, report_schema())


def test_csv_has_four_columns_for_an_estimate_and_crlf_line_ends() -> None:
    columns = (
        Column("route", "Route", "text", ""),
        Column("p99_s", "p99", "estimate_s", ""),
        Column("held", "Held", "boolean", ""),
    )
    rows = (
        ('say "hi", or\nnot', Estimate(0.25, 0.2, math.inf, 9, "p99 from fewer than 300 samples"), True),
        (None, None, False),
    )
    assert table_csv(Table("t", "T", columns, rows)) == (
        "route,p99_s,p99_s_low,p99_s_high,p99_s_note,held\r\n"
        '"say ""hi"", or\nnot",0.25,0.2,,p99 from fewer than 300 samples,true\r\n,,,,,false\r\n'
    )


def test_csv_of_every_table_of_the_example_has_a_record_per_row() -> None:
    for table in example.example_report().tables:
        records = list(csv.reader(io.StringIO(table_csv(table), newline="")))
        assert len(records) == len(table.rows) + 1
        assert len({len(record) for record in records}) == 1


@pytest.mark.parametrize(
    ("text", "written"),
    [("=1+1", "'=1+1"), ("@SUM(A1)", "'@SUM(A1)"), ("+cmd()", "'+cmd()"), ("-12%", "-12%"), ("-", "-"), ("a=b", "a=b")],
)
def test_text_that_a_spreadsheet_would_run_is_defused(text: str, written: str) -> None:
    table = Table("t", "T", (Column("c", "C", "text", ""),), ((text,),))
    assert table_csv(table) == f"c\r\n{written}\r\n"


def test_junit_counts_failed_thresholds_and_findings_of_severity_error() -> None:
    root = ET.fromstring(render_junit(example.example_report()))
    suites = {suite.get("name"): (suite.get("tests"), suite.get("failures")) for suite in root}
    assert suites == {"thresholds": ("6", "4"), "findings": ("8", "3")}
    assert (root.get("tests"), root.get("failures")) == ("14", "7")
    failure = root.find("./testsuite[@name='findings']/testcase/failure")
    assert failure is not None
    assert failure.get("type") == "BACKUP-NONE"
    case = root.find("./testsuite[@name='findings']/testcase")
    assert case is not None
    assert (case.get("file"), case.get("line")) == ("scenarios/homelab/base/htpc/jellyfin/pvc.yaml", "1")


def test_junit_of_a_hostile_report_is_well_formed() -> None:
    root = ET.fromstring(render_junit(example.hostile_report()))
    assert example.EVIL in (root.find("./testsuite[@name='findings']//failure").text or "")  # type: ignore[union-attr]


def test_a_table_of_a_report_is_validated_against_its_declaration() -> None:
    with pytest.raises(ValueError, match="a row of 1 cells for 4 columns"):
        make_table("outages", [("only",)], ["written"])


def test_a_table_needs_one_mark_for_each_row() -> None:
    with pytest.raises(ValueError, match="table outages: 0 marks for 1 rows"):
        make_table("outages", [("a", 1.0, 2.0, "")], [])
