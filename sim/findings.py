"""Findings that follow from placing and simulating a platform, in the API server's and the scheduler's words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.errors import Where
from models.findings import Finding, Severity
from models.objects import Missing
from models.platform import Workload
from sim.checks import run_checks
from sim.growth import Trial
from sim.headroom import QuotaHeadroom, RolloutCheck
from sim.metrics import ContainerSizing, NodeUse, ObjectiveResult, ThresholdOutcome, bottlenecks
from sim.overload import overloads
from sim.placement import lose_node
from sim.platform.log import Outage
from sim.precision import precisions
from sim.slowest import SlowRequest, slowest_requests
from sim.standing import Standing
from sim.study import Results, Study
from sim.warm_up import WarmUp

CODES: dict[str, str] = {
    "NODE-LOSS": "losing a node leaves pods without a place until it returns",
    "QUOTA-TIGHT": "less of a quota stays free at the largest rollout than wanted",
    "NODE-TIGHT": "less of a node stays unrequested than wanted",
    "OBJECTIVE-BROKEN": "an objective of a route does not hold",
    "THRESHOLD-FAILED": "a threshold of the scenario failed",
    "SIM-REFUSED": "during the run the API server refused pods",
    "SIM-ROLLOUT-STUCK": "a rollout of the run did not finish",
    "SIM-OOM": "a container was killed for its memory",
    "SIM-NODE-MEMORY": "the pods of a node needed more memory than it has",
    "SIM-OVERLOAD": "open traffic asks a station for more than it can do",
    "SIM-WARM-UP": "the platform was not steady yet when measuring began",
    "SIM-PRECISION": "all allowed replications ran and an availability is known less well than was asked",
    "CPU-THROTTLED": "a container is held back by its CPU limit",
    "NOT-SEEN": "part of the platform is not in the tree and was not simulated",
    "NO-SURVIVAL": "the control plane does not survive the loss of its only server",
}
"""Codes of this module and what they mean; those of the checks and the graph are ``sim.checks.codes()``."""

THROTTLED = 0.05
"""A container that is held back for more than this share of the time is reported."""


@dataclass(frozen=True)
class Evidence:
    """What the findings are drawn from."""

    study: Study
    results: Results
    rollouts: Sequence[RolloutCheck]
    quotas: Sequence[QuotaHeadroom]
    objectives: Sequence[ObjectiveResult]
    thresholds: Sequence[ThresholdOutcome]
    nodes: Sequence[NodeUse]
    sizing: Sequence[ContainerSizing]
    growth: Sequence[Trial]
    warm_up: WarmUp


def collect(evidence: Evidence) -> list[Finding]:
    """All findings, worst first."""
    found = [
        *_checked(evidence),
        *_node_losses(evidence),
        *_control_plane(evidence),
        *_quotas(evidence),
        *_rooms(evidence),
        *_judged(evidence),
        *_happened(evidence),
        *_out_of_memory(evidence),
        *_throttled(evidence),
        *overloads(evidence.study),
        *_trusted(evidence),
        *_unseen(evidence),
    ]
    return sorted(found, key=lambda item: item.sort_key)


def _where(workload: Workload | None) -> Where:
    if workload is None:
        return Where()
    return Where(workload.object.origin.file, workload.object.origin.line)


def _checked(evidence: Evidence) -> list[Finding]:
    """What the rules and the graph find about the platform at rest.

    Pins are left to NODE-LOSS, which says the same by node.
    """
    study = evidence.study
    standing = Standing(study.platform, study.graph, study.cluster, study.placement)
    return [item for item in run_checks(standing) if item.code != "CLAIM-PINNED"]


def _node_losses(evidence: Evidence) -> list[Finding]:
    wanted = evidence.study.scenario.spec.objectives.survives == "any-one-node"
    workloads = evidence.study.platform.workload_by_id
    out = []
    for node in evidence.study.cluster.nodes:
        answer = lose_node(evidence.study.placement, node.name)
        if not answer.unplaced:
            continue
        many = "s" if len(answer.unplaced) > 1 else ""
        lines = tuple(
            f"{item.pod}: {item.pins[0].says(item.workload) if item.pins else item.message}" for item in answer.unplaced
        )
        pinned = sum(1 for item in answer.unplaced if item.pins)
        out.append(
            Finding(
                "NODE-LOSS",
                Severity.WARNING if wanted else Severity.INFO,
                f"Losing {node.name} leaves {len(answer.unplaced)} pod{many} without a place until it "
                f"returns ({pinned} of them because of a volume on its disk)",
                f"Node {node.name}",
                _where(workloads.get(answer.unplaced[0].workload)),
                lines,
                "keep that data on replicated or network storage, run a replica with its own volume elsewhere, "
                "or accept the outage and know the way to restore",
            )
        )
    return out


def _control_plane(evidence: Evidence) -> list[Finding]:
    cluster = evidence.study.cluster
    if len(cluster.servers) != 1 or len(cluster.nodes) == 1:
        return []
    only = cluster.servers[0].name
    return [
        Finding(
            "NO-SURVIVAL",
            Severity.WARNING,
            f"{only} is the only server: while it is away nothing is rescheduled and no endpoint is updated",
            f"Node {only}",
            evidence=(f"1 server, {len(cluster.nodes) - 1} agents; an etcd quorum needs three servers",),
            way_out="run three servers with embedded etcd",
        )
    ]


def _quotas(evidence: Evidence) -> list[Finding]:
    out = []
    for row in evidence.quotas:
        if row.verdict == "fits":
            continue
        quota = evidence.study.platform.get("ResourceQuota", row.namespace, row.quota)
        where = Where(quota.origin.file, quota.origin.line, f"spec.hard.{row.key}") if quota is not None else Where()
        peak = f", {row.used_peak} while {row.peak_workload} is rolled out" if row.peak_workload else ""
        out.append(
            Finding(
                "QUOTA-TIGHT",
                Severity.ERROR if "refused" in row.verdict else Severity.WARNING,
                f"Quota {row.namespace}/{row.quota} leaves {row.headroom:.0%} of {row.key} at its peak",
                f"ResourceQuota {row.namespace}/{row.quota}",
                where,
                (f"hard {row.hard}, at rest {row.used_rest}{peak}", row.verdict),
                f"raise {row.key}, or lower requests in {row.namespace}",
                namespace=row.namespace,
            )
        )
    return out


def _rooms(evidence: Evidence) -> list[Finding]:
    wanted = evidence.study.scenario.spec.objectives.node_headroom
    out = []
    for room in evidence.study.placement.node_rooms():
        for name, free, whole in (
            ("CPU", room.cpu_free_m, room.cpu_allocatable_m),
            ("memory", room.memory_free_b, room.memory_allocatable_b),
        ):
            if whole and free / whole < wanted:
                out.append(
                    Finding(
                        "NODE-TIGHT",
                        Severity.WARNING,
                        f"{room.node} has {free / whole:.0%} of its {name} unrequested",
                        f"Node {room.node}",
                        evidence=(f"wanted: {wanted:.0%}",),
                        way_out="lower requests (see the sizing table), or add a machine",
                    )
                )
    return out


def _judged(evidence: Evidence) -> list[Finding]:
    missed = [item for item in evidence.objectives if not item.held]
    slowest: dict[str, SlowRequest] = {}
    for one in slowest_requests(evidence.study, evidence.results) if missed else ():
        slowest.setdefault(one.route, one)
    broken = [
        Finding(
            "OBJECTIVE-BROKEN",
            Severity.ERROR,
            f"{item.route}: {item.text} does not hold, observed {item.observed}",
            f"Route {item.route}",
            evidence=_causes(evidence, item.route, slowest.get(item.route)),
            way_out=_way_out(evidence, item.route, slowest.get(item.route)),
        )
        for item in missed
    ]
    failed = [
        Finding(
            "THRESHOLD-FAILED",
            Severity.ERROR,
            f"{item.metric}: {item.text} failed, observed "
            f"{'nothing' if item.observed is None else format(item.observed, '.4g')}",
            f"Threshold {item.metric}",
        )
        for item in evidence.thresholds
        if not item.held
    ]
    return [*broken, *failed]


def _outages(evidence: Evidence, route: str) -> Sequence[Outage]:
    """When the route was down in the first replication."""
    log = evidence.results.replications[0].log.routes.get(route)
    return log.outages if log is not None else ()


def _causes(evidence: Evidence, route: str, slow: SlowRequest | None) -> tuple[str, ...]:
    """Why the route was down in the first replication; when it was only slow, where the time went."""
    if outages := _outages(evidence, route):
        return tuple(f"down from {outage.start:.0f} s: {outage.cause}" for outage in outages[:3])
    busiest = bottlenecks(evidence.study, evidence.results.replications)[0]
    spent = () if slow is None else (f"its slowest request spent {_spent(slow)}",)
    return (f"it was never down; the busiest resource is {busiest.resource} at {busiest.utilisation:.0%}", *spent)


REMEDIES = {
    "queue_s": ("waiting for a worker", "give the app more workers or replicas"),
    "cpu_s": ("on CPU work", "use faster cores, or ask for less work"),
    "core_s": ("waiting for a core", "move work to another node, or raise the CPU request of the app"),
    "throttled_s": ("throttled by CFS", "raise the CPU limit"),
    "disk_s": ("at the disk", "use a faster disk, or flush less often"),
    "network_s": ("in transfers", "give the line more bandwidth, or let fewer or smaller streams hold it"),
}
"""Where the time of a slow request went, and what would shorten it."""


def _longest_part(slow: SlowRequest) -> tuple[str, float]:
    """The largest of the parts in ``REMEDIES``, and its seconds."""
    parts = {"queue_s": slow.queue_s, **{name: getattr(slow.work, name) for name in REMEDIES if name != "queue_s"}}
    return max(parts.items(), key=lambda item: item[1])


def _spent(slow: SlowRequest) -> str:
    part, most = _longest_part(slow)
    return f"{most:.3g} of {slow.latency_s:.3g} s {REMEDIES[part][0]} (outcome: {slow.outcome.label})"


def _way_out(evidence: Evidence, route: str, slow: SlowRequest | None) -> str:
    if _outages(evidence, route) or slow is None:
        return "shorten what the causes name: a pin, a single replica, a timer; or lower the objective"
    part, most = _longest_part(slow)
    if most < slow.latency_s / 2:
        return "see where the time of its slowest requests went, or lower the objective"
    return f"{REMEDIES[part][1]}; or lower the objective"


def _happened(evidence: Evidence) -> list[Finding]:
    workloads = evidence.study.platform.workload_by_id
    first = evidence.results.replications[0].log
    out = [
        Finding(
            "SIM-REFUSED",
            Severity.ERROR,
            f"The API server refused pods of {refusal.workload} {refusal.count} times",
            refusal.workload,
            _where(workloads.get(refusal.workload)),
            (refusal.message, f"from {refusal.first:.0f} s to {refusal.last:.0f} s after the warm-up"),
            "leave room in the quota for a restart and for the surge pod of a rollout",
            namespace=workloads[refusal.workload].namespace if refusal.workload in workloads else "",
        )
        for refusal in first.refusals
    ]
    out.extend(
        Finding(
            "SIM-ROLLOUT-STUCK",
            Severity.ERROR,
            f"The rollout of {rollout.workload} did not finish",
            rollout.workload,
            _where(workloads.get(rollout.workload)),
            (rollout.reason,),
            "see the timeline",
        )
        for rollout in first.rollouts
        if rollout.verdict == "stuck"
    )
    killed: dict[str, int] = {}
    for event in first.events:
        if event.kind == "OOMKilled":
            killed[event.subject] = killed.get(event.subject, 0) + 1
    out.extend(
        Finding(
            "SIM-OOM",
            Severity.ERROR,
            f"{subject} was killed {count} times for its memory",
            subject,
            way_out="raise its memory limit (see the sizing table)",
        )
        for subject, count in killed.items()
    )
    return out


def _out_of_memory(evidence: Evidence) -> list[Finding]:
    """Nodes on which the kubelet evicted or the kernel killed, in the first replication, with what they said."""
    low = "The node was low on resource: memory."
    lines: dict[str, list[str]] = {}
    node = ""
    for event in evidence.results.replications[0].log.events:
        if event.kind in ("NodeHasInsufficientMemory", "EvictionThresholdMet", "SystemOOM"):
            node = event.subject
        elif event.kind == "OOMKilling" or (event.kind == "Evicted" and event.message.startswith(low)):
            lines.setdefault(node, []).append(f"{event.t:.0f} s, {event.subject}: {event.message.strip()}")
    return [
        Finding(
            "SIM-NODE-MEMORY",
            Severity.ERROR,
            f"{name} ran out of memory: pods evicted or killed: {len(told)}",
            f"Node {name}",
            evidence=tuple(told[:5]),
            way_out="request what the pods use (see the sizing table), limit what grows, or add memory",
        )
        for name, told in lines.items()
    ]


def _throttled(evidence: Evidence) -> list[Finding]:
    workloads = evidence.study.platform.workload_by_id
    return [
        Finding(
            "CPU-THROTTLED",
            Severity.WARNING,
            f"{item.workload} ({item.container}) is held back by its CPU limit up to {item.throttled:.0%} of the time",
            item.workload,
            _where(workloads.get(item.workload)),
            (f"limit {item.cpu_limit_m}m, mean use {item.cpu_used_m}m", "worst pod and replication"),
            "raise or remove the CPU limit",
            namespace=workloads[item.workload].namespace,
        )
        for item in evidence.sizing
        if item.throttled > THROTTLED and item.cpu_limit_m is not None
    ]


def _trusted(evidence: Evidence) -> list[Finding]:
    """What makes the run's own numbers weaker than they look."""
    out = []
    checked = evidence.warm_up
    # At an overloaded station there is no steady state to wait for, and SIM-OVERLOAD has said so.
    if checked.early and not overloads(evidence.study):
        watched = checked.watched_s
        out.append(
            Finding(
                "SIM-WARM-UP",
                Severity.WARNING,
                f"A warm-up of {checked.length_s:.0f} s ends before the platform is steady",
                "run.warmUp",
                evidence=tuple(
                    f"{one.series}: steady after {one.after_s:.0f} of {watched:.0f} s watched"
                    + (" at the earliest" if 2 * one.after_s >= watched else "")
                    + f" (MSER-5, p = {one.bias:.1g} for no initial bias)"
                    for one in checked.early
                ),
                way_out=f"set run.warmUp to {2 * max(one.after_s for one in checked.early):.0f}s",
            )
        )
    found = precisions(evidence.study, evidence.results.replications)
    short = [item for item in found if not item.reached]
    if short:
        wanted = evidence.study.scenario.spec.run.precision
        lines = (
            f"{item.route}: ±{item.half_width:.3%}" if item.half_width is not None else f"{item.route}: no interval"
            for item in sorted(short, key=lambda item: -(item.half_width or 1.0))
        )
        out.append(
            Finding(
                "SIM-PRECISION",
                Severity.WARNING,
                f"After {len(evidence.results.replications)} replications {len(short)} of {len(found)} availabilities "
                f"are known less well than ±{wanted:.3%}",
                "run.precision",
                evidence=tuple(lines),
                way_out="allow more replications, run longer, or ask for less",
            )
        )
    return out


def _unseen(evidence: Evidence) -> list[Finding]:
    """One finding per chart, and one per file that names remote resources; a broken file is an error of the checks."""
    groups: dict[tuple[str, str, bool, str], list[Missing]] = {}
    for entry in evidence.study.platform.rendered.missing:
        if entry.broken:
            continue
        own = entry.what if entry.kind == "chart" else ""
        groups.setdefault((entry.kind, entry.origin.file, entry.modelled, own), []).append(entry)
    return [_unseen_group(entries) for entries in groups.values()]


def _unseen_group(entries: Sequence[Missing]) -> Finding:
    first = entries[0]
    what = f"{first.kind} {first.what}" if len(entries) == 1 else f"{len(entries)} {first.kind} resources"
    lines = [f"{entry.what}: {entry.reason}; hides {entry.hides or 'what it declares'}" for entry in entries]
    return Finding(
        "NOT-SEEN",
        Severity.INFO if first.modelled else Severity.WARNING,
        f"{what} could not be had{' and is modelled' if first.modelled else ''}",
        first.what if len(entries) == 1 else first.origin.file,
        Where(first.origin.file, first.origin.line),
        tuple(lines),
        "put the chart into the tree, or allow --fetch" if first.kind == "chart" else "keep a copy in the tree",
    )
