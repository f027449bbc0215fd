"""The smallest quotas under which nothing that should happen is refused, with a stated margin, and the proof of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from models.objects import KubeObject, Manifest, Origin, dig
from models.platform import Platform
from models.rules.quantity import NANO, Family, Quantity, parse_quantity
from models.rules.quota import hard_of
from models.rules.resources import CPU, MEMORY
from sim.placement import Placement, place_platform
from sim.platform.admission import Ledger
from sim.quotas.defaults import Defaults, namespace_pods, states_everywhere, suggest_defaults
from sim.quotas.extras import Extra
from sim.quotas.peaks import ALONE, Assumed, KeyPeaks, Peak, quota_peaks
from sim.quotas.rest import counted_objects, with_objects

ALWAYS = ("requests.cpu", "requests.memory", "pods")
WHERE_USED = ("persistentvolumeclaims", "requests.storage")
"""Keys of a new quota: these always, those where the namespace uses any, limits where every container states one."""

_OPEN = "1E"
"""More than anybody has: the limit while peaks are measured."""

_BYTES = ("memory", "requests.storage", "ephemeral-storage", "hugepages-")
"""Parts of the names of keys that count bytes."""

_MEBI = 1 << 20


@dataclass(frozen=True)
class Limit:
    """One key: the limit, and the peak that made it."""

    key: str
    hard: Quantity
    rest: Quantity
    peak: Peak

    @property
    def step(self) -> Quantity:
        """One step of the limit as it is printed: 1m of 2700m, 1Gi of 4Gi."""
        suffix = re.sub(r"^[0-9]+", "", str(self.hard))
        return parse_quantity(f"1{suffix}")


@dataclass(frozen=True)
class QuotaProposal:
    """A ResourceQuota: a new one, or other limits for ``present``, one of the tree with the same keys."""

    namespace: str
    name: str
    limits: tuple[Limit, ...]
    present: KubeObject | None = None

    def manifest(self, changed: Mapping[str, Quantity] | None = None) -> Manifest:
        """The quota, with some limits ``changed``."""
        hard = {item.key: str((changed or {}).get(item.key, item.hard)) for item in self.limits}
        return _quota(self.namespace, self.name, hard, self.present)


@dataclass(frozen=True)
class Proposal:
    """Everything proposed for a platform.

    ``quotas``, ``defaults``: by namespace, in its order; ``untracked``: namespace and key of limits that are not
    proposed because some container states none; ``problems``: what no LimitRange can mend; ``placement``: the platform
    with the defaults, all pods running, quotas open; ``peaks``: what was measured on it.
    """

    quotas: tuple[QuotaProposal, ...]
    defaults: tuple[Defaults, ...]
    margin: Fraction
    assumed: Assumed
    untracked: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]
    placement: Placement
    peaks: tuple[KeyPeaks, ...]

    def refusals(self, changed: Mapping[tuple[str, str, str], Quantity] | None = None) -> list[str]:
        """What the proposed quotas refuse, through admission, over all drivers; ``changed``: other limits by
        (namespace, quota, key).

        First everything at rest is admitted into empty quotas, then each driver on top.
        """
        changed = changed or {}
        quotas: dict[str, list[Manifest]] = {}
        for item in self.quotas:
            lowered = {key: hard for (space, name, key), hard in changed.items() if (space, name) == _id(item)}
            quotas.setdefault(item.namespace, []).append(item.manifest(lowered))
        if changed:
            spaces = {space for space, _, _ in changed}
            quotas = {space: items for space, items in quotas.items() if space in spaces}
        return list(dict.fromkeys(_refusals(self.placement, quotas, self.peaks)))


def suggest_quotas(
    platform: Platform, base: Placement, *, margin: Fraction = Fraction(0), assumed: Assumed = ALONE
) -> Proposal:
    """Quotas and LimitRanges for every namespace in which the tree runs pods.

    ``base``: the platform as it is placed now. Namespaces with quotas keep their names and keys; peaks are measured
    with the proposed defaults in force and every quota open, then raised by ``margin`` and rounded up to whole
    millicores, mebibytes or pieces.
    """
    spaces = sorted({item.namespace for item in platform.workloads})
    keys: dict[str, dict[str, list[str]]] = {}
    defaults: list[Defaults] = []
    untracked: list[tuple[str, str]] = []
    problems: dict[str, str] = {}
    for space in spaces:
        pods = namespace_pods(base, space)
        present = [item.manifest for item in platform.limit_ranges.get(space, ())]
        keys[space] = {item.name: sorted(hard_of(item.manifest)) for item in platform.quotas.get(space, ())}
        if not keys[space]:
            limited = {f"limits.{resource}": states_everywhere(pods, resource) for resource in (CPU, MEMORY)}
            untracked += [(space, key) for key, everywhere in limited.items() if not everywhere]
            keys[space] = {space: [*ALWAYS, *(key for key, everywhere in limited.items() if everywhere), *WHERE_USED]}
        wanted = {key for listed in keys[space].values() for key in listed}
        made, trouble = suggest_defaults(space, pods, wanted, present)
        defaults += [made] if made else []
        problems |= trouble
    opened = _opened(platform, keys, defaults)
    placement = place_platform(opened, base.cluster, seed=base.seed)
    refused = {pod.workload: pod.message for pod in placement.pods if pod.state == "refused"}
    told = tuple(f"{name}: {message}" for name, message in {**refused, **problems}.items())
    peaks = tuple(item for item in quota_peaks(placement, assumed) if item.namespace in keys)
    quotas = tuple(_propose(platform, space, name, peaks, margin) for space in spaces for name in keys[space])
    return Proposal(quotas, tuple(defaults), margin, assumed, tuple(untracked), told, placement, peaks)


def smaller(proposal: Proposal) -> Iterator[tuple[QuotaProposal, Limit, Quantity]]:
    """Each proposed limit with the next smaller one; a limit of 0 has none."""
    for quota in proposal.quotas:
        for limit in quota.limits:
            if limit.hard:
                yield quota, limit, limit.hard - limit.step


def recheck(proposal: Proposal) -> list[str]:
    """What is wrong with the proposal; empty when nothing is refused as proposed and no key can be one step smaller.

    One step smaller either admission refuses something, or, with a margin, less than the margin is left at the peak.
    """
    wrong = [f"refused as proposed: {message}" for message in proposal.refusals()]
    share = 1 + proposal.margin
    for quota, limit, less in smaller(proposal):
        if less.nano >= limit.peak.use.nano * share:
            wrong.append(f"{quota.namespace}/{quota.name}: {limit.key} could be {less}")
        elif not proposal.margin and not proposal.refusals({(*_id(quota), limit.key): less}):
            wrong.append(f"{quota.namespace}/{quota.name}: nothing is refused with {limit.key} of {less}")
    return wrong


def _id(quota: QuotaProposal) -> tuple[str, str]:
    return quota.namespace, quota.name


def _quota(namespace: str, name: str, hard: Mapping[str, str], present: KubeObject | None) -> Manifest:
    spec = dict(present.manifest.get("spec") or {}) if present is not None else {}
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**spec, "hard": dict(hard)},
    }


def _opened(platform: Platform, keys: Mapping[str, Mapping[str, Sequence[str]]], defaults: list[Defaults]) -> Platform:
    objects = [item for item in platform.objects if item.kind != "ResourceQuota"]
    objects += [item.object for item in defaults]
    for space, quotas in keys.items():
        for name, listed in quotas.items():
            present = platform.get("ResourceQuota", space, name)
            manifest = _quota(space, name, dict.fromkeys(listed, _OPEN), present)
            objects.append(KubeObject(manifest, Origin(provenance="derived", by="stowplan")))
    return with_objects(platform, objects)


def _propose(
    platform: Platform, namespace: str, name: str, peaks: Iterable[KeyPeaks], margin: Fraction
) -> QuotaProposal:
    present = platform.get("ResourceQuota", namespace, name)
    mine = [item for item in peaks if (item.namespace, item.quota) == (namespace, name)]
    limits = tuple(
        Limit(item.key, _rounded(item.key, item.peak.use.nano * (1 + margin)), item.rest, item.peak)
        for item in mine
        if present is not None or item.key in ALWAYS or item.peak.use
    )
    return QuotaProposal(namespace, name, limits, present)


def _rounded(key: str, nano: Fraction) -> Quantity:
    """Up to whole millicores, mebibytes or pieces."""
    if key.rpartition(".")[2] == CPU:
        return _up(nano, NANO // 1000, "DecimalSI")
    if any(word in key for word in _BYTES):
        return _up(nano, _MEBI * NANO, "BinarySI")
    return _up(nano, NANO, "DecimalSI")


def _up(nano: Fraction, step: int, family: Family) -> Quantity:
    return Quantity(-(-nano // step) * step, family)


def _refusals(
    placement: Placement, quotas: Mapping[str, Sequence[Manifest]], peaks: Iterable[KeyPeaks]
) -> Iterator[str]:
    rest = Ledger(quotas)
    for manifest in counted_objects(placement.platform):
        if dig(manifest, "metadata", "namespace") in quotas:
            yield from _admit(rest, manifest)
    for pod in placement.pods:
        if pod.namespace in quotas and pod.state != "refused":
            yield from _admit(rest, pod.manifest)
    for item in peaks:
        for peak in item.drivers if item.namespace in quotas else ():
            ledger = rest.copy()
            for extra in peak.extras:
                for number in range(extra.count):
                    yield from _admit(ledger, _another(extra, number))


def _another(extra: Extra, number: int) -> Manifest:
    metadata = extra.pod["metadata"]
    return {**extra.pod, "metadata": {**metadata, "name": f"{metadata['name']}-{number}"}}


def _admit(ledger: Ledger, manifest: Manifest) -> Iterator[str]:
    message = ledger.try_admit(manifest).message
    if message:
        yield message
