"""What a check is: one rule, one code, one severity, one function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from models.errors import Where
from models.findings import Finding, Severity
from models.objects import KubeObject
from sim.standing import Standing


@dataclass(frozen=True)
class Defect:
    """One place where a rule is broken; together with its rule it becomes a :class:`models.findings.Finding`.

    title: one sentence that says what will happen. subject: the object it is about.
    field: dotted path of the field to look at. way_out: one sentence; patch: the same as a Kustomize patch.
    """

    title: str
    subject: KubeObject
    field: str = ""
    evidence: tuple[str, ...] = ()
    way_out: str = ""
    patch: str = ""


@dataclass(frozen=True)
class Check:
    """A rule.

    code: stable, upper case. meaning: what is wrong when it fires, for the list of rules.
    find: all defects of a platform at rest. needs_hardware: says nothing while the nodes are unknown.
    """

    code: str
    severity: Severity
    meaning: str
    find: Callable[[Standing], Iterable[Defect]]
    needs_hardware: bool = False

    def findings(self, standing: Standing) -> list[Finding]:
        """Every defect as a finding; none when hardware is needed and nobody named it."""
        if self.needs_hardware and not standing.hardware_known:
            return []
        return [self._finding(item) for item in self.find(standing)]

    def _finding(self, defect: Defect) -> Finding:
        item = defect.subject
        return Finding(
            self.code,
            self.severity,
            defect.title,
            f"{item.kind} {item.namespace}/{item.name}" if item.namespace else f"{item.kind} {item.name}",
            Where(item.origin.file, item.origin.line, defect.field or None),
            defect.evidence,
            defect.way_out,
            defect.patch,
            item.namespace,
        )
