"""The charts that a chart of the tree depends on and does not carry with it (an umbrella chart)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.charts import merge_values
from models.documents import read_documents
from models.errors import InputError
from models.kustomize.charts import ChartRequest
from models.objects import dig
from models.operators.make import mapping, maps


def missing_dependencies(chart: Path, request: ChartRequest) -> Iterator[ChartRequest]:
    """Requests for the dependencies of an unpacked chart that are not below its ``charts/``.

    Each gets the values below its alias or name, as Helm hands them down; one whose condition is false is left out.
    """
    if not chart.is_dir():
        return
    values = merge_values(_map(chart / "values.yaml"), request.values)
    for entry in maps(_map(chart / "Chart.yaml").get("dependencies")):
        name, alias = str(entry.get("name") or ""), str(entry.get("alias") or entry.get("name") or "")
        if not name or _carried(chart, name) or not _wanted(entry, values):
            continue
        own = merge_values({"global": mapping(values.get("global"))}, mapping(values.get(alias)))
        repo = str(entry.get("repository") or "")
        local = (chart / repo.removeprefix("file://")).resolve() if repo.startswith("file://") else None
        yield replace(
            request,
            name=name,
            repo="" if local else repo,
            version=str(entry.get("version") or "").lstrip("^~>=< "),
            values={key: value for key, value in own.items() if value or key != "global"},
            local=local,
            chart_home=chart / "charts",
        )


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
    """The first of the comma-separated conditions that the values answer decides; without one it is wanted."""
    for path in str(entry.get("condition") or "").split(","):
        found = dig(dict(values), *path.strip().split(".")) if path.strip() else None
        if isinstance(found, bool):
            return found
    return True
