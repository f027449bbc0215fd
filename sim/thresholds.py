"""Thresholds in k6's form: a metric with optional tags, and comparisons of its aggregates.

    http_req_duration{route:cloud.example.org}: ["p(95)<800", "avg<300"]     milliseconds
    http_req_failed: ["rate<0.01"]                                           share of requests
    http_reqs: ["count>1000", "rate>2"]                                      requests, requests per second
    route_outage{route:*}: ["max<360"]                                       seconds without service, any replication

Source of the form: k6 documentation, "Thresholds".
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from models.errors import Problem, Where, among
from models.graph.routes import EntryRoute

METRICS: dict[str, tuple[str, ...]] = {
    "http_req_duration": ("avg", "min", "med", "max", "p"),
    "http_req_failed": ("rate",),
    "http_reqs": ("count", "rate"),
    "route_outage": ("max", "avg"),
}
"""Metrics and the aggregates each one has."""

_METRIC = re.compile(r"([a-z_]+)(?:\{route:([^{}]+)\})?")
_EXPRESSION = re.compile(
    r"\s*(?:(avg|min|med|max|count|rate)|p\((\d+(?:\.\d+)?)\))\s*(<=|>=|<|>|==|!=)\s*((?:\d+\.?\d*|\.\d+)(?:e-?\d+)?)\s*"
)


@dataclass(frozen=True)
class Threshold:
    """One comparison: ``aggregate`` (``p`` with ``percentile``) of ``metric`` over routes that match ``route``."""

    metric: str
    route: str
    aggregate: str
    percentile: float
    operator: str
    value: float
    text: str

    def holds(self, observed: float) -> bool:
        """Whether the observed value satisfies the comparison."""
        return {
            "<": observed < self.value,
            "<=": observed <= self.value,
            ">": observed > self.value,
            ">=": observed >= self.value,
            "==": observed == self.value,
            "!=": observed != self.value,
        }[self.operator]


def parse_threshold(key: str, expression: str) -> Threshold:
    """One threshold. Raises ValueError that says what is wrong and what there is."""
    match = _METRIC.fullmatch(key.strip())
    if match is None or match[1] not in METRICS:
        name = match[1] if match else key
        close = difflib.get_close_matches(name, METRICS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"metrics: {', '.join(METRICS)}"
        raise ValueError(f"{key!r} is not a metric with an optional {{route:NAME}} tag; {hint}")
    parsed = _EXPRESSION.fullmatch(expression)
    known = METRICS[match[1]]
    aggregate = (parsed[1] or "p") if parsed else ""
    if parsed is None or aggregate not in known:
        forms = ", ".join("p(95)<800" if item == "p" else f"{item}<1" for item in known)
        raise ValueError(f"{expression!r} is not a comparison that {match[1]} has; for example {forms}")
    percentile = float(parsed[2]) if parsed[2] else 0.0
    if aggregate == "p" and not 0 < percentile < 100:
        raise ValueError(f"{expression!r}: a percentile lies between 0 and 100")
    return Threshold(match[1], match[2] or "*", aggregate, percentile, parsed[3], float(parsed[4]), expression.strip())


def check_thresholds(thresholds: Mapping[str, Sequence[str]], routes: Iterable[EntryRoute]) -> list[Problem]:
    """What is wrong with the thresholds of a scenario: form, metric, aggregate, a route that nothing matches."""
    problems: list[Problem] = []
    known = [route.id for route in routes]
    for key, expressions in thresholds.items():
        where = Where(field=f"spec.thresholds.{key}")
        for expression in expressions:
            try:
                parsed = parse_threshold(key, expression)
            except ValueError as error:
                problems.append(Problem(where, str(error), ""))
                continue
            if parsed.route != "*" and not any(fnmatchcase(route, parsed.route) for route in known):
                hint = among(parsed.route, known, "routes")
                problems.append(Problem(where, f"{parsed.route!r} matches no route", hint))
    return problems
