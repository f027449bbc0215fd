"""A tree in the style of the public home-ops repositories: a parent Kustomization patches all its children."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.gitops import render_whole
from models.objects import Rendered

TREE = {
    "kubernetes/apps/media/kustomization.yaml": """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: media
components: [../../components/common]
resources: [./plex/ks.yaml]
""",
    "kubernetes/apps/media/plex/app/helmrelease.yaml": """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: &app plex}
spec:
  chartRef: {kind: OCIRepository, name: plex}
  interval: 1h
  values:
    controllers:
      plex:
        annotations: {reloader.stakater.com/auto: "true"}
        containers:
          app:
            image: {repository: ghcr.io/home-operations/plex, tag: 1.2.3@sha256:aaaa}
            env: {TZ: "${TZ:=Etc/UTC}"}
            resources: {requests: {cpu: 100m}, limits: {memory: 16Gi}}
    service: {app: {controller: plex, ports: {http: {port: 32400}}}}
    route:
      app:
        hostnames: ["{{ .Release.Name }}.${SECRET_DOMAIN}"]
        parentRefs: [{name: external, namespace: kube-system}]
    persistence: {config: {existingClaim: *app}}
""",
    "kubernetes/apps/media/plex/app/kustomization.yaml": """\
resources: [helmrelease.yaml, ocirepository.yaml]
""",
    "kubernetes/apps/media/plex/app/ocirepository.yaml": """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: plex}
spec: {interval: 1h, ref: {tag: 4.1.2}, url: oci://ghcr.io/bjw-s-labs/helm/app-template}
""",
    "kubernetes/apps/media/plex/ks.yaml": """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: plex}
spec:
  components: [../../../../components/volsync]
  dependsOn: [{name: rook-ceph-cluster, namespace: rook-ceph}]
  interval: 1h
  path: ./kubernetes/apps/media/plex/app
  postBuild: {substitute: {APP: plex, VOLSYNC_CAPACITY: 50Gi}}
  sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}
  targetNamespace: media
""",
    "kubernetes/components/common/kustomization.yaml": """\
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
resources: [ns.yaml, settings.yaml]
""",
    "kubernetes/components/common/ns.yaml": """\
apiVersion: v1
kind: Namespace
metadata: {name: _, annotations: {kustomize.toolkit.fluxcd.io/prune: disabled}}
""",
    "kubernetes/components/common/settings.yaml": """\
apiVersion: v1
kind: ConfigMap
metadata: {name: cluster-settings}
data: {SECRET_DOMAIN: example.org, TZ: UTC}
""",
    "kubernetes/components/volsync/kustomization.yaml": """\
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
resources: [pvc.yaml]
""",
    "kubernetes/components/volsync/pvc.yaml": """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: "${APP}"}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: "${CLASS:=ceph-block}"
  resources: {requests: {storage: "${VOLSYNC_CAPACITY:-5Gi}"}}
""",
    "kubernetes/flux/cluster/ks.yaml": """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: cluster-apps, namespace: flux-system}
spec:
  interval: 1h
  path: ./kubernetes/apps
  sourceRef: {kind: GitRepository, name: flux-system}
  prune: true
  decryption: {provider: sops}
  patches:
  - patch: |-
      apiVersion: kustomize.toolkit.fluxcd.io/v1
      kind: Kustomization
      metadata:
        name: not-used
      spec:
        decryption: {provider: sops}
        postBuild:
          substituteFrom:
          - {kind: Secret, name: cluster-secrets}
          - {kind: ConfigMap, name: cluster-settings, optional: true}
        patches:
        - patch: |-
            apiVersion: helm.toolkit.fluxcd.io/v2
            kind: HelmRelease
            metadata:
              name: not-used
            spec:
              driftDetection: {mode: enabled}
              values:
                defaultPodOptions: {priorityClassName: from-parent}
          target:
            group: helm.toolkit.fluxcd.io
            kind: HelmRelease
    target:
      group: kustomize.toolkit.fluxcd.io
      kind: Kustomization
      labelSelector: substitution.flux.home.arpa/disabled notin (true)
""",
}


def rendered(root: Path, start: str = ".", **changes: str) -> Rendered:
    for name, text in {**TREE, **changes}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return render_whole(root / start, repository=root)


def spec(found: Rendered, kind: str) -> dict[str, object]:
    return dict(next(item for item in found.objects if item.kind == kind).spec)


@pytest.mark.parametrize("start", [".", "kubernetes", "kubernetes/flux/cluster"])
def test_a_parents_patches_reach_the_releases_of_its_children(start: str, tmp_path: Path) -> None:
    found = rendered(tmp_path, start)
    workload = next(item for item in found.objects if item.kind == "Deployment")
    pod = workload.manifest["spec"]["template"]["spec"]
    assert (workload.namespace, workload.name, pod["priorityClassName"]) == ("media", "plex", "from-parent")
    assert pod["containers"][0]["env"] == [{"name": "TZ", "value": "UTC"}]
    assert spec(found, "HTTPRoute")["hostnames"] == ["plex.example.org"]


def test_what_a_component_brings_stands_at_its_own_file(tmp_path: Path) -> None:
    found = rendered(tmp_path)
    claim = next(item for item in found.objects if item.kind == "PersistentVolumeClaim")
    assert (claim.name, claim.origin.file, claim.origin.line) == ("plex", "kubernetes/components/volsync/pvc.yaml", 1)
    assert claim.spec["resources"] == {"requests": {"storage": "50Gi"}}
    assert claim.spec["storageClassName"] == "ceph-block"


def test_each_object_is_there_once_and_the_chart_is_said_to_be_modelled(tmp_path: Path) -> None:
    found = rendered(tmp_path)
    names = sorted(f"{item.kind} {item.namespace}/{item.name}" for item in found.objects)
    assert names == [
        "ConfigMap media/cluster-settings",
        "Deployment media/plex",
        "HTTPRoute media/plex",
        "HelmRelease media/plex",
        "Kustomization flux-system/cluster-apps",
        "Kustomization media/plex",
        "Namespace /media",
        "OCIRepository media/plex",
        "PersistentVolumeClaim media/plex",
        "Service media/plex",
    ]
    assert [(entry.kind, entry.modelled) for entry in found.missing] == [("chart", True)]


def test_a_child_that_opts_out_by_label_is_not_patched(tmp_path: Path) -> None:
    name = "kubernetes/apps/media/plex/ks.yaml"
    label = "metadata: {name: plex, labels: {substitution.flux.home.arpa/disabled: 'true'}}"
    found = rendered(tmp_path, **{name: TREE[name].replace("metadata: {name: plex}", label)})
    pod = next(item for item in found.objects if item.kind == "Deployment").manifest["spec"]["template"]["spec"]
    assert "priorityClassName" not in pod
    assert pod["containers"][0]["env"] == [{"name": "TZ", "value": "Etc/UTC"}]


def test_kustomizations_that_hold_each_others_files_do_not_wait_forever(tmp_path: Path) -> None:
    one = TREE["kubernetes/flux/cluster/ks.yaml"]
    changes = {
        "kubernetes/apps/media/plex/ks.yaml": TREE["kubernetes/apps/media/plex/ks.yaml"].replace(
            "path: ./kubernetes/apps/media/plex/app", "path: ./kubernetes/flux/cluster"
        ),
        "kubernetes/flux/cluster/ks.yaml": one,
    }
    kinds = {item.kind for item in rendered(tmp_path, **changes).objects}
    assert "Kustomization" in kinds


def test_a_component_may_lie_outside_of_the_folder_but_not_of_the_repository(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kustomization.yaml").write_text("kind: Component\nresources: [s.yaml]\n", encoding="utf-8")
    (outside / "s.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: leaked}\n", encoding="utf-8")
    name = "kubernetes/components/volsync/kustomization.yaml"
    text = TREE[name].replace("[pvc.yaml]", "[pvc.yaml, ../../../../outside/s.yaml]")
    found = rendered(tmp_path / "tree", **{name: text})
    assert not any(item.name == "leaked" for item in found.objects)
    assert any("leads out of the repository" in entry.reason for entry in found.missing)
