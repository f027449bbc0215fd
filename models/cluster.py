"""The hardware as Kubernetes sees it (Node objects) and as physics sees it (cores, speed, disks, links)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from models import scenario as schema
from models.catalog import Hardware, Machine, Timings, load_hardware, load_timings
from models.catalog.hardware import GB
from models.errors import InputError, Problem, Where
from models.objects import Manifest
from models.rules.eviction import parse_thresholds
from models.rules.quantity import bytes_of, cpu_millis, format_bytes, format_millicores

DEFAULT_DISK = schema.Disk(type="nvme-consumer", size=500 * GB)


@dataclass(frozen=True)
class NodeDisk:
    """A disk of a node. Bandwidths in bytes per second, ``fsync_s`` the mean flush in seconds."""

    type: str
    size_b: int
    read_bps: float
    write_bps: float
    read_iops: float
    write_iops: float
    fsync_s: float


@dataclass(frozen=True)
class ClusterNode:
    """One node.

    manifest: v1.Node with capacity, allocatable, labels and taints.
    cores: full-speed cores that together give the machine's throughput; speed: of one thread, 1.0 = the reference core.
    nic_bps: bytes per second. encoder_sessions: transcodes that its hardware encoder does at once.
    """

    name: str
    role: str
    machine: Machine
    manifest: Manifest
    cores: float
    speed: float
    memory_b: int
    disks: tuple[NodeDisk, ...]
    nic_bps: float
    encoder_sessions: int = 0

    @property
    def is_server(self) -> bool:
        """Whether the node runs the control plane."""
        return self.role == "server"


@dataclass(frozen=True)
class Cluster:
    """All nodes, in the order of the scenario file."""

    nodes: tuple[ClusterNode, ...]
    distribution: str
    version: tuple[int, int]

    def node(self, name: str) -> ClusterNode:
        """The node of that name. Raises KeyError."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    @property
    def servers(self) -> tuple[ClusterNode, ...]:
        """The nodes that run the control plane."""
        return tuple(node for node in self.nodes if node.is_server)


def build_cluster(spec: schema.Cluster, *, hardware: Hardware | None = None, timings: Timings | None = None) -> Cluster:
    """The cluster that a scenario describes.

    Raises InputError naming every machine or disk that the catalogue does not have, every taken node name, and
    every reservation that leaves nothing.
    """
    hardware = hardware or load_hardware()
    timings = timings or load_timings()
    problems: list[Problem] = []
    nodes: list[ClusterNode] = []
    for index, row in enumerate(spec.nodes):
        where = f"spec.cluster.nodes[{index}]"
        machine = hardware.machines.get(row.machine)
        disks = row.disks or (DEFAULT_DISK,)
        if machine is None:
            problems.append(_unknown(f"{where}.machine", "machine", row.machine, hardware.machines))
        problems.extend(
            _unknown(f"{where}.disks[{i}].type", "disk", disk.type, hardware.disks)
            for i, disk in enumerate(disks)
            if disk.type not in hardware.disks
        )
        if machine is None or any(disk.type not in hardware.disks for disk in disks):
            continue
        for number in range(1, row.count + 1):
            name = row.name if row.count == 1 else f"{row.name}-{number}"
            if any(node.name == name for node in nodes):
                problems.append(
                    Problem(Where(field=f"{where}.name"), f"two nodes are called {name!r}", "give each its own name")
                )
                continue
            nodes.append(_node(name, row, machine, disks, spec, hardware, timings, where, problems))
    try:
        parse_thresholds(spec.eviction_hard or {})
    except ValueError as error:
        problems.append(
            Problem(Where(field="spec.cluster.evictionHard"), str(error), "write for example memory.available: 500Mi")
        )
    if problems:
        raise InputError(problems)
    if not any(node.is_server for node in nodes):
        raise InputError(
            Problem(
                Where(field="spec.cluster.nodes"),
                "no node has role: server, so there is no control plane",
                "give one node (or three, for a control plane that survives a loss) role: server",
            )
        )
    major, _, minor = spec.version.partition(".")
    return Cluster(tuple(nodes), spec.distribution, (int(major), int(minor)))


def _unknown(field: str, what: str, value: str, known: Iterable[str]) -> Problem:
    close = difflib.get_close_matches(value, list(known), n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return Problem(
        Where(field=field),
        f"{value!r} is not a {what} of the hardware catalogue",
        f"{hint}'stowplan catalog {what}s' lists them all",
    )


def _node(
    name: str,
    row: schema.Node,
    machine: Machine,
    disks: tuple[schema.Disk, ...],
    spec: schema.Cluster,
    hardware: Hardware,
    timings: Timings,
    where: str,
    problems: list[Problem],
) -> ClusterNode:
    memory_b = row.memory or round(machine.mem_typical_gb * 2**30)
    reserved = row.reserved or measured_reservation(spec, row.role, timings)
    capacity = {"cpu": (row.cores or machine.threads) * 1000, "memory": memory_b, "ephemeral-storage": disks[0].size}
    kept = {"cpu": 0, "memory": 0, "ephemeral-storage": 0}
    for key, text in (
        ("cpu", reserved.cpu),
        ("memory", reserved.memory),
        ("ephemeral-storage", reserved.ephemeral_storage),
    ):
        try:
            kept[key] = cpu_millis(text) if key == "cpu" else bytes_of(text)
        except ValueError as error:
            problems.append(Problem(Where(field=f"{where}.reserved.{key}"), f"{text!r}: {error}", "write a quantity"))
            continue
        if not 0 <= kept[key] < capacity[key]:
            problems.append(
                Problem(
                    Where(field=f"{where}.reserved.{key}"),
                    f"{text!r} leaves nothing of the node's {key}",
                    "reserve less than the node has",
                )
            )
    pods = str(int(timings.value("k8s.max_pods_per_node")))

    def quantities(less: dict[str, int]) -> dict[str, str]:
        return {
            "cpu": format_millicores(capacity["cpu"] - less["cpu"]),
            "memory": format_bytes(capacity["memory"] - less["memory"]),
            "ephemeral-storage": format_bytes(capacity["ephemeral-storage"] - less["ephemeral-storage"]),
            "pods": pods,
            **row.extended,
        }

    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine.arch,
        "node.kubernetes.io/instance-type": machine.id,
    }
    if row.role == "server":
        labels["node-role.kubernetes.io/control-plane"] = "true"
    manifest: Manifest = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**labels, **row.labels}},
        "spec": {"taints": [taint.model_dump(exclude_defaults=False) for taint in row.taints]} if row.taints else {},
        "status": {"capacity": quantities(dict.fromkeys(kept, 0)), "allocatable": quantities(kept)},
    }
    return ClusterNode(
        name=name,
        role=row.role,
        machine=machine,
        manifest=manifest,
        cores=machine.effective_cores if row.cores is None else float(row.cores),
        speed=machine.speed_single if row.speed is None else row.speed,
        memory_b=memory_b,
        disks=tuple(_disk(disk, hardware) for disk in disks),
        nic_bps=machine.nic_gbps[0] * 1e9 / 8.0,
        encoder_sessions=hardware.encoder_sessions(machine) if row.encoder_sessions is None else row.encoder_sessions,
    )


def node_disk(disk: schema.Disk, field: str, hardware: Hardware | None = None) -> NodeDisk:
    """A disk of the catalogue. Raises InputError naming ``field`` when the catalogue does not have it."""
    hardware = hardware or load_hardware()
    if disk.type not in hardware.disks:
        raise InputError(_unknown(field, "disk", disk.type, hardware.disks))
    return _disk(disk, hardware)


def _disk(disk: schema.Disk, hardware: Hardware) -> NodeDisk:
    kind = hardware.disks[disk.type]
    return NodeDisk(
        type=disk.type,
        size_b=disk.size,
        read_bps=kind.seq_read_mb_s * 1e6,
        write_bps=kind.seq_write_mb_s * 1e6,
        read_iops=kind.rand_read_iops,
        write_iops=kind.rand_write_iops,
        fsync_s=sum(kind.fsync_ms) / 2000.0,
    )


def measured_reservation(spec: schema.Cluster, role: str, timings: Timings) -> schema.Reserved:
    """What k3s itself was measured to use: server with workload (SQLite alone, etcd with several servers), or agent.

    Source: the k3s resource profiling figures of the timings catalogue, for an x86 core.
    """
    if role == "agent":
        cpu, memory_mb = timings.value("k3s.agent.cpu")["xeon_8124M"], timings.value("k3s.agent.ram")
    else:
        servers = sum(node.count for node in spec.nodes if node.role == "server")
        cpu = timings.value("k3s.server_with_workload.cpu")["xeon_8124M"]
        memory_mb = timings.value("k3s.server_with_workload.ram")["etcd" if servers > 1 else "sqlite"]
    return schema.Reserved(cpu=f"{round(cpu * 1000)}m", memory=f"{memory_mb}Mi")
