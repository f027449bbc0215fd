"""The command: text, JSON and its schema, accepted findings, exit codes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from check_cases import clean, put, text_of

from models.errors import InputError
from models.findings import Severity
from reports.cli import EXIT_INPUT, EXIT_THRESHOLD, main
from reports.commands.check import SCHEMA_FILE
from sim.accepted import read_accepted
from sim.checks import all_checks, codes

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """The small platform with a quota that is too small and a probe that is too patient."""
    tree = clean()
    put(tree, "ResourceQuota/bank", "spec", "hard", value={"requests.cpu": "500m"})
    first = tree["Deployment/web"]["spec"]["template"]["spec"]["containers"][0]
    first["readinessProbe"]["timeoutSeconds"] = 30
    (tmp_path / "all.yaml").write_text(text_of(tree), encoding="utf-8")
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    try:
        code = main(["check", *arguments])
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    return code, capsys.readouterr().out


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(run(capsys, *arguments, "--json")[1])
    jsonschema.validate(content, json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
    return content


def test_json_follows_its_schema_and_counts_what_it_lists(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = as_json(capsys, str(broken), "--nodes", "3xm920q:server")
    assert content["counts"] == {"error": 3, "warning": 0, "info": 1}
    assert [item["code"] for item in content["findings"]] == ["QUOTA-EXCEEDED"] * 3 + ["PROBE-TIMEOUT"]
    ledger = next(item for item in content["findings"] if item["subject"] == "Deployment bank/ledger")
    lines = (broken / "all.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[ledger["line"] - 1].strip() == "containers:"
    assert yaml.safe_load(ledger["patch"])["spec"] == {"hard": {"requests.cpu": "600m"}}
    assert content["hardware_known"] is True


def test_schema_itself_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))


def test_errors_fail_the_command_with_99_and_a_report_never_does(
    broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, str(broken))[0] == EXIT_THRESHOLD
    assert run(capsys, str(broken), "--report-only")[0] == 0
    assert run(capsys, str(broken), "--fail-on", "never")[0] == 0
    assert run(capsys, str(broken), "--only", "PROBE-TIMEOUT")[0] == 0
    assert run(capsys, str(broken), "--only", "PROBE-TIMEOUT", "--fail-on", "info")[0] == EXIT_THRESHOLD


def test_text_says_severity_code_place_evidence_way_out_and_patch(
    broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, text = run(capsys, str(broken), "--only", "PROBE-TIMEOUT", "--report-only")
    assert text.splitlines()[0].startswith("INFO    PROBE-TIMEOUT: The readiness probe of web in Deployment shop/web")
    assert "        at all.yaml:" in text
    assert "        3 failures are noticed after 90 s instead of 15 s" in text
    assert "        way out: make the timeout at most the period" in text
    assert "                      timeoutSeconds: 5" in text
    assert "0 errors, 0 warnings, 1 info" in text
    assert "no hardware was named (--nodes or --scenario): nothing was checked about nodes" in text


def test_accepted_findings_are_listed_apart_with_their_reason(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = [
        {"code": "QUOTA-EXCEEDED", "subject": "* bank/*", "reason": "it grows next week"},
        {"code": "PROBE-TIMEOUT", "subject": "Deployment shop/web", "reason": "slow disk", "until": "2020-01-31"},
        {"code": "NO-READINESS", "subject": "Deployment shop/files", "reason": "mended since"},
        {"code": "NO-READINESS", "subject": "Deployment elsewhere/app", "reason": "in another tree"},
    ]
    (broken / "stowplan-accepted.yaml").write_text(yaml.safe_dump({"accepted": entries}), encoding="utf-8")
    content = as_json(capsys, str(broken))
    assert {item["reason"] for item in content["accepted"]} == {"it grows next week"}
    assert len(content["accepted"]) == 3
    stale = [item["title"] for item in content["findings"] if item["code"] == "ACCEPTED-STALE"]
    assert stale == [
        "The acceptance of NO-READINESS for Deployment shop/files covers nothing any more",
        "The acceptance of PROBE-TIMEOUT for Deployment shop/web ended on 2020-01-31",
    ]
    assert "PROBE-TIMEOUT" in {item["code"] for item in content["findings"]}


def test_acceptance_of_an_unknown_code_or_without_reason_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "stowplan-accepted.yaml"
    file.write_text("accepted: [{code: CLAIM-PINED, reason: x}]", encoding="utf-8")
    with pytest.raises(InputError, match="no rule has the code 'CLAIM-PINED'"):
        read_accepted(file, codes())
    file.write_text("accepted: [{code: CLAIM-PINNED}]", encoding="utf-8")
    with pytest.raises(InputError, match=r"accepted\.0\.reason"):
        read_accepted(file, codes())


def test_unknown_code_after_only_is_wrong_usage(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, str(broken), "--only", "NO-SUCH-RULE")[0] == EXIT_INPUT


def test_rules_lists_every_code_with_severity_and_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    _, text = run(capsys, "--rules")
    assert len(text.splitlines()) == len(codes())
    assert "QUOTA-UNSPECIFIED" in text
    rows = json.loads(run(capsys, "--rules", "--json")[1])
    listed = {row["code"]: row for row in rows}
    assert set(listed) == set(codes())
    for check in all_checks():
        assert listed[check.code]["severity"] == str(check.severity)
        assert listed[check.code]["hardware"] is check.needs_hardware


@pytest.mark.parametrize("scenario", ["node-loss", "staging"])
def test_reference_platform_has_no_finding_that_is_not_accepted(
    scenario: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = as_json(capsys, "--scenario", str(ROOT / "scenarios" / f"{scenario}.yaml"))
    assert content["findings"] == []
    assert all(item["reason"] for item in content["accepted"])
    assert not any(item["severity"] == str(Severity.ERROR) for item in content["accepted"])


@pytest.mark.parametrize("part", ["htpc", "infra", "utils"])
def test_a_part_of_the_reference_platform_alone_raises_no_error(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    tree = ROOT / "scenarios" / "homelab" / "overlays" / "production" / part
    content = as_json(capsys, str(tree), "--nodes", "3xm920q:server")
    assert [item["title"] for item in content["findings"] if item["severity"] == "error"] == []


@pytest.mark.skipif(not os.environ.get("STOWPLAN_USER_TREE"), reason="STOWPLAN_USER_TREE does not name a tree")
def test_users_tree_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    content = as_json(capsys, os.environ["STOWPLAN_USER_TREE"], "--nodes", "m920q:server")
    assert {"SNAPSHOTCLASS-IS-STORAGECLASS", "BACKUP-NO-TARGET"} <= {item["code"] for item in content["findings"]}
