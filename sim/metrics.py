"""Pure functions from results to numbers: estimates with intervals, per route, node, namespace and container."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from models.platform import Workload
from models.rules.quantity import bytes_of, cpu_millis
from models.scenario import RouteObjective, Scenario
from sim.demand import Demand, running_containers
from sim.estimates import Interval, estimate, few_samples, positive, quantile_estimate, share_estimate
from sim.measures import EngineMeasures, bucket_middles, histogram_quantile, merge, successes_of
from sim.overload import overloaded_routes
from sim.program import Outcome
from sim.statistics import samples_needed
from sim.streams import request_latency, request_series
from sim.study import Replication, Results, Study
from sim.thresholds import Threshold, parse_threshold

SUCCESSES = (Outcome.SERVED, Outcome.DEGRADED)
GUARDED = (Outcome.DENIED, Outcome.RATE_LIMITED)
"""Answers that a middleware gives on purpose: neither a success nor a failure of the platform."""


@dataclass(frozen=True)
class RouteMetrics:
    """What the clients of one route saw; counts are over all replications.

    ``latency``: by percentile, of requests; streams are counted and have no latency.
    """

    route: str
    rate_rps: float
    availability: Interval | None
    outage_s: Interval | None
    latency: Mapping[float, Interval | None]
    counts: Mapping[Outcome, int]

    @property
    def served(self) -> int:
        """Requests answered in full."""
        return self.counts[Outcome.SERVED]

    @property
    def failed(self) -> int:
        """Requests that ended neither as a success nor by a guard."""
        return sum(count for outcome, count in self.counts.items() if outcome not in (*SUCCESSES, *GUARDED))


def route_metrics(study: Study, results: Results, percentiles: Sequence[float] = (50, 95, 99)) -> list[RouteMetrics]:
    """Metrics of every route that gets traffic, in program order.

    The latency of a route through an overloaded station is marked: it is no property of the platform.
    """
    run = study.scenario.spec.run
    unstable = overloaded_routes(study)
    out = []
    for index, route in enumerate(study.compiled.program.routes):
        measured = [item.measures for item in results.replications]
        per = [item.route_outcomes(index) for item in measured]
        pairs = [successes_of(row) for row in per]
        wanted = dict.fromkeys((*percentiles, *_objective_percentiles(study.scenario, route)))
        histograms = [request_latency(item, index) for item in measured]
        logs = [item.log.routes.get(route) for item in results.replications]
        outages = [log.down_s(run.length) for log in logs if log is not None]
        out.append(
            RouteMetrics(
                route=route,
                rate_rps=sum(item.route_arrived(index) for item in measured) / (run.length * len(measured)),
                availability=share_estimate([good for good, _ in pairs], [of for _, of in pairs], run.confidence),
                outage_s=positive(estimate(outages, run.confidence)),
                latency={
                    key: _marked(quantile_estimate(histograms, key / 100, run.confidence), unstable.get(route, ()))
                    for key in wanted
                },
                counts={outcome: int(sum(row[outcome] for row in per)) for outcome in Outcome},
            )
        )
    return out


def _marked(interval: Interval | None, stations: Sequence[str]) -> Interval | None:
    if interval is None or not stations:
        return interval
    note = f"grows with the length of the run: {', '.join(stations)} overloaded, there is no steady state"
    return replace(interval, note="; ".join(filter(None, (note, interval.note))))


def _objective_percentiles(scenario: Scenario, route: str) -> list[float]:
    return [item.latency.percentile for item in objectives_of(scenario, route) if item.latency is not None]


def objectives_of(scenario: Scenario, route: str) -> list[RouteObjective]:
    """The objectives whose pattern matches a route."""
    host = route.partition("/")[0]
    return [
        item
        for item in scenario.spec.objectives.routes
        if fnmatchcase(route, item.route) or fnmatchcase(host, item.route)
    ]


@dataclass(frozen=True)
class ObjectiveResult:
    """One objective of one route. ``slack``: share of the allowance that is left, negative when it is broken."""

    route: str
    text: str
    observed: str
    held: bool
    slack: float


def objective_results(scenario: Scenario, metrics: Iterable[RouteMetrics]) -> list[ObjectiveResult]:
    """Every objective of every route that had requests, judged by the mean over replications."""
    out = []
    for item in metrics:
        for objective in objectives_of(scenario, item.route):
            if objective.latency is not None:
                measured = item.latency.get(objective.latency.percentile)
                limit = objective.latency.below
                name = f"p{objective.latency.percentile:g} < {limit * 1000:g} ms"
                if measured is not None:
                    slack = 1 - measured.mean / limit
                    text = f"{measured.mean * 1000:.0f} ms"
                    out.append(ObjectiveResult(item.route, name, text, measured.mean < limit, slack))
            if objective.availability is not None and item.availability is not None:
                allowed = max(1 - objective.availability, 1e-9)
                slack = 1 - (1 - item.availability.mean) / allowed
                name = f"availability ≥ {objective.availability:.4%}".replace(".0000%", "%")
                held = item.availability.mean >= objective.availability
                out.append(ObjectiveResult(item.route, name, f"{item.availability.mean:.2%}", held, slack))
    return out


@dataclass(frozen=True)
class ThresholdOutcome:
    """A threshold, what was observed (None: nothing to observe), and whether it held.

    ``note`` warns of a percentile with too few requests beyond it.
    """

    metric: str
    text: str
    observed: float | None
    held: bool
    note: str = ""


def threshold_results(study: Study, results: Results) -> list[ThresholdOutcome]:
    """Every threshold of the scenario over all replications; one without any data fails."""
    out = []
    for key, expressions in study.scenario.spec.thresholds.items():
        for expression in expressions:
            threshold = parse_threshold(key, expression)
            observed = _observe(study, results, threshold)
            held = observed is not None and threshold.holds(observed)
            out.append(ThresholdOutcome(key, threshold.text, observed, held, _thin(study, results, threshold)))
    return out


def _observe(study: Study, results: Results, threshold: Threshold) -> float | None:
    names = study.compiled.program.routes
    chosen = [index for index, name in enumerate(names) if fnmatchcase(name, threshold.route)]
    length = study.scenario.spec.run.length
    if threshold.metric == "route_outage":
        downs = [
            log.down_s(length)
            for item in results.replications
            for name, log in item.log.routes.items()
            if fnmatchcase(name, threshold.route)
        ]
        if not downs:
            return None
        return max(downs) if threshold.aggregate == "max" else float(np.mean(downs))
    merged = merge([item.measures for item in results.replications])
    if threshold.metric == "http_reqs":
        count = sum(merged.route_arrived(index) for index in chosen)
        return float(count) if threshold.aggregate == "count" else count / (length * merged.replications)
    if threshold.metric == "http_req_failed":
        pairs = [successes_of(merged.route_outcomes(index)) for index in chosen]
        good, wanted = sum(good for good, _ in pairs), sum(of for _, of in pairs)
        return 1 - good / wanted if wanted else None
    return _duration(merged, chosen, threshold)


def _thin(study: Study, results: Results, threshold: Threshold) -> str:
    """Whether a percentile rests on too few requests to be trusted; empty when it does not, or is none."""
    if threshold.aggregate != "p":
        return ""
    routes = [index for index, name in enumerate(study.compiled.program.routes) if fnmatchcase(name, threshold.route)]
    count = sum(int(request_latency(item.measures, index).sum()) for item in results.replications for index in routes)
    q = threshold.percentile / 100
    return few_samples(q) if count < samples_needed(q) else ""


def _duration(merged: EngineMeasures, routes: Sequence[int], threshold: Threshold) -> float | None:
    histogram = sum(
        (request_latency(merged, index) for index in routes), np.zeros(len(bucket_middles()), dtype=np.int64)
    )
    total = int(histogram.sum())
    if not total:
        return None
    if threshold.aggregate == "avg":
        rows = [row for index in routes for row in request_series(merged, index)]
        return float(merged.latency_sum[rows].sum()) / total * 1000
    share = {"min": 1.0 / total, "med": 0.5, "max": 1.0}.get(threshold.aggregate, threshold.percentile / 100)
    return histogram_quantile(histogram, share) * 1000


# ------------------------------------------------------------------------------------------- resources


@dataclass(frozen=True)
class NodeUse:
    """CPU of one node as a share of its throughput, its peak per bin, largest memory (bytes), mean watts."""

    node: str
    cpu: Interval | None
    cpu_peak: float
    memory_peak_b: float
    watts: float


def node_uses(study: Study, results: Results) -> list[NodeUse]:
    """Simulated use of every node. Power: idle_w + (load_w - idle_w) * utilisation (hardware catalogue)."""
    run, program = study.scenario.spec.run, study.compiled.program
    memory = _memory_by_node(study, results)
    out = []
    for index, node in enumerate(study.cluster.nodes):
        shares = [
            float(item.measures.node_cpu_s[index]) / (node.cores * item.measures.length)
            for item in results.replications
        ]
        peaks = np.mean([item.measures.bin_node_cpu_s[index] for item in results.replications], axis=0)
        cpu = positive(estimate(shares, run.confidence))
        load = cpu.mean if cpu is not None else 0.0
        machine = node.machine
        out.append(
            NodeUse(
                node=node.name,
                cpu=cpu,
                cpu_peak=float(peaks.max(initial=0.0)) / (node.cores * program.bin_width),
                memory_peak_b=memory.get(node.name, 0.0),
                watts=machine.idle_w + (machine.load_w - machine.idle_w) * min(load, 1.0),
            )
        )
    return out


def _pod_memory(results: Results) -> dict[str, float]:
    """Largest memory of every pod over all replications, bytes, by namespace/name."""
    found: dict[str, float] = {}
    for item in results.replications:
        for name, size in zip(item.measures.pod_names, item.measures.pod_memory_max, strict=True):
            found[name] = max(found.get(name, 0.0), float(size))
    return found


def _memory_by_node(study: Study, results: Results) -> dict[str, float]:
    peak = _pod_memory(results)
    found: dict[str, float] = {}
    for pod in study.placement.pods:
        if pod.node is not None:
            found[pod.node] = found.get(pod.node, 0.0) + peak.get(pod.key, 0.0)
    return found


@dataclass(frozen=True)
class WorkloadUse:
    """Simulated use of one pod of a workload: mean and 95th percentile of cores, largest memory, throttled share."""

    workload: str
    cpu_mean: float
    cpu_p95: float
    memory_peak_b: float
    throttled: float


def workload_uses(study: Study, results: Results) -> dict[str, WorkloadUse]:
    """Use per workload over all its pods and replications, by workload id."""
    owners = {pod.key: pod.workload for pod in study.placement.pods}
    for item in results.replications:
        for lane in item.log.pod_lanes:
            owners.setdefault(lane.pod, lane.workload)
    cpu: dict[str, list[float]] = {}
    throttled: dict[str, list[float]] = {}
    memory: dict[str, float] = {}
    for item in results.replications:
        for pod, samples in item.pod_cpu.items():
            cpu.setdefault(owners.get(pod, ""), []).extend(samples)
        for pod, stalled in zip(item.measures.pod_names, item.measures.pod_throttled_s, strict=True):
            throttled.setdefault(owners.get(pod, ""), []).append(float(stalled) / item.measures.length)
    for pod, size in _pod_memory(results).items():
        owner = owners.get(pod, "")
        memory[owner] = max(memory.get(owner, 0.0), size)
    return {
        key: WorkloadUse(
            key,
            float(np.mean(samples)) if samples else 0.0,
            float(np.percentile(samples, 95)) if samples else 0.0,
            memory.get(key, 0.0),
            max(throttled.get(key, [0.0])),
        )
        for key, samples in cpu.items()
        if key
    }


@dataclass(frozen=True)
class ContainerSizing:
    """What a container asks for, what it was simulated to use, and a right-sized proposal (None: leave it unset).

    CPU in millicores, memory in bytes.
    """

    workload: str
    container: str
    replicas: int
    cpu_request_m: int | None
    cpu_limit_m: int | None
    cpu_used_m: int
    cpu_p95_m: int
    throttled: float
    cpu_proposal_m: int
    memory_request_b: int | None
    memory_limit_b: int | None
    memory_peak_b: int
    memory_proposal_b: int
    basis: str


CPU_STEP_M = 5
MEMORY_STEP_B = 16 * 2**20
MEMORY_MARGIN = 1.25


def sizing(study: Study, results: Results) -> list[ContainerSizing]:
    """Sizing of every container that runs at rest.

    CPU request: the 95th percentile of use, rounded up to 5m. Memory request (and limit): the larger of the simulated
    peak and the profile's busy figure, plus a quarter, rounded up to 16 MiB.
    """
    uses = workload_uses(study, results)
    out: list[ContainerSizing] = []
    for workload in study.platform.workloads:
        pods = study.placement.by_workload.get(workload.id, ())
        demand, use = study.demands[workload.id], uses.get(workload.id)
        if not pods or use is None:
            continue
        running = running_containers(workload.pod_spec)
        out.extend(_container_sizing(workload, container, len(pods), demand, use) for container in running)
    return out


def _container_sizing(
    workload: Workload, container: Mapping[str, object], replicas: int, demand: Demand, use: WorkloadUse
) -> ContainerSizing:
    name = str(container.get("name"))
    own = next(item for item in demand.containers if item.name == name)
    others = [item for item in demand.containers if item.name != demand.main]
    if name == demand.main:
        cpu = max(use.cpu_mean - sum(item.idle_cores for item in others), 0.0)
        p95 = max(use.cpu_p95 - sum(item.idle_cores for item in others), 0.0)
        memory = max(use.memory_peak_b - sum(item.idle_memory_b for item in others), own.idle_memory_b)
    else:
        cpu = p95 = own.idle_cores
        memory = own.idle_memory_b
    busy = own.profile.busy_mem_mib * 2**20 if name == demand.main else own.idle_memory_b
    resources = container.get("resources")
    limits, requests = _amounts(resources, "limits"), _amounts(resources, "requests")
    return ContainerSizing(
        workload=workload.id,
        container=name,
        replicas=replicas,
        cpu_request_m=cpu_millis(requests["cpu"]) if "cpu" in requests else None,
        cpu_limit_m=cpu_millis(limits["cpu"]) if "cpu" in limits else None,
        cpu_used_m=round(cpu * 1000),
        cpu_p95_m=round(p95 * 1000),
        throttled=use.throttled if name == demand.main else 0.0,
        cpu_proposal_m=max(math.ceil(p95 * 1000 / CPU_STEP_M) * CPU_STEP_M, CPU_STEP_M),
        memory_request_b=bytes_of(requests["memory"]) if "memory" in requests else None,
        memory_limit_b=bytes_of(limits["memory"]) if "memory" in limits else None,
        memory_peak_b=round(memory),
        memory_proposal_b=math.ceil(max(memory, busy) * MEMORY_MARGIN / MEMORY_STEP_B) * MEMORY_STEP_B,
        basis="scenario" if demand.corrected else f"{own.profile.name}: {own.profile.confidence}",
    )


def _amounts(resources: object, key: str) -> Mapping[str, str]:
    found = resources.get(key) if isinstance(resources, dict) else None
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Bottleneck:
    """A resource and its utilisation (0..1) at the simulated load."""

    resource: str
    utilisation: float


def bottlenecks(study: Study, replications: Sequence[Replication]) -> list[Bottleneck]:
    """Nodes' CPU, pods' CPU limits and workers, links: busiest first."""
    program = study.compiled.program
    merged = merge([item.measures for item in replications])
    time = merged.length * merged.replications
    found = [
        Bottleneck(f"CPU of {node.name}", float(merged.node_cpu_s[index]) / (node.cores * time))
        for index, node in enumerate(study.cluster.nodes)
    ]
    found += [
        Bottleneck(f"home {link.name}", float(merged.link_bytes[index]) / (link.bandwidth * time))
        for index, link in enumerate(program.links)
        if link.name in ("uplink", "downlink")
    ]
    owners = {pod.key: pod.workload for pod in study.placement.pods}
    for slot, name in enumerate(merged.pod_names):
        station = study.compiled.stations.get(owners.get(name, ""))
        if station is None:
            continue
        if math.isfinite(station.cpu_limit):
            busy = float(merged.pod_cpu_s[slot]) / (station.cpu_limit * time)
            found.append(Bottleneck(f"CPU limit of {owners[name]}", busy))
        if station.workers:
            busy = float(merged.pod_busy_s[slot]) / (station.workers * time)
            found.append(Bottleneck(f"workers of {owners[name]}", busy))
    return sorted(found, key=lambda item: (-item.utilisation, item.resource))
