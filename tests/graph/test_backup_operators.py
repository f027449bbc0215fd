"""Velero, VolSync, snapshots and k3s' charts: what they run, what they copy, and what they do not."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphs import edges, graph, platform

from models.gitops import render_whole
from models.platform import read_platform

CLAIMS = """
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: photos, namespace: media, labels: {app: photos}}
spec: {storageClassName: ceph, accessModes: [ReadWriteMany], resources: {requests: {storage: 10Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: cache, namespace: media, labels: {velero.io/exclude-from-backup: "true"}}
spec: {storageClassName: ceph, resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: config, namespace: home}
spec: {storageClassName: local-path, resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: home}
spec: {storageClassName: ceph, resources: {requests: {storage: 1Gi}}}
"""


def velero(template: str, extra: str = "") -> str:
    return f"""
---
apiVersion: velero.io/v1
kind: Schedule
metadata: {{name: nightly, namespace: velero}}
spec: {{schedule: "0 3 * * *", template: {{{template}}}{extra}}}
"""


def copied(text: str) -> set[str]:
    return {target.partition(" ")[2] for _, target, _ in edges(graph(text), "backs-up")}


@pytest.mark.parametrize(
    ("template", "extra", "claims"),
    [
        ("", "", {"media/photos", "home/data"}),
        ("includedNamespaces: [media]", "", {"media/photos"}),
        ("includedNamespaces: ['*'], excludedNamespaces: [media]", "", {"home/data"}),
        ("labelSelector: {matchLabels: {app: photos}}", "", {"media/photos"}),
        ("orLabelSelectors: [{matchLabels: {app: none}}, {matchLabels: {app: photos}}]", "", {"media/photos"}),
        ("includedResources: [deployments]", "", set()),
        ("excludedResources: [persistentvolumeclaims]", "", set()),
        ("snapshotVolumes: false", "", set()),
        ("", ", paused: true", set()),
    ],
)
def test_velero_copies_the_claims_that_its_filters_let_through(template: str, extra: str, claims: set[str]) -> None:
    assert copied(CLAIMS + velero(template, extra)) == claims


def reader(note: str = "") -> str:
    return f"""
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: reader, namespace: home}}
spec:
  template:
    metadata: {{labels: {{app: reader}}, annotations: {{{note}}}}}
    spec:
      containers: [{{name: main, image: reader}}]
      volumes: [{{name: vol, persistentVolumeClaim: {{claimName: data}}}}]
"""


FILES = "snapshotVolumes: false, defaultVolumesToFsBackup"


@pytest.mark.parametrize(
    ("template", "note", "claims"),
    [
        ("snapshotVolumes: false, defaultVolumesToFsBackup: true", "", {"home/data"}),
        (
            "snapshotVolumes: false, defaultVolumesToFsBackup: true",
            "backup.velero.io/backup-volumes-excludes: vol",
            set(),
        ),
        ("snapshotVolumes: false", "backup.velero.io/backup-volumes: vol", {"home/data"}),
        ("snapshotVolumes: false", "backup.velero.io/backup-volumes: other", set()),
    ],
)
def test_without_snapshots_velero_copies_what_running_pods_mount(template: str, note: str, claims: set[str]) -> None:
    assert copied(CLAIMS + reader(note) + velero(template)) == claims


def test_velero_cannot_copy_the_host_path_volumes_of_local_path_unless_they_are_local() -> None:
    klass = """
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: local-path, annotations: {defaultVolumeType: local}}
provisioner: rancher.io/local-path
"""
    assert "home/config" not in copied(CLAIMS + velero(""))
    assert "home/config" in copied(CLAIMS + klass + velero(""))


def test_schedules_are_on_the_nodes() -> None:
    built = graph(CLAIMS + velero("") + SOURCE)
    assert built.nodes["Schedule velero/nightly"]["schedule"] == "0 3 * * *"
    assert built.nodes["ReplicationSource media/photos"]["schedule"] == "0 4 * * *"


SOURCE = """
---
apiVersion: volsync.backube/v1alpha1
kind: ReplicationSource
metadata: {name: photos, namespace: media}
spec:
  sourcePVC: photos
  trigger: {schedule: "0 4 * * *"}
  restic:
    repository: photos-restic
    copyMethod: Direct
    cacheCapacity: 2Gi
    cacheStorageClassName: fast
    moverResources: {requests: {cpu: 100m, memory: 256Mi}, limits: {memory: 512Mi}}
"""


def test_volsync_runs_its_mover_on_the_schedule_with_its_resources_and_a_cache() -> None:
    read = platform(CLAIMS + SOURCE)
    (workload,) = read.workloads
    assert (workload.id, workload.schedule) == ("CronJob media/volsync-src-photos", "0 4 * * *")
    (container,) = workload.containers
    assert container["resources"] == {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}}
    claimed = {item["persistentVolumeClaim"]["claimName"] for item in workload.pod_spec["volumes"]}
    assert claimed == {"photos", "volsync-src-photos-cache"}
    cache = read.get("PersistentVolumeClaim", "media", "volsync-src-photos-cache")
    assert cache is not None
    assert cache.spec == {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "fast",
        "resources": {"requests": {"storage": "2Gi"}},
    }


def test_a_volsync_source_is_one_node_that_copies_the_claim_and_uses_its_secret() -> None:
    built = graph(CLAIMS + SOURCE)
    node = "ReplicationSource media/photos"
    assert built.nodes[node]["workloads"] == ("CronJob media/volsync-src-photos",)
    assert not any(name.startswith("CronJob ") for name in built)
    assert edges(built, "backs-up") == {(node, "PersistentVolumeClaim media/photos", "backs-up")}
    assert (node, "Secret media/photos-restic", "uses") in edges(built)
    assert (node, "PersistentVolumeClaim media/volsync-src-photos-cache", "makes") in edges(built)


def test_a_snapshot_copy_does_not_pin_the_mover_to_the_source_claim() -> None:
    (workload,) = platform(CLAIMS + SOURCE.replace("Direct", "Snapshot")).workloads
    claimed = {item["persistentVolumeClaim"]["claimName"] for item in workload.pod_spec["volumes"]}
    assert claimed == {"volsync-src-photos-cache"}


def test_a_manual_trigger_runs_nothing_and_no_trigger_runs_all_the_time() -> None:
    manual = SOURCE.replace('schedule: "0 4 * * *"', "manual: once")
    always = SOURCE.replace('trigger: {schedule: "0 4 * * *"}', "trigger: {}")
    assert platform(CLAIMS + manual).workloads == ()
    assert [item.id for item in platform(CLAIMS + always).workloads] == ["Job media/volsync-src-photos"]


def test_a_paused_source_has_no_pods() -> None:
    (workload,) = platform(CLAIMS + SOURCE.replace("  sourcePVC", "  paused: true\n  sourcePVC")).workloads
    assert workload.replicas == 0


def test_a_destination_leaves_its_claims_and_a_claim_filled_from_it_refers_to_it() -> None:
    text = """
---
apiVersion: volsync.backube/v1alpha1
kind: ReplicationDestination
metadata: {name: photos-restore, namespace: media}
spec:
  trigger: {manual: restore-once}
  restic: {repository: r, copyMethod: Snapshot, capacity: 10Gi, storageClassName: ceph}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: photos, namespace: media}
spec:
  dataSourceRef: {apiGroup: volsync.backube, kind: ReplicationDestination, name: photos-restore}
  storageClassName: ceph
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: copy, namespace: media}
spec: {dataSource: {kind: VolumeSnapshot, name: gone}, storageClassName: ceph}
"""
    built = graph(text)
    names = {item.name: item.get("spec", "resources", "requests", "storage") for item in platform(text).claims}
    assert names == {
        "photos": None,
        "copy": None,
        "volsync-photos-restore-dest": "10Gi",
        "volsync-dst-photos-restore-cache": "1Gi",
    }
    claim, destination = "PersistentVolumeClaim media/photos", "ReplicationDestination media/photos-restore"
    assert built.edges[claim, destination, "uses"]["strength"] == "startup"
    assert built.nodes["VolumeSnapshot media/gone"]["seen"] == "missing"


CHART = """
apiVersion: helm.cattle.io/v1
kind: HelmChart
metadata: {name: redis, namespace: kube-system}
spec:
  repo: https://charts.bitnami.com/bitnami
  chart: redis
  version: 20.0.0
  targetNamespace: data
  valuesContent: |-
    architecture: standalone
    master: {resources: {requests: {cpu: 100m, memory: 64Mi}}}
---
apiVersion: helm.cattle.io/v1
kind: HelmChartConfig
metadata: {name: redis, namespace: kube-system}
spec:
  valuesContent: |-
    master: {resources: {requests: {memory: 128Mi}}}
"""


def test_k3s_installs_a_chart_with_a_job_in_the_namespace_of_the_helm_chart() -> None:
    (workload,) = platform(CHART).workloads
    assert workload.id == "Job kube-system/helm-install-redis"
    assert graph(CHART).nodes["HelmChart kube-system/redis"]["workloads"] == (workload.id,)


def test_k3s_leaves_an_unmanaged_chart_alone() -> None:
    unmanaged = CHART.replace("namespace: kube-system}\nspec:\n  repo", UNMANAGED)
    assert platform(unmanaged).workloads == ()


UNMANAGED = "namespace: kube-system, annotations: {helmcharts.helm.cattle.io/unmanaged: 'true'}}\nspec:\n  repo"


def test_the_chart_of_a_k3s_helm_chart_is_modelled_with_the_values_of_its_config(tmp_path: Path) -> None:
    (tmp_path / "redis.yaml").write_text(CHART)
    rendered = render_whole(tmp_path)
    (missing,) = rendered.missing
    assert (missing.what.split()[0], missing.release, missing.namespace, missing.modelled) == (
        "redis",
        "redis",
        "data",
        True,
    )
    made = [item for item in read_platform(rendered).workloads if item.provenance == "modelled"]
    assert [item.id for item in made] == ["StatefulSet data/redis-master"]
    assert made[0].containers[0]["resources"]["requests"] == {"cpu": "100m", "memory": "128Mi"}


def test_a_k3s_chart_that_nobody_knows_is_missing_and_not_silent(tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").write_text(
        "apiVersion: helm.cattle.io/v1\nkind: HelmChart\nmetadata: {name: odd, namespace: kube-system}\n"
        'spec: {chart: "https://%{KUBERNETES_API}%/static/charts/odd-27.0.2+up27.tgz", set: {replicas: "2"}}\n'
    )
    (missing,) = render_whole(tmp_path).missing
    assert (missing.release, missing.modelled, missing.values) == ("odd", False, {"replicas": 2})
    assert missing.what.startswith("odd 27.0.2+up27")
