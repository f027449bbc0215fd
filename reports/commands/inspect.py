"""``render``, ``graph``, ``schema`` and ``catalog``: looking without simulating; and what other commands share."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer

from models.errors import InputError, Problem, Where
from models.objects import KubeObject, Missing
from reports.commands.reading import read_paths

# ------------------------------------------------------------------------------------------------- render


def render_paths(
    paths: Sequence[Path],
    output_format: str,
    origin: bool,
    show_secrets: bool,
    renderer: str,
    *,
    fetch: bool = False,
    expand: bool = False,
    root: Path | None = None,
) -> bool:
    """Print what the paths render to; true when nothing is missing."""
    from models.sight import hidden

    rendered = read_paths(paths, renderer=renderer, show_secrets=show_secrets, fetch=fetch, expand=expand, root=root)
    if output_format == "json":
        content = {
            "schema": "stowplan/render/v1",
            "objects": [
                {"origin": _origin(item), "object": item.manifest} if origin else item.manifest
                for item in rendered.objects
            ],
            "modelled": [str(item.key) for item in rendered.objects if item.origin.provenance == "modelled"],
            "hidden": str(hidden(rendered.missing)),
            "missing": [missing_row(entry) for entry in rendered.missing],
        }
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        _print_yaml(rendered.objects, origin)
    for entry in rendered.missing:
        word = "modelled" if entry.modelled else "not seen"
        typer.echo(f"{word}: {entry.kind} {entry.what} ({entry.origin}): {entry.reason}", err=True)
    if rendered.missing:
        typer.echo(str(hidden(rendered.missing)), err=True)
    return rendered.complete


def _print_yaml(objects: Sequence[KubeObject], origin: bool) -> None:
    import yaml

    from models.sight import LEGEND, MARKS

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    for index, item in enumerate(objects):
        if index:
            typer.echo("---")
        if origin:
            typer.echo(f"# {item.origin}")
        if item.origin.provenance == "modelled":
            typer.echo(f"# {MARKS['modelled']} {LEGEND['modelled']}")
        typer.echo(yaml.dump(item.manifest, Dumper=dumper, sort_keys=False, allow_unicode=True, width=1000), nl=False)


def _origin(item: KubeObject) -> dict[str, Any]:
    origin = item.origin
    return {"file": origin.file, "line": origin.line, "provenance": origin.provenance, "by": origin.by}


def missing_row(entry: Missing) -> dict[str, Any]:
    """What could not be had, as JSON."""
    return {
        "kind": entry.kind,
        "what": entry.what,
        "file": entry.origin.file,
        "line": entry.origin.line,
        "reason": entry.reason,
        "hides": entry.hides,
        "modelled": entry.modelled,
    }


# ------------------------------------------------------------------------------------------------- graph


def show_graph(
    paths: Sequence[Path],
    output_format: str,
    output: Path | None,
    *,
    namespaces: Sequence[str],
    kinds: Sequence[str],
    explain: tuple[str, str] | None,
    overrides: Path | None,
    renderer: str,
    fetch: bool = False,
    root: Path | None = None,
) -> None:
    """Print or write the dependency graph in a format, or the evidence for one edge."""

    from models.graph.analysis import findings
    from models.graph.build import build_graph
    from models.graph.export import explain as explained
    from models.graph.export import filtered, to_dot, to_graphml, to_html, to_json, to_mermaid, to_svg
    from models.graph.overrides import OVERRIDE_FILE, read_overrides
    from models.platform import read_platform
    from models.sight import hidden
    from reports.write import write_text

    platform = read_platform(read_paths(paths, renderer=renderer, fetch=fetch, root=root))
    beside = (path / OVERRIDE_FILE for path in paths if path.is_dir())
    file = overrides or next((path for path in beside if path.is_file()), None)
    graph = build_graph(platform, overrides=read_overrides(file) if file is not None else None)
    if explain is not None:
        for node in explain:
            if node not in graph:
                close = get_close_matches(node, list(graph), 3)
                way_out = f"perhaps {', '.join(close)}" if close else "write it as KIND NAMESPACE/NAME"
                raise InputError(Problem(Where(field="--explain"), f"the graph has no node {node!r}", way_out))
        lines = explained(graph, *explain)
        typer.echo("\n".join(lines or [f"nothing in the tree makes {explain[0]} depend on {explain[1]}"]))
        return
    writers: dict[str, Callable[[Any], str]] = {
        "json": to_json,
        "mermaid": to_mermaid,
        "dot": to_dot,
        "graphml": to_graphml,
        "svg": to_svg,
        "html": to_html,
    }
    text = writers[output_format](filtered(graph, namespaces=namespaces, kinds=kinds))
    if output is None:
        typer.echo(text, nl=not text.endswith("\n"))
    else:
        write_text(output, text)
    found = findings(graph, platform)
    for entry in platform.rendered.missing:
        word = "modelled, hides" if entry.modelled else "not seen:"
        typer.echo(f"{word} {entry.kind} {entry.what} ({entry.origin}): {entry.hides or entry.reason}", err=True)
    if platform.rendered.missing:
        typer.echo(str(hidden(platform.rendered.missing)), err=True)
    for finding in found:
        typer.echo(f"{finding.severity}: {finding.code} {finding.where}: {finding.title}", err=True)


# ------------------------------------------------------------------------------------------------- hardware, tables


def parse_nodes(texts: Sequence[str]) -> tuple[Any, ...]:
    """``3xm920q:server`` as node rows of a scenario. Without any server, the first kind of machine becomes one."""
    from models.scenario import Node

    rows: list[Node] = []
    problems: list[Problem] = []
    for index, text in enumerate(texts):
        match = re.fullmatch(r"(?:(\d+)x)?([a-z0-9][-a-z0-9]*)(?::(server|agent))?", text)
        if match is None or match[1] == "0":
            problems.append(
                Problem(Where(field=f"--nodes {text}"), "not of the form COUNTxMACHINE[:server]", "3xm920q")
            )
            continue
        name = match[2] if len(texts) > 1 else "node"
        rows.append(
            Node.model_validate(
                {
                    "name": f"{name}{index}" if any(name == other.name for other in rows) else name,
                    "machine": match[2],
                    "count": int(match[1] or 1),
                    "role": match[3] or ("agent" if rows else "server"),
                }
            )
        )
    if problems:
        raise InputError(problems)
    return tuple(rows)


def make_table(title: str, *columns: str) -> Any:
    """A plain table for the terminal: the first column to the left, the others to the right."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=index == 0)
    return table


# ------------------------------------------------------------------------------------------------- schema, catalog


def scenario_schema() -> str:
    """The JSON Schema of the scenario file."""
    from models.scenario import Scenario

    content = Scenario.model_json_schema(by_alias=True)
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **content}, indent=2)


WHOLE = 10_000
"""Columns of a screen on which nothing is cut."""


def print_catalog(section: str, as_json: bool) -> None:
    """List one part of the catalogues."""
    rows = _catalog_rows(section)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console

    table = make_table(f"{len(rows)} {section}", *rows[0])
    for column in table.columns:
        column.justify, column.overflow = "left", "fold"
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    # A file or another program gets every word on its line; a terminal folds what is too long for it.
    Console(highlight=False, width=None if sys.stdout.isatty() else WHOLE).print(table)


def _cell(value: Any) -> str:
    from rich.markup import escape

    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    return escape(value if isinstance(value, str) else json.dumps(value))


def _catalog_rows(section: str) -> list[dict[str, Any]]:
    from models.catalog import load_apps, load_hardware, load_timings
    from models.catalog.timings import SIMULATED
    from models.scenario import FAULT_ACTIONS

    if section == "machines":
        return [
            {
                "id": machine.id,
                "name": machine.name,
                "cpu": machine.cpu,
                "threads": machine.threads,
                "memory_gb": machine.mem_typical_gb,
                "speed": machine.speed_single,
                "ref_cores": machine.ref_cores,
                "idle_w": machine.idle_w,
                "load_w": machine.load_w,
                "confidence": machine.confidence["cpu_score"],
            }
            for machine in load_hardware().machines.values()
        ]
    if section == "disks":
        return [disk.model_dump() for disk in load_hardware().disks.values()]
    if section == "timings":
        return [
            {
                "key": item.key,
                "value": item.value,
                "unit": item.unit,
                "simulated": "yes" if item.key in SIMULATED else "",
                "meaning": item.meaning,
                "confidence": item.confidence,
                "source": item.source,
            }
            for item in load_timings().entries.values()
        ]
    if section == "charts":
        from models.charts import load_model, model_names

        models = [model for model in map(load_model, model_names()) if model is not None]
        return [
            {
                "chart": model.chart,
                "version": model.version,
                "verified": model.verified,
                "hides": model.hides,
                "source": model.source,
            }
            for model in models
        ]
    if section == "faults":
        return [{"type": kind, "actions": ", ".join(actions)} for kind, actions in FAULT_ACTIONS.items()]
    return [
        {
            "name": profile.name,
            "role": profile.role,
            "images": ", ".join(profile.images),
            "idle_cpu_m": profile.idle_cpu_m,
            "idle_mem_mib": profile.idle_mem_mib,
            "workers": profile.workers,
            "startup_s": profile.startup_s,
            "operations": ", ".join(f"{op.name} {op.cpu_ms:g} ms" for op in profile.operations),
            "confidence": profile.confidence,
        }
        for profile in load_apps().profiles
    ]
