"""Both sides under one scenario: paired by common random numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import repositories as repos

from reports.cli import main

SCENARIO = """\
apiVersion: stowplan/v1
kind: Scenario
metadata: {{name: short}}
extends: {extends}
spec:
  run: {{length: 2m, warmUp: 10s, replications: 6}}
  thresholds:
    http_req_failed: ["rate<0.5"]
"""


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference platform, and the same with the photo server throttled to a tenth of a core."""
    folder = tmp_path_factory.mktemp("sides")
    for side in ("old", "new"):
        shutil.copytree(repos.ROOT / "scenarios" / "homelab", folder / side)
    file = folder / "new/base/utils/immich/server.yaml"
    text = file.read_text()
    limited = text.replace("            limits:\n", "            limits:\n              cpu: 100m\n", 1)
    file.write_text(limited.replace("cpu: 500m", "cpu: 100m", 1))
    assert file.read_text() != text
    scenario = SCENARIO.format(extends=repos.ROOT / "scenarios" / "baseline-day.yaml")
    (folder / "short.yaml").write_text(scenario)
    return folder


def simulate(sides: Path, head: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The JSON report of a comparison with a simulation."""
    words = ["diff", "--base", str(sides / "old"), "--head", str(sides / head), "overlays/production"]
    main([*words, "--simulate", str(sides / "short.yaml"), "-n", "1", "--format", "json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.slow
def test_throttled_server_is_slower_beyond_chance_and_pairing_removes_nine_tenths_of_the_variance_elsewhere(
    sides: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = simulate(sides, "new", capsys)
    by_key = {(row["route"], row["measure"]): row for row in found["simulated"]}
    photos = by_key["photos.home.example.org", "median_s"]
    assert photos["significant"]
    assert photos["low"] > 0
    assert photos["low"] < photos["difference"] < photos["high"]
    assert photos["replications"] == 6
    assert by_key["grafana.home.example.org", "p95_s"]["variance_reduction"] > 0.9
    assert found["status"] == "warn"
    assert found["headline"].startswith("photos.home.example.org gets worse: ")
    assert [line["expression"] for line in found["thresholds"] if line["metric"] == "http_req_failed"] == ["rate<0.5"]


def test_nothing_is_simulated_when_nothing_changed(sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = simulate(sides, "old", capsys)
    assert found["status"] == "same"
    assert found["simulated"] == []
    assert found["notes"] == ["nothing was simulated: no platform changed"]
