"""What is news reaches every channel, once, also over a restart; a channel that takes nothing is tried again and holds up no other."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cortops.cli.told import PAUSES_S, Teller
from cortops.incidents.channels import Channel, Kind
from cortops.incidents.notify import Message, NotSent, Sent
from cortops.monitor.picture import Picture
from cortops.programs.common.logs import make_log
from cortops.surfaces.states import EntityState
from cortops.testing.clock import START, VirtualClock
from cortops.words.entity import Entity
from cortops.words.state import State

ILL, WELL = State.DOWN, State.OK


@dataclass(slots=True)
class FakeChannel:
    """Takes messages from its `deaf`-th attempt on."""

    clock: VirtualClock
    name: str
    deaf: int = 0
    got: list[tuple[float, str]] = field(default_factory=list)

    @property
    def channel(self) -> Channel:
        return Channel(name=self.name, kind=Kind.WEBHOOK, settings={}, secret="https://hooks.example/x")

    async def send(self, message: Message) -> Sent | NotSent:
        if self.deaf:
            self.deaf -= 1
            return NotSent(to=self.name, why="no answer", check="it")
        self.got.append((self.clock.now() - START, message.title))
        return Sent(to=self.name, at=self.clock.now())


def picture(state: State, at: float) -> Picture:
    item = EntityState(entity=Entity("miner", "m1"), state=state, reason="because", evidence=(), depends_on=(), since=at - 100)
    return Picture(environment="lab", begun_at=0, at=at, every_s=10, entities=(item,), evidence=(), replies={})


async def follow(teller: Teller, clock: VirtualClock, *states: State) -> None:
    """A picture every ten seconds, and time afterwards for what is tried again."""

    async def pictures() -> AsyncIterator[Picture]:
        for state in states:
            yield picture(state, clock.now())
            await clock.sleep(10)

    async with teller.sending():
        await teller.follow(pictures())
        await clock.sleep(sum(PAUSES_S) + 1)


def teller_to(channels: Sequence[FakeChannel], clock: VirtualClock, folder: Path, log: io.BytesIO | None = None) -> Teller:
    return Teller("lab", folder / "told.json", channels, clock, make_log("watch", log or io.BytesIO(), clock))


def test_each_channel_is_told_once_also_after_a_restart(tmp_path: Path) -> None:
    clock = VirtualClock()
    channel = FakeChannel(clock, "ops")
    clock.run(follow(teller_to([channel], clock, tmp_path), clock, ILL, ILL))
    clock.run(follow(teller_to([channel], clock, tmp_path), clock, ILL, WELL, WELL))
    assert [title for _, title in channel.got] == ["lab: m1 is down", "lab: m1 recovered"]
    (tmp_path / "told.json").write_text('{"miner/m1": "nonsense"}')
    clock.run(follow(teller_to([channel], clock, tmp_path), clock, ILL))
    assert len(channel.got) == 3, "what cannot be read is told twice rather than never"


def test_a_channel_that_takes_nothing_is_tried_again_and_holds_up_no_other(tmp_path: Path) -> None:
    clock = VirtualClock()
    deaf, well = FakeChannel(clock, "deaf", deaf=2), FakeChannel(clock, "well")
    clock.run(follow(teller_to([deaf, well], clock, tmp_path), clock, ILL, WELL))
    assert well.got == [(0, "lab: m1 is down"), (10, "lab: m1 recovered")]
    assert deaf.got == [(sum(PAUSES_S[:2]), "lab: m1 is down"), (sum(PAUSES_S[:2]), "lab: m1 recovered")]


def test_a_channel_that_never_answers_loses_one_message_after_the_last_attempt(tmp_path: Path) -> None:
    clock = VirtualClock()
    deaf, log = FakeChannel(clock, "deaf", deaf=len(PAUSES_S) + 1), io.BytesIO()
    clock.run(follow(teller_to([deaf], clock, tmp_path, log), clock, ILL, WELL))
    assert deaf.got == [(sum(PAUSES_S), "lab: m1 recovered")]
    assert log.getvalue().count(b'"channel_failed"') == len(PAUSES_S) + 1
