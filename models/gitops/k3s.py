"""k3s: charts that its helm-controller installs from HelmChart objects, with the values of HelmChartConfigs.

Fields follow k3s-io/helm-controller, ``pkg/controllers/chart/chart.go`` and the documentation of k3s ("Helm"): a config
of the same name and namespace goes over the chart's own values, ``values`` over ``valuesContent``, ``set`` over both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from models.charts import merge_values
from models.documents import parse_documents
from models.errors import InputError
from models.gitops.argo import set_value
from models.gitops.folders import Tree
from models.gitops.releases import Release, release_objects
from models.objects import KubeObject, Missing, Origin, Rendered
from models.operators.k3s import GROUP, is_helm_chart
from models.operators.make import mapping

__all__ = ["GROUP", "helm_chart_objects", "is_helm_chart"]

_ARCHIVE = re.compile(r"/([a-z0-9][a-z0-9\-]*?)-(v?\d[\w.+%\-]*)\.tgz$", re.IGNORECASE)


def helm_chart_objects(tree: Tree, item: KubeObject, objects: Iterable[KubeObject]) -> Rendered:
    """What a HelmChart installs."""
    namespace = str(item.spec.get("targetNamespace") or item.namespace)
    values = _values(item)
    for other in objects:
        same = (other.namespace, other.name) == (item.namespace, item.name)
        if same and other.kind == "HelmChartConfig" and other.group == GROUP:
            values = merge_values(values, _values(other))
    if not item.spec.get("chart"):
        hides = f"everything that release {item.name} runs"
        return Rendered(
            (),
            (
                Missing(
                    "chart", item.name, item.origin, "its archive is in chartContent, which is not opened", hides,
                    release=item.name, namespace=namespace, values=values,
                ),
            ),
        )  # fmt: skip
    name, repo, version = _chart(item)
    origin = Origin(
        item.origin.file, item.origin.line, "chart", f"HelmChart {item.name}: chart {name} {version}".rstrip()
    )
    return release_objects(
        tree,
        Release(
            name=name,
            repo=repo,
            version=version,
            release=item.name,
            namespace=namespace,
            values=values,
            origin=origin,
        ),
    )


def _chart(item: KubeObject) -> tuple[str, str, str]:
    """Name, repository and version: of a repository, of an OCI registry, or of an archive by its address."""
    text, version = str(item.spec["chart"]), str(item.spec.get("version") or "")
    archive = _ARCHIVE.search(text)
    if archive is not None:
        return archive[1], text[: archive.start()], archive[2]
    if text.startswith("oci://"):
        return text.rpartition("/")[2], text.rpartition("/")[0], version
    return text.rpartition("/")[2], str(item.spec.get("repo") or ""), version


def _values(item: KubeObject) -> dict[str, Any]:
    values = merge_values(_yaml(item.spec.get("valuesContent")), mapping(item.spec.get("values")))
    for path, value in mapping(item.spec.get("set")).items():
        values = merge_values(values, set_value(str(path), _typed(value)))
    return values


def _typed(value: Any) -> Any:
    """A value as ``helm --set`` reads it: ``true``, ``false`` and whole numbers are no text."""
    words: dict[Any, Any] = {"true": True, "false": False}
    if not isinstance(value, str):
        return value
    return int(value) if re.fullmatch(r"0|-?[1-9]\d*", value) else words.get(value, value)


def _yaml(text: Any) -> Mapping[str, Any]:
    try:
        documents = parse_documents(text, file="valuesContent") if isinstance(text, str) else []
    except InputError:
        return {}
    value = documents[0].value if documents else None
    return value if isinstance(value, dict) else {}
