"""Random numbers by counting: every draw is a hash of who asks for what, not of how many asked before.

A key is a 64-bit integer; ``mix(key, counter)`` gives the key of a child or the bits of a draw. The tree of keys is

    seed, replication -> source -> request -> attempt -> instruction -> call -> attempt -> …

so two alternatives with the same seed see the same arrivals and the same demands whatever else differs between them,
and the order in which an engine gets there does not matter. The mixer is SplitMix64's (Steele, Lea, Flood: Fast
splittable pseudorandom number generators, OOPSLA 2014). Exponential values, of which a request needs one per station,
come from the ziggurat (Marsaglia, Tsang: The ziggurat method for generating random variables, 2000): 99 of 100 cost
one multiplication. The compiled kernel has the same arithmetic on ``uint64``.
"""

from __future__ import annotations

import math
from itertools import pairwise

from models.amounts import MAX_PHASES
from sim.program import Draw

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
MULTIPLIER_1 = 0xBF58476D1CE4E5B9
MULTIPLIER_2 = 0x94D049BB133111EB
TO_UNIT = 2.0**-53

# Codes of the laws, as the kernel knows them.
CONSTANT, EXPONENTIAL, UNIFORM, ERLANG, LOGNORMAL, HYPEREXPONENTIAL = range(6)
CODES = {
    "constant": CONSTANT,
    "exponential": EXPONENTIAL,
    "uniform": UNIFORM,
    "erlang": ERLANG,
    "lognormal": LOGNORMAL,
    "hyperexponential": HYPEREXPONENTIAL,
}
ZIGGURAT_TAIL = 7.69711747013104972
"""Where the tail begins when 256 layers have equal areas (Marsaglia, Tsang 2000)."""

# Counters below the key of a source, a request, a visit and a call; both engines use them.
ROOT_OPERATION, ROOT_EDGE, ROOT_CALL, ROOT_SESSION, ROOT_THINK = 0, 1, 2, 3, 64
STEP_BITS = 20
STEP_LOSS = 100
CALL_VISIT, CALL_BALANCE, CALL_LOSS, CALL_JITTER, CALL_HEDGE = 0, 1, 2, 3, 4
PER_ATTEMPT = 8


def mix(key: int, counter: int) -> int:
    """64 well mixed bits for (key, counter)."""
    z = (key + (counter + 1) * GOLDEN) & MASK
    z = ((z ^ (z >> 30)) * MULTIPLIER_1) & MASK
    z = ((z ^ (z >> 27)) * MULTIPLIER_2) & MASK
    return z ^ (z >> 31)


def uniform(key: int, counter: int) -> float:
    """Uniform in [0, 1), a multiple of 2^-53."""
    return (mix(key, counter) >> 11) * TO_UNIT


def _ziggurat() -> tuple[float, ...]:
    """The right edges of 256 layers of equal area under exp(-x), falling; the first one's stands for its tail, too."""
    area = (ZIGGURAT_TAIL + 1.0) * math.exp(-ZIGGURAT_TAIL)
    edges = [area * math.exp(ZIGGURAT_TAIL), ZIGGURAT_TAIL]
    while len(edges) < 256:
        edges.append(-math.log(area / edges[-1] + math.exp(-edges[-1])))
    return (*edges, 0.0)


ZIGGURAT = _ziggurat()
ZIGGURAT_WIDTH = tuple(edge * TO_UNIT for edge in ZIGGURAT)
"""Edges for 53 bits taken as a whole number."""
ZIGGURAT_WITHIN = tuple(int(after / edge * 2.0**53) for edge, after in pairwise(ZIGGURAT))
"""Below so many of 2^53 a point of the layer lies under the curve, whatever its height."""


def standard_exponential(bits: int) -> float:
    """An exponential value of mean 1 from 64 mixed bits, which are the key of all further draws that it takes."""
    key, tries = bits, 0
    while bits >> 11 >= ZIGGURAT_WITHIN[layer := bits & 0xFF]:
        if layer == 0:
            return ZIGGURAT_TAIL - math.log(1.0 - uniform(key, tries))
        low, high = math.exp(-ZIGGURAT[layer]), math.exp(-ZIGGURAT[layer + 1])
        if low + (high - low) * uniform(key, tries) < math.exp(-(bits >> 11) * ZIGGURAT_WIDTH[layer]):
            break
        bits = mix(key, tries + 1)
        tries += 2
    return (bits >> 11) * ZIGGURAT_WIDTH[bits & 0xFF]


def run_key(seed: int, replication: int) -> int:
    """The key of one replication."""
    return mix(mix(0, seed), replication)


def law_parameters(draw: Draw) -> tuple[int, float, float, float]:
    """(code, a, b, c) of a law, as :func:`sample` wants them.

    erlang: phases, mean of one phase. lognormal: mu and sigma of the logarithm. hyperexponential: two phases with
    balanced means (Morse): probability of the first, mean of each. A variation of 0 is a constant; 1 or more for erlang
    or 1 or less for hyperexponential is an exponential.
    """
    code, mean, squared = CODES[draw.law], draw.mean, draw.cv * draw.cv
    if code >= ERLANG and squared == 0.0:
        return CONSTANT, mean, 0.0, 0.0
    if code == ERLANG and squared < 1.0:
        phases = min(max(round(1.0 / squared), 1), MAX_PHASES)
        return ERLANG, float(phases), mean / phases, 0.0
    if code == LOGNORMAL:
        variance = math.log(1.0 + squared)
        location = math.log(mean) - variance / 2.0 if mean > 0.0 else -math.inf
        return LOGNORMAL, location, math.sqrt(variance), 0.0
    if code == HYPEREXPONENTIAL and squared > 1.0:
        first = (1.0 + math.sqrt((squared - 1.0) / (squared + 1.0))) / 2.0
        return HYPEREXPONENTIAL, first, mean / (2.0 * first), mean / (2.0 * (1.0 - first))
    if code >= ERLANG:
        return EXPONENTIAL, mean, 0.0, 0.0
    return code, mean, 0.0, 0.0


def sample(parameters: tuple[int, float, float, float], key: int, counter: int) -> float:
    """A value of the law; uses counters ``counter`` to ``counter + 59`` at most."""
    code, a, b, c = parameters
    if code == CONSTANT:
        return a
    if code == EXPONENTIAL:
        return a * standard_exponential(mix(key, counter))
    first = uniform(key, counter)
    if code == UNIFORM:
        return 2.0 * a * first
    if code == ERLANG:
        total = math.log(1.0 - first)
        for phase in range(1, int(a)):
            total += math.log(1.0 - uniform(key, counter + phase))
        return -b * total
    second = uniform(key, counter + 1)
    if code == LOGNORMAL:
        normal = math.sqrt(-2.0 * math.log(1.0 - first)) * math.cos(2.0 * math.pi * second)
        return math.exp(a + b * normal)
    return -(b if first < a else c) * math.log(1.0 - second)
