"""The platform as it runs: every pod there, those that a quota would not admit today included."""

from __future__ import annotations

from dataclasses import replace

from models.objects import KubeObject, Manifest
from models.platform import Platform
from sim.placement import Placement, place_platform
from sim.platform.admission import Ledger

NOT_COUNTED = ("Pod", "ResourceQuota")
"""Kinds of the tree that are not counted as they are written: pods are made by their controllers."""


def as_running(placement: Placement) -> Placement:
    """The placement with all pods running: a quota that was cut, or came later, evicts nothing.

    Pods that Priority or LimitRanger refuse stay refused.
    """
    if not any(pod.state == "refused" for pod in placement.pods):
        return placement
    platform = placement.platform
    without = [item for item in platform.objects if item.kind != "ResourceQuota"]
    free = place_platform(with_objects(platform, without), placement.cluster, seed=placement.seed)
    return replace(free, platform=platform, ledger=full_ledger(free, platform))


def full_ledger(placement: Placement, platform: Platform) -> Ledger:
    """The platform's quotas with every pod of the placement charged, whatever admission would say."""
    quotas = {name: [item.manifest for item in items] for name, items in platform.quotas.items()}
    ledger = Ledger(quotas, counted_objects(platform))
    for pod in placement.pods:
        if pod.state != "refused":
            ledger.charge(pod.manifest)
    return ledger


def counted_objects(platform: Platform) -> list[Manifest]:
    """What counts against object quotas without a pod being made."""
    return [item.manifest for item in platform.objects if item.kind not in NOT_COUNTED]


def with_objects(platform: Platform, objects: list[KubeObject]) -> Platform:
    """The same workloads among other objects."""
    return Platform(platform.rendered, tuple(objects), platform.workloads)
