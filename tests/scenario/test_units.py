"""Numbers with units: what people write, what is read, what is printed, what is refused and how."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from models.units import (
    Bandwidth,
    Duration,
    Rate,
    Ratio,
    Size,
    parse_bandwidth,
    parse_duration,
    parse_rate,
    parse_ratio,
    parse_size,
    print_duration,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("50us", 5e-5),
        ("1ms 500µs", 0.0015),
        ("250ms", 0.25),
        ("45 s", 45.0),
        ("90s", 90.0),
        ("5m", 300.0),
        ("5min", 300.0),
        ("1h30m", 5400.0),
        ("1h 30m", 5400.0),
        ("2d", 172_800.0),
        ("1w", 604_800.0),
        ("1y", 31_557_600.0),  # a Julian year: 365.25 days
        (".5s", 0.5),
        ("0", 0.0),
        (0, 0.0),
    ],
)
def test_a_duration_is_read_as_seconds(text: Any, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "bytes_per_second"),
    [("8bit/s", 1.0), ("50Mbit/s", 6_250_000.0), ("1Gbps", 125_000_000.0), ("90 MB/s", 90_000_000.0)],
)
def test_a_bandwidth_is_read_as_bytes_per_second(text: str, bytes_per_second: float) -> None:
    assert parse_bandwidth(text) == bytes_per_second


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1k", 1000),
        ("1Ki", 1024),
        ("20 Mi", 20_971_520),
        ("500GB", 500_000_000_000),
        ("1.5Gi", 1_610_612_736),
        ("1TiB", 1_099_511_627_776),
        (42, 42),
    ],
)
def test_a_size_is_read_as_bytes(text: Any, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "per_second"), [("2/s", 2.0), ("30/min", 0.5), ("1 per day", 1 / 86_400), ("900/hour", 0.25)]
)
def test_a_rate_is_read_as_events_per_second(text: str, per_second: float) -> None:
    assert parse_rate(text) == pytest.approx(per_second, rel=1e-12)


@pytest.mark.parametrize(("text", "share"), [("25%", 0.25), (0.25, 0.25), ("0", 0.0), ("100%", 1.0), (1, 1.0)])
def test_a_share_is_read_as_a_fraction(text: Any, share: float) -> None:
    assert parse_ratio(text) == share


@pytest.mark.parametrize(
    ("parse", "text", "says"),
    [
        (parse_duration, 30, "30 has no unit: write a duration such as 30s, 30m or 30h"),
        (parse_duration, "soon", "'soon' is not a duration: write for example 250ms, 30s"),
        (parse_duration, "-5s", "is not a duration"),
        (parse_duration, "5 s or so", "is not a duration"),
        (parse_duration, True, "is not a duration"),
        (parse_duration, "", "is not a duration"),
        (parse_bandwidth, "50", "'50' is not a bandwidth: write for example 50Mbit/s"),
        (parse_bandwidth, "fast", "is not a bandwidth"),
        (parse_size, "16 gigs", "'16 gigs' is not a size: write for example 16Gi"),
        (parse_size, "-1Gi", "is not a size"),
        (parse_rate, "2", "'2' is not a rate: write for example 2/s"),
        (parse_rate, "2/fortnight", "is not a rate"),
        (parse_ratio, "half", "'half' is not a share: write for example 25%"),
        (parse_ratio, "120%", "'120%' is not between 0 and 100%"),
        (parse_ratio, -0.1, "-0.1 is not between 0 and 100%"),
        (parse_ratio, "nan", "is not between 0 and 100%"),
    ],
)
def test_what_cannot_be_read_is_quoted_with_an_example(parse: Any, text: Any, says: str) -> None:
    with pytest.raises(ValueError, match=r"write|between") as caught:
        parse(text)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (2e-8, "0.02us"),
        (0.0123456789, "12.3456789ms"),
        (0.25, "250ms"),
        (90.0, "90s"),
        (120.0, "2m"),
        (5400.0, "90m"),
        (86_400.0, "1d"),
    ],
)
def test_a_duration_is_printed_in_the_largest_whole_unit(seconds: float, text: str) -> None:
    assert print_duration(seconds) == text


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        (Duration, ("0.05us", "50us", "1.2345678ms", "250ms", "90s", "1h30m", "36h", "1y", "0")),
        (Bandwidth, ("40Mbit/s", "1Gbit/s", "90MB/s", "1bps")),
        (Size, ("16Gi", "500GB", "20Mi", "1")),
        (Rate, ("2/s", "4/min", "1/day")),
        (Ratio, ("0%", "12.5%", "1", "0.1")),
    ],
)
def test_what_a_scenario_prints_reads_back_as_the_same_number(kind: Any, texts: tuple[str, ...]) -> None:
    adapter: TypeAdapter[float] = TypeAdapter(kind)
    for text in texts:
        number = adapter.validate_python(text)
        printed = adapter.dump_python(number, mode="json")
        assert adapter.validate_python(printed) == pytest.approx(number, rel=1e-9)
        assert adapter.dump_python(adapter.validate_python(printed), mode="json") == printed


@settings(max_examples=60, deadline=None)
@given(st.integers(min_value=0, max_value=10**10))
def test_whole_milliseconds_survive_printing_and_reading(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse_duration(print_duration(seconds)) == pytest.approx(seconds, rel=1e-9, abs=1e-12)
