"""The command ``goa``."""

from typing import Any

import typer
from typer.core import TyperGroup

from goa.errors import GoaError
from pipelines.commands import doctor, evaluators, pipeline, policies, registry, services
from pipelines.stopping import Stopped


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
        except Stopped as stopped:
            typer.echo("stopped; run it again to go on from here", err=True)
            raise typer.Exit(stopped.exit_code) from None
        except BrokenPipeError:
            raise  # whoever read us has gone; click knows what to do
        except OSError as error:
            # A full disk, a folder without permission: the machine's matter, not a fault of goa's.
            typer.echo(f"error: {error.filename or 'output'}: {error.strerror or error}", err=True)
            raise typer.Exit(2) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Train text generators on the quality of their whole output, as a tracked pipeline.",
    epilog="Example: [bold]goa run[/bold] brings every stage of dvc.yaml up to date and compares.",
)
for about in (pipeline, evaluators, policies, registry, services, doctor):
    app.add_typer(about.commands)


if __name__ == "__main__":
    app()
