"""The command ``goa``."""

from typing import Any

import typer
from typer.core import TyperGroup

from goa.errors import GoaError, printable
from pipelines.commands import (
    doctor,
    evaluators,
    examples,
    pipeline,
    policies,
    registry,
    services,
)
from pipelines.stopping import Stopped


class Commands(TyperGroup):
    """Ends with one message and exit code 2 where a command raises what goa raises on purpose.

    Errors of the operating system are as much: a file that cannot be had is no fault of the code.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except GoaError as error:
            typer.echo(f"error: {printable(str(error))}", err=True)
            raise typer.Exit(2) from None
        except BrokenPipeError:
            raise  # whoever reads has had enough
        except OSError as error:
            # A name that is too long, a folder without permission, a full disk.
            where, what = error.filename or "output", error.strerror or str(error)
            typer.echo(f"error: {printable(f'{where}: {what}')}", err=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            typer.echo(f"interrupted{_advice(ctx)}", err=True)
            raise typer.Exit(130) from None
        except Stopped as stopped:
            typer.echo(f"stopped{_advice(ctx)}", err=True)
            raise typer.Exit(stopped.exit_code) from None


def _advice(ctx: Any) -> str:
    """Say what to do about a command that was stopped, where it would go on."""
    return "; run it again to go on from here" if ctx.invoked_subcommand == "run" else ""


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Train text generators on the quality of their whole output, as a tracked pipeline.",
    epilog=examples(
        "goa check  # is params.yaml right?",
        "goa run  # bring every stage up to date, and compare",
        "goa run finetune@bleu-17  # one policy, with all it needs",
        "goa report --open  # who gained what, and how sure that is",
        "goa promote  # into use, if it is significantly better",
        "goa run --help  # more of one command",
    ),
)
for about in (pipeline, evaluators, policies, registry, services, doctor):
    app.add_typer(about.commands)


if __name__ == "__main__":
    app()
