"""The command line. Every command imports what it needs when it runs, so that ``--help`` stays instant.

Exit codes: 0 fine, 1 internal error, 2 wrong usage or input, 3 a tree could not be rendered (with
``--require-complete``: not completely), 99 a threshold failed, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.errors import InputError, RenderError

if TYPE_CHECKING:
    from models.scenario_file import Changes

EXIT_INTERNAL = 1
EXIT_INPUT = 2
EXIT_RENDER = 3
EXIT_THRESHOLD = 99
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="stowplan",
    help="Find out what will happen to a Kubernetes platform before it happens: read its manifest tree, place it on "
    "the hardware you own, simulate requests, node failures, rollouts and quotas.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog="Start with: stowplan run scenarios/node-loss.yaml",
)


class TreeRenderer(StrEnum):
    """Who builds kustomizations."""

    builtin = "builtin"
    kustomize = "kustomize"


class RenderFormat(StrEnum):
    """Output of ``render``."""

    yaml = "yaml"
    json = "json"


class GraphFormat(StrEnum):
    """Output of ``graph``."""

    json = "json"
    mermaid = "mermaid"
    dot = "dot"
    graphml = "graphml"
    svg = "svg"
    html = "html"


class ExplainFormat(StrEnum):
    """Output of ``explain``."""

    text = "text"
    json = "json"


class SchemaName(StrEnum):
    """What ``schema`` prints."""

    scenario = "scenario"
    explain = "explain"
    diff = "diff"


class CatalogSection(StrEnum):
    """What ``catalog`` lists."""

    machines = "machines"
    disks = "disks"
    timings = "timings"
    apps = "apps"
    faults = "faults"
    charts = "charts"
    verify = "verify"


class FailOn(StrEnum):
    """From which severity on findings fail a command."""

    error = "error"
    warning = "warning"
    info = "info"
    never = "never"


class DiffFormat(StrEnum):
    """Output of ``diff``."""

    text = "text"
    comment = "comment"
    markdown = "markdown"
    json = "json"
    junit = "junit"
    html = "html"


class DiffFailOn(StrEnum):
    """What of a difference fails ``diff``."""

    new_error = "new-error"
    new_warning = "new-warning"
    error = "error"
    warning = "warning"
    any = "any"
    never = "never"


RendererOption = Annotated[
    TreeRenderer, typer.Option(help="built-in Kustomize, or the kustomize/kubectl binary on PATH")
]

FetchOption = Annotated[
    bool, typer.Option("--fetch", help="download pinned charts that are neither in the tree nor in the cache")
]
AcceptedOption = Annotated[
    Path | None, typer.Option(help="accepted findings; default: stowplan-accepted.yaml at or above the tree")
]
RootOption = Annotated[
    Path | None, typer.Option(help="nothing outside of this folder is read; default: the enclosing git work tree")
]


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"stowplan {version('stowplan')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version and exit")
    ] = False,
) -> None:
    """Options of the program itself."""


@app.command()
def run(
    scenario: Annotated[Path, typer.Argument(help="scenario file")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="folder for the reports; default: out/NAME")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="another seed for every random stream")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="change a field: key.path=value, for example run.replications=20")
    ] = None,
    override: Annotated[list[str] | None, typer.Option(help="apply a named override of the file")] = None,
    chosen: Annotated[list[str] | None, typer.Option("--scenario", help="apply a named scenario of the file")] = None,
    tree: Annotated[
        list[Path] | None, typer.Option(help="run it on this tree instead; several make one platform")
    ] = None,
    workers: Annotated[int, typer.Option("-n", "--workers", min=0, help="processes; 0: one per core")] = 0,
    show_resolved: Annotated[bool, typer.Option("--show-resolved", help="print what would run, and stop")] = False,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="exit with 0 even when a threshold failed")
    ] = False,
    no_resume: Annotated[
        bool,
        typer.Option(
            "--no-resume", help="start anew instead of going on from what a killed run of the same scenario finished"
        ),
    ] = False,
    accepted: AcceptedOption = None,
    fetch: FetchOption = False,
    root: RootOption = None,
) -> None:
    """Simulate a scenario and write its reports (HTML, Markdown, JSON, CSV, JUnit)."""
    from models.scenario_file import Changes
    from reports.commands.run import run_scenario, show_scenario

    values = [*(settings or []), *([f"run.seed={seed}"] if seed is not None else [])]
    changes = Changes(override or [], chosen or [], values, tree or [])
    if show_resolved:
        typer.echo(show_scenario(scenario, changes))
        return
    passed = run_scenario(
        scenario,
        changes,
        output,
        workers=workers,
        command=_command_line(scenario, changes, root),
        fetch=fetch,
        resume=not no_resume,
        root=root,
        accepted_file=accepted,
    )
    if not passed and not report_only:
        raise typer.Exit(EXIT_THRESHOLD)


@app.command()
def render(
    paths: Annotated[list[Path], typer.Argument(help="Kustomize roots, folders or files; - is standard input")],
    output_format: Annotated[RenderFormat, typer.Option("--format", help="output format")] = RenderFormat.yaml,
    origin: Annotated[bool, typer.Option("--origin", help="add the file and line of every object")] = False,
    show_secrets: Annotated[
        bool, typer.Option("--show-secrets", help="print Secret values instead of dropping them")
    ] = False,
    require_complete: Annotated[
        bool, typer.Option("--require-complete", help="exit with 3 when something could not be had")
    ] = False,
    renderer: RendererOption = TreeRenderer.builtin,
    expand: Annotated[
        bool, typer.Option("--expand", help="model charts that cannot be had; follow Argo CD and Flux")
    ] = False,
    fetch: FetchOption = False,
    root: RootOption = None,
) -> None:
    """Print what a tree renders to, and nothing derived."""
    from reports.commands.inspect import render_paths

    complete = render_paths(
        paths, output_format.value, origin, show_secrets, renderer.value, fetch=fetch, expand=expand, root=root
    )
    if require_complete and not complete:
        raise typer.Exit(EXIT_RENDER)


@app.command()
def graph(
    paths: Annotated[list[Path], typer.Argument(help="Kustomize roots, folders or files")],
    output_format: Annotated[GraphFormat, typer.Option("--format", help="output format")] = GraphFormat.mermaid,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="file; default: standard output")] = None,
    namespace: Annotated[list[str] | None, typer.Option("-N", "--namespace", help="only these namespaces")] = None,
    kind: Annotated[list[str] | None, typer.Option("--kind", help="only these kinds of node")] = None,
    explain: Annotated[
        tuple[str, str] | None, typer.Option(metavar="SOURCE TARGET", help="print the evidence for an edge")
    ] = None,
    overrides: Annotated[
        Path | None, typer.Option(help="edges to add, remove or retype; default: stowplan-graph.yaml in the tree")
    ] = None,
    renderer: RendererOption = TreeRenderer.builtin,
    fetch: FetchOption = False,
    root: RootOption = None,
) -> None:
    """Show what depends on what, with the evidence for every edge."""
    from reports.commands.inspect import show_graph

    show_graph(
        paths,
        output_format.value,
        output,
        namespaces=namespace or [],
        kinds=kind or [],
        explain=explain,
        overrides=overrides,
        renderer=renderer.value,
        fetch=fetch,
        root=root,
    )


@app.command()
def place(
    paths: Annotated[list[Path] | None, typer.Argument(help="the tree; default: that of the scenario")] = None,
    scenario: Annotated[Path | None, typer.Option(help="take the hardware (and the tree) from this scenario")] = None,
    nodes: Annotated[
        list[str] | None, typer.Option(help="hardware as COUNTxMACHINE[:server], for example 3xm920q:server")
    ] = None,
    seed: Annotated[int, typer.Option(help="seed for ties between nodes")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    fetch: FetchOption = False,
    root: RootOption = None,
) -> None:
    """Place every pod by Kubernetes' rules: head-room, what stays pending, what each node loss leaves, what a budget
    or a volume holds against draining each node."""
    from reports.commands.place import place_tree

    place_tree(paths or [], scenario, nodes or [], seed, as_json, fetch=fetch, root=root)


@app.command()
def check(
    paths: Annotated[list[Path] | None, typer.Argument(help="the tree; default: that of the scenario")] = None,
    scenario: Annotated[Path | None, typer.Option(help="take the hardware (and the tree) from this scenario")] = None,
    nodes: Annotated[
        list[str] | None, typer.Option(help="hardware as COUNTxMACHINE[:server], for example 3xm920q:server")
    ] = None,
    accepted: AcceptedOption = None,
    only: Annotated[list[str] | None, typer.Option(help="only the rules with these codes")] = None,
    fail_on: Annotated[FailOn, typer.Option(help="exit with 99 from this severity on")] = FailOn.error,
    report_only: Annotated[bool, typer.Option("--report-only", help="exit with 0 whatever is found")] = False,
    rules: Annotated[bool, typer.Option("--rules", help="list the rules and stop")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    fetch: FetchOption = False,
    root: RootOption = None,
) -> None:
    """Fine until the first restart: would admission, scheduling and storage let every pod come back?"""
    from reports.commands.check import check_tree, print_rules

    if rules:
        print_rules(as_json)
        return
    found = check_tree(
        paths or [],
        scenario,
        nodes or [],
        accepted=accepted,
        only=only or [],
        as_json=as_json,
        fetch=fetch,
        root=root,
    )
    if not report_only and fail_on is not FailOn.never and any(_counts(item.severity, fail_on) for item in found):
        raise typer.Exit(EXIT_THRESHOLD)


def _counts(severity: int, fail_on: FailOn) -> bool:
    return severity >= {"info": 0, "warning": 1, "error": 2}[fail_on.value]


@app.command()
def quota(
    paths: Annotated[list[Path] | None, typer.Argument(help="the tree; default: that of the scenario")] = None,
    suggest: Annotated[
        bool, typer.Option("--suggest", help="propose the smallest quotas and defaults that refuse nothing")
    ] = False,
    max_rollouts: Annotated[int, typer.Option("--max-rollouts", min=1, help="rollouts that may run at once")] = 1,
    margin: Annotated[str, typer.Option(help="what --suggest leaves free above every peak")] = "20%",
    job_length: Annotated[str, typer.Option(help="how long a run of a Job lasts, at most its deadline")] = "10m",
    scenario: Annotated[Path | None, typer.Option(help="take the hardware (and the tree) from this scenario")] = None,
    nodes: Annotated[
        list[str] | None, typer.Option(help="hardware as COUNTxMACHINE[:server], for example 3xm920q:server")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="folder for the Kustomize component; default: print it")
    ] = None,
    report_only: Annotated[bool, typer.Option("--report-only", help="exit with 0 whatever is refused")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    seed: Annotated[int, typer.Option(help="seed for ties between nodes")] = 1,
    fetch: FetchOption = False,
    root: RootOption = None,
) -> None:
    """Every quota at rest and at its peak (rollouts, autoscalers, node loss, jobs), or the quotas that it takes."""
    from reports.commands.quota import quota_tree

    fine = quota_tree(
        paths or [],
        scenario,
        nodes or [],
        suggest=suggest,
        max_rollouts=max_rollouts,
        margin=margin,
        job_length=job_length,
        output=output,
        as_json=as_json,
        seed=seed,
        fetch=fetch,
        root=root,
    )
    if not fine and not report_only:
        raise typer.Exit(EXIT_THRESHOLD)


@app.command()
def explain(
    paths: Annotated[list[Path], typer.Argument(help="YAML files, folders or - (standard input)")],
    output_format: Annotated[ExplainFormat, typer.Option("--format", help="output format")] = ExplainFormat.text,
    nodes: Annotated[
        list[str] | None, typer.Option(help="hardware when the files hold no Node: COUNTxMACHINE, for example 3xm920q")
    ] = None,
    seed: Annotated[int, typer.Option(help="seed for ties between nodes")] = 1,
    root: RootOption = None,
) -> None:
    """Tell what would happen to pods before they exist: kubectl describe, ahead of time.

    The files hold any objects: nodes, quotas, limit ranges, priority classes, volumes, claims, budgets, and pods or
    workloads to come. A pod with spec.nodeName and a status exists already; every other pod, and every replica that a
    workload still lacks, is to come and gets an answer: the pod after defaulting, QoS, effective requests and limits,
    what it costs each quota, the API server's or the scheduler's own sentence, why each node refuses it or how it
    scores, the chosen node, the victims. Each answer changes the cluster for the next pod.

    \b
    Would my change be admitted, and where would it go?
      kubectl get nodes,pods,quota,limits,pvc,pv,sc,priorityclass -A -o yaml > cluster.yaml
      stowplan explain cluster.yaml new-deployment.yaml
    \b
    Without a cluster, on hardware of the catalogue:
      kubectl create deployment web --image nginx --dry-run=client -o yaml | stowplan explain - --nodes 3xm920q

    A KubeSchedulerConfiguration among the files sets weights, scoring strategy and default spreading.
    'stowplan schema explain' documents the JSON.
    """
    from reports.commands.explain import explain_paths

    explain_paths(paths, nodes or [], seed, output_format is ExplainFormat.json, root=root)


@app.command()
def diff(
    trees: Annotated[
        list[Path] | None, typer.Argument(metavar="[TREE]...", help="the trees; default: every Kustomize root")
    ] = None,
    base: Annotated[
        str, typer.Option(metavar="REF|PATH", help="what it is compared with: branch, tag, commit, or ./FOLDER")
    ] = "HEAD",
    head: Annotated[
        str | None, typer.Option(metavar="REF|PATH", help="what is proposed; default: the work tree")
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="compare with the base itself, not with the newest common ancestor")
    ] = False,
    scenario: Annotated[Path | None, typer.Option(help="take the hardware (and the trees) from this scenario")] = None,
    nodes: Annotated[
        list[str] | None, typer.Option(help="hardware as COUNTxMACHINE[:server], for example 3xm920q:server")
    ] = None,
    simulate: Annotated[
        Path | None, typer.Option(help="also simulate this scenario on both sides, with the same random streams")
    ] = None,
    output_format: Annotated[
        DiffFormat,
        typer.Option("--format", help="what is printed; comment: for a pull request; markdown: the same, whole"),
    ] = DiffFormat.text,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="folder that gets every format as a file")
    ] = None,
    fail_on: Annotated[
        DiffFailOn,
        typer.Option(help="exit with 99 for: what the head brings (new-...), all that holds in it, or any change"),
    ] = DiffFailOn.new_error,
    report_only: Annotated[bool, typer.Option("--report-only", help="exit with 0 whatever the verdict is")] = False,
    seed: Annotated[int, typer.Option(help="seed of both sides")] = 1,
    workers: Annotated[int, typer.Option("-n", "--workers", min=0, help="processes; 0: one per core")] = 0,
    repository: Annotated[
        Path | None, typer.Option(help="the git repository; default: the one around this folder")
    ] = None,
    renderer: RendererOption = TreeRenderer.builtin,
    fetch: FetchOption = False,
) -> None:
    """Compare two commits or folders: what changed, what it uses, which pods will be refused, which rollouts get stuck.

    Text that begins with / ./ ../ or ~ is a path; anything else is a commit if git knows one by that name. Commits are
    read without touching the work tree, and compared from their newest common ancestor on, as a pull request is.
    """
    from reports.commands.diff import Wanted, fails, make_difference, show_difference

    wanted = Wanted(
        base,
        head,
        trees or [],
        nodes or [],
        scenario,
        simulate,
        repository,
        exact=exact,
        seed=seed,
        workers=workers,
        fetch=fetch,
        renderer=renderer.value,
    )
    difference = make_difference(wanted)
    show_difference(difference, output_format.value, output)
    if difference.head.problems:
        raise typer.Exit(EXIT_RENDER)
    if not report_only and fails(difference, fail_on.value):
        raise typer.Exit(EXIT_THRESHOLD)


@app.command()
def schema(
    of: Annotated[SchemaName, typer.Argument(help="the file or the output that it describes")] = SchemaName.scenario,
) -> None:
    """Print a JSON Schema: of the scenario file, or of what explain or diff print with --format json."""
    if of is SchemaName.diff:
        from reports.diff.data import schema_text as diff_schema

        typer.echo(diff_schema(), nl=False)
        return
    if of is SchemaName.explain:
        from reports.explain.data import schema_text

        typer.echo(schema_text(), nl=False)
        return
    from reports.commands.inspect import scenario_schema

    typer.echo(scenario_schema())


@app.command()
def catalog(
    section: Annotated[
        CatalogSection, typer.Argument(help="what to list; verify: compare a chart's model with the chart")
    ] = CatalogSection.machines,
    name: Annotated[str | None, typer.Argument(metavar="[CHART]", help="verify: the model's name")] = None,
    chart: Annotated[Path | None, typer.Option(help="verify: the real chart, a folder or a .tgz archive")] = None,
    values: Annotated[Path | None, typer.Option(help="verify: a file with values for both")] = None,
    release: Annotated[str, typer.Option(help="verify: the release name; default: the chart's name")] = "",
    namespace: Annotated[str, typer.Option("-N", "--namespace", help="verify: the namespace")] = "default",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """List machines, disks, timers, apps, faults or chart models; or verify a chart model against the chart."""
    if section is CatalogSection.verify:
        if name is None or chart is None:
            raise typer.BadParameter("verify needs the name of a model and --chart PATH")
        from reports.commands.charts import verify_chart

        if not verify_chart(name, chart, values, release, namespace, as_json):
            raise typer.Exit(EXIT_THRESHOLD)
        return
    from reports.commands.inspect import print_catalog

    print_catalog(section.value, as_json)


def _command_line(scenario: Path, changes: Changes, root: Path | None) -> str:
    """The command that makes the same report again: without what does not matter to it (-o, -n)."""
    import shlex

    words = ["stowplan", "run", str(scenario)]
    for option, values in (
        ("--tree", changes.trees),
        ("--scenario", changes.scenarios),
        ("--override", changes.overrides),
        ("--set", changes.settings),
    ):
        for value in values:
            words += [option, str(value)]
    if root is not None:
        words += ["--root", str(root)]
    return shlex.join(words)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns (and, as a console script, exits with) the exit code."""
    try:
        outcome = app(args=None if arguments is None else list(arguments), standalone_mode=False)
        # Typer makes an exit code of Ctrl-C.
        return _interrupted() if outcome == EXIT_INTERRUPTED else int(outcome or 0)
    except InputError as error:
        _say_problems(error)
        return EXIT_RENDER if isinstance(error, RenderError) else EXIT_INPUT
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        # The reader (head, less) went away: not an error of ours. Keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _usage_or_bug(error)


def _interrupted() -> int:
    typer.echo("interrupted", err=True)
    return EXIT_INTERRUPTED


def _say_problems(error: InputError) -> None:
    for problem in error.problems:
        typer.echo(f"error: {problem}", err=True)
    if len(error.problems) > 1:
        typer.echo(f"{len(error.problems)} problems", err=True)


def _usage_or_bug(error: Exception) -> int:
    show = getattr(error, "show", None)
    if callable(show):
        show()
        return int(getattr(error, "exit_code", EXIT_INPUT))
    if type(error).__name__ == "Abort":
        return _interrupted()
    import traceback

    traceback.print_exception(error)
    typer.echo("internal error: this is a bug in stowplan, not in your input; please report the lines above", err=True)
    return EXIT_INTERNAL


if __name__ == "__main__":
    sys.exit(main())
