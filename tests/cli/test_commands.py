"""Every command: what it prints, its exit code, and what it says about bad input, all problems at once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from reports.cli import main

ROOT = Path(__file__).parents[2]
BASELINE = ROOT / "scenarios" / "baseline-day.yaml"
COMMANDS = ("run", "render", "graph", "place", "check", "quota", "explain", "diff", "schema", "catalog")

TREE = {
    "kustomization.yaml": "resources: [app.yaml]\nnamespace: home\n",
    "app.yaml": """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: web, image: "nginx:1", resources: {requests: {cpu: 100m, memory: 64Mi}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
""",
}

SCENARIO = """\
apiVersion: stowplan/v1
kind: Scenario
metadata: {name: tiny}
spec:
  trees: [{path: tree}]
  cluster:
    nodes:
      - {name: one, machine: m920q, role: server}
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small tree and a scenario; commands run in it."""
    (tmp_path / "tree").mkdir()
    for name, text in TREE.items():
        (tmp_path / "tree" / name).write_text(text)
    (tmp_path / "tiny.yaml").write_text(SCENARIO)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The standard error of a command that ends with 2 and writes nothing anywhere."""
    before = sorted(Path.cwd().rglob("*"))
    assert main(arguments) == 2
    assert sorted(Path.cwd().rglob("*")) == before
    out, err = capfd.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert err.startswith("error: ")
    return err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_lists_each_switch_by_the_one_name_that_changes_something(
    command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    assert " / --no-" not in capfd.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert "Usage:" in capfd.readouterr().out
    assert main(["--help"]) == 0
    assert command in capfd.readouterr().out


def test_the_module_and_the_console_script_are_one_program() -> None:
    script = shutil.which("stowplan", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert script is not None
    said = [
        subprocess.run([*command, "--version"], capture_output=True, text=True, check=True, cwd=ROOT).stdout
        for command in ([script], [sys.executable, "-m", "stowplan"])
    ]
    assert said[0] == said[1]
    assert said[0].startswith("stowplan ")


def test_show_resolved_prints_what_would_run_and_runs_nothing(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "tiny.yaml", "--show-resolved", "--seed", "7", "--set", "run.length=90s"]) == 0
    run = json.loads(capfd.readouterr().out)["spec"]["run"]
    assert (run["seed"], run["length"], run["replications"]) == (7, "90s", 10)
    assert not (world / "out").exists()


def test_run_writes_the_reports_and_prints_where(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["--set", "run.length=1m", "--set", "run.replications=2", "--set", "run.warmUp=0", "-n", "1"]
    assert main(["run", "tiny.yaml", "-o", "here", *arguments]) == 0
    assert capfd.readouterr().out.rstrip().endswith("here/report.html")
    assert {path.name for path in (world / "here").iterdir()} == {
        "report.html",
        "report.md",
        "report.json",
        "report.junit.xml",
        "tables",
    }
    assert [path.name for path in world.iterdir() if path.name.startswith(".")] == []


def test_render_prints_the_objects_as_yaml_and_json(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "tree"]) == 0
    documents = list(yaml.safe_load_all(capfd.readouterr().out))
    assert sorted((item["kind"], item["metadata"]["namespace"]) for item in documents) == [
        ("Deployment", "home"),
        ("Service", "home"),
    ]
    assert main(["render", "tree", "--format", "json", "--origin", "--require-complete"]) == 0
    content = json.loads(capfd.readouterr().out)
    assert content["missing"] == []
    assert {item["origin"]["file"].rpartition("/")[2] for item in content["objects"]} == {"app.yaml"}


@pytest.mark.parametrize(
    ("form", "part"),
    [("json", '"schema": "stowplan/graph/v1"'), ("mermaid", "flowchart"), ("dot", "digraph"), ("svg", "<svg")],
)
def test_graph_prints_each_format(world: Path, capfd: pytest.CaptureFixture[str], form: str, part: str) -> None:
    assert main(["graph", "tree", "--format", form]) == 0
    out = capfd.readouterr().out
    assert part in out
    assert "web" in out


def test_graph_explains_an_edge_with_its_place(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", "tree", "--explain", "Service home/web", "Deployment home/web"]) == 0
    assert "app.yaml:" in capfd.readouterr().out


def test_place_answers_where_every_pod_goes(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["place", "tree", "--nodes", "2xm920q:server", "--json"]) == 0
    answer = json.loads(capfd.readouterr().out)
    web = [pod for pod in answer["pods"] if pod["workload"] == "Deployment home/web"]
    assert {pod["node"] for pod in web} == {"node-1", "node-2"}
    assert [loss["node"] for loss in answer["losses"]] == ["node-1", "node-2"]
    assert main(["place", "--scenario", "tiny.yaml"]) == 0


def test_schema_prints_the_schema_of_the_scenario_file(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capfd.readouterr().out)["title"] == "Scenario"


@pytest.mark.parametrize(
    ("section", "known"),
    [
        ("machines", "m920q"),
        ("disks", "nvme-consumer"),
        ("timings", "k8s.progress_deadline"),
        ("apps", "nextcloud"),
        ("faults", "node-stop"),
    ],
)
def test_catalog_lists_each_section_as_table_and_as_json(
    capfd: pytest.CaptureFixture[str], section: str, known: str
) -> None:
    assert main(["catalog", section]) == 0
    told = capfd.readouterr().out
    assert f" {section}" in told
    assert known in told
    assert "…" not in told
    assert main(["catalog", section, "--json"]) == 0
    assert known in json.dumps(json.loads(capfd.readouterr().out))


# ------------------------------------------------------------------------------------------------- bad input


def test_an_unknown_command_or_option_is_wrong_usage(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["rnu"]) == 2
    assert "rnu" in capfd.readouterr().err
    assert main(["graph", "tree", "--format", "png"]) == 2
    assert "png" in capfd.readouterr().err


def test_a_scenario_that_does_not_exist(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "nowhere.yaml" in refused(capfd, "run", "nowhere.yaml")


def test_a_wrong_scenario_names_every_problem_with_its_line(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (world / "tiny.yaml").write_text(SCENARIO + "  run: {lenght: 5m, seed: -1}\n")
    err = refused(capfd, "run", "tiny.yaml")
    assert "tiny.yaml:9 spec.run.lenght: unknown key 'lenght'\n    did you mean 'length'?" in err
    assert "spec.run.seed" in err
    assert err.endswith("2 problems\n")


def test_unreadable_yaml_names_the_line(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (world / "tiny.yaml").write_text("a: [1, 2\nb: 3\n")
    assert "tiny.yaml:2" in refused(capfd, "run", "tiny.yaml")


def test_a_tree_that_does_not_exist(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "gone" in refused(capfd, "run", "tiny.yaml", "--tree", "gone")
    assert "gone" in refused(capfd, "render", "gone")
    assert "gone" in refused(capfd, "place", "gone", "--nodes", "m920q")


def test_an_overlay_that_does_not_exist(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    overlay = ROOT / "scenarios" / "homelab" / "overlays" / "prodcution"
    assert "prodcution" in refused(capfd, "graph", str(overlay))


def test_hardware_and_selectors_that_do_not_exist_are_told_together(
    world: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (world / "tiny.yaml").write_text(
        SCENARIO.replace("m920q", "m920")
        + """\
  faults:
    - {name: a, type: PodChaos, action: pod-kill, at: 1s, selector: {workloads: [Deployment/home/wbe]}}
    - {name: b, type: PodChaos, action: pod-kill, at: 1s, selector: {namespaces: [hoem]}}
  operations:
    - {name: c, type: quota, at: 1s, target: home/limits, hard: {pods: "1"}}
  thresholds: {http_req_durations: ["p(95)<1"]}
"""
    )
    err = refused(capfd, "run", "tiny.yaml", "-o", "out/here")
    for said in (
        "'m920' is not a machine of the hardware catalogue",
        "spec.faults[0].selector.workloads[0]: 'Deployment/home/wbe' is no workload",
        "spec.faults[1].selector.namespaces[0]: 'hoem' is no namespace",
        "spec.operations[0].target: 'home/limits' is no ResourceQuota",
        "did you mean http_req_duration?",
    ):
        assert said in err
    assert err.endswith("5 problems\n")


def test_a_node_that_does_not_exist_lists_the_nodes(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fault = "{name: a, type: NodeChaos, action: node-stop, at: 1s, selector: {nodes: [two]}}"
    (world / "tiny.yaml").write_text(SCENARIO + f"  faults:\n    - {fault}\n")
    err = refused(capfd, "run", "tiny.yaml")
    assert "'two' is no node of this platform" in err
    assert "one" in err


def test_labels_that_match_no_pod_are_refused_too(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fault = "{name: a, type: PodChaos, action: pod-kill, at: 1s, selector: {labelSelectors: {app: wbe}}}"
    (world / "tiny.yaml").write_text(SCENARIO + f"  faults:\n    - {fault}\n")
    assert "spec.faults[0].selector" in refused(capfd, "run", "tiny.yaml", "-n", "1")


def test_an_output_folder_with_something_else_in_it_is_left_alone(
    world: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "tree" in refused(capfd, "run", "tiny.yaml", "-o", "tree")


def test_place_without_hardware_says_how_to_give_it(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "--nodes 3xm920q:server" in refused(capfd, "place", "tree")
    err = refused(capfd, "place", "tree", "--nodes", "3 of them", "--nodes", "0xm920q")
    assert err.endswith("2 problems\n")


def test_a_failed_threshold_ends_with_99_and_report_only_does_not(
    world: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (world / "tiny.yaml").write_text(SCENARIO + '  thresholds: {http_reqs: ["count>5"]}\n')
    arguments = ["run", "tiny.yaml", "-n", "1", "--set", "run={length: 10s, warmUp: 0, replications: 1}"]
    assert main(arguments) == 99
    assert main([*arguments, "--report-only"]) == 0
    capfd.readouterr()


BUSY = [{"service": "home/web", "rate": "200/s"}]


def test_run_tells_accepted_findings_apart_as_check_does(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (world / "tree" / "stowplan-accepted.yaml").write_text(
        "accepted:\n"
        "  - {code: NO-READINESS, subject: Deployment home/web, reason: nginx answers at once}\n"
        "  - {code: NODE-LOSS, reason: there is one machine}\n"
        "  - {code: CLAIM-PINNED, subject: Deployment home/web, reason: told by check alone}\n"
    )
    assert main(["run", "tiny.yaml", "-o", "out", "--set", "run.replications=1", "--set", "run.length=1m"]) == 0
    assert "2 findings accepted by the owner: listed in the report" in capfd.readouterr().out
    report = json.loads((world / "out" / "report.json").read_text())
    left = {item["code"] for item in report["findings"]}
    assert not left & {"NO-READINESS", "NODE-LOSS", "ACCEPTED-STALE"}
    (table,) = [table for table in report["tables"] if table["name"] == "accepted"]
    assert {row["code"]: row["because"] for row in table["rows"]} == {
        "NO-READINESS": "nginx answers at once",
        "NODE-LOSS": "there is one machine",
    }
    # The same file serves check: what it looks for itself and does not find is stale, NODE-LOSS is a run's to tell.
    assert main(["check", "tree", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert [item["code"] for item in found["accepted"]] == ["NO-READINESS"]
    stale = [item["title"] for item in found["findings"] if item["code"] == "ACCEPTED-STALE"]
    assert stale == ["The acceptance of CLAIM-PINNED for Deployment home/web covers nothing any more"]


def test_check_names_every_file_that_it_could_not_read(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (world / "tree" / "kustomization.yaml").unlink()
    (world / "tree" / "broken.yaml").write_text("apiVersion: v1\nkind: [\n")
    main(["check", "tree"])
    out = capfd.readouterr().out
    assert "1 thing could not be read: what they might hold is not called missing for sure" in out
    assert "not seen: file broken.yaml (broken.yaml:" in out


@pytest.mark.skipif(sys.platform != "linux", reason="the processes of a run are counted in /proc")
def test_ctrl_c_ends_every_process_with_one_word_and_without_a_report(world: Path) -> None:
    code = "import sys; from reports.cli import main; sys.exit(main())"
    settings = ("--set", "run.length=10d", "--set", "run.replications=2", "--set", f"traffic={json.dumps(BUSY)}")
    child = subprocess.Popen(
        [sys.executable, "-c", code, "run", "tiny.yaml", "-o", "out", "-n", "2", *settings],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        children = Path(f"/proc/{child.pid}/task/{child.pid}/children")
        for _ in range(600):  # two workers, and the tracker of what they share
            if len(children.read_text().split()) == 3:
                break
            time.sleep(0.1)
        os.killpg(child.pid, signal.SIGINT)
        out, err = child.communicate(timeout=60)
    finally:
        child.kill()
    assert (child.returncode, out, err) == (130, "", "interrupted\n")
    assert not (world / "out").exists()
    for _ in range(200):
        if not alive(child.pid):
            break
        time.sleep(0.1)
    assert not alive(child.pid)


def alive(group: int) -> bool:
    """Whether any process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
