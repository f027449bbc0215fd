"""From a study and its results to the finished report: which numbers go where, in which order, in which words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from numpy.typing import NDArray

from models.rules.quantity import parse_quantity
from models.rules.resources import pod_limits, pod_requests
from models.sight import Sight
from reports.document import (
    Assumption,
    Event,
    Lane,
    LaneSegment,
    Report,
    Reproduce,
    Series,
    ThresholdResult,
)
from reports.tables import report_tables
from reports.topology import topology_of
from reports.traffic_tables import warm_up_rows
from reports.verdict import verdict_of
from sim.accepted import Accepted, judged
from sim.callees import with_stated_calls
from sim.findings import Evidence, collect
from sim.growth import Trial, load_growth
from sim.headroom import quota_headroom, rollout_checks
from sim.measures import EngineMeasures, histogram_quantile, merge
from sim.metrics import (
    node_uses,
    objective_results,
    route_metrics,
    sizing,
    threshold_results,
)
from sim.platform.routes import unseen_routes
from sim.study import Results, Study, traffic_for_nothing
from sim.warm_up import check_warm_up

MANY_EVENTS = 400


def build_report(
    study: Study,
    results: Results,
    *,
    command: str = "",
    growth: Sequence[Trial] | None = None,
    accepted: Accepted | None = None,
) -> Report:
    """The report of a run. ``growth``: trials of the load search; None runs the search.

    ``accepted``: what the owner accepted; such findings are told apart and count no more.
    """
    trials = load_growth(study) if growth is None else list(growth)
    metrics = route_metrics(study, results)
    rollouts = rollout_checks(study.placement)
    evidence = Evidence(
        study=study,
        results=results,
        rollouts=rollouts,
        quotas=quota_headroom(study.placement, rollouts, study.scenario.spec.objectives.quota_headroom),
        objectives=objective_results(study.scenario, metrics),
        thresholds=threshold_results(study, results),
        nodes=node_uses(study, results),
        sizing=sizing(study, results),
        growth=trials,
        warm_up=check_warm_up(study),
    )
    findings, waived = judged(collect(evidence), study.platform, accepted)
    sight = Sight(study.platform)
    spec, metadata = study.scenario.spec, study.scenario.metadata
    return Report(
        name=metadata.name,
        title=metadata.title or metadata.name,
        description=" ".join(metadata.description.split()),
        verdict=verdict_of(evidence, metrics, findings),
        thresholds=tuple(
            ThresholdResult(item.metric, item.text, item.observed, item.held, item.note) for item in evidence.thresholds
        ),
        findings=tuple(findings),
        tables=tuple(report_tables(evidence, metrics, waived)),
        timeline=_timeline(results, sight),
        lanes=_lanes(results, sight),
        series=tuple(_series(study, results)),
        topology=topology_of(
            study.platform,
            with_stated_calls(study.graph, study.platform, study.demands),
            results.losses,
            [route.object_id for route in study.routes if route.direct],
        ),
        assumptions=tuple(_assumptions(evidence)),
        not_covered=tuple(_not_covered(study)),
        reproduce=Reproduce(
            command=command or f"stowplan run {study.loaded.file}",
            version=_version(),
            tree_sha256=tree_digest(study),
            scenario_sha256=study.loaded.sha256,
            seed=spec.run.seed,
            replications=len(results.replications),
        ),
    )


def tree_digest(study: Study) -> str:
    """SHA-256 over everything that was rendered, in order; Secret values are not part of it."""
    digest = hashlib.sha256()
    for item in study.platform.rendered.objects:
        digest.update(repr(item.manifest).encode())
    return digest.hexdigest()


def _version() -> str:
    try:
        return version("stowplan")
    except PackageNotFoundError:
        return "unknown"


# ------------------------------------------------------------------------------------------------- time


def _timeline(results: Results, sight: Sight) -> tuple[Event, ...]:
    """The first replication's events without the routine of jobs; past ``MANY_EVENTS`` only what went wrong."""
    log = results.replications[0].log
    events = [event for event in log.events if event.t >= 0 and not _routine(event.severity, event.kind, event.cause)]
    if len(events) > MANY_EVENTS:
        events = [event for event in events if event.severity != "info"][:MANY_EVENTS]
    owners = {lane.pod: lane.workload for lane in results.replications[0].log.pod_lanes}
    return tuple(
        Event(
            item.t,
            item.kind,
            item.subject,
            item.message,
            item.cause,
            item.severity,
            sight.workloads.get(owners.get(item.subject.removeprefix("Pod "), item.subject), "written"),
        )
        for item in events
    )


def _routine(severity: str, kind: str, cause: str) -> bool:
    """Whether an event is only a job doing what it does every few minutes."""
    return severity == "info" and (kind == "Completed" or cause.startswith("CronJob "))


def _lanes(results: Results, sight: Sight) -> tuple[Lane, ...]:
    lanes = []
    for lane in results.replications[0].log.pod_lanes:
        if lane.workload.startswith(("CronJob ", "Job ")):
            continue
        segments = tuple(
            LaneSegment(max(part.start, 0.0), part.end, part.node, part.state) for part in lane.segments if part.end > 0
        )
        if segments:
            lanes.append(Lane(lane.workload, lane.pod, segments, sight.workloads.get(lane.workload, "derived")))
    return tuple(lanes)


def _series(study: Study, results: Results) -> Iterable[Series]:
    program = study.compiled.program
    merged = merge([item.measures for item in results.replications])
    log = results.replications[0].log
    length = study.scenario.spec.run.length
    edges = tuple(index * program.bin_width for index in range(program.bins))
    for index, route in enumerate(program.routes):
        steps = log.routes[route].steps if route in log.routes else ()
        if steps:
            yield _steps("availability", route, "ratio", steps, length)
        yield _latency(merged.bin_latency[index], route, edges)
        yield _rate("requests", route, merged.bin_arrived[index], merged)
        if merged.bin_failed[index].any():
            yield _rate("unsuccessful", route, merged.bin_failed[index], merged)
    for index, node in enumerate(study.cluster.nodes):
        whole = node.cores * program.bin_width * merged.replications
        used = tuple(float(value) / whole for value in merged.bin_node_cpu_s[index])
        yield Series("node-cpu", node.name, "ratio", edges, used)
    for index, link in enumerate(program.links):
        whole = link.bandwidth * program.bin_width * merged.replications
        if merged.bin_link_bytes[index].any():
            yield Series(
                "links", link.name, "ratio", edges, tuple(float(v) / whole for v in merged.bin_link_bytes[index])
            )
    yield from _station_series(study, merged, edges)
    yield from _quota_series(results, length)


QUEUED = 0.5
"""Mean number of waiting requests in a stretch of time from which on a queue is drawn."""


THROTTLED = 0.01
"""Share of a stretch of time from which on throttling is drawn."""


def _station_series(study: Study, merged: EngineMeasures, edges: Sequence[float]) -> Iterable[Series]:
    """Of every workload where it matters: how many requests waited for a worker of its pods, and the share of the time
    in which CFS held a pod back. Means over the stretch and the replications."""
    names = {index: name for name, index in study.compiled.services.items() if name in study.compiled.stations}
    width = merged.program.bin_width * merged.replications
    for index, name in names.items():
        waiting = merged.bin_service_queue_s[index] / width
        if waiting.max(initial=0.0) >= QUEUED:
            yield Series("queues", name, "number", tuple(edges), tuple(waiting.tolist()))
        pods = max(len(study.placement.by_workload.get(name, ())), 1)
        throttled = np.minimum(merged.bin_service_throttled_s[index] / (width * pods), 1.0)
        if throttled.max(initial=0.0) >= THROTTLED:
            yield Series("throttled", name, "ratio", tuple(edges), tuple(throttled.tolist()))


def _rate(chart: str, route: str, bins: NDArray[np.int64], merged: EngineMeasures) -> Series:
    """Requests per second per stretch of time, mean over the replications."""
    width = merged.program.bin_width
    starts = range(0, len(bins), COARSER)
    parts = [bins[start : start + COARSER] for start in starts]
    rates = tuple(float(part.sum()) / (len(part) * width * merged.replications) for part in parts)
    return Series(chart, route, "/s", tuple(start * width for start in starts), rates)


def _steps(chart: str, name: str, unit: str, steps: Sequence[tuple[float, float]], length: float) -> Series:
    """A step curve from 0 to ``length``; what was before 0 counts as its beginning."""
    before = [value for t, value in steps if t <= 0]
    points = [(0.0, before[-1] if before else steps[0][1])]
    points += [(t, value) for t, value in steps if 0 < t <= length]
    points.append((length, points[-1][1]))
    return Series(chart, name, unit, tuple(t for t, _ in points), tuple(value for _, value in points))


COARSER = 4
"""Bins of the run that make one point of a latency curve."""


def _latency(bins: NDArray[np.int32], route: str, edges: Sequence[float]) -> Series:
    """p95 per stretch of time over all replications; None where fewer than 20 requests ended."""
    x, y = [], []
    for start in range(0, len(edges), COARSER):
        histogram = bins[start : start + COARSER].sum(axis=0)
        x.append(edges[start])
        y.append(histogram_quantile(histogram, 0.95) if histogram.sum() >= 20 else None)
    return Series("latency", route, "s", tuple(x), tuple(y))


def _quota_series(results: Results, length: float) -> Iterable[Series]:
    """The share used of every CPU and memory quota over the first replication."""
    found: dict[str, list[tuple[float, float]]] = {}
    for sample in results.replications[0].log.quota_usage:
        if sample.key not in ("requests.cpu", "requests.memory", "limits.cpu", "limits.memory", "pods"):
            continue
        hard = parse_quantity(sample.hard).nano
        if hard:
            share = parse_quantity(sample.used).nano / hard
            found.setdefault(f"{sample.namespace} {sample.key}", []).append((sample.t, share))
    for name in sorted(found):
        yield _steps("quota", name, "ratio", found[name], length)


# ------------------------------------------------------------------------------------------------- honesty


def _assumptions(evidence: Evidence) -> Iterable[Assumption]:
    study = evidence.study
    for what, how, source in warm_up_rows(evidence.warm_up):
        yield Assumption(what.lower(), how, source, "derived" if "," in what else "assumed")
    for text in study.compiled.program.assumptions:
        yield Assumption(text, "", "neither the tree nor the app catalogue says", "assumed")
    yield from _left_to_catalogue(study)
    used = {
        study.demands[pod.workload].profile.name
        for pod in study.placement.pods
        if pod.workload in study.demands and not study.demands[pod.workload].plans
    }
    for profile in study.apps.profiles:
        if profile.name in used and profile.confidence in ("assumed", "derived"):
            work = ", ".join(f"{op.name} {op.cpu_ms:g} ms CPU" for op in profile.operations) or "no requests"
            fact = study.apps.facts.get(profile.ref)
            source = str(fact["source"]) if fact is not None else "no published figure found"
            yield Assumption(
                f"profile {profile.name}",
                f"{work}; at rest {profile.idle_cpu_m}m, {profile.idle_mem_mib}Mi; starts in {profile.startup_s:g} s",
                source,
                profile.confidence,
            )
    described = {row.machine for row in study.scenario.spec.cluster.nodes if row.cores is None or row.speed is None}
    machines = {node.machine.id: node.machine for node in study.cluster.nodes if node.machine.id in described}
    for machine in machines.values():
        yield Assumption(
            f"machine {machine.id}",
            f"speed {machine.speed_single:g}, {machine.ref_cores:g} reference cores",
            machine.sources["cpu_score"],
            machine.confidence["cpu_score"],
        )


def _left_to_catalogue(study: Study) -> Iterable[Assumption]:
    """What the scenario does not say of the apps whose operations it describes."""
    for name, demand in study.demands.items():
        if not demand.plans:
            continue
        given = study.scenario.spec.profiles[demand.key]
        profile = demand.profile
        figures = {
            f"at rest {profile.idle_cpu_m}m CPU": given.idle_cpu,
            f"at rest {profile.idle_mem_mib}Mi memory": given.memory,
            f"{profile.mem_per_request_mib:g}Mi per request in flight": given.memory_per_request,
            f"workers: {profile.workers or 'no bound'}": given.workers,
            f"starts in {profile.startup_s:g} s": given.startup,
            f"image of {profile.image_mb:g} MB": given.image_size,
        }
        left = [text for text, value in figures.items() if value is None]
        if left:
            source = f"profile {profile.name!r} of the app catalogue: the scenario gives the operations only"
            yield Assumption(name, "; ".join(left), source, profile.confidence)


def _not_covered(study: Study) -> Iterable[str]:
    missing = study.platform.rendered.missing
    if missing:
        modelled = sum(entry.modelled for entry in missing)
        yield f"{len(missing) - modelled} charts, files or plugins could not be had: what they run is not here."
        yield f"{modelled} charts are modelled from the catalogue: only their workloads, services and claims."
    if study.platform.unknown_kinds:
        listed = ", ".join(f"{count} {kind}" for kind, count in study.platform.unknown_kinds.items())
        yield f"Objects whose meaning is not modelled: {listed}."
    if lost := traffic_for_nothing(study.scenario, study.routes):
        listed = ", ".join(repr(pattern) for pattern in lost)
        yield f"Traffic for {listed}: the tree shows no route, so nothing was sent and nothing is known of requests."
    idle = [route.id for route in study.routes if route.id not in study.compiled.program.routes]
    if idle:
        yield f"Routes without traffic in this scenario: {', '.join(idle)}."
    unseen = unseen_routes(study.platform)
    if unseen:
        listed = ", ".join(str(item) for item in unseen[:12])
        yield f"Routes whose backend or proxy is not in the tree, so that their outages are unknown: {listed}."
    yield "Latency inside the internet and inside clients, browser rendering, and DNS look-ups of clients."
    yield "Kernel effects below the CPU quota: page cache, swap, NUMA, CPU frequency and heat."
    yield "Evictions for disks, inodes and process ids; the memory of a pod before it answers."
    unset = [
        pod.key
        for pod in study.placement.pods
        if not pod_requests(pod.manifest).get("cpu") and not pod_limits(pod.manifest).get("cpu")
    ]
    if unset:
        yield f"{len(unset)} pods state no CPU request: nothing keeps room for them."
