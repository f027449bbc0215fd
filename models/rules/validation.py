"""What the API server's validation says about a pod's resources, after mutating admission has filled them in.

Source: ``pkg/apis/core/validation/validation.go`` (``validateResourceRequirements``) and apimachinery
``errors.NewInvalid``. Only cpu, memory and ephemeral storage are looked at, and only signs and requests above limits:
what LimitRanger's defaults can bring about.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from models.objects import Manifest, dig
from models.rules.limitrange import aggregate
from models.rules.resources import CPU, EPHEMERAL_STORAGE, MEMORY, resource_list

_CHECKED: Final = (CPU, EPHEMERAL_STORAGE, MEMORY)


def resource_error(pod: Manifest) -> str:
    """The API server's answer (``Pod "x" is invalid: …``), "" when the resources are valid.

    Upstream walks resources in random order; here they come by name. Raises ValueError on an unreadable amount.
    """
    found = [text for path in _holders(pod) for text in _errors(dig(pod, *path), _dotted(path))]
    if not found:
        return ""
    name = dig(pod, "metadata", "name") or dig(pod, "metadata", "generateName") or ""
    return f'Pod "{name}" is invalid: {aggregate(found)}'


def _holders(pod: Manifest) -> Iterator[tuple[str | int, ...]]:
    for field in ("containers", "initContainers"):
        for index, _ in enumerate(dig(pod, "spec", field, default=[])):
            yield "spec", field, index, "resources"
    yield "spec", "resources"


def _dotted(path: tuple[str | int, ...]) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def _errors(resources: object, path: str) -> Iterator[str]:
    limits = resource_list(dig(resources, "limits"))
    requests = resource_list(dig(resources, "requests"))
    for side, amounts in (("limits", limits), ("requests", requests)):
        for name in _CHECKED:
            if name in amounts and amounts[name].sign < 0:
                text = f'Invalid value: "{amounts[name]}": must be greater than or equal to 0'
                yield f"{path}.{side}[{name}]: {text}"
    for name in _CHECKED:
        if name in requests and name in limits and requests[name] > limits[name]:
            text = f'Invalid value: "{requests[name]}": must be less than or equal to {name} limit of {limits[name]}'
            yield f"{path}.requests: {text}"
