"""Can the autoscalers do what they are there for?"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from models.catalog import load_apps
from models.findings import Severity
from models.objects import KubeObject, Manifest, dig
from models.operators.make import mapping, maps, whole
from models.platform import Workload
from models.rules.quantity import format_bytes, format_millicores
from sim.checks.check import Check, Defect, subject_of
from sim.checks.look import Look
from sim.checks.patch import container_patch, patch

_MIB = 1 << 20
_MOST_PODS = 500


def hpa_target_missing(look: Look) -> Iterator[Defect]:
    """An autoscaler of something that does not exist."""
    for scaler in look.platform.hpas:
        target = mapping(scaler.spec.get("scaleTargetRef"))
        kind, name = str(target.get("kind")), str(target.get("name"))
        if look.platform.get(kind, scaler.namespace, name) is not None:
            continue
        hidden = look.unseen(scaler.namespace)
        known = [item.name for item in look.platform.by_kind(kind) if item.namespace == scaler.namespace]
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        yield Defect(
            f"{subject_of(scaler)} scales {kind} {name}, which does not exist",
            scaler,
            "spec.scaleTargetRef.name",
            (f"{kind}s of the namespace: {', '.join(known) or 'none'}", *(f"not read: {item}" for item in hidden[:3])),
            f"name {close[0]}" if close else "name a workload that exists, or remove the autoscaler",
            patch(scaler, spec={"scaleTargetRef": {**target, "name": close[0]}}) if close else "",
            severity=Severity.INFO if hidden else None,
        )


def hpa_no_requests(look: Look) -> Iterator[Defect]:
    """An autoscaler by utilisation of pods that do not request the resource: there is nothing to divide by."""
    for scaler, workload in _scaled(look):
        restart = look.restarts.get(workload.id)
        if restart is None:
            continue
        for resource, only in _measured(scaler):
            lacking = [
                (group, str(item.get("name")), item)
                for group in ("containers", "initContainers")
                for item in dig(restart.manifest, "spec", group, default=[])
                if (group == "containers" or item.get("restartPolicy") == "Always")
                and (not only or item.get("name") == only)
                and dig(item, "resources", "requests", resource) is None
            ]
            if not lacking or dig(restart.manifest, "spec", "resources", "requests", resource) is not None:
                continue
            name = dig(restart.manifest, "metadata", "name")
            missing = f"missing request for {resource} in container {lacking[0][1]}"
            changes: list[tuple[str, str, dict[str, Any]]] = [
                (group, container, {"resources": {"requests": {resource: _request(workload, item, resource)}}})
                for group, container, item in lacking
            ]
            yield Defect(
                f"{subject_of(scaler)} never scales: {lacking[0][1]} of {workload.id} requests no {resource}",
                scaler,
                "spec.metrics",
                (
                    f"failed to get {resource} utilization: {missing} of Pod {name}",
                    f"{workload.id} is at {workload.object.origin}",
                ),
                f"request {resource} in every container of the pod, or scale by an average value",
                container_patch(workload, changes),
            )


def hpa_over_quota(look: Look) -> Iterator[Defect]:
    """An autoscaler whose maximum does not fit into the quota: under load the last pods are refused."""
    for scaler, workload in _scaled(look):
        restart = look.restarts.get(workload.id)
        most = whole(scaler.spec.get("maxReplicas"), 0)
        more = min(most - (workload.replicas or 0), _MOST_PODS)
        if restart is None or restart.message or more <= 0 or not look.platform.quotas.get(workload.namespace):
            continue
        ledger = look.ledger.copy()
        for number in range(more):
            pod: Manifest = {
                **restart.manifest,
                "metadata": {**restart.manifest["metadata"], "name": f"{workload.name}-more-{number}"},
            }
            answer = ledger.try_admit(pod)
            if not answer.allowed:
                reached = (workload.replicas or 0) + number
                yield Defect(
                    f"{subject_of(scaler)} may ask for {most} pods, and the quota lets in {reached}",
                    scaler,
                    "spec.maxReplicas",
                    (answer.message,),
                    "raise the quota, or lower maxReplicas",
                    patch(scaler, spec={"maxReplicas": max(1, reached)}),
                )
                break


def _scaled(look: Look) -> Iterator[tuple[KubeObject, Workload]]:
    for scaler in look.platform.hpas:
        target = mapping(scaler.spec.get("scaleTargetRef"))
        workload = look.platform.workload_by_id.get(f"{target.get('kind')} {scaler.namespace}/{target.get('name')}")
        if workload is not None:
            yield scaler, workload


def _measured(scaler: KubeObject) -> Iterator[tuple[str, str]]:
    """(resource, container or "") that the autoscaler divides by requests."""
    metrics = maps(scaler.spec.get("metrics"))
    if not metrics:
        # Neither metrics nor a percentage means 80 % of the requested CPU (autoscaling/v1 and v2 defaults).
        yield "cpu", ""
    for entry in metrics:
        for part in ("resource", "containerResource"):
            source = mapping(entry.get(part))
            if mapping(source.get("target")).get("type") == "Utilization":
                yield str(source.get("name")), str(source.get("container") or "")


def _request(workload: Workload, container: Manifest, resource: str) -> str:
    profile = load_apps().for_container(str(container.get("image") or ""), workload.name)
    limit = dig(container, "resources", "limits", resource)
    if limit is not None:
        return str(limit)
    if resource == "cpu":
        return format_millicores(max(profile.idle_cpu_m, 50))
    return format_bytes(profile.busy_mem_mib * _MIB)


CHECKS = (
    Check("HPA-TARGET-MISSING", Severity.ERROR, "an autoscaler's target does not exist", hpa_target_missing),
    Check(
        "HPA-NO-REQUESTS",
        Severity.ERROR,
        "an autoscaler by utilisation scales pods that do not request the resource",
        hpa_no_requests,
    ),
    Check("HPA-OVER-QUOTA", Severity.WARNING, "an autoscaler's maximum does not fit into the quota", hpa_over_quota),
)
