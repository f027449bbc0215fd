"""What the scheduler decides about one pod, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from models.scheduler.status import Status
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
class Displacement:
    """A node that would take the pod once ``victims`` are gone, breaking ``violations`` disruption budgets."""

    node: str
    victims: tuple[str, ...]
    violations: int


@dataclass(frozen=True)
class Decision:
    """The verdict on one pod.

    ``node`` is the chosen node, None while the pod stays pending; ``message`` is then the scheduler's sentence.
    ``refusals`` maps each refused node to the plugin that refused it and its reasons. ``scores`` and ``total`` hold
    the feasible nodes and are filled only on request (``explain``). ``victims`` are the keys of the pods to preempt on
    ``nominated``, chosen among ``displacements``. ``volumes`` are the bindings that placing the pod on ``node`` makes.
    ``gated`` is true for a pod with scheduling gates.
    """

    node: str | None
    message: str = ""
    refusals: Mapping[str, Status] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, Score]] = field(default_factory=dict)
    total: Mapping[str, int] = field(default_factory=dict)
    victims: tuple[str, ...] = ()
    nominated: str | None = None
    displacements: tuple[Displacement, ...] = ()
    volumes: tuple[Binding, ...] = ()
    gated: bool = False

    @property
    def reasons(self) -> Mapping[str, tuple[str, ...]]:
        """The reasons against each refused node."""
        return {name: status.reasons for name, status in self.refusals.items()}
