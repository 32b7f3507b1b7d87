"""One process: settings in, a log out, stop signals, exit status. What every program's `main()` calls."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self, TypeVar

import uvloop

from cortops.programs.common.logs import NEVER_LOGGED, LibraryLog, Log, failure, make_log
from cortops.protocol import envfile
from cortops.words.clock import Clock, SystemClock
from cortops.words.errors import BadInput, CortopsError, PermissionMissing

STOP_TIMEOUT_S = 9.0  # supervisors kill after 10
INPUT_MAX_MIB = 4
PR_SET_PDEATHSIG = 1  # prctl(2)

S = TypeVar("S")


class FromEnv(Protocol):
    """What protocol.settings gives: a class that reads itself from {key: text}."""

    @classmethod
    def from_env(cls, env: dict[str, str], /) -> Self: ...


E = TypeVar("E", bound=FromEnv)


def env_file(settings_type: type[E]) -> Callable[[Path], E]:
    """A loader of `settings_type` from an env file, for `start`."""

    def load(path: Path) -> E:
        return settings_type.from_env(_with_files(envfile.parse(read_input(path), where=str(path))))

    return load


def _with_files(values: dict[str, str]) -> dict[str, str]:
    """`KEY_FILE` as `KEY` with what that file holds: a secret that stays where its host has it. PermissionMissing when all may read it."""
    stems = {key.removesuffix("_FILE"): Path(path) for key, path in values.items() if key.endswith("_FILE")}
    read = {stem: _secret_file(path) for stem, path in stems.items() if stem not in values}
    return {**values, **read}


def _secret_file(path: Path) -> str:
    text = read_input(path).strip()
    if path.stat().st_mode & 0o007:
        what = f"{path} can be read by every user of this host (mode {path.stat().st_mode & 0o777:04o})"
        raise PermissionMissing(what, where=str(path), next=f"Run there: chmod 600 {path}")
    return text


def read_input(path: Path) -> str:
    """The text of a program's settings file; BadInput or PermissionMissing when it cannot be read, is no UTF-8 or exceeds 4 MiB."""
    try:
        if path.stat().st_size > INPUT_MAX_MIB * 2**20:
            raise BadInput(f"{path} is larger than {INPUT_MAX_MIB} MiB", where=str(path))
        return path.read_text("utf-8")
    except PermissionError as error:
        raise PermissionMissing(f"{path} may not be read by this user", where=str(path)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}", where=str(path)) from error


def start(role: str, load: Callable[[Path], S], serve: Callable[[S, Log], Awaitable[None]]) -> int:
    """Run `serve(settings, log)` as this process, until it ends or SIGTERM or SIGINT cancels it; the exit status.

    The only argument is the settings file. 0: ended or stopped. 1: failed, or not stopped 9 s after the signal. 2: bad settings.
    A failure is one JSON line on stdout with what, why and next. Call it as `sys.exit(start("router", env_file(RouterSettings), serve))`.
    """
    die_with_parent()
    return run(role, load, serve, sys.argv[1:], sys.stdout.buffer, SystemClock())


def run(
    role: str,
    load: Callable[[Path], S],
    serve: Callable[[S, Log], Awaitable[None]],
    arguments: Sequence[str],
    out: BinaryIO,
    clock: Clock,
) -> int:
    """`start` without the parent-death signal, with arguments, log and clock given."""
    log = make_log(role, out, clock)
    try:
        if len(arguments) != 1:
            raise BadInput(f"the {role} takes one argument, its settings file; {len(arguments)} were given")
        settings = load(Path(arguments[0]))
    except CortopsError as error:
        return _refuse(log, error)
    log = make_log(role, out, clock, secrets=tuple(_secrets(settings)), **_named(settings))
    with _all_into(log), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_until_stopped(serve(settings, log), log))


@contextmanager
def _all_into(log: Log) -> Iterator[None]:
    """What libraries and Python itself would write to standard error becomes lines of the log: warnings, errors that reach nobody."""
    library_log = LibraryLog(log)
    before = sys.unraisablehook, threading.excepthook
    logging.getLogger().addHandler(library_log)
    logging.captureWarnings(True)
    sys.unraisablehook = lambda told: log.error("unheard", where=_name(told.object), **_cause(told.exc_value))
    threading.excepthook = lambda told: log.error("unheard", where=_name(told.thread), **_cause(told.exc_value))
    try:
        yield
    finally:
        sys.unraisablehook, threading.excepthook = before
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(library_log)


def _name(thing: object) -> str:
    """What it is called, not what it holds."""
    return str(getattr(thing, "__qualname__", None) or getattr(thing, "name", None) or type(thing).__name__)[:100]


def _cause(error: BaseException | None) -> dict[str, Any]:
    return {} if error is None else failure(error)


def die_with_parent(stop_signal: signal.Signals = signal.SIGTERM) -> None:
    """Ask the kernel to send `stop_signal` to this process when its parent ends; leave at once if that happened meanwhile. Linux only."""
    parent = os.getppid()
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(stop_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit(1)


async def _until_stopped(serving: Awaitable[None], log: Log) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    work, stopped = asyncio.ensure_future(serving), asyncio.ensure_future(stop.wait())
    await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not work.done():
        log.info("stopping")
        work.cancel()
        await asyncio.wait({work}, timeout=STOP_TIMEOUT_S)
        if not work.done():
            log.error("failed", what=f"did not stop within {STOP_TIMEOUT_S:g} s", next="look at what it was waiting for in this log")
            sys.stdout.flush()
            os._exit(1)
    if work.cancelled():
        log.info("stopped")
        return 0
    error = work.exception()
    if error is None:
        log.info("stopped")
        return 0
    return _refuse(log, error)


def _refuse(log: Log, error: BaseException) -> int:
    """Say why in one line, with the cure; the exit status. Of a group, the expected error speaks before an unexpected one."""
    leaves = list(_leaves(error))
    expected = next((leaf for leaf in leaves if isinstance(leaf, CortopsError)), None)
    if expected is not None:
        log.error("failed", **expected.as_dict())
        return expected.exit_status
    log.error("failed", what="an error nobody expected", next="report it with this line", causes=[failure(leaf) for leaf in leaves[:5]])
    return 1


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _secrets(settings: object) -> Iterator[str]:
    """Values of fields that hold secrets, so that the log can redact them by value."""
    if is_dataclass(settings):
        for spec in fields(settings):
            value: Any = getattr(settings, spec.name)
            if spec.name in NEVER_LOGGED:
                yield from (value,) if isinstance(value, str) else (text for _, text in value)


def _named(settings: object) -> dict[str, str]:
    name = getattr(settings, "name", None)
    return {"node": name} if isinstance(name, str) else {}
