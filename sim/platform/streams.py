"""One random stream per source of randomness, named, so that alternatives share what they have in common."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, replication: int, name: str) -> np.random.Generator:
    """The generator called ``name`` of one replication: the same numbers whatever other streams are used.

    Philox 4x64 keyed by a hash of (seed, replication, name).
    """
    digest = hashlib.blake2b(f"{seed}/{replication}/{name}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "big")))
