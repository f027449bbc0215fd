"""The GitHub Action and the GitLab job, their own scripts run by bash against repositories with real commits."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import repositories as repos
import yaml
from servers import BOT, Forge, forge

from reports.diff.comment import MARKER

ACTION = yaml.safe_load((repos.ROOT / "action.yml").read_text(encoding="utf-8"))
GITLAB = yaml.safe_load((repos.ROOT / "reports" / "ci" / "gitlab.yml").read_text(encoding="utf-8"))
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}
TOKEN = "s3cret-token"
VERDICT = "**❌ jellyfin's rollout will never finish: htpc needs 2.7 of 2 requests.cpu**"

pytestmark = [
    pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]


@pytest.fixture
def github() -> Iterator[Forge]:
    """A server that answers as api.github.com does for comments."""
    with forge() as server:
        yield server


class Runner:
    """A checkout, the folders and files that GitHub gives a job, and stowplan where the action installs it."""

    def __init__(self, folder: Path, checkout: Path, server: Forge) -> None:
        self.folder, self.checkout, self.server = folder, checkout, server
        self.output, self.summary = folder / "output", folder / "summary"
        for file in (self.output, self.summary):
            file.touch()
        binaries = folder / "temp" / "stowplan" / "bin"
        binaries.mkdir(parents=True)
        for name, words in (("stowplan", "-m stowplan"), ("python", "")):
            script = binaries / name
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
            script.chmod(0o755)

    def step(self, name: str, **values: str) -> subprocess.CompletedProcess[str]:
        """Run one step's script as GitHub does (bash -e, pipefail), its ``env`` being ``values``."""
        step = STEPS[name]
        assert set(values) == set(step["env"]), "the test must give exactly what the step declares"
        script = self.folder / "step.sh"
        script.write_text(step["run"])
        own = {key: value for key, value in os.environ.items() if not key.startswith(("GITHUB_", "RUNNER_"))}
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.checkout,
            capture_output=True,
            text=True,
            check=False,
            env={
                **own,
                "PYTHONPATH": str(repos.ROOT),
                "RUNNER_TEMP": str(self.folder / "temp"),
                "GITHUB_OUTPUT": str(self.output),
                "GITHUB_STEP_SUMMARY": str(self.summary),
                "GITHUB_API_URL": self.server.url,
                "GITHUB_REPOSITORY": "ada/platform",
                **values,
            },
        )

    def compare(self, **values: str) -> dict[str, str]:
        """Run the comparison; returns the outputs."""
        defaults = {"FOLDER": ".", "BASE": "main", "HEAD": "HEAD", "TREES": "", "NODES": "", "SCENARIO": ""}
        done = self.step(
            "Compare", **{**defaults, "SIMULATE": "", "FAIL_ON": "new-error", "REPORT_ONLY": "false", **values}
        )
        assert done.returncode == 0, done.stderr
        return self.outputs()

    def pretend(self) -> None:
        """As if the comparison had run: for steps that only look at its comment."""
        file = self.folder / "comment.md"
        file.write_text(f"{VERDICT}\n\n{MARKER}\n")
        self.output.write_text(f"exit-code=99\ncomment-file={file}\n")

    def comment(self, **values: str) -> subprocess.CompletedProcess[str]:
        """Run the step that writes the comment."""
        file = self.outputs().get("comment-file", "")
        return self.step(
            "Comment", **{"WANTED": "true", "AUTHOR": BOT, "FILE": file, "NUMBER": "7", "TOKEN": TOKEN, **values}
        )

    def outputs(self) -> dict[str, str]:
        """What the steps have written to GITHUB_OUTPUT."""
        lines = self.output.read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def runner(tmp_path: Path, github: Forge) -> Runner:
    """A runner on a branch that lowers the quota."""
    (tmp_path / "job").mkdir()
    return Runner(tmp_path / "job", repos.repository(tmp_path / "repo"), github)


def test_expressions_stand_only_where_they_cannot_become_script() -> None:
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
        rest = {key: value for key, value in step.items() if key not in ("env", "with")}
        assert "${{" not in json.dumps(rest), step["name"]
    declared = {*ACTION["inputs"], *ACTION["outputs"]}
    used = set(re.findall(r"inputs\.([a-z-]+)", json.dumps(ACTION)))
    assert used == set(ACTION["inputs"])
    assert declared >= {"base", "head", "verdict", "exit-code", "comment-file", "json-file"}


def test_outputs_have_the_verdict_the_code_and_the_files(runner: Runner) -> None:
    outputs = runner.compare()
    assert outputs["verdict"] == VERDICT
    assert (outputs["status"], outputs["exit-code"]) == ("fail", "99")
    assert Path(outputs["comment-file"]).read_text().startswith(VERDICT)
    assert json.loads(Path(outputs["json-file"]).read_text())["status"] == "fail"
    summary = runner.summary.read_text()
    assert summary.startswith(VERDICT)
    assert MARKER not in summary
    assert runner.step("Verdict", CODE=outputs["exit-code"]).returncode == 99


def test_comment_is_written_once_and_then_updated_in_place(runner: Runner, github: Forge) -> None:
    runner.compare()
    github.add("looks good to me", "ada")
    assert "comment written" in runner.comment().stdout
    assert github.bodies()[0] == "looks good to me"
    assert github.bodies()[1].startswith(VERDICT)
    repos.commit(runner.checkout, {"home/quota.yaml": repos.QUOTA.format(cpu=3)}, "mend it")
    outputs = runner.compare()
    assert outputs["exit-code"] == "0"
    assert "comment written" in runner.comment().stdout
    assert len(github.comments) == 2
    assert github.bodies()[1].startswith("**✅ nothing gets worse")
    assert [item for item in github.requests if item[0] != "GET"] == [
        ("POST", "/repos/ada/platform/issues/7/comments"),
        ("PATCH", "/repos/ada/platform/issues/comments/1001"),
    ]
    assert github.tokens == {f"Bearer {TOKEN}"}


def test_comment_is_found_on_the_second_page_and_never_a_stranger_s(runner: Runner, github: Forge) -> None:
    runner.pretend()
    for number in range(120):
        github.add(f"comment {number}", "ada")
    github.add(f"mine now\n{MARKER}", "mallory")
    github.add(f"the marker {MARKER} in the middle\nof a quote", BOT)
    ours = github.add(f"old\n\n{MARKER}\n")
    assert "comment written" in runner.comment().stdout
    assert len(github.comments) == 123
    changed = [item["id"] for item in github.comments if item["body"].startswith(VERDICT)]
    assert changed == [ours]


def test_fork_with_a_read_only_token_is_told_where_the_report_is(runner: Runner, github: Forge) -> None:
    github.read_only = True
    runner.pretend()
    done = runner.comment()
    assert done.returncode == 0
    assert "::notice title=stowplan::The token may not write comments (HTTP 403)" in done.stdout
    assert github.comments == []


@pytest.mark.parametrize("status", [401, 500])
def test_server_that_refuses_does_not_fail_the_job(status: int, runner: Runner, github: Forge) -> None:
    github.refuse_reading = status
    runner.pretend()
    done = runner.comment()
    assert done.returncode == 0
    assert f"(HTTP {status})" in done.stdout


def test_no_comment_without_a_pull_request_or_when_not_wanted(runner: Runner, github: Forge) -> None:
    runner.pretend()
    assert runner.comment(NUMBER="").returncode == 0
    assert runner.comment(WANTED="false").returncode == 0
    assert github.requests == []


def test_token_is_in_no_output_and_on_no_command_line(runner: Runner) -> None:
    runner.compare()
    done = runner.comment()
    assert TOKEN not in done.stdout + done.stderr + runner.output.read_text() + runner.summary.read_text()
    assert not re.search(r'curl[^|]*"\$TOKEN"', STEPS["Comment"]["run"])


def test_broken_head_writes_the_comment_and_fails_with_3(runner: Runner, github: Forge) -> None:
    repos.commit(runner.checkout, {"home/jellyfin.yaml": "kind: [\n"}, "break it")
    outputs = runner.compare()
    assert (outputs["status"], outputs["exit-code"]) == ("error", "3")
    runner.comment()
    assert github.bodies()[0].startswith("**❌ The head cannot be rendered: home/jellyfin.yaml:")


def test_unknown_base_is_told_in_the_summary_and_fails_with_2(runner: Runner, github: Forge) -> None:
    outputs = runner.compare(BASE="mian")
    assert outputs["exit-code"] == "2"
    assert "comment-file" not in outputs
    assert "did you mean main?" in runner.summary.read_text()
    assert runner.comment().returncode == 0
    assert github.requests == []


def test_lists_one_per_line_and_nothing_of_them_is_run(runner: Runner) -> None:
    marker = runner.folder / "owned"
    outputs = runner.compare(NODES="2xm920q:server\n1xm720q\n", TREES="home\n", REPORT_ONLY="true")
    assert outputs["exit-code"] == "0"
    assert outputs["verdict"].startswith("**❌")
    evil = runner.compare(TREES=f'$(touch {marker})\n"; touch {marker}; "\n--help')
    assert evil["exit-code"] == "2"
    assert not marker.exists()


def test_install_puts_the_action_s_own_checkout_into_an_environment_of_its_own(runner: Runner, tmp_path: Path) -> None:
    log = tmp_path / "log"
    fake = tmp_path / "python"
    fake.write_text(
        f'#!/bin/sh\necho "$@" >>{log}\nif [ "$2" = venv ]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; fi\n'
    )
    fake.chmod(0o755)
    done = runner.step("Install stowplan", PYTHON=str(fake), SOURCE="/actions/stowplan")
    assert done.returncode == 0, done.stderr
    assert log.read_text().splitlines() == [
        f"-m venv {runner.folder}/temp/stowplan",
        "-m pip install --quiet --disable-pip-version-check /actions/stowplan",
    ]


# --- GitLab -----------------------------------------------------------------------------------------------------------


def run_gitlab(folder: Path, checkout: Path, server: Forge, **values: str) -> subprocess.CompletedProcess[str]:
    """The job's script as GitLab runs it: one bash for all its lines."""
    job: dict[str, Any] = GITLAB["stowplan"]
    binaries = checkout / ".stowplan" / "bin"
    if not binaries.exists():
        binaries.mkdir(parents=True)
        for name, words in (("stowplan", "-m stowplan"), ("python", "")):
            (binaries / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
            (binaries / name).chmod(0o755)
    (folder / "job.sh").write_text("set -eo pipefail\n" + "\n".join(job["script"]))
    return subprocess.run(
        ["bash", str(folder / "job.sh")],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": str(repos.ROOT),
            "CI_MERGE_REQUEST_DIFF_BASE_SHA": repos.git(checkout, "rev-parse", "main"),
            "CI_COMMIT_SHA": repos.git(checkout, "rev-parse", "HEAD"),
            "CI_API_V4_URL": server.url,
            "CI_PROJECT_ID": "5",
            "CI_MERGE_REQUEST_IID": "7",
            "STOWPLAN_OPTIONS": "--nodes 3xm920q:server home",
            **values,
        },
    )


def test_gitlab_job_writes_one_note_and_updates_it(tmp_path: Path, github: Forge) -> None:
    checkout = repos.repository(tmp_path / "repo")
    github.add(f"a stranger's\n{MARKER}", "mallory")
    assert run_gitlab(tmp_path, checkout, github, STOWPLAN_TOKEN=TOKEN).returncode == 99
    second = run_gitlab(tmp_path, checkout, github, STOWPLAN_TOKEN=TOKEN)
    assert second.returncode == 99
    assert [body.splitlines()[0] for body in github.bodies()] == ["a stranger's", VERDICT]
    notes = "/projects/5/merge_requests/7/notes"
    assert [item for item in github.requests if item[0] != "GET"] == [("POST", notes), ("PUT", f"{notes}/1001")]
    assert (checkout / GITLAB["stowplan"]["artifacts"]["reports"]["junit"]).is_file()


def test_gitlab_job_without_a_token_leaves_the_artifacts(tmp_path: Path, github: Forge) -> None:
    checkout = repos.repository(tmp_path / "repo")
    done = run_gitlab(tmp_path, checkout, github)
    assert done.returncode == 99
    assert github.requests == []
    assert (checkout / "stowplan-report" / "comment.md").read_text().startswith(VERDICT)
    assert GITLAB["stowplan"]["variables"]["GIT_DEPTH"] == "0"
