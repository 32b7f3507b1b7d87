"""`cortops schema`: the environment file's JSON Schema, for editors."""

from __future__ import annotations

from cortops.cli.common import Common
from cortops.cli.output import show_json
from cortops.environment.schema import schema as of_file


def schema(*, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """Print the JSON Schema of the environment file."""
    show_json(of_file())
    return 0
