"""Channels as files: each that can be opened is told; another is said by name, without its text."""

from __future__ import annotations

from pathlib import Path

from cortops.cli.channel_files import channels_in
from cortops.deploy.redact import Redactor
from cortops.incidents.channels import Channel, Kind, sealed
from cortops.protocol.http import HttpClient
from cortops.testing.clock import VirtualClock


def test_every_channel_that_can_be_opened(tmp_path: Path) -> None:
    ops = Channel(name="ops", kind=Kind.WEBHOOK, settings={}, secret="https://hooks.example/some-path")
    (tmp_path / "ops").write_text(sealed(ops))
    (tmp_path / "torn").write_text('{"kind": "webh')
    said: list[str] = []
    found = channels_in(tmp_path, HttpClient(clock=VirtualClock()), Redactor(), said.append)
    assert [one.channel.name for one in found] == ["ops"]
    assert len(said) == 1 and "the channel torn cannot be told" in said[0]
    assert channels_in(tmp_path / "none", HttpClient(clock=VirtualClock()), Redactor(), said.append) == ()
