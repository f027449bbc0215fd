"""Databases, addresses, certificates, outside systems, crash loops, cron jobs, and the properties every run has.

Sources: cloudnative-pg docs/src/failover.md (lease 15 s, retry 2 s), memberlist's suspicion timeout (MetalLB 5-7 s with
up to three speakers), cert-manager (renewal at 2/3, back-off 1 h to 32 h), pod-lifecycle (10 s … 300 s).
"""

import itertools
from collections.abc import Sequence
from typing import Any

import platform_worlds as w
import pytest

from models.errors import InputError
from models.platform import Platform
from sim.placement import Placement, place_platform
from sim.platform.log import PlatformLog
from sim.platform.observer import PlatformObserver
from sim.platform.routes import RouteModel
from sim.platform.simulation import PlatformSimulation, prepare_platform, simulate_platform
from sim.platform.state import PodSim

WEB = RouteModel("web.test", backends=(("Service home/web", 1.0),))
WRITES = RouteModel("writes", backends=(("Service home/db-rw", 1.0),))
READS = RouteModel("reads", backends=(("Service home/db-ro", 1.0),))


def database(instances: int) -> dict[str, Any]:
    return {
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "metadata": {"name": "db", "namespace": "home"},
        "spec": {"instances": instances, "storage": {"size": "1Gi", "storageClass": "local-path"}},
    }


def run(tree: Platform, cluster: Any = None, *, routes: Sequence[RouteModel] = (WEB,), **spec: Any) -> PlatformLog:
    cluster = cluster or w.cluster()
    placement = place_platform(tree, cluster, seed=1)
    return simulate_platform(tree, cluster, placement, w.exact(**spec), seed=1, routes=routes)


def without(tree: Platform, pod: str, **options: Any) -> tuple[PlatformLog, Placement]:
    """The log after the node of ``pod`` is lost for good; the control plane is elsewhere."""
    cluster = w.cluster(servers=1, agents=3)
    cluster.nodes[0].manifest["spec"] = {"unschedulable": True}
    placement = place_platform(tree, cluster, seed=1)
    node = next(str(item.node) for item in placement.pods if item.name == pod)
    scenario = w.exact(faults=[w.node_stop(node, **options)])
    log = simulate_platform(tree, cluster, placement, scenario, seed=1, routes=(WRITES, READS))
    return log, placement


def test_a_database_of_three_fails_over_within_60_to_90_seconds_of_a_node_loss():
    log, _ = without(w.platform(w.local_path_class(), database(3)), "db-1")
    (failover,) = [event for event in log.events if event.kind == "Failover"]
    assert failover.message == "db-2 is promoted to primary"
    (outage,) = log.routes["writes"].outages
    # 50 s of grace, a lease of 15 s, up to 2 s until the candidate tries, promotion, 1 s until the proxies know.
    assert 50 + 15 + 0.088 + 1 <= outage.end - outage.start <= 50 + 15 + 2 + 0.088 + 1.01
    assert "failover" in outage.cause
    assert "primary lease 15 s" in outage.cause


def test_the_old_primary_comes_back_as_a_replica():
    log, _ = without(w.platform(w.local_path_class(), database(2)), "db-1", duration="20m")
    assert [event.message for event in log.events if event.kind == "Failover"] == ["db-2 is promoted to primary"]
    (lost_reads,) = log.routes["reads"].outages
    # db-2 was the only replica: reads are away from its promotion until db-1 is back as a replica.
    assert lost_reads.end == pytest.approx(1311.0, abs=11.0)


def test_a_single_instance_waits_for_its_node():
    log, _ = without(w.platform(w.local_path_class(), database(1)), "db-1")
    (outage,) = log.routes["writes"].outages
    assert outage.end is None
    pin = outage.cause.partition(": ")[2]
    assert pin.startswith("volume home/db-1 (local-path) pins db to agent-")


def test_without_its_operator_a_database_does_not_fail_over():
    operator = w.deployment("cnpg")
    image = "ghcr.io/cloudnative-pg/cloudnative-pg:1.26.1"
    operator["spec"]["template"]["spec"]["containers"][0]["image"] = image
    tree = w.platform(w.local_path_class(), database(3), operator)
    cluster = w.cluster(servers=1, agents=3)
    cluster.nodes[0].manifest["spec"] = {"unschedulable": True}
    placement, primary = next(
        (item, str(first.node))
        for item in (place_platform(tree, cluster, seed=seed) for seed in range(1, 50))
        for first in item.by_workload["Cluster home/db"][:1]
        if first.node != item.by_workload["Deployment home/cnpg"][0].node
    )
    faults = [w.fault("pod-failure", "home/cnpg", at="50s", duration="10m"), w.node_stop(primary)]
    log = simulate_platform(tree, cluster, placement, w.exact(faults=faults), seed=1, routes=(WRITES,))
    moved = [event.t for event in log.events if event.kind == "Failover"]
    # The operator runs again at 650 s and needs ten seconds to start; then the lease of 15 s.
    assert moved[0] == pytest.approx(660.0 + 15.0 + 1.0, abs=2.1)


def metallb(replicas: int, **spec: Any) -> Platform:
    speaker = w.daemon_set("speaker")
    speaker["spec"]["template"]["spec"]["containers"][0]["image"] = "quay.io/metallb/speaker:v0.15.2"
    proxy = w.service("web", type="LoadBalancer", **spec)
    return w.platform(speaker, w.deployment("web", replicas), proxy)


ENTRY = RouteModel("web.test", entry="Service home/web")


def test_an_address_moves_in_5_to_7_seconds_when_its_node_dies():
    tree = metallb(3)
    cluster = w.cluster()
    placement = place_platform(tree, cluster, seed=1)
    program = prepare_platform(tree, placement, w.exact(), routes=(ENTRY,))
    announcer = PlatformSimulation(program, seed=1).world.load_balancers.balancers["Service home/web"].announcer
    assert announcer is not None
    scenario = w.exact(faults=[w.node_stop(announcer.name)])
    log = simulate_platform(tree, cluster, placement, scenario, seed=1, routes=(ENTRY,))
    (outage,) = log.routes["web.test"].outages
    assert outage.end is not None
    assert 5.0 <= outage.end - 100.0 <= 7.0
    assert f"node {announcer.name} lost -> MetalLB failover" in outage.cause


def test_k3s_servicelb_loses_a_third_of_the_clients_until_the_node_is_not_ready():
    tree = w.platform(w.deployment("web", 3), w.service("web", type="LoadBalancer"))
    cluster = w.cluster(distribution="k3s", servers=1, agents=2)
    placement = place_platform(tree, cluster, seed=1)
    scenario = w.exact(faults=[w.node_stop("agent-2")])
    log = simulate_platform(tree, cluster, placement, scenario, seed=1, routes=(ENTRY,))
    assert log.routes["web.test"].outages == ()
    shares = {round(value, 3) for t, value in log.routes["web.test"].steps if 100.0 <= t < 150.0}
    assert shares <= {round(2 / 3, 3), round(4 / 9, 3)}


def test_a_crashing_container_restarts_at_once_then_after_10_20_and_40_seconds():
    faults = [w.fault("container-kill", "home/web", at=f"{100 + 100 * n}s") for n in range(4)]
    for number, fault in enumerate(faults):
        fault["name"] = f"kill-{number}"
    log = run(w.platform(w.deployment("web"), w.service("web")), faults=faults)
    ends = [(outage.start, round(outage.end or 0.0, 3)) for outage in log.routes["web.test"].outages]
    # Ten seconds to start, after 0, 10, 20 and 40 s of back-off.
    assert ends == [(100.0, 110.0), (200.0, 220.0), (300.0, 330.0), (400.0, 450.0)]


def test_without_a_registry_a_new_node_cannot_pull_until_it_is_back():
    tree = w.platform(w.deployment("web"), w.service("web"))
    faults = [
        {
            "name": "registry",
            "type": "NetworkChaos",
            "action": "partition",
            "selector": {"external": ["registry"]},
            "at": "50s",
            "duration": "1000s",
        },
        w.fault("pod-kill", "home/web"),
    ]
    log = run(tree, faults=faults)
    (outage,) = log.routes["web.test"].outages
    # Attempts 10, 20, 40, 80, 160, 300, 300, 300 s apart: the first after 1050 s is at 100+910 or later.
    assert outage.end is not None
    attempts = [100.0 + total for total in (10, 30, 70, 150, 310, 610, 910, 1210)]
    first = next(time for time in attempts if time >= 1050.0)
    replaced_where_it_was = outage.end == pytest.approx(110.0)
    assert replaced_where_it_was or outage.end == pytest.approx(first + 12.0)


def test_the_internet_is_needed_by_external_routes_only():
    inside, outside = WEB, RouteModel("out", externals=("internet",), backends=WEB.backends)
    cut = {
        "name": "uplink",
        "type": "NetworkChaos",
        "action": "partition",
        "selector": {"external": ["internet"]},
        "at": "100s",
        "duration": "5m",
    }
    log = run(w.platform(w.deployment("web"), w.service("web")), routes=(inside, outside), faults=[cut])
    assert log.routes["web.test"].outages == ()
    (outage,) = log.routes["out"].outages
    assert (outage.start, outage.end) == (100.0, 400.0)
    assert outage.cause == "internet down (uplink) -> until it was back 300 s"


def certificate_world() -> tuple[Platform, RouteModel]:
    certificate = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "web", "namespace": "home"},
        "spec": {"secretName": "web-tls", "issuerRef": {"name": "letsencrypt"}},
    }
    route = RouteModel("web.test", backends=WEB.backends, certificate="Certificate home/web")
    return w.platform(w.deployment("web"), w.service("web"), certificate), route


def test_certificates_are_renewed_every_60_of_their_90_days():
    tree, route = certificate_world()
    log = run(tree, routes=(route,), run={"length": "1y", "warmUp": "0"})
    issued = [event.t / 86400.0 for event in log.events if event.kind == "CertificateIssued"]
    assert len(issued) in (6, 7)
    assert [round(b - a) for a, b in itertools.pairwise(issued)] == [60] * (len(issued) - 1)
    assert log.routes["web.test"].outages == ()


def test_when_renewals_fail_for_100_days_the_certificate_expires_and_the_route_with_it():
    tree, route = certificate_world()
    fault = {"name": "acme", "type": "CertificateChaos", "action": "renewal-failure", "at": "0s", "duration": "100d"}
    log = run(tree, routes=(route,), faults=[fault], run={"length": "200d", "warmUp": "0"})
    (outage,) = log.routes["web.test"].outages
    assert outage.end is not None
    # Attempts are at most 32 h apart, so it is issued within 32 h (and 3 min) after the fault is over.
    assert 100.0 <= outage.end / 86400.0 <= 100.0 + 32.0 / 24.0 + 0.01
    assert outage.start / 86400.0 <= 90.0
    assert "CertificateExpired" in [event.kind for event in log.events]


def test_a_cron_job_every_five_minutes_runs_twelve_times_an_hour():
    job = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "cron", "namespace": "home"},
        "spec": {
            "schedule": "*/5 * * * *",
            "jobTemplate": {
                "spec": {"template": {"spec": {**w.pod_spec("cron"), "restartPolicy": "Never"}}},
            },
        },
    }
    log = run(w.platform(job))
    assert len([event for event in log.events if event.kind == "Completed"]) == 11
    assert [event.t for event in log.events if event.kind == "SuccessfulCreate"] == [300.0 * n for n in range(1, 13)]


def test_a_selector_that_matches_nothing_is_an_input_error():
    with pytest.raises(InputError, match=r"spec\.faults\[0\]\.selector: fault 'crash' selects nothing"):
        run(w.platform(w.deployment("web")), faults=[w.node_stop("nowhere")])


def stormy() -> tuple[Platform, dict[str, Any]]:
    tree = w.platform(
        w.local_path_class(),
        w.claim("media"),
        w.deployment("films", claim="media", cpu="2"),
        w.service("films"),
        w.deployment("web", 3, cpu="1500m"),
        w.service("web"),
        w.stateful_set("store", 2, storage="local-path", cpu="500m"),
        w.service("store"),
        w.daemon_set("agent"),
        database(2),
        w.quota(requests_cpu="11", pods="14"),
    )
    faults = [
        {"name": "node", "type": "NodeChaos", "action": "node-stop", "mtbf": "1d", "mttr": "2h"},
        {"name": "pod", "type": "PodChaos", "action": "container-kill", "schedule": "*/30 * * * *", "mode": "one"},
        {
            "name": "kill",
            "type": "PodChaos",
            "action": "pod-kill",
            "schedule": "7 * * * *",
            "mode": "fixed",
            "value": 2,
        },
    ]
    faults[1]["selector"] = faults[2]["selector"] = {"namespaces": ["home"]}
    return tree, {"faults": faults, "run": {"length": "10d", "warmUp": "0"}}


class Watch(PlatformObserver):
    """Checks at every event that no node and no quota is overfull and that a pod answers at most once."""

    def __init__(self) -> None:
        self.simulation: PlatformSimulation | None = None
        self.answering: dict[int, bool] = {}
        self.checks = 0

    def pod_answers(self, t: float, pod: PodSim) -> None:
        assert not self.answering.get(pod.uid, False)
        self.answering[pod.uid] = True
        self.check()

    def pod_stops(self, t: float, pod: PodSim, how: str) -> None:
        assert self.answering[pod.uid]
        self.answering[pod.uid] = False

    def pod_removed(self, t: float, pod: PodSim) -> None:
        assert not self.answering.get(pod.uid, False)

    def check(self) -> None:
        if self.simulation is None:
            return
        self.checks += 1
        world = self.simulation.world
        for name in world.nodes.by_name:
            assert all(left >= 0 for left in world.scheduler.snapshot.free(name).values())
        used = world.ledger.use("home", "home")
        assert used["requests.cpu"].milli_value() <= 11_000
        assert used["pods"].value() <= 14
        bound = [pod.key for name in world.nodes.by_name for pod in world.scheduler.snapshot.pods_on(name)]
        assert len(bound) == len(set(bound))


def test_ten_stormy_days_never_overfill_a_node_or_a_quota():
    tree, spec = stormy()
    placement = place_platform(tree, w.cluster(), seed=1)
    program = prepare_platform(tree, placement, w.exact(**spec), routes=(WEB,))
    watch = Watch()
    simulation = PlatformSimulation(program, seed=3, observer=watch)
    watch.simulation = simulation
    simulation.run(864_000.0)
    assert watch.checks > 100
    log = simulation.log()
    for lane in log.pod_lanes:
        assert all(a.end == b.start for a, b in itertools.pairwise(lane.segments))
    assert all(0.0 <= value <= 1.0 for route in log.routes.values() for _, value in route.steps)


def test_the_same_seed_gives_the_same_log_and_another_does_not():
    tree, spec = stormy()
    placement = place_platform(tree, w.cluster(), seed=1)
    scenario = w.exact(**spec)
    first, second, other = (
        simulate_platform(tree, placement.cluster, placement, scenario, seed=seed, routes=(WEB,), until=200_000.0)
        for seed in (5, 5, 6)
    )
    assert first == second
    assert first.events != other.events


def test_running_in_pieces_changes_nothing():
    tree, spec = stormy()
    placement = place_platform(tree, w.cluster(), seed=1)
    program = prepare_platform(tree, placement, w.exact(**spec), routes=(WEB,))
    whole, pieces = PlatformSimulation(program, seed=5), PlatformSimulation(program, seed=5)
    whole.run(100_000.0)
    for stop in range(10_000, 100_001, 10_000):
        pieces.run(float(stop))
    assert whole.log() == pieces.log()


def test_alternatives_share_the_same_failures():
    # Two replicas more change nothing about when machines fail.
    _, spec = stormy()
    times = []
    for replicas in (3, 2):
        other = w.platform(w.deployment("web", replicas), w.service("web"))
        placement = place_platform(other, w.cluster(), seed=1)
        faults = spec["faults"][:1]
        log = simulate_platform(
            other, placement.cluster, placement, w.exact(**{**spec, "faults": faults}), seed=5, routes=(WEB,)
        )
        times.append([(event.t, event.subject) for event in log.events if event.kind == "NodeLost"])
    assert times[0] == times[1]
    assert len(times[0]) > 5
