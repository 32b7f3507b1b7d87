"""Values that others keep: a variable of our environment, or what a command such as vault or sops prints. Never logged, never kept."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Final

from cortops.deploy.redact import REDACTED, Redactor, is_sensitive
from cortops.deploy.wanted import Outside, Wanted
from cortops.words.errors import BadInput, SecretMissing

VALUE_MAX_BYTES: Final = 64 * 1024
COMPLAINT_MAX_BYTES: Final = 4 * 1024
COMMAND_TIMEOUT_S: Final = 20.0
_LOOKS_SECRET = re.compile(r"(?=[0-9A-Za-z_+=-]*[0-9])(?=[0-9A-Za-z_+=-]*[A-Za-z])[0-9A-Za-z_+=-]{16,}|[0-9A-Za-z]{24,}")

Fetch = Callable[[Wanted], str]


def fetcher(environ: Mapping[str, str], *, timeout_s: float = COMMAND_TIMEOUT_S) -> Fetch:
    """Wanted -> its value, from `environ` or a command run with it. SecretMissing says why there is none, and quotes no value."""

    def fetch(want: Wanted) -> str:
        assert want.outside is not None and not want.on_host
        if want.outside.command:
            return _printed(want.name, want.outside, environ, timeout_s)
        value = environ.get(want.outside.env, "").strip()
        if not value:
            what = f"{want.name} comes from the variable {want.outside.env}, which is not set"
            raise SecretMissing(what, where=want.outside.cited, next=f"Set {want.outside.env} and run the same command again.")
        if len(value.encode("utf-8", "surrogateescape")) > VALUE_MAX_BYTES:
            raise BadInput(f"{want.outside.env} holds more than {VALUE_MAX_BYTES} bytes", where=want.outside.cited)
        return value

    return fetch


def _printed(name: str, outside: Outside, environ: Mapping[str, str], timeout_s: float) -> str:
    program = outside.told

    def missing(what: str, why: str = "") -> SecretMissing:
        cure = f"Run that command by hand where cortops runs; it is declared at {outside.cited}."
        return SecretMissing(f"{name} comes from the {program}, which {what}", where=outside.cited, why=why, next=cure)

    try:
        process = subprocess.Popen(
            outside.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environ),
            start_new_session=True,
        )
    except OSError as error:
        raise missing(f"cannot be started: {error.strerror}") from None
    assert process.stdout is not None and process.stderr is not None
    with process.stdout as out, process.stderr as err:
        try:
            printed, complaint = _read(out, err, time.monotonic() + timeout_s)
            status = process.wait(timeout=timeout_s) if len(printed) <= VALUE_MAX_BYTES else None
        except (TimeoutError, subprocess.TimeoutExpired):
            raise missing(f"gave no answer within {timeout_s:g} s") from None
        finally:
            if process.returncode is None:  # not reaped, so its group is still its own
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if status is None:
        raise missing(f"printed more than {VALUE_MAX_BYTES} bytes")
    value = printed.decode("utf-8", "replace").strip()
    if status != 0:
        raise missing(f"ended with status {status}", _why(complaint, [value, *_sensitive(environ)]))
    if not value:
        raise missing("printed nothing")
    return value


def _read(out: IO[bytes], err: IO[bytes], until_s: float) -> tuple[bytes, bytes]:
    """Both streams to their ends, or as far as anyone may write. TimeoutError when that takes too long."""
    read = {out: b"", err: b""}
    with selectors.DefaultSelector() as waiting:
        for stream in read:
            waiting.register(stream, selectors.EVENT_READ)
        while waiting.get_map() and len(read[out]) <= VALUE_MAX_BYTES:
            ready = waiting.select(max(until_s - time.monotonic(), 0))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                stream = out if key.fileobj is out else err
                chunk = os.read(key.fd, 8192)
                if not chunk:
                    waiting.unregister(stream)
                read[stream] += chunk
                read[err] = read[err][:COMPLAINT_MAX_BYTES]
    return read[out], read[err]


def _why(complaint: bytes, values: Iterable[str]) -> str:
    """The last line of what a command complained, without anything that is a secret or looks like one."""
    lines = [line.strip() for line in complaint.decode("utf-8", "replace").splitlines() if line.strip()]
    text = Redactor(values).redact(lines[-1] if lines else "")
    return _LOOKS_SECRET.sub(REDACTED, "".join(letter for letter in text if letter.isprintable()))[:200]


def _sensitive(environ: Mapping[str, str]) -> Iterable[str]:
    return (value for name, value in environ.items() if is_sensitive(name) and value)
