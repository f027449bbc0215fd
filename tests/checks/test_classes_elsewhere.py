"""One overlay alone, whose storage class another overlay of the repository brings: which one, and who waits for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from check_cases import CLUSTERS

from models.findings import Severity
from models.render import render_tree
from reports.cli import main
from sim.checks import run_checks
from sim.standing import stand

APP = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: home}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
      containers: [{name: app, image: "example/app:1"}]
"""
CLAIM = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: home}
spec: {storageClassName: fast, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
"""
FAST = """\
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: fast
provisioner: rancher.io/local-path
volumeBindingMode: WaitForFirstConsumer
"""


def repository_with_a_class_in_its_infra(folder: Path) -> None:
    """``overlays/apps`` claims of a class that ``overlays/infra`` brings, two kustomizations further down."""
    files = {
        ".git/HEAD": "",
        "base/classes/class.yaml": FAST,
        "base/classes/kustomization.yaml": "resources: [class.yaml]\n",
        "base/infra/kustomization.yaml": "resources: [../classes]\n",
        "overlays/infra/kustomization.yaml": "resources: [../../base/infra]\n",
        "overlays/apps/kustomization.yaml": "resources: [all.yaml]\n",
        "overlays/apps/all.yaml": CLAIM + APP,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def test_a_storage_class_of_another_overlay_names_the_pods_that_wait_and_the_overlay_to_add(tmp_path: Path) -> None:
    repository_with_a_class_in_its_infra(tmp_path)
    found = run_checks(stand(render_tree(tmp_path / "overlays" / "apps"), CLUSTERS["three"]))
    (item,) = [item for item in found if item.code == "STORAGECLASS-MISSING"]
    assert item.title == "StorageClass fast is not in this tree: 1 claim of it binds only if the cluster has it"
    assert item.severity is Severity.WARNING
    assert "pods pending with them: Deployment home/app" in item.evidence
    assert "the repository has it at base/classes/class.yaml:1, outside of this tree" in item.evidence
    assert item.way_out == (
        "read overlays/infra as well (a second path of check and place, a second --tree of run, or trees: of a "
        "scenario), or make sure that the cluster has StorageClass fast"
    )
    both = render_tree(tmp_path / "overlays" / "apps") + render_tree(tmp_path / "overlays" / "infra")
    assert not {item.code for item in run_checks(stand(both, CLUSTERS["three"]))} & {"STORAGECLASS-MISSING"}


PART = """\
apiVersion: stowplan/v1
kind: Scenario
metadata: {name: part}
spec:
  trees: [{path: overlays/apps}]
  cluster: {nodes: [{name: node, machine: m920q, role: server}]}
  run: {length: 1m, replications: 1}
"""


def test_run_and_place_of_one_overlay_say_which_other_tree_brings_the_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repository_with_a_class_in_its_infra(tmp_path)
    (tmp_path / "part.yaml").write_text(PART, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    main(["run", "part.yaml", "-o", "out", "-n", "1"])
    verdict = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["verdict"]
    assert verdict["headline"] == "1 of 2 pods find no place: StorageClass fast is not in this tree"
    assert [text for text in verdict["sentences"] if text.startswith("The way out: read overlays/infra as well (")]
    capsys.readouterr()
    assert main(["place", "overlays/apps", "--nodes", "m920q:server"]) == 0
    assert "    way out: read overlays/infra as well (" in capsys.readouterr().out
    assert main(["place", "overlays/apps", "overlays/infra", "--nodes", "m920q:server"]) == 0
    assert "2 pods placed, 0 not" in capsys.readouterr().out


def test_run_of_one_overlay_says_which_other_tree_brings_the_priority_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository_with_a_class_in_its_infra(tmp_path)
    gold = "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata:\n  name: gold\nvalue: 1000\n"
    (tmp_path / "base/classes/class.yaml").write_text(gold, encoding="utf-8")
    text = APP.replace("volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]", "priorityClassName: gold")
    (tmp_path / "overlays/apps/all.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "part.yaml").write_text(PART, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    main(["run", "part.yaml", "-o", "out", "-n", "1"])
    verdict = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["verdict"]
    assert verdict["headline"].endswith("no PriorityClass with name gold was found")
    assert [text for text in verdict["sentences"] if text.startswith("The way out: read overlays/infra as well (")]


def test_place_knows_the_storage_class_that_k3s_brings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = CLAIM.replace("fast", "local-path") + APP
    (tmp_path / "all.yaml").write_text(text, encoding="utf-8")
    assert main(["place", str(tmp_path), "--nodes", "m920q:server"]) == 0
    assert "2 pods placed, 0 not" in capsys.readouterr().out
