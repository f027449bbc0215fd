"""From graph, placement, profiles and scenario to a program that a request engine runs.

A request of a route becomes: client -> (edge) -> (tunnel) -> reverse proxy -> its middlewares -> the app's Service ->
the app's operation, which calls what the graph says the app calls. Only dependencies that the graph has evidence for
are called; how often comes from the app catalogue, and every guess is listed in ``Program.assumptions``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import networkx as nx

from models.catalog import Timings
from models.cluster import Cluster, NodeDisk, node_disk
from models.graph.routes import EntryRoute
from models.objects import Manifest
from models.platform import Platform
from models.scenario import Disk, Scenario
from models.traffic import Traffic
from sim import program as ir
from sim.callees import cache_holders
from sim.compile.callplans import Builder
from sim.compile.media import may_encode
from sim.compile.network_storage import data_servers
from sim.compile.stations import Quota, station_of
from sim.compile.traffic import sources
from sim.demand import Demand


@dataclass(frozen=True)
class Compiled:
    """A program without pods, and what the platform simulation needs to add them.

    ``services``: program index by Service id and by workload id (a workload's own service holds all its ready pods).
    ``stations``: per workload, a pod without name and node. ``encoders``: pool by node with a hardware encoder;
    ``encoding``: workloads whose pods may use it. ``remote``: the disk of workloads with their data on network storage.
    ``containers``: per workload, the container that serves requests, and what the others use at rest (bytes).
    """

    program: ir.Program
    services: Mapping[str, int]
    stations: Mapping[str, ir.PodStation]
    nodes: Mapping[str, int]
    links: Mapping[str, int]
    traffic: tuple[Traffic, ...]
    encoders: Mapping[str, int]
    encoding: frozenset[str]
    remote: Mapping[str, int]
    containers: Mapping[str, tuple[str, Mapping[str, int]]]

    def station(self, workload: str, pod: str, node: str) -> ir.PodStation:
        """The station of a pod of ``workload`` called ``pod`` on ``node``.

        All pods' CFS periods begin together, as before Linux 6.3, which spreads them (kernel/sched/fair.c,
        init_cfs_bandwidth).
        """
        index = self.nodes[node]
        pool = self.encoders.get(node, -1) if workload in self.encoding else -1
        return replace(self.stations[workload], name=pod, node=index, disk=self.remote.get(workload, index), pool=pool)


def compile_program(
    platform: Platform,
    graph: nx.MultiDiGraph[str],
    routes: Iterable[EntryRoute],
    cluster: Cluster,
    demands: Mapping[str, Demand],
    scenario: Scenario,
    timings: Timings,
    *,
    stored: Mapping[str, Manifest],
    folder: Path | None = None,
) -> Compiled:
    """The program of a platform under a scenario's traffic.

    ``stored``: a pod of each workload as the API server stores it, with the defaults of its LimitRange. ``folder``:
    where relative trace files are. Raises InputError for traffic that matches no route or an operation
    that no profile has.
    """
    spec = scenario.spec
    disks = [_disk(f"disk {node.name}", node.disks[0]) for node in cluster.nodes]
    remote = _remote(platform, cluster, spec.network.nas, disks)
    builder = Builder(platform, graph, demands, remote=frozenset(remote), lan_rtt=spec.network.lan_rtt)
    for workload_id, disk in remote.items():
        if disk >= len(cluster.nodes):
            server = disks[disk].name.removeprefix("disk ")
            builder.assumptions[
                f"the data of {workload_id} lies on {server} behind the LAN, on a disk like {spec.network.nas} "
                "(network.nas)"
            ] = None
    holders = cache_holders(platform, demands)
    quota = Quota(timings.seconds("k8s.cfs_quota_period"), spec.cluster.cfs_burst)
    stations = {
        workload.id: station_of(
            workload,
            stored.get(workload.id, workload.template),
            demands[workload.id],
            builder.service(workload.id),
            cold=workload.id in holders,
            quota=quota,
        )
        for workload in platform.workloads
    }
    links = [
        ir.Link("uplink", spec.network.uplink),
        ir.Link("downlink", spec.network.downlink),
        *(ir.Link(f"nic {node.name}", min(node.nic_bps, spec.network.lan)) for node in cluster.nodes),
    ]
    found, names, kept = sources(builder, list(routes), scenario, folder)
    nodes = tuple(ir.Node(node.name, node.cores, node.speed, nic=index + 2) for index, node in enumerate(cluster.nodes))
    encoders = [node for node in cluster.nodes if node.encoder_sessions]
    program = ir.Program(
        nodes=nodes,
        services=tuple(builder.service_rows),
        operations=builder.finished(),
        sources=tuple(found),
        routes=tuple(names),
        links=tuple(links),
        disks=tuple(disks),
        pools=tuple(ir.Pool(f"encoder {node.name}", float(node.encoder_sessions)) for node in encoders),
        lan_rtt=spec.network.lan_rtt,
        bin_width=max(spec.run.length / 240.0, 1.0),
        bins=math.ceil(spec.run.length / max(spec.run.length / 240.0, 1.0)),
        assumptions=tuple(builder.assumptions),
    )
    return Compiled(
        program=program,
        services=builder.services,
        stations=stations,
        nodes={node.name: index for index, node in enumerate(cluster.nodes)},
        links={link.name: index for index, link in enumerate(links)},
        traffic=tuple(kept),
        encoders={node.name: index for index, node in enumerate(encoders)},
        encoding=frozenset(item.id for item in platform.workloads if may_encode(item)),
        remote=remote,
        containers={key: _containers(demand) for key, demand in demands.items()},
    )


def _containers(demand: Demand) -> tuple[str, dict[str, int]]:
    return demand.main, {c.name: int(c.idle_memory_b) for c in demand.containers if c.name != demand.main}


def _remote(platform: Platform, cluster: Cluster, kind: str, disks: list[ir.Disk]) -> dict[str, int]:
    """The disk of every workload with its data on network storage: a node's when a node is the server, else one more
    disk per server. Appends to ``disks``. Raises InputError for a disk that the catalogue does not have."""
    positions = {node.name: index for index, node in enumerate(cluster.nodes)}
    found: dict[str, int] = {}
    for workload, server in data_servers(platform).items():
        if server not in positions:
            positions[server] = len(disks)
            disks.append(_disk(f"disk {server}", node_disk(Disk(type=kind, size=1), "spec.network.nas")))
        found[workload] = positions[server]
    return found


def _disk(name: str, disk: NodeDisk) -> ir.Disk:
    return ir.Disk(name, disk.read_bps, disk.write_bps, op_latency=1.0 / disk.read_iops, fsync=disk.fsync_s, channels=1)
