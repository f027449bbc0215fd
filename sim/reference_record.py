"""What the reference engine writes down: the same measures as the compiled one, in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim.measures import BUCKETS, COARSE_BUCKETS, COARSE_SUB_BUCKETS, EngineMeasures, Exemplar, Hop, Parts, bucket_of
from sim.program import Outcome, Program

if TYPE_CHECKING:
    from sim.reference import Root
    from sim.reference_fluid import Group
    from sim.reference_requests import Pod, Visit

MAX_HOPS = 24
"""Visits that an exemplar keeps."""


class Recorder:
    """Counts and integrals since the last reset."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.series = program.series()
        self.lines = len(program.nodes) + len(program.links)
        self.log: list[tuple[int, int, int, float, float, int, int]] = []
        self.clear(0.0, ())

    def clear(self, now: float, pods: Sequence[Pod]) -> None:
        """Forget everything."""
        program, count = self.program, len(self.series)
        routes, bins = len(program.routes), program.bins
        self.start = now
        self.arrived = np.zeros(count, np.int64)
        self.outcomes = np.zeros((count, len(Outcome)), np.int64)
        self.in_flight = np.zeros(count, np.int64)
        self.edge_hits = np.zeros(count, np.int64)
        self.attempts = np.zeros(count, np.int64)
        self.latency = np.zeros((count, 2, BUCKETS), np.int64)
        self.latency_sum = np.zeros(count)
        self.latency_squares = np.zeros(count)
        self.bin_arrived = np.zeros((routes, bins), np.int64)
        self.bin_served = np.zeros((routes, bins), np.int64)
        self.bin_failed = np.zeros((routes, bins), np.int64)
        self.bin_latency = np.zeros((routes, bins, COARSE_BUCKETS), np.int32)
        self.service_sojourn = np.zeros((len(program.services), BUCKETS), np.int64)
        self.bin_service_queue_s = np.zeros((len(program.services), bins))
        self.bin_service_busy_s = np.zeros((len(program.services), bins))
        self.bin_service_throttled_s = np.zeros((len(program.services), bins))
        self.node_cpu_s = np.zeros(len(program.nodes))
        self.bin_node_cpu_s = np.zeros((len(program.nodes), bins))
        self.link_bytes = np.zeros(len(program.links))
        self.bin_link_bytes = np.zeros((len(program.links), bins))
        self.link_busy_s = np.zeros(len(program.links))
        self.exemplars: dict[int, list[Exemplar]] = {}
        for pod in pods:
            pod.clear_measures()

    # ------------------------------------------------------------------------------------------- requests

    def bin_of(self, time: float) -> int:
        """The bin of a time, -1 outside the series."""
        index = int((time - self.start) / self.program.bin_width)
        return index if index < self.program.bins else -1

    def arrival(self, root: Root) -> None:
        self.arrived[root.series] += 1
        self.in_flight[root.series] += 1
        index = self.bin_of(root.arrived)
        if index >= 0:
            self.bin_arrived[self.series[root.series][0], index] += 1

    def attempt(self, root: Root) -> None:
        root.attempts += 1
        if root.arrived >= self.start and root.epoch == self.start:
            self.attempts[root.series] += 1

    def root_ended(self, root: Root, status: int, now: float) -> None:
        root.ended = True
        self.log.append((root.source, root.number, root.operation, root.arrived, now, status, root.attempts))
        if root.epoch != self.start:
            return
        latency = now - root.arrived
        self.in_flight[root.series] -= 1
        self.outcomes[root.series, status] += 1
        good = status <= Outcome.DEGRADED
        self.latency[root.series, 0 if good else 1, bucket_of(latency)] += 1
        route, index = self.series[root.series][0], self.bin_of(now)
        if good:
            self.latency_sum[root.series] += latency
            self.latency_squares[root.series] += latency * latency
            self.edge_hits[root.series] += root.edge
        if index >= 0:
            (self.bin_served if good else self.bin_failed)[route, index] += 1
            if good:
                self.bin_latency[route, index, bucket_of(latency, COARSE_SUB_BUCKETS)] += 1
        self.keep_exemplar(route, root, status, latency)

    def keep_exemplar(self, route: int, root: Root, status: int, latency: float) -> None:
        kept = self.exemplars.setdefault(route, [])
        if len(kept) == self.program.exemplars:
            if not kept or latency <= kept[-1].latency:
                return
            kept.pop()
        hops = tuple(root.hops)
        kept.append(Exemplar(root.series, root.arrived, latency, Outcome(status), root.attempts, hops))
        kept.sort(key=lambda one: -one.latency)

    # ------------------------------------------------------------------------------------------- pods

    def before_change(self, pod: Pod) -> None:
        """The number of requests in the pod is about to change."""
        elapsed = pod.engine.now - pod.counted
        pod.busy_s += pod.busy * elapsed
        pod.queue_s += len(pod.queue) * elapsed
        service = pod.station.service
        self.spread(self.bin_service_busy_s[service], pod.counted, pod.engine.now, pod.busy)
        self.spread(self.bin_service_queue_s[service], pod.counted, pod.engine.now, len(pod.queue))
        pod.counted = pod.engine.now

    def refuse(self, pod: Pod) -> None:
        pod.refused += 1

    def after_admission(self, pod: Pod, memory: float) -> None:
        pod.accepted += 1
        pod.queue_max = max(pod.queue_max, len(pod.queue))
        pod.memory_max = max(pod.memory_max, memory)

    def visit_ended(self, visit: Visit) -> None:
        now = visit.engine.now
        self.service_sojourn[visit.operation.service, bucket_of(now - visit.arrived)] += 1
        self.hop(visit, visit.began)

    def hop(self, visit: Visit, started: float) -> None:
        """Add a visit that ends now to the trace of its request."""
        if not visit.root.ended:
            now = visit.engine.now
            parts = Parts(**visit.parts)
            hop = Hop(visit.pod.slot, visit.operation_index, visit.arrived, started, now, parts)
            hops = visit.root.hops
            if len(hops) < MAX_HOPS:
                hops.append(hop)
            else:
                shortest = min(range(MAX_HOPS), key=lambda index: hops[index].ended - hops[index].arrived)
                if hops[shortest].ended - hops[shortest].arrived < now - visit.arrived:
                    hops[shortest] = hop

    def throttled(self, pod: Pod, now: float, duration: float) -> None:
        """The pod is throttled from now on."""
        index = self.bin_of(now)
        if index >= 0:
            self.bin_service_throttled_s[pod.station.service, index] += duration

    # ------------------------------------------------------------------------------------------- machines and lines

    def use(self, group: Group, since: float, until: float, rate: float) -> None:
        """A group has used ``rate`` between two times."""
        group.used += rate * (until - since)
        order, nodes = group.resource.order, len(self.program.nodes)
        if order < nodes:
            total, bins, index = self.node_cpu_s, self.bin_node_cpu_s, order
        elif order < self.lines:
            total, bins, index = self.link_bytes, self.bin_link_bytes, order - nodes
            if group.active or group.resource.held > 0.0:
                self.link_busy_s[index] += until - since
        else:
            return
        total[index] += rate * (until - since)
        self.spread(bins[index], since, until, rate)

    def spread(self, bins: NDArray[np.float64], since: float, until: float, rate: float) -> None:
        """Book ``rate`` over the bins that lie between two times."""
        width = self.program.bin_width
        index = int((since - self.start) / width)
        while since < until and index < self.program.bins:
            end = min(self.start + (index + 1) * width, until)
            if end > since:
                bins[index] += rate * (end - since)
                since = end
            index += 1

    def finish(self, now: float, pods: Sequence[Pod]) -> EngineMeasures:
        """Everything up to ``now``; the accounts of machines and lines must be up to date."""
        for pod in pods:
            self.before_change(pod)
            pod.memory_max = max(pod.memory_max, pod.memory() if pod.state in ("up", "draining") else 0.0)
        kept = [self.exemplars[route] for route in sorted(self.exemplars)]
        return EngineMeasures(
            program=self.program,
            start=self.start,
            end=now,
            replications=1,
            series=self.series,
            pod_names=tuple(pod.station.name for pod in pods),
            arrived=self.arrived.copy(),
            outcomes=self.outcomes.copy(),
            in_flight=self.in_flight.copy(),
            edge_hits=self.edge_hits.copy(),
            attempts=self.attempts.copy(),
            latency=self.latency.copy(),
            latency_sum=self.latency_sum.copy(),
            latency_squares=self.latency_squares.copy(),
            bin_arrived=self.bin_arrived.copy(),
            bin_served=self.bin_served.copy(),
            bin_failed=self.bin_failed.copy(),
            bin_latency=self.bin_latency.copy(),
            pod_visits=np.array([pod.accepted for pod in pods], np.int64),
            pod_refused=np.array([pod.refused for pod in pods], np.int64),
            pod_busy_s=np.array([pod.busy_s for pod in pods], np.float64),
            pod_queue_s=np.array([pod.queue_s for pod in pods], np.float64),
            pod_queue_max=np.array([pod.queue_max for pod in pods], np.int64),
            pod_cpu_s=np.array([pod.group.used + pod.idle_used(now) for pod in pods], np.float64),
            pod_throttled_s=np.array([pod.group.throttled_until(now) for pod in pods], np.float64),
            pod_throttled_periods=np.array([pod.group.throttled_periods for pod in pods], np.int64),
            pod_memory_max=np.array([pod.memory_max for pod in pods], np.float64),
            service_sojourn=self.service_sojourn.copy(),
            bin_service_queue_s=self.bin_service_queue_s.copy(),
            bin_service_busy_s=self.bin_service_busy_s.copy(),
            bin_service_throttled_s=self.bin_service_throttled_s.copy(),
            node_cpu_s=self.node_cpu_s.copy(),
            bin_node_cpu_s=self.bin_node_cpu_s.copy(),
            link_bytes=self.link_bytes.copy(),
            bin_link_bytes=self.bin_link_bytes.copy(),
            link_busy_s=self.link_busy_s.copy(),
            exemplars=tuple(one for route in kept for one in route),
        )
