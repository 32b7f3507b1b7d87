"""A program that only a host has any more is read back from there, whole or not at all."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cortops.deploy.host_state import host_state
from cortops.deploy.rehearsal.programs import at_hand, read_back
from cortops.targets.target import Ending, Exited, Line, Lost
from cortops.testing.clock import VirtualClock
from cortops.words.errors import ArtifactDamaged, ArtifactUnavailable

PROGRAM = b"\x7fELF" + bytes(range(256)) * 400
SHA = hashlib.sha256(PROGRAM).hexdigest()
WHOLE = [Line("out", base64.b64encode(PROGRAM[at : at + 24_576]).decode()) for at in range(0, len(PROGRAM), 24_576)]


@dataclass
class Says:
    """A host that answers so, whatever it is asked."""

    events: list[Line | Ending]
    name: str = "h1"
    asked: str = ""

    async def run(self, program: str, data: AsyncIterable[bytes], deadline_s: float) -> AsyncGenerator[Line | Ending, None]:
        self.asked = program
        for event in self.events:
            yield event


def back(cache: Path, *events: Line | Ending) -> Path:
    state = host_state(Says(list(events)), "lab", VirtualClock(), lambda blob: cache)
    return asyncio.run(read_back(SHA, state, cache))


def test_it_comes_into_the_cache_by_its_hash(tmp_path: Path) -> None:
    assert asyncio.run(at_hand(SHA, tmp_path)) is None
    assert back(tmp_path, *WHOLE, Exited(0)).read_bytes() == PROGRAM
    assert asyncio.run(at_hand(SHA, tmp_path)) == tmp_path / "artifacts" / SHA
    (tmp_path / "artifacts" / SHA).write_bytes(b"damaged")
    assert asyncio.run(at_hand(SHA, tmp_path)) is None


@pytest.mark.parametrize(
    ("events", "error", "why"),
    [
        ((Line("err", "there is no /x"), Exited(1)), ArtifactUnavailable, "h1 did not send its copy: there is no /x"),
        ((*WHOLE, Lost("the connection broke")), ArtifactUnavailable, "the connection broke"),
        ((*WHOLE[:-1], Exited(0)), ArtifactDamaged, "has the hash"),
        ((Line("out", "no base64 at all!"), Exited(0)), ArtifactDamaged, "is no base64"),
    ],
)
def test_what_is_not_the_whole_program_is_not_kept(
    tmp_path: Path, events: tuple[Line | Ending, ...], error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        back(tmp_path, *events)
    assert list((tmp_path / "artifacts").iterdir()) == []
