"""What k3s' helm-controller (group ``helm.cattle.io``) runs for a HelmChart: the Job that installs the chart.

What the chart itself makes is read with the other charts (:mod:`models.gitops`). Source: k3s-io/helm-controller,
``pkg/controllers/chart/chart.go`` (``job``: name ``helm-install-NAME`` in the HelmChart's own namespace, no requests;
``shouldManage``: not when annotated as unmanaged or without a chart).
"""

from __future__ import annotations

from collections.abc import Iterator

from models.objects import KubeObject, Manifest
from models.operators.make import derived, said_by

GROUP = "helm.cattle.io"
_UNMANAGED = "helmcharts.helm.cattle.io/unmanaged"
_LABEL = "helmcharts.helm.cattle.io/chart"


def is_helm_chart(item: KubeObject) -> bool:
    """Whether the object is a HelmChart that helm-controller installs."""
    managed = item.kind == "HelmChart" and item.group == GROUP and _UNMANAGED not in item.annotations
    return managed and bool(item.spec.get("chart") or item.spec.get("chartContent"))


def derive(objects: list[KubeObject]) -> Iterator[KubeObject]:
    """The install Jobs of the HelmCharts among ``objects``."""
    for item in objects:
        if not is_helm_chart(item):
            continue
        container = {"name": "helm", "image": str(item.spec.get("jobImage") or "rancher/klipper-helm")}
        pod: Manifest = {"restartPolicy": "OnFailure", "containers": [container]}
        if item.spec.get("bootstrap") is True:
            pod["hostNetwork"] = True
        labels = {_LABEL: item.name}
        template = {"metadata": {"labels": labels}, "spec": pod}
        spec = {"backoffLimit": item.spec.get("backOffLimit", 1000), "template": template}
        by = said_by(item, "k3s HelmChart")
        yield derived(item, "Job", f"helm-install-{item.name}", by=by, api_version="batch/v1", labels=labels, spec=spec)
