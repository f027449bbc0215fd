"""The comment: its length, its order, and what a hostile manifest may not do to it."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from markdown_it import MarkdownIt

from models.errors import Problem, Where
from models.findings import Severity
from reports.diff.comment import COMMENT_LIMIT, MARKER, STEPS, Caps, render_comment, render_summary
from reports.diff.data import SCHEMA_FILE, render_json, render_junit
from reports.diff.page import render_page
from reports.diff.text import render_text
from sim.compare.difference import Change, Difference, Fix, Line, Outcome, RouteDelta, Side, Use

_PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])

EVIL = (
    "<script>alert(1)</script><!-- stowplan:diff --> --> </details> | `x` ``` ~~~ @octocat #1 [a](javascript:x) "
    "![i](http://e/x.png) \x1b[31m\x00\n# heading\r\n- item ]]> &amp; ${{ secrets.X }} $(id) \u202e"
)


def outcome(number: int = 0, **fields: object) -> Outcome:
    """A new stuck rollout."""
    base = Outcome(
        "new",
        "stuck",
        Severity.ERROR,
        "ROLLOUT-STUCK",
        f"Deployment home/app-{number}",
        f"app-{number}",
        "home",
        f"app-{number}'s rollout will never finish",
        "exceeded quota: home, requested: cpu=1, used: cpu=2, limited: cpu=2",
        "3 of 2 cpu",
        1.5,
        Where("home/app.yaml", 3),
        ("RollingUpdate, surge 1, unavailable 0",),
        "leave room for the surge pod",
    )
    return replace(base, **fields)  # type: ignore[arg-type]


def use(number: int = 0) -> Use:
    """A quota key that is full."""
    return Use("home", f"quota-{number}", "cpu", "4", "2", "1", "1", "3", "3", "rollout of x", 0.5, 0.75, 1.5)


def difference(**fields: object) -> Difference:
    """A small failing difference."""
    made = Difference(
        "fail",
        "app-0's rollout will never finish: home needs 3 of 2 cpu",
        Side("main", "1" * 40),
        Side("", "", (), ("chart traefik: not in the cache",)),
        (Change("~", "quota", "ResourceQuota home/home", "cpu", "4", "2", Where("home/quota.yaml", 7)),),
        (use(),),
        (outcome(),),
        (Line("rollouts_stuck", "== 0", "0", "1", False, True),),
        fix=Fix("give quota home/home cpu 3", "kind: ResourceQuota\n"),
        notes=("compared from 111 on",),
        command="stowplan diff --base 111111111111 --exact",
        version="0.1.0",
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def huge(rows: int = 10_000) -> Difference:
    """So many changes, verdicts, uses and routes that none of it fits."""
    changes = tuple(
        Change("~", "object", f"ConfigMap home/map-{n}", "data.x", "a" * 100, "b" * 100, Where("home/maps.yaml", n))
        for n in range(rows)
    )
    routes = tuple(
        RouteDelta(f"r{n}.example.org", "p95_s", 0.1, 0.2, 0.1, 0.05, 0.15, 0.95, 10, True, 0.9)
        for n in range(rows // 10)
    )
    missing = tuple(f"chart c{n}: not in the cache" for n in range(rows // 10))
    return difference(
        changes=changes,
        uses=tuple(use(n) for n in range(rows // 10)),
        outcomes=tuple(outcome(n) for n in range(rows // 10)),
        simulated=routes,
        head=Side("", "", (), missing),
        fix=Fix("everything", "patch: 1\n" * rows),
    )


def test_first_line_is_the_verdict_and_the_last_is_the_marker() -> None:
    lines = render_comment(difference()).splitlines()
    assert lines[0] == "**❌ app-0's rollout will never finish: home needs 3 of 2 cpu**"
    assert lines[-1] == MARKER
    assert render_comment(difference()).count("stowplan:diff") == 1
    assert MARKER not in render_summary(difference())


def test_ten_thousand_changed_rows_fit_and_the_verdict_stays() -> None:
    text = render_comment(huge())
    assert len(text.encode("utf-16-le")) // 2 <= COMMENT_LIMIT
    assert len(text) > 5_000
    assert text.splitlines()[0] == "**❌ app-0's rollout will never finish: home needs 3 of 2 cpu**"
    assert text.endswith(f"{MARKER}\n")
    assert "10,000 changes" in text
    assert "Reproduce: `stowplan diff --base 111111111111 --exact`" in text
    assert len(render_summary(huge()).encode()) <= 1_048_576


def test_four_byte_characters_count_as_github_counts_them() -> None:
    changes = tuple(
        Change("~", "object", "ConfigMap home/x", "data.x", "😀" * 60, "😀" * 59, Where("maps.yaml", n))
        for n in range(2000)
    )
    text = render_comment(difference(changes=changes))
    assert len(text.encode("utf-16-le")) // 2 <= COMMENT_LIMIT


def test_shortening_goes_in_a_fixed_order_and_cuts_the_changes_first() -> None:
    rows = tuple(
        Change("+", "object", f"ConfigMap home/map-{n}", "", "", "x" * 100, Where("maps.yaml", n)) for n in range(600)
    )
    text = render_comment(difference(changes=rows))
    assert STEPS[0] == ("changes", 400)
    assert "200 more rows" in text
    assert "Suggested fix" in text
    assert all(hasattr(Caps(), part) for part, _ in STEPS)


def test_worst_case_of_everything_long_still_fits() -> None:
    long = "x" * 5_000
    worst = replace(
        huge(2_000),
        headline=long,
        command=long,
        outcomes=tuple(outcome(n, sentence=long, amount=long, subject=f"{n}{long}") for n in range(300)),
        thresholds=tuple(Line("http_req_failed", f"rate<0.{n}", "1", "1", False) for n in range(40)),
        notes=(long,) * 50,
    )
    shorter = render_comment(worst)
    assert len(shorter.encode("utf-16-le")) // 2 <= COMMENT_LIMIT
    assert shorter.startswith("**❌ xxxx")
    assert shorter.endswith(f"{MARKER}\n")


def test_table_has_eight_rows_at_most_worst_first() -> None:
    outcomes = tuple(
        outcome(
            n, share=1 + n / 10, amount=f"{10 + n} of 10 cpu", severity=Severity.ERROR if n % 2 else Severity.WARNING
        )
        for n in range(20)
    )
    text = render_comment(difference(outcomes=outcomes))
    table = [line for line in text.splitlines() if line.startswith("| ")][2:]
    table = table[: next((at for at, line in enumerate(table) if line.startswith("| namespace")), len(table))]
    assert len(table) == 8
    assert {line.split("|")[1].strip() for line in table} == {"❌"}
    assert "more rows below" in text


def test_verdicts_that_say_the_same_share_a_row() -> None:
    refused = [
        outcome(n, kind="refused", amount="", share=None, reason="failed quota: home: must specify cpu for: init")
        for n in range(9)
    ]
    text = render_comment(difference(outcomes=tuple(refused)))
    assert "**app-0, app-1, app-2, app-3, app-4 and 4 more are refused at their next restart**" in text


def test_hostile_names_stay_text_everywhere() -> None:
    evil = difference(
        status="fail",
        headline=EVIL,
        changes=(Change("~", "object", EVIL, EVIL, EVIL, EVIL, Where(EVIL, 3)),),
        uses=(replace(use(), namespace=EVIL, quota=EVIL, at_peak=EVIL),),
        outcomes=(
            outcome(subject=EVIL, name=EVIL, sentence=EVIL, reason=EVIL, amount=EVIL, where=Where(EVIL, 1)),
            outcome(news="fixed", sentence=EVIL, evidence=(EVIL,), way_out=EVIL, code=EVIL),
            outcome(news="open", sentence=EVIL),
        ),
        thresholds=(Line(EVIL, EVIL, EVIL, EVIL, False),),
        simulated=(RouteDelta(EVIL, "p95_s", None, None, None, None, None, 0.95, 1, False, None),),
        fix=Fix(EVIL, f"a: 1\n```\n{EVIL}"),
        notes=(EVIL,),
        base=Side(EVIL, "", (Problem(Where(EVIL, 1), EVIL, EVIL),), (EVIL,)),
        command=EVIL,
    )
    text = render_comment(evil)
    tokens = [inner for token in _PARSER.parse(text) for inner in (token, *(token.children or ()))]
    kinds = {token.type for token in tokens}
    assert not kinds & {"link_open", "image", "heading_open", "html_inline"}
    html = "\n".join(token.content for token in tokens if token.type == "html_block")
    assert {word.lower() for word in re.findall(r"</?[a-z]+", html)} == {
        "<details",
        "</details",
        "<summary",
        "</summary",
    }
    assert html.count("<!--") == 1
    plain = "".join(token.content for token in tokens if token.type == "text")
    assert "@\N{ZERO WIDTH SPACE}octocat" in plain
    assert "@octocat" not in plain
    assert "\x1b" not in text
    assert "\x00" not in text
    assert text.rstrip().splitlines()[-1] == MARKER
    assert sum(line.strip() == MARKER for line in text.splitlines()) == 1
    cells = [token.type for token in tokens].count("th_open")
    rows = [token.type for token in tokens].count("tr_open")
    assert (cells, rows) == (5 + 5 + 7, 3 + 3 + 2)  # heads and rows: verdicts with one new, one use and one fixed
    page = render_page(evil)
    assert "<script>alert" not in page
    assert "<img" not in page
    ET.fromstring(render_junit(evil).encode())
    assert "\x1b" not in render_text(evil)
    jsonschema.validate(json.loads(render_json(evil)), json.loads(SCHEMA_FILE.read_text()))


def test_junit_fails_for_new_errors_and_broken_thresholds_only() -> None:
    made = difference(
        outcomes=(outcome(0), outcome(1, severity=Severity.WARNING), outcome(2, news="open"), outcome(3, news="fixed"))
    )
    root = ET.fromstring(render_junit(made).encode())
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("5", "2", "0")
    broken = difference(status="error", head=Side("", "", (Problem(Where("a.yaml", 1), "bad"),)), outcomes=())
    assert ET.fromstring(render_junit(broken).encode()).get("errors") == "1"


def test_page_is_self_contained_and_says_what_the_comment_says(tmp_path: Path) -> None:
    page = render_page(difference())
    assert "default-src 'none'" in page
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)
    assert "app-0&#39;s rollout will never finish: home needs 3 of 2 cpu" in page
    assert "give quota home/home cpu 3" in page
    assert "home/quota.yaml:7" in page


@pytest.mark.parametrize(
    ("delta", "words"),
    [
        (
            RouteDelta("a.example.org", "p95_s", 0.1, 0.2, 0.1, 0.05, 0.15, 0.95, 10, True, 0.9),
            "| ❌ | a.example.org | p95 | 100 ms | 200 ms | \\+100 ms \\(\\+50 ms to \\+150 ms\\) | 90% |",
        ),
        (
            RouteDelta("a.example.org", "availability", 0.5, 0.75, 0.25, 0.2, 0.3, 0.95, 10, True, None),
            "| ✅ | a.example.org | availability | 50% | 75% | \\+25% \\(\\+20% to \\+30%\\) | – |",
        ),
        (
            RouteDelta("a.example.org", "p95_s", 0.1, 0.2, 0.1, None, None, 0.95, 1, False, None),
            "|  | a.example.org | p95 | 100 ms | 200 ms | \\+100 ms \\(no interval\\) | – |",
        ),
    ],
)
def test_simulated_differences_have_intervals(delta: RouteDelta, words: str) -> None:
    assert words in render_comment(difference(simulated=(delta,)))
