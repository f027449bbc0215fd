"""Every fault type and action of the scenario schema does something on a small platform, and ends."""

import platform_worlds as w
import pytest

from models.scenario import FAULT_ACTIONS
from sim.placement import place_platform
from sim.platform.observer import PlatformObserver
from sim.platform.routes import RouteModel
from sim.platform.simulation import PlatformSimulation, prepare_platform
from sim.platform.state import PodSim

WEB = RouteModel("web.test", backends=(("Service home/web", 1.0),), certificate="Certificate home/web")

WORLD = (
    w.local_path_class(),
    w.claim("media"),
    w.deployment("web", claim="media", node="agent-1"),
    w.service("web"),
    {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "web", "namespace": "home"},
        "spec": {"secretName": "web-tls", "issuerRef": {"name": "letsencrypt"}},
    },
)

NODE, POD = {"nodes": ["agent-1"]}, {"workloads": ["home/web"]}

EXPECTED = {
    ("NodeChaos", "node-stop"): (NODE, "NodeLost", True),
    ("NodeChaos", "node-restart"): (NODE, "NodeReturned", True),
    ("NodeChaos", "node-replace"): (NODE, "DataLost", True),
    ("PodChaos", "pod-kill"): (POD, "SuccessfulCreate", True),
    ("PodChaos", "pod-failure"): (POD, "Ready", True),
    ("PodChaos", "container-kill"): (POD, "Ready", True),
    ("NetworkChaos", "partition"): (NODE, "NodeCutOff", True),
    ("NetworkChaos", "delay"): (NODE, "link 0.2 0.0", False),
    ("NetworkChaos", "loss"): (NODE, "link 0.2 0.0", False),
    ("NetworkChaos", "bandwidth"): (NODE, "link 0.2 0.0", False),
    ("IOChaos", "latency"): (NODE, "disk False 0.2", False),
    ("IOChaos", "fault"): (NODE, "disk True 0.2", False),
    ("StressChaos", "cpu"): (NODE, "stress 2.0", False),
    ("StressChaos", "memory"): (POD, "memory 1048576", False),
    ("DNSChaos", "error"): ({}, "Ready", False),
    ("CertificateChaos", "expire"): ({}, "CertificateExpired", True),
    ("CertificateChaos", "renewal-failure"): ({}, "Fault", False),
    ("PowerChaos", "outage"): ({}, "ControlPlaneLost", True),
}
"""Selector, a kind of event (or a call to the engine) that must follow, and whether the route goes down."""


class Heard(PlatformObserver):
    """Writes the disturbances down that only a request engine feels."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def link_changed(self, t: float, node: str, *, delay_s: float = 0.0, loss: float = 0.0, **_: object) -> None:
        self.calls.append(f"link {delay_s} {loss}")

    def disk_changed(self, t: float, node: str, *, failing: bool = False, delay_s: float = 0.0) -> None:
        self.calls.append(f"disk {failing} {delay_s}")

    def node_stressed(self, t: float, node: str, cores: float) -> None:
        self.calls.append(f"stress {cores}")

    def pod_memory_stressed(self, t: float, pod: PodSim, size_b: int) -> None:
        self.calls.append(f"memory {size_b}")


def test_every_action_of_the_schema_is_listed_here():
    assert set(EXPECTED) == {(kind, action) for kind, actions in FAULT_ACTIONS.items() for action in actions}


@pytest.mark.parametrize(("kind", "action"), sorted(EXPECTED))
def test_a_fault_of_five_minutes_acts_and_is_over(kind: str, action: str):
    selector, sign, down = EXPECTED[kind, action]
    fault = {
        "name": "trouble",
        "type": kind,
        "action": action,
        "selector": selector,
        "at": "100s",
        "duration": "5m",
        "delay": "200ms",
        "cores": 2,
        "memory": "1Mi",
    }
    tree = w.platform(*WORLD)
    placement = place_platform(tree, w.cluster(distribution="k3s"), seed=1)
    observer = Heard()
    program = prepare_platform(tree, placement, w.exact(faults=[fault]), routes=(WEB,))
    simulation = PlatformSimulation(program, seed=1, observer=observer)
    simulation.run(3600.0)
    log = simulation.log()
    assert sign in [*observer.calls, *(event.kind for event in log.events if event.t >= 100.0)]
    assert bool(log.routes["web.test"].outages) is down
    assert all(outage.end is not None for outage in log.routes["web.test"].outages)
    assert all(node.reachable for node in simulation.world.nodes.by_name.values())
