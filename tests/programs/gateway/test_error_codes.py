"""Each code that a client can read stands on the page of error codes with the statuses it has, and nothing else does."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CODE = re.compile(r"[a-z]+(_[a-z]+)*")
ROW = re.compile(r"^\| (`[a-z_`, ]+`) \| (?:([\d, ]+) \| )?(.+)\|$", re.MULTILINE)
OURS = ("programs/gateway", "protocol")
AGAIN = ("yes", "once", "no")
Codes = dict[str, set[int]]


def _said(node: ast.Call) -> Iterator[tuple[str, set[int]]]:
    """(code, statuses) of a call that makes an error: `code=`, a status followed by a code, or a code for `_refused`."""
    named = {keyword.arg: keyword.value for keyword in node.keywords}
    statuses = {
        value.value
        for value in (*node.args, *named.values())
        if isinstance(value, ast.Constant) and isinstance(value.value, int) and 400 <= value.value < 600
    }
    given = named.get("code") or (node.args[1] if len(node.args) > 1 and isinstance(node.args[0], ast.Constant) and statuses else None)
    if isinstance(node.func, ast.Name) and node.func.id == "_refused":
        given = node.args[0]
    for value in ast.walk(given) if given is not None else ():
        if isinstance(value, ast.Constant) and isinstance(value.value, str) and CODE.fullmatch(value.value):
            yield value.value, statuses


def said_by(*folders: str) -> Codes:
    found: Codes = defaultdict(set)
    for folder in folders:
        for path in (ROOT / "src" / "cortops" / folder).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    for code, statuses in _said(node):
                        found[code] |= statuses
    return found


def section(title: str) -> Codes:
    page = (ROOT / "docs" / "reference" / "errors-api.md").read_text()
    text = page.partition(f"## {title}\n")[2].partition("\n## ")[0]
    return {
        code: {int(status) for status in statuses.split(", ") if status}
        for names, statuses, _ in ROW.findall(text)
        for code in re.findall(r"`(\w+)`", names)
    }


def test_every_code_of_the_gateway_is_on_the_page() -> None:
    said, told = said_by(*OURS), section("What the gateway says")
    assert set(said) == set(told)
    assert {code: statuses - told[code] for code, statuses in said.items() if statuses - told[code]} == {}


def test_every_code_of_a_router_is_on_the_page() -> None:
    """What the gateway says too may stand there or not."""
    said = set(said_by("programs/router"))
    reasons = {"chain_error", "http_error", "session_not_found", "router_not_attached", "no_free_miners"}  # of tables and choices
    told = set(section("What members say")) | set(section("What a router says on its own routes"))
    assert (said | reasons) - set(said_by(*OURS)) == told - set(said_by(*OURS))


def test_each_row_says_what_to_do_and_whether_to_come_again() -> None:
    page = (ROOT / "docs" / "reference" / "errors-api.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if re.match(r"\| `\w+`.* \| \d{3}", line)]
    assert len(rows) > 30
    assert [row[0] for row in rows if len(row) != 5 or row[4] not in AGAIN or not (row[2].endswith(".") and row[3].endswith("."))] == []


def test_the_walk_sees_a_code() -> None:
    tree = ast.parse(
        'bad(413, "too_large", "x"); ApiError(status=503, code="a_b", message="c_d"); _busy(f(1), "no"); _refused("used_up", m, None)'
    )
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert [pair for node in calls for pair in _said(node)] == [("too_large", {413}), ("a_b", {503}), ("used_up", set())]
