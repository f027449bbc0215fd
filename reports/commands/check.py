"""``check``: would everything come back if its pods died now?"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from reports.commands.inspect import missing_row
from reports.commands.standing import read_standing

if TYPE_CHECKING:
    from models.findings import Finding
    from sim.checks.accepted import Acceptance


SCHEMA = "stowplan/check/v1"
"""The form of ``--json``; ``reports/schemas/check.schema.json`` describes it."""
SCHEMA_FILE = Path(__file__).parent.parent / "schemas" / "check.schema.json"


def check_tree(
    paths: Sequence[Path],
    scenario: Path | None,
    nodes: Sequence[str],
    *,
    accepted: Path | None = None,
    only: Sequence[str] = (),
    as_json: bool = False,
    fetch: bool = False,
    root: Path | None = None,
) -> list[Finding]:
    """Print all findings that are not accepted; returns them, worst first. Raises InputError."""
    from sim.checks import codes, run_checks
    from sim.checks.accepted import read_accepted, split
    from sim.checks.check import subject_of

    known = codes()
    unknown_codes(only, known)
    standing = read_standing(paths, scenario, nodes, fetch=fetch, root=root)
    file = accepted or find_accepted(paths or _trees_of(scenario))
    entries = read_accepted(file, known) if file is not None else ()
    found = [item for item in run_checks(standing) if not only or item.code in only]
    subjects = {subject_of(item) for item in standing.platform.objects}
    remaining, waived = split(found, entries, datetime.date.today(), str(file or ""), subjects)
    if as_json:
        content = {
            "schema": SCHEMA,
            "hardware_known": standing.hardware_known,
            "counts": counts(remaining),
            "findings": [finding_row(item) for item in remaining],
            "accepted": [{**finding_row(item), "reason": entry.reason} for item, entry in waived],
            "missing": [missing_row(entry) for entry in standing.platform.rendered.missing],
        }
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        _print_findings(remaining, waived)
        if missing := standing.platform.rendered.missing:
            said = (
                f"{len(missing)} {'thing' if len(missing) == 1 else 'things'} (charts, remote files) could not be read"
            )
            typer.echo(f"{said}: what they might hold is not called missing for sure")
        if not standing.hardware_known:
            typer.echo("no hardware was named (--nodes or --scenario): nothing was checked about nodes")
    return remaining


def _trees_of(scenario: Path | None) -> Sequence[Path]:
    """The trees that a scenario names."""
    from models.scenario_file import load_scenario

    return load_scenario(scenario).tree_paths() if scenario is not None else ()


def unknown_codes(wanted: Sequence[str], known: Any) -> None:
    """Refuse codes that no rule has."""
    from models.errors import InputError, Problem, Where

    problems = [
        Problem(Where(field=f"--only {code}"), "no rule has this code", "'stowplan check --rules' lists them")
        for code in wanted
        if code not in known
    ]
    if problems:
        raise InputError(problems)


def find_accepted(paths: Sequence[Path]) -> Path | None:
    """The acceptance file nearest to the first tree, at or above it up to its repository; None when there is none."""
    from models.render import find_repository
    from sim.checks.accepted import FILE

    if not paths or not paths[0].exists():
        return None
    top = find_repository(paths[0])
    folder = paths[0].resolve()
    for candidate in (folder, *folder.parents):
        if (candidate / FILE).is_file():
            return candidate / FILE
        if candidate == top:
            break
    return None


def print_rules(as_json: bool) -> None:
    """List every rule with its code, severity and meaning."""
    from sim.checks import OTHER_CODES, all_checks

    rows = [
        {
            "code": check.code,
            "severity": str(check.severity),
            "meaning": check.meaning,
            "hardware": check.needs_hardware,
        }
        for check in all_checks()
    ]
    rows += [
        {"code": code, "severity": "", "meaning": meaning, "hardware": False} for code, meaning in OTHER_CODES.items()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    width = max(len(str(row["code"])) for row in rows)
    for row in rows:
        typer.echo(f"{row['code']:<{width}}  {row['severity']:<8} {row['meaning']}")


def finding_row(item: Finding) -> dict[str, Any]:
    """A finding as JSON."""
    return {
        "code": item.code,
        "severity": str(item.severity),
        "title": item.title,
        "subject": item.subject,
        "namespace": item.namespace,
        "file": item.where.file,
        "line": item.where.line,
        "field": item.where.field,
        "evidence": list(item.evidence),
        "way_out": item.way_out,
        "patch": item.patch,
    }


def counts(findings: Sequence[Finding]) -> dict[str, int]:
    """How many findings of each severity, worst first."""
    return {name: sum(1 for item in findings if str(item.severity) == name) for name in ("error", "warning", "info")}


def _print_findings(remaining: Sequence[Finding], waived: Sequence[tuple[Finding, Acceptance]]) -> None:
    for item in remaining:
        typer.echo(f"{str(item.severity).upper():<8}{item.code}: {item.title}")
        if str(item.where):
            typer.echo(f"        at {item.where}")
        for line in item.evidence:
            typer.echo(f"        {line}")
        if item.way_out:
            typer.echo(f"        way out: {item.way_out}")
        for line in item.patch.splitlines():
            typer.echo(f"            {line}")
    numbers = counts(remaining).items()
    said = ", ".join(f"{count} {name}{'s' if count != 1 and name != 'info' else ''}" for name, count in numbers)
    typer.echo(f"{said}; {len(waived)} accepted" if waived else said)
