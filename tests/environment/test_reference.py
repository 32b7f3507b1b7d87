"""The reference page is the models' own words."""

from __future__ import annotations

from pathlib import Path

from cortops.environment.cortensord import CortensordNode
from cortops.environment.explain import known_keys
from cortops.environment.model import NODE_ROLES, Contracts, Host, Network, Session
from cortops.environment.networks import known_networks
from cortops.environment.reference import page
from cortops.environment.release import Artifact
from cortops.environment.traffic import Gateway, Pool, Route

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "environment-file.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run: python -m cortops.environment.reference > docs/reference/environment-file.md"


def test_every_key_is_on_the_page_with_its_meaning() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    for model in (*NODE_ROLES.values(), CortensordNode, Host, Artifact, Contracts, Gateway, Network, Pool, Route, Session):
        assert [key for key in known_keys(model) if not any(row.startswith(f"| `{key}` |") for row in rows)] == []
    assert [row for row in rows if row.endswith("|  |")] == []
    assert [name for name in known_networks() if not any(row.startswith(f"| `{name}` |") for row in rows)] == []
