"""Fine until the first restart: rules about what happens when pods die, roll out, move or are restored.

One rule per function. A module per subject exports ``CHECKS``; ``all_checks`` is their sum and ``run_checks`` adds what
the dependency graph finds.
"""

from __future__ import annotations

from collections.abc import Mapping

from models.errors import Where
from models.findings import Finding, Severity
from models.graph.findings import CODES as GRAPH_CODES
from models.objects import Missing
from sim.checks import (
    admission,
    autoscaling,
    backups,
    bootstrap,
    classes,
    disruption,
    jobs,
    network,
    probes,
    references,
    resources,
    rollout,
    scheduling,
    services,
    storage,
)
from sim.checks.check import Check
from sim.checks.look import Look
from sim.checks.temper import made_at_run_time, tempered
from sim.standing import Standing

_MODULES = (
    admission,
    rollout,
    storage,
    classes,
    scheduling,
    disruption,
    resources,
    references,
    services,
    network,
    probes,
    autoscaling,
    jobs,
    backups,
    bootstrap,
)
REFUSALS = frozenset(
    {
        "QUOTA-UNSPECIFIED",
        "QUOTA-EXCEEDED",
        "LIMITRANGE-REFUSED",
        "PRIORITYCLASS-MISSING",
        "LIMIT-BELOW-REQUEST",
        "SERVICEACCOUNT-MISSING",
    }
)
"""Codes that say: the API server refuses the pods of the subject."""
WAITING = frozenset({"POD-PENDING", "NODE-SELECTOR-UNMATCHED", "TAINT-UNTOLERATED", "REQUEST-TOO-LARGE"})
"""Codes that say: the pods of the subject find no node."""
ABSENT = frozenset({"STORAGECLASS-MISSING", "STORAGECLASS-NO-DEFAULT", "PRIORITYCLASS-MISSING"})
"""Codes that say: an object of the cluster that pods need is not there."""
OTHER_CODES: Mapping[str, str] = {
    **GRAPH_CODES,
    "FILE-BROKEN": "a file of the tree cannot be read: nothing that it declares is applied",
    "ACCEPTED-STALE": "an entry of the file of accepted findings has expired or covers nothing",
}


def all_checks() -> tuple[Check, ...]:
    """Every rule, in the order of the modules."""
    return tuple(check for module in _MODULES for check in module.CHECKS)


def codes() -> Mapping[str, str]:
    """Every code that ``run_checks`` can give, with what it means."""
    return {**{check.code: check.meaning for check in all_checks()}, **OTHER_CODES}


def run_checks(standing: Standing) -> list[Finding]:
    """All findings about a platform at rest, worst first; what a rule and the graph both see is told by the rule."""
    look = Look(standing)
    found: list[Finding] = []
    told: set[tuple[str, str]] = set()
    for check in all_checks():
        own = check.findings(look)
        found += own
        told |= {(code, item.subject) for code in check.replaces for item in own}
    graph = [item for item in look.graph_findings if (item.code, item.subject) not in told]
    found += [tempered(look, item) for item in graph if not made_at_run_time(look, item)]
    found += [_broken(item) for item in standing.platform.rendered.missing if item.broken]
    return sorted(found, key=lambda item: item.sort_key)


def absent_classes(standing: Standing) -> list[Finding]:
    """Only what the rules say about storage and priority classes that are not there, worst first."""
    look = Look(standing)
    found = [item for check in all_checks() if check.code in ABSENT for item in check.findings(look)]
    return sorted(found, key=lambda item: item.sort_key)


def _broken(item: Missing) -> Finding:
    """What is there and cannot be read: whoever applies the tree stops at it as well."""
    return Finding(
        "FILE-BROKEN",
        Severity.ERROR,
        f"{item.what} cannot be read: {item.hides} is neither applied nor checked here",
        f"File {item.what}",
        Where(item.origin.file, item.origin.line),
        (item.reason,),
        "mend it, or move it out of the tree when it is no manifest",
    )
