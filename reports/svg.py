"""Small pieces of SVG: escaped elements, axes and scales.

A picture fills the width it is given: text and marks sit at percentages, so that they keep their size on a phone and on
paper, and only curves are stretched (a nested ``svg`` without aspect ratio, 1000 units wide, 100 high). Colours are
classes of the page's style sheet, so that light, dark and print need one picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from reports.formats import duration, printable

WIDTH, HEIGHT = 1000.0, 100.0
"""The units of the stretched coordinate system."""

_TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


def tag(name: str, attributes: dict[str, str | float | None], *children: str) -> str:
    """One element with escaped attribute values; None leaves an attribute out. Children are markup already."""
    inside = "".join(
        f' {key}="{escape(value if isinstance(value, str) else short(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{inside}>{''.join(children)}</{name}>" if children else f"<{name}{inside}/>"


def text(content: str) -> str:
    """Escaped text content, without control characters."""
    return escape(printable(content))


def title(content: str) -> str:
    """The element that browsers show as a tooltip and screen readers read."""
    return f"<title>{text(content)}</title>"


def short(value: float) -> str:
    """A coordinate with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0")


def percent(value: float) -> str:
    """A coordinate in percent of the picture's width or height."""
    return f"{value * 100:.2f}%"


def clipped(content: str, length: int) -> str:
    """``content`` with at most ``length`` characters, the end replaced by an ellipsis."""
    return content if len(content) <= length else f"{content[: length - 1]}…"


@dataclass(frozen=True)
class Scale:
    """A linear or logarithmic scale from values to 0..1, with its tick marks."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of ``value``, cut to 0..1."""
        if self.log:
            place = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            place = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, place))


def linear(low: float, high: float, count: int = 4, binary: bool = False) -> Scale:
    """A scale over nice numbers (1, 2, 2.5, 5 times a power of ten; powers of two for bytes) that holds the range."""
    if not high > low:
        high = low + (abs(low) or 1.0)
    rough = (high - low) / count
    if binary and rough >= 1:
        step = 2.0 ** math.ceil(math.log2(rough))
    else:
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(nice * power for nice in (1, 2, 2.5, 5, 10) if nice * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return Scale(first * step, last * step, tuple(position * step for position in range(first, last + 1)))


def logarithmic(low: float, high: float) -> Scale:
    """A scale over 1, 2, 5 times powers of ten that holds a positive range; over three decades only the powers."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1,) if last - first > 2 else (1, 2, 5)
    marks = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
    start = max((mark for mark in marks if mark <= low * 1.0001), default=marks[0])
    end = min((mark for mark in marks if mark >= high * 0.9999 and mark > start), default=marks[-1])
    return Scale(start, end, tuple(mark for mark in marks if start <= mark <= end), log=True)


def time_scale(start: float, end: float, count: int = 6) -> Scale:
    """A scale over exactly ``start``..``end`` seconds with ticks at whole seconds, minutes, hours or days."""
    end = end if end > start else start + 1
    rough = (end - start) / count
    step = next((step for step in _TIME_STEPS if step >= rough), math.ceil(rough / 86400) * 86400)
    first, last = math.ceil(start / step - 1e-9), math.floor(end / step + 1e-9)
    return Scale(start, end, tuple(float(position * step) for position in range(first, last + 1)))


def x_axis(scale: Scale, label: Callable[[float], str] = duration, y: str = "100%") -> str:
    """Vertical grid lines and labels below the plot area; the labels at the ends stay inside the picture."""
    parts = []
    for tick in scale.ticks:
        place = scale(tick)
        anchor = "start" if place < 0.03 else "end" if place > 0.97 else "middle"
        at = percent(place)
        parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="0" y2="{y}"/>')
        parts.append(f'<text class="tick" x="{at}" y="{y}" dy="15" text-anchor="{anchor}">{text(label(tick))}</text>')
    return "".join(parts)


def y_axis(scale: Scale, label: Callable[[float], str]) -> str:
    """Horizontal grid lines, and labels in the margin left of the plot area."""
    parts = []
    for tick in scale.ticks:
        at = percent(1 - scale(tick))
        parts.append(f'<line class="grid" x1="0" x2="100%" y1="{at}" y2="{at}"/>')
        parts.append(f'<text class="tick" x="-6" y="{at}" dy="4" text-anchor="end">{text(label(tick))}</text>')
    return "".join(parts)


def stretched(*children: str) -> str:
    """The nested picture in which curves are drawn."""
    return (
        f'<svg class="stretched" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" preserveAspectRatio="none" width="100%" '
        f'height="100%" overflow="visible" aria-hidden="true">{"".join(children)}</svg>'
    )


Points = list[tuple[float, float]]


def runs(xs: Sequence[float], ys: Sequence[float | None], across: Scale, up: Scale) -> list[Points]:
    """The stretched coordinates of a curve, split where a value is unknown."""
    parts: list[Points] = [[]]
    for x, y in zip(xs, ys, strict=True):
        if y is None or not math.isfinite(y):
            parts.append([])
        else:
            parts[-1].append((across(x) * WIDTH, (1 - up(y)) * HEIGHT))
    return [part for part in parts if part]


def path(points: Points) -> str:
    """Path data through ``points``; a single point becomes a short dash so that it can be seen."""
    if len(points) == 1:
        (x, y) = points[0]
        points = [(x - 1, y), (x + 1, y)]
    return "M" + "L".join(f"{short(x)},{short(y)}" for x, y in points)


def area(top: Points, bottom: Points) -> str:
    """Path data of the area between two curves."""
    return path(top) + "L" + "L".join(f"{short(x)},{short(y)}" for x, y in reversed(bottom)) + "Z"
