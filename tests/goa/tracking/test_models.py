"""Tests of logging models."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pytest

from goa.tracking.models import log_model
from goa.tracking.records import ServedModel
from goa.tracking.store import Connection, Store, connect

CODE = """
from pathlib import Path
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

class Echo(PythonModel):
    def predict(self, context, model_input: pd.DataFrame, params=None):
        return [Path(context.artifacts["policy"], "weights").read_text()]

set_model(Echo())
"""


@pytest.fixture
def connection(store: Store) -> Connection:
    return connect(store)


@pytest.fixture
def model(tmp_path: Path) -> ServedModel:
    """Give a model that answers with its weights."""
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "weights").write_text("w" * 100_000)
    (tmp_path / "served.py").write_text(CODE)
    return ServedModel(
        policy=tmp_path / "policy",
        code=tmp_path / "served.py",
        signature=mlflow.models.infer_signature(["a"], ["b"]),
        input_example=["a source"],
        requirements=("mlflow==3.17.2",),
    )


def test_a_logged_model_is_the_runs_output_and_loads(
    connection: Connection, model: ServedModel
) -> None:
    run = connection.client.create_run(connection.experiment_id)

    log_model(connection, run, model, {"goa.stage_key": "key-1"})

    logged = _only_model(connection, run)
    assert logged.tags["goa.stage_key"] == "key-1"
    outputs = connection.client.get_run(run.info.run_id).outputs.model_outputs
    assert [output.model_id for output in outputs] == [logged.model_id]
    loaded = mlflow.pyfunc.load_model(logged.artifact_location)
    assert loaded.predict(["a"]) == ["w" * 100_000]
    assert loaded.metadata.model_size_bytes > 100_000


def test_a_package_that_the_code_imports_goes_with_the_model(
    connection: Connection, model: ServedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "carried_along"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("SAID = 'said'")
    model.code.write_text("import carried_along.inner\n" + CODE)
    monkeypatch.syspath_prepend(tmp_path)
    run = connection.client.create_run(connection.experiment_id)

    log_model(connection, run, replace(model, packages=(package,)), {})

    location = _only_model(connection, run).artifact_location
    kept = mlflow.artifacts.download_artifacts(f"{location}/code/carried_along/inner.py")
    assert Path(kept).read_text() == "SAID = 'said'"


def test_logging_again_adds_nothing(connection: Connection, model: ServedModel) -> None:
    run = connection.client.create_run(connection.experiment_id)
    for _ in range(2):
        log_model(connection, connection.client.get_run(run.info.run_id), model, {})

    _only_model(connection, run)
    assert len(connection.client.get_run(run.info.run_id).outputs.model_outputs) == 1


@pytest.mark.parametrize("step", ["log_model_artifacts", "finalize_logged_model", "log_outputs"])
def test_what_a_killed_attempt_left_is_completed(
    connection: Connection, model: ServedModel, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    run = connection.client.create_run(connection.experiment_id)
    with monkeypatch.context() as patch:
        patch.setattr(connection.client, step, _die)
        with pytest.raises(KeyboardInterrupt):
            log_model(connection, run, model, {})

    log_model(connection, connection.client.get_run(run.info.run_id), model, {})

    location = _only_model(connection, run).artifact_location
    assert mlflow.pyfunc.load_model(location).predict(["a"]) == ["w" * 100_000]
    assert len(connection.client.get_run(run.info.run_id).outputs.model_outputs) == 1


def _only_model(connection: Connection, run: Any) -> Any:
    found = connection.client.search_logged_models(
        [connection.experiment_id], f"source_run_id = '{run.info.run_id}'"
    )
    assert [str(model.status) for model in found] == ["READY"]
    return found[0]


def _die(*_: object) -> None:
    raise KeyboardInterrupt
