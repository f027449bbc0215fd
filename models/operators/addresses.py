"""Addresses of LoadBalancer Services: what MetalLB, Cilium, kube-vip or the Service itself says.

MetalLB hands out the first free address of a pool that may assign by itself, pools in order of their priority
(docs: "Advanced AddressPool configuration"). An address that nothing in the tree decides is not invented.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from models.objects import KubeObject, ObjectKey
from models.operators.make import items, mapping, maps, selector_of, whole

_ASKED = (
    "metallb.io/loadBalancerIPs",
    "metallb.universe.tf/loadBalancerIPs",
    "lbipam.cilium.io/ips",
    "io.cilium/lb-ipam-ips",
    "kube-vip.io/loadbalancerIPs",
)
_POOL = ("metallb.io/address-pool", "metallb.universe.tf/address-pool")
_SHARED = (
    "metallb.io/allow-shared-ip",
    "metallb.universe.tf/allow-shared-ip",
    "lbipam.cilium.io/sharing-key",
    "io.cilium/lb-ipam-sharing-key",
)


@dataclass(frozen=True)
class AddressPool:
    """A pool of addresses: ranges as written, whether it assigns by itself, and which Services may use it.

    ``spaces``: selectors of namespaces. ``whole_blocks``: false leaves out addresses that end in .0 and .255.
    """

    key: ObjectKey
    ranges: tuple[tuple[int, int, int], ...]
    auto: bool
    priority: int
    namespaces: frozenset[str]
    selectors: tuple[Mapping[str, object], ...]
    spaces: tuple[Mapping[str, object], ...] = ()
    whole_blocks: bool = True

    def addresses(self) -> Iterator[str]:
        """The pool's addresses in order."""
        for version, first, last in self.ranges:
            for number in range(first, last + 1):
                address = ipaddress.IPv4Address(number) if version == 4 else ipaddress.IPv6Address(number)
                if self.whole_blocks or not str(address).endswith((".0", ".255")):
                    yield str(address)

    def accepts(self, service: KubeObject, spaces: Mapping[str, Mapping[str, str]]) -> bool:
        """Whether the pool may serve the Service at all. ``spaces``: labels of the namespaces."""
        if self.namespaces or self.spaces:
            here = {**spaces.get(service.namespace, {}), "kubernetes.io/metadata.name": service.namespace}
            named = service.namespace in self.namespaces
            if not named and not any(selector_of(entry).matches(here) for entry in self.spaces):
                return False
        # Cilium's selectors may name the Service itself by two labels of their own.
        labels = {
            **service.labels,
            "io.kubernetes.service.namespace": service.namespace,
            "io.kubernetes.service.name": service.name,
        }
        return not self.selectors or any(selector_of(entry).matches(labels) for entry in self.selectors)


def address_pools(objects: Iterable[KubeObject]) -> tuple[AddressPool, ...]:
    """MetalLB ``IPAddressPool`` and Cilium ``CiliumLoadBalancerIPPool`` objects, by priority and then by name."""
    pools = []
    for item in objects:
        if item.kind == "IPAddressPool" and item.group == "metallb.io":
            allocation = mapping(item.spec.get("serviceAllocation"))
            pools.append(
                AddressPool(
                    item.key,
                    _ranges(str(entry) for entry in items(item.spec.get("addresses"))),
                    item.spec.get("autoAssign") is not False,
                    whole(allocation.get("priority"), 0) or 2**31,
                    frozenset(str(name) for name in items(allocation.get("namespaces"))),
                    tuple(maps(allocation.get("serviceSelectors"))),
                    tuple(maps(allocation.get("namespaceSelectors"))),
                    item.spec.get("avoidBuggyIPs") is not True,
                )
            )
        elif item.kind == "CiliumLoadBalancerIPPool" and item.spec.get("disabled") is not True:
            selector = item.spec.get("serviceSelector")
            pools.append(
                AddressPool(
                    item.key,
                    _cilium_ranges(item),
                    True,
                    2**31,
                    frozenset(),
                    (selector,) if isinstance(selector, dict) else (),
                )
            )
    return tuple(sorted(pools, key=lambda pool: (pool.priority, pool.key)))


def _cilium_ranges(item: KubeObject) -> tuple[tuple[int, int, int], ...]:
    """The blocks of a pool; ``allowFirstLastIPs: "No"`` keeps the ends of networks back, not of ranges."""
    found = []
    for block in maps(item.spec.get("blocks") or item.spec.get("cidrs")):
        for version, first, last in _ranges([_cilium_block(block)]):
            ends = bool(block.get("cidr")) and item.spec.get("allowFirstLastIPs") in ("No", False) and last - first > 1
            found.append((version, first + 1, last - 1) if ends else (version, first, last))
    return tuple(found)


def _cilium_block(block: Mapping[str, object]) -> str:
    if block.get("cidr"):
        return str(block["cidr"])
    return f"{block.get('start')}-{block.get('stop') or block.get('start')}"


def _ranges(texts: Iterable[str]) -> tuple[tuple[int, int, int], ...]:
    ranges = []
    for text in texts:
        try:
            if "-" in text:
                low, high = (ipaddress.ip_address(part.strip()) for part in text.split("-", 1))
            else:
                network = ipaddress.ip_network(text.strip(), strict=False)
                low, high = network[0], network[-1]
        except ValueError:
            continue
        ranges.append((low.version, int(low), int(high)))
    return tuple(ranges)


def load_balancer_addresses(objects: Iterable[KubeObject]) -> dict[ObjectKey, tuple[str, ...]]:
    """The addresses of every Service of type LoadBalancer, as far as the tree decides them.

    Fixed addresses are taken first; the others get the first free address of a pool, Services in tree order.
    """
    listed = list(objects)
    spaces = {item.name: item.labels for item in listed if item.kind == "Namespace"}
    services = [item for item in listed if item.kind == "Service" and item.spec.get("type") == "LoadBalancer"]
    pools = address_pools(listed)
    result: dict[ObjectKey, tuple[str, ...]] = {item.key: _asked(item) for item in services}
    taken = {address for found in result.values() for address in found}
    shared: dict[str, str] = {}
    for item in services:
        group = next((item.annotations[key] for key in _SHARED if item.annotations.get(key)), "")
        if group and result[item.key]:
            shared.setdefault(group, result[item.key][0])
    for item in services:
        if result[item.key]:
            continue
        group = next((item.annotations[key] for key in _SHARED if item.annotations.get(key)), "")
        address = shared.get(group) if group else None
        address = address or _first_free(item, pools, taken, spaces)
        if address:
            taken.add(address)
            result[item.key] = (address,)
            if group:
                shared.setdefault(group, address)
    return result


def _asked(item: KubeObject) -> tuple[str, ...]:
    for key in _ASKED:
        if item.annotations.get(key):
            return tuple(part.strip() for part in item.annotations[key].split(",") if part.strip())
    if item.spec.get("loadBalancerIP"):
        return (str(item.spec["loadBalancerIP"]),)
    status = maps(item.get("status", "loadBalancer", "ingress"))
    addresses = tuple(str(entry["ip"]) for entry in status if entry.get("ip"))
    return addresses or tuple(str(entry) for entry in items(item.spec.get("externalIPs")))


def _first_free(
    item: KubeObject, pools: Iterable[AddressPool], taken: set[str], spaces: Mapping[str, Mapping[str, str]]
) -> str | None:
    wanted = next((item.annotations[key] for key in _POOL if item.annotations.get(key)), "")
    for pool in pools:
        if (pool.key.name == wanted) if wanted else (pool.auto and pool.accepts(item, spaces)):
            for address in islice(pool.addresses(), 65536):
                if address not in taken:
                    return address
    return None
