"""The command ``goa``.

What a command needs is imported inside it: ``goa --help`` and a mistyped option should not wait
for DVC, pydantic or MLflow.
"""
# ruff: noqa: PLC0415

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from goa.errors import GoaError

if TYPE_CHECKING:
    from pipelines.runner import RunOutcome

ROOT = Path()
PARAMS = Path("params.yaml")
COMPARISON = Path("out/comparison/comparison.json")


class Commands(TyperGroup):
    """Ends with one message and exit code 2 where a command raises what goa raises on purpose."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except GoaError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            typer.echo("interrupted; run it again to go on from here", err=True)
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Train text generators on the quality of their whole output, as a tracked pipeline.",
    epilog="Example: [bold]goa run[/bold] brings every stage of dvc.yaml up to date and compares.",
)


@app.command(epilog="Example: [bold]goa run finetune@bleu --slots 4[/bold]")
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
    _show_results(publish)


@app.command(epilog="Example: [bold]goa check --params experiments/multi30k.yaml[/bold]")
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


@app.command(
    epilog="Examples: [bold]goa score -e bleu -e chrf -c out.txt -r ref.txt[/bold], "
    "[bold]goa score -e '{kind: rouge, variant: rouge2}' -c written.jsonl --json[/bold]"
)
def score(
    evaluator: Annotated[
        list[str],
        typer.Option(
            "--evaluator", "-e", help="A name in params.yaml, a kind, or settings: {kind: ...}."
        ),
    ],
    candidates: Annotated[
        Path, typer.Option("--candidates", "-c", help="Text, a line each, or JSON lines.")
    ],
    references: Annotated[
        list[Path] | None,
        typer.Option("--references", "-r", help="Text, a line each; once for each reference."),
    ] = None,
    sources: Annotated[
        Path | None, typer.Option(help="Text; for evaluators that look at the source.")
    ] = None,
    params: Annotated[Path, typer.Option(help="The file of parameters.")] = PARAMS,
    resamples: Annotated[int, typer.Option(min=1, help="Bootstrap resamples.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamples.")] = 0,
    each: Annotated[
        Path | None, typer.Option(help="Write the scores of each candidate there, as JSON lines.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Score any text by any evaluator, with interval and signature.

    Scores are printed times 100, as sacrebleu does; JSON has them in 0..1.
    """
    import json

    from goa.evaluation.bootstrap import Bootstrap
    from pipelines import score_files

    request = score_files.ScoreRequest(
        evaluators=evaluator,
        candidates=candidates,
        references=references or [],
        sources=sources,
        params=params,
        bootstrap=Bootstrap(seed=seed, resamples=resamples),
    )
    scores = score_files.score_files(request)
    if each is not None:
        score_files.write_each(each, scores)
    if as_json:
        typer.echo(json.dumps(score_files.as_json(scores), indent=2))
    else:
        typer.echo("\n".join(score_files.describe(scores)))


@app.command(epilog="Example: [bold]git clone ... && cd goa && goa init[/bold]")
def init() -> None:
    """Make this folder ready: DVC, with or without git, and the tracking database.

    Changes nothing that is ready already. [bold]goa run[/bold] does by itself what it needs.
    """
    from pipelines.project import prepare_project
    from pipelines.publish import initialise_store, project_store

    prepare_project(ROOT)
    initialise_store(ROOT)
    typer.echo(f"ready; runs are recorded in {project_store(ROOT).shown}")


@app.command(epilog="Example: [bold]MLFLOW_TRACKING_URI=http://tracking:5000 goa publish[/bold]")
def publish() -> None:
    """Record all results in MLflow, again or after an outage; doubles nothing."""
    from pipelines.publish import publish as record

    _say_published(record(ROOT))


@app.command(epilog="Example: [bold]goa status[/bold]")
def status() -> None:
    """List the stages of dvc.yaml: up to date, or stale and why."""
    from rich.console import Console

    from pipelines.display import status_table
    from pipelines.graph import read_graph, stale_stages

    graph = read_graph(ROOT)
    Console().print(status_table(graph, stale_stages(ROOT)))


@app.command(epilog="Example: [bold]goa preflight bleu rule --price-per-hour 2.5[/bold]")
def preflight(
    evaluators: Annotated[
        list[str] | None, typer.Argument(help="Names in params.yaml. Default: every one.")
    ] = None,
    sources: Annotated[
        int, typer.Option(min=1, help="Sources of the candidate pool, at most; its first ones.")
    ] = 200,
    price_per_hour: Annotated[
        float | None, typer.Option(min=0.0, help="Of the machine, in any currency.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write everything as JSON.")] = False,
) -> None:
    """Try evaluators on what the pretrained policy wrote, before anything is trained on them.

    Needs prepare, pretrain and generate to have run. Exit code 1 when an evaluator is a NO-GO.
    """
    from rich.console import Console

    from goa.report.preflight import show_preflight
    from pipelines.preflight import as_text
    from pipelines.preflight import preflight as try_all

    found = try_all(
        evaluators or [], sources, price_per_hour, lambda line: typer.echo(line, err=True)
    )
    if as_json:
        typer.echo(as_text(found))
    else:
        Console().print(*show_preflight(found), sep="\n")
    if not found.go:
        raise typer.Exit(1)


@app.command(
    epilog="Example: [bold]goa rescore chrf --settings '{kind: chrf, word_order: 2}'[/bold]"
)
def rescore(
    evaluator: Annotated[str, typer.Argument(help="A name in params.yaml, or of --settings.")],
    settings: Annotated[
        str | None, typer.Option(help="Of the evaluator, as YAML; params.yaml is not asked then.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A Parquet file for the rewards. Default: none is written.")
    ] = None,
) -> None:
    """Score the candidates of the pool again, by any evaluator; nothing is generated.

    Prints what the evaluator says of each strategy, and how far it agrees with out/rewards.
    """
    from rich.console import Console

    from goa.report.agreement import agreement_table, summary_table
    from pipelines.rescore import rescore as score_again

    found = score_again(evaluator, settings, out)
    console = Console()
    console.print(summary_table(evaluator, found.summary))
    if found.agreements:
        console.print(agreement_table(evaluator, found.agreements))
    for problem in found.problems:
        typer.echo(problem, err=True)


def _run(targets: list[str], slots: int) -> "RunOutcome":
    import asyncio

    from rich.console import Console

    from pipelines.display import show_run
    from pipelines.runner import run_graph

    with show_run(ROOT, Console(stderr=True)) as listener:
        return asyncio.run(run_graph(targets, slots, listener, root=ROOT))


def _run_and_publish(targets: list[str], slots: int) -> "RunOutcome":
    """Run with the live publisher beside it, and publish everything at the end, best effort."""
    import time

    from pipelines.publish import LivePublisher
    from pipelines.publish import publish as record

    execution = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    with LivePublisher(ROOT, execution):
        outcome = _run(targets, slots)
    try:
        # Nothing was executed: this belongs to the run that made what is here.
        _say_published(record(ROOT, execution if outcome.executed else None))
    except Exception as error:  # whatever is wrong with tracking, the run is good
        typer.echo(f"not recorded in MLflow: {error}\n`goa publish` tries it again", err=True)
    return outcome


def _say_published(summary: Any) -> None:
    for stage, reason in summary.skipped.items():
        typer.echo(f"{stage}: not recorded: {reason}", err=True)
    typer.echo(f"recorded in {summary.uri}: {len(summary.added)} new, {len(summary.known)} known")


def _show_results(publish: bool) -> None:
    """Print the comparison, if there is one, and where to look next."""
    from rich.console import Console

    from goa.report.comparison import load_comparison
    from goa.report.terminal import comparison_table, verdict_line
    from pipelines.publish import project_store

    console = Console()
    if COMPARISON.exists():
        comparison = load_comparison(COMPARISON)
        console.print(comparison_table(comparison))
        console.print(verdict_line(comparison))
        typer.echo(f"report: {COMPARISON.with_name('report.md')}")
    typer.echo("curves: dvc plots show")
    if publish:
        typer.echo(f"runs:   mlflow ui --backend-store-uri {project_store(ROOT).shown}")


if __name__ == "__main__":
    app()
