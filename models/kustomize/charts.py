"""``helmCharts:`` - what Kustomize would ask Helm for, handed to whoever can render it.

Values are merged as ``HelmChartInflationGenerator`` of Kustomize v5.5 merges them; rendering is not done here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.errors import Problem, RenderError, Where
from models.kustomize.loader import Files
from models.kustomize.merge import builtin_schema, strategic_merge
from models.kustomize.nodes import from_plain, plain
from models.objects import Manifest, Origin
from models.yamldoc.compose import TreeBuilder, compose, manifest_scalar

MERGE_OPTIONS = ("merge", "override", "replace")


@dataclass(frozen=True)
class ChartRequest:
    """One chart to render.

    Attributes:
        name: the chart's name.
        repo: its repository's URL, "" for a chart in ``chart_home``.
        version: the wanted version, "" for any.
        release: the release name, "" when Helm is to make one up.
        namespace: the release namespace, "" for the default.
        values: all values files and inline values in one map (the chart's own defaults not included).
        values_files: the files that went into ``values``, relative to the repository.
        chart_home: the directory that may hold the chart unpacked as ``chart_home/name``.
        local: that unpacked chart, when it is there.
        origin: the entry in the kustomization file.
        alias: what the chart that depends on this one calls it, "" when it does not.
    """

    name: str
    repo: str
    version: str
    release: str
    namespace: str
    values: dict[str, Any]
    values_files: tuple[str, ...]
    include_crds: bool
    skip_hooks: bool
    skip_tests: bool
    kube_version: str
    api_versions: tuple[str, ...]
    name_template: str
    chart_home: Path
    local: Path | None
    origin: Origin = field(default_factory=Origin)
    alias: str = ""

    def __str__(self) -> str:
        version = f" {self.version}" if self.version else ""
        source = f" from {self.repo}" if self.repo else f" in {self.chart_home.name}/"
        return f"{self.name}{version}{source}"


ChartRenderer = Callable[[ChartRequest], list[Manifest] | None]
"""Renders a chart; None when it cannot be had."""


class Approximate(list[Manifest]):
    """What stands in for a chart that cannot be had: the real one may make more, and other names."""


def chart_request(
    chart: Mapping[str, Any], globals_: Mapping[str, Any], base: Path, files: Files, where: Where
) -> ChartRequest:
    """What an entry of ``helmCharts`` asks for.

    Raises:
        RenderError: no name, an unknown ``valuesMerge``, or a values file that is missing.
    """
    name = chart.get("name") or ""
    if not name:
        raise RenderError(Problem(where, "chart name cannot be empty", "add `name:`"))
    how = chart.get("valuesMerge") or "override"
    if how not in MERGE_OPTIONS:
        raise RenderError(
            Problem(where, f"valuesMerge must be one of {', '.join(MERGE_OPTIONS)}, not {how!r}", "change it")
        )
    version, repo = chart.get("version") or "", chart.get("repo") or ""
    home = base / (globals_.get("chartHome") or "charts")
    home = home / f"{name}-{version}" if version and repo else home
    local = home / name
    values, used = _values(chart, how, base, files, where)
    return ChartRequest(
        name=name,
        repo=repo,
        version=version,
        release=chart.get("releaseName") or "",
        namespace=chart.get("namespace") or "",
        values=values,
        values_files=tuple(used),
        include_crds=bool(chart.get("includeCRDs")),
        skip_hooks=bool(chart.get("skipHooks")),
        skip_tests=bool(chart.get("skipTests")),
        kube_version=chart.get("kubeVersion") or "",
        api_versions=tuple(chart.get("apiVersions") or ()),
        name_template=chart.get("nameTemplate") or "",
        chart_home=home,
        local=local if local.is_dir() and local.resolve().is_relative_to(files.repository) else None,
        origin=Origin(where.file, where.line, "chart", f"helm chart {name} {version}".rstrip()),
    )


def _values(
    chart: Mapping[str, Any], how: str, base: Path, files: Files, where: Where
) -> tuple[dict[str, Any], list[str]]:
    used: list[str] = []

    def load(name: str) -> Any:
        path = files.file(base, name, where)
        used.append(files.display(path))
        roots = compose(files.text(path), used[-1], only_first=True)
        if not roots or roots[0] is None:
            return {}
        tree = TreeBuilder(used[-1], 1, manifest_scalar, odd_key=str).build(roots[0])
        return tree if isinstance(tree, dict) else {}

    inline = from_plain(chart.get("valuesInline") or {})
    main = load(chart["valuesFile"]) if chart.get("valuesFile") else {}
    if not inline:
        merged = main
    elif how == "replace":
        merged = inline
    else:
        patch, target = (inline, main) if how == "override" else (main, inline)
        merged = strategic_merge(patch, target, builtin_schema(), append=True) if main else inline
    try:
        values: dict[str, Any] = plain(merged or {})
        for name in chart.get("additionalValuesFiles") or []:
            values = _overlay(values, plain(load(name)))
    except ValueError as error:
        raise RenderError(Problem(where, f"the values cannot be merged: {error}", "mend the values files")) from error
    return values, used


def _overlay(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """``new`` over ``old`` as Helm lays several values files over each other."""
    result = dict(old)
    for key, value in new.items():
        below = result.get(key)
        result[key] = _overlay(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def manifests_of(objects: list[Manifest], request: ChartRequest) -> list[Any]:
    """What a renderer returned as trees, checked. Raises RenderError for something that is no object."""
    trees = [from_plain(item) for item in objects]
    for tree in trees:
        if not isinstance(tree, dict) or not tree.get("kind"):
            raise RenderError(
                Problem(
                    Where(request.origin.file, request.origin.line),
                    f"the renderer of chart {request} returned something that is no object",
                    "report it",
                )
            )
    return trees
