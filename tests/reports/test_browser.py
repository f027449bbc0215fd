"""The page in headless Chromium: no error, no request, nothing empty, nothing that sticks out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import example
import pytest

from reports.html import render_html

pytestmark = pytest.mark.browser

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    browser, control = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or control is None:
        pytest.skip("chromium and chromedriver are not installed")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(control))
    yield started
    started.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pages")
    made = {
        "example": example.example_report(),
        "empty": example.empty_report(),
        "hostile": example.hostile_report(),
        "large": example.large_report(),
    }
    uris = {}
    for name, report in made.items():
        path = Path(folder, f"{name}.html")
        path.write_text(render_html(report), encoding="utf-8")
        uris[name] = path.as_uri()
    return uris


def show(driver: Any, uri: str, width: int = 1360) -> None:
    driver.get_log("browser")
    driver.get_log("performance")
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    driver.get(uri)


def requests(driver: Any, page: str) -> list[str]:
    """What the page asked for; the browser's own start page may still be loading."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [
        one["params"]["request"]["url"]
        for one in messages
        if one["method"] == "Network.requestWillBeSent" and one["params"]["documentURL"] == page
    ]
    return [url for url in sent if not url.startswith("data:")]


@pytest.mark.parametrize("name", ["example", "empty", "hostile", "large"])
def test_the_page_opens_without_console_messages_and_asks_the_network_for_nothing(
    driver: Any, pages: dict[str, str], name: str
) -> None:
    show(driver, pages[name])
    assert driver.get_log("browser") == []
    assert requests(driver, pages[name]) == [pages[name]]


@pytest.mark.parametrize("width", [1360, 768, 390])
@pytest.mark.parametrize("name", ["example", "empty", "hostile", "large"])
def test_no_page_is_wider_than_its_screen(driver: Any, pages: dict[str, str], name: str, width: int) -> None:
    show(driver, pages[name], width)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [1360, 390])
def test_every_plot_has_marks_with_an_area(driver: Any, pages: dict[str, str], width: int) -> None:
    show(driver, pages["example"], width)
    empty = driver.execute_script(
        """
        return Array.from(document.querySelectorAll("figure svg:not(.axis):not(.stretched)")).filter((picture) =>
          picture.getBoundingClientRect().height < 10 || picture.getBoundingClientRect().width < 60 ||
          !Array.from(picture.querySelectorAll("path, rect, circle")).some((mark) => {
            const box = mark.getBBox(); return box.width > 0 && box.height > 0; })
        ).map((picture) => picture.outerHTML.slice(0, 200));
        """
    )
    assert empty == []
    figures = driver.execute_script("return document.querySelectorAll('main figure').length")
    # pods, intervals, strips, 6 latencies, requests, slowest, topology, 2 x nodes, CPU, memory, 2 x namespaces, quota,
    # growth
    assert figures == 20


def test_every_section_of_the_example_is_visible_and_the_hostile_script_is_text(
    driver: Any, pages: dict[str, str]
) -> None:
    show(driver, pages["example"])
    heights = driver.execute_script(
        "return Array.from(document.querySelectorAll('main > section')).map((s) => s.getBoundingClientRect().height)"
    )
    assert len(heights) == 22
    assert min(heights) > 80
    show(driver, pages["hostile"])
    assert driver.execute_script("return document.querySelectorAll('main script, main img').length") == 0
    assert example.EVIL in driver.execute_script("return document.querySelector('h1').textContent")


def test_the_theme_button_goes_from_automatic_to_light_to_dark(driver: Any, pages: dict[str, str]) -> None:
    show(driver, pages["example"])
    driver.execute_script("localStorage.clear()")
    driver.refresh()
    seen = []
    for _ in range(3):
        driver.execute_script("document.getElementById('theme').click()")
        seen.append(driver.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert seen[:2] == ["rgb(251, 251, 250)", "rgb(20, 24, 27)"]
    for preference, colour in (("dark", "rgb(20, 24, 27)"), ("light", "rgb(251, 251, 250)")):
        features = [{"name": "prefers-color-scheme", "value": preference}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        assert driver.execute_script("return getComputedStyle(document.body).backgroundColor") == colour


def test_tables_sort_filter_and_unfold(driver: Any, pages: dict[str, str]) -> None:
    show(driver, pages["example"])
    table = "document.querySelector('#table-sizing table')"
    visible = f"Array.from({table}.tBodies[0].rows).filter((row) => row.offsetHeight > 0)"
    assert driver.execute_script(f"return {visible}.length") == 12
    driver.execute_script(f"{table}.tHead.rows[0].cells[3].querySelector('button').click()")
    assert driver.execute_script(f"return {visible}.slice(0, 3).map((row) => row.cells[3].textContent)") == [
        "1000m",
        "1000m",
        "500m",
    ]
    assert driver.execute_script(f"return {table}.tHead.rows[0].cells[3].ariaSort") == "descending"
    driver.execute_script("document.querySelector('#table-sizing .more').click()")
    assert driver.execute_script(f"return {visible}.length") == 33
    driver.execute_script(
        "const box = document.querySelector('#table-sizing input'); box.value = 'htpc sonarr';"
        "box.dispatchEvent(new Event('input'))"
    )
    assert driver.execute_script(f"return {visible}.map((row) => row.cells[1].textContent)") == ["sonarr"]


def test_findings_can_be_hidden_by_severity_and_open_when_they_are_linked_to(
    driver: Any, pages: dict[str, str]
) -> None:
    show(driver, pages["example"])
    driver.execute_script("document.querySelector('[data-level=error]').click()")
    shown = "return Array.from(document.querySelectorAll('.finding')).filter((f) => f.offsetHeight > 0).length"
    assert driver.execute_script(shown) == 5
    anchor = "finding-replica-single-deployment-infra-forward-auth"
    is_open = f"return document.getElementById('{anchor}').open"
    assert driver.execute_script(is_open) is False
    show(driver, "about:blank")
    show(driver, f"{pages['example']}#{anchor}")
    assert driver.execute_script(is_open) is True


def test_pointing_at_a_curve_shows_its_values_and_at_a_node_its_neighbours(driver: Any, pages: dict[str, str]) -> None:
    show(driver, pages["example"])
    driver.execute_script(
        """
        const plot = document.querySelector("#capacity svg.plot");
        plot.scrollIntoView({block: "center", behavior: "instant"});
        const box = plot.getBoundingClientRect();
        plot.dispatchEvent(new PointerEvent("pointermove", {clientX: box.left + box.width / 2, clientY: box.top + 20}));
        """
    )
    tip = driver.execute_script("return document.getElementById('tip').textContent").splitlines()
    assert tip[0] == "at 30 min"
    assert [line.split(":")[0] for line in tip[1:]] == ["mini-1", "mini-2", "mini-3"]
    assert tip[2] == "mini-2: 0%"
    lit = driver.execute_script(
        """
        const box = Array.from(document.querySelectorAll(".topology .box")).find(
          (one) => one.querySelector(".name").textContent === "tandoor");
        box.dispatchEvent(new PointerEvent("pointerenter"));
        return Array.from(document.querySelectorAll(".topology .box.lit .name")).map((one) => one.textContent);
        """
    )
    assert "tandoor-db" in lit
    assert "traefik" in lit
    assert "jellyfin" not in lit


def test_text_has_the_contrast_that_wcag_asks_for_in_both_themes(driver: Any, pages: dict[str, str]) -> None:
    pairs = [(ink, ground) for ink in ("ink", "soft", "accent") for ground in ("bg", "panel", "sunk")]
    pairs += [(tone, f"{tone}-bg") for tone in ("good", "warn", "bad")] + [("soft", "plain-bg"), ("bad", "panel")]
    for theme in ("light", "dark"):
        show(driver, pages["example"])
        driver.execute_script(f"document.documentElement.dataset.theme = '{theme}'")
        colours = {
            name: driver.execute_script(
                f"return getComputedStyle(document.documentElement).getPropertyValue('--{name}').trim()"
            )
            for pair in pairs
            for name in pair
        }
        for ink, ground in pairs:
            assert contrast(colours[ink], colours[ground]) >= 4.5, (theme, ink, ground)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two hexadecimal colours (WCAG 2.2, definition of contrast ratio)."""

    def luminance(colour: str) -> float:
        digits = colour.lstrip("#")
        channels = [int(digits[position : position + 2], 16) / 255 for position in (0, 2, 4)]
        red, green, blue = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_printing_keeps_the_bars_hides_the_buttons_and_opens_what_is_folded(driver: Any, pages: dict[str, str]) -> None:
    show(driver, pages["example"])
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    bars = "return Array.from(document.querySelectorAll('svg.bar')).map((bar) => bar.getBoundingClientRect().height)"
    assert min(driver.execute_script(bars)) == 20
    assert driver.execute_script("return document.querySelector('header').offsetHeight") == 0
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    driver.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    assert driver.execute_script("return document.querySelectorAll('details:not([open])').length") == 0
    driver.execute_script("window.dispatchEvent(new Event('afterprint'))")
    assert driver.execute_script("return document.querySelectorAll('details:not([open])').length") == 5
