"""Claims that a StatefulSet's controller makes: ``TEMPLATE-STATEFULSET-ORDINAL`` for every replica and template.

Source: pkg/controller/statefulset/stateful_set_utils.go ``getPersistentVolumeClaimName``.
"""

from __future__ import annotations

from collections.abc import Iterator

from models.objects import KubeObject
from models.operators.make import derived, mapping, maps, said_by, whole


def derive(objects: list[KubeObject]) -> Iterator[KubeObject]:
    """The claims of the StatefulSets among ``objects``."""
    for item in objects:
        if item.kind != "StatefulSet" or item.group != "apps":
            continue
        first = whole(item.get("spec", "ordinals", "start"), 0)
        labels = mapping(item.get("spec", "selector", "matchLabels"))
        for template in maps(item.spec.get("volumeClaimTemplates")):
            name = mapping(template.get("metadata")).get("name")
            for ordinal in range(first, first + min(whole(item.spec.get("replicas"), 1), 1000)):
                yield derived(
                    item,
                    "PersistentVolumeClaim",
                    f"{name}-{item.name}-{ordinal}",
                    by=said_by(item, "StatefulSet"),
                    labels={str(key): str(value) for key, value in labels.items()},
                    spec=mapping(template.get("spec")),
                )
