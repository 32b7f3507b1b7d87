"""docs/coverage.md tells the truth: it names all of the domain, and every command of a row that works prints what the row says.

The commands run against the session fixture `local_environment` (tests/conftest.py or a conftest beside it): `.environ` holds what they
need: PATH with cortops, CORTOPS_DATA, and GATEWAY, CA, KEY, RPC, TASK as the page names them.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "coverage.md"
TIMEOUT_S = 120
STATE = re.compile(r"works|not yet \(issue \d+\)|(?:on test hosts|in an environment of its own) \((tests/\w+/test_\w+\.py)\)")
SECTIONS = {
    "Operational surfaces": "fleet services router-pools reverse-proxy L2/L3-chain monitoring incident-response",
    "Checklist": "active-domains-and-endpoints network-matrix secret-management-rules owner-of-each-service "
    "last-tested-deployment-and-rollback",
    "Boxes": "client DNS nginx gateway pool router session chain contracts queue miner engine oracle validator dashboard-and-console",
    "Arrows": "client-to-nginx nginx-to-gateway gateway-to-router router-to-chain oracle-to-chain miner-to-chain "
    "miner-to-engine miner-to-router",
    "Incidents and their first checks": "router-unavailable gateway-errors miner-not-receiving-tasks validation-failing "
    "private-payload-failure dashboard-mismatch",
    "Handoff record": "environment public-endpoints binary-version route-families contract-matrix support-path",
}
FIRST_CHECKS = {
    "router unavailable": ["process status", "bind port", "proxy health", "/status", "upstream session ids"],
    "gateway errors": ["key verification", "model mapping", "pool URL", "usage writes"],
    "miner not receiving tasks": ["registration", "session membership", "queue state", "model capacity", "logs"],
    "validation failing": ["validator session ids", "verdict policy", "raw replica payloads", "queue lifecycle"],
    "private payload failure": ["seed", "allowlist", "storage credentials", "URN reachability"],
    "dashboard mismatch": ["selected network", "contract addresses", "wallet permissions", "RPC status"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    section: str
    what: str
    command: str
    file: str
    prints: str
    state: str


def _rows() -> list[Row]:
    rows, section = [], ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif section and line.startswith("|") and not line.startswith(("| What |", "|---")):
            what, command, file, prints, state = (cell.strip() for cell in line.strip("|").split("|"))
            plain = [cell.strip("`") for cell in (command, file, prints)]
            rows.append(Row(section=section, what=what, command=plain[0], file=plain[1], prints=plain[2], state=state))
    return rows


ROWS = _rows()
WORKING = [row for row in ROWS if row.state == "works"]


def test_the_page_names_all_of_the_domain() -> None:
    for section, names in SECTIONS.items():
        found = {row.what.partition(":")[0].replace(" ", "-") for row in ROWS if row.section == section}
        assert set(names.split()) - found == set(), section
    checks = [row.what.partition(": ") for row in ROWS if row.section == "Incidents and their first checks"]
    assert {kind: [check for of, _, check in checks if of == kind] for kind in FIRST_CHECKS} == FIRST_CHECKS
    assert len({(row.section, row.what) for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.section}: {row.what}")
def test_a_row_is_whole(row: Row) -> None:
    state = STATE.fullmatch(row.state)
    assert state, row.state
    if not row.state.startswith("not yet"):
        assert row.command and row.prints
        assert all((PAGE.parents[1] / file).is_file() for file in (row.file, state[1] or row.file)), row
    else:
        assert not row.command and not row.file and not row.prints, "what is not yet there has no command"


def pattern(prints: str) -> re.Pattern[str]:
    """`…` is any text within a line, a run of blanks any blanks."""
    parts = [r"[ \t]+".join(re.escape(word) for word in re.split(r"\s+", part)) for part in prints.split("…")]
    return re.compile("[^\n]*".join(parts))


def test_the_pattern_is_strict_but_for_the_dots() -> None:
    assert pattern("ok  pool/x  1 of 1 …").search("● ok     pool/x   1 of 1 members well")
    assert not pattern("ok  pool/x").search("down  pool/x")
    assert not pattern("a … b").search("a\nb")


@pytest.fixture(scope="module")
def output(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Command -> its output and, after it, its progress; a command of many rows runs once."""
    environ: Mapping[str, str] = {**os.environ, **request.getfixturevalue("local_environment").environ}

    @cache
    def run(command: str) -> str:
        done: Any = subprocess.run(
            ["bash", "-c", command], cwd=PAGE.parents[1], env=environ, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        assert done.returncode == 0, f"{command}\nexit {done.returncode}\n{done.stdout}{done.stderr}"
        return str(done.stdout + done.stderr)

    return run


@pytest.mark.real
@pytest.mark.usefixtures("local_environment")
@pytest.mark.parametrize("row", WORKING, ids=lambda row: f"{row.section}: {row.what}")
def test_the_command_prints_what_the_page_says(row: Row, output: Callable[[str], str]) -> None:
    printed = output(row.command)
    assert pattern(row.prints).search(printed), f"{row.command}\nshould print {row.prints!r}, and printed\n{printed[:4000]}"
