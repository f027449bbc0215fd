"""Whether the fields that the rules of pods and nodes walk have the types of the Kubernetes API.

The API uses a field name with one type almost everywhere, so that a table by name is enough; the exceptions name the
field that holds them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from models.errors import Problem, Where
from models.objects import KubeObject

Path = tuple[str | int, ...]

_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"

_MAPS: Final = frozenset(
    {
        *("metadata", "spec", "status", "labels", "annotations", "template", "jobTemplate", "selector", "matchLabels"),
        *("nodeSelector", "affinity", "nodeAffinity", "podAffinity", "podAntiAffinity", "labelSelector"),
        *("namespaceSelector", "podAffinityTerm", "preference", "requests", "limits", "capacity", "allocatable"),
        *("hard", "used", "overhead", "podFixed", "resources", "allocatedResources", "persistentVolumeClaim"),
        *("default", "defaultRequest", "min", "max", "maxLimitRequestRatio", "required", "scopeSelector", "claimRef"),
        *("strategy", "updateStrategy", "rollingUpdate", "disruptedPods", "securityContext", _REQUIRED),
    }
)
_MAP_LISTS: Final = frozenset(
    {
        *("containers", "initContainers", "ephemeralContainers", "volumes", "tolerations", "schedulingGates", "ports"),
        *("topologySpreadConstraints", "matchExpressions", "matchFields", "nodeSelectorTerms", "ownerReferences"),
        *("conditions", "containerStatuses", "initContainerStatuses", "taints", "images", "volumeClaimTemplates"),
        *("allowedTopologies", "matchLabelExpressions", "drivers", _PREFERRED),
    }
)
_TEXT_LISTS: Final = frozenset(
    {"values", "accessModes", "names", "scopes", "namespaces", "matchLabelKeys", "mismatchLabelKeys"}
)
_NUMBERS: Final = frozenset(
    {
        *("priority", "replicas", "parallelism", "completions", "maxSkew", "weight", "minDomains", "hostPort"),
        *("activeDeadlineSeconds", "disruptionsAllowed", "sizeBytes", "tolerationSeconds"),
    }
)
_COUNTS: Final = frozenset({"replicas", "parallelism", "completions"})
_TEXTS: Final = frozenset(
    {
        *("name", "generateName", "namespace", "nodeName", "priorityClassName", "preemptionPolicy", "schedulerName"),
        *("runtimeClassName", "serviceAccountName", "serviceAccount", "storageClassName", "volumeName", "claimName"),
        *("operator", "effect", "topologyKey", "phase", "scopeName", "whenUnsatisfiable", "provisioner", "schedule"),
        *("nominatedNodeName", "image", "volumeBindingMode"),
    }
)
_EXCEPTIONS: Final[Mapping[tuple[str, str], str]] = {
    ("podAffinity", _REQUIRED): "maps",
    ("podAntiAffinity", _REQUIRED): "maps",
    ("LimitRange.spec", "limits"): "maps",
    ("PriorityClass", "value"): "number",
    ("volumes", "image"): "map",
    ("conditions", "status"): "any",
    ("CSIStorageCapacity", "capacity"): "any",
}
"""Fields whose type depends on what holds them: the field above, or kind and field above for the top of an object."""

_WANTED: Final = {
    "map": "a map",
    "maps": "a list of maps",
    "texts": "a list of texts",
    "number": "a whole number",
    "count": "a whole number of 0 or more",
    "text": "text",
}
_CLOSED: Final = frozenset({"annotations", "labels", "matchLabels", "nodeSelector", "managedFields", "env", "data"})
"""Fields whose own fields are free; those of maps of text are looked at by :func:`_is_plain`."""


def wrong_types(item: KubeObject) -> Iterator[Problem]:
    """A problem for every field of another type than the API gives it; null stands for absent."""
    yield from _walk(item, item.manifest, (), item.kind)


def _walk(item: KubeObject, value: Any, path: Path, holder: str) -> Iterator[Problem]:
    if isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _walk(item, entry, (*path, index), holder)
        return
    if not isinstance(value, dict):
        return
    for key, entry in value.items():
        here = (*path, key)
        wanted = _wanted(item.kind, holder, key)
        if entry is not None and wanted and not _fits(entry, wanted, key):
            where = Where(item.origin.file, item.origin.line, ".".join(map(str, here)))
            what = f"{entry!r} of {item.kind} {item.name or '(no name)'} is not {_WANTED[wanted]}"
            yield Problem(where, what, "'kubectl explain' tells the type of every field")
        elif key not in _CLOSED:
            yield from _walk(item, entry, here, key)


def _wanted(kind: str, holder: str, key: str) -> str:
    special = _EXCEPTIONS.get((holder, key)) or _EXCEPTIONS.get((f"{kind}.{holder}", key))
    if special is not None:
        return "" if special == "any" else special
    if key in _MAPS:
        return "map"
    if key in _MAP_LISTS:
        return "maps"
    if key in _TEXT_LISTS:
        return "texts"
    if key in _NUMBERS:
        return "count" if key in _COUNTS else "number"
    return "text" if key in _TEXTS else ""


def _fits(value: Any, wanted: str, key: str) -> bool:
    if wanted == "map":
        return isinstance(value, dict) and (key not in _CLOSED or all(map(_is_plain, value.values())))
    if wanted == "maps":
        return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)
    if wanted == "texts":
        return isinstance(value, list) and all(map(_is_plain, value))
    if wanted == "text":
        return _is_plain(value)
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and (wanted == "number" or value >= 0)


def _is_plain(value: Any) -> bool:
    """Whether a scalar stands where text belongs: an unquoted number is the usual slip and has one meaning."""
    return value is None or not isinstance(value, dict | list)
