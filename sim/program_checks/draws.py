"""What is wrong with a random quantity, or with the gaps of a source: its law and its variation do not fit."""

from __future__ import annotations

import math
from collections.abc import Iterator

from models.amounts import LEAST_VARIATION, MAX_PHASES, needs_too_many_phases
from models.errors import Problem
from sim.program import Draw
from sim.program_checks.problems import not_negative, problem

OWN_CV = {"constant": 0.0, "exponential": 1.0, "uniform": 1.0 / math.sqrt(3.0)}
"""The coefficient of variation of the laws that have no choice; 1.0, the default of a draw, says nothing about it."""


def draw_problems(at: str, name: str, draw: Draw) -> Iterator[Problem]:
    """What is wrong with the draw in the field ``name``."""
    yield from not_negative(at, **{f"{name}.mean": draw.mean, f"{name}.cv": draw.cv})
    what = f"{name}.cv is {draw.cv:g}"
    own = OWN_CV.get(draw.law)
    if own is not None:
        if draw.cv >= 0.0 and draw.cv != 1.0 and not math.isclose(draw.cv, own, rel_tol=1e-3):
            yield problem(at, what, f"that of law {draw.law} is always {own:.4g}: leave it out, or choose another law")
    elif draw.law == "erlang" and draw.cv > 1.0:
        yield problem(at, what, "law erlang has at most 1: choose hyperexponential or lognormal")
    elif draw.law == "hyperexponential" and 0.0 <= draw.cv < 1.0:
        yield problem(at, what, "law hyperexponential has at least 1: choose erlang or lognormal")
    elif draw.law == "erlang":
        yield from phase_problems(at, f"{name}.cv", draw.cv)


def phase_problems(at: str, name: str, cv: float) -> Iterator[Problem]:
    """An erlang variation that would need more phases than there are."""
    if needs_too_many_phases(cv):
        way_out = f"erlang has at most {MAX_PHASES} phases: 0, or {LEAST_VARIATION:.2g} and more"
        yield problem(at, f"{name} is {cv:g}", way_out)
