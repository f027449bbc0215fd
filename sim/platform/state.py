"""The things of the world that change: pods, nodes, services."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import simpy

from models.cluster import ClusterNode
from models.objects import Manifest
from models.scheduler.selectors import Selector
from sim.platform.clock import Timer
from sim.platform.log import LaneState, Story

if TYPE_CHECKING:
    from sim.platform.controllers import Controller


@dataclass(eq=False)
class NodeSim:
    """A machine. ``up`` and ``linked`` are the truth; ``known_ready`` is what the control plane believes.

    ``images``: images on its disk. ``story`` explains why it is away, None while it is not.
    """

    spec: ClusterNode
    zone: str
    up: bool = True
    linked: bool = True
    known_ready: bool = True
    cordoned: bool = False
    tainted: bool = False
    short_of_memory: bool = False
    images: set[str] = field(default_factory=set)
    story: Story | None = None
    epoch: int = 0
    pull_slot: simpy.Resource | None = None

    @property
    def name(self) -> str:
        """The node's name."""
        return self.spec.name

    @property
    def reachable(self) -> bool:
        """Whether it runs and the others can talk to it."""
        return self.up and self.linked


@dataclass(eq=False)
class PodSim:
    """A pod object and its processes.

    ``answers``: its processes serve (the machine may be unreachable all the same); ``ready``: what the kubelet sees;
    ``reported``: the Ready condition at the API server, since ``reported_since``. ``deleting_since`` is the time of the
    delete request. ``story``: the chain that made this pod or its last start necessary; ``trouble``: why it does not
    answer. ``pulled``: its images were on the node once. ``message``
    is the scheduler's last sentence, ``waits_for`` the pin behind it or the sentence again.
    """

    uid: int
    name: str
    namespace: str
    controller: Controller
    number: int
    revision: int
    manifest: Manifest
    created: float
    broken: bool = False
    node: NodeSim | None = None
    state: LaneState = "pending"
    answers: bool = False
    ready: bool = False
    reported: bool = False
    reported_since: float = 0.0
    deleting_since: float | None = None
    role: str = ""
    pulled: bool = False
    finished: bool = False
    gone: bool = False
    restarts: int = 0
    started: float = 0.0
    failing: bool = False
    message: str = ""
    waits_for: str = ""
    story: Story | None = None
    trouble: Story | None = None
    process: simpy.Process | None = None
    timers: list[Timer] = field(default_factory=list)
    services: list[ServiceSim] = field(default_factory=list)

    @property
    def key(self) -> str:
        """namespace/name."""
        return f"{self.namespace}/{self.name}"

    @property
    def deleting(self) -> bool:
        """Whether it was asked to end."""
        return self.deleting_since is not None

    @property
    def serves(self) -> bool:
        """Whether a request that is sent to it is answered."""
        return self.answers and self.node is not None and self.node.reachable

    @property
    def priority(self) -> int:
        """``spec.priority``."""
        return int(self.manifest["spec"].get("priority") or 0)

    def __repr__(self) -> str:
        return f"<pod {self.key} {self.state} on {self.node.name if self.node else '-'}>"


@dataclass(eq=False)
class ServiceSim:
    """A Service: the pods it selects, its endpoints at the API server, and what the proxies believe (``view``).

    ``manual``: it selects nothing (external name, hand-made endpoints) and counts as answering.
    """

    id: str
    manifest: Manifest
    namespace: str
    selector: Selector
    manual: bool
    unready_too: bool
    local_only: bool
    throttled: bool = False
    pods: dict[int, PodSim] = field(default_factory=dict)
    endpoints: tuple[PodSim, ...] = ()
    view: tuple[PodSim, ...] = ()

    @property
    def answering(self) -> int:
        """How many of the pods that the proxies know answer."""
        return sum(pod.serves for pod in self.view)

    @property
    def share(self) -> float:
        """The share of requests to the Service that reach a pod that answers, every endpoint being as likely."""
        if self.manual:
            return 1.0
        return self.answering / len(self.view) if self.view else 0.0
