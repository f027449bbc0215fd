"""Findings that the owner has looked at and accepted: a file beside the tree, each entry with its reason.

``check``, ``diff`` and ``run`` read the same file.

accepted:
  - code: CLAIM-PINNED
    subject: Deployment htpc/jellyfin      # shell pattern; default: every subject
    reason: the films can be copied again
    until: 2027-01-31                      # optional: afterwards it counts again
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.documents import read_documents
from models.errors import InputError, Problem, Where
from models.findings import Finding, Severity
from models.platform import Platform
from sim.checks import codes
from sim.checks.check import subject_of
from sim.findings import CODES

FILE = "stowplan-accepted.yaml"

PROMISES = frozenset({"OBJECTIVE-BROKEN", "THRESHOLD-FAILED"})
"""Codes that nobody accepts here: an objective or a threshold is changed in the scenario that sets it."""

NOT_TOLD_BY_RUN = frozenset({"CLAIM-PINNED"})
"""Codes of ``check`` that a run tells in other words (NODE-LOSS)."""


class Acceptance(BaseModel):
    """One accepted finding, or a pattern of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    code: str = Field(description="code of the finding")
    subject: str = Field(default="*", description="what it is about; a shell pattern")
    reason: str = Field(min_length=1, description="why this is fine")
    until: datetime.date | None = Field(default=None, description="the last day on which it is accepted")

    def covers(self, finding: Finding) -> bool:
        """Whether it is about that finding."""
        return self.code == finding.code and fnmatchcase(finding.subject, self.subject)


@dataclass(frozen=True)
class Accepted:
    """An acceptance file: its path and its entries."""

    file: str
    entries: tuple[Acceptance, ...]


def acceptable_codes() -> Mapping[str, str]:
    """Every code that an entry may name, with what it means."""
    return {code: meaning for code, meaning in {**codes(), **CODES}.items() if code not in PROMISES}


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    accepted: tuple[Acceptance, ...] = ()


def read_accepted(path: Path, codes: Collection[str]) -> tuple[Acceptance, ...]:
    """The entries of an acceptance file. ``codes``: every code there is. Raises InputError with every problem."""
    if not path.is_file():
        raise InputError(Problem(Where(str(path)), "there is no such file", "check the path given with --accepted"))
    documents = read_documents(path)
    content = documents[0].value if documents else {}
    try:
        entries = _File.model_validate(content).accepted
    except ValidationError as error:
        raise InputError(
            Problem(
                Where(str(path), field=".".join(map(str, item["loc"]))),
                item["msg"],
                "an entry has code, reason, and optionally subject and until",
            )
            for item in error.errors()
        ) from error
    unknown = [
        Problem(Where(str(path), field=f"accepted.{index}.code"), f"no rule has the code {entry.code!r}", "see --rules")
        for index, entry in enumerate(entries)
        if entry.code not in codes
    ]
    if unknown:
        raise InputError(unknown)
    return entries


def split(
    findings: Iterable[Finding],
    entries: Sequence[Acceptance],
    today: datetime.date,
    file: str,
    subjects: Collection[str] = (),
    told: Collection[str] | None = None,
) -> tuple[list[Finding], list[tuple[Finding, Acceptance]]]:
    """Findings that still count, and those that are accepted.

    An entry that expired is a finding, and so is one that covers nothing although its subject is in the tree
    (``subjects``: what the tree has): a file serves several trees, each of them a part of the platform. It serves
    several commands, too: ``told`` are the codes that this one would have found (None: every code).
    """
    valid = [entry for entry in entries if entry.until is None or today <= entry.until]
    open_findings: list[Finding] = []
    accepted: list[tuple[Finding, Acceptance]] = []
    for finding in findings:
        entry = next((item for item in valid if item.covers(finding)), None)
        if entry is None:
            open_findings.append(finding)
        else:
            accepted.append((finding, entry))
    used = {id(entry) for _, entry in accepted}
    for entry in entries:
        if id(entry) in used:
            continue
        if told is not None and entry.code not in told:
            continue
        expired = entry not in valid
        if not expired and (entry.subject == "*" or not any(fnmatchcase(name, entry.subject) for name in subjects)):
            continue
        open_findings.append(
            Finding(
                "ACCEPTED-STALE",
                Severity.INFO,
                f"The acceptance of {entry.code} for {entry.subject} "
                + (f"ended on {entry.until}" if expired else "covers nothing any more"),
                entry.subject,
                Where(file),
                (entry.reason,),
                "look at it again and renew it" if expired else "remove the entry",
            )
        )
    return sorted(open_findings, key=lambda item: item.sort_key), accepted


def judged(
    findings: Sequence[Finding], platform: Platform, accepted: Accepted | None, told: Collection[str] | None = None
) -> tuple[list[Finding], list[tuple[Finding, Acceptance]]]:
    """Findings that still count today, and those that the owner accepted, with the entry that covers each.

    ``told``: codes that were looked for; default: those of a run, whose own codes depend on what happens in it.
    """
    if accepted is None:
        return list(findings), []
    subjects = {subject_of(item) for item in platform.objects}
    looked_for = told if told is not None else codes().keys() - NOT_TOLD_BY_RUN
    return split(findings, accepted.entries, datetime.date.today(), accepted.file, subjects, looked_for)
