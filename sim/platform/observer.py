"""Who watches the platform: a request engine, through these calls. All do nothing unless a subclass does something."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sim.platform.state import PodSim


class PlatformObserver:
    """Told at the instant it happens; ``t`` is the platform's time. An engine first advances itself to ``t``.

    "Answers" is the truth about a pod's processes; endpoints are what the proxies believe.
    """

    def pod_answers(self, t: float, pod: PodSim) -> None:
        """The pod's processes have started to serve (a first start or a restart)."""

    def pod_stops(self, t: float, pod: PodSim, how: Literal["reset", "blackhole", "drain"]) -> None:
        """The pod no longer takes requests: its processes died, its machine is gone, or it was asked to end."""

    def pod_removed(self, t: float, pod: PodSim) -> None:
        """The pod object is gone."""

    def endpoints_changed(self, t: float, service: str, pods: Sequence[PodSim]) -> None:
        """What the proxies now believe about a Service."""

    def node_changed(self, t: float, node: str, up: bool) -> None:
        """A machine died or came back."""

    def link_changed(
        self,
        t: float,
        node: str,
        *,
        up: bool = True,
        delay_s: float = 0.0,
        loss: float = 0.0,
        bandwidth_bps: float | None = None,
    ) -> None:
        """A node's network card was disturbed or is back to normal (all defaults). Node "internet": the uplink."""

    def disk_changed(self, t: float, node: str, *, failing: bool = False, delay_s: float = 0.0) -> None:
        """A node's disks were disturbed or are back to normal."""

    def node_stressed(self, t: float, node: str, cores: float) -> None:
        """So many cores are burnt on the node from now on."""

    def pod_memory_stressed(self, t: float, pod: PodSim, size_b: int) -> None:
        """So many bytes are taken in the pod from now on."""

    def node_memory(self, t: float, node: str) -> Mapping[int, tuple[PodSim, Mapping[str, int]]] | None:
        """The pods whose processes run on a node, by uid, with their memory by container (bytes, the container that
        serves requests first); None when nobody measures it (the node then never runs out)."""
        return None

    def watch_memory(self, t: float, node: str, level_b: float, call: Callable[[float], None]) -> None:
        """Call once, with the time, when the pods of the node together use ``level_b`` bytes or more (to the page). The
        time may lie ahead of the platform's. The latest order for a node counts."""

    def cpu_utilisation(self, t: float, workload: str) -> float | None:
        """Mean CPU use of the workload's ready pods since the last question, as a share of their requests; None when
        nobody measures it (the autoscaler then does nothing)."""
        return None
