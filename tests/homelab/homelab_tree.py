"""What the tests over ``scenarios/homelab`` share: the rendered tree, its pods, its services, its network policies.

Everything here reads the output of ``kubectl kustomize`` and nothing of stowplan, so that the tree and the tool are
checked against each other and not against themselves.
"""

from __future__ import annotations

import functools
import ipaddress
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).parent
TREE = HERE.parents[1] / "scenarios" / "homelab"
OVERLAYS = ("production", "staging")
NODE_ADDRESS = "192.168.1.21"
NODES = 3
_SUFFIXES = {"m": Decimal("0.001"), "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_HASH = re.compile(r"-[bcdfghkmt24-9]{10}$")
_RELOADER = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}}

Doc = dict[str, Any]


@dataclass(frozen=True)
class Pods:
    """A workload and the pods it makes: ``node`` is "Kind namespace/name"."""

    node: str
    namespace: str
    labels: dict[str, str]
    spec: Doc
    replicas: int
    surge: int
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def containers(self) -> list[Doc]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def running(self) -> list[Doc]:
        sidecars = [c for c in self.spec.get("initContainers", []) if c.get("restartPolicy") == "Always"]
        return [*sidecars, *self.spec["containers"]]


@functools.cache
def rendered(overlay: str) -> tuple[Doc, ...]:
    """The objects of one overlay, by the real kustomize."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not on PATH")
    command = [kubectl, "kustomize", str(TREE / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.load_all(done.stdout, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def of_kind(docs: tuple[Doc, ...], *kinds: str) -> Iterator[Doc]:
    return (doc for doc in docs if doc["kind"] in kinds)


def node_of(doc: Doc) -> str:
    """ "Kind namespace/name", a generated ConfigMap without its hash."""
    meta = doc["metadata"]
    name = _HASH.sub("", meta["name"]) if doc["kind"] == "ConfigMap" else meta["name"]
    return f"{doc['kind']} {meta['namespace']}/{name}" if "namespace" in meta else f"{doc['kind']} {name}"


def amount(quantity: Any) -> Decimal:
    text = str(quantity)
    for suffix, factor in _SUFFIXES.items():
        if text.endswith(suffix):
            return Decimal(text.removesuffix(suffix)) * factor
    return Decimal(text)


def _container_ports(spec: Doc) -> dict[str, int]:
    containers = [*spec.get("initContainers", []), *spec["containers"]]
    return {port["name"]: port["containerPort"] for c in containers for port in c.get("ports", [])}


def _surge(doc: Doc, replicas: int) -> int:
    if doc["kind"] != "Deployment" or doc["spec"].get("strategy", {}).get("type") == "Recreate":
        return 0
    surge = doc["spec"].get("strategy", {}).get("rollingUpdate", {}).get("maxSurge", "25%")
    return surge if isinstance(surge, int) else -(-replicas * int(surge.removesuffix("%")) // 100)


def _operated(doc: Doc) -> tuple[dict[str, str], Doc, dict[str, int], int] | None:
    """Labels, pod, ports and replicas as the operators document them: CloudNativePG, prometheus-operator."""
    name, spec = doc["metadata"]["name"], doc.get("spec", {})
    main = {"name": doc["kind"].lower(), "resources": spec.get("resources", {})}
    if doc["kind"] == "Cluster":
        ports = {"postgresql": 5432, "status": 8000, "metrics": 9187}
        return {"cnpg.io/cluster": name}, {"containers": [main]}, ports, spec["instances"]
    if doc["kind"] in ("Prometheus", "Alertmanager"):
        kind = doc["kind"].lower()
        labels = {"app.kubernetes.io/name": kind, "app.kubernetes.io/instance": name, kind: name}
        pod = {"containers": [main, {"name": "config-reloader", "resources": _RELOADER}]}
        return labels, pod, {"web": 9090 if kind == "prometheus" else 9093}, spec["replicas"]
    return None


def workloads(docs: tuple[Doc, ...]) -> Iterator[Pods]:
    """Every workload, with CronJobs as zero resting pods and the operators' resources as the pods that they make."""
    autoscaled = {d["spec"]["scaleTargetRef"]["name"]: d["spec"] for d in of_kind(docs, "HorizontalPodAutoscaler")}
    for doc in docs:
        meta, spec = doc["metadata"], doc.get("spec", {})
        if doc["kind"] in ("Deployment", "StatefulSet", "DaemonSet"):
            default = autoscaled[meta["name"]]["minReplicas"] if meta["name"] in autoscaled else 1
            replicas = NODES if doc["kind"] == "DaemonSet" else spec.get("replicas", default)
            template, surge = spec["template"], _surge(doc, replicas)
        elif doc["kind"] == "CronJob":
            template, replicas, surge = spec["jobTemplate"]["spec"]["template"], 0, 0
        elif (operated := _operated(doc)) is not None:
            labels, pod, ports, replicas = operated
            yield Pods(node_of(doc), meta["namespace"], labels, pod, replicas, 0, ports)
            continue
        else:
            continue
        pod = template["spec"]
        labels = template["metadata"]["labels"]
        yield Pods(node_of(doc), meta["namespace"], labels, pod, replicas, surge, _container_ports(pod))


def matches(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


def services(docs: tuple[Doc, ...]) -> Iterator[Doc]:
    """The Services of the tree, and those that CloudNativePG makes for a Cluster."""
    yield from of_kind(docs, "Service")
    for doc in of_kind(docs, "Cluster"):
        for role in ("rw", "ro", "r"):
            name = f"{doc['metadata']['name']}-{role}"
            yield {
                "kind": "Service",
                "metadata": {"name": name, "namespace": doc["metadata"]["namespace"]},
                "spec": {
                    "selector": {"cnpg.io/cluster": doc["metadata"]["name"]},
                    "ports": [{"name": "postgres", "port": 5432, "targetPort": 5432}],
                },
            }


def backends(docs: tuple[Doc, ...], service: Doc) -> list[Pods]:
    namespace, selector = service["metadata"]["namespace"], service["spec"]["selector"]
    return [p for p in workloads(docs) if p.namespace == namespace and matches(selector, p.labels)]


def pod_port(pods: Pods, target: int | str) -> int | None:
    return pods.ports.get(target) if isinstance(target, str) else target


def _peer_matches(peer: Doc, policy_namespace: str, other: Pods | str) -> bool:
    if "ipBlock" in peer:
        address = other if isinstance(other, str) else NODE_ADDRESS if other.spec.get("hostNetwork") else None
        if address is None:
            return False
        ip = ipaddress.ip_address(address)
        excluded = any(ip in ipaddress.ip_network(net) for net in peer["ipBlock"].get("except", []))
        return ip in ipaddress.ip_network(peer["ipBlock"]["cidr"]) and not excluded
    if isinstance(other, str) or other.spec.get("hostNetwork"):
        return False
    wanted = peer.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name")
    in_namespace = other.namespace == (wanted or policy_namespace)
    return in_namespace and matches(peer.get("podSelector", {}).get("matchLabels", {}), other.labels)


def _direction_allows(docs: tuple[Doc, ...], pods: Pods, direction: str, other: Pods | str, port: int) -> bool:
    policies = [
        d["spec"]
        for d in of_kind(docs, "NetworkPolicy")
        if d["metadata"]["namespace"] == pods.namespace
        and direction.capitalize() in d["spec"]["policyTypes"]
        and matches(d["spec"]["podSelector"].get("matchLabels", {}), pods.labels)
    ]
    word = "from" if direction == "ingress" else "to"
    rules = [rule for spec in policies for rule in spec.get(direction, [])]
    return not policies or any(
        (word not in rule or any(_peer_matches(peer, pods.namespace, other) for peer in rule[word]))
        and ("ports" not in rule or any(p["port"] == port and p["protocol"] == "TCP" for p in rule["ports"]))
        for rule in rules
    )


def may_reach(docs: tuple[Doc, ...], source: Pods | str, target: Pods, port: int) -> bool:
    """Whether the policies of both ends let TCP through; pods in the host network and outsiders have none."""
    out = isinstance(source, str) or source.spec.get("hostNetwork", False)
    into = target.spec.get("hostNetwork", False)
    return (out or _direction_allows(docs, source, "egress", target, port)) and (  # type: ignore[arg-type]
        into or _direction_allows(docs, target, "ingress", source, port)
    )


@functools.cache
def expected() -> Doc:
    return yaml.safe_load((HERE / "expected_edges.yaml").read_text())


@functools.cache
def mission() -> list[Doc]:
    return yaml.safe_load((HERE / "mission.yaml").read_text())["systems"]
