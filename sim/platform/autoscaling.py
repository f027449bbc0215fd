"""HorizontalPodAutoscalers over time, while somebody (a request engine) measures CPU use."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from models.objects import KubeObject, dig
from models.rules.hpa import DEFAULT_CPU_UTILISATION, Past, behavior_of, desired_replicas, limited, stabilised
from sim.platform.controllers import Controller
from sim.platform.observer import PlatformObserver

if TYPE_CHECKING:
    from sim.platform.world import World


def start_autoscalers(world: World) -> None:
    """Run every autoscaler with a CPU utilisation target, unless nobody measures CPU: then it keeps what there is."""
    if type(world.observer).cpu_utilisation is PlatformObserver.cpu_utilisation:
        return
    for item in world.placement.platform.hpas:
        kind = item.get("spec", "scaleTargetRef", "kind")
        name = item.get("spec", "scaleTargetRef", "name")
        controller = world.controllers.get(f"{kind} {item.namespace}/{name}")
        target = _cpu_target(item)
        if controller is not None and target is not None:
            Autoscaler(world, item, controller, target)


def _cpu_target(item: KubeObject) -> float | None:
    """The mean utilisation that the autoscaler wants, as a share of the requests; None when CPU is not its metric."""
    metrics = item.get("spec", "metrics", default=[])
    if not metrics:
        return float(item.get("spec", "targetCPUUtilizationPercentage", default=DEFAULT_CPU_UTILISATION)) / 100.0
    for metric in metrics:
        if dig(metric, "resource", "name") == "cpu":
            share = dig(metric, "resource", "target", "averageUtilization")
            return None if share is None else float(share) / 100.0
    return None


class Autoscaler:
    """One autoscaler: looks every sync period, remembers recommendations and its own scalings."""

    def __init__(self, world: World, item: KubeObject, controller: Controller, target: float) -> None:
        self.world = world
        self.item = item
        self.controller = controller
        self.target = target
        self.behavior = behavior_of(dict(item.manifest))
        self.low = int(item.get("spec", "minReplicas", default=1))
        self.high = int(item.get("spec", "maxReplicas", default=self.low))
        self._recommended: list[tuple[float, int]] = []
        self._added: list[tuple[float, int]] = []
        self._removed: list[tuple[float, int]] = []
        world.clock.env.process(self._loop())

    def _loop(self) -> Generator[Any, Any, None]:
        while True:
            yield self.world.clock.env.timeout(self.world.timings.seconds("k8s.hpa.sync_period"))
            if self.world.control_plane.active:
                self._look()

    def _look(self) -> None:
        current = self.controller.replicas
        used = self.world.observer.cpu_utilisation(self.world.now, self.controller.id)
        if used is None or current == 0:
            return
        tolerance = float(self.world.timings.value("k8s.hpa.tolerance"))
        ready = sum(pod.reported for pod in self.controller.alive)
        wanted = desired_replicas(current, used, self.target, tolerance, ready=ready)
        steady = stabilised(current, wanted, self._ages(self._recommended), self.behavior)
        self._recommended.append((self.world.now, wanted))
        added, removed = self._ages(self._added), self._ages(self._removed)
        size = limited(current, steady, self.low, self.high, self.behavior, added, removed)
        if size == current:
            return
        (self._added if size > current else self._removed).append((self.world.now, abs(size - current)))
        message = f"New size: {size}; reason: cpu resource utilization (percentage of request) is {used * 100:.0f} %"
        self.world.log("SuccessfulRescale", self.controller.id, message, f"autoscaler {self.item.name}")
        self.controller.replicas = size
        self.controller.wake()

    def _ages(self, history: list[tuple[float, int]]) -> list[Past]:
        """The last hour of a history, each entry with its age. What is older is forgotten: no window is longer."""
        now = self.world.now
        while history and now - history[0][0] > 3600.0:
            del history[0]
        return [Past(now - t, value) for t, value in history]
