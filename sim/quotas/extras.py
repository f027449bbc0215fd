"""What happens on top of rest, as the pods that it adds: rollouts, autoscalers, a node's loss, jobs.

Each is a list of possible additions; which of them make the worst moment of a quota key is decided key by key in
:mod:`sim.quotas.peaks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from models.cluster import Cluster
from models.objects import Manifest, dig
from models.operators.make import whole
from models.platform import Workload
from models.rules.cron import CronSchedule
from models.rules.daemonset import daemon_limits, tolerates
from models.rules.jobs import cron_runs, schedule_of
from models.rules.rollout import max_surge, strategy_of
from sim.placement import UNREACHABLE, PlacedPod, Placement
from sim.platform.jobs import DAY_ZERO
from sim.platform.workloads import first_ordinal, make_pod
from sim.rollouts.start import NEXT_REVISION

WEEK, MONTH, YEAR = timedelta(days=7), timedelta(days=31), timedelta(days=366)
"""How far schedules are laid out, from 1 January 2024 (a Monday, in a leap year): a week, or as far as a day of the
month or a month that some schedule of the namespace names."""

_REPLACED_AT_ONCE = ("Deployment", "ReplicaSet", "Job")
"""Controllers that make a new pod while the old one is Terminating; the others wait until it is gone."""


@dataclass(frozen=True)
class Extra:
    """``count`` pods like ``pod`` of one workload, on top of what is there."""

    workload: str
    pod: Manifest
    count: int


@dataclass(frozen=True)
class Run:
    """One run of a CronJob: its pods are charged from ``begin`` until ``end``."""

    begin: datetime
    end: datetime
    extra: Extra


def surges(placement: Placement, namespace: str, *, at_maximum: bool = False) -> list[Extra]:
    """The surge pods of each workload's rollout; with ``at_maximum`` of autoscaled ones at their largest size."""
    largest = maxima(placement, namespace) if at_maximum else {}
    found = []
    for workload in _in(placement, namespace):
        count, node = 0, ""
        if workload.controller == "Deployment":
            replicas = max(workload.replicas or 0, largest.get(workload.id, 0))
            count = max_surge(strategy_of(workload.object.manifest), replicas) if replicas else 0
        elif workload.controller == "DaemonSet":
            nodes = [str(pod.node) for pod in placement.by_workload.get(workload.id, ()) if pod.node is not None]
            count = daemon_limits(dict(workload.object.manifest), len(nodes))[0]
            node = nodes[0] if nodes else ""
        if count:
            found.append(Extra(workload.id, _pod(placement, workload, NEXT_REVISION, node), count))
    return found


def maxima(placement: Placement, namespace: str) -> dict[str, int]:
    """The largest number of replicas that an autoscaler may set, by workload."""
    found = {}
    for item in placement.platform.hpas:
        target = f"{item.get('spec', 'scaleTargetRef', 'kind')} {item.namespace}/"
        name = f"{target}{item.get('spec', 'scaleTargetRef', 'name')}"
        workload = placement.platform.workload_by_id.get(name)
        if item.namespace == namespace and workload is not None and workload.replicas:
            found[name] = max(workload.replicas, whole(item.spec.get("maxReplicas"), workload.replicas))
    return found


def scaled_out(placement: Placement, namespace: str) -> list[Extra]:
    """The pods that all autoscalers of the namespace add at their maximum."""
    found = []
    for name, most in maxima(placement, namespace).items():
        workload = placement.platform.workload_by_id[name]
        more = most - (workload.replicas or 0)
        if more:
            found.append(Extra(name, _pod(placement, workload, 1), more))
    return found


def survivable(cluster: Cluster) -> list[str]:
    """The nodes after whose loss something recovers: others are left, and the control plane keeps its quorum."""
    servers = {node.name for node in cluster.servers}
    quorum = len(servers) // 2 + 1
    left = {node.name: len(servers - {node.name}) for node in cluster.nodes}
    return [name for name, count in left.items() if len(cluster.nodes) > 1 and count >= quorum]


def replaced(placement: Placement, namespace: str, node: str) -> list[Extra]:
    """The pods made anew when a node is lost, while those that they replace are still charged.

    Pods on an unreachable node are Terminating, and charged, until their grace has passed or the node returns.
    """
    kinds = {item.id: item.controller for item in placement.workloads}
    return [
        Extra(pod.workload, pod.manifest, 1)
        for pod in placement.on_node(node)
        if pod.namespace == namespace and kinds[pod.workload] in _REPLACED_AT_ONCE and _evicted(pod)
    ]


def _evicted(pod: PlacedPod) -> bool:
    """Whether the taint of an unreachable node removes the pod in the end."""
    return not any(
        tolerates(item, UNREACHABLE) and item.get("tolerationSeconds") is None
        for item in dig(pod.manifest, "spec", "tolerations", default=[])
    )


def one_off_jobs(placement: Placement, namespace: str) -> list[Extra]:
    """The pods of all Jobs that the tree writes, which start when it is applied."""
    return [
        Extra(item.id, _pod(placement, item, 1), item.replicas)
        for item in _in(placement, namespace)
        if item.controller == "Job" and item.replicas
    ]


def cron_schedule(placement: Placement, namespace: str, job_s: float) -> list[Run]:
    """All runs of the namespace's CronJobs in the window. ``job_s``: how long a run lasts, at most its deadline.

    A replaced run stays charged until its grace has ended. Schedules that cannot be read have no runs.
    """
    schedules = []
    for item in _in(placement, namespace):
        with suppress(ValueError):
            if item.controller == "CronJob" and item.replicas and item.object.get("spec", "suspend") is not True:
                schedules.append((item, schedule_of(dict(item.object.manifest))))
    window = max((_window(schedule) for _, schedule in schedules), default=WEEK)
    return [run for item, schedule in schedules for run in _runs(placement, item, schedule, job_s, window)]


def _window(schedule: CronSchedule) -> timedelta:
    if len(schedule.month) < 12:
        return YEAR
    return WEEK if schedule.dom_star else MONTH


def _runs(
    placement: Placement, workload: Workload, schedule: CronSchedule, job_s: float, window: timedelta
) -> Iterator[Run]:
    manifest = dict(workload.object.manifest)
    deadline = dig(manifest, "spec", "jobTemplate", "spec", "activeDeadlineSeconds")
    length = job_s if deadline is None else min(job_s, float(deadline))
    policy = dig(manifest, "spec", "concurrencyPolicy", default="Allow")
    completions = dig(manifest, "spec", "jobTemplate", "spec", "completions")
    replicas = workload.replicas or 0
    count = replicas if completions is None else min(replicas, int(completions))
    pod = _pod(placement, workload, 1)
    grace = timedelta(seconds=float(dig(pod, "spec", "terminationGracePeriodSeconds", default=30)))
    start = DAY_ZERO - timedelta(seconds=1)
    for begin, end in cron_runs(schedule, length, start, start + window, policy):
        cut = policy == "Replace" and end - begin < timedelta(seconds=length)
        yield Run(begin, end + grace if cut else end, Extra(workload.id, pod, count))


def active_at_changes(runs: Iterable[Run]) -> Iterator[list[Run]]:
    """The runs that are active after each begin; one that ends as another begins is over."""
    ordered = sorted(runs, key=lambda run: (run.begin, run.extra.workload))
    active: list[Run] = []
    for position, run in enumerate(ordered):
        active = [item for item in active if item.end > run.begin]
        active.append(run)
        if position + 1 == len(ordered) or ordered[position + 1].begin > run.begin:
            yield active


def _in(placement: Placement, namespace: str) -> list[Workload]:
    return [item for item in placement.workloads if item.namespace == namespace]


def _pod(placement: Placement, workload: Workload, revision: int, node: str = "") -> Manifest:
    number = 1_000_000 if workload.controller != "StatefulSet" else first_ordinal(workload) + (workload.replicas or 0)
    return placement.gate.prepare(make_pod(workload, number, revision, node)).manifest
