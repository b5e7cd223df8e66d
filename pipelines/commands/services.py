"""Commands about the services that scheduled runs need."""
# ruff: noqa: PLC0415

from typing import Annotated

import typer

from pipelines.commands import ROOT, examples

commands = typer.Typer()


@commands.command(
    epilog=examples(
        "goa serve",
        "goa serve --prefect-port 4201 --mlflow-port 5001",
    )
)
def serve(
    prefect_port: Annotated[int, typer.Option(min=1, max=65535, help="Prefect's.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="MLflow's.")] = 5000,
) -> None:
    """Start what one machine needs for scheduled runs: Prefect, a worker, MLflow, on loopback.

    Brings the deployments of prefect.yaml to the server. Ctrl-C ends everything.
    """
    from pipelines.project import prepare_project
    from pipelines.serve import Ports
    from pipelines.serve import serve as serve_all

    prepare_project(ROOT)
    serve_all(ROOT, Ports(prefect=prefect_port, mlflow=mlflow_port), typer.echo)


@commands.command(
    epilog=examples(
        "PREFECT_API_URL=http://prefect:4200/api goa deploy",
        "PREFECT_API_URL=http://prefect:4200/api goa deploy --gpus 8",
    )
)
def deploy(
    gpus: Annotated[
        int | None,
        typer.Option(min=1, help="Slots of the limits that are made. Default: the GPUs here."),
    ] = None,
) -> None:
    """Bring the deployments of prefect.yaml to the Prefect server that PREFECT_API_URL names.

    Makes the work pools (for processes) and limits they name, where they are missing.
    """
    from pipelines.deploy import deploy as bring

    deployed = bring(ROOT, gpus)
    typer.echo(f"deployed to {deployed.api}: {', '.join(deployed.names)}")
    for pool in deployed.made:
        typer.echo(f"made the work pool {pool}, for processes")
    for pool in deployed.pools:
        typer.echo(f"a worker, with MLFLOW_TRACKING_URI set: prefect worker start --pool {pool}")
