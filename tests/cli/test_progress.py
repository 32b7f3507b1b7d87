"""An apply's events as lines, on a virtual clock."""

from __future__ import annotations

import asyncio
import io
from typing import Literal

from tests.surfaces.stage import example, site_of

from cortops import surfaces
from cortops.cli.output import Progress
from cortops.cli.progress import Phases
from cortops.deploy.apply import StepTold, WaveBegun, WaveWell
from cortops.deploy.fetch import FetchProgress, Phase
from cortops.deploy.observed import Progress as Told
from cortops.testing.clock import VirtualClock
from cortops.words.change import Action, Change, Reversal
from cortops.words.entity import Entity

ROUTER = Entity("router", "r1")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def change(resource: str, action: Action = Action.CREATE) -> Change:
    return Change(target="h1", resource=resource, action=action, reason="missing", reversal=Reversal.RESTORE, wave=1)


def told(event: Literal["begun", "done"]) -> StepTold:
    return StepTold(place="h1", entity=ROUTER, progress=Told(key="h1 service:r1", event=event))


def fetched(name: str, phase: Phase) -> FetchProgress:
    return FetchProgress(name=name, phase=phase, received=1, expected=2, elapsed_s=1, text=f"{name} {phase}")


def shown(stream: io.StringIO) -> str:
    """One wave of 2.5 s with a file, two folders and services, one of them removed; then one without services."""
    clock = VirtualClock()
    phases = Phases(Progress(stream), clock)
    wave = tuple(change(name) for name in ("directory:/a", "directory:/b", "file:/a/x", "service:r1", "service:r2"))
    phases.report(WaveBegun(wave=1, changes=(*wave, change("service:old", Action.DELETE))))
    phases.report(told("begun"))
    asyncio.run(clock.advance(2.5))
    phases.report(told("done"))
    phases.report(WaveWell(wave=1, entities=(ROUTER,)))
    phases.report(WaveBegun(wave=2, changes=(change("contract-state:x"), change("contract:y"), change("contract:z"))))
    phases.report(WaveWell(wave=2, entities=()))
    phases.finish()
    return stream.getvalue()


def test_in_a_pipe_there_is_a_line_a_wave_with_what_it_made_and_how_long_it_took() -> None:
    first, second = shown(io.StringIO()).splitlines()
    assert first.split("  ")[1] == "2 directories, 1 file, 1 service · r1, r2"
    assert first.endswith("well    2.5 s")
    assert second.strip().startswith("1 contract value, 2 contracts ") and second.endswith("done    0.0 s")


def test_on_a_terminal_what_is_under_way_is_shown_and_taken_away_again() -> None:
    text = shown(Terminal())
    assert "\r\x1b[K  service:r1 …" in text
    kept = [part for part in text.split("\r\x1b[K") if part.endswith("\n")]
    assert "".join(kept) == shown(io.StringIO())


def test_every_kind_of_resource_has_a_name_for_people() -> None:
    stream = io.StringIO()
    phases = Phases(Progress(stream), VirtualClock())
    for resource in surfaces.render(example(), site_of(example())):
        phases.report(WaveBegun(wave=1, changes=(change(resource.id),)))
        phases.report(WaveWell(wave=1, entities=()))
    assert all("state" not in line and "funded" not in line for line in stream.getvalue().splitlines())


def test_downloads_side_by_side_share_the_live_line_and_each_end_is_a_line() -> None:
    stream = Terminal()
    phases = Phases(Progress(stream), VirtualClock())
    for event in (fetched("anvil", Phase.DOWNLOADING), fetched("model", Phase.DOWNLOADING), fetched("anvil", Phase.READY)):
        phases.report(event)
    phases.report(fetched("model", Phase.CHECKING))
    live, ended, last = stream.getvalue().split("\r\x1b[K")[2:5]
    assert live == f"  anvil {Phase.DOWNLOADING} · model {Phase.DOWNLOADING}"
    assert ended == f"  anvil {Phase.READY}\n"
    assert last == f"  model {Phase.CHECKING}"
