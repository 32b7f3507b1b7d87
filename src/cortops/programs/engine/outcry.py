"""What llama.cpp says on standard error while it serves, as lines of the log.

It may quote there what a client sent (a grammar, a schema), so only what comes before any value is taken; lines of a form that we do not
know are counted, not shown. The whole message goes to who asked, by HTTP. Of its own broken assertions everything is taken.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from cortops.programs.common.logs import Log

WORDS_MAX = 200
LINE_KIB_MAX = 8  # a longer one is taken as if it ended there
STANDARD_ERROR = 2
_OWN = re.compile(r"\d+\.\d{2}\.\d{3}\.\d{3} [A-Z] ([^:=({\[\"'`]+)")  # its clock, its level, then words up to the first value
_BROKEN = re.compile(r"GGML_ASSERT|^\S+\.(?:c|cc|cpp|h|hpp|cu):\d+: ")


def words_of(line: str) -> str:
    """One line -> what of it may be logged; "" when it may quote a request."""
    if _BROKEN.search(line):
        return line[:WORDS_MAX]
    own = _OWN.match(line)
    return " ".join(own[1].split())[:WORDS_MAX] if own else ""


class Outcry:
    """Bytes as they come -> log lines."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._rest = b""

    def feed(self, data: bytes, *, last: bool = False) -> None:
        """Take `data`; a line waits for its end, unless this is the `last` of all or it is long."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if last or len(self._rest) > LINE_KIB_MAX * 1024:
            lines, self._rest = [*lines, self._rest], b""
        said = [text for line in lines if (text := line.decode("utf-8", "replace").strip())]
        withheld = 0
        for text in said:
            if words := words_of(text):
                level = self._log.error if _BROKEN.search(text) else self._log.warning
                level("library", logger="llama.cpp", words=words)
            else:
                withheld += 1
        if withheld:
            self._log.warning("library", logger="llama.cpp", words="lines that may quote a request are not shown", lines=withheld)


@contextmanager
def relayed(log: Log) -> Iterator[None]:
    """While inside, what is written to standard error goes to `log`. A writer never waits: what nobody reads in time is lost."""
    loop, outcry = asyncio.get_running_loop(), Outcry(log)
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    kept = os.dup(STANDARD_ERROR)
    os.dup2(writing, STANDARD_ERROR)
    os.close(writing)
    loop.add_reader(reading, lambda: outcry.feed(_there(reading)))
    try:
        yield
    finally:
        os.dup2(kept, STANDARD_ERROR)
        os.close(kept)
        loop.remove_reader(reading)
        outcry.feed(_there(reading), last=True)
        os.close(reading)


def _there(descriptor: int) -> bytes:
    """All that can be read now."""
    parts = []
    try:
        while part := os.read(descriptor, 65_536):
            parts.append(part)
    except BlockingIOError:
        pass
    return b"".join(parts)
