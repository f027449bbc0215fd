"""The reference platform with one thing broken per rule: exactly that comes up, about exactly that object.

Mutations of one batch touch different objects and are made at once, so that the platform is read and placed a few
times only.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from models.objects import KubeObject, Origin, Rendered
from models.render import render_text, render_tree
from models.scenario import Cluster, Taint
from models.scenario_file import load_scenario
from sim.checks import all_checks, run_checks
from sim.standing import stand

Manifest = dict[str, Any]
Change = Callable[[Manifest], None]
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Mutation:
    """What changes by object ("Kind namespace/name"; None: the object goes) and what must come up besides the rule."""

    code: str
    subject: str
    changes: dict[str, Change | None]
    batch: int = 0
    also: tuple[tuple[str, str], ...] = ()
    added: str = ""
    expected: frozenset[tuple[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "expected", frozenset({(self.code, self.subject), *self.also}))


def at(*path: str | int, value: Any) -> Change:
    """Set (with None: delete) a field."""

    def change(manifest: Manifest) -> None:
        here: Any = manifest
        for step in path[:-1]:
            here = here.setdefault(step, {}) if isinstance(here, dict) else here[step]
        if value is None:
            here.pop(path[-1], None)
        else:
            here[path[-1]] = value

    return change


def pod_at(*path: str | int, value: Any) -> Change:
    """Set a field of the pod template's spec."""

    def change(manifest: Manifest) -> None:
        spec = manifest["spec"]
        spec = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec
        at(*path, value=value)(spec["template"]["spec"])

    return change


def main_at(*path: str | int, value: Any) -> Change:
    """Set a field of the first container."""
    return pod_at("containers", 0, *path, value=value)


def several(*changes: Change) -> Change:
    def change(manifest: Manifest) -> None:
        for item in changes:
            item(manifest)

    return change


SURGING = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
PLAIN = 9
"""The batch that runs on plain Kubernetes: k3s has a default class of its own."""
REGISTRY = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: registry, namespace: images}
spec:
  selector: {matchLabels: {app: registry}}
  template:
    metadata: {labels: {app: registry}}
    spec:
      containers:
        - name: registry
          image: docker.io/library/registry:3
          ports: [{name: http, containerPort: 5000}]
          resources: {requests: {cpu: 10m, memory: 64Mi}, limits: {memory: 128Mi}}
          readinessProbe: {httpGet: {path: /, port: http}}
---
apiVersion: v1
kind: Service
metadata: {name: registry, namespace: images}
spec: {selector: {app: registry}, ports: [{name: http, port: 5000}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: registry, namespace: images}
spec:
  ingressClassName: traefik
  rules:
    - host: images.example.org
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: registry, port: {number: 5000}}}}]}
"""
DNS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: dns, namespace: names}
spec:
  selector: {matchLabels: {app: dns}}
  template:
    metadata: {labels: {app: dns}}
    spec:
      containers:
        - name: dns
          image: docker.io/adguard/adguardhome:v0.107.60
          ports: [{name: dns, containerPort: 53, hostPort: 53, protocol: UDP}]
          resources: {requests: {cpu: 10m, memory: 64Mi}, limits: {memory: 128Mi}}
"""
BLOCK = """
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: block}
provisioner: driver.longhorn.io
"""
NEXTCLOUD_DATA = "PersistentVolumeClaim utils/nextcloud-data"
GRAFANA_DATA = "PersistentVolumeClaim monitoring/grafana-data"

MUTATIONS = (
    Mutation(
        "QUOTA-UNSPECIFIED",
        "Deployment argocd/argocd-redis",
        {
            "LimitRange argocd/defaults": None,
            "Deployment argocd/argocd-redis": main_at("resources", "limits", value=None),
        },
        also=(("MEMORY-REQUEST-ONLY", "Deployment argocd/argocd-redis"),),
    ),
    Mutation(
        "QUOTA-EXCEEDED",
        "CronJob utils/tandoor-db-dump",
        {"CronJob utils/tandoor-db-dump": main_at("resources", "requests", "cpu", value="4")},
    ),
    Mutation(
        "QUOTA-OBJECTS",
        "ResourceQuota monitoring/monitoring",
        {"ResourceQuota monitoring/monitoring": at("spec", "hard", "persistentvolumeclaims", value="2")},
    ),
    Mutation(
        "LIMITRANGE-REFUSED",
        "Deployment infra/metallb-controller",
        {"Deployment infra/metallb-controller": main_at("resources", "limits", "memory", value="2100Mi")},
    ),
    Mutation(
        "PRIORITYCLASS-MISSING",
        "Deployment monitoring/kube-state-metrics",
        {"Deployment monitoring/kube-state-metrics": pod_at("priorityClassName", value="platform-critica")},
    ),
    Mutation(
        "ROLLOUT-STUCK",
        "DaemonSet monitoring/node-exporter",
        {"DaemonSet monitoring/node-exporter": at("spec", "updateStrategy", value=SURGING)},
    ),
    Mutation(
        "CLAIM-PINNED",
        "Deployment utils/immich-server",
        {
            "PersistentVolumeClaim utils/immich-library": several(
                at("spec", "storageClassName", value="local-path-utils"), at("spec", "volumeName", value=None)
            )
        },
    ),
    Mutation(
        "CLAIM-TWO-WRITERS",
        "Deployment htpc/bazarr",
        {"Deployment htpc/bazarr": at("spec", "strategy", value=None)},
    ),
    Mutation(
        "CLAIM-ROLLOUT-ATTACH",
        "Deployment monitoring/grafana",
        {
            GRAFANA_DATA: at("spec", "storageClassName", value="block"),
            "Deployment monitoring/grafana": at("spec", "strategy", value=None),
        },
        added=BLOCK,
    ),
    Mutation(
        "CLAIM-MULTI-ATTACH",
        NEXTCLOUD_DATA,
        {NEXTCLOUD_DATA: at("spec", "storageClassName", value="block")},
        batch=1,
        added=BLOCK,
    ),
    Mutation(
        "CLAIM-ONCE-POD",
        "Deployment htpc/prowlarr",
        {
            "PersistentVolumeClaim htpc/prowlarr-config": at("spec", "accessModes", value=["ReadWriteOncePod"]),
            "Deployment htpc/prowlarr": at("spec", "strategy", value=None),
        },
    ),
    Mutation(
        "HOSTPATH-ANYWHERE",
        "Deployment monitoring/jaeger",
        {
            "Deployment monitoring/jaeger": pod_at(
                "volumes",
                value=[{"name": "data", "hostPath": {"path": "/srv/jaeger"}}, {"name": "tmp", "emptyDir": {}}],
            )
        },
    ),
    Mutation(
        "STORAGECLASS-MISSING",
        "PersistentVolumeClaim htpc/radarr-config",
        {"PersistentVolumeClaim htpc/radarr-config": at("spec", "storageClassName", value="local-path-htp")},
        batch=2,
    ),
    Mutation(
        "STORAGECLASS-NO-DEFAULT",
        "PersistentVolumeClaim htpc/radarr-config",
        {"PersistentVolumeClaim htpc/radarr-config": at("spec", "storageClassName", value=None)},
        batch=PLAIN,
    ),
    Mutation(
        "SNAPSHOTCLASS-MISSING",
        "VolumeSnapshot utils/nextcloud-data-before-31",
        {"VolumeSnapshot utils/nextcloud-data-before-31": at("spec", "volumeSnapshotClassName", value="zfs")},
    ),
    Mutation(
        "SNAPSHOTCLASS-IS-STORAGECLASS",
        "VolumeSnapshot utils/nextcloud-data-before-31",
        {"VolumeSnapshot utils/nextcloud-data-before-31": at("spec", "volumeSnapshotClassName", value="zfs-utils")},
        batch=1,
    ),
    Mutation(
        "NODE-SELECTOR-UNMATCHED",
        "Deployment infra/sealed-secrets",
        {"Deployment infra/sealed-secrets": pod_at("nodeSelector", value={"disk": "ssd"})},
    ),
    Mutation(
        "TAINT-UNTOLERATED",
        "Deployment infra/external-dns",
        {"Deployment infra/external-dns": pod_at("nodeSelector", value={"gpu": "true"})},
    ),
    Mutation(
        "REQUEST-TOO-LARGE",
        "Deployment infra/cert-manager",
        {
            "Deployment infra/cert-manager": main_at(
                "resources", "requests", value={"cpu": "25m", "memory": "96Mi", "example.org/gpu": "1"}
            ),
        },
    ),
    Mutation(
        "POD-PENDING",
        "Deployment utils/nextcloud-redis",
        {
            "Deployment utils/nextcloud-redis": pod_at(
                "affinity",
                value={
                    "podAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": [
                            {"labelSelector": {"matchLabels": {"app": "none"}}, "topologyKey": "kubernetes.io/hostname"}
                        ]
                    }
                },
            )
        },
    ),
    Mutation(
        "BUDGET-FORBIDS-DRAIN",
        "PodDisruptionBudget infra/traefik",
        {"PodDisruptionBudget infra/traefik": at("spec", "maxUnavailable", value=0)},
    ),
    Mutation(
        "BUDGETS-OVERLAP",
        "PodDisruptionBudget utils/homepage-again",
        {},
        added="""
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: homepage-again, namespace: utils}
spec: {maxUnavailable: 1, selector: {matchLabels: {app.kubernetes.io/name: homepage}}}
""",
    ),
    Mutation(
        "LIMIT-BELOW-REQUEST",
        "Deployment htpc/jellyseerr",
        {"Deployment htpc/jellyseerr": main_at("resources", "limits", "memory", value="1Mi")},
    ),
    Mutation(
        "MEMORY-LIMIT-ONLY",
        "Deployment infra/system-upgrade-controller",
        {"Deployment infra/system-upgrade-controller": main_at("resources", "requests", "memory", value=None)},
    ),
    Mutation(
        "MEMORY-REQUEST-ONLY",
        "Deployment argocd/argocd-server",
        {
            "LimitRange argocd/defaults": None,
            "ResourceQuota argocd/argocd": None,
            "Deployment argocd/argocd-server": main_at("resources", "limits", value=None),
        },
        batch=1,
    ),
    Mutation(
        "SERVICEACCOUNT-MISSING",
        "Deployment utils/homepage",
        {"Deployment utils/homepage": pod_at("serviceAccountName", value="home-page")},
    ),
    Mutation(
        "KEY-MISSING",
        "CronJob utils/nextcloud-db-dump",
        {"CronJob utils/nextcloud-db-dump": main_at("env", 1, "valueFrom", "secretKeyRef", "key", value="login")},
    ),
    Mutation(
        "SERVICE-SELECTS-NOTHING",
        "Service htpc/spare",
        {},
        added="""
apiVersion: v1
kind: Service
metadata: {name: spare, namespace: htpc}
spec: {selector: {app: spare}, ports: [{port: 80}]}
""",
    ),
    Mutation(
        "SERVICE-PORT-NAME",
        "Service argocd/argocd-repo-server",
        {"Service argocd/argocd-repo-server": at("spec", "ports", 0, "targetPort", value="srever")},
        also=tuple(
            # The policies speak of the port that the name meant.
            ("GRAPH-POLICY-FORBIDS", name)
            for name in (
                "Deployment argocd/argocd-applicationset-controller",
                "Deployment argocd/argocd-server",
                "StatefulSet argocd/argocd-application-controller",
            )
        ),
    ),
    Mutation(
        "SERVICE-PORT-CLOSED",
        "Service monitoring/kube-state-metrics",
        {"Service monitoring/kube-state-metrics": at("spec", "ports", 0, "targetPort", value=9999)},
        also=(("GRAPH-POLICY-FORBIDS", "Prometheus monitoring/prometheus"),),
    ),
    Mutation(
        "ROUTE-PORT",
        "IngressRoute htpc/radarr",
        {"IngressRoute htpc/radarr": at("spec", "routes", 0, "services", 0, "port", value="htttp")},
    ),
    Mutation(
        "MONITOR-PORT",
        "ServiceMonitor infra/auth",
        {"ServiceMonitor infra/auth": at("spec", "endpoints", 0, "port", value="metric")},
    ),
    Mutation(
        "MONITOR-SELECTS-NOTHING",
        "ServiceMonitor monitoring/loki",
        {
            "Prometheus monitoring/prometheus": None,
            "ServiceMonitor monitoring/loki": at("spec", "selector", "matchLabels", value={"app": "lokki"}),
        },
        batch=4,
        also=(
            ("GRAPH-NO-ENDPOINTS", "Service monitoring/prometheus"),
            ("POLICY-SELECTS-NOTHING", "NetworkPolicy monitoring/prometheus"),
        ),
    ),
    Mutation(
        "NO-READINESS",
        "Deployment infra/auth",
        {"Deployment infra/auth": main_at("readinessProbe", value=None)},
    ),
    Mutation(
        "POLICY-SELECTS-NOTHING",
        "NetworkPolicy htpc/spare",
        {},
        added="""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: spare, namespace: htpc}
spec: {podSelector: {matchLabels: {app: spare}}, policyTypes: [Ingress]}
""",
    ),
    Mutation(
        "BUDGET-SELECTS-NOTHING",
        "PodDisruptionBudget infra/cloudflared",
        {"PodDisruptionBudget infra/cloudflared": at("spec", "selector", "matchLabels", value={"app": "cloudflare"})},
    ),
    Mutation(
        "PROBE-PORT-NAME",
        "StatefulSet monitoring/loki",
        {"StatefulSet monitoring/loki": main_at("readinessProbe", "httpGet", "port", value="htttp")},
    ),
    Mutation(
        "PROBE-PORT-CLOSED",
        "Deployment htpc/jellyfin",
        {"Deployment htpc/jellyfin": main_at("livenessProbe", "httpGet", "port", value=9999)},
    ),
    Mutation(
        "PROBE-KILLS-START",
        "Deployment utils/immich-server",
        {
            "Deployment utils/immich-server": several(
                main_at("startupProbe", "periodSeconds", value=1), main_at("startupProbe", "failureThreshold", value=2)
            )
        },
    ),
    Mutation(
        "PROBE-TIMEOUT",
        "Deployment htpc/radarr",
        {"Deployment htpc/radarr": main_at("readinessProbe", "timeoutSeconds", value=120)},
    ),
    Mutation(
        "HPA-TARGET-MISSING",
        "HorizontalPodAutoscaler utils/immich-machine-learning",
        {
            "HorizontalPodAutoscaler utils/immich-machine-learning": at(
                "spec", "scaleTargetRef", "name", value="immich-ml"
            )
        },
    ),
    Mutation(
        "HPA-NO-REQUESTS",
        "HorizontalPodAutoscaler utils/immich-machine-learning",
        {
            "LimitRange utils/defaults": None,
            "ResourceQuota utils/utils": None,
            "Deployment utils/immich-machine-learning": main_at(
                "resources", value={"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi"}}
            ),
        },
        batch=1,
    ),
    Mutation(
        "HPA-OVER-QUOTA",
        "HorizontalPodAutoscaler utils/immich-machine-learning",
        {"HorizontalPodAutoscaler utils/immich-machine-learning": at("spec", "maxReplicas", value=50)},
        batch=2,
    ),
    Mutation(
        "SCHEDULE-NEVER-FIRES",
        "CronJob utils/nextcloud-cron",
        {"CronJob utils/nextcloud-cron": at("spec", "schedule", value="0 0 30 2 *")},
    ),
    Mutation(
        "SCHEDULE-FIVE-FIELDS",
        "ScheduledBackup utils/nextcloud-db",
        {"ScheduledBackup utils/nextcloud-db": at("spec", "schedule", value="20 2 * * *")},
    ),
    Mutation(
        "CRON-OVERLAP-QUOTA",
        "CronJob utils/nextcloud-db-dump",
        {
            "CronJob utils/nextcloud-db-dump": main_at("resources", "requests", "cpu", value="1500m"),
            "CronJob utils/immich-db-dump": several(
                main_at("resources", "requests", "cpu", value="1500m"), at("spec", "schedule", value="5 3 * * *")
            ),
        },
        batch=3,
    ),
    Mutation(
        "DATABASE-NO-BACKUP",
        "Cluster utils/tandoor-db",
        {"ScheduledBackup utils/tandoor-db": None, "CronJob utils/tandoor-db-dump": None},
        batch=1,
        also=(("POLICY-SELECTS-NOTHING", "NetworkPolicy utils/tandoor-db-dump"),),
    ),
    Mutation(
        "DATA-NOT-KEPT",
        "Deployment infra/spare",
        {},
        added="""
apiVersion: apps/v1
kind: Deployment
metadata: {name: spare, namespace: infra}
spec:
  selector: {matchLabels: {app: spare}}
  template:
    metadata: {labels: {app: spare}}
    spec: {containers: [{name: db, image: docker.io/library/mariadb:11}]}
""",
    ),
    Mutation(
        "BACKUP-BESIDE-DATA",
        "PersistentVolumeClaim utils/tandoor-files",
        {},
        added="""
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {name: tandoor-files, namespace: utils}
spec: {volumeSnapshotClassName: zfs-snapshots, source: {persistentVolumeClaimName: tandoor-files}}
""",
    ),
    Mutation(
        "BACKUP-NO-TARGET",
        "ScheduledBackup utils/nextcloud-db",
        {"ScheduledBackup utils/nextcloud-db": at("spec", "method", value="volumeSnapshot")},
        batch=1,
    ),
    Mutation(
        "BACKUP-STORE-MISSING",
        "Cluster utils/immich-db",
        {
            "Cluster utils/immich-db": at(
                "spec",
                "plugins",
                value=[{"name": "barman-cloud.cloudnative-pg.io", "parameters": {"barmanObjectName": "nas"}}],
            )
        },
    ),
    Mutation(
        "BACKUP-SUSPENDED",
        "ScheduledBackup utils/immich-db",
        {"ScheduledBackup utils/immich-db": at("spec", "suspend", value=True)},
    ),
    Mutation(
        "BACKUP-NO-RETENTION",
        "Cluster utils/nextcloud-db",
        {"Cluster utils/nextcloud-db": at("spec", "backup", "retentionPolicy", value=None)},
    ),
    Mutation(
        "REGISTRY-IN-CLUSTER",
        "Deployment utils/homepage",
        {"Deployment utils/homepage": main_at("image", value="images.example.org/gethomepage/homepage:v1")},
        batch=1,
        also=(("GRAPH-POLICY-FORBIDS", "Ingress images/registry"),),
        added=REGISTRY,
    ),
    Mutation(
        "REGISTRY-NEEDS-ITSELF",
        "Deployment images/registry",
        {},
        batch=2,
        also=(("GRAPH-POLICY-FORBIDS", "Ingress images/registry"),),
        added=REGISTRY.replace("docker.io/library/registry:3", "images.example.org/library/registry:3"),
    ),
    Mutation("DNS-NEEDS-ITSELF", "Deployment names/dns", {}, added=DNS),
)


@functools.cache
def rendered() -> Rendered:
    return render_tree(ROOT / "scenarios" / "homelab" / "overlays" / "production")


@functools.cache
def cluster() -> list[Cluster]:
    """The scenario's machines, and a fourth one that nothing tolerates."""
    loaded = load_scenario(ROOT / "scenarios" / "node-loss.yaml").scenario.spec.cluster
    last = loaded.nodes[-1]
    extra = last.model_copy(
        update={"name": "odd", "labels": {"gpu": "true"}, "taints": (Taint(key="odd", effect="NoSchedule"),)}
    )
    return [loaded.model_copy(update={"nodes": (*loaded.nodes, extra)})]


def told(tree: Rendered, distribution: str) -> frozenset[tuple[str, str]]:
    hardware = cluster()[0].model_copy(update={"distribution": distribution})
    return frozenset((item.code, item.subject) for item in run_checks(stand(tree, hardware)))


@functools.cache
def baseline(distribution: str) -> frozenset[tuple[str, str]]:
    return told(rendered(), distribution)


def broken(mutations: list[Mutation]) -> Rendered:
    """The platform with all mutations of a batch, in memory."""
    changes = {name: change for item in mutations for name, change in item.changes.items()}
    assert len(changes) == sum(len(item.changes) for item in mutations), "two mutations touch one object"
    objects, seen = [], set()
    for item in rendered().objects:
        name = f"{item.kind} {item.namespace}/{item.name}" if item.namespace else f"{item.kind} {item.name}"
        if name not in changes:
            objects.append(item)
            continue
        seen.add(name)
        change = changes[name]
        if change is not None:
            manifest = copy.deepcopy(item.manifest)
            change(manifest)
            objects.append(KubeObject(manifest, Origin(item.origin.file, item.origin.line)))
    assert seen == set(changes), "a mutation names an object that is not there"
    added = "\n---\n".join(item.added for item in mutations if item.added)
    base = Rendered(tuple(objects), rendered().missing, rendered().roots, rendered().lines)
    return base + render_text(added, file="added.yaml") if added else base


@pytest.mark.parametrize("batch", sorted({item.batch for item in MUTATIONS}))
def test_mutations_of_the_reference_platform_are_found_and_nothing_else(batch: int) -> None:
    mutations = [item for item in MUTATIONS if item.batch == batch]
    expected = frozenset().union(*(item.expected for item in mutations))
    distribution = "kubernetes" if batch == PLAIN else "k3s"
    found = told(broken(mutations), distribution) - baseline(distribution)
    assert sorted(found) == sorted(expected)


def test_every_rule_is_tried_on_the_reference_platform() -> None:
    assert {check.code for check in all_checks()} - {item.code for item in MUTATIONS} == set()
