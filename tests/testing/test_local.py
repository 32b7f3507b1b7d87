"""What tests of a local environment lean on: what was printed, what is waited for, which process is whose."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cortops.environment.declared import Environment
from cortops.environment.load import load_file
from cortops.environment.reason import Invalid
from cortops.surfaces.proxy.curls import curls
from cortops.testing.local import EXAMPLE, SMALL, Place, printed_commands, until


def _declared(file: Path) -> Environment:
    env = load_file(file)
    assert not isinstance(env, Invalid)
    return env


def _place(data: Path) -> Place:
    return Place(env=_declared(SMALL), data=data, port_base=0, environ=os.environ)


def test_commands_are_found_as_they_were_printed() -> None:
    known = curls(_declared(EXAMPLE), "~/ca.pem", "ck_local_0")
    blocks = ["\n".join(("", f"  # {curl.hostname}: {curl.shows}", *(f"  {line}" for line in curl.lines(80)))) for curl in known]
    found = printed_commands("\n".join(("local is up after 3.0 s.", "Try it:", *blocks, "")) + "\n")
    assert list(found) == [curl.hostname for curl in known] and len(found) == 5
    assert [command.replace("\\\n", " ").split() for command in found.values()] == [curl.text.split() for curl in known]
    assert printed_commands("A key of your own: cortops keys issue --name me\n") == {}


def _answers(*values: int) -> Callable[[], int]:
    left = iter(values)
    return lambda: next(left)


def test_the_first_find_is_given_and_the_last_look_says_what_is_missing() -> None:
    assert until(_answers(0, 7, 8), "a number") == 7
    with pytest.raises(AssertionError, match="after 0 s still not: a number"):
        until(lambda: None, "a number", within_s=0)


def test_a_place_without_anything_has_no_state(tmp_path: Path) -> None:
    where = _place(tmp_path)
    assert (where.journal(), where.manager(), where.orphans()) == ([], None, {})


@pytest.mark.real
def test_a_process_is_an_orphan_unless_the_service_manager_stands_above_it(tmp_path: Path) -> None:
    where = _place(tmp_path)
    (where.root / "run").mkdir(parents=True)
    parent = f"import subprocess, sys; child = subprocess.Popen(['sleep', '600'], cwd={str(where.root)!r}); print(child.pid, flush=True)"
    program = f"{parent}; sys.stdin.read(); child.kill(); child.wait()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as manager:
        assert manager.stdout is not None and manager.stdin is not None
        child = int(manager.stdout.readline())
        assert set(until(lambda: len(found := where.orphans()) == 2 and found, "both are seen") or {}) == {manager.pid, child}
        (where.root / "run" / "supervisord.pid").write_text(f"{manager.pid}\n")
        assert where.manager() == manager.pid and where.orphans() == {}
        where.assert_no_orphan()
        manager.stdin.close()
    assert where.processes() == {}
