"""``quota``: what every quota lets happen, and the smallest quotas that let everything happen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from models.errors import InputError, Problem, Where
from models.units import parse_duration
from reports.commands.inspect import missing_row
from reports.commands.standing import read_standing

if TYPE_CHECKING:
    from sim.quotas.peaks import Assumed
    from sim.quotas.suggest import Proposal
    from sim.quotas.verdicts import QuotaView
    from sim.standing import Standing

_WIDTH = 200
"""Columns of a table: no cell is folded, whatever the terminal."""


def quota_tree(
    paths: Sequence[Path],
    scenario: Path | None,
    nodes: Sequence[str],
    *,
    suggest: bool = False,
    max_rollouts: int = 1,
    margin: str = "20%",
    job_length: str = "10m",
    output: Path | None = None,
    as_json: bool = False,
    seed: int = 1,
    fetch: bool = False,
    root: Path | None = None,
) -> bool:
    """Print the table of the quotas, or propose others; true when nothing is refused. Raises InputError."""
    from sim.quotas.check import quota_problems
    from sim.quotas.peaks import Assumed

    share, job_s = _arguments(margin, job_length, suggest, output)
    assumed = Assumed(max_rollouts, job_s)
    standing = read_standing(paths, scenario, nodes, seed=seed, fetch=fetch, root=root)
    if not standing.platform.workloads:
        raise InputError(Problem(Where(), "the tree runs no pods", "name the tree that holds the workloads"))
    if problems := quota_problems(standing.platform):
        raise InputError(problems)
    if suggest:
        return _suggest(standing, share, assumed, output, as_json)
    return _table(standing, assumed, as_json)


def parse_margin(text: str) -> Fraction:
    """``20%`` or ``0.2`` as a share. Raises ValueError."""
    number = text.strip()
    try:
        value = Decimal(number.removesuffix("%").strip())
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value < 0 or value > 10_000:
        raise ValueError(f"{text!r} is no margin")
    return Fraction(value) / (100 if number.endswith("%") else 1)


def _arguments(margin: str, job_length: str, suggest: bool, output: Path | None) -> tuple[Fraction, float]:
    problems: list[Problem] = []
    share, job_s = Fraction(0), 0.0
    try:
        share = parse_margin(margin)
    except ValueError as error:
        problems.append(Problem(Where(field="--margin"), str(error), "write for example 20%, 0.2 or 0"))
    try:
        job_s = parse_duration(job_length)
    except ValueError as error:
        problems.append(Problem(Where(field="--job-length"), str(error), "write for example 10m"))
    if output is not None and not suggest:
        problems.append(Problem(Where(field="-o"), "only --suggest writes files", "add --suggest, or leave -o out"))
    if problems:
        raise InputError(problems)
    return share, job_s


# ------------------------------------------------------------------------------------------------- table


def _table(standing: Standing, assumed: Assumed, as_json: bool) -> bool:
    from sim.quotas.verdicts import view_quotas

    view = view_quotas(standing.placement, assumed)
    if as_json:
        typer.echo(json.dumps(_view_content(standing, view, assumed), indent=2, ensure_ascii=False))
    else:
        _print_view(standing, view, assumed)
    return view.fine


def _view_content(standing: Standing, view: QuotaView, assumed: Assumed) -> dict[str, Any]:
    return {
        "schema": "stowplan/quota/v1",
        **_assumed_content(standing, assumed),
        "fine": view.fine,
        "keys": [
            {
                "namespace": row.peaks.namespace,
                "quota": row.peaks.quota,
                "key": row.peaks.key,
                "hard": str(row.peaks.hard),
                "used": str(row.peaks.rest),
                "peak": str(row.peaks.peak.use),
                "driver": row.peaks.peak.driver,
                "what": row.peaks.peak.what,
                "free": row.free,
                "verdict": row.verdict,
                "why": row.why,
                "drivers": [
                    {"driver": peak.driver, "what": peak.what, "use": str(peak.use), "fits": peak.use <= row.peaks.hard}
                    for peak in row.peaks.drivers
                ],
            }
            for row in view.rows
        ],
        "restarts": [{"workload": item.workload, "message": item.message} for item in view.restarts],
        "rollouts": [
            {
                "workloads": list(item.workloads),
                "verdict": item.verdict,
                "reasons": dict(item.reasons),
                "witness": list(item.witness),
            }
            for item in view.rollouts
        ],
        "missing": [missing_row(entry) for entry in standing.platform.rendered.missing],
    }


def _print_view(standing: Standing, view: QuotaView, assumed: Assumed) -> None:
    from rich.console import Console

    from reports.commands.inspect import make_table

    if not view.rows:
        typer.echo("no ResourceQuota in this tree; stowplan quota --suggest proposes one per namespace")
    else:
        bad = sum(row.bad for row in view.rows)
        typer.echo(
            f"{bad} of {len(view.rows)} quota keys refuse something"
            if bad
            else f"none of the {len(view.rows)} quota keys refuses anything"
        )
        table = _wide(make_table("Quotas", "quota", "key", "hard", "at rest", "peak", "free", "verdict", "peak by"))
        for row in view.rows:
            item = row.peaks
            table.add_row(
                f"{item.namespace}/{item.quota}",
                item.key,
                str(item.hard),
                str(item.rest),
                str(item.peak.use),
                f"{row.free:.0%}",
                row.verdict,
                item.peak.driver,
            )
        Console(highlight=False, width=_WIDTH).print(table)
        for row in view.rows:
            for peak in row.over:
                typer.echo(f"above {row.peaks.quota}'s {row.peaks.key} of {row.peaks.hard}: {peak.use}, {peak.what}")
    for refusal in view.restarts:
        typer.echo(f"refused at the next restart: {refusal.workload}: {refusal.message}")
    for verdict in view.rollouts:
        typer.echo(f"rollout of {' and '.join(verdict.workloads)}: {verdict.says}")
        if verdict.witness and verdict.verdict == "may get stuck":
            typer.echo(f"  for example when: {', then '.join(verdict.witness)}")
    _print_assumed(standing, assumed)


# ------------------------------------------------------------------------------------------------- suggest


def _suggest(standing: Standing, margin: Fraction, assumed: Assumed, output: Path | None, as_json: bool) -> bool:
    from reports.quota_component import component_files, write_component
    from sim.quotas.suggest import recheck, suggest_quotas

    proposal = suggest_quotas(standing.platform, standing.placement, margin=margin, assumed=assumed)
    wrong = recheck(proposal)
    written = write_component(proposal, output) if output is not None else []
    if as_json:
        typer.echo(json.dumps(_proposal_content(standing, proposal, wrong), indent=2, ensure_ascii=False))
        return not (wrong or proposal.problems)
    if output is None:
        for name, text in component_files(proposal).items():
            typer.echo(f"--- # {name}\n{text}", nl=False)
    else:
        _print_proposal(proposal)
        typer.echo(f"{len(written)} files written; add to a kustomization: components: [{output}]")
    _print_notes(standing, proposal, wrong)
    return not (wrong or proposal.problems)


def _proposal_content(standing: Standing, proposal: Proposal, wrong: Sequence[str]) -> dict[str, Any]:
    from reports.quota_component import component_files, made_by

    return {
        "schema": "stowplan/quota-proposal/v1",
        **_assumed_content(standing, proposal.assumed),
        "margin": float(proposal.margin),
        "quotas": [
            {
                "namespace": quota.namespace,
                "quota": quota.name,
                "present": str(quota.present.origin) if quota.present is not None else None,
                "keys": [
                    {
                        "key": item.key,
                        "hard": str(item.hard),
                        "step": str(item.step),
                        "used": str(item.rest),
                        "peak": str(item.peak.use),
                        "driver": item.peak.driver,
                        "what": item.peak.what,
                        "made_by": made_by(proposal, item),
                    }
                    for item in quota.limits
                ],
            }
            for quota in proposal.quotas
        ],
        "limit_ranges": [
            {
                "manifest": item.manifest,
                "why": {f"{side}.{key}": text for (side, key), text in item.why.items()},
            }
            for item in proposal.defaults
        ],
        "untracked": [{"namespace": space, "key": key} for space, key in proposal.untracked],
        "problems": list(proposal.problems),
        "recheck": list(wrong),
        "files": component_files(proposal),
        "missing": [missing_row(entry) for entry in standing.platform.rendered.missing],
    }


def _print_proposal(proposal: Proposal) -> None:
    from rich.console import Console

    from reports.commands.inspect import make_table

    table = _wide(make_table("Proposed quotas", "quota", "key", "hard", "at rest", "peak", "peak by"))
    for quota in proposal.quotas:
        for item in quota.limits:
            table.add_row(
                f"{quota.namespace}/{quota.name}",
                item.key,
                str(item.hard),
                str(item.rest),
                str(item.peak.use),
                item.peak.driver,
            )
    Console(highlight=False, width=_WIDTH).print(table)


def _wide(table: Any) -> Any:
    """No cell is folded; words are left-justified."""
    for column in table.columns:
        column.no_wrap = True
        if column.header in ("key", "verdict", "peak by"):
            column.justify = "left"
    return table


def _print_notes(standing: Standing, proposal: Proposal, wrong: Sequence[str]) -> None:
    from reports.quota_component import percent

    typer.echo(f"# margin on top of every peak: {percent(proposal)}")
    for item in proposal.defaults:
        values = {side: item.manifest["spec"]["limits"][0].get(side) for side in ("defaultRequest", "default")}
        told = ", ".join(f"{side} {amounts}" for side, amounts in values.items() if amounts).replace("'", "")
        typer.echo(f"# LimitRange {item.namespace}/{item.name}: {told}")
    for space, key in proposal.untracked:
        typer.echo(f"# {space}: {key} is not limited: some container states no limit, and gets none from here")
    for problem in proposal.problems:
        typer.echo(f"# no LimitRange mends: {problem}")
    for text in wrong:
        typer.echo(f"# re-check failed: {text}")
    if not wrong:
        less = "refuses something" if not proposal.margin else "leaves less than the margin"
        typer.echo(f"# re-checked: nothing is refused as proposed; any key one step smaller {less}")
    _print_assumed(standing, proposal.assumed, "# ")


def _assumed_content(standing: Standing, assumed: Assumed) -> dict[str, Any]:
    from sim.quotas.extras import survivable

    return {
        "hardware_known": standing.hardware_known,
        "max_rollouts": assumed.max_rollouts,
        "job_length_s": assumed.job_s,
        "nodes_lost": survivable(standing.cluster),
    }


def _print_assumed(standing: Standing, assumed: Assumed, mark: str = "") -> None:
    from sim.quotas.extras import survivable

    many = "1 rollout at a time" if assumed.max_rollouts == 1 else f"{assumed.max_rollouts} rollouts at once"
    typer.echo(
        f"{mark}peaks, each on top of what runs at rest: {many} with all its surge pods, autoscalers at their maximum, "
        f"Jobs, schedules (a run lasts {assumed.job_s:g} s, at most its deadline)"
    )
    lost = survivable(standing.cluster)
    if lost:
        typer.echo(
            f"{mark}and the loss of {', '.join(lost)}: old pods stay charged while they are Terminating, new ones come "
            "on top"
        )
    elif not standing.hardware_known:
        typer.echo(f"{mark}no hardware was named (--nodes or --scenario): no node loss, and DaemonSets count one pod")
    else:
        typer.echo(f"{mark}no node loss: nothing recovers when one of these nodes is lost")
    if missing := standing.platform.rendered.missing:
        modelled = sum(entry.modelled for entry in missing)
        unseen = len(missing) - modelled
        things = "1 thing" if unseen == 1 else f"{unseen} things"
        typer.echo(f"{mark}{things} of this tree could not be seen, {modelled} were modelled (stowplan render)")
        for entry in missing:
            if entry.broken:
                typer.echo(f"{mark}  not seen: {entry.kind} {entry.what} ({entry.origin})")
