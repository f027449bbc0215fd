"""Small hand-made platforms for the tests of placement and the platform simulation."""

from __future__ import annotations

import copy
from typing import Any

from models import scenario as schema
from models.cluster import Cluster, build_cluster
from models.objects import KubeObject, Origin, Rendered
from models.platform import Platform, read_platform

Dict = dict[str, Any]


def platform(*manifests: Dict) -> Platform:
    """The typed platform of these manifests."""
    objects = tuple(KubeObject(copy.deepcopy(item), Origin("world.yaml", n + 1)) for n, item in enumerate(manifests))
    return read_platform(Rendered(objects))


def cluster(
    *, servers: int = 1, agents: int = 2, distribution: str = "kubernetes", memory: str = "16Gi", version: str = "1.33"
) -> Cluster:
    """``server-1``…, ``agent-1``…: equal machines, nothing reserved, so that six cores are allocatable each."""
    reserved = {"cpu": "0", "memory": "0"}
    nodes: list[Dict] = []
    for role, count in (("server", servers), ("agent", agents)):
        nodes += [
            {"name": f"{role}-{n}", "machine": "m920q", "role": role, "memory": memory, "reserved": reserved}
            for n in range(1, count + 1)
        ]
    return build_cluster(
        schema.Cluster.model_validate({"distribution": distribution, "version": version, "nodes": nodes})
    )


def deployment(name: str, replicas: int = 1, **pod: Any) -> Dict:
    """A Deployment in namespace ``home``. ``pod`` takes cpu, memory, limits, claim, node, probe, grace, strategy, …"""
    strategy = pod.pop("strategy", None)
    extra = pod.pop("spec", {})
    manifest: Dict = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "home"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod_spec(name, **pod)},
            **extra,
        },
    }
    if strategy:
        manifest["spec"]["strategy"] = strategy
    return manifest


def stateful_set(name: str, replicas: int = 1, storage: str = "", **pod: Any) -> Dict:
    """A StatefulSet in namespace ``home``, with a claim template when ``storage`` names a class."""
    manifest = deployment(name, replicas, **pod)
    manifest["kind"] = "StatefulSet"
    manifest["spec"]["serviceName"] = name
    if storage:
        manifest["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": _claim_spec(storage)}]
    return manifest


def daemon_set(name: str, namespace: str = "home", **pod: Any) -> Dict:
    """A DaemonSet."""
    manifest = deployment(name, **pod)
    manifest["kind"] = "DaemonSet"
    manifest["metadata"]["namespace"] = namespace
    del manifest["spec"]["replicas"]
    return manifest


def pod_spec(
    name: str,
    *,
    cpu: str | None = "100m",
    memory: str | None = "64Mi",
    limits: Dict | None = None,
    claim: str = "",
    node: str = "",
    readiness: Dict | None = None,
    grace: int | None = None,
    init: bool = False,
    priority_class: str = "",
    **spec: Any,
) -> Dict:
    """A pod spec with one container called ``main`` (and, with ``init``, an init container without requests)."""
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value is not None}
    container: Dict = {"name": "main", "image": f"example/{name}:1", "resources": {"requests": requests}}
    if limits:
        container["resources"]["limits"] = limits
    if readiness is not None:
        container["readinessProbe"] = readiness
    result: Dict = {"containers": [container], **spec}
    if claim:
        result["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    if node:
        result["nodeSelector"] = {"kubernetes.io/hostname": node}
    if grace is not None:
        result["terminationGracePeriodSeconds"] = grace
    if init:
        result["initContainers"] = [{"name": "prepare", "image": f"example/{name}:1"}]
    if priority_class:
        result["priorityClassName"] = priority_class
    return result


def service(name: str, *, port: int = 80, selector: Dict | None = None, **spec: Any) -> Dict:
    """A Service in namespace ``home`` in front of the workload of the same name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "home"},
        "spec": {"selector": selector or {"app": name}, "ports": [{"port": port}], **spec},
    }


def local_path_class(name: str = "local-path") -> Dict:
    """k3s' local-path StorageClass."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": "rancher.io/local-path",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def claim(name: str, storage_class: str = "local-path") -> Dict:
    """A claim of one gibibyte in namespace ``home``."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "home"},
        "spec": _claim_spec(storage_class),
    }


def _claim_spec(storage_class: str) -> Dict:
    return {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage_class,
        "resources": {"requests": {"storage": "1Gi"}},
    }


def quota(name: str = "home", **hard: str) -> Dict:
    """A ResourceQuota in namespace ``home``; write ``requests_cpu="1"`` for ``requests.cpu: 1``."""
    limits = {key.replace("_", "."): value for key, value in hard.items()}
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": name, "namespace": "home"},
        "spec": {"hard": limits},
    }


def scenario(**spec: Any) -> schema.Scenario:
    """A scenario without traffic; ``spec`` adds faults, operations, run, …"""
    nodes = [{"name": "server-1", "machine": "m920q", "role": "server"}]
    document = {
        "apiVersion": "stowplan/v1",
        "kind": "Scenario",
        "metadata": {"name": "test"},
        "spec": {"trees": [{"path": "tree"}], "cluster": {"nodes": nodes}, **spec},
    }
    return schema.Scenario.model_validate(document)


EXACT_TIMERS = {
    "k8s.node_lease_renew_interval": "1ms",
    "k8s.node_monitor_period": "1ms",
    "k8s.endpoint_propagation": "1s",
    "traefik.providers_throttle": "0s",
    "k8s.scheduler_latency_per_pod_homelab": "0s",
}
"""Timers without their random part, so that a whole log can be written down."""

PROFILE = {"startup": "10.22s", "imageSize": "62.5MB"}
"""Ten seconds to start on an m920q (speed 1.022), two seconds to pull over 250 Mbit/s."""


def exact(**spec: Any) -> schema.Scenario:
    """A scenario in which every duration is known: see EXACT_TIMERS and PROFILE; it lasts an hour."""
    nodes = [{"name": "server-1", "machine": "m920q", "role": "server"}]
    given = {
        "cluster": {"nodes": nodes, "timers": EXACT_TIMERS},
        "profiles": {"*": PROFILE},
        "run": {"length": "1h", "warmUp": "0"},
    }
    return scenario(**{**given, **spec})


def node_stop(node: str, at: str = "100s", duration: str | None = None, action: str = "node-stop") -> Dict:
    """The fault that stops a node."""
    fault: Dict = {"name": "crash", "type": "NodeChaos", "action": action, "selector": {"nodes": [node]}, "at": at}
    return fault if duration is None else {**fault, "duration": duration}


def fault(action: str, workload: str, at: str = "100s", duration: str | None = None, type_: str = "PodChaos") -> Dict:
    """A fault that hits one pod of a workload."""
    item: Dict = {"name": action, "type": type_, "action": action, "selector": {"workloads": [workload]}, "at": at}
    item["mode"] = "one"
    return item if duration is None else {**item, "duration": duration}
