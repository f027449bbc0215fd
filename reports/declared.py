"""Every table that a report may hold, declared once: name, type (which implies the unit) and meaning of each column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models.sight import Seen
from reports.document import SEEN, Cell, Column, ColumnType, Table


def _columns(*declared: tuple[str, str, ColumnType, str]) -> tuple[Column, ...]:
    return (*(Column(*column) for column in declared), SEEN)


TABLES: dict[str, tuple[str, tuple[Column, ...]]] = {
    "nodes": (
        "Nodes",
        _columns(
            ("node", "Node", "text", "node name"),
            ("machine", "Machine", "text", "machine of the hardware catalogue"),
            ("role", "Role", "text", "server (control plane) or agent"),
            ("pods", "Pods", "integer", "pods placed on the node"),
            ("cpu_allocatable_m", "CPU", "millicores", "allocatable CPU"),
            ("cpu_requests_m", "CPU requests", "millicores", "sum of effective requests of its pods"),
            (
                "cpu_limits_m",
                "CPU limits",
                "millicores",
                "sum of effective limits of its pods that set one; empty: none does",
            ),
            ("cpu_used", "CPU used", "estimate_ratio", "simulated mean use, share of the node"),
            ("cpu_peak", "CPU peak", "ratio", "highest simulated use in any interval of the time series"),
            ("memory_allocatable_b", "Memory", "bytes", "allocatable memory"),
            ("memory_requests_b", "Memory requests", "bytes", "sum of effective requests"),
            (
                "memory_limits_b",
                "Memory limits",
                "bytes",
                "sum of effective limits of its pods that set one; empty: none does",
            ),
            ("memory_peak_b", "Memory peak", "bytes", "highest simulated use; empty: no pod of it is simulated"),
            ("watts", "Power", "number", "mean draw in watts at the simulated use"),
        ),
    ),
    "namespaces": (
        "Namespaces",
        _columns(
            ("namespace", "Namespace", "text", "namespace"),
            ("pods", "Pods", "integer", "pods at rest"),
            ("cpu_requests_m", "CPU requests", "millicores", "sum of effective requests"),
            (
                "cpu_limits_m",
                "CPU limits",
                "millicores",
                "sum of effective limits of pods that set one; empty: none does",
            ),
            ("cpu_used_m", "CPU used", "millicores", "simulated mean use; empty: no pod of it is simulated"),
            ("memory_requests_b", "Memory requests", "bytes", "sum of effective requests"),
            (
                "memory_limits_b",
                "Memory limits",
                "bytes",
                "sum of effective limits of pods that set one; empty: none does",
            ),
            ("memory_peak_b", "Memory peak", "bytes", "highest simulated use; empty: no pod of it is simulated"),
            ("storage_b", "Storage claimed", "bytes", "sum of claims"),
        ),
    ),
    "quotas": (
        "Quota head-room",
        _columns(
            ("namespace", "Namespace", "text", "namespace"),
            ("quota", "Quota", "text", "ResourceQuota"),
            ("key", "Resource", "text", "quota key"),
            ("hard", "Hard", "text", "limit, as Kubernetes prints it"),
            ("used_rest", "At rest", "text", "used when everything runs and nothing changes"),
            ("used_peak", "At peak", "text", "used at the largest single rollout"),
            ("peak_workload", "Largest rollout", "text", "the workload whose rollout makes the peak"),
            ("headroom", "Head-room", "ratio", "share of the limit that is free at peak; negative: it does not fit"),
            ("verdict", "Verdict", "text", "fits, tight, rollout refused or restart refused"),
        ),
    ),
    "routes": (
        "Routes",
        _columns(
            ("route", "Route", "text", "host and path"),
            ("backend", "Backend", "text", "service behind it"),
            ("rate_rps", "Requests/s", "number", "mean arrival rate in the measured time"),
            ("availability", "Availability", "estimate_ratio", "share of requests served or degraded"),
            ("outage_s", "Outage", "estimate_s", "time in which no request could be served, per replication"),
            ("p50_s", "p50", "estimate_s", "median latency of served requests"),
            ("p95_s", "p95", "estimate_s", "95th percentile"),
            ("p99_s", "p99", "estimate_s", "99th percentile"),
            ("served", "Served", "integer", "requests served, all replications"),
            ("degraded", "Degraded", "integer", "served without a soft dependency"),
            ("denied", "Denied", "integer", "403 by an auth middleware"),
            ("rate_limited", "Rate limited", "integer", "429 by a middleware"),
            ("failed", "Failed", "integer", "refused, timed out, reset or no endpoint"),
            ("objective", "Objective", "text", "the route's objectives and whether they held"),
        ),
    ),
    "failures": (
        "Failed requests by cause",
        _columns(
            ("route", "Route", "text", "host and path"),
            ("refused", "Refused", "integer", "a listen queue was full"),
            ("timed_out", "Timed out", "integer", "the client gave up"),
            ("reset", "Connection reset", "integer", "the pod serving it died"),
            ("no_endpoint", "No endpoint", "integer", "no ready pod behind a service"),
            ("edge", "Edge error", "integer", "the home connection or the load balancer address did not answer"),
        ),
    ),
    "survival": (
        "Losing each node in turn",
        _columns(
            ("node", "Lost node", "text", "the node that dies and does not return within the horizon"),
            ("route", "Route", "text", "host and path, or a workload without a route"),
            ("outage_s", "Outage", "seconds", "time without service; empty: until the node returns"),
            ("until_return", "Until return", "boolean", "whether it stays down until the node is back"),
            ("cause", "Cause", "text", "the timer or the pin that decides it"),
            ("pending", "Stays pending", "text", "pods that find no place, with the scheduler's sentence"),
        ),
    ),
    "outages": (
        "Outages in this scenario",
        _columns(
            ("route", "Route", "text", "host and path"),
            ("start_s", "From", "seconds", "seconds after the warm-up, first replication"),
            ("duration_s", "For", "seconds", "length"),
            ("cause", "Cause", "text", "the chain of events and timers behind it"),
        ),
    ),
    "sizing": (
        "Sizing per container",
        _columns(
            ("workload", "Workload", "text", "workload"),
            ("container", "Container", "text", "container"),
            ("replicas", "Replicas", "integer", "pods"),
            ("cpu_request_m", "CPU request", "millicores", "as written; empty: unset"),
            ("cpu_limit_m", "CPU limit", "millicores", "as written; empty: unset"),
            ("cpu_used_m", "CPU mean", "millicores", "simulated mean use per pod"),
            ("cpu_p95_m", "CPU p95", "millicores", "95th percentile of simulated use per interval"),
            (
                "throttled",
                "Throttled",
                "ratio",
                "share of the time in which CFS held it back, worst pod and replication",
            ),
            ("cpu_proposal_m", "Proposed request", "millicores", "right-sized CPU request"),
            ("memory_request_b", "Memory request", "bytes", "as written; empty: unset"),
            ("memory_limit_b", "Memory limit", "bytes", "as written; empty: unset"),
            ("memory_peak_b", "Memory peak", "bytes", "highest simulated use"),
            ("memory_proposal_b", "Proposed memory", "bytes", "right-sized memory request and limit"),
            ("basis", "Basis", "text", "where the demand comes from: measured, published or assumed"),
        ),
    ),
    "slowest": (
        "Slowest requests",
        _columns(
            ("route", "Route", "text", "host and path"),
            ("operation", "Operation", "text", "what was asked for"),
            ("latency_s", "Latency", "seconds", "from arrival to end"),
            ("outcome", "Outcome", "text", "how it ended"),
            ("path", "Where the time went", "text", "exclusive time per pod, largest first, and in its queue"),
            ("queue_s", "Waiting", "seconds", "in listen queues, for a worker"),
            ("cpu_s", "CPU", "seconds", "on workers: CPU work, as long as it takes on an idle node"),
            ("core_s", "No core", "seconds", "runnable, but the cores of the node were shared"),
            ("throttled_s", "Throttled", "seconds", "held back by CFS: the CPU quota of the period was used up"),
            ("disk_s", "Disk", "seconds", "in the queue of a disk, seeking, flushing, reading, writing"),
            ("network_s", "Network", "seconds", "transfers over links, with their round trips"),
            ("other_s", "Other", "seconds", "external services, round trips to other pods, streams"),
            ("outside_s", "Outside", "seconds", "in no pod: round trips and transfers of the client, back-off"),
            ("attempts", "Attempts", "integer", "attempts of the client, retries included"),
            ("at_s", "At", "seconds", "arrival, seconds after the warm-up"),
            ("replication", "Replication", "integer", "in which replication, from 0"),
        ),
    ),
    "stations": (
        "Stations",
        _columns(
            ("workload", "Workload", "text", "workload"),
            ("pods", "Pods", "integer", "pods at rest"),
            ("visits_rps", "Requests/s", "number", "requests that its pods accepted per second"),
            ("refused", "Refused", "integer", "connections refused by a full listen queue, all replications"),
            ("workers", "Workers busy", "ratio", "mean share of its workers; empty: workers are not bounded"),
            ("queue", "Queue", "number", "mean number of requests waiting in its listen queues"),
            ("queue_max", "Longest queue", "integer", "most requests waiting at one pod at one time"),
            ("cpu_m", "CPU", "millicores", "mean use of all its pods"),
            ("cpu_limit", "Of CPU limit", "ratio", "mean share of its CPU limit; empty: no limit"),
            ("throttled", "Throttled", "ratio", "share of the time in which CFS held a pod back"),
            ("throttled_s", "Throttled time", "seconds", "pod-seconds of it per replication"),
            ("periods", "Throttled periods", "number", "periods of 100 ms in which that happened, per replication"),
        ),
    ),
    "links": (
        "Links",
        _columns(
            ("link", "Link", "text", "home line or network card"),
            ("carried_b", "Carried/s", "bytes", "mean bytes per second"),
            ("bandwidth_b", "Bandwidth/s", "bytes", "most bytes per second"),
            ("use", "Use", "ratio", "share of the bandwidth"),
            ("busy", "Busy", "ratio", "share of the time with a transfer or a stream under way"),
        ),
    ),
    "accepted": (
        "Accepted findings",
        _columns(
            ("code", "Code", "text", "code of the finding"),
            ("subject", "Subject", "text", "what it is about"),
            ("title", "Finding", "text", "what it says"),
            ("because", "Accepted because", "text", "the reason in the acceptance file"),
            ("until", "Until", "text", "the last day on which it is accepted; empty: for good"),
        ),
    ),
    "precision": (
        "Precision",
        _columns(
            ("route", "Route", "text", "host and path"),
            ("half_width", "Known to ±", "ratio", "half-width of the interval of its availability; empty: none"),
            ("wanted", "Asked ±", "ratio", "run.precision"),
            ("reached", "Reached", "boolean", "whether the half-width is at most what was asked"),
        ),
    ),
    "statistics": (
        "How the numbers were estimated",
        _columns(
            ("what", "What", "text", "part of the method"),
            ("how", "How", "text", "what was done in this run"),
            ("source", "Source", "text", "where the method comes from"),
        ),
    ),
    "growth": (
        "How much more load fits",
        _columns(
            ("load", "Load", "number", "multiple of today's load"),
            ("objective", "First objective at risk", "text", "the objective with the least slack at that load"),
            ("observed", "Observed", "text", "its value"),
            ("held", "Held", "boolean", "whether all objectives held"),
            ("bottleneck", "Busiest resource", "text", "the resource with the highest utilisation"),
            ("utilisation", "Utilisation", "ratio", "of that resource"),
            (
                "streams_lost",
                "Streams lost",
                "ratio",
                "share of the streams that found no room; no objective judges them; empty: there are none",
            ),
        ),
    ),
    "rollouts": (
        "Rollouts",
        _columns(
            ("workload", "Workload", "text", "workload"),
            ("strategy", "Strategy", "text", "strategy, surge and unavailable after rounding"),
            ("verdict", "Verdict", "text", "completes, or stuck"),
            ("duration_s", "Duration", "seconds", "time until complete"),
            ("reason", "Reason", "text", "the API server's or scheduler's sentence when it is stuck"),
        ),
    ),
    "storage": (
        "Claims",
        _columns(
            ("claim", "Claim", "text", "namespace/name"),
            ("storage_class", "Class", "text", "storage class"),
            ("size_b", "Size", "bytes", "requested"),
            ("node", "Pinned to", "text", "the node that holds the volume, when it is local"),
            ("used_by", "Used by", "text", "workloads that mount it"),
            ("backup", "Backup", "text", "what backs it up"),
            ("rpo_s", "Data at risk", "seconds", "age of the newest copy in the worst case; empty: no copy"),
        ),
    ),
    "pods": (
        "Pods",
        _columns(
            ("pod", "Pod", "text", "namespace/name"),
            ("workload", "Workload", "text", "owner"),
            ("node", "Node", "text", "where it was placed; empty: nowhere"),
            ("qos", "QoS", "text", "QoS class"),
            ("priority", "Priority", "integer", "priority value"),
            ("cpu_request_m", "CPU", "millicores", "effective request"),
            ("memory_request_b", "Memory", "bytes", "effective request"),
            ("state", "State", "text", "placed, pending or refused"),
            ("message", "Message", "text", "the API server's or scheduler's sentence"),
        ),
    ),
    "missing": (
        "Not seen",
        _columns(
            ("kind", "Kind", "text", "chart, remote, plugin, repository or generator"),
            ("what", "What", "text", "what the tree asks for"),
            ("where", "Where", "text", "file and line"),
            ("reason", "Why", "text", "why it could not be had"),
            ("modelled", "Modelled", "boolean", "whether the chart catalogue stands in for it"),
            ("hides", "What it hides", "text", "a lower bound of what is not in this report"),
        ),
    ),
}
"""Every table a report may hold: title and columns. A run leaves out the tables it has nothing for."""


def make_table(
    name: str,
    rows: Sequence[dict[str, Any] | tuple[Cell, ...]],
    seen: Sequence[Seen],
    note: str = "",
    hidden: str = "",
) -> Table:
    """A declared table filled with ``rows``: tuples in column order, or dicts by column name, without ``seen``.

    ``seen``: how the subject of each row is known. ``hidden``: what is in none of the numbers, as a lower bound.
    Raises KeyError for an undeclared table, ValueError for a row that does not have exactly the declared columns or
    when there is not one ``seen`` per row.
    """
    title, columns = TABLES[name]
    names = [column.name for column in columns if column != SEEN]
    if len(seen) != len(rows):
        raise ValueError(f"table {name}: {len(seen)} marks for {len(rows)} rows")
    filled: list[tuple[Cell, ...]] = []
    for row, mark in zip(rows, seen, strict=True):
        if isinstance(row, dict):
            if set(row) != set(names):
                raise ValueError(f"table {name}: {sorted(set(row) ^ set(names))} do not match its columns")
            filled.append((*(row[column] for column in names), mark))
        elif len(row) != len(names):
            raise ValueError(f"table {name}: a row of {len(row)} cells for {len(names)} columns")
        else:
            filled.append((*row, mark))
    return Table(name, title, columns, tuple(filled), note, hidden)
