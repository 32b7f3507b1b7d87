"""A fleet that answers as told, in place of hosts that are reached by SSH."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from cortops.testing.clock import VirtualClock
from cortops.words.clock import Clock
from cortops.words.question import Answer, NoAnswer, Question, Reply, Shell, Silence

LAB = """format: 1
environment: lab
owners: {default: ops@lab.example}
hosts:
  h1: {ssh: me@h1.lab.example, sudo: true}
  h2: {ssh: "me@h2.lab.example:2222", sudo: true}
network:
  chain_id: 31338
  rpc: {url: "http://rpc.lab.example/v1/a-key-in-the-path"}
  contracts: {runtime: "0xb2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2"}
nodes:
  m07: {program: cortensord, role: miner, runs: minerv4, host: h1, shape: systemd, unit: cortensor.service,
        env_file: /home/deploy/.cortensor/.env, log: /var/log/cortensord.log, binary: /usr/local/bin/cortensord,
        address: "0xa1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"}
"""

Said = Callable[[Question], str | None]  # the body of an answer, None for silence


@dataclass(frozen=True)
class FakeFleet:
    """What cli.fleet.fleet gives, as far as verbs that only ask need it."""

    clock: Clock
    said: Said
    asked: list[Question]

    async def ask(self, questions: Sequence[Question]) -> Mapping[str, Reply]:
        self.asked.extend(questions)
        return {question.id: self._reply(question) for question in questions}

    def _reply(self, question: Question) -> Reply:
        body, at = self.said(question), self.clock.now()
        if body is None:
            why = "h1 port 22 refused the connection (user me)"
            return NoAnswer(question=question.id, at=at, elapsed_s=1, silence=Silence.LOST, why=why)
        return Answer(question=question.id, at=at, elapsed_s=0.1, status=0, body=body.encode())


def put_in_place(monkeypatch: pytest.MonkeyPatch, said: Said) -> list[Question]:
    """Verbs find this fleet where the real one is; returns what will be asked."""
    asked: list[Question] = []

    @asynccontextmanager
    async def fleet(hosts: object, common: object, **_options: object) -> AsyncIterator[FakeFleet]:
        yield FakeFleet(clock=VirtualClock(), said=said, asked=asked)

    monkeypatch.setattr("cortops.cli.doctor.fleet", fleet)
    return asked


def silence(_question: Question) -> str | None:
    return None


def bare_hosts(question: Question) -> str | None:
    """Hosts that answer, and have no node; RPCs that keep silent."""
    if not isinstance(question, Shell):
        return None
    if question.id.startswith("discover:"):
        return f"@host\t{question.target}\nuid\t0\nuser\troot\nsystem\tDebian GNU/Linux 12\nmachine\tx86_64\nsystemd\t1\n@end\t1\n"
    if question.id.startswith("examine:"):
        lines = ("uid\t0", "tool\tcurl", "disk\t41943040 90000000 /", "memory\tMemTotal 8388608", "memory\tMemAvailable 4194304")
        more = ("inotify_max_user_instances\t128", "systemd_state\trunning", "time_synchronized\tyes")
        return "\n".join([f"@host\t{question.target}", *lines, *more])
    return "@clock\t1800000000.0\n"
