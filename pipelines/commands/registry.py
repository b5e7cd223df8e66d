"""Commands about the model registry: which version of a policy is in use."""
# ruff: noqa: PLC0415

from typing import Annotated

import typer

from pipelines.commands import examples

commands = typer.Typer()


@commands.command(
    epilog=examples(
        "goa run && goa promote",
        "goa promote --policy bleu-17 --json",
    )
)
def promote(
    policy: Annotated[
        str | None,
        typer.Option(help="A name in params.yaml, or mle. Default: the comparison's best."),
    ] = None,
    new_test_set: Annotated[
        bool,
        typer.Option("--new-test-set", help="Decide although the champion's test set was another."),
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Promote a version although it was rolled back.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Register a policy, and make it the champion if it beats the present one.

    Both write the test split and are scored afresh; the section promotion of params.yaml says by
    what. Exit code 0: it is the champion; 1: it is not; 3: the champion's test set was another.
    """
    from pipelines.promote import Consent
    from pipelines.promote import promote as put_forward
    from pipelines.promotion import EXIT_CODES, as_text

    consent = Consent(new_test_set=new_test_set, again=again)
    found = put_forward(policy, consent, lambda line: typer.echo(line, err=True))
    if as_json:
        typer.echo(as_text(found))
    else:
        typer.echo(f"{found.model}, version {found.version} ({found.policy}): {found.outcome}")
        typer.echo(found.reason)
    raise typer.Exit(EXIT_CODES[found.outcome])


@commands.command(
    epilog=examples(
        "goa rollback",
        "goa rollback --json",
    )
)
def rollback(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Make the champion whichever version was it before; again goes further back."""
    import json

    from pipelines.rollback import roll_back

    model, former, number = roll_back()
    if as_json:
        typer.echo(json.dumps({"model": model, "former": former, "champion": number}, indent=2))
    else:
        typer.echo(f"{model}: version {number} is the champion again, no longer version {former}")
