"""What the graph may hold: kinds of nodes and edges with their meaning, strength and confidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from models.objects import Origin


class Strength(StrEnum):
    """How much the source needs the target: it fails without it, degrades, or only waits for it at its start."""

    HARD = "hard"
    SOFT = "soft"
    STARTUP = "startup"


_RANK = {Strength.STARTUP: 0, Strength.SOFT: 1, Strength.HARD: 2}


def stronger(left: Strength, right: Strength) -> Strength:
    """The stronger of two strengths: hard before soft before start-up."""
    return max(left, right, key=lambda item: _RANK[item])


EDGE_KINDS: Mapping[str, str] = {
    "routes-to": "requests that enter at the source go on to the target",
    "guarded-by": "every request of the source passes the middleware first",
    "selects": "the Service sends to pods of the target",
    "calls": "the source calls the target over the network",
    "queries": "the source keeps its data in the target database",
    "caches-in": "the source keeps a cache, queue or session store in the target",
    "mounts": "pods of the source mount the claim",
    "scrapes": "the source reads metrics of the target",
    "ships-logs-to": "the source sends logs to the target",
    "ships-traces-to": "the source sends traces to the target",
    "ships-metrics-to": "the source pushes metrics to the target",
    "issues": "the issuer signs the certificate",
    "backs-up": "the source makes copies of the target",
    "uses": "the source reads settings or secrets from the target",
    "makes": "a controller makes the target because of the source",
    "binds": "the claim takes its volume from the target",
    "governed-by": "quota, limit range, disruption budget, autoscaler or policy of the source",
    "links-to": "the source names the public address of the target: a link or redirect, no dependency",
    "reaches-out-to": "the source uses a host outside of the cluster",
}
"""Every kind of edge and what it says. The verdict of network policies is on the edge: ``allowed`` and ``policy``."""

NETWORK_KINDS = frozenset(
    {"calls", "queries", "caches-in", "scrapes", "ships-logs-to", "ships-traces-to", "ships-metrics-to"}
)
"""Kinds that are traffic from pods of the source to pods of the target."""

DEPENDENCY_KINDS = NETWORK_KINDS | {"routes-to", "guarded-by", "selects", "mounts", "uses", "binds"}
"""Kinds along which an outage of the target reaches the source."""

ROLES: Mapping[str, str] = {
    "Edge": "DNS, CDN and firewall in front of the platform, or the local network",
    "LoadBalancerAddress": "an address that a load balancer announces",
    "External": "a host outside of the cluster",
    "Chart": "a Helm chart that could not be read: whatever it runs is hidden behind this node",
    "Route": "an ingress route",
    "Middleware": "something a request passes before the backend",
    "Service": "a stable name in front of pods",
    "Workload": "something that runs pods",
    "Database": "a database cluster that an operator runs",
    "Cache": "a cache that an operator runs",
    "Claim": "a volume claim",
    "Volume": "a volume",
    "StorageClass": "a way to make volumes",
    "Certificate": "a certificate, its issuer or its store",
    "Secret": "a Secret, by name",
    "Config": "a ConfigMap",
    "Namespace": "a namespace",
    "Policy": "a quota, limit range, disruption budget, autoscaler or network policy",
    "Backup": "a schedule or a copy of data",
    "Monitor": "something that tells Prometheus what to scrape",
    "Missing": "something that is named and that no object provides",
    "Other": "any other object",
}
"""Every role that a node can have and what it means; the node's ``kind`` is the Kubernetes kind."""

_ROLE_KINDS = {
    "Route": """IngressRoute IngressRouteTCP IngressRouteUDP Ingress HTTPRoute GRPCRoute TLSRoute TCPRoute UDPRoute
        Gateway TraefikService""",
    "Middleware": "Middleware MiddlewareTCP",
    "Service": "Service",
    "Workload": """Deployment StatefulSet DaemonSet ReplicaSet Job CronJob Pod Prometheus PrometheusAgent Alertmanager
        ThanosRuler Pooler""",
    "Database": "Cluster PostgresCluster",
    "Cache": "Dragonfly Redis RedisCluster RedisReplication RedisSentinel RedisFailover Valkey",
    "Claim": "PersistentVolumeClaim",
    "Volume": "PersistentVolume",
    "StorageClass": "StorageClass VolumeSnapshotClass",
    "Certificate": "Certificate Issuer ClusterIssuer TLSStore",
    "Secret": "Secret SealedSecret ExternalSecret SecretStore ClusterSecretStore",
    "Config": "ConfigMap",
    "Namespace": "Namespace",
    "Policy": """ResourceQuota LimitRange PodDisruptionBudget HorizontalPodAutoscaler NetworkPolicy PriorityClass
        CiliumNetworkPolicy CiliumClusterwideNetworkPolicy""",
    "Backup": "ScheduledBackup Backup Schedule ReplicationSource ReplicationDestination VolumeSnapshot",
    "Monitor": "ServiceMonitor PodMonitor Probe ScrapeConfig",
    "Edge": "Edge",
    "LoadBalancerAddress": "LoadBalancerAddress",
    "External": "External",
    "Chart": "Chart",
}
_ROLE_OF = {kind: role for role, kinds in _ROLE_KINDS.items() for kind in kinds.split()}


def role_of(kind: str) -> str:
    """The role of a node of that kind."""
    return _ROLE_OF.get(kind, "Other")


@dataclass(frozen=True)
class Evidence:
    """One reason for an edge: the rule that fired, where, in which field, and what was seen there.

    confidence in [0, 1]: 1 the API says so (a reference by name); 0.9 a full cluster name or URL; 0.7 a bare name in a
    field that holds hosts; 0.5 and less a guess from names alone.
    """

    rule: str
    origin: Origin
    field: str
    text: str
    confidence: float = 1.0


@dataclass(frozen=True)
class Edge:
    """One edge before it enters the graph. ``details``: attributes such as ``port``, ``allowed``, ``policy``.

    ``startup``: an init container waits for the target as well, whatever else the source does with it later.
    """

    source: str
    target: str
    kind: str
    strength: Strength
    evidence: tuple[Evidence, ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    startup: bool = False

    @property
    def waits(self) -> bool:
        """Whether the source does not start before the target answers."""
        return self.startup or self.strength is Strength.STARTUP

    @property
    def confidence(self) -> float:
        """The confidence of the best evidence."""
        return max((item.confidence for item in self.evidence), default=0.0)

    def merged(self, other: Edge) -> Edge:
        """Both edges as one: the stronger strength, all evidence, best first; details of the earlier one win.

        That one of them waits at the start survives: a stronger need later does not end the wait.
        """
        seen = dict.fromkeys((*self.evidence, *other.evidence))
        ordered = tuple(sorted(seen, key=lambda item: -item.confidence))
        details = {**other.details, **{key: value for key, value in self.details.items() if value is not None}}
        strength = stronger(self.strength, other.strength)
        return Edge(self.source, self.target, self.kind, strength, ordered, details, self.waits or other.waits)


def node_id(kind: str, namespace: str, name: str) -> str:
    """The id of a node: "Kind namespace/name", "Kind name" for one without a namespace."""
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


GRAPH_SCHEMA = "stowplan/graph/v1"
"""Version of the JSON form of the graph (``stowplan graph --format json``)."""

NODE_FIELDS: Mapping[str, tuple[str, str]] = {
    "kind": ("text", "Kubernetes kind, or Edge, LoadBalancerAddress, External or Chart"),
    "role": ("text", "what the node is for: a key of ROLES"),
    "namespace": ("text", 'namespace, "" outside of all'),
    "name": ("text", "name"),
    "provenance": ("text", "how its object came about: manifest, generated, chart, modelled or derived"),
    "seen": ("text", "how it is known: written, derived, modelled (by the chart catalogue) or missing"),
    "file": ("text", "file of its object"),
    "line": ("line", "first line of its object"),
    "schedule": ("name", "when it runs, as a cron expression; null: not on a schedule"),
}
"""What a node has besides ``id`` and ``workloads`` (ids of the workloads that stand under it): type and meaning."""

EDGE_FIELDS: Mapping[str, tuple[str, str]] = {
    "kind": ("text", "kind of the edge: a key of edge_kinds"),
    "strength": ("text", "hard (fails without it), soft (degrades) or startup (only waits for it)"),
    "startup": ("flag", "an init container of the source waits for the target, whatever the strength"),
    "confidence": ("number", "confidence of the best evidence, 0 to 1"),
    "rule": ("text", "rule of the best evidence"),
    "file": ("text", "file of the best evidence"),
    "line": ("line", "line of its field"),
    "field": ("text", "its field"),
    "port": ("port", "port of the target: a number or a name"),
    "allowed": ("verdict", "what network policies say of the traffic; null: none was asked"),
    "policy": ("name", "the policies that decide"),
}
"""What an edge has besides ``source``, ``target`` and ``evidence``: type and meaning."""

EVIDENCE_FIELDS: Mapping[str, tuple[str, str]] = {
    "rule": ("text", "the rule that fired"),
    "file": ("text", "file"),
    "line": ("line", "line of the field, or of its object when the field is not written in the file"),
    "field": ("text", "field"),
    "text": ("text", "what was seen there, without credentials"),
    "confidence": ("number", "how sure it is, 0 to 1"),
}
"""What each piece of evidence of an edge has, best first."""

MISSING_FIELDS: Mapping[str, tuple[str, str]] = {
    "kind": ("text", "chart, remote, plugin, repository, generator or file"),
    "what": ("text", "what the tree asks for"),
    "release": ("text", 'release of a chart, "" otherwise'),
    "namespace": ("text", 'namespace of the release, "" when it is not known'),
    "file": ("text", "file that asks for it"),
    "line": ("line", "line that asks for it"),
    "reason": ("text", "why it could not be had"),
    "hides": ("text", "what is not in the graph because of it, at the least"),
    "modelled": ("flag", "whether the chart catalogue stands in for it"),
}
"""What each thing that could not be had says."""

HIDDEN_FIELDS: Mapping[str, tuple[str, str]] = {
    "charts": ("count", "charts that are neither rendered nor modelled"),
    "workloads": ("count", "workloads that these run at the least"),
    "modelled": ("count", "charts that the catalogue stands in for and that may run more"),
    "others": ("count", "remote files, plugins and the like that were not read"),
    "sentence": ("text", "the same in words"),
}
"""The lower bound of what is in no node and no edge."""

_TYPES: Mapping[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "name": {"type": ["string", "null"]},
    "line": {"type": ["integer", "null"], "minimum": 1},
    "count": {"type": "integer", "minimum": 0},
    "number": {"type": "number", "minimum": 0, "maximum": 1},
    "flag": {"type": "boolean"},
    "verdict": {"type": ["boolean", "null"]},
    "port": {"type": ["integer", "string", "null"]},
}


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the JSON form."""
    text, texts = _TYPES["text"], {"type": "array", "items": _TYPES["text"]}
    evidence = {"type": "array", "minItems": 1, "items": _object(EVIDENCE_FIELDS)}
    parts = {
        "schema": {"const": GRAPH_SCHEMA},
        "nodes": {"type": "array", "items": _object(NODE_FIELDS, id=text, workloads=texts)},
        "edges": {"type": "array", "items": _object(EDGE_FIELDS, source=text, target=text, evidence=evidence)},
        "edge_kinds": {"type": "object", "additionalProperties": text},
        "missing": {"type": "array", "items": _object(MISSING_FIELDS)},
        "hidden": _object(HIDDEN_FIELDS),
    }
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "$id": f"urn:{GRAPH_SCHEMA.replace('/', ':')}", **_closed(parts)}


def _object(fields: Mapping[str, tuple[str, str]], **more: dict[str, Any]) -> dict[str, Any]:
    declared = {name: {"description": meaning, **_TYPES[kind]} for name, (kind, meaning) in fields.items()}
    return _closed({**more, **declared})


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
