"""The seam to the process supervisor of a host: what systemd and supervisord both can say in sh. Text only; nothing here runs anything."""

from __future__ import annotations

from typing import Protocol

from cortops.words.resource import Service


class Supervisor(Protocol):
    """The service manager of a host; builds the text that a host is asked to run.

    `prelude` defines these sh functions; the last two print their reason and return non-zero when they fail:
    `manager_load`                  asks the manager once about all services; sets `manager_silent` to the reason when it gave no answer
    `manager_state NAME`            sets `running` (yes, no), `pid`, `uptime_s`, and `definition`: the sha256 of the unit in force,
                                    `unfinished` when it is not in force yet, `none` when it runs without one, empty for no service
    `manager_set NAME UNIT FORCE STOP_S`  puts the file UNIT in force and starts it; FORCE=1 restarts it even if nothing changed
    `manager_unset NAME STOP_S`     stops and forgets it
    """

    @property
    def root(self) -> str:
        """The folder on the target where cortops keeps its own state."""

    @property
    def prelude(self) -> str:
        """The sh text that defines the functions above."""

    def unit(self, service: Service, inputs: str) -> str:
        """The unit's whole text; `inputs` stands for the content of what the service is restarted on."""

    def unit_path(self, service: Service) -> str:
        """Where the unit lies on the target."""
