"""What operators and controllers make of the objects in a tree: one module per operator, no network, no values."""

from __future__ import annotations

from collections.abc import Sequence

from models.objects import KubeObject
from models.operators import caches, claims, cnpg, crunchy, gateways, k3s, prometheus, secrets, volsync

_FIRST = (
    cnpg.derive,
    crunchy.derive,
    prometheus.derive,
    caches.derive,
    secrets.derive,
    gateways.derive,
    volsync.derive,
    k3s.derive,
)


def derive(objects: Sequence[KubeObject]) -> list[KubeObject]:
    """Objects that would exist in the cluster because of ``objects`` and are not among them.

    Namespaces must be filled in. An object that the tree itself writes is never derived a second time.
    """
    written = {item.key for item in objects}
    made: list[KubeObject] = []

    def keep(items: list[KubeObject]) -> None:
        for item in items:
            if item.key not in written:
                written.add(item.key)
                made.append(item)

    listed = list(objects)
    for step in _FIRST:
        keep(list(step(listed)))
    keep(list(claims.derive([*listed, *made])))
    return made
