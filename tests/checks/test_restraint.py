"""Where a rule must keep silent: what is optional, what somebody else makes, what could not be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from check_cases import CLUSTERS, clean, findings, in_container, in_pod, put

from models.findings import Finding, Severity
from models.objects import Missing, Origin, Rendered
from models.render import render_text, render_tree
from sim.checks import run_checks
from sim.standing import stand

POD = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: app, namespace: home}}
spec:
  selector: {{matchLabels: {{app: app}}}}
  template:
    metadata: {{labels: {{app: app}}}}
    spec:
      {pod}
      containers:
        - name: app
          image: example/app:1
          {container}
"""


def told(text: str, *missing: Missing, cluster: str = "three") -> list[Finding]:
    tree = render_text(text, file="all.yaml")
    return run_checks(stand(Rendered(tree.objects, missing, tree.roots, tree.lines), CLUSTERS[cluster]))


def app(pod: str = "", container: str = "") -> str:
    return POD.format(pod=pod, container=container)


def env(name: str, key: str) -> str:
    return f"env: [{{name: X, valueFrom: {{secretKeyRef: {{name: {name}, key: {key}}}}}}}]"


MADE = {
    "CNPG's app secret": (
        env("db-app", "uri"),
        """
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {name: db, namespace: home}
spec: {instances: 1, storage: {size: 1Gi}}
""",
    ),
    "CNPG's superuser secret": (
        env("db-superuser", "password"),
        """
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {name: db, namespace: home}
spec: {instances: 1, enableSuperuserAccess: true, storage: {size: 1Gi}}
""",
    ),
    "an ExternalSecret with keys of its own": (
        env("token", "value"),
        """
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: token, namespace: home}
spec: {data: [{secretKey: value, remoteRef: {key: a}}]}
""",
    ),
    "an ExternalSecret whose keys are elsewhere": (
        env("token", "anything"),
        """
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: token, namespace: home}
spec: {dataFrom: [{extract: {key: a}}]}
""",
    ),
    "a SealedSecret": (
        env("token", "value"),
        """
apiVersion: bitnami.com/v1alpha1
kind: SealedSecret
metadata: {name: token, namespace: home}
spec: {encryptedData: {value: AgB}}
""",
    ),
    "a certificate": (
        env("web-tls", "tls.crt"),
        """
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: web, namespace: home}
spec: {secretName: web-tls, dnsNames: [a.example.org], issuerRef: {name: ca, kind: Issuer}}
""",
    ),
    "a Secret without keys": (
        env("stub", "value"),
        "\napiVersion: v1\nkind: Secret\nmetadata: {name: stub, namespace: home}\n",
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_a_key_of_what_a_controller_makes_is_not_missing(name: str) -> None:
    container, maker = MADE[name]
    codes = {item.code for item in told(f"{app(container=container)}---{maker}")}
    assert not codes & {"KEY-MISSING", "GRAPH-MISSING-REF"}


def test_an_optional_key_is_not_missing() -> None:
    tree = clean()
    assert tree["Deployment/web"]["spec"]["template"]["spec"]["containers"][0]["env"][1]["name"] == "EXTRA"
    assert [item for item in findings(tree, "three") if item.code == "KEY-MISSING"] == []


def test_a_hidden_chart_of_the_namespace_makes_a_missing_service_account_something_to_know() -> None:
    chart = Missing(
        "chart",
        "thing 1.0 from https://charts.example.org",
        Origin("kustomization.yaml", 3),
        "not here",
        namespace="home",
    )
    (sure,) = [item for item in told(app("serviceAccountName: thing")) if item.code == "SERVICEACCOUNT-MISSING"]
    (unsure,) = [
        item for item in told(app("serviceAccountName: thing"), chart) if item.code == "SERVICEACCOUNT-MISSING"
    ]
    assert (sure.severity, unsure.severity) == (Severity.ERROR, Severity.INFO)
    assert "not read: chart thing 1.0 from https://charts.example.org" in unsure.evidence


def test_remote_definitions_hide_nothing_that_a_pod_needs() -> None:
    remote = Missing("remote", "https://example.org/crds/thing_crd.yaml", Origin("kustomization.yaml", 3), "network")
    (item,) = [item for item in told(app("serviceAccountName: thing"), remote) if item.code == "SERVICEACCOUNT-MISSING"]
    assert item.severity is Severity.ERROR


CLAIM = """
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: home}
spec: {accessModes: [ReadWriteOnce], storageClassName: local-path, resources: {requests: {storage: 1Gi}}}
"""
MOUNT = "volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]"


def test_k3s_brings_local_path_and_plain_kubernetes_does_not() -> None:
    tree = app(MOUNT) + CLAIM
    assert "STORAGECLASS-MISSING" not in {item.code for item in told(tree)}
    assert "STORAGECLASS-MISSING" not in {item.code for item in told(tree, cluster="unknown")}
    found = {item.code: item for item in told(tree, cluster="plain")}
    assert found["STORAGECLASS-MISSING"].severity is Severity.ERROR
    assert "GRAPH-MISSING-REF" not in found
    assert "POD-PENDING" not in found


def test_health_port_that_the_app_speaks_of_is_served() -> None:
    tree = clean()
    in_container("Deployment/web", "livenessProbe", "httpGet", "port", value=9090)(tree)
    in_container("Deployment/web", "args", value=["--health-address=:9090"])(tree)
    assert [item.code for item in findings(tree, "three")] == []


def test_undeclared_health_ports_of_a_container_with_several_ports_are_usual() -> None:
    tree = clean()
    ports = [{"name": "dns", "containerPort": 53}, {"name": "metrics", "containerPort": 9153}]
    in_container("Deployment/lone", "ports", value=ports)(tree)
    in_container("Deployment/lone", "livenessProbe", value={"httpGet": {"path": "/health", "port": 8080}})(tree)
    assert "PROBE-PORT-CLOSED" not in {item.code for item in findings(tree, "three")}


def test_a_slow_app_with_a_startup_probe_is_given_time() -> None:
    tree = clean()
    probe = {"httpGet": {"path": "/status.php", "port": "http"}}
    in_container("Deployment/lone", "livenessProbe", value={**probe, "periodSeconds": 2})(tree)
    in_container("Deployment/lone", "startupProbe", value={**probe, "failureThreshold": 60})(tree)
    assert findings(tree, "three") == []


def test_workloads_that_a_required_affinity_keeps_together_may_share_a_disk() -> None:
    tree = clean()
    term = {"labelSelector": {"matchLabels": {"app": "files"}}, "topologyKey": "kubernetes.io/hostname"}
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    in_pod("Deployment/lone", "affinity", value=affinity)(tree)
    in_pod("Deployment/lone", "volumes", value=[{"name": "f", "persistentVolumeClaim": {"claimName": "files"}}])(tree)
    tree["Deployment/lone"]["metadata"]["namespace"] = "shop"
    codes = {item.code for item in findings(tree, "three")}
    assert "CLAIM-MULTI-ATTACH" not in codes


def test_a_database_with_several_instances_may_have_a_budget_for_its_primary() -> None:
    tree = clean()
    put(tree, "Cluster/orders", "spec", "instances", value=2)
    assert "BUDGET-FORBIDS-DRAIN" not in {item.code for item in findings(tree, "three")}


def test_a_class_in_another_part_of_the_repository_is_a_risk_with_the_tree_to_add(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    for name, text in (
        ("apps", app("priorityClassName: gold")),
        ("infra", "kind: PriorityClass\nmetadata:\n  name: gold\n"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "all.yaml").write_text(f"apiVersion: v1\n{text.lstrip()}" if name == "infra" else text)
    found = run_checks(stand(render_tree(tmp_path / "apps"), CLUSTERS["three"]))
    (item,) = [item for item in found if item.code == "PRIORITYCLASS-MISSING"]
    assert item.severity is Severity.WARNING
    assert "the repository has it at infra/all.yaml:1, outside of this tree" in item.evidence
    assert item.way_out == (
        "read infra/all.yaml as well (a second path of check and place, a second --tree of run, or trees: of a "
        "scenario), or make sure that the cluster has PriorityClass gold"
    )


def test_a_service_that_is_only_another_name_selects_nothing_and_need_not() -> None:
    service = "\n---\napiVersion: v1\nkind: Service\nmetadata: {name: nas, namespace: home}\n"
    spec = "spec: {%s, selector: {part: home}, ports: [{port: 80}]}\n"
    codes = [item.code for item in told(app() + service + spec % "type: ClusterIP")]
    assert "SERVICE-SELECTS-NOTHING" in codes
    codes = [item.code for item in told(app() + service + spec % "type: ExternalName, externalName: nas.lan")]
    assert "SERVICE-SELECTS-NOTHING" not in codes
