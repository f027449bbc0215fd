"""Whether network policies let one workload reach another: NetworkPolicy and the basics of CiliumNetworkPolicy.

Semantics of ``networking.k8s.io/v1``: a pod is isolated in a direction as soon as one policy selects it for that
direction; what no rule of any selecting policy allows is dropped; source (egress) and target (ingress) must both agree.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from models.objects import KubeObject
from models.operators.make import items, mapping, maps, selector_of, whole
from models.platform import Platform, Workload

Protocol = Literal["TCP", "UDP", "SCTP"]

_POD_NETWORKS = tuple(ipaddress.ip_network(text) for text in ("10.42.0.0/16", "10.244.0.0/16"))
"""Pod networks that k3s and kubeadm/Flannel use unless told otherwise: a block that holds one of them holds pods."""


@dataclass(frozen=True)
class Verdict:
    """The answer. ``policies``: those that allow it, or that isolate the pod when refused, as "namespace/name".

    direction: "ingress" or "egress" when refused, "" otherwise.
    """

    allowed: bool
    policies: tuple[str, ...] = ()
    direction: str = ""
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Endpoint:
    """One end of a connection: pods with labels in a namespace, or an address outside (``address``)."""

    namespace: str = ""
    label_sets: tuple[Mapping[str, str], ...] = ()
    ports: Mapping[str, int] | None = None
    host_network: bool = False
    address: str = ""

    @classmethod
    def of(cls, workload: Workload) -> Endpoint:
        """The pods of a workload."""
        ports = {
            str(entry["name"]): whole(entry.get("containerPort"), 0)
            for container in workload.containers
            for entry in maps(container.get("ports"))
            if entry.get("name")
        }
        host = workload.pod_spec.get("hostNetwork") is True
        return cls(workload.namespace, workload.label_sets, ports, host)


def verdict(
    platform: Platform,
    source_workload: Workload | Endpoint,
    target_workload: Workload | Endpoint,
    port: int | str | None,
    protocol: Protocol = "TCP",
) -> Verdict:
    """Whether pods of the source may open a connection to ``port`` of pods of the target.

    ``port`` is the port of the *pod*; None asks whether any port is open. Pods on the host's network are outside of
    what NetworkPolicies can promise: as a target they are always reachable, as a source they count as their node.
    """
    source = source_workload if isinstance(source_workload, Endpoint) else Endpoint.of(source_workload)
    target = target_workload if isinstance(target_workload, Endpoint) else Endpoint.of(target_workload)
    if source.host_network or target.host_network:
        return Verdict(True, reason="host network: network policies do not apply to these pods")
    out = _direction(platform, source, target, port, protocol, "egress")
    if not out.allowed:
        return out
    into = _direction(platform, target, source, port, protocol, "ingress")
    if not into.allowed:
        return into
    return Verdict(True, (*out.policies, *into.policies), "", into.reason or out.reason)


def _direction(
    platform: Platform, owner: Endpoint, peer: Endpoint, port: int | str | None, protocol: str, direction: str
) -> Verdict:
    """The verdict of the policies that select ``owner`` about traffic to (egress) or from (ingress) ``peer``."""
    if owner.address:
        return Verdict(True)
    isolating: list[str] = []
    allowing: list[str] = []
    target = peer if direction == "egress" else owner
    for policy, rules in _selecting(platform, owner, direction):
        name = f"{policy.namespace}/{policy.name}" if policy.namespace else policy.name
        isolating.append(name)
        for rule in rules:
            if _peer_matches(platform, policy, rule, peer, direction) and _port_matches(rule, port, protocol, target):
                allowing.append(name)
                break
    for policy, spec in _cilium(platform, owner):
        name = f"{policy.namespace}/{policy.name}" if policy.namespace else policy.name
        allow, deny = maps(spec.get(direction)), maps(spec.get(f"{direction}Deny"))
        if any(_cilium_hits(platform, policy, rule, peer, target, port, protocol, direction) for rule in deny):
            reason = f"{direction}Deny of {name} covers this connection: it wins over whatever allows it"
            return Verdict(False, (name,), direction, reason)
        if (allow or deny) and mapping(spec.get("enableDefaultDeny")).get(direction) is not False:
            isolating.append(name)
        if any(_cilium_hits(platform, policy, rule, peer, target, port, protocol, direction) for rule in allow):
            allowing.append(name)
    if not isolating:
        return Verdict(True, reason=f"no policy restricts {direction} of these pods")
    if allowing:
        return Verdict(True, tuple(dict.fromkeys(allowing)))
    where = f"{direction} of pods in {owner.namespace}"
    return Verdict(False, tuple(dict.fromkeys(isolating)), direction, f"no rule for {where} covers this connection")


def _selecting(
    platform: Platform, owner: Endpoint, direction: str
) -> Iterator[tuple[KubeObject, list[dict[str, Any]]]]:
    for policy in platform.network_policies.get(owner.namespace, ()):
        types = [str(entry) for entry in items(policy.spec.get("policyTypes"))]
        if not types:
            types = ["Ingress", "Egress"] if policy.spec.get("egress") else ["Ingress"]
        if direction.capitalize() not in types:
            continue
        selector = selector_of(mapping(policy.spec.get("podSelector")))
        if any(selector.matches(labels) for labels in owner.label_sets):
            yield policy, maps(policy.spec.get(direction))


def _peer_matches(platform: Platform, policy: KubeObject, rule: Mapping[str, Any], peer: Endpoint, way: str) -> bool:
    listed = rule.get("from" if way == "ingress" else "to")
    if not listed:
        return True
    return any(_one_peer(platform, policy, entry, peer) for entry in maps(listed))


def _one_peer(platform: Platform, policy: KubeObject, entry: Mapping[str, Any], peer: Endpoint) -> bool:
    if entry.get("ipBlock"):
        return _block_matches(mapping(entry["ipBlock"]), peer)
    if peer.address:
        return False
    spaces, pods = entry.get("namespaceSelector"), entry.get("podSelector")
    if spaces is None:
        if peer.namespace != policy.namespace:
            return False
    elif not selector_of(spaces).matches(platform.namespaces.get(peer.namespace, _own_name(peer.namespace))):
        return False
    if pods is None:
        return True
    selector = selector_of(pods)
    return any(selector.matches(labels) for labels in peer.label_sets)


def _own_name(namespace: str) -> Mapping[str, str]:
    return {"kubernetes.io/metadata.name": namespace}


def _block_matches(block: Mapping[str, Any], peer: Endpoint) -> bool:
    try:
        network = ipaddress.ip_network(str(block.get("cidr")), strict=False)
        holes = [ipaddress.ip_network(str(entry), strict=False) for entry in items(block.get("except"))]
    except ValueError:
        return False
    if peer.address:
        try:
            address = ipaddress.ip_address(peer.address)
        except ValueError:
            # A DNS name: it may be any address, so only a block that is wide open covers it for sure.
            return network.prefixlen == 0
        return address in network and not any(address in hole for hole in holes)
    return any(_inside(pods, network) and not any(_inside(pods, hole) for hole in holes) for pods in _POD_NETWORKS)


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _inside(inner: _Network, outer: _Network) -> bool:
    if isinstance(inner, ipaddress.IPv4Network) and isinstance(outer, ipaddress.IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, ipaddress.IPv6Network) and isinstance(outer, ipaddress.IPv6Network):
        return inner.subnet_of(outer)
    return False


def _port_matches(rule: Mapping[str, Any], port: int | str | None, protocol: str, target: Endpoint) -> bool:
    listed = maps(rule.get("ports"))
    if not listed or port is None:
        return True
    number = _number(port, target)
    for entry in listed:
        if str(entry.get("protocol") or "TCP") != protocol:
            continue
        wanted = entry.get("port")
        if wanted is None:
            return True
        low = _number(wanted, target)
        if low is None or number is None:
            if str(wanted) == str(port):
                return True
            continue
        if low <= number <= whole(entry.get("endPort"), low):
            return True
    return False


def _number(port: Any, target: Endpoint) -> int | None:
    """A port as a number: names are looked up among the target's container ports."""
    if isinstance(port, int) and not isinstance(port, bool):
        return port
    return int(port) if str(port).isdigit() else (target.ports or {}).get(str(port))


# ---- Cilium


def cilium_governs(platform: Platform, policy: KubeObject) -> tuple[Workload, ...]:
    """Workloads whose pods a CiliumNetworkPolicy or CiliumClusterwideNetworkPolicy selects."""
    return tuple(
        workload
        for workload in platform.workloads
        if policy.namespace in ("", workload.namespace)
        and any(
            _cilium_selects(platform, spec.get("endpointSelector"), Endpoint.of(workload), workload.namespace)
            for spec in (policy.spec, *maps(policy.manifest.get("specs")))
        )
    )


def _cilium(platform: Platform, owner: Endpoint) -> Iterator[tuple[KubeObject, Mapping[str, Any]]]:
    """Every policy (each of its ``specs``) that selects the pods; deny rules come before what allows."""
    policies = platform.cilium_policies
    found = [
        (policy, spec)
        for policy in (*policies.get(owner.namespace, ()), *policies.get("", ()))
        for spec in (policy.spec, *maps(policy.manifest.get("specs")))
        if _cilium_selects(platform, spec.get("endpointSelector"), owner, owner.namespace)
    ]
    yield from sorted(found, key=lambda pair: not (pair[1].get("ingressDeny") or pair[1].get("egressDeny")))


def _cilium_hits(
    platform: Platform,
    policy: KubeObject,
    rule: Mapping[str, Any],
    peer: Endpoint,
    target: Endpoint,
    port: int | str | None,
    protocol: str,
    direction: str,
) -> bool:
    """Whether a rule covers the connection; an empty one covers none, one with ports alone covers every peer."""
    prefix = "from" if direction == "ingress" else "to"
    fields = [key for key in rule if key.startswith(prefix) and key not in ("toPorts",)]
    if not fields:
        return bool(rule.get("toPorts")) and _cilium_ports(rule, port, protocol, target)
    home = policy.namespace or peer.namespace
    for field in fields:
        kind = field.removeprefix(prefix)
        if kind == "Endpoints":
            hit = any(_cilium_selects(platform, entry, peer, home) for entry in maps(rule[field]))
        elif kind == "Entities":
            hit = _entity(items(rule[field]), bool(peer.address))
        elif kind in ("CIDR", "CIDRSet"):
            blocks = [entry if isinstance(entry, dict) else {"cidr": entry} for entry in items(rule[field])]
            hit = bool(peer.address) and any(_block_matches(block, peer) for block in blocks)
        elif kind == "Services":
            hit = any(_cilium_service(platform, mapping(entry.get("k8sService")), peer) for entry in maps(rule[field]))
        else:
            hit = kind == "FQDNs" and bool(peer.address)
        if hit and _cilium_ports(rule, port, protocol, target):
            return True
    return False


def _cilium_service(platform: Platform, named: Mapping[str, Any], peer: Endpoint) -> bool:
    """Whether the peer's pods are behind a Service of ``toServices``."""
    service = platform.get("Service", str(named.get("namespace") or ""), str(named.get("serviceName") or ""))
    behind = platform.service_workloads(service) if service is not None else ()
    return any(item.namespace == peer.namespace and item.label_sets == peer.label_sets for item in behind)


def _entity(entities: list[Any], outside: bool) -> bool:
    return any(entry == "all" or entry == ("world" if outside else "cluster") for entry in entities)


def _cilium_ports(rule: Mapping[str, Any], port: int | str | None, protocol: str, target: Endpoint) -> bool:
    listed = [entry for group in maps(rule.get("toPorts")) for entry in maps(group.get("ports"))]
    if not listed or port is None:
        return True
    number = _number(port, target)
    for entry in listed:
        if str(entry.get("protocol") or "ANY") not in (protocol, "ANY"):
            continue
        low = _number(entry.get("port"), target)
        if str(entry.get("port")) in (str(port), "0"):
            return True
        if low is not None and number is not None and low <= number <= whole(entry.get("endPort"), low):
            return True
    return False


def _cilium_selects(platform: Platform, selector: Any, endpoint: Endpoint, home: str) -> bool:
    """An endpoint selector: labels with a source prefix; without a namespace label it means the policy's namespace."""
    if endpoint.address or not isinstance(selector, dict):
        return False
    labels = {_bare(key): value for key, value in mapping(selector.get("matchLabels")).items()}
    expressions = [{**entry, "key": _bare(str(entry.get("key")))} for entry in maps(selector.get("matchExpressions"))]
    keys = [*labels, *(str(entry["key"]) for entry in expressions)]
    if endpoint.namespace != home and not any(key.startswith("io.") and "namespace" in key for key in keys):
        return False
    space = platform.namespaces.get(endpoint.namespace, _own_name(endpoint.namespace))
    extra = {f"io.cilium.k8s.namespace.labels.{key}": value for key, value in space.items()}
    extra["io.kubernetes.pod.namespace"] = endpoint.namespace
    chosen = selector_of({"matchLabels": labels, "matchExpressions": expressions})
    return any(chosen.matches({**found, **extra}) for found in endpoint.label_sets)


def _bare(key: str) -> str:
    return key.partition(":")[2] if key.startswith(("k8s:", "any:", "reserved:")) else key
