"""The ResourceQuotas of a cluster as its API server keeps them: every charge is written into ``status.used``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from models.objects import Manifest, dig
from models.rules.quantity import ZERO, Quantity
from models.rules.quota import Admission, admit, compute_used, hard_of, used_of
from models.rules.resources import ResourceList
from models.rules.usage import matches_scopes, matching_keys, usage


@dataclass(frozen=True)
class QuotaLine:
    """What an object asks of one key of one quota: ``used`` before it, None where the quota has no such value yet."""

    quota: str
    key: str
    delta: Quantity
    used: Quantity | None
    hard: Quantity

    @property
    def fits(self) -> bool:
        """Whether the key has room for the object; an amount of 0 always fits."""
        return not self.delta or (self.used is not None and self.used + self.delta <= self.hard)


class QuotaBook:
    """Quotas by namespace, in their order.

    Use starts with ``status.used`` where the quota has a status, which is what admission reads in a cluster; else with
    what the quota controller would count of ``objects``. ``limited``: ``limitedResources`` of the admission plugin's
    configuration, what nobody gets without a quota that covers it.
    """

    def __init__(
        self, quotas: Iterable[Manifest], objects: Iterable[Manifest], limited: Sequence[Manifest] = ()
    ) -> None:
        self._limited = limited
        listed: dict[str, list[Manifest]] = {}
        for item in objects:
            listed.setdefault(str(dig(item, "metadata", "namespace", default="")), []).append(item)
        self._quotas: dict[str, list[Manifest]] = {}
        self.counted: set[tuple[str, str]] = set()
        for quota in quotas:
            namespace = str(dig(quota, "metadata", "namespace", default=""))
            if dig(quota, "status", "hard") is None and dig(quota, "status", "used") is None:
                self.counted.add((namespace, _name(quota)))
                quota = _with_used(quota, compute_used(quota, listed.get(namespace, [])))
            self._quotas.setdefault(namespace, []).append(quota)

    def all(self) -> list[Manifest]:
        """Every quota with its use as it stands now."""
        return [quota for quotas in self._quotas.values() for quota in quotas]

    def lines(self, obj: Manifest) -> list[QuotaLine]:
        """What the object asks of each quota that applies to it, whether or not it gets it."""
        found: list[QuotaLine] = []
        cost: ResourceList | None = None
        for quota in self._quotas.get(_namespace(obj), ()):
            hard = hard_of(quota)
            keys = matching_keys(obj, hard)
            if not keys or not matches_scopes(quota, obj):
                continue
            cost = usage(obj) if cost is None else cost
            used = used_of(quota)
            found += [QuotaLine(_name(quota), key, cost.get(key, ZERO), used.get(key), hard[key]) for key in keys]
        return found

    def admit(self, obj: Manifest) -> Admission:
        """Quota admission; what is allowed is charged."""
        namespace = _namespace(obj)
        quotas = self._quotas.get(namespace, [])
        if not quotas and not self._limited:
            return Admission(True)
        answer = admit(obj, quotas, namespace=namespace, limited_resources=self._limited)
        if answer.deltas:
            self._write(namespace, {name: answer.new_used[name] for name in answer.deltas})
        return answer

    def release(self, obj: Manifest) -> None:
        """Give back what an object that is deleted had been charged."""
        namespace = _namespace(obj)
        lowered: dict[str, ResourceList] = {}
        for quota in self._quotas.get(namespace, ()):
            used = used_of(quota)
            if matches_scopes(quota, obj) and used:
                cost = usage(obj)
                lowered[_name(quota)] = {key: max(ZERO, amount - cost.get(key, ZERO)) for key, amount in used.items()}
        self._write(namespace, lowered)

    def _write(self, namespace: str, used: Mapping[str, ResourceList]) -> None:
        quotas = self._quotas.get(namespace, [])
        for number, quota in enumerate(quotas):
            if _name(quota) in used:
                quotas[number] = _with_used(quota, used[_name(quota)])


def _with_used(quota: Manifest, used: ResourceList) -> Manifest:
    hard = {key: str(amount) for key, amount in hard_of(quota).items()}
    return {**quota, "status": {"hard": hard, "used": {key: str(amount) for key, amount in used.items()}}}


def _name(obj: Manifest) -> str:
    return str(dig(obj, "metadata", "name", default=""))


def _namespace(obj: Manifest) -> str:
    return str(dig(obj, "metadata", "namespace", default=""))
