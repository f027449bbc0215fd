"""From a pod's readiness to what the proxies do: EndpointSlices, watch fan-out, kube-proxy and Traefik throttles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.platform.state import PodSim, ServiceSim

if TYPE_CHECKING:
    from sim.platform.world import World


class Endpoints:
    """The endpoint controller and the proxies of all Services."""

    def __init__(self, world: World, services: dict[str, ServiceSim]) -> None:
        self.world = world
        self.services = services
        self._by_namespace: dict[str, list[ServiceSim]] = {}
        for service in services.values():
            if not service.manual:
                self._by_namespace.setdefault(service.namespace, []).append(service)

    def attach(self, pod: PodSim) -> None:
        """Find the Services that select the pod (again, after its labels changed)."""
        labels = pod.manifest["metadata"].get("labels") or {}
        if pod.role:
            labels = {**labels, "cnpg.io/instanceRole": pod.role, "role": pod.role}
        before = pod.services
        pod.services = [item for item in self._by_namespace.get(pod.namespace, ()) if item.selector.matches(labels)]
        for service in before:
            if service not in pod.services:
                service.pods.pop(pod.uid, None)
                self.refresh(service)
        for service in pod.services:
            service.pods[pod.uid] = pod

    def detach(self, pod: PodSim) -> None:
        """The pod object is gone."""
        for service in pod.services:
            service.pods.pop(pod.uid, None)
            self.refresh(service)

    def pod_changed(self, pod: PodSim) -> None:
        """Readiness or deletion changed."""
        for service in pod.services:
            self.refresh(service)

    def refresh(self, service: ServiceSim) -> None:
        """Recompute the endpoints; the proxies learn about a change after the propagation time."""
        if not self.world.control_plane.active:
            return
        wanted = tuple(
            pod
            for pod in service.pods.values()
            if pod.node is not None and not pod.deleting and not pod.finished and (pod.reported or service.unready_too)
        )
        if wanted == service.endpoints:
            return
        service.endpoints = wanted
        self.world.load_balancers.endpoints_changed(service)
        timings, stream = self.world.timings, self.world.streams[f"endpoints/{service.id}"]
        delay = stream.uniform(*timings.range_s("k8s.endpoint_propagation"))
        if service.throttled:
            delay += stream.uniform(0.0, timings.seconds("traefik.providers_throttle"))
        self.world.clock.after(delay, lambda: self._apply(service))

    def settle(self) -> None:
        """Everything at rest: the proxies know what is true. Used once, at the start."""
        for service in self.services.values():
            service.endpoints = tuple(pod for pod in service.pods.values() if pod.reported or service.unready_too)
            service.view = service.endpoints

    def resync(self) -> None:
        """The controller starts again after the control plane was away."""
        for service in self.services.values():
            self.refresh(service)

    def _apply(self, service: ServiceSim) -> None:
        if service.view == service.endpoints:
            return
        service.view = service.endpoints
        self.world.observer.endpoints_changed(self.world.now, service.id, service.view)
        self.world.routes.service_changed(service)
