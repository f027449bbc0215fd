"""The control plane: one k3s server with SQLite, or several with etcd. Without it nothing is healed; pods run on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.platform.clock import Timer
from sim.platform.log import Story
from sim.platform.state import NodeSim
from sim.platform.timers import series

if TYPE_CHECKING:
    from sim.platform.world import World


class ControlPlane:
    """``active``: API server, controllers and scheduler work.

    With one server the datastore is SQLite and nobody is elected. With several, etcd needs floor(n/2)+1 of them, and
    when the server that leads goes, another takes its lease over.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.active = True
        self.story: Story | None = None
        self._leader = ""
        self._takeover: Timer | None = None

    def start(self) -> None:
        """Choose who leads at the start: any server, at random."""
        servers = [node.name for node in self.world.nodes.servers]
        self._leader = servers[self.world.streams["controlplane/leader"].below(len(servers))]

    @property
    def quorum(self) -> int:
        """Servers that must be there (k3s.etcd_quorum)."""
        return len(self.world.nodes.servers) // 2 + 1

    def server_changed(self, node: NodeSim) -> None:
        """A server went or came back."""
        reachable = [item for item in self.world.nodes.servers if item.reachable]
        if len(reachable) < self.quorum:
            self._lose(node.story or Story(f"node {node.name} lost", self.world.now))
        elif not self.active:
            if self._takeover is None or not self._takeover.active:
                self._elect(reachable, self.story or Story("control plane restart", self.world.now))
        elif self._leader not in [item.name for item in reachable]:
            self._lose(node.story or Story(f"node {node.name} lost", self.world.now), quiet=True)
            self._elect(reachable, self.story or Story(f"node {node.name} lost", self.world.now))

    def _lose(self, story: Story, *, quiet: bool = False) -> None:
        if self._takeover is not None:
            self._takeover.cancel()
            self._takeover = None
        if not self.active:
            return
        self.active, self.story = False, story
        if not quiet:
            self.world.log(
                "ControlPlaneLost",
                "control plane",
                "nothing is scheduled, healed or taken out of endpoints until a server is back; running pods go on",
                story,
                "error",
            )

    def _elect(self, reachable: list[NodeSim], story: Story) -> None:
        """A candidate waits a whole lease from when it last saw it renewed, then asks every retry period."""
        delay = 0.0
        if len(self.world.nodes.servers) > 1:
            waits = series(self.world.timings, "k8s.leader_election")
            stream = self.world.streams["controlplane/election"]
            lease, retry = waits[0], min(waits)
            delay = lease - stream.uniform(0.0, retry) + stream.uniform(0.0, retry)
        winner = reachable[0].name

        def take_over() -> None:
            self.active, self._leader, self.story = True, winner, None
            waited = story.then("control plane takeover", self.world.now, "leader_election")
            self.world.log("ControlPlaneActive", "control plane", f"controllers and scheduler run on {winner}", waited)
            self._resync()

        self._takeover = self.world.clock.after(delay, take_over)

    def _resync(self) -> None:
        """Everything looks at everything again, as after a restart of the controllers."""
        world = self.world
        world.kubelet.report_all()
        world.nodes.resync()
        world.endpoints.resync()
        for controller in world.controllers.values():
            controller.wake()
        world.scheduler.kick(all_pods=True)
        world.load_balancers.recheck()
