"""What each workload demands: the catalogue's profile with the scenario's corrections, per pod and per container."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from models.callplan import OperationPlan
from models.catalog import AppProfile, Apps, OperationProfile
from models.errors import InputError, Problem, Where
from models.platform import Platform, Workload
from models.rules.quantity import bytes_of, cpu_millis
from models.scenario import Profile
from models.traffic import Client
from sim.program import Draw, Policy

MIB = 2**20

BACKEND_TIMEOUT_S = 30.0
"""Assumed patience of an app with its database, cache or other service."""


@dataclass(frozen=True)
class ContainerDemand:
    """One container: what it uses at rest (cores, bytes) and the profile that says so."""

    name: str
    profile: AppProfile
    idle_cores: float
    idle_memory_b: float


@dataclass(frozen=True)
class Demand:
    """One workload: the app's profile, its containers, and the scenario's corrections.

    ``main`` is the container that serves requests. ``queue``: connections that may wait per pod (-1: no bound).
    ``cpu_scale`` multiplies every CPU demand. ``plans``: what the scenario says that the app does, by operation; then
    the profile has these operations. ``key``: the scenario's key of the correction.
    ``memory_growth_bps``: bytes that a pod gains per second. ``memory_per_request_b``: bytes that a request in flight
    adds. ``calls``: how the app behaves towards what it calls, as the scenario
    says or as is assumed. ``without_encoder``: what becomes of a transcode when no encoder session is left.
    """

    workload: str
    profile: AppProfile
    containers: tuple[ContainerDemand, ...]
    main: str
    workers: int
    queue: int
    cpu_scale: float
    startup_s: float
    image_b: float
    memory_growth_bps: float
    memory_per_request_b: float
    calls: Policy
    says_how_it_calls: bool
    without_encoder: Literal["software", "refuse"]
    corrected: bool
    plans: Mapping[str, OperationPlan]
    key: str

    @property
    def idle_cores(self) -> float:
        """CPU of a pod at rest, in cores of the reference machine."""
        return sum(container.idle_cores for container in self.containers)

    @property
    def idle_memory_b(self) -> float:
        """Memory of a pod at rest, in bytes."""
        return sum(container.idle_memory_b for container in self.containers)

    def work(self, cpu_ms: float) -> Draw:
        """The CPU work of an operation as a random quantity in core-seconds."""
        return Draw(cpu_ms * self.cpu_scale / 1000.0)


def client_policy(client: Client) -> Policy:
    """How a client of the scenario behaves, for the engines."""
    return Policy(
        timeout=client.timeout,
        retries=client.retries,
        backoff=client.backoff,
        jitter=client.jitter,
        budget=math.inf if client.budget is None else client.budget,
        cancel=client.cancel,
        breaker_failures=client.breaker_failures,
        breaker_open=client.breaker_open,
        hedge=math.inf if client.hedge is None else client.hedge,
    )


def running_containers(pod_spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The containers that run together: the regular ones and the sidecars (init containers that restart always)."""
    sidecars = [c for c in pod_spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    return [*(pod_spec.get("containers") or ()), *sidecars]


def demands(platform: Platform, apps: Apps, corrections: Mapping[str, Profile]) -> dict[str, Demand]:
    """The demand of every workload, by workload id.

    Raises InputError for a correction that names no workload or no profile, or holds a bad quantity.
    """
    problems = [
        Problem(
            Where(field=f"spec.profiles.{key}"),
            f"{key!r} is no workload of this platform",
            "write Kind namespace/name as 'stowplan graph' shows it, for example 'Deployment utils/nextcloud'",
        )
        for key in corrections
        if not any(matches_workload(key, workload) for workload in platform.workloads)
    ]
    found: dict[str, Demand] = {}
    for workload in platform.workloads:
        key = correction_key(corrections, workload)
        try:
            found[workload.id] = _demand(workload, apps, key, corrections[key] if key else None)
        except ValueError as error:
            problems.append(Problem(Where(field=f"spec.profiles.{key}"), str(error), "see 'stowplan catalog apps'"))
            continue
        if found[workload.id].queue >= 0 and not found[workload.id].workers:
            problems.append(
                Problem(
                    Where(field=f"spec.profiles.{key}.queue"),
                    f"nothing ever waits for a worker of {workload.id}: it has no bound of workers",
                    "set workers, too",
                )
            )
    if problems:
        raise InputError(problems)
    return found


def matches_workload(key: str, workload: Workload) -> bool:
    """Whether ``Kind/namespace/name``, ``Kind namespace/name`` or ``namespace/name`` names this workload; * matches."""
    wanted, name = key.replace(" ", "/"), f"{workload.namespace}/{workload.name}"
    return fnmatchcase(f"{workload.controller}/{name}", wanted) or fnmatchcase(name, wanted)


def correction_key(corrections: Mapping[str, Profile], workload: Workload) -> str:
    """The first key that names the workload, "" when none does."""
    return next((key for key in corrections if matches_workload(key, workload)), "")


def _demand(workload: Workload, apps: Apps, key: str, correction: Profile | None) -> Demand:
    running = running_containers(workload.pod_spec)
    profile = apps.for_workload(running, workload.name)
    if correction is not None and correction.app is not None:
        named = apps.by_name(correction.app)
        if named is None:
            raise ValueError(f"{correction.app!r} is not a profile of the app catalogue")
        profile = named
    containers = [_container(container, workload, apps, profile) for container in running]
    main = next((c.name for c in containers if c.profile is profile), containers[0].name if containers else "")
    if correction is not None:
        containers = [_corrected(c, correction) if c.name == main else c for c in containers]
    given = correction or Profile()
    return Demand(
        workload=workload.id,
        profile=_with_plans(profile, given.operations),
        containers=tuple(containers),
        main=main,
        workers=_workers(profile, given),
        queue=-1 if given.queue is None else given.queue,
        cpu_scale=given.cpu_scale,
        startup_s=profile.startup_s if given.startup is None else given.startup,
        image_b=profile.image_mb * 1e6 if given.image_size is None else float(given.image_size),
        memory_growth_bps=_growth(profile, given),
        memory_per_request_b=profile.mem_per_request_mib * MIB
        if given.memory_per_request is None
        else float(given.memory_per_request),
        calls=Policy(timeout=BACKEND_TIMEOUT_S) if given.calls is None else client_policy(given.calls),
        says_how_it_calls=given.calls is not None,
        without_encoder=given.without_encoder or (profile.streams.without_encoder if profile.streams else "software"),
        corrected=correction is not None,
        plans={operation.name: operation for operation in given.operations},
        key=key,
    )


def _with_plans(profile: AppProfile, plans: Sequence[OperationPlan]) -> AppProfile:
    """The profile with the operations of the scenario's plans, as far as a profile can say them."""
    if not plans:
        return profile
    operations = tuple(
        OperationProfile(
            name=plan.name,
            weight=plan.weight,
            cpu_ms=sum(step.cpu.mean * 1000.0 for step in plan.steps if step.cpu is not None),
            request_kb=plan.request.mean / 1000.0 if plan.request is not None else 0.0,
            reply_kb=plan.reply.mean / 1000.0 if plan.reply is not None else 0.0,
        )
        for plan in plans
    )
    return profile.model_copy(update={"operations": operations})


def _growth(profile: AppProfile, given: Profile) -> float:
    """Bytes that a pod gains per second."""
    if given.memory_growth is None:
        return profile.mem_growth_mib_per_h * MIB / 3600.0
    return given.memory_growth


def _workers(profile: AppProfile, given: Profile) -> int:
    """Requests that a pod serves at once, 0 without a bound."""
    if given.workers is None:
        return profile.workers
    return 0 if given.workers == "unlimited" else given.workers


def _container(container: Mapping[str, Any], workload: Workload, apps: Apps, main: AppProfile) -> ContainerDemand:
    own = apps.for_image(str(container.get("image") or ""))
    profile = own or main
    # A pod's unknown second container is taken for a helper, not for a second copy of the app.
    share = 1.0 if own is not None or len(running_containers(workload.pod_spec)) == 1 else 0.5
    return ContainerDemand(
        name=str(container.get("name") or ""),
        profile=profile,
        idle_cores=profile.idle_cpu_m * share / 1000.0,
        idle_memory_b=profile.idle_mem_mib * share * MIB,
    )


def _corrected(container: ContainerDemand, correction: Profile) -> ContainerDemand:
    cores, memory = container.idle_cores, container.idle_memory_b
    if correction.idle_cpu is not None:
        cores = cpu_millis(correction.idle_cpu) / 1000.0
    if correction.memory is not None:
        memory = float(bytes_of(correction.memory))
    return ContainerDemand(container.name, container.profile, cores, memory)
