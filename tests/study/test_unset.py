"""What nobody stated and what nobody simulated stays empty in every report, and is not called zero."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_studies import Dict, asks, container, deployment, report, study

from reports.build import build_report
from reports.cli import main
from reports.plots import namespace_bars
from sim.study import run


def rows(made: Dict, name: str) -> dict[str, Dict]:
    """The rows of a table of the JSON report by their first cell."""
    table = next(item for item in made["tables"] if item["name"] == name)
    keys = [column["name"] for column in table["columns"]]
    cells = (row if isinstance(row, dict) else dict(zip(keys, row, strict=True)) for row in table["rows"])
    return {str(row[keys[0]]): row for row in cells}


def apps() -> list[Dict]:
    """An app with a memory limit and no CPU limit."""
    return [deployment("app", container(**asks("100m", "64Mi", "128Mi")))]


def test_a_namespace_in_which_no_container_has_a_cpu_limit_has_none_in_the_report(tmp_path: Path) -> None:
    prepared = study(tmp_path, apps())
    home = {item.namespace: item for item in prepared.placement.namespace_uses()}["home"]
    assert (home.cpu_limits_m, home.memory_limits_b) == (None, 128 * 2**20)
    made = report(prepared, run(prepared))
    assert rows(made, "namespaces")["home"]["cpu_limits_m"] is None
    assert rows(made, "namespaces")["home"]["memory_limits_b"] == 128 * 2**20
    assert rows(made, "nodes")["one"]["cpu_limits_m"] is None


def test_use_of_a_namespace_whose_pods_have_no_profile_is_unknown(tmp_path: Path) -> None:
    prepared = study(tmp_path, apps())
    made = rows(report(prepared, run(prepared)), "namespaces")
    assert (made["kube-system"]["cpu_used_m"], made["kube-system"]["memory_peak_b"]) == (None, None)
    assert made["home"]["memory_peak_b"] > 0


def test_the_picture_of_namespaces_says_no_limits_and_no_peak_of_zero(tmp_path: Path) -> None:
    prepared = study(tmp_path, apps())
    table = build_report(prepared, run(prepared), command="stowplan run").table("namespaces")
    assert table is not None
    picture = namespace_bars(table)
    assert "kube-system: requests 100m, no limits" in picture
    assert "peak 0 B" not in picture


def test_place_prints_a_dash_and_null_for_limits_that_nobody_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study(tmp_path, apps())
    tree = str(tmp_path / "tree")
    assert main(["place", tree, "--nodes", "m920q:server", "--json"]) == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [row["cpu_limits_m"] for row in (*answer["nodes"], *answer["namespaces"])] == [None, None, None]
    assert main(["place", tree, "--nodes", "m920q:server"]) == 0
    (home,) = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip().startswith("home ")]
    assert home == ["home", "1", "100m", "-", "64Mi", "128Mi"]
