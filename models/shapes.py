"""Whether objects have the shape that the API server asks for: all that do not are told at once, with file and line.

Only what the rules and the scheduler read, and only its form: a map where a map belongs, a list of maps where one does.
``null`` means "left out", as it does to the API server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from models.errors import Problem, Where
from models.graph.places import line_of
from models.platform import Platform

MAP: Final[Mapping[str, Any]] = {}
"""A map with anything in it."""
TEXTS: Final = "texts"
"""A list of scalars."""

_SELECTOR: Final = {"matchLabels": MAP, "matchExpressions": [{"values": TEXTS}]}
_RESOURCES: Final = {"requests": MAP, "limits": MAP, "claims": [MAP]}
_PROBE: Final = {"httpGet": MAP, "tcpSocket": MAP, "exec": MAP, "grpc": MAP}
_CONTAINER: Final = {
    "resources": _RESOURCES,
    "ports": [MAP],
    "env": [{"valueFrom": MAP}],
    "envFrom": [MAP],
    "volumeMounts": [MAP],
    "livenessProbe": _PROBE,
    "readinessProbe": _PROBE,
    "startupProbe": _PROBE,
}
_TERM: Final = {"labelSelector": _SELECTOR, "namespaceSelector": _SELECTOR, "namespaces": TEXTS}
_NODE_TERM: Final = {"matchExpressions": [{"values": TEXTS}], "matchFields": [{"values": TEXTS}]}
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"
_PODS: Final = {_REQUIRED: [_TERM], _PREFERRED: [{"podAffinityTerm": _TERM}]}
_POD: Final = {
    "containers": [_CONTAINER],
    "initContainers": [_CONTAINER],
    "volumes": [{"persistentVolumeClaim": MAP, "configMap": MAP, "secret": MAP, "hostPath": MAP, "projected": MAP}],
    "tolerations": [MAP],
    "nodeSelector": MAP,
    "affinity": {
        "nodeAffinity": {_REQUIRED: {"nodeSelectorTerms": [_NODE_TERM]}, _PREFERRED: [{"preference": _NODE_TERM}]},
        "podAffinity": _PODS,
        "podAntiAffinity": _PODS,
    },
    "topologySpreadConstraints": [{"labelSelector": _SELECTOR}],
    "imagePullSecrets": [MAP],
    "resources": _RESOURCES,
    "overhead": MAP,
}
_TEMPLATE: Final = {"metadata": {"labels": MAP, "annotations": MAP}, "spec": _POD}
_CLAIM: Final = {"accessModes": TEXTS, "resources": _RESOURCES, "selector": _SELECTOR}
_WORKLOAD: Final = {
    "selector": _SELECTOR,
    "template": _TEMPLATE,
    "strategy": {"rollingUpdate": MAP},
    "updateStrategy": {"rollingUpdate": MAP},
    "volumeClaimTemplates": [{"metadata": MAP, "spec": _CLAIM}],
}
_JOB: Final = {"template": _TEMPLATE}

SHAPES: Final[Mapping[tuple[str, str], Mapping[str, Any]]] = {
    **{("apps", kind): {"spec": _WORKLOAD} for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")},
    ("", "Pod"): {"spec": _POD},
    ("batch", "Job"): {"spec": _JOB},
    ("batch", "CronJob"): {"spec": {"jobTemplate": {"spec": _JOB}}},
    ("", "Service"): {"spec": {"selector": MAP, "ports": [MAP]}},
    ("", "PersistentVolumeClaim"): {"spec": _CLAIM},
    ("", "PersistentVolume"): {"spec": {"accessModes": TEXTS, "capacity": MAP, "claimRef": MAP, "nodeAffinity": MAP}},
    ("", "ResourceQuota"): {"spec": {"hard": MAP, "scopes": TEXTS}},
    ("", "LimitRange"): {
        "spec": {
            "limits": [
                {"default": MAP, "defaultRequest": MAP, "min": MAP, "max": MAP, "maxLimitRequestRatio": MAP, "type": ""}
            ]
        }
    },
    ("postgresql.cnpg.io", "Cluster"): {
        "spec": {"resources": _RESOURCES, "storage": MAP, "walStorage": MAP, "affinity": {"nodeSelector": MAP}}
    },
    ("policy", "PodDisruptionBudget"): {"spec": {"selector": _SELECTOR}},
    ("autoscaling", "HorizontalPodAutoscaler"): {"spec": {"scaleTargetRef": MAP, "metrics": [MAP]}},
}
"""What each kind must look like: a map of fields, a list of one pattern, TEXTS, MAP, or "" for a scalar."""


def check_shapes(platform: Platform) -> list[Problem]:
    """A problem for every field whose form the API server would refuse. Linear in the size of the objects."""
    problems = []
    for item in platform.objects:
        pattern = SHAPES.get((item.group, item.kind))
        if pattern is not None:
            for field, wanted, value in _wrong(item.manifest, pattern, ""):
                line = line_of(platform.rendered.lines, item.origin, field)
                what = f"{field} of {item.key} is {_said(value)}, where {wanted} belongs"
                problems.append(
                    Problem(Where(item.origin.file, line, field), what, "the API server refuses the object")
                )
    return problems


def _wrong(value: Any, pattern: Any, field: str) -> Iterator[tuple[str, str, Any]]:
    """(field, what belongs there, what is there)."""
    if value is None:
        return
    if isinstance(pattern, Mapping):
        if not isinstance(value, dict):
            yield field, "a map", value
            return
        for key, inner in pattern.items():
            yield from _wrong(value.get(key), inner, f"{field}.{key}" if field else key)
    elif isinstance(pattern, list):
        if not isinstance(value, list):
            yield field, "a list of maps", value
            return
        for index, entry in enumerate(value):
            if not isinstance(entry, dict):
                yield f"{field}[{index}]", "a map", entry
            else:
                yield from _wrong(entry, pattern[0], f"{field}[{index}]")
    elif pattern == TEXTS:
        if not isinstance(value, list) or any(isinstance(entry, (dict, list)) for entry in value):
            yield field, "a list of texts", value
    elif isinstance(value, (dict, list)):
        yield field, "a text", value


def _said(value: Any) -> str:
    """What is there, short."""
    if isinstance(value, (dict, list)):
        return "a map" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) < 40 else f"{text[:37]}..."
