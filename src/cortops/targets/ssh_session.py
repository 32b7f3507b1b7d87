"""One program over an SSH connection: the fixed text that starts the bootstrap there, and the streams that `converse` talks to.

The remote command says `#cortops-start PID` on both of its outputs before the bootstrap begins. What comes before is not the program's:
a login script's words, or sudo's. PID is the leader of the group that is ended when nobody wants the program any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncssh

from cortops.targets.bootstrap import BOOTSTRAP
from cortops.targets.conversation import Pipes
from cortops.targets.quoting import quote

START = "#cortops-start"
PROMPT = "cortops-sudo-password:"
NOISE_MAX_KIB = 64  # written before the start; more is no host for programs
READ_AHEAD_KIB = 256  # of one output, not yet taken; then the host waits
STDERR = 1  # RFC 4254, 5.2

_BEGIN = (
    'cd /; export LANG=C.UTF-8 PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"; '
    "unset LC_ALL LC_CTYPE LC_COLLATE LC_MESSAGES LC_NUMERIC LC_TIME LANGUAGE; "
    f'echo "{START} $$"; echo "{START} $$" >&2; {BOOTSTRAP}'
)
_AS_ROOT = 'test "$(id -u)" = 0 || exec sudo {how} sh -c "$1"; exec sh -c "$1"'


def remote_command(*, sudo: bool, password: bool) -> str:
    """What sshd is asked to run, the same for every program. Quoted once only, so that any login shell reads it, fish and csh too."""
    if not sudo:
        return f"exec sh -c {quote(_BEGIN)}"
    how = f"-S -p {PROMPT}" if password else "-n"
    return f"exec sh -c {quote(_AS_ROOT.format(how=how))} sh {quote(_BEGIN)}"


class Prelude:
    """Bytes before the start line are kept apart, bytes after it are passed on."""

    def __init__(self) -> None:
        self.before = b""
        self.word: str | None = None

    def feed(self, data: bytes) -> bytes:
        """What of `data` belongs to the program."""
        if self.word is not None:
            return data
        self.before += data
        before, _, after = self.before.partition(START.encode())
        word, line_break, rest = after.partition(b"\n")
        if not line_break:
            return b""
        self.before, self.word = before, word.decode("ascii", "replace").strip()
        return rest

    @property
    def last_words(self) -> str:
        """The last line before the start, prompts taken out."""
        text = self.before.decode("utf-8", "replace").replace(PROMPT, "")
        return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")[:200]


class SshSession(asyncssh.SSHClientSession[bytes]):
    """A started remote command. `exited` is set at its end, at that of the connection, and by `give_up`.

    password: for sudo, sent when sudo asks and only then; "" where it must not ask.
    begun: the bootstrap runs. pid: the leader of its group, 0 before. status, signal: how it ended. why_lost: what the connection said at
    its end. why_given, asked_again, too_noisy: why it was given up.
    """

    def __init__(self, password: str = "") -> None:
        self.begun = False
        self.pid = 0
        self.status: int | None = None
        self.signal = ""
        self.why_lost = ""
        self.why_given = ""
        self.asked_again = False
        self.too_noisy = False
        self.exited = asyncio.Event()
        self.settled = asyncio.Event()  # begun, or exited without
        self.out, self.err = Prelude(), Prelude()
        self._chan: asyncssh.SSHClientChannel[bytes] | None = None
        self._stdin: _Stdin | None = None
        self._password = password
        self._outputs = (asyncio.StreamReader(READ_AHEAD_KIB << 9), asyncio.StreamReader(READ_AHEAD_KIB << 9))
        self._gone = False
        self._when_gone: Callable[[], None] = lambda: None
        self._flows = asyncio.Event()
        self._flows.set()
        self._sent_password = False

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._chan = chan
        for reader in self._outputs:
            reader.set_transport(chan)  # type: ignore[arg-type]  # it is asked to pause and to resume, which it does
        self._stdin = _Stdin(chan, self._flows, held=bool(self._password))

    @property
    def pipes(self) -> Pipes:
        """What `converse` talks to, once it is started."""
        assert self._stdin is not None
        return Pipes(stdin=self._stdin, stdout=self._outputs[0], stderr=self._outputs[1], exited=self.exited)

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Output of the remote command; sorted into before and after the start."""
        number = 1 if datatype == STDERR else 0
        prelude = (self.out, self.err)[number]
        rest = prelude.feed(data)
        if rest:
            self._outputs[number].feed_data(rest)
        if prelude.word is None:
            self._before_the_start(prelude)
        elif not self.begun and prelude is self.out:
            self._begin(prelude.word)

    def _begin(self, word: str) -> None:
        self.pid = int(word) if word.isascii() and word.isdigit() and int(word) > 1 else 0
        self.begun = True
        if self._stdin is not None:
            self._stdin.release()
        self.settled.set()

    def _before_the_start(self, prelude: Prelude) -> None:
        prompts = prelude.before.count(PROMPT.encode())
        if self._password and prelude is self.err and prompts == 1 and not self._sent_password and self._chan is not None:
            self._sent_password = True
            self._chan.write(f"{self._password}\n".encode())
        elif prompts > 1:
            self.asked_again = True
            self.close()
        elif len(prelude.before) > NOISE_MAX_KIB << 10:
            self.too_noisy = True
            self.close()

    def eof_received(self) -> bool:
        self._end_outputs()
        return True  # our own side stays open: the program may still read

    def exit_status_received(self, status: int) -> None:
        """The remote command ended by itself."""
        self.status = status
        self._end()

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        """The remote command was ended by a signal."""
        self.signal = signal
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.exited.is_set():
            self.why_lost = self.why_lost or (str(exc) if exc else "it closed the session")
        self._end_outputs()
        self._end()
        self._gone = True
        self._when_gone()

    def when_gone(self, then: Callable[[], None]) -> None:
        """Call `then` once the channel is closed by both sides: until then sshd counts it."""
        if self._gone:
            then()
        else:
            self._when_gone = then

    def pause_writing(self) -> None:
        self._flows.clear()

    def resume_writing(self) -> None:
        self._flows.set()

    def give_up(self, why: str) -> None:
        """Nothing more is wanted of it; what it does there goes on until its deadline, or until its group is ended."""
        self.why_given = why
        self.close()

    def close(self) -> None:
        """Close the channel, if there is one; the connection stays."""
        if self._chan is not None:
            self._chan.abort()
        self._end_outputs()
        self._end()

    @property
    def last_words(self) -> str:
        """What was said last before the start."""
        return self.err.last_words or self.out.last_words

    def _end(self) -> None:
        self.exited.set()
        self.settled.set()
        if self._stdin is not None:
            self._stdin.close_for_good()

    def _end_outputs(self) -> None:
        for reader in self._outputs:
            reader.feed_eof()


class _Stdin:
    """Implements conversation.Writer. While `held`, what is written waits: it may reach sudo, which reads the same stream."""

    def __init__(self, chan: asyncssh.SSHClientChannel[bytes], flows: asyncio.Event, *, held: bool) -> None:
        self._chan = chan
        self._flows = flows
        self._free = asyncio.Event()
        self._waiting: list[bytes] | None = [] if held else None
        if not held:
            self._free.set()

    def write(self, data: bytes) -> None:
        if self._waiting is None:
            self._chan.write(data)
        else:
            self._waiting.append(data)

    async def drain(self) -> None:
        """Return when there is room for more."""
        await self._free.wait()
        await self._flows.wait()

    def close(self) -> None:
        self._chan.write_eof()

    def release(self) -> None:
        """sudo is past: send what waited."""
        waiting, self._waiting = self._waiting, None
        self._free.set()
        if waiting:
            self._chan.write(b"".join(waiting))

    def close_for_good(self) -> None:
        """Nobody reads any more; whoever waits for room goes on and finds that out."""
        self._waiting = None
        self._free.set()
        self._flows.set()
