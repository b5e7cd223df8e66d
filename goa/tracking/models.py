"""Logging a policy as an MLflow model that anybody can load and serve."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from goa.tracking.records import ServedModel
from goa.tracking.store import Connection

ARTIFACT = "policy"
"""What the model's code asks for the policy folder by."""


def log_model(
    connection: Connection, run: Any, model: ServedModel, tags: Mapping[str, str]
) -> None:
    """Log a model as the output of a run, once, whatever an earlier attempt left behind.

    This is what ``mlflow.pyfunc.log_model`` does, without its global active run and tracking URI.
    """
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus  # noqa: PLC0415

    client = connection.client
    logged = find_model(connection, run.info.run_id) or client.create_logged_model(
        connection.experiment_id,
        name=model.policy.name,
        source_run_id=run.info.run_id,
        tags=dict(tags),
        model_type=ARTIFACT,
    )
    if logged.status != LoggedModelStatus.READY:
        _upload(client, logged, model)
        client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    outputs = run.outputs.model_outputs if run.outputs else []
    if logged.model_id not in {output.model_id for output in outputs}:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(logged.model_id, step=0)])


def find_model(connection: Connection, run_id: str) -> Any:
    """Give the logged model that a run made; None if it made none."""
    found = connection.client.search_logged_models(
        [connection.experiment_id], f"source_run_id = '{run_id}'", max_results=1
    )
    return found[0] if found else None


def _upload(client: Any, logged: Any, model: ServedModel) -> None:
    """Upload everything around an empty policy folder, then the policy from where it lies.

    MLflow would copy the weights twice on this disk before it uploads them.
    """
    from mlflow.models import Model  # noqa: PLC0415
    from mlflow.models.model import MLMODEL_FILE_NAME  # noqa: PLC0415
    from mlflow.pyfunc import FLAVOR_NAME, save_model  # noqa: PLC0415

    described = Model(
        artifact_path=logged.artifact_location,
        run_id=logged.source_run_id,
        model_uuid=logged.model_id,
        model_id=logged.model_id,
    )
    with TemporaryDirectory() as temporary:
        folder, empty = Path(temporary, "model"), Path(temporary, ARTIFACT)
        empty.mkdir()
        save_model(
            folder,
            python_model=str(model.code),
            code_paths=[str(package) for package in model.packages] or None,
            artifacts={ARTIFACT: str(empty)},
            signature=model.signature,
            input_example=model.input_example,
            pip_requirements=list(model.requirements),
            mlflow_model=described,
        )
        described.model_size_bytes += sum(path.stat().st_size for path in model.policy.iterdir())
        described.save(str(folder / MLMODEL_FILE_NAME))
        client.log_model_artifacts(logged.model_id, str(folder))
    place = described.flavors[FLAVOR_NAME]["artifacts"][ARTIFACT]["path"]
    client.log_model_artifacts(logged.model_id, str(model.policy), place)
