"""The composition of verbs that ask many hosts: targets by name, and one `ask` for all of them at once."""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from cortops.cli.common import Common
from cortops.environment.declared import Environment
from cortops.environment.model import Host
from cortops.probes.ask import ask
from cortops.probes.memory import ChainMemory
from cortops.protocol.http import HttpClient
from cortops.surfaces.judging import Ask
from cortops.targets.local import LocalTarget
from cortops.targets.shell import ask_shell
from cortops.targets.target import Target
from cortops.words.clock import Clock, SystemClock
from cortops.words.errors import BadInput
from cortops.words.question import NoAnswer, Question, Reply, Shell, Silence

HOSTS_AT_ONCE_MAX = 32  # asked together; the others wait their turn
LOCAL = "local"  # among names: this machine
Confirm = Callable[[str, str], Awaitable[bool]]  # (host, fingerprint) -> whether it is the host's own key


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Hosts that can be asked. `ask`: question id -> reply, one run for each host; a host that fails answers for itself only."""

    targets: Mapping[str, Target]
    ask: Ask
    clock: Clock
    http: HttpClient


@asynccontextmanager
async def fleet(
    hosts: Environment | Mapping[str, Host] | Sequence[str],
    common: Common,
    *,
    known_hosts: Path | None = None,
    confirm: Confirm | None = None,
) -> AsyncIterator[Fleet]:
    """Targets for the hosts of an environment, for hosts by name, or for SSH names as people write them. Connected when first asked.

    With common.ask_sudo one password is read from the terminal, for sudo on those hosts that have `sudo: true`.
    known_hosts: where host keys are known and added; default the user's own. confirm: asked once about each unknown host; default on the
    terminal, and nobody where there is none. BadInput for hosts that cannot be, and for a password without a terminal.
    """
    named = (
        hosts.hosts if isinstance(hosts, Environment) else hosts if isinstance(hosts, Mapping) else hosts_of(hosts, sudo=common.ask_sudo)
    )
    password = read_password() if common.ask_sudo and any(host.ssh and host.sudo for host in named.values()) else ""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        http = HttpClient(clock=clock)
        stack.push_async_callback(http.close)
        targets: dict[str, Target] = {name: _here(name, host) for name, host in named.items() if not host.ssh}
        if len(targets) < len(named):
            asked = confirm or (on_terminal if _is_terminal() and not common.json else None)
            targets |= _by_ssh(named, common, clock, stack, password, known_hosts, asked)
        yield Fleet(targets={name: targets[name] for name in named}, ask=asking(targets, http, clock), clock=clock, http=http)


def hosts_of(names: Sequence[str], *, sudo: bool = False) -> dict[str, Host]:
    """SSH names as people write them, `local` for this machine -> hosts under the same names. BadInput for what is none."""
    return {name: Host(local=True) if name == LOCAL else _host(name, sudo) for name in names}


def _host(name: str, sudo: bool) -> Host:
    try:
        return Host(ssh=name, sudo=sudo)
    except ValidationError as error:
        raise BadInput(f"{name!r} is no SSH host", next="Write USER@HOST, USER@HOST:PORT, or a name of ~/.ssh/config.") from error


def _here(name: str, host: Host) -> LocalTarget:
    if host.sudo and os.geteuid() != 0:
        raise BadInput(f"hosts.{name} wants sudo on this machine", next="Run cortops itself by sudo, or leave out sudo: true.")
    return LocalTarget(name)


def _by_ssh(
    named: Mapping[str, Host],
    common: Common,
    clock: Clock,
    stack: AsyncExitStack,
    password: str,
    known_hosts: Path | None,
    confirm: Confirm | None,
) -> dict[str, Target]:
    from cortops.targets.ssh import SshTarget  # brings asyncssh, a fifth of a second that other verbs do without
    from cortops.targets.ssh_address import SshAddress
    from cortops.targets.ssh_connection import SshDialer, SshSettings
    from cortops.targets.ssh_hostkeys import HostKeys

    folder = Path("~/.ssh").expanduser()
    host_keys = HostKeys(
        known_hosts or folder / "known_hosts",
        others=(folder / "known_hosts2", Path("/etc/ssh/ssh_known_hosts")),
        confirm=confirm,
        accepted=frozenset(common.accept_host_key),
    )
    dialer = SshDialer(host_keys)
    configs = (folder / "config", Path("/etc/ssh/ssh_config"))

    def target(name: str, host: Host) -> SshTarget:
        settings = SshSettings(address=SshAddress.read(host.ssh or ""), sudo=host.sudo, configs=configs)
        return SshTarget(name, settings, dialer, clock, sudo_password=password)

    made = {name: target(name, host) for name, host in named.items() if host.ssh}

    async def leave() -> None:
        await asyncio.gather(*(each.close() for each in made.values()))
        await dialer.close()

    stack.push_async_callback(leave)
    return dict(made)


def asking(targets: Mapping[str, Target], http: HttpClient, clock: Clock) -> Ask:
    """One `ask` over all targets: HOSTS_AT_ONCE_MAX of them together, each in one run."""
    gate = asyncio.Semaphore(HOSTS_AT_ONCE_MAX)

    async def ask_host(name: str, questions: Sequence[Shell]) -> Mapping[str, Reply]:
        async with gate:
            at, begun = clock.now(), clock.monotonic()
            try:
                return await ask_shell(targets[name], questions, clock)
            except (ValueError, IndexError) as error:  # whatever stands there, it speaks nonsense
                why, elapsed_s = f"{name}: its answer cannot be read: {error}", clock.monotonic() - begun
                return {
                    question.id: NoAnswer(question=question.id, at=at, elapsed_s=elapsed_s, silence=Silence.LOST, why=why)
                    for question in questions
                }

    memory = ChainMemory()

    async def ask_all(questions: Sequence[Question]) -> Mapping[str, Reply]:
        return await ask(questions, http, ask_host, clock, memory)

    return ask_all


@cache
def read_password() -> str:
    """The sudo password, read from the terminal without showing it, once however often a verb connects. BadInput where there is none."""
    if not sys.stdin.isatty():
        raise BadInput("--ask-sudo reads the password from a terminal, and there is none", next="Let sudo ask for no password: visudo")
    with _interruptible():
        return getpass.getpass("sudo password on the hosts: ", sys.stderr)


@contextmanager
def _interruptible() -> Iterator[None]:
    """While a loop runs, the first Ctrl-C only asks its task to end, which does not reach one who reads from the terminal."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


async def on_terminal(host: str, fingerprint: str) -> bool:
    """Show the fingerprint of an unknown host and ask; the loop goes on meanwhile. Anything but yes is no."""
    sys.stderr.write(
        f"\r\x1b[K{host} is not known yet. Its host key is {fingerprint}\n"
        "  compare, on the host: for k in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $k; done\n"
        "  is it the same? yes or no: "
    )
    sys.stderr.flush()
    return (await _typed_line()).strip().lower() in {"y", "yes"}


async def _typed_line() -> str:
    """The next line typed; "" at the end of input. No thread: one that waits for a key could not be ended by Ctrl-C."""
    loop, stdin = asyncio.get_running_loop(), sys.stdin
    line = loop.create_future()

    def read() -> None:
        loop.remove_reader(stdin.fileno())
        line.set_result(stdin.readline())

    loop.add_reader(stdin.fileno(), read)
    try:
        return str(await line)
    finally:
        loop.remove_reader(stdin.fileno())
