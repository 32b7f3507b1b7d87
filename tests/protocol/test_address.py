"""Addresses of databases: what is refused before libpq cites it, and what people see."""

from __future__ import annotations

import pytest

from cortops.protocol.address import misfit, shown, without_secrets

GOOD = [
    ("postgresql://u:p@h/d", "postgresql://u@h/d"),
    ("postgresql://u:p%40s%2Fs@h:5432/d?sslmode=require", "postgresql://u@h:5432/d"),
    ("postgresql://u:p@h1:1,h2:2/d?target_session_attrs=read-write", "postgresql://u@h1:1,h2:2/d"),
    ("postgresql://u@[::1]:5432/d", "postgresql://u@[::1]:5432/d"),
    ("postgresql:///d?host=/run/postgresql", "postgresql:///d"),
]
BAD = [
    "postgresql://u:hunter2@two@h/d",
    "postgresql://u:hunter2/x@h/d",
    "postgresql://u:hunter2%zz@h/d",
    "postgresql://u:hunter2#@h/d",
    "postgresql://u:hunter2@h",
    "postgresql://u@h/d?password=hunter2",
    "postgresql://u@h/d?sslmode=require&sslpassword=hunter2",
    "postgres://u:hunter2@h/d",
    "postgresql://u:hunter2@h/d\n",
    "postgresql://u:hunter2@h/" + "d" * 5000,
    "",
]


@pytest.mark.parametrize(("address", "people_see"), GOOD)
def test_good_ones(address: str, people_see: str) -> None:
    assert misfit(address) == "" and shown(address) == people_see


@pytest.mark.parametrize("address", BAD)
def test_bad_ones_are_not_cited(address: str) -> None:
    assert misfit(address) and "hunter2" not in misfit(address) and "hunter2" not in shown(address)


def test_what_the_library_says_is_cleaned() -> None:
    address = "postgresql://u:hunter%202@h/d"
    assert without_secrets(f"{address}: hunter 2 or hunter%202", address) == "***: *** or ***"
    assert without_secrets("nothing", "postgresql://u@h/d") == "nothing"
