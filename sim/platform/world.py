"""The world: all state of one replication, and the few verbs that change pods. Everything else acts through these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from models import scenario as schema
from models.catalog import Timings
from models.objects import Manifest
from models.rules.quota import Admission
from sim.placement import Placement
from sim.platform.clock import Clock, FairLink
from sim.platform.controlplane import ControlPlane
from sim.platform.endpoints import Endpoints
from sim.platform.external import Externals
from sim.platform.loadbalancer import LoadBalancers
from sim.platform.log import LaneState, QuotaSample, Recorder, Severity, Story
from sim.platform.model import WorkloadModel
from sim.platform.nodes import Nodes
from sim.platform.observer import PlatformObserver
from sim.platform.pods import Kubelet
from sim.platform.pressure import MemoryPressure
from sim.platform.scheduling import SchedulerLoop
from sim.platform.state import NodeSim, PodSim
from sim.platform.streams import Streams
from sim.platform.workloads import make_pod, pod_name

if TYPE_CHECKING:
    from sim.platform.availability import Availability
    from sim.platform.certificates import Certificates
    from sim.platform.controllers import Controller


class World:
    """One replication of a platform. Build one with :func:`sim.platform.build.build_world`."""

    load_balancers: LoadBalancers
    endpoints: Endpoints
    routes: Availability
    certificates: Certificates

    def __init__(
        self,
        placement: Placement,
        models: Mapping[str, WorkloadModel],
        scenario: schema.Scenario,
        timings: Timings,
        *,
        seed: int,
        replication: int,
        start: float,
        observer: PlatformObserver,
        detail: bool,
    ) -> None:
        self.placement = placement
        self.models = models
        self.scenario = scenario
        self.timings = timings
        self.seed = seed
        self.replication = replication
        self.clock = Clock(start)
        self.streams = Streams(seed, replication)
        self.observer = observer
        self.recorder = Recorder(detail=detail)
        self.ledger = placement.ledger.copy()
        self.volumes = placement.volumes
        self.pods: dict[str, PodSim] = {}
        self.controllers: dict[str, Controller] = {}
        self.dependents: dict[str, list[Controller]] = {}
        self.database_operators: list[Controller] = []
        self.downlink = FairLink(self.clock, scenario.spec.network.downlink)
        self.externals = Externals(self)
        self.control_plane = ControlPlane(self)
        self.nodes = Nodes(self, placement.cluster)
        self.kubelet = Kubelet(self)
        self.scheduler = SchedulerLoop(self)
        self.pressure = MemoryPressure(self)
        self.on_rollout: list[Callable[[], None]] = []
        self.on_change: list[Callable[[], None]] = []
        self._uid = 0
        self._quota_rows: dict[tuple[str, str, str], tuple[str, str]] = {}

    @property
    def now(self) -> float:
        """Seconds; 0 is the end of the warm-up."""
        return self.clock.now

    def changed(self) -> None:
        """Tell whoever waits for any change of pods (drains)."""
        for call in list(self.on_change):
            call()

    def log(self, kind: str, subject: str, message: str, cause: object = "", severity: Severity = "info") -> None:
        """Write an event down."""
        self.recorder.event(self.now, kind, subject, message, cause, severity)

    def new_pod(
        self, controller: Controller, number: int, revision: int, manifest: Manifest, *, broken: bool = False
    ) -> PodSim:
        """Register a pod object that the API server has accepted."""
        self._uid += 1
        metadata = manifest["metadata"]
        pod = PodSim(
            uid=self._uid,
            name=str(metadata["name"]),
            namespace=str(metadata["namespace"]),
            controller=controller,
            number=number,
            revision=revision,
            manifest=manifest,
            created=self.now,
            broken=broken,
        )
        self.pods[pod.key] = pod
        controller.pods[pod.uid] = pod
        self.endpoints.attach(pod)
        return pod

    def create_pod(
        self, controller: Controller, number: int, revision: int, story: Story, *, node: str = "", broken: bool = False
    ) -> str:
        """What a controller asks the API server for; the refusal, or "" when the pod now waits for the scheduler."""
        workload = controller.model.workload
        name = pod_name(workload, number, revision, node)
        if f"{workload.namespace}/{name}" in self.pods:
            return f'pods "{name}" already exists'
        identity = number if workload.controller in ("StatefulSet", "Cluster") else None
        prepared = self.placement.gate.prepare_again(
            (workload.id, revision, node, identity), name, lambda: make_pod(workload, number, revision, node)
        )
        if prepared.message:
            return prepared.message
        answer: Admission = self.ledger.try_admit(prepared.manifest)
        if not answer.allowed:
            return answer.message
        pod = self.new_pod(controller, number, revision, prepared.manifest, broken=broken)
        pod.story = story
        self.note_quota(pod.namespace)
        self.show(pod, "pending")
        self.log("SuccessfulCreate", controller.model.id, f"Created pod: {pod.name}", story)
        self.scheduler.add(pod)
        return ""

    def delete_pod(self, pod: PodSim, story: Story, *, force: bool = False) -> None:
        """A delete request: the pod leaves its endpoints now and is gone when its processes have ended.

        ``force``: gone at once, without grace. On a machine that does not answer the object stays until it returns.
        """
        if pod.gone or (pod.deleting and not force):
            return
        pod.deleting_since = self.now
        pod.trouble = pod.trouble or story
        self.endpoints.pod_changed(pod)
        pod.controller.lost(pod, story)
        if force or pod.node is None:
            self.remove_pod(pod)
            return
        if pod.node.reachable:
            self.kubelet.terminate(pod)
        else:
            self._release_later(pod)
        self.scheduler.pod_terminating(pod)
        self.show(pod, "terminating" if pod.node.reachable else "lost")
        pod.controller.wake()

    def _release_later(self, pod: PodSim) -> None:
        """The quota stops counting a pod that is stuck in deletion once its grace has passed twice.

        Source: pkg/quota/v1/evaluator/core/pods.go ``QuotaV1Pod``: deletionTimestamp (request + grace) plus grace.
        """

        def release() -> None:
            if not pod.gone and self.ledger.release(pod.key):
                self.note_quota(pod.namespace)

        pod.timers.append(self.clock.after(2 * pod.controller.model.grace_s, release))

    def remove_pod(self, pod: PodSim) -> None:
        """The pod object is gone; its room on the node and in the quota is free."""
        if pod.gone:
            return
        pod.gone = True
        self.kubelet.stop(pod)
        for timer in pod.timers:
            timer.cancel()
        self.pods.pop(pod.key, None)
        pod.controller.pods.pop(pod.uid, None)
        if self.ledger.release(pod.key):
            self.note_quota(pod.namespace)
        self.scheduler.removed(pod)
        if pod.answers:
            self.stop_answering(pod, "reset")
        self.endpoints.detach(pod)
        self.recorder.lane(self.now, pod.key, pod.uid, pod.controller.model.id, "", None)
        self.observer.pod_removed(self.now, pod)
        pod.controller.pod_removed(pod)
        self.changed()
        pod.controller.wake()

    def start_answering(self, pod: PodSim) -> None:
        """The pod's processes serve from now on."""
        if not pod.answers:
            pod.answers = True
            pod.trouble = None
            self.observer.pod_answers(self.now, pod)
            self.load_balancers.speaker_changed(pod)
            self.routes.pod_changed(pod)
            for other in self.dependents.get(pod.controller.id, ()):
                other.wake()

    def stop_answering(self, pod: PodSim, how: Literal["reset", "blackhole", "drain"]) -> None:
        """The pod's processes do not serve any more. ``how``: reset, blackhole or drain."""
        if pod.answers:
            pod.answers = False
            self.observer.pod_stops(self.now, pod, how)
            self.load_balancers.speaker_changed(pod)
            self.routes.pod_changed(pod)

    def show(self, pod: PodSim, state: LaneState) -> None:
        """The state of a pod for its lane."""
        pod.state = state
        self.recorder.lane(
            self.now, pod.key, pod.uid, pod.controller.model.id, pod.node.name if pod.node else "", state
        )

    def node(self, name: str) -> NodeSim:
        """The node of that name. Raises KeyError."""
        return self.nodes.by_name[name]

    def note_quota(self, namespace: str) -> None:
        """Write the quota keys of a namespace down that have changed."""
        if not self.recorder.detail:
            return
        for place, quota, key, used, hard in self.ledger.rows(namespace):
            if self._quota_rows.get((place, quota, key)) != (used, hard):
                self._quota_rows[(place, quota, key)] = (used, hard)
                self.recorder.quota(QuotaSample(self.now, place, quota, key, used, hard))
