"""What charts that could not be read hide: which missing Services they would make, and which they would not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from models.graph.context import Context
from models.objects import Missing


def chart_name(item: Missing) -> str:
    """The name of the chart, without its version and repository."""
    return item.what.split(" ")[0].rpartition("/")[2]


def release_names(item: Missing) -> tuple[str, ...]:
    """The beginnings of the names that the chart gives its Services.

    Helm's starter template: ``fullnameOverride``, or the release when it contains the chart's name, or both joined;
    sub-charts have their own override below their own key. The release itself counts only while nothing overrides it.
    """
    override = item.values.get("fullnameOverride")
    name, release = chart_name(item), item.release or chart_name(item)
    first = [str(override)] if override else [release] if name in release else [f"{release}-{name}", release]
    return tuple(dict.fromkeys((*first, *_overrides(item.values, 0))))


def _overrides(values: Mapping[str, Any], depth: int) -> Iterator[str]:
    for key, value in values.items():
        if key == "fullnameOverride" and depth and value:
            yield str(value)
        elif isinstance(value, dict) and depth < 4:
            yield from _overrides(value, depth + 1)


def would_make(item: Missing, service: str) -> bool:
    """Whether a Service of that name looks like one of the chart's."""
    return any(service == name or service.startswith(f"{name}-") for name in release_names(item))


def hiding(context: Context, namespace: str, service: str) -> tuple[str, ...]:
    """Nodes of the hidden charts that would make the Service."""
    return tuple(
        node
        for node, (item, space) in context.charts.items()
        if namespace in ("", space, _override(item)) or not space
        if would_make(item, service)
    )


def _override(item: Missing) -> str:
    return str(item.values.get("namespaceOverride") or "")


def near(context: Context, namespace: str, service: str) -> tuple[str, ...]:
    """Names that the tree itself or a hidden chart of the namespace uses for what ``service`` seems to mean."""
    words = set(service.split("-"))
    names = {item.name for item in context.platform.services if item.namespace == namespace}
    for route in context.routes:
        names |= {
            end.service.partition("/")[2] for end in route.backends if end.service.startswith(f"Service {namespace}/")
        }
    scored = [
        (len(words & set(name.split("-"))) / len(words | set(name.split("-"))), name) for name in names - {service}
    ]
    return tuple(name for score, name in sorted(scored, key=lambda pair: (-pair[0], pair[1])) if score > 0)[:2]
