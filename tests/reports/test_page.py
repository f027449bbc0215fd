"""The HTML page as text, and the directory that a run writes."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import example
import pytest

from models.errors import InputError
from reports import write
from reports.html import render_html
from reports.jsonout import from_json
from reports.write import write_report

SECTION_IDS = [
    "verdict",
    "findings",
    "topology",
    "capacity",
    "routes",
    "timeline",
    "quotas",
    "slowest",
    "stations",
    "statistics",
    "sizing",
    "survival",
    "growth",
    "outages",
    "storage",
    "thresholds",
    "assumptions",
    "not-covered",
    "reproduce",
    "pods",
    "missing",
]
"""The anchors that other pages and tests rely on."""

REPORTS = {"example": example.example_report, "empty": example.empty_report, "hostile": example.hostile_report}


class Page(HTMLParser):
    """What is on a page: tags with attributes, ids, and whether tags are nested properly."""

    VOID = frozenset({"meta", "link", "input", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] or "" for _, attributes in self.tags if "id" in attributes]


@pytest.mark.parametrize("name", REPORTS)
def test_every_section_is_there_once_and_links_lead_somewhere(name: str) -> None:
    page = Page(render_html(REPORTS[name]()))
    assert set(SECTION_IDS) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    links = [attributes.get("href") or "" for tag, attributes in page.tags if tag == "a"]
    assert {link[1:] for link in links if link.startswith("#")} <= set(page.ids)
    assert all(link.startswith("#") for link in links)


@pytest.mark.parametrize("name", REPORTS)
def test_nothing_is_loaded_and_nothing_foreign_can_run(name: str) -> None:
    page = Page(render_html(REPORTS[name]()))
    tags = [tag for tag, _ in page.tags]
    assert tags.count("script") == 1
    assert tags.count("style") == 1
    assert not {"img", "iframe", "object", "embed", "form", "base", "image", "foreignobject"} & set(tags)
    for tag, attributes in page.tags:
        assert not [key for key in attributes if key.startswith("on") or key in ("src", "style", "xlink:href")], tag
        if tag == "link":
            assert str(attributes["href"]).startswith("data:")
    policy = next(str(a["content"]) for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_the_example_shows_places_evidence_patches_and_intervals() -> None:
    html = render_html(example.example_report())
    for words in (
        "scenarios/homelab/base/htpc/quota.yaml:8 spec.hard[&#39;requests.cpu&#39;]",
        "exceeded quota: htpc-quota, requested: requests.cpu=1, used: requests.cpu=1700m, limited: requests.cpu=2",
        "storageClassName: nfs-media",
        "291 ms – 329 ms",
        "p99 from 360 requests per replication",
        "until return",
        "stowplan run scenarios/node-loss.yaml --seed 42",
        "CPU of mini-3 95%; p95 of cloud.example.org/: 561 ms of 500 ms",
    ):
        assert words in html


def test_an_empty_report_has_no_empty_plots_but_a_sentence_in_every_section() -> None:
    html = render_html(example.empty_report())
    assert "<figure" not in html
    assert (
        html.count('<p class="nothing">') == len(SECTION_IDS) + 1 - 2
    )  # rollouts too; verdict and reproduce always speak


def test_the_same_report_gives_the_same_bytes() -> None:
    assert render_html(example.example_report()) == render_html(example.example_report())


def test_a_report_with_200_pods_and_many_curves_renders_in_under_a_second() -> None:
    report = example.large_report()
    render_html(example.empty_report())  # the templates are compiled once per process
    start = time.perf_counter()
    html = render_html(report)
    assert time.perf_counter() - start < 1.0
    assert html.count('class="plot"') + html.count('class="strip"') == 48


def test_importing_the_renderers_does_not_import_heavy_libraries() -> None:
    code = (
        "import sys, reports.html, reports.write, reports.terminal\n"
        "print(sorted({'numpy', 'pandas', 'networkx', 'matplotlib', 'numba', 'scipy'} & set(sys.modules)))"
    )
    root = Path(write.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"


# --- the directory ----------------------------------------------------------------------------------------------------


def names(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def test_a_report_directory_holds_four_forms_and_a_csv_per_table(tmp_path: Path) -> None:
    report = example.example_report()
    written = write_report(report, tmp_path / "a" / "out")
    expected = {"report.html", "report.md", "report.json", "report.junit.xml"}
    expected |= {f"tables/{table.name}.csv" for table in report.tables}
    assert names(tmp_path / "a" / "out") == expected
    assert [str(path.relative_to(tmp_path / "a" / "out")) for path in written][:4] == [
        "report.html",
        "report.md",
        "report.json",
        "report.junit.xml",
    ]
    assert from_json((tmp_path / "a" / "out" / "report.json").read_text(encoding="utf-8")).name == "node-loss"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["out"]


def test_an_earlier_report_is_replaced_as_a_whole_and_other_files_in_it_are_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_report(example.example_report(), out)
    (out / "notes.txt").write_text("mine")
    write_report(example.empty_report(), out)
    assert names(out) == {"report.html", "report.md", "report.json", "report.junit.xml", "notes.txt"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_directory_that_is_not_a_report_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("precious")
    with pytest.raises(InputError) as caught:
        write_report(example.empty_report(), tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: exists and is not a report of this tool; it is left as it is\n"
        "    name another directory with -o, or remove it"
    )
    assert names(tmp_path) == {"photo.jpg"}


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="is a file, and a report is a directory"):
        write_report(example.empty_report(), tmp_path / "out")


def test_a_failure_while_writing_leaves_the_earlier_report_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    write_report(example.example_report(), out)
    before = (out / "report.json").read_bytes()
    real = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if self.name == "report.junit.xml":
            raise OSError(28, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="the report cannot be written: No space left on device"):
        write_report(example.empty_report(), out)
    assert (out / "report.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_hostile_table_names_stay_inside_the_directory(tmp_path: Path) -> None:
    written = write_report(example.hostile_report(), tmp_path / "out")
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+\.csv", path.name) for path in written[4:])
    assert all(path.resolve().is_relative_to(tmp_path / "out") for path in written)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_two_tables_whose_names_differ_only_in_odd_characters_both_get_a_file(tmp_path: Path) -> None:
    report = example.hostile_report()
    twins = replace(report, tables=(replace(report.tables[0], name="a/b"), replace(report.tables[0], name="a b")))
    assert len([path for path in write_report(twins, tmp_path / "out") if path.suffix == ".csv"]) == 2
