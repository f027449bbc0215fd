"""What ``place`` says about draining each node, in its text and in its JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reports.cli import main

TREE = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: home}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      nodeSelector: {kubernetes.io/hostname: node-2}
      containers: [{name: web, image: "nginx:1", resources: {requests: {cpu: 100m}}}]
      volumes: [{name: scratch, emptyDir: {}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: home}
spec: {maxUnavailable: 0, selector: {matchLabels: {app: web}}}
---
apiVersion: v1
kind: Pod
metadata: {name: alone, namespace: home}
spec:
  nodeSelector: {kubernetes.io/hostname: node-2}
  containers: [{name: alone, image: "nginx:1"}]
"""


@pytest.fixture
def tree(tmp_path: Path) -> str:
    (tmp_path / "tree.yaml").write_text(TREE)
    return str(tmp_path / "tree.yaml")


def test_the_json_names_the_blocking_budget_in_the_words_of_the_eviction_api(
    tree: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["place", tree, "--nodes", "2xm920q:server", "--json"]) == 0
    drains = {item["node"]: item for item in json.loads(capfd.readouterr().out)["drains"]}
    assert drains["node-1"]["ends"]
    second = drains["node-2"]
    assert not second["ends"]
    assert second["flags"] == ["--delete-emptydir-data", "--force"]
    (blocked,) = second["blocked"]
    assert blocked["budgets"] == ["web"]
    assert blocked["workload"] == "Deployment home/web"
    # pkg/registry/core/pod/storage/eviction.go: the message, and its cause with the counts.
    assert blocked["message"] == "Cannot evict pod as it would violate the pod's disruption budget."
    assert blocked["cause"] == "The disruption budget web needs 1 healthy pods and has 1 currently"
    assert second["gone"] == ["home/alone"]


def test_the_text_says_which_drain_never_ends_and_what_kubectl_asks_for(
    tree: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["place", tree, "--nodes", "2xm920q:server"]) == 0
    text = capfd.readouterr().out
    assert "\ndraining node-2: never ends: 1 pod cannot be evicted, 0 pods move, 0 find no place\n" in text
    assert "  gone: home/alone: nothing makes it again\n" in text
    assert "  kubectl begins only with --force, for home/alone\n" in text
    assert (
        "Cannot evict pod as it would violate the pod's disruption budget. "
        "The disruption budget web needs 1 healthy pods and has 1 currently\n"
    ) in text


OVERLAY = """\
namespace: home
resources: [../base.yaml]
replicas: [{name: db, count: %d}]
"""
DATABASE = """\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db, image: "postgres:16"}]}
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""


def test_overlays_that_exclude_each_other_are_placed_once_with_the_storage_of_k3s(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "base.yaml").write_text(DATABASE)
    for count, name in enumerate(("first", "second"), 1):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kustomization.yaml").write_text(OVERLAY % count)
    assert main(["place", str(tmp_path), "--nodes", "2xm920q:server", "--json"]) == 0
    pods = json.loads(capfd.readouterr().out)["pods"]
    assert [(pod["pod"], pod["state"]) for pod in pods if pod["workload"] == "StatefulSet home/db"] == [
        ("home/db-0", "placed")
    ]


CLAIMS = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: %(name)s, namespace: home}
spec: {storageClassName: %(name)s, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: %(name)s, namespace: home}
spec:
  selector: {matchLabels: {app: %(name)s}}
  template:
    metadata: {labels: {app: %(name)s}}
    spec:
      containers: [{name: app, image: "acme/app:1"}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: %(name)s}}]
"""
UNREAD = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: storage, namespace: argocd}
spec:
  destination: {namespace: storage}
  source: {repoURL: "https://charts.example.org", chart: acme-storage, targetRevision: 1.0.0}
"""


def test_storage_classes_of_a_chart_that_was_not_read_are_taken_to_exist_and_told_of(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "all.yaml").write_text("---\n".join(CLAIMS % {"name": name} for name in ("fast", "fast-hostpath")))
    arguments = [str(tmp_path), "--nodes", "2xm920q:server"]

    def states() -> list[tuple[str, str, int]]:
        assert main(["place", *arguments, "--json"]) == 0
        pods = json.loads(capfd.readouterr().out)["pods"]
        return [(pod["pod"], pod["state"], len(pod["pins"])) for pod in pods if pod["pod"].startswith("home/")]

    assert states() == [("home/fast-0", "pending", 0), ("home/fast-hostpath-0", "pending", 0)]
    assert main(["check", *arguments]) == 99
    assert "ERROR   STORAGECLASS-MISSING: StorageClass fast does not exist" in capfd.readouterr().out
    (tmp_path / "storage.yaml").write_text(UNREAD)
    assert states() == [("home/fast-0", "placed", 0), ("home/fast-hostpath-0", "placed", 1)]
    assert main(["check", *arguments]) == 0
    text = capfd.readouterr().out
    assert "WARNING STORAGECLASS-MISSING: StorageClass fast is not in what could be read: 1 claim of it may" in text
    assert "taken to exist, as storage on the network" in text
    assert "taken to exist, as storage on the disk of a node" in text
