"""Pods of workloads: their names, labels and manifests, and the CoreDNS that k3s brings along."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from models.catalog import Timings
from models.cluster import Cluster
from models.objects import KubeObject, Manifest, Origin, dig
from models.platform import Platform, Workload
from models.rules.defaults import pod_from_template

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""The letters of generated names (apimachinery/pkg/util/rand): no vowels, no 0, 1 or 3."""

DNS_SERVICE = "Service kube-system/kube-dns"
"""The service behind every cluster name."""


def generated(seed: str, length: int = 5) -> str:
    """A name suffix as Kubernetes generates them, the same for the same ``seed``."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:16], "big")
    letters = []
    for _ in range(length):
        number, rest = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[rest])
    return "".join(letters)


def template_hash(workload: Workload, revision: int) -> str:
    """The pod-template-hash of a revision of a workload (ten characters, not upstream's own hash)."""
    return generated(f"{json.dumps(workload.template, sort_keys=True, default=str)}#{revision}", 10)


def pod_name(workload: Workload, number: int, revision: int = 1, node: str = "") -> str:
    """The name of the pod with that number: an ordinal where pods have an identity, else a serial number.

    StatefulSet ``NAME-0``, CNPG ``NAME-1``, DaemonSet ``NAME-<from node and number>``, Deployment
    ``NAME-<template hash>-<5>``.
    """
    match workload.controller:
        case "StatefulSet" | "Cluster":
            return f"{workload.name}-{number}"
        case "Pod":
            return workload.name
        case "DaemonSet":
            return f"{workload.name}-{generated(f'{workload.id}/{node}/{number}')}"
        case "Deployment":
            stem = f"{workload.name}-{template_hash(workload, revision)}"
            return f"{stem}-{generated(f'{workload.id}/{revision}/{number}')}"
        case _:
            return f"{workload.name}-{generated(f'{workload.id}/{revision}/{number}')}"


def first_ordinal(workload: Workload) -> int:
    """The number of the first pod: ``spec.ordinals.start`` of a StatefulSet, 1 for CNPG, else 0."""
    if workload.controller == "Cluster":
        return 1
    return int(dig(dict(workload.object.manifest), "spec", "ordinals", "start", default=0) or 0)


def make_pod(workload: Workload, number: int, revision: int = 1, node: str = "") -> Manifest:
    """The pod that the workload's controller sends to the API server, before admission.

    ``node``: the node of a DaemonSet pod, which is bound to it by affinity.
    """
    name = pod_name(workload, number, revision, node)
    template = {**workload.template, "metadata": {k: v for k, v in _metadata(workload).items() if k != "name"}}
    identity = workload.controller in ("StatefulSet", "Cluster")
    claims = list(workload.claim_templates) if workload.controller == "StatefulSet" else []
    stub: Manifest = {
        "kind": workload.controller if workload.controller in ("StatefulSet", "DaemonSet") else "Deployment",
        "spec": {
            "template": template,
            "volumeClaimTemplates": claims,
            "serviceName": dig(dict(workload.object.manifest), "spec", "serviceName", default=""),
        },
    }
    pod = pod_from_template(stub, name=name, namespace=workload.namespace)
    metadata = pod["metadata"]
    labels = {**workload.labels, **(metadata.get("labels") or {})}
    if workload.controller == "Deployment":
        labels["pod-template-hash"] = template_hash(workload, revision)
    elif workload.controller == "Cluster":
        labels["cnpg.io/instanceName"] = name
        _mount_instance(pod, workload, number)
    metadata["labels"] = labels
    if workload.controller == "DaemonSet" and node:
        _bind_to(pod, node)
    if owner := _owner(workload, revision):
        metadata["ownerReferences"] = [owner]
    if identity:
        pod["spec"]["hostname"] = name
    return pod


def _metadata(workload: Workload) -> Manifest:
    metadata = workload.template.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _mount_instance(pod: Manifest, workload: Workload, number: int) -> None:
    """The volumes of one instance of a database cluster: claim ``NAME-<n><suffix of the template>``."""
    volumes = list(pod["spec"].get("volumes") or [])
    for claim in workload.claim_templates:
        template = str(dig(claim, "metadata", "name", default="pgdata"))
        name = f"{workload.name}-{number}{template.removeprefix('pgdata')}"
        volumes.append({"name": template, "persistentVolumeClaim": {"claimName": name}})
    pod["spec"]["volumes"] = volumes


def _bind_to(pod: Manifest, node: str) -> None:
    """The node affinity that the DaemonSet controller writes (``ReplaceDaemonSetPodNodeNameNodeAffinity``)."""
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    affinity = dict(pod["spec"].get("affinity") or {})
    nodes = dict(affinity.get("nodeAffinity") or {})
    required = dict(nodes.get("requiredDuringSchedulingIgnoredDuringExecution") or {})
    terms = required.get("nodeSelectorTerms") or []
    merged = [{**item, "matchFields": term["matchFields"]} for item in terms] or [term]
    nodes["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": merged}
    pod["spec"]["affinity"] = {**affinity, "nodeAffinity": nodes}


def _owner(workload: Workload, revision: int) -> Manifest | None:
    if workload.controller == "Pod":
        return None
    kind, name, version = workload.controller, workload.name, workload.object.api_version
    if workload.controller == "Deployment":
        kind, name, version = "ReplicaSet", f"{workload.name}-{template_hash(workload, revision)}", "apps/v1"
    return {"apiVersion": version, "kind": str(kind), "name": name, "controller": True}


def replica_set(workload: Workload, revision: int) -> Manifest:
    """The ReplicaSet of a revision as the scheduler reads it (its selector, for default spreading)."""
    digest = template_hash(workload, revision)
    selector = dig(dict(workload.object.manifest), "spec", "selector", default={})
    labels = {**(selector.get("matchLabels") or {}), "pod-template-hash": digest}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": f"{workload.name}-{digest}", "namespace": workload.namespace},
        "spec": {"selector": {**selector, "matchLabels": labels}},
    }


def implicit_workloads(platform: Platform, cluster: Cluster, timings: Timings, dns: dict[str, int]) -> list[Workload]:
    """What the distribution runs although no tree writes it: CoreDNS of k3s, unless the tree has its own.

    ``dns``: cpu_m, mem_mib and limit_mem_mib of the CoreDNS pod (catalogue fact ``coredns.requests``).
    """
    if cluster.distribution != "k3s" or any("coredns" in item.name for item in platform.workloads):
        return []
    labels = {"k8s-app": "kube-dns"}
    container = {
        "name": "coredns",
        "image": "rancher/mirrored-coredns-coredns",
        "resources": {
            "requests": {"cpu": f"{dns['cpu_m']}m", "memory": f"{dns['mem_mib']}Mi"},
            "limits": {"memory": f"{dns['limit_mem_mib']}Mi"},
        },
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 2},
    }
    spec = {
        "priorityClassName": "system-cluster-critical",
        "tolerations": [
            {"key": "CriticalAddonsOnly", "operator": "Exists"},
            {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"},
        ],
        "containers": [container],
    }
    template = {"metadata": {"namespace": "kube-system", "labels": labels}, "spec": spec}
    replicas = int(timings.value("k3s.coredns_replicas"))
    manifest: Manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "coredns", "namespace": "kube-system"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }
    item = KubeObject(manifest, Origin(provenance="derived", by="k3s"))
    return [
        Workload(
            id="Deployment kube-system/coredns",
            key=item.key,
            object=item,
            controller="Deployment",
            replicas=replicas,
            template=template,
            provenance="derived",
        )
    ]


def dns_service() -> Manifest:
    """The Service in front of CoreDNS."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system"},
        "spec": {"selector": {"k8s-app": "kube-dns"}, "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}]},
    }


def all_services(platform: Platform, workloads: Iterable[Workload]) -> list[Manifest]:
    """Manifests of all Services, with the one in front of an implicit CoreDNS."""
    services = [item.manifest for item in platform.services]
    if any(item.provenance == "derived" and item.name == "coredns" for item in workloads):
        services.append(dns_service())
    return services
