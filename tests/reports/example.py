"""A realistic report, made by hand: a home platform of three mini PCs, and the evening on which mini-2 dies.

It is the input of the golden tests and the page that the browser tests open. ``large_report`` is the same with 200
pods, for the speed test; ``hostile_report`` carries what a stranger may write into a manifest.
"""
# ruff: noqa: E501 (sentences of Kubernetes and patches are one line each)

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from example_traffic import LINKS, PRECISION, SLOWEST, STATIONS, STATISTICS

from models.errors import Where
from models.findings import Finding, Severity
from models.sight import Seen
from reports.declared import make_table
from reports.document import (
    Assumption,
    Cell,
    Column,
    Estimate,
    Event,
    Lane,
    LaneSegment,
    Report,
    Reproduce,
    Series,
    Table,
    ThresholdResult,
    Topology,
    TopologyEdge,
    TopologyNode,
    Verdict,
)

GI, MI = 2**30, 2**20
DEATH, RETURN, END = 600.0, 2700.0, 3600.0
EVICTED = DEATH + 40 + 300
NODES = ("mini-1", "mini-2", "mini-3")
PIN = "1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }, 2 node(s) had volume node affinity conflict"
NO_ROOM = "1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }, 2 Insufficient memory"

# namespace, name, kind, nodes, CPU request/limit m, memory request/limit Mi, CPU use m, memory peak Mi, start s, pinned
WORKLOADS: tuple[tuple[str, str, str, tuple[str, ...], int, int | None, int, int | None, int, int, int, bool], ...] = (
    ("infra", "traefik", "Deployment", ("mini-1", "mini-3"), 200, 1000, 128, 256, 90, 118, 6, False),
    ("infra", "metallb-controller", "Deployment", ("mini-2",), 50, None, 64, 128, 8, 41, 5, False),
    ("infra", "metallb-speaker", "DaemonSet", NODES, 50, None, 64, 128, 11, 47, 4, True),
    ("infra", "cert-manager", "Deployment", ("mini-2",), 50, 200, 96, 192, 6, 71, 5, False),
    ("infra", "sealed-secrets", "Deployment", ("mini-3",), 25, None, 64, 128, 2, 33, 4, False),
    ("infra", "cloudflared", "Deployment", ("mini-1", "mini-2"), 50, 300, 64, 128, 21, 44, 4, False),
    ("infra", "forward-auth", "Deployment", ("mini-2",), 100, 500, 64, 128, 34, 52, 5, False),
    ("argocd", "argocd-server", "Deployment", ("mini-2",), 100, 500, 256, 512, 28, 231, 22, False),
    ("argocd", "argocd-repo-server", "Deployment", ("mini-3",), 250, 1000, 256, 512, 120, 377, 18, False),
    ("argocd", "argocd-application-controller", "StatefulSet", ("mini-1",), 250, 1000, 512, 1024, 190, 602, 25, False),
    ("htpc", "jellyfin", "Deployment", ("mini-2",), 1000, 4000, 1024, 4096, 940, 2210, 14, True),
    ("htpc", "sonarr", "Deployment", ("mini-2",), 100, 1000, 256, 512, 46, 301, 18, True),
    ("htpc", "radarr", "Deployment", ("mini-2",), 100, 1000, 256, 512, 44, 288, 18, True),
    ("htpc", "prowlarr", "Deployment", ("mini-1",), 50, 500, 192, 384, 15, 190, 15, True),
    ("htpc", "bazarr", "Deployment", ("mini-1",), 50, 500, 192, 384, 19, 211, 15, True),
    ("htpc", "qbittorrent", "Deployment", ("mini-3",), 300, 1500, 512, 1024, 230, 840, 12, True),
    ("htpc", "jellyseerr", "Deployment", ("mini-1",), 100, 500, 256, 512, 35, 240, 14, True),
    ("utils", "nextcloud", "Deployment", ("mini-1", "mini-3"), 500, 2000, 512, 1536, 610, 1105, 28, False),
    ("utils", "nextcloud-redis", "StatefulSet", ("mini-1",), 50, 250, 96, 192, 24, 80, 3, True),
    ("utils", "nextcloud-db", "Cluster", NODES, 500, 2000, 512, 1024, 260, 730, 12, True),
    ("utils", "immich-server", "Deployment", ("mini-3",), 500, 2000, 1024, 2048, 390, 1240, 20, False),
    ("utils", "immich-machine-learning", "Deployment", ("mini-2",), 1000, 3000, 2048, 6144, 480, 3650, 45, False),
    ("utils", "immich-valkey", "Deployment", ("mini-3",), 50, 250, 96, 192, 18, 61, 3, False),
    ("utils", "immich-db", "Cluster", ("mini-2", "mini-3"), 500, 2000, 768, 1536, 210, 990, 12, True),
    ("utils", "tandoor", "Deployment", ("mini-3",), 100, 1000, 256, 512, 60, 330, 16, False),
    ("utils", "tandoor-db", "Cluster", ("mini-2",), 100, 1000, 256, 512, 40, 210, 12, True),
    ("utils", "homepage", "Deployment", ("mini-1",), 50, 200, 96, 192, 14, 102, 8, False),
    ("monitoring", "prometheus", "StatefulSet", ("mini-3",), 300, None, 1024, 2048, 240, 1490, 35, True),
    ("monitoring", "alertmanager", "StatefulSet", ("mini-1",), 25, None, 64, 128, 5, 38, 6, True),
    ("monitoring", "grafana", "Deployment", ("mini-2",), 100, 500, 192, 384, 31, 177, 12, False),
    ("monitoring", "loki", "StatefulSet", ("mini-1",), 200, 1000, 512, 1024, 130, 690, 20, True),
    ("monitoring", "alloy", "DaemonSet", NODES, 100, 400, 192, 384, 70, 205, 8, True),
    ("monitoring", "node-exporter", "DaemonSet", NODES, 25, None, 32, 64, 6, 22, 3, True),
)

# route, backend, rate, p50 ms, p95 ms, p99 ms, outage s, soft
ROUTES: tuple[tuple[str, str, float, float, float, float, float], ...] = (
    ("cloud.example.org/", "utils/nextcloud", 4.2, 92, 310, 640, 0.0),
    ("photos.example.org/", "utils/immich-server", 2.6, 64, 220, 510, 11.4),
    ("watch.example.org/", "htpc/jellyfin", 1.8, 38, 150, 420, 2127.0),
    ("recipes.example.org/", "utils/tandoor", 0.4, 71, 205, 390, 2139.0),
    ("requests.example.org/", "htpc/jellyseerr", 0.3, 55, 160, 300, 0.0),
    ("series.example.org/", "htpc/sonarr", 0.1, 81, 240, 480, 2118.0),
    ("films.example.org/", "htpc/radarr", 0.1, 80, 236, 470, 2118.0),
    ("torrents.example.org/", "htpc/qbittorrent", 0.2, 33, 90, 140, 0.0),
    ("home.example.org/", "utils/homepage", 1.1, 12, 31, 60, 0.0),
    ("grafana.example.org/", "monitoring/grafana", 0.6, 48, 170, 330, 362.0),
    ("argocd.example.org/", "argocd/argocd-server", 0.2, 60, 190, 350, 372.0),
    ("auth.example.org/verify", "infra/forward-auth", 6.9, 4.1, 11, 24, 355.0),
)


def _pod_name(namespace: str, name: str, kind: str, index: int, generation: int = 0) -> str:
    if kind == "StatefulSet":
        return f"{namespace}/{name}-{index}"
    if kind == "Cluster":
        return f"{namespace}/{name}-{index + 1}"
    letters = "bcdfghjklmnpqrstvwxz2456789"
    seed = sum(map(ord, namespace + name)) * 7 + index * 31 + generation * 101
    suffix = "".join(letters[(seed * (step + 3) + step * step) % len(letters)] for step in range(5))
    return f"{namespace}/{name}-{suffix}"


def _lanes() -> tuple[Lane, ...]:
    lanes: list[Lane] = []
    moved = 0
    for namespace, name, kind, nodes, *_, start, pinned in WORKLOADS:
        workload = f"{kind} {namespace}/{name}"
        for index, node in enumerate(nodes):
            pod = _pod_name(namespace, name, kind, index)
            if node != "mini-2":
                lanes.append(Lane(workload, pod, (LaneSegment(0, END, node, "ready"),)))
                continue
            alive = (LaneSegment(0, DEATH, node, "ready"), LaneSegment(DEATH, DEATH + 40, node, "lost"))
            if kind == "DaemonSet":
                back = (
                    LaneSegment(DEATH + 40, RETURN, node, "unready"),
                    LaneSegment(RETURN, RETURN + start, node, "starting"),
                )
                lanes.append(Lane(workload, pod, (*alive, *back, LaneSegment(RETURN + start, END, node, "ready"))))
                continue
            lanes.append(
                Lane(
                    workload,
                    pod,
                    (
                        *alive,
                        LaneSegment(DEATH + 40, EVICTED, node, "unready"),
                        LaneSegment(EVICTED, RETURN + 8, node, "terminating"),
                    ),
                )
            )
            new_pod = _pod_name(namespace, name, kind, index, 1)
            if pinned or name == "immich-machine-learning":
                at = RETURN + 9
                segments = (
                    LaneSegment(EVICTED, at, "", "pending"),
                    LaneSegment(at, at + start, node, "starting"),
                    LaneSegment(at + start, END, node, "ready"),
                )
            else:
                target = ("mini-1", "mini-3")[moved % 2]
                moved += 1
                segments = (
                    LaneSegment(EVICTED, EVICTED + 2, "", "pending"),
                    LaneSegment(EVICTED + 2, EVICTED + 2 + start, target, "starting"),
                    LaneSegment(EVICTED + 2 + start, END, target, "ready"),
                )
            lanes.append(Lane(workload, new_pod, segments))
    return tuple(lanes)


def _estimate(mean: float, half: float, n: int = 20, note: str = "", cap: float = math.inf) -> Estimate:
    return Estimate(mean, max(0.0, mean - half), min(cap, mean + half), n, note)


def _availability(outage: float) -> float:
    return 1 - outage / END * 0.98


HIDDEN = "At least 1 workload of 1 chart is not in these numbers; 1 chart is modelled and may run more."


def _table(name: str, rows: Sequence[dict[str, Any] | tuple[Cell, ...]], note: str = "") -> Table:
    """A declared table in which what Prometheus' chart runs is modelled."""
    heads = [" ".join(map(str, (row.values() if isinstance(row, dict) else row)))[:60] for row in rows]
    marks: list[Seen] = ["modelled" if re.search("monitoring|grafana", text) else "written" for text in heads]
    return make_table(name, rows, marks, note, HIDDEN)


def _routes_table() -> Table:
    rows = []
    for route, backend, rate, p50, p95, p99, outage in ROUTES:
        served = round(rate * END * 20 * _availability(outage))
        failed = round(rate * END * 20) - served
        few = f"p99 from {round(rate * END)} requests per replication" if rate < 0.25 else ""
        held = outage <= 60
        rows.append(
            {
                "route": route,
                "backend": backend,
                "rate_rps": rate,
                "availability": _estimate(_availability(outage), 0.0004 + outage / END * 0.012, cap=1.0),
                "outage_s": _estimate(outage, outage * 0.01),
                "p50_s": _estimate(p50 / 1e3, p50 / 1e3 * 0.03),
                "p95_s": _estimate(p95 / 1e3, p95 / 1e3 * 0.06),
                "p99_s": _estimate(p99 / 1e3, p99 / 1e3 * (0.11 if not few else 0.4), note=few),
                "served": served,
                "degraded": round(served * 0.04) if "photos" in route else 0,
                "denied": round(served * 0.02) if "auth" in route else 0,
                "rate_limited": 0,
                "failed": failed,
                "objective": f"availability ≥ 99%: {'held' if held else 'broken'}" if rate > 0.25 else "",
            }
        )
    return _table("routes", rows, "Rates are those that reach the load balancer; the edge cache answers 22 %.")


def _failures_table() -> Table:
    rows = []
    for route, _, rate, *_, outage in ROUTES:
        lost = round(rate * END * 20 * (1 - _availability(outage)))
        rows.append((route, 0, round(lost * 0.1), min(lost, round(rate * 20 * 2)), round(lost * 0.86), 0))
    return _table("failures", [row for row in rows if any(row[1:])])


def _nodes_table() -> Table:
    machines = {"mini-1": "M920q i5-8500T", "mini-2": "M920q i5-8500T", "mini-3": "N100 mini PC"}
    cpu = {"mini-1": 5800, "mini-2": 5800, "mini-3": 3800}
    memory = {"mini-1": 15 * GI, "mini-2": 31 * GI, "mini-3": 15 * GI}
    use = {"mini-1": (0.31, 0.74), "mini-2": (0.36, 0.81), "mini-3": (0.52, 0.97)}
    rows = []
    for node in NODES:
        here = [row for row in WORKLOADS for placed in row[3] if placed == node]
        rows.append(
            {
                "node": node,
                "machine": machines[node],
                "role": "server" if node == "mini-1" else "agent",
                "pods": len(here),
                "cpu_allocatable_m": cpu[node],
                "cpu_requests_m": sum(row[4] for row in here),
                "cpu_limits_m": sum(row[5] or 0 for row in here),
                "cpu_used": _estimate(use[node][0], 0.018),
                "cpu_peak": use[node][1],
                "memory_allocatable_b": memory[node],
                "memory_requests_b": sum(row[6] for row in here) * MI,
                "memory_limits_b": sum(row[7] or 0 for row in here) * MI,
                "memory_peak_b": sum(row[9] for row in here) * MI,
                "watts": round(9 + 30 * use[node][0], 1),
            }
        )
    return _table("nodes", rows)


def _namespaces_table() -> Table:
    claimed = {"infra": 1, "argocd": 0, "htpc": 640, "utils": 820, "monitoring": 95}
    rows = []
    for namespace, storage in claimed.items():
        here = [row for row in WORKLOADS for _ in row[3] if row[0] == namespace]
        rows.append(
            {
                "namespace": namespace,
                "pods": len(here),
                "cpu_requests_m": sum(row[4] for row in here),
                "cpu_limits_m": sum(row[5] or 0 for row in here),
                "cpu_used_m": sum(row[8] for row in here),
                "memory_requests_b": sum(row[6] for row in here) * MI,
                "memory_limits_b": sum(row[7] or 0 for row in here) * MI,
                "memory_peak_b": sum(row[9] for row in here) * MI,
                "storage_b": storage * GI,
            }
        )
    return _table("namespaces", rows)


def _quotas_table() -> Table:
    rows = [
        (
            "htpc",
            "htpc-quota",
            "requests.cpu",
            "2",
            "1700m",
            "2700m",
            "Deployment htpc/jellyfin",
            -0.35,
            "rollout refused",
        ),
        (
            "htpc",
            "htpc-quota",
            "requests.memory",
            "4Gi",
            "2688Mi",
            "3712Mi",
            "Deployment htpc/jellyfin",
            0.094,
            "tight",
        ),
        ("htpc", "htpc-quota", "requests.storage", "700Gi", "640Gi", "640Gi", "", 0.086, "tight"),
        ("utils", "utils-quota", "requests.cpu", "6", "5", "5500m", "Deployment utils/nextcloud", 0.083, "tight"),
        (
            "utils",
            "utils-quota",
            "limits.memory",
            "32Gi",
            "22Gi",
            "28Gi",
            "Deployment utils/immich-machine-learning",
            0.125,
            "fits",
        ),
        ("utils", "utils-quota", "pods", "30", "16", "18", "Deployment utils/nextcloud", 0.4, "fits"),
        (
            "monitoring",
            "monitoring-quota",
            "requests.memory",
            "4Gi",
            "2464Mi",
            "2656Mi",
            "Deployment monitoring/grafana",
            0.352,
            "fits",
        ),
        ("infra", "infra-quota", "requests.cpu", "2", "925m", "1125m", "Deployment infra/traefik", 0.438, "fits"),
    ]
    return _table("quotas", rows)


def _survival_table() -> Table:
    rows: list[tuple[str, str, float | None, bool, str, str]] = []
    stateless = "node grace 40 s + toleration 300 s + start-up"
    for node in NODES:
        for route, backend, *_ in ROUTES:
            homes = next(row[3] for row in WORKLOADS if f"{row[0]}/{row[1]}" == backend)
            pinned = next(row[11] for row in WORKLOADS if f"{row[0]}/{row[1]}" == backend)
            if node not in homes:
                rows.append((node, route, 0.0, False, "no pod on this node", ""))
            elif len(homes) > 1:
                rows.append((node, route, 41.0, False, "node grace 40 s, then the other replica answers alone", ""))
            elif pinned:
                sentence = f"{backend}: 0/3 nodes are available: {PIN}."
                rows.append((node, route, None, True, "local-path volume pins the pod to the lost node", sentence))
            else:
                rows.append((node, route, 355.0 + len(route) % 17, False, stateless, ""))
    return _table("survival", rows)


def _outages_table() -> Table:
    rows = []
    for route, backend, *_, outage in ROUTES:
        if not outage:
            continue
        if outage > 1000:
            cause = f"mini-2 lost -> {backend} evicted after 340 s -> volume pinned to mini-2 -> pending until the node returned"
        elif outage > 100:
            cause = f"mini-2 lost -> node grace 40 s -> toleration 300 s -> {backend} started elsewhere"
        else:
            cause = "mini-2 lost -> immich-db primary lost -> failover to immich-db-2"
        rows.append((route, DEATH, outage, cause))
    return _table("outages", rows)


def _sizing_table() -> Table:
    rows = []
    for position, row in enumerate(WORKLOADS):
        namespace, name, kind, nodes, request, limit, memory, memory_limit, used, peak = row[:10]
        p95 = round(used * 1.9)
        rows.append(
            {
                "workload": f"{kind} {namespace}/{name}",
                "container": name,
                "replicas": len(nodes),
                "cpu_request_m": request,
                "cpu_limit_m": limit,
                "cpu_used_m": used,
                "cpu_p95_m": p95,
                "throttled": None if limit is None else max(0.0, round(p95 / limit - 0.35, 3)) * 0.4,
                "cpu_proposal_m": max(10, round(p95 / 10) * 10),
                "memory_request_b": memory * MI,
                "memory_limit_b": None if memory_limit is None else memory_limit * MI,
                "memory_peak_b": peak * MI,
                "memory_proposal_b": math.ceil(peak * 1.2 / 32) * 32 * MI,
                "basis": ("measured", "published", "assumed")[position % 3],
            }
        )
    return _table("sizing", rows)


def _traffic_tables() -> list[Table]:
    stopped = "20 of at most 20 replications: ±0.5% for every availability was not reached for 2 of 3 routes"
    return [
        _table("slowest", SLOWEST, "Time counts where the request was deepest."),
        _table("stations", STATIONS),
        _table("links", LINKS),
        _table("precision", PRECISION, stopped),
        _table("statistics", STATISTICS),
    ]


def _growth_table() -> Table:
    rows = [
        (1.0, "p95 of cloud.example.org/", "310 ms of 500 ms", True, "CPU of mini-3", 0.52, 0.0),
        (1.5, "p95 of cloud.example.org/", "365 ms of 500 ms", True, "CPU of mini-3", 0.68, 0.0),
        (2.0, "p95 of cloud.example.org/", "452 ms of 500 ms", True, "CPU of mini-3", 0.83, 0.02),
        (2.4, "p95 of cloud.example.org/", "497 ms of 500 ms", True, "CPU of mini-3", 0.92, 0.05),
        (2.5, "p95 of cloud.example.org/", "561 ms of 500 ms", False, "CPU of mini-3", 0.95, 0.06),
        (3.0, "availability of photos.example.org/", "97.8% of 99%", False, "CPU of mini-3", 1.0, 0.14),
    ]
    return _table("growth", rows, "Every route grows alike; nodes are alive.")


def _rollouts_table() -> Table:
    refused = (
        'pods "jellyfin-7d4b9c" is forbidden: exceeded quota: htpc-quota, requested: requests.cpu=1, '
        "used: requests.cpu=1700m, limited: requests.cpu=2"
    )
    rows = [
        ("Deployment htpc/jellyfin", "RollingUpdate, surge 1, unavailable 0", "stuck", None, refused),
        ("Deployment utils/nextcloud", "RollingUpdate, surge 1, unavailable 0", "completes", 74.0, ""),
        ("Deployment infra/traefik", "RollingUpdate, surge 1, unavailable 0", "completes", 21.5, ""),
        ("Deployment utils/homepage", "RollingUpdate, surge 1, unavailable 0", "completes", 11.2, ""),
    ]
    return _table("rollouts", rows)


def _storage_table() -> Table:
    day = 86400.0
    rows = [
        ("htpc/jellyfin-config", "local-path-htpc", 20 * GI, "mini-2", "Deployment htpc/jellyfin", "", None),
        ("htpc/media", "local-path-htpc", 500 * GI, "mini-2", "Deployment htpc/jellyfin, sonarr, radarr", "", None),
        ("htpc/qbittorrent-downloads", "local-path-htpc", 120 * GI, "mini-3", "Deployment htpc/qbittorrent", "", None),
        (
            "utils/nextcloud-data",
            "local-path-utils",
            300 * GI,
            "mini-1",
            "Deployment utils/nextcloud",
            "CronJob utils/nextcloud-files",
            day,
        ),
        (
            "utils/nextcloud-db-1",
            "local-path-utils",
            20 * GI,
            "mini-1",
            "Cluster utils/nextcloud-db",
            "ScheduledBackup utils/nextcloud-db",
            3600.0,
        ),
        (
            "utils/immich-library",
            "local-path-utils",
            400 * GI,
            "mini-3",
            "Deployment utils/immich-server",
            "CronJob utils/immich-rsync",
            2 * day,
        ),
        (
            "utils/immich-db-1",
            "local-path-utils",
            20 * GI,
            "mini-2",
            "Cluster utils/immich-db",
            "ScheduledBackup utils/immich-db",
            day,
        ),
        (
            "utils/tandoor-db-1",
            "local-path-utils",
            5 * GI,
            "mini-2",
            "Cluster utils/tandoor-db",
            "CronJob utils/tandoor-dump",
            day,
        ),
        (
            "monitoring/prometheus-0",
            "local-path-monitoring",
            50 * GI,
            "mini-3",
            "StatefulSet monitoring/prometheus",
            "",
            None,
        ),
        ("monitoring/loki-0", "local-path-monitoring", 40 * GI, "mini-1", "StatefulSet monitoring/loki", "", None),
    ]
    return _table("storage", rows)


def _pods_table() -> Table:
    rows = []
    for row in WORKLOADS:
        namespace, name, kind, nodes, request, _limit, memory = row[:7]
        priority = {"infra": 1_000_000, "utils": 100_000}.get(namespace, 0)
        for index, node in enumerate(nodes):
            pod = _pod_name(namespace, name, kind, index)
            rows.append(
                (pod, f"{kind} {namespace}/{name}", node, "Burstable", priority, request, memory * MI, "placed", "")
            )
    sentence = "0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."
    rows.append(
        (
            "utils/immich-video-transcoder-x8k2p",
            "Deployment utils/immich-video-transcoder",
            None,
            "Guaranteed",
            0,
            4000,
            32 * GI,
            "pending",
            sentence,
        )
    )
    return _table("pods", rows)


def _missing_table() -> Table:
    base = "overlays/production"
    rows = [
        (
            "chart",
            "kube-prometheus-stack 65.1.1",
            f"{base}/kustomization.yaml:14",
            "not in the tree, not in the cache",
            True,
            "rules and dashboards",
        ),
        (
            "chart",
            "jaeger 3.3.1",
            f"{base}/kustomization.yaml:22",
            "not in the tree, not in the catalogue",
            False,
            "at least one Deployment",
        ),
        (
            "remote",
            "https://github.com/metallb/metallb/config/native?ref=v0.14.8",
            "base/infra/kustomization.yaml:6",
            "no network without --fetch",
            False,
            "MetalLB's own RBAC",
        ),
    ]
    return make_table("missing", rows, ["modelled" if row[4] else "missing" for row in rows])


def _findings() -> tuple[Finding, ...]:
    found = (
        Finding(
            "STORAGE-PIN",
            Severity.ERROR,
            "A local-path volume pins jellyfin to mini-2: it stays down until that node returns.",
            "Deployment htpc/jellyfin",
            Where("scenarios/homelab/base/htpc/jellyfin/pvc.yaml", 12, "spec.storageClassName"),
            (
                "claim htpc/media is bound to a volume with nodeAffinity kubernetes.io/hostname In [mini-2]",
                "mini-2 died at 10 min and returned at 45 min; watch.example.org was down for 35 min 27 s",
                f"0/3 nodes are available: {PIN}.",
            ),
            "Put the media on storage that more than one node can reach (NFS, Longhorn), or accept the outage.",
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata:\n  name: media\n  namespace: htpc\nspec:\n  storageClassName: nfs-media\n  accessModes: [ReadWriteMany]\n",
            "htpc",
        ),
        Finding(
            "QUOTA-ROLLOUT",
            Severity.ERROR,
            "A rollout of jellyfin never finishes: its surge pod does not fit into htpc-quota.",
            "Deployment htpc/jellyfin",
            Where("scenarios/homelab/base/htpc/quota.yaml", 8, "spec.hard['requests.cpu']"),
            (
                "at rest 1700m of 2 are used; the surge pod asks for 1",
                "exceeded quota: htpc-quota, requested: requests.cpu=1, used: requests.cpu=1700m, limited: requests.cpu=2",
            ),
            "Raise requests.cpu of htpc-quota to 3, or roll jellyfin out with maxSurge 0.",
            'apiVersion: v1\nkind: ResourceQuota\nmetadata:\n  name: htpc-quota\n  namespace: htpc\nspec:\n  hard:\n    requests.cpu: "3"\n',
            "htpc",
        ),
        Finding(
            "BACKUP-NONE",
            Severity.ERROR,
            "Nothing backs up htpc/media: when the disk of mini-2 fails, 500Gi are gone.",
            "PersistentVolumeClaim htpc/media",
            Where("scenarios/homelab/base/htpc/jellyfin/pvc.yaml", 1),
            ("no CronJob, ScheduledBackup or VolumeSnapshot mentions the claim",),
            "Add a backup, or declare the claim as expendable in the scenario.",
            "",
            "htpc",
        ),
        Finding(
            "REPLICA-SINGLE",
            Severity.WARNING,
            "forward-auth has one replica: while it moves, every protected route answers 500 for about six minutes.",
            "Deployment infra/forward-auth",
            Where("scenarios/homelab/base/infra/forward-auth/deployment.yaml", 9, "spec.replicas"),
            ("7 routes are guarded by it", "node grace 40 s + toleration 300 s + start-up 5 s"),
            "Run two replicas with anti-affinity.",
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: forward-auth\n  namespace: infra\nspec:\n  replicas: 2\n",
            "infra",
        ),
        Finding(
            "MEMORY-TIGHT",
            Severity.WARNING,
            "immich-machine-learning finds no other node: with mini-2 gone its 2Gi request does not fit.",
            "Deployment utils/immich-machine-learning",
            Where("scenarios/homelab/base/utils/immich/ml.yaml", 31, "spec.template.spec.containers[0].resources"),
            (f"0/3 nodes are available: {NO_ROOM}.", "free memory: mini-1 1.4Gi, mini-3 0.9Gi"),
            "Lower the request to the simulated peak, or add memory to mini-3.",
            "",
            "utils",
        ),
        Finding(
            "CPU-THROTTLED",
            Severity.WARNING,
            "jellyfin is throttled in 4 % of its CFS periods at the evening peak.",
            "Deployment htpc/jellyfin",
            Where("scenarios/homelab/base/htpc/jellyfin/deployment.yaml", 44, "resources.limits.cpu"),
            ("limit 4000m, 95th percentile of use 1786m, bursts of three transcodes",),
            "Use the hardware encoder (device plugin) or raise the limit.",
            "",
            "htpc",
        ),
        Finding(
            "LIMIT-UNSET",
            Severity.INFO,
            "prometheus sets no CPU limit: it may use the whole node.",
            "StatefulSet monitoring/prometheus",
            Where("scenarios/homelab/base/monitoring/prometheus.yaml", 27),
            ("simulated peak 456m of 3800m",),
            "",
            "",
            "monitoring",
        ),
        Finding(
            "PROBE-SLOW",
            Severity.INFO,
            "tandoor's readiness probe waits 30 s before the first try: every restart costs that much.",
            "Deployment utils/tandoor",
            Where("scenarios/homelab/base/utils/tandoor/deployment.yaml", 52, "readinessProbe.initialDelaySeconds"),
            ("start-up was simulated as 16 s",),
            "Use a startupProbe and no initial delay.",
            "",
            "utils",
        ),
    )
    return tuple(sorted(found, key=lambda finding: finding.sort_key))


def _timeline() -> tuple[Event, ...]:
    return (
        Event(DEATH, "node-crash", "Node mini-2", "The node stops: power supply.", "fault mini-2-dies", "error"),
        Event(
            DEATH + 11.4,
            "failover",
            "Cluster utils/immich-db",
            "immich-db-2 is the new primary.",
            "CNPG failover delay 0 s + promotion",
            "warning",
        ),
        Event(
            DEATH + 40,
            "node-not-ready",
            "Node mini-2",
            "The node controller sets Ready to Unknown and taints the node.",
            "node-monitor-grace-period 40 s",
            "warning",
        ),
        Event(
            DEATH + 41,
            "endpoints-removed",
            "17 pods",
            "The pods of mini-2 leave their services.",
            "node not ready",
            "warning",
        ),
        Event(
            EVICTED,
            "evicted",
            "14 pods",
            "Taint-based eviction: replacements are created.",
            "tolerationSeconds 300",
            "warning",
        ),
        Event(
            EVICTED + 2,
            "unschedulable",
            "Pod htpc/jellyfin",
            f"0/3 nodes are available: {PIN}.",
            "local-path volume",
            "error",
        ),
        Event(
            EVICTED + 2,
            "unschedulable",
            "Pod utils/immich-machine-learning",
            f"0/3 nodes are available: {NO_ROOM}.",
            "memory",
            "error",
        ),
        Event(EVICTED + 7, "ready", "Pod infra/forward-auth", "Ready on mini-1.", "start-up 5 s"),
        Event(EVICTED + 14, "ready", "Pod monitoring/grafana", "Ready on mini-3.", "start-up 12 s"),
        Event(EVICTED + 24, "ready", "Pod argocd/argocd-server", "Ready on mini-3.", "start-up 22 s"),
        Event(RETURN, "node-return", "Node mini-2", "The node is back and reports Ready.", "fault ends after 35 min"),
        Event(RETURN + 8, "terminated", "14 pods", "The kubelet ends the pods that were evicted.", "node returned"),
        Event(RETURN + 27, "ready", "Pod htpc/jellyfin", "Ready on mini-2.", "volume reachable again"),
    )


def _wave(x: float, base: float, swing: float, phase: float) -> float:
    return base + swing * math.sin(x / 530 + phase) + swing * 0.35 * math.sin(x / 97 + phase * 3)


def _series() -> tuple[Series, ...]:
    x = tuple(float(t) for t in range(0, int(END) + 1, 30))
    curves: list[Series] = []
    for position, (route, _, _, _, p95, _, outage) in enumerate(ROUTES):
        up = [0.0 if DEATH <= t < DEATH + outage else 1.0 for t in x]
        low = tuple(max(0.0, value - 0.004) for value in up)
        curves.append(Series("availability", route, "ratio", x, tuple(up), low, tuple(up)))
        if position < 6:
            latency = [
                None if not ok else _wave(t, p95, p95 * 0.12, position) / 1e3 for ok, t in zip(up, x, strict=True)
            ]
            curves.append(
                Series(
                    "latency",
                    f"{route} p95",
                    "s",
                    x,
                    tuple(latency),
                    tuple(None if value is None else value * 0.93 for value in latency),
                    tuple(
                        None if value is None else value * (1.05 + 0.1 * (t > DEATH))
                        for value, t in zip(latency, x, strict=True)
                    ),
                )
            )
    total = sum(row[2] for row in ROUTES)
    down = [sum(row[2] for row in ROUTES if DEATH <= t < DEATH + row[6]) for t in x]
    arriving = [_wave(t, total, 1.4, 0.4) for t in x]
    curves.append(Series("requests", "served", "req/s", x, tuple(a - d for a, d in zip(arriving, down, strict=True))))
    curves.append(Series("requests", "failed", "req/s", x, tuple(down)))
    for position, node in enumerate(NODES):
        dead = [node == "mini-2" and DEATH <= t < RETURN for t in x]
        extra = [0.14 if node != "mini-2" and DEATH + 340 < t < RETURN else 0.0 for t in x]
        cpu = [
            0.0 if gone else min(1.0, _wave(t, 0.33 + 0.1 * position, 0.09, position) + more)
            for t, gone, more in zip(x, dead, extra, strict=True)
        ]
        curves.append(
            Series(
                "node-cpu",
                node,
                "ratio",
                x,
                tuple(cpu),
                tuple(max(0, v - 0.02) for v in cpu),
                tuple(min(1, v + 0.02) if v else 0.0 for v in cpu),
            )
        )
        memory = [
            0.0 if gone else (5.2 + 2.1 * position + t / 3600 * 0.6 + more * 8) * GI
            for t, gone, more in zip(x, dead, extra, strict=True)
        ]
        curves.append(Series("node-memory", node, "B", x, tuple(memory)))
    for namespace, key, rest, peak in (
        ("htpc", "requests.cpu", 0.85, 1.0),
        ("utils", "requests.cpu", 0.83, 0.92),
        ("monitoring", "requests.memory", 0.6, 0.65),
    ):
        used = tuple(peak if EVICTED <= t < RETURN else rest for t in x)
        curves.append(Series("quota", f"{namespace} {key}", "ratio", x, used))
    return tuple(curves)


def _topology() -> Topology:
    nodes = [
        TopologyNode("edge", "Cloudflare", "edge", 0),
        TopologyNode("uplink", "home uplink", "edge", 0),
        TopologyNode("lb", "192.168.1.240", "load balancer", 1, "infra"),
        TopologyNode("traefik", "traefik", "ingress", 2, "infra"),
        TopologyNode("auth", "forward-auth", "middleware", 3, "infra", "risk"),
    ]
    edges = [
        TopologyEdge("edge", "uplink", "routes-to"),
        TopologyEdge("uplink", "lb", "routes-to"),
        TopologyEdge("lb", "traefik", "routes-to"),
        TopologyEdge("traefik", "auth", "guarded-by"),
    ]
    for route, backend, *_, outage in ROUTES[:-1]:
        namespace, name = backend.split("/")
        status = "down" if outage > 1000 else "risk" if outage > 100 else "ok"
        nodes.append(TopologyNode(f"route {route}", route, "route", 3, namespace, status))
        nodes.append(TopologyNode(f"workload {backend}", name, "Deployment", 4, namespace, status))
        edges.append(TopologyEdge("traefik", f"route {route}", "routes-to"))
        edges.append(TopologyEdge(f"route {route}", f"workload {backend}", "selects"))
    data = (
        ("utils/nextcloud-db", "Cluster", "workload utils/nextcloud", "queries", "hard", "ok"),
        ("utils/nextcloud-redis", "cache", "workload utils/nextcloud", "caches-in", "soft", "ok"),
        ("utils/nextcloud-data", "claim", "workload utils/nextcloud", "mounts", "hard", "ok"),
        ("utils/immich-db", "Cluster", "workload utils/immich-server", "queries", "hard", "risk"),
        ("utils/immich-valkey", "cache", "workload utils/immich-server", "caches-in", "hard", "ok"),
        ("utils/immich-machine-learning", "Deployment", "workload utils/immich-server", "calls", "soft", "down"),
        ("utils/tandoor-db", "Cluster", "workload utils/tandoor", "queries", "hard", "down"),
        ("htpc/media", "claim", "workload htpc/jellyfin", "mounts", "hard", "down"),
        ("monitoring/prometheus", "StatefulSet", "workload monitoring/grafana", "queries", "soft", "ok"),
        ("monitoring/loki", "StatefulSet", "workload monitoring/grafana", "queries", "soft", "ok"),
    )
    for key, kind, source, edge, strength, status in data:
        namespace, name = key.split("/")
        nodes.append(TopologyNode(key, name, kind, 5, namespace, status))
        edges.append(TopologyEdge(source, key, edge, strength))
    edges += [
        TopologyEdge("workload htpc/sonarr", "htpc/media", "mounts"),
        TopologyEdge("workload htpc/radarr", "htpc/media", "mounts"),
        TopologyEdge("workload htpc/jellyseerr", "workload htpc/sonarr", "calls", "soft"),
        TopologyEdge("workload htpc/jellyseerr", "workload htpc/radarr", "calls", "soft"),
        TopologyEdge("route watch.example.org/", "workload htpc/jellyfin", "init", "startup"),
    ]
    return Topology(tuple(nodes), tuple(edges))


def example_report() -> Report:
    """The evening on which mini-2 dies."""
    return Report(
        name="node-loss",
        title="The evening mini-2 dies",
        description="Node mini-2 loses its power supply at the evening peak and returns after 35 minutes.",
        verdict=Verdict(
            "fail",
            "The platform survives the loss of mini-2, but four routes stay down until the node returns.",
            (
                "watch, recipes, series and films are without service for 35 minutes: local-path volumes pin their pods to mini-2.",
                "Single replicas elsewhere (forward-auth, grafana, argocd) are away for about six minutes: 40 s grace and 300 s toleration.",
                "The next rollout of jellyfin never finishes: htpc-quota has 300m of CPU left and the surge pod asks for 1.",
                "Today's load fits 2.4 times; the CPU of mini-3 breaks the first objective.",
            ),
        ),
        thresholds=(
            ThresholdResult("http_req_failed{route:cloud}", "rate < 0.01", 0.0, True),
            ThresholdResult("http_req_duration{route:cloud}", "p(95) < 0.5", 0.31, True),
            ThresholdResult("availability{route:watch}", "value >= 0.99", 0.421, False),
            ThresholdResult("quota_headroom", "min >= 0.05", -0.35, False),
            ThresholdResult("pods_pending", "max == 0", 7, False),
            ThresholdResult("cert_days_left", "min > 14", None, False),
        ),
        findings=_findings(),
        tables=(
            _nodes_table(),
            _namespaces_table(),
            _quotas_table(),
            _routes_table(),
            _failures_table(),
            _survival_table(),
            _outages_table(),
            _sizing_table(),
            _growth_table(),
            *_traffic_tables(),
            _rollouts_table(),
            _storage_table(),
            _pods_table(),
            _missing_table(),
        ),
        timeline=_timeline(),
        lanes=_lanes(),
        series=_series(),
        topology=_topology(),
        assumptions=(
            Assumption(
                "app.jellyfin.cpu_per_transcode",
                "1.4 reference cores",
                "assumed",
                "assumed",
                "At twice the value mini-2 is saturated from 20:30 and watch.example.org breaks its latency objective.",
            ),
            Assumption(
                "app.immich.ml_memory",
                "3.6Gi",
                "immich documentation, hardware requirements",
                "published",
                "No change within ±30 %.",
            ),
            Assumption("k8s.node_monitor_grace_period", "40 s", "kube-controller-manager reference", "published", ""),
            Assumption(
                "machine.n100.speed_single",
                "0.96",
                "PassMark single / 2000",
                "measured",
                "At -15 % load fits 2.1 times instead of 2.4.",
            ),
            Assumption("network.uplink", "40 Mbit/s", "scenario", "measured", ""),
        ),
        not_covered=(
            "Jaeger: its chart could not be had and is not in the catalogue; traces cost nothing in this run.",
            "Disk wear and disk failure: volumes are lost only with their node.",
            "NetworkPolicies with ipBlock rules are listed but not enforced in the simulation.",
        ),
        reproduce=Reproduce(
            "stowplan run scenarios/node-loss.yaml --seed 42",
            "0.1.0",
            "9b74c9897bac770ffc029102a200c5de7a1c3b0f2f6d4a7c8e5b1d2f3a4c5e6f",
            "3f79bb7b435b05321651daefd374cdc681dc06faa65e374e38337b88ca046dea",
            42,
            20,
        ),
    )


def large_report() -> Report:
    """The example with 200 pods and twelve curves of 300 points in every chart that has curves."""
    report = example_report()
    lanes = tuple(
        Lane(lane.workload, f"{lane.pod}-{copy}", lane.segments) for copy in range(4) for lane in report.lanes
    )[:200]
    pods = report.table("pods")
    assert pods is not None
    many = replace(pods, rows=tuple((f"{row[0]}-{copy}", *row[1:]) for copy in range(5) for row in pods.rows)[:200])
    x = tuple(float(t) * 12 for t in range(300))
    curves = tuple(
        Series(chart, f"curve {n}", unit, x, y := tuple(_wave(t, 0.5, 0.2, n) for t in x), y, y)
        for chart, unit in (("availability", "ratio"), ("latency", "s"), ("node-cpu", "ratio"), ("quota", "ratio"))
        for n in range(12)
    )
    tables = tuple(many if table.name == "pods" else table for table in report.tables)
    return replace(report, lanes=lanes, series=curves, tables=tables)


EVIL = '<script>alert("x")</script><img src=x onerror=alert(1)>'


def hostile_report() -> Report:
    """A small report in which every text is an attack: markup, quotes, terminal escapes, formulas, markdown."""
    evil = (
        EVIL
        + "'\"`|*_[a](javascript:alert(1)) </style></title>--> =cmd|' /C calc'!A0 \x1b[31m\x00 ${{x}} {{ 7*7 }} @here"
    )
    column = Column(evil, evil, "text", evil)
    return Report(
        name=evil,
        title=evil,
        description=evil,
        verdict=Verdict("warn", evil, (evil,)),
        thresholds=(ThresholdResult(evil, evil, 1.0, False),),
        findings=(
            Finding(evil, Severity.ERROR, evil, evil, Where(evil, 3, evil), (evil,), evil, evil + "\n```\n~~~~", evil),
        ),
        tables=(
            Table("../../" + evil, evil, (column,), ((evil,),), evil),
            make_table("outages", [(evil, 1.0, 2.0, evil)], ["modelled"], evil, evil),
            make_table("survival", [(evil, evil, 1.0, False, evil, evil)], ["missing"]),
        ),
        timeline=(Event(1.0, evil, evil, evil, evil, "error"),),
        lanes=(
            Lane(evil, evil, (LaneSegment(0, 5, evil, "ready"), LaneSegment(5, 9, evil, "lost"))),
            Lane(evil, evil + "2", (LaneSegment(6, 9, "other", "ready"),)),
        ),
        series=(Series(evil, evil, evil, (0.0, 1.0), (1.0, 2.0)),),
        topology=Topology(
            (TopologyNode(evil, evil, evil, 0, evil, "down"), TopologyNode("b", "b", "b", 1)),
            (TopologyEdge(evil, "b", evil),),
        ),
        assumptions=(Assumption(evil, evil, evil, evil, evil),),
        not_covered=(evil,),
        reproduce=Reproduce(evil, evil, evil, evil, 1, 1),
    )


def empty_report() -> Report:
    """A report of a run that had nothing to say but its verdict."""
    return Report("empty", "Nothing at all", "", Verdict("pass", "Everything fits."))
