"""What a policy was made by, as it can be told to anybody."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from goa.arms import BASELINE, TrainedPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a policy was made by."""

    made_of: Mapping[str, str]
    """Parameters, as JSON, and digests of all that its stage follows from."""
    measured: Mapping[str, float]
    """What training measured at its end."""
    trained: TrainedPolicy | None = None
    """Arm and seed; None: it is the pretrained policy."""
    signature: str = ""
    """Of the evaluator of fine-tuning."""

    @property
    def name(self) -> str:
        """Name the policy."""
        return BASELINE if self.trained is None else self.trained.name

    def setting(self, name: str) -> Any:
        """Give a parameter by its dotted name; None where it is not named."""
        return json.loads(self.made_of.get(name, "null"))

    @property
    def hub_name(self) -> str | None:
        """Name the pretrained model of a hub that it was made from; None for a folder, or none."""
        name = self.setting("policy.name")
        is_hub = isinstance(name, str) and re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", name)
        return name if is_hub and not Path(name).exists() else None


def portable(value: Any) -> Any:
    """Leave out of a setting the folders of the machine, and who logs in to an address."""
    if isinstance(value, str):
        if value.startswith(("/", "~", "file:/")):
            return PurePosixPath(value).name
        return re.sub(r"(?<=://)[^/@]*@", "", value)
    if isinstance(value, list):
        return [portable(each) for each in value]
    if isinstance(value, dict):
        return {name: portable(each) for name, each in value.items()}
    return value


def portable_text(text: str) -> str:
    """Leave the same out of a text that has paths and addresses in it."""
    text = re.sub(r"(?<=://)[^/@\s]*@", "", text)
    return re.sub(r"(?<![\w./-])(?:/[^/\s\"',|]+)+/([^/\s\"',|]+)", r"\1", text)
