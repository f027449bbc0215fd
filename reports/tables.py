"""From results to the declared tables of a report: which number goes into which cell, and how its subject was seen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from models.findings import Finding
from models.rules.quantity import parse_quantity
from models.sight import Seen, Sight, least
from reports.declared import make_table
from reports.document import Cell, Estimate, Table
from reports.formats import ratio
from reports.traffic_tables import (
    links_table,
    precision_table,
    slowest_table,
    stations_table,
    statistics_table,
)
from sim.accepted import FILE, Acceptance
from sim.estimates import Interval
from sim.findings import Evidence
from sim.metrics import RouteMetrics, objectives_of, workload_uses
from sim.platform.log import Outage
from sim.platform.simulation import NodeLoss
from sim.program import Outcome
from sim.storage import claim_rows
from sim.study import Study


def _estimate(interval: Interval | None) -> Estimate | None:
    if interval is None:
        return None
    return Estimate(interval.mean, interval.low, interval.high, interval.n, interval.note)


def report_tables(
    evidence: Evidence, metrics: Sequence[RouteMetrics], waived: Sequence[tuple[Finding, Acceptance]] = ()
) -> Iterable[Table]:
    """Every table that has rows, each row marked with how its subject was seen."""
    sight = Sight(evidence.study.platform)
    routes = _routes_seen(evidence.study, sight)
    made = [
        _nodes(evidence, sight),
        _namespaces(evidence, sight),
        _quotas(evidence, sight),
        _routes(evidence, metrics, routes),
        _failures(metrics, routes),
        _losses(evidence, {**sight.workloads, **routes}),
        _outages(evidence, routes),
        slowest_table(evidence, routes),
        stations_table(evidence, sight),
        links_table(evidence),
        _sizing(evidence, sight),
        _growth(evidence, sight),
        _rollouts(evidence, sight),
        _storage(evidence, sight),
        _pods(evidence, sight),
        precision_table(evidence, routes),
    ]
    partial = str(sight.hidden)
    whole = [_accepted(waived, sight), _missing(evidence), statistics_table(evidence)]
    return (table for table in (*(replace(one, hidden=partial) for one in made), *whole) if table.rows)


def _routes_seen(study: Study, sight: Sight) -> dict[str, Seen]:
    """Route to the least certain of its object, its backends and the workloads behind them."""
    found: dict[str, Seen] = {}
    for route in study.routes:
        objects = [study.platform.get("Service", *_place(item.service)) for item in route.backends]
        behind = [work for item in objects if item is not None for work in study.platform.service_workloads(item)]
        found[route.id] = least(
            [
                sight.origin(route.origin),
                *(sight.object(item) for item in objects),
                *(sight.workloads[work.id] for work in behind),
            ]
        )
    return found


def _place(node: str) -> tuple[str, str]:
    """Namespace and name of a node id."""
    namespace, _, name = node.partition(" ")[2].partition("/")
    return namespace, name


def _workloads_seen(sight: Sight, workloads: Iterable[str]) -> list[Seen]:
    """How each workload was seen; what the simulation adds by itself (k3s' own pods) is derived."""
    return [sight.workloads.get(name, "derived") for name in workloads]


def _nodes(evidence: Evidence, sight: Sight) -> Table:
    """A node is as certain as the least certain of its pods."""
    uses = {use.node: use for use in evidence.nodes}
    pods = evidence.study.placement.pods
    seen: list[Seen] = []
    rows: list[tuple[Cell, ...]] = []
    for room in evidence.study.placement.node_rooms():
        node, use = evidence.study.cluster.node(room.node), uses[room.node]
        own = [pod.workload for pod in pods if pod.node == room.node]
        known = not own or any(workload in evidence.study.demands for workload in own)
        seen.append(_sum_of(_workloads_seen(sight, own)))
        rows.append(
            (
                room.node,
                node.machine.name,
                node.role,
                room.pods,
                room.cpu_allocatable_m,
                room.cpu_requests_m,
                room.cpu_limits_m,
                _estimate(use.cpu),
                use.cpu_peak,
                room.memory_allocatable_b,
                room.memory_requests_b,
                room.memory_limits_b,
                round(use.memory_peak_b) if known else None,
                round(use.watts, 1),
            )
        )
    return make_table("nodes", rows, seen)


def _sum_of(parts: Iterable[Seen]) -> Seen:
    """How a sum was seen: ``modelled`` when a part is; what operators derive does not make a sum less certain."""
    return "modelled" if least(parts) in ("modelled", "missing") else "written"


def _namespaces(evidence: Evidence, sight: Sight) -> Table:
    study = evidence.study
    uses = workload_uses(study, evidence.results)
    rows: list[tuple[Cell, ...]] = []
    for space in study.placement.namespace_uses():
        pods = [pod for pod in study.placement.pods if pod.namespace == space.namespace and pod.workload in uses]
        # What has no app profile (the distribution's own pods) is not simulated: its use is unknown, not zero.
        known = any(pod.namespace == space.namespace and pod.workload in study.demands for pod in study.placement.pods)
        storage = sum(
            parse_quantity(claim.get("spec", "resources", "requests", "storage", default="0")).value()
            for claim in study.platform.claims
            if claim.namespace == space.namespace
        )
        rows.append(
            (
                space.namespace,
                space.pods,
                space.cpu_requests_m,
                space.cpu_limits_m,
                round(sum(uses[pod.workload].cpu_mean for pod in pods) * 1000) if known else None,
                space.memory_requests_b,
                space.memory_limits_b,
                round(sum(uses[pod.workload].memory_peak_b for pod in pods)) if known else None,
                storage,
            )
        )
    return make_table("namespaces", rows, [_space_seen(sight, str(row[0])) for row in rows])


def _space_seen(sight: Sight, namespace: str) -> Seen:
    return _sum_of([sight.namespaces.get(namespace, "written")])


def _quotas(evidence: Evidence, sight: Sight) -> Table:
    return make_table(
        "quotas",
        [
            (
                row.namespace,
                row.quota,
                row.key,
                row.hard,
                row.used_rest,
                row.used_peak,
                row.peak_workload,
                row.headroom,
                row.verdict,
            )
            for row in evidence.quotas
        ],
        [_space_seen(sight, row.namespace) for row in evidence.quotas],
    )


def _routes(evidence: Evidence, metrics: Sequence[RouteMetrics], seen: Mapping[str, Seen]) -> Table:
    backends = {route.id: ", ".join(b.service for b in route.backends) for route in evidence.study.routes}
    rows: list[tuple[Cell, ...]] = []
    for item in metrics:
        held = [o for o in evidence.objectives if o.route == item.route]
        objective = "; ".join(f"{o.text}: {'held' if o.held else 'BROKEN'}" for o in held)
        if not objective and objectives_of(evidence.study.scenario, item.route):
            objective = "nothing to judge"
        rows.append(
            (
                item.route,
                backends.get(item.route, ""),
                item.rate_rps,
                _estimate(item.availability),
                _estimate(item.outage_s),
                _estimate(item.latency[50]),
                _estimate(item.latency[95]),
                _estimate(item.latency[99]),
                item.served,
                item.counts[Outcome.DEGRADED],
                item.counts[Outcome.DENIED],
                item.counts[Outcome.RATE_LIMITED],
                item.failed,
                objective,
            )
        )
    marks = [seen.get(item.route, "written") for item in metrics]
    level = ratio(evidence.study.scenario.spec.run.confidence)
    return make_table(
        "routes", rows, marks, f"Intervals have {level} confidence; how they were made is told under Statistics."
    )


def _failures(metrics: Sequence[RouteMetrics], seen: Mapping[str, Seen]) -> Table:
    return make_table(
        "failures",
        [
            (
                item.route,
                item.counts[Outcome.REFUSED],
                item.counts[Outcome.TIMED_OUT],
                item.counts[Outcome.CONNECTION_RESET],
                item.counts[Outcome.NO_ENDPOINT],
                item.counts[Outcome.ERROR],
            )
            for item in metrics
            if item.failed
        ],
        [seen.get(item.route, "written") for item in metrics if item.failed],
    )


def _losses(evidence: Evidence, seen: Mapping[str, Seen]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            loss.node,
            loss.route,
            loss.outage_s,
            loss.outage_s is None,
            loss.cause,
            "; ".join(_decisive(loss)) if loss.outage_s is None else "",
        )
        for loss in evidence.results.losses
        if loss.outage_s is None or loss.outage_s > 0 or loss.degraded_s > 0
    ]
    marks = [seen.get(str(row[1]), "written") for row in rows]
    return make_table("survival", rows, marks, "Routes that a loss does not touch are left out.")


_PINS = re.compile(r"volume ([^/ ]+)/\S+ \([^)]*\) pins (\S+) to ")


def _decisive(loss: NodeLoss) -> tuple[str, ...]:
    """Of the pods that find no place, those that the cause of this route's outage names; all when it names none."""
    named = [f"{namespace}/{name}-" for namespace, name in _PINS.findall(loss.cause)]
    return tuple(item for item in loss.pending if item.startswith(tuple(named))) if named else loss.pending


def _outages(evidence: Evidence, seen: Mapping[str, Seen]) -> Table:
    length = evidence.study.scenario.spec.run.length
    first = evidence.results.replications[0].log
    found: list[tuple[str, Outage]] = [
        (route, outage) for route, log in first.routes.items() for outage in log.outages if outage.start < length
    ]
    found.sort(key=lambda pair: (pair[1].start, pair[0]))
    return make_table(
        "outages",
        [
            (route, outage.start, (length if outage.end is None else outage.end) - outage.start, outage.cause)
            for route, outage in found
        ],
        [seen.get(route, "written") for route, _ in found],
    )


def _sizing(evidence: Evidence, sight: Sight) -> Table:
    marks = _workloads_seen(sight, [row.workload for row in evidence.sizing])
    return make_table("sizing", [vars(row) for row in evidence.sizing], marks)


def _storage(evidence: Evidence, sight: Sight) -> Table:
    rows = claim_rows(evidence.study)
    marks = [sight.node(f"PersistentVolumeClaim {row.claim}") for row in rows]
    return make_table("storage", [vars(row) for row in rows], marks)


def _growth(evidence: Evidence, sight: Sight) -> Table:
    return make_table(
        "growth",
        [
            (
                trial.load,
                f"{trial.tightest.route}: {trial.tightest.text}" if trial.tightest is not None else "",
                trial.tightest.observed if trial.tightest is not None else "",
                trial.held,
                trial.bottleneck,
                trial.utilisation,
                trial.streams_lost,
            )
            for trial in evidence.growth
        ],
        [_sum_of([sight.whole])] * len(evidence.growth),
        "One short replication per load at the busiest hour, with nothing failing.",
    )


def _rollouts(evidence: Evidence, sight: Sight) -> Table:
    ran = {item.workload: item for item in evidence.results.replications[0].log.rollouts}
    rows: list[tuple[Cell, ...]] = []
    for check in evidence.rollouts:
        seen = ran.get(check.workload)
        verdict = check.verdict if seen is None or seen.verdict == "running" else "stuck"
        if seen is not None and seen.verdict in ("complete", "superseded"):
            verdict = "completes"
        rows.append(
            (
                check.workload,
                check.strategy,
                verdict,
                seen.duration_s if seen is not None else None,
                (seen.reason if seen is not None else "") or check.reason,
            )
        )
    marks = _workloads_seen(sight, [check.workload for check in evidence.rollouts])
    return make_table("rollouts", rows, marks, "Each workload alone; durations only of those rolled out in this run.")


def _pods(evidence: Evidence, sight: Sight) -> Table:
    return make_table(
        "pods",
        [
            (
                pod.key,
                pod.workload,
                pod.node or "",
                pod.qos,
                pod.priority,
                pod.cpu_request_m,
                pod.memory_request_b,
                pod.state,
                pod.message,
            )
            for pod in evidence.study.placement.pods
        ],
        _workloads_seen(sight, [pod.workload for pod in evidence.study.placement.pods]),
    )


def _accepted(waived: Sequence[tuple[Finding, Acceptance]], sight: Sight) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (item.code, item.subject, item.title, entry.reason, str(entry.until) if entry.until else "")
        for item, entry in waived
    ]
    seen = [sight.workloads.get(item.subject, "written") for item, _ in waived]
    return make_table("accepted", rows, seen, f"They are in {FILE} and count in no verdict.")


def _missing(evidence: Evidence) -> Table:
    return make_table(
        "missing",
        [
            (
                entry.kind,
                entry.what,
                f"{entry.origin.file}:{entry.origin.line}" if entry.origin.line else entry.origin.file,
                entry.reason,
                entry.modelled,
                entry.hides,
            )
            for entry in evidence.study.platform.rendered.missing
        ],
        ["modelled" if entry.modelled else "missing" for entry in evidence.study.platform.rendered.missing],
    )
