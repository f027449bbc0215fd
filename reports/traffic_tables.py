"""Tables on the requests of a run: the slowest ones, the stations they passed, and how the numbers were estimated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from models.sight import Seen, Sight
from reports.declared import make_table
from reports.document import Cell, Table
from reports.formats import duration, ratio
from sim.findings import Evidence
from sim.precision import precisions
from sim.slowest import SlowRequest, StationTime, slowest_requests
from sim.station_use import link_uses, station_uses
from sim.statistics import samples_needed
from sim.warm_up import PILOTS, WarmUp

LITTLE = 0.005
LAW = "Law, Simulation Modeling and Analysis, 5th ed."


def slowest_table(evidence: Evidence, seen: Mapping[str, Seen]) -> Table:
    """The slowest requests of every route over all replications, with the time that each pod took of them."""
    owners = {pod.key: pod.workload.partition(" ")[2] for pod in evidence.study.placement.pods}
    found = slowest_requests(evidence.study, evidence.results)
    rows: list[tuple[Cell, ...]] = [
        (
            item.route,
            item.operation.partition(f"{item.route} ")[2] or item.operation,
            item.latency_s,
            item.outcome.label,
            path_of(item, owners),
            item.queue_s,
            *vars(item.work).values(),
            item.outside_s,
            item.attempts,
            item.at_s,
            item.replication,
        )
        for item in found
    ]
    note = (
        "Time counts where the request was deepest. Only the 24 longest visits of a request are kept, and none that "
        "outlived it; what is not kept counts for its caller."
    )
    return make_table("slowest", rows, [seen.get(item.route, "written") for item in found], note)


def path_of(item: SlowRequest, owners: Mapping[str, str]) -> str:
    """Where the time of a request went: stations with the longest first, then what was outside.

    Those with less than ``LITTLE`` of the latency are taken together.
    """
    parts = []
    long = [one for one in item.stations if one.queue_s + one.work.total >= LITTLE * item.latency_s]
    for station in sorted(long, key=lambda one: -(one.queue_s + one.work.total)):
        times = f" ×{station.visits}" if station.visits > 1 else ""
        parts.append(f"{owners.get(station.pod, station.pod)}{times} {_spent(station)}")
    rest = sum(one.queue_s + one.work.total for one in item.stations if one not in long)
    if rest:
        others = len(item.stations) - len(long)
        parts.append(f"{others} other{'s' if others > 1 else ''} {duration(rest)}")
    return ", ".join([*parts, f"outside {duration(item.outside_s)}"])


PART_WORDS = {
    "core_s": "waiting for a core",
    "throttled_s": "throttled",
    "disk_s": "disk",
    "network_s": "network",
}


def _spent(station: StationTime) -> str:
    """The time at a station, with what was not plain work and more than a tenth of it."""
    whole = station.work.total
    found = [(getattr(station.work, name), words) for name, words in PART_WORDS.items()]
    words = [f"{duration(value)} {word}" for value, word in sorted(found, reverse=True) if value > whole / 10]
    queued = [f"and {duration(station.queue_s)} in its queue"] if station.queue_s > 0 else []
    notes = ", ".join([*words, *queued])
    return f"{duration(whole)} ({notes})" if notes else duration(whole)


def stations_table(evidence: Evidence, sight: Sight) -> Table:
    """Workers, queues, CPU and throttling of every workload that took requests."""
    rows = station_uses(evidence.study, evidence.results)
    marks: list[Seen] = [sight.workloads.get(row.workload, "derived") for row in rows]
    return make_table("stations", [{**vars(row), "queue": round(row.queue, 4)} for row in rows], marks)


def links_table(evidence: Evidence) -> Table:
    """What the home line and the network cards carried."""
    rows = link_uses(evidence.study, evidence.results)
    return make_table("links", [vars(row) for row in rows], ["written"] * len(rows))


def precision_table(evidence: Evidence, seen: Mapping[str, Seen]) -> Table:
    """Every route against the asked precision; empty when none was asked."""
    found = precisions(evidence.study, evidence.results.replications)
    wanted = evidence.study.scenario.spec.run.precision
    rows: list[tuple[Cell, ...]] = [(item.route, item.half_width, wanted, item.reached) for item in found]
    return make_table("precision", rows, [seen.get(item.route, "written") for item in found], _stopped(evidence))


def _stopped(evidence: Evidence) -> str:
    """How many replications ran of how many allowed, and why no more."""
    run, done = evidence.study.scenario.spec.run, len(evidence.results.replications)
    count = f"{done} of at most {run.replications} replications"
    found = precisions(evidence.study, evidence.results.replications)
    if run.precision is None:
        return f"{count}: no precision was asked for"
    missed = sum(not item.reached for item in found)
    asked = f"±{ratio(run.precision)} for every availability"
    if not missed:
        return f"{count}: {asked} was reached"
    return f"{count}: {asked} was not reached for {missed} of {len(found)} routes"


def statistics_table(evidence: Evidence) -> Table:
    """The rules by which the numbers of this report were made."""
    run = evidence.study.scenario.spec.run
    level = ratio(run.confidence)
    rows: list[tuple[Cell, ...]] = [
        ("Replications", f"{_stopped(evidence)}; each with its own random streams", f"{LAW}, 9.4.1"),
        *warm_up_rows(evidence.warm_up),
        ("Means and outages", f"Student's interval over replications, {level}", f"{LAW}, eq. 4.12"),
        (
            "Shares of requests",
            f"Student's interval over replications, {level}; when no request failed, the share that so many exclude",
            "Hanley and Lippman-Hand, JAMA 249, 1983; Wilson 1927 where replications agree on another share",
        ),
        (
            "Percentiles of latency",
            f"Student's interval over replications where each has enough requests ({_needed()}), else order statistics",
            "David and Nagaraja, Order Statistics, 3rd ed., 7.1",
        ),
    ]
    return make_table("statistics", rows, ["written"] * len(rows))


def _needed() -> str:
    return ", ".join(f"p{percentile}: {samples_needed(percentile / 100)}" for percentile in (50, 95, 99))


def warm_up_rows(checked: WarmUp) -> Iterable[tuple[str, str, str]]:
    """The rule of the warm-up, and what the check of it said."""
    rule = (
        f"{duration(checked.length_s)} from a platform without requests are simulated and not measured (run.warmUp); "
        "streams are under way from the begin"
    )
    yield ("Warm-up", rule, "the scenario")
    if checked.steady:
        words = "; ".join(
            f"{one.series} steady after {duration(one.after_s)}"
            + (f", later than the warm-up (p = {one.bias:.1g})" if one.early else "")
            for one in checked.steady
        )
        how = f"{PILOTS} undisturbed pilots of {duration(checked.watched_s)}: {words}"
    else:
        how = "too few requests, or too short a run, to tell when the platform is steady"
    yield ("Warm-up, checked", how, "MSER-5: White, Cobb and Spratt 2000; bias: Schruben, Singh and Tierney 1983")
