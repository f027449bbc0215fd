"""Whether every quantity that the rules read can be read: all that cannot are told at once, with file and line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from models.errors import Problem, Where
from models.objects import KubeObject, dig
from models.platform import Platform
from models.rules.quantity import parse_quantity

Path = tuple[str | int, ...]


def check_quantities(platform: Platform) -> list[Problem]:
    """A problem for every quantity in requests, limits, quotas, limit ranges and claims that is none."""
    return [problem for item in platform.objects for problem in _object(item)]


def _object(item: KubeObject) -> Iterator[Problem]:
    for path in _amounts(item):
        held = dig(item.manifest, *path, default={})
        for name, amount in held.items() if isinstance(held, dict) else ():
            try:
                parse_quantity(amount.strip() if isinstance(amount, str) else amount)
            except (TypeError, ValueError) as error:
                field = ".".join(map(str, (*path, name)))
                where = Where(item.origin.file, item.origin.line, field)
                yield Problem(where, f"{amount!r} of {item.key} is not a quantity: {error}", "for example 250m or 1Gi")


def _amounts(item: KubeObject) -> Iterator[Path]:
    """The maps of quantities in an object."""
    if item.kind == "ResourceQuota":
        yield from (("spec", "hard"), ("status", "hard"), ("status", "used"))
    elif item.kind == "Node":
        yield from (("status", "capacity"), ("status", "allocatable"))
    elif item.kind == "PersistentVolume":
        yield ("spec", "capacity")
    elif item.kind == "RuntimeClass":
        yield ("overhead", "podFixed")
    elif item.kind == "PersistentVolumeClaim":
        yield from (("spec", "resources", key) for key in ("requests", "limits"))
        yield ("status", "allocatedResources")
    elif item.kind == "LimitRange":
        for index, _ in enumerate(_listed(dig(item.manifest, "spec", "limits"))):
            kinds = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
            yield from (("spec", "limits", index, key) for key in kinds)
    else:
        for base in (("spec",), ("spec", "template", "spec"), ("spec", "jobTemplate", "spec", "template", "spec")):
            yield from ((*base, *path) for path in (("overhead",), ("resources", "requests"), ("resources", "limits")))
            for group in ("containers", "initContainers"):
                for index, _ in enumerate(_listed(dig(item.manifest, *base, group))):
                    yield from ((*base, group, index, "resources", key) for key in ("requests", "limits"))
        for group in ("containerStatuses", "initContainerStatuses"):
            for index, _ in enumerate(_listed(dig(item.manifest, "status", group))):
                yield ("status", group, index, "allocatedResources")
                yield from (("status", group, index, "resources", key) for key in ("requests", "limits"))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
