"""The charts that a chart of the tree depends on and does not carry with it (an umbrella chart)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.charts import merge_values
from models.documents import read_documents
from models.errors import InputError
from models.helm.libraries import calls_loader
from models.kustomize.charts import ChartRequest
from models.objects import dig
from models.operators.make import items, mapping, maps


def missing_dependencies(chart: Path, request: ChartRequest) -> Iterator[ChartRequest]:
    """Requests for the dependencies of an unpacked chart that are not below its ``charts/``.

    Each gets the values below its alias or name, as Helm hands them down; one whose condition is false is left out.
    bjw-s' library ``common`` stands for ``app-template`` where the chart's templates leave everything to it.
    """
    if not chart.is_dir():
        return
    values = merge_values(_map(chart / "values.yaml"), request.values)
    for entry in maps(_map(chart / "Chart.yaml").get("dependencies")):
        name, alias = str(entry.get("name") or ""), str(entry.get("alias") or entry.get("name") or "")
        if not name or _carried(chart, name) or not _wanted(entry, values):
            continue
        if name == "common" and calls_loader(chart):
            yield _for_library(chart, request, entry, values)
            continue
        own = merge_values({"global": mapping(values.get("global"))}, mapping(values.get(alias)))
        repo = str(entry.get("repository") or "")
        local = (chart / repo.removeprefix("file://")).resolve() if repo.startswith("file://") else None
        yield replace(
            request,
            name=name,
            repo="" if local else repo,
            version=_version(entry),
            values={key: value for key, value in own.items() if value or key != "global"},
            local=local,
            chart_home=chart / "charts",
            alias=alias if alias != name else "",
        )


def _for_library(
    chart: Path, request: ChartRequest, entry: Mapping[str, Any], values: Mapping[str, Any]
) -> ChartRequest:
    """``app-template`` with the values of a chart that does the same; it is called like that chart."""
    named = {"global": {"nameOverride": str(_map(chart / "Chart.yaml").get("name") or chart.name)}}
    return replace(
        request,
        name="app-template",
        repo=str(entry.get("repository") or ""),
        version=_version(entry),
        values=merge_values(named, values),
        local=None,
        chart_home=chart / "charts",
    )


def _version(entry: Mapping[str, Any]) -> str:
    return str(entry.get("version") or "").lstrip("^~>=< ")


def _map(file: Path) -> dict[str, Any]:
    try:
        documents = read_documents(file) if file.is_file() else []
    except InputError:
        return {}
    value = documents[0].value if documents else None
    return value if isinstance(value, dict) else {}


def _carried(chart: Path, name: str) -> bool:
    folder = chart / "charts"
    return (folder / name / "Chart.yaml").is_file() or any(folder.glob(f"{name}-*.tgz"))


def _wanted(entry: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """The first of the comma-separated conditions that the values answer decides, else the tags; else it is wanted.

    One tag that is true is enough (Helm's ``ProcessDependencies``).
    """
    for path in str(entry.get("condition") or "").split(","):
        found = dig(dict(values), *path.strip().split(".")) if path.strip() else None
        if isinstance(found, bool):
            return found
    switches = mapping(values.get("tags"))
    tags = [switches[tag] for tag in items(entry.get("tags")) if isinstance(tag, str) and tag in switches]
    return not tags or any(tag is True for tag in tags)
