"""The plots of a report: curves over time, availability strips, intervals per route, bars of capacity and load.

Every function returns markup with all text escaped, or "" when there is nothing to show.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reports.document import ColumnType, Estimate, Event, Report, Series, Table
from reports.formats import duration, interval, millicores, ratio, scalar, size, with_unit
from reports.jsonout import rounded
from reports.svg import (
    HEIGHT,
    WIDTH,
    Scale,
    area,
    clipped,
    linear,
    logarithmic,
    path,
    percent,
    runs,
    short,
    stretched,
    tag,
    text,
    time_scale,
    title,
    x_axis,
    y_axis,
)

OVERLAID = 4
"""More curves than this get a panel each: nobody can follow twelve lines in one picture."""

MARKS = 4
"""At most so many events are marked in a plot."""


@dataclass(frozen=True)
class Mark:
    """A vertical line at an event that a person wants to see in every plot."""

    t: float
    label: str


def event_marks(events: Iterable[Event]) -> tuple[Mark, ...]:
    """The events that explain the curves: what happened to nodes and to the connection, else the errors."""
    ordered = sorted(events, key=lambda event: event.t)
    chosen = [event for event in ordered if event.kind.startswith("node-") and event.severity == "error"]
    chosen += [event for event in ordered if event.kind in ("node-return", "node-recovered")]
    chosen = chosen or [event for event in ordered if event.severity == "error"]
    return tuple(Mark(event.t, f"{event.subject}: {event.kind}") for event in chosen[:MARKS])


def chart(series: Sequence[Series], name: str, marks: Sequence[Mark]) -> str:
    """The picture of all curves of one chart: strips for availability, one plot for a few, a panel each for many."""
    curves = [one for one in series if any(value is not None and math.isfinite(value) for value in one.y)]
    if not curves:
        return ""
    if name == "availability":
        return strips(curves, marks)
    if len(curves) <= OVERLAID and len({one.unit for one in curves}) == 1:
        return _figure(curves, marks, "chart wide")
    panels = "".join(_figure([one], marks, "chart panel", heading=one.name) for one in curves)
    return f'<div class="panels">{panels}</div>'


def _figure(curves: Sequence[Series], marks: Sequence[Mark], css: str, heading: str = "") -> str:
    unit = curves[0].unit
    across = _time(curves)
    highest = max(v for one in curves for v in (*one.y, *one.high) if v is not None and math.isfinite(v))
    lowest = min(v for one in curves for v in (*one.y, *one.low) if v is not None and math.isfinite(v))
    full = 1.0 if unit == "ratio" and highest > 0.5 else highest
    up = linear(min(0.0, lowest), max(full, highest), count=2 if heading else 4, binary=unit in ("B", "bytes"))
    drawn = "".join(_curve(one, number, across, up, filled=len(curves) == 1) for number, one in enumerate(curves))
    names = ", ".join(one.name for one in curves)
    plot = tag(
        "svg",
        {"class": "plot", "role": "img", "aria-label": f"{names} over time", "data-plot": _data(curves)},
        title(f"{names} over time, in {unit or 'units'}"),
        y_axis(up, lambda tick: with_unit(tick, unit)),
        x_axis(across if not heading else time_scale(across.low, across.high, 3)),
        marked(marks, across),
        stretched(drawn),
        '<line class="cursor" x1="0" x2="0" y1="0" y2="100%"/>',
    )
    caption = f"<figcaption>{text(heading)}</figcaption>" if heading else _legend([one.name for one in curves])
    return f'<figure class="{css}">{caption}{plot}</figure>'


def _time(curves: Sequence[Series]) -> Scale:
    instants = [t for one in curves for t in one.x]
    return time_scale(min(instants), max(instants))


def _curve(one: Series, number: int, across: Scale, up: Scale, filled: bool) -> str:
    parts = []
    if one.low and one.high:
        pairs = zip(runs(one.x, one.high, across, up), runs(one.x, one.low, across, up), strict=False)
        parts += [f'<path class="band c{number}" d="{area(top, bottom)}"/>' for top, bottom in pairs]
    for points in runs(one.x, one.y, across, up):
        if filled:
            floor = [(x, (1 - up(0.0)) * HEIGHT) for x, _ in points]
            parts.append(f'<path class="under c{number}" d="{area(points, floor)}"/>')
        parts.append(f'<path class="line c{number}" d="{path(points)}"/>')
    return "".join(parts)


def marked(marks: Sequence[Mark], across: Scale, top: int = 5, bottom: str = "100%", label: bool = False) -> str:
    """Vertical lines at the marks, from ``top`` above the plot down to ``bottom``, with a label on request."""
    parts = []
    for mark in marks:
        if across.low <= mark.t <= across.high:
            at = percent(across(mark.t))
            anchor = "start" if across(mark.t) < 0.7 else "end"
            words = (
                f'<text x="{at}" y="{-top - 5}" text-anchor="{anchor}">{text(clipped(mark.label, 40))}</text>'
                if label
                else ""
            )
            dot = f'<circle cx="{at}" cy="{-top}" r="3"/>' if top else ""
            parts.append(
                f'<g class="mark">{title(f"{duration(mark.t)}: {mark.label}")}'
                f'<line x1="{at}" x2="{at}" y1="{-top}" y2="{bottom}"/>{dot}{words}</g>'
            )
    return "".join(parts)


def _legend(names: Sequence[str]) -> str:
    items = "".join(f'<li><i class="swatch c{number}"></i>{text(name)}</li>' for number, name in enumerate(names))
    return f'<ul class="legend">{items}</ul>'


def _data(curves: Sequence[Series]) -> str:
    """What the page's tooltip reads: every curve with its own instants."""

    def plain(values: Sequence[float | None]) -> list[float | None]:
        return [None if value is None else rounded(value) for value in values]

    return json.dumps(
        [
            {
                "name": one.name,
                "unit": one.unit,
                "x": plain(one.x),
                "y": plain(one.y),
                "low": plain(one.low),
                "high": plain(one.high),
            }
            for one in curves
        ],
        separators=(",", ":"),
    )


# --- availability -----------------------------------------------------------------------------------------------------

_LEVELS = ((1.0, "full"), (0.99, "high"), (0.9, "some"), (0.000001, "low"))


def strips(curves: Sequence[Series], marks: Sequence[Mark]) -> str:
    """One strip per curve, coloured by how much was served at each instant, as on a status page."""
    across = _time(curves)
    rows = []
    for one in curves:
        plot = tag(
            "svg",
            {"class": "strip", "role": "img", "aria-label": f"{one.name} over time", "data-plot": _data([one])},
            title(f"{one.name} over time"),
            stretched(_strip(one, across)),
            marked(marks, across, top=0),
            '<line class="cursor" x1="0" x2="0" y1="0" y2="100%"/>',
        )
        rows.append(f'<div class="row"><span class="label">{text(one.name)}</span>{plot}</div>')
    axis = f'<svg class="axis" aria-hidden="true">{x_axis(across, y="0")}</svg>'
    words = (
        ("full", "100%"),
        ("high", "99% or more"),
        ("some", "90% or more"),
        ("low", "less"),
        ("none", "nothing served"),
    )
    legend = "".join(f'<li><i class="swatch a-{css}"></i>{word}</li>' for css, word in words)
    return (
        f'<figure class="chart strips"><ul class="legend">{legend}</ul>{"".join(rows)}'
        f'<div class="row"><span class="label"></span>{axis}</div></figure>'
    )


def _strip(one: Series, across: Scale) -> str:
    """Rectangles over runs of the same level; a value holds until the next instant."""
    parts = []
    instants = [*one.x, across.high]
    start, current = instants[0], _level(one.y[0])
    for position, instant in enumerate(instants[1:], start=1):
        following = _level(one.y[position]) if position < len(one.y) else ""
        if following != current:
            x = across(start) * WIDTH
            width = max(across(instant) * WIDTH - x, 1.0)
            parts.append(f'<rect class="a-{current}" x="{short(x)}" y="0" width="{short(width)}" height="{HEIGHT:g}"/>')
            start, current = instant, following
    return "".join(parts)


def _level(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "unknown"
    return next((css for bound, css in _LEVELS if value >= bound), "none")


# --- intervals per route ----------------------------------------------------------------------------------------------


def intervals(table: Table) -> str:
    """Availability and the latency percentiles of every route as dots with their confidence intervals."""
    keys = [column.name for column in table.columns]
    rows = [dict(zip(keys, row, strict=True)) for row in table.rows]
    availability = [value for row in rows if isinstance(value := row.get("availability"), Estimate)]
    latencies = [
        value
        for row in rows
        for key in ("p50_s", "p95_s", "p99_s")
        if isinstance(value := row.get(key), Estimate) and value.mean > 0
    ]
    if not availability or not latencies:
        return ""
    share = linear(min(min(_low(value) for value in availability), 0.999), 1.0, 3)
    seconds = logarithmic(min(max(_low(v), v.mean / 10) for v in latencies), max(_high(value) for value in latencies))
    body = []
    for row in rows:
        route = str(row["route"])
        first = _whiskers([("availability", row.get("availability"))], share, "estimate_ratio", route)
        points = [(key.removesuffix("_s"), row.get(key)) for key in ("p50_s", "p95_s", "p99_s")]
        second = _whiskers(points, seconds, "estimate_s", route)
        body.append(f'<div class="row"><span class="label">{text(route)}</span>{first}{second}</div>')
    axes = (
        f'<svg class="axis" aria-hidden="true">{x_axis(share, ratio, "0")}</svg>'
        f'<svg class="axis" aria-hidden="true">{x_axis(seconds, duration, "0")}</svg>'
    )
    percentiles = "".join(f' <i class="key {name}"></i>{name}' for name in ("p50", "p95", "p99"))
    head = (
        f'<div class="row head"><span class="label"></span><span>Availability</span>'
        f"<span>Latency{percentiles}</span></div>"
    )
    return (
        f'<figure class="chart forest">{head}{"".join(body)}<div class="row"><span class="label"></span>{axes}</div>'
        "<figcaption>Bars are confidence intervals over independent replications; latency on a logarithmic "
        "scale.</figcaption></figure>"
    )


def _low(value: Estimate) -> float:
    return value.low if math.isfinite(value.low) else value.mean


def _high(value: Estimate) -> float:
    return value.high if math.isfinite(value.high) else value.mean


def _whiskers(points: Sequence[tuple[str, object]], scale: Scale, kind: ColumnType, route: str) -> str:
    parts = [
        f'<line class="grid" x1="{percent(scale(tick))}" x2="{percent(scale(tick))}" y1="0" y2="100%"/>'
        for tick in scale.ticks
    ]
    for name, value in points:
        if not isinstance(value, Estimate) or (scale.log and value.mean <= 0):
            continue
        words = f"{route} {name}: {scalar(value.mean, kind)} ({interval(value, kind) or 'no interval'})"
        low, high = percent(scale(_low(value))), percent(scale(_high(value)))
        parts.append(
            f'<g class="whisker {name}">{title(words)}<line x1="{low}" x2="{high}" y1="50%" y2="50%"/>'
            f'<circle cx="{percent(scale(value.mean))}" cy="50%" r="4"/></g>'
        )
    return f'<svg class="dots" role="img" aria-label="{text(route)}">{"".join(parts)}</svg>'


# --- capacity ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bar:
    """One bar of capacity: what there is (None: no bound), what is asked for, allowed, and used at most."""

    label: str
    capacity: float | None
    requests: float
    limits: float | None
    used: float | None
    low: float | None
    high: float | None
    peak: float | None


def node_bars(table: Table) -> str:
    """CPU and memory of every node: allocatable, requests, limits and simulated use."""
    cpu, memory = [], []
    keys = [column.name for column in table.columns]
    for row in table.rows:
        cells = dict(zip(keys, row, strict=True))
        whole = _number(cells["cpu_allocatable_m"])
        used = cells["cpu_used"] if isinstance(cells["cpu_used"], Estimate) else None
        label = str(cells["node"])
        peak = None if cells["cpu_peak"] is None else _number(cells["cpu_peak"]) * whole
        requests, limits = _number(cells["cpu_requests_m"]), _stated(cells["cpu_limits_m"])
        mean = used.mean * whole if used else None
        low, high = (_low(used) * whole, _high(used) * whole) if used else (None, None)
        cpu.append(Bar(label, whole, requests, limits, mean, low, high, peak))
        requests, limits = _number(cells["memory_requests_b"]), _stated(cells["memory_limits_b"])
        peak = None if cells["memory_peak_b"] is None else _number(cells["memory_peak_b"])
        memory.append(Bar(label, _number(cells["memory_allocatable_b"]), requests, limits, None, None, None, peak))
    return _bars_pair(cpu, memory, shared=False)


def namespace_bars(table: Table) -> str:
    """CPU and memory of every namespace: requests, limits and simulated use on a common scale."""
    cpu, memory = [], []
    keys = [column.name for column in table.columns]
    for row in table.rows:
        cells = dict(zip(keys, row, strict=True))
        label = str(cells["namespace"])
        used, peak = _stated(cells["cpu_used_m"]), _stated(cells["memory_peak_b"])
        requests, limits = _number(cells["cpu_requests_m"]), _stated(cells["cpu_limits_m"])
        cpu.append(Bar(label, None, requests, limits, used, None, None, None))
        requests, limits = _number(cells["memory_requests_b"]), _stated(cells["memory_limits_b"])
        memory.append(Bar(label, None, requests, limits, None, None, None, peak))
    return _bars_pair(cpu, memory, shared=True)


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _stated(value: object) -> float | None:
    """A number, or None where it is unset or unknown."""
    return None if value is None else _number(value)


def _bars_pair(cpu: Sequence[Bar], memory: Sequence[Bar], shared: bool) -> str:
    if not cpu:
        return ""
    words = [("requests", "requests"), ("used", "simulated mean use"), ("peak", "simulated peak"), ("limits", "limits")]
    if not shared:
        words.insert(0, ("capacity", "allocatable"))
    legend = "".join(f'<li><i class="swatch b-{css}"></i>{word}</li>' for css, word in words)
    return (
        f'<ul class="legend">{legend}</ul><div class="pair">{_bars("CPU", cpu, "m", shared)}'
        f"{_bars('Memory', memory, 'B', shared)}</div>"
    )


def _bars(heading: str, bars: Sequence[Bar], unit: str, shared: bool) -> str:
    common = max((max(bar.requests, bar.limits or 0, bar.used or 0, bar.peak or 0) for bar in bars), default=0) or 1.0
    rows = "".join(_bar(bar, common if shared else _extent(bar), unit) for bar in bars)
    return f'<figure class="chart bars"><figcaption>{heading}</figcaption>{rows}</figure>'


def _extent(bar: Bar) -> float:
    """A node's bar ends at what it has, or at what is asked for when that is more; limits may run off the end."""
    return max(bar.capacity or 0, bar.requests, bar.peak or 0) or 1.0


def _bar(bar: Bar, extent: float, unit: str) -> str:
    show = millicores if unit == "m" else size
    parts, words = [], []
    if bar.capacity is not None:
        parts.append(
            f'<rect class="b-capacity" x="0" y="2" width="{percent(bar.capacity / extent)}" height="16" rx="2"/>'
        )
    over = " over" if bar.capacity is not None and bar.requests > bar.capacity else ""
    parts.append(
        f'<rect class="b-requests{over}" x="0" y="2" width="{percent(bar.requests / extent)}" height="16" rx="2"/>'
    )
    asked = f"requests {show(bar.requests)}"
    words.append(f"{asked} of {show(bar.capacity)} ({ratio(bar.requests / bar.capacity)})" if bar.capacity else asked)
    if bar.used is not None:
        parts.append(f'<rect class="b-used" x="0" y="7" width="{percent(bar.used / extent)}" height="6"/>')
        words.append(f"mean use {show(bar.used)}")
        if bar.low is not None and bar.high is not None:
            ends = f'x1="{percent(bar.low / extent)}" x2="{percent(bar.high / extent)}"'
            parts.append(f'<line class="b-interval" {ends} y1="10" y2="10"/>')
    if bar.peak is not None:
        at = percent(min(1.0, bar.peak / extent))
        parts.append(f'<line class="b-peak" x1="{at}" x2="{at}" y1="4" y2="16"/>')
        words.append(f"peak {show(bar.peak)}")
    if bar.limits:
        beyond = bar.limits > extent
        at = percent(min(1.0, bar.limits / extent))
        parts.append(f'<line class="b-limits" x1="{at}" x2="{at}" y1="0" y2="20"/>')
        words.append(f"limits {show(bar.limits)}{' (beyond the bar)' if beyond else ''}")
    elif bar.limits is None:
        words.append("no limits")
    sentence = ", ".join(words)
    label = text(f"{bar.label}: {sentence}")
    picture = f'<svg class="bar" role="img" aria-label="{label}">{title(sentence)}{"".join(parts)}</svg>'
    return (
        f'<div class="row"><span class="label">{text(bar.label)}</span>{picture}<small>{text(sentence)}</small></div>'
    )


# --- growth -----------------------------------------------------------------------------------------------------------


def growth(table: Table) -> str:
    """Utilisation of the busiest resource at every multiple of today's load, and whether the objectives held."""
    keys = [column.name for column in table.columns]
    rows = []
    for row in table.rows:
        cells = dict(zip(keys, row, strict=True))
        load, used, held = _number(cells["load"]), _number(cells["utilisation"]), cells["held"] is True
        resource, objective = cells["bottleneck"] or "busiest resource", cells["objective"] or "objective"
        sentence = f"{resource} {ratio(used)}; {objective}: {cells['observed'] or 'unknown'}"
        css, word = ("g-held", "holds") if held else ("g-broken", "breaks")
        picture = (
            f'<svg class="bar" role="img" aria-label="{text(sentence)}">{title(sentence)}'
            f'<rect class="b-capacity" x="0" y="2" width="100%" height="16" rx="2"/>'
            f'<rect class="{css}" x="0" y="2" width="{percent(min(1.0, used))}" height="16" rx="2"/></svg>'
        )
        rows.append(
            f'<div class="row"><span class="label">{load:g}× <b class="{css}">{word}</b></span>{picture}'
            f"<small>{text(sentence)}</small></div>"
        )
    return f'<figure class="chart bars growth">{"".join(rows)}</figure>' if rows else ""


def charts_of(report: Report, name: str) -> tuple[Series, ...]:
    """The curves of one chart, in the report's order."""
    return tuple(series for series in report.series if series.chart == name)
