"""What the chart catalogue makes of a chart and its values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from models.charts import model_chart
from models.kustomize.charts import ChartRequest

Made = dict[tuple[str, str], dict[str, Any]]


def made(chart: str, values: str = "", *, release: str = "", version: str = "", namespace: str = "apps") -> Made:
    """The modelled objects by kind and name, of which no two may have the same."""
    request = ChartRequest(
        name=chart,
        repo="",
        version=version,
        release=release or chart,
        namespace=namespace,
        values=yaml.safe_load(values) or {},
        values_files=(),
        include_crds=False,
        skip_hooks=False,
        skip_tests=False,
        kube_version="",
        api_versions=(),
        name_template="",
        chart_home=Path(),
        local=None,
    )
    found = model_chart(request)
    assert found is not None
    objects = {(item["kind"], item["metadata"]["name"]): item for item in found.objects}
    assert len(objects) == len(found.objects)
    return objects
