"""``stowplan quota`` on whole trees: the reference platform, a small tree, the user's own, and bad input."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.platform import read_platform
from models.render import render_tree
from reports.cli import main

ROOT = Path(__file__).parents[2]
HOMELAB = ROOT / "scenarios" / "homelab" / "overlays" / "production"
USER_TREE = os.environ.get("STOWPLAN_USER_TREE")

APP = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: home}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      initContainers: [{name: prepare, image: "busybox:1"}]
      containers: [{name: web, image: "nginx:1", resources: {requests: {cpu: 300m, memory: 100Mi}}}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: dump, namespace: home}
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: dump, image: "postgres:17", resources: {requests: {cpu: 1, memory: 64Mi}}}]
"""
OTHER = (
    APP.replace("namespace: home", "namespace: work").replace("cpu: 300m", "cpu: 700m")
    + """\
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: team, namespace: work}
spec: {hard: {requests.cpu: 99, count/cronjobs.batch: 9}}
"""
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two namespaces in an overlay, one of them with a quota."""
    base = tmp_path / "tree" / "base"
    base.mkdir(parents=True)
    (tmp_path / "tree" / ".git").mkdir()
    (base / "kustomization.yaml").write_text("resources: [app.yaml, other.yaml]\n", encoding="utf-8")
    (base / "app.yaml").write_text(APP, encoding="utf-8")
    (base / "other.yaml").write_text(OTHER, encoding="utf-8")
    return tmp_path / "tree"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["quota", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


def overlay(tree: Path, component: str = "quotas") -> Path:
    """An overlay of the base with the component."""
    folder = tree / "overlay"
    folder.mkdir(exist_ok=True)
    text = f"resources: [../base]\ncomponents: [../{component}]\n"
    (folder / "kustomization.yaml").write_text(text, encoding="utf-8")
    return folder


def test_the_component_is_green_and_red_with_any_key_one_step_smaller(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, _ = run(capsys, tree / "base", "--suggest", "--margin", "0", "-o", tree / "quotas")
    assert code == 0
    assert "re-checked: nothing is refused as proposed; any key one step smaller refuses something" in said
    assert run(capsys, overlay(tree))[0] == 0
    files = {name: tree / "quotas" / name for name in ("home/resource-quota.yaml", "work/resource-quota-team.yaml")}
    changed = 0
    for path in files.values():
        text = path.read_text(encoding="utf-8")
        for key, amount in yaml.safe_load(text)["spec"]["hard"].items():
            digits = "".join(filter(str.isdigit, amount))
            less = f"{int(digits) - 1}{amount[len(digits) :]}"
            path.write_text(text.replace(f'{key}: "{amount}"', f'{key}: "{less}"'), encoding="utf-8")
            code, said, _ = run(capsys, overlay(tree), "--json")
            assert code == 99, key
            assert [row["key"] for row in json.loads(said)["keys"] if row["verdict"] not in ("fits", "tight")] == [key]
            changed += 1
        path.write_text(text, encoding="utf-8")
    assert changed == 5  # pods, requests.cpu and requests.memory of home; both keys of the present quota of work


def test_every_number_says_what_made_it(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, tree / "base", "--suggest", "-o", tree / "quotas")
    text = (tree / "quotas" / "home" / "resource-quota.yaml").read_text(encoding="utf-8")
    assert "# The largest use of each key plus a margin of 20%." in text
    # Two pods of 300m, and the run of 1 core at 3:00; a fifth on top.
    made = '    requests.cpu: "1920m" # 600m at rest, 1600m with runs at the same time: CronJob home/dump; + 20%\n'
    assert made in text
    made = (
        '    requests.memory: "360Mi" # 200Mi at rest, 300Mi with the rollout of Deployment home/web (surge 1); + 20%\n'
    )
    assert made in text
    limits = (tree / "quotas" / "home" / "limit-range.yaml").read_text(encoding="utf-8")
    assert '        cpu: "10m" # prepare of Deployment home/web states no request\n' in limits


def test_a_present_quota_is_patched_and_not_doubled(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, tree / "base", "--suggest", "--margin", "0", "-o", tree / "quotas")
    platform = read_platform(render_tree(overlay(tree)))
    quotas = {item.name: item.manifest for items in platform.quotas.values() for item in items}
    assert sorted(quotas) == ["home", "team"]
    assert quotas["team"]["metadata"]["namespace"] == "work"
    assert quotas["team"]["spec"]["hard"] == {"count/cronjobs.batch": "1", "requests.cpu": "2400m"}


@pytest.mark.oracle
@pytest.mark.parametrize("tool", ["kubectl", "kustomize"])
def test_the_component_builds_with_the_real_kustomize_to_the_same_objects(
    tree: Path, capsys: pytest.CaptureFixture[str], tool: str
) -> None:
    found = shutil.which(tool) or shutil.which(tool, path=str(Path.home() / "go" / "bin"))
    if found is None:
        pytest.skip(f"{tool} is not on PATH")
    run(capsys, tree / "base", "--suggest", "-o", tree / "quotas")
    folder = overlay(tree)
    command = [found, *(["kustomize"] if tool == "kubectl" else ["build"]), str(folder)]
    built = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    theirs = list(yaml.safe_load_all(built))
    ours = [item.manifest for item in render_tree(folder).objects]

    def order(manifest: dict[str, Any]) -> tuple[str, str]:
        return manifest["kind"], manifest["metadata"]["namespace"]

    kinds = ("ResourceQuota", "LimitRange")
    chosen = sorted((item for item in theirs if item["kind"] in kinds), key=order)
    assert chosen == sorted((item for item in ours if item["kind"] in kinds), key=order)
    assert len(chosen) == 4


def test_each_namespace_has_a_component_of_its_own(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, tree / "base", "--suggest", "-o", tree / "quotas")
    platform = read_platform(render_tree(overlay(tree, "quotas/home")))
    assert {name: [item.name for item in items] for name, items in platform.quotas.items()} == {
        "home": ["home"],
        "work": ["team"],
    }


def test_the_component_is_written_again_over_itself_but_over_nothing_else(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [tree / "base", "--suggest", "-o", tree / "quotas"]
    assert run(capsys, *options)[0] == 0
    assert run(capsys, *options)[0] == 0
    code, _, said = run(capsys, tree / "base", "--suggest", "-o", tree / "base")
    assert code == 2
    assert "exists and is no component of this tool; it is left as it is" in said


def test_without_a_folder_the_component_is_printed(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, said, _ = run(capsys, tree / "base", "--suggest")
    kinds = [item["kind"] for item in yaml.safe_load_all(said)]
    assert kinds == [
        "Component",
        "Component",
        "ResourceQuota",
        "LimitRange",
        "Component",
        "ResourceQuota",
        "LimitRange",
    ]


def test_json_holds_the_files_and_the_re_check(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, said, _ = run(capsys, tree / "base", "--suggest", "--json", "--margin", "0.5", "--max-rollouts", 2)
    content = json.loads(said)
    assert (content["schema"], content["margin"], content["max_rollouts"]) == ("stowplan/quota-proposal/v1", 0.5, 2)
    assert content["recheck"] == []
    assert sorted(content["files"])[0] == "home/kustomization.yaml"
    (cpu,) = [item for item in content["quotas"][0]["keys"] if item["key"] == "requests.cpu"]
    assert (cpu["hard"], cpu["peak"], cpu["driver"], cpu["step"]) == ("2400m", "1600m", "schedules", "1m")


def test_a_node_loss_counts_when_hardware_is_named(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, said, _ = run(capsys, tree / "base", "--json")
    assert json.loads(said)["nodes_lost"] == []
    _, said, _ = run(capsys, tree / "base", "--json", "--nodes", "3xm920q:server")
    assert json.loads(said)["nodes_lost"] == ["node-1", "node-2", "node-3"]


def test_a_refusal_is_exit_99_unless_only_reported(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tree / "base" / "other.yaml"
    other.write_text(OTHER.replace("requests.cpu: 99", "requests.cpu: 2"), encoding="utf-8")
    code, said, _ = run(capsys, tree / "base")
    assert code == 99
    assert said.startswith("1 of 2 quota keys refuse something\n")
    assert "refused at the next restart: Deployment work/web: " in said
    assert "failed quota: team: must specify requests.cpu for: prepare" in said
    assert run(capsys, tree / "base", "--report-only")[0] == 0


def test_a_tree_without_quotas_says_so(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "base" / "kustomization.yaml").write_text("resources: [app.yaml]\n", encoding="utf-8")
    code, said, _ = run(capsys, tree / "base")
    assert code == 0
    assert said.startswith("no ResourceQuota in this tree; stowplan quota --suggest proposes one per namespace\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--margin", "much"], "--margin: 'much' is no margin"),
        (["--margin", "-5%"], "--margin: '-5%' is no margin"),
        (["--job-length", "10"], "--job-length: "),
        (["-o", "somewhere"], "-o: only --suggest writes files"),
        (["--max-rollouts", "0"], "greater than or equal to 1"),
        (["--nodes", "3xnothing"], "'nothing' is not a machine of the hardware catalogue"),
    ],
)
def test_bad_arguments_are_exit_2(
    tree: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    code, _, said = run(capsys, tree / "base", *arguments)
    assert code == 2
    assert says in said


def test_limits_that_no_api_server_stores_are_told_at_once_with_file_and_line(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tree / "base" / "other.yaml"
    other.write_text(OTHER.replace("requests.cpu: 99, count/cronjobs.batch: 9", "cpu: -2, pods: 1.5"), encoding="utf-8")
    code, _, said = run(capsys, tree / "base")
    assert code == 2
    assert "other.yaml:25 spec.hard.cpu: '-2' of ResourceQuota work/team must be greater than or equal to 0" in said
    assert "other.yaml:25 spec.hard.pods: '1500m' of ResourceQuota work/team must be an integer" in said


def test_a_tree_without_pods_is_an_error(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: home}\n"
    (tree / "base" / "app.yaml").write_text(settings, encoding="utf-8")
    (tree / "base" / "kustomization.yaml").write_text("resources: [app.yaml]\n", encoding="utf-8")
    code, _, said = run(capsys, tree / "base")
    assert code == 2
    assert "the tree runs no pods" in said
    assert run(capsys)[0] == 2


def test_the_proposal_for_the_reference_platform_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hardware = ["--nodes", "3xm920q:server"]
    code, _, _ = run(capsys, HOMELAB, *hardware, "--suggest", "--margin", "0", "-o", tmp_path / "quotas")
    assert code == 0
    # The scaled-out machine learning (3 x 500m, and one more while it is rolled out) beside what rests.
    text = (tmp_path / "quotas" / "utils" / "resource-quota.yaml").read_text(encoding="utf-8")
    assert (
        'requests.cpu: "4475m" # 2975m at rest, 4475m with the rollout of Deployment utils/immich-machine-learning '
        "(surge 1) at the autoscalers' maximum" in text
    )


# ------------------------------------------------------------------------------------------------- the user's tree

user_tree = pytest.mark.skipif(not USER_TREE, reason="STOWPLAN_USER_TREE does not name a tree")


@pytest.fixture
def with_quota(tmp_path: Path) -> Path:
    """A copy of the user's tree whose htpc overlay has got a quota of two cores."""
    copy = tmp_path / "tree"
    shutil.copytree(USER_TREE or "", copy, ignore=shutil.ignore_patterns(".git"))
    (copy / ".git").mkdir()
    folder = copy / "overlays" / "htpc-with-quota"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text("resources: [../htpc, quota.yaml]\n", encoding="utf-8")
    (folder / "quota.yaml").write_text(
        "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: htpc, namespace: htpc}\n"
        "spec: {hard: {requests.cpu: 2}}\n",
        encoding="utf-8",
    )
    return folder


@user_tree
def test_a_quota_of_2_cores_for_htpc_looks_like_85_percent_and_refuses_five_workloads(
    with_quota: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, _ = run(capsys, with_quota, "--json")
    assert code == 99
    content = json.loads(said)
    (row,) = content["keys"]
    assert (row["used"], row["hard"], row["peak"]) == ("1700m", "2", "2700m")
    assert row["what"] == "rollout of Deployment htpc/jellyfin (surge 1)"
    refused = {item["workload"]: item["message"] for item in content["restarts"]}
    assert sorted(refused) == [f"Deployment htpc/{name}" for name in ("autobrr", "qbittorrent", "radarr", "sonarr")]
    for message in refused.values():
        assert message.endswith("failed quota: htpc: must specify requests.cpu for: fix-permissions")
    stuck = {item["workloads"][0]: item for item in content["rollouts"]}
    (reason,) = stuck["Deployment htpc/jellyfin"]["reasons"].values()
    assert stuck["Deployment htpc/jellyfin"]["verdict"] == "stuck"
    assert reason.endswith(
        "exceeded quota: htpc, requested: requests.cpu=1, used: requests.cpu=1700m, limited: requests.cpu=2"
    )
    assert "Deployment htpc/flaresolverr" not in stuck


@user_tree
def test_the_proposal_for_the_users_tree_holds_and_asks_for_2_7_cores_in_htpc(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, _ = run(capsys, USER_TREE, "--suggest", "--margin", "0", "--json")
    assert code == 0
    content = json.loads(said)
    assert content["recheck"] == content["problems"] == []
    (htpc,) = [item for item in content["quotas"] if item["namespace"] == "htpc"]
    assert {item["key"]: item["hard"] for item in htpc["keys"]}["requests.cpu"] == "2700m"
