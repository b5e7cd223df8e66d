"""The registry: versions of a model, and the alias that says which one is the champion.

Whoever changes aliases does so in a turn (:mod:`goa.tracking.turn`). Other people's programs do not
know of turns; an alias that was moved by hand is taken as it is found.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from goa.errors import TrackingError
from goa.tracking.models import ARTIFACT, find_model
from goa.tracking.publisher import COMPLETE, STAGE_KEY, legal_name
from goa.tracking.store import Store, connect, environment, tracking_errors
from goa.tracking.turn import take_turn

CHAMPION, CHALLENGER = "champion", "challenger"
CHAMPIONS = "goa.champions"
"""Tag of the model: numbers of the versions that were champion, the latest last, as JSON."""
MAX_CHAMPIONS = 500
"""Numbers that the tag has room for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of the model."""

    number: int
    """Counted from 1."""
    model_id: str
    """The logged model that it is; empty where it was registered from elsewhere."""
    tags: Mapping[str, str]
    """What was said of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A stage's result in the store, with the model it made."""

    run_id: str
    model_id: str
    tags: Mapping[str, str]
    """Of the run."""


class Registry:
    """The versions of one model in one store.

    Raises:
        TrackingError: from every method, where the store cannot be used.
    """

    def __init__(self, store: Store, model: str) -> None:
        self.model = model
        self._store = store
        self._connection = connect(store)
        self._client = self._connection.client

    def published(self, stage_key: str) -> Published | None:
        """Find the completely recorded result with this key; None if it is not in the store.

        Raises:
            TrackingError: it is there, but made no model.
        """
        run = self._run(stage_key)
        if run is None:
            return None
        with self._errors():
            model = find_model(self._connection, run.info.run_id)
        if model is None:
            raise TrackingError(
                f"{self._store.shown}: run {run.info.run_id} has no model to register"
            )
        return Published(run_id=run.info.run_id, model_id=model.model_id, tags=run.data.tags)

    def artifact_uri(self, stage_key: str, path: str) -> str | None:
        """Say where a file lies that was kept with a result; None if it was not recorded."""
        run = self._run(stage_key)
        return f"{run.info.artifact_uri}/{path}" if run else None

    def versions(self) -> list[Version]:
        """List the versions there are, in the order of their numbers."""
        with self._errors():
            found = self._client.search_model_versions(f"name = '{self.model}'", max_results=1000)
            versions = [_version(each) for each in found]
            while found.token:
                found = self._client.search_model_versions(
                    f"name = '{self.model}'", max_results=1000, page_token=found.token
                )
                versions += [_version(each) for each in found]
        return sorted(versions, key=lambda version: version.number)

    def champion(self) -> Version | None:
        """Give the version that is in use; None if there is none."""
        model = self._find()
        number = None if model is None else model.aliases.get(CHAMPION)
        return next((each for each in self.versions() if each.number == _int(number)), None)

    def register(self, published: Published, tags: Mapping[str, str], description: str) -> Version:
        """Make a new version of a model that was logged."""
        # An SQL store looks the model up in the global tracking store.
        with self._errors(), environment({"MLFLOW_TRACKING_URI": self._store.uri}):
            made = self._client.create_model_version(
                self.model,
                f"models:/{published.model_id}",
                run_id=published.run_id,
                tags={legal_name(name): value for name, value in tags.items()},
                description=description,
                model_id=published.model_id,
            )
        return _version(made)

    def describe(self, number: int, tags: Mapping[str, str], description: str) -> None:
        """Say something else of a version that is there."""
        self.tag(number, tags)
        with self._errors():
            self._client.update_model_version(self.model, str(number), description)

    def tag(self, number: int, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        with self._errors():
            for name, value in tags.items():
                self._client.set_model_version_tag(self.model, str(number), legal_name(name), value)

    def crown(self, number: int) -> None:
        """Make a version the champion; only within a turn."""
        model = self._made()
        former = _int(model.aliases.get(CHAMPION))
        champions = _champions(model)
        if former is not None and champions[-1:] != [former]:
            champions.append(former)  # by hand, as it seems
        self._set_champion(number, [*champions, number], model)

    def challenge(self, number: int) -> None:
        """Make a version the challenger; only within a turn."""
        with self._errors():
            self._client.set_registered_model_alias(self.model, CHALLENGER, str(number))

    def roll_back(self) -> tuple[int, int]:
        """Make the champion whichever version was it before; only within a turn.

        Versions that were deleted since are passed over. Gives the former champion and the new one.

        Raises:
            TrackingError: there is no champion, or none was before.
        """
        model = self._find()
        present = None if model is None else _int(model.aliases.get(CHAMPION))
        if present is None:
            raise TrackingError(
                f"{self._store.shown}: the model {self.model!r} has no champion to go back from"
            )
        champions = _champions(model)
        if present in champions:
            last = len(champions) - 1 - champions[::-1].index(present)
            champions = champions[:last]
        there = {version.number for version in self.versions()} - {present}
        while champions and champions[-1] not in there:
            champions.pop()
        if not champions:
            raise TrackingError(
                f"{self._store.shown}: no version of {self.model!r} was champion before "
                f"version {present}"
            )
        self._set_champion(champions[-1], champions, model)
        return present, champions[-1]

    def download(self, version: Version, folder: Path) -> Path:
        """Give the folder of a version's policy, copied into ``folder`` where it is not local."""
        from mlflow.artifacts import download_artifacts  # noqa: PLC0415
        from mlflow.models import Model  # noqa: PLC0415
        from mlflow.pyfunc import FLAVOR_NAME  # noqa: PLC0415

        with self._errors():
            location = self._client.get_logged_model(version.model_id).artifact_location
            target = None if urlsplit(location).scheme in ("", "file") else str(folder)

            def fetch(path: str) -> str:
                return str(
                    download_artifacts(
                        f"{location}/{path}",
                        dst_path=target,
                        tracking_uri=self._store.uri,
                        registry_uri=self._store.uri,
                    )
                )

            flavors = Model.load(fetch("MLmodel")).flavors
            return Path(fetch(flavors[FLAVOR_NAME]["artifacts"][ARTIFACT]["path"]))

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Be the only one who changes the model's aliases; the model is made if it is missing.

        Raises:
            TrackingError: it is never our turn, or the store cannot be used.
        """
        self._make()
        with take_turn(self._store, self._client, self.model):
            yield

    def _run(self, stage_key: str) -> Any:
        with self._errors():
            found = self._client.search_runs(
                [self._connection.experiment_id],
                f"tags.`{STAGE_KEY}` = '{stage_key}' and tags.`{COMPLETE}` = 'true'",
                max_results=1,
            )
        return found[0] if found else None

    def _set_champion(self, number: int, champions: list[int], model: Any) -> None:
        with self._errors():
            # First the history: a program that dies in between leaves one that still leads back.
            self._client.set_registered_model_tag(
                self.model, CHAMPIONS, json.dumps(champions[-MAX_CHAMPIONS:])
            )
            self._client.set_registered_model_alias(self.model, CHAMPION, str(number))
            if _int(model.aliases.get(CHALLENGER)) == number:
                self._client.delete_registered_model_alias(self.model, CHALLENGER)

    def _find(self) -> Any:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        with self._errors():
            try:
                return self._client.get_registered_model(self.model)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                return None

    def _made(self) -> Any:
        model = self._find()
        if model is None:
            raise TrackingError(f"{self._store.shown}: the model {self.model!r} was deleted")
        return model

    def _make(self) -> None:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        if self._find() is not None:
            return
        with self._errors():
            try:
                self._client.create_registered_model(self.model)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise  # as it is, if somebody was quicker

    def _errors(self) -> Any:
        return tracking_errors(self._store, "try again")


def _version(found: Any) -> Version:
    # MLflow's SQL stores leave model_id empty.
    source = found.source or ""
    return Version(
        number=int(found.version),
        model_id=source.removeprefix("models:/") if source.startswith("models:/m-") else "",
        tags=dict(found.tags),
    )


def _champions(model: Any) -> list[int]:
    return [int(number) for number in json.loads(model.tags.get(CHAMPIONS, "[]"))]


def _int(number: Any) -> int | None:
    return None if number is None else int(number)
