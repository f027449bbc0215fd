"""Machines of the workloads that take part, from a placement, with what their pods cost each quota."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from models.objects import Manifest, dig
from models.platform import Workload
from models.rules.daemonset import daemon_limits
from models.rules.quantity import ZERO
from models.rules.quota import admit, hard_of, usage
from models.rules.rollout import max_surge, max_unavailable, strategy_of
from models.rules.statefulset import statefulset_max_unavailable, statefulset_rule
from models.rules.usage import matches_scopes, matching_keys
from sim.placement import PlacedPod, Placement, daemon_nodes
from sim.platform.workloads import first_ordinal, make_pod
from sim.rollouts.machine import NOBODY, Kind, Machine, Pod, Standing

ROLLED_KINDS = ("Deployment", "StatefulSet", "DaemonSet", "Cluster")
"""Controllers that replace their pods when the template changes."""

NEXT_REVISION = 2

QuotaKey = tuple[str, str]
"""(quota, key) within one namespace."""

Charge = Mapping[QuotaKey, int]
"""What a pod costs, in nano-units."""


@dataclass(frozen=True, eq=False)
class Member:
    """A workload that takes part: its rules, its pods before admission, and what one pod costs."""

    machine: Machine
    placement: Placement
    charge: Charge
    template: Manifest

    @property
    def namespace(self) -> str:
        """Where its pods live."""
        return self.machine.workload.namespace

    @property
    def identity(self) -> int:
        """The identity of any one of its pods."""
        return self.machine.identities[0] if self.machine.identities else NOBODY

    @cached_property
    def _daemon_nodes(self) -> list[str]:
        return daemon_nodes(self.machine.workload, [node.manifest for node in self.placement.cluster.nodes])

    def pod(self, identity: int, serial: int, new: bool) -> Manifest:
        """The stored manifest of one pod; ``serial`` tells pods without an identity apart."""
        workload = self.machine.workload
        revision = NEXT_REVISION if new else 1
        if identity == NOBODY:
            key = (workload.id, revision, "search")
            gate = self.placement.gate
            name = f"{self.template['metadata']['name']}-{revision}-{serial}"
            return gate.prepare_again(key, name, lambda: _named(make_pod(workload, 0, revision), name)).manifest
        if workload.controller == "DaemonSet":
            return self.placement.gate.prepare(
                make_pod(workload, revision, revision, self._daemon_nodes[identity])
            ).manifest
        return self.placement.gate.prepare(make_pod(workload, identity, revision)).manifest


def _named(pod: Manifest, name: str) -> Manifest:
    return {**pod, "metadata": {**pod["metadata"], "name": name}}


def member(placement: Placement, workload: Workload, wave: int | None) -> Member:
    """The workload as the search sees it; ``wave`` None: it is not rolled out and only makes its missing pods."""
    pods = placement.by_workload.get(workload.id, ())
    template = placement.gate.prepare(_example(placement, workload))
    refusal = template.message or static_refusal(placement, template.manifest)
    kind, identities, floor, ceiling, kept = _limits(placement, workload)
    replicas = len(identities) if identities else (workload.replicas or 0)
    charge = pod_charge(placement, template.manifest)
    machine = Machine(
        workload=workload,
        kind=kind,
        rolled=wave is not None,
        wave=wave or 0,
        replicas=replicas,
        target=replicas - len(kept),
        floor=floor,
        ceiling=ceiling,
        identities=identities,
        kept=kept,
        refusal=refusal,
        start=_standing(placement, workload, pods, replicas),
    )
    return Member(machine, placement, charge, template.manifest)


def _example(placement: Placement, workload: Workload) -> Manifest:
    if workload.controller == "DaemonSet":
        nodes = daemon_nodes(workload, [node.manifest for node in placement.cluster.nodes])
        return make_pod(workload, 0, NEXT_REVISION, nodes[0] if nodes else "")
    return make_pod(workload, first_ordinal(workload), NEXT_REVISION)


def _limits(placement: Placement, workload: Workload) -> tuple[Kind, tuple[int, ...], int, int, frozenset[int]]:
    """(kind, identities in order of replacement, fewest available pods, most pods, identities that stay)."""
    manifest = dict(workload.object.manifest)
    replicas = workload.replicas or 0
    if workload.controller == "DaemonSet":
        count = len(daemon_nodes(workload, [node.manifest for node in placement.cluster.nodes]))
        surge, unavailable = daemon_limits(manifest, count)
        kept = frozenset(range(count)) if dig(manifest, "spec", "updateStrategy", "type") == "OnDelete" else frozenset()
        return "daemon", tuple(range(count)), max(0, count - unavailable), count + surge, kept
    if workload.controller == "StatefulSet":
        rule = statefulset_rule({**manifest, "spec": {**(manifest.get("spec") or {}), "replicas": replicas}})
        ordinals = range(rule.start, rule.start + replicas)
        missing = statefulset_max_unavailable(rule.max_unavailable, replicas)
        kept = frozenset(ordinals if rule.on_delete else ordinals[: rule.partition])
        return "ordered", tuple(reversed(ordinals)), max(0, replicas - missing), replicas, kept
    if workload.controller == "Cluster":
        # Replicas one after the other, the primary (instance 1) last.
        return (
            "ordered",
            (*range(2, replicas + 1), *range(1, min(replicas, 1) + 1)),
            replicas - 1,
            replicas,
            frozenset(),
        )
    rules = strategy_of(manifest)
    if rules.kind == "Recreate":
        return "recreate", (), 0, replicas, frozenset()
    return (
        "rolling",
        (),
        replicas - max_unavailable(rules, replicas),
        replicas + max_surge(rules, replicas),
        frozenset(),
    )


def _standing(placement: Placement, workload: Workload, pods: Iterable[PlacedPod], replicas: int) -> Standing:
    old: list[Pod] = []
    waiting: list[int] = []
    numbers = {}
    if workload.controller == "DaemonSet":
        names = daemon_nodes(workload, [node.manifest for node in placement.cluster.nodes])
        numbers = {make_pod(workload, 0, node=node)["metadata"]["name"]: i for i, node in enumerate(names)}
    for pod in pods:
        identity = NOBODY
        if workload.controller in ("StatefulSet", "Cluster"):
            identity = pod.number
        elif workload.controller == "DaemonSet":
            identity = numbers[pod.name]
        if pod.node is not None:
            old.append((identity, pod.node))
        elif pod.state == "pending":
            waiting.append(identity)
    return Standing(tuple(sorted(old)), tuple(sorted(waiting)), replicas, (), ())


def static_refusal(placement: Placement, pod: Manifest) -> str:
    """The API server's refusal that no change of use can lift: a value is missing, or the pod alone is too much."""
    quotas = quotas_of(placement, pod["metadata"]["namespace"])
    empty = {str(quota["metadata"]["name"]): dict.fromkeys(hard_of(quota), ZERO) for quota in quotas}
    answer = admit(pod, quotas, namespace=pod["metadata"]["namespace"], used=empty)
    return "" if answer.allowed else answer.message


def quotas_of(placement: Placement, namespace: str) -> list[Manifest]:
    """The quotas of a namespace."""
    return [item.manifest for item in placement.platform.quotas.get(namespace, ())]


def pod_charge(placement: Placement, pod: Manifest) -> Charge:
    """What one pod costs every quota of its namespace that it falls under."""
    charge: dict[QuotaKey, int] = {}
    for quota in quotas_of(placement, pod["metadata"]["namespace"]):
        keys = matching_keys(pod, hard_of(quota))
        if keys and matches_scopes(quota, pod):
            cost = usage(pod)
            name = str(quota["metadata"]["name"])
            charge.update({(name, key): cost[key].nano for key in keys if cost.get(key)})
    return charge
