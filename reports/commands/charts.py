"""``catalog verify``: a chart's model against the real chart."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from models.errors import InputError, Problem, Where


def verify_chart(chart: str, path: Path, values: Path | None, release: str, namespace: str, as_json: bool) -> bool:
    """Print the differences between the catalogue's model and the real chart; true when there are none.

    Raises:
        InputError: no such model, no such chart, unreadable values, or Helm does not render the chart.
    """
    from models.charts import UnreadableValuesError, load_model, model_chart, model_names
    from models.charts.verify import compare
    from models.helm import EngineError, render_chart
    from models.kustomize.charts import ChartRequest

    model = load_model(chart)
    if model is None:
        known = ", ".join(model_names())
        raise InputError(Problem(Where(field=chart), "the catalogue has no model of this chart", f"it has {known}"))
    if not path.exists():
        raise InputError(Problem(Where(str(path)), "there is no such chart", "name its folder or its .tgz archive"))
    given = _values(values)
    request = ChartRequest(
        name=chart,
        repo="",
        version="",
        release=release or chart,
        namespace=namespace,
        values=given,
        values_files=(),
        include_crds=False,
        skip_hooks=True,
        skip_tests=True,
        kube_version="",
        api_versions=(),
        name_template="",
        chart_home=path.parent,
        local=path,
    )
    try:
        made = model_chart(request)
    except UnreadableValuesError as error:
        raise InputError(Problem(Where(str(values)), str(error), "compare them with the chart's values")) from error
    try:
        real = render_chart(path, given, release=release or chart, namespace=namespace, skip_hooks=True)
    except EngineError as error:
        raise InputError(Problem(Where(str(path)), f"Helm does not render it: {error}", "mend the chart")) from error
    objects = made.objects if made is not None else []
    differences = compare(objects, real, namespace=namespace)
    if as_json:
        rows = [
            {"object": entry.object, "field": entry.field, "model": entry.model, "chart": entry.chart}
            for entry in differences
        ]
        typer.echo(json.dumps({"schema": "stowplan/chart-verify/v1", "chart": chart, "differences": rows}, indent=2))
    else:
        for entry in differences:
            typer.echo(str(entry))
        typer.echo(f"{len(differences)} differences between the model of {chart} ({model.version}) and {path}")
    return not differences


def _values(file: Path | None) -> dict[str, object]:
    from models.documents import read_documents

    if file is None:
        return {}
    documents = read_documents(file)
    value = documents[0].value if documents else {}
    if not isinstance(value, dict):
        raise InputError(Problem(Where(str(file)), "the values are not a map", "write `key: value` lines"))
    return value
