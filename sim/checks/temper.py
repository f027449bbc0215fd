"""How sure the dependency graph can be when the tree is a part of what runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from models.findings import Finding, Severity
from sim.checks.look import Look

_ABSENCES: Final = frozenset({"GRAPH-MISSING-REF", "GRAPH-DANGLING", "GRAPH-NO-ENDPOINTS"})

_MAKERS: Final[Mapping[str, str]] = {"argocd-redis": "redis-initial-password"}
"""Secrets that a workload makes when it starts, by a word of its command (Argo CD: ``argocd admin
redis-initial-password`` in an init container of its Redis)."""


def tempered(look: Look, finding: Finding) -> Finding:
    """A finding about something absent: to know only, where its whole namespace is absent; a risk, where files are."""
    if finding.code not in _ABSENCES or finding.severity is Severity.INFO or not finding.namespace:
        return finding
    if not any(item.namespace == finding.namespace for item in look.platform.objects):
        why = f"nothing of namespace {finding.namespace} is in this tree: it may be in another one"
        return replace(finding, severity=Severity.INFO, evidence=(*finding.evidence, why))
    hidden = look.unseen(finding.namespace)
    if not hidden or finding.severity is not Severity.ERROR:
        return finding
    return replace(
        finding,
        severity=Severity.WARNING,
        evidence=(*finding.evidence, *(f"not read: {item}" for item in hidden[:3])),
    )


def made_at_run_time(look: Look, finding: Finding) -> bool:
    """Whether what is missing is a Secret that a workload of its namespace makes when it starts."""
    if finding.code != "GRAPH-MISSING-REF":
        return False
    name = finding.title.partition(" is needed by ")[0].rpartition("/")[2]
    word = _MAKERS.get(name)
    return word is not None and any(
        word in setting.value
        for workload in look.platform.workloads
        if workload.namespace == finding.namespace
        for setting in look.context.environment.settings(workload)
    )
