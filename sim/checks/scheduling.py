"""Would every pod find a node again?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from models.findings import Severity
from models.operators.make import mapping, maps
from models.platform import Workload
from models.rules.quantity import format_bytes, format_millicores
from models.scheduler import schedule_pod
from models.scheduler.taints import first_untolerated
from sim.checks.check import Check, Defect
from sim.checks.look import Look, pod_field
from sim.checks.patch import pod_patch
from sim.checks.storage import storage_of

_SELECTING = "nodeSelector or required node affinity"


def selector_unmatched(look: Look) -> Iterator[Defect]:
    """A node selector or a required node affinity that no node satisfies."""
    for item in look.candidates:
        if item.matching:
            continue
        workload = item.workload
        selector = mapping(workload.pod_spec.get("nodeSelector"))
        affinity = mapping(mapping(workload.pod_spec.get("affinity")).get("nodeAffinity"))
        text = ", ".join(f"{key}={value}" for key, value in selector.items()) or str(
            affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
        )
        daemon = workload.controller == "DaemonSet"
        yield Defect(
            f"{workload.id} runs on no node: none has what its {_SELECTING} asks for"
            if daemon
            else f"A pod of {workload.id} finds no node: none has what its {_SELECTING} asks for",
            workload.object,
            f"{pod_field(workload)}.{'nodeSelector' if selector else 'affinity.nodeAffinity'}",
            (f"asked for: {text}", *_labels(look, selector)),
            "give a node that label, or ask for one that a node has",
            pod_patch(workload, {"nodeSelector": None}) if selector and not affinity else "",
            severity=Severity.INFO if daemon else None,
        )


def taint_untolerated(look: Look) -> Iterator[Defect]:
    """Taints without toleration on every node that the pod may use."""
    for item in look.candidates:
        workload = item.workload
        if not item.matching or item.tolerated or workload.controller == "DaemonSet":
            continue
        taints = {node.name: first_untolerated(node.taints, item.spec.tolerations) for node in item.matching}
        known = [taint for taint in dict.fromkeys(taints.values()) if taint is not None]
        added = [
            {"key": taint.key, "operator": "Equal", "value": taint.value, "effect": taint.effect}
            if taint.value
            else {"key": taint.key, "operator": "Exists", "effect": taint.effect}
            for taint in known
        ]
        yield Defect(
            f"A pod of {workload.id} finds no node: it tolerates the taints of none",
            workload.object,
            f"{pod_field(workload)}.tolerations",
            tuple(
                f"node {name} has the taint {taint.key}={taint.value}:{taint.effect}"
                if taint
                else f"node {name} is cordoned"
                for name, taint in taints.items()
            ),
            "tolerate the taint, or take it from a node",
            pod_patch(workload, {"tolerations": [*maps(workload.pod_spec.get("tolerations")), *added]})
            if added
            else "",
        )


def request_too_large(look: Look) -> Iterator[Defect]:
    """Requests above what the largest node has, or of a resource that no node has."""
    for item in look.candidates:
        workload = item.workload
        nodes = item.tolerated
        if not nodes:
            continue
        over = item.too_large
        if not over:
            continue
        lines = tuple(
            f"{name}: requested {_said(name, amount)}, the largest node has {_said(name, most)} to give"
            if most
            else f"{name}: requested {_said(name, amount)}, no node has any"
            for name, amount, most in over
        )
        yield Defect(
            f"A pod of {workload.id} fits on no node, however empty it is",
            workload.object,
            f"{pod_field(workload)}.containers",
            lines,
            "lower the request, or add a node that has that much",
        )


def pod_pending(look: Look) -> Iterator[Defect]:
    """A pod for which the nodes have no place left (or no volume) with everything else running."""
    told = {item.workload.id for item in look.candidates if not item.tolerated or item.too_large}
    for workload in look.placement.workloads:
        if workload.id in told:
            continue
        pending = [pod for pod in look.pods_of(workload) if pod.state == "pending"]
        message = pending[0].message if pending else _job_message(look, workload)
        if message and not _volume_told(look, workload, message):
            what = f"{len(pending)} of {len(look.pods_of(workload))} pods of {workload.id} find no node"
            yield Defect(
                what if pending else f"The next run of {workload.id} finds no node",
                workload.object,
                pod_field(workload),
                (message,),
                "add room, lower requests, or relax what ties the pod to nodes",
            )


def _volume_told(look: Look, workload: Workload, message: str) -> bool:
    """Whether the pod waits for a claim that does not exist, or for one whose class does not: both are told as such."""
    if 'persistentvolumeclaim "' in message and "not found" in message:
        return True
    absent = any(not storage_of(look, claim).known for claim, _ in look.mounted(workload))
    return absent and "unbound immediate PersistentVolumeClaims" in message


def _job_message(look: Look, workload: Workload) -> str:
    restart = look.restarts.get(workload.id)
    if workload.controller not in ("Job", "CronJob") or restart is None or restart.message:
        return ""
    return schedule_pod(restart.manifest, look.placement.snapshot).message


def _labels(look: Look, selector: Mapping[str, Any]) -> Iterator[str]:
    """Which of the labels that are asked for the nodes have, with their values."""
    for key in selector:
        values = {
            str(mapping(node.manifest["metadata"].get("labels")).get(key)) for node in look.standing.cluster.nodes
        } - {"None"}
        yield f"{key} on the nodes: {', '.join(sorted(values)) or 'none has it'}"


def _said(resource: str, amount: int) -> str:
    if resource == "cpu":
        return format_millicores(amount)
    return format_bytes(amount) if resource in ("memory", "ephemeral-storage") else str(amount)


CHECKS = (
    Check(
        "NODE-SELECTOR-UNMATCHED",
        Severity.ERROR,
        "a node selector or required node affinity that no node satisfies",
        selector_unmatched,
        needs_hardware=True,
    ),
    Check(
        "TAINT-UNTOLERATED",
        Severity.ERROR,
        "every node that the pod may use has a taint that it does not tolerate",
        taint_untolerated,
        needs_hardware=True,
    ),
    Check(
        "REQUEST-TOO-LARGE",
        Severity.ERROR,
        "a pod requests more than the largest node has",
        request_too_large,
        needs_hardware=True,
    ),
    Check(
        "POD-PENDING",
        Severity.ERROR,
        "a pod finds no node while everything else runs",
        pod_pending,
        needs_hardware=True,
    ),
)
