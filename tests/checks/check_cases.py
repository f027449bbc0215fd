"""For every rule: changes of the small platform that break it, and what must be found then."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from models import scenario as schema
from models.findings import Finding, Severity
from models.render import render_text
from sim.checks import run_checks
from sim.standing import stand

HERE = Path(__file__).parent
DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""libyaml's, where it is there: the trees are written often."""
Manifest = dict[str, Any]
Tree = dict[str, Manifest]
"""Manifests by "Kind/name"."""

_THREE = schema.Node(name="node", machine="m920q", role="server", count=3)
_GPU = schema.Node(
    name="gpu", machine="m920q", labels={"gpu": "true"}, taints=(schema.Taint(key="gpu", effect="NoSchedule"),)
)
CLUSTERS: dict[str, schema.Cluster | None] = {
    "three": schema.Cluster(nodes=(_THREE,)),
    "one": schema.Cluster(nodes=(schema.Node(name="node", machine="m920q", role="server"),)),
    "plain": schema.Cluster(nodes=(_THREE,), distribution="kubernetes"),
    "tainted": schema.Cluster(nodes=(_THREE, _GPU)),
    "unknown": None,
}


@dataclass(frozen=True)
class Case:
    """A change and what it must bring up: (code, subject) of each finding that the small platform does not have."""

    name: str
    change: Callable[[Tree], None]
    expected: frozenset[tuple[str, str]]
    evidence: str = ""
    patched: bool = False
    severity: Severity | None = None
    cluster: str = "three"

    @property
    def code(self) -> str:
        return self.name.partition(" ")[0]


@functools.cache
def _clean() -> Tree:
    documents = yaml.safe_load_all((HERE / "small_platform.yaml").read_text(encoding="utf-8"))
    return {f"{item['kind']}/{item['metadata']['name']}": item for item in documents}


def clean() -> Tree:
    return copy.deepcopy(_clean())


def text_of(tree: Tree) -> str:
    return str(yaml.dump_all(tree.values(), Dumper=DUMPER, sort_keys=False))


def findings(tree: Tree, cluster: str) -> list[Finding]:
    return run_checks(stand(render_text(text_of(tree), file="all.yaml"), CLUSTERS[cluster]))


@functools.cache
def clean_findings(cluster: str) -> list[Finding]:
    return findings(clean(), cluster)


@functools.cache
def found(case: Case) -> list[Finding]:
    """What the change brings up."""
    tree = clean()
    case.change(tree)
    known = {(item.code, item.subject) for item in clean_findings(case.cluster)}
    return [item for item in findings(tree, case.cluster) if (item.code, item.subject) not in known]


def pod(tree: Tree, key: str) -> Manifest:
    spec = tree[key]["spec"]
    spec = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec
    return spec["template"]["spec"]


def first(tree: Tree, key: str) -> Manifest:
    return pod(tree, key)["containers"][0]


def put(tree: Tree, key: str, *path: str | int, value: Any) -> None:
    """Set (or with None delete) a field of a manifest."""
    here: Any = tree[key]
    for step in path[:-1]:
        here = here.setdefault(step, {}) if isinstance(here, dict) else here[step]
    if value is None:
        del here[path[-1]]
    else:
        here[path[-1]] = value


def setter(key: str, *path: str | int, value: Any) -> Callable[[Tree], None]:
    return lambda tree: put(tree, key, *path, value=value)


def all_of(*changes: Callable[[Tree], None]) -> Callable[[Tree], None]:
    def change(tree: Tree) -> None:
        for item in changes:
            item(tree)

    return change


def in_container(key: str, *path: str | int, value: Any) -> Callable[[Tree], None]:
    """Set a field of a workload's first container."""

    def change(tree: Tree) -> None:
        put({"": first(tree, key)}, "", *path, value=value)

    return change


def in_pod(key: str, *path: str | int, value: Any) -> Callable[[Tree], None]:
    return lambda tree: put({"": pod(tree, key)}, "", *path, value=value)


def removed(key: str) -> Callable[[Tree], None]:
    return lambda tree: tree.__delitem__(key) and None


def copied(key: str, name: str, **fields: Any) -> Callable[[Tree], None]:
    """A second object like the first, with another name."""

    def change(tree: Tree) -> None:
        made = copy.deepcopy(tree[key])
        made["metadata"]["name"] = name
        made.update(fields)
        tree[f"{made['kind']}/{name}"] = made

    return change


def one(code: str, subject: str) -> frozenset[tuple[str, str]]:
    return frozenset({(code, subject)})


WEB, FILES, LEDGER, LONE = "Deployment/web", "Deployment/files", "Deployment/ledger", "Deployment/lone"
STORAGE = "PersistentVolumeClaim/files"
ROLLING = setter(FILES, "spec", "strategy", value=None)
LOCAL = all_of(setter(STORAGE, "spec", "storageClassName", value="local"), removed("VolumeSnapshot/files-today"))
HOST_PORT = {"name": "metrics", "containerPort": 9100, "hostPort": 9100}
SURGING = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
APART = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"labelSelector": {"matchLabels": {"app": "ledger"}}, "topologyKey": "kubernetes.io/hostname"}
        ]
    }
}
QUOTA = ("ResourceQuota/bank", "spec", "hard")
OWN_REGISTRY = "images.example.org/shop/web:1"

CASES = (
    Case(
        "QUOTA-UNSPECIFIED names the init container",
        lambda tree: put({"": pod(tree, WEB)["initContainers"][0]}, "", "resources", value=None),
        one("QUOTA-UNSPECIFIED", "Deployment shop/web"),
        "must specify limits.memory for: prepare; requests.cpu for: prepare; requests.memory for: prepare",
        patched=True,
        severity=Severity.ERROR,
    ),
    Case(
        "QUOTA-UNSPECIFIED names all containers of a CronJob",
        in_container("CronJob/report", "resources", "requests", "cpu", value=None),
        one("QUOTA-UNSPECIFIED", "CronJob bank/report"),
        "failed quota: bank: must specify requests.cpu for: report",
        patched=True,
    ),
    Case(
        "QUOTA-EXCEEDED when a pod restarts",
        setter(*QUOTA, value={"requests.cpu": "500m"}),
        frozenset({("QUOTA-EXCEEDED", f"{name}") for name in ("Deployment bank/ledger", "CronJob bank/report")})
        | one("QUOTA-EXCEEDED", "CronJob bank/statement"),
        "requests.cpu needed 600m, allowed 500m",
        patched=True,
    ),
    Case(
        "QUOTA-EXCEEDED by the next run of a CronJob",
        in_container("CronJob/report", "resources", "requests", "cpu", value="1500m"),
        one("QUOTA-EXCEEDED", "CronJob bank/report"),
        "exceeded quota: bank, requested: requests.cpu=1500m, used: requests.cpu=600m, limited: requests.cpu=2",
        patched=True,
        severity=Severity.ERROR,
    ),
    Case(
        "QUOTA-OBJECTS counts what the tree declares",
        setter(*QUOTA, value={"requests.cpu": "2", "services": "0"}),
        one("QUOTA-OBJECTS", "ResourceQuota bank/bank"),
        "services: declared 1, allowed 0",
        patched=True,
    ),
    Case(
        "LIMITRANGE-REFUSED by the ratio",
        in_container(LEDGER, "resources", "requests", "memory", value="16Mi"),
        one("LIMITRANGE-REFUSED", "Deployment bank/ledger"),
        "memory max limit to request ratio per Container is 8, but provided ratio is 32.000000",
        patched=True,
        severity=Severity.ERROR,
    ),
    Case(
        "LIMITRANGE-REFUSED for a claim",
        setter("PersistentVolumeClaim/dumps", "spec", "resources", "requests", "storage", value="200Gi"),
        one("LIMITRANGE-REFUSED", "PersistentVolumeClaim shop/dumps"),
        "maximum storage usage per PersistentVolumeClaim is 100Gi, but request is 200Gi",
    ),
    Case(
        "PRIORITYCLASS-MISSING in the API server's words",
        in_pod(WEB, "priorityClassName", value="importent"),
        one("PRIORITYCLASS-MISSING", "Deployment shop/web"),
        "no PriorityClass with name importent was found",
        patched=True,
        severity=Severity.ERROR,
    ),
    Case(
        "ROLLOUT-STUCK by the quota",
        setter(*QUOTA, value={"requests.cpu": "1"}),
        frozenset(
            {
                ("ROLLOUT-STUCK", "Deployment bank/ledger"),
                ("QUOTA-EXCEEDED", "CronJob bank/report"),
                ("QUOTA-EXCEEDED", "CronJob bank/statement"),
            }
        ),
        "exceeded quota: bank, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1",
        patched=True,
        severity=Severity.ERROR,
    ),
    Case(
        "ROLLOUT-STUCK by a port of the node",
        all_of(
            in_container("DaemonSet/agent", "ports", value=[HOST_PORT]),
            setter("DaemonSet/agent", "spec", "updateStrategy", value=SURGING),
        ),
        one("ROLLOUT-STUCK", "DaemonSet shop/agent"),
        "didn't have free ports",
        patched=True,
    ),
    Case(
        "CLAIM-PINNED by a local volume",
        LOCAL,
        one("CLAIM-PINNED", "Deployment shop/files"),
        "class local (rancher.io/local-path)",
        severity=Severity.WARNING,
    ),
    Case(
        "CLAIM-TWO-WRITERS on the only node",
        all_of(LOCAL, ROLLING),
        one("CLAIM-TWO-WRITERS", "Deployment shop/files"),
        "RollingUpdate, surge 1, unavailable 0",
        patched=True,
        cluster="one",
    ),
    Case(
        "CLAIM-ROLLOUT-ATTACH of a network disk",
        ROLLING,
        one("CLAIM-ROLLOUT-ATTACH", "Deployment shop/files"),
        "ReadWriteOnce, class block (driver.longhorn.io)",
        patched=True,
        severity=Severity.ERROR,
    ),
    Case(
        "CLAIM-MULTI-ATTACH by replicas",
        setter(FILES, "spec", "replicas", value=2),
        one("CLAIM-MULTI-ATTACH", "PersistentVolumeClaim shop/files"),
        "mounted by Deployment shop/files",
        severity=Severity.ERROR,
    ),
    Case(
        "CLAIM-ONCE-POD in a rollout",
        all_of(setter(STORAGE, "spec", "accessModes", value=["ReadWriteOncePod"]), ROLLING),
        one("CLAIM-ONCE-POD", "Deployment shop/files"),
        "ReadWriteOncePod",
        patched=True,
        severity=Severity.ERROR,
    ),
    Case(
        "HOSTPATH-ANYWHERE of a Deployment",
        all_of(
            in_pod(LONE, "volumes", value=[{"name": "data", "hostPath": {"path": "/srv/data"}}]),
            in_container(LONE, "volumeMounts", value=[{"name": "data", "mountPath": "/data"}]),
        ),
        one("HOSTPATH-ANYWHERE", "Deployment lab/lone"),
        "hostPath /srv/data, 3 nodes",
        severity=Severity.WARNING,
    ),
    Case(
        "STORAGECLASS-MISSING of a claim",
        setter("PersistentVolumeClaim/dumps", "spec", "storageClassName", value="shar"),
        one("STORAGECLASS-MISSING", "PersistentVolumeClaim shop/dumps"),
        "classes of the tree: block, local, share",
        severity=Severity.ERROR,
    ),
    Case(
        "STORAGECLASS-NO-DEFAULT of a plain cluster",
        all_of(
            setter("StorageClass/block", "metadata", "annotations", value=None),
            setter("PersistentVolumeClaim/dumps", "spec", "storageClassName", value=None),
        ),
        frozenset(
            {
                ("STORAGECLASS-NO-DEFAULT", "PersistentVolumeClaim shop/dumps"),
            }
        ),
        "PersistentVolumeClaim shop/dumps",
        severity=Severity.ERROR,
        cluster="plain",
    ),
    Case(
        "SNAPSHOTCLASS-MISSING of a snapshot",
        setter("VolumeSnapshot/files-today", "spec", "volumeSnapshotClassName", value="snapshots"),
        one("SNAPSHOTCLASS-MISSING", "VolumeSnapshot shop/files-today"),
        "snapshot classes of the tree: block-snapshots",
        patched=True,
        severity=Severity.ERROR,
    ),
    Case(
        "SNAPSHOTCLASS-IS-STORAGECLASS of a snapshot",
        setter("VolumeSnapshot/files-today", "spec", "volumeSnapshotClassName", value="block"),
        one("SNAPSHOTCLASS-IS-STORAGECLASS", "VolumeSnapshot shop/files-today"),
        "snapshot classes of that driver: block-snapshots",
        patched=True,
        severity=Severity.ERROR,
    ),
    Case(
        "NODE-SELECTOR-UNMATCHED by every node",
        in_pod(LONE, "nodeSelector", value={"disk": "ssd"}),
        one("NODE-SELECTOR-UNMATCHED", "Deployment lab/lone"),
        "disk on the nodes: none has it",
        patched=True,
        severity=Severity.ERROR,
    ),
    Case(
        "TAINT-UNTOLERATED on the only node that fits",
        in_pod(LONE, "nodeSelector", value={"gpu": "true"}),
        one("TAINT-UNTOLERATED", "Deployment lab/lone"),
        "node gpu has the taint gpu=:NoSchedule",
        patched=True,
        severity=Severity.ERROR,
        cluster="tainted",
    ),
    Case(
        "REQUEST-TOO-LARGE for the largest node",
        in_container(
            LONE, "resources", value={"requests": {"memory": "200Gi", "cpu": "1"}, "limits": {"memory": "200Gi"}}
        ),
        one("REQUEST-TOO-LARGE", "Deployment lab/lone"),
        "memory: requested 200Gi, the largest node has",
        severity=Severity.ERROR,
    ),
    Case(
        "POD-PENDING with one pod per node",
        all_of(
            setter(LEDGER, "spec", "replicas", value=4),
            in_pod(LEDGER, "affinity", value=APART),
            setter(*QUOTA, value={"requests.cpu": "8"}),
        ),
        one("POD-PENDING", "Deployment bank/ledger"),
        "3 node(s) didn't match pod anti-affinity rules",
        severity=Severity.ERROR,
    ),
    Case(
        "BUDGET-FORBIDS-DRAIN with as many as there are",
        setter(
            "PodDisruptionBudget/web",
            "spec",
            value={"minAvailable": "100%", "selector": {"matchLabels": {"app": "web"}}},
        ),
        one("BUDGET-FORBIDS-DRAIN", "PodDisruptionBudget shop/web"),
        "minAvailable 100%, 2 pods, 2 must stay healthy",
        patched=True,
        severity=Severity.WARNING,
    ),
    Case(
        "BUDGET-FORBIDS-DRAIN with nothing unavailable",
        setter("PodDisruptionBudget/web", "spec", "maxUnavailable", value=0),
        one("BUDGET-FORBIDS-DRAIN", "PodDisruptionBudget shop/web"),
        "Cannot evict pod as it would violate the pod's disruption budget.",
        patched=True,
    ),
    Case(
        "BUDGET-FORBIDS-DRAIN of a database with one instance",
        setter("Cluster/orders", "spec", "instances", value=1),
        one("BUDGET-FORBIDS-DRAIN", "Cluster shop/orders"),
        "minAvailable 1, 1 pods, 1 must stay healthy",
        patched=True,
    ),
    Case(
        "BUDGETS-OVERLAP on one pod",
        copied("PodDisruptionBudget/web", "also-web"),
        one("BUDGETS-OVERLAP", "PodDisruptionBudget shop/also-web"),
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        severity=Severity.WARNING,
    ),
    Case(
        "LIMIT-BELOW-REQUEST as written",
        in_container(LONE, "resources", "limits", "memory", value="128Mi"),
        one("LIMIT-BELOW-REQUEST", "Deployment lab/lone"),
        'requests: Invalid value: "256Mi": must be less than or equal to memory limit of 128Mi',
        patched=True,
        severity=Severity.ERROR,
    ),
    Case(
        "LIMIT-BELOW-REQUEST as a LimitRange fills it in",
        all_of(
            setter("LimitRange/bank", "spec", "limits", 0, value={"type": "Container", "default": {"memory": "1Gi"}}),
            in_container(LEDGER, "resources", value={"requests": {"cpu": "600m", "memory": "2Gi"}}),
        ),
        one("LIMIT-BELOW-REQUEST", "Deployment bank/ledger"),
        "LimitRanger plugin set: memory limit for container ledger",
        patched=True,
    ),
    Case(
        "MEMORY-LIMIT-ONLY reserves the limit",
        in_container(LONE, "resources", "requests", "memory", value=None),
        one("MEMORY-LIMIT-ONLY", "Deployment lab/lone"),
        "lone: limit 1Gi, request becomes the same",
        patched=True,
        severity=Severity.INFO,
    ),
    Case(
        "MEMORY-REQUEST-ONLY bounds nothing",
        in_container(LONE, "resources", "limits", value=None),
        one("MEMORY-REQUEST-ONLY", "Deployment lab/lone"),
        "lone: request 256Mi, no limit",
        patched=True,
        severity=Severity.INFO,
    ),
    Case(
        "SERVICEACCOUNT-MISSING in the API server's words",
        in_pod(WEB, "serviceAccountName", value="wbe"),
        one("SERVICEACCOUNT-MISSING", "Deployment shop/web"),
        'error looking up service account shop/wbe: serviceaccount "wbe" not found',
        severity=Severity.ERROR,
    ),
    Case(
        "KEY-MISSING of a ConfigMap",
        in_container(WEB, "env", 0, "valueFrom", "configMapKeyRef", "key", value="MODES"),
        one("KEY-MISSING", "Deployment shop/web"),
        "couldn't find key MODES in ConfigMap shop/web-settings",
        patched=True,
        severity=Severity.ERROR,
    ),
    Case(
        "KEY-MISSING of a backup's credentials",
        setter(
            "Cluster/orders", "spec", "backup", "barmanObjectStore", "s3Credentials", "accessKeyId", "key", value="ID"
        ),
        one("KEY-MISSING", "Cluster shop/orders"),
        "keys of Secret shop/s3",
    ),
    Case(
        "SERVICE-SELECTS-NOTHING by a typo",
        setter("Service/files", "spec", "selector", "app", value="file"),
        one("SERVICE-SELECTS-NOTHING", "Service shop/files"),
        "selector: app=file",
        patched=True,
        severity=Severity.WARNING,
    ),
    Case(
        "SERVICE-PORT-NAME that no container has",
        setter("Service/files", "spec", "ports", 0, "targetPort", value="web"),
        one("SERVICE-PORT-NAME", "Service shop/files"),
        "names of their ports: http (8081)",
        patched=True,
        severity=Severity.ERROR,
    ),
    Case(
        "SERVICE-PORT-CLOSED without a target port",
        setter("Service/files", "spec", "ports", 0, "port", value=80),
        one("SERVICE-PORT-CLOSED", "Service shop/files"),
        "declared: 8081; no setting says 80",
        patched=True,
        severity=Severity.WARNING,
    ),
    Case(
        "ROUTE-PORT by name",
        setter(
            "Ingress/web", "spec", "rules", 0, "http", "paths", 0, "backend", "service", "port", value={"name": "htp"}
        ),
        one("ROUTE-PORT", "Ingress shop/web"),
        "ports of Service shop/web (all.yaml:",
        patched=True,
        severity=Severity.ERROR,
    ),
    Case(
        "ROUTE-PORT by number",
        setter(
            "Ingress/registry", "spec", "rules", 0, "http", "paths", 0, "backend", "service", "port", "number", value=80
        ),
        one("ROUTE-PORT", "Ingress lab/registry"),
        "http 5000",
        patched=True,
    ),
    Case(
        "MONITOR-PORT of Services",
        setter("ServiceMonitor/web", "spec", "endpoints", 0, "port", value="metrics"),
        one("MONITOR-PORT", "ServiceMonitor shop/web"),
        "names of the ports: http",
        patched=True,
        severity=Severity.WARNING,
    ),
    Case(
        "MONITOR-PORT of pods",
        setter("PodMonitor/agent", "spec", "podMetricsEndpoints", 0, "port", value="metric"),
        one("MONITOR-PORT", "PodMonitor shop/agent"),
        "names of the ports: metrics",
        patched=True,
    ),
    Case(
        "MONITOR-SELECTS-NOTHING without a Prometheus in the tree",
        setter("PodMonitor/agent", "spec", "selector", "matchLabels", value={"app": "agnt"}),
        one("MONITOR-SELECTS-NOTHING", "PodMonitor shop/agent"),
        "selector: app=agnt",
        severity=Severity.WARNING,
    ),
    Case(
        "NO-READINESS in a rolling update",
        in_container(WEB, "readinessProbe", value=None),
        one("NO-READINESS", "Deployment shop/web"),
        "behind Service shop/web",
        patched=True,
        severity=Severity.WARNING,
    ),
    Case(
        "NO-READINESS of a single pod that is replaced",
        in_container(FILES, "readinessProbe", value=None),
        one("NO-READINESS", "Deployment shop/files"),
        "1 replicas",
        patched=True,
        severity=Severity.INFO,
    ),
    Case(
        "POLICY-SELECTS-NOTHING by a typo",
        setter("NetworkPolicy/web", "spec", "podSelector", "matchLabels", "app", value="wep"),
        one("POLICY-SELECTS-NOTHING", "NetworkPolicy shop/web"),
        "selector: app=wep",
        patched=True,
        severity=Severity.WARNING,
    ),
    Case(
        "BUDGET-SELECTS-NOTHING by a typo",
        setter("PodDisruptionBudget/web", "spec", "selector", "matchLabels", "app", value="wep"),
        one("BUDGET-SELECTS-NOTHING", "PodDisruptionBudget shop/web"),
        "selector: app=wep",
        patched=True,
        severity=Severity.WARNING,
    ),
    Case(
        "PROBE-PORT-NAME that the container lacks",
        in_container(WEB, "readinessProbe", "httpGet", "port", value="htpp"),
        one("PROBE-PORT-NAME", "Deployment shop/web"),
        "names of its ports: http",
        patched=True,
        severity=Severity.ERROR,
    ),
    Case(
        "PROBE-PORT-CLOSED that nothing speaks of",
        in_container(WEB, "livenessProbe", "httpGet", "port", value=9090),
        one("PROBE-PORT-CLOSED", "Deployment shop/web"),
        "declared: 8080; no setting says 9090",
        patched=True,
        severity=Severity.WARNING,
    ),
    Case(
        "PROBE-KILLS-START of a slow app",
        in_container(
            LONE, "livenessProbe", value={"httpGet": {"path": "/status.php", "port": "http"}, "periodSeconds": 2}
        ),
        one("PROBE-KILLS-START", "Deployment lab/lone"),
        "nextcloud takes about",
        patched=True,
        severity=Severity.WARNING,
    ),
    Case(
        "PROBE-TIMEOUT above the period",
        in_container(WEB, "readinessProbe", "timeoutSeconds", value=30),
        one("PROBE-TIMEOUT", "Deployment shop/web"),
        "3 failures are noticed after 90 s instead of 15 s",
        patched=True,
        severity=Severity.INFO,
    ),
    Case(
        "HPA-TARGET-MISSING by a typo",
        setter("HorizontalPodAutoscaler/lone", "spec", "scaleTargetRef", "name", value="lonely"),
        one("HPA-TARGET-MISSING", "HorizontalPodAutoscaler lab/lone"),
        "Deployments of the namespace: lone, registry, dns",
        patched=True,
        severity=Severity.ERROR,
    ),
    Case(
        "HPA-NO-REQUESTS to divide by",
        in_container(LONE, "resources", "requests", "cpu", value=None),
        one("HPA-NO-REQUESTS", "HorizontalPodAutoscaler lab/lone"),
        "missing request for cpu in container lone",
        patched=True,
        severity=Severity.ERROR,
    ),
    Case(
        "HPA-OVER-QUOTA at its maximum",
        setter("HorizontalPodAutoscaler/web", "spec", "maxReplicas", value=100),
        one("HPA-OVER-QUOTA", "HorizontalPodAutoscaler shop/web"),
        "exceeded quota: shop",
        patched=True,
        severity=Severity.WARNING,
    ),
    Case(
        "SCHEDULE-NEVER-FIRES in February",
        setter("CronJob/tidy", "spec", "schedule", value="0 5 31 2 *"),
        one("SCHEDULE-NEVER-FIRES", "CronJob shop/tidy"),
        "'0 5 31 2 *'",
        severity=Severity.ERROR,
    ),
    Case(
        "SCHEDULE-NEVER-FIRES when it cannot be read",
        setter("CronJob/tidy", "spec", "schedule", value="61 * * * *"),
        one("SCHEDULE-NEVER-FIRES", "CronJob shop/tidy"),
        "end of range (61) above maximum (59): 61",
    ),
    Case(
        "SCHEDULE-FIVE-FIELDS of a database backup",
        setter("ScheduledBackup/orders", "spec", "schedule", value="0 2 * * *"),
        one("SCHEDULE-FIVE-FIELDS", "ScheduledBackup shop/orders"),
        "a ScheduledBackup has six fields, seconds first",
        patched=True,
        severity=Severity.WARNING,
    ),
    Case(
        "CRON-OVERLAP-QUOTA on the first Monday of a month",
        setter("CronJob/statement", "spec", "schedule", value="15 4 * * 1"),
        one("CRON-OVERLAP-QUOTA", "CronJob bank/statement"),
        "exceeded quota: bank, requested: requests.cpu=800m, used: requests.cpu=1400m, limited: requests.cpu=2",
        severity=Severity.WARNING,
    ),
    Case(
        "DATABASE-NO-BACKUP of a single PostgreSQL",
        removed("CronJob/dump"),
        one("DATABASE-NO-BACKUP", "StatefulSet shop/postgres"),
        "instances: 1; data in data-postgres-0",
        severity=Severity.WARNING,
    ),
    Case(
        "DATABASE-NO-BACKUP of a cluster whose destination nothing uses",
        removed("ScheduledBackup/orders"),
        one("DATABASE-NO-BACKUP", "Cluster shop/orders"),
        "a backup destination is set, but no ScheduledBackup makes one",
        severity=Severity.INFO,
    ),
    Case(
        "DATA-NOT-KEPT beyond the pod",
        all_of(
            setter("StatefulSet/postgres", "spec", "volumeClaimTemplates", value=None),
            in_pod("StatefulSet/postgres", "volumes", value=[{"name": "data", "emptyDir": {}}]),
        ),
        one("DATA-NOT-KEPT", "StatefulSet shop/postgres"),
        "mounts: /var/lib/postgresql/data",
        severity=Severity.ERROR,
    ),
    Case(
        "BACKUP-BESIDE-DATA on the volume of the data",
        in_pod("CronJob/dump", "volumes", 0, "persistentVolumeClaim", "claimName", value="data-postgres-0"),
        frozenset(
            {
                ("BACKUP-BESIDE-DATA", "StatefulSet shop/postgres"),
                ("GRAPH-SHARED-CLAIM", "PersistentVolumeClaim shop/data-postgres-0"),
            }
        ),
        "it is written to the volume of the data (data-postgres-0)",
        severity=Severity.WARNING,
    ),
    Case(
        "BACKUP-BESIDE-DATA as a snapshot on the same disk",
        setter(STORAGE, "spec", "storageClassName", value="local"),
        frozenset(
            {("BACKUP-BESIDE-DATA", "PersistentVolumeClaim shop/files"), ("CLAIM-PINNED", "Deployment shop/files")}
        ),
        "a snapshot on the disk of its volume (class local (rancher.io/local-path))",
    ),
    Case(
        "BACKUP-NO-TARGET for the method",
        setter("ScheduledBackup/orders", "spec", "method", value="volumeSnapshot"),
        one("BACKUP-NO-TARGET", "ScheduledBackup shop/orders"),
        "Cluster shop/orders is at all.yaml:",
        patched=True,
        severity=Severity.ERROR,
    ),
    Case(
        "BACKUP-NO-TARGET of that name",
        setter("ScheduledBackup/orders", "spec", "cluster", "name", value="order"),
        frozenset({("BACKUP-NO-TARGET", "ScheduledBackup shop/orders"), ("DATABASE-NO-BACKUP", "Cluster shop/orders")}),
        "clusters of the tree: orders",
    ),
    Case(
        "BACKUP-STORE-MISSING of a plugin",
        setter(
            "Cluster/orders",
            "spec",
            "plugins",
            value=[{"name": "barman-cloud.cloudnative-pg.io", "parameters": {"barmanObjectName": "s3"}}],
        ),
        one("BACKUP-STORE-MISSING", "Cluster shop/orders"),
        "object stores of the namespace: none",
        severity=Severity.ERROR,
    ),
    Case(
        "BACKUP-SUSPENDED for a while",
        setter("ScheduledBackup/orders", "spec", "suspend", value=True),
        one("BACKUP-SUSPENDED", "ScheduledBackup shop/orders"),
        "spec.suspend: true",
        patched=True,
        severity=Severity.WARNING,
    ),
    Case(
        "BACKUP-NO-RETENTION fills the store",
        setter("Cluster/orders", "spec", "backup", "retentionPolicy", value=None),
        one("BACKUP-NO-RETENTION", "Cluster shop/orders"),
        "spec.backup.retentionPolicy is not set",
        patched=True,
        severity=Severity.WARNING,
    ),
    Case(
        "REGISTRY-NEEDS-ITSELF to start",
        in_container("Deployment/registry", "image", value="images.example.org/library/registry:3"),
        one("REGISTRY-NEEDS-ITSELF", "Deployment lab/registry"),
        "images.example.org is served by Deployment lab/registry",
        severity=Severity.ERROR,
    ),
    Case(
        "REGISTRY-IN-CLUSTER of others",
        in_container(WEB, "image", value=OWN_REGISTRY),
        one("REGISTRY-IN-CLUSTER", "Deployment shop/web"),
        "used by Deployment shop/web",
        severity=Severity.WARNING,
    ),
    Case(
        "DNS-NEEDS-ITSELF to find its image",
        setter("Service/dns", "spec", "type", value="LoadBalancer"),
        one("DNS-NEEDS-ITSELF", "Deployment lab/dns"),
        "its image docker.io/adguard/adguardhome:v0.107.60 has to be found by name",
        severity=Severity.INFO,
    ),
    Case(
        "DNS-NEEDS-ITSELF and the registry",
        all_of(
            setter("Service/dns", "spec", "type", value="LoadBalancer"),
            in_container("Deployment/dns", "image", value="images.example.org/adguard/adguardhome:v0.107.60"),
        ),
        frozenset({("DNS-NEEDS-ITSELF", "Deployment lab/dns"), ("REGISTRY-IN-CLUSTER", "Deployment lab/dns")}),
        "comes from a registry in the cluster",
        severity=Severity.ERROR,
    ),
)
