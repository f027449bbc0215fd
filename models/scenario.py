"""The scenario file: every field, its type, unit, default and meaning, declared once.

The command line, the JSON Schema (``stowplan schema``) and the reports all read these declarations. Files are loaded
and composed by ``models.scenario_file``; here is only what a finished scenario holds. Field names are camelCase in
files, as in Kubernetes, and snake_case in Python.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from models.callplan import OperationPlan
from models.frozen import Frozen
from models.traffic import Client, Traffic
from models.units import Bandwidth, Duration, Growth, Ratio, Size, parse_bandwidth, parse_duration

API_VERSION = "stowplan/v1"


def _text(value: Any) -> Any:
    """A bare number stands for a quantity without a unit, as in Kubernetes."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


Quantity = Annotated[
    str,
    BeforeValidator(_text),
    WithJsonSchema({"type": ["string", "number"], "description": "a Kubernetes quantity", "examples": ["250m", "1Gi"]}),
]
"""A Kubernetes quantity as it was written; ``models.rules.quantity`` reads it."""


class Metadata(Frozen):
    """What the scenario is called."""

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", description="short name, used for the output folder")
    title: str = Field(default="", description="a heading for the report")
    description: str = Field(default="", description="what question this scenario answers")


class Tree(Frozen):
    """A manifest tree: a Kustomize root, a folder of manifests, or one rendered file."""

    path: str = Field(description="the root, relative to the scenario file")
    renderer: Literal["builtin", "kustomize"] = Field(
        default="builtin", description="built-in Kustomize, or the kustomize/kubectl binary on PATH"
    )


class Disk(Frozen):
    """A disk of a node."""

    type: str = Field(description="a disk of the hardware catalogue, for example nvme-consumer")
    size: Size = Field(description="usable capacity")


class Taint(Frozen):
    """A taint, as in a Node's spec.taints."""

    key: str = Field(description="taint key")
    value: str = Field(default="", description="taint value")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = Field(description="taint effect")


class Reserved(Frozen):
    """What the system and the kubelet keep for themselves: capacity minus this is allocatable."""

    cpu: Quantity = Field(default="0", description="CPU quantity, for example 200m")
    memory: Quantity = Field(default="0", description="memory quantity, for example 1Gi")
    ephemeral_storage: Quantity = Field(default="0", description="ephemeral storage quantity")


class Node(Frozen):
    """One or several equal machines."""

    name: str = Field(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        description="node name; with count > 1 the nodes are NAME-1, NAME-2, …",
    )
    machine: str = Field(description="a machine of the hardware catalogue, for example m920q")
    count: int = Field(default=1, ge=1, le=5000, description="how many of them")
    cores: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="CPUs, each a full core, for example of a virtual machine: what Kubernetes sees as capacity and "
        "what the apps share; default: the catalogue's for the machine",
    )
    speed: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="speed of one core, 1.0 = the reference core; 1 where profiles give CPU times as measured on "
        "this machine; default: the catalogue's for the machine",
    )
    role: Literal["server", "agent"] = Field(
        default="agent",
        description="server: runs the control plane and its datastore as well as pods; agent: pods only",
    )
    memory: Size | None = Field(default=None, description="installed memory; default: the catalogue's typical size")
    disks: tuple[Disk, ...] = Field(
        default=(),
        description="disks, the first holds the system and local-path volumes; default: 500 GB consumer NVMe",
    )
    labels: dict[str, str] = Field(default_factory=dict, description="further node labels")
    taints: tuple[Taint, ...] = Field(default=(), description="taints")
    reserved: Reserved | None = Field(
        default=None,
        description="reserved resources; default: what k3s itself was measured to use in this role",
    )
    extended: dict[str, Quantity] = Field(
        default_factory=dict, description="extended resources, for example gpu.intel.com/i915: '1'"
    )
    encoder_sessions: int | None = Field(
        default=None,
        ge=0,
        description="transcodes that the hardware encoder does at once; default: the catalogue's for the machine",
    )


class Cluster(Frozen):
    """The hardware and the Kubernetes on it."""

    distribution: Literal["k3s", "kubernetes"] = Field(
        default="k3s", description="whose defaults apply (eviction thresholds, load balancer, CoreDNS)"
    )
    version: str = Field(default="1.33", pattern=r"^1\.\d+$", description="Kubernetes minor version (timers differ)")
    nodes: tuple[Node, ...] = Field(min_length=1, description="the machines")
    timers: dict[str, Duration] = Field(
        default_factory=dict,
        description="other values for timers of the timings catalogue, by key (see 'stowplan catalog timings')",
    )
    cfs_burst: Ratio = Field(
        default=0.0,
        description="share of a container's CPU quota that a period may take over from idle ones before it "
        "(cpu.max.burst, set by an agent on the nodes); Kubernetes itself never sets it",
    )
    eviction_hard: dict[str, str] | None = Field(
        default=None,
        description="the kubelets' hard eviction thresholds, for example memory.available: 500Mi; default: the "
        "distribution's (Kubernetes evicts below 100Mi; k3s never for memory, the kernel kills instead)",
    )


class Edge(Frozen):
    """The provider in front of the home connection (DNS, proxy, cache)."""

    cache_hit_ratio: Ratio = Field(default=0.0, description="share of requests answered from the edge cache")
    rtt: Duration = Field(
        default=parse_duration("20ms"), description="round trip between the edge and the home connection"
    )


class Network(Frozen):
    """Links that requests and streams share."""

    uplink: Bandwidth = Field(default=parse_bandwidth("40Mbit/s"), description="home connection, towards the internet")
    downlink: Bandwidth = Field(default=parse_bandwidth("250Mbit/s"), description="home connection, from the internet")
    lan: Bandwidth = Field(default=parse_bandwidth("1Gbit/s"), description="each node's network card")
    nas: str = Field(
        default="hdd-7200",
        description="the disk behind network storage (NFS, SMB, iSCSI) on a machine that is no node: a disk of the "
        "hardware catalogue",
    )
    lan_rtt: Duration = Field(default=parse_duration("0.3ms"), description="round trip between two nodes")
    edge: Edge = Field(default_factory=Edge, description="the edge provider")


class Selector(Frozen):
    """What a fault or an operation acts on, in the words of Chaos Mesh. All that is given must match."""

    namespaces: tuple[str, ...] = Field(default=(), description="namespaces of the pods")
    label_selectors: dict[str, str] = Field(default_factory=dict, description="labels of the pods")
    workloads: tuple[str, ...] = Field(default=(), description="Kind/name or namespace/name of workloads; * matches")
    nodes: tuple[str, ...] = Field(default=(), description="node names; * matches")
    node_selectors: dict[str, str] = Field(default_factory=dict, description="labels of the nodes")
    external: tuple[str, ...] = Field(
        default=(), description="systems outside the cluster: internet, cloudflare, letsencrypt, nas, …"
    )
    volumes: tuple[str, ...] = Field(default=(), description="namespace/name of claims; * matches")


Mode = Literal["one", "all", "fixed", "fixed-percent", "random-max-percent"]

FaultType = Literal[
    "NodeChaos",
    "PodChaos",
    "NetworkChaos",
    "IOChaos",
    "StressChaos",
    "DNSChaos",
    "CertificateChaos",
    "PowerChaos",
]

FAULT_ACTIONS: dict[str, tuple[str, ...]] = {
    "NodeChaos": ("node-stop", "node-restart", "node-replace"),
    "PodChaos": ("pod-kill", "pod-failure", "container-kill"),
    "NetworkChaos": ("partition", "delay", "loss", "bandwidth"),
    "IOChaos": ("latency", "fault"),
    "StressChaos": ("cpu", "memory"),
    "DNSChaos": ("error",),
    "CertificateChaos": ("expire", "renewal-failure"),
    "PowerChaos": ("outage",),
}
"""The actions of each fault type. The first six types are Chaos Mesh's (NodeChaos after its cloud provider faults)."""


class Fault(Frozen):
    """Something that breaks: once (at), or again and again (mtbf with mttr), or by a cron schedule."""

    name: str = Field(description="name for the report")
    type: FaultType = Field(description="kind of fault, in the words of Chaos Mesh")
    action: str = Field(description="what happens; the actions of each type are listed by 'stowplan catalog faults'")
    selector: Selector = Field(default_factory=Selector, description="what it may hit")
    mode: Mode = Field(default="all", description="how many of the selected it hits")
    value: float | None = Field(default=None, gt=0, description="number or percentage for the fixed and random modes")
    at: Duration | None = Field(default=None, description="time from the start of the run")
    duration: Duration | None = Field(default=None, description="how long it lasts; default: until the end of the run")
    schedule: str | None = Field(default=None, description="cron expression, five fields, on the scenario's clock")
    mtbf: Duration | None = Field(default=None, description="mean time between failures of each selected thing")
    mttr: Duration | None = Field(default=None, description="mean time to repair, with mtbf")
    delay: Duration = Field(default=0.0, description="added latency (NetworkChaos delay, IOChaos latency)")
    loss: Ratio = Field(default=0.0, description="share of requests lost (NetworkChaos loss)")
    bandwidth: Bandwidth | None = Field(default=None, description="remaining bandwidth (NetworkChaos bandwidth)")
    cores: float = Field(default=0.0, ge=0, description="cores burnt on the node (StressChaos cpu)")
    memory: Size = Field(default=0, description="memory taken in the container (StressChaos memory)")

    @model_validator(mode="after")
    def _consistent(self) -> Fault:
        actions = FAULT_ACTIONS[self.type]
        if self.action not in actions:
            raise ValueError(f"{self.type} has no action {self.action!r}: choose {' or '.join(actions)}")
        given = [name for name in ("at", "schedule", "mtbf") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("say when it happens: exactly one of at, schedule or mtbf")
        if self.mtbf is not None and (self.mttr is None or self.mtbf <= 0 or self.mttr <= 0):
            raise ValueError("mtbf needs an mttr, and both must be positive")
        if self.mode in ("fixed", "fixed-percent", "random-max-percent") and self.value is None:
            raise ValueError(f"mode {self.mode} needs a value")
        return self


class PlannedOperation(Frozen):
    """Something the owner does on purpose."""

    name: str = Field(description="name for the report")
    at: Duration = Field(description="time from the start of the run")
    type: Literal["rollout", "rollback", "drain", "uncordon", "quota", "scale", "backup", "restore", "sync"] = Field(
        description="what is done"
    )
    target: str = Field(
        description="Kind/namespace/name of a workload, namespace/name of a quota or database, or a node's name"
    )
    hard: dict[str, Quantity] = Field(default_factory=dict, description="new hard limits (quota)")
    replicas: int | None = Field(default=None, ge=0, description="new replica count (scale)")
    broken: bool = Field(default=False, description="the new version never becomes ready (rollout)")

    @model_validator(mode="after")
    def _complete(self) -> PlannedOperation:
        if self.type == "quota" and not self.hard:
            raise ValueError("a quota operation needs the new limits: set hard")
        if self.type == "scale" and self.replicas is None:
            raise ValueError("a scale operation needs replicas")
        return self


class Latency(Frozen):
    """A latency objective."""

    percentile: float = Field(default=95.0, gt=0, lt=100, description="which percentile")
    below: Duration = Field(description="must stay below this")


class RouteObjective(Frozen):
    """What a route owes its users."""

    route: str = Field(description="host name pattern, as in traffic")
    latency: Latency | None = Field(default=None, description="latency objective")
    availability: Ratio | None = Field(default=None, description="share of requests that must be served")


class Objectives(Frozen):
    """What must hold for the verdict to be good."""

    routes: tuple[RouteObjective, ...] = Field(default=(), description="per route")
    survives: Literal["nothing", "any-one-node"] = Field(
        default="any-one-node",
        description="whether every workload must find a place when any one node is lost",
    )
    quota_headroom: Ratio = Field(default=0.1, description="share of each quota that should stay free at peak")
    node_headroom: Ratio = Field(
        default=0.1, description="share of each node's allocatable that should stay unrequested"
    )


class Profile(Frozen):
    """Other demands for one workload than the catalogue's (see 'stowplan catalog apps')."""

    app: str | None = Field(default=None, description="use this catalogue profile")
    cpu_scale: float = Field(default=1.0, gt=0, description="multiplies every CPU demand")
    workers: Annotated[int, Field(ge=1)] | Literal["unlimited"] | None = Field(
        default=None, description="requests served at once per pod: a number from 1 on, or unlimited"
    )
    queue: int | None = Field(
        default=None,
        ge=0,
        le=10_000_000,
        description="connections that may wait per pod when all workers are busy, what comes on top is refused; "
        "default: no bound",
    )
    idle_cpu: Quantity | None = Field(default=None, description="CPU used at rest, per pod")
    memory: Quantity | None = Field(default=None, description="memory used at rest, per pod")
    memory_growth: Growth | None = Field(
        default=None, description="memory that a pod gains over time (a leak), for example 50Mi/h"
    )
    memory_per_request: Size | None = Field(default=None, description="memory that a request in flight adds")
    calls: Client | None = Field(
        default=None,
        description="how the app calls databases, caches and other services; default (assumed): it waits 30 s, does "
        "not try again and cancels what it gives up",
    )
    without_encoder: Literal["software", "refuse"] | None = Field(
        default=None,
        description="what becomes of a transcode when no encoder session is left; default: the catalogue's",
    )
    image_size: Size | None = Field(default=None, description="what a node pulls before the first start")
    startup: Duration | None = Field(default=None, description="time from container start to ready")
    operations: tuple[OperationPlan, ...] = Field(
        default=(),
        description="what the app does for each kind of request, the first by default; they replace those of the "
        "catalogue, and the app calls nothing else; default: the catalogue's operations and the calls in the graph",
    )

    @model_validator(mode="after")
    def _operations_differ(self) -> Profile:
        names = [operation.name for operation in self.operations]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two operations are called {twice!r}: give each its own name")
        return self


class Run(Frozen):
    """How the simulation is run."""

    length: Duration = Field(default=parse_duration("1h"), gt=0, description="simulated time after the warm-up")
    warm_up: Duration = Field(default=parse_duration("5m"), ge=0, description="simulated time that is not measured")
    start: str = Field(
        default="19:00",
        pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
        description="time of day at the end of the warm-up",
    )
    replications: int = Field(default=10, ge=1, le=10_000, description="independent replications")
    precision: Ratio | None = Field(
        default=None, description="stop earlier once every availability is known to this half-width"
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="confidence level of every interval")
    seed: int = Field(default=1, ge=0, lt=2**63, description="seed of every random stream")
    engine: Literal["auto", "compiled", "reference"] = Field(
        default="auto", description="request engine; reference is the slow, plain SimPy twin"
    )


class Spec(Frozen):
    """What is simulated."""

    trees: tuple[Tree, ...] = Field(min_length=1, description="the manifest trees that make the platform")
    cluster: Cluster = Field(description="the hardware")
    network: Network = Field(default_factory=Network, description="links")
    traffic: tuple[Traffic, ...] = Field(default=(), description="load per route")
    profiles: dict[str, Profile] = Field(
        default_factory=dict,
        description="demands that differ from the catalogue, by Kind/namespace/name of the workload",
    )
    faults: tuple[Fault, ...] = Field(default=(), description="what breaks")
    operations: tuple[PlannedOperation, ...] = Field(default=(), description="what the owner does")
    objectives: Objectives = Field(default_factory=Objectives, description="what must hold")
    thresholds: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="pass or fail criteria in k6's form, for example 'http_req_duration{route:cloud.*}': ['p(95)<800']",
    )
    run: Run = Field(default_factory=Run, description="length, replications, seed")

    def services_called(self) -> tuple[str, ...]:
        """The Services that clients call directly, as the traffic names them."""
        return tuple(item.service for item in self.traffic if item.service is not None)


class Scenario(Frozen):
    """A scenario file. Precedence: extends < this file's spec < overrides in the order they are named < --set."""

    api_version: Literal["stowplan/v1"] = Field(description="always stowplan/v1")
    kind: Literal["Scenario"] = Field(description="always Scenario")
    metadata: Metadata = Field(description="name and purpose")
    spec: Spec = Field(description="what is simulated")
    extends: str | None = Field(default=None, description="another scenario file that this one starts from")
    overrides: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="named changes to spec, chosen with --override NAME"
    )
    scenarios: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="named lists of overrides, chosen with --scenario NAME"
    )
