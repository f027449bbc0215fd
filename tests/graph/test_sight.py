"""What is written, derived, modelled or missing, and the lower bound of what is hidden."""

from __future__ import annotations

from models.objects import KubeObject, Missing, Origin, Rendered
from models.platform import Platform, read_platform
from models.sight import Hidden, Sight, hidden, least

CHART = Origin("apps/kustomization.yaml", 4, "modelled", "chart catalogue: loki 6.46")


def stateful_set(name: str, origin: Origin) -> KubeObject:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "main", "image": "app"}]}}
    claim = {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}
    spec = {"selector": {"matchLabels": {"app": name}}, "template": template, "volumeClaimTemplates": [claim]}
    metadata = {"name": name, "namespace": "x"}
    return KubeObject({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec}, origin)


def platform() -> Platform:
    return read_platform(
        Rendered(
            (
                stateful_set("own", Origin("apps/own.yaml", 1)),
                stateful_set("rendered", Origin("apps/kustomization.yaml", 9, "chart", "helm chart own 1.0")),
                stateful_set("loki", CHART),
            )
        )
    )


def test_a_real_helm_rendering_is_written_and_a_catalogue_model_is_modelled() -> None:
    assert dict(Sight(platform()).workloads) == {
        "StatefulSet x/own": "written",
        "StatefulSet x/rendered": "written",
        "StatefulSet x/loki": "modelled",
    }


def test_what_is_derived_from_a_modelled_object_is_modelled_too() -> None:
    sight = Sight(platform())
    assert sight.node("PersistentVolumeClaim x/data-own-0") == "derived"
    assert sight.node("PersistentVolumeClaim x/data-loki-0") == "modelled"
    assert sight.node("PersistentVolumeClaim x/nothing") == "missing"


def test_a_sum_is_as_certain_as_its_least_certain_part() -> None:
    assert Sight(platform()).namespaces == {"x": "modelled"}
    assert least(["derived", "missing", "modelled"]) == "missing"
    assert least([]) == "written"


def test_the_lower_bound_counts_one_workload_per_unread_chart_and_none_for_crds() -> None:
    here = Origin("kustomization.yaml", 3)
    missing = [
        Missing("chart", "jaeger 4.1 from https://charts.example.org", here, "on the network"),
        Missing("chart", "kyverno 3.2", here, "on the network"),
        Missing("chart", "prometheus-operator-crds 15.0", here, "on the network"),
        Missing("chart", "loki 6.46", here, "on the network", modelled=True),
        Missing("remote", "https://example.org/crds.yaml", here, "on the network"),
        Missing("plugin", "Sealer x", here, "a program"),
    ]
    assert hidden(missing) == Hidden(charts=3, workloads=2, modelled=1, others=2)
    assert str(hidden(missing)) == (
        "At least 2 workloads of 3 charts are not in these numbers; 1 chart is modelled and may run more; "
        "2 files or plugins were not read."
    )
    assert str(hidden(missing[3:4])) == "1 chart is modelled and may run more."
    assert not hidden([])
    assert str(hidden([])) == ""
