"""What starts a program of others, as one JSON file: surfaces write it, `programs.foreign` reads it. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from cortops.words.errors import BadInput

DATA = "{data}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignSettings:
    """argv: the program's path and arguments. first_start: likewise, run once; empty for none. `{data}` in both, and in env, is the data
    folder; for the first start it is another one, which becomes the data folder when that is done.

    folder: holds `data`, `new` while the first start is under way, and `files`.
    files: name in `folder`/files -> the file that is copied there. secrets: environment variable -> the file that holds its value.
    user: whose account it runs as, "" for the caller's. stop_signal: as a service manager writes it, `TERM`.
    """

    argv: tuple[str, ...]
    folder: str
    first_start: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    stop_signal: str = "TERM"

    @property
    def data(self) -> str:
        return data_folder(self.folder)

    @property
    def new(self) -> str:
        return f"{self.folder}/new"


def data_folder(folder: str) -> str:
    """Where the program's data is."""
    return f"{folder}/data"


def files_folder(folder: str) -> str:
    """Where its files are."""
    return f"{folder}/files"


def render(settings: ForeignSettings) -> str:
    """Settings -> text, the same for the same settings."""
    return json.dumps(asdict(settings), indent=1, sort_keys=True) + "\n"


def parse(text: str, *, where: str) -> ForeignSettings:
    """Text -> settings; BadInput for anything that `render` does not write."""
    try:
        read: dict[str, Any] = json.loads(text)
        return ForeignSettings(**{known.name: _value(read[known.name]) for known in fields(ForeignSettings)})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BadInput(f"{where} holds no settings of a program of others: {type(error).__name__}", where=where) from error


def _value(value: Any) -> Any:
    return tuple(map(str, value)) if isinstance(value, list) else value
