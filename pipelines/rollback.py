"""``goa rollback``: the champion is again whichever version was it before."""

import re
from pathlib import Path

from goa.report.settings import PromotionSettings
from goa.settings import read_yaml, validate
from goa.tracking.registry import Registry
from pipelines.promotion import now, who
from pipelines.publish import project_store
from pipelines.stage import PARAMS

ROLLED_BACK = "goa.rolled_back"
"""Tag of a version: when, by whom, and to which version; empty once it is promoted again."""


def roll_back() -> tuple[str, int, int]:
    """Go back by one version; gives the model, the former champion and the new one.

    Raises:
        TrackingError: no version was champion before, or the store cannot be used.
        SettingsError: params.yaml cannot be used.
    """
    settings = validate(PromotionSettings, read_yaml(PARAMS).get("promotion", {}), f"{PARAMS}")
    registry = open_registry(settings)
    with registry.turn():
        former, number = registry.roll_back()
        registry.tag(former, {ROLLED_BACK: f"{now()} by {who()}, to version {number}"})
        registry.tag(number, {"goa.returned": f"{now()} by {who()}, from version {former}"})
    return registry.model, former, number


def open_registry(settings: PromotionSettings) -> Registry:
    """Open the registry of a project's model.

    Raises:
        TrackingError: the store cannot be used.
    """
    store = project_store(Path())
    # An experiment may have a name that MLflow does not take for a model.
    return Registry(store, settings.model or re.sub(r"[^A-Za-z0-9_. -]", "-", store.experiment))
