"""Every action of every fault type strikes, says so, and is undone, on a small platform."""

from __future__ import annotations

from typing import Any

import platform_worlds as w
import pytest

from models.scenario import FAULT_ACTIONS
from sim.placement import place_platform
from sim.platform.simulation import PlatformSimulation, prepare_platform

ACTIONS = [(kind, action) for kind, actions in FAULT_ACTIONS.items() for action in actions]
CERTIFICATE = {
    "apiVersion": "cert-manager.io/v1",
    "kind": "Certificate",
    "metadata": {"name": "wildcard", "namespace": "home"},
    "spec": {"secretName": "wildcard", "dnsNames": ["*.example.org"], "issuerRef": {"name": "le", "kind": "Issuer"}},
}
SELECTORS: dict[str, dict[str, Any]] = {
    "NodeChaos": {"nodes": ["agent-1"]},
    "PodChaos": {"workloads": ["Deployment/home/web"]},
    "NetworkChaos": {"nodes": ["agent-1"]},
    "IOChaos": {"nodes": ["agent-1"]},
    "StressChaos": {"workloads": ["Deployment/home/web"]},
    "DNSChaos": {},
    "CertificateChaos": {"namespaces": ["home"]},
    "PowerChaos": {"nodes": ["agent-*"]},
}
FIGURES = {"delay": "50ms", "loss": "10%", "bandwidth": "1Mbit/s", "cores": 2, "memory": "100Mi"}


def events(kind: str, action: str) -> list[tuple[float, str, str, str]]:
    """The log of ten minutes in which the fault lasts from 60 s to 120 s."""
    platform = w.platform(w.deployment("web", 2), w.service("web"), CERTIFICATE)
    fault = {"name": "f", "type": kind, "action": action, "selector": SELECTORS[kind], "at": "60s", "duration": "60s"}
    scenario = w.exact(faults=[{**fault, **FIGURES}])
    placement = place_platform(platform, w.cluster(distribution="k3s"))
    simulation = PlatformSimulation(prepare_platform(platform, placement, scenario), seed=1)
    simulation.run(600.0)
    return [(event.t, event.kind, event.subject, event.message) for event in simulation.log().events]


@pytest.mark.parametrize(("kind", "action"), ACTIONS, ids=[" ".join(pair) for pair in ACTIONS])
def test_a_fault_strikes_something_and_is_over_after_its_duration(kind: str, action: str) -> None:
    told = [item for item in events(kind, action) if item[1] in ("Fault", "FaultEnds")]
    assert [(t, word, subject) for t, word, subject, _ in told] == [(60.0, "Fault", "f"), (120.0, "FaultEnds", "f")]
    assert told[0][3].startswith(f"{kind} {action}: ")
    assert "nothing left to hit" not in told[0][3]


@pytest.mark.parametrize(
    ("kind", "action", "consequence"),
    [
        ("PodChaos", "pod-kill", "SuccessfulCreate"),
        ("PodChaos", "container-kill", "Ready"),
        ("PodChaos", "pod-failure", "Ready"),
    ],
)
def test_the_platform_answers_after_the_fault(kind: str, action: str, consequence: str) -> None:
    after = {item[1] for item in events(kind, action) if item[0] >= 60.0}
    assert consequence in after
