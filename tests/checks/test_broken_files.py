"""A file that cannot be read is an error by name and line, and no command takes the rest for the whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from check_cases import clean, text_of

from reports.cli import EXIT_RENDER, EXIT_THRESHOLD, main

BROKEN = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b\n"
REASON = "malformed YAML: did not find expected ',' or '}'"
SCENARIO = """
apiVersion: stowplan/v1
kind: Scenario
metadata: {name: broken}
spec:
  trees: [{path: tree}]
  cluster: {nodes: [{name: node, machine: m920q, role: server}]}
  run: {length: 1m, replications: 1}
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small platform in a plain folder, and beside it a file that nobody can read."""
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "all.yaml").write_text(text_of(clean()), encoding="utf-8")
    (folder / "broken.yaml").write_text(BROKEN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return folder


def test_check_calls_a_malformed_manifest_an_error_with_its_line_and_exits_with_99(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "tree"]) == EXIT_THRESHOLD
    text = capsys.readouterr().out
    assert text.splitlines()[0] == (
        "ERROR   FILE-BROKEN: broken.yaml cannot be read: whatever it declares is neither applied nor checked here"
    )
    assert "        at broken.yaml:4\n" in text
    assert REASON in text
    assert "1 error, 0 warnings, 0 info" in text


def test_a_malformed_manifest_can_be_accepted_by_name(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    accepted = "accepted: [{code: FILE-BROKEN, subject: File broken.yaml, reason: a template of another tool}]\n"
    (tree.parent / "accepted.yaml").write_text(accepted, encoding="utf-8")
    assert main(["check", "tree", "--accepted", "accepted.yaml"]) == 0
    assert "0 errors, 0 warnings, 0 info; 1 accepted" in capsys.readouterr().out


def test_a_kustomize_root_that_cannot_be_built_beside_one_that_can_is_an_error(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, resource in (("one", "../all.yaml"), ("two", "../broken.yaml")):
        (tree / name).mkdir()
        (tree / name / "kustomization.yaml").write_text(f"resources: [{resource}]\n", encoding="utf-8")
    assert main(["check", "tree", "--only", "FILE-BROKEN", "--json", "--root", "tree"]) == EXIT_THRESHOLD
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["subject"], finding["file"], finding["severity"]) == ("File two", "broken.yaml", "error")


def test_place_and_quota_name_a_malformed_manifest_as_not_seen(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["place", "tree", "--nodes", "m920q:server"]) == 0
    text = capsys.readouterr().out
    assert "1 file or plugin was not read." in text
    assert "  file broken.yaml (broken.yaml:4)" in text
    assert main(["quota", "tree"]) == 0
    text = capsys.readouterr().out
    assert "1 thing of this tree could not be seen, 0 were modelled (stowplan render)\n" in text
    assert "  not seen: file broken.yaml (broken.yaml:4)" in text
    assert main(["render", "tree", "--require-complete"]) == EXIT_RENDER


def test_run_finds_a_malformed_manifest_and_does_not_pass(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree.parent / "scenario.yaml").write_text(SCENARIO, encoding="utf-8")
    main(["run", "scenario.yaml", "-o", "out", "-n", "1"])
    capsys.readouterr()
    report = json.loads((tree.parent / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["verdict"]["status"] != "pass"
    assert [item["code"] for item in report["findings"]].count("FILE-BROKEN") == 1
    assert "NOT-SEEN" not in {item["code"] for item in report["findings"]}
    assert "This is a partial view: 1 charts, files or plugins could not be had" in json.dumps(report["verdict"])


def test_diff_fails_for_a_manifest_that_the_head_breaks(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree.parent / "before"
    before.mkdir()
    (before / "all.yaml").write_text(text_of(clean()), encoding="utf-8")
    assert main(["diff", "--base", "./before", "--head", "./tree"]) == EXIT_THRESHOLD
    assert "broken.yaml cannot be read" in capsys.readouterr().out
