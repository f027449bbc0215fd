"""Textbook systems written as a scenario file and a few manifests: theory inside the interval, the interval narrow.

Formulas: Kleinrock, Queueing Systems I (1975); Gross, Shortle, Thompson, Harris, Fundamentals of Queueing Theory
(2008); CFS periods of 100 ms: Linux Documentation/scheduler/sched-bwc.rst.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_studies import container, deployment, service, study

from sim.measures import EngineMeasures
from sim.program import Outcome
from sim.statistics import Interval
from sim.statistics import replicate as repeat
from sim.study import Study, replicate

CONFIDENCE = 0.999
Dict = dict[str, Any]


def machine(cores: int, **fields: Any) -> Dict:
    """A cluster of one machine with nothing reserved, whose cores have speed 1."""
    node = {"name": "one", "machine": "m920q", "cores": cores, "speed": 1, "role": "server"}
    return {"nodes": [{**node, "reserved": {"cpu": 0, "memory": 0}, **fields}]}


def app(*steps: Dict, **fields: Any) -> Dict:
    """A profile that needs nothing but what its steps say."""
    return {"idleCpu": 0, "memory": 0, "startup": 0, "operations": [{"name": "job", "steps": list(steps)}], **fields}


def one_machine(
    folder: Path, apps: dict[str, Dict], *, cores: int = 1, limit: str = "", length: str = "10m", **traffic: Any
) -> Study:
    """One Deployment and Service per app on one machine; clients without any way to go call the first one."""
    own: Dict = {"resources": {"limits": {"cpu": limit}, "requests": {"cpu": "0"}}} if limit else {}
    return study(
        folder,
        [item for name in apps for item in (deployment(name, container(**own)), service(name))],
        cluster=machine(cores),
        network={"lanRtt": 0},
        profiles={f"Deployment/home/{name}": profile for name, profile in apps.items()},
        traffic=[{"service": f"home/{next(iter(apps))}", "client": {"timeout": "1h"}, **traffic}],
        run={"length": length, "warmUp": "30s"},
    )


def mean_latency(measures: EngineMeasures) -> float:
    return measures.mean_latency(0)


def refused(measures: EngineMeasures) -> float:
    return float(measures.outcomes[0, Outcome.REFUSED] / measures.outcomes[0].sum())


def prove(
    prepared: Study, theory: float, measure: Callable[[EngineMeasures], float] = mean_latency, width: float = 0.0125
) -> Interval:
    """Theory lies in the interval of at least twelve replications, whose half-width is at most ``width``."""
    found = repeat(
        lambda index: replicate(prepared, index).measures,
        measure,
        width,
        confidence=CONFIDENCE,
        at_least=12,
        at_most=60,
    )[1]
    assert theory in found, f"theory {theory:.6g} is not in [{found.low:.6g}, {found.high:.6g}]"
    assert found.relative <= width, f"half-width {found.relative:.2%}"
    return found


def timed(law: str, variation: float | None = None) -> Dict:
    return {"mean": "10ms", "law": law, **({} if variation is None else {"variation": variation})}


# ------------------------------------------------------------------------------------------------- one station


def test_mm1_takes_25_ms_at_60_percent(tmp_path: Path) -> None:
    jobs = app({"wait": "10ms"}, workers=1)
    prove(one_machine(tmp_path, {"app": jobs}, rate="60/s"), 0.010 / (1 - 0.6))


def test_mm1_on_one_core_of_twice_the_speed_takes_half_as_long(tmp_path: Path) -> None:
    prepared = study(
        tmp_path,
        [deployment("app", container()), service("app")],
        cluster=machine(1, speed=2),
        network={"lanRtt": 0},
        profiles={"Deployment/home/app": app({"cpu": "20ms"}, workers=1)},
        traffic=[{"service": "home/app", "rate": "60/s"}],
        run={"length": "10m", "warmUp": "30s"},
    )
    prove(prepared, 0.025)


def test_mmc_on_four_cores_waits_as_erlang_c_says(tmp_path: Path) -> None:
    servers, load = 4, 3.0
    blocked = load**servers / math.factorial(servers)
    blocked /= sum(load**n / math.factorial(n) for n in range(servers + 1))
    waits = servers * blocked / (servers - load * (1 - blocked))
    jobs = app({"cpu": "10ms"}, workers=servers)
    prove(one_machine(tmp_path, {"app": jobs}, cores=servers, rate="300/s"), 0.010 * (1 + waits / (servers - load)))


@pytest.mark.parametrize(
    ("law", "variation", "squared"),
    [
        ("constant", None, 0.0),  # M/D/1
        ("uniform", None, 1 / 3),
        ("erlang", 0.5, 0.25),
        ("lognormal", 1.2, 1.44),
        ("hyperexponential", 1.5, 2.25),
    ],
)
def test_mg1_waits_as_pollaczek_and_khinchine_say(
    tmp_path: Path, law: str, variation: float | None, squared: float
) -> None:
    jobs = app({"wait": timed(law, variation)}, workers=1)
    length = "30m" if squared > 1 else "10m"
    prove(
        one_machine(tmp_path, {"app": jobs}, rate="60/s", length=length), 0.010 * (1 + 0.6 * (1 + squared) / (2 * 0.4))
    )


def test_a_queue_of_four_behind_one_worker_refuses_as_mm1k_says(tmp_path: Path) -> None:
    rho, places = 0.9, 5
    jobs = app({"wait": "10ms"}, workers=1, queue=places - 1)
    theory = (1 - rho) * rho**places / (1 - rho ** (places + 1))
    prove(one_machine(tmp_path, {"app": jobs}, rate="90/s"), theory, refused)


def test_without_places_to_wait_six_workers_refuse_as_erlang_b_says_for_any_law(tmp_path: Path) -> None:
    load, servers = 4.0, 6
    theory = load**servers / math.factorial(servers) / sum(load**n / math.factorial(n) for n in range(servers + 1))
    jobs = app({"wait": timed("lognormal", 1.5)}, workers=servers, queue=0)
    prove(one_machine(tmp_path, {"app": jobs}, rate="400/s"), theory, refused)


@pytest.mark.parametrize("law", ["constant", "hyperexponential"])
def test_a_core_shared_by_all_threads_takes_25_ms_at_60_percent_whatever_the_law(tmp_path: Path, law: str) -> None:
    jobs = app({"cpu": timed(law, 1.5 if law == "hyperexponential" else None)}, workers="unlimited")
    prove(one_machine(tmp_path, {"app": jobs}, rate="60/s", length="30m"), 0.025)


def test_ten_users_who_think_100_ms_share_one_worker_as_the_machine_repair_model_says(tmp_path: Path) -> None:
    users, ratio = 10, 0.1  # work / thinking
    weights = [math.factorial(users) / math.factorial(users - n) * ratio**n for n in range(users + 1)]
    throughput = (1 - weights[0] / sum(weights)) / 0.010
    jobs = app({"wait": "10ms"}, workers=1)
    prove(one_machine(tmp_path, {"app": jobs}, users=users, thinkTime="100ms"), users / throughput - 0.100)


def test_a_user_who_thinks_exactly_one_second_asks_600_times_in_600_seconds_of_instant_answers(tmp_path: Path) -> None:
    think = {"mean": "1s", "law": "constant"}
    prepared = one_machine(tmp_path, {"app": app()}, users=1, thinkTime=think)
    assert int(replicate(prepared, 0).measures.arrived.sum()) == 600


# ------------------------------------------------------------------------------------------------- CFS quotas


def burst(folder: Path, work: str, limit: str, requests: int, cores: int) -> float:
    """Mean latency of requests of exactly that work that come at once, at the begin of a period."""
    jobs = app({"cpu": {"mean": work, "law": "constant"}})
    prepared = one_machine(
        folder, {"app": jobs}, cores=cores, limit=limit, bursts=[{"at": "10s", "requests": requests}], length="1m"
    )
    found = replicate(prepared, 0).measures
    assert int(found.outcomes[0, Outcome.SERVED]) == requests
    return mean_latency(found)


def test_190_ms_of_work_under_500m_take_340_ms(tmp_path: Path) -> None:
    # 50 ms of every 100 ms: 50 + 50 + 50 are done when the fourth period begins at 300 ms, the last 40 at 340 ms.
    assert burst(tmp_path, "190ms", "500m", 1, 4) == pytest.approx(0.340, rel=1e-9)


def test_two_threads_of_90_ms_under_one_core_take_140_ms(tmp_path: Path) -> None:
    # Both burn the 100 ms of the first period in 50 ms, wait for the next at 100 ms, and need 40 ms more each.
    assert burst(tmp_path, "90ms", "1", 2, 4) == pytest.approx(0.140, rel=1e-9)


def test_without_a_limit_the_two_take_90_ms(tmp_path: Path) -> None:
    assert burst(tmp_path, "90ms", "", 2, 4) == pytest.approx(0.090, rel=1e-9)


# ------------------------------------------------------------------------------------------------- call plans

BACKENDS = {name: app({"wait": "10ms"}) for name in ("a", "b", "c")}


def test_three_parallel_calls_of_10_ms_take_18_and_a_third(tmp_path: Path) -> None:
    fan = app({"parallel": [{"to": name} for name in BACKENDS]})
    prove(one_machine(tmp_path, {"app": fan, **BACKENDS}, rate="50/s"), 0.010 * (1 + 1 / 2 + 1 / 3))


def test_two_parallel_steps_follow_each_other(tmp_path: Path) -> None:
    pair = {"parallel": [{"to": "a"}, {"to": "b"}]}
    prove(one_machine(tmp_path, {"app": app(pair, pair), **BACKENDS}, rate="50/s"), 2 * 0.010 * (1 + 1 / 2))


def test_calls_with_probability_and_count_take_their_share_and_asynchronous_ones_nothing(tmp_path: Path) -> None:
    plan = app(
        {"call": {"to": "a", "count": 3}},
        {"call": {"to": "b", "probability": "50%"}},
        {"call": {"to": "c", "mode": "async", "count": 4}},
    )
    prepared = one_machine(tmp_path, {"app": plan, **BACKENDS}, rate="50/s")
    prove(prepared, 0.030 + 0.005)
    found = replicate(prepared, 0).measures
    visits = {name.split("/")[1][0]: int(n) for name, n in zip(found.pod_names, found.pod_visits, strict=True)}
    assert visits["c"] == pytest.approx(4 * int(found.arrived.sum()), abs=8)  # what is in flight at either end


def test_a_worker_is_held_while_it_waits_for_what_it_calls(tmp_path: Path) -> None:
    # One worker, a call of exactly 10 ms at 60/s: an M/D/1, although the app itself does nothing.
    backend = app({"wait": timed("constant")})
    prepared = one_machine(tmp_path, {"app": app({"call": {"to": "a"}}, workers=1), "a": backend}, rate="60/s")
    prove(prepared, 0.010 * (1 + 0.6 / (2 * 0.4)))


def test_a_cache_of_80_percent_pays_100_ms_for_a_fifth_of_the_requests(tmp_path: Path) -> None:
    slow = app({"wait": {"mean": "100ms", "law": "constant"}})
    quick = app({"wait": {"mean": "1ms", "law": "constant"}})
    cached = {"cache": {"hitRatio": "80%", "lookUp": {"to": "redis"}, "miss": [{"call": {"to": "db"}}]}}
    prepared = one_machine(tmp_path, {"app": app(cached), "redis": quick, "db": slow}, rate="50/s")
    prove(prepared, 0.001 + 0.2 * 0.100)


def test_a_cache_inside_the_app_needs_no_service(tmp_path: Path) -> None:
    cached = {"cache": {"hitRatio": "80%", "miss": [{"wait": {"mean": "100ms", "law": "constant"}}]}}
    prove(one_machine(tmp_path, {"app": app({"wait": timed("constant")}, cached)}, rate="50/s"), 0.010 + 0.2 * 0.100)


def test_a_megabyte_sent_and_four_got_take_40_ms_on_a_gigabit_card(tmp_path: Path) -> None:
    def exactly(size: str) -> Dict:
        return {"mean": size, "law": "constant"}

    call = {"to": "a", "request": exactly("1MB"), "reply": exactly("4MB")}
    arrivals = {"rate": "1/s", "arrivals": "renewal", "variation": 0}
    prepared = one_machine(tmp_path, {"app": app({"call": call}), "a": app()}, **arrivals)
    assert mean_latency(replicate(prepared, 0).measures) == pytest.approx(5 * 8e6 / 1e9, rel=1e-9)


def test_a_disk_step_pays_its_bytes_operations_and_flushes(tmp_path: Path) -> None:
    arrivals = {"rate": "1/s", "arrivals": "renewal", "variation": 0}
    step = {"disk": {"read": "30MB", "operations": 0, "write": "15MB", "fsyncs": 2}}
    prepared = one_machine(tmp_path, {"app": app(step)}, **arrivals)
    disk = prepared.compiled.program.disks[0]
    theory = 30e6 / disk.read_bandwidth + 15e6 / disk.write_bandwidth + 2 * disk.fsync
    assert mean_latency(replicate(prepared, 0).measures) == pytest.approx(theory, rel=1e-9)


def test_bodies_of_clients_go_over_the_card_of_the_node(tmp_path: Path) -> None:
    jobs = app()
    jobs["operations"][0]["reply"] = {"mean": "10MB", "law": "constant"}
    arrivals = {"rate": "1/s", "arrivals": "renewal", "variation": 0}
    prepared = one_machine(tmp_path, {"app": jobs}, **arrivals)
    assert mean_latency(replicate(prepared, 0).measures) == pytest.approx(0.080, rel=1e-9)
