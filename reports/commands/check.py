"""``check``: would everything come back if its pods died now?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from reports.commands.inspect import missing_row
from reports.commands.reading import accepted_of
from reports.commands.standing import read_standing

if TYPE_CHECKING:
    from models.findings import Finding
    from models.objects import Missing
    from sim.accepted import Acceptance


SCHEMA = "stowplan/check/v1"
"""The form of ``--json``; ``reports/schemas/check.schema.json`` describes it."""
LISTED = 12
"""So many things that could not be read are named."""
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
    from sim.accepted import judged
    from sim.checks import codes, run_checks

    known = codes()
    unknown_codes(only, known)
    standing = read_standing(paths, scenario, nodes, fetch=fetch, root=root)
    found = [item for item in run_checks(standing) if not only or item.code in only]
    given = accepted_of(paths or _trees_of(scenario), accepted)
    remaining, waived = judged(found, standing.platform, given, told=only or known)
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
        _print_missing(standing.platform.rendered.missing)
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


def _print_missing(missing: Sequence[Missing]) -> None:
    """What could not be read, by name: silence about a file must not read as health."""
    if not missing:
        return
    things = "1 thing" if len(missing) == 1 else f"{len(missing)} things"
    typer.echo(f"{things} could not be read: what they might hold is not called missing for sure")
    for entry in missing[:LISTED]:
        word = "modelled" if entry.modelled else "not seen"
        typer.echo(f"        {word}: {entry.kind} {entry.what} ({entry.origin}): {entry.reason}")
    if len(missing) > LISTED:
        typer.echo(f"        and {len(missing) - LISTED} more: --json lists them")


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
