"""What changed between two rendered platforms: quotas, limit ranges, requests, replicas, images, strategies, the rest.

Every object that differs gives at least one row, whatever its kind. Files may move and names of generated objects may
get another hash: what a thing renders to decides, not where it stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from models.errors import Where
from models.graph.places import line_of
from models.objects import KubeObject, Manifest
from models.platform import Platform, Workload
from models.rules.quantity import parse_quantity
from models.rules.resources import pod_requests
from sim.compare.difference import Change, Mark

_HASH = re.compile(r"-[bcdfghkmt2456789]{10}$")
"""The suffix that Kustomize gives generated ConfigMaps and Secrets (api/hasher ``encode``)."""

_VALUE = 120
"""A longer value is cut in a row."""

_TOLD = {
    "ResourceQuota": (("spec", "hard"),),
    "LimitRange": (("spec", "limits"),),
}
"""Fields of kinds that have rows of their own."""


def changes(base: Platform, head: Platform) -> list[Change]:
    """Every row, workloads and quotas first, by kind and name."""
    before, after = _by_key(base), _by_key(head)
    rows: list[Change] = []
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old is not None and new is not None:
            if old.manifest != new.manifest:
                rows += _changed(old, new, base, head)
        else:
            rows += [_whole("-", old, base)] if old is not None else []
            rows += [_whole("+", new, head)] if new is not None else []
    return sorted(rows, key=_order)


def same_objects(base: Platform, head: Platform) -> bool:
    """Whether both sides render to the same objects, wherever these are written."""
    return sorted(_texts(base)) == sorted(_texts(head))


def _texts(platform: Platform) -> list[str]:
    return [json.dumps(item.manifest, sort_keys=True, default=str) for item in platform.rendered.objects]


def _order(row: Change) -> tuple[object, ...]:
    first = ("quota", "limit range", "workload", "replicas", "strategy", "image", "requests", "limits")
    rank = first.index(row.what) if row.what in first else len(first)
    return (rank, row.subject, row.field, row.mark, row.before, row.after)


def _by_key(platform: Platform) -> dict[tuple[str, ...], KubeObject]:
    """Written objects by identity, generated ones without their hash; a repeated identity gets a number."""
    found: dict[tuple[str, ...], KubeObject] = {}
    for item in platform.objects:
        if item.origin.provenance == "derived":
            continue
        name = _HASH.sub("", item.name) if item.origin.provenance == "generated" else item.name
        key: tuple[str, ...] = (item.group, item.kind, item.namespace, name)
        number = 0
        while key in found:
            number += 1
            key = (item.group, item.kind, item.namespace, name, str(number))
        found[key] = item
    return found


def subject_of(item: KubeObject) -> str:
    """How the object is called in every row."""
    return str(item.key)


def _whole(mark: Mark, item: KubeObject, platform: Platform) -> Change:
    workload = platform.workload_by_id.get(_workload_id(item))
    names = {"ResourceQuota": "quota", "LimitRange": "limit range"}
    what = "workload" if workload is not None else names.get(item.kind, "object")
    summary = _summary(item, workload)
    old, new = (summary, "") if mark == "-" else ("", summary)
    return Change(mark, what, subject_of(item), "", old, new, Where(item.origin.file, item.origin.line))


def _summary(item: KubeObject, workload: Workload | None) -> str:
    """The few facts that matter of a whole object."""
    if item.kind == "ResourceQuota":
        return _cut(", ".join(f"{key}={value}" for key, value in sorted(_map(item.get("spec", "hard")).items())))
    if workload is None:
        return ""
    count = "a pod per node" if workload.replicas is None else f"{workload.replicas} × "
    requests = pod_requests({"spec": dict(workload.pod_spec)})
    asks = ", ".join(f"{key}={amount}" for key, amount in sorted(requests.items()))
    return _cut(f"{count} {asks or 'no requests'}".replace("×  ", "× "))


Place = Callable[[str], Where]
"""Where a field of the object in the head stands."""


def _changed(old: KubeObject, new: KubeObject, base: Platform, head: Platform) -> Iterator[Change]:
    told = list(_TOLD.get(new.kind, ()))
    subject = subject_of(new)

    def place(field: str) -> Where:
        return Where(new.origin.file, line_of(head.rendered.lines, new.origin, field))

    rows: list[Change] = []
    if new.kind == "ResourceQuota":
        ends = _map(old.get("spec", "hard")), _map(new.get("spec", "hard"))
        rows += _maps("quota", subject, "", "spec.hard.", *ends, place)
    elif new.kind == "LimitRange":
        rows += _limit_ranges(old, new, subject, place)
    one = base.workload_by_id.get(_workload_id(old))
    two = head.workload_by_id.get(_workload_id(new))
    if one is not None and two is not None:
        rows += _workloads(one, two, subject, place)
        told += [("spec", "replicas"), ("spec", "strategy"), ("spec", "updateStrategy")]
    covered = {row.field for row in rows}
    for path in _paths(old.manifest, new.manifest):
        if not _covered(path, covered) and not any(path[: len(item)] == item for item in told):
            rows.append(_leaf(old, new, path, subject, place))
    yield from rows


def _workload_id(item: KubeObject) -> str:
    return f"{item.kind} {item.namespace}/{item.name}"


def _workloads(old: Workload, new: Workload, subject: str, place: Place) -> Iterator[Change]:
    rolls = old.template != new.template
    if old.replicas != new.replicas:
        yield Change(
            "~", "replicas", subject, "replicas", *_texts_of(old.replicas, new.replicas), place("spec.replicas")
        )
    if old.strategy != new.strategy:
        field = "spec.strategy" if new.controller == "Deployment" else "spec.updateStrategy"
        yield Change("~", "strategy", subject, "strategy", _strategy(old), _strategy(new), place(field))
    for group in ("initContainers", "containers"):
        one = {str(item.get("name")): item for item in _list(old.pod_spec.get(group))}
        two = {str(item.get("name")): item for item in _list(new.pod_spec.get(group))}
        word = "init container" if group == "initContainers" else "container"
        for name in sorted({*one, *two}):
            label, field = f"{word} {name}", f"spec.{group}[{name}]"
            if name not in one or name not in two:
                mark: Mark = "+" if name in two else "-"
                image = str((two.get(name) or one.get(name) or {}).get("image", ""))
                ends = ("", image) if mark == "+" else (image, "")
                yield Change(mark, "image", subject, label, *ends, place(field), rolls)
                continue
            yield from _container(one[name], two[name], subject, (label, field), place, rolls)


def _container(
    old: Manifest, new: Manifest, subject: str, names: tuple[str, str], place: Place, rolls: bool
) -> Iterator[Change]:
    """Rows of one container; ``names``: how it is called, and the path of its field."""
    label, field = names
    if old.get("image") != new.get("image"):
        ends = _texts_of(old.get("image"), new.get("image"))
        yield Change("~", "image", subject, f"{label} image", *ends, place(f"{field}.image"), rolls)
    for part in ("requests", "limits"):
        one, two = _map(_map(old.get("resources")).get(part)), _map(_map(new.get("resources")).get(part))
        path = f"{field}.resources.{part}."
        yield from _maps(part, subject, f"{label} {part}.", path, one, two, place, rolls)


def _maps(
    what: str,
    subject: str,
    prefix: str,
    path: str,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    place: Place,
    rolls: bool = False,
) -> Iterator[Change]:
    """Rows of two maps of quantities; amounts that are equal in another notation are no change."""
    for key in sorted({*old, *new}):
        if key in old and key in new and _equal(old[key], new[key]):
            continue
        mark: Mark = "~" if key in old and key in new else "+" if key in new else "-"
        ends = _texts_of(old.get(key), new.get(key))
        yield Change(mark, what, subject, f"{prefix}{key}", *ends, place(f"{path}{key}"), rolls)


def _limit_ranges(old: KubeObject, new: KubeObject, subject: str, place: Place) -> Iterator[Change]:
    one, two = _list(old.get("spec", "limits")), _list(new.get("spec", "limits"))
    for number in range(max(len(one), len(two))):
        before: Manifest = one[number] if number < len(one) else {}
        after: Manifest = two[number] if number < len(two) else {}
        kind = str(after.get("type") or before.get("type") or "Container")
        for part in ("min", "max", "default", "defaultRequest", "maxLimitRequestRatio"):
            ends = _map(before.get(part)), _map(after.get(part))
            path = f"spec.limits[{number}].{part}."
            yield from _maps("limit range", subject, f"{kind} {part}.", path, *ends, place)


def _equal(one: Any, two: Any) -> bool:
    try:
        return bool(parse_quantity(one) == parse_quantity(two))
    except (ValueError, TypeError):
        return bool(one == two)


def _paths(old: Any, new: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The deepest fields in which two values differ; named list items by their name, other lists as a whole."""
    if isinstance(old, dict) and isinstance(new, dict):
        found: list[tuple[str, ...]] = []
        for key in sorted({*old, *new}, key=str):
            if old.get(key, _ABSENT) != new.get(key, _ABSENT):
                found += _paths(old.get(key), new.get(key), (*path, str(key)))
        return found
    one, two = _named(old), _named(new)
    if one is not None and two is not None and list(one) != list(two) and set(one) == set(two):
        return [path]
    if one is not None and two is not None:
        return _paths({f"[{key}]": item for key, item in one.items()}, {f"[{k}]": v for k, v in two.items()}, path)
    return [path]


_ABSENT = object()


def _named(value: Any) -> dict[str, Any] | None:
    """A list of maps that all have a distinct name, by name; None for anything else."""
    if not isinstance(value, list) or not all(isinstance(item, dict) and "name" in item for item in value):
        return None
    named = {str(item["name"]): item for item in value}
    return named if len(named) == len(value) else None


def _covered(path: tuple[str, ...], fields: set[str]) -> bool:
    """Whether a field of a container is told by a row of its own."""
    for group, word in (("initContainers", "init container"), ("containers", "container")):
        if group not in path or path.index(group) + 1 >= len(path):
            continue
        at = path.index(group)
        label = f"{word} {path[at + 1][1:-1]}"
        rest = path[at + 2 :]
        if not rest:
            return label in fields
        if rest == ("image",):
            return f"{label} image" in fields
        if rest[0] == "resources":
            # Amounts that are equal in another notation are told by nothing, and are nothing.
            return len(rest) < 2 or rest[1] in ("requests", "limits")
    return False


def _leaf(old: KubeObject, new: KubeObject, path: tuple[str, ...], subject: str, place: Place) -> Change:
    one, two = _at(old.manifest, path), _at(new.manifest, path)
    mark: Mark = "+" if one is None else "-" if two is None else "~"
    field = ".".join(path).replace(".[", "[")
    return Change(mark, "object", subject, field, *_texts_of(one, two), place(field), "template" in path)


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        named = _named(value)
        if named is not None:
            value, step = named, step[1:-1]
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def _texts_of(old: Any, new: Any) -> tuple[str, str]:
    return _text(old), _text(new)


def _strategy(workload: Workload) -> str:
    if not workload.strategy:
        return ""
    rolling = _map(workload.strategy.get("rollingUpdate"))
    parts = [str(workload.strategy.get("type") or "RollingUpdate")]
    parts += [f"{key} {value}" for key, value in sorted(rolling.items())]
    return ", ".join(parts)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return _cut(value)
    return _cut(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str))


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _VALUE else f"{line[: _VALUE - 1]}…"


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Manifest]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
