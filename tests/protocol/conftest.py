"""Where a store may be made: every suite that takes `place` is passed on SQLite and on PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cortops.testing.postgresql import Postgresql


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store may be made, that no other test uses."""
    if request.param == "sqlite":
        return str(tmp_path / "deep" / "one.db")
    server: Postgresql = request.getfixturevalue("postgresql")
    return server.create(tmp_path.name.lower().replace("-", "_"))
