"""Values that others keep. The commands here behave as vault and sops do: exit statuses, a line break, complaints that quote a value."""

from __future__ import annotations

import hashlib
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

import pytest

from cortops.deploy.secrets_outside import COMPLAINT_MAX_BYTES, VALUE_MAX_BYTES, fetcher
from cortops.deploy.wanted import Kind, Outside, Wanted
from cortops.testing.local import until
from cortops.words.errors import BadInput, CortopsError, SecretMissing

VALUE = hashlib.sha256(b"a value that others keep").hexdigest()


def want(env: str = "", command: tuple[str, ...] = ()) -> Wanted:
    return Wanted(name="router-1/api-key", kind=Kind.TOKEN, outside=Outside(cited="lab.yaml:9", env=env, command=command))


def vault(body: str) -> tuple[str, ...]:
    return (sys.executable, "-c", f"import os, sys, time\n{body}")


def fetch(wanted: Wanted, environ: Mapping[str, str] | None = None, timeout_s: float = 20) -> str:
    return fetcher({**os.environ, **(environ or {})}, timeout_s=timeout_s)(wanted)


def refused(wanted: Wanted, environ: Mapping[str, str] | None = None, timeout_s: float = 20) -> CortopsError:
    with pytest.raises((SecretMissing, BadInput)) as caught:
        fetch(wanted, environ, timeout_s)
    shown = "".join(traceback.format_exception(caught.value)) + str(caught.value.as_dict())
    assert VALUE not in shown and VALUE[2:30] not in shown
    assert caught.value.where == "lab.yaml:9"
    return caught.value


def test_a_variable_and_a_command_give_the_same_value() -> None:
    assert fetch(want(env="LAB_KEY"), {"LAB_KEY": f" {VALUE}\n"}) == VALUE
    assert fetch(want(command=vault("print(os.environ['LAB_KEY'])")), {"LAB_KEY": VALUE}) == VALUE
    assert fetch(want(command=vault("sys.stderr.write('x' * 100_000); print(1)"))) == "1"


def test_a_command_gets_no_input_and_no_shell() -> None:
    command = (*vault("print(len(sys.stdin.read()), sys.argv[1])"), "$HOME;x")
    assert fetch(want(command=command)) == "0 $HOME;x"


@pytest.mark.parametrize("value", ["", " \n"])
def test_nothing_is_no_value(value: str) -> None:
    assert "which is not set" in refused(want(env="LAB_KEY"), {"LAB_KEY": value}).what
    assert "printed nothing" in refused(want(command=vault(f"print({value!r})"))).what


def test_what_a_command_complains_is_told_without_the_value() -> None:
    said = f"Code: 403. permission denied for lab/miner-1, token hvs.CAESIJ0123456789abcdef, {VALUE}"
    error = refused(want(command=vault(f"print({VALUE!r})\nsys.stderr.write({said!r})\nsys.exit(2)")))
    assert "ended with status 2" in error.what
    assert error.why.startswith("Code: 403. permission denied for lab/miner-1, token ")
    assert "CAESIJ" not in error.why


def test_a_value_of_our_environment_is_not_told_either() -> None:
    body = "sys.stderr.write('bad token ' + os.environ['VAULT_TOKEN']); sys.exit(1)"
    assert "short-1" not in refused(want(command=vault(body)), {"VAULT_TOKEN": "short-1"}).why


def test_a_program_that_is_not_there_is_named_without_its_arguments() -> None:
    error = refused(want(command=("/nowhere/vault", "kv", "get", VALUE)))
    assert "comes from the command vault, which cannot be started: No such file or directory" in error.what
    assert "lab.yaml:9" in error.next


def test_one_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    child = tmp_path / "child"
    command = ("sh", "-c", f"sleep 60 & echo $! >{child}; wait")
    assert "no answer within 2 s" in refused(want(command=command), timeout_s=2).what
    stat = Path(f"/proc/{child.read_text().strip()}/stat")
    until(lambda: not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z", "what it started has ended")


def test_one_that_prints_for_ever_is_ended() -> None:
    assert f"printed more than {VALUE_MAX_BYTES} bytes" in refused(want(command=vault(f"while True: print({VALUE!r})"))).what
    assert len(refused(want(command=vault("sys.stderr.write('a b ' * 90_000); sys.exit(3)"))).why) <= COMPLAINT_MAX_BYTES
    big = "x" * (VALUE_MAX_BYTES + 1)
    assert "holds more than" in refused(want(env="LAB_KEY"), {"LAB_KEY": big}).what
