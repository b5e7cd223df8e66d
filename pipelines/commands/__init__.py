"""The commands of ``goa``, by what they are about.

What a command needs is imported inside it: ``goa --help`` and a mistyped option should not wait
for DVC, pydantic or MLflow.
"""

from pathlib import Path

ROOT = Path()
"""The project's folder: where the command was called."""
PARAMS = Path("params.yaml")
