"""What does not change while the platform runs: how pods of each workload start, are probed, pulled, tolerated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from models import scenario as schema
from models.catalog import AppProfile, Apps, Timings
from models.objects import Manifest, dig
from models.platform import Workload
from models.scheduler.podinfo import parse_tolerations
from models.scheduler.taints import Taint, Toleration
from sim.demand import correction_key
from sim.platform.storage import network_source

UNREACHABLE = Taint("node.kubernetes.io/unreachable", "", "NoExecute")

_SLEEP = re.compile(r"(?:^|[\s;&])sleep\s+(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Probe:
    """A probe with the API's defaults filled in, in seconds and counts."""

    initial_delay: float
    period: float
    failures: int
    successes: int

    @classmethod
    def read(cls, probe: Any) -> Probe | None:
        """The probe of a defaulted container, None when it has none."""
        if not isinstance(probe, dict):
            return None
        return cls(
            float(probe.get("initialDelaySeconds") or 0),
            float(probe.get("periodSeconds") or 10),
            int(probe.get("failureThreshold") or 3),
            int(probe.get("successThreshold") or 1),
        )

    def first_success(self, started: float, answers: float) -> float:
        """When a probe that runs from ``started`` has succeeded often enough, with an app that answers from
        ``answers`` on (times from the container's start)."""
        first = started + self.initial_delay
        missed = max(0.0, answers - first)
        rounds = -(-missed // self.period)
        return first + (rounds + self.successes - 1) * self.period

    def gives_up(self, started: float) -> float:
        """When a probe that never succeeds has failed too often."""
        return started + self.initial_delay + (self.failures - 1) * self.period


@dataclass(frozen=True)
class ContainerModel:
    """One container: how long until it answers (s on a core of speed 1), and its probes."""

    name: str
    image: str
    startup_s: float
    always_pull: bool
    readiness: Probe | None
    liveness: Probe | None
    startup: Probe | None

    def plan(self, answers: float) -> tuple[float, float | None]:
        """(when it is ready, when it is killed instead), from its start; it answers ``answers`` after its start."""
        probing = 0.0
        if self.startup is not None:
            probing = self.startup.first_success(0.0, answers)
            limit = self.startup.gives_up(0.0)
            if probing > limit + 1e-9:
                return probing, limit
        ready = self.readiness.first_success(probing, answers) if self.readiness else probing
        if self.liveness is not None and self.liveness.first_success(probing, answers) > (
            limit := self.liveness.gives_up(probing)
        ):
            return ready, limit
        return ready, None


@dataclass(frozen=True, eq=False)
class WorkloadModel:
    """What the kubelet and the controllers need to know about the pods of one workload.

    ``images``: bytes to pull by image; ``grace_s``: termination grace; ``stop_s``: how long its processes take to end;
    ``pre_stop_s``: how long a preStop hook keeps the app serving; ``externals``: systems outside (network storage)
    without which its pods do nothing.
    """

    workload: Workload
    containers: tuple[ContainerModel, ...]
    images: Mapping[str, float]
    grace_s: float
    stop_s: float
    pre_stop_s: float
    tolerations: tuple[Toleration, ...]
    min_ready_s: float
    externals: frozenset[str] = frozenset()
    profile: AppProfile | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        """The workload's id."""
        return self.workload.id

    def toleration_s(self, taint: Taint = UNREACHABLE) -> float | None:
        """How long its pods stay on a node with the taint: 0 when not tolerated, None for ever.

        Source: pkg/controller/tainteviction ``getMinTolerationTime``: the shortest of all that match.
        """
        matching = [item for item in self.tolerations if item.tolerates(taint)]
        if not matching:
            return 0.0
        limits = [self._seconds[item] for item in matching if item in self._seconds]
        return max(0.0, min(limits)) if limits else None

    _seconds: Mapping[Toleration, float] = field(default_factory=dict, repr=False)


def model_workload(
    workload: Workload, pod: Manifest, scenario: schema.Scenario | None, apps: Apps, timings: Timings
) -> WorkloadModel:
    """The model of a workload. ``pod`` is one of its pods as stored (defaults and tolerations filled in).

    Processes are taken to need their whole grace to end. A database's stopDelay is an allowance of half an hour for a
    shutdown that normally takes less than the default grace, which is used for it.
    """
    spec = pod["spec"]
    override = profile_override(workload, scenario)
    profile = apps.for_workload(workload.containers, workload.name)
    if override is not None and override.app and (chosen := apps.by_name(override.app)) is not None:
        profile = chosen
    containers: list[ContainerModel] = []
    images: dict[str, float] = {}
    init = [item for item in spec.get("initContainers") or [] if isinstance(item, dict)]
    for item in spec.get("containers") or []:
        own = apps.for_container(str(item.get("image") or ""), workload.name)
        main = own is profile or len(spec["containers"]) == 1
        chosen_profile = profile if main else own
        startup = override.startup if main and override is not None and override.startup is not None else None
        size = override.image_size if main and override is not None and override.image_size is not None else None
        container = _container(item, chosen_profile.startup_s if startup is None else startup)
        if workload.controller == "Cluster" and container.readiness is None:
            # The operator gives every instance a readiness probe with the default period.
            period = timings.seconds("k8s.probe.period")
            container = replace(container, readiness=Probe(0.0, period, 3, 1))
        containers.append(container)
        images[str(item.get("image") or "")] = chosen_profile.image_mb * 1e6 if size is None else float(size)
    for item in init:
        image = str(item.get("image") or "")
        images.setdefault(image, apps.for_container(image, workload.name).image_mb * 1e6)
    listed = parse_tolerations(spec.get("tolerations"))
    seconds = {
        toleration: float(raw["tolerationSeconds"])
        for toleration, raw in zip(listed, spec.get("tolerations") or [], strict=True)
        if raw.get("tolerationSeconds") is not None
    }
    externals = frozenset(f"nas:{server}" for volume in spec.get("volumes") or [] if (server := network_source(volume)))
    grace = float(spec.get("terminationGracePeriodSeconds", 30))
    return WorkloadModel(
        workload=workload,
        containers=tuple(containers),
        images=images,
        grace_s=grace,
        stop_s=min(grace, timings.seconds("k8s.termination_grace_period"))
        if workload.controller == "Cluster"
        else grace,
        pre_stop_s=min(grace, max((_pre_stop(item) for item in spec.get("containers") or []), default=0.0)),
        tolerations=listed,
        min_ready_s=float(dig(dict(workload.object.manifest), "spec", "minReadySeconds", default=0) or 0),
        externals=externals,
        profile=profile,
        _seconds=seconds,
    )


def profile_override(workload: Workload, scenario: schema.Scenario | None) -> schema.Profile | None:
    """The scenario's own demands for the workload."""
    if scenario is None:
        return None
    return scenario.spec.profiles.get(correction_key(scenario.spec.profiles, workload))


def _container(container: Manifest, startup_s: float) -> ContainerModel:
    return ContainerModel(
        name=str(container.get("name") or ""),
        image=str(container.get("image") or ""),
        startup_s=startup_s,
        always_pull=container.get("imagePullPolicy") == "Always",
        readiness=Probe.read(container.get("readinessProbe")),
        liveness=Probe.read(container.get("livenessProbe")),
        startup=Probe.read(container.get("startupProbe")),
    )


def _pre_stop(container: Manifest) -> float:
    hook = dig(container, "lifecycle", "preStop", default={})
    if (slept := dig(hook, "sleep", "seconds")) is not None:
        return float(slept)
    command = " ".join(str(part) for part in dig(hook, "exec", "command", default=[]))
    found = _SLEEP.search(command)
    return float(found[1]) if found else 0.0
