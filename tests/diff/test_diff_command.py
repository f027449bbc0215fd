"""``stowplan diff`` on repositories with real commits: the verdict, its numbers, exit codes, and odd pairs of sides."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import repositories as repos
import yaml

from reports.cli import main
from reports.commands.diff import FORMATS, Wanted, fails, make_difference
from reports.diff.comment import MARKER
from reports.diff.data import SCHEMA_FILE, schema_text

USER_TREE = os.environ.get("STOWPLAN_USER_TREE")


@pytest.fixture
def lowered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose checked-out branch lowers the quota from 4 to 2."""
    repo = repos.repository(tmp_path / "repo")
    monkeypatch.chdir(repo)
    return repo


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of ``stowplan diff``."""
    code = main(["diff", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The JSON report."""
    _, out, _ = run(capsys, *arguments, "--format", "json")
    found: dict[str, Any] = json.loads(out)
    return found


def test_lowered_quota_stops_the_rollout_that_needs_2_7_of_2(lowered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--base", "main", "--format", "comment")
    assert code == 99
    assert out.splitlines()[0] == "**❌ jellyfin's rollout will never finish: htpc needs 2.7 of 2 requests.cpu**"
    assert out.endswith(f"{MARKER}\n")
    assert "~ ResourceQuota htpc/htpc requests.cpu: 4 -> 2  home/quota.yaml:7" in out
    assert "1.7 of 2 at rest \\(85%\\), 2.7 at peak \\(135%\\)" in out
    assert "| 1.7 of 4 at rest, 2.7 at peak \\(67.5%\\) |" in out
    assert "exceeded quota: htpc, requested: requests.cpu=1, used: requests.cpu=1700m, limited: requests.cpu=2" in out


def test_json_has_the_verdict_the_use_and_the_fix(lowered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = report(capsys, "--base", "main")
    jsonschema.validate(found, json.loads(SCHEMA_FILE.read_text()))
    assert found["schema"] == "stowplan/diff/v1"
    assert found["status"] == "fail"
    (stuck,) = [item for item in found["outcomes"] if item["news"] == "new"]
    assert (stuck["kind"], stuck["subject"], stuck["amount"], stuck["share"]) == (
        "stuck",
        "Deployment htpc/jellyfin",
        "2.7 of 2 requests.cpu",
        1.35,
    )
    (use,) = [row for row in found["uses"] if row["quota"]]
    assert (use["hard_before"], use["hard_after"], use["rest_after"], use["peak_after"]) == ("4", "2", "1700m", "2700m")
    assert (use["rest_share"], use["share_after"]) == (0.85, 1.35)
    assert use["at_peak"] == "rollout of Deployment htpc/jellyfin (surge 1)"
    assert found["fix"]["sentence"] == "give quota htpc/htpc requests.cpu 2.7"


def test_suggested_fix_is_green(lowered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    patch = yaml.safe_load(report(capsys, "--base", "main")["fix"]["patch"])
    assert patch["spec"]["hard"] == {"requests.cpu": "2700m"}
    repos.write(lowered, {"home/quota.yaml": repos.QUOTA.format(cpu="2700m")})
    code, out, _ = run(capsys, "--base", "main")
    assert code == 0
    assert out.startswith("PASS: nothing gets worse; the tightest limit is htpc requests.cpu: 1.7 of 2.7 at rest, 2.7")


def test_published_schema_is_the_one_of_the_code() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text()


def test_unstated_init_container_is_refused_at_its_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repos.repository(tmp_path / "repo", repos.UNSTATED))
    found = report(capsys, "--base", "main")
    (refused,) = [item for item in found["outcomes"] if item["news"] == "new" and item["severity"] == "error"]
    assert refused["sentence"] == "sonarr is refused at its next restart, and its rollout never finishes"
    assert refused["reason"] == "failed quota: htpc: must specify requests.cpu for: fix-permissions"
    (use,) = [row for row in found["uses"] if row["quota"]]
    assert use["rest_after"] == "1700m"  # it runs until it restarts, and is charged
    patched = yaml.safe_load(found["fix"]["patch"])["spec"]["template"]["spec"]["initContainers"]
    assert patched == [{"name": "fix-permissions", "resources": {"requests": {"cpu": "700m"}}}]


def render_comment_of(capsys: pytest.CaptureFixture[str]) -> str:
    """The comment on the work tree against main."""
    return run(capsys, "--base", "main", "--format", "comment")[1]


def test_quota_below_what_runs_refuses_whatever_restarts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repos.repository(tmp_path / "repo", {"home/quota.yaml": repos.QUOTA.format(cpu="1500m")}))
    found = report(capsys, "--base", "main")
    sentences = [(item["sentence"], item["amount"]) for item in found["outcomes"] if item["news"] == "new"]
    assert sentences[0] == ("jellyfin's rollout will never finish", "2.7 of 1.5 requests.cpu")
    assert sentences[1:] == [
        ("sonarr's rollout will never finish", "1.7 of 1.5 requests.cpu"),
        ("jellyfin is refused at its next restart", "1.7 of 1.5 requests.cpu"),
        ("sonarr is refused at its next restart", "1.7 of 1.5 requests.cpu"),
        ("whatever restarts in htpc is refused", "1.7 of 1.5 requests.cpu"),
    ]
    assert "| ❌ | **jellyfin and sonarr are refused at their next restart** |" in render_comment_of(capsys)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (repos.LOWERED, {"new-error": 99, "new-warning": 99, "error": 99, "warning": 99, "any": 99, "never": 0}),
        (
            {"home/jellyfin.yaml": repos.JELLYFIN.replace("10.9.1", "10.9.2")},
            {"new-error": 0, "new-warning": 0, "error": 0, "any": 99, "never": 0},
        ),
        ({"README.md": "other words\n"}, {"new-error": 0, "new-warning": 0, "error": 0, "any": 0, "never": 0}),
    ],
    ids=["lowered", "image", "readme"],
)
def test_fail_on_decides_the_exit_code(
    change: dict[str, str],
    code: dict[str, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(repos.repository(tmp_path / "repo", change))
    difference = make_difference(Wanted("main", None))
    assert {word: 99 if fails(difference, word) else 0 for word in code} == code
    assert run(capsys, "--base", "main", "--fail-on", "any")[0] == code["any"]
    assert run(capsys, "--base", "main", "--fail-on", "any", "--report-only")[0] == 0


def test_error_that_was_there_before_fails_error_and_not_new_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = repos.repository(tmp_path / "repo")
    monkeypatch.chdir(repo)
    repos.commit(repo, {"home/jellyfin.yaml": repos.JELLYFIN.replace("10.9.1", "10.9.2")}, "another image")
    assert run(capsys, "--base", "cut~1", "--fail-on", "new-error")[0] == 0
    assert run(capsys, "--base", "cut~1", "--fail-on", "error")[0] == 99
    found = report(capsys, "--base", "cut~1")
    assert [item["news"] for item in found["outcomes"] if item["kind"] == "stuck"] == ["open"]
    (image,) = found["changes"]
    assert (image["what"], image["field"], image["before"], image["after"], image["rolls"]) == (
        "image",
        "container jellyfin image",
        "jellyfin/jellyfin:10.9.1",
        "jellyfin/jellyfin:10.9.2",
        True,
    )


# --- pairs of sides ---------------------------------------------------------------------------------------------------


def test_identical_sides_are_no_change_and_byte_identical_wherever_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = set()
    for place in ("one", "a/longer/place"):
        repo = repos.repository(tmp_path / place, {"README.md": "other words\n"})
        monkeypatch.chdir(repo)
        for _ in range(2):
            code, out, _ = run(capsys, "--base", "main", "--head", "cut", "--format", "comment")
            assert code == 0
            outputs.add(out)
    (comment,) = outputs
    assert comment.splitlines()[0] == "**✅ no change: both sides render to the same objects**"
    assert str(tmp_path) not in comment


def test_every_format_is_the_same_everywhere_and_free_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: dict[str, set[str]] = {form: set() for form in FORMATS}
    for place in ("one", "elsewhere/two"):
        monkeypatch.chdir(repos.repository(tmp_path / place))
        difference = make_difference(Wanted("main", "cut"))
        for form, render in FORMATS.items():
            texts[form].add(render(difference))
    for form, found in texts.items():
        (text,) = found
        assert str(tmp_path) not in text, form
        assert f"{tempfile.gettempdir()}/stowplan-" not in text, form


def test_tree_that_moved_without_a_change_is_no_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = repos.repository(tmp_path / "repo")
    repos.git(repo, "checkout", "-q", "-b", "moved", "main")
    repos.git(repo, "mv", "home", "cluster")
    repos.git(repo, "commit", "-q", "-m", "move")
    monkeypatch.chdir(repo)
    code, out, _ = run(capsys, "--base", "main", "--fail-on", "any")
    assert (code, out.splitlines()[0]) == (0, "SAME: no change: both sides render to the same objects")


def test_folders_are_compared_without_any_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repos.write(tmp_path / "old", repos.FILES)
    repos.write(tmp_path / "new", {**repos.FILES, **repos.LOWERED})
    code, out, _ = run(capsys, "--base", str(tmp_path / "old"), "--head", str(tmp_path / "new"), "home")
    assert code == 99
    assert "htpc needs 2.7 of 2 requests.cpu" in out
    assert str(tmp_path) not in out
    assert "stowplan diff --base BASE --head HEAD home" in out


def test_rendered_files_are_sides_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    for name, cpu in (("old.yaml", 4), ("new.yaml", 2)):
        parts = [repos.NAMESPACE, repos.QUOTA.format(cpu=cpu), repos.JELLYFIN]
        named = [part.replace("  name: ", "  namespace: htpc\n  name: ", 1) for part in parts[1:]]
        (tmp_path / name).write_text("---\n".join([parts[0], *named]))
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, "--base", "./old.yaml", "--head", "./new.yaml")
    assert code == 0
    assert "ResourceQuota htpc/htpc requests.cpu: 4 -> 2  new.yaml:13" in out


def test_branch_of_the_name_of_a_folder_is_the_branch_and_dot_slash_is_the_folder(
    lowered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repos.git(lowered, "branch", "home", "main")
    assert run(capsys, "--base", "home")[0] == 99
    found = report(capsys, "--base", "./home", "--head", "./home")
    assert found["base"]["commit"] == ""
    assert found["status"] == "same"


def test_work_tree_is_the_head_by_default_with_what_is_not_committed(
    lowered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repos.write(lowered, {"home/quota.yaml": repos.QUOTA.format(cpu="2500m")})
    assert "htpc needs 2.7 of 2.5 requests.cpu" in run(capsys, "--base", "main")[1]
    assert report(capsys)["changes"][0]["before"] == "2"


def test_head_that_is_behind_is_compared_from_the_common_ancestor(
    lowered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repos.git(lowered, "checkout", "-q", "main")
    repos.commit(lowered, {"home/jellyfin.yaml": repos.JELLYFIN.replace("10.9.1", "11")}, "main goes on")
    found = report(capsys, "--base", "main", "--head", "cut")
    assert [row["what"] for row in found["changes"]] == ["quota"]
    assert "the newest common ancestor with main" in found["notes"][0]
    exact = report(capsys, "--base", "main", "--head", "cut", "--exact")
    assert [row["what"] for row in exact["changes"]] == ["quota", "image"]


def test_sub_folder_compares_its_own_trees(
    lowered: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(lowered / "home")
    assert report(capsys, "--base", "main", ".")["command"].endswith("--exact home")


def test_tree_that_is_new_is_all_new_and_one_that_is_gone_all_gone(
    lowered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extra = {name.replace("home/", "other/"): text.replace("htpc", "other") for name, text in repos.FILES.items()}
    repos.commit(lowered, {name: text for name, text in extra.items() if name.startswith("other/")}, "another tree")
    new = report(capsys, "--base", "main", "other")
    assert new["base"]["absent"]
    assert {row["mark"] for row in new["changes"]} == {"+"}
    assert [row["after"] for row in new["changes"] if row["what"] == "workload"] == [
        "1 × cpu=1, memory=1Gi",
        "1 × cpu=700m, memory=512Mi",
    ]
    gone = report(capsys, "--base", "HEAD", "--head", "main", "--exact", "other")
    assert gone["head"]["absent"]
    assert {row["mark"] for row in gone["changes"]} == {"-"}


def test_staging_and_production_are_platforms_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    overlay = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../../home]\n"
    operation = '[{"op": "replace", "path": "/spec/hard/requests.cpu", "value": "2"}]'
    patch = f"patches: [{{patch: '{operation}', target: {{kind: ResourceQuota}}}}]\n"
    repo = repos.repository(tmp_path / "repo", {})
    repos.git(repo, "checkout", "-q", "main")
    overlays = {f"overlays/{name}/kustomization.yaml": overlay for name in ("production", "staging")}
    repos.commit(repo, overlays, "overlays")
    repos.commit(repo, {"overlays/staging/kustomization.yaml": overlay + patch}, "a small staging")
    monkeypatch.chdir(repo)
    found = report(capsys, "--base", "HEAD~1")
    assert found["platforms"] == ["overlays/staging"]
    assert [row["subject"] for row in found["changes"]] == ["ResourceQuota htpc/htpc"]
    assert found["headline"] == (
        "jellyfin's rollout will never finish: htpc needs 2.7 of 2 requests.cpu (overlays/staging)"
    )
    both = report(capsys, "--base", "HEAD~2")
    assert {item["platform"] for item in both["outcomes"]} >= {"overlays/staging"}


# --- what cannot be read ----------------------------------------------------------------------------------------------


def test_head_that_cannot_be_rendered_is_a_verdict_and_exit_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = {"home/kustomization.yaml": repos.KUSTOMIZATION.replace("jellyfin.yaml", "jelyfin.yaml")}
    monkeypatch.chdir(repos.repository(tmp_path / "repo", broken))
    code, out, _ = run(capsys, "--base", "main", "--head", "cut", "--format", "comment", "-o", "out")
    assert code == 3
    assert out.splitlines()[0].startswith("**❌ The head cannot be rendered: home/kustomization.yaml:")
    assert "jelyfin.yaml" in out
    assert str(tmp_path) not in out
    assert "stowplan-" not in out
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "comment.md",
        "report.html",
        "report.json",
        "report.junit.xml",
        "report.md",
    ]
    assert run(capsys, "--base", "main", "--report-only")[0] == 3


def test_quota_with_a_bad_quantity_is_a_verdict_with_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repos.repository(tmp_path / "repo", {"home/quota.yaml": repos.QUOTA.format(cpu="two")}))
    code, out, _ = run(capsys, "--base", "main", "--format", "comment")
    assert code == 3
    assert "home/quota.yaml" in out.splitlines()[0]
    assert "two" in out.splitlines()[0]


def test_base_that_cannot_be_rendered_leaves_the_verdict_on_the_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = repos.repository(tmp_path / "repo", {"home/quota.yaml": "kind: [\n"})
    repos.commit(repo, {"home/quota.yaml": repos.QUOTA.format(cpu=4)}, "mend it")
    monkeypatch.chdir(repo)
    code, out, _ = run(capsys, "--base", "cut~1")
    assert code == 0
    assert out.startswith("WARN: The base cannot be rendered: home/quota.yaml:")
    assert "nothing is wrong with the head" in out
    repos.commit(repo, {"home/quota.yaml": repos.QUOTA.format(cpu=2)}, "mend it badly")
    code, out, _ = run(capsys, "--base", "cut~2")
    assert code == 99
    assert out.splitlines()[0].endswith("htpc needs 2.7 of 2 requests.cpu (the base could not be rendered)")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--base", "mian"], "did you mean main?"),
        (["--base", "./nowhere"], "--base ./nowhere: there is no such file or folder"),
        (["--base", "main", "nothere"], "neither side has nothere"),
        (["--base", "main", "../outside"], "outside of the repository"),
        (["--base", "main", "--nodes", "3xnothing"], "nothing"),
        (["--base", "main", "--scenario", "nothere.yaml"], "nothere.yaml"),
    ],
)
def test_wrong_question_is_exit_2_with_the_way_out(
    arguments: list[str], message: str, lowered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_outside_of_a_repository_the_way_out_is_two_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "--base", "main")
    assert code == 2
    assert "not inside a git work tree" in err
    assert "--base ./OLD --head ./NEW" in err


# --- real platforms ---------------------------------------------------------------------------------------------------


def test_reference_platform_with_a_lower_quota_takes_less_than_five_seconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for side in ("old", "new"):
        shutil.copytree(repos.ROOT / "scenarios" / "homelab", tmp_path / side)
    file = tmp_path / "new/base/htpc/policy/quota.yaml"
    file.write_text(re.sub(r"requests\.cpu: .*", "requests.cpu: 100m", file.read_text()))
    start = time.process_time()
    code, out, _ = run(
        capsys,
        *("--base", str(tmp_path / "old"), "--head", str(tmp_path / "new"), "overlays/production"),
        *("--nodes", "3xm920q:server"),
    )
    assert time.process_time() - start < 5
    assert code == 99
    assert out.startswith("FAIL: ")
    assert "whatever restarts in htpc is refused" in out
    assert " of 0.1 requests.cpu" in out.splitlines()[0]


@pytest.mark.skipif(not USER_TREE, reason="STOWPLAN_USER_TREE does not name a tree")
def test_user_tree_with_a_quota_of_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(USER_TREE or ".", tmp_path / "new")
    overlay = tmp_path / "new/overlays/htpc"
    (overlay / "quota.yaml").write_text(repos.QUOTA.format(cpu=2).replace("  name", "  namespace: htpc\n  name"))
    kustomization = overlay / "kustomization.yaml"
    kustomization.write_text(kustomization.read_text().replace("resources:\n", "resources:\n  - quota.yaml\n", 1))
    start = time.process_time()
    found = report(capsys, "--base", str(USER_TREE), "--head", str(tmp_path / "new"), "overlays/htpc")
    assert time.process_time() - start < 5
    assert found["headline"] == (
        "jellyfin's rollout will never finish: htpc needs 2.7 of 2 requests.cpu; "
        "4 workloads are refused at their next restart"
    )
    (use,) = [row for row in found["uses"] if row["quota"]]
    assert (use["rest_after"], use["rest_share"]) == ("1700m", 0.85)
    refused = {item["name"]: item["reason"] for item in found["outcomes"] if item["kind"] == "refused"}
    assert refused == dict.fromkeys(
        ("autobrr", "qbittorrent", "radarr", "sonarr"),
        "failed quota: htpc: must specify requests.cpu for: fix-permissions",
    )


def test_modelled_chart_is_not_called_unseen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for side, replicas in (("old", 1), ("new", 2)):
        (tmp_path / side).mkdir()
        (tmp_path / side / "kustomization.yaml").write_text(
            "helmCharts:\n- name: metrics-server\n  repo: https://kubernetes-sigs.github.io/metrics-server/\n"
            f"  version: 3.12.2\n  valuesInline: {{replicas: {replicas}}}\n"
            "- {name: nobody-knows-it, repo: https://charts.example.org, version: 1.0.0}\n"
        )
    _, out, _ = run(capsys, "--base", str(tmp_path / "old"), "--head", str(tmp_path / "new"), "--format", "text")
    assert "both sides, modelled: chart metrics-server 3.12.2" in out
    assert "both sides, not seen: chart nobody-knows-it 1.0.0" in out
