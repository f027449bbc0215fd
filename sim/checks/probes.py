"""Can the probes pass?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from models.catalog import load_apps
from models.findings import Severity
from models.operators.make import mapping, maps, whole
from sim.checks.check import Check, Defect
from sim.checks.look import Look, Slot
from sim.checks.patch import container_patch
from sim.checks.services import speaks_of

KINDS: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_HANDLERS: Final = ("httpGet", "tcpSocket", "grpc", "exec")


@dataclass(frozen=True)
class _Probe:
    """A probe with the defaults of pkg/apis/core/v1/defaults.go: every 10 s, 1 s timeout, 3 failures."""

    slot: Slot
    kind: str
    spec: dict[str, Any]

    @property
    def field(self) -> str:
        return f"{self.slot.field}.{self.kind}"

    @property
    def handler(self) -> str:
        return next((name for name in _HANDLERS if name in self.spec), "")

    @property
    def port(self) -> Any:
        """The port as written, None for exec."""
        return mapping(self.spec.get(self.handler)).get("port")

    @property
    def delay_s(self) -> int:
        return whole(self.spec.get("initialDelaySeconds"), 0)

    @property
    def period_s(self) -> int:
        return whole(self.spec.get("periodSeconds"), 10) or 10

    @property
    def timeout_s(self) -> int:
        return whole(self.spec.get("timeoutSeconds"), 1) or 1

    @property
    def failures(self) -> int:
        return whole(self.spec.get("failureThreshold"), 3) or 3

    @property
    def patience_s(self) -> int:
        """Seconds after the container's start until the last failure that is forgiven."""
        return self.delay_s + self.period_s * (self.failures - 1)


def probe_port_name(look: Look) -> Iterator[Defect]:
    """A probe on a port name that its container does not declare: it fails always."""
    for probe in _probes(look):
        names = {str(entry["name"]) for entry in maps(probe.slot.manifest.get("ports")) if entry.get("name")}
        port = probe.port
        if not isinstance(port, str) or port.isdigit() or port in names:
            continue
        chosen = _only_port(probe.slot)
        yield Defect(
            f"The {_word(probe)} probe of {probe.slot.name} in {probe.slot.workload.id} fails always: "
            f"no port is called {port}",
            probe.slot.workload.object,
            f"{probe.field}.{probe.handler}.port",
            (f"names of its ports: {', '.join(sorted(names)) or 'none'}", _effect(probe)),
            f"name {chosen}" if chosen else "name a port that the container declares, or use its number",
            _port_patch(probe, chosen) if chosen else "",
        )


def probe_port_closed(look: Look) -> Iterator[Defect]:
    """A probe on a number that no container of the pod declares and that no setting speaks of."""
    for workload in look.written:
        slots = [slot for slot in look.slots(workload) if slot.runs_along]
        declared = {
            whole(entry.get("containerPort"), 0)
            for slot in slots
            for entry in maps(slot.manifest.get("ports"))
            if str(entry.get("protocol") or "TCP") == "TCP"
        }
        probes = [probe for slot in slots for probe in _of(slot)]
        numbers = {int(probe.port) for probe in probes if str(probe.port).isdigit()}
        if not declared or workload.pod_spec.get("hostNetwork") is True:
            continue
        for probe in probes:
            number = int(probe.port) if str(probe.port).isdigit() else None
            if number is None or number in declared or mapping(probe.spec.get(probe.handler)).get("host"):
                continue
            # Health ports are often left undeclared: only a pod with one port, or one other probe on a declared port,
            # makes the odd one out.
            if len(declared) > 1 and not numbers & declared:
                continue
            if speaks_of(look, (workload,), number):
                continue
            chosen = _only_port(probe.slot)
            yield Defect(
                f"The {_word(probe)} probe of {probe.slot.name} in {workload.id} asks port {number}, "
                "which the pod does not declare",
                workload.object,
                f"{probe.field}.{probe.handler}.port",
                (
                    f"declared: {', '.join(str(port) for port in sorted(declared))}; no setting says {number}",
                    _effect(probe),
                ),
                f"ask {chosen}" if chosen else "ask a port that the container listens on",
                _port_patch(probe, chosen) if chosen else "",
            )


def probe_kills_start(look: Look) -> Iterator[Defect]:
    """A liveness or startup probe that gives up before the app is known to be up: it is killed and starts again."""
    apps = load_apps()
    for probe in _probes(look):
        start = mapping(probe.slot.manifest.get("startupProbe"))
        if probe.kind == "readinessProbe" or (probe.kind == "livenessProbe" and start):
            continue
        profile = apps.for_image(str(probe.slot.manifest.get("image") or ""))
        if profile is None or profile.startup_s <= probe.patience_s + probe.timeout_s:
            continue
        failures = math.ceil(2 * profile.startup_s / 10)
        handler = {name: probe.spec[name] for name in _HANDLERS if name in probe.spec}
        yield Defect(
            f"The {_word(probe)} probe of {probe.slot.name} in {probe.slot.workload.id} kills it after "
            f"{probe.patience_s} s, before it is up",
            probe.slot.workload.object,
            probe.field,
            (
                _numbers(probe),
                f"{profile.name} takes about {profile.startup_s:g} s to start ({profile.confidence}; app catalogue)",
            ),
            "add a startup probe that waits long enough" if probe.kind == "livenessProbe" else "let it wait longer",
            container_patch(
                probe.slot.workload,
                [
                    (
                        probe.slot.group,
                        probe.slot.name,
                        {"startupProbe": {**handler, "periodSeconds": 10, "failureThreshold": failures}},
                    )
                ],
            ),
        )


def probe_timeout(look: Look) -> Iterator[Defect]:
    """A probe that may take longer than its period: failures are noticed later than the numbers say."""
    for probe in _probes(look):
        if probe.timeout_s > probe.period_s:
            yield Defect(
                f"The {_word(probe)} probe of {probe.slot.name} in {probe.slot.workload.id} may take longer "
                f"({probe.timeout_s} s) than its period ({probe.period_s} s)",
                probe.slot.workload.object,
                f"{probe.field}.timeoutSeconds",
                ("the kubelet runs one probe after the other: a slow one delays the next", _late(probe)),
                "make the timeout at most the period",
                container_patch(
                    probe.slot.workload,
                    [(probe.slot.group, probe.slot.name, {probe.kind: {"timeoutSeconds": probe.period_s}})],
                ),
            )


def _probes(look: Look) -> Iterator[_Probe]:
    for workload in look.written:
        for slot in look.slots(workload):
            if slot.runs_along:
                yield from _of(slot)


def _of(slot: Slot) -> Iterator[_Probe]:
    for kind in KINDS:
        spec = mapping(slot.manifest.get(kind))
        if spec:
            yield _Probe(slot, kind, spec)


def _only_port(slot: Slot) -> int | None:
    """The container's only TCP port."""
    found = [
        whole(entry.get("containerPort"), 0)
        for entry in maps(slot.manifest.get("ports"))
        if str(entry.get("protocol") or "TCP") == "TCP"
    ]
    return found[0] if len(found) == 1 and found[0] else None


def _port_patch(probe: _Probe, port: int) -> str:
    change = {probe.kind: {probe.handler: {"port": port}}}
    return container_patch(probe.slot.workload, [(probe.slot.group, probe.slot.name, change)])


def _numbers(probe: _Probe) -> str:
    first = f"initialDelaySeconds {probe.delay_s}, periodSeconds {probe.period_s}"
    return f"{first}, failureThreshold {probe.failures}"


def _late(probe: _Probe) -> str:
    late, meant = probe.failures * probe.timeout_s, probe.failures * probe.period_s
    return f"{probe.failures} failures are noticed after {late} s instead of {meant} s"


def _word(probe: _Probe) -> str:
    return probe.kind.removesuffix("Probe")


def _effect(probe: _Probe) -> str:
    if probe.kind == "readinessProbe":
        return "the pod never becomes ready: no Service sends to it, and a rollout waits for ever"
    return f"the container is killed every {probe.patience_s + probe.timeout_s} s"


CHECKS = (
    Check(
        "PROBE-PORT-NAME", Severity.ERROR, "a probe asks a port name that its container does not have", probe_port_name
    ),
    Check(
        "PROBE-PORT-CLOSED",
        Severity.WARNING,
        "a probe asks a port number that the pod neither declares nor speaks of",
        probe_port_closed,
    ),
    Check(
        "PROBE-KILLS-START",
        Severity.WARNING,
        "a liveness or startup probe gives up before the app is known to be up",
        probe_kills_start,
    ),
    Check("PROBE-TIMEOUT", Severity.INFO, "a probe's timeout is longer than its period", probe_timeout),
)
