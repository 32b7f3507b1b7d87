"""`cortops proxy test`: what it takes, and how it is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.surfaces.stage import example

from cortops.cli import main
from cortops.cli.proxy import as_text, folded
from cortops.surfaces.proxy.measured import OFF, UNSEEN, Row

FILE = str(Path(__file__).resolve().parents[2] / "examples" / "local.yaml")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("a.example", "b.example", FILE), "one hostname and one file are taken"),
        (("nobody.example", FILE), "no hostname nobody.example in"),
        (("gateway.localhost", FILE, "--key-file", "/no/such/file"), "/no/such/file cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_asked_is_said_before_anything_is_asked(
    words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["proxy", "test", *words])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_rows_are_told_with_cause_and_next_command() -> None:
    name = "gateway.localhost"
    found = (
        Row(hostname=name, what="certificate", declared="21 days and more", measured="800 days left"),
        Row(
            hostname=name,
            what="body",
            declared="4 MiB",
            measured="one byte more: 200",
            state=OFF,
            cause="another limit",
            next="cortops plan x",
        ),
        Row(hostname=name, what="streaming", declared="unbuffered", measured="not measured", state=UNSEEN, cause="no key was given"),
    )
    lines = as_text(example(), found).splitlines()
    assert lines[0].startswith(f"{name}:8443, to the gateway (local.yaml:")
    assert lines[2:7] == [
        "     certificate  21 days and more  800 days left",
        "  !  body         4 MiB             one byte more: 200",
        "  ?  streaming    unbuffered        not measured: no key was given",
        "  body: another limit",
        "    next: cortops plan x",
    ]
    assert lines[-1] == "1 not as declared; 1 of 3 as declared, 1 not measured."


def test_families_that_are_shut_as_they_should_be_share_a_line() -> None:
    def row(what: str, measured: str, **more: str) -> Row:
        return Row(hostname="x", what=what, declared="404", measured=measured, **more)

    open_, leak = row("info", "1 of 1 paths"), row("mcp", "1 of 2 paths answer", state=OFF)
    open_ = replace(open_, declared="let through")
    rows = (open_, row("trial", "404 at 4 paths"), leak, row("x402", "404 at 3 paths"))
    found = folded(rows)
    assert [(one.what, one.measured) for one in found] == [
        ("info", "1 of 1 paths"),
        ("2 families", "404 at 7 paths: trial, x402"),
        ("mcp", "1 of 2 paths answer"),
    ]
    assert folded(rows[:3]) == rows[:3]
