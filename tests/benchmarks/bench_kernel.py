"""Speed of the compiled engine, each number with its rival measured in the same run.

    python tests/benchmarks/bench_kernel.py [name ...]

Times are CPU seconds of this process (wall time for the two-core benchmark), medians of rounds in which every engine
runs in turn. Names: chain, station, physics, day, cores, memory, growth, compile.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import ciw
import simpy

from sim.compiled import CompiledEngine
from sim.program import (
    Call,
    Cpu,
    Draw,
    Instruction,
    Node,
    Operation,
    PodStation,
    Policy,
    Program,
    Service,
    Source,
    Wait,
)

ROUNDS = 5
BASELINE = Path(__file__).parents[2] / "scenarios" / "baseline-day.yaml"
PATIENCE = Policy(timeout=1.0, retries=2, backoff=0.1, jitter=0.2)
MEANS = {"edge": 0.001, "ingress": 0.002, "auth": 0.002, "app": 0.020, "database": 0.008, "cache": 0.001}
CALLS = {"edge": ("ingress",), "ingress": ("auth", "app"), "app": ("database", "cache")}


def chain(rate: float, cpu: bool, cores: float = 8.0, nodes: int = 1, limit: float = float("inf")) -> Program:
    """Six hops: client -> edge -> ingress -> auth, then app, which holds its worker while it calls database, cache."""
    names = list(MEANS)

    def plan(name: str) -> tuple[Instruction, ...]:
        work: Instruction = Cpu(Draw(MEANS[name])) if cpu else Wait(Draw(MEANS[name]))
        return (work, *(Call(names.index(callee), policy=PATIENCE) for callee in CALLS.get(name, ())))

    return Program(
        nodes=tuple(Node(f"node-{index}", cores) for index in range(nodes)),
        services=tuple(Service(name) for name in names),
        operations=tuple(Operation(name, index, plan(name)) for index, name in enumerate(names)),
        sources=(Source("clients", 0, ((0, 1.0),), rates=(rate,), policy=PATIENCE),),
        routes=("route",),
        pods=tuple(
            PodStation(name, index, index % nodes, workers=8, cpu_limit=limit) for index, name in enumerate(names)
        ),
    )


def ours(program: Program, length: float) -> tuple[int, float]:
    """Requests and CPU seconds of the compiled engine."""
    engine = CompiledEngine(program, seed=1)
    engine.advance(0.0)
    begin = time.process_time()
    engine.advance(length)
    spent = time.process_time() - begin
    return int(engine.measures().outcomes.sum()), spent


def simpy_chain(rate: float, length: float) -> tuple[int, float]:
    """The same six hops as a person would write them with SimPy: processes, resources, timeouts, retries."""
    generator = random.Random(1)
    environment = simpy.Environment()
    pods = {name: simpy.Resource(environment, 8) for name in MEANS}
    served = 0

    def visit(name: str) -> Generator[Any, Any, None]:
        with pods[name].request() as worker:
            yield worker
            yield environment.timeout(generator.expovariate(1.0 / MEANS[name]))
            for callee in CALLS.get(name, ()):
                yield from call(callee)

    def call(name: str) -> Generator[Any, Any, bool]:
        for attempt in range(3):
            work = environment.process(visit(name))
            timer = environment.timeout(1.0)
            yield work | timer
            if work.triggered:
                return True
            with contextlib.suppress(RuntimeError):
                work.interrupt()
            yield environment.timeout(0.1 * 2**attempt * generator.uniform(0.8, 1.0))
        return False

    def client() -> Generator[Any, Any, None]:
        nonlocal served
        answered = yield from call("edge")
        served += answered

    def source() -> Generator[Any, Any, None]:
        while True:
            yield environment.timeout(generator.expovariate(rate))
            environment.process(client())

    environment.process(source())
    begin = time.process_time()
    environment.run(until=length)
    return served, time.process_time() - begin


def single(rate: float) -> Program:
    """M/M/4."""
    return Program(
        nodes=(Node("node", 1e6),),
        services=(Service("station"),),
        operations=(Operation("job", 0, (Wait(Draw(1.0)),)),),
        sources=(Source("clients", 0, ((0, 1.0),), rates=(rate,)),),
        routes=("route",),
        pods=(PodStation("pod", 0, 0, workers=4),),
    )


def simpy_single(rate: float, length: float) -> tuple[int, float]:
    """M/M/4 in SimPy."""
    generator = random.Random(1)
    environment = simpy.Environment()
    station = simpy.Resource(environment, 4)
    served = 0

    def customer() -> Generator[Any, Any, None]:
        nonlocal served
        with station.request() as server:
            yield server
            yield environment.timeout(generator.expovariate(1.0))
        served += 1

    def source() -> Generator[Any, Any, None]:
        while True:
            yield environment.timeout(generator.expovariate(rate))
            environment.process(customer())

    environment.process(source())
    begin = time.process_time()
    environment.run(until=length)
    return served, time.process_time() - begin


def ciw_single(rate: float, length: float) -> tuple[int, float]:
    """M/M/4 in Ciw."""
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(rate)],
        service_distributions=[ciw.dists.Exponential(1.0)],
        number_of_servers=[4],
    )
    ciw.seed(1)
    simulation = ciw.Simulation(network)
    begin = time.process_time()
    simulation.simulate_until_max_time(length)
    spent = time.process_time() - begin
    return len(simulation.get_all_records()), spent


def race(entries: dict[str, Callable[[], tuple[int, float]]]) -> dict[str, float]:
    """Median requests per CPU second of every entry, all running in turn."""
    speeds: dict[str, list[float]] = {name: [] for name in entries}
    for _ in range(ROUNDS):
        for name, entry in entries.items():
            count, spent = entry()
            speeds[name].append(count / spent)
    return {name: statistics.median(values) for name, values in speeds.items()}


def report(title: str, speeds: dict[str, float], goal: dict[str, float]) -> None:
    """Print speeds and the ratio of the first to every other, with the goal."""
    first, *others = speeds
    print(f"{title}: {first} {speeds[first]:,.0f}/s")
    for other in others:
        ratio = speeds[first] / speeds[other]
        wanted = f" (goal {goal[other]:.0f}x)" if other in goal else ""
        print(f"    {other} {speeds[other]:,.0f}/s -> {ratio:.0f}x{wanted}")


def bench_chain() -> None:
    """Six hops with timeouts and retries against idiomatic SimPy."""
    entries = {
        "compiled": lambda: ours(chain(50.0, cpu=False), 6_000.0),
        "SimPy": lambda: simpy_chain(50.0, 60.0),
    }
    report("six-hop chain", race(entries), {"SimPy": 75.0})


def bench_station() -> None:
    """One station against SimPy and Ciw."""
    entries = {
        "compiled": lambda: ours(single(3.0), 500_000.0),
        "SimPy": lambda: simpy_single(3.0, 8_000.0),
        "Ciw": lambda: ciw_single(3.0, 5_000.0),
    }
    report("M/M/4", race(entries), {"SimPy": 75.0, "Ciw": 150.0})


def bench_physics() -> None:
    """Six hops with shared cores and throttling."""
    entries = {
        "shared cores and quotas": lambda: ours(chain(50.0, cpu=True, limit=2.0), 10_000.0),
        "idle cores": lambda: ours(chain(50.0, cpu=True), 10_000.0),
        "two contended cores at 85 %": lambda: ours(chain(50.0, cpu=True, cores=2.0), 10_000.0),
        "three nodes": lambda: ours(chain(50.0, cpu=True, cores=2.0, nodes=3, limit=2.0), 10_000.0),
    }
    print("full physics: six-hop requests per CPU second (goal 1,000,000)")
    for name, speed in race(entries).items():
        print(f"    {name}: {speed:,.0f} -> {speed / 1e6:.2f}x of the goal")


def busy_platform(rate: float) -> Any:
    """The shipped scenario of a quiet day, as ``stowplan run`` reads it, with every rate raised to this many in all."""
    import stowplan  # here, because the benchmark of compilation counts imports

    study = stowplan.prepare(BASELINE)
    spec = study.scenario.spec
    usual = sum(sum(source.rates) / len(source.rates) for source in study.compiled.program.sources if source.rates)
    traffic = tuple(
        item if item.rate is None else item.model_copy(update={"rate": item.rate * rate / usual})
        for item in spec.traffic
    )
    return study.with_scenario(study.scenario.model_copy(update={"spec": spec.model_copy(update={"traffic": traffic})}))


def bench_day() -> None:
    """A day of the reference platform, its controllers and autoscalers included, at 50 requests per second."""
    from sim.study import replicate

    study = busy_platform(50.0)
    run = study.scenario.spec.run
    begin = time.process_time()
    measures = replicate(study, 0).measures
    spent = time.process_time() - begin
    requests, visits = int(measures.outcomes.sum()), int(measures.pod_visits.sum())
    print(
        f"the reference platform's day at 50 requests/s ({run.length / 3600:.0f} h and {run.warm_up:.0f} s of warm-up):"
    )
    print(f"    {requests:,} requests, {visits:,} station visits in {spent:.1f} s of CPU (goal 20 s)")
    print(f"    {1e9 * spent / visits:.0f} ns per visit: 30 million visits take {3e7 * spent / visits:.1f} s")
    count, spent = ours(chain(50.0, cpu=True, cores=4.0, nodes=3, limit=2.0), 86_400.0)
    print(f"a day of six-hop requests at 50/s: {count:,} requests in {spent:.1f} s of CPU (goal 20 s)")


LENGTH = 20_000.0


def replication(number: int) -> float:
    """One replication of the benchmark of two cores; a worker runs it. Returns the CPU seconds of its thread."""
    begin = time.thread_time()
    engine = CompiledEngine(chain(50.0, cpu=True), seed=1, replication=number)
    engine.advance(LENGTH)
    engine.measures()
    return time.thread_time() - begin


def bench_cores() -> None:
    """Two replications after each other, on two threads (the kernel releases the GIL), in two worker processes.

    Wall time is the goal, and is worth little on a machine that others use, too. CPU time tells what the two do to each
    other (caches, memory, locks): with two cores to themselves they would be that much faster.
    """
    wall: dict[str, list[float]] = {"after each other": [], "two threads": [], "two processes": []}
    cpu: dict[str, list[float]] = {name: [] for name in wall}
    with ProcessPoolExecutor(2, get_context("spawn")) as processes, ThreadPoolExecutor(2) as threads:
        runs: dict[str, Callable[[], list[float]]] = {
            "after each other": lambda: [replication(0), replication(1)],
            "two threads": lambda: list(threads.map(replication, (0, 1))),
            "two processes": lambda: list(processes.map(replication, (0, 1))),
        }
        list(processes.map(replication, (0, 1)))  # starts the workers
        for _ in range(ROUNDS):
            for name, run in runs.items():
                begin = time.perf_counter()
                cpu[name].append(max(run()))
                wall[name].append(time.perf_counter() - begin)
    alone, work = statistics.median(wall["after each other"]), statistics.median(cpu["after each other"])
    load = os.getloadavg()[0]
    print(f"two replications after each other: {alone:.2f} s of wall time, {work:.2f} s of CPU each (load {load:.1f})")
    for name in ("two threads", "two processes"):
        spent, each = statistics.median(wall[name]), statistics.median(cpu[name])
        print(f"    {name}: {spent:.2f} s of wall time -> {alone / spent:.2f}x (goal 1.8x)", end="; ")
        print(f"{each:.2f} s of CPU each -> {2 * work / each:.2f}x with the cores to themselves")


def bench_memory() -> None:
    """Peak memory of a process of its own after runs of growing length."""
    sizes = []
    for length in (1_000.0, 10_000.0, 100_000.0):
        with ProcessPoolExecutor(1, get_context("spawn")) as worker:
            sizes.append(worker.submit(peak_memory, length).result())
    print("peak memory after 50 thousand, 500 thousand, 5 million requests:", ", ".join(f"{x:.1f} MiB" for x in sizes))


def peak_memory(length: float) -> float:
    """Resident memory (MiB) at its largest during a run."""
    CompiledEngine(chain(50.0, cpu=True), seed=1).advance(length)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def bench_growth() -> None:
    """Cost per request with the number of requests in flight."""
    counts = (10, 100, 1_000, 10_000, 100_000)

    def crowd(users: int) -> Program:
        return Program(
            nodes=(Node("node", 1e6),),
            services=(Service("station"),),
            operations=(Operation("job", 0, (Wait(Draw(1.0)),)),),
            sources=(Source("clients", 0, ((0, 1.0),), users=users, think=Draw(0.001)),),
            routes=("route",),
            pods=(PodStation("pod", 0, 0),),
        )

    def entry(users: int) -> Callable[[], tuple[int, float]]:
        return lambda: ours(crowd(users), 1_000_000.0 / users)

    speeds = race({str(users): entry(users) for users in counts})
    print("in flight    CPU time per request    as a multiple of that for 10")
    for users in counts:
        cost, least = 1e9 / speeds[str(users)], 1e9 / speeds["10"]
        print(f"{users:9,d}    {cost:17.0f} ns    {cost / least:.2f}x")
    lengths = race({f"{length:,.0f}": lambda length=length: ours(single(3.0), length) for length in (1e5, 1e6)})  # type: ignore[misc]
    print("requests per CPU second of runs of 0.3 and 3 million:", ", ".join(f"{x:,.0f}" for x in lengths.values()))


def bench_compile() -> None:
    """All that a process pays until its first engine has run: with an empty cache, and later.

    The clock starts with the process, so that the interpreter and every import count. Rivals are not imported.
    """
    code = (
        "import pickle, sys, time\n"
        "program = pickle.load(sys.stdin.buffer)\n"
        "from sim.compiled import CompiledEngine\n"
        "CompiledEngine(program, seed=1).advance(1.0)\n"
        "print(time.process_time())"
    )
    program = pickle.dumps(chain(50.0, True))

    def start(directory: str) -> float:
        environment = dict(os.environ, STOWPLAN_CACHE_DIR=directory)
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, input=program, capture_output=True, check=True
        )
        return float(done.stdout)

    with tempfile.TemporaryDirectory() as directory:
        print(f"cold start of the kernel: {start(directory):.2f} s of CPU (goal 10 s)")
        later = statistics.median(start(directory) for _ in range(ROUNDS))
        print(f"warm start of the kernel: {later:.2f} s of CPU (goal 0.5 s)")


BENCHMARKS = {
    "chain": bench_chain,
    "station": bench_station,
    "physics": bench_physics,
    "day": bench_day,
    "cores": bench_cores,
    "memory": bench_memory,
    "growth": bench_growth,
    "compile": bench_compile,
}


def main(names: list[str]) -> None:
    """Run the named benchmarks, all of them by default."""
    for name in names or list(BENCHMARKS):
        BENCHMARKS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
