"""One random stream per source of randomness, named, so that alternatives share what they have in common."""

from __future__ import annotations

import hashlib
import math

from sim.randomness import mix, run_key, uniform


class Stream:
    """The numbers of one source: the n-th draw depends on (seed, replication, name, n) and on nothing else."""

    __slots__ = ("_count", "_key")

    def __init__(self, seed: int, replication: int, name: str) -> None:
        digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
        self._key = mix(run_key(seed, replication), int.from_bytes(digest, "big"))
        self._count = 0

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Uniform between ``low`` and ``high``."""
        value = uniform(self._key, self._count)
        self._count += 1
        return low + (high - low) * value

    def exponential(self, mean: float) -> float:
        """Exponential with that mean."""
        return -mean * math.log(1.0 - self.uniform())

    def below(self, count: int) -> int:
        """A whole number from 0 to ``count`` - 1, each equally likely."""
        return int(self.uniform() * count)


class Streams:
    """All streams of one replication, made when they are first asked for."""

    def __init__(self, seed: int, replication: int) -> None:
        self.seed = seed
        self.replication = replication
        self._known: dict[str, Stream] = {}

    def __getitem__(self, name: str) -> Stream:
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = Stream(self.seed, self.replication, name)
        return found
