"""What the tests of the verbs share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A short one: the socket of a service manager lies below it, and the path of a socket has a limit."""
    with tempfile.TemporaryDirectory(prefix="ct-") as folder:
        yield Path(folder).resolve()
