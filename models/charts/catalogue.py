"""The chart catalogue: what a chart would make of its values, for charts that cannot be had.

A model (``models/catalog/charts/NAME.yaml``) states the workloads, services, claims and routes with the names,
selectors and ports of the real chart and where its values keep replicas, resources, images and storage. It is a lower
bound: what a model leaves out is said in its ``hides``.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml
from pydantic import ConfigDict, Field, field_validator

from models.catalog.store import Entry, load_yaml
from models.charts import apptemplate, parts
from models.charts.scope import Scope, full_name, merge_values
from models.kustomize.charts import ChartRequest
from models.objects import Manifest

_FOLDER = "charts"


PARTS = frozenset({"app-template", "claim", "include", "ingress", "monitor", "object", "routes", "service", "workload"})
"""What a part of a model may make."""


class UnreadableValuesError(Exception):
    """Values that a model cannot read, because they are of other types than the chart's own."""


class ChartModel(Entry):
    """One model: the chart, the version it was written from, what it leaves out, and its objects.

    ``repos``: parts of the URL of the chart's repository, when charts of this name come from several publishers.
    ``from_major``: the first major version whose values have the form that the model reads.
    ``before``: defaults that differ before a version. ``facts``: named expressions or maps for the parts to refer to.
    ``verified``: the version and the commit or tag of the chart's own templates with which the model was compared,
    "" for a model that was written from documentation alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    chart: str
    version: str
    source: str
    hides: str
    verified: str = ""
    repos: tuple[str, ...] = ()
    from_major: int = 0
    name_length: int = 63
    defaults: dict[str, Any] = Field(default_factory=dict)
    before: dict[str, dict[str, Any]] = Field(default_factory=dict)
    facts: dict[str, Any] = Field(default_factory=dict)
    objects: list[dict[str, Any]] = Field(default_factory=list)

    @field_validator("objects")
    @classmethod
    def _every_part_makes_something(cls, parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for part in parts:
            if not PARTS & part.keys():
                raise ValueError(f"a part has none of {', '.join(sorted(PARTS))}: {', '.join(part)}")
        return parts

    def fits(self, repo: str, version: str) -> bool:
        """Whether the model speaks of the chart from that repository and of that version, as far as they are known."""
        numbers = _numbers(version)
        known = not self.repos or not repo or any(part in repo for part in self.repos)
        return known and (not numbers or numbers[0] >= self.from_major)


@dataclass(frozen=True)
class Modelled:
    """The objects that a model makes of a request, and what the model leaves out."""

    objects: list[Manifest]
    model: ChartModel

    @property
    def by(self) -> str:
        """Who made the objects, for their origin."""
        return f"chart catalogue: {self.model.chart} {self.model.version}"


@cache
def model_names() -> tuple[str, ...]:
    """The charts that the catalogue knows, in order."""
    folder = resources.files("models.catalog").joinpath(_FOLDER)
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")))


@cache
def load_model(chart: str) -> ChartModel | None:
    """The model of a chart by its name, or None."""
    name = _aliases().get(chart, chart)
    return ChartModel.model_validate(load_yaml(f"{_FOLDER}/{name}.yaml")) if name in model_names() else None


@cache
def _aliases() -> Mapping[str, str]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = resources.files("models.catalog").joinpath("chart-aliases.yaml").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for chart, others in (yaml.load(text, Loader=loader) or {}).items():
        found.update(dict.fromkeys(others, chart))
    return found


def model_chart(request: ChartRequest) -> Modelled | None:
    """What the catalogue makes of a request; None when it has no model of the chart.

    Raises:
        UnreadableValuesError: the values do not have the form that the model reads.
    """
    chart = request.name.rpartition("/")[2]
    model = load_model(chart)
    if model is None or not model.fits(request.repo, request.version):
        return None
    release = request.release or chart
    try:
        given = (request.values, release, request.namespace, request.version)
        made = list(_make(model, *given, called=request.alias))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # A model trusts the form of the chart's values; what a person wrote there may be anything.
        raise UnreadableValuesError(f"the values do not have the form that the model of {chart} reads") from error
    return Modelled(made, model)


def _make(
    model: ChartModel, given: Mapping[str, Any], release: str, namespace: str, version: str, *, called: str = ""
) -> Iterator[Manifest]:
    # Helm renders a dependency with an alias as a chart of that name.
    chart = called or model.chart
    defaults = copy.deepcopy(model.defaults)
    for later, older in sorted(model.before.items(), key=lambda entry: _numbers(entry[0]), reverse=True):
        if _of_version({"until": later}, version or model.version):
            defaults = merge_values(defaults, older)
    values = merge_values(defaults, given)
    name = str(values.get("nameOverride") or chart)
    scope = Scope(
        values,
        {
            "release": release,
            "chart": chart,
            "name": name,
            "fullname": full_name(values, chart, release, length=model.name_length),
            "namespace": values.get("namespaceOverride") or namespace,
            "version": version or model.version,
        },
    )
    for key, expression in model.facts.items():
        scope = scope.with_facts(**{key: scope.fill(expression)})
    for part in model.objects:
        for item in _each(part, scope):
            yield from _part(part, item)


def _each(part: Mapping[str, Any], scope: Scope) -> Iterator[Scope]:
    """The scope once, or once per entry of the list or map that ``each`` names, as ``.key`` and ``.item``."""
    if "each" not in part:
        yield scope
        return
    entries = scope.get(str(part["each"]))
    pairs = enumerate(entries) if isinstance(entries, list) else entries.items() if isinstance(entries, dict) else ()
    for key, item in pairs:
        yield scope.with_facts(key=key, item=item)


def _part(part: Mapping[str, Any], scope: Scope) -> Iterator[Manifest]:
    if not scope.holds(part.get("when")) or not _of_version(part, str(scope.facts["version"])):
        return
    if "include" in part:
        yield from _include(part, scope)
        return
    if "app-template" in part:
        yield from apptemplate.objects(scope, part)
        return
    if "routes" in part:
        yield from map(scope.expand, parts.routes(scope, scope.fill(dict(part))))
        return
    filled = {
        key: item for key, item in scope.fill(dict(part)).items() if key not in ("when", "each", "since", "until")
    }
    made: Manifest | None = None
    if "workload" in filled:
        made = parts.workload(scope, filled)
    elif "claim" in filled:
        made = parts.claim(scope, filled)
    elif "ingress" in filled:
        made = parts.ingress(scope, filled)
    elif "monitor" in filled:
        made = parts.monitor(scope, filled)
    elif "service" in filled:
        made = parts.service(scope, filled)
    elif isinstance(filled.get("object"), dict):
        made = filled["object"]
        if not part.get("cluster"):
            made = {**made, "metadata": {**parts.metadata(scope, "", {}), **made.get("metadata", {})}}
    if made is not None:
        yield scope.expand(made)


def _of_version(part: Mapping[str, Any], version: str) -> bool:
    """Whether a part is of that version of the chart: not before ``since``, not from ``until`` on."""
    wanted = _numbers(version)
    if not wanted:
        return "until" not in part
    until = _numbers(str(part["until"])) if "until" in part else None
    return _numbers(str(part.get("since", "0"))) <= wanted and (until is None or wanted < until)


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version or of a range (``^4.1``)."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _include(part: Mapping[str, Any], scope: Scope) -> Iterator[Manifest]:
    """The objects of a sub-chart, with its values below its own key and the parent's defaults for it."""
    model = load_model(str(part["include"]))
    if model is None:
        raise LookupError(f"the catalogue includes {part['include']!r}, which it does not have")
    values = scope.get(str(part["values"])) if part.get("values") else {}
    given = merge_values(scope.fill(part.get("defaults") or {}), values if isinstance(values, dict) else {})
    if scope.get("global"):
        given = merge_values({"global": scope.get("global")}, given)
    facts = scope.facts
    yield from _make(model, given, str(facts["release"]), str(facts["namespace"] or ""), "")
