"""Frames of running tasks, kept from the first one on, so that a watcher may come late or come back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from cortops.programs.common.progress import Key
from cortops.protocol.link import Chunk, Failed, Result

FRAMES_MAX = 8_192  # of one task; a longer stream goes to present watchers only, the rest comes with the commit
EARLY_WATCHES_MAX = 1_024  # for tasks that we do not know yet

Frame = Chunk | Result | Failed
Send = Callable[[Frame], None]  # must not block; a full link closes itself


@dataclass(slots=True)
class _Stream:
    frames: list[Frame] = field(default_factory=list)
    watchers: list[Send] = field(default_factory=list)


class Buffers:
    """All streams of a miner."""

    def __init__(self) -> None:
        self._streams: dict[Key, _Stream] = {}
        self._early: OrderedDict[Key, list[Send]] = OrderedDict()

    def open(self, key: Key) -> None:
        """A new stream under this key; one that was there starts anew, with its watchers."""
        old = self._streams.get(key)
        watchers = old.watchers if old else self._early.pop(key, [])
        self._streams[key] = _Stream(watchers=watchers)

    def put(self, key: Key, frame: Frame) -> None:
        """Keep and send; without effect when the stream is closed."""
        stream = self._streams.get(key)
        if stream is None:
            return
        if len(stream.frames) < FRAMES_MAX or not isinstance(frame, Chunk):
            stream.frames.append(frame)
        for send in stream.watchers:
            send(frame)

    def watch(self, key: Key, send: Send) -> None:
        """Everything so far, then everything to come."""
        stream = self._streams.get(key)
        if stream is None:
            self._early.setdefault(key, []).append(send)
            if len(self._early) > EARLY_WATCHES_MAX:
                self._early.popitem(last=False)
            return
        for frame in stream.frames:
            send(frame)
        if send not in stream.watchers:
            stream.watchers.append(send)

    def drop(self, send: Send) -> None:
        """This watcher has gone."""
        for stream in self._streams.values():
            if send in stream.watchers:
                stream.watchers.remove(send)
        for key in [key for key, sends in self._early.items() if send in sends]:
            self._early[key].remove(send)
            if not self._early[key]:
                del self._early[key]

    def close(self, key: Key) -> None:
        self._streams.pop(key, None)
