"""How to get every number of a report again."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Settings, versions and inputs that a comparison follows from."""

    settings: str
    """The parameters that stages read, as YAML."""
    seeds: Mapping[str, str]
    """What is drawn -> by which seeds."""
    versions: Mapping[str, str]
    """Package -> version that compared; python among them."""
    digests: Mapping[str, str]
    """File or folder that was read -> digest of its content."""
    commands: Mapping[str, str]
    """What for -> command line, run in the project's folder."""
