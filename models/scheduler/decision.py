"""What the scheduler decides about one pod, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from models.scheduler.volumes import Binding

TieBreaker = Callable[[Sequence[str]], int]
"""Given the names of the best nodes (in node order), the position of the one to take."""


@dataclass(frozen=True)
class Score:
    """One plugin's score of one node: as computed, scaled to 0..100, and times the plugin's weight."""

    raw: int
    normalised: int
    weighted: int


@dataclass(frozen=True)
class Decision:
    """The verdict on one pod.

    ``node`` is the chosen node, None while the pod stays pending; ``message`` is then the scheduler's sentence.
    ``reasons`` maps each refused node to its reasons. ``scores`` and ``total`` hold the feasible nodes and are filled
    only on request (``explain``). ``victims`` are the keys of the pods to preempt on ``nominated``. ``volumes`` are the
    bindings that placing the pod on ``node`` makes. ``gated`` is true for a pod with scheduling gates.
    """

    node: str | None
    message: str = ""
    reasons: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, Score]] = field(default_factory=dict)
    total: Mapping[str, int] = field(default_factory=dict)
    victims: tuple[str, ...] = ()
    nominated: str | None = None
    volumes: tuple[Binding, ...] = ()
    gated: bool = False
