"""The kubelets: image pull, init containers, start, probes, crash-loop back-off, termination. One process per start.

A pod that runs has no process: nothing happens to it until something is done to it.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import simpy

from sim.platform.external import REGISTRY
from sim.platform.log import Story
from sim.platform.state import PodSim, ServiceSim
from sim.platform.timers import series

if TYPE_CHECKING:
    from sim.platform.world import World

Life = Generator[Any, Any, None]


class Kubelet:
    """What the kubelets of all nodes do."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._dependencies = world.clock.env.event()
        self._waiting = 0
        self._ended: dict[int, PodSim] = {}

    # ---- called by others

    def start(self, pod: PodSim) -> None:
        """A pod was bound to a reachable node."""
        self._begin(pod, self._new(pod))

    def stop(self, pod: PodSim) -> None:
        """Whatever its process was doing, it ends now."""
        process, pod.process = pod.process, None
        if process is not None and process.is_alive and process is not self.world.clock.env.active_process:
            process.interrupt()
        self._ended.pop(pod.uid, None)

    def crash(self, pod: PodSim, story: Story) -> None:
        """A container ends unexpectedly (killed, OOM): restarted in place with the back-off of crash loops."""
        if pod.state == "terminating" and not pod.gone:
            self.world.delete_pod(pod, story, force=True)
            return
        if pod.gone or pod.deleting or pod.node is None or not pod.node.up or pod.state == "pending":
            return
        self.stop(pod)
        self._fell_over(pod, story)
        self._begin(pod, self._restart(pod))

    def evict(self, pod: PodSim, grace_s: float, story: Story) -> None:
        """The kubelet ends the pod by itself; the pod has failed, and is replaced, when its processes have ended.

        A pod does not become Failed before: pkg/kubelet/kubelet_pods.go ``generateAPIPodStatus``.
        """
        self.stop(pod)
        pod.trouble, pod.ready = story, False
        self.world.stop_answering(pod, "drain")
        self.world.show(pod, "terminating")
        self.report(pod)
        pod.timers.append(self.world.clock.after(grace_s, lambda: self.world.delete_pod(pod, story, force=True)))

    def set_failing(self, pod: PodSim, on: bool, story: Story) -> None:
        """PodChaos pod-failure: the pod exists but nothing in it works, until it is let go."""
        if pod.gone or pod.failing == on:
            return
        pod.failing = on
        if on:
            self.stop(pod)
            self._fell_over(pod, story)
        elif not pod.deleting and pod.node is not None and pod.node.up:
            pod.story = story.then("fault", self.world.now)
            self._begin(pod, self._run(pod))

    def terminate(self, pod: PodSim) -> None:
        """SIGTERM after the preStop hook; the object goes when the grace period is over, at once if nothing ran."""
        running = pod.process is None or pod.state in ("starting", "ready", "unready", "lost")
        self.stop(pod)
        model = pod.controller.model
        if pod.answers:
            if model.pre_stop_s > 0:
                pod.timers.append(
                    self.world.clock.after(model.pre_stop_s, lambda: self.world.stop_answering(pod, "drain"))
                )
            else:
                self.world.stop_answering(pod, "drain")
        if running and pod.state != "pending":
            pod.timers.append(self.world.clock.after(model.stop_s, lambda: self._end(pod)))
        else:
            self._end(pod)

    def machine_lost(self, pod: PodSim, story: Story) -> None:
        """The pod's machine died."""
        self.stop(pod)
        for timer in pod.timers:
            timer.cancel()
        pod.timers.clear()
        pod.ready = False
        pod.trouble = story
        self.world.stop_answering(pod, "blackhole")
        self.world.show(pod, "lost" if pod.state != "pending" else "pending")

    def machine_back(self, pod: PodSim, story: Story) -> None:
        """The pod's machine runs again: what was being deleted goes, the rest starts afresh."""
        if pod.node is None:
            return
        pins = self.world.volumes.pins_of(pod.manifest)
        note = pins[0].says(pod.controller.model.workload.name) if pins else ""
        story = story.then(f"until {pod.node.name} returned", self.world.now, note)
        if pod.deleting:
            pod.controller.lost(pod, story)
            self._end(pod)
            return
        pod.story = story
        pod.restarts = 0
        self.report(pod)
        if pod.failing:
            return
        self._begin(pod, self._run(pod) if pod.pulled else self._new(pod))

    def reachable_again(self, pod: PodSim, story: Story) -> None:
        """The pod's machine was cut off and can be reached again."""
        if pod.deleting:
            pod.controller.lost(pod, story)
            self.terminate(pod)
            self.world.show(pod, "terminating")
            return
        if pod.process is None and not pod.pulled and not pod.gone:
            self.start(pod)
            return
        pod.trouble = None if pod.answers else pod.trouble
        self.world.show(pod, "ready" if pod.ready else "unready")
        self.report(pod)
        self.world.routes.pod_changed(pod)

    def report(self, pod: PodSim) -> None:
        """Tell the API server whether the pod is ready, if it can be reached."""
        if pod.gone or pod.node is None or not pod.node.reachable or not self.world.control_plane.active:
            return
        if pod.reported == pod.ready:
            return
        pod.reported = pod.ready
        pod.reported_since = self.world.now
        self.world.endpoints.pod_changed(pod)
        pod.controller.pod_reported(pod)
        pod.controller.wake()

    def report_all(self) -> None:
        """The API server is back: everything that happened meanwhile is told."""
        for pod in list(self._ended.values()):
            self._end(pod)
        for pod in list(self.world.pods.values()):
            self.report(pod)
            if pod.node is not None and pod.node.reachable and not pod.pulled and pod.process is None:
                self.start(pod)

    def dependencies_changed(self) -> None:
        """A service may answer now: init containers that wait look again."""
        if self._waiting:
            event, self._dependencies = self._dependencies, self.world.clock.env.event()
            event.succeed()

    # ---- processes

    def _begin(self, pod: PodSim, life: Life) -> None:
        pod.process = self.world.clock.env.process(self._guard(pod, life))

    def _guard(self, pod: PodSim, life: Life) -> Life:
        try:
            yield from life
        except simpy.Interrupt:
            return
        pod.process = None

    def _new(self, pod: PodSim) -> Life:
        yield from self._pull(pod)
        pod.pulled = True
        yield from self._wait_for_services(pod)
        yield from self._run(pod)

    def _pull(self, pod: PodSim) -> Life:
        node, model = pod.node, pod.controller.model
        assert node is not None
        always = {item.image for item in model.containers if item.always_pull}
        for image, size in model.images.items():
            name = image if pod.revision == 1 else f"{image} (revision {pod.revision})"
            if name in node.images and image not in always:
                continue
            if node.pull_slot is None:
                yield from self._pull_image(pod, name, 0.0 if name in node.images else size)
            else:
                with node.pull_slot.request() as turn:
                    yield turn
                    yield from self._pull_image(pod, name, 0.0 if name in node.images else size)
            node.images.add(name)
        if pod.story is not None:
            pod.story = pod.story.then("image pull", self.world.now)

    def _pull_image(self, pod: PodSim, image: str, size: float) -> Life:
        world = self.world
        waits = series(world.timings, "k8s.crashloop_backoff_sequence")
        attempt = 0
        while (why := world.externals.why_down(REGISTRY)) is not None:
            if attempt == 0:
                message = f'Failed to pull image "{image}": the registry does not answer'
                world.log("Failed", f"Pod {pod.key}", message, why, "warning")
            yield world.clock.env.timeout(waits[min(attempt, len(waits) - 1)])
            attempt += 1
        if attempt and pod.story is not None:
            pod.story = pod.story.then("ImagePullBackOff", world.now, "registry does not answer")
        if size > 0:
            world.log("Pulling", f"Pod {pod.key}", f'Pulling image "{image}"', pod.story or "")
            transfer = world.downlink.start(size)
            try:
                yield transfer
            except simpy.Interrupt:
                world.downlink.cancel(transfer)
                raise

    def _wait_for_services(self, pod: PodSim) -> Life:
        """Init containers wait for what the pod needs to start; the first wait is told."""
        needed = self.world.routes.startup_needs(pod.controller.model.id)
        missing = [service for service in needed if not _available(service)]
        if not missing:
            return
        names = ", ".join(service.id.partition(" ")[2] for service in missing)
        self.world.log("InitWaiting", f"Pod {pod.key}", f"init container waits for {names}", pod.story or "")
        while any(not _available(service) for service in needed):
            self._waiting += 1
            try:
                yield self._dependencies
            finally:
                self._waiting -= 1
        if pod.story is not None:
            pod.story = pod.story.then(f"waiting for {names}", self.world.now)

    def _restart(self, pod: PodSim) -> Life:
        """The next start after a crash: at once the first time, then 10 s, 20 s, … 300 s."""
        waits = series(self.world.timings, "k8s.crashloop_backoff_sequence")
        if pod.restarts > 0:
            delay = waits[min(pod.restarts, len(waits)) - 1]
            message = f"Back-off {delay:.0f}s restarting failed container"
            self.world.log("BackOff", f"Pod {pod.key}", message, pod.trouble or "", "warning")
            yield self.world.clock.env.timeout(delay)
            if pod.story is not None:
                pod.story = pod.story.then("CrashLoopBackOff", self.world.now)
        pod.restarts += 1
        yield from self._run(pod)

    def _run(self, pod: PodSim) -> Life:
        """Start the containers and wait until the pod is ready, or is killed by a probe and starts again."""
        while True:
            world, env = self.world, self.world.clock.env
            pod.started = world.now
            world.show(pod, "starting")
            answers, ready, killed = self._plan(pod)
            if killed == math.inf:
                world.show(pod, "unready")
                return
            if killed is None or killed > max(answers, ready):
                if answers <= ready:
                    yield env.timeout(answers)
                    self._answers(pod)
                    yield env.timeout(ready - answers)
                    self._ready(pod)
                else:
                    yield env.timeout(ready)
                    self._ready(pod)
                    yield env.timeout(answers - ready)
                    self._answers(pod)
                if pod.controller.runs_to_completion:
                    self._complete(pod)
                return
            yield env.timeout(killed)
            story = Story(f"probe of {pod.name} failed", world.now)
            self._fell_over(pod, story)
            world.log("Unhealthy", f"Pod {pod.key}", "Container failed its probe, will be restarted", story, "warning")
            waits = series(world.timings, "k8s.crashloop_backoff_sequence")
            if pod.restarts > 0:
                yield env.timeout(waits[min(pod.restarts, len(waits)) - 1])
            pod.restarts += 1

    def _plan(self, pod: PodSim) -> tuple[float, float, float | None]:
        """(answers, ready, killed) in seconds from the start; killed: None, or inf when it hangs for ever."""
        node, containers = pod.node, pod.controller.model.containers
        assert node is not None
        if pod.broken:
            limits = [probe.gives_up(0.0) for item in containers for probe in (item.startup or item.liveness,) if probe]
            if limits:
                return 0.0, 0.0, min(limits)
            if any(item.readiness for item in containers):
                return 0.0, 0.0, math.inf
            return 0.0, 0.0, max((item.startup_s for item in containers), default=0.0) / node.spec.speed
        times = [(item.startup_s / node.spec.speed, item) for item in containers]
        plans = [item.plan(answers) for answers, item in times]
        killed = [limit for _, limit in plans if limit is not None]
        return (
            max((answers for answers, _ in times), default=0.0),
            max((ready for ready, _ in plans), default=0.0),
            min(killed) if killed else None,
        )

    def _answers(self, pod: PodSim) -> None:
        if pod.story is not None:
            pod.story = pod.story.then("start", self.world.now)
        self.world.start_answering(pod)
        self.dependencies_changed()

    def _ready(self, pod: PodSim) -> None:
        pod.ready = True
        if pod.story is not None and pod.answers:
            pod.story = pod.story.then("readiness probe", self.world.now)
        self.world.show(pod, "ready")
        self.world.log("Ready", f"Pod {pod.key}", f"{pod.name} is ready", pod.story or "")
        self.report(pod)

    def _fell_over(self, pod: PodSim, story: Story) -> None:
        reset = self.world.timings.seconds("k8s.crashloop_reset")
        if self.world.now - pod.started > reset:
            pod.restarts = 0
        pod.trouble = story
        pod.story = story
        pod.ready = False
        self.world.stop_answering(pod, "reset")
        self.world.show(pod, "unready")
        self.report(pod)

    def _complete(self, pod: PodSim) -> None:
        pod.finished = True
        self.world.log("Completed", f"Pod {pod.key}", f"{pod.name} has finished")
        pod.process = None
        self.world.remove_pod(pod)

    def _end(self, pod: PodSim) -> None:
        """The processes are gone; so is the object, as soon as the API server hears of it."""
        if self.world.control_plane.active and pod.node is not None and pod.node.reachable:
            self.world.remove_pod(pod)
        else:
            self._ended[pod.uid] = pod


def _available(service: ServiceSim) -> bool:
    return service.manual or service.answering > 0
