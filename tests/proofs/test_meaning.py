"""What every part of a call plan means, in cases whose outcome can be worked out by hand, on both engines."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from sim.compiled import CompiledEngine
from sim.engine import Notice
from sim.measures import Parts
from sim.program import (
    LANDING,
    POOL_OF_POD,
    Cache,
    Call,
    Cpu,
    Deny,
    Disk,
    DiskIo,
    Draw,
    Hold,
    Instruction,
    Link,
    Node,
    Operation,
    Outcome,
    PodStation,
    Policy,
    Pool,
    Program,
    RateLimit,
    Service,
    Source,
    Transfer,
    Wait,
)
from sim.reference import ReferenceEngine

Engine = CompiledEngine | ReferenceEngine
BOTH = pytest.mark.parametrize("kind", ["compiled", "reference"])
SERVED, DEGRADED, DENIED, LIMITED, REFUSED, TIMED_OUT, RESET, NO_ENDPOINT = list(Outcome)[:8]


def seconds(value: float) -> Draw:
    return Draw(value, "constant")


def world(*plans: tuple[Instruction, ...], times: tuple[float, ...] = (0.0,), **changes: Any) -> Program:
    """Operation i of service i with one pod; a trace of clients asks for the first one."""
    source = Source("clients", 0, ((0, 1.0),), trace=times, policy=changes.pop("policy", Policy()))
    program = Program(
        nodes=(Node("node", 64.0),),
        services=tuple(Service(f"service-{index}") for index in range(len(plans))),
        operations=tuple(Operation(f"operation-{index}", index, plan) for index, plan in enumerate(plans)),
        sources=(source,),
        routes=("route",),
        pods=tuple(PodStation(f"pod-{index}", index, 0) for index in range(len(plans))),
        bins=0,
    )
    return replace(program, **changes)


def make(program: Program, kind: str) -> Engine:
    if kind == "compiled":
        return CompiledEngine(program, seed=1, log=True)
    return ReferenceEngine(program, seed=1)


def log(engine: Engine) -> list[tuple[float, Outcome, int]]:
    """(end, outcome, attempts) of every request, in order of arrival."""
    entries = sorted(engine.request_log(), key=lambda entry: entry[:2])
    return [(round(end, 9), Outcome(outcome), attempts) for _, _, _, _, end, outcome, attempts in entries]


def ran(program: Program, kind: str, until: float = 100.0) -> Engine:
    engine = make(program, kind)
    engine.advance(until)
    return engine


# ------------------------------------------------------------------------------------------------- resilience


@BOTH
def test_a_hedge_after_100_ms_is_answered_by_the_fast_pod_50_ms_later(kind: str) -> None:
    # 50 ms of work take 500 ms on the slow node. The first turn is the slow pod's.
    program = world(
        (Cpu(seconds(0.05)),),
        nodes=(Node("slow", 4.0, speed=0.1), Node("fast", 4.0)),
        pods=(PodStation("slow", 0, 0), PodStation("fast", 0, 1)),
        policy=Policy(hedge=0.1, balance="round_robin"),
    )
    engine = ran(program, kind)
    assert log(engine) == [(0.15, SERVED, 1)]
    assert engine.measures().pod_visits.tolist() == [1, 1]


@BOTH
def test_two_timeouts_in_a_row_open_the_breaker_for_ten_seconds_then_one_trial_goes_through(kind: str) -> None:
    policy = Policy(timeout=1.0, breaker_failures=2, breaker_open=10.0)
    engine = ran(world((Wait(seconds(5.0)),), times=(0.0, 2.0, 4.0, 5.0, 14.5, 14.6), policy=policy), kind)
    # Open from 3 s to 13 s; at 14.5 s a trial, which fails, so that 14.6 s is refused at once.
    expected = [(1.0, TIMED_OUT), (3.0, TIMED_OUT), (4.0, REFUSED), (5.0, REFUSED), (15.5, TIMED_OUT), (14.6, REFUSED)]
    assert [entry[:2] for entry in log(engine)] == expected
    assert engine.measures().pod_visits.tolist() == [3]


@BOTH
def test_a_successful_trial_closes_the_breaker(kind: str) -> None:
    policy = Policy(breaker_failures=1, breaker_open=1.0)
    program = world((Wait(seconds(0.1)),), times=(0.0, 0.5, 2.0, 2.05, 3.0), policy=policy)
    engine = make(program, kind)
    engine.set_endpoints(0, [])
    engine.advance(1.0)
    engine.set_endpoints(0, [0])
    engine.advance(10.0)
    assert [outcome for _, outcome, _ in log(engine)] == [NO_ENDPOINT, REFUSED, SERVED, REFUSED, SERVED]


@BOTH
def test_a_budget_of_20_percent_allows_the_fifth_and_the_tenth_request_one_retry(kind: str) -> None:
    policy = Policy(retries=3, backoff=0.1, budget=0.2)
    engine = make(world((Wait(seconds(0.1)),), times=tuple(map(float, range(10))), policy=policy), kind)
    engine.set_endpoints(0, [])
    engine.advance(20.0)
    assert [attempts for _, _, attempts in log(engine)] == [1, 1, 1, 1, 2, 1, 1, 1, 1, 2]


@BOTH
def test_back_off_doubles_from_100_ms_so_three_retries_take_700_ms(kind: str) -> None:
    engine = make(world((Wait(seconds(0.1)),), policy=Policy(retries=3, backoff=0.1)), kind)
    engine.set_endpoints(0, [])
    engine.advance(20.0)
    assert log(engine) == [(0.7, NO_ENDPOINT, 4)]


def test_a_jitter_of_one_half_takes_a_quarter_of_the_back_off_away_in_the_mean() -> None:
    count = 4000
    policy = Policy(retries=3, backoff=0.1, jitter=0.5)
    engine = make(world((Wait(seconds(0.1)),), times=tuple(map(float, range(count))), policy=policy), "compiled")
    engine.set_endpoints(0, [])
    engine.advance(count + 10.0)
    pauses = [end - number for number, (end, _, _) in enumerate(log(engine))]
    assert min(pauses) >= 0.35 - 1e-9
    assert max(pauses) <= 0.7 + 1e-9
    # Uniform parts of 50, 100 and 200 ms: variance (0.05^2 + 0.1^2 + 0.2^2) / 12; 4.5 standard errors.
    error = math.sqrt((0.05**2 + 0.1**2 + 0.2**2) / 12.0 / count)
    assert sum(pauses) / count == pytest.approx(0.525, abs=4.5 * error)


@BOTH
def test_a_cancelled_request_frees_its_worker_and_an_orphan_keeps_it(kind: str) -> None:
    def ends(cancel: bool) -> list[tuple[float, Outcome, int]]:
        program = world((Wait(seconds(3.0)),), times=(0.0, 1.5), policy=Policy(timeout=3.2, cancel=cancel))
        program = replace(program, pods=(PodStation("pod", 0, 0, workers=1),))
        short = replace(program.sources[0], policy=Policy(timeout=1.0, cancel=cancel), trace=(0.0,))
        second = replace(program.sources[0], trace=(1.5,))
        return log(ran(replace(program, sources=(short, second)), kind))

    assert ends(cancel=True) == [(1.0, TIMED_OUT, 1), (4.5, SERVED, 1)]
    assert ends(cancel=False) == [(1.0, TIMED_OUT, 1), (4.7, TIMED_OUT, 1)]  # begins at 3.0 s, would end at 6.0 s


# ------------------------------------------------------------------------------------------------- the ingress


@BOTH
def test_a_token_bucket_of_one_per_second_and_two_at_once_answers_429_and_is_not_retried(kind: str) -> None:
    times = (0.0, 0.0, 0.0, 0.5, 1.0)
    engine = ran(world((RateLimit(1.0, 2.0),), times=times, policy=Policy(retries=3, backoff=0.1)), kind)
    assert [entry[1:] for entry in log(engine)] == [
        (SERVED, 1),
        (SERVED, 1),
        (LIMITED, 1),
        (LIMITED, 1),  # half a token
        (SERVED, 1),
    ]


@BOTH
def test_a_request_that_forward_auth_denies_gets_403_after_the_question_and_never_reaches_the_app(kind: str) -> None:
    program = world(
        (Call(1), Deny(1.0), Call(2)), (Wait(seconds(0.02)),), (Wait(seconds(0.5)),), policy=Policy(retries=2)
    )
    engine = ran(program, kind)
    assert log(engine) == [(0.02, DENIED, 1)]
    assert engine.measures().pod_visits.tolist() == [1, 1, 0]


# ------------------------------------------------------------------------------------------------- call plans


@BOTH
@pytest.mark.parametrize(("mode", "expected"), [("sequential", 0.6), ("parallel", 0.4), ("async", 0.1)])
def test_calls_of_300_and_200_ms_before_100_ms_of_work(kind: str, mode: Any, expected: float) -> None:
    plan = (Call(1, mode=mode), Call(2, mode=mode), Wait(seconds(0.1)))
    engine = ran(world(plan, (Wait(seconds(0.3)),), (Wait(seconds(0.2)),)), kind)
    assert log(engine) == [(expected, SERVED, 1)]
    assert engine.measures().pod_visits.tolist() == [1, 1, 1]


@BOTH
@pytest.mark.parametrize(
    ("mode", "soft", "expected"),
    [
        ("sequential", False, NO_ENDPOINT),
        ("parallel", False, NO_ENDPOINT),
        ("sequential", True, DEGRADED),
        ("async", False, SERVED),
    ],
)
def test_what_a_failed_call_does_to_its_caller(kind: str, mode: Any, soft: bool, expected: Outcome) -> None:
    engine = make(world((Call(1, mode=mode, soft=soft), Wait(seconds(0.1))), (Wait(seconds(0.3)),)), kind)
    engine.set_endpoints(1, [])
    engine.advance(10.0)
    assert log(engine)[0][1] == expected


@BOTH
def test_a_count_of_three_repeats_the_call_one_after_the_other(kind: str) -> None:
    assert log(ran(world((Call(1, count=3),), (Wait(seconds(0.1)),)), kind)) == [(0.3, SERVED, 1)]


def test_a_probability_of_one_quarter_is_that_of_every_repetition() -> None:
    count = 5000
    program = world((Call(1, probability=0.25, count=4),), (), times=tuple(map(float, range(count))))
    visits = int(ran(program, "compiled", count + 1.0).measures().pod_visits[1])
    deviation = math.sqrt(4 * count * 0.25 * 0.75)
    assert abs(visits - count) <= 4.5 * deviation


@BOTH
def test_two_payloads_share_the_uplink_after_its_round_trip(kind: str) -> None:
    program = world((Transfer(seconds(1e6), 0),), times=(0.0, 0.0), links=(Link("uplink", 1e6, rtt=0.05),))
    engine = ran(program, kind)
    assert log(engine) == [(2.05, SERVED, 1)] * 2
    assert engine.measures().link_bytes.tolist() == pytest.approx([2e6])


# ------------------------------------------------------------------------------------------------- streams


@BOTH
@pytest.mark.parametrize(("degrade", "second"), [(False, REFUSED), (True, DEGRADED)])
def test_a_second_stream_finds_no_encoder_and_a_third_finds_it_free_again(
    kind: str, degrade: bool, second: Outcome
) -> None:
    plan = (Hold(seconds(10.0), pool=0, degrade=degrade),)
    engine = ran(world(plan, times=(0.0, 1.0, 11.0), pools=(Pool("encoders", 1.0),)), kind)
    assert [entry[:2] for entry in log(engine)] == [(10.0, SERVED), (1.0, second), (21.0, SERVED)]


@BOTH
def test_a_stream_is_refused_when_the_uplink_has_too_little_left_and_slows_downloads_meanwhile(kind: str) -> None:
    stream, page = (Hold(seconds(10.0), link=0, bandwidth=6e6),), (Transfer(seconds(8e6), 0),)
    program = world(stream, page, times=(0.0, 1.0), links=(Link("uplink", 10e6),))
    pages = Source("pages", 0, ((1, 1.0),), trace=(2.0, 20.0))
    engine = ran(replace(program, sources=(*program.sources, pages)), kind)
    assert [entry[:2] for entry in log(engine)] == [
        (10.0, SERVED),
        (1.0, REFUSED),
        (4.0, SERVED),  # 8 MB at the 4 MB/s that the stream leaves
        (20.8, SERVED),
    ]


# ------------------------------------------------------------------------------------------------- pods


@BOTH
def test_memory_that_grows_by_a_megabyte_per_second_reaches_a_limit_of_ten_after_ten_seconds(kind: str) -> None:
    pod = PodStation("pod", 0, 0, memory_growth=1e6, memory_limit=10e6)
    engine = make(world((Wait(seconds(0.1)),), pods=(pod,)), kind)
    stop = engine.advance(60.0)
    assert (stop.time, stop.notices) == (pytest.approx(10.0), (Notice("oom", 0),))
    engine.kill_pod(0)
    engine.advance(25.0)
    engine.revive(0)  # after a back-off: the memory begins at its base again
    assert engine.advance(60.0).time == pytest.approx(35.0)


@BOTH
def test_the_second_request_at_once_is_the_one_that_bursts_the_memory(kind: str) -> None:
    pod = PodStation("pod", 0, 0, memory_base=5e6, memory_per_request=3e6, memory_limit=10e6)
    engine = make(world((Wait(seconds(1.0)),), times=(0.0, 0.25), pods=(pod,)), kind)
    assert engine.advance(60.0).time == 0.25
    engine.kill_pod(0)
    engine.advance(60.0)
    assert log(engine) == [(0.25, RESET, 1)] * 2


@BOTH
def test_a_draining_pod_serves_what_it_has_refuses_what_comes_and_tells_when_it_is_done(kind: str) -> None:
    engine = make(world((Wait(seconds(1.0)),), times=(0.0, 0.7)), kind)
    engine.advance(0.5)
    engine.drain_pod(0)
    stop = engine.advance(60.0)
    assert (stop.time, stop.notices) == (1.0, (Notice("drained", 0),))
    assert log(engine) == [(1.0, SERVED, 1), (0.7, REFUSED, 1)]


@BOTH
def test_a_dead_machine_answers_nobody_those_in_flight_wait_for_their_timeout_and_new_ones_for_the_dial(
    kind: str,
) -> None:
    program = world((Wait(seconds(1.0)),), times=(0.0, 2.0), policy=Policy(timeout=10.0, dial=3.0))
    engine = make(program, kind)
    engine.advance(0.5)
    engine.set_node(0, up=False)
    engine.advance(60.0)
    assert log(engine) == [(10.0, TIMED_OUT, 1), (5.0, TIMED_OUT, 1)]


# ------------------------------------------------------------------------------------------------- arrivals


@BOTH
def test_five_requests_in_one_burst_leave_a_single_worker_one_after_the_other(kind: str) -> None:
    pod = PodStation("pod", 0, 0, workers=1)
    engine = ran(world((Wait(seconds(1.0)),), times=(2.0,) * 5, pods=(pod,)), kind)
    assert [end for end, _, _ in log(engine)] == [3.0, 4.0, 5.0, 6.0, 7.0]


@BOTH
def test_a_renewal_process_without_variation_comes_every_half_second_at_two_per_second(kind: str) -> None:
    source = Source("clients", 0, ((0, 1.0),), rates=(2.0,), cv=0.0)
    engine = ran(world((Wait(seconds(0.1)),), sources=(source,)), kind, until=2.2)
    assert [end for end, _, _ in log(engine)] == [0.6, 1.1, 1.6, 2.1]


@BOTH
def test_a_user_who_thinks_one_second_and_waits_half_asks_every_one_and_a_half_seconds(kind: str) -> None:
    source = Source("users", 0, ((0, 1.0),), users=1, think=seconds(1.0))
    engine = ran(world((Wait(seconds(0.5)),), sources=(source,)), kind, until=7.0)
    assert [end for end, _, _ in log(engine)] == [1.5, 3.0, 4.5, 6.0]


@BOTH
def test_a_trace_names_the_operation_of_every_arrival(kind: str) -> None:
    program = world((Wait(seconds(0.1)),), (Wait(seconds(0.2)),))
    source = Source("trace", 0, ((0, 1.0), (1, 1.0)), trace=(0.0, 1.0, 2.0), trace_operations=(1, 0, 1))
    engine = ran(replace(program, sources=(source,)), kind)
    assert [end for end, _, _ in log(engine)] == [0.2, 1.1, 2.2]


def test_a_rate_that_is_zero_in_the_second_hour_brings_nobody_then_and_twice_as_many_where_it_is_double() -> None:
    source = Source("clients", 0, ((0, 1.0),), rates=(0.5, 0.0, 1.0), segment=3600.0)
    program = world((), sources=(source,), bins=3, bin_width=3600.0)
    first, second, third = ran(program, "compiled", 3 * 3600.0).measures().bin_arrived[0].tolist()
    assert second == 0
    assert abs(first - 1800) <= 4.5 * math.sqrt(1800)
    assert abs(third - 3600) <= 4.5 * math.sqrt(3600)


# ------------------------------------------------------------------------------------------------- balancing


def balanced(policy: Policy, times: tuple[float, ...], pods: int, hold: float = 0.0, **changes: Any) -> Program:
    return world(
        (Wait(seconds(hold)),),
        times=times,
        policy=policy,
        pods=tuple(PodStation(f"pod-{index}", 0, 0) for index in range(pods)),
        **changes,
    )


@BOTH
def test_weights_of_two_to_one_give_turns_of_two_to_one(kind: str) -> None:
    engine = make(balanced(Policy(balance="round_robin"), tuple(map(float, range(9))), pods=2), kind)
    engine.set_endpoints(0, [0, 1], [2.0, 1.0])
    engine.advance(100.0)
    assert engine.measures().pod_visits.tolist() == [6, 3]


@BOTH
def test_two_callers_go_round_the_same_endpoints_independently(kind: str) -> None:
    # Each caller's first turn is the first pod, its second turn the second pod: one round for both would alternate.
    program = balanced(Policy(balance="round_robin"), (0.0, 2.0), pods=2)
    other = replace(program.sources[0], name="others", trace=(1.0, 3.0))
    engine = make(replace(program, sources=(program.sources[0], other)), kind)
    engine.advance(1.5)
    assert engine.measures().pod_visits.tolist() == [2, 0]
    engine.advance(10.0)
    assert engine.measures().pod_visits.tolist() == [2, 2]


@BOTH
def test_one_caller_at_random_and_one_in_turns_use_the_same_service(kind: str) -> None:
    times = tuple(map(float, range(400)))
    program = balanced(Policy(), times, pods=2)
    turns = replace(program.sources[0], name="turns", policy=Policy(balance="round_robin"))
    alone = ran(replace(program, sources=(turns,)), kind, until=1000.0).measures().pod_visits.tolist()
    both = ran(replace(program, sources=(program.sources[0], turns)), kind, until=1000.0).measures().pod_visits.tolist()
    assert alone == [200, 200]
    assert both != [400, 400]
    assert abs(both[0] - 400) <= 4.5 * math.sqrt(400 * 0.25)


@BOTH
def test_least_connections_avoids_the_pod_that_is_still_busy(kind: str) -> None:
    # 1.5 s each: at 1 s the first pod is busy, at 2 s (until 2.5 s) the second.
    program = balanced(Policy(balance="least_connections"), (0.0, 1.0, 2.0, 3.0), pods=2, hold=1.5)
    engine = make(program, kind)
    seen = []
    for until in (0.5, 1.2, 2.2, 3.2):
        engine.advance(until)
        seen.append(engine.measures().pod_visits.tolist())
    assert seen == [[1, 0], [1, 1], [2, 1], [2, 2]]


@BOTH
def test_a_sticky_client_stays_and_moves_only_when_its_pod_goes(kind: str) -> None:
    users = Source("users", 0, ((0, 1.0),), users=1, think=seconds(1.0), policy=Policy(sticky=True))
    engine = make(balanced(Policy(), (0.0,), pods=3, sources=(users,)), kind)
    engine.advance(10.5)
    visits = engine.measures().pod_visits.tolist()
    assert sorted(visits) == [0, 0, 10]
    home = visits.index(10)
    engine.set_endpoints(0, [slot for slot in range(3) if slot != home])
    engine.advance(20.5)
    after = engine.measures().pod_visits.tolist()
    assert after[home] == 10
    assert sorted(after) == [0, 10, 10]


@BOTH
def test_a_session_of_one_request_makes_every_request_a_new_client_after_the_pause(kind: str) -> None:
    users = Source(
        "users",
        0,
        ((0, 1.0),),
        users=1,
        think=seconds(1.0),
        session=1.0,
        pause=seconds(3.0),
        policy=Policy(sticky=True),
    )
    engine = make(balanced(Policy(), (0.0,), pods=3, sources=(users,)), kind)
    engine.advance(1.0 + 3.0 * 59 + 0.5)
    visits = engine.measures().pod_visits.tolist()
    assert sum(visits) == 60  # the first after a thought, then one every three seconds
    assert min(visits) >= 10  # sticky to nobody for long


def test_sessions_of_four_requests_end_every_fourth_time_in_the_mean() -> None:
    users = Source("users", 0, ((0, 1.0),), users=50, think=seconds(1.0), session=4.0, pause=seconds(9.0))
    engine = make(world((), sources=(users,)), "compiled")
    engine.advance(30_000.0)
    # A request takes no time; three of four pauses are thoughts: (3 x 1 s + 9 s) / 4 = 3 s in the mean.
    assert int(engine.measures().outcomes.sum()) == pytest.approx(50 * 30_000 / 3.0, rel=0.01)


# ------------------------------------------------------------------------------------------------- where time goes


@BOTH
def test_a_slow_request_says_how_long_it_computed_waited_for_a_core_was_throttled_and_used_disk_and_network(
    kind: str,
) -> None:
    # 80 ms of work under 500m: 50 ms, throttled for 50 ms, 30 ms. 20 ms + 10 ms of disk. 100 ms + 500 ms of network.
    plan: tuple[Instruction, ...] = (
        Cpu(seconds(0.08)),
        DiskIo(read_bytes=1e6, ops=1.0, disk=0),
        Transfer(seconds(5e5), 0),
        Wait(seconds(0.2)),
        Cpu(seconds(0.02)),
    )
    program = world(
        plan,
        pods=(PodStation("pod", 0, 0, cpu_limit=0.5),),
        disks=(Disk("disk", 1e8, 1e8, op_latency=0.02, fsync=0.0),),
        links=(Link("line", 1e6, rtt=0.1),),
    )
    (exemplar,) = ran(program, kind).measures().exemplars
    (hop,) = exemplar.hops
    expected = Parts(cpu=0.1, work=0.1, throttled=0.05, disk=0.03, network=0.6)
    assert vars(hop.parts) == pytest.approx(vars(expected))
    assert exemplar.latency == pytest.approx(0.1 + 0.05 + 0.03 + 0.6 + 0.2)


@BOTH
def test_two_requests_on_one_core_wait_for_it_half_of_the_time(kind: str) -> None:
    program = world((Cpu(seconds(0.3)),), times=(0.0, 0.0), nodes=(Node("node", 1.0, speed=2.0),))
    for exemplar in ran(program, kind).measures().exemplars:
        parts = exemplar.hops[0].parts
        assert (parts.cpu, parts.work) == (pytest.approx(0.3), pytest.approx(0.15))


@BOTH
def test_a_request_that_is_given_up_says_where_its_time_went_until_then(kind: str) -> None:
    # Throttled from 50 to 100 ms; the client gives up at 120 ms.
    pods = (PodStation("pod", 0, 0, cpu_limit=0.5),)
    program = world((Cpu(seconds(1.0)),), policy=Policy(timeout=0.12), pods=pods)
    (exemplar,) = ran(program, kind).measures().exemplars
    parts = exemplar.hops[0].parts
    assert (parts.cpu, parts.throttled) == (pytest.approx(0.07), pytest.approx(0.05))


@BOTH
def test_queues_workers_and_throttling_are_known_bin_by_bin(kind: str) -> None:
    # One worker, three requests of 90 ms of work under 500m: throttled in the second half of every period.
    program = world(
        (Cpu(seconds(0.09)),),
        times=(0.0, 0.0, 0.05),
        pods=(PodStation("pod", 0, 0, workers=1, cpu_limit=0.5),),
        bins=4,
        bin_width=0.1,
    )
    measures = ran(program, kind, 1.0).measures()
    # They end at 0.14, 0.33 and 0.52 s: two wait until 0.14 (one of them from 0.05 on), one until 0.33.
    assert measures.bin_service_queue_s[0].tolist() == pytest.approx([0.15, 0.14, 0.1, 0.03])
    assert measures.bin_service_busy_s[0].tolist() == pytest.approx([0.1] * 4)
    assert measures.bin_service_throttled_s[0].tolist() == pytest.approx([0.05] * 4)
    assert measures.pod_queue_s[0] == pytest.approx(0.42)


# ------------------------------------------------------------------------------------------------- caches


def cached(requests: int, hit_ratio: float, working_set: float, soft: bool = True) -> Program:
    """A page that looks into the cache (service 1) and asks the database (service 2) for what is not there."""
    page = (Call(1, soft=soft), Cache(hit_ratio, 1, service=1, working_set=working_set), Call(2))
    program = world(page, (), (), times=tuple(float(number) for number in range(requests)))
    first, cache, database = program.pods
    return replace(program, pods=(first, replace(cache, warm=False), database))


@BOTH
def test_a_full_cache_hits_its_share_and_the_database_answers_the_rest(kind: str) -> None:
    count = 1000
    database = int(ran(cached(count, 0.8, 50.0), kind, count).measures().pod_visits[2])
    assert abs(database - 200) <= 4.5 * math.sqrt(count * 0.8 * 0.2)


@BOTH
def test_a_cache_that_was_lost_is_cold_and_fills_with_its_misses(kind: str) -> None:
    # Everything cacheable, 100 things: after k look-ups 100 (1 - 0.99^k) are stored in the mean (coupon collector), and
    # each of them was one miss: 63.4 after 100, 86.6 after 200, 98.2 after 400.
    engine = make(cached(1000, 1.0, 100.0), kind)
    engine.advance(99.5)
    assert engine.measures().pod_visits[2] == 0
    engine.kill_pod(1)
    engine.revive(1)
    misses = []
    for until in (199.5, 299.5, 499.5):
        engine.advance(until)
        misses.append(int(engine.measures().pod_visits[2]))
    for seen, look_ups in zip(misses, (100, 200, 400), strict=True):
        stored = 100 * (1 - 0.99**look_ups)
        # Variance of the number of different coupons among k draws of n (Feller, vol. 1, ex. II.11).
        variance = 100 * 99 * 0.98**look_ups + 100 * 0.99**look_ups - 100**2 * 0.99 ** (2 * look_ups)
        assert abs(seen - stored) <= 4.5 * math.sqrt(variance)


@BOTH
def test_a_cache_with_its_data_on_a_volume_comes_back_full(kind: str) -> None:
    program = cached(1000, 1.0, 100.0)
    first, cache, database = program.pods
    engine = make(replace(program, pods=(first, replace(cache, warm=True), database)), kind)
    engine.advance(99.5)
    engine.kill_pod(1)
    engine.revive(1)
    engine.advance(1000.0)
    assert engine.measures().pod_visits[2] == 0


@BOTH
@pytest.mark.parametrize("how", ["endpoints", "refused"])
def test_while_the_cache_is_away_the_database_pays_for_every_request(kind: str, how: str) -> None:
    engine = make(cached(100, 1.0, 100.0), kind)
    if how == "endpoints":
        engine.set_endpoints(1, [])
    else:
        engine.kill_pod(1)  # still an endpoint: connections are refused
    engine.advance(99.5)
    assert engine.measures().pod_visits[2] == 100
    assert Counter(outcome for _, outcome, _ in log(engine)) == {DEGRADED: 100}


@BOTH
def test_one_of_two_replicas_that_starts_cold_takes_half_of_the_contents_with_it(kind: str) -> None:
    program = cached(1, 1.0, 100.0)
    program = replace(program, pods=(*program.pods, replace(program.pods[1], name="replica")))
    engine = make(program, kind)
    engine.advance(0.5)
    engine.kill_pod(3)
    engine.revive(3)
    engine.advance(1.0)
    assert engine.cache_contents(1) == 50.0


# ------------------------------------------------------------------------------------------------- encoders


@BOTH
def test_a_transcode_takes_a_session_of_its_pods_node_and_goes_on_in_software_when_there_is_none(kind: str) -> None:
    # Two pods in turn: the first on a node with one session, the second on a node without.
    hardware = Hold(seconds(10.0), pool=POOL_OF_POD, cores=0.2, degrade=True, skip=1)
    program = world(
        (hardware, Hold(seconds(20.0), cores=3.0), LANDING),
        times=(0.0, 1.0, 2.0, 12.0),
        nodes=(Node("with", 8.0), Node("without", 8.0)),
        pods=(PodStation("first", 0, 0, pool=0), PodStation("second", 0, 1)),
        pools=(Pool("encoder", 1.0),),
        policy=Policy(balance="round_robin"),
    )
    assert [entry[:2] for entry in log(ran(program, kind))] == [
        (10.0, SERVED),  # the session
        (21.0, DEGRADED),  # no encoder there
        (22.0, DEGRADED),  # the session is taken
        (32.0, DEGRADED),  # the second pod again
    ]


@BOTH
def test_a_transcode_that_may_not_go_on_in_software_is_refused(kind: str) -> None:
    program = world(
        (Hold(seconds(10.0), pool=POOL_OF_POD),),
        times=(0.0, 1.0, 10.5),
        pods=(PodStation("pod", 0, 0, pool=0),),
        pools=(Pool("encoder", 1.0),),
    )
    assert [entry[:2] for entry in log(ran(program, kind))] == [(10.0, SERVED), (1.0, REFUSED), (20.5, SERVED)]


# ------------------------------------------------------------------------------------------------- memory


@BOTH
def test_a_watched_pod_tells_once_when_its_requests_or_its_growth_pass_the_level(kind: str) -> None:
    # 100 bytes, 10 for each request, 1 more each second; requests at 0, 1 and 2 s stay for 100 s.
    program = world((Wait(seconds(100.0)),), times=(0.0, 1.0, 2.0))
    pod = PodStation("pod", 0, 0, memory_base=100.0, memory_per_request=10.0, memory_growth=1.0)
    engine = make(replace(program, pods=(pod,)), kind)
    engine.watch_memory(0, 120.5)
    stop = engine.advance(50.0)
    assert (stop.time, stop.notices) == (1.0, (Notice("memory", 0),))  # 100 + 20 + 1
    assert engine.pod_memory(0) == 121.0
    assert engine.advance(5.0).notices == ()
    engine.watch_memory(0, 140.0)
    stop = engine.advance(50.0)
    assert (stop.time, stop.notices) == (40.0, (Notice("memory", 0),))  # growth alone: 100 + 40


@BOTH
def test_a_limit_below_the_watched_level_is_still_told_as_out_of_memory(kind: str) -> None:
    program = world((Wait(seconds(100.0)),), times=(0.0, 1.0))
    pod = PodStation("pod", 0, 0, memory_base=100.0, memory_per_request=10.0, memory_limit=115.0)
    engine = make(replace(program, pods=(pod,)), kind)
    engine.watch_memory(0, 200.0)
    assert engine.advance(50.0).notices == (Notice("oom", 0),)
