"""Traces are read row by row, and what is wrong in them is told with its line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from models.graph.routes import EntryRoute
from sim.compile.traces import read_trace


@dataclass(frozen=True)
class Route:
    id: str = "photos.example.org/api"
    host: str = "photos.example.org"


def read(tmp_path: Path, text: str, *operations: str) -> Any:
    path = tmp_path / "trace.csv"
    path.write_text(text, encoding="utf-8")
    return read_trace(path, cast("EntryRoute", Route()), operations or ("browse", "upload"))


def test_times_alone_are_sorted_and_leave_the_mix_to_the_profile(tmp_path: Path) -> None:
    assert read(tmp_path, "2.5\n\n0\n1e1\n") == ((0.0, 2.5, 10.0), ())


def test_rows_of_other_routes_are_left_out_and_a_host_or_an_id_may_name_ours(tmp_path: Path) -> None:
    text = "time,route\n1,photos.example.org\n2,mail.example.org\n3,photos.example.org/api\n4,*\n5,\n"
    assert read(tmp_path, text) == ((1.0, 3.0, 4.0, 5.0), ())


def test_a_third_column_names_the_operation(tmp_path: Path) -> None:
    assert read(tmp_path, "time,route,operation\n3,,upload\n1,,browse\n") == ((1.0, 3.0), (0, 1))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("time\n1\nsoon\n", ":3: 'soon' is no time: seconds, finite and not negative"),
        ("1\n-2\n", ":2: '-2' is no time: seconds, finite and not negative"),
        ("1\nnan\n", ":2: 'nan' is no time: seconds, finite and not negative"),
        ("1,,sing\n", ":1: photos.example.org/api has no operation 'sing', but browse, upload"),
        ("1,,upload\n2\n", ": some rows of photos.example.org/api name an operation and some do not"),
        ("time\n", ": needs at least one time"),
    ],
)
def test_a_bad_row_is_told_with_its_line(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        read(tmp_path, text)
    assert str(caught.value) == f"trace {tmp_path / 'trace.csv'}{what}"


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No such file"):
        read_trace(tmp_path / "none.csv", cast("EntryRoute", Route()), ())
