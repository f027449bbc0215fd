"""The picture of the slowest requests: what of their time was waiting, CPU, disk, network, and outside of every pod."""

from __future__ import annotations

from reports.document import Cell, Table
from reports.formats import duration
from reports.svg import percent, text, title

SLOW = 8
"""So many of the slowest requests are drawn; the table holds all of them."""

PARTS = (
    ("queue_s", "s-queue", "waiting for a worker"),
    ("cpu_s", "s-cpu", "CPU"),
    ("core_s", "s-core", "waiting for a core"),
    ("throttled_s", "s-throttled", "throttled"),
    ("disk_s", "s-disk", "disk"),
    ("network_s", "s-network", "network"),
    ("other_s", "s-other", "other"),
    ("outside_s", "s-outside", "outside"),
)
"""Column, class, word: in the order in which they are drawn."""


def slowest(table: Table) -> str:
    """The slowest request of each route, as a bar of where its time went."""
    keys = [column.name for column in table.columns]
    first: dict[Cell, dict[str, Cell]] = {}
    for row in table.rows:
        cells = dict(zip(keys, row, strict=True))
        first.setdefault(cells["route"], cells)
    rows = []
    for cells in list(first.values())[:SLOW]:
        whole = _number(cells["latency_s"])
        at, drawn = 0.0, []
        for key, css, word in PARTS:
            share = _number(cells[key]) / whole if whole else 0.0
            drawn.append(
                f'<rect class="{css}" x="{percent(at)}" y="2" width="{percent(share)}" height="16">'
                f"{title(f'{word} {duration(_number(cells[key]))}')}</rect>"
            )
            at += share
        label = f"{cells['route']}, {cells['operation']}: {duration(whole)}, {cells['path']}"
        rows.append(
            f'<div class="row"><span class="label">{text(str(cells["route"]))} <b>{duration(whole)}</b></span>'
            f'<svg class="bar" role="img" aria-label="{text(label)}">{"".join(drawn)}</svg>'
            f"<small>{text(str(cells['operation']))}: {text(str(cells['path']))}</small></div>"
        )
    used = [part for part in PARTS if any(_number(cells[part[0]]) for cells in list(first.values())[:SLOW])]
    legend = "".join(f'<li><i class="swatch {css}"></i>{word}</li>' for _, css, word in used)
    picture = f'<figure class="chart bars slowest">{"".join(rows)}</figure>'
    return f'<ul class="legend">{legend}</ul>{picture}' if rows else ""


def _number(value: Cell) -> float:
    """A cell as a number, 0 for anything else."""
    return float(value) if isinstance(value, (int, float)) else 0.0
