"""Verdicts with nodes, autoscalers and schedules: what a change brings beyond rollouts, and what it takes away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import repositories as repos

from reports.cli import main
from sim.compare.outcomes import CODES

HPA = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: jellyfin}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: jellyfin}
  minReplicas: 1
  maxReplicas: 4
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
"""

CRON = """\
apiVersion: batch/v1
kind: CronJob
metadata: {name: NAME}
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
            - name: job
              image: busybox:1
              resources: {requests: {cpu: CPU, memory: 64Mi}, limits: {memory: 64Mi}}
"""


def with_resource(text: str) -> dict[str, str]:
    """The tree with one more file."""
    return {
        "home/kustomization.yaml": repos.KUSTOMIZATION + "  - more.yaml\n",
        "home/more.yaml": text,
    }


@pytest.fixture
def compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Compare the platform with a change of it; returns the report."""

    def made(change: dict[str, str], *options: str, base: dict[str, str] | None = None) -> dict[str, Any]:
        repo = repos.repository(tmp_path / f"repo-{len(list(tmp_path.iterdir()))}", base or {})
        repos.commit(repo, change, "the change")
        monkeypatch.chdir(repo)
        main(["diff", "--base", "HEAD~1", "--format", "json", *options])
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return made


def new(report: dict[str, Any], kind: str, news: str = "new") -> list[tuple[str, str]]:
    """Sentence and amount of the verdicts of one kind."""
    return [
        (item["sentence"], item["amount"])
        for item in report["outcomes"]
        if (item["kind"], item["news"]) == (kind, news)
    ]


def test_autoscaler_whose_maximum_does_not_fit_is_a_warning_with_its_peak(compare: Any) -> None:
    found = compare(with_resource(HPA))
    # 1.7 at rest, three more pods of 1 core, and one surge pod on top: 5.7 of 4.
    assert new(found, "quota") == [
        ("quota htpc/htpc refuses pods when autoscalers are at their maximum", "5.7 of 4 requests.cpu")
    ]
    assert found["status"] == "warn"
    assert "requests.cpu: 5700m" in found["fix"]["patch"]


def test_schedules_that_coincide_make_the_peak(compare: Any) -> None:
    jobs = "---\n".join(CRON.replace("NAME", name).replace("CPU", "1200m") for name in ("one", "two"))
    found = compare(with_resource(jobs))
    # 1.7 at rest and two runs of 1.2 at three o'clock: 4.1 of 4.
    assert new(found, "quota") == [("quota htpc/htpc refuses pods when schedules coincide", "4.1 of 4 requests.cpu")]


def test_request_above_every_node_is_pending_with_the_node_that_comes_closest(compare: Any) -> None:
    large = {
        "home/jellyfin.yaml": repos.JELLYFIN.replace('cpu: "1"', 'cpu: "3"').replace("memory: 1Gi", "memory: 90Gi")
    }
    found = compare({**large, "home/quota.yaml": repos.QUOTA.format(cpu=20)}, "--nodes", "2xm920q:server")
    ((sentence, amount),) = new(found, "pending")
    assert sentence == "jellyfin finds no node"
    assert "GiB memory on node-" in amount
    assert amount.split(" of ")[0] > "90"
    assert [line["after"] for line in found["thresholds"] if line["metric"] == "pods_pending"] == ["1"]


def test_second_node_that_is_taken_away_shows_after_a_node_loss(compare: Any) -> None:
    pinned = repos.JELLYFIN.replace(
        "      containers:", "      nodeSelector: {kubernetes.io/hostname: node-1}\n      containers:"
    )
    found = compare({"home/jellyfin.yaml": pinned}, "--nodes", "2xm920q:server")
    assert ("jellyfin finds no place when node-1 is lost", "") in new(found, "loss")


def test_every_code_of_a_fact_is_raised_and_explained() -> None:
    text = (repos.ROOT / "sim" / "compare" / "outcomes.py").read_text(encoding="utf-8")
    assert set(CODES) == {
        "ROLLOUT-STUCK",
        "RESTART-REFUSED",
        "QUOTA-BELOW-USE",
        "QUOTA-PEAK",
        "POD-PENDING",
        "NODE-LOSS",
    }
    assert all(text.count(f'"{code}"') >= 2 and meaning for code, meaning in CODES.items())


def test_without_nodes_nothing_is_said_about_nodes(compare: Any) -> None:
    large = {"home/jellyfin.yaml": repos.JELLYFIN.replace("memory: 1Gi", "memory: 900Gi")}
    found = compare(large)
    assert new(found, "pending") == []
    assert new(found, "stuck") == []
    assert not found["hardware_known"]


def test_fixed_verdict_is_told_with_what_it_was(compare: Any) -> None:
    found = compare({"home/quota.yaml": repos.QUOTA.format(cpu=3)}, base=repos.LOWERED)
    assert new(found, "stuck", "fixed") == [("jellyfin's rollout will never finish", "2.7 of 2 requests.cpu")]
    assert found["headline"].startswith("1 verdict fixed, nothing gets worse")


def test_rollout_that_was_stuck_and_needs_more_is_worse(compare: Any) -> None:
    found = compare({"home/quota.yaml": repos.QUOTA.format(cpu="1800m")}, base=repos.LOWERED)
    (item,) = [one for one in found["outcomes"] if one["news"] == "worse"]
    assert (item["amount"], item["was"]) == ("2.7 of 1.8 requests.cpu", "2.7 of 2 requests.cpu")
    assert found["status"] == "warn"


def test_recreate_strategy_completes_in_the_same_quota(compare: Any) -> None:
    recreate = repos.JELLYFIN.replace("  template:", "  strategy: {type: Recreate}\n  template:", 1)
    found = compare({**repos.LOWERED, "home/jellyfin.yaml": recreate})
    assert new(found, "stuck") == []
    assert found["status"] == "pass"


def test_accepted_finding_of_the_head_is_not_new(compare: Any) -> None:
    silent = {"home/jellyfin.yaml": repos.JELLYFIN.replace("          readinessProbe: {tcpSocket: {port: 8096}}\n", "")}
    ports = "spec: {selector: {app: jellyfin}, ports: [{port: 80}]}"
    service = f"apiVersion: v1\nkind: Service\nmetadata: {{name: jellyfin}}\n{ports}\n"
    accepted = "accepted:\n  - {code: NO-READINESS, reason: it answers at once}\n"
    loud = compare({**silent, **with_resource(service)})
    codes = {item["code"] for item in loud["outcomes"] if item["news"] == "new"}
    assert "NO-READINESS" in codes
    # The file of accepted findings comes with the same commit: each side has its own.
    quiet = compare({**silent, **with_resource(service), "stowplan-accepted.yaml": accepted})
    assert "NO-READINESS" not in {item["code"] for item in quiet["outcomes"]}
