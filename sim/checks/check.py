"""What a check is: one rule, one code, one severity, one function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from models.errors import Where
from models.findings import Finding, Severity
from models.graph.places import line_of
from models.objects import KubeObject
from sim.checks.look import Look


@dataclass(frozen=True)
class Defect:
    """One place where a rule is broken; together with its rule it becomes a :class:`models.findings.Finding`.

    title: one sentence that says what will happen. subject: the object it is about.
    field: dotted path of the field to look at, lists by name or index (``spec.template.spec.containers[web].image``).
    way_out: one sentence; patch: the same as a Kustomize patch (see :mod:`sim.checks.patch`).
    severity: where this case is less certain or less bad than the rule's own.
    """

    title: str
    subject: KubeObject
    field: str = ""
    evidence: tuple[str, ...] = ()
    way_out: str = ""
    patch: str = ""
    severity: Severity | None = None


@dataclass(frozen=True)
class Check:
    """A rule.

    code: stable, upper case. meaning: what is wrong when it fires, for the list of rules.
    find: all defects of a platform at rest. needs_hardware: says nothing while the nodes are unknown.
    replaces: codes of the graph that tell the same thing with less: where this rule speaks of a subject, they do not.
    """

    code: str
    severity: Severity
    meaning: str
    find: Callable[[Look], Iterable[Defect]]
    needs_hardware: bool = False
    replaces: tuple[str, ...] = ()

    def findings(self, look: Look) -> list[Finding]:
        """Every defect as a finding; none when hardware is needed and nobody named it."""
        if self.needs_hardware and not look.standing.hardware_known:
            return []
        return [self._finding(item, look) for item in self.find(look)]

    def _finding(self, defect: Defect, look: Look) -> Finding:
        item = defect.subject
        line = line_of(look.platform.rendered.lines, item.origin, defect.field) if defect.field else item.origin.line
        return Finding(
            self.code,
            self.severity if defect.severity is None else defect.severity,
            defect.title,
            subject_of(item),
            Where(item.origin.file, line, defect.field or None),
            defect.evidence,
            defect.way_out,
            defect.patch,
            item.namespace,
        )


def subject_of(item: KubeObject) -> str:
    """The name of an object in a finding: "Deployment htpc/jellyfin", "StorageClass fast"."""
    return f"{item.kind} {item.namespace}/{item.name}" if item.namespace else f"{item.kind} {item.name}"
