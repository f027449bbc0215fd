"""Pods per second of the vectorised scheduler and of its plain twin, in one run.

    python tests/benchmarks/bench_scheduler.py [--nodes 5000] [--pods 100000] [--templates 50]

The default is the size that Kubernetes supports. The plain twin gets a small sample of the same pods on the same nodes.
"""

from __future__ import annotations

import argparse
import copy
import random
import time
from collections.abc import Sequence
from typing import Any

from models.scheduler import Snapshot, schedule_pod
from models.scheduler.plain import Engine, PlainEngine
from models.scheduler.vector import VectorEngine

Manifest = dict[str, Any]


def make_nodes(count: int) -> list[Manifest]:
    """Nodes of three sizes in ten zones, each tenth one tainted."""
    sizes = (("8", "32Gi"), ("16", "64Gi"), ("32", "128Gi"))
    nodes = []
    for number in range(count):
        cpu, memory = sizes[number % 3]
        name = f"node-{number:04}"
        taints = [{"key": "dedicated", "value": "batch", "effect": "NoSchedule"}] if number % 10 == 0 else []
        nodes.append(
            {
                "metadata": {
                    "name": name,
                    "labels": {
                        "kubernetes.io/hostname": name,
                        "topology.kubernetes.io/zone": f"zone-{number % 10}",
                        "disk": "ssd" if number % 2 else "hdd",
                    },
                },
                "spec": {"taints": taints},
                "status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": "110"}},
            }
        )
    return nodes


def make_templates(count: int, seed: int) -> list[Manifest]:
    """Plain pod templates: requests only, every fifth with a node selector, every seventh with a toleration."""
    stream = random.Random(seed)
    templates = []
    for number in range(count):
        requests = {
            "cpu": f"{stream.randrange(20, 700, 10)}m",
            "memory": f"{stream.randrange(32, 2400, 32)}Mi",
        }
        spec: Manifest = {
            "containers": [{"name": "app", "image": f"app-{number}:1", "resources": {"requests": requests}}]
        }
        if number % 5 == 0:
            spec["nodeSelector"] = {"disk": "ssd"}
        if number % 7 == 0:
            spec["tolerations"] = [{"key": "dedicated", "operator": "Exists"}]
        templates.append(
            {"metadata": {"namespace": f"team-{number % 8}", "labels": {"app": f"app-{number}"}}, "spec": spec}
        )
    return templates


def make_pods(templates: Sequence[Manifest], count: int, seed: int) -> list[Manifest]:
    """Pods of the templates in random order, each its own manifest."""
    stream = random.Random(seed)
    pods = []
    for number in range(count):
        pod = copy.deepcopy(stream.choice(templates))
        pod["metadata"]["name"] = f"pod-{number}"
        pods.append(pod)
    return pods


def place(nodes: list[Manifest], pods: Sequence[Manifest], engine: Engine) -> tuple[float, float, list[str | None]]:
    """(seconds on the clock, seconds of CPU, nodes chosen) of scheduling the pods one after the other."""
    snapshot = Snapshot.of(nodes)
    chosen = []
    start, busy = time.perf_counter(), time.process_time()
    for pod in pods:
        parsed = snapshot.parse(pod)
        decision = schedule_pod(parsed, snapshot, engine=engine)
        chosen.append(decision.node)
        if decision.node is not None:
            snapshot = snapshot.with_pod(parsed, decision.node)
    return time.perf_counter() - start, time.process_time() - busy, chosen


def main() -> None:
    """Run both sides and print what they reach."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--pods", type=int, default=100_000)
    parser.add_argument("--templates", type=int, default=50)
    parser.add_argument("--plain-pods", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    nodes = make_nodes(arguments.nodes)
    pods = make_pods(make_templates(arguments.templates, arguments.seed), arguments.pods, arguments.seed + 1)
    size = f"on {len(nodes)} nodes"
    seconds, busy, fast = place(nodes, pods, VectorEngine())
    rate = len(pods) / seconds
    print(f"vectorised: {len(pods)} pods {size} in {seconds:.2f} s ({busy:.2f} s of CPU): {rate:,.0f} pods/s")
    sample = pods[: arguments.plain_pods]
    seconds, busy, slow = place(nodes, sample, PlainEngine())
    plain = len(sample) / seconds
    print(f"plain twin: {len(sample)} pods {size} in {seconds:.2f} s ({busy:.2f} s of CPU): {plain:,.1f} pods/s")
    print(f"ratio: {rate / plain:,.0f}, pending: {fast.count(None)}, same nodes chosen: {slow == fast[: len(slow)]}")


if __name__ == "__main__":
    main()
