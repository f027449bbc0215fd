"""Values with pictures and rare characters reach a chart as they are written, whichever engine renders it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml

from models.helm.engine import _by_binary
from models.yamldoc.escaped import as_yaml

RARE = "\U0001f6a8 \u03a9 \u2028 \x07 \ufeff\u0085 \\ud83d"


def test_escaped_json_is_read_back_as_it_was() -> None:
    assert yaml.safe_load(as_yaml({"key \U0001f680": [RARE, 1, True, None]})) == {
        "key \U0001f680": [RARE, 1, True, None]
    }
    assert as_yaml({"a": "\U0001f680"}) == '{"a": "\\U0001f680"}'


@pytest.mark.oracle
def test_the_helm_binary_gets_pictures_in_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{Path.home() / 'go/bin'}")
    if shutil.which("helm") is None:
        pytest.skip("no helm binary")
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: web, version: 0.1.0}")
    (tmp_path / "templates" / "map.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: map}\ndata: {text: {{ .Values.text | toJson }}}\n"
    )
    text = "\U0001f6a8 \u03a9"
    (made,) = _by_binary(tmp_path, {"text": text}, "web", "x", False, "", ())
    assert yaml.safe_load(made)["data"] == {"text": text}
