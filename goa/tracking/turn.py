"""Taking turns with one model of the registry: MLflow has neither locks nor transactions.

Everyone first sets a tag of their own on the model, then reads all tags. Who sees another's takes
the own one back, waits, and tries again with a new one. Two cannot both see nobody else's: whoever
set theirs later, reads later than the other set theirs. It needs only that a tag which was set is
read by whoever asks later, so it holds over machines, and over any store that MLflow has.
"""

import random
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from goa.errors import TrackingError
from goa.tracking.store import Store, tracking_errors

TURN = "goa.turn."
"""Start of the tags."""
STUCK_SECONDS = 60.0
"""A turn takes a second or so; a tag that is seen for so long has lost its program."""
PATIENCE_SECONDS = 300.0
"""How long to wait."""


@contextmanager
def take_turn(store: Store, client: Any, model: str) -> Iterator[None]:
    """Wait until nobody else of those who take turns works on a model, and keep them waiting.

    Args:
        store: where the model is registered.
        client: an ``mlflow.MlflowClient`` of it.
        model: name of a registered model.

    Raises:
        TrackingError: others never came to an end, or the store cannot be used.
    """
    with tracking_errors(store, "try again"):
        tag = _wait(client, model)
    try:
        yield
    finally:
        with tracking_errors(store, "try again"):
            client.delete_registered_model_tag(model, tag)


def _wait(client: Any, model: str) -> str:
    since: dict[str, float] = {}
    start = time.monotonic()
    while time.monotonic() - start < PATIENCE_SECONDS:
        tag = TURN + uuid.uuid4().hex
        client.set_registered_model_tag(model, tag, "taken")
        others = _others(client, model, tag)
        if not others:
            return tag
        for name in (tag, *_stuck(others, since)):
            client.delete_registered_model_tag(model, name)
        time.sleep(random.uniform(0.05, 0.5))  # or two would meet again and again
    raise TrackingError(
        f"other programs have kept the model {model!r} busy for {PATIENCE_SECONDS:.0f} s; try "
        f"again, or remove its tags {TURN}* if there are none"
    )


def _others(client: Any, model: str, own: str) -> set[str]:
    tags = client.get_registered_model(model).tags
    return {name for name in tags if name.startswith(TURN) and name != own}


def _stuck(tags: Iterable[str], since: dict[str, float]) -> list[str]:
    """Name the tags that have been there too long; ``since`` is when each was first seen.

    By our own clock: those of other machines may be wrong.
    """
    now = time.monotonic()
    return [tag for tag in tags if now - since.setdefault(tag, now) > STUCK_SECONDS]
