"""User errors and bugs are different classes.

An :class:`InputError` carries every :class:`Problem` that was found, so that a person mends all of them in one
go; anything else that escapes is a bug of ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

LISTED = 20
"""So many names are listed where none is meant."""


@dataclass(frozen=True, order=True)
class Where:
    """A place in the user's input: a file, a line (1-based) and a field path, each as far as it is known."""

    file: str = ""
    line: int | None = None
    field: str | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        if self.field:
            return f"{place} {self.field}".strip()
        return place


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong with the input: where, what (with the offending value), and the way out."""

    where: Where
    what: str
    way_out: str = ""

    def __str__(self) -> str:
        place = str(self.where)
        text = f"{place}: {self.what}" if place else self.what
        return f"{text}\n    {self.way_out}" if self.way_out else text


def among(name: str, known: Iterable[str], what: str) -> str:
    """A way out for a name that nothing has: the name that it may have been meant as, else the first of all."""
    names = sorted(set(known))
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{what}: {', '.join(names[:LISTED]) or 'none'}{more}"


class InputError(Exception):
    """The input cannot be used. ``problems`` holds everything that was found, in the order it was found."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class RenderError(InputError):
    """A manifest tree cannot be rendered (exit code 3 where other input errors exit with 2)."""
