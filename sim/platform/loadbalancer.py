"""Addresses of load balancers: MetalLB in layer 2 (one node answers for an address), or k3s' servicelb (all do)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sim.platform.clock import Timer
from sim.platform.log import Story
from sim.platform.state import NodeSim, PodSim, ServiceSim
from sim.platform.timers import bounds

if TYPE_CHECKING:
    from sim.platform.controllers import Controller
    from sim.platform.world import World

SPEAKER_IMAGE = "metallb/speaker"

Mode = Literal["metallb", "servicelb", "elsewhere"]


@dataclass(eq=False)
class Balancer:
    """One Service of type LoadBalancer. ``announcer``: the node that answers for its address (MetalLB)."""

    service: ServiceSim
    address: str
    announcer: NodeSim | None = None
    story: Story | None = None


class LoadBalancers:
    """All load balancers.

    MetalLB: the speakers know each other by memberlist; of the nodes whose speaker is a member (and, with
    externalTrafficPolicy Local, that have an endpoint) the one with the smallest hash of node and address announces,
    as long as the Service has a ready endpoint at all. A dead speaker is missed after the probe and the suspicion time.
    servicelb: every node answers; clients are taken to use the addresses in the Service's status, which leaves out
    nodes that are NotReady. Without either, the address is somebody else's and always answers.
    """

    def __init__(self, world: World, services: list[ServiceSim], addresses: dict[str, str]) -> None:
        self.world = world
        self.speakers: Controller | None = next(
            (
                controller
                for controller in world.controllers.values()
                if any(SPEAKER_IMAGE in item.image for item in controller.model.containers)
            ),
            None,
        )
        self.mode: Mode = "elsewhere"
        if self.speakers is not None:
            self.mode = "metallb"
        elif world.nodes.distribution == "k3s":
            self.mode = "servicelb"
        self.balancers = {item.id: Balancer(item, addresses.get(item.id, item.id)) for item in services}
        self._missed: set[str] = set()
        self._pending: dict[str, Timer] = {}

    def start(self) -> None:
        """Elect at the start."""
        for balancer in self.balancers.values():
            balancer.announcer = self._choose(balancer)

    def share(self, service: str) -> float:
        """The share of requests to the address that reach a node that is there."""
        balancer = self.balancers.get(service)
        if balancer is None or self.mode == "elsewhere":
            return 1.0
        if self.mode == "servicelb":
            listed = [node for node in self.world.nodes.by_name.values() if node.known_ready]
            return sum(node.reachable for node in listed) / len(listed) if listed else 0.0
        node = balancer.announcer
        return 1.0 if node is not None and node.reachable and self._speaker_on(node) else 0.0

    def entry_share(self, service: ServiceSim) -> float:
        """The share of requests that find a pod behind the address; with Local only pods on the announcing node."""
        balancer = self.balancers.get(service.id)
        if balancer is None or self.mode != "metallb" or not service.local_only:
            return service.share
        here = [pod for pod in service.view if pod.node is balancer.announcer]
        return sum(pod.serves for pod in here) / len(here) if here else 0.0

    def story(self, service: str) -> Story | None:
        """How the address came to where it is."""
        balancer = self.balancers.get(service)
        return balancer.story if balancer else None

    # ---- events

    def endpoints_changed(self, service: ServiceSim) -> None:
        """The speakers watch endpoints and act at once."""
        if self.mode == "metallb" and service.id in self.balancers:
            self._elect(
                self.balancers[service.id], Story(f"endpoints of {service.id.partition(' ')[2]}", self.world.now)
            )

    def speaker_changed(self, pod: PodSim) -> None:
        """A speaker's processes started or stopped."""
        if self.speakers is None or pod.controller is not self.speakers or pod.node is None:
            return
        if pod.serves:
            self._member(pod.node)
        elif pod.node.name not in self._pending:
            self._miss(pod.node, pod.trouble)

    def node_changed(self, node: NodeSim) -> None:
        """A node went or came back."""
        if self.mode == "metallb":
            if node.reachable and self._speaker_on(node):
                self._member(node)
            elif not node.reachable and node.name not in self._pending:
                self._miss(node, node.story)
        self.world.routes.balancers_changed()

    def recheck(self) -> None:
        """The control plane is back, or it has taken nodes off its lists."""
        for balancer in self.balancers.values():
            if self.mode == "metallb":
                self._elect(balancer, Story("control plane restart", self.world.now))
        self.world.routes.balancers_changed()

    # ---- MetalLB

    def _miss(self, node: NodeSim, story: Story | None) -> None:
        """The other speakers notice that a member is gone."""
        size = "n2_n3" if len(self.world.nodes.by_name) <= 3 else "n4_plus"
        low, high = bounds(self.world.timings, "metallb.l2.dead_node_detect", size)
        delay = self.world.streams[f"metallb/{node.name}"].uniform(low, high)
        why = story or Story(f"speaker on {node.name} lost", self.world.now)

        def missed() -> None:
            self._pending.pop(node.name, None)
            self._missed.add(node.name)
            for balancer in self.balancers.values():
                self._elect(balancer, why)

        self._pending[node.name] = self.world.clock.after(delay, missed)

    def _member(self, node: NodeSim) -> None:
        timer = self._pending.pop(node.name, None)
        if timer is not None:
            timer.cancel()
        self._missed.discard(node.name)
        for balancer in self.balancers.values():
            self._elect(balancer, Story(f"speaker on {node.name} is back", self.world.now))

    def _speaker_on(self, node: NodeSim) -> bool:
        assert self.speakers is not None
        return any(pod.node is node and pod.answers for pod in self.speakers.pods.values())

    def _choose(self, balancer: Balancer) -> NodeSim | None:
        if self.mode != "metallb" or self.speakers is None:
            return None
        endpoints = balancer.service.endpoints
        nodes = {pod.node.name: pod.node for pod in self.speakers.pods.values() if pod.node is not None}
        members = [node for name, node in nodes.items() if name not in self._missed]
        if balancer.service.local_only:
            members = [node for node in members if any(pod.node is node for pod in endpoints)]
        if not endpoints or not members:
            return None
        return min(members, key=lambda node: hashlib.sha256(f"{node.name}#{balancer.address}".encode()).digest())

    def _elect(self, balancer: Balancer, story: Story) -> None:
        before, chosen = balancer.announcer, self._choose(balancer)
        if chosen is before:
            return
        balancer.announcer = chosen
        balancer.story = story.then("MetalLB failover", self.world.now, "memberlist probe and suspicion")
        subject = balancer.service.id
        if chosen is None:
            self.world.log("AddressWithdrawn", subject, f"{balancer.address} is announced by nobody", story, "error")
        else:
            message = f"{balancer.address} is announced from {chosen.name}"
            self.world.log("AddressMoved", subject, message, balancer.story, "warning")
        self.world.routes.balancers_changed()
