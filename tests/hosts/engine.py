"""Adopted nodes on test hosts, changed by the engine over real SSH; and a target that dies where a test wants it to."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from tests.hosts.shapes import Net, Node

from cortops.deploy.adopt import adopted
from cortops.deploy.host_state import Guard, HostApplied, HostLook, HostState, Want, apply_host, host_state, look_host, records
from cortops.deploy.lock import this_process
from cortops.deploy.node_programs import HostRecord, Program, restored, switched
from cortops.deploy.one_key import one_key
from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.environment.reason import Invalid
from cortops.surfaces.fleet.adopted import node_program
from cortops.targets.shell import ask_shell
from cortops.targets.ssh import SshTarget
from cortops.targets.ssh_address import SshAddress
from cortops.targets.ssh_connection import SshDialer, SshSettings
from cortops.targets.ssh_hostkeys import HostKeys
from cortops.targets.target import Ending, Line, Lost, Target, TimedOut
from cortops.testing.cortensord import sha256
from cortops.testing.hosts import Fleet
from cortops.words.clock import SystemClock
from cortops.words.question import Question, Reply, Shell
from cortops.words.resource import Blob, NodeProgram, Resource

T = TypeVar("T")
Wrap = Callable[[Target], Target]
APPLY = "apply_journal="  # in the program of an apply, and in no other


def declare(fleet: Fleet, nodes: Sequence[Node], net: Net) -> Environment:
    """The environment file that somebody would write for these nodes."""
    hosts = [f'  {host.name}: {{ssh: "me@{host.address}", sudo: true}}' for host in fleet]
    entries = [
        f"  {node.name}: {{program: cortensord, role: {node.role}, runs: {node.runs}, host: {node.host}, shape: {node.shape}, "
        f'instance: "{node.instance}", unit: "{node.unit}", env_file: "{node.env_file}", log: "{node.log}", binary: "{node.binary}", '
        f'address: "{node.address}"}}'
        for node in nodes
    ]
    network = f'network: {{chain_id: {net.chain_id}, rpc: {{url: "{net.rpc_url}"}}, contracts: {{runtime: "{net.runtime}"}}}}'
    head = ["format: 1", "environment: lab", "owners: {default: ops@lab.example}", "hosts:", *hosts, network, "nodes:"]
    loaded = load("\n".join([*head, *entries, ""]), "lab.yaml")
    assert not isinstance(loaded, Invalid), loaded.text
    return loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What a composition root would wire, each call with a connection of its own. programs: the folder of builds, found by their hash."""

    fleet: Fleet
    env: Environment
    programs: Path
    settle_s: int = 1
    user: str = "me"
    sudo: bool = True

    def program(self, path: Path, *, release: str = "april") -> Program:
        return Program(sha256=sha256(path), size=path.stat().st_size, release=release)

    def apply(self, host: str, want: Want, *, wrap: Wrap | None = None, guard: Guard | None = None, adopting: bool = False) -> HostApplied:
        return self._with(
            host,
            lambda state: apply_host(
                state,
                lambda record: self._quick(want(record)),
                apply_id=secrets.token_hex(4),
                owner=this_process(),
                tool_version="1",
                report=lambda event: None,
                guard=guard,
                adopting=adopting,
            ),
            wrap,
        )

    def adopt(self, host: str, program: Path) -> HostApplied:
        """Every node of the host, which all run this program."""
        nodes = [
            node_program(self.env, name, node, sha256=sha256(program), release="found")
            for name, node in self.env.installed.items()
            if node.host == host
        ]
        return self.apply(host, lambda record: adopted(record, self.env, host, nodes), adopting=True)

    def switch(self, node: str, program: Path, *, wrap: Wrap | None = None, guard: Guard | None = None) -> HostApplied:
        want = self.program(program)
        return self.apply(self.env.installed[node].host, lambda record: switched(record, {node: want}), wrap=wrap, guard=guard)

    def back(self, node: str) -> HostApplied:
        """To generation 0, as a whole."""
        return self.apply(self.env.installed[node].host, lambda record: self.found(record, node))

    def found(self, record: HostRecord, node: str) -> tuple[Resource, ...]:
        assert record.first is not None
        return restored(record, record.first, {node})

    def look(self, host: str, want: Want) -> HostLook:
        return self._with(host, lambda state: look_host(state, lambda record: self._quick(want(record)), "1"), None)

    def record(self, host: str) -> HostRecord:
        return self._with(host, records, None)

    def with_state(self, host: str, act: Callable[[HostState], Awaitable[T]]) -> T:
        return self._with(host, act, None)

    def _quick(self, resources: Sequence[Resource]) -> list[Resource]:
        return [replace(one, settle_s=self.settle_s) if isinstance(one, NodeProgram) else one for one in resources]

    def key_guard(self) -> Guard:
        """One key on one host, asked of every declared host."""

        async def ask(questions: Sequence[Question]) -> Mapping[str, Reply]:
            replies: dict[str, Reply] = {}
            for question in questions:
                assert isinstance(question, Shell)
                async with self._target(question.target) as target:
                    replies |= await ask_shell(target, [question], SystemClock())
            return replies

        return one_key(ask, list(self.env.hosts))

    @asynccontextmanager
    async def _target(self, host: str) -> AsyncIterator[SshTarget]:
        dialer = SshDialer(HostKeys(self.fleet.known_hosts))
        address = SshAddress(self.fleet[host].address, self.user)
        settings = SshSettings(address=address, sudo=self.sudo, identities=(self.fleet.key,), agent=False)
        target = SshTarget(host, settings, dialer, SystemClock())
        try:
            yield target
        finally:
            await target.close()
            await dialer.close()

    def _with(self, host: str, act: Callable[[HostState], Awaitable[T]], wrap: Wrap | None) -> T:
        async def run() -> T:
            async with self._target(host) as target:
                return await act(host_state(wrap(target) if wrap else target, self.env.name, SystemClock(), self._file))

        return asyncio.run(run())

    def _file(self, blob: Blob) -> Path:
        builds = (path for path in self.programs.iterdir() if path.is_file())
        return next((path for path in builds if hashlib.sha256(path.read_bytes()).hexdigest() == blob.sha256), self.programs / "none")


COUNT = "/run/killing-points"
# Stands before the program of an apply: each command that changes something, and each entry of the journal (which asks for the date),
# is a point; at point AT the whole group of processes dies, as at a power cut of the one who drives it.
_POINTS = r"""
killing_point() {
  killing_now=$(($(cat %(count)s 2>/dev/null || echo 0) + 1))
  echo "$killing_now" >%(count)s
  [ "$killing_now" != %(at)d ] || command kill -s KILL 0
}
for killing_name in %(names)s; do
  eval "$killing_name() { killing_point; command $killing_name \"\$@\"; }"
done
systemctl() { case $1 in show) ;; *) killing_point ;; esac; command systemctl "$@"; }
docker() { case $1 in inspect | logs) ;; *) killing_point ;; esac; command docker "$@"; }
"""
JOURNAL, EVERY = "date", "date mkdir mv cp rm rmdir sync chmod chown timeout runuser"


class Died(KeyboardInterrupt):
    """We are gone too: nothing of ours writes an end into the journal."""


@dataclass(frozen=True, slots=True)
class Dying:
    """A target on which an apply dies at its point number `at` (0: never; only counted), and whoever drives it with it."""

    target: Target
    at: int
    names: str = EVERY

    @property
    def name(self) -> str:
        return self.target.name

    async def run(self, program: str, data: AsyncIterable[bytes], deadline_s: float) -> AsyncGenerator[Line | Ending, None]:
        before = _POINTS % {"count": COUNT, "at": self.at, "names": self.names} if APPLY in program else ""
        async with aclosing(self.target.run(before + program, data, deadline_s)) as items:
            async for item in items:
                if before and isinstance(item, Lost | TimedOut):
                    raise Died
                yield item
