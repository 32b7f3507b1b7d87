"""An SSH host as a target: the same bootstrap as here, over one connection that stays open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import suppress
from typing import Any

import asyncssh

from cortops.targets import ssh_refusals as refusals
from cortops.targets.ask import once
from cortops.targets.bootstrap import opening
from cortops.targets.conversation import LINES_WAITING_MAX, talk
from cortops.targets.observed import Login
from cortops.targets.ssh_connection import CONNECT_TIMEOUT_S, DEAD_AFTER_S, Dialled, NoConnection, SshDialer, SshSettings, close
from cortops.targets.ssh_session import NOISE_MAX_KIB, SshSession, remote_command
from cortops.targets.ssh_ways import SshWays
from cortops.targets.target import Ending, Exited, Line, Lost, TimedOut
from cortops.words.clock import Clock

SESSIONS_MAX = 8  # programs at once on one host; others wait. sshd's MaxSessions is 10:
ENDINGS_MAX = 2  # the rest is for those that end a program which nobody wants any more
RECONNECTS_MAX = 2  # in one run; nothing is sent twice, since a program is sent only when its session is open
RECONNECT_PAUSE_S = 0.5  # none before the first one, and longer each time
START_TIMEOUT_S = 15.0  # for the login scripts and sudo, until the program begins
END_TIMEOUT_S = 5.0  # to end a program early; after that only its deadline does


class SshTarget:
    """Implements targets.target.Target for a machine that is reached by SSH. Close it, in the loop that used it.

    dialer: opens connections, shared by the targets of one command. sudo_password: for sudo, where it asks; it goes to sudo's standard
    input and nowhere else.
    """

    def __init__(self, name: str, settings: SshSettings, dialer: SshDialer, clock: Clock, *, sudo_password: str = "") -> None:
        self.name = name
        self._settings = settings
        self._dialer = dialer
        self._clock = clock
        self._password = sudo_password if settings.sudo else ""
        self._command = remote_command(sudo=settings.sudo, password=bool(self._password))
        self._sessions = asyncio.Semaphore(SESSIONS_MAX)
        self._endings = asyncio.Semaphore(ENDINGS_MAX)
        self._connection: asyncssh.SSHClientConnection | None = None
        self._dialling: asyncio.Task[Dialled] | None = None
        self._ways = SshWays()
        self._background: set[asyncio.Task[Any]] = set()  # what ends sessions; waited for by close

    async def run(self, program: str, data: AsyncIterable[bytes], deadline_s: float) -> AsyncGenerator[Line | Ending, None]:
        """As targets.target.Target.run."""
        session = await self._begin(self._sessions)
        if isinstance(session, NoConnection):
            yield Lost(session.why)
            return
        begun = self._clock.monotonic()
        starting = asyncio.get_running_loop().call_later(START_TIMEOUT_S, self._too_slow, session)
        lines: asyncio.Queue[Line | None] = asyncio.Queue(LINES_WAITING_MAX)
        talking = asyncio.create_task(talk(session.pipes, opening(program, deadline_s), data, lines, deadline_s))
        lost = ""
        try:
            while (line := await lines.get()) is not None:
                yield line
            lost = await talking
        finally:
            starting.cancel()
            try:
                if not session.exited.is_set():
                    await self._end_group(session)
            finally:
                talking.cancel()
                session.close()
                await asyncio.wait([talking])
        yield self._ending(session, lost, self._clock.monotonic() - begun, deadline_s)

    async def way(self, port: int) -> tuple[str, int]:
        """As targets.way.Way.way: the path of a socket, and 0."""
        connection = await self._connected()
        if isinstance(connection, NoConnection):
            raise OSError(connection.why)
        try:
            return await self._ways.to(connection, port), 0
        except asyncssh.Error as error:
            raise OSError(refusals.lost(self.name, str(error), CONNECT_TIMEOUT_S)) from error

    async def login(self) -> Login | NoConnection:
        """How it was reached: by which name, port and user, and with which host key; through a jump host as that one sees it."""
        connection = await self._connected()
        if isinstance(connection, NoConnection):
            return connection
        key = connection.get_server_host_key()
        assert key is not None, "a connection that is logged in has verified one"
        return Login(
            address=connection.get_extra_info("host"),
            port=connection.get_extra_info("port"),
            user=connection.get_extra_info("username"),
            host_key=" ".join(key.export_public_key("openssh").decode().split()[:2]),
        )

    async def close(self) -> None:
        """Wait for what is being ended, then leave the host."""
        if self._dialling is not None:
            self._dialling.cancel()
            with suppress(asyncio.CancelledError):
                await self._dialling
        if self._background:
            await asyncio.wait(self._background)
        self._ways.close()
        if self._connection is not None:
            await close(self._connection)
            self._connection = None

    async def _begin(self, places: asyncio.Semaphore) -> SshSession | NoConnection:
        """A started session; it takes one of `places` until its channel is gone on both sides."""
        await places.acquire()
        session = None
        try:
            session = await self._attempt()
        finally:
            if isinstance(session, SshSession):
                session.when_gone(places.release)
            else:
                places.release()
        return session

    async def _attempt(self) -> SshSession | NoConnection:
        """A connection that proves dead is replaced, RECONNECTS_MAX times at most."""
        found: SshSession | NoConnection = NoConnection("")
        for attempt in range(1 + RECONNECTS_MAX):
            connection = await self._connected()
            found = connection if isinstance(connection, NoConnection) else await self._open(connection)
            if not isinstance(found, NoConnection) or not found.passing or attempt == RECONNECTS_MAX:
                break
            await self._clock.sleep(RECONNECT_PAUSE_S * attempt)
        return found

    async def _connected(self) -> Dialled:
        """The open connection; all who come while it is being opened wait for the same one."""
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        if self._dialling is None:
            self._dialling = asyncio.create_task(self._dial())
        return await asyncio.shield(self._dialling)

    async def _dial(self) -> Dialled:
        try:
            found = await self._dialer.dial(self.name, self._settings)
        finally:
            self._dialling = None
        self._connection = None if isinstance(found, NoConnection) else found
        return found

    async def _open(self, connection: asyncssh.SSHClientConnection) -> SshSession | NoConnection:
        """Start the remote command; when nobody waits for it any more, it is closed as soon as it is there."""
        session = SshSession(self._password)
        task = asyncio.create_task(self._request(connection, session))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(lambda _: session.close())
            self._keep(task)
            raise

    async def _request(self, connection: asyncssh.SSHClientConnection, session: SshSession) -> SshSession | NoConnection:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await connection.create_session(
                    lambda: session, self._command, encoding=None, request_pty=False, x11_forwarding=False, env={}, send_env=None
                )
        except (TimeoutError, asyncssh.Error, OSError) as error:
            session.close()
            if isinstance(error, asyncssh.ChannelOpenError) and not connection.is_closed():
                # A session that has just ended may still be counted there.
                return NoConnection(refusals.no_session(self.name, str(error)), passing=error.code == asyncssh.OPEN_CONNECT_FAILED)
            connection.abort()
            if self._connection is connection:
                self._connection = None
            return NoConnection(refusals.lost(self.name, str(error), CONNECT_TIMEOUT_S), passing=True)
        return session

    def _too_slow(self, session: SshSession) -> None:
        if not session.begun:
            session.give_up(refusals.slow_start(self.name, session.last_words, START_TIMEOUT_S))

    async def _end_group(self, session: SshSession) -> None:
        """End the program and all that it started; goes on in the background when we are cancelled meanwhile."""
        task = asyncio.create_task(self._kill(session))
        self._keep(task)
        await asyncio.shield(task)

    async def _kill(self, session: SshSession) -> None:
        """sshd ends nothing when a channel closes, so another session of the same rights does it."""
        connection = self._connection
        with suppress(TimeoutError):
            async with asyncio.timeout(END_TIMEOUT_S):
                await session.settled.wait()
                if session.exited.is_set() or not session.pid or connection is None or connection.is_closed():
                    return
                killer = await self._begin(self._endings)
                if isinstance(killer, NoConnection):
                    return
                program = f"kill -s KILL -- -{session.pid}"
                await talk(killer.pipes, opening(program, END_TIMEOUT_S), once(b""), asyncio.Queue(), END_TIMEOUT_S)
                killer.close()
                await session.exited.wait()

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _ending(self, session: SshSession, lost: str, elapsed_s: float, deadline_s: float) -> Ending:
        user = self._connection.get_extra_info("username") if self._connection is not None else ""
        if session.asked_again:
            return Lost(refusals.wrong_password(self.name, user))
        if session.too_noisy:
            return Lost(refusals.noisy_start(self.name, NOISE_MAX_KIB))
        if lost:
            return Lost(lost)
        if session.begun and session.status is not None:
            return Exited(session.status)
        if session.signal:
            # The bootstrap ends its group, itself included, by signal; our clock started before its own.
            if session.signal == "KILL" and elapsed_s >= deadline_s:
                return TimedOut(deadline_s)
            return Lost(f"the program was ended by signal {session.signal}")
        if session.status is not None:
            return Lost(refusals.not_begun(self.name, user, session.last_words, session.status))
        return Lost(session.why_given or refusals.lost(self.name, session.why_lost, DEAD_AFTER_S))
