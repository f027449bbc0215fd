"""YAML files as documents: Kubernetes' scalars, lines of fields, and no harm from hostile input."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.documents import parse_documents, read_documents
from models.errors import InputError
from models.yamldoc import compose


def value(text: str) -> Any:
    (document,) = parse_documents(f"v: {text}\n", file="a.yaml")
    return document.value["v"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # from `kubectl kustomize` v5.5 on the same text
        ("yes", "yes"),
        ("on", "on"),
        ("y", "y"),
        ("True", True),
        ("0644", 420),
        ("0o644", 420),
        ("0x1F", 31),
        ("0b11", 3),
        ("-0b11", -3),
        ("1_000", 1000),
        ("+5", 5),
        ("08", 8),
        ("1.10", 1.1),
        ("1.0", 1),
        (".5", 0.5),
        ("1e3", 1000),
        ("12e03", 12000),
        ("1:30", "1:30"),
        ("=", "="),
        ("~", None),
        ("", None),
        ("Null", None),
        ("nil", "nil"),
        ("18446744073709551615", 18446744073709551615),
        ("123456789012345678901234567890", 1.2345678901234568e29),
        ("2020-01-01", "2020-01-01T00:00:00Z"),
        ("2001-12-14 21:59:43.10", "2001-12-14T21:59:43.1Z"),
        ("2020-13-01", "2020-13-01"),
        ("!!str 5", "5"),
        ('!!int "7"', 7),
        ("!foo bar", "bar"),
        ("!!binary aGVsbG8=", "hello"),
        ("'5'", "5"),
        ("1.2.3", "1.2.3"),
        ("0x", "0x"),
        ("1__0", 10),
        ("-", "-"),
    ],
)
def test_scalars_mean_what_they_mean_to_kubernetes(text: str, expected: object) -> None:
    if text == "-":
        text = '"-"'
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


def test_anchors_become_copies_and_merge_keys_are_merged_under_the_own_keys() -> None:
    text = "a: &a {x: 1, y: [1]}\nb: &b {x: 2, z: 3}\nc:\n  <<: [*a, *b]\n  y: own\nd: *a\n"
    (document,) = parse_documents(text, file="a.yaml")
    assert document.value["c"] == {"x": 1, "y": "own", "z": 3}
    assert document.value["d"] == document.value["a"]
    assert document.value["d"] is not document.value["a"]


def test_documents_are_counted_with_the_empty_ones_and_know_their_first_line() -> None:
    documents = parse_documents("# nothing\n---\na: 1\n---\n---\n# x\nb: 2\n...\n", file="a.yaml")
    assert [(item.value, item.index, item.line) for item in documents] == [({"a": 1}, 0, 3), ({"b": 2}, 2, 7)]


def test_a_byte_order_mark_and_windows_line_ends_are_no_trouble() -> None:
    (document,) = parse_documents(b"\xef\xbb\xbfa: 1\r\nb: |\r\n  x\r\n", file="a.yaml")
    assert document.value == {"a": 1, "b": "x\n"}


def test_json_with_tabs_is_read() -> None:
    (document,) = parse_documents('{\n\t"a": [1, true, null, "\\u00e9"]\n}\n', file="a.json")
    assert document.value == {"a": [1, True, None, "é"]}


def test_the_line_of_a_field_or_of_its_nearest_ancestor() -> None:
    text = "---\na: 1\n---\nspec:\n  list:\n    - name: x\n      value: y\n    -\n      name: z\n"
    first, second = parse_documents(text, file="a.yaml")
    assert first.line_of(("a",)) == 2
    assert second.line_of(()) == 4
    assert second.line_of(("spec", "list")) == 5
    assert second.line_of(("spec", "list", 0, "value")) == 7
    assert second.line_of(("spec", "list", 1, "name")) == 9
    assert second.line_of(("spec", "list", 0, "missing", "deeper")) == 6
    assert second.line_of(("other",)) == 4


def problem(text: str | bytes) -> str:
    with pytest.raises(InputError) as caught:
        parse_documents(text, file="a.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", 'a.yaml:2: mapping key "a" already defined in this map'),
        ("a: b\n\tc: d\n", "a.yaml:2: malformed YAML: found a tab character that violates indentation"),
        ("a: [1\n", "a.yaml:2: malformed YAML: did not find expected ',' or ']'"),
        ("a: *none\n", "a.yaml:1: malformed YAML: found undefined alias"),
        (b"a: 1\nb: \xff\xfe\n", "a.yaml:2: the file is not UTF-8 (byte 0xff)"),
        ("a: &a [*a]\n", "a.yaml:1: nested deeper than 300 levels"),
        ("[" * 200_000, "a.yaml:1: nested deeper than 300 levels"),
        ("- " * 50_000 + "a", "a.yaml:1: nested deeper than 300 levels"),
        ("{a: " * 5_000, "a.yaml:1: nested deeper than 300 levels"),
        ("? [a]\n: b\n", "a.yaml:1: a map key must be a scalar"),
        ("a: !!int b\n", "a.yaml:1: cannot decode !!str `b` as a !!int"),
        ("a: .nan\n", "a.yaml:1: json: unsupported value: nan"),
        ("<<: 5\n", "a.yaml:1: map merge requires map or sequence of maps as the value"),
        ("a: \x00\n", "malformed YAML"),
    ],
)
def test_bad_input_is_refused_with_its_line(text: str | bytes, message: str) -> None:
    assert message in problem(text)


def test_an_alias_bomb_is_refused_in_no_time() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    for level in range(12):
        bomb += f"a{level + 1}: &a{level + 1} [{', '.join([f'*a{level}'] * 9)}]\n"
    started = time.perf_counter()
    assert "aliases expand to more than 1000000 nodes" in problem(bomb)
    assert time.perf_counter() - started < 10


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.documents.MAX_BYTES", 10)
    (tmp_path / "big.yaml").write_text("a: 12345678901\n", encoding="utf-8")
    with pytest.raises(InputError, match="the file has 15 bytes, more than the 10 that are read"):
        read_documents(tmp_path / "big.yaml")
    assert compose.MAX_BYTES == 64 * 1024 * 1024


def test_a_missing_file_and_a_directory_are_refused_under_the_shown_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^shown\.yaml: the file does not exist or is not a regular file"):
        read_documents(tmp_path / "none.yaml", display="shown.yaml")
    with pytest.raises(InputError, match="the file is a directory"):
        read_documents(tmp_path)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab01:-?[]{}&*!|>'\"%@#, \n\t.~<=", max_size=60) | st.binary(max_size=40))
def test_any_bytes_are_documents_or_an_input_error(text: str | bytes) -> None:
    try:
        documents = parse_documents(text, file="a.yaml")
    except InputError:
        return
    assert all(document.line_of(("a", 0)) >= 1 for document in documents)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_json_reads_back_as_what_was_written(data: Any) -> None:
    documents = parse_documents(json.dumps({"v": data}, ensure_ascii=False), file="a.json")
    assert [document.value for document in documents] == [{"v": data}]
