"""The sections of a report in reading order: declared once for the HTML page and the Markdown text.

First the answer, then what happened, what the platform is, what to do about it, and how far to trust it.
"""

from __future__ import annotations

from dataclasses import dataclass

from reports.document import Report, Table


@dataclass(frozen=True)
class Section:
    """A section: its anchor, heading, group in the navigation, what it shows, and what an empty one says.

    ``tables`` and ``charts`` name what of the report belongs here.
    """

    id: str
    title: str
    group: str
    lead: str
    empty: str = ""
    tables: tuple[str, ...] = ()
    charts: tuple[str, ...] = ()


SECTIONS: tuple[Section, ...] = (
    Section("verdict", "Verdict", "Answer", ""),
    Section(
        "findings",
        "Findings",
        "Answer",
        "What a person should know, worst first: where it is written, the evidence, and the way out.",
        "No rule found anything to report in what was examined.",
        tables=("accepted",),
    ),
    Section(
        "thresholds",
        "Thresholds",
        "Answer",
        "The scenario's thresholds and what was observed. A failed one makes the command exit with 99.",
        "The scenario sets no thresholds.",
    ),
    Section(
        "timeline",
        "Timeline",
        "What happened",
        "The first replication, in seconds after the warm-up: events, and the pods as they move between nodes.",
        "Nothing happened to the platform in the replication that is shown.",
    ),
    Section(
        "routes",
        "Routes",
        "What happened",
        "Availability and latency per route, with confidence intervals over independent replications.",
        "No route carried traffic in this run.",
        tables=("routes", "failures"),
        charts=("availability", "latency", "requests", "unsuccessful"),
    ),
    Section(
        "outages",
        "Outages",
        "What happened",
        "Every time a route could not be served in the first replication, with the chain of causes.",
        "No route was without service in the first replication.",
        tables=("outages",),
    ),
    Section(
        "slowest",
        "Slowest requests",
        "What happened",
        "The slowest requests of every route, and where their time went.",
        "No request was kept as an example.",
        tables=("slowest",),
    ),
    Section(
        "topology",
        "Topology",
        "The platform",
        "What depends on what, from the edge on the left to the data on the right.",
        "There is no dependency graph to draw for this run.",
    ),
    Section(
        "capacity",
        "Capacity",
        "The platform",
        "What each node offers and what each namespace asks for, against simulated use.",
        "No nodes and no namespaces were examined.",
        tables=("nodes", "namespaces"),
        charts=("node-cpu", "node-memory"),
    ),
    Section(
        "stations",
        "Stations",
        "The platform",
        "How busy workers, queues, CPU limits and links were, and how long CFS held pods back.",
        "No station took a request.",
        tables=("stations", "links"),
        charts=("queues", "throttled", "links"),
    ),
    Section(
        "quotas",
        "Quotas",
        "The platform",
        "What is left of each ResourceQuota at rest and at the largest single rollout.",
        "No ResourceQuota governs the namespaces of this platform.",
        tables=("quotas",),
        charts=("quota",),
    ),
    Section(
        "rollouts",
        "Rollouts",
        "The platform",
        "Whether a rolling update of each workload completes.",
        "No rollout was examined.",
        tables=("rollouts",),
    ),
    Section(
        "survival",
        "Losing a node",
        "Planning",
        "Each node dies in turn and does not return within the horizon. How long is each route without service?",
        "Node loss was not examined in this run.",
        tables=("survival",),
    ),
    Section(
        "growth",
        "Growth",
        "Planning",
        "How many times today's load fits before the first objective breaks, and which resource breaks it.",
        "Growth of the load was not examined in this run.",
        tables=("growth",),
    ),
    Section(
        "sizing",
        "Sizing",
        "Planning",
        "What every container asks for, what it was simulated to use, and a right-sized proposal.",
        "No containers were sized in this run.",
        tables=("sizing",),
    ),
    Section(
        "storage",
        "Storage and backup",
        "Planning",
        "Every claim, the node that holds it, and how old the newest copy is in the worst case.",
        "The platform claims no storage.",
        tables=("storage",),
    ),
    Section(
        "pods",
        "Pods",
        "Detail",
        "Where every pod was placed, or the sentence that says why not.",
        "There are no pods in this report.",
        tables=("pods",),
    ),
    Section(
        "missing",
        "Not seen",
        "Trust",
        "What the tree asks for that could not be had, and what that hides at least.",
        "Everything that the tree asks for was read.",
        tables=("missing",),
    ),
    Section(
        "not-covered",
        "Not covered",
        "Trust",
        "What this report says nothing about. Silence here is not health.",
        "Nothing was declared as left out.",
    ),
    Section(
        "statistics",
        "Statistics",
        "Trust",
        "By which rules the numbers were estimated, and how well they are known.",
        "Nothing was estimated.",
        tables=("statistics", "precision"),
    ),
    Section(
        "assumptions",
        "Assumptions",
        "Trust",
        "Figures that were not measured on this platform, and what the verdict does when they are wrong.",
        "No figure was assumed.",
    ),
    Section(
        "reproduce", "Reproduce", "Trust", "The same inputs and the same seed give the same report, byte for byte."
    ),
)
"""In reading order. Every report shows all of them."""

CHARTS: dict[str, str] = {
    "availability": "Reachable over time, first replication",
    "latency": "Latency over time",
    "requests": "Requests per second",
    "unsuccessful": "Requests per second that failed or were turned away",
    "links": "Use of links over time",
    "queues": "Requests waiting for a worker",
    "throttled": "Time in which CFS held pods back",
    "node-cpu": "CPU use per node",
    "node-memory": "Memory use per node",
    "quota": "Quota use over time",
}
"""Titles of the known charts; a chart that is not listed is titled by its own name."""


def other_tables(report: Report) -> tuple[Table, ...]:
    """Tables of the report that no section names: nothing that a run reports is dropped."""
    placed = {name for section in SECTIONS for name in section.tables}
    return tuple(table for table in report.tables if table.name not in placed)


def other_charts(report: Report) -> tuple[str, ...]:
    """Charts of the report that no section names, in the report's order."""
    placed = {name for section in SECTIONS for name in section.charts}
    return tuple(dict.fromkeys(series.chart for series in report.series if series.chart not in placed))
