"""An apply as lines: one a phase, with what it touched and how long it took."""

from __future__ import annotations

from cortops.cli.output import Progress, joined
from cortops.deploy.apply import StepTold, WaveBegun, WaveWell
from cortops.deploy.fetch import FetchProgress, Phase
from cortops.words.change import Action, Change
from cortops.words.clock import Clock

_TOLD = (Phase.READY, Phase.DAMAGED, Phase.WAITING)
_LIVE = (Phase.DOWNLOADING, Phase.TOOL, Phase.CHECKING)


class Phases:
    """Turns what the engine reports into lines. Pass `report` to it; call `finish` at the end."""

    def __init__(self, progress: Progress, clock: Clock) -> None:
        self._progress = progress
        self._clock = clock
        self._wave: tuple[Change, ...] = ()
        self._begun = 0.0
        self._fetching: dict[str, str] = {}

    def report(self, event: FetchProgress | WaveBegun | StepTold | WaveWell) -> None:
        match event:
            case FetchProgress():
                self._fetch(event)
            case WaveBegun(changes=changes):
                self._wave, self._begun = changes, self._clock.monotonic()
                self._progress.now(f"  {_what(changes)} …")
            case StepTold(progress=told) if told.event == "begun":
                self._progress.now(f"  {told.key.partition(' ')[2]} …")
            case StepTold():
                pass
            case WaveWell(entities=entities):
                well = "well" if entities else "done"
                self._progress.say(f"  {_what(self._wave):72} {well:5} {self._clock.monotonic() - self._begun:5.1f} s")

    def finish(self) -> None:
        self._progress.say()

    def _fetch(self, event: FetchProgress) -> None:
        if event.phase in _TOLD:
            self._fetching.pop(event.name, None)
            self._progress.say(f"  {event.text}")
        elif event.phase in _LIVE:
            self._fetching[event.name] = event.text
            self._progress.now("  " + " · ".join(self._fetching.values()))


def _what(changes: tuple[Change, ...]) -> str:
    """`12 files, 2 releases · chain-1, engine-1`, or `3 contracts, 14 values on chain`."""
    counts: dict[str, int] = {}
    services: list[str] = []
    for change in changes:
        kind, _, name = change.resource.partition(":")
        if kind == "service" and change.action is not Action.DELETE:
            services.append(name)
        else:
            counts[kind] = counts.get(kind, 0) + 1
    parts = [f"{count} {_NOUNS[kind][count != 1]}" for kind, count in counts.items()]
    return " · ".join(part for part in (", ".join(parts), joined(services, 6)) if part)


_NOUNS = {
    "directory": ("directory", "directories"),
    "file": ("file", "files"),
    "blob": ("blob", "blobs"),
    "tree": ("unpacked archive", "unpacked archives"),
    "authorized-key": ("authorized key", "authorized keys"),
    "service": ("service", "services"),
    "contract": ("contract", "contracts"),
    "contract-state": ("contract value", "contract values"),
    "funded": ("wallet", "wallets"),
    "record": ("DNS record", "DNS records"),
    "certificate": ("certificate", "certificates"),
}
