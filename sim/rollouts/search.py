"""Every order of events of several rollouts: does each one end well, none, or some?

States are the pods of every workload that takes part. Deletions of available old pods come first wherever one is
possible: they only make room, so every stuck state that can be reached at all is reached that way too (a persistent
set in the sense of partial-order reduction); not so where a pod needs others near it, by affinity or spreading, and
there every order is tried. Exponential in the number of workloads that compete, linear in replicas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from models.objects import dig
from models.rules.quantity import Quantity
from models.rules.quota import admit, hard_of
from sim.placement import Placement
from sim.rollouts.machine import NOBODY, Machine, Move, Standing, without_key
from sim.rollouts.room import Room, State
from sim.rollouts.start import Member, quotas_of


@dataclass(frozen=True)
class Outcome:
    """What the search found.

    ``can_complete``, ``can_stick``: whether such an end can be reached; ``stuck``: one stuck state; ``path``: the
    events that lead to it; ``states``: how many were looked at; ``exhausted``: whether those were all that matter.
    """

    can_complete: bool
    can_stick: bool
    stuck: State | None
    path: tuple[str, ...]
    states: int
    exhausted: bool


class Search:
    """The state space of some workloads on a placement. ``members``: those that are rolled out, and bystanders."""

    def __init__(self, placement: Placement, members: Sequence[Member]) -> None:
        self.placement = placement
        self.members = tuple(members)
        self._hard = {
            (space, str(dig(quota, "metadata", "name")), key): hard.nano
            for space in sorted({item.namespace for item in members})
            for quota in quotas_of(placement, space)
            for key, hard in hard_of(quota).items()
        }
        self._base = self._base_use()
        self.room = Room(placement, members)
        self.start = State(self._canonical([item.machine.start for item in members]))

    # ---- quotas

    def used(self, state: State) -> dict[tuple[str, str, str], int]:
        """Use of every quota key of the namespaces that take part, in nano-units."""
        total = dict(self._base)
        for item, at in zip(self.members, state.standings, strict=True):
            pods = len(at.old) + len(at.waiting) + len(at.new) + len(at.pending)
            for (quota, key), nano in item.charge.items():
                total[(item.namespace, quota, key)] += pods * nano
        return total

    def _base_use(self) -> dict[tuple[str, str, str], int]:
        rest = {}
        for space, quota, key in self._hard:
            amount = self.placement.ledger.use(space, quota).get(key)
            rest[(space, quota, key)] = amount.nano if amount else 0
        for item in self.members:
            at = item.machine.start
            for (quota, key), nano in item.charge.items():
                rest[(item.namespace, quota, key)] -= (len(at.old) + len(at.waiting)) * nano
        return rest

    def _fits(self, item: Member, used: Mapping[tuple[str, str, str], int]) -> bool:
        space = item.namespace
        return all(
            used[(space, quota, key)] + nano <= self._hard[(space, quota, key)]
            for (quota, key), nano in item.charge.items()
        )

    # ---- the search

    def complete(self, state: State) -> bool:
        """Whether every rollout has ended."""
        return all(item.machine.complete(at) for item, at in zip(self.members, state.standings, strict=True))

    def active(self, state: State) -> list[int]:
        """The workloads whose controllers act: bystanders, and those whose earlier waves are done."""
        pairs = list(zip(self.members, state.standings, strict=True))
        open_waves = [item.machine.wave for item, at in pairs if item.machine.rolled and not item.machine.complete(at)]
        current = min(open_waves, default=0)
        return [
            index for index, (item, _) in enumerate(pairs) if not item.machine.rolled or item.machine.wave <= current
        ]

    def following(self, state: State) -> list[tuple[str, State]]:
        """The events that may come next, with what follows from each; only deletions where there are any."""
        active = self.active(state)
        found = []
        for index in active:
            gone = self.members[index].machine.deletions(state.standings[index])
            found += [self._after(state, index, move) for move in gone]
            if found and self.room.monotone:
                return found
        used = self.used(state)
        for index in active:
            item = self.members[index]
            moves = item.machine.moves(
                state.standings[index], self._fits(item, used), partial(self.room.places, state, index)
            )
            found += [self._after(state, index, move) for move in moves]
        return found

    def _after(self, state: State, index: int, move: Move) -> tuple[str, State]:
        standings = [*state.standings[:index], move.standing, *state.standings[index + 1 :]]
        evicted = state.evicted
        for key in move.victims:
            ours = self.room.owner(state, key)
            if ours is None:
                evicted |= {key}
            else:
                number, new, pod = ours
                standings[number] = without_key(standings[number], new, pod)
        return self._told(index, move), State(self._canonical(standings), evicted)

    def _canonical(self, standings: Sequence[Standing]) -> tuple[Standing, ...]:
        alike = self.room.canonical(standings)
        if not self.room.anywhere:
            return alike
        return tuple(_shortened(item.machine, at) for item, at in zip(self.members, alike, strict=True))

    def _told(self, index: int, move: Move) -> str:
        name = self.members[index].machine.workload.id
        text = {
            "deletes": f"{name} deletes an old pod",
            "gives up": f"{name} gives up an old pod that is not available",
            "creates": f"{name} creates a new pod",
            "creates again": f"{name} creates a missing pod",
            "binds": f"a pod of {name} is bound",
        }[move.verb]
        return f"{text}, preempting {', '.join(move.victims)}" if move.victims else text

    def run(self, limit: int) -> Outcome:
        """Look at all states that matter, at most ``limit`` of them; stops as soon as both ends were found."""
        origin: dict[State, tuple[State, str] | None] = {self.start: None}
        open_states = [self.start]
        completes = False
        stuck: State | None = None
        while open_states and len(origin) <= limit and not (completes and stuck is not None):
            state = open_states.pop()
            following = self.following(state)
            for text, after in following:
                if after not in origin:
                    origin[after] = (state, text)
                    open_states.append(after)
            if not following:
                if self.complete(state):
                    completes = True
                elif stuck is None:
                    stuck = state
        found_both = completes and stuck is not None
        path = _path(origin, stuck) if stuck is not None else ()
        return Outcome(completes, stuck is not None, stuck, path, len(origin), not open_states or found_both)

    # ---- words

    def reasons(self, state: State) -> dict[str, str]:
        """Why each rollout that has not ended waits, in the API server's or the scheduler's words."""
        active = self.active(state)
        found = {}
        for index, (item, at) in enumerate(zip(self.members, state.standings, strict=True)):
            if not item.machine.rolled or item.machine.complete(at):
                continue
            name = item.machine.workload.id
            if index not in active:
                found[name] = f"waits for sync wave {min(self._open_waves(state))}"
            else:
                found[name] = self._reason(state, index)
        return found

    def _open_waves(self, state: State) -> Iterator[int]:
        for item, at in zip(self.members, state.standings, strict=True):
            if item.machine.rolled and not item.machine.complete(at):
                yield item.machine.wave

    def _reason(self, state: State, index: int) -> str:
        item, at = self.members[index], state.standings[index]
        if item.machine.refusal:
            return item.machine.refusal
        # What the rollout is about comes first: the new pods, then what the old ones lack.
        for new, queue in ((True, at.pending), (False, at.waiting)):
            told = [self.room.decide(state, index, identity, new).message for identity in queue]
            told += [self._refusal(state, item, i, new) for i, wanted in item.machine.missing(at) if wanted == new]
            if message := next(filter(None, told), ""):
                return message
        return "waits for pods that are not available"

    def _refusal(self, state: State, item: Member, identity: int, new: bool) -> str:
        quotas = quotas_of(self.placement, item.namespace)
        used: dict[str, dict[str, Quantity]] = {}
        for (space, quota, key), nano in self.used(state).items():
            if space == item.namespace:
                family = self.placement.ledger.use(space, quota).get(key, Quantity(0)).family
                used.setdefault(quota, {})[key] = Quantity(nano, family)
        pod = item.pod(identity, 1000, new) if identity != NOBODY else item.template
        return admit(pod, quotas, namespace=item.namespace, used=used).message


def _shortened(machine: Machine, at: Standing) -> Standing:
    """Without nodes, a rolling update that sits at its floor needs the same room until its last old pod: skip ahead."""
    if machine.kind != "rolling" or at.waiting or at.pending or at.wanted != len(at.old):
        return at
    old, new = len(at.old), len(at.new)
    if old <= 1 or old + new != machine.floor or not machine.rolled:
        return at
    return Standing(at.old[:1], (), 1, (at.old[0],) * (machine.floor - 1), ())


def _path(origin: Mapping[State, tuple[State, str] | None], end: State) -> tuple[str, ...]:
    told: list[str] = []
    step = origin[end]
    while step is not None:
        told.append(step[1])
        step = origin[step[0]]
    return tuple(reversed(told))
