"""``place``: where every pod goes at rest, what waits, what each node loss leaves, and which drains are blocked."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from models.catalog import load_timings
from models.cluster import Cluster, build_cluster
from models.errors import InputError, Problem, Where
from models.findings import Finding
from models.graph.build import build_graph
from models.platform import read_platform
from models.rules.quantity import format_bytes, format_millicores
from models.scenario import Cluster as ClusterSpec
from models.scenario_file import Changes, load_scenario
from models.shapes import check_shapes
from models.sight import LEGEND, MARKS, Sight, least
from reports.commands.inspect import make_table, missing_row, parse_nodes
from reports.commands.reading import read_paths, read_trees
from sim.checks import absent_classes
from sim.distribution import with_storage_classes
from sim.drains import DrainAnswer, drain_node
from sim.placement import Placement, lose_node, place_platform
from sim.standing import Standing


def place_tree(
    paths: Sequence[Path],
    scenario: Path | None,
    nodes: Sequence[str],
    seed: int,
    as_json: bool,
    *,
    fetch: bool = False,
    root: Path | None = None,
) -> None:
    """Place a tree on hardware; print head-room, what waits, what each node loss leaves, and each drain."""
    if scenario is None and not (paths and nodes):
        raise InputError(
            Problem(Where(), "no hardware", "name a tree and --nodes 3xm920q:server, or a --scenario that has both")
        )
    timings = load_timings()
    loaded = None
    if scenario is not None:
        loaded = load_scenario(scenario, Changes(trees=paths))
        spec = loaded.scenario.spec.cluster
        timings = timings.with_overrides(spec.timers)
        if nodes:
            spec = spec.model_copy(update={"nodes": parse_nodes(nodes)})
    else:
        spec = ClusterSpec(nodes=parse_nodes(nodes))
    cluster = build_cluster(spec, timings=timings)
    rendered = (
        read_paths(paths, fetch=fetch, root=root) if loaded is None else read_trees(loaded, fetch=fetch, root=root)
    )
    platform = read_platform(with_storage_classes(rendered, spec.distribution))
    problems = check_shapes(platform)
    if problems:
        raise InputError(problems)
    placement = place_platform(platform, cluster, seed=seed, timings=timings)
    answer = _placement_answer(placement, cluster)
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
    else:
        _print_placement(answer)


def _placement_answer(placement: Placement, cluster: Cluster) -> dict[str, Any]:
    sight = Sight(placement.platform)
    on_node = {
        node.name: least(
            sight.workloads.get(pod.workload, "derived") for pod in placement.pods if pod.node == node.name
        )
        for node in cluster.nodes
    }
    losses = [lose_node(placement, node.name) for node in cluster.nodes]
    return {
        "schema": "stowplan/placement/v1",
        "nodes": [{**asdict(room), "seen": on_node[room.node]} for room in placement.node_rooms()],
        "namespaces": [
            {**asdict(use), "seen": sight.namespaces.get(use.namespace, "written")}
            for use in placement.namespace_uses()
        ],
        "quotas": [asdict(use) for use in placement.quota_uses()],
        "pods": [
            {
                "pod": pod.key,
                "workload": pod.workload,
                "seen": sight.workloads.get(pod.workload, "derived"),
                "node": pod.node,
                "state": pod.state,
                "message": pod.message,
                "qos": pod.qos,
                "priority": pod.priority,
                "cpu_request_m": pod.cpu_request_m,
                "memory_request_b": pod.memory_request_b,
                "pins": [pin.says(pod.workload) for pin in pod.pins],
            }
            for pod in placement.pods
        ],
        "absent": [{"what": item.title, "way_out": item.way_out} for item in _absent(placement, cluster)],
        "losses": [
            {
                "node": loss.node,
                "moved": [{"pod": pod, "node": node} for pod, node in loss.moved],
                "pending": [
                    {
                        "pod": item.pod,
                        "message": item.message,
                        "pins": [pin.says(item.workload) for pin in item.pins],
                    }
                    for item in loss.unplaced
                ],
            }
            for loss in losses
        ],
        "drains": [_drain_row(drain_node(placement, node.name)) for node in cluster.nodes],
        "missing": [missing_row(entry) for entry in placement.platform.rendered.missing],
        "hidden": str(sight.hidden),
    }


def _absent(placement: Placement, cluster: Cluster) -> list[Finding]:
    """The classes that pods wait for and that are not there."""
    if not placement.waiting:
        return []
    return absent_classes(Standing(placement.platform, build_graph(placement.platform), cluster, placement))


def _drain_row(drain: DrainAnswer) -> dict[str, Any]:
    return {
        "node": drain.node,
        "ends": drain.ends,
        "flags": list(drain.flags),
        "moved": [{"pod": pod, "node": node} for pod, node in drain.moved],
        "blocked": [{**asdict(item), "budgets": list(item.budgets)} for item in drain.blocked],
        "pending": [
            {"pod": item.pod, "message": item.message, "pins": [pin.says(item.workload) for pin in item.pins]}
            for item in drain.pending
        ],
        "gone": list(drain.gone),
        "needs": [asdict(item) for item in drain.needs],
    }


def _print_placement(answer: dict[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    _print_nodes(answer["nodes"], console)
    _print_namespaces(answer["namespaces"], console)
    marks = {row["seen"] for table in ("nodes", "namespaces", "pods") for row in answer[table]}
    for line in (*(f"{mark} {LEGEND[seen]}" for seen, mark in MARKS.items() if seen in marks), answer["hidden"]):
        if line:
            console.print(line, markup=False)
    waiting = [pod for pod in answer["pods"] if pod["state"] != "placed"]
    console.print(f"{len(answer['pods']) - len(waiting)} pods placed, {len(waiting)} not", markup=False)
    for pod in waiting:
        name = f"{pod['pod']} {MARKS.get(pod['seen'], '')}".strip()
        console.print(f"  {pod['state']}: {name}: {pod['message']}", markup=False)
    for item in answer["absent"]:
        console.print(f"  {item['what']}\n    way out: {item['way_out']}", markup=False)
    for loss in answer["losses"]:
        console.print(
            f"\nlosing {loss['node']}: {len(loss['moved'])} pods move, {len(loss['pending'])} find no place",
            markup=False,
        )
        for item in loss["pending"]:
            console.print(f"  {_why(item)}", markup=False)
    for drain in answer["drains"]:
        _print_drain(drain, console)
    if answer["missing"]:
        console.print(f"\n{len(answer['missing'])} things of this tree could not be had:", markup=False)
        for entry in answer["missing"]:
            console.print(f"  {entry['kind']} {entry['what']} ({entry['file']}:{entry['line']})", markup=False)


def _print_nodes(rows: Sequence[dict[str, Any]], console: Console) -> None:
    table = make_table("Nodes", "node", "pods", "CPU requested", "of", "", "memory requested", "of", "")
    for row in rows:
        cpu, memory = row["cpu_requests_m"], row["memory_requests_b"]
        table.add_row(
            f"{row['node']} {MARKS.get(row['seen'], '')}".strip(),
            str(row["pods"]),
            format_millicores(cpu),
            format_millicores(row["cpu_allocatable_m"]),
            _share(cpu, row["cpu_allocatable_m"]),
            _gib(memory),
            _gib(row["memory_allocatable_b"]),
            _share(memory, row["memory_allocatable_b"]),
        )
    console.print(table)


def _print_namespaces(rows: Sequence[dict[str, Any]], console: Console) -> None:
    heads = ("namespace", "pods", "CPU requests", "CPU limits", "memory requests", "memory limits")
    table = make_table("Namespaces", *heads)
    for row in rows:
        table.add_row(
            f"{row['namespace']} {MARKS.get(row['seen'], '')}".strip(),
            str(row["pods"]),
            format_millicores(row["cpu_requests_m"]),
            _stated(row["cpu_limits_m"], format_millicores),
            format_bytes(row["memory_requests_b"]),
            _stated(row["memory_limits_b"], format_bytes),
        )
    console.print(table)


def _print_drain(drain: dict[str, Any], console: Console) -> None:
    """One drain: its verdict, then what blocks it, what stays pending, and what kubectl asks for first."""
    parts = [f"{_pods(drain['moved'])} move", f"{len(drain['pending'])} find no place"]
    if not drain["ends"]:
        parts.insert(0, f"never ends: {_pods(drain['blocked'])} cannot be evicted")
    lines = [f"blocked: {item['pod']}: {item['message']} {item['cause']}".rstrip() for item in drain["blocked"]]
    lines += [f"pending: {_why(item)}" for item in drain["pending"]]
    lines += [f"gone: {pod}: nothing makes it again" for pod in drain["gone"]]
    for flag in drain["flags"]:
        pods = [item["pod"] for item in drain["needs"] if item["flag"] == flag]
        lines.append(f"kubectl begins only with {flag}, for {', '.join(pods)}")
    console.print(f"\ndraining {drain['node']}: {', '.join(parts)}", markup=False)
    for line in lines:
        console.print(f"  {line}", markup=False)


def _why(item: dict[str, Any]) -> str:
    return f"{item['pod']}: {'; '.join(item['pins']) or item['message']}"


def _pods(items: Sequence[Any]) -> str:
    return "1 pod" if len(items) == 1 else f"{len(items)} pods"


def _stated(amount: int | None, show: Callable[[int], str]) -> str:
    """An amount, or a dash where nobody stated one."""
    return "-" if amount is None else show(amount)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
