"""Rows on single requests and on how numbers were estimated, for the report of ``example``."""

from __future__ import annotations

from reports.document import Cell

SLOWEST: list[tuple[Cell, ...]] = [
    (
        "photos.example.org/",
        "search from internet",
        9.31,
        "served",
        "utils/immich-ml 4.12 s (2.51 s throttled, and 840 ms in its queue), 3 others 290 ms, outside 4.06 s",
        0.84,
        1.39,
        0.24,
        2.51,
        0.05,
        0.2,
        0.02,
        4.06,
        2,
        612.4,
        3,
    ),
    (
        "cloud.example.org/",
        "upload from internet",
        0.752,
        "served",
        "utils/nextcloud 535 ms (300 ms disk), infra/traefik 190 ms (188 ms network), 1 other 6.6 ms, outside 20 ms",
        0.0,
        0.22,
        0.01,
        0.0,
        0.304,
        0.188,
        0.01,
        0.02,
        1,
        116.0,
        0,
    ),
    ("watch.example.org/", "page from lan", 30.0, "timed out", "outside 30 s", *[0.0] * 7, 30.0, 3, 301.5, 0),
]

STATIONS: list[tuple[Cell, ...]] = [
    ("Deployment utils/immich-machine-learning", 1, 0.597, 14, 0.824, 1.27, 16, 1652, 0.826, 0.214, 770.4, 7812.0),
    ("Deployment utils/nextcloud", 1, 2.96, 0, 0.121, 0.0042, 3, 187, None, 0.0, 0.0, 0.0),
    ("Deployment infra/traefik", 2, 17.8, 0, None, 0.0, 0, 17, 0.017, 0.0, 0.0, 0.0),
]

LINKS: list[tuple[Cell, ...]] = [
    ("uplink", 1_845_493.0, 5_000_000.0, 0.369, 0.929),
    ("downlink", 1_720_000.0, 31_250_000.0, 0.055, 0.055),
]

PRECISION: list[tuple[Cell, ...]] = [
    ("cloud.example.org/", 0.0008, 0.005, True),
    ("photos.example.org/", 0.0121, 0.005, False),
    ("argocd.example.org/", None, 0.005, False),
]

STATISTICS: list[tuple[Cell, ...]] = [
    ("Replications", "20 of at most 20 replications: ±0.5% was not reached for 2 of 3 routes", "Law, 9.4.1"),
    ("Warm-up", "5 min from an empty platform are simulated and not measured (run.warmUp)", "the scenario"),
    ("Warm-up, checked", "3 undisturbed pilots of 20 min: latency steady after 35 s", "MSER-5: White, Cobb and Spratt"),
]
