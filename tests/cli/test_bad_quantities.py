"""Quantities that are none are told all at once, with file and line, and nothing crashes."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.cli import main

MANIFESTS = """\
apiVersion: v1
kind: ResourceQuota
metadata: {name: q, namespace: a}
spec: {hard: {pods: "1O"}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d, namespace: a}
spec:
  template:
    metadata: {labels: {a: b}}
    spec: {containers: [{name: c, image: x, resources: {requests: {cpu: 1xx}}}]}
"""


def test_two_bad_quantities_are_two_problems_and_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(MANIFESTS, encoding="utf-8")
    assert main(["place", str(tmp_path), "--nodes", "1xm920q:server"]) == 2
    said = capsys.readouterr().err
    assert "a.yaml:1 spec.hard.pods: '1O' of ResourceQuota a/q is not a quantity" in said
    assert "a.yaml:6 spec.template.spec.containers.0.resources.requests.cpu: '1xx' of Deployment a/d" in said
    assert "2 problems" in said
