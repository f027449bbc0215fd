"""Findings: what a person should know, with a code, a place, evidence, and the way out."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from models.errors import Where


class Severity(IntEnum):
    """How bad it is. ``ERROR``: something will not work or not come back. ``WARNING``: a risk. ``INFO``: to know."""

    INFO = 0
    WARNING = 1
    ERROR = 2

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Finding:
    """One finding.

    code: stable upper-case code ("QUOTA-RESTART"), registered in the module that raises it.
    title: one sentence that says what will happen, in words a person can search for.
    subject: what it is about ("Deployment htpc/jellyfin").
    where: where it is written. evidence: facts, each one line, values included.
    way_out: one sentence; patch: the way out as a Kustomize patch (YAML) where there is one.
    """

    code: str
    severity: Severity
    title: str
    subject: str
    where: Where = field(default_factory=Where)
    evidence: tuple[str, ...] = ()
    way_out: str = ""
    patch: str = ""
    namespace: str = ""

    @property
    def sort_key(self) -> tuple[int, str, str, str]:
        """Worst first, then by code and subject: the same order in every report."""
        return (-int(self.severity), self.code, self.subject, self.title)
