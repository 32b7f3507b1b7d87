"""`cortops logs NAME -f` in a running environment: what was written, then what is written, until Ctrl-C."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cortops.testing.local import RUN_TIMEOUT_S, WELL_TIMEOUT_S, LocalEnvironment, ask

pytestmark = pytest.mark.real

INTERRUPTED = (130, -signal.SIGINT)  # a shell shows 130 for both


def test_logs_follow_until_ctrl_c(local_environment: LocalEnvironment) -> None:
    where = local_environment.place
    with _following(local_environment, "router-1", "router-2") as (followers, lines):
        for name in followers:
            assert json.loads(lines[name].get(timeout=WELL_TIMEOUT_S))["node"] == name, "what was written before"
        row = where.usage_of(ask(local_environment)["id"].removeprefix("chatcmpl-"))
        told = lines[row.member]
        while f'"{row.request_id}"' not in told.get(timeout=WELL_TIMEOUT_S):
            pass
        for follower in followers.values():
            follower.send_signal(signal.SIGINT)
        for follower in followers.values():
            assert follower.wait(RUN_TIMEOUT_S) in INTERRUPTED
            assert follower.stderr is not None and "Traceback" not in follower.stderr.read()
    assert not _tails(local_environment), "nothing of it goes on"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_follows_on_when_it_is_killed(local_environment: LocalEnvironment, number: signal.Signals) -> None:
    with _following(local_environment, "chain-1") as (followers, lines):
        lines["chain-1"].get(timeout=WELL_TIMEOUT_S)
        followers["chain-1"].send_signal(number)
        assert followers["chain-1"].wait(RUN_TIMEOUT_S) == -number
    assert not _tails(local_environment)


def _tails(up: LocalEnvironment) -> list[str]:
    return [line for line in up.place.processes().values() if line.startswith("tail ")]


def test_logs_print_the_last_lines(local_environment: LocalEnvironment) -> None:
    path = local_environment.place.root / "log" / "chain-1.log"
    done = local_environment.run("logs", "chain-1", "-n", "2")
    assert done.returncode == 0 and not done.stderr
    assert len(done.stdout.splitlines()) == 2 and done.stdout in path.read_text()


@contextmanager
def _following(up: LocalEnvironment, *names: str) -> Iterator[tuple[dict[str, subprocess.Popen[str]], dict[str, queue.Queue[str]]]]:
    """`logs NAME -f -n 1` for each, and their lines as they come."""
    assert up.place.env.file
    followers = {name: up.place.start("logs", name, up.place.env.file, "-f", "-n", "1") for name in names}
    lines: dict[str, queue.Queue[str]] = {name: queue.Queue() for name in names}
    readers = [threading.Thread(target=_read, args=(followers[name], lines[name])) for name in names]
    for reader in readers:
        reader.start()
    try:
        yield followers, lines
    finally:
        for follower in followers.values():
            follower.kill()
            follower.wait()
        for reader in readers:
            reader.join()
        for follower in followers.values():
            for pipe in (follower.stdout, follower.stderr):
                assert pipe is not None
                pipe.close()


def _read(follower: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    assert follower.stdout is not None
    for line in follower.stdout:
        lines.put(line)
