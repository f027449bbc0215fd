"""Where things are in the kernel's memory.

The compiled engine keeps its whole state in one array of 64-bit words that is seen both as integers (``I``) and as
floats (``F``). A thing is a record at an address, and ``I[visit + V_POD]`` is a field of it, so a reference is an
address, tables grow without anything being moved, and a function needs two arguments to reach everything. Address 0
means "none".
Names in comments: f = float, @ = address, # = index of the program, otherwise an integer.
"""

from __future__ import annotations

from typing import cast

import numpy as np


def numbers(first: int, end: int | None = None) -> tuple[int, ...]:
    """Like ``range``, as numpy integers: numba would compile a function anew for every literal Python integer."""
    values = range(first) if end is None else range(first, end)
    return cast("tuple[int, ...]", tuple(np.int64(value) for value in values))


CACHE_LINE = np.int64(8)
"""Words that the processor fetches together, on nearly every machine."""

# Header, at address 0.
(
    H_NONE,
    H_NOW,  # f
    H_SEQUENCE,  # timers set so far
    H_SERIAL,  # visits so far
    H_THREADS,  # threads so far
    H_ROOTS,  # requests so far
    H_HEAP,  # @ of (time f, sequence, payload) triples
    H_HEAP_SIZE,
    H_HEAP_CAPACITY,
    H_HEAP_HOLE,  # 1: the root was taken and not replaced yet
    H_READY,  # @ of (visit @, serial) pairs, a ring
    H_READY_HEAD,
    H_READY_SIZE,
    H_READY_CAPACITY,  # a power of two
    H_FREE_VISIT,  # @ of the first free record
    H_FREE_VISITS,
    H_FREE_CALL,
    H_FREE_CALLS,
    H_STEPS,  # for so many the tables surely have room
    H_STILL,  # steps that took no time
    H_STILL_SINCE,  # f
    H_DIRTY,  # @ of resource addresses
    H_DIRTY_SIZE,
    H_TREE,  # @ of the tournament over resources: dues f, then winners
    H_TREE_SIZE,  # leaves, a power of two
    H_DUE,  # f, of the resource that wins
    H_WINNER,  # its order
    H_RESOURCES,  # @ of resource addresses
    H_RESOURCE_COUNT,
    H_NOTICES,  # @ of (kind, slot)
    H_NOTICES_SIZE,
    H_PODS,  # @ of pod addresses by slot
    H_POD_COUNT,
    H_NODES,  # @ of the first node record
    H_SERVICES,
    H_OPERATIONS,
    H_POOLS,  # @ of (capacity f, used f)
    H_LAN_RTT,  # f
    H_FAN_OUT,  # calls that one visit can have under way at once, and 2
    H_START,  # f, begin of the measurement
    H_BIN_WIDTH,  # f
    H_BINS,
    H_SERIES,  # @ of the first series record
    H_ROUTES,  # @ of the first route record
    H_SOJOURN,  # @ of the histograms of all services
    H_EXEMPLARS,  # kept per route
    H_TRACES,  # @ of free trace addresses, a stack
    H_TRACES_SIZE,
    H_TRACES_ALL,  # free or not
    H_BIN_BEGIN,  # f, the moments whose bin is known
    H_BIN_END,  # f
    H_BIN,
    H_LOG,  # @ of log entries
    H_LOG_SIZE,
    H_LOG_CAPACITY,  # 0: no log
    HEADER,
) = numbers(56)

# A group of threads that share a rate: a pod's, or the transfers of a link or a disk.
(
    G_RESOURCE,  # @
    G_WEIGHT,  # f
    G_SLICE,
    G_LIMITED,  # has a CFS quota
    G_LIMIT,  # f cores
    G_PHASE,  # f
    G_PERIOD,  # f
    G_BURST,  # f core-seconds that a period may take over
    G_HEAP,  # @ of the thread that ends first
    G_THREADS,
    G_HOLDS,
    G_LOAD,  # f
    G_RATE,  # f
    G_SPEED,  # f
    G_VIRTUAL,  # f
    G_TOUCHED,  # f
    G_CHANGED,
    G_DUE,  # f
    G_COMPLETION,  # f, of the thread that ends first
    G_BUDGET,  # f
    G_BOUNDARY,  # f
    G_THROTTLED,
    G_POSITION,  # in the resource's list
    G_SATISFIED,
    G_ACCOUNTED,  # f
    G_USED,  # f
    G_THROTTLED_S,  # f
    G_THROTTLED_PERIODS,
    GROUP,
) = numbers(29)

# A pod: a group and more.
(
    P_STATE,
    P_SLOT,
    P_NODE,  # #
    P_SERVICE,  # #
    P_WORKERS,
    P_BOUND,
    P_BUSY,
    P_QUEUE_FIRST,  # @ visits that wait
    P_QUEUE_LAST,
    P_QUEUE_SIZE,
    P_FIRST,  # @ all visits, in order of admission; only while the pod is killed
    P_IN_FLIGHT,
    P_STARTED,  # f
    P_MEMORY_BASE,  # f, with stress
    P_MEMORY_REQUEST,  # f
    P_MEMORY_GROWTH,  # f
    P_MEMORY_LIMIT,  # f
    P_MEMORY_TIMER,
    P_OOM_TOLD,
    P_DISK,  # @
    P_NIC,  # @
    P_POOL,  # @ of encoder sessions, 0: none
    P_COUNTED,  # f
    P_BUSY_S,  # f
    P_QUEUE_S,  # f
    P_BUSY_BOOKED,  # f, of P_BUSY_S what is in the bins of the service
    P_QUEUE_BOOKED,  # f
    P_BIN_END,  # f, until then the bin is the same
    P_QUEUE_MAX,
    P_VISITS,
    P_REFUSED,
    P_MEMORY_MAX,  # f
    POD,
) = numbers(GROUP, GROUP + 33)

ALONE, BURSTABLE, BEST_EFFORT = numbers(3)
"""The slice of a group: none, or one of two that share what the slice gets."""

POD_UP, POD_DRAINING, POD_DEAD, POD_BLACKHOLE = numbers(4)

# A resource: machine, link or disk bandwidth.
(
    R_CAPACITY,  # f
    R_SPEED,  # f
    R_SHARES,
    R_HELD,  # f
    R_LIST,  # @ of group addresses
    R_COUNT,
    R_ROOM,  # places in the list
    R_DUE_GROUP,  # @
    R_DIRTY,
    R_ORDER,
    R_USED,  # f, outside of the bins
    R_BUSY_S,  # f
    R_BINS,  # @ of floats, 0: none
    R_BIN_BEGIN,  # f, the moments whose bin is known
    R_BIN_END,  # f
    R_BIN,  # @ of that bin, or of R_USED
    R_MAIN_GROUP,  # @ the background load of a machine, the transfers of a line
    R_SLICED,  # active groups that are in a slice
    R_BURSTABLE,  # f weight of all burstable pods that run
    R_LEVELS,  # f what a group gets per weight: alone, and in each of the two slices
    _R_LEVEL_BURSTABLE,
    _R_LEVEL_BEST_EFFORT,
    RESOURCE,
) = numbers(23)

N_UP, N_NIC, N_RESOURCE, N_SYSTEM, NODE = numbers(5)
"""A node: up, @ link, @ resource, @ group of the background load."""

(L_RTT, L_LOSS, L_UP, LINK) = numbers(GROUP, GROUP + 4)
"""A link is a group (its resource follows): rtt f, loss f, up."""

(
    D_FREE,
    D_FIRST,  # @ visits that wait
    D_LAST,
    D_FAILING,
    D_OP,  # f latency of an operation, with what a fault adds
    D_FSYNC,  # f
    D_READ,  # f bandwidth
    D_WRITE,  # f
    D_SLOWDOWN,  # f
    DISK,
) = numbers(GROUP, GROUP + 10)

(
    S_FILLED,  # f, things that its cache holds; inf: full
    S_COUNT,
    S_ROOM,
    S_ENDPOINTS,  # @ of (pod @, weight f, slot)
    S_TOTAL_WEIGHT,  # f
    S_SOJOURN,  # @ of a histogram
    S_BINS,  # @ of floats per bin: waiting, busy, throttled
    SERVICE,
) = numbers(8)
ENDPOINT = np.int64(3)

B_SERVICE, B_MODE, B_STICKY, B_DEADLINES, B_ROOM, BALANCER = numbers(6)
"""A caller's way to a service: @ service, how, sticky, @ of a deadline f per endpoint, room for them."""
BALANCE_RANDOM, BALANCE_ROUND_ROBIN, BALANCE_LEAST = numbers(3)

O_SERVICE, O_FIRST, O_LAST, O_INDEX, OPERATION = numbers(5)
"""An operation: @ service, @ first instruction, @ after the last, #."""

# An instruction: code, a law, and what the code needs.
(X_CODE, X_LAW, X_A, X_B, X_C, X_1, X_2, X_3, X_4, X_5, X_6, X_COUNTER, X_BALANCER, INSTRUCTION) = numbers(14)
(X_CPU, X_WAIT, X_CALL, X_CACHE, X_DISK, X_TRANSFER, X_DENY, X_LIMIT, X_HOLD) = numbers(9)
SEQUENTIAL, PARALLEL, ASYNC = numbers(3)

# A policy at its call site.
(
    Q_TIMEOUT,  # f
    Q_RETRIES,
    Q_BACKOFF,  # f
    Q_JITTER,  # f
    Q_BUDGET,  # f
    Q_CANCEL,
    Q_BREAKER,
    Q_BREAKER_OPEN,  # f
    Q_HEDGE,  # f
    Q_DIAL,  # f
    Q_CALLS,
    Q_RETRIED,
    Q_FAILURES,
    Q_OPEN,
    Q_OPEN_UNTIL,  # f
    Q_TRIAL,
    Q_FIRST,  # @ calls that may time out, in order of their deadlines
    Q_LAST,
    Q_ARMED,  # sequence of the one timer in the heap, 0: none
    POLICY,
) = numbers(20)

# A source.
(
    U_KIND,
    U_GAP_KEY,
    U_REQUEST_KEY,
    U_LAW,  # of gaps or thinking, with A, B, C
    U_A,
    U_B,
    U_C,
    U_LEAVE,  # f, the chance that a session ends with a request
    U_PAUSE_LAW,  # of the time between sessions, with A, B, C
    U_PAUSE_A,
    U_PAUSE_B,
    U_PAUSE_C,
    U_UNDER_WAY,  # f, of the source's clock what passes in the first instant
    U_SINCE,  # f
    U_NEED,  # f
    U_FACTOR,  # f
    U_NUMBER,
    U_TIMER,
    U_RATES,  # @ of floats
    U_RATE_COUNT,
    U_SEGMENT,  # f
    U_OFFSET,  # f
    U_TRACE,  # @ of (time f, position or -1)
    U_TRACE_SIZE,
    U_MIX,  # @ of (cumulative share f, @ operation, @ series, @ balancer)
    U_MIX_SIZE,
    U_EDGE,  # f
    U_RTT,  # f
    U_POLICY,  # @
    U_INDEX,
    SOURCE,
) = numbers(31)
OPEN, CLOSED, TRACE = numbers(3)
MIX = np.int64(4)

# A visit.
(
    V_NEXT_FREE,
    V_SERIAL,  # 0: free
    V_STATE,
    V_STEP,  # where to go on
    V_CALL,  # @, 0: nobody waits for the answer
    V_POD,  # @
    V_OPERATION,  # @
    V_AT,  # @ of the instruction
    V_KEY,
    V_CLIENT,
    V_ARRIVED,  # f
    V_BEGAN,  # f
    V_TIMER,  # sequence of the timer it waits for
    V_CHILD,  # @ first call
    V_CHILD_LAST,
    V_PENDING,
    V_FAILED,
    V_DEGRADED,
    V_LOST,  # a soft call has failed since the last look-up in a cache
    V_REPETITION,
    V_AUX,  # @ of the group or the disk it waits for, or bytes f
    V_PREVIOUS,  # in a queue
    V_NEXT,
    V_POD_NEXT,  # in the pod, while it is killed
    V_TAG,  # f virtual time of the end
    V_ORDER,
    V_HEAP_CHILD,
    V_HEAP_NEXT,
    V_HEAP_PREVIOUS,
    V_UP,  # way back when a tree is taken down
    V_TRACE,  # @
    V_ROOT,  # number of the request
    V_SINCE,  # f, begin of the instruction
    V_STALLED,  # f, how long the pod had been throttled then
    V_CPU,  # f seconds: running or waiting for a core
    V_WORK,  # f what the CPU work takes alone
    V_THROTTLED,  # f
    V_DISK,  # f
    V_NETWORK,  # f
    VISIT,
) = numbers(40)
(IN_QUEUE, READY, ON_TIMER, FLOWING, CALLING, IN_DISK_QUEUE, ON_DISK, HOLDING, GONE) = numbers(9)
(
    STEP_BEGIN,
    STEP_NEXT,
    STEP_FLOW,
    STEP_DISK_GRANTED,
    STEP_DISK_DONE,
    STEP_HELD,
    STEP_CALLED,
    STEP_JOINED,
    STEP_FINISH,
) = numbers(9)

# A call. A new one has zeros up to C_CLEARED.
(
    C_PARENT,  # @ visit
    C_SIBLING,  # @ next call of the parent
    C_ATTEMPT,
    C_TRIAL,
    C_ENDED,
    C_TIMEOUT,  # sequence, 0: none
    C_PAUSE,  # sequence of the back-off, hedge, think or edge timer
    C_SOURCE,  # @, 0: not a client's
    C_EDGE,
    C_TRACE,  # @
    C_SOFT,
    C_LEGS,  # two legs
) = numbers(12)
LEG_ACTIVE, LEG_VISIT, LEG_TIMER, LEG_POD, LEG = numbers(5)
C_CLEARED = C_LEGS + 2 * LEG
(
    C_NEXT_FREE,
    C_OPERATION,  # @
    C_POLICY,  # @
    C_BALANCER,  # @
    C_KEY,
    C_CLIENT,
    C_NODE,  # # of the caller, -1: outside
    C_RTT,  # f
    C_DEADLINE,  # f
    C_EARLIER,  # @ neighbours in the policy's list
    C_LATER,
    C_USER,
    C_NUMBER,
    C_SESSION,  # number of its first request
    C_SERIES,  # @
    C_ARRIVED,  # f
    C_EPOCH,  # f, begin of the measurement at arrival
    C_ROOT,  # number of the request
    CALL,
) = numbers(int(C_CLEARED), int(C_CLEARED) + 19)

# A series: outcomes, then two histograms.
(E_ARRIVED, E_IN_FLIGHT, E_EDGE, E_ATTEMPTS, E_SUM, E_SQUARES, E_ROUTE, E_OPERATION, E_OUTCOMES) = numbers(9)
E_HISTOGRAMS = E_OUTCOMES + 9

# A route: bins of arrivals, served, failed, latency; exemplars.
(W_ARRIVED, W_SERVED, W_FAILED, W_LATENCY, W_EXEMPLARS, W_EXEMPLAR_COUNT, ROUTE) = numbers(7)

# The visits of one request, and an exemplar made of them.
T_OWNER, T_COUNT, T_HOPS = numbers(3)
MAX_HOPS = np.int64(24)
(HOP_POD, HOP_OPERATION, HOP_ARRIVED, HOP_STARTED, HOP_ENDED, HOP_CPU) = numbers(6)
PARTS = VISIT - V_CPU
HOP = HOP_CPU + PARTS
TRACE_RECORD = T_HOPS + MAX_HOPS * HOP
(M_SERIES, M_ARRIVED, M_LATENCY, M_OUTCOME, M_ATTEMPTS, M_COUNT, M_HOPS) = numbers(7)
EXEMPLAR = M_HOPS + MAX_HOPS * HOP
MOST_TRACES = np.int64(1 << 14)
"""Requests whose visits are noted at the same time; beyond it requests are counted but not traced."""

LOG_ENTRY = np.int64(7)

# Kinds of timers, the low bits of a heap entry's payload.
(
    K_NONE,
    K_ARRIVAL,
    K_VISIT,
    K_RETRY,
    K_HEDGE,
    K_ARRIVE_0,
    K_FAIL_0,
    K_ARRIVE_1,
    K_FAIL_1,
    K_TIMEOUT,
    K_THINK,
    K_EDGE,
    K_MEMORY,
) = numbers(13)
KIND_BITS = np.int64(4)

MOST_STEPS = np.int64(20_000_000)
"""Steps in one instant, after which it is taken for endless."""

# What advance returns, and kinds of notices.
DONE, NOTICE, GROW, STUCK = numbers(4)
NOTICE_OOM, NOTICE_DRAINED = numbers(2)

# What the platform may order.
(DO_KILL, DO_DIRTY, DO_HOLD, DO_UNHOLD, DO_WATCH_MEMORY, DO_START_SOURCE, DO_WAIT_FOR_ARRIVAL, DO_ACCOUNT) = numbers(8)
