"""Reachability of every route over time, and for every outage the chain of events and timers that decided it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sim.platform.log import Outage, RouteLog, Story, seconds
from sim.platform.routes import RouteModel
from sim.platform.state import PodSim, ServiceSim

if TYPE_CHECKING:
    from sim.platform.controllers import Controller
    from sim.platform.world import World

_NOTHING = 1e-12
"""Below this a product of shares counts as no service at all."""

Factor = tuple[str, str]
"""What a route's availability is a product of: (kind, name); kinds are external, certificate, address, entry, tunnel,
service, want."""


_FactorCall = Callable[[str, str, float], float]


@dataclass(eq=False)
class _Spell:
    """A time in which a route is down, or degraded, that has not ended yet."""

    start: float
    worst: float
    bad: tuple[Factor, ...]
    troubles: dict[Factor, Story] = field(default_factory=dict)


@dataclass(eq=False)
class _Track:
    model: RouteModel
    steps: list[tuple[float, float]] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    degradations: list[Outage] = field(default_factory=list)
    down: _Spell | None = None
    degraded: _Spell | None = None


class Availability:
    """Evaluates routes when something they depend on has changed, once per instant.

    The availability of a route is the product of: its outside systems, its certificate, its address, the share of
    answering endpoints of its proxy and its guards, and the weighted mean over its backends of their share times the
    shares of all they need. Shares of different services are taken as independent.
    """

    def __init__(self, world: World, routes: Iterable[RouteModel], startup: Mapping[str, tuple[str, ...]]) -> None:
        self.world = world
        self._tracks = {item.id: _Track(item) for item in routes}
        self._startup = startup
        self._of_service: dict[str, list[str]] = {}
        self._of_workload: dict[str, list[str]] = {}
        for track in self._tracks.values():
            for service in track.model.services:
                self._of_service.setdefault(service, []).append(track.model.id)
            if track.model.tunnel:
                self._of_workload.setdefault(track.model.tunnel, []).append(track.model.id)
        self._dirty: dict[str, None] = {}
        self._planned = False

    def start(self) -> None:
        """The availability at the start."""
        self._touch(self._tracks)

    def startup_needs(self, workload: str) -> list[ServiceSim]:
        """Services that init containers of the workload wait for."""
        services = self.world.endpoints.services
        return [services[name] for name in self._startup.get(workload, ()) if name in services]

    # ---- what changed

    def pod_changed(self, pod: PodSim) -> None:
        """A pod answers, or no longer does, or its machine was cut off or reached."""
        for service in pod.services:
            self._touch(self._of_service.get(service.id, ()))
        self._touch(self._of_workload.get(pod.controller.model.id, ()))
        self.world.kubelet.dependencies_changed()

    def service_changed(self, service: ServiceSim) -> None:
        """The proxies' view of a Service changed."""
        self._touch(self._of_service.get(service.id, ()))
        self.world.kubelet.dependencies_changed()

    def balancers_changed(self) -> None:
        """An address moved."""
        self._touch(self._tracks)

    def external_changed(self) -> None:
        """Something outside or a certificate changed."""
        self._touch(self._tracks)

    def _touch(self, routes: Iterable[str]) -> None:
        self._dirty.update(dict.fromkeys(routes))
        if self._dirty and not self._planned:
            self._planned = True
            self.world.clock.after(0.0, self._evaluate)

    # ---- evaluation

    def _evaluate(self) -> None:
        self._planned = False
        dirty, self._dirty = self._dirty, {}
        for name in dirty:
            self._step(self._tracks[name])

    def _step(self, track: _Track) -> None:
        now = self.world.now
        value, shares = self._value(track.model)
        if track.steps and track.steps[-1][0] == now:
            track.steps.pop()
        if not track.steps or track.steps[-1][1] != value:
            track.steps.append((now, value))
        gone = tuple(item for item, share in shares.items() if share == 0.0 and item[0] != "want")
        track.down = self._spell(track.down, value == 0.0, value, gone, shares, track.outages)
        partly = value > 0.0 and bool(shares)
        track.degraded = self._spell(track.degraded, partly, value, tuple(shares), shares, track.degradations)

    def _spell(
        self,
        spell: _Spell | None,
        now_bad: bool,
        value: float,
        bad: tuple[Factor, ...],
        shares: Mapping[Factor, float],
        log: list[Outage],
    ) -> _Spell | None:
        now = self.world.now
        if spell is None:
            if not now_bad:
                return None
            spell = _Spell(now, value, bad)
            self._remember(spell)
            return spell
        if now_bad:
            spell.worst = min(spell.worst, value)
            spell.bad = bad
            self._remember(spell)
            return spell
        if now > spell.start:
            better = tuple(item for item in spell.bad if shares.get(item, 1.0) > 0.0) or spell.bad
            log.append(Outage(spell.start, now, self._why_it_ended(spell, better), spell.worst))
        return None

    def _value(self, route: RouteModel) -> tuple[float, dict[Factor, float]]:
        """Availability in [0, 1] and the factors below 1."""
        world = self.world
        bad: dict[Factor, float] = {}

        def factor(kind: str, name: str, share: float) -> float:
            if share < 1.0:
                bad[kind, name] = share
            return share

        value = 1.0
        for name in route.externals:
            value *= factor("external", name, 0.0 if world.externals.why_down(name) else 1.0)
        if route.certificate:
            value *= factor(
                "certificate", route.certificate, 0.0 if world.certificates.expired(route.certificate) else 1.0
            )
        if route.tunnel and route.tunnel in world.controllers:
            pods = world.controllers[route.tunnel].pods.values()
            value *= factor("tunnel", route.tunnel, 1.0 if any(pod.serves for pod in pods) else 0.0)
        entry = world.endpoints.services.get(route.entry)
        if entry is not None:
            if not route.tunnel:
                value *= factor("address", route.entry, world.load_balancers.share(route.entry))
            share = entry.share if route.tunnel else world.load_balancers.entry_share(entry)
            value *= factor("entry", route.entry, share)
        for guard in route.guards:
            value *= self._chain(route, guard, factor)
        total = sum(weight for _, weight in route.backends)
        if total > 0:
            value *= sum(weight * self._chain(route, name, factor) for name, weight in route.backends) / total
        for name in route.wants:
            if (service := world.endpoints.services.get(name)) is not None:
                factor("want", name, self._share(service))
        return (0.0 if value < _NOTHING else value), bad

    def _chain(self, route: RouteModel, name: str, factor: _FactorCall) -> float:
        value = 1.0
        for part in (name, *route.needs.get(name, ())):
            service = self.world.endpoints.services.get(part)
            value *= factor("service", part, self._share(service) if service is not None else 0.0)
        return value

    def _share(self, service: ServiceSim) -> float:
        externals = {name for pod in service.view for name in pod.controller.model.externals}
        if any(self.world.externals.why_down(name) for name in externals):
            return 0.0
        return service.share

    # ---- causes

    def _remember(self, spell: _Spell) -> None:
        """Keep why each bad factor is bad now: the pods may be gone when the spell ends."""
        for item in spell.bad:
            story = self._trouble(item)
            if story is not None:
                spell.troubles[item] = story

    def _trouble(self, item: Factor) -> Story | None:
        kind, name = item
        world = self.world
        if kind == "external":
            return world.externals.why_down(name)
        if kind == "certificate":
            return Story(f"{name} has expired", world.now)
        if kind == "address":
            announcer = world.load_balancers.balancers.get(name)
            return announcer.announcer.story if announcer and announcer.announcer else None
        for pod in self._pods(item):
            if not pod.serves and pod.trouble is not None:
                return pod.trouble
        return None

    def _pods(self, item: Factor) -> list[PodSim]:
        kind, name = item
        if kind == "tunnel":
            return list(self.world.controllers[name].pods.values())
        service = self.world.endpoints.services.get(name)
        return list({pod.uid: pod for pod in (*service.view, *service.pods.values())}.values()) if service else []

    def _why_it_ended(self, spell: _Spell, better: tuple[Factor, ...]) -> str:
        """The factor that recovered last decides; its story is told. ``better``: those that are not gone any more."""
        best: tuple[float, str] | None = None
        for item in better:
            told = self._recovery(item, spell)
            if told is not None and (best is None or told[0] > best[0]):
                best = told
        if best is not None:
            return best[1]
        for item in better:
            # Its pods answered all the time; the proxies did not know.
            stories = [pod.story for pod in self._pods(item) if pod.serves and pod.story is not None]
            if stories:
                latest = max(stories, key=lambda story: story.at)
                return self._tell(item, latest.then("endpoint propagation", self.world.now))
        names = ", ".join(name.partition(" ")[2] or name for _, name in better)
        return f"{names}: endpoint propagation {seconds(self.world.now - spell.start)}"

    def _recovery(self, item: Factor, spell: _Spell) -> tuple[float, str] | None:
        """When a factor recovered, and how; None when it has not (it then did not decide)."""
        kind, name = item
        now = self.world.now
        if kind == "address":
            story = self.world.load_balancers.story(name)
            if story is not None and story.at >= spell.start:
                return story.at, self._tell(item, story)
        if kind in ("service", "entry", "tunnel", "want"):
            fresh = [
                pod
                for pod in self._pods(item)
                if pod.serves and pod.story is not None and spell.start < pod.story.at <= now
            ]
            if fresh:
                pod = max(fresh, key=lambda entry: entry.story.at if entry.story else 0.0)
                assert pod.story is not None
                told = pod.story.then("endpoint propagation", now) if kind != "tunnel" else pod.story
                return pod.story.at, self._tell(item, told)
        story = spell.troubles.get(item)
        if story is None:
            return None
        last = "removal from endpoints" if kind in ("service", "entry", "want") else "until it was back"
        return spell.start, self._tell(item, story.then(last, now))

    def _tell(self, item: Factor, story: Story) -> str:
        kind, name = item
        plain = name.partition(" ")[2] or name
        where = {"address": f"address of {plain}", "external": "", "certificate": ""}.get(kind, plain)
        return f"{where}: {story}" if where else str(story)

    def _why_it_lasts(self, spell: _Spell) -> str:
        """What keeps a route away at the end of the run: a pin, a sentence of scheduler or API server, or trouble."""
        reasons = list(dict.fromkeys(self._obstacle(item, spell) for item in spell.bad))
        return "; ".join(reason for reason in reasons if reason) or "unknown"

    def _obstacle(self, item: Factor, spell: _Spell) -> str:
        kind, name = item
        story = spell.troubles.get(item)
        if kind in ("service", "entry", "tunnel", "want"):
            for pod in self._pods(item):
                reason = self._stuck(pod)
                if reason:
                    return f"{story.root}: {reason}" if story is not None else reason
            for controller in self._controllers(item):
                if controller.refused:
                    return controller.refused
            if not self.world.control_plane.active:
                cause = self.world.control_plane.story
                return (
                    f"{cause.root if cause else 'control plane lost'}: nothing is rescheduled without a control plane"
                )
        return self._tell(item, story) if story is not None else f"{name} does not answer"

    def _controllers(self, item: Factor) -> list[Controller]:
        kind, name = item
        if kind == "tunnel":
            return [self.world.controllers[name]]
        service = self.world.endpoints.services.get(name)
        if service is None:
            return []
        return [
            controller
            for controller in self.world.controllers.values()
            if controller.model.workload.namespace == service.namespace
            and any(service.selector.matches(labels) for labels in controller.model.workload.label_sets)
        ]

    def _stuck(self, pod: PodSim) -> str:
        """Why a pod cannot come back by itself."""
        world = self.world
        workload = pod.controller.model.workload
        pins = world.volumes.pins_of(pod.manifest)
        for pin in pins:
            node = world.nodes.by_name.get(pin.node)
            if node is not None and not node.reachable:
                return pin.says(workload.name)
        if pod.node is None:
            return pod.message
        if not pod.node.reachable and (pod.deleting or not world.control_plane.active):
            if not world.control_plane.active:
                return "nothing is rescheduled without a control plane"
            if pod.controller.kind in ("StatefulSet", "Cluster", "Pod"):
                return f"{pod.name} stays Terminating on {pod.node.name} until it returns"
        return ""

    # ---- results

    def finish(self, until: float) -> dict[str, RouteLog]:
        """The logs of all routes up to ``until``."""
        result = {}
        for name, track in self._tracks.items():
            outages, degradations = list(track.outages), list(track.degradations)
            for spell, log in ((track.down, outages), (track.degraded, degradations)):
                if spell is not None and until > spell.start:
                    log.append(Outage(spell.start, None, self._why_it_lasts(spell), spell.worst))
            result[name] = RouteLog(name, tuple(track.steps), tuple(outages), tuple(degradations))
        return result
