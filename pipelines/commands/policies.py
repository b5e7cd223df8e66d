"""Commands about policies: what they write."""
# ruff: noqa: PLC0415

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands import PARAMS, examples

commands = typer.Typer()


@commands.command(
    epilog=examples(
        "goa generate -p bleu-17 < sources.txt > texts.txt",
        "goa generate -p mle -s sample --seed 3 -i in.txt -o out.txt",
        "goa generate -p mle -s '{kind: mbr, evaluator: chrf}' < in.txt",
        "goa generate -p bleu-17 -i in.jsonl -o out.jsonl --json --all",
    )
)
def generate(
    policy: Annotated[
        str, typer.Option("--policy", "-p", help="A folder, or the name of one in out/policies.")
    ],
    strategy: Annotated[
        str | None,
        typer.Option(
            "--strategy",
            "-s",
            help="A name in params.yaml, a kind, or settings: {kind: ...}. Default: a beam of 4.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the draws. Default: as in params.yaml, or 0.")
    ] = None,
    sources: Annotated[
        Path | None,
        typer.Option("--input", "-i", help="Text, a line each, or JSON lines (.jsonl)."),
    ] = None,
    texts: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: standard output.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write JSON lines, and read them from standard input.")
    ] = False,
    all_candidates: Annotated[
        bool, typer.Option("--all", help="With --json: all candidates, with log-probabilities.")
    ] = False,
    sources_per_batch: Annotated[int, typer.Option(min=1, help="Written at a time.")] = 32,
    params: Annotated[Path, typer.Option(help="The file of parameters.")] = PARAMS,
) -> None:
    """Write a text for each source: a line in, a line out, in the same order.

    A JSON line has its source under "source"; all that it has is passed on, with "candidate" beside
    it. Where no file is named, standard input is read and standard output written to.
    """
    from pipelines.write_lines import Lines, write_lines
    from pipelines.writer import open_writer

    lines = Lines(
        stdin=typer.get_binary_stream("stdin"),
        stdout=typer.get_binary_stream("stdout"),
        sources=sources,
        texts=texts,
        json_lines=as_json,
        all_candidates=all_candidates,
        sources_per_batch=sources_per_batch,
    )
    num_broken = write_lines(open_writer(policy, strategy, seed, params), lines)
    if num_broken:
        typer.echo(
            f"{num_broken:,} texts have line breaks, spelt out as \\n; --json keeps them", err=True
        )
