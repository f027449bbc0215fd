"""The compiled kernel: the meaning of ``sim.reference`` on flat memory. The only file that knows numba.

Everything works on one array of words, seen as integers ``I`` and floats ``F`` (``sim.layout``). What makes it fast: no
object per request; a binary heap whose root is left as a hole until the next timer is set; one pending arrival per
source; constant timeouts in a list per policy with a single timer in the heap; a resource is recomputed once per
instant at most, and only groups whose rate has changed are touched. What keeps it exact: no fastmath, no threads, the
reference's order of arithmetic and of events.

Whoever calls :func:`advance` gets ``GROW`` back when a table is nearly full, makes it larger and calls again. It is
called through ``sim.machine_code``, which imports this file only to compile it.
"""

# ruff: noqa: F403, F405
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.extending import intrinsic

from sim import measures, randomness
from sim.kernel_build import build as build_function
from sim.kernel_cache import MachineCode
from sim.layout import *
from sim.program import BEST_EFFORT_WEIGHT, RETRANSMIT_S, ROUNDING_S, TCP_GIVE_UP_S

SERVED, DEGRADED, DENIED, RATE_LIMITED, REFUSED, TIMED_OUT, CONNECTION_RESET, NO_ENDPOINT, ERROR = numbers(9)
NOTHING, NO, YES = np.int64(0), np.int64(0), np.int64(1)
ANY = np.int64(-1)
INF = math.inf
GAP_STRIDE = 64
CROWD = 256
"""Timers beyond which their heap and what they wake do not stay in the processor's nearest cache."""
SIGN = -(1 << 63)
"""Flipping the highest bit makes the order of signed integers that of unsigned ones."""
BUCKETS, COARSE_BUCKETS = np.int64(measures.BUCKETS), np.int64(measures.COARSE_BUCKETS)
# 6 of the 52 bits of a float's mantissa are 64 buckets per power of two. frexp's exponent is biased by 1022.
FINE_SHIFT = np.int64(52 - 6)
FINE_LOWEST = np.int64((1022 + measures.LOWEST_EXPONENT) * measures.SUB_BUCKETS)
FINE_PER_COARSE = np.int64((measures.SUB_BUCKETS // measures.COARSE_SUB_BUCKETS).bit_length() - 1)
CONSTANT, EXPONENTIAL, UNIFORM = randomness.CONSTANT, randomness.EXPONENTIAL, randomness.UNIFORM
ERLANG, LOGNORMAL = randomness.ERLANG, randomness.LOGNORMAL
TO_UNIT = randomness.TO_UNIT
EDGES, TAIL = np.array(randomness.ZIGGURAT), randomness.ZIGGURAT_TAIL
WIDTHS, WITHIN = np.array(randomness.ZIGGURAT_WIDTH), np.array(randomness.ZIGGURAT_WITHIN)
ROOT_OPERATION, ROOT_EDGE = np.int64(randomness.ROOT_OPERATION), np.int64(randomness.ROOT_EDGE)
ROOT_CALL, ROOT_THINK = np.int64(randomness.ROOT_CALL), np.int64(randomness.ROOT_THINK)
ROOT_SESSION = np.int64(randomness.ROOT_SESSION)
STEP_BITS, STEP_LOSS = np.int64(randomness.STEP_BITS), np.int64(randomness.STEP_LOSS)
CALL_VISIT, CALL_BALANCE, CALL_LOSS = randomness.CALL_VISIT, randomness.CALL_BALANCE, randomness.CALL_LOSS
CALL_JITTER, CALL_HEDGE = randomness.CALL_JITTER, randomness.CALL_HEDGE
PER_ATTEMPT = np.int64(randomness.PER_ATTEMPT)

INNER: dict[str, Any] = {
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "no_rewrites": True,  # they are for expressions on arrays, and looking for some takes 7 % of the time
}
compiled = njit(**INNER)


at_once = njit(forceinline=True, **INNER)
"""For functions that are on every request's way: without the cost of a call, copied into every caller."""


def inlined(function: Any) -> Any:
    """The same for one caller only."""
    return at_once(getattr(function, "py_func", function))


# ------------------------------------------------------------------------------------------------- random numbers

if config.DISABLE_JIT:

    def prefetch(words, address):
        """Nothing to gain in the interpreter."""

    def bits_of(value):
        """The bits of a float as an integer."""
        return np.float64(value).view(np.int64)

    def mix(key, counter):
        """64 mixed bits as a signed integer."""
        bits = randomness.mix(int(key) & randomness.MASK, int(counter))
        return bits - (1 << 64) if bits >> 63 else bits

    def uniform(key, counter):
        """Uniform in [0, 1)."""
        return randomness.uniform(int(key) & randomness.MASK, int(counter))

    def exponential(key, counter):
        """Of mean 1."""
        return randomness.standard_exponential(randomness.mix(int(key) & randomness.MASK, int(counter)))

else:
    _GOLDEN = np.uint64(randomness.GOLDEN)
    _FIRST, _SECOND = np.uint64(randomness.MULTIPLIER_1), np.uint64(randomness.MULTIPLIER_2)
    _S30, _S27, _S31, _S11, _BYTE = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11), np.uint64(0xFF)

    @intrinsic
    def prefetch(context, words, address):
        """Ask for the cache line of a word that will be needed soon. Any address will do: it is a hint."""

        def generate(context, builder, signature, arguments):
            byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
            hint = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
            place = builder.bitcast(builder.gep(arguments[0], [arguments[1]]), byte)
            builder.call(hint, [place, number(0), number(3), number(1)])  # to read, to stay, data
            return context.get_dummy_value()

        return types.none(types.CPointer(types.int64), types.int64), generate

    @intrinsic
    def bits_of(context, value):
        """The bits of a float as an integer."""

        def generate(context, builder, signature, arguments):
            return builder.bitcast(arguments[0], context.get_value_type(types.int64))

        return types.int64(types.float64), generate

    @compiled
    def _bits(key, counter):
        z = np.uint64(key) + np.uint64(counter + 1) * _GOLDEN
        z = (z ^ (z >> _S30)) * _FIRST
        z = (z ^ (z >> _S27)) * _SECOND
        return z ^ (z >> _S31)

    @compiled
    def mix(key, counter):
        """64 mixed bits as a signed integer."""
        return np.int64(_bits(key, counter))

    @compiled
    def uniform(key, counter):
        """Uniform in [0, 1)."""
        return np.float64(np.int64(_bits(key, counter) >> _S11)) * TO_UNIT

    @compiled
    def outside_of_layers(bits):
        """``sim.randomness.standard_exponential`` when the first try does not surely lie under the curve."""
        key, tries = np.int64(bits), 0
        place, layer = np.int64(bits >> _S11), np.int64(bits & _BYTE)
        while place >= WITHIN[layer]:
            if layer == 0:
                return TAIL - math.log(1.0 - uniform(key, tries))
            low, high = math.exp(-EDGES[layer]), math.exp(-EDGES[layer + 1])
            if low + (high - low) * uniform(key, tries) < math.exp(-place * WIDTHS[layer]):
                break
            bits = _bits(key, tries + 1)
            tries += 2
            place, layer = np.int64(bits >> _S11), np.int64(bits & _BYTE)
        return place * WIDTHS[layer]

    @compiled
    def exponential(key, counter):
        """Of mean 1: see ``sim.randomness.standard_exponential``."""
        bits = _bits(key, counter)
        place, layer = np.int64(bits >> _S11), np.int64(bits & _BYTE)
        return place * WIDTHS[layer] if place < WITHIN[layer] else outside_of_layers(bits)


@compiled
def rarer_sample(law, a, b, c, key, counter):
    """See ``sim.randomness.sample``: what is neither constant nor exponential."""
    first = uniform(key, counter)
    if law == UNIFORM:
        return 2.0 * a * first
    if law == ERLANG:
        total = math.log(1.0 - first)
        for phase in range(1, int(a)):
            total += math.log(1.0 - uniform(key, counter + phase))
        return -b * total
    second = uniform(key, counter + 1)
    if law == LOGNORMAL:
        normal = math.sqrt(-2.0 * math.log(1.0 - first)) * math.cos(2.0 * math.pi * second)
        return math.exp(a + b * normal)
    return -(b if first < a else c) * math.log(1.0 - second)


@compiled
def sample(law, a, b, c, key, counter):
    """See ``sim.randomness.sample``."""
    if law == EXPONENTIAL:
        return a * exponential(key, counter)
    return a if law == CONSTANT else rarer_sample(law, a, b, c, key, counter)


@compiled
def draw(I, F, instruction, key, counter):
    """A value of the instruction's law."""
    return sample(
        I[instruction + X_LAW], F[instruction + X_A], F[instruction + X_B], F[instruction + X_C], key, counter
    )


@compiled
def retransmission_delay(loss, u):
    """See ``sim.reference_requests.retransmission_delay``."""
    delay, step, threshold = 0.0, RETRANSMIT_S, loss
    for _ in range(8):
        if u >= threshold:
            break
        delay += step
        step *= 2.0
        threshold *= loss
    return delay


@compiled
def segment_after(time, segment, offset):
    """See ``sim.arrival_times.segment_after``."""
    number = int(math.floor((time + offset) / segment))
    end = (number + 1) * segment - offset
    while end <= time:
        number += 1
        end = (number + 1) * segment - offset
    return number, end


@compiled
def arrival_time(I, F, source):
    """See ``sim.arrival_times.arrival_time``."""
    since, need, factor = F[source + U_SINCE], F[source + U_NEED], F[source + U_FACTOR]
    if need <= 0.0:
        return since
    rates, count = I[source + U_RATES], I[source + U_RATE_COUNT]
    if count == 1:
        rate = F[rates] * factor
        return since + need / rate if rate > 0.0 else INF
    idle = 0
    while idle < count:
        number, end = segment_after(since, F[source + U_SEGMENT], F[source + U_OFFSET])
        rate = F[rates + number % count] * factor
        room = rate * (end - since)
        if rate > 0.0 and need <= room:
            return since + need / rate
        idle = idle + 1 if rate <= 0.0 else 0
        need -= room
        since = end
    return INF


# ------------------------------------------------------------------------------------------------- timers


@compiled
def _sift_down(I, F, heap, size, at, time, sequence, payload):
    """Place an entry at or below position ``at``."""
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        entry = heap + 3 * child
        if size > CROWD:
            prefetch(I, heap + 6 * child + 3)
            prefetch(I, heap + 6 * child + 11)
        if child + 1 < size:
            other = entry + 3
            if F[other] < F[entry] or (F[other] == F[entry] and I[other + 1] < I[entry + 1]):
                child += 1
                entry = other
        if F[entry] > time or (F[entry] == time and I[entry + 1] > sequence):
            break
        place = heap + 3 * at
        F[place], I[place + 1], I[place + 2] = F[entry], I[entry + 1], I[entry + 2]
        at = child
    place = heap + 3 * at
    F[place], I[place + 1], I[place + 2] = time, sequence, payload


@compiled
def push(I, F, time, sequence, kind, thing):
    """Put a timer into the heap; an empty root takes it first."""
    heap, payload = I[H_HEAP], (thing << KIND_BITS) | kind
    if I[H_HEAP_HOLE]:
        I[H_HEAP_HOLE] = 0
        _sift_down(I, F, heap, I[H_HEAP_SIZE], 0, time, sequence, payload)
        return
    at = I[H_HEAP_SIZE]
    I[H_HEAP_SIZE] = at + 1
    while at > 0:
        parent = (at - 1) >> 1
        entry = heap + 3 * parent
        if F[entry] < time or (F[entry] == time and I[entry + 1] < sequence):
            break
        place = heap + 3 * at
        F[place], I[place + 1], I[place + 2] = F[entry], I[entry + 1], I[entry + 2]
        at = parent
    place = heap + 3 * at
    F[place], I[place + 1], I[place + 2] = time, sequence, payload


@compiled
def fill_hole(I, F):
    """Give the heap a root again."""
    I[H_HEAP_HOLE] = 0
    size = I[H_HEAP_SIZE] - 1
    I[H_HEAP_SIZE] = size
    if size > 0:
        last = I[H_HEAP] + 3 * size
        _sift_down(I, F, I[H_HEAP], size, 0, F[last], I[last + 1], I[last + 2])


@compiled
def set_timer(I, F, time, kind, thing):
    """A new timer; returns its sequence number."""
    I[H_SEQUENCE] += 1
    push(I, F, time, I[H_SEQUENCE], kind, thing)
    return I[H_SEQUENCE]


push_at_once = inlined(push)


@at_once
def set_timer_at_once(I, F, time, kind, thing):
    """The same, without the cost of a call."""
    I[H_SEQUENCE] += 1
    push_at_once(I, F, time, I[H_SEQUENCE], kind, thing)
    return I[H_SEQUENCE]


@compiled
def wake(I, F, visit):
    """The visit goes on at this instant, after those that were woken before."""
    at = I[H_READY] + 2 * ((I[H_READY_HEAD] + I[H_READY_SIZE]) & (I[H_READY_CAPACITY] - 1))
    I[at] = visit
    I[at + 1] = I[visit + V_SERIAL]
    I[H_READY_SIZE] += 1


@compiled
def tell(I, F, kind, slot):
    """Leave a notice for the platform."""
    at = I[H_NOTICES] + 2 * I[H_NOTICES_SIZE]
    I[at], I[at + 1] = kind, slot
    I[H_NOTICES_SIZE] += 1


# ------------------------------------------------------------------------------------------------- threads of a group


@compiled
def _meld(I, F, one, two):
    """Join two pairing heaps (Fredman, Sedgewick, Sleator, Tarjan 1986)."""
    if one == 0:
        return two
    if two == 0:
        return one
    if F[two + V_TAG] < F[one + V_TAG] or (F[two + V_TAG] == F[one + V_TAG] and I[two + V_ORDER] < I[one + V_ORDER]):
        one, two = two, one
    child = I[one + V_HEAP_CHILD]
    I[two + V_HEAP_NEXT] = child
    I[two + V_HEAP_PREVIOUS] = one
    if child:
        I[child + V_HEAP_PREVIOUS] = two
    I[one + V_HEAP_CHILD] = two
    return one


@compiled
def _merge_children(I, F, root):
    """The children of a root as one heap."""
    child = I[root + V_HEAP_CHILD]
    I[root + V_HEAP_CHILD] = 0
    pairs = NOTHING
    while child:
        other = I[child + V_HEAP_NEXT]
        following = NOTHING
        I[child + V_HEAP_NEXT] = 0
        I[child + V_HEAP_PREVIOUS] = 0
        if other:
            following = I[other + V_HEAP_NEXT]
            I[other + V_HEAP_NEXT] = 0
            I[other + V_HEAP_PREVIOUS] = 0
        pair = _meld(I, F, child, other)
        I[pair + V_HEAP_NEXT] = pairs
        pairs = pair
        child = following
    heap = NOTHING
    while pairs:
        following = I[pairs + V_HEAP_NEXT]
        I[pairs + V_HEAP_NEXT] = 0
        heap = _meld(I, F, heap, pairs)
        pairs = following
    return heap


@compiled
def add_thread(I, F, group, visit, tag):
    """A thread that ends at virtual time ``tag``."""
    I[H_THREADS] += 1
    F[visit + V_TAG] = tag
    I[visit + V_ORDER] = I[H_THREADS]
    I[visit + V_HEAP_CHILD] = 0
    I[visit + V_HEAP_NEXT] = 0
    I[visit + V_HEAP_PREVIOUS] = 0
    I[group + G_HEAP] = _meld(I, F, I[group + G_HEAP], visit)
    I[group + G_THREADS] += 1


@compiled
def take_thread(I, F, group, visit):
    """Remove any thread."""
    rest = _merge_children(I, F, visit)
    if I[group + G_HEAP] == visit:
        I[group + G_HEAP] = rest
    else:
        before, after = I[visit + V_HEAP_PREVIOUS], I[visit + V_HEAP_NEXT]
        if I[before + V_HEAP_CHILD] == visit:
            I[before + V_HEAP_CHILD] = after
        else:
            I[before + V_HEAP_NEXT] = after
        if after:
            I[after + V_HEAP_PREVIOUS] = before
        I[group + G_HEAP] = _meld(I, F, I[group + G_HEAP], rest)
    I[group + G_THREADS] -= 1


# ------------------------------------------------------------------------------------------------- fluid resources


@compiled
def spread(I, F, resource, since, now, rate):
    """Book use over several bins and what is outside of them, and remember where the last moment belongs."""
    bins, start, width = I[resource + R_BINS], F[H_START], F[H_BIN_WIDTH]
    count = I[H_BINS] if bins else NOTHING
    at = int((since - start) / width)
    while since < now and at < count:
        end = start + (at + 1) * width
        if end > now:
            end = now
        if end > since:
            F[bins + at] += rate * (end - since)
            since = end
        at += 1
    if since < now:
        F[resource + R_USED] += rate * (now - since)
    at = int((now - start) / width)
    F[resource + R_BIN_BEGIN] = now
    F[resource + R_BIN_END] = start + (at + 0.999) * width
    I[resource + R_BIN] = bins + at if at < count else resource + R_USED


@at_once
def account(I, F, group, now):
    """Book what a group used since the last time."""
    since = F[group + G_ACCOUNTED]
    if now <= since:
        return
    F[group + G_ACCOUNTED] = now
    resource = I[group + G_RESOURCE]
    rate = F[group + G_RATE]
    if not I[resource + R_SHARES]:
        rate += F[resource + R_HELD]
        if I[group + G_THREADS] + I[group + G_HOLDS] > 0 or F[resource + R_HELD] > 0.0:
            F[resource + R_BUSY_S] += now - since
    if rate == 0.0:
        return
    used = rate * (now - since)
    F[group + G_USED] += used
    if since >= F[resource + R_BIN_BEGIN] and now < F[resource + R_BIN_END]:
        F[I[resource + R_BIN]] += used
    else:
        spread(I, F, resource, since, now, rate)


@compiled
def next_boundary(F, group, now):
    """The first boundary of the group's CFS periods after ``now``."""
    phase, period = F[group + G_PHASE], F[group + G_PERIOD]
    k = int(math.floor((now - phase) / period))
    while phase + (k + 1) * period <= now:
        k += 1
    while phase + k * period > now:
        k -= 1
    return phase + (k + 1) * period


@compiled
def refilled(I, F, group, periods):
    """See ``sim.reference_fluid.Group.refilled``."""
    quota, rate = F[group + G_LIMIT] * F[group + G_PERIOD], F[group + G_RATE]
    left = F[group + G_BUDGET] - rate * (F[group + G_BOUNDARY] - F[group + G_TOUCHED])
    gain, most = quota - rate * F[group + G_PERIOD], quota + F[group + G_BURST]
    if gain >= 0.0:
        return min(left + quota + (periods - 1) * gain, most)
    return min(left + quota, most) + (periods - 1) * gain


@compiled
def catch_up(I, F, group, now, elapsed):
    """Bring a group's virtual time and budget, which are ``elapsed`` behind, up to ``now``."""
    account(I, F, group, now)
    F[group + G_VIRTUAL] += F[group + G_SPEED] * elapsed
    if I[group + G_LIMITED] and not I[group + G_THROTTLED]:
        if now < F[group + G_BOUNDARY]:
            F[group + G_BUDGET] -= F[group + G_RATE] * elapsed
        else:
            boundary, quota = next_boundary(F, group, now), F[group + G_LIMIT] * F[group + G_PERIOD]
            if F[group + G_BURST] > 0.0:
                quota = refilled(I, F, group, round((boundary - F[group + G_BOUNDARY]) / F[group + G_PERIOD]))
            F[group + G_BOUNDARY] = boundary
            in_period = now - (boundary - F[group + G_PERIOD])
            F[group + G_BUDGET] = quota - F[group + G_RATE] * in_period
    F[group + G_TOUCHED] = now


@at_once
def touch(I, F, group, now):
    """Bring a group's virtual time and budget up to ``now``."""
    elapsed = now - F[group + G_TOUCHED]
    if elapsed > 0.0:
        catch_up(I, F, group, now, elapsed)


@compiled
def exhaustion_of_burst(I, F, group):
    """See ``sim.reference_fluid.Group.exhaustion_of_burst``."""
    need, first = F[group + G_RATE] * F[group + G_PERIOD], refilled(I, F, group, 1)
    loss, later = need - F[group + G_LIMIT] * F[group + G_PERIOD], 0.0
    if first >= need:
        later = math.floor((first - need) / loss) + 1.0
    return F[group + G_BOUNDARY] + later * F[group + G_PERIOD] + (first - later * loss) / F[group + G_RATE]


@compiled
def plan(I, F, group):
    """When the next thread is done or the budget is used up, should nothing change before."""
    completion = INF
    if I[group + G_THREADS] and F[group + G_SPEED] > 0.0:
        left = F[I[group + G_HEAP] + V_TAG] - F[group + G_VIRTUAL]
        if left < 0.0:
            left = 0.0
        speed = F[group + G_SPEED]
        completion = F[group + G_TOUCHED] + (left if speed == 1.0 else left / speed)
    exhaustion = INF
    rate = F[group + G_RATE]
    if I[group + G_LIMITED] and rate > 0.0:
        budget = F[group + G_BUDGET]
        if budget < 0.0:
            budget = 0.0
        at = F[group + G_TOUCHED] + budget / rate
        if at < F[group + G_BOUNDARY] - ROUNDING_S:
            exhaustion = at
        elif rate > F[group + G_LIMIT]:
            exhaustion = F[group + G_BOUNDARY] + F[group + G_LIMIT] * F[group + G_PERIOD] / rate
            if F[group + G_BURST] > 0.0:
                exhaustion = exhaustion_of_burst(I, F, group)
    due = completion if completion <= exhaustion + ROUNDING_S else exhaustion
    F[group + G_COMPLETION] = completion
    F[group + G_DUE] = due
    return due


@compiled
def mark_dirty(I, F, resource):
    """Share the resource anew at the end of this instant."""
    if not I[resource + R_DIRTY]:
        I[resource + R_DIRTY] = 1
        I[I[H_DIRTY] + I[H_DIRTY_SIZE]] = resource
        I[H_DIRTY_SIZE] += 1


@compiled
def release_throttle(I, F, group, now):
    """A new period begins for a throttled group."""
    I[group + G_THROTTLED] = 0
    boundary, quota = next_boundary(F, group, now), F[group + G_LIMIT] * F[group + G_PERIOD]
    if F[group + G_BURST] > 0.0:
        quota = min(round((boundary - F[group + G_BOUNDARY]) / F[group + G_PERIOD]) * quota, quota + F[group + G_BURST])
    F[group + G_BUDGET] = quota
    F[group + G_BOUNDARY] = boundary
    I[group + G_CHANGED] = 1


@compiled
def wake_group(I, F, group, now):
    """A group is about to get work."""
    touch(I, F, group, now)
    I[group + G_CHANGED] = 1
    if I[group + G_THREADS] + I[group + G_HOLDS] == 0:
        resource = I[group + G_RESOURCE]
        count = I[resource + R_COUNT]
        I[I[resource + R_LIST] + count] = group
        if I[group + G_SLICE]:
            I[resource + R_SLICED] += 1
        I[group + G_POSITION] = count
        I[resource + R_COUNT] = count + 1
        if I[group + G_THROTTLED]:
            if now >= F[group + G_BOUNDARY]:
                release_throttle(I, F, group, now)
            else:
                F[group + G_DUE] = F[group + G_BOUNDARY]


@compiled
def settle_group(I, F, group):
    """A group has lost work."""
    I[group + G_CHANGED] = 1
    resource = I[group + G_RESOURCE]
    if I[group + G_THREADS] + I[group + G_HOLDS] == 0:
        F[group + G_LOAD] = 0.0
        F[group + G_VIRTUAL] = 0.0
        F[group + G_RATE] = 0.0
        F[group + G_SPEED] = 0.0
        F[group + G_DUE] = INF
        if I[group + G_SLICE]:
            I[resource + R_SLICED] -= 1
        last = I[resource + R_COUNT] - 1
        moved = I[I[resource + R_LIST] + last]
        I[I[resource + R_LIST] + I[group + G_POSITION]] = moved
        I[moved + G_POSITION] = I[group + G_POSITION]
        I[resource + R_COUNT] = last
    mark_dirty(I, F, resource)


@compiled
def begin_work(I, F, group, visit, amount, now):
    """A thread begins ``amount`` of work in a group."""
    wake_group(I, F, group, now)
    add_thread(I, F, group, visit, F[group + G_VIRTUAL] + amount)
    F[group + G_LOAD] += 1.0
    mark_dirty(I, F, I[group + G_RESOURCE])


@compiled
def stop_work(I, F, group, visit, now):
    """A thread is taken away before its end."""
    touch(I, F, group, now)
    take_thread(I, F, group, visit)
    F[group + G_LOAD] -= 1.0
    settle_group(I, F, group)


@compiled
def hold_cores(I, F, group, cores, now):
    """A stream, or the background, keeps cores busy."""
    wake_group(I, F, group, now)
    I[group + G_HOLDS] += 1
    F[group + G_LOAD] += cores
    mark_dirty(I, F, I[group + G_RESOURCE])


@compiled
def unhold_cores(I, F, group, cores, now):
    """It ends."""
    touch(I, F, group, now)
    I[group + G_HOLDS] -= 1
    F[group + G_LOAD] -= cores
    settle_group(I, F, group)


@compiled
def share_out(I, F, resource, piece, room, weight):
    """Weighted max-min fairness in a contended slice: what a group gets per weight, unless it needs less."""
    groups, count = I[resource + R_LIST], I[resource + R_COUNT]
    level, found = 0.0, True
    while found and weight > 0.0:
        found = False
        level = max(level, room / weight)
        for position in range(count):
            group = I[groups + position]
            load, share = F[group + G_LOAD], F[group + G_WEIGHT]
            fits = (I[group + G_SATISFIED] == 0) & (load <= share * level) & (I[group + G_SLICE] == piece)
            I[group + G_SATISFIED] |= fits
            room -= load if fits else 0.0
            weight -= share if fits else 0.0
            found |= fits
    return level


@compiled
def share_out_slices(I, F, resource):
    """The same in two steps: between slices and groups that are in none, then within each slice: sets R_LEVELS."""
    groups, count = I[resource + R_LIST], I[resource + R_COUNT]
    alone, bursting, trying = 0.0, 0.0, 0.0  # weights
    burstable, best_effort = 0.0, 0.0  # loads
    for position in range(count):
        group = I[groups + position]
        if not I[group + G_THROTTLED]:
            if I[group + G_SLICE] == ALONE:
                alone += F[group + G_WEIGHT]
            elif I[group + G_SLICE] == BURSTABLE:
                burstable += F[group + G_LOAD]
                bursting += F[group + G_WEIGHT]
            else:
                best_effort += F[group + G_LOAD]
                trying += F[group + G_WEIGHT]
    heavy = F[resource + R_BURSTABLE] if burstable > 0.0 else 0.0
    light = BEST_EFFORT_WEIGHT if best_effort > 0.0 else 0.0
    room, weight, level = F[resource + R_CAPACITY], alone + heavy + light, 0.0
    heavy_fits, light_fits = burstable == 0.0, best_effort == 0.0
    found = True
    while found and weight > 0.0:
        found = False
        level = max(level, room / weight)
        for position in range(count):
            group = I[groups + position]
            load, share = F[group + G_LOAD], F[group + G_WEIGHT]
            if not I[group + G_SATISFIED] and I[group + G_SLICE] == ALONE and load <= share * level:
                I[group + G_SATISFIED] = 1
                room -= load
                weight -= share
                found = True
        if not heavy_fits and burstable <= heavy * level:
            heavy_fits = found = True
            room -= burstable
            weight -= heavy
        if not light_fits and best_effort <= light * level:
            light_fits = found = True
            room -= best_effort
            weight -= light
    F[resource + R_LEVELS + ALONE] = level
    F[resource + R_LEVELS + BURSTABLE] = INF
    if not heavy_fits:
        F[resource + R_LEVELS + BURSTABLE] = share_out(I, F, resource, BURSTABLE, heavy * level, bursting)
    F[resource + R_LEVELS + BEST_EFFORT] = INF
    if not light_fits:
        F[resource + R_LEVELS + BEST_EFFORT] = share_out(I, F, resource, BEST_EFFORT, light * level, trying)


@at_once
def plan_anew(I, F, resource, group, rate, now):
    """From now on the group gets this rate: when will something happen?"""
    touch(I, F, group, now)
    F[group + G_RATE] = rate
    load, speed = F[group + G_LOAD], F[resource + R_SPEED]
    F[group + G_SPEED] = speed if rate == load else speed * (rate / load)
    I[group + G_CHANGED] = 0
    return plan(I, F, group)


@compiled
def resolve_machine(I, F, resource, now):
    """Share the cores of a machine: no thread more than one, pods by weight when they are contended."""
    groups, count = I[resource + R_LIST], I[resource + R_COUNT]
    total, weight, level = 0.0, 0.0, INF
    for position in range(count):
        group = I[groups + position]
        throttled = I[group + G_THROTTLED]
        I[group + G_SATISFIED] = throttled
        total += 0.0 if throttled else F[group + G_LOAD]
        weight += 0.0 if throttled else F[group + G_WEIGHT]
    capacity = F[resource + R_CAPACITY]
    sliced = total > capacity and I[resource + R_SLICED] > 0
    if sliced:
        share_out_slices(I, F, resource)
    elif total > capacity:
        level = share_out(I, F, resource, ALONE, capacity, weight)
    due, due_group = INF, NOTHING
    for position in range(count):
        group = I[groups + position]
        group_due = F[group + G_DUE]
        if not I[group + G_THROTTLED]:
            if sliced:
                level = F[resource + R_LEVELS + I[group + G_SLICE]]
            rate = min(F[group + G_LOAD], F[group + G_WEIGHT] * level)
            if rate != F[group + G_RATE] or I[group + G_CHANGED]:
                group_due = plan_anew(I, F, resource, group, rate, now)
        sooner = group_due < due
        due = group_due if sooner else due
        due_group = group if sooner else due_group
    I[resource + R_DUE_GROUP] = due_group
    return due


@compiled
def resolve_line(I, F, resource, now):
    """All transfers of a link or a disk share what streams leave."""
    group = I[resource + R_MAIN_GROUP]
    I[resource + R_DUE_GROUP] = group
    if I[resource + R_COUNT] == 0:
        return INF
    rate = max(F[resource + R_CAPACITY] - F[resource + R_HELD], 0.0)
    if rate != F[group + G_RATE] or I[group + G_CHANGED]:
        return plan_anew(I, F, resource, group, rate, now)
    return F[group + G_DUE]


@compiled
def resolve(I, F, resource, now):
    """Share the capacity of a resource and find its next event."""
    I[resource + R_DIRTY] = 0
    if I[resource + R_SHARES]:
        due = resolve_machine(I, F, resource, now)
    else:
        due = resolve_line(I, F, resource, now)
    set_due(I, F, I[resource + R_ORDER], max(due, now))


@compiled
def set_due(I, F, order, due):
    """The tournament: who of the resources is next, the first in order on a tie."""
    tree, leaves = I[H_TREE], I[H_TREE_SIZE]
    if F[tree + order] == due:
        return
    winners = tree + leaves
    F[tree + order] = due
    at, winner, earliest = leaves + order, order, bits_of(due)  # as integers: times are not negative
    while at > 1:
        other = I[winners + (at ^ 1)]
        theirs = I[tree + other]
        lost = theirs < earliest + (at & 1)  # who comes from the left wins a tie
        winner = other if lost else winner
        earliest = theirs if lost else earliest
        at >>= 1
        I[winners + at] = winner
    I[H_DUE] = earliest
    I[H_WINNER] = winner


@compiled
def end_thread(I, F, group, visit):
    """The work of the thread that ends first is done."""
    take_thread(I, F, group, visit)
    F[group + G_LOAD] -= 1.0
    I[visit + V_STATE] = READY


@compiled
def fire(I, F, resource, now):
    """The event of a resource: threads are done, a budget is used up, or a period begins.

    Returns the visit whose work is done if it is the only one: nobody else is awake, so it goes on at once.
    """
    group, only = I[resource + R_DUE_GROUP], NOTHING
    touch(I, F, group, now)
    if I[group + G_THROTTLED]:
        release_throttle(I, F, group, now)
    elif F[group + G_COMPLETION] <= F[group + G_DUE]:
        only = I[group + G_HEAP]
        tag = F[only + V_TAG]
        F[group + G_VIRTUAL] = tag
        end_thread(I, F, group, only)
        if I[group + G_HEAP] and F[I[group + G_HEAP] + V_TAG] <= tag:
            wake(I, F, only)
            only = NOTHING
            while I[group + G_HEAP] and F[I[group + G_HEAP] + V_TAG] <= tag:
                visit = I[group + G_HEAP]
                end_thread(I, F, group, visit)
                wake(I, F, visit)
        settle_group(I, F, group)
        return only
    else:
        F[group + G_BUDGET] = 0.0
        I[group + G_THROTTLED] = 1
        I[group + G_THROTTLED_PERIODS] += 1
        F[group + G_THROTTLED_S] += F[group + G_BOUNDARY] - now
        index = bin_of_now(I, F)
        if index >= 0:
            F[service_bins(I, group) + 2 * I[H_BINS] + index] += F[group + G_BOUNDARY] - now
        F[group + G_RATE] = 0.0
        F[group + G_SPEED] = 0.0
        F[group + G_DUE] = F[group + G_BOUNDARY]
    mark_dirty(I, F, resource)
    return only


# ------------------------------------------------------------------------------------------------- measures


@compiled
def bucket_of(value):
    """See ``sim.measures.bucket_of``: exponent and leading bits of a positive float are its bucket."""
    return min(max((bits_of(value) >> FINE_SHIFT) - FINE_LOWEST, NOTHING), BUCKETS - 1)


@compiled
def bin_of_now(I, F):
    """The bin of this moment, -1 outside the series."""
    now = F[H_NOW]
    if now >= F[H_BIN_END] or now < F[H_BIN_BEGIN]:
        index = int((now - F[H_START]) / F[H_BIN_WIDTH])
        F[H_BIN_BEGIN] = now
        F[H_BIN_END] = F[H_START] + (index + 0.999) * F[H_BIN_WIDTH]
        I[H_BIN] = index if index < I[H_BINS] else -1
    return I[H_BIN]


@compiled
def service_bins(I, pod):
    """The bins of the pod's service: requests waiting, being served, and time throttled (seconds)."""
    return I[I[H_SERVICES] + SERVICE * I[pod + P_SERVICE] + S_BINS]


@compiled
def book_bins(I, F, pod):
    """Book how many requests waited and were served in the pod, up to now, in the bins of its service."""
    now, start, width = F[H_NOW], F[H_START], F[H_BIN_WIDTH]
    since, busy, waiting = F[pod + P_COUNTED], I[pod + P_BUSY], I[pod + P_QUEUE_SIZE]
    queued, served = F[pod + P_QUEUE_S] - F[pod + P_QUEUE_BOOKED], F[pod + P_BUSY_S] - F[pod + P_BUSY_BOOKED]
    F[pod + P_QUEUE_BOOKED], F[pod + P_BUSY_BOOKED] = F[pod + P_QUEUE_S], F[pod + P_BUSY_S]
    waits = service_bins(I, pod)
    serves = waits + I[H_BINS]
    index = int((since - start) / width)
    while index < I[H_BINS]:
        end = min(start + (index + 1) * width, now)
        F[waits + index] += queued + waiting * (end - since)
        F[serves + index] += served + busy * (end - since)
        queued = served = 0.0
        since = end
        if end >= now:
            break
        index += 1
    elapsed = now - F[pod + P_COUNTED]
    F[pod + P_QUEUE_BOOKED] += waiting * elapsed
    F[pod + P_BUSY_BOOKED] += busy * elapsed
    index = int((now - start) / width)
    F[pod + P_BIN_END] = start + (index + 0.999) * width if index < I[H_BINS] else INF


@compiled
def count_pod(I, F, pod):
    """The number of requests in the pod is about to change."""
    now = F[H_NOW]
    if now >= F[pod + P_BIN_END]:
        book_bins(I, F, pod)
    elapsed = now - F[pod + P_COUNTED]
    F[pod + P_BUSY_S] += I[pod + P_BUSY] * elapsed
    F[pod + P_QUEUE_S] += I[pod + P_QUEUE_SIZE] * elapsed
    F[pod + P_COUNTED] = now


@compiled
def place_of_hop(I, F, trace, lasted):
    """Where a visit that lasted so long is noted: behind the others, or for the shortest of them; 0: nowhere."""
    hops, count = trace + T_HOPS, I[trace + T_COUNT]
    if count < MAX_HOPS:
        I[trace + T_COUNT] = count + 1
        return hops + HOP * count
    place, shortest = NOTHING, lasted
    for index in range(MAX_HOPS):
        hop = hops + HOP * index
        length = F[hop + HOP_ENDED] - F[hop + HOP_ARRIVED]
        if length < shortest:
            place, shortest = hop, length
    return place


@compiled
def note_hop(I, F, visit, started):
    """Add a visit that ends now to the trace of its request."""
    trace = I[visit + V_TRACE]
    if trace and I[trace + T_OWNER] == I[visit + V_ROOT]:
        hop = place_of_hop(I, F, trace, F[H_NOW] - F[visit + V_ARRIVED])
        if hop:
            I[hop + HOP_POD] = I[I[visit + V_POD] + P_SLOT]
            I[hop + HOP_OPERATION] = I[I[visit + V_OPERATION] + O_INDEX]
            F[hop + HOP_ARRIVED] = F[visit + V_ARRIVED]
            F[hop + HOP_STARTED] = started
            F[hop + HOP_ENDED] = F[H_NOW]
            for part in range(PARTS):
                F[hop + HOP_CPU + part] = F[visit + V_CPU + part]


@compiled
def stalled(I, F, group):
    """How long the group was throttled up to now."""
    if I[group + G_THROTTLED]:
        return F[group + G_THROTTLED_S] - max(F[group + G_BOUNDARY] - F[H_NOW], 0.0)
    return F[group + G_THROTTLED_S]


@compiled
def count_part(I, F, visit, instruction):
    """The visit is done with an instruction, or is taken away: where did the time since its begin go?"""
    code, elapsed = I[instruction + X_CODE], F[H_NOW] - F[visit + V_SINCE]
    if code == X_CPU:
        stall = stalled(I, F, I[visit + V_POD]) - F[visit + V_STALLED]
        F[visit + V_CPU] += elapsed - stall
        F[visit + V_THROTTLED] += stall
    elif code == X_DISK:
        F[visit + V_DISK] += elapsed
    elif code == X_TRANSFER:
        F[visit + V_NETWORK] += elapsed


@compiled
def keep_exemplar(I, F, route, call, status, latency):
    """Insert a request among the slowest of its route, if it is one."""
    kept, limit = I[route + W_EXEMPLAR_COUNT], I[H_EXEMPLARS]
    base = I[route + W_EXEMPLARS]
    if kept == limit:
        if limit == 0 or latency <= F[base + EXEMPLAR * (kept - 1) + M_LATENCY]:
            return
        kept -= 1
    at = kept
    while at > 0 and F[base + EXEMPLAR * (at - 1) + M_LATENCY] < latency:
        for word in range(EXEMPLAR):
            I[base + EXEMPLAR * at + word] = I[base + EXEMPLAR * (at - 1) + word]
        at -= 1
    place = base + EXEMPLAR * at
    I[place + M_SERIES] = I[call + C_SERIES]
    F[place + M_ARRIVED] = F[call + C_ARRIVED]
    F[place + M_LATENCY] = latency
    I[place + M_OUTCOME] = status
    I[place + M_ATTEMPTS] = I[call + C_ATTEMPT]
    I[place + M_COUNT] = 0
    trace = I[call + C_TRACE]
    if trace:
        I[place + M_COUNT] = I[trace + T_COUNT]
        for word in range(HOP * I[trace + T_COUNT]):
            I[place + M_HOPS + word] = I[trace + T_HOPS + word]
    I[route + W_EXEMPLAR_COUNT] = kept + 1


@compiled
def count_root(I, F, call, status):
    """A client's request has ended."""
    now = F[H_NOW]
    if I[H_LOG_CAPACITY]:
        entry = I[H_LOG] + LOG_ENTRY * I[H_LOG_SIZE]
        I[entry] = I[I[call + C_SOURCE] + U_INDEX]
        I[entry + 1] = I[call + C_NUMBER]
        I[entry + 2] = I[I[call + C_SERIES] + E_OPERATION]
        F[entry + 3] = F[call + C_ARRIVED]
        F[entry + 4] = now
        I[entry + 5] = status
        I[entry + 6] = I[call + C_ATTEMPT]
        I[H_LOG_SIZE] += 1
    if F[call + C_EPOCH] == F[H_START]:
        series = I[call + C_SERIES]
        route = I[series + E_ROUTE]
        latency = now - F[call + C_ARRIVED]
        I[series + E_IN_FLIGHT] -= 1
        I[series + E_OUTCOMES + status] += 1
        index, bucket = bin_of_now(I, F), bucket_of(latency)
        if status <= DEGRADED:
            I[series + E_HISTOGRAMS + bucket] += 1
            F[series + E_SUM] += latency
            F[series + E_SQUARES] += latency * latency
            I[series + E_EDGE] += I[call + C_EDGE]
            if index >= 0:
                I[I[route + W_SERVED] + index] += 1
                I[I[route + W_LATENCY] + COARSE_BUCKETS * index + (bucket >> FINE_PER_COARSE)] += 1
        else:
            I[series + E_HISTOGRAMS + BUCKETS + bucket] += 1
            if index >= 0:
                I[I[route + W_FAILED] + index] += 1
        keep_exemplar(I, F, route, call, status, latency)
    trace = I[call + C_TRACE]
    if trace:
        I[trace + T_OWNER] = 0
        I[I[H_TRACES] + I[H_TRACES_SIZE]] = trace
        I[H_TRACES_SIZE] += 1
        I[call + C_TRACE] = 0


# ------------------------------------------------------------------------------------------------- records


@compiled
def new_call(I, F):
    """A call record with its fields at their defaults."""
    call = I[H_FREE_CALL]
    I[H_FREE_CALL] = I[call + C_NEXT_FREE]
    I[H_FREE_CALLS] -= 1
    for word in range(C_CLEARED):
        I[call + word] = 0
    return call


@compiled
def free_call(I, F, call):
    """Give a call record back; its timers mean nothing any more."""
    I[call + C_PAUSE] = 0
    I[call + C_LEGS + LEG_TIMER] = 0
    I[call + C_LEGS + LEG + LEG_TIMER] = 0
    I[call + C_NEXT_FREE] = I[H_FREE_CALL]
    I[H_FREE_CALL] = call
    I[H_FREE_CALLS] += 1


@compiled
def free_visit(I, F, visit):
    """Give a visit record back."""
    I[visit + V_SERIAL] = 0
    I[visit + V_TIMER] = 0
    I[visit + V_NEXT_FREE] = I[H_FREE_VISIT]
    I[H_FREE_VISIT] = visit
    I[H_FREE_VISITS] += 1


# ------------------------------------------------------------------------------------------------- pods


@compiled
def start_visit(I, F, visit):
    """A worker is free: begin, after those who are awake already."""
    I[visit + V_STATE] = READY
    I[visit + V_STEP] = STEP_BEGIN
    F[visit + V_BEGAN] = F[H_NOW]
    wake(I, F, visit)


@compiled
def unlink(I, F, owner, first, last, visit):
    """Take a visit out of a queue whose ends are ``owner + first`` and ``owner + last``."""
    before, after = I[visit + V_PREVIOUS], I[visit + V_NEXT]
    if before:
        I[before + V_NEXT] = after
    else:
        I[owner + first] = after
    if after:
        I[after + V_PREVIOUS] = before
    else:
        I[owner + last] = before


@compiled
def link_last(I, F, owner, first, last, visit):
    """Append a visit to a queue."""
    before = I[owner + last]
    I[visit + V_PREVIOUS] = before
    I[visit + V_NEXT] = 0
    if before:
        I[before + V_NEXT] = visit
    else:
        I[owner + first] = visit
    I[owner + last] = visit


@compiled
def memory(I, F, pod):
    """Bytes that the pod uses now."""
    used = F[pod + P_MEMORY_BASE] + F[pod + P_MEMORY_REQUEST] * I[pod + P_IN_FLIGHT]
    return used + F[pod + P_MEMORY_GROWTH] * (F[H_NOW] - F[pod + P_STARTED])


@compiled
def out_of_memory(I, F, pod):
    """Tell the platform once."""
    if I[pod + P_STATE] <= POD_DRAINING and not I[pod + P_OOM_TOLD]:
        I[pod + P_OOM_TOLD] = 1
        tell(I, F, NOTICE_OOM, I[pod + P_SLOT])


@compiled
def has_room(I, F, pod):
    """Whether the pod takes a connection."""
    workers, bound = I[pod + P_WORKERS], I[pod + P_BOUND]
    return not (workers > 0 and I[pod + P_BUSY] >= workers and 0 <= bound <= I[pod + P_QUEUE_SIZE])


@compiled
def admit(I, F, pod, visit):
    """Take a visit: a worker begins, or it waits."""
    count_pod(I, F, pod)
    I[pod + P_IN_FLIGHT] += 1
    I[pod + P_VISITS] += 1
    if I[pod + P_WORKERS] > 0 and I[pod + P_BUSY] >= I[pod + P_WORKERS]:
        I[visit + V_STATE] = IN_QUEUE
        link_last(I, F, pod, P_QUEUE_FIRST, P_QUEUE_LAST, visit)
        I[pod + P_QUEUE_SIZE] += 1
        if I[pod + P_QUEUE_SIZE] > I[pod + P_QUEUE_MAX]:
            I[pod + P_QUEUE_MAX] = I[pod + P_QUEUE_SIZE]
    else:
        I[pod + P_BUSY] += 1
        start_visit(I, F, visit)
    used = memory(I, F, pod)
    if used > F[pod + P_MEMORY_MAX]:
        F[pod + P_MEMORY_MAX] = used
    if used > F[pod + P_MEMORY_LIMIT]:
        out_of_memory(I, F, pod)


@compiled
def leave(I, F, pod, visit):
    """A visit is gone from a pod; its worker takes the next one."""
    count_pod(I, F, pod)
    if I[pod + P_STATE] > POD_DRAINING:
        return
    I[pod + P_IN_FLIGHT] -= 1
    if I[visit + V_STATE] == IN_QUEUE:
        unlink(I, F, pod, P_QUEUE_FIRST, P_QUEUE_LAST, visit)
        I[pod + P_QUEUE_SIZE] -= 1
    elif I[pod + P_QUEUE_FIRST]:
        following = I[pod + P_QUEUE_FIRST]
        unlink(I, F, pod, P_QUEUE_FIRST, P_QUEUE_LAST, following)
        I[pod + P_QUEUE_SIZE] -= 1
        start_visit(I, F, following)
    else:
        I[pod + P_BUSY] -= 1
    if I[pod + P_STATE] == POD_DRAINING and I[pod + P_IN_FLIGHT] == 0:
        tell(I, F, NOTICE_DRAINED, I[pod + P_SLOT])


# ------------------------------------------------------------------------------------------------- taking down


@compiled
def release_channel(I, F, disk):
    """A channel of a disk is free: the next in the queue gets it."""
    visit = I[disk + D_FIRST]
    if visit:
        unlink(I, F, disk, D_FIRST, D_LAST, visit)
        I[visit + V_STATE] = ON_DISK
        I[visit + V_STEP] = STEP_DISK_GRANTED
        wake(I, F, visit)
    else:
        I[disk + D_FREE] += 1


@compiled
def pool_of(I, visit, hold):
    """The pool that a stream takes from: the instruction's, or (-1) that of its pod; 0 for none."""
    return I[I[visit + V_POD] + P_POOL] if I[hold + X_1] < 0 else I[hold + X_1]


@compiled
def change_hold(I, F, visit, sign):
    """A stream begins (1.0) or ends (-1.0)."""
    hold = I[visit + V_AT]
    pool, link = pool_of(I, visit, hold), I[hold + X_3]
    if pool:
        F[pool + 1] += sign * F[hold + X_2]
    if link:
        account(I, F, link, F[H_NOW])
        resource = I[link + G_RESOURCE]
        F[resource + R_HELD] += sign * F[hold + X_4]
        mark_dirty(I, F, resource)
    if F[hold + X_5] > 0.0:
        if sign > 0.0:
            hold_cores(I, F, I[visit + V_POD], F[hold + X_5], F[H_NOW])
        else:
            unhold_cores(I, F, I[visit + V_POD], F[hold + X_5], F[H_NOW])


@compiled
def give_up_waiting(I, F, visit):
    """Give back what the visit holds or queues for while it waits, and note how far it came."""
    state = I[visit + V_STATE]
    if state != IN_QUEUE and STEP_NEXT <= I[visit + V_STEP] <= STEP_DISK_DONE:
        count_part(I, F, visit, I[visit + V_AT])
    if state == FLOWING:
        stop_work(I, F, I[visit + V_AUX], visit, F[H_NOW])
    elif state == IN_DISK_QUEUE:
        unlink(I, F, I[visit + V_AUX], D_FIRST, D_LAST, visit)
    elif state == ON_DISK:
        release_channel(I, F, I[visit + V_AUX])
    elif state == HOLDING:
        change_hold(I, F, visit, -1.0)
    note_hop(I, F, visit, F[H_NOW] if state == IN_QUEUE else F[visit + V_BEGAN])


@compiled
def unlist_timeout(I, F, call):
    """The attempt's timeout is off."""
    if I[call + C_TIMEOUT]:
        I[call + C_TIMEOUT] = 0
        policy = I[call + C_POLICY]
        before, after = I[call + C_EARLIER], I[call + C_LATER]
        if before:
            I[before + C_LATER] = after
        else:
            I[policy + Q_FIRST] = after
        if after:
            I[after + C_EARLIER] = before
        else:
            I[policy + Q_LAST] = before


@compiled
def silence(I, F, call):
    """Stop the timers of an attempt."""
    unlist_timeout(I, F, call)
    I[call + C_PAUSE] = 0
    for leg in (call + C_LEGS, call + C_LEGS + LEG):
        I[leg + LEG_ACTIVE] = 0
        I[leg + LEG_TIMER] = 0


@compiled
def forget_trial(I, F, call):
    """The call is no trial of a breaker any more."""
    if I[call + C_TRIAL]:
        I[call + C_TRIAL] = 0
        I[I[call + C_POLICY] + Q_TRIAL] = 0


@compiled
def take_down(I, F, top, orphan):
    """Abandon everything that a visit started, innermost first, and give back what it holds itself.

    The visit stays in its pod; those below it leave theirs. ``orphan``: what it called directly goes on.
    """
    visit = top
    while True:
        call = I[visit + V_CHILD]
        below = NOTHING
        while call and not below:
            if not I[call + C_ENDED]:
                forget_trial(I, F, call)
                silence(I, F, call)
                for leg in (call + C_LEGS, call + C_LEGS + LEG):
                    started = I[leg + LEG_VISIT]
                    if started and not below:
                        I[leg + LEG_VISIT] = 0
                        I[started + V_CALL] = 0
                        keep = not I[I[call + C_POLICY] + Q_CANCEL] or (orphan == YES and visit == top)
                        if not keep and I[started + V_STATE] != GONE:
                            below = started
            if not below:
                following = I[call + C_SIBLING]
                free_call(I, F, call)
                call = following
        I[visit + V_CHILD] = call
        if below:
            I[below + V_UP] = visit
            visit = below
            continue
        give_up_waiting(I, F, visit)
        if visit == top:
            return
        up = I[visit + V_UP]
        leave(I, F, I[visit + V_POD], visit)
        free_visit(I, F, visit)
        visit = up


@compiled
def abort(I, F, visit):
    """The caller does not want the visit any more."""
    if I[visit + V_STATE] == GONE:
        return
    take_down(I, F, visit, NO)
    leave(I, F, I[visit + V_POD], visit)
    free_visit(I, F, visit)


@compiled
def drop_visits(I, F, call):
    """The visits of an attempt are not wanted any more."""
    for leg in (call + C_LEGS, call + C_LEGS + LEG):
        visit = I[leg + LEG_VISIT]
        if visit:
            I[leg + LEG_VISIT] = 0
            I[visit + V_CALL] = 0
            if I[I[call + C_POLICY] + Q_CANCEL]:
                abort(I, F, visit)


@compiled
def stop_attempt(I, F, call):
    """Stop timers and whatever is still under way for an attempt."""
    silence(I, F, call)
    if I[call + C_LEGS + LEG_VISIT] or I[call + C_LEGS + LEG + LEG_VISIT]:
        drop_visits(I, F, call)


# ------------------------------------------------------------------------------------------------- calls


@compiled
def think(I, F, source, user, number, session):
    """The pause before a user's request of this number, perhaps the first one of a new session."""
    call = new_call(I, F)
    key = mix(mix(I[source + U_REQUEST_KEY], user), number)
    law, a, b, c = I[source + U_LAW], F[source + U_A], F[source + U_B], F[source + U_C]
    if number > 0 and uniform(key, ROOT_SESSION) < F[source + U_LEAVE]:
        session = number
        law, a, b, c = (
            I[source + U_PAUSE_LAW],
            F[source + U_PAUSE_A],
            F[source + U_PAUSE_B],
            F[source + U_PAUSE_C],
        )
    I[call + C_SOURCE] = source
    I[call + C_USER] = user
    I[call + C_NUMBER] = number
    I[call + C_SESSION] = session
    delay = sample(law, a, b, c, key, ROOT_THINK) / F[source + U_FACTOR]
    I[call + C_PAUSE] = set_timer(I, F, F[H_NOW] + delay, K_THINK, call)


@compiled
def end_root(I, F, call, status):
    """Nobody inside waits for the answer: it is a client's call, or an asynchronous one."""
    source = I[call + C_SOURCE]
    if source:
        count_root(I, F, call, status)
    user, number, session = I[call + C_USER], I[call + C_NUMBER], I[call + C_SESSION]
    free_call(I, F, call)
    if source and I[source + U_KIND] == CLOSED:
        think(I, F, source, user, number + 1, session)


@compiled
def end_call(I, F, call, status):
    """The caller gets its answer."""
    I[call + C_ENDED] = 1
    parent = I[call + C_PARENT]
    if parent:
        I[parent + V_PENDING] -= 1
        if status == DEGRADED or (status != SERVED and I[call + C_SOFT]):
            I[parent + V_DEGRADED] = 1
            if status != DEGRADED:
                I[parent + V_LOST] = 1
        elif status != SERVED and not I[parent + V_FAILED]:
            I[parent + V_FAILED] = status
        if I[parent + V_STATE] == CALLING and I[parent + V_PENDING] == 0:
            I[parent + V_STATE] = READY
            wake(I, F, parent)
    else:
        end_root(I, F, call, status)


end_call_at_once = inlined(end_call)


@compiled
def attempt_failed(I, F, call, status):
    """Try again after a pause, or give up."""
    policy, attempt = I[call + C_POLICY], I[call + C_ATTEMPT]
    budget = F[policy + Q_BUDGET] * I[policy + Q_CALLS]
    if attempt <= I[policy + Q_RETRIES] and I[policy + Q_RETRIED] + 1 <= budget:
        I[policy + Q_RETRIED] += 1
        jitter, factor = F[policy + Q_JITTER], 1.0
        u = uniform(I[call + C_KEY], attempt * PER_ATTEMPT + CALL_JITTER)
        for _ in range(attempt - 1):
            factor *= 2.0
        pause = F[policy + Q_BACKOFF] * factor * (1.0 - jitter + jitter * u)
        I[call + C_PAUSE] = set_timer(I, F, F[H_NOW] + pause, K_RETRY, call)
    else:
        end_call(I, F, call, status)


@compiled
def breaker_failed(I, F, call):
    """Count a failure at the breaker."""
    policy = I[call + C_POLICY]
    if I[policy + Q_BREAKER] <= 0:
        return
    I[policy + Q_FAILURES] += 1
    if I[call + C_TRIAL] or (not I[policy + Q_OPEN] and I[policy + Q_FAILURES] >= I[policy + Q_BREAKER]):
        I[policy + Q_OPEN] = 1
        F[policy + Q_OPEN_UNTIL] = F[H_NOW] + F[policy + Q_BREAKER_OPEN]
    forget_trial(I, F, call)


@compiled
def leg_failed(I, F, call, leg, status):
    """One way to an answer has failed; the attempt fails when no other is left."""
    I[leg + LEG_ACTIVE] = 0
    I[leg + LEG_VISIT] = 0
    I[leg + LEG_TIMER] = 0
    if I[call + C_LEGS + LEG_ACTIVE] or I[call + C_LEGS + LEG + LEG_ACTIVE]:
        return
    stop_attempt(I, F, call)
    breaker_failed(I, F, call)
    attempt_failed(I, F, call, status)


@compiled
def leg_timer(I, F, call, leg, delay, kind):
    """A timer of a leg; ``kind`` for the first leg."""
    second = leg != call + C_LEGS
    I[leg + LEG_TIMER] = set_timer(I, F, F[H_NOW] + delay, kind + 2 * second, call)


@compiled
def arrive(I, F, call, leg):
    """The connection of a leg reaches its pod."""
    I[leg + LEG_TIMER] = 0
    pod = I[leg + LEG_POD]
    state = I[pod + P_STATE]
    if state == POD_BLACKHOLE:
        leg_timer(I, F, call, leg, F[I[call + C_POLICY] + Q_DIAL], K_FAIL_0)
        return
    if state != POD_UP:
        leg_failed(I, F, call, leg, REFUSED)
        return
    I[H_SERIAL] += 1
    if not has_room(I, F, pod):
        I[pod + P_REFUSED] += 1
        leg_failed(I, F, call, leg, REFUSED)
        return
    visit = I[H_FREE_VISIT]
    I[H_FREE_VISIT] = I[visit + V_NEXT_FREE]
    I[H_FREE_VISITS] -= 1
    hedge = CALL_HEDGE if leg != call + C_LEGS else NOTHING
    operation = I[call + C_OPERATION]
    I[visit + V_SERIAL] = I[H_SERIAL]
    I[visit + V_CALL] = call
    I[visit + V_POD] = pod
    I[visit + V_OPERATION] = operation
    I[visit + V_AT] = I[operation + O_FIRST]
    I[visit + V_KEY] = mix(I[call + C_KEY], I[call + C_ATTEMPT] * PER_ATTEMPT + CALL_VISIT + hedge)
    I[visit + V_CLIENT] = I[call + C_CLIENT]
    F[visit + V_ARRIVED] = F[H_NOW]
    I[visit + V_TIMER] = 0
    I[visit + V_CHILD] = 0
    I[visit + V_CHILD_LAST] = 0
    I[visit + V_PENDING] = 0
    I[visit + V_FAILED] = 0
    I[visit + V_DEGRADED] = 0
    I[visit + V_LOST] = 0
    I[visit + V_REPETITION] = 0
    I[visit + V_TRACE] = I[call + C_TRACE]
    I[visit + V_ROOT] = I[call + C_ROOT]
    for part in range(PARTS):
        F[visit + V_CPU + part] = 0.0
    I[leg + LEG_VISIT] = visit
    admit(I, F, pod, visit)


arrive_at_once = inlined(arrive)


@compiled
def balance(I, F, balancer, client, key, counter):
    """The endpoint for a new connection, 0 without any."""
    service, mode = I[balancer + B_SERVICE], I[balancer + B_MODE]
    count, first = I[service + S_COUNT], I[service + S_ENDPOINTS]
    if count == 0:
        return NOTHING
    chosen = first
    if I[balancer + B_STICKY]:
        best = 0
        for at in range(count):
            endpoint = first + ENDPOINT * at
            score = mix(client, I[endpoint + 2]) ^ SIGN
            if at == 0 or score > best:
                best, chosen = score, endpoint
    elif mode == BALANCE_ROUND_ROBIN:
        deadlines = I[balancer + B_DEADLINES]
        turn = deadlines
        for at in range(1, count):
            if F[deadlines + at] < F[turn]:
                turn = deadlines + at
        chosen = first + ENDPOINT * (turn - deadlines)
        F[turn] += 1.0 / F[chosen + 1]
    elif mode == BALANCE_LEAST:
        for at in range(1, count):
            endpoint = first + ENDPOINT * at
            if I[I[endpoint] + P_IN_FLIGHT] < I[I[chosen] + P_IN_FLIGHT]:
                chosen = endpoint
    elif count > 1:
        target, reached = uniform(key, counter) * F[service + S_TOTAL_WEIGHT], 0.0
        chosen = first + ENDPOINT * (count - 1)
        for at in range(count):
            endpoint = first + ENDPOINT * at
            reached += F[endpoint + 1]
            if target < reached:
                chosen = endpoint
                break
    return I[chosen]


@compiled
def nic_of(I, F, node):
    """The network card of a node, 0 without one."""
    return I[I[H_NODES] + NODE * node + N_NIC] if node >= 0 else NOTHING


@compiled
def connect(I, F, call, leg):
    """Choose an endpoint and open a connection to it."""
    I[leg + LEG_ACTIVE] = 1
    counter = I[call + C_ATTEMPT] * PER_ATTEMPT
    if leg != call + C_LEGS:
        counter += CALL_HEDGE
    pod = balance(I, F, I[call + C_BALANCER], I[call + C_CLIENT], I[call + C_KEY], counter + CALL_BALANCE)
    if pod == 0:
        leg_failed(I, F, call, leg, NO_ENDPOINT)
        return
    I[leg + LEG_POD] = pod
    here, there = I[call + C_NODE], I[pod + P_NODE]
    reachable = I[pod + P_STATE] != POD_BLACKHOLE and I[I[H_NODES] + NODE * there + N_UP]
    delay = 0.0
    if here != there:
        mine, theirs = nic_of(I, F, here), I[pod + P_NIC]
        delay = F[call + C_RTT]
        if mine:
            reachable = reachable and I[mine + L_UP]
            delay += F[mine + L_RTT]
        if theirs:
            reachable = reachable and I[theirs + L_UP]
            delay += F[theirs + L_RTT]
            if reachable and F[theirs + L_LOSS] > 0.0:
                delay += retransmission_delay(F[theirs + L_LOSS], uniform(I[call + C_KEY], counter + CALL_LOSS))
    if not reachable:
        leg_timer(I, F, call, leg, F[I[call + C_POLICY] + Q_DIAL], K_FAIL_0)
    elif delay > 0.0:
        leg_timer(I, F, call, leg, delay, K_ARRIVE_0)
    else:
        arrive_at_once(I, F, call, leg)


connect_at_once = inlined(connect)


@compiled
def arm(I, F, policy):
    """Put the first timeout of a policy into the heap."""
    call = I[policy + Q_FIRST]
    I[policy + Q_ARMED] = I[call + C_TIMEOUT] if call else 0
    if call:
        push(I, F, F[call + C_DEADLINE], I[call + C_TIMEOUT], K_TIMEOUT, policy)


@compiled
def next_attempt(I, F, call):
    """Begin an attempt."""
    policy = I[call + C_POLICY]
    I[call + C_PAUSE] = 0
    I[call + C_ATTEMPT] += 1
    if I[call + C_SOURCE] and F[call + C_EPOCH] == F[H_START]:
        I[I[call + C_SERIES] + E_ATTEMPTS] += 1
    if I[policy + Q_OPEN]:
        if F[H_NOW] < F[policy + Q_OPEN_UNTIL] or I[policy + Q_TRIAL]:
            attempt_failed(I, F, call, REFUSED)
            return
        I[policy + Q_TRIAL] = 1
        I[call + C_TRIAL] = 1
    if F[policy + Q_TIMEOUT] < INF:
        I[H_SEQUENCE] += 1
        I[call + C_TIMEOUT] = I[H_SEQUENCE]
        F[call + C_DEADLINE] = F[H_NOW] + F[policy + Q_TIMEOUT]
        before = I[policy + Q_LAST]
        I[call + C_EARLIER] = before
        I[call + C_LATER] = 0
        if before:
            I[before + C_LATER] = call
        else:
            I[policy + Q_FIRST] = call
        I[policy + Q_LAST] = call
        if not I[policy + Q_ARMED]:
            arm(I, F, policy)
    if F[policy + Q_HEDGE] < INF:
        I[call + C_PAUSE] = set_timer(I, F, F[H_NOW] + F[policy + Q_HEDGE], K_HEDGE, call)
    connect_at_once(I, F, call, call + C_LEGS)


@compiled
def begin_call(I, F, call):
    """A call begins."""
    I[I[call + C_POLICY] + Q_CALLS] += 1
    next_attempt(I, F, call)


@compiled
def timed_out(I, F, policy, sequence):
    """The first timeout of a policy may be due; those that were taken off the list do not count."""
    call = I[policy + Q_FIRST]
    if call and I[call + C_TIMEOUT] == sequence:
        unlist_timeout(I, F, call)
        arm(I, F, policy)
        stop_attempt(I, F, call)
        breaker_failed(I, F, call)
        attempt_failed(I, F, call, TIMED_OUT)
    else:
        arm(I, F, policy)


@compiled
def answered(I, F, call, visit, status):
    """A visit has ended: the attempt has its answer."""
    leg = call + C_LEGS
    if I[leg + LEG_VISIT] != visit:
        leg += LEG
    if status >= REFUSED:
        leg_failed(I, F, call, leg, status)
        return
    I[leg + LEG_VISIT] = 0
    policy = I[call + C_POLICY]
    I[policy + Q_FAILURES] = 0
    if I[call + C_TRIAL]:
        I[policy + Q_OPEN] = 0
        forget_trial(I, F, call)
    stop_attempt(I, F, call)
    end_call_at_once(I, F, call, status)


answered_at_once = inlined(answered)


# ------------------------------------------------------------------------------------------------- sources


@compiled
def new_request(I, F, call, source, number, user, key, client, position):
    """A client asks."""
    now = F[H_NOW]
    mix_at = I[source + U_MIX]
    if position < 0:
        position = NOTHING
        u = uniform(key, ROOT_OPERATION) if I[source + U_MIX_SIZE] > 1 else 0.0
        while position < I[source + U_MIX_SIZE] - 1 and u >= F[mix_at + MIX * position]:
            position += 1
    entry = mix_at + MIX * position
    series = I[entry + 2]
    I[H_ROOTS] += 1
    I[call + C_SOURCE] = source
    I[call + C_USER] = user
    I[call + C_NUMBER] = number
    I[call + C_SERIES] = series
    I[call + C_OPERATION] = I[entry + 1]
    I[call + C_POLICY] = I[source + U_POLICY]
    I[call + C_BALANCER] = I[entry + 3]
    I[call + C_KEY] = mix(key, ROOT_CALL)
    I[call + C_CLIENT] = client
    I[call + C_NODE] = -1
    F[call + C_RTT] = F[source + U_RTT]
    F[call + C_ARRIVED] = now
    F[call + C_EPOCH] = F[H_START]
    I[call + C_ROOT] = I[H_ROOTS]
    if I[H_TRACES_SIZE] > 0:
        I[H_TRACES_SIZE] -= 1
        trace = I[I[H_TRACES] + I[H_TRACES_SIZE]]
        I[trace + T_OWNER] = I[H_ROOTS]
        I[trace + T_COUNT] = 0
        I[call + C_TRACE] = trace
    I[series + E_ARRIVED] += 1
    I[series + E_IN_FLIGHT] += 1
    index = bin_of_now(I, F)
    if index >= 0:
        I[I[I[series + E_ROUTE] + W_ARRIVED] + index] += 1
    if F[source + U_EDGE] > 0.0 and uniform(key, ROOT_EDGE) < F[source + U_EDGE]:
        I[call + C_EDGE] = 1
        I[call + C_PAUSE] = set_timer(I, F, now + F[source + U_RTT], K_EDGE, call)
        return
    begin_call(I, F, call)


@compiled
def wait_for_arrival(I, F, source):
    """Set the timer of an open source."""
    time = arrival_time(I, F, source)
    I[source + U_TIMER] = set_timer_at_once(I, F, time, K_ARRIVAL, source) if time < INF else 0


wait_for_arrival_at_once = inlined(wait_for_arrival)


@compiled
def next_gap(I, F, source):
    """Draw the gap before the source's next request."""
    law, a, b, c = I[source + U_LAW], F[source + U_A], F[source + U_B], F[source + U_C]
    need = sample(law, a, b, c, I[source + U_GAP_KEY], I[source + U_NUMBER] * GAP_STRIDE)
    if F[source + U_UNDER_WAY] > 0.0:
        passed = min(need, F[source + U_UNDER_WAY])
        F[source + U_UNDER_WAY] -= passed
        need -= passed
    F[source + U_SINCE] = F[H_NOW]
    F[source + U_NEED] = need
    wait_for_arrival_at_once(I, F, source)


next_gap_at_once = inlined(next_gap)


@compiled
def next_of_trace(I, F, source):
    """Set the timer of a trace."""
    if I[source + U_NUMBER] < I[source + U_TRACE_SIZE]:
        time = F[I[source + U_TRACE] + 2 * I[source + U_NUMBER]]
        I[source + U_TIMER] = set_timer(I, F, time, K_ARRIVAL, source)


@compiled
def start_source(I, F, source, users):
    """A source begins at time 0."""
    if I[source + U_KIND] == CLOSED:
        for user in range(users):
            think(I, F, source, user, NOTHING, NOTHING)
    elif I[source + U_KIND] == OPEN:
        next_gap(I, F, source)
    else:
        next_of_trace(I, F, source)


@compiled
def client_fires(I, F, sequence, kind, thing):
    """An open source or a trace has its next arrival, or a user has thought."""
    if kind == K_ARRIVAL:
        source = thing
        if I[source + U_TIMER] != sequence:
            return
        number = user = I[source + U_NUMBER]
        I[source + U_NUMBER] = number + 1
        position = ANY
        if I[source + U_KIND] == OPEN:
            next_gap_at_once(I, F, source)
        else:
            next_of_trace(I, F, source)
            position = I[I[source + U_TRACE] + 2 * number + 1]
        call, key = new_call(I, F), mix(I[source + U_REQUEST_KEY], number)
        client = key
    else:
        call = thing
        if I[call + C_PAUSE] != sequence:
            return
        I[call + C_PAUSE] = 0
        source, user, number, position = I[call + C_SOURCE], I[call + C_USER], I[call + C_NUMBER], ANY
        person = mix(I[source + U_REQUEST_KEY], user)
        key, client = mix(person, number), mix(person, I[call + C_SESSION])
    new_request(I, F, call, source, number, user, key, client, position)


# ------------------------------------------------------------------------------------------------- visits


@compiled
def finish(I, F, visit, status):
    """The answer is ready: free the worker, then tell the caller."""
    pod, call = I[visit + V_POD], I[visit + V_CALL]
    sojourn = I[I[I[visit + V_OPERATION] + O_SERVICE] + S_SOJOURN]
    I[sojourn + bucket_of(F[H_NOW] - F[visit + V_ARRIVED])] += 1
    note_hop(I, F, visit, F[visit + V_BEGAN])
    leave(I, F, pod, visit)
    if call:
        answered_at_once(I, F, call, visit, status)
    free_visit(I, F, visit)


@compiled
def sleep(I, F, visit, delay, step):
    """The visit goes on at ``step`` after a delay."""
    I[visit + V_STATE] = ON_TIMER
    I[visit + V_STEP] = step
    I[visit + V_TIMER] = set_timer_at_once(I, F, F[H_NOW] + delay, K_VISIT, visit)


@compiled
def flow(I, F, visit, group, amount):
    """The visit goes on when its work is done."""
    I[visit + V_STATE] = FLOWING
    I[visit + V_STEP] = STEP_NEXT
    I[visit + V_AUX] = group
    begin_work(I, F, group, visit, amount, F[H_NOW])


@compiled
def free_children(I, F, visit):
    """All calls have ended: give their records back."""
    call = I[visit + V_CHILD]
    while call:
        following = I[call + C_SIBLING]
        free_call(I, F, call)
        call = following
    I[visit + V_CHILD] = 0
    I[visit + V_CHILD_LAST] = 0


@compiled
def call_from(I, F, visit, instruction, key, mode):
    """A visit calls a service."""
    call = new_call(I, F)
    I[call + C_OPERATION] = I[instruction + X_1]
    I[call + C_POLICY] = I[instruction + X_2]
    I[call + C_BALANCER] = I[instruction + X_BALANCER]
    I[call + C_SOFT] = I[instruction + X_4]
    I[call + C_KEY] = key
    I[call + C_CLIENT] = I[visit + V_CLIENT]
    I[call + C_NODE] = I[I[visit + V_POD] + P_NODE]
    F[call + C_RTT] = F[H_LAN_RTT]
    I[call + C_TRACE] = I[visit + V_TRACE]
    I[call + C_ROOT] = I[visit + V_ROOT]
    if mode != ASYNC:
        I[call + C_PARENT] = visit
        I[visit + V_PENDING] += 1
        if I[visit + V_CHILD]:
            I[I[visit + V_CHILD_LAST] + C_SIBLING] = call
        else:
            I[visit + V_CHILD] = call
        I[visit + V_CHILD_LAST] = call
    if mode == SEQUENTIAL:
        I[visit + V_STATE] = CALLING
        I[visit + V_STEP] = STEP_CALLED
    begin_call(I, F, call)


@compiled
def calls(I, F, visit, instruction):
    """The calls of one instruction from V_REPETITION on; True if the visit must wait."""
    counter = I[instruction + X_COUNTER]
    key, mode = I[visit + V_KEY], I[instruction + X_5]
    share = F[instruction + X_A]
    while I[visit + V_REPETITION] < I[instruction + X_3]:
        repetition = I[visit + V_REPETITION]
        I[visit + V_REPETITION] = repetition + 1
        if share >= 1.0 or uniform(key, counter + 2 * repetition) < share:
            call_from(I, F, visit, instruction, mix(key, counter + 2 * repetition + 1), mode)
            if mode == SEQUENTIAL:
                return True
    I[visit + V_REPETITION] = 0
    return False


@compiled
def cache_hit(I, F, visit, instruction, u):
    """Whether the cache has it."""
    service, lost = I[instruction + X_1], I[visit + V_LOST]
    I[visit + V_LOST] = 0
    if service == 0:
        service = I[H_SERVICES] + SERVICE * I[I[visit + V_POD] + P_SERVICE]
    elif I[service + S_COUNT] == 0 or lost:
        return False
    ratio, holds = F[instruction + X_A], F[service + S_FILLED]
    if holds < F[instruction + X_B]:
        if u >= ratio * (holds / F[instruction + X_B]):
            if u < ratio:
                F[service + S_FILLED] = holds + 1.0
            return False
    return u < ratio


@compiled
def disk_io(I, F, visit, instruction):
    """Begin an access; True if the visit must wait."""
    disk = I[instruction + X_1]
    if disk == 0:
        disk = I[I[visit + V_POD] + P_DISK]
    if disk == 0:
        return False
    if I[disk + D_FAILING]:
        I[visit + V_FAILED] = ERROR
        return False
    I[visit + V_AUX] = disk
    setup = F[instruction + X_2] * F[disk + D_OP] + F[instruction + X_3] * F[disk + D_FSYNC]
    if setup > 0.0:
        if I[disk + D_FREE] > 0:
            I[disk + D_FREE] -= 1
            sleep(I, F, visit, setup, STEP_DISK_DONE)
            I[visit + V_STATE] = ON_DISK
        else:
            I[visit + V_STATE] = IN_DISK_QUEUE
            I[visit + V_STEP] = STEP_DISK_GRANTED
            link_last(I, F, disk, D_FIRST, D_LAST, visit)
            F[visit + V_TAG] = setup
        return True
    return disk_transfer(I, F, visit, instruction, disk)


@compiled
def disk_transfer(I, F, visit, instruction, disk):
    """The bytes of an access; True if the visit must wait."""
    work = F[instruction + X_4] / F[disk + D_READ] + F[instruction + X_5] / F[disk + D_WRITE]
    work *= F[disk + D_SLOWDOWN]
    if work > 0.0:
        flow(I, F, visit, disk, work)
        return True
    return False


@compiled
def transfer(I, F, visit, instruction, key, counter):
    """Begin a transfer; True if the visit must wait."""
    link = I[instruction + X_1]
    if link == 0:
        link = I[I[visit + V_POD] + P_NIC]
    if link == 0:
        return False
    size, delay = draw(I, F, instruction, key, counter), F[link + L_RTT]
    if F[link + L_LOSS] > 0.0:
        delay += retransmission_delay(F[link + L_LOSS], uniform(key, counter + STEP_LOSS))
    if delay > 0.0:
        F[visit + V_TAG] = size
        I[visit + V_AUX] = link
        sleep(I, F, visit, delay, STEP_FLOW)
        return True
    if size > 0.0:
        flow(I, F, visit, link, size)
        return True
    return False


@compiled
def stream(I, F, visit, instruction, key, counter):
    """Begin a stream; True if the visit must wait."""
    pool, link = pool_of(I, visit, instruction), I[instruction + X_3]
    full = F[pool + 1] + F[instruction + X_2] > F[pool] if pool else I[instruction + X_1] < 0
    if link:
        line = I[link + G_RESOURCE]
        full = full or F[line + R_HELD] + F[instruction + X_4] > F[line + R_CAPACITY]
    if full:
        if I[instruction + X_6]:
            I[visit + V_DEGRADED] = 1
        else:
            I[visit + V_FAILED] = REFUSED
        return False
    duration = draw(I, F, instruction, key, counter)
    if duration <= 0.0:
        I[visit + V_AT] += INSTRUCTION * I[instruction + X_BALANCER]
        return False
    change_hold(I, F, visit, 1.0)
    sleep(I, F, visit, duration, STEP_HELD)
    I[visit + V_STATE] = HOLDING
    return True


@compiled
def take_token(I, F, limit):
    """One token of a bucket, if there is one. X_A average, X_B burst, X_C tokens, X_1 time of the last look."""
    tokens = F[limit + X_C] + F[limit + X_A] * (F[H_NOW] - F[limit + X_1])
    if F[limit + X_B] < tokens:
        tokens = F[limit + X_B]
    allowed = tokens >= 1.0
    F[limit + X_C] = tokens - 1.0 if allowed else tokens
    F[limit + X_1] = F[H_NOW]
    return allowed


@compiled
def execute(I, F, visit, instruction):
    """Begin an instruction that is no call; True if the visit must wait."""
    code, key = I[instruction + X_CODE], I[visit + V_KEY]
    counter = I[instruction + X_COUNTER]
    F[visit + V_SINCE] = F[H_NOW]
    if code == X_CPU:
        demand = draw(I, F, instruction, key, counter)
        if demand > 0.0:
            pod = I[visit + V_POD]
            F[visit + V_STALLED] = stalled(I, F, pod)
            F[visit + V_WORK] += demand / F[I[pod + G_RESOURCE] + R_SPEED]
            flow(I, F, visit, pod, demand)
            return True
    elif code == X_WAIT:
        delay = draw(I, F, instruction, key, counter)
        if delay > 0.0:
            sleep(I, F, visit, delay, STEP_NEXT)
            return True
    elif code == X_CACHE:
        if cache_hit(I, F, visit, instruction, uniform(key, counter)):
            I[visit + V_AT] += INSTRUCTION * I[instruction + X_2]
    elif code == X_DISK:
        return disk_io(I, F, visit, instruction)
    elif code == X_TRANSFER:
        return transfer(I, F, visit, instruction, key, counter)
    elif code == X_DENY:
        if uniform(key, counter) < F[instruction + X_A]:
            I[visit + V_FAILED] = DENIED
    elif code == X_LIMIT:
        if not take_token(I, F, instruction):
            I[visit + V_FAILED] = RATE_LIMITED
    elif code == X_HOLD:
        return stream(I, F, visit, instruction, key, counter)
    return False


@compiled
def resume(I, F, visit):
    """Finish the instruction that the visit waited for; True if it must wait again."""
    step, instruction = I[visit + V_STEP], I[visit + V_AT]
    if step == STEP_FLOW:
        size = F[visit + V_TAG]
        if size > 0.0:
            flow(I, F, visit, I[visit + V_AUX], size)
            return True
    elif step == STEP_DISK_GRANTED:
        sleep(I, F, visit, F[visit + V_TAG], STEP_DISK_DONE)
        I[visit + V_STATE] = ON_DISK
        return True
    elif step == STEP_DISK_DONE:
        disk = I[visit + V_AUX]
        I[visit + V_STATE] = READY
        release_channel(I, F, disk)
        if disk_transfer(I, F, visit, instruction, disk):
            return True
    elif step == STEP_HELD:
        I[visit + V_STATE] = READY
        change_hold(I, F, visit, -1.0)
        instruction += INSTRUCTION * I[instruction + X_BALANCER]  # what is for those who found no room
    elif step == STEP_CALLED:
        free_children(I, F, visit)
        if not I[visit + V_FAILED] and calls(I, F, visit, instruction):
            return True
    if step <= STEP_DISK_DONE:
        count_part(I, F, visit, instruction)
    I[visit + V_AT] = instruction + INSTRUCTION
    return False


@compiled
def run(I, F, visit):
    """A visit goes on until it must wait or has ended."""
    last = I[I[visit + V_OPERATION] + O_LAST]
    I[visit + V_TIMER] = 0
    step = I[visit + V_STEP]
    if step == STEP_JOINED:
        I[visit + V_STATE] = READY
    elif step != STEP_BEGIN:
        if resume(I, F, visit):
            return
        if I[visit + V_FAILED]:
            I[visit + V_AT] = last
    while True:
        at = I[visit + V_AT]
        parallel = at < last and I[at + X_CODE] == X_CALL and I[at + X_5] == PARALLEL
        if not parallel:
            if I[visit + V_PENDING] > 0:
                I[visit + V_STATE] = CALLING
                I[visit + V_STEP] = STEP_JOINED
                return
            free_children(I, F, visit)
            if I[visit + V_FAILED] or at >= last:
                break
        if I[at + X_CODE] == X_CALL:
            waits = calls(I, F, visit, at)
        else:
            waits = execute(I, F, visit, at)
        if waits:
            return
        I[visit + V_AT] += INSTRUCTION
        if I[visit + V_FAILED] and not parallel:
            I[visit + V_AT] = last
    failed = I[visit + V_FAILED]
    finish(I, F, visit, failed if failed else (DEGRADED if I[visit + V_DEGRADED] else SERVED))


# ------------------------------------------------------------------------------------------------- the loop


@compiled
def timer_fires(I, F, sequence, kind, thing):
    """What a timer does; one that was put off or belongs to something gone does nothing."""
    if kind == K_ARRIVAL or kind == K_THINK:
        client_fires(I, F, sequence, kind, thing)
    elif kind == K_TIMEOUT:
        timed_out(I, F, thing, sequence)
    elif kind <= K_HEDGE or kind == K_EDGE:
        if I[thing + C_PAUSE] != sequence:
            return
        I[thing + C_PAUSE] = 0
        if kind == K_RETRY:
            next_attempt(I, F, thing)
        elif kind == K_HEDGE:
            connect(I, F, thing, thing + C_LEGS + LEG)
        else:
            end_call(I, F, thing, SERVED)
    elif kind == K_MEMORY:
        if I[thing + P_MEMORY_TIMER] == sequence:
            I[thing + P_MEMORY_TIMER] = 0
            out_of_memory(I, F, thing)
    else:
        leg = thing + C_LEGS + (LEG if kind >= K_ARRIVE_1 else 0)
        if I[leg + LEG_TIMER] == sequence:
            if kind == K_ARRIVE_0 or kind == K_ARRIVE_1:
                arrive(I, F, thing, leg)
            else:
                leg_failed(I, F, thing, leg, TIMED_OUT)


@compiled
def count_room(I, F):
    """Count the steps for which the tables surely have room; True if they have none for the next."""
    fan = I[H_FAN_OUT]
    steps = min(I[H_FREE_VISITS], I[H_FREE_CALLS], I[H_READY_CAPACITY] - I[H_READY_SIZE])
    if I[H_LOG_CAPACITY] > 0:
        steps = min(steps, I[H_LOG_CAPACITY] - I[H_LOG_SIZE])
    steps = min(steps // fan, (I[H_HEAP_CAPACITY] - I[H_HEAP_SIZE]) // (4 * fan + 4))
    if I[H_TRACES_ALL] < MOST_TRACES:
        steps = min(steps, I[H_TRACES_SIZE])  # a step begins one request at most
    I[H_STEPS] = steps
    I[H_STILL] = I[H_STILL] + steps if F[H_NOW] == F[H_STILL_SINCE] else NOTHING
    F[H_STILL_SINCE] = F[H_NOW]
    return steps <= 0


@compiled
def lacks_room(I, F):
    """Whether a table might overflow in the next step."""
    if I[H_STEPS] <= 0 and count_room(I, F):
        return True
    I[H_STEPS] -= 1
    return False


@compiled
def look_ahead(I, F, heap, thing):
    """With so many under way, what comes next is not in the processor's cache any more: ask for it now.

    Next are this timer's call, if it is a visit's, and the owner of one of the two timers below the root.
    """
    for entry in (heap + 3, heap + 6):
        following = I[entry + 2] >> KIND_BITS
        for word in range(0, VISIT, CACHE_LINE):
            prefetch(I, following + word)
    call = I[thing + V_CALL]
    for word in range(0, CALL, CACHE_LINE):
        prefetch(I, call + word)


@compiled
def run_until(I, F, until):
    """Run all events up to and including ``until``: DONE, or NOTICE, or GROW to be called again with larger tables.

    STUCK: so much happens in one instant that it will never end.
    """
    I[H_STEPS] = 0
    while True:
        visit = NOTHING
        if I[H_READY_SIZE] > 0:
            if lacks_room(I, F):
                return GROW
            if I[H_STILL] > MOST_STEPS:
                return STUCK
            entry = I[H_READY] + 2 * I[H_READY_HEAD]
            I[H_READY_HEAD] = (I[H_READY_HEAD] + 1) & (I[H_READY_CAPACITY] - 1)
            I[H_READY_SIZE] -= 1
            if I[I[entry] + V_SERIAL] == I[entry + 1]:
                visit = I[entry]
        else:
            for at in range(I[H_DIRTY_SIZE]):
                resolve(I, F, I[I[H_DIRTY] + at], F[H_NOW])
            I[H_DIRTY_SIZE] = 0
            if I[H_NOTICES_SIZE] > 0:
                return NOTICE
            if I[H_HEAP_HOLE]:
                fill_hole(I, F)
            due, heap = F[H_DUE], I[H_HEAP]
            if I[H_HEAP_SIZE] > 0 and F[heap] < due:
                if F[heap] > until:
                    return DONE
                if lacks_room(I, F):
                    return GROW
                if I[H_STILL] > MOST_STEPS:
                    return STUCK
                F[H_NOW] = F[heap]
                I[H_HEAP_HOLE] = 1
                sequence, payload = I[heap + 1], I[heap + 2]
                kind, thing = payload & ((1 << KIND_BITS) - 1), payload >> KIND_BITS
                if I[H_HEAP_SIZE] > CROWD:
                    look_ahead(I, F, heap, thing)
                if kind != K_VISIT:
                    timer_fires(I, F, sequence, kind, thing)
                elif I[thing + V_TIMER] == sequence:
                    visit = thing  # nobody else is awake, so it goes on at once
            else:
                if due > until or due == INF:
                    return DONE
                if lacks_room(I, F):
                    return GROW
                F[H_NOW] = due
                visit = fire(I, F, I[I[H_RESOURCES] + I[H_WINNER]], due)
        if visit:
            run(I, F, visit)


@compiled
def kill_pod(I, F, pod, state):
    """The pod's processes are gone: ``state`` is POD_DEAD (connections are reset) or POD_BLACKHOLE (callers hang).

    From P_FIRST on its visits are in order of admission. What a visit has called in its own pod goes with it, and is
    skipped when its turn comes.
    """
    book_bins(I, F, pod)
    count_pod(I, F, pod)
    I[pod + P_STATE] = state
    I[pod + P_MEMORY_TIMER] = 0
    visit = I[pod + P_FIRST]
    while visit:
        if I[visit + V_SERIAL]:
            take_down(I, F, visit, YES if state == POD_BLACKHOLE else NO)
            I[visit + V_STATE] = GONE
        visit = I[visit + V_POD_NEXT]
    visit = I[pod + P_FIRST]
    I[pod + P_FIRST] = I[pod + P_IN_FLIGHT] = 0
    I[pod + P_QUEUE_FIRST] = I[pod + P_QUEUE_LAST] = I[pod + P_QUEUE_SIZE] = I[pod + P_BUSY] = 0
    while visit:
        following, call = I[visit + V_POD_NEXT], I[visit + V_CALL]
        here = I[visit + V_SERIAL] > 0
        if here and call:
            if state == POD_DEAD:
                answered(I, F, call, visit, CONNECTION_RESET)
            else:
                leg = call + C_LEGS
                if I[leg + LEG_VISIT] != visit:
                    leg += LEG
                I[leg + LEG_VISIT] = 0
                leg_timer(I, F, call, leg, TCP_GIVE_UP_S, K_FAIL_0)
        if here:
            free_visit(I, F, visit)
        visit = following


@compiled
def stop_accounts(I, F):
    """Book everything up to now; changes nothing that happens later."""
    for slot in range(I[H_POD_COUNT]):
        pod = I[I[H_PODS] + slot]
        account(I, F, pod, F[H_NOW])
        book_bins(I, F, pod)
        count_pod(I, F, pod)
    for order in range(I[H_RESOURCE_COUNT]):
        account(I, F, I[I[I[H_RESOURCES] + order] + R_MAIN_GROUP], F[H_NOW])


@compiled
def obey(I, F, order, thing, number, value):
    """What the platform does at this instant."""
    if order == DO_KILL:
        kill_pod(I, F, thing, number)
    elif order == DO_DIRTY:
        mark_dirty(I, F, thing)
    elif order == DO_HOLD:
        hold_cores(I, F, thing, value, F[H_NOW])
    elif order == DO_UNHOLD:
        unhold_cores(I, F, thing, value, F[H_NOW])
    elif order == DO_WATCH_MEMORY:
        I[thing + P_MEMORY_TIMER] = set_timer(I, F, F[H_NOW] + value, K_MEMORY, thing)
    elif order == DO_START_SOURCE:
        start_source(I, F, thing, number)
    elif order == DO_WAIT_FOR_ARRIVAL:
        wait_for_arrival(I, F, thing)
    elif order == DO_ACCOUNT:
        stop_accounts(I, F)


def advance(I, F, until, order, thing, number, value):
    """The one way in, so that there is one thing to compile and to load: advance, or obey if there is an ``order``."""
    if order >= 0:
        obey(I, F, order, thing, number, value)
        return DONE
    return run_until(I, F, until)


INTERPRETED = bool(config.DISABLE_JIT)
"""Whether numba has been told not to compile."""


def build() -> tuple[MachineCode, int]:
    """Compile :func:`advance` with all it calls; see :func:`sim.kernel_build.build`."""
    words, reals = types.CPointer(types.int64), types.CPointer(types.float64)
    what = (types.float64, types.int64, types.int64, types.int64, types.float64)
    return build_function(advance, types.int64(words, reals, *what), INNER)
