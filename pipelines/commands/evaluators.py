"""Commands about evaluators: what they say of texts, and whether to train on them."""
# ruff: noqa: PLC0415

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands import PARAMS, examples

commands = typer.Typer()


@commands.command(
    epilog=examples(
        "goa score -e bleu -e chrf -c out.txt -r ref.txt",
        "goa score -e mine --sources in.txt -c out.txt -r ref.txt --each scores.jsonl",
        "goa score -e '{kind: rouge, variant: rouge2}' -c written.jsonl --json",
    )
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


@commands.command(
    epilog=examples(
        "goa preflight  # every evaluator",
        "goa preflight bleu rule --price-per-hour 2.5  # what rewards will cost",
        "goa preflight --json",
    )
)
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


@commands.command(
    epilog=examples(
        "goa rescore bleu",
        "goa rescore chrf --settings '{kind: chrf, word_order: 2}'",
    )
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
