"""A declared node among those that were found on its host. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from cortops.surfaces.fleet.found.installed import Installed

if TYPE_CHECKING:
    from cortops.surfaces.fleet.found.discover import HostFound


class Declared(Protocol):
    """What tells one node of a host from another; `unit` is empty where it is kept by a pid file."""

    @property
    def shape(self) -> str: ...
    @property
    def runs(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def env_file(self) -> str: ...
    @property
    def log(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Missing:
    """Not among them: gone, or perhaps where we could not look, and why."""

    state: Literal["gone", "unseen"]
    why: str = ""


def match(declared: Declared, found: HostFound) -> Installed | Missing:
    """The one with its unit or container, else with its env file, else with its log; of two such, the one that runs."""
    for key in ("unit", "env_file", "log"):
        wanted = getattr(declared, key)
        inside = key == "env_file" and declared.shape == "docker"  # a path that every container has
        same = [node for node in found.nodes if getattr(node, key) == wanted] if wanted and not inside else []
        if same:
            return max(same, key=lambda node: node.running)
    if not found.complete:
        return Missing("unseen", "the answer was cut off")
    if declared.shape == "docker" and found.docker == "silent":
        return Missing("unseen", "docker does not answer us there; sudo: true may help")
    home = next((home for home in found.unseen if declared.env_file.startswith(home.rstrip("/") + "/")), "")
    return Missing("unseen", f"we may not look into {home} there; sudo: true may help") if home else Missing("gone")
