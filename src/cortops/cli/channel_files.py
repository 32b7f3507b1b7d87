"""The channels that an install brought to a host: a file for each, for root only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cortops.deploy.redact import Redactor
from cortops.incidents.channels import opened
from cortops.incidents.notify import Notifier, notifier
from cortops.protocol.http import HttpClient
from cortops.words.errors import CortopsError

FOLDER = "CORTOPS_CHANNELS"  # names the folder, for an upgrade that was handed over


def channels_in(folder: Path, http: HttpClient, redactor: Redactor, say: Callable[[str], None]) -> tuple[Notifier, ...]:
    """Every channel that can be opened; say: why another cannot."""
    found: list[Notifier] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            found.append(notifier(opened(path.name, path.read_text("utf-8")), http, redactor))
        except (CortopsError, OSError) as error:
            say(f"the channel {path.name} cannot be told: {error}")
    return tuple(found)
