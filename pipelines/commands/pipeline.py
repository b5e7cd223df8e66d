"""Commands about the stages of a project and what they left."""
# ruff: noqa: PLC0415

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.commands import PARAMS, ROOT, examples

if TYPE_CHECKING:
    from pipelines.runner import RunOutcome

COMPARISON = Path("out/comparison/comparison.json")
REPORT = COMPARISON.with_name("report.html")

commands = typer.Typer()


@commands.command(
    epilog=examples(
        "goa run  # whatever is stale",
        "goa run finetune@bleu-17  # one policy, with all it needs",
        "goa run finetune evaluate --slots 4  # two groups, four at a time",
        "goa run --no-publish  # and record nothing",
    )
)
def run(
    targets: Annotated[
        list[str] | None,
        typer.Argument(help="Stages or groups (finetune); with all they need. Default: every one."),
    ] = None,
    slots: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Stages side by side. Default: run.slots in params.yaml."),
    ] = None,
    publish: Annotated[bool, typer.Option(help="Record the run in MLflow.")] = True,
) -> None:
    """Run the stale stages of dvc.yaml side by side; the same dvc.lock as [bold]dvc repro[/bold].

    Exit code 1 when a stage failed; the stages that do not need it are run all the same.
    """
    from goa.config import check as check_settings
    from pipelines.project import prepare_project

    params = check_settings(PARAMS)
    prepare_project(ROOT)
    execute = _run_and_publish if publish else _run
    outcome = execute(targets or [], slots or params.run.slots)
    for failure in outcome.failures:
        typer.echo(f"error: {failure}", err=True)
    if outcome.failures:
        raise typer.Exit(1)
    _show_results(publish, compared="compare" in outcome.states)


@commands.command(
    epilog=examples(
        "goa check",
        "goa check --params experiments/multi30k.yaml",
    )
)
def check(
    params: Annotated[Path, typer.Option(help="The file of parameters.")] = PARAMS,
) -> None:
    """Check a whole file of parameters; names every problem at once.

    Warns, without failing, of code of yours whose changes dvc.yaml does not watch.
    """
    from goa.config import check as check_settings
    from pipelines.dependencies import unwatched

    for warning in unwatched(check_settings(params), ROOT):
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(f"{params}: no problem found")


@commands.command(
    epilog=examples(
        "git clone ADDRESS goa && cd goa && goa init",
    )
)
def init() -> None:
    """Make this folder ready: DVC, with or without git, and the tracking database.

    Changes nothing that is ready already. [bold]goa run[/bold] does by itself what it needs.
    """
    from pipelines.project import prepare_project
    from pipelines.publish import initialise_store, project_store

    prepare_project(ROOT)
    initialise_store(ROOT)
    typer.echo(f"ready; runs are recorded in {project_store(ROOT).shown}")


@commands.command(
    epilog=examples(
        "goa publish",
        "MLFLOW_TRACKING_URI=http://tracking:5000 goa publish",
    )
)
def publish(
    execution: Annotated[
        str | None,
        typer.Option(help="Name of the run that this belongs to. Default: as dvc.lock is known."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Record all results in MLflow, again or after an outage; doubles nothing."""
    import dataclasses
    import json

    from pipelines.publish import publish as record

    summary = record(ROOT, execution)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(summary)))
    else:
        _say_published(summary)


@commands.command(
    epilog=examples(
        "goa status",
        "goa status --json | jq -r .[].state",
    )
)
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """List the stages of dvc.yaml: up to date, or stale and why."""
    import dataclasses
    import json

    from rich.console import Console

    from pipelines.display import status_table
    from pipelines.graph import read_graph, stale_stages
    from pipelines.status import all_statuses

    found = all_statuses(read_graph(ROOT), stale_stages(ROOT))
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(each) for each in found]))
    else:
        Console().print(status_table(found))


@commands.command(
    epilog=examples(
        "goa report",
        "goa report --open",
    )
)
def report(
    show: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
) -> None:
    """Say where the report of the comparison lies: one file, which can be sent to anybody."""
    import webbrowser

    from goa.errors import PipelineError

    if not REPORT.exists():
        raise PipelineError(f"{REPORT}: there is no report yet; goa run writes it")
    typer.echo(REPORT)
    if show and not webbrowser.open(REPORT.resolve().as_uri()):
        raise PipelineError(f"no browser could be started; open {REPORT.resolve()} in one")


def _run(targets: list[str], slots: int) -> "RunOutcome":
    import asyncio

    from rich.console import Console

    from pipelines.display import show_run
    from pipelines.runner import run_graph
    from pipelines.stopping import until_told

    with show_run(ROOT, Console(stderr=True)) as listener:
        return asyncio.run(until_told(run_graph(targets, slots, listener, root=ROOT)))


def _run_and_publish(targets: list[str], slots: int) -> "RunOutcome":
    """Run with the live publisher beside it, and publish everything at the end, best effort."""
    import time

    from goa.errors import hide_secrets
    from pipelines.live import LivePublisher
    from pipelines.publish import publish as record

    execution = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    with LivePublisher(ROOT, execution):
        outcome = _run(targets, slots)
    try:
        # Nothing was executed: this belongs to the run that made what is here.
        _say_published(record(ROOT, execution if outcome.executed else None))
    except Exception as error:  # whatever is wrong with tracking, the run is good
        said = hide_secrets(str(error))
        typer.echo(f"not recorded in MLflow: {said}\n`goa publish` tries it again", err=True)
    return outcome


def _say_published(summary: Any) -> None:
    for stage, reason in summary.skipped.items():
        typer.echo(f"{stage}: not recorded: {reason}", err=True)
    typer.echo(f"recorded in {summary.uri}: {len(summary.added)} new, {len(summary.known)} known")


def _show_results(publish: bool, *, compared: bool) -> None:
    """Print the comparison, if it is of this run, and where to look next."""
    from rich.console import Console

    from goa.report.comparison import load_comparison
    from goa.report.terminal import alarm_lines, bar_line, comparison_table, verdict_line
    from pipelines.publish import project_store

    console = Console()
    if compared and COMPARISON.exists():
        comparison = load_comparison(COMPARISON)
        console.print(comparison_table(comparison))
        console.print(verdict_line(comparison))
        if bar := bar_line(comparison):
            console.print(bar)
        for line in alarm_lines(comparison):
            console.print(line)
        typer.echo(f"report: {REPORT}, or goa report --open")
    typer.echo("curves: dvc plots show")
    if publish:
        typer.echo(f"runs:   mlflow ui --backend-store-uri {project_store(ROOT).shown}")
