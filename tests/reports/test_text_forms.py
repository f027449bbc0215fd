"""Golden Markdown and JSON, the terminal's first screen, and the formats of numbers.

``STOWPLAN_UPDATE_GOLDEN=1 pytest tests/reports`` writes the golden files anew.
"""

from __future__ import annotations

import difflib
import io
import json
import math
import os
import re
from pathlib import Path

import example
import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from reports import formats
from reports.csvout import table_csv
from reports.declared import make_table
from reports.document import Column, Estimate, Report, Verdict
from reports.html import render_html
from reports.jsonout import to_json
from reports.markdown import render_markdown
from reports.sections import SECTIONS
from reports.terminal import print_report

GOLDEN = Path(__file__).with_name("golden")


def assert_golden(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("STOWPLAN_UPDATE_GOLDEN") == "1":
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    expected = path.read_text(encoding="utf-8") if path.exists() else ""
    if text != expected:
        lines = difflib.unified_diff(expected.splitlines(), text.splitlines(), "golden", "now", lineterm="", n=1)
        shown = "\n".join(list(lines)[:60])
        pytest.fail(f"{name} changed; if that is meant, set STOWPLAN_UPDATE_GOLDEN=1\n{shown}", pytrace=False)


def small_report() -> Report:
    """The example without its curves and lanes: a golden file that a person can read."""
    report = example.example_report()
    return Report(
        **{**{name: getattr(report, name) for name in report.__dataclass_fields__}, "series": (), "lanes": ()}
    )


def test_markdown_of_the_example_is_the_golden_file() -> None:
    assert_golden("example.md", render_markdown(example.example_report()))


def test_json_of_the_example_is_the_golden_file() -> None:
    assert_golden("example.json", to_json(small_report()))


def test_markdown_has_every_section_in_order_and_says_so_when_one_is_empty() -> None:
    for report in (example.example_report(), example.empty_report()):
        headings = re.findall(r"^## (.+)$", render_markdown(report), flags=re.M)
        assert headings == [section.title for section in SECTIONS if section.id != "verdict"]
    empty = render_markdown(example.empty_report())
    for section in SECTIONS:
        assert not section.empty or f"_{section.empty}_" in empty


def test_markdown_of_a_large_report_fits_into_a_github_comment_and_says_what_it_cut() -> None:
    text = render_markdown(example.large_report())
    assert len(text) < 65_536
    assert "_160 more rows are in `tables/pods.csv`._" in text


def test_hostile_text_stays_text_in_markdown() -> None:
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(render_markdown(example.hostile_report()))
    assert "<script" not in html
    assert "<img" not in html
    assert 'href="javascript' not in html
    assert "@here" not in html.replace("@\N{ZERO WIDTH SPACE}here", "").replace("<code", "\n<code").split("<code")[0]
    assert "\x1b" not in html


def test_the_terminal_shows_the_verdict_what_broke_and_what_was_not_seen() -> None:
    out = io.StringIO()
    print_report(example.example_report(), Console(file=out, width=110, color_system=None))
    text = out.getvalue()
    assert "FAIL  The platform survives the loss of mini-2, but four routes stay down until the node returns." in text
    assert "Thresholds: 2 of 6 hold" in text
    assert "✕ availability{route:watch}: value >= 0.99 (observed 0.421)" in text
    assert "Findings: 3 errors, 3 warnings, 2 info" in text
    assert "STORAGE-PIN  scenarios/homelab/base/htpc/jellyfin/pvc.yaml:12" in text
    assert "and 2 more in the report" in text
    assert "3 things the tree asks for were not seen, 3 limits of this report, 5 assumptions" in text
    assert "Again: stowplan run scenarios/node-loss.yaml --seed 42" in text


def test_what_is_modelled_or_missing_is_marked_in_every_form_and_the_marks_are_explained() -> None:
    columns = ("route", "start_s", "duration_s", "cause")
    rows = [(name, 0.0, 60.0, "a node died") for name in ("a.example.org/", "b.example.org/", "c.example.org/")]
    table = make_table("outages", rows, ["written", "modelled", "missing"], hidden="At least 2 workloads are not here.")
    report = Report("r", "r", "", Verdict("pass", "Fine."), tables=(table,))
    markdown, html = render_markdown(report), render_html(report)
    assert [column.name for column in table.columns] == [*columns, "seen"]
    assert re.findall(r"^\| ([abc]\S+)( \S)? \|", markdown, flags=re.M) == [
        ("a.example.org/", ""),
        ("b.example.org/", " †"),
        ("c.example.org/", " ‡"),
    ]
    assert re.findall(r"<td>([abc]\S+org/)(?:<sup class=\"mark\"[^>]*>(.)</sup>)?</td>", html) == [
        ("a.example.org/", ""),
        ("b.example.org/", "†"),
        ("c.example.org/", "‡"),
    ]
    for text in (markdown, html):
        assert "† modelled from the chart catalogue, wholly or in part; the real chart may run more" in text
        assert "‡ named by the tree, but not in what could be read" in text
        assert "At least 2 workloads are not here." in text
    plain = json.loads(to_json(report))["tables"][0]
    assert [row["seen"] for row in plain["rows"]] == ["written", "modelled", "missing"]
    assert plain["hidden"] == "At least 2 workloads are not here."
    lines = table_csv(table).splitlines()
    assert [line.rpartition(",")[2] for line in lines] == ["seen", "written", "modelled", "missing"]


def test_the_mark_of_a_lost_nodes_row_is_at_the_route_and_not_at_the_node() -> None:
    row = ("mini-1", "a.example.org/", 60.0, False, "", "")
    report = Report("r", "r", "", Verdict("pass", ""), tables=(make_table("survival", [row], ["modelled"]),))
    assert "| mini-1 | a.example.org/ † |" in render_markdown(report)
    assert 'a.example.org/<sup class="mark"' in render_html(report)


def test_the_terminal_marks_modelled_routes_and_says_what_is_hidden() -> None:
    table = example.example_report().table("routes")
    assert table is not None
    out = io.StringIO()
    report = Report("r", "r", "", Verdict("pass", ""), tables=(table,))
    print_report(report, Console(file=out, width=160, color_system=None))
    assert "grafana.example.org/ †" in out.getvalue()
    assert "cloud.example.org/ †" not in out.getvalue()
    assert "† modelled from the chart catalogue" in out.getvalue()
    assert example.HIDDEN in out.getvalue()


def routes_on_a_screen(width: int, *names: str) -> list[str]:
    """The lines of the routes of a run of one replication, whose figures are the widest there are."""
    share, time = Estimate(1.0, 0.99204, 1.0, 1, "a bound"), Estimate(0.0, float("nan"), float("nan"), 1, "no interval")
    slow = Estimate(0.0776, 0.0713, 0.0859, 1, "order statistics")
    rows = [(name, "web", 1.0, share, time, slow, slow, slow, 9, 0, 0, 0, 0, "") for name in names]
    out = io.StringIO()
    report = Report("r", "r", "", Verdict("pass", ""), tables=(make_table("routes", rows, ["written"] * len(rows)),))
    print_report(report, Console(file=out, width=width, color_system=None))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    return lines[next(index for index, line in enumerate(lines) if "───" in line) + 1 :]


@pytest.mark.parametrize("width", [79, 80, 81])
def test_names_of_routes_break_at_dots_on_a_screen_of_80_columns_and_figures_stay_whole(width: int) -> None:
    lines = routes_on_a_screen(width, "nextcloud.home.example.org", "photos.home.example.org")
    assert [line.split()[0] for line in lines[:4]] == ["nextcloud.home.", "example.org", "photos.home.", "example.org"]
    for line in (lines[1], lines[3]):
        assert " ".join(line.split()[1:]) == "99.204% – 100%¹ no interval² 71.3 ms – 85.9 ms³"


def test_names_of_routes_stand_in_one_line_where_there_is_room() -> None:
    assert (
        routes_on_a_screen(110, "nextcloud.home.example.org/remote")[0].split()[0]
        == "nextcloud.home.example.org/remote"
    )


def test_a_label_that_no_screen_has_room_for_is_folded_and_nothing_of_it_is_lost() -> None:
    name = "a" * 63 + ".example.org"
    lines = routes_on_a_screen(80, name)
    assert name in "".join(word for line in lines for word in re.findall(r"^ {3}([a-z.]+)", line))


def test_terminal_escapes_and_rich_markup_in_names_do_not_reach_the_terminal() -> None:
    out = io.StringIO()
    print_report(example.hostile_report(), Console(file=out, width=200, force_terminal=True, color_system=None))
    assert "\x1b[31m" not in out.getvalue()
    assert "\x00" not in out.getvalue()
    assert "[a](javascript" in out.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (1e-12, "0 s"),
        (0.00042, "0.42 ms"),
        (0.12, "120 ms"),
        (0.9999, "1 s"),
        (1.25, "1.25 s"),
        (59.97, "1 min"),
        (340.0, "5 min 40 s"),
        (3600.0, "1 h"),
        (97200.0, "1 d 3 h"),
        (-5.0, "-5 s"),
        (math.nan, "–"),
    ],
)
def test_durations_are_shown_in_two_units_at_most(seconds: float, text: str) -> None:
    assert formats.duration(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.0, "100%"), (0.99953, "99.953%"), (0.9999999, "99.999%"), (0.421, "42.1%"), (0.0, "0%"), (-0.35, "-35%")],
)
def test_only_a_true_hundred_percent_reads_hundred_percent(share: float, text: str) -> None:
    assert formats.ratio(share) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1000, "1000 B"), (512 * 2**20, "512Mi"), (3 * 2**29, "1.5Gi"), (640 * 2**30, "640Gi")],
)
def test_sizes_are_shown_as_kubernetes_writes_them(size: int, text: str) -> None:
    assert formats.size(size) == text


def test_an_estimate_is_shown_with_its_interval_or_says_that_it_has_none() -> None:
    column = Column("p95_s", "p95", "estimate_s", "")
    assert formats.cell(Estimate(0.25, 0.2, 0.3, 20), column) == "250 ms (200 ms – 300 ms)"
    assert formats.cell(Estimate(0.25, math.nan, math.nan, 1), column) == "250 ms (no interval)"
    assert formats.cell(Estimate(0.25, 0.2, math.inf, 1), column) == "250 ms (≥ 200 ms)"
    assert formats.cell(Estimate(0.25, -math.inf, 0.3, 1), column) == "250 ms (≤ 300 ms)"
    assert formats.cell(Estimate(0.0, 0.0, 0.0, 3), column) == "0 s (in all 3)"
    assert formats.cell(Estimate(0.25, 0.2, 0.3, 1, "few"), column, {"few": 12}) == "250 ms (200 ms – 300 ms)¹²"
    assert formats.cell(None, column) == "–"
