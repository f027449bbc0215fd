"""Films beside requests: they last long, and nothing is slow for it; they fill the line, and growth counts them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_studies import HOST, container, deployment, ingress, service, study

from sim.growth import load_growth
from sim.metrics import route_metrics
from sim.program import Outcome
from sim.slowest import slowest_requests
from sim.streams import stream_operations
from sim.study import Study, run


def cinema(folder: Path, duration: str, **spec: Any) -> Study:
    """Ten requests a second beside films, three under way in the mean, over a line that has room for six."""
    films = {"name": "film", "duration": duration, "bitrate": "6Mbit/s"}
    rates = {"10s": "0.3/s", "1h": "3/h"}
    return study(
        folder,
        [deployment("app", container(image="jellyfin/jellyfin:10.9")), service("app"), ingress("app")],
        network={"uplink": "40Mbit/s"},
        traffic=[{"route": HOST, "rate": "10/s", "streams": [{**films, "rate": rates[duration]}]}],
        **spec,
    )


def test_films_of_ten_seconds_are_served_and_no_request_is_called_slow_for_them(tmp_path: Path) -> None:
    prepared = cinema(tmp_path, "10s", run={"length": "20m", "replications": 1})
    results = run(prepared, survival=False)
    measures = results.replications[0].measures
    streams = stream_operations(prepared.compiled.program)
    films = [row for row, (_, operation) in enumerate(measures.series) if operation in streams]
    assert int(measures.outcomes[films, Outcome.SERVED].sum()) > 200
    (found,) = route_metrics(prepared, results, (99.9,))
    slowest = found.latency[99.9]
    assert slowest is not None
    assert slowest.mean < 5.0
    assert all(one.operation != "film" for one in slowest_requests(prepared, results))


@pytest.mark.parametrize("duration", ["10s", "1h"])
def test_three_films_on_a_line_for_six_lose_five_in_a_hundred_and_a_quarter_at_twice_the_load_however_long_they_are(
    tmp_path: Path, duration: str
) -> None:
    # The line has room for six. Erlang B with 6 servers: 5.2 % of 3 erlangs are lost, 26.5 % of 6, 54.0 % of 12.
    objectives = {"survives": "nothing", "routes": [{"route": HOST, "availability": "99%"}]}
    objectives["routes"][0]["latency"] = {"percentile": 95, "below": "500ms"}  # type: ignore[index]
    lost = {trial.load: trial.streams_lost for trial in load_growth(cinema(tmp_path, duration, objectives=objectives))}
    # A trial sees some 180, 325 and 330 films: three standard errors of such a share.
    assert lost[1.0] == pytest.approx(0.052, abs=0.050)
    assert lost[2.0] == pytest.approx(0.265, abs=0.073)
    assert lost[4.0] == pytest.approx(0.540, abs=0.082)
