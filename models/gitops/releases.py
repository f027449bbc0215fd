"""A Helm release that a GitOps object asks for, as the request that the chart source answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.gitops.folders import Tree
from models.helm.source import missing_chart
from models.kustomize.charts import ChartRequest
from models.objects import KubeObject, Origin, Rendered


@dataclass(frozen=True)
class Release:
    """The chart, its source, and what the release is called and given."""

    name: str
    repo: str
    version: str
    release: str
    namespace: str
    values: Mapping[str, Any]
    origin: Origin
    local: Path | None = None
    include_crds: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)


def release_objects(tree: Tree, release: Release) -> Rendered:
    """The objects of a release: rendered, modelled, or nothing and an entry of what is missing."""
    home = release.local.parent if release.local is not None else tree.repository / "charts"
    request = ChartRequest(
        name=release.name,
        repo=release.repo,
        version=release.version,
        release=release.release,
        namespace=release.namespace,
        values=dict(release.values),
        values_files=(),
        include_crds=release.include_crds,
        skip_hooks=False,
        skip_tests=True,
        kube_version="",
        api_versions=(),
        name_template="",
        chart_home=home,
        local=release.local,
        origin=release.origin,
    )
    made = tree.charts(request)
    if made is None:
        return Rendered((), (missing_chart(request),))
    return Rendered(tuple(KubeObject(manifest, release.origin) for manifest in made))
